"""Whether two graphs compute the same, and which rules that takes.

``identical`` looks at everything but order, versions, devices and debug
information, names included. ``Equivalence`` ignores names and uses the rules
of ``_rules``, as few of them as will do. Why graphs differ is ``_causes``' business.
"""
import collections

from od_patch.compare import _hashing
from od_patch.compare import _rules
from od_patch.graphs import _graph


def identical(one, other):
    """Whether two ``Graph`` say the same, node by node of the same name."""
    if len(one) != len(other) or set(one.names) != set(other.names):
        return False
    position = {name: node for node, name in enumerate(other.names)}
    if one.signature_inputs is not None and other.signature_inputs is not None and \
            [(name, one.names[node], port) for name, node, port in one.signature_inputs] != \
            [(name, other.names[node], port) for name, node, port in other.signature_inputs]:
        return False
    if [(name, one.names[node], port) for name, node, port in one.outputs] != \
            [(name, other.names[node], port) for name, node, port in other.outputs]:
        return False
    for node, name in enumerate(one.names):
        twin = position[name]
        if one.ops[node] != other.ops[twin] or len(one.inputs[node]) != len(other.inputs[twin]):
            return False
        for (source, port), (source_twin, port_twin) in zip(one.inputs[node], other.inputs[twin]):
            if port != port_twin or one.names[source] != other.names[source_twin]:
                return False
        if {one.names[source] for source in one.controls[node]} != \
                {other.names[source] for source in other.controls[twin]}:
            return False
        if one.attrs[node] != other.attrs[twin]:
            return False
        left, right = one.tensors[node], other.tensors[twin]
        if (left is None) != (right is None) or (left is not None and left.digest != right.digest):
            return False
    return True


def _within(one, other, left, right):
    """Outputs that are inner nodes of the other graph, where it makes them on the way to outputs of its own."""
    return sorted(name for graph, own, names in ((one, left, right), (other, right, left))
                  for name in (names - own) & {graph.names[node] for node in graph.final_order()})


class Equivalence:
    """What the rules make of two graphs.

    Attributes:
        equal: bool, whether both compute the same, provably.
        rules: dict of rule name -> (times left, times right): those needed, or, where the graphs
            stay unequal, those that were used a different number of times on the two sides.
        always: list of str: what was set aside without a rule ('names', 'node order', …).
        left, right: the ``Hashes`` of both graphs with every rule applied.
        outputs_left, outputs_right: names of outputs that only one side has.
        renamed_outputs: bool, whether outputs were matched by structure, as they have other names.
        within: list of names of outputs of one side that are inner nodes of the other.
        nothing_common: bool, whether not one output is common.

    Args:
        by_name: bool, match ends by their names alone, what only one side has being another output. For graphs whose
            ends are not the same by structure; never equal.
    """

    def __init__(self, one, other, by_name=False):
        self.within, self.nothing_common = [], False
        self._graphs = self._ends_by_name(one, other) if by_name else self._common_outputs(one, other)
        self.renamed_inputs = False
        # Where both have a signature, its names are what callers feed by.
        signed = all(graph.signature_inputs is not None for graph in self._graphs)
        names = [_graph.inputs_of(graph, signed) for graph in self._graphs]
        called = [set(map(_graph.without_ports, rows.values())) for rows in names]
        common = called[0] & called[1]
        self.renamed_inputs = called[0] != called[1]
        if signed or self.renamed_inputs:
            # A name that both have keeps its meaning; the others can only be told by where they are used.
            self._graphs = tuple(graph.copy() for graph in self._graphs)
            for graph, rows in zip(self._graphs, names):
                graph.input_names = {node: name for node, name in rows.items()
                                     if _graph.without_ports(name) in common}
        self._cache = {}
        self.rules = collections.OrderedDict()
        equal, plain_left, plain_right = self._test(())
        if equal:
            needed = ()
            self.left, self.right = plain_left, plain_right
            self.counts = ({}, {})
            equal_outputs = self._outputs_agree
            if not equal_outputs:
                _, self.left, self.right = self._test(tuple(_rules.NAMES))
        else:
            equal, self.left, self.right = self._test(tuple(_rules.NAMES))
            used = self._used(tuple(_rules.NAMES))
            uneven = tuple(name for name in _rules.NAMES if used[0].get(name, 0) != used[1].get(name, 0))
            if equal:
                needed = self._fewest(uneven, used)
            else:
                needed = uneven
            for name in needed:
                self.rules[name] = (used[0].get(name, 0), used[1].get(name, 0))
        self.structure_equal = equal
        self.equal = equal and self._outputs_agree
        self.always = self._set_aside(one, other)

    def _common_outputs(self, one, other):
        self.outputs_left = self.outputs_right = ()
        self.renamed_outputs = False
        self._outputs_agree = True
        if one.named_outputs and other.named_outputs:
            left, right = [{row[0] for row in graph.outputs} for graph in (one, other)]
            common = left & right
            if not common:
                self._outputs_agree, self.nothing_common = False, True
                self.within = _within(one, other, left, right)
                self.outputs_left, self.outputs_right = sorted(left), sorted(right)
                return one, other
            if left != right:
                self._outputs_agree = False
                self.outputs_left, self.outputs_right = sorted(left - right), sorted(right - left)
                one, other = one.copy(), other.copy()
                one.outputs = [row for row in one.outputs if row[0] in common]
                other.outputs = [row for row in other.outputs if row[0] in common]
            return one, other
        ends = [_graph.ends_as_outputs(graph) for graph in (one, other)]
        left, right = [{row[0] for row in graph.outputs} for graph in ends]
        if left == right:
            for graph in ends:  # one end, one name: as good as an interface
                graph.named_outputs = True
        else:
            self.renamed_outputs = True
            # A name that both have keeps its meaning; the others are matched by structure.
            kept = frozenset(_graph.result_names(ends[0]) & _graph.result_names(ends[1]))
            for graph in ends:
                graph.kept_outputs = kept
        return tuple(ends)

    def _ends_by_name(self, one, other):
        """Ends of one name are one output; what else is an end, on one side, is an output that the other has not."""
        self.renamed_outputs, self._outputs_agree = False, False
        ends = [_graph.ends_as_outputs(graph) for graph in (one, other)]
        left, right = [_graph.result_names(graph) for graph in ends]
        unread = {name for graph in ends for name, node, _ in graph.outputs if graph.ops[node] in _graph.PLACEHOLDERS}
        left, right = left - (unread - right), right - (unread - left)  # an input that nothing reads is no output
        self.within = _within(ends[0], ends[1], left, right)
        common = left & right
        self.outputs_left, self.outputs_right = sorted(left - common), sorted(right - common)
        self.nothing_common = not common
        for graph in ends:
            graph.named_outputs = True
            if common:
                graph.outputs = [row for row in graph.outputs if row[0] in common]
        return tuple(ends)

    def _rewritten(self, names):
        if names not in self._cache:
            self._cache[names] = [_rules.apply(graph, names) for graph in self._graphs]
        return self._cache[names]

    def _used(self, names):
        (_, left), (_, right) = self._rewritten(names)
        return left, right

    def _test(self, names):
        (one, _), (other, _) = self._rewritten(names)
        result = _hashing.equal(one, other)
        if names != tuple(_rules.NAMES):
            self._cache.pop(names)
        return result

    def _enough(self, names):
        """Whether these rules make the graphs equal, known to be equal under all of them."""
        (one, _), (other, _) = self._rewritten(names)
        self._cache.pop(names)
        return _hashing.equal(one, other, glance=True)[0]

    def _fewest(self, uneven, used):
        """The rules that it takes, of those that were used.

        A rule that found something on one side only is needed: rules look at structure, so equal graphs would both
        have had it. One that removed an attribute or a text which the other side never had is needed too. The others
        are left out to see: those used evenly all at once, and one by one where that does not do.
        """
        fired = tuple(name for name in _rules.NAMES if name in used[0] or name in used[1])
        sure = {name for name in fired if (name in used[0]) != (name in used[1])}
        sure.update(name for name in fired if name not in sure and self._removed(name, 0) != self._removed(name, 1))
        needed = fired
        even = [name for name in fired if name not in sure and name not in uneven]
        without = tuple(name for name in needed if name not in even)
        if even and self._enough(without):
            needed, even = without, []
        for name in even + [name for name in uneven if name not in sure]:
            fewer = tuple(other for other in needed if other != name)
            if self._enough(fewer):
                needed = fewer
        return needed

    def _removed(self, name, side):
        """What a rule that only removes took from one graph: a set, empty for rules of another kind."""
        removes = _rules.REMOVES.get(name)
        if removes is None:
            return frozenset()
        graph, final = self._graphs[side], (self.left, self.right)[side]
        return frozenset(row for node in final.order if node < len(graph)
                         for row in removes(graph, node, final.graph.ops[node]))

    def _set_aside(self, one, other):
        found = []
        if set(one.names) != set(other.names):
            found.append('names')
        elif one.names != other.names:
            found.append('node order')
        if self.renamed_inputs:
            found.append('names of inputs')
        if self.renamed_outputs:
            found.append('names of outputs')
        sizes = [len(graph) - len(graph.final_order()) for graph in (one, other)]
        if sizes[0] != sizes[1]:
            found.append('dead nodes ({} against {})'.format(*sizes))
        copies = [len(hashes.order) - len(set((hashes.full or hashes.cut)[node] for node in hashes.order))
                  for hashes in (self.left, self.right)]
        if self.structure_equal and copies[0] != copies[1]:
            found.append('copies of one computation ({} against {})'.format(*copies))
        return found
