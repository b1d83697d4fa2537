"""Laws of staging that hold at every moment, whatever is exported where: looked at between any two calls.

Not for: what is there after an export that was killed (``test_staging``).
"""
import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import threading

import hypothesis
import hypothesis.strategies as st
import pytest

import od_patch
from od_patch.staging import _staging
from tests.support import disk

pytestmark = pytest.mark.once

# All that an export may have written, and names that only look like it.
_ARTEFACTS = ['checkpoint', 'frozen_inference_graph.pb', 'inference_graph.pbtxt', 'pipeline.config', 'saved_model',
              'model.ckpt', 'model.ckpt.index', 'model.ckpt.meta', 'model.ckpt.data-00000-of-00001']
_OTHERS = ['checkpoints', 'my_checkpoint', 'frozen_inference_graph_pb', 'frozen_inference_graph.pb.old',
           'inference_graph_pbtxt', 'pipeline_config', 'new_pipeline.config', 'saved_models', 'saved_model.pb',
           'model_ckpt', 'model.ckpt-200', 'model.ckpt-200.index', 'model.ckpt_index', 'model.ckpt.index.tempstate1',
           'model.ckpt.data-0-of-1', 'variables', 'notes', 'export', 'lock', 'journal.json', 'replaced']
_OF_A_MODEL = ['saved_model.pb', 'saved_model.pbtxt', 'saved_model.cpb', 'variables', 'assets', 'assets.extra',
               'fingerprint.pb', 'keras_metadata.pb', 'debug']
_NOT_OF_A_MODEL = ['saved_model.pb.old', 'saved_model.txt', 'saved_model_pb', 'variables.old', 'my_assets',
                   'assets_extra', 'saved_model', 'fingerprint_pb', 'keras_metadata', 'debugging', 'checkpoint']
_ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason='only root can give a file to another user')
_SOMEBODY = 12345
_PROBE = '.od-patch-probe'


def refuse_to_exchange(one, other):
    raise _staging._CannotExchange


def make(folder, names, text):
    """Makes a file of each name, or a folder with files where an export has one."""
    for name in names:
        path = os.path.join(str(folder), name)
        if name in ('saved_model', 'variables', 'assets', 'assets.extra', 'events'):
            os.makedirs(os.path.join(path, 'deep'))
            path = os.path.join(path, 'deep', 'file')
        with open(path, 'w') as file:
            file.write(text)


def contents(folder):
    """{path below it: text} of all files, {path: None} of empty folders; nothing where there is no such folder."""
    found = {}
    for place, folders, names in os.walk(str(folder)):
        for name in names:
            with open(os.path.join(place, name)) as file:
                found[os.path.relpath(os.path.join(place, name), str(folder))] = file.read()
        if not folders and not names:
            found[os.path.relpath(place, str(folder))] = None
    return found


def texts(folder, name):
    """The texts of an artefact's files, a set."""
    path = os.path.join(str(folder), name)
    if os.path.isdir(path):
        return set(contents(path).values())
    with open(path) as file:
        return {file.read()}


def export(target, names=('frozen_inference_graph.pb', 'pipeline.config', 'saved_model'), kind=_staging.OF_AN_EXPORT,
           look=None, way=''):
    """Stages an export of some artefacts, and returns the calls by which it was done."""
    watch = disk.Watch(look)
    with watch:
        if way == 'one by one':
            _staging._rename_exchange = refuse_to_exchange
        with _staging.staged(str(target), kind) as staged, watch.paused():
            make(staged.export, names, 'new')
    return watch.calls


@pytest.fixture(params=['exchange', 'one by one'])
def way(request):
    return request.param


# What is replaced, and what stays.

@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    st.booleans(), st.sampled_from(['', 'one by one']),
    st.lists(st.integers(0, 99), max_size=6), st.lists(st.integers(0, 99), max_size=4),
    st.lists(st.integers(0, 99), min_size=1, max_size=5))
def test_what_an_export_has_written_is_replaced_and_everything_else_stays(of_model, way, before, beside, written):
    known, unknown, kind = (_OF_A_MODEL, _NOT_OF_A_MODEL, _staging.OF_A_SAVED_MODEL) if of_model else (
        _ARTEFACTS, _OTHERS, _staging.OF_AN_EXPORT)
    before, written = ({known[number % len(known)] for number in numbers} for numbers in (before, written))
    beside = {unknown[number % len(unknown)] for number in beside}
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, 'out')
        os.mkdir(target)
        make(target, before, 'old')
        make(target, beside, 'mine')
        stays = os.stat(target).st_ino if beside or not before else None
        mine = contents(target)
        export(target, written, kind, way=way)
        assert set(os.listdir(target)) == beside | written
        assert all(texts(target, name) == {'new'} for name in written)
        assert all(contents(target)[path] == text for path, text in mine.items() if text == 'mine')
        assert stays in (None, os.stat(target).st_ino)
        assert os.listdir(folder) == ['out']


def test_what_is_new_replaces_what_has_its_name_even_if_no_export_is_known_to_have_it(tmp_path):
    (tmp_path / 'out').mkdir()
    make(tmp_path / 'out', ['variables', 'notes'], 'old')
    export(tmp_path / 'out', ['saved_model', 'variables'])
    assert texts(tmp_path / 'out', 'variables') == {'new'} and texts(tmp_path / 'out', 'notes') == {'old'}


@pytest.mark.parametrize('name', ['events', 'notes', 'saved_models', 'model.ckpt\n'])
def test_what_no_journal_may_name_is_not_put_among_other_things(tmp_path, name):
    (tmp_path / 'out').mkdir()
    make(tmp_path / 'out', ['saved_model', 'notes'], 'old')
    before = contents(tmp_path)
    with pytest.raises(od_patch.OutputRefused, match='is no part of an export'):
        export(tmp_path / 'out', ['saved_model', name])
    assert contents(tmp_path) == before
    export(tmp_path / 'new', ['saved_model', name])  # where nothing is, nothing has to be put back
    assert sorted(os.listdir(str(tmp_path / 'new'))) == sorted(['saved_model', name])


def test_links_are_replaced_and_not_what_they_lead_to(tmp_path, way):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'precious').mkdir()
    make(tmp_path / 'precious', ['saved_model', 'pipeline.config'], 'mine')
    for name in ('saved_model', 'pipeline.config'):
        os.symlink(str(tmp_path / 'precious' / name), str(tmp_path / 'out' / name))
    os.symlink('nowhere', str(tmp_path / 'out' / 'checkpoint'))
    export(tmp_path / 'out', way=way)
    assert set(contents(tmp_path / 'precious').values()) == {'mine'}
    assert sorted(os.listdir(str(tmp_path / 'out'))) == ['frozen_inference_graph.pb', 'pipeline.config', 'saved_model']
    assert not any(os.path.islink(str(tmp_path / 'out' / name)) for name in os.listdir(str(tmp_path / 'out')))
    assert sorted(os.listdir(str(tmp_path))) == ['out', 'precious']


# What is there at every moment.

@pytest.mark.parametrize('kind, old, new, last', [
    (_staging.OF_AN_EXPORT, _ARTEFACTS, ['checkpoint', 'pipeline.config', 'frozen_inference_graph.pb', 'saved_model',
                                         'variables'], 'saved_model'),
    (_staging.OF_A_SAVED_MODEL, _OF_A_MODEL, ['assets', 'saved_model.pb', 'variables'], 'saved_model.pb')])
@pytest.mark.parametrize('there', [True, False])
def test_what_is_waited_for_comes_last_and_old_and_new_are_never_beside_each_other(tmp_path, kind, old, new, last,
                                                                                       there):
    target = tmp_path / 'out'
    target.mkdir()
    make(target, (old if there else []) + ['notes'], 'old')
    mixtures = []

    def look(call, done):
        names = set(os.listdir(str(target))) - {'notes', _PROBE}
        found = {name: text for name in names for text in texts(target, name)}
        mixtures.append(found)
        assert len(set(found.values())) < 2, call
        assert found.get(last) != 'new' or set(found) == set(new), call
    export(target, new, kind, look)
    assert {name: 'new' for name in new} == mixtures[-1] and {} in mixtures


@pytest.mark.parametrize('there', ['nothing', 'empty', 'export', 'other things'])
def test_nothing_outside_the_folder_and_its_workshop_is_touched(tmp_path, there, way):
    target = tmp_path / 'a' / 'b' / 'out'
    if there != 'nothing':
        target.mkdir(parents=True)
        make(target, {'empty': [], 'export': _ARTEFACTS, 'other things': ['notes', 'saved_model']}[there], 'old')
    for call in export(target, way=way):
        for path in call.paths:
            parents = [str(tmp_path / 'a'), str(tmp_path / 'a' / 'b')]
            mine = [str(target), str(target.parent / '.out.od-patch'), str(target.parent / '.od-patch-probe')]
            assert path in parents and call.name in ('mkdir', 'rmdir' if there == 'nothing' else 'mkdir') or any(
                path == place or path.startswith(place + os.sep) for place in mine), call


def test_what_is_staged_is_private_and_the_lock_is_held_until_it_is_all_that_is_left(tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    make(target, _ARTEFACTS + ['notes'], 'old')
    workshop = str(tmp_path / '.out.od-patch')
    lock = os.path.join(workshop, 'lock')
    seen = []

    def look(call, done):
        if os.path.isdir(workshop):
            assert stat.S_IMODE(os.stat(workshop).st_mode) == 0o700
        if call.name == 'unlink' and call.paths == [lock] and not done:
            assert os.listdir(workshop) == ['lock']
            seen.append('removed')
        if os.path.exists(lock) and set(os.listdir(workshop)) - {'lock'} or seen == ['removed'] and not done:
            assert stat.S_IMODE(os.stat(lock).st_mode) == 0o600
            with open(lock) as another, pytest.raises(BlockingIOError):
                fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
            seen.append('held')
    export(target, look=look)
    assert seen.count('held') > 10 and 'removed' in seen


def test_the_journal_is_whole_on_the_disk_before_anything_is_moved_and_goes_when_all_is_moved(tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    make(target, ['saved_model', 'notes'], 'old')
    calls = export(target)
    moves = [number for number, call in enumerate(calls) if call.name == 'rename' and any(
        os.path.dirname(path) == str(target) and os.path.basename(path) != _PROBE for path in call.paths)]
    written, = [number for number, call in enumerate(calls) if call.name == 'fsync']
    named, = [number for number, call in enumerate(calls) if call.name == 'rename' and
              call.paths[1].endswith('journal.json')]
    gone, = [number for number, call in enumerate(calls) if call.name == 'unlink' and
             call.paths[0].endswith('journal.json')]
    assert calls[written].paths == calls[named].paths[:1]
    assert written < named < min(moves) and max(moves) < gone and len(moves) == 4


def test_a_folder_of_exports_is_exchanged_in_one_step_and_has_its_mode_before(tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    make(target, _ARTEFACTS, 'old')
    target.chmod(0o1751)
    modes = []

    def look(call, done):
        found = contents(target)
        found.pop(_PROBE, None)
        assert set(found.values()) == {'new' if call.name == 'exchange' and done or 'exchange' in modes else 'old'}
        modes.append(stat.S_IMODE(os.stat(str(target)).st_mode))
        if call.name == 'exchange' and done:
            modes.append('exchange')
    calls = export(target, look=look)
    assert [call.name for call in calls].count('exchange') == 1
    assert set(modes) == {0o1751, 'exchange'}


def test_an_exchange_that_the_system_refuses_is_known_to_be_none(tmp_path):
    (tmp_path / 'one').mkdir()
    with pytest.raises(_staging._CannotExchange):
        _staging._rename_exchange(str(tmp_path / 'one'), str(tmp_path / 'missing'))
    (tmp_path / 'other').write_text('')
    _staging._rename_exchange(str(tmp_path / 'one'), str(tmp_path / 'other'))
    assert (tmp_path / 'one').is_file() and (tmp_path / 'other').is_dir()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_any_call_is_delivered_once_and_behind_it(tmp_path, number):
    """To the handler that was there before, whoever set it."""
    target = tmp_path / 'out'
    delivered, calls = [], []

    def look(call, done):
        if not done and call.name != 'fsync':
            before = len(delivered)
            signal.pthread_kill(threading.get_ident(), number)
            assert len(delivered) == before, call
            calls.append(call)

    def handler(*unused):
        delivered.append(number)
    before = signal.signal(number, handler)
    try:
        export(target, look=look)
        assert signal.getsignal(number) == handler
    finally:
        signal.signal(number, before)
    assert len(delivered) == len(calls) > 5 and contents(target)


def test_what_a_signal_did_before_it_does_again_behind_an_export(tmp_path):
    for handler in (signal.SIG_IGN, signal.SIG_DFL):
        before = signal.signal(signal.SIGTERM, handler)
        try:
            export(tmp_path / 'out')
            assert signal.getsignal(signal.SIGTERM) == handler
        finally:
            signal.signal(signal.SIGTERM, before)


def test_it_works_in_a_thread_where_nobody_can_set_handlers(tmp_path):
    thread = threading.Thread(target=export, args=(tmp_path / 'out',))
    thread.start()
    thread.join()
    assert set(contents(tmp_path / 'out').values()) == {'new'} and os.listdir(str(tmp_path)) == ['out']


# Whose folder it is.

@_ROOT_ONLY
@pytest.mark.parametrize('others', [[], ['notes']])
@pytest.mark.parametrize('mode', [0o1751, 0o2770])  # what hands down its group is not exchanged
def test_the_owner_and_the_mode_stay(tmp_path, others, mode):
    target = tmp_path / 'out'
    target.mkdir()
    make(target, ['saved_model'] + others, 'old')
    os.chown(str(target), _SOMEBODY, _SOMEBODY + 1)
    target.chmod(mode)
    export(target)
    found = target.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (_SOMEBODY, _SOMEBODY + 1, mode)


def test_a_folder_that_cannot_be_given_its_owner_stays_the_folder_that_it_is(tmp_path, monkeypatch):
    def refused(*unused, **more):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    monkeypatch.setattr(os, 'chown', refused)
    target = tmp_path / 'out'
    target.mkdir()
    make(target, _ARTEFACTS, 'old')
    inode = target.stat().st_ino
    export(target)
    assert target.stat().st_ino == inode and set(contents(target).values()) == {'new'}


def test_a_mount_point_stays_the_folder_that_it_is(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    target.mkdir()
    make(target, _ARTEFACTS, 'old')
    monkeypatch.setattr(os.path, 'ismount', lambda path: path == str(target))
    inode = target.stat().st_ino
    assert 'exchange' not in [call.name for call in export(target)]
    assert target.stat().st_ino == inode and set(contents(target).values()) == {'new'}


@pytest.mark.parametrize('where, exchanged', [('out/saved_model', False), ('out2', True), ('', True)])
def test_a_folder_that_one_works_below_stays_the_folder_that_it_is(tmp_path, monkeypatch, where, exchanged):
    target = tmp_path / 'out'
    target.mkdir()
    (tmp_path / 'out2').mkdir()
    make(target, _ARTEFACTS, 'old')
    monkeypatch.chdir(str(tmp_path / where))
    assert ('exchange' in [call.name for call in export(target)]) == exchanged
    assert set(contents(target).values()) == {'new'}


@pytest.mark.parametrize('name', ['.out.od-patch', '.od-patch-probe'])
def test_a_folder_of_another_user_in_the_way_is_refused_and_stays(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir(mode=0o777)
    (tmp_path / 'out').mkdir()
    if os.geteuid() == 0:
        os.chown(str(tmp_path / name), _SOMEBODY, _SOMEBODY)
    else:
        monkeypatch.setattr(os, 'geteuid', lambda uid=os.geteuid(): uid + 1)  # that folder is not mine, then
    with pytest.raises(od_patch.OutputRefused):
        _staging.check_writable(str(tmp_path / 'out2'))
        export(tmp_path / 'out')
    assert sorted(os.listdir(str(tmp_path))) == [name, 'out'] and os.listdir(str(tmp_path / name)) == []
    assert os.listdir(str(tmp_path / 'out')) == []


@_ROOT_ONLY
def test_a_temporary_folder_of_another_user_is_not_removed(tmp_path, monkeypatch):
    temporary, target = tmp_path / 'tmp', tmp_path / 'out[1]'  # TensorFlow finds nothing below such a name
    temporary.mkdir()
    target.mkdir()
    make(target, ['notes'], 'mine')
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
    for theirs in (False, True):
        _killed(target)
        left, = os.listdir(str(temporary))
        if theirs:
            os.chown(str(temporary / left), _SOMEBODY, _SOMEBODY)
        export(target)
        assert os.listdir(str(temporary)) == ([left] if theirs else [])
    assert sorted(os.listdir(str(tmp_path))) == ['out[1]', 'tmp']


def test_a_file_in_the_way_is_refused_and_stays(tmp_path):
    (tmp_path / '.out.od-patch').write_text('mine')
    with pytest.raises(od_patch.OutputRefused, match='not a folder of yours'):
        export(tmp_path / 'out')
    assert contents(tmp_path) == {'.out.od-patch': 'mine'}


@pytest.mark.parametrize('kind', ['file', 'link'])
def test_what_is_no_folder_where_one_asks_is_refused_and_stays(tmp_path, kind):
    if kind == 'file':
        (tmp_path / _PROBE).write_text('mine')
    else:
        os.symlink(str(tmp_path), str(tmp_path / _PROBE))
    with pytest.raises(od_patch.OutputRefused, match='cannot be written: File exists'):
        _staging.check_writable(str(tmp_path / 'out'))
    assert os.listdir(str(tmp_path)) == [_PROBE]


def test_a_link_where_the_lock_is_to_be_is_not_followed(tmp_path):
    (tmp_path / '.out.od-patch').mkdir(mode=0o700)
    os.symlink(str(tmp_path / 'elsewhere'), str(tmp_path / '.out.od-patch' / 'lock'))
    with pytest.raises((OSError, od_patch.OutputRefused)):
        export(tmp_path / 'out')
    assert os.listdir(str(tmp_path)) == ['.out.od-patch']


# Who holds the lock.

def _flock_after(monkeypatch, happening):
    """Has something happen between the opening of a lock and its first locking."""
    flock, happenings = fcntl.flock, [happening]

    def late(*args):
        if happenings:
            happenings.pop()()
        flock(*args)
    monkeypatch.setattr(fcntl, 'flock', late)


@pytest.mark.parametrize('again', [False, True])
def test_a_lock_on_a_file_that_is_gone_holds_nothing(tmp_path, monkeypatch, again):
    """One ends between another's opening and locking; and a third has begun."""
    target = str(tmp_path / 'out')
    open_before = len(os.listdir('/proc/self/fd'))
    first, third = _staging.staged(target), _staging.staged(target)
    first.__enter__()

    def overtake():
        first.__exit__(None, None, None)
        if again:
            third.__enter__()
    _flock_after(monkeypatch, overtake)
    second = _staging.staged(target)
    if again:
        with pytest.raises(od_patch.OutputRefused, match='Another export into .* is running'):
            second.__enter__()
        third.__exit__(None, None, None)
    else:
        with second:
            with pytest.raises(od_patch.OutputRefused, match='Another export into .* is running'):
                _staging.staged(target).__enter__()
            assert os.path.exists(str(tmp_path / '.out.od-patch' / 'lock'))
    assert os.listdir(str(tmp_path)) == ['out']
    assert len(os.listdir('/proc/self/fd')) == open_before


def test_a_workshop_that_goes_before_its_lock_is_opened_is_made_again(tmp_path, monkeypatch):
    workshop = tmp_path / '.out.od-patch'
    workshop.mkdir(mode=0o700)
    opening = os.open

    def late(path, *args, **kwargs):
        if str(path) == str(workshop / 'lock') and not gone:
            gone.append(path)
            workshop.rmdir()
        return opening(path, *args, **kwargs)
    gone = []
    monkeypatch.setattr(os, 'open', late)
    export(tmp_path / 'out')
    assert gone and os.listdir(str(tmp_path)) == ['out']


def test_a_workshop_that_goes_before_it_is_looked_at_is_made_again(tmp_path, monkeypatch):
    mkdir, there = os.mkdir, ['once']

    def late(path, *args, **kwargs):
        if os.path.basename(str(path)) == '.out.od-patch' and there:
            there.pop()
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        mkdir(path, *args, **kwargs)
    monkeypatch.setattr(os, 'mkdir', late)
    export(tmp_path / 'out')
    assert not there and os.listdir(str(tmp_path)) == ['out']


def test_a_file_system_without_locks_is_told_and_no_other_export_is_blamed(tmp_path, monkeypatch):
    def refused(*unused):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    monkeypatch.setattr(fcntl, 'flock', refused)
    with pytest.raises(OSError, match='No locks available'):
        export(tmp_path / 'out')


def test_no_descriptor_is_left_open(tmp_path):
    target = str(tmp_path / 'out')
    before = os.listdir('/proc/self/fd')
    with _staging.staged(target):
        with pytest.raises(od_patch.OutputRefused):
            _staging.staged(target).__enter__()
    assert len(os.listdir('/proc/self/fd')) == len(before)


# Where nothing can be moved in from beside the folder.

@pytest.fixture
def barred(tmp_path, monkeypatch):
    """A folder whose parent is another file system: nothing can be renamed from there to here."""
    target = tmp_path / 'out'
    target.mkdir()
    rename = os.rename

    def cross_device(source, destination):
        inside = [os.path.abspath(path).startswith(str(target) + os.sep) for path in (source, destination)]
        if inside[0] != inside[1]:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, destination)
    monkeypatch.setattr(os, 'rename', cross_device)
    return target


@pytest.mark.parametrize('there', [[], ['notes'], _ARTEFACTS])
def test_what_cannot_be_moved_in_from_beside_is_prepared_inside(barred, tmp_path, there):
    make(barred, there, 'old')
    inode = barred.stat().st_ino
    with _staging.staged(str(barred)) as staged:
        assert os.listdir(str(tmp_path)) == ['out']
        assert os.stat(os.path.dirname(staged.export)).st_mode & 0o077 == 0
        make(staged.export, ['saved_model'], 'new')
    assert set(os.listdir(str(barred))) == {'saved_model'} | (set(there) & {'notes'})
    assert texts(barred, 'saved_model') == {'new'} and barred.stat().st_ino == inode
    assert os.listdir(str(tmp_path)) == ['out']


def test_a_parent_that_cannot_be_written_is_no_hindrance(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    target.mkdir()
    mkdir = os.mkdir

    def read_only(path, *args, **kwargs):
        if os.path.dirname(os.path.abspath(str(path))) == str(tmp_path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        mkdir(path, *args, **kwargs)
    monkeypatch.setattr(os, 'mkdir', read_only)
    _staging.check_writable(str(target))
    export(target)
    assert sorted(os.listdir(str(target))) == ['frozen_inference_graph.pb', 'pipeline.config', 'saved_model']
    with pytest.raises(od_patch.OutputRefused, match='Read-only file system'):
        _staging.check_writable(str(tmp_path / 'other'))
    assert os.listdir(str(tmp_path)) == ['out']


@pytest.mark.parametrize('path, problem', [
    ('file', 'is a file'), ('file/below/deep', 'lies below .*file, which is a file'), ('link', 'is a file')])
def test_a_place_that_is_no_folder_is_refused_before_any_work(tmp_path, path, problem):
    (tmp_path / 'file').write_text('mine')
    os.symlink('file', str(tmp_path / 'link'))
    with pytest.raises(od_patch.OutputRefused, match=problem):
        _staging.check_writable(str(tmp_path / path))
    assert contents(tmp_path) == {'file': 'mine', 'link': 'mine'}


@pytest.mark.parametrize('path', ['', 'a', 'a/b/c', 'there', 'there/below'])
def test_asking_whether_a_place_can_be_written_leaves_nothing_there(tmp_path, path):
    (tmp_path / 'there').mkdir()
    for left in (False, True):  # by one that was killed while it asked
        if left:
            (tmp_path / '.od-patch-probe').mkdir()
            (tmp_path / 'there' / '.od-patch-probe').mkdir()
        _staging.check_writable(str(tmp_path / path))
    place = tmp_path / 'there' if path.startswith('there') else tmp_path
    assert not (place / '.od-patch-probe').exists()


def test_two_may_ask_at_the_same_time(tmp_path, monkeypatch):
    rmdir, rename = os.rmdir, os.rename
    monkeypatch.setattr(os, 'rmdir', lambda path, **more: (rmdir(path), rmdir(path)))  # the other was faster
    _staging.check_writable(str(tmp_path))
    monkeypatch.setattr(os, 'rmdir', rmdir)
    (tmp_path / 'out').mkdir()

    def late(source, destination):
        if os.path.basename(source) == '.od-patch-probe':
            rmdir(source)
        rename(source, destination)
    monkeypatch.setattr(os, 'rename', late)
    with _staging.staged(str(tmp_path / 'out')):
        assert sorted(os.listdir(str(tmp_path))) == ['.out.od-patch', 'out']  # it can be moved from there
    assert os.listdir(str(tmp_path)) == ['out']


@pytest.mark.parametrize('kept', [[], ['mine']])
def test_of_the_folders_above_only_those_go_again_that_were_made_for_it_and_are_empty(tmp_path, kept):
    (tmp_path / 'a').mkdir()
    with pytest.raises(ZeroDivisionError):
        with _staging.staged(str(tmp_path / 'a' / 'b' / 'c' / 'out')):
            make(tmp_path / 'a' / 'b', kept, 'mine')
            raise ZeroDivisionError
    assert contents(tmp_path) == ({'a/b/mine': 'mine'} if kept else {'a': None})


# What a killed run has left.

def _killed(target, moment=None):
    """Kills an export in the middle: while it moves, or at a moment."""
    def work(watch):
        if moment is None:
            rename = os.rename

            def fatal(source, destination):
                if os.path.basename(os.path.dirname(source)) == 'export':
                    os._exit(9)
                rename(source, destination)
            os.rename = fatal
        with _staging.staged(str(target)) as staged, watch.paused():
            make(staged.export, ['saved_model', 'pipeline.config'], 'new')
    assert disk.dying(work, moment or 10 ** 6)


def test_what_a_killed_run_left_is_cleared_and_what_it_had_moved_away_put_back(tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    make(target, ['saved_model', 'checkpoint', 'notes'], 'old')
    before = contents(target)
    _killed(target)
    assert contents(target) != before and (tmp_path / '.out.od-patch').exists()
    _staging.clear(str(target))
    assert contents(target) == before and os.listdir(str(tmp_path)) == ['out']


def test_where_one_is_at_work_nothing_is_cleared_and_where_none_was_nothing_is_made(tmp_path):
    target = str(tmp_path / 'a' / 'out')
    _staging.clear(target)
    assert os.listdir(str(tmp_path)) == []
    with _staging.staged(target) as staged:
        make(staged.export, ['saved_model'], 'new')
        _staging.clear(target)
        assert os.listdir(staged.export) == ['saved_model'] and os.path.isdir(staged.temporary)
    assert contents(target) == {'saved_model/deep/file': 'new'}


def test_an_export_that_fails_while_it_is_moved_in_can_be_killed_while_it_puts_back(tmp_path):
    moment, died = 0, True
    while died:
        moment += 1
        target = tmp_path / str(moment) / 'out'
        target.mkdir(parents=True)
        make(target, ['checkpoint', 'saved_model', 'notes'], 'old')
        before = contents(target)

        def work(watch):
            rename = os.rename

            def full_disk(source, destination):
                if destination == str(target / 'saved_model') and os.path.basename(os.path.dirname(source)) == 'export':
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                rename(source, destination)
            os.rename = full_disk
            with pytest.raises(OSError, match='No space'):
                with _staging.staged(str(target)) as staged, watch.paused():
                    make(staged.export, ['pipeline.config', 'saved_model'], 'new')
        died = disk.dying(work, moment)
        _staging.clear(str(target))
        for folder in (target, target.parent):  # the next export removes it
            shutil.rmtree(str(folder / _PROBE), ignore_errors=True)
        assert contents(target) == before, moment
        assert os.listdir(str(target.parent)) == ['out'], moment
    assert moment > 30


def test_what_lies_beside_stays_until_what_it_had_moved_away_is_back(tmp_path, monkeypatch):
    """Of an export that can neither be ended nor undone, the only copy of what was there is kept."""
    target = tmp_path / 'out'
    target.mkdir()
    make(target, ['saved_model', 'notes'], 'old')
    before = contents(target)
    _killed(target)
    rename = os.rename

    def broken(source, destination):
        if os.path.basename(os.path.dirname(source)) == 'replaced':
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, destination)
    monkeypatch.setattr(os, 'rename', broken)
    for _ in range(2):
        with pytest.raises(OSError, match='Input/output'):
            export(target)
        assert texts(tmp_path / '.out.od-patch' / 'replaced', 'saved_model') == {'old'}
    monkeypatch.setattr(os, 'rename', rename)
    _staging.clear(str(target))
    assert contents(target) == before


def test_what_cannot_be_removed_stays_for_the_next_run_and_the_lock_is_free(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    rmdir = os.rmdir

    def stuck(path, *args, **kwargs):
        if str(path).startswith('od-patch-'):
            raise OSError(errno.EBUSY, 'Device or resource busy')
        rmdir(path, *args, **kwargs)
    target.mkdir()
    make(target, _ARTEFACTS, 'old')
    with monkeypatch.context() as context:
        with pytest.raises(OSError, match='busy'):
            with _staging.staged(str(target)) as staged:
                make(staged.export, ['saved_model'], 'new')
                context.setattr(os, 'rmdir', stuck)
    assert (tmp_path / '.out.od-patch').exists()
    export(target)
    assert os.listdir(str(tmp_path)) == ['out']


# One file.

def test_a_file_without_a_folder_in_its_name_is_written_here(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path.parent))
    with _staging.replacing('result') as partial:
        assert os.path.dirname(os.path.abspath(partial)) == str(tmp_path)
        with open(partial, 'w') as file:
            file.write('new')
    assert contents(tmp_path) == {'result': 'new'}


def test_a_system_without_the_call_has_no_exchange(tmp_path, monkeypatch):
    monkeypatch.setattr(_staging.ctypes, 'CDLL', lambda *unused, **more: object())
    with pytest.raises(_staging._CannotExchange):
        _staging._rename_exchange(str(tmp_path), str(tmp_path))


def test_a_place_where_nothing_can_be_made_is_refused():
    with pytest.raises(od_patch.OutputRefused, match='The output directory /proc/exported cannot be written'):
        with _staging.staged('/proc/exported'):
            pass


def failing(monkeypatch, number, fails):
    """Lets ``os.rename`` fail with an error where ``fails`` says so of its two paths."""
    rename = os.rename

    def renamed(source, destination, **more):
        if fails(str(source), str(destination)):
            raise OSError(number, os.strerror(number), str(source))
        return rename(source, destination, **more)
    monkeypatch.setattr(os, 'rename', renamed)


def exported(target):
    """Exports anew into a folder without an exchange of names."""
    with _staging.staged(str(target)) as staged:
        make(staged.export, ['saved_model', 'pipeline.config'], 'new')


@pytest.fixture
def before(tmp_path, monkeypatch):
    """A folder with an export and a file of the user's, which lets nobody exchange it."""
    monkeypatch.setattr(_staging, '_rename_exchange', refuse_to_exchange)
    target = tmp_path / 'export'
    target.mkdir()
    make(target, ['saved_model', 'pipeline.config', 'notes'], 'old')
    return target


def test_what_cannot_be_moved_away_stays_and_the_error_is_told(before, monkeypatch):
    there = contents(before)
    failing(monkeypatch, errno.EIO, lambda source, destination: source == str(before / 'saved_model'))
    with pytest.raises((OSError, od_patch.OutputRefused), match=os.strerror(errno.EIO)):
        exported(before)
    assert contents(before) == there


def test_what_cannot_be_put_back_is_said_to_be_where_it_is_and_is_put_back_by_the_next_export(before, monkeypatch):
    there = contents(before)
    with monkeypatch.context() as patch:
        failing(patch, errno.EIO, lambda source, destination: destination.startswith(str(before) + '/saved_model'))
        with pytest.raises(od_patch.OutputRefused, match='could not be put back') as refusal:
            exported(before)
    place = refusal.value.remedy.partition('It is in ')[2].partition(',')[0]
    assert contents(place) == {path: text for path, text in there.items() if path.startswith('saved_model')}
    _staging.clear(str(before))
    assert contents(before) == there
