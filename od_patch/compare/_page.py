"""An answer as one self-contained HTML page: verdict, causes, a tree of scopes down to nodes, histograms of weights.

Everything that is shown travels as JSON inside the page and is put there as
text, so no name in a graph can become markup. The tree is built as it is
opened: 20,000 nodes cost nothing until somebody looks at them.
"""
import collections
import os

import numpy
import rich.filesize

from od_patch import _version
from od_patch.compare import _causes
from od_patch.compare import _loading
from od_patch.compare import _report
from od_patch.graphs import _tensors
from od_patch.terminal import _html
from od_patch.terminal import _json

_TEMPLATE = os.path.join(os.path.dirname(__file__), 'page.html')
_MOST_HISTOGRAMS = 60
_BINS = 48
# What a node is to the other graph; the page's legend has them in this order.
SAME, BEHIND, CHANGED, LEFT, RIGHT, ASIDE = range(6)


def write(answer, path):
    """Writes the page to ``path``."""
    text = _json.strict(_content(answer))
    # The only ways out of a script element are a closing tag and a comment.
    text = text.replace('<', '\\u003c').replace('\u2028', '\\u2028').replace('\u2029', '\\u2029')
    _html.write(path, _TEMPLATE, title='od-patch: {}'.format(answer.verdict), content=text)


def _content(answer):
    nodes, index = _nodes(answer)
    return collections.OrderedDict([
        ('version', _version.__version__), ('verdict', answer.verdict), ('reason', answer.reason),
        ('exit', answer.exit_code),
        ('graphs', [[(label, value) for label, value in _facts(source, graph, provenance)] for source, graph, provenance
                    in zip(answer.sources, answer.graphs, answer.provenance)]),
        ('rules', [] if answer.equivalence is None else
         [(name, left, right) for name, (left, right) in answer.equivalence.rules.items()]),
        ('aside', [] if answer.equivalence is None else answer.equivalence.always),
        ('causes', [_cause(answer, cause, index) for cause in answer.causes]),
        ('settings', _settings(answer)),
        ('weights', _weights(answer)), ('differing', len(answer.differences)),
        ('run', None if answer.run is None else answer.run.as_json()),
        ('nodes', nodes)])


def _facts(source, graph, provenance):
    yield 'graph', source.path
    yield 'kind', source.kind
    yield 'size', rich.filesize.decimal(source.bytes)
    yield 'nodes', '{:,} ({:,} needed by the outputs)'.format(len(graph), len(graph.final_order()))
    yield 'loads in', _loading.told(provenance.loads)
    yield 'TensorFlow', _report.tensorflow(provenance)
    yield 'OD API', _report.od_api(provenance)
    yield 'optimised', _report.optimised(provenance)
    yield 'quantized', provenance.quantized
    yield 'weights', '{:,} Consts, {:,} parameters'.format(*provenance.weights)


def _settings(answer):
    rows = collections.OrderedDict()
    for side, provenance in enumerate(answer.provenance):
        for key, setting in provenance.settings.items():
            rows.setdefault(key, [setting.label, '', '', setting.option])[1 + side] = _causes.show(setting.value)
    return list(rows.values())


def _cause(answer, cause, index):
    return collections.OrderedDict([
        ('kind', cause.kind), ('title', cause.title), ('effect', cause.effect), ('scope', cause.scope),
        ('option', cause.option), ('revision', cause.revision), ('left', len(cause.left)), ('right', len(cause.right)),
        ('nodes', sorted({index[key] for key in [(0, node) for node in cause.left] + [(1, node) for node in cause.right]
                          if key in index})[:400])])


def _nodes(answer):
    """(rows, index): a row is [left name, left op, right name, right op, status, left text, right text]."""
    left, right = answer.graphs
    pairs, changed, only = _correspondence(answer)
    partner = {other: node for node, other in pairs.items()}
    needed = [set(graph.final_order()) for graph in (left, right)]
    kept = [needed[0], needed[1]]
    if answer.alignment is not None:
        kept = [set(order) for order in answer.alignment.orders()]
    explained = ({}, {})
    for cause in answer.causes:
        for side, nodes in enumerate((cause.left, cause.right)):
            for node in nodes:
                explained[side][node] = cause
    same = _sameness(answer, pairs)
    rows, index = [], {}

    def text(graph, node):
        tensor = graph.tensors[node]
        if tensor is not None:
            return _tensors.brief(tensor)
        return ', '.join(graph.names[source] + (':{}'.format(port) if port else '')
                         for source, port in graph.inputs[node][:6])
    for node in range(len(left)):
        other = pairs.get(node)
        if other is not None and other >= len(right):
            other = None
        if node not in needed[0] or node not in kept[0]:
            status = ASIDE
        elif node in changed or (node in explained[0] and other is not None and not same(node)):
            status = CHANGED
        elif answer.alignment is None and other is None:
            status = ASIDE
        elif other is None or node in only[0]:
            status = LEFT
        else:
            status = SAME if same(node) else BEHIND
        if status == ASIDE:
            other = None
        told = status in (CHANGED, LEFT)
        index[(0, node)] = len(rows)
        if other is not None:
            index[(1, other)] = len(rows)
        name = right.names[other] if other is not None else None
        rows.append([left.names[node], left.ops[node], 0 if name == left.names[node] else name,
                     right.ops[other] if other is not None and right.ops[other] != left.ops[node] else 0, status,
                     text(left, node) if told else 0, text(right, other) if told and other is not None else 0])
    for node in range(len(right)):
        if node in partner and (1, node) in index:
            continue
        if node not in needed[1] or node not in kept[1] or answer.alignment is None:
            status = ASIDE
        else:  # one of several copies of what the first graph has once, or nothing that it has
            status = RIGHT if node in only[1] else SAME
        index.setdefault((1, node), len(rows))
        rows.append([None, None, right.names[node], right.ops[node], status, 0,
                     text(right, node) if status == RIGHT else 0])
    return rows, index


def _correspondence(answer):
    """(pairs, changed left nodes, (only left, only right)), for any verdict."""
    if answer.alignment is not None:
        alignment = answer.alignment
        changed = {change.left for change in alignment.changed}
        only = [set(nodes) for nodes in alignment.only]
        pairs = dict(alignment.pairs)
        for site in alignment.sites:
            pairs.setdefault(site.left, site.right)
            changed.add(site.left)
            only[0].discard(site.left)
            only[1].discard(site.right)
        return pairs, changed, only
    left, right = answer.graphs
    if answer.equivalence is None:  # identical, or one of them does not load
        position = {name: node for node, name in enumerate(right.names)}
        return ({node: position[name] for node, name in enumerate(left.names) if name in position}, set(),
                (set(), set()))
    one, other = answer.equivalence.left, answer.equivalence.right
    stock = collections.defaultdict(list)
    for node in other.order:
        if node < len(right):
            stock[other.cut[node]].append(node)
    pairs = {}
    names = {name: node for node, name in enumerate(right.names)}
    for node in one.order:
        if node >= len(left):
            continue
        partners = stock.get(one.cut[node], ())
        twin = names.get(left.names[node])
        if twin in partners:
            pairs[node] = twin
        elif partners:
            pairs[node] = partners[0]
    return pairs, set(), (set(), set())


def _sameness(answer, pairs):
    if answer.alignment is None:
        return lambda node: node in pairs
    return answer.alignment.matched


def _weights(answer):
    rows = []
    for difference in answer.differences[:_MOST_HISTOGRAMS]:
        left, right = (tensor.numbers().astype(numpy.float64).reshape(-1)
                       for tensor in (difference.left, difference.right))
        finite = [values[numpy.isfinite(values)] for values in (left, right)]
        both = numpy.concatenate(finite)
        low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
        if low == high:
            low, high = low - .5, high + .5
        bins = [numpy.histogram(values, bins=_BINS, range=(low, high))[0].tolist() for values in finite]
        rows.append([difference.name, list(difference.shape), difference.count, difference.size,
                     '{:.3g}'.format(difference.largest), '{:.3g}'.format(difference.mean),
                     '{:.4g}'.format(low), '{:.4g}'.format(high), bins[0], bins[1]])
    return rows
