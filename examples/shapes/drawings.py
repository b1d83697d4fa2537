"""Drawings of shapes with their boxes: what the shapes detector is trained on, tested on and shown on.

    python examples/shapes/drawings.py held-out.png                       # look at some
    python examples/shapes/drawings.py train.record --count 6000          # the same as TFRecords

Every drawing follows from its seed alone. `draw` needs Pillow and numpy only; TensorFlow is imported by the one
function that writes records. Nothing about detecting is in here.
"""

import argparse
import collections
import io
import math
import sys

import numpy as np
from PIL import Image, ImageDraw

# Class ids as in shapes_label_map.pbtxt; 0 is the OD API's background.
CLASSES = collections.OrderedDict([(1, 'circle'), (2, 'square'), (3, 'triangle'), (4, 'star')])

SIZE = 160  # Pixels of a side, as the pipeline config's fixed_shape_resizer has it.
HELD_OUT = 1000000  # Seeds from here on are never trained on.

_OVERSAMPLING = 3  # Drawn larger and shrunk, because Pillow's polygons have jagged edges.
_MOST_HIDDEN = 0.25  # Of the smaller of two boxes: more overlap than this and a shape could vanish below another.

Drawing = collections.namedtuple('Drawing', ['image', 'boxes', 'classes'])


def draw(seed, size=SIZE):
    """Draws one to five shapes on a noisy gradient.

    Args:
        seed: non-negative int below 2**32; the same seed gives the same drawing.
        size: width and height in pixels.

    Returns:
        Drawing(image, boxes, classes): an RGB PIL image; float32 [N, 4] of ymin, xmin, ymax, xmax between 0 and 1;
        int64 [N] of keys of CLASSES.
    """
    # RandomState and not default_rng: numpy promises that its streams never change.
    random = np.random.RandomState(seed)
    canvas = size * _OVERSAMPLING
    shades = random.randint(0, 256, (2, 3))
    image = _gradient(canvas, shades, random.uniform(0, 2 * math.pi))
    pen = ImageDraw.Draw(image)
    boxes, classes = [], []
    for _ in range(random.randint(1, 6)):
        found = _place(random, boxes)
        if found is None:
            continue
        class_id, points, box = found
        colour = _contrasting(random, shades)
        outline = tuple(random.randint(0, 256, 3)) if random.uniform() < 0.25 else colour
        _paint(pen, CLASSES[class_id], points, box, canvas, colour, outline)
        boxes.append(box)
        classes.append(class_id)
    image = image.resize((size, size), Image.LANCZOS)
    noise = random.normal(0, random.uniform(0, 10), (size, size, 3))
    image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    return Drawing(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64))


def _gradient(canvas, shades, angle):
    across = np.linspace(-0.5, 0.5, canvas)
    slope = across[:, None] * math.sin(angle) + across[None, :] * math.cos(angle)
    slope = (slope - slope.min()) / (slope.max() - slope.min())
    pixels = shades[0] + slope[:, :, None] * (shades[1] - shades[0])
    return Image.fromarray(pixels.astype(np.uint8))


def _contrasting(random, shades):
    """A colour that is far from both ends of the gradient, and from what lies between them."""
    between = shades[0] + np.linspace(0, 1, 5)[:, None] * (shades[1] - shades[0])
    best, distance = None, -1
    for colour in random.randint(0, 256, (12, 3)):
        nearest = np.linalg.norm(between - colour, axis=1).min()
        if nearest > 90:
            return tuple(int(value) for value in colour)
        if nearest > distance:
            best, distance = colour, nearest
    return tuple(int(value) for value in best)


def _place(random, boxes):
    """A class, its corners and its box (unit coordinates) where it hides none of `boxes` too much; None if crowded."""
    for _ in range(20):
        class_id = int(random.choice(list(CLASSES)))
        radius = random.uniform(0.09, 0.26)
        centre = random.uniform(radius, 1 - radius, 2)
        points = _corners(CLASSES[class_id], centre, radius, random.uniform(0, 2 * math.pi))
        if points is None:
            box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
        else:
            box = tuple(points.min(axis=0)) + tuple(points.max(axis=0))
        if all(_hidden(box, other) <= _MOST_HIDDEN for other in boxes):
            return class_id, points, box
    return None


def _corners(name, centre, radius, turn):
    """Float [N, 2] of y, x; None for a circle."""
    if name == 'circle':
        return None
    count, inner = {'triangle': (3, None), 'square': (4, None), 'star': (10, 0.42)}[name]
    angles = turn + 2 * math.pi * np.arange(count) / count
    radii = np.full(count, radius)
    if inner:
        radii[1::2] *= inner
    return centre + radii[:, None] * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def _hidden(box, other):
    height = min(box[2], other[2]) - max(box[0], other[0])
    width = min(box[3], other[3]) - max(box[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    smaller = min((one[2] - one[0]) * (one[3] - one[1]) for one in (box, other))
    return height * width / smaller


def _paint(pen, name, points, box, canvas, colour, outline):
    if name == 'circle':
        ymin, xmin, ymax, xmax = (value * canvas for value in box)
        pen.ellipse([xmin, ymin, xmax, ymax], fill=colour, outline=outline, width=2 * _OVERSAMPLING)
        return
    corners = [(x * canvas, y * canvas) for y, x in points]
    pen.polygon(corners, fill=colour)
    if outline != colour:
        pen.line(corners + corners[:2], fill=outline, width=2 * _OVERSAMPLING, joint='curve')


def write_records(path, seeds, size=SIZE):
    """Writes drawings as the tf.Examples that the OD API's input readers expect (JPEG, as photographs come)."""
    import tensorflow as tf
    tf = getattr(tf.compat, 'v1', tf)  # TF 1.12 has no compat.v1 yet.

    def floats(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def texts(values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def integers(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with tf.python_io.TFRecordWriter(path) as writer:
        for seed in seeds:
            drawing = draw(seed, size)
            encoded = io.BytesIO()
            drawing.image.save(encoded, 'JPEG', quality=92, subsampling=0)
            ymin, xmin, ymax, xmax = drawing.boxes.T
            name = 'shapes-{:07d}.jpg'.format(seed).encode()
            writer.write(tf.train.Example(features=tf.train.Features(feature={
                'image/height': integers([size]),
                'image/width': integers([size]),
                'image/filename': texts([name]),
                'image/source_id': texts([name]),
                'image/encoded': texts([encoded.getvalue()]),
                'image/format': texts([b'jpeg']),
                'image/object/bbox/ymin': floats(ymin),
                'image/object/bbox/xmin': floats(xmin),
                'image/object/bbox/ymax': floats(ymax),
                'image/object/bbox/xmax': floats(xmax),
                'image/object/class/text': texts([CLASSES[one].encode() for one in drawing.classes.tolist()]),
                'image/object/class/label': integers(drawing.classes.tolist()),
            })).SerializeToString())


def contact_sheet(drawings, columns=4):
    """The drawings' images side by side, with their true boxes as thin white frames."""
    size = drawings[0].image.width
    sheet = Image.new('RGB', (columns * size, -(-len(drawings) // columns) * size))
    for index, drawing in enumerate(drawings):
        image = drawing.image.copy()
        pen = ImageDraw.Draw(image)
        for ymin, xmin, ymax, xmax in drawing.boxes * size:
            pen.rectangle([xmin, ymin, xmax, ymax], outline='white')
        sheet.paste(image, (index % columns * size, index // columns * size))
    return sheet


def main(arguments=None):
    parser = argparse.ArgumentParser(description='Draw shapes: a PNG to look at, or a TFRecord file to train on.')
    parser.add_argument('output', help='ends with .png for a sheet of drawings; anything else gets TFRecords')
    parser.add_argument('--count', type=int, default=12)
    parser.add_argument('--first_seed', type=int, default=HELD_OUT, help='default: the first that is held out')
    options = parser.parse_args(arguments)
    seeds = range(options.first_seed, options.first_seed + options.count)
    if options.output.lower().endswith('.png'):
        contact_sheet([draw(seed) for seed in seeds]).save(options.output)
    else:
        write_records(options.output, seeds)
    print('{}: {} drawings, seeds {} to {}'.format(options.output, len(seeds), seeds[0], seeds[-1]))
    return 0


if __name__ == '__main__':
    sys.exit(main())
