"""What a checkpoint that does not fit is said to differ in: each neighbouring cause by its own name, with its numbers.

Shapes are those of the releases' layers, in tables; some are had from real graphs, through the command line.
"""
import json
import os
import re

import numpy as np
import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch import legacy  # noqa: E402
from od_patch.checkpoint import _bundle_writer  # noqa: E402
from od_patch.checkpoint import _checkpoint  # noqa: E402
from tests.support import checkpoints  # noqa: E402
from tests.support import exports  # noqa: E402

pytestmark = pytest.mark.once

_AVERAGE = '/ExponentialMovingAverage'


def refusal(graph_variables, held, averages=False, config=None, step=1, channels=3):
    """Returns the refusal of a checkpoint with {name: shape} for a graph with {name: shape}, None where it fits."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        tf.placeholder(tf.uint8, [None, None, None, channels], name='image_tensor')
        for name, shape in graph_variables.items():
            tf.get_variable(name, shape)
    if averages:
        held = {name + _AVERAGE: shape for name, shape in held.items()}
    inventory = _checkpoint.Inventory('model', 'V2', 1, held, step)
    try:
        _checkpoint.check_graph(graph, inventory, averages, config)
    except _errors.CheckpointMismatch as error:
        return error
    return None


def cause(*args, **kwargs):
    found = refusal(*args, **kwargs)
    assert found.remedy.startswith('Likely cause: ')
    return found.remedy[len('Likely cause: '):]


def config_of(text, name='ssd'):
    from google.protobuf import text_format
    with legacy.on():
        from object_detection.protos import pipeline_pb2
    config = pipeline_pb2.TrainEvalPipelineConfig()
    with open(exports.config_path(name)) as file:
        text_format.Merge(file.read(), config)
    text_format.Merge(text, config)
    return config


def ssd(anchors, classes, layers=6, kernel=1, depth=16, lowest=None):
    """{name: shape} of the box predictors of an SSD: as many anchors on each feature map, but for the lowest."""
    found = {}
    for layer in range(layers):
        here = lowest if lowest and not layer else anchors
        for head, numbers in (('BoxEncodingPredictor', 4 * here), ('ClassPredictor', (classes + 1) * here)):
            found['BoxPredictor_{}/{}/weights'.format(layer, head)] = [kernel, kernel, depth, numbers]
            found['BoxPredictor_{}/{}/biases'.format(layer, head)] = [numbers]
    return found


def weight_shared(anchors, classes, depth=16):
    found = {}
    for head, numbers in (('BoxPredictor', 4 * anchors), ('ClassPredictor', (classes + 1) * anchors)):
        found['WeightSharedConvolutionalBoxPredictor/{}/weights'.format(head)] = [3, 3, depth, numbers]
        found['WeightSharedConvolutionalBoxPredictor/{}/biases'.format(head)] = [numbers]
    return found


def two_stages(anchors, classes, depth=16):
    found = {}
    for head, first, second in (('BoxEncodingPredictor', 4 * anchors, 4 * classes),
                                ('ClassPredictor', 2 * anchors, classes + 1)):
        found['FirstStageBoxPredictor/{}/weights'.format(head)] = [1, 1, depth, first]
        found['FirstStageBoxPredictor/{}/biases'.format(head)] = [first]
        found['SecondStageBoxPredictor/{}/weights'.format(head)] = [depth, second]
        found['SecondStageBoxPredictor/{}/biases'.format(head)] = [second]
    return found


_FIELDS = {ssd: 'aspect_ratios', weight_shared: 'scales_per_octave', two_stages: 'first_stage_anchor_generator'}


@settings(max_examples=30, deadline=None)
@given(strategies.sampled_from(sorted(_FIELDS, key=str)), strategies.tuples(*[strategies.integers(1, 9)] * 2),
       strategies.tuples(*[strategies.integers(1, 90)] * 2), strategies.booleans(), strategies.booleans())
# Class predictors of one shape: three anchors of two scores, and two of three.
@example(ssd, (3, 2), (1, 2), False, False)
@example(ssd, (3, 2), (1, 2), True, True)
@example(weight_shared, (2, 6), (8, 2), False, True)
@example(two_stages, (2, 6), (8, 2), False, True)
def test_anchors_and_classes_are_told_apart_and_their_numbers_named(layout, anchors, classes, averages, known):
    config = config_of('model {{ ssd {{ num_classes: {} }} }}'.format(classes[0])) if known else None
    graph, held = (layout(*pair) for pair in zip(anchors, classes))
    if graph == held:
        assert refusal(graph, held, averages, config) is None
        return
    told = cause(graph, held, averages, config)
    assert ('the anchors' in told) == (anchors[0] != anchors[1])
    assert ('the class count:' in told) == (classes[0] != classes[1])
    if anchors[0] != anchors[1]:
        assert 'has {} by the config and {} in the checkpoint'.format(*anchors) in told
        assert _FIELDS[layout] in told
    if classes[0] != classes[1]:
        assert 'num_classes: {})'.format(classes[0]) in told and 'trained with {} '.format(classes[1]) in told
    assert _AVERAGE not in told and '--config_override' in told and 'reduce_boxes_in_lowest_layer' not in told


def test_only_the_lowest_layer():
    told = cause(ssd(6, 3, lowest=3), ssd(6, 3))
    assert 'the anchors' in told and 'reduce_boxes_in_lowest_layer' in told and '3 by the config and 6' in told


def test_what_the_config_says_of_its_anchors_is_named():
    told = cause(ssd(4, 3), ssd(6, 3), config=config_of(''))
    assert 'the config has num_layers: 6, ' in told and '3 aspect_ratios' in told
    assert 'reduce_boxes_in_lowest_layer' not in told


def test_anchors_of_a_box_coder_with_keypoints():
    coder = 'model { ssd { box_coder { keypoint_box_coder { num_keypoints: 5 } } } }'
    graph, held = ({'BoxPredictor_0/BoxEncodingPredictor/weights': [1, 1, 8, 14 * count]} for count in (3, 6))
    assert '3 by the config and 6 in the checkpoint' in cause(graph, held, config=config_of(coder))


# What the graph has, what the checkpoint has, words of the cause, words that it must not have.
_STEM = 'FeatureExtractor/MobilenetV1/Conv2d_'
_CASES = {
    'more layers in the config': (
        ssd(6, 3, layers=8), ssd(6, 3, layers=6),
        ['the anchors', 'anchors on 8 feature maps', 'the checkpoint on 6', 'num_layers'], ['class count']),
    'kernels': (ssd(6, 3, kernel=3), ssd(6, 3), ['kernel_size', '3 x 3', '1 x 1'], ['class count', 'anchors']),
    'depth of the box predictor': (
        weight_shared(6, 3, depth=64), weight_shared(6, 3, depth=32), ['depth', '[3, 3, 64, 24]', '[3, 3, 32, 24]'],
        ['class count', 'anchors']),
    'depth of the first stage': (
        {'FirstStageBoxPredictor/ClassPredictor/weights': [1, 1, 64, 4]},
        {'FirstStageBoxPredictor/ClassPredictor/weights': [1, 1, 32, 4]}, ['first_stage_box_predictor_'],
        ['class count', 'anchors']),
    'depthwise box predictors': (
        dict(ssd(6, 3), **{'BoxPredictor_0/ClassPredictor_depthwise/depthwise_weights': [3, 3, 16, 1]}), ssd(6, 3),
        ['use_depthwise is true in', 'was false in the training'], ['class count']),
    'box predictors that are not depthwise': (
        ssd(6, 3, kernel=3),
        dict(ssd(6, 3), **{'BoxPredictor_0/ClassPredictor_depthwise/depthwise_weights': [3, 3, 16, 1]}),
        ['use_depthwise is false in', 'was true in the training'], ['class count']),
    'width': (
        {_STEM + '0/weights': [3, 3, 3, 32], _STEM + '1/weights': [1, 1, 32, 64]},
        {_STEM + '0/weights': [3, 3, 3, 8], _STEM + '1/weights': [1, 1, 8, 16]},
        ['depth_multiplier', '[3, 3, 3, 32]', '[3, 3, 3, 8]'], ['class count', 'channels']),
    'scale of the batch normalization': (
        {'a/BatchNorm/gamma': [4], 'a/BatchNorm/beta': [4]}, {'a/BatchNorm/beta': [4]},
        ['no gamma', 'scale was false'], ['class count']),
    'no batch normalization': (
        {'a/b/BatchNorm/gamma': [4], 'a/b/BatchNorm/moving_mean': [4], 'a/b/weights': [1]}, {'a/b/weights': [1]},
        ['lacks gamma, moving_mean (2 variables', 'batch_norm'], ['scale was']),
    'one stage': (
        dict(two_stages(2, 3), **{'SecondStageFeatureExtractor/a/weights': [1]}),
        {name: shape for name, shape in two_stages(2, 3).items() if name.startswith('First')},
        ['only a first', 'number_of_stages: 1'], ['class count', 'mask']),
    'masks': (
        dict(two_stages(2, 3), **{'SecondStageBoxPredictor/Conv_1/weights': [3, 3, 4, 3]}), two_stages(2, 3),
        ['predict_instance_masks'], ['class count']),
    'another architecture': (
        ssd(6, 3), two_stages(2, 3), ['another architecture', 'builds BoxPredictor', 'holds FirstStageBoxPredictor'],
        ['class count']),
    'classes of masks': (
        {'SecondStageBoxPredictor/Conv_3/weights': [1, 1, 8, 5], 'SecondStageBoxPredictor/ClassPredictor/biases': [6]},
        {'SecondStageBoxPredictor/Conv_3/weights': [1, 1, 8, 9], 'SecondStageBoxPredictor/ClassPredictor/biases': [10]},
        ['class count', 'num_classes: 5)', 'trained with 9 '], ['anchors']),
    'maps of R-FCN': (
        {'SecondStageBoxPredictor/class_predictions/weights': [1, 1, 8, 9 * 4]},
        {'SecondStageBoxPredictor/class_predictions/weights': [1, 1, 8, 9 * 6]},
        ['class count', 'num_classes: 3)', 'trained with 5 '], ['anchors']),
    'classes of boxes': (
        {'SecondStageBoxPredictor/BoxEncodingPredictor/weights': [8, 12]},
        {'SecondStageBoxPredictor/BoxEncodingPredictor/weights': [8, 40]},
        ['class count', 'num_classes: 3)', 'trained with 10 '], ['anchors']),
    'nothing known': ({'a/b/weights': [1]}, {'c/d/weights': [1]}, ['is not the one that'], ['class count', 'anchors']),
}

_CLASSES = {'maps of R-FCN': 3, 'classes of boxes': 3, 'classes of masks': 5}  # of the config


@pytest.mark.parametrize('averages, case', [(averages, case) for averages in (False, True) for case in sorted(_CASES)
                                            if not averages or set(_CASES[case][0]) & set(_CASES[case][1])])
def test_the_cause_is_named_and_no_other(case, averages):
    graph, held, words, others = _CASES[case]
    config = config_of('model {{ ssd {{ num_classes: {} }} }}'.format(_CLASSES[case])) if case in _CLASSES else None
    told = cause(graph, held, averages, config)
    for word in words:
        assert word in told, word
    for word in others:
        assert word not in told, word
    assert _AVERAGE not in told


@pytest.mark.parametrize('layer, graph_shape, held_shape', [
    ('MobilenetV1/Conv2d_0/weights', [3, 3, 3, 8], [3, 3, 4, 8]),
    ('InceptionV2/InceptionV2/Conv2d_1a_7x7/depthwise_weights', [7, 7, 3, 8], [7, 7, 1, 8]),
    ('resnet_v1_50/conv1/weights', [7, 7, 6, 64], [7, 7, 3, 64])])
@pytest.mark.parametrize('scope', ['FeatureExtractor/', 'FirstStageFeatureExtractor/'])
def test_other_channels_are_named_with_the_flag(layer, graph_shape, held_shape, scope):
    same = {'FeatureExtractor/other/weights': [1, 1, 3, 8]}
    told = cause(dict(same, **{scope + layer: graph_shape}), dict(same, **{scope + layer: held_shape}),
                 channels=graph_shape[2])
    assert 'channels of the images: {} in the graph, {} in the checkpoint'.format(graph_shape[2], held_shape[2]) in told
    assert '--input_shape=-1,-1,-1,{}'.format(held_shape[2]) in told


def test_another_width_is_not_taken_for_other_channels():
    graph, held = ({_STEM + '1_pointwise/weights': [1, 1, count, 16]} for count in (8, 32))
    assert 'channels' not in cause(graph, held)


def test_channels_are_not_blamed_where_more_differs():
    graph, held = ({_STEM + '0/weights': [3, 3, channels, 8], _STEM + '1/weights': [1, 1, 8, width]}
                   for channels, width in ((3, 16), (4, 32)))
    assert 'channels' not in cause(graph, held)


# Quantization


def _quantized(count, ranges):
    graph = {'layer_{}/weights'.format(number): [2] for number in range(count)}
    graph.update(('layer_{}/act_quant/{}'.format(number, end), [])
                 for number in range(ranges) for end in ('min', 'max'))
    return graph


@pytest.mark.parametrize('held', [1, 2, 4])
def test_ranges_that_are_missing_are_counted_and_named(held):
    told = cause(_quantized(5, 5), _quantized(5, held))
    assert 'lacks {} of the 5 ranges'.format(5 - held) in told and '`delay`' in told
    assert 'layer_{}/act_quant'.format(held) in told
    assert 'float' not in told and 'not the one' not in told


def test_a_checkpoint_without_any_range_is_a_float_one():
    assert '(float)' in cause(_quantized(5, 5), _quantized(5, 0))


@pytest.mark.parametrize('step, words', [(1234, 'the checkpoint is of step 1,234'), (None, 'tells no step')])
def test_the_delay_and_the_step_are_named(step, words):
    config = config_of('graph_rewriter { quantization { delay: 48000 } }')
    told = cause(_quantized(3, 3), _quantized(3, 1), config=config, step=step)
    assert '48,000 steps in the config' in told and words in told


# No step


@pytest.mark.parametrize('form', ['V2', 'V2 in shards', 'V1'])
def test_a_checkpoint_gets_the_step_that_it_lacks_and_keeps_all_else(form, tmp_path):
    values = {'a': np.arange(6, dtype='f4').reshape(2, 3), 'z/scalar': np.float64(3),
              'global_stepper': np.ones(2, 'i4')}
    prefix = str(tmp_path / 'model.ckpt-9')
    if form == 'V1':
        checkpoints.write_v1(prefix, values)
    else:
        checkpoints.write_v2(prefix, values, 3 if 'shards' in form else 1)
    inventory = _checkpoint.take_inventory(prefix)
    assert inventory.step is None
    (tmp_path / 'temporary').mkdir()
    made = _checkpoint.with_step(inventory, str(tmp_path / 'temporary'))
    again = _checkpoint.take_inventory(made)
    assert again.step == 0 and set(again.shapes) == set(values) | {'global_step'}
    reader = _tensorflow.tf1().train.NewCheckpointReader(made)
    for name, value in values.items():
        assert reader.get_tensor(name).tobytes() == value.tobytes() and reader.get_tensor(name).dtype == value.dtype


def test_only_the_step_may_be_missing():
    assert refusal({'global_step': [], 'a': [1]}, {'a': [1]}) is None
    assert refusal({'global_step': [], 'a': [1]}, {'global_step': []}) is not None
    assert 'of 2 variables, 1 is missing' in refusal({'global_step': [], 'a': [1]}, {}).problem
    assert 'another shape' in refusal({'global_step': [], 'a': [1]}, {'global_step': [2], 'a': [1]}).problem


def _without_step(prefix, folder):
    """A copy of a checkpoint that lacks the step."""
    reader = _tensorflow.tf1().train.NewCheckpointReader(prefix)
    names = {name: name for name in reader.get_variable_to_shape_map() if name != 'global_step'}
    os.makedirs(folder)
    _bundle_writer.copy_tensors(prefix, names, os.path.join(folder, 'model.ckpt'))
    return os.path.join(folder, 'model.ckpt')


@pytest.mark.xdist_group('ssd')
@pytest.mark.parametrize('flags', [{}, {'artifacts': 'saved_model'}], ids=['all artifacts', 'saved_model alone'])
def test_a_checkpoint_without_step_is_exported(checkpoint_of, tmp_path, flags):
    prefix = _without_step(checkpoint_of('ssd'), str(tmp_path / 'trained'))
    output = str(tmp_path / 'export')
    result = exports.ours(exports.config_path('ssd'), prefix, output, **flags)
    assert result.exit_code == 0, result.stderr
    assert 'has no global_step, which inference does not need' in result.stderr
    with open(os.path.join(output, 'saved_model', 'assets.extra', 'od_patch.json')) as file:
        record = json.load(file)
    assert record['global_step'] is None and record['checkpoint'] == prefix
    reader = _tensorflow.tf1().train.NewCheckpointReader(os.path.join(output, 'saved_model', 'variables', 'variables'))
    trained = _tensorflow.tf1().train.NewCheckpointReader(prefix)
    for name in trained.get_variable_to_shape_map():
        assert reader.get_tensor(name).tobytes() == trained.get_tensor(name).tobytes()
    assert not reader.has_tensor('global_step')  # which no output reads
    assert ('it is 0 in model.ckpt' in result.stderr) == (not flags)
    if not flags:
        own = _tensorflow.tf1().train.NewCheckpointReader(os.path.join(output, 'model.ckpt'))
        assert own.get_tensor('global_step') == 0
    assert sorted(os.listdir(str(tmp_path))) == ['export', 'trained']


@pytest.mark.xdist_group('ssd')
def test_a_version_by_step_is_refused_where_there_is_none(checkpoint_of, tmp_path):
    prefix = _without_step(checkpoint_of('ssd'), str(tmp_path / 'trained'))
    result = exports.ours(exports.config_path('ssd'), prefix, str(tmp_path / 'export'), model_version='step',
                          serving_directory=str(tmp_path / 'models'))
    assert result.exit_code == 5 and 'tells no global step' in result.stderr


# Real graphs, through the command line

_ANCHORS = {
    'an aspect ratio': ('ssd', {}, 'model { ssd { anchor_generator { ssd_anchor_generator { '
                        'aspect_ratios: 3.0 } } } }', [
        r'the anchors.* has 5 by the config and 4 in the checkpoint', 'aspect_ratios', r'6 num_layers|num_layers: 6']),
    'a scale': ('faster_rcnn', {}, 'model { faster_rcnn { first_stage_anchor_generator { grid_anchor_generator '
                '{ scales: 2.0 } } } }', ['the anchors.* 3 by the config and 2 in the checkpoint', '3 scales']),
    'channels': ('ssd', {'input_shape': '-1,-1,-1,4'}, '', [
        r'channels of the images: 4 in the graph, 3 in the checkpoint',
        '--input_shape=-1,-1,-1,3']),
    'classes': ('faster_rcnn', {}, 'model { faster_rcnn { num_classes: 7 } }', [
        r'class count: the config \(num_classes: 7\).* trained with 3 ']),
}


@pytest.mark.parametrize('case', [pytest.param(case, marks=pytest.mark.xdist_group(_ANCHORS[case][0]))
                                  for case in sorted(_ANCHORS)])
def test_the_cause_is_named_of_a_real_graph(case, checkpoint_of, tmp_path):
    config, flags, override, patterns = _ANCHORS[case]
    if override:
        flags = dict(flags, config_override=override)
    result = exports.ours(exports.config_path(config), checkpoint_of(config), str(tmp_path / 'out'), **flags)
    assert result.exit_code == 6, result.stderr
    for pattern in patterns:
        assert re.search(pattern, result.stderr, re.DOTALL), result.stderr
    assert not (tmp_path / 'out').exists()


def test_a_box_predictor_from_the_middle_is_no_other_number_of_layers():
    held = {name: shape for name, shape in ssd(6, 3).items() if 'BoxPredictor_2' not in name}
    told = cause(ssd(6, 3), held)
    assert 'num_layers' not in told and 'class count' not in told
