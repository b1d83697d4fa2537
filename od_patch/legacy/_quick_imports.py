"""Short cuts for importing the OD API under TensorFlow 1: slow functions of TensorFlow's, replaced by their equals.

``tf_inspect.currentframe`` is ``inspect.stack()[1][0]``, which reads the source
of every frame and looks through all modules for it. ``tf.contrib`` calls it
for each alias that it deprecates, a third of the time that the imports take.

For the command's own process, and on only while something is imported. Not for:
``import od_patch``, ``install()`` or ``patched()``, which leave TensorFlow alone.
"""
import collections
import importlib
import sys

from od_patch.legacy import _short_cuts
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


def _rows():
    rows = []
    for short_cut in SHORT_CUTS:
        if _versions.installed('tensorflow') is None or _versions.at_least('tensorflow', short_cut.until):
            continue
        rows.append((importlib.import_module(short_cut.module), short_cut.name,
                     lambda _, instead=short_cut.instead: instead))
    return rows


# A context manager: inside, the short cuts are on.
quick_imports = _short_cuts.ShortCuts(_rows).on
