"""What is known to go wrong in the releases' own Python, and what is said of it."""
import os
import re

import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch.config import _config  # noqa: E402
from od_patch.environment import _environment  # noqa: E402
from od_patch.proof import _answer  # noqa: E402
from od_patch.proof import _outputs  # noqa: E402
from od_patch.releases import _release_errors  # noqa: E402
from od_patch.releases import _releases  # noqa: E402
from tests.support import exports  # noqa: E402

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_AGNOSTIC = 'model { ssd { post_processing { batch_non_max_suppression { use_class_agnostic_nms: true %s } } } }'


@pytest.fixture
def build(tf1_behaviour):
    """A function that builds the inference graph of a config, as the release's exporter does; returns the graph."""
    del tf1_behaviour
    exporter = _environment.import_exporter()

    def make(name, override):
        from google.protobuf import text_format
        from object_detection.builders import model_builder
        from object_detection.protos import pipeline_pb2
        config = pipeline_pb2.TrainEvalPipelineConfig()
        with open(exports.config_path(name)) as file:
            text_format.Merge(file.read(), config)
        text_format.Merge(override, config)
        with _tensorflow.tf1().Graph().as_default() as graph, _release_errors.explained():
            model = model_builder.build(config.model, is_training=False)
            if hasattr(exporter, 'build_detection_graph'):
                exporter.build_detection_graph('image_tensor', model, None, 'inference_op', None)
        return graph
    return make


def test_one_stage(build):
    with pytest.raises(_errors.InputRefused) as refusal:
        build('faster_rcnn', 'model { faster_rcnn { number_of_stages: 1 } }')
    assert 'number_of_stages: 1' in refusal.value.problem and 'NoneType' in refusal.value.problem
    assert '--config_override "model { faster_rcnn { number_of_stages: 2 } }"' in refusal.value.remedy
    assert isinstance(refusal.value.__cause__, TypeError)


@exports.NEEDS_CONTRIB
def test_pooling_pyramids_on_python_3(build):
    with pytest.raises(_errors.EnvironmentRefused) as refusal:
        build('ssd', 'model { ssd { feature_extractor { type: "ssd_mobilenet_v1_ppn" } } }')
    assert 'does not run on Python 3' in refusal.value.problem and '2020-05-12 or later' in refusal.value.remedy


def _has_agnostic():
    from object_detection.protos import post_processing_pb2
    return 'use_class_agnostic_nms' in post_processing_pb2.BatchNonMaxSuppression.DESCRIPTOR.fields_by_name


@exports.NEEDS_CONTRIB
def test_a_graph_that_cannot_run_is_told_of(build):
    if not _has_agnostic():
        pytest.skip('this release has no class-agnostic suppression')
    graph = build('ssd', _AGNOSTIC % '')
    told, = _release_errors.defects(graph)
    assert 'cannot run' in told and 'use_class_agnostic_nms' in told and 'int64' in told and 'float32' in told


@exports.NEEDS_CONTRIB
def test_class_agnostic_suppression_of_several_classes(build):
    if not _has_agnostic():
        pytest.skip('this release has no class-agnostic suppression')
    with pytest.raises(_errors.InputRefused, match='max_classes_per_detection: 1'):
        build('ssd', _AGNOSTIC % 'max_classes_per_detection: 2')


def test_a_loop_that_writes_what_it_holds_has_no_defect():
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        tf.map_fn(lambda value: value, tf.zeros([3]))
    assert _release_errors.defects(graph) == []
    assert any(operation.type.startswith('TensorArrayWrite') for operation in graph.get_operations()) or \
        not exports.HAS_CONTRIB  # TensorFlow 2 makes lists of tensors


# What a script does that was written for another exporter.
_SCRIPTS = {
    'exporter.export_inference_graph("image_tensor", None, "a", "b", use_side_inputs=True)': 'use_side_inputs',
    'exporter.parse_side_inputs_of_tomorrow("", "", "")': 'parse_side_inputs_of_tomorrow',
    'exporter.export_inference_graph("image_tensor")': "missing a required argument: 'pipeline_config'",
}


@pytest.mark.parametrize('line', sorted(_SCRIPTS))
def test_a_script_of_another_release_is_told_of(line, tmp_path):
    line_of = line
    if os.environ['OD_PATCH_VINTAGE'] == 'D':
        line_of = line.replace('use_side_inputs', 'of_tomorrow')
    script = tmp_path / 'export_inference_graph.py'
    script.write_text('from object_detection import exporter\n{}\n'.format(line_of))
    result = exports.run(['-m', 'od_patch', str(script)])
    assert result.exit_code == 3, result.stderr
    assert 'The script and the exporter are of different releases' in result.stderr
    assert _SCRIPTS[line].replace('use_side_inputs', 'of_tomorrow' if line_of != line else 'use_side_inputs') in \
        result.stderr
    assert 'Traceback' not in result.stderr


def test_what_is_not_known_stays_as_it_is():
    for error in (TypeError("unsupported operand type(s) for +: 'NoneType' and 'int'"), TypeError('other'),
                  ValueError("'dict_keys' object is not subscriptable"),
                  RuntimeError('Max classes per detection box >1')):
        with pytest.raises(type(error)) as raised:
            with _release_errors.explained():
                raise error
        assert raised.value is error
    mine = _errors.UsageError('mine')
    with pytest.raises(_errors.UsageError) as raised:
        with _release_errors.explained():
            raise mine
    assert raised.value is mine


@pytest.mark.parametrize('alone, status, words', [
    ({}, _answer.NOTE, 'one image at a time'), ({'SavedModel': 'x', 'frozen graph': 'x'}, _answer.WRONG, 'both fail')])
def test_a_graph_that_fails_with_one_image_too_is_not_said_to_take_one_at_a_time(alone, status, words):
    runs = [_outputs.Run(_outputs.OFF, batch, 'image_tensor') for batch in (1, 2)]
    runs[0].failures, runs[1].failures = alone, {'SavedModel': 'x', 'frozen graph': 'x'}
    fails_alone = any(run.batch == 1 and run.failures for run in runs)
    judged = _outputs._judge(runs[1], fails_alone)  # pylint: disable=protected-access
    assert judged.status == status and words in judged.text


# Feature extractors


def _read(tmp_path, architecture, extractor):
    path = tmp_path / 'pipeline.config'
    with open(exports.config_path(architecture)) as file:
        path.write_text(file.read())
    return _config.read(str(path), 'model {{ {} {{ feature_extractor {{ type: "{}" }} }} }}'.format(
        architecture, extractor))


@pytest.mark.parametrize('architecture, extractor, nearest, more', [
    ('ssd', 'my_tiny_mobilenet', 'ssd_mobilenet_v1', ''),
    ('ssd', 'ssd_mobilenet_v22', 'ssd_mobilenet_v2', ''),
    ('faster_rcnn', 'faster_rcnn_resnet_101', 'faster_rcnn_resnet101', ''),
    ('faster_rcnn', 'ssd_inception_v2', None, 'It is one of model { ssd }'),
    ('ssd', '', None, ''),
    ('ssd', 'ssd_spaghettinet', None, 'Releases from 2022 on have it'),
])
def test_an_unknown_feature_extractor(tf1_behaviour, tmp_path, architecture, extractor, nearest, more):
    del tf1_behaviour
    from object_detection.builders import model_builder
    if extractor in getattr(model_builder, 'SSD_FEATURE_EXTRACTOR_CLASS_MAP') and architecture == 'ssd':
        assert _read(tmp_path, architecture, extractor)
        return
    with pytest.raises(_errors.InputRefused) as refusal:
        _read(tmp_path, architecture, extractor)
    assert "The feature extractor '{}'".format(extractor) in refusal.value.problem
    if nearest:
        assert 'the nearest first: {},'.format(nearest) in refusal.value.remedy
    assert more in refusal.value.remedy and 'python -m od_patch SCRIPT' in refusal.value.remedy
    for name in getattr(model_builder, architecture.upper() + '_FEATURE_EXTRACTOR_CLASS_MAP'):
        assert name in refusal.value.remedy


def test_an_extractor_that_a_user_registered_is_none_that_is_unknown(tf1_behaviour, tmp_path, monkeypatch):
    del tf1_behaviour
    from object_detection.builders import model_builder
    table = model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP
    monkeypatch.setitem(table, 'my_tiny_mobilenet', table['ssd_mobilenet_v1'])
    assert _read(tmp_path, 'ssd', 'my_tiny_mobilenet').model.ssd.feature_extractor.type == 'my_tiny_mobilenet'


def test_an_extractor_that_only_a_builder_of_the_users_knows_is_none_that_is_unknown(
        tf1_behaviour, tmp_path, monkeypatch):
    del tf1_behaviour
    from object_detection.builders import model_builder
    original = model_builder._build_ssd_feature_extractor  # pylint: disable=protected-access

    def mine(config, *args, **kwargs):
        known = type(config)()
        known.CopyFrom(config)
        known.type = 'ssd_mobilenet_v1'
        return original(known, *args, **kwargs)

    monkeypatch.setattr(model_builder, '_build_ssd_feature_extractor', mine)
    if hasattr(model_builder, '_check_feature_extractor_exists'):  # releases of 2022 look into their tables first
        monkeypatch.setattr(model_builder, '_check_feature_extractor_exists', lambda name: None)
    assert _read(tmp_path, 'ssd', 'my_tiny_mobilenet')


def test_the_table_of_extractors_is_of_the_release_at_hand(tf1_behaviour):
    """What it says to come from a release up to this one is there, and what it says comes later is not."""
    del tf1_behaviour
    _environment.import_exporter()
    from object_detection.builders import model_builder
    here = _environment.installed_release()
    if here is None:
        pytest.skip('not a pinned release')
    dates = {release.name: release.date for release in _releases.RELEASES}
    told = {name: first for first, names in _releases._EXTRACTORS.items()  # pylint: disable=protected-access
            for name in names.split()}
    assert set(told.values()) <= set(dates)
    held = {name for table in (model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP,
                               model_builder.FASTER_RCNN_FEATURE_EXTRACTOR_CLASS_MAP) for name in table}
    assert {name for name in held if not name.endswith('_keras')} == {
        name for name, first in told.items() if dates[first] <= here.date}


_REGISTERS = '''
from google.protobuf import text_format
from object_detection import exporter
from object_detection.builders import model_builder
from object_detection.protos import pipeline_pb2
table = model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP
table['my_tiny_mobilenet'] = table['ssd_mobilenet_v1']
config = pipeline_pb2.TrainEvalPipelineConfig()
with open({config!r}) as config_file:
    text_format.Merge(config_file.read(), config)
config.model.ssd.feature_extractor.type = 'my_tiny_mobilenet'
exporter.export_inference_graph('image_tensor', config, {prefix!r}, {output!r})
'''


@pytest.mark.xdist_group('ssd')
def test_a_script_that_registers_an_extractor_exports_it(checkpoint_of, tmp_path):
    script = tmp_path / 'mine.py'
    output = str(tmp_path / 'export')
    script.write_text(_REGISTERS.format(config=exports.config_path('ssd'), prefix=checkpoint_of('ssd'), output=output))
    result = exports.run(['-m', 'od_patch', str(script)])
    assert result.exit_code == 0, result.stderr[-3000:]
    assert os.path.exists(os.path.join(output, 'saved_model', 'saved_model.pb'))


# Commands


@pytest.mark.parametrize('name, words', [
    ('export-inference-graph', 'export_inference_graph --'),
    ('exports', 'export_inference_graph --'), ('verfy', 'Did you mean od-patch verify ?'),
    ('zzz', 'od-patch --help lists')])
def test_a_command_that_there_is_not(name, words):
    result = exports.run(['-m', 'od_patch.cli', name])
    assert result.exit_code == 2
    assert 'od-patch has no command {!r}'.format(name) in result.stderr and words in result.stderr


def test_every_known_error_has_a_place_in_the_documentation():
    with open(os.path.join(_ROOT, 'docs', 'troubleshooting.md'), encoding='utf-8') as file:
        page = file.read()
    for word in ('number_of_stages: 1', '_ppn', 'use_class_agnostic_nms',
                 'The script and the exporter are of different'):
        assert re.search(re.escape(word), page), word


def test_regenerate_reads_the_config_on_this_tensorflow(tmp_path):
    """Where TensorFlow 2 needs bridges, they are on before anything of the Object Detection API is imported."""
    from tests.serving import models
    from tests.support import checkpoints
    graph = tmp_path / 'graph.pb'
    graph.write_bytes(models.sums([None, None, None, 3]).graph_def.SerializeToString())
    checkpoints.write_v2(str(tmp_path / 'model.ckpt-1'), {'a': np.ones(1, 'f4')})
    config = tmp_path / 'pipeline.config'
    config.write_text('model { ssd { feature_extractor { type: "my_own" } } }')
    result = exports.run(['-m', 'od_patch.cli', 'regenerate', '--checkpoint', str(tmp_path), '--pipeline_config',
                          str(config), '--like', str(graph)])
    assert result.exit_code == 2
    assert "The feature extractor 'my_own'" in result.stderr
    assert 'contrib' not in result.stderr and 'defect' not in result.stderr


@pytest.mark.skipif(exports.HAS_CONTRIB, reason='on TensorFlow 1 the pairs of real exports hold it')
def test_regenerate_exports_on_tensorflow_2(tmp_path, checkpoint_of):
    """The export runs in a process of its own, under the bridges, and gives the graph again."""
    shipped = tmp_path / 'shipped'
    made = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), shipped, artifacts='frozen_graph')
    assert made.exit_code == 0, made.stderr
    result = exports.run(['-m', 'od_patch.cli', 'regenerate', '--checkpoint', checkpoint_of('ssd'), '--pipeline_config',
                          exports.config_path('ssd'), '--like', shipped / 'frozen_inference_graph.pb'])
    assert result.exit_code == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].startswith('identical: ')
