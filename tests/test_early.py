"""A checkpoint of another class count or feature extractor is refused before the graph is built, in the words of after it."""
import itertools

import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch.checkpoint import _checkpoint  # noqa: E402
from od_patch.checkpoint import _early  # noqa: E402
from tests import test_causes  # noqa: E402
from tests.support import exports  # noqa: E402

SHARED = 'WeightSharedConvolutionalBoxPredictor/'


def early(config, held):
    """The refusal of a config with a checkpoint of {name: shape}, None where there is none."""
    try:
        _early.check(config, _checkpoint.Inventory('model', 'V2', 1, held, 1))
    except _errors.CheckpointMismatch as error:
        return error
    return None


def of_classes(count, name='ssd', text=''):
    kind = 'ssd' if name == 'ssd' else 'faster_rcnn'
    return test_causes.config_of('model {{ {} {{ num_classes: {} }} }} {}'.format(kind, count, text), name)


@pytest.mark.parametrize('anchors, trained, configured', itertools.product((1, 3, 6), (1, 3, 7, 90), (1, 3, 7, 90)))
def test_the_class_count_of_an_ssd_is_told_as_after_the_graph(anchors, trained, configured):
    config = of_classes(configured)
    held = test_causes.ssd(anchors, trained)
    told = early(config, held)
    assert bool(told) == (trained != configured)
    if told:
        later = test_causes.refusal(test_causes.ssd(anchors, configured), held, config=config)
        assert told.remedy == later.remedy and told.exit_code == later.exit_code
        assert told.problem.startswith(later.problem[:later.problem.index(' config')])


@pytest.mark.parametrize('trained, configured', itertools.product((1, 2, 20), (1, 2, 20)))
def test_the_class_count_of_one_predictor_for_all_feature_maps(trained, configured):
    held = {SHARED + 'ClassPredictor/biases': [6 * (trained + 1)], SHARED + 'BoxPredictor/biases': [24]}
    told = early(of_classes(configured), held)
    assert bool(told) == (trained != configured)
    assert not told or 'which was trained with {} ({}ClassPredictor'.format(trained, SHARED) in told.remedy


@pytest.mark.parametrize('trained, configured', itertools.product((1, 2, 20), (1, 2, 20)))
def test_the_class_count_of_a_second_stage(trained, configured):
    held = {'SecondStageBoxPredictor/ClassPredictor/biases': [trained + 1],
            'SecondStageBoxPredictor/BoxEncodingPredictor/biases': [4 * trained]}
    told = early(of_classes(configured, 'faster_rcnn'), held)
    assert bool(told) == (trained != configured)
    assert not told or '(num_classes: {}) is not of as many classes'.format(configured) in told.remedy
    first_only = of_classes(configured, 'faster_rcnn', 'model { faster_rcnn { number_of_stages: 1 } }')
    assert early(first_only, held) is None


@pytest.mark.parametrize('held', [
    {}, {'BoxPredictor_0/ClassPredictor/biases': [12]},  # nothing says of how many anchors
    {'BoxPredictor_0/ClassPredictor/biases': [12], 'BoxPredictor_0/BoxEncodingPredictor/biases': [10]},
    {'BoxPredictor_0/ClassPredictor/biases': [11], 'BoxPredictor_0/BoxEncodingPredictor/biases': [8]},
    {'BoxPredictor_0/ClassPredictor/biases': [1, 12], 'BoxPredictor_0/BoxEncodingPredictor/biases': [12]},
    {'BoxPredictor_0/ClassPredictor/biases': [3], 'BoxPredictor_0/BoxEncodingPredictor/biases': [12]},
    {'SecondStageBoxPredictor/class_predictions/biases': [9]}])
def test_what_does_not_tell_is_left_for_the_graph(held):
    assert early(of_classes(7), held) is None


def test_without_a_class_for_the_background():
    config = of_classes(4)
    if 'add_background_class' not in config.model.ssd.DESCRIPTOR.fields_by_name:
        assert early(config, {'BoxPredictor_0/ClassPredictor/biases': [8],
                              'BoxPredictor_0/BoxEncodingPredictor/biases': [8]}) is not None
        return
    config.model.ssd.add_background_class = False
    held = {'BoxPredictor_0/ClassPredictor/biases': [8], 'BoxPredictor_0/BoxEncodingPredictor/biases': [8]}
    assert early(config, held) is None
    config.model.ssd.add_background_class = True
    assert 'trained with 3' in early(config, held).remedy


@pytest.mark.parametrize('extractor', sorted(_early._SCOPES))
def test_another_feature_extractor(extractor):
    kind, name = ('faster_rcnn', 'faster_rcnn') if extractor.startswith('faster') else ('ssd', 'ssd')
    config = test_causes.config_of(
        'model {{ {} {{ feature_extractor {{ type: "{}" }} }} }}'.format(kind, extractor), name)
    own = _early._SCOPES[extractor]
    for scope in sorted(set(_early._SCOPES.values()) | {'Mine'}):
        for before in ('', 'FirstStage'):
            held = {'{}FeatureExtractor/{}/conv/weights'.format(before, scope): [3, 3, 3, 8]}
            told = early(config, held)
            assert bool(told) == (scope not in (own, 'Mine')), (scope, told)
            if told:
                assert 'builds {}, the checkpoint holds {}.'.format(own, scope) in told.remedy
    both = {'FeatureExtractor/{}/w'.format(scope): [1] for scope in _early._SCOPES.values()}
    assert early(config, both) is None


def test_an_extractor_that_is_not_the_releases_is_not_judged():
    config = test_causes.config_of('model { ssd { feature_extractor { type: "mine" } } }')
    assert early(config, {'FeatureExtractor/InceptionV2/w': [1]}) is None


@pytest.mark.usefixtures('tf1_behaviour')
def test_no_graph_is_built_for_it(checkpoint_of, tmp_path, monkeypatch):
    from object_detection.builders import model_builder

    def build(*args, **kwargs):
        raise AssertionError('a model was built')
    monkeypatch.setattr(model_builder, 'build', build)
    with pytest.raises(_errors.CheckpointMismatch, match='does not fit the model of the pipeline config'):
        exports.in_process('ssd', checkpoint_of('ssd'), str(tmp_path / 'out'),
                           override='model { ssd { num_classes: 7 } }')
    with pytest.raises(AssertionError, match='a model was built'):
        exports.in_process('ssd', checkpoint_of('ssd'), str(tmp_path / 'out'))
