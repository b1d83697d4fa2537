"""One checkpoint, frozen by every tool that the TensorFlow at hand has for it; and chains of tools on random graphs.

Not for: one tool after the other on one graph; ``test_tools`` has those.
"""
import itertools
import os
import random

import numpy as np
import pytest

from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.compare import _verdict
from tests.compare import graphs
from tests.compare import test_properties
from tests.compare import tools

tensorflow = pytest.importorskip('tensorflow')

_IS_TF1 = tensorflow.__version__.startswith('1.')
_OUTPUTS = ['detection_boxes', 'detection_scores']
_IMAGES = np.random.RandomState(2).uniform(0, 255, (2, 8, 8, 3)).astype('f4')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with model.ckpt, graph.pbtxt and saved_model of one small network with batch norm and a loop."""
    folder = tmp_path_factory.mktemp('trained')
    tf = _tensorflow.tf1()
    drawn = np.random.RandomState(1)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        def variable(name, *shape):
            return tf.get_variable(name, initializer=drawn.normal(.2, .3, shape).astype('f4'), use_resource=False)
        x = image = tf.placeholder(tf.float32, [None, 8, 8, 3], name='image_tensor')
        x = tf.nn.conv2d(x, variable('conv/weights', 3, 3, 3, 4), [1, 1, 1, 1], 'SAME', name='conv/Conv2D')
        x = tf.nn.fused_batch_norm(x, variable('bn/gamma', 4), variable('bn/beta', 4), variable('bn/mean', 4),
                                   tf.abs(variable('bn/variance', 4)) + .5, is_training=False)[0]
        x = tf.nn.relu6(tf.nn.bias_add(x, variable('bias', 4)))
        with tf.control_dependencies([tf.Assert(tf.greater(tf.shape(x)[0], 0), ['images'], name='check')]):
            x = tf.identity(x)
        x = tf.while_loop(lambda turn, _: turn < 2, lambda turn, x: (turn + 1, x * .5 + 1.), [tf.constant(0), x])[1]
        boxes = tf.reshape(x, [-1, 64, 4], name=_OUTPUTS[0])
        scores = tf.sigmoid(tf.reduce_mean(x, [1, 2]), name=_OUTPUTS[1])
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / 'model.ckpt'))
        tf.train.write_graph(graph.as_graph_def(), str(folder), 'graph.pbtxt')
        tf.saved_model.simple_save(session, str(folder / 'saved_model'), {'inputs': image},
                                   {'detection_boxes': boxes, 'detection_scores': scores})
    return str(folder)


def _by_the_script(folder, **given):
    from tensorflow.core.framework import graph_pb2
    from tensorflow.python.tools import freeze_graph
    arguments = dict(input_graph='', input_saver='', input_binary=False, input_checkpoint='',
                     output_node_names=','.join(_OUTPUTS), restore_op_name='', filename_tensor_name='',
                     output_graph=os.path.join(folder, 'out.pb'), clear_devices=True, initializer_nodes='')
    with _tensorflow.tf1().Graph().as_default():  # it imports into the graph at hand
        freeze_graph.freeze_graph(**dict(arguments, **given))
    with open(arguments['output_graph'], 'rb') as file:
        return graph_pb2.GraphDef.FromString(file.read())


def _of_checkpoint(folder):
    return _by_the_script(folder, input_graph=os.path.join(folder, 'graph.pbtxt'),
                          input_checkpoint=os.path.join(folder, 'model.ckpt'))


def _of_meta_graph(folder):
    return _by_the_script(folder, input_meta_graph=os.path.join(folder, 'model.ckpt.meta'), input_binary=True,
                          input_checkpoint=os.path.join(folder, 'model.ckpt'))


def _of_saved_model(folder):
    return _by_the_script(folder, input_saved_model_dir=os.path.join(folder, 'saved_model'))


def _in_a_session(folder):
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.train.import_meta_graph(os.path.join(folder, 'model.ckpt.meta')).restore(
            session, os.path.join(folder, 'model.ckpt'))
        return tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), _OUTPUTS)


def _part_by_part(folder):
    frozen = _in_a_session(folder)
    return _tensorflow.tf1().graph_util.extract_sub_graph(frozen, _OUTPUTS)


def _by_od_patch(folder):
    from od_patch.compare import _sources
    return _sources.frozen_saved_model(os.path.join(folder, 'saved_model'))[0]


def _of_a_function(lower):
    """TensorFlow 2's own, of the signature of a loaded SavedModel, whose names it keeps."""
    def make(folder):
        from tensorflow.python.framework import convert_to_constants
        loaded = tensorflow.saved_model.load(os.path.join(folder, 'saved_model'))
        return convert_to_constants.convert_variables_to_constants_v2(
            loaded.signatures['serving_default'], lower_control_flow=lower).graph.as_graph_def()
    return make


_TOOLS = {'freeze_graph, checkpoint': _of_checkpoint, 'freeze_graph, MetaGraph': _of_meta_graph,
          'freeze_graph, SavedModel': _of_saved_model, 'graph_util': _in_a_session, 'extract_sub_graph': _part_by_part,
          'od-patch freeze': _by_od_patch}
if not _IS_TF1:
    _TOOLS.update({'convert_variables_to_constants_v2': _of_a_function(False),
                   'convert_variables_to_constants_v2, lowered': _of_a_function(True)})


@pytest.fixture(scope='module')
def frozen(trained):
    """{tool: GraphDef}"""
    return {name: make(trained) for name, make in _TOOLS.items()}


def _values(graph_def):
    return graphs.run(graph_def, _OUTPUTS, {'image_tensor': _IMAGES})


def _change(const, change):
    """Calls a function with the value of a Const, an array, which it changes in place."""
    tf = _tensorflow.tf1()
    value = tf.make_ndarray(const.attr['value'].tensor).copy()
    change(value)
    const.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(value, shape=value.shape))


@pytest.mark.parametrize('one, other', itertools.combinations(sorted(_TOOLS), 2))
def test_what_two_tools_freeze_of_one_checkpoint_is_judged_as_running_it_says(frozen, tmp_path, one, other):
    answer = _verdict.compare(*(graphs.write(tmp_path / name, frozen[tool])
                                for name, tool in (('one.pb', one), ('other.pb', other))))
    assert graphs.equal(_values(frozen[one]), _values(frozen[other]))
    assert answer.verdict in ('identical', 'equivalent'), [cause.title for cause in answer.causes]


def test_one_changed_weight_is_a_difference_whatever_has_frozen_it(frozen, tmp_path):
    def last_bit(value):
        value[-1, -1, -1, -1] = np.nextafter(value[-1, -1, -1, -1], np.float32(9))
    for tool, graph_def in frozen.items():
        changed = tools.clone(graph_def)
        _change(max((node for node in changed.node if node.op == 'Const' and node.attr['dtype'].type == 1),
                    key=lambda node: len(node.attr['value'].tensor.tensor_content)), last_bit)
        answer = _verdict.compare(graphs.write(tmp_path / 'one.pb', graph_def),
                                  graphs.write(tmp_path / 'other.pb', changed))
        assert answer.exit_code == 1 and answer.verdict == 'different weights', (tool, answer.verdict)


# Random graphs ----------------------------------------------------------------------------------------------------

def _drawn(seed):
    """A graph of random layers, heads and constants, with the outputs ``out0`` and so on; (GraphDef, outputs)."""
    draw, numbers = random.Random(seed), np.random.RandomState(seed)
    tf = _tensorflow.tf1()

    def const(*shape):
        value = tf.constant(numbers.normal(.1, .4, shape).astype('f4'))
        return tf.identity(value, name=draw.choice(['w', 'read', 'v']))
    with tf.Graph().as_default() as graph:
        found = [tf.placeholder(tf.float32, [None, 6, 6, 3], name='image_tensor')]
        for _ in range(draw.randint(3, 8)):
            x = draw.choice(found)
            size = x.shape[-1].value if _IS_TF1 else x.shape[-1]
            kind = draw.randrange(7)
            if kind == 0:
                x = tf.nn.conv2d(x, const(3, 3, size, draw.choice([2, 3, 4])), [1, 1, 1, 1], 'SAME')
            elif kind == 1:
                x = tf.nn.bias_add(x, const(size))
            elif kind == 2:
                x = tf.nn.fused_batch_norm(x, const(size), const(size), const(size), tf.abs(const(size)) + .1,
                                           is_training=False)[0]
            elif kind == 3:
                x = draw.choice([tf.nn.relu, tf.nn.relu6, tf.sigmoid, tf.identity])(x)
            elif kind == 4:
                x = tf.concat([x, draw.choice(found)], 3)
            elif kind == 5:
                x = x * const(size) + const(size)
            else:
                x = tf.subtract(x, tf.ones([size]) * float(draw.randint(1, 3)))
            found.append(x)
        outputs = ['out{}'.format(number) for number in range(draw.randint(1, 2))]
        for name, tensor in zip(outputs, reversed(found)):
            tf.identity(tensor, name=name)
        return tf.graph_util.extract_sub_graph(graph.as_graph_def(), outputs), outputs


def _one_weight_moved(graph_def, draw):
    def move(value):
        value[tuple(draw.randrange(size) for size in value.shape)] += np.float32(draw.choice([1e-6, .01, 1.]))
    _change(draw.choice([node for node in graph_def.node
                         if node.op == 'Const' and node.attr['dtype'].type == 1]), move)


def _edited(graph_def, outputs, draw):
    """A graph after one to three edits, or tools; what an edit does not fit is left out."""
    made = tools.clone(graph_def)
    edits = [
        lambda: test_properties.renamed(made, draw, tuple(outputs) + ('image_tensor',)),
        lambda: test_properties.permuted(made, draw), lambda: _one_weight_moved(made, draw),
        lambda: made.CopyFrom(tools.half(made, 'image_tensor', outputs)),
        lambda: made.CopyFrom(tools.relu6_spelt_out(made, 'image_tensor', outputs))]
    if _IS_TF1:
        for name in (tools.FOLD, 'fold_batch_norms', 'fold_old_batch_norms', 'quantize_weights(minimum_size=20)',
                     'round_weights(num_steps=64)', 'merge_duplicate_nodes', 'sort_by_execution_order',
                     'strip_unused_nodes'):
            edits.append(lambda name=name: made.CopyFrom(tools.transforms(name)(made, 'image_tensor', outputs)))
    for edit in draw.sample(edits, draw.randint(1, 3)):
        edit()
    return made


@pytest.mark.parametrize('seed', range(40))
def test_of_random_graphs_and_chains_of_edits_nothing_is_called_equal_that_is_not(tmp_path, seed):
    draw = random.Random(1000 + seed)
    graph_def, outputs = _drawn(seed)
    made = _edited(graph_def, outputs, draw)
    one, other = graphs.write(tmp_path / 'one.pb', graph_def), graphs.write(tmp_path / 'other.pb', made)
    fed = {'image_tensor': np.random.RandomState(seed).uniform(-2, 2, (2, 6, 6, 3)).astype('f4')}
    tf = _tensorflow.tf1()
    try:
        same = graphs.equal(graphs.run(graph_def, outputs, fed), graphs.run(made, outputs, fed))
    except (ValueError, KeyError, tf.errors.OpError):
        same = False  # it does not load, or does not run
    for left, right in ((one, other), (other, one)):
        try:
            answer = _verdict.compare(left, right)
        except InputRefused:
            assert not same
            continue
        assert answer.exit_code or same, answer.verdict
        for cause in answer.causes:
            assert not cause.kind.endswith('.revision') and 'OD API' not in cause.title + cause.revision, cause.title
