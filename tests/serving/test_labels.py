"""The label map: an asset of the SavedModel, the one of this detector and no other."""
import os

import pytest

from od_patch import _errors
from od_patch import proof
from od_patch.proof import _servable
from od_patch.serving import _labels
from od_patch.serving import _publish
from tests.serving import conftest
from tests.support import exports

tensorflow = pytest.importorskip('tensorflow')
from od_patch import _export  # pylint: disable=wrong-import-position
from od_patch import _config  # pylint: disable=wrong-import-position
from od_patch import _tensorflow  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.xdist_group('serving')


class Stages(_export.Observer):
    """Fails where an export gets as far as its graph."""

    def stage(self, name):
        assert name == 'checks'


def _read(path):
    with open(path, 'rb') as file:
        return file.read()


def test_it_is_an_asset_and_the_file_that_was_given(full):
    folder = os.path.join(full, 'saved_model')
    assert _read(os.path.join(folder, 'assets', 'label_map.pbtxt')) == _read(conftest.LABEL_MAP)
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.saved_model.loader.load(session, ['serve'], folder)
        asset, = graph.get_collection(tf.GraphKeys.ASSET_FILEPATHS)
        assert session.run(asset) == b'label_map.pbtxt'
    from tensorflow.python.saved_model import loader_impl
    tensors = getattr(loader_impl, 'get_asset_tensors', None) or getattr(loader_impl, '_get_asset_tensors')
    (name, path), = tensors(folder, _servable.Servable(folder).meta_graph).items()
    assert (name, tf.compat.as_str(path)) == (asset.name, os.path.join(folder, 'assets', 'label_map.pbtxt'))


def test_without_one_there_are_no_assets(served):
    assert not os.path.exists(os.path.join(served, 'saved_model', 'assets'))
    assert not _servable.Servable(os.path.join(served, 'saved_model')).meta_graph.asset_file_def


def test_one_that_got_lost_is_noticed_before_it_is_published(full, tmp_path):
    import shutil
    copy = str(tmp_path / 'copy')
    shutil.copytree(os.path.join(full, 'saved_model'), copy)
    os.remove(os.path.join(copy, 'assets', 'label_map.pbtxt'))
    assert [check.name for check in proof.verify(saved_model=copy, quick=True).wrong] == ['assets']
    with pytest.raises(_errors.ProofFailed, match='missing from the folder assets'):
        _publish.publish(copy, _publish.Wish(str(tmp_path / 'shapes')))


@pytest.mark.parametrize('text, problem', [
    ("item { id: 1 name: 'circle'", 'does not parse'), ("item { id: 1 nam: 'circle' }", 'does not parse in line 1'),
    ('', 'has no items'), ("item { id: 1 }", 'no name for the id 1'), ("item { id: 0 name: 'circle' }", 'begin at 1'),
    ("item { id: 1 name: 'circle' } item { id: 1 name: 'square' }", 'two items with the id 1'),
    ("item { id: 5 name: 'hexagon' }", "'hexagon' the id 5, and the detector has 4 classes"),
    (b'\xff\xfe', 'text file')])
@pytest.mark.usefixtures('tf1_behaviour')
def test_one_that_is_not_the_detectors_is_refused(tmp_path, text, problem):
    path = tmp_path / 'labels.pbtxt'
    path.write_bytes(text if isinstance(text, bytes) else text.encode('utf-8'))
    with pytest.raises(_errors.InputRefused, match=problem):
        _labels.read(str(path), _config.read(conftest.SHAPES_CONFIG))


@pytest.mark.parametrize('text', [
    "item { id: 4 name: 'star' }", "item { id: 0 name: 'background' } item { id: 1 display_name: 'Kreis' }"])
@pytest.mark.usefixtures('tf1_behaviour')
def test_one_that_leaves_ids_out_or_names_the_background_is_taken_as_it_is(tmp_path, text):
    path = tmp_path / 'labels.pbtxt'
    path.write_text(text)
    assert _labels.read(str(path), _config.read(conftest.SHAPES_CONFIG)) == text.encode('utf-8')


@pytest.mark.usefixtures('tf1_behaviour')
def test_it_is_refused_before_the_graph_and_the_disk_is_as_it_was(tmp_path):
    with pytest.raises(_errors.InputRefused, match="There is no label map 'missing.pbtxt'"):
        exports.in_process(conftest.SHAPES_CONFIG, conftest.SHAPES, str(tmp_path / 'out'), _observer=Stages(),
                           label_map_path='missing.pbtxt')
    assert os.listdir(str(tmp_path)) == []
