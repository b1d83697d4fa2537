"""``od-patch doctor``: what it finds, what it says to type, and its exit code."""
import json
import os
import shutil

import pytest

tensorflow = pytest.importorskip('tensorflow')

from tests.support import exports  # noqa: E402

_TF2 = not tensorflow.__version__.startswith('1.')
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _doctor(*arguments, path=None):
    environment = {'PYTHONPATH': os.pathsep.join([_ROOT] + path)} if path is not None else None
    return exports.run(['-m', 'od_patch.cli', 'doctor'] + list(arguments), environment=environment)


def test_here_it_is_usable():
    result = _doctor()
    assert result.exit_code == 0, result.stdout
    assert 'Usable: export_inference_graph exports here.' in result.stdout
    assert tensorflow.__version__ in result.stdout
    assert 'WARNING' not in result.stdout + result.stderr


def test_json_says_what_is_installed(research):
    import numpy
    result = _doctor('--json')
    found = json.loads(result.stdout)
    assert found['usable'] and found['problems'] == []
    assert found['packages']['tensorflow'] == tensorflow.__version__
    assert found['packages']['numpy'] == numpy.__version__
    assert found['object_detection']['folder'] == research
    assert found['protos']['compiled'] > 20 and 'protoc' in found['protos']['made_by']
    assert [bridge['name'] for bridge in found['bridges']] == [] or _TF2
    assert ('contrib' in [bridge['name'] for bridge in found['bridges']]) == _TF2


def test_no_tensorflow(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text('import sys\nsys.modules["tensorflow"] = None\n')
    result = _doctor(path=[str(tmp_path)])
    assert result.exit_code == 3
    assert 'There is no TensorFlow in this Python' in result.stdout and 'pip install' in result.stdout
    assert 'Not usable' in result.stdout


def test_no_object_detection_api():
    result = _doctor(path=[])
    assert result.exit_code == 3
    assert 'There is no Object Detection API' in result.stdout and 'export PYTHONPATH=' in result.stdout


def test_protos_that_are_not_compiled_and_the_command_that_makes_them(research, tmp_path):
    shutil.copytree(os.path.join(research, 'object_detection'), str(tmp_path / 'object_detection'),
                    ignore=shutil.ignore_patterns('*_pb2.py'))
    result = _doctor('--json', path=[str(tmp_path), research, os.path.join(research, 'slim')])
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert not found['usable']
    problem, = found['problems']
    assert 'not compiled' in problem['problem']
    assert 'cd {} && '.format(tmp_path) in problem['remedy'] and '--python_out=.' in problem['remedy']


def test_everything_that_is_missing_is_named_at_once(research, tmp_path):
    """Of what all releases since 2020 import; of earlier ones, what the import misses first."""
    (tmp_path / 'sitecustomize.py').write_text('import sys\nsys.modules["matplotlib"] = sys.modules["PIL"] = None\n')
    result = _doctor(path=[str(tmp_path), research, os.path.join(research, 'slim')])
    assert result.exit_code == 3
    assert 'python -m pip install ' in result.stdout
    if os.environ['OD_PATCH_VINTAGE'] == 'D':
        assert '"python -m pip install pillow matplotlib"' in result.stdout


@pytest.mark.skipif(not _TF2, reason='on TensorFlow 1, releases with tf.contrib are what one has')
def test_a_release_that_needs_contrib():
    result = _doctor(path=exports.research('C'))
    assert result.exit_code == 3
    assert 'This release of the Object Detection API (2019-07-15) needs tf.contrib, which TensorFlow {}'.format(
        tensorflow.__version__) in result.stdout
    assert 'Use a release of 2020-05-26 or later' in result.stdout
