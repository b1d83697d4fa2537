"""The label map beside the model: read, checked against the detector, and put among the SavedModel's assets.

Clients find it in ``assets/label_map.pbtxt``, as it was written, comments included, in UTF-8.

Not for: naming what was detected; clients do.
"""
import os

from od_patch import _errors
from od_patch import _tensorflow
from od_patch.config import _config
from od_patch.saved_model import _saved_model
from od_patch.serving import _names

FILE = 'label_map.pbtxt'
_ASSETS = 'saved_model_assets'  # the collection; later releases have a field of MetaGraphDef, and read both


def read(path, pipeline_config):
    """Returns the bytes of a label map that fits a detector.

    Args:
        path: str, a label map in text form (``StringIntLabelMap``).
        pipeline_config: ``TrainEvalPipelineConfig``; None where that is not known.

    Raises:
        od_patch.InputRefused: there is no such file, it does not parse, or it is none of this detector.
    """
    from object_detection.protos import string_int_label_map_pb2
    path = os.fspath(path)
    what = 'The label map {}'.format(path)
    text = _config.read_text(path, 'label map',
                             'Give --label_map_path the .pbtxt file that the detector was trained with.')
    label_map = string_int_label_map_pb2.StringIntLabelMap()
    _config.merge(text, label_map, what, _names.LATER)
    _names.check_items(text, what)
    wrong = _misfit(label_map, _num_classes(pipeline_config))
    if wrong:
        raise _errors.InputRefused('{} {}.'.format(what, wrong),
                                   'Give the label map that the detector was trained with.')
    return text.encode('utf-8')


def changer():
    """Returns a function that declares the label map as an asset of a ``MetaGraphDef``."""
    def add(meta_graph):
        from tensorflow.core.framework import types_pb2
        from tensorflow.core.protobuf import meta_graph_pb2
        tf = _tensorflow.tf1()
        # Loaders feed this tensor with the path that the file has then, so it has to be there, though nobody reads it.
        node = meta_graph.graph_def.node.add(
            name=_saved_model.unused_name(meta_graph.graph_def, 'label_map'), op='Const')
        node.attr['dtype'].type = types_pb2.DT_STRING
        node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(FILE, dtype=tf.string, shape=[]))
        asset = meta_graph_pb2.AssetFileDef(filename=FILE)
        asset.tensor_info.name = node.name + ':0'
        meta_graph.collection_def[_ASSETS].any_list.value.add().Pack(asset)
        meta_graph.collection_def[tf.GraphKeys.ASSET_FILEPATHS].node_list.value.append(node.name + ':0')
        if hasattr(meta_graph, 'asset_file_def'):
            meta_graph.asset_file_def.add().CopyFrom(asset)
    return add


def _num_classes(pipeline_config):
    """Returns how many classes a detector tells apart; None where its config does not say."""
    if pipeline_config is None:
        return None
    model = getattr(pipeline_config.model, pipeline_config.model.WhichOneof('model'))
    return getattr(model, 'num_classes', None)


def _misfit(label_map, num_classes):
    """Returns what keeps a label map from being that of a detector, in words; '' where nothing does.

    Ids count from 1. That some have no item is common: MS COCO names 80 of 90.
    """
    if not label_map.item:
        return 'has no items'
    seen = set()
    for item in label_map.item:
        name = item.display_name or item.name
        if not name:
            return 'has no name for the id {}'.format(item.id)
        if not item.HasField('id'):
            return 'has no id for {!r}'.format(name)
        if item.id < 1 and not (item.id == 0 and name == 'background'):
            return 'gives {!r} the id {}, where ids begin at 1'.format(name, item.id)
        if item.id in seen:
            return 'has two items with the id {}'.format(item.id)
        seen.add(item.id)
        if num_classes is not None and item.id > num_classes:
            return 'gives {!r} the id {}, and the detector has {} classes (num_classes of the pipeline config)'.format(
                name, item.id, num_classes)
    return ''
