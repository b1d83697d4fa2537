"""What compare works out of constants is what TensorFlow computes, to the bit, or it is not worked out at all."""
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _tensorflow  # noqa: E402
from od_patch.compare import _folding  # noqa: E402
from od_patch.compare import _rules  # noqa: E402
from od_patch.graphs import _sessions  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.written import FLOAT, HALF, INT32, INT64, Made  # noqa: E402

KINDS = {INT32: np.int32, INT64: np.int64, FLOAT: np.float32}
INTEGERS = st.sampled_from([INT32, INT64])
SHAPES = st.lists(st.integers(0, 3), max_size=3)


UNARY = ('Abs', 'Neg', 'Sqrt', 'Exp')


def array(draw, shape, dtype, low=-9, high=9):
    values = draw(st.lists(st.integers(low, high), min_size=int(np.prod(shape, dtype=int)),
                           max_size=int(np.prod(shape, dtype=int))))
    return np.array(values, KINDS[dtype]).reshape(shape)


def moving(op):
    """A strategy for a graph of Consts and one op, called value, whose inputs may be refused."""
    @st.composite
    def build(draw):
        dtype = draw(st.sampled_from(sorted(KINDS))) if op != 'Range' else draw(INTEGERS)
        shape = draw(SHAPES)
        made = Made().const('a', array(draw, shape, dtype), KINDS[dtype])
        place = st.integers(-4, 4)

        def const(name, value, kind=np.int32):
            made.const(name, value, kind)
        if op in ('Identity', 'StopGradient', 'Rank'):
            return made.node('value', op, ['a'], T=dtype)
        if op == 'Shape':
            return made.node('value', op, ['a'], T=dtype, out_type=draw(INTEGERS))
        if op == 'Pack':
            const('b', array(draw, shape, dtype), KINDS[dtype])
            return made.node('value', op, ['a', 'b'], T=dtype, N=2, axis=draw(place))
        if op == 'ConcatV2':
            const('b', array(draw, shape, dtype), KINDS[dtype])
            const('axis', draw(place))
            return made.node('value', op, ['a', 'b', 'axis'], T=dtype, Tidx=INT32, N=2)
        if op == 'Reshape':
            const('shape', draw(st.lists(st.integers(-1, 4), max_size=3)))
            return made.node('value', op, ['a', 'shape'], T=dtype, Tshape=INT32)
        if op == 'Range':
            for name in ('start', 'limit', 'delta'):
                const(name, draw(st.integers(-6, 6)), KINDS[dtype])
            return made.node('value', op, ['start', 'limit', 'delta'], Tidx=dtype)
        if op == 'Fill':
            const('dims', draw(SHAPES))
            const('fill', array(draw, [], dtype), KINDS[dtype])
            return made.node('value', op, ['dims', 'fill'], T=dtype)
        if op == 'Tile':
            const('times', draw(st.lists(st.integers(0, 3), min_size=len(shape), max_size=len(shape))))
            return made.node('value', op, ['a', 'times'], T=dtype, Tmultiples=INT32)
        if op == 'ExpandDims':
            const('axis', draw(place))
            return made.node('value', op, ['a', 'axis'], T=dtype, Tdim=INT32)
        if op == 'Squeeze':
            return made.node('value', op, ['a'], T=dtype, squeeze_dims=draw(st.lists(place, max_size=2)))
        if op == 'Transpose':
            const('perm', draw(st.permutations(range(len(shape)))))
            return made.node('value', op, ['a', 'perm'], T=dtype, Tperm=INT32)
        if op == 'Slice':
            const('begin', draw(st.lists(st.integers(-1, 3), min_size=len(shape), max_size=len(shape))))
            const('size', draw(st.lists(st.integers(-1, 3), min_size=len(shape), max_size=len(shape))))
            return made.node('value', op, ['a', 'begin', 'size'], T=dtype, Index=INT32)
        if op == 'StridedSlice':
            many = draw(st.integers(0, len(shape)))
            for name in ('begin', 'end'):
                const(name, draw(st.lists(place, min_size=many, max_size=many)))
            const('step', draw(st.lists(st.sampled_from([-2, -1, 1, 2]), min_size=many, max_size=many)))
            masks = {name + '_mask': draw(st.integers(0, 7)) if draw(st.booleans()) else 0
                     for name in ('begin', 'end', 'shrink_axis', 'new_axis')}
            return made.node('value', op, ['a', 'begin', 'end', 'step'], T=dtype, Index=INT32, **masks)
        if op == 'GatherV2':
            places = draw(SHAPES)
            const('i', array(draw, places, INT32, -1, 3))
            const('axis', draw(place))
            return made.node('value', op, ['a', 'i', 'axis'], Tparams=dtype, Tindices=INT32, Taxis=INT32)
        if op == 'Cast':
            return made.node('value', op, ['a'], SrcT=dtype, DstT=draw(st.sampled_from([INT32, INT64, FLOAT, 2, 4, 6])))
        if op in ('Unpack', 'Split'):
            return made.node('value', op, ['a'] if op == 'Unpack' else ['a', 'a'], T=dtype, num=1, num_split=1)
        assert op in _folding.ARITHMETIC, op
        const('b', array(draw, draw(st.sampled_from([shape, [], shape[-1:]])), dtype, -9, 9), KINDS[dtype])
        return made.node('value', op, ['a', 'b'][:1 if op == 'Neg' else 2], T=dtype)
    return build()


def computed(graph_def):
    """What TensorFlow makes of it; None where it refuses."""
    tf = _tensorflow.tf1()
    try:
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name='')
        with tf.Session(graph=graph, config=_sessions.unoptimized_config()) as session:
            return session.run('value:0')
    except (ValueError, tf.errors.OpError):
        return None


@pytest.mark.parametrize('op', sorted(_folding.FOLDABLE - {'Unpack', 'Split'}))
@hypothesis.settings(max_examples=30, deadline=None, derandomize=True,
                     suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(data=st.data())
def test_what_is_worked_out_has_tensorflows_bits_type_and_shape(op, data):
    made = data.draw(moving(op))
    graph = graphs.graph_of(made.graph_def, ['value'])
    plain, _ = _rules.apply(graph, ['constant values'])
    node = graph.names.index('value')
    tensor = plain.tensors[node]
    expected = computed(made.graph_def)
    if expected is None:
        assert tensor is None
    elif tensor is not None:
        held = tensor.array()
        assert (held.shape, held.dtype, held.tobytes()) == (expected.shape, expected.dtype, expected.tobytes())
        assert not plain.inputs[node] and plain.ops[node] == 'Const'


# One graph an op that must be worked out: else the test above would be content with nothing at all.
@pytest.mark.parametrize('op, inputs, attrs, value', [
    ('Identity', ['a'], dict(T=INT32), [[1, 2, 3], [4, 5, 6]]),
    ('StopGradient', ['a'], dict(T=INT32), [[1, 2, 3], [4, 5, 6]]),
    ('Rank', ['a'], dict(T=INT32), 2), ('Shape', ['a'], dict(T=INT32), [2, 3]),
    ('Pack', ['v', 'v'], dict(T=INT32, N=2), [[0, 1], [0, 1]]),
    ('Pack', ['v', 'v'], dict(T=INT32, N=2, axis=1), [[0, 0], [1, 1]]),
    ('ConcatV2', ['a', 'a', 'one'], dict(T=INT32, Tidx=INT32, N=2), [[1, 2, 3, 1, 2, 3], [4, 5, 6, 4, 5, 6]]),
    ('Reshape', ['a', 'v6'], dict(T=INT32, Tshape=INT32), [1, 2, 3, 4, 5, 6]),
    ('Range', ['one', 'six', 'two'], dict(Tidx=INT32), [1, 3, 5]), ('Fill', ['two_', 'six'], dict(T=INT32), [6, 6]),
    ('Tile', ['v', 'two_'], dict(T=INT32, Tmultiples=INT32), [0, 1, 0, 1]),
    ('ExpandDims', ['v', 'one'], dict(T=INT32, Tdim=INT32), [[0], [1]]),
    ('Squeeze', ['v1'], dict(T=INT32), [0, 1]), ('Squeeze', ['v1'], dict(T=INT32, squeeze_dims=[1]), [0, 1]),
    ('Transpose', ['a', 'swap'], dict(T=INT32, Tperm=INT32), [[1, 4], [2, 5], [3, 6]]),
    ('Slice', ['a', 'v', 'two2'], dict(T=INT32, Index=INT32), [[2, 3], [5, 6]]),
    ('Slice', ['a', 'v', 'rest'], dict(T=INT32, Index=INT32), [[2], [5]]),
    ('StridedSlice', ['a', 'v', 'two2', 'ones'], dict(T=INT32, Index=INT32), [[2], [5]]),
    ('StridedSlice', ['a', 'one_', 'two_', 'one_'], dict(T=INT32, Index=INT32, shrink_axis_mask=1), [4, 5, 6]),
    ('StridedSlice', ['a', 'v', 'v', 'ones'], dict(T=INT32, Index=INT32, begin_mask=3, end_mask=3),
     [[1, 2, 3], [4, 5, 6]]),
    ('GatherV2', ['a', 'one_', 'one'], dict(Tparams=INT32, Tindices=INT32, Taxis=INT32), [[2], [5]]),
    ('Cast', ['a'], dict(SrcT=INT32, DstT=FLOAT), np.float32([[1, 2, 3], [4, 5, 6]])),
    ('Cast', ['v'], dict(SrcT=INT32, DstT=INT64), np.int64([0, 1])),
    ('Add', ['a', 'six'], dict(T=INT32), [[7, 8, 9], [10, 11, 12]]), ('AddV2', ['v', 'v'], dict(T=INT32), [0, 2]),
    ('Sub', ['v', 'six'], dict(T=INT32), [-6, -5]), ('Mul', ['v', 'six'], dict(T=INT32), [0, 6]),
    ('Maximum', ['v', 'two2'], dict(T=INT32), [2, 2]), ('Minimum', ['a', 'two'], dict(T=INT32), [[1, 2, 2], [2, 2, 2]]),
    ('Neg', ['v'], dict(T=INT32), [0, -1])])
def test_what_can_be_worked_out_is(op, inputs, attrs, value):
    made = Made().const('a', [[1, 2, 3], [4, 5, 6]], np.int32)
    for name, array_ in (('one', 1), ('two', 2), ('six', 6), ('v', [0, 1]), ('v1', [[0], [1]]), ('v6', [-1]),
                         ('two_', [2]), ('one_', [1]), ('ones', [1, 1]), ('two2', [2, 2]), ('swap', [1, 0]),
                         ('rest', [-1, 1])):
        made.const(name, array_, np.int32)
    made.node('value', op, inputs, **attrs)
    plain, _ = _rules.apply(graphs.graph_of(made.graph_def, ['value']), ['constant values'])
    tensor = plain.tensors[[node.name for node in made.graph_def.node].index('value')]
    expected = np.asarray(value) if isinstance(value, (np.ndarray, np.generic)) else np.array(value, np.int32)
    assert tensor is not None
    assert tensor.array().dtype == expected.dtype and tensor.array().tolist() == expected.tolist()


@pytest.mark.parametrize('op, inputs, attrs', [
    ('GatherV2', ['v', 'minus', 'zero'], dict(Tparams=INT32, Tindices=INT32, Taxis=INT32)),
    ('GatherV2', ['v', 'two', 'zero'], dict(Tparams=INT32, Tindices=INT32, Taxis=INT32)),
    ('GatherV2', ['v', 'zero', 'two'], dict(Tparams=INT32, Tindices=INT32, Taxis=INT32)),
    ('Slice', ['v', 'one_', 'two_'], dict(T=INT32, Index=INT32)),
    ('Slice', ['v', 'minus_', 'one_'], dict(T=INT32, Index=INT32)),
    ('Slice', ['v', 'three_', 'minus_'], dict(T=INT32, Index=INT32)),
    ('Range', ['two', 'zero', 'one'], dict(Tidx=INT32)), ('Range', ['zero', 'two', 'minus'], dict(Tidx=INT32)),
    ('Range', ['zero', 'two', 'zero'], dict(Tidx=INT32)),
    ('ExpandDims', ['v', 'two'], dict(T=INT32, Tdim=INT32)), ('ExpandDims', ['v', 'three-'], dict(T=INT32, Tdim=INT32)),
    ('StridedSlice', ['v', 'one_', 'zero_', 'minus_'], dict(T=INT32, Index=INT32, shrink_axis_mask=1)),
    ('StridedSlice', ['v', 'two_', 'three_', 'one_'], dict(T=INT32, Index=INT32, shrink_axis_mask=1)),
    ('StridedSlice', ['v', 'zero_', 'two_', 'zero_'], dict(T=INT32, Index=INT32)),
    ('Squeeze', ['v'], dict(T=INT32, squeeze_dims=[0])), ('Reshape', ['v', 'three_'], dict(T=INT32, Tshape=INT32)),
    ('ConcatV2', ['v', 'v', 'one'], dict(T=INT32, Tidx=INT32, N=2)), ('Pack', ['v', 'v'], dict(T=INT32, N=2, axis=2)),
    ('Transpose', ['v', 'one_'], dict(T=INT32, Tperm=INT32)), ('Add', ['v', 'v3'], dict(T=INT32))])
def test_what_tensorflow_refuses_is_not_worked_out(op, inputs, attrs):
    made = Made().const('v', [7, 8], np.int32).const('v3', [1, 2, 3], np.int32)
    for name, value in (('zero', 0), ('one', 1), ('two', 2), ('three', 3), ('minus', -1)):
        made.const(name, value, np.int32).const(name + '_', [value], np.int32)
    made.const('three-', -3, np.int32).node('value', op, inputs, **attrs)
    graph = graphs.graph_of(made.graph_def, ['value'])
    assert computed(made.graph_def) is None
    assert _folding.evaluate(graph, graph.names.index('value')) is None


@pytest.mark.parametrize('op', sorted(_folding.ARITHMETIC))
def test_floating_point_arithmetic_is_worked_out_to_compare_with_and_is_written_nowhere(op):
    made = Made().const('a', [0.1, 2.5]).const('b', [0.3, 7.5])
    made.node('value', op, ['a', 'b'][:1 if op in UNARY else 2], T=FLOAT)
    graph = graphs.graph_of(made.graph_def, ['value'])
    assert np.allclose(_folding.evaluate(graph, 2), _folding.ARITHMETIC[op](*[
        np.float32(row) for row in ([0.1, 2.5], [0.3, 7.5])[:len(graph.inputs[2])]]))
    plain, used = _rules.apply(graph, ['constant values'])
    assert not used and plain.tensors[2] is None


@pytest.mark.parametrize('source, target, exact', [
    (INT32, INT64, True), (INT32, FLOAT, True), (INT32, 2, True), (4, INT32, True), (INT32, HALF, False),
    (FLOAT, INT32, False), (FLOAT, 2, False), (2, FLOAT, False), (HALF, FLOAT, False)])
def test_a_cast_is_exact_from_integers_to_what_holds_them(source, target, exact):
    made = Made().placeholder('x', source).node('value', 'Cast', ['x'], SrcT=source, DstT=target)
    assert _folding.exact(graphs.graph_of(made.graph_def, ['value']), 1) is exact


def test_the_outputs_of_an_unpack_and_of_a_split_are_told_apart():
    made = Made().const('a', [[1, 2], [3, 4]], np.int32).const('axis', 1, np.int32)
    made.node('u', 'Unpack', ['a'], T=INT32, num=2, axis=1).node('s', 'Split', ['axis', 'a'], T=INT32, num_split=2)
    made.node('one', 'Neg', ['u:1'], T=INT32).node('other', 'Neg', ['s:1'], T=INT32)
    made.node('rank', 'Neg', ['s'], T=INT32).node('none', 'Neg', ['one:1'], T=INT32)
    graph = graphs.graph_of(made.graph_def, ['one', 'other', 'rank', 'none'])
    values = [_folding.evaluate(graph, graph.names.index(name)) for name in ('one', 'other', 'rank')]
    assert [value.tolist() for value in values] == [[-2, -4], [[-2], [-4]], [[-1], [-3]]]
    assert _folding.evaluate(graph, graph.names.index('none')) is None
    plain, used = _rules.apply(graph, ['constant values'])
    assert not used  # they have several outputs, and a Const has one


def test_a_chain_is_worked_out_to_a_depth():
    def folded(length):
        made = Made().const('n0', 1, np.int32)
        for index in range(length):
            made.node('n%d' % (index + 1), 'Neg', ['n%d' % index], T=INT32)
        return _folding.evaluate(graphs.graph_of(made.graph_def, ['n%d' % length]), length)
    assert folded(40) == 1 and folded(42) is None


@pytest.mark.parametrize('op, attrs', [('Fill', dict(T=INT32)), ('Tile', dict(T=INT32, Tmultiples=INT32))])
def test_a_value_that_grows_beyond_what_is_worth_it_is_not_made(op, attrs):
    def made(count):
        return Made().const('a', [count], np.int32).const('b', [5], np.int32).const('c', 5, np.int32).node(
            'value', op, ['a', 'c'] if op == 'Fill' else ['b', 'a'], **attrs)
    assert _folding.evaluate(graphs.graph_of(made(_folding.MOST).graph_def, ['value']), 3).size == _folding.MOST
    assert _folding.evaluate(graphs.graph_of(made(_folding.MOST + 1).graph_def, ['value']), 3) is None
