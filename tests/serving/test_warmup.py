"""Warm-up requests: what a server reads, in the type and size of the export, each of them run before."""
import io
import os
import shutil
import sys

import numpy
import pytest
from PIL import Image

import od_patch
from od_patch import _errors
from od_patch.serving import _publish
from od_patch.serving import _warmup
from tests.serving import models
from tests.support import exports
from tests.support import needs

tensorflow = pytest.importorskip('tensorflow')
prediction_log_pb2 = needs.module('tensorflow_serving.apis.prediction_log_pb2')
from od_patch import _tensorflow  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.xdist_group('serving')


def requests_in(saved_model):
    """[(signature, key of the input, array)] of the file that a server reads."""
    found = []
    for record in _tensorflow.tf1().python_io.tf_record_iterator(
            os.path.join(saved_model, 'assets.extra', 'tf_serving_warmup_requests')):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof('log_type') == 'predict_log'
        request = log.predict_log.request
        (key, value), = request.inputs.items()
        found.append((request.model_spec.signature_name, key, tensorflow.make_ndarray(value)))
    return found


@pytest.fixture
def copy(served, tmp_path):
    """A SavedModel of the shapes detector that may be changed."""
    shutil.copytree(os.path.join(served, 'saved_model'), str(tmp_path / 'copy'))
    return str(tmp_path / 'copy')


def test_each_signature_is_warmed_up_with_what_it_takes(full):
    requests = requests_in(os.path.join(full, 'saved_model'))
    assert [(signature, key) for signature, key, _ in requests] == [
        ('encoded_image_bytes', 'image_bytes'), ('serving_default', 'image')] * 2
    for _, _, strings in requests[::2]:
        assert strings.shape == (1,) and strings[0].startswith(b'\x89PNG')
    for _, _, pixels in requests[1::2]:
        assert pixels.dtype == numpy.uint8 and pixels.shape == (1, 360, 480, 3)


def test_they_are_published_with_the_export(full, full_base):
    assert os.path.isdir(full) and os.listdir(full_base) == ['4100']
    assert len(requests_in(os.path.join(full_base, '4100'))) == 4


def test_given_images_are_sent_in_their_own_size(copy, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    Image.fromarray(models.noise(50, 70)).save(str(folder / 'a.png'))
    Image.fromarray(models.noise(90, 40)).save(str(folder / 'b.bmp'))
    written = _warmup.write(copy, [str(folder)])
    assert (written.num_records, written.notes) == (2, [])
    assert [pixels.shape for _, _, pixels in requests_in(copy)] == [(1, 50, 70, 3), (1, 90, 40, 3)]
    assert numpy.array_equal(requests_in(copy)[0][2][0], models.noise(50, 70))


@pytest.mark.parametrize('shape, sent', [([2, None, None, 3], (2, 360, 480, 3)), ([None, 32, 48, 3], (1, 32, 48, 3)),
                                         ([3, 32, 48, 3], (3, 32, 48, 3))])
def test_a_fixed_shape_is_kept_to(tmp_path, shape, sent):
    folder = models.write(models.sums(shape), tmp_path / 'sums')
    _warmup.write(folder, [])
    assert [pixels.shape for _, _, pixels in requests_in(folder)] == [sent, sent]


@pytest.mark.usefixtures('tf1_behaviour')
@pytest.mark.parametrize('shape, size', [([None, 32, 48, 3], (32, 48)), ([None, None, 48, 3], (360, 48))])
def test_encoded_images_have_the_size_that_is_fixed_for_their_pixels(tmp_path, shape, size):
    folder = models.write(models.signed(shape), tmp_path / 'sums')
    assert _warmup.write(folder, []).num_records == 4
    for signature, _, value in requests_in(folder):
        pixels = value if signature == 'serving_default' else [Image.open(io.BytesIO(value[0]))]
        assert numpy.asarray(pixels[0]).shape == size + (3,)


def test_a_model_that_fails_on_one_gets_none(copy):
    shutil.rmtree(os.path.join(copy, 'variables'))
    with pytest.raises(_errors.ProofFailed, match='drawn scene 1'):
        _warmup.write(copy, [])
    assert os.listdir(os.path.join(copy, 'assets.extra')) == ['od_patch.json']


def test_no_more_than_a_server_takes(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(_warmup, 'MOST', 2)
    for number in range(3):
        Image.fromarray(models.noise(8, 8, number)).save(str(tmp_path / '{}.png'.format(number)))
    written = _warmup.write(copy, [str(tmp_path / '{}.png'.format(number)) for number in range(3)])
    assert written.num_records == len(requests_in(copy)) == 2
    assert written.notes == ['warm-up: the first 2 of 3 images; a server takes 2 requests and no more']


def test_the_command_adds_them_to_the_version_and_not_to_the_export(served, tmp_path):
    result = exports.run(['-m', 'od_patch.cli', 'publish', served, tmp_path / 'shapes', '--warmup_images='])
    assert result.exit_code == 0, result.stderr
    assert len(requests_in(str(tmp_path / 'shapes' / '1'))) == 2
    assert os.listdir(os.path.join(served, 'saved_model', 'assets.extra')) == ['od_patch.json']


def test_an_image_that_is_none_is_refused_and_nothing_is_published(served, tmp_path):
    (tmp_path / 'image.jpg').write_text('no image')

    def prepare(folder):
        _warmup.write(folder, [str(tmp_path / 'image.jpg')])
    with pytest.raises(_errors.InputRefused, match='is no image that can be read'):
        _publish.publish(served, _publish.PublishRequest(str(tmp_path / 'shapes')), prepare)
    assert not (tmp_path / 'shapes').exists()


def test_without_the_messages_there_is_a_line_to_type(monkeypatch):
    for name in list(sys.modules):
        if name.startswith('tensorflow_serving'):
            monkeypatch.setitem(sys.modules, name, None)
    wanted = '1.12.0' if tensorflow.__version__.startswith('1.') else r'2.\d+.\*'
    with pytest.raises(_errors.EnvironmentRefused,
                       match=r'pip install --no-deps "tensorflow-serving-api=={}"'.format(wanted)):
        _warmup.require([])


def test_they_are_for_a_savedmodel():
    with pytest.raises(_errors.UsageError, match='Add saved_model to --artifacts'):
        with od_patch.patched(warmup_images=[], artifacts=['frozen_graph']):
            pass
