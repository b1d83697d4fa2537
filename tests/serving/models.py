"""SavedModels that run, and a small one for what a detector is too large for.

Not for: the shapes export; that is in ``conftest``.
"""
import io
import os

import numpy
from PIL import Image

from od_patch import _tensorflow
from od_patch.graphs import _models
from od_patch.graphs import _servable
from od_patch.graphs import _sessions
from od_patch.saved_model import _saved_model
from od_patch.serving import _publish
from od_patch.serving import _signatures


def publish(export, base, prepare=None, **wish):
    """Publishes with a wish in keywords; returns ``_publish.Published``."""
    return _publish.publish(export, _publish.PublishRequest(base=str(base), **wish), prepare)


def files(folder):
    """{path below it: bytes} of all files."""
    found = {}
    for place, _, names in os.walk(str(folder)):
        for name in names:
            with open(os.path.join(place, name), 'rb') as file:
                found[os.path.relpath(os.path.join(place, name), str(folder))] = file.read()
    return found


def png(array):
    """The PNG file of an image, uint8 [height, width, 3]."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, 'PNG')
    return stream.getvalue()


def noise(height, width, seed=0):
    return numpy.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype('u1')


def run(saved_model, requests):
    """What a SavedModel answers with the graph optimizations off: list of dict, for [(signature key, batch)]."""
    servable = _servable.Servable(saved_model)
    with _models.loaded(servable, _sessions.unoptimized_config()) as session:
        return [_models.running(session, servable.of(key)).run(batch) for key, batch in requests]


def sums(shape):
    """A ``MetaGraphDef`` that answers with the sum of each image of a batch of this shape."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.uint8, shape, name='image_tensor')
        total = tf.reduce_sum(tf.cast(images, tf.int32), axis=[1, 2, 3], name='total')
        meta_graph = tf.train.export_meta_graph(graph=graph)
        meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(images, {'total': total}))
    meta_graph.meta_info_def.tags.append('serve')
    return meta_graph


def signed(shape):
    """The same, with a signature for encoded images."""
    meta_graph = sums(shape)
    _signatures.changer(_signatures.signature_options(extra=['encoded_image_bytes']))(meta_graph)
    return meta_graph


def write(meta_graph, folder):
    """Writes a SavedModel without variables; returns its folder as str."""
    from tensorflow.core.protobuf import saved_model_pb2
    folder.mkdir(parents=True)
    (folder / 'saved_model.pb').write_bytes(
        saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph]).SerializeToString())
    return str(folder)
