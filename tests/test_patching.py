"""The patch goes on, is recognised, and comes off, on the real exporter module."""
import gc
import importlib
import os
import shutil
import tempfile
import threading
import types

import pytest

import od_patch
from od_patch.environment import _environment
from od_patch.export import _current
from od_patch.export import _driver
from od_patch.export import _request
from od_patch.patch import _patching
from od_patch.patch import _recognition
from od_patch.patch import _replacements
from od_patch.releases import _releases
from tests.support import exports
from tests.support import parity

pytest.importorskip('tensorflow')
pytestmark = pytest.mark.usefixtures('tf1_behaviour')

# What the packages' exporters are, as facts about the packages and not about our table.
_RELEASE_OF_VINTAGE = {'A': 'r1.13.0', 'B': '2019-03-07', 'C': '2019-07-15', 'D': '2022'}


@pytest.fixture
def exporter(tf1_behaviour):
    """The real exporter module; whatever a test does to it is undone."""
    module = importlib.import_module('object_detection.exporter')
    before = dict(vars(module))
    yield module
    od_patch.uninstall()
    vars(module).clear()
    vars(module).update(before)


@pytest.fixture
def variant(exporter, tmp_path):
    """A function that makes an exporter module of the real one's source with a text replaced."""
    def make(text, other):
        with open(exporter.__file__, 'rb') as source_file:
            source = source_file.read().decode('utf-8')
        assert text in source
        path = tmp_path / 'exporter_variant.py'
        path.write_bytes(source.replace(text, other).encode('utf-8'))
        module = types.ModuleType('exporter_variant')
        module.__file__ = str(path)
        exec(compile(path.read_bytes(), str(path), 'exec'), vars(module))  # pylint: disable=exec-used
        return module
    return make


def test_the_release_is_recognised_by_its_blob_id(exporter, pytestconfig):
    if pytestconfig.getoption('--models-research'):
        pytest.skip('a real checkout may be of any release')
    release = _recognition.recognise(exporter).release
    assert release.name == _RELEASE_OF_VINTAGE[os.environ['OD_PATCH_VINTAGE']]


def test_uninstall_leaves_every_attribute_as_it_was(exporter):
    before = dict(vars(exporter))
    od_patch.install()
    changed = {name for name, value in vars(exporter).items() if before.get(name) is not value}
    assert 'write_saved_model' in changed or '_write_saved_model' in changed
    od_patch.uninstall()
    assert vars(exporter) == before
    assert all(vars(exporter)[name] is value for name, value in before.items())


def test_installing_twice_is_harmless(exporter):
    original = exporter.write_saved_model
    od_patch.install()
    patched = exporter.write_saved_model
    od_patch.install()
    assert exporter.write_saved_model is patched
    od_patch.uninstall()
    assert exporter.write_saved_model is original
    od_patch.uninstall()
    assert exporter.write_saved_model is original


def test_patched_ends_as_it_began(exporter):
    original = exporter.write_saved_model
    with od_patch.patched():
        with od_patch.patched():
            assert exporter.write_saved_model is not original
        assert exporter.write_saved_model is not original
    assert exporter.write_saved_model is original
    od_patch.install()
    with pytest.raises(ZeroDivisionError):
        with od_patch.patched():
            raise ZeroDivisionError
    assert exporter.write_saved_model is not original


def test_signatures_stay_the_releases_own(exporter):
    import inspect
    names = ('export_inference_graph', '_export_inference_graph', 'write_saved_model')
    before = [inspect.signature(getattr(exporter, name)) for name in names]
    with od_patch.patched():
        assert [inspect.signature(getattr(exporter, name)) for name in names] == before


def test_threads_may_patch_at_the_same_time(exporter):
    original = exporter.write_saved_model
    seen = []
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        for _ in range(50):
            with od_patch.patched(saved_model_variables='reference'):
                seen.append(exporter.write_saved_model is not original)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen) and len(seen) == 400
    assert exporter.write_saved_model is original


def test_the_patch_stays_while_an_export_runs(exporter, tmp_path, monkeypatch):
    """Another thread may uninstall meanwhile; the export would go on with upstream's functions, and write constants."""
    original = exporter.write_saved_model
    during = []

    def around(options, observer, release_text, arguments):
        od_patch.uninstall()
        during.append(exporter.write_saved_model is not original)
        raise od_patch.InputRefused('far enough')

    od_patch.install()
    monkeypatch.setattr(_driver, 'around', around)
    with pytest.raises(od_patch.InputRefused, match='far enough'):
        exporter.export_inference_graph('image_tensor', None, 'model.ckpt', str(tmp_path))
    assert during == [True]
    assert exporter.write_saved_model is original


def test_a_reloaded_module_can_be_patched_again(exporter):
    od_patch.install()
    importlib.reload(exporter)
    original = exporter.write_saved_model
    od_patch.install()
    assert exporter.write_saved_model is not original
    od_patch.uninstall()
    assert exporter.write_saved_model is original


def test_options_are_those_of_their_thread(exporter):
    del exporter
    found = []
    with od_patch.patched(saved_model_variables='reference'):
        thread = threading.Thread(target=lambda: found.append(_current.asked()[0]))
        thread.start()
        thread.join()
        assert _current.asked()[0].saved_model_variables == 'reference'
    assert found == [_request.Options()]


def test_somebody_elses_patch_on_top_is_left_alone(exporter, caplog):
    od_patch.install()
    exporter.write_saved_model = theirs = lambda *args: None
    od_patch.uninstall()
    assert exporter.write_saved_model is theirs
    assert 'write_saved_model was replaced by somebody else' in caplog.text


def test_outside_an_export_the_function_does_what_the_original_does(exporter, tmp_path, upstream_export):
    """Called by itself on a frozen graph, as some scripts do, it writes upstream's SavedModel."""
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    frozen = parity.read_frozen_graph(upstream_export('ssd'))
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name='')
        inputs = graph.get_tensor_by_name('image_tensor:0')
        outputs = {'detection_boxes': graph.get_tensor_by_name('detection_boxes:0')}
        with od_patch.patched():
            exporter.write_saved_model(str(tmp_path / 'saved_model'), frozen, inputs, outputs)
    meta_graph = parity.read_meta_graph(str(tmp_path / 'saved_model'))
    same = parity.structure(meta_graph.graph_def) == parity.structure(frozen)
    assert same
    assert not os.listdir(str(tmp_path / 'saved_model' / 'variables'))


def test_unpinned_exporter_of_known_shape_is_patched_with_a_warning(variant, caplog):
    module = variant('Functions to export', 'Functions that export')
    original = module.write_saved_model
    with od_patch.patched(module):
        assert module.write_saved_model is not original
    assert module.write_saved_model is original
    assert 'is not one of the pinned releases' in caplog.text
    with pytest.raises(od_patch.ExporterDeclined) as declined:
        od_patch.install(module, strict_pin=True)
    assert 'strict_pin' in declined.value.remedy


@pytest.mark.parametrize('text, other, expected', [
    ('def write_graph_and_checkpoint(inference_graph_def,', 'def write_graph(inference_graph_def,',
     'there is no function write_graph_and_checkpoint or _write_graph_and_checkpoint'),
    ('                      frozen_graph_def,\n', '                      graph_def,\n',
     'where (saved_model_path, frozen_graph_def, inputs, outputs) is expected'),
    ("'model.ckpt'", "'model.checkpoint'", 'does not write model.ckpt'),
])
def test_other_exporters_are_declined_with_the_difference(variant, text, other, expected):
    # Packages A and D have CRLF line ends.
    try:
        module = variant(text, other)
    except AssertionError:
        module = variant(text.replace('\n', '\r\n'), other.replace('\n', '\r\n'))
    before = dict(vars(module))
    with pytest.raises(od_patch.ExporterDeclined) as declined:
        od_patch.install(module)
    assert expected in declined.value.problem
    assert vars(module) == before


def test_underscore_names_of_the_releases_until_2018_02_09_are_patched(variant):
    module = variant('write_saved_model', '_write_saved_model')
    original = module._write_saved_model
    with od_patch.patched(module):
        assert module._write_saved_model is not original
    assert module._write_saved_model is original


def test_unknown_kind_of_variables_is_refused(exporter):
    del exporter
    with pytest.raises(ValueError, match='resource, reference, frozen'):
        with od_patch.patched(saved_model_variables='constant'):
            pass


def test_import_of_od_patch_does_not_import_tensorflow():
    result = exports.run(['-c', 'import sys, od_patch; print("tensorflow" in sys.modules)'])
    assert result.stdout.strip() == 'False', result.stderr


def test_the_pins_are_distinct_and_well_formed():
    blobs = [release.exporter_blob for release in _releases.RELEASES]
    assert len(set(blobs)) == len(blobs) == 21
    assert all(len(blob) == 40 and int(blob, 16) >= 0 for blob in blobs)


@pytest.mark.filterwarnings('ignore')
def test_a_temporary_file_of_the_exporter_that_outlives_its_folder_says_nothing(tmp_path, capsys):
    """As where an exporter of 2017 or 2018 fails: the traceback holds the file, and its folder goes first."""
    files = _replacements.TemporaryFiles(tempfile)
    (tmp_path / 'temporary').mkdir()

    class Run:
        temporary_directory = str(tmp_path / 'temporary')
    with _current.running(Run):
        file = files.NamedTemporaryFile()
        assert os.path.dirname(file.name) == Run.temporary_directory
    shutil.rmtree(Run.temporary_directory)
    del file
    gc.collect()
    assert capsys.readouterr().err == ''
    with files.NamedTemporaryFile() as outside:  # behind the export, it is the one that it was
        name = outside.name
    assert not os.path.exists(name)


def test_an_exporter_that_cannot_be_imported_is_refused_with_what_it_takes(monkeypatch):
    monkeypatch.setattr(_patching, 'EXPORTER', 'object_detection.no_such_exporter')
    for imported in (lambda: _patching._import(_patching.EXPORTER), _environment.import_exporter):
        with pytest.raises(od_patch.EnvironmentRefused) as refusal:
            imported()
        assert 'no_such_exporter' in refusal.value.problem and refusal.value.remedy
