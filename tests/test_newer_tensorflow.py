"""A current TensorFlow reads what TensorFlow 1.12 exported: every variable, and the same outputs."""
import os

import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

from od_patch.checkpoint import _bundle  # noqa: E402
from tests.support import exports  # noqa: E402
from tests.support import needs  # noqa: E402
from tests.support import parity  # noqa: E402
from tests.support import shapes  # noqa: E402

pytestmark = pytest.mark.skipif(
    exports.HAS_CONTRIB, reason='this TensorFlow is {}; the tests are about TensorFlow 2 reading exports'.format(
        tensorflow.__version__))

@pytest.fixture(scope='module')
def export(tmp_path_factory):
    """The shapes detector, exported under TensorFlow 1."""
    python = needs.python('OD_PATCH_TF1_PYTHON', 'TensorFlow 1; "tox run -e py36-tf112-AB" makes one')
    output = str(tmp_path_factory.mktemp('shapes') / 'export')
    result = exports.ours(shapes.CONFIG, shapes.FOLDER, output, _python=python,
                          _environment={'PYTHONPATH': exports.python_path('C')})
    assert result.exit_code == 0, result.stderr
    return output


def test_load_sees_every_variable_with_its_value(export):
    loaded = tensorflow.saved_model.load(os.path.join(export, 'saved_model'))
    reader = tensorflow.train.load_checkpoint(os.path.join(export, 'model.ckpt'))
    index = _bundle.read_index(os.path.join(export, 'model.ckpt'))
    assert len(index.entries) > 100
    # All but the step, which no output reads.
    assert {variable.name.split(':')[0] for variable in loaded.variables} == set(index.entries) - {'global_step'}
    for variable in loaded.variables:
        assert variable.numpy().tobytes() == reader.get_tensor(variable.name.split(':')[0]).tobytes(), variable.name


def test_the_loaded_signature_detects_what_the_frozen_graph_does(export):
    images = parity.pictures(2, 160, 160)
    loaded = tensorflow.saved_model.load(os.path.join(export, 'saved_model'))
    found = loaded.signatures['serving_default'](inputs=tensorflow.constant(images))
    meta_graph = parity.read_meta_graph(os.path.join(export, 'saved_model'))
    expected = parity.run_frozen_graph(parity.read_frozen_graph(export), meta_graph.signature_def['serving_default'],
                                       {'inputs': images})
    # Not bit for bit: tf.saved_model.load runs the graph as a function, which TensorFlow optimizes.
    for key in ('detection_scores', 'detection_boxes', 'num_detections'):
        np.testing.assert_allclose(found[key].numpy(), expected[key], atol=1e-4)


def test_in_an_unoptimized_session_the_outputs_are_equal_bit_for_bit(export):
    feed = {'inputs': parity.pictures(2, 160, 160)}
    outputs, signature = parity.run_saved_model(os.path.join(export, 'saved_model'), feed)
    parity.assert_bit_equal(outputs, parity.run_frozen_graph(parity.read_frozen_graph(export), signature, feed))


def test_saved_model_cli_shows_it(export):
    result = exports.run(['-m', 'tensorflow.python.tools.saved_model_cli', 'show', '--all', '--dir',
                          os.path.join(export, 'saved_model')])
    assert result.exit_code == 0, result.stderr[-2000:]
    assert "signature_def['serving_default']" in result.stdout
    assert 'tensorflow/serving/predict' in result.stdout


def test_an_exporter_that_needs_contrib_is_refused_in_words(tmp_path):
    """Every vintage before 2020 does, and no TensorFlow 2 has it."""
    result = exports.ours(shapes.CONFIG, shapes.CHECKPOINT, str(tmp_path / 'out'),
                          _environment={'PYTHONPATH': exports.python_path('C')})
    assert result.exit_code == 3
    assert 'needs tf.contrib, which TensorFlow {} does not have'.format(tensorflow.__version__) in result.stderr
    assert 'make an environment with TensorFlow 1.12' in result.stderr
    assert 'Traceback' not in result.stderr
