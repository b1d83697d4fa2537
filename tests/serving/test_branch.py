"""A part of a graph once more, for another input: any control flow, both parts in one run, on graphs of some nodes.

Not for: detectors with a signature for files (``test_signatures``).
"""
import numpy
import pytest

from od_patch.serving import _branch

tensorflow = pytest.importorskip('tensorflow')
from od_patch import _tensorflow  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.usefixtures('tf1_behaviour')


def _mapped(tf, images):
    return tf.map_fn(lambda image: image * 2 + 1, images)


def _nested(tf, images):
    return tf.map_fn(lambda image: tf.map_fn(lambda row: tf.reduce_sum(row) + row, image), images)


def _counted(tf, images):
    """The loop's counter and limit do not depend on the images; a factor comes in from outside."""
    factor = tf.constant(3) * tf.constant(2)
    return tf.while_loop(lambda count, total: count < 4,
                         lambda count, total: (count + 1, total + images * factor + count), [0, images])[1]


def _limited(tf, images):
    """What is counted does not depend on the images, when the loop ends does."""
    limit = tf.reduce_max(images) % 7
    return tf.while_loop(lambda count: count < limit, lambda count: count + 1, [tf.constant(0)]) + images


def _decided(tf, images):
    return tf.cond(tf.reduce_sum(images) % 2 > 0, lambda: images * 5, lambda: images - tf.constant(9))


def _waiting(tf, images):
    with tf.control_dependencies([tf.assert_non_negative(images)]):
        return tf.constant(8) + 0 * images[0]


def _shared(tf, images):
    return images + tf.get_variable('weight', initializer=tf.constant(11), use_resource=True)


def _second_output(tf, images):
    return tf.unique(tf.reshape(images, [-1]))[1][1] + tf.split(images, 2, axis=1)[1]


@pytest.mark.parametrize('compute', [
    _mapped, _nested, _counted, _limited, _decided, _waiting, _shared, _second_output])
def test_both_parts_answer_the_same_and_in_one_run(compute):
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.int32, [None, 2, 3], name='images')
        outputs = [compute(tf, images), tf.constant(4.0, name='anchors')]
        graph_def = graph.as_graph_def()
    before = list(type(graph_def).FromString(graph_def.SerializeToString()).node)
    names = [output.name for output in outputs]
    other = graph_def.node.add(name='other', op='Placeholder')
    other.CopyFrom(before[0])
    other.name = 'other'
    twins = _branch.add(graph_def, 'images', 'other', names, 'twin')
    assert list(graph_def.node)[:len(before)] == before
    assert [twin.startswith('twin/') for twin in twins] == [True, False]
    assert not {node.op for node in graph_def.node if node.name.startswith('twin/')} & {'VarHandleOp', 'Placeholder'}
    one, another = numpy.arange(12).reshape(2, 2, 3), numpy.arange(30, 42).reshape(2, 2, 3) * 3
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name='')
        if compute is _shared:
            session.run('weight/Assign')

        def run(fed, fetched):
            return session.run(fetched, {key + ':0': value for key, value in fed.items()})
        first, = run({'images': one}, [names[0]])
        second, = run({'images': another}, [names[0]])
        assert not numpy.array_equal(first, second) or compute is _waiting
        found = run({'images': one, 'other': another}, [names[0], twins[0], names[1], twins[1]])
        assert numpy.array_equal(found[0], first) and numpy.array_equal(found[1], second) and found[2] == found[3] == 4.0
        assert numpy.array_equal(run({'other': one}, twins[:1])[0], first)


def test_hints_of_the_first_part_are_not_those_of_the_second():
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.int32, [2], name='images')
        with graph.colocate_with(images):
            tf.add(images, 1, name='sum')
        graph_def = graph.as_graph_def(add_shapes=True)
    assert _branch.add(graph_def, 'images', 'sum:0', ['sum:0'], 'twin') == ['twin/sum:0']
    nodes = {node.name: node for node in graph_def.node}
    assert '_class' in nodes['sum'].attr and '_output_shapes' in nodes['sum'].attr
    assert not [key for name in nodes for key in nodes[name].attr if name.startswith('twin/') and key.startswith('_')]
    assert list(nodes['twin/images'].input) == ['sum:0'] and list(nodes['twin/sum'].input)[0] == 'twin/images'
