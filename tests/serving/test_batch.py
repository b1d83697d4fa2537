"""``od_patch.Detector``: rows for files of any size, damaged ones among them, in bounded memory.

Not for: the engines that it is made for; ``tests/batch`` runs the programs of ``examples/batch``.
"""
import io
import os

import numpy
import pytest

import od_patch
from od_patch import _errors
from od_patch.serving import _batch
from tests.serving import models
from tests.serving.test_signatures import SIGNED
from tests.support import shapes

tensorflow = pytest.importorskip('tensorflow')
from od_patch import _tensorflow  # pylint: disable=wrong-import-position
from od_patch.saved_model import _saved_model  # pylint: disable=wrong-import-position
from PIL import Image  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.xdist_group('serving')

_LABELS = "item { id: 1 name: 'dark' } item { id: 2 name: 'bright' }"


def detector_of_brightness(folder, shape=(None, None, None, 3), labels=_LABELS, fails_above=None, outputs=None):
    """Writes a SavedModel that gives each image one detection, of its brightness, and a second one that does not count.

    Args:
        fails_above: int, the number of images in a batch above which the model fails, or None.
        outputs: list of keys, or None for all.
    """
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.uint8, shape, name='image_tensor')
        given = images
        if fails_above is not None:
            with tf.control_dependencies([tf.assert_less_equal(tf.shape(images)[0], fails_above)]):
                given = tf.identity(images)
        mean = tf.reduce_mean(tf.cast(given, tf.float32), axis=[1, 2, 3]) / 255.0
        none = tf.zeros_like(mean)
        box = tf.stack([none, mean, tf.ones_like(mean), mean], axis=1)
        found = {'detection_scores': tf.stack([mean, none], axis=1), 'detection_boxes': tf.stack([box, box], axis=1),
                 'detection_classes': tf.stack([1 + tf.round(mean), none], axis=1), 'num_detections': none + 1}
        meta_graph = tf.train.export_meta_graph(graph=graph)
        meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(
            images, {key: found[key] for key in outputs or found}))
    meta_graph.meta_info_def.tags.append('serve')
    path = models.write(meta_graph, folder)
    if labels:
        (folder / 'assets').mkdir()
        (folder / 'assets' / 'label_map.pbtxt').write_text(labels)
    return path


def grey(height, width, value):
    return models.png(numpy.full((height, width, 3), value, 'u1'))


def file_of(kind, height, width, value):
    array = numpy.full((height, width, 3), value, 'u1')
    stream = io.BytesIO()
    if kind == 'npy':
        numpy.save(stream, array)
    else:
        image = Image.fromarray(array)
        {'RGBA': image.convert('RGBA'), 'L': image.convert('L'), 'P': image.convert('P')}.get(kind, image).save(
            stream, kind if kind in ('JPEG', 'BMP', 'GIF', 'TIFF') else 'PNG')
    return stream.getvalue()


@pytest.fixture(scope='module')
def brightness(tmp_path_factory):
    with od_patch.Detector(detector_of_brightness(tmp_path_factory.mktemp('model') / 'm'), batch_size=3) as detector:
        yield detector


@pytest.fixture
def runs(brightness, monkeypatch):
    """The shapes of the batches that went through the model."""
    seen = []
    run = brightness._model.run
    monkeypatch.setattr(brightness._model, 'run', lambda batch: seen.append(batch.shape) or run(batch))
    return seen


def test_images_of_one_size_go_through_the_model_together(brightness, runs):
    sizes = [(4, 5), (6, 5), (4, 5), (4, 5), (7, 7), (4, 5), (6, 5)]
    rows = list(brightness.detect((str(number), grey(height, width, 10 * number))
                                  for number, (height, width) in enumerate(sizes)))
    assert runs == [(3, 4, 5, 3), (2, 6, 5, 3), (1, 7, 7, 3), (1, 4, 5, 3)]
    assert sorted(row['file'] for row in rows) == [str(number) for number in range(len(sizes))]
    for row in rows:
        number = int(row['file'])
        assert (row['height'], row['width']) == sizes[number] and row['error'] is None
        found, = row['detections']
        assert found['score'] == pytest.approx(10 * number / 255.0, abs=1e-6)
        assert (found['class'], found['name']) == (1, 'dark') and found['box'][1] == pytest.approx(found['score'])


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'BMP', 'GIF', 'TIFF', 'RGBA', 'L', 'P', 'npy'])
def test_any_format_that_pillow_reads(brightness, kind):
    row, = brightness.detect([('some.npy' if kind == 'npy' else 'some.jpg', file_of(kind, 8, 9, 204))])
    assert row['error'] is None and (row['height'], row['width']) == (8, 9)
    assert row['detections'][0]['name'] == 'bright' and row['detections'][0]['score'] == pytest.approx(0.8, abs=0.01)


_WHOLE = grey(30, 40, 7)


@pytest.mark.parametrize('name, content', [
    ('a.png', b''), ('a.png', b'\x00'), ('a.jpg', b'not an image'), ('a.png', _WHOLE[:len(_WHOLE) // 2]),
    ('a.npy', b'not an array'), ('a.npy', _WHOLE), ('a.npy', b'\x93NUMPY\x01\x00\x10\x00' + b'x' * 16),
    ('a.html', b'<html>'), ('empty name', b'\xff\xd8\xff')])
def test_what_is_no_image_gets_a_row_that_says_so_and_the_others_theirs(brightness, name, content):
    rows = list(brightness.detect([('1', grey(4, 5, 1)), (name, content), ('2', grey(4, 5, 2))]))
    assert sorted((row['file'], row['error'] is None) for row in rows) == sorted([('1', True), (name, False), ('2', True)])
    bad, = [row for row in rows if row['error']]
    assert bad['error'].startswith(name + ': ') and bad['detections'] == [] and bad['width'] is bad['height'] is None
    assert ' object at 0x' not in bad['error']  # the same file, the same words


def test_a_picture_of_too_many_pixels_is_not_decoded(brightness):
    stream = io.BytesIO()
    Image.new('1', (9000, 9000)).save(stream, 'PNG')
    row, = brightness.detect([('bomb.png', stream.getvalue())])
    assert '9000 x 9000 pixels are more than' in row['error']


def test_what_waits_is_bounded(brightness, runs, monkeypatch):
    """An endless stream of sizes that come once."""
    monkeypatch.setattr(_batch, '_MOST_WAITING', 4000)
    taken = []

    def files():
        for number in range(200):
            taken.append(number)
            yield str(number), grey(10, 10 + number, number)
    told = 0
    for row in brightness.detect(files()):
        told += 1
        waiting = len(taken) - told
        assert waiting * 300 <= 4000 + 3 * 300 * 21
    assert told == 200 and len(runs) == 200


def test_large_pictures_go_through_alone(brightness, runs, monkeypatch):
    monkeypatch.setattr(_batch, '_MOST_AT_ONCE', 1000)
    assert len(list(brightness.detect((str(number), grey(20, 20, 9)) for number in range(4)))) == 4
    assert runs == [(1, 20, 20, 3)] * 4


def test_who_reads_gets_rows_before_the_files_end(brightness):
    def files():
        for number in range(3):
            yield str(number), grey(4, 5, number)
        raise AssertionError('read further than was asked')
    rows = brightness.detect(files())
    assert [next(rows)['file'] for _ in range(3)] == ['0', '1', '2']


def test_a_batch_that_fails_is_tried_one_by_one(tmp_path):
    with od_patch.Detector(detector_of_brightness(tmp_path / 'm', fails_above=1), batch_size=4) as detector:
        rows = list(detector.detect((str(number), grey(4, 5, number)) for number in range(4)))
    assert [row['error'] for row in rows] == [None] * 4 and [row['file'] for row in rows] == list('0123')


@pytest.mark.parametrize('shape, sizes', [
    ((2, None, None, 3), [(2, 4, 5, 3), (2, 6, 6, 3)]), ((None, 8, 9, 3), [(3, 8, 9, 3), (1, 8, 9, 3)]),
    ((2, 8, 9, 3), [(2, 8, 9, 3), (2, 8, 9, 3)]), ((None, None, None, 1), [(3, 4, 5, 1), (1, 6, 6, 1)])])
def test_a_model_of_one_batch_or_size_gets_that(tmp_path, monkeypatch, shape, sizes):
    with od_patch.Detector(detector_of_brightness(tmp_path / 'm', shape), batch_size=3) as detector:
        run, seen = detector._model.run, []
        monkeypatch.setattr(detector._model, 'run', lambda batch: seen.append(batch.shape) or run(batch))
        files = [('0', grey(4, 5, 0)), ('1', grey(4, 5, 51)), ('2', grey(6, 6, 102)), ('3', grey(4, 5, 153))]
        rows = {row['file']: row for row in detector.detect(files)}
    assert set(sizes) <= set(seen) and len(rows) == 4
    for number in range(4):
        row = rows[str(number)]
        assert row['detections'][0]['score'] == pytest.approx(number / 5.0, abs=1e-4)
        assert (row['height'], row['width']) == ((6, 6) if number == 2 else (4, 5))  # those of the file


def test_the_score_from_which_on_a_detection_is_told(tmp_path):
    with od_patch.Detector(detector_of_brightness(tmp_path / 'm', labels=''), min_score=0.5) as detector:
        rows = {row['file']: row for row in detector.detect([('dark', grey(4, 5, 100)), ('bright', grey(4, 5, 200))])}
    assert rows['dark']['detections'] == [] and rows['dark']['error'] is None
    found, = rows['bright']['detections']
    assert found['name'] is None and detector.names == {}


def test_what_cannot_detect_is_refused_when_it_is_loaded(tmp_path):
    with pytest.raises(_errors.InputRefused, match='gives no detection_scores under serving_default, but detection_boxes'):
        od_patch.Detector(detector_of_brightness(tmp_path / 'no', outputs=['detection_boxes', 'detection_classes']))
    with pytest.raises(_errors.InputRefused, match='cannot be run'):
        od_patch.Detector(detector_of_brightness(tmp_path / 'fails', fails_above=0))
    with pytest.raises(_errors.InputRefused, match='saved_model.pb'):
        od_patch.Detector(str(tmp_path))
    for wrong in ({'batch_size': 0}, {'threads': 0}):
        with pytest.raises(_errors.UsageError, match='count from 1'):
            od_patch.Detector(str(tmp_path), **wrong)


def test_a_program_stays_eager(tmp_path):
    tf = _tensorflow.tf1()
    before = tf.executing_eagerly(), tf.get_default_graph()
    with od_patch.Detector(detector_of_brightness(tmp_path / 'm'), threads=1):
        assert (tf.executing_eagerly(), tf.get_default_graph()) == before


def _example(**features):
    example = _tensorflow.tf1().train.Example()
    for key, value in features.items():
        example.features.feature['image/' + key].bytes_list.value.append(value)
    return example.SerializeToString()


@pytest.mark.parametrize('record, name, content', [
    (_example(filename=b'a/b.jpg', source_id=b'7', encoded=b'x'), 'a/b.jpg', b'x'),
    (_example(source_id=b'7', encoded=b'x'), '7', b'x'), (_example(filename=b'', encoded=b'x'), None, b'x'),
    (_example(filename='é'.encode('utf-8')), 'é', b''), (_example(), None, b''), (b'\xff\xff', None, b'')])
def test_the_image_of_a_record(record, name, content):
    found = od_patch.image_of_example(record)
    assert found[1] == content and (found[0] == name if name else found[0].startswith('record '))


@pytest.mark.parametrize('input_type', ['image_tensor', 'encoded_image_string_tensor'])
def test_an_export_answers_as_it_does_when_it_is_asked_image_by_image(exported, input_type):
    # Exports that other tests have, too.
    encoded = {'input_type': input_type, 'extra_signatures': ['encoded_image_bytes']}
    export = exported(**(dict(SIGNED, saved_model_variables='resource') if input_type == 'image_tensor' else encoded))
    files = []
    for name in sorted(os.listdir(shapes.FOLDER)):
        if name.endswith('.png'):
            with open(os.path.join(shapes.FOLDER, name), 'rb') as file:
                files.append((name, file.read()))
    with open(os.path.join(shapes.FOLDER, '..', '..', 'docs', 'shapes.png'), 'rb') as file:
        files.append(('sheet', file.read()))
    with od_patch.Detector(export, min_score=0.5) as detector:
        rows = {row['file']: row for row in detector.detect(files)}
        alone = {row['file']: row for one in files for row in detector.detect([one])}
        names = {1: 'circle', 2: 'square', 3: 'triangle', 4: 'star'}
        assert detector.names == (names if input_type == 'image_tensor' else {})
    assert len(rows) == len(files) >= 3 and all(row['detections'] for row in rows.values())
    for name, row in rows.items():
        assert [found['name'] for found in row['detections']] == [found['name'] for found in alone[name]['detections']]
        numpy.testing.assert_allclose([found['box'] for found in row['detections']],
                                      [found['box'] for found in alone[name]['detections']], atol=1e-5)
