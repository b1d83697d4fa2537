"""research/slim on the path: the feature extractors say ``from nets import …``.

A package of the OD API puts slim beside ``object_detection``, and so does a
checkout; only who follows the installation notes to the letter has it on
``PYTHONPATH``.

Not for: finding the OD API itself.
"""
import importlib.util
import os
import sys


def is_needed():
    return importlib.util.find_spec('nets') is None and _folder() is not None


def put_on():
    folder = _folder()
    sys.path.append(folder)

    def take_off():
        if folder in sys.path:
            sys.path.remove(folder)
    return take_off


def _folder():
    """Returns the folder ``slim`` beside the OD API, if it has ``nets``; else None."""
    spec = importlib.util.find_spec('object_detection')
    for package in list(spec.submodule_search_locations or []) if spec else []:
        folder = os.path.join(os.path.dirname(os.path.abspath(package)), 'slim')
        if os.path.isdir(os.path.join(folder, 'nets')):
            return folder
    return None
