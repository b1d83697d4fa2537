"""The writer of bundles: TensorFlow reads what it wrote, and what was damaged is noticed while it is copied."""
import os
import tempfile

import hypothesis
import hypothesis.strategies
import numpy as np
import pytest

from od_patch import _errors
from od_patch.checkpoint import _bundle
from od_patch.checkpoint import _bundle_writer
from od_patch.checkpoint import _crc32c

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


_WORDS = [b'', b'one', b'two' * 1000]


@pytest.fixture
def with_strings(tmp_path):
    """The prefix of a checkpoint that holds strings, and a number."""
    source = str(tmp_path / 'source')
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session() as session:
        from tensorflow.python.ops import gen_io_ops
        session.run(gen_io_ops.save_v2(source, ['words', 'x'], ['', ''], [tf.constant(_WORDS), tf.constant(1.0)]))
    return source


def test_strings_are_copied(with_strings, tmp_path):
    prefix = str(tmp_path / 'copy')
    _bundle_writer.copy_tensors(with_strings, {'other': 'words'}, prefix)
    assert list(_read(prefix)['other']) == _WORDS


@pytest.mark.parametrize('place', [0, 3, 7, 20, -1])
def test_a_changed_byte_of_strings_is_noticed(with_strings, tmp_path, place):
    """Their lengths come first, then a checksum of these, then their characters."""
    prefix = str(tmp_path / 'copy')
    entry = _bundle.read_index(with_strings).entries['words']
    _change(_bundle.shard_path(with_strings, 0, 1), entry.offset + place % entry.size)
    with pytest.raises(_errors.InputRefused, match='cannot be copied') as refusal:
        _bundle_writer.copy_tensors(with_strings, None, prefix)
    assert refusal.value.exit_code == 5 and not os.path.exists(prefix + '.index')
    _bundle_writer.copy_tensors(with_strings, {'x': 'x'}, prefix)  # what is left out is not looked at
    _assert_same(_read(prefix), {'x': np.float32(1)})


def test_strings_that_were_saved_in_slices_are_refused(tmp_path):
    """Which TensorFlow's reader cannot put together either."""
    source = str(tmp_path / 'source')
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session() as session:
        from tensorflow.python.ops import gen_io_ops
        session.run(gen_io_ops.save_v2(source, ['words', 'words'], ['3 0,2', '3 2,1'],
                                       [tf.constant(_WORDS[:2]), tf.constant(_WORDS[2:])]))
    with pytest.raises(_errors.InputRefused):
        _bundle_writer.copy_tensors(source, None, str(tmp_path / 'copy'))
    assert not os.path.exists(str(tmp_path / 'copy.index'))


def test_a_tensor_that_is_not_there_is_refused(with_strings, tmp_path):
    with pytest.raises(_errors.InputRefused, match='cannot be copied'):
        _bundle_writer.copy_tensors(with_strings, {'y': 'no such tensor'}, str(tmp_path / 'copy'))


def _change(path, offset):
    """Changes one bit of a file."""
    with open(path, 'r+b') as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(hypothesis.strategies.dictionaries(
    hypothesis.strategies.text('ab/\xff\u20ac', min_size=1, max_size=6), hypothesis.strategies.tuples(
        hypothesis.strategies.sampled_from(['float32', 'int64', 'bool', 'float16', 'complex64', 'int8']),
        hypothesis.strategies.lists(hypothesis.strategies.integers(0, 3), max_size=3)), min_size=1, max_size=40))
def test_tensors_of_any_name_type_and_shape_are_copied_bit_for_bit(tensors):
    random = np.random.RandomState(0)
    values = {name: np.asarray(random.rand(*shape) * 9).astype(dtype) for name, (dtype, shape) in tensors.items()}
    with tempfile.TemporaryDirectory() as folder:
        source, prefix = os.path.join(folder, 'source'), os.path.join(folder, 'copy')
        checkpoints.write_v2(source, values)
        assert _bundle_writer.copy_tensors(source, None, prefix) == sum(value.nbytes for value in values.values())
        _assert_same(_read(prefix), values)
        with open(source + '.index', 'rb') as theirs, open(prefix + '.index', 'rb') as mine:
            same = theirs.read() == mine.read()
            assert same


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
    _change(_bundle.shard_path(source, 0, 1), entry.offset + 12345)
    with pytest.raises(_errors.InputRefused) as refusal:
        _bundle_writer.copy_tensors(source, None, prefix)
    assert 'large has another checksum' in str(refusal.value)
    assert 'copy.index' not in os.listdir(str(tmp_path))  # without which the rest is no checkpoint


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
