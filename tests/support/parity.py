"""Compares exports: frozen graphs in canonical form, and outputs bit for bit.

Sessions here run with Grappler and the graph optimizers off: with them on, TF
folds constants where a frozen graph has them and cannot where there are
variables, and the last bits differ.

Not for: making exports; that is ``exports``.
"""
import contextlib
import io
import os

import numpy as np

from od_patch import _tensorflow
from od_patch.graphs._sessions import unoptimized_config


def read_frozen_graph(export):
    """Returns the ``GraphDef`` of an export's frozen graph."""
    tf = _tensorflow.tf1()
    graph_def = tf.GraphDef()
    with open(os.path.join(export, 'frozen_inference_graph.pb'), 'rb') as graph_file:
        graph_def.ParseFromString(graph_file.read())
    return graph_def


def assert_same_graph(one, other):
    """Asserts that two ``GraphDef``s differ at most in the order of nodes and of map entries."""
    mine, theirs = ({node.name: node.SerializeToString(deterministic=True) for node in graph_def.node}
                    for graph_def in (one, other))
    different = sorted(name for name in set(mine) | set(theirs) if mine.get(name) != theirs.get(name))
    assert not different, '{} nodes differ: {} …'.format(len(different), different[:5])
    assert one.versions == other.versions and one.library == other.library


def structure(graph_def):
    """Returns {node: (op, inputs)}."""
    return {node.name: (node.op, list(node.input)) for node in graph_def.node}


def run_frozen_graph(graph_def, signature, feed):
    """Returns {output key: array} of a frozen graph, run on ``feed`` ({input key: array}).

    Args:
        graph_def: ``GraphDef``.
        signature: ``SignatureDef`` that names its tensors.
        feed: dict.
    """
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session(config=unoptimized_config()) as session:
        tf.import_graph_def(graph_def, name='')
        return _run(session, signature, feed)


def run_saved_model(saved_model_path, feed):
    """Returns ({output key: array}, ``SignatureDef``) of a SavedModel, run on ``feed``."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session(config=unoptimized_config()) as session:
        meta_graph = tf.saved_model.loader.load(session, ['serve'], saved_model_path)
        signature = meta_graph.signature_def['serving_default']
        return _run(session, signature, feed), signature


@contextlib.contextmanager
def without_grappler():
    """On TensorFlow 2, a context in which functions, such as a loaded signature, are run as they were written."""
    import tensorflow
    before = tensorflow.config.optimizer.get_experimental_options().get('disable_meta_optimizer', False)
    tensorflow.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
    try:
        yield
    finally:
        tensorflow.config.optimizer.set_experimental_options({'disable_meta_optimizer': before})


def read_meta_graph(saved_model_path):
    """Returns the one ``MetaGraphDef`` of a SavedModel."""
    from tensorflow.core.protobuf import saved_model_pb2
    with open(os.path.join(saved_model_path, 'saved_model.pb'), 'rb') as model_file:
        saved_model = saved_model_pb2.SavedModel.FromString(model_file.read())
    assert len(saved_model.meta_graphs) == 1
    return saved_model.meta_graphs[0]


def read_meta_graph_file(export):
    """Returns the ``MetaGraphDef`` of an export's ``model.ckpt.meta``."""
    tf = _tensorflow.tf1()
    with open(os.path.join(export, 'model.ckpt.meta'), 'rb') as meta_file:
        return tf.MetaGraphDef.FromString(meta_file.read())


def _run(session, signature, feed):
    keys = sorted(signature.outputs)
    values = session.run([signature.outputs[key].name for key in keys],
                         {signature.inputs[key].name: value for key, value in feed.items()})
    return dict(zip(keys, values))


def assert_bit_equal(one, other):
    """Asserts that two {key: array} have the same keys and the same bits."""
    assert sorted(one) == sorted(other)
    for key in sorted(one):
        assert one[key].dtype == other[key].dtype and one[key].shape == other[key].shape, key
        assert one[key].tobytes() == other[key].tobytes(), '{} differs by up to {}'.format(
            key, np.abs(one[key].astype(np.float64) - other[key].astype(np.float64)).max())


def pictures(count, height=72, width=88, seed=5):
    """Returns uint8 [count, height, width, 3]: coloured rectangles on noise."""
    random = np.random.RandomState(seed)
    images = random.randint(0, 60, size=(count, height, width, 3)).astype(np.uint8)
    for image in images:
        for _ in range(4):
            top, left = random.randint(0, height - 20), random.randint(0, width - 20)
            image[top:top + 20, left:left + 20] = random.randint(60, 256, size=3)
    return images


def feed_for(input_type, images):
    """Returns the value to feed to the placeholder of an input type, for uint8 images [batch, height, width, 3]."""
    if input_type == 'image_tensor':
        return images
    encoded = [_png(image) for image in images]
    if input_type == 'encoded_image_string_tensor':
        return np.array(encoded, dtype=object)
    tf = _tensorflow.tf1()
    return np.array([tf.train.Example(features=tf.train.Features(feature={
        'image/encoded': tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])),
        'image/format': tf.train.Feature(bytes_list=tf.train.BytesList(value=[b'png'])),
    })).SerializeToString() for content in encoded], dtype=object)


def _png(image):
    from PIL import Image
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'PNG')
    return stream.getvalue()
