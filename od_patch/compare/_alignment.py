"""Which node of one graph stands where which node of the other stands, and where that stops.

Hashes match what is equal from the inputs up; a walk from the outputs down
pairs what is equal but for something below it, and ends at the *sites* where
two graphs truly part. Bottom-up hashing again, with the changes that were
found set equal, then leaves just the nodes that are on one side only. It says
where graphs differ; what a difference means is said in ``_causes``.
"""
import collections

from od_patch.compare import _hashing
from od_patch.graphs import _graph

Change = collections.namedtuple('Change', 'left right')
Site = collections.namedtuple('Site', 'left right consumer slot')

_ROUNDS = 12
# Ops that stand everywhere: two of them that look alike say little about where they stand.
_TRIVIAL = frozenset(['Const', 'Identity', 'Reshape', 'Shape', 'StridedSlice', 'Pack', 'Cast', 'ExpandDims', 'Squeeze',
                      'Sub', 'Add', 'Mul', 'Minimum', 'Maximum', 'Range', 'Slice', 'Fill', 'Enter', 'Switch', 'Merge',
                      'Rank', 'Unpack', 'ConcatV2', 'RealDiv', 'Greater', 'Less', 'Split'])


class Alignment:
    """The correspondence of two graphs.

    Args:
        one, other: ``Graph``, rewritten by all rules.
        weights: (left, right) positions of the weights: their values are no difference here.

    Attributes:
        left, right: the two ``Graph``, rewritten by all rules.
        frontier: (left, right) lists: nodes without a counterpart whose inputs all have one.
        unmatched: (left, right) lists: all nodes without a counterpart, the ones behind the frontier included.
        changed: list of ``Change``: nodes of one op at one place that say different things.
        sites: list of ``Site``: places where one value is computed by different ops.
        only: (left, right) lists: nodes that are still without a counterpart when changes and sites are set equal.
        guessed: set of left positions of changes that were paired among several that look alike: what differs
            between such two may be no difference of the graphs.
        elsewhere: set of left positions of changes where both graphs have what the pair says under one name, each
            at another place: the two are no pair, and their difference is none of the graphs.
        pairs: dict of left position -> right position, for all that stands at one place.
        same_weights_structure: bool, whether nothing but values of weights differs.
    """

    def __init__(self, one, other, weights=((), ())):
        self.left, self.right = one, other
        self._weights = tuple(frozenset(nodes) for nodes in weights)
        self._hashes = [_hashing.Hashes(graph, frozenset(nodes)) for graph, nodes in zip((one, other), weights)]
        self._exact = [_hashing.Hashes(graph) for graph in (one, other)]
        self._parents = [self._first_consumer(hashes) for hashes in self._hashes]
        cuts = [hashes.cut for hashes in self._hashes]
        self._there = [set(cut.values()) for cut in cuts]
        self.unmatched, self.frontier = self._edge(cuts)
        self.pairs, self.changed, self.sites = {}, [], []
        self._tokens = ({}, {})
        self._walked = set()
        self.guessed, self._guessing = set(), False
        self._by_name = [None, None]
        left_outputs = {name: (node, port) for name, node, port in one.outputs}
        right_outputs = {name: (node, port) for name, node, port in other.outputs}
        for name in sorted(set(left_outputs) & set(right_outputs)):
            self._walk(left_outputs[name][0], right_outputs[name][0], cuts)
        self._walk_loops(cuts)
        for _ in range(_ROUNDS):
            cuts = [hashes.again(tokens) for hashes, tokens in zip(self._hashes, self._tokens)]
            self.only, edge = self._edge(cuts)
            if not self._meet(edge, cuts):
                break
        self.elsewhere = {change.left for change in self.changed if self._is_elsewhere(change)}
        self.same_weights_structure = not (self.unmatched[0] or self.unmatched[1])
        self._pair_matched(cuts)

    @staticmethod
    def _first_consumer(hashes):
        """For each node the (consumer, slot) that reads it first, in the order in which the outputs need nodes."""
        found = {}
        graph = hashes.graph
        for node in hashes.order:
            for slot, (source, _) in enumerate(graph.inputs[node]):
                found.setdefault(source, []).append((node, slot))
        return found

    def _edge(self, cuts):
        """(unmatched, frontier) of both sides under ``cuts``."""
        unmatched, frontier = [], []
        for side in (0, 1):
            graph, there = self._hashes[side].graph, set(cuts[1 - side].values())
            loose = [node for node in self._hashes[side].order if cuts[side][node] not in there]
            known = set(loose)
            unmatched.append(loose)
            frontier.append([node for node in loose
                             if not any(source in known and not self._loops_back(graph, node, source)
                                        for source, _ in graph.inputs[node])
                             and not any(source in known for source in graph.controls[node])])
        return tuple(unmatched), tuple(frontier)

    @staticmethod
    def _loops_back(graph, node, source):
        return graph.ops[node] in _graph.LOOP_MERGES and graph.ops[source] in _graph.LOOP_BACK

    def _walk(self, left, right, cuts, consumer=None, slot=0):
        """Pairs what stands at one place, from (left, right) down to where both are equal or part."""
        one, other = self.left, self.right
        stack = [(left, right, consumer, slot)]
        while stack:
            left, right, consumer, slot = stack.pop()
            if (left, right) in self._walked:
                continue
            self._walked.add((left, right))
            if left in self.pairs:
                continue
            if cuts[0][left] == cuts[1][right]:
                self.pairs[left] = right
                continue
            if one.ops[left] != other.ops[right] or len(one.inputs[left]) != len(other.inputs[right]):
                if self._site(left, right, consumer, slot):
                    stack.extend((source, twin, None, 0) for source, twin in self._below(left, right, cuts))
                continue
            self.pairs[left] = right
            if self._label(0, left) != self._label(1, right):
                self._change(left, right)
            row = list(zip(one.inputs[left], other.inputs[right]))
            for index, ((source, port), (twin, twin_port)) in reversed(list(enumerate(row))):
                if port != twin_port and one.ops[source] == other.ops[twin]:
                    self._change(left, right)
                stack.append((source, twin, (left, right), index))
            stack.extend((source, twin, (left, right), -1) for source, twin in self._controls(left, right, cuts))

    def _walk_loops(self, cuts):
        """What a loop does in an iteration hangs on its Merge from behind, where hashes are cut."""
        merges = []
        for side in (0, 1):
            graph = self._hashes[side].graph
            found = collections.defaultdict(list)
            for node in _hashing.discovered(graph, cuts[side]):
                if graph.ops[node] in _graph.LOOP_MERGES and len(graph.inputs[node]) == 2:
                    found[cuts[side][node]].append(node)
            merges.append(found)
        for key, nodes in merges[0].items():
            self._guessing = max(len(nodes), len(merges[1].get(key, ()))) > 1
            for left, right in zip(nodes, merges[1].get(key, ())):
                self._walk(self.left.inputs[left][1][0], self.right.inputs[right][1][0], cuts, (left, right), 1)
        self._guessing = False

    def _label(self, side, node):
        return self._hashes[side].labels[node]

    def _controls(self, left, right, cuts):
        """Control inputs that may stand for each other: those of one op, in the order of their hashes."""
        one, other = self.left, self.right
        rest = collections.defaultdict(list)
        gone = {cuts[0][source] for source in one.controls[left]} & {cuts[1][source]
                                                                     for source in other.controls[right]}
        for source in other.controls[right]:
            if cuts[1][source] not in gone:
                rest[other.ops[source]].append(source)
        found, lonely = [], False
        for source in one.controls[left]:
            if cuts[0][source] in gone:
                continue
            if rest[one.ops[source]]:
                found.append((source, rest[one.ops[source]].pop()))
            else:
                lonely = True
        if lonely or any(rest.values()):
            self._change(left, right)
        return found

    def _change(self, left, right):
        if left not in self._tokens[0] and right not in self._tokens[1]:
            token = b'change%d' % len(self._tokens[0])
            self._tokens[0][left] = self._tokens[1][right] = token
            self.changed.append(Change(left, right))
            if self._guessing:
                self.guessed.add(left)
            self.pairs.setdefault(left, right)

    def _is_elsewhere(self, change):
        """Whether names contradict a pair: one of the two is in the other graph, too, where it is called the same."""
        names = [graph.names[node] for graph, node in zip((self.left, self.right), change)]
        if names[0] == names[1] or not all(names):
            return False
        return any(self._label(1 - side, twin) == self._label(side, change[side])
                   for side in (0, 1) for twin in self._called(1 - side).get(names[side], ()))

    def _called(self, side):
        """{name: positions} of one graph."""
        if self._by_name[side] is None:
            self._by_name[side] = collections.defaultdict(list)
            for node in self._hashes[side].order:
                self._by_name[side][(self.left, self.right)[side].names[node]].append(node)
        return self._by_name[side]

    def _site(self, left, right, consumer, slot):
        if left not in self._tokens[0] and right not in self._tokens[1]:
            token = b'site%d' % len(self._tokens[0])
            self._tokens[0][left] = self._tokens[1][right] = token
            self.sites.append(Site(left, right, consumer, slot))
            return True
        return False

    def _below(self, left, right, cuts):
        """Where two ways of computing one value come together again further up: the nearest nodes that say the same."""
        near = [self._ancestors(side, node, cuts) for side, node in ((0, left), (1, right))]
        stock = {}
        for node, depth in near[1].items():
            stock.setdefault(self._label(1, node), (node, depth))
        best = None
        for node, depth in near[0].items():
            found = stock.get(self._label(0, node))
            if found and (best is None or depth + found[1] < best[0]):
                best = (depth + found[1], node, found[0])
        return [best[1:]] if best else []

    def _ancestors(self, side, start, cuts, deepest=8, most=80):
        """Unmatched nodes above ``start`` that are worth meeting at: those that compute something from a value."""
        graph, there = self._hashes[side].graph, self._there[1 - side]
        found = {}
        queue = collections.deque([(start, 0)])
        seen = {start}
        while queue and len(seen) < most:
            node, depth = queue.popleft()
            if graph.inputs[node] and graph.ops[node] not in _TRIVIAL and cuts[side][node] not in there:
                found[node] = depth
            if depth < deepest:
                for source, _ in graph.inputs[node]:
                    if source not in seen:
                        seen.add(source)
                        queue.append((source, depth + 1))
        return found

    def _meet(self, edge, cuts):
        """Pairs frontier nodes that have one op and the same inputs, or the same reader; says whether any did."""
        before = len(self._tokens[0])
        one, other = self.left, self.right
        for key in (self._by_inputs, self._by_reader):
            stock = collections.defaultdict(list)
            for node in edge[1]:
                if node not in self._tokens[1]:
                    stock[key(1, node, cuts)].append(node)
            alike = collections.Counter(key(0, node, cuts) for node in edge[0] if node not in self._tokens[0])
            alike.update({found: max(0, len(nodes) - alike[found]) for found, nodes in stock.items()})
            for node in edge[0]:
                if node in self._tokens[0]:
                    continue
                found = key(0, node, cuts)
                partners = stock.get(found)
                if partners:
                    self._guessing = alike[found] > 1
                    partner = partners.pop(0)
                    if partner not in self._tokens[1] and one.ops[node] == other.ops[partner]:
                        self.pairs.setdefault(node, partner)
                        self._change(node, partner)
        self._guessing = False
        return len(self._tokens[0]) > before

    def _by_inputs(self, side, node, cuts):
        graph = self._hashes[side].graph
        if not graph.inputs[node]:
            return (side, node)  # nothing in common with any other
        return (graph.ops[node], tuple((cuts[side][source], port) for source, port in graph.inputs[node]))

    def _by_reader(self, side, node, cuts):
        graph = self._hashes[side].graph
        readers = self._parents[side].get(node, ())
        if not readers:
            return (side, node)
        reader, slot = readers[0]
        siblings = tuple(cuts[side][source] for source, _ in graph.inputs[reader] if source != node)
        return (graph.ops[node], graph.ops[reader], slot, self._label(side, reader), siblings)

    def _pair_matched(self, cuts):
        """Pairs the rest of what is equal, so that every matched node has its partner.

        From the outputs down, as what reads two nodes says best that they are one; weights, whose values are no
        difference here, in no other way: a shape that two of them have in common says nothing.
        """
        one, other = self.left, self.right
        for node in reversed(self._hashes[0].order):
            partner = self.pairs.get(node)
            if partner is None or cuts[0][node] != cuts[1][partner] or one.ops[node] != other.ops[partner]:
                continue  # of a site, where ops differ, the inputs are no partners
            for (source, _), (twin, _) in zip(one.inputs[node], other.inputs[partner]):
                if cuts[0][source] == cuts[1][twin]:
                    self.pairs.setdefault(source, twin)
        stock = collections.defaultdict(list)
        for node in self._hashes[1].order:
            stock[cuts[1][node]].append(node)
        for node in self._hashes[0].order:
            partners = stock.get(cuts[0][node])
            if node not in self.pairs and partners and node not in self._weights[0]:
                self.pairs[node] = partners[0] if len(partners) == 1 else self._closest(node, partners)

    def _closest(self, node, partners):
        exact = self._exact[0].cut[node]
        for partner in partners:
            if self._exact[1].cut[partner] == exact:
                return partner
        name = self.left.names[node]
        for partner in partners:
            if self.right.names[partner] == name:
                return partner
        return partners[0]

    def matched(self, node):
        """Whether a left node has a partner of equal bits (used to find the first tensor that differs)."""
        partner = self.pairs.get(node)
        return partner is not None and self._exact[0].cut[node] == self._exact[1].cut[partner]

    def orders(self):
        """The positions that the outputs of either graph need, inputs first."""
        return self._hashes[0].order, self._hashes[1].order
