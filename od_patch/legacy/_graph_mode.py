"""TensorFlow 1's behaviour inside TensorFlow 2, for as long as something is imported or exported.

``tf.compat.v1.disable_v2_behavior()`` cannot be taken back: eager execution can
only be enabled at the start of a program. So graph mode comes from a graph that
is current in this thread, and the other switches are turned one by one, and back.

Not for: TensorFlow 1, where it does nothing.
"""
import collections
import contextlib
import threading

from od_patch import _tensorflow
from od_patch.legacy import _versions

_Switch = collections.namedtuple('_Switch', ['is_on', 'turn_on', 'turn_off'])

_lock = threading.RLock()
_uses = 0
_turned_off = []


@contextlib.contextmanager
def tf1_behaviour():
    """Context manager: graph mode in this thread, and TensorFlow 1's defaults in the process.

    The defaults are variables as references, control flow that a TensorFlow 1
    runtime knows, and ``Dimension`` objects in shapes; the OD API asks
    ``tf2.enabled()`` which of its two halves to import. Other threads stay
    eager; that they see the defaults of TensorFlow 1 meanwhile cannot be helped.
    """
    if not _versions.at_least('tensorflow', '2.0'):
        yield
        return
    tf = _tensorflow.tf1()
    _turn_off()
    try:
        if tf.executing_eagerly():
            with tf.Graph().as_default():
                yield
        else:
            yield
    finally:
        _turn_back()


def _turn_off():
    global _uses  # pylint: disable=global-statement
    with _lock:
        _uses += 1
        if _uses == 1:
            for switch in _switches():
                if switch.is_on():
                    switch.turn_off()
                    _turned_off.append(switch)


def _turn_back():
    global _uses  # pylint: disable=global-statement
    with _lock:
        _uses -= 1
        while not _uses and _turned_off:
            _turned_off.pop().turn_on()


def _switches():
    from tensorflow.python import tf2  # what object_detection.utils.tf_version asks
    tf = _tensorflow.tf1()
    return (
        _Switch(tf2.enabled, tf2.enable, tf2.disable),
        _Switch(tf.resource_variables_enabled, tf.enable_resource_variables, tf.disable_resource_variables),
        _Switch(tf.control_flow_v2_enabled, tf.enable_control_flow_v2, tf.disable_control_flow_v2),
        _Switch(_has_plain_dimensions, tf.enable_v2_tensorshape, tf.disable_v2_tensorshape),
        _Switch(_compares_by_value, tf.enable_tensor_equality, tf.disable_tensor_equality),
    )


def _has_plain_dimensions():
    """Whether a shape's dimensions are numbers and not ``Dimension`` objects; there is no function that tells."""
    return _tensorflow.tf1().TensorShape([1])[0] == 1 and isinstance(_tensorflow.tf1().TensorShape([1])[0], int)


def _compares_by_value():
    """Whether ``==`` of tensors is an operation, so that they have no hash; there is no function that tells."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default():
        try:
            hash(tf.placeholder(tf.float32))
        except TypeError:
            return True
    return False
