"""The export's own freezing: what TensorFlow's would write, from the checkpoint; the rest is left to TensorFlow."""
import os

import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

from od_patch.graphs import _tensors  # noqa: E402
from od_patch.saved_model import _freeze_graph  # noqa: E402
from tests.compare.written import FLOAT, Made  # noqa: E402
from tests.support import checkpoints  # noqa: E402


def graph_def(resource=False):
    made = Made().placeholder('x')
    if resource:
        made.node('v', 'VarHandleOp', dtype=FLOAT, shared_name=b'v').node(
            'v/read', 'ReadVariableOp', ['v'], dtype=FLOAT)
        made.change('v').attr['shape'].shape.dim.add(size=2)
    else:
        made.node('v', 'VariableV2', dtype=FLOAT, container=b'', shared_name=b'').node(
            'v/read', 'Identity', ['v'], T=FLOAT)
        made.change('v').attr['shape'].shape.dim.add(size=2)
    made.node('out', 'Mul', ['x', 'v/read'], T=FLOAT).node('spare', 'Neg', ['out'], T=FLOAT)
    for node in made.graph_def.node:
        node.device = '/gpu:0'
    return made.graph_def


def arguments(tmp_path, **given):
    checkpoints.write_v2(str(tmp_path / 'c'), {'v': np.float32([3, 4]), 'w': np.float32([5])})
    return dict(dict(
        input_graph_def=graph_def(), input_saver_def=None, input_checkpoint=str(tmp_path / 'c'),
        output_node_names='out', restore_op_name='save/restore_all', filename_tensor_name='save/Const:0',
        output_graph='', clear_devices=True, initializer_nodes=''), **given)


def frozen(tmp_path, **given):
    result = _freeze_graph.freeze(arguments(tmp_path, **given))
    return result and {node.name: node for node in result.node}


def test_a_variable_becomes_its_value_in_the_checkpoint(tmp_path):
    nodes = frozen(tmp_path)
    assert set(nodes) == {'x', 'v', 'v/read', 'out'} and nodes['v'].op == 'Const'
    assert _tensors.Tensor(nodes['v'].attr['value'].tensor).array().tolist() == [3, 4]
    assert not [node.device for node in nodes.values() if node.device]


def test_devices_stay_where_they_are_not_to_be_cleared(tmp_path):
    assert frozen(tmp_path, clear_devices=False)['out'].device == '/gpu:0'


def test_outputs_are_a_list_with_or_without_spaces(tmp_path):
    assert 'spare' in frozen(tmp_path, output_node_names='out, spare') and 'spare' in frozen(
        tmp_path, output_node_names='out,spare')


def test_the_graph_is_written_where_it_is_asked_for(tmp_path):
    from tensorflow.core.framework import graph_pb2
    path = str(tmp_path / 'frozen.pb')
    result = _freeze_graph.freeze(arguments(tmp_path, output_graph=path))
    with open(path, 'rb') as file:
        assert graph_pb2.GraphDef.FromString(file.read()) == result
    assert sorted(os.listdir(str(tmp_path))) == ['c.data-00000-of-00001', 'c.index', 'frozen.pb']


@pytest.mark.parametrize('given', [
    dict(initializer_nodes='init'), dict(variable_names_blacklist='v'), dict(output_node_names=''),
    dict(something_new=1)], ids=lambda given: sorted(given)[0])
def test_what_is_not_understood_is_left_to_tensorflow(tmp_path, given):
    assert frozen(tmp_path, **given) is None


def test_what_is_not_set_needs_no_understanding(tmp_path):
    assert frozen(tmp_path, something_new='', variable_names_whitelist=None)


def test_a_variable_that_the_checkpoint_lacks_is_left_to_tensorflow(tmp_path):
    given = arguments(tmp_path)
    checkpoints.write_v2(str(tmp_path / 'c'), {'w': np.float32([5])})
    assert _freeze_graph.freeze(given) is None
    given['input_graph_def'] = graph_def()
    os.remove(str(tmp_path / 'c.index'))
    assert _freeze_graph.freeze(given) is None
