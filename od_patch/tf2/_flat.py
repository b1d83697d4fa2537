"""A traced function as the flat graph of TensorFlow 1: no function is called in it, its variables are the graph's own.

Grappler's pass ``function`` inlines what is called, and turns loops and branches
into those that every TensorFlow runs; no other pass is on, so that what is
computed stays what was traced. What the function has captured becomes variables
of the graph, and constants.

Not for: tracing, nor for what the variables are called.
"""
import collections

from od_patch import _tensorflow

_CONTROL = frozenset(['While', 'StatelessWhile', 'If', 'StatelessIf', 'Case', 'StatelessCase'])
_RESOURCE = 20  # DT_RESOURCE
_LOWERED = '_lower_using_switch_merge'


def flat(function, names):
    """Returns (graph, inputs, outputs): the function in a ``tf.Graph`` of its own.

    Args:
        function: concrete function. Its outputs are a dict of tensors, or one tensor.
        names: dict from ``id(variable)`` to the name that it is to have.

    Returns:
        the graph with its variables in the collections of TensorFlow 1, and two dicts from key to tensor: the inputs by
        the names of their placeholders; the outputs by the keys of the function, each of which names its node.
    """
    import tensorflow as tf
    tf1 = _tensorflow.tf1()
    handles = {id(variable.handle): variable for variable in function.graph.variables}
    captured = collections.OrderedDict()  # name of the placeholder in the function's graph -> variable
    count = len(function.inputs) - len(function.captured_inputs)
    for placeholder, value in zip(function.inputs[count:], function.captured_inputs):
        if id(value) in handles:
            captured[placeholder.op.name] = handles[id(value)]
        elif value.dtype == tf.resource:
            raise ValueError('the function captures {}, a resource that is no variable'.format(placeholder.op.name))
    keys = _keys(function)
    graph_def = _inlined(function)
    taken = set(keys) | {names[id(variable)] for variable in captured.values()}
    renamed = _make_room(graph_def, taken)
    values = {placeholder.op.name: value for placeholder, value in zip(
        function.inputs[count:], function.captured_inputs) if placeholder.op.name not in captured}
    with tf.Graph().as_default() as graph:
        made = {}
        each = {id(variable): variable for variable in captured.values()}
        for variable in sorted(each.values(), key=lambda one: names[id(one)]):
            made[id(variable)] = _variable(tf1, variable, names[id(variable)])
        there = {node.name for node in graph_def.node}
        inputs_of = {name: made[id(variable)].handle for name, variable in captured.items()}
        inputs_of.update((name, tf.constant(value.numpy(), name=name + '/captured')) for name, value in values.items())
        tf.import_graph_def(graph_def, name='', input_map={
            renamed.get(name, name) + ':0': tensor for name, tensor in inputs_of.items()
            if renamed.get(name, name) in there})
        outputs = collections.OrderedDict()
        for key, tensor in keys.items():
            outputs[key] = tf.identity(graph.get_tensor_by_name(_renamed(renamed, tensor.name)), name=key)
            outputs[key].set_shape(tensor.shape)  # the trace knows of shapes that the nodes alone do not tell
        inputs = collections.OrderedDict(
            (placeholder.op.name, graph.get_tensor_by_name(_renamed(renamed, placeholder.name)))
            for placeholder in function.inputs[:count])
    return graph, inputs, outputs


def _keys(function):
    """Returns {key: tensor of the function's own graph} of what it returns, in the order of detections.

    A function returns a dict's tensors in the order of its sorted keys.
    """
    structured = function.structured_outputs
    if not isinstance(structured, dict):
        return collections.OrderedDict([('output', function.outputs[0])])
    tensors = dict(zip(sorted(structured), function.outputs))
    first = [key for key in ('detection_boxes', 'detection_scores', 'detection_classes', 'num_detections')
             if key in tensors]
    return collections.OrderedDict((key, tensors[key]) for key in first + sorted(set(tensors) - set(first)))


def _inlined(function):
    """Returns the ``GraphDef`` of a function with what it calls in it."""
    meta_graph = _tensorflow.tf1().train.export_meta_graph(
        graph_def=function.graph.as_graph_def(), graph=function.graph)
    return inlined(meta_graph, [tensor.name for tensor in function.outputs])


def inlined(meta_graph, fetched):
    """Returns the ``GraphDef`` of a MetaGraph with what it calls in it, of what some of its tensors need. Runs nothing.

    Args:
        meta_graph: ``MetaGraphDef``, which is used up.
        fetched: list of str, names of tensors; of a call that is one of them, the call stays.
    """
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.core.protobuf import rewriter_config_pb2
    from tensorflow.python.grappler import tf_optimizer
    graph_def = meta_graph.graph_def
    for nodes in [graph_def.node] + [called.node_def for called in graph_def.library.function]:
        for node in nodes:
            if node.op in _CONTROL:
                node.attr[_LOWERED].b = True
    for name in list(meta_graph.collection_def):
        del meta_graph.collection_def[name]
    # Where Grappler looks for what is wanted.
    meta_graph.collection_def['train_op'].node_list.value.extend(fetched)
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # however small it is
    rewriting.optimizers.append('function')
    # Also what would be left to a server to call: where a function has been given to another, and of variables.
    rewriting.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    found = tf_optimizer.OptimizeGraph(config, meta_graph)
    for node in found.node:
        node.device = ''
    _hand_on_variables(found)
    return found


def _hand_on_variables(graph_def):
    """Passes over the nodes that hand a variable on, as inlining leaves them: what reads it names the variable."""
    handed = {node.name: node.input[0] for node in graph_def.node
              if node.op == 'Identity' and node.attr['T'].type == _RESOURCE}

    def source(text):
        name, colon, number = text.partition(':')
        while name in handed and (not colon or number == '0'):
            name, colon, number = handed[name].partition(':')
        return name + colon + number

    for node in graph_def.node:
        if node.name not in handed:
            for place, text in enumerate(node.input):
                if not text.startswith('^'):
                    node.input[place] = source(text)


def _make_room(graph_def, taken):
    """Renames the nodes of a GraphDef that have one of the names in ``taken``, or lie in it; returns {old: new}."""
    scopes = set()
    for name in taken:
        parts = name.split('/')
        scopes.update('/'.join(parts[:depth + 1]) for depth in range(len(parts)))
    renamed = {node.name: 'traced/' + node.name for node in graph_def.node
               if node.name in scopes or any(node.name.startswith(name + '/') for name in _above(node.name) & taken)}
    if renamed:
        for node in graph_def.node:
            node.name = renamed.get(node.name, node.name)
            for place, text in enumerate(node.input):
                control = '^' if text.startswith('^') else ''
                name, colon, number = text.lstrip('^').partition(':')
                node.input[place] = control + renamed.get(name, name) + colon + number
    return renamed


def _above(name):
    """Returns the names of all scopes that a node lies in, a set."""
    parts = name.split('/')
    return {'/'.join(parts[:depth]) for depth in range(1, len(parts))}


def _renamed(renamed, tensor):
    name, colon, number = tensor.partition(':')
    return renamed.get(name, name) + colon + number


def _variable(tf1, variable, name):
    """Makes a variable like another one in the current graph, whose values are copied elsewhere."""
    import numpy
    shape, dtype = variable.shape, variable.dtype.base_dtype

    def zeros():
        return tf1.constant(numpy.zeros((), dtype.as_numpy_dtype), dtype, shape.as_list())
    return tf1.Variable(zeros, trainable=variable.trainable, name=name, dtype=dtype, use_resource=True,
                        expected_shape=shape)
