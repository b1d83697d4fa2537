"""The writer of SavedModels, on small graphs that have what a detector seldom does."""
import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _saved_model  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from tests.support import parity  # noqa: E402

pytestmark = pytest.mark.usefixtures('tf1_behaviour')

_VALUE = np.array([[1.5, -2.0], [0.25, 8.0]], np.float32)
_INPUT = np.array([[1.0, 2.0]], np.float32)


@pytest.fixture
def write(tmp_path):
    """A function that builds a graph, saves it with ``_VALUE`` in every variable, and writes a SavedModel of it."""
    tf = _tensorflow.tf1()

    def build_and_write(build, kind=_saved_model.RESOURCE, inputs=None, name='saved_model', **options):
        with tf.Graph().as_default() as graph, tf.Session(
                config=tf.ConfigProto(allow_soft_placement=True)) as session:
            x = tf.placeholder(tf.float32, [None, 2], name='x')
            y = build(tf, x)
            session.run(tf.global_variables_initializer())
            for variable in tf.global_variables():
                variable.load(_VALUE[:variable.get_shape().as_list()[0]], session)
            prefix = tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'), write_meta_graph=False)
            expected = session.run(y, {x: _INPUT})
        path = str(tmp_path / name)
        written = _saved_model.write(path, graph, {'left': x} if inputs else x, {'y': y}, prefix, kind, **options)
        return path, written, expected

    return build_and_write


def _ops(path):
    return [node.op for node in parity.read_meta_graph(path).graph_def.node]


def _variable(tf, **options):
    return tf.get_variable('v', [2, 2], initializer=tf.zeros_initializer(), **options)


@pytest.mark.parametrize('kind', ['resource', 'reference'])
@pytest.mark.parametrize('use_resource', [False, True])
def test_values_come_back(write, kind, use_resource):
    path, written, expected = write(lambda tf, x: tf.matmul(x, _variable(tf, use_resource=use_resource)), kind)
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})
    assert (written.num_variables, written.num_bytes) == (1, _VALUE.nbytes)
    assert ('VarHandleOp' in _ops(path)) == (kind == 'resource' or use_resource)


def test_devices_and_what_serving_does_not_need_are_gone(write):
    def build(tf, x):
        with tf.device('/device:GPU:1'):
            v = _variable(tf)
            tf.train.Saver()
            tf.square(v, name='not_needed')
            return tf.matmul(x, v, name='needed')

    path, _, _ = write(build)
    nodes = parity.read_meta_graph(path).graph_def.node
    assert 'needed' in [node.name for node in nodes] and 'not_needed' not in [node.name for node in nodes]
    assert {node.device for node in nodes} == {''}
    assert _ops(path).count('RestoreV2') == _ops(path).count('SaveV2') == 1
    parity.run_saved_model(path, {'inputs': _INPUT})


def test_what_is_asked_for_is_kept(write):
    def build(tf, x):
        v = _variable(tf)
        tf.square(v, name='extra')
        return tf.matmul(x, v)

    path, _, _ = write(build, also_keep=['extra', 'a name that the graph does not have'])
    assert 'extra' in [node.name for node in parity.read_meta_graph(path).graph_def.node]


@pytest.mark.parametrize('how', ['by its name', 'as an attribute'])
def test_functions_that_the_graph_calls_come_along(write, how):
    def build(tf, x):
        from tensorflow.python.framework import function
        from tensorflow.python.ops import functional_ops

        @function.Defun(tf.float32)
        def doubled(value):
            return 2.0 * value

        @function.Defun(tf.float32)
        def negated(value):
            return -value

        product = tf.matmul(x, _variable(tf))
        if how == 'by its name':
            return doubled(product)
        return functional_ops.If(tf.greater(tf.size(x), 0), [product], doubled, negated)[0]

    path, _, expected = write(build)
    assert parity.read_meta_graph(path).graph_def.library.function
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})


def test_a_variable_that_is_read_without_an_identity(write):
    def build(tf, x):
        v = _variable(tf)
        return tf.matmul(x, tf.add(v._ref(), 1.0))  # pylint: disable=protected-access

    path, written, expected = write(build)
    assert written.kind == 'resource'
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})


def test_a_variable_that_the_model_changes_stays_a_reference(write):
    path, written, _ = write(lambda tf, x: tf.matmul(x, tf.assign_add(_variable(tf), tf.ones([2, 2]))))
    assert written.kind == 'reference'
    assert 'AssignAdd' in written.notes[0] and 'by reference' in written.notes[0]
    assert 'VariableV2' in _ops(path)
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': np.matmul(_INPUT, _VALUE + 1)})


def test_parts_of_a_partitioned_variable(write):
    def build(tf, x):
        with tf.variable_scope('', partitioner=tf.fixed_size_partitioner(2)):
            return tf.matmul(x, tf.convert_to_tensor(tf.get_variable('table', [2, 2])))

    path, written, expected = write(build)
    assert written.num_variables == 2
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})


def test_equal_constants_are_written_once(write):
    def build(tf, x):
        def body(i, y):
            return i + 1, y * tf.constant(2.0) + tf.constant(2.0) - tf.constant(2.0)
        v = _variable(tf)
        y = tf.while_loop(lambda i, _: i < 3, body, [tf.constant(0), tf.matmul(x, v)], shape_invariants=[
            tf.TensorShape([]), tf.TensorShape([None, 2])])[1]
        y = tf.cond(tf.reduce_sum(y) > 1e9, lambda: y - tf.constant(2.0), lambda: y + tf.constant(2.0))
        return tf.add(y, tf.constant(2.0, name='kept'), name='y') + tf.constant(2.0)

    path, _, expected = write(build, also_keep=['kept'])
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})
    twos = [node for node in parity.read_meta_graph(path).graph_def.node if node.op == 'Const' and
            node.attr['value'].tensor.float_val[:] == [2.0]]
    # One in the loop, one in each branch, one outside, and the one that is asked for by its name.
    assert len(twos) == 5 and 'kept' in [node.name for node in twos]
    assert len({tuple(node.input) for node in twos}) == 4


def test_initialisers_restore_and_draw_nothing(write):
    tf = _tensorflow.tf1()

    def build(tf, x):
        return tf.matmul(x, tf.get_variable('v', [2, 2], initializer=tf.random_normal_initializer()))

    path, _, expected = write(build)
    assert not [op for op in _ops(path) if 'Random' in op or op == 'Add']
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ['serve'], path)
        variable, = tf.global_variables()
        assert session.run(variable).tobytes() == _VALUE.tobytes()
        with pytest.raises(tf.errors.OpError):
            session.run(tf.global_variables_initializer())  # would give random weights
        session.run(variable.initializer, {'save/Const:0': path + '/variables/variables'})
        assert session.run('MatMul:0', {'x:0': _INPUT}).tobytes() == expected.tobytes()


def test_several_inputs_keep_their_keys(write):
    path, _, expected = write(lambda tf, x: tf.matmul(x, _variable(tf)), inputs=True)
    outputs, signature = parity.run_saved_model(path, {'left': _INPUT})
    assert list(signature.inputs) == ['left']
    parity.assert_bit_equal(outputs, {'y': expected})


def test_a_graph_with_a_node_called_save(write):
    def build(tf, x):
        with tf.name_scope('save'):
            return tf.matmul(x, _variable(tf), name='y')

    path, _, expected = write(build)
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})


def test_what_was_loaded_can_be_saved_again(write, tmp_path):
    tf = _tensorflow.tf1()
    path, _, _ = write(lambda tf, x: tf.matmul(x, _variable(tf)))
    meta_graph = parity.read_meta_graph(path)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ['serve'], path)
        saver = tf.train.Saver(saver_def=meta_graph.saver_def)
        again = saver.save(session, str(tmp_path / 'again'), write_meta_graph=False)
    assert tf.train.NewCheckpointReader(again).get_tensor('v').tobytes() == _VALUE.tobytes()


def test_the_same_input_gives_the_same_bytes(write):
    contents = []
    for name in ('one', 'other'):
        path, _, _ = write(lambda tf, x: tf.matmul(x, _variable(tf)), name=name)
        with open(path + '/saved_model.pb', 'rb') as model_file:
            contents.append(model_file.read())
    same = contents[0] == contents[1]
    assert same
