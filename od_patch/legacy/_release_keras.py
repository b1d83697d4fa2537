"""Keras 2 where the OD API's TF 2 half takes its parts from the package ``keras`` itself, and not from ``tf.keras``.

``models/keras_models/resnet_v1.py`` builds ResNet-18 and -34 with
``keras.applications.resnet.ResNet``. Since 2.13 that package shows the whole
networks only, and since 2.16 it may be Keras 3, whose layers do not go with
those of ``tf.keras``.

Not for: which Keras ``tf.keras`` is; that is an environment variable (``choose_keras``).
"""
import importlib
import importlib.util
import sys

_MODULE = 'object_detection.models.keras_models.resnet_v1'


def is_needed():
    return True  # what the module has found, only importing it tells


def put_on():
    finder = _ResNetFinder()
    sys.meta_path.insert(0, finder)

    def take_off():
        # The module stays as it is: it has what it would have had in its own time.
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
    return take_off


class _ResNetFinder:
    """Finds the one module as the others do, and gives it the ResNet of ``tf.keras`` when it has been run."""

    def __init__(self):
        self._looking = False

    def find_spec(self, name, path=None, target=None):
        del path, target
        if name != _MODULE or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _mend(module)

        spec.loader.exec_module = exec_module
        return spec


def _mend(module):
    import tensorflow as tf
    wanted = tf.keras.layers.Layer.__module__.partition('.')[0]
    found = getattr(module, 'resnet', None)
    if found is None or hasattr(found, 'ResNet') and found.ResNet.__module__.partition('.')[0] == wanted:
        return
    for name in (wanted + '.src.applications.resnet', wanted + '.applications.resnet'):
        try:
            resnet = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(resnet, 'ResNet'):
            module.resnet = resnet
            return
