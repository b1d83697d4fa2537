"""The lines that ``doctor`` and the refusals about the environment tell people to type."""
import configparser
import os
import shlex
import subprocess
import sys

import pytest

from od_patch import _text
from od_patch.environment import _remedies
from tools import assemble_models
from tools import lock_files

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _lines(remedy):
    return [line[2:] for line in remedy.splitlines() if line.startswith('  ')]


def test_the_lines_install_what_the_locks_are_made_from():
    of_tensorflow_1 = {pair.python: sorted(pair.packages) for pair in lock_files.PAIRS if pair.tensorflow.startswith('1.')}
    assert {python: sorted(packages) for python, packages in _remedies.OF_TENSORFLOW_1.items()} == of_tensorflow_1
    assert _remedies.API == assemble_models.PACKAGES['D'].requirement


@pytest.mark.parametrize('machine', [('linux', 'x86_64'), ('linux', 'aarch64'), ('darwin', 'arm64'), ('darwin', 'x86_64'),
                                     ('win32', 'AMD64')], ids='-'.join)
def test_where_the_extra_brings_the_object_detection_api_is_what_its_marker_says(machine):
    markers = pytest.importorskip('pip._vendor.packaging.markers')
    settings = configparser.ConfigParser()
    settings.read(os.path.join(_ROOT, 'setup.cfg'))
    row, = [line for line in settings['options.extras_require']['object-detection'].splitlines()
            if line.startswith('tf-models-research-object-detection')]
    marker = markers.Marker(row.split(';')[1])
    for minor in range(6, 16):
        expected = marker.evaluate({'python_version': '3.{}'.format(minor), 'sys_platform': machine[0],
                                    'platform_machine': machine[1]})
        assert _remedies.extra_has_api((3, minor, 1), *machine) == expected, minor


@pytest.mark.parametrize('version, state', [
    ('1.4.1', 'v1.12.0'), ('1.12.0', 'v1.12.0'), ('1.13.1', 'v1.13.0'), ('1.14.0', 'v1.13.0'), ('1.15.5', 'bf2d1354'),
    ('2.0.0', 'bf2d1354'), ('2.9.1', 'bf2d1354'), ('2.22.0rc0', 'bf2d1354'), ('2.22.0-rc0', 'bf2d1354')])
def test_each_tensorflow_gets_the_state_of_the_models_repo_that_runs_on_it(version, state):
    remedy = _remedies.get_api(version, 'cd {} && protoc'.format)
    assert sum(state in line for line in _lines(remedy)) == 1, remedy
    assert ('[object-detection]' in remedy) == version.startswith('2.')
    assert 'cd models/research && protoc' in remedy


@pytest.mark.parametrize('python, brings', [((3, 11, 7), True), ((3, 13, 0), False)])
def test_where_the_extra_lacks_it_the_line_installs_the_api_without_what_it_asks_for(python, brings, monkeypatch):
    monkeypatch.setattr(_remedies.sys, 'version_info', python)
    monkeypatch.setattr(_remedies.sys, 'platform', 'linux')
    line, = _remedies.install_api()
    assert '[object-detection]' in line
    assert ('&& ' + _remedies.pip_install('--no-deps', _remedies.API) in line) != brings


@pytest.mark.parametrize('python', [(3, 6, 15), (3, 7, 16), (3, 8, 1), (3, 13, 0), (3, 14, 0)])
def test_every_line_is_one_that_a_shell_reads(python, monkeypatch):
    monkeypatch.setattr(_remedies.sys, 'version_info', python)
    monkeypatch.setattr(_remedies.sys, 'executable', "/opt/it's mine/bin/python")
    monkeypatch.setenv('PATH', '')
    for remedy in (_remedies.install_tensorflow(), _remedies.get_api('2.21.0', 'cd {} && protoc'.format),
                   _remedies.get_api('1.12.0', 'cd {} && protoc'.format), _remedies.replace_checkout('/r')):
        assert _lines(remedy)
        for line in _lines(remedy):
            subprocess.check_call(['/bin/sh', '-n', '-c', line.replace('…', '')])
    assert shlex.split(_remedies.pip_install('a>=1', '--no-deps')) == [
        "/opt/it's mine/bin/python", '-m', 'pip', 'install', 'a>=1', '--no-deps']


def test_programs_are_called_so_where_the_path_finds_those_of_this_python(monkeypatch, tmp_path):
    for place, names in ('here', ('python', 'tool')), ('elsewhere', ('python', 'tool', 'other')), ('nowhere', ()):
        (tmp_path / place).mkdir()
        for name in names:
            (tmp_path / place / name).write_text('')
            (tmp_path / place / name).chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'here' / 'python3'))
    for place in 'here', 'elsewhere', 'nowhere':
        monkeypatch.setenv('PATH', str(tmp_path / place))
        assert _remedies.python() == ('python' if place == 'here' else str(tmp_path / 'here' / 'python3'))
        assert _text.program('tool') == ('tool' if place == 'here' else str(tmp_path / 'here' / 'tool'))
        assert _text.program('other') == 'other'  # which is not of this Python, for all that is known


@pytest.mark.parametrize('path, lines', [
    ('', []), ('/other', []), ('R', ['unset PYTHONPATH']), ('R:R/slim', ['unset PYTHONPATH']), ('R/:R/slim/', ['unset PYTHONPATH']),
    ('/other:R:R/slim', ['export PYTHONPATH=/other']), ('R2', []), (':R:/a b', ["export PYTHONPATH='/a b'"])])
def test_a_checkout_is_taken_off_the_path_and_nothing_else_is(path, lines, monkeypatch, tmp_path):
    research = tmp_path / 'R'
    research.mkdir()
    monkeypatch.setenv('PYTHONPATH', path.replace('R', str(research)))
    found = _lines(_remedies.replace_checkout(str(research)))
    assert found[:len(lines)] == lines and ('PYTHONPATH' in found[0]) == bool(lines)
