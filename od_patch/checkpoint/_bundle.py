"""Reads the index of a V2 checkpoint (a tensor bundle) without reading a single weight, and bytes of its data files.

TensorFlow's own reader does not tell where in which file a tensor lies, so it
cannot tell before the restore that a data file is too short. The index is an
SSTable in the LevelDB table format, whose layout is public: a footer of 48
bytes that points to an index block, which points to data blocks of
prefix-compressed entries. The values are ``BundleHeaderProto`` (under the empty
key) and ``BundleEntryProto``, as tensorflow/core/protobuf/tensor_bundle.proto
describes them.

Not for: V1 checkpoints, beyond a look at whether TensorFlow can take them, and not for writing, which is
``_bundle_writer``.
"""
import collections
import contextlib
import functools
import struct
import typing
import warnings

from od_patch import _tensorflow
from od_patch.checkpoint import _crc32c
from od_patch.staging import _store

TABLE_MAGIC = 0xdb4775248b80fb57
FOOTER_SIZE = 48
_BLOCK_TRAILER_SIZE = 5  # one byte compression kind, four bytes CRC

_PIECE = 256 << 10  # bytes read at a time; what is done to them next finds them in the processor's cache

# Types whose checksum is not that of the bytes in the file, by DataType number: DT_STRING, DT_RESOURCE, DT_VARIANT.
NOT_PLAIN = (7, 20, 21)
_MOST_SHARDS = 99999  # their names have five digits
# Bytes of an element, by DataType number; of the types that have a fixed size.
_ITEM_SIZES = {1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 11: 1, 12: 1, 13: 4, 14: 2, 15: 2, 16: 2, 17: 2,
               18: 16, 19: 2, 22: 4, 23: 8}


class Index(typing.NamedTuple):
    """The index of a bundle."""

    num_shards: int  # number of ``.data-…`` files
    # From tensor name to ``BundleEntryProto``: dtype, shape, shard_id, offset and size in bytes, crc32c, slices.
    entries: typing.Dict[str, typing.Any]


class BrokenIndex(ValueError):
    """The file is not the index of a bundle, or is damaged; the text says what is wrong."""


class BrokenShard(ValueError):
    """A data file cannot be read, or ends too early; the text says which, and why."""


def shard_path(prefix: str, shard: int, num_shards: int) -> str:
    """Returns the path of one data file of the bundle ``prefix``."""
    return '{}.data-{:05d}-of-{:05d}'.format(prefix, shard, num_shards)


def read_index(prefix: str) -> Index:
    """Returns the ``Index`` of the V2 checkpoint with this prefix; nobody may change it.

    Raises:
        BrokenIndex: the ``.index`` file is cut short or is not such a table.
    """
    with _tensorflow.gfile().GFile(prefix + '.index', 'rb') as index_file:
        return _index_of(index_file.read())


def names(prefix: str) -> typing.List[str]:
    """Returns the names of the tensors of a V2 checkpoint, read without TensorFlow.

    Raises:
        BrokenIndex: the ``.index`` file is not such a table, as far as that is seen without its checksums.
    """
    with _tensorflow.gfile().GFile(prefix + '.index', 'rb') as index_file:
        table = index_file.read()
    try:
        return [key.decode('utf-8', 'surrogateescape') for key, _ in _table_items(table, checksums=False) if key]
    except (IndexError, struct.error) as error:
        raise BrokenIndex('its table cannot be read ({})'.format(error or type(error).__name__))


class Shards(contextlib.ExitStack):
    """Data files of bundles, each of them opened once. A context, which closes them."""

    def __init__(self) -> None:
        super().__init__()
        self._files: typing.Dict[str, typing.Any] = {}

    def pieces(self, path: str, offset: int, size: int) -> typing.Iterator[bytes]:
        """Yields ``size`` bytes of a file from ``offset`` on, some at a time.

        Raises:
            BrokenShard: there are not as many, or they cannot be read.
        """
        for begin in range(0, size, _PIECE):
            wanted = min(_PIECE, size - begin)
            piece = self._read(path, offset + begin, wanted)
            if len(piece) != wanted:
                raise BrokenShard('{} ends too early'.format(path))
            yield piece

    def _read(self, path: str, offset: int, size: int) -> bytes:
        try:
            if path not in self._files:
                # TensorFlow takes longer to open a file and to seek in it than to read a small tensor.
                self._files[path] = self.enter_context(
                    _tensorflow.gfile().GFile(path, 'rb') if _store.is_store(path) else open(path, 'rb', buffering=0))
            self._files[path].seek(offset)
            return self._files[path].read(size)
        except (OSError, _tensorflow.tf1().errors.OpError) as error:
            raise BrokenShard('{} cannot be read: {}'.format(path, getattr(error, 'message', None) or error))


def is_whole(prefix: str, index: Index, name: str, shards: Shards) -> typing.Optional[bool]:
    """Returns whether the bytes of a tensor have the checksum that the index says.

    Args:
        prefix: str, of a bundle whose ``Index`` is ``index``.
        name: str, one of its entries.
        shards: ``Shards`` to read with.

    Returns:
        None where only TensorFlow's reader tells: it is in slices, or of a type whose checksum is another one.

    Raises:
        BrokenShard: a data file cannot be read, or ends too early.
    """
    entry = index.entries[name]
    if entry.slices or entry.dtype in NOT_PLAIN:
        return None
    crc = 0
    for piece in shards.pieces(shard_path(prefix, entry.shard_id, index.num_shards), entry.offset, entry.size):
        crc = _crc32c.value(piece, crc)
    return _crc32c.stored(crc) == entry.crc32c


@functools.lru_cache(maxsize=4)  # by its bytes: an export looks at the same one several times
def _index_of(table: bytes) -> Index:
    from google.protobuf import message
    from tensorflow.core.protobuf import tensor_bundle_pb2
    header = None
    entries = {}
    try:
        with _strictly():
            for key, value in _table_items(table):
                if key:
                    # The keys of slices of partitioned variables are binary.
                    name = key.decode('utf-8', 'surrogateescape')
                    entries[name] = _parsed(tensor_bundle_pb2.BundleEntryProto, value)
                else:
                    header = _parsed(tensor_bundle_pb2.BundleHeaderProto, value)
    except (IndexError, struct.error, message.DecodeError, UnicodeDecodeError, RuntimeError) as error:
        raise BrokenIndex('its table cannot be read ({})'.format(error or type(error).__name__))
    if header is None:
        raise BrokenIndex('it has no header entry')
    if not 0 < header.num_shards <= _MOST_SHARDS:
        raise BrokenIndex('it counts {:,} data files'.format(header.num_shards))
    for name, entry in entries.items():
        problem = _what_is_wrong(entry, header.num_shards)
        if problem:
            raise BrokenIndex('the entry of {!r} {}'.format(name, problem))
    return Index(header.num_shards, entries)


def check_v1(path: str) -> None:
    """Looks at a V1 checkpoint, a table as well, for what TensorFlow would abort the process for.

    Args:
        path: str, a file. One that is no such table is left to TensorFlow, which
            says so.

    Raises:
        BrokenIndex: a tensor has a shape that cannot be, or other values than its shape.
    """
    from google.protobuf import message
    from tensorflow.core.util import saved_tensor_slice_pb2
    with _tensorflow.gfile().GFile(path, 'rb') as table_file:
        table = table_file.read()
    if len(table) < FOOTER_SIZE or struct.unpack('<Q', table[-8:])[0] != TABLE_MAGIC:
        return
    shapes = {}
    try:
        with _strictly():
            for key, value in _table_items(table, checksums=False):  # it is large, and TensorFlow checks them itself
                saved = _parsed(saved_tensor_slice_pb2.SavedTensorSlices, value)
                for tensor in saved.meta.tensor:
                    shapes[tensor.name] = tensor.shape
                    problem = _shape_problem(tensor.shape) or (
                        None if _is_type(tensor.type) else 'has no type') or _slices_problem(tensor.slice, tensor.shape)
                    if problem:
                        raise BrokenIndex('{!r} {}'.format(tensor.name, problem))
                if key:
                    _check_v1_values(saved.data, shapes)
    except (IndexError, struct.error, message.DecodeError, UnicodeDecodeError, RuntimeError) as error:
        raise BrokenIndex('its table cannot be read ({})'.format(error or type(error).__name__))


def _check_v1_values(saved: typing.Any, shapes: typing.Dict[str, typing.Any]) -> None:
    """Refuses a ``SavedSlice`` whose values are not as many as its slice has; the tensors come before their values."""
    shape = shapes.get(saved.name)  # where there are no values, there is no name
    if shape is None or _slices_problem([saved.slice], shape):
        raise BrokenIndex('the values of {!r} are those of no tensor'.format(saved.name))
    elements = 1
    for extent, dim in zip(saved.slice.extent, shape.dim):
        elements *= extent.length if extent.HasField('length') else dim.size
    values = [len(value) for field, value in saved.data.ListFields() if field.name.endswith('_val')]
    if len(values) != (1 if elements else 0) or values and values[0] not in (elements, 2 * elements):
        raise BrokenIndex('{!r} has {} values for {:,} elements'.format(saved.name, values, elements))


@contextlib.contextmanager
def _strictly() -> typing.Iterator[None]:
    """Context for ``_parsed``, around all of its calls, as it takes as long as one of them."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # what the older parsers say of what _parsed refuses
        yield


def _parsed(message_type: typing.Any, value: bytes) -> typing.Any:
    """Parses a message as TensorFlow does, all of it: Python's older parsers stop at a stray end of a group."""
    parsed = message_type.FromString(value)
    if len(parsed.SerializeToString()) != len(value):
        raise BrokenIndex('an entry has bytes that belong to nothing')
    return parsed


def _what_is_wrong(entry: typing.Any, num_shards: int) -> typing.Optional[str]:
    """Returns why a ``BundleEntryProto`` cannot be true, in words, or None.

    TensorFlow aborts the whole process for some of these.
    """
    problem = _shape_problem(entry.shape)
    if problem:
        return problem
    if not _is_type(entry.dtype):
        return 'has no type'
    if not 0 <= entry.shard_id < num_shards or entry.offset < 0 or entry.size < 0 \
            or entry.offset + entry.size >= 1 << 63:
        return 'lies in no data file'
    if entry.slices:
        return _slices_problem(entry.slices, entry.shape)
    elements = _elements(entry.shape)
    if entry.dtype in _ITEM_SIZES and entry.size != elements * _ITEM_SIZES[entry.dtype]:
        return 'has {:,} bytes for {:,} elements'.format(entry.size, elements)
    return None


def _is_type(number: int) -> bool:
    """Whether the TensorFlow at hand knows a DataType number, and it is not that of a reference."""
    try:
        return 0 < number < 100 and _tensorflow.tf1().as_dtype(number) is not None
    except TypeError:
        return False


def _elements(shape: typing.Any) -> int:
    elements = 1
    for dim in shape.dim:
        elements *= dim.size
    return elements


def _shape_problem(shape: typing.Any) -> typing.Optional[str]:
    if shape.unknown_rank or len(shape.dim) > 254 or any(not 0 <= dim.size < 1 << 40 for dim in shape.dim):
        return 'has no shape'
    return 'has more elements than there can be' if _elements(shape) >= 1 << 60 else None


def _slices_problem(slices: typing.Any, shape: typing.Any) -> typing.Optional[str]:
    for part in slices:  # an extent without a length is the whole of its dimension, and so begins at 0
        if len(part.extent) != len(shape.dim) or any(
                not (0 <= extent.start <= dim.size and 0 <= extent.length <= dim.size - extent.start)
                or extent.start and not extent.HasField('length') for extent, dim in zip(part.extent, shape.dim)):
            return 'has a slice beyond its shape'
    return None


def shortfalls(prefix: str, index: Index) -> typing.List[str]:
    """Returns what is missing of the data files: a list of sentences, empty when all bytes are there.

    Args:
        prefix: str, the checkpoint prefix.
        index: ``Index`` of the same checkpoint.
    """
    gfile = _tensorflow.gfile()
    needed: typing.Dict[int, int] = collections.Counter()
    for entry in index.entries.values():
        if not entry.slices:  # a sliced tensor's own entry holds no bytes; its slices have entries of their own
            needed[entry.shard_id] = max(needed[entry.shard_id], entry.offset + entry.size)
    problems = []
    for shard in range(index.num_shards):
        path = shard_path(prefix, shard, index.num_shards)
        if not gfile.Exists(path):
            problems.append('{} is missing'.format(path))
            continue
        size = gfile.Stat(path).length
        if size < needed[shard]:
            problems.append('{} has {:,} bytes and should have at least {:,}'.format(path, size, needed[shard]))
    return problems


def _table_items(table: bytes, checksums: bool = True) -> typing.Iterator[typing.Tuple[bytes, bytes]]:
    """Yields the (key, value) pairs, both bytes, of an SSTable."""
    if len(table) < FOOTER_SIZE:
        raise BrokenIndex('it has {} bytes, fewer than the footer of such a file'.format(len(table)))
    footer = table[-FOOTER_SIZE:]
    if struct.unpack('<Q', footer[-8:])[0] != TABLE_MAGIC:
        raise BrokenIndex('its last eight bytes are not those of such a file; it is cut short or of another kind')
    _, position = _varint(footer, 0)  # the meta index block: offset and size, not needed
    _, position = _varint(footer, position)
    offset, position = _varint(footer, position)
    size, _ = _varint(footer, position)
    for _, handle in _block_items(table, offset, size, checksums):
        block_offset, position = _varint(handle, 0)
        block_size, _ = _varint(handle, position)
        for item in _block_items(table, block_offset, block_size, checksums):
            yield item


def _block_items(
        table: bytes, offset: int, size: int, checksums: bool = True) -> typing.Iterator[typing.Tuple[bytes, bytes]]:
    """Yields the (key, value) pairs of one block; keys share prefixes with the one before."""
    if offset + size + _BLOCK_TRAILER_SIZE > len(table):
        raise BrokenIndex('a block lies beyond its end')
    if table[offset + size] != 0:
        raise BrokenIndex('a block is compressed, which TensorFlow does not do')
    block = table[offset:offset + size]
    stored = struct.unpack('<I', table[offset + size + 1:offset + size + _BLOCK_TRAILER_SIZE])[0]
    if checksums and stored != _crc32c.masked(table[offset:offset + size + 1]):
        raise BrokenIndex('the checksum of a block is wrong: bytes of it were changed')
    num_restarts = struct.unpack('<I', block[-4:])[0]
    end = len(block) - 4 * (num_restarts + 1)
    if end < 0:
        raise BrokenIndex('a block counts more restarts than it has bytes')
    position = 0
    key = b''
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        value_size, position = _varint(block, position)
        if position + unshared + value_size > end:
            raise BrokenIndex('an entry lies beyond its block')
        key = key[:shared] + block[position:position + unshared]
        position += unshared
        yield key, block[position:position + value_size]
        position += value_size


def _varint(data: bytes, position: int) -> typing.Tuple[int, int]:
    """Returns (value, position behind it) of a base-128 varint, at most ten bytes long."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, position
    raise BrokenIndex('a number in it has no end')
