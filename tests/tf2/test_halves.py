"""Which half of the Object Detection API a config and a checkpoint are for is told before TensorFlow is imported."""
import os
import re
import subprocess
import sys

import pytest

import od_patch
from od_patch import _tensorflow
from od_patch.checkpoint import _checkpoint
from od_patch.checkpoint import _objects
from od_patch.command import _first_look
from od_patch.config import _half
from od_patch.tf2 import _pair
from tests.support import exports
from tests.tf2 import indexes

pytestmark = pytest.mark.once

_NO_TENSORFLOW = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'tensorflow':
            raise SystemExit('TensorFlow is imported')
sys.meta_path.insert(0, Finder())
"""
_STARTS = {
    'export': 'from od_patch import export_inference_graph as module; module.run()',
    'script': 'from od_patch import __main__ as module; module.run()',
    'command': 'from od_patch import cli as module; module.main()',
}


def _builder(vintage):
    path = os.path.join(exports.research(vintage)[0], 'object_detection', 'builders', 'model_builder.py')
    with open(path, 'rb') as file:
        return file.read()


def _text(architecture, extractor):
    return 'model {{ {} {{ num_classes: 3 # type: "x"\n feature_extractor {{ type: "{}" }} }} }}'.format(
        architecture, extractor)


@pytest.fixture
def on_release(monkeypatch):
    """A function that has a vintage be the release on the path."""
    def choose(vintage):
        found = vintage and _half._halves(_builder(vintage))
        monkeypatch.setattr(_half, '_registered', lambda: found)
    return choose


def test_every_extractor_that_only_tensorflow_2s_registry_has_is_its(on_release):
    on_release('D')
    source = _builder('D').decode('utf-8')
    begin, middle, end = map(source.index, ('  SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP = {',
                                            '  SSD_FEATURE_EXTRACTOR_CLASS_MAP = {', 'def _check_feature_extractor'))
    second, first = source[begin:middle], source[middle:end]
    of_2, of_1 = (set(re.findall(r"^ +'([\w-]+)':", part, re.MULTILINE)) for part in (second, first))
    assert len(of_2) > 30 and len(of_1) > 25
    for name in of_2:
        architecture = 'ssd' if name.startswith('ssd') else 'faster_rcnn' if name.startswith('faster') else 'center_net'
        assert _half.half_of(_half.described(_text(architecture, name))) == 2, name
    for name in of_1:
        assert _half.half_of(_half.described(_text('ssd', name))) == 1, name


@pytest.mark.parametrize('vintage, architecture, extractor, half', [
    ('D', 'ssd', 'my_own', None), ('D', 'center_net', 'my_own', 2), ('D', 'experimental_model', '', None),
    # Releases of before July 2020 have one half, and export some Keras models with it.
    ('C', 'ssd', 'ssd_mobilenet_v2_fpn_keras', 1), ('C', 'center_net', 'hourglass_104', None),
    ('A', 'ssd', 'x_keras', None),
    (None, 'ssd', 'ssd_mobilenet_v2_fpn_keras', 2), (None, 'center_net', 'hourglass_104', 2),
    (None, 'ssd', 'ssd_mobilenet_v2', None)])
def test_what_is_in_one_half_depends_on_the_release(on_release, vintage, architecture, extractor, half):
    on_release(vintage)
    assert _half.half_of(_half.Described(architecture, extractor)) == half


@pytest.mark.parametrize('text, model', [
    ('', ('', '')), ('item { id: 1 }', ('', '')), ('model { }', ('', '')), ("model { ssd { } }", ('ssd', '')),
    ('model < ssd < feature_extractor: { type: \'x_keras\' } > >', ('ssd', 'x_keras')),
    ('model { ssd { box_coder { type: "a" } feature_extractor { fpn { type: "b" } type: "c" } } }', ('ssd', 'c')),
    ('train_config { x { feature_extractor { type: "a" } } } model { center_net { } }', ('center_net', '')),
    ('# model { ssd { } }\nmodel { faster_rcnn { feature_extractor { type: "f" } } } eval_config { }',
     ('faster_rcnn', 'f')), ('model { ssd { feature_extractor { type:', ('ssd', '')), ('} } {', ('', ''))])
def test_a_config_is_described_by_its_text(text, model):
    assert tuple(_half.described(text)) == model


@pytest.mark.parametrize('names, are', [
    (indexes.OBJECTS, True), (indexes.SAVER, False), ((), False), (('_CHECKPOINTABLE_OBJECT_GRAPH', 'a'), False),
    (('a/.ATTRIBUTES/VARIABLE_VALUE',), False), (('a/_CHECKPOINTABLE_OBJECT_GRAPH', 'a/.ATTRIBUTES/x'), False)])
def test_a_checkpoint_of_objects_is_known_by_its_index(tmp_path, names, are):
    prefix = indexes.write(str(tmp_path / 'ckpt-1'), names or ['x'])
    assert _objects.is_of_objects(prefix) is are
    with _tensorflow.files_of_this_machine():
        assert _objects.is_of_objects(prefix) is are


def test_what_has_no_index_or_a_damaged_one_tells_nothing(tmp_path):
    (tmp_path / 'ckpt-1.index').write_bytes(b'no table')
    for prefix in (str(tmp_path / 'ckpt-1'), str(tmp_path / 'ckpt-2')):
        assert _objects.is_of_objects(prefix) is None


# How a checkpoint may be given -> (what lies there, what is typed)
_PLACED = {
    'prefix': (['ckpt-7'], 'ckpt-7'), 'index': (['ckpt-7'], 'ckpt-7.index'),
    'data': (['x-1'], 'x-1.data-00000-of-00001'),
    'folder with a state': (['ckpt-3', 'ckpt-2'], '.'), 'folder': (['ckpt-3', 'ckpt-12'], '.'),
    'state': (['ckpt-3'], 'checkpoint'), 'any name': (['best'], 'best'),
    'a dot': (['model.v2.ckpt-0'], 'model.v2.ckpt-0'),
    'pattern': (['ckpt-1', 'ckpt-2'], 'ckpt-*')}


@pytest.mark.parametrize('placed', sorted(_PLACED))
@pytest.mark.parametrize('checkpoint, config, half', [
    ('2', '2', 2), ('2', '1', None), ('1', '2', None), ('1', '1', 1), ('2', 'own', 2), ('1', 'own', 1)])
def test_both_are_of_one_half_or_refused(tmp_path, on_release, placed, checkpoint, config, half):
    on_release('D')
    there, typed = _PLACED[placed]
    for name in there:
        indexes.write(str(tmp_path / name), indexes.OBJECTS if checkpoint == '2' else indexes.SAVER)
    if 'state' in placed:
        indexes.name(str(tmp_path), '/of/another/machine/' + there[0])
    text = _text('ssd', {'2': 'ssd_mobilenet_v2_fpn_keras', '1': 'ssd_mobilenet_v2', 'own': 'own'}[config])
    if half is not None:
        assert _first_look.half_of(text, str(tmp_path / typed)) == half
        return
    with pytest.raises(od_patch.CheckpointMismatch) as refusal:
        _first_look.half_of(text, str(tmp_path / typed))
    assert 'one of TensorFlow {}'.format(checkpoint) in str(refusal.value)
    assert "is one of TensorFlow 2's own models" in str(refusal.value) or config == '1'
    assert 'two halves of the Object Detection API' in refusal.value.remedy


def test_in_a_folder_with_both_kinds_the_other_one_is_named(tmp_path, on_release):
    on_release('D')
    indexes.write(str(tmp_path / 'ckpt-5'), indexes.OBJECTS)
    indexes.write(str(tmp_path / 'ckpt-11'), indexes.OBJECTS)
    indexes.write(str(tmp_path / 'model.ckpt-900'), indexes.SAVER)
    with pytest.raises(od_patch.CheckpointMismatch) as refusal:
        _first_look.half_of(_text('ssd', 'ssd_mobilenet_v2_fpn_keras'), str(tmp_path))
    assert refusal.value.remedy.endswith('--trained_checkpoint_prefix={}'.format(tmp_path / 'ckpt-11'))
    with pytest.raises(od_patch.CheckpointMismatch) as refusal:
        _first_look.half_of(_text('ssd', 'ssd_mobilenet_v2'), str(tmp_path / 'ckpt-5'))
    assert refusal.value.remedy.endswith('--trained_checkpoint_prefix={}'.format(tmp_path / 'model.ckpt-900'))


def test_a_release_without_the_half_is_said_to_have_none(tmp_path, on_release):
    on_release('C')
    prefix = indexes.write(str(tmp_path / 'ckpt-1'), indexes.OBJECTS)
    for extractor in ('ssd_mobilenet_v2_fpn_keras', 'own'):
        with pytest.raises(od_patch.EnvironmentRefused, match='has no models of TensorFlow 2'):
            _pair.half(_half.Described('ssd', extractor), prefix)
    with pytest.raises(od_patch.CheckpointMismatch, match='describes a model of TensorFlow 1'):
        _pair.half(_half.Described('ssd', 'ssd_mobilenet_v1'), prefix)


def test_a_checkpoint_in_one_file_is_none_of_tensorflow_2(tmp_path, on_release):
    on_release('D')
    (tmp_path / 'model.ckpt').write_bytes(b'old')
    with pytest.raises(od_patch.CheckpointMismatch):
        _pair.half(_half.Described('ssd', 'ssd_mobilenet_v2_keras'), str(tmp_path / 'model.ckpt'))
    assert _pair.half(_half.Described('ssd', 'ssd_mobilenet_v2'), str(tmp_path / 'model.ckpt')) == 1


def test_the_newest_is_the_same_with_and_without_tensorflow(tmp_path):
    for name in ('ckpt-2', 'ckpt-10', 'ckpt-9'):
        indexes.write(str(tmp_path / name), indexes.OBJECTS)
    for state in (None, 'ckpt-9', '/elsewhere/ckpt-2', 'gone-1', 'with "quotes"'):
        if state is not None:
            indexes.name(str(tmp_path), state.replace('"', '\\"'))
        there = _checkpoint.resolve(str(tmp_path))
        with _tensorflow.files_of_this_machine():
            assert _checkpoint.resolve(str(tmp_path)) == there


@pytest.mark.parametrize('start, arguments', [
    ('export', []), ('export', ['--all_checkpoints']), ('export', ['--watch']),
    ('script', ['{research}/object_detection/export_inference_graph.py']),
    ('command', ['verify']), ('command', ['regenerate', '--like={folder}/frozen.pb'])])
@pytest.mark.parametrize('checkpoint', ['1', '2'])
def test_every_command_tells_before_tensorflow_is_imported(tmp_path, start, arguments, checkpoint):
    prefix = indexes.write(str(tmp_path / 'ckpt-1'), indexes.OBJECTS if checkpoint == '2' else indexes.SAVER)
    config = tmp_path / 'pipeline.config'
    config.write_text(_text('ssd', 'ssd_mobilenet_v2' if checkpoint == '2' else 'ssd_mobilenet_v2_fpn_keras'))
    paths = ['--checkpoint=' + prefix, '--pipeline_config={}'.format(config)] if start == 'command' else [
        '--trained_checkpoint_prefix=' + prefix, '--pipeline_config_path={}'.format(config),
        '--output_directory={}'.format(tmp_path / 'out')]
    research = exports.research('D')[0]
    arguments = [argument.format(research=research, folder=tmp_path) for argument in arguments] + paths
    result = subprocess.run(
        [sys.executable, '-c', _NO_TENSORFLOW + _STARTS[start]] + arguments, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, universal_newlines=True, env=dict(os.environ, PYTHONPATH=exports.python_path('D')))
    assert 'TensorFlow is imported' not in result.stderr
    assert result.returncode == (2 if start == 'command' else od_patch.CheckpointMismatch.exit_code), result.stderr
    assert 'ckpt-1 is one of TensorFlow {}'.format(checkpoint) in result.stderr
    assert sorted(os.listdir(str(tmp_path))) == ['ckpt-1.data-00000-of-00001', 'ckpt-1.index', 'pipeline.config']
