"""Models that take more than images, as Context R-CNN does: their outputs are run, or it is said that they were not."""
import os

import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch import proof  # noqa: E402
from od_patch.graphs import _models  # noqa: E402
from od_patch.graphs import _servable  # noqa: E402
from od_patch.graphs import _sessions  # noqa: E402
from od_patch.proof import _answer  # noqa: E402
from od_patch.saved_model import _saved_model  # noqa: E402
from od_patch.serving import _publish  # noqa: E402
from od_patch.serving import _requests  # noqa: E402
from od_patch.steps import proof as proof_step  # noqa: E402
from tests.serving import models  # noqa: E402
from tests.support import checkpoints  # noqa: E402
from tests.support import exports  # noqa: E402


def _model(sides, key='inputs', batch=None):
    """A ``MetaGraphDef`` that adds up images and all of its side inputs, {name: (dtype, shape)}."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.uint8, [batch, None, None, 3], name='image_tensor')
        inputs = {key: images}
        total = tf.reduce_sum(tf.cast(images, tf.float32), axis=[1, 2, 3])
        for name, (dtype, shape) in sides.items():
            inputs[name] = tf.placeholder(dtype, shape, name=name)
            if dtype != tf.string:
                total += tf.reduce_sum(tf.cast(inputs[name], tf.float32))
        total = tf.identity(total, name='total')
        meta_graph = tf.train.export_meta_graph(graph=graph)
        meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(inputs, {'total': total}))
    meta_graph.meta_info_def.tags.append('serve')
    return meta_graph


_CONTEXT = {'context_features': (tensorflow.float32, [None, None, 4]), 'valid_context_size': (tensorflow.int32, [None])}
_SIDES = {
    'context': _CONTEXT, 'context of one image': {'context_features': (tensorflow.float32, [1, 16, 4])},
    'a number': {'scale': (tensorflow.float32, [])}, 'a switch': {'flag': (tensorflow.bool, [None])},
    'another image': {'mask': (tensorflow.uint8, [None, 5, 5, 1])},
}


def _verify(meta_graph, tmp_path):
    folder = models.write(meta_graph, tmp_path / 'saved_model')
    frozen = tmp_path / 'frozen_inference_graph.pb'
    frozen.write_bytes(meta_graph.graph_def.SerializeToString())
    return proof.verify(saved_model=folder, frozen_graph=str(frozen))


@pytest.mark.parametrize('key', ['inputs', 'pictures'])
@pytest.mark.parametrize('sides', sorted(_SIDES))
def test_outputs_are_run_with_made_up_numbers(sides, key, tmp_path):
    answer = _verify(_model(_SIDES[sides], key if sides != 'another image' else 'inputs'), tmp_path)
    checks = answer.of('outputs')
    note, = [check for check in checks if check.name == 'side inputs']
    assert note.status == _answer.NOTE and all(name in note.text for name in _SIDES[sides])
    assert [check.status for check in checks if check is not note] == ['ok'] * 4
    assert answer.runs[0].rows[0].elements == 2


def test_what_is_made_up_is_seen_by_the_model_and_the_same_each_time(tmp_path):
    folder = models.write(_model({'valid_context_size': _CONTEXT['valid_context_size']}), tmp_path / 'saved_model')
    servable = _servable.Servable(folder)
    model_input, sides = _models.inputs_of(servable)
    black = np.zeros((2, 3, 3, 3), 'u1')
    totals = []
    for _ in range(2):
        with _models.saved_model(servable, _sessions.default_config(), model_input, sides) as model:
            totals.append(model.run(black)['total'].tolist())
    assert totals == [[2, 2]] * 2  # of a batch of two, one each


@pytest.mark.parametrize('sides, words', [
    ({'text': (tensorflow.string, [None])}, 'the input text takes string, which cannot be made up'),
    ({'any': (tensorflow.float32, None)}, 'the input any takes float32, which cannot be made up')])
def test_what_cannot_be_made_up_is_not_run_and_that_is_said(sides, words, tmp_path):
    answer = _verify(_model(sides), tmp_path)
    check, = answer.of('outputs')
    assert check.status == _answer.SKIPPED and words in check.text and not answer.runs
    (label, told), = proof_step.Proof(True).facts(answer)
    assert label == 'proof'
    assert 'outputs were not checked: not run: ' + words in told and '--verify' not in told


def test_who_did_not_ask_for_outputs_is_told_what_runs_them(tmp_path):
    answer = proof.verify(saved_model=models.write(_model({}), tmp_path / 'saved_model'), quick=True)
    (_, told), = proof_step.Proof(False).facts(answer)
    assert '--verify runs it, too' in told and 'not checked: ' not in told


def test_images_alone_do_not_make_a_request_of_it(tmp_path):
    folder = models.write(_model(_CONTEXT), tmp_path / 'saved_model')
    with pytest.raises(_errors.InputRefused, match='3 inputs'):
        _requests.write(folder, str(tmp_path / 'request'), model_name='context')
    assert _publish.publish(folder, _publish.PublishRequest(str(tmp_path / 'models'))).input is None


@pytest.mark.skipif(os.environ.get('OD_PATCH_VINTAGE') != 'D', reason='side inputs came with the releases of 2020')
def test_context_rcnn_is_exported_and_its_outputs_are_run(tmp_path):
    config = tmp_path / 'context.config'
    with open(exports.config_path('faster_rcnn')) as file:
        config.write_text(file.read().replace('number_of_stages: 3', '').replace(
            'faster_rcnn {\n', 'faster_rcnn {\n context_config { max_num_context_features: 16 }\n', 1))
    made = exports.fork('tests.support.checkpoints', [str(config), str(tmp_path / 'trained'), 'plain'])
    assert made.exit_code == 0, made.stderr[-3000:]
    prefix = checkpoints.prefix_of(str(tmp_path / 'trained'), 'plain')
    result = exports.ours(str(config), prefix, str(tmp_path / 'export'), verify=True, use_side_inputs=True,
                          input_shape='1,64,96,3',
                          side_input_shapes='1,{},{}/1'.format(*checkpoints.CONTEXT),
                          side_input_names='context_features,valid_context_size', side_input_types='float,int')
    assert result.exit_code == 0, result.stderr[-3000:]
    assert 'files, weights and outputs' in result.stdout
