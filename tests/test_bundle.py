"""The reader of checkpoint indices agrees with TensorFlow's own, and says what is wrong with a damaged one."""
import os

import numpy as np
import pytest

from od_patch import _bundle

pytest.importorskip('tensorflow')

from tests.support import checkpoints  # noqa: E402


@pytest.fixture
def values():
    random = np.random.RandomState(3)
    return {'scope_{}/layer_{}/weights'.format(i % 7, i): random.rand(i % 5 + 1, 3).astype(np.float32)
            for i in range(300)}


@pytest.mark.parametrize('num_shards', [1, 3])
def test_entries_lie_where_the_index_says(tmp_path, values, num_shards):
    prefix = str(tmp_path / 'model')
    checkpoints.write_v2(prefix, values, num_shards)
    index = _bundle.read_index(prefix)
    assert index.num_shards == num_shards
    assert sorted(index.entries) == sorted(values)
    for name, value in values.items():
        entry = index.entries[name]
        with open(_bundle.shard_path(prefix, entry.shard_id, num_shards), 'rb') as data:
            data.seek(entry.offset)
            assert data.read(entry.size) == value.tobytes()
    assert _bundle.shortfalls(prefix, index) == []


def test_every_byte_cut_off_is_noticed(tmp_path, values):
    prefix = str(tmp_path / 'model')
    checkpoints.write_v2(prefix, values)
    with open(prefix + '.index', 'rb') as index_file:
        whole = index_file.read()
    for size in range(len(whole)):
        with open(prefix + '.index', 'wb') as index_file:
            index_file.write(whole[:size])
        with pytest.raises(_bundle.BrokenIndex):
            _bundle.read_index(prefix)


def test_every_changed_byte_of_the_entries_is_noticed(tmp_path, values):
    prefix = str(tmp_path / 'model')
    checkpoints.write_v2(prefix, values)
    with open(prefix + '.index', 'rb') as index_file:
        whole = index_file.read()
    random = np.random.RandomState(11)
    # Behind the entries come the meta index block, which is not read, and the footer, whose padding means nothing.
    for position in random.randint(len(whole) - 300, size=300):
        damaged = bytearray(whole)
        damaged[position] ^= random.randint(1, 256)
        with open(prefix + '.index', 'wb') as index_file:
            index_file.write(bytes(damaged))
        with pytest.raises(_bundle.BrokenIndex):
            _bundle.read_index(prefix)


def test_a_short_data_file_is_noticed(tmp_path, values):
    prefix = str(tmp_path / 'model')
    checkpoints.write_v2(prefix, values)
    index = _bundle.read_index(prefix)
    data = _bundle.shard_path(prefix, 0, 1)
    os.truncate(data, os.path.getsize(data) - 1)
    assert 'should have at least' in _bundle.shortfalls(prefix, index)[0]
    os.unlink(data)
    assert _bundle.shortfalls(prefix, index) == [data + ' is missing']
