"""A short cut for building a graph: what parameters a function has is found out once, and not for each op.

TensorFlow's ``create_op`` has a deprecated argument, and looks for each node
whether it was given, which takes the signature of ``create_op`` apart each time,
a seventh of the time that building a detector takes under TensorFlow 1.12.

The answer is the same: the function that TensorFlow asks is asked, and its
answer kept for as long as this is on. Not for: functions that a program makes
while it builds and changes; they would have to change their parameters.
"""
import contextlib
import importlib
import threading

_MODULE, _NAME = 'tensorflow.python.util.tf_inspect', '_getfullargspec'

_lock = threading.RLock()
_uses = 0
_replaced = []  # (module, what was there, what is there instead)


def remembering(original):
    """Returns a function that answers as ``inspect.getfullargspec`` does, which it asks once for each function."""
    known = {}

    def getfullargspec(target):
        try:
            spec = known.get(target)
        except TypeError:  # it cannot be a key
            return original(target)
        if spec is None:
            spec = known[target] = original(target)
        # Whoever asked may change what is in it.
        return spec._replace(
            args=list(spec.args), kwonlyargs=list(spec.kwonlyargs), annotations=dict(spec.annotations),
            kwonlydefaults=None if spec.kwonlydefaults is None else dict(spec.kwonlydefaults))
    return getfullargspec


@contextlib.contextmanager
def quick_building():
    """Context manager: the short cut is on inside, for all threads, and what was there is back outside."""
    global _uses  # pylint: disable=global-statement
    with _lock:
        if not _uses:
            _put_on()
        _uses += 1
    try:
        yield
    finally:
        with _lock:
            _uses -= 1
            if not _uses:
                _take_off()


def _put_on():
    try:
        module = importlib.import_module(_MODULE)
    except ImportError:  # a release of TensorFlow that has it elsewhere
        return
    original = getattr(module, _NAME, None)
    if original is not None:
        _replaced.append((module, original, remembering(original)))
        setattr(module, _NAME, _replaced[-1][2])


def _take_off():
    while _replaced:
        module, original, instead = _replaced.pop()
        if vars(module).get(_NAME) is instead:
            setattr(module, _NAME, original)
