"""Coverage-guided fuzzing of the parts that read bytes in Python, with atheris where it can be installed.

    python -m pip install atheris
    python -m tools.faults.fuzz index --seconds 60

``mutations`` damages files of which it knows the form, and tries whole commands;
this looks for inputs that reach what no such damage reaches. It ends with a
traceback, and a file ``crash-…`` with the input, at the first exception that is
no refusal.

Not for: the tests that always run; atheris has no wheels for Python 3.6.
"""
import argparse
import os
import sys
import tempfile

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SHAPES = os.path.join(_ROOT, 'examples', 'shapes')


def _index(path):
    from od_patch.checkpoint import _bundle
    try:
        _bundle.read_index(path[:-len('.index')])
    except _bundle.BrokenIndex:
        pass


def _v1(path):
    from od_patch.checkpoint import _bundle
    try:
        _bundle.check_v1(path)
    except _bundle.BrokenIndex:
        pass


def _pipeline(path):
    from od_patch.proof import _pipeline as module
    module.uses_moving_averages(path)


def _graph(path):
    from od_patch.compare import _canonical
    from od_patch.graphs import _sources
    _canonical.serialized(_sources.load(path).graph())


def _seed_graph():
    from tests.compare import graphs
    return graphs.detector().SerializeToString()


def _seed_v1():
    from tests.support import checkpoints
    import numpy
    path = os.path.join(tempfile.mkdtemp(), 'model.ckpt')
    checkpoints.write_v1(path, {'a/weights': numpy.ones([2, 3], numpy.float32), 'global_step': numpy.int64(7)})
    return _content(path)


def _content(path):
    with open(path, 'rb') as file:
        return file.read()


# Each target: what reads, the name of the file, what makes a whole one.
TARGETS = {
    'index': (_index, 'model.ckpt.index', lambda: _content(os.path.join(_SHAPES, 'model.ckpt-4100.index'))),
    'v1': (_v1, 'model.ckpt', _seed_v1),
    'pipeline': (_pipeline, 'pipeline.config',
                 lambda: _content(os.path.join(_SHAPES, 'shapes_ssd_mobilenet_v1.config'))),
    'graph': (_graph, 'frozen_inference_graph.pb', _seed_graph),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('target', choices=sorted(TARGETS))
    parser.add_argument('--seconds', type=int, default=60)
    given = parser.parse_args()
    import atheris
    with atheris.instrument_imports(include=['od_patch']):
        from od_patch import _errors
        from od_patch.checkpoint import _bundle  # noqa: F401  pylint: disable=unused-import
        from od_patch.compare import _canonical  # noqa: F401  pylint: disable=unused-import
        from od_patch.graphs import _sources  # noqa: F401  pylint: disable=unused-import
        from od_patch.proof import _pipeline as module  # noqa: F401  pylint: disable=unused-import
    reads, name, seed = TARGETS[given.target]
    folder = tempfile.mkdtemp(prefix='od-patch-fuzz-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    corpus = os.path.join(folder, 'corpus')
    os.mkdir(corpus)
    with open(os.path.join(corpus, 'whole'), 'wb') as file:
        file.write(seed())
    path = os.path.join(folder, name)

    def try_input(data):
        with open(path, 'wb') as file:
            file.write(data)
        try:
            reads(path)
        except _errors.ODPatchError:
            pass  # refused in words

    atheris.Setup([sys.argv[0], '-max_total_time={}'.format(given.seconds), '-max_len=65536', '-rss_limit_mb=4096',
                   '-timeout=30', '-print_final_stats=1', corpus], try_input)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
