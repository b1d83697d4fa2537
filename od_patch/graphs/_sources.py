"""Whatever a user has of a graph, brought to one shape: a GraphDef without variables, and what stood beside it.

Reads frozen graphs (binary or text), SavedModels, ``.meta`` files with their
checkpoint, and export directories. What the bytes cannot be is said in words.
It compares nothing and opens no session.
"""
import functools
import os
import typing

from od_patch._errors import InputRefused
from od_patch.graphs import _calls
from od_patch.graphs import _formats
from od_patch.graphs import _freezing
from od_patch.graphs import _graph

LIMIT = 1 << 31  # bytes: what a protobuf can hold

VARIABLE_OPS = frozenset(['Variable', 'VariableV2', 'VarHandleOp', 'TemporaryVariable', 'AutoReloadVariable'])


class HoldsVariables(InputRefused):
    """A graph with variables, where one of constants is expected."""


class Source:
    """A graph as it was found.

    Attributes:
        path: str, as the user typed it.
        file: str, the file that was read.
        kind: str, 'frozen graph', 'SavedModel', 'MetaGraph'.
        graph_def: ``GraphDef``, its variables replaced by Consts where a checkpoint had them.
        outputs, inputs: lists of (name, tensor name) of the signature, or None.
        made_by: dict, what the file itself says of the TensorFlow that wrote it.
        bytes: int, the size of the file (and of the weights read beside it).
    """

    def __init__(
            self, path: str, file: str, kind: str, graph_def: typing.Any,
            outputs: typing.Optional[typing.List[typing.Tuple[str, str]]] = None,
            made_by: typing.Optional[typing.Dict[str, str]] = None, size: int = 0,
            inputs: typing.Optional[typing.List[typing.Tuple[str, str]]] = None) -> None:
        self.path, self.file, self.kind, self.graph_def = path, file, kind, graph_def
        self.outputs, self.made_by, self.bytes, self.inputs = outputs, made_by or {}, size, inputs

    def graph(self, outputs: typing.Optional[typing.List[str]] = None) -> _graph.Graph:
        """The ``Graph``; ``outputs`` is a list of names that the user gave, or None."""
        wanted = [(name, name) for name in outputs] if outputs else self.outputs
        return _graph.build(self.graph_def, self.path, wanted, _known_here, _inputs_needed, self.inputs)


def _known_here(op: str) -> bool:
    """Whether the TensorFlow at hand has this op registered (it knows ops that plugins have added)."""
    return _definition(op) is not None


def _definition(op: str) -> typing.Any:
    try:
        from tensorflow.python.framework import op_def_registry
    except ImportError:
        return None
    if hasattr(op_def_registry, 'get'):
        return op_def_registry.get(op)
    return op_def_registry.get_registered_ops().get(op)


# Inputs of ops that rules read by position and that an old TensorFlow at hand does not know.
_NEWER = {'AddV2': 2, 'FusedBatchNormV2': 5, 'FusedBatchNormV3': 5, 'GatherV2': 3, 'NonMaxSuppressionV3': 5,
          'NonMaxSuppressionV4': 5, 'NonMaxSuppressionV5': 6}


@functools.lru_cache(maxsize=None)
def _arguments(op: str) -> typing.Tuple[int, typing.Tuple[typing.Tuple[str, int], ...], typing.Tuple[str, ...]]:
    """(how many inputs always, (attribute that counts more, its minimum) …, attributes that list the types of more)."""
    definition = _definition(op)
    if definition is None:
        return _NEWER.get(op, 0), (), ()
    least = {attr.name: attr.minimum for attr in definition.attr}
    counted = tuple((arg.number_attr, least[arg.number_attr]) for arg in definition.input_arg if arg.number_attr)
    listed = tuple(arg.type_list_attr for arg in definition.input_arg if arg.type_list_attr)
    return len(definition.input_arg) - len(counted) - len(listed), counted, listed


def _inputs_needed(node: typing.Any) -> typing.Tuple[int, typing.Optional[int]]:
    """(least, most) data inputs of a ``NodeDef``; no release has changed that for an op of one name.

    ``most`` is None where nothing says so: of ops that are not known here, and of those that take any number.
    """
    number, counted, listed = _arguments(node.op)
    exact = not counted and not listed and (number or _definition(node.op) is not None)
    for name, least in counted:
        number += max(least, node.attr[name].i if name in node.attr else 0)
    for name in listed:
        if name in node.attr:
            number += len(node.attr[name].list.type)
    return number, number if exact else None


def locate(path: str) -> str:
    """The file to read for a path that may be a directory."""
    if not os.path.exists(path):
        raise InputRefused('{}: there is no such file or directory.'.format(path),
                           'Give a frozen .pb, a SavedModel, a .meta file or an export directory.')
    if not os.path.isdir(path):
        return path
    for name in ('frozen_inference_graph.pb', 'saved_model.pb', 'saved_model.pbtxt',
                 os.path.join('saved_model', 'saved_model.pb'), 'frozen_inference_graph.pbtxt', 'model.ckpt.meta'):
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    raise InputRefused(
        '{}: the directory holds neither frozen_inference_graph.pb nor saved_model.pb nor model.ckpt.meta '
        '(it holds {}).'.format(path, ', '.join(sorted(os.listdir(path))[:6]) or 'nothing'),
        'Give the output directory of an export, or the file itself.')


def read_bytes(path: str) -> bytes:
    """The bytes of a file that protobuf can hold."""
    try:
        size = os.path.getsize(path)
        if size >= LIMIT:
            raise InputRefused(
                '{}: {:,} bytes are more than the 2 GiB that one protobuf can hold, so this is no whole GraphDef.'
                .format(path, size), 'Export it as a SavedModel with variables (od-patch\'s export has no such limit).')
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as error:
        raise InputRefused('{}: cannot be read: {}.'.format(path, error.strerror or error), 'Check the path.')
    if not data:
        raise InputRefused('{}: the file is empty.'.format(path), 'The export or the copy did not finish: do it again.')
    return data


def _is_text(data: bytes) -> bool:
    head = data[:4096]
    return not any(byte < 9 or 13 < byte < 32 for byte in bytearray(head)) and (b'{' in head or b':' in head)


def load(path: str) -> Source:
    """Reads ``path`` and returns its ``Source``.

    Raises:
        InputRefused: the file is missing, damaged, of another kind, or its variables have no values.
    """
    from tensorflow.core.framework import graph_pb2
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow.core.protobuf import saved_model_pb2
    file = locate(path)
    data = read_bytes(file)
    size = len(data)
    data = _formats.unpacked(file, data, LIMIT)
    if data[:2] in (b'\xff\xfe', b'\xfe\xff'):  # text as some editors write it
        data = data.decode('utf-16', 'replace').encode('utf-8')
    if _is_text(data):
        kind, message = _parse_text(file, data, graph_pb2, meta_graph_pb2, saved_model_pb2)
    else:
        kind, message = _parse_binary(file, data, graph_pb2, meta_graph_pb2, saved_model_pb2)
    del data
    if kind == 'frozen graph':
        source = Source(path, file, kind, message, size=size)
        _refuse_variables(source, message.node)
        return source
    if kind == 'SavedModel':
        return _from_saved_model(path, file, message, size)
    return _from_meta_graph(path, file, message, size)


def _parse_binary(
        file: str, data: bytes, graph_pb2: typing.Any, meta_graph_pb2: typing.Any,
        saved_model_pb2: typing.Any) -> typing.Tuple[str, typing.Any]:
    from google.protobuf import message as protobuf
    kinds = [('frozen graph', graph_pb2.GraphDef), ('SavedModel', saved_model_pb2.SavedModel),
             ('MetaGraph', meta_graph_pb2.MetaGraphDef)]
    base = os.path.basename(file)
    if base.endswith('.meta'):
        kinds = kinds[2:] + kinds[:2]
    elif base == 'saved_model.pb' or data[:1] == b'\x08':
        kinds = [kinds[1], kinds[0], kinds[2]]
    for kind, message_type in kinds:
        message = message_type()
        try:
            message.ParseFromString(data)
        except (protobuf.DecodeError, UnicodeDecodeError, RuntimeError):
            continue
        if _plausible(kind, message):
            return kind, message
    raise InputRefused(
        '{}: {:,} bytes that are neither a GraphDef nor a SavedModel nor a MetaGraphDef.'.format(file, len(data)),
        'It is cut off, or of another kind: copy it again, and compare its size with the original\'s.')


def _plausible(kind: str, message: typing.Any) -> bool:
    if kind == 'frozen graph':
        return len(message.node) > 0 and all(node.op and node.name for node in message.node)
    if kind == 'SavedModel':
        return len(message.meta_graphs) > 0
    return len(message.graph_def.node) > 0


def _parse_text(
        file: str, data: bytes, graph_pb2: typing.Any, meta_graph_pb2: typing.Any,
        saved_model_pb2: typing.Any) -> typing.Tuple[str, typing.Any]:
    from google.protobuf import text_format
    try:
        text = data.decode('utf-8-sig')  # without the mark that some editors begin a file with
    except UnicodeDecodeError as error:
        raise InputRefused('{}: looks like text but is not UTF-8 ({}).'.format(file, error), 'Copy the file again.')
    heads = {'node': ('frozen graph', graph_pb2.GraphDef), 'versions': ('frozen graph', graph_pb2.GraphDef),
             'library': ('frozen graph', graph_pb2.GraphDef),
             'saved_model_schema_version': ('SavedModel', saved_model_pb2.SavedModel),
             'meta_graphs': ('SavedModel', saved_model_pb2.SavedModel),
             'meta_info_def': ('MetaGraph', meta_graph_pb2.MetaGraphDef),
             'graph_def': ('MetaGraph', meta_graph_pb2.MetaGraphDef)}
    head = ''
    for line in text.splitlines():
        head = line.split('#')[0].strip().split('{')[0].split(':')[0].strip()
        if head:
            break
    if head not in heads:
        raise InputRefused(
            '{}: is text, but not of a graph: it begins with {!r}, where a GraphDef\'s text begins with "node {{".'
            .format(file, head[:40]),
            'Give the frozen graph, not a config, a label map or a web page saved in its place.')
    kind, message_type = heads[head]
    message = message_type()
    try:
        text_format.Merge(text, message)
    except (text_format.ParseError, ValueError) as error:  # ValueError: a number that its field cannot hold
        raise InputRefused('{}: is the text of a graph, but cannot be read: {}.'.format(file, error),
                           'It is cut off, or was written by a newer TensorFlow: give the binary .pb.')
    if not _plausible(kind, message):
        raise InputRefused('{}: is the text of a {} without nodes.'.format(file, kind), 'Export it again.')
    if kind == 'frozen graph':
        _refuse_opencv(file, message)
    return kind, message


# Layers that OpenCV's scripts (tf_text_graph_ssd.py and its like) write into the text beside a frozen graph.
_OPENCVS = frozenset(['DetectionOutput', 'PriorBox', 'Proposal'])


def _refuse_opencv(file: str, graph_def: typing.Any) -> None:
    """OpenCV reads the weights from the .pb that lies beside its text; the text alone is no model."""
    names = {node.name for node in graph_def.node}
    weightless = any(text.lstrip('^').split(':')[0] not in names for node in graph_def.node for text in node.input)
    if weightless or any(node.op in _OPENCVS for node in graph_def.node):
        if not any(node.op == 'Const' and node.attr['value'].tensor.ByteSize() > 1000 for node in graph_def.node):
            raise InputRefused(
                '{}: is a description of a graph without its weights, such as OpenCV reads beside the .pb.'.format(
                    file),
                'Give the frozen .pb that the .pbtxt was made for.')


def _refuse_variables(source: Source, nodes: typing.Any) -> None:
    found = [node.name for node in nodes if node.op in VARIABLE_OPS]
    if not found:
        return
    if source.kind == 'SavedModel':
        raise HoldsVariables(
            '{}: the SavedModel holds {} variables (the first is {!r}), not frozen constants, so there are no weights '
            'in the graph to compare.'.format(source.path, len(found), found[0]),
            'Freeze it first:  od-patch freeze {} --output frozen_inference_graph.pb'.format(
                os.path.dirname(source.file) or '.'))
    raise HoldsVariables(
        '{}: the graph holds {} variables (the first is {!r}), not frozen constants.'.format(
            source.path, len(found), found[0]),
        'Give frozen_inference_graph.pb, or the .meta file beside its checkpoint.')


def _meta_info(meta_graph: typing.Any) -> typing.Dict[str, str]:
    info = meta_graph.meta_info_def
    return {key: value for key, value in (('tensorflow_version', info.tensorflow_version),
                                          ('tensorflow_git_version', info.tensorflow_git_version)) if value}


def serving_meta_graph(file: str, saved_model: typing.Any) -> typing.Any:
    """The MetaGraphDef with tag serve, or the only one there is."""
    for meta_graph in saved_model.meta_graphs:
        if 'serve' in meta_graph.meta_info_def.tags:
            return meta_graph
    if len(saved_model.meta_graphs) == 1:
        return saved_model.meta_graphs[0]
    raise InputRefused('{}: none of its {} graphs has the tag "serve".'.format(file, len(saved_model.meta_graphs)),
                       'Give a SavedModel that was exported for serving.')


def signature_outputs(meta_graph: typing.Any) -> typing.Optional[typing.List[typing.Tuple[str, str]]]:
    """List of (name, tensor name) of the serving signature, or None where there is none."""
    signature = _signature(meta_graph)
    if signature is None:
        return None
    return sorted((name, info.name) for name, info in signature.outputs.items() if info.name) or None


def signature_inputs(meta_graph: typing.Any) -> typing.Optional[typing.List[typing.Tuple[str, str]]]:
    """List of (name, tensor name) of the serving signature's inputs, or None where there is no signature."""
    signature = _signature(meta_graph)
    return None if signature is None else sorted(
        (name, info.name) for name, info in signature.inputs.items() if info.name)


def serving_graph(meta_graph: typing.Any) -> typing.Any:
    """The GraphDef as its serving signature sees it, changed in place.

    What other signatures alone need, such as a decoder of images and what
    depends on it, is no part of this one, and is removed. In SavedModels of
    earlier od-patch the decoder is the default of the placeholder that this
    signature feeds; such a placeholder becomes a plain one.
    """
    graph_def = meta_graph.graph_def
    fed = {name.split(':')[0] for _, name in signature_inputs(meta_graph) or ()}
    ops = {node.name: node.op for node in graph_def.node}
    for node in graph_def.node:
        if node.name in fed and node.op == 'PlaceholderWithDefault' and any(
                ops[name] == 'Placeholder' for name in _freezing.needed(graph_def, node.input)):
            node.op = 'Placeholder'
            del node.input[:]
    _leave_out_other_signatures(meta_graph)
    return graph_def


def _leave_out_other_signatures(meta_graph: typing.Any) -> None:
    """Removes the nodes that only signatures beside the serving one need."""
    graph_def, own = meta_graph.graph_def, _signature(meta_graph)
    others = _freezing.needed(graph_def, [
        info.name for signature in meta_graph.signature_def.values() if signature != own
        for info in list(signature.inputs.values()) + list(signature.outputs.values())]) if own is not None else ()
    if not others:
        return
    others -= _freezing.needed(
        graph_def, [info.name for info in list(own.inputs.values()) + list(own.outputs.values())])
    # A variable of another signature is saved and restored, too: what anybody else takes stays.
    others -= _freezing.needed(graph_def, [node.name for node in graph_def.node if node.name not in others])
    if others:
        kept = [node for node in graph_def.node if node.name not in others]
        rest = type(graph_def)()
        rest.node.extend(kept)
        del graph_def.node[:]
        graph_def.node.extend(rest.node)


def _signature(meta_graph: typing.Any) -> typing.Any:
    signatures = meta_graph.signature_def
    key = 'serving_default' if 'serving_default' in signatures else None
    if key is None:
        keys = sorted(key for key in signatures if signatures[key].outputs)
        if not keys:
            return None
        key = keys[0]
    return signatures[key]


def _from_saved_model(path: str, file: str, message: typing.Any, size: int) -> Source:
    meta_graph = serving_meta_graph(file, message)
    graph_def = serving_graph(meta_graph)
    if not len(graph_def.node):
        raise InputRefused('{}: its graph has no nodes.'.format(path), 'Export it again.')
    made_by = _meta_info(meta_graph)
    outputs, inputs = signature_outputs(meta_graph), signature_inputs(meta_graph)
    prefix = os.path.join(os.path.dirname(file), 'variables', 'variables')
    if outputs and os.path.isfile(prefix + '.index') and _calls.has_calls(meta_graph, [name for _, name in outputs]):
        graph_def, outputs, _ = _calls.frozen(meta_graph, outputs, prefix, path)
    source = Source(path, file, 'SavedModel', graph_def, outputs, made_by, size, inputs)
    _refuse_variables(source, graph_def.node)
    return source


def _from_meta_graph(path: str, file: str, message: typing.Any, size: int) -> Source:
    made_by = _meta_info(message)
    graph_def = message.graph_def
    source = Source(path, file, 'MetaGraph', graph_def, signature_outputs(message), made_by, size,
                    signature_inputs(message))
    if any(node.op in VARIABLE_OPS for node in graph_def.node):
        prefix = file[:-len('.meta')] if file.endswith('.meta') else file
        if not (os.path.exists(prefix + '.index') or os.path.exists(prefix)):
            raise InputRefused('{}: its variables have no values: there is no checkpoint {}.index beside it.'.format(
                path, prefix), 'Put the checkpoint beside it, or give the frozen graph.')
        outputs = [tensor for _, tensor in source.outputs] if source.outputs else [
            name for name in _graph.CONVENTIONAL_OUTPUTS if any(node.name == name for node in graph_def.node)]
        if not outputs:
            raise InputRefused('{}: nothing says which nodes are its outputs.'.format(path),
                               'Give the frozen graph; a training graph has no detections.')
        source.graph_def = _freezing.freeze(graph_def, prefix, outputs, path)
        source.bytes += sum(os.path.getsize(os.path.join(os.path.dirname(prefix) or '.', name))
                            for name in os.listdir(os.path.dirname(prefix) or '.')
                            if name.startswith(os.path.basename(prefix) + '.data'))
    return source


def frozen_saved_model(path: str) -> typing.Tuple[typing.Any, int, typing.List[str]]:
    """Freezes the serving graph of a SavedModel.

    Returns:
        (``GraphDef``, number of variables that are constants there, list of the names of those that no output reads).

    Raises:
        InputRefused: it is no SavedModel, has no signature, or its variables are missing or damaged.
    """
    from tensorflow.core.protobuf import saved_model_pb2
    folder = path
    if os.path.isdir(os.path.join(path, 'saved_model')) and not os.path.isfile(os.path.join(path, 'saved_model.pb')):
        folder = os.path.join(path, 'saved_model')
    file = os.path.join(folder, 'saved_model.pb')
    if not os.path.isfile(file):
        raise InputRefused('{}: there is no saved_model.pb in it.'.format(path),
                           'Give the folder saved_model of an export.')
    from google.protobuf import message
    parsed = saved_model_pb2.SavedModel()
    try:
        parsed.ParseFromString(read_bytes(file))
    except (message.DecodeError, UnicodeDecodeError, RuntimeError):
        raise InputRefused('{}: is not a whole SavedModel.'.format(file), 'Copy it again.')
    meta_graph = serving_meta_graph(file, parsed)
    outputs = signature_outputs(meta_graph)
    if not outputs:
        raise InputRefused('{}: no signature says what its outputs are.'.format(path), 'Export it again.')
    prefix = os.path.join(folder, 'variables', 'variables')
    variables = [node for node in meta_graph.graph_def.node if node.op in _freezing.VARIABLES]
    if variables and not os.path.isfile(prefix + '.index'):
        raise InputRefused('{}: it holds {} variables, but {}.index is missing.'.format(path, len(variables), prefix),
                           'Copy the folder variables too.')
    if not variables:
        raise InputRefused('{}: it holds no variables; its weights are constants already.'.format(path),
                           'Nothing needs freezing: use the graph as it is.')
    if _calls.has_calls(meta_graph, [tensor for _, tensor in outputs]):
        frozen, _, count = _calls.frozen(meta_graph, outputs, prefix, path)
        return frozen, count, []
    frozen = _freezing.freeze(serving_graph(meta_graph), prefix, [tensor for _, tensor in outputs], path)
    constants = {node.name for node in frozen.node if node.op == 'Const'}
    unread = sorted(variable.name for variable in variables if variable.name not in constants)
    return frozen, len(variables) - len(unread), unread
