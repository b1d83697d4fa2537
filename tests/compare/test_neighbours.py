"""Each rule on graphs that it makes one, and on their neighbours: graphs a single condition away, which stay two.

A rule without both is refused here, so whoever adds a rule writes down what it must not touch.
"""
import collections

import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch.compare import _canonical  # noqa: E402
from od_patch.compare import _equivalence  # noqa: E402
from od_patch.compare import _rules  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.written import BOOL, DOUBLE, FLOAT, HALF, INT32, INT64, STRING, Made  # noqa: E402

pytestmark = pytest.mark.once

Case = collections.namedtuple('Case', 'rule why one other outputs')
SAME, APART = [], []
_GENERATORS = []


def cases(rule):
    """Decorates a generator of (``SAME`` or ``APART``, why, one, other, more outputs than 'out' …) for a rule."""
    def keep(function):
        _GENERATORS.append((rule, function))
        return function
    return keep


def named(case):
    return '{}: {}'.format(case.rule, case.why)


def result_of(case):
    return _equivalence.Equivalence(*[graphs.graph_of(made.graph_def, case.outputs) for made in (case.one, case.other)])


def unary(op, source='x', dtype=FLOAT, **attrs):
    """An op of one input between a placeholder and the output."""
    made = Made().placeholder(source, dtype)
    return made.node('y', op, [source], **(attrs or {'T': dtype})).node('out', 'Neg', ['y'], T=dtype)


def plain(dtype=FLOAT):
    return Made().placeholder('x', dtype).node('out', 'Neg', ['x'], T=dtype)


def waiting(made, *names):
    """The graph with an Assert in it, which the nodes ``names`` wait for."""
    made.check()
    for name in names:
        made.change(name).input.append('^fine')
    return made


# attributes -----------------------------------------------------------------------------------------------------------

@cases('default attributes')
def _defaults():
    def product(**attrs):
        return Made().placeholder('x').placeholder('y').node('out', 'MatMul', ['x', 'y'], T=FLOAT, **attrs)
    yield SAME, 'written and left out', product(transpose_a=False), product()
    yield APART, 'another value', product(transpose_a=True), product()
    yield APART, 'the default of another attribute', product(transpose_a=True, transpose_b=False), product(
        transpose_a=False, transpose_b=True)
    yield APART, 'an attribute that has no default', Made().placeholder('x').node('out', 'Neg', ['x'], T=FLOAT), \
        Made().placeholder('x').node('out', 'Neg', ['x'])


@cases('hints')
def _hints():
    yield SAME, 'begins with _', unary('Relu', T=FLOAT, _class=b'loc:@x'), unary('Relu')
    yield APART, 'has a _ elsewhere', unary('Relu', T=FLOAT, class_=b'loc:@x'), unary('Relu')


def _array(op='TensorArrayV3', **attrs):
    made = Made().placeholder('n', INT32).node('array', op, ['n'], dtype=FLOAT, **attrs)
    return made.node('out', 'TensorArraySizeV3', ['array', 'array:1'])


@cases('TensorArray element shapes')
def _arrays():
    yield SAME, 'the promise', _array(identical_element_shapes=True), _array(identical_element_shapes=False)
    yield APART, 'another attribute', _array(dynamic_size=True), _array(dynamic_size=False)
    yield APART, 'another op', unary('Relu', T=FLOAT, identical_element_shapes=True), unary('Relu')


@cases('loop parallelism')
def _parallelism():
    def entered(**attrs):
        made = Made().placeholder('x').node('enter', 'Enter', ['x'], T=FLOAT, frame_name=b'f', **attrs)
        return made.node('out', 'Exit', ['enter'], T=FLOAT)
    yield SAME, 'the number', entered(parallel_iterations=10), entered(parallel_iterations=1)
    yield APART, 'another attribute', entered(is_constant=True), entered(is_constant=False)
    yield APART, 'another op', unary('Relu', T=FLOAT, parallel_iterations=1), unary('Relu')


# what hands on --------------------------------------------------------------------------------------------------------

@cases('Identity chains')
def _identities():
    for op in ('Identity', 'StopGradient', 'PreventGradient', 'Snapshot'):
        yield SAME, op, unary(op), plain()
        yield APART, op + ' that waits', waiting(unary(op), 'y'), waiting(plain()), 'kept'
        yield SAME, op + ' twice', Made().placeholder('x').node('a', op, ['x'], T=FLOAT).node(
            'y', op, ['a'], T=FLOAT).node('out', 'Neg', ['y'], T=FLOAT), plain()
    yield SAME, 'Cast to the same type', unary('Cast', SrcT=FLOAT, DstT=FLOAT), plain()
    yield APART, 'Cast to another type', unary('Cast', SrcT=FLOAT, DstT=HALF), plain()
    yield APART, 'Cast that waits', waiting(unary('Cast', SrcT=FLOAT, DstT=FLOAT), 'y'), waiting(plain()), 'kept'
    yield APART, 'what computes', unary('Relu'), plain()

    def after(of):
        made = Made().placeholder('x').placeholder('z').node('i', 'Identity', ['z'], T=FLOAT)
        return made.node('k', 'Neg', ['i'], T=FLOAT).node('out', 'Neg', ['x', '^' + of], T=FLOAT)
    yield SAME, 'waited for', after('i'), after('z'), 'k'
    yield APART, 'waited for, and the other not', after('i'), after('k'), 'k'

    def side(port, op='Switch'):
        made = Made().placeholder('x').placeholder('z').placeholder('p', BOOL).node('s', op, ['z', 'p'], T=FLOAT)
        return made.node('i', 'Identity', ['s:%d' % port], T=FLOAT).node('out', 'Neg', ['x', '^i'], T=FLOAT)
    yield APART, 'waited for, behind a Switch', side(0), side(1)
    yield APART, 'waited for, behind a RefSwitch', side(0, 'RefSwitch'), side(1, 'RefSwitch')


# control inputs -------------------------------------------------------------------------------------------------------

def _conditional(reads='Mul', through='s:1', waits='yes', control=True, merge=True, other='q'):
    """A Const that waits for one side of a conditional, and what reads it.

    Args:
        reads: the op that reads the Const beside ``through``; waits: the node that the Const waits for;
        control: bool, whether it does; other: the predicate of a second Switch, ``t``.
    """
    made = Made().placeholder('p', BOOL).placeholder('q', BOOL).placeholder('x')
    made.node('s', 'Switch', ['x', 'p'], T=FLOAT).node('t', 'Switch', ['x', other], T=FLOAT)
    made.node('kept', 'LogicalAnd', ['p', 'q'])
    made.node('yes', 'Identity', ['s:1'], T=FLOAT).node('no', 'Identity', ['s'], T=FLOAT)
    made.node('computed', 'Neg', ['s:1'], T=FLOAT).node('of both', 'LogicalAnd', ['s:1', 'p'])
    made.const('k', 2.0, controls=['^' + waits] if control else [])
    made.node('a', reads, [through, 'k'], T=FLOAT)
    if not merge:
        return made.node('out', 'Neg', ['a'], T=FLOAT)
    return made.node('b', 'Neg', ['s'], T=FLOAT).node('out', 'Merge', ['a', 'b'], T=FLOAT, N=2)


@cases('control inputs of Consts')
def _const_controls():
    def const(*controls):
        made = Made().placeholder('x').placeholder('z').const('k', 2.0, controls=controls)
        return made.node('out', 'Mul', ['x', 'k'], T=FLOAT).node('kept', 'Neg', ['z'], T=FLOAT)
    yield SAME, 'nothing decides', const('^z'), const(), 'kept'
    yield SAME, 'in a loop', _counted(waits=True), _counted(waits=False)
    yield APART, 'what is no Const', _after('Neg', '^z'), _after('Neg'), 'kept'
    yield SAME, 'its reader is dead on that side anyhow', _conditional(), _conditional(control=False), 'kept'
    yield SAME, 'what its reader reads is dead on that side, too', _conditional(through='computed'), _conditional(
        through='computed', control=False), 'kept'
    yield APART, 'its reader is alive on both sides', _conditional(through='x'), _conditional(
        through='x', control=False), 'kept'
    yield APART, 'its reader is alive on the other side', _conditional(through='s'), _conditional(
        through='s', control=False), 'kept'
    yield APART, 'its reader depends on another predicate', _conditional(through='t:1'), _conditional(
        through='t:1', control=False), 'kept'
    yield SAME, 'its reader depends on the same predicate by another Switch', _conditional(
        through='t:1', other='p'), _conditional(through='t:1', other='p', control=False), 'kept'
    yield APART, 'it waits for what is computed on that side', _conditional(waits='computed'), _conditional(
        control=False), 'kept'
    yield APART, 'it waits for what is computed of that side and the predicate', _conditional(
        waits='of both', through='s'), _conditional(through='s', control=False), 'kept'

    def switch_waits(control):
        made = _conditional(through='t:1', other='p', control=control)
        made.node('u', 'Switch', ['x', 'q'], T=FLOAT).node('u yes', 'Identity', ['u:1'], T=FLOAT)
        made.change('s').input.append('^u yes')
        return made
    yield APART, 'the Switch that it waits for waits for another', switch_waits(True), switch_waits(False), 'kept'
    yield SAME, 'in a loop, and only Consts read it', _counted(negated=True), _counted(False, negated=True)
    yield SAME, 'in a loop on one side of a conditional', _counted(inside=True), _counted(False, inside=True), 'kept'
    for inside in (False, True):
        yield (APART, 'it waits for the end of a loop' + ' on one side of a conditional' * inside, _counted(
            inside=inside, pivot='done'), _counted(False, inside=inside)) + ('kept',) * inside
    yield APART, 'it waits for the other side', _conditional(waits='no'), _conditional(control=False), 'kept'

    def output(control):
        made = _conditional(control=control)
        made.graph_def.node.remove(made.change('out'))
        return made.node('out', 'Identity', ['k'], T=FLOAT)
    yield APART, 'it is handed out', output(True), output(False), 'kept'
    yield APART, 'it is an output', _conditional(), _conditional(control=False), 'kept', 'k'

    def only_waited_for(control):
        made = Made().placeholder('p', BOOL).placeholder('x').node('s', 'Switch', ['x', 'p'], T=FLOAT)
        made.node('yes', 'Identity', ['s:1'], T=FLOAT).const('k', 2.0, controls=['^yes'] if control else [])
        made.node('kept', 'Identity', ['s:1'], T=FLOAT)
        return made.node('out', 'Neg', ['x', '^k'], T=FLOAT)
    yield APART, 'something waits for it', only_waited_for(True), only_waited_for(False), 'kept'

    def two(control):
        made = _conditional(control=control)
        return made.node('more', 'Neg', ['k'], T=FLOAT)
    yield APART, 'a second reader is alive on both sides', two(True), two(False), 'kept', 'more'

    def merged(control):
        made = _conditional(control=control, merge=False)
        made.graph_def.node.remove(made.change('out'))
        return made.node('out', 'Merge', ['k', 'no'], T=FLOAT, N=2)
    yield APART, 'a Merge reads it', merged(True), merged(False), 'kept'

    def merged_before(control):
        """The reader's other input comes from a Merge of both sides, and so is alive on both."""
        made = _conditional(control=control, through='m')
        return made.node('m', 'Merge', ['no', 'computed'], T=FLOAT, N=2)
    yield APART, 'its reader reads a Merge of both sides', merged_before(True), merged_before(False), 'kept'


def _after(op, *controls):
    made = Made().placeholder('x').placeholder('z').node('y', op, ['x'] + list(controls), T=FLOAT)
    return made.node('out', 'Neg', ['y'], T=FLOAT).node('kept', 'Neg', ['z'], T=FLOAT)


def _counted(waits=True, negated=False, inside=False, pivot='i'):
    """A loop that counts to three.

    Args:
        waits: bool, whether the Const of its step waits for ``pivot``: i, the iteration, or done, the loop's end.
        negated: bool, whether the step is computed of the Const; inside: bool, whether all is in a conditional.
    """
    made = Made().const('z', 0, np.int32).const('n', 3, np.int32)
    if inside:
        made.placeholder('p', BOOL).placeholder('x', INT32).node('first', 'Switch', ['x', 'p'], T=INT32)
        made.node('kept', 'Neg', ['first'], T=INT32)
    made.node('e', 'Enter', ['first:1' if inside else 'z'], T=INT32, frame_name=b'f')
    made.node('m', 'Merge', ['e', 'next'], T=INT32, N=2)
    made.node('en', 'Enter', ['n'], T=INT32, frame_name=b'f', is_constant=True)
    made.node('less', 'Less', ['m', 'en'], T=INT32).node('cond', 'LoopCond', ['less'])
    made.node('s', 'Switch', ['m', 'cond'], T=INT32).node('i', 'Identity', ['s:1'], T=INT32)
    made.node('done', 'Identity', ['s'], T=INT32)
    made.const('k', 1, np.int32, ['^' + pivot] if waits else ())
    made.node('step', 'Invert' if negated else 'Identity', ['k'], T=INT32)
    made.node('add', 'Add', ['s:1', 'step'], T=INT32)
    return made.node('next', 'NextIteration', ['add'], T=INT32).node('out', 'Exit', ['s'], T=INT32)


@cases('control groups')
def _groups():
    def after(*controls):
        made = Made().placeholder('x')
        for name in ('a', 'b', 'c'):
            made.placeholder('in_' + name).node(name, 'Neg', ['in_' + name], T=FLOAT).node(
                'kept_' + name, 'Relu', ['in_' + name], T=FLOAT)
        made.node('both', 'NoOp', ['^a', '^b']).node('all', 'NoOp', ['^both', '^c']).node('none', 'NoOp')
        made.node('no', 'Neg', ['in_c', '^both'], T=FLOAT)
        return made.node('out', 'Neg', ['x'] + list(controls), T=FLOAT)
    kept = ('kept_a', 'kept_b', 'kept_c')
    yield (SAME, 'one group', after('^both'), after('^a', '^b')) + kept
    yield (SAME, 'a group of a group', after('^all'), after('^a', '^b', '^c')) + kept
    yield (SAME, 'a group and one of it', after('^both', '^a'), after('^a', '^b')) + kept
    yield (APART, 'one is missing', after('^both'), after('^a')) + kept
    yield (APART, 'one is missing of the inner group', after('^all'), after('^a', '^c')) + kept
    yield (APART, 'one more', after('^both'), after('^a', '^b', '^c')) + kept
    yield (APART, 'what is no group', after('^no'), after('^a', '^b')) + kept
    yield (APART, 'nothing at all', after('^both'), after()) + kept


# op versions ----------------------------------------------------------------------------------------------------------

@cases('Gather')
def _gathers():
    def build(op, axis=0, index=INT32, source='x', **attrs):
        made = Made().placeholder('x').placeholder('w').placeholder('i', index).const('axis', axis, np.int32)
        made.node('kept', 'Add', ['x', 'w'], T=FLOAT)
        more = dict(Taxis=INT32) if op == 'GatherV2' else {}
        return made.node('out', op, [source, 'i'] + ['axis'] * (op == 'GatherV2'), Tparams=FLOAT, Tindices=index,
                         **dict(more, **attrs))
    yield SAME, 'the first axis', build('Gather'), build('GatherV2'), 'kept'
    yield SAME, 'validated or not', build('Gather', validate_indices=False), build('GatherV2'), 'kept'
    yield SAME, 'of long places', build('Gather', index=INT64), build('GatherV2', index=INT64), 'kept'
    yield APART, 'another axis', build('Gather'), build('GatherV2', 1), 'kept'
    yield APART, 'in batches', build('Gather'), build('GatherV2', batch_dims=1), 'kept'
    yield APART, 'of something else', build('Gather'), build('GatherV2', source='w'), 'kept'


@cases('Concat')
def _concats():
    def build(op='ConcatV2', order='xy', axis=1, **attrs):
        made = Made().placeholder('x').placeholder('y').placeholder('z').const('axis', axis, np.int32)
        inputs = ['axis'] + list(order) if op == 'Concat' else list(order) + ['axis']
        more = {} if op == 'Concat' else {'Tidx': INT32}
        made.node('out', op, inputs, T=FLOAT, N=len(order), **dict(more, **attrs))
        return made.node('kept', 'AddN', ['x', 'y', 'z'], T=FLOAT, N=3)
    yield SAME, 'of two', build('Concat'), build(), 'kept'
    yield SAME, 'of three', build('Concat', 'zxy', 0), build(order='zxy', axis=0), 'kept'
    yield APART, 'along another axis', build('Concat'), build(axis=0), 'kept'
    yield APART, 'in another order', build('Concat'), build(order='yx'), 'kept'
    yield APART, 'the first one last', build('Concat', 'xyz'), build(order='yzx'), 'kept'
    yield APART, 'one more', build('Concat'), build(order='xyz'), 'kept'

    def computed(op, source):
        """An axis that is only known when it runs; it must not be taken for one of the values."""
        made = Made().placeholder('x', INT32).placeholder('y', INT32)
        inputs = [source, 'x', 'y'] if op == 'Concat' else ['x', 'y', source]
        made.node('kept', 'Add', ['x', 'y'], T=INT32)
        return made.node('out', op, inputs, T=INT32, N=2)
    yield SAME, 'an axis that is computed', computed('Concat', 'x'), computed('ConcatV2', 'x'), 'kept'
    yield APART, 'another axis that is computed', computed('Concat', 'x'), computed('ConcatV2', 'y'), 'kept'


@cases('Relu6')
def _relu6s():
    def build(limit=6.0, inner='Relu', outer='Minimum', dtype=FLOAT, first=False):
        made = Made().placeholder('x', dtype).const(
            'six', limit, {FLOAT: np.float32, DOUBLE: np.float64, HALF: np.float16, INT32: np.int32}[dtype])
        made.node('relu', inner, ['x'], T=dtype)
        made.node('y', outer, ['six', 'relu'] if first else ['relu', 'six'], T=dtype)
        return made.node('out', 'Neg', ['y'], T=dtype)

    def fused(dtype=FLOAT):
        made = Made().placeholder('x', dtype).node('y', 'Relu6', ['x'], T=dtype)
        return made.node('out', 'Neg', ['y'], T=dtype)
    for dtype in (FLOAT, DOUBLE, HALF):
        yield SAME, 'of type {}'.format(dtype), build(dtype=dtype), fused(dtype)
    yield APART, 'the limit first, which TensorFlow 1.12 lets win over NaN', build(first=True), fused()
    yield APART, 'of integers', build(dtype=INT32, limit=6), fused(INT32)
    for limit in (5.0, -6.0, np.nextafter(np.float32(6), np.float32(7))):
        yield APART, 'up to {}'.format(limit), build(limit), fused()
    for shape in ([1], [1, 1], [2]):
        yield APART, 'six of shape {}'.format(shape), build(np.full(shape, 6.0)), fused()
    yield APART, 'the larger one', build(outer='Maximum'), fused()
    for inner in ('Abs', 'Elu', 'Relu6', 'Softplus'):
        yield APART, inner, build(inner=inner), fused()

    def computed_limit(op):
        made = Made().placeholder('x').placeholder('n').node('relu', 'Relu', ['x'], T=FLOAT)
        made.node('y', op, ['relu', 'n'] if op == 'Minimum' else ['x'], T=FLOAT)
        return made.node('out', 'Add', ['y', 'n'], T=FLOAT)
    yield APART, 'up to what is fed', computed_limit('Minimum'), computed_limit('Relu6')
    yield APART, 'the Minimum waits', waiting(build(), 'y'), waiting(fused()), 'kept'
    yield APART, 'the Relu waits', waiting(build(), 'relu'), waiting(fused()), 'kept'


def _nms(op, out='nms', sigma=0.0, threshold=0.1, iou='iou', hold=(), more=None, scores=False, **attrs):
    """NMS of any version; ``scores``: gathered at its places are the second output."""
    made = Made().placeholder('boxes').placeholder('scores').placeholder('most', INT32).placeholder('given')
    made.const('iou', 0.5).const('iou2', 0.25).const('least', threshold).const('sigma', sigma)
    inputs = ['boxes', 'scores', 'most', iou, 'least', 'sigma'][:4 + (op[-1] in '35') + (op[-1] == '5')]
    if more:
        inputs[5] = more
    made.node('nms', op, inputs, T=FLOAT, **attrs)
    if op[-1] == '2':
        del made.change('nms').attr['T']
    made.node('kept', 'Identity', ['given'], T=FLOAT).node('kept2', 'Identity', ['most'], T=INT32)
    if scores:
        made.const('axis', 0, np.int32).node('at', 'GatherV2', [scores, 'nms', 'axis'], Tparams=FLOAT, Tindices=INT32,
                                             Taxis=INT32)
        return made.node('out', 'Neg', ['at'], T=FLOAT)
    return made.node('out', 'Identity', [out], T=FLOAT if out == 'nms:1' else INT32)


@cases('NMS without score threshold')
def _thresholds():
    without = _nms('NonMaxSuppressionV2')

    def plain_v3(**given):
        made = _nms('NonMaxSuppressionV3', **given)
        del made.change('nms').attr['T']
        return made
    yield SAME, 'minus infinity', without, plain_v3(threshold=-np.inf), 'kept'
    for threshold in (np.inf, 0.0, -1.0, -3e38):
        yield APART, 'threshold {}'.format(threshold), without, plain_v3(threshold=threshold), 'kept'
    yield APART, 'another overlap', without, plain_v3(threshold=-np.inf, iou='iou2'), 'kept'


@cases('NMS without soft sigma')
def _sigmas():
    def v5(**given):
        return _nms('NonMaxSuppressionV5', **given)
    v3 = _nms('NonMaxSuppressionV3')
    gathered = _nms('NonMaxSuppressionV3', scores='scores')
    yield SAME, 'sigma 0', v5(), v3, 'kept'
    yield SAME, 'not padded, and said so', v5(pad_to_max_output_size=False), v3, 'kept'
    yield SAME, 'the scores that come with it', v5(out='nms:1'), gathered_as_output(gathered), 'kept'
    yield APART, 'soft', v5(sigma=0.5), v3, 'kept'
    yield APART, 'barely soft', v5(sigma=1e-30), v3, 'kept'
    yield APART, 'sigma is given', v5(more='given'), v3, 'kept'
    yield APART, 'padded', v5(pad_to_max_output_size=True), v3, 'kept'
    yield APART, 'padded, and its scores', v5(out='nms:1', pad_to_max_output_size=True), gathered_as_output(
        gathered), 'kept'
    yield APART, 'soft, and its scores', v5(out='nms:1', sigma=0.5), gathered_as_output(gathered), 'kept'
    yield APART, 'the number of valid ones', v5(out='nms:2'), _nms('NonMaxSuppressionV3', out='nms:2'), 'kept'
    yield APART, 'another threshold', v5(threshold=0.2), v3, 'kept'
    yield APART, 'another overlap', v5(iou='iou2'), v3, 'kept'
    yield APART, 'the scores of others', v5(out='nms:1'), gathered_as_output(
        _nms('NonMaxSuppressionV3', scores='given')), 'kept'
    yield APART, 'the places and not the scores', v5(out='nms:1'), v3, 'kept'

    def both(made):
        return made.node('places', 'Neg', ['nms'], T=INT32)
    yield SAME, 'places and scores', both(v5(out='nms:1')), both(gathered_as_output(
        _nms('NonMaxSuppressionV3', scores='scores'))), 'kept', 'places'


def gathered_as_output(made):
    twin = Made()
    twin.graph_def.CopyFrom(made.graph_def)
    node = twin.change('out')
    node.op = 'Identity'
    return twin


@cases('AddV2')
def _adds():
    def build(op, dtype, other='y'):
        made = Made().placeholder('x', dtype).placeholder('y', dtype).node('kept', 'Identity', ['y'], T=dtype)
        return made.node('out', op, ['x', other], T=dtype)
    for dtype in (FLOAT, DOUBLE, HALF, INT32, INT64, 4, 5, 6, 8, 14, 18):
        yield SAME, 'type {}'.format(dtype), build('AddV2', dtype), build('Add', dtype), 'kept'
    yield APART, 'strings', build('AddV2', STRING), build('Add', STRING), 'kept'
    yield APART, 'other inputs', build('AddV2', FLOAT), build('Add', FLOAT, 'x'), 'kept'
    yield APART, 'another op', build('AddV2', FLOAT), build('Sub', FLOAT), 'kept'


@cases('float division')
def _divisions():
    def build(op, dtype, inputs=('x', 'y')):
        return Made().placeholder('x', dtype).placeholder('y', dtype).node('out', op, inputs, T=dtype)
    for dtype in (FLOAT, DOUBLE, HALF, 14):
        yield SAME, 'type {}'.format(dtype), build('Div', dtype), build('RealDiv', dtype)
    for dtype in (INT32, INT64, 4, 5, 6, 17):
        yield APART, 'integers, type {}'.format(dtype), build('Div', dtype), build('RealDiv', dtype)
    yield APART, 'the other way round', build('Div', FLOAT), build('RealDiv', FLOAT, ('y', 'x'))
    yield APART, 'rounded down', build('Div', FLOAT), build('FloorDiv', FLOAT)


def _added(make, dtype=INT32):
    """``make`` adds nodes to a graph whose output is x plus what its node ``value`` holds."""
    made = Made().placeholder('x', dtype)
    make(made)
    return made.node('out', 'Add', ['x', 'value'], T=dtype)


@cases('constant values')
def _constants():
    def worked_out(op, dtype, kind, a, b, *waits):
        def make(made):
            made.const('a', a, kind).const('b', b, kind).node('value', op, ['a', 'b'], T=dtype)
        made = _added(make, dtype)
        return waiting(made, *waits) if waits else made

    def written(dtype, kind, value, *waits):
        made = _added(lambda made: made.const('value', value, kind), dtype)
        return waiting(made, *waits) if waits else made
    yield SAME, 'integers', worked_out('Add', INT32, np.int32, [1, 2], [3, 4]), written(INT32, np.int32, [4, 6])
    yield APART, 'another sum', worked_out('Add', INT32, np.int32, [1, 2], [3, 4]), written(INT32, np.int32, [4, 7])
    for op, value in (('Add', 5.0), ('Sub', -1.0), ('Mul', 6.0), ('Maximum', 3.0), ('Minimum', 2.0)):
        yield APART, 'floating point ' + op, worked_out(op, FLOAT, np.float32, 2, 3), written(FLOAT, np.float32, value)
    yield APART, 'waits', _kept_waiting(True), _kept_waiting(False), 'kept'
    yield APART, 'division', worked_out('FloorDiv', INT32, np.int32, 7, 2), written(INT32, np.int32, 3)
    yield SAME, 'a value as large as is worth it', _filled(1 << 16), written(INT32, np.int32, np.full(1 << 16, 7))
    yield APART, 'a value too large to write out', _filled((1 << 16) + 1), written(
        INT32, np.int32, np.full((1 << 16) + 1, 7))

    def cast(source, kind, target, value):
        return lambda made: made.const('a', value, kind).node('value', 'Cast', ['a'], SrcT=source, DstT=target)
    yield SAME, 'Cast of integers', _added(cast(INT64, np.int64, INT32, 5)), written(INT32, np.int32, 5)
    yield SAME, 'Cast of integers to floats', _added(cast(INT64, np.int64, FLOAT, 5), FLOAT), written(
        FLOAT, np.float32, 5)
    yield APART, 'Cast of floats', _added(cast(FLOAT, np.float32, INT32, 5.5)), written(INT32, np.int32, 5)
    yield APART, 'Cast of integers to halves', _added(cast(INT64, np.int64, HALF, 5), HALF), written(
        HALF, np.float16, 5)

    def counted(kind, dtype):
        def make(made):
            made.const('a', 0, kind).const('b', 3, kind).const('c', 1, kind)
            made.node('value', 'Range', ['a', 'b', 'c'], Tidx=dtype)
        return make
    yield SAME, 'Range of integers', _added(counted(np.int32, INT32)), written(INT32, np.int32, [0, 1, 2])
    yield APART, 'Range of floats', _added(counted(np.float32, FLOAT), FLOAT), written(FLOAT, np.float32, [0, 1, 2])

    def dead(control):
        """A sum of Consts, one of which waits for one side of a conditional."""
        made = Made().placeholder('p', BOOL).placeholder('x', INT32).node('s', 'Switch', ['x', 'p'], T=INT32)
        made.node('yes', 'Identity', ['s:1'], T=INT32).node('no', 'Identity', ['s'], T=INT32)
        made.const('a', 1, np.int32, ['^yes'] if control else []).const('b', 2, np.int32)
        made.node('sum', 'Add', ['a', 'b'], T=INT32)
        return made.node('out', 'Merge', ['sum', 'no'], T=INT32, N=2).node('kept', 'Neg', ['yes'], T=INT32)

    def alive():
        made = dead(False)
        made.graph_def.node.remove(made.change('sum'))
        return made.const('sum', 3, np.int32)
    yield SAME, 'of Consts that are always alive', dead(False), alive(), 'kept'
    yield APART, 'of a Const that may be dead', dead(True), alive(), 'kept'


def _filled(count):
    def make(made):
        made.const('dims', [count], np.int32).const('seven', 7, np.int32).node('value', 'Fill', ['dims', 'seven'],
                                                                               T=INT32)
    return _added(make)


def _kept_waiting(summed):
    """A sum that waits for an Assert, and the value of it, which waits for nothing."""
    def make(made):
        made.const('a', 1, np.int32).const('b', 2, np.int32)
        if summed:
            made.node('value', 'Add', ['a', 'b'], T=INT32)
        else:
            made.const('value', 3, np.int32)
    return waiting(_added(make), *(['value'] if summed else []))


@cases('times one')
def _times_one():
    def build(op, inputs=('x', 'one'), value=1.0, dtype=FLOAT, kind=np.float32, waits=None, waiting_const=False):
        made = Made().placeholder('x', dtype).const('one', value, kind).node('y', op, inputs, T=dtype)
        made.node('out', 'Neg', ['y'], T=dtype)
        return waiting(made, *waits) if waits is not None else made
    yield SAME, 'Mul', build('Mul'), plain()
    yield SAME, 'one times', build('Mul', ('one', 'x')), plain()
    yield SAME, 'RealDiv', build('RealDiv'), plain()
    yield SAME, 'Div', build('Div'), plain()
    yield APART, 'one divided by', build('RealDiv', ('one', 'x')), plain()
    yield APART, 'one divided by, Div', build('Div', ('one', 'x')), plain()
    for value in (1.0000001, 0.0, -1.0, 2.0):
        yield APART, 'times {}'.format(value), build('Mul', value=value), plain()
    yield APART, 'plus one', build('Add'), plain()
    yield APART, 'a vector of ones', build('Mul', value=[1.0, 1.0]), plain()
    yield APART, 'a vector of a single one', build('Mul', value=[1.0]), plain()
    yield APART, 'it waits', build('Mul', waits=['y']), waiting(plain()), 'kept'
    handed_on = Made().placeholder('x').const('k', 1.0).node('one', 'Identity', ['k'], T=FLOAT)
    handed_on.node('y', 'Mul', ['x', 'one'], T=FLOAT).node('out', 'Neg', ['y'], T=FLOAT)
    waits = Made()
    waits.graph_def.CopyFrom(handed_on.graph_def)
    yield SAME, 'the one is handed on', handed_on, plain()
    yield APART, 'the one is handed on by what waits', waiting(waits, 'one'), waiting(plain()), 'kept'
    yield APART, 'integers', build('Mul', value=1, dtype=INT32, kind=np.int32), plain(INT32)


def _norm(op='FusedBatchNorm', out='n', source='x', dtype=FLOAT, statistics=None, **attrs):
    made = Made()
    for name in ('x', 'scale', 'offset', 'mean', 'variance'):
        made.placeholder(name, dtype)
    attrs.setdefault('is_training', False)
    if attrs['is_training'] is None:
        del attrs['is_training']
    if statistics:
        attrs['U'] = statistics
    return made.node('n', op, [source, 'scale', 'offset', 'mean', 'variance'], T=dtype, **attrs).node(
        'out', 'Neg', [out], T=dtype)


@cases('batch norm versions')
def _norms():
    for op in ('FusedBatchNormV2', 'FusedBatchNormV3'):
        yield SAME, op, _norm(op, statistics=FLOAT), _norm()
        yield SAME, op + ', not NHWC', _norm(op, statistics=FLOAT, data_format=b'NCHW'), _norm(data_format=b'NCHW')
        yield SAME, op + ', another epsilon', _norm(op, statistics=FLOAT, epsilon=0.5), _norm(epsilon=0.5)
        yield SAME, op + ', factor of the averages', _norm(op, statistics=FLOAT, exponential_avg_factor=0.5), _norm()
        yield APART, op + ' in training', _norm(op, statistics=FLOAT, is_training=True), _norm(is_training=True)
        yield APART, op + ' in training by default', _norm(op, statistics=FLOAT, is_training=None), _norm(
            is_training=None)
        yield APART, op + ' of halves', _norm(op, dtype=HALF, statistics=FLOAT), _norm(dtype=HALF)
        yield APART, op + ' with statistics of another type', _norm(op, statistics=HALF), _norm()
        yield APART, op + ' with statistics of a type that it does not say', _norm(op), _norm()
        for port in (1, 2, 3, 4):
            out = 'n:{}'.format(port)
            yield APART, '{}, output {}'.format(op, port), _norm(op, out, statistics=FLOAT), _norm(out=out)
            yield APART, '{}, output {} as a result'.format(op, port), _norm(op, statistics=FLOAT), _norm(), \
                'n:{}'.format(port)
        for attr, value in (('epsilon', 0.5), ('data_format', b'NCHW')):
            yield APART, '{}, {} differs'.format(op, attr), _norm(op, statistics=FLOAT, **{attr: value}), _norm()


@cases('Assert text')
def _asserts():
    def build(predicate='p', text=b'a', data=(), op='Assert'):
        made = Made().placeholder('p', BOOL).placeholder('q', BOOL).placeholder('x').const('text', text, object)
        made.node('fine', op, [predicate, 'text'] + list(data)).node('kept', 'LogicalAnd', ['p', 'q'])
        made.change('fine').attr['T'].list.type.extend([STRING] + [FLOAT] * len(data))
        return made.node('out', 'Neg', ['x', '^fine'], T=FLOAT)
    yield SAME, 'other words', build(), build(text=b'b'), 'kept'
    yield SAME, 'more to print', build(), build(data=('x',)), 'kept'
    yield APART, 'another predicate', build(), build('q'), 'kept'


# forms ----------------------------------------------------------------------------------------------------------------

def _loop(spare=True, start=0, step=1, less='Less', both='LogicalAnd', bound=None, kind=np.int32, dtype=INT32,
          add='Add', between=(), waits=(), read=None, swapped=False, over=None, order='12', enter='Enter',
          constant=True, tested=True, counts='sc:1'):
    """A loop with an index i, and with ``spare`` a counter c beside it.

    Args:
        start, step, less, kind, dtype, add: of the counter.
        both: what joins the two tests; order: in which order they are read.
        bound: what the counter is compared with; None for the index's own bound, entered into the loop.
        between: names of edges of the counter that an Identity is put into: 'step', 'less', 'cond', 'bound', 'enter'.
        waits: names of nodes that wait for an Assert; read: adds what else reads the counter.
        tested: bool, whether the loop looks at the counter's test; counts: what the step is added to.
    """
    made = Made().const('z', 0, np.int32).const('n', 3, np.int32)

    def edge(name, source, of):
        if name not in between:
            return source
        made.node('between_' + name, 'Identity', [source], T=of)
        return 'between_' + name
    loop = dict(frame_name=b'f')
    made.node('ei', 'Enter', ['z'], T=INT32, **loop).node('mi', 'Merge', ['ei', 'ni'], T=INT32, N=2)
    made.node('si', 'Switch', ['mi', 'cond'], T=INT32).node('idi', 'Identity', ['si:1'], T=INT32)
    made.const('onei', 1, np.int32, ['^idi']).node('ai', 'Add', ['si:1', 'onei'], T=INT32)
    made.node('ni', 'NextIteration', ['ai'], T=INT32)
    made.node('en', 'Enter', ['n'], T=INT32, is_constant=constant, **loop).node('l2', 'Less', ['mi', 'en'], T=INT32)
    if not spare:
        made.node('cond', 'LoopCond', [edge('cond', 'l2', BOOL)])
    else:
        made.const('zc', start, kind).node('ec', enter, [edge('enter', 'zc', dtype)], T=dtype, **loop)
        made.node('mc', 'Merge', ['ec', 'nc'], T=dtype, N=2).node('sc', 'Switch', ['mc', 'cond'], T=dtype)
        made.node('idc', 'Identity', ['sc:1'], T=dtype).const('onec', step, kind, ['^idc'])
        sides = [edge('step', counts, dtype), 'onec']
        made.node('ac', add, sides[::-1] if swapped else sides, T=dtype).node('nc', 'NextIteration', ['ac'], T=dtype)
        limit = 'en'
        if bound == 'inside':
            made.const('limit', 3, kind, ['^mc'])
            limit = 'limit'
        elif bound is not None:
            made.const('nc_', bound, kind).node('enc', 'Enter', ['nc_'], T=dtype, is_constant=constant, **loop)
            limit = 'enc'
        made.node('l1', less, [over or edge('less', 'mc', dtype), edge('bound', limit, dtype)], T=dtype)
        made.node('both', both, ['l1', 'l2'] if order == '12' else ['l2', 'l1'])
        made.node('cond', 'LoopCond', [edge('cond', 'both' if tested else 'l2', BOOL)])
    if read:
        read(made)
    if waits:
        made.check()
        for name in waits:
            made.change(name).input.append('^fine')
    return made.node('out', 'Exit', ['si'], T=INT32)


@cases('while counter')
def _counters():
    yield SAME, 'both count to one bound', _loop(), _loop(False)
    yield SAME, 'the tests the other way round', _loop(order='21'), _loop(False)
    yield SAME, 'one plus', _loop(swapped=True), _loop(False)
    yield SAME, 'AddV2', _loop(add='AddV2'), _loop(False)
    yield SAME, 'an equal bound', _loop(bound=3), _loop(False)
    for name in ('step', 'less', 'bound', 'enter'):
        yield SAME, 'an Identity before {}'.format(name), _loop(between=(name,)), _loop(False)
    yield SAME, 'an Identity before cond', _loop(between=('cond',)), _loop(False, between=('cond',))

    def left(made):
        made.node('left', 'Exit', ['sc'], T=INT32)
    yield SAME, 'an Exit that nobody reads', _loop(read=left), _loop(False)
    yield APART, 'another bound', _loop(bound=2), _loop(False)
    yield APART, 'another start', _loop(start=1), _loop(False)
    yield APART, 'another step', _loop(step=2), _loop(False)
    yield APART, 'a step back', _loop(step=-1), _loop(False)
    yield APART, 'counts on from where the loop ends', _loop(counts='sc'), _loop(False)
    yield APART, 'counts on from the index', _loop(counts='si:1'), _loop(False)
    yield APART, 'subtracts', _loop(add='Sub'), _loop(False)
    yield APART, 'less or equal', _loop(less='LessEqual'), _loop(False)
    yield APART, 'one of the two', _loop(both='LogicalOr'), _loop(False)
    yield APART, 'a floating point counter', _loop(kind=np.float32, dtype=FLOAT, bound=3.0), _loop(False)
    yield APART, 'the other output of its Merge', _loop(over='mc:1'), _loop(False)
    yield APART, 'the bound changes', _loop(constant=False), _loop(False, constant=False)

    for name, source, dtype in (('its Exit', 'left', INT32), ('its Merge', 'mc', INT32), ('its Switch', 'sc:1', INT32),
                                ('its step', 'ac', INT32), ('its Identity', 'idc', INT32), ('its test', 'l1', BOOL)):
        def read(made, source=source, dtype=dtype):
            left(made)
            made.node('q', 'Cast', [source], SrcT=dtype, DstT=FLOAT)
        yield APART, '{} is read'.format(name), _loop(read=read), _loop(read=read, tested=False), 'q'
        if source != 'left':  # or as it is, and fetched
            yield APART, '{} is an output'.format(name), _loop(read=left), _loop(read=left, tested=False), source
    for name in ('l1', 'both', 'mc', 'ec', 'nc', 'ac', 'sc'):
        yield APART, '{} waits'.format(name), _loop(waits=[name]), waiting(_loop(False)), 'kept'


def _rank(made, dims):
    """Adds x, of a rank that is known, or not."""
    if dims is None:
        return made.placeholder('x')
    return made.placeholder('x0').const('s', list(range(2, 2 + dims)), np.int32).node(
        'x', 'Reshape', ['x0', 's'], T=FLOAT, Tshape=INT32)


def _flat_softmax(dims=3, minus=(-1,), axis=0, size=(1,), begin='Sub', less=1, shaped='x', ranked='x', restored='x',
                  op='Softmax', waits=(), sliced='Slice', flat_reads='x'):
    """The softmax of TF <= 1.10: flattened to two dimensions, and restored."""
    made = _rank(Made().placeholder('w').node('kept', 'Neg', ['w'], T=FLOAT), dims)
    for name in ('x', 'w'):
        made.node('shape_' + name, 'Shape', [name], T=FLOAT).node('rank_' + name, 'Rank', [name], T=FLOAT)
    made.const('less', less, np.int32)
    if begin == 'Sub':
        made.node('place', 'Sub', ['rank_' + ranked, 'less'], T=INT32).node('begin', 'Pack', ['place'], T=INT32, N=1)
    elif begin == 'Add':
        made.node('place', 'Add', ['rank_' + ranked, 'less'], T=INT32).node('begin', 'Pack', ['place'], T=INT32, N=1)
    elif begin == 'Const of rank':
        made.const('known', dims or 3, np.int32).node('place', 'Sub', ['known', 'less'], T=INT32).node(
            'begin', 'Pack', ['place'], T=INT32, N=1)
    else:
        made.const('begin', [begin], np.int32)
    made.const('size', size, np.int32).const('minus', minus, np.int32).const('axis', axis, np.int32)
    made.node('last', sliced, ['shape_' + shaped, 'begin', 'size'], T=INT32, Index=INT32)
    made.node('flatter', 'ConcatV2', ['minus', 'last', 'axis'], T=INT32, Tidx=INT32, N=2)
    made.node('flat', 'Reshape', [flat_reads, 'flatter'], T=FLOAT, Tshape=INT32).node('sm', op, ['flat'], T=FLOAT)
    made.node('restored', 'Reshape', ['sm', 'shape_' + restored], T=FLOAT, Tshape=INT32)
    made.check('kept_p')
    for name in waits:
        made.change(name).input.append('^fine')
    return made.node('out', 'Neg', ['restored'], T=FLOAT)


def _plain_softmax(dims=3, op='Softmax'):
    made = _rank(Made().placeholder('w').node('kept', 'Neg', ['w'], T=FLOAT), dims)
    made.placeholder('p', BOOL).node('kept_p', 'Identity', ['p'], T=BOOL)
    return made.node('sm', op, ['x'], T=FLOAT).node('out', 'Neg', ['sm'], T=FLOAT)


@cases('softmax')
def _softmaxes():
    kept = ('kept', 'kept_p')
    for dims in (2, 3, 4):
        yield (SAME, '{} dimensions'.format(dims), _flat_softmax(dims), _plain_softmax(dims)) + kept
        yield (SAME, '{} dimensions, begin written'.format(dims), _flat_softmax(dims, begin=dims - 1),
               _plain_softmax(dims)) + kept
    yield (SAME, 'of unknown rank', _flat_softmax(None), _plain_softmax(None)) + kept
    yield (SAME, 'begin from a rank that is written', _flat_softmax(begin='Const of rank'), _plain_softmax()) + kept
    for why, given in (
            ('another dimension kept', dict(begin=1)), ('a dimension that is not there', dict(begin=3)),
            ('the one before the last', dict(less=2)), ('rank plus one', dict(begin='Add')),
            ('-2 dimensions', dict(minus=(-2,))), ('three dimensions', dict(minus=(-1, 2))),
            ('a first dimension of 1', dict(minus=(1,))),
            ('joined along another axis', dict(axis=1)), ('two dimensions kept', dict(size=(2,))),
            ('all the rest kept', dict(size=(-1,))), ('the shape of another', dict(shaped='w')),
            ('the rank of another', dict(ranked='w')), ('restored to another shape', dict(restored='w')),
            ('flattened from another', dict(flat_reads='w'))):
        yield (APART, why, _flat_softmax(**given), _plain_softmax()) + kept
    yield (APART, 'rank not known, begin written', _flat_softmax(None, begin=2), _plain_softmax(None)) + kept
    yield (APART, 'another op', _flat_softmax(op='LogSoftmax'), _plain_softmax(op='LogSoftmax')) + kept
    for name in ('restored', 'flat', 'sm', 'shape_x', 'flatter', 'last', 'begin', 'place', 'rank_x'):
        yield (APART, name + ' waits', _flat_softmax(waits=[name]), _plain_softmax()) + kept


def _masked(form, axis=0, along=0, start=0, step=1, begin=(0,), end=(1,), stride=(1,), nms='NonMaxSuppressionV2',
            compare='Less', select='Select', length='nms', counted='count', pad='Fill', gather='GatherV2',
            port='', waits=()):
    """Scores gathered at places of NMS, padded, and masked: ``form`` 'before' or 'after', as the rule writes it."""
    made = Made().placeholder('boxes').placeholder('scores').placeholder('more', INT32).placeholder('otherwise')
    made.placeholder('length', INT32).placeholder('given', INT32).placeholder('p', BOOL)
    for name, source, dtype in (('k1', 'boxes', FLOAT), ('k2', 'more', INT32), ('k3', 'given', INT32),
                                ('k4', 'p', BOOL), ('k5', 'length', INT32)):
        made.node(name, 'Identity', [source], T=dtype)
    made.const('most', 5, np.int32).const('iou', 0.5).const('zero', 0, np.int32).const('pad', 0.0)
    made.const('least', 0.1)
    if nms.startswith('NonMax'):
        made.node('nms', nms, ['boxes', 'scores', 'most', 'iou'] + ['least'] * (nms[-1] in '34'),
                  **({} if nms[-1] == '2' else {'T': FLOAT}))
    else:
        made.node('nms', nms, ['given'], T=INT32)
    made.const('along', along, np.int32).const('axis', axis, np.int32)
    if form == 'before':
        made.node('values', gather, ['scores', 'nms' + port, 'along'], Tparams=FLOAT, Tindices=INT32, Taxis=INT32)
        made.node('fill', pad, ['more', 'pad'], T=FLOAT)
        made.node('padded', 'ConcatV2', ['values', 'fill', 'axis'], T=FLOAT, Tidx=INT32, N=2)
    else:
        made.node('fill', pad, ['more', 'zero'], T=INT32)
        made.node('places', 'ConcatV2', ['nms' + port, 'fill', 'zero'], T=INT32, Tidx=INT32, N=2)
        made.node('padded', gather, ['scores', 'places', 'zero'], Tparams=FLOAT, Tindices=INT32, Taxis=INT32)
    made.const('start', start, np.int32).const('step', step, np.int32)
    made.node('steps', 'Range', ['start', 'length', 'step'], Tidx=INT32)
    for name, value in (('b', begin), ('e', end), ('by', stride)):
        made.const(name, value, np.int32)
    made.node('shape', 'Shape', [length], T=INT32).node('count', 'StridedSlice', ['shape', 'b', 'e', 'by'], T=INT32,
                                                       Index=INT32, shrink_axis_mask=1)
    made.node('mask', compare, ['steps', counted], T=INT32)
    made.node('out', select, ['mask', 'padded', 'otherwise'], T=FLOAT)
    made.node('fine', 'Assert', ['p', 'p'])
    made.change('fine').attr['T'].list.type.append(BOOL)
    for name in waits:
        made.change(name).input.append('^fine')
    return made


@cases('masked padding')
def _paddings():
    kept = ('k1', 'k2', 'k3', 'k4', 'k5')
    for nms in ('NonMaxSuppressionV2', 'NonMaxSuppressionV3', 'NonMaxSuppressionV4'):
        yield (SAME, nms, _masked('before', nms=nms), _masked('after', nms=nms)) + kept
    yield (SAME, 'joined along the last axis', _masked('before', axis=-1), _masked('after')) + kept
    for why, given in (
            ('joined along the second axis', dict(axis=1)), ('gathered along another', dict(along=1)),
            ('counted from 1', dict(start=1)), ('counted by twos', dict(step=2)),
            ('another dimension', dict(begin=(1,), end=(2,))), ('to the second', dict(end=(2,))),
            ('strides of 2', dict(stride=(2,))), ('up to and with n', dict(compare='LessEqual')),
            ('what NMS did not choose', dict(compare='GreaterEqual')), ('places that are given', dict(nms='Neg')),
            ('the length of something else', dict(length='given')), ('a number that is given', dict(counted='given')),
            ('another op that pads', dict(pad='Tile')),
            ('the number of valid ones', dict(nms='NonMaxSuppressionV4', port=':1'))):
        yield (APART, why, _masked('before', **given), _masked('after', **given)) + kept
    for name in ('padded', 'values', 'fill'):
        yield (APART, name + ' waits', _masked('before', waits=[name]), _masked('after')) + kept
    yield (SAME, 'count waits, in both', _masked('before', waits=['count']), _masked('after', waits=['count'])) + kept


# The rank of what an op makes, as its definition has it: (op, rank, function that adds it to a graph as 'y').
def _shaped(made, name, rank, dtype=FLOAT):
    return made.placeholder(name, dtype, [-1] * rank)


RANKS = [
    ('Placeholder', 3, lambda made: _shaped(made, 'y', 3)),
    ('Const', 2, lambda made: made.const('y', [[1., 2.]])),
    ('Reshape', 3, lambda made: _shaped(made, 'a', 2).const('s', [1, 2, 3], np.int32).node(
        'y', 'Reshape', ['a', 's'], T=FLOAT)),
    ('Reshape to a Pack', 2, lambda made: _shaped(made, 'a', 3).placeholder('n', INT32, []).node(
        's', 'Pack', ['n', 'n'], T=INT32, N=2).node('y', 'Reshape', ['a', 's'], T=FLOAT)),
    ('Pack', 3, lambda made: _shaped(made, 'a', 2).node('y', 'Pack', ['a', 'a'], T=FLOAT, N=2)),
    ('Unpack', 2, lambda made: _shaped(made, 'a', 3).node('u', 'Unpack', ['a'], T=FLOAT, num=2).node(
        'y', 'Identity', ['u:1'], T=FLOAT)),
    ('Add', 3, lambda made: _shaped(_shaped(made, 'a', 3), 'b', 1).node('y', 'Add', ['a', 'b'], T=FLOAT)),
    ('Mul', 3, lambda made: _shaped(_shaped(made, 'a', 1), 'b', 3).node('y', 'Mul', ['a', 'b'], T=FLOAT)),
    ('Conv2D', 4, lambda made: made.placeholder('a').placeholder('b').node(
        'y', 'Conv2D', ['a', 'b'], T=FLOAT, strides=[1, 1, 1, 1], padding=b'SAME')),
    ('MatMul', 2, lambda made: made.placeholder('a').placeholder('b').node('y', 'MatMul', ['a', 'b'], T=FLOAT)),
    ('Relu', 2, lambda made: _shaped(made, 'a', 2).node('y', 'Relu', ['a'], T=FLOAT)),
]
UNRANKED = [
    ('Placeholder', 3, lambda made: made.placeholder('y')),
    ('Placeholder of an old graph', 0, lambda made: _shaped(made, 'y', 0)),
    ('Add of an unknown one', 3, lambda made: _shaped(made, 'a', 3).placeholder('b').node(
        'y', 'Add', ['a', 'b'], T=FLOAT)),
    ('Reshape to what is given', 3, lambda made: _shaped(made, 'a', 3).placeholder('s', INT32).node(
        'y', 'Reshape', ['a', 's'], T=FLOAT)),
    ('second output', 4, lambda made: _norm_in(made).node('y', 'Identity', ['n:1'], T=FLOAT)),
    ('an op that nothing is known of', 3, lambda made: _shaped(made, 'a', 3).const('i', 0, np.int32).node(
        'y', 'Sum', ['a', 'i'], T=FLOAT, Tidx=INT32)),
]


def _norm_in(made):
    for name in ('x', 'scale', 'offset', 'mean', 'variance'):
        made.placeholder(name)
    return made.node('n', 'FusedBatchNorm', ['x', 'scale', 'offset', 'mean', 'variance'], T=FLOAT, is_training=False)


def _transposed(add, permutation, waits=False, dtype=np.int32):
    made = Made()
    add(made)
    made.const('perm', permutation, dtype, controls=['^y'] if waits else ())
    return made.node('out', 'Transpose', ['y', 'perm'], T=FLOAT, Tperm=INT32 if dtype is np.int32 else INT64)


def _computed(add, conjugate=False):
    """Transpose by n-1 … 0 as tf.transpose wrote it: from the rank of what is transposed."""
    made = Made()
    add(made)
    made.node('rank', 'Rank', ['y'], T=FLOAT).const('one', 1, np.int32).const('zero', 0, np.int32)
    made.node('last', 'Sub', ['rank', 'one'], T=INT32).node('range', 'Range', ['zero', 'rank', 'one'], Tidx=INT32)
    made.node('perm', 'Sub', ['last', 'range'], T=INT32)
    return made.node('out', 'Transpose', ['y', 'perm'], T=FLOAT, Tperm=INT32)


@cases('transpose')
def _transposes():
    for op, rank, add in RANKS:
        if op != 'Const':  # of Consts all is worked out
            yield SAME, op, _transposed(add, list(range(rank))[::-1]), _computed(add)
            yield APART, op + ', one too many', _transposed(add, list(range(rank + 1))[::-1]), _computed(add)
            yield APART, op + ', one too few', _transposed(add, list(range(rank - 1))[::-1]), _computed(add)
    for op, rank, add in UNRANKED:
        for length in sorted({rank, 1}):
            yield APART, '{}, {} places'.format(op, length), _transposed(add, list(range(length))[::-1]), _computed(add)
    for permutation in ([0, 1, 2], [2, 0, 1], [1, 0, 2], [0, 2, 1]):
        yield APART, str(permutation), _transposed(RANKS[0][2], permutation), _computed(RANKS[0][2])
    yield APART, 'long places', _transposed(RANKS[0][2], [2, 1, 0], dtype=np.int64), _computed(RANKS[0][2])
    yield APART, 'places in a square', _transposed(_square, [[1, 0], [3, 2]]), _computed(_square)


def _square(made):
    return _shaped(made, 'y', 4)


# ----------------------------------------------------------------------------------------------------------------------

for _rule, _function in _GENERATORS:
    for _row in _function():
        _row[0].append(Case(_rule, _row[1], _row[2], _row[3], ['out'] + list(_row[4:])))


# How often a rule is used on the two sides, where it is not once on the first.
COUNTS = {
    ('loop parallelism', 'the number'): (0, 1),  # on the other side it is the default
    ('Identity chains', 'Identity twice'): (2, 0), ('Identity chains', 'StopGradient twice'): (2, 0),
    ('Identity chains', 'PreventGradient twice'): (2, 0), ('Identity chains', 'Snapshot twice'): (2, 0),
    ('Identity chains', 'waited for'): (1, 1),  # its first reader is on both sides
    ('control groups', 'one group'): (3, 2), ('control groups', 'a group of a group'): (3, 2),
    ('control groups', 'a group and one of it'): (3, 2),
    ('Assert text', 'other words'): (1, 1), ('Assert text', 'more to print'): (1, 1)}


@pytest.mark.parametrize('case', SAME, ids=named)
def test_a_rule_makes_two_forms_one(case):
    result = result_of(case)
    assert result.equal
    assert result.rules[case.rule] == COUNTS.get((case.rule, case.why), (1, 0))
    assert _bytes(case.one, case) == _bytes(case.other, case)


@pytest.mark.parametrize('case', SAME, ids=named)
def test_what_has_been_rewritten_is_left_alone(case):
    graph = graphs.graph_of(case.one.graph_def, case.outputs)
    before = [list(graph.ops), [list(row) for row in graph.inputs], list(graph.controls), list(graph.attrs)]
    plain_graph, used = _rules.apply(graph, _rules.NAMES)
    assert case.rule in used or case.rule == 'loop parallelism'
    assert before == [graph.ops, graph.inputs, graph.controls, graph.attrs]  # a copy was rewritten
    again, _ = _rules.apply(plain_graph, _rules.NAMES)
    assert _canonical.serialized(plain_graph) == _canonical.serialized(again)


@pytest.mark.parametrize('case', SAME, ids=named)
def test_the_canonical_form_is_its_own(case):
    form = _canonical.form(graphs.graph_of(case.one.graph_def, case.outputs))
    outputs = [name for name in case.outputs if any(node.name == name for node in form.node)]
    assert len(outputs) == len(case.outputs) - case.outputs.count('nms:2')
    assert _canonical.serialized(graphs.graph_of(form, outputs)) == form.SerializeToString(deterministic=True)


@pytest.mark.parametrize('case', APART, ids=named)
def test_a_neighbour_stays_another(case):
    assert not result_of(case).equal
    assert _bytes(case.one, case) != _bytes(case.other, case)


def _bytes(made, case):
    return _canonical.serialized(graphs.graph_of(made.graph_def, case.outputs))


def test_every_rule_has_what_it_is_for_and_what_it_is_not():
    assert set(_rules.NAMES) == {case.rule for case in SAME} == {case.rule for case in APART}
