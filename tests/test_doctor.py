"""``od-patch doctor``: what it finds, what it says to type, and its exit code."""
import json
import os
import re
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
    assert result.stdout.startswith('Not usable: an export would be refused.\n✗ There is no Object Detection API')
    lines = re.findall(r'^    (\S.*)', result.stdout, re.MULTILINE)
    assert ('[object-detection]' in lines[0]) == _TF2
    assert re.match('git clone --(depth=1 --branch=v1.1[23].0|filter=blob:none) https:.*/tensorflow/models', lines[-3])
    assert lines[-2].endswith('object_detection/protos/*.proto --python_out=.)') and 'cd models/research && ' in lines[-2]
    assert lines[-1] == 'export PYTHONPATH=$PYTHONPATH:$PWD/models/research:$PWD/models/research/slim'


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
    assert ' -m pip install ' in result.stdout
    if os.environ['OD_PATCH_VINTAGE'] == 'D':
        assert ' -m pip install pillow matplotlib\n' in result.stdout


@pytest.mark.skipif(not _TF2, reason='on TensorFlow 1, releases with tf.contrib are what one has')
def test_a_release_that_needs_contrib():
    result = _doctor(path=exports.research('C'))
    assert result.exit_code == 3
    assert 'This release of the Object Detection API (2019-07-15) needs tf.contrib, which TensorFlow {}'.format(
        tensorflow.__version__) in result.stdout
    assert 'Use a release of 2020-05-26 or later' in result.stdout
    lines = re.findall(r'^    (\S.*)', result.stdout, re.MULTILINE)
    assert lines[0] == 'export PYTHONPATH={}'.format(_ROOT) and '[object-detection]' in lines[1], lines
    assert lines[2].startswith('python3.6 -m venv ./tf112 && ') and 'tensorflow==1.12.0' in lines[2]
    assert lines[3] == './tf112/bin/export_inference_graph …'


def _write(folder, name):
    path = os.path.join(str(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as file:
        file.write('')


# What a user has of a name that hides another module: the file or folder, and what is said of it.
_SHADOWS = {
    'object_detection.py': ('object_detection', 'the Object Detection API'),
    'object_detection/__init__.py': ('object_detection', 'the Object Detection API'),
    'nets.py': ('nets', 'slim of the models repo'),
    'nets/__init__.py': ('nets', 'slim of the models repo'),
    'tensorflow.py': ('tensorflow', 'TensorFlow'),
    'tensorflow/__init__.py': ('tensorflow', 'TensorFlow'),
}


def _problems(cwd, path):
    """What ``_environment.problems`` says first, in a process of its own with a path of its own."""
    code = ('import sys; sys.path[:0] = {!r}\nfrom od_patch.environment import _environment\n'
            'print(next(_environment.problems(), "none"))'.format([_ROOT] + list(map(str, path))))
    result = exports.run(['-I', '-c', code], cwd=str(cwd))
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize('name', sorted(_SHADOWS))
def test_a_module_of_the_user_that_hides_another_is_named_with_its_place(name, research, tmp_path):
    package, what = _SHADOWS[name]
    _write(tmp_path, name)
    said = _problems(tmp_path, [tmp_path, research, os.path.join(research, 'slim')])
    assert '"import {}" finds {}'.format(package, tmp_path / name) in said
    assert 'which is not {}: it hides the real one.'.format(what) in said
    assert 'take {} off the path'.format(tmp_path) in said and 'pip install' not in said


def test_a_folder_of_that_name_hides_nothing_and_is_not_taken_for_the_package(research, tmp_path):
    _write(tmp_path, 'object_detection/train.record')
    assert 'object_detection, which is not the Object Detection API: the real one is not on the path' in _problems(
        tmp_path, [tmp_path])
    assert '"import object_detection"' not in _problems(tmp_path, [tmp_path, research])


@pytest.mark.parametrize('beside, is_hidden', [
    ('tensorflow/python/__init__.py', False), ('tensorflow_core/__init__.py', False), ('tensorflow/_api/v2', False),
    ('other/__init__.py', True)], ids=['1.x', '1.15 to 2.1', '2.x', 'of the user'])
def test_each_form_in_which_tensorflow_is_installed_is_known(beside, is_hidden, tmp_path):
    _write(tmp_path, 'tensorflow/__init__.py')
    _write(tmp_path, beside)
    code = ('import sys; sys.path[:0] = {!r}\nfrom od_patch.environment import _environment\n'
            'print(_environment.hidden("tensorflow"))')
    assert exports.run(['-I', '-c', code.format([str(tmp_path), _ROOT])]).stdout == '{}\n'.format(is_hidden)


@pytest.mark.parametrize('name', ['object_detection.py', 'nets.py', 'tensorflow.py'])
def test_doctor_says_what_is_hidden(name, research, tmp_path):
    _write(tmp_path, name)
    result = _doctor(path=[str(tmp_path), research, os.path.join(research, 'slim')])
    assert result.exit_code == 3
    assert 'Traceback' not in result.stdout + result.stderr
    assert '"import {}" finds {}'.format(name[:-3], tmp_path / name) in result.stdout
    assert 'pip install' not in result.stdout


@pytest.mark.parametrize('where', ['research', 'research/object_detection', 'research/object_detection/protos', '.'])
@pytest.mark.parametrize('slim', ['research/slim', 'research', 'research/object_detection'])
def test_who_stands_in_the_checkout_is_told_its_folders(where, slim, tmp_path):
    for name in ('research/object_detection/exporter.py', 'research/object_detection/protos/__init__.py',
                 slim + '/nets/__init__.py', slim + '/nets/mobilenet_v1.py'):
        _write(tmp_path, name)
    said = _problems(tmp_path / where, [])
    assert 'There is no Object Detection API' in said
    folders = list(dict.fromkeys([str(tmp_path / 'research'), str(tmp_path / slim)]))
    assert said.rstrip().endswith('export PYTHONPATH=$PYTHONPATH:' + ':'.join(folders))


def test_a_missing_part_of_a_package_that_is_there_is_not_to_be_installed(tmp_path):
    from od_patch.environment import _environment
    _write(tmp_path, 'json/__init__.py')
    error = ImportError("No module named 'json.nothing'", name='json.nothing')
    refusal = _environment._explained(error)  # pylint: disable=protected-access
    assert 'pip install' not in str(refusal) and json.__file__ in str(refusal) and 'json.nothing' in str(refusal)
    for name in ('nets', 'nets.mobilenet'):
        missing = ImportError("No module named '{}'".format(name), name=name)
        assert 'pip install' not in str(_environment._explained(missing))  # pylint: disable=protected-access
    assert ' -m pip install lxml' in str(_environment._explained(  # pylint: disable=protected-access
        ImportError("No module named 'lxml'", name='lxml')))
