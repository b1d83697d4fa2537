"""The images that both models run on: the user's own, or scenes drawn for the purpose, the same ones every time.

Not for: what a particular input type wants of them (``_models``).
"""
import collections
import hashlib
import io
import os
import re
import typing

import numpy

from od_patch import _pixels
from od_patch._errors import EnvironmentRefused
from od_patch._errors import InputRefused

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.gif', '.webp', '.tif', '.tiff', '.ppm', '.npy')
_MOST_PIXELS = 50 * 1000 * 1000
_SIZE = (480, 360)  # width and height of a drawn scene


class Picture:
    """An image, whatever it came from.

    Attributes:
        name: str, the file's path, or what was drawn.
        array: uint8 [height, width, channels]: RGB, RGB and alpha, or what a .npy file holds.
    """

    def __init__(self, name: str, array: typing.Any) -> None:
        self.name, self.array = name, array

    def with_channels(self, count: int) -> typing.Any:
        """uint8 [height, width, count]; see ``_pixels.with_channels``."""
        return _pixels.with_channels(self.array, count)

    def as_json(self) -> typing.Dict[str, typing.Any]:
        return collections.OrderedDict([
            ('name', self.name), ('height', int(self.array.shape[0])), ('width', int(self.array.shape[1])),
            ('sha256_of_pixels', hashlib.sha256(self.array.tobytes()).hexdigest())])


def pillow() -> typing.Any:
    """The module ``PIL.Image``.

    Raises:
        EnvironmentRefused: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise EnvironmentRefused('Pillow cannot be imported, which reads and draws the images: {}.'.format(error),
                                 'Install it:  python -m pip install pillow')
    return Image


def load(paths: typing.Sequence[str], most: int) -> typing.Tuple[typing.List[Picture], int]:
    """Returns (list of ``Picture``, how many files there were) for files and folders; of folders, their image files.

    Args:
        paths: list of str; most: int, how many images to take at most.

    Raises:
        InputRefused: one is missing, damaged, no image or too large; or there is none.
    """
    found = files(paths)
    return [Picture(file, _read(file)) for file in found[:most]], len(found)


def files(paths: typing.Sequence[str]) -> typing.List[str]:
    """Returns the paths of image files, of files and folders; of folders, their image files. Raises as ``load``."""
    found = []
    for path in paths:
        if os.path.isdir(path):
            inside = sorted(os.path.join(path, name) for name in os.listdir(path)
                            if name.lower().endswith(SUFFIXES) and not name.startswith('.'))
            if not inside:
                raise InputRefused('{}: the folder holds no images ({} …).'.format(path, ', '.join(SUFFIXES[:4])),
                                   'Give image files, or a folder of them.')
            found += inside
        elif os.path.isfile(path):
            found.append(path)
        else:
            raise InputRefused('{}: there is no such image or folder.'.format(path), 'Check the path.')
    return found


def encoded(array: typing.Any, kind: str, **options: typing.Any) -> bytes:
    """The bytes of a picture as a file.

    Args:
        array: uint8 [height, width, channels]; of other numbers than 1, 3 and 4, which no format has, the colours.
        kind: 'PNG' or 'JPEG', which has no fourth channel; options: what Pillow's ``save`` takes.
    """
    if array.shape[2] not in ((1, 3) if kind == 'JPEG' else (1, 3, 4)):
        array = _pixels.with_channels(array, 3)
    stream = io.BytesIO()
    pillow().fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(stream, kind, **options)
    return stream.getvalue()


def from_bytes(content: bytes, name: str) -> Picture:
    """Returns the ``Picture`` in the bytes of a file of any of the formats. Raises as ``load``."""
    if not content:
        raise InputRefused('{}: is no image that can be read: it is empty.'.format(name), 'Copy it again.')
    return Picture(name, _read(name, io.BytesIO(content)))


def _read(path: str, stream: typing.Optional[typing.BinaryIO] = None) -> typing.Any:
    image_module = pillow()
    try:
        if path.lower().endswith('.npy'):
            return _read_array(path, stream)
        with image_module.open(stream or path) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise InputRefused('{}: {} x {} pixels are more than {:,}.'.format(path, width, height, _MOST_PIXELS),
                                   'Give a smaller one: detectors resize images anyway.')
            # Where there is an alpha channel, a model of four channels wants it, and one of three is not given it.
            alpha = image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info
            return numpy.asarray(image.convert('RGBA' if alpha else 'RGB'))
    except InputRefused:
        raise
    except Exception as error:  # pylint: disable=broad-except  (Pillow's readers raise what their formats make them)
        # The same words for the same file: an address in memory is another one each time.
        said = ' '.join(re.sub(r'<[^<>]* object at 0x\w+>', '', str(error)).split())[:160] or type(error).__name__
        raise InputRefused('{}: is no image that can be read: {}.'.format(path, said),
                           'Give JPEG or PNG files; a damaged one can only be copied again.')


def _read_array(path: str, stream: typing.Optional[typing.BinaryIO] = None) -> typing.Any:
    """uint8 [height, width, channels] of a .npy file: images of any number of channels have no other common format."""
    array = numpy.load(stream, allow_pickle=False) if stream else numpy.load(path, allow_pickle=False, mmap_mode='r')
    if array.dtype != numpy.uint8 or array.ndim not in (2, 3) or not array.size:
        raise InputRefused('{}: holds {} {}, and an image is uint8 [height, width, channels].'.format(
            path, array.dtype, list(array.shape)), 'Save it so with numpy.save.')
    if array.shape[0] * array.shape[1] > _MOST_PIXELS:
        raise InputRefused('{}: {} x {} pixels are more than {:,}.'.format(
            path, array.shape[1], array.shape[0], _MOST_PIXELS), 'Give a smaller one: detectors resize images anyway.')
    return numpy.array(array.reshape(array.shape[:2] + (-1,)))


def drawn(count: int) -> typing.List[Picture]:
    """Returns ``count`` scenes: sky, ground, houses, people, cars and balls, with shading and noise.

    Every scene follows from its number alone.
    """
    return [Picture('drawn scene {}'.format(number + 1), _scene(number)) for number in range(count)]


def _scene(number: int) -> typing.Any:
    from PIL import ImageDraw
    image_module = pillow()
    random = numpy.random.RandomState(7000 + number)  # RandomState: numpy promises that its streams never change
    width, height = _SIZE
    horizon = int(height * random.uniform(0.4, 0.6))
    image = image_module.fromarray(_backdrop(random, width, height, horizon))
    pen = ImageDraw.Draw(image)
    for _ in range(random.randint(2, 4)):
        _house(pen, random, width, horizon)
    things = [_person, _car, _ball]
    for place in range(random.randint(4, 7)):
        foot = horizon + int((height - horizon) * random.uniform(0.15, 0.95))
        near = (foot - horizon) / float(height - horizon)
        things[place % len(things)](pen, random, int(random.uniform(0.05, 0.95) * width), foot, 30 + 130 * near)
    noisy = numpy.asarray(image).astype('f4') + random.normal(0, 5, (height, width, 1))
    return numpy.clip(noisy, 0, 255).astype('u1')


def _backdrop(random: typing.Any, width: int, height: int, horizon: int) -> typing.Any:
    """uint8 [height, width, 3]: a sky and a ground, each a gradient."""
    rows = numpy.arange(height)[:, None, None] / float(height)
    columns = numpy.arange(width)[None, :, None] / float(width)
    sky = random.uniform(120, 200, 3) + [0, 10, 45] - 70 * rows + 15 * columns
    ground = random.uniform(60, 130, 3) + 70 * rows * random.uniform(0.6, 1, 3) - 20 * columns
    both = numpy.where((numpy.arange(height) < horizon)[:, None, None], sky, ground)
    return numpy.clip(both, 0, 255).astype('u1')


def _colour(random: typing.Any, low: float = 30, high: float = 230) -> typing.Tuple[int, ...]:
    return tuple(int(value) for value in random.uniform(low, high, 3))


def _house(pen: typing.Any, random: typing.Any, width: int, horizon: int) -> None:
    left, wide = int(random.uniform(-0.1, 0.9) * width), int(random.uniform(50, 130))
    top = horizon - int(random.uniform(40, 130))
    pen.rectangle([left, top, left + wide, horizon + 6], fill=_colour(random, 90, 200))
    pane = _colour(random, 20, 90)
    for x in range(left + 8, left + wide - 12, 20):
        for y in range(top + 8, horizon - 10, 24):
            pen.rectangle([x, y, x + 10, y + 13], fill=pane)


def _person(pen: typing.Any, random: typing.Any, x: int, foot: int, tall: float) -> None:
    coat, skin = _colour(random), (205, 160, 130)
    wide = tall * 0.16
    for leg in (-0.6, 0.6):
        pen.line([x + leg * wide * 0.6, foot - tall * 0.48, x + leg * wide, foot], fill=_colour(random, 20, 90),
                 width=max(2, int(wide * 0.5)))
    pen.ellipse([x - wide, foot - tall * 0.84, x + wide, foot - tall * 0.4], fill=coat)
    pen.ellipse([x - wide * 0.55, foot - tall, x + wide * 0.55, foot - tall * 0.8], fill=skin)


def _car(pen: typing.Any, random: typing.Any, x: int, foot: int, tall: float) -> None:
    body, high = _colour(random), tall * 0.55
    long = high * 2.3
    pen.rectangle([x - long / 2, foot - high * 0.62, x + long / 2, foot - high * 0.16], fill=body)
    pen.polygon([x - long * 0.3, foot - high * 0.6, x - long * 0.18, foot - high, x + long * 0.16, foot - high,
                 x + long * 0.32, foot - high * 0.6], fill=tuple(value // 2 for value in body))
    for wheel in (-0.3, 0.3):
        middle, radius = x + wheel * long, high * 0.18
        pen.ellipse([middle - radius, foot - 2 * radius, middle + radius, foot], fill=(25, 25, 28))


def _ball(pen: typing.Any, random: typing.Any, x: int, foot: int, tall: float) -> None:
    radius = tall * 0.2
    base = _colour(random, 80, 250)
    for step in range(8, 0, -1):
        shade = tuple(int(value * (1.15 - 0.09 * step) + 20) for value in base)
        part = radius * step / 8.0
        away = radius * (8 - step) / 24.0
        pen.ellipse([x - part - away, foot - radius - part - away, x + part - away, foot - radius + part - away],
                    fill=tuple(min(255, value) for value in shade))
