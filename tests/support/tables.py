"""Writes tables in the form of a checkpoint's index, with right checksums, so that entries that lie get past them.

Not for: reading; ``od_patch.checkpoint._bundle`` does.
"""
import struct

from od_patch.checkpoint import _bundle
from od_patch.checkpoint import _bundle_writer
from od_patch.checkpoint import _crc32c

_varint = _bundle_writer.varint


def items(data):
    """The (key, value) pairs of a table."""
    return list(_bundle._table_items(data))


def table(pairs):
    """The bytes of a table with one block that holds ``pairs``, sorted by key."""
    data = b''
    handles = b''
    block = b''.join(_varint(0) + _varint(len(key)) + _varint(len(value)) + key + value for key, value in pairs)
    handles = _varint(0) + _varint(len(block) + 8)
    data += _block(block)
    meta = len(data)
    data += _block(b'')
    index = len(data)
    last = pairs[-1][0] + b'\xff' if pairs else b''
    content = _varint(0) + _varint(len(last)) + _varint(len(handles)) + last + handles
    data += _block(content)
    footer = _varint(meta) + _varint(8) + _varint(index) + _varint(len(content) + 8)
    return data + footer.ljust(40, b'\0') + struct.pack('<Q', _bundle.TABLE_MAGIC)


def _block(content):
    content += struct.pack('<II', 0, 1)  # one restart point, at the start
    return content + b'\0' + struct.pack('<I', _crc32c.masked(content + b'\0'))
