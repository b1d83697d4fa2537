"""A GraphDef as plain lists that rules can rewrite in milliseconds.

Names become positions, edges become pairs of numbers, attributes become bytes,
Consts become ``Tensor``. Here also is what makes a GraphDef no graph at all:
edges that lead nowhere, names used twice, cycles outside a loop. What two
graphs have in common is not this module's business.
"""
import hashlib
import re
import typing

from od_patch._errors import InputRefused
from od_patch.graphs import _op_table
from od_patch.graphs import _tensors

PLACEHOLDERS = frozenset(['Placeholder', 'PlaceholderV2', 'PlaceholderWithDefault'])
LOOP_ENTERS = frozenset(['Enter', 'RefEnter'])
LOOP_BACK = frozenset(['NextIteration', 'RefNextIteration'])
LOOP_MERGES = frozenset(['Merge', 'RefMerge'])
# Not an attribute: the digest of the function library, on every node that calls a function of it.
FUNCTIONS = '@functions'
# Attributes that hold a name given for this process only; none of them is a value that an op computes with.
NAME_ATTRS = frozenset(['tensor_array_name', 'stack_name'])
# Ends that are there to happen, or left over: nobody fetches them.
_NO_RESULT = frozenset(['Assert', 'NoOp', 'Const']) | PLACEHOLDERS
_PORT = re.compile('[0-9]+')  # not str.isdigit: that takes ² for a digit


class Graph:
    """Nodes by position; a node is what stands at one position of all the lists.

    Attributes:
        names, ops: lists of str.
        inputs: list of lists of (position, output number).
        controls: list of tuples of positions.
        attrs: list of dicts of attribute name -> bytes of the ``AttrValue``; never changed in place.
        tensors: list of ``Tensor`` or None: the value of a Const.
        outputs: list of (name, position, output number), the graph's results in the order of their names.
        named_outputs: bool, whether those names are an interface or just what ends happen to be called.
        kept_outputs: frozenset of output names that are an interface although ``named_outputs`` is not true.
        conventional: bool, whether the outputs were found by the names that exporters give them.
        input_names: dict of position -> the name that tells an input from others, or None: placeholders by their own.
        signature_inputs: list of (name, position, output number) of a serving signature, or None.
        library: the GraphDef's ``FunctionDefLibrary``, or None.
        late_input: str or None, a node that has an input after its control inputs; of the graph as it was read.
        memo: dict that all copies share, for what depends on one attribute dict only (they never change).
    """

    __slots__ = ('names', 'ops', 'inputs', 'controls', 'attrs', 'tensors', 'outputs', 'named_outputs', 'kept_outputs',
                 'conventional', 'input_names', 'signature_inputs', 'memo', 'library', 'late_input', '_order')

    def __init__(self) -> None:
        self.names: typing.List[str] = []
        self.ops: typing.List[str] = []
        self.inputs: typing.List[typing.List[typing.Tuple[int, int]]] = []
        self.controls: typing.List[typing.Tuple[int, ...]] = []
        self.attrs: typing.List[typing.Dict[str, bytes]] = []
        self.tensors: typing.List[typing.Optional[_tensors.Tensor]] = []
        self.outputs: typing.List[typing.Tuple[str, int, int]] = []
        self.named_outputs, self.conventional = True, False
        self.kept_outputs: typing.FrozenSet[str] = frozenset()
        self.input_names: typing.Optional[typing.Dict[int, typing.Optional[str]]] = None
        self.signature_inputs: typing.Optional[typing.List[typing.Tuple[str, int, int]]] = None
        self.memo: typing.Dict[typing.Any, typing.Any] = {}
        self.library: typing.Any = None
        self.late_input: typing.Optional[str] = None
        self._order: typing.Optional[typing.List[int]] = None

    def __len__(self) -> int:
        return len(self.names)

    def copy(self) -> 'Graph':
        """A graph whose lists may be rewritten without this one noticing."""
        twin = Graph()
        twin.names, twin.ops = list(self.names), list(self.ops)
        twin.inputs, twin.controls = [list(row) for row in self.inputs], list(self.controls)
        twin.attrs, twin.tensors = list(self.attrs), list(self.tensors)
        twin.outputs, twin.named_outputs = list(self.outputs), self.named_outputs
        twin.kept_outputs, twin.conventional = self.kept_outputs, self.conventional
        twin.input_names, twin.signature_inputs = self.input_names, self.signature_inputs
        twin.memo, twin.library = self.memo, self.library
        return twin

    def add(
            self, op: str, inputs: typing.Iterable[typing.Tuple[int, int]], attrs: typing.Dict[str, bytes],
            tensor: typing.Optional[_tensors.Tensor] = None, name: str = '',
            controls: typing.Iterable[int] = ()) -> int:
        """Appends a node and returns its position."""
        self.names.append(name)
        self.ops.append(op)
        self.inputs.append(list(inputs))
        self.controls.append(tuple(controls))
        self.attrs.append(attrs)
        self.tensors.append(tensor)
        return len(self.names) - 1

    def constant(self, array: typing.Any, dtype: int, name: str = '') -> int:
        """Appends a Const of DataType number ``dtype`` and returns its position."""
        return self.add('Const', [], {'dtype': type_attr(dtype)}, _tensors.encoded(array, dtype), name)

    def redirect(self, moves: typing.Dict[typing.Tuple[int, int], typing.Tuple[int, int]]) -> None:
        """Makes every consumer of the outputs in ``moves`` read what they map to, chains followed to the end.

        Args:
            moves: dict of (position, output) -> (position, output).
        """
        def end(edge: typing.Tuple[int, int]) -> typing.Tuple[int, int]:
            while edge in moves:
                edge = moves[edge]
            return edge
        if moves:
            self.inputs = [[end(edge) for edge in row] for row in self.inputs]
            self.outputs = [(name,) + end((node, port)) for name, node, port in self.outputs]

    def consumers(self) -> typing.List[typing.List[typing.Tuple[int, int]]]:
        """List: for each node, its (consumer, input slot) pairs; slot -1 is a control edge."""
        found: typing.List[typing.List[typing.Tuple[int, int]]] = [[] for _ in self.names]
        for node, row in enumerate(self.inputs):
            for slot, (source, _) in enumerate(row):
                found[source].append((node, slot))
            for source in self.controls[node]:
                found[source].append((node, -1))
        return found

    def final_order(self) -> typing.List[int]:
        """``order``, kept: for a graph that nobody rewrites any more."""
        if self._order is None:
            self._order = self.order()
        return self._order

    def order(self, roots: typing.Optional[typing.Iterable[int]] = None) -> typing.List[int]:
        """Positions that the outputs (or ``roots``) need, inputs first; loops are cut where an iteration ends.

        Raises:
            InputRefused: there is a cycle that no loop of TensorFlow's makes.
        """
        state = [0] * len(self.names)
        done: typing.List[int] = []
        later: typing.List[int] = []
        inputs, controls, ops = self.inputs, self.controls, self.ops
        roots = [node for _, node, _ in self.outputs] if roots is None else list(roots)
        while roots:
            stack: typing.List[typing.Tuple[int, typing.Optional[bool]]] = [(root, None) for root in reversed(roots)]
            roots = []
            while stack:
                node, rest = stack.pop()
                if rest is None:
                    if state[node]:
                        continue
                    state[node] = 1
                    merge = ops[node] in LOOP_MERGES
                    sources = []
                    for source, _ in inputs[node]:
                        if merge and ops[source] in LOOP_BACK:
                            later.append(source)
                        elif state[source] != 2:
                            sources.append(source)
                    for source in controls[node]:
                        if state[source] != 2:
                            sources.append(source)
                    stack.append((node, True))
                    stack.extend((source, None) for source in sources if state[source] != 2)
                    # A source that is on the way down already closes a cycle.
                    for source in sources:
                        if state[source] == 1:
                            raise InputRefused(
                                'The graph has a cycle through node {!r} that is not a while loop.'.format(
                                    self.names[source]),
                                'A GraphDef must be free of cycles; export it again.')
                elif state[node] != 2:
                    state[node] = 2
                    done.append(node)
            roots = [node for node in later if not state[node]]
            later = []
        return done


def type_attr(dtype: int) -> bytes:
    """The serialized ``AttrValue`` that holds DataType number ``dtype``."""
    return b'\x30' + bytes([dtype])


def attr_type(attrs: typing.Dict[str, bytes], name: str) -> typing.Optional[int]:
    """The DataType number that attribute ``name`` holds, or None."""
    value = attrs.get(name)
    return value[1] if value and value[:1] == b'\x30' and len(value) == 2 else None


def attr_proto(value: bytes) -> typing.Any:
    """Parses the bytes of an attribute."""
    from tensorflow.core.framework import attr_value_pb2
    return attr_value_pb2.AttrValue.FromString(value)


def build(
        graph_def: typing.Any, where: str, outputs: typing.Optional[typing.List[typing.Tuple[str, str]]] = None,
        known_ops: typing.Optional[typing.Callable[[str], bool]] = None,
        inputs_needed: typing.Optional[typing.Callable[[typing.Any], typing.Tuple[int, typing.Optional[int]]]] = None,
        signature_inputs: typing.Optional[typing.List[typing.Tuple[str, str]]] = None) -> Graph:
    """Brings a GraphDef into the form that rules work on.

    Args:
        graph_def: ``GraphDef`` without variables.
        where: str, what to call it in refusals.
        outputs: list of (name, tensor name), or None for the conventional outputs, or all ends of the graph.
        known_ops: callable telling of an op's name whether TensorFlow at hand knows it.
        inputs_needed: callable telling of a ``NodeDef`` the least and the most data inputs it has (None: any).
        signature_inputs: list of (name, tensor name) of a serving signature, or None.

    Raises:
        InputRefused: it is not a graph.
    """
    graph = Graph()
    position = {}
    nodes = graph_def.node
    if not len(nodes):
        raise InputRefused('{}: the graph has no nodes.'.format(where),
                           'Give a frozen graph, e.g. frozen_inference_graph.pb of an export.')
    for index, node in enumerate(nodes):
        if node.name in position:
            raise InputRefused('{}: two nodes are called {!r}.'.format(where, node.name), 'Export the graph again.')
        position[node.name] = index
    _, known = _op_table.table()
    functions = {function.signature.name for function in graph_def.library.function}
    library = None
    if functions:
        graph.library = graph_def.library
        library = _Library(graph_def.library)
    unknown: typing.Dict[str, str] = {}
    _refuse_converted(nodes, where)
    for node in nodes:
        op = node.op
        graph.names.append(node.name)
        graph.ops.append(op)
        if known[op] is None and op not in functions and not (known_ops and known_ops(op)):
            unknown.setdefault(op, node.name)
        inputs, controls = [], []
        for text in node.input:
            if text[:1] == '^':
                controls.append(_position(position, text[1:], node.name, where))
            else:
                name, colon, port = text.partition(':')
                if colon and not _PORT.fullmatch(port):
                    raise InputRefused('{}: node {!r} reads {!r}, which names no output of a node.'.format(
                        where, node.name, text), 'Export the graph again.')
                inputs.append((_position(position, name, node.name, where), int(port or 0)))
                if controls:
                    graph.late_input = node.name
        least, most = inputs_needed(node) if inputs_needed and op not in functions else (0, None)
        if len(inputs) < least or most is not None and len(inputs) > most:
            if len(inputs) > least and any(row.op == 'Const' and any(text[:1] != '^' for text in row.input)
                                           for row in nodes):
                raise InputRefused(
                    '{}: node {!r} has {} inputs, but {} needs {}: remove_training_nodes, which optimize_for_inference '
                    'calls, makes data inputs of control inputs. The graph that it was given is sound, this one is not.'
                    .format(where, node.name, len(inputs), op, least),
                    'Graphs with loops need another tool, e.g. strip_unused_nodes and remove_nodes(op=Identity) of the '
                    'Graph Transform Tool. Compare the graph before it.')
            raise InputRefused('{}: node {!r} has {} inputs, but {} needs {}.'.format(
                where, node.name, len(inputs), op, least), 'Export the graph again.')
        graph.inputs.append(inputs)
        graph.controls.append(tuple(controls))
        attrs, tensor = {}, None
        for name, value in node.attr.items():
            if name == 'value' and op == 'Const':
                try:
                    tensor = _tensors.Tensor(value.tensor)
                except (_tensors.Damaged, ValueError) as error:
                    raise InputRefused('{}: the value of Const {!r} is damaged: {}.'.format(where, node.name, error),
                                       'Export the graph again, or copy the file again.')
            elif name not in NAME_ATTRS:
                attrs[name] = value.SerializeToString(deterministic=True)
        if library:
            called = library.called(node)
            if called:
                attrs[FUNCTIONS] = library.digest(called)
        if op == 'Const' and tensor is None:
            raise InputRefused('{}: Const {!r} has no value.'.format(where, node.name), 'Export the graph again.')
        graph.attrs.append(attrs)
        graph.tensors.append(tensor)
    if unknown:
        op, name = sorted(unknown.items())[0]
        raise InputRefused(
            '{}: {} of its ops {} known neither to the TensorFlow at hand nor to the table of TensorFlow 1.4 to 2.x: '
            '{} (node {!r}{}).'.format(where, len(unknown), 'is' if len(unknown) == 1 else 'are', op, name,
                                       '' if len(unknown) == 1 else ', and more'),
            'Custom ops cannot be compared, as nothing says what they do: load their library into the graph that '
            'exports, or strip them.')
    # Before anything is followed, and from all nodes: rules look at those that no output needs, too.
    graph.order(range(len(graph)))
    graph.outputs, graph.named_outputs = _outputs(graph, position, outputs, where)
    graph.conventional = graph.named_outputs and not outputs
    if signature_inputs is not None:
        graph.signature_inputs = []
        for name, tensor_name in sorted(signature_inputs):
            node, _, port = tensor_name.partition(':')
            if node in position:  # what freezing left out cannot matter
                graph.signature_inputs.append((name, position[node], int(port) if _PORT.fullmatch(port) else 0))
    return graph


# Ops that a converter puts in the place of many: nothing in the graph says what they compute.
_CONVERTED = {'TRTEngineOp': 'TF-TRT, the converter to TensorRT', 'TFLite_Detection_PostProcess':
              'export_tflite_ssd_graph.py, for the converter to TensorFlow Lite'}


def _refuse_converted(nodes: typing.Any, where: str) -> None:
    for node in nodes:
        if node.op in _CONVERTED:
            raise InputRefused(
                '{}: {!r} is {}, in which {} has put a part of the graph.'.format(
                    where, node.name, node.op, _CONVERTED[node.op]),
                'Compare the graph from before the conversion; what is within that node cannot be looked at.')


class _Library:
    """The functions of a GraphDef, told by all that a call of them can reach."""

    def __init__(self, library: typing.Any) -> None:
        self._functions = {function.signature.name: function for function in library.function}
        self._gradients = {row.function_name: row.gradient_func for row in library.gradient}
        self._digests: typing.Dict[typing.FrozenSet[str], bytes] = {}

    def called(self, node: typing.Any) -> typing.FrozenSet[str]:
        """Frozen set of names of the functions that a ``NodeDef`` itself calls or hands on."""
        found = {node.op} if node.op in self._functions else set()
        values = list(node.attr.values())
        while values:
            value = values.pop()
            for function in ([value.func] if value.HasField('func') else []) + list(value.list.func):
                found.add(function.name)
                values.extend(function.attr.values())
        return frozenset(found)

    def digest(self, names: typing.FrozenSet[str]) -> bytes:
        """Bytes that say what the functions in ``names`` do; devices and functions out of their reach do not count."""
        if names not in self._digests:
            reached, waiting, parts = set(), sorted(names), []
            while waiting:
                name = waiting.pop()
                if name in reached:
                    continue
                reached.add(name)
                if name in self._functions:
                    function = type(self._functions[name])()
                    function.CopyFrom(self._functions[name])
                    for node in function.node_def:
                        node.device = ''
                        waiting.extend(self.called(node))
                    parts.append(function.SerializeToString(deterministic=True))
                if name in self._gradients:
                    parts.append('{}\0{}'.format(name, self._gradients[name]).encode())
                    waiting.append(self._gradients[name])
            lengths = [b'%d:' % len(part) + part for part in sorted(parts)]
            self._digests[names] = hashlib.blake2b(b''.join(lengths), digest_size=16).digest()
        return self._digests[names]


def _position(position: typing.Dict[str, int], name: str, consumer: str, where: str) -> int:
    index = position.get(name)
    if index is None:
        raise InputRefused('{}: node {!r} reads {!r}, which is not in the graph.'.format(where, consumer, name),
                           'The file is cut off or was taken apart; export or copy it again.')
    return index


# What exporters of the Object Detection API call their results: an interface, like a function's name.
CONVENTIONAL_OUTPUTS = (
    'detection_boxes', 'detection_scores', 'detection_classes', 'num_detections', 'detection_masks',
    'detection_keypoints', 'detection_multiclass_scores', 'detection_features', 'detection_anchor_indices',
    'raw_detection_boxes', 'raw_detection_scores', 'detection_boxes_rpn', 'refined_box_encodings',
    'class_predictions_with_background', 'proposal_boxes', 'proposal_scores')


def _outputs(
        graph: Graph, position: typing.Dict[str, int], wanted: typing.Optional[typing.List[typing.Tuple[str, str]]],
        where: str) -> typing.Tuple[typing.List[typing.Tuple[str, int, int]], bool]:
    if wanted:
        found = []
        for name, tensor in sorted(wanted):
            node, colon, port = tensor.partition(':')
            if node not in position or (colon and not _PORT.fullmatch(port)):
                raise InputRefused('{}: there is no node {!r} to be the output {!r}.'.format(where, node, name),
                                   'Name outputs that are in the graph with --outputs.')
            found.append((name, position[node], int(port or 0)))
        return found, True
    conventional = [name for name in CONVENTIONAL_OUTPUTS if name in position]
    if {'detection_boxes', 'detection_scores', 'num_detections'} & set(conventional):
        return [(name, position[name], 0) for name in sorted(conventional)], True
    ends = _ends(graph)
    if not ends:
        raise InputRefused('{}: no node of the graph is an end: the graph is one cycle.'.format(where),
                           'Export it again.')
    return ends, False


def _ends(graph: Graph) -> typing.List[typing.Tuple[str, int, int]]:
    """Rows of outputs for what nothing reads; a Const that nothing reads only where there is nothing else."""
    used = {source for row in graph.inputs for source, _ in row}
    used.update(source for row in graph.controls for source in row)
    ends = sorted((graph.names[node], node, 0) for node in range(len(graph)) if node not in used)
    return [row for row in ends if graph.ops[row[1]] != 'Const'] or ends


def with_common_ends(one: Graph, other: Graph) -> typing.Tuple[Graph, Graph]:
    """Both graphs with the results of the user's own beside those of convention: ends of one name on both sides.

    What was asked for, by hand or by a signature, stays as it was asked for.
    """
    if not (one.conventional and other.conventional):
        return one, other
    graphs = (one, other)
    extra = [{row[0]: row for row in _ends(graph) if graph.ops[row[1]] not in _NO_RESULT} for graph in graphs]
    for rows, graph in zip(extra, graphs):
        for name, _, _ in graph.outputs:
            rows.pop(name, None)
    common = set(extra[0]) & set(extra[1])
    if not common:
        return one, other
    twins = (one.copy(), other.copy())
    for rows, twin in zip(extra, twins):
        twin.outputs = sorted(twin.outputs + [rows[name] for name in common])
    return twins


def inputs_of(graph: Graph, by_signature: bool = False) -> typing.Dict[int, str]:
    """Dict of position -> name of the inputs that the outputs need; with ``by_signature``, as the signature calls them.

    A signature's name begins with a byte that no node's name has, so that the two are never taken for each other.
    """
    found = {}
    keys: typing.Dict[int, typing.List[str]] = {}
    if by_signature:
        assert graph.signature_inputs is not None  # the caller has looked
        for name, node, port in graph.signature_inputs:
            keys.setdefault(node, []).append('{}\0{}'.format(name, port))
    for node in graph.final_order():
        if node in keys:
            found[node] = '\0' + '\0'.join(sorted(keys[node]))
        elif graph.ops[node] in PLACEHOLDERS:
            found[node] = graph.names[node]
    return found


def without_ports(name: str) -> str:
    """What ``inputs_of`` calls an input, without the numbers of the outputs that a signature feeds: its names alone."""
    return '\0' + '\0'.join(name.split('\0')[1::2]) if name[:1] == '\0' else name


def ends_as_outputs(graph: Graph) -> Graph:
    """The same graph with all its ends as its results, whatever they are called."""
    twin = graph.copy()
    twin.outputs = _ends(graph)
    twin.named_outputs = False
    return twin


def result_names(graph: Graph) -> typing.Set[str]:
    """Names of the outputs that somebody may fetch: an Assert or a NoOp has nothing, and quantize_nodes leaves ends."""
    return {name for name, node, _ in graph.outputs if graph.ops[node] not in ('Assert', 'NoOp', 'QuantizeV2')}
