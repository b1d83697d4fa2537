"""A SavedModel as its bytes say it: signature, variables, and what restores each of them.

Reads ``saved_model.pb`` and no variable; opens no session.

Not for: running it (``_models``), nor for saying what is wrong with it (``_files``).
"""
import copy
import os
import typing

from od_patch._errors import InputRefused
from od_patch.graphs import _freezing
from od_patch.graphs import _sources


class Restored(typing.NamedTuple):
    """What fills a variable: a tensor's name in the bundle, and which slice of it ('' for all)."""

    key: typing.Any
    slice_spec: typing.Any


class Servable:
    """The serving graph of a SavedModel.

    Attributes:
        folder: str, the folder that holds saved_model.pb; size: int, the bytes of that file.
        meta_graph: ``MetaGraphDef``.
        signature: ``SignatureDef`` that is served; signature_key: str.
        prefix: str, the prefix of its variables bundle.
        variables: dict of variable node name -> ``NodeDef``.
        restored: dict of variable node name -> ``Restored``: those that loading fills.
        needed: set of names of the variables that the signature's outputs need.
        restores_in_function: bool, whether the restore op calls a function (TensorFlow 2's own SavedModels), which
            is not looked into.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.size, self.meta_graph = _read(folder)
        self.signature_key, self.signature = _served(folder, self.meta_graph)
        self.prefix = os.path.join(folder, 'variables', 'variables')
        graph_def = self.meta_graph.graph_def
        self.variables = {node.name: node for node in graph_def.node
                          if node.op in _sources.VARIABLE_OPS and node.op != 'TemporaryVariable'}
        restore = self.meta_graph.saver_def.restore_op_name.split(':')[0]
        run = _freezing.needed(graph_def, [restore]) if restore else set()
        self.restored = {name: Restored(*row) for name, row in _freezing.restored_keys(graph_def, run).items()
                         if name in self.variables}
        self.restores_in_function = any(node.name in run and node.op.endswith('PartitionedCall')
                                        for node in graph_def.node)
        wanted = _freezing.needed(graph_def, [info.name for info in self.signature.outputs.values()])
        self.needed = wanted & set(self.variables)

    def of(self, signature_key: str) -> 'Servable':
        """Returns the same ``Servable`` with another of its signatures for the one that is served."""
        other = copy.copy(self)
        other.signature_key, other.signature = signature_key, self.meta_graph.signature_def[signature_key]
        return other

    @property
    def tags(self) -> typing.List[str]:
        return list(self.meta_graph.meta_info_def.tags)


def _read(folder: str) -> typing.Tuple[int, typing.Any]:
    """(bytes of saved_model.pb, its serving ``MetaGraphDef``)."""
    from google.protobuf import message
    from tensorflow.core.protobuf import saved_model_pb2
    file = os.path.join(folder, 'saved_model.pb')
    if not os.path.isfile(file):
        raise InputRefused('{}: there is no saved_model.pb in it.'.format(folder),
                           'Give the folder saved_model of an export.')
    data = _sources.read_bytes(file)
    parsed = saved_model_pb2.SavedModel()
    try:
        parsed.ParseFromString(data)
    except (message.DecodeError, UnicodeDecodeError, RuntimeError):
        parsed.Clear()
    if not parsed.meta_graphs:
        raise InputRefused('{}: {:,} bytes that are no whole SavedModel.'.format(file, len(data)), 'Copy it again.')
    return len(data), _sources.serving_meta_graph(file, parsed)


def _served(folder: str, meta_graph: typing.Any) -> typing.Tuple[str, typing.Any]:
    """(key, ``SignatureDef``) of what is served."""
    found = meta_graph.signature_def
    for key in ['serving_default'] + sorted(found):
        if key in found and found[key].outputs and found[key].inputs:
            return key, found[key]
    raise InputRefused('{}: no signature says what its inputs and outputs are.'.format(folder), 'Export it again.')
