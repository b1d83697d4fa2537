"""``legacy_tf_layers`` under the name by which ``tf.compat.v1.layers`` asks Keras for it.

``tensorflow.python.layers.normalization`` loads ``keras.legacy_tf_layers`` (or
``tf_keras.legacy_tf_layers``) when batch normalization is first used; from 2.13
on, Keras has that package under ``….src.`` only.

Not for: Keras 3, which has no such layers; ``tf_keras`` is what is needed beside it.
"""
import importlib
import importlib.util
import os

from od_patch.legacy import _finder

_PACKAGES = ('tf_keras', 'keras')


def is_needed():
    return bool(_moved())


def missing_package():
    """Returns the package that TensorFlow looks for the layers in, 'tf_keras' or 'keras', if it does not have them."""
    from tensorflow.python.layers import normalization
    # A lazy loader, which tells its name without loading anything: keras until 2.14, tf_keras since.
    package = vars(normalization.normalization).get('__name__', 'tf_keras').partition('.')[0]
    has_them = _has_folder(package, 'src', 'legacy_tf_layers') or _has_folder(package, 'legacy_tf_layers')
    return None if has_them else package


def put_on():
    return _finder.Finder(_is_alias, lambda name: importlib.import_module(_source(name))).put_on()


def _is_alias(name):
    package, _, rest = name.partition('.')
    if package not in _PACKAGES or rest.split('.')[0] != 'legacy_tf_layers':
        return False
    return _exists(_source(name))


def _source(name):
    package, _, rest = name.partition('.')
    return '{}.src.{}'.format(package, rest)


def _moved():
    """Returns the packages whose layers are only where ``tf.compat.v1`` does not look."""
    return [package for package in _PACKAGES
            if _has_folder(package, 'src', 'legacy_tf_layers') and not _has_folder(package, 'legacy_tf_layers')]


def _has_folder(package, *parts):
    """Asked of the disk: finding a submodule would import all of Keras, which takes seconds."""
    spec = importlib.util.find_spec(package)
    return any(os.path.isdir(os.path.join(folder, *parts))
               for folder in (spec.submodule_search_locations or [] if spec else []))


def _exists(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
