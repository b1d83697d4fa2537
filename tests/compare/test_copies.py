"""Which nodes that look alike are one value, and which are two although they look alike."""
import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch.compare import _canonical  # noqa: E402
from od_patch.compare import _equivalence  # noqa: E402
from od_patch.graphs import _sources  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.written import BOOL, FLOAT, INT32, Made  # noqa: E402

pytestmark = pytest.mark.once


def equal(one, other, outputs=('out',)):
    result = _equivalence.Equivalence(*[graphs.graph_of(made.graph_def, list(outputs)) for made in (one, other)])
    forms = [_canonical.serialized(graphs.graph_of(made.graph_def, list(outputs))) for made in (one, other)]
    assert result.equal == (forms[0] == forms[1])
    return result.equal


def subtracted(op, two, inputs=('n',), **attrs):
    """What an op makes, subtracted from itself, or from what a second such op makes."""
    made = Made().placeholder('n', INT32).node('a', op, inputs, **attrs).node('b', op, inputs, **attrs)
    return made.node('out', 'Sub', ['a', 'b' if two else 'a'], T=FLOAT)


@pytest.mark.parametrize('op, attrs', [
    ('RandomUniform', dict(T=INT32, dtype=FLOAT, seed=3)), ('RandomStandardNormal', dict(T=INT32, dtype=FLOAT)),
    ('Multinomial', dict(T=INT32))])
def test_two_draws_are_not_one(op, attrs):
    inputs = ('n', 'n') if op == 'Multinomial' else ('n',)
    assert not equal(subtracted(op, True, inputs, **attrs), subtracted(op, False, inputs, **attrs))
    assert equal(subtracted(op, True, inputs, **attrs), subtracted(op, True, inputs, **attrs))


def test_two_copies_of_what_only_computes_are_one():
    assert equal(subtracted('Cast', True, SrcT=INT32, DstT=FLOAT), subtracted('Cast', False, SrcT=INT32, DstT=FLOAT))


def test_an_assert_that_stands_twice_is_one():
    def build(*waits):
        made = Made().placeholder('p', BOOL).placeholder('x')
        for name in ('a', 'b'):
            made.node(name, 'Assert', ['p', 'p'])
            made.graph_def.node[-1].attr['T'].list.type.append(BOOL)
        return made.node('out', 'Neg', ['x'] + ['^' + name for name in waits], T=FLOAT)
    assert equal(build('a', 'b'), build('a')) and equal(build('a'), build('b'))


def calls(two, stateful):
    made = Made().placeholder('x').node('a', 'f', ['x']).node('b', 'f', ['x'])
    function = made.graph_def.library.function.add()
    function.signature.name = 'f'
    function.signature.is_stateful = stateful
    function.signature.input_arg.add(name='x', type=FLOAT)
    function.signature.output_arg.add(name='y', type=FLOAT)
    return made.node('out', 'Sub', ['a', 'b' if two else 'a'], T=FLOAT)


def test_two_calls_of_a_function_may_be_two():
    assert not equal(calls(True, True), calls(False, True))
    assert equal(calls(True, True), calls(True, True))


def loops(second, limit=3, names=('f', 'g')):
    """Two loops that count to three (the second to ``limit``), or one that is read twice."""
    made = Made().const('z', 0, np.int32)
    for place, name in enumerate('ab'[:1 + second]):
        made.const('n' + name, limit if name == 'b' else 3, np.int32)
        frame = names[place].encode()
        made.node('e' + name, 'Enter', ['z'], T=INT32, frame_name=frame)
        made.node('m' + name, 'Merge', ['e' + name, 'next' + name], T=INT32, N=2)
        made.node('en' + name, 'Enter', ['n' + name], T=INT32, frame_name=frame, is_constant=True)
        made.node('l' + name, 'Less', ['m' + name, 'en' + name], T=INT32).node('c' + name, 'LoopCond', ['l' + name])
        made.node('s' + name, 'Switch', ['m' + name, 'c' + name], T=INT32)
        made.node('in' + name, 'Identity', ['s%s:1' % name], T=INT32).const('one' + name, 1, np.int32, ['^in' + name])
        made.node('add' + name, 'Add', ['s%s:1' % name, 'one' + name], T=INT32)
        made.node('next' + name, 'NextIteration', ['add' + name], T=INT32)
        made.node('x' + name, 'Exit', ['s' + name], T=INT32)
    return made.node('out', 'Sub', ['xa', 'xb' if second else 'xa'], T=INT32)


def test_loops_are_told_by_what_they_do_and_not_by_their_frames_names():
    assert equal(loops(True), loops(True, names=('h', 'i')))
    assert equal(loops(False), loops(False, names=('k', 'l')))
    assert not equal(loops(True), loops(True, limit=4))
    assert equal(loops(True), loops(False))


def exchanged(first, second):
    made = Made().placeholder('a').placeholder('b').placeholder('c')
    return made.node('x', 'Sub', [first, second], T=FLOAT).node('out', 'Mul', ['x', 'c'], T=FLOAT)


def test_inputs_are_told_by_their_names_where_both_have_them():
    assert equal(exchanged('a', 'b'), exchanged('a', 'b')) and not equal(exchanged('a', 'b'), exchanged('b', 'a'))
    assert not equal(exchanged('a', 'b'), exchanged('a', 'a'))


def ends(*ops):
    """A graph without outputs of known names: ends called after their place."""
    made = Made().placeholder('x')
    for index, op in enumerate(ops):
        made.node('end%d' % index, op, ['x'], T=FLOAT)
    return made


def test_ends_of_other_names_are_told_by_what_they_compute():
    def result(one, other, renamed):
        left, right = ends(*one), ends(*other)
        if renamed:
            for node in right.graph_def.node[1:]:
                node.name = 'other' + node.name
        return _equivalence.Equivalence(*[graphs.graph_of(made.graph_def) for made in (left, right)]).equal
    assert result(['Neg', 'Exp'], ['Exp', 'Neg'], True) and not result(['Neg', 'Exp'], ['Exp', 'Neg'], False)
    assert not result(['Neg', 'Exp'], ['Neg', 'Neg'], True) and not result(['Neg', 'Exp'], ['Neg', 'Abs'], True)
    assert not result(['Neg', 'Exp'], ['Neg'], True)


def test_the_output_number_of_a_result_counts():
    def result(port):
        made = Made().placeholder('p', BOOL).placeholder('x').node('s', 'Switch', ['x', 'p'], T=FLOAT)
        return _sources.Source('a', 'a', 'SavedModel', made.graph_def, [('out', 's:%d' % port)]).graph()
    assert not _equivalence.Equivalence(result(0), result(1)).equal
    assert _equivalence.Equivalence(result(1), result(1)).equal
    assert _canonical.serialized(result(0)) != _canonical.serialized(result(1))


def test_what_is_set_aside_without_a_rule_is_told():
    def always(change):
        one, other = ends('Neg', 'Exp'), ends('Neg', 'Exp')
        change(other)
        return _equivalence.Equivalence(*[graphs.graph_of(made.graph_def, ['end0']) for made in (one, other)]).always

    def rename(made):
        made.change('end1').name = 'another'

    def reorder(made):
        nodes = list(made.graph_def.node)[::-1]
        del made.graph_def.node[:]
        made.graph_def.node.extend(nodes)
    assert always(lambda made: None) == []
    assert always(rename) == ['names'] and always(reorder) == ['node order']
    assert always(lambda made: made.graph_def.node.remove(made.change('end1'))) == [
        'names', 'dead nodes (1 against 0)']

    def copies(two):
        return graphs.graph_of(subtracted('Cast', two, SrcT=INT32, DstT=FLOAT).graph_def, ['out'])
    assert _equivalence.Equivalence(copies(True), copies(False)).always == [
        'dead nodes (0 against 1)', 'copies of one computation (1 against 0)']


def form_of(made, outputs=None):
    return _canonical.form(graphs.graph_of(made.graph_def, outputs))


def test_an_input_that_is_an_output_keeps_its_name_in_the_canonical_form():
    made = Made().placeholder('x').node('out', 'Neg', ['x'], T=FLOAT)
    assert sorted(node.name for node in form_of(made, ['out', 'x']).node) == ['n1', 'out', 'x']
    made = Made().placeholder('x').node('n0', 'Neg', ['x'], T=FLOAT).node('n1', 'Neg', ['n0'], T=FLOAT)
    assert [node.name for node in form_of(made, ['n1']).node] == ['x', 'n1_', 'n2', 'n1']


def test_the_canonical_form_does_not_depend_on_what_ends_are_called_nor_on_the_order_of_functions():
    def made(names, functions):
        one = Made().placeholder('x').node(names[0], 'Neg', ['x'], T=FLOAT).node(names[1], 'Exp', ['x'], T=FLOAT)
        one.node(names[2], 'f0', ['x'])
        for name in functions:
            function = one.graph_def.library.function.add()
            function.signature.name = name
            function.signature.input_arg.add(name='x', type=FLOAT)
            function.signature.output_arg.add(name='y', type=FLOAT)
        return one
    forms = {form_of(made(names, functions)).SerializeToString(deterministic=True)
             for names in ('abc', 'bca', 'cab') for functions in (['f0', 'f1'], ['f1', 'f0'])}
    assert len(forms) == 1


def test_an_identity_behind_an_output_has_the_type_of_what_it_hands_on():
    made = Made().placeholder('x', INT32).node('out', 'Neg', ['x'], T=INT32).placeholder('p', BOOL)
    made.node('not', 'LogicalNot', ['p']).node('shape', 'Shape', ['p'], T=BOOL).node('rank', 'Rank', ['p'], T=BOOL)
    made.node('split', 'Unpack', ['x'], T=INT32, num=2).node('cast', 'Cast', ['x'], SrcT=INT32, DstT=FLOAT)
    names = ['out', 'not', 'shape', 'rank', 'split:1', 'cast']
    form = form_of(made, names)
    types = {node.name: node.attr['T'].type for node in form.node if node.op == 'Identity'}
    assert types == {'out': INT32, 'not': BOOL, 'shape': INT32, 'rank': INT32, 'split_1': INT32, 'cast': FLOAT}


def test_the_canonical_form_of_loops_runs():
    made = loops(True, limit=5)
    assert graphs.run(form_of(made, ['out']), ['out'], {})[0] == graphs.run(made.graph_def, ['out'], {})[0] == -2


def test_two_nodes_that_are_handed_a_function_may_be_two():
    def build(two):
        made = Made().placeholder('x')
        for name in ('a', 'b'):
            made.node(name, 'PartitionedCall', ['x'])
            made.graph_def.node[-1].attr['f'].func.name = 'f'
            for listed in ('Tin', 'Tout'):
                made.graph_def.node[-1].attr[listed].list.type.append(FLOAT)
        function = made.graph_def.library.function.add()
        function.signature.name = 'f'
        return made.node('out', 'Sub', ['a', 'b' if two else 'a'], T=FLOAT)
    assert not equal(build(True), build(False)) and equal(build(True), build(True))


def test_a_function_is_told_by_those_that_it_calls_and_not_by_others():
    def build(inner, spare=1.0):
        made = Made().placeholder('x').node('call', 'f', ['x']).node('out', 'Neg', ['call'], T=FLOAT)
        for name, value in (('f', None), ('g', inner), ('spare', spare)):
            function = made.graph_def.library.function.add()
            function.signature.name = name
            body = Made().const('k', value or 1.0) if value else Made().node('inner', 'g', ['x'])
            function.node_def.extend(body.graph_def.node)
        return made
    assert not equal(build(2.0), build(3.0)) and equal(build(2.0), build(2.0))
    left, right = [graphs.graph_of(build(2.0, spare).graph_def, ['out']) for spare in (1.0, 5.0)]
    assert _equivalence.Equivalence(left, right).equal


def test_which_output_of_a_node_a_signature_feeds_counts():
    def fed(port, name='a'):
        made = Made().placeholder('x').node('s', 'Unpack', ['x'], T=FLOAT, num=2)
        made.node('out', 'Sub', ['s', 's:1'], T=FLOAT)
        return _sources.Source('a', 'a', 'SavedModel', made.graph_def, [('out', 'out:0')],
                               inputs=[(name, 's:%d' % port)]).graph()
    assert _equivalence.Equivalence(fed(0), fed(0)).equal
    assert not _equivalence.Equivalence(fed(0), fed(1)).equal


def test_what_reads_another_output_of_a_node_is_another_node():
    def build(port):
        made = Made().placeholder('x').node('u', 'Unpack', ['x'], T=FLOAT, num=2)
        return made.node('out', 'Neg', ['u:%d' % port], T=FLOAT)
    assert equal(build(1), build(1)) and not equal(build(0), build(1))
