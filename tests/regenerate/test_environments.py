"""Environments: which packages, by which Python, with nothing of this process; one is really made."""
import os
import subprocess
import sys

import pytest

from od_patch import _errors
from od_patch.regenerate import _cache
from od_patch.regenerate import _environments

pytestmark = pytest.mark.once


def _program(path, text):
    path.write_text('#!/bin/sh\n' + text)
    path.chmod(0o755)
    return str(path)


def test_the_tables_know_every_tensorflow_of_the_op_table():
    from od_patch.graphs import _op_table
    assert [_environments.minor(row) for row in _environments.TENSORFLOWS] == [
        _environments.minor(row) for row in _op_table.table()[0] if row.startswith('1.')]


@pytest.mark.parametrize('python', _environments.PYTHONS)
@pytest.mark.parametrize('tensorflow', _environments.TENSORFLOWS + ('1.15.5',))
def test_packages_are_named_once_and_with_their_tensorflow(tensorflow, python):
    names = [row.split('=')[0].split('<')[0] for row in _environments.packages(tensorflow, python)]
    assert len(names) == len(set(names)) and 'tensorflow==' + tensorflow in _environments.packages(tensorflow, python)
    assert ('tf-slim' in names) == (tensorflow in ('1.15.0', '1.15.5'))


def test_an_environment_is_made_runs_compiles_protos_and_is_kept(tmp_path, monkeypatch):
    """The one that is really installed: TensorFlow 1.5.0, on the Python that runs this."""
    monkeypatch.setenv('PYTHONPATH', str(tmp_path / 'poison'))
    (tmp_path / 'poison').mkdir()
    (tmp_path / 'poison' / 'tensorflow.py').write_text('raise SystemExit("poisoned")')
    cache = _cache.Cache(str(tmp_path / 'cache'))
    found = _environments.pythons()
    made = _environments.make(cache, '1.5.0', '3.6', found['3.6'])
    assert made.name == 'tf1.5.0-py3.6' and 'tensorflow==1.5.0' in made.packages and 'six==1.17.0' in made.packages
    kept = _environments.kept(cache, '1.5.0', '3.6')
    code, output = kept.run(['-c', 'import sys, tensorflow; print(tensorflow.__version__, tensorflow.__file__)'])
    assert code == 0 and '1.5.0 ' + str(tmp_path / 'cache') in output
    protos = tmp_path / 'research' / 'object_detection' / 'protos'
    protos.mkdir(parents=True)
    (protos / '__init__.py').write_text('')
    (protos.parent / '__init__.py').write_text('')
    (protos / 'one.proto').write_text('syntax = "proto2"; package x; message One { optional int32 a = 1; }')
    (protos / 'two.proto').write_text('syntax = "proto2"; import "object_detection/protos/one.proto"; package x;'
                                      'message Two { optional One one = 1; }')
    _environments.compile_protos(str(tmp_path / 'research'), [kept])
    code, output = kept.run(['-c', 'from object_detection.protos import two_pb2; print(two_pb2.Two(one={"a": 7}))'],
                            path=[str(tmp_path / 'research')])
    assert code == 0 and 'a: 7' in output
    (protos / 'three.proto').write_text('no proto')
    with pytest.raises(_errors.InputRefused, match='do not compile: (?s:.*)three.proto'):
        _environments.compile_protos(str(tmp_path / 'research'), [kept])


def test_what_cannot_be_installed_is_said_in_the_installers_words_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(_environments, 'packages', lambda *_: ['od-patch-has-no-such-package==9.9'])
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('UV_OFFLINE', '1')
    monkeypatch.setenv('UV_NO_INDEX', '1')
    cache = _cache.Cache(str(tmp_path))
    with pytest.raises(_errors.EnvironmentRefused, match='tf1.5.0-py3.6 could not be made: (?s:.*)such-package') as found:
        _environments.make(cache, '1.5.0', '3.6', sys.executable)
    assert 'Where there is no network: od-patch uses what its cache has' in str(found.value)
    assert cache.entries() == [] and _environments.kept(cache, '1.5.0', '3.6') is None


def test_without_uv_and_for_python_2_pip_installs(monkeypatch, tmp_path):
    monkeypatch.delenv('OD_PATCH_UV', raising=False)
    monkeypatch.setenv('PATH', str(tmp_path))
    commands = _environments._commands('E', '3.6', 'python3.6', ['six'])
    assert [row[:4] for row in commands][0] == ['python3.6', '-m', 'venv', 'E'] and 'pip==21.3.1' in commands[1]
    assert commands[2][-1] == 'six' and commands[2][0] == os.path.join('E', 'bin', 'python')
    command, = _environments._commands('E', '2.7', 'python2.7', ['six'])
    assert command[:4] == ['python2.7', '-m', 'pip', 'install'] and command[-3:] == [
        '--target', os.path.join('E', 'packages'), 'six']
    _program(tmp_path / 'uv', 'true')
    assert _environments._commands('E', '3.6', 'python3.6', ['six'])[0][:2] == [str(tmp_path / 'uv'), 'venv']
    assert 'pip' == _environments._commands('E', '2.7', 'python2.7', ['six'])[0][2]


def test_pythons_are_found_by_asking_them(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('PYENV_ROOT', str(tmp_path / 'pyenv'))
    _program(tmp_path / 'python3.6', 'echo "pyenv: python3.6: command not found"; exit 127')  # a shim that refuses
    _program(tmp_path / 'python2.7', 'echo 2.7')
    _program(tmp_path / 'python3.7', 'echo 3.9')
    found = _environments.pythons()
    assert found['2.7'] == str(tmp_path / 'python2.7') and '3.7' not in found
    assert found.get('3.6') != str(tmp_path / 'python3.6')
    folder = tmp_path / 'pyenv' / 'versions' / '3.7.16' / 'bin'
    folder.mkdir(parents=True)
    assert _environments.pythons()['2.7'] and '3.7' not in _environments.pythons()
    _program(folder / 'python', 'echo 3.7')
    assert _environments.pythons()['3.7'] == str(folder / 'python')


def test_a_program_gets_nothing_that_points_at_od_patch(monkeypatch, tmp_path):
    for name in ('PYTHONPATH', 'PYTHONHOME', 'PYTHONSTARTUP', 'PYTHONINSPECT', 'LD_PRELOAD', 'LD_LIBRARY_PATH',
                 'VIRTUAL_ENV', 'OD_PATCH_UV', 'AWS_SECRET_ACCESS_KEY', 'GITHUB_TOKEN', 'TF_CONFIG', 'PIP_INDEX_URL'):
        monkeypatch.setenv(name, str(tmp_path))
    environment = _environments.Environment('1.5.0', '3.6', '/usr/bin/env', site=None)
    code, output = environment.run([], path=['one', 'two'])
    given = dict(line.split('=', 1) for line in output.splitlines())
    assert code == 0 and given.pop('PYTHONPATH') == 'one:two'
    assert str(tmp_path) not in given.values() and given['CUDA_VISIBLE_DEVICES'] == ''
    assert 'PATH' in given


def test_a_program_is_killed_with_this_one(tmp_path, monkeypatch):
    pid = tmp_path / 'pid'
    program = _program(tmp_path / 'program', 'echo $$ > {}; exec sleep 60'.format(pid))

    def interrupted(self):
        while not (pid.exists() and pid.read_text().strip()):
            pass
        monkeypatch.undo()
        raise KeyboardInterrupt
    monkeypatch.setattr(subprocess.Popen, 'wait', interrupted)
    with pytest.raises(KeyboardInterrupt):
        _environments._run([program], dict(os.environ))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


_TELLS = 'echo; echo "={} 3.6"'


@pytest.mark.parametrize('said, there', [('1.12', '1.12.0'), ('1.12.0', '1.12.0'), ('1.1', '1.1.0'), ('2.3', '2.3.4')])
def test_a_python_of_the_users_own_is_asked_what_it_has(tmp_path, said, there):
    program = _program(tmp_path / 'python', _TELLS.format(there))
    environment, = _environments.given(['{}={}'.format(said, program)])
    assert (environment.tensorflow, environment.python, environment.given) == (there, '3.6', True)
    assert environment.name == 'given-tf{}-py3.6'.format(there)


@pytest.mark.parametrize('row, program, words', [
    ('1.12', None, "'1.12' is not VERSION=PATH"), ('=/bin/true', None, 'is not VERSION=PATH'),
    ('x=/bin/true', None, 'is not VERSION=PATH'), ('1.12=', None, 'is not VERSION=PATH'),
    ('1.12=/nowhere/python', None, 'cannot be run: No such file'),
    ('1.12={}', 'echo "No module named tensorflow" >&2; exit 1', 'cannot import TensorFlow: No module named tensorflow'),
    ('1.12={}', 'true', 'cannot import TensorFlow'),
    ('1.12={}', _TELLS.format('1.13.1'), 'has TensorFlow 1.13.1, and 1.12 was said'),
    ('1.1={}', _TELLS.format('1.12.0'), 'has TensorFlow 1.12.0, and 1.1 was said')])
def test_what_is_no_python_with_that_tensorflow_is_refused(tmp_path, row, program, words):
    path = _program(tmp_path / 'python', program) if program else ''
    with pytest.raises(_errors.UsageError, match=words.replace('.', r'\.')):
        _environments.given([row.format(path)])


def test_protos_without_a_compiler_are_refused(tmp_path, monkeypatch):
    protos = tmp_path / 'object_detection' / 'protos'
    protos.mkdir(parents=True)
    (protos / 'one.proto').write_text('syntax = "proto2";')
    monkeypatch.setenv('PATH', str(tmp_path))
    lacking = _environments.Environment('1.12.0', '3.6', _program(tmp_path / 'python', 'exit 1'))
    with pytest.raises(_errors.EnvironmentRefused, match='Nothing here compiles the protos') as found:
        _environments.compile_protos(str(tmp_path), [lacking])
    assert 'grpcio-tools==1.39.0' in str(found.value)
    _program(tmp_path / 'protoc', 'echo "$@" > {}'.format(tmp_path / 'called'))
    _environments.compile_protos(str(tmp_path), [lacking])
    assert 'object_detection/protos/one.proto' in (tmp_path / 'called').read_text()
    (protos / 'one_pb2.py').write_text('')
    (tmp_path / 'called').unlink()
    _environments.compile_protos(str(tmp_path), [])  # compiled already, as in a package
    assert not (tmp_path / 'called').exists()


def test_the_output_of_a_program_is_quoted_from_its_end():
    assert _environments.last_lines('a\n\nb  \nc\n', 2) == 'b\nc'
