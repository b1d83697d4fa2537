"""Runs exports as users do, in subprocesses: the release's own script, and ours.

Not for: comparing what came out; that is ``parity``.
"""
import collections
import os
import subprocess
import sys

import pytest
import tensorflow

CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'configs')

# The release's own script; with the bridges, where TensorFlow 2 needs them to run it.
_UPSTREAM = 'object_detection.export_inference_graph'
HAS_CONTRIB = tensorflow.__version__.startswith('1.')
if not HAS_CONTRIB:
    _UPSTREAM = 'tests.support.unpatched'

NEEDS_CONTRIB = pytest.mark.skipif(
    not HAS_CONTRIB, reason='TensorFlow {} has no contrib; that such an export is refused has a test of its own'.format(
        tensorflow.__version__))

Result = collections.namedtuple('Result', ['exit_code', 'stdout', 'stderr'])


def config_path(name):
    """Returns the path of one of the small pipeline configs."""
    return os.path.join(CONFIGS, name + '.config')


def run(arguments, cwd=None, environment=None, timeout=300, python=sys.executable):
    """Runs a Python, by default this one, with arguments; returns ``Result``."""
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


def flags_of(config, prefix, output_directory, **flags):
    """Returns the command line flags of an export."""
    flags = dict(flags, pipeline_config_path=config, trained_checkpoint_prefix=prefix,
                 output_directory=output_directory)
    return ['--{}={}'.format(name, value) for name, value in sorted(flags.items())]


def upstream(config, prefix, output_directory, **flags):
    """Exports with the release's own script, unpatched; raises when it fails."""
    result = run(['-m', _UPSTREAM] + flags_of(config, prefix, output_directory, **flags))
    assert result.exit_code == 0, result.stderr[-3000:]
    return str(output_directory)


def ours(config, prefix, output_directory, _python=sys.executable, _environment=None, **flags):
    """Exports with od-patch's entry point; returns ``Result``."""
    return run(['-m', 'od_patch.export_inference_graph'] + flags_of(config, prefix, output_directory, **flags),
               python=_python, environment=_environment)
