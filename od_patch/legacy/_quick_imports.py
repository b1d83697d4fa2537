"""Short cuts for importing the OD API under TensorFlow 1: slow functions of TensorFlow's, replaced by their equals.

``tf_inspect.currentframe`` is ``inspect.stack()[1][0]``, which reads the source
of every frame and looks through all modules for it. ``tf.contrib`` calls it
for each alias that it deprecates, a third of the time that the imports take.

For the command's own process, and on only while something is imported. Not for:
``import od_patch``, ``install()`` or ``patched()``, which leave TensorFlow alone.
"""
import collections
import contextlib
import importlib
import sys
import threading

from od_patch.legacy import _versions

ShortCut = collections.namedtuple('ShortCut', ['module', 'name', 'until', 'instead'])
ShortCut.__doc__ = """One function that is replaced.

Attributes:
    module: str, where it is; name: str, what it is called there.
    until: str, the first version of TensorFlow that does not call it while the OD API is imported.
    instead: the function that does the same.
"""


def _calling_frame():
    return sys._getframe(1)  # pylint: disable=protected-access  (what inspect.currentframe calls)


SHORT_CUTS = (
    ShortCut('tensorflow.python.util.tf_inspect', 'currentframe', '2.0', _calling_frame),
)

_lock = threading.RLock()
_uses = 0
_replaced = []  # (module, name, what was there, what is there instead)


@contextlib.contextmanager
def quick_imports():
    """Context manager: the short cuts are on inside, for all threads, and what was there is back outside."""
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
    for short_cut in SHORT_CUTS:
        if _versions.installed('tensorflow') is None or _versions.at_least('tensorflow', short_cut.until):
            continue
        module = importlib.import_module(short_cut.module)
        if hasattr(module, short_cut.name):
            _replaced.append((module, short_cut.name, getattr(module, short_cut.name), short_cut.instead))
            setattr(module, short_cut.name, short_cut.instead)


def _take_off():
    while _replaced:
        module, name, original, instead = _replaced.pop()
        if vars(module).get(name) is instead:
            setattr(module, name, original)
