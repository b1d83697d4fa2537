"""A part of a graph once more: what depends on an input, for another input.

A graph that answers for pixels gets, beside it, what answers for files. What
does not depend on the input, weights above all, is shared.

Not for: what the other input is made of (``_signatures``).
"""
import collections

from od_patch.graphs import _freezing

_ENTERS = frozenset(['Enter', 'RefEnter'])  # what begins a loop; all of one loop have its name
_FRAME = 'frame_name'
# Hints of the process that built the graph, in a SavedModel that the release wrote. They name nodes of the first part.
_HINTS = ('_class', '_output_shapes')


def add(graph_def, source, other, outputs, scope):
    """Adds the nodes that lie between an input and outputs a second time, for another input, at the end of a graph.

    Args:
        graph_def: ``GraphDef``, changed: no node that is there is.
        source: str, the node of the input; its second form is an Identity of ``other``.
        other: str, the tensor that takes its place.
        outputs: list of str, tensors.
        scope: str, what the names of the new nodes begin with, which no node has.

    Returns:
        list of str: the tensors that stand for the outputs; those that do not depend on the input are the same ones.
    """
    chosen = _dependents(graph_def, source) & _freezing.needed(graph_def, outputs)

    def renamed(name):
        control, name = ('^', name[1:]) if name.startswith('^') else ('', name)
        node, colon, index = name.partition(':')
        return control + (scope + '/' + node if node in chosen else node) + colon + index
    for node in [node for node in graph_def.node if node.name in chosen]:
        twin = graph_def.node.add()
        twin.CopyFrom(node)
        twin.name = renamed(node.name)
        if node.name == source:
            _become_identity(twin, other)
            continue
        twin.input[:] = [renamed(name) for name in node.input]
        for hint in _HINTS:
            if hint in twin.attr:
                del twin.attr[hint]
        if node.op in _ENTERS:  # both parts may run at once, and loops of one name would be one loop
            twin.attr[_FRAME].s = scope.encode('utf-8') + b'/' + node.attr[_FRAME].s
    return [renamed(name) for name in outputs]


def _become_identity(node, tensor):
    """Turns a placeholder into an Identity of a tensor of its type."""
    dtype = node.attr['dtype'].type
    node.op = 'Identity'
    node.attr.clear()
    node.attr['T'].type = dtype
    node.input[:] = [tensor]


def _dependents(graph_def, source):
    """Returns the names of the nodes that depend on a node, itself among them, and of whole loops.

    What enters a loop belongs to it: a counter that begins at 0 does not depend
    on the images, but counts in one loop alone.
    """
    followers = collections.defaultdict(list)
    loops = collections.defaultdict(list)
    loop_of = {}
    for node in graph_def.node:
        for name in node.input:
            followers[_node(name)].append(node.name)
        if node.op in _ENTERS:
            loop_of[node.name] = node.attr[_FRAME].s
            loops[node.attr[_FRAME].s].append(node.name)
    found, waiting = set(), [source]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += followers[name]
            if name in loop_of:
                waiting += loops[loop_of[name]]
    return found


def _node(name):
    return name.lstrip('^').split(':')[0]
