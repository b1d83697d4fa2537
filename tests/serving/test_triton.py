"""What ``od-patch package triton`` writes: config.pbtxt for any signature, files that all versions share, what is refused.

Not for: the server; ``tests/batch/test_triton`` starts it.
"""
import json

import pytest

from od_patch import _errors
from od_patch.serving import _archive
from od_patch.serving import _triton
from tests.serving import models
from tests.serving.test_batch import detector_of_brightness

tensorflow = pytest.importorskip('tensorflow')
from od_patch import _tensorflow  # pylint: disable=wrong-import-position
from od_patch.graphs import _servable  # pylint: disable=wrong-import-position
from od_patch.saved_model import _saved_model  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.xdist_group('serving')


def config_of(folder, names=()):
    return _triton.config(_servable.Servable(str(folder)), 'm', dict(names)).splitlines()


@pytest.mark.parametrize('shape, batch, dims, dynamic', [
    ((None, None, None, 3), 8, [-1, -1, 3], False), ((None, 8, 9, 3), 8, [8, 9, 3], True),
    ((1, None, None, 3), 0, [1, -1, -1, 3], False)])
def test_a_batch_is_of_all_inputs_and_outputs_or_of_none(tmp_path, shape, batch, dims, dynamic):
    lines = config_of(detector_of_brightness(tmp_path / 'm', shape))
    assert lines[:4] == ['name: "m"', 'backend: "python"', 'max_batch_size: {}'.format(batch),
                         'input {{ name: "inputs" data_type: TYPE_UINT8 dims: {} }}'.format(dims)]
    assert ('dynamic_batching { }' in lines) == dynamic  # else Triton would wait for what cannot go together
    boxes, count = ([2, 4], 'dims: [1] reshape { shape: [] }') if batch else ([1, 2, 4], 'dims: [1]')
    assert 'output {{ name: "detection_boxes" data_type: TYPE_FP32 dims: {} }}'.format(boxes) in lines
    assert 'output {{ name: "num_detections" data_type: TYPE_FP32 {} }}'.format(count) in lines


def test_labels_are_told_with_what_their_text_has(tmp_path):
    names = {1: 'a "quoted" name', 2: 'é'}
    line, = [line for line in config_of(detector_of_brightness(tmp_path / 'm'), names) if 'labels' in line]
    text = line[line.index('string_value: ') + len('string_value: '):-len(' } }')]
    assert json.loads(json.loads(text)) == {str(key): name for key, name in names.items()}


def test_what_triton_has_no_word_for_is_refused(tmp_path):
    tf = _tensorflow.tf1()
    for number, (dtype, shape, problem) in enumerate([
            (tf.complex64, [None], 'is of type complex64'), (tf.float32, None, 'how many dimensions out has')]):
        with tf.Graph().as_default() as graph:
            given = tf.placeholder(tf.uint8, [None, None, None, 3], name='given')
            out = tf.placeholder_with_default(tf.zeros([1], dtype), shape, name='out')
            meta_graph = tf.train.export_meta_graph(graph=graph)
            meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(given, {'out': out}))
        meta_graph.meta_info_def.tags.append('serve')
        with pytest.raises(_errors.InputRefused, match=problem):
            config_of(models.write(meta_graph, tmp_path / str(number)))


def test_versions_share_what_lies_beside_them_and_none_is_replaced(tmp_path):
    one = detector_of_brightness(tmp_path / 'one')
    output = tmp_path / 'repository'
    packed = _archive.pack('triton', one, str(output), model_name='m')
    labels = {'m/labels.txt'}
    assert {path for path, _ in packed.members} == labels | {
        'm/config.pbtxt', 'm/1/model.py', 'm/1/saved_model.pb', 'm/1/assets/label_map.pbtxt'}
    before = models.files(output)
    assert before['m/labels.txt'] == b'1 dark\n2 bright\n' and {path for path, _ in packed.members} == set(before)
    compile(before['m/1/model.py'], 'model.py', 'exec')
    _archive.pack('triton', one, str(output), model_name='m', version='2')
    after = models.files(output)
    assert {name: after[name] for name in before} == before and 'm/2/model.py' in after
    with pytest.raises(_errors.OutputRefused, match='is there already'):
        _archive.pack('triton', one, str(output), model_name='m', version='2')
    with pytest.raises(_errors.UsageError, match='Give another --model_version'):
        _archive.pack('triton', one, str(output), model_name='m', version='2', overwrite=True)
    other = detector_of_brightness(tmp_path / 'other', (1, None, None, 3))
    with pytest.raises(_errors.OutputRefused, match='config.pbtxt is there for all versions of the model'):
        _archive.pack('triton', other, str(output), model_name='m', version='3')
    assert models.files(output) == after


def test_an_archive_has_the_same_files(tmp_path):
    packed = _archive.pack('triton', detector_of_brightness(tmp_path / 'm', labels=''), str(tmp_path / 'm.tar.gz'))
    assert [path for path, _ in packed.members] == ['m/1/model.py', 'm/1/saved_model.pb', 'm/config.pbtxt']
