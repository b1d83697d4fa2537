"""The versions of what is installed, as tuples that can be compared.

Not for: TensorFlow's own ``versions()``, which the record of an export takes from ``_tensorflow``.
"""
import importlib
import re

# package -> the module that has its __version__
_MODULES = {'tensorflow': 'tensorflow', 'numpy': 'numpy', 'protobuf': 'google.protobuf'}


def installed(package):
    """Returns the version of a package as str, or None where it cannot be imported. TensorFlow is imported for it."""
    try:
        return getattr(importlib.import_module(_MODULES[package]), '__version__', None)
    except ImportError:
        return None


def as_tuple(version):
    """Returns the numbers that a version begins with: '1.24.0rc1' is (1, 24, 0)."""
    return tuple(int(number) for number in re.match(r'[0-9.]*', version).group().split('.') if number)


def at_least(package, version):
    """Returns whether the installed ``package`` is of ``version`` or later."""
    found = installed(package)
    return found is not None and as_tuple(found) >= as_tuple(version)
