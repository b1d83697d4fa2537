"""TensorFlow 1's API, wherever the installed TensorFlow keeps it.

Imported late, inside functions: ``import od_patch`` must cost nothing, and must
not import TensorFlow before the user's script had a chance to set its
environment variables.
"""
import contextlib
import glob
import os
import re
import typing

from od_patch import _platform

# TensorFlow 1 has no annotations, and is not imported here: for readers.
Graph = typing.Any  # tf.Graph
Tensor = typing.Any  # tf.Tensor
MetaGraph = typing.Any  # MetaGraphDef

_without = []  # not empty: files are looked at without TensorFlow


def tf1():
    """Returns the module that has the TF 1 API: ``tensorflow`` or ``tensorflow.compat.v1`` (1.13 and later)."""
    import tensorflow
    return getattr(tensorflow.compat, 'v1', tensorflow)


def gfile():
    """Returns ``tf.gfile``, through which every path goes, so that ``gs://`` and the rest keep working."""
    return _Disk if _without else tf1().gfile


@contextlib.contextmanager
def files_of_this_machine():
    """Context in which ``gfile`` has this machine's files alone, and is there without an import of TensorFlow."""
    _without.append(True)
    try:
        yield
    finally:
        _without.pop()


class _Disk:
    """What of ``tf.gfile`` asks a disk: raises ``OSError`` where ``tf.gfile`` raises errors of its own."""

    Exists = staticmethod(os.path.exists)
    IsDirectory = staticmethod(os.path.isdir)
    ListDirectory = staticmethod(os.listdir)
    GFile = staticmethod(open)

    @staticmethod
    def Stat(path):  # pylint: disable=invalid-name
        return _Looks(os.stat(path))

    @staticmethod
    def Glob(pattern):  # pylint: disable=invalid-name
        # What TensorFlow has a backslash before; on Windows that is a separator, and brackets are what they are.
        return glob.glob(pattern.replace('[', '[[]') if _platform.WINDOWS else re.sub(r'\\(.)', r'[\1]', pattern))


class _Looks:
    """What ``tf.gfile.Stat`` tells of a file."""

    def __init__(self, stat):
        self.length, self.mtime_nsec = stat.st_size, stat.st_mtime_ns


def is_left_alone():
    """Whether files are looked at without TensorFlow, which is not imported yet."""
    return bool(_without)


def reader_errors():
    """Returns what TensorFlow's reader of checkpoints raises where one is damaged: another kind in many releases."""
    return (tf1().errors.OpError, RuntimeError, ValueError, TypeError, IndexError)


def versions():
    """Returns (version, git version) of the installed TensorFlow, as ``MetaInfoDef`` records them."""
    import tensorflow
    try:
        from tensorflow.python.framework import versions as tf_versions
        return tf_versions.VERSION, tf_versions.GIT_VERSION
    except (ImportError, AttributeError):
        return tensorflow.version.VERSION, tensorflow.version.GIT_VERSION
