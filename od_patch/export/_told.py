"""What an export, or a series of them, has made, as JSON: the fields of ``od_patch.ExportReport`` and ``SeriesReport``.

Not for: words (``_summary``).
"""
import collections
import typing

from od_patch import _tensorflow
from od_patch.export import _artifacts
from od_patch.export import _reports

SCHEMA = 1


def as_json(report: typing.Any, notes: typing.Iterable[str], seconds: float) -> typing.Dict[str, typing.Any]:
    """Returns a dict of what JSON knows.

    Args:
        report: ``_reports.Report`` or ``_reports.SeriesReport``.
        notes: what the export had to say; seconds: how long it took in all.
    """
    if isinstance(report, _reports.SeriesReport):
        return collections.OrderedDict([
            ('schema', SCHEMA), ('output', report.output_directory), ('dry_run', report.dry_run),
            ('release', report.release), ('tensorflow', _tensorflow.versions()[0]), ('seconds', round(seconds, 3)),
            ('checkpoints', [_of_result(result) for result in report.results]),
            ('waiting', list(report.waiting)), ('missed', list(report.missed)), ('notes', list(notes))])
    told = collections.OrderedDict([
        ('schema', SCHEMA), ('output', report.output_directory), ('dry_run', report.dry_run),
        ('replaced', report.replaced), ('release', report.release), ('tensorflow', _tensorflow.versions()[0]),
        ('seconds', round(seconds, 3)),
        ('artifacts', [name for name in _artifacts.ARTIFACTS if name in report.artifacts]),
        ('files', [collections.OrderedDict([('path', name), ('bytes', size)]) for name, size in report.files]),
        ('kind', report.kind),
        ('variables', report.written.num_variables if report.written else None),
        ('variable_bytes', report.written.num_bytes if report.written else None),
        ('weights', 'moving averages' if report.use_moving_averages else 'raw weights'),
        ('checkpoint', report.checkpoint), ('step', report.step),
        ('signature', None if report.signature is None else _of_signature(report.signature)),
        ('notes', list(notes))])
    told.update(report.told)
    return told


def _of_result(result: _reports.Result) -> typing.Dict[str, typing.Any]:
    return collections.OrderedDict([
        ('checkpoint', result.prefix), ('step', result.step), ('outcome', result.outcome),
        ('error', None if result.error is None else str(result.error)),
        ('export', None if result.report is None else as_json(result.report, (), 0))])


def _of_signature(signature: typing.Any) -> typing.Dict[str, typing.Any]:
    return collections.OrderedDict(
        (way, collections.OrderedDict((key, _of_tensor(info)) for key, info in sorted(tensors.items())))
        for way, tensors in (('inputs', signature.inputs), ('outputs', signature.outputs)))


def _of_tensor(info: typing.Any) -> typing.Dict[str, typing.Any]:
    shape = None if info.tensor_shape.unknown_rank else [
        None if dim.size == -1 else int(dim.size) for dim in info.tensor_shape.dim]
    return collections.OrderedDict([
        ('name', info.name), ('dtype', _tensorflow.tf1().as_dtype(info.dtype).name), ('shape', shape)])
