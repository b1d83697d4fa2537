"""What ``--target_tf`` does to a graph, on small ones written by hand: they need no TensorFlow of their time."""
import hypothesis
import hypothesis.strategies
import numpy as np
import pytest

import od_patch
from od_patch.graphs import _op_table
from od_patch.saved_model import _lowering

pytest.importorskip('tensorflow')

from tensorflow.core.framework import attr_value_pb2  # noqa: E402
from tensorflow.core.framework import graph_pb2  # noqa: E402
from tensorflow.core.framework import types_pb2  # noqa: E402

from od_patch import _tensorflow  # noqa: E402
from tests.support import parity  # noqa: E402

_FLOAT, _HALF, _INT32 = types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_INT32
_RELEASES, _OPS = _op_table.table()


def _attr(value):
    """Returns an ``AttrValue``; a number that is meant as a type is given as ('type', number)."""
    if isinstance(value, tuple):
        return attr_value_pb2.AttrValue(type=value[1])
    if isinstance(value, bool):
        return attr_value_pb2.AttrValue(b=value)
    if isinstance(value, float):
        return attr_value_pb2.AttrValue(f=value)
    if isinstance(value, bytes):
        return attr_value_pb2.AttrValue(s=value)
    if isinstance(value, int):
        return attr_value_pb2.AttrValue(i=value)
    return attr_value_pb2.AttrValue(tensor=_tensorflow.tf1().make_tensor_proto(value))


def _add(graph_def, name, op, inputs=(), **attrs):
    """Adds a node to a ``GraphDef`` or to a function of one; returns it."""
    nodes = getattr(graph_def, 'node', None)
    node = (graph_def.node_def if nodes is None else nodes).add(name=name, op=op, input=inputs)
    for key, value in attrs.items():
        node.attr[key].CopyFrom(_attr(value))
    return node


def _constant(graph_def, name, value, inputs=()):
    dtype = _tensorflow.tf1().as_dtype(value.dtype).as_datatype_enum
    return _add(graph_def, name, 'Const', inputs, dtype=('type', dtype), value=value)


def _input(graph_def, name, dtype=_FLOAT):
    return _add(graph_def, name, 'Placeholder', dtype=('type', dtype))


def _sum(graph_def, name='sum'):
    for letter in 'ab':
        _input(graph_def, letter + name)
    return _add(graph_def, name, 'AddV2', ['a' + name, 'b' + name], T=('type', _FLOAT))


def _batch_norm(graph_def, name='norm', read=0, **attrs):
    """Adds a batch norm, one of whose outputs is read."""
    for part in ('x', 'scale', 'offset', 'mean', 'variance'):
        _input(graph_def, name + '/' + part)
    attrs = dict(dict(T=('type', _FLOAT), U=('type', _FLOAT), is_training=False, epsilon=0.25), **attrs)
    node = _add(graph_def, name, 'FusedBatchNormV3',
                [name + '/' + part for part in ('x', 'scale', 'offset', 'mean', 'variance')], **attrs)
    _add(graph_def, name + '/read', 'Identity', ['{}:{}'.format(name, read) if read else name], T=('type', _FLOAT))
    return node


_BOXES = np.array([[0, 0, 1, 1], [0, 0, 1, .9], [2, 2, 3, 3], [5, 5, 6, 6]], np.float32)
_SCORES = np.array([.5, .75, .25, .125], np.float32)


def _suppression(graph_def, name='nms', sigma=0.0, read=(0, 1, 2), control=(), sigma_as=None, **attrs):
    """Adds a non-maximum suppression, some of whose outputs are read; of four boxes, numbers 1, 2 and 3 are left."""
    _input(graph_def, name + '/boxes')
    _input(graph_def, name + '/scores')
    for part, value in (('most', np.int32(9)), ('iou', np.float32(.5)), ('least', np.float32(.1))):
        _constant(graph_def, name + '/' + part, value)
    if sigma is None:
        _input(graph_def, name + '/sigma')
    else:
        _constant(graph_def, name + '/sigma', np.float32(sigma), control)
    node = _add(graph_def, name, 'NonMaxSuppressionV5',
                [name + '/' + part for part in ('boxes', 'scores', 'most', 'iou', 'least')] +
                [sigma_as or name + '/sigma'] + list(control),
                **dict(dict(T=('type', _FLOAT)), **attrs))
    for output in read:
        dtype = _FLOAT if output == 1 else _INT32
        _add(graph_def, '{}/read_{}'.format(name, output), 'Identity',
             ['{}:{}'.format(name, output) if output else name], T=('type', dtype))
    return node


def _nodes(graph_def):
    return {node.name: node for node in graph_def.node}


def _refusal(graph_def, version):
    with pytest.raises(od_patch.EnvironmentRefused) as refusal:
        _lowering.lower(graph_def, version)
    return refusal.value


# Each rule: what makes a node of it, the earlier op, and a release for each side of where either op came.
_RULES = [
    (_sum, 'AddV2', 'Add', '1.4', '1.5', None),
    (_batch_norm, 'FusedBatchNormV3', 'FusedBatchNormV2', '1.13', '1.14', None),
    (_suppression, 'NonMaxSuppressionV5', 'NonMaxSuppressionV3', '1.14', '1.15', '1.8'),
]


@pytest.mark.parametrize('make, new, old, before, since, too_early', _RULES)
def test_an_op_is_put_back_for_a_release_that_lacks_it_and_no_other(make, new, old, before, since, too_early):
    graph_def = graph_pb2.GraphDef()
    node = make(graph_def)
    name, control = node.name, '^' + node.name
    _add(graph_def, 'behind', 'NoOp', [control])
    kept = graph_pb2.GraphDef.FromString(graph_def.SerializeToString())
    assert _lowering.lower(kept, since) == [] and kept == graph_def
    assert _lowering.lower(graph_def, before) == ['{} → {} (1)'.format(new, old)]
    assert _nodes(graph_def)[name].op == old and list(_nodes(graph_def)['behind'].input) == [control]
    if too_early:  # the earlier op is not there yet
        kept.node[-1].input[:] = []
        message = str(_refusal(kept, too_early))
        assert 'the op {} ({}; since {}'.format(new, name, since) in message and old not in message


def test_sums_keep_their_inputs_and_their_type():
    graph_def = graph_pb2.GraphDef()
    node = _sum(graph_def)
    node.attr['T'].type = _HALF
    assert _lowering.lower(graph_def, '1.4') == ['AddV2 → Add (1)']
    node = _nodes(graph_def)['sum']
    assert (node.op, list(node.input), node.attr['T'].type) == ('Add', ['asum', 'bsum'], _HALF)


def test_what_was_put_back_is_counted_by_op():
    graph_def = graph_pb2.GraphDef()
    _batch_norm(graph_def, 'one')
    _sum(graph_def, 'first')
    _batch_norm(graph_def, 'other')
    assert _lowering.lower(graph_def, '1.4') == ['AddV2 → Add (1)', 'FusedBatchNormV3 → FusedBatchNormV2 (2)']


@pytest.mark.parametrize('read', range(6))
def test_a_batch_norm_is_put_back_unless_its_sixth_output_is_used(read):
    graph_def = graph_pb2.GraphDef()
    _batch_norm(graph_def, read=read, exponential_avg_factor=1.0)
    _batch_norm(graph_def, 'norm/nested', read=0)
    if read == 5:  # the earlier op has five
        refused = _refusal(graph_def, '1.12')
        assert 'the op FusedBatchNormV3 (norm, its sixth output is used; since 1.14' in refused.problem
        return
    _lowering.lower(graph_def, '1.12')
    norm = _nodes(graph_def)['norm']
    assert (norm.op, norm.attr['epsilon'].f) == ('FusedBatchNormV2', .25)
    assert 'exponential_avg_factor' not in norm.attr
    assert list(norm.input) == ['norm/x', 'norm/scale', 'norm/offset', 'norm/mean', 'norm/variance']
    assert list(_nodes(graph_def)['norm/read'].input) == ['norm:{}'.format(read) if read else 'norm']


def test_a_batch_norm_that_trains_is_refused():
    graph_def = graph_pb2.GraphDef()
    _batch_norm(graph_def, is_training=True)
    assert 'the op FusedBatchNormV3 (norm, it trains; since 1.14' in _refusal(graph_def, '1.12').problem


def test_a_factor_that_inference_does_not_look_at_keeps_no_batch_norm_from_being_put_back():
    graph_def = graph_pb2.GraphDef()
    _batch_norm(graph_def, exponential_avg_factor=.125)
    assert _lowering.lower(graph_def, '1.12') == ['FusedBatchNormV3 → FusedBatchNormV2 (1)']


_SOFT = 'which computes soft non-maximum suppression: earlier ops cannot'


@pytest.mark.parametrize('attrs, why_not', [
    ({}, None), ({'pad_to_max_output_size': False}, None), ({'pad_to_max_output_size': True}, 'its output is padded'),
    ({'sigma_as': 'nms/sigma:0'}, None), ({'sigma': .5}, _SOFT), ({'sigma': -1.0}, _SOFT), ({'sigma': 1e-9}, _SOFT),
    ({'sigma': None}, _SOFT)])
def test_a_suppression_is_put_back_where_the_earlier_op_does_the_same(attrs, why_not):
    graph_def = graph_pb2.GraphDef()
    _suppression(graph_def, **attrs)
    if why_not:
        assert 'the op NonMaxSuppressionV5 (nms, {}; since 1.15'.format(why_not) in _refusal(graph_def, '1.12').problem
        return
    _lowering.lower(graph_def, '1.12')
    node = _nodes(graph_def)['nms']
    assert node.op == 'NonMaxSuppressionV3' and 'pad_to_max_output_size' not in node.attr
    assert list(node.input) == ['nms/boxes', 'nms/scores', 'nms/most', 'nms/iou', 'nms/least']


@pytest.mark.parametrize('dtype', [_FLOAT, None])
@pytest.mark.parametrize('read', [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_the_outputs_that_the_earlier_suppression_lacks_are_computed_where_they_are_read(read, dtype):
    tf = _tensorflow.tf1()
    graph_def = graph_pb2.GraphDef()
    _suppression(graph_def, 'first', read=read)
    _suppression(graph_def, 'second', read=())  # whose outputs nobody reads
    if dtype is None:  # an attribute of default value, which is left out
        for node in graph_def.node:
            if node.op == 'NonMaxSuppressionV5':
                del node.attr['T']
    before = set(_nodes(graph_def))
    _lowering.lower(graph_def, '1.12')
    added = sorted(_nodes(graph_def)[name].op for name in set(_nodes(graph_def)) - before)
    assert added == (['Const', 'GatherV2'] if 1 in read else []) + (['Size'] if 2 in read else [])
    expected = {0: np.array([1, 2, 3], np.int32), 1: _SCORES[1:], 2: np.int32(3)}
    with tf.Graph().as_default(), tf.Session(config=parity.unoptimized_config()) as session:
        tf.import_graph_def(graph_def, name='')
        for output in read:
            found = session.run('first/read_{}:0'.format(output),
                                {'first/boxes:0': _BOXES, 'first/scores:0': _SCORES})
            assert found.dtype == expected[output].dtype and np.array_equal(found, expected[output]), output


def test_scores_of_half_precision_stay_so():
    graph_def = graph_pb2.GraphDef()
    _suppression(graph_def, read=(1,), T=('type', _HALF))
    _lowering.lower(graph_def, '1.14')
    gather, = [node for node in graph_def.node if node.op == 'GatherV2']
    assert gather.attr['Tparams'].type == _HALF


def test_what_is_added_waits_for_what_the_suppression_waits_for():
    """Inside a loop, a constant without that would be outside of it."""
    graph_def = graph_pb2.GraphDef()
    _input(graph_def, 'loop')
    _suppression(graph_def, control=['^loop'], sigma=0.0)
    assert _lowering.lower(graph_def, '1.12')
    axis, = [node for node in graph_def.node if node.name.startswith('nms/axis')]
    assert list(axis.input) == ['^loop']
    assert list(_nodes(graph_def)['nms'].input)[-1] == '^loop' and 'nms/sigma' not in _nodes(graph_def)['nms'].input


def test_names_that_are_taken_are_not_taken_twice():
    graph_def = graph_pb2.GraphDef()
    for name in ('nms/axis', 'nms/axis_', 'nms/selected_scores', 'nms/valid_outputs'):
        _input(graph_def, name)
    _suppression(graph_def)
    _lowering.lower(graph_def, '1.12')
    names = [node.name for node in graph_def.node]
    assert len(names) == len(set(names))
    with _tensorflow.tf1().Graph().as_default():
        _tensorflow.tf1().import_graph_def(graph_def, name='')


# (op, attribute, its default, another value, the release that it came with)
_ATTRIBUTES = [
    ('ResizeBilinear', 'half_pixel_centers', False, True, '1.14'),
    ('GatherV2', 'batch_dims', 0, 1, '1.14'),
    ('Cast', 'Truncate', False, True, '1.11'),
    ('MatMul', 'grad_a', False, True, '2.16'),
]


@pytest.mark.parametrize('in_a_function', [False, True])
@pytest.mark.parametrize('op, name, default, other, since', _ATTRIBUTES)
def test_an_attribute_that_a_release_lacks_goes_where_it_has_its_default_value(
        op, name, default, other, since, in_a_function):
    earlier = _RELEASES[_lowering.release_of(since) - 1]

    def graph_with(value):
        graph_def = graph_pb2.GraphDef()
        place = graph_def.library.function.add() if in_a_function else graph_def
        return graph_def, _add(place, 'node', op, **{name: value, '_of_somebody': 1, 'T': ('type', _FLOAT)})

    for value in (default, other):
        graph_def, node = graph_with(value)
        assert _lowering.lower(graph_def, since) == [] and node.attr[name] == _attr(value)
    graph_def, node = graph_with(default)
    assert _lowering.lower(graph_def, earlier) == []
    assert name not in node.attr and {'_of_somebody', 'T'} <= set(node.attr)
    graph_def, node = graph_with(other)
    refused = _refusal(graph_def, earlier)
    assert '{} of the op {} (node; since {}'.format(name, op, since) in refused.problem
    assert 'TensorFlow {} lacks what this model needs'.format(earlier) in refused.problem
    assert 'Give a later --target_tf' in refused.remedy and refused.exit_code == 3


def test_an_attribute_that_no_release_has_is_somebodys_own_and_stays():
    graph_def = graph_pb2.GraphDef()
    node = _add(graph_def, 'node', 'MatMul', _of_somebody=1)
    assert _lowering.lower(graph_def, '1.4') == [] and list(node.attr) == ['_of_somebody']


def test_everything_that_a_release_lacks_is_named_once_by_the_first_node():
    graph_def = graph_pb2.GraphDef()
    for name in ('one', 'other'):
        _batch_norm(graph_def, name, read=5)
        _add(graph_def, name + '_resized', 'ResizeBilinear', half_pixel_centers=True)
    _add(graph_def, 'mine', 'OpOfNobody')
    _add(graph_def.library.function.add(), 'inner', 'AddV2')  # a function of the graph is not changed
    lines = _refusal(graph_def, '1.4').problem.splitlines()
    assert lines == ['TensorFlow 1.4.1 lacks what this model needs:',
                     '  - half_pixel_centers of the op ResizeBilinear (one_resized; since 1.14.0)',
                     '  - the op AddV2 (inner; since 1.5.0)',
                     '  - the op FusedBatchNormV3 (one, its sixth output is used; since 1.14.0)',
                     '  - the op OpOfNobody (mine; since a later one)']


@pytest.mark.parametrize('version, release', [
    ('1.12', '1.12.0'), ('1.12.0', '1.12.0'), ('1.12.3', '1.12.0'), ('1.4', '1.4.1'), ('1.10', '1.10.0'),
    ('2.1', '2.1.0'), ('2.10', '2.10.0'), ('2.21', '2.21.0')] + [(release, release) for release in _RELEASES])
def test_a_release_is_known_by_its_first_two_numbers(version, release):
    assert _lowering.releases()[_lowering.release_of(version)] == release


@pytest.mark.parametrize('version', ['1', '1.1', '1.99', '2.', '', '1.120', 'latest', '21.0'])
def test_what_is_no_release_is_refused_with_those_that_are(version):
    with pytest.raises(od_patch.UsageError) as refusal:
        _lowering.lower(graph_pb2.GraphDef(), version)
    assert '--target_tf={} is no release'.format(version) in refusal.value.problem
    assert 'from 1.4 to 2.21,' in refusal.value.remedy


@hypothesis.settings(deadline=None)
@hypothesis.given(
    hypothesis.strategies.sampled_from(_RELEASES),
    hypothesis.strategies.lists(hypothesis.strategies.one_of(
        hypothesis.strategies.tuples(hypothesis.strategies.just(_sum)),
        hypothesis.strategies.tuples(hypothesis.strategies.just(_batch_norm), hypothesis.strategies.integers(0, 5)),
        hypothesis.strategies.tuples(hypothesis.strategies.just(_suppression),
                                     hypothesis.strategies.sampled_from([0.0, .5]))), max_size=4))
def test_what_comes_out_has_nothing_that_the_release_lacks_or_is_refused(release, parts):
    graph_def = graph_pb2.GraphDef()
    for number, part in enumerate(parts):
        options = dict(zip(['read' if part[0] is _batch_norm else 'sigma'], part[1:]))
        part[0](graph_def, 'part_{}'.format(number), **options)
    target = _lowering.release_of(release)
    has_all = all(_OPS[node.op].since <= target for node in graph_def.node)
    before = graph_pb2.GraphDef.FromString(graph_def.SerializeToString())
    impossible = any(part[1:] in ((5,), (.5,)) for part in parts)
    try:
        done = _lowering.lower(graph_def, release)
    except od_patch.EnvironmentRefused:
        assert not has_all and (impossible or target < _OPS['NonMaxSuppressionV3'].since)
        return
    assert bool(done) == (not has_all)
    for node in graph_def.node:
        assert _OPS[node.op].since <= target, node.op
        assert all(_OPS[node.op].attrs[name][0] <= target for name in node.attr), node
    names = {node.name for node in graph_def.node}
    assert len(names) == len(graph_def.node) and {node.name for node in before.node} <= names
    assert all(name.lstrip('^').split(':')[0] in names for node in graph_def.node for name in node.input)
    again = graph_pb2.GraphDef.FromString(graph_def.SerializeToString())
    assert _lowering.lower(again, release) == [] and again == graph_def
