"""What a long command is doing, for whoever waits at a terminal; silent for all others.

``stage`` says what begins now, and may be called anywhere; ``shown`` decides
whether anybody is told. Not for: exports, which have an observer of their own.
"""
import contextlib
import threading


class _Thread(threading.local):
    """Who watches what one thread is doing."""

    def __init__(self):
        super().__init__()
        self.watching = []


_thread = _Thread()


def stage(name):
    """Says that ``name`` begins, which ends what was said before."""
    if _thread.watching:
        _thread.watching[-1](name)


@contextlib.contextmanager
def watched(tell):
    """Context in which a function is called with the name of each stage that begins in this thread."""
    _thread.watching.append(tell)
    try:
        yield
    finally:
        _thread.watching.pop()


@contextlib.contextmanager
def shown(stream, wanted=True):
    """Stages with their times on ``stream``, as an export shows them, where it is a terminal and they are wanted."""
    if not wanted or not stream.isatty():
        yield
        return
    from od_patch.terminal import _progress
    progress = _progress.Progress(stream)
    with watched(progress.stage):
        try:
            yield
            progress.stop()
        except BaseException:
            progress.abandon()
            raise
