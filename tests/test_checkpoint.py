"""What a checkpoint path means, and what is said of one that does not fit."""
import os
import re

import numpy as np
import pytest

import od_patch
from od_patch.checkpoint import _checkpoint

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _tensorflow  # noqa: E402
from tests.support import checkpoints  # noqa: E402

_VALUES = {'weights': np.ones((2, 3), np.float32), 'global_step': np.int64(7)}
_CLASSES = 'BoxPredictor_0/ClassPredictor/weights'
_ANOTHER_CONFIG = 'is not the one that this checkpoint was trained with'
_QUANTIZED = 'a graph_rewriter with quantization'


@pytest.fixture
def prefix(tmp_path):
    prefix = str(tmp_path / 'model.ckpt-7')
    checkpoints.write_v2(prefix, _VALUES)
    return prefix


@pytest.mark.parametrize('suffix', ['', '.index', '.meta', '.data-00000-of-00001'])
def test_what_is_stuck_to_a_prefix_is_taken_off(prefix, suffix):
    assert _checkpoint.resolve(prefix + suffix) == prefix


def test_a_directory_means_its_newest_checkpoint(prefix, tmp_path):
    for step in (9, 10):
        checkpoints.write_v2(str(tmp_path / 'model.ckpt-{}'.format(step)), _VALUES)
    assert _checkpoint.resolve(str(tmp_path)) == str(tmp_path / 'model.ckpt-10')
    assert _checkpoint.resolve(str(tmp_path) + '/') == str(tmp_path / 'model.ckpt-10')
    (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "model.ckpt-9"\n')
    assert _checkpoint.resolve(str(tmp_path)) == str(tmp_path / 'model.ckpt-9')
    assert _checkpoint.resolve(str(tmp_path / 'checkpoint')) == str(tmp_path / 'model.ckpt-9')


def test_a_directory_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(od_patch.InputRefused, match='holds no checkpoint'):
        _checkpoint.resolve(str(tmp_path))


@pytest.mark.parametrize('num_shards', [1, 2])
def test_inventory(tmp_path, num_shards):
    prefix = str(tmp_path / 'model')
    checkpoints.write_v2(prefix, _VALUES, num_shards)
    inventory = _checkpoint.take_inventory(prefix)
    assert (inventory.format, inventory.num_shards, inventory.step) == ('V2', num_shards, 7)
    assert inventory.shapes['weights'] == [2, 3]


def test_inventory_of_a_v1_checkpoint(tmp_path):
    path = str(tmp_path / 'model')
    checkpoints.write_v1(path, _VALUES)
    assert _checkpoint.resolve(path) == path
    inventory = _checkpoint.take_inventory(path)
    assert (inventory.format, inventory.step, inventory.num_shards) == ('V1', 7, 1)
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(od_patch.InputRefused, match='cannot be read'):
        _checkpoint.take_inventory(path)


@pytest.mark.parametrize('sharded', [False, True])
def test_a_v1_checkpoint_that_lies_is_refused_before_tensorflow_reads_it(tmp_path, sharded):
    """Of one file or of several. TensorFlow takes this lie for the truth; for others it aborts the process."""
    from tensorflow.core.util import saved_tensor_slice_pb2
    from tests.support import tables
    path = str(tmp_path / 'model')
    checkpoints.write_v1(path, _VALUES)
    with open(path, 'rb') as table_file:
        items = tables.items(table_file.read())
    number = next(number for number, (key, _) in enumerate(items) if key)
    values = saved_tensor_slice_pb2.SavedTensorSlices.FromString(items[number][1])
    values.data.name = 'other'
    items[number] = (items[number][0], values.SerializeToString())
    files = [path + '-0000{}-of-00002'.format(part) for part in range(2)] if sharded else [path]
    for name in files:
        with open(name, 'wb') as table_file:
            table_file.write(tables.table(items))
    if sharded:
        os.unlink(path)
    assert _checkpoint.resolve(path) == path
    with pytest.raises(od_patch.InputRefused, match="is damaged: the values of 'other' are those of no") as refusal:
        _checkpoint.take_inventory(path)
    assert files[0] in refusal.value.problem or files[-1] in refusal.value.problem


def test_a_v1_checkpoint_of_several_files_is_found_and_refused_in_words(tmp_path):
    """TensorFlow's reader takes such a prefix for the path of one file."""
    checkpoints.write_v1(str(tmp_path / 'model-00000-of-00001'), _VALUES)
    prefix = str(tmp_path / 'model')
    assert _checkpoint.resolve(prefix) == prefix
    with pytest.raises(od_patch.InputRefused, match='cannot be read') as refusal:
        _checkpoint.take_inventory(prefix)
    assert 'Only checkpoints of before 2017 are a single file' in refusal.value.remedy
    with pytest.raises(od_patch.InputRefused, match='There is no checkpoint'):
        _checkpoint.resolve(str(tmp_path / 'mode?'))


def test_a_folder_named_like_a_pattern_is_to_be_renamed(tmp_path):
    folder = tmp_path / 'out[1]'
    checkpoints.write_v2(str(tmp_path / 'model'), _VALUES)
    files = os.listdir(str(tmp_path))
    folder.mkdir()
    for name in files:
        os.rename(str(tmp_path / name), str(folder / name))
    assert _checkpoint.resolve(str(folder)) == _checkpoint.resolve(str(folder / 'model')) == str(folder / 'model')
    with pytest.raises(od_patch.InputRefused, match='cannot be read') as refusal:
        _checkpoint.take_inventory(str(folder / 'model'))
    assert 'rename the folder' in refusal.value.remedy


@pytest.mark.parametrize('values, step', [
    ({'global_step': np.int64(0)}, 0), ({'global_step': np.int32(9)}, 9), ({'step': np.int64(9)}, None),
    ({'scope/global_step': np.int64(9)}, None)])
def test_the_step_is_the_one_that_the_checkpoint_holds_whatever_its_name_says(tmp_path, values, step):
    prefix = str(tmp_path / 'model.ckpt-123')
    checkpoints.write_v2(prefix, values)
    assert _checkpoint.take_inventory(prefix).step == step


def _damaged(prefix, how):
    data = prefix + '.data-00000-of-00001'
    if how == 'short':
        os.truncate(data, os.path.getsize(data) - 1)
    elif how == 'gone':
        os.unlink(data)
    else:
        os.truncate(prefix + '.index', 60)


@pytest.mark.parametrize('how, words', [('short', 'is not whole: .* should have at least'),
                                        ('gone', 'is not whole: .* is missing'),
                                        ('index', 'is damaged: .* is not the index of a checkpoint')])
def test_a_checkpoint_that_is_not_whole_is_refused_before_it_is_read(prefix, how, words):
    _damaged(prefix, how)
    with pytest.raises(od_patch.InputRefused, match=words) as refusal:
        _checkpoint.take_inventory(prefix)
    assert refusal.value.exit_code == 5 and 'Copy' in refusal.value.remedy


def test_a_file_that_is_no_checkpoint_is_told_what_one_is(tmp_path):
    (tmp_path / 'pipeline.config').write_text('model { }')
    with pytest.raises(od_patch.InputRefused, match='cannot be read') as refusal:
        _checkpoint.take_inventory(str(tmp_path / 'pipeline.config'))
    assert 'Give the prefix of a checkpoint' in refusal.value.remedy


@pytest.mark.parametrize('name, step', [
    ('model.ckpt-7', 7), ('model.ckpt-0012', 12), ('model.ckpt', None), ('model-7.ckpt', None), ('a-5/model', None),
    ('model-7-8', 8), ('model.ckpt-7x', None), ('model.ckpt7', None), ('-7', 7)])
def test_the_step_in_a_name_is_the_number_that_a_saver_puts_at_its_end(name, step):
    assert _checkpoint.step_in_name(name) == step


@pytest.mark.parametrize('path, prefix', [
    ('a.index', 'a'), ('a.meta', 'a'), ('a.data-00000-of-00001', 'a'), ('a.data-00012-of-99999', 'a'), ('a', 'a'),
    ('a.index.index', 'a.index'), ('a.indexes', 'a.indexes'), ('a.data-0-of-1', 'a.data-0-of-1'), ('.index', '')])
def test_what_a_file_of_a_checkpoint_is_called_begins_with_its_prefix(path, prefix):
    assert _checkpoint.without_suffix(path) == prefix


def test_the_newest_is_the_one_of_the_largest_step_however_old_its_files_are(tmp_path):
    times = {'model.ckpt-900': 300, 'model.ckpt-1000': 100, 'model.ckpt': 400, 'other.ckpt-1000': 200}
    for name, seconds in times.items():
        checkpoints.write_v2(str(tmp_path / name), _VALUES)
        os.utime(str(tmp_path / name) + '.index', (seconds, seconds))
    assert _checkpoint.resolve(str(tmp_path)) == str(tmp_path / 'other.ckpt-1000')  # of two such, the younger
    for name, then in (('other.ckpt-1000', 'model.ckpt-1000'), ('model.ckpt-1000', 'model.ckpt-900'),
                       ('model.ckpt-900', 'model.ckpt')):
        os.unlink(str(tmp_path / name) + '.index')
        assert _checkpoint.resolve(str(tmp_path)) == str(tmp_path / then)


def test_the_file_that_names_the_newest_may_be_damaged(tmp_path):
    checkpoints.write_v2(str(tmp_path / 'model.ckpt-5'), _VALUES)
    (tmp_path / 'checkpoint').write_text('model_checkpoint_path: {')
    assert _checkpoint.resolve(str(tmp_path)) == str(tmp_path / 'model.ckpt-5')


def test_a_checkpoint_may_be_called_checkpoint_or_like_a_folder_beside_it(tmp_path, monkeypatch):
    for name in ('checkpoint', 'model'):
        checkpoints.write_v2(str(tmp_path / name), _VALUES)
    (tmp_path / 'model').mkdir()
    assert _checkpoint.resolve(str(tmp_path / 'checkpoint')) == str(tmp_path / 'checkpoint')
    assert _checkpoint.resolve(str(tmp_path / 'model')) == str(tmp_path / 'model')
    monkeypatch.chdir(str(tmp_path))
    assert _checkpoint.resolve('model') == 'model' and _checkpoint.resolve('./model.index') == './model'
    os.unlink('checkpoint.index')
    os.rename('model.index', 'newer.index')
    assert _checkpoint.resolve('checkpoint') == './newer' and _checkpoint.resolve('.') == './newer'


@pytest.mark.parametrize('path, words', [
    ('', 'prefix is empty'),
    ('folder/model.ckpt-8', r'Did you mean --trained_checkpoint_prefix=folder/model.ckpt-80 \?'),
    ('folder/xyz', 'Did you mean'), ('empty/model', 'empty holds no checkpoints; one is a pair of files'),
    ('nowhere/model', 'The directory nowhere does not exist either'), ('model', '. holds no checkpoints')])
def test_where_there_is_no_checkpoint_those_that_there_are_are_named(tmp_path, monkeypatch, path, words):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'empty').mkdir()
    for name in ('model.ckpt-80', 'other'):
        (tmp_path / 'folder' / (name + '.index')).write_text('')
    monkeypatch.chdir(str(tmp_path))
    with pytest.raises(od_patch.InputRefused, match=words):
        _checkpoint.resolve(path)


def _graph(variables):
    """Returns a graph with {name: shape}; None is an unknown shape, and what is below fixed/ is not trained."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        for name, shape in variables.items():
            if shape is None:
                tf.Variable(tf.placeholder(tf.float32), validate_shape=False, name=name)
            else:
                tf.get_variable(name, shape, trainable=not name.startswith('fixed/'))
    return graph


def _mismatch(graph_variables, held, use_moving_averages=False):
    """Returns the message for a graph with {name: shape} and a checkpoint with {name: shape}."""
    graph = _graph(graph_variables)
    inventory = _checkpoint.Inventory('model', 'V2', 1, held, 1)
    with pytest.raises(od_patch.CheckpointMismatch) as refusal:
        _checkpoint.check_graph(graph, inventory, use_moving_averages)
    return str(refusal.value)


@pytest.mark.parametrize('graph, held, averages, cause', [
    ({'a/weights': [1]}, {'a/weights': [1]}, True, 'asks for moving averages, and the checkpoint holds none'),
    ({'a/weights': [1]}, {'b/weights/ExponentialMovingAverage': [1]}, True, 'belongs to another model'),
    ({'BoxPredictor_0/ClassPredictor/weights': [1, 1, 8, 12]},
     {'BoxPredictor_0/ClassPredictor/weights': [1, 1, 8, 273]},
     False, 'the class count'),
    ({'FeatureExtractor/MobilenetV1/Conv2d_0/weights': [1]}, {'MobilenetV1/Conv2d_0/weights': [1]}, False,
     'a classification network'),
    ({'FeatureExtractor/MobilenetV1/Conv2d_0/weights': [1]}, {'FeatureExtractor/InceptionV2/Conv2d_0/weights': [1]},
     False,
     'builds MobilenetV1, the checkpoint holds InceptionV2'),
    ({'a/act_quant/min': []}, {'a/weights': [1]}, False, 'a graph_rewriter with quantization'),
    ({'a/b/weights': [1]}, {'c/d/weights': [1]}, False, _ANOTHER_CONFIG),
    ({'a/weights': [1]}, {'model/a/kernel/.ATTRIBUTES/VARIABLE_VALUE': [1], '_CHECKPOINTABLE_OBJECT_GRAPH': []}, False,
     'the checkpoint is one of TensorFlow 2 (it holds'),
    ({'a/weights': [1]}, {'a/kernel/.ATTRIBUTES/VARIABLE_VALUE': [1], '_CHECKPOINTABLE_OBJECT_GRAPH': []}, True,
     'python -m object_detection.exporter_main_v2'),
    # Of each cause, neighbours that are one thing away from it, and so of another.
    ({'a/weights': [1]}, {'a/weights': [2], '_CHECKPOINTABLE_OBJECT_GRAPH': []}, False, _ANOTHER_CONFIG),
    ({'a/weights': [1]}, {'b/weights': [1], 'a/_CHECKPOINTABLE_OBJECT_GRAPH': []}, False, _ANOTHER_CONFIG),
    ({'a/weights': [2]}, {'a/weights/ExponentialMovingAverage': [1]}, True, _ANOTHER_CONFIG),
    ({'a/weights': [1]}, {'b/weights': [1]}, False, _ANOTHER_CONFIG),
    ({'a/weights': [1], 'fixed/mean': [1]}, {'b/weights': [1]}, True, _ANOTHER_CONFIG),
    ({'a/act_quant/min': [1]}, {'a/weights': [1]}, True, 'asks for moving averages, and the checkpoint holds none'),
    ({'a/weights_quant/min': []}, {'a/weights': [1]}, False, _QUANTIZED),
    ({'a/quant/min': []}, {'a/weights': [1]}, False, _QUANTIZED),
    ({'a/quantity/min': []}, {'a/weights': [1]}, False, _QUANTIZED),
    ({'quant/min': []}, {'a/weights': [1]}, False, _ANOTHER_CONFIG),
    ({'a/act_quant/min': [], 'a/weights': [1]}, {'b/weights': [1]}, False, _ANOTHER_CONFIG),
    ({'a/act_quant/min': []}, {'b/act_quant/min': []}, False,
     'lacks 1 of the 1 ranges that the graph has (a/act_quant)'),
    ({'a/act_quant/min': [], 'a/weights': [1]}, {'a/weights': [2]}, False, _QUANTIZED),
    ({_CLASSES: [1, 1, 8, 12], 'a/weights': [1]}, {_CLASSES: [1, 1, 8, 273]}, False, _ANOTHER_CONFIG),
    ({_CLASSES: [1, 1, 8, 12], 'a/weights': [1]}, {_CLASSES: [1, 1, 8, 273], 'a/weights': [2]}, False, _ANOTHER_CONFIG),
    ({'a/weights': [1]}, {'a/weights': [2]}, False, _ANOTHER_CONFIG),
    ({'InceptionV2/logits/weights': [4]}, {'InceptionV2/logits/weights': [7]}, False, 'the class count'),
    ({'a/Conv2d_1c_cls/weights': [4]}, {'a/Conv2d_1c_cls/weights': [7]}, False, 'last dimension 4 in the graph, 7 in'),
    ({'a/Conv2d_1c/cls': [4]}, {'a/Conv2d_1c/cls': [7]}, False, _ANOTHER_CONFIG),
    ({'Box/BoxEncodingPredictor/w': [5, 4], _CLASSES: [3, 12]},
     {'Box/BoxEncodingPredictor/w': [6, 8], _CLASSES: [3, 273]}, False, _ANOTHER_CONFIG),
    ({'Box/BoxEncodingPredictor/w': [5, 4], _CLASSES: [3, 12]},
     {'Box/BoxEncodingPredictor/w': [5, 8], _CLASSES: [3, 273]}, False,
     '({}: last dimension 12 in the graph, 273 in the checkpoint)'.format(_CLASSES)),
    ({'Box/BoxEncodingPredictor/w': [5, 4]}, {'Box/BoxEncodingPredictor/w': [5, 8]}, False,
     'Box/BoxEncodingPredictor/w: last dimension 4 in the graph, 8 in the checkpoint'),
    ({'Predictor/class_net/w': [4], 'Predictor/box/w': [1]},
     {'Predictor/class_net/w': [7], 'Predictor/box/w': [2]}, False, 'Predictor/class_net/w: last dimension 4'),
    ({'FirstStageFeatureExtractor/resnet/w': [1]}, {'resnet/w': [1]}, False, 'a classification network'),
    ({'SecondStageFeatureExtractor/resnet/w': [1], 'x/w': [1]}, {'resnet/w': [1]}, False, 'a classification network'),
    ({'ThirdStageFeatureExtractor/resnet/w': [1]}, {'resnet/w': [1]}, False, _ANOTHER_CONFIG),
    ({'FeatureExtractor/resnet/w': [1]}, {'resnet/v': [1]}, False, _ANOTHER_CONFIG),
    ({'FeatureExtractor/A/w': [1]}, {'FeatureExtractor/A/v': [1], 'FeatureExtractor/B/v': [1]}, False, _ANOTHER_CONFIG),
    ({'FeatureExtractor/A/w': [1], 'FeatureExtractor/B/w': [1], 'FeatureExtractor/B/v': [1]},
     {'FeatureExtractor/C/v': [1], 'FeatureExtractor/D/v': [1], 'FeatureExtractor/D/w': [1]}, False,
     'builds B, the checkpoint holds D'),
    ({'FeatureExtractor/A/w': [1], 'FeatureExtractor/B/w': [1], 'FeatureExtractor/B/v': [1]},
     {'FeatureExtractor/B/u': [1]}, False, 'builds A, the checkpoint holds B'),
    ({'FeatureExtractor/A/w': [1]}, {'FeatureExtractor/v': [1]}, False, _ANOTHER_CONFIG),
    ({'FirstStageFeatureExtractor/A/w': [1]}, {'FirstStageFeatureExtractor/B/w': [1]}, False, 'builds A, the check'),
])
def test_the_likely_cause_is_named(graph, held, averages, cause):
    message = _mismatch(graph, held, averages)
    assert 'Likely cause: ' in message and cause in message
    assert ('another feature extractor' in message) == ('builds' in cause)


@pytest.mark.parametrize('graph, held, averages', [
    ({'a': [1, 2]}, {'a': [1, 2], 'b': [3]}, False), ({'a': None}, {'a': [7]}, False), ({}, {}, False), ({}, {}, True),
    ({'a': [1]}, {'a': [1], '_CHECKPOINTABLE_OBJECT_GRAPH': []}, False),
    ({'a': [1]}, {'a/ExponentialMovingAverage': [1]}, True), ({'a': []}, {'a': []}, False)])
def test_what_the_checkpoint_holds_is_not_complained_of(graph, held, averages):
    _checkpoint.check_graph(_graph(graph), _checkpoint.Inventory('model', 'V2', 1, held, 1), averages)


@pytest.mark.parametrize('graph, held, counts', [
    ({'a': [1], 'b': [1], 'c': [1]}, {'c': [2]},
     'of 3 variables, 2 are missing from the checkpoint and 1 is of another shape'),
    ({'a': [1], 'b': [1]}, {'b': [1]}, 'of 2 variables, 1 is missing from the checkpoint and 0 are of another shape'),
    ({'a': [2, 1]}, {'a': [1, 2]}, 'of 1 variables, 0 are missing from the checkpoint and 1 is of another shape')])
def test_missing_and_reshaped_variables_are_counted(graph, held, counts):
    assert counts in _mismatch(graph, held)


def test_where_values_are_looked_for():
    """Averages of what is trained, the rest under its name; a partitioned variable under the name of the whole."""
    tf = _tensorflow.tf1()
    graph = _graph({'a/w': [2, 3]})
    with graph.as_default():
        tf.get_variable('mean', [3], trainable=False)
    assert _checkpoint.sources(graph, False) == {'a/w': 'a/w', 'mean': 'mean'}
    assert _checkpoint.sources(graph, True) == {'a/w': 'a/w/ExponentialMovingAverage', 'mean': 'mean'}
    with graph.as_default():
        tf.get_variable('table', [4, 2], partitioner=tf.fixed_size_partitioner(2))
    assert _checkpoint.sources(graph, False) == {'a/w': 'a/w', 'mean': 'mean', 'table': 'table'}
    with pytest.raises(od_patch.UsageError) as refusal:
        _checkpoint.sources(graph, True)
    assert 'table/part_' in refusal.value.problem and 'is partitioned' in refusal.value.problem
    assert 'Add checkpoint to --artifacts' in refusal.value.remedy


def test_how_many_bytes_the_values_of_a_graph_take():
    tf = _tensorflow.tf1()
    graph = _graph({'a': [2, 3], 'unknown': None, 'scalar': []})
    with graph.as_default():
        tf.get_variable('double', [5], tf.float64, trainable=False)
        tf.get_variable('half', [4], tf.float16, tf.zeros_initializer())
    assert _checkpoint.num_bytes(graph) == 6 * 4 + 4 + 5 * 8 + 4 * 2


@pytest.mark.parametrize('names, held', [
    ([], False), (['a'], False), (['ExponentialMovingAverage'], False), (['a/ExponentialMovingAverage/b'], False),
    (['a/ExponentialMovingAverage'], True), (['a', 'b/ExponentialMovingAverage'], True)])
def test_whether_a_checkpoint_has_averages(names, held):
    assert _checkpoint.has_averages(_checkpoint.Inventory('model', 'V2', 1, dict.fromkeys(names, [1]), 1)) == held


def test_the_table_groups_by_scope():
    message = _mismatch({'box/a/weights': [1], 'box/a/biases': [1], 'top': [2]}, {'top': [3]})
    lines = [line.split() for line in message.splitlines() if line.startswith('  ')]
    assert lines[0][:3] == ['scope', 'missing', 'reshaped']
    assert lines[1][:3] == ['box/a', '2', '0']
    assert lines[2][:3] == ['top', '0', '1']
    assert 'top: [2] in the graph, [3] in the checkpoint' in message


def test_the_scopes_of_the_table_are_two_parts_deep_and_in_order():
    names = ['d', 'c/x', 'b/y/z', 'b/y/a/much/deeper', 'a/very_long_name_of_a_scope/w', 'b/x/w']
    lines = _mismatch({name: [1] for name in names}, {}).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith('  scope'))
    rows = lines[first + 1:first + 7]
    assert [row.split() for row in rows[:6]] == [
        ['a/very_long_name_of_a_scope', '1', '0', 'a/very_long_name_of_a_scope/w'], ['b/x', '1', '0', 'b/x/w'],
        ['b/y', '2', '0', 'b/y/a/much/deeper'], ['c', '1', '0', 'c/x'], ['d', '1', '0', 'd'], rows[5].split()]
    assert len({row.index(' 0  ') for row in rows[:5]}) == 1  # one column


def test_a_partitioned_variable_is_looked_for_as_the_whole():
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        tf.get_variable('table', [4, 2], partitioner=tf.fixed_size_partitioner(2))
    inventory = _checkpoint.Inventory('model', 'V2', 1, {'table': [4, 2]}, 1)
    _checkpoint.check_graph(graph, inventory, False)
    with pytest.raises(od_patch.CheckpointMismatch):
        _checkpoint.check_graph(graph, inventory._replace(shapes={}), False)


def test_a_checkpoint_below_a_folder_named_like_a_pattern_is_read_for_a_proof(tmp_path):
    """As every export into such a folder is proved before it is moved there."""
    from od_patch.graphs import _freezing
    folder = tmp_path / 'out[1]'
    folder.mkdir()
    checkpoints.write_v2(str(tmp_path / 'model'), _VALUES)
    for name in os.listdir(str(tmp_path)):
        if name.startswith('model.'):
            os.rename(str(tmp_path / name), str(folder / name))
    before = sorted(os.listdir('/proc/self/fd'))
    reader = _freezing.reader(str(folder / 'model'), 'here')
    assert (reader.get_tensor('weights') == _VALUES['weights']).all()
    del reader
    assert len(os.listdir('/proc/self/fd')) == len(before)
    with pytest.raises(od_patch.InputRefused, match=r'out\[1\]/other'):
        _freezing.reader(str(folder / 'other'), 'here')


def _state(folder, *paths):
    (folder / 'checkpoint').write_text(''.join(
        '{}: "{}"\n'.format(key, path) for key, path in zip(
            ['model_checkpoint_path'] + ['all_model_checkpoint_paths'] * len(paths), paths)))


# What the file "checkpoint" of a directory says, in which {original} stands for the directory that it was copied from.
@pytest.mark.parametrize('named', [
    '{original}/model.ckpt-7', '{original}/../original/model.ckpt-7', 'model.ckpt-7', './model.ckpt-7',
    r'C:\\training\\model.ckpt-7', '/gone/model.ckpt-7', 's3://bucket/model.ckpt-7'])
@pytest.mark.parametrize('how', ['{}', '{}/', '{}/checkpoint'])
def test_in_the_copy_of_a_directory_its_own_checkpoint_is_meant(tmp_path, named, how):
    """Estimator writes absolute paths; the training goes on in the original, to the same step."""
    original, copy = tmp_path / 'original', tmp_path / 'copy'
    for folder in (original, copy):
        folder.mkdir()
        checkpoints.write_v2(str(folder / 'model.ckpt-7'), _VALUES)
        checkpoints.write_v2(str(folder / 'model.ckpt-9'), _VALUES)
        _state(folder, named.format(original=original))
    assert _checkpoint.resolve(how.format(copy)) == str(copy / 'model.ckpt-7')


def test_a_checkpoint_of_one_file_is_found_in_the_copy_of_its_directory(tmp_path):
    original, copy = tmp_path / 'original', tmp_path / 'copy'
    for folder in (original, copy):
        folder.mkdir()
        checkpoints.write_v1(str(folder / 'model.ckpt-7'), _VALUES)
        _state(folder, original / 'model.ckpt-7')
    assert _checkpoint.resolve(str(copy)) == str(copy / 'model.ckpt-7')


def test_the_checkpoint_of_another_directory_is_never_taken_for_that_of_the_directory_given(prefix, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    _state(other, prefix)
    with pytest.raises(od_patch.InputRefused) as refusal:
        _checkpoint.resolve(str(other))
    assert 'its file "checkpoint" names one that lies elsewhere, {}.'.format(prefix) in str(refusal.value)
    checkpoints.write_v2(str(other / 'model.ckpt-3'), _VALUES)
    assert _checkpoint.resolve(str(other)) == str(other / 'model.ckpt-3')


@pytest.mark.parametrize('named', ['s3://bucket/training/model.ckpt-7', 'gs://b/model.ckpt-7', 'hdfs://h:1/a b/m'])
def test_a_path_with_a_scheme_is_no_relative_one(tmp_path, named):
    _state(tmp_path, named)
    assert _checkpoint._named_by_state(str(tmp_path)) == named


def test_a_directory_may_name_a_checkpoint_below_itself_and_may_be_a_link(prefix, tmp_path):
    below, link = tmp_path / 'below', tmp_path / 'link'
    below.mkdir()
    checkpoints.write_v2(str(below / 'model.ckpt-8'), _VALUES)
    _state(tmp_path, 'below/model.ckpt-8')
    assert _checkpoint.resolve(str(tmp_path)) == str(below / 'model.ckpt-8')
    link.symlink_to(below)
    _state(below, below / 'model.ckpt-8')
    assert _checkpoint.resolve(str(link)) == str(link / 'model.ckpt-8')
    assert prefix


def test_a_directory_whose_name_begins_like_another_is_not_below_it(tmp_path):
    training, other = tmp_path / 'training', tmp_path / 'training2'
    for folder in (training, other):
        folder.mkdir()
    checkpoints.write_v2(str(other / 'model.ckpt-7'), _VALUES)
    _state(training, other / 'model.ckpt-7')
    with pytest.raises(od_patch.InputRefused, match='lies elsewhere'):
        _checkpoint.resolve(str(training))


def test_weights_are_looked_up_in_the_checkpoint_of_the_directory_given(tmp_path):
    """As compare, inspect and regenerate do with --checkpoint."""
    from od_patch.compare import _origin
    checkpoints.write_v2(str(tmp_path / 'model.ckpt-7'), _VALUES)

    class NoWeights:
        def final_order(self):
            return []

    assert _origin.origin(NoWeights(), str(tmp_path))['checkpoint'] == str(tmp_path / 'model.ckpt-7')


def _graph_of(name, op):
    tf = _tensorflow.tf1()
    graph_def = tf.GraphDef()
    node = graph_def.node.add(name=name, op=op)
    node.attr['value'].tensor.tensor_content = b'x' * 5000
    return graph_def.SerializeToString()


@pytest.mark.parametrize('content, what, remedy', [
    (_graph_of('image_tensor', 'Placeholder'), 'a frozen graph', 'checkpoint that the training wrote'),
    (_graph_of('FeatureExtractor/MobilenetV1/weights', 'Const'), 'a frozen graph', 'od-patch inspect'),
    (b'\x08\x01\x12\x80\x10' + b'x' * 90, 'the saved_model.pb', 'variables/variables'),
    (b'\x89HDF\r\n\x1a\n' + b'\0' * 90, 'an HDF5 file', 'prefix'),
    (b'PK\x03\x04' + b'\0' * 90, 'a ZIP archive', 'Unpack'),
    (b'\x1f\x8b\x08' + b'\0' * 90, 'a compressed archive', 'tar -xzf'),
    (b'\x20\0\0\0TFL3' + b'\0' * 90, 'a TensorFlow Lite model', 'prefix'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', 'a pointer of Git LFS', 'git lfs pull'),
])
@pytest.mark.parametrize('name', ['frozen_inference_graph.pb', 'model.ckpt-1'])
def test_another_file_in_place_of_a_checkpoint_is_called_what_it_is(tmp_path, name, content, what, remedy):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(od_patch.InputRefused) as refusal:
        _checkpoint.take_inventory(_checkpoint.resolve(str(path)))
    assert 'it is ' + what in refusal.value.problem and remedy in refusal.value.remedy
    assert 'sstable' not in str(refusal.value)


def test_a_checkpoint_of_one_file_is_taken_for_nothing_else(tmp_path):
    for name in ('a', 'FeatureExtractor/weights', 'n' * 120):
        path = str(tmp_path / 'model')
        checkpoints.write_v1(path, {name: np.ones((2, 3), np.float32)})
        assert list(_checkpoint.take_inventory(path).shapes) == [name]


def test_a_saved_model_in_place_of_a_training_directory(tmp_path):
    (tmp_path / 'saved_model.pb').write_bytes(b'')
    with pytest.raises(od_patch.InputRefused, match='it is a SavedModel.\nIts weights are constants'):
        _checkpoint.resolve(str(tmp_path))
    (tmp_path / 'variables').mkdir()
    checkpoints.write_v2(str(tmp_path / 'variables' / 'variables'), _VALUES)
    with pytest.raises(od_patch.InputRefused, match='Its variables are those of .*variables/variables'):
        _checkpoint.resolve(str(tmp_path))


@pytest.mark.parametrize('suffixes', [('.index', '.data-00000-of-00001'), ('',), ('-00000-of-00002', '-00001-of-00002')])
def test_the_checkpoint_that_is_read_is_never_replaced(suffixes, tmp_path):
    """By an export into its own folder that writes no checkpoint: nothing would take its place."""
    from od_patch.staging import _staging
    prefix = str(tmp_path / 'model.ckpt')
    for suffix in suffixes:
        with open(prefix + suffix, 'wb') as part:
            part.write(b'all that there is')
    assert sorted(_checkpoint.files(prefix)) == sorted(prefix + suffix for suffix in suffixes)
    (tmp_path / 'link').symlink_to(str(tmp_path))
    names = '.*' if suffixes == ('-00000-of-00002', '-00001-of-00002') else _staging.OF_AN_EXPORT.pattern
    for place in (str(tmp_path), str(tmp_path / 'link')):
        with pytest.raises(od_patch.OutputRefused, match='is what is read, and is never written over'):
            _staging.check_not_read(place, _checkpoint.files(prefix), re.compile(names))
    _staging.check_not_read(str(tmp_path / 'elsewhere'), _checkpoint.files(prefix))
