"""Detections of one image by two models, paired by box and class before anything of them is compared.

Detections come in falling order of their scores, so two that are nearly a tie
change places where the last bits of a score change. Row by row that looks like
another box; paired, it is what it is.

Not for: running models, nor for judging how much of a difference is too much.
"""

import numpy
import typing

_LEAST_IOU = 0.5
_NEAR_TIE = 1e-3  # two scores no further apart than this may come in either order


class Matching(typing.NamedTuple):
    """Detections of one image, paired."""

    pairs: typing.Any  # list of (row of the one, row of the other)
    swapped: int  # pairs whose rows differ where the scores between the two rows are a near-tie
    moved: int  # pairs whose rows differ otherwise
    alone: typing.Any  # pair of lists of rows without a partner
    counts: typing.Any  # pair of int, how many detections each has


def match(one, other):
    """Returns the ``Matching`` of two models' detections of one image.

    Args:
        one, other: dicts with 'boxes' [N, 4], 'scores' [N] and 'classes' [N]; N may differ.
    """
    counts = (len(one['scores']), len(other['scores']))
    overlap = iou(one['boxes'], other['boxes'])
    overlap = numpy.where(one['classes'][:, None] == other['classes'][None, :], overlap, 0)
    places = numpy.argwhere(overlap >= _LEAST_IOU)
    apart = numpy.abs(one['scores'][:, None] - other['scores'][None, :])
    # The best overlap first; of equal ones, those whose scores are nearest, then those that stand in one row.
    order = sorted((-round(float(overlap[i, j]), 4), round(float(apart[i, j]), 6), abs(int(i) - int(j)), int(i), int(j))
                   for i, j in places)
    taken, pairs = (set(), set()), []
    for _, _, _, i, j in order:
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j))
    pairs.sort()
    swapped = moved = 0
    for i, j in pairs:
        if i != j:
            near = j < counts[0] and abs(float(one['scores'][i]) - float(one['scores'][j])) <= _NEAR_TIE
            swapped, moved = swapped + near, moved + (not near)
    alone = tuple([row for row in range(counts[side]) if row not in taken[side]] for side in (0, 1))
    return Matching(pairs, swapped, moved, alone, counts)


def iou(one, other):
    """float64 [N, M]: intersection over union of boxes [N, 4] and [M, 4] (ymin, xmin, ymax, xmax)."""
    one, other = numpy.asarray(one, 'f8').reshape(-1, 1, 4), numpy.asarray(other, 'f8').reshape(1, -1, 4)
    low = numpy.maximum(one[..., :2], other[..., :2])
    high = numpy.minimum(one[..., 2:], other[..., 2:])
    shared = numpy.prod(numpy.clip(high - low, 0, None), axis=-1)
    areas = [numpy.prod(numpy.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1) for boxes in (one, other)]
    together = areas[0] + areas[1] - shared
    equal = numpy.all(one == other, axis=-1)  # boxes without an area overlap with themselves, too
    with numpy.errstate(divide='ignore', invalid='ignore'):
        return numpy.where(equal, 1.0, numpy.where(together > 0, shared / together, 0.0))
