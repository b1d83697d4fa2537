"""Small whole files of every kind that od-patch reads, made by TensorFlow: what the mutation campaign damages.

Not for: damaging them; that is ``mutators``.
"""
import json
import os
import shutil

import numpy as np

from tests.compare import graphs
from tests.support import checkpoints
from tests.support import shapes

_OUTPUTS = graphs.OUTPUTS


def make(folder):
    """Writes all of them below ``folder``: see ``tools.faults.mutations.READERS`` for what reads which."""
    from google.protobuf import text_format
    from od_patch import _tensorflow
    from od_patch.saved_model import _saved_model
    from tensorflow.core.protobuf import saved_model_pb2
    tf = _tensorflow.tf1()
    frozen = graphs.detector()
    graphs.write(os.path.join(folder, 'frozen.pb'), frozen)
    with open(os.path.join(folder, 'frozen.pbtxt'), 'w') as text:
        text.write(text_format.MessageToString(frozen))

    constant = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = constant.meta_graphs.add()
    meta_graph.graph_def.CopyFrom(frozen)
    meta_graph.meta_info_def.tags.append('serve')
    signature = meta_graph.signature_def['serving_default']
    signature.method_name = 'tensorflow/serving/predict'
    signature.inputs['inputs'].name = 'image_tensor:0'
    for name in _OUTPUTS:
        signature.outputs[name].name = name + ':0'
    os.mkdir(os.path.join(folder, 'constant'))
    with open(os.path.join(folder, 'constant', 'saved_model.pb'), 'wb') as model_file:
        model_file.write(constant.SerializeToString())

    with tf.Graph().as_default() as graph, tf.Session() as session:
        image = tf.placeholder(tf.uint8, [None, 8, 8, 3], name='image_tensor')
        weights = tf.get_variable('FeatureExtractor/conv/weights', [3, 3, 3, 4], use_resource=False)
        bias = tf.get_variable('FeatureExtractor/conv/biases', [4], use_resource=False)
        tf.train.get_or_create_global_step()
        x = tf.nn.conv2d(tf.cast(image, tf.float32), weights, strides=[1, 1, 1, 1], padding='SAME')
        x = tf.nn.relu6(x + bias)
        boxes = tf.identity(tf.reshape(x, [-1, 64, 4]), name='detection_boxes')
        scores = tf.identity(tf.reduce_sum(boxes, -1), name='detection_scores')
        session.run(tf.global_variables_initializer())
        os.mkdir(os.path.join(folder, 'training'))
        prefix = os.path.join(folder, 'training', 'model.ckpt-7')
        tf.train.Saver().save(session, prefix, latest_filename='checkpoint')
        for kind in (_saved_model.RESOURCE, _saved_model.REFERENCE):
            _saved_model.write(os.path.join(folder, kind), graph, image, {
                'detection_boxes': boxes, 'detection_scores': scores}, prefix, kind=kind,
                extra_assets={'od_patch.json': _record(prefix)})
        _write_export(os.path.join(folder, 'export'), os.path.join(folder, _saved_model.RESOURCE), prefix, session)
    values = {'layer_{}/weights'.format(i): np.random.RandomState(i).rand(i % 4 + 1, 3).astype('f4') for i in range(40)}
    values['global_step'] = np.int64(7)
    for form, shards in (('sharded', 3), ('single', 1)):
        os.mkdir(os.path.join(folder, form))
        checkpoints.write_v2(os.path.join(folder, form, 'model.ckpt-7'), values, shards)
    os.mkdir(os.path.join(folder, 'v1'))
    checkpoints.write_v1(os.path.join(folder, 'v1', 'model.ckpt-7'), values)
    shutil.copy(shapes.CONFIG, os.path.join(folder, 'pipeline.config'))


def _record(prefix):
    return json.dumps({
        'format': 1, 'od_patch': '0', 'exporter': 'none', 'tensorflow': '0', 'checkpoint': prefix,
        'checkpoint_format': 'V2', 'global_step': 7, 'moving_averages': False, 'sha256': {}}, indent=2).encode('utf-8')


def _write_export(export, saved_model, prefix, session):
    """Writes what an export directory holds, of the graph of ``session``."""
    from od_patch import _tensorflow
    from od_patch.graphs import _sources
    from PIL import Image
    tf = _tensorflow.tf1()
    os.mkdir(export)
    shutil.copytree(saved_model, os.path.join(export, 'saved_model'))
    tf.train.Saver().save(session, os.path.join(export, 'model.ckpt'))
    graph_def, _, _ = _sources.frozen_saved_model(saved_model)
    graphs.write(os.path.join(export, 'frozen_inference_graph.pb'), graph_def)
    shutil.copy(shapes.CONFIG, os.path.join(export, 'pipeline.config'))
    os.mkdir(os.path.join(export, 'images'))
    for name in ('drawing.png', 'drawing.jpg', 'drawing.bmp', 'drawing.gif'):
        Image.fromarray(np.random.RandomState(3).randint(0, 255, (24, 32, 3)).astype('u1')).save(
            os.path.join(export, 'images', name))
