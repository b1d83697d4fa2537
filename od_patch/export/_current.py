"""What a thread is at. The release calls the replacements back by their names, so they have to find it here."""
import contextlib
import threading
import typing

from od_patch.export import _moments
from od_patch.export import _observer
from od_patch.export import _request


class _Thread(threading.local):
    """What is current in one thread."""

    asked: typing.Optional[typing.Tuple[_request.Options, _observer.Observer]] = None  # of its innermost ``patched()``
    run: typing.Optional[_moments.Run] = None


_thread = _Thread()


def run() -> typing.Optional[_moments.Run]:
    """Returns what this thread's export function is running; None outside of an export."""
    return _thread.run


def asked() -> typing.Tuple[_request.Options, _observer.Observer]:
    """Returns the options and the observer of the innermost ``patched()``, else the defaults."""
    return _thread.asked or (_request.Options(), _observer.Observer())


@contextlib.contextmanager
def asking(options: _request.Options, observer: _observer.Observer) -> typing.Iterator[None]:
    """Context in which exports of this thread have these options."""
    before = _thread.asked
    _thread.asked = (options, observer)
    try:
        yield
    finally:
        _thread.asked = before


@contextlib.contextmanager
def running(current: _moments.Run) -> typing.Iterator[None]:
    """Context in which a ``_moments.Run`` is the current one of this thread."""
    _thread.run = current
    try:
        yield
    finally:
        _thread.run = None
