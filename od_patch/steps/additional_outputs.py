"""``--additional_output_tensor_names``: further tensors of the graph, in all artifacts and in ``serving_default``."""
import collections
import re
import typing

from od_patch import _errors
from od_patch import _option
from od_patch import _tensorflow
from od_patch.steps import _step

_FLAG = 'additional_output_tensor_names'
_KEY = re.compile(r'[A-Za-z0-9_.][A-Za-z0-9_./-]*\Z')
_INDEX = re.compile(r':(\d+)\Z')


class _Asked(typing.NamedTuple):
    """One additional output."""

    key: str  # of ``serving_default``
    chosen: bool  # whether the user gave the key
    node: str
    number: int  # which of the node's tensors

    @property
    def tensor(self) -> str:
        return '{}:{}'.format(self.node, self.number)


class AdditionalOutputs(_step.Step):
    """Additional outputs: the release gets the names of the nodes, ``serving_default`` the tensors.

    They come as an option, or in the release's own argument of that name; some releases' scripts have no flag for it.
    """

    name = 'additional outputs'
    title = 'Additional outputs'
    always = True  # the release may be called with some although the option is not given
    options = (
        _option.Option(
            _FLAG, _option.NAMES, None,
            'Names of further nodes to export, separated by commas. They become outputs of serving_default, too. '
            'NAME:1 is the second tensor of a node. KEY=NAME names the output; default: the name of the node.',
            short='additional_outputs'),)

    def __init__(self, additional_output_tensor_names: typing.Optional[typing.List[str]]) -> None:
        self._given = _parsed(additional_output_tensor_names or ())
        self._asked = self._given
        self._left_out: typing.List[typing.Tuple[_Asked, str]] = []

    def check(self, arguments: _step.Arguments) -> None:
        self._asked = _parsed(list(arguments.get(_FLAG) or ()), self._given)

    def arguments(self, arguments: _step.Arguments) -> _step.Arguments:
        if not self._asked:
            return arguments
        return dict(arguments, **{_FLAG: _Names(self.nodes())})

    def nodes(self) -> typing.List[str]:
        return list(collections.OrderedDict.fromkeys(asked.node for asked in self._asked))

    def keys(self) -> typing.List[str]:
        return [asked.key for asked in self._asked]

    def check_graph(self, graph: _tensorflow.Graph, names: typing.List[str]) -> None:
        operations = {operation.name: operation for operation in graph.get_operations()}
        for asked in self._asked:
            if asked.node not in operations:
                raise _errors.UsageError(
                    'The graph has no node {!r}, which --{} asks for.'.format(asked.node, _FLAG),
                    _errors.did_you_mean(asked.node, operations) or
                    '--write_inference_graph writes the graph with all of its names.')
            operation = operations[asked.node]
            if asked.number and asked.number >= len(operation.outputs):
                raise _errors.UsageError(
                    '--{} asks for {}, and the node has {} tensors.'.format(
                        _FLAG, asked.tensor, len(operation.outputs) or 'no'),
                    'The first tensor of a node is {}:0.'.format(asked.node))
            taken = operations.get(asked.key)
            # The release names each output by its key.
            if asked.chosen and taken is not None and taken is not operation and taken.type == 'Identity':
                raise _key_taken(asked)
            reason = _why_not_served(graph, operation, asked.number)
            if reason and asked.chosen:
                raise _errors.UsageError(
                    '--{} gives {} the key {}, and it cannot be an output that is served: {}.'.format(
                        _FLAG, asked.tensor, asked.key, reason),
                    'Without a key it is exported, and not served. Or ask for another node.')

    def choose(self, inputs: _step.Tensors, outputs: _step.Tensors) -> typing.Tuple[_step.Tensors, _step.Tensors]:
        found = collections.OrderedDict(outputs)
        self._left_out = []
        graph = next(iter(outputs.values())).graph
        for asked in self._asked:
            operation = graph.get_operation_by_name(asked.node)
            reason = _why_not_served(graph, operation, asked.number)
            if not reason and any(tensor.op is operation for tensor in inputs.values()):
                reason = 'it is an input'  # no server hands out what it was given
            if reason:
                self._left_out.append((asked, reason))
                continue
            tensor = operation.outputs[asked.number]
            if found.get(asked.key, tensor) is not tensor:
                raise _key_taken(asked)
            found[asked.key] = tensor
        return inputs, found

    def changes(self) -> typing.List[_step.Change]:
        return [self._notes] if self._asked else []

    def _notes(self, meta_graph: _tensorflow.MetaGraph) -> typing.List[str]:
        del meta_graph
        return ['{} is exported, but is no output of serving_default: {}'.format(asked.tensor, reason)
                for asked, reason in self._left_out]


class _Names(list):
    """Additional output names that can be added to ``outputs.keys()``.

    Upstream writes ``outputs.keys() + additional_output_tensor_names`` until
    2020-05-26, which Python 3 refuses, unless the right operand knows how.
    """

    def __radd__(self, keys: typing.Iterable[str]) -> typing.List[str]:
        return list(keys) + list(self)


def _parsed(entries: typing.Iterable[str], before: typing.Iterable[_Asked] = ()) -> typing.List[_Asked]:
    """Returns a list of ``_Asked``, each once: those of ``before``, then those that were typed.

    Args:
        entries: iterable of str, ``node``, ``node:1`` or ``key=node``.
        before: list of ``_Asked``.

    Raises:
        od_patch.UsageError: an entry that cannot be meant, or two outputs of one key.
    """
    found = collections.OrderedDict((asked.key, asked) for asked in before)
    for entry in entries:
        entry = entry.strip()
        if not entry:
            continue
        key, equals, tensor = entry.rpartition('=')
        key, tensor = key.strip(), tensor.strip()
        index = _INDEX.search(tensor)
        node = tensor[:index.start()] if index else tensor
        if not node or equals and not _KEY.match(key):
            raise _errors.UsageError(
                '--{}: {!r} names no output.'.format(_FLAG, entry),
                'Give the name of a node, or KEY=NAME with a key of letters, digits and _./-, such as '
                'features=FeatureExtractor/MobilenetV1/Conv2d_13_pointwise/Relu6.')
        number = int(index.group(1)) if index else 0
        asked = _Asked(key or (tensor if number else node), bool(equals), node, number)
        other = found.setdefault(asked.key, asked)
        if (other.node, other.number) != (asked.node, asked.number):
            raise _errors.UsageError(
                '--{} gives the key {} to both {} and {}.'.format(_FLAG, asked.key, other.tensor, asked.tensor),
                'Give each a key of its own.')
    return list(found.values())


def _key_taken(asked: _Asked) -> _errors.UsageError:
    return _errors.UsageError(
        '--{} gives the key {} to {}, and the model has an output of that key.'.format(_FLAG, asked.key, asked.tensor),
        'Give it another key, such as my_{}={}.'.format(asked.key.rpartition('/')[2], asked.tensor))


def _why_not_served(graph: _tensorflow.Graph, operation: typing.Any, index: int) -> typing.Optional[str]:
    """Returns why a server could not answer with a tensor, in words; None where it can."""
    if not operation.outputs:
        return 'the node computes nothing'
    if not graph.is_fetchable(operation):
        return 'it is computed inside a loop or a condition, once for each turn'
    dtype = operation.outputs[index].dtype
    if dtype.name.endswith('_ref') or dtype.name in ('resource', 'variant'):
        return 'it is a {} and no value{}'.format(
            'variable' if dtype.name.endswith('_ref') else dtype.name,
            '; its value is {}/read'.format(operation.name) if dtype.name.endswith('_ref') else '')
    return None
