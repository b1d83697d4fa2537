"""Writes a V2 checkpoint (a tensor bundle) from another checkpoint: some of its tensors, under these or other names.

Tensor by tensor, in the order of their names, into one data file, and no
session is opened. The bytes of a tensor are copied some at a time, and compared
with its checksum, which is carried over, so that a damaged checkpoint is
noticed here and not at the first request. Where the source has no checksum for a
whole tensor (V1 checkpoints, tensors that were saved in slices), TensorFlow's
own reader makes the tensor: memory is bounded by the largest.

Not for: reading, which is ``_bundle``.
"""
import os
import struct
import typing

from od_patch import _errors
from od_patch import _tensorflow
from od_patch.checkpoint import _bundle
from od_patch.checkpoint import _crc32c
from od_patch.staging import _store

# ``BundleEntryProto`` without the offset, and pieces of its bytes.
_Tensor = typing.Tuple[typing.Any, typing.Iterable[typing.Any]]

_BLOCK_SIZE = 256 << 10  # bytes; a table's reader reads whole blocks
_RESTART_INTERVAL = 16  # entries between keys that are written in full
_PIECE = 32 << 20  # bytes of an array written at a time


def copy_tensors(
        source: str, sources: typing.Optional[typing.Dict[str, str]], prefix: str,
        more: typing.Optional[typing.Dict[str, typing.Any]] = None) -> int:
    """Writes the bundle ``prefix`` with tensors of the checkpoint ``source``.

    Args:
        source: str, prefix of a V1 or V2 checkpoint, in any number of shards.
        sources: dict from the name of a tensor in the new bundle to its name in
            ``source``; None for all of them under their names.
        prefix: str, where to write ``.index`` and ``.data-00000-of-00001``; the
            index is written last.
        more: dict from name to array of what is to be in it beside them, of types that numpy and TensorFlow share.

    Returns:
        int, bytes of the tensors.

    Raises:
        od_patch.InputRefused: the source is damaged, or no longer there.
    """
    gfile = _tensorflow.gfile()
    tf = _tensorflow.tf1()
    try:
        index = _bundle.read_index(source) if gfile.Exists(source + '.index') else None
        reader = tf.train.NewCheckpointReader(source)
        if sources is None:
            sources = {name: name for name in reader.get_variable_to_shape_map()}
        more = more or {}
        names = sorted(set(sources) | set(more), key=lambda name: name.encode('utf-8'))
        with _bundle.Shards() as shards:
            return write(prefix, ((name, _of_array(more[name]) if name in more else _tensor(
                reader, index, shards, source, sources[name])) for name in names))
    except _tensorflow.reader_errors() as error:  # BrokenShard among them
        raise _errors.InputRefused(
            'The checkpoint {} cannot be copied: {}'.format(source, getattr(error, 'message', None) or error),
            'Copy the checkpoint again, or take another one.')


def write(prefix: str, tensors: typing.Iterable[typing.Tuple[str, _Tensor]]) -> int:
    """Writes the bundle ``prefix``.

    Args:
        prefix: str.
        tensors: iterable of (name, (``BundleEntryProto`` without the offset,
            iterable of pieces of its bytes)), sorted by the bytes of the names;
            each tensor is written before the next is asked for.

    Returns:
        int, bytes of the tensors.
    """
    entries = []
    offset = 0
    with _opened(_bundle.shard_path(prefix, 0, 1)) as data_file:
        for name, (entry, pieces) in tensors:
            _append(data_file, pieces)
            entry.offset = offset
            offset += entry.size
            entries.append((name.encode('utf-8'), entry.SerializeToString()))
    with _opened(prefix + '.index') as index_file:
        for piece in _table([(b'', _header())] + entries):
            index_file.write(piece)
    return offset


def _append(data_file: typing.Any, pieces: typing.Iterable[typing.Any]) -> None:
    """Writes pieces; a function of its own, so that the last one does not keep its tensor while the next is read."""
    for piece in pieces:
        data_file.write(piece)


def entry_of(array: typing.Any, dtype: int) -> typing.Any:
    """Returns the ``BundleEntryProto``, without the offset, of a contiguous array; computes its checksum.

    Args:
        array: numpy array.
        dtype: int, its ``DataType``.
    """
    from tensorflow.core.protobuf import tensor_bundle_pb2
    entry = tensor_bundle_pb2.BundleEntryProto(dtype=dtype, size=array.nbytes, crc32c=_crc32c.masked(array))
    entry.shape.SetInParent()  # written also where it has no dimensions
    for size in array.shape:
        entry.shape.dim.add(size=size)
    return entry


def pieces_of(array: typing.Any) -> typing.Iterator[memoryview]:
    """Yields the bytes of a contiguous array, some at a time."""
    import numpy as np
    if array.nbytes:
        view = memoryview(array.reshape(-1).view(np.uint8))
        for begin in range(0, len(view), _PIECE):
            yield view[begin:begin + _PIECE]


def _tensor(
        reader: typing.Any, index: typing.Optional[_bundle.Index], shards: _bundle.Shards, source: str,
        name: str) -> _Tensor:
    """Returns (``BundleEntryProto`` without the offset, iterable of pieces) of one tensor of a checkpoint."""
    import numpy as np
    from tensorflow.core.protobuf import tensor_bundle_pb2
    known = index.entries.get(name) if index else None
    if index is not None and known is not None and not known.slices:
        pieces = shards.pieces(_bundle.shard_path(source, known.shard_id, index.num_shards), known.offset, known.size)
        if known.dtype in _bundle.NOT_PLAIN:
            reader.get_tensor(name)  # compares it with its checksum
        else:
            pieces = _compared(pieces, known.crc32c, name)
        return tensor_bundle_pb2.BundleEntryProto(
            dtype=known.dtype, shape=known.shape, size=known.size, crc32c=known.crc32c), pieces
    tensor = np.asarray(reader.get_tensor(name), order='C')  # the one place where a whole tensor is in memory
    if tensor.dtype.hasobject:
        raise _errors.InputRefused(
            'The tensor {} of the checkpoint {} holds strings, in a form that cannot be copied.'.format(name, source),
            'Add checkpoint to --artifacts: TensorFlow then writes the weights.')
    dtype = known.dtype if known is not None else _tensorflow.tf1().as_dtype(
        reader.get_variable_to_dtype_map()[name]).as_datatype_enum
    return entry_of(tensor, dtype), pieces_of(tensor)


def _of_array(array: typing.Any) -> _Tensor:
    """Returns (``BundleEntryProto`` without the offset, iterable of pieces) of an array."""
    return entry_of(array, _tensorflow.tf1().as_dtype(array.dtype).as_datatype_enum), pieces_of(array)


def _compared(pieces: typing.Iterable[typing.Any], expected: int, name: str) -> typing.Iterator[typing.Any]:
    """Yields ``pieces``, and raises ``BrokenShard`` behind them where ``expected`` is not their masked CRC-32C."""
    crc = 0
    for piece in pieces:
        crc = _crc32c.value(piece, crc)
        yield piece
    if _crc32c.stored(crc) != expected:
        raise _bundle.BrokenShard('{} has another checksum than its index says: bytes of it were changed'.format(name))


def _opened(path: str) -> typing.Any:
    """Opens a file for writing bytes; a local one without TensorFlow, which copies what it is given."""
    if _store.is_store(path):
        return _Remote(_tensorflow.gfile().GFile(path, 'wb'))
    return open(path, 'wb')


class _Remote:
    """A ``GFile`` that takes anything with the buffer interface."""

    def __init__(self, file: typing.Any) -> None:
        self._file = file

    def write(self, content: typing.Any) -> None:
        self._file.write(bytes(content))

    def __enter__(self) -> '_Remote':
        return self

    def __exit__(self, *unused: typing.Any) -> None:
        self._file.close()


def _header() -> bytes:
    from tensorflow.core.protobuf import tensor_bundle_pb2
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=1)
    header.version.producer = 1
    return header.SerializeToString()


def _table(items: typing.Sequence[typing.Tuple[bytes, bytes]]) -> typing.Iterator[bytes]:
    """Yields the bytes of a table in the LevelDB format, uncompressed, as TensorFlow's own builder lays it out.

    Args:
        items: list of (key, value), both bytes, sorted by key.
    """
    position = 0
    index = _Block(1)
    block = _Block(_RESTART_INTERVAL)

    def finished(block: '_Block') -> typing.Tuple[bytes, bytes]:
        """Returns a block with its trailer, and the handle that points to it."""
        nonlocal position
        content = block.content()
        handle = varint(position) + varint(len(content))
        whole = content + b'\0'  # not compressed
        whole += struct.pack('<I', _crc32c.masked(whole))
        position += len(whole)
        return whole, handle

    following: typing.List[typing.Optional[bytes]] = [key for key, _ in items[1:]]
    following.append(None)
    for (key, value), next_key in zip(items, following):
        block.add(key, value)
        if block.size >= _BLOCK_SIZE or next_key is None:
            whole, handle = finished(block)
            yield whole
            index.add(_separator(key, next_key), handle)
            block = _Block(_RESTART_INTERVAL)
    meta_index, meta_handle = finished(_Block(_RESTART_INTERVAL))
    yield meta_index
    whole, index_handle = finished(index)
    yield whole
    footer = (meta_handle + index_handle).ljust(_bundle.FOOTER_SIZE - 8, b'\0')
    yield footer + struct.pack('<Q', _bundle.TABLE_MAGIC)


class _Block:
    """A block of a table; keys leave out what they share with the one before.

    Args:
        restart_interval: int, how many entries later a key is written in full.
    """

    def __init__(self, restart_interval: int) -> None:
        self._restart_interval = restart_interval
        self._content = bytearray()
        self._restarts = [0]
        self._since_restart = 0
        self._key = b''

    @property
    def size(self) -> int:
        """Bytes of the finished block."""
        return len(self._content) + 4 * len(self._restarts) + 4

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._since_restart < self._restart_interval:
            shared = len(os.path.commonprefix([self._key, key]))
        else:
            self._restarts.append(len(self._content))
            self._since_restart = 0
        self._content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        self._since_restart += 1
        self._key = key

    def content(self) -> bytes:
        return bytes(self._content) + struct.pack(
            '<{}I'.format(len(self._restarts) + 1), *(self._restarts + [len(self._restarts)]))


def _separator(key: bytes, next_key: typing.Optional[bytes]) -> bytes:
    """Returns a short key, not before ``key`` but before ``next_key``, which is None at the end of the table."""
    if next_key is None:
        place = next((number for number, byte in enumerate(key) if byte != 0xff), None)
        return key if place is None else key[:place] + bytes([key[place] + 1])
    position = len(os.path.commonprefix([key, next_key]))
    if position == len(key):
        return key
    if key[position] + 1 < next_key[position]:
        return key[:position] + bytes([key[position] + 1])
    return key


def varint(value: int) -> bytes:
    """Returns an int as a base-128 varint."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7f | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
