"""An export that is shown on a terminal as it goes: its stages, the bar of a series, notes.

Not for: the summary at the end (``_summary``).
"""
import typing

import rich.progress
import rich.text

from od_patch.export import _observer
from od_patch.export import _reports
from od_patch.terminal import _progress


class Shown(_progress.Progress, _observer.Observer):
    """Shows what an ``Observer`` is told.

    Attributes:
        report: what was made; None before that. notes: what it had to say.
    """

    def __init__(self, stream: typing.TextIO) -> None:
        super().__init__(stream)
        self.report = None
        self.notes: typing.List[str] = []
        self._bar: typing.Any = None

    def finished(self, report: typing.Any) -> None:
        self.stop()
        self.report = report

    def progress(self, done: int, total: int, name: str) -> None:
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

    def checkpoint(self, result: _reports.Result) -> None:
        if result.outcome == _reports.PLANNED:
            return  # the summary lists them
        style = 'red' if result.outcome == _reports.FAILED else ''
        self._console.print(rich.text.Text('  {:>10}  {}{}'.format(
            '?' if result.step is None else result.step, result.prefix,
            '' if result.outcome == _reports.EXPORTED else ': ' + result.outcome), style=style))

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._console.print(rich.text.Text('  ' + text, style='yellow'))

    def abandon(self) -> None:
        super().abandon()
        if self._bar:
            self._bar.stop()
        self._bar = None
