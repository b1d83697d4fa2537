"""Variables replaced by the Consts that a checkpoint has for them, without a session.

Works on GraphDefs: reference variables (VariableV2) and resource variables
(VarHandleOp, ReadVariableOp) alike become Const and Identity, under the
variable's own names, as TensorFlow's freeze_graph writes them. It folds,
prunes and optimises nothing else but what the outputs do not need.
"""
import collections
import os
import typing

from od_patch import _platform
from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.checkpoint import _checkpoint

_REFERENCE = frozenset(['Variable', 'VariableV2'])
_RESOURCE = frozenset(['VarHandleOp'])
VARIABLES = _REFERENCE | _RESOURCE


def reader(prefix: str, where: str) -> '_Reader':
    """Opens a checkpoint; raises InputRefused where there is none or it is damaged, as does reading from it."""
    give_up = None
    path = prefix
    if _platform.has_magic(prefix) and os.path.isdir(os.path.dirname(prefix)):
        # TensorFlow takes it for a pattern, and finds nothing below a folder named out[1]. It has another name, too.
        folder, give_up = _platform.second_name(os.path.dirname(prefix))
        path = os.path.join(folder, os.path.basename(prefix))
    try:
        shapes = _checkpoint.take_inventory(path).shapes  # looks at the index before TensorFlow does, which may abort
        return _Reader(_tensorflow.tf1().train.NewCheckpointReader(path), shapes, prefix, where, give_up)
    except InputRefused as error:
        if give_up is None:
            raise
        give_up()
        raise InputRefused(error.problem.replace(path, prefix), error.remedy.replace(path, prefix))


class _Reader:
    """TensorFlow's reader of checkpoints; a tensor that cannot be read is refused in words."""

    def __init__(
            self, reader: typing.Any,  # pylint: disable=redefined-outer-name
            shapes: typing.Dict[str, typing.List[int]], prefix: str, where: str,
            give_up: typing.Optional[typing.Callable[[], None]]) -> None:
        self._reader, self._shapes, self._prefix, self._where, self._give_up = reader, shapes, prefix, where, give_up

    def __del__(self) -> None:
        if self._give_up is not None:
            self._give_up()

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self._reader, name)

    def get_variable_to_shape_map(self) -> typing.Dict[str, typing.List[int]]:
        return self._shapes

    def get_tensor(self, name: str) -> typing.Any:
        try:
            return self._reader.get_tensor(name)
        except Exception as error:  # pylint: disable=broad-except  (its type changes from release to release)
            raise InputRefused('{}: its checkpoint {} cannot be read: {}.'.format(
                self._where, self._prefix, ' '.join(str(getattr(error, 'message', error)).split())[:200]),
                'Copy model.ckpt.index and model.ckpt.data-… again.')


def needed(graph_def: typing.Any, outputs: typing.Iterable[str]) -> typing.Set[str]:
    """Names of the nodes that ``outputs`` (tensor names) need, themselves included."""
    inputs = {node.name: [text.lstrip('^').split(':')[0] for text in node.input] for node in graph_def.node}
    found = set()
    stack = [name.split(':')[0] for name in outputs]
    while stack:
        name = stack.pop()
        if name not in found and name in inputs:
            found.add(name)
            stack.extend(inputs[name])
    return found


def freeze(
        graph_def: typing.Any, prefix: str, outputs: typing.List[str], where: str,
        keys: typing.Optional[typing.Dict[str, typing.Tuple[str, str]]] = None) -> typing.Any:
    """Returns the part of ``graph_def`` that ``outputs`` need with Consts for variables.

    Args:
        graph_def: ``GraphDef`` with variables.
        prefix: str, the checkpoint with their values.
        outputs: list of tensor names.
        where: str, what to call the graph in refusals.
        keys: dict of variable name -> (key in the checkpoint, slice of it); default: as the graph restores itself.

    Raises:
        InputRefused: a value is missing or does not fit.
    """
    import numpy
    from tensorflow.core.framework import graph_pb2
    from od_patch.graphs import _tensors
    wanted = needed(graph_def, outputs)
    nodes = [node for node in graph_def.node if node.name in wanted]
    known = {node.name: node for node in nodes}
    checkpoint = reader(prefix, where)
    there = checkpoint.get_variable_to_shape_map()
    frozen = graph_pb2.GraphDef()
    frozen.library.CopyFrom(graph_def.library)
    missing = collections.OrderedDict()
    keys = restored_keys(graph_def) if keys is None else keys

    def handle(name: str) -> typing.Any:
        """The variable that a resource comes from, through Identity and Enter."""
        return known.get(_origin(known, name.lstrip('^'), ('Identity', 'Enter')).split(':')[0])

    for node in nodes:
        _refuse_handles(node, known, where)
        if node.op in VARIABLES:
            key, spec = keys.get(node.name, (node.name, ''))
            if key not in there:
                missing[key] = True
                continue
            dtype = node.attr['dtype'].type
            if dtype not in _tensors.NUMBERED:
                raise InputRefused('{}: the variable {!r} has a type of no known number, {}.'.format(
                    where, node.name, dtype), 'The graph is damaged: export it again.')
            array = sliced(checkpoint.get_tensor(key), spec)
            const = frozen.node.add(name=node.name, op='Const')
            const.attr['dtype'].type = dtype
            if dtype == 7:
                const.attr['value'].tensor.dtype = dtype
                const.attr['value'].tensor.string_val.extend(numpy.asarray(array).reshape(-1).tolist())
                for size in numpy.shape(array):
                    const.attr['value'].tensor.tensor_shape.dim.add(size=size)
            else:
                const.attr['value'].tensor.CopyFrom(_tensors.encoded(array, dtype).proto())
        elif node.op == 'ReadVariableOp':
            variable = handle(node.input[0])
            if variable is None or variable.op not in _RESOURCE:
                raise InputRefused('{}: {!r} reads a resource that is not a variable of the graph.'.format(
                    where, node.name), 'Only exports of od-patch and of the exporter can be frozen.')
            identity = frozen.node.add(name=node.name, op='Identity')
            identity.input.extend([variable.name] + [text for text in node.input[1:] if text.startswith('^')])
            identity.attr['T'].type = node.attr['dtype'].type
        else:
            frozen.node.add().CopyFrom(node)
        frozen.node[-1].device = ''
    if missing:
        raise InputRefused(
            '{}: the checkpoint {} lacks {} of the graph\'s variables, the first is {!r}.'.format(
                where, prefix, len(missing), list(missing)[0]),
            'Give the checkpoint that was written by the same export.')
    stateful = [node for node in frozen.node if node.op == 'VarIsInitializedOp' or node.op.startswith('Assign')]
    if stateful:
        raise InputRefused('{}: the outputs need {!r} ({}), which changes a variable.'.format(
            where, stateful[0].name, stateful[0].op), 'Such a graph cannot be frozen.')
    return frozen


def _origin(nodes: typing.Any, tensor: str, ops: typing.Iterable[str]) -> str:
    """The tensor that ``tensor`` is handed on from, by name, through nodes of ``ops``; a circle ends at its head."""
    seen = set()
    while True:
        name = tensor.split(':')[0]
        if name in seen or name not in nodes or nodes[name].op not in ops or not nodes[name].input:
            return tensor
        seen.add(name)
        tensor = nodes[name].input[0]


def _refuse_handles(node: typing.Any, known: typing.Dict[str, typing.Any], where: str) -> None:
    """A Const is no handle: what asks for more than a variable's value would make a graph that cannot be loaded."""
    if node.op == 'ReadVariableOp' or node.op == 'VarIsInitializedOp' or node.op.startswith('Assign'):
        return  # read by its value, or refused below with the reason
    for text in node.input:
        source = None if text.startswith('^') else known.get(text.split(':')[0])
        if source is not None and (source.op in _RESOURCE or source.op in _REFERENCE and node.op.startswith('Ref')):
            raise InputRefused('{}: {!r} ({}) takes the variable {!r} itself and not its value.'.format(
                where, node.name, node.op, source.name),
                'Such a graph cannot be frozen here; freeze it with the tool that wrote it.')


def restored_keys(
        graph_def: typing.Any,
        among: typing.Optional[typing.Set[str]] = None) -> typing.Dict[str, typing.Tuple[str, str]]:
    """What the graph's own restore ops fill its variables with.

    Args:
        graph_def: ``GraphDef``.
        among: set of node names, or None: only assignments among these count.

    Returns:
        dict of variable name -> (key in the checkpoint, the slice of it in ``RestoreV2``'s words, '' for all).
    """
    from od_patch.graphs import _tensors
    nodes = {node.name: node for node in graph_def.node}
    keys, lists = {}, {}

    def strings(name: str) -> typing.List[str]:
        node = nodes.get(name.split(':')[0])
        if node is None or node.op != 'Const':
            return []
        if node.name not in lists:
            try:
                found = _tensors.Tensor(node.attr['value'].tensor).array().reshape(-1).tolist()
            except ValueError:  # damaged: it names nothing
                found = []
            lists[node.name] = [text.decode('utf-8', 'replace') for text in found if isinstance(text, bytes)]
        return lists[node.name]

    for node in graph_def.node:
        if node.op not in ('Assign', 'AssignVariableOp') or len(node.input) < 2:
            continue
        if among is not None and node.name not in among:
            continue
        target, value = node.input[0].split(':')[0], node.input[1]
        name, _, port = _origin(nodes, value, ('Identity',)).partition(':')
        source = nodes.get(name)
        if source is None or source.op != 'RestoreV2' or len(source.input) < 3:
            continue
        names, slices = strings(source.input[1]), strings(source.input[2])
        index = int(port) if port.isdigit() else 0
        if index < len(names):
            keys[target] = (names[index], slices[index] if index < len(slices) else '')
    return keys


def sliced(array: typing.Any, spec: str) -> typing.Any:
    """The part of a tensor that a slice of ``RestoreV2`` names, such as '6 4 0,3:-': shape, then begin,length."""
    if not spec:
        return array
    try:
        return array[tuple(slice(None) if place == '-' else slice(
            int(place.split(',')[0]), sum(map(int, place.split(',')))) for place in spec.rpartition(' ')[2].split(':'))]
    except (ValueError, IndexError):
        raise InputRefused('A variable is restored from the slice {!r} of a tensor of shape {}, which is none.'.format(
            spec, list(array.shape)), 'Export it again.')
