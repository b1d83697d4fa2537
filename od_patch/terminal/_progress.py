"""What a long command is doing: its stages with their times, on a terminal.

Not for: deciding what a stage is; an export says so to its ``Observer``, other commands by ``_stages``.
"""
import time

import rich.live
import rich.spinner

from od_patch.terminal import _terminal


class Progress:
    """Shows stages with their times on a terminal: a spinner where there is one, else a line per finished stage."""

    def __init__(self, stream):
        self._console = _terminal.Console(file=stream, soft_wrap=True)
        self._name = None
        self._began = None
        self._started = time.time()
        self._spinner = None

    @property
    def stage_name(self):
        """The stage under way, or None."""
        return self._name

    @property
    def seconds(self):
        """Seconds since this object was made."""
        return time.time() - self._started

    def stage(self, name):
        """A stage begins, and with it the one before ends."""
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

    def stop(self):
        """Ends the stage under way."""
        self._end_stage()
        self._name = None

    def abandon(self):
        """Stops showing the stage under way, without a time; ``stage_name`` keeps its name."""
        if self._spinner:
            self._spinner.stop()
        self._spinner = None

    def _end_stage(self):
        if self._name is None:
            return
        self.abandon()
        self._console.print('  {:<20}{:>7.1f} s'.format(self._name, time.time() - self._began))
