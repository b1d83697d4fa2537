"""What a long command is doing, for whoever waits at a terminal; silent for all others.

``stage`` says what begins now, and may be called anywhere; ``shown`` decides
whether anybody is told. Not for: exports, which have an observer of their own.
"""
import contextlib

_watching = []


def stage(name):
    """Says that ``name`` begins, which ends what was said before."""
    if _watching:
        _watching[-1].stage(name)


@contextlib.contextmanager
def shown(stream, wanted=True):
    """Stages with their times on ``stream``, as an export shows them, where it is a terminal and they are wanted."""
    if not wanted or not stream.isatty():
        yield
        return
    from od_patch.terminal import _progress
    progress = _progress.Progress(stream)
    _watching.append(progress)
    try:
        yield
        progress.stop()
    except BaseException:
        progress.abandon()
        raise
    finally:
        _watching.pop()
