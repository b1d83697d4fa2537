"""The rules of the canonical form: rewrites that cannot change what a graph computes.

Each is a row of ``RULES``: what it is called, why it is safe, and a function
that applies it in place and says how often. No rule reads a name. Which rules
a comparison needs is found elsewhere (``_equivalence``); what is always set
aside (names, order, devices, dead nodes, copies) never gets as far as this.
"""
import collections
import math

import numpy

from od_patch.compare import _folding
from od_patch.graphs import _graph
from od_patch.graphs import _op_table
from od_patch.graphs import _tensors

Rule = collections.namedtuple('Rule', 'name reason apply')

_FLOAT, _INT32, _BOOL = 1, 3, 10


def _scalar(graph, edge):
    """The number that a Const of one element holds, or None; one that waits for something may be dead, so None too."""
    tensor = graph.tensors[edge[0]]
    if tensor is None or graph.controls[edge[0]] or tensor.size != 1 or tensor.dtype not in _tensors.NUMERIC:
        return None
    return tensor.numbers().reshape(-1)[0]


def _through(graph, edge):
    """Follows Identity nodes without control inputs down to what they pass on."""
    while graph.ops[edge[0]] in _PASSING and not graph.controls[edge[0]] and graph.inputs[edge[0]]:
        edge = graph.inputs[edge[0]][0]
    return edge


# default attributes ---------------------------------------------------------------------------------------------------

def _kept(graph, node, rule, keep):
    """The attributes of a node that ``keep`` leaves, worked out once for all copies of the graph."""
    attrs = graph.attrs[node]
    key = (rule, graph.ops[node], id(attrs))
    if key not in graph.memo:
        kept = keep(attrs)
        graph.memo[key] = (attrs, kept if len(kept) != len(attrs) else attrs)  # holds attrs, so its id stays its own
    return graph.memo[key][1]


def _drop_defaults(graph):
    _, known = _op_table.table()
    count = 0
    for node, attrs in enumerate(graph.attrs):
        op = known[graph.ops[node]]
        if op is None or not op.defaults:
            continue
        kept = _kept(graph, node, 'defaults', lambda attrs: {
            name: value for name, value in attrs.items() if op.defaults.get(name) != value})
        if kept is not attrs:
            graph.attrs[node] = kept
            count += len(attrs) - len(kept)
    return count


def _drop_hints(graph):
    count = 0
    for node, attrs in enumerate(graph.attrs):
        kept = _kept(graph, node, 'hints', lambda attrs: {
            name: value for name, value in attrs.items() if name[:1] != '_'})
        if kept is not attrs:
            graph.attrs[node] = kept
            count += len(attrs) - len(kept)
    return count


def _drop_attr(ops, name):
    def apply(graph):
        count = 0
        for node, op in enumerate(graph.ops):
            if op in ops and name in graph.attrs[node]:
                graph.attrs[node] = {key: value for key, value in graph.attrs[node].items() if key != name}
                count += 1
        return count
    return apply


# Identity chains ------------------------------------------------------------------------------------------------------

_PASSING = frozenset(['Identity', 'StopGradient', 'PreventGradient', 'Snapshot'])
_BRANCHES = frozenset(['Switch', 'RefSwitch', 'Merge', 'RefMerge'])
_SWITCHES = frozenset(['Switch', 'RefSwitch'])
_LOOP, _END = 'an iteration of a loop', 'the end of a loop'


def _skip_identities(graph):
    moves = {}
    for node, op in enumerate(graph.ops):
        if op in _PASSING and not graph.controls[node] and graph.inputs[node]:
            moves[(node, 0)] = graph.inputs[node][0]
        elif op == 'Cast' and not graph.controls[node] and graph.inputs[node]:
            attrs = graph.attrs[node]
            if attrs.get('SrcT') == attrs.get('DstT'):
                moves[(node, 0)] = graph.inputs[node][0]
    if not moves:
        return 0
    used = {edge for row in graph.inputs for edge in row} | {edge[1:] for edge in graph.outputs}
    # A control edge from an Identity says when its source is done; on one side of a Switch it also says which side.
    pivots = {node: graph.inputs[node][0][0] for node, _ in moves}
    for node, row in enumerate(graph.controls):
        if row:
            kept = []
            for source in row:
                while source in pivots and graph.ops[pivots[source]] not in _BRANCHES:
                    source = pivots[source]
                kept.append(source)
            graph.controls[node] = tuple(kept)
    graph.redirect(moves)
    return len(used & set(moves))


def _drop_const_controls(graph):
    """In loops always; in the branch of a conditional only where what reads the Const is dead without it, too."""
    held = _deciding_consts(graph)
    count = 0
    for node, row in enumerate(graph.controls):
        if row and graph.ops[node] == 'Const' and node not in held:
            graph.controls[node] = ()
            count += 1
    return count


def _branch(graph, control):
    """What a control input waits for: (predicate edge, side) of a conditional, _LOOP, _END, or None for others."""
    edge = _through(graph, (control, 0))
    node, port = edge
    # The control edge of a Switch itself is alive on both sides; only what reads one of its outputs tells them apart.
    if node == control or graph.ops[node] not in _SWITCHES or len(graph.inputs[node]) != 2 or graph.controls[node]:
        return None
    predicate = _through(graph, graph.inputs[node][1])
    if graph.ops[predicate[0]] == 'LoopCond':
        return _LOOP if port == 1 else _END
    return predicate, port


def _decided(graph, consumers):
    """Nodes that a Switch of no loop may leave dead: all that depend on one, by data or by control."""
    stack = [node for node, op in enumerate(graph.ops) if op in _SWITCHES and not (
        len(graph.inputs[node]) == 2 and graph.ops[_through(graph, graph.inputs[node][1])[0]] == 'LoopCond')]
    found = set(stack)
    while stack:
        for consumer, _ in consumers[stack.pop()]:
            if consumer not in found:
                found.add(consumer)
                stack.append(consumer)
    return found


def _deciding_consts(graph):
    """Consts whose control input decides which value a Merge takes: they are dead on one side of a conditional."""
    guarded = {}
    for node, row in enumerate(graph.controls):
        if row and graph.ops[node] == 'Const':
            branches = {control: _branch(graph, control) for control in row}
            if set(branches.values()) != {_LOOP}:
                guarded[node] = branches
    if not guarded:
        return ()
    consumers = graph.consumers()
    decided = _decided(graph, consumers)
    # What no Switch of a conditional comes before is alive whenever its loop is, unless it waits for the loop's end.
    guarded = {node: {branch for control, branch in branches.items()
                      if branch == _END or branch != _LOOP and control in decided}
               for node, branches in guarded.items()}
    guarded = {node: branches for node, branches in guarded.items() if branches}
    held = {node for node, branches in guarded.items()
            if None in branches or _END in branches or any(slot == -1 for _, slot in consumers[node])}
    held.update(node for _, node, _ in graph.outputs if node in guarded)
    for node, row in enumerate(graph.inputs):
        for source, _ in row:
            if source in guarded and source not in held:
                others = [edge for edge in row if edge[0] not in guarded]
                if graph.ops[node] in _graph.LOOP_MERGES or not all(
                        any(_comes_through(graph, edge, branch) for edge in others) for branch in guarded[source]):
                    held.add(source)
    return held


def _comes_through(graph, edge, branch, most=300):
    """Whether a value passed the side of a conditional that ``branch`` names, so that it is dead on the other."""
    seen, stack = set(), [edge]
    while stack and len(seen) < most:
        node, port = stack.pop()
        op = graph.ops[node]
        if op in ('Switch', 'RefSwitch') and port == branch[1] and \
                _through(graph, graph.inputs[node][1]) == branch[0]:
            return True
        if node not in seen and op not in _graph.LOOP_MERGES:  # a Merge is alive when any of its inputs is
            seen.add(node)
            stack.extend(graph.inputs[node])
    return False


def _flatten_groups(graph):
    count = 0
    for node, row in enumerate(graph.controls):
        if any(graph.ops[source] == 'NoOp' for source in row):
            found, stack, seen = [], list(row), set()
            while stack:
                source = stack.pop()
                if source in seen:
                    continue
                seen.add(source)
                if graph.ops[source] == 'NoOp' and graph.controls[source]:
                    stack.extend(graph.controls[source])
                else:
                    found.append(source)
            if set(found) != set(row):
                graph.controls[node] = tuple(found)
                count += 1
    return count


# op versions with one meaning -----------------------------------------------------------------------------------------

def _gather(graph):
    count = 0
    for node, op in enumerate(graph.ops):
        if op == 'Gather':
            attrs = graph.attrs[node]
            graph.ops[node] = 'GatherV2'
            graph.attrs[node] = {'Tparams': attrs.get('Tparams', b''), 'Tindices': attrs.get('Tindices', b''),
                                 'Taxis': _graph.type_attr(_INT32)}
            axis = graph.constant(0, _INT32)
            graph.inputs[node] = graph.inputs[node][:2] + [(axis, 0)]
            count += 1
    return count


def _concat(graph):
    count = 0
    for node, op in enumerate(graph.ops):
        if op == 'Concat' and len(graph.inputs[node]) > 1:
            graph.ops[node] = 'ConcatV2'
            graph.inputs[node] = graph.inputs[node][1:] + graph.inputs[node][:1]
            count += 1
    return count


def _relu6(graph):
    count = 0
    for node, op in enumerate(graph.ops):
        if op != 'Minimum' or graph.controls[node] or len(graph.inputs[node]) != 2 or \
                _graph.attr_type(graph.attrs[node], 'T') not in _tensors.FLOATING:
            continue
        # In this order only: TensorFlow 1.12 gives 6 for Minimum(6, NaN), and NaN for Relu6(NaN).
        (relu, port), limit = (_through(graph, edge) for edge in graph.inputs[node])
        tensor = graph.tensors[limit[0]]
        if graph.ops[relu] == 'Relu' and not port and not graph.controls[relu] and tensor is not None and \
                not tensor.shape and _scalar(graph, limit) == 6:
            graph.ops[node], graph.attrs[node] = 'Relu6', {'T': graph.attrs[node]['T']}
            graph.inputs[node] = graph.inputs[relu][:1]
            count += 1
    return count


def _nms_threshold(graph):
    count = 0
    for node, op in enumerate(graph.ops):
        if op == 'NonMaxSuppressionV2':
            threshold = graph.constant(-math.inf, _FLOAT)
            graph.ops[node] = 'NonMaxSuppressionV3'
            graph.inputs[node] = graph.inputs[node][:4] + [(threshold, 0)]
            count += 1
    return count


def _nms_soft(graph):
    """V5 with a sigma of 0 is V3; its second output is then what the scores hold at the selected places."""
    moves, count = {}, 0
    used = {edge for row in graph.inputs for edge in row} | {edge[1:] for edge in graph.outputs}
    for node in range(len(graph)):
        if graph.ops[node] != 'NonMaxSuppressionV5' or (node, 2) in used or len(graph.inputs[node]) < 6:
            continue
        if _scalar(graph, _through(graph, graph.inputs[node][5])) != 0:
            continue
        attrs = graph.attrs[node]
        if attrs.get('pad_to_max_output_size', _FALSE) != _FALSE:
            continue
        graph.ops[node] = 'NonMaxSuppressionV3'
        graph.attrs[node] = {key: value for key, value in attrs.items() if key == 'T'}
        graph.inputs[node] = graph.inputs[node][:5]
        if (node, 1) in used:
            axis = graph.constant(0, _INT32)
            scores = graph.add('GatherV2', [graph.inputs[node][1], (node, 0), (axis, 0)],
                               {'Tparams': attrs.get('T', _graph.type_attr(_FLOAT)),
                                'Tindices': _graph.type_attr(_INT32), 'Taxis': _graph.type_attr(_INT32)})
            moves[(node, 1)] = (scores, 0)
        count += 1
    graph.redirect(moves)
    return count


_FALSE, _TRUE = b'\x28\x00', b'\x28\x01'


def _add_v2(graph):
    count = 0
    for node, op in enumerate(graph.ops):
        if op == 'AddV2' and _graph.attr_type(graph.attrs[node], 'T') in _tensors.NUMERIC:
            graph.ops[node] = 'Add'
            count += 1
    return count


def _batch_norm_v1(graph):
    used = {}
    for row in graph.inputs:
        for source, port in row:
            if port:
                used.setdefault(source, set()).add(port)
    for _, node, port in graph.outputs:
        if port:
            used.setdefault(node, set()).add(port)
    count = 0
    for node, op in enumerate(graph.ops):
        if op not in ('FusedBatchNormV2', 'FusedBatchNormV3') or node in used:
            continue
        attrs = graph.attrs[node]
        if (_graph.attr_type(attrs, 'T') == _FLOAT and _graph.attr_type(attrs, 'U') == _FLOAT
                and attrs.get('is_training', _TRUE) == _FALSE):
            graph.ops[node] = 'FusedBatchNorm'
            # is_training stays; of the rest only what the first version has
            graph.attrs[node] = {name: value for name, value in attrs.items() if name != 'U'
                                 and not (name == 'exponential_avg_factor')}
            count += 1
    return count


def _float_division(graph):
    count = 0
    for node, op in enumerate(graph.ops):
        if op == 'Div' and _graph.attr_type(graph.attrs[node], 'T') in _tensors.FLOATING:
            graph.ops[node] = 'RealDiv'
            count += 1
    return count


_ASSERT_ATTRS = {'T': b'\x0a\x03\x32\x01\x0a'}  # AttrValue{list{type: DT_BOOL}}


def _constant_values(graph):
    """Nodes whose inputs are all Consts, and whose value is the same bits everywhere, become Consts."""
    count = 0
    ready = collections.deque(node for node in range(len(graph)) if graph.ops[node] in _folding.FOLDABLE)
    consumers = None
    while ready:
        node = ready.popleft()
        op = graph.ops[node]
        if op == 'Const' or graph.controls[node] or not graph.inputs[node] or not _folding.exact(graph, node):
            continue
        if any(graph.tensors[source] is None or port or graph.controls[source] for source, port in graph.inputs[node]):
            continue  # a Const that waits for one side of a conditional is dead on the other
        if op in ('Unpack', 'Split'):
            continue
        value = _folding.evaluate(graph, node)
        if value is None or value.size > _folding.MOST:
            continue
        dtype = _folding.result_type(graph, node)
        if dtype is None:
            continue
        graph.tensors[node] = _tensors.encoded(value, dtype)
        graph.ops[node], graph.inputs[node] = 'Const', []
        graph.attrs[node] = {'dtype': _graph.type_attr(dtype)}
        count += 1
        consumers = consumers or graph.consumers()
        ready.extend(user for user, _ in consumers[node] if graph.ops[user] in _folding.FOLDABLE)
    return count


def _times_one(graph):
    """x × 1 and x ÷ 1 are x, bit for bit, where the one is a scalar and so cannot change the shape."""
    moves = {}
    for node, op in enumerate(graph.ops):
        if op not in ('Mul', 'RealDiv', 'Div') or graph.controls[node] or len(graph.inputs[node]) != 2:
            continue
        if _graph.attr_type(graph.attrs[node], 'T') not in _tensors.FLOATING:
            continue
        for own, other in ((1, 0), (0, 1))[:1 if op != 'Mul' else 2]:
            edge = _through(graph, graph.inputs[node][own])
            tensor = graph.tensors[edge[0]]
            if tensor is not None and not tensor.shape and _scalar(graph, edge) == 1:
                moves[(node, 0)] = graph.inputs[node][other]
                break
    graph.redirect(moves)
    return len(moves)


def _assert_text(graph):
    count = 0
    for node, op in enumerate(graph.ops):
        if op == 'Assert':
            graph.inputs[node] = graph.inputs[node][:1] * 2  # it must have something to print: its predicate
            graph.attrs[node] = _ASSERT_ATTRS
            count += 1
    return count


# forms ----------------------------------------------------------------------------------------------------------------

def _loop_counter(graph, merge, condition):
    """The (Switch, Add) of a variable of ``condition``'s loop that runs 0, 1, 2, …, held by ``merge``; or None."""
    if graph.ops[merge] != 'Merge' or len(graph.inputs[merge]) != 2:
        return None
    enter, back = graph.inputs[merge][0][0], graph.inputs[merge][1][0]
    if graph.ops[enter] != 'Enter' or graph.ops[back] != 'NextIteration':
        return None
    if not graph.inputs[enter] or not graph.inputs[back]:
        return None
    if _scalar(graph, _through(graph, graph.inputs[enter][0])) != 0:
        return None
    step = _through(graph, graph.inputs[back][0])[0]
    if graph.ops[step] not in ('Add', 'AddV2') or _graph.attr_type(graph.attrs[step], 'T') not in (3, 9):
        return None
    sides = [_through(graph, edge) for edge in graph.inputs[step]]
    for own, other in (sides, sides[::-1]):
        if (graph.ops[own[0]] == 'Switch' and own[1] == 1 and graph.inputs[own[0]][0] == (merge, 0)
                and _through(graph, graph.inputs[own[0]][1]) == (condition, 0) and _scalar(graph, other) == 1
                and not any(graph.controls[part] for part in (merge, enter, back, step, own[0]))):
            return own[0], step
    return None


def _bound(graph, edge):
    """What a Less compares a counter with, seen from outside the loop, and the loop's frame."""
    edge = _through(graph, edge)
    if graph.ops[edge[0]] == 'Enter' and graph.attrs[edge[0]].get('is_constant', _FALSE) == _TRUE:
        return _through(graph, graph.inputs[edge[0]][0])
    return edge if graph.tensors[edge[0]] is not None and not graph.controls[edge[0]] else None


def _same_bound(graph, one, other):
    if one is None or other is None:
        return False
    if one == other:
        return True
    left, right = graph.tensors[one[0]], graph.tensors[other[0]]
    return left is not None and right is not None and left.digest == right.digest


def _while_counter(graph):
    consumers = None
    count = 0
    for node, op in enumerate(graph.ops):
        if op != 'LoopCond' or not graph.inputs[node]:
            continue
        both = _through(graph, graph.inputs[node][0])[0]
        if graph.ops[both] != 'LogicalAnd' or graph.controls[both]:
            continue
        tests = []
        for edge in graph.inputs[both]:
            less = _through(graph, edge)[0]
            if graph.ops[less] != 'Less' or len(graph.inputs[less]) != 2 or graph.controls[less]:
                break
            merge, port = _through(graph, graph.inputs[less][0])
            if port:
                break  # the second output of a Merge says which input came, not what it holds
            tests.append((less, merge, _loop_counter(graph, merge, node), _bound(graph, graph.inputs[less][1])))
        if len(tests) != 2 or not all(test[2] for test in tests):
            continue
        if not _same_bound(graph, tests[0][3], tests[1][3]):
            continue
        consumers = consumers or graph.consumers()
        for spare, kept in ((tests[0], tests[1]), (tests[1], tests[0])):
            if _used_nowhere_else(graph, consumers, spare):
                graph.inputs[node] = [(kept[0], 0)]
                count += 1
                break
    return count


def _used_nowhere_else(graph, consumers, test):
    """Whether a counter serves its own Less and its own step only; an Exit that nobody reads is allowed."""
    less, merge, (switch, step), _ = test
    results = {node for _, node, _ in graph.outputs}

    def only(node, allowed):
        if node in results:
            return False
        for consumer, slot in consumers[node]:
            if consumer in allowed:
                continue
            if graph.ops[consumer] in _PASSING and slot == 0:
                if not only(consumer, allowed):
                    return False
            elif graph.ops[consumer] == 'Exit':
                if consumers[consumer] or consumer in results:
                    return False
            elif slot == -1 and graph.ops[consumer] == 'Const':
                continue  # says only in which frame the Const is
            else:
                return False
        return True
    back = graph.inputs[merge][1][0]
    return (only(merge, {less, switch}) and only(switch, {step}) and only(step, {back})
            and only(less, {consumer for consumer, _ in consumers[less] if graph.ops[consumer] == 'LogicalAnd'}))


def _softmax(graph):
    """Reshape(Softmax(Reshape(x, [-1, last])), Shape(x)) is Softmax(x): it works along the last dimension anyhow."""
    moves = {}
    for node, op in enumerate(list(graph.ops)):
        if op != 'Reshape' or graph.controls[node] or len(graph.inputs[node]) != 2:
            continue
        inner = _through(graph, graph.inputs[node][0])
        if graph.ops[inner[0]] != 'Softmax' or graph.controls[inner[0]] or not graph.inputs[inner[0]]:
            continue
        flat = _through(graph, graph.inputs[inner[0]][0])
        if graph.ops[flat[0]] != 'Reshape' or graph.controls[flat[0]] or len(graph.inputs[flat[0]]) != 2:
            continue
        source = _through(graph, graph.inputs[flat[0]][0])
        if not _is_shape_of(graph, graph.inputs[node][1], source):
            continue
        if not _keeps_last(graph, graph.inputs[flat[0]][1], source):
            continue
        # A node of its own: what else reads the flat one goes on reading it.
        moves[(node, 0)] = (graph.add('Softmax', [source], graph.attrs[inner[0]]), 0)
    graph.redirect(moves)
    return len(moves)


def _is_shape_of(graph, edge, source):
    edge = _through(graph, edge)
    if graph.ops[edge[0]] != 'Shape' or graph.controls[edge[0]] or not graph.inputs[edge[0]]:
        return False
    return _through(graph, graph.inputs[edge[0]][0]) == source


def _keeps_last(graph, edge, source):
    """Whether a shape is [-1, last dimension of ``source``] as tf.nn.softmax wrote it until TF 1.10."""
    edge = _through(graph, edge)
    if graph.ops[edge[0]] != 'ConcatV2' or len(graph.inputs[edge[0]]) != 3 or graph.controls[edge[0]]:
        return False
    first, last, axis = (_through(graph, part) for part in graph.inputs[edge[0]])
    if _scalar(graph, first) != -1 or _scalar(graph, axis) != 0 or graph.ops[last[0]] != 'Slice':
        return False
    if graph.controls[last[0]] or len(graph.inputs[last[0]]) != 3:
        return False
    shape, begin, size = graph.inputs[last[0]]
    if not _is_shape_of(graph, shape, source) or _scalar(graph, _through(graph, size)) != 1:
        return False
    begin = _through(graph, begin)
    if graph.controls[begin[0]]:
        return False
    if graph.ops[begin[0]] == 'Pack' and len(graph.inputs[begin[0]]) == 1:
        begin = _through(graph, graph.inputs[begin[0]][0])
    place = _scalar(graph, begin)
    if place is None and graph.ops[begin[0]] == 'Sub' and not graph.controls[begin[0]] and \
            len(graph.inputs[begin[0]]) == 2:
        rank, one = (_through(graph, part) for part in graph.inputs[begin[0]])
        if _scalar(graph, one) != 1:
            return False
        if graph.ops[rank[0]] == 'Rank' and not graph.controls[rank[0]] and graph.inputs[rank[0]]:
            return _through(graph, graph.inputs[rank[0]][0]) == source
        place = None if _scalar(graph, rank) is None else _scalar(graph, rank) - 1
    return place is not None and place + 1 == _rank(graph, source)


_SAME_RANK = frozenset(['BiasAdd', 'Relu', 'Relu6', 'Sigmoid', 'Softmax', 'Cast', 'Neg', 'Exp', 'Transpose'])
_RANK_4 = frozenset(['Conv2D', 'DepthwiseConv2dNative', 'MaxPool', 'AvgPool', 'FusedBatchNorm', 'ResizeBilinear',
                     'CropAndResize'])
_BROADCASTING = frozenset(['Add', 'AddV2', 'Sub', 'Mul', 'Div', 'RealDiv', 'Maximum', 'Minimum'])


def _rank(graph, edge, known=None, depth=24):
    """The rank that a tensor must have by the ops that make it, or None where they do not say."""
    edge = _through(graph, edge)
    known = {} if known is None else known
    if edge not in known and depth:
        known[edge] = None  # what is asked for again on the way is a cycle, and says nothing
        known[edge] = _rank_by_op(graph, edge, known, depth - 1)
    return known.get(edge)


def _rank_by_op(graph, edge, known, depth):
    node, port = edge
    op, inputs = graph.ops[node], graph.inputs[node]
    if op == 'Unpack' and inputs:
        rank = _rank(graph, inputs[0], known, depth)
        return rank - 1 if rank else None
    if port:
        return None  # only of their first outputs is anything known here
    if graph.tensors[node] is not None:
        return len(graph.tensors[node].shape)
    if op == 'Pack' and inputs:
        rank = _rank(graph, inputs[0], known, depth)  # Pack takes tensors of one shape
        return None if rank is None else rank + 1
    if op in _BROADCASTING and len(inputs) == 2:
        ranks = [_rank(graph, source, known, depth) for source in inputs]
        return None if None in ranks else max(ranks)
    if op == 'Reshape' and len(inputs) == 2:
        shape = _through(graph, inputs[1])[0]
        if graph.tensors[shape] is not None:
            return graph.tensors[shape].size
        return len(graph.inputs[shape]) if graph.ops[shape] == 'Pack' else None
    if op in _graph.PLACEHOLDERS and 'shape' in graph.attrs[node]:
        shape = _graph.attr_proto(graph.attrs[node]['shape']).shape
        return len(shape.dim) or None  # old graphs wrote [] for an unknown one
    if op in _RANK_4:
        return 4
    if op == 'MatMul':
        return 2
    return _rank(graph, inputs[0], known, depth) if op in _SAME_RANK and inputs else None


def _transpose(graph):
    """A constant permutation [n-1 … 0] is written as TF <= 1.12 did: from the rank of what is transposed."""
    count, ranks = 0, {}
    for node, op in enumerate(list(graph.ops)):
        if op != 'Transpose' or len(graph.inputs[node]) != 2:
            continue
        edge = _through(graph, graph.inputs[node][1])
        tensor = graph.tensors[edge[0]]
        if tensor is None or tensor.dtype != _INT32 or len(tensor.shape) != 1 or graph.controls[edge[0]]:
            continue
        if _rank(graph, graph.inputs[node][0], ranks) != tensor.size:
            continue  # of another rank the tensor would be refused, and the computed permutation takes any
        if not numpy.array_equal(tensor.numbers(), numpy.arange(tensor.size)[::-1]):
            continue
        source = graph.inputs[node][0]
        kind = _graph.type_attr(_INT32)
        rank = graph.add('Rank', [source], {'T': graph.attrs[node].get('T', b'')})
        one, zero, step = (graph.constant(value, _INT32) for value in (1, 0, 1))
        last = graph.add('Sub', [(rank, 0), (one, 0)], {'T': kind})
        places = graph.add('Range', [(zero, 0), (rank, 0), (step, 0)], {})
        permutation = graph.add('Sub', [(last, 0), (places, 0)], {'T': kind})
        graph.inputs[node] = [source, (permutation, 0)]
        attrs = dict(graph.attrs[node])
        attrs.pop('Tperm', None)
        graph.attrs[node] = attrs
        count += 1
    return count


def _masked_padding(graph):
    """Select(range < n, [gathered n, padding], e) written as Select(range < n, gathered from [n places, zeros], e)."""
    count = 0
    for node, op in enumerate(list(graph.ops)):
        if op != 'Select' or len(graph.inputs[node]) != 3:
            continue
        mask, padded = (_through(graph, edge)[0] for edge in graph.inputs[node][:2])
        if graph.ops[mask] != 'Less' or graph.ops[padded] != 'ConcatV2' or len(graph.inputs[padded]) != 3:
            continue
        values, fill, axis = (_through(graph, edge) for edge in graph.inputs[padded])
        if len(graph.inputs[mask]) != 2 or any(graph.controls[part] for part in (padded, values[0], fill[0])):
            continue  # what they wait for would be waited for no more
        if len(graph.inputs[values[0]]) != 3 or len(graph.inputs[fill[0]]) != 2:
            continue
        if graph.ops[values[0]] != 'GatherV2' or graph.ops[fill[0]] != 'Fill' or _scalar(graph, axis) not in (0, -1):
            continue
        source, places, along = graph.inputs[values[0]]
        places = _through(graph, places)
        # One dimension is what NMS returns, and only there is the last axis the first one.
        if _scalar(graph, along) != 0 or not graph.ops[places[0]].startswith('NonMaxSuppression') or places[1]:
            continue
        steps = _through(graph, graph.inputs[mask][0])[0]
        if len(graph.inputs[steps]) != 3:
            continue
        if graph.ops[steps] != 'Range' or [_scalar(graph, _through(graph, graph.inputs[steps][slot]))
                                           for slot in (0, 2)] != [0, 1]:
            continue
        if not _is_length_of(graph, graph.inputs[mask][1], places):
            continue
        kind = _graph.type_attr(_INT32)
        zero, along = graph.constant(0, _INT32), graph.constant(0, _INT32)
        zeros = graph.add('Fill', [graph.inputs[fill[0]][0], (zero, 0)], dict(graph.attrs[fill[0]], T=kind))
        more = graph.add('ConcatV2', [places, (zeros, 0), (along, 0)], dict(graph.attrs[padded], T=kind))
        gathered = graph.add('GatherV2', [source, (more, 0), (along, 0)], graph.attrs[values[0]])
        graph.inputs[node] = [graph.inputs[node][0], (gathered, 0), graph.inputs[node][2]]
        count += 1
    return count


def _is_length_of(graph, edge, source):
    """Whether an edge is Shape(source)[0] of a vector."""
    edge = _through(graph, edge)
    if graph.ops[edge[0]] != 'StridedSlice' or len(graph.inputs[edge[0]]) != 4:
        return False
    shape, begin, end, step = graph.inputs[edge[0]]
    return (_is_shape_of(graph, shape, source)
            and [_scalar(graph, _through(graph, part)) for part in (begin, end, step)] == [0, 1, 1])


RULES = [
    Rule('default attributes',
         'An attribute that is not written has its op\'s default value, so writing the default changes nothing.',
         _drop_defaults),
    Rule('hints',
         'Attributes that begin with "_" (_class, _output_shapes) tell the runtime where to place a node or what was '
         'inferred; kernels do not read them.', _drop_hints),
    Rule('TensorArray element shapes',
         'identical_element_shapes is a promise that lets the runtime check more; values are read and written alike.',
         _drop_attr(frozenset(['TensorArrayV3']), 'identical_element_shapes')),
    Rule('loop parallelism',
         'parallel_iterations says how many iterations may be under way at once, not what they compute.',
         _drop_attr(_graph.LOOP_ENTERS, 'parallel_iterations')),
    Rule('Identity chains',
         'Identity, StopGradient, PreventGradient, Snapshot and a Cast to the same type hand on their input '
         'unchanged. One with control inputs '
         'is kept, and so is one that tells which side of a Switch was taken.', _skip_identities),
    Rule('control inputs of Consts',
         'A Const has its value whenever it is asked; what it waits for cannot change it. Kept where it is what makes '
         'a Const dead on one side of a conditional, and so decides which value a Merge takes.', _drop_const_controls),
    Rule('control groups',
         'To wait for a NoOp is to wait for all that it waits for.', _flatten_groups),
    Rule('Gather',
         'Gather(p, i) is GatherV2(p, i, axis=0) by definition; validate_indices is not read by either kernel.',
         _gather),
    Rule('Concat', 'Concat(axis, values) is ConcatV2(values, axis) by definition: one kernel, another order of inputs.',
         _concat),
    Rule('Relu6', 'Relu6(x) is Minimum(Relu(x), 6), bit for bit, whatever x is; only in floating point, in this order '
         'and where the 6 is a scalar.', _relu6),
    Rule('NMS without score threshold',
         'NonMaxSuppressionV2 is V3 with a score threshold of minus infinity: no score lies below it.', _nms_threshold),
    Rule('NMS without soft sigma',
         'NonMaxSuppressionV5 with a soft_nms_sigma of 0 selects as V3 does and returns the scores as they were; only '
         'where the count of valid results is not used.', _nms_soft),
    Rule('AddV2', 'AddV2 is Add without strings; only for numeric types.', _add_v2),
    Rule('float division', 'Div and RealDiv are one operation on floating point numbers; integers are left alone.',
         _float_division),
    Rule('constant values', 'What is made of Consts alone, by moving elements or by integer arithmetic, has the same '
         'bits wherever it is worked out. Floating point arithmetic is left alone.', _constant_values),
    Rule('times one', 'A floating point number times one or divided by one is that number; only where the one is a '
         'scalar, so that the shape stays.', _times_one),
    Rule('batch norm versions',
         'FusedBatchNormV2 and V3 compute the first output as FusedBatchNorm does; only where T and U are float, '
         'is_training is false, and no other output is used.', _batch_norm_v1),
    Rule('Assert text', 'What an Assert prints when it fails is no result; its predicate is kept.', _assert_text),
    Rule('while counter',
         'Less(counter, max) and Less(i, n) say the same where max and n are one value, both run 0, 1, 2, … and the '
         'counter is used nowhere else.', _while_counter),
    Rule('softmax', 'Softmax works along the last dimension, so flattening the others before and restoring them after '
         'changes nothing; only where the last dimension is provably kept.', _softmax),
    Rule('masked padding',
         'Where a Select takes only the first n elements, n being how many NMS chose, it is one whether the rest was '
         'padded with a number after gathering or with place 0 before it.', _masked_padding),
    Rule('transpose', 'A constant permutation [n-1 … 0] is what Sub(Sub(Rank, 1), Range(0, Rank, 1)) computes for a '
         'tensor of rank n; only where the ops that make the tensor say that n is its rank.', _transpose),
]
NAMES = [rule.name for rule in RULES]


def _removed_defaults(graph, node, op):
    row = _op_table.table()[1][graph.ops[node]]
    if row is None:
        return ()
    return [(op, name, value) for name, value in graph.attrs[node].items() if row.defaults.get(name) == value]


def _removed_hints(graph, node, op):
    return [(op, name, value) for name, value in graph.attrs[node].items() if name[:1] == '_']


def _removed_text(graph, node, op):
    if op != 'Assert':
        return ()
    return [graph.tensors[source].digest for source, _ in graph.inputs[node][1:] if graph.tensors[source] is not None]


# For rules that only remove: what each takes from a node of the graph as read; ``op`` is what it is called in the end.
REMOVES = {'default attributes': _removed_defaults, 'hints': _removed_hints, 'Assert text': _removed_text}


def apply(graph, names):
    """Returns a rewritten copy of ``graph`` and a dict of rule name -> how often it was used."""
    twin = graph.copy()
    used = collections.OrderedDict()
    for rule in RULES:
        if rule.name in names:
            count = rule.apply(twin)
            if count:
                used[rule.name] = count
    return twin, used
