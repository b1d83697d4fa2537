"""A graph in the ops of an earlier TensorFlow: what ``--target_tf`` asks for.

A new TensorFlow writes new versions of ops where the old ones would do. Those
that an inference graph of the OD API has are put back here, one rule each; the
values that come out are the same, bit for bit in one runtime. Which op and
attribute a release knows is looked up in the table of the releases.

Not for: ops that compute something new; they are refused in words.
"""
import collections
import typing

from od_patch import _errors
from od_patch.graphs import _op_table


def releases():
    """Returns the TensorFlow releases that can be asked for, list of str, such as '1.12.0'."""
    return _op_table.table()[0]


def release_of(version):
    """Returns the position in ``releases()`` of a version as a user types it; see ``_op_table.position_of``.

    Raises:
        od_patch.UsageError: there is no such release in the table.
    """
    position = _op_table.position_of(version)
    if position is not None:
        return position
    known = releases()
    raise _errors.UsageError('--target_tf={} is no release of TensorFlow that od-patch knows.'.format(version),
                             'Give one from {} to {}, such as --target_tf=1.12.'.format(
                                 _op_table.short(known[0]), _op_table.short(known[-1])))


def lower(graph_def, version):
    """Puts new ops of a GraphDef back to those that a TensorFlow release has, in place.

    Args:
        graph_def: ``GraphDef`` whose attributes of default value may still be
            there; those that the release lacks are removed.
        version: str, such as '1.12'.

    Returns:
        list of str: what was put back, as 'FusedBatchNormV3 → FusedBatchNormV2 (35)'.

    Raises:
        od_patch.UsageError: no such release.
        od_patch.EnvironmentRefused: the graph has an op or an attribute that the
            release lacks and no rule puts back.
    """
    target = release_of(version)
    _, ops = _op_table.table()
    by_name = {node.name: node for node in graph_def.node}
    done = collections.Counter()
    obstacles = {}
    renamed = {}
    for node in list(graph_def.node):
        rule = _RULES.get(node.op)
        if rule and ops[node.op].since > target >= ops[rule.op].since:
            why_not = rule.obstacle(node, by_name, graph_def)
            if why_not:
                obstacles.setdefault(node.op, (node.name, why_not))
            else:
                done['{} → {}'.format(node.op, rule.op)] += 1
                renamed.update(rule.rewrite(node, by_name, graph_def))
                node.op = rule.op
    for node in graph_def.node:
        for position, name in enumerate(node.input):
            if name in renamed:
                node.input[position] = renamed[name]
    _check(graph_def, target, ops, obstacles)
    return ['{} ({})'.format(what, count) for what, count in sorted(done.items())]


class _Rule(typing.NamedTuple):
    """How an op is put back."""

    op: str  # the earlier op
    obstacle: typing.Any  # function from (node, nodes by name, GraphDef) to why the rule does not apply here, or None
    # function of the same arguments that changes the node's inputs and attributes, adds nodes, and returns {tensor
    # name as an input has it: the one to read instead}.
    rewrite: typing.Any


def _batch_norm_obstacle(node, by_name, graph_def):
    del by_name
    if node.attr['is_training'].b:
        return 'it trains'
    if _is_read(graph_def, node.name + ':5'):  # the one output that V2 lacks
        return 'its sixth output is used'
    return None


def _rewrite_batch_norm(node, by_name, graph_def):
    del by_name, graph_def
    node.attr.pop('exponential_avg_factor', None)  # of the training's moving averages
    return {}


def _suppression_obstacle(node, by_name, graph_def):
    del graph_def
    sigma = by_name.get(_node(node.input[5]))
    if sigma is None or sigma.op != 'Const' or _number(sigma) != 0:
        return _SOFT
    return 'its output is padded' if node.attr['pad_to_max_output_size'].b else None


def _rewrite_suppression(node, by_name, graph_def):
    """V5 also returns the scores of the selected boxes (unchanged where sigma is 0) and how many there are."""
    from tensorflow.core.framework import types_pb2
    sigma = by_name[_node(node.input[5])]
    scores = node.input[1]
    renamed = {}
    if _is_read(graph_def, node.name + ':1'):
        axis = graph_def.node.add(name=_unused(by_name, node.name + '/axis'), op='Const', input=sigma.input)
        axis.attr['dtype'].type = types_pb2.DT_INT32
        axis.attr['value'].tensor.dtype = types_pb2.DT_INT32
        axis.attr['value'].tensor.tensor_shape.SetInParent()
        axis.attr['value'].tensor.int_val.append(0)
        gather = graph_def.node.add(name=_unused(by_name, node.name + '/selected_scores'), op='GatherV2',
                                    input=[scores, node.name, axis.name])
        gather.attr['Tparams'].type = node.attr['T'].type or types_pb2.DT_FLOAT
        gather.attr['Tindices'].type = gather.attr['Taxis'].type = types_pb2.DT_INT32
        renamed[node.name + ':1'] = gather.name
    if _is_read(graph_def, node.name + ':2'):
        size = graph_def.node.add(name=_unused(by_name, node.name + '/valid_outputs'), op='Size', input=[node.name])
        size.attr['T'].type = size.attr['out_type'].type = types_pb2.DT_INT32
        renamed[node.name + ':2'] = size.name
    node.attr.pop('pad_to_max_output_size', None)
    del node.input[5]
    return renamed


def _never(node, by_name, graph_def):
    del node, by_name, graph_def


def _as_it_is(node, by_name, graph_def):
    del node, by_name, graph_def
    return {}


_SOFT = 'soft non-maximum suppression'
_IN_WORDS = {_SOFT: 'which computes soft non-maximum suppression: earlier ops cannot'}
_REMEDIES = {_SOFT: 'Without soft_nms_sigma in batch_non_max_suppression of the config, the earlier op would do.'}

_RULES = {
    'AddV2': _Rule('Add', _never, _as_it_is),
    'FusedBatchNormV3': _Rule('FusedBatchNormV2', _batch_norm_obstacle, _rewrite_batch_norm),
    'NonMaxSuppressionV5': _Rule('NonMaxSuppressionV3', _suppression_obstacle, _rewrite_suppression),
}


def _check(graph_def, target, ops, obstacles):
    """Removes attributes of default value that a release lacks; refuses what else it lacks.

    Args:
        obstacles: dict from the op that a rule would put back to (node, why it does not), of the first such node.
    """
    lacking = {}
    nodes = list(graph_def.node) + [node for function in graph_def.library.function for node in function.node_def]
    for node in nodes:
        op = ops[node.op]
        if op is None or op.since > target:
            name, why_not = obstacles.get(node.op, (node.name, ''))
            lacking.setdefault('the op {}'.format(node.op), (op.since if op else None, name + ', ' * bool(
                why_not) + _IN_WORDS.get(why_not, why_not)))
            continue
        for name in list(node.attr):
            since, _, default = op.attrs.get(name, (0, None, None))
            if since <= target:
                continue
            if default is not None and node.attr[name].SerializeToString(deterministic=True) == default:
                del node.attr[name]
            else:
                lacking.setdefault('{} of the op {}'.format(name, node.op), (since, node.name))
    if lacking:
        known = releases()
        raise _errors.EnvironmentRefused(
            'TensorFlow {} lacks what this model needs:\n{}'.format(known[target], '\n'.join(
                '  - {} ({}; since {})'.format(what, name, known[since] if since is not None else 'a later one')
                for what, (since, name) in sorted(lacking.items()))),
            'Give a later --target_tf, leave it out, or export under that TensorFlow.' + ''.join(
                ' ' + _REMEDIES[why_not] for _, why_not in obstacles.values() if why_not in _REMEDIES))


def _node(name):
    return name.lstrip('^').split(':')[0]


def _is_read(graph_def, tensor):
    return any(tensor in node.input for node in graph_def.node)


def _number(const):
    from tensorflow.python.framework import tensor_util
    return float(tensor_util.MakeNdarray(const.attr['value'].tensor))


def _unused(by_name, name):
    while name in by_name:
        name += '_'
    by_name[name] = None
    return name
