"""The request and the client that are written for a model: right for its input, its signature and its labels.

What a server makes of them is in ``test_server``.
"""
import base64
import json
import os
import shutil

import numpy
import pytest

from od_patch import _errors
from od_patch.graphs import _images
from od_patch.graphs import _models
from od_patch.graphs import _servable
from od_patch.graphs import _sessions
from od_patch.serving import _client
from od_patch.serving import _names
from od_patch.serving import _publish
from od_patch.serving import _requests
from tests.support import exports
from tests.support import needs
from tests.support import shapes

tensorflow = pytest.importorskip('tensorflow')

pytestmark = [pytest.mark.once, pytest.mark.xdist_group('serving')]

KINDS = ('image_tensor', 'encoded_image_string_tensor', 'tf_example')


@pytest.fixture(scope='session')
def of_kind(exported):
    """A function from an input type to the SavedModel of an export with it."""
    def saved_model(kind):
        flags = {} if kind == 'image_tensor' else {'input_type': kind}
        return os.path.join(exported(**flags), 'saved_model')
    return saved_model


@pytest.fixture(scope='session')
def picture(tmp_path_factory):
    """A PNG: what it decodes to is the same for everybody."""
    path = str(tmp_path_factory.mktemp('pictures') / 'drawn.png')
    scene, = _images.drawn(1)
    _images.pillow().fromarray(scene.array[:96, :128]).save(path)
    return path


@pytest.fixture
def labelled(served, tmp_path):
    """A SavedModel with a label map."""
    folder = str(tmp_path / 'shapes' / 'saved_model')
    shutil.copytree(os.path.join(served, 'saved_model'), folder)
    os.makedirs(os.path.join(folder, 'assets'))
    shutil.copyfile(shapes.LABEL_MAP, os.path.join(folder, 'assets', 'label_map.pbtxt'))
    return folder


def read(folder, name):
    with open(os.path.join(str(folder), name), encoding='utf-8') as file:
        return json.load(file)


def value_of(jsonable):
    return base64.b64decode(jsonable['b64'], validate=True) if isinstance(jsonable, dict) else jsonable


def run(saved_model, batch):
    servable = _servable.Servable(saved_model)
    with _models.saved_model(servable, _sessions.unoptimized_config()) as model:
        return model.run(batch)


@pytest.fixture(scope='session')
def of_pixels(of_kind, picture):
    """What the detector sees in the picture."""
    pixels = numpy.asarray(_images.pillow().open(picture))
    return run(of_kind('image_tensor'), pixels[None])


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_sent_is_what_the_model_takes(of_kind, picture, of_pixels, tmp_path, kind):
    example = _requests.write(of_kind(kind), str(tmp_path), image=picture)
    assert example.files == ['request.json', 'request.columns.json', 'curl.sh', 'client.py']
    rows, columns = read(tmp_path, 'request.json'), read(tmp_path, 'request.columns.json')
    assert rows['signature_name'] == columns['signature_name'] == 'serving_default'
    (row,), (column,) = rows['instances'], columns['inputs']
    assert row == {'inputs': column}
    assert isinstance(column, dict) == (kind != 'image_tensor')
    batch = [value_of(column)]
    found = run(of_kind(kind), numpy.array(batch, 'u1' if kind == 'image_tensor' else object))
    assert set(found) == set(of_pixels)
    for name in found:
        numpy.testing.assert_array_equal(found[name], of_pixels[name], name)


def test_the_example_of_the_client_is_one_that_tensorflow_reads():
    for data in (b'x', b'y' * 200, os.urandom(70000)):
        example = tensorflow.train.Example.FromString(_client.example(data))
        assert dict(example.features.feature)['image/encoded'].bytes_list.value[:] == [data]
        assert example.SerializeToString() == _client.example(data)


@pytest.mark.parametrize('kind', KINDS)
def test_the_client_fills_tensors_as_tensorflow_does(kind, monkeypatch, picture):
    from tensorflow.core.framework import tensor_pb2
    monkeypatch.setattr(_client, 'SETTINGS', {'kind': kind, 'dtype': 'uint8', 'shape': None, 'batched': True})
    batch = [_client.read(picture)] * 2
    tensor = tensor_pb2.TensorProto()
    _client.fill(tensor, batch)
    made = tensorflow.make_ndarray(tensor)
    assert made.shape[0] == 2
    if kind == 'image_tensor':
        numpy.testing.assert_array_equal(made[1], numpy.asarray(_images.pillow().open(picture)))
    else:
        assert made.tolist() == batch


def test_pixels_of_other_types_and_sizes(monkeypatch, tmp_path):
    from tensorflow.core.framework import tensor_pb2
    scene, = _images.drawn(1)
    picture = str(tmp_path / 'dark.png')  # so dark that an int8 holds it
    _images.pillow().fromarray(scene.array // 2).save(picture)
    pixels = numpy.asarray(_images.pillow().open(picture).resize((32, 24), _images.pillow().BILINEAR))
    for dtype in sorted(_client.TYPES):
        settings = {'kind': 'image_tensor', 'dtype': dtype, 'shape': [1, 24, 32, 3], 'batched': True}
        monkeypatch.setattr(_client, 'SETTINGS', settings)
        tensor = tensor_pb2.TensorProto()
        _client.fill(tensor, [_client.read(picture)])
        made = tensorflow.make_ndarray(tensor)
        assert made.shape == (1, 24, 32, 3) and made.dtype == dtype
        numpy.testing.assert_array_equal(made[0], pixels)


def test_sizes_are_those_of_the_requests(of_kind, picture, tmp_path):
    predict_pb2 = needs.module('tensorflow_serving.apis.predict_pb2')
    for kind in KINDS:
        folder = tmp_path / kind
        example = _requests.write(of_kind(kind), str(folder), model_name='shapes', image=picture)
        sizes = {(row[0], row[1]): row[2] for row in example.sizes}
        assert sizes[kind, 'REST'] == os.path.getsize(str(folder / 'request.json')) - 1
        column, = read(folder, 'request.columns.json')['inputs']
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = 'shapes', 'serving_default'
        request.inputs['inputs'].CopyFrom(tensorflow.make_tensor_proto(
            [value_of(column)], tensorflow.uint8 if kind == 'image_tensor' else tensorflow.string))
        assert sizes[kind, 'gRPC'] == request.ByteSize()


def test_requests_of_encoded_images_are_the_smaller(served, tmp_path):
    sizes = {row[:2]: row[2] for row in _requests.write(served, str(tmp_path)).sizes}
    assert sizes['image_tensor', 'REST'] > 4 * sizes['image_tensor', 'gRPC'] > 4 * 480 * 360 * 3
    assert sizes['image_tensor', 'gRPC'] > 5 * sizes['encoded_image_string_tensor', 'REST']
    assert sizes['encoded_image_string_tensor', 'REST'] > 1.3 * sizes['encoded_image_string_tensor', 'gRPC']


def test_the_labels_go_with_the_client(labelled, tmp_path):
    result = exports.run(['-m', 'od_patch.cli', 'request', labelled, '--output_directory', str(tmp_path / 'try')])
    assert result.exit_code == 0, result.stderr
    assert 'Classes: 1 circle, 2 square, 3 triangle, 4 star' in result.stdout
    settings = {}
    exec(compile((tmp_path / 'try' / 'client.py').read_text().partition("if __name__ ==")[0], 'client', 'exec'),
         dict(settings, __file__=str(tmp_path / 'try' / 'client.py'), __name__='client'), settings)
    assert settings['SETTINGS']['names'] == {1: 'circle', 2: 'square', 3: 'triangle', 4: 'star'}
    assert settings['SETTINGS']['model'] == 'shapes'


def test_label_maps_are_read_without_the_object_detection_api():
    text = ('item { name: "n1" id: 1 display_name: "caf\\303\\251" keypoints { id: 7 label: "x" } } '
            'item { id: 90 name: "a" }')
    assert _names.parse(text, 'it') == {1: 'caf\u00e9', 90: 'a'}
    with pytest.raises(_errors.InputRefused, match='is no label map'):
        _names.parse('item {', 'it')


def test_a_folder_of_versions_means_the_largest_and_gives_the_name(served, labelled, tmp_path):
    base = str(tmp_path / 'models' / 'detector')
    _publish.publish(served, _publish.PublishRequest(base, 9))
    _publish.publish(labelled, _publish.PublishRequest(base, 10))
    example = _requests.write(base, str(tmp_path / 'try'))
    assert example.model_name == 'detector' and example.names and example.saved_model == os.path.join(base, '10')
    assert _requests.write(os.path.join(base, '9'), str(tmp_path / 'nine')).model_name == 'detector'
    assert 'v1/models/detector:predict' in (tmp_path / 'nine' / 'curl.sh').read_text()


def test_nothing_is_replaced_without_leave(served, tmp_path):
    (tmp_path / 'client.py').write_text('mine')
    with pytest.raises(_errors.OutputRefused, match='client.py is there already'):
        _requests.write(served, str(tmp_path))
    assert os.listdir(str(tmp_path)) == ['client.py'] and (tmp_path / 'client.py').read_text() == 'mine'
    _requests.write(served, str(tmp_path), overwrite=True)
    assert 'def main' in (tmp_path / 'client.py').read_text()
    with pytest.raises(_errors.OutputRefused, match='lies in the SavedModel'):
        _requests.write(served, os.path.join(served, 'saved_model', 'try'), overwrite=True)


def test_what_cannot_be_asked_is_refused(served, tmp_path):
    with pytest.raises(_errors.InputRefused, match='has no signature \'x\' \\(it has .*serving_default'):
        _requests.write(served, str(tmp_path), signature='x')
    with pytest.raises(_errors.InputRefused, match='is no image'):
        _requests.write(served, str(tmp_path), image=shapes.LABEL_MAP)
    with pytest.raises(_errors.UsageError, match='cannot stand in the URL'):
        _requests.write(served, str(tmp_path), model_name='a/b')
    assert not os.listdir(str(tmp_path))


def test_rows_are_left_out_where_servers_refuse_them(served, tmp_path, monkeypatch):
    servable = _servable.Servable(os.path.join(served, 'saved_model'))
    servable.signature.outputs['total'].name = 'num_detections:0'
    servable.signature.outputs['total'].tensor_shape.SetInParent()  # a scalar
    monkeypatch.setattr(_requests, '_servable', lambda folder, signature: servable)
    example = _requests.write(served, str(tmp_path))
    assert example.files == ['request.columns.json', 'curl.sh', 'client.py']
    assert 'request.columns.json' in (tmp_path / 'curl.sh').read_text()


def test_the_client_says_what_is_wrong(served, tmp_path):
    _requests.write(served, str(tmp_path))
    client = str(tmp_path / 'client.py')
    for arguments, problem in ((['--rest_port', '1'], 'does not answer'), (['nowhere.png'], 'nowhere.png')):
        result = exports.run([client] + arguments)
        assert result.exit_code == 1 and problem in result.stderr and 'Traceback' not in result.stderr
    assert exports.run(['-S', client, '--help']).exit_code == 0, 'no package is needed for that'


def test_rows_have_names_but_for_a_model_with_one_output(monkeypatch):
    monkeypatch.setattr(_client, 'SETTINGS', {'outputs': ['detection_boxes'], 'batched': True})
    assert _client.of_rows([[1, 2], [3, 4]]) == [{'detection_boxes': [1, 2]}, {'detection_boxes': [3, 4]}]
    named = [{'detection_boxes': [1], 'detection_scores': [2]}, {'detection_boxes': [3], 'detection_scores': [4]}]
    assert _client.of_rows(named) == named == _client.of_columns(
        {'outputs': {'detection_boxes': [[1], [3]], 'detection_scores': [[2], [4]]}}, 2)
    assert _client.of_columns({'outputs': [[1, 2], [3, 4]]}, 2) == _client.of_rows([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match='no outputs'):
        _client.of_columns({'error': 'x'}, 1)


def test_an_export_and_a_publication_write_the_request_too(tmp_path):
    flags = dict(artifacts='saved_model', label_map_path=shapes.LABEL_MAP, extra_signatures='encoded_image_bytes',
                 example_request=tmp_path / 'try')
    result = exports.ours(shapes.CONFIG, shapes.FOLDER, tmp_path / 'shapes', **flags)
    assert result.exit_code == 0, result.stderr
    assert 'Classes: 1 circle, 2 square, 3 triangle, 4 star' in result.stdout
    assert "'model': 'shapes'" in (tmp_path / 'try' / 'client.py').read_text()

    result = exports.run(['-m', 'od_patch.cli', 'publish', tmp_path / 'shapes', tmp_path / 'models' / 'detector',
                          '--example_request', tmp_path / 'again'])
    assert result.exit_code == 0, result.stderr
    assert 'sh {}/curl.sh'.format(tmp_path / 'again') in result.stdout
    assert "'model': 'detector'" in (tmp_path / 'again' / 'client.py').read_text()

    # The signature for encoded images is asked in its own words.
    example = _requests.write(str(tmp_path / 'shapes'), str(tmp_path / 'encoded'), signature='encoded_image_bytes')
    rows = read(tmp_path / 'encoded', 'request.json')
    assert rows['signature_name'] == 'encoded_image_bytes' and example.input.kind == 'encoded_image_string_tensor'
    row, = rows['instances']
    assert list(row) == ['image_bytes'] and value_of(row['image_bytes'])[:2] == b'\xff\xd8'  # a JPEG


@pytest.mark.parametrize('flags, problem', [
    ({}, 'client.py is there already'), ({'all_checkpoints': 'true'}, 'the one SavedModel'),
    ({'artifacts': 'frozen_graph'}, 'the one SavedModel')])
def test_an_export_whose_request_cannot_be_written_is_refused_before(tmp_path, flags, problem):
    (tmp_path / 'client.py').write_text('mine')
    result = exports.ours(shapes.CONFIG, shapes.FOLDER, tmp_path / 'shapes', example_request=tmp_path, **flags)
    assert result.exit_code in (2, 7) and problem in result.stderr
    assert os.listdir(str(tmp_path)) == ['client.py']
