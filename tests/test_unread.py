"""What no output reads is in no SavedModel, and a checkpoint need not have it: on small graphs, and with a small exporter."""
import contextlib
import itertools
import json
import os
import tempfile
import types

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

import od_patch  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch import legacy  # noqa: E402
from od_patch.checkpoint import _bundle  # noqa: E402
from od_patch.export import _observer  # noqa: E402
from od_patch.proof import _verify  # noqa: E402
from od_patch.saved_model import _saved_model  # noqa: E402
from tests.support import checkpoints  # noqa: E402
from tests.support import parity  # noqa: E402

_SMALL = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support', 'small_exporter.py')


@pytest.fixture(autouse=True)
def graph_mode():
    with _graph_mode():
        yield


@contextlib.contextmanager
def _graph_mode():
    with legacy.on(), legacy.tf1_behaviour():
        yield


def _names(saved_model):
    """What a SavedModel has in its bundle, restores, and lists, as three sets of names."""
    meta_graph = parity.read_meta_graph(saved_model)
    prefix = os.path.join(saved_model, 'variables', 'variables')
    held = set(_bundle.read_index(prefix).entries) if os.path.exists(prefix + '.index') else set()
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    restored = set()
    if meta_graph.saver_def.restore_op_name:
        restores = [node for node in nodes.values() if node.op == 'RestoreV2']
        assigned = [nodes[name.lstrip('^')] for name in nodes[meta_graph.saver_def.restore_op_name].input]
        assert len(restores) == 1 and {node.op for node in assigned} <= {'Assign', 'AssignVariableOp'}
        names = nodes[restores[0].input[1]].attr['value'].tensor
        restored = {name.decode() for name in np.asarray(_tensorflow.tf1().make_ndarray(names)).ravel().tolist()}
        assert {node.input[0] for node in assigned} == {
            node.name for node in nodes.values() if node.op in ('VarHandleOp', 'VariableV2')}
    from tensorflow.core.framework import variable_pb2
    listed = set()
    for proto in meta_graph.collection_def['variables'].bytes_list.value if 'variables' in meta_graph.collection_def else ():
        variable = variable_pb2.VariableDef.FromString(proto)
        listed.add(variable.save_slice_info_def.full_name or variable.variable_name.split(':')[0])
    return held, restored, listed


def _loaded_by_tensorflow_2(saved_model):
    """Names of the variables that TensorFlow 2 finds; None where there is none."""
    if int(tensorflow.__version__.split('.')[0]) < 2:
        return None
    from tensorflow.python.eager import context
    with context.eager_mode():
        loaded = tensorflow.saved_model.load(saved_model)
        return {variable.name.split(':')[0].split('/part_')[0] for variable in loaded.variables}


# How a graph may have a variable, and whether the output reads it then.
_USES = {
    'added': True, 'by another variable': True, 'waited for': True, 'in a branch': True,
    'nowhere': False, 'summary': False, 'assertion': False, 'assigned': False, 'shadow': False, 'initial value': False}


def _use(tf, how, variable, y):
    """Returns the output, which reads a variable or does not."""
    value = tf.reduce_sum(variable)
    if how == 'added':
        return y + value
    if how == 'by another variable':
        return y + tf.reduce_sum(tf.gather(tf.reshape(variable, [-1]), tf.cast(value, tf.int32) * 0))
    if how == 'waited for':
        with tf.control_dependencies([tf.identity(value)]):
            return tf.identity(y)
    if how == 'in a branch':
        return tf.cond(tf.reduce_sum(y) > 1e9, lambda: y, lambda: y + value)
    if how == 'summary':
        tf.summary.scalar(variable.op.name, value)
    elif how == 'assertion':
        tf.Assert(value < 1e9, [value])
    elif how == 'assigned':
        tf.assign_add(variable, tf.ones_like(variable))
    elif how == 'shadow':
        tf.train.ExponentialMovingAverage(0.5).apply([variable])
    elif how == 'initial value':
        tf.get_variable(variable.op.name + '_copy', initializer=variable.initialized_value())
    return y


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(
    st.lists(st.tuples(st.sampled_from(sorted(_USES)), st.booleans(), st.booleans()), min_size=1, max_size=5),
    st.sampled_from([_saved_model.RESOURCE, _saved_model.REFERENCE]))
@hypothesis.example([('nowhere', True, False)], 'resource')
@hypothesis.example([('added', True, False), ('nowhere', False, True), ('added', False, False)], 'reference')
@hypothesis.example([(how, number % 2 == 0, False) for number, how in enumerate(sorted(_USES))], 'resource')
def test_a_saved_model_has_what_its_outputs_read(rows, kind):
    tf = _tensorflow.tf1()
    with tempfile.TemporaryDirectory() as folder, _graph_mode():
        with tf.Graph().as_default() as graph, tf.Session() as session:
            x = y = tf.placeholder(tf.float32, [None], name='x')
            tf.train.get_or_create_global_step()
            read = set()
            for number, (how, use_resource, partitioned) in enumerate(rows):
                name = 'v{}'.format(number)
                with tf.variable_scope('', partitioner=tf.fixed_size_partitioner(2) if partitioned and how in (
                        'added', 'nowhere') else None):
                    variable = tf.get_variable(name, [2, 3], use_resource=use_resource and how != 'assigned')
                if partitioned and how in ('added', 'nowhere'):
                    variable = variable.as_tensor()
                y = _use(tf, how, variable, y)
                read |= {name} if _USES[how] else set()
            y = tf.identity(y, name='y')
            session.run(tf.global_variables_initializer())
            expected = session.run(y, {x: [1, 2]})
            prefix = tf.train.Saver().save(session, os.path.join(folder, 'model.ckpt'), write_meta_graph=False)
        path = os.path.join(folder, 'saved_model')
        written = _saved_model.write(path, graph, x, {'y': y}, prefix, kind)
        held, restored, listed = _names(path)
        assert held == restored == listed == read == _saved_model.variables_read(graph, ['y', 'no node'])
        everything = _bundle.read_index(prefix).entries
        assert {name.split('/part_')[0] for name, _ in written.left_out} == {
            name.split('/part_')[0] for name in everything if '\0' not in name} - read
        assert sum(size for _, size in written.left_out) == sum(
            variable.get_shape().num_elements() * variable.dtype.size for variable in graph.get_collection('variables')
            if variable.op.name.split('/part_')[0] not in read)
        assert written.num_bytes == 24 * len(read) and os.path.isdir(os.path.join(path, 'variables'))
        outputs, _ = parity.run_saved_model(path, {'inputs': np.array([1, 2], np.float32)})
        assert outputs['y'].tobytes() == expected.tobytes()
        if kind == _saved_model.RESOURCE and written.kind == kind:
            assert _loaded_by_tensorflow_2(path) in (None, read)


# With an exporter

_AVERAGE = '/ExponentialMovingAverage'


@pytest.fixture(scope='module')
def exporter(tmp_path_factory):
    """The small exporter with a part of its model that no output reads, and an output that reads no variable."""
    with open(_SMALL, encoding='utf-8') as source:
        text = source.read()
    beside = "    tf.square(weights, name='beside')  # which no output needs\n"
    assert beside in text
    text = text.replace(beside, (
        "    dead = tf.get_variable('dead/weights', [3, 5])\n"
        "    tf.summary.histogram('dead/summary', dead)\n"
        "    tf.square(dead, name='beside')\n"))
    answer = "    return {'detection_boxes'"
    assert answer in text
    text = text.replace(answer, "    return {'anchors': tf.identity([[1., 2.]], name='anchors'), 'detection_boxes'")
    module = types.ModuleType('exporter_with_more')
    module.__file__ = str(tmp_path_factory.mktemp('exporter') / 'exporter_with_more.py')
    with open(module.__file__, 'w') as file:
        file.write(text)
    exec(compile(text, module.__file__, 'exec'), vars(module))  # pylint: disable=exec-used
    return module


class _Heard(_observer.Observer):
    def __init__(self):
        self.notes, self.report = [], None

    def note(self, text):
        self.notes.append(text)

    def finished(self, report):
        self.report = report


@pytest.fixture
def export(exporter, tmp_path):
    """A function that exports a checkpoint without some of its tensors; returns (output directory, notes, report)."""
    from object_detection.protos import pipeline_pb2
    numbers = itertools.count()

    def run(without=(), averages=False, **options):
        folder = tmp_path / str(next(numbers))
        random = np.random.RandomState(5)
        values = {'layer/weights': random.rand(4, 2).astype('f4'), 'layer/shift': random.rand(2).astype('f4'),
                  'dead/weights': random.rand(3, 5).astype('f4'), 'global_step': np.int64(7)}
        if averages:
            values.update((name + _AVERAGE, 2 * values[name]) for name in ('layer/weights', 'dead/weights'))
        prefix = str(folder / 'trained' / 'model.ckpt-7')
        os.makedirs(os.path.dirname(prefix))
        checkpoints.write_v2(prefix, {name: value for name, value in values.items() if name not in without})
        config = pipeline_pb2.TrainEvalPipelineConfig()
        config.model.ssd.num_classes = 2
        config.model.ssd.feature_extractor.type = 'ssd_mobilenet_v1'
        config.eval_config.use_moving_averages = averages
        heard = _Heard()
        output = str(folder / 'out')
        given = prefix if not options.get('all_checkpoints') else os.path.dirname(prefix)
        with _tensorflow.tf1().Graph().as_default(), od_patch.patched(exporter, _observer=heard, **options):
            exporter.export_inference_graph('image_tensor', config, given, output)
        return output, heard.notes, heard.report
    return run


def _held(prefix):
    return set(_bundle.read_index(prefix).entries)


_READ = {'layer/weights', 'layer/shift'}


@pytest.mark.parametrize('kind', ['resource', 'reference'])
@pytest.mark.parametrize('averages', [False, True])
@pytest.mark.parametrize('absent', [False, True])
@pytest.mark.parametrize('artifacts', [
    None, ['saved_model'], ['frozen_graph'], ['checkpoint'], ['saved_model', 'checkpoint'],
    ['saved_model', 'frozen_graph']], ids=lambda artifacts: '-'.join(artifacts or ['all']))
def test_a_part_that_nothing_reads_is_left_out_whether_the_checkpoint_has_it_or_not(
        export, artifacts, absent, averages, kind):
    without = {'dead/weights', 'dead/weights' + _AVERAGE} if absent else ()
    output, notes, report = export(without, averages, artifacts=artifacts, saved_model_variables=kind)
    if artifacts is None or 'checkpoint' in artifacts:  # all that the release restores of what there is
        assert _held(os.path.join(output, 'model.ckpt')) == _READ | {'global_step'} | (
            set() if absent else {'dead/weights'})
        _assert_meta_restores(os.path.join(output, 'model.ckpt'))
    lacking = [note for note in notes if 'has no value for 1 of the variables' in note]
    assert len(lacking) == absent and all('dead/weights' in note for note in lacking)
    assert all(('model.ckpt lacks them, too' in note) == (artifacts is None or 'checkpoint' in artifacts)
               for note in lacking)
    if artifacts is None or 'saved_model' in artifacts:
        path = os.path.join(output, 'saved_model')
        assert _names(path) == (_READ, _READ, _READ)
        assert dict(report.written.left_out) == {'dead/weights': 60, 'global_step': 8}
        with open(os.path.join(path, 'assets.extra', 'od_patch.json')) as file:
            assert json.load(file)['variables'] == {
                'written': 2, 'left_out': ['dead/weights', 'global_step'], 'left_out_bytes': 68}
        answer = _verify.verify(output if len(artifacts or ()) != 1 else path, quick=True)
        assert not answer.wrong
        restore, = [check for check in answer.checks if check.name == 'restore']
        assert restore.text == ('all 2 variables are restored, and fit; 2 variables of the model that no output reads are '
                                'left out, 68 bytes')
        if kind == 'resource':
            assert _loaded_by_tensorflow_2(path) in (None, _READ)


def _assert_meta_restores(prefix):
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(prefix + '.meta').restore(session, prefix)


def test_what_an_output_reads_has_to_be_there(export):
    for options in ({'additional_output_tensor_names': ['beside']},
                    {'additional_output_tensor_names': ['beside'], 'artifacts': ['saved_model']},
                    {'additional_output_tensor_names': ['beside'], 'artifacts': ['frozen_graph']},
                    {'additional_output_tensor_names': ['d=beside'], 'signature_outputs': ['d'],
                     'artifacts': ['saved_model']}):
        output, _, report = export(**options)
        if 'frozen_graph' not in options.get('artifacts', ()):
            assert 'dead/weights' in _held(os.path.join(output, 'saved_model', 'variables', 'variables'))
            assert 'dead/weights' not in dict(report.written.left_out)
        with pytest.raises(od_patch.CheckpointMismatch, match='1 is missing'):
            export(['dead/weights'], **options)
    for artifacts in (None, ['saved_model'], ['frozen_graph'], ['checkpoint']):
        with pytest.raises(od_patch.CheckpointMismatch, match='1 is missing'):
            export(['layer/shift'], artifacts=artifacts)
        with pytest.raises(od_patch.CheckpointMismatch, match='1 is missing'):  # what nobody reads is not counted
            export(['layer/shift', 'dead/weights'], artifacts=artifacts)


def test_outputs_that_are_not_served_are_no_reason_to_keep_a_variable(export):
    """But the frozen graph has all outputs, and is compared with model.ckpt in all that it reads."""
    for without in ([], ['layer/weights', 'layer/shift', 'dead/weights']):
        output, _, report = export(without, signature_outputs=['anchors'], artifacts=['saved_model'])
        path = os.path.join(output, 'saved_model')
        assert _names(path) == (set(), set(), set()) and os.listdir(os.path.join(path, 'variables')) == []
        assert (report.written.num_variables, len(report.written.left_out)) == (0, 4)
        outputs, _ = parity.run_saved_model(path, {})
        assert outputs['anchors'].tolist() == [[1, 2]]
        assert _loaded_by_tensorflow_2(path) in (None, set())
    output, _, _ = export(signature_outputs=['anchors'])
    assert _names(os.path.join(output, 'saved_model'))[0] == set()
    same, = [check for check in _verify.verify(output, quick=True).checks if check.name == 'frozen graph = model.ckpt']
    assert same.text == 'all 2 variables are equal bit for bit'
    with pytest.raises(od_patch.CheckpointMismatch):
        export(['layer/shift'], signature_outputs=['anchors'])


@pytest.mark.parametrize('absent', [False, True])
@pytest.mark.parametrize('outputs', [None, ['anchors']])
def test_a_series_leaves_out_the_same_and_skips_what_is_done(export, exporter, absent, outputs):
    output, _, report = export(['dead/weights'] if absent else [], all_checkpoints=True, signature_outputs=outputs)
    assert [result.outcome for result in report.results] == ['exported']
    expected = _READ if outputs is None else set()
    assert _names(os.path.join(output, '7')) == (expected, expected, expected)
    from object_detection.protos import pipeline_pb2
    config = pipeline_pb2.TrainEvalPipelineConfig()
    config.model.ssd.num_classes = 2
    config.model.ssd.feature_extractor.type = 'ssd_mobilenet_v1'
    config.eval_config.use_moving_averages = False
    heard = _Heard()
    with _tensorflow.tf1().Graph().as_default(), od_patch.patched(exporter, _observer=heard, all_checkpoints=True, signature_outputs=outputs):
        exporter.export_inference_graph(
            'image_tensor', config, os.path.join(os.path.dirname(output), 'trained'), output)
    assert [result.outcome for result in heard.report.results] == ['done before']


def test_a_step_that_is_served_is_there_though_the_checkpoint_has_none(export):
    for artifacts in (None, ['saved_model']):
        output, _, _ = export(['global_step'], artifacts=artifacts, additional_output_tensor_names=['global_step/read'])
        assert 'global_step' in _held(os.path.join(output, 'saved_model', 'variables', 'variables'))
