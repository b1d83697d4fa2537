"""Measures what building a graph takes besides: Python's search for cycles, and one protocol buffer of it all.

    python -m benchmarks.building
    python -m benchmarks.building --model ssd_mobilenet_v1

Why an export puts that search off and takes the graph node by node; see
docs/fast.md. The Object Detection API must be on PYTHONPATH
(``tools/assemble_models.py``).
"""
import argparse
import gc
import time

from benchmarks import _models


class Search:
    """What Python's search for cycles of references takes and finds while this is a context."""

    def __init__(self):
        self.seconds = 0.0
        self.found = 0
        self._since = None

    def __enter__(self):
        gc.callbacks.append(self._called)
        return self

    def __exit__(self, *exception):
        gc.callbacks.remove(self._called)

    def _called(self, phase, facts):
        if phase == 'start':
            self._since = time.perf_counter()
        else:
            self.seconds += time.perf_counter() - self._since
            self.found += facts['collected']


def memory():
    """Returns the bytes of memory that this process has now."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmRSS:'))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', choices=list(_models.MODELS), default='faster_rcnn_inception_resnet_v2')
    options = parser.parse_args()
    from object_detection import exporter  # noqa: F401  what it imports is not to be measured
    config = _models.pipeline(_models.MODELS[options.model])
    with Search() as search:
        before = time.perf_counter()
        graph = _models.build_graph(config)
        seconds = time.perf_counter() - before
    print('building the graph: {:.1f} s, {:.1f} s of it ({:.0%}) for cycles; found {:,} objects among {:,}'.format(
        seconds, search.seconds, search.seconds / seconds, search.found, len(gc.get_objects())))
    gc.collect()
    before = memory()
    graph_def = graph.as_graph_def()
    taken = memory() - before
    print('as one protocol buffer: {:.1f} MB of memory for {:.1f} MB of bytes'.format(
        taken / 1e6, graph_def.ByteSize() / 1e6))


if __name__ == '__main__':
    main()
