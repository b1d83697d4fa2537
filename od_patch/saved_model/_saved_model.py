"""Inference graph + variables bundle -> SavedModel directory, without a session.

Where the exporter has just written ``<output>/model.ckpt``, that has the very
values that go into the frozen graph (moving averages included), and the
variables bundle is copied from it. Where it has not, the bundle is written from
the trained checkpoint. Either way it gets what the outputs read and no more. The
MetaGraph is made as a protocol buffer: the inference graph pruned to what
serving needs, devices cleared, one save/restore subgraph, and the variables as
resources where asked.

Not for: deciding where to write (``_staging``) or which checkpoint (``_export``).
"""
import collections
import os
import typing

from od_patch import _tensorflow
from od_patch.checkpoint import _bundle_writer

RESOURCE = 'resource'
REFERENCE = 'reference'

INPUT = 'inputs'  # upstream's key, whatever the input is
SIGNATURE = 'serving_default'

_REFERENCE_OPS = frozenset(['VariableV2', 'Variable'])
# Hints of the process that built the graph. They cannot change a result: colocation and placement of what serving
# runs follow from the resource edges, and shapes are inferred again on loading.
_HINTS = ('_class', '_output_shapes')


class Written(typing.NamedTuple):
    """What was written."""

    num_variables: int  # variables in the SavedModel
    num_bytes: int  # bytes of their values
    num_nodes: int  # nodes in its graph
    kind: str  # 'resource' or 'reference'
    notes: typing.List[str]  # what a user should know, such as why references had to stay
    # Variables of the model that no output reads, which are not in the SavedModel: (name, bytes of its value) of each.
    left_out: typing.Sequence[typing.Tuple[str, int]] = ()


class Composed(typing.NamedTuple):
    """A SavedModel without its values."""

    content: bytes  # bytes of ``saved_model.pb``
    # These as those of ``Written``.
    num_variables: int
    num_nodes: int
    kind: str
    notes: typing.List[str]
    names: typing.Sequence[str]  # what the values are called in its bundle, sorted
    left_out: typing.Sequence[typing.Tuple[str, int]] = ()


class _NotConvertible(Exception):
    """A variable is used in a way that only a reference variable can be; the text names the node."""


def write(saved_model_path, graph, inputs, outputs, checkpoint_prefix, kind=RESOURCE, also_keep=(), extra_assets=None):
    """Composes a SavedModel and places it; see ``compose`` and ``place`` for the arguments.

    Args:
        checkpoint_prefix: str, a checkpoint that has the values under the names of the variables.

    Returns:
        ``Written``.
    """
    composed = compose(graph, inputs, outputs, kind, also_keep)
    return place(saved_model_path, composed, checkpoint_prefix, extra_assets=extra_assets)


def compose(graph, inputs, outputs, kind=RESOURCE, also_keep=(), changes=()):
    """Returns the ``Composed`` graph of a SavedModel; it is the same whatever the weights are.

    The signature is the one that upstream's ``write_saved_model`` writes: key
    ``serving_default``, method ``tensorflow/serving/predict``, tag ``serve``.

    Args:
        graph: tf.Graph, the inference graph with its variables.
        inputs: the input placeholder (tf.Tensor), which gets the key ``inputs``,
            or a dict of them (side inputs).
        outputs: dict from key to tf.Tensor.
        kind: 'resource' or 'reference', how variables are written.
        also_keep: iterable of node names to keep beside what the outputs need;
            names that the graph does not have are passed over.
        changes: list of functions that are given the ``MetaGraphDef``, with its
            signature, change it, and may return a list of notes for the user.
    """
    notes = []
    saved_model = None
    if kind == RESOURCE:
        try:
            saved_model, kept = _saved_model(graph, inputs, outputs, also_keep, True, changes, notes)
        except _NotConvertible as error:
            notes.append('variables stay references: {}'.format(error))
            kind = REFERENCE
    if saved_model is None:
        saved_model, kept = _saved_model(graph, inputs, outputs, also_keep, False, changes, notes)
    return Composed(
        content=serialized(saved_model),
        num_variables=len(kept),
        num_nodes=len(saved_model.meta_graphs[0].graph_def.node),
        kind=kind,
        notes=notes,
        names=sorted(set(map(_saved_name, kept.values()))),
        left_out=[(variable.op.name, (variable.get_shape().num_elements() or 0) * variable.dtype.base_dtype.size)
                  for variable in _variables(graph) if variable.name not in kept])


def variables_read(graph, roots):
    """Returns the set of names, as a checkpoint has them, of the variables that nodes need.

    Args:
        graph: tf.Graph.
        roots: iterable of names of nodes; those that the graph does not have are passed over.
    """
    operations = {operation.name: operation for operation in graph.get_operations()}
    needed = _closure(operations, [name for name in roots if name in operations], {})
    return {_saved_name(proto) for _, proto in _read_among(graph, needed)}


def revise(saved_model_path, changes, assets):
    """Changes a SavedModel that the release wrote.

    Args:
        saved_model_path: str, its folder.
        changes: list of functions that are given its ``MetaGraphDef``, and may return notes for the user.
        assets: dict from file name to bytes, for ``assets/``.

    Returns:
        list of str, the notes.
    """
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import meta_graph as tf_meta_graph
    gfile = _tensorflow.gfile()
    path = os.path.join(saved_model_path, 'saved_model.pb')
    with gfile.GFile(path, 'rb') as model_file:
        saved_model = saved_model_pb2.SavedModel.FromString(model_file.read())
    meta_graph, = saved_model.meta_graphs
    notes = [note for change in changes for note in change(meta_graph) or ()]
    meta_graph.meta_info_def.stripped_op_list.CopyFrom(tf_meta_graph.stripped_op_list_for_graph(meta_graph.graph_def))
    _write_files(saved_model_path, 'assets', assets)
    with gfile.GFile(path, 'wb') as model_file:
        model_file.write(serialized(saved_model))
    return notes


def place(saved_model_path, composed, checkpoint_prefix, sources=None, extra_assets=None, assets=None):
    """Writes a SavedModel with variables: ``saved_model.pb``, ``variables/``, ``assets/``, ``assets.extra/``.

    Args:
        saved_model_path: str, directory to write; made where it is missing.
        composed: ``Composed``.
        checkpoint_prefix: str, the checkpoint that holds the values, perhaps beside others.
        sources: dict from the name of a variable to the name of its value in
            the checkpoint; None where that is the same.
        extra_assets: dict from file name to bytes, for ``assets.extra/``.
        assets: dict from file name to bytes, for ``assets/``.

    Returns:
        ``Written``.

    Raises:
        od_patch.InputRefused: the checkpoint is damaged.
    """
    gfile = _tensorflow.gfile()
    variables_directory = os.path.join(saved_model_path, 'variables')
    gfile.MakeDirs(variables_directory)
    num_bytes = 0
    if composed.names:  # else the folder stays empty, as that of a frozen SavedModel
        num_bytes = _bundle_writer.copy_tensors(
            checkpoint_prefix, {name: name if sources is None else sources[name] for name in composed.names},
            os.path.join(variables_directory, 'variables'))

    _write_files(saved_model_path, 'assets', assets)
    _write_files(saved_model_path, 'assets.extra', extra_assets)
    # Last, so that a directory with a saved_model.pb is a whole SavedModel.
    with gfile.GFile(os.path.join(saved_model_path, 'saved_model.pb'), 'wb') as model_file:
        model_file.write(composed.content)
    return Written(composed.num_variables, num_bytes, composed.num_nodes, composed.kind, composed.notes,
                   composed.left_out)


def _write_files(saved_model_path, folder, contents):
    """Writes files, a dict from name to bytes or None, into a folder of a SavedModel, which is made for them."""
    gfile = _tensorflow.gfile()
    for name, content in sorted((contents or {}).items()):
        gfile.MakeDirs(os.path.join(saved_model_path, folder))
        with gfile.GFile(os.path.join(saved_model_path, folder, name), 'wb') as asset_file:
            asset_file.write(content)


def signature(inputs, outputs):
    """Returns upstream's ``SignatureDef`` for these tensors.

    Args:
        inputs: tf.Tensor, or dict from key to tf.Tensor.
        outputs: dict from key to tf.Tensor.
    """
    utils = _tensorflow.tf1().saved_model.utils
    if not isinstance(inputs, dict):
        inputs = {INPUT: inputs}
    return _tensorflow.tf1().saved_model.signature_def_utils.build_signature_def(
        inputs={key: utils.build_tensor_info(tensor) for key, tensor in inputs.items()},
        outputs={key: utils.build_tensor_info(tensor) for key, tensor in outputs.items()},
        method_name='tensorflow/serving/predict')


def _saved_model(graph, inputs, outputs, also_keep, as_resources, changes, notes):
    """Returns (``SavedModel``, {name of each variable in it: its ``VariableDef``}).

    It has one MetaGraph, in which everything is made: copies cost memory.

    Raises:
        _NotConvertible: a variable cannot be written as a resource.
    """
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import meta_graph as tf_meta_graph
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = saved_model.meta_graphs.add()
    graph_def = meta_graph.graph_def
    input_tensors = inputs.values() if isinstance(inputs, dict) else [inputs]
    roots = {tensor.op.name for tensor in list(input_tensors) + list(outputs.values())}
    kept = _prune(graph, roots, also_keep, graph_def)
    variables = list(kept.values())
    if as_resources:
        _make_resources(graph_def, variables)
    if variables:
        meta_graph.saver_def.CopyFrom(_add_saver(graph_def, variables))
    meta_graph.signature_def[SIGNATURE].CopyFrom(signature(inputs, outputs))
    for change in changes:
        notes.extend(change(meta_graph) or ())

    meta_graph.meta_info_def.tags.append('serve')
    version, git_version = _tensorflow.versions()
    meta_graph.meta_info_def.tensorflow_version = version
    meta_graph.meta_info_def.tensorflow_git_version = git_version
    meta_graph.meta_info_def.stripped_op_list.CopyFrom(tf_meta_graph.stripped_op_list_for_graph(meta_graph.graph_def))
    # A server of an older release does not know the attributes that newer ones added, and needs none of those that have
    # their default value. Sets meta_info_def.stripped_default_attrs, too. TF 1.7 and later; private in 1.12.
    strip = getattr(tf_meta_graph, 'strip_graph_default_valued_attrs', None) or getattr(
        tf_meta_graph, '_strip_graph_default_valued_attrs', None)
    if strip:
        strip(meta_graph)

    tf = _tensorflow.tf1()
    trainable = {variable.name for variable in graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)}
    for name, proto in kept.items():
        collections_of_it = [tf.GraphKeys.GLOBAL_VARIABLES]
        if name in trainable:
            collections_of_it.append(tf.GraphKeys.TRAINABLE_VARIABLES)
        for collection in collections_of_it:
            meta_graph.collection_def[collection].bytes_list.value.append(proto.SerializeToString())
    return saved_model, kept


def serialized(saved_model):
    """Returns the bytes of a ``SavedModel`` of one MetaGraph, the same each time; ``serving_default`` comes first.

    Some readers take the first signature that they find (tf2onnx does), in the
    order of the bytes where protobuf's Python keeps that. Sorted, ``encoded_image_bytes`` would be the first.
    """
    meta_graph, = saved_model.meta_graphs
    others = sorted(set(meta_graph.signature_def) - {SIGNATURE})
    if not others or SIGNATURE not in meta_graph.signature_def:
        return saved_model.SerializeToString(deterministic=True)
    signatures = type(meta_graph)()
    for key in others:
        signatures.signature_def[key].CopyFrom(meta_graph.signature_def[key])
        del meta_graph.signature_def[key]
    # What is read of two messages, one behind the other, is one message with the fields of both.
    content = meta_graph.SerializeToString(deterministic=True) + signatures.SerializeToString(deterministic=True)
    for key in others:
        meta_graph.signature_def[key].CopyFrom(signatures.signature_def[key])
    version = type(saved_model)(saved_model_schema_version=saved_model.saved_model_schema_version)
    # The field meta_graphs, number 2, is a message: its length goes before it.
    return version.SerializeToString() + b'\x12' + _bundle_writer.varint(len(content)) + content


def _variables(graph):
    """Returns the global variables of a graph, in the order of their collection."""
    return graph.get_collection(_tensorflow.tf1().GraphKeys.GLOBAL_VARIABLES)


def _read_among(graph, needed):
    """Returns [(name of a variable, its ``VariableDef``)] of those whose nodes are among ``needed``, in their order."""
    found = []
    for variable in _variables(graph):
        proto = variable.to_proto()
        if _node_name(proto.variable_name) in needed:
            found.append((variable.name, proto))
    return found


def _node_name(tensor_name):
    """Returns the node that a tensor name (``a/b:0``), an input (``^a/b``) or an operation name means."""
    return tensor_name.lstrip('^').split(':')[0]


def _prune(graph, roots, also_keep, pruned):
    """Fills the GraphDef ``pruned`` with what ``roots`` and ``also_keep`` depend on, in the order of their making.

    Node by node, each as bytes until it is known what stays: the messages of a
    whole graph take six times as much memory as its bytes.

    Args:
        graph: tf.Graph.
        roots: set of names of nodes.
        also_keep: iterable of names; those that the graph does not have are passed over.
        pruned: ``GraphDef`` to fill.

    Returns:
        OrderedDict from name to ``VariableDef`` of the global variables that these nodes read.
    """
    operations = collections.OrderedDict((operation.name, operation) for operation in graph.get_operations())
    needed = _closure(operations, list(roots) + [name for name in also_keep if name in operations], {})
    kept = collections.OrderedDict(_read_among(graph, needed))
    # A loader that finds a variable in the collection looks these up, and raises KeyError for a missing one. The nodes
    # that draw random initial values are not among them: _add_saver gives the variables other initialisers.
    looked_up = {_node_name(name) for variable in kept.values()
                 for name in (variable.variable_name, variable.snapshot_name) if name}
    _closure(operations, looked_up, needed)
    pruned.versions.CopyFrom(graph.graph_def_versions)
    if any(map(_may_call_functions, {node.op for node in needed.values()})):
        pruned.library.CopyFrom(graph.as_graph_def().library)
    merged = _merged([(name, needed[name].constant) for name in operations
                      if name in needed and needed[name].constant is not None], roots.union(also_keep, looked_up))
    for name in operations:
        if name in needed and name not in merged:
            node = pruned.node.add()
            node.MergeFromString(needed[name].content)
            node.device = ''
            for hint in _HINTS:
                if hint in node.attr:
                    del node.attr[hint]
            _follow(node, merged)
    return kept


class _Node(typing.NamedTuple):
    """A node that is needed."""

    op: str
    content: bytes  # its ``NodeDef``
    constant: typing.Any  # of a Const, what those that are alike have in common; None of others


def _closure(operations, names, needed):
    """Adds the nodes of these names, and all that they depend on, to ``needed``, {name: ``_Node``}; returns that.

    Args:
        operations: dict from name to tf.Operation.
        names: iterable of names.
        needed: dict to add to; what is in it has been followed.
    """
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            node = operations[name].node_def
            constant = None
            if node.op == 'Const':
                constant = tuple(sorted(node.input)), node.attr['value'].SerializeToString(deterministic=True)
            needed[name] = _Node(node.op, node.SerializeToString(), constant)
            waiting.extend(map(_node_name, node.input))
    return needed


def _may_call_functions(op):
    """Returns whether nodes of this op may need the graph's function library."""
    op_def = _op_def(op)
    return op_def is None or any(attr.type in ('func', 'list(func)') for attr in op_def.attr)


def _merged(constants, named):
    """Returns, for Consts that have the same value and wait for the same nodes, which one is to stand for them.

    Every slice, reshape and loop brings its own; they are a third of a
    detector's nodes, and loading takes as long as there are nodes. Consts in a
    loop wait for a node of it, so that those of different loops stay apart.

    Args:
        constants: list of (name, what those that are alike have in common).
        named: set of names of nodes that somebody may look up, which stay.

    Returns:
        dict from the name of a Const that goes to that of the one that stays.
    """
    first = {}
    merged = {}
    for name, alike in constants:
        if name not in named:
            kept = first.setdefault(alike, name)
            if kept != name:
                merged[name] = kept
    return merged


def _follow(node, merged):
    """Makes a node take its inputs from the Consts that stay; ``merged`` as ``_merged`` returns it."""
    # A loop's back edge comes as name:0 where a node is asked for by itself, and as the name alone in a whole graph.
    inputs = [name[:-len(':0')] if name.endswith(':0') else name for name in node.input]
    inputs = [name if _node_name(name) not in merged else
              ('^' if name.startswith('^') else '') + merged[_node_name(name)] for name in inputs]
    if inputs != list(node.input):
        controls = collections.OrderedDict.fromkeys(name for name in inputs if name.startswith('^'))
        node.input[:] = [name for name in inputs if not name.startswith('^')] + list(controls)


def _make_resources(graph_def, variables):
    """Rewrites reference variables of a GraphDef, and their ``VariableDef``s, as resource variables, in place.

    ``VariableV2`` becomes ``VarHandleOp``, the ``Assign`` of the initialiser
    ``AssignVariableOp``, an ``Identity`` of the variable ``ReadVariableOp``. Any
    other op that reads the variable's value gets it through such a read.
    """
    references = {node.name: node for node in graph_def.node if node.op in _REFERENCE_OPS}
    dtypes = {name: node.attr['dtype'].type for name, node in references.items()}
    initializers = {_node_name(variable.initializer_name) for variable in variables if variable.initializer_name}
    snapshots = {}
    readers = []
    for node in graph_def.node:
        uses = [position for position, name in enumerate(node.input)
                if not name.startswith('^') and _node_name(name) in references]
        if not uses:
            continue
        variable_name = _node_name(node.input[uses[0]])
        if node.op == 'Identity':
            _become(node, 'ReadVariableOp', dtype=dtypes[variable_name])
            snapshots.setdefault(variable_name, node.name)
        elif node.op == 'Assign' and node.name in initializers and uses == [0]:
            _become(node, 'AssignVariableOp', dtype=dtypes[variable_name])
        else:
            readers.append((node, uses))
    _decline_uses_of_assignments(graph_def, initializers)
    for node, uses in readers:
        _decline_writers(node, uses)
        for position in uses:
            variable_name = _node_name(node.input[position])
            if variable_name not in snapshots:
                snapshots[variable_name] = _add_read(graph_def, variable_name, dtypes[variable_name])
            node.input[position] = snapshots[variable_name]
    for name, node in references.items():
        # The handle is looked up by its shared name; an empty one would mean the node's own.
        node.op = 'VarHandleOp'
        node.attr['shared_name'].s = name.encode('utf-8')
    for variable in variables:
        if _node_name(variable.variable_name) in references:
            variable.is_resource = True


def _become(node, op, dtype):
    """Turns a node into another op that has only a ``dtype`` attribute; its name and inputs stay."""
    node.op = op
    node.attr.clear()
    node.attr['dtype'].type = dtype


def _add_read(graph_def, variable_name, dtype):
    """Adds a ``ReadVariableOp`` for a variable that had no reading node of its own; returns its name."""
    read = graph_def.node.add(name=unused_name(graph_def, variable_name + '/Read/ReadVariableOp'), op='ReadVariableOp')
    read.input.append(variable_name)
    read.attr['dtype'].type = dtype
    return read.name


def _decline_uses_of_assignments(graph_def, initializers):
    """Declines graphs that read the output of an assignment: ``AssignVariableOp`` has none."""
    for node in graph_def.node:
        for name in node.input:
            if not name.startswith('^') and _node_name(name) in initializers:
                raise _NotConvertible('{} ({}) reads the result of the assignment {}'.format(node.name, node.op, name))


def _decline_writers(node, uses):
    """Declines ops that take a variable by reference, such as ``AssignAdd`` or ``ScatterUpdate``."""
    op_def = _op_def(node.op)
    if op_def is None or any(arg.is_ref for arg in op_def.input_arg):
        raise _NotConvertible('{} ({}) takes {} by reference'.format(node.name, node.op, node.input[uses[0]]))


def _op_def(op):
    """Returns the ``OpDef`` of an op in the installed TensorFlow, or None."""
    from tensorflow.python.framework import op_def_registry
    if hasattr(op_def_registry, 'get'):  # TF 1.15 and later
        return op_def_registry.get(op)
    return op_def_registry.get_registered_ops().get(op)


def unused_name(graph_def, wanted):
    """Returns ``wanted``, with a number where a node or a scope of that name is there already."""
    taken = [node.name + '/' for node in graph_def.node]
    name = wanted
    number = 0
    while any(other.startswith(name + '/') for other in taken):
        number += 1
        name = '{}_{}'.format(wanted, number)
    return name


def _add_saver(graph_def, variables):
    """Adds one save/restore subgraph for ``variables`` to a GraphDef; returns its ``SaverDef``.

    Loaders feed the file name and run the restore op; a session that loaded the
    model can save it again through the save op. A variable's initialiser becomes
    the assignment of what is restored (TensorFlow 2 does the same to what it
    loads): a third of a detector's nodes draw initial values that nobody wants,
    and running the initialisers of a loaded model is an error then, where it
    would replace the weights by random numbers.
    """
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saver_pb2
    tf = _tensorflow.tf1()
    scope = unused_name(graph_def, 'save')
    nodes = {node.name: node for node in graph_def.node}

    def add(name, op, inputs=()):
        node = graph_def.node.add(name='{}/{}'.format(scope, name), op=op)
        node.input.extend(inputs)
        return node

    def add_strings(name, values, shape):
        node = add(name, 'Const')
        node.attr['dtype'].type = types_pb2.DT_STRING
        node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(values, dtype=tf.string, shape=shape))
        return node.name

    variables = sorted(variables, key=_saved_name)
    filename = add_strings('Const', ['model'], [])
    names = add_strings('tensor_names', [_saved_name(variable) for variable in variables], [len(variables)])
    slices = add_strings('shape_and_slices', [_slice_spec(variable) for variable in variables], [len(variables)])
    handles = [_node_name(variable.variable_name) for variable in variables]
    dtypes = [nodes[handle].attr['dtype'].type for handle in handles]

    save = add('SaveV2', 'SaveV2', [filename, names, slices] + [
        _node_name(variable.snapshot_name) if variable.is_resource else handle
        for variable, handle in zip(variables, handles)])
    save.attr['dtypes'].list.type.extend(dtypes)
    saved = add('control_dependency', 'Identity', [filename, '^' + save.name])
    saved.attr['T'].type = types_pb2.DT_STRING

    restore = add('RestoreV2', 'RestoreV2', [filename, names, slices])
    restore.attr['dtypes'].list.type.extend(dtypes)
    assignments = []
    for number, (variable, handle, dtype) in enumerate(zip(variables, handles, dtypes)):
        value = '{}:{}'.format(restore.name, number) if number else restore.name
        if variable.is_resource:
            assign = add('Assign_{}'.format(number), 'AssignVariableOp', [handle, value])
            assign.attr['dtype'].type = dtype
        else:
            assign = add('Assign_{}'.format(number), 'Assign', [handle, value])
            assign.attr['T'].type = dtype
            assign.attr['use_locking'].b = True
            assign.attr['validate_shape'].b = True
        assignments.append('^' + assign.name)
        variable.initializer_name = assign.name
        variable.initial_value_name = value if number else value + ':0'
    restore_all = add('restore_all', 'NoOp', assignments)
    return saver_pb2.SaverDef(
        filename_tensor_name=filename + ':0',
        save_tensor_name=saved.name + ':0',
        restore_op_name=restore_all.name,
        max_to_keep=5,
        version=saver_pb2.SaverDef.V2)


def _saved_name(variable):
    """Returns the name under which ``tf.train.Saver`` saves a variable."""
    if variable.HasField('save_slice_info_def'):
        return variable.save_slice_info_def.full_name
    return _node_name(variable.variable_name)


def _slice_spec(variable):
    """Returns the slice of the saved tensor that is this variable; empty for all of it."""
    if not variable.HasField('save_slice_info_def'):
        return ''
    info = variable.save_slice_info_def
    return '{} {}'.format(' '.join(str(size) for size in info.full_shape),
                          ':'.join('{},{}'.format(*part) for part in zip(info.var_offset, info.var_shape)))
