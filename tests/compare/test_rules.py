"""Each rule of the canonical form: used where it must be, and not where the two forms could differ."""
import numpy as np
import pytest

from od_patch.compare import _canonical
from od_patch.compare import _equivalence
from od_patch.compare import _rules
from tests.compare import graphs

pytest.importorskip('tensorflow')


def node_of(graph_def, op):
    found, = [node for node in graph_def.node if node.op == op]
    return found


def judged(one, other):
    return _equivalence.Equivalence(graphs.graph_of(one, ['result']), graphs.graph_of(other, ['result']))


def fill(graph_def, name, op, inputs, **types):
    made = graph_def.node.add(name=name, op=op)
    made.input.extend(inputs)
    for key, value in types.items():
        made.attr[key].type = value
    return made


def test_gather_is_gather_v2_along_the_first_axis():
    new = graphs.built(lambda tf: tf.gather(tf.placeholder(tf.float32, [5, 2], name='x'), [1, 3]))
    old = type(new).FromString(new.SerializeToString())
    node = node_of(old, 'GatherV2')
    node.op = 'Gather'
    del node.input[2:]
    for name in ('Taxis', 'batch_dims'):
        if name in node.attr:
            del node.attr[name]
    result = judged(old, new)
    assert result.equal and result.rules['Gather'] == (1, 0)
    along_another = graphs.built(lambda tf: tf.gather(tf.placeholder(tf.float32, [5, 2], name='x'), [1, 3], axis=1))
    assert not judged(old, along_another).equal


@pytest.mark.parametrize('type_, equal', [('float32', True), ('int32', True), ('string', False)])
def test_add_v2_is_add_for_numbers_only(type_, equal):
    add = graphs.built(lambda tf: tf.placeholder(type_, [2], name='x') + tf.placeholder(type_, [2], name='y'))
    other = type(add).FromString(add.SerializeToString())
    for node in other.node:
        if node.op in ('Add', 'AddV2'):
            node.op = 'AddV2' if node.op == 'Add' else 'Add'
    assert judged(add, other).equal is equal


@pytest.mark.parametrize('training, equal', [(False, True), (True, False)])
def test_batch_norm_versions_are_one_at_inference_only(training, equal):
    def build(tf):
        x = tf.placeholder(tf.float32, [None, 2, 2, 3], name='x')
        given = {} if training else dict(mean=tf.ones([3]), variance=tf.ones([3]))
        return tf.nn.fused_batch_norm(x, tf.ones([3]), tf.ones([3]), is_training=training, **given)[0]
    one = graphs.built(build)
    node, = [node for node in one.node if node.op.startswith('FusedBatchNorm')]
    node.op = 'FusedBatchNorm'
    if 'U' in node.attr:
        del node.attr['U']
    other = type(one).FromString(one.SerializeToString())
    node = node_of(other, 'FusedBatchNorm')
    node.op = 'FusedBatchNormV2'
    node.attr['U'].type = 1
    assert judged(one, other).equal is equal


def test_nms_without_a_threshold_is_nms_with_minus_infinity():
    def build(tf):
        return tf.image.non_max_suppression(tf.placeholder(tf.float32, [None, 4], name='b'),
                                            tf.placeholder(tf.float32, [None], name='s'), 5)
    new = graphs.built(build)
    old = type(new).FromString(new.SerializeToString())
    node = node_of(old, 'NonMaxSuppressionV3')
    node.op = 'NonMaxSuppressionV2'
    del node.input[4:]
    assert judged(old, new).equal
    with_threshold = graphs.built(lambda tf: tf.image.non_max_suppression(
        tf.placeholder(tf.float32, [None, 4], name='b'), tf.placeholder(tf.float32, [None], name='s'), 5,
        score_threshold=0.1))
    assert not judged(old, with_threshold).equal


def flattened_softmax(rank, place):
    """softmax as tf.nn.softmax wrote it until TF 1.10, of a tensor of that rank, keeping the dimension at ``place``."""
    def build(tf):
        x = tf.reshape(tf.placeholder(tf.float32, None, name='x'), [-1] + [2] * (rank - 2) + [3])
        last = tf.slice(tf.shape(x), [place], [1])
        flat = tf.reshape(x, tf.concat([[-1], last], 0))
        return tf.reshape(tf.nn.softmax(flat), tf.shape(x))
    return graphs.built(build)


def test_a_flattened_softmax_is_a_softmax_where_the_last_dimension_is_kept():
    plain = graphs.built(lambda tf: tf.nn.softmax(tf.reshape(tf.placeholder(tf.float32, None, name='x'), [-1, 2, 3])))
    assert judged(flattened_softmax(3, 2), plain).equal
    assert not judged(flattened_softmax(3, 1), plain).equal


def test_a_constant_permutation_is_the_computed_one_only_when_it_reverses():
    def build(perm):
        def body(tf):
            x = tf.placeholder(tf.float32, [2, 3, 4], name='x')
            if perm is not None:
                return tf.transpose(x, perm)
            from tensorflow.python.ops import gen_array_ops
            known = gen_array_ops.rank(x)
            return gen_array_ops.transpose(x, (known - 1) - tf.range(0, known, 1))
        return graphs.built(body)
    assert judged(build([2, 1, 0]), build(None)).equal
    assert not judged(build([2, 0, 1]), build(None)).equal


@pytest.mark.parametrize('value, equal', [(1.0, True), (1.5, False)])
def test_times_one_is_nothing(value, equal):
    plain = graphs.built(lambda tf: tf.placeholder(tf.float32, [2], name='x'))
    assert judged(plain, graphs.built(lambda tf: tf.placeholder(tf.float32, [2], name='x') * value)).equal is equal


def test_times_a_vector_of_ones_may_change_the_shape():
    plain = graphs.built(lambda tf: tf.placeholder(tf.float32, None, name='x'))
    assert not judged(plain, graphs.built(lambda tf: tf.placeholder(tf.float32, None, name='x') * [1.0, 1.0])).equal


def counted_loop(limit, bound, extra_use=False):
    """A loop as TF 1.10 and later write map_fn: a counter beside the index, each with its own test."""
    def build(tf):
        x = tf.placeholder(tf.float32, [], name='x')

        def body(i, counter, total):
            return i + 1, counter + 1, total * 1.5 + (tf.cast(counter, tf.float32) if extra_use else 0.5)
        return tf.while_loop(lambda i, counter, total: tf.logical_and(counter < limit, i < bound), body,
                             [tf.constant(0), tf.constant(0), x])[2]
    return graphs.built(build)


def plain_loop(bound):
    def build(tf):
        x = tf.placeholder(tf.float32, [], name='x')
        return tf.while_loop(lambda i, total: i < bound, lambda i, total: (i + 1, total * 1.5 + 0.5),
                             [tf.constant(0), x])[1]
    return graphs.built(build)


def test_a_while_counter_that_says_the_same_is_left_out():
    assert judged(counted_loop(5, 5), plain_loop(5)).equal


@pytest.mark.parametrize('counted', [counted_loop(4, 5), counted_loop(5, 5, extra_use=True)],
                         ids=['another bound', 'used elsewhere'])
def test_a_while_counter_that_may_say_something_else_stays(counted):
    assert not judged(counted, plain_loop(5)).equal


def test_what_an_assert_prints_does_not_matter_but_its_predicate_does():
    def build(text, limit):
        def body(tf):
            x = tf.placeholder(tf.float32, [], name='x')
            with tf.control_dependencies([tf.Assert(x < limit, [text, x])]):
                return tf.identity(x)
        return graphs.built(body)
    assert judged(build('a', 1.0), build('b', 1.0)).equal
    assert not judged(build('a', 1.0), build('a', 2.0)).equal


def test_constants_worked_out_beforehand_are_constants():
    computed = graphs.built(lambda tf: tf.placeholder(tf.int32, [2], name='x') + tf.stack(
        [tf.constant([7, 8])[1], tf.constant(2) * 3]))
    written = graphs.built(lambda tf: tf.placeholder(tf.int32, [2], name='x') + tf.constant([8, 6]))
    assert judged(computed, written).equal
    wrong = graphs.built(lambda tf: tf.placeholder(tf.int32, [2], name='x') + tf.constant([8, 5]))
    assert not judged(computed, wrong).equal


def test_a_tensor_is_told_by_its_bits_however_it_is_written():
    one = graphs.built(lambda tf: tf.placeholder(tf.float32, [3], name='x') + tf.constant([2.0, 2.0, 2.0]))
    other = type(one).FromString(one.SerializeToString())
    for node in other.node:
        if node.op == 'Const':
            tensor = node.attr['value'].tensor
            tensor.ClearField('tensor_content')
            tensor.ClearField('float_val')
            tensor.float_val.append(2.0)
    assert judged(one, other).equal


def test_the_canonical_form_runs_and_computes_the_same_bits():
    graph_def = graphs.detector()
    form = _canonical.form(graphs.graph_of(graph_def))
    feeds = {'image_tensor': graphs.image()}
    for name, one, other in zip(graphs.OUTPUTS, graphs.run(graph_def, graphs.OUTPUTS, feeds),
                                graphs.run(form, graphs.OUTPUTS, feeds)):
        assert np.array_equal(one, other), name


def test_rules_that_were_not_needed_are_not_listed():
    one, other = graphs.detector(), graphs.detector()
    other.node[0].attr['_hint'].s = b'x'
    result = _equivalence.Equivalence(graphs.graph_of(one), graphs.graph_of(other))
    assert result.equal and list(result.rules) == ['hints']


def test_no_two_rules_have_one_name_and_each_says_why():
    assert len(set(_rules.NAMES)) == len(_rules.RULES)
    assert all(rule.reason.endswith('.') for rule in _rules.RULES)
