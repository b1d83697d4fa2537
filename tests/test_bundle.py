"""The reader of checkpoint indices agrees with TensorFlow's own, and says what is wrong with a damaged one."""
import os
import struct
import tempfile

import hypothesis
import hypothesis.strategies
import numpy as np
import pytest

from od_patch.checkpoint import _bundle

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
    assert _bundle._index_of(whole) == _bundle.read_index(prefix)
    for size in range(len(whole)):  # of the bytes themselves: thousands of files would take half a minute
        with pytest.raises(_bundle.BrokenIndex):
            _bundle._index_of(whole[:size])


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


def _lies(change):
    """Rewrites the index of a small checkpoint, whose entries ``change`` has changed, with right checksums."""
    def make(folder):
        from tensorflow.core.protobuf import tensor_bundle_pb2
        from tests.support import tables
        prefix = str(folder / 'model')
        checkpoints.write_v2(prefix, {'a': np.ones((2, 3), np.float32), 'b': np.int64(7)})
        with open(prefix + '.index', 'rb') as index_file:
            items = dict(tables.items(index_file.read()))
        header = tensor_bundle_pb2.BundleHeaderProto.FromString(items[b''])
        entry = tensor_bundle_pb2.BundleEntryProto.FromString(items[b'a'])
        change(header, entry)
        items.update({b'': header.SerializeToString(), b'a': entry.SerializeToString()})
        with open(prefix + '.index', 'wb') as index_file:
            index_file.write(tables.table(sorted(items.items())))
        return prefix
    return make


def _set(**values):
    return lambda header, entry: [setattr(entry, name, value) for name, value in values.items()]


@pytest.mark.parametrize('change, words', [
    (lambda header, entry: None, None),
    (lambda header, entry: setattr(entry.shape.dim[0], 'size', -2), 'has no shape'),
    (lambda header, entry: entry.shape.dim.extend([entry.shape.dim[0]] * 300), 'has no shape'),
    (lambda header, entry: [setattr(dim, 'size', (1 << 40) - 1) for dim in entry.shape.dim], 'than there can be'),
    (lambda header, entry: setattr(entry.shape.dim[0], 'size', 3), '24 bytes for 9 elements'),
    (_set(dtype=0), 'has no type'), (_set(dtype=99), 'has no type'), (_set(dtype=101), 'has no type'),
    (_set(shard_id=1), 'no data file'), (_set(shard_id=-1), 'no data file'), (_set(offset=-1), 'no data file'),
    (_set(size=-1), 'no data file'), (_set(offset=(1 << 63) - 1), 'no data file'),
    (lambda header, entry: entry.slices.add().extent.add(start=0, length=9), 'beyond its shape'),
    (lambda header, entry: [part.extent.add(start=1) for part in [entry.slices.add()] for _ in range(2)], 'beyond its'),
    (lambda header, entry: setattr(header, 'num_shards', (1 << 31) - 1), '2,147,483,647 data files'),
    (lambda header, entry: setattr(header, 'num_shards', 0), '0 data files'),
    (lambda header, entry: setattr(header, 'num_shards', -1), '-1 data files'),
])
def test_entries_that_lie_are_refused_before_tensorflow_sees_them(tmp_path, change, words):
    """For some of them it aborts the process, for others it looks for two thousand million files."""
    prefix = _lies(change)(tmp_path)
    if words is None:
        assert sorted(_bundle.read_index(prefix).entries) == ['a', 'b']
        return
    with pytest.raises(_bundle.BrokenIndex, match=words):
        _bundle.read_index(prefix)


def test_an_entry_that_is_parsed_only_in_part_is_refused(tmp_path):
    from tests.support import tables
    prefix = _lies(lambda header, entry: None)(tmp_path)
    with open(prefix + '.index', 'rb') as index_file:
        items = dict(tables.items(index_file.read()))
    items[b'a'] += b'\x04'  # the end of a group that never began
    with open(prefix + '.index', 'wb') as index_file:
        index_file.write(tables.table(sorted(items.items())))
    with pytest.raises(_bundle.BrokenIndex):
        _bundle.read_index(prefix)


@pytest.mark.parametrize('change, words', [
    (lambda meta, first: None, None),
    (lambda meta, first: setattr(meta.meta.tensor[0].shape.dim[0], 'size', -2), 'has no shape'),
    (lambda meta, first: setattr(meta.meta.tensor[0], 'type', 0), 'has no type'),
    (lambda meta, first: meta.meta.tensor[0].slice[0].extent.add(start=0, length=9), 'beyond its shape'),
    (lambda meta, first: setattr(meta.meta.tensor[0].slice[0].extent[1], 'start', 2), 'beyond its shape'),
    (lambda meta, first: first.ClearField('data'), 'of no tensor'),
    (lambda meta, first: setattr(first.data, 'name', 'other'), 'of no tensor'),
    (lambda meta, first: first.data.data.float_val.pop(), 'values for 6 elements'),
    (lambda meta, first: first.data.data.ClearField('float_val'), 'values for 6 elements'),
])
def test_a_v1_checkpoint_that_lies_is_refused_before_tensorflow_sees_it(tmp_path, change, words):
    from tensorflow.core.util import saved_tensor_slice_pb2
    from tests.support import tables
    path = str(tmp_path / 'model')
    checkpoints.write_v1(path, {'a': np.ones((2, 3), np.float32), 'b': np.int64(7)})
    with open(path, 'rb') as table_file:
        items = tables.items(table_file.read())
    meta, first = (saved_tensor_slice_pb2.SavedTensorSlices.FromString(value) for _, value in items[:2])
    change(meta, first)
    items[:2] = [(items[0][0], meta.SerializeToString()), (items[1][0], first.SerializeToString())]
    with open(path, 'wb') as table_file:
        table_file.write(tables.table(items))
    if words is None:
        _bundle.check_v1(path)
        return
    with pytest.raises(_bundle.BrokenIndex, match=words):
        _bundle.check_v1(path)


@hypothesis.given(hypothesis.strategies.integers(0, (1 << 64) - 1), hypothesis.strategies.binary(max_size=3))
@hypothesis.example(127, b'')
@hypothesis.example(128, b'')
@hypothesis.example(1 << 14, b'x')
@hypothesis.example((1 << 63) - 1, b'x')
def test_a_number_is_read_as_it_was_written(number, behind):
    from od_patch.checkpoint import _bundle_writer
    written = _bundle_writer.varint(number)
    assert _bundle._varint(b'ab' + written + behind, 2) == (number, 2 + len(written))
    assert len(written) == max(1, -(-number.bit_length() // 7))


def test_a_number_without_an_end_is_refused():
    with pytest.raises(_bundle.BrokenIndex, match='has no end'):
        _bundle._varint(b'\xff' * 11, 0)


@hypothesis.settings(deadline=None)
@hypothesis.given(hypothesis.strategies.lists(hypothesis.strategies.binary(max_size=40), max_size=4),
                  hypothesis.strategies.binary(max_size=40))
def test_a_table_of_anything_is_read_or_refused(values, tail):
    """With right checksums, so that what is in it gets to the parsers."""
    from tests.support import tables
    pairs = [(b'%d' % number if number else b'', value) for number, value in enumerate(values)]
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, 'model')
        for content in (tables.table(pairs), tail + tables.table(pairs), tables.table(pairs) + tail, tail):
            with open(prefix + '.index', 'wb') as index_file:
                index_file.write(content)
            for read in (lambda: _bundle.read_index(prefix), lambda: _bundle.check_v1(prefix + '.index')):
                try:
                    read()
                except _bundle.BrokenIndex:
                    pass


def test_an_entry_longer_than_its_block_is_refused():
    from od_patch.checkpoint import _crc32c
    block = bytes([0, 1, 99]) + b'k' + struct.pack('<II', 0, 1)  # one key of one byte, of a value of 99
    table = block + bytes([0]) + struct.pack('<I', _crc32c.masked(block + bytes([0])))
    with pytest.raises(_bundle.BrokenIndex, match='an entry lies beyond its block'):
        list(_bundle._block_items(table, 0, len(block)))


@pytest.mark.parametrize('num_shards', [1, 3])
def test_every_changed_byte_of_the_data_is_noticed(tmp_path, num_shards):
    prefix = str(tmp_path / 'model')
    held = {'none': np.zeros([2, 0], 'f4'), 'one': np.float64(3), 'words': np.array([b'a', b'bc'], object),
            'large': np.arange(300000, dtype='i4'), 'small': np.arange(5, dtype='u1')}
    checkpoints.write_v2(prefix, held, num_shards)
    index = _bundle.read_index(prefix)

    def whole():
        with _bundle.Shards() as shards:
            return {name: _bundle.is_whole(prefix, index, name, shards) for name in held}

    expected = {name: None if name == 'words' else True for name in held}
    assert whole() == expected
    for name in ('one', 'large', 'small'):
        entry = index.entries[name]
        for position in {0, 1, entry.size // 2, entry.size - 1}:
            for turn in range(2):  # the second time, it is as it was
                with open(_bundle.shard_path(prefix, entry.shard_id, num_shards), 'r+b') as data:
                    data.seek(entry.offset + position)
                    byte = data.read(1)[0]
                    data.seek(entry.offset + position)
                    data.write(bytes([byte ^ 16]))
                assert whole() in (expected, dict(expected, **{name: False}))
                assert (whole() == expected) == (turn == 1)
    os.truncate(_bundle.shard_path(prefix, index.entries['large'].shard_id, num_shards), index.entries['large'].offset + 9)
    with pytest.raises(_bundle.BrokenShard, match='ends too early'):
        whole()
