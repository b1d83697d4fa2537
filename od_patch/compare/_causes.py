"""Why two graphs differ, in words: settings, revisions, transforms and whatever is left, ranked by what they do.

An ``Alignment`` says where two graphs part. Here its changes, sites and
one-sided nodes are claimed, one recogniser after another, for causes that
have a name; what nobody claims becomes a cause of its own with its counts, so
nothing is silently dropped. Recognisers look at structure; names are for
saying where something is.
"""
import collections

import numpy

from od_patch.compare import _graph
from od_patch.compare import _settings
from od_patch.compare import _tensors

# What a cause does to the result, worst first.
EFFECTS = ('weights', 'result', 'interface', 'unknown', 'numeric', 'cosmetic')


class Cause:
    """One reason for which two graphs differ.

    Attributes:
        kind: str, a stable word for it (the table is in docs/compare.md).
        title: str, one sentence.
        effect: str, one of ``EFFECTS``.
        scope: str, where: the innermost name scope that holds it.
        left, right: sorted lists of positions in the rewritten graphs.
        option: str, what in pipeline.config or on the command line makes it; may be empty.
        revision: str, which revision of the OD API, or tool, makes it; may be empty.
        values: tuple (left, right) or None: what a setting is on the two sides.
    """

    def __init__(self, kind, title, effect, left=(), right=(), scope='', option='', revision='', values=None,
                 detail=None):
        self.kind, self.title, self.effect = kind, title, effect
        self.left, self.right = sorted(set(left)), sorted(set(right))
        self.scope, self.option, self.revision, self.values = scope, option, revision, values
        self.detail = detail or {}

    @property
    def side(self):
        """'both', 'left' or 'right': which graph holds nodes of it."""
        if self.left and self.right:
            return 'both'
        return 'left' if self.left else 'right' if self.right else 'both'

    @property
    def cosmetic(self):
        return self.effect == 'cosmetic'


class Context:
    """What recognisers look at, and what they have claimed.

    Attributes:
        alignment: ``Alignment``; left, right: its graphs; settings: (left, right) dicts of ``Setting``.
        equivalence: ``Equivalence``; weights: ``Comparison`` of the weights.
        rest: (left, right) sets of positions that no cause has claimed yet.
        explained: (left, right) sets of weights that a transform made of the other side's, checked numerically.
        quantized_weights: list of (left, right) positions of which one is the other in 8 bits.
    """

    def __init__(self, alignment, equivalence, weights):
        self.alignment, self.equivalence, self.weights = alignment, equivalence, weights
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
        self.causes = []
        self.explained = (set(), set())
        self.quantized_weights = []

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


# recognisers ----------------------------------------------------------------------------------------------------------

_SETTING_EFFECT = {'input_type': 'interface', 'input_dtype': 'interface', 'input_shape': 'interface'}


def _settings_differ(context):
    for key in collections.OrderedDict.fromkeys(list(context.settings[0]) + list(context.settings[1])):
        left, right = (settings.get(key) for settings in context.settings)
        if left is None or right is None or left.value == right.value:
            continue
        label = left.label
        if key == 'input_shape' and '?' not in right.value and '?' in left.value:
            title = 'input placeholder fixed to {} (it was {})'.format(right.value, left.value)
        elif key == 'input_shape' and '?' not in left.value and '?' in right.value:
            title = 'input placeholder left open, {} (it was fixed to {})'.format(right.value, left.value)
        else:
            title = '{} {} → {}'.format(label, show(left.value), show(right.value))
        nodes = [[node for node in setting.nodes if node in context.rest[side]]
                 for side, setting in enumerate((left, right))]
        context.claim(Cause('setting.' + key, title, _SETTING_EFFECT.get(key, 'result'), nodes[0], nodes[1],
                            option=right.option or left.option, values=(left.value, right.value)))


def _outputs_differ(context):
    known = {
        'detection_multiclass_scores': 'OD API from 2019-05-30 (9bbf8015) on', 'raw_detection_boxes':
        'OD API from 2019-03-07 (05584085) on', 'raw_detection_scores': 'OD API from 2019-03-07 (05584085) on',
        'detection_features': 'OD API from 2019-07-15 (fe748d4a) on', 'detection_anchor_indices':
        'OD API from 2019-07-15 (fe748d4a) on'}
    for side, names in enumerate((context.equivalence.outputs_left, context.equivalence.outputs_right)):
        if names:
            where = ('the first', 'the second')[side]
            context.claim(Cause(
                'outputs', 'output{} {} only in {}'.format('s' if len(names) > 1 else '', ', '.join(names), where),
                'interface', revision='; '.join(sorted({known[name] for name in names if name in known})),
                values=((list(names), []), ([], list(names)))[side], scope='outputs',
                option='model.*.number_of_stages, or the mask head' if 'detection_masks' in names else ''))


def _folded_batch_norms(context):
    from od_patch.compare import _transforms
    for cause in _transforms.folded(context):
        context.claim(cause)


def _quantized(context):
    from od_patch.compare import _transforms
    for cause in _transforms.quantized(context):
        context.claim(cause)


def _asserts(context):
    """Asserts and what only they need, on one side."""
    for side in (0, 1):
        graph = context.graph(side)
        nodes = [node for node in context.orders[side] if graph.ops[node] == 'Assert']
        other = [node for node in context.orders[1 - side] if context.graph(1 - side).ops[node] == 'Assert']
        if len(nodes) > len(other):
            gone = [node for node in nodes if node in context.rest[side]] or nodes
            feeding = _feeding_only(context, side, gone)
            changed = [change for change in context.alignment.changed if _only_controls(context, change)]
            kept = ([change.left for change in changed], [change.right for change in changed])
            rows = [list(kept[0]), list(kept[1])]
            rows[side] += [node for node in feeding if node in context.rest[side]]
            context.claim(Cause(
                'asserts', '{} Assert node{} {}'.format(
                    len(nodes) - len(other), 's' if len(nodes) - len(other) > 1 else '',
                    'removed' if side == 0 else 'added'),
                'cosmetic', rows[0], rows[1], scope=_scope_of(graph, gone),
                revision='graph transform remove_nodes(op=Assert), or Grappler' if side == 0 else '',
                detail={'asserts': len(nodes) - len(other)}))


def _feeding_only(context, side, nodes):
    """``nodes`` and the unclaimed nodes above them that serve nothing else."""
    graph = context.graph(side)
    consumers = graph.consumers()
    found = set(nodes)
    queue = collections.deque(nodes)
    while queue:
        node = queue.popleft()
        for source, _ in graph.inputs[node]:
            if source in context.rest[side] and source not in found:
                if all(user in found or user not in context.rest[side] for user, _ in consumers[source]):
                    found.add(source)
                    queue.append(source)
    return found


def _only_controls(context, change):
    """Whether a changed pair says the same but for its control inputs."""
    left, right = context.left, context.right
    return (left.attrs[change.left] == right.attrs[change.right] and left.tensors[change.left] is None
            and right.tensors[change.right] is None and len(left.inputs[change.left]) == len(right.inputs[change.right])
            and len(left.controls[change.left]) != len(right.controls[change.right]))


def _scope_of(graph, nodes):
    names = [graph.names[node] for node in nodes if graph.names[node]]
    if not names:
        return ''
    parts = [name.split('/') for name in names]
    common = []
    for row in zip(*parts):
        if len(set(row)) > 1:
            break
        common.append(row[0])
    return '/'.join(common) or '{} and others'.format(parts[0][0])


def _constants_near(context, piece, wanted):
    return any(context.ops(side, piece[side])[op] for side in (0, 1) for op in wanted)


# A piece of unexplained structure -> what it is, by the ops that it holds. Each row: kind, title, effect, revision, and a
# test of (ops left, ops right, context, piece).
def _has(ops, *names):
    return any(ops[name] for name in names)


def _clip_moved(left, right, context, piece):
    return _has(left + right, 'Maximum', 'Minimum') and (_has(left + right, 'Where', 'Greater', 'Split', 'NonMaxSuppressionV3')
                                                       and _near_nms(context, piece))


def _score_filter(left, right, context, piece):
    return _has(left + right, 'Where') and _has(left + right, 'Greater') and _near_nms(context, piece)


def _near_nms(context, piece):
    """Whether a piece feeds, or is fed by, an NMS op within a few steps."""
    for side in (0, 1):
        graph = context.graph(side)
        nms = set(context.readings[side].nms)
        if nms & set(piece[side]):
            return True
        bits = context.readings[side]._behind  # pylint: disable=protected-access
        nodes = piece[side]
        if nodes and nms:
            inputs = set()
            for node in nms:
                stack = [(node, 0)]
                while stack:
                    place, depth = stack.pop()
                    inputs.add(place)
                    if depth < 8:
                        stack.extend((source, depth + 1) for source, _ in graph.inputs[place] if source not in inputs)
            if inputs & set(nodes):
                return True
            if any(bits.get(node) for node in nodes):
                return True
    return False


def _behind_nms(context, piece):
    for side in (0, 1):
        bits = context.readings[side]._behind  # pylint: disable=protected-access
        if any(bits.get(node) for node in piece[side]):
            return True
    return False


def _before_first_convolution(context, piece):
    for side in (0, 1):
        graph = context.graph(side)
        if not piece[side]:
            continue
        nodes = set(piece[side])
        first = next((node for node in context.orders[side] if graph.ops[node] in ('Conv2D', 'DepthwiseConv2dNative')),
                     None)
        if first is not None and nodes & set(context.readings[side]._up_loops(first)):  # pylint: disable=protected-access
            return True
    return False


PIECES = [
    ('masks.resized', 'mask resizing added or removed: masks are cropped and resized to the image', 'result',
     'OD API revisions differ in where masks are resized',
     lambda left, right, context, piece: _has(left, 'CropAndResize') != _has(right, 'CropAndResize')
     or (_has(left, 'ResizeBilinear') != _has(right, 'ResizeBilinear') and _behind_nms(context, piece))),
    ('nms.filter', 'boxes are filtered by score and clipped before NMS on one side, inside and after it on the other',
     'result', 'OD API 59f7e80a (2018-08-07): clips once after NMS, scores are filtered by the NMS op',
     lambda left, right, context, piece: _has(left, 'Where') != _has(right, 'Where') and _near_nms(context, piece)),
    ('nms.revision', 'NMS and the handling of its results are written differently', 'unknown',
     'other revision of post_processing.py (padding of NMS results: 99256cf4, 2018-09-21; soft NMS: fe748d4a, 2019-07-15)',
     lambda left, right, context, piece: _near_nms(context, piece) and _behind_nms(context, piece)
     and _has(left + right, 'NonMaxSuppressionV3', 'NonMaxSuppressionV4', 'NonMaxSuppressionV5', 'Where', 'TopKV2',
              'Select', 'GatherV2')),
    ('resize.revision', 'the image is resized by other ops', 'numeric',
     'other revision of preprocessor.py, or a TensorFlow with another tf.image.resize (half_pixel_centers)',
     lambda left, right, context, piece: _has(left + right, 'ResizeBilinear', 'ResizeNearestNeighbor')
     and _before_first_convolution(context, piece)),
]


def _moved_normalization(context):
    """Whether the resize comes before the normalisation on one side and after it on the other."""
    places = []
    for side in (0, 1):
        graph, order = context.graph(side), context.orders[side]
        first = next((node for node in order if graph.ops[node] in ('Conv2D', 'DepthwiseConv2dNative')), None)
        if first is None:
            return
        reading = context.readings[side]
        direct = reading._plain(graph.inputs[first][0])  # pylint: disable=protected-access
        resizers = [node for node in reading._up_loops(first) if graph.ops[node] in _settings._RESIZERS]
        if not resizers:
            return
        above = [graph.ops[node] for node in reading._up_loops(resizers[0], limit=60)]
        told = 'normalization' in reading.settings
        arithmetic = any(op in ('Sub', 'Mul', 'RealDiv') for op in above[1:12])
        places.append((told and not arithmetic, arithmetic, resizers[0], direct))
    if places[0][0] != places[1][0] and places[0][1] != places[1][1]:
        later = 'after' if places[1][1] else 'before'
        nodes = [[node for node in context.rest[side]
                  if context.graph(side).ops[node] in ('Sub', 'Mul', 'RealDiv', 'ResizeBilinear')
                  and _is_upstream(context, side, node)] for side in (0, 1)]
        context.claim(Cause('resize.order', 'the resize now comes {} the normalisation'.format(later), 'numeric',
                            nodes[0], nodes[1]))


def _is_upstream(context, side, node):
    return node in context.orders[side][:400]


def _changed_constants(context):
    """Consts of one place that hold other values: grouped by who reads them."""
    groups = collections.defaultdict(list)
    for change in context.alignment.changed:
        if change.left not in context.rest[0] or change.right not in context.rest[1]:
            continue
        left, right = context.left.tensors[change.left], context.right.tensors[change.right]
        if left is None or right is None:
            continue
        readers = sorted({(context.left.ops[user], slot) for user, slot in context.readings[0].consumers[change.left]
                          if user in context.alignment.pairs})[:1]
        groups[(tuple(readers), left.digest, right.digest)].append(change)
    merged = collections.OrderedDict()
    for (readers, _, _), changes in sorted(groups.items(), key=lambda row: -len(row[1])):
        merged.setdefault(readers, []).extend(changes)
    for readers, changes in merged.items():
        one, other = changes[0]
        op, slot = readers[0] if readers else ('nothing', 0)
        values = [_brief(context.graph(side).tensors[node]) for side, node in ((0, one), (1, other))]
        context.claim(Cause(
            'constant', 'constant {} → {}{}, input {} of {}'.format(
                values[0], values[1], '' if len(changes) == 1 else ' ({} constants)'.format(len(changes)), slot, op),
            'result', [change.left for change in changes], [change.right for change in changes],
            values=tuple(values)))


def _brief(tensor):
    if tensor.dtype == 7:
        return repr(tensor.array().reshape(-1)[:1].tolist())[:40]
    values = tensor.numbers().reshape(-1)
    text = ', '.join('{:.6g}'.format(value) if isinstance(value, float) else str(value) for value in values[:4].tolist())
    if len(values) == 1 and not tensor.shape:
        return text
    return '[{}{}]{}'.format(text, ', …' if len(values) > 4 else '', list(tensor.shape) if len(values) > 4 else '')


def _changed_attributes(context):
    groups = collections.defaultdict(list)
    for change in context.alignment.changed:
        if change.left not in context.rest[0] or change.right not in context.rest[1]:
            continue
        left, right = context.left.attrs[change.left], context.right.attrs[change.right]
        names = tuple(sorted(name for name in set(left) | set(right) if left.get(name) != right.get(name)))
        if names and context.left.tensors[change.left] is None:
            groups[(context.left.ops[change.left], names)].append(change)
    for (op, names), changes in sorted(groups.items(), key=lambda row: -len(row[1])):
        one, other = changes[0]
        told = []
        for name in names:
            told.append('{} {} → {}'.format(name, _attr(context.left.attrs[one].get(name), op, name),
                                            _attr(context.right.attrs[other].get(name), op, name)))
        effect = 'numeric' if set(names) <= {'half_pixel_centers', 'align_corners', 'epsilon'} else 'result'
        context.claim(Cause('attribute', '{} of {}{}'.format(', '.join(told), op, '' if len(changes) == 1 else
                                                            ' ({} nodes)'.format(len(changes))), effect,
                            [change.left for change in changes], [change.right for change in changes]))


def _attr(value, op, name):
    from od_patch.compare import _optable
    if value is None:
        row = _optable.table()[1][op]
        if row is None or row.defaults.get(name) is None:
            return 'absent'
        value = row.defaults[name]
    proto = _graph.attr_proto(value)
    kind = proto.WhichOneof('value')
    if kind == 'type':
        return _tensors.dtype_name(proto.type)
    if kind == 'shape':
        return 'unknown' if proto.shape.unknown_rank else str([dim.size for dim in proto.shape.dim])
    if kind == 's':
        return proto.s.decode('utf-8', 'replace')
    if kind == 'list':
        return str([part for field, part in proto.list.ListFields()])[:60]
    return str(getattr(proto, kind)) if kind else 'empty'


def _rewired(context):
    """Pairs whose inputs stand in another order or that wait for other nodes."""
    changes = [change for change in context.alignment.changed
               if change.left in context.rest[0] and change.right in context.rest[1]]
    controls = [change for change in changes if _only_controls(context, change)]
    if controls:
        context.claim(Cause('controls', '{} node{} wait{} for other nodes (control inputs)'.format(
            len(controls), 's' if len(controls) > 1 else '', '' if len(controls) > 1 else 's'), 'unknown',
            [change.left for change in controls], [change.right for change in controls]))
        changes = [change for change in changes if change not in controls]
    if changes:
        context.claim(Cause('rewired', '{} node{} read other inputs than before'.format(
            len(changes), 's' if len(changes) > 1 else ''), 'result', [change.left for change in changes],
            [change.right for change in changes]))


def _constant_folded(context):
    """Sites where one side has a Const and the other a computation that needs no input."""
    fed = []
    for side in (0, 1):
        graph = context.graph(side)
        found = set()
        for node in context.orders[side]:
            if graph.ops[node] in _graph.PLACEHOLDERS or any(source in found for source, _ in graph.inputs[node]):
                found.add(node)
        fed.append(found)
    claimed = [[], []]
    rows = {0: [], 1: []}
    for site in context.alignment.sites:
        for side in (0, 1):
            own, other = (site.left, site.right) if side == 0 else (site.right, site.left)
            if own not in context.rest[side]:
                continue
            graph, twin = context.graph(side), context.graph(1 - side)
            if graph.tensors[own] is None or twin.tensors[other] is not None or other in fed[1 - side]:
                continue
            rows[side].append((own, other))
            claimed[side].append(own)
            stack = [other]
            while stack:
                node = stack.pop()
                if node in context.rest[1 - side] or node == other:
                    claimed[1 - side].append(node)
                    stack.extend(source for source, _ in twin.inputs[node]
                                 if source in context.rest[1 - side] and source not in claimed[1 - side])
    for side in (0, 1):
        if rows[side]:
            proved, values = 0, []
            for own, other in rows[side]:
                computed = _evaluate(context.graph(1 - side), other)
                tensor = context.graph(side).tensors[own]
                if computed is not None and tensor.dtype != 7:
                    equal = (numpy.asarray(computed, tensor.array().dtype).tobytes() == tensor.array().tobytes())
                    proved += equal
                    if not equal:
                        values.append((own, other))
            mine = [own for own, _ in rows[side]]
            theirs = [node for node in claimed[1 - side]]
            nodes = (mine, theirs) if side == 0 else (theirs, mine)
            same = proved == len(rows[side])
            context.claim(Cause(
                'folded.constants', '{} value{} computed on one side {} constant{} on the other{}'.format(
                    proved if same else len(rows[side]), 's' if len(rows[side]) > 1 else '',
                    'are' if len(rows[side]) > 1 else 'is a', 's' if len(rows[side]) > 1 else '',
                    ', bit for bit the same' if same else ''),
                'cosmetic' if same else 'unknown', nodes[0], nodes[1],
                revision='graph transform fold_constants, Grappler, or another OD API revision',
                detail={'proved': proved, 'of': len(rows[side])}))


_ARITHMETIC = {'Add': numpy.add, 'AddV2': numpy.add, 'Sub': numpy.subtract, 'Mul': numpy.multiply,
               'RealDiv': numpy.divide, 'Maximum': numpy.maximum, 'Minimum': numpy.minimum, 'Neg': numpy.negative,
               'Sqrt': numpy.sqrt, 'Exp': numpy.exp}


def _evaluate(graph, node, depth=0):
    """The value of a node that needs no input, for the few ops whose result numpy has bit for bit; else None."""
    tensor = graph.tensors[node]
    if tensor is not None:
        return tensor.array() if tensor.dtype in _tensors.NUMERIC | {10} else None
    if depth > 40:
        return None
    op = graph.ops[node]
    inputs = []
    for source, port in graph.inputs[node]:
        value = None if port else _evaluate(graph, source, depth + 1)
        if value is None:
            return None
        inputs.append(value)
    try:
        if op in _ARITHMETIC:
            return _ARITHMETIC[op](*inputs)
        if op in ('Identity', 'StopGradient'):
            return inputs[0]
        if op == 'Pack':
            return numpy.stack(inputs, _int(graph, node, 'axis', 0))
        if op == 'ConcatV2':
            return numpy.concatenate(inputs[:-1], int(inputs[-1]))
        if op == 'Reshape':
            return inputs[0].reshape(inputs[1].tolist())
        if op == 'Shape':
            return numpy.array(inputs[0].shape, 'i4')
        if op == 'Range':
            return numpy.arange(inputs[0], inputs[1], inputs[2], dtype=inputs[0].dtype)
        if op == 'Fill':
            return numpy.full(inputs[0].tolist(), inputs[1], dtype=inputs[1].dtype)
        if op == 'Tile':
            return numpy.tile(inputs[0], inputs[1].tolist())
        if op == 'ExpandDims':
            return numpy.expand_dims(inputs[0], int(inputs[1]))
        if op == 'StridedSlice':
            return _strided(graph, node, inputs)
    except (ValueError, IndexError, TypeError):
        return None
    return None


def _int(graph, node, name, default):
    value = graph.attrs[node].get(name)
    return default if value is None else _graph.attr_proto(value).i


def _strided(graph, node, inputs):
    masks = {name: _int(graph, node, name + '_mask', 0) for name in ('begin', 'end', 'shrink_axis', 'ellipsis',
                                                                     'new_axis')}
    if masks['ellipsis'] or masks['new_axis']:
        return None
    places = []
    for index, (begin, end, step) in enumerate(zip(*(part.tolist() for part in inputs[1:4]))):
        bit = 1 << index
        if masks['shrink_axis'] & bit:
            places.append(begin)
        else:
            places.append(slice(None if masks['begin'] & bit else begin, None if masks['end'] & bit else end, step))
    return numpy.asarray(inputs[0][tuple(places)])


def _pieces(context):
    groups = collections.OrderedDict()
    for piece in context.components():
        left, right = context.ops(0, piece[0]), context.ops(1, piece[1])
        for kind, title, effect, revision, test in PIECES:
            if test(left, right, context, piece):
                groups.setdefault((kind, title, effect, revision), []).append(piece)
                break
    for (kind, title, effect, revision), pieces in groups.items():
        nodes = [[node for piece in pieces for node in piece[side]] for side in (0, 1)]
        context.claim(Cause(kind, title, effect, nodes[0], nodes[1], revision=revision,
                            detail={'pieces': len(pieces), 'ops': _told(context, nodes)}))


def _told(context, nodes):
    return [dict(context.ops(side, nodes[side]).most_common(6)) for side in (0, 1)]


def _unrecognised(context):
    groups = collections.OrderedDict()
    for piece in context.components():
        nodes = [context.graph(side).names[node] for side in (0, 1) for node in piece[side]
                 if context.graph(side).names[node]]
        key = nodes[0].split('/')[0] if nodes else ''
        groups.setdefault(key, []).append(piece)
    for pieces in groups.values():
        nodes = [[node for piece in pieces for node in piece[side]] for side in (0, 1)]
        ops = _told(context, nodes)
        parts = []
        for side in (0, 1):
            if ops[side]:
                parts.append('{}: {}'.format(('first', 'second')[side], ', '.join(
                    '{} {}'.format(count, op) for op, count in list(ops[side].items())[:4])))
        context.claim(Cause('unrecognised', 'not recognised: {} node{} ({})'.format(
            len(nodes[0]) + len(nodes[1]), '' if len(nodes[0]) + len(nodes[1]) == 1 else 's', '; '.join(parts)),
            'unknown', nodes[0], nodes[1], detail={'pieces': len(pieces), 'ops': ops}))


RECOGNISERS = [_folded_batch_norms, _quantized, _settings_differ, _outputs_differ, _asserts, _moved_normalization,
               _constant_folded, _changed_constants, _changed_attributes, _pieces, _rewired, _unrecognised]


def explain(alignment, equivalence, weights):
    """List of ``Cause``, the one that does most to the result first, and the ``Context`` they were found in."""
    context = Context(alignment, equivalence, weights)
    for recognise in RECOGNISERS:
        recognise(context)
    context.causes.sort(key=lambda cause: (EFFECTS.index(cause.effect), -len(cause.left) - len(cause.right)))
    return context.causes, context
