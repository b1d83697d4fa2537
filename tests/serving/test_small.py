"""Warm-up, requests, the client and the lines for the shell, on models of one sum: bounds, forms and words.

What a real server makes of them is in ``test_server``; detectors are in ``test_warmup`` and ``test_requests``.
"""
import base64
import collections
import http.server
import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import types

import hypothesis
import hypothesis.strategies as st
import numpy
import pytest
from PIL import Image

from od_patch import _errors
from od_patch import _tensorflow
from od_patch.graphs import _models
from od_patch.saved_model import _saved_model
from od_patch.serving import _client
from od_patch.serving import _commands
from od_patch.serving import _names
from od_patch.serving import _publish
from od_patch.serving import _requests
from od_patch.serving import _signatures
from od_patch.serving import _warmup
from tests.serving import models

tensorflow = pytest.importorskip('tensorflow')

pytestmark = [pytest.mark.once, pytest.mark.usefixtures('tf1_behaviour')]


def pictures(folder, count, size=(4, 5), start=0):
    """Writes noise as 0.png, 1.png, …; returns their paths."""
    paths = [os.path.join(str(folder), '{}.png'.format(start + number)) for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(models.noise(size[0], size[1], start + number)).save(path)
    return paths


# Warm-up.

@pytest.fixture
def messages():
    """The messages that a server reads, which are in a package of their own."""
    return pytest.importorskip('tensorflow_serving.apis.prediction_log_pb2')


@pytest.fixture
def requests_in(messages):
    """A function from a SavedModel to [(signature, value)] of its warm-up requests."""
    from tests.serving import test_warmup
    return lambda folder: [(key, value) for key, _, value in test_warmup.requests_in(folder)]


def test_a_server_takes_a_thousand():
    """kMaxNumRecords of tensorflow_serving/servables/tensorflow/saved_model_warmup_util.h."""
    assert _warmup.MOST == 1000


@pytest.mark.parametrize('most, given, taken', [(5, 3, 2), (4, 2, 2), (4, 3, 2), (3, 2, 1), (6, 3, 3), (7, 3, 3)])
def test_the_number_that_a_server_takes_is_of_all_signatures_together(tmp_path, monkeypatch, requests_in, most, given,
                                                                      taken):
    monkeypatch.setattr(_warmup, 'MOST', most)
    folder = models.write(models.signed([None, None, None, 3]), tmp_path / 'model')
    written = _warmup.write(folder, pictures(tmp_path, given))
    found = requests_in(folder)
    assert written.num_records == len(found) == 2 * taken <= most
    assert [key for key, _ in found] == ['encoded_image_bytes', 'serving_default'] * taken
    for number, (_, pixels) in enumerate(found[1::2]):
        assert numpy.array_equal(pixels[0], models.noise(4, 5, number))
    assert written.notes == ([] if taken == given else [
        'warm-up: the first {} of {} images; a server takes {} requests and no more'.format(taken, given, most)])
    assert written.num_bytes == os.path.getsize(os.path.join(folder, _warmup.FILE))
    assert os.listdir(os.path.join(folder, 'assets.extra')) == ['tf_serving_warmup_requests']


def test_requests_that_are_there_are_replaced(tmp_path, requests_in):
    folder = models.write(models.sums([None, None, None, 3]), tmp_path / 'model')
    assert _warmup.write(folder, pictures(tmp_path, 3)).num_records == 3
    assert _warmup.write(folder, pictures(tmp_path, 1)).num_records == len(requests_in(folder)) == 1
    assert _warmup.write(folder, []).num_records == 2


def sums_of_five_columns():
    """A model that says that it takes any image, and fails on those that do not add up to rows of five columns."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.uint8, [None, None, None, 3], name='image_tensor')
        total = tf.reduce_sum(tf.reshape(tf.cast(images, tf.int32), [-1, 4, 5, 3]), axis=[1, 2, 3], name='total')
        meta_graph = tf.train.export_meta_graph(graph=graph)
        meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(images, {'total': total}))
    meta_graph.meta_info_def.tags.append('serve')
    return meta_graph


@pytest.mark.parametrize('extra', [[], ['encoded_image_bytes']])
def test_a_model_that_fails_on_the_second_picture_names_that_and_keeps_what_it_had(messages, tmp_path, extra):
    meta_graph = sums_of_five_columns()
    _signatures.changer(_signatures.signature_options(extra=extra))(meta_graph)
    folder = models.write(meta_graph, tmp_path / 'model')
    good, bad, last = pictures(tmp_path, 1) + pictures(tmp_path, 1, (4, 6), 7) + pictures(tmp_path, 1, (4, 5), 8)
    _warmup.write(folder, [good])
    with open(os.path.join(folder, _warmup.FILE), 'rb') as file:
        before = file.read()
    with pytest.raises(_errors.ProofFailed, match='request with .*7.png'):
        _warmup.write(folder, [good, bad, last])
    with open(os.path.join(folder, _warmup.FILE), 'rb') as file:
        assert file.read() == before
    assert os.listdir(os.path.join(folder, 'assets.extra')) == ['tf_serving_warmup_requests']


def test_a_model_without_images_has_nothing_to_be_warmed_up_with(messages, tmp_path):
    meta_graph = models.sums([None, 4, 5, 4])
    del meta_graph.signature_def['serving_default'].inputs['inputs'].tensor_shape.dim[0]
    folder = models.write(meta_graph, tmp_path / 'model')
    with pytest.raises(_errors.InputRefused, match='serving_default: .*which are no images'):
        _warmup.write(folder, [])
    assert not os.path.exists(os.path.join(folder, 'assets.extra'))


def test_signatures_that_take_something_else_are_passed_over(tmp_path, requests_in):
    meta_graph = models.sums([None, None, None, 3])
    for key in ('a_pair', 'z_other'):
        meta_graph.signature_def[key].CopyFrom(meta_graph.signature_def['serving_default'])
    meta_graph.signature_def['a_pair'].inputs['more'].CopyFrom(meta_graph.signature_def['a_pair'].inputs['inputs'])
    folder = models.write(meta_graph, tmp_path / 'model')
    assert _warmup.write(folder, pictures(tmp_path, 1)).num_records == 2
    assert [key for key, _ in requests_in(folder)] == ['serving_default', 'z_other']


def test_an_image_that_is_missing_is_refused_before_there_is_a_model(messages, tmp_path):
    with pytest.raises(_errors.InputRefused, match='there is no such image'):
        _warmup.require([str(tmp_path / 'missing.png')])
    assert _warmup.require(pictures(tmp_path, 1)) is None and _warmup.require([]) is None


# Lines for the shell.

def published(base='models/shapes', given=None, name='shapes', **more):
    values = dict(base=base, version=3, path=base + '/3', model_name=name, num_bytes=5, removed=[], notes=[],
                  input=given)
    return _publish.Published(**dict(values, **more))


def test_a_server_in_a_container_is_given_the_folder_and_the_name(monkeypatch, tmp_path):
    monkeypatch.chdir(str(tmp_path))
    docker, server = _commands.server(published())
    assert docker[0] == 'docker' and server[0] == 'server'
    assert shlex.split(docker[1]) == [
        'docker', 'run', '--rm', '-p', '8500:8500', '-p', '8501:8501', '--mount',
        'type=bind,source={}/models/shapes,target=/models/shapes,readonly'.format(tmp_path), '-e', 'MODEL_NAME=shapes',
        'tensorflow/serving']
    assert shlex.split(server[1]) == [
        'tensorflow_model_server', '--port=8500', '--rest_api_port=8501', '--model_name=shapes',
        '--model_base_path={}/models/shapes'.format(tmp_path)]


def test_a_server_reads_a_store_itself():
    docker, server = _commands.server(published('gs://bucket/shapes'))
    assert shlex.split(docker[1]) == [
        'docker', 'run', '--rm', '-p', '8500:8500', '-p', '8501:8501', 'tensorflow/serving', '--model_name=shapes',
        '--model_base_path=gs://bucket/shapes']
    assert shlex.split(server[1])[-1] == '--model_base_path=gs://bucket/shapes'


@hypothesis.given(st.text('ab ,"\'$`\\;|&\n', min_size=1, max_size=8))
def test_a_folder_of_any_name_is_one_field_of_what_docker_reads(name):
    """--mount is a line of CSV."""
    import csv
    line = dict(_commands.server(published('/models/' + name)))['docker']
    words = shlex.split(line)
    if '\n' not in name:
        fields, = csv.reader([words[words.index('--mount') + 1]])
        assert fields == ['type=bind', 'source=/models/' + name, 'target=/models/shapes', 'readonly']
    assert shlex.split(dict(_commands.server(published('/models/' + name)))['server'])[-1] == \
        '--model_base_path=/models/' + name


def _answered_by(line):
    """Runs a line in a shell whose curl prints what it is given; returns (its words, what it reads)."""
    with open(os.devnull) as nothing:
        return subprocess.check_output(
            ['sh', '-c', 'curl() { for word in "$@"; do printf "%s\\n" "$word"; done; '
             'if [ "$2" = @- ]; then cat; fi; }\n' + line.replace(
                 'python3', shlex.quote(sys.executable))], stdin=nothing, universal_newlines=True).splitlines()


@pytest.mark.parametrize('kind', [_models.IMAGE, _models.ENCODED, _models.EXAMPLE])
@pytest.mark.parametrize('batch, height, width', [
    (None, None, None), (1, 2, 3), (2, 40, 50), (None, 40, None), (30, 1, 1)])
def test_a_first_request_is_of_the_size_that_the_model_takes(kind, batch, height, width):
    shape = [batch, height, width, 3] if kind == _models.IMAGE else [batch]
    given = _models.Input('x:0', kind, 'uint8', shape)
    line = _commands.trial(published(given=given))
    said = _answered_by(line)
    assert said[0] == '-d' and said[2] == 'http://localhost:8501/v1/models/shapes:predict'
    typed = said[1] != '@-'
    instances = json.loads(said[1] if typed else said[3])['instances']
    assert len(instances) == (batch or 1)
    if kind == _models.IMAGE:
        assert numpy.array_equal(instances, numpy.zeros([batch or 1, height or 1, width or 1, 3]))
    else:
        for instance in instances:
            data = base64.b64decode(instance['b64'])
            if kind == _models.EXAMPLE:
                data, = tensorflow.train.Example.FromString(data).features.feature['image/encoded'].bytes_list.value
            assert Image.open(io.BytesIO(data)).size == (1, 1)
    body = json.dumps({'instances': instances})
    assert typed == (len(body) <= 400)


def test_a_body_is_typed_up_to_four_hundred_characters():
    typed = []
    for size in range(1, 60):
        line = _commands.trial(published(given=_models.Input('x:0', _models.IMAGE, 'uint8', [1, 1, size, 3])))
        typed.append('python3' not in line)
        assert typed[-1] == (len(json.dumps({'instances': [[[[0, 0, 0]] * size]]})) <= 400)
    assert len(set(typed)) == 2


def test_an_input_of_unknown_rank_gets_one_image():
    given = _models.Input('x:0', _models.IMAGE, 'uint8', None)
    assert json.loads(_answered_by(_commands.trial(published(given=given)))[1]) == {'instances': [[[[0, 0, 0]]]]}


@pytest.mark.parametrize('removed, told', [([], None), ([3], 'Removed version 3'), ([3, 5], 'Removed versions 3, 5')])
def test_what_was_published_is_told_in_order(removed, told):
    given = _models.Input('x:0', _models.ENCODED, '', [None])
    lines = _commands.lines(published(given=given, removed=removed, notes=['one', 'two']))
    assert lines[0] == 'Published version 3 of shapes: models/shapes/3'
    rest = lines[1:] if told is None else lines[2:]
    assert told is None or lines[1] == told
    assert rest[:3] == ['Note: one', 'Note: two', '']
    assert [line.split()[0] for line in rest[3:]] == ['docker', 'server', 'try']
    assert [line for line in _commands.lines(published()) if line.startswith('try')] == []


def test_as_json_it_has_the_same():
    given = _models.Input('x:0', _models.ENCODED, '', [None])
    made = published(given=given, removed=[1], notes=['one'])
    told = _commands.as_json(made)
    assert list(told) == ['version', 'path', 'model_name', 'num_bytes', 'removed', 'notes', 'docker', 'server',
                          'try_it']
    assert dict(told) == dict(dict(_commands.server(made)), version=3, path='models/shapes/3', model_name='shapes',
                              num_bytes=5, removed=[1], notes=['one'], try_it=_commands.trial(made))


# Names of classes.

@pytest.mark.parametrize('text, found', [
    ('', {}), ('item { id: 1 name: "a" }', {1: 'a'}), ('item { id: 1 display_name: "A" }', {1: 'A'}),
    ('item { id: 1 name: "a" display_name: "A" }', {1: 'A'}), ('item { id: 1 name: "a" display_name: "" }', {1: 'a'}),
    ('item { id: 1 }', {}), ('item { name: "a" }', {0: 'a'}),
    ('item { id: 2 name: "b" } item { id: 1 name: "a" }', {1: 'a', 2: 'b'}),
    ('item { id: 1 name: "a" } item { id: 1 name: "b" }', {1: 'b'}),
    ('other: 5 item { id: 1 name: "a" more { x: 1 } }', {1: 'a'})])
def test_a_class_is_called_by_its_display_name_else_by_its_name(text, found):
    assert _names.parse(text, 'it') == found


@pytest.mark.parametrize('text', [
    'item', 'item {', 'item { id: "x" }', 'item { id: 99999999999 }', 'item { name: 5 }', '}'])
def test_what_is_no_label_map_is_refused(text):
    with pytest.raises(_errors.InputRefused, match='it is no label map: .*[^.]\\.\n.*item { id: 1'):
        _names.parse(text, 'it')


# Requests.

def write(folder, shape=(None, None, None, 3), signed=False, name='shapes', **options):
    """Writes a request for a model of one sum; returns (``Example``, {name: text of the file})."""
    model = models.write((models.signed if signed else models.sums)(list(shape)), folder / name / 'saved_model')
    if 'image' not in options:  # a small one: a drawn scene is half a million numbers
        (folder / 'images').mkdir(exist_ok=True)
        options['image'], = pictures(folder / 'images', 1)
    example = _requests.write(model, str(folder / 'try'), **options)
    texts = {}
    for file in os.listdir(str(folder / 'try')):
        with open(str(folder / 'try' / file), newline='', encoding='utf-8') as opened:
            texts[file] = opened.read()
    return example, texts


def settings_of(texts):
    module = {'__file__': 'client.py', '__name__': 'client'}
    exec(compile(texts['client.py'], 'client', 'exec'), module)
    return module['SETTINGS']


@pytest.mark.parametrize('batch', [None, 1, 3])
def test_a_request_has_as_many_images_as_the_model_takes(tmp_path, batch):
    path, = pictures(tmp_path, 1)
    example, texts = write(tmp_path, (batch, None, None, 3), image=path)
    rows, columns = json.loads(texts['request.json']), json.loads(texts['request.columns.json'])
    expected = [models.noise(4, 5).tolist()] * (batch or 1)
    assert rows == {'signature_name': 'serving_default', 'instances': [{'inputs': value} for value in expected]}
    assert columns == {'signature_name': 'serving_default', 'inputs': expected}
    assert all(text.endswith('\n') and '\r' not in text and text.count('\n') == 1
               for name, text in texts.items() if name.endswith('.json'))
    assert settings_of(texts) == {
        'model': 'shapes', 'signature': 'serving_default', 'input': 'inputs', 'kind': 'image_tensor', 'dtype': 'uint8',
        'shape': [batch, None, None, 3], 'batched': True, 'rows': True, 'outputs': ['total'], 'names': {}}
    assert example.picture == '{}{} (5 x 4 pixels)'.format('3 times ' if batch == 3 else '', path)
    if batch != 3:  # without the end of the line
        assert example.sizes[0] == ('image_tensor', 'REST', len(texts['request.json']) - 1)
    assert example.url == 'http://localhost:8501/v1/models/shapes:predict'


def test_a_model_of_one_encoded_image_gets_that_image_and_no_rows(tmp_path):
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.string, [], name='encoded_image_string_tensor')
        total = tf.reduce_sum(tf.cast(tf.image.decode_png(image, 3), tf.int32)[None], axis=[1, 2, 3], name='total')
        meta_graph = tf.train.export_meta_graph(graph=graph)
        meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(image, {'total': total}))
    meta_graph.meta_info_def.tags.append('serve')
    path, = pictures(tmp_path, 1)
    example = _requests.write(models.write(meta_graph, tmp_path / 'shapes'), str(tmp_path / 'try'), image=path)
    assert example.files == ['request.columns.json', 'curl.sh', 'client.py']
    with open(path, 'rb') as file, open(str(tmp_path / 'try' / 'request.columns.json')) as request:
        assert json.load(request)['inputs'] == {'b64': base64.b64encode(file.read()).decode('ascii')}
    settings = settings_of({'client.py': (tmp_path / 'try' / 'client.py').read_text()})
    assert (settings['batched'], settings['rows'], settings['shape']) == (False, False, [])


def test_a_request_has_the_size_that_the_model_takes(tmp_path):
    _, texts = write(tmp_path, (None, 6, 7, 3), image=pictures(tmp_path, 1)[0])
    assert numpy.shape(json.loads(texts['request.columns.json'])['inputs']) == (1, 6, 7, 3)


@pytest.mark.parametrize('kind, sent', [
    ('PNG', 'PNG'), ('JPEG', 'JPEG'), ('BMP', 'BMP'), ('GIF', 'PNG'), ('TIFF', 'PNG'), (None, 'JPEG')])
def test_a_file_is_sent_as_it_is_where_tensorflow_decodes_it_as_one_picture(tmp_path, kind, sent):
    path = None
    if kind:
        path = str(tmp_path / 'picture')
        Image.fromarray(models.noise(4, 5)).save(path, kind)
    _, texts = write(tmp_path, signed=True, image=path, signature='encoded_image_bytes')
    value, = json.loads(texts['request.columns.json'])['inputs']
    data = base64.b64decode(value['b64'])
    assert Image.open(io.BytesIO(data)).format == sent
    if kind == sent:
        with open(path, 'rb') as file:
            assert data == file.read()
    assert settings_of(texts)['input'] == 'image_bytes' and settings_of(texts)['kind'] == 'encoded_image_string_tensor'


@pytest.mark.parametrize('arguments, url', [([], 'http://localhost:8501/v1/models/shapes:predict'),
                                            (['http://other/'], 'http://other/')])
@pytest.mark.parametrize('here', [True, False])
def test_the_script_sends_the_file_beside_it(tmp_path, arguments, url, here):
    write(tmp_path)
    (tmp_path / 'curl').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'curl').chmod(0o755)
    script = 'curl.sh' if here else str(tmp_path / 'try' / 'curl.sh')
    said = subprocess.check_output(['sh', script] + arguments, cwd=str(tmp_path / 'try' if here else '/'),
                                   env=dict(os.environ, PATH='{}:{}'.format(tmp_path, os.environ['PATH'])),
                                   universal_newlines=True).splitlines()
    assert said == ['--silent', '--show-error', '--header', 'Content-Type: application/json', '--data-binary',
                    '@{}/request.json'.format('.' if here else tmp_path / 'try'), url]


@pytest.mark.parametrize('name', ['client.py', 'request.json', 'request.columns.json', 'curl.sh'])
@pytest.mark.parametrize('there', ['file', 'link', 'folder'])
def test_a_file_that_is_there_is_replaced_with_leave_and_a_folder_never(tmp_path, name, there):
    place = tmp_path / 'try' / name
    place.parent.mkdir()
    if there == 'file':
        place.write_text('mine')
    elif there == 'link':
        os.symlink('nowhere', str(place))
    else:
        place.mkdir()
    with pytest.raises(_errors.OutputRefused, match=name + ' is there already'):
        write(tmp_path)
    assert os.listdir(str(place.parent)) == [name]
    if there == 'folder':
        with pytest.raises(_errors.OutputRefused, match=name + ' is there already'):
            write(tmp_path, name='again', overwrite=True)
    else:
        write(tmp_path, name='again', overwrite=True)
        assert place.is_file() and not place.is_symlink() and not (place.parent / 'nowhere').exists()


@pytest.mark.parametrize('export, output, problem', [
    ('gs://bucket/x', 'try', 'from a local disk'), ('x', '', 'no folder to write'), ('x', 'file', 'is a file')])
def test_a_request_that_cannot_be_written_is_refused_before(tmp_path, export, output, problem):
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(_errors.ODPatchError, match=problem):
        _requests.check(export, output and str(tmp_path / output))
    assert os.listdir(str(tmp_path)) == ['file']


@pytest.mark.parametrize('below, name', [('shapes/saved_model', 'shapes'), ('shapes/7', 'shapes'), ('shapes', 'shapes'),
                                         ('shapes/v7', 'v7'), ('saved_models', 'saved_models'), ('shapes/7x', '7x')])
def test_a_model_is_called_by_its_folder_and_not_by_its_version(tmp_path, below, name):
    folder = models.write(models.sums([None, None, None, 3]), tmp_path / below)
    found = _requests._find(folder, None)
    assert found == (folder, name)
    assert _requests._find(folder, 'other') == (folder, 'other')


@pytest.mark.parametrize('ranks, served', [([1], True), ([1, 3], True), ([0], False), ([1, 0], False), ([None], False),
                                           ([2, None], False)])
def test_rows_are_for_models_whose_outputs_all_have_a_first_dimension(ranks, served):
    from tensorflow.core.protobuf import meta_graph_pb2
    signature = meta_graph_pb2.SignatureDef()
    for number, rank in enumerate(ranks):
        shape = signature.outputs[str(number)].tensor_shape
        shape.unknown_rank = rank is None
        for _ in range(rank or 0):
            shape.dim.add(size=1)
    for shape, batched in ((None, True), ([None], True), ([None, None, None, 3], True), ([], False)):
        given = _models.Input('x', _models.ENCODED, '', shape)
        assert _models.has_rows(types.SimpleNamespace(signature=signature), given) == (served and batched)


def test_what_was_written_is_told_and_can_be_pasted(tmp_path):
    folder = tmp_path / "it's here"
    folder.mkdir()
    example, _ = write(folder, image=None)
    lines = _requests.lines(example)
    assert lines[0] == '{}/: request.json, request.columns.json, curl.sh, client.py'.format(folder / 'try')
    assert lines[1] == ('The request is a drawn scene (480 x 360 pixels) to serving_default of shapes, which takes '
                        'image_tensor (uint8 [?, ?, ?, 3]).')
    assert 'no assets/label_map.pbtxt' in lines[2]
    table = [line for line in lines if ' bytes' in line and line.startswith('  ')]
    assert [line.endswith('<- this model') for line in table] == [True, True] + [False] * 4
    assert [tuple(line.split()[:3]) for line in table] == [
        (kind, way, '{:,}'.format(size)) for kind, way, size in example.sizes]
    assert any('4,194,304' in line for line in lines)
    assert shlex.split(lines[-2]) == ['sh', '{}/curl.sh'.format(folder / 'try')]
    assert shlex.split(lines[-1], comments=True) == ['python', '{}/client.py'.format(folder / 'try')]
    told = _requests.as_json(example)
    assert told['request_bytes'][1] == dict(zip(('input_type', 'way', 'bytes'), example.sizes[1]))
    assert told['image'] == example.picture and told['classes'] == {}
    assert told['input']['shape'] == [None, None, None, 3]


def test_classes_are_told_by_their_numbers(tmp_path):
    model = models.write(models.sums([None, None, None, 3]), tmp_path / 'shapes')
    (tmp_path / 'shapes' / 'assets').mkdir()
    (tmp_path / 'shapes' / 'assets' / 'label_map.pbtxt').write_text(
        'item { id: 10 name: "j" } item { id: 9 name: "i" display_name: "I" }')
    example = _requests.write(model, str(tmp_path / 'try'), image=pictures(tmp_path, 1)[0])
    assert 'Classes: 9 I, 10 j' in _requests.lines(example)
    assert dict(_requests.as_json(example)['classes']) == {'9': 'I', '10': 'j'}


@pytest.mark.parametrize('shape, shown', [(None, ''), ([], '[]'), ([None, 3], '[?, 3]'), ([0, 1], '[0, 1]')])
def test_a_shape_is_shown_with_what_is_open(shape, shown):
    assert _requests._shape(shape) == shown


# The client, and what it is asked and answered by a server of ours.

_SETTINGS = {'model': 'shapes', 'signature': 'serving_default', 'input': 'inputs',
             'kind': 'encoded_image_string_tensor', 'dtype': '', 'shape': [None], 'batched': True, 'rows': True,
             'outputs': ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections'],
             'names': {1: 'circle', 2: 'square'}}
_ONE = {'detection_scores': [.75, .5, .25, .9], 'detection_classes': [1., 7., 2., 2.],
        'detection_boxes': [[.1, .2, .3, .4], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]], 'num_detections': 3.}


class Server(http.server.BaseHTTPRequestHandler):
    """Answers every request with what ``answers`` has for it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.asked.append((self.path, self.headers['Content-Type'], json.loads(body.decode('ascii'))))
        code, answer = self.server.answer
        self.send_response(code)
        self.end_headers()
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode('utf-8'))

    def log_message(self, *unused):
        pass


@pytest.fixture
def server():
    made = http.server.HTTPServer(('localhost', 0), Server)
    made.asked, made.answer = [], (200, {'predictions': [_ONE]})
    thread = threading.Thread(target=made.serve_forever, kwargs={'poll_interval': .01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def client(monkeypatch, tmp_path, capsys):
    """A function that runs the client with arguments and settings; returns (exit code or text, what it printed)."""
    def call(*arguments, **settings):
        monkeypatch.setattr(_client, 'SETTINGS', dict(_SETTINGS, **settings))
        monkeypatch.setattr(_client, 'REQUEST', str(tmp_path / 'request.columns.json'))
        monkeypatch.setattr(sys, 'argv', ['client.py'] + list(arguments))
        try:
            _client.main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out
    (tmp_path / 'request.columns.json').write_text('{"inputs": [{"b64": "eHl6"}]}')
    for name in 'ab':
        (tmp_path / name).write_text('image ' + name)
    call.images = [str(tmp_path / name) for name in 'ab']
    return call


_SHOWN = ('{}: 2 detections of 0.5 or more\n'
          '  0.750  circle  ymin 0.100  xmin 0.200  ymax 0.300  xmax 0.400\n'
          '  0.500  class 7  ymin 0.000  xmin 0.000  ymax 1.000  xmax 1.000\n')


def test_the_client_asks_in_rows_and_shows_what_is_sure_enough(server, client):
    port = str(server.server_port)
    assert client('--rest_port', port) == (0, _SHOWN.format('request.json'))
    server.answer = 200, {'predictions': [_ONE, dict(_ONE, num_detections=1)]}
    code, shown = client('--rest_port', port, '--version', '7', '--model', 'other', *client.images)
    assert (code, shown) == (0, _SHOWN.format(client.images[0]) + '{}: 1 detection of 0.5 or more\n'.format(
        client.images[1]) + _SHOWN.splitlines(True)[1])
    first, second = server.asked
    assert first == ('/v1/models/shapes:predict', 'application/json', {
        'signature_name': 'serving_default', 'instances': [{'inputs': {'b64': 'eHl6'}}]})
    assert second[0] == '/v1/models/other/versions/7:predict'
    assert second[2]['instances'] == [
        {'inputs': {'b64': base64.b64encode(b'image ' + name).decode()}} for name in (b'a', b'b')]
    client('--rest_port', port, '--version', '0')
    assert server.asked[2][0] == '/v1/models/shapes/versions/0:predict'


@pytest.mark.parametrize('arguments, settings', [(['--columns'], {}), ([], {'rows': False})])
@pytest.mark.parametrize('key', ['outputs', 'result'])
def test_the_client_asks_in_columns_where_it_is_told_or_has_to(server, client, arguments, settings, key):
    server.answer = 200, {key: {name: [value, value] for name, value in _ONE.items()}}
    code, shown = client('--rest_port', str(server.server_port), *(arguments + client.images), **settings)
    assert (code, shown) == (0, ''.join(_SHOWN.format(name) for name in client.images))
    assert server.asked[0][2] == {'signature_name': 'serving_default', 'inputs': [
        {'b64': base64.b64encode(b'image ' + name).decode()} for name in (b'a', b'b')]}


def test_a_model_of_one_image_is_asked_without_a_batch(server, client):
    server.answer = 200, {'outputs': _ONE}
    code, shown = client('--rest_port', str(server.server_port), client.images[0], batched=False, rows=False)
    assert (code, shown) == (0, _SHOWN.format(client.images[0]))
    assert server.asked[0][2]['inputs'] == {'b64': base64.b64encode(b'image a').decode()}


def test_the_client_prints_all_outputs_as_json_and_takes_any_url(server, client):
    code, shown = client('--url', 'http://localhost:{}/any'.format(server.server_port), '--json')
    assert code == 0 and json.loads(shown) == [_ONE] and server.asked[0][0] == '/any'


@pytest.mark.parametrize('threshold, count', [('0', 3), ('0.25', 3), ('0.251', 2), ('0.75', 1), ('0.76', 0), ('1', 0)])
def test_what_is_as_sure_as_the_threshold_is_shown(server, client, threshold, count):
    _, shown = client('--rest_port', str(server.server_port), '--threshold', threshold)
    assert shown.splitlines()[0] == 'request.json: {} detection{} of {} or more'.format(
        count, '' if count == 1 else 's', float(threshold))
    assert len(shown.splitlines()) == count + 1


def test_outputs_that_are_left_out_are_not_shown(server, client):
    for without, line in (('detection_classes', '  0.750    ymin 0.100'), ('detection_boxes', '  0.750  circle'),
                          ('num_detections', '  0.750  circle  ymin')):
        server.answer = 200, {'predictions': [{name: value for name, value in _ONE.items() if name != without}]}
        _, shown = client('--rest_port', str(server.server_port))
        assert shown.splitlines()[1].startswith(line) and len(shown.splitlines()) == (
            4 if without == 'num_detections' else 3)
    server.answer = 200, {'predictions': [{'b': 1, 'a': 2}]}
    assert client('--rest_port', str(server.server_port))[1] == 'request.json: the model gives a, b\n'


@pytest.mark.parametrize('answer, words', [
    ((404, b'no such model'), 'answered 404: no such model'),
    ((200, {'error': 'x'}), 'the answer has no outputs: {"error"'),
    ((200, b'no json'), 'client.py: ')])
def test_what_a_server_says_instead_is_told(server, client, answer, words):
    server.answer = answer
    code, shown = client('--rest_port', str(server.server_port))
    assert code.startswith('client.py: ') and words in code and not shown
    if answer[0] == 404:
        server.answer = 404, b'x' * 600
        assert client('--rest_port', str(server.server_port))[0].endswith(': ' + 'x' * 500)


@pytest.fixture
def grpc_server():
    """A real gRPC server that keeps what it is asked, and answers with ``answer``."""
    grpc = pytest.importorskip('grpc')
    prediction_service_pb2_grpc = pytest.importorskip('tensorflow_serving.apis.prediction_service_pb2_grpc')
    from concurrent import futures
    made = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    kept = collections.namedtuple('Kept', ['asked', 'answers', 'port'])([], {}, made.add_insecure_port('localhost:0'))

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):

        def Predict(self, request, context):
            from tensorflow_serving.apis import predict_pb2
            kept.asked.append(request)
            if not kept.answers:
                context.abort(grpc.StatusCode.NOT_FOUND, 'no such model')
            answer = predict_pb2.PredictResponse()
            for name, value in kept.answers.items():
                answer.outputs[name].CopyFrom(tensorflow.make_tensor_proto(numpy.asarray(value, 'f4')))
            return answer

    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(), made)
    made.start()
    yield kept
    made.stop(None)


def test_the_client_asks_over_grpc_too(grpc_server, client):
    grpc_server.answers.update({name: [value, value] for name, value in _ONE.items()})
    arguments = ['--grpc', '--grpc_port', str(grpc_server.port)] + client.images
    assert client(*arguments) == (0, ''.join(_SHOWN.format(name) for name in client.images))
    client('--version', '0', '--model', 'other', *arguments)
    request, other = grpc_server.asked
    assert (request.model_spec.name, request.model_spec.signature_name) == ('shapes', 'serving_default')
    assert not request.model_spec.HasField('version') and list(request.inputs) == ['inputs']
    assert tensorflow.make_ndarray(request.inputs['inputs']).tolist() == [b'image a', b'image b']
    assert other.model_spec.HasField('version') and other.model_spec.name == 'other'
    grpc_server.answers.clear()
    code, shown = client(*arguments)
    assert code == 'client.py: localhost:{} answered NOT_FOUND: no such model'.format(grpc_server.port) and not shown


def test_answers_of_more_than_four_megabytes_arrive(grpc_server, client, monkeypatch):
    import grpc
    grpc_server.answers.update({name: [value, value] for name, value in _ONE.items()})
    grpc_server.answers['detection_masks'] = numpy.zeros((2, 4, 400, 400))
    arguments = ['--grpc', '--grpc_port', str(grpc_server.port)] + client.images
    assert client(*arguments) == (0, ''.join(_SHOWN.format(name) for name in client.images))
    # And only because the client raises the limit.
    channel = grpc.insecure_channel
    monkeypatch.setattr(grpc, 'insecure_channel', lambda target, options: channel(target))
    assert 'answered RESOURCE_EXHAUSTED' in client(*arguments)[0]


def test_the_example_that_is_sent_without_images_may_be_one_image(monkeypatch, tmp_path):
    path = tmp_path / 'request'
    monkeypatch.setattr(_client, 'REQUEST', str(path))
    for text, batch in (('{"inputs": {"b64": "eHl6"}}', [b'xyz']), ('{"inputs": [{"b64": "eHl6"}, {"b64": "eA=="}]}',
                                                                [b'xyz', b'x']), ('{"inputs": [[[1]]]}', [[[1]]])):
        path.write_text(text)
        assert _client.batch_of_the_example() == batch


def test_the_client_asks_here_and_for_a_minute_unless_it_is_told_otherwise(monkeypatch):
    monkeypatch.setattr(_client, 'SETTINGS', _SETTINGS)
    monkeypatch.setattr(sys, 'argv', ['client.py'])
    assert vars(_client.parse()) == {
        'images': [], 'host': 'localhost', 'rest_port': _commands.REST_PORT, 'grpc_port': _commands.GRPC_PORT,
        'grpc': False, 'url': None, 'columns': False, 'model': 'shapes', 'version': None, 'timeout': 60,
        'threshold': .5, 'json': False}


@pytest.mark.parametrize('module, arguments, words', [
    ('grpc', ['--grpc'], 'python -m pip install grpcio tensorflow-serving-api'),
    ('tensorflow_serving.apis', ['--grpc'], 'python -m pip install grpcio tensorflow-serving-api'),
    ('PIL', [], 'Pillow, which reads them, is missing: python -m pip install pillow')])
def test_a_package_that_is_missing_is_named_with_the_line_that_installs_it(client, monkeypatch, module, arguments, words):
    monkeypatch.setitem(sys.modules, module, None)
    code, shown = client(*(arguments + client.images), **({} if arguments else {'kind': 'image_tensor', 'shape': None}))
    assert code.startswith('client.py: ') and words in code and not shown


@hypothesis.given(st.integers(0, 1 << 40))
@hypothesis.example(127)
@hypothesis.example(128)
@hypothesis.example(16383)
@hypothesis.example(16384)
def test_a_length_is_written_as_protobuf_does(number):
    from google.protobuf.internal import encoder
    written = io.BytesIO()
    encode = encoder._VarintEncoder()
    encode(written.write, number, *([True] if encode.__code__.co_argcount > 2 else []))  # as protobuf's release has it
    assert _client.varint(number) == written.getvalue()


@pytest.mark.parametrize('shape, size', [(None, (5, 4)), ([None, None, None, 3], (5, 4)), ([1, 8, None, 3], (5, 8)),
                                         ([1, None, 9, 3], (9, 4)), ([2, 8, 9, 3], (9, 8))])
def test_pixels_are_of_the_size_that_the_model_takes(monkeypatch, tmp_path, shape, size):
    monkeypatch.setattr(_client, 'SETTINGS', {'kind': 'image_tensor', 'shape': shape})
    path, = pictures(tmp_path, 1)
    expected = Image.open(path) if size == (5, 4) else Image.open(path).resize(size, Image.BILINEAR)
    assert numpy.array_equal(_client.read(path), numpy.asarray(expected))


def test_the_client_has_its_settings_and_nothing_else_of_ours():
    source = _requests.client(dict(_SETTINGS, names={number: 'class {}'.format(number) for number in range(50)}))
    assert not re.search(r'^\s*(import|from) od_patch', source, re.M) and max(map(len, source.splitlines())) <= 120
    module = {'__file__': 'client.py', '__name__': 'client'}
    exec(compile(source, 'client', 'exec'), module)
    assert module['SETTINGS']['names'][49] == 'class 49' and module['SETTINGS']['outputs'] == _SETTINGS['outputs']
