"""Graphs, and files with graphs, that are refused: each in words, with what to do."""
import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch.compare import _loading  # noqa: E402
from od_patch.graphs import _formats  # noqa: E402
from od_patch.graphs import _freezing  # noqa: E402
from od_patch.graphs import _graph  # noqa: E402
from od_patch.graphs import _servable  # noqa: E402
from od_patch.graphs import _sources  # noqa: E402
from od_patch.graphs import _tensors  # noqa: E402
from tests.compare.written import FLOAT  # noqa: E402
from tests.compare.written import Made  # noqa: E402
from tests.support import checkpoints  # noqa: E402

pytestmark = pytest.mark.once


def refused(kind, function, *args, **kwargs):
    """The refusal, as its two parts in one text."""
    with pytest.raises(kind) as refusal:
        function(*args, **kwargs)
    assert refusal.value.problem and refusal.value.remedy
    return '{}\n{}'.format(refusal.value.problem, refusal.value.remedy)


def _meta_graph(made, outputs=()):
    from tensorflow.core.protobuf import meta_graph_pb2
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.CopyFrom(made.graph_def)
    meta_graph.meta_info_def.tags.append('serve')
    for name in outputs:
        meta_graph.signature_def['serving_default'].outputs[name].name = name + ':0'
    return meta_graph


def _saved_model(folder, meta_graph):
    from tensorflow.core.protobuf import saved_model_pb2
    folder.mkdir()
    (folder / 'saved_model.pb').write_bytes(
        saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph]).SerializeToString())
    return str(folder)


def _variable(dtype=FLOAT):
    made = Made().node('v', 'VariableV2', dtype=dtype)
    made.graph_def.node[-1].attr['shape'].shape.SetInParent()
    return made.node('y', 'Identity', ['v'], T=FLOAT)


# Freezing


def test_what_holds_no_variables_needs_no_freezing(tmp_path):
    folder = _saved_model(tmp_path / 'constant', _meta_graph(Made().const('y', 1), ['y']))
    assert 'weights are constants already' in refused(_errors.InputRefused, _sources.frozen_saved_model, folder)


def test_a_saved_model_without_signature_or_without_its_file(tmp_path):
    folder = _saved_model(tmp_path / 'unsigned', _meta_graph(_variable()))
    assert 'no signature says' in refused(_errors.InputRefused, _sources.frozen_saved_model, folder)
    assert 'there is no saved_model.pb' in refused(_errors.InputRefused, _sources.frozen_saved_model, str(tmp_path))
    assert 'there is no saved_model.pb' in refused(_errors.InputRefused, _servable.Servable, str(tmp_path))


def test_a_variable_of_no_type(tmp_path):
    checkpoints.write_v2(str(tmp_path / 'model.ckpt'), {'v': np.float32(1)})
    assert "the variable 'v' has a type of no known number, 99" in refused(
        _errors.InputRefused, _freezing.freeze, _variable(99).graph_def, str(tmp_path / 'model.ckpt'), ['y'], 'here')


# Graphs


def _graph_of(made, outputs=None):
    return refused(_errors.InputRefused, _graph.build, made.graph_def, 'here', outputs)


def test_a_graph_without_nodes():
    assert 'the graph has no nodes' in _graph_of(Made())


def test_a_const_without_value():
    assert "Const 'y' has no value" in _graph_of(Made().node('y', 'Const', dtype=FLOAT))


@pytest.mark.parametrize('tensor', ['z', 'y:x', 'y:', 'z:0'])
def test_an_output_that_the_graph_does_not_have(tensor):
    assert "there is no node '{}' to be the output 'name'".format(tensor.partition(':')[0]) in _graph_of(
        Made().const('y', 1), [('name', tensor)])


def test_a_cycle_that_an_output_needs():
    made = Made().node('a', 'Add', ['b', 'c'], T=FLOAT).node('b', 'Identity', ['a'], T=FLOAT).const('c', 1).node(
        'detection_boxes', 'Identity', ['b'], T=FLOAT)
    assert 'that is not a while loop' in _graph_of(made)
    assert 'that is not a while loop' in _graph_of(Made().node('a', 'Identity', ['a'], T=FLOAT))


def test_a_loop_that_nothing_leaves():
    made = Made().const('x', 1).node('e', 'Enter', ['x'], T=FLOAT, frame_name=b'f').node(
        'm', 'Merge', ['e', 'n'], T=FLOAT, N=2).node('n', 'NextIteration', ['m'], T=FLOAT)
    assert 'no node of the graph is an end: the graph is one cycle' in _graph_of(made)


def test_ops_that_no_release_has_together():
    made = Made().node('gone', 'CriticalSectionOp').node('new', 'AnonymousMemoryCache')
    loads = _loading.of(made.graph_def, _graph.build(made.graph_def, 'here'), ask_importer=False)
    assert loads.releases == () and 'it has AnonymousMemoryCache; it has CriticalSectionOp, which later releases lack, ' \
        'and so no release has all that it needs' in str(loads)


def test_a_tensor_of_a_type_without_elements():
    from tensorflow.core.framework import tensor_pb2
    with pytest.raises(TypeError, match='resource'):
        _tensors.numpy_type(20)
    with pytest.raises(_tensors.Damaged, match='of type resource has no elements'):
        _tensors.Tensor(tensor_pb2.TensorProto(dtype=20)).array()


@pytest.mark.parametrize('made, words', [
    (Made().const('x', 1).node('y', 'Neg', ['x', 'x'], T=FLOAT), "node 'y' has 2 inputs, but Neg takes 1"),
    (Made().const('x', 1).node('y', 'Add', ['x'], T=FLOAT), "node 'y' has 1 inputs, but Add takes 2")])
def test_what_no_tensorflow_loads(made, words):
    graph = _graph.build(made.graph_def, 'here')
    assert words in str(_loading.of(made.graph_def, graph, ask_importer=False))


# Files


def test_a_file_that_cannot_be_opened(tmp_path):
    assert 'cannot be read: Is a directory' in refused(_errors.InputRefused, _sources.read_bytes, str(tmp_path))


@pytest.mark.parametrize('content, words', [
    (b'node {\n  name: "\xff\xfe"\n}\n' * 20, 'looks like text but is not UTF-8'),
    (b'versions {\n  producer: 22\n}\n', 'is the text of a frozen graph without nodes'),
    (b'meta_info_def {\n  tags: "serve"\n}\n', 'is the text of a MetaGraph without nodes')])
def test_text_that_is_no_graph(tmp_path, content, words):
    path = tmp_path / 'graph.pbtxt'
    path.write_bytes(content)
    assert words in refused(_errors.InputRefused, _sources.load, str(path))


def test_a_metagraph_without_its_checkpoint_or_its_outputs(tmp_path):
    path = tmp_path / 'model.ckpt.meta'
    path.write_bytes(_meta_graph(_variable(), ['y']).SerializeToString())
    assert 'its variables have no values' in refused(_errors.InputRefused, _sources.load, str(path))
    checkpoints.write_v2(str(tmp_path / 'model.ckpt'), {'v': np.float32(1)})
    path.write_bytes(_meta_graph(_variable()).SerializeToString())
    assert 'nothing says which nodes are its outputs' in refused(_errors.InputRefused, _sources.load, str(path))


def test_what_unpacks_to_more_than_a_protobuf_holds():
    import gzip
    data = gzip.compress(b'x' * 5000)
    assert _formats.unpacked('graph.pb.gz', data, 5001) == b'x' * 5000
    assert 'unpacks to more than' in refused(_errors.InputRefused, _formats.unpacked, 'graph.pb.gz', data, 5000)
