"""Only what was asked for: what is left out is not computed, and what is written is what a whole export has."""
import gc
import itertools
import os
import types

import pytest

import od_patch
from od_patch.checkpoint import _bundle
from od_patch.export import _export
from tests.support import exports
from tests.support import parity

pytest.importorskip('tensorflow')
pytestmark = [pytest.mark.xdist_group('ssd'), pytest.mark.usefixtures('tf1_behaviour')]

_AVERAGES = 'eval_config { use_moving_averages: true }'
_PARTS = {
    'saved_model': ['saved_model'],
    'frozen_graph': ['frozen_inference_graph.pb'],
    'checkpoint': ['checkpoint', 'model.ckpt.data-00000-of-00001', 'model.ckpt.index', 'model.ckpt.meta'],
    'pipeline_config': ['pipeline.config'],
}


@pytest.fixture
def export(tmp_path):
    """A function that exports in this process into a folder of its own; returns that."""
    numbers = itertools.count()
    return lambda prefix, **options: exports.in_process(
        'ssd', prefix, str(tmp_path / 'export_{}'.format(next(numbers))), **options)


@pytest.fixture
def variant(tmp_path):
    """A function that returns an exporter module whose source is a change of the release's; it is not a pinned one."""
    def make(changed):
        import object_detection.exporter
        with open(object_detection.exporter.__file__, 'rb') as source_file:
            source = changed(source_file.read().decode('utf-8').replace('\r\n', '\n'))
        path = tmp_path / 'exporter_variant.py'
        path.write_text(source)
        module = types.ModuleType('exporter_variant')
        module.__file__ = str(path)
        exec(compile(source, str(path), 'exec'), vars(module))  # pylint: disable=exec-used
        return module
    return make


@pytest.fixture
def no_session(monkeypatch):
    """Makes opening a session an error; returns a function that allows it again."""
    from tensorflow.python.client import session

    def refuse(self, *args, **kwargs):
        raise AssertionError('a session was opened')

    monkeypatch.setattr(session.BaseSession, '__init__', refuse)
    return monkeypatch.undo


@pytest.mark.parametrize('form, override', [
    ('plain', ''), ('training', _AVERAGES), ('sharded', ''), ('v1', ''), ('v1_training', _AVERAGES)])
def test_a_saved_model_straight_from_the_trained_checkpoint(
        form, override, checkpoint_of, upstream_export, export, no_session):
    output = export(checkpoint_of('ssd', form), override=override, artifacts=['saved_model'])
    no_session()
    assert os.listdir(output) == ['saved_model']
    baseline = 'training' if override else 'plain'
    theirs = upstream_export('ssd', baseline, **({'config_override': override} if override else {}))
    # The variables that the outputs read and no others, as the release's model.ckpt has them.
    mine = _checksums(os.path.join(output, 'saved_model', 'variables', 'variables'))
    held = _checksums(os.path.join(theirs, 'model.ckpt'))
    assert held.pop('global_step') and mine == held
    feed = {'inputs': parity.pictures(1)}
    outputs, signature = parity.run_saved_model(os.path.join(output, 'saved_model'), feed)
    parity.assert_bit_equal(outputs, parity.run_frozen_graph(parity.read_frozen_graph(theirs), signature, feed))


def test_a_part_alone_is_what_the_release_writes(checkpoint_of, upstream_export, export):
    theirs = upstream_export('ssd')
    for artifact in ('frozen_graph', 'checkpoint', 'pipeline_config'):
        output = export(checkpoint_of('ssd'), artifacts=[artifact])
        assert sorted(os.listdir(output)) == _PARTS[artifact]
        for name in _PARTS[artifact]:
            if name == 'frozen_inference_graph.pb':
                parity.assert_same_graph(parity.read_frozen_graph(output), parity.read_frozen_graph(theirs))
            elif not name.endswith('.meta'):  # which has the name of the export's folder nowhere, but maps in any order
                assert _content(output, name) == _content(theirs, name), name


def test_the_saved_model_does_not_depend_on_what_else_is_written(checkpoint_of, export):
    prefix = checkpoint_of('ssd')
    whole, alone, frozen_too = (
        export(prefix), export(prefix, artifacts=['saved_model']),
        export(prefix, artifacts=['saved_model', 'frozen_graph', 'pipeline_config']))
    assert sorted(os.listdir(frozen_too)) == ['frozen_inference_graph.pb', 'pipeline.config', 'saved_model']
    for output in (alone, frozen_too):
        for name in ('saved_model.pb', 'variables/variables.index', 'variables/variables.data-00000-of-00001'):
            path = os.path.join('saved_model', name)
            if name != 'saved_model.pb':
                assert _content(output, path) == _content(whole, path), path
        mine, theirs = (parity.read_meta_graph(os.path.join(place, 'saved_model')) for place in (output, whole))
        assert {node.name for node in mine.graph_def.node} == {node.name for node in theirs.graph_def.node}


def test_of_the_release_only_the_graph_is_used(checkpoint_of, export, variant, monkeypatch):
    """Its saver is made, and its graph written as a protocol buffer, where something else needs them."""
    from object_detection import exporter
    prefix = checkpoint_of('ssd', 'training')
    unpinned = export(prefix, override=_AVERAGES, exporter=variant(lambda source: source + '\n# changed\n'),
                      artifacts=['saved_model', 'pipeline_config'])

    def refuse(*args, **kwargs):
        raise AssertionError('a saver was made')

    monkeypatch.setattr(exporter.tf.train, 'Saver', refuse)
    pinned = export(prefix, override=_AVERAGES, artifacts=['saved_model', 'pipeline_config'])
    for name in ('pipeline.config', 'saved_model/variables/variables.index', 'saved_model/saved_model.pb'):
        assert _content(pinned, name) == _content(unpinned, name), name
    for others in ({'profile_graph': True, 'artifacts': ['saved_model']}, {'artifacts': ['checkpoint']}):
        with pytest.raises(AssertionError, match='a saver was made'):
            export(prefix, override=_AVERAGES, **others)


def test_the_helper_of_the_release_called_by_itself(checkpoint_of, tmp_path):
    from google.protobuf import text_format
    from object_detection import exporter
    from object_detection.builders import model_builder
    from object_detection.protos import pipeline_pb2
    from od_patch import _tensorflow
    pipeline = pipeline_pb2.TrainEvalPipelineConfig()
    with open(exports.config_path('ssd')) as config_file:
        text_format.Merge(config_file.read(), pipeline)
    output = str(tmp_path / 'export')
    with _tensorflow.tf1().Graph().as_default(), od_patch.patched(exporter, artifacts=['saved_model']):
        detector = model_builder.build(pipeline.model, is_training=False)
        helper = exporter._export_inference_graph  # pylint: disable=protected-access
        assert helper('image_tensor', detector, False, checkpoint_of('ssd'), output) is None
    parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': parity.pictures(1)})


def test_the_graph_as_text_beside_the_saved_model(checkpoint_of, tmp_path):
    output = str(tmp_path / 'export')
    result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), output, artifacts='saved_model',
                          write_inference_graph=True)
    assert result.exit_code == 0, result.stderr
    assert sorted(os.listdir(output)) == ['inference_graph.pbtxt', 'saved_model']


@pytest.mark.parametrize('looks', [True, False])
def test_cycles_are_looked_for_again_after_an_export(looks, checkpoint_of, export):
    (gc.enable if looks else gc.disable)()
    try:
        export(checkpoint_of('ssd'), artifacts=['saved_model'])
        assert gc.isenabled() == looks
        with pytest.raises(od_patch.CheckpointMismatch):
            export(checkpoint_of('ssd'), override='model { ssd { feature_extractor { depth_multiplier: 0.2 } } }',
                   artifacts=['saved_model'])
        assert gc.isenabled() == looks
    finally:
        gc.enable()


def test_a_frozen_saved_model_alone(checkpoint_of, upstream_export, export):
    output = export(checkpoint_of('ssd'), artifacts=['saved_model'], saved_model_variables='frozen')
    assert os.listdir(output) == ['saved_model']
    mine, theirs = (parity.read_meta_graph(os.path.join(place, 'saved_model')) for place in (
        output, upstream_export('ssd')))
    parity.assert_same_graph(mine.graph_def, theirs.graph_def)


def test_an_exporter_that_freezes_by_itself(checkpoint_of, export, no_session, variant):
    """As those until 2018-07-02 do; they cannot be had as packages."""
    module = variant(lambda source: source.replace('def write_saved_model(', '''
def freeze_graph_with_def_protos(output_graph, **kwargs):
  raise AssertionError('frozen')

def write_frozen_graph(frozen_graph_path, frozen_graph_def):
  raise AssertionError('written')

def write_saved_model(''').replace(
    '= freeze_graph.freeze_graph_with_def_protos(', '= freeze_graph_with_def_protos(').replace(
    '  write_saved_model(saved_model_path, frozen_graph_def,',
    '  write_frozen_graph(frozen_graph_path, frozen_graph_def)\n'
    '  write_saved_model(saved_model_path, frozen_graph_def,'))
    output = export(checkpoint_of('ssd'), exporter=module, artifacts=['saved_model'])
    no_session()
    parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': parity.pictures(1)})
    with pytest.raises(AssertionError, match='frozen'):
        export(checkpoint_of('ssd'), exporter=module, artifacts=['frozen_graph'])


def test_a_frozen_graph_that_would_be_too_large_is_left_out(checkpoint_of, export, monkeypatch, caplog):
    monkeypatch.setattr(_export, '_FROZEN_LIMIT', 10000)
    output = export(checkpoint_of('ssd'))
    assert sorted(os.listdir(output)) == sorted(
        _PARTS['checkpoint'] + _PARTS['pipeline_config'] + _PARTS['saved_model'])
    parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': parity.pictures(1)})
    assert 'cannot have more than 10,000. It is left out.' in caplog.text
    for options in ({'artifacts': ['frozen_graph']}, {'saved_model_variables': 'frozen'}):
        with pytest.raises(od_patch.UsageError) as refusal:
            export(checkpoint_of('ssd'), **options)
        assert 'variables have no such limit' in refusal.value.remedy


def test_a_damaged_checkpoint_leaves_nothing(checkpoint_of, export, tmp_path):
    import shutil
    prefix = str(tmp_path / 'model.ckpt-1234')
    for suffix in ('.index', '.data-00000-of-00001'):
        shutil.copy(checkpoint_of('ssd') + suffix, prefix + suffix)
    entry = _bundle.read_index(prefix).entries['FeatureExtractor/MobilenetV1/Conv2d_0/weights']
    with open(_bundle.shard_path(prefix, 0, 1), 'r+b') as data_file:
        data_file.seek(entry.offset)
        data_file.write(b'\xff\xfe\xfd')
    with pytest.raises(od_patch.InputRefused, match='has another checksum than its index says'):
        export(prefix, artifacts=['saved_model'])
    assert sorted(os.listdir(str(tmp_path))) == ['model.ckpt-1234.data-00000-of-00001', 'model.ckpt-1234.index']


def test_an_export_that_writes_no_checkpoint_leaves_the_one_that_it_reads(checkpoint_of, export, tmp_path):
    import shutil
    folder = tmp_path / 'mine'
    folder.mkdir()
    for suffix in ('.index', '.data-00000-of-00001'):
        shutil.copy(checkpoint_of('ssd') + suffix, str(folder / 'model.ckpt') + suffix)
    before = sorted(os.listdir(str(folder)))
    for artifacts in (['saved_model'], ['frozen_graph', 'pipeline_config']):
        with pytest.raises(od_patch.OutputRefused, match='is what is read, and is never written over'):
            exports.in_process('ssd', str(folder / 'model.ckpt'), str(folder), artifacts=artifacts, overwrite=True)
        assert sorted(os.listdir(str(folder))) == before


def test_flags(checkpoint_of, tmp_path):
    output = str(tmp_path / 'export')
    arguments = (exports.config_path('ssd'), checkpoint_of('ssd'), output)
    refused = exports.ours(*arguments, artifacts='saved_model,frozen')
    assert refused.exit_code == 2
    assert "asks for 'frozen'; it can be some of" in refused.stderr and 'Did you mean' in refused.stderr
    assert not os.path.exists(output)
    result = exports.ours(*arguments, artifacts='pipeline_config,saved_model')
    assert result.exit_code == 0, result.stderr
    assert sorted(os.listdir(output)) == ['pipeline.config', 'saved_model']
    stages = [line.split()[0] for line in result.stderr.splitlines() if line.endswith(' s')]
    assert stages == ['imports', 'checks', 'graph', 'saved', 'proof', 'moving']


def _content(export, name):
    with open(os.path.join(export, name), 'rb') as content_file:
        return content_file.read()


def _checksums(prefix):
    """{name: (type, shape, checksum)} of the tensors of a checkpoint."""
    return {name: (entry.dtype, entry.shape.SerializeToString(), entry.crc32c)
            for name, entry in _bundle.read_index(prefix).entries.items()}
