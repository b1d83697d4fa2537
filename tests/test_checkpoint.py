"""What a checkpoint path means, and what is said of one that does not fit."""
import os

import numpy as np
import pytest

import od_patch
from od_patch import _checkpoint

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _tensorflow  # noqa: E402
from tests.support import checkpoints  # noqa: E402

_VALUES = {'weights': np.ones((2, 3), np.float32), 'global_step': np.int64(7)}


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
    assert (inventory.format, inventory.step) == ('V1', 7)
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(od_patch.InputRefused, match='cannot be read'):
        _checkpoint.take_inventory(path)


def _mismatch(graph_variables, held, use_moving_averages=False):
    """Returns the message for a graph with {name: shape} and a checkpoint with {name: shape}."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        for name, shape in graph_variables.items():
            tf.get_variable(name, shape)
    inventory = _checkpoint.Inventory('model', 'V2', 1, held, 1)
    with pytest.raises(od_patch.CheckpointMismatch) as refusal:
        _checkpoint.check_graph(graph, inventory, use_moving_averages)
    return str(refusal.value)


@pytest.mark.parametrize('graph, held, averages, cause', [
    ({'a/weights': [1]}, {'a/weights': [1]}, True, 'asks for moving averages, and the checkpoint holds none'),
    ({'a/weights': [1]}, {'b/weights/ExponentialMovingAverage': [1]}, True, 'belongs to another model'),
    ({'BoxPredictor_0/ClassPredictor/weights': [1, 1, 8, 12]}, {'BoxPredictor_0/ClassPredictor/weights': [1, 1, 8, 273]},
     False, 'the class count'),
    ({'FeatureExtractor/MobilenetV1/Conv2d_0/weights': [1]}, {'MobilenetV1/Conv2d_0/weights': [1]}, False,
     'a classification network'),
    ({'FeatureExtractor/MobilenetV1/Conv2d_0/weights': [1]}, {'FeatureExtractor/InceptionV2/Conv2d_0/weights': [1]}, False,
     'builds MobilenetV1, the checkpoint holds InceptionV2'),
    ({'a/act_quant/min': []}, {'a/weights': [1]}, False, 'a graph_rewriter with quantization'),
    ({'a/b/weights': [1]}, {'c/d/weights': [1]}, False, 'is not the one that this checkpoint was trained with'),
])
def test_the_likely_cause_is_named(graph, held, averages, cause):
    message = _mismatch(graph, held, averages)
    assert 'Likely cause: ' in message and cause in message


def test_the_table_groups_by_scope():
    message = _mismatch({'box/a/weights': [1], 'box/a/biases': [1], 'top': [2]}, {'top': [3]})
    lines = [line.split() for line in message.splitlines() if line.startswith('  ')]
    assert lines[0][:3] == ['scope', 'missing', 'reshaped']
    assert lines[1][:3] == ['box/a', '2', '0']
    assert lines[2][:3] == ['top', '0', '1']
    assert 'top: [2] in the graph, [3] in the checkpoint' in message


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
    from od_patch.compare import _freezing
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
    from od_patch.compare import _checkpoints
    checkpoints.write_v2(str(tmp_path / 'model.ckpt-7'), _VALUES)

    class NoWeights:
        def final_order(self):
            return []

    assert _checkpoints.origin(NoWeights(), str(tmp_path))['checkpoint'] == str(tmp_path / 'model.ckpt-7')


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
