"""Which Consts are weights, with which of the other graph they are paired, and by how much two differ."""
import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch.compare import _verdict  # noqa: E402
from od_patch.compare import _weights  # noqa: E402
from od_patch.graphs import _graph  # noqa: E402
from od_patch.graphs import _tensors  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.written import FLOAT, INT32, Made  # noqa: E402


def frozen(made, name, value, dtype=np.float32):
    """A variable as freezing leaves it: a Const that only an Identity reads."""
    made.const(name, value, dtype)
    return made.node(name + '/read', 'Identity', [name], T=made.graph_def.node[-1].attr['dtype'].type)


def model(values, order=None, more=()):
    """x × each of the values (a dict of name -> array), in the order of ``order``, then added up."""
    made = Made().placeholder('x')
    last = 'x'
    for index, name in enumerate(order or sorted(values)):
        frozen(made, name, values[name])
        made.node('y{}'.format(index), 'Mul', [last, name + '/read'], T=FLOAT)
        last = 'y{}'.format(index)
    for name, value in more:
        made.const(name, value).node('with_' + name, 'Add', [last, name], T=FLOAT)
        last = 'with_' + name
    return made.node('out', 'Neg', [last], T=FLOAT)


def comparison(one, other, aligned=None):
    left, right = [graphs.graph_of(made.graph_def, ['out']) for made in (one, other)]
    if aligned:
        aligned = {left.names.index(name): right.names.index(twin) for name, twin in aligned.items()}
    return _weights.Comparison(left, right, _weights.weights(left, left.final_order()),
                               _weights.weights(right, right.final_order()), aligned)


def told(found):
    one, other = found.graphs
    pairs = {word: sorted((one.names[pair.left], other.names[pair.right], pair.how) for pair in getattr(found, word))
             for word in ('equal', 'differing', 'reshaped')}
    return dict({word: rows for word, rows in pairs.items() if rows},
                **{word: sorted(graph.names[node] for node in getattr(found, word)) for word, graph in (
                    ('only_left', one), ('only_right', other)) if getattr(found, word)})


A, B, C = [1., 2.], [3., 4.], [5., 6.]


@pytest.mark.parametrize('one, other, expected', [
    ({'a': A, 'b': B}, {'a': A, 'b': B}, {'equal': [('a', 'a', 'value'), ('b', 'b', 'value')]}),
    ({'a': A, 'b': B}, {'a': B, 'b': A}, {'differing': [('a', 'a', 'name'), ('b', 'b', 'name')]}),
    ({'a': A, 'b': B}, {'v': A, 'w': B}, {'equal': [('a', 'v', 'value'), ('b', 'w', 'value')]}),
    ({'a': A, 'b': B}, {'v': B, 'w': A}, {'equal': [('a', 'w', 'value'), ('b', 'v', 'value')]}),
    ({'a': A, 'b': B}, {'a': A, 'b': C}, {'equal': [('a', 'a', 'value')], 'differing': [('b', 'b', 'name')]}),
    ({'a': A, 'b': A}, {'a': A, 'b': A}, {'equal': [('a', 'a', 'value'), ('b', 'b', 'value')]}),
    ({'a': A, 'b': A}, {'b': A, 'v': A}, {'equal': [('a', 'v', 'value'), ('b', 'b', 'value')]}),
    ({'a': A}, {'a': [1., 2., 3.]}, {'reshaped': [('a', 'a', 'name')]}),
    ({'a': A}, {'v': C}, {'only_left': ['a'], 'only_right': ['v']}),
    ({'a': A, 'b': B}, {'a': A}, {'equal': [('a', 'a', 'value')], 'only_left': ['b']}),
    ({'a': A}, {'a': A, 'b': B}, {'equal': [('a', 'a', 'value')], 'only_right': ['b']}),
    ({'a': A, 'b': A}, {'a': A}, {'equal': [('a', 'a', 'value')]}),  # the value is there
], ids=str)
def test_weights_are_paired_by_value_and_a_name_that_both_have_is_one_variable(one, other, expected):
    found = comparison(model(one), model(other))
    assert told(found) == expected
    assert (found.left, found.right) == (len(one), len(other))
    assert found.same == (set(expected) == {'equal'})


@pytest.mark.parametrize('aligned, expected', [
    ({'a': 'v'}, {'differing': [('a', 'v', 'place')]}),
    ({}, {'only_left': ['a'], 'only_right': ['v']})])
def test_weights_of_other_names_are_paired_by_their_place(aligned, expected):
    assert told(comparison(model({'a': A}), model({'v': C}), aligned)) == expected


def test_weights_of_other_shapes_are_paired_by_no_place():
    assert told(comparison(model({'a': A}), model({'v': [1., 2., 3.]}), {'a': 'v'})) == {
        'only_left': ['a'], 'only_right': ['v']}
    found = comparison(model({'a': A, 'b': B}), model({'v': C, 'w': C}), {'a': 'v', 'b': 'v'})
    assert told(found)['differing'] == [('a', 'v', 'place')]  # one place, one partner


def test_a_value_that_the_other_graph_has_as_no_weight_is_not_missing():
    assert told(comparison(model({'a': A, 'b': B}), model({'a': A}, more=[('k', B)]))) == {
        'equal': [('a', 'a', 'value')]}


def test_swapped_weights_are_different_weights(tmp_path):
    paths = [graphs.write(tmp_path / name, model(values).graph_def) for name, values in (
        ('a.pb', {'a': A, 'b': B}), ('b.pb', {'a': B, 'b': A}))]
    answer = _verdict.compare(*(paths + [['out']]))
    assert answer.verdict == 'different weights' and len(answer.differences) == 2, answer.reason


def weights_of(made):
    graph = graphs.graph_of(made.graph_def, ['out'])
    return [graph.names[node] for node in _weights.weights(graph, graph.final_order())]


@pytest.mark.parametrize('op, slot', sorted((op, slot) for op, slots in _weights.SLOTS.items() for slot in range(7)))
def test_what_stands_where_an_op_takes_learnt_values_is_a_weight(op, slot):
    made = Made().placeholder('x')
    inputs = ['x'] * 7
    inputs[slot] = 'k'
    made.const('k', [1., 2.]).node('y', op, inputs, T=FLOAT).node('out', 'Neg', ['y'], T=FLOAT)
    graph = _graph.build(made.graph_def, 'a graph', [('out', 'out')], lambda name: True)
    found = [graph.names[node] for node in _weights.weights(graph, graph.final_order())]
    learnt = {'Conv2D': '1', 'DepthwiseConv2dNative': '1', 'Conv2DBackpropInput': '1', 'Conv3D': '1', 'MatMul': '01',
              'BiasAdd': '1', 'QuantizedConv2D': '1', 'Dequantize': '0', '_FusedMatMul': '12',
              '_FusedConv2D': '123456', '_FusedDepthwiseConv2dNative': '123456'}.get(op, '1234')
    assert found == (['k'] if str(slot) in learnt else [])


def test_what_no_variable_made_is_no_weight():
    made = frozen(Made().placeholder('x').placeholder('i', INT32), 'variable', A)
    frozen(frozen(made, 'scalar variable', 2.), 'integers', [1, 2], np.int32)
    frozen(made, 'unread', C)
    made.const('constant', B).const('scalar bias', 1.).const('read twice', [7., 8.])
    made.node('read', 'Identity', ['read twice'], T=FLOAT)
    names = ['variable/read', 'scalar variable/read', 'constant', 'read', 'read twice']
    last = 'x'
    for index, name in enumerate(names):
        made.node('y%d' % index, 'Mul', [last, name], T=FLOAT)
        last = 'y%d' % index
    made.node('biased', 'BiasAdd', [last, 'scalar bias'], T=FLOAT)
    made.node('cast', 'Cast', ['integers/read'], SrcT=INT32, DstT=FLOAT)
    made.node('out', 'Mul', ['biased', 'cast'], T=FLOAT)
    assert weights_of(made) == ['variable', 'scalar variable']


def difference(left, right, dtype=1):
    return _weights.Difference('w', _tensors.encoded(left, dtype), _tensors.encoded(right, dtype))


def test_a_difference_is_told_by_its_largest_its_mean_and_how_many():
    found = difference([1., 2., -4.], [1., 2.5, -4.])
    assert (found.largest, found.scale, found.count, found.size, found.shape) == (0.5, 4.0, 1, 3, (3,))
    assert found.mean == pytest.approx(0.5 / 3)
    found = difference([1., 3.], [2., 1.])
    assert (found.largest, found.mean, found.count) == (2.0, 1.5, 2)


@pytest.mark.parametrize('left, right, largest', [
    (0.0, -0.0, 0.0), (np.nan, 1.0, np.inf), (1.0, np.nan, np.inf), (np.inf, 1.0, np.inf), (np.inf, np.inf, np.inf)])
def test_bits_are_counted_and_numbers_measured(left, right, largest):
    found = difference([left, 7.], [right, 7.])
    assert found.largest == largest
    assert found.count == (0 if left == right == np.inf else 1)


def test_nothing_at_all_differs_by_nothing():
    found = difference([], [])
    assert (found.largest, found.mean, found.scale, found.count, found.size) == (0.0, 0.0, 0.0, 0, 0)


def test_the_largest_difference_comes_first_and_then_the_first_name():
    found = comparison(model({'a': [1.], 'b': [1.], 'c': [1.]}), model({'a': [2.], 'b': [9.], 'c': [2.]}))
    assert [row.name for row in found.differences()] == ['b', 'a', 'c']
