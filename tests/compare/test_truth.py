"""Causes need evidence: revisions of the OD API, pairs of nodes that look alike, and weights in fewer bits."""
import numpy as np
import pytest

from od_patch.compare import _alignment
from od_patch.compare import _hashing
from od_patch.compare import _provenance
from od_patch.compare import _rules
from od_patch.compare import _storage
from od_patch.compare import _transforms
from od_patch.compare import _verdict
from tests.compare import graphs
from tests.compare import tools
from tests.compare.test_soundness_graph import FLOAT, judged, made, placeholder, row

pytest.importorskip('tensorflow')


def names(*found):
    """A graph of nodes (name, op) for what looks at names alone."""
    graph = graphs.graph_of(made(placeholder('x')))
    for name, op in found:
        graph.add(op, [], {}, name=name)
    return graph


SHARED = [('Postprocessor/a{}'.format(index), 'Add') for index in range(20)]
OLD = [('Postprocessor/ToFloat', 'Cast'), ('Postprocessor/ToFloat_1', 'Cast')]
NEW = [('Postprocessor/Cast', 'Cast'), ('Postprocessor/Cast_1', 'Cast')]


@pytest.mark.parametrize('left, right, tools_left, told', [
    (OLD, NEW, [], True),  # other Python code called them, on both sides
    (OLD, [], [], False),  # nodes are gone: cut, or pruned
    (OLD, [('Postprocessor/n1', 'Cast'), ('Postprocessor/n2', 'Cast')], [], False),  # somebody renamed them
    (OLD, [('Cast', 'Cast'), ('Cast_1', 'Cast')], [], False),  # put before the graph by whoever feeds it
    (OLD, [('new/Cast', 'Cast'), ('new/Cast_1', 'Cast')], [], False),  # in a scope of their own
    (OLD, NEW[:1], [], False),  # one is no evidence
    (OLD, NEW, ['Grappler\'s remapper'], False),  # a tool was at work, and it may have done this
])
def test_two_revisions_are_told_by_names_that_python_code_gives_on_both_sides(left, right, tools_left, told):
    originals = [names(*SHARED + left), names(*SHARED + right)]
    readings = [type('Reading', (), {'last_stage': ()})] * 2
    assert _provenance.two_revisions(originals, originals, readings, [tools_left, []]) == told


def test_a_graph_whose_names_are_all_others_is_no_other_revision():
    originals = [names(*SHARED + OLD), names(*[('Postprocessor/b' + name, op) for name, op in SHARED] + NEW)]
    readings = [type('Reading', (), {'last_stage': ()})] * 2
    assert not _provenance.two_revisions(originals, originals, readings, [[], []])


@pytest.mark.parametrize('name, op, tool', [
    ('a/ConstantFolding/b_recip', 'Const', 'constant folding'), ('a/ArithmeticOptimizer/b', 'AddN', 'arithmetic'),
    ('a/__cf__3', 'Const', 'fold_constants'), ('w_bn_offset', 'Const', 'fold_batch_norms'),
    ('w_quantized_min', 'Const', 'quantize_weights'), ('a_eightbit/b/min', 'Min', 'quantize_nodes'),
    ('a__print__', 'Print', 'insert_logging'), ('a', 'Concat', 'backport_concatv2'), ('a', 'TensorArrayV2',
                                                                                     'backport_tensor_array_v3'),
    ('bn/VarPlusEpsilon', 'Add', 'remapper'), ('a/Assert_1', 'NoOp', 'debug stripper')])
def test_tools_are_told_by_what_they_leave(name, op, tool):
    found = _transforms.tools(names((name, op)))
    assert len(found) == 1 and tool in found[0]
    assert not _transforms.tools(names((name.replace('_', 'x').replace('/', 'x').replace('Conc', 'c'), 'Add')))


def test_a_changed_output_of_one_export_names_no_revision(tmp_path):
    """An output that only one graph has may be cut as well as not written yet."""
    graph_def = graphs.detector()
    extra = graph_def.node.add(name='raw_detection_boxes', op='Identity', input=['detection_boxes'])
    extra.attr['T'].type = FLOAT
    paths = [graphs.write(tmp_path / name, made) for name, made in (('a.pb', graphs.detector()), ('b.pb', graph_def))]
    cause, = _verdict.compare(*paths).causes
    assert cause.kind == 'outputs' and 'raw_detection_boxes' in cause.title and cause.revision == ''


def quantized(low, high, count=9, mode=b'MIN_FIRST'):
    graph_def = made(placeholder('x'), row('low', 'Const', value=low), row('high', 'Const', value=high),
                     row('w', 'Dequantize', 'q', 'low', 'high', T=12, mode=mode), row('out', 'Mul', 'x', 'w'))
    const = graph_def.node.add(name='q', op='Const')
    const.attr['dtype'].type = const.attr['value'].tensor.dtype = 12
    const.attr['value'].tensor.tensor_shape.dim.add(size=count)
    const.attr['value'].tensor.tensor_content = bytes(range(0, 256, 256 // count))[:count]
    return graph_def


def test_eight_bits_are_turned_back_as_tensorflow_does():
    graph_def = quantized(-1.5, 3.0)
    found = _storage.decoded(graphs.graph_of(graph_def, ['out']))
    (node, storage), = found.stored.items()
    values, = graphs.run(graph_def, ['w'], {})
    assert storage.how == 'in 8 bits' and storage.step == pytest.approx(4.5 / 255)
    assert np.abs(found.graph.tensors[node].array() - values).max() < 1e-6
    assert found.graph.ops[node] == 'Const' and not found.graph.inputs[node]


@pytest.mark.parametrize('graph_def, stored', [
    (quantized(-1., 1., mode=b'SCALED'), 0),  # another formula: not turned back
    (quantized(-1., 1., mode=b'MIN_COMBINED'), 1), (quantized(-1., 1.), 1)])
def test_only_known_formulas_are_turned_back(graph_def, stored):
    assert len(_storage.decoded(graphs.graph_of(graph_def, ['out'])).stored) == stored


def test_what_is_stored_in_fewer_bits_is_checked_by_storing_again():
    step = _storage.Storage('in 8 bits', 0.1, [])
    assert _storage.within(step, [0., 1.], [0.1, 0.9]) and not _storage.within(step, [0., 1.], [0.0, 1.11])
    rounded = _storage.Storage('in half precision', 0., [])
    values = np.float32([.1, 1000.1, 3e-6])
    assert _storage.within(rounded, values.astype('f2'), values)
    assert not _storage.within(rounded, values.astype('f2'), values * np.float32(1.001))
    assert not _storage.within(step, [0.], [0., 0.])


def loops(factors, swap=False):
    """Loops that look alike but for a factor, one beside the other."""
    rows = [placeholder('x')]
    order = list(enumerate(factors))
    for index, factor in (order[::-1] if swap else order):
        p = 'l{}/'.format(index)
        loop = dict(T=FLOAT, frame_name=p.encode(), parallel_iterations=10)
        rows += [row(p + 'e', 'Enter', 'x', **loop), row(p + 'm', 'Merge', p + 'e', p + 'n', T=FLOAT, N=2),
                 row(p + 'nine', 'Const', '^' + p + 'm', value=9.), row(p + 'less', 'Less', p + 'm', p + 'nine'),
                 row(p + 'cond', 'LoopCond', p + 'less'), row(p + 's', 'Switch', p + 'm', p + 'cond'),
                 row(p + 'id', 'Identity', p + 's:1'), row(p + 'k', 'Const', '^' + p + 'id', value=factor),
                 row(p + 'mul', 'Mul', p + 's:1', p + 'k'), row(p + 'n', 'NextIteration', p + 'mul'),
                 row(p + 'exit', 'Exit', p + 's')]
    rows.append(row('out', 'Sub', 'l0/exit', 'l1/exit'))
    return made(*rows)


def test_what_was_picked_among_several_alike_is_no_known_difference(tmp_path):
    paths = [graphs.write(tmp_path / name, made) for name, made in (
        ('a.pb', loops([2., 3.])), ('b.pb', loops([2., 4.])))]
    answer = _verdict.compare(*paths)
    assert answer.verdict == 'same weights, different graph'
    for cause in answer.causes:
        assert 'frame_name' not in cause.title
        if cause.kind in ('constant', 'attribute', 'rewired'):
            assert cause.effect == 'unknown' and 'which of several like it' in cause.title


def test_the_name_of_a_frame_is_never_what_changes_the_result(tmp_path):
    def framed(frame, constant):
        graph_def = loops([2., 3.])
        for node in graph_def.node:
            if node.op == 'Enter':
                node.attr['frame_name'].s = frame + node.attr['frame_name'].s
                node.attr['is_constant'].b = constant and node.name.startswith('l1')
        return graph_def
    answer = _verdict.compare(graphs.write(tmp_path / 'a.pb', framed(b'map_1/', False)),
                              graphs.write(tmp_path / 'b.pb', framed(b'map_2/', True)))
    assert [cause.title for cause in answer.causes] == ['is_constant False → True of Enter']


def test_concat_is_concat_v2_and_minimum_of_relu_and_six_is_relu6_only():
    def concat(op, axis):
        order = ('axis', 'x', 'y') if op == 'Concat' else ('x', 'y', 'axis')
        graph_def = made(placeholder('x'), placeholder('y'), row('axis', 'Const', value=axis),
                         row('out', op, *order, T=FLOAT, N=2))
        return graph_def
    assert judged(concat('Concat', 1), concat('ConcatV2', 1)).equal
    assert not judged(concat('Concat', 1), concat('ConcatV2', 0)).equal

    def relu(six, op='Minimum', inner='Relu', kind=FLOAT):
        return made(row('x', 'Placeholder', dtype=kind), row('six', 'Const', value=six),
                    row('relu', inner, 'x', T=kind), row('out', op, 'relu', 'six', T=kind))
    relu6 = made(placeholder('x'), row('out', 'Relu6', 'x'))
    assert judged(relu(6.), relu6).equal
    for other in (relu(5.), relu(6., 'Maximum'), relu(6., inner='Abs'), relu([6.]), relu([6., 6.])):
        assert not judged(other, relu6).equal
    integers = made(row('x', 'Placeholder', dtype=3), row('out', 'Relu6', 'x', T=3))
    assert not judged(relu(6, kind=3), integers).equal  # integers have no NaN, but nobody looked


@pytest.mark.parametrize('dtype, kind', [(FLOAT, 'f4'), (2, 'f8'), (19, 'f2')])
def test_relu6_spelt_out_has_the_bits_of_relu6(dtype, kind):
    """NaN and -0 among them, in whole vectors of the processor and alone."""
    edges = np.array([np.nan, -np.nan, np.inf, -np.inf, -0., 0., 6., 7., -1., 3., 1e-7, np.nextafter(np.array(6, kind),
                                                                                                  np.inf)], kind)
    graph_def = made(row('x', 'Placeholder', dtype=dtype), row('six', 'Const', value=np.array(6, kind)),
                     row('relu', 'Relu', 'x', T=dtype), row('spelt', 'Minimum', 'relu', 'six', T=dtype),
                     row('fused', 'Relu6', 'x', T=dtype))
    for fed in [np.repeat(edges, 5)] + [edges[index:index + 1] for index in range(len(edges))]:
        spelt, fused = graphs.run(graph_def, ['spelt', 'fused'], {'x': fed})
        assert spelt.tobytes() == fused.tobytes(), fed


def test_weights_are_never_paired_by_their_shape_alone():
    """Two filters of one shape, of which the other graph has one, in a place that is another's."""
    def build(*weights):
        def make(tf):
            x = tf.placeholder(tf.float32, [1, 4, 4, 3], name='x')
            for index, value in enumerate(weights):
                x = tf.nn.conv2d(x, tf.identity(tf.constant(np.full((1, 1, 3, 3), value, 'f4'), name='w%d' % index)),
                                 [1, 1, 1, 1], 'SAME')
                x = tf.nn.relu(x) if index % 2 else tf.nn.sigmoid(x)
            return x
        return graphs.graph_of(graphs.built(make), ['result'])
    one, other = ((_rules.apply(graph, _rules.NAMES)[0]) for graph in (build(1., 2.), build(1., 2., 5., 7.)))
    weights = [[node for node in range(len(graph)) if graph.tensors[node] is not None and graph.tensors[node].size == 9
                and node in set(graph.final_order())] for graph in (one, other)]
    alignment = _alignment.Alignment(one, other, weights)
    consumers = one.consumers()
    for node in weights[0]:
        partner = alignment.pairs.get(node)
        if partner is not None:
            reader = consumers[node][0][0]
            assert alignment.pairs.get(reader) in [user for user, _ in other.consumers()[partner]]
    assert _hashing.equal(one, one)[0]


@tools.NEEDS_TRANSFORMS
def test_the_inputs_of_two_ops_at_one_place_are_no_partners(tmp_path):
    """A bias is not what became of a gamma because both have as many elements."""
    paths = [graphs.write(tmp_path / 'a.pb', tools.network()), graphs.write(
        tmp_path / 'b.pb', tools.transforms(tools.FOLD, 'fold_old_batch_norms')(tools.network(), 'image', ['out']))]
    answer = _verdict.compare(*paths)
    assert not answer.differences
    told = [(answer.graphs[0].names[pair.left], answer.graphs[1].names[pair.right])
            for pair in answer.weights.differing]
    assert not any('gamma' in one and 'offset' in other for one, other in told)


def test_a_pair_that_names_contradict_is_no_changed_constant(tmp_path):
    """What stands in one place may be what the other graph has in another place, unchanged."""
    def build(first, second):
        dims = {'a': 2, 'b': 0, 'c': 1}
        rows = [placeholder('x')]
        for name in (first, second):
            rows += [row(name + '/dim', 'Const', value=dims[name]), row(name, 'ExpandDims', 'x', name + '/dim'),
                     row(name + '/sum', 'Sigmoid', name)]
        return made(*rows + [row('out', 'Sub', first + '/sum', second + '/sum')])
    for one, other in ((('a', 'b'), ('b', 'c')), (('b', 'c'), ('a', 'b'))):
        answer = _verdict.compare(*[graphs.write(tmp_path / name, build(*given))
                                    for name, given in (('one.pb', one), ('other.pb', other))])
        assert answer.verdict == 'same weights, different graph'
        assert 'constant' not in [cause.kind for cause in answer.causes], [cause.title for cause in answer.causes]
    changed = build('a', 'b')
    for node in changed.node:
        if node.name == 'a/dim':
            node.attr['value'].tensor.int_val[:] = [1]
    answer = _verdict.compare(graphs.write(tmp_path / 'one.pb', build('a', 'b')),
                              graphs.write(tmp_path / 'other.pb', changed))
    assert [cause.title for cause in answer.causes] == ['constant 2 → 1, input 1 of ExpandDims']


def test_a_constant_that_waits_for_other_nodes_is_no_changed_constant(tmp_path):
    def build(checks):
        def make(tf):
            x = tf.placeholder(tf.float32, [None, None, 3], name='x')
            x = tf.cond(tf.greater(tf.shape(x)[1], 5), lambda: x * 2., lambda: x + 1.)  # so that what is waited for tells
            with tf.control_dependencies([tf.Assert(tf.greater(tf.shape(x)[axis], 0), ['x']) for axis in range(checks)]):
                return tf.concat([x, x], 2)
        return graphs.built(make)
    paths = [graphs.write(tmp_path / name, build(checks)) for name, checks in (('one.pb', 1), ('two.pb', 2))]
    answer = _verdict.compare(*paths)
    assert answer.verdict == 'same weights, different graph'
    assert [(cause.kind, cause.effect) for cause in answer.causes] == [('asserts', 'cosmetic')]


def test_an_output_that_somebody_took_away_dates_no_graph(tmp_path):
    """Tools are told of some outputs, and leave out the others: then only what is there tells."""
    graph_def = graphs.detector()
    graph_def.node.add(name='detection_multiclass_scores', op='Identity', input=['detection_scores']).attr['T'].type = FLOAT
    answer = _verdict.compare(*[graphs.write(tmp_path / name, graph_def) for name in ('one.pb', 'other.pb')])
    assert answer.provenance[0].od_api == ('2019-05-30 (9bbf8015)', '')
    answer = _verdict.compare(*[graphs.write(tmp_path / name, graphs.detector()) for name in ('one.pb', 'other.pb')])
    assert answer.provenance[0].od_api[1] == '2019-03-06 (before 05584085)'
