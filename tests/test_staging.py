"""Staging: an export appears whole or not at all, and what was there stays, whoever is killed when."""
import os
import signal
import subprocess
import sys
import time

import pytest

import od_patch
from od_patch import _staging


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


@pytest.fixture(params=['exchange', 'one by one'])
def way(request, monkeypatch):
    """Both ways to move into a folder that holds something: in one step, and for file systems without that."""
    if request.param == 'one by one':
        def refuse(one, other):
            raise _staging._CannotExchange
        monkeypatch.setattr(_staging, '_rename_exchange', refuse)
    return request.param


def test_a_new_folder(tmp_path):
    target = tmp_path / 'a' / 'b' / 'out'
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
        assert not target.exists()
        assert os.stat(os.path.dirname(staged.export)).st_mode & 0o077 == 0
    assert _contents(target) == _NEW
    assert os.listdir(str(target.parent)) == ['out']


def test_an_empty_folder(tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
    assert _contents(target) == _NEW


def test_a_folder_that_holds_an_export_and_more(tmp_path, way):
    target = tmp_path / 'out'
    (target / 'events' / 'deep').mkdir(parents=True)
    _write_export(str(target), 'old')
    (target / 'saved_model' / 'stale').write_text('old')
    (target / 'events' / 'deep' / 'log').write_text('mine')
    (target / 'notes').write_text('mine')
    os.symlink('notes', str(target / 'link'))
    target.chmod(0o750)
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
        assert _contents(target)['frozen_inference_graph.pb'] == 'old'
    assert _contents(target) == dict(_NEW, **{'events/deep/log': 'mine', 'notes': 'mine', 'link': 'mine'})
    assert os.readlink(str(target / 'link')) == 'notes'
    assert target.stat().st_mode & 0o777 == 0o750
    assert os.listdir(str(tmp_path)) == ['out']


def test_what_is_written_into_the_folder_meanwhile_stays(tmp_path, monkeypatch):
    target = tmp_path / 'out'
    _write_old_export(target)
    exchange = _staging._rename_exchange

    def a_training_writes_just_then(one, other):
        (target / 'model.ckpt-9').write_text('fresh')
        exchange(one, other)

    monkeypatch.setattr(_staging, '_rename_exchange', a_training_writes_just_then)
    with _staging.staged(str(target)) as staged:
        _write_export(staged.export)
    assert _contents(target) == dict(_NEW, **{'model.ckpt-9': 'fresh'})


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
        if destination == str(target / 'saved_model'):
            moved.append(source)
            if len(moved) == 1:
                raise OSError(28, 'No space left on device')
        rename(source, destination)

    monkeypatch.setattr(_staging, '_rename_exchange', lambda one, other: (_ for _ in ()).throw(_staging._CannotExchange))
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


def test_a_folder_of_somebody_else_in_the_way(tmp_path):
    os.symlink(str(tmp_path), str(tmp_path / '.out.od-patch'))
    with pytest.raises(od_patch.OutputRefused, match='not a folder of yours'):
        with _staging.staged(str(tmp_path / 'out')):
            raise AssertionError('the export began')


def test_a_path_with_a_scheme_is_uploaded(tmp_path):
    pytest.importorskip('tensorflow')
    with _staging.staged('file://{}'.format(tmp_path / 'bucket' / 'out')) as staged:
        _write_export(staged.export)
        assert os.listdir(str(tmp_path)) == []
    assert _contents(tmp_path / 'bucket' / 'out') == _NEW


_KILLED = '''
import os, sys, time
sys.path.insert(0, {root!r})
from od_patch import _staging
if {slow!r}:
    def refuse(one, other):
        raise _staging._CannotExchange
    _staging._rename_exchange = refuse
    rename = os.rename
    def slowly(source, destination):
        rename(source, destination)
        print('moved', flush=True)
        time.sleep(0.03)
    os.rename = slowly
with _staging.staged({target!r}) as staged:
    os.mkdir(os.path.join(staged.export, 'saved_model'))
    for name in ('frozen_inference_graph.pb', 'saved_model/saved_model.pb'):
        with open(os.path.join(staged.export, name), 'w') as artefact:
            artefact.write('new')
    print('moved', flush=True)
    time.sleep(0.03)
'''


@pytest.mark.parametrize('slow', [False, True], ids=['exchange', 'one by one'])
@pytest.mark.parametrize('delay', [0.0, 0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2])
def test_killed_anywhere_the_next_run_finds_the_old_export_or_a_whole_new_one(tmp_path, slow, delay):
    target = tmp_path / 'out'
    _write_old_export(target)
    (target / 'notes').write_text('mine')
    before = _contents(target)
    program = _KILLED.format(root=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                             target=str(target), slow=slow)
    process = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    if not slow:  # one step: nobody ever sees anything between the old and the new
        assert _contents(target) in (before, dict(_NEW, notes='mine'))
    with pytest.raises(KeyboardInterrupt):
        with _staging.staged(str(target)):
            assert _contents(target) in (before, dict(_NEW, notes='mine'))
            raise KeyboardInterrupt
    assert _contents(target) in (before, dict(_NEW, notes='mine'))
    assert os.listdir(str(tmp_path)) == ['out']


def _write_old_export(target):
    target.mkdir()
    _write_export(str(target), 'old')
