"""SavedModels as TensorFlow 2 writes them, brought to the form of TensorFlow 1: what their signature calls is inlined.

Their signature calls a function, which is given the variables, and their restore
is a function as well. Inlined, both are graphs like any other: which variable is
restored from which tensor is seen in it. Nothing is loaded, and nothing runs.

Not for: SavedModels without calls, which are graphs already.
"""
import typing

from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.graphs import _freezing
from od_patch.tf2 import _flat

_Outputs = typing.List[typing.Tuple[str, str]]  # (key, tensor name)
_CALLS = frozenset(['PartitionedCall', 'StatefulPartitionedCall'])


def has_calls(meta_graph: _tensorflow.MetaGraph, outputs: typing.List[str]) -> bool:
    """Returns whether a MetaGraph's outputs need what a call of a function gives.

    Args:
        meta_graph: ``MetaGraphDef``; outputs: list of tensor names.
    """
    ops = {node.name: node.op for node in meta_graph.graph_def.node}
    return any(ops[name] in _CALLS for name in _freezing.needed(meta_graph.graph_def, outputs))


def frozen(
        meta_graph: _tensorflow.MetaGraph, outputs: _Outputs, prefix: str,
        where: str) -> typing.Tuple[typing.Any, _Outputs, int]:
    """Returns (``GraphDef`` with constants for variables, [(key, tensor name)], number of variables).

    Args:
        meta_graph: ``MetaGraphDef``, which is used up.
        outputs: list of (key, tensor name) of its signature; in the result each is a node of the name of its key, or
            one like it.
        prefix: str, of its variables bundle; where: str, what to call it in refusals.

    Raises:
        InputRefused: its calls cannot be inlined here, or its values are not there.
    """
    graph_def = meta_graph.graph_def
    names = {node.name for node in graph_def.node}
    named = []
    types = {key: info.dtype for key, info in _signature_outputs(meta_graph, outputs)}
    for key, tensor in outputs:
        name = key
        while name in names:
            name += '_output'
        names.add(name)
        node = graph_def.node.add(name=name, op='Identity', input=[tensor])
        node.attr['T'].type = types[key]
        named.append((key, name + ':0'))
    restore = meta_graph.saver_def.restore_op_name.split(':')[0]
    fetched = [tensor for _, tensor in named]
    if restore:
        graph_def.node.add(name='restore_of_od_patch', op='NoOp', input=['^' + restore])
        fetched.append('restore_of_od_patch')
    meta_graph.signature_def.clear()  # Grappler keeps what these name, calls as well
    meta_graph.ClearField('saver_def')
    try:
        flat = _flat.inlined(meta_graph, fetched)
    except ImportError:
        raise InputRefused('{}: its signature calls functions, which this TensorFlow cannot inline.'.format(where),
                           'Use TensorFlow 1.15 or later.')
    except Exception as error:  # pylint: disable=broad-except  (of Grappler's, which change from release to release)
        raise InputRefused('{}: the functions that its signature calls cannot be inlined: {}'.format(
            where, ' '.join(str(error).split())[:300]), 'Export it again.')
    tensors = [tensor for _, tensor in named]
    needed = _freezing.needed(flat, tensors)
    left = [node.name for node in flat.node if node.name in needed and node.op in _CALLS]
    if left:
        raise InputRefused('{}: the call {!r} cannot be inlined.'.format(where, left[0]), 'Export it again.')
    result = _freezing.freeze(flat, prefix, tensors, where)
    variables = {node.name for node in flat.node if node.op in _freezing.VARIABLES}
    return result, named, sum(1 for node in result.node if node.op == 'Const' and node.name in variables)


def _signature_outputs(
        meta_graph: _tensorflow.MetaGraph, outputs: _Outputs) -> typing.List[typing.Tuple[str, typing.Any]]:
    """Returns [(key, ``TensorInfo``)] of the signature that has these outputs."""
    for signature in meta_graph.signature_def.values():
        if sorted((key, info.name) for key, info in signature.outputs.items()) == sorted(outputs):
            return list(signature.outputs.items())
    return []
