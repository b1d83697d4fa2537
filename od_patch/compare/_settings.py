"""Settings of a detector read back from its graph: NMS limits, input, resizer, classes, anchors.

Everything is told by structure (which op reads what), nothing by names; what a
graph does not say is missing from the answer, and whoever shows it says
"cannot be told". Works on graphs that all rules have been applied to.
"""
import collections

import numpy

from od_patch.graphs import _graph
from od_patch.graphs import _tensors

# What it is called, its value in plain Python, the option of pipeline.config that makes it, the nodes that say it.
Setting = collections.namedtuple('Setting', 'key label value option nodes')

_CONVOLUTIONS = frozenset(['Conv2D', 'DepthwiseConv2dNative', 'QuantizedConv2D', '_FusedConv2D',
                           '_FusedDepthwiseConv2dNative'])
RESIZERS = {'ResizeBilinear': 'BILINEAR', 'ResizeNearestNeighbor': 'NEAREST_NEIGHBOR', 'ResizeBicubic': 'BICUBIC',
            'ResizeArea': 'AREA'}
_HANDING_ON = frozenset(['Cast', 'Identity', 'Sub', 'Mul', 'Add', 'AddV2', 'RealDiv', 'Div', 'Squeeze', 'ExpandDims',
                         'TensorArrayScatterV3', 'TensorArrayReadV3', 'TensorArrayWriteV3', 'TensorArrayGatherV3',
                         'Exit', 'Enter', 'Switch', 'Merge', 'NextIteration', 'Pack', 'Unpack', 'StridedSlice', 'Pad',
                         'PadV2', 'ConcatV2', 'Split', 'Reverse', 'ReverseV2', 'Reshape', 'Tile', 'DecodeJpeg',
                         'DecodePng', 'DecodeImage', 'DecodeGif', 'DecodeBmp'] + sorted(RESIZERS))
_PARSERS = {'ParseExample', 'ParseSingleExample', 'ParseExampleV2'}


class Reading:
    """The settings of one graph.

    Attributes:
        settings: dict of key -> ``Setting``, in the order in which an image meets them.
        nms: list of the positions of NMS ops; first_stage, last_stage: those that choose proposals, and detections.
        behind: dict of position -> bits, which of ``nms`` come before it.
        two_stage: bool, whether proposals are chosen before boxes are classified.
    """

    def __init__(self, graph, order):
        self.graph = graph
        self._order = order
        self.settings = collections.OrderedDict()
        self._consumers = None
        self.nms = [node for node in order if graph.ops[node].startswith('NonMaxSuppression')]
        self.behind = self._reached_from(self.nms)
        self.first_stage, self.last_stage = self._stages()
        self.two_stage = bool(self.first_stage)
        self._input()
        self._resizer()
        self._normalization()
        for stage, nodes in (('first_stage', self.first_stage), ('second_stage' if self.two_stage else '',
                                                                 self.last_stage)):
            self._suppression(stage, nodes)
        self._classes()
        self._anchors()

    # helpers ----------------------------------------------------------------------------------------------------------

    def _add(self, key, label, value, option, nodes):
        self.settings[key] = Setting(key, label, value, option, sorted(nodes))

    def _reached_from(self, starts):
        """For each node, as bits, which of ``starts`` come before it; loops are followed until nothing is added."""
        graph = self.graph
        bits = {node: 1 << index for index, node in enumerate(starts)}
        found, before = {}, None
        while starts and found != before:
            before = dict(found)
            for node in self._order:
                value = bits.get(node, 0)
                for source, _ in graph.inputs[node]:
                    value |= found.get(source, 0)
                found[node] = value
        return found or dict.fromkeys(self._order, 0)

    def _up(self, start, stop=(), limit=4000):
        """Positions that ``start`` depends on, nearest first, not going past ops in ``stop``."""
        graph = self.graph
        seen, queue = {start}, collections.deque([start])
        while queue and len(seen) < limit:
            node = queue.popleft()
            yield node
            if node != start and graph.ops[node] in stop:
                continue
            for source, _ in graph.inputs[node]:
                if source not in seen:
                    seen.add(source)
                    queue.append(source)

    def constant(self, edge):
        """(value, position) of the scalar Const that an edge leads to, through Identity, Enter and casts."""
        node = edge[0]
        for _ in range(16):
            tensor = self.graph.tensors[node]
            if tensor is not None:
                if tensor.size == 1 and tensor.dtype in _tensors.NUMERIC:
                    return tensor.numbers().reshape(-1)[0].item(), node
                return None
            if self.graph.ops[node] not in ('Identity', 'Enter', 'Cast', 'Switch') or not self.graph.inputs[node]:
                return None
            node = self.graph.inputs[node][0][0]
        return None

    @property
    def consumers(self):
        if self._consumers is None:
            self._consumers = self.graph.consumers()
        return self._consumers

    # what is read -----------------------------------------------------------------------------------------------------

    def _stages(self):
        """NMS nodes that choose proposals, and those that choose detections: the latter come behind the former."""
        behind = {node: self.behind[node] & ~(1 << index) for index, node in enumerate(self.nms)}
        last = [node for node in self.nms if behind[node]]
        return ([node for node in self.nms if not behind[node]], last) if last else ([], self.nms)

    def _input(self):
        graph = self.graph
        found = [node for node in self._order if graph.ops[node] in _graph.PLACEHOLDERS]
        if not found:
            return
        node = found[0]
        dtype = _graph.attr_type(graph.attrs[node], 'dtype')
        readers = {graph.ops[other] for other in self._order if self._near(other, node)}
        kind = 'image_tensor'
        if dtype == 7:
            kind = 'tf_example' if readers & _PARSERS else 'encoded_image_string_tensor'
        self._add('input_type', 'input type', kind, '--input_type', [node])
        self._add('input_dtype', 'input data type', _tensors.dtype_name(dtype), '', [node])
        shape = graph.attrs[node].get('shape')
        if shape is not None:
            proto = _graph.attr_proto(shape).shape
            text = 'unknown' if proto.unknown_rank else '×'.join(
                '?' if dim.size < 0 else str(dim.size) for dim in proto.dim) or 'scalar'
            self._add('input_shape', 'input shape', text, '--input_shape', [node])
        else:
            self._add('input_shape', 'input shape', 'unknown', '--input_shape', [node])

    def _near(self, node, placeholder):
        if self.graph.ops[node] not in _PARSERS:
            return False
        return placeholder in set(self._up(node, limit=60))

    def _resizer(self):
        graph = self.graph
        first = next((node for node in self._order if graph.ops[node] in _CONVOLUTIONS), None)
        if first is None:
            return
        found = [node for node in self.up_all(first) if graph.ops[node] in RESIZERS]
        if not found:
            return
        node = found[0]
        self._add('resize_method', 'resize method', RESIZERS[graph.ops[node]],
                  'model.*.image_resizer.*.resize_method', [node])
        size = graph.inputs[node][1][0]
        tensor = graph.tensors[size]
        if tensor is not None and tensor.size == 2:
            height, width = tensor.numbers().reshape(-1).tolist()
            self._add('resize', 'image resizer', 'fixed {}×{}'.format(height, width),
                      'model.*.image_resizer.fixed_shape_resizer', [size])
            return
        least = most = None
        nodes, told = [], {}
        for place in found:
            for node in self.up_all(graph.inputs[place][1][0], limit=400):
                if graph.ops[node] not in ('RealDiv', 'Div'):
                    continue
                value = self.constant(graph.inputs[node][0])
                if value is None:
                    continue
                told[value[0]] = value[1]
                below = {graph.ops[near] for near in self._up(graph.inputs[node][1][0], limit=6)}
                if 'Minimum' in below and 'Maximum' not in below:
                    least = value[0]
                    nodes.append(value[1])
                elif 'Maximum' in below and 'Minimum' not in below:
                    most = value[0]
                    nodes.append(value[1])
        if (least is None or most is None) and len(told) == 2:  # one ratio for each side, the smaller one taken
            least, most = sorted(told)
            nodes = list(told.values())
        if least is not None or most is not None:
            self._add('resize', 'image resizer', 'keep aspect ratio, {} to {}'.format(
                '?' if least is None else int(least), '?' if most is None else int(most)),
                'model.*.image_resizer.keep_aspect_ratio_resizer', nodes)

    def up_all(self, start, limit=4000):
        """As ``_up``, and through TensorArrays into the loop that fills them."""
        graph = self.graph
        seen, queue = {start}, collections.deque([start])
        while queue and len(seen) < limit:
            node = queue.popleft()
            yield node
            for source, _ in graph.inputs[node]:
                if source not in seen:
                    seen.add(source)
                    queue.append(source)

    def image_path(self):
        """Positions that hold the image itself on its way from the placeholder to the first convolution."""
        graph = self.graph
        first = next((node for node in self._order if graph.ops[node] in _CONVOLUTIONS), None)
        if first is None:
            return []
        within = set(self.up_all(first))
        image = {node for node in self._order if graph.ops[node] in _graph.PLACEHOLDERS}
        before = -1
        while len(image) > before:  # once more for what comes round in a loop
            before = len(image)
            for node in self._order:
                if node in within and graph.ops[node] in _HANDING_ON and any(
                        source in image for source, _ in graph.inputs[node]):
                    image.add(node)
        return [node for node in self._order if node in image]

    def _normalization(self):
        """The constants that the image is scaled and shifted by before the first convolution, in order."""
        graph = self.graph
        steps, nodes = [], []
        for node in self.image_path():
            op = graph.ops[node]
            if op not in ('Sub', 'Mul', 'Add', 'RealDiv', 'Div') or len(graph.inputs[node]) != 2:
                continue
            sides = [graph.tensors[self.plain(edge)] for edge in graph.inputs[node]]
            which = 1 if sides[1] is not None else 0
            tensor = sides[which]
            if tensor is None or tensor.dtype not in _tensors.FLOATING or tensor.size > 4:
                continue
            values = tensor.numbers().reshape(-1).tolist()
            text = ', '.join('{:.6g}'.format(value) for value in values)
            sign = {'Sub': '−', 'Mul': '×', 'Add': '+', 'RealDiv': '÷', 'Div': '÷'}[op]
            steps.append('{} {}'.format(sign, '({})'.format(text) if len(values) > 1 else text))
            nodes += [node, self.plain(graph.inputs[node][which])]
        if steps:
            self._add('normalization', 'image normalisation', ' then '.join(steps), '', nodes)

    def plain(self, edge):
        node = edge[0]
        while self.graph.ops[node] in ('Identity', 'Enter') and self.graph.inputs[node]:
            node = self.graph.inputs[node][0][0]
        return node

    def _suppression(self, stage, found):
        if not found:
            return
        if stage == 'first_stage':
            base, label = 'model.faster_rcnn.', 'first stage: '
            options = {'iou': base + 'first_stage_nms_iou_threshold', 'score': base + 'first_stage_nms_score_threshold',
                       'size': base + 'first_stage_max_proposals', 'total': base + 'first_stage_max_proposals'}
        else:
            base = ('model.faster_rcnn.second_stage_post_processing.batch_non_max_suppression.' if stage
                    else 'model.ssd.post_processing.batch_non_max_suppression.')
            label = 'second stage: ' if stage else ''
            options = {'iou': base + 'iou_threshold', 'score': base + 'score_threshold',
                       'size': base + 'max_detections_per_class', 'total': base + 'max_total_detections'}
        prefix = stage + '.' if stage else ''
        graph = self.graph
        for key, slot, text in (('iou', 3, 'NMS IoU threshold'), ('score', 4, 'NMS score threshold')):
            values = [self.constant(graph.inputs[node][slot]) for node in found if len(graph.inputs[node]) > slot]
            values = [value for value in values if value is not None]
            if key == 'score' and values and all(value[0] == -numpy.inf for value in values):
                # Until 2018-08-07 scores were filtered before the op: Where(score > threshold).
                values = [self._filter(graph.inputs[node][1][0]) or value for node, value in zip(found, values)]
            if values:
                told = sorted({float(numpy.float32(value[0])) for value in values})
                self._add(prefix + 'nms_' + key, label + text, _one(told), options[key], [value[1] for value in values])
        sizes = []
        for node in found:
            if len(graph.inputs[node]) < 3:
                continue
            edge = graph.inputs[node][2]
            place = self.plain(edge)
            value = self.constant(edge)
            if value is None and graph.ops[place] == 'Minimum':
                value = next((part for part in map(self.constant, graph.inputs[place]) if part), None)
            if value is not None:
                sizes.append(value)
        if sizes:
            self._add(prefix + 'nms_size', label + 'boxes kept per class', _one(sorted({int(v) for v, _ in sizes})),
                      options['size'], [node for _, node in sizes])
        self._total(prefix, label, options['total'], found)
        if found == self.last_stage:
            converter = next((node for node in self.up_all(graph.inputs[found[0]][1][0])
                              if graph.ops[node] in ('Sigmoid', 'Softmax')), None)
            if converter is not None:
                option = base.replace('batch_non_max_suppression.', 'score_converter')
                self._add('score_converter', 'score converter', graph.ops[converter].upper(), option, [converter])

    def _filter(self, scores):
        """(threshold, position) of the Greater that chose the scores at ``scores``, or None."""
        found = None
        for node in self.up_in_iteration(scores):
            if self.graph.ops[node] == 'Greater':
                value = self.constant(self.graph.inputs[node][1])
                if value is not None and isinstance(value[0], float):
                    found = value  # the furthest up: nearer ones ask whether a box has an area
        return found

    def up_in_iteration(self, start):
        """What ``start`` depends on within one iteration of the loop over images, nearest first."""
        return self._up(start, stop=('TensorArrayReadV3', 'Enter', 'Merge'), limit=160)

    def _total(self, prefix, label, option, found):
        """Behind NMS and a sort, Minimum(limit, number of boxes) bounds what is kept of all classes together."""
        graph = self.graph
        bits = 0
        for node in found:
            bits |= 1 << self.nms.index(node)
        later = 0
        for node in self.last_stage:
            if node not in found:
                later |= 1 << self.nms.index(node)
        sizes = {self.plain(graph.inputs[node][2]) for node in self.nms if len(graph.inputs[node]) > 2}
        limits = []
        for node in self._order:
            if graph.ops[node] != 'Minimum' or not self.behind[node] & bits or self.behind[node] & later:
                continue
            if node in sizes:
                continue
            value = next((part for part in map(self.constant, graph.inputs[node]) if part), None)
            if (value is not None and isinstance(value[0], int)
                    and any(graph.ops[user] in ('Range', 'Select', 'Greater', 'Pack') for user, _ in
                            self.consumers[node])):
                limits.append(value)
        values = {int(value) for value, _ in limits}
        if len(values) == 1:
            self._add(prefix + 'nms_total', label + 'boxes kept in all', values.pop(), option,
                      [node for _, node in limits])

    def _classes(self):
        """Per-class NMS is unrolled: one op a class."""
        if len(self.last_stage) > 1:
            self._add('classes', 'classes', len(self.last_stage),
                      'model.{}.num_classes'.format('faster_rcnn' if self.two_stage else 'ssd'), self.last_stage)

    def _anchors(self):
        """Box heads end in BiasAdd, Reshape to […, 1, 4] or […, 4]: their channels say how many anchors a place has."""
        graph = self.graph
        found, nodes = [], []
        for node in self._order:
            if graph.ops[node] != 'Reshape':
                continue
            source = self.plain(graph.inputs[node][0])
            if graph.ops[source] not in ('BiasAdd', 'Add', '_FusedConv2D'):
                continue
            sides = [graph.tensors[self.plain(edge)] for edge in graph.inputs[source][1:2]]
            if not sides or sides[0] is None or len(sides[0].shape) != 1:
                continue
            below = self.plain(graph.inputs[source][0])
            if graph.ops[source] != '_FusedConv2D' and graph.ops[below] not in ('Conv2D', 'DepthwiseConv2dNative'):
                continue
            if self._last_dimensions(graph.inputs[node][1])[-2:] == [1, 4] and sides[0].size % 4 == 0:
                found.append(sides[0].size // 4)
                nodes.append(node)
        if found:
            value = found[0] if len(set(found)) == 1 and len(found) == 1 else found
            self._add('anchors', 'anchors per place of each feature map', value,
                      'model.*anchor_generator', nodes)

    def _last_dimensions(self, edge):
        node = self.plain(edge)
        tensor = self.graph.tensors[node]
        if tensor is not None:
            return tensor.numbers().reshape(-1).tolist()
        if self.graph.ops[node] == 'Pack':
            values = [self.constant(part) for part in self.graph.inputs[node]]
            return [None if value is None else value[0] for value in values]
        return []


def _one(values):
    return values[0] if len(values) == 1 else values


def read(graph, order):
    """Dict of key -> ``Setting`` that the graph tells."""
    return Reading(graph, order).settings
