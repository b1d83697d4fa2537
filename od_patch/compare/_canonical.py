"""The canonical form as a GraphDef of its own: the same bytes for every way to write the same computation.

Every rule is applied, copies are made one, dead nodes are gone, nodes are named
by the order in which the outputs need them, and inputs and outputs keep their
names. The result is a graph that TensorFlow loads and runs, so that the rules
can be checked by running it.
"""
import os
import re

from od_patch.compare import _hashing
from od_patch.compare import _rules
from od_patch.graphs import _graph
from od_patch.staging import _staging

_UNFIT = re.compile('[^A-Za-z0-9_./-]|^[^A-Za-z0-9.]')  # what no node's name may have


def form(graph):
    """The canonical ``GraphDef`` of a ``Graph``."""
    from tensorflow.core.framework import graph_pb2
    plain, _ = _rules.apply(graph, _rules.NAMES)
    hashes = _hashing.Hashes(plain)
    hashes.settle(2)
    return _Writer(plain, hashes.full, graph_pb2.GraphDef()).write()


class _Writer:
    """Walks from the outputs down and writes each computation once in each loop frame that it is needed in."""

    def __init__(self, graph, hashes, graph_def):
        self._graph, self._hashes, self._result = graph, hashes, graph_def
        self._names = {}
        self._frames = {}
        # Names that stay as they are; no node in between may be called so.
        self._taken = {graph.names[node] for node in graph.final_order() if graph.ops[node] in _graph.PLACEHOLDERS}
        self._results = self._result_names()
        self._taken.update(self._results.values())
        self._waiting = []

    def _result_names(self):
        """Output name -> the name of its node; another one only where an input or the syntax has the first claim."""
        graph = self._graph
        found = {}
        taken = set(self._taken)
        for name, node, port in graph.outputs if graph.named_outputs else ():
            made = _UNFIT.sub('_', name)
            if not (graph.ops[node] in _graph.PLACEHOLDERS and graph.names[node] == name and not port):
                made = _free(made, taken)
            taken.add(made)
            found[name] = made
        return found

    def write(self):
        graph = self._graph
        if graph.library is not None:
            functions = sorted(graph.library.function, key=lambda function: function.signature.name)
            self._result.library.function.extend(functions)
        outputs = graph.outputs
        if not graph.named_outputs:
            outputs = sorted(outputs, key=lambda row: (self._hashes[row[1]], row[2]))
        tails = []
        for name, node, port in outputs:
            tails.append((name, self._needed(node, ()), node, port))
        done = set()
        while self._waiting:  # what iterations hand on is written when all else has its name
            key, node, frame = self._waiting.pop(0)
            if key not in done:
                done.add(key)
                name = self._needed(node, frame)
                merge = key[0]
                merge.input.append(_edge(name, key[1]))
        self._pivots()
        for index, (name, source, node, port) in enumerate(tails):
            if graph.named_outputs:
                name = self._results[name]
                if name == source and not port:
                    continue  # an input that is an output as it is
            else:
                name = _free('output{}'.format(index), self._taken)
            if graph.ops[node] in ('Assert', 'NoOp'):  # it has no value to hand on
                self._result.node.add(name=name, op='NoOp').input.append('^' + source)
                continue
            made = self._result.node.add(name=name, op='Identity')
            made.input.append(_edge(source, port))
            made.attr['T'].type = self._type_of(node, port)
        return self._result

    def _type_of(self, node, port):
        from tensorflow.python.framework import op_def_registry
        return _output_type(self._graph, node, port, op_def_registry)

    def _needed(self, node, frame):
        """The name of ``node`` in a frame, writing it and all it needs first."""
        stack = [(node, frame, False)]
        while stack:
            place, inside, ready = stack.pop()
            key = (self._hashes[place], inside)
            if key in self._names:
                continue
            rows = self._sources(place, inside)
            if not ready:
                stack.append((place, inside, True))
                stack.extend((source, where, False) for source, _, where, back in reversed(rows) if not back)
                continue
            self._write(place, inside, key, rows)
        return self._names[(self._hashes[node], frame)]

    def _sources(self, node, frame):
        """Rows of (source, output or None for a control edge, its frame, whether it closes a loop)."""
        graph = self._graph
        op = graph.ops[node]
        where = frame
        if op in _graph.LOOP_ENTERS:
            where = frame[:-1]
        elif op in ('Exit', 'RefExit'):
            where = frame + (self._frame_of(node),)
        rows = []
        for source, port in graph.inputs[node]:
            back = op in _graph.LOOP_MERGES and graph.ops[source] in _graph.LOOP_BACK
            rows.append((source, port, where, back))
        hashes = self._hashes
        seen = set()
        for source in sorted(graph.controls[node], key=hashes.get):
            if hashes[source] not in seen:
                seen.add(hashes[source])
                rows.append((source, None, where, False))
        return rows

    def _frame_of(self, leave):
        """The frame that an Exit leaves: that of the Enter behind its Switch and Merge."""
        graph = self._graph
        node = leave
        for _ in range(64):
            if graph.ops[node] in _graph.LOOP_ENTERS:
                return graph.attrs[node].get('frame_name', b'')
            node = graph.inputs[node][0][0]
        return b''

    def _write(self, node, frame, key, rows):
        graph = self._graph
        op = graph.ops[node]
        name = graph.names[node] if op in _graph.PLACEHOLDERS else _free('n{}'.format(len(self._names)), self._taken)
        made = self._result.node.add(name=name, op=op)
        self._names[key] = name
        for attr, value in sorted(graph.attrs[node].items()):
            if attr != _graph.FUNCTIONS:
                made.attr[attr].ParseFromString(value)
        if op in _graph.LOOP_ENTERS:
            number = self._frames.setdefault(frame, len(self._frames))
            made.attr['frame_name'].s = 'frame{}'.format(number).encode()
        tensor = graph.tensors[node]
        if tensor is not None:
            made.attr['dtype'].type = tensor.dtype
            _plain_tensor(tensor, made.attr['value'].tensor)
        for source, port, where, back in rows:
            if back:
                self._waiting.append(((_Late(made), port), source, where))
            elif port is None:
                made.input.append('^' + self._names[(self._hashes[source], where)])
            else:
                made.input.append(_edge(self._names[(self._hashes[source], where)], port))
        if op == 'LoopCond':
            self._frames.setdefault(frame, len(self._frames))
            self._conditions = getattr(self, '_conditions', {})
            self._conditions[frame] = name
        if not rows and frame:
            self._lonely = getattr(self, '_lonely', [])
            self._lonely.append((made, frame))

    def _pivots(self):
        """Nodes without inputs that are needed inside a loop run once an iteration: they wait for its condition."""
        for made, frame in getattr(self, '_lonely', []):
            condition = getattr(self, '_conditions', {}).get(frame)
            if condition:
                made.input.append('^' + condition)


def _free(name, taken):
    while name in taken:
        name += '_'
    return name


class _Late:
    """A Merge whose second input is written later; two of them are never one."""

    def __init__(self, node):
        self.input = node.input

    def __hash__(self):
        return id(self)


def _edge(name, port):
    return name if not port else '{}:{}'.format(name, port)


def _plain_tensor(tensor, proto):
    """Writes a tensor in the one form that each value has here: raw bytes, or strings one by one."""
    proto.dtype = tensor.dtype
    proto.tensor_shape.SetInParent()
    for size in tensor.shape:
        proto.tensor_shape.dim.add(size=size)
    if tensor.dtype == 7:
        proto.string_val.extend(tensor.array().reshape(-1).tolist())
    else:
        proto.tensor_content = tensor.array().tobytes()


def _output_type(graph, node, port, registry):
    """The DataType number of an output, as the op's own definition says."""
    op = graph.ops[node]
    if op in _graph.PLACEHOLDERS or graph.tensors[node] is not None:
        return graph.tensors[node].dtype if graph.tensors[node] is not None else _graph.attr_type(
            graph.attrs[node], 'dtype')
    definition = registry.get(op) if hasattr(registry, 'get') else registry.get_registered_ops().get(op)
    if definition is None:
        return 1
    attrs = graph.attrs[node]
    position = port
    for arg in definition.output_arg:
        count = 1
        if arg.number_attr:
            value = attrs.get(arg.number_attr)
            count = _graph.attr_proto(value).i if value else 1
        if position < count:
            if arg.type_attr:
                found = _graph.attr_type(attrs, arg.type_attr)
                if found:
                    return found
                for attr in definition.attr:
                    if attr.name == arg.type_attr:
                        return attr.default_value.type or 1
            return arg.type or 1
        position -= count
    return 1


def serialized(graph):
    """The bytes of the canonical form."""
    return form(graph).SerializeToString(deterministic=True)


def write(graph, path):
    """Writes the canonical form of ``graph`` to ``path``, wholly or not at all."""
    data = serialized(graph)
    with _staging.replacing(path) as partial:
        with open(partial, 'wb') as file:
            file.write(data)
    return data


def write_both(answer, path):
    """Writes A's form to ``path``, and B's beside it where it is another; returns the paths."""
    first = write(answer.graphs[0], path)
    second = serialized(answer.graphs[1])
    if first == second:
        return [path]
    base, ext = os.path.splitext(path)
    write(answer.graphs[1], base + '.b' + ext)
    return [path, base + '.b' + ext]
