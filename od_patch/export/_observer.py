"""Who is told how an export goes."""
import logging
import sys
import typing

from od_patch import _text
from od_patch.export import _reports

_log = logging.getLogger('od_patch')


class Observer:
    """Is told how an export goes; this one logs what should be known. Subclassed by whoever shows progress.

    Attributes:
        keeps_output: bool, whether what the release prints is shown or kept, so that somebody can read it.
    """

    keeps_output = True

    def stage(self, name: str) -> None:
        """A stage has begun, and with it the one before has ended."""

    def finished(self, report: typing.Any) -> None:
        """The export is in its place; ``report`` is a ``_reports.Report``, for a series a ``_reports.SeriesReport``.

        Said in one line, on stderr: whoever exports from Python, or by the source patch, sees nothing else of od-patch.
        """
        from od_patch.export import _summary  # late: it imports rich, and `import od_patch` is to cost nothing
        sys.stderr.write(_text.plain(_summary.summary_line(report)) + '\n')

    def progress(self, done: int, total: int, name: str) -> None:
        """Of ``total`` checkpoints that are there, ``done`` are dealt with, and the one called ``name`` is next."""

    def checkpoint(self, result: _reports.Result) -> None:
        """One checkpoint of a series is dealt with; ``result`` is a ``_reports.Result``."""
        if result.error is not None:
            _log.error('%s: %s', result.prefix, result.error)

    def note(self, text: str) -> None:
        """Something that the user should know."""
        _log.warning('%s', text)
