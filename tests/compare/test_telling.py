"""What compare says of two graphs: verdicts, causes, settings, what running shows, and how it is written down."""
import json
import math

import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch.compare import _cause  # noqa: E402
from od_patch.compare import _causes  # noqa: E402
from od_patch.compare import _page  # noqa: E402
from od_patch.regenerate import _installed  # noqa: E402
from od_patch.compare import _report  # noqa: E402
from od_patch.compare import _run  # noqa: E402
from od_patch.compare import _settings  # noqa: E402
from od_patch.compare import _storage  # noqa: E402
from od_patch.compare import _transforms  # noqa: E402
from od_patch.compare import _verdict  # noqa: E402
from od_patch.graphs import _tensors  # noqa: E402
from od_patch.terminal import _json  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.written import FLOAT, INT32, Made  # noqa: E402

pytestmark = pytest.mark.once


def compare(tmp_path, one, other, outputs=None):
    paths = [graphs.write(tmp_path / name, made.graph_def) for name, made in (('a.pb', one), ('b.pb', other))]
    return _verdict.compare(paths[0], paths[1], outputs)


# verdicts -------------------------------------------------------------------------------------------------------------

def multiply(made, name, weights, value, last):
    """Adds a MatMul by weights of any shape: what it multiplies is of a shape that is only known when it is run."""
    made.const(weights, value).node(weights + '/read', 'Identity', [weights], T=FLOAT)
    made.node(name + '/open', 'Reshape', [last, 'shape'], T=FLOAT, Tshape=INT32)
    return made.node(name, 'MatMul', [name + '/open', weights + '/read'], T=FLOAT)


def layers(*weights, **more):
    """x through a MatMul for each of the weights, which are named by their place."""
    made = Made().placeholder('x').placeholder('shape', INT32)
    last = 'x'
    for index, value in enumerate(weights):
        multiply(made, 'y%d' % index, 'scope{}/w'.format(index), value, last)
        last = 'y%d' % index
    return made.node(more.get('out', 'out'), more.get('op', 'Neg'), [last], T=FLOAT)


A, B, C = [[1., 2.]], [[3., 4.]], [[5., 6.]]


@pytest.mark.parametrize('one, other, verdict, words', [
    ([A, B], [A, B], 'identical', 'node by node'),
    ([A, B], [A, C], 'different weights', '1 of 2 weights differ, by 2 at most (scope1/w); the graph around them is '
     'the same.'),
    ([A, B], [A, [[1.], [2.]]], 'different weights', '1 of 2 weights differ; 1 has another shape'),
    ([A, B, C], [A, [[1.]], [[2.]]], 'not comparable', 'of 3 and 3 weights only 1 have a partner of the same shape'),
    ([A, B, C, A], [A, [[1.]], [[2.]], A], 'different weights', '2 of 4 weights differ; 2 have another shape'),
    ([A, B, C], [A, B], 'same weights, different graph', 'All weights that both have agree bit for bit (2), 1 more is '
     'only in the first graph'),
    ([A], [A, B, C], 'same weights, different graph', '2 more are only in the second graph'),
])
def test_a_verdict_of_weights(one, other, verdict, words, tmp_path):
    answer = compare(tmp_path, layers(*one), layers(*other), ['out'])
    assert answer.verdict == verdict and words in answer.reason, answer.reason
    assert answer.exit_code == (0 if verdict == 'identical' else 1)


def test_graphs_with_other_ops_and_the_same_weights(tmp_path):
    answer = compare(tmp_path, layers(A, B), layers(A, B, op='Exp'), ['out'])
    assert answer.verdict == 'same weights, different graph'
    assert answer.reason.startswith('All 2 weights agree bit for bit; ')
    answer = compare(tmp_path, layers(A, B), layers(A, C, op='Exp'), ['out'])
    assert answer.reason.endswith('the graph around them differs too.')
    assert [cause.kind for cause in answer.causes][0] == 'weights'


def test_graphs_with_no_output_or_hardly_a_weight_in_common_are_not_comparable(tmp_path):
    answer = compare(tmp_path, layers(A, out='detection_boxes'), layers(A, out='other'))
    assert answer.verdict != 'identical'
    one, other = layers(A, out='out'), layers([[1., 2., 3.]], B, C, out='out')
    for made in (one, other):
        made.node('num_detections', 'Exp', ['x'], T=FLOAT)
    for index, value in enumerate(([[7., 8., 9., 1.]], [[3.] * 5], [[2.] * 6])):
        multiply(one, 'z%d' % index, 'v%d' % index, value, 'y0' if not index else 'z%d' % (index - 1))
        one.change('out').input[0] = 'z%d' % index
    for index in range(3):  # of other names and shapes
        other.change('scope%d/w' % index).name = 'deep/u%d' % index
        other.change('scope%d/w/read' % index).input[0] = 'deep/u%d' % index
    answer = compare(tmp_path, one, other, ['out'])
    assert answer.verdict == 'not comparable' and answer.reason.startswith('Different models: of 4 and 3 weights only')
    assert answer.causes[0].kind == 'architecture' and '4 and 3 weights' in answer.causes[0].title
    assert not answer.differences


def test_no_output_in_common_is_not_comparable(tmp_path):
    answer = _verdict.compare(*[graphs.write(tmp_path / name, layers(A, out=name).graph_def) for name in (
        'detection_boxes', 'num_detections')])
    assert answer.verdict == 'not comparable'
    assert answer.reason == 'The graphs have no output in common: detection_boxes against num_detections.'


def test_a_head_of_its_own_with_other_weights_is_another_architecture(tmp_path):
    def build(weights, masks):
        made = layers(*weights, out='detection_boxes')
        return made.node('detection_masks', 'Exp', ['y0'], T=FLOAT) if masks else made
    answer = compare(tmp_path, build([A, B], True), build([A, C], False))
    assert answer.verdict == 'not comparable' and answer.reason == (
        'Different architectures: detection_masks only on one side, and the weights differ.')
    answer = compare(tmp_path, build([A, B], True), build([A, B], False))
    assert answer.verdict == 'same weights, different graph'


def test_an_equivalent_answer_says_which_rules_it_took(tmp_path):
    one, other = layers(A), layers(A)
    other.change('out').attr['_hint'].s = b'x'
    answer = compare(tmp_path, one, other, ['out'])
    assert answer.verdict == 'equivalent' and answer.exit_code == 0
    assert answer.reason == 'The same computation, provably: 1 rule was needed.'
    other = layers(A)
    other.change('y0').name = 'z'
    other.change('out').input[0] = 'z'
    assert compare(tmp_path, one, other, ['out']).reason == 'The same computation, provably: only names differ.'


# causes ---------------------------------------------------------------------------------------------------------------

def test_causes_are_ranked_by_what_they_do():
    assert _cause.EFFECTS == ('weights', 'result', 'interface', 'unknown', 'numeric', 'cosmetic')
    assert [_cause.Cause('k', 't', effect).cosmetic for effect in _cause.EFFECTS] == [False] * 5 + [True]
    assert [_cause.Cause('k', 't', 'result', left, right).side for left, right in (
        ((1,), (2,)), ((1,), ()), ((), (2,)), ((), ()))] == ['both', 'left', 'right', 'both']
    assert _cause.Cause('k', 't', 'result', [3, 1, 3]).left == [1, 3]


@pytest.mark.parametrize('value, text', [
    (0.6, '0.6'), (0.1 + 0.2, '0.3'), ([0.5, 2], '[0.5, 2]'), ('x', 'x'), (7, '7')])
def test_a_setting_is_shown_as_a_person_writes_it(value, text):
    assert _causes.show(value) == text


def scope_of(*names):
    made = Made().placeholder('x')
    for name in names:
        made.node(name, 'Neg', ['x'], T=FLOAT)
    graph = graphs.graph_of(made.graph_def, [names[0]])

    class Context:
        left = right = graph
    return _causes.scope(Context, _cause.Cause('k', 't', 'result', range(1, 1 + len(names))))


@pytest.mark.parametrize('names, scope', [
    (('a/b/one', 'a/b/two'), 'a/b'), (('a/b/one', 'a/c/two'), 'a'), (('a/one', 'a/two', 'b/three'), 'a and 1 more'),
    (('one',), 'one'), (('a/b/c/one',), 'a/b/c'), (('a/a/one', 'a/two'), 'a'), (('a/two', 'a/a/one'), 'a')])
def test_a_cause_is_where_its_nodes_have_a_scope_in_common(names, scope):
    assert scope_of(*names) == scope


def test_an_attribute_is_named_with_both_its_values_and_its_default(tmp_path):
    def build(**attrs):
        return Made().placeholder('x').placeholder('y').node('out', 'MatMul', ['x', 'y'], T=FLOAT, **attrs)
    cause, = compare(tmp_path, build(), build(transpose_a=True), ['out']).causes
    assert (cause.kind, cause.title, cause.effect) == ('attribute', 'transpose_a False → True of MatMul', 'result')


def test_what_differs_within_a_loop_is_found_there(tmp_path):
    from tests.compare import test_soundness_graph
    paths = []
    for name, factor in (('a.pb', 2.0), ('b.pb', 3.0)):
        paths.append(graphs.write(tmp_path / name, test_soundness_graph.shifting(factor)))
    cause, = _verdict.compare(paths[0], paths[1], ['out']).causes
    assert (cause.kind, cause.values) == ('constant', ('2', '3'))


def test_a_node_that_reads_another_output_is_named(tmp_path):
    def build(port):
        made = Made().placeholder('x').node('u', 'Unpack', ['x'], T=FLOAT, num=2)
        return made.node('y', 'Neg', ['u:%d' % port], T=FLOAT).node('out', 'Exp', ['y'], T=FLOAT)
    answer = compare(tmp_path, build(0), build(1), ['out'])
    cause, = answer.causes
    assert cause.kind == 'rewired' and answer.names(0, cause.left) == answer.names(1, cause.right) == ['y']


def test_asserts_that_went_are_counted(tmp_path):
    def build(checks):
        made = Made().placeholder('x').check()
        made.node('out', 'Neg', ['x'] + ['^fine'] * checks, T=FLOAT)
        return made
    answer = compare(tmp_path, build(True), build(False), ['out', 'kept'])
    cause, = answer.causes
    assert cause.kind == 'asserts' and cause.title == '1 Assert node removed' and cause.effect == 'cosmetic'
    answer = compare(tmp_path, build(False), build(True), ['out', 'kept'])
    assert [cause.title for cause in answer.causes] == ['1 Assert node added']


# settings -------------------------------------------------------------------------------------------------------------

def suppressed(classes=3, iou=0.6, score=0.3, size=7):
    """What is read of a graph with one NMS a class, behind a Sigmoid."""
    made = Made().placeholder('image_tensor', 4, [1, -1, 320, 3]).placeholder('s').placeholder('b')
    made.node('p', 'Sigmoid', ['s'], T=FLOAT).const('most', size, np.int32).const('iou', iou).const('least', score)
    for index in range(classes):
        made.node('nms%d' % index, 'NonMaxSuppressionV3', ['b', 'p', 'most', 'iou', 'least'], T=FLOAT)
    made.node('i', 'Cast', ['image_tensor'], SrcT=4, DstT=FLOAT).node('n', 'Neg', ['i'], T=FLOAT)
    names = ['nms%d' % index for index in range(classes)] + ['n']
    graph = graphs.graph_of(made.graph_def, names)
    return {key: (setting.value, setting.option) for key, setting in _settings.read(graph, graph.final_order()).items()}


def test_limits_of_nms_are_read_with_their_options():
    base = 'model.ssd.post_processing.'
    assert suppressed() == {
        'input_type': ('image_tensor', '--input_type'), 'input_dtype': ('uint8', ''),
        'input_shape': ('1×?×320×3', '--input_shape'),
        'nms_iou': (float(np.float32(0.6)), base + 'batch_non_max_suppression.iou_threshold'),
        'nms_score': (float(np.float32(0.3)), base + 'batch_non_max_suppression.score_threshold'),
        'nms_size': (7, base + 'batch_non_max_suppression.max_detections_per_class'),
        'score_converter': ('SIGMOID', base + 'score_converter'), 'classes': (3, 'model.ssd.num_classes')}
    assert 'classes' not in suppressed(1)


# running --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('one, other, expected', [
    ([1., 2.], [1., 2.], (0.0, 0, 2, '')), ([1., 2.], [1., 4.], (2.0, 1, 2, '')),
    ([np.nan, 2.], [np.nan, 2.], (0.0, 0, 2, '')), ([np.nan, 2.], [1., 2.], (math.inf, 1, 2, '')),
    ([np.inf, 2.], [np.inf, 2.], (0.0, 0, 2, '')), ([3, 2], [1, 2], (2.0, 1, 2, '')),
    ([b'a', b'b'], [b'a', b'c'], (math.inf, 1, 2, '')), ([b'a'], [b'a'], (0.0, 0, 1, '')),
    ([True], [False], (1.0, 1, 1, '')), ([1.], [[1.]], (None, 1, 1, '(1,) | (1, 1)')),
    ([1., 2., 3.], [1.], (None, 3, 3, '(3,) | (1,)'))])
def test_a_difference_of_values(one, other, expected):
    kinds = [np.array(value, object) if isinstance(value[0], bytes) else np.array(value) for value in (one, other)]
    assert _tensors.difference(*kinds) == expected


def test_integers_without_a_sign_are_subtracted_as_numbers():
    assert _tensors.difference(np.array([1], 'u1'), np.array([3], 'u1'))[0] == 2.0


def test_made_up_images_are_the_same_every_time_and_each_another():
    one, again = _run.images(2), _run.images(2)
    assert [image.tolist() for image in one] == [image.tolist() for image in again]
    assert one[0].shape == (240, 320, 3) and one[0].dtype == np.uint8 and (one[0] != one[1]).any()
    assert (_run.images(1, seed=1)[0] != one[0]).any()


def ran(tmp_path, one, other, outputs=('out',), count=1):
    return _run.run(compare(tmp_path, one, other, list(outputs) if outputs else None), count)


def chained(*factors, **more):
    """image × each of the factors in turn."""
    made = Made().placeholder('image', more.get('dtype', 4), more.get('shape', [-1, -1, -1, 3]))
    made.node('cast', 'Cast', ['image'], SrcT=more.get('dtype', 4), DstT=FLOAT)
    last = 'cast'
    for index, factor in enumerate(factors):
        made.const('k%d' % index, factor).node('m%d' % index, 'Mul', [last, 'k%d' % index], T=FLOAT)
        last = 'm%d' % index
    return made.node('out', 'Neg', [last], T=FLOAT).node('also', 'Abs', ['cast'], T=FLOAT)


@pytest.mark.parametrize('place', range(5))
def test_the_first_tensor_that_differs_is_the_one_behind_the_change(place, tmp_path):
    factors = [2., 3., 5., 7., 11.]
    changed = list(factors)
    changed[place] += 0.5
    found = ran(tmp_path, chained(*factors), chained(*changed), ('also', 'out'))
    assert found.first['left'] == found.first['right'] == 'm{}:0'.format(place)
    assert [(row['name'], row['differing'] > 0) for row in found.outputs] == [('also', False), ('out', True)]
    assert found.as_json()['first'] is found.first and not found.note


def test_equal_outputs_are_told_with_what_that_is_worth(tmp_path):
    one, other = chained(2.), chained(2.)
    other.change('out').attr['_hint'].s = b'x'
    found = ran(tmp_path, one, other, count=2)
    assert found.first is None and 'proves nothing about others' in found.note and found.images == 2
    row, = found.outputs
    assert (row['largest'], row['differing'], row['elements']) == (0.0, 0, 2 * 240 * 320 * 3)


def test_outputs_without_known_names_and_different_models_are_not_compared(tmp_path):
    found = ran(tmp_path, chained(2.), chained(3.), None)
    assert not found.outputs and found.note.startswith('The outputs have no known names')


@pytest.mark.parametrize('shape, expected', [
    ([-1, -1, -1, 3], (1, 240, 320, 3)), ([2, -1, -1, 3], (2, 240, 320, 3)), ([1, 100, 120, 3], (1, 100, 120, 3)),
    ([1, 300, 400, 3], (1, 300, 400, 3)), (None, (1, 240, 320, 3))])
def test_an_image_is_fed_as_the_placeholder_wants_it(shape, expected, tmp_path):
    made = chained(2., shape=shape)
    graph = graphs.graph_of(made.graph_def, ['out'])
    from od_patch.graphs import _sources
    model = _run.Model(_sources.Source('a', 'a', 'frozen graph', made.graph_def), graph)
    feed = model.feed(_run.images(1)[0])
    assert list(feed) == ['image:0'] and feed['image:0'].shape == expected and feed['image:0'].dtype == np.uint8
    model.close()


def test_a_graph_with_two_inputs_cannot_be_run(tmp_path):
    def build(factor):
        return chained(factor).placeholder('y').node('sum', 'Add', ['out', 'y'], T=FLOAT)
    with pytest.raises(_errors.InputRefused, match=r'has 2 inputs \(image, y\)'):
        ran(tmp_path, build(2.), build(3.), ('sum',))


# JSON and page --------------------------------------------------------------------------------------------------------

def test_json_is_strict():
    text = _json.strict({'a': [1.5, float('inf'), -float('inf'), float('nan')], 'b': (True, None, 'é'),
                            'c': {'d': 1}})
    assert json.loads(text) == {'a': [1.5, 'inf', '-inf', 'nan'], 'b': [True, None, 'é'], 'c': {'d': 1}}
    assert 'é' in text and ' ' not in text
    assert _json.strict({'a': 1}, 2) == '{\n  "a": 1\n}'


def test_the_page_tells_each_node_what_it_is_to_the_other_graph(tmp_path):
    one, other = chained(2., 3.), chained(2., 4.)
    one.node('dead', 'Neg', ['cast'], T=FLOAT)
    answer = compare(tmp_path, one, other, ['out'])
    rows, index = _page._nodes(answer)
    status = {row[0]: row[4] for row in rows if row[0]}
    assert status['dead'] == status['also'] == _page.ASIDE
    assert status['m0'] == status['cast'] == status['image'] == _page.SAME
    assert status['k1'] == _page.CHANGED and status['m1'] == status['out'] == _page.BEHIND
    row = rows[index[(0, [node.name for node in one.graph_def.node].index('k1'))]]
    assert row[2] == 0 and (row[5], row[6]) == ('3', '4')  # the same name; both values


@pytest.mark.parametrize('place, verdict', [
    ('name', 'not comparable'),  # no TensorFlow takes such a name, and the page says which it was
    ('file', 'same weights, different graph')])
def test_nothing_in_the_page_ends_its_script(place, verdict, tmp_path):
    hostile = '</script><b>\u2028&'
    one, other = chained(2.), chained(3.)
    if place == 'name':
        for made in (one, other):
            made.change('m0').name = hostile
            made.change('out').input[0] = hostile
    folder = tmp_path
    if place == 'file':
        folder = tmp_path / '<' / 'script><b>\u2028&'
        folder.mkdir(parents=True)
    path = str(tmp_path / 'page.html')
    _page.write(compare(folder, one, other, ['out']), path)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    assert '<b>' not in text and '\u2028' not in text and text.count('</script>') == 2
    assert '\\u003c/script>\\u003cb>\\u2028&' in text
    assert 'od-patch: ' + verdict in text and '@' + 'CONTENT@' not in text


def test_histograms_of_weights_span_what_is_finite(tmp_path):
    answer = compare(tmp_path, layers([[1., 2.]]), layers([[1., np.inf]]), ['out'])
    row, = _page._weights(answer)
    assert row[:4] == ['scope0/w', [1, 2], 1, 2] and row[6:8] == ['1', '2']
    assert sum(row[8]) == 2 and sum(row[9]) == 1
    row, = _page._weights(compare(tmp_path, layers([[np.nan]]), layers([[3.]]), ['out']))
    assert row[6:8] == ['2.5', '3.5'] and sum(row[8]) == 0 and sum(row[9]) == 1


# transforms -----------------------------------------------------------------------------------------------------------

RANDOM = np.random.RandomState(0)


def convolution(steps, op='Conv2D', channels=4):
    """A convolution and per-channel steps behind it: (op, array) or ('norm', gamma, beta, mean, variance, epsilon)."""
    made = Made().placeholder('x').const('w', RANDOM.normal(size=(1, 1, 3, channels)))
    if op != 'Conv2D':
        made = Made().placeholder('x').const('w', RANDOM.normal(size=(1, 1, channels // 2, 2)))
    made.node('y', op, ['x', 'w'], T=FLOAT, strides=[1, 1, 1, 1], padding=b'SAME')
    last = 'y'
    for index, step in enumerate(steps):
        name = 's%d' % index
        if step[0] == 'norm':
            for part, value in zip('gbmv', step[1:5]):
                made.const(name + part, value)
            made.node(name, 'FusedBatchNorm', [last] + [name + part for part in 'gbmv'], T=FLOAT, is_training=False,
                      epsilon=float(step[5]))
        else:
            made.const(name + 'k', step[1]).node(
                name, step[0], [last, name + 'k'] if not step[2:] else [name + 'k', last], T=FLOAT)
        last = name
    return made.node('out', 'Identity', [last], T=FLOAT)


VECTORS = [RANDOM.uniform(0.5, 2, 4).astype('f4') for _ in range(5)]
STEPS = [
    [('BiasAdd', VECTORS[0])], [('Mul', VECTORS[0])], [('Mul', VECTORS[0], 'first')], [('Add', VECTORS[0], 'first')],
    [('Sub', VECTORS[0])], [('Mul', VECTORS[0]), ('BiasAdd', VECTORS[1])],
    [('BiasAdd', VECTORS[1]), ('Mul', VECTORS[0])],
    [('Sub', VECTORS[1]), ('Mul', VECTORS[0]), ('Add', VECTORS[2])], [('norm',) + tuple(VECTORS[:4]) + (0.01,)],
    [('BiasAdd', VECTORS[4]), ('norm',) + tuple(VECTORS[:4]) + (0.5,), ('Mul', VECTORS[4])]]


@pytest.mark.parametrize('steps', STEPS, ids=lambda steps: '-'.join(step[0] for step in steps))
@pytest.mark.parametrize('op', ['Conv2D', 'DepthwiseConv2dNative'])
def test_a_chain_of_scales_and_offsets_is_one_convolution_with_a_bias(steps, op):
    made = convolution(steps, op)
    graph = graphs.graph_of(made.graph_def, ['out'])
    found = _transforms.affine(graph, graph.names.index('out'))
    weights, offset = found.folded(op != 'Conv2D')
    x = RANDOM.normal(size=(1, 2, 2, 3 if op == 'Conv2D' else 2)).astype('f4')
    folded = Made().placeholder('x').const('w', weights).const('b', offset).node(
        'y', op, ['x', 'w'], T=FLOAT, strides=[1, 1, 1, 1], padding=b'SAME').node('out', 'BiasAdd', ['y', 'b'], T=FLOAT)
    one, other = (graphs.run(each.graph_def, ['out'], {'x': x})[0] for each in (made, folded))
    assert np.allclose(one, other, rtol=1e-4, atol=1e-5)
    assert sorted(graph.names[node] for node in found.consts) == sorted(
        node.name for node in made.graph_def.node if node.op == 'Const')


@pytest.mark.parametrize('steps', [
    [('Sub', VECTORS[0], 'first')], [('Mul', np.ones((1, 4), 'f4'))], [('Maximum', VECTORS[0])]])
def test_a_chain_that_is_no_scale_and_offset_is_none(steps):
    graph = graphs.graph_of(convolution(steps).graph_def, ['out'])
    assert _transforms.affine(graph, graph.names.index('s0')) is None


@pytest.mark.parametrize('op', ['Conv2D', 'DepthwiseConv2dNative'])
def test_a_bare_convolution_is_scaled_by_one_and_moved_by_nothing(op):
    """It is what is left where the scale was folded into the filter and there was no offset."""
    graph = graphs.graph_of(convolution([], op).graph_def, ['out'])
    found = _transforms.affine(graph, graph.names.index('y'))
    weights, offset = found.folded(op != 'Conv2D')
    assert np.array_equal(weights, graph.tensors[graph.names.index('w')].numbers()) and offset.tolist() == [0.] * 4
    assert [graph.names[node] for node in found.consts + found.nodes] == ['w', 'y']


def test_a_scale_that_is_worked_out_of_constants_is_a_scale():
    made = convolution([('Mul', VECTORS[0])]).const('more', VECTORS[1])
    made.node('both', 'Mul', ['s0k', 'more'], T=FLOAT).change('s0').input[1] = 'both'
    graph = graphs.graph_of(made.graph_def, ['out'])
    found = _transforms.affine(graph, graph.names.index('s0'))
    assert np.allclose(found.scale, VECTORS[0] * VECTORS[1])
    assert sorted(graph.names[node] for node in found.consts) == ['more', 's0k', 'w']


@pytest.mark.parametrize('dtype, kind, offset', [(12, 'u1', 0), (11, 'i1', 128)])
def test_a_quantized_weight_is_turned_back(dtype, kind, offset):
    from od_patch.graphs import _tensors
    made = Made().const('low', -1.0).const('high', 1.55)
    made.node('q', 'Const', dtype=dtype)
    made.change('q').attr['value'].tensor.CopyFrom(
        _tensors.encoded(np.array([0 - offset, 100 - offset, 255 - offset], kind), dtype).proto())
    made.node('out', 'Dequantize', ['q', 'low', 'high'], T=dtype, mode=b'MIN_FIRST')
    found = _storage.decoded(graphs.graph_of(made.graph_def, ['out']))
    (node, storage), = found.stored.items()
    assert np.allclose(found.graph.tensors[node].array(), [-1.0, 0.0, 1.55], atol=1e-6)
    assert storage.how == 'in 8 bits' and storage.step == pytest.approx(0.01)
    assert [found.graph.names[const] for const in storage.consts] == ['q', 'low', 'high']


# the same graph again -------------------------------------------------------------------------------------------------

def adjusted(*causes, **given):
    class Answer:
        checkpoint = given.get('checkpoint', [])

    class Config:
        class model:
            @staticmethod
            def WhichOneof(name):
                assert name == 'model'
                return 'ssd'
    Answer.causes = list(causes)
    return _installed.adjustments(Answer, Config)


def setting(kind, value, option='', other=None):
    return _cause.Cause('setting.' + kind, 't', 'result', option=option, values=(value, other))


def test_what_can_be_set_is_set_to_what_the_shipped_graph_has():
    base = 'model.ssd.post_processing.batch_non_max_suppression.'
    nested = 'model { ssd { post_processing { batch_non_max_suppression { %s } } } }'
    for cause, flags, override in (
            (setting('nms_iou', 0.5, base + 'iou_threshold'), {}, nested % 'iou_threshold: 0.5'),
            (setting('input_shape', '1×?×96×3'), {'input_shape': '1,-1,96,3'}, ''),
            (setting('input_shape', 'unknown'), {'input_shape': ''}, ''),
            (setting('input_type', 'tf_example'), {'input_type': 'tf_example'}, ''),
            (setting('resize', 'fixed 300×200'), {},
             'model { ssd { image_resizer { fixed_shape_resizer { height: 300 width: 200 } } } }'),
            (setting('resize', 'keep aspect ratio, 600 to 1024'), {}, 'model { ssd { image_resizer { '
             'keep_aspect_ratio_resizer { min_dimension: 600 max_dimension: 1024 } } } }')):
        assert adjusted(cause) == (flags, override, []), cause.kind
    one, other = (setting(kind, 1, base + kind) for kind in 'ab')
    assert adjusted(one, other, one)[1] == nested % 'a: 1' + ' ' + nested % 'b: 1'


@pytest.mark.parametrize('held, text', [('moving averages', 'true'), ('raw weights', 'false')])
def test_which_weights_are_exported_is_set(held, text):
    cause = _cause.Cause('weights', 't', 'weights', option='eval_config.use_moving_averages')
    assert adjusted(cause, checkpoint=[{'kind': held}, {'kind': 'x'}]) == (
        {}, 'eval_config {{ use_moving_averages: {} }}'.format(text), [])


def test_what_no_setting_removes_is_left():
    left = [setting('resize', 'keep aspect ratio, ? to 1024'), setting('classes', 3, 'model.ssd.num_classes'),
            setting('anchors', [3, 6], 'model.ssd.x'), setting('resize_method', 'BILINEAR', 'model.*.x'),
            _cause.Cause('rewired', 't', 'result'), _cause.Cause('weights', 't', 'weights'),
            setting('nms_iou', None, 'model.ssd.iou')]
    assert adjusted(*left) == ({}, '', left)
    assert adjusted(_cause.Cause('shapes.static', 't', 'cosmetic')) == ({}, '', [])


def test_a_table_of_weights_adds_up_by_scope():
    class Row:
        def __init__(self, name, largest):
            self.name, self.count, self.size, self.largest, self.mean = name, 2, 4, largest, 1.0

    class Answer:
        differences = [Row('a/b/c/d/w', 3.0), Row('a/b/c/e/w', 1.0), Row('f/w', 2.0), Row('g', 0.5)]
    import io
    out = _report.console(io.StringIO())
    out.print(_report._weights(Answer))
    lines = [line.split() for line in out.file.getvalue().splitlines() if line.strip()]
    assert [line for line in lines if line[0] in ('a/b/c', 'f', 'g')] == [
        ['a/b/c', '2', '4', '3', '1'], ['f', '1', '2', '2', '1'], ['g', '1', '2', '0.5', '1']]


@pytest.mark.parametrize('lines, code, words', [
    (20, 3, 'line 9\nline 10'), (0, 3, 'The export failed: exit code 3'), (5, 0, None)])
def test_an_export_that_fails_says_so_in_its_own_words(lines, code, words, tmp_path, monkeypatch):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nfor i in $(seq 1 {}); do echo line $i >&2; done\nexit {}\n'.format(lines, code))
    python.chmod(0o755)
    monkeypatch.setattr(_installed.sys, 'executable', str(python))

    def export():
        _installed.export('a.ckpt', 'a.config', 'out', {'input_type': 'x', 'y': ''})
    if words is None:
        return export()
    with pytest.raises(_errors.InputRefused) as caught:
        export()
    assert words in str(caught.value) and 'line 8\n' not in str(caught.value)
    assert '--input_type=x' in caught.value.remedy and '--y' not in caught.value.remedy


def test_an_int32_bound_is_no_float():
    graph = graphs.graph_of(Made().const('k', 3, np.int32).node('out', 'Neg', ['k'], T=INT32).graph_def, ['out'])
    reading = _settings.Reading(graph, graph.final_order())
    assert reading.constant((0, 0)) == (3, 0) and isinstance(reading.constant((0, 0))[0], int)


@pytest.mark.parametrize('other, same', [(C, True), ([[3.], [4.]], False), ([[3., 4., 5.]], False)], ids=str)
def test_only_values_of_weights_are_no_difference_of_structure(other, same, tmp_path):
    answer = compare(tmp_path, layers(A, B), layers(A, other), ['out'])
    assert answer.alignment.same_weights_structure is same


def test_graphs_with_neither_weights_nor_outputs_nor_ops_in_common_are_not_comparable(tmp_path):
    def build(*ops):
        made = Made().placeholder('x')
        for op in ops:
            made.node('end_of_' + op, op, ['x'], T=FLOAT)
        return made
    answer = compare(tmp_path, build('Neg', 'Exp', 'Abs'), build('Floor', 'Ceil', 'Relu'))
    assert answer.verdict == 'not comparable' and 'neither weights nor outputs nor most ops' in answer.reason
    assert compare(tmp_path, build('Neg', 'Exp', 'Abs'), build('Neg', 'Exp', 'Relu')).verdict != 'not comparable'


def test_the_largest_difference_is_that_of_all_images(tmp_path):
    def build(factor):
        made = Made().placeholder('image', 4, [-1, -1, -1, 3]).node('cast', 'Cast', ['image'], SrcT=4, DstT=FLOAT)
        made.const('all', [0, 1, 2, 3], np.int32).const('k', factor)
        return made.node('mean', 'Mean', ['cast', 'all'], T=FLOAT, Tidx=INT32).node('out', 'Mul', ['mean', 'k'], T=FLOAT)
    means = [float(image.mean()) for image in _run.images(4)]
    count = next(count for count in (2, 3, 4) if max(means[:count]) != means[count - 1])
    row, = ran(tmp_path, build(2.), build(3.), count=count).outputs
    assert row['largest'] == pytest.approx(max(means[:count]), rel=1e-5) and row['differing'] == row['elements'] == count
