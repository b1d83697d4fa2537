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
from tests.support import exports

tensorflow = pytest.importorskip('tensorflow')

pytestmark = pytest.mark.xdist_group('serving')

KINDS = ('resource', 'reference', 'frozen')
_SHAPE = (2, 48, 64, 3)


def load_and_run(folder, signature, pixels, tmp_path):
    """Returns the answer of ``c_loader`` for a SavedModel."""
    request = {
        'library': c_loader.library(), 'saved_model': folder, 'tags': ['serve'], 'input': signature['input'],
        'shape': list(pixels.shape), 'outputs': signature['outputs'],
        'config': _sessions.default_config().SerializeToString().hex()}
    (tmp_path / 'request.json').write_text(json.dumps(request))
    (tmp_path / 'pixels').write_bytes(pixels.tobytes())
    result = exports.run([c_loader.__file__, str(tmp_path / 'request.json'), str(tmp_path / 'pixels')])
    assert result.exit_code == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


@pytest.mark.parametrize('kind', KINDS)
def test_the_loader_of_servers_loads_and_runs_what_was_exported(exported, tmp_path, kind):
    flags = {} if kind == 'resource' else {'saved_model_variables': kind}
    folder = os.path.join(exported(**flags), 'saved_model')
    servable = _servable.Servable(folder)
    info, = servable.signature.inputs.values()
    outputs = {key: output.name for key, output in servable.signature.outputs.items()}
    pixels = numpy.random.RandomState(5).randint(0, 256, _SHAPE).astype('u1')
    answer = load_and_run(folder, {'input': info.name, 'outputs': outputs}, pixels, tmp_path)
    assert answer['status'] == 'OK', answer
    with _models.saved_model(servable, _sessions.default_config()) as model:
        expected = model.run(pixels)
    assert set(answer['outputs']) == set(expected)
    for key, value in expected.items():
        found = answer['outputs'][key]
        assert found['shape'] == list(value.shape), key
        numpy.testing.assert_allclose(numpy.array(found['values']).reshape(value.shape), value, 1e-4, 1e-4, err_msg=key)


def test_it_is_the_loader_that_says_what_is_missing(served, tmp_path):
    answer = load_and_run(str(tmp_path), {'input': 'x:0', 'outputs': {}}, numpy.zeros(_SHAPE, 'u1'), tmp_path)
    assert 'SavedModel' in answer['status'] and answer['outputs'] == {}
