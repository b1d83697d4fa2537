"""Traces of graph transforms: batch norms folded into convolutions, weights quantized, Grappler's fusions.

What can be checked is checked: folded weights are computed again from the
other side's and compared, quantized ones are turned back. Names are looked at
only as evidence of which tool was at work (each tool names what it makes), and
never to decide whether two graphs are equal.
"""
import re

import numpy

from od_patch.compare import _cause
from od_patch.compare import _folding
from od_patch.compare import _storage
from od_patch.graphs import _tensors

_CONVOLUTIONS = ('Conv2D', 'DepthwiseConv2dNative')
TOLERANCE = 1e-4  # relative to the largest magnitude of the recomputed values; float32 folding keeps about 1e-6


def _plain(graph, edge):
    node = edge[0]
    while graph.ops[node] in ('Identity', 'Enter') and graph.inputs[node]:
        node = graph.inputs[node][0][0]
    return node


def _value(graph, edge):
    """The value of what hangs on Consts alone, in float64, or None."""
    node = _plain(graph, edge)
    tensor = graph.tensors[node]
    if tensor is not None:
        return tensor.numbers().astype(numpy.float64) if tensor.dtype in _tensors.FLOATING else None
    if graph.ops[node] not in _folding.ARITHMETIC or edge[1]:
        return None
    value = _folding.evaluate(graph, node)
    return None if value is None or value.dtype.kind != 'f' else value.astype(numpy.float64)


def _consts(graph, edge):
    """The Consts that a value of ``_value`` is made of."""
    found, stack = [], [_plain(graph, edge)]
    while stack:
        node = stack.pop()
        if graph.tensors[node] is not None:
            found.append(node)
        stack.extend(source for source, _ in graph.inputs[node])
    return found


class Affine:
    """Convolution followed by what works per channel: filter, scale and offset, and the Consts they are made of."""

    def __init__(self, convolution, weights, scale, offset, consts, nodes):
        self.convolution, self.weights, self.scale, self.offset = convolution, weights, scale, offset
        self.consts, self.nodes = consts, nodes

    def folded(self, depthwise):
        """(filter, offset) as one convolution with a bias would have them."""
        if depthwise:
            height, width, channels, multiplier = self.weights.shape
            return self.weights * self.scale.reshape(1, 1, channels, multiplier), self.offset
        return self.weights * self.scale, self.offset


def affine(graph, node):
    """Reads the chain of per-channel ops that ends at ``node`` down to its convolution, or None."""
    scale, offset, consts, nodes = 1.0, 0.0, [], []
    for _ in range(8):
        op = graph.ops[node]
        row = graph.inputs[node]
        if op in _CONVOLUTIONS:
            weights = _value(graph, row[1])
            if weights is None:
                return None
            consts.append(_plain(graph, row[1]))
            channels = weights.shape[-1] if op == 'Conv2D' else weights.shape[-2] * weights.shape[-1]
            return Affine(node, weights, numpy.broadcast_to(numpy.asarray(scale, float), (channels,)),
                          numpy.broadcast_to(numpy.asarray(offset, float), (channels,)), consts, nodes + [node])
        nodes.append(node)
        if op.startswith('FusedBatchNorm') and len(row) == 5:
            gamma, beta, mean, variance = (_value(graph, edge) for edge in row[1:])
            if any(part is None for part in (gamma, beta, mean, variance)):
                return None
            factor = gamma / numpy.sqrt(variance + _epsilon(graph, node))
            scale, offset = scale * factor, scale * (beta - mean * factor) + offset
            consts += [const for edge in row[1:] for const in _consts(graph, edge)]
            node = row[0][0]
        elif op in ('BiasAdd', 'Add', 'Sub', 'Mul') and len(row) == 2:
            sides = [_value(graph, edge) for edge in row]
            which = 1 if sides[1] is not None else 0 if op != 'Sub' and sides[0] is not None else None
            if which is None or sides[which].ndim > 1:
                return None
            if op == 'Mul':
                scale = scale * sides[which]
            else:
                offset = offset + scale * (sides[which] if op != 'Sub' else -sides[which])
            consts += _consts(graph, row[which])
            node = row[1 - which][0]
        elif op == 'Identity':
            node = row[0][0]
        else:
            return None
    return None


def _epsilon(graph, node):
    from od_patch.graphs import _graph
    value = graph.attrs[node].get('epsilon')
    return _graph.attr_proto(value).f if value is not None else 1e-4


def _check(context, rows):
    """Folds both sides of each pair; returns (worst relative difference, how many agree, unclaimed nodes on each side).

    Weights of pairs that agree are explained: one side's can be had from the other's.
    """
    worst, agree, nodes = 0.0, 0, ([], [])
    for pair in rows:
        depthwise = context.left.ops[pair[0].convolution] == 'DepthwiseConv2dNative'
        apart = 0.0
        for part, (one, other) in enumerate(zip(pair[0].folded(depthwise), pair[1].folded(depthwise))):
            scale = max(numpy.abs(one).max(), numpy.abs(other).max(), 1e-30)
            beyond = numpy.abs(one - other)
            if not part:  # a filter that is stored in fewer bits may lie off by as much, times what it is multiplied by
                beyond = numpy.maximum(0.0, beyond - sum(_slack(context, side, pair[side], depthwise)
                                                         for side in (0, 1)))
            apart = max(apart, float(beyond.max() / scale))
        worst = max(worst, apart)
        if apart <= TOLERANCE:
            agree += 1
            for side in (0, 1):
                context.explained[side].update(pair[side].consts)
        for side in (0, 1):
            nodes[side].extend(pair[side].nodes + pair[side].consts)
    return worst, agree, [[node for node in nodes[side] if node in context.rest[side]] for side in (0, 1)]


def _slack(context, side, site, depthwise):
    """How far a folded filter may lie off for how the filter is stored."""
    storage = context.stored[side].get(site.consts[-1])
    if storage is None:
        return 0.0
    scale = numpy.abs(site.scale)
    if depthwise:
        scale = scale.reshape(1, 1, site.weights.shape[-2], -1)
    if storage.how == 'in half precision':
        return numpy.abs(site.weights) * scale * 2.0 ** -11
    return 1.01 * storage.step * scale


def folded(context):
    """Causes: convolutions whose batch norm was folded into filter and bias, checked by folding the other side's."""
    found, rewritten = ([], []), []
    for site in context.alignment.sites:
        pair = [affine(context.left, site.left), affine(context.right, site.right)]
        if None in pair:
            continue
        ops = [[context.graph(side).ops[node] for node in pair[side].nodes] for side in (0, 1)]
        normed = [any(op.startswith('FusedBatchNorm') or op == 'Mul' for op in row) for row in ops]
        if pair[0].weights.shape != pair[1].weights.shape:
            continue
        if normed[0] == normed[1]:
            if ops[0] != ops[1] and normed[0]:
                rewritten.append(pair)
            continue
        found[0 if normed[1] else 1].append(pair)
    if rewritten:
        worst, agree, rest = _check(context, rewritten)
        yield _cause.Cause(
            'batch_norm.rewritten', '{} batch norms are one op in one graph, a scale and an offset worked out '
            'beforehand in the other; {} agree within {:.1e} of the largest'.format(
                len(rewritten), 'all' if agree == len(rewritten) else agree, worst),
            'numeric' if agree == len(rewritten) else 'weights', rest[0], rest[1], revision='Grappler\'s remapper, or '
            'fold_constants', detail={'convolutions': len(rewritten), 'agree': agree,
                                      'largest_relative_difference': worst})
    for folded_side in (1, 0):
        rows = found[folded_side]
        if not rows:
            continue
        worst, agree, rest = _check(context, rows)
        which = ('first', 'second')[folded_side]
        yield _cause.Cause(
            'folded.batch_norms',
            'batch norms folded into {} convolution{} of the {} graph (graph transform); folding the other graph\'s '
            'weights gives {} within {:.1e} of the largest'.format(
                len(rows), 's' if len(rows) > 1 else '', which,
                'the same filters and biases' if agree == len(rows) else
                '{} of {} filters and biases, the worst not'.format(agree, len(rows)), worst),
            'numeric' if agree == len(rows) else 'weights', rest[0], rest[1],
            revision='fold_batch_norms or fold_old_batch_norms of the Graph Transform Tool' + (
                ', or Grappler\'s constant folding' if any('Grappler\'s constant folding' in tools
                                                          for tools in context.tools) else ''),
            detail={'convolutions': len(rows), 'agree': agree, 'largest_relative_difference': worst})


def quantized(context):
    """Causes: values of one side that the other stores in fewer bits, checked by storing them again."""
    for side in (1, 0):
        which, other_which = ('first', 'second')[side], ('first', 'second')[1 - side]
        rows = {}
        for own, twin, value in _stored_pairs(context, side):
            storage = context.stored[side][own]
            held = context.graph(side).tensors[own].numbers().astype(numpy.float64)
            apart = float(numpy.abs(held - value).max()) if held.size else 0.0
            rows.setdefault(storage.how, []).append((own, twin, apart, _storage.within(storage, held, value)))
        for how, found in sorted(rows.items()):
            good = [row for row in found if row[3]]
            nodes = ([], [])
            for own, twin, _, _ in found:
                nodes[side].extend([own] + context.stored[side][own].consts)
                nodes[1 - side].append(twin)
            odd = [context.graph(side).names[row[0]] for row in found if not row[3]]
            if how == 'in 8 bits':
                kind, title = 'quantized.weights', (
                    '{} weights of the {} graph are quantized to 8 bits; {} lie within one step of the {} graph\'s')
                revision = 'quantize_weights of the Graph Transform Tool'
            else:
                kind, title = 'half.weights', (
                    '{} weights of the {} graph are stored in half precision; {} are the {} graph\'s within one '
                    'rounding')
                revision = 'a conversion of weights to half precision'
            title = title.format(len(found), which, 'all' if not odd else len(good), other_which)
            if odd:
                title += ', not {}{}'.format(', '.join(odd[:3]), ' and {} more'.format(len(odd) - 3) * (len(odd) > 3))
            yield _cause.Cause(
                kind, '{}, the largest difference is {:.3g}'.format(title, max(row[2] for row in found)), 'weights',
                nodes[0], nodes[1], revision=revision,
                detail={'stored': how, 'weights': len(found), 'within_a_step': len(good),
                        'largest_difference': max(row[2] for row in found), 'not_within': odd})
        by_folding = sorted(context.lossy[side] & context.explained[side])
        if by_folding:
            nodes = ([], [])
            nodes[side].extend(by_folding)
            yield _cause.Cause(
                'quantized.weights', '{} weights of the {} graph are stored {}, folded before; what folding gives of '
                'the {} graph lies within that'.format(len(by_folding), which, ' and '.join(sorted(
                    {context.stored[side][node].how for node in by_folding})), other_which),
                'weights', nodes[0], nodes[1], revision='quantize_weights of the Graph Transform Tool',
                detail={'stored': 'after folding', 'weights': len(by_folding)})
        rest = context.lossy[side] - {row[0] for found in rows.values() for row in found} - context.explained[side]
        if rest:
            nodes = ([], [])
            nodes[side].extend(rest)
            yield _cause.Cause(
                'quantized.weights', '{} more value{} of the {} graph {} stored in fewer bits; what {} stand{} for in '
                'the other is not known'.format(len(rest), 's' * (len(rest) > 1), which,
                                                'are' if len(rest) > 1 else 'is', 'they' if len(rest) > 1 else 'it',
                                                '' if len(rest) > 1 else 's'),
                'weights', nodes[0], nodes[1], detail={'stored': 'in fewer bits', 'weights': len(rest)})
        if context.computes[side] and not context.computes[1 - side]:
            yield _cause.Cause(
                'quantized.computation', 'weights and computation in 8 bits (quantize_nodes): {} ops of the {} graph; '
                'the ops that they stand for are compared'.format(context.computes[side], which), 'weights',
                scope='the {} graph'.format(which), revision='quantize_nodes of the Graph Transform Tool',
                detail={'computation': context.computes[side]})


def _stored_pairs(context, side):
    """(stored Const, what stands in its place on the other side, the value of that) of one side."""
    graph, other = context.graph(side), context.graph(1 - side)
    done = set()
    places = [(pair[side], pair[1 - side]) for pair in context.weights.differing]
    places += [(change[side], change[1 - side]) for change in context.alignment.changed]
    places += [(site[side], site[1 - side]) for site in context.alignment.sites]
    for own, twin in places:
        if own not in context.lossy[side] or own in done or own in context.explained[side]:
            continue
        twin = _plain(other, (twin, 0))
        tensor = other.tensors[twin]
        value = tensor.numbers() if tensor is not None and tensor.dtype in _tensors.FLOATING else (
            None if tensor is not None else _folding.evaluate(other, twin))
        if value is not None and numpy.shape(value) == graph.tensors[own].shape:
            done.add(own)
            yield own, twin, numpy.asarray(value, numpy.float64)


# What tools leave behind: (tool, how its nodes are called or None, ops that only it makes). Names are told by the last
# match; no exporter of the OD API makes any of these.
TOOLS = (
    ('Grappler\'s constant folding', r'(^|/)ConstantFolding/', ()),
    ('Grappler\'s arithmetic optimizer', r'(^|/)ArithmeticOptimizer/', ()),
    ('Grappler\'s layout optimizer', r'LayoutOptimizer', ()),
    ('Grappler\'s dependency optimizer', r'(^|/)DependencyOptimizer/', ()),
    ('Grappler\'s loop optimizer', r'(^|/)LoopOptimizer/', ()),
    ('Grappler\'s remapper', r'/(VarPlusEpsilon|InvVariance)$', ('_FusedConv2D', '_FusedMatMul', '_FusedBatchNormEx',
                                                                 '_FusedDepthwiseConv2dNative')),
    ('Grappler\'s debug stripper', None, ()),
    ('fold_constants of the Graph Transform Tool', r'__cf__\d+$', ()),
    ('fold_batch_norms', r'_bn_offset$', ()),
    ('quantize_weights of the Graph Transform Tool', r'_quantized_(const|min|max)$', ()),
    ('quantize_nodes of the Graph Transform Tool', r'(_eightbit/|/eightbit(/|$))', ()),
    ('insert_logging of the Graph Transform Tool', r'__print__$', ()),
    ('backport_concatv2 of the Graph Transform Tool', None, ('Concat',)),
    ('backport_tensor_array_v3 of the Graph Transform Tool', r'/replacement_flow_node$', ('TensorArrayV2',)),
    ('TF-TRT', None, ('TRTEngineOp',)),
    ('the converter to TensorFlow Lite', None, ('TFLite_Detection_PostProcess',)),
    ('tf2onnx', r'__tf2onnx__|^Func/', ()),
)
_TOOL_NAMES = [(tool, re.compile(pattern, re.MULTILINE)) for tool, pattern, _ in TOOLS if pattern]
_TOOL_OPS = {op: tool for tool, _, ops in TOOLS for op in ops}
_STRIPPED = re.compile(r'(^|/)Assert(_\d+)?$')
_GRAPPLER_NAMES = re.compile(r'(^|/)(ConstantFolding|ArithmeticOptimizer|LayoutOptimizer|DependencyOptimizer|'
                             r'LoopOptimizer)|-LayoutOptimizer$|/_recip$|_const_axis$|/(VarPlusEpsilon|InvVariance)$')


def tools(graph):
    """Names of the tools of ``TOOLS`` that left something in a graph as it was read, in that order."""
    found = {_TOOL_OPS[op] for op in set(graph.ops) if op in _TOOL_OPS}
    text = '\n'.join(graph.names)  # one search for each tool instead of one for each name
    found.update(tool for tool, pattern in _TOOL_NAMES if pattern.search(text))
    if any(op == 'NoOp' and _STRIPPED.search(name) for op, name in zip(graph.ops, graph.names)):
        found.add('Grappler\'s debug stripper')
    return [tool for tool, _, _ in TOOLS if tool in found]


_FUSED = ('_FusedConv2D', '_FusedMatMul', '_FusedDepthwiseConv2dNative', '_FusedBatchNormEx')
_FAKE = ('FakeQuantWithMinMaxVars', 'FakeQuantWithMinMaxArgs', 'FakeQuantWithMinMaxVarsPerChannel')
_QUANTIZED = ('QuantizedConv2D', 'QuantizedMatMul', 'QuantizedRelu', 'QuantizeV2', 'Requantize')


def _biased_convolution(graph, node):
    """Whether an activation follows a convolution with nothing but a bias between them."""
    bias = _plain(graph, graph.inputs[node][0])
    return (graph.ops[bias] == 'BiasAdd' and graph.ops[_plain(graph, graph.inputs[bias][0])] in _CONVOLUTIONS
            and _value(graph, graph.inputs[bias][1]) is not None)


def traces(graph, order):
    """What transforms left in one graph: (list of (word, sentence), quantized: str)."""
    ops = {}
    for node in order:
        ops[graph.ops[node]] = ops.get(graph.ops[node], 0) + 1
    found = []
    convolutions = sum(ops.get(op, 0) for op in _CONVOLUTIONS)
    weights = [node for node in order if graph.tensors[node] is not None and graph.tensors[node].size > 1
               and graph.tensors[node].dtype in _tensors.FLOATING | _tensors.QUANTIZED]
    users = graph.consumers()
    slots = {node for node in weights if any(graph.ops[user] in _CONVOLUTIONS and slot == 1
                                             for user, slot in users[node])}
    if slots and not any(graph.ops[user] == 'Identity' for node in weights for user, _ in users[node]):
        found.append(('identities removed', 'filters are read straight from their Consts, without the Identity that '
                      'freezing leaves: remove_nodes(op=Identity) or Grappler'))
    elif slots:
        found.append(('identities removed in part', '{} filters are read straight from their Consts: weights were made '
                      'anew by a transform'.format(len(slots))))
    norms = sum(count for op, count in ops.items() if op.startswith('FusedBatchNorm')) + ops.get('Rsqrt', 0)
    if convolutions and not norms and ops.get('BiasAdd', 0) + ops.get('Add', 0) >= convolutions // 2:
        found.append(('batch norms folded', 'no batch norm, and a bias behind the convolutions: folded '
                      '(fold_batch_norms, fold_old_batch_norms), or a model without batch norm'))
    elif norms:
        biased = sum(1 for node in order if graph.ops[node] in ('Relu', 'Relu6') and _biased_convolution(graph, node))
        if biased > 2:
            found.append(('batch norms folded in part', '{} convolutions with an activation have a bias where others '
                          'have a batch norm: fold_old_batch_norms folds only some kinds'.format(biased)))
    large = [node for node in order if graph.tensors[node] is not None and graph.tensors[node].dtype in
             _tensors.FLOATING and graph.tensors[node].size > 1000 and node not in slots
             and all(graph.ops[user] not in ('Identity', 'MatMul') and not graph.ops[user].startswith('FusedBatchNorm')
                     for user, _ in users[node])]
    if large:
        found.append(('constants folded', '{} large Const{} that no variable makes, e.g. {} (anchors are computed as '
                      'exported): fold_constants or Grappler'.format(
                          len(large), 's' if len(large) > 1 else '', list(graph.tensors[large[0]].shape))))
    if ops.get('Dequantize') and any(graph.tensors[node].dtype in _tensors.QUANTIZED for node in weights):
        found.append(('weights quantized', '{} weights are 8-bit Consts with a Dequantize: quantize_weights'.format(
            ops['Dequantize'])))
    for op in _FUSED:
        if ops.get(op):
            found.append(('fused ops', '{} {} nodes: Grappler\'s remapper'.format(ops[op], op)))
    named = sum(1 for node in order if _GRAPPLER_NAMES.match(graph.names[node]))
    if named:
        found.append(('Grappler', '{} nodes have names that Grappler gives'.format(named)))
    if convolutions and not ops.get('Assert') and not ops.get('NonMaxSuppressionV5') and \
            any(op.startswith('NonMaxSuppression') for op in ops):
        found.append(('no Asserts', 'no Assert node: removed (remove_nodes, Grappler), or a revision that makes none'))
    quantized_as = 'no'
    if any(ops.get(op) for op in _FAKE):
        quantized_as = 'trained for it ({} FakeQuant nodes)'.format(sum(ops.get(op, 0) for op in _FAKE))
    elif any(ops.get(op) for op in _QUANTIZED):
        quantized_as = 'computes in 8 bits ({} nodes)'.format(sum(ops.get(op, 0) for op in _QUANTIZED))
    elif any(word == 'weights quantized' for word, _ in found):
        quantized_as = 'weights only ({})'.format(ops['Dequantize'])
    return found, quantized_as


_LEAST_ROUNDED = 64  # elements: of fewer, a grid that they lie on says nothing
_MOST_STEPS = 256
_FIRST_LOOK = 2048  # elements: mostly they alone have more values than a grid has, and then nobody sorts the others


def rounded(context, pairs):
    """(side, steps, pairs) where all that differs on one side are the other's values on a grid of at most 256 steps.

    That is what round_weights makes. At least one weight must have had more values than the grid has steps.
    """
    for side in (1, 0):
        sure, most = 0, 0
        if any(_has_many_values(context.weights.graphs[side].tensors[pair[side]]) for pair in pairs):
            continue
        for pair in pairs:
            one, other = (context.weights.graphs[which].tensors[pair[which]].numbers().astype(numpy.float64).reshape(-1)
                          for which in (side, 1 - side))
            if not one.size or not numpy.isfinite(one).all() or not numpy.isfinite(other).all():
                break
            values = numpy.unique(one)
            steps = len(values)
            span = float(other.max() - other.min())
            gap = float(numpy.diff(values).max()) if steps > 1 else span
            step = 1.01 * max(gap, span / 255) + 1e-6 * abs(other).max()
            if steps > _MOST_STEPS or numpy.abs(one - other).max() > step:
                break
            if steps < len(numpy.unique(other)) and one.size >= _LEAST_ROUNDED:
                sure, most = sure + 1, max(most, steps)
        else:
            if sure:
                return side, most
    return None


def _has_many_values(tensor):
    """Returns whether the first elements of a tensor alone have more values than a grid has steps."""
    return len(numpy.unique(tensor.numbers().reshape(-1)[:_FIRST_LOOK])) > _MOST_STEPS
