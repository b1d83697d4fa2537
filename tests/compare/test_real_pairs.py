"""Pairs of real exports, each with the verdict and the causes that are known for it.

The exports come from the OD API's own script, unpatched, in processes of their
own. Slow as unit tests go (minutes in all), so they are marked
``pairs`` and run in an environment of their own.
"""
import os
import sys

import pytest

from od_patch.compare import _canonical
from od_patch.compare import _provenance
from od_patch.compare import _run
from od_patch.compare import _verdict
from od_patch.graphs import _sources
from tests.compare import pairs
from tests.compare.test_bad_input import od_patch
from tests.support import exports

pytest.importorskip('tensorflow')
pytestmark = pytest.mark.pairs

OLD_OUTPUTS = ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections']


@pytest.fixture(scope='module')
def exported(tmp_path_factory, checkpoint_of):
    """A function from (vintage, TensorFlow release, config, form, flags) to an export; each is made once."""
    made = {}

    def get(vintage, release, config='ssd', form='plain', again=0, **flags):
        key = (vintage, release, config, form, again, tuple(sorted(flags.items())))
        if key not in made:
            python = pairs.python_with(release)
            made[key] = pairs.export(python, vintage, exports.config_path(config), checkpoint_of(config, form),
                                     tmp_path_factory.mktemp('export') / 'out', **flags)
        return made[key]
    return get


def kinds(answer, harmful_only=False):
    return [cause.kind for cause in answer.causes if not (harmful_only and cause.cosmetic)]


def test_one_vintage_twice_is_identical_and_has_one_canonical_file(exported):
    one, other = exported('C', '1.12'), exported('C', '1.12', again=1)
    assert _verdict.compare(one, other).verdict == 'identical'
    assert _canonical.serialized(_sources.load(one).graph()) == _canonical.serialized(_sources.load(other).graph())


def test_the_saved_model_and_the_meta_file_of_an_export_hold_its_frozen_graph(exported):
    folder = exported('C', '1.12')
    for part in ('saved_model', 'model.ckpt.meta'):
        answer = _verdict.compare(os.path.join(folder, part), folder)
        assert answer.verdict == 'equivalent', part
        assert answer.provenance[0].exact['tensorflow_version'].startswith('1.12')


def test_vintages_a_and_c_compute_the_same_where_both_have_an_output(exported):
    one, other = exported('A', '1.12'), exported('C', '1.12')
    answer = _verdict.compare(one, other)
    assert answer.verdict == 'same weights, different graph'
    assert kinds(answer) == ['outputs']
    assert 'raw_detection_boxes' in answer.causes[0].title and '05584085' in answer.causes[0].revision
    assert _verdict.compare(one, other, outputs=OLD_OUTPUTS).verdict == 'equivalent'


def test_c_under_two_tensorflows_is_equivalent(exported):
    one, other = exported('C', '1.12'), exported('C', '1.15')
    answer = _verdict.compare(one, other)
    assert answer.verdict == 'equivalent'
    assert {'AddV2', 'batch norm versions', 'transpose', 'default attributes'} <= set(answer.equivalence.rules)
    assert _canonical.serialized(_sources.load(one).graph()) == _canonical.serialized(_sources.load(other).graph())


def test_a_two_stage_detector_with_softmax_is_equivalent_under_two_tensorflows(exported):
    answer = _verdict.compare(exported('C', '1.12', 'faster_rcnn'), exported('C', '1.15', 'faster_rcnn'))
    assert answer.verdict == 'equivalent'


def test_d_against_c_keeps_the_weights_and_moves_the_resize(exported):
    answer = _verdict.compare(exported('C', '1.15'), exported('D', '1.15'))
    assert answer.verdict == 'same weights, different graph'
    assert 'resize.order' in kinds(answer) and 'asserts' in kinds(answer)
    moved = next(cause for cause in answer.causes if cause.kind == 'resize.order')
    assert moved.title == 'the resize now comes after the normalisation'
    claimed = {node for cause in answer.causes for node in cause.left}
    assert set(answer.alignment.only[0]) <= claimed  # nothing is dropped


@pytest.mark.parametrize('override, kind, title, option', [
    ('model { ssd { post_processing { batch_non_max_suppression { score_threshold: 0.3 } } } }', 'setting.nms_score',
     'NMS score threshold 0 → 0.3', 'model.ssd.post_processing.batch_non_max_suppression.score_threshold'),
    ('model { ssd { post_processing { batch_non_max_suppression { iou_threshold: 0.5 } } } }', 'setting.nms_iou',
     'NMS IoU threshold 0.6 → 0.5', 'model.ssd.post_processing.batch_non_max_suppression.iou_threshold')])
def test_a_threshold_is_named_with_its_option(exported, override, kind, title, option):
    answer = _verdict.compare(exported('C', '1.12'), exported('C', '1.12', config_override=override))
    assert answer.verdict == 'same weights, different graph'
    assert kinds(answer) == [kind]
    cause, = answer.causes
    assert (cause.title, cause.option) == (title, option)
    assert len(cause.left) == len(cause.right) == 3  # one for each class
    assert len(answer.alignment.frontier[0]) == 3


def test_nothing_depends_on_names(exported, tmp_path):
    """Renames everything but inputs and outputs of one side; verdict and causes stay."""
    import random
    from tests.compare import graphs
    from tests.compare import test_properties
    override = 'model { ssd { post_processing { batch_non_max_suppression { score_threshold: 0.3 } } } }'
    for name, folder in (('plain', exported('A', '1.12')), ('threshold', exported('C', '1.12',
                                                                                  config_override=override))):
        source = _sources.load(folder)
        keep = tuple(row[0] for row in source.graph().outputs) + ('image_tensor',)
        test_properties.renamed(source.graph_def, random.Random(1), keep)
        test_properties.permuted(source.graph_def, random.Random(2))
        path = graphs.write(tmp_path / (name + '.pb'), source.graph_def)
        answer = _verdict.compare(exported('C', '1.12'), path)
        assert answer.verdict == 'same weights, different graph'
        assert kinds(answer) == (['outputs'] if name == 'plain' else ['setting.nms_score'])
        assert _verdict.compare(folder, path).verdict == 'equivalent'


def test_a_fixed_input_is_told_from_what_follows_from_it(exported):
    answer = _verdict.compare(exported('C', '1.12'), exported('C', '1.12', input_shape='1,96,96,3'))
    assert answer.verdict == 'same weights, different graph'
    assert kinds(answer, harmful_only=True) == ['setting.input_shape']
    assert answer.causes[0].title == 'input placeholder fixed to 1×96×96×3 (it was ?×?×?×3)'


def test_moving_averages_against_raw_weights(exported, checkpoint_of):
    prefix = checkpoint_of('ssd', 'training')
    answer = _verdict.compare(
        exported('C', '1.12', form='training', config_override='eval_config { use_moving_averages: true }'),
        exported('C', '1.12', form='training'), checkpoint=prefix)
    assert answer.verdict == 'different weights'
    assert [row['kind'] for row in answer.checkpoint] == ['moving averages', 'raw weights']
    assert kinds(answer) == ['weights']
    assert 'moving averages against raw weights' in answer.causes[0].title
    assert answer.reason.endswith('the graph around them is the same.')


def test_two_trainings_of_the_shapes_model(tmp_path):
    python = pairs.python_with('1.12')
    example = os.path.join(os.path.dirname(exports.CONFIGS), '..', '..', 'examples', 'shapes')
    config = os.path.join(example, 'shapes_ssd_mobilenet_v1.config')
    trained = os.path.join(example, 'model.ckpt-4100')
    pairs.run(python, 'C', os.path.join(example, 'train.py'), '--work', tmp_path, '--steps', 1, '--drawings', 4,
              '--held_out', 1)
    # It has exported what it trained, with the release's own script, as that one is.
    answer = _verdict.compare(pairs.export(python, 'C', config, trained, tmp_path / 'one'), str(tmp_path / 'exported_raw'))
    assert answer.verdict == 'different weights'
    assert kinds(answer) == ['weights']
    assert answer.weights.left == answer.weights.right == len(answer.weights.differing) + len(answer.weights.equal)
    assert answer.alignment.same_weights_structure


def test_another_architecture_is_not_comparable(exported):
    answer = _verdict.compare(exported('C', '1.12'), exported('C', '1.12', 'faster_rcnn'))
    assert answer.verdict == 'not comparable' and 'Different models' in answer.reason


TRANSFORMS = [
    ('strip_unused_nodes', 'identical', []),
    ('remove_nodes(op=Identity)', 'same weights, different graph', ['asserts']),
    ('remove_nodes(op=Assert)', 'identical', []),  # the tool leaves an Assert, as nodes wait for it
    ('fold_constants(ignore_errors=true)', 'same weights, different graph', ['folded.constants', 'asserts']),
    ('fold_constants(ignore_errors=true)+fold_batch_norms+fold_old_batch_norms', 'same weights, different graph',
     ['folded.batch_norms', 'folded.constants', 'asserts']),
    ('quantize_weights', 'different weights', ['quantized.weights']),
    ('grappler', 'same weights, different graph',
     ['grappler', 'folded.batch_norms', 'batch_norm.rewritten', 'folded.constants', 'asserts'])]


@pytest.fixture(scope='module')
def transformed(exported, tmp_path_factory):
    def get(transforms):
        source = os.path.join(exported('C', '1.12'), 'frozen_inference_graph.pb')
        outputs = [row[0] for row in _sources.load(source).graph().outputs]
        target = tmp_path_factory.mktemp('transformed') / 'graph.pb'
        return source, pairs.transform(pairs.python_with('1.12'), source, target, transforms, outputs)
    return get


@pytest.mark.parametrize('transforms, verdict, expected', TRANSFORMS, ids=[row[0][:40] for row in TRANSFORMS])
def test_transforms_are_recognised_by_their_traces(transformed, transforms, verdict, expected):
    answer = _verdict.compare(*transformed(transforms))
    assert answer.verdict == verdict, answer.reason
    assert sorted(kinds(answer)) == sorted(expected)
    for cause in answer.causes:
        if cause.kind == 'folded.batch_norms':
            assert cause.detail['agree'] == cause.detail['convolutions'] > (0 if transforms == 'grappler' else 10)
            assert cause.detail['largest_relative_difference'] < 1e-5
        if cause.kind == 'quantized.weights':
            assert cause.detail['within_a_step'] == cause.detail['weights'] > 10
    if transforms.startswith('quantize'):
        assert _provenance.inspect(answer.sources[1].path)[2].quantized.startswith('weights only')


def test_freezing_an_unfrozen_export_gives_the_frozen_graph_of_the_same_run(tmp_path, checkpoint_of):
    for kind in ('resource', 'reference'):
        folder = tmp_path / kind
        result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd', 'plain'), folder,
                              saved_model_variables=kind)
        assert result.exit_code == 0, result.stderr
        frozen = tmp_path / (kind + '.pb')
        code, out, err = od_patch('freeze', folder / 'saved_model', '--output', frozen)
        assert code == 0, err
        assert _verdict.compare(str(frozen), str(folder)).verdict == 'equivalent'
        assert _canonical.serialized(_sources.load(str(frozen)).graph()) == _canonical.serialized(
            _sources.load(str(folder)).graph())


def test_regenerate_finds_the_settings_that_give_the_shipped_graph(exported, checkpoint_of):
    pairs.python_with('1.12')
    shipped = os.path.join(exported('C', '1.12', config_override='model { ssd { post_processing { '
                                    'batch_non_max_suppression { score_threshold: 0.3 } } } }'),
                           'frozen_inference_graph.pb')
    arguments = ['regenerate', '--checkpoint', checkpoint_of('ssd', 'plain'), '--pipeline_config',
                 exports.config_path('ssd'), '--like', shipped]
    environment = {'PYTHONPATH': exports.python_path('C')}
    code, out, err = od_patch(*arguments, environment=environment)
    assert code == 1, err
    assert "'--config_override=model { ssd { post_processing { batch_non_max_suppression { score_threshold: 0.3 }" in out
    code, out, err = od_patch(*(arguments + ['--apply']), environment=environment)
    assert code == 0, out + err
    assert out.splitlines()[-1].startswith('identical')


def test_regenerate_finds_that_the_shipped_graph_holds_moving_averages(exported, checkpoint_of):
    pairs.python_with('1.12')
    shipped = exported('C', '1.12', form='training', config_override='eval_config { use_moving_averages: true }')
    environment = {'PYTHONPATH': exports.python_path('C')}
    code, out, err = od_patch('regenerate', '--checkpoint', checkpoint_of('ssd', 'training'), '--pipeline_config',
                              exports.config_path('ssd'), '--like', shipped, '--apply', environment=environment)
    assert code == 0, out + err
    assert 'use_moving_averages: true' in out and out.splitlines()[-1].startswith('identical')


def test_running_confirms_that_equivalent_graphs_agree_bit_for_bit(exported):
    answer = _verdict.compare(exported('A', '1.12'), exported('C', '1.12'))
    if not sys.executable == pairs.python_with('1.12'):
        pytest.skip('this TensorFlow is another one')
    result = _run.run(answer, 1)
    assert [row['name'] for row in result.outputs] == OLD_OUTPUTS
    assert all(row['differing'] == 0 for row in result.outputs)


def test_inspect_reads_the_pipeline_config_back(exported):
    _, _, provenance = _provenance.inspect(os.path.join(exported('C', '1.12', 'faster_rcnn'),
                                                        'frozen_inference_graph.pb'))
    assert provenance.exact['file'] == 'model.ckpt.meta'
    settings = {key: setting.value for key, setting in provenance.settings.items()}
    with open(exports.config_path('faster_rcnn')) as file:
        config = file.read()
    assert 'max_total_detections: {}'.format(settings['second_stage.nms_total']) in config
    assert 'first_stage_max_proposals: {}'.format(settings['first_stage.nms_total']) in config
    assert 'num_classes: {}'.format(settings['classes']) in config
    assert provenance.od_api[0].startswith('2019-07-15')  # detection_features
