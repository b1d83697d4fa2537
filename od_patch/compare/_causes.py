"""Why two graphs differ, in words: settings, revisions, transforms and whatever is left, ranked by what they do.

An ``Alignment`` says where two graphs part. A ``Context`` holds its changes,
sites and one-sided nodes, and what has been claimed of them for which
``_cause.Cause``. The recognisers that claim are in ``_recognisers``.
"""
import collections

from od_patch.compare import _provenance
from od_patch.compare import _settings
from od_patch.compare import _transforms

class Context:
    """What recognisers look at, and what they have claimed.

    Attributes:
        alignment: ``Alignment``; left, right: its graphs; settings: (left, right) dicts of ``Setting``.
        equivalence: ``Equivalence``; weights: ``Comparison`` of the weights.
        rest: (left, right) sets of positions that no cause has claimed yet.
        explained: (left, right) sets of weights that a transform made of the other side's, checked numerically.
        touched: dict of side -> positions that depend on the image or a weight, filled when first asked for.
        stored: (left, right) dicts of position -> ``Storage``: Consts that hold fewer bits than they stand for.
        lossy: (left, right) sets of those that are no other graph's value, bit for bit.
        computes: (left, right) number of ops that work in 8 bits.
        tools: (left, right) lists of the tools that left traces in one graph and not in the other.
        revisions: bool, whether there is positive evidence of two revisions of the OD API.
    """

    def __init__(self, alignment, equivalence, weights, decoded=None, originals=None):
        self.alignment, self.equivalence, self.weights = alignment, equivalence, weights
        self.stored = tuple(side.stored for side in decoded) if decoded else ({}, {})
        self.computes = tuple(side.computes for side in decoded) if decoded else (0, 0)
        self.left, self.right = alignment.left, alignment.right
        self.orders = alignment.orders()
        self.readings = tuple(_settings.Reading(graph, order)
                              for graph, order in zip((self.left, self.right), self.orders))
        self.settings = tuple(reading.settings for reading in self.readings)
        self.rest = (set(alignment.only[0]), set(alignment.only[1]))
        for change in alignment.changed:
            self.rest[0].add(change.left)
            self.rest[1].add(change.right)
        for site in alignment.sites:
            self.rest[0].add(site.left)
            self.rest[1].add(site.right)
        self.partner = ({change.left: change.right for change in alignment.changed},
                        {change.right: change.left for change in alignment.changed})
        self.output_names = {row[0] for graph in (self.left, self.right) for row in graph.outputs}
        self.causes = []
        self.explained = (set(), set())
        equal = [{pair[side] for pair in weights.equal} for side in (0, 1)]
        self.lossy = tuple({node for node in self.stored[side] if node not in equal[side]} & set(self.orders[side])
                           for side in (0, 1))
        self.touched = {}
        found = [_transforms.tools(graph) for graph in originals or (self.left, self.right)]
        self.tools = tuple([tool for tool in found[side] if tool not in found[1 - side]] for side in (0, 1))
        self.revisions = _provenance.two_revisions(originals or (self.left, self.right), (self.left, self.right),
                                                   self.readings, found)

    def made_by(self, tools, revision):
        """Who made a difference: ``tools``, or, where two revisions of the OD API are in evidence, one of them."""
        return ', or '.join(text for text in (tools, revision if self.revisions else '') if text)

    def graph(self, side):
        return (self.left, self.right)[side]

    def claim(self, cause):
        """Adds a cause and takes its nodes from what is unexplained."""
        self.rest[0].difference_update(cause.left)
        self.rest[1].difference_update(cause.right)
        if not cause.scope:
            cause.scope = scope(self, cause)
        self.causes.append(cause)

    def ops(self, side, nodes):
        return collections.Counter(self.graph(side).ops[node] for node in nodes)

    def components(self):
        """What is unexplained, in connected pieces: lists of (left positions, right positions), largest first."""
        parent = {}

        def find(key):
            while parent[key] != key:
                parent[key] = parent[parent[key]]
                key = parent[key]
            return key

        def join(one, other):
            parent[find(one)] = find(other)
        for side in (0, 1):
            for node in self.rest[side]:
                parent[(side, node)] = (side, node)
        for side in (0, 1):
            graph = self.graph(side)
            for node in self.rest[side]:
                for source, _ in graph.inputs[node]:
                    if source in self.rest[side]:
                        join((side, node), (side, source))
                for source in graph.controls[node]:
                    if source in self.rest[side]:
                        join((side, node), (side, source))
        for row in list(self.alignment.changed) + list(self.alignment.sites):
            if row[0] in self.rest[0] and row[1] in self.rest[1]:
                join((0, row[0]), (1, row[1]))
        found = collections.defaultdict(lambda: ([], []))
        for side, node in sorted(parent):
            found[find((side, node))][side].append(node)
        return sorted(found.values(), key=lambda piece: -len(piece[0]) - len(piece[1]))


def scope(context, cause):
    """The innermost scope that holds most of a cause's nodes, as the graphs' names have it."""
    names = [context.left.names[node] for node in cause.left] or [context.right.names[node] for node in cause.right]
    names = [name for name in names if name]
    if not names:
        return ''
    parts = [name.split('/')[:-1] or [name] for name in names]
    common = parts[0]
    for row in parts[1:]:
        length = 0
        while length < min(len(common), len(row)) and common[length] == row[length]:
            length += 1
        common = common[:length]
    if common:
        return '/'.join(common)
    first, count = collections.Counter(row[0] for row in parts).most_common(1)[0]
    return first if count == len(parts) else '{} and {} more'.format(first, len({row[0] for row in parts}) - 1)


def show(value):
    """A setting's value as a person writes it."""
    if isinstance(value, float):
        return '{:.6g}'.format(value)
    if isinstance(value, list):
        return '[{}]'.format(', '.join(show(part) for part in value))
    return str(value)
