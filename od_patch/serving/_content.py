"""What of a SavedModel is copied, for all that copies: its regular files, and nothing that lies elsewhere.

Not for: where the copies go (``_publish``, ``_archive``).
"""
import contextlib
import os
import shutil
import tempfile

from od_patch import _errors
from od_patch import _platform
from od_patch import _tensorflow
from od_patch import _text
from od_patch.staging import _store


def files_below(folder, left_out=None):
    """Returns [(path below it, with slashes; file)] of all regular files in a local folder, sorted.

    Args:
        folder: str.
        left_out: compiled pattern of the names of files and folders that are passed over, or None.

    Raises:
        od_patch.InputRefused: a link leads out of the folder, so that who copies it would give away what they do not
            see; or there is something that is neither file nor folder, or a name that a terminal would obey.
    """
    root = os.path.realpath(folder)
    found = []
    for place, folders, names in os.walk(folder, followlinks=False, onerror=_refuse):
        if left_out:
            folders[:] = [name for name in folders if not left_out.match(name)]
            names = [name for name in names if not left_out.match(name)]
        for name in names + [name for name in folders if os.path.islink(os.path.join(place, name))]:
            path = os.path.join(place, name)
            below = os.path.relpath(path, folder)
            real = os.path.realpath(path)
            if not real.startswith(os.path.join(root, '')):
                raise _errors.InputRefused('{} is a link that leads out of its folder, to {}.'.format(path, real),
                                           'Put the file itself there.')
            if not os.path.isfile(real):  # a pipe, say, which nobody writes to: reading it would never end
                raise _errors.InputRefused('{} is not a file that can be copied.'.format(path), 'Remove it.')
            if _text.plain(below) != below or '\n' in below:
                raise _errors.InputRefused('{!r} is no name for a file of a SavedModel.'.format(below), 'Rename it.')
            found.append((below.replace(os.sep, '/'), real))
    return sorted(found)


def copy(source, folder):
    """Copies all files of a SavedModel into a local folder that is there.

    Args:
        source: str, a local folder, or one of a store.
        folder: str.

    Raises:
        od_patch.InputRefused: as ``files_below``; or a store has a name that would lead out of the folder.
    """
    if _store.is_store(source):
        _copy_from_store(source.rstrip('/'), folder)
        return
    for place, folders, _ in os.walk(source):
        for name in folders:
            if not os.path.islink(os.path.join(place, name)):  # an empty folder is a part of the SavedModel, too
                os.makedirs(os.path.join(folder, os.path.relpath(os.path.join(place, name), source)), exist_ok=True)
    for below, file in files_below(source):
        target = os.path.join(folder, *below.split('/'))
        shutil.copyfile(file, target)


@contextlib.contextmanager
def local(source):
    """Context: a SavedModel in a local folder; one behind a scheme is copied to a private one."""
    if not _store.is_store(source):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix='od-patch-') as folder:
        copy(source, folder)
        yield folder


def _copy_from_store(source, folder):
    gfile = _tensorflow.gfile()
    for parts, folders, names in _store.walk(source):
        place = _store.join(source, *parts)
        for name in folders + names:
            if name in ('', '.', '..') or set(name) & {'/', '\0', '\n'} or _platform.misfit(name):
                raise _errors.InputRefused('{!r} in {} is no name for a file of a SavedModel.'.format(name, place),
                                           'Remove it there.')
        for name in folders:
            os.makedirs(os.path.join(folder, *(parts + [name])), exist_ok=True)
        for name in names:
            gfile.Copy(_store.join(place, name), os.path.join(folder, *(parts + [name])))


def _refuse(error):
    raise _errors.InputRefused('{} cannot be read: {}.'.format(error.filename, error.strerror),
                               'Check its permissions.')
