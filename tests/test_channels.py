"""Detectors of images that have not three channels: grey, with depth, with more bands. Everything takes any number.

Exports are compared bit for bit with the release's own; what comes after an export is tried on small models.
"""
import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import _pixels  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch import proof  # noqa: E402
from od_patch.api import _export  # noqa: E402
from od_patch.environment import _environment  # noqa: E402
from od_patch.graphs import _images  # noqa: E402
from od_patch.graphs import _models  # noqa: E402
from od_patch.saved_model import _saved_model  # noqa: E402
from od_patch.serving import _client  # noqa: E402
from od_patch.serving import _commands  # noqa: E402
from od_patch.serving import _publish  # noqa: E402
from od_patch.serving import _requests  # noqa: E402
from od_patch.serving import _signatures  # noqa: E402
from od_patch.serving import _warmup  # noqa: E402
from tests.serving import models  # noqa: E402
from tests.support import exports  # noqa: E402
from tests.support import parity  # noqa: E402

pytestmark = pytest.mark.once

NUMBERS = (1, 2, 3, 4, 6)


@pytest.mark.parametrize('config, channels', [
    pytest.param(config, channels, marks=pytest.mark.xdist_group('{} channels'.format(channels)))
    for config in ('ssd', 'faster_rcnn') for channels in (1, 4, 6)])
def test_an_export_is_the_releases_bit_for_bit(config, channels, checkpoint_of, tmp_path):
    shape = '-1,-1,-1,{}'.format(channels) if config == 'ssd' else '1,72,88,{}'.format(channels)
    prefix = checkpoint_of(config, channels=channels)
    theirs = exports.upstream(exports.config_path(config), prefix, str(tmp_path / 'theirs'), input_shape=shape)
    output = str(tmp_path / 'ours')
    result = exports.ours(exports.config_path(config), prefix, output, input_shape=shape, verify=config == 'ssd')
    assert result.exit_code == 0, result.stderr
    frozen = parity.read_frozen_graph(theirs)
    parity.assert_same_graph(parity.read_frozen_graph(output), frozen)
    images = np.random.RandomState(channels).randint(0, 256, (1, 72, 88, channels)).astype(np.uint8)
    outputs, signature = parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': images})
    expected = parity.run_frozen_graph(frozen, signature, {'inputs': images})
    parity.assert_bit_equal(outputs, expected)
    if config == 'ssd':
        assert 'files, weights and outputs' in result.stdout and 'not checked' not in result.stdout


# What comes after an export, on a model that answers with the sum of each image.


@pytest.fixture(params=NUMBERS)
def channels(request):
    return request.param


@pytest.fixture
def saved_model(channels, tmp_path):
    return models.write(models.sums([None, None, None, channels]), tmp_path / 'sums' / 'saved_model')


def test_its_outputs_are_verified(saved_model, channels, tmp_path):
    graph = models.sums([None, None, None, channels]).graph_def
    frozen = tmp_path / 'frozen_inference_graph.pb'
    frozen.write_bytes(graph.SerializeToString())
    answer = proof.verify(saved_model=saved_model, frozen_graph=str(frozen))
    assert [check.status for check in answer.checks if check.part == 'outputs'] == ['ok'] * 4
    assert answer.runs[0].rows[0].elements == 2


def test_a_request_has_its_channels_and_is_answered(saved_model, channels, tmp_path):
    example = _requests.write(saved_model, str(tmp_path / 'request'), model_name='sums')
    with open(str(tmp_path / 'request' / 'request.json'), encoding='utf-8') as file:
        row, = json.load(file)['instances']
    pixels = np.array(row['inputs'])
    assert pixels.shape == (360, 480, channels)
    answer, = models.run(saved_model, [('serving_default', pixels[None].astype('u1'))])
    assert answer['total'].tolist() == [pixels.sum()]
    assert ('480 x 360 pixels, {} channel'.format(channels) in _requests.lines(example)[1]) == (channels != 3)


def test_the_line_to_try_it_has_its_channels(saved_model, channels, tmp_path):
    published = _publish.publish(saved_model, _publish.PublishRequest(str(tmp_path / 'models')))
    line = _commands.trial(published)
    assert json.dumps({'instances': [[[[0] * channels]]]}) in line
    large = published._replace(input=published.input._replace(shape=[2, 9, 20, channels]))
    assert '[[[[0] * {}] * 20] * 9] * 2'.format(channels) in _commands.trial(large)


def test_it_is_warmed_up(saved_model, channels):
    pytest.importorskip('tensorflow_serving.apis.prediction_log_pb2')
    assert _warmup.write(saved_model, []).num_records == 2


def test_two_graphs_of_it_are_run(channels, tmp_path):
    """As od-patch compare --run does."""
    from od_patch.compare import _run
    from od_patch.compare import _verdict
    path = str(tmp_path / 'sums.pb')
    with open(path, 'wb') as file:
        file.write(models.sums([None, None, None, channels]).graph_def.SerializeToString())
    answer = _verdict.compare(path, path, ['total'])
    assert [row['differing'] for row in _run.run(answer, 1).outputs] == [0]


@pytest.mark.parametrize('name', ['picture.png', 'picture.npy'])
def test_its_client_reads_pictures(channels, name, tmp_path, monkeypatch):
    from tensorflow.core.framework import tensor_pb2
    monkeypatch.setattr(_client, 'SETTINGS', {
        'kind': 'image_tensor', 'dtype': 'uint8', 'shape': [None, None, None, channels], 'batched': True})
    path = str(tmp_path / name)
    array = np.random.RandomState(0).randint(0, 256, (5, 7, channels)).astype('u1')
    if name.endswith('.npy'):
        np.save(path, array)
    elif channels in (1, 3, 4):
        with open(path, 'wb') as file:
            file.write(_images.encoded(array, 'PNG'))
    else:
        with pytest.raises(ValueError, match='of {} channels, which image files do not have'.format(channels)):
            _client.read(path)
        return
    tensor = tensor_pb2.TensorProto()
    _client.fill(tensor, [_client.read(path)] * 2)
    made = tensorflow.make_ndarray(tensor)
    assert made.shape == (2, 5, 7, channels) and (made[1] == array).all()


def test_its_client_refuses_an_array_of_other_channels(tmp_path, monkeypatch):
    np.save(str(tmp_path / 'a.npy'), np.zeros((2, 2), 'u1'))
    monkeypatch.setattr(_client, 'SETTINGS', {'kind': 'image_tensor', 'shape': [None, None, None, 4]})
    with pytest.raises(ValueError, match='has 1 channels, and the model takes 4'):
        _client.read(str(tmp_path / 'a.npy'))


# Encoded images


@pytest.mark.parametrize('count', [1, 3, 4])
def test_a_signature_for_encoded_images_has_as_many_channels(count, tmp_path):
    folder = models.write(models.signed([None, None, None, count]), tmp_path / 'signed')
    array = np.random.RandomState(1).randint(0, 256, (6, 5, count)).astype('u1')
    encoded, plain = models.run(folder, [
        ('encoded_image_bytes', np.array([_images.encoded(array, 'PNG')], object)), ('serving_default', array[None])])
    assert encoded['total'].tolist() == plain['total'].tolist() == [array.sum()]


@pytest.mark.parametrize('count', [2, 5, 6])
def test_a_signature_for_encoded_images_is_refused_where_no_file_has_these_channels(count):
    wish = _signatures.signature_options(extra=['encoded_image_bytes'])
    with pytest.raises(_errors.UsageError, match='--input_shape has {}'.format(count)):
        _signatures.check_input_type(wish, 'image_tensor', [None, None, None, count])
    with pytest.raises(_errors.UsageError, match='--input_shape has {}'.format(count)):
        models.signed([None, None, None, count])
    _signatures.check_input_type(_signatures.signature_options(), 'image_tensor', [None, None, None, count])


# Pictures


@pytest.mark.parametrize('held', range(1, 7))
def test_what_a_picture_lacks_is_made_up_and_no_two_channels_are_alike(held):
    array = np.random.RandomState(held).randint(0, 256, (24, 20, held)).astype('u1')
    for count in range(1, 9):
        made = _pixels.with_channels(array, count)
        assert made.shape == (24, 20, count) and made.dtype == np.uint8
        kept = min(held, count)
        if count > 1 and held > 1:
            assert (made[:, :, :kept] == array[:, :, :kept]).all()
        if held > 2:
            assert len({made[:, :, place].tobytes() for place in range(count)}) == count
    assert _pixels.with_channels(array, held) is array


def test_grey_is_what_pillow_makes_of_colours():
    array = np.random.RandomState(0).randint(0, 256, (50, 40, 3)).astype('u1')
    grey = np.asarray(_images.pillow().fromarray(array).convert('L'))
    assert (_pixels.with_channels(array, 1)[:, :, 0] == grey).all()
    assert (_pixels.with_channels(_pixels.with_channels(grey[:, :, None], 3), 1)[:, :, 0] == grey).all()


@pytest.mark.parametrize('mode, count', [('L', 3), ('LA', 4), ('RGB', 3), ('RGBA', 4), ('P', 3), ('CMYK', 3)])
def test_a_file_with_an_alpha_channel_has_it_for_models_of_four(mode, count, tmp_path):
    name = 'a.tiff' if mode == 'CMYK' else 'a.png'
    image = _images.pillow().fromarray(np.random.RandomState(2).randint(0, 256, (9, 8, 4)).astype('u1'), 'RGBA')
    image = image.convert('RGB').convert(mode) if mode in ('P', 'CMYK') else image.convert(mode)
    image.save(str(tmp_path / name))
    (picture,), _ = _images.load([str(tmp_path / name)], 1)
    assert picture.array.shape[2] == count
    assert (picture.with_channels(3) == np.asarray(image.convert('RGB'))).all()
    if mode == 'RGBA':
        model_input = _models.Input('x:0', _models.IMAGE, 'uint8', [None, None, None, 4])
        assert (_models.batch_of(model_input, [picture])[0] == np.asarray(image)).all()


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (4, 5, 6)])
def test_an_array_is_a_picture(shape, tmp_path):
    array = np.arange(np.prod(shape)).reshape(shape).astype('u1')
    np.save(str(tmp_path / 'a.npy'), array)
    (picture,), _ = _images.load([str(tmp_path)], 1)
    assert (picture.array == array.reshape(4, 5, -1)).all()


@pytest.mark.parametrize('array', [np.zeros((3, 3), 'f4'), np.zeros(3, 'u1'), np.zeros((0, 3), 'u1'),
                                   np.array([object()]), np.zeros((1, 2, 3, 4), 'u1')])
def test_an_array_that_is_no_picture_is_refused(array, tmp_path):
    np.save(str(tmp_path / 'a.npy'), array)
    with pytest.raises(_errors.InputRefused, match='a.npy'):
        _images.load([str(tmp_path / 'a.npy')], 1)


def test_a_picture_is_brought_to_size_channel_by_channel():
    """Pillow takes a fourth channel for what the others are weighed by."""
    array = np.random.RandomState(3).randint(0, 256, (30, 40, 6)).astype('u1')
    for count in (1, 4, 6):
        model_input = _models.Input('x:0', _models.IMAGE, 'uint8', [1, 15, 10, count])
        found = _models.batch_of(model_input, [_images.Picture('p', array[:, :, :count])])
        assert found.shape == (1, 15, 10, count)
        for place in range(count):
            one = _images.pillow().fromarray(np.ascontiguousarray(array[:, :, place])).resize((10, 15), 2)
            assert (found[0, :, :, place] == np.asarray(one)).all()


# Flags


@pytest.fixture
def check_shape(tf1_behaviour):
    """A function from --input_shape and --input_type to the refusal; None where there is none."""
    del tf1_behaviour
    exporter = _environment.import_exporter()

    def check(shape, input_type='image_tensor'):
        try:
            _export._check_input_shape(shape, input_type, exporter)  # pylint: disable=protected-access
        except _errors.UsageError as error:
            return error
        return None
    return check


@pytest.mark.parametrize('shape, problem', [
    ('1,300,300', 'is not the shape'), ('1,300,300,-1', 'is not the shape'), ('1,300,300,0', 'is not the shape'),
    ('-2,300,300,1', 'is not the shape'), ('0,300,300,3', 'is not the shape'),
    ('1,300,300,x', 'is not a list of numbers')])
def test_a_shape_that_is_none_of_images_is_refused(check_shape, shape, problem):
    refusal = check_shape(shape)
    assert problem in refusal.problem and 'batch,height,width,channels' in refusal.remedy


@pytest.mark.parametrize('shape', ['1,300,300,1', '-1,-1,-1,4', '2,300,-1,6', '-1,-1,-1,3', '1,1,1,64'])
def test_any_number_of_channels_may_be_asked_for(check_shape, shape):
    assert check_shape(shape) is None


@pytest.mark.parametrize('input_type', ['tf_example', 'encoded_image_string_tensor'])
def test_encoded_images_of_other_channels_are_refused_as_the_release_decodes_three(check_shape, input_type):
    assert 'has 4 channels, and the release decodes images of --input_type={}'.format(input_type) in check_shape(
        '-1,-1,-1,4', input_type).problem


# What is said of a request is what is in its file


@pytest.mark.parametrize('shape', [[2, 150, 120, 3], [None, 30, None, 3], [3, None, None, 1], [1, 9, 8, 6], [None] * 4])
def test_size_and_bytes_that_are_told_are_those_of_the_file(shape, tmp_path):
    folder = models.write(models.sums(shape), tmp_path / 'sums' / 'saved_model')
    example = _requests.write(folder, str(tmp_path / 'request'), model_name='sums')
    path = tmp_path / 'request' / 'request.json'
    rows = [np.array(row['inputs']) for row in json.loads(path.read_text())['instances']]
    assert len(rows) == (shape[0] or 1)
    told = _requests.lines(example)[1]
    assert '{} x {} pixels'.format(rows[0].shape[1], rows[0].shape[0]) in told
    assert ('{} times a drawn scene'.format(len(rows)) in told) == (len(rows) > 1)
    sizes = {(kind, way): size for kind, way, size in example.sizes}
    assert sizes['image_tensor', 'REST'] == len(path.read_text().strip())
    predict_pb2 = pytest.importorskip('tensorflow_serving.apis.predict_pb2')
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = 'sums', 'serving_default'
    request.inputs['inputs'].CopyFrom(tensorflow.make_tensor_proto(np.stack(rows).astype('u1')))
    assert sizes['image_tensor', 'gRPC'] == request.ByteSize()


@pytest.mark.parametrize('bands, told', [
    (6, ''), (4, ', those after channel 4 made up'), (3, ', those after channel 3 made up')])
def test_channels_that_a_picture_of_the_user_lacks_are_told_to_be_made_up(bands, told, tmp_path):
    folder = models.write(models.sums([None, None, None, 6]), tmp_path / 'sums' / 'saved_model')
    np.save(str(tmp_path / 'a.npy'), np.zeros((4, 5, bands), 'u1'))
    example = _requests.write(folder, str(tmp_path / 'request'), model_name='sums', image=str(tmp_path / 'a.npy'))
    assert example.picture == '{} (5 x 4 pixels, 6 channels{})'.format(tmp_path / 'a.npy', told)


def _of_one_image(shape):
    """A ``MetaGraphDef`` that takes an encoded image and answers with its sum; ``shape`` is that of the strings."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        strings = tf.placeholder(tf.string, shape, name='encoded_image_string_tensor')
        total = tf.reshape(tf.reduce_sum(tf.cast(tf.image.decode_png(tf.reshape(strings, [])), tf.int32)), [1])
        meta_graph = tf.train.export_meta_graph(graph=graph)
        meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(strings, {'total': total}))
    meta_graph.meta_info_def.tags.append('serve')
    return meta_graph


@pytest.mark.parametrize('shape, form', [([], 'inputs'), ([None], 'instances'), ([1], 'instances')])
def test_a_model_of_one_image_is_tried_with_columns_as_it_is_asked(shape, form, tmp_path):
    """TensorFlow Serving takes rows only of inputs that have a batch."""
    folder = models.write(_of_one_image(shape), tmp_path / 'one' / 'saved_model')
    published = _publish.publish(folder, _publish.PublishRequest(str(tmp_path / 'models')))
    words = shlex.split(_commands.trial(published))
    body = json.loads(words[words.index('-d') + 1])
    assert list(body) == [form] and isinstance(body[form], list) == bool(shape)
    example = _requests.write(folder, str(tmp_path / 'request'), model_name='one')
    assert ('request.json' in example.files) == bool(shape)
    assert dict((row[:2], row[2]) for row in example.sizes)['encoded_image_string_tensor', 'REST'] == len(
        (tmp_path / 'request' / example.files[0]).read_text().strip())


@pytest.mark.parametrize('shape', [[1, 30, 40, 3], [2, 50, 60, 1], [None] * 4])
@pytest.mark.parametrize('rows', [True, False])
def test_a_long_line_is_made_by_a_program_that_prints_the_same(shape, rows):
    model_input = _models.Input('image_tensor:0', _models.IMAGE, 'uint8', shape)
    body, program = _commands._body(model_input, rows)  # pylint: disable=protected-access
    assert list(json.loads(body)) == ['instances' if rows else 'inputs']
    assert json.loads(subprocess.check_output([
        sys.executable, '-c', 'import json; print(json.dumps({}))'.format(program)]).decode()) == json.loads(body)
