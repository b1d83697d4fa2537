"""End to end, through the command line: what od-patch exports against what the unpatched release exports."""
import json
import os
import re
import shutil

import numpy as np
import pytest

from od_patch import proof
from tests.proof import proved
from tests.support import exports
from tests.support import parity
from tests.support.exports import NEEDS_CONTRIB

_AVERAGES = 'eval_config { use_moving_averages: true }'
_FIVE_DETECTIONS = ('model { ssd { post_processing { batch_non_max_suppression { '
                    'max_detections_per_class: 5 max_total_detections: 5 } } } }')


def _group(name):
    """Keeps the tests that share a model in one worker, which then builds it once."""
    return pytest.mark.xdist_group(name)


# Each case: the config, the form of the checkpoint that od-patch gets, the flags of the export, the number of images
# in a batch, and what the unpatched export is made with where that is something else than the same.
_CASES = [
    pytest.param('ssd', 'plain', {}, 2, {}, id='ssd', marks=_group('ssd')),
    pytest.param('ssd', 'plain', {'saved_model_variables': 'reference'}, 2, {}, id='references', marks=_group('ssd')),
    pytest.param('ssd', 'sharded', {}, 1, {'form': 'plain'}, id='several shards', marks=_group('ssd')),
    pytest.param('ssd', 'v1', {}, 1, {'form': 'plain'}, id='V1 checkpoint', marks=_group('ssd')),
    pytest.param('ssd', 'training', {}, 1, {'form': 'plain'}, id='optimizer slots', marks=_group('ssd')),
    pytest.param('ssd', 'training', {'config_override': _AVERAGES}, 2, {}, id='averages', marks=_group('averages')),
    pytest.param('ssd', 'v1_training', {'config_override': _AVERAGES}, 1, {}, id='averages, V1 checkpoint',
                 marks=_group('averages')),
    pytest.param('ssd', 'plain', {'input_type': 'encoded_image_string_tensor'}, 2, {}, id='encoded images',
                 marks=_group('averages')),
    pytest.param('ssd', 'plain', {'input_type': 'tf_example'}, 2, {}, id='tf_example', marks=_group('averages')),
    pytest.param('ssd', 'plain', {'input_shape': '1,72,88,3', 'write_inference_graph': True,
                                  'config_override': _FIVE_DETECTIONS}, 1, {},
                 id='input_shape, write_inference_graph, config_override', marks=_group('ssd')),
    pytest.param('ssd_quantized', 'plain', {}, 2, {}, id='quantized ssd', marks=[_group('quantized'), NEEDS_CONTRIB]),
    pytest.param('faster_rcnn', 'plain', {}, 2, {}, id='faster rcnn', marks=_group('faster')),
    pytest.param('mask_rcnn', 'training', {'config_override': _AVERAGES}, 1, {}, id='mask rcnn, averages',
                 marks=_group('mask')),
    pytest.param('rfcn', 'plain', {}, 1, {}, id='rfcn', marks=_group('rfcn')),
]


@pytest.mark.parametrize('config, form, flags, batch, baseline', _CASES)
def test_saved_model_agrees_with_the_unpatched_frozen_graph(
        config, form, flags, batch, baseline, checkpoint_of, upstream_export, tmp_path):
    theirs = upstream_export(config, baseline.get('form', form), **{
        name: value for name, value in flags.items() if name != 'saved_model_variables'})
    output = str(tmp_path / 'export')
    (tmp_path / 'tmp').mkdir()
    result = exports.ours(exports.config_path(config), checkpoint_of(config, form), output,
                          _environment={'TMPDIR': str(tmp_path / 'tmp')}, **flags)
    assert result.exit_code == 0, result.stderr

    # Law 1: the other artefacts are the release's.
    frozen = parity.read_frozen_graph(theirs)
    parity.assert_same_graph(parity.read_frozen_graph(output), frozen)
    assert sorted(os.listdir(output)) == sorted(os.listdir(theirs))
    assert _text(output, 'pipeline.config') == _text(theirs, 'pipeline.config')
    assert _text(output, 'checkpoint') == _text(theirs, 'checkpoint')

    # Law 2: the weights of the export are those that upstream freezes.
    saved_model = os.path.join(output, 'saved_model')
    feed = {'inputs': parity.feed_for(flags.get('input_type', 'image_tensor'), parity.pictures(batch))}
    outputs, signature = parity.run_saved_model(saved_model, feed)
    assert parity.read_meta_graph(os.path.join(theirs, 'saved_model')).signature_def['serving_default'] == signature
    expected = parity.run_frozen_graph(frozen, signature, feed)
    parity.assert_bit_equal(outputs, expected)
    scores = expected['detection_scores']
    assert ((scores > 0) & (scores < 1)).any(), 'saturated: these outputs would agree whatever the weights'

    meta_graph = parity.read_meta_graph(saved_model)
    ops = {node.op for node in meta_graph.graph_def.node}
    if flags.get('saved_model_variables') == 'reference':
        assert 'VariableV2' in ops and 'VarHandleOp' not in ops
    else:
        assert 'VarHandleOp' in ops and 'VariableV2' not in ops
    assert not [node.name for node in meta_graph.graph_def.node if node.device]
    assert len([node for node in meta_graph.graph_def.node if node.op == 'RestoreV2']) == 1
    assert _record(output)['moving_averages'] == (flags.get('config_override') == _AVERAGES)
    if flags.get('config_override') == _FIVE_DETECTIONS:
        assert outputs['detection_boxes'].shape == (1, 5, 4)
    proved.assert_proved(output, run=not baseline, **flags)
    # Neither what was staged nor the averaged checkpoint, which upstream leaves behind, is still there.
    assert sorted(os.listdir(str(tmp_path))) == ['export', 'tmp'] and not os.listdir(str(tmp_path / 'tmp'))


@_group('ssd')
def test_frozen_is_the_releases_own_saved_model(checkpoint_of, upstream_export, tmp_path):
    output = str(tmp_path / 'export')
    result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), output, saved_model_variables='frozen')
    assert result.exit_code == 0, result.stderr
    assert 'frozen constants' in result.stdout
    theirs = parity.read_meta_graph(os.path.join(upstream_export('ssd'), 'saved_model'))
    mine = parity.read_meta_graph(os.path.join(output, 'saved_model'))
    parity.assert_same_graph(mine.graph_def, theirs.graph_def)
    assert os.listdir(os.path.join(output, 'saved_model', 'variables')) == []
    # And the unpatched export can be verified as well: it is right, only frozen.
    answer = proof.verify(upstream_export('ssd'), checkpoint=checkpoint_of('ssd'), quick=True)
    assert not answer.wrong and {check.name: check.text for check in answer.checks}['variables'].startswith('none')


@pytest.mark.parametrize('config, features', [
    pytest.param('ssd', 'FeatureExtractor/MobilenetV1/.*/Conv2d_13_pointwise/Relu6', marks=_group('ssd')),
    pytest.param('faster_rcnn', 'FirstStageFeatureExtractor/.*/Relu', marks=_group('faster_rcnn'))])
def test_additional_outputs_are_served_and_frozen(checkpoint_of, upstream_export, tmp_path, config, features):
    """Upstream cannot do this on Python 3 until 2020, so the baseline is its export without them."""
    theirs = upstream_export(config)
    nodes = [node.name for node in parity.read_meta_graph_file(theirs).graph_def.node]
    # The penalty on a weight is part of the inference graph, and nothing that the outputs need; not all models have one.
    extras = [name for name in nodes if name.endswith('regularizer')][-1:]
    assert extras or config != 'ssd'
    feature = [name for name in nodes if re.match(features + r'\Z', name)][-1]
    output = str(tmp_path / 'export')
    result = exports.ours(exports.config_path(config), checkpoint_of(config), output, verify=True,
                          additional_output_tensor_names=','.join(['Preprocessor/sub', 'features=' + feature] + extras))
    assert result.exit_code == 0, result.stderr
    frozen = parity.read_frozen_graph(output)
    baseline = {node.name: node for node in parity.read_frozen_graph(theirs).node}
    assert not set(extras) & set(baseline) and set(baseline).union(extras) <= {node.name for node in frozen.node}
    feed = {'inputs': parity.pictures(1)}
    outputs, signature = parity.run_saved_model(os.path.join(output, 'saved_model'), feed)
    added = {key: info.name for key, info in signature.outputs.items()
             if key not in parity.read_meta_graph(os.path.join(theirs, 'saved_model')).signature_def[
                 'serving_default'].outputs}
    assert added == dict({'Preprocessor/sub': 'Preprocessor/sub:0', 'features': feature + ':0'},
                         **{extra: extra + ':0' for extra in extras})
    assert outputs['features'].ndim == 4 and outputs['features'].any()
    parity.assert_bit_equal(outputs, parity.run_frozen_graph(frozen, signature, feed))


@_group('averages')
def test_raw_weights_are_named_where_the_config_asks_for_averages(checkpoint_of, upstream_export, tmp_path):
    """An export made in good order, but without them: only the config that it was trained with tells."""
    export, checkpoint = upstream_export('ssd', 'training'), checkpoint_of('ssd', 'training')
    config = tmp_path / 'pipeline.config'
    with open(exports.config_path('ssd')) as plain:
        config.write_text(plain.read() + _AVERAGES)
    answer = proof.verify(export, checkpoint=checkpoint, pipeline_config=str(config), quick=True)
    wrong, = answer.wrong
    assert wrong.name == 'SavedModel = checkpoint'
    assert wrong.text.endswith('these are the raw weights, and the moving averages are asked for ({})'.format(config))
    assert not proof.verify(export, checkpoint=checkpoint, pipeline_config=exports.config_path('ssd'), quick=True).wrong


@_group('averages')
def test_averages_and_raw_weights_are_told_apart(checkpoint_of, upstream_export):
    """The other tests could not see a mix-up if the two gave the same outputs."""
    feed = {'inputs': parity.pictures(1)}
    raw = upstream_export('ssd', 'plain')
    averaged = upstream_export('ssd', 'training', config_override=_AVERAGES)
    signature = parity.read_meta_graph(os.path.join(raw, 'saved_model')).signature_def['serving_default']
    one = parity.run_frozen_graph(parity.read_frozen_graph(raw), signature, feed)
    other = parity.run_frozen_graph(parity.read_frozen_graph(averaged), signature, feed)
    assert np.abs(one['detection_scores'] - other['detection_scores']).max() > 1e-4


@_group('ssd')
def test_overwrite_replaces_an_export_and_leaves_other_files(checkpoint_of, tmp_path):
    output = tmp_path / 'export'
    output.mkdir()
    (output / 'notes.txt').write_text('mine')
    (output / 'saved_model').mkdir()
    (output / 'saved_model' / 'saved_model.pb').write_text('an older export')
    (output / 'saved_model' / 'stale').write_text('of the older export')
    arguments = (exports.config_path('ssd'), checkpoint_of('ssd'), str(output))
    refused = exports.ours(*arguments)
    assert refused.exit_code == 7
    assert '--overwrite' in refused.stderr
    assert (output / 'saved_model' / 'saved_model.pb').read_text() == 'an older export'
    result = exports.ours(*arguments, overwrite=True)
    assert result.exit_code == 0, result.stderr
    assert 'Replaced the export' in result.stdout
    assert (output / 'notes.txt').read_text() == 'mine'
    assert not (output / 'saved_model' / 'stale').exists()
    parity.run_saved_model(str(output / 'saved_model'), {'inputs': parity.pictures(1)})
    assert sorted(os.listdir(str(tmp_path))) == ['export']


@_group('ssd')
def test_a_release_with_underscore_names_exports_the_same(checkpoint_of, upstream_export, research, tmp_path):
    """Until 2018-02-09 the helpers were called so; those releases cannot be had as packages."""
    shutil.copytree(os.path.join(research, 'object_detection'), str(tmp_path / 'object_detection'))
    exporter = tmp_path / 'object_detection' / 'exporter.py'
    source = exporter.read_bytes()
    for name in (b'write_saved_model', b'write_graph_and_checkpoint'):
        source = re.sub(br'\b' + name + br'\b', b'_' + name, source)
    exporter.write_bytes(source)
    output = str(tmp_path / 'export')
    result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), output, _environment={
        'PYTHONPATH': os.pathsep.join([os.getcwd(), str(tmp_path), research, os.path.join(research, 'slim')])})
    assert result.exit_code == 0, result.stderr
    assert 'unpinned' in result.stdout
    frozen = parity.read_frozen_graph(upstream_export('ssd'))
    feed = {'inputs': parity.pictures(1)}
    outputs, signature = parity.run_saved_model(os.path.join(output, 'saved_model'), feed)
    parity.assert_bit_equal(outputs, parity.run_frozen_graph(frozen, signature, feed))
    assert 'VarHandleOp' in {node.op for node in parity.read_meta_graph(
        os.path.join(output, 'saved_model')).graph_def.node}


@_group('ssd')
def test_the_copy_of_a_training_directory_is_exported_and_not_the_original(checkpoint_of, tmp_path):
    """The training went on in the original, to the same step, and both "checkpoint" files name the original's path."""
    original, copy, output = (str(tmp_path / name) for name in ('training', 'training_exp1', 'export'))
    shutil.copytree(os.path.dirname(checkpoint_of('ssd', 'training')), original)
    shutil.copytree(os.path.dirname(checkpoint_of('ssd')), copy)
    for folder in (original, copy):
        with open(os.path.join(folder, 'checkpoint'), 'w') as state:
            state.write('model_checkpoint_path: "{}"\n'.format(os.path.join(original, 'model.ckpt-1234')))
    result = exports.ours(exports.config_path('ssd'), copy + '/', output, artifacts='saved_model')
    assert result.exit_code == 0, result.stderr
    assert _record(output)['checkpoint'] == os.path.join(copy, 'model.ckpt-1234')
    assert 'raw weights of {}, step 1234'.format(os.path.join(copy, 'model.ckpt-1234')) in result.stdout


def _text(export, name):
    with open(os.path.join(export, name)) as text_file:
        return text_file.read()


def _record(export):
    return json.loads(_text(export, os.path.join('saved_model', 'assets.extra', 'od_patch.json')))
