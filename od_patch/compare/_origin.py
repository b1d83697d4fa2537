"""Which weights of a checkpoint a frozen graph holds: the raw ones or their moving averages.

Consts are looked up by variable name, as that is all a checkpoint has.
"""
import hashlib

import numpy

from od_patch.checkpoint import _checkpoint
from od_patch.checkpoint import _objects
from od_patch.compare import _weights
from od_patch.graphs import _freezing


def origin(graph, prefix):
    """Dict: 'kind' ('raw weights', 'moving averages', 'both alike', 'other weights'), and how many matched which."""
    prefix = _checkpoint.resolve(prefix)
    reader = _freezing.reader(prefix, prefix)
    there = reader.get_variable_to_shape_map()
    if _objects.are_of_objects(there):
        return _of_objects(graph, prefix, reader, there)
    raw = averaged = both = neither = absent = 0
    for node in _weights.weights(graph, graph.final_order()):
        name, tensor = graph.names[node], graph.tensors[node]
        if name not in there:
            absent += 1
            continue
        equal = [_same(reader, key, tensor) for key in (name, name + _checkpoint.AVERAGE_SUFFIX) if key in there]
        if len(equal) < 2:
            equal.append(equal[0])  # a variable without an average is its own
        if equal[0] and equal[1]:
            both += 1
        elif equal[0]:
            raw += 1
        elif equal[1]:
            averaged += 1
        else:
            neither += 1
    if neither > raw + averaged + both:
        kind = 'other weights'
    elif raw and not averaged:
        kind = 'raw weights'
    elif averaged and not raw:
        kind = 'moving averages'
    elif both and not raw and not averaged:
        kind = 'raw weights (no averages differ)'
    else:
        kind = 'raw weights and moving averages mixed'
    return {'checkpoint': prefix, 'kind': kind, 'raw': raw, 'moving_averages': averaged, 'both': both,
            'neither': neither, 'absent': absent}


def _of_objects(graph, prefix, reader, there):
    """As ``origin``, of a checkpoint of TensorFlow 2, which has no moving averages under the names of variables."""
    equal = neither = absent = 0
    for node in _weights.weights(graph, graph.final_order()):
        name, tensor = graph.names[node], graph.tensors[node]
        if name + _objects.VALUE not in there:
            absent += 1
        elif _same(reader, name + _objects.VALUE, tensor):
            equal += 1
        else:
            neither += 1
    kind = 'raw weights' if equal > neither else 'other weights'
    if not equal and not neither:
        kind = ('other weights: the checkpoint is one of TensorFlow 2, which names variables by the objects that have '
                'them, and the graph has none of these names')
    return {'checkpoint': prefix, 'kind': kind, 'raw': equal, 'moving_averages': 0, 'both': 0, 'neither': neither,
            'absent': absent}


def _same(reader, key, tensor):
    value = numpy.asarray(reader.get_tensor(key))
    return (value.shape == tensor.shape and hashlib.blake2b(value.tobytes()).digest()
            == hashlib.blake2b(tensor.array().tobytes()).digest())
