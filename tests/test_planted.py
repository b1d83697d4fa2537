"""Folders of the names that od-patch works in, planted by whoever makes an archive or a repository: nothing obeys them.

Every case lies in a tree of sentinels that must be byte for byte what it was. The cases are generated: what stands in a
journal, times what else lies there, times where it lies. A second table goes further than an archive can, and
changes a workshop that od-patch has made.
"""
import itertools
import json
import os
import shutil
import stat

import hypothesis
import hypothesis.strategies as st
import pytest

import od_patch
from od_patch.staging import _staging

pytestmark = pytest.mark.once

_NAMES = ['/absolute', '{home}/thesis', '../thesis', '../../home/thesis', 'saved_model/../../home/thesis',
          '.', '..', '', './saved_model', 'saved_model/', 'a/b', 'notes.txt', '.bashrc', 'saved_model\n',
          'saved_model\0', 'checkpoint ', 'model.ckpt-200', 'SAVED_MODEL', 'variables/variables.index', '~', '{home}']


def _journals(home):
    """Texts of journals: hostile ones, and some that are right in all but that no run has written them."""
    names = [name.format(home=home) for name in _NAMES]
    for name in names:
        yield json.dumps({'new': [name], 'old': []})
        yield json.dumps({'new': {name: [1]}, 'old': {}})
        yield json.dumps({'new': [], 'old': [name]})
        yield json.dumps({'new': {}, 'old': {name: [1]}})
    for other in ([], {}, None, True, 1, 'text', {'new': 1, 'old': 2}, {'new': {}}, {'old': {}},
                  {'new': None, 'old': None}, {'new': {'saved_model': 1}, 'old': {}}, {'new': {'saved_model': []}, 'old': {}},
                  {'new': {'saved_model': [True]}, 'old': {}}, {'new': {'saved_model': [1.5]}, 'old': {}},
                  {'new': {'saved_model': ['1']}, 'old': {}}, {'new': {'saved_model': None}, 'old': {}},
                  {'new': [['saved_model']], 'old': [{}]}, {'new': {}, 'old': {}, 'more': {}}):
        yield json.dumps(other)
    for text in ('', '{', '[' * 100000, '{"new":' * 50000, '\0' * 100, 'NaN', '{"new": {}, "old": {}} x',
                 ' ' * (2 << 20) + '{}', '\ufeff{}', '{"new": {"saved_model": [1e999]}, "old": {}}'):
        yield text


_NUMBER_OF_JOURNALS = len(list(_journals('/home')))


def _nothing_else(workshop, home):
    del workshop, home


def _with_what_it_would_put_back(workshop, home):
    del home
    (workshop / 'replaced' / 'saved_model').mkdir(parents=True)
    for name in ('.bashrc', 'thesis', 'notes.txt', 'checkpoint'):
        (workshop / 'replaced' / name).write_text('planted')


def _with_links(workshop, home):
    for name in ('replaced', 'export', 'temporary', 'more'):
        os.symlink(str(home), str(workshop / name))


def _with_a_lock(workshop, home):
    _with_what_it_would_put_back(workshop, home)
    (workshop / 'lock').write_text('')


def _with_a_lock_and_a_mark(workshop, home):
    """As one that was packed with its mark, and as one who guesses the mark."""
    _with_a_lock(workshop, home)
    found = os.stat(str(workshop / 'lock'))
    for mark in ('made-1-1', 'made-{}-{}'.format(found.st_ino, found.st_mtime_ns + 1),
                 'made-{}-0'.format(found.st_ino)):
        (workshop / mark).write_text('')


def _with_a_noted_folder(workshop, home):
    (workshop / 'lock').write_text('')
    os.symlink(str(home / ('od-patch-' + '0' * 32)), str(workshop / 'temporary'))


_BESIDE = [_nothing_else, _with_what_it_would_put_back, _with_links, _with_a_lock, _with_a_lock_and_a_mark,
           _with_a_noted_folder]

# What a journal or a lock can be instead of a file.
_KINDS = {
    'link': lambda path, home: os.symlink(str(home / 'journal.json'), str(path)),
    'link to an empty file': lambda path, home: os.symlink(str(home / 'empty'), str(path)),
    'link that leads nowhere': lambda path, home: os.symlink('nowhere', str(path)),
    'link to itself': lambda path, home: os.symlink(path.name, str(path)),
    'folder': lambda path, home: path.mkdir(),
    'folder with content': lambda path, home: (path.mkdir(), (path / 'file').write_text('planted')),
    'pipe': lambda path, home: os.mkfifo(str(path)),
    'hard link': lambda path, home: os.link(str(home / 'thesis' / 'chapter'), str(path)),
    'huge': lambda path, home: os.truncate(str(_touched(path)), 1 << 40),
    'deep': lambda path, home: os.makedirs(str(path) + '/d' * 500),
}


def _touched(path):
    path.write_text('')
    return path


@pytest.fixture
def home(tmp_path):
    """What the user would miss."""
    home = tmp_path / 'home'
    (home / 'thesis').mkdir(parents=True)
    (home / 'thesis' / 'chapter').write_text('years of work')
    (home / '.bashrc').write_text('mine')
    (home / ('od-patch-' + '0' * 32)).mkdir()
    (home / ('od-patch-' + '0' * 32) / 'file').write_text('mine')
    (home / 'journal.json').write_text(json.dumps({'new': {'checkpoint': [1]}, 'old': {}}))
    (home / 'empty').write_text('')
    for place in ('new', 'there'):
        (tmp_path / place / 'models').mkdir(parents=True)
        (tmp_path / place / 'notes.txt').write_text('mine')
    out = tmp_path / 'there' / 'models' / 'out'
    (out / 'saved_model').mkdir(parents=True)
    for name in ('notes.txt', 'checkpoint', 'saved_model/saved_model.pb'):
        (out / name).write_text('mine')
    return home


def snapshot(folder):
    """{path: what it is} of all below a folder: kind, mode, time of the last change, content."""
    found = {}
    for place, folders, names in os.walk(str(folder)):
        for name in folders + names:
            path = os.path.join(place, name)
            what = os.lstat(path)
            content = None
            if stat.S_ISLNK(what.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(what.st_mode) and what.st_size < 1 << 24:
                with open(path, 'rb') as file:
                    content = file.read()
            found[os.path.relpath(path, str(folder))] = (what.st_mode, what.st_ino, what.st_size, content)
    return found


def _places(tmp_path):
    """(output directory, workshop) for each place that a workshop may have."""
    yield tmp_path / 'new' / 'models' / 'out', tmp_path / 'new' / 'models' / '.out.od-patch'
    yield tmp_path / 'there' / 'models' / 'out', tmp_path / 'there' / 'models' / '.out.od-patch'
    yield tmp_path / 'there' / 'models' / 'out', tmp_path / 'there' / 'models' / 'out' / '.od-patch'
    yield tmp_path / 'new' / 'models' / '1', tmp_path / 'new' / 'models' / '.1.od-patch'


def _is_refused(target, tmp_path, words):
    before = snapshot(tmp_path)
    with pytest.raises(od_patch.OutputRefused, match=words) as refused:
        _staging.clear(str(target))
    assert refused.value.remedy
    with pytest.raises(od_patch.OutputRefused, match=words):
        with _staging.staged(str(target)):
            raise AssertionError('the export began')
    assert snapshot(tmp_path) == before


_CASES = [(number, beside, place) for number, (beside, place) in zip(
    range(_NUMBER_OF_JOURNALS), itertools.cycle(itertools.product(range(len(_BESIDE)), range(4))))]


@pytest.mark.parametrize('number, beside, place', _CASES)
def test_a_planted_workshop_is_refused_and_nothing_is_touched(tmp_path, home, number, beside, place):
    target, workshop = list(_places(tmp_path))[place]
    workshop.mkdir()
    (workshop / 'journal.json').write_text(list(_journals(str(home)))[number])
    _BESIDE[beside](workshop, home)
    _is_refused(target, tmp_path, 'od-patch did not make it here')


@pytest.mark.parametrize('place', range(4))
@pytest.mark.parametrize('name', ['journal.json', 'lock', 'export', 'replaced', 'temporary', 'made-1-1'])
@pytest.mark.parametrize('kind', sorted(_KINDS))
def test_whatever_lies_in_a_planted_workshop_stays_there(tmp_path, home, kind, name, place):
    target, workshop = list(_places(tmp_path))[place]
    workshop.mkdir()
    _KINDS[kind](workshop / name, home)
    _is_refused(target, tmp_path, 'od-patch did not make it here')


@pytest.mark.parametrize('kind', sorted(set(_KINDS) - {'folder', 'folder with content', 'deep'}))
def test_what_has_the_name_of_a_workshop_and_is_no_folder_is_refused(tmp_path, home, kind):
    _KINDS[kind](tmp_path / 'new' / 'models' / '.out.od-patch', home)
    _is_refused(tmp_path / 'new' / 'models' / 'out', tmp_path, 'not a folder of yours')


@pytest.mark.parametrize('content', [[], ['lock']])
def test_what_a_run_that_was_killed_at_once_has_left_is_no_obstacle(tmp_path, content):
    workshop = tmp_path / '.out.od-patch'
    workshop.mkdir()
    for name in content:
        (workshop / name).write_text('')
    with _staging.staged(str(tmp_path / 'out')):
        pass
    assert os.listdir(str(tmp_path)) == ['out']


def _made_here(target):
    """A workshop as a run leaves it that is killed at once."""
    workshop = _staging._workshop(os.path.realpath(str(target)))
    os.close(_staging._lock(workshop, str(target)))
    return type(target)(workshop)


def _is_unreadable(tmp_path, target):
    _is_refused(target, tmp_path, 'journal .* cannot be read')


@pytest.mark.parametrize('number', range(_NUMBER_OF_JOURNALS))
@pytest.mark.parametrize('where', ['new', 'there'])
def test_a_journal_that_no_run_writes_is_refused_even_in_a_workshop_of_ours(tmp_path, home, number, where):
    target = tmp_path / where / 'models' / 'out'
    workshop = _made_here(target)
    (workshop / 'journal.json').write_text(list(_journals(str(home)))[number])
    _with_what_it_would_put_back(workshop, home)
    _is_unreadable(tmp_path, target)


@pytest.mark.parametrize('kind', sorted(_KINDS))
def test_a_journal_that_is_no_file_is_refused_even_in_a_workshop_of_ours(tmp_path, home, kind):
    target = tmp_path / 'there' / 'models' / 'out'
    _KINDS[kind](_made_here(target) / 'journal.json', home)
    _is_unreadable(tmp_path, target)


@pytest.mark.parametrize('new, old, planted', [
    (['saved_model'], [], []), (['checkpoint', 'saved_model'], [], []), ([], ['saved_model'], ['saved_model']),
    (['frozen_inference_graph.pb'], ['saved_model', 'checkpoint'], ['checkpoint']),
    ([], ['pipeline.config'], ['pipeline.config'])])
def test_a_journal_of_other_artefacts_than_those_that_are_there_is_refused(tmp_path, home, new, old, planted):
    """Right names, and numbers of other files: of an export that somebody has replaced since, or of nobody's."""
    del home
    target = tmp_path / 'there' / 'models' / 'out'
    workshop = _made_here(target)
    (workshop / 'replaced').mkdir()
    for name in planted:
        (workshop / 'replaced' / name).write_text('planted')
    (workshop / 'journal.json').write_text(json.dumps({
        'new': {name: [1] for name in new}, 'old': {name: [2] for name in old}}))
    _is_refused(target, tmp_path, 'has been changed since')


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                     lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(_NAMES), inner),
                     max_leaves=8)
_INODES = st.dictionaries(st.text() | st.sampled_from(_NAMES + ['saved_model', 'checkpoint']),
                          st.lists(st.integers(-1, 10)) | _JSON, max_size=4)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(_JSON | st.fixed_dictionaries({'new': _INODES | _JSON, 'old': _INODES | _JSON}))
def test_whatever_a_journal_says_it_names_artefacts_of_this_folder_or_is_refused(tmp_path_factory, moves):
    path = str(tmp_path_factory.getbasetemp() / 'journal.json')
    with open(path, 'w') as journal:
        json.dump(moves, journal)
    try:
        read = _staging._read_journal(path)
    except _staging._BrokenJournal:
        return
    for inodes in read.values():
        for name, numbers in inodes.items():
            assert os.path.basename(name) == name and name not in ('', '.', '..') and '\0' not in name
            assert _staging.OF_AN_EXPORT.match(name) or _staging.OF_A_SAVED_MODEL.match(name)
            assert numbers and all(type(number) is int for number in numbers)


def test_a_copy_of_a_killed_run_is_not_taken_for_the_run(tmp_path):
    """As by tar, cp, rsync or a restored volume: the copy has the same bytes, and other inode numbers."""
    target = tmp_path / 'out'
    workshop = _made_here(target)
    shutil.copytree(str(workshop), str(tmp_path / '.copy.od-patch'))
    _is_refused(tmp_path / 'copy', tmp_path, 'did not make it here')
    with _staging.staged(str(target)):
        pass
    assert not workshop.exists()


def test_a_killed_run_whose_folders_were_moved_together_is_still_known(tmp_path):
    (tmp_path / 'a').mkdir()
    _made_here(tmp_path / 'a' / 'out')
    os.rename(str(tmp_path / 'a'), str(tmp_path / 'b'))
    with _staging.staged(str(tmp_path / 'b' / 'out')):
        pass
    assert os.listdir(str(tmp_path / 'b')) == ['out']
