"""The SavedModel in TensorFlow's C++ loader, which servers use, through its C API from the wheel's own library.

In a process of its own, without a line of TensorFlow's Python, so that nothing there helps it along.
"""
import json
import os

import numpy
import pytest

from od_patch.graphs import _models
from od_patch.graphs import _servable
from od_patch.graphs import _sessions
from tests.serving import c_loader
from tests.serving import models
from tests.serving.test_signatures import SIGNED
from tests.support import exports

tensorflow = pytest.importorskip('tensorflow')

pytestmark = pytest.mark.xdist_group('serving')

KINDS = ('resource', 'reference', 'frozen')
_SHAPE = (2, 48, 64, 3)


def load_and_run(folder, signature, pixels, tmp_path):
    """Returns the answer of ``c_loader`` for a SavedModel; ``pixels``: an array, or the bytes of an image file."""
    request = {
        'library': c_loader.library(), 'saved_model': folder, 'tags': ['serve'], 'input': signature['input'],
        'shape': list(getattr(pixels, 'shape', ())), 'outputs': signature['outputs'],
        'config': _sessions.default_config().SerializeToString().hex()}
    (tmp_path / 'request.json').write_text(json.dumps(request))
    (tmp_path / 'pixels').write_bytes(pixels if isinstance(pixels, bytes) else pixels.tobytes())
    result = exports.run([c_loader.__file__, str(tmp_path / 'request.json'), str(tmp_path / 'pixels')])
    assert result.exit_code == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


@pytest.mark.parametrize('kind', KINDS)
def test_the_loader_of_servers_loads_and_runs_what_was_exported(exported, tmp_path, kind):
    flags = {} if kind == 'resource' else {'saved_model_variables': kind}
    folder = os.path.join(exported(**flags), 'saved_model')
    check(_servable.Servable(folder), numpy.random.RandomState(5).randint(0, 256, _SHAPE).astype('u1'), tmp_path)


@pytest.mark.parametrize('kind', KINDS)
def test_it_loads_and_runs_both_signatures(exported, tmp_path, kind):
    servable = _servable.Servable(os.path.join(exported(saved_model_variables=kind, **SIGNED), 'saved_model'))
    image = models.noise(48, 64)
    answers = [check(servable.of('serving_default'), image[None], tmp_path),
               check(servable.of('encoded_image_bytes'), models.png(image), tmp_path)]
    assert answers[0] == answers[1]


def test_it_loads_what_has_warm_up_requests_and_assets(full, tmp_path):
    folder = os.path.join(full, 'saved_model')
    assert {'tf_serving_warmup_requests', 'od_patch.json'} <= set(os.listdir(os.path.join(folder, 'assets.extra')))
    check(_servable.Servable(folder), models.noise(48, 64)[None], tmp_path)


def check(servable, given, tmp_path):
    """Whether the loader answers as TensorFlow's Python does, to pixels or a file; returns its answer."""
    info, = servable.signature.inputs.values()
    outputs = {key: output.name for key, output in servable.signature.outputs.items()}
    answer = load_and_run(servable.folder, {'input': info.name, 'outputs': outputs}, given, tmp_path)
    assert answer['status'] == 'OK', answer
    with _models.saved_model(servable, _sessions.default_config()) as model:
        expected = model.run([given] if isinstance(given, bytes) else given)
    assert set(answer['outputs']) == set(expected)
    for key, value in expected.items():
        found = answer['outputs'][key]
        assert found['shape'] == list(value.shape), key
        numpy.testing.assert_allclose(numpy.array(found['values']).reshape(value.shape), value, 1e-4, 1e-4, err_msg=key)
    return answer['outputs']


def test_it_is_the_loader_that_says_what_is_missing(served, tmp_path):
    answer = load_and_run(str(tmp_path), {'input': 'x:0', 'outputs': {}}, numpy.zeros(_SHAPE, 'u1'), tmp_path)
    assert 'SavedModel' in answer['status'] and answer['outputs'] == {}
