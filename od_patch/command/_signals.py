"""SIGINT and SIGTERM during an export: an exception, and raised again where something swallowed the first one.

Python raises what a handler raises wherever it happens to be: in a ``__del__``, which prints and drops it, or
below a bare ``except:``, of which TensorFlow 1 has many. An export would go on to its end, as if nobody had asked it.
Raised within TensorFlow's lock of a graph, it would leave the lock taken, and the way out would wait for it for ever.
Not for: what must not be disturbed (``_staging``), and the end of a watch (``_series``).
"""
import contextlib
import signal
import threading

from od_patch import _platform

_LOCKS = '.lock_util'  # how the name of TensorFlow's module ends whose locks are taken and given free line by line
_LATER, _MOST = 0.01, 200  # seconds until a signal comes again that arrived there, and how often it does

_arrived = []
_again = []  # a number for each time that one is sent again


class Terminated(BaseException):
    """SIGTERM arrived; raised so that what is staged is removed on the way out."""


_EXCEPTIONS = {number: KeyboardInterrupt if number == signal.SIGINT else Terminated for number in _platform.SIGNALS}


@contextlib.contextmanager
def obeyed():
    """Context: SIGINT and SIGTERM raise ``KeyboardInterrupt`` and ``Terminated``, at once or at the next ``heed``.

    One that the caller ignores (``nohup``, a job in the background of a shell) stays ignored.
    """
    del _arrived[:], _again[:]
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in _EXCEPTIONS}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, _raise)
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def heed():
    """Raises for the last signal that has arrived, if any has: who gets here is still at work in spite of it."""
    if _arrived:
        raise _EXCEPTIONS[_arrived[-1]]


@contextlib.contextmanager
def heeded():
    """Context: an error that a signal has turned into is that signal, and not one of the export's own."""
    try:
        yield
    except Exception:
        heed()
        raise


def _raise(number, frame):
    if _takes_a_lock(frame) and len(_again) < _MOST:
        _again.append(number)
        timer = threading.Timer(_LATER, _platform.send, (number,))
        timer.daemon = True
        timer.start()
        return
    _arrived.append(number)
    raise _EXCEPTIONS[number]


def _takes_a_lock(frame):
    """Returns whether what runs is a lock of TensorFlow's, or what that calls."""
    while frame is not None:
        if frame.f_globals.get('__name__', '').endswith(_LOCKS):
            return True
        frame = frame.f_back
    return False
