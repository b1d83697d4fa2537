"""What is recognised, declined and made around an exporter, asked of one that exports in a second."""
import contextlib
import functools
import gc
import itertools
import json
import logging
import os
import re
import tempfile
import types

import numpy as np
import pytest

import od_patch
from od_patch.export import _artifacts
from od_patch.export import _current
from od_patch.export import _destination
from od_patch.export import _observer
from od_patch.patch import _recognition
from od_patch.releases import _releases
from od_patch.serving import _requests
from od_patch.steps import additional_outputs

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _tensorflow  # noqa: E402
from tests.support import checkpoints  # noqa: E402
from tests.support import parity  # noqa: E402

pytestmark = pytest.mark.usefixtures('tf1_behaviour')

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support', 'small_exporter.py')
with open(_SOURCE, encoding='utf-8') as _source_file:
    _TEXT = _source_file.read()

# What an export calls, in this order, and the leading parameters of each function that are relied on.
_STEPS = ['replace_variable_values_with_moving_averages', 'write_graph_and_checkpoint',
          'freeze_graph.freeze_graph_with_def_protos', 'write_saved_model']
_PARAMETERS = [
    ('export_inference_graph', 'input_type pipeline_config trained_checkpoint_prefix output_directory input_shape'),
    ('_export_inference_graph', 'input_type detection_model use_moving_averages trained_checkpoint_prefix '
                                'output_directory additional_output_tensor_names input_shape'),
    ('replace_variable_values_with_moving_averages', 'graph current_checkpoint_file new_checkpoint_file'),
    ('write_graph_and_checkpoint', 'inference_graph_def model_path input_saver_def trained_checkpoint_prefix'),
    ('write_saved_model', 'saved_model_path frozen_graph_def inputs outputs')]


@pytest.fixture
def variant(tmp_path):
    """A function that makes the small exporter with its source changed by a function from text to text."""
    numbers = itertools.count()

    def make(change=lambda text: text, changes=True):
        text = change(_TEXT)
        assert (text != _TEXT) == changes
        path = tmp_path / 'exporter_{}.py'.format(next(numbers))
        path.write_text(text)
        module = types.ModuleType(path.name[:-len('.py')])
        module.__file__ = str(path)
        exec(compile(text, str(path), 'exec'), vars(module))  # pylint: disable=exec-used
        return module
    return make


@pytest.fixture
def exporter(variant):
    return variant(changes=False)


def _declined(module):
    before = dict(vars(module))
    with pytest.raises(od_patch.ExporterDeclined) as declined:
        _recognition.recognise(module)
    with pytest.raises(od_patch.ExporterDeclined):
        od_patch.install(module)
    assert vars(module) == before
    assert module.__file__ in declined.value.problem and declined.value.exit_code == 4
    return declined.value.problem


def test_the_small_exporter_is_recognised(exporter):
    recognised = _recognition.recognise(exporter)
    assert recognised.release is None and recognised.blob_id == _releases.blob_id(_TEXT.encode('utf-8'))
    assert recognised.names == dict(
        {name: name for name, _ in _PARAMETERS}, freeze_graph='freeze_graph',
        build_detection_graph='build_detection_graph', profile_inference_graph='profile_inference_graph')
    assert _recognition.describe(recognised) == 'unpinned (git blob {})'.format(recognised.blob_id)


@pytest.mark.parametrize('name', [name for name, _ in _PARAMETERS])
def test_an_exporter_without_one_of_the_functions_is_declined(variant, name):
    problem = _declined(variant(lambda text: re.sub(r'\b' + name + r'\b', 'other_name', text)))
    assert 'there is no function ' + name in problem


@pytest.mark.parametrize('function, position', [
    (function, position) for function, parameters in _PARAMETERS for position in range(len(parameters.split()))])
def test_an_exporter_with_another_parameter_is_declined(variant, function, position):
    parameters = dict(_PARAMETERS)[function].split()

    def change(text):
        head = re.search(r'def {}\([^)]*\):'.format(function), text).group()
        return text.replace(head, re.sub(r'\b' + parameters[position] + r'\b', 'another', head))

    problem = _declined(variant(change))
    found = parameters[:position] + ['another'] + parameters[position + 1:]
    assert '{} takes ({}'.format(function, ', '.join(found)) in problem
    assert 'where ({}) is expected'.format(', '.join(parameters)) in problem


@pytest.mark.parametrize('function', [name for name, _ in _PARAMETERS])
def test_further_parameters_behind_those_that_are_known_are_taken(variant, function):
    def change(text):
        head = re.search(r'def {}\([^)]*\):'.format(function), text).group()
        return text.replace(head, head.replace('):', ', one_more=None):'))
    assert _recognition.recognise(variant(change))


def _helper(text):
    """Returns the source of the export's helper."""
    return re.search(r'def _export_inference_graph\(.*?(?=\n\n\ndef )', text, re.DOTALL).group()


@pytest.mark.parametrize('order', [
    order for count in (3, 4) for order in itertools.permutations(range(4), count) if order != (0, 1, 2, 3)])
def test_an_exporter_whose_steps_are_others_or_in_another_order_is_declined(variant, order):
    def change(text):
        helper = _helper(text)
        calls = ''.join("    {}('model.ckpt')\n".format(_STEPS[step]) for step in order)
        return text.replace(helper, helper[:helper.index('    os.makedirs')] + calls.rstrip('\n'))
    problem = _declined(variant(change))
    names = [step.split('.')[-1] for step in _STEPS]
    assert '_export_inference_graph uses {}, where {} is expected, in this order'.format(
        ', '.join(names[step] for step in order), ', '.join(names)) in problem


def test_an_exporter_whose_helper_does_nothing_is_declined(variant):
    problem = _declined(variant(lambda text: text.replace(
        _helper(text), _helper(text).split('    os.makedirs')[0] + '    pass')))
    assert 'uses none of its helpers' in problem


@pytest.mark.parametrize('change, words', [
    (lambda text: text.replace("'model.ckpt'", "'model.' + 'checkpoint'"), 'does not write model.ckpt'),
    (lambda text: text.replace('import tempfile', 'from tempfile import mkdtemp').replace(
        'tempfile.mkdtemp', 'mkdtemp'), 'it does not import tempfile'),
    (lambda text: text.replace('class freeze_graph:', 'class freezer:').replace(
        'freeze_graph.freeze', 'freezer.freeze'), 'it freezes neither by itself nor with the module freeze_graph')])
def test_an_exporter_that_lacks_one_thing_is_declined_for_that(variant, change, words):
    problem = _declined(variant(change))
    assert words in problem and problem.count('  - ') == 1


def test_all_that_is_different_is_told_at_once(variant):
    problem = _declined(variant(lambda text: text.replace('import tempfile', '').replace(
        '(saved_model_path,', '(path,').replace('def write_graph_and_checkpoint', 'def write_checkpoint')))
    assert problem.count('  - ') == 3
    assert 'write_saved_model takes (path, frozen_graph_def' in problem and 'write_graph_and_checkpoint or' in problem


def test_a_decorated_helper_is_looked_into(variant):
    def change(text):
        return text.replace('def _export_inference_graph', '''def _decorated(function):
    import functools

    @functools.wraps(function)
    def decorated(*args, **kwargs):
        return function(*args, **kwargs)
    return decorated


@_decorated
def _export_inference_graph''')
    assert _recognition.recognise(variant(change))


def test_an_exporter_that_freezes_by_itself_is_taken(variant):
    def change(text):
        return text.replace('class freeze_graph:', 'class _Freezer:').replace('= freeze_graph.', '= ').replace(
            'def build_detection_graph', 'freeze_graph_with_def_protos = _Freezer.freeze_graph_with_def_protos\n\n\n'
            'def build_detection_graph')
    recognised = _recognition.recognise(variant(change))
    assert recognised.names['freeze_graph_with_def_protos'] and 'freeze_graph' not in recognised.names


@pytest.mark.parametrize('name', ['write_saved_model', 'write_graph_and_checkpoint', 'build_detection_graph'])
def test_names_with_an_underscore_are_those_of_earlier_releases(variant, name):
    recognised = _recognition.recognise(variant(lambda text: re.sub(r'\b' + name + r'\b', '_' + name, text)))
    assert recognised.names[name] == '_' + name


def test_the_source_of_compiled_code_lies_beside_it(exporter):
    blob = _releases.blob_id(_TEXT.encode('utf-8'))
    exporter.__file__ += 'c'
    assert _recognition.recognise(exporter).blob_id == blob
    os.unlink(exporter.__file__[:-1])
    assert _recognition.recognise(exporter).blob_id is None
    del exporter.__file__
    assert _recognition.recognise(exporter).blob_id is None
    del exporter.tempfile
    with pytest.raises(od_patch.ExporterDeclined, match='git blob unknown, there is no source'):
        _recognition.recognise(exporter)


@pytest.fixture
def pinned(exporter, monkeypatch):
    """The small exporter as a pinned release."""
    monkeypatch.setattr(_releases, 'RELEASES', (_releases.Release(
        'small', 'abcdef12', '2026-01-01', _releases.blob_id(_TEXT.encode('utf-8')), '', 1, '', False),))
    return exporter


def test_a_pinned_exporter_is_patched_without_a_word(pinned, caplog):
    assert _recognition.describe(_recognition.recognise(pinned)) == 'small (abcdef12)'
    for strict in (False, True):
        with od_patch.patched(pinned, strict_pin=strict):
            pass
    assert not caplog.records


def test_an_exporter_that_is_patched_already_is_still_not_pinned(exporter, caplog):
    od_patch.install(exporter)
    try:
        assert caplog.text.count('not one of the pinned') == 1
        od_patch.install(exporter)
        assert caplog.text.count('not one of the pinned') == 2
        with pytest.raises(od_patch.ExporterDeclined):
            with od_patch.patched(exporter, strict_pin=True):
                pass
    finally:
        od_patch.uninstall(exporter)


# Exports


_AVERAGE = '/ExponentialMovingAverage'


@pytest.fixture
def values():
    random = np.random.RandomState(5)
    return {'layer/weights': random.rand(4, 2).astype(np.float32), 'layer/shift': random.rand(2).astype(np.float32),
            'global_step': np.int64(7), 'layer/weights' + _AVERAGE: random.rand(4, 2).astype(np.float32)}


@pytest.fixture
def prefix(tmp_path, values):
    prefix = str(tmp_path / 'training' / 'model.ckpt-99')  # not the step that it holds
    os.makedirs(os.path.dirname(prefix))
    checkpoints.write_v2(prefix, values)
    return prefix


@pytest.fixture
def export(exporter, tmp_path, prefix):
    """A function that exports with the small exporter; returns the output directory."""
    from object_detection.protos import pipeline_pb2
    numbers = itertools.count()

    def run(averages=False, module=exporter, output=None, checkpoint=prefix, arguments=None, **options):
        config = pipeline_pb2.TrainEvalPipelineConfig()
        config.model.ssd.num_classes = 2
        config.model.ssd.feature_extractor.type = 'ssd_mobilenet_v1'  # one that every release has
        config.eval_config.use_moving_averages = averages
        output = str(tmp_path / 'out_{}'.format(next(numbers))) if output is None else output
        with _tensorflow.tf1().Graph().as_default(), od_patch.patched(module, **options):
            module.export_inference_graph('image_tensor', config, checkpoint, output, **(arguments or {}))
        return output
    return run


_FEED = np.array([[1, 2, 3, 4], [-1, 0, .5, 2]], np.float32)
_PARTS = {'saved_model': {'saved_model'}, 'frozen_graph': {'frozen_inference_graph.pb'},
          'checkpoint': {'checkpoint', 'model.ckpt.data-00000-of-00001', 'model.ckpt.index', 'model.ckpt.meta'},
          'pipeline_config': {'pipeline.config'}}
_SUBSETS = [subset for count in range(1, 5) for subset in itertools.combinations(sorted(_PARTS), count)]


def _record(output):
    with open(os.path.join(output, 'saved_model', 'assets.extra', 'od_patch.json')) as record_file:
        return json.load(record_file)


def _assert_weights(output, values, averages):
    """Asserts that what an export holds computes what these values do."""
    weights = values['layer/weights' + (_AVERAGE if averages else '')]
    expected = _FEED.dot(weights) + values['layer/shift']
    found = []
    if os.path.exists(os.path.join(output, 'saved_model')):
        outputs, signature = parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': _FEED})
        assert sorted(outputs) == ['detection_boxes', 'detection_scores']
        found.append(outputs['detection_boxes'])
    if os.path.exists(os.path.join(output, 'frozen_inference_graph.pb')):
        tf = _tensorflow.tf1()
        with tf.Graph().as_default(), tf.Session(config=parity.unoptimized_config()) as session:
            tf.import_graph_def(parity.read_frozen_graph(output), name='')
            found.append(session.run('detection_boxes:0', {'image_tensor:0': _FEED}))
    if os.path.exists(os.path.join(output, 'model.ckpt.index')):
        reader = _tensorflow.tf1().train.NewCheckpointReader(os.path.join(output, 'model.ckpt'))
        assert reader.get_tensor('layer/weights').tobytes() == weights.tobytes()
        assert not reader.has_tensor('layer/weights' + _AVERAGE)
    for boxes in found:
        np.testing.assert_allclose(boxes, expected, rtol=1e-5)


@pytest.mark.parametrize('kind', _artifacts.KINDS)
@pytest.mark.parametrize('averages', [False, True])
@pytest.mark.parametrize('artifacts', _SUBSETS, ids='-'.join)
def test_what_was_asked_for_is_made_and_nothing_else(export, values, tmp_path, monkeypatch, artifacts, averages, kind):
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    before = set(os.listdir(str(tmp_path)))
    output = export(averages, artifacts=artifacts, saved_model_variables=kind)
    assert set(os.listdir(output)) == set().union(*(_PARTS[artifact] for artifact in artifacts))
    assert set(os.listdir(str(tmp_path))) - before == {os.path.basename(output)}
    assert os.listdir(str(tmp_path / 'tmp')) == []
    _assert_weights(output, values, averages)
    if 'saved_model' in artifacts:
        ops = {node.op for node in parity.read_meta_graph(os.path.join(output, 'saved_model')).graph_def.node}
        assert [op for op in ('VarHandleOp', 'VariableV2') if op in ops] == {
            'resource': ['VarHandleOp'], 'reference': ['VariableV2'], 'frozen': []}[kind]


@pytest.mark.parametrize('averages', [False, True])
@pytest.mark.parametrize('artifacts', [['saved_model'], None])
def test_the_record_says_what_the_checkpoint_holds_and_not_what_its_name_says(export, prefix, averages, artifacts):
    output = export(averages, artifacts=artifacts)
    record = _record(output)
    digests = record.pop('sha256')
    assert sorted(digests) == ([] if artifacts else ['checkpoint', 'frozen_inference_graph.pb', 'model.ckpt.index',
                                                     'model.ckpt.meta'])
    from tensorflow.python.framework import versions
    assert record == {
        'format': 1, 'od_patch': od_patch.__version__, 'tensorflow': tensorflow.__version__,
        'tensorflow_git': versions.GIT_VERSION, 'exporter': 'unpinned (git blob {})'.format(
            _releases.blob_id(_TEXT.encode('utf-8'))),
        'checkpoint': prefix, 'checkpoint_format': 'V2', 'global_step': 7, 'moving_averages': averages,
        'variables': {'written': 2, 'left_out': ['global_step'], 'left_out_bytes': 8}}
    import hashlib
    for name, digest in digests.items():
        with open(os.path.join(output, name), 'rb') as file:
            assert hashlib.sha256(file.read()).hexdigest() == digest


class _Seen(_observer.Observer):
    """Takes note of what an observer is told."""

    def __init__(self):
        self.stages, self.notes, self.reports = [], [], []

    def stage(self, name):
        self.stages.append(name)

    def note(self, text):
        self.notes.append(text)

    def finished(self, report):
        self.reports.append(report)


@pytest.mark.parametrize('averages, artifacts, expected', [
    (False, None, ['profile', 'checkpoint', 'frozen graph', 'digests', 'saved model']),
    (True, None, ['profile', 'moving averages', 'checkpoint', 'frozen graph', 'digests', 'saved model']),
    (True, ['saved_model'], ['saved model']), (True, ['checkpoint'], ['moving averages', 'checkpoint']),
    (True, ['frozen_graph'], ['moving averages', 'frozen graph']), (True, ['pipeline_config'], [])])
def test_the_stages_are_told_as_they_begin(export, averages, artifacts, expected):
    seen = _Seen()
    export(averages, artifacts=artifacts, _observer=seen)
    assert seen.stages == ['checks', 'graph'] + expected + ['proof', 'moving into place']


@pytest.mark.parametrize('averages', [False, True])
@pytest.mark.parametrize('kind', _artifacts.KINDS)
def test_the_report_says_what_was_made(export, prefix, kind, averages):
    seen = _Seen()
    output = export(averages, saved_model_variables=kind, _observer=seen)
    report, = seen.reports
    assert (report.output_directory, report.kind, report.use_moving_averages, report.checkpoint, report.step) == (
        output, kind, averages, prefix, 7)
    assert report.artifacts == set(_PARTS) and not report.replaced
    assert report.release.startswith('unpinned (git blob ') and report.lines == []
    (label, proved), = report.facts
    assert label == 'proof' and proved.startswith('files and weights: ') and proved.endswith('(--verify runs it, too)')
    assert sorted(report.signature.outputs) == ['detection_boxes', 'detection_scores']
    assert dict(report.files) == {
        os.path.relpath(os.path.join(folder, name), output): os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(output) for name in names}
    assert report.files == sorted(report.files)
    if kind == 'frozen':
        assert report.written is None
    else:
        assert (report.written.num_variables, report.written.num_bytes, report.written.kind) == (2, 40, kind)
        assert report.written.left_out == [('global_step', 8)]


def test_a_directory_stands_for_its_newest_checkpoint_and_the_user_is_told(export, prefix):
    seen = _Seen()
    output = export(checkpoint=os.path.dirname(prefix), _observer=seen)
    assert 'checkpoint: ' + prefix in seen.notes and _record(output)['checkpoint'] == prefix
    seen = _Seen()
    export(_observer=seen)
    assert not [note for note in seen.notes if note.startswith('checkpoint')]


@pytest.mark.parametrize('profile_graph, artifacts, profiled', [
    (None, None, True), (None, ['saved_model'], False), (True, ['saved_model'], True), (False, None, False),
    (None, ['checkpoint', 'frozen_graph', 'saved_model'], False),
    (None, ['pipeline_config', 'checkpoint', 'frozen_graph', 'saved_model'], True)])
def test_the_graph_is_profiled_where_everything_is_made_or_that_is_asked_for(
        export, capsys, profile_graph, artifacts, profiled):
    export(profile_graph=profile_graph, artifacts=artifacts)
    assert ('profile of 3 variables' in capsys.readouterr().out) == profiled


@pytest.mark.parametrize('profile_graph, profiled', [(None, False), (True, True), (False, False)])
def test_the_graph_is_not_profiled_where_nobody_could_read_it_unless_asked(export, capsys, profile_graph, profiled):
    class Quiet(_observer.Observer):
        keeps_output = False
    export(profile_graph=profile_graph, _observer=Quiet())
    assert ('profile of 3 variables' in capsys.readouterr().out) == profiled


@pytest.mark.parametrize('options, used', [
    ({'artifacts': ['saved_model']}, False), ({'artifacts': ['saved_model', 'pipeline_config']}, False),
    ({'artifacts': ['pipeline_config']}, False), ({'artifacts': ['saved_model', 'checkpoint']}, True),
    ({'artifacts': ['saved_model', 'frozen_graph']}, True), ({}, True),
    ({'artifacts': ['saved_model'], 'profile_graph': True}, True),
    ({'artifacts': ['saved_model'], 'saved_model_variables': 'frozen'}, True)])
def test_of_a_pinned_exporter_no_more_is_run_than_is_needed(export, pinned, values, monkeypatch, options, used):
    savers = []
    saver = pinned.tf.train.Saver
    monkeypatch.setattr(pinned.tf.train, 'Saver', lambda *args, **kwargs: savers.append(1) or saver(*args, **kwargs))
    output = export(module=pinned, **options)
    assert bool(savers) == used
    _assert_weights(output, values, False)


@pytest.mark.parametrize('by', ['argument', 'option', 'both'])
def test_additional_outputs_are_exported_however_they_are_asked_for(export, by):
    names = ['beside', 'shifted']
    if by == 'both':
        names = names[::-1]
    arguments = {'additional_output_tensor_names': names if by == 'argument' else names[:1]} if by != 'option' else {}
    options = {'additional_output_tensor_names': names} if by != 'argument' else {}
    for artifacts in (None, ['saved_model']):
        output = export(arguments=arguments, artifacts=artifacts, **options)
        kept = {node.name for node in parity.read_meta_graph(os.path.join(output, 'saved_model')).graph_def.node}
        assert set(names) <= kept


def test_an_additional_output_that_there_is_not_is_refused_with_the_one_that_is_meant(export, tmp_path):
    before = sorted(os.listdir(str(tmp_path)))
    with pytest.raises(od_patch.UsageError, match="no node 'detection_box', which(.|\n)*Did you mean detection_boxes"):
        export(arguments={'additional_output_tensor_names': ['shifted', 'detection_box']})
    with pytest.raises(od_patch.UsageError) as refusal:
        export(additional_output_tensor_names=['qqqqqq'])
    assert '--write_inference_graph writes the graph' in refusal.value.remedy
    assert sorted(os.listdir(str(tmp_path))) == before


_MORE_NODES = """
    tf.split(boxes, 2, axis=1, name='halves')
    tf.no_op(name='nothing')
    tf.while_loop(lambda turn: turn < 3, lambda turn: tf.add(turn, 1, name='turned'), [tf.constant(0)], name='loop')
    return {"""


@pytest.fixture
def more_nodes(variant):
    """The small exporter, of a graph that has a node of two tensors, one of none, and a loop."""
    return variant(lambda text: text.replace('\n    return {', _MORE_NODES))


def _all_of(output, feed=_FEED):
    """Returns ({key: tensor's name}, {key: value}) of the signature, which the frozen graph computes, too."""
    outputs, signature = parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': feed})
    if os.path.exists(os.path.join(output, 'frozen_inference_graph.pb')):
        parity.assert_bit_equal(outputs, parity.run_frozen_graph(
            parity.read_frozen_graph(output), signature, {'inputs': feed}))
    return {key: info.name for key, info in signature.outputs.items()}, outputs


_OUTPUTS = {'detection_boxes': 'detection_boxes:0', 'detection_scores': 'detection_scores:0'}


@pytest.mark.parametrize('kind', _artifacts.KINDS)
@pytest.mark.parametrize('asked, keys', [
    ('shifted', {'shifted': 'shifted:0'}),
    ('shifted:0', {'shifted': 'shifted:0'}),
    ('features=shifted', {'features': 'shifted:0'}),
    (' raw/boxes = shifted:0 ,, beside', {'raw/boxes': 'shifted:0', 'beside': 'beside:0'}),
    (['features=shifted', 'shifted'], {'features': 'shifted:0', 'shifted': 'shifted:0'}),
    ('shifted,shifted:0,shifted', {'shifted': 'shifted:0'}),
    ('halves', {'halves': 'halves:0'}),
    ('halves,halves:1', {'halves': 'halves:0', 'halves:1': 'halves:1'}),
    ('left=halves:0,right=halves:1', {'left': 'halves:0', 'right': 'halves:1'}),
    ('layer/weights/read', {'layer/weights/read': 'layer/weights/read:0'}),
    ('detection_boxes', {}), ('detection_boxes=detection_boxes', {}),
    ('boxes=detection_boxes', {'boxes': 'detection_boxes:0'}),
    ('inputs=shifted', {'inputs': 'shifted:0'}), ('', {}), ([], {})])
def test_additional_outputs_are_served_under_their_keys(export, more_nodes, kind, asked, keys):
    found, values = _all_of(export(
        module=more_nodes, saved_model_variables=kind, additional_output_tensor_names=asked))
    assert found == dict(_OUTPUTS, **keys)
    if 'right' in keys:
        assert np.concatenate([values['left'], values['right']], axis=1).tobytes() == values['detection_boxes'].tobytes()


@pytest.mark.parametrize('asked, reason', [
    ('image_tensor', 'it is an input'), ('nothing', 'the node computes nothing'),
    ('loop/turned', 'inside a loop or a condition'), ('layer/weights', 'its value is layer/weights/read')])
@pytest.mark.parametrize('kind', _artifacts.KINDS)
def test_what_no_server_can_answer_with_is_exported_and_said(export, more_nodes, caplog, kind, asked, reason):
    """The release exports it: so does od-patch."""
    output = export(module=more_nodes, saved_model_variables=kind, additional_output_tensor_names=['shifted', asked])
    assert _all_of(output)[0] == dict(_OUTPUTS, shifted='shifted:0')
    assert asked in {node.name for node in parity.read_frozen_graph(output).node}
    told = [line for line in caplog.messages if 'no output of serving_default' in line]
    assert len(told) == 1 and asked in told[0] and reason in told[0]


@pytest.mark.parametrize('asked, words, remedy', [
    ('=shifted', "'=shifted' names no output", 'KEY=NAME'), ('key=', "'key=' names no output", 'KEY=NAME'),
    (':0', "':0' names no output", 'KEY=NAME'), ('a key=shifted', 'names no output', 'KEY=NAME'),
    ('a=b=shifted', 'names no output', 'KEY=NAME'),
    ('one=shifted,one=beside', 'gives the key one to both shifted:0 and beside:0', 'a key of its own'),
    ('beside=shifted,beside', 'gives the key beside to both', 'a key of its own'),
    ('detection_boxes=shifted', 'the model has an output of that key', 'my_detection_boxes=shifted:0'),
    ('halves:2', 'asks for halves:2, and the node has 2 tensors', 'halves:0'),
    ('nothing:1', 'asks for nothing:1, and the node has no tensors', 'nothing:0'),
    ('key=shiftet', "no node 'shiftet'", 'Did you mean shifted'), ('^shifted', "no node '^shifted'", 'shifted'),
    ('key=loop/turned', 'cannot be an output that is served: it is computed inside a loop', 'Without a key'),
    ('key=layer/weights', 'it is a variable', 'Without a key')])
def test_additional_outputs_that_cannot_be_are_refused(export, more_nodes, tmp_path, asked, words, remedy):
    before = sorted(os.listdir(str(tmp_path)))
    for names in (asked, asked.split(',')):
        for arguments, options in (({}, {'additional_output_tensor_names': names}),
                                   ({'additional_output_tensor_names': asked.split(',')}, {})):
            with pytest.raises(od_patch.UsageError) as refusal:
                export(module=more_nodes, arguments=arguments, **options)
            assert words in refusal.value.problem and remedy in refusal.value.remedy
    assert sorted(os.listdir(str(tmp_path))) == before


@pytest.mark.parametrize('by', ['argument', 'option', 'both'])
def test_the_release_is_called_with_names_of_nodes(export, more_nodes, monkeypatch, by):
    called = []
    original = more_nodes._export_inference_graph

    @functools.wraps(original)
    def noted(**arguments):
        called.append(list(arguments['additional_output_tensor_names']))
        return original(**arguments)
    monkeypatch.setattr(more_nodes, '_export_inference_graph', noted)
    arguments = {'additional_output_tensor_names': ['features=shifted', 'halves:1']}
    found, _ = _all_of(export(module=more_nodes, arguments=arguments if by != 'option' else {},
                              **(arguments if by != 'argument' else {})))
    assert found == dict(_OUTPUTS, **{'features': 'shifted:0', 'halves:1': 'halves:1'})
    assert called == [['shifted', 'halves']]


@pytest.mark.parametrize('kept', [['features'], ['features', 'detection_boxes'], ['halves:1']])
def test_signature_outputs_chooses_among_additional_ones_too(export, more_nodes, kept):
    found, _ = _all_of(export(module=more_nodes, signature_outputs=kept,
                              additional_output_tensor_names='features=shifted,halves:1'))
    assert sorted(found) == sorted(kept)
    with pytest.raises(od_patch.UsageError, match='no output \'feature\'(.|\n)*Did you mean features'):
        export(module=more_nodes, signature_outputs=['feature'], additional_output_tensor_names='features=shifted')


def test_additional_outputs_are_in_each_model_of_a_series_and_another_key_makes_it_anew(export, tmp_path, prefix):
    output = str(tmp_path / 'series')

    def made(asked):
        export(output=output, checkpoint=os.path.dirname(prefix), all_checkpoints=True,
               additional_output_tensor_names=asked)
        meta_graph = parity.read_meta_graph(os.path.join(output, '7'))
        return sorted(meta_graph.signature_def['serving_default'].outputs)
    assert made('shifted') == ['detection_boxes', 'detection_scores', 'shifted']
    assert made('features=shifted') == ['detection_boxes', 'detection_scores', 'features']


@pytest.mark.parametrize('held, free', [
    ({}, True), ({'notes.txt': 'mine'}, True), ({'saved_model/': ''}, True), ({'saved_model/x': ''}, False),
    ({'saved_model': 'a file'}, False), ({'frozen_inference_graph.pb': 'old'}, True),
    ({'checkpoint': 'model_checkpoint_path: "model.ckpt"\n'}, True),
    ({'checkpoint': 'model_checkpoint_path: "/there/model.ckpt"\n'}, True),
    ({'checkpoint': 'all_model_checkpoint_paths: "model.ckpt-7"\n'}, True), ({'checkpoint/': ''}, True),
    ({'checkpoint': 'model_checkpoint_path: "model.ckpt-7"\n'}, False),
    ({'checkpoint': 'all: "x"\nmodel_checkpoint_path:"/there/other"\n'}, False)])
def test_an_export_or_a_training_is_not_written_over(tmp_path, held, free):
    folder = tmp_path / 'out'
    folder.mkdir()
    for name, text in held.items():
        path = folder / name
        if name.endswith('/'):
            path.mkdir()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    _destination.check_free(str(folder), True)
    if free:
        _destination.check_free(str(folder), False)
        return
    with pytest.raises(od_patch.OutputRefused, match='--overwrite') as refusal:
        _destination.check_free(str(folder), False)
    assert ('that a training writes' in refusal.value.problem) == ('checkpoint' in held)
    assert refusal.value.exit_code == 7


@pytest.mark.parametrize('change, error', [
    ({'averages': True}, od_patch.CheckpointMismatch), ({'checkpoint': 'no/model.ckpt'}, od_patch.InputRefused),
    ({'output': ''}, od_patch.UsageError), ({'additional_output_tensor_names': ['no']}, od_patch.UsageError)])
def test_what_is_refused_leaves_nothing_and_the_next_export_is_as_ever(export, values, prefix, tmp_path, change, error):
    """Averages are refused before the graph, other variables after it."""
    held = {name: value for name, value in values.items() if not name.endswith(_AVERAGE)}
    checkpoints.write_v2(prefix, held)
    before = sorted(os.listdir(str(tmp_path)))
    with pytest.raises(error):
        export(**change)
    assert sorted(os.listdir(str(tmp_path))) == before and _current.run() is None and gc.isenabled()
    _assert_weights(export(), values, False)


def test_averages_that_the_checkpoint_lacks_are_refused_before_the_graph(export, values, prefix):
    checkpoints.write_v2(prefix, {name: value for name, value in values.items() if not name.endswith(_AVERAGE)})
    seen = _Seen()
    with pytest.raises(od_patch.CheckpointMismatch, match='holds no moving averages') as refusal:
        export(averages=True, _observer=seen)
    assert seen.stages == ['checks'] and 'use_moving_averages: false' in refusal.value.remedy


@pytest.mark.parametrize('change, words', [
    (lambda held: held.pop('layer/shift'), '1 is missing from the checkpoint'),
    (lambda held: held.update({'layer/weights': held['layer/weights'].T.copy()}), '1 is of another shape')])
def test_a_graph_is_compared_with_the_checkpoint_before_anything_is_restored(export, values, prefix, change, words):
    change(values)
    checkpoints.write_v2(prefix, values)
    seen = _Seen()
    for artifacts in (None, ['saved_model'], ['frozen_graph']):
        with pytest.raises(od_patch.CheckpointMismatch, match=words):
            export(artifacts=artifacts, _observer=seen)
    assert set(seen.stages) == {'checks', 'graph'}


def test_an_export_is_replaced_where_that_is_meant(export, values, tmp_path):
    output = export()
    seen = _Seen()
    with pytest.raises(od_patch.OutputRefused):
        export(output=output, _observer=seen)
    assert seen.reports == []
    export(averages=True, output=output, overwrite=True, _observer=seen)
    assert seen.reports[0].replaced and _record(output)['moving_averages']
    _assert_weights(output, values, True)


def test_an_unknown_exporter_is_run_to_its_end(export, variant, tmp_path):
    """Only of the pinned ones it is known that nothing is left to do once the graph is there."""
    module = variant(lambda text: text.replace(
        "    write_saved_model(os.path.join(output_directory, 'saved_model'), frozen, placeholder, outputs)",
        "    outputs = dict(outputs, more=tf.identity(outputs['detection_boxes'], name='more'))\n"
        "    write_saved_model(os.path.join(output_directory, 'saved_model'), frozen, placeholder, outputs)"))
    output = export(module=module, artifacts=['saved_model'])
    signature = parity.read_meta_graph(os.path.join(output, 'saved_model')).signature_def['serving_default']
    assert sorted(signature.outputs) == ['detection_boxes', 'detection_scores', 'more']


def test_options_are_those_of_their_context(export, exporter, prefix, tmp_path):
    from object_detection.protos import pipeline_pb2
    config = pipeline_pb2.TrainEvalPipelineConfig()
    config.model.ssd.num_classes = 2
    config.model.ssd.feature_extractor.type = 'ssd_mobilenet_v1'
    numbers = itertools.count()

    def parts():
        output = str(tmp_path / 'in_{}'.format(next(numbers)))
        with _tensorflow.tf1().Graph().as_default():
            exporter.export_inference_graph('image_tensor', config, prefix, output)
        return len(os.listdir(output))

    with od_patch.patched(exporter, artifacts=['saved_model']):
        assert parts() == 1
        with od_patch.patched(exporter, artifacts=['checkpoint']):
            assert parts() == 4
        assert parts() == 1
    od_patch.install(exporter)
    try:
        assert parts() == 7
    finally:
        od_patch.uninstall(exporter)


def test_a_function_kept_from_when_the_patch_was_on_is_the_releases_own_again(exporter, prefix, tmp_path):
    from object_detection.protos import pipeline_pb2
    runs = []

    def build(*args):
        runs.append(_current.run())
        raise ZeroDivisionError

    exporter.build_detection_graph = build
    with od_patch.patched(exporter):
        kept = exporter.export_inference_graph
    for export, expected in ((kept, False), (None, True)):
        with od_patch.patched(exporter) if expected else contextlib.ExitStack(), pytest.raises(ZeroDivisionError):
            (export or exporter.export_inference_graph)(
                'image_tensor', pipeline_pb2.TrainEvalPipelineConfig(), prefix, str(tmp_path / 'out'))
        assert (runs.pop() is not None) == expected


def test_what_somebody_else_has_replaced_since_is_left_to_them(exporter, caplog):
    with od_patch.patched(exporter):
        exporter.write_saved_model = theirs = lambda *args: None
    assert exporter.write_saved_model is theirs and exporter.tempfile is tempfile
    assert 'write_saved_model was replaced by somebody else' in caplog.text


def test_temporary_files_of_the_exporter_go_where_they_are_removed_unless_it_says_where(exporter, export, tmp_path):
    found = []
    inner = exporter.build_detection_graph

    def build(*args):
        here = exporter.tempfile
        with here.NamedTemporaryFile() as one, here.NamedTemporaryFile(dir=str(tmp_path)) as other:
            found.extend([here.mkdtemp(), one.name, here.mkdtemp(prefix='x', dir=str(tmp_path)), other.name])
        assert here.gettempdir() == tempfile.gettempdir()
        return inner(*args)

    exporter.build_detection_graph = build
    output = export()
    folders = [os.path.dirname(path) for path in found]
    assert folders[0] == folders[1] != str(tmp_path) and folders[2:] == [str(tmp_path)] * 2
    assert folders[0] != tempfile.gettempdir() and not os.path.exists(folders[0])
    assert exporter.tempfile is tempfile and os.path.exists(output)
    with od_patch.patched(exporter):  # and outside of an export, where they always went
        path = exporter.tempfile.mkdtemp(dir=str(tmp_path))
        assert os.path.dirname(path) == str(tmp_path)


@pytest.mark.parametrize('options', [{'artifacts': []}, {'artifacts': ['saved_model', 'frozen']},
                                     {'saved_model_variables': 'constant'}])
def test_options_that_nobody_knows_are_refused_and_nothing_is_patched(exporter, options):
    before = dict(vars(exporter))
    with pytest.raises(ValueError, match='can (be one|have some) of .*saved_model|resource'):
        with od_patch.patched(exporter, **options):
            pass
    assert vars(exporter) == before


def test_what_an_observer_is_told_is_logged_where_nobody_else_looks(caplog):
    _observer.Observer().note('to be known')
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.WARNING, 'to be known')]


def test_names_can_be_added_to_the_keys_of_a_dict():
    """As upstream does until 2020, for Python 2."""
    names = additional_outputs._Names(['c', 'd'])
    assert {'a': 1}.keys() + names == ['a', 'c', 'd'] and ['a'] + names == ['a', 'c', 'd'] and names == ['c', 'd']


def test_a_key_that_an_output_of_the_model_has_is_refused(export):
    with pytest.raises(od_patch.UsageError, match='the model has an output of that key'):
        export(additional_output_tensor_names=['detection_scores=shifted'])


def test_an_export_without_its_request_says_that_it_is_complete(export, tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise od_patch.OutputRefused('client.py is there already.', '')
    monkeypatch.setattr(_requests, 'write', refused)
    with pytest.raises(od_patch.OutputRefused, match='is complete; od-patch request writes one'):
        export(example_request=str(tmp_path / 'try'))


@pytest.mark.parametrize('artifacts', [['saved_model'], ['frozen_graph', 'saved_model'], ['checkpoint', 'saved_model']],
                         ids=lambda artifacts: ' '.join(artifacts))
@pytest.mark.parametrize('overwrite', [False, True], ids=['', 'overwrite'])
def test_where_there_is_no_earlier_export_only_what_is_written_takes_a_place(export, tmp_path, artifacts, overwrite):
    """The config that somebody trains with may well be called pipeline.config, and lie where the export goes."""
    output = tmp_path / 'mine'
    output.mkdir()
    own = sorted(set.union(*(_PARTS[name] for name in _PARTS if name not in artifacts))) + ['notes.txt']
    for name in own:
        (output / name).write_text('of ' + name)
    export(output=str(output), artifacts=artifacts, overwrite=overwrite)
    assert sorted(os.listdir(str(output))) == sorted(own + list(set.union(*(_PARTS[name] for name in artifacts))))
    assert [(output / name).read_text() for name in own] == ['of ' + name for name in own]


# What is open cannot be moved or removed on Windows. There is no Windows here; what is open can be seen on Linux.

@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='Linux says which files a process has open')
@pytest.mark.parametrize('options', [
    {}, {'averages': True}, {'verify': True}, {'target_tf': '1.12'},
    {'saved_model_variables': 'frozen'}, {'artifacts': ['saved_model'], 'averages': True}], ids=lambda options: ' '.join(
        sorted(options)) or 'all')
def test_nothing_is_open_or_mapped_of_what_is_moved_or_removed(export, monkeypatch, options):
    from od_patch import _platform
    from od_patch.staging import _folders
    held, looks = [], []

    def look(path):
        looks.append(path)
        for number in os.listdir('/proc/self/fd'):
            with contextlib.suppress(OSError):
                named = os.readlink('/proc/self/fd/' + number)
                held.extend([named] if named.startswith(path) else [])
        with open('/proc/self/maps') as maps:
            held.extend(line for line in maps if path in line)

    def seen(function):
        return lambda path, *more: (look(os.path.join(path, '')), function(path, *more))
    monkeypatch.setattr(_platform, 'rename', seen(_platform.rename))
    monkeypatch.setattr(_folders, 'remove', seen(_folders.remove))
    gc.disable()  # as in an export
    try:
        output = export(**options)
    finally:
        gc.enable()
    assert os.path.isdir(os.path.join(output, 'saved_model')) and len(looks) >= 2 and not held


def _change_a_byte(prefix):
    with open(prefix + '.data-00000-of-00001', 'r+b') as data:
        data.seek(-1, os.SEEK_END)
        byte = data.read(1)[0]
        data.seek(-1, os.SEEK_END)
        data.write(bytes([byte ^ 1]))


def _other_weights(prefix):
    reader = _tensorflow.tf1().train.NewCheckpointReader(prefix)
    held = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    checkpoints.write_v2(prefix, dict(held, **{'layer/shift': held['layer/shift'] + np.float32(1)}))


@pytest.mark.parametrize('damage, words', [
    (_change_a_byte, '1 of {} tensors cannot be read: bytes of the data were changed'),
    (_other_weights, 'SavedModel = model.ckpt: 1 of 2 variables differ')])
@pytest.mark.parametrize('name, tensors', [('saved_model/variables/variables', 2), ('model.ckpt', 3)])
def test_what_was_damaged_behind_the_writing_is_noticed(export, tmp_path, monkeypatch, damage, words, name, tensors):
    """Whatever was written and known of it: the proof reads what lies on the disk."""
    from od_patch import proof
    original = proof.staged

    def staged(one, *arguments):
        damage(os.path.join(one.staged_directory, name))
        return original(one, *arguments)

    monkeypatch.setattr(proof, 'staged', staged)
    with pytest.raises(od_patch.ProofFailed) as raised:
        export(output=str(tmp_path / 'out'))
    assert words.format(tensors) in str(raised.value) and not (tmp_path / 'out').exists()
