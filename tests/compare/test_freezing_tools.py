"""One checkpoint, frozen by every tool that the TensorFlow at hand has for it; and chains of tools on random graphs.

Not for: one tool after the other on one graph; ``test_tools`` has those.
"""
import itertools
import os
import random
import subprocess

import numpy as np
import pytest

from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.compare import _verdict
from tests.compare import freezers
from tests.compare import graphs
from tests.compare import pairs
from tests.compare import test_properties
from tests.compare import tools

tensorflow = pytest.importorskip('tensorflow')

_IS_TF1 = tensorflow.__version__.startswith('1.')
_IMAGES = np.random.RandomState(2).uniform(0, 255, (2, 8, 8, 3)).astype('f4')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with model.ckpt, graph.pbtxt and saved_model of one small network with batch norm and a loop."""
    folder = str(tmp_path_factory.mktemp('trained'))
    freezers.save(_tensorflow.tf1(), folder)
    return folder


def _here(tool):
    """A tool of ``freezers``, by this TensorFlow."""
    def make(folder):
        return graphs.parsed(tool(_tensorflow.tf1(), folder))
    return make


def _part_by_part(folder):
    frozen = graphs.parsed(freezers.in_a_session(_tensorflow.tf1(), folder))
    return _tensorflow.tf1().graph_util.extract_sub_graph(frozen, freezers.OUTPUTS)


def _by_od_patch(folder):
    from od_patch.graphs import _sources
    return _sources.frozen_saved_model(os.path.join(folder, 'saved_model'))[0]


def _of_a_function(lower):
    """TensorFlow 2's own, of the signature of a loaded SavedModel, whose names it keeps."""
    def make(folder):
        from tensorflow.python.framework import convert_to_constants
        loaded = tensorflow.saved_model.load(os.path.join(folder, 'saved_model'))
        return convert_to_constants.convert_variables_to_constants_v2(
            loaded.signatures['serving_default'], lower_control_flow=lower).graph.as_graph_def()
    return make


_TOOLS = dict({name: _here(tool) for name, tool in freezers.TOOLS.items()},
              **{'extract_sub_graph': _part_by_part, 'od-patch freeze': _by_od_patch})
if not _IS_TF1:
    _TOOLS.update({'convert_variables_to_constants_v2': _of_a_function(False),
                   'convert_variables_to_constants_v2, lowered': _of_a_function(True)})


@pytest.fixture(scope='module')
def frozen(trained):
    """{tool: GraphDef}"""
    return {name: make(trained) for name, make in _TOOLS.items()}


def _values(graph_def):
    return graphs.run(graph_def, freezers.OUTPUTS, {'image_tensor': _IMAGES})


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


# Other TensorFlows ------------------------------------------------------------------------------------------------

def _other_pythons():
    """Pythons of other TensorFlows, some with tf2onnx: OD_PATCH_FREEZERS, path:path, else that of the pairs."""
    given = [path for path in os.environ.get('OD_PATCH_FREEZERS', '').split(os.pathsep) if path]
    return given or [pairs.python_with('1.15')]


@pytest.mark.pairs
def test_what_the_freeze_graph_of_other_releases_makes_is_the_same_graph(frozen, tmp_path):
    found = {'here': frozen['graph_util']}
    for number, python in enumerate(_other_pythons()):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run([python, freezers.__file__, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='2', PYTHONPATH=''))
        assert done.returncode == 0, done.stdout.decode('utf-8', 'replace')[-3000:]
        for path in sorted(folder.glob('*.pb')):
            if path.name != 'out.pb':
                found['{}, {}'.format(python, path.stem)] = graphs.parsed(path.read_bytes())
    assert len(found) >= 5
    for one, other in itertools.combinations(sorted(found), 2):
        answer = _verdict.compare(*(graphs.write(tmp_path / name, found[tool])
                                    for name, tool in (('one.pb', one), ('other.pb', other))))
        said = (one, other, [cause.title for cause in answer.causes])
        if 'tf2onnx' in one + other:  # Grappler has been at work: it folds, and says so
            assert answer.verdict in ('identical', 'equivalent', 'same weights, different graph'), said
            assert not [cause.kind for cause in answer.causes
                        if cause.kind.endswith('.revision') or cause.kind in ('constant', 'attribute')], said
        else:
            assert answer.verdict in ('identical', 'equivalent'), said


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
