"""Staging: an export appears whole or not at all, and what was there stays, whoever is killed when."""
import os
import signal
import subprocess
import sys
import threading

import pytest

import od_patch
from od_patch.staging import _staging
from tests.support import disk

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _contents(folder):
    """Returns {path: content} of all files below a folder."""
    return {os.path.relpath(os.path.join(place, name), str(folder)): open(os.path.join(place, name)).read()
            for place, _, names in os.walk(str(folder)) for name in names}


def _write_export(folder, text='new'):
    os.mkdir(os.path.join(folder, 'saved_model'))
    for name in ('frozen_inference_graph.pb', os.path.join('saved_model', 'saved_model.pb')):
        with open(os.path.join(folder, name), 'w') as artefact:
            artefact.write(text)


_NEW = {'frozen_inference_graph.pb': 'new', 'saved_model/saved_model.pb': 'new'}


def _refuse_to_exchange(one, other):
    raise _staging._CannotExchange


@pytest.fixture(params=['exchange', 'one by one'])
def way(request, monkeypatch):
    """Both ways to replace an export: in one step, and for file systems that cannot do that."""
    if request.param == 'one by one':
        monkeypatch.setattr(_staging, '_rename_exchange', _refuse_to_exchange)
    return request.param


def test_a_new_folder(tmp_path):
    target = tmp_path / 'a' / 'b' / 'out'
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
        assert not target.exists()
        assert os.stat(os.path.dirname(staged.export)).st_mode & 0o077 == 0
    assert _contents(target) == _NEW
    assert os.listdir(str(target.parent)) == ['out']


def test_an_empty_folder_stays_the_folder_that_it_is(tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    target.chmod(0o2775)
    inode = target.stat().st_ino
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
        assert not staged.in_place
    assert staged.in_place
    assert _contents(target) == _NEW
    assert (target.stat().st_ino, target.stat().st_mode & 0o7777) == (inode, 0o2775)


def test_an_export_is_replaced_with_all_that_belongs_to_it(tmp_path, way):
    """A V2 checkpoint of the old export beside a V1 one of the new would be what TensorFlow reads."""
    target = tmp_path / 'out'
    _write_old_export(target)
    (target / 'saved_model' / 'stale').write_text('old')
    (target / 'model.ckpt.index').write_text('old')
    (target / 'inference_graph.pbtxt').write_text('old')
    target.chmod(0o750)
    before = _contents(target)
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
        assert _contents(target) == before
    assert _contents(target) == _NEW
    assert target.stat().st_mode & 0o777 == 0o750
    assert os.listdir(str(tmp_path)) == ['out']


def test_a_folder_with_other_things_stays_the_folder_that_it_is(tmp_path):
    target = tmp_path / 'out'
    _write_old_export(target)
    (target / 'events' / 'deep').mkdir(parents=True)
    (target / 'events' / 'deep' / 'log').write_text('mine')
    (target / 'model.ckpt-200.index').write_text('of a training')
    os.symlink('events', str(target / 'link'))
    inode = target.stat().st_ino
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
    assert _contents(target) == dict(_NEW, **{'events/deep/log': 'mine', 'model.ckpt-200.index': 'of a training'})
    assert os.readlink(str(target / 'link')) == 'events'
    assert target.stat().st_ino == inode
    assert os.listdir(str(tmp_path)) == ['out']


def test_the_folder_that_one_works_in_stays_the_folder_that_it_is(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    _write_old_export(target)
    monkeypatch.chdir(str(target))
    with _staging.staged('.') as staged:
        _write_export(staged.export)
    assert sorted(os.listdir('.')) == ['frozen_inference_graph.pb', 'saved_model']
    assert _contents('.') == _NEW


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'real' / 'notes').write_text('mine')
    os.symlink('real', str(tmp_path / 'out'))
    with _staging.staged(str(tmp_path / 'out')) as staged:
        _write_export(staged.export)
    assert os.readlink(str(tmp_path / 'out')) == 'real'
    assert _contents(tmp_path / 'real') == dict(_NEW, notes='mine')


def test_a_failed_export_leaves_nothing(tmp_path, way):
    target = tmp_path / 'deep' / 'out'
    with pytest.raises(ZeroDivisionError):
        with _staging.staged(str(target)) as staged:
            _write_export(staged.export)
            raise ZeroDivisionError
    assert os.listdir(str(tmp_path)) == []


def test_a_failing_move_puts_back_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    _write_old_export(target)
    before = _contents(target)
    rename = os.rename
    moved = []

    def full_disk(source, destination):
        if destination == str(target / 'saved_model') and os.path.dirname(source).endswith('export'):
            moved.append(source)
            if len(moved) == 1:
                raise OSError(28, 'No space left on device')
        rename(source, destination)

    monkeypatch.setattr(_staging, '_rename_exchange', _refuse_to_exchange)
    monkeypatch.setattr(os, 'rename', full_disk)
    with pytest.raises(OSError, match='No space'):
        with _staging.staged(str(target)) as staged:
            _write_export(staged.export)
    assert moved
    assert _contents(target) == before
    assert os.listdir(str(tmp_path)) == ['out']


def test_two_exports_into_one_place(tmp_path):
    target = str(tmp_path / 'out')
    with _staging.staged(target) as staged:
        with pytest.raises(od_patch.OutputRefused, match='Another export into .* is running'):
            with _staging.staged(target):
                raise AssertionError('the second export began')
        _write_export(staged.export)
    assert _contents(target) == _NEW


def test_a_temporary_folder_elsewhere_of_a_killed_run_is_removed_by_the_next_one(tmp_path, monkeypatch):
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr(_staging.tempfile, 'tempdir', str(tmp_path / 'tmp'))
    folder = tmp_path / 'a[1]'
    folder.mkdir()
    killed = subprocess.call([sys.executable, '-c', '''if True:
        import os, sys
        sys.path.insert(0, {root!r})
        from od_patch.staging import _staging
        with _staging.staged({target!r}) as staged:
            assert not staged.temporary.startswith({folder!r}) and os.stat(staged.temporary).st_mode & 0o077 == 0
            open(os.path.join(staged.temporary, 'big'), 'w').close()
            os._exit(9)'''.format(root=_ROOT, target=str(folder / 'out'), folder=str(folder))],
        env=dict(os.environ, TMPDIR=str(tmp_path / 'tmp')))
    assert killed == 9
    assert len(os.listdir(str(tmp_path / 'tmp'))) == 1
    with _staging.staged(str(folder / 'out')) as staged:
        assert os.listdir(str(tmp_path / 'tmp')) == [os.path.basename(staged.temporary)]
        _write_export(staged.export)
    assert os.listdir(str(tmp_path / 'tmp')) == [] and os.listdir(str(folder)) == ['out']


# Exports, changes the workshop, and dies: what is left was made here, but for the change.
_DIES = '''
import json, os, sys
sys.path.insert(0, {root!r})
from od_patch.staging import _staging
with _staging.staged({target!r}) as staged:
    workshop = os.path.dirname(staged.export)
    exec({change!r})
    os._exit(9)
'''


def _killed_after(target, change, **environment):
    """Leaves the workshop of a killed run, in which ``change`` was done."""
    program = _DIES.format(root=_ROOT, target=str(target), change=change)
    assert subprocess.call([sys.executable, '-c', program], env=dict(os.environ, **environment)) == 9


@pytest.mark.parametrize('noted', [
    '{0}/precious', 'precious', '../precious', '{0}/od-patch-' + '0' * 32, '../od-patch-' + '0' * 32,
    'od-patch-' + '1' * 32, 'od-patch-link', 'od-patch-' + '2' * 32 + '/', '.', '..', '/'])
def test_a_note_of_something_else_removes_nothing(tmp_path, monkeypatch, noted):
    """In a workshop that was made here, and changed: a note is a name in the folder of temporary files, and no path."""
    monkeypatch.setattr(_staging.tempfile, 'tempdir', str(tmp_path / 'tmp'))
    for folder in ('precious', 'tmp', 'od-patch-' + '0' * 32):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'file').write_text('mine')
    os.symlink('../precious', str(tmp_path / 'tmp' / ('od-patch-' + '1' * 32)))
    os.symlink('../precious', str(tmp_path / 'tmp' / 'od-patch-link'))
    before = _contents(tmp_path)
    _killed_after(tmp_path / 'out', 'os.symlink({!r}, os.path.join(workshop, "temporary"))'.format(
        noted.format(tmp_path)))
    with _staging.staged(str(tmp_path / 'out')) as staged:
        _write_export(staged.export)
    assert _contents(tmp_path) == dict(before, **{'out/' + name: text for name, text in _NEW.items()})
    assert not (tmp_path / '.out.od-patch').exists()


def test_a_folder_of_somebody_else_in_the_way(tmp_path):
    os.symlink(str(tmp_path), str(tmp_path / '.out.od-patch'))
    with pytest.raises(od_patch.OutputRefused, match='not a folder of yours'):
        with _staging.staged(str(tmp_path / 'out')):
            raise AssertionError('the export began')


@pytest.mark.parametrize('scheme', ['file://', 'file://localhost'])
def test_a_path_of_the_local_disk_with_its_scheme_is_one_of_the_local_disk(tmp_path, scheme):
    target = tmp_path / 'bucket' / 'out'
    for _ in range(2):
        _staging.check_writable(scheme + str(target))
        with _staging.staged(scheme + str(target)) as staged:
            _write_export(staged.export)
            assert staged.export.startswith(str(tmp_path))
            with pytest.raises(od_patch.OutputRefused, match='is running'):
                with _staging.staged(str(target)):
                    raise AssertionError('the second export began')
        assert _contents(target) == _NEW
        (target / 'saved_model' / 'stale').write_text('old')
    assert os.listdir(str(tmp_path)) == ['bucket']


def _run_and_die(target, way, moment, power):
    """Exports into ``target`` in a process that dies at a moment; returns whether it got that far."""
    def export(watch):
        if way == 'one by one':
            _staging._rename_exchange = _refuse_to_exchange
        with _staging.staged(str(target)) as staged, watch.paused():
            _write_export(staged.export)
    return disk.dying(export, moment, power)


@pytest.mark.parametrize('power', [False, True], ids=['killed', 'without power'])
@pytest.mark.parametrize('way, other', [('exchange', {}), ('one by one', {}), ('one by one', {'notes': 'mine'})],
                         ids=['exchange', 'one by one', 'beside other files'])
def test_ended_at_any_moment_the_old_export_or_the_new_one_is_there_whole(tmp_path, way, other, power):
    new = dict(_NEW, **other)
    moment = 0
    died = True
    while died:
        moment += 1
        folder = tmp_path / str(moment)
        folder.mkdir()
        target = folder / 'out'
        _write_old_export(target)
        for name, text in other.items():
            (target / name).write_text(text)
        old = _contents(target)
        died = _run_and_die(target, way, moment, power)
        if way == 'exchange':  # at no time is there anything between the two
            assert _contents(target) in (old, new), moment
        # The run that cleans up may be ended as well, at any of its own moments.
        _run_and_die(target, way, moment, power)
        _run_and_die(target, way, moment // 2 + 1, power)
        with pytest.raises(ZeroDivisionError):
            with _staging.staged(str(target)):
                assert _contents(target) in (old, new), moment
                raise ZeroDivisionError
        assert _contents(target) in (old, new), moment
        assert os.listdir(str(folder)) == ['out'], moment
    assert moment > 16, 'it died at no call: this test tests nothing'
    assert _contents(target) == new


def test_interrupted_while_it_puts_back_nothing_is_lost(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    _write_old_export(target)
    old = _contents(target)
    rename = os.rename

    def interrupted(source, destination):
        if os.path.basename(os.path.dirname(source)) in ('export', 'replaced') and not destination.endswith('.json'):
            raise KeyboardInterrupt
        rename(source, destination)

    monkeypatch.setattr(_staging, '_rename_exchange', _refuse_to_exchange)
    with monkeypatch.context() as context:
        context.setattr(os, 'rename', interrupted)
        with pytest.raises(KeyboardInterrupt):
            with _staging.staged(str(target)) as staged:
                _write_export(staged.export)
    with _staging.staged(str(target)):
        assert _contents(target) == old


def test_a_journal_that_cannot_be_read_costs_nothing(tmp_path):
    target = tmp_path / 'out'
    workshop = tmp_path / '.out.od-patch'
    _killed_after(target, 'os.makedirs(workshop + "/replaced"); open(workshop + "/journal.json", "w").close(); '
                  'open(workshop + "/replaced/saved_model", "w").write("the only copy")')
    for _ in range(2):
        with pytest.raises(od_patch.OutputRefused, match='journal .* cannot be read'):
            with _staging.staged(str(target)):
                raise AssertionError('the export began')
    assert (workshop / 'replaced' / 'saved_model').read_text() == 'the only copy'


def _interrupt():
    """Ctrl-C, to this thread: one of TensorFlow's would hand it on a moment later, maybe behind the test."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def test_a_signal_that_arrives_while_things_are_moved_waits(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    rename = os.rename
    monkeypatch.setattr(os, 'rename', lambda *names: (_interrupt(), rename(*names)))
    with pytest.raises(KeyboardInterrupt):
        with _staging.staged(str(target)) as staged:
            _write_export(staged.export)
    assert staged.in_place
    assert _contents(target) == _NEW
    assert os.listdir(str(tmp_path)) == ['out']


@pytest.mark.parametrize('name', ['out', 'out[1]'])
def test_interrupted_at_any_call_it_leaves_nothing(tmp_path, monkeypatch, name):
    """Also where it makes its folders, and where it removes them: Ctrl-C waits until they are known, or gone."""
    (tmp_path / 'tmp').mkdir()
    (tmp_path / 'tmp').chmod(0o700)
    monkeypatch.setattr(_staging.tempfile, 'tempdir', str(tmp_path / 'tmp'))
    calls = []

    def interrupting(function):
        def call(*args, **kwargs):
            calls.append(function)
            if len(calls) == fatal:
                _interrupt()
            return function(*args, **kwargs)
        return call

    for fatal in range(1, 40):
        folder = tmp_path / str(fatal) / 'a'
        with monkeypatch.context() as context:
            for call in ('mkdir', 'rename', 'unlink', 'rmdir', 'symlink'):
                context.setattr(os, call, interrupting(getattr(os, call)))
            del calls[:]
            try:
                with _staging.staged(str(folder / name)) as staged:
                    _write_export(staged.export)
            except KeyboardInterrupt:
                pass
            else:
                break
        if folder.exists():
            assert os.listdir(str(folder)) == [name] and _contents(folder / name) == _NEW, fatal
        assert os.listdir(str(tmp_path / 'tmp')) == [], fatal
    assert 10 < fatal < 39


def _write_old_export(target):
    target.mkdir()
    _write_export(str(target), 'old')


@pytest.mark.parametrize('path, folder, lies', [
    ('a', 'a', True), ('a/b', 'a', True), ('a/', 'a', True), ('a', 'a/', True), ('a/../b', 'a', False), ('ab', 'a', False),
    ('a', 'ab', False), ('a', 'a/b', False), ('link/c', 'a', True), ('a/b', 'link', True), ('no/x', 'no', True),
    ('a', '/', True), ('/', 'a', False)])
def test_whether_a_path_lies_in_a_folder(tmp_path, monkeypatch, path, folder, lies):
    monkeypatch.chdir(str(tmp_path))
    os.makedirs('a/b')
    os.symlink('a', 'link')
    assert _staging.lies_in(path, folder) is lies
