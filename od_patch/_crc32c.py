"""CRC-32C (Castagnoli) as TensorFlow's files store it, for a few bytes and for many.

Neither Python nor numpy has this polynomial (``zlib.crc32`` is another one), and
the functions in TensorFlow's libraries are not the same from release to release.
Large inputs are cut into lanes whose checksums numpy computes side by side and
then joins: some 200 MB/s, where a loop over bytes does 5.

Not for: tensors that TensorFlow's reader has read; it has checked them.
"""
import functools

_POLYNOMIAL = 0x82f63b78  # bits reversed
_LANE = 1024  # bytes; shorter lanes cost more joins, longer ones more steps
_CHUNK = 16 << 20  # bytes at a time, so that what numpy allocates does not grow with the input


def masked(data):
    """Returns the CRC-32C of bytes as TensorFlow stores it: rotated, and a constant added.

    Args:
        data: bytes, or anything that has the buffer interface and is contiguous.
    """
    crc = value(data)
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def value(data, crc=0):
    """Returns the CRC-32C of bytes, an int of 32 bits; ``crc`` is that of the bytes before them."""
    view = memoryview(data)
    # A view of no bytes cannot be cast, and an array of no dimensions can only be cast once.
    view = view.cast('B') if view.nbytes else memoryview(b'')
    crc ^= 0xffffffff
    position = 0
    while len(view) - position >= 8 * _LANE:
        lanes = min(len(view) - position, _CHUNK) // _LANE
        size = lanes * _LANE
        crc = _advanced(crc, size) ^ _of_lanes(view[position:position + size], lanes)
        position += size
    table = _byte_table()
    for byte in view[position:]:
        crc = table[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


@functools.lru_cache(maxsize=None)
def _byte_table():
    """Returns what each byte does to the checksum, a list of 256 ints."""
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ _POLYNOMIAL if entry & 1 else entry >> 1
        table.append(entry)
    return table


@functools.lru_cache(maxsize=None)
def _pair_table():
    """Returns what each two bytes do to the checksum, uint32 [65536]."""
    import numpy as np
    table = np.array(_byte_table(), np.uint32)
    pairs = np.arange(1 << 16, dtype=np.uint32)
    low = table[pairs & 0xff]
    return table[(low ^ pairs >> np.uint32(8)) & 0xff] ^ low >> np.uint32(8)


def _of_lanes(view, lanes):
    """Returns the checksum, begun with 0 and not inverted, of ``lanes`` * ``_LANE`` bytes."""
    import numpy as np
    pairs = np.frombuffer(view, dtype='<u2').reshape(lanes, _LANE // 2)
    table = _pair_table()
    crcs = np.zeros(lanes, np.uint32)
    for column in np.ascontiguousarray(pairs.T):
        crcs = table[(crcs ^ column) & 0xffff] ^ crcs >> np.uint32(16)
    length = _LANE
    while len(crcs) > 1:  # neighbours are joined until one is left
        if len(crcs) % 2:
            crcs = np.concatenate([np.zeros(1, np.uint32), crcs])  # no bytes in front change nothing: they are zeros
        crcs = _apply(_operator(length), crcs[0::2]) ^ crcs[1::2]
        length *= 2
    return int(crcs[0])


def _advanced(crc, length):
    """Returns what ``crc`` becomes behind ``length`` zero bytes."""
    import numpy as np
    return int(_apply(_operator(length), np.array([crc], np.uint32))[0])


@functools.lru_cache(maxsize=None)
def _operator(length):
    """Returns what ``length`` zero bytes do to each of the 32 bits of a checksum, uint32 [32]: a linear operator."""
    import numpy as np
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    if length == 1:
        return np.array(_byte_table(), np.uint32)[bits & 0xff] ^ bits >> np.uint32(8)
    half = _operator(length // 2)
    whole = _apply(half, half)
    return _apply(_operator(1), whole) if length % 2 else whole


def _apply(operator, crcs):
    """Returns an operator applied to every one of ``crcs`` (uint32 [n])."""
    import numpy as np
    result = np.zeros_like(crcs)
    for bit in range(32):
        result ^= np.where(crcs >> np.uint32(bit) & np.uint32(1), operator[bit], np.uint32(0)).astype(np.uint32)
    return result
