"""Will the export load and serve elsewhere: devices, ops of a named TensorFlow, size limits, batches.

Works on the GraphDefs; opens no session. What the outputs' first dimensions
really are, the runs tell.

Not for: speed, nor for what a server's configuration may refuse.
"""
import os
import re

import rich.filesize

from od_patch._errors import UsageError
from od_patch.graphs import _models
from od_patch.graphs import _op_table
from od_patch.proof import _answer
from od_patch.proof._answer import Check

_PART = 'portability'
_GIB = 1 << 30
# A processor that every machine has; anything more in a device string is a machine of one's own.
_HARMLESS = re.compile(r'(/job:localhost|/replica:0|/task:0)*/(device:)?CPU:(0|\*)$', re.IGNORECASE)


def check(subject, servable, frozen, target):
    """Returns the list of ``Check`` of the portability.

    Args:
        subject: ``Subject``; servable: ``Servable`` or None; frozen: ``GraphDef`` or None.
        target: str, a release as ``known_release`` returns it, or None.
    """
    graphs, sizes = [], []
    if servable is not None:
        graphs.append(('SavedModel', servable.meta_graph.graph_def))
        sizes.append(('saved_model.pb', servable.size))
    if frozen is not None:
        graphs.append(('frozen graph', frozen))
        sizes.append(('frozen graph', os.path.getsize(subject.frozen_graph)))
    checks = []
    for label, graph_def in graphs:
        checks.append(_devices(label, graph_def))
    for label, graph_def in graphs:
        checks.append(_ops(label, graph_def, target))
    if sizes:
        checks.append(_sizes(sizes))
    return checks


def known_release(text):
    """The release of the op table that a user means, such as '1.12.0'; see ``_op_table.position_of``.

    Raises:
        UsageError: the table does not have it.
    """
    releases, _ = _op_table.table()
    position = _op_table.position_of(text)
    if position is not None:
        return releases[position]
    raise UsageError('--target_tf={}: the table of ops has TensorFlow {} to {}.'.format(
        text, _op_table.short(releases[0]), _op_table.short(releases[-1])),
        'Give one of {}.'.format(', '.join(map(_op_table.short, releases))))


def _nodes(graph_def):
    """(what to call it, ``NodeDef``) of all nodes, those of functions too."""
    for node in graph_def.node:
        yield node.name, node
    for function in graph_def.library.function:
        for node in function.node_def:
            yield '{} in function {}'.format(node.name, function.signature.name), node


def _devices(label, graph_def):
    name = 'devices, {}'.format(label)
    bound, harmless = {}, 0
    for where, node in _nodes(graph_def):
        if node.device:
            if _HARMLESS.match(node.device):
                harmless += 1
            else:
                bound.setdefault(node.device, []).append(where)
    if bound:
        count = sum(map(len, bound.values()))
        return Check(_PART, name, _answer.WRONG, '{} bound to {}'.format(
            _answer.number(count, 'node') + (' is' if count == 1 else ' are'), _answer.few(sorted(bound))),
            tuple('{}: {}'.format(device, _answer.few(wheres, 3)) for device, wheres in sorted(bound.items())))
    if harmless:
        return Check(_PART, name, _answer.NOTE, '{} bound to the CPU, which every machine has'.format(
            _answer.number(harmless, 'node')))
    return Check(_PART, name, _answer.OK, 'none is named')


def _ops(label, graph_def, target):
    """Whether a TensorFlow release knows every op and attribute; without one, which release is the first to."""
    name = 'ops, {}'.format(label)
    releases, known = _op_table.table()
    place = None if target is None else releases.index(target)
    releases = [_op_table.short(release) for release in releases]
    functions = {function.signature.name for function in graph_def.library.function}
    first, strange, custom = 0, {}, {}
    for where, node in _nodes(graph_def):
        if node.op in functions:
            continue
        op = known[node.op]
        if op is None:
            custom.setdefault(node.op, where)
            continue
        first = max(first, op.since)
        if place is not None and not op.since <= place <= op.until:
            strange.setdefault('op {}: TensorFlow {} to {}'.format(
                node.op, releases[op.since], releases[op.until]), where)
        for attr in node.attr:
            if attr.startswith('_') or attr not in op.attrs:
                continue
            since, until, _ = op.attrs[attr]
            first = max(first, since)
            if place is not None and op.since <= place <= op.until and not since <= place <= until:
                strange.setdefault('attribute {} of {}: TensorFlow {} to {}'.format(
                    attr, node.op, releases[since], releases[until]), where)
    details = ['{} (node {})'.format(*row) for row in sorted(strange.items())]
    if strange:
        if name == 'ops, SavedModel':
            details.append('export_inference_graph --target_tf={} puts back those that have an earlier form'.format(
                target))
        return Check(_PART, name, _answer.WRONG, 'TensorFlow {} does not know {}'.format(
            releases[place], _answer.few([text.split(':')[0] for text in sorted(strange)])), tuple(details))
    if custom:
        return Check(_PART, name, _answer.NOTE if target is None else _answer.WRONG,
                     'in no release of TensorFlow: {}'.format(_answer.few(sorted(custom))),
                     tuple('op {} (node {})'.format(*row) for row in sorted(custom.items())))
    if target is not None:
        return Check(_PART, name, _answer.OK, 'TensorFlow {} knows all ops and attributes'.format(releases[place]))
    return Check(_PART, name, _answer.OK, 'TensorFlow {} and later know all of them{}'.format(
        releases[first], ' ({} is the oldest in the table)'.format(releases[0]) if not first else ''))


def _sizes(sizes):
    words = ', '.join('{} {}'.format(label, rich.filesize.decimal(size)) for label, size in sizes)
    broken = [label for label, size in sizes if size >= 2 * _GIB]
    if broken:
        return Check(_PART, 'sizes', _answer.WRONG, '{}: 2 GiB or more cannot be read ({})'.format(
            ' and '.join(broken), words))
    large = [label for label, size in sizes if size >= _GIB]
    if large:
        return Check(_PART, 'sizes', _answer.NOTE, '{}: 1 GiB or more is refused by older servers ({})'.format(
            ' and '.join(large), words))
    return Check(_PART, 'sizes', _answer.OK, '{}: below 1 GiB'.format(words))


def first_dimensions(servable, runs):
    """The ``Check`` whether every output has one row an image: REST's row format and a server's batching rely on it.

    Args:
        servable: ``Servable``; runs: list of ``_outputs.Run``, which may be empty.
    """
    name = 'first dimensions'
    wrong, seen = {}, False
    for run in runs:
        for output, found in run.first_dims.items():
            seen = True
            other = sorted(found - {run.batch}, key=str)
            if other:
                wrong.setdefault(output, 'a batch of {} gives {}'.format(
                    run.batch, 'a scalar' if other[0] is None else '{} rows'.format(other[0])))
    for output, info in servable.signature.outputs.items():
        if not info.tensor_shape.unknown_rank and not info.tensor_shape.dim:
            wrong.setdefault(output, 'a scalar')
    if wrong and set(wrong) <= _models.additional(servable.signature.outputs):
        return Check(_PART, name, _answer.NOTE, 'not the batch in {}, which the model has beside its own outputs: '
                     'requests go in columns, and a server cannot batch them'.format(_answer.few(sorted(wrong))),
                     tuple('{}: {}'.format(*row) for row in sorted(wrong.items())))
    if wrong:
        return Check(_PART, name, _answer.WRONG, 'not the batch in {}: these break REST rows and server batching'
                     .format(_answer.few(sorted(wrong))),
                     tuple('{}: {}'.format(*row) for row in sorted(wrong.items())))
    if not seen:
        return Check(_PART, name, _answer.SKIPPED, 'nothing ran that would show them')
    return Check(_PART, name, _answer.OK, 'the batch, in all {}'.format(
        _answer.number(len(servable.signature.outputs), 'output')))
