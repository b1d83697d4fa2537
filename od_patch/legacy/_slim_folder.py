"""slim's ``nets`` where it stands: the feature extractors say ``from nets import …``.

A checkout puts slim beside ``object_detection``, and so does a package made from one; only who follows the
installation notes to the letter has it on ``PYTHONPATH``. The package of the index puts ``nets`` into
``object_detection`` itself. That folder never goes on the path: as regular packages, its ``utils``, ``data`` and
``core`` would hide a user's folders of these names, which have no ``__init__.py``.

Not for: finding the OD API itself.
"""
import importlib.machinery
import importlib.util
import os
import sys


def is_needed():
    return importlib.util.find_spec('nets') is None and (_beside() or _inside()) is not None


def put_on():
    folder = _beside()
    return _put_on_path(folder) if folder else _find_nets_in(_inside())


def _put_on_path(folder):
    sys.path.append(folder)

    def take_off():
        if folder in sys.path:
            sys.path.remove(folder)
    return take_off


def _find_nets_in(folder):
    finder = _NetsFinder(folder)
    sys.meta_path.append(finder)

    def take_off():
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
    return take_off


class _NetsFinder:
    """Finds ``nets``, and nothing else, in one folder."""

    def __init__(self, folder):
        self._folder = folder

    def find_spec(self, name, path=None, target=None):
        del path
        return importlib.machinery.PathFinder.find_spec(name, [self._folder], target) if name == 'nets' else None


def _beside():
    """Returns the folder ``slim`` beside the OD API, if it has ``nets``; else None."""
    return _with_nets(lambda package: os.path.join(os.path.dirname(package), 'slim'))


def _inside():
    """Returns the folder ``object_detection``, if it has ``nets``; else None."""
    return _with_nets(lambda package: package)


def _with_nets(folder_of):
    spec = importlib.util.find_spec('object_detection')
    for package in list(spec.submodule_search_locations or []) if spec else []:
        folder = folder_of(os.path.abspath(package))
        if os.path.isdir(os.path.join(folder, 'nets')):
            return folder
    return None
