"""What a run finds that comes after one that was killed between two of its moves: the old export, before it looks."""
import os
import subprocess
import sys

import pytest

import od_patch
from od_patch.export import _observer
from od_patch.staging import _staging

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SHAPES = os.path.join(_ROOT, 'examples', 'shapes', 'model.ckpt-4100')
_PARTS = ('checkpoint', 'frozen_inference_graph.pb', 'pipeline.config', 'saved_model/saved_model.pb',
          'saved_model/variables/variables.index')

# Replaces an export, and dies before its n-th renaming of an artefact.
_KILLED = '''
import os, sys
sys.path.insert(0, {root!r})
from od_patch.staging import _staging
renamed, left = os.rename, [{renamings}]

def rename(source, destination):
    if not destination.endswith('.json') and 'probe' not in source:
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)
    renamed(source, destination)

os.rename = rename
names = _staging.OF_A_SAVED_MODEL if {a_saved_model} else _staging.OF_AN_EXPORT
if {inside}:
    _staging._can_move = lambda source, destination: False
with _staging.staged({target!r}, names) as staged:
    for part in {parts!r}:
        path = os.path.join(staged.export, part)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as artefact:
            artefact.write('new')
'''


def _contents(folder):
    return {os.path.relpath(os.path.join(place, name), str(folder)): open(os.path.join(place, name)).read()
            for place, _, names in os.walk(str(folder)) for name in names}


def _write(folder, parts=_PARTS, text='old'):
    for part in parts:
        path = folder / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _kill(target, renamings, parts=_PARTS, inside=False, a_saved_model=False):
    """Runs an export into ``target`` that is killed; returns whether it got as far as that."""
    code = subprocess.call([sys.executable, '-c', _KILLED.format(
        root=_ROOT, target=str(target), renamings=renamings, parts=parts, inside=inside, a_saved_model=a_saved_model)])
    assert code in (0, 9)
    return code == 9


@pytest.fixture(params=range(1, 9))
def killed(request, tmp_path):
    """A folder with other things in it, in which an export was being replaced; and what it held before."""
    target = tmp_path / 'out'
    _write(target, _PARTS + ('notes.txt', 'events/log'))
    before = _contents(target)
    assert _kill(target, request.param)
    return target, before


def test_what_was_there_is_there_again_before_anybody_looks_whether_the_place_is_free(killed):
    target, before = killed

    def look():
        assert {path: text for path, text in _contents(target).items()} == before
        raise od_patch.OutputRefused('There is an export.')
    with pytest.raises(od_patch.OutputRefused, match='There is an export'):
        with _staging.staged(str(target), check=look):
            raise AssertionError('the export began')
    assert _contents(target) == before and os.listdir(str(target.parent)) == ['out']


def test_clearing_is_enough_to_have_it_back(killed):
    target, before = killed
    _staging.clear(str(target))
    assert _contents(target) == before and os.listdir(str(target.parent)) == ['out']


def test_an_export_without_overwrite_is_refused_and_has_put_back_what_was_there(killed):
    pytest.importorskip('tensorflow')
    from od_patch.export import _driver
    from od_patch.export import _request
    target, before = killed
    with pytest.raises(od_patch.OutputRefused, match='holds an export already'):
        with _driver.around(_request.Options(), _observer.Observer(), 'a release', {
                'trained_checkpoint_prefix': _SHAPES, 'output_directory': str(target)}):
            raise AssertionError('the export began')
    assert _contents(target) == before and os.listdir(str(target.parent)) == ['out']


def test_a_package_without_overwrite_is_refused_and_has_put_back_what_was_there(tmp_path):
    pytest.importorskip('tensorflow')
    from od_patch.serving import _archive
    parts = ('saved_model.pb', 'variables/variables.index')
    target = tmp_path / 'out'
    _write(target, parts + ('README',))
    _write(tmp_path / 'packed', parts)
    before = _contents(target)
    assert _kill(target, 3, parts, a_saved_model=True) and _contents(target) != before
    with pytest.raises(od_patch.OutputRefused, match='is there already'):
        _archive._write_folder([], str(target), str(tmp_path / 'packed'), False)
    assert _contents(target) == before


@pytest.mark.parametrize('first_inside', [True, False])
@pytest.mark.parametrize('renamings', range(1, 9))
def test_a_run_in_a_container_and_one_on_the_host_put_each_others_place_in_order(
        tmp_path, monkeypatch, first_inside, renamings):
    """In a container the folder may be a mount point, and the workshop lies in it; on the host it lies beside."""
    target = tmp_path / 'out'
    _write(target, _PARTS + ('notes.txt',))
    before = _contents(target)
    assert _kill(target, renamings, inside=first_inside)
    if not first_inside:
        monkeypatch.setattr(_staging, '_can_move', lambda source, destination: False)
    with pytest.raises(ZeroDivisionError):
        with _staging.staged(str(target)) as staged:
            assert (os.path.dirname(os.path.dirname(staged.export)) == str(target)) is not first_inside
            there = _contents(target)
            assert {path: text for path, text in there.items() if not path.startswith('.od-patch')} == before
            raise ZeroDivisionError
    assert _contents(target) == before and os.listdir(str(tmp_path)) == ['out']


def test_while_a_run_in_a_container_is_at_work_one_on_the_host_is_refused(tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    inside = str(target / _staging.INSIDE)
    handle = _staging._lock(inside, str(target))
    try:
        with pytest.raises(od_patch.OutputRefused, match='Another export into .* is running'):
            with _staging.staged(str(target)):
                raise AssertionError('the export began')
    finally:
        _staging._unlock(inside, handle)
    assert os.listdir(str(tmp_path)) == ['out'] and os.listdir(str(target)) == []


def test_an_export_that_was_replaced_where_the_journal_cannot_be_seen_is_not_taken_back(killed):
    """Killed on the host, and exported again from a container that sees nothing but the folder: that one is newest."""
    target, _ = killed
    hidden = target.parent / '.out.od-patch'
    hidden.rename(target.parent / 'hidden')
    with _staging.staged(str(target)) as staged:
        for part in _PARTS:
            path = os.path.join(staged.export, part)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w') as artefact:
                artefact.write('newest')
    (target.parent / 'hidden').rename(hidden)
    newest = _contents(target)
    for _ in range(2):
        with pytest.raises(od_patch.OutputRefused, match='has been changed since(.|\n)*What it had moved away is in'):
            _staging.clear(str(target))
        assert _contents(target) == newest
