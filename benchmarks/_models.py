"""The models that are measured: the tests' small configs, made as large as people train them; and their checkpoints.

Not for: weights that detect anything. The values are random, of the right
size, and written one tensor at a time, so that 3 GiB of them fit any machine.
"""
import collections
import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

Model = collections.namedtuple('Model', ['title', 'config', 'override', 'rounds', 'image', 'runs'])
Model.__doc__ = """One model to measure.

Attributes:
    title: str.
    config: str, name of a config in tests/support/configs.
    override: str, text form of what is merged into it.
    rounds: int, how often everything is measured unless told otherwise.
    image: int, height and width of the image that is fed, in pixels.
    runs: int, how many turns of steady inference a round has.
"""

_NMS = 'batch_non_max_suppression { score_threshold: 0.3 max_detections_per_class: 100 max_total_detections: 100 }'

MODELS = collections.OrderedDict([
    ('ssd_mobilenet_v1', Model('SSD MobileNet v1', 'ssd', '''
        model { ssd { num_classes: 90
            image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
            feature_extractor { depth_multiplier: 1.0 min_depth: 16 }
            post_processing { ''' + _NMS + ' } } }', 5, 300, 20)),
    ('mask_rcnn_inception_v2', Model('Mask R-CNN Inception v2', 'mask_rcnn', '''
        model { faster_rcnn { num_classes: 90
            image_resizer { keep_aspect_ratio_resizer { min_dimension: 256 max_dimension: 320 } }
            first_stage_max_proposals: 20
            second_stage_box_predictor { mask_rcnn_box_predictor {
                mask_height: 15 mask_width: 15 mask_prediction_conv_depth: 256 } }
            second_stage_post_processing { ''' + _NMS + ' } } }', 5, 256, 5)),
    ('faster_rcnn_inception_resnet_v2', Model('Faster R-CNN Inception-ResNet v2', 'faster_rcnn', '''
        model { faster_rcnn { num_classes: 90
            image_resizer { keep_aspect_ratio_resizer { min_dimension: 200 max_dimension: 240 } }
            feature_extractor { type: "faster_rcnn_inception_resnet_v2" }
            first_stage_max_proposals: 4
            initial_crop_size: 17 maxpool_kernel_size: 1 maxpool_stride: 1
            second_stage_post_processing { ''' + _NMS + ' } } }', 3, 200, 3)),
    # Two stages of a ResNet, of which the first has a block that only its training builds.
    ('rfcn_resnet_101', Model('R-FCN ResNet-101', 'rfcn', '''
        model { faster_rcnn { feature_extractor { type: "faster_rcnn_resnet101" } } }''', 3, 200, 3)),
    # MobileNet v1, twelve times as wide: more than protobuf can hold in one message.
    ('synthetic_3_gib', Model('SSD MobileNet v1 x 12.3, 3 GiB', 'ssd', '''
        model { ssd { num_classes: 3
            image_resizer { fixed_shape_resizer { height: 96 width: 96 } }
            feature_extractor { depth_multiplier: 12.3 min_depth: 16 } } }''', 1, 96, 3)),
])


def pipeline(model):
    """Returns the ``TrainEvalPipelineConfig`` of a ``Model``."""
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2
    config = pipeline_pb2.TrainEvalPipelineConfig()
    path = os.path.join(ROOT, 'tests', 'support', 'configs', model.config + '.config')
    with open(path) as config_file:
        text_format.Merge(config_file.read(), config)
    text_format.Merge(model.override, config)
    return config


def build_graph(config):
    """Returns the ``tf.Graph`` that the release's exporter builds of a ``TrainEvalPipelineConfig``."""
    from object_detection import exporter
    from object_detection.builders import model_builder
    from od_patch import _tensorflow
    with _tensorflow.tf1().Graph().as_default() as graph:
        detector = model_builder.build(config.model, is_training=False)
        exporter.build_detection_graph('image_tensor', detector, None, 'inference_op', None)
    return graph


def write_checkpoints(model, folder, steps, with_slots):
    """Writes checkpoints of a model, as a training leaves them; returns facts about them.

    Args:
        model: ``Model``.
        folder: str, gets ``model.ckpt-<step>`` for each.
        steps: list of int, their global steps; the values depend on them.
        with_slots: bool, whether it also holds an optimizer's slots, which are
            no part of an export.

    Returns:
        dict: ``weights``, bytes of the model's variables; ``largest``, bytes of
        the largest; ``variables``, their number.
    """
    import numpy as np
    from object_detection.builders import model_builder
    from od_patch.checkpoint import _bundle_writer
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    with tf.Graph().as_default():
        built = model_builder.build(pipeline(model).model, is_training=False)
        image, shapes = built.preprocess(tf.zeros([1, model.image, model.image, 3]))
        built.postprocess(built.predict(image, shapes), shapes)
        tf.train.get_or_create_global_step()
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        wanted = {name: name for name in variables}
        if with_slots:
            wanted.update((variable.op.name + '/Momentum', variable.op.name) for variable in tf.trainable_variables())

    def value(name, step, noise):
        variable = variables[name]
        shape = variable.get_shape().as_list()
        last = name.split('/')[-1]
        if name == 'global_step':
            return np.array(step, np.int64)
        if last in ('moving_variance', 'gamma'):
            return np.ones(shape, np.float32)
        if last in ('moving_mean', 'beta', 'biases'):
            return 0.01 * np.resize(noise, shape)
        fan_in = shape[0] * shape[1] * (1 if 'depthwise' in last else shape[2]) if len(shape) == 4 else shape[0]
        filled = np.resize(noise, shape)
        filled *= np.float32((2.0 / fan_in) ** 0.5)
        return filled

    def tensors(step):
        noise = np.random.RandomState(step).standard_normal(1 << 20).astype(np.float32)
        for name in sorted(wanted, key=lambda name: name.encode('utf-8')):
            array = value(wanted[name], step, noise)
            dtype = variables[wanted[name]].dtype.base_dtype.as_datatype_enum
            yield name, (_bundle_writer.entry_of(array, dtype), _bundle_writer.pieces_of(array))

    os.makedirs(folder, exist_ok=True)
    for step in steps:
        _bundle_writer.write(os.path.join(folder, 'model.ckpt-{}'.format(step)), tensors(step))
    sizes = [variable.get_shape().num_elements() * variable.dtype.base_dtype.size for variable in variables.values()]
    return {'weights': sum(sizes), 'largest': max(sizes), 'variables': len(sizes)}
