"""How a graph was made, as far as it tells: TensorFlow, OD API revision, settings, transforms.

A range where a range is all there is, the exact release where a neighbouring
file names it, and "cannot be told" otherwise. Markers of revisions are rows of
a table with their source; the TensorFlow range comes from the op table.
"""
import collections
import os

from od_patch._errors import InputRefused
from od_patch.compare import _loading
from od_patch.compare import _rules
from od_patch.compare import _settings
from od_patch.compare import _transforms
from od_patch.compare import _weights
from od_patch.graphs import _op_table

UNTOLD = 'cannot be told'


def tensorflow_range(graph, order):
    """((first, why), (last, why)): positions in ``_op_table.table()[0]`` and the op or attribute that tells.

    An op or an attribute that is there needs a release that has it; an attribute
    that is not there, though every node writes all it has, needs one that does
    not have it yet. A release that has since dropped an op bounds from above.
    """
    releases, known = _op_table.table()
    first, last = (0, ''), (len(releases) - 1, '')
    stripped = False
    seen = {}
    for node in order:
        row = known[graph.ops[node]]
        if row is None:
            continue
        seen.setdefault(graph.ops[node], []).append(node)
    # Graphs whose nodes were written without their defaults (strip_default_attrs) say nothing by what is absent.
    bare = [node for op, nodes in seen.items() for node in nodes[:1]
            if known[op].attrs and any(entry[2] is not None and entry[0] == known[op].since
                                       and name not in graph.attrs[node] and name not in _DROPPED
                                       for name, entry in known[op].attrs.items())]
    stripped = len(bare) > 2
    for op in sorted(seen):
        row = known[op]
        if row.since > first[0]:
            first = (row.since, 'it has {}'.format(op))
        if row.until < last[0]:
            last = (row.until, 'it has {}, which later releases lack'.format(op))
        for name, (since, until, default) in sorted(row.attrs.items()):
            there = sum(1 for node in seen[op] if name in graph.attrs[node])
            if there and since > first[0]:
                first = (since, 'it has {}.{}'.format(op, name))
            if there and until < last[0]:
                last = (until, 'it has {}.{}, which later releases lack'.format(op, name))
            if not there and default is not None and since > row.since and since - 1 < last[0] and not stripped \
                    and name not in _DROPPED:
                last = (since - 1, '{} is without {}'.format(op, name))
    return first, last


_DROPPED = frozenset(['tensor_array_name', 'stack_name', 'shared_name', 'container'])  # names, never kept in a Graph

# Structure -> what it says of the OD API's revision. ``since``/``until``: (date, commit, what tells).
Marker = collections.namedtuple('Marker', 'name since until test')


def _ops(graph, order):
    return collections.Counter(graph.ops[node] for node in order)


MARKERS = [
    Marker('scores are filtered and clipped before NMS', '', '2018-08-06 (before 59f7e80a)',
           lambda graph, ops, reading, outputs: bool(reading.last_stage) and filters_before(graph, reading)),
    Marker('the NMS op filters scores, boxes are clipped after it', '2018-08-07 (59f7e80a)', '',
           lambda graph, ops, reading, outputs: bool(reading.last_stage) and not filters_before(graph, reading)
           and ops['NonMaxSuppressionV2'] == 0),
    Marker('NMS results are padded and masked', '2018-09-21 (99256cf4)', '',
           lambda graph, ops, reading, outputs: bool(reading.last_stage) and _pads_after(graph, reading)),
    Marker('output raw_detection_boxes', '2019-03-07 (05584085)', '',
           lambda graph, ops, reading, outputs: 'raw_detection_boxes' in outputs),
    Marker('no output raw_detection_boxes', '', '2019-03-06 (before 05584085)',
           lambda graph, ops, reading, outputs: bool(outputs) and 'num_detections' in outputs
           and 'raw_detection_boxes' not in outputs),
    Marker('output detection_multiclass_scores', '2019-05-30 (9bbf8015)', '',
           lambda graph, ops, reading, outputs: 'detection_multiclass_scores' in outputs),
    Marker('soft NMS op (NonMaxSuppressionV5)', '2019-07-15 (fe748d4a)', '',
           lambda graph, ops, reading, outputs: ops['NonMaxSuppressionV5'] > 0),
    Marker('output detection_features', '2019-07-15 (fe748d4a)', '',
           lambda graph, ops, reading, outputs: 'detection_features' in outputs),
    Marker('output detection_anchor_indices', '2019-07-15 (fe748d4a)', '',
           lambda graph, ops, reading, outputs: 'detection_anchor_indices' in outputs),
]


def filters_before(graph, reading):
    """Whether the boxes of an NMS come out of a Where(score > threshold)."""
    for node in reading.last_stage[:1]:
        return any(graph.ops[place] == 'Where' for place in reading.up_in_iteration(graph.inputs[node][1][0]))
    return False


def _pads_after(graph, reading):
    for node in reading.last_stage[:1]:
        return any(graph.ops[user] in ('ConcatV2',) for user, _ in reading.consumers[node])
    return False


def suppression(graph, reading):
    """What the way in which NMS is written says of the OD API's revision, by structure alone; empty without NMS."""
    found = set()
    if reading.last_stage:
        found.add('filtered before' if filters_before(graph, reading) else 'filtered by NMS')
        if _pads_after(graph, reading):
            found.add('padded')
    return found


# What TensorFlow's Python calls nodes of itself, where it is not the name of their op.
_PYTHONS_NAMES = frozenset([
    'ToFloat', 'ToInt32', 'ToInt64', 'add', 'sub', 'mul', 'div', 'truediv', 'floordiv', 'concat', 'stack', 'unstack',
    'strided_slice', 'split', 'zeros', 'ones', 'zeros_like', 'ones_like', 'range', 'transpose', 'lstm', 'Sqrt', 'sqrt'])


def _numbered_anew(graph, other):
    """Names that TensorFlow's Python gives of itself, in scopes that both graphs have, and that the other has not."""
    names, scopes = set(other.names), {name.rpartition('/')[0] for name in other.names}
    found = []
    for name, op in zip(graph.names, graph.ops):
        scope, slash, last = name.rpartition('/')
        if slash and name not in names and scope in scopes:
            word, _, number = last.rpartition('_')
            if (word if word and number.isdigit() else last) in _PYTHONS_NAMES | {op}:
                found.append(name)
    return found


def two_revisions(originals, rewritten, readings, tools):
    """Whether there is positive evidence that two revisions of the OD API made two graphs.

    NMS written as another revision writes it; or, where no tool left a trace in one alone, names that Python code gave
    on either side, among names that are mostly the same: other code made them, not a renaming and not a tool.
    """
    markers = [suppression(graph, reading) for graph, reading in zip(rewritten, readings)]
    if markers[0] and markers[1] and markers[0] != markers[1]:
        return True
    if tools[0] != tools[1]:
        return False
    names = [set(graph.names) for graph in originals]
    if 2 * len(names[0] & names[1]) < min(len(names[0]), len(names[1])):
        return False
    return all(len(_numbered_anew(*pair)) > 1 for pair in (originals, originals[::-1]))


class Provenance:
    """What can be told of one graph.

    Attributes:
        tensorflow: (first, last) release strings, or the exact release twice.
        tensorflow_why: list of str.
        exact: dict of what a neighbour says, e.g. {'tensorflow_version': '1.12.0', 'file': …}.
        od_api: (since, until): str, either may be empty; markers: list of str.
        settings: dict of key -> ``Setting``.
        traces: list of (word, sentence); quantized: str.
        producer: int, ``versions.producer`` of the GraphDef, 0 where it has none.
        ops: Counter of ops; weights: (count, elements).
        loads: ``Loads``, which releases of TensorFlow load it.
    """

    def as_json(self):
        return collections.OrderedDict([
            ('loads', list(self.loads.releases)), ('loads_why', self.loads.why), ('refusal', self.loads.refusal),
            ('tensorflow', list(self.tensorflow)), ('tensorflow_why', self.tensorflow_why), ('exact', self.exact),
            ('od_api', list(self.od_api)), ('markers', self.markers), ('producer', self.producer),
            ('settings', collections.OrderedDict((key, setting.value) for key, setting in self.settings.items())),
            ('optimised', [word for word, _ in self.traces]), ('quantized', self.quantized),
            ('weights', self.weights[0]), ('parameters', self.weights[1])])


def neighbours(file):
    """What model.ckpt.meta or saved_model.pb beside a frozen graph says of the TensorFlow that wrote it."""
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow.core.protobuf import saved_model_pb2
    from od_patch.graphs import _sources
    folder = os.path.dirname(os.path.abspath(file))
    for name, kind in (('model.ckpt.meta', 'MetaGraph'), (os.path.join('saved_model', 'saved_model.pb'), 'SavedModel'),
                       ('saved_model.pb', 'SavedModel')):
        path = os.path.join(folder, name)
        if not os.path.isfile(path) or os.path.getsize(path) > 1 << 28 or os.path.abspath(file) == path:
            continue
        try:
            data = _sources.read_bytes(path)
            if kind == 'MetaGraph':
                info = meta_graph_pb2.MetaGraphDef.FromString(data)
            else:
                info = _sources.serving_meta_graph(path, saved_model_pb2.SavedModel.FromString(data))
        except (InputRefused, Exception):  # pylint: disable=broad-except  (a damaged neighbour tells nothing)
            continue
        told = _sources._meta_info(info)
        if told:
            return dict(told, file=name)
    return {}


def of(source, graph, loads=None):
    """The ``Provenance`` of a graph that ``Source`` holds; ``loads`` where they are known already."""
    result = Provenance()
    result.loads = loads or _loading.of(source.graph_def, graph)
    order = graph.final_order()
    releases, _ = _op_table.table()
    (first, why_first), (last, why_last) = tensorflow_range(graph, order)
    result.exact = (dict(source.made_by, file=os.path.basename(source.file)) if source.made_by
                    else neighbours(source.file))
    result.tensorflow_why = [text for text in (why_first, why_last) if text]
    if first > last:  # a graph that was put together from two
        result.tensorflow = (UNTOLD, UNTOLD)
        result.tensorflow_why = ['{} and yet {}'.format(why_first, why_last)]
    else:
        result.tensorflow = (releases[first], releases[last])
    if result.exact.get('tensorflow_version'):
        result.tensorflow = (result.exact['tensorflow_version'],) * 2
    result.producer = source.graph_def.versions.producer
    outputs = {row[0] for row in graph.outputs} if graph.named_outputs else set()
    plain, _ = _rules.apply(graph, _rules.NAMES)
    reading = _settings.Reading(plain, plain.final_order())
    result.settings = reading.settings
    ops = _ops(graph, order)
    since = until = ''
    result.markers = []
    for marker in MARKERS:
        if marker.test(plain, ops, reading, outputs):
            result.markers.append(marker.name)
            since = max(since, marker.since)
            until = min(until, marker.until) if until and marker.until else until or marker.until
    # What a tool was not told to keep is missing, whatever the revision; else it is made of two.
    if until and since > until:
        since, until = (since if 'no output raw_detection_boxes' in result.markers else ''), ''
    result.od_api = (since, until)
    result.traces, result.quantized = _transforms.traces(graph, order)
    weights = _weights.weights(graph, order)
    result.weights = (len(weights), sum(graph.tensors[node].size for node in weights))
    result.ops = ops
    return result


def inspect(path, outputs=None):
    """(``Source``, ``Graph``, ``Provenance``) of the graph at ``path``."""
    from od_patch.graphs import _sources
    source = _sources.load(path)
    graph = source.graph(outputs)
    return source, graph, of(source, graph)
