"""The label map: an asset of the SavedModel, the one of this detector and no other."""
import os

import pytest

from od_patch import _errors
from od_patch import proof
from od_patch.export import _observer
from od_patch.graphs import _servable
from od_patch.serving import _labels
from od_patch.serving import _publish
from tests.support import exports
from tests.support import shapes

tensorflow = pytest.importorskip('tensorflow')
from od_patch import _tensorflow  # pylint: disable=wrong-import-position
from od_patch.config import _config  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.xdist_group('serving')


class Stages(_observer.Observer):
    """Fails where an export gets as far as its graph."""

    def stage(self, name):
        assert name == 'checks'


def _read(path):
    with open(path, 'rb') as file:
        return file.read()


def test_it_is_an_asset_and_the_file_that_was_given(full):
    folder = os.path.join(full, 'saved_model')
    assert _read(os.path.join(folder, 'assets', 'label_map.pbtxt')) == _read(shapes.LABEL_MAP)
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
        _publish.publish(copy, _publish.PublishRequest(str(tmp_path / 'shapes')))


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
        _labels.read(str(path), _config.read(shapes.CONFIG))


@pytest.mark.parametrize('text', [
    "item { id: 4 name: 'star' }", "item { id: 0 name: 'background' } item { id: 1 display_name: 'Kreis' }"])
@pytest.mark.usefixtures('tf1_behaviour')
def test_one_that_leaves_ids_out_or_names_the_background_is_taken_as_it_is(tmp_path, text):
    path = tmp_path / 'labels.pbtxt'
    path.write_text(text)
    assert _labels.read(str(path), _config.read(shapes.CONFIG)) == text.encode('utf-8')


@pytest.mark.usefixtures('tf1_behaviour')
def test_it_is_refused_before_the_graph_and_the_disk_is_as_it_was(tmp_path):
    with pytest.raises(_errors.InputRefused, match="There is no label map 'missing.pbtxt'"):
        exports.in_process(shapes.CONFIG, shapes.FOLDER, str(tmp_path / 'out'), _observer=Stages(),
                           label_map_path='missing.pbtxt')
    assert os.listdir(str(tmp_path)) == []


def _items(*pairs):
    from object_detection.protos import string_int_label_map_pb2
    label_map = string_int_label_map_pb2.StringIntLabelMap()
    for number, name in pairs:
        label_map.item.add(id=number, name=name)
    return label_map


@pytest.mark.parametrize('pairs, num_classes, wrong', [
    ([(1, 'a')], 1, ''), ([(1, 'a')], None, ''), ([(2, 'a')], 1, "gives 'a' the id 2, and the detector has 1 classes"),
    ([(900, 'a')], None, ''), ([(4, 'a'), (2, 'b')], 4, ''), ([(0, 'background'), (1, 'a')], 1, ''),
    ([(0, 'Background')], 1, 'where ids begin at 1'), ([(-1, 'background')], 1, "gives 'background' the id -1"),
    ([(1, 'a'), (2, 'b'), (1, 'c')], 4, 'has two items with the id 1'), ([(1, 'a'), (2, 'a')], 2, ''),
    ([(0, 'background'), (0, 'background')], 1, 'has two items with the id 0'), ([], 4, 'has no items'),
    ([(1, 'a'), (2, '')], 4, 'has no name for the id 2')])
@pytest.mark.usefixtures('tf1_behaviour')
def test_what_keeps_a_label_map_from_being_the_detectors(pairs, num_classes, wrong):
    found = _labels._misfit(_items(*pairs), num_classes)
    assert (wrong in found) if wrong else found == ''


@pytest.mark.usefixtures('tf1_behaviour')
def test_an_item_without_id_is_told_apart_from_one_with_0():
    items = _items((0, 'background'), (1, 'a'))
    assert _labels._misfit(items, 4) == ''
    items.item.add(name='b')
    assert _labels._misfit(items, 4) == "has no id for 'b'"


@pytest.mark.usefixtures('tf1_behaviour')
def test_how_many_classes_a_detector_has_is_in_its_config():
    from object_detection.protos import pipeline_pb2
    for architecture in ('ssd', 'faster_rcnn'):
        config = pipeline_pb2.TrainEvalPipelineConfig()
        getattr(config.model, architecture).num_classes = 7
        assert _labels._num_classes(config) == 7
    assert _labels._num_classes(None) is None


@pytest.mark.parametrize('taken, name', [([], 'label_map'), (['label_map'], 'label_map_1'),
                                         (['label_map/x'], 'label_map_1'), (['label_maps'], 'label_map')])
def test_the_asset_is_declared_in_every_way_that_loaders_look_for(taken, name):
    from tensorflow.core.protobuf import meta_graph_pb2
    meta_graph = meta_graph_pb2.MetaGraphDef()
    for other in taken:
        meta_graph.graph_def.node.add(name=other, op='NoOp')
    _labels.changer()(meta_graph)
    node, = [node for node in meta_graph.graph_def.node if node.op == 'Const']
    assert node.name == name and node.attr['dtype'].type == 7
    assert node.attr['value'].tensor.string_val == [b'label_map.pbtxt']
    asset = meta_graph_pb2.AssetFileDef()
    packed, = meta_graph.collection_def['saved_model_assets'].any_list.value
    assert packed.Unpack(asset) and (asset.filename, asset.tensor_info.name) == ('label_map.pbtxt', name + ':0')
    assert list(meta_graph.asset_file_def) == [asset]
    assert list(meta_graph.collection_def['asset_filepaths'].node_list.value) == [name + ':0']
