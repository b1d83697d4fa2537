"""A clone's history is read, and the clone is as it was; what is no clone is refused with what to type."""
import os
import shutil
import subprocess

import pytest

from od_patch import _errors
from od_patch.regenerate import _clone
from od_patch.regenerate import _plan
from od_patch.releases import _releases
from tests.regenerate import repositories

pytestmark = [pytest.mark.once, pytest.mark.skipif(shutil.which('git') is None, reason='git is not installed')]

API = repositories.API


@pytest.fixture(scope='module')
def vintages(tmp_path_factory):
    """(path of the repository, {vintage: hash})"""
    folder = tmp_path_factory.mktemp('models')
    return str(folder), repositories.of_vintages(folder)


def _everything(folder):
    """{path: (content, time of change)} of all files."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, 'rb') as file:
                found[path] = (file.read(), os.lstat(path).st_mtime_ns)
    return found


def test_the_states_of_the_vintages_are_those_pinned(vintages):
    folder, commits = vintages
    states = _clone.Clone(folder).states()
    assert [state.commit for state in states] == [commits[name] for name in 'ABC']
    assert [_releases.find(state.exporter).name for state in states] == ['r1.13.0', '2019-03-07', '2019-07-15']
    assert [state.date for state in states] == ['2019-02-06', '2019-03-07', '2019-07-15']


def test_a_revision_is_written_byte_for_byte_and_the_clone_is_as_it_was(vintages, tmp_path):
    folder, commits = vintages
    before = _everything(folder)
    clone = _clone.Clone(folder)
    clone.states()
    clone.write(commits['A'], str(tmp_path))
    assert _everything(folder) == before
    with open(str(tmp_path / API / 'exporter.py'), 'rb') as file:
        assert _releases.find(_releases.blob_id(file.read())).name == 'r1.13.0'
    assert os.path.isfile(str(tmp_path / 'research/slim/nets/mobilenet_v1.py'))


def test_what_no_export_reads_makes_no_state(tmp_path):
    repository = repositories.empty(tmp_path / 'models')
    first = repositories.commit(repository, {API + '/exporter.py': 'a = 1\n', API + '/core/box.py': ''}, '2018-01-01')
    for path in ('README.md', API + '/g3doc/a.md', API + '/exporter_test.py', API + '/metrics/coco.py',
                 API + '/dataset_tools/create.py', API + '/model_main.py', API + '/samples/a.config', 'research/a.py'):
        repositories.commit(repository, {path: 'b = 1\n'}, '2018-01-02')
    last = repositories.commit(repository, {API + '/core/box.py': 'b = 2\n'}, '2018-01-03')
    again = repositories.commit(repository, {API + '/core/box.py': ''}, '2018-01-04')
    states = _clone.Clone(repository).states()
    assert [state.commit for state in states] == [first, last] and again not in [row.commit for row in states]


def test_other_branches_and_pinned_commits_count_and_the_work_tree_does_not(tmp_path):
    repository = repositories.empty(tmp_path / 'models')
    first = repositories.commit(repository, {API + '/exporter.py': 'a = 1\n'}, '2018-01-01')
    repositories.git(repository, 'checkout', '-q', '-b', 'side')
    hidden = repositories.commit(repository, {API + '/exporter.py': 'a = 2\n'}, '2018-01-02')
    tip = repositories.commit(repository, {API + '/exporter.py': 'a = 3\n'}, '2018-01-03')
    repositories.git(repository, 'checkout', '-q', '-b', 'other', first)
    repositories.git(repository, 'merge', '-q', '--no-ff', '-m', 'Merge', 'side', date='2018-01-04')
    repositories.git(repository, 'branch', '-q', '-D', 'side')
    (tmp_path / 'models' / API / 'exporter.py').write_text('edited, and never committed')
    clone = _clone.Clone(repository)
    assert [state.exporter for state in clone.states()][1:] == [clone.states([tip])[1].exporter]
    assert [state.commit for state in clone.states([hidden[:8], 'ffffffff'])][:2] == [first, hidden]


@pytest.mark.parametrize('where', ['', '.git', 'research'])
def test_a_clone_is_found_by_any_of_its_folders(vintages, where):
    assert len(_clone.Clone(os.path.join(vintages[0], where)).states()) == 3


def test_a_bare_clone_will_do(vintages, tmp_path):
    subprocess.run(['git', 'clone', '-q', '--bare', vintages[0], str(tmp_path / 'bare')], check=True)
    assert len(_clone.Clone(str(tmp_path / 'bare')).states()) == 3


def test_what_git_was_told_about_another_repository_is_not_heeded(vintages, monkeypatch, tmp_path):
    other = repositories.empty(tmp_path / 'other')
    for name, value in (('GIT_DIR', other + '/.git'), ('GIT_WORK_TREE', other), ('GIT_INDEX_FILE', other + '/index'),
                        ('GIT_OBJECT_DIRECTORY', other), ('GIT_NAMESPACE', 'x'), ('GIT_CEILING_DIRECTORIES', '/')):
        monkeypatch.setenv(name, value)
    assert len(_clone.Clone(vintages[0]).states()) == 3


def test_nothing_that_a_clone_configures_is_run(tmp_path):
    repository = repositories.empty(tmp_path / 'models')
    repositories.commit(repository, {API + '/exporter.py': 'a = 1\n', '.gitattributes': '*.py diff=x filter=x\n'},
                        '2018-01-01')
    spy = tmp_path / 'spy'
    spy.write_text('#!/bin/sh\ntouch {}/ran\n'.format(tmp_path))
    spy.chmod(0o755)
    for name in ('core.fsmonitor', 'core.pager', 'diff.x.command', 'diff.x.textconv', 'diff.external', 'filter.x.smudge',
                 'core.sshCommand', 'core.editor', 'gpg.program'):
        repositories.git(repository, 'config', name, str(spy))
    repositories.git(repository, 'config', 'log.showSignature', 'true')
    hook = tmp_path / 'models' / '.git' / 'hooks' / 'post-checkout'
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(spy.read_text())
    hook.chmod(0o755)
    clone = _clone.Clone(repository)
    clone.write(clone.states()[0].commit, str(tmp_path / 'out'))
    assert (tmp_path / 'out' / API / 'exporter.py').read_text() == 'a = 1\n'
    assert not (tmp_path / 'ran').exists()


def test_links_in_a_revision_are_left_out(tmp_path):
    repository = repositories.empty(tmp_path / 'models')
    os.makedirs(repository + '/' + API)
    os.symlink('/etc/passwd', repository + '/' + API + '/stolen.py')
    commit = repositories.commit(repository, {API + '/exporter.py': ''}, '2018-01-01')
    _clone.Clone(repository).write(commit, str(tmp_path / 'out'))
    assert os.listdir(str(tmp_path / 'out' / API)) == ['exporter.py']


def test_what_is_no_clone_is_refused_with_what_to_type(tmp_path, monkeypatch):
    with pytest.raises(_errors.InputRefused, match='there is no such folder') as found:
        _clone.Clone(str(tmp_path / 'gone'))
    assert 'git clone https://github.com/tensorflow/models.git {}'.format(tmp_path / 'gone') in str(found.value)
    (tmp_path / 'unpacked' / 'research' / 'object_detection').mkdir(parents=True)
    with pytest.raises(_errors.InputRefused, match='is no clone of the models repo; git says: ') as found:
        _clone.Clone(str(tmp_path / 'unpacked'))
    assert 'Files that were unpacked have no history.' in str(found.value)
    repository = repositories.empty(tmp_path / 'another')
    repositories.commit(repository, {'setup.py': ''}, '2018-01-01')
    with pytest.raises(_errors.InputRefused, match='no commit of it holds research/object_detection'):
        _clone.Clone(repository).states()
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(_errors.EnvironmentRefused, match='There is no git') as found:
        _clone.Clone(repository)
    assert 'apt-get install git' in str(found.value)


def test_an_empty_repository_is_refused(tmp_path):
    with pytest.raises(_errors.InputRefused, match='no commit of it holds'):
        _clone.Clone(repositories.empty(tmp_path / 'models')).states()


def test_a_clone_that_lacks_a_file_is_refused(tmp_path):
    repository = repositories.empty(tmp_path / 'models')
    commit = repositories.commit(repository, {API + '/exporter.py': 'a = 1\n'}, '2018-01-01')
    blob = repositories.git(repository, 'rev-parse', 'HEAD:' + API + '/exporter.py')
    os.remove(os.path.join(repository, '.git', 'objects', blob[:2], blob[2:]))
    with pytest.raises(_errors.InputRefused, match='does not hold all files of {}'.format(commit[:8])) as found:
        _clone.Clone(repository).write(commit, str(tmp_path / 'out'))
    assert 'git -C {} fetch'.format(repository) in str(found.value)


def test_a_damaged_history_is_refused_in_gits_words(tmp_path):
    repository = repositories.empty(tmp_path / 'models')
    commit = repositories.commit(repository, {API + '/exporter.py': 'a = 1\n'}, '2018-01-01')
    os.remove(os.path.join(repository, '.git', 'objects', commit[:2], commit[2:]))
    with pytest.raises(_errors.InputRefused, match='(cannot be read; git says: .*|no commit)'):
        _clone.Clone(repository).states()


def test_a_shallow_clone_says_so(vintages, tmp_path):
    subprocess.run(['git', 'clone', '-q', '--depth=1', 'file://' + vintages[0], str(tmp_path / 'shallow')], check=True)
    clone = _clone.Clone(str(tmp_path / 'shallow'))
    assert clone.shallow and len(clone.states()) == 1 and not _clone.Clone(vintages[0]).shallow


@pytest.mark.parametrize('od_api, expected', [
    (('', ''), 'ABC'), (('2019-03-07 (05584085)', ''), 'BC'), (('2019-07-15 (fe748d4a)', ''), 'C'),
    (('', '2019-03-06 (before 05584085)'), 'A'), (('2018-09-21 (99256cf4)', '2019-03-06 (before 05584085)'), 'A'),
    (('', '2018-08-06 (before 59f7e80a)'), ''), (('2018-08-07 (59f7e80a)', ''), 'ABC')])
def test_the_range_of_a_graph_is_found_by_the_exporters(vintages, od_api, expected):
    folder, commits = vintages
    states = _clone.Clone(folder).states(_plan.pinned_commits())
    first, end = _plan.window(states, *od_api)
    assert [state.commit for state in states[first:end]] == [commits[name] for name in expected]


def test_the_range_is_found_where_commits_have_other_dates(tmp_path):
    """A history that was imported or rebased: the blobs of the exporters say when it was."""
    commits = repositories.of_vintages(tmp_path / 'models', only='exporter.py')
    script = 'GIT_COMMITTER_DATE="2026-01-01T00:00:00+0000" git commit-tree $0 -m x'
    tip = ''
    for name in 'ABC':
        tree = repositories.git(tmp_path / 'models', 'rev-parse', commits[name] + '^{tree}')
        command = script.replace('-m', ('-p ' + tip if tip else '') + ' -m').replace('$0', tree)
        done = subprocess.run(['sh', '-c', command], cwd=str(tmp_path / 'models'), stdout=subprocess.PIPE, check=True,
                              env=dict(os.environ, GIT_AUTHOR_NAME='a', GIT_AUTHOR_EMAIL='a', GIT_COMMITTER_NAME='a',
                                       GIT_COMMITTER_EMAIL='a'))
        tip = done.stdout.decode().strip()
    repositories.git(tmp_path / 'models', 'checkout', '-q', '--orphan', 'new')
    repositories.git(tmp_path / 'models', 'update-ref', 'refs/heads/new', tip)
    repositories.git(tmp_path / 'models', 'symbolic-ref', 'HEAD', 'refs/heads/new')
    for branch in ('master', 'main'):
        subprocess.run(['git', '-C', str(tmp_path / 'models'), 'branch', '-q', '-D', branch], stderr=subprocess.DEVNULL)
    states = _clone.Clone(str(tmp_path / 'models')).states()
    assert [state.date for state in states] == ['2026-01-01'] * 3
    assert [_plan.moment(state) for state in states] == ['2019-03-06', '2019-05-29', '2019-10-16']
    assert _plan.window(states, '2019-03-07 (05584085)', '') == (1, 3)
    assert _plan.window(states, '', '2019-03-06 (before 05584085)') == (0, 1)
