"""Says, before a graph is run, whether it has ops that write files, run code from elsewhere, or talk to others.

Looks at the names of ops, in the graph and in its functions: at all of them, whatever the outputs need, as loading
runs some and a signature of another name may run the rest. What a saver needs (``SaveV2``) every SavedModel has; it
counts only where an output or loading comes to it.

Not for: keeping anything from being run; who runs a foreign model runs foreign code.
"""
import re

from od_patch.graphs import _freezing
from od_patch.graphs import _op_table
from od_patch.proof import _answer

_WRITE = re.compile(
    r'(WriteFile|.*ToTFRecord|Write.*Summary|CreateSummary(File|Db)Writer|ImportEvent|SaveDataset(V2)?|DistributedSave|'
    r'SnapshotDataset(V2)?|CacheDataset(V2)?|Debug(Identity|NanCount|NumericSummary)(V[23])?|PrintV2|'
    r'DumpTensor|BigtableClient|CheckpointSave.*)$')
_RUN = re.compile(r'(PyFunc|PyFuncStateless|EagerPyFunc|OpaquePyFunc|.*Shell.*|.*Exec(ute)?Command.*)$')
_TALK = re.compile(r'(Rpc|TryRpc|RpcCall|RpcClient|RpcServer.*|.*HTTP.*|DataServiceDataset.*|RegisterDataset)$')
_OF_A_SAVER = frozenset(['Save', 'SaveV2', 'SaveSlices', 'MergeV2Checkpoints'])
_KINDS = ((_WRITE, 'write files'), (_RUN, 'run code that is not in the graph'), (_TALK, 'talk to other machines'))


def found(servable, frozen):
    """Returns {what ops do: sorted list of 'op (node)'}; empty where there are none of these.

    Args:
        servable: ``_servable.Servable`` or None.
        frozen: ``GraphDef`` or None.
    """
    harm = {}
    for graph_def in ([servable.meta_graph.graph_def] if servable is not None else []) + (
            [frozen] if frozen is not None else []):
        functions = {function.signature.name for function in graph_def.library.function}
        saved = _saved_for_nothing(servable, graph_def)
        for node in list(graph_def.node) + [node for function in graph_def.library.function
                                            for node in function.node_def]:
            if node.op in _OF_A_SAVER and node.name in saved:
                continue
            kind = None if node.op in functions else _kind(node.op)
            if kind:
                harm.setdefault(kind, set()).add('{} ({})'.format(node.op, node.name))
    return {kind: sorted(names) for kind, names in harm.items()}


def checks(harm):
    """Returns the notes of what ``found`` has found, a list of ``Check``."""
    return [_answer.Check('outputs', 'ops', _answer.NOTE, 'running it may {}: {}'.format(kind, _answer.few(names)),
                          names)
            for kind, names in sorted(harm.items())]


def _kind(op):
    if op in _OF_A_SAVER:
        return 'write files'
    for pattern, kind in _KINDS:
        if pattern.match(op):
            return kind
    return None if _is_of_tensorflow(op) else 'run code of a library that is not TensorFlow\'s'


def _is_of_tensorflow(op):
    return _op_table.table()[1][op] is not None


def _saved_for_nothing(servable, graph_def):
    """Names of the saver's nodes that neither an output nor loading comes to."""
    savers = {node.name for node in graph_def.node if node.op in _OF_A_SAVER}
    if servable is None or graph_def is not servable.meta_graph.graph_def or not savers:
        return savers
    meta_graph = servable.meta_graph
    started = [info.name for signature in meta_graph.signature_def.values() for info in signature.outputs.values()]
    started.append(meta_graph.saver_def.restore_op_name)
    for key in ('saved_model_main_op', 'legacy_init_op', 'saved_model_init_op'):
        started += list(meta_graph.collection_def[key].node_list.value) if key in meta_graph.collection_def else []
    return savers - _freezing.needed(graph_def, [name for name in started if name])
