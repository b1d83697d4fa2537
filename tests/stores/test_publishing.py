"""Versions in a store: one for each who publishes, whole or gone, and nothing of anybody else's removed."""
import os
import signal
import threading

import pytest

from tests.stores.content import files


@pytest.fixture
def model(exports):
    return exports / 'new' / 'saved_model'


def _versions(store):
    """{version: paths below it} of what lies in the folder of the model, and what else is there."""
    found = {}
    for key in store.content():
        first, _, rest = key[len('models/'):].partition('/')
        found.setdefault(first, set()).add(rest)
    return found


def test_versions_count_up_and_are_the_saved_model(store, model):
    for _ in range(2):
        assert store.run('publish', model, store.bucket + '/models').status == 0
    assert store.content() == dict(files(model, 'models/1/'), **files(model, 'models/2/'))


def test_two_that_publish_at_once_get_two_versions(store, model):
    """Both have seen that there is none before one of them has written a word."""
    both, met = threading.Barrier(2), []

    def meet(number, method, path):
        del number
        if method == 'PUT' and '/claim-1-' in path and len(met) < 2:
            met.append(path)
            both.wait(40)
    store.proxy.before = meet
    waits = [store.start('publish', model, store.bucket + '/models') for _ in range(2)]
    done = [wait() for wait in waits]
    assert [row.status for row in done] == [0, 0], [row.text[-600:] for row in done]
    assert len(met) == 2
    whole = set(files(model))
    assert _versions(store) == {'1': whole, '2': whole}
    said = ' '.join(row.text for row in done)
    assert 'Published version 1' in said and 'Published version 2' in said


def test_of_two_that_want_one_version_the_second_is_refused_and_the_first_is_there(store, model):
    begun, ended = threading.Event(), threading.Event()

    def hold(number, method, path):
        del number
        if method == 'PUT' and '/models/5/saved_model.pb' in path:
            begun.set()
            ended.wait(40)
    store.proxy.before = hold
    first = store.start('publish', model, store.bucket + '/models', '--model_version=5')
    assert begun.wait(40)
    second = store.run('publish', model, store.bucket + '/models', '--model_version=5')
    ended.set()
    assert first().status == 0
    assert second.status == 7 and '5' in second.text and 'Traceback' not in second.text
    assert _versions(store) == {'5': set(files(model))}


@pytest.mark.parametrize('name', ['variables.data', 'saved_model.pb', 'claim-'])
def test_what_the_store_does_not_take_leaves_nothing_and_says_so(store, model, name):
    store.put('models/3/saved_model.pb', b'mine')
    store.proxy.refuse = lambda number, method, path: method == 'PUT' and name in path
    done = store.run('publish', model, store.bucket + '/models')
    assert done.status == 7 and 'Traceback' not in done.text
    assert store.content() == {'models/3/saved_model.pb': b'mine'}
    store.proxy.reset()
    assert 'version 4' in store.run('publish', model, store.bucket + '/models').text


@pytest.mark.parametrize('at', ['variables.data', 'saved_model.pb', 'journal'])
def test_what_a_killed_run_has_left_is_recognised_and_removed_by_the_next(store, model, at):
    store.put('models/2019/photo.jpg', b'mine')
    store.put('models/2019/variables/mine', b'mine')
    victim = []

    def before(number, method, path):
        del number
        if method == 'PUT' and '/models/2020/' in path and at in path:
            os.kill(victim[0], signal.SIGKILL)
            raise ConnectionError('its sender is gone')
    store.proxy.before = before
    wait = store.start('publish', model, store.bucket + '/models')
    victim.append(wait.pid)
    assert wait().status == -signal.SIGKILL
    assert any(key.startswith('models/.od-patch/claim-2020-') for key in store.content())
    store.proxy.reset()
    done = store.run('publish', model, store.bucket + '/models', '--keep=1')
    assert done.status == 0, done.text
    assert _versions(store) == {'2020': set(files(model)), '2019': {'photo.jpg', 'variables/mine'}}


def test_an_old_version_goes_graph_first_and_one_that_was_half_removed_goes_with_the_next(store, model):
    for _ in range(2):
        assert store.run('publish', model, store.bucket + '/models').status == 0
    victim = []

    def before(number, method, path):
        del number
        if method == 'DELETE' and '/models/1/variables' in path:
            os.kill(victim[0], signal.SIGKILL)
            raise ConnectionError('its sender is gone')
    store.proxy.before = before
    wait = store.start('publish', model, store.bucket + '/models', '--keep=1')
    victim.append(wait.pid)
    assert wait().status == -signal.SIGKILL
    assert 'models/1/saved_model.pb' not in store.content()
    store.proxy.reset()
    assert store.run('publish', model, store.bucket + '/models', '--keep=1').status == 0
    assert _versions(store) == {'4': set(files(model))}


def test_a_name_in_a_store_that_leads_out_of_the_copy_is_refused(store, model, tmp_path):
    for path, data in files(model, 'model/').items():
        store.put(path, data)
    store.put('model/../../evil', b'evil')
    done = store.run('publish', store.bucket + '/model', tmp_path / 'models')
    assert done.status in (0, 5) and 'Traceback' not in done.text
    assert not [name for _, _, names in os.walk(str(tmp_path)) for name in names if name == 'evil']
    assert 'evil' not in os.listdir(os.path.dirname(str(tmp_path)))
