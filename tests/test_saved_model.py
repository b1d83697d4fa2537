"""The writer of SavedModels, on small graphs that have what a detector seldom does."""
import os
import tempfile

import hypothesis
import hypothesis.strategies
import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

import od_patch  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch import legacy  # noqa: E402
from od_patch import steps  # noqa: E402
from od_patch.saved_model import _saved_model  # noqa: E402
from od_patch.steps import _step  # noqa: E402
from tests.support import checkpoints  # noqa: E402
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
            for number, variable in enumerate(tf.global_variables()):  # no two of them hold the same
                variable.load(_VALUE[:variable.get_shape().as_list()[0]] * (number + 1), session)
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


def test_attributes_of_default_value_are_left_out_and_the_others_stay(write):
    path, _, expected = write(lambda tf, x: tf.matmul(x, _variable(tf), transpose_b=True, name='product'))
    meta_graph = parity.read_meta_graph(path)
    product = _node(path, 'product')
    assert 'transpose_a' not in product.attr and product.attr['transpose_b'].b
    assert meta_graph.meta_info_def.stripped_default_attrs
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})


def test_the_saved_model_says_what_it_is_and_what_made_it(write):
    path, written, _ = write(lambda tf, x: tf.matmul(x, _variable(tf)))
    meta_graph = parity.read_meta_graph(path)
    assert list(meta_graph.meta_info_def.tags) == ['serve']
    assert meta_graph.meta_info_def.tensorflow_version == tensorflow.__version__
    assert meta_graph.meta_info_def.tensorflow_git_version not in ('', tensorflow.__version__)
    assert {op.name for op in meta_graph.meta_info_def.stripped_op_list.op} == {
        node.op for node in meta_graph.graph_def.node}
    signature, = meta_graph.signature_def.items()
    assert signature[0] == 'serving_default' and signature[1].method_name == 'tensorflow/serving/predict'
    assert [(key, info.name) for key, info in signature[1].inputs.items()] == [('inputs', 'x:0')]
    assert written.num_nodes == len(meta_graph.graph_def.node) and written.notes == []
    assert meta_graph.graph_def.versions.producer > 20


def test_hints_of_the_process_that_built_the_graph_are_gone_and_other_attributes_stay(write):
    def build(tf, x):
        from tensorflow.core.framework import attr_value_pb2
        v = _variable(tf)
        with tf.colocate_with(v.op):
            y = tf.matmul(x, v, name='y')
        y.op._set_attr('_output_shapes', attr_value_pb2.AttrValue(  # pylint: disable=protected-access
            list=attr_value_pb2.AttrValue.ListValue(shape=[y.get_shape().as_proto()])))
        y.op._set_attr('_mine', attr_value_pb2.AttrValue(i=7))  # pylint: disable=protected-access
        assert {'_class', '_output_shapes', '_mine'} <= set(y.op.node_def.attr)
        return y

    path, _, _ = write(build)
    assert not [node.name for node in parity.read_meta_graph(path).graph_def.node
                if {'_class', '_output_shapes'} & set(node.attr)]
    assert _node(path, 'y').attr['_mine'].i == 7
    parity.run_saved_model(path, {'inputs': _INPUT})


def test_what_waits_for_a_constant_waits_for_the_one_that_stays(write):
    def build(tf, x):
        v = _variable(tf)
        same = [tf.constant(2.0, name='same_{}'.format(number)) for number in range(3)]
        other = tf.constant(3.0, name='other')
        left, right = x * same[2], v - same[0]
        with tf.control_dependencies(same[1:] + [other]):
            return tf.matmul(left, right, name='y')

    path, _, expected = write(build)
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})
    inputs = list(_node(path, 'y').input)
    assert sorted(inputs[2:]) == ['^other', '^same_0'] and len(inputs) == 4
    assert [node.name for node in parity.read_meta_graph(path).graph_def.node if 'same' in node.name] == ['same_0']


@pytest.mark.parametrize('one, other, alike', [
    (np.float32(0), np.float32(0), True), (np.float32(0), np.float32(-0.0), False), (np.int32(1), np.int64(1), False),
    (np.ones(1, np.float32), np.ones(1, np.float32), True),
    (np.ones(1, np.float32), np.ones([1, 1], np.float32), False),
    (np.float32('nan'), np.float32('nan'), True), ('a', 'a', True), ('a', 'b', False)])
def test_constants_are_one_where_type_shape_and_every_bit_are_the_same(write, one, other, alike):
    def build(tf, x):
        first, second = tf.constant(one, name='first'), tf.constant(other, name='second')
        with tf.control_dependencies([tf.identity(first), tf.identity(second, name='reader')]):
            return tf.matmul(x, _variable(tf))

    path, _, expected = write(build)
    assert _node(path, 'reader').input[0] == ('first' if alike else 'second')
    names = [node.name for node in parity.read_meta_graph(path).graph_def.node]
    assert 'first' in names and ('second' in names) == (not alike)
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})


def test_functions_that_nothing_calls_are_left_out(write):
    def build(tf, x):
        from tensorflow.python.framework import function

        @function.Defun(tf.float32)
        def doubled(value):
            return 2.0 * value

        doubled(x)
        return tf.matmul(x, _variable(tf))

    path, _, _ = write(build)
    assert not parity.read_meta_graph(path).graph_def.library.function


def test_a_graph_that_reads_what_an_initialiser_gives_keeps_its_references(write):
    def build(tf, x):
        v = tf.Variable(_VALUE, name='v')
        return tf.matmul(x, tf.identity(v.initializer.outputs[0]), name='y')

    path, written, _ = write(build)
    assert written.kind == 'reference'
    assert len(written.notes) == 1 and 'reads the result of the assignment v/Assign' in written.notes[0]
    assert 'VariableV2' in _ops(path) and 'VarHandleOp' not in _ops(path)


# Everything that a variable can be, in an order that is not that of the names.
_DTYPES = ['float16', 'float32', 'float64', 'int32', 'int64', 'uint8', 'bool', 'complex64']
_KINDS = hypothesis.strategies.tuples(
    hypothesis.strategies.sampled_from(_DTYPES), hypothesis.strategies.booleans(), hypothesis.strategies.booleans(),
    hypothesis.strategies.lists(hypothesis.strategies.integers(0, 3), max_size=3))


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(hypothesis.strategies.lists(_KINDS, min_size=1, max_size=4),
                  hypothesis.strategies.sampled_from(['resource', 'reference']), hypothesis.strategies.booleans())
@hypothesis.example([('float32', True, False, [2]), ('float32', False, False, [2])], 'resource', False)
@hypothesis.example([('float32', True, False, [2]), ('float32', False, False, [2])], 'resource', True)
@hypothesis.example([('int64', False, False, []), ('float32', True, True, [2, 0])], 'reference', True)
def test_variables_of_any_type_come_back_as_they_were(variables, kind, by_sources):
    """Their values, their order in the collections, which of them are trained, and a second saving."""
    tf = _tensorflow.tf1()
    random = np.random.RandomState(len(variables))
    names = ['{}/v'.format('dacb'[number]) for number in range(len(variables))]
    values = {name: (random.rand(*shape) * 9 - 4).astype(dtype) if shape else np.array(3).astype(dtype)
              for name, (dtype, _, _, shape) in zip(names, variables)}
    with legacy.on(), legacy.tf1_behaviour(), tempfile.TemporaryDirectory() as folder:
        prefix, path = os.path.join(folder, 'model'), os.path.join(folder, 'saved_model')
        with tf.Graph().as_default() as graph:
            x = tf.placeholder(tf.float32, [], name='x')
            held = [tf.get_variable(name, shape, tf.as_dtype(dtype), tf.zeros_initializer(), trainable=trainable,
                                    use_resource=use_resource)
                    for name, (dtype, trainable, use_resource, shape) in zip(names, variables)]
            outputs = {'out_{}'.format(number): tf.identity(variable, name='out_{}'.format(number))
                       for number, variable in enumerate(held)}
            saved = {name.replace('v', 'w'): value for name, value in values.items()} if by_sources else values
            checkpoints.write_v2(prefix, saved)
            composed = _saved_model.compose(graph, x, outputs, kind)
            sources = {name: name.replace('v', 'w') for name in names} if by_sources else None
            written = _saved_model.place(path, composed, prefix, sources)
        assert (written.num_variables, written.kind) == (len(names), kind)
        assert written.num_bytes == sum(value.nbytes for value in values.values())
        with tf.Graph().as_default(), tf.Session() as session:
            meta_graph = tf.saved_model.loader.load(session, ['serve'], path)
            loaded = tf.global_variables()
            assert [variable.op.name for variable in loaded] == names
            assert [variable.op.name for variable in tf.trainable_variables()] == [
                name for name, (_, trainable, _, _) in zip(names, variables) if trainable]
            for number, name in enumerate(names):
                for found in (session.run(loaded[number]), session.run('out_{}:0'.format(number))):
                    assert found.dtype == values[name].dtype and found.tobytes() == values[name].tobytes()
            saver = tf.train.Saver(saver_def=meta_graph.saver_def)
            again = saver.save(session, os.path.join(folder, 'again'), write_meta_graph=False)
            for variable in loaded:
                session.run(variable.initializer, {'save/Const:0': prefix if not by_sources else again})
            saver.restore(session, again)
            for variable, name in zip(loaded, names):
                assert session.run(variable).tobytes() == values[name].tobytes()
        reader = tf.train.NewCheckpointReader(again)
        assert {name: reader.get_tensor(name).tobytes() for name in names} == {
            name: value.tobytes() for name, value in values.items()}


@pytest.mark.parametrize('taken, expected', [
    ([], 'save'), (['save'], 'save_1'), (['save/Const'], 'save_1'), (['a/save', 'saver', 'sav'], 'save'),
    (['save', 'save_1/x'], 'save_2'), (['save_1'], 'save'), (['save', 'save_2'], 'save_1')])
def test_a_scope_is_one_that_nobody_has(taken, expected):
    graph_def = _tensorflow.tf1().GraphDef()
    for name in taken:
        graph_def.node.add(name=name, op='NoOp')
    assert _saved_model.unused_name(graph_def, 'save') == expected


def test_the_files_of_assets_lie_where_loaders_look(write, tmp_path):
    path, _, _ = write(lambda tf, x: tf.matmul(x, _variable(tf)), extra_assets={'one': b'1', 'other': b'2'})
    assert sorted(os.listdir(path)) == ['assets.extra', 'saved_model.pb', 'variables']
    composed = _saved_model.Composed(b'graph', 0, 2, 'resource', [], [])
    other = str(tmp_path / 'other')
    _saved_model.place(other, composed, str(tmp_path / 'model.ckpt'), assets={'words.txt': b'words'}, extra_assets={})
    assert sorted(os.listdir(other)) == ['assets', 'saved_model.pb', 'variables']
    for place, name, content in ((path, 'assets.extra/other', b'2'), (path, 'assets.extra/one', b'1'),
                                 (other, 'assets/words.txt', b'words'), (other, 'saved_model.pb', b'graph')):
        with open(os.path.join(place, name), 'rb') as asset_file:
            assert asset_file.read() == content


def test_without_all_of_its_values_there_is_no_saved_model(tmp_path):
    """A folder with a saved_model.pb is whole, whenever somebody looks."""
    prefix = str(tmp_path / 'model')
    checkpoints.write_v2(prefix, {'v': _VALUE})
    with open(prefix + '.data-00000-of-00001', 'r+b') as data_file:
        data_file.write(b'\xff')
    composed = _saved_model.Composed(b'graph', 1, 2, 'resource', [], ['v'])
    with pytest.raises(od_patch.InputRefused):
        _saved_model.place(str(tmp_path / 'out'), composed, prefix, {'v': 'v'}, extra_assets={'one': b'1'})
    assert os.listdir(str(tmp_path / 'out')) == ['variables']


def test_what_the_release_wrote_is_changed_and_the_rest_of_it_stays(write):
    path, _, expected = write(lambda tf, x: tf.matmul(x, _variable(tf)), extra_assets={'record': b'1'})

    def add(meta_graph):
        meta_graph.graph_def.node.add(name='more', op='ControlTrigger')

    def remove(meta_graph):
        assert meta_graph.graph_def.node[-1].name == 'more'  # they come in their order
        meta_graph.signature_def['other'].CopyFrom(meta_graph.signature_def['serving_default'])

    _saved_model.revise(path, [add, remove], {'words.txt': b'words'})
    meta_graph = parity.read_meta_graph(path)
    assert 'ControlTrigger' in {op.name for op in meta_graph.meta_info_def.stripped_op_list.op}
    assert _node(path, 'more').op == 'ControlTrigger'
    assert sorted(meta_graph.signature_def) == ['other', 'serving_default']
    assert os.listdir(os.path.join(path, 'assets')) == ['words.txt']
    outputs, _ = parity.run_saved_model(path, {'inputs': _INPUT})
    parity.assert_bit_equal(outputs, {'y': expected})


@pytest.mark.parametrize('kind', ['resource', 'reference'])
def test_changes_come_before_the_graph_is_measured_against_a_release(kind):
    tf = _tensorflow.tf1()

    def change(meta_graph):
        meta_graph.graph_def.node.add(name='late', op='AddV2', input=['y', 'y']).attr['T'].type = 1

    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [], name='x')
        y = tf.identity(x, name='y')
        changes = [change] + [lower for step in steps.active({'target_tf': '1.4'}) for lower in step.changes()]
        composed = _saved_model.compose(graph, x, {'y': y}, kind, changes=changes)
    assert composed.notes == ['for TensorFlow 1.4: AddV2 → Add (1)']
    assert [step.name for step in steps.STEPS if step.changes is not _step.Step.changes][-2:] == [
        'signatures', 'target_tf']


def _node(path, name):
    node, = [node for node in parity.read_meta_graph(path).graph_def.node if node.name == name]
    return node
