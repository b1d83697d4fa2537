"""What the differences of two graphs mean: settings, revisions and transforms that have a name.

One function a cause, in the order of ``RECOGNISERS``; each claims what it can
explain of a ``Context``. They look at structure; names are for saying where
something is. What nobody claims is listed with its counts.
"""
import collections

import numpy

from od_patch.compare import _cause
from od_patch.compare import _causes
from od_patch.compare import _folding
from od_patch.compare import _settings
from od_patch.graphs import _graph
from od_patch.graphs import _tensors


_SETTING_EFFECT = {'input_type': 'interface', 'input_dtype': 'interface', 'input_shape': 'interface'}


def _is_open(shape):
    """Whether an input's shape, as ``Setting`` has it, leaves anything to whoever feeds it."""
    return '?' in shape or shape == 'unknown'


def _swapped_outputs(context):
    """Outputs that hold what outputs of other names hold on the other side, where nothing else differs."""
    left, right = context.equivalence.left, context.equivalence.right
    if not (left.graph.named_outputs and right.graph.named_outputs):
        return
    told = [{name: (hashes.cut[node], port) for name, node, port in hashes.graph.outputs} for hashes in (left, right)]
    if set(told[0]) != set(told[1]) or sorted(told[0].values()) != sorted(told[1].values()):
        return
    names = sorted(name for name in told[0] if told[0][name] != told[1][name])
    if names:
        context.claim(_cause.Cause(
            'outputs.swapped', 'the outputs {} hold each other\'s values'.format(' and '.join(names)), 'result',
            list(context.rest[0]), list(context.rest[1]), scope='outputs',
            values=([], names), detail={'outputs': names}))


def _settings_differ(context):
    for key in collections.OrderedDict.fromkeys(list(context.settings[0]) + list(context.settings[1])):
        left, right = (settings.get(key) for settings in context.settings)
        if left is None or right is None or left.value == right.value:
            continue
        label = left.label
        if key == 'input_shape' and not _is_open(right.value) and _is_open(left.value):
            title = 'input placeholder fixed to {} (it was {})'.format(right.value, left.value)
        elif key == 'input_shape' and not _is_open(left.value) and _is_open(right.value):
            title = 'input placeholder left open, {} (it was fixed to {})'.format(right.value, left.value)
        else:
            title = '{} {} → {}'.format(label, _causes.show(left.value), _causes.show(right.value))
        nodes = [[node for node in setting.nodes if node in context.rest[side]]
                 for side, setting in enumerate((left, right))]
        context.claim(_cause.Cause('setting.' + key, title, _SETTING_EFFECT.get(key, 'result'), nodes[0], nodes[1],
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
            option = 'model.*.number_of_stages, or the mask head' if 'detection_masks' in names else ''
            if set(names) & set(context.equivalence.within):
                option = '--outputs {}'.format(','.join(context.equivalence.within))
            shown = ', '.join(names[:8]) + (' and {} more'.format(len(names) - 8) if len(names) > 8 else '')
            context.claim(_cause.Cause(
                'outputs', 'output{} {} only in {}'.format('s' if len(names) > 1 else '', shown, where),
                'interface', revision=context.made_by('', '; '.join(sorted({known[name] for name in names
                                                                             if name in known}))),
                values=((list(names), []), ([], list(names)))[side], scope='outputs',
                option=option))


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
    counts = [sum(1 for node in context.orders[side] if context.graph(side).ops[node] == 'Assert') for side in (0, 1)]
    if counts[0] == counts[1]:
        return
    side = 0 if counts[0] > counts[1] else 1
    graph = context.graph(side)
    gone = [node for node in context.rest[side] if graph.ops[node] == 'Assert']
    if not gone:  # what waited for them is there, so only their edges tell
        gone = [node for node in context.orders[side] if graph.ops[node] == 'Assert']
    rows = [[], []]
    rows[side] += [node for node in _feeding_only(context, side, gone) if node in context.rest[side]]
    waiting = set(gone) | {node for node in context.rest[side] if graph.ops[node] == 'NoOp'}
    pairs = context.alignment.pairs if side == 0 else {right: left for left, right in context.alignment.pairs.items()}
    for change in context.alignment.changed:
        if _only_controls(context, change):
            own, other = change[side], change[1 - side]
            kept = context.graph(1 - side).controls[other]
            extra = [source for source in graph.controls[own] if pairs.get(source) not in kept]
            if extra and all(source in waiting or graph.ops[source] in ('Assert', 'NoOp') for source in extra):
                rows[0].append(change.left)
                rows[1].append(change.right)
    for site in context.alignment.sites:
        own, other = (site.left, site.right) if side == 0 else (site.right, site.left)
        # An Identity that waits for an Assert, where the other graph has what it hands on.
        if graph.ops[own] == 'Identity' and any(source in waiting or graph.ops[source] in ('Assert', 'NoOp')
                                                for source in graph.controls[own]):
            rows[side].append(own)
            rows[1 - side].append(other)
            source = graph.inputs[own][0][0]
            if source in context.rest[side] and graph.ops[source] == context.graph(1 - side).ops[other]:
                rows[side].append(source)
    count = abs(counts[0] - counts[1])
    context.claim(_cause.Cause(
        'asserts', '{} Assert node{} {}'.format(count, 's' if count > 1 else '', 'removed' if side == 0 else 'added'),
        'cosmetic', [node for node in rows[0] if node in context.rest[0]],
        [node for node in rows[1] if node in context.rest[1]], scope=_scope_of(graph, gone),
        revision=context.made_by('graph transform remove_nodes(op=Assert), or Grappler', 'another OD API revision'),
        detail={'asserts': list(counts)}))


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
    tensors = [tensor and tensor.digest for tensor in (left.tensors[change.left], right.tensors[change.right])]
    return (left.attrs[change.left] == right.attrs[change.right] and tensors[0] == tensors[1]
            and len(left.inputs[change.left]) == len(right.inputs[change.right])
            and (len(left.controls[change.left]) != len(right.controls[change.right]) or all(
                port == twin_port and context.alignment.pairs.get(source) == twin
                for (source, port), (twin, twin_port) in zip(left.inputs[change.left], right.inputs[change.right]))))


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


# A piece of unexplained structure -> what it is, by the ops that it holds. Each row: kind, title, effect, revision,
# and a test of (ops left, ops right, context, piece).
def _any_op(ops, *names):
    return any(ops[name] for name in names)


def _near_nms(context, piece):
    """Whether a piece feeds, or is fed by, an NMS op within a few steps."""
    for side in (0, 1):
        graph = context.graph(side)
        nms = set(context.readings[side].nms)
        if nms & set(piece[side]):
            return True
        bits = context.readings[side].behind
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
        bits = context.readings[side].behind
        if any(bits.get(node) for node in piece[side]):
            return True
    return False


def _from_shapes_alone(context, piece):
    """Whether a piece depends on no image and no weight but through shapes: anchors, and grids in general."""
    for side in (0, 1):
        graph = context.graph(side)
        if side not in context.touched:
            touched, before = set(), -1
            while len(touched) > before:  # once more for what comes round in a loop
                before = len(touched)
                for node in context.orders[side]:
                    if graph.ops[node] in _graph.PLACEHOLDERS or (
                            graph.ops[node] not in ('Shape', 'ShapeN', 'Rank', 'Size')
                            and any(source in touched for source, _ in graph.inputs[node])):
                        touched.add(node)
            context.touched[side] = touched
        if context.touched[side] & set(piece[side]):
            return False
    return True


def _before_first_convolution(context, piece):
    for side in (0, 1):
        graph = context.graph(side)
        if not piece[side]:
            continue
        nodes = set(piece[side])
        first = next((node for node in context.orders[side] if graph.ops[node] in ('Conv2D', 'DepthwiseConv2dNative')),
                     None)
        if first is not None and nodes & set(context.readings[side].up_all(first)):
            return True
    return False


PIECES = [
    ('masks.resized', 'mask resizing added or removed: masks are cropped and resized to the image', 'result',
     'OD API revisions differ in where masks are resized',
     lambda left, right, context, piece: _any_op(left, 'CropAndResize') != _any_op(right, 'CropAndResize')
     or ('detection_masks' in context.output_names
         and _any_op(left, 'ResizeBilinear') != _any_op(right, 'ResizeBilinear')
         and _behind_nms(context, piece))),
    ('nms.revision', 'NMS and the handling of its results are written differently', 'unknown',
     'other revision of post_processing.py (padding of NMS results: 99256cf4, 2018-09-21; soft NMS: fe748d4a, '
     '2019-07-15)',
     lambda left, right, context, piece: _near_nms(context, piece) and _behind_nms(context, piece)
     and _any_op(left + right, 'NonMaxSuppressionV3', 'NonMaxSuppressionV4', 'NonMaxSuppressionV5', 'Where', 'TopKV2',
              'Select', 'GatherV2')),
    ('anchors.revision', 'anchors are worked out by other ops', 'unknown',
     'other revision of the anchor generators',
     lambda left, right, context, piece: _from_shapes_alone(context, piece)
     and _any_op(left + right, 'Tile', 'Range', 'Sqrt', 'Fill', 'Pack')),
    ('resize.revision', 'the image is resized by other ops', 'numeric',
     'other revision of preprocessor.py, or a TensorFlow with another tf.image.resize (half_pixel_centers)',
     lambda left, right, context, piece: _any_op(left + right, 'ResizeBilinear', 'ResizeNearestNeighbor')
     and _before_first_convolution(context, piece)),
]


def _moved_normalization(context):
    """Whether the resize comes before the normalisation on one side and after it on the other."""
    order = []
    paths = []
    for side in (0, 1):
        graph, reading = context.graph(side), context.readings[side]
        path = reading.image_path()
        setting = reading.settings.get('normalization')
        resizers = [node for node in path if graph.ops[node] in _settings.RESIZERS]
        steps = [node for node in path if setting is not None and node in setting.nodes]
        if not resizers or not steps:
            return
        above = set(reading.up_all(resizers[0]))
        order.append('before' if not above & set(steps) else 'after')
        paths.append(set(path))
    if order[0] != order[1]:
        nodes = [[node for node in context.rest[side] if node in paths[side]] for side in (0, 1)]
        context.claim(_cause.Cause('resize.order', 'the resize now comes {} the normalisation'.format(order[1]),
                                    'numeric', nodes[0], nodes[1],
                                    revision=context.made_by(
                                        '', 'other revision of the meta architecture: OD API of 2020 and later '
                                        'normalises first' if order[1] == 'after' else '')))


def _fused_batch_norms(context):
    """Batch norms as separate ops on one side, as one op on the other."""
    for side in (0, 1):
        graph, other = context.graph(side), context.graph(1 - side)
        fused = [node for node in context.rest[1 - side] if other.ops[node].startswith('FusedBatchNorm')]
        roots = [node for node in context.rest[side] if graph.ops[node] == 'Rsqrt']
        if not fused or not roots:
            continue
        nodes = set(roots)
        consumers = graph.consumers()
        for _ in range(5):  # variance + epsilon above; × gamma, × mean, beta − …, and the sum below
            for node in list(nodes):
                near = [user for user, _ in consumers[node]] + [source for source, _ in graph.inputs[node]]
                nodes.update(place for place in near if place in context.rest[side]
                             and graph.ops[place] in ('Mul', 'Add', 'Sub', 'Const', 'Rsqrt'))
        rows = [sorted(nodes), fused] if side == 0 else [fused, sorted(nodes)]
        context.claim(_cause.Cause(
            'batch_norm.fused', '{} batch norms are separate ops in the {} graph and one op each in the {}'.format(
                len(roots), *(('first', 'second') if side == 0 else ('second', 'first'))), 'numeric', rows[0], rows[1],
            revision=context.made_by('Grappler\'s remapper',
                                     'other revision of slim and of hyperparams_builder.py (fused batch norm)')))


def _nms_filter(context):
    """Scores filtered and boxes clipped before the NMS op on one side, by it and after it on the other."""
    from od_patch.compare import _provenance
    before = []
    for side in (0, 1):
        reading = context.readings[side]
        if not reading.last_stage:
            return
        before.append(_provenance.filters_before(context.graph(side), reading))
    if before[0] == before[1]:
        return
    nodes = ([], [])
    for piece in context.components():
        if _near_nms(context, piece):
            for side in (0, 1):
                nodes[side].extend(piece[side])
    which = ('first', 'second') if before[0] else ('second', 'first')
    context.claim(_cause.Cause(
        'nms.filter', 'the {} graph filters scores and clips boxes per class before NMS, the {} lets the NMS op filter '
        'and clips once after it'.format(*which), 'result', nodes[0], nodes[1],
        revision='OD API 59f7e80a (2018-08-07)'))


def _static_shapes(context):
    """Shapes and loops worked out when the graph was built, as the input's shape was fixed."""
    if not any(cause.kind == 'setting.input_shape' for cause in context.causes):
        return
    nodes = ([], [])
    for piece in context.components():
        for side in (0, 1):
            nodes[side].extend(piece[side])
    # Only structure that deals with shapes and batches: nothing with weights, no NMS, no activations.
    if any(context.graph(side).ops[node] in _NOT_SHAPES for side in (0, 1) for node in nodes[side]):
        rest = ([], [])
        for piece in context.components():
            if not any(context.graph(side).ops[node] in _NOT_SHAPES for side in (0, 1) for node in piece[side]):
                for side in (0, 1):
                    rest[side].extend(piece[side])
        nodes = rest
    if nodes[0] or nodes[1]:
        context.claim(_cause.Cause(
            'shapes.static', 'shapes and per-image loops that depend on the input\'s shape are worked out when the '
            'graph is built on one side, and when it runs on the other', 'cosmetic', nodes[0], nodes[1],
            option='--input_shape'))


_NOT_SHAPES = frozenset(['Conv2D', 'DepthwiseConv2dNative', 'MatMul', 'FusedBatchNorm', 'BiasAdd', 'Relu', 'Relu6',
                         'NonMaxSuppressionV3', 'NonMaxSuppressionV5', 'CropAndResize', 'MaxPool', 'AvgPool', 'Softmax',
                         'Sigmoid', 'Dequantize'])


def _changes(context):
    """The changed pairs that are still to be explained, but for those that names say are none."""
    return [change for change in context.alignment.changed if change.left not in context.alignment.elsewhere
            and change.left in context.rest[0] and change.right in context.rest[1]]


# Said of pairs that were picked among several that look alike.
_GUESSED = '; which of several like it stands for it is not known'


def _changed_constants(context):
    """Consts of one place that hold other values: grouped by who reads them."""
    groups = collections.defaultdict(list)
    for change in _changes(context):
        left, right = context.left.tensors[change.left], context.right.tensors[change.right]
        if left is None or right is None or left.digest == right.digest:
            continue
        readers = sorted({(context.left.ops[user], slot) for user, slot in context.readings[0].consumers[change.left]
                          if user in context.alignment.pairs})[:1]
        groups[(tuple(readers), left.digest, right.digest, change.left in context.alignment.guessed)].append(change)
    merged = collections.OrderedDict()
    for (readers, _, _, guessed), changes in sorted(groups.items(), key=lambda row: -len(row[1])):
        merged.setdefault((readers, guessed), []).extend(changes)
    for (readers, guessed), changes in merged.items():
        one, other = changes[0]
        op, slot = readers[0] if readers else ('nothing', 0)
        if all(_inferred_dimension(context, change) for change in changes):
            context.claim(_cause.Cause(
                'reshape.inferred', '{} dimension{} of a Reshape stated on one side and left to be inferred (-1) on '
                'the other'.format(len(changes), 's' if len(changes) > 1 else ''), 'cosmetic',
                [change.left for change in changes], [change.right for change in changes]))
            continue
        values = [_tensors.brief(context.graph(side).tensors[node]) for side, node in ((0, one), (1, other))]
        context.claim(_cause.Cause(
            'constant', 'constant {} → {}{}, input {} of {}{}'.format(
                values[0], values[1], '' if len(changes) == 1 else ' ({} constants)'.format(len(changes)), slot, op,
                _GUESSED if guessed else ''),
            'unknown' if guessed else 'result', [change.left for change in changes],
            [change.right for change in changes],
            values=tuple(values)))


def _inferred_dimension(context, change):
    """Whether a Const is one dimension of a Reshape's shape and -1 on one side: the total leaves it no choice."""
    for side, node in enumerate(change):
        graph, consumers = context.graph(side), context.readings[side].consumers
        users = consumers[node]
        if not users or not all(graph.ops[user] == 'Pack' and consumers[user] and all(
                graph.ops[last] == 'Reshape' and slot == 1 for last, slot in consumers[user]) for user, _ in users):
            return False
    values = [context.graph(side).tensors[node] for side, node in enumerate(change)]
    return all(tensor.size == 1 for tensor in values) and -1 in [int(tensor.numbers().reshape(-1)[0])
                                                                  for tensor in values]


def _changed_attributes(context):
    groups = collections.defaultdict(list)
    for change in _changes(context):
        left, right = context.left.attrs[change.left], context.right.attrs[change.right]
        names = tuple(sorted(name for name in set(left) | set(right) if left.get(name) != right.get(name)
                             and not (name == 'frame_name' and context.left.ops[change.left] in _graph.LOOP_ENTERS)))
        if names and context.left.tensors[change.left] is None:
            groups[(context.left.ops[change.left], names, change.left in context.alignment.guessed)].append(change)
    for (op, names, guessed), changes in sorted(groups.items(), key=lambda row: -len(row[1])):
        one, other = changes[0]
        told = []
        for name in names:
            told.append('{} {} → {}'.format(name, _attr(context.left.attrs[one].get(name), op, name),
                                            _attr(context.right.attrs[other].get(name), op, name)))
        effect = 'numeric' if set(names) <= {'half_pixel_centers', 'align_corners', 'epsilon'} else 'result'
        if guessed:
            effect = 'unknown'
        context.claim(_cause.Cause('attribute', '{} of {}{}{}'.format(
            ', '.join(told), op, '' if len(changes) == 1 else ' ({} nodes)'.format(len(changes)),
            _GUESSED if guessed else ''), effect,
                            [change.left for change in changes], [change.right for change in changes]))


def _attr(value, op, name):
    from od_patch.graphs import _op_table
    if name == _graph.FUNCTIONS:
        return 'other functions'
    if value is None:
        row = _op_table.table()[1][op]
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


_REMOVES_CONTROLS = 'remove_control_dependencies of the Graph Transform Tool: one graph has no control inputs at all'


def _rewired(context):
    """Pairs whose inputs stand in another order or that wait for other nodes."""
    changes = _changes(context)
    controls = [change for change in changes if _only_controls(context, change)]
    if controls:
        context.claim(_cause.Cause('controls', '{} node{} wait{} for other nodes (control inputs)'.format(
            len(controls), 's' if len(controls) > 1 else '', '' if len(controls) > 1 else 's'), 'unknown',
            [change.left for change in controls], [change.right for change in controls],
            revision=_REMOVES_CONTROLS if any(any(context.graph(side).controls) != any(context.graph(1 - side).controls)
                                              for side in (0, 1)) else ''))
        changes = [change for change in changes if change not in controls]
    for guessed in (False, True):
        rows = [change for change in changes if (change.left in context.alignment.guessed) == guessed]
        if rows:
            context.claim(_cause.Cause('rewired', '{} node{} read{} other inputs than before{}'.format(
                len(rows), 's' if len(rows) > 1 else '', '' if len(rows) > 1 else 's', _GUESSED if guessed else ''),
                'unknown' if guessed else 'result', [change.left for change in rows],
                [change.right for change in rows]))


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
            proved = near = 0
            for own, other in rows[side]:
                computed = _folding.evaluate(context.graph(1 - side), other)
                tensor = context.graph(side).tensors[own]
                if computed is not None and tensor.dtype in _tensors.NUMERIC and computed.shape == tensor.shape:
                    held = tensor.array()
                    proved += numpy.asarray(computed, held.dtype).tobytes() == held.tobytes()
                    near += bool(numpy.allclose(computed, held, rtol=1e-5, atol=1e-6))
            mine = [own for own, _ in rows[side]]
            theirs = [node for node in claimed[1 - side]]
            nodes = (mine, theirs) if side == 0 else (theirs, mine)
            same, close = proved == len(rows[side]), near == len(rows[side])
            if close:  # a weight that was folded in follows from the other side's, and the other way round
                for which in (0, 1):
                    context.explained[which].update(node for node in nodes[which]
                                                    if context.graph(which).tensors[node] is not None)
            context.claim(_cause.Cause(
                'folded.constants', '{} value{} computed on one side {} constant{} on the other{}'.format(
                    proved if same else len(rows[side]), 's' if len(rows[side]) > 1 else '',
                    'are' if len(rows[side]) > 1 else 'is a', 's' if len(rows[side]) > 1 else '',
                    ', bit for bit the same' if same else ', the same within float32\'s rounding' if close else ''),
                'cosmetic' if same else 'numeric' if close else 'unknown', nodes[0], nodes[1],
                revision=context.made_by('graph transform fold_constants, or Grappler', 'another OD API revision'),
                detail={'equal': proved, 'close': near, 'of': len(rows[side])}))


def _tools(context):
    """What is left where tools left traces in one graph that the other has not: theirs, if it is anybody's."""
    if not context.tools[0] and not context.tools[1]:
        return
    nodes = ([], [])
    for piece in context.components():
        for side in (0, 1):
            nodes[side].extend(piece[side])
    if not nodes[0] and not nodes[1]:
        return
    told = ['the {} graph was rewritten by {}'.format(which, ', '.join(tools))
            for which, tools in zip(('first', 'second'), context.tools) if tools]
    names = context.tools[0] + context.tools[1]
    context.claim(_cause.Cause(
        'grappler' if all('Grappler' in name for name in names) else 'tool',
        '{} (what it made of {} is not proved equal)'.format(
            ' and '.join(told), 'these nodes' if len(nodes[0]) + len(nodes[1]) > 1 else 'this node'),
        'unknown', nodes[0], nodes[1], revision=', '.join(names), detail={'ops': _op_counts(context, nodes)}))


def _pieces(context):
    groups = collections.OrderedDict()
    for piece in context.components():
        left, right = context.ops(0, piece[0]), context.ops(1, piece[1])
        for kind, title, effect, revision, test in PIECES if context.revisions else ():
            if test(left, right, context, piece):
                groups.setdefault((kind, title, effect, revision), []).append(piece)
                break
    for (kind, title, effect, revision), pieces in groups.items():
        nodes = [[node for piece in pieces for node in piece[side]] for side in (0, 1)]
        context.claim(_cause.Cause(kind, title, effect, nodes[0], nodes[1], revision=revision,
                            detail={'pieces': len(pieces), 'ops': _op_counts(context, nodes)}))


def _op_counts(context, nodes):
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
        ops = _op_counts(context, nodes)
        parts = []
        for side in (0, 1):
            if ops[side]:
                parts.append('{}: {}'.format(('first', 'second')[side], ', '.join(
                    '{} {}'.format(count, op) for op, count in list(ops[side].items())[:4])))
        context.claim(_cause.Cause('unrecognised', 'not recognised: {} node{} ({})'.format(
            len(nodes[0]) + len(nodes[1]), '' if len(nodes[0]) + len(nodes[1]) == 1 else 's', '; '.join(parts)),
            'unknown', nodes[0], nodes[1], detail={'pieces': len(pieces), 'ops': ops}))


RECOGNISERS = [_swapped_outputs, _folded_batch_norms, _quantized, _settings_differ, _outputs_differ, _asserts,
               _moved_normalization, _fused_batch_norms, _nms_filter, _static_shapes, _constant_folded,
               _changed_constants, _changed_attributes, _tools, _pieces, _rewired, _unrecognised]


def explain(alignment, equivalence, weights, decoded=None, originals=None):
    """List of ``Cause``, the one that does most to the result first, and the ``Context`` they were found in.

    ``decoded`` is the pair of ``_storage.Decoded`` that was aligned, ``originals`` the two ``Graph`` as they were read.
    """
    context = _causes.Context(alignment, equivalence, weights, decoded, originals)
    for recognise in RECOGNISERS:
        recognise(context)
        if context.causes and context.causes[0].kind == 'outputs.swapped':
            break  # all the rest only follows from that
    context.causes.sort(key=lambda cause: (_cause.EFFECTS.index(cause.effect), -len(cause.left) - len(cause.right)))
    return context.causes, context
