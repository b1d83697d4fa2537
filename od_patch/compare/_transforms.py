"""Traces of graph transforms: batch norms folded into convolutions, weights quantized, Grappler's fusions.

What can be checked is checked: folded weights are computed again from the
other side's and compared, quantized ones are turned back. Names are looked at
only as evidence of which tool was at work (each tool names what it makes), and
never to decide whether two graphs are equal.
"""
import re

import numpy

from od_patch.compare import _tensors

_CONVOLUTIONS = ('Conv2D', 'DepthwiseConv2dNative')
TOLERANCE = 1e-4  # relative to the largest magnitude of the recomputed values; float32 folding keeps about 1e-6


def _plain(graph, edge):
    node = edge[0]
    while graph.ops[node] in ('Identity', 'Enter') and graph.inputs[node]:
        node = graph.inputs[node][0][0]
    return node


def _value(graph, edge):
    tensor = graph.tensors[_plain(graph, edge)]
    return None if tensor is None or tensor.dtype not in _tensors.FLOATING else tensor.numbers().astype(numpy.float64)


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
            if weights is None or not len(nodes):
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
            consts += [_plain(graph, edge) for edge in row[1:]]
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
            consts.append(_plain(graph, row[which]))
            node = row[1 - which][0]
        elif op == 'Identity':
            node = row[0][0]
        else:
            return None
    return None


def _epsilon(graph, node):
    from od_patch.compare import _graph
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
        for one, other in zip(pair[0].folded(depthwise), pair[1].folded(depthwise)):
            scale = max(numpy.abs(one).max(), numpy.abs(other).max(), 1e-30)
            apart = max(apart, float(numpy.abs(one - other).max() / scale))
        worst = max(worst, apart)
        if apart <= TOLERANCE:
            agree += 1
            for side in (0, 1):
                context.explained[side].update(pair[side].consts)
        for side in (0, 1):
            nodes[side].extend(pair[side].nodes + pair[side].consts)
    return worst, agree, [[node for node in nodes[side] if node in context.rest[side]] for side in (0, 1)]


def folded(context):
    """Causes: convolutions whose batch norm was folded into filter and bias, checked by folding the other side's."""
    from od_patch.compare import _causes
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
        yield _causes.Cause(
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
        yield _causes.Cause(
            'folded.batch_norms',
            'batch norms folded into {} convolution{} of the {} graph (graph transform); folding the other graph\'s '
            'weights gives {} within {:.1e} of the largest'.format(
                len(rows), 's' if len(rows) > 1 else '', which,
                'the same filters and biases' if agree == len(rows) else
                '{} of {} filters and biases, the worst not'.format(agree, len(rows)), worst),
            'numeric' if agree == len(rows) else 'weights', rest[0], rest[1],
            revision='fold_batch_norms or fold_old_batch_norms of the Graph Transform Tool',
            detail={'convolutions': len(rows), 'agree': agree, 'largest_relative_difference': worst})


def dequantized(graph, node):
    """What Dequantize (mode MIN_FIRST) makes of a quantized Const, the size of a step, and the Consts; or None."""
    row = graph.inputs[node]
    tensor = graph.tensors[_plain(graph, row[0])]
    limits = [_value(graph, edge) for edge in row[1:3]]
    if tensor is None or tensor.dtype not in (11, 12) or any(limit is None for limit in limits):
        return None
    low, high = (float(limit.reshape(-1)[0]) for limit in limits)
    step = (high - low) / 255.0
    offset = 0 if tensor.dtype == 12 else 128
    values = low + (tensor.numbers().astype(numpy.float64) + offset) * step
    return values, step, [_plain(graph, edge) for edge in row[:3]]


def quantized(context):
    """Causes: float weights of one side that are 8-bit ones and a Dequantize on the other."""
    from od_patch.compare import _causes
    for side in (1, 0):
        graph, other = context.graph(side), context.graph(1 - side)
        rows, worst, nodes, within = [], 0.0, ([], []), 0
        for site in context.alignment.sites:
            own, twin = (site.right, site.left) if side == 1 else (site.left, site.right)
            if graph.ops[own] != 'Dequantize' or other.tensors[_plain(other, (twin, 0))] is None:
                continue
            values = dequantized(graph, own)
            tensor = other.tensors[_plain(other, (twin, 0))]
            if values is None or tensor.shape != values[0].shape:
                continue
            apart = float(numpy.abs(values[0] - tensor.numbers()).max()) if tensor.size else 0.0
            # Rounding is half a step; where the range is moved so that zero is exact, the limits move by as much.
            within += apart <= 1.01 * values[1]
            worst = max(worst, apart / values[1] if values[1] else 0.0)
            rows.append(apart)
            nodes[side].extend([own] + values[2])
            nodes[1 - side].append(_plain(other, (twin, 0)))
            context.quantized_weights.append((_plain(other, (twin, 0)), own) if side == 1 else
                                             (own, _plain(other, (twin, 0))))
            context.explained[side].update(values[2])
            context.explained[1 - side].add(_plain(other, (twin, 0)))
        if rows:
            yield _causes.Cause(
                'quantized.weights', '{} weights of the {} graph are quantized to 8 bits (graph transform); {} lie '
                'within one step of the other graph\'s, the largest difference is {:.3g}'.format(
                    len(rows), ('first', 'second')[side], 'all' if within == len(rows) else within, max(rows)),
                'weights', nodes[0], nodes[1], revision='quantize_weights of the Graph Transform Tool',
                detail={'weights': len(rows), 'within_a_step': within, 'largest_difference': max(rows),
                        'largest_in_steps': worst})


_GRAPPLER_NAMES = re.compile(r'^(ConstantFolding/|ArithmeticOptimizer/|LayoutOptimizer|DependencyOptimizer/|'
                             r'.*(-LayoutOptimizer|/_recip|_const_axis)$)')
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
