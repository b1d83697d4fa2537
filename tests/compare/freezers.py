"""Trains nothing, and freezes one small network by what the TensorFlow at hand has: ``python freezers.py FOLDER``.

FOLDER gets NAME.pb of each tool. Pythons run this that have TensorFlow 1.4 to 1.15 and numpy, and nothing else; where tf2onnx
is installed, what it freezes is among them. The network and its weights are the same under each.

Not for: TensorFlow 2's own tools; ``test_freezing_tools`` has those.
"""
import os
import sys

import numpy as np

OUTPUTS = ['detection_boxes', 'detection_scores']


def network(tf):
    """Builds convolution, batch norm, an Assert and a loop in the default graph; returns (input, boxes, scores)."""
    drawn = np.random.RandomState(1)
    resource = {'use_resource': False} if hasattr(tf, 'enable_resource_variables') else {}

    def variable(name, *shape):
        return tf.get_variable(name, initializer=drawn.normal(.2, .3, shape).astype('f4'), **resource)
    x = image = tf.placeholder(tf.float32, [None, 8, 8, 3], name='image_tensor')
    x = tf.nn.conv2d(x, variable('conv/weights', 3, 3, 3, 4), [1, 1, 1, 1], 'SAME', name='conv/Conv2D')
    x = tf.nn.fused_batch_norm(x, variable('bn/gamma', 4), variable('bn/beta', 4), variable('bn/mean', 4),
                               tf.abs(variable('bn/variance', 4)) + .5, is_training=False)[0]
    x = tf.nn.relu6(tf.nn.bias_add(x, variable('bias', 4)))
    with tf.control_dependencies([tf.Assert(tf.greater(tf.shape(x)[0], 0), ['images'], name='check')]):
        x = tf.identity(x)
    x = tf.while_loop(lambda turn, _: turn < 2, lambda turn, x: (turn + 1, x * .5 + 1.), [tf.constant(0), x])[1]
    return image, tf.reshape(x, [-1, 64, 4], name=OUTPUTS[0]), tf.sigmoid(tf.reduce_mean(x, [1, 2]), name=OUTPUTS[1])


def save(tf, folder):
    """Writes model.ckpt, graph.pbtxt and saved_model."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        image, boxes, scores = network(tf)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, os.path.join(folder, 'model.ckpt'))
        tf.train.write_graph(graph.as_graph_def(), folder, 'graph.pbtxt')
        builder = tf.saved_model.builder.SavedModelBuilder(os.path.join(folder, 'saved_model'))
        info = tf.saved_model.utils.build_tensor_info
        builder.add_meta_graph_and_variables(session, ['serve'], {'serving_default': (
            tf.saved_model.signature_def_utils.build_signature_def(
                {'inputs': info(image)}, dict(zip(OUTPUTS, map(info, (boxes, scores)))),
                'tensorflow/serving/predict'))})
        builder.save()


def by_the_script(tf, folder, **given):
    """Freezes with ``freeze_graph``; returns the bytes of the graph."""
    from tensorflow.python.tools import freeze_graph
    arguments = dict(input_graph='', input_saver='', input_binary=False, input_checkpoint='',
                     output_node_names=','.join(OUTPUTS), restore_op_name='', filename_tensor_name='',
                     output_graph=os.path.join(folder, 'out.pb'), clear_devices=True, initializer_nodes='')
    with tf.Graph().as_default():  # it imports into the graph at hand
        freeze_graph.freeze_graph(**dict(arguments, **given))
    with open(arguments['output_graph'], 'rb') as file:
        return file.read()


def of_checkpoint(tf, folder):
    return by_the_script(tf, folder, input_graph=os.path.join(folder, 'graph.pbtxt'),
                         input_checkpoint=os.path.join(folder, 'model.ckpt'))


def of_meta_graph(tf, folder):
    return by_the_script(tf, folder, input_meta_graph=os.path.join(folder, 'model.ckpt.meta'), input_binary=True,
                         input_checkpoint=os.path.join(folder, 'model.ckpt'))


def of_saved_model(tf, folder):
    return by_the_script(tf, folder, input_saved_model_dir=os.path.join(folder, 'saved_model'))


def in_a_session(tf, folder):
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.train.import_meta_graph(os.path.join(folder, 'model.ckpt.meta')).restore(
            session, os.path.join(folder, 'model.ckpt'))
        return tf.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), OUTPUTS).SerializeToString()


def by_tf2onnx(tf, folder):
    """What tf2onnx converts: frozen, and rewritten by Grappler."""
    from tf2onnx import tf_loader
    return tf_loader.from_checkpoint(os.path.join(folder, 'model.ckpt.meta'), ['image_tensor:0'],
                                     [name + ':0' for name in OUTPUTS])[0].SerializeToString()


TOOLS = {'freeze_graph, checkpoint': of_checkpoint, 'freeze_graph, MetaGraph': of_meta_graph,
         'freeze_graph, SavedModel': of_saved_model, 'graph_util': in_a_session}


def main(folder):
    import tensorflow as tf
    tf = getattr(getattr(tf, 'compat', None), 'v1', tf)
    if hasattr(tf, 'disable_control_flow_v2'):
        tf.disable_control_flow_v2()  # loops as the graphs of the OD API have them
    save(tf, folder)
    made = dict(TOOLS)
    try:
        import tf2onnx  # noqa: F401
        made['tf2onnx'] = by_tf2onnx
    except ImportError:
        pass
    for name in sorted(made):
        with open(os.path.join(folder, name + '.pb'), 'wb') as file:
            file.write(made[name](tf, folder))


if __name__ == '__main__':
    main(sys.argv[1])
