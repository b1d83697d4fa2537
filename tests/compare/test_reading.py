"""What is read, and from where: files, signatures, checkpoints beside graphs; tensors however they are written."""
import os

import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch.compare import _origin  # noqa: E402
from od_patch.compare import _provenance  # noqa: E402
from od_patch.graphs import _freezing  # noqa: E402
from od_patch.graphs import _graph  # noqa: E402
from od_patch.graphs import _sources  # noqa: E402
from od_patch.graphs import _tensors  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.written import BOOL, FLOAT, INT32, Made  # noqa: E402
from tests.support import checkpoints  # noqa: E402


# sources --------------------------------------------------------------------------------------------------------------

PLACES = ['frozen_inference_graph.pb', 'saved_model.pb', 'saved_model.pbtxt', 'saved_model/saved_model.pb',
          'frozen_inference_graph.pbtxt', 'model.ckpt.meta']


@pytest.mark.parametrize('first', range(len(PLACES)))
def test_of_an_export_the_first_file_there_is_is_read(first, tmp_path):
    (tmp_path / 'saved_model').mkdir()
    for name in PLACES[first:]:
        (tmp_path / name).write_text(u'')
    assert _sources.locate(str(tmp_path)) == str(tmp_path / PLACES[first])
    assert _sources.locate(str(tmp_path / PLACES[-1])) == str(tmp_path / PLACES[-1])


def meta_graphs(*tags):
    from tensorflow.core.protobuf import saved_model_pb2
    model = saved_model_pb2.SavedModel()
    for tag in tags:
        meta_graph = model.meta_graphs.add()
        meta_graph.meta_info_def.tags.extend(tag)
    return model


def test_the_graph_for_serving_is_taken_else_the_only_one():
    model = meta_graphs(['train'], ['gpu', 'serve'])
    assert _sources.serving_meta_graph('f', model) is model.meta_graphs[1]
    model = meta_graphs(['train'])
    assert _sources.serving_meta_graph('f', model) is model.meta_graphs[0]
    with pytest.raises(_errors.InputRefused, match='none of its 2 graphs has the tag "serve"'):
        _sources.serving_meta_graph('f', meta_graphs(['train'], ['eval']))


def test_the_signature_is_the_default_else_the_first_that_has_outputs():
    meta_graph = meta_graphs(['serve']).meta_graphs[0]
    assert _sources.signature_outputs(meta_graph) is None and _sources.signature_inputs(meta_graph) is None
    for key, output in (('c', 'z:0'), ('b', 'y:0')):
        meta_graph.signature_def[key].outputs['out'].name = output
    meta_graph.signature_def['a'].inputs['in'].name = 'nothing comes out:0'
    assert _sources.signature_outputs(meta_graph) == [('out', 'y:0')]
    meta_graph.signature_def['serving_default'].outputs['b'].name = 'x:0'
    meta_graph.signature_def['serving_default'].outputs['a'].name = 'w:0'
    meta_graph.signature_def['serving_default'].outputs['unnamed'].name = ''
    meta_graph.signature_def['serving_default'].inputs['i'].name = 'v:0'
    assert _sources.signature_outputs(meta_graph) == [('a', 'w:0'), ('b', 'x:0')]
    assert _sources.signature_inputs(meta_graph) == [('i', 'v:0')]


def test_the_decoder_of_another_signature_is_no_part_of_this_one():
    def serving(fed, decoded):
        meta_graph = meta_graphs(['serve']).meta_graphs[0]
        made = Made().placeholder('encoded', 7).const('k', 1.0)
        made.node('decoded', 'DecodePng', ['encoded']).node(
            'x', 'PlaceholderWithDefault', ['decoded' if decoded else 'k'], dtype=4)
        meta_graph.graph_def.CopyFrom(made.node('out', 'Neg', ['x'], T=4).graph_def)
        meta_graph.signature_def['serving_default'].outputs['out'].name = 'out:0'
        meta_graph.signature_def['serving_default'].inputs['i'].name = fed
        node = next(node for node in _sources.serving_graph(meta_graph).node if node.name == 'x')
        return node.op, list(node.input)
    assert serving('x:0', True) == ('Placeholder', [])
    assert serving('encoded:0', True) == ('PlaceholderWithDefault', ['decoded'])
    assert serving('x:0', False) == ('PlaceholderWithDefault', ['k'])


@pytest.mark.parametrize('kind', ['frozen graph', 'MetaGraph', 'SavedModel'])
@pytest.mark.parametrize('text', [False, True])
def test_each_kind_of_file_is_told_by_what_is_in_it(kind, text, tmp_path):
    graph_def = Made().placeholder('x').node('out', 'Neg', ['x'], T=FLOAT).graph_def
    model = meta_graphs(['serve'])
    model.saved_model_schema_version = 1
    model.meta_graphs[0].graph_def.CopyFrom(graph_def)
    model.meta_graphs[0].meta_info_def.tensorflow_version = '1.12.0'
    message = {'frozen graph': graph_def, 'MetaGraph': model.meta_graphs[0], 'SavedModel': model}[kind]
    for name in ('any.name', 'saved_model.pb', 'x.meta'):
        with open(str(tmp_path / name), 'wb') as file:
            file.write(str(message).encode() if text else message.SerializeToString())
        source = _sources.load(str(tmp_path / name))
        assert source.kind == kind and [node.name for node in source.graph_def.node] == ['x', 'out']
        assert source.bytes == os.path.getsize(str(tmp_path / name))
        assert source.made_by == ({} if kind == 'frozen graph' else {'tensorflow_version': '1.12.0'})


# outputs of a graph ---------------------------------------------------------------------------------------------------

def named(*names):
    made = Made().placeholder('x')
    for name in names:
        made.node(name, 'Neg', ['x'], T=FLOAT)
    return made


def outputs_of(made, outputs=None):
    graph = graphs.graph_of(made.graph_def, outputs)
    return [row[0] for row in graph.outputs], graph.named_outputs, graph.conventional


def test_outputs_are_those_asked_for_else_of_convention_else_the_ends():
    made = named('num_detections', 'detection_boxes', 'mine')
    assert outputs_of(made) == (['detection_boxes', 'num_detections'], True, True)
    assert outputs_of(made, ['mine', 'detection_boxes']) == (['detection_boxes', 'mine'], True, False)
    assert outputs_of(named('mine', 'a')) == (['a', 'mine'], False, False)
    assert outputs_of(named('detection_masks', 'a')) == (['a', 'detection_masks'], False, False)
    ends = named('a').const('unread', 1.0).node('after', 'NoOp', ['^a'])
    assert outputs_of(ends) == (['after'], False, False)
    assert outputs_of(Made().const('k', 1.0)) == (['k'], False, False)


def test_results_of_ones_own_beside_those_of_convention_are_common_ends():
    def graph(*names, **given):
        return graphs.graph_of(named('detection_boxes', *names).const('k', 1.0).graph_def, **given)
    one, other = _graph.with_common_ends(graph('mine', 'left'), graph('mine', 'right'))
    assert [row[0] for row in one.outputs] == [row[0] for row in other.outputs] == ['detection_boxes', 'mine']
    one, other = _graph.with_common_ends(graph('mine', outputs=['detection_boxes']), graph('mine'))
    assert [row[0] for row in one.outputs] == [row[0] for row in other.outputs] == ['detection_boxes']


# freezing -------------------------------------------------------------------------------------------------------------

def variables(kind):
    """A graph of two variables with the ops that restore them, b from a slice."""
    made = Made().placeholder('x')
    for name in ('a', 'b'):
        if kind == 'VariableV2':
            made.node(name, kind, dtype=FLOAT).node(name + '/read', 'Identity', [name], T=FLOAT)
        else:
            made.node(name, 'VarHandleOp', dtype=FLOAT)
            made.node(name + '/read', 'ReadVariableOp', [name, '^x'], dtype=FLOAT)
    made.node('sum', 'Add', ['a/read', 'b/read'], T=FLOAT).node('out', 'Mul', ['x', 'sum'], T=FLOAT)
    for name, values in (('names', [b'key of a', b'key of b']), ('slices', [b'', b'4 1,2'])):
        made.const('save/' + name, values, object)
    made.const('save/prefix', b'', object)
    made.node('save/restored', 'RestoreV2', ['save/prefix', 'save/names', 'save/slices'])
    for index, name in enumerate('ab'):
        made.node('save/value_' + name, 'Identity', ['save/restored:%d' % index], T=FLOAT)
        made.node('save/' + name, 'Assign' if kind == 'VariableV2' else 'AssignVariableOp',
                  [name, 'save/value_' + name])
    made.change('out').device = '/gpu:0'
    return made


def write_values(tmp_path):
    checkpoints.write_v2(str(tmp_path / 'v'), {'key of a': np.float32([1, 2]), 'key of b': np.float32([5, 6, 7, 8])})
    return str(tmp_path / 'v')


@pytest.mark.parametrize('kind', ['VariableV2', 'VarHandleOp'])
def test_a_variable_becomes_what_restoring_would_fill_it_with(kind, tmp_path):
    graph_def = variables(kind).graph_def
    frozen = _freezing.freeze(graph_def, write_values(tmp_path), ['out:0'], 'a graph')
    nodes = {node.name: node for node in frozen.node}
    assert not [name for name in nodes if name.startswith('save')]
    assert not [node.name for node in frozen.node if node.device]
    values = {name: _tensors.Tensor(nodes[name].attr['value'].tensor).array().tolist() for name in 'ab'}
    assert values == {'a': [1, 2], 'b': [6, 7]}
    assert nodes['a/read'].op == 'Identity' and nodes['a/read'].input[0] == 'a'
    assert list(nodes['a/read'].input[1:]) == (['^x'] if kind == 'VarHandleOp' else [])
    assert nodes['a/read'].attr['T'].type == FLOAT
    assert graphs.run(frozen, ['out'], {'x': [1., 1.]})[0].tolist() == [7, 9]
    assert graph_def.node[-1].op  # the graph that was given is as it was
    with pytest.raises(_errors.InputRefused, match="lacks 2 of the graph's variables, the first is 'key of a'"):
        checkpoints.write_v2(str(tmp_path / 'other'), {'c': np.zeros(1, 'f4')})
        _freezing.freeze(graph_def, str(tmp_path / 'other'), ['out:0'], 'a graph')


def test_only_assignments_that_count_say_where_a_variable_comes_from():
    graph_def = variables('VariableV2').graph_def
    assert _freezing.restored_keys(graph_def) == {'a': ('key of a', ''), 'b': ('key of b', '4 1,2')}
    assert _freezing.restored_keys(graph_def, {'save/b'}) == {'b': ('key of b', '4 1,2')}
    made = Made().placeholder('x').node('a', 'VariableV2', dtype=FLOAT).node('given', 'Assign', ['a', 'x'])
    assert _freezing.restored_keys(made.graph_def) == {}


@pytest.mark.parametrize('spec, expected', [
    ('', [[0, 1, 2], [3, 4, 5]]), ('2 3 -:-', [[0, 1, 2], [3, 4, 5]]), ('2 3 1,1:-', [[3, 4, 5]]),
    ('2 3 0,2:1,2', [[1, 2], [4, 5]]), ('2 3 -:0,1', [[0], [3]])])
def test_a_slice_is_the_part_that_it_says(spec, expected):
    assert _freezing.sliced(np.arange(6).reshape(2, 3), spec).tolist() == expected


@pytest.mark.parametrize('spec', ['2 3 x:-', '2 3 -:-:-'])
def test_a_slice_that_is_none_is_refused(spec):
    with pytest.raises(_errors.InputRefused, match='which is none'):
        _freezing.sliced(np.arange(6).reshape(2, 3), spec)


def test_what_changes_a_variable_cannot_be_frozen(tmp_path):
    made = variables('VariableV2')
    made.node('changed', 'AssignAdd', ['a', 'x']).change('out').input.append('^changed')
    with pytest.raises(_errors.InputRefused, match="the outputs need 'changed'"):
        _freezing.freeze(made.graph_def, write_values(tmp_path), ['out:0'], 'a graph')


def test_what_reads_a_resource_that_is_no_variable_cannot_be_frozen(tmp_path):
    made = variables('VarHandleOp')
    made.change('a/read').input[0] = 'x'
    with pytest.raises(_errors.InputRefused, match='reads a resource that is not a variable'):
        _freezing.freeze(made.graph_def, write_values(tmp_path), ['out:0'], 'a graph')


def test_a_variable_of_strings_is_frozen_with_its_shape(tmp_path):
    made = Made().node('s', 'VariableV2', dtype=7).node('out', 'Identity', ['s'], T=7)
    checkpoints.write_v2(str(tmp_path / 's'), {'s': np.array([[b'a'], [b'b']], object)})
    frozen = _freezing.freeze(made.graph_def, str(tmp_path / 's'), ['out'], 'a graph')
    tensor = _tensors.Tensor(frozen.node[0].attr['value'].tensor)
    assert tensor.shape == (2, 1) and tensor.array().tolist() == [[b'a'], [b'b']]


# which weights a graph holds ------------------------------------------------------------------------------------------

RAW, MEAN, OTHER = [1., 2.], [3., 4.], [9., 9.]


@pytest.mark.parametrize('values, averaged, kind', [
    ([RAW, RAW], True, 'raw weights'), ([MEAN, MEAN], True, 'moving averages'),
    ([RAW, MEAN], True, 'raw weights and moving averages mixed'), ([OTHER, OTHER], True, 'other weights'),
    ([RAW, RAW], False, 'raw weights (no averages differ)'), ([OTHER, RAW], True, 'raw weights'),
    ([OTHER, OTHER, RAW], True, 'other weights')])
def test_the_weights_of_a_graph_are_raw_or_averages(values, averaged, kind, tmp_path):
    made = Made().placeholder('x')
    last, held = 'x', {}
    for index, value in enumerate(values):
        name = 'v{}'.format(index)
        made.const(name, value).node(name + '/read', 'Identity', [name], T=FLOAT)
        made.node('y' + name, 'Mul', [last, name + '/read'], T=FLOAT)
        last = 'y' + name
        held[name] = np.float32(RAW)
        if averaged:
            held[name + '/ExponentialMovingAverage'] = np.float32(MEAN)
    made.const('absent', [7., 7.]).node('absent/read', 'Identity', ['absent'], T=FLOAT)
    made.node('out', 'Mul', [last, 'absent/read'], T=FLOAT)
    checkpoints.write_v2(str(tmp_path / 'c'), held)
    found = _origin.origin(graphs.graph_of(made.graph_def, ['out']), str(tmp_path / 'c'))
    assert found['kind'] == kind and found['absent'] == 1
    assert found['raw'] + found['moving_averages'] + found['both'] + found['neither'] == len(values)
    assert found['neither'] == values.count(OTHER)


# tensors --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('dtype, field, values', [
    (1, 'float_val', [1.5, -2.0]), (2, 'double_val', [1.5, -2.0]), (3, 'int_val', [1, -2]), (4, 'int_val', [1, 200]),
    (5, 'int_val', [1, -2]), (6, 'int_val', [1, -2]), (9, 'int64_val', [1, -2]), (10, 'bool_val', [True, False]),
    (17, 'int_val', [1, 60000]), (19, 'half_val', [15360, 16384]), (14, 'half_val', [16256, 16384])])
def test_a_value_is_one_in_bytes_in_a_list_and_cut_short(dtype, field, values):
    from tensorflow.core.framework import tensor_pb2

    def tensor(content=None, listed=None, size=4):
        proto = tensor_pb2.TensorProto(dtype=dtype)
        proto.tensor_shape.dim.add(size=size)
        if content is not None:
            proto.tensor_content = content
        if listed is not None:
            getattr(proto, field).extend(listed)
        return _tensors.Tensor(proto)
    kind = _tensors.numpy_type(dtype)
    whole = [values[0], values[1], values[1], values[1]]
    numbers = np.array(whole, 'u2' if field == 'half_val' else kind)
    ways = [tensor(numbers.tobytes()), tensor(listed=whole), tensor(listed=values)]
    assert len({way.digest for way in ways}) == 1
    assert len({way.array().tobytes() for way in ways}) == 1
    assert tensor(listed=values[:1]).digest != ways[0].digest
    assert tensor(listed=values, size=5).digest != ways[0].digest
    assert tensor(listed=[]).digest == tensor(bytes(numbers.nbytes)).digest  # nothing listed is zeros
    with pytest.raises(_tensors.Damaged):
        tensor(numbers.tobytes()[:-1])
    with pytest.raises(_tensors.Damaged):
        tensor(listed=whole + whole[:1])
    with pytest.raises(_tensors.Damaged):
        tensor(listed=values, size=_tensors._MOST_UNWRITTEN + 3)


def test_values_of_two_types_or_shapes_are_two():
    zeros = {_tensors.encoded(np.zeros(shape, _tensors.numpy_type(dtype)), dtype).digest
             for dtype in (1, 3, 13, 17, 19) for shape in ((4,), (2, 2), (1, 4), (4, 1), ())}
    assert len(zeros) == 25


def test_strings_are_told_apart_by_where_one_ends():
    from tensorflow.core.framework import tensor_pb2

    def digest(values, size=2):
        proto = tensor_pb2.TensorProto(dtype=7)
        proto.tensor_shape.dim.add(size=size)
        proto.string_val.extend(values)
        return _tensors.Tensor(proto).digest
    assert digest([b'a', b'bc']) != digest([b'ab', b'c']) and digest([b'a', b'a']) == digest([b'a'])
    for values in ([], [b'a'] * 3):
        with pytest.raises(_tensors.Damaged):
            digest(values)


def test_bfloat16_is_read_as_the_number_that_it_is():
    tensor = _tensors.encoded(np.array([0x3f80, 0xc000], 'u2'), 14)
    assert tensor.numbers().tolist() == [1.0, -2.0]


@pytest.mark.parametrize('value, dtype, text', [
    (1.5, 1, '1.5'), ([1.5], 1, '[1.5]'), ([1, 2, 3, 4], 3, '[1, 2, 3, 4]'), ([1, 2, 3, 4, 5], 3, '[1, 2, 3, 4, …][5]'),
    (0.1, 1, '0.1')])
def test_a_tensor_is_shown_by_its_first_elements(value, dtype, text):
    assert _tensors.brief(_tensors.encoded(value, dtype)) == text


# provenance -----------------------------------------------------------------------------------------------------------

def range_of(made, outputs=('out',)):
    graph = graphs.graph_of(made.graph_def, list(outputs))
    first, last = _provenance.tensorflow_range(graph, graph.final_order())
    releases = _provenance._op_table.table()[0]
    return releases[first[0]], first[1], releases[last[0]], last[1]


def test_an_op_and_an_attribute_need_a_release_that_has_them():
    plain = Made().placeholder('x').node('out', 'Neg', ['x'], T=FLOAT)
    releases = _provenance._op_table.table()[0]
    assert range_of(plain) == (releases[0], '', releases[-1], '')
    made = Made().placeholder('x').placeholder('n', INT32).const('s', 0.5)
    made.node('out', 'NonMaxSuppressionV3', ['x', 'x', 'n', 's', 's'])
    first, why, _, _ = range_of(made)
    assert first.startswith('1.9') and why == 'it has NonMaxSuppressionV3'
    made = Made().placeholder('x').placeholder('s', INT32).node(
        'out', 'ResizeBilinear', ['x', 's'], T=FLOAT, align_corners=False, half_pixel_centers=False)
    first, why, _, _ = range_of(made)
    assert first.startswith('1.14') and why == 'it has ResizeBilinear.half_pixel_centers'
    del made.change('out').attr['half_pixel_centers']
    _, _, last, why = range_of(made)
    assert last.startswith('1.13') and why == 'ResizeBilinear is without half_pixel_centers'


def test_what_a_neighbour_says_is_exact_and_its_name_is_told(tmp_path):
    graph_def = Made().placeholder('x').node('out', 'Neg', ['x'], T=FLOAT).graph_def
    path = graphs.write(tmp_path / 'frozen_inference_graph.pb', graph_def)
    assert _provenance.neighbours(path) == {}
    (tmp_path / 'saved_model').mkdir()
    for name, version in (('saved_model/saved_model.pb', '1.13.1'), ('model.ckpt.meta', '1.12.0')):
        model = meta_graphs(['serve'])
        model.meta_graphs[0].meta_info_def.tensorflow_version = version
        (tmp_path / name).write_bytes(
            (model if name.endswith('.pb') else model.meta_graphs[0]).SerializeToString())
        assert _provenance.neighbours(path) == {'tensorflow_version': version, 'file': name}
    (tmp_path / 'model.ckpt.meta').write_bytes(b'\xff\xff')
    assert _provenance.neighbours(path)['tensorflow_version'] == '1.13.1'


def test_an_edge_of_bool_reads_as_it_is_written():
    graph = graphs.graph_of(Made().placeholder('p', BOOL).node('out', 'LogicalNot', ['p']).graph_def, ['out'])
    assert graph.inputs[1] == [(0, 0)] and graph.consumers()[0] == [(1, 0)]


def test_an_op_that_was_dropped_bounds_the_release_from_above():
    releases, ops = _provenance._op_table.table()
    op = next(name for name in sorted(ops._rows) if ops[name].until < len(releases) - 1)
    first, _, last, why = range_of(Made().node('out', op))
    assert (first, last) == (releases[ops[op].since], releases[ops[op].until])
    assert why == 'it has {}, which later releases lack'.format(op)


def test_a_graph_written_without_defaults_says_nothing_by_what_is_absent():
    made = Made().placeholder('x').placeholder('s', INT32).node('a', 'MatMul', ['x', 'x'], T=FLOAT)
    made.node('b', 'Sum', ['a', 's'], T=FLOAT, Tidx=INT32).node('c', 'Cumsum', ['b', 's'], T=FLOAT, Tidx=INT32)
    made.node('out', 'ResizeBilinear', ['c', 's'], T=FLOAT)
    assert range_of(made)[2:] == (_provenance._op_table.table()[0][-1], '')
    for name, attr in (('a', 'transpose_a'), ('a', 'transpose_b'), ('b', 'keep_dims'), ('c', 'exclusive'),
                       ('c', 'reverse'), ('out', 'align_corners')):
        made.change(name).attr[attr].b = False
    assert range_of(made)[3] == 'ResizeBilinear is without half_pixel_centers'
