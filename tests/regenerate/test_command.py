"""``od-patch regenerate --models_repo`` and ``od-patch cache``, as typed, on histories of small exporters.

They are the tests' own, on the real TensorFlow 1.12. Not for: the Object Detection API's exporters, which
``tests/compare/test_regenerated.py`` runs.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy
import pytest

from tests.regenerate import repositories
from tests.support import exports
from tests.support import headings

pytestmark = [pytest.mark.once, pytest.mark.skipif(shutil.which('git') is None, reason='git is not installed')]

# Of eleven revisions: the same computation several times, one that fails, other names alone, other computations.
_CHANGES = (['total = tf.identity(total)'] * 2 + ['total = total * 2.0'] * 2 + ['raise SystemExit("no contrib")'] +
            ['total = total * 3.0'] * 3 + ['total = tf.multiply(total, 3.0, name="renamed")'] + ['total = total * 5.0'] * 2)


class Place:
    """A repository, its commits, a checkpoint, a config, a cache: what a search takes."""

    def __init__(self, folder):
        from tests.support import checkpoints
        self.folder = folder
        self.repository = str(folder / 'models')
        self.commits = repositories.small(self.repository, [
            '{}\n    # {}'.format(change, number) for number, change in enumerate(_CHANGES)])
        checkpoints.write_v2(str(folder / 'model.ckpt'), {'layer/weights': numpy.ones(3, 'f4')})
        self.config = str(folder / 'pipeline.config')
        with open(self.config, 'w') as file:
            file.write('model { }')
        self.cache = str(folder / 'cache')

    def shipped(self, number):
        """The path of the frozen graph of a revision, by its exporter."""
        target = self.folder / 'shipped{}'.format(number)
        if not target.exists():
            script = self.folder / 'exporter.py'
            script.write_text(repositories.git(self.repository, 'show', '{}:{}/export_inference_graph.py'.format(
                self.commits[number], repositories.API)))
            result = exports.run([script, '--trained_checkpoint_prefix=' + str(self.folder / 'model.ckpt'),
                                  '--output_directory=' + str(target)], environment={'HOME': str(self.folder)})
            assert result.exit_code == 0, result.stderr
        return str(target / 'frozen_inference_graph.pb')

    def flags(self, number=None, **changes):
        rows = {'checkpoint': str(self.folder / 'model.ckpt'), 'pipeline_config': self.config,
                'models_repo': self.repository, 'cache': self.cache, 'python': '1.12=' + sys.executable}
        if number is not None:
            rows['like'] = self.shipped(number)
        rows.update(changes)
        return ['--{}={}'.format(*row) for row in rows.items() if row[1] is not None]

    def regenerate(self, number=None, *more, **changes):
        return exports.fork('od_patch.cli', ['regenerate'] + self.flags(number, **changes) + list(more),
                            environment={'HOME': str(self.folder), 'XDG_CACHE_HOME': str(self.folder / 'home')})


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp('search'))


def _tree(folder):
    return sorted(os.path.relpath(os.path.join(at, name), str(folder)) for at, _, names in os.walk(str(folder))
                  for name in names)


def test_the_revision_is_found_told_and_written_whole(place, tmp_path):
    output = tmp_path / 'out'
    before = _tree(place.repository)
    result = place.regenerate(6, output_directory=output)
    assert result.exit_code == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].startswith('identical: ')
    assert sorted(os.listdir(str(output))) == ['compare.html', 'frozen_inference_graph.pb', 'regenerate.md']
    page = (output / 'regenerate.md').read_text(encoding='utf-8')
    found = [commit for commit in place.commits if 'git -C models checkout ' + commit in page]
    assert found and found[0] in place.commits[5:8]
    assert 'Pin: **OD API {}'.format(found[0][:8]) in page and 'FROM python:3.6' in page
    assert _tree(place.repository) == before
    with open(str(output / 'frozen_inference_graph.pb'), 'rb') as one, open(place.shipped(6), 'rb') as other:
        assert len(one.read()) == len(other.read())
    # What ran had neither od-patch nor the path of the tests' Object Detection API on its path.
    ran = (place.folder / 'ran').read_text()
    path = ran.splitlines()[-1]
    assert repr(os.getcwd()) not in path and os.path.join('.tox', 'research') not in path
    assert 'XDG_CACHE_HOME' not in path and 'revisions/' in path


def test_the_commands_of_the_recipe_work_as_typed(place, tmp_path):
    """All but making the environment, which was given."""
    result = place.regenerate(2)
    assert result.exit_code == 0, result.stdout + result.stderr
    lines = [line[2:] for line in result.stdout.partition('By hand:\n')[2].splitlines() if line.startswith('  ')]
    assert lines[0] == 'git clone {} models'.format(place.repository) and any('protoc' in line for line in lines)
    script = '\n'.join(line for line in lines if 'protoc' not in line)
    done = subprocess.run(['sh', '-ec', script], cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={'PATH': os.environ['PATH'], 'HOME': str(tmp_path)})
    assert done.returncode == 0, done.stdout.decode()
    compared = exports.fork('od_patch.cli', ['compare', tmp_path / 'regenerated', place.shipped(2)])
    assert compared.stdout.startswith('identical'), compared.stdout + compared.stderr


def test_the_nearest_is_told_with_what_is_left(place, tmp_path):
    """A graph whose revision the clone has not: 3.0 under other names is equivalent, 4.0 is nowhere."""
    text = repositories.EXPORTER.replace('{change}', 'total = total * 4.0')
    script = tmp_path / 'exporter.py'
    script.write_text(text)
    result = exports.run([script, '--trained_checkpoint_prefix=' + str(place.folder / 'model.ckpt'),
                          '--output_directory=' + str(tmp_path / 'shipped')], environment={'HOME': str(tmp_path)})
    assert result.exit_code == 0, result.stderr
    like = tmp_path / 'shipped' / 'frozen_inference_graph.pb'
    result = place.regenerate(None, '--most=4', like=like, output_directory=tmp_path / 'out')
    assert result.exit_code == 1, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].startswith('same weights, different graph') and '\nLeft: ' in result.stdout
    page = (tmp_path / 'out' / 'regenerate.md').read_text(encoding='utf-8')
    assert 'What is left:' in page and '  4  ' in page and '  5  ' not in page


def test_a_dry_run_says_the_plan_and_does_nothing(place, tmp_path):
    result = place.regenerate(6, '--dry_run', cache=tmp_path / 'none', output_directory=tmp_path / 'out')
    assert result.exit_code == 0, result.stderr
    assert 'come into question 11 of 11 states of the code' in result.stdout
    assert 'tf1.12.0-py3.6: given' in result.stdout and str(tmp_path / 'none') in result.stdout
    assert os.listdir(str(tmp_path)) == []
    result = place.regenerate(6, '--dry_run', cache=tmp_path / 'none', python=None)
    assert result.exit_code == 0 and 'pip install tensorflow==1.12.0 ' in result.stdout
    assert 'to make: some ' in result.stdout and os.listdir(str(tmp_path)) == []


def test_without_network_it_says_what_it_would_need(place, tmp_path):
    result = exports.fork('od_patch.cli', ['regenerate'] + place.flags(6, python=None, cache=tmp_path / 'cache'),
                           environment={'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': '', 'PIP_CONFIG_FILE': '/dev/null',
                                       'UV_OFFLINE': '1', 'UV_NO_INDEX': '1', 'HOME': str(tmp_path)})
    assert result.exit_code == 2, result.stdout + result.stderr
    assert 'No candidate exported' in result.stderr and 'tensorflow==1.1' in result.stderr
    assert 'Where there is no network: ' in result.stderr and 'Traceback' not in result.stderr
    assert not [name for name in _tree(tmp_path / 'cache') if 'lock' not in name]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_leaves_no_half_of_anything(place, tmp_path, number):
    temporary = tmp_path / 'tmp'
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, '-m', 'od_patch.cli', 'regenerate'] + place.flags(
            9, cache=tmp_path / 'cache', output_directory=tmp_path / 'out'), stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=str(temporary), HOME=str(tmp_path)),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.time() + 120
    while not (tmp_path / 'ran').exists() and time.time() < deadline:  # the first export is at work
        time.sleep(.02)
    process.send_signal(number)
    error = process.communicate()[1].decode()
    assert process.returncode == 128 + number, error
    assert '{} keeps what was made'.format(tmp_path / 'cache') in error and 'Traceback' not in error
    assert not (tmp_path / 'out').exists() and os.listdir(str(temporary)) == []
    assert not [name for name in _tree(tmp_path / 'cache') if '.making' in name]


# Flags, and what is said; each costs neither an export nor a file.
_REFUSED = {
    'no clone': ({'models_repo': '/nowhere'}, 'is no clone of the models repo: there is no such folder'),
    'apply': ({'apply': ''}, '--apply sets what the installed release can be told'),
    'no config': ({'pipeline_config': '/nowhere.config'}, 'There is no pipeline config /nowhere.config'),
    'no graph': ({'like': '/nowhere.pb'}, '/nowhere.pb'),
    'no checkpoint': ({'checkpoint': '/nowhere'}, "There is no checkpoint '/nowhere'"),
    'taken': ({'output_directory': os.getcwd()}, 'is there already'),
    'store': ({'models_repo': 's3://bucket/models'}, 'this command reads the local disk only'),
    'python': ({'python': '1.12'}, "--python: '1.12' is not VERSION=PATH"),
    'cache': ({'cache': __file__}, 'is no folder'),
    'none': ({'models_repo': None}, 'belong to --models_repo, which is not given')}


@pytest.mark.parametrize('case', sorted(_REFUSED))
def test_what_cannot_be_used_is_refused_before_any_export(place, case):
    changes, words = _REFUSED[case]
    before = _tree(place.folder)
    flags = [flag if flag != '--apply=' else '--apply' for flag in place.flags(6, **changes)]
    result = exports.fork('od_patch.cli', ['regenerate'] + flags)
    assert result.exit_code == 2 and words in result.stderr, result.stderr
    assert headings.of(result.stderr) or case == 'no graph', result.stderr
    assert _tree(place.folder) == before


def test_a_shallow_clone_is_refused_with_the_fetch_to_type(place, tmp_path):
    subprocess.run(['git', 'clone', '-q', '--depth=1', 'file://' + place.repository, str(tmp_path / 'shallow')],
                   check=True)
    result = place.regenerate(6, models_repo=tmp_path / 'shallow')
    assert result.exit_code == 2 and 'lacks the revisions that may have made the graph' in result.stderr
    assert 'git -C {} fetch --unshallow --tags'.format(tmp_path / 'shallow') in result.stderr
    assert headings.of(result.stderr)
    subprocess.run(['git', '-C', str(tmp_path / 'shallow'), 'fetch', '-q', '--unshallow', '--tags'], check=True)
    assert place.regenerate(6, '--dry_run', models_repo=tmp_path / 'shallow').exit_code == 0


def test_the_cache_is_listed_and_cleared(tmp_path):
    from od_patch.regenerate import _cache
    cache = _cache.Cache(str(tmp_path / 'cache'))
    cache.ensure('environments', 'tf1.5.0-py2.7', lambda folder: None)

    def ask(*arguments):
        return exports.fork('od_patch.cli', ['cache', '--cache', cache.folder] + list(arguments))
    listed = ask()
    assert listed.exit_code == 0 and 'environment  tf1.5.0-py2.7' in listed.stdout and ' kept' in listed.stdout
    refused = ask('tf1.5.0-py2.7')
    assert refused.exit_code == 2 and 'od-patch cache --clear tf1.5.0-py2.7' in refused.stderr
    refused = ask('--clear', 'tf1.5.0-py3.6')
    assert refused.exit_code == 2 and 'Did you mean tf1.5.0-py2.7 ?' in refused.stderr and headings.of(refused.stderr)
    with cache.used():
        refused = ask('--clear')
    assert refused.exit_code == 7 and 'is in use by a search' in refused.stderr and headings.of(refused.stderr)
    assert 'removed' in ask('--clear').stdout and cache.entries() == []
    assert ask().exit_code == 0
