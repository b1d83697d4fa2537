"""Runs two graphs on the same made-up images and finds the first tensor on the way whose values differ.

Graph optimizers are off and one thread does the work, so that what differs is
the graphs and not the order of additions. Equal outputs on a few images prove
nothing about others; the verdict never rests on them.
"""
import collections

import numpy

from od_patch import _pixels
from od_patch._errors import InputRefused
from od_patch.graphs import _graph
from od_patch.graphs import _models
from od_patch.graphs import _sessions
from od_patch.graphs import _tensors
from od_patch.terminal import _stages

_CHUNK = 48  # tensors fetched at a time while looking for the first that differs: memory stays small
_LOOPS = frozenset(['Enter', 'Exit', 'NextIteration', 'LoopCond', 'Switch', 'Merge', 'TensorArrayV3', 'RefEnter'])


class Run:
    """What running showed.

    Attributes:
        images: int; outputs: list of dicts (name, largest, differing, elements, shapes).
        first: dict or None: the first matched tensor whose values differ; note: str.
    """

    def __init__(self, images):
        self.images, self.outputs, self.first, self.note = images, [], None, ''

    def as_json(self):
        return collections.OrderedDict([('images', self.images), ('outputs', self.outputs), ('first', self.first),
                                        ('note', self.note)])


class Model:
    """A graph loaded for running."""

    def __init__(self, source, graph):
        from od_patch import _tensorflow
        self._tf = tf = _tensorflow.tf1()
        self.source, self.graph = source, graph
        self._graph = tf.Graph()
        with self._graph.as_default():
            try:
                tf.import_graph_def(source.graph_def, name='')
            except (ValueError, KeyError, tf.errors.OpError) as error:
                text = ' '.join(str(error).split())
                raise InputRefused(
                    '{}: the TensorFlow at hand ({}) cannot load this graph: {}.'.format(source.path, tf.__version__,
                                                                                      text[:240]),
                    'Run it with the TensorFlow that it was made with or a later one; without --run it is compared all '
                    'the same.')
        self._session = tf.Session(graph=self._graph, config=_sessions.unoptimized_config())

    def placeholders(self):
        """(name, dtype, shape as list or None) of the inputs that the outputs need."""
        found = []
        for node in sorted(self.graph.final_order()):
            if self.graph.ops[node] in _graph.PLACEHOLDERS:
                tensor = self._graph.get_tensor_by_name(self.graph.names[node] + ':0')
                shape = None if tensor.shape.dims is None else [
                    None if dim is None or getattr(dim, 'value', dim) is None else int(getattr(dim, 'value', dim))
                    for dim in tensor.shape.dims]
                found.append((self.graph.names[node], tensor.dtype, shape))
        return found

    def feed(self, image):
        """A feed for one H×W×3 uint8 image, made as the placeholder wants it."""
        found = self.placeholders()
        if len(found) != 1:
            raise InputRefused('{}: the graph has {} inputs ({}), and only one image can be given.'.format(
                self.source.path, len(found), ', '.join(name for name, _, _ in found[:4]) or 'none'),
                'Compare it without --run.')
        name, dtype, shape = found[0]
        if dtype == self._tf.string:
            value = numpy.array([self._encoded(image)], dtype=object)
            if not shape and shape is not None:
                value = value[0]
        else:
            if shape and len(shape) == 4 and shape[1] and shape[2]:
                image = image[:shape[1], :shape[2]] if image.shape[0] >= shape[1] and image.shape[1] >= shape[2] else \
                    numpy.resize(image, (shape[1], shape[2], 3))
            image = _pixels.with_channels(image, _pixels.channels_of(shape))
            batch = shape[0] if shape and len(shape) == 4 and shape[0] else 1
            value = numpy.stack([image] * batch).astype(dtype.as_numpy_dtype)
        return {name + ':0': value}

    def _encoded(self, image):
        """The image as PNG, or as a tf.Example that holds it."""
        tf = self._tf
        with tf.Graph().as_default(), tf.Session(config=_sessions.default_config()) as session:
            png = session.run(tf.image.encode_png(image))
        return _models.example_of(png, *image.shape[:2]) if set(self.graph.ops) & _models.PARSES_EXAMPLES else png

    def values(self, names, feed):
        """The values of tensors by name."""
        try:
            return self._session.run(names, feed)
        except self._tf.errors.OpError as error:
            raise InputRefused('{}: running the graph failed: {}.'.format(
                self.source.path, ' '.join(error.message.split())[:240]), 'Compare it without --run.')

    def close(self):
        self._session.close()


def images(count, seed=0, height=240, width=320):
    """Made-up photographs: soft coloured blobs, so that detectors find edges to be unsure about."""
    random = numpy.random.RandomState(seed)
    rows, columns = numpy.mgrid[0:height, 0:width]
    made = []
    for _ in range(count):
        image = numpy.full((height, width, 3), random.uniform(30, 220, 3))
        for _ in range(14):
            y, x, size = random.uniform(0, height), random.uniform(0, width), random.uniform(8, 70)
            inside = (((rows - y) / size) ** 2 + ((columns - x) / (size * random.uniform(.5, 2))) ** 2) < 1
            image[inside] = random.uniform(0, 255, 3)
        image += random.normal(0, 8, image.shape)
        made.append(numpy.clip(image, 0, 255).astype('u1'))
    return made


def run(answer, count):
    """Runs both graphs of an ``Answer``; returns a ``Run``.

    Raises:
        InputRefused: the TensorFlow at hand lacks an op of one of them, or there is not one input.
    """
    result = Run(count)
    _stages.stage('running both')
    models = [Model(source, graph) for source, graph in zip(answer.sources, answer.graphs)]
    try:
        if answer.verdict == 'not comparable':
            result.note = 'Different models: their outputs are not compared.'
            return result
        if not (answer.graphs[0].named_outputs and answer.graphs[1].named_outputs):
            result.note = 'The outputs have no known names: give them with --outputs to compare their values.'
            return result
        common = [row[0] for row in answer.graphs[0].outputs
                  if row[0] in {other[0] for other in answer.graphs[1].outputs}]
        tensors = [{name: '{}:{}'.format(graph.names[node], port) for name, node, port in graph.outputs}
                   for graph in answer.graphs]
        worst = collections.OrderedDict((name, [0.0, 0, 0, '']) for name in common)
        differing = None
        for image in images(count):
            feeds = [model.feed(image) for model in models]
            left, right = (model.values([table[name] for name in common], feed)
                           for model, table, feed in zip(models, tensors, feeds))
            for name, one, other in zip(common, left, right):
                apart, number, elements, shapes = _tensors.difference(one, other)
                row = worst[name]
                row[0] = None if apart is None or row[0] is None else max(row[0], apart)
                row[1], row[2], row[3] = row[1] + number, row[2] + elements, shapes or row[3]
                if number and differing is None:
                    differing = feeds
        result.outputs = [dict(name=name, largest=row[0], differing=row[1], elements=row[2], shapes=row[3])
                          for name, row in worst.items()]
        if differing is None:
            result.note = 'All outputs are equal on these images; that proves nothing about others.'
        else:
            _stages.stage('the first difference')
            result.first = _first(answer, models, differing)
            if result.first is None:
                result.note = 'No tensor outside loops that stands at one place in both graphs differs before them.'
        return result
    finally:
        for model in models:
            model.close()


def _matched(answer):
    """(left tensor, right tensor) names of what stands at one place in both graphs, outside loops, inputs first."""
    alignment = answer.alignment
    if alignment is None:
        return []
    left, right = answer.graphs
    inside = [_inside_loops(graph) for graph in (left, right)]
    found = []
    for node in left.final_order():
        partner = alignment.pairs.get(node)
        if partner is None or node >= len(left) or partner >= len(right):
            continue
        if node in inside[0] or partner in inside[1] or left.ops[node] in _LOOPS or right.ops[partner] in _LOOPS:
            continue
        if left.ops[node] in ('Const', 'Assert', 'NoOp') or left.ops[node].startswith('TensorArray'):
            continue
        if not left.inputs[node]:
            continue
        found.append((left.names[node] + ':0', right.names[partner] + ':0'))
    return found


def _inside_loops(graph):
    """Nodes that run inside a while loop or on one side of a Switch: they cannot be fetched."""
    depth = {}
    for node in graph.final_order():
        op = graph.ops[node]
        value = max([depth.get(source, 0) for source, _ in graph.inputs[node]]
                    + [depth.get(source, 0) for source in graph.controls[node]] + [0])
        if op in ('Enter', 'RefEnter', 'Switch', 'RefSwitch') and not (op == 'Switch' and value):
            value += 1
        elif op in ('Exit', 'RefExit') or (op == 'Merge' and not any(
                graph.ops[source] in _graph.LOOP_BACK for source, _ in graph.inputs[node])
                and not any(graph.ops[source] in _graph.LOOP_ENTERS for source, _ in graph.inputs[node])):
            value = max(0, value - 1)
        depth[node] = value
    return {node for node, value in depth.items() if value}


def _first(answer, models, feeds):
    """Bisection over the matched tensors, in an order in which inputs come first."""
    matched = _matched(answer)
    if not matched:
        return None
    low, high, compared = 0, len(matched), 0

    def any_differs(start, end):
        """Whether a tensor of matched[start:end] differs; tells how far it looked."""
        count = 0
        for begin in range(start, end, _CHUNK):
            rows = matched[begin:min(end, begin + _CHUNK)]
            count += len(rows)
            left, right = (model.values([row[side] for row in rows], feed)
                           for side, (model, feed) in enumerate(zip(models, feeds)))
            if any(_tensors.difference(one, other)[1] for one, other in zip(left, right)):
                return True, count
        return False, count
    found, count = any_differs(low, high)
    compared += count
    if not found:
        return None
    high = min(high, count)
    low = max(0, high - _CHUNK)
    while high - low > 1:
        middle = (low + high) // 2
        found, count = any_differs(low, middle)
        compared += count
        low, high = (low, middle) if found else (middle, high)
    left, right = matched[low]
    one, other = (model.values([name], feed)[0] for model, name, feed in zip(models, (left, right), feeds))
    apart, number, elements, shapes = _tensors.difference(one, other)
    how = 'shapes {}'.format(shapes) if shapes else 'by {:.3g} at most, {:,} of {:,} elements'.format(
        apart, number, elements)
    return collections.OrderedDict([('left', left), ('right', right), ('how', how), ('compared', compared),
                                    ('matched', len(matched))])
