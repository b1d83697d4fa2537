"""What must never change the verdict, and what always must: property-based, on a small detector with a loop and NMS."""
import random

import hypothesis
import hypothesis.strategies as st
import pytest

from od_patch.compare import _equivalence
from od_patch.graphs import _op_table
from tests.compare import graphs

pytest.importorskip('tensorflow')

_SETTINGS = hypothesis.settings(max_examples=25, deadline=None, derandomize=True,
                                suppress_health_check=[hypothesis.HealthCheck.too_slow])
SEEDS = st.integers(0, 10 ** 6)


def same(one, other):
    """Whether compare's verdict would be identical or equivalent."""
    left, right = graphs.graph_of(one), graphs.graph_of(other)
    return _equivalence.identical(left, right) or _equivalence.Equivalence(left, right).equal


def permuted(graph_def, draw):
    nodes = list(graph_def.node)
    draw.shuffle(nodes)
    del graph_def.node[:]
    for node in nodes:
        graph_def.node.add().CopyFrom(node)
    for node in graph_def.node:  # control inputs have no order
        data = [text for text in node.input if not text.startswith('^')]
        control = [text for text in node.input if text.startswith('^')]
        draw.shuffle(control)
        del node.input[:]
        node.input.extend(data + control)


def renamed(graph_def, draw, keep=graphs.OUTPUTS + ('image_tensor',)):
    names = {node.name: node.name if node.name in keep else 'x{}/y{}'.format(draw.randrange(9), number)
             for number, node in enumerate(graph_def.node)}
    frames = {}
    for node in graph_def.node:
        node.name = names[node.name]
        for index, text in enumerate(node.input):
            mark, text = ('^', text[1:]) if text.startswith('^') else ('', text)
            name, colon, port = text.partition(':')
            node.input[index] = mark + names[name] + colon + port
        if 'frame_name' in node.attr:
            frame = node.attr['frame_name'].s
            node.attr['frame_name'].s = frames.setdefault(frame, 'frame{}'.format(len(frames)).encode())
        if 'tensor_array_name' in node.attr:
            node.attr['tensor_array_name'].s = b'any'
        if '_class' in node.attr:
            del node.attr['_class']


def with_defaults(graph_def, draw):
    _, ops = _op_table.table()
    for node in graph_def.node:
        for name, (_, _, default) in ops[node.op].attrs.items():
            if default is None:
                continue
            if name not in node.attr and draw.random() < 0.5:
                node.attr[name].ParseFromString(default)
            elif name in node.attr and node.attr[name].SerializeToString() == default and draw.random() < 0.5:
                del node.attr[name]


def with_identities(graph_def, draw):
    """Puts Identity nodes into edges whose type an attribute T says."""
    for number, node in enumerate(list(graph_def.node)):
        if node.op not in ('Add', 'Sub', 'Mul', 'Relu6', 'BiasAdd', 'Conv2D', 'Sigmoid') or draw.random() < 0.4:
            continue
        made = graph_def.node.add(name='extra{}'.format(number), op='Identity')
        made.attr['T'].type = node.attr['T'].type
        made.input.append(node.input[0])
        node.input[0] = made.name


def with_dead_nodes(graph_def, draw):
    for number in range(draw.randrange(1, 4)):
        made = graph_def.node.add(name='dead{}'.format(number), op='Neg')
        made.input.append('detection_scores')
        made.attr['T'].type = 1


def with_devices(graph_def, draw):
    for node in graph_def.node:
        if draw.random() < 0.5:
            node.device = '/device:GPU:0'
    graph_def.versions.producer = 27


HARMLESS = [permuted, renamed, with_defaults, with_identities, with_dead_nodes, with_devices]


@pytest.mark.parametrize('change', HARMLESS, ids=lambda change: change.__name__)
@_SETTINGS
@hypothesis.given(seed=SEEDS)
def test_a_harmless_change_is_never_a_difference(change, seed):
    one, other = graphs.detector(), graphs.detector()
    change(other, random.Random(seed))
    assert same(one, other)


@_SETTINGS
@hypothesis.given(seed=SEEDS)
def test_all_harmless_changes_together_are_no_difference(seed):
    draw = random.Random(seed)
    one, other = graphs.detector(), graphs.detector()
    for change in draw.sample(HARMLESS, len(HARMLESS)):
        change(other, draw)
    assert same(one, other)


def flip_bit(graph_def, draw):
    """One bit of one weight."""
    node = draw.choice([node for node in graph_def.node if node.op == 'Const'
                        and len(node.attr['value'].tensor.tensor_content) > 8])
    content = bytearray(node.attr['value'].tensor.tensor_content)
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    node.attr['value'].tensor.tensor_content = bytes(content)


# Attributes that decide what an op computes, and another value for each.
MATTERING = {'padding': lambda attr: setattr(attr, 's', b'VALID' if attr.s == b'SAME' else b'SAME'),
             'strides': lambda attr: attr.list.i.__setitem__(1, attr.list.i[1] + 1),
             'epsilon': lambda attr: setattr(attr, 'f', attr.f * 2),
             'align_corners': lambda attr: setattr(attr, 'b', not attr.b),
             'keep_dims': lambda attr: setattr(attr, 'b', not attr.b),
             'shrink_axis_mask': lambda attr: setattr(attr, 'i', attr.i ^ 1),
             'is_constant': lambda attr: setattr(attr, 'b', not attr.b)}


def change_attribute(graph_def, draw):
    graph, plain, hashes = _values(graph_def)
    nodes = {node.name: node for node in graph_def.node}
    # What only an Assert's text or a loop's spare counter needs is no part of the computation.
    alive = [nodes[graph.names[place]] for place in hashes.order if place < len(graph)
             and plain.ops[place] == graph.ops[place]]
    node, name = draw.choice([(node, name) for node in alive for name in sorted(MATTERING) if name in node.attr])
    MATTERING[name](node.attr[name])


def _values(graph_def):
    """Node name -> hash of what it computes, to know whether two edges lead to one value."""
    from od_patch.compare import _hashing
    from od_patch.compare import _rules
    graph = graphs.graph_of(graph_def)
    plain, _ = _rules.apply(graph, _rules.NAMES)
    hashes = _hashing.Hashes(plain)
    hashes.settle(2)
    return graph, plain, hashes


def change_edge(graph_def, draw):
    """Makes one input read another tensor of the same type that is another value."""
    graph, plain, hashes = _values(graph_def)
    nodes = {node.name: node for node in graph_def.node}
    # Inputs of nodes that the canonical form still reads: what stands behind an Assert's text or a hint is none.
    alive = [node for node in hashes.order if node < len(graph) and plain.inputs[node] and plain.ops[node] not in (
        'Assert', 'Merge', 'Identity', 'Reshape')]
    for _ in range(200):
        place = draw.choice(alive)
        slot = draw.randrange(len(plain.inputs[place]))
        if slot >= len(graph.inputs[place]):
            continue
        source, port = plain.inputs[place][slot]
        twins = [node for node in hashes.order if node < len(graph) and node != source
                 and plain.ops[node] == plain.ops[source] and hashes.full[node] != hashes.full[source]
                 and plain.attrs[node].get('T') == plain.attrs[source].get('T')
                 and plain.attrs[node].get('dtype') == plain.attrs[source].get('dtype')]
        twins = [node for node in twins if not _reaches(graph, node, place)]
        if not twins:
            continue
        twin = draw.choice(twins)
        nodes[graph.names[place]].input[slot] = graph.names[twin] + (':{}'.format(port) if port else '')
        return True
    return False


def _reaches(graph, start, goal):
    """Whether ``goal`` is above ``start``: an edge from it would close a cycle."""
    stack, seen = [start], set()
    while stack:
        node = stack.pop()
        if node == goal:
            return True
        if node not in seen:
            seen.add(node)
            stack.extend(source for source, _ in graph.inputs[node])
            stack.extend(graph.controls[node])
    return False


@pytest.mark.parametrize('change', [flip_bit, change_attribute, change_edge], ids=lambda change: change.__name__)
@_SETTINGS
@hypothesis.given(seed=SEEDS)
def test_a_change_that_matters_is_always_a_difference(change, seed):
    draw = random.Random(seed)
    one, other = graphs.detector(), graphs.detector()
    hypothesis.assume(change(other, draw) is not False)
    permuted(other, draw)
    renamed(other, draw)
    assert not same(one, other)


def test_two_tensor_arrays_of_one_size_are_not_one():
    tf_arrays = []

    def build(swap):
        def body(tf):
            x = tf.placeholder(tf.float32, [4], name='x')
            first = tf.TensorArray(tf.float32, 4).unstack(x)
            second = tf.TensorArray(tf.float32, 4).unstack(x + 1)
            tf_arrays.append((first, second))
            one, other = (second, first) if swap else (first, second)
            return tf.stack([one.read(0) * 2, other.read(1)])
        return graphs.built(body)
    assert not same(build(False), build(True))
    assert same(build(True), build(True))


def test_inputs_are_told_by_their_names_and_by_their_places_where_they_have_others():
    def build(first, second, left, right):
        def body(tf):
            inputs = {name: tf.placeholder(tf.float32, [2], name=name) for name in sorted([first, second])}
            return inputs[left] - inputs[right]
        return graphs.built(body)
    assert not same(build('a', 'b', 'a', 'b'), build('a', 'b', 'b', 'a'))
    assert same(build('a', 'b', 'a', 'b'), build('c', 'd', 'd', 'c'))
    assert not same(build('a', 'b', 'a', 'b'), build('c', 'd', 'd', 'd'))


def test_constants_that_a_conditional_chooses_from_keep_what_chooses():
    def build(limit, swap=False):
        def body(tf):
            x = tf.placeholder(tf.float32, [], name='x')
            values = (2.0, 1.0) if swap else (1.0, 2.0)
            return tf.cond(x < limit, lambda: tf.constant(values[0]), lambda: tf.constant(values[1]))
        return graphs.built(body)
    assert same(build(3.0), build(3.0))
    assert not same(build(3.0), build(4.0))
    assert not same(build(3.0), build(3.0, swap=True))
