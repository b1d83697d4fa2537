"""Models of TensorFlow 2 are exported: the weights are the checkpoint's, the outputs those of the restored model."""
import json
import os

import numpy
import pytest

tensorflow = pytest.importorskip('tensorflow')

import od_patch  # noqa: E402
from od_patch import legacy  # noqa: E402
from od_patch import proof  # noqa: E402
from od_patch.config import _config  # noqa: E402
from od_patch.graphs import _images  # noqa: E402
from od_patch.graphs import _models  # noqa: E402
from od_patch.graphs import _servable  # noqa: E402
from od_patch.graphs import _sessions  # noqa: E402
from od_patch.graphs import _sources  # noqa: E402
from od_patch.patch import _exporter_v2  # noqa: E402
from tests.support import exports  # noqa: E402
from tests.tf2 import worker  # noqa: E402

pytestmark = pytest.mark.skipif(tensorflow.__version__.startswith('1.'), reason='these are models of TensorFlow 2')

_FOUR = {'detection_boxes', 'detection_scores', 'detection_classes', 'num_detections'}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """(folder, {export: (exit code, what was said)}); ``worker`` says what there is."""
    folder = tmp_path_factory.mktemp('tf2')
    result = exports.run(['-m', 'tests.tf2.worker', folder], timeout=900)
    assert result.exit_code == 0, result.stderr[-3000:]
    with open(str(folder / 'told.json')) as file:
        return str(folder), json.load(file)


@pytest.fixture(params=['ssd', 'centernet', 'fixed'])
def export(request, made):
    """(name, folder of an export)"""
    folder, told = made
    assert told[request.param][0] == 0, told[request.param][1][-3000:]
    return request.param, os.path.join(folder, 'exported', request.param)


def _answers(servable):
    """{output: array} of a SavedModel for one drawn picture, without optimizations."""
    model_input = _models.input_of(servable)
    with _models.saved_model(servable, _sessions.unoptimized_config()) as model:
        return model.run(_models.batch_of(model_input, _images.drawn(1)))


def test_every_variable_is_the_checkpoints_and_the_frozen_graph_answers_alike(made, export):
    name, path = export
    answer = proof.verify(path, checkpoint=os.path.join(made[0], worker.EXPORTS[name][1]))
    assert not answer.wrong, [(check.name, check.text) for check in answer.wrong]
    weights = {check.name: check.text for check in answer.of('weights')}
    assert 'all 298 variables are the weights of ' in weights['SavedModel = checkpoint']
    assert 'all 298' in weights['SavedModel = frozen graph']
    assert any(check.name.startswith('unoptimized') and check.status in ('ok', 'note') for check in answer.of('outputs'))


def test_another_checkpoint_of_the_training_is_not_what_was_exported(made):
    answer = proof.verify(os.path.join(made[0], 'exported', 'ssd'), checkpoint=os.path.join(made[0], 'ssd', 'ckpt-2'),
                          quick=True)
    assert ['SavedModel = checkpoint'] == [check.name for check in answer.wrong]


@pytest.mark.parametrize('name, checks', [('ssd', '19 ok'), ('centernet', '1')])
def test_verify_has_compared_with_the_restored_model(made, name, checks):
    said = made[1][name][1]
    assert 'proof        files, weights and outputs: {}'.format(checks) in said


def test_outputs_have_the_releases_names_and_shapes(export):
    name, path = export
    servable = _servable.Servable(os.path.join(path, 'saved_model'))
    found = _answers(servable)
    assert _FOUR <= set(found) and (name != 'fixed' or _FOUR == set(found))
    assert all(value.dtype == numpy.float32 for value in found.values())
    assert found['detection_boxes'].shape == (1, 10, 4) and found['num_detections'].shape == (1,)
    assert set(servable.signature.inputs) == {'inputs' if name == 'fixed' else 'input_tensor'}
    info, = servable.signature.inputs.values()
    expected = {'ssd': [-1, -1, -1, 3], 'centernet': [1, -1, -1, 3], 'fixed': [1, 96, 96, 3]}[name]
    assert [dim.size for dim in info.tensor_shape.dim] == expected
    assert tensorflow.as_dtype(info.dtype).name == ('float32' if name == 'fixed' else 'uint8')


def test_encoded_images_are_answered_as_their_pixels(made):
    servable = _servable.Servable(os.path.join(made[0], 'exported', 'ssd', 'saved_model'))
    other = servable.of('encoded_image_bytes')
    pixels, encoded = _answers(servable), _answers(other)
    assert set(pixels) == set(encoded)
    assert all((pixels[key] == encoded[key]).all() for key in pixels)


def test_no_function_is_called_in_what_is_written(export):
    _, path = export
    graphs = [_servable.Servable(os.path.join(path, 'saved_model')).meta_graph.graph_def,
              _sources.load(os.path.join(path, 'frozen_inference_graph.pb')).graph_def]
    for graph_def in graphs:
        assert not graph_def.library.function
        assert not {node.op for node in graph_def.node} & {'PartitionedCall', 'StatefulPartitionedCall', 'StatelessWhile'}


def test_tensorflow_2_loads_it_with_its_variables(made):
    loaded = tensorflow.saved_model.load(os.path.join(made[0], 'exported', 'centernet', 'saved_model'))
    assert len(loaded.variables) == 298
    names = {variable.name.split(':')[0] for variable in loaded.variables}
    held = {key[:-len('/.ATTRIBUTES/VARIABLE_VALUE')] for key, _ in tensorflow.train.list_variables(
        os.path.join(made[0], 'centernet', 'ckpt-2'))}
    assert names <= held


def test_the_checkpoint_is_the_releases(made):
    folder = os.path.join(made[0], 'exported', 'ssd', 'checkpoint')
    assert tensorflow.train.latest_checkpoint(folder) == os.path.join(folder, 'ckpt-0')
    reader = tensorflow.train.load_checkpoint(folder)
    trained = tensorflow.train.load_checkpoint(os.path.join(made[0], 'ssd', 'ckpt-1'))
    keys = [key for key in reader.get_variable_to_shape_map() if key.startswith('model/')]
    assert len(keys) >= 298
    for key in keys[::20]:
        assert (reader.get_tensor(key) == trained.get_tensor(key)).all()
    assert not os.path.exists(os.path.join(made[0], 'exported', 'fixed', 'checkpoint'))  # --artifacts


def test_it_is_published_with_its_labels(made):
    assert os.path.isfile(os.path.join(made[0], 'served', '1', 'saved_model.pb'))
    assert os.path.isfile(os.path.join(made[0], 'served', '1', 'assets', 'label_map.pbtxt'))


@pytest.mark.parametrize('name, words', [
    ('other classes', ['0 are missing', '2 are of another shape', 'num_classes', '5 outputs by the config and 3 in']),
    ('only the extractor', ['are missing from the checkpoint', 'fine_tune_checkpoint', 'would be random'])])
def test_a_checkpoint_that_does_not_fit_is_refused_in_words(made, name, words):
    code, said = made[1][name]
    assert code == 6
    assert all(word in said for word in words), said
    assert not os.path.exists(os.path.join(made[0], 'exported', name))


@pytest.mark.parametrize('flag, words', [
    ('--write_inference_graph', 'is not for models of TensorFlow 2'), ('--strict_pin', 'no exporter of TensorFlow 2'),
    ('--all_checkpoints', 'one by one'), ('--saved_model_variables=frozen', 'their variables are resources'),
    ('--profile_graph', 'prints no profile'), ('--input_type=imge_tensor', 'image_tensor'),
    ('--input_type=image_and_boxes_tensor', 'exporter_main_v2 alone'), ('--input_shape=1,96,96,1', 'three channels'),
    ('--input_shape=1,96,96', 'is not the shape of a batch')])
def test_flags_that_mean_nothing_here_are_refused(made, tmp_path, flag, words):
    result = exports.fork('od_patch.export_inference_graph', [
        '--pipeline_config_path=' + worker.config_of('ssd'), '--output_directory={}'.format(tmp_path / 'out'),
        '--trained_checkpoint_prefix=' + os.path.join(made[0], 'ssd'), flag])
    assert result.exit_code == 2, result.stderr[-2000:]
    assert words in result.stderr and not os.path.exists(str(tmp_path / 'out'))


def test_the_releases_own_exporter_and_what_reads_its_saved_model(made, research, tmp_path):
    script = os.path.join(research, 'object_detection', 'exporter_main_v2.py')
    out = str(tmp_path / 'out')
    arguments = ['-m', 'od_patch', script, '--pipeline_config_path=' + worker.config_of('centernet'),
                 '--trained_checkpoint_dir=' + os.path.join(made[0], 'centernet', 'ckpt-2'), '--output_directory=' + out]
    result = exports.run(arguments, timeout=600)
    assert result.exit_code == 0, result.stderr[-3000:]
    assert sorted(os.listdir(out)) == ['checkpoint', 'pipeline.config', 'saved_model']
    # Staged: what is there is not written over, and told before anything is built.
    with legacy.on(), pytest.raises(od_patch.OutputRefused, match='holds an export already'):
        _exporter_v2._export(None, dict(
            pipeline_config=_config.read(worker.config_of('centernet'), half=2), output_directory=out,
            trained_checkpoint_dir=os.path.join(made[0], 'centernet')), False)
    frozen, count, _ = _sources.frozen_saved_model(out)
    assert count == 298 and not frozen.library.function
    source = _sources.load(out)
    assert {key for key, _ in source.outputs} >= _FOUR
    ours = _servable.Servable(os.path.join(made[0], 'exported', 'centernet', 'saved_model'))
    model_input = _models.input_of(ours)
    batch = _models.batch_of(model_input, _images.drawn(1))
    with tensorflow.Graph().as_default(), tensorflow.compat.v1.Session(
            config=_sessions.unoptimized_config()) as session:
        tensorflow.import_graph_def(frozen, name='')
        theirs = session.run({key: name for key, name in source.outputs}, {'serving_default_input_tensor:0': batch})
    found = _answers(ours)
    assert set(found) == set(theirs)
    assert all((found[key] == theirs[key]).all() for key in found)
