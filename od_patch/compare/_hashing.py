"""Structural hashes: two nodes have one hash when they compute one value from the same sources.

A node's hash is made from its op, its attributes and the hashes of its inputs,
bottom-up; names and order never enter. Loops are cut where an iteration ends,
hashed, and hashed again with the first answer put at the cut, until no round
tells more nodes apart. Rules that make two forms one are in ``_rules``.
"""
import hashlib

from od_patch.graphs import _graph
from od_patch.graphs import _op_table

# Stateful by their own word, but what matters of them is that they happen, not which copy of them it is.
_WITHOUT_IDENTITY = frozenset(['Assert', 'Print', 'PrintV2', 'NoOp', 'Abort'])


def label(graph, node, abstract=False):
    """Bytes that say what a node is without its inputs; ``abstract`` leaves out a Const's value, not type and shape."""
    attrs, op, tensor = graph.attrs[node], graph.ops[node], graph.tensors[node]
    key = (op, id(attrs), id(tensor), abstract)
    if key not in graph.memo:
        parts = [op.encode()]
        for name in sorted(attrs):
            if name != 'frame_name' or op not in _graph.LOOP_ENTERS:
                parts.append(name.encode())
                parts.append(attrs[name])
        if tensor is not None:
            if abstract:
                parts.append(repr((tensor.dtype, tensor.shape)).encode())
            else:
                parts.append(tensor.digest)
        graph.memo[key] = (b'\0'.join(parts), attrs, tensor)  # held, so that their ids stay their own
    return graph.memo[key][0]


def _digest(parts):
    return hashlib.blake2b(b''.join(parts), digest_size=12).digest()


class Hashes:
    """The hashes of one graph.

    Args:
        abstract: set of positions of Consts whose values are to be set equal (weights).

    Attributes:
        graph: the ``Graph``.
        order: positions that the outputs need, inputs first.
        labels: dict of position -> what the node is, without its inputs.
        cut: dict of position -> hash with loops cut: what a node reads from before it, nothing of what comes round.
        full: dict of position -> hash with loops and identities told: the strictest there is.
    """

    def __init__(self, graph, abstract=()):
        self.graph = graph
        self.order = graph.final_order()
        self.labels = {node: label(graph, node, node in abstract) for node in self.order}
        self._back = any(graph.ops[node] in _graph.LOOP_BACK for node in self.order)
        self.cut = self._pass({}, None)
        self.full = None

    def _pass(self, at_cut, extra, before=None, dirty=None, tokens=None):
        graph = self.graph
        ops, inputs, controls, labels = graph.ops, graph.inputs, graph.controls, self.labels
        hashes = {} if before is None else before
        merges, backs = _graph.LOOP_MERGES, _graph.LOOP_BACK
        blake = hashlib.blake2b
        for node in self.order:
            if dirty is not None and node not in dirty:
                continue
            if tokens and node in tokens:
                hashes[node] = tokens[node]
                continue
            parts = [labels[node]]
            merge = ops[node] in merges
            for source, port in inputs[node]:
                if merge and ops[source] in backs:
                    parts.append(b'\1next' + at_cut.get(source, b''))
                else:
                    parts.append(b'\1%d:' % port + hashes[source])
            row = controls[node]
            if row:
                parts.append(b'\2')
                parts.extend(sorted({hashes[source] for source in row}))
            if extra and node in extra:
                parts.append(b'\3' + extra[node])
            hashes[node] = blake(b''.join(parts), digest_size=12).digest()
        return hashes

    def again(self, tokens):
        """The cut hashes anew, with the nodes in ``tokens`` hashed as told there instead of by what they are."""
        return self._pass({}, None, tokens=tokens)

    def settle(self, rounds):
        """Fills ``full`` with as many rounds as asked; returns how many this graph needs (at least ``rounds``)."""
        extra = self._identities()
        hashes = self._pass({}, extra)
        if not self._back:
            self.full = hashes
            return rounds
        graph = self.graph
        merges = [node for node in self.order if graph.ops[node] in _graph.LOOP_MERGES]
        backs = [node for node in self.order if graph.ops[node] in _graph.LOOP_BACK]
        dirty = set(merges)
        for node in self.order:
            if node not in dirty and (any(source in dirty for source, _ in graph.inputs[node])
                                      or any(source in dirty for source in graph.controls[node])):
                dirty.add(node)
        count, done = 0, 0
        while True:
            hashes = self._pass({node: hashes[node] for node in backs}, extra, hashes, dirty)
            done += 1
            distinct = len({hashes[node] for node in merges})
            if done >= rounds and distinct == count:
                break
            count = distinct
        self.full = hashes
        return done

    def _identities(self):
        """What tells apart nodes that look alike and yet are two: placeholders, TensorArrays, loop frames.

        Such nodes are numbered, among those of one hash, in the order in which the
        outputs reach them; frames are told by all that enters them together.
        """
        graph = self.graph
        _, known = _op_table.table()
        found = {}
        seen = {}
        for node in discovered(graph, self.cut):
            op = graph.ops[node]
            row = known[op]
            if graph.input_names is None and op in _graph.PLACEHOLDERS:
                found[node] = b'\4' + graph.names[node].encode()
            elif graph.input_names is not None and node in graph.input_names:
                found[node] = b'\4' + graph.input_names[node].encode()
            elif (op in _graph.PLACEHOLDERS or row is None or _graph.FUNCTIONS in graph.attrs[node]
                  or (row.stateful and op not in _WITHOUT_IDENTITY)):
                # Of ops out of the table and of functions nothing says that they keep no state: better two than one.
                count = seen[self.cut[node]] = seen.get(self.cut[node], -1) + 1
                found[node] = b'%d' % count
        frames = {}
        for node in self.order:
            if graph.ops[node] in _graph.LOOP_ENTERS:
                frames.setdefault(graph.attrs[node].get('frame_name'), []).append(node)
        for nodes in frames.values():
            together = _digest(sorted({self.cut[node] for node in nodes}))
            for node in nodes:
                found[node] = together
        return found

    def merged(self):
        """The set of full hashes of the Merges, where loops begin."""
        ops, full = self.graph.ops, self.full
        return {full[node] for node in self.order if ops[node] in _graph.LOOP_MERGES}

    def roots(self, hashes):
        """List of (output name, hash); the names are empty where the outputs are not named."""
        graph = self.graph
        rows = [(name if graph.named_outputs or name in graph.kept_outputs else '', hashes[node] + b':%d' % port)
                for name, node, port in graph.outputs]
        return sorted(set(rows))


def discovered(graph, hashes):
    """Positions in the order in which a walk from the outputs meets them: the same for any names and node order.

    Control inputs have no order of their own; their hashes give them one.
    """
    seen = set()
    found = []
    if graph.named_outputs:
        roots = [node for _, node, _ in graph.outputs]
    else:
        rows = sorted(graph.outputs, key=lambda row: (row[0] if row[0] in graph.kept_outputs else '', hashes[row[1]]))
        roots = [node for _, node, _ in rows]
    stack = list(reversed(roots))
    inputs, controls = graph.inputs, graph.controls
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        found.append(node)
        row = [source for source, _ in inputs[node]]
        if controls[node]:
            row.extend(sorted(controls[node], key=hashes.get))
        stack.extend(reversed(row))
    return found


def equal(one, other, glance=False):
    """Whether two ``Graph`` of the same outputs compute the same; returns (bool, Hashes, Hashes).

    With ``glance``, graphs of which one has a kind of node that the other lacks are told apart without hashing; the
    hashes are then None.
    """
    if glance:
        left, right = ({label(graph, node) for node in graph.final_order()} for graph in (one, other))
        if left != right:
            return False, None, None
    left, right = Hashes(one), Hashes(other)
    if left.roots(left.cut) != right.roots(right.cut):
        return False, left, right
    return settled(left, right), left, right


def settled(left, right):
    """Whether two ``Hashes`` with equal cut roots are equal in full."""
    rounds = left.settle(2)
    more = right.settle(rounds)
    if more != rounds:
        left.settle(more)
    if left.roots(left.full) != right.roots(right.full):
        return False
    # A difference may need more rounds to reach the outputs than it takes to tell a graph's own nodes apart (a value
    # handed from one loop variable to the next). Where both partitions are stable and the Merges of both have the same
    # hashes, though, another round would find nothing: each Merge's partner reads partners.
    return left.merged() == right.merged()
