#!/usr/bin/env python
"""Time and memory of od-patch compare, against its targets.

    python -m benchmarks.compare                        # makes its own graphs: 7,000 nodes with 65 MB, and 250 MB
    python -m benchmarks.compare A.pb B.pb [A B …]      # pairs of your own

Each pair is compared in a process of its own, which imports TensorFlow first:
seconds and memory are what comparing adds to that. Memory is the peak of the
resident set, less what the process had before. Made-up pairs are told apart by
one weight's bit and by how they are written (names, order, defaults), so every
step of a comparison is done: this is the slow case, the same file twice is the
quick one.
"""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGETS = {65: (3.0, 5.0), 250: (12.0, 5.0)}  # MB a file -> seconds, times the files' size in memory

MEASURE = r'''
import json, os, resource, sys, time
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import tensorflow
from tensorflow.core.framework import graph_pb2
from od_patch.compare import _verdict, _causes, _report
def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()
def peak():
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith('VmHWM'))
before = resident()
start, cpu = time.time(), time.process_time()
answer = _verdict.compare(*sys.argv[1:3])
print(json.dumps(dict(seconds=time.time() - start, cpu=time.process_time() - cpu, memory=peak() - before,
                      verdict=answer.verdict, reason=answer.reason, nodes=[len(graph) for graph in answer.graphs],
                      tensorflow=tensorflow.__version__)))
'''


def make(megabytes, nodes, path, other):
    """Writes two GraphDefs of about that size: convolutions with batch norm, and arithmetic on scalars for the rest."""
    import numpy
    from tensorflow.core.framework import graph_pb2
    random = numpy.random.RandomState(0)
    graph_def = graph_pb2.GraphDef()

    def add(name, op, inputs=(), **types):
        node = graph_def.node.add(name=name, op=op)
        node.input.extend(inputs)
        for key, value in types.items():
            node.attr[key].type = value
        return node

    def const(name, array):
        node = add(name, 'Const', dtype=1)
        tensor = node.attr['value'].tensor
        tensor.dtype = 1
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = array.astype('<f4').tobytes()

    def variable(name, array):
        const(name, array)
        add(name + '/read', 'Identity', [name], T=1)
        return name + '/read'
    image = add('image_tensor', 'Placeholder', dtype=1)
    image.attr['shape'].shape.unknown_rank = True
    layers = 90
    channels = int((megabytes * 1e6 / 4 / layers / 9) ** 0.5)
    x = 'image_tensor'
    for layer in range(layers):
        scope = 'layer{}/'.format(layer)
        weights = variable(scope + 'weights', random.normal(size=(3, 3, channels, channels)))
        node = add(scope + 'Conv2D', 'Conv2D', [x, weights], T=1)
        node.attr['strides'].list.i.extend([1, 1, 1, 1])
        node.attr['padding'].s = b'SAME'
        bias = variable(scope + 'biases', random.normal(size=channels))
        add(scope + 'BiasAdd', 'BiasAdd', [scope + 'Conv2D', bias], T=1)
        add(scope + 'Relu6', 'Relu6', [scope + 'BiasAdd'], T=1)
        x = scope + 'Relu6'
    number = 0
    while len(graph_def.node) < nodes - 2:
        const('tail/c{}'.format(number), numpy.float32(number))
        add('tail/add{}'.format(number), 'Add', [x, 'tail/c{}'.format(number)], T=1)
        x = 'tail/add{}'.format(number)
        number += 1
    add('detection_boxes', 'Identity', [x], T=1)
    with open(path, 'wb') as file:
        file.write(graph_def.SerializeToString())
    nodes_by_name = list(graph_def.node)
    random.shuffle(nodes_by_name)
    shuffled = graph_pb2.GraphDef()
    for node in nodes_by_name:
        made = shuffled.node.add()
        made.CopyFrom(node)
        if made.name.startswith('tail/'):
            made.name = made.name.replace('tail/', 'rest/')
        del made.input[:]
        made.input.extend(text.replace('tail/', 'rest/') for text in node.input)
        if made.op == 'Add':
            made.op = 'AddV2'
        if made.op == 'Conv2D':
            made.attr['dilations'].list.i.extend([1, 1, 1, 1])
            made.attr['use_cudnn_on_gpu'].b = True
        if made.name == 'layer7/weights':
            content = bytearray(made.attr['value'].tensor.tensor_content)
            content[1000] ^= 1
            made.attr['value'].tensor.tensor_content = bytes(content)
    with open(other, 'wb') as file:
        file.write(shuffled.SerializeToString())


def measure(left, right):
    """One comparison in a process of its own; returns what it printed."""
    path = [entry for entry in [ROOT, os.environ.get('PYTHONPATH')] if entry]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), CUDA_VISIBLE_DEVICES='')
    output = subprocess.check_output([sys.executable, '-W', 'ignore', '-c', MEASURE, left, right], env=environment,
                                     stderr=subprocess.DEVNULL)
    return json.loads(output.decode().splitlines()[-1])


def report(left, right, target=None):
    best = min((measure(left, right) for _ in range(3)), key=lambda row: row['seconds'])
    size = os.path.getsize(left) + os.path.getsize(right)
    times = best['memory'] / float(size)
    print('{} and {}: {:.0f} MB together, {} nodes'.format(os.path.basename(left), os.path.basename(right), size / 1e6,
                                                          best['nodes']))
    print('  {}: {}'.format(best['verdict'], best['reason']))
    met = '' if target is None else '   (targets: under {} s, under {} x: {})'.format(
        target[0], target[1], 'met' if best['seconds'] < target[0] and times < target[1] else 'MISSED')
    text = '  {:.2f} s ({:.2f} s of one core) beyond importing TensorFlow {}, {:.2f} x the files\' size in memory{}'
    print(text.format(
        best['seconds'], best['cpu'], best['tensorflow'], times, met), flush=True)


def main():
    files = sys.argv[1:]
    if files:
        for left, right in zip(files[::2], files[1::2]):
            report(left, right)
        return
    with tempfile.TemporaryDirectory() as folder:
        for megabytes, target in sorted(TARGETS.items()):
            left, right = (os.path.join(folder, '{}MB-{}.pb'.format(megabytes, letter)) for letter in 'ab')
            make(megabytes, 7000, left, right)
            report(left, left, target)
            report(left, right, target)


if __name__ == '__main__':
    main()
