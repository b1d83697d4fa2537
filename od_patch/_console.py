"""The terminal: progress by stage, upstream's output kept aside in a log, and the summary at the end.

Not for: deciding anything; it shows what ``_export`` tells it.
"""
import contextlib
import os
import shutil
import sys
import tempfile
import time

import rich.filesize
import rich.live
import rich.progress
import rich.spinner
import rich.text

from od_patch import _errors
from od_patch import _export
from od_patch import _series
from od_patch import _tensorflow
from od_patch import _terminal
from od_patch import _text


class Log:
    """Keeps what is written to the process's stdout and stderr, from Python and from C++, in a file.

    TensorFlow's C++ parts write to the file descriptors themselves, so these are
    what is redirected. ``terminal`` and ``error_terminal`` still reach the user.

    Args:
        path: str, where the log is to stay; None for a temporary file, which has
            no name until ``keep`` is called: whoever is killed leaves none behind.
        verbose: bool, redirect nothing.
    """

    def __init__(self, path=None, verbose=False):
        self.verbose = verbose
        self.path = None
        if verbose:
            self.terminal = sys.stdout
            self.error_terminal = sys.stderr
            return
        if path is None:
            with tempfile.TemporaryFile() as nameless:
                handle = os.dup(nameless.fileno())
        else:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        self.path = path
        self._handle = handle
        self.terminal = self._reopened(sys.stdout)
        self.error_terminal = self._reopened(sys.stderr)

    @contextlib.contextmanager
    def redirected(self):
        """Context in which what is written to stdout and stderr goes to the log."""
        if self.verbose:
            yield
            return
        streams = ((1, sys.stdout), (2, sys.stderr))
        saved = []
        for number, stream in streams:
            stream.flush()
            saved.append(os.dup(number))
            os.dup2(self._handle, number)
        try:
            yield
        finally:
            for (number, stream), copy in zip(streams, saved):
                self._flush(stream, number)
                os.dup2(copy, number)
                os.close(copy)

    @staticmethod
    def _flush(stream, number):
        """Writes what a stream still holds to the log; to nowhere where that has no room, never to the terminal."""
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
            stream.flush()

    def write(self, text):
        """Adds text to the log."""
        if not self.verbose:
            with contextlib.suppress(OSError):  # no room: what is told on the terminal counts for more
                os.write(self._handle, text.encode('utf-8', 'replace'))

    def keep(self):
        """Gives the log a name, under which it stays; returns its path, None where there is none."""
        if self.path is None and not self.verbose:
            with contextlib.suppress(OSError):  # no room: what is to be said is said without it
                named, path = tempfile.mkstemp(prefix='od-patch-', suffix='.log')
                os.lseek(self._handle, 0, os.SEEK_SET)
                with os.fdopen(named, 'wb') as log, os.fdopen(os.dup(self._handle), 'rb') as nameless:
                    shutil.copyfileobj(nameless, log)
                self.path = path
        return self.path

    def close(self):
        """Ends the log; one without a name is gone."""
        if not self.verbose:
            os.close(self._handle)

    @staticmethod
    def _reopened(stream):
        """Returns a stream of its own on a copy of the descriptor that ``stream`` has now."""
        return os.fdopen(os.dup(stream.fileno()), 'w', buffering=1,
                         encoding=getattr(stream, 'encoding', None) or 'utf-8', errors='replace')


class Progress(_export.Observer):
    """Shows stages with their times on a terminal: a spinner where there is one, else a line per finished stage."""

    def __init__(self, stream):
        self.report = None
        self._console = _terminal.Console(file=stream, soft_wrap=True)
        self._name = None
        self._began = None
        self._started = time.time()
        self._spinner = None
        self._bar = None

    @property
    def stage_name(self):
        """The stage under way, or None."""
        return self._name

    @property
    def seconds(self):
        """Seconds since this object was made."""
        return time.time() - self._started

    def stage(self, name):
        if name == self._name:
            return
        self._end_stage()
        self._name = name
        self._began = time.time()
        if self._console.is_terminal:
            # Not Console.status: that one redirects sys.stdout and sys.stderr to the terminal, past our log.
            self._spinner = rich.live.Live(
                rich.spinner.Spinner('line', text='  ' + name), console=self._console, transient=True,
                redirect_stdout=False, redirect_stderr=False)
            self._spinner.start()

    def finished(self, report):
        self.stop()
        self.report = report

    def progress(self, done, total, name):
        if not self._console.is_terminal:
            return
        if self._bar is None:
            self.abandon()
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn('  {task.completed:.0f} of {task.total:.0f}'), rich.progress.BarColumn(),
                rich.progress.TimeRemainingColumn(), rich.progress.TextColumn('{task.description}'),
                console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
            self._bar.add_task('', total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=name)
        if done == total:
            self.abandon()

    def checkpoint(self, result):
        style = 'red' if result.outcome == _series.FAILED else ''
        self._console.print(rich.text.Text('  {:>10}  {}{}'.format(
            '?' if result.step is None else result.step, result.prefix,
            '' if result.outcome == _series.EXPORTED else ': ' + result.outcome), style=style))

    def note(self, text):
        self._console.print(rich.text.Text('  ' + text, style='yellow'))

    def stop(self):
        """Ends the stage under way."""
        self._end_stage()
        self._name = None

    def abandon(self):
        """Stops showing the stage under way, without a time; ``stage_name`` keeps its name."""
        for shown in (self._spinner, self._bar):
            if shown:
                shown.stop()
        self._spinner = self._bar = None

    def _end_stage(self):
        if self._name is None:
            return
        self.abandon()
        self._console.print('  {:<20}{:>7.1f} s'.format(self._name, time.time() - self._began))


def show_summary(report, seconds, stream):
    """Prints what an export has made, and what to type next.

    Args:
        report: ``_export.Report`` or ``_series.SeriesReport``.
        seconds: float, how long it took in all.
        stream: text stream to print to.
    """
    console = _terminal.Console(file=stream, soft_wrap=True)
    if isinstance(report, _series.SeriesReport):
        _show_series(report, seconds, console)
        return
    version, _ = _tensorflow.versions()
    console.print()
    console.print(rich.text.Text('{} {}'.format(
        'Replaced the export in' if report.replaced else 'Exported to', report.output_directory), style='bold'))
    console.print('exporter {}, TensorFlow {}, {:.1f} s'.format(report.release, version, seconds))
    console.print()

    width = max(len(name) for name, _ in report.files)
    for name, size in report.files:
        console.print(rich.text.Text('  {:<{w}}  {:>10}'.format(name, rich.filesize.decimal(size), w=width)))
    console.print()

    facts = [('weights', _weights(report))]
    if _export.SAVED_MODEL in report.artifacts:
        facts.append(('saved_model', _variables(report)))
    facts += report.facts
    facts += [('input', _tensor(key, info)) for key, info in sorted(report.signature.inputs.items())]
    facts += [('output', _tensor(key, info)) for key, info in sorted(report.signature.outputs.items())]
    for name, fact in facts:  # no table: it would fold paths, which are copied whole or not at all
        console.print(rich.text.Text.assemble(('  {:<13}'.format(name), 'bold'), fact))
    if _export.SAVED_MODEL in report.artifacts:
        console.print()
        console.print(rich.text.Text('Next:  ' + _text.command([
            'saved_model_cli', 'show', '--all', '--dir', os.path.join(report.output_directory, 'saved_model')])))
    for line in report.lines:
        console.print(rich.text.Text(line))


def _show_series(report, seconds, console):
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
    made = [result.report for result in report.results if result.report]
    if made:
        console.print()
        facts = [('weights', 'moving averages' if made[-1].use_moving_averages else 'raw weights'),
                 ('saved_model', _variables(made[-1]) + ' each')]
        for name, fact in facts:
            console.print(rich.text.Text.assemble(('  {:<13}'.format(name), 'bold'), fact))
        console.print()
        console.print(rich.text.Text('Next:  ' + _text.command([
            'saved_model_cli', 'show', '--all', '--dir', made[-1].output_directory])))


def show_refusal(error, stream):
    """Prints a refusal: what is wrong, and what to do."""
    console = _terminal.Console(file=stream, soft_wrap=True)
    console.print(rich.text.Text.assemble(('od-patch: ', 'bold red'), error.problem))
    if error.remedy:
        console.print(rich.text.Text(error.remedy))


def log_refused(path, error):
    """Returns the refusal of a log that cannot be written, an ``OSError``."""
    return _errors.UsageError('The log cannot be written to {}: {}.'.format(path, error.strerror),
                              'Give another --log_file.')


def show_failure(error, progress, log_path, stream):
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


def state_of_output(report):
    """Returns what an export that did not end well has left, in words.

    Args:
        report: ``_export.Report`` or ``_series.SeriesReport``, or None where
            the export did not get as far as its destination.
    """
    if report is None:
        return 'the output directory is as it was'
    if isinstance(report, _series.SeriesReport):
        return 'the SavedModels that are in {} are complete'.format(report.output_directory)
    return 'the export in {} is complete'.format(report.output_directory)


def summary_line(report):
    """Returns one line for scripts that print enough of their own.

    Args:
        report: ``_export.Report`` or ``_series.SeriesReport``.
    """
    if isinstance(report, _series.SeriesReport):
        return 'od-patch: {}: {}'.format(report.output_directory, _counts(report))
    if _export.SAVED_MODEL not in report.artifacts:
        return 'od-patch: {}: no saved_model was asked for'.format(report.output_directory)
    return 'od-patch: {}: {}; weights: {}'.format(
        os.path.join(report.output_directory, 'saved_model'), _variables(report), _weights(report))


def _counts(report):
    """Returns how many checkpoints of a series were exported, skipped, and failed, in words."""
    outcomes = [result.outcome for result in report.results]
    return ', '.join('{} {}'.format(outcomes.count(outcome), outcome)
                     for outcome in (_series.EXPORTED, _series.SKIPPED, _series.FAILED) if outcome in outcomes)


def _weights(report):
    return '{} of {}{}'.format(
        'moving averages' if report.use_moving_averages else 'raw weights', report.checkpoint,
        '' if report.step is None else ', step {}'.format(report.step))


def _variables(report):
    if not report.written:
        return 'frozen constants, as upstream writes them'
    return '{:,} {} variables, {}'.format(
        report.written.num_variables, report.kind, rich.filesize.decimal(report.written.num_bytes))


def _tensor(key, info):
    tf = _tensorflow.tf1()
    if info.tensor_shape.unknown_rank:
        shape = 'of unknown rank'
    else:
        shape = '[{}]'.format(', '.join('?' if dim.size == -1 else str(dim.size) for dim in info.tensor_shape.dim))
    return '{}  {} {}'.format(key, tf.as_dtype(info.dtype).name, shape)
