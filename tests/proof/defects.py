"""Defects, planted into a copy of an export: each a function of the folder, and what verify must name.

Not for: damage at random; these are the ways in which exports really go wrong.
"""
import collections
import contextlib
import os
import shutil

import numpy as np

from od_patch.graphs import _freezing
from tests.support import checkpoints
from tests.support import shapes

Defect = collections.namedtuple('Defect', ['plant', 'part', 'name', 'words'])
WEIGHT = 'FeatureExtractor/MobilenetV1/Conv2d_3_pointwise/weights'


@contextlib.contextmanager
def saved_model(export):
    """Context: the one ``MetaGraphDef`` of an export's SavedModel; what is done to it is written back."""
    from tensorflow.core.protobuf import saved_model_pb2
    path = os.path.join(export, 'saved_model', 'saved_model.pb')
    with open(path, 'rb') as file:
        parsed = saved_model_pb2.SavedModel.FromString(file.read())
    yield parsed.meta_graphs[0]
    with open(path, 'wb') as file:
        file.write(parsed.SerializeToString())


@contextlib.contextmanager
def frozen_graph(export):
    """Context: the frozen ``GraphDef``; what is done to it is written back."""
    from tensorflow.core.framework import graph_pb2
    path = os.path.join(export, 'frozen_inference_graph.pb')
    with open(path, 'rb') as file:
        parsed = graph_pb2.GraphDef.FromString(file.read())
    yield parsed
    with open(path, 'wb') as file:
        file.write(parsed.SerializeToString())


@contextlib.contextmanager
def bundle(prefix):
    """Context: {name: array} of a checkpoint; what is done to it is written back, with checksums that are right."""
    reader = _freezing.reader(prefix, prefix)
    values = {name: np.array(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}
    yield values
    checkpoints.write_v2(prefix, values)


def variables(export):
    return os.path.join(export, 'saved_model', 'variables', 'variables')


def node_of(graph_def, name):
    return next(node for node in graph_def.node if node.name == name)


def flip(path, position):
    """Changes one bit of the byte at ``position``, which may be counted from the end or a fraction of the size."""
    with open(path, 'r+b') as file:
        size = os.path.getsize(path)
        file.seek(int(position * size) if isinstance(position, float) else position % size)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))


def cut(path, keep):
    with open(path, 'r+b') as file:
        file.truncate(int(os.path.getsize(path) * keep))


def wrong_weight_in_the_saved_model(export):
    with bundle(variables(export)) as values:
        values[WEIGHT].reshape(-1)[7] += 0.5


def one_bit_in_the_saved_model(export):
    with bundle(variables(export)) as values:
        values[WEIGHT].view(np.uint32).reshape(-1)[7] ^= 1


def wrong_weight_in_the_frozen_graph(export):
    with frozen_graph(export) as graph_def:
        tensor = node_of(graph_def, WEIGHT).attr['value'].tensor
        content = np.frombuffer(tensor.tensor_content, np.float32).copy()
        content[3] *= 2
        tensor.tensor_content = content.tobytes()


def wrong_weight_in_model_ckpt(export):
    with bundle(os.path.join(export, 'model.ckpt')) as values:
        values[WEIGHT].reshape(-1)[0] = np.nan


def swapped_outputs_in_the_signature(export):
    with saved_model(export) as meta_graph:
        outputs = meta_graph.signature_def['serving_default'].outputs
        names = [outputs[key].name for key in ('detection_scores', 'detection_classes')]
        outputs['detection_scores'].name, outputs['detection_classes'].name = reversed(names)


def swapped_outputs_in_the_graph(export):
    with saved_model(export) as meta_graph:
        nodes = [node_of(meta_graph.graph_def, name) for name in ('detection_scores', 'detection_classes')]
        first, second = [node.input[0] for node in nodes]
        nodes[0].input[0], nodes[1].input[0] = second, first


def lost_shard(export):
    os.remove(variables(export) + '.data-00000-of-00001')


def short_shard(export):
    cut(variables(export) + '.data-00000-of-00001', 0.9)


def flipped_byte_of_data(export):
    flip(variables(export) + '.data-00000-of-00001', 0.5)


def flipped_byte_of_the_index(export):
    flip(variables(export) + '.index', 0.5)


def flipped_byte_of_model_ckpt(export):
    flip(os.path.join(export, 'model.ckpt.data-00000-of-00001'), 0.3)


def no_variables(export):
    shutil.rmtree(os.path.dirname(variables(export)))


def no_index(export):
    os.remove(variables(export) + '.index')


def variable_that_the_bundle_lacks(export):
    with bundle(variables(export)) as values:
        del values[WEIGHT]


def variable_of_another_shape(export):
    with bundle(variables(export)) as values:
        values[WEIGHT] = values[WEIGHT][..., :-1]


def variable_that_nothing_restores(export):
    with saved_model(export) as meta_graph:
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        restore = nodes[meta_graph.saver_def.restore_op_name]
        for name in list(restore.input):
            if nodes[name.lstrip('^')].input[0] == WEIGHT:
                restore.input.remove(name)


def gpu(export):
    with saved_model(export) as meta_graph:
        node_of(meta_graph.graph_def, 'Preprocessor/sub').device = '/device:GPU:0'


def gpu_in_a_function(export):
    with saved_model(export) as meta_graph:
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = 'a_function'
        function.node_def.add(name='inside', op='NoOp', device='/job:worker/task:1/device:TPU:0')


def gpu_in_the_frozen_graph(export):
    with frozen_graph(export) as graph_def:
        node_of(graph_def, 'Preprocessor/sub').device = '/gpu:0'


def raw_weights(export):
    """As the hand edit does it: the user's checkpoint restored, whose X are raw and whose averages are elsewhere."""
    trained = _freezing.reader(os.path.join(shapes.CHECKPOINT), '')
    with bundle(variables(export)) as values:
        for name in values:
            values[name] = np.array(trained.get_tensor(name))


def cut_saved_model(export):
    cut(os.path.join(export, 'saved_model', 'saved_model.pb'), 0.5)


def cut_frozen_graph(export):
    cut(os.path.join(export, 'frozen_inference_graph.pb'), 0.5)


def empty_saved_model(export):
    cut(os.path.join(export, 'saved_model', 'saved_model.pb'), 0)


def output_that_the_graph_lacks(export):
    with saved_model(export) as meta_graph:
        meta_graph.signature_def['serving_default'].outputs['detection_boxes'].name = 'no_such_node:0'


def asset_that_is_not_there(export):
    with saved_model(export) as meta_graph:
        meta_graph.asset_file_def.add(filename='labels.txt').tensor_info.name = 'Const:0'


def other_meta_graph(export):
    flip(os.path.join(export, 'model.ckpt.meta'), 0.5)


def scalar_output(export):
    with saved_model(export) as meta_graph:
        outputs = meta_graph.signature_def['serving_default'].outputs
        outputs['global_step'].name = _scalar(meta_graph.graph_def)
        outputs['global_step'].dtype = 9
        outputs['global_step'].tensor_shape.SetInParent()


def scalar_count(export):
    """One of the model's own outputs; one that a user asked for beside them may be a scalar."""
    with saved_model(export) as meta_graph:
        count = meta_graph.signature_def['serving_default'].outputs['num_detections']
        count.name, count.dtype = _scalar(meta_graph.graph_def), 9
        del count.tensor_shape.dim[:]


def _scalar(graph_def):
    """A tensor of no dimensions, which the frozen graph does not have."""
    node = graph_def.node.add(name='planted_scalar', op='Const')
    node.attr['dtype'].type = node.attr['value'].tensor.dtype = 9
    node.attr['value'].tensor.tensor_shape.SetInParent()
    node.attr['value'].tensor.int64_val.append(1)
    return node.name + ':0'


DEFECTS = [
    Defect(wrong_weight_in_the_saved_model, 'weights', 'SavedModel = model.ckpt',
           ['1 of 199 variables differ', WEIGHT, '1 of', '0.5 at most']),
    Defect(one_bit_in_the_saved_model, 'weights', 'SavedModel = model.ckpt', ['1 of 199 variables differ', WEIGHT]),
    Defect(wrong_weight_in_the_frozen_graph, 'weights', 'frozen graph = model.ckpt', ['1 of 199 variables', WEIGHT]),
    Defect(wrong_weight_in_the_frozen_graph, 'files', 'od_patch.json', ['changed', 'frozen_inference_graph.pb']),
    Defect(wrong_weight_in_the_frozen_graph, 'outputs', 'unoptimized, batch of 1', ['outputs differ', 'at most']),
    Defect(wrong_weight_in_model_ckpt, 'weights', 'SavedModel = model.ckpt', [WEIGHT, 'inf']),
    Defect(swapped_outputs_in_the_signature, 'outputs', 'unoptimized, batch of 1',
           ['swapped', 'detection_scores', 'detection_classes']),
    Defect(swapped_outputs_in_the_graph, 'outputs', 'unoptimized, batch of 2',
           ['swapped', 'detection_scores: it is the frozen graph\'s detection_classes']),
    Defect(lost_shard, 'files', 'variables', ['variables.data-00000-of-00001 is missing']),
    Defect(short_shard, 'files', 'variables', ['should have at least']),
    Defect(flipped_byte_of_data, 'files', 'variables', ['1 of 199 tensors cannot be read']),
    Defect(flipped_byte_of_the_index, 'files', 'variables', ['variables.index is damaged']),
    Defect(flipped_byte_of_model_ckpt, 'files', 'model.ckpt', ['1 of 200 tensors cannot be read']),
    Defect(no_variables, 'files', 'variables', ['the folder variables is missing', '199 variables',
                                                'fails at the first request']),
    Defect(no_index, 'files', 'variables', ['variables/variables.index is missing', 'fails at the first request']),
    Defect(variable_that_the_bundle_lacks, 'files', 'restore', ['does not hold', WEIGHT]),
    Defect(variable_of_another_shape, 'files', 'restore', ['another type or shape', WEIGHT]),
    Defect(variable_that_nothing_restores, 'files', 'restore', ['nothing restores 1 variable', WEIGHT]),
    Defect(gpu, 'portability', 'devices, SavedModel', ['1 node is bound to /device:GPU:0', 'Preprocessor/sub']),
    Defect(gpu_in_a_function, 'portability', 'devices, SavedModel',
           ['/job:worker/task:1/device:TPU:0', 'inside in function a_function']),
    Defect(gpu_in_the_frozen_graph, 'portability', 'devices, frozen graph', ['/gpu:0', 'Preprocessor/sub']),
    Defect(raw_weights, 'weights', 'SavedModel = checkpoint',
           ['these are the raw weights', 'the moving averages are asked for (od_patch.json)']),
    Defect(cut_saved_model, 'files', 'saved_model.pb', ['no whole SavedModel']),
    Defect(empty_saved_model, 'files', 'saved_model.pb', ['empty']),
    Defect(cut_frozen_graph, 'files', 'frozen graph', ['neither a GraphDef']),
    Defect(output_that_the_graph_lacks, 'files', 'saved_model.pb', ['the graph lacks', 'no_such_node']),
    Defect(asset_that_is_not_there, 'files', 'assets', ['labels.txt']),
    Defect(other_meta_graph, 'files', 'od_patch.json', ['changed since the export: model.ckpt.meta']),
    Defect(scalar_count, 'portability', 'first dimensions', ['num_detections', 'a scalar', 'break REST rows']),
    Defect(scalar_output, 'outputs', 'unoptimized, batch of 1', ['global_step: the frozen graph has no such output']),
]
