"""The same detector exported under TensorFlow 1.12 and a newer one: the same outputs, and each runs in the other."""
import os

import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

from tests.support import exports  # noqa: E402
from tests.support import needs  # noqa: E402
from tests.support import parity  # noqa: E402
from tests.support import shapes  # noqa: E402

pytestmark = pytest.mark.skipif(
    exports.HAS_CONTRIB, reason='this TensorFlow is {}; the tests compare a newer one with it'.format(
        tensorflow.__version__))

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Release D writes some of SSD's post-processing in another way than C: in one runtime, scores differ by what rounding
# makes of that. Faster and Mask R-CNN agree bit for bit; so facts about r1.12.0 say, with which C agrees exactly.
_BOUNDS = {'shapes': 5e-4, 'ssd': 5e-4, 'faster_rcnn': 0, 'mask_rcnn': 0}
_CASES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in _BOUNDS]


@pytest.fixture(scope='module')
def tf1_python():
    """A Python with TensorFlow 1."""
    return needs.python('OD_PATCH_TF1_PYTHON', 'TensorFlow 1; "tox run -e py36-tf112-AB" makes one')


@pytest.fixture(scope='module')
def old(tmp_path_factory, tf1_python):
    """A function from a model to its export under TensorFlow 1 with vintage C."""
    made = {}

    def export(name, prefix):
        if name not in made:
            made[name] = str(tmp_path_factory.mktemp('old') / 'export')
            result = exports.ours(_config(name), prefix, made[name], _python=tf1_python,
                                  _environment={'PYTHONPATH': exports.python_path('C')})
            assert result.exit_code == 0, result.stderr
            assert 'TensorFlow 1.' in result.stdout
        return made[name]
    return export


@pytest.fixture(scope='module')
def new(tmp_path_factory):
    """A function from a model to its export under this TensorFlow, for TensorFlow 1.12 or not."""
    made = {}

    def export(name, prefix, **flags):
        key = (name,) + tuple(flags)
        if key not in made:
            made[key] = str(tmp_path_factory.mktemp('new') / 'export')
            result = exports.ours(_config(name), prefix, made[key], **flags)
            assert result.exit_code == 0, result.stderr
        return made[key]
    return export


def _config(name):
    return shapes.CONFIG if name == 'shapes' else exports.config_path(name)


def _prefix(name, checkpoint_of):
    return shapes.FOLDER if name == 'shapes' else checkpoint_of(name)


def _images(name):
    if name != 'shapes':
        return parity.pictures(2)
    drawings = shapes.drawings()
    return np.stack([np.asarray(drawings.draw(drawings.HELD_OUT + number).image) for number in range(4)])


@pytest.mark.parametrize('name', _CASES)
def test_outputs_agree_in_one_runtime(name, old, new, checkpoint_of):
    prefix = _prefix(name, checkpoint_of)
    feed = {'inputs': _images(name)}
    found = {}
    for export in (old(name, prefix), new(name, prefix)):
        outputs, signature = parity.run_saved_model(os.path.join(export, 'saved_model'), feed)
        frozen = parity.run_frozen_graph(parity.read_frozen_graph(export), signature, feed)
        parity.assert_bit_equal(outputs, frozen)
        found[export] = outputs
    theirs, mine = found.values()
    assert (mine['detection_scores'] > 0.01).any()
    _assert_agree(name, mine, theirs)


def _assert_agree(name, mine, theirs):
    """Of a new export and an old one, in one runtime; another one's kernels round otherwise, and that may move a box."""
    shared = set(theirs) & set(mine)  # C alone has detection_features, D alone the raw and the multiclass outputs
    assert shared >= {'detection_boxes', 'detection_classes', 'detection_scores', 'num_detections'}
    for key in sorted(shared):
        difference = np.abs(mine[key].astype(np.float64) - theirs[key].astype(np.float64)).max()
        print('{}: {} differs by {}'.format(name, key, difference))
        assert difference <= _BOUNDS[name], key


@pytest.mark.parametrize('name', _CASES)
def test_each_runs_in_the_others_tensorflow(name, old, new, tf1_python, checkpoint_of, tmp_path):
    """A new export for TensorFlow 1.12 has the ops of that, and the outputs of the one that is not."""
    prefix = _prefix(name, checkpoint_of)
    images = _images(name)
    np.save(str(tmp_path / 'images.npy'), images)
    lowered = new(name, prefix, target_tf='1.12')
    here, signature = parity.run_saved_model(os.path.join(lowered, 'saved_model'), {'inputs': images})
    # Its own frozen graph has the new ops still: what is put back computes the same bits.
    parity.assert_bit_equal(here, parity.run_frozen_graph(
        parity.read_frozen_graph(lowered), signature, {'inputs': images}))

    there = [(os.path.join(old(name, prefix), 'saved_model'), str(tmp_path / 'theirs.npz')),
             (os.path.join(lowered, 'saved_model'), str(tmp_path / 'mine.npz'))]
    result = exports.run(['-W', 'ignore', '-m', 'tests.support.outputs', tmp_path / 'images.npy'] + [
        path for pair in there for path in pair], python=tf1_python, environment={'PYTHONPATH': _ROOT})
    assert result.exit_code == 0, result.stderr[-3000:]
    theirs, mine = (dict(np.load(out)) for _, out in there)
    assert sorted(mine) == sorted(here)
    _assert_agree(name, mine, theirs)

    with parity.without_grappler():
        loaded = [tensorflow.saved_model.load(os.path.join(export, 'saved_model')).signatures['serving_default'](
            inputs=tensorflow.constant(images)) for export in (old(name, prefix), lowered)]
    theirs, mine = ({key: value.numpy() for key, value in outputs.items()} for outputs in loaded)
    _assert_agree(name, mine, theirs)


@pytest.mark.xdist_group('shapes')
def test_what_no_rule_puts_back_is_refused_in_words(tmp_path):
    output = str(tmp_path / 'export')
    result = exports.ours(_config('shapes'), shapes.FOLDER, output, target_tf='1.4')
    assert result.exit_code == 3
    assert 'TensorFlow 1.4.1 lacks what this model needs' in result.stderr
    assert 'the op NonMaxSuppressionV5' in result.stderr and 'since 1.15.0' in result.stderr
    assert os.listdir(str(tmp_path)) == []


def test_a_release_that_nobody_knows(tmp_path):
    result = exports.ours(_config('shapes'), shapes.FOLDER, str(tmp_path / 'export'), target_tf='1.99')
    assert result.exit_code == 2
    assert '--target_tf=1.99 is no release of TensorFlow' in result.stderr and '--target_tf=1.12' in result.stderr
    assert os.listdir(str(tmp_path)) == []
