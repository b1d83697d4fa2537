"""CRC-32C (Castagnoli) as TensorFlow's files store it.

Neither Python nor numpy has this polynomial (``zlib.crc32`` is another one), and
the functions in TensorFlow's libraries are not the same from release to release.

Not for: tensors that TensorFlow's reader has read; it has checked them.
"""
import typing


def value(data: typing.Any, crc: int = 0) -> int:
    """Returns the CRC-32C of bytes, an int of 32 bits; ``crc`` is that of the bytes before them.

    Args:
        data: bytes, or a contiguous numpy array.
    """
    import google_crc32c  # late: on Python 3.6 it takes 0.05 s
    return google_crc32c.extend(crc, data)


def stored(crc: int) -> int:
    """Returns a CRC-32C as TensorFlow's files have it: rotated, and a constant added."""
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def masked(data: typing.Any) -> int:
    """Returns the CRC-32C of bytes as TensorFlow's files have it; ``data`` as for ``value``."""
    return stored(value(data))
