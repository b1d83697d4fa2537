"""Detections are paired before they are compared: near-ties that change places are that, and other boxes are not."""
import hypothesis
import numpy as np
from hypothesis import strategies as st

from od_patch.proof import _matching
from od_patch.proof import _outputs


def detections(seed, count, apart=0.05):
    """Detections in falling order of score, ``apart`` from each other, with boxes that do not overlap."""
    random = np.random.RandomState(seed)
    corners = np.stack([np.arange(count) // 10, np.arange(count) % 10], 1) / 10.0
    boxes = np.concatenate([corners, corners + random.uniform(0.03, 0.09, (count, 2))], 1).astype('f4')
    order = random.permutation(count)
    return {'boxes': boxes[order], 'scores': (0.95 - apart * np.arange(count)).astype('f4'),
            'classes': random.randint(1, 4, count).astype('f4')}


def reordered(rows, order):
    return {key: values[order] for key, values in rows.items()}


@hypothesis.given(seed=st.integers(0, 10 ** 6), count=st.integers(0, 18), place=st.integers(0, 16))
@hypothesis.settings(max_examples=150, deadline=None)
def test_a_near_tie_that_changes_places_is_nothing_else(seed, count, place):
    one = detections(seed, count)
    other = {key: values.copy() for key, values in one.items()}
    swap = place + 1 < count
    if swap:
        for rows, nudge in ((one, 1e-5), (other, -1e-5)):
            rows['scores'][place + 1] = rows['scores'][place] - nudge
        order = list(range(count))
        order[place], order[place + 1] = order[place + 1], order[place]
        other = reordered(other, order)
    found = _matching.match(one, other)
    assert len(found.pairs) == count and found.alone == ([], []) and found.counts == (count, count)
    assert (found.swapped, found.moved) == ((2, 0) if swap else (0, 0))
    assert all(one['classes'][i] == other['classes'][j] and (one['boxes'][i] == other['boxes'][j]).all()
               for i, j in found.pairs)


@hypothesis.given(seed=st.integers(0, 10 ** 6), count=st.integers(2, 18), data=st.data())
@hypothesis.settings(max_examples=100, deadline=None)
def test_whatever_the_order_no_row_is_paired_twice_and_none_across_classes(seed, count, data):
    one = detections(seed, count)
    other = reordered(one, data.draw(st.permutations(range(count))))
    other['classes'] = other['classes'] + np.array(data.draw(st.lists(st.integers(0, 1), min_size=count,
                                                                        max_size=count)))
    found = _matching.match(one, other)
    for side in (0, 1):
        rows = [pair[side] for pair in found.pairs]
        assert len(set(rows)) == len(rows) and sorted(rows + found.alone[side]) == list(range(count))
    assert all(one['classes'][i] == other['classes'][j] for i, j in found.pairs)
    assert found.swapped == 0  # no two scores are near


def test_another_box_is_left_without_a_partner():
    one, other = detections(1, 6), detections(1, 6)
    other['boxes'] = other['boxes'].copy()
    other['boxes'][2] = [0.8, 0.8, 0.95, 0.95]
    found = _matching.match(one, other)
    assert found.alone == ([2], [2]) and len(found.pairs) == 5
    assert _matching.match(one, reordered(other, slice(0, 4))).alone == ([2, 4, 5], [2])


def test_overlap_is_that_of_areas():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1], [0.5, 0, 1, 1], [2, 2, 3, 3], [0.1, 0.1, 0.1, 0.1]], 'f4')
    found = _matching.iou(boxes, boxes)
    assert np.allclose(np.diag(found), 1)
    assert np.allclose(found[0], [1, 0.5, 0.5, 0, 0]) and found[1, 2] == 0


def _outputs_of(rows, size=8):
    """What a session gives for one image with these detections: padded with zeros."""
    count = len(rows['scores'])
    padded = {'detection_' + key: np.zeros((1, size) + values.shape[1:], 'f4') for key, values in rows.items()}
    for key, values in rows.items():
        padded['detection_' + key][0, :count] = values
    padded['detection_masks'] = padded['detection_scores'][:, :, None, None] * np.ones((3, 3), 'f4')
    padded['num_detections'] = np.array([count], 'f4')
    return padded


def _run(mode, left, right):
    run = _outputs.Run(mode, 1, 'image_tensor')
    run.images = 1
    _outputs._compare(run, [left], [right], [1])
    return run, _outputs._judge(run)


def test_with_the_defaults_swapped_near_ties_are_compared_pair_by_pair():
    one = detections(3, 5)
    one['scores'][2] = one['scores'][1] - 1e-6
    other = reordered(one, [0, 2, 1, 3, 4])
    run, check = _run(_outputs.DEFAULTS, _outputs_of(one), _outputs_of(other))
    rows = {row.name: row for row in run.rows}
    assert rows['detection_boxes'].largest == 0 and not rows['detection_boxes'].equal
    assert rows['detection_masks'].largest == 0 and len(rows['detection_masks'].values) == 5
    assert check.status == 'ok' and check.text.startswith('only the last digits')
    assert '2 near-ties changed places' in check.text
    # The same with the optimizations off is wrong: there every bit must be the same.
    run, check = _run(_outputs.OFF, _outputs_of(one), _outputs_of(other))
    assert check.status == 'wrong'


def test_with_the_defaults_a_lost_detection_is_more_than_last_digits():
    one = detections(3, 5)
    _, check = _run(_outputs.DEFAULTS, _outputs_of(one), _outputs_of(reordered(one, [0, 1, 2, 4])))
    assert check.status == 'note' and '1 detection without a partner' in check.text
    assert check.text.startswith('more than the last digits differ')


def test_what_lies_behind_num_detections_does_not_count_with_the_defaults():
    one = _outputs_of(detections(4, 3))
    other = {key: values.copy() for key, values in one.items()}
    other['detection_boxes'][0, 5] = 0.7
    run, check = _run(_outputs.DEFAULTS, one, other)
    assert check.status == 'ok' and {row.name: row.largest for row in run.rows}['detection_boxes'] == 0
    _, check = _run(_outputs.OFF, one, other)
    assert check.status == 'wrong'


def test_not_a_number_is_equal_to_itself_and_far_from_any_other():
    one = _outputs_of(detections(4, 3))
    one['raw_boxes'] = np.array([[np.nan]], 'f4')
    run, check = _run(_outputs.OFF, one, {key: values.copy() for key, values in one.items()})
    assert check.status == 'ok'
    other = {key: values.copy() for key, values in one.items()}
    other['detection_scores'][0, 0] = np.nan
    run, check = _run(_outputs.OFF, one, other)
    assert check.status == 'wrong' and 'detection_scores: by inf at most' in '\n'.join(check.details)
