"""Whether a checkpoint can fit a pipeline config, by the names and shapes in its index, before the graph is built.

Building a graph takes seconds. Of what people mix up most, the index alone shows two things: another class count,
and another feature extractor. What it does not settle is left to ``_checkpoint.check_graph``, which looks at every
variable.

Not for: telling of anything else, nor for a config that is not one of the release's own models.
"""
import re
import typing

from od_patch import _errors
from od_patch.checkpoint import _checkpoint

# Feature extractor of a config -> the scope of its variables below ``FeatureExtractor/``. From the sources of the
# releases of 2018 to 2022 (object_detection/models); an extractor that is not here is not judged.
_SCOPES = {
    'ssd_mobilenet_v1': 'MobilenetV1', 'ssd_mobilenet_v1_fpn': 'MobilenetV1', 'ssd_mobilenet_v1_ppn': 'MobilenetV1',
    'embedded_ssd_mobilenet_v1': 'MobilenetV1',
    'ssd_mobilenet_v2': 'MobilenetV2', 'ssd_mobilenet_v2_fpn': 'MobilenetV2',
    'ssd_inception_v2': 'InceptionV2', 'faster_rcnn_inception_v2': 'InceptionV2', 'ssd_inception_v3': 'InceptionV3',
    'faster_rcnn_inception_resnet_v2': 'InceptionResnetV2',
    'ssd_resnet50_v1_fpn': 'resnet_v1_50', 'faster_rcnn_resnet50': 'resnet_v1_50',
    'ssd_resnet101_v1_fpn': 'resnet_v1_101', 'faster_rcnn_resnet101': 'resnet_v1_101',
    'ssd_resnet152_v1_fpn': 'resnet_v1_152', 'faster_rcnn_resnet152': 'resnet_v1_152',
}
_SCOPE = re.compile(r'(?:FirstStage|SecondStage)?FeatureExtractor/([^/]+)/')
# The biases of what predicts the class scores and the boxes of one place of a feature map: of SSD with a predictor for
# each feature map, of SSD with one for all, and of the second stage, which has one box for each proposal.
_PREDICTORS = (
    ('BoxPredictor_0/ClassPredictor/biases', 'BoxPredictor_0/BoxEncodingPredictor/biases'),
    ('WeightSharedConvolutionalBoxPredictor/ClassPredictor/biases',
     'WeightSharedConvolutionalBoxPredictor/BoxPredictor/biases'),
    ('SecondStageBoxPredictor/ClassPredictor/biases', None))


def check(config: typing.Any, inventory: _checkpoint.Inventory) -> None:
    """Refuses a checkpoint that cannot be one of the model that a config describes.

    Args:
        config: ``TrainEvalPipelineConfig``.
        inventory: ``Inventory`` of the checkpoint.

    Raises:
        od_patch.CheckpointMismatch: it is of another feature extractor or another class count.
    """
    kind = config.model.WhichOneof('model')
    if kind not in ('ssd', 'faster_rcnn'):
        return
    model = getattr(config.model, kind)
    cause = _feature_extractor(model, inventory) or _class_count(config, model, inventory)
    if cause:
        raise _errors.CheckpointMismatch(
            'The checkpoint {} does not fit the model of the pipeline config.'.format(inventory.prefix),
            'Likely cause: ' + cause)


def _feature_extractor(model: typing.Any, inventory: _checkpoint.Inventory) -> typing.Optional[str]:
    """In words that another one was trained; None where that is not known."""
    own = _SCOPES.get(model.feature_extractor.type)
    held = {found.group(1) for found in map(_SCOPE.match, inventory.shapes) if found}
    others = held & set(_SCOPES.values())
    if own is None or own in held or not others:
        return None
    return _checkpoint.another_extractor(own, sorted(others)[0])


def _class_count(config: typing.Any, model: typing.Any, inventory: _checkpoint.Inventory) -> typing.Optional[str]:
    """In words that the class counts differ; None where they do not, or cannot be told."""
    if getattr(model, 'number_of_stages', 2) == 1:  # then nothing has a place for each class
        return None
    for classes, boxes in _PREDICTORS:
        shape = inventory.shapes.get(classes)
        if shape is None or len(shape) != 1:
            continue
        anchors = 1
        if boxes is not None:
            sister = inventory.shapes.get(boxes)
            size = _checkpoint.code_size(config)
            if sister is None or len(sister) != 1 or not sister[0] or sister[0] % size:
                return None
            anchors = sister[0] // size
        slots, rest = divmod(shape[0], anchors)
        # Each has a place for the background, but for releases of 2019 on with add_background_class: false.
        background = 1 if getattr(model, 'add_background_class', True) else 0
        if rest or slots <= background or slots == model.num_classes + background:
            return None
        return _checkpoint.counted(model.num_classes, slots - background, classes,
                                   [anchors * (model.num_classes + background)], list(shape)) + _checkpoint.SET_IT
    return None
