"""Shows what an exported shapes detector sees: held-out drawings with its boxes, labels and scores drawn in.

    python examples/shapes/demo.py --saved_model EXPORT/saved_model --output shapes.png

Runs on TensorFlow 1.x and 2.x, without the OD API. It opens the picture where there is a display, and else sketches it
in the terminal. It judges nothing: evaluate.py measures.
"""

import argparse
import collections
import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import drawings

Detection = collections.namedtuple('Detection', ['box', 'score', 'label'])

_CELL = 320  # Pixels of a side of one drawing on the sheet.
_MARGIN = 12
_PAPER = (250, 250, 250)
# Dark enough that white text on them can be read, and apart for the colour-blind.
_COLOURS = {'circle': (0, 90, 181), 'square': (186, 28, 60), 'triangle': (14, 116, 72), 'star': (122, 45, 160)}
_TEXT = 15  # Pixels; less cannot be read when a page shows the sheet smaller.


def contact_sheet(images, found, columns):
    """The images, enlarged, side by side, each with its Detections drawn in."""
    rows = -(-len(images) // columns)
    step = _CELL + _MARGIN
    sheet = Image.new('RGB', (columns * step + _MARGIN, rows * step + _MARGIN), _PAPER)
    font = _font(_TEXT)
    for index, (image, detections) in enumerate(zip(images, found)):
        cell = image.resize((_CELL, _CELL), Image.BICUBIC)
        # The best last, so that where tags meet the surer one can be read.
        for detection in sorted(detections, key=lambda one: one.score):
            _draw_box(cell, detection)
        tags = []
        for detection in sorted(detections, key=lambda one: -one.score):
            _draw_tag(cell, detection, font, tags)
        sheet.paste(cell, (_MARGIN + index % columns * step, _MARGIN + index // columns * step))
    return sheet


def _pixels(box):
    return [int(round(float(np.clip(value, 0, 1)) * (_CELL - 1))) for value in box]


def _draw_box(cell, detection):
    ymin, xmin, ymax, xmax = _pixels(detection.box)
    pen = ImageDraw.Draw(cell)
    # A white line around the coloured one: the drawings' backgrounds have every colour.
    pen.rectangle([xmin - 1, ymin - 1, xmax + 1, ymax + 1], outline='white', width=5)
    pen.rectangle([xmin, ymin, xmax, ymax], outline=_COLOURS[detection.label], width=3)


def _draw_tag(cell, detection, font, taken):
    """Writes label and score above the box, or where there is room, and adds the place to `taken`."""
    ymin, xmin, ymax, xmax = _pixels(detection.box)
    text = _text_mask('{} {:.2f}'.format(detection.label, detection.score), font)
    width, height = text.width + 8, text.height + 6
    places = [(xmin - 1, ymin - height), (xmin - 1, ymax + 1), (xmax + 1 - width, ymin - height),
              (xmax + 1 - width, ymax + 1), (xmin - 1, ymin)]
    fitting = [(x, y) for x, y in places if 0 <= y <= _CELL - height]
    place = None
    for x, y in fitting or [(xmin, 0)]:
        x = min(max(x, 0), _CELL - width)
        candidate = (x, y, x + width, y + height)
        if place is None or not any(_meet(candidate, other) for other in taken):
            place = candidate
            if not any(_meet(candidate, other) for other in taken):
                break
    taken.append(place)
    cell.paste(_COLOURS[detection.label], place)
    cell.paste((255, 255, 255), (place[0] + 4, place[1] + 3), text)


def _meet(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _font(size):
    """A scalable font: the system's, matplotlib's (the OD API needs that anyway), Pillow's own, else None."""
    candidates = ['DejaVuSans-Bold.ttf']
    matplotlib = importlib.util.find_spec('matplotlib')
    if matplotlib and matplotlib.submodule_search_locations:
        candidates.append(os.path.join(matplotlib.submodule_search_locations[0], 'mpl-data', 'fonts', 'ttf',
                                       'DejaVuSans-Bold.ttf'))
    candidates += ['Arial Bold.ttf', 'arialbd.ttf']
    for candidate in candidates:
        try:
            return ImageFont.truetype(candidate, size)
        except (OSError, ImportError):  # ImportError: a Pillow without FreeType.
            continue
    try:
        return ImageFont.load_default(size)  # Pillow 10.1 and later.
    except (TypeError, OSError, ImportError):
        return None


def _text_mask(text, font):
    """The text as an 'L' image that just holds it."""
    mask = Image.new('L', (len(text) * _TEXT * 2, _TEXT * 3))
    ImageDraw.Draw(mask).text((4, 4), text, fill=255, font=font or ImageFont.load_default())
    # As high as any text, so that tags are equally high; as wide as this one.
    reference = Image.new('L', mask.size)
    ImageDraw.Draw(reference).text((4, 4), 'qd0' + text, fill=255, font=font or ImageFont.load_default())
    left, _, right, _ = mask.getbbox()
    _, top, _, bottom = reference.getbbox()
    mask = mask.crop((left, top, right, bottom))
    return mask if font else mask.resize((mask.width * 2, mask.height * 2), Image.NEAREST)


def preview(image, columns, stream, true_colour):
    """Sketches an image in the terminal, two pixels to a character."""
    half_block = u'\u2580'
    try:
        half_block.encode(stream.encoding or 'ascii')
        rows = 2
    except (UnicodeEncodeError, LookupError):
        half_block, rows = ' ', 1  # One pixel to a character, as its background.
    height = max(1, int(round(image.height * columns / image.width / 2))) * rows
    pixels = np.asarray(image.resize((columns, height), Image.LANCZOS))

    def code(layer, colour):
        red, green, blue = (int(value) for value in colour)
        if true_colour:
            return '\x1b[{};2;{};{};{}m'.format(layer, red, green, blue)
        cube = [int(round(value / 255 * 5)) for value in (red, green, blue)]
        return '\x1b[{};5;{}m'.format(layer, 16 + 36 * cube[0] + 6 * cube[1] + cube[2])

    for y in range(0, height, rows):
        stream.write(''.join((code(38, pixels[y, x]) if rows == 2 else '') + code(48, pixels[y + rows - 1, x]) +
                             half_block for x in range(columns)) + '\x1b[0m\n')
    stream.flush()


def open_viewer(path):
    """Opens the picture in a window and returns whether somebody probably sees it now."""
    if os.environ.get('CI'):
        return False
    if sys.platform == 'darwin':
        command = ['open', path]
    elif os.name == 'nt':
        os.startfile(path)
        return True
    elif (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')) and shutil.which('xdg-open'):
        command = ['xdg-open', path]
    else:
        return False
    try:
        viewer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
    except OSError:
        return False
    try:
        return viewer.wait(timeout=3) == 0
    except subprocess.TimeoutExpired:
        return True  # A viewer that stays in the foreground; it outlives us.



def main(arguments=None):
    parser = argparse.ArgumentParser(description='Run an exported shapes detector on held-out drawings and write a '
                                                 'picture of what it finds.')
    parser.add_argument('--saved_model', required=True, metavar='FOLDER', help='the saved_model folder of an export')
    parser.add_argument('--output', required=True, metavar='PNG')
    parser.add_argument('--drawings', type=int, default=6, help='how many (default: %(default)s)')
    parser.add_argument('--first_seed', type=int, default=drawings.HELD_OUT,
                        help='seed of the first drawing (default: the first that is held out of training)')
    parser.add_argument('--min_score', type=float, default=0.5, help='show detections from here on (default: 0.5)')
    parser.add_argument('--no_open', action='store_true', help='neither open the picture nor sketch it')
    options = parser.parse_args(arguments)
    if options.drawings < 1:
        parser.error('--drawings must be 1 or more')

    import detector  # Here, because --help and a wrong flag should not wait for TensorFlow.
    images = [drawings.draw(options.first_seed + index).image for index in range(options.drawings)]
    try:
        with detector.Detector.from_saved_model(options.saved_model) as model:
            found = [[Detection(box, score, drawings.CLASSES[class_id])
                      for box, score, class_id in zip(*model.detect(np.asarray(image)))
                      if score >= options.min_score and class_id in drawings.CLASSES]
                     for image in images]
    except detector.ModelError as error:
        print('demo: {}'.format(error), file=sys.stderr)
        return 1
    sheet = contact_sheet(images, found, columns=min(3, len(images)))
    path = os.path.abspath(options.output)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sheet.save(path, 'PNG', optimize=True)
    if not options.no_open and not open_viewer(path) and sys.stdout.isatty() and 'NO_COLOR' not in os.environ:
        preview(sheet, min(shutil.get_terminal_size().columns, 100), sys.stdout,
                os.environ.get('COLORTERM') in ('truecolor', '24bit'))
    print('{} detections of {} or more in {} drawings: {}'.format(
        sum(len(detections) for detections in found), options.min_score, len(images), path))
    return 0


if __name__ == '__main__':
    sys.exit(main())
