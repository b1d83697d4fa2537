"""Signatures: another one for encoded images from the same weights, fewer outputs, another name for the input."""
import importlib
import os

import numpy
import pytest

import od_patch
from od_patch import _errors
from od_patch import proof
from od_patch.export import _observer
from od_patch.serving import _signatures
from tests.serving import models
from tests.support import exports
from tests.support import shapes

tensorflow = pytest.importorskip('tensorflow')
from od_patch import _tensorflow  # pylint: disable=wrong-import-position
from od_patch.compare import _verdict  # pylint: disable=wrong-import-position
from od_patch.graphs import _freezing  # pylint: disable=wrong-import-position
from od_patch.graphs import _images  # pylint: disable=wrong-import-position
from od_patch.graphs import _models  # pylint: disable=wrong-import-position
from od_patch.graphs import _servable  # pylint: disable=wrong-import-position
from od_patch.graphs import _sessions  # pylint: disable=wrong-import-position
from od_patch.graphs import _sources  # pylint: disable=wrong-import-position
from od_patch.proof import _outputs  # pylint: disable=wrong-import-position
from od_patch.saved_model import _saved_model  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.xdist_group('serving')

SIGNED = {'extra_signatures': ['encoded_image_bytes'], 'signature_input_name': 'image',
          'signature_outputs': shapes.OUTPUTS, 'label_map_path': shapes.LABEL_MAP}


@pytest.fixture(params=['resource', 'reference', 'frozen'])
def signed(request, exported):
    """(kind, folder of a SavedModel with another signature), for each way to hold the weights."""
    return request.param, os.path.join(exported(saved_model_variables=request.param, **SIGNED), 'saved_model')


def test_encoded_images_are_answered_as_their_pixels_are(signed):
    _, folder = signed
    batch = [models.noise(120, 90, seed) for seed in (1, 2)]
    pixels, encoded = models.run(folder, [
        ('serving_default', numpy.stack(batch)), ('encoded_image_bytes', [models.png(image) for image in batch])])
    assert sorted(pixels) == sorted(encoded) == shapes.OUTPUTS
    for key in pixels:
        assert numpy.array_equal(pixels[key], encoded[key]), key
    assert len(pixels['detection_boxes']) == 2 and pixels['detection_scores'].any()


def test_every_kind_answers_the_same(exported, signed):
    kind, folder = signed
    reference = exported(saved_model_variables='resource', **SIGNED)
    request = [('encoded_image_bytes', [models.png(models.noise(120, 90))])]
    answer, = models.run(folder, request)
    expected, = models.run(os.path.join(reference, 'saved_model'), request)
    for key in expected:
        assert numpy.array_equal(answer[key], expected[key]), (kind, key)


def test_the_weights_are_in_it_once(signed, exported):
    kind, folder = signed
    if kind == 'frozen':
        return
    plain = _servable.Servable(os.path.join(exported(), 'saved_model'))
    servable = _servable.Servable(folder)
    assert sorted(servable.variables) == sorted(plain.variables)
    # What the default signature is made of is the very graph that is there without the other one.
    plain_nodes = {node.name: node for node in _servable.Servable(os.path.join(
        exported(saved_model_variables=kind, **dict(SIGNED, extra_signatures=None)), 'saved_model')).meta_graph.graph_def.node}
    nodes = {node.name: node for node in servable.meta_graph.graph_def.node}
    assert all(nodes[name] == plain_nodes[name] for name in plain_nodes)
    added = [nodes[name] for name in nodes if name not in plain_nodes]
    assert {node.name.split('/')[0] for node in added} == {'encoded', 'encoded_image_bytes'}
    assert not [node.name for node in added if node.op in ('VarHandleOp', 'VariableV2', 'ReadVariableOp')]
    assert sum(node.ByteSize() for node in added) < 300 * 1000


def test_both_signatures_answer_in_one_run(signed):
    """Loops of the same name would be one loop."""
    _, folder = signed
    servable = _servable.Servable(folder)
    image = models.noise(60, 80)
    with _models.loaded(servable, _sessions.unoptimized_config()) as session:
        names = [[servable.of(key).signature.outputs[output].name for output in shapes.OUTPUTS]
                 for key in ('serving_default', 'encoded_image_bytes')]
        feed = {servable.of('serving_default').signature.inputs['image'].name: image[None],
                servable.of('encoded_image_bytes').signature.inputs['image_bytes'].name: [models.png(image)]}
        pixels, encoded = session.run(names, feed)
    assert all(numpy.array_equal(one, other) for one, other in zip(pixels, encoded))


@pytest.mark.usefixtures('tf1_behaviour')
def test_the_default_signature_is_read_first_by_who_takes_the_first():
    from tensorflow.core.protobuf import saved_model_pb2
    meta_graph = models.signed([None, None, None, 3])
    meta_graph.signature_def['aaa'].CopyFrom(meta_graph.signature_def['serving_default'])
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph])
    content = _saved_model.serialized(saved_model)
    assert type(saved_model).FromString(content) == saved_model  # and what was given is as it was
    assert content == _saved_model.serialized(type(saved_model).FromString(content))
    places = [content.rindex(key) for key in (b'\x0fserving_default', b'\x03aaa', b'\x13encoded_image_bytes')]
    assert places == sorted(places)


def test_what_asks_for_the_graph_gets_that_of_the_default_signature_alone(signed, exported):
    kind, folder = signed
    plain = exported(saved_model_variables=kind, **dict(SIGNED, extra_signatures=None))
    names = [[node.name for node in _sources.serving_graph(_servable.Servable(path).meta_graph).node]
             for path in (folder, os.path.join(plain, 'saved_model'))]
    assert names[0] == names[1]


@pytest.mark.usefixtures('tf1_behaviour')
def test_variables_of_another_signature_stay_where_something_saves_them():
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        one, other = (tf.get_variable(name, [], use_resource=True) for name in ('one', 'other'))
        answers = {name: tf.identity(value, name=name) for name, value in (
            ('serving_default', one + 1.0), ('further', (one + other) * tf.placeholder(tf.float32, [], 'x')))}
        tf.train.Saver()
        meta_graph = tf.train.export_meta_graph(graph=graph)
    for key, output in answers.items():
        meta_graph.signature_def[key].CopyFrom(_saved_model.signature({}, {'y': output}))
    before = {node.name for node in meta_graph.graph_def.node}
    left = {node.name for node in _sources.serving_graph(meta_graph).node}
    assert before - left and not left - before and {'one', 'other', 'serving_default'} < left
    assert not {'further', 'x', 'add_1', 'mul'} & left
    assert _freezing.needed(meta_graph.graph_def, left) == left  # no node lacks an input


def test_jpeg_is_decoded_as_tensorflow_does(signed):
    _, folder = signed
    tf = _tensorflow.tf1()
    with open(os.path.join(shapes.FOLDER, '..', '..', 'docs', 'shapes.png'), 'rb') as file:
        drawing = file.read()
    with tf.Graph().as_default(), tf.Session() as session:
        small = tf.image.decode_png(drawing, channels=3)[:200, :300]
        jpeg = session.run(tf.image.encode_jpeg(small))
        image = session.run(tf.image.decode_jpeg(jpeg, channels=3))
    pixels, encoded = models.run(folder, [('serving_default', image[None]), ('encoded_image_bytes', [jpeg])])
    assert all(numpy.array_equal(pixels[key], encoded[key]) for key in pixels)


def test_an_export_for_encoded_images_gets_the_signature_of_the_same_placeholder(exported):
    own = os.path.join(exported(input_type='encoded_image_string_tensor', extra_signatures=['encoded_image_bytes']),
                       'saved_model')
    request = [models.png(models.noise(120, 90))]
    default, extra = models.run(own, [('serving_default', request), ('encoded_image_bytes', request)])
    other = os.path.join(exported(saved_model_variables='resource', **SIGNED), 'saved_model')
    added, = models.run(other, [('encoded_image_bytes', request)])
    for key in added:  # the release's own decoder, and ours
        assert numpy.array_equal(default[key], added[key]) and numpy.array_equal(extra[key], added[key]), key


def test_only_the_outputs_that_are_listed_are_in_the_graph(signed, served):
    kind, folder = signed
    signature = _servable.Servable(folder).meta_graph.signature_def
    for key in ('serving_default', 'encoded_image_bytes'):
        assert sorted(signature[key].outputs) == shapes.OUTPUTS
    assert list(signature['serving_default'].inputs) == ['image']
    everything = _servable.Servable(os.path.join(served, 'saved_model')).meta_graph.signature_def['serving_default']
    assert set(shapes.OUTPUTS) < set(everything.outputs)
    dropped = {info.name.split(':')[0] for key, info in everything.outputs.items()
               if key not in shapes.OUTPUTS}
    if kind != 'frozen':  # that graph is the release's
        assert not dropped & {node.name for node in _servable.Servable(folder).meta_graph.graph_def.node}


def test_verify_accepts_it(full):
    answer = proof.verify(full)
    assert not answer.wrong
    assert {'unoptimized', 'defaults'} <= {run.mode for run in answer.runs}
    assert {row.name for run in answer.runs for row in run.rows} >= set(shapes.OUTPUTS)
    check, = [check for check in answer.checks if check.name == 'signature encoded_image_bytes']
    assert (check.status, check.text) == ('ok', 'all 4 outputs are equal to those of serving_default, bit for bit')


@pytest.mark.usefixtures('tf1_behaviour')
def test_verify_finds_a_signature_that_answers_something_else(tmp_path):
    meta_graph = models.signed([None, None, None, 3])
    decode, = [node for node in meta_graph.graph_def.node if node.op == 'DecodeJpeg']
    decode.attr['channels'].i = 1  # one channel, where there were three: such images decode, and sum up to a third
    folder = models.write(meta_graph, tmp_path / 'sums')
    found = {check.status for check in _outputs.signatures(_servable.Servable(folder), _images.drawn(1))}
    assert found == {'wrong'}
    whole = models.write(models.signed([None, None, None, 3]), tmp_path / 'whole')
    assert {check.status for check in _outputs.signatures(_servable.Servable(whole), _images.drawn(1))} == {'ok'}


def test_freeze_gives_the_graph_of_the_pixels(full, tmp_path):
    frozen = str(tmp_path / 'frozen.pb')
    result = exports.run(['-m', 'od_patch.cli', 'freeze', os.path.join(full, 'saved_model'), '--output', frozen])
    assert result.exit_code == 0, result.stderr
    answer = _verdict.compare(os.path.join(full, 'frozen_inference_graph.pb'), frozen, shapes.OUTPUTS)
    assert answer.verdict == 'equivalent'


@pytest.mark.skipif(tensorflow.__version__.startswith('1.'), reason='this is TensorFlow 1')
def test_tensorflow_2_loads_both(signed):
    kind, folder = signed
    result = exports.run(['-c', (
        'import sys, tensorflow as tf\n'
        'model = tf.saved_model.load(sys.argv[1])\n'
        'image = tf.random.stateless_uniform([64, 48, 3], [1, 2], 0, 256, tf.int32)\n'
        'pixels = model.signatures["serving_default"](image=tf.cast(image, tf.uint8)[None])\n'
        'png = tf.io.encode_png(tf.cast(image, tf.uint8))\n'
        'encoded = model.signatures["encoded_image_bytes"](image_bytes=png[None])\n'
        'print([sorted(pixels), all(bool(tf.reduce_all(pixels[key] == encoded[key])) for key in pixels)],\n'
        '      len(model.variables), [asset.asset_path.numpy().decode() for asset in model.asset_paths])\n'), folder])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == '{} {} {}'.format(
        [shapes.OUTPUTS, True], {'resource': 199}.get(kind, 0),
        [os.path.join(folder, 'assets', 'label_map.pbtxt')])


def test_the_command_that_people_look_with_reads_well(full):
    result = exports.run(['-m', 'tensorflow.python.tools.saved_model_cli', 'show', '--all', '--dir',
                          os.path.join(full, 'saved_model')])
    assert result.exit_code == 0, result.stderr
    for line in ("signature_def['encoded_image_bytes']:", "inputs['image_bytes'] tensor_info:", 'dtype: DT_STRING',
                 "signature_def['serving_default']:", "inputs['image'] tensor_info:", 'dtype: DT_UINT8'):
        assert line in result.stdout
    assert result.stdout.count("outputs['detection_boxes'] tensor_info:") == 2


@pytest.mark.parametrize('shape, image, fits', [
    ([None, None, None, 3], (5, 7), True), ([None, 5, 7, 3], (5, 7), True), ([2, None, None, 3], (5, 7), True),
    ([None, 5, 7, 3], (7, 5), False), ([None, None, 7, 3], (7, 5), False), (None, (5, 7), True)])
@pytest.mark.usefixtures('tf1_behaviour')
def test_an_image_of_another_size_than_the_graph_is_for_is_an_error(tmp_path, shape, image, fits):
    folder = models.write(models.signed(shape), tmp_path / 'sums')
    images = [models.noise(*image, seed=seed) for seed in (1, 2)]
    request = [('encoded_image_bytes', [models.png(one) for one in images])]
    if fits:
        answer, = models.run(folder, request)
        assert answer['total'].tolist() == [int(one.sum()) for one in images]
    else:
        with pytest.raises(Exception, match=r'DecodeJpeg \[7,5,3\] is no'):
            models.run(folder, request)


@pytest.mark.usefixtures('tf1_behaviour')
def test_who_feeds_pixels_runs_no_decoder(tmp_path):
    folder = models.write(models.signed([None, None, None, 3]), tmp_path / 'sums')
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ['serve'], folder)
        metadata = tf.RunMetadata()
        session.run('total:0', {'image_tensor:0': models.noise(2, 2)[None]}, run_metadata=metadata,
                    options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE))
        ran = {stats.node_name for device in metadata.step_stats.dev_stats for stats in device.node_stats}
    assert any('total' in name for name in ran) and not any('encoded_image_bytes' in name for name in ran)


@pytest.mark.parametrize('flags, problem', [
    ({'extra_signatures': ['encoded']}, 'encoded_image_bytes'), ({'signature_outputs': []}, 'is empty'),
    ({'signature_input_name': 'my image'}, 'is no name'), ({'signature_input_name': ''}, 'is no name')])
@pytest.mark.usefixtures('tf1_behaviour')
def test_what_cannot_be_a_signature_is_refused_at_once(flags, problem):
    exporter = importlib.import_module('object_detection.exporter')
    before = dict(vars(exporter))
    with pytest.raises(_errors.UsageError, match=problem):
        with od_patch.patched(**flags):
            pass
    assert vars(exporter) == before  # nor is the patch left on


@pytest.mark.usefixtures('tf1_behaviour')
def test_an_output_that_there_is_not_is_refused_with_the_one_that_is_meant(tmp_path):
    with pytest.raises(_errors.UsageError, match="'detection_score'(.|\n)*Did you mean detection_scores ?"):
        exports.in_process(shapes.CONFIG, shapes.FOLDER, str(tmp_path / 'out'), artifacts=['saved_model'],
                           signature_outputs=['detection_boxes', 'detection_score'])
    assert os.listdir(str(tmp_path)) == []


class _Outcomes(_observer.Observer):
    """Takes note of what becomes of each checkpoint of a series."""

    def __init__(self):
        self.found = []

    def checkpoint(self, result):
        assert result.error is None, result.error
        self.found.append(result.outcome)


@pytest.mark.usefixtures('tf1_behaviour')
def test_every_checkpoint_of_a_series_has_them_and_is_made_anew_where_they_change(tmp_path):
    labels = tmp_path / 'labels.pbtxt'
    observer = _Outcomes()
    for text in ("item { id: 1 name: 'circle' }", "item { id: 1 name: 'circle' }", "item { id: 1 name: 'Kreis' }"):
        labels.write_text(text)
        exports.in_process(shapes.CONFIG, shapes.FOLDER, str(tmp_path / 'out'), _observer=observer,
                           all_checkpoints=True, extra_signatures=['encoded_image_bytes'], label_map_path=str(labels),
                           signature_input_name='image')
    assert observer.found == ['exported', 'done before', 'exported']
    folder = tmp_path / 'out' / '4100'
    assert (folder / 'assets' / 'label_map.pbtxt').read_text() == "item { id: 1 name: 'Kreis' }"
    signatures = _servable.Servable(str(folder)).meta_graph.signature_def
    assert sorted(signatures) == ['encoded_image_bytes', 'serving_default']
    assert list(signatures['serving_default'].inputs) == ['image']


def test_records_with_images_of_their_own_get_no_such_signature():
    with pytest.raises(_errors.UsageError, match='--input_type=image_tensor'):
        _signatures.check_input_type(_signatures.signature_options(extra=['encoded_image_bytes']), 'tf_example')


def _signed_by_hand(shape=(None, None, None, 3), dtype='uint8', taken=(), **options):
    """A ``MetaGraphDef`` of a small graph, before and after the further signature is added."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.as_dtype(dtype), shape, name='image_tensor')
        for name in taken:
            tf.no_op(name=name)
        total = tf.size(images, name='total')
        before = tf.train.export_meta_graph(graph=graph)
    before.signature_def['serving_default'].CopyFrom(_saved_model.signature({'pixels': images}, {'total': total}))
    after = type(before).FromString(before.SerializeToString())
    wanted = _signatures.signature_options(input_name='pixels', extra=['encoded_image_bytes'], **options)
    _signatures.changer(wanted)(after)
    return before, after


@pytest.mark.usefixtures('tf1_behaviour')
def test_the_further_signature_is_the_default_one_but_for_its_input():
    before, after = _signed_by_hand()
    default, extra = after.signature_def['serving_default'], after.signature_def['encoded_image_bytes']
    assert default == before.signature_def['serving_default'] and sorted(after.signature_def) == [
        'encoded_image_bytes', 'serving_default']
    assert extra.method_name == default.method_name == 'tensorflow/serving/predict'
    assert list(extra.inputs) == ['image_bytes'] and extra.outputs['total'].name == 'encoded/total:0'
    extra.outputs['total'].name = default.outputs['total'].name
    assert extra.outputs == default.outputs
    encoded = extra.inputs['image_bytes']
    assert encoded.dtype == 7 and [dim.size for dim in encoded.tensor_shape.dim] == [-1]
    nodes = {node.name: node for node in after.graph_def.node}
    assert nodes[encoded.name.split(':')[0]].op == 'Placeholder'
    assert list(after.graph_def.node)[:len(before.graph_def.node)] == list(before.graph_def.node)
    assert nodes['encoded/image_tensor'].op == 'Identity' and len(nodes['encoded/image_tensor'].input) == 1
    assert not [node.name for node in after.graph_def.node if node.device]
    assert {name.split('/')[0] for name in set(nodes) - {node.name for node in before.graph_def.node}} == {
        'encoded', 'encoded_image_bytes'}
    tf = _tensorflow.tf1()
    with tf.Graph().as_default():
        tf.import_graph_def(after.graph_def, name='')


@pytest.mark.usefixtures('tf1_behaviour')
def test_the_decoder_takes_a_scope_that_nobody_has():
    _, after = _signed_by_hand(taken=['encoded_image_bytes', 'encoded_image_bytes_1/x'])
    encoded = after.signature_def['encoded_image_bytes'].inputs['image_bytes']
    assert encoded.name == 'encoded_image_bytes_2/image_bytes:0'


@pytest.mark.usefixtures('tf1_behaviour')
def test_an_input_of_strings_is_the_encoded_one_already():
    before, after = _signed_by_hand(shape=[None], dtype='string')
    assert after.graph_def == before.graph_def
    assert after.signature_def['encoded_image_bytes'].inputs['image_bytes'] == \
        before.signature_def['serving_default'].inputs['pixels']


@pytest.mark.parametrize('name, fits', [
    ('inputs', True), ('_', True), ('a9', True), ('image_2', True), ('9a', False), ('a-b', False), ('', False),
    ('a b', False), ('a\n', False), ('ä', False), ('a.b', False)])
def test_a_name_of_an_input_is_one_that_python_has(name, fits):
    if fits:
        assert _signatures.signature_options(input_name=name).input_name == name
        return
    with pytest.raises(_errors.UsageError, match='is no name'):
        _signatures.signature_options(input_name=name)


def test_what_is_not_wished_for_is_as_the_release_has_it():
    assert _signatures.signature_options() == ('inputs', None, []) and _signatures.SignatureOptions() == ('inputs', None, ())
    wanted = _signatures.signature_options(outputs=iter(['b', 'a']), extra=['encoded_image_bytes'] * 2)
    assert (wanted.outputs, wanted.extra) == (['b', 'a'], ['encoded_image_bytes'])


@pytest.mark.parametrize('wanted, inputs, outputs', [
    ({}, ['inputs', 'side'], ['b', 'a', 'c']), ({'input_name': 'image'}, ['image', 'side'], ['b', 'a', 'c']),
    ({'outputs': ['a', 'b']}, ['inputs', 'side'], ['b', 'a'])])
def test_inputs_are_renamed_and_outputs_left_out_in_the_order_that_they_have(wanted, inputs, outputs):
    chosen = _signatures.chosen(_signatures.signature_options(**wanted), {'inputs': 1, 'side': 2}, {'b': 3, 'a': 4, 'c': 5})
    assert [list(part) for part in chosen] == [inputs, outputs]
    assert list(chosen[0].values()) == [1, 2] and chosen[1]['b'] == 3
    assert _signatures.chosen(_signatures.signature_options(**wanted), 1, {'b': 3, 'a': 4, 'c': 5})[0] == {inputs[0]: 1}


@pytest.mark.parametrize('wanted, known', [(None, ''), (['a', 'b'], 'ab'), (['a'], 'abc')])
def test_outputs_that_there_are_can_be_wished_for(wanted, known):
    _signatures.check_outputs(_signatures.signature_options(outputs=wanted), known)
    with pytest.raises(_errors.UsageError, match="no output 'z'"):
        _signatures.check_outputs(_signatures.signature_options(outputs=(wanted or []) + ['z']), known)


@pytest.mark.parametrize('input_type, takes', [
    ('image_tensor', True), ('encoded_image_string_tensor', True), ('tf_example', False), ('', False)])
def test_which_inputs_can_have_a_signature_for_encoded_images(input_type, takes):
    _signatures.check_input_type(_signatures.signature_options(), input_type)
    wanted = _signatures.signature_options(extra=['encoded_image_bytes'])
    if takes:
        _signatures.check_input_type(wanted, input_type)
    else:
        with pytest.raises(_errors.UsageError):
            _signatures.check_input_type(wanted, input_type)
