"""What an export, or a series of them, has made: the summary, one line of it, and what a failure has left.

Not for: refusals; ``_terminal`` shows those.
"""
import collections
import typing

import rich.filesize
import rich.text

from od_patch import _tensorflow
from od_patch import _text
from od_patch.export import _artifacts
from od_patch.export import _reports
from od_patch.staging import _store
from od_patch.terminal import _terminal


def show_summary(report: typing.Any, seconds: float, stream: typing.TextIO) -> None:
    """Prints what an export has made, and what to type next.

    Args:
        report: ``_reports.Report`` or ``_reports.SeriesReport``.
        seconds: float, how long it took in all.
        stream: text stream to print to.
    """
    console = _terminal.Console(file=stream, soft_wrap=True)
    if isinstance(report, _reports.SeriesReport):
        _show_series(report, seconds, console)
        return
    version, _ = _tensorflow.versions()
    console.print()
    console.print(rich.text.Text('{} {}'.format(_done(report), report.output_directory), style='bold'))
    console.print('exporter {}, TensorFlow {}, {:.1f} s'.format(report.release, version, seconds))
    console.print()

    width = max(len(name) for name, _ in report.files)
    for name, size in report.files:
        console.print(rich.text.Text('  {:<{w}}  {:>10}'.format(
            name, '' if size is None else rich.filesize.decimal(size), w=width).rstrip()))
    console.print()

    facts = [('weights', _weights(report))]
    if report.dry_run:
        facts.append(('dry run', 'nothing was written, and no graph was built'))
    elif _artifacts.SAVED_MODEL in report.artifacts:
        facts.append(('saved_model', _variables(report)))
    facts += report.facts
    if report.signature is not None:
        facts += [('input', _tensor(key, info)) for key, info in sorted(report.signature.inputs.items())]
        facts += [('output', _tensor(key, info)) for key, info in sorted(report.signature.outputs.items())]
    for name, fact in facts:  # no table: it would fold paths, which are copied whole or not at all
        console.print(rich.text.Text.assemble(('  {:<13}'.format(name), 'bold'), fact))
    if _artifacts.SAVED_MODEL in report.artifacts and not report.dry_run:
        console.print()
        console.print(rich.text.Text('Next:  ' + _text.command([
            _text.program('saved_model_cli'), 'show', '--all', '--dir',
            _store.below(report.output_directory, 'saved_model')])))
    for line in report.lines:
        console.print(rich.text.Text(line))


def _done(report: typing.Any) -> str:
    """Returns what an export did, or would do, to the folder that is named next."""
    if report.dry_run:
        return 'Would replace the export in' if report.replaced else 'Would export to'
    return 'Replaced the export in' if report.replaced else 'Exported to'


def _show_series(report: typing.Any, seconds: float, console: typing.Any) -> None:
    """Prints what a series of exports has made."""
    version, _ = _tensorflow.versions()
    console.print()
    console.print(rich.text.Text('{}: {}'.format(report.output_directory, _counts(report)), style='bold'))
    console.print('exporter {}, TensorFlow {}, {:.1f} s'.format(report.release, version, seconds))
    for prefix in report.waiting:
        console.print(rich.text.Text('  {} was still being written'.format(prefix), style='yellow'))
    if report.missed:
        console.print(rich.text.Text('  {} removed before {} could be exported: {}{}'.format(
            '1 checkpoint was' if len(report.missed) == 1 else '{} checkpoints were'.format(len(report.missed)),
            'it' if len(report.missed) == 1 else 'they', ', '.join(report.missed[:4]),
            ', …' if len(report.missed) > 4 else ''), style='yellow'))
    for result in report.results if report.dry_run else ():
        console.print(rich.text.Text('  {:>10}  {}: {}'.format(
            '?' if result.step is None else result.step, result.prefix, result.outcome)))
    made = [result.report for result in report.results if result.report]
    if made:
        console.print()
        facts = [('weights', 'moving averages' if made[-1].use_moving_averages else 'raw weights'),
                 ('saved_model', _variables(made[-1]) + ' each')]
        told = collections.Counter(fact for one in made for fact in one.facts)
        for name, text in collections.OrderedDict.fromkeys(fact for one in made for fact in one.facts):
            count = told[name, text]
            facts.append((name, text if count == len(made) else '{} ({} of {})'.format(text, count, len(made))))
        for name, fact in facts:
            console.print(rich.text.Text.assemble(('  {:<13}'.format(name), 'bold'), fact))
        console.print()
        console.print(rich.text.Text('Next:  ' + _text.command([
            _text.program('saved_model_cli'), 'show', '--all', '--dir', made[-1].output_directory])))


def show_failure(
        error: BaseException, progress: typing.Any, log_path: typing.Optional[str], stream: typing.TextIO) -> None:
    """Prints an exception that is no refusal, and where its traceback is.

    Args:
        error: the exception.
        progress: ``Progress`` of the export.
        log_path: str, the log with the traceback; None where it went to the terminal.
        stream: text stream to print to.
    """
    console = _terminal.Console(file=stream, soft_wrap=True)
    stage = ' in the stage "{}"'.format(progress.stage_name) if progress.stage_name else ''
    console.print(rich.text.Text.assemble(
        ('od-patch: ', 'bold red'), 'the export failed{}: {}: {}'.format(stage, type(error).__name__, error)))
    console.print(rich.text.Text('To be sure: {}.'.format(state_of_output(progress.report))))
    if log_path:
        console.print(rich.text.Text('The traceback and all that the exporter printed: {}'.format(log_path)))


def state_of_output(report: typing.Any) -> str:
    """Returns what an export that did not end well has left, in words.

    Args:
        report: ``_reports.Report`` or ``_reports.SeriesReport``, or None where
            the export did not get as far as its destination.
    """
    if report is None or report.dry_run:
        return 'the output directory is as it was'
    if isinstance(report, _reports.SeriesReport):
        return 'the SavedModels that are in {} are complete'.format(report.output_directory)
    return 'the export in {} is complete'.format(report.output_directory)


def summary_line(report: typing.Any) -> str:
    """Returns one line for scripts that print enough of their own.

    Args:
        report: ``_reports.Report`` or ``_reports.SeriesReport``.
    """
    if isinstance(report, _reports.SeriesReport):
        return 'od-patch: {}: {}'.format(report.output_directory, _counts(report))
    if report.dry_run:
        return 'od-patch: {} {}; nothing was written'.format(_done(report).lower(), report.output_directory)
    if _artifacts.SAVED_MODEL not in report.artifacts:
        return 'od-patch: {}: no saved_model was asked for'.format(report.output_directory)
    return 'od-patch: {}: {}; weights: {}'.format(
        _store.below(report.output_directory, 'saved_model'), _variables(report), _weights(report))


def _counts(report: typing.Any) -> str:
    """Returns how many checkpoints of a series were exported, skipped, and failed, in words."""
    outcomes = [result.outcome for result in report.results]
    return ', '.join('{} {}'.format(outcomes.count(outcome), outcome)
                     for outcome in (_reports.EXPORTED, _reports.PLANNED, _reports.SKIPPED, _reports.FAILED)
                     if outcome in outcomes)


def _weights(report: typing.Any) -> str:
    return '{} of {}{}'.format(
        'moving averages' if report.use_moving_averages else 'raw weights', report.checkpoint,
        '' if report.step is None else ', step {}'.format(report.step))


def _variables(report: typing.Any) -> str:
    if not report.written:
        return 'frozen constants, as upstream writes them'
    return '{:,} {} variables, {}{}'.format(
        report.written.num_variables, report.kind, rich.filesize.decimal(report.written.num_bytes),
        _left_out(report.written.left_out))


def _left_out(variables: typing.Sequence[typing.Tuple[str, int]]) -> str:
    """Returns in words which variables no output reads, so that they are not in the SavedModel."""
    if not variables:
        return ''
    if len(variables) == 1:
        return '; without {}, which no output reads'.format(variables[0][0])
    return '; without {:,} that no output reads, {}'.format(
        len(variables), rich.filesize.decimal(sum(size for _, size in variables)))


def _tensor(key: str, info: typing.Any) -> str:
    tf = _tensorflow.tf1()
    if info.tensor_shape.unknown_rank:
        shape = 'of unknown rank'
    else:
        shape = '[{}]'.format(', '.join('?' if dim.size == -1 else str(dim.size) for dim in info.tensor_shape.dim))
    return '{}  {} {}'.format(key, tf.as_dtype(info.dtype).name, shape)
