"""Runs exports as users do, in processes of their own: the release's own script, and ours; and from Python, in this one.

Where nothing is asked about the start of Python, such a process is a fork of one that has imported TensorFlow
(``server``), or hours of CI would go by with imports.

Not for: comparing what came out; that is ``parity``.
"""
import atexit
import collections
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

try:
    import tensorflow
except ImportError:  # the tests that need it are skipped, and say so
    tensorflow = None

from tests.support import server as fork_server
from tools import assemble_models

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'configs')

HAS_CONTRIB = tensorflow is not None and tensorflow.__version__.startswith('1.')
NEEDS_CONTRIB = pytest.mark.skipif(
    not HAS_CONTRIB, reason='this TensorFlow has no contrib; that such an export is refused has a test of its own')

_servers = {}

Result = collections.namedtuple('Result', ['exit_code', 'stdout', 'stderr'])


def research(vintage):
    """Returns what to put on the path for a vintage of the OD API, as a list; assembled where it is not there yet."""
    return assemble_models.assemble(vintage, os.path.join(_ROOT, '.tox', 'research', vintage))


def python_path(vintage):
    """Returns a PYTHONPATH with a vintage of the OD API and od-patch on it."""
    return os.pathsep.join(research(vintage) + [_ROOT])


def config_path(name):
    """Returns the path of one of the small pipeline configs."""
    return os.path.join(CONFIGS, name + '.config')


def run(arguments, cwd=None, environment=None, timeout=300, python=sys.executable):
    """Runs a Python with arguments; returns ``Result``. Another than this one is TensorFlow 1's, and gets vintage C."""
    if python != sys.executable:
        environment = dict({'PYTHONPATH': python_path('C')}, **(environment or {}))
    process = subprocess.Popen(
        [python] + list(map(str, arguments)), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='1', **(environment or {})),
        universal_newlines=True)
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Result(process.returncode, stdout, stderr)


def fork(module, arguments, environment=None, timeout=300, python=sys.executable):
    """As ``run`` of ``-m module`` does, with the imports already made; another Python, or path, is started anew."""
    if python != sys.executable or 'PYTHONPATH' in (environment or {}):
        return run(['-m', module] + list(arguments), environment=environment, timeout=timeout, python=python)
    imports = module if module == 'od_patch.cli' else 'export'
    if imports not in _servers:
        _servers[imports] = fork_server.Server(imports=imports)
        atexit.register(_servers[imports].close)
    server = _servers[imports]
    with tempfile.TemporaryDirectory(prefix='forked') as folder:
        names = [os.path.join(folder, name) for name in ('stdout', 'stderr')]
        pid = server.start(module, [module.split('.')[-1]] + list(map(str, arguments)), names[0],
                           environment=environment, cwd=os.getcwd(), errors=names[1])
        deadline = time.time() + timeout
        answer = None
        while answer is None:
            if time.time() > deadline:
                os.kill(pid, signal.SIGKILL)
                server.wait(pid)
                raise subprocess.TimeoutExpired(module, timeout)
            time.sleep(.01)
            answer = server.poll(pid)
        texts = []
        for name in names:
            with open(name, encoding='utf-8', errors='replace') as text:
                texts.append(text.read())
        return Result(answer[0], *texts)


def flags_of(config, prefix, output_directory, **flags):
    """Returns the command line flags of an export."""
    flags = dict(flags, pipeline_config_path=config, trained_checkpoint_prefix=prefix,
                 output_directory=output_directory)
    return ['--{}={}'.format(name, value) for name, value in sorted(flags.items())]


def upstream(config, prefix, output_directory, _environment=None, **flags):
    """Exports with the release's own script, unpatched; raises when it fails."""
    result = fork('tests.support.unpatched', flags_of(config, prefix, output_directory, **flags), _environment)
    assert result.exit_code == 0, result.stderr[-3000:]
    return str(output_directory)


def ours(config, prefix, output_directory, _python=sys.executable, _environment=None, **flags):
    """Exports with od-patch's entry point; returns ``Result``."""
    return fork('od_patch.export_inference_graph', flags_of(config, prefix, output_directory, **flags),
                python=_python, environment=_environment)


def in_process(config, prefix, output_directory, override='', exporter=None, input_type='image_tensor', **options):
    """Exports in this process, with ``od_patch.patched(**options)``; returns the output directory.

    Args:
        config: str, name of one of the small pipeline configs, or the path of a .config file.
        override: str, text form of what to merge into it.
        exporter: the exporter module; default the real one.
    """
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2
    import od_patch
    from od_patch import _tensorflow
    exporter = exporter or importlib.import_module('object_detection.exporter')
    pipeline = pipeline_pb2.TrainEvalPipelineConfig()
    with open(config if config.endswith('.config') else config_path(config)) as config_file:
        text_format.Merge(config_file.read(), pipeline)
    text_format.Merge(override, pipeline)
    with _tensorflow.tf1().Graph().as_default(), od_patch.patched(exporter, **options):
        exporter.export_inference_graph(input_type, pipeline, prefix, output_directory)
    return output_directory
