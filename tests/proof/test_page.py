"""The page of a proof: what is drawn and where, with names that are anything."""
import re

import numpy as np
import pytest

from od_patch.graphs import _images
from od_patch.proof import _answer
from od_patch.proof import _matching
from od_patch.proof import _outputs
from od_patch.proof import _subject
from od_patch.proof import _verify_page

pytestmark = pytest.mark.once


@pytest.mark.parametrize('box, corners', [
    ([0.1, 0.2, 0.5, 0.6], (20.0, 5.0, 60.0, 25.0)), ([-1, -1, 2, 2], (0.0, 0.0, 100.0, 50.0)),
    ([np.nan, 0, 1, 1], None), ([0, 0, np.inf, 1], None)])
def test_corners_are_in_pixels_and_within_the_picture(box, corners):
    found = _verify_page._corners(np.array(box), 100, 50)
    assert found == (None if corners is None else pytest.approx(corners))


@pytest.mark.parametrize('scores, rows', [
    ([0.9, 0.3, 0.29], [0, 1]), ([0.2, 0.1, 0.1, 0.1], [0, 1, 2]), ([0.2], [0]), ([], []),
    ([0.5] * 30, list(range(20)))])
def test_the_surest_are_drawn_else_the_first_three(scores, rows):
    assert _verify_page._chosen({'scores': np.array(scores)}) == rows


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert _verify_page._short('a' * 28) == 'a' * 28
    assert _verify_page._short('abcdefghij' * 3) == 'abcdefghijabc…' + ('abcdefghij' * 3)[-14:]
    assert len(_verify_page._short('x' * 99, 20)) == 20


def test_text_and_attributes_are_escaped():
    assert _verify_page._element('p', _verify_page._text('<&">\''), class_='"x"', a_b='c', none=None) == (
        '<p class="&quot;x&quot;" a-b="c">&lt;&amp;&quot;&gt;&#x27;</p>')


@pytest.mark.parametrize('status, count, shown, opened', [
    ('wrong', 7, 5, '2 more'), ('note', 5, 5, None), ('ok', 2, 0, '2 details'), ('ok', 1, 0, '1 detail'),
    ('wrong', 300, 5, '295 more')])
def test_details_are_shown_where_something_is_wrong_and_opened_elsewhere(status, count, shown, opened):
    details = tuple('detail {};'.format(number) for number in range(count))
    row = _verify_page._row(_answer.Check('files', '<name>', status, '<i>text', details))
    before, _, after = row.partition('<details>')
    assert before.count('<li>') == shown and '&lt;name&gt;' in row and '<td>&lt;i&gt;text' in row and 'class="tag ' in row
    assert ('<summary>{}</summary>'.format(opened) in after) if opened else not after
    assert after.count('<li>') == min(count - shown, 201)
    assert ('… 95 more' in after) == (count == 300)


def run_of(*rows, **more):
    run = _outputs.Run(more.get('mode', _outputs.OFF), 1, 'image_tensor')
    run.images, run.rows = 1, list(rows)
    return run


def row_of(name, values, equal=False, note='', largest=None):
    largest = max(values or [0]) if largest is None else largest
    return _outputs.Row(name, [1], equal, 1, 1, largest, largest / 2, values, note)


def test_a_plot_has_a_dot_a_detection_further_right_the_larger():
    text = _verify_page._plot(run_of(row_of('scores', [0.0, 1e-8, 1e-4, 1.0]), row_of('boxes', [0.0], True)))
    places = [float(place) for place in re.findall(r'<circle cx="([0-9.]+)"', text)]
    assert len(places) == 5 and places[0] == places[4] and places[:4] == sorted(places[:4])
    assert text.count('dot equal') == 2 and 'max 1' in text and '>equal<' in text
    assert 'Optimizations off, batch of 1, 1 image' in text


def test_differences_beyond_all_bounds_are_drawn_at_the_edge():
    text = _verify_page._plot(run_of(row_of('scores', [float('inf'), 1e-30], largest=float('inf')), mode=_outputs.DEFAULTS))
    places = [float(place) for place in re.findall(r'<circle cx="([0-9.]+)"', text)]
    assert all(0 < place < 640 for place in places) and places[0] > places[1]
    assert 'TensorFlow&#x27;s defaults' in text


def test_equal_outputs_are_told_and_not_drawn():
    text = _verify_page._plot(run_of(row_of('scores', [0.0], True), row_of('boxes', [0.0], True)))
    assert 'All 2 outputs are equal, bit for bit.' in text and '<circle' not in text


def test_how_detections_are_paired_is_told():
    run = run_of(row_of('scores', [0.1]))
    assert _verify_page._paired(run) == ''
    run.matchings = [_matching.Matching([(0, 0), (1, 2)], 0, 1, ([2], []), (3, 2))]
    assert _verify_page._paired(run) == '3 and 2 detections, 2 paired; 1 detection moved; 1 detection without a partner'
    run.matchings = [_matching.Matching([(0, 0)], 0, 0, ([], []), (1, 1))]
    assert _verify_page._paired(run) == '1 and 1 detections, all paired'


def detections(*rows):
    return {'boxes': np.array([row[0] for row in rows]).reshape(-1, 4), 'scores': np.array([row[1] for row in rows]),
            'classes': np.array([row[2] for row in rows])}


def test_a_picture_has_the_boxes_of_both_models_and_a_label_once():
    answer = _answer.Answer(_subject.Subject('x'))
    run = run_of(row_of('scores', [0.0], True))
    box = [0.1, 0.1, 0.5, 0.5]
    run.detections = [(detections((box, 0.9, 1)), detections((box, 0.9, 1), ([0.6, 0.6, 0.9, 0.9], 0.8, 2)))]
    answer.runs, answer.pictures = [run], [_images.Picture('a.png', np.zeros((50, 100, 3), 'u1'))]
    text = ''.join(_verify_page._pictures(answer))
    assert text.count('class="box left"') == 1 and text.count('class="box right"') == 2
    assert text.count('1 · 0.90') == 1 and text.count('2 · 0.80') == 1 and text.count('stroke-dasharray') == 2
    assert '100 x 50 · 1 and 2 detections' in text and 'a.png' in text
    assert re.search(r'<rect x="10.0" y="5.0" width="40.0" height="20.0" class="box left"', text)
    run.detections = []  # of other images, or none
    assert 'class="box' not in ''.join(_verify_page._pictures(answer))
    answer.pictures = []
    assert not list(_verify_page._pictures(answer))


def test_what_made_the_export_is_told_as_far_as_its_record_says():
    assert _verify_page._made_by({'od_patch': '1.0', 'tensorflow': '1.12'}) == 'od-patch 1.0, TensorFlow 1.12'
    assert _verify_page._made_by({}) == '' and _verify_page._made_by({'exporter': 'abc'}) == 'exporter abc'
