"""Exports into a store: replaced whole, or as it was, whatever the store refuses and whenever the run is killed."""
import contextlib
import os
import signal
import threading

import pytest

from tests.stores.content import files

# How many of the requests are disturbed, spread evenly over them; all of them take minutes.
_POSITIONS = int(os.environ.get('OD_PATCH_STORES_POSITIONS', '5'))


def _number(position, total):
    """The number of the request that is meant by a position."""
    return min(total, 1 + int(total * (position + 0.5) / _POSITIONS))


@pytest.fixture
def old(store, exports):
    """What a place holds in which an export lies beside other things."""
    before = dict(files(exports / 'old', 'out/'), **{'out/notes.txt': b'mine', 'out/checkpoint.bak': b'mine',
                                                     'out/events/log': b'mine'})
    for key, data in before.items():
        store.put(key, data)
    return before


def _new(old, exports):
    """What it holds when the export was replaced."""
    of_the_old = files(exports / 'old', 'out/')
    return dict({key: data for key, data in old.items() if key not in of_the_old}, **files(exports / 'new', 'out/'))


def test_an_export_appears_whole(store, exports):
    assert store.stage(exports / 'new', store.bucket + '/out')().status == 0
    assert store.content() == files(exports / 'new', 'out/')


def test_an_export_that_is_there_is_replaced_with_leave_only_and_other_things_stay(store, exports, old):
    done = store.stage(exports / 'new', store.bucket + '/out')()
    assert done.status == 7 and 'holds an export already' in done.text and store.content() == old
    assert store.stage(exports / 'new', store.bucket + '/out', 'overwrite')().status == 0
    assert store.content() == _new(old, exports)


def test_what_the_new_export_lacks_goes(store, exports, old, tmp_path):
    """A checkpoint of the old one beside the new graph would be another model's."""
    (tmp_path / 'part').mkdir()
    (tmp_path / 'part' / 'frozen_inference_graph.pb').write_text('new')
    assert store.stage(tmp_path / 'part', store.bucket + '/out', 'overwrite')().status == 0
    assert store.content() == {'out/frozen_inference_graph.pb': b'new', 'out/notes.txt': b'mine',
                               'out/checkpoint.bak': b'mine', 'out/events/log': b'mine'}


@pytest.fixture(scope='module')
def total(_store, exports):
    """How many requests it takes to replace an export."""
    _store.new_bucket()
    for key, data in files(exports / 'old', 'out/').items():
        _store.put(key, data)
    _store.proxy.reset()
    assert _store.stage(exports / 'new', _store.bucket + '/out', 'overwrite')().status == 0
    return len(_store.proxy.requests)


@pytest.mark.parametrize('name', ['variables.data', 'saved_model.pb', 'model.ckpt.index', 'journal', 'claim',
                                  'checkpoint'])
def test_a_file_that_the_store_never_takes_changes_nothing(store, exports, old, name):
    store.proxy.refuse = lambda number, method, path: method == 'PUT' and name in path
    done = store.stage(exports / 'new', store.bucket + '/out', 'overwrite')()
    assert done.status == 7, done.text
    assert 'Traceback' not in done.text
    assert store.content() == old


@pytest.mark.parametrize('position', range(_POSITIONS))
def test_whichever_single_request_is_refused_the_old_export_or_the_new_one_is_there(
        store, exports, old, total, position):
    """What is left over is a run folder at most, which the next run removes; and what is said is true."""
    new = _new(old, exports)
    number = _number(position, total)
    store.proxy.refuse = lambda count, method, path: count == number
    done = store.stage(exports / 'new', store.bucket + '/out', 'overwrite')()
    there = {key: data for key, data in store.content().items() if '/.od-patch/' not in key}
    if done.status == 0:
        assert there == new
    elif 'is incomplete' not in done.text:
        assert there in (old, new), done.text
    store.proxy.reset()
    again = store.stage(exports / 'new', store.bucket + '/out')()
    assert again.status == 7 and 'holds an export already' in again.text, again.text
    assert store.content() in (old, new), done.text


@pytest.mark.parametrize('position', range(_POSITIONS))
def test_killed_at_any_request_the_next_run_has_the_old_export_or_the_new_one(store, exports, old, total, position):
    tell = store.proxy.kill_at(_number(position, total))
    wait = store.stage(exports / 'new', store.bucket + '/out', 'overwrite')
    tell(wait.pid)
    assert wait().status == -signal.SIGKILL
    store.proxy.reset()
    again = store.stage(exports / 'new', store.bucket + '/out')()
    assert again.status == 7 and 'holds an export already' in again.text, again.text
    assert store.content() in (old, _new(old, exports))


def test_killed_between_two_files_the_old_export_is_back_for_the_next_run(store, exports, old):
    new = _new(old, exports)
    wanted = '/{}/out/saved_model/saved_model.pb'.format(store.bucket[len('s3://'):])
    victim = []

    def before(number, method, path):
        del number
        if (method, path) == ('PUT', wanted):
            os.kill(victim[0], signal.SIGKILL)
            raise ConnectionError('its sender is gone')
    store.proxy.before = before
    wait = store.stage(exports / 'new', store.bucket + '/out', 'overwrite')
    victim.append(wait.pid)
    assert wait().status == -signal.SIGKILL
    between = {key: data for key, data in store.content().items() if '/.od-patch/' not in key}
    assert between not in (old, new) and 'out/saved_model/saved_model.pb' not in between
    store.proxy.reset()
    again = store.stage(exports / 'new', store.bucket + '/out')()
    assert again.status == 7 and store.content() == old


@pytest.mark.parametrize('position', range(2))
def test_killed_in_an_empty_place_nothing_is_left_for_the_next_run(store, exports, position):
    new = files(exports / 'new', 'out/')
    tell = store.proxy.kill_at((40, 80)[position])
    wait = store.stage(exports / 'new', store.bucket + '/out')
    tell(wait.pid)
    assert wait().status == -signal.SIGKILL
    store.proxy.reset()
    whole = {key: data for key, data in store.content().items() if '/.od-patch/' not in key} == new
    again = store.stage(exports / 'new', store.bucket + '/out')()
    assert again.status == (7 if whole else 0), again.text
    assert store.content() == new


def _two_at_once(store, exports, place):
    """Starts two exports into a place; returns [``Done``], None where one had its claim written before the other came."""
    both, met = threading.Barrier(2), []

    def meet(number, method, path):
        del number
        if method == 'PUT' and path.endswith('/claim') and path not in met:
            met.append(path)
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(2)  # after three seconds without an answer, TensorFlow's client asks again
    store.proxy.before = meet
    waits = [store.stage(exports / name, store.bucket + '/' + place) for name in ('old', 'new')]
    done = [wait() for wait in waits]
    return None if both.broken or len(met) < 2 else done


def test_of_two_at_once_one_is_refused_and_the_other_one_is_whole(store, exports):
    for place in ('out', 'out2', 'out3', 'out4', 'out5', 'out6'):
        done = _two_at_once(store, exports, place)
        if done:
            break
    assert done, 'they never met'
    assert sorted(row.status for row in done) in ([0, 7], [7, 7])
    for row in done:
        assert row.status == 0 or 'is running' in row.text
    whole = [files(exports / name, place + '/') for name, row in zip(('old', 'new'), done) if row.status == 0]
    assert store.content(place + '/') == (whole[0] if whole else {})


@pytest.mark.parametrize('run, journal', [
    ('0' * 32, '{"place": "{place}", "claimed": 1, "new": ["saved_model/saved_model.pb"], "old": []}'),
    ('0' * 32, '{"place": "s3://elsewhere/out", "claimed": 1, "new": ["checkpoint"], "old": []}'),
    ('0' * 32, '{"new": ["../../secret"], "old": []}'), ('0' * 32, '[' * 9000), ('0' * 32, ''), ('0' * 32, '[]'),
    ('../notes', '{}'), ('more', '{}')])
def test_what_was_put_there_by_others_is_refused_and_nothing_is_touched(store, exports, old, run, journal):
    store.put('out/.od-patch/{}/journal'.format(run.replace('../', '')), journal.replace(
        '{place}', store.bucket + '/out').encode('ascii'))
    before = store.content()
    done = store.stage(exports / 'new', store.bucket + '/out', 'overwrite')()
    assert done.status == 7 and 'no run has written it there' in done.text
    assert store.content() == before
