"""Pictures with as many channels as a model takes: 1, 3, 4 or any other number.

Not for: sizes, nor for files (``graphs._images``).
"""
# Of red, green and blue in a grey value, as ITU-R 601 has it and Pillow computes it: 65,536ths.
_LUMA = (19595, 38470, 7471)


def with_channels(array, count):
    """Returns a picture with ``count`` channels.

    What a picture lacks is made of what it has, each channel another: two that a model mixes up are to show.

    Args:
        array: uint8 [height, width, channels].
        count: int, 1 or more.
    """
    import numpy
    held = array.shape[2]
    if held == count:
        return array
    if held < 3:
        array = array[:, :, [0, held - 1, 0]]
    if count == 1:
        grey = sum(array[:, :, place].astype('u4') * part for place, part in enumerate(_LUMA))
        return ((grey + 0x8000) >> 16).astype('u1')[:, :, None]
    channels = [array[:, :, place] for place in range(min(count, array.shape[2]))]
    for place in range(len(channels), count):
        channels.append(numpy.roll(array[:, :, place % 3], 7 * place, axis=0))
    return numpy.stack(channels, axis=2)


def channels_of(shape):
    """Returns how many channels an image input has: what its shape says last, or 3 where it does not say.

    Args:
        shape: list of int or None, [batch, height, width, channels]; None for an unknown rank.
    """
    return (shape[3] if shape and len(shape) == 4 else None) or 3
