"""An ``Answer`` as one self-contained HTML page: every check, pictures with the boxes of both models, differences.

The page has no script and loads nothing: its Content-Security-Policy allows its
own style and the pictures inside it. Whatever came out of a file or a graph is
escaped where it is put into the page, in ``_text`` and ``_element`` alone.

Not for: deciding anything.
"""
import base64
import html
import io
import math
import os

import numpy

from od_patch import _version
from od_patch.graphs import _images
from od_patch.proof import _answer
from od_patch.proof import _outputs
from od_patch.proof import _verify_report
from od_patch.terminal import _html

_TEMPLATE = os.path.join(os.path.dirname(__file__), 'page.html')
_WIDEST = 640  # pixels of a picture in the page
_MOST_BOXES = 20
_SURE = 0.3  # boxes with a lower score are drawn only where there is no surer one
_AT_ONCE, _MOST_DETAILS = 5, 200  # details of a check that is not ok: shown, and shown when opened
_MOST_DOTS = 400
_LOWEST = -10  # the exponent that the plot begins with; a float32 score has some 7 digits

_TAGS = {_answer.OK: 'ok', _answer.NOTE: 'note', _answer.WRONG: 'wrong', _answer.SKIPPED: 'skipped'}
_WORDS = {
    'files': 'Whole, with the checksums that were written, and nothing missing that would load and then fail.',
    'weights': 'Every variable against the checkpoint tensor that it came from.',
    'outputs': 'The same images through SavedModel and frozen graph.',
    'portability': 'What could keep it from loading or serving elsewhere.'}


def write(answer, path):
    """Writes the page to ``path``."""
    content = ''.join(part for section in (_head, _checks, _pictures, _plots) for part in section(answer))
    _html.write(path, _TEMPLATE, title=_text('od-patch verify: {}'.format(answer.verdict)),
                version=_text(_version.__version__), content=content)


def _text(value):
    return html.escape(str(value), quote=True)


def _element(tag, content='', **attributes):
    """Markup of an element; ``content`` is markup, the attributes are text. ``class_`` stands for ``class``."""
    written = ''.join(' {}="{}"'.format(name.rstrip('_').replace('_', '-'), _text(value))
                      for name, value in attributes.items() if value is not None)
    return '<{0}{1}>{2}</{0}>'.format(tag, written, content)


def _head(answer):
    yield _element('h1', _element('span', _text(answer.verdict), class_='verdict e{}'.format(answer.exit_code)))
    yield _element('p', _text(_verify_report.summary(answer)), class_='reason')
    subject = answer.subject
    rows = [('SavedModel', subject.saved_model), ('frozen graph', subject.frozen_graph),
            ('model.ckpt', subject.checkpoint), ('checkpoint', subject.trained),
            ('weights asked for', None if subject.averages is None else '{} (says {})'.format(
                'moving averages' if subject.averages else 'raw weights', subject.averages_from)),
            ('made by', _made_by(subject.record))]
    yield _element('table', ''.join(_element('tr', _element('th', _text(name)) + _element('td', _text(value)))
                                    for name, value in rows if value), class_='facts')


def _made_by(record):
    words = [word for word in ('od-patch {}'.format(record['od_patch']) if 'od_patch' in record else '',
                               'exporter {}'.format(record['exporter']) if 'exporter' in record else '',
                               'TensorFlow {}'.format(record['tensorflow']) if 'tensorflow' in record else '') if word]
    return ', '.join(words)


def _checks(answer):
    for part in _answer.PARTS:
        rows = [_row(check) for check in answer.of(part)]
        if rows:
            yield _element('h2', _text(part.capitalize()))
            yield _element('p', _text(_WORDS[part]), class_='small')
            yield _element('table', ''.join(rows), class_='checks')


def _row(check):
    found = _text(check.text)
    at_once = _AT_ONCE if check.status in (_answer.WRONG, _answer.NOTE) else 0
    first, rest = check.details[:at_once], check.details[at_once:]
    if first:
        found += _list(first)
    if rest:
        more = '{:,} more'.format(len(rest)) if first else _answer.number(len(rest), 'detail')
        found += _element('details', _element('summary', _text(more)) + _list(
            rest[:_MOST_DETAILS] + (('… {:,} more'.format(len(rest) - _MOST_DETAILS),)
                                    if len(rest) > _MOST_DETAILS else ())))
    tag = _element('span', _text(check.status), class_='tag ' + _TAGS[check.status])
    return _element('tr', _element('th', _text(check.name)) + _element('td', tag) + _element('td', found))


def _list(lines):
    return _element('ul', ''.join(_element('li', _text(line)) for line in lines))


def _plots(answer):
    """A strip an output: every detection's largest difference, on a logarithmic scale."""
    runs = [run for run in answer.runs if run.rows]
    if not runs:
        return
    yield _element('h2', 'Differences')
    yield _element('p', _text(
        'Absolute difference between SavedModel and frozen graph, a dot a detection (or an image), the bar at the '
        'mean. With the optimizations off, every bit must be the same; with TensorFlow\'s defaults the last digits may '
        'differ, as constants are folded in one of the two only.'), class_='small')
    yield _element('div', ''.join(_plot(run) for run in runs), class_='plots')


def _plot(run):
    caption = _element('figcaption', _text('{}, batch of {}, {}'.format(
        {_outputs.OFF: 'Optimizations off', _outputs.DEFAULTS: 'TensorFlow\'s defaults'}[run.mode], run.batch,
        _answer.number(run.images, 'image'))))
    drawn = _element('p', _text('All {} are equal, bit for bit.'.format(_answer.number(len(run.rows), 'output')))) \
        if all(row.equal for row in run.rows) else _strips(run)
    return _element('figure', caption + drawn + _element('div', _text(_paired(run)), class_='small'), class_='plot')


def _strips(run):
    left, right, line, width = 178, 112, 22, 640
    rows, highest = run.rows, 0
    for row in rows:
        if row.largest and math.isfinite(row.largest):
            highest = max(highest, int(math.ceil(math.log10(row.largest))))
    height = line * len(rows) + 34
    span = width - left - right

    def place(value):
        if not value:
            return left + 8
        exponent = math.log10(value) if math.isfinite(value) else highest
        return left + 34 + (span - 44) * (min(max(exponent, _LOWEST), highest) - _LOWEST) / (highest - _LOWEST)
    parts = []
    ticks = [(0, '0')] + [(10.0 ** exponent, '1e{}'.format(exponent) if exponent else '1')
                          for exponent in range(_LOWEST, highest + 1, 2 if highest <= 2 else 4)]
    for value, label in ticks:
        parts.append(_element('line', x1=_n(place(value)), x2=_n(place(value)), y1=4, y2=height - 26, class_='grid'))
        parts.append(_element('text', _text(label), x=_n(place(value)), y=height - 10, class_='tick',
                              text_anchor='middle'))
    for index, row in enumerate(rows):
        middle = line * index + 17
        parts.append(_element('text', _text(_short(row.name)), x=left - 6, y=middle + 4, class_='label',
                              text_anchor='end'))
        for value in row.values[:_MOST_DOTS]:
            parts.append(_element('circle', cx=_n(place(value)), cy=middle, r=3.2,
                                  class_='dot equal' if not value else 'dot'))
        if row.mean:
            parts.append(_element('line', x1=_n(place(row.mean)), x2=_n(place(row.mean)), y1=middle - 9, y2=middle + 9,
                                  class_='mean'))
        told = row.note or ('equal' if row.equal else 'equal values' if not row.largest else 'max {:.2g}'.format(
            row.largest))
        parts.append(_element('text', _element('title', _text(row.note)) + _text(_short(told, 20)), x=width - right + 6,
                              y=middle + 4, class_='told' if not row.note else 'told bad'))
    return _element('svg', ''.join(parts), viewBox='0 0 {} {}'.format(width, height), role='img')


def _paired(run):
    if not run.matchings:
        return ''
    told = run.paired()
    return '; '.join(['{:,} and {:,} detections, {} paired'.format(
        told['left'], told['right'], '{:,}'.format(told['pairs']) if told['alone'] else 'all')] + _outputs.pairing(run))


def _n(value):
    return '{:.1f}'.format(value)


def _short(name, most=28):
    return name if len(name) <= most else name[:most // 2 - 1] + '…' + name[-(most // 2):]


def _pictures(answer):
    """Every image with the boxes of both models, from the runs in batches of one (or of the fixed size)."""
    if not answer.pictures:
        return
    yield _element('h2', 'Images')
    runs = [run for run in answer.runs if run.detections and len(run.detections) == len(answer.pictures)]
    shown = {mode: next((run for run in runs if run.mode == mode), None)
             for mode in (_outputs.OFF, _outputs.DEFAULTS)}
    run = shown[_outputs.OFF] or shown[_outputs.DEFAULTS]
    if run is not None:
        yield _element('p', _element('span', '', class_='key left') + 'SavedModel, solid ' +
                       _element('span', '', class_='key right') + _text(
                           'frozen graph, dashed. Optimizations off. The {} surest of each with a score of {} or more; '
                           'where there is none, the three surest.'.format(_MOST_BOXES, _SURE)), class_='small')
    cards = []
    for index, picture in enumerate(answer.pictures):
        pair = run.detections[index] if run is not None else None
        cards.append(_card(picture, pair))
    yield _element('div', ''.join(cards), class_='cards')


def _card(picture, pair):
    height, width = picture.array.shape[:2]
    overlay = ''
    words = '{} x {}'.format(width, height)
    if pair is not None:
        chosen = [_chosen(detections) for detections in pair]
        overlay = ''.join(_box(pair[side], row, side, width, height) for side in (1, 0) for row in chosen[side])
        overlay += _tags(pair, chosen, width, height)
        words += ' · {:,} and {:,} detections'.format(len(pair[0]['scores']), len(pair[1]['scores']))
        if not len(pair[0]['scores']) and not len(pair[1]['scores']):
            words += ': none to draw'
    image = '<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/>'.format(
        _data_uri(picture.with_channels(3)), width, height)
    svg = _element('svg', image + overlay, viewBox='0 0 {} {}'.format(width, height), role='img')
    return _element('figure', svg + _element('figcaption', _text(picture.name) + _element('div', _text(words),
                                                                                        class_='small')))


def _chosen(detections):
    """Rows to draw: the surest."""
    sure = [row for row in range(len(detections['scores'])) if float(detections['scores'][row]) >= _SURE]
    return sure[:_MOST_BOXES] or list(range(min(3, len(detections['scores']))))


def _corners(box, width, height):
    """(left, top, right, bottom) in pixels of a box in unit coordinates, clipped; None where it is none."""
    values = [float(value) for value in box]
    if not all(math.isfinite(value) for value in values):
        return None
    top, left, bottom, right = (min(max(value, 0.0), 1.0) for value in values)
    return left * width, top * height, right * width, bottom * height


def _box(detections, row, side, width, height):
    corners = _corners(detections['boxes'][row], width, height)
    if corners is None:
        return ''
    left, top, right, bottom = corners
    return _element('rect', x=_n(left), y=_n(top), width=_n(max(0, right - left)), height=_n(max(0, bottom - top)),
                    class_='box ' + ('left', 'right')[side], stroke_width=_n((2.2, 4.6)[side] * width / 480.0),
                    stroke_dasharray=(None, '{0} {0}'.format(_n(width / 60.0)))[side])


def _tags(pair, chosen, width, height):
    """Class and score of each box, on it: the SavedModel's, and those of the frozen graph that say something else."""
    size = width / 36.0
    written, taken, said = [], [], set()
    for side in (0, 1):
        for row in chosen[side]:
            detections = pair[side]
            corners = _corners(detections['boxes'][row], width, height)
            text = '{:g} · {:.2f}'.format(float(detections['classes'][row]), float(detections['scores'][row]))
            if corners is None or (text, tuple(int(value) for value in corners)) in said:
                continue
            said.add((text, tuple(int(value) for value in corners)))
            wide, tall = len(text) * size * 0.6 + size * 0.6, size * 1.35
            x = min(max(0, corners[0]), width - wide)
            y = max(0, corners[1] - tall)
            while any(abs(x - other[0]) < wide and abs(y - other[1]) < tall for other in taken) and y + tall < height:
                y += tall / 2
            taken.append((x, y))
            written.append(_element('rect', x=_n(x), y=_n(y), width=_n(wide), height=_n(tall),
                                    class_='tagbox ' + ('left', 'right')[side]))
            written.append(_element('text', _text(text), x=_n(x + size * 0.3), y=_n(y + size), font_size=_n(size),
                                    class_='tagtext ' + ('left', 'right')[side]))
    return ''.join(written)


def _data_uri(array):
    """A JPEG of at most ``_WIDEST`` pixels a side, as text."""
    image = _images.pillow().fromarray(numpy.ascontiguousarray(array))
    image.thumbnail((_WIDEST, _WIDEST))
    stream = io.BytesIO()
    image.save(stream, 'JPEG', quality=86)
    return 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode('ascii')
