"""What unfreezing found and did, as lines and as JSON.

Not for: finding it.
"""
import collections
import os
import typing

from od_patch import _text
from od_patch.graphs import _tensors
from od_patch.proof import _answer


class Told(typing.NamedTuple):
    """The same thing twice."""

    lines: typing.List[str]
    as_json: typing.Dict[str, typing.Any]


def listed(frozen):
    """Returns ``Told`` of the constants that become variables."""
    lines = ['{:<9}{:<20}{}'.format(_tensors.dtype_name(one.dtype), _shape(one.shape), one.name)
             for one in frozen.variables]
    lines.append('')
    lines.append('{} constants of {} become variables, {:,} values.'.format(
        len(frozen.variables), frozen.source.path, sum(one.size for one in frozen.variables)))
    lines += ['Note: {}.'.format(note) for note in frozen.notes]
    return Told(lines, collections.OrderedDict([
        ('frozen', frozen.source.path), ('variables', _variables(frozen.variables)), ('inputs', frozen.inputs),
        ('outputs', frozen.outputs), ('notes', frozen.notes)]))


def done(unfrozen):
    """Returns ``Told`` of an ``Unfrozen``."""
    folder = unfrozen.output_directory
    saved_model, checkpoint = os.path.join(folder, 'saved_model'), os.path.join(folder, 'model.ckpt')
    counts = unfrozen.answer.counts
    lines = [
        'SavedModel   {}: {} variables, {:.1f} MB'.format(
            saved_model, len(unfrozen.variables), unfrozen.num_bytes / 1e6),
        'checkpoint   {}: the same values, and a global_step of 0'.format(checkpoint)]
    lines += ['  {:<9}  {:<30} {}'.format(way, key, tensor) for way, tensors in (
        ('input', unfrozen.inputs), ('output', unfrozen.outputs)) for key, tensor in tensors.items()]
    lines.append('proof        files, weights and outputs: {}'.format(', '.join(
        '{} {}'.format(counts[status], status) for status in counts if counts[status])))
    lines += ['  not checked  {}: {}'.format(check.name, check.text) for check in unfrozen.answer.checks
              if check.status == _answer.SKIPPED]
    lines += ['Note: {}.'.format(note) for note in unfrozen.notes]
    lines += ['', 'Next:  ' + _text.command(['od-patch', 'publish', folder, 'models/detector'])]
    return Told(lines, collections.OrderedDict([
        ('saved_model', saved_model), ('checkpoint', checkpoint),
        ('variables', _variables(unfrozen.variables)), ('bytes', unfrozen.num_bytes), ('inputs', unfrozen.inputs),
        ('outputs', unfrozen.outputs), ('proof', unfrozen.answer.as_json()), ('notes', unfrozen.notes)]))


def _variables(found):
    return [collections.OrderedDict([('name', one.name), ('dtype', _tensors.dtype_name(one.dtype)),
                                     ('shape', list(one.shape)), ('known_by', one.by)]) for one in found]


def _shape(shape):
    return ' x '.join(map(str, shape)) or 'scalar'
