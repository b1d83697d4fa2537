"""The weights of two frozen graphs: which variables there are, which are equal, and by how much others differ.

A weight is told by its place, not by its name: a Const that is only ever read
through Identity (what freezing makes of a variable), or one that stands where
an op takes a filter, a bias or a statistic. Names serve to pair what is left
after equal values have been paired, and to show it.
"""
import collections

import numpy

from od_patch.graphs import _tensors

# op -> input slots that take learnt values
SLOTS = {
    'Conv2D': (1,), 'DepthwiseConv2dNative': (1,), 'Conv2DBackpropInput': (1,), 'Conv3D': (1,), 'MatMul': (0, 1),
    'BiasAdd': (1,), 'FusedBatchNorm': (1, 2, 3, 4), 'FusedBatchNormV2': (1, 2, 3, 4), 'FusedBatchNormV3': (1, 2, 3, 4),
    'QuantizedConv2D': (1,), 'Dequantize': (0,), 'BatchNormWithGlobalNormalization': (1, 2, 3, 4),
    '_FusedConv2D': (1, 2, 3, 4, 5, 6), '_FusedMatMul': (1, 2), '_FusedDepthwiseConv2dNative': (1, 2, 3, 4, 5, 6),
}

Pair = collections.namedtuple('Pair', 'left right how')


class Difference:
    """Two values of one variable.

    Attributes:
        name: str, as the left graph has it (the right one's where the left has none).
        largest: float, the largest absolute difference of two elements.
        mean: float, the mean absolute difference.
        scale: float, the largest magnitude on the left, to judge the others by.
        count: int, how many elements differ; size: how many there are.
    """

    def __init__(self, name, left, right):
        self.name, self.shape, self.dtype = name, left.shape, left.dtype
        one = left.numbers().astype(numpy.float64)
        other = right.numbers().astype(numpy.float64)
        with numpy.errstate(invalid='ignore', over='ignore'):
            apart = numpy.abs(one - other)
        apart[numpy.isnan(apart)] = numpy.inf
        bits = numpy.frombuffer(left.array().tobytes(), 'u1') != numpy.frombuffer(right.array().tobytes(), 'u1')
        self.size = left.size
        self.count = int(bits.reshape(left.size, -1).any(axis=1).sum()) if left.size else 0
        self.largest = float(apart.max()) if apart.size else 0.0
        self.mean = float(apart.mean()) if apart.size else 0.0
        self.scale = float(numpy.abs(one).max()) if one.size else 0.0
        self.left, self.right = left, right


def weights(graph, reachable):
    """Positions of the Consts that are weights, among those that the outputs need."""
    reachable = set(reachable)
    passing = collections.defaultdict(list)
    for node in reachable:
        for slot, (source, _) in enumerate(graph.inputs[node]):
            if source in reachable:
                passing[source].append((node, slot))
    found = []
    for node in sorted(reachable):
        tensor = graph.tensors[node]
        if tensor is None or tensor.dtype not in _tensors.FLOATING | _tensors.QUANTIZED:
            continue
        users = passing[node]
        if users and all(graph.ops[user] == 'Identity' for user, _ in users):
            found.append(node)
        elif tensor.shape and any(slot in SLOTS.get(graph.ops[user], ()) for user, slot in users):
            found.append(node)
    return found


class Comparison:
    """The weights of two graphs, paired.

    Attributes:
        left, right: number of weights on each side.
        equal: list of ``Pair`` of positions with equal bits.
        differing: list of ``Pair`` of one type and shape with unequal bits.
        reshaped: list of ``Pair`` of one name whose type or shape differ.
        only_left, only_right: lists of positions without a partner.
    """

    def __init__(self, one, other, left, right, aligned=None):
        self.graphs = one, other
        self.left, self.right = len(left), len(right)
        self.left_nodes, self.right_nodes = left, right
        self.equal, self.differing, self.reshaped = [], [], []
        rest_left, rest_right = self._by_value(left, right)
        rest_left, rest_right = self._by_place(rest_left, rest_right, aligned or {})
        rest_left, rest_right = self._by_name(rest_left, rest_right)
        rest_left, rest_right = self._known_elsewhere(rest_left, rest_right)
        self.only_left, self.only_right = rest_left, rest_right

    def _by_value(self, left, right):
        """Equal bits pair first, those of one name before others; where a value stands matters to the graph's hash."""
        one, other = self.graphs
        stock = collections.defaultdict(dict)
        for node in right:
            stock[other.tensors[node].digest][other.names[node]] = node
        there = {other.names[node] for node in right}
        rest, waiting, taken = [], [], set()
        for node in left:
            names = stock.get(one.tensors[node].digest, {})
            if one.names[node] in names:
                partner = names.pop(one.names[node])
                taken.add(partner)
                self.equal.append(Pair(node, partner, 'value'))
            elif one.names[node] in there:
                rest.append(node)  # on both sides with another value: that variable changed, no two were swapped
            else:
                waiting.append(node)
        for node in waiting:
            names = stock.get(one.tensors[node].digest, {})
            if names:
                name = sorted(names)[0]
                partner = names.pop(name)
                taken.add(partner)
                self.equal.append(Pair(node, partner, 'value'))
            else:
                rest.append(node)
        return rest, [node for node in right if node not in taken]

    def _by_place(self, left, right, aligned):
        one, other = self.graphs
        free = set(right)
        rest = []
        for node in left:
            partner = aligned.get(node)
            if partner in free and self._fits(node, partner):
                free.discard(partner)
                self.differing.append(Pair(node, partner, 'place'))
            else:
                rest.append(node)
        return rest, [node for node in right if node in free]

    def _fits(self, node, partner):
        one, other = self.graphs[0].tensors[node], self.graphs[1].tensors[partner]
        return one.shape == other.shape and one.dtype == other.dtype

    def _by_name(self, left, right):
        one, other = self.graphs
        names = {other.names[node]: node for node in right}
        rest, free = [], set(right)
        for node in left:
            partner = names.get(one.names[node])
            if partner is None or partner not in free:
                rest.append(node)
                continue
            free.discard(partner)
            (self.differing if self._fits(node, partner) else self.reshaped).append(Pair(node, partner, 'name'))
        return rest, [node for node in right if node in free]

    def _known_elsewhere(self, left, right):
        """Values that the other side holds anywhere, as a weight or as another Const, are not missing there."""
        one, other = self.graphs
        values = [{graph.tensors[node].digest for node in graph.final_order() if graph.tensors[node] is not None}
                  for graph in (one, other)]
        return ([node for node in left if one.tensors[node].digest not in values[1]],
                [node for node in right if other.tensors[node].digest not in values[0]])

    @property
    def same(self):
        """Whether every weight of either side is, bit for bit, on the other too."""
        return not (self.differing or self.reshaped or self.only_left or self.only_right)

    def differences(self, pairs=None):
        """List of ``Difference`` of the pairs with unequal bits (or of those given), the largest first."""
        one, other = self.graphs
        found = [Difference(one.names[pair.left], one.tensors[pair.left], other.tensors[pair.right])
                 for pair in (self.differing if pairs is None else pairs)]
        return sorted(found, key=lambda difference: (-difference.largest, difference.name))
