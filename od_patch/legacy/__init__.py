"""What lets the OD API's TF 1 exporter run on TensorFlow 2: bridges that are put on at run time and taken off again.

The releases from 2020-05-26 on go through ``tf.compat.v1``, and still lean on
things that TensorFlow 2, its Keras, numpy and protobuf have dropped. Each bridge
is a module of its own, named after what it mends; the table below says to which
versions it applies. On TensorFlow 1 none does; the commands import it faster
there, with ``quick_imports``.

Not for: changing what a model computes, nor for releases that need the real
``tf.contrib``; those are refused by ``_environment``.
"""
import contextlib
import os
import threading
import typing

from od_patch.legacy import _contrib
from od_patch.legacy import _graph_mode
from od_patch.legacy import _legacy_layers
from od_patch.legacy import _moved_ops
from od_patch.legacy import _numpy_aliases
from od_patch.legacy import _old_protos
from od_patch.legacy import _optional_packages
from od_patch.legacy import _quick_building
from od_patch.legacy import _quick_imports
from od_patch.legacy import _release_keras
from od_patch.legacy import _slim_folder
from od_patch.legacy import _versions

__all__ = ['BRIDGES', 'EAGER_BRIDGES', 'Bridge', 'missing_layers', 'needed', 'on', 'on_eager',
           'choose_keras', 'put_on', 'quick_imports', 'take_off', 'tf1_behaviour']

tf1_behaviour = _graph_mode.tf1_behaviour
quick_imports = _quick_imports.quick_imports
quick_building = _quick_building.quick_building


class Bridge(typing.NamedTuple):
    """One thing that was dropped, and is there while the bridge is on."""

    name: str
    applies_to: typing.Any  # dict from package to the first version that needs the bridge; all must be met
    mends: str  # what fails without it
    # has ``is_needed() -> bool``, which looks at what is installed, and ``put_on() -> callable`` that takes it off
    # again.
    module: typing.Any


# In the order in which they are put on.
BRIDGES = (
    Bridge('slim_folder', {'tensorflow': '2.0'},
           'slim is not on the path, and "from nets import …" fails', _slim_folder),
    Bridge('contrib', {'tensorflow': '2.0'},
           'tf.contrib is gone; parts that inference never calls import it', _contrib),
    Bridge('old_protos', {'tensorflow': '2.0'},
           'the compiled protos are of another time than the installed protobuf', _old_protos),
    Bridge('numpy_aliases', {'tensorflow': '2.0', 'numpy': '1.24'},
           'np.int, np.float and their like are gone', _numpy_aliases),
    Bridge('moved_ops', {'tensorflow': '2.13'},
           "names that tf_slim takes from TensorFlow's private modules have moved", _moved_ops),
    Bridge('legacy_layers', {'tensorflow': '2.13'},
           'tf.compat.v1.layers looks for legacy_tf_layers where Keras no longer has it', _legacy_layers),
)

# What the OD API's TF 2 half needs beside them.
EAGER_BRIDGES = (
    Bridge('release_keras', {'tensorflow': '2.13'},
           'it takes parts of Keras from the package keras, which has moved them, or is Keras 3', _release_keras),
    Bridge('optional_packages', {'tensorflow': '2.0'},
           'it imports tensorflow-io and tf-models-official, which one of its models needs each', _optional_packages),
)

_lock = threading.RLock()
_uses = 0
_take_off = []


def needed():
    """Returns the list of ``Bridge`` that the installed versions call for; [] on TensorFlow 1. Changes nothing."""
    return [bridge for bridge in BRIDGES if _is_needed(bridge)]


def missing_layers():
    """Returns the package that ``tf.compat.v1.layers`` would be loaded from and that has none; None where it has."""
    return _legacy_layers.missing_package() if _versions.at_least('tensorflow', '2.12') else None


def put_on():
    """Puts on what is needed; each call needs its ``take_off``, and the last of these undoes it all."""
    global _uses  # pylint: disable=global-statement
    with _lock:
        if not _uses:
            try:
                for bridge in BRIDGES:  # whether one is needed may depend on those before it
                    if _is_needed(bridge):
                        _take_off.append(bridge.module.put_on())
            except BaseException:
                _undo()
                raise
        _uses += 1


def take_off():
    """Undoes one ``put_on``."""
    global _uses  # pylint: disable=global-statement
    with _lock:
        _uses -= 1
        if not _uses:
            _undo()


@contextlib.contextmanager
def on():
    """Context manager: the bridges are on inside."""
    put_on()
    try:
        yield
    finally:
        take_off()


@contextlib.contextmanager
def on_eager():
    """Context manager: all that the OD API's TF 2 half needs is on inside, in TensorFlow 2's own behaviour.

    Keras 2 has to be chosen before TensorFlow first looks for a Keras: ``choose_keras``.
    """
    with on(), contextlib.ExitStack() as stack:
        for bridge in EAGER_BRIDGES:
            if _is_needed(bridge):
                stack.callback(bridge.module.put_on())
        yield


def choose_keras():
    """Has TensorFlow take Keras 2, which the OD API is written for, where it would take Keras 3: from 2.16 on.

    For the process of a command: TensorFlow looks once, when something of Keras is first used.
    """
    os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')


def _is_needed(bridge):
    return all(_versions.at_least(package, version) for package, version in bridge.applies_to.items()) and \
        bridge.module.is_needed()


def _undo():
    while _take_off:
        _take_off.pop()()
