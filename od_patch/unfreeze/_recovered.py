"""Which Consts of a frozen graph were variables, and what they were called.

Freezing makes a Const of each variable, under its name, and leaves the Identity through which it was read. That pair is
what is looked for first. Tools that come after may have removed the Identity, or put the value in its place: then a
Const is a weight where an op takes a filter, a bias or a statistic (``compare/_weights``).

Not for: weights in fewer bits; they are refused (``check_stored_whole``).
"""
import collections
import fnmatch
import os
import re
import typing

from od_patch._errors import InputRefused
from od_patch.compare import _storage
from od_patch.compare import _weights
from od_patch.graphs import _graph
from od_patch.graphs import _tensors

# What reads a variable, once it is frozen: of a reference variable, of a resource, of one that Keras made.
_READ = re.compile(r'/(read|(Read/|[^/]+/)?ReadVariableOp(_\d+)?)\Z')
# What constant folding puts behind the name of what it has worked out.
_FOLDED = re.compile(r'/_\d+__cf__\d+\Z')
_BATCH_NORM = frozenset(['gamma', 'beta', 'moving_mean', 'moving_variance'])


class Recovered(typing.NamedTuple):
    """A Const that becomes a variable again."""

    node: str  # its name in the graph
    name: str  # that of the variable, as a checkpoint has it
    dtype: int  # its ``DataType``
    shape: typing.Tuple[int, ...]
    size: int  # elements
    by: str  # 'read', by the Identity that read it, or 'place', by the op that takes it
    tensor: typing.Any  # ``_tensors.Tensor``


def variables(graph, pattern=''):
    """Returns [``Recovered``], sorted by name.

    Args:
        graph: ``_graph.Graph``.
        pattern: str, what their names are to match, as file names do (``*`` for anything); empty for all.
    """
    order = graph.final_order()
    read = _read(graph, order)
    found = []
    for node in sorted(read | _placed(graph, order)):
        tensor = graph.tensors[node]
        # What waits for another node is made anew where that is done, in a loop or a branch: no variable is.
        if not graph.controls[node]:
            name = graph.names[node] if node in read else _READ.sub('', _FOLDED.sub('', graph.names[node]))
            found.append(Recovered(graph.names[node], name, tensor.dtype, tuple(tensor.shape), tensor.size,
                                   'read' if node in read else 'place', tensor))
    taken = collections.Counter(graph.names)
    taken.update(one.name for one in found if one.name != one.node)
    found = [one if one.name == one.node or taken[one.name] == 1 else one._replace(name=one.node) for one in found]
    return sorted((one for one in found if not pattern or fnmatch.fnmatchcase(one.name, pattern)),
                  key=lambda one: one.name)


def _placed(graph, order):
    """Positions of the Consts, of some size, that an op takes for a weight, by itself or through what hands it on."""
    found = set()
    for node in order:
        for slot in _weights.SLOTS.get(graph.ops[node], ()):
            if slot < len(graph.inputs[node]):
                source = _storage.plain(graph, graph.inputs[node][slot])
                tensor = graph.tensors[source]
                if tensor is not None and tensor.shape and tensor.dtype in _tensors.FLOATING:
                    found.add(source)
    return found


def _read(graph, order):
    """Positions of the Consts that an Identity named after them reads."""
    found = set()
    for node in order:
        if graph.ops[node] == 'Identity' and graph.inputs[node]:
            source = graph.inputs[node][0][0]
            if graph.tensors[source] is not None and _is_reader(graph.names[node], graph.names[source]):
                found.add(source)
    return found


def _is_reader(reader, const):
    """Whether an Identity's name is one that reads the variable ``const``, or reads one as a resource is read."""
    return _READ.sub('', reader) == const or reader.endswith('ReadVariableOp') or bool(
        re.search(r'/ReadVariableOp_\d+\Z', reader))


def take_out_of_scope(graph_def):
    """Renames the nodes of a graph that was imported into a scope, in place, where that brings the OD API's names back.

    Returns:
        str, the scope that is gone, such as ``'import/'``; empty for none.
    """
    names = [node.name for node in graph_def.node]
    scope = ''.join(os.path.commonprefix(names).rpartition('/')[:2])
    known = set(_graph.CONVENTIONAL_OUTPUTS)
    if not scope or not known & {name[len(scope):] for name in names}:
        return ''
    for node in graph_def.node:
        node.name = node.name[len(scope):]
        node.input[:] = [text.replace(scope, '', 1) for text in node.input]
        node.attr.pop('_class', None)  # it has names, too
    return scope


def check_stored_whole(graph, path):
    """Refuses weights in 8 bits or in half precision.

    Raises:
        InputRefused: there are some.
    """
    decoded = _storage.decoded(graph)
    how = sorted({storage.how for storage in decoded.stored.values()})
    if decoded.computes:
        how.append('in 8-bit arithmetic')
    narrow = sorted({_tensors.dtype_name(graph.tensors[node].dtype) for node in graph.final_order()
                     if graph.tensors[node] is not None and graph.tensors[node].dtype in _tensors.QUANTIZED | {14, 19}
                     and graph.tensors[node].size > 1})
    if how or narrow:
        raise InputRefused(
            '{}: its weights are held {}, which are other numbers than those that it was made from.'.format(
                path, ' and '.join(how) or 'as ' + ' and '.join(narrow)),
            'Give the frozen graph that it was made from. "od-patch inspect" says what was done to this one.')


def folded_batch_norms(found):
    """Returns how many of the [``Recovered``] a batch norm was folded into or made.

    Evidence is a name: tools that fold one into a convolution call the bias that is left after it.
    """
    return sum(1 for one in found if one.name.endswith('_bn_offset') or (
        '/BatchNorm/' in one.name and one.name.rpartition('/')[2] not in _BATCH_NORM))
