"""Checkpoints in a store: of the directory given, and never of the one that it was copied from."""
import numpy as np
import pytest

from tests.support import checkpoints

_VALUES = {'a': np.float32([1, 2])}
_STATE = 'model_checkpoint_path: "{0}"\nall_model_checkpoint_paths: "{0}"\n'


def _put(store, folder, tmp_path, names):
    for name in names:
        checkpoints.write_v2(str(tmp_path / name), _VALUES)
        for path in tmp_path.glob(name + '.*'):
            store.put('{}/{}'.format(folder, path.name), path.read_bytes())


@pytest.mark.parametrize('named', ['{bucket}/training/model.ckpt-7', 'model.ckpt-7', '/home/me/training/model.ckpt-7',
                                   '{bucket}/gone/model.ckpt-7'])
@pytest.mark.parametrize('how', ['{}/copy', '{}/copy/'])
def test_in_the_copy_of_a_directory_its_own_checkpoint_is_meant(store, tmp_path, named, how):
    for folder in ('training', 'copy'):
        _put(store, folder, tmp_path, ['model.ckpt-7', 'model.ckpt-9'])
        store.put(folder + '/checkpoint', _STATE.format(named.format(bucket=store.bucket)).encode())
    done = store.run(how.format(store.bucket), module='tests.stores.resolve')
    assert (done.status, done.text.splitlines()[-1]) == (0, store.bucket + '/copy/model.ckpt-7'), done.text


def test_a_directory_that_holds_none_does_not_lend_anothers(store, tmp_path):
    _put(store, 'training', tmp_path, ['model.ckpt-7'])
    elsewhere = store.bucket + '/training/model.ckpt-7'
    store.put('copy/checkpoint', _STATE.format(elsewhere).encode())
    done = store.run(store.bucket + '/copy', module='tests.stores.resolve')
    assert done.status == 5 and 'names one that lies elsewhere, ' + elsewhere in done.text, done.text
