"""Small graphs for the tests of compare, built by TensorFlow itself and small enough to be changed thousands of times.

Not for: standing in for exports; ``test_real_pairs`` makes those.
"""
import functools

import numpy as np

from od_patch import _tensorflow
from od_patch.graphs import _sessions
from od_patch.graphs import _sources

try:
    _tensorflow.tf1().disable_control_flow_v2()  # frozen graphs of the OD API have Enter, Merge and Exit
except AttributeError:
    pass  # TensorFlow 1.12 has nothing else

OUTPUTS = ('detection_boxes', 'detection_scores', 'num_detections')


@functools.lru_cache(maxsize=None)
def detector_bytes(seed=0):
    """Serialized frozen graph of a tiny detector: convolutions, batch norm, a loop over images, NMS, an Assert."""
    tf = _tensorflow.tf1()
    random = np.random.RandomState(seed)
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.uint8, [None, None, None, 3], name='image_tensor')

        def frozen(name, *shape):
            value = random.normal(0.1, 0.3, shape).astype('f4')
            return tf.identity(tf.constant(value, name=name), name=name + '/read')
        with tf.name_scope('Preprocessor'):
            resized = tf.image.resize_bilinear(tf.cast(image, tf.float32), [12, 12])
            x = tf.subtract(tf.multiply(resized, 2.0 / 255), 1.0)
        with tf.name_scope('FeatureExtractor'):
            x = tf.nn.conv2d(x, frozen('conv/weights', 3, 3, 3, 8), strides=[1, 2, 2, 1], padding='SAME')
            x = tf.nn.fused_batch_norm(x, frozen('bn/gamma', 8), frozen('bn/beta', 8), frozen('bn/mean', 8),
                                       tf.abs(frozen('bn/variance', 8)) + 0.5, is_training=False)[0]
            x = tf.nn.relu6(x)
        with tf.name_scope('BoxPredictor'):
            box = tf.nn.bias_add(tf.nn.conv2d(x, frozen('box/weights', 1, 1, 8, 4), strides=[1, 1, 1, 1],
                                              padding='SAME'), frozen('box/biases', 4))
            score = tf.nn.bias_add(tf.nn.conv2d(x, frozen('class/weights', 1, 1, 8, 1), strides=[1, 1, 1, 1],
                                                padding='SAME'), frozen('class/biases', 1))
            boxes = tf.reshape(box, [-1, 36, 4])
            scores = tf.reshape(tf.sigmoid(score), [-1, 36])
        with tf.name_scope('Postprocessor'):
            check = tf.Assert(tf.equal(tf.shape(boxes)[1], 36), ['boxes'], name='check')

            def one(rows):
                chosen = tf.image.non_max_suppression(rows[0], rows[1], 7, iou_threshold=0.6)
                chosen = tf.concat([chosen, tf.zeros([7 - tf.shape(chosen)[0]], tf.int32)], 0)
                return tf.gather(rows[0], chosen), tf.gather(rows[1], chosen)
            with tf.control_dependencies([check]):
                boxes = tf.identity(boxes)
            best, sure = tf.map_fn(one, (boxes, scores), dtype=(tf.float32, tf.float32))
        tf.identity(best, name='detection_boxes')
        tf.identity(sure, name='detection_scores')
        tf.reduce_sum(tf.cast(tf.greater(sure, 0.5), tf.float32), axis=1, name='num_detections')
        graph_def = tf.graph_util.extract_sub_graph(graph.as_graph_def(), list(OUTPUTS))
    graph_def.ClearField('versions')
    return graph_def.SerializeToString()


def detector(seed=0):
    """A fresh ``GraphDef`` of the tiny detector."""
    return parsed(detector_bytes(seed))


def parsed(data):
    """The ``GraphDef`` in bytes."""
    from tensorflow.core.framework import graph_pb2
    return graph_pb2.GraphDef.FromString(data)


def graph_of(graph_def, outputs=None):
    """The ``Graph`` of a GraphDef that is not in a file."""
    return _sources.Source('a graph', 'graph.pb', 'frozen graph', graph_def).graph(outputs)


def write(path, graph_def):
    """Writes a GraphDef and returns the path as str."""
    with open(str(path), 'wb') as file:
        file.write(graph_def.SerializeToString())
    return str(path)


def run(graph_def, outputs, feeds):
    """Values of outputs, graph optimizers off."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name='')
        with tf.Session(graph=graph, config=_sessions.unoptimized_config()) as session:
            return session.run([name if ':' in name else name + ':0' for name in outputs],
                               {name + ':0': value for name, value in feeds.items()})


def equal(one, other):
    """Whether two lists of arrays are the same in number, type, shape and every bit."""
    return len(one) == len(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one, other))


def image(seed=0):
    """A made-up uint8 image, batch of one."""
    return np.random.RandomState(seed).randint(0, 255, (1, 16, 20, 3)).astype('u1')


def built(function):
    """The GraphDef that ``function(tf)`` builds; what it returns is made the output ``result``."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        tf.identity(function(tf), name='result')
        return graph.as_graph_def()
