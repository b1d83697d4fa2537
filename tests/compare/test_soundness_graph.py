"""Graphs that differ but once were taken for one, and files that once hung or were read as something they do not say."""
import sys

import pytest

from od_patch._errors import InputRefused
from od_patch.compare import _canonical
from od_patch.compare import _equivalence
from od_patch.compare import _verdict
from tests.compare import graphs

pytest.importorskip('tensorflow')

FLOAT, INT = 1, 3


def made(*rows):
    """A GraphDef of rows (name, op, inputs, {attribute: DataType, int, bool or text}); a float makes a Const."""
    from tensorflow.core.framework import graph_pb2
    import tensorflow as tf
    graph_def = graph_pb2.GraphDef()
    for name, op, inputs, attrs in rows:
        node = graph_def.node.add(name=name, op=op)
        node.input.extend(inputs)
        for key, value in attrs.items():
            if key == 'value':
                node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(value))
                node.attr['dtype'].type = node.attr['value'].tensor.dtype
            elif isinstance(value, bytes):
                node.attr[key].s = value
            elif isinstance(value, bool):
                node.attr[key].b = value
            elif key in ('N', 'parallel_iterations'):
                node.attr[key].i = value
            else:
                node.attr[key].type = value
    return graph_def


def row(name, op, *inputs, **attrs):
    return name, op, inputs, attrs or ({} if op == 'LoopCond' else {'T': FLOAT})


def placeholder(name):
    return row(name, 'Placeholder', dtype=FLOAT)


def verdict(tmp_path, one, other, outputs=None):
    paths = [graphs.write(tmp_path / name, graph) for name, graph in (('a.pb', one), ('b.pb', other))]
    return _verdict.compare(paths[0], paths[1], outputs).verdict


def judged(one, other, outputs=('out',)):
    return _equivalence.Equivalence(*[graphs.graph_of(graph, outputs and list(outputs)) for graph in (one, other)])


def shifting(factor, prefix='', order=range(6)):
    """Six loop variables that begin with 0, 1, …, each handed to the one before it; the last is multiplied."""
    p = prefix
    loop = dict(T=FLOAT, frame_name=b'loop', parallel_iterations=10)
    rows = [row(p + 'limit', 'Const', value=9.0), row(p + 'zero', 'Const', value=0.0),
            row(p + 'ec', 'Enter', p + 'zero', **loop), row(p + 'mc', 'Merge', p + 'ec', p + 'nc', T=FLOAT, N=2),
            row(p + 'el', 'Enter', p + 'limit', is_constant=True, **loop), row(p + 'less', 'Less', p + 'mc', p + 'el'),
            row(p + 'cond', 'LoopCond', p + 'less'), row(p + 'sc', 'Switch', p + 'mc', p + 'cond'),
            row(p + 'idc', 'Identity', p + 'sc:1'), row(p + 'one', 'Const', '^' + p + 'idc', value=1.0),
            row(p + 'addc', 'Add', p + 'sc:1', p + 'one'), row(p + 'nc', 'NextIteration', p + 'addc'),
            row(p + 'k', 'Const', '^' + p + 'idc', value=factor), row(p + 'mul', 'Mul', p + 's5:1', p + 'k')]
    for index in order:
        i = str(index)
        source = p + 'mul' if index == 5 else '{}s{}:1'.format(p, index + 1)
        rows += [row(p + 'init' + i, 'Const', value=float(index)), row(p + 'e' + i, 'Enter', p + 'init' + i, **loop),
                 row(p + 'm' + i, 'Merge', p + 'e' + i, p + 'n' + i, T=FLOAT, N=2),
                 row(p + 's' + i, 'Switch', p + 'm' + i, p + 'cond'), row(p + 'n' + i, 'NextIteration', source)]
    return made(*(rows + [row('out', 'Exit', p + 's0')]))


def test_a_difference_that_takes_many_iterations_to_come_out_is_found():
    assert not judged(shifting(2.0), shifting(3.0)).equal
    assert judged(shifting(2.0), shifting(2.0, 'other/', reversed(range(6)))).equal


def calling(factor, unused=False, device='', gradient=''):
    """A graph that calls a function of its library by its name."""
    graph_def = made(placeholder('x'), row('call', 'f', 'x'), row('out', 'Identity', 'call'))
    del graph_def.node[1].attr['T']  # the function has no such attribute
    for name in ['f'] + ['unused'] * unused:
        function = graph_def.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name='x', type=FLOAT)
        function.signature.output_arg.add(name='y', type=FLOAT)
        for node in made(row('k', 'Const', value=factor), row('mul', 'Mul', 'x', 'k:output:0')).node:
            function.node_def.add().CopyFrom(node)
            function.node_def[-1].device = device
        function.ret['y'] = 'mul:z:0'
    if gradient:
        graph_def.library.gradient.add(function_name='f', gradient_func=gradient)
    return graph_def


def test_functions_count_by_what_they_do_where_they_are_called(tmp_path):
    assert verdict(tmp_path, calling(2.0), calling(3.0)) not in ('identical', 'equivalent')
    assert verdict(tmp_path, calling(2.0, gradient='g'), calling(2.0, gradient='h')) not in ('identical', 'equivalent')
    assert verdict(tmp_path, calling(2.0), calling(2.0, unused=True)) == 'identical'
    assert verdict(tmp_path, calling(2.0), calling(2.0, device='/device:CPU:0')) == 'identical'


def test_inputs_with_a_default_are_inputs():
    def build(first, second):
        return made(row('d', 'Const', value=1.0), row('x', 'PlaceholderWithDefault', 'd', dtype=FLOAT),
                    row('y', 'PlaceholderWithDefault', 'd', dtype=FLOAT), row('out', 'Sub', first, second))
    assert not judged(build('x', 'y'), build('y', 'x')).equal
    assert judged(build('x', 'y'), build('x', 'y')).equal


def test_an_input_that_both_sides_name_keeps_its_role():
    def build(first, second):
        return made(placeholder(first), placeholder(second), row('out', 'Sub', first, second))
    assert not judged(build('x', 'y'), build('z', 'x')).equal
    assert judged(build('x', 'y'), build('x', 'z')).equal
    assert judged(build('x', 'y'), build('v', 'w')).equal


def test_an_output_that_both_sides_name_keeps_its_role():
    def build(boxes, scores, third):
        return made(placeholder('x'), row('p', 'Neg', 'x'), row('q', 'Exp', 'x'), row('boxes', 'Identity', boxes),
                    row('scores', 'Identity', scores), row(third, 'Abs', 'x'))
    assert not judged(build('p', 'q', 't'), build('q', 'p', 't2'), None).equal
    assert judged(build('p', 'q', 't'), build('p', 'q', 't2'), None).equal


def test_an_output_of_the_users_own_beside_the_conventional_ones_is_compared(tmp_path):
    def build(factor):
        return made(placeholder('x'), row('k', 'Const', value=factor), row('detection_boxes', 'Neg', 'x'),
                    row('my_output', 'Mul', 'x', 'k'))
    assert verdict(tmp_path, build(2.0), build(3.0)) not in ('identical', 'equivalent')
    assert verdict(tmp_path, build(2.0), build(3.0), ['detection_boxes']) == 'equivalent'


def test_copies_of_what_may_keep_state_are_not_one():
    def functions(second):
        graph_def = made(row('r', 'f', 'x'), row('r_1', 'f', 'x'), placeholder('x'), row('out', 'Sub', 'r', second))
        graph_def.library.CopyFrom(calling(2.0).library)
        graph_def.library.function[0].node_def.add(name='u', op='RandomUniform')
        return graph_def

    def python(second):
        return made(row('a', 'PyFunc', token=b'f'), row('b', 'PyFunc', token=b'f'), row('out', 'Sub', 'a', second))
    assert not judged(functions('r'), functions('r_1')).equal
    assert not judged(python('a'), python('b')).equal


@pytest.mark.parametrize('text', ['x:x', 'x:-1', 'x:\u00b2', 'x:', 'x:\u0663'])
def test_an_edge_to_what_is_no_output_is_refused(text):
    with pytest.raises(InputRefused):
        graphs.graph_of(made(placeholder('x'), row('out', 'Neg', text)))


def test_a_cycle_that_no_output_needs_is_refused_and_does_not_hang():
    dead = made(placeholder('x'), row('out', 'Neg', 'x'), row('a', 'Identity', 'b'), row('b', 'Identity', 'a'))
    with pytest.raises(InputRefused) as caught:
        graphs.graph_of(dead, ['out'])
    assert 'cycle' in str(caught.value)


@pytest.mark.parametrize('op, inputs', [('Cast', 0), ('Transpose', 1), ('LoopCond', 0), ('NonMaxSuppressionV2', 3),
                                        ('ConcatV2', 2), ('Merge', 1), ('NonMaxSuppressionV5', 2)])
def test_a_node_with_too_few_inputs_is_refused(op, inputs):
    attrs = {'N': 2} if op in ('ConcatV2', 'Merge') else {'T': FLOAT}
    with pytest.raises(InputRefused) as caught:
        graphs.graph_of(made(placeholder('x'), row('out', op, *['x'] * inputs, **attrs)))
    assert 'inputs' in str(caught.value)


def saved(folder, keys, names=('x', 'y'), order=(0, 1)):
    from tensorflow.core.protobuf import saved_model_pb2
    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = model.meta_graphs.add()
    meta_graph.meta_info_def.tags.append('serve')
    meta_graph.graph_def.CopyFrom(made(placeholder(names[0]), placeholder(names[1]),
                                       row('out', 'Sub', names[order[0]], names[order[1]])))
    signature = meta_graph.signature_def['serving_default']
    for key, name in zip(keys, names):
        signature.inputs[key].name = name + ':0'
    signature.outputs['out'].name = 'out:0'
    folder.mkdir()
    (folder / 'saved_model.pb').write_bytes(model.SerializeToString())
    return str(folder)


def test_inputs_of_a_signature_are_told_by_its_names(tmp_path):
    one, swapped = saved(tmp_path / 'a', 'ab'), saved(tmp_path / 'b', 'ba')
    assert _verdict.compare(one, swapped).verdict not in ('identical', 'equivalent')
    same = saved(tmp_path / 'c', 'ba', order=(1, 0))  # other placeholders, but what is fed is used alike
    assert _verdict.compare(one, same).verdict == 'equivalent'
    renamed = saved(tmp_path / 'd', 'ab', names=('v', 'w'))
    assert _verdict.compare(one, renamed).verdict == 'equivalent'


@pytest.mark.parametrize('graph, outputs', [
    ([placeholder('n0'), row('k', 'Const', value=2.0), row('out', 'Sub', 'k', 'n0')], ['out']),
    ([placeholder('x'), row('out', 'Exp', 'x')], ['out', 'x']),
    ([placeholder('x'), row('p', 'Neg', 'x'), row('n1', 'Exp', 'p')], ['n1']),
    ([placeholder('x'), row('p', 'Neg', 'x'), row('out', 'Exp', 'p')], ['out:0']),
    ([placeholder('output0'), row('p', 'Neg', 'output0')], None)])
def test_the_canonical_form_loads_whatever_inputs_and_outputs_are_called(graph, outputs):
    form = _canonical.form(graphs.graph_of(made(*graph), outputs))
    names = [node.name for node in form.node]
    assert len(names) == len(set(names))
    source = graph[0][0]
    last = [name for name in names if name.startswith('out') and name != source] or ['n1']
    assert len(last) == 1
    feeds = {source: 0.75}
    assert graphs.run(form, last, feeds) == graphs.run(made(*graph), [graph[-1][0]], feeds)


def test_a_const_that_nothing_reads_is_no_output():
    plain = made(placeholder('x'), row('out', 'Neg', 'x'))
    more = made(placeholder('x'), row('out', 'Neg', 'x'), row('unused', 'Const', value=1.0))
    assert judged(plain, more, None).equal


def test_the_canonical_form_of_an_end_without_a_value_loads():
    form = _canonical.form(graphs.graph_of(made(placeholder('x'), row('out', 'Neg', 'x'),
                                                ('end', 'NoOp', ['^out'], {})), None))
    graphs.run(form, ['x'], {'x': 1.0})


def chain(prefix, length):
    rows = [placeholder('x')]
    for index in range(length):
        last = rows[-1][0]
        rows += [row('{}k{}'.format(prefix, index), 'Const', value=float(index % 7)),
                 row('{}a{}'.format(prefix, index), 'Mul', last, '{}k{}'.format(prefix, index))]
    return made(*(rows + [row('out', 'Identity', rows[-1][0])]))


def test_seven_thousand_nodes_are_no_worse_by_the_node_than_a_thousand():
    """Counts calls, not seconds: these are the same on a machine that is busy."""
    def calls(length):
        one, other = chain('a', length), chain('b', length)
        count = [0]

        def called(frame, event, argument):
            del frame, argument
            count[0] += event in ('call', 'c_call')
        before = sys.getprofile()
        sys.setprofile(called)
        try:
            equal = judged(one, other).equal
        finally:
            sys.setprofile(before)
        assert equal
        return count[0]
    calls(10)  # what is read and kept the first time
    few, many = calls(500), calls(3500)
    assert many < 7.5 * few
    assert many < 1000 * 7000
