"""A short cut for building a graph: what parameters a function has is found out once, and not for each op.

TensorFlow's ``create_op`` has a deprecated argument, and looks for each node
whether it was given, which takes the signature of ``create_op`` apart each time,
a seventh of the time that building a detector takes under TensorFlow 1.12.

The answer is the same: the function that TensorFlow asks is asked, and its
answer kept for as long as this is on. Not for: functions that a program makes
while it builds and changes; they would have to change their parameters.
"""
import importlib

from od_patch.legacy import _short_cuts

_MODULE, _NAME = 'tensorflow.python.util.tf_inspect', '_getfullargspec'


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


def _rows():
    try:
        return [(importlib.import_module(_MODULE), _NAME, remembering)]
    except ImportError:  # a release of TensorFlow that has it elsewhere
        return []


# A context manager: inside, the short cut is on.
quick_building = _short_cuts.ShortCuts(_rows).on
