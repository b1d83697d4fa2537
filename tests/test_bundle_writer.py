"""The writer of bundles: TensorFlow reads what it wrote, and what was damaged is noticed while it is copied."""
import os

import numpy as np
import pytest

from od_patch import _bundle
from od_patch import _bundle_writer
from od_patch import _crc32c
from od_patch import _errors

pytest.importorskip('tensorflow')

from od_patch import _tensorflow  # noqa: E402
from tests.support import checkpoints  # noqa: E402


@pytest.fixture
def values():
    random = np.random.RandomState(3)
    values = {'scope_{}/layer_{}/weights'.format(i % 7, i): random.rand(i % 5 + 1, 3).astype(np.float32)
              for i in range(300)}
    values.update({
        'global_step': np.int64(7),
        'nothing': np.zeros([0, 4], np.float32),
        'large': random.rand(700, 1000),
        'half': random.rand(5).astype(np.float16),
        'truth': np.array([True, False]),
    })
    return values


def _read(prefix):
    """Returns {name: array} of a checkpoint, by TensorFlow's own reader, which compares the checksums."""
    reader = _tensorflow.tf1().train.NewCheckpointReader(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def _assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape, name
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize('form', ['one file', 'sharded', 'V1'])
def test_what_is_copied_is_what_was_there(tmp_path, values, form):
    source = str(tmp_path / 'source')
    if form == 'V1':
        del values['half'], values['truth']  # which that format does not know
        checkpoints.write_v1(source, values)
    else:
        checkpoints.write_v2(source, values, num_shards=3 if form == 'sharded' else 1)
    prefix = str(tmp_path / 'copy')
    num_bytes = _bundle_writer.copy_tensors(source, None, prefix)
    _assert_same(_read(prefix), values)
    assert num_bytes == sum(value.nbytes for value in values.values())
    assert sorted(os.listdir(str(tmp_path)))[:2] == ['copy.data-00000-of-00001', 'copy.index']
    assert os.path.getsize(prefix + '.data-00000-of-00001') == num_bytes
    assert _bundle.shortfalls(prefix, _bundle.read_index(prefix)) == []


def test_names_are_mapped_and_the_rest_is_left_out(tmp_path, values):
    source, prefix = str(tmp_path / 'source'), str(tmp_path / 'copy')
    checkpoints.write_v2(source, values, num_shards=2)
    _bundle_writer.copy_tensors(source, {'b': 'large', 'a': 'global_step', 'c/d': 'nothing'}, prefix)
    _assert_same(_read(prefix), {'b': values['large'], 'a': values['global_step'], 'c/d': values['nothing']})


@pytest.mark.parametrize('several_blocks', [False, True])
def test_the_files_are_those_that_tensorflow_writes(tmp_path, values, several_blocks):
    if several_blocks:
        values = {'{:05d}/{}'.format(number * number % 99991, 'x' * (number % 400)): np.int32(number)
                  for number in range(3000)}
    one, copy, other = (str(tmp_path / name) for name in ('one', 'copy', 'other'))
    checkpoints.write_v2(one, values)
    _bundle_writer.copy_tensors(one, None, copy)
    _assert_same(_read(copy), values)
    checkpoints.write_v2(other, _read(copy))
    for suffix in ('.index', '.data-00000-of-00001'):
        with open(copy + suffix, 'rb') as mine, open(other + suffix, 'rb') as theirs:
            same = mine.read() == theirs.read()  # not in the assertion: pytest would show the difference of megabytes
            assert same, suffix


def test_strings_are_copied(tmp_path):
    values = {'words': np.array([b'', b'one', b'two' * 1000], dtype=object), 'x': np.float32(1)}
    source, prefix = str(tmp_path / 'source'), str(tmp_path / 'copy')
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session() as session:
        from tensorflow.python.ops import gen_io_ops
        session.run(gen_io_ops.save_v2(source, ['words', 'x'], ['', ''], [tf.constant(list(values['words'])),
                                                                      tf.constant(values['x'])]))
    _bundle_writer.copy_tensors(source, None, prefix)
    assert list(_read(prefix)['words']) == list(values['words'])


def test_a_tensor_that_was_saved_in_slices_is_written_whole(tmp_path):
    source, prefix = str(tmp_path / 'source'), str(tmp_path / 'copy')
    value = np.arange(40, dtype=np.float32).reshape(10, 4)
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session() as session:
        from tensorflow.python.ops import gen_io_ops
        session.run(gen_io_ops.save_v2(source, ['table', 'table'], ['10 4 0,6:0,4', '10 4 6,4:0,4'],
                                       [tf.constant(value[:6]), tf.constant(value[6:])]))
    _bundle_writer.copy_tensors(source, {'table': 'table'}, prefix)
    _assert_same(_read(prefix), {'table': value})
    assert not _bundle.read_index(prefix).entries['table'].slices


def test_a_changed_byte_is_noticed(tmp_path, values):
    source, prefix = str(tmp_path / 'source'), str(tmp_path / 'copy')
    checkpoints.write_v2(source, values)
    entry = _bundle.read_index(source).entries['large']
    with open(_bundle.shard_path(source, 0, 1), 'r+b') as data_file:
        data_file.seek(entry.offset + 12345)
        byte = data_file.read(1)
        data_file.seek(-1, os.SEEK_CUR)
        data_file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(_errors.InputRefused) as refusal:
        _bundle_writer.copy_tensors(source, None, prefix)
    assert 'large has another checksum' in str(refusal.value) and 'large' not in os.listdir(str(tmp_path))
    assert not os.path.exists(prefix + '.index')


def test_a_data_file_that_ends_too_early_or_goes_is_noticed(tmp_path, values):
    source, prefix = str(tmp_path / 'source'), str(tmp_path / 'copy')
    checkpoints.write_v2(source, values)
    shard = _bundle.shard_path(source, 0, 1)
    os.truncate(shard, os.path.getsize(shard) - 1)
    with pytest.raises(_errors.InputRefused) as refusal:
        _bundle_writer.copy_tensors(source, None, prefix)
    assert 'ends too early' in str(refusal.value) and not os.path.exists(prefix + '.index')
    with _bundle.Shards() as shards, pytest.raises(_bundle.BrokenShard) as broken:
        list(shards.pieces(shard + '.gone', 0, 1))
    assert shard + '.gone cannot be read' in str(broken.value)


def test_bytes_are_those_of_their_place(tmp_path):
    path = str(tmp_path / 'data')
    content = np.random.RandomState(0).bytes(1 << 20)
    with open(path, 'wb') as file:
        file.write(content)
    with _bundle.Shards() as shards:
        for offset, size in ((0, 1 << 20), (7, 0), (7, 3), (12345, 700001), ((1 << 20) - 1, 1)):
            assert b''.join(shards.pieces(path, offset, size)) == content[offset:offset + size]


def test_the_checksum_of_the_standard():
    assert _crc32c.value(b'123456789') == 0xe3069283  # RFC 3720 names the polynomial; this is its check value
    assert _crc32c.value(b'56789', _crc32c.value(b'1234')) == 0xe3069283
    assert _crc32c.value(np.frombuffer(b'123456789', np.uint8)) == 0xe3069283
