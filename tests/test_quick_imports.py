"""The short cuts of imports: each does what the function does in whose place it stands, and goes with the import."""
import importlib
import threading

import pytest

pytest.importorskip('tensorflow')

from od_patch import legacy  # noqa: E402
from od_patch.legacy import _quick_imports  # noqa: E402
from od_patch.legacy import _versions  # noqa: E402
from tests.support import exports  # noqa: E402


def _state():
    return [getattr(importlib.import_module(row.module), row.name) for row in _quick_imports.SHORT_CUTS]


def test_the_frame_is_that_of_tensorflows_function():
    currentframe = importlib.import_module('tensorflow.python.util.tf_inspect').currentframe
    theirs, ours = currentframe(), _quick_imports._calling_frame()
    assert ours is theirs and ours.f_code.co_name == 'test_the_frame_is_that_of_tensorflows_function'
    theirs, ours = (lambda: (currentframe(), _quick_imports._calling_frame()))()
    assert ours is theirs and ours.f_code.co_name == '<lambda>'


def test_they_are_on_inside_where_the_version_calls_for_them_and_off_after():
    before = _state()
    with legacy.quick_imports():
        with legacy.quick_imports():
            pass
        assert _state() == [
            was if _versions.at_least('tensorflow', row.until) else row.instead
            for row, was in zip(_quick_imports.SHORT_CUTS, before)]
    assert _state() == before
    with pytest.raises(ZeroDivisionError):
        with legacy.quick_imports():
            raise ZeroDivisionError
    assert _state() == before


@pytest.fixture
def of_any_version(monkeypatch):
    """Short cuts that every TensorFlow calls for."""
    monkeypatch.setattr(_quick_imports, 'SHORT_CUTS', tuple(
        row._replace(until='99') for row in _quick_imports.SHORT_CUTS))


def test_they_stay_until_the_last_thread_has_imported(of_any_version):
    before, inside, go_on = _state(), threading.Event(), threading.Event()

    def import_something():
        with legacy.quick_imports():
            inside.set()
            go_on.wait(60)
    thread = threading.Thread(target=import_something)
    with legacy.quick_imports():
        thread.start()
        assert inside.wait(60)
    still = _state()
    go_on.set()
    thread.join()
    assert still == [row.instead for row in _quick_imports.SHORT_CUTS] and _state() == before


def test_what_somebody_else_has_put_there_stays(of_any_version, monkeypatch):
    row = _quick_imports.SHORT_CUTS[0]
    module = importlib.import_module(row.module)
    monkeypatch.setattr(module, row.name, getattr(module, row.name))  # put back after the test
    with legacy.quick_imports():
        monkeypatch.setattr(module, row.name, len)
    assert getattr(module, row.name) is len


def test_the_patch_alone_leaves_tensorflow_alone_and_a_script_sees_it_as_it_was(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('''
import sys
from tensorflow.python.util import tf_inspect
before = tf_inspect.currentframe
if sys.argv[1:] == ['patched']:
    import od_patch
    with od_patch.patched():
        assert tf_inspect.currentframe is before
else:
    from object_detection import exporter
    assert exporter.export_inference_graph.__wrapped__, 'nothing is patched, so this proves nothing'
assert tf_inspect.currentframe is before
print('as it was')
''')
    for command in ([str(script), 'patched'], ['-m', 'od_patch', str(script)]):
        result = exports.run(command)
        assert result.exit_code == 0, result.stderr[-3000:]
        assert result.stdout.endswith('as it was\n')
