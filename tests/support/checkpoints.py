"""Writes small random checkpoints of a pipeline config, in all the forms that trainings leave them in.

Run as a program, because building a model of the Object Detection API leaves
global state behind: ``python -m tests.support.checkpoints CONFIG FOLDER [FORM…]``. The
forms hold the same values, so that exports of them can be compared.

Not for: trained weights; ``examples/shapes`` has those.
"""
import os
import sys

import numpy as np

CONTEXT = (16, 8)  # features of other images, and numbers in each, for Context R-CNN
FORMS = ('plain', 'training', 'v1', 'v1_training', 'sharded')


def values_of_model(config, seed=0):
    """Returns {name: array} for the variables of a config's inference graph.

    Batch norms get moving statistics that are not those of an untrained one, so
    that mixing up two of them changes the outputs.

    Args:
        config: ``TrainEvalPipelineConfig``.
        seed: int.
    """
    from object_detection.builders import graph_rewriter_builder
    from object_detection.builders import model_builder
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    random = np.random.RandomState(seed)
    with tf.Graph().as_default():
        tf.set_random_seed(seed)
        model = model_builder.build(config.model, is_training=False)
        image, shapes = model.preprocess(tf.zeros([1, 96, 96, 3]))
        model.postprocess(model.predict(image, shapes, **_side_inputs(config)), shapes)
        tf.train.get_or_create_global_step()
        if config.HasField('graph_rewriter'):
            graph_rewriter_builder.build(config.graph_rewriter, is_training=False)()
        variables = tf.global_variables()
        trainable = [variable.op.name for variable in tf.trainable_variables()]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            drawn = dict(zip([variable.op.name for variable in variables], session.run(variables)))
    values = {}
    for name in sorted(drawn):
        value = drawn[name]
        noise = random.standard_normal(value.shape)
        last = name.split('/')[-1]
        residual = 'resnet' in name
        if name == 'global_step':
            value = np.int64(1234)
        elif last == 'moving_variance':
            # The first layer of a ResNet sees pixels from 0 to 255, the first of the others from -1 to 1.
            value = (0.5 + np.abs(noise)) * (1e4 if residual and '/conv1/' in name and '/unit_' not in name else 1)
        elif residual and '/conv3/BatchNorm/gamma' in name:
            value = 0.1 * value  # or every block adds to the sum, and the scores saturate
        elif last == 'moving_mean':
            value = 0.3 * noise
        elif last == 'min':
            value = -1 - np.abs(noise)
        elif last == 'max':
            value = 3 + np.abs(noise)
        elif last in ('weights', 'depthwise_weights', 'kernel'):
            # In proportion, or the scores of a deep network saturate, and then they are the same for other weights, too.
            value = value * (1 + 0.1 * noise)
        else:
            value = value + 0.05 * noise
        values[name] = np.asarray(value, drawn[name].dtype)
    return values, trainable


def _side_inputs(config):
    """What a model takes beside the images, dict of tensors: Context R-CNN's features of other images."""
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    model = getattr(config.model, config.model.WhichOneof('model'))
    if 'context_config' not in model.DESCRIPTOR.fields_by_name or not model.HasField('context_config'):
        return {}
    return {'context_features': tf.zeros([1, CONTEXT[0], CONTEXT[1]]), 'valid_context_size': tf.constant([1], tf.int32)}


def with_training_state(values, trainable, seed=1):
    """Returns ``values`` with what a training adds: moving averages that differ from the weights, optimizer slots."""
    random = np.random.RandomState(seed)
    state = dict(values)
    for name in trainable:
        noise = random.standard_normal(values[name].shape).astype(values[name].dtype)
        state[name + '/ExponentialMovingAverage'] = values[name] * (1 + np.asarray(0.1, values[name].dtype) * noise)
        state[name + '/Momentum'] = noise
    return state


def write_v2(prefix, values, num_shards=1):
    """Writes a V2 checkpoint, in as many data files as asked for."""
    from od_patch import _tensorflow
    from tensorflow.python.ops import gen_io_ops
    tf = _tensorflow.tf1()
    names = sorted(values)
    with tf.Graph().as_default(), tf.Session() as session:
        parts = []
        for shard in range(num_shards):
            part = '{}_part_{}'.format(prefix, shard)
            mine = names[shard::num_shards]
            placeholders = [tf.placeholder(values[name].dtype, values[name].shape) for name in mine]
            session.run(gen_io_ops.save_v2(part, mine, [''] * len(mine), placeholders),
                        {placeholder: values[name] for placeholder, name in zip(placeholders, mine)})
            parts.append(part)
        session.run(gen_io_ops.merge_v2_checkpoints(parts, prefix))


def write_v1(path, values):
    """Writes a V1 checkpoint: one file."""
    from od_patch import _tensorflow
    from tensorflow.python.ops import gen_io_ops
    tf = _tensorflow.tf1()
    names = sorted(values)
    with tf.Graph().as_default(), tf.Session() as session:
        placeholders = [tf.placeholder(values[name].dtype, values[name].shape) for name in names]
        session.run(gen_io_ops.save(path, names, placeholders),
                    {placeholder: values[name] for placeholder, name in zip(placeholders, names)})


def write_forms(config_path, folder, *forms):
    """Writes some of ``FORMS``, default all, below ``folder``: plain/model.ckpt-1234 and so on."""
    from od_patch import legacy
    with legacy.on(), legacy.tf1_behaviour():
        _write_forms(config_path, folder, forms or FORMS)


def _write_forms(config_path, folder, forms):
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2
    config = pipeline_pb2.TrainEvalPipelineConfig()
    with open(config_path) as config_file:
        text_format.Merge(config_file.read(), config)
    values, trainable = values_of_model(config)
    for form in forms:
        os.makedirs(os.path.join(folder, form), exist_ok=True)
        prefix = prefix_of(folder, form)
        held = with_training_state(values, trainable) if 'training' in form else values
        if form.startswith('v1'):
            write_v1(prefix, held)
        else:
            write_v2(prefix, held, num_shards=3 if form == 'sharded' else 1)


# The layers that read the images, and into how many channels the first half of one makes each: MobileNet's, Inception's.
_FIRST_LAYERS = {'MobilenetV1/Conv2d_0/weights': 1, 'InceptionV2/Conv2d_1a_7x7/depthwise_weights': 1,
                 'InceptionV2/Conv2d_1a_7x7/pointwise_weights': 8}


def write_with_channels(prefix, folder, channels):
    """Writes the plain form of a model of images with so many channels: another's, its first layers repeated or cut."""
    from od_patch import _tensorflow
    reader = _tensorflow.tf1().train.NewCheckpointReader(prefix)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    for name in values:
        for layer, times in _FIRST_LAYERS.items():
            if name.endswith(layer):
                values[name] = np.resize(np.moveaxis(values[name], 2, 0), (channels * times,) + tuple(
                    np.delete(values[name].shape, 2))).transpose(1, 2, 0, 3)
    os.makedirs(os.path.join(folder, 'plain'))
    write_v2(prefix_of(folder, 'plain'), values)


def prefix_of(folder, form):
    """Returns the checkpoint prefix of one form."""
    return os.path.join(folder, form, 'model.ckpt-1234')


def main():
    write_forms(*sys.argv[1:])


if __name__ == '__main__':
    main()
