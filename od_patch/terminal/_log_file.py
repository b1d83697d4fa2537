"""What TensorFlow and the release print, kept aside in a file.

Not for: what od-patch itself says; ``Log.terminal`` and ``Log.error_terminal`` take that to the user.
"""
import contextlib
import os
import shutil
import sys
import tempfile

from od_patch import _errors
from od_patch import _platform


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
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _platform.BYTES, 0o666)
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
        """Ends the log, and its streams to the terminal; a log without a name is gone."""
        if self.verbose:
            return
        for stream in (self.terminal, self.error_terminal):
            with contextlib.suppress(OSError):  # whoever reads it is gone
                stream.close()
        os.close(self._handle)

    @staticmethod
    def _reopened(stream):
        """Returns a stream of its own on a copy of the descriptor that ``stream`` has now."""
        return os.fdopen(os.dup(stream.fileno()), 'w', buffering=1,
                         encoding=getattr(stream, 'encoding', None) or 'utf-8', errors='backslashreplace')


def log_refused(path, error):
    """Returns the refusal of a log that cannot be written, an ``OSError``."""
    return _errors.UsageError('The log cannot be written to {}: {}.'.format(path, error.strerror),
                              'Give another --log_file.')
