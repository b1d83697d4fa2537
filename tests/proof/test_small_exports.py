"""Files, signatures, subjects and pictures of exports that are small enough to be damaged in every way, in seconds."""
import hashlib
import json
import os
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import proof  # noqa: E402
from od_patch.graphs import _images  # noqa: E402
from od_patch.graphs import _models  # noqa: E402
from od_patch.graphs import _servable  # noqa: E402
from od_patch.graphs import _sessions  # noqa: E402
from od_patch.proof import _answer  # noqa: E402
from od_patch.proof import _outputs  # noqa: E402
from od_patch.proof import _pipeline  # noqa: E402
from od_patch.proof import _portability  # noqa: E402
from od_patch.proof import _subject  # noqa: E402
from od_patch.proof import _verify_report  # noqa: E402
from tests.proof import defects  # noqa: E402
from tests.proof import small  # noqa: E402
from tests.support import checkpoints  # noqa: E402


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('small') / 'export'
    folder.mkdir()
    return small.export(str(folder))


@pytest.fixture
def export(whole, tmp_path):
    """A copy of a small export."""
    shutil.copytree(whole[0], str(tmp_path / 'export'))
    return str(tmp_path / 'export')


def told(folder, **given):
    return {(check.part, check.name): check for check in proof.verify(folder, quick=True, **given).checks}


def bundle_files(folder):
    return os.path.join(folder, 'saved_model', 'variables')


def test_additional_outputs_are_compared_by_their_tensors(export):
    """One has another node's name for a key, and one has no row an image."""
    with defects.saved_model(export) as meta_graph:
        nodes = {node.op: node for node in meta_graph.graph_def.node}
        outputs = meta_graph.signature_def['serving_default'].outputs
        own = outputs['detection_scores']
        shadow, scalar = outputs[nodes['Mean'].name], outputs['inner/divisor']
        shadow.CopyFrom(own)
        shadow.name = nodes['Sigmoid'].name + ':0'
        scalar.name, scalar.dtype = nodes['RealDiv'].input[1] + ':0', own.dtype
        scalar.tensor_shape.SetInParent()
    checks = {check.name: check for check in proof.verify(export).checks}
    assert not [check for check in checks.values() if check.status == 'wrong']
    assert 'all 6 outputs are equal bit for bit' in checks['{}, batch of 2'.format(_outputs.OFF)].text
    note = checks['first dimensions']
    assert note.status == 'note' and 'inner/divisor' in note.text and 'beside its own' in note.text
    assert [line.split(':')[0] for line in note.details] == ['inner/divisor']


@pytest.mark.parametrize('outputs, beside', [
    ({}, set()), ({'detection_boxes': 'detection_boxes:0'}, set()), ({'boxes': 'Squeeze:0', 'a/b': 'a/b:0'}, set()),
    ({'detection_boxes': 'x/y:0', 'num_detections': 'z:0', 'raw_detection_scores': 'r:0'}, set()),
    ({'num_detections': 'z:0', 'mask': 'mask:0'}, set()), ({'num_detections': 'z:0', 'a/b': 'a/b:0'}, {'a/b'}),
    ({'num_detections': 'z:0', 'mask': 'other:0'}, {'mask'}), ({'num_detections': 'z:0', 'mask': 'mask:1'}, {'mask'}),
    ({'num_detections': 'z:0', 'num_detections_2': 'a/b:0'}, {'num_detections_2'}),
    ({'num_detections': 'z:0', 'sparse': ''}, set())])
def test_outputs_beside_a_models_own_are_told_by_their_names(outputs, beside):
    from tensorflow.core.protobuf import meta_graph_pb2
    assert _models.additional({key: meta_graph_pb2.TensorInfo(name=name) for key, name in outputs.items()}) == beside


# files ----------------------------------------------------------------------------------------------------------------

def test_what_is_whole_is_told_with_its_size(export):
    checks = told(export)
    assert checks['files', 'variables'].text == '2 tensors in 1 data file, 32 bytes: whole, every checksum right'
    assert checks['files', 'restore'].text == 'all 2 variables are restored, and fit'
    assert checks['files', 'saved_model.pb'].text.endswith('signature serving_default')
    assert ('files', 'assets') not in checks and ('files', 'od_patch.json') not in checks


def restore_of(meta_graph):
    return next(node for node in meta_graph.graph_def.node if node.op == 'RestoreV2')


def test_a_variable_that_nothing_restores_is_missed_only_where_an_output_needs_it(export):
    with defects.saved_model(export) as meta_graph:
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        restore = nodes[meta_graph.saver_def.restore_op_name]
        waits = [nodes[name.lstrip('^')] for name in restore.input]
        targets = waits[0].input if waits[0].op == 'NoOp' else restore.input
        for name in list(targets):
            if nodes[name.lstrip('^')].input[0] == 'bias':
                targets.remove(name)
    check = told(export)['files', 'restore']
    assert check.status == 'wrong' and check.details == ('bias',) and 'nothing restores 1 variable' in check.text


@pytest.mark.parametrize('value, words', [
    (np.float32([1, 2, 3]), 'bias: float [2] in the graph, float [3] in the bundle'),
    (np.float32([[1, 2]]), 'bias: float [2] in the graph, float [1, 2] in the bundle'),
    (np.float32([[1], [2]]), 'bias: float [2] in the graph, float [2, 1] in the bundle'),
    (np.float64([1, 2]), 'bias: float [2] in the graph, double [2] in the bundle')])
def test_a_tensor_that_does_not_fit_its_variable_is_named(export, value, words):
    with defects.bundle(defects.variables(export)) as values:
        values['bias'] = value
    check = told(export)['files', 'restore']
    assert check.status == 'wrong' and check.details == (words,)


def test_where_loading_restores_nothing_every_variable_is_missed(export):
    with defects.saved_model(export) as meta_graph:
        meta_graph.saver_def.restore_op_name = ''
    check = told(export)['files', 'restore']
    assert check.status == 'wrong' and check.details == ('bias', 'weights')


def test_a_variable_that_no_output_needs_may_be_without_a_value_and_one_of_any_size_fits(export):
    with defects.saved_model(export) as meta_graph:
        node = meta_graph.graph_def.node.add(name='spare', op='VariableV2')
        node.attr['dtype'].type = 1
        defects.node_of(meta_graph.graph_def, 'bias').attr['shape'].shape.dim[0].size = -1
    assert told(export)['files', 'restore'].status == 'ok'
    with defects.saved_model(export) as meta_graph:
        defects.node_of(meta_graph.graph_def, 'weights').attr['shape'].shape.unknown_rank = True
    assert told(export)['files', 'restore'].status == 'ok'


def test_a_tensor_that_loading_asks_for_and_that_is_not_there_is_named(export):
    with defects.bundle(defects.variables(export)) as values:
        values['other'] = values.pop('bias')
    check = told(export)['files', 'restore']
    assert check.status == 'wrong' and check.details == ('bias',)
    assert check.text == 'loading asks for 1 tensor that the bundle does not hold'


def test_assets_are_looked_for_where_loading_looks(export):
    with defects.saved_model(export) as meta_graph:
        for name in ('a.txt', 'b.txt'):
            meta_graph.asset_file_def.add(filename=name).tensor_info.name = 'Const:0'
    folder = os.path.join(export, 'saved_model', 'assets')
    os.mkdir(folder)
    with open(os.path.join(folder, 'a.txt'), 'w') as file:
        file.write('x')
    check = told(export)['files', 'assets']
    assert check.status == 'wrong' and check.details == ('b.txt',) and check.text.startswith('1 of 2 missing')
    with open(os.path.join(folder, 'b.txt'), 'w') as file:
        file.write('x')
    assert told(export)['files', 'assets'].text == '2 files'


def test_a_tensor_that_a_signature_names_and_the_graph_lacks_is_named(export):
    for group, key in (('inputs', 'inputs'), ('outputs', 'detection_boxes')):
        with defects.saved_model(export) as meta_graph:
            info = getattr(meta_graph.signature_def['serving_default'], group)[key]
            before, info.name = info.name, 'nowhere:0'
        check = told(export)['files', 'saved_model.pb']
        assert check.status == 'wrong' and check.details == ('{}: nowhere:0'.format(key),)
        with defects.saved_model(export) as meta_graph:
            getattr(meta_graph.signature_def['serving_default'], group)[key].name = before


def write_record(folder, **record):
    extra = os.path.join(folder, 'saved_model', 'assets.extra')
    os.makedirs(extra, exist_ok=True)
    with open(os.path.join(extra, 'od_patch.json'), 'w') as file:
        json.dump(record, file)


def test_files_are_held_against_the_digests_of_the_record(export):
    digests = {}
    for name in ('frozen_inference_graph.pb', 'model.ckpt.index'):
        with open(os.path.join(export, name), 'rb') as file:
            digests[name] = hashlib.sha256(file.read()).hexdigest()
    write_record(export, sha256=digests)
    assert told(export)['files', 'od_patch.json'].text == '2 files are as the export wrote them'
    write_record(export, sha256={'model.ckpt.index': digests['model.ckpt.index']})
    assert told(export)['files', 'od_patch.json'].text == '1 file is as the export wrote it'
    write_record(export, sha256=dict(digests, gone='0' * 64))
    check = told(export)['files', 'od_patch.json']
    assert check.status == 'note' and check.text.endswith('not there any more: gone')
    write_record(export, sha256=dict(digests, **{'model.ckpt.index': '0' * 64}))
    check = told(export)['files', 'od_patch.json']
    assert check.status == 'wrong' and check.text == 'changed since the export: model.ckpt.index'
    write_record(export, exporter='another one')
    assert told(export)['files', 'od_patch.json'].status == 'not checked'
    for spoilt in ('none', {'model.ckpt.index': '00'}):
        write_record(export, sha256=spoilt)
        check = told(export)['files', 'od_patch.json']
        assert check.status == 'wrong' and 'its sha256 is ' in check.text and 'which no export writes' in check.text


def test_a_record_that_is_none_is_wrong(export):
    write_record(export)
    path = os.path.join(export, 'saved_model', 'assets.extra', 'od_patch.json')
    for text, words in (('{', 'cannot be read'), ('[]', 'is no JSON object')):
        with open(path, 'w') as file:
            file.write(text)
        check = told(export)['files', 'od_patch.json']
        assert check.status == 'wrong' and words in check.text


def test_a_v1_checkpoint_is_read_in_its_one_file(export):
    for name in os.listdir(export):
        if name.startswith('model.ckpt'):
            os.remove(os.path.join(export, name))
    checkpoints.write_v1(os.path.join(export, 'model.ckpt'), {'weights': small.WEIGHTS, 'bias': small.BIAS})
    checks = told(export)
    assert checks['files', 'model.ckpt'].text == '2 tensors in one file of the V1 format, all readable'
    assert checks['weights', 'SavedModel = model.ckpt'].status == 'ok'


# subject --------------------------------------------------------------------------------------------------------------

def test_parts_that_are_named_count_and_not_those_of_the_export(export, whole, tmp_path):
    subject = _subject.find(export, frozen_graph=os.path.join(whole[0], 'frozen_inference_graph.pb'))
    assert subject.frozen_graph.startswith(whole[0]) and subject.saved_model == os.path.join(export, 'saved_model')
    subject = _subject.find(export, saved_model=whole[0])
    assert subject.saved_model == os.path.join(whole[0], 'saved_model')
    subject = _subject.find(saved_model=os.path.join(export, 'saved_model', 'saved_model.pb'))
    assert subject.saved_model == os.path.join(export, 'saved_model')
    subject = _subject.find(os.path.join(export, 'saved_model'))
    assert subject.saved_model == os.path.join(export, 'saved_model') and subject.export is None


def test_the_checkpoint_that_was_exported_is_the_one_named_else_the_one_recorded(export, whole):
    write_record(export, checkpoint=whole[1], moving_averages=False)
    subject = _subject.find(export)
    assert (subject.trained, subject.trained_named, subject.averages, subject.averages_from) == (
        whole[1], False, False, 'od_patch.json')
    own = os.path.join(export, 'model.ckpt')
    subject = _subject.find(export, checkpoint=own)
    assert (subject.trained, subject.trained_named) == (own, True)
    for recorded in ('gs://bucket/model.ckpt', '/gone/model.ckpt', '', 7, None):
        write_record(export, checkpoint=recorded, moving_averages='yes')
        subject = _subject.find(export)
        assert subject.trained is None and subject.averages is None
    config = os.path.join(os.path.dirname(export), 'pipeline.config')
    with open(config, 'w') as file:
        file.write('eval_config { use_moving_averages: true }')
    write_record(export, moving_averages=False)
    subject = _subject.find(export, pipeline_config=config)
    assert (subject.averages, subject.averages_from) == (True, config)


def test_a_config_without_a_checkpoint_to_mean_is_refused(export, tmp_path):
    config = tmp_path / 'pipeline.config'
    config.write_text('eval_config { use_moving_averages: true }')
    with pytest.raises(_errors.UsageError, match='there is none'):
        _subject.find(saved_model=os.path.join(export, 'saved_model'), pipeline_config=str(config))


# servable and models --------------------------------------------------------------------------------------------------

def test_the_signature_that_is_served_is_the_default_else_the_first_that_is_whole(export):
    folder = os.path.join(export, 'saved_model')
    with defects.saved_model(export) as meta_graph:
        signatures = meta_graph.signature_def
        for key in ('b', 'a'):
            signatures[key].CopyFrom(signatures['serving_default'])
        signatures['0'].outputs['x'].name = 'detection_boxes:0'  # it takes nothing
    assert _servable.Servable(folder).signature_key == 'serving_default'
    with defects.saved_model(export) as meta_graph:
        del meta_graph.signature_def['serving_default']
    assert _servable.Servable(folder).signature_key == 'a'
    with defects.saved_model(export) as meta_graph:
        for key in ('a', 'b'):
            del meta_graph.signature_def[key]
    with pytest.raises(_errors.InputRefused, match='no signature says'):
        _servable.Servable(folder)


def test_the_variables_that_the_outputs_need_are_known(export):
    servable = _servable.Servable(os.path.join(export, 'saved_model'))
    assert set(servable.variables) == servable.needed == {'weights', 'bias'}
    assert {name: tuple(row) for name, row in servable.restored.items()} == {
        'weights': ('weights', ''), 'bias': ('bias', '')}
    with defects.saved_model(export) as meta_graph:
        outputs = meta_graph.signature_def['serving_default'].outputs
        for key in list(outputs):
            outputs[key].name = 'image_tensor:0'
    assert _servable.Servable(os.path.join(export, 'saved_model')).needed == set()


def servable_with(export, dtype, *shape, **more):
    with defects.saved_model(export) as meta_graph:
        inputs = meta_graph.signature_def['serving_default'].inputs
        info = inputs['inputs']
        info.dtype = dtype
        info.tensor_shape.unknown_rank = more.get('unknown', False)
        del info.tensor_shape.dim[:]
        for size in shape:
            info.tensor_shape.dim.add(size=size)
        if more.get('second'):
            inputs['second'].CopyFrom(info)
    return _servable.Servable(os.path.join(export, 'saved_model'))


def input_with(export, dtype, *shape, **more):
    return _models.input_of(servable_with(export, dtype, *shape, **more))


def test_an_input_is_told_by_its_type_and_shape(export):
    assert input_with(export, 4, -1, -1, -1, 3)[1:] == ('image_tensor', 'uint8', [None, None, None, 3])
    assert input_with(export, 1, 1, 300, 300, 3)[1:] == ('image_tensor', 'float32', [1, 300, 300, 3])
    for channels in (1, 4, 7):
        assert input_with(export, 4, -1, -1, -1, channels).shape == [None, None, None, channels]
    assert input_with(export, 4, unknown=True)[1:] == ('image_tensor', 'uint8', None)
    assert input_with(export, 7, -1)[1:] == ('encoded_image_string_tensor', '', [None])
    with defects.saved_model(export) as meta_graph:
        meta_graph.graph_def.node.add(name='parsed', op='ParseExample')
    assert input_with(export, 7, -1).kind == 'tf_example'


@pytest.mark.parametrize('dtype, shape, more', [
    (4, (-1, -1, 3), {}), (4, (-1, -1, -1, 0), {}), (4, (-1, -1, -1, 3, 1), {}), (10, (-1, -1, -1, 3), {}),
    (4, (1, 1 << 14, 1 << 14, 3), {}), (4, (-1, -1, -1, 3), dict(second=True)), (99, (-1, -1, -1, 3), {})])
def test_an_input_that_takes_no_images_is_refused(export, dtype, shape, more):
    with pytest.raises(_errors.InputRefused):
        input_with(export, dtype, *shape, **more)


def test_inputs_of_which_none_takes_images(export):
    with pytest.raises(_errors.InputRefused, match='takes float32 .4., which are no images'):
        _models.inputs_of(servable_with(export, 1, 4, second=True))


@pytest.mark.parametrize('given, words', [
    ({'frozen_graph': 'gone.pb'}, 'there is no such file'), ({'saved_model': 'gone'}, 'there is no such directory')])
def test_a_proof_of_what_is_not_there(tmp_path, given, words):
    with pytest.raises(_errors.InputRefused, match=words):
        proof.verify(**{name: str(tmp_path / path) for name, path in given.items()})


def test_a_config_that_is_far_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(_pipeline, '_MOST_BYTES', 9)
    (tmp_path / 'pipeline.config').write_text('model { }\n')
    with pytest.raises(_errors.InputRefused, match='it has more than 9 bytes'):
        _pipeline.uses_moving_averages(str(tmp_path / 'pipeline.config'))


def test_images_need_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, 'PIL', None)
    with pytest.raises(_errors.EnvironmentRefused) as refusal:
        _images.pillow()
    assert 'pip install pillow' in refusal.value.remedy


def test_an_array_of_too_many_pixels(tmp_path):
    path = str(tmp_path / 'large.npy')
    np.lib.format.open_memmap(path, 'w+', np.uint8, (_images._MOST_PIXELS // 1000 + 1, 1000)).flush()
    with pytest.raises(_errors.InputRefused, match='pixels are more than'):
        _images.load([path], 1)


def picture(height, width, value=7):
    return _images.Picture('p', np.full((height, width, 3), value, 'u1'))


@pytest.mark.parametrize('shape, expected', [
    (None, (2, 30, 40, 3)), ([None, None, None, 3], (2, 30, 40, 3)), ([None, 10, 20, 3], (2, 10, 20, 3)),
    ([None, 10, None, 3], (2, 10, 40, 3)), ([None, None, 20, 3], (2, 30, 20, 3))])
def test_pictures_are_brought_to_the_size_of_the_input_else_of_the_first(shape, expected):
    model_input = _models.Input('x:0', _models.IMAGE, 'float32', shape)
    batch = _models.batch_of(model_input, [picture(30, 40), picture(12, 16, 9)])
    assert batch.shape == expected and batch.dtype == np.float32
    assert (batch[0] == 7).all() and (batch[1] == 9).all()
    assert _models.fitted(model_input, picture(30, 40)).array.shape == expected[1:]


def test_encoded_pictures_are_strings_as_many_as_the_input_takes():
    from PIL import Image
    import io
    encoded = _models.batch_of(_models.Input('x:0', _models.ENCODED, '', [None]), [picture(3, 4), picture(3, 4, 8)])
    assert encoded.shape == (2,) and encoded.dtype == object
    assert np.asarray(Image.open(io.BytesIO(encoded[1]))).tolist() == np.full((3, 4, 3), 8).tolist()
    assert isinstance(_models.batch_of(_models.Input('x:0', _models.ENCODED, '', []), [picture(3, 4)]), bytes)
    example = _models.batch_of(_models.Input('x:0', _models.EXAMPLE, '', None), [picture(3, 4)])[0]
    assert b'image/encoded' in example and b'image/height' in example


@pytest.mark.parametrize('placeholders, name', [
    (['x'], 'x:0'), (['image_tensor', 'x'], 'x:0'), (['image_tensor', 'y'], 'image_tensor:0'), (['z'], 'z:0'),
    (['y', 'z'], None), ([], None)])
def test_the_input_of_a_frozen_graph_is_that_of_the_same_name_else_of_its_kind_else_the_only_one(placeholders, name):
    from tensorflow.core.framework import graph_pb2
    graph_def = graph_pb2.GraphDef()
    for one in placeholders:
        graph_def.node.add(name=one, op='Placeholder')
    model_input = _models.Input('x:0', _models.IMAGE, 'uint8', None)
    if name is None:
        with pytest.raises(_models.Failure, match='it has no input x:0'):
            _models._input_name(graph_def, model_input)
    else:
        assert _models._input_name(graph_def, model_input) == name


def second_signature(export, change):
    with defects.saved_model(export) as meta_graph:
        signatures = meta_graph.signature_def
        signatures['second'].CopyFrom(signatures['serving_default'])
        change(signatures['second'])
    checks = proof.verify(export).checks
    return [check for check in checks if check.name == 'signature second']


def test_another_signature_must_answer_as_the_default_does(export):
    check, = second_signature(export, lambda signature: None)
    assert check.status == 'ok' and check.text.startswith('all 4 outputs are equal to those of serving_default')

    def swap(signature):
        signature.outputs['detection_classes'].name = 'detection_scores:0'
    check, = second_signature(export, swap)
    assert check.status == 'wrong' and check.details == ('detection_classes',)

    with defects.saved_model(export) as meta_graph:
        meta_graph.graph_def.node.add(name='unfed', op='Placeholder').attr['dtype'].type = 1

    def unfed(signature):
        signature.outputs['detection_classes'].name = 'unfed:0'
    check, = second_signature(export, unfed)
    assert check.status == 'wrong' and check.text.startswith('second fails: ')

    def others(signature):
        signature.outputs['boxes'].CopyFrom(signature.outputs['detection_boxes'])
        for key in list(signature.outputs):
            if key != 'boxes':
                del signature.outputs[key]
    check, = second_signature(export, others)
    assert check.status == 'not checked' and 'no output in common' in check.text

    def second_input(signature):
        signature.inputs['more'].CopyFrom(signature.inputs['inputs'])
    assert second_signature(export, second_input) == []


def test_a_model_that_fails_alone_is_wrong_and_both_together_are_told(export):
    with defects.frozen_graph(export) as graph_def:
        node = defects.node_of(graph_def, 'detection_boxes')
        node.input[0] = 'image_tensor'  # of another rank
    answer = proof.verify(export)
    wrong = [check for check in answer.checks if check.part == 'outputs' and check.status == 'wrong']
    assert [check.text for check in wrong] == ['the frozen graph fails, and the other does not'] * 4
    assert not answer.runs[0].rows and list(answer.runs[0].failures) == ['frozen graph']


def failed(batch, **failures):
    run = _outputs.Run(_outputs.OFF, batch, 'image_tensor')
    run.failures = {name.replace('_', ' '): text for name, text in failures.items()}
    return _outputs._judge(run)


def test_where_both_fail_with_several_images_it_takes_one_at_a_time():
    assert failed(2, SavedModel='a', frozen_graph='b').status == 'note'
    assert failed(1, SavedModel='a', frozen_graph='b').status == 'wrong'
    assert failed(2, SavedModel='a').status == 'wrong'
    assert failed(2, SavedModel='a', frozen_graph='b').details == ('SavedModel: a', 'frozen graph: b')


@pytest.mark.parametrize('files, expected', [
    (['saved_model.pb'], 'not run, as files are wrong: saved_model.pb'),
    (['variables/variables.index'], 'not run, as files are wrong: variables')])
def test_what_is_not_whole_is_not_run(export, files, expected):
    for name in files:
        defects.cut(os.path.join(export, 'saved_model', *name.split('/')), 0.5)
    answer = proof.verify(export)
    check, = answer.of('outputs')
    assert check.status == 'not checked' and check.text == expected and not answer.runs


# images ---------------------------------------------------------------------------------------------------------------

def test_images_of_a_folder_are_taken_in_order_and_no_more_than_asked_for(tmp_path):
    from PIL import Image
    for number, name in enumerate(('b.PNG', 'a.png', '.hidden.png', 'c.txt', 'd.jpeg')):
        Image.fromarray(np.full((4, 5, 3), number, 'u1')).save(str(tmp_path / name), 'PNG')
    pictures, found = _images.load([str(tmp_path)], 2)
    assert [os.path.basename(one.name) for one in pictures] == ['a.png', 'b.PNG'] and found == 3
    pictures, found = _images.load([str(tmp_path / 'd.jpeg'), str(tmp_path)], 9)
    assert [os.path.basename(one.name) for one in pictures] == ['d.jpeg', 'a.png', 'b.PNG', 'd.jpeg'] and found == 4


def test_an_image_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    from PIL import Image
    Image.fromarray(np.zeros((10, 10, 3), 'u1')).save(str(tmp_path / 'a.png'))
    monkeypatch.setattr(_images, '_MOST_PIXELS', 100)
    assert len(_images.load([str(tmp_path / 'a.png')], 1)[0]) == 1
    monkeypatch.setattr(_images, '_MOST_PIXELS', 99)
    with pytest.raises(_errors.InputRefused, match='10 x 10 pixels are more than 99'):
        _images.load([str(tmp_path / 'a.png')], 1)


def test_a_grey_image_becomes_colours_and_one_with_transparency_keeps_it(tmp_path):
    from PIL import Image
    for mode, value, pixel in (('L', 9, [9, 9, 9]), ('RGBA', (1, 2, 3, 0), [1, 2, 3, 0]), ('P', 0, [0, 0, 0])):
        Image.new(mode, (4, 3), value).save(str(tmp_path / 'a.png'))
        one, = _images.load([str(tmp_path / 'a.png')], 1)[0]
        assert one.array.dtype == np.uint8 and one.array.tolist() == [[pixel] * 4] * 3


# config ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('text', ['', 'model', 'eval_config { ', 'eval_config } ', '}{', '\xff{}'])
def test_what_is_no_config_is_refused(text, tmp_path):
    (tmp_path / 'c').write_bytes(text.encode('latin-1'))
    with pytest.raises(_errors.InputRefused, match='is no pipeline config'):
        _pipeline.uses_moving_averages(str(tmp_path / 'c'))


@pytest.mark.parametrize('text, expected', [
    ('eval_config { inner { use_moving_averages: true } }', False), ('use_moving_averages: true model { }', False),
    ('eval_config { use_moving_averages: false }', False), ('eval_config { use_moving_averages: t }', True),
    ('eval_config { use_moving_averages: True }', True), ('eval_config { use_moving_averages: 0 }', False),
    ("eval_config { name: 'a { b' use_moving_averages: true }", True),
    ('eval_config { name: "a \\" { b" use_moving_averages: true }', True),
    ('# eval_config {\neval_config { use_moving_averages: true }', True),
    ('model { eval_config { use_moving_averages: true } }', False),
    ('eval_config { x: [1, 2]; use_moving_averages: true }', True)])
def test_only_the_setting_itself_counts(text, expected, tmp_path):
    (tmp_path / 'c').write_text(text)
    assert _pipeline.uses_moving_averages(str(tmp_path / 'c')) is expected


# answer ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('checks, verdict, code', [
    ([('weights', 'ok')], 'the same', 0), ([('outputs', 'ok')], 'the same', 0),
    ([('files', 'ok')], 'nothing to compare', 2), ([('portability', 'ok'), ('weights', 'not checked')],
                                                  'nothing to compare', 2),
    ([('weights', 'note')], 'nothing to compare', 2), ([], 'nothing to compare', 2),
    ([('weights', 'ok'), ('portability', 'wrong')], 'not the same', 1), ([('files', 'wrong')], 'not the same', 1)])
def test_a_verdict_follows_from_the_checks(checks, verdict, code):
    answer = _answer.Answer(_subject.Subject('x'))
    answer.checks = [_answer.Check(part, 'n', status, 't') for part, status in checks]
    assert (answer.verdict, answer.exit_code) == (verdict, code)
    assert answer.as_json()['verdict'] == verdict
    assert answer.as_json()['counts']['wrong'] == len(answer.wrong) == [row[1] for row in checks].count('wrong')


def test_numbers_and_lists_in_words():
    assert [_answer.number(count, 'file') for count in (0, 1, 2, 1234)] == [
        '0 files', '1 file', '2 files', '1,234 files']
    assert _answer.few('abcd') == 'a, b, c, d' and _answer.few('abcde') == 'a, b, c, d, … (5 in all)'
    assert _answer.few('abcd', 3) == 'a, b, c, … (4 in all)'


def test_a_table_shows_details_of_what_is_not_ok_and_no_more_than_five(capsys):
    answer = _answer.Answer(_subject.Subject('x'))
    answer.tensorflow = '1.12.0'
    details = tuple('detail {}'.format(number) for number in range(7))
    answer.checks = [_answer.Check('files', 'a', 'ok', 'fine', details[:1]),
                     _answer.Check('weights', 'b', 'wrong', 'not fine', details),
                     _answer.Check('outputs', 'c', 'note', 'told', details[:5])]
    _verify_report.show(answer, _verify_report.console())
    out = capsys.readouterr().out
    assert out.splitlines()[0] == 'not the same  x'
    assert out.splitlines()[1] == '3 checks: 1 ok, 1 note, 1 wrong; TensorFlow 1.12.0, 0.0 s'
    assert out.count('detail 0') == 2 and out.count('detail 4') == 2 and 'detail 5' not in out and '… 2 more' in out
    assert out.index('files') < out.index('weights') < out.index('outputs')


def test_sizes_say_which_file_is_too_large():
    gib = 1 << 30
    check = _portability._sizes([('saved_model.pb', gib - 1), ('frozen graph', 2 * gib - 1)])
    assert check.status == 'note' and check.text.startswith('frozen graph: 1 GiB or more')
    check = _portability._sizes([('saved_model.pb', 2 * gib), ('frozen graph', 2 * gib)])
    assert check.status == 'wrong' and check.text.startswith('saved_model.pb and frozen graph: 2 GiB or more')


def test_a_variable_that_is_restored_from_a_part_of_a_tensor_fits(export):
    import tensorflow
    with defects.bundle(defects.variables(export)) as values:
        values['bias'] = np.concatenate([values['bias'], values['bias']])
    with defects.saved_model(export) as meta_graph:
        restore = restore_of(meta_graph)
        names, slices = [defects.node_of(meta_graph.graph_def, restore.input[place]).attr['value'].tensor
                         for place in (1, 2)]
        words = [b'4 2,2' if name == b'bias' else b'' for name in tensorflow.make_ndarray(names).reshape(-1)]
        slices.CopyFrom(tensorflow.make_tensor_proto(words))
    checks = told(export)
    assert checks['files', 'restore'].status == 'ok'
    assert checks['weights', 'SavedModel = model.ckpt'].status == 'ok'
    with defects.bundle(defects.variables(export)) as values:
        values['bias'][2] += 1
    assert told(export)['weights', 'SavedModel = model.ckpt'].details == ('bias: 1 of 2 elements differ, by 1 at most',)


def test_a_record_leads_to_no_file_outside_the_export(export):
    path = os.path.join(os.path.dirname(export), 'outside')
    with open(path, 'w') as file:
        file.write('x')
    digest = hashlib.sha256(b'x').hexdigest()
    for outside in ('../outside', path):
        write_record(export, sha256={outside: digest})
        check = told(export)['files', 'od_patch.json']
        assert check.status == 'wrong' and 'which no export writes' in check.text


def test_a_saved_model_by_itself_is_not_held_against_its_record(export):
    write_record(export, sha256={'model.ckpt.index': '0' * 64})
    assert ('files', 'od_patch.json') not in told(os.path.join(export, 'saved_model'))
    assert ('files', 'od_patch.json') in told(export)


def test_only_variables_of_the_graph_itself_are_variables(export):
    with defects.saved_model(export) as meta_graph:
        graph_def = meta_graph.graph_def
        graph_def.node.add(name='scratch', op='TemporaryVariable').attr['dtype'].type = 1
        graph_def.node.add(name='handed in', op='Placeholder').attr['dtype'].type = 20
        extra = graph_def.node.add(name='extra', op='AssignVariableOp')
        extra.input.extend(['handed in', restore_of(meta_graph).name])
        defects.node_of(graph_def, meta_graph.saver_def.restore_op_name).input.append('^extra')
    servable = _servable.Servable(os.path.join(export, 'saved_model'))
    assert set(servable.variables) == set(servable.restored) == {'weights', 'bias'}


def test_what_is_bound_to_a_machine_of_ones_own_runs_here_and_is_told(export):
    with defects.saved_model(export) as meta_graph:
        defects.node_of(meta_graph.graph_def, 'detection_scores').device = '/device:GPU:0'
    answer = proof.verify(export)
    assert {check.status for check in answer.of('outputs')} == {'ok'}
    assert [check.name for check in answer.wrong] == ['devices, SavedModel']


def test_a_graph_that_goes_round_for_ever_comes_to_an_end():
    config = _sessions.default_config()
    with _models._session(config):
        assert 0 < config.operation_timeout_in_ms <= 10 * 60 * 1000


def test_a_signature_that_hands_out_another_tensor_is_seen(export):
    with defects.saved_model(export) as meta_graph:
        outputs = meta_graph.signature_def['serving_default'].outputs
        names = [outputs[key].name for key in ('detection_scores', 'detection_classes')]
        outputs['detection_scores'].name, outputs['detection_classes'].name = reversed(names)
    wrong = {check.name: check.text for check in proof.verify(export).wrong}
    assert wrong == {'unoptimized, batch of {}'.format(batch): 'outputs are swapped: detection_classes and '
                     'detection_scores' for batch in (1, 2)}


def test_an_output_that_the_frozen_graph_has_under_another_name_is_found_by_its_tensor(export):
    with defects.saved_model(export) as meta_graph:
        outputs = meta_graph.signature_def['serving_default'].outputs
        outputs['mine'].CopyFrom(outputs['detection_scores'])
    answer = proof.verify(export)
    assert not answer.wrong and 'mine' in {row.name for row in answer.runs[0].rows}
    with defects.frozen_graph(export) as graph_def:
        node = defects.node_of(graph_def, 'detection_scores')
        node.name = 'elsewhere'
    answer = proof.verify(export)
    assert [check.details[-1] for check in answer.wrong if check.part == 'outputs'] == [
        'mine: the frozen graph has no such output'] * 4


def test_images_that_fill_a_fixed_batch_count_once(tmp_path):
    folder = tmp_path / 'export'
    folder.mkdir()
    small.export(str(folder), shape=(2, 24, 32, 3))
    from PIL import Image
    for number in range(3):
        Image.fromarray(np.full((24, 32, 3), 50 * number, 'u1')).save(str(tmp_path / '{}.png'.format(number)))
    answer = proof.verify(str(folder), images=[str(tmp_path / '{}.png'.format(number)) for number in range(3)])
    assert [(run.batch, run.images, len(run.matchings)) for run in answer.runs] == [(2, 3, 3), (2, 3, 3)]
    assert not answer.wrong


def test_a_single_image_is_run_twice_in_a_batch_of_two(export, tmp_path):
    from PIL import Image
    Image.fromarray(np.full((24, 32, 3), 50, 'u1')).save(str(tmp_path / 'a.png'))
    answer = proof.verify(export, images=[str(tmp_path / 'a.png')])
    assert [(run.mode, run.batch, run.images) for run in answer.runs] == [
        ('unoptimized', 1, 1), ('unoptimized', 2, 2), ('defaults', 1, 1), ('defaults', 2, 2)]
