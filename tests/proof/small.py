"""An export of a detector with two variables, made by TensorFlow alone in a second: what verify says of it is real.

Not for: what exports really look like; ``conftest.exported`` makes those.
"""
import os

import numpy as np

from tests.support import checkpoints

WEIGHTS = np.arange(6, dtype='f4').reshape(2, 3) / 7
BIAS = np.array([0.25, 0.5], 'f4')


def export(folder, values=None, averages=None, shape=(None, None, None, 3)):
    """Writes saved_model, frozen_inference_graph.pb and model.ckpt into ``folder``, and its parent's trained.ckpt.

    Args:
        folder: str, is made; values: dict of 'weights' and 'bias' that the export has.
        averages: dict of the same, or None: moving averages in the trained checkpoint, beside the values.
        shape: of the input.

    Returns:
        (the folder, the prefix of the trained checkpoint).
    """
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    values = dict({'weights': WEIGHTS, 'bias': BIAS}, **(values or {}))
    with tf.Graph().as_default() as graph, tf.Session() as session:
        image = tf.placeholder(tf.uint8, list(shape), name='image_tensor')
        with tf.variable_scope('', use_resource=False):
            weights = tf.get_variable('weights', initializer=values['weights'])
            bias = tf.get_variable('bias', initializer=values['bias'])
        session.run(tf.global_variables_initializer())
        seen = tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]) / 255  # one row an image, three columns
        sure = tf.sigmoid(tf.matmul(seen, weights, transpose_b=True) + bias)
        corner = tf.expand_dims(sure, 2) * 0.25
        tf.concat([corner, corner, corner + 0.25, corner + 0.5], 2, name='detection_boxes')
        tf.identity(sure, name='detection_scores')
        tf.identity(tf.zeros_like(sure) + [1., 2.], name='detection_classes')
        tf.identity(tf.zeros_like(sure[:, 0]) + 2, name='num_detections')
        outputs = ['detection_boxes', 'detection_scores', 'detection_classes', 'num_detections']
        tf.saved_model.simple_save(session, os.path.join(folder, 'saved_model'), {'inputs': image}, {
            name: graph.get_tensor_by_name(name + ':0') for name in outputs})
        frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), outputs)
        with open(os.path.join(folder, 'frozen_inference_graph.pb'), 'wb') as file:
            file.write(frozen.SerializeToString())
    checkpoints.write_v2(os.path.join(folder, 'model.ckpt'), values)
    trained = os.path.join(os.path.dirname(folder), 'trained.ckpt')
    raw = dict({'weights': WEIGHTS, 'bias': BIAS}, global_step=np.int64(7))
    raw.update({name + '/ExponentialMovingAverage': value for name, value in (averages or {}).items()})
    checkpoints.write_v2(trained, raw)
    return folder, trained
