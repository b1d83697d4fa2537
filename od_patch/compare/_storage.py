"""Weights that a tool stored in fewer bits, turned back, and computation in 8 bits written as the floats it stands for.

``decoded`` gives a graph in which a Const with its Dequantize, or a half-precision
Const with its Cast, is a float Const again, and ``QuantizedConv2D`` and its like
are the ops that they were made of; and it says how far each value may lie from
what was stored. That makes what is left to compare the model itself, so that a
graph that was folded and then quantized can still be checked against its origin.
No verdict of equality rests on it: values in fewer bits are other values.
"""
import collections

import numpy

from od_patch.graphs import _graph
from od_patch.graphs import _op_table
from od_patch.graphs import _tensors

_FLOAT, _HALF = 1, 19
_QINT8, _QUINT8 = 11, 12

# How a weight is stored: 'in 8 bits' or 'in half precision'; the size of a step (0 for half); the Consts that hold it.
Storage = collections.namedtuple('Storage', 'how step consts')

# 8-bit op -> (op that it stands for, its data inputs as (slot, slots of their limits), or the slot of other inputs).
_MEANT = {
    'QuantizedConv2D': ('Conv2D', ((0, 2, 3), (1, 4, 5))), 'QuantizedMatMul': ('MatMul', ((0, 2, 3), (1, 4, 5))),
    'QuantizedBiasAdd': ('BiasAdd', ((0, 2, 3), (1, 4, 5))), 'QuantizedAdd': ('Add', ((0, 2, 3), (1, 4, 5))),
    'QuantizedMul': ('Mul', ((0, 2, 3), (1, 4, 5))), 'QuantizedRelu': ('Relu', ((0, 1, 2),)),
    'QuantizedRelu6': ('Relu6', ((0, 1, 2),)), 'QuantizedMaxPool': ('MaxPool', ((0, 1, 2),)),
    'QuantizedAvgPool': ('AvgPool', ((0, 1, 2),)), 'QuantizedReshape': ('Reshape', ((0, 2, 3), 1)),
    'QuantizedResizeBilinear': ('ResizeBilinear', ((0, 2, 3), 1)),
}
_QUANTIZES = frozenset(['QuantizeV2', 'Quantize'])
_REQUANTIZES = frozenset(['Requantize', 'QuantizeDownAndShrinkRange'])
COMPUTES = frozenset(_MEANT) | _QUANTIZES | _REQUANTIZES | {'QuantizedConcat'}


class Decoded:
    """A graph with its stored weights turned back.

    Attributes:
        graph: ``Graph``; a node's position is the original's.
        stored: dict of position of a float Const -> ``Storage``.
        computes: int, how many ops worked in 8 bits.
    """

    def __init__(self, graph):
        self.graph, self.stored, self.computes = graph, {}, 0


def decoded(graph):
    """The ``Decoded`` of a ``Graph``; the graph itself where nothing in it is stored in fewer bits."""
    order = graph.final_order()
    if not any(graph.ops[node] in ('Dequantize', 'Cast') or graph.ops[node] in COMPUTES for node in order):
        return Decoded(graph)
    result = Decoded(graph.copy())
    twin, moves = result.graph, {}
    for node in order:
        op = graph.ops[node]
        if op in _MEANT:
            _meant(graph, node, result)
        elif op == 'QuantizedConcat':
            _concat(graph, node, result)
        elif op in _QUANTIZES:
            moves[(node, 0)] = graph.inputs[node][0]
            result.computes += 1
        elif op in _REQUANTIZES:
            moves[(node, 0)] = graph.inputs[node][0]
        elif op == 'Dequantize':
            limits = graph.inputs[node]
            value = _eight_bits(graph, limits[0], limits[1], limits[2], graph.attrs[node])
            if value is not None:
                _store(result, node, *value)
            elif graph.ops[limits[0][0]] in COMPUTES:
                moves[(node, 0)] = limits[0]
        elif op == 'Cast' and _graph.attr_type(graph.attrs[node], 'SrcT') == _HALF and \
                _graph.attr_type(graph.attrs[node], 'DstT') == _FLOAT:
            source = plain(graph, graph.inputs[node][0])
            tensor = graph.tensors[source]
            if tensor is not None and tensor.dtype == _HALF:
                _store(result, node, tensor.numbers().astype('f4'), Storage('in half precision', 0.0, [source]))
    twin.redirect(moves)
    if not result.stored and not result.computes:
        return Decoded(graph)
    return result


def plain(graph, edge):
    """The position of what an edge hands on through Identity nodes."""
    node = edge[0]
    while graph.ops[node] in ('Identity', 'Enter') and graph.inputs[node]:
        node = graph.inputs[node][0][0]
    return node


def _store(result, node, values, storage):
    twin = result.graph
    twin.ops[node], twin.inputs[node], twin.controls[node] = 'Const', [], ()
    twin.attrs[node] = {'dtype': _graph.type_attr(_FLOAT)}
    twin.tensors[node] = _tensors.encoded(values, _FLOAT)
    result.stored[node] = storage


def _eight_bits(graph, edge, low, high, attrs=None):
    """(values, ``Storage``) of an 8-bit Const with constant limits (mode MIN_FIRST or MIN_COMBINED), or None."""
    source = plain(graph, edge)
    tensor = graph.tensors[source]
    limits = [graph.tensors[plain(graph, limit)] for limit in (low, high)]
    if tensor is None or tensor.dtype not in (_QINT8, _QUINT8) or any(
            limit is None or limit.dtype != _FLOAT or limit.size != 1 for limit in limits):
        return None
    mode = (attrs or {}).get('mode')
    if mode is not None and _graph.attr_proto(mode).s not in (b'MIN_FIRST', b'MIN_COMBINED'):
        return None
    consts = [source, plain(graph, low), plain(graph, high)]
    low, high = (float(limit.numbers().reshape(-1)[0]) for limit in limits)
    step = (high - low) / 255.0
    values = low + (tensor.numbers().astype(numpy.float64) + (128 if tensor.dtype == _QINT8 else 0)) * step
    return values, Storage('in 8 bits', step, consts)


def _quantized_input(graph, node, row, result):
    """The edge that gives an 8-bit op's input as a float."""
    slot, low, high = row
    edges = graph.inputs[node]
    value = _eight_bits(graph, edges[slot], edges[low], edges[high])
    if value is None:
        return edges[slot]
    source = plain(graph, edges[slot])
    _store(result, source, *value)
    return (source, 0)


def _meant(graph, node, result):
    op, rows = _MEANT[graph.ops[node]]
    known = _op_table.table()[1][op]
    inputs = [_quantized_input(graph, node, row, result) if isinstance(row, tuple) else graph.inputs[node][row]
              for row in rows]
    twin = result.graph
    twin.ops[node], twin.inputs[node] = op, inputs
    attrs = {name: value for name, value in graph.attrs[node].items()
             if name in known.attrs and known.defaults.get(name) != value}
    attrs['T'] = _graph.type_attr(_FLOAT)
    twin.attrs[node] = attrs
    result.computes += 1


def _concat(graph, node, result):
    """QuantizedConcat(axis, values …, least …, greatest …) is ConcatV2(values …, axis)."""
    row = graph.inputs[node]
    count = (len(row) - 1) // 3
    values = [_quantized_input(graph, node, (1 + index, 1 + count + index, 1 + 2 * count + index), result)
              for index in range(count)]
    twin = result.graph
    twin.ops[node], twin.inputs[node] = 'ConcatV2', values + [row[0]]
    twin.attrs[node] = {'N': graph.attrs[node].get('N', b''), 'T': _graph.type_attr(_FLOAT)}
    result.computes += 1


def within(stored, one, other):
    """Whether a stored value is what storing ``other`` gives (``one`` is the stored one, turned back).

    Half precision rounds once. 8 bits round to half a step; where the range is moved so that zero is exact, the limits
    move by as much.
    """
    one, other = numpy.asarray(one, numpy.float64), numpy.asarray(other, numpy.float64)
    if one.shape != other.shape:
        return False
    with numpy.errstate(over='ignore', invalid='ignore'):
        if stored.how == 'in half precision':
            return bool(numpy.array_equal(other.astype('f4').astype('f2').astype(numpy.float64), one))
        return bool((numpy.abs(one - other) <= 1.01 * stored.step).all())
