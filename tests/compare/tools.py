"""Tools that rewrite graphs, and what compare is to say of what they made: the table of ``test_tools``.

A row is a tool with its setting, applied to a graph; the verdict that is expected
of the pair, the kinds of cause that must be among the causes, and a word of the
tool that must be named (None where it leaves no trace). Whether a row is true is
not for this table to say: ``test_tools`` runs both graphs.
"""
import collections
import functools

import numpy as np
import pytest

from od_patch import _tensorflow
from tests.compare import graphs
from tests.support import exports

NEEDS_TRANSFORMS = pytest.mark.skipif(
    not exports.HAS_CONTRIB, reason='the Graph Transform Tool came with TensorFlow 1')

Row = collections.namedtuple('Row', 'name graph make verdict causes named')

SAME, OTHER, NOT = 'same weights, different graph', 'different weights', 'not comparable'
EQUAL, IDENTICAL = 'equivalent', 'identical'


def clone(graph_def):
    twin = type(graph_def)()
    twin.CopyFrom(graph_def)
    return twin


def node(graph_def, name):
    return next(row for row in graph_def.node if row.name == name)


# graphs ---------------------------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def _network(seed):
    """Convolutions with batch norm and the other form of it, Identity behind every weight, a wide layer, a concat."""
    tf = _tensorflow.tf1()
    random = np.random.RandomState(seed)
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 16, 16, 3], name='image')

        def frozen(name, *shape):
            return tf.identity(tf.constant(random.normal(.05, .3, shape).astype('f4'), name=name), name=name + '/read')
        size = 3
        for layer in range(3):
            x = tf.nn.conv2d(x, frozen('w{}'.format(layer), 3, 3, size, 32), [1, 1, 1, 1], 'SAME',
                             name='conv{}'.format(layer))
            size = 32
            if layer < 2:
                variance = tf.identity(tf.constant(np.abs(random.normal(0, .3, 32)).astype('f4') + .5,
                                                   name='variance{}'.format(layer)))
                x = tf.nn.fused_batch_norm(x, frozen('gamma{}'.format(layer), 32), frozen('beta{}'.format(layer), 32),
                                           frozen('mean{}'.format(layer), 32), variance, is_training=False,
                                           name='bn{}'.format(layer))[0]
            else:
                x = tf.multiply(x, tf.constant(random.normal(1, .2, 32).astype('f4'), name='scale'), name='scaled')
            x = tf.nn.relu6(x, name='relu{}'.format(layer))
        one = tf.nn.bias_add(tf.nn.conv2d(x, frozen('wa', 1, 1, 32, 8), [1, 1, 1, 1], 'SAME', name='conva'),
                             frozen('ba', 8), name='biased')
        other = tf.nn.conv2d(x, frozen('wb', 1, 1, 32, 8), [1, 1, 1, 1], 'SAME', name='convb')
        grid = tf.add(tf.range(16.), tf.ones([16]) * 2., name='grid')
        both = tf.concat([one, other], 3, name='both')
        tf.add(both, tf.reshape(grid, [1, 16, 1, 1]), name='out')
        return graph.as_graph_def().SerializeToString()


def network(seed=0):
    from tensorflow.core.framework import graph_pb2
    return graph_pb2.GraphDef.FromString(_network(seed))


GRAPHS = {'network': (network, 'image', ['out']),
          'detector': (graphs.detector, 'image_tensor', list(graphs.OUTPUTS))}


# tools ----------------------------------------------------------------------------------------------------------------

def transforms(*names):
    def make(graph_def, image, outputs):
        from tensorflow.tools import graph_transforms
        return graph_transforms.TransformGraph(graph_def, [image], outputs, list(names))
    return make


def grappler(optimizer):
    def make(graph_def, image, outputs):
        tf = _tensorflow.tf1()
        from tensorflow.core.protobuf import rewriter_config_pb2
        from tensorflow.python.grappler import tf_optimizer
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(graph_def, name='')
        meta_graph = tf.train.export_meta_graph(graph_def=graph_def, graph=graph)
        meta_graph.collection_def['train_op'].node_list.value.extend(outputs)
        config = rewriter_config_pb2.RewriterConfig(min_graph_nodes=-1, meta_optimizer_iterations=1)
        if optimizer:
            config.optimizers.append(optimizer)
        return tf_optimizer.OptimizeGraph(config, meta_graph)
    return make


def optimize_for_inference(graph_def, image, outputs):
    from tensorflow.python.tools import optimize_for_inference_lib
    return optimize_for_inference_lib.optimize_for_inference(
        graph_def, [image], outputs, node(graph_def, image).attr['dtype'].type)


def strip_unused(graph_def, image, outputs):
    from tensorflow.python.tools import strip_unused_lib
    return strip_unused_lib.strip_unused(graph_def, [image], outputs, node(graph_def, image).attr['dtype'].type)


def remove_training_nodes(graph_def, image, outputs):
    return _tensorflow.tf1().graph_util.remove_training_nodes(graph_def, protected_nodes=outputs)


def frozen_again(graph_def, image, outputs):
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.import_graph_def(graph_def, name='')
        return tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), outputs)


# own edits ------------------------------------------------------------------------------------------------------------

def renamed(graph_def, image, outputs):
    import random
    from tests.compare import test_properties
    test_properties.renamed(graph_def, random.Random(3), tuple(outputs) + (image,))
    return graph_def


def shuffled(graph_def, image, outputs):
    import random
    from tests.compare import test_properties
    test_properties.permuted(graph_def, random.Random(3))
    return graph_def


def renamed_and_shuffled(graph_def, image, outputs):
    return shuffled(renamed(graph_def, image, outputs), image, outputs)


def prefixed(graph_def, image, outputs):
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name='model')
        return graph.as_graph_def()


def prefixed_with_the_old_names(graph_def, image, outputs):
    """Imported under a prefix, and the outputs called as before: names changed, the interface kept."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        source = node(graph_def, image)
        fed = tf.placeholder(source.attr['dtype'].type, None, name=image)
        results = tf.import_graph_def(graph_def, {image + ':0': fed}, [name + ':0' for name in outputs], name='model')
        for name, result in zip(outputs, results):
            tf.identity(result, name=name)
        return graph.as_graph_def()


def cut_at(*names):
    def make(graph_def, image, outputs):
        return _tensorflow.tf1().graph_util.extract_sub_graph(graph_def, list(names))
    return make


def without_output(graph_def, image, outputs):
    return _tensorflow.tf1().graph_util.extract_sub_graph(graph_def, outputs[:-1])


def freed(graph_def, image, outputs):
    node(graph_def, image).attr['shape'].shape.Clear()
    node(graph_def, image).attr['shape'].shape.unknown_rank = True
    return graph_def


def half(graph_def, image, outputs):
    """Weights in half precision, each with a Cast behind it."""
    tf = _tensorflow.tf1()
    for const in [row for row in graph_def.node if row.op == 'Const' and row.attr['dtype'].type == 1
                  and len(row.attr['value'].tensor.tensor_shape.dim) > 1]:
        value = tf.make_ndarray(const.attr['value'].tensor).astype('f2')
        cast = graph_def.node.add(name=const.name, op='Cast', input=[const.name + '/half'])
        cast.attr['SrcT'].type, cast.attr['DstT'].type = 19, 1
        const.name += '/half'
        const.attr['dtype'].type = 19
        const.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(value))
    return graph_def


def half_and_one_changed(graph_def, image, outputs):
    tf = _tensorflow.tf1()
    const = node(graph_def, 'wa')
    const.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(const.attr['value'].tensor) * 1.5))
    return half(graph_def, image, outputs)


def relu6_spelt_out(graph_def, image, outputs):
    tf = _tensorflow.tf1()
    graph_def.node.add(name='six', op='Const').attr['value'].tensor.CopyFrom(tf.make_tensor_proto(np.float32(6)))
    graph_def.node[-1].attr['dtype'].type = 1
    for relu in [row for row in graph_def.node if row.op == 'Relu6']:
        inner = graph_def.node.add(name=relu.name + '/relu', op='Relu', input=relu.input[:1])
        inner.attr['T'].type = 1
        relu.op = 'Minimum'
        del relu.input[:]
        relu.input.extend([inner.name, 'six'])
    return graph_def


def changed(name, factor):
    def make(graph_def, image, outputs):
        tf = _tensorflow.tf1()
        tensor = node(graph_def, name).attr['value'].tensor
        value = tf.make_ndarray(tensor)
        tensor.CopyFrom(tf.make_tensor_proto((value * factor).astype(value.dtype), shape=value.shape))
        return graph_def
    return make


def swapped(graph_def, image, outputs):
    one, other = (node(graph_def, name) for name in outputs[:2])
    one.name, other.name = other.name, one.name
    return graph_def


def threshold(graph_def, image, outputs):
    tf = _tensorflow.tf1()
    nms = next(row for row in graph_def.node if row.op.startswith('NonMaxSuppression'))
    node(graph_def, nms.input[3]).attr['value'].tensor.CopyFrom(tf.make_tensor_proto(np.float32(.3)))
    return graph_def


def gone_colocation(graph_def, image, outputs):
    graph_def.node[-1].attr['_class'].list.s.append(b'loc:@gone')
    return graph_def


def then(*makes):
    def make(graph_def, image, outputs):
        for step in makes:
            graph_def = step(graph_def, image, outputs)
        return graph_def
    return make


FOLD = 'fold_constants(ignore_errors=true)'
ROWS = [
    Row('add_default_attributes', 'network', transforms('add_default_attributes'), IDENTICAL, [], None),
    Row('add_default_attributes', 'detector', transforms('add_default_attributes'), IDENTICAL, [], None),
    Row('strip_unused_nodes', 'network', transforms('strip_unused_nodes'), IDENTICAL, [], None),
    Row('strip_unused_nodes', 'detector', transforms('strip_unused_nodes'), IDENTICAL, [], None),
    Row('sort_by_execution_order', 'network', transforms('sort_by_execution_order'), IDENTICAL, [], None),
    Row('sort_by_execution_order', 'detector', transforms('sort_by_execution_order'), IDENTICAL, [], None),
    Row('remove_device', 'network', transforms('remove_device'), IDENTICAL, [], None),
    Row('remove_device', 'detector', transforms('remove_device'), IDENTICAL, [], None),
    Row('set_device', 'network', transforms('set_device(device="/cpu:0")'), IDENTICAL, [], None),
    Row('set_device', 'detector', transforms('set_device(device="/cpu:0")'), IDENTICAL, [], None),
    Row('remove_attribute _class', 'network',
        transforms('remove_attribute(attribute_name=_class)'),
        IDENTICAL, [], None),
    Row('remove_attribute _class', 'detector', transforms('remove_attribute(attribute_name=_class)'), EQUAL, [], None),
    Row('flatten_atrous_conv', 'network', transforms('flatten_atrous_conv'), IDENTICAL, [], None),
    Row('flatten_atrous_conv', 'detector', transforms('flatten_atrous_conv'), IDENTICAL, [], None),
    Row('sparsify_gather', 'network', transforms('sparsify_gather'), SAME, ['outputs'], None),
    Row('sparsify_gather', 'detector', transforms('sparsify_gather'), EQUAL, [], None),
    Row('obfuscate_names', 'network', transforms('obfuscate_names'), EQUAL, [], None),
    Row('obfuscate_names', 'detector', transforms('obfuscate_names'), NOT, ['unloadable'], 'obfuscate_names'),
    Row('merge_duplicate_nodes', 'network', transforms('merge_duplicate_nodes'), IDENTICAL, [], None),
    Row('merge_duplicate_nodes', 'detector', transforms('merge_duplicate_nodes'), EQUAL, [], None),
    Row('merge_duplicate_nodes, strip, sort', 'network',
        transforms('merge_duplicate_nodes', 'strip_unused_nodes', 'sort_by_execution_order'),
        IDENTICAL, [], None),
    Row('merge_duplicate_nodes, strip, sort', 'detector',
        transforms('merge_duplicate_nodes', 'strip_unused_nodes', 'sort_by_execution_order'),
        EQUAL, [], None),
    Row('remove_nodes Identity', 'network', transforms('remove_nodes(op=Identity)'), EQUAL, [], None),
    Row('remove_nodes Identity', 'detector',
        transforms('remove_nodes(op=Identity)'),
        NOT, ['unloadable'], 'Graph Transform Tool'),
    Row('remove_nodes Assert', 'network', transforms('remove_nodes(op=Assert)'), IDENTICAL, [], None),
    Row('remove_nodes Assert', 'detector', transforms('remove_nodes(op=Assert)'), IDENTICAL, [], None),
    Row('remove_control_dependencies', 'network', transforms('remove_control_dependencies'), IDENTICAL, [], None),
    Row('remove_control_dependencies', 'detector',
        transforms('remove_control_dependencies'),
        NOT, ['unloadable'], 'remove_control_dependencies'),
    Row('backport_concatv2', 'network', transforms('backport_concatv2'), EQUAL, [], None),
    Row('backport_concatv2', 'detector', transforms('backport_concatv2'), EQUAL, [], None),
    Row('backport_tensor_array_v3', 'network', transforms('backport_tensor_array_v3'), IDENTICAL, [], None),
    Row('backport_tensor_array_v3', 'detector', transforms('backport_tensor_array_v3'), NOT, ['unloadable'], None),
    Row('insert_logging', 'network',
        transforms('insert_logging(op=Relu6, first_n=1, summarize=1)'),
        SAME, ['tool'], 'insert_logging'),
    Row('insert_logging', 'detector',
        transforms('insert_logging(op=Relu6, first_n=1, summarize=1)'),
        SAME, ['tool'], 'insert_logging'),
    Row('rename_op', 'network',
        transforms('rename_op(old_op_name=Relu6, new_op_name=Relu)'),
        SAME, ['unrecognised'], None),
    Row('rename_op', 'detector',
        transforms('rename_op(old_op_name=Relu6, new_op_name=Relu)'),
        SAME, ['unrecognised'], None),
    Row('rename_attribute', 'network',
        transforms('rename_attribute(old_attribute_name=T, new_attribute_name=U)'),
        NOT, ['unloadable'], None),
    Row('rename_attribute', 'detector',
        transforms('rename_attribute(old_attribute_name=T, new_attribute_name=U)'),
        NOT, ['unloadable'], None),
    Row('fold_constants', 'network', transforms(FOLD), SAME, ['folded.constants'], 'fold_constants'),
    Row('fold_constants', 'detector', transforms(FOLD), SAME, ['folded.constants'], 'fold_constants'),
    Row('fold_batch_norms', 'network', transforms('fold_batch_norms'), IDENTICAL, [], None),
    Row('fold_batch_norms', 'detector', transforms('fold_batch_norms'), IDENTICAL, [], None),
    Row('fold_constants, fold_batch_norms', 'network',
        transforms(FOLD, 'fold_batch_norms'),
        SAME, ['folded.batch_norms', 'folded.constants'], 'fold_constants'),
    Row('fold_constants, fold_batch_norms', 'detector',
        transforms(FOLD, 'fold_batch_norms'),
        SAME, ['folded.constants'], 'fold_constants'),
    Row('fold_old_batch_norms', 'network', transforms('fold_old_batch_norms'), IDENTICAL, [], None),
    Row('fold_old_batch_norms', 'detector', transforms('fold_old_batch_norms'), IDENTICAL, [], None),
    Row('fold_constants, fold_old_batch_norms', 'network',
        transforms(FOLD, 'fold_old_batch_norms'),
        SAME, ['folded.batch_norms', 'folded.constants'], 'fold_old_batch_norms'),
    Row('fold_constants, fold_old_batch_norms', 'detector',
        transforms(FOLD, 'fold_old_batch_norms'),
        SAME, ['folded.batch_norms', 'tool'], 'fold_old_batch_norms'),
    Row('fold_constants, both foldings', 'network',
        transforms(FOLD, 'fold_batch_norms', 'fold_old_batch_norms'),
        SAME, ['folded.batch_norms', 'folded.constants'], 'fold_batch_norms'),
    Row('fold_constants, both foldings', 'detector',
        transforms(FOLD, 'fold_batch_norms', 'fold_old_batch_norms'),
        SAME, ['folded.batch_norms', 'tool'], 'fold_batch_norms'),
    Row('remove Identity, fold_old_batch_norms', 'network',
        transforms('remove_nodes(op=Identity)', 'fold_old_batch_norms'),
        SAME, ['folded.batch_norms'], 'Graph Transform Tool'),
    Row('remove Identity, fold_old_batch_norms', 'detector',
        transforms('remove_nodes(op=Identity)', 'fold_old_batch_norms'),
        NOT, ['unloadable'], 'Graph Transform Tool'),
    Row('remove Identity, backport_concatv2', 'network',
        transforms('remove_nodes(op=Identity)', 'backport_concatv2'),
        EQUAL, [], None),
    Row('remove Identity, backport_concatv2', 'detector',
        transforms('remove_nodes(op=Identity)', 'backport_concatv2'),
        NOT, ['unloadable'], 'Graph Transform Tool'),
    Row('quantize_weights', 'network',
        transforms('quantize_weights(minimum_size=200)'),
        OTHER, ['quantized.weights'], 'quantize_weights'),
    Row('quantize_weights', 'detector',
        transforms('quantize_weights(minimum_size=200)'),
        OTHER, ['quantized.weights'], 'quantize_weights'),
    Row('quantize_weights, all', 'network',
        transforms('quantize_weights(minimum_size=0)'),
        OTHER, ['quantized.weights'], 'quantize_weights'),
    Row('quantize_weights, all', 'detector',
        transforms('quantize_weights(minimum_size=0)'),
        NOT, ['unloadable'], 'quantize_weights'),
    Row('fold_batch_norms, quantize_weights', 'network',
        transforms(FOLD, 'fold_batch_norms', 'quantize_weights(minimum_size=200)'),
        OTHER, ['folded.batch_norms', 'folded.constants', 'quantized.weights'], 'quantize_weights'),
    Row('fold_batch_norms, quantize_weights', 'detector',
        transforms(FOLD, 'fold_batch_norms', 'quantize_weights(minimum_size=200)'),
        OTHER, ['folded.constants', 'quantized.weights'], 'quantize_weights'),
    Row('fold_old_batch_norms, quantize_weights', 'network',
        transforms(FOLD, 'fold_old_batch_norms', 'quantize_weights(minimum_size=200)'),
        OTHER, ['folded.batch_norms', 'folded.constants', 'quantized.weights'], 'quantize_weights'),
    Row('fold_old_batch_norms, quantize_weights', 'detector',
        transforms(FOLD, 'fold_old_batch_norms', 'quantize_weights(minimum_size=200)'),
        OTHER, ['folded.batch_norms', 'quantized.weights', 'tool'], 'quantize_weights'),
    Row('quantize_weights, fold_constants', 'network',
        transforms('quantize_weights(minimum_size=200)', FOLD),
        OTHER, ['folded.constants', 'rounded.weights'], 'quantize_weights'),
    Row('quantize_weights, fold_constants', 'detector',
        transforms('quantize_weights(minimum_size=200)', FOLD),
        OTHER, ['folded.constants', 'weights'], None),
    Row('quantize_nodes', 'network', transforms('quantize_nodes'), OTHER, ['quantized.computation'], 'quantize_nodes'),
    Row('quantize_nodes', 'detector',
        transforms('quantize_nodes'),
        OTHER, ['quantized.computation'], 'quantize_nodes'),
    Row('quantize_weights, quantize_nodes', 'network',
        transforms('quantize_weights(minimum_size=200)', 'quantize_nodes'),
        OTHER, ['quantized.computation', 'quantized.weights'], 'quantize_nodes'),
    Row('quantize_weights, quantize_nodes', 'detector',
        transforms('quantize_weights(minimum_size=200)', 'quantize_nodes'),
        OTHER, ['quantized.computation', 'quantized.weights'], 'quantize_nodes'),
    Row('folded, quantize_weights, quantize_nodes', 'network',
        transforms(FOLD, 'fold_batch_norms', 'fold_old_batch_norms', 'quantize_weights(minimum_size=200)',
                   'quantize_nodes', 'strip_unused_nodes'),
        OTHER, ['folded.batch_norms', 'folded.constants', 'quantized.computation', 'quantized.weights'],
        'quantize_nodes'),
    Row('folded, quantize_weights, quantize_nodes', 'detector',
        transforms(FOLD, 'fold_batch_norms', 'fold_old_batch_norms', 'quantize_weights(minimum_size=200)',
                   'quantize_nodes', 'strip_unused_nodes'),
        OTHER, ['folded.batch_norms', 'quantized.computation', 'quantized.weights', 'tool'], 'quantize_nodes'),
    Row('round_weights 256', 'network',
        transforms('round_weights(num_steps=256)'),
        OTHER, ['constant', 'rounded.weights'], 'round_weights'),
    Row('round_weights 256', 'detector',
        transforms('round_weights(num_steps=256)'),
        OTHER, ['rounded.weights'], 'round_weights'),
    Row('round_weights 16', 'network',
        transforms('round_weights(num_steps=16)'),
        OTHER, ['constant', 'rounded.weights'], 'round_weights'),
    Row('round_weights 16', 'detector',
        transforms('round_weights(num_steps=16)'),
        OTHER, ['rounded.weights'], 'round_weights'),
    Row('optimize_for_inference', 'network',
        optimize_for_inference,
        SAME, ['folded.batch_norms', 'setting.input_shape'], 'batch_norms'),
    Row('optimize_for_inference', 'detector', optimize_for_inference, 'refused', [], 'remove_training_nodes'),
    Row('strip_unused', 'network', strip_unused, SAME, ['setting.input_shape'], None),
    Row('strip_unused', 'detector', strip_unused, SAME, ['setting.input_shape'], None),
    Row('remove_training_nodes', 'network', remove_training_nodes, EQUAL, [], None),
    Row('remove_training_nodes', 'detector', remove_training_nodes, 'refused', [], 'remove_training_nodes'),
    Row('convert_variables_to_constants', 'network', frozen_again, IDENTICAL, [], None),
    Row('convert_variables_to_constants', 'detector', frozen_again, IDENTICAL, [], None),
    Row('Grappler pruning', 'network', grappler('pruning'), EQUAL, [], None),
    Row('Grappler pruning', 'detector', grappler('pruning'), EQUAL, [], None),
    Row('Grappler constfold', 'network',
        grappler('constfold'),
        SAME, ['folded.batch_norms', 'folded.constants'], 'Grappler'),
    Row('Grappler constfold', 'detector', grappler('constfold'), SAME, ['folded.constants', 'grappler'], 'Grappler'),
    Row('Grappler layout', 'network', grappler('layout'), IDENTICAL, [], None),
    Row('Grappler layout', 'detector', grappler('layout'), EQUAL, [], None),
    Row('Grappler memory', 'network', grappler('memory'), IDENTICAL, [], None),
    Row('Grappler memory', 'detector', grappler('memory'), EQUAL, [], None),
    Row('Grappler arithmetic', 'network', grappler('arithmetic'), IDENTICAL, [], None),
    Row('Grappler arithmetic', 'detector', grappler('arithmetic'), EQUAL, [], None),
    Row('Grappler dependency', 'network', grappler('dependency'), EQUAL, [], None),
    Row('Grappler dependency', 'detector', grappler('dependency'), EQUAL, [], None),
    Row('Grappler loop', 'network', grappler('loop'), IDENTICAL, [], None),
    Row('Grappler loop', 'detector', grappler('loop'), EQUAL, [], None),
    Row('Grappler function', 'network', grappler('function'), IDENTICAL, [], None),
    Row('Grappler function', 'detector', grappler('function'), EQUAL, [], None),
    Row('Grappler shape', 'network', grappler('shape'), IDENTICAL, [], None),
    Row('Grappler shape', 'detector', grappler('shape'), EQUAL, [], None),
    Row('Grappler remap', 'network', grappler('remap'), IDENTICAL, [], None),
    Row('Grappler remap', 'detector', grappler('remap'), EQUAL, [], None),
    Row('Grappler debug_stripper', 'network', grappler('debug_stripper'), IDENTICAL, [], None),
    Row('Grappler debug_stripper', 'detector', grappler('debug_stripper'), SAME, ['asserts', 'grappler'], 'Grappler'),
    Row('Grappler, all of it', 'network',
        grappler(''),
        SAME, ['batch_norm.fused', 'folded.batch_norms', 'folded.constants', 'grappler'], 'Grappler'),
    Row('Grappler, all of it', 'detector', grappler(''), SAME, ['batch_norm.fused', 'grappler'], 'Grappler'),
    Row('renamed', 'network', renamed, EQUAL, [], None),
    Row('renamed', 'detector', renamed, EQUAL, [], None),
    Row('shuffled', 'network', shuffled, IDENTICAL, [], None),
    Row('shuffled', 'detector', shuffled, IDENTICAL, [], None),
    Row('renamed and shuffled', 'network', renamed_and_shuffled, EQUAL, [], None),
    Row('renamed and shuffled', 'detector', renamed_and_shuffled, EQUAL, [], None),
    Row('imported under a prefix', 'network', prefixed, EQUAL, [], None),
    Row('imported under a prefix', 'detector', prefixed, EQUAL, [], None),
    Row('imported under a prefix, fed anew', 'network',
        prefixed_with_the_old_names,
        SAME, ['setting.input_shape'], None),
    Row('imported under a prefix, fed anew', 'detector',
        prefixed_with_the_old_names,
        SAME, ['setting.input_shape'], None),
    Row('an output less', 'detector', without_output, SAME, ['outputs'], None),
    Row("the input's shape left open", 'network', freed, SAME, ['setting.input_shape'], None),
    Row("the input's shape left open", 'detector', freed, SAME, ['setting.input_shape'], None),
    Row('half precision', 'network', half, OTHER, ['half.weights'], 'half precision'),
    Row('half precision', 'detector', half, OTHER, ['half.weights'], 'half precision'),
    Row('half precision, renamed', 'network', then(half, renamed), OTHER, ['half.weights'], 'half precision'),
    Row('half precision, renamed', 'detector', then(half, renamed), OTHER, ['half.weights'], 'half precision'),
    Row('Relu6 spelt out', 'network', relu6_spelt_out, EQUAL, [], None),
    Row('Relu6 spelt out', 'detector', relu6_spelt_out, EQUAL, [], None),
    Row('two outputs swapped', 'detector', swapped, SAME, ['outputs.swapped'], None),
    Row('a threshold edited', 'detector', threshold, SAME, ['setting.nms_iou'], None),
    Row('a colocation with what is gone', 'network', gone_colocation, NOT, ['unloadable'], None),
    Row('a colocation with what is gone', 'detector', gone_colocation, NOT, ['unloadable'], None),
    Row('a weight changed, half precision', 'network', half_and_one_changed, OTHER, ['half.weights'], 'not wa'),
    Row('cut at relu2', 'network', cut_at('relu2'), NOT, ['outputs'], '--outputs relu2'),
    Row('cut at two', 'network', cut_at('biased', 'convb'), NOT, ['outputs'], '--outputs biased,convb'),
    Row('a weight changed', 'network', changed('wa', 1.5), OTHER, ['weights'], None),
    Row('a weight changed, quantized', 'network',
        then(changed('wa', 1.5), transforms('quantize_weights(minimum_size=0)')),
        OTHER, ['quantized.weights'], 'not wa'),
    Row('a batch norm changed, folded, quantized', 'network',
        then(changed('gamma1', 1.5), transforms(FOLD, 'fold_old_batch_norms', 'quantize_weights(minimum_size=200)')),
        OTHER, ['folded.batch_norms', 'folded.constants', 'quantized.weights'], None),
    Row('folded, quantized, renamed', 'network',
        then(transforms(FOLD, 'fold_old_batch_norms', 'quantize_weights(minimum_size=200)'), renamed_and_shuffled),
        OTHER, ['folded.batch_norms', 'folded.constants', 'quantized.weights'], None),
    Row('folded, quantized, renamed', 'detector',
        then(transforms(FOLD, 'fold_old_batch_norms', 'quantize_weights(minimum_size=200)'), renamed_and_shuffled),
        OTHER, ['folded.batch_norms', 'quantized.weights', 'unrecognised'], None),
    Row('a threshold edited, folded', 'detector',
        then(threshold, transforms(FOLD)),
        SAME, ['folded.constants', 'setting.nms_iou'], None),
    Row('a threshold edited, renamed', 'detector',
        then(threshold, renamed_and_shuffled),
        SAME, ['setting.nms_iou'], None),
]

# On one real export. Tools were told of the detections alone, so what else it gives may be missing.
EXPORT_ROWS = [
    Row('backport_concatv2', 'ssd', transforms('backport_concatv2'), EQUAL, [], None),
    Row('obfuscate_names', 'ssd', transforms('obfuscate_names'), NOT, ['unloadable'], 'obfuscate_names'),
    Row('fold_constants', 'ssd', transforms(FOLD), SAME, ['asserts', 'folded.constants'], 'fold_constants'),
    Row('folded, quantize_weights', 'ssd',
        transforms(FOLD, 'fold_batch_norms', 'fold_old_batch_norms', 'quantize_weights'),
        OTHER, ['asserts', 'folded.batch_norms', 'folded.constants', 'quantized.weights'], 'quantize_weights'),
    Row('quantize_weights, quantize_nodes', 'ssd', transforms('quantize_weights', 'quantize_nodes'),
        OTHER, ['quantized.computation', 'quantized.weights', 'tool'], 'quantize_nodes'),
    Row('Grappler arithmetic', 'ssd', grappler('arithmetic'), SAME, ['grappler'], 'Grappler'),
    Row('Grappler dependency', 'ssd', grappler('dependency'), SAME, ['controls', 'unrecognised'], None),
    Row('Grappler debug_stripper', 'ssd', grappler('debug_stripper'), SAME, ['asserts', 'grappler'], 'Grappler'),
    Row('optimize_for_inference', 'ssd', optimize_for_inference, 'refused', [], 'optimize_for_inference'),
    Row('two outputs swapped', 'ssd', swapped, SAME, ['outputs.swapped'], None),
    Row('cut at concat and concat_1', 'ssd', cut_at('concat', 'concat_1'), NOT, ['outputs'],
        '--outputs concat,concat_1'),
]
