"""Values that follow from Consts alone, worked out with numpy as TensorFlow would.

Two levels: moving elements about and integer arithmetic, whose results are the
same bits everywhere, and floating point arithmetic, whose results are compared
and never written into a graph.
"""
import numpy

from od_patch.graphs import _graph
from od_patch.graphs import _tensors

# Ops that only move, count or repeat elements.
MOVING = frozenset(['Identity', 'StopGradient', 'Pack', 'Unpack', 'ConcatV2', 'Reshape', 'Shape', 'Range', 'Fill',
                    'Tile', 'ExpandDims', 'StridedSlice', 'Slice', 'Squeeze', 'Transpose', 'Rank', 'GatherV2', 'Split',
                    'Cast'])
INTEGERS = frozenset([3, 4, 5, 6, 9, 10, 17])
MOST = 1 << 16  # elements: a value that is larger is not worth writing out


def result_type(graph, node):
    """The DataType number of what ``node`` makes, or None where its attributes do not say."""
    op, attrs = graph.ops[node], graph.attrs[node]
    if op == 'Cast':
        return _graph.attr_type(attrs, 'DstT')
    if op in ('Shape', 'Rank', 'Range'):
        return _graph.attr_type(attrs, 'out_type' if op == 'Shape' else 'Tidx') or 3 if op != 'Rank' else 3
    source = graph.inputs[node][1 if op == 'Fill' else 0][0]
    return graph.tensors[source].dtype if graph.tensors[source] is not None else None


def exact(graph, node):
    """Whether ``node`` is one whose value from known inputs has the same bits everywhere."""
    op, attrs = graph.ops[node], graph.attrs[node]
    if op == 'Cast':
        return (_graph.attr_type(attrs, 'SrcT') in INTEGERS
                and _graph.attr_type(attrs, 'DstT') in INTEGERS | {1, 2})
    if op == 'Range':
        return attrs.get('Tidx', _graph.type_attr(3)) in (_graph.type_attr(3), _graph.type_attr(9))
    return op in MOVING or (op in ARITHMETIC and _graph.attr_type(attrs, 'T') in INTEGERS and op in (
        'Add', 'AddV2', 'Sub', 'Mul', 'Maximum', 'Minimum', 'Neg'))


ARITHMETIC = {'Add': numpy.add, 'AddV2': numpy.add, 'Sub': numpy.subtract, 'Mul': numpy.multiply,
               'RealDiv': numpy.divide, 'Maximum': numpy.maximum, 'Minimum': numpy.minimum, 'Neg': numpy.negative,
               'Sqrt': numpy.sqrt, 'Exp': numpy.exp, 'Abs': numpy.abs}


FOLDABLE = MOVING | frozenset(['Add', 'AddV2', 'Sub', 'Mul', 'Maximum', 'Minimum', 'Neg'])


def _product(sizes):
    """Without the overflow of numpy's."""
    product = 1
    for size in sizes:
        product *= size
    return product


def _port(graph, node, port, depth):
    if graph.ops[node] == 'Unpack':
        value = _port(graph, graph.inputs[node][0][0], graph.inputs[node][0][1], depth)
        return None if value is None else numpy.take(value, port, axis=_int(graph, node, 'axis', 0))
    if graph.ops[node] == 'Split' and not _int(graph, node, 'num_split', 1) == 0:
        axis, value = (evaluate(graph, source, depth) for source, _ in graph.inputs[node])
        if axis is None or value is None:
            return None
        return numpy.split(value, _int(graph, node, 'num_split', 1), int(axis))[port]
    return None if port else evaluate(graph, node, depth)


def evaluate(graph, node, depth=0):
    """The value of a node that needs no input, for the few ops whose result numpy has bit for bit; else None."""
    tensor = graph.tensors[node]
    if tensor is not None:
        return tensor.array() if tensor.dtype in _tensors.NUMERIC | {10} else None
    if depth > 40:
        return None
    op = graph.ops[node]
    inputs = []
    for source, port in graph.inputs[node]:
        value = _port(graph, source, port, depth + 1)
        if value is None:
            return None
        inputs.append(value)
    try:
        most = max([MOST] + [value.size for value in inputs])  # what grows beyond both is never written out
        if op in ARITHMETIC:
            if _product(numpy.broadcast(*inputs).shape if len(inputs) == 2 else inputs[0].shape) > most:
                return None
            return ARITHMETIC[op](*inputs)
        if op in ('Identity', 'StopGradient'):
            return inputs[0]
        if op == 'Pack':
            return numpy.stack(inputs, _int(graph, node, 'axis', 0))
        if op == 'ConcatV2':
            return numpy.concatenate(inputs[:-1], int(inputs[-1]))
        if op == 'Reshape':
            return inputs[0].reshape(inputs[1].tolist())
        if op == 'Shape':
            return numpy.array(inputs[0].shape, _tensors.numpy_type(
                _graph.attr_type(graph.attrs[node], 'out_type') or 3))
        if op == 'Range':
            start, limit, delta = (value.reshape(()).item() for value in inputs)
            if not delta or (limit - start) * delta < 0 or abs(limit - start) > abs(delta) * MOST:
                return None  # an error to TensorFlow, or more than is worth having
            return numpy.arange(inputs[0], inputs[1], inputs[2], dtype=inputs[0].dtype)
        if op == 'Fill':
            if _product(inputs[0].tolist()) > MOST:
                return None
            return numpy.full(inputs[0].tolist(), inputs[1], dtype=inputs[1].dtype)
        if op == 'Tile':
            if inputs[0].size * _product(inputs[1].tolist()) > MOST:
                return None
            return numpy.tile(inputs[0], inputs[1].tolist())
        if op == 'ExpandDims':
            if not -inputs[0].ndim - 1 <= int(inputs[1]) <= inputs[0].ndim:
                return None  # an old numpy takes it for the nearest that there is, TensorFlow refuses
            return numpy.expand_dims(inputs[0], int(inputs[1]))
        if op == 'StridedSlice':
            return _strided(graph, node, inputs)
        if op == 'Cast':
            return inputs[0].astype(_tensors.numpy_type(_graph.attr_type(graph.attrs[node], 'DstT')))
        if op == 'Slice':
            if any(begin < 0 or begin + max(size, 0) > length for begin, size, length in zip(
                    inputs[1].tolist(), inputs[2].tolist(), inputs[0].shape)):
                return None  # numpy cuts it to what there is, TensorFlow refuses
            return inputs[0][tuple(slice(begin, None if size < 0 else begin + size)
                                   for begin, size in zip(inputs[1].tolist(), inputs[2].tolist()))]
        if op == 'Squeeze':
            value = graph.attrs[node].get('squeeze_dims')
            axes = tuple(_graph.attr_proto(value).list.i) if value else None
            return numpy.squeeze(inputs[0], axes or None)
        if op == 'Transpose':
            return numpy.transpose(inputs[0], inputs[1].tolist())
        if op == 'Rank':
            return numpy.array(inputs[0].ndim, 'i4')
        if op == 'Prod':
            return numpy.prod(inputs[0], axis=tuple(inputs[1].reshape(-1).tolist()), dtype=inputs[0].dtype)
        if op == 'GatherV2':
            # numpy counts negative places from the end, TensorFlow refuses them (or, on a GPU, makes them 0).
            if _int(graph, node, 'batch_dims', 0) or (inputs[1] < 0).any():
                return None
            if inputs[1].size * inputs[0].size > most * max(1, inputs[0].shape[int(inputs[2])]):
                return None
            return numpy.take(inputs[0], inputs[1], axis=int(inputs[2]))
    except (ValueError, IndexError, TypeError, ArithmeticError):
        return None
    return None


def _int(graph, node, name, default):
    value = graph.attrs[node].get(name)
    return default if value is None else _graph.attr_proto(value).i


def _strided(graph, node, inputs):
    masks = {name: _int(graph, node, name + '_mask', 0) for name in ('begin', 'end', 'shrink_axis', 'ellipsis',
                                                                     'new_axis')}
    if masks['ellipsis'] or masks['new_axis']:
        return None
    places = []
    for index, (begin, end, step) in enumerate(zip(*(part.tolist() for part in inputs[1:4]))):
        bit = 1 << index
        if masks['shrink_axis'] & bit:
            if step < 1:
                return None  # TensorFlow refuses it
            places.append(begin)
        else:
            places.append(slice(None if masks['begin'] & bit else begin, None if masks['end'] & bit else end, step))
    return numpy.asarray(inputs[0][tuple(places)])
