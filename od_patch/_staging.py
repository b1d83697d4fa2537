"""Writes elsewhere, then moves into place: never a half-written export.

An export into ``models/out`` is written into ``models/.out.od-patch/export`` and
appears under its final name in one step when it is whole:

* where ``out`` does not exist or is empty, by renaming the folder;
* where it holds something, by exchanging the two folders in one system call
  (Linux ``renameat2``), the staged one having got hard links to everything else
  that ``out`` held;
* where the file system cannot do that, artefact by artefact, ``saved_model``
  last, with a journal from which the next run puts back what was there.

Whoever is killed leaves ``.out.od-patch`` behind, and its lock is free: the next
run into the same place recognises that and removes it.

Not for: knowing what an export consists of.
"""
import collections
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile

from od_patch import _errors
from od_patch import _tensorflow

_LAST = 'saved_model'  # whoever waits for an export waits for this name
_MAX_LINKED = 20000    # above that, a folder is not one that an export is exchanged with as a whole
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


Staged = collections.namedtuple('Staged', ['export', 'temporary'])
Staged.__doc__ = """Two existing, empty, private folders of an export under way.

Attributes:
    export: str, what is written here is moved into place at the end.
    temporary: str, what is written here is removed at the end.
"""


class _CannotExchange(Exception):
    """This file system or this folder does not allow exchanging two folders in one step."""


@contextlib.contextmanager
def staged(output_directory):
    """Context of one export: yields the folder to write to, and moves its content into place at the end.

    When the body raises, nothing is moved and the staged folder is removed.

    Args:
        output_directory: str, where the export is to appear. A path with a
            scheme (``gs://…``) is written to a local folder and uploaded,
            ``saved_model`` last: such a store has no renames.

    Yields:
        ``Staged``.

    Raises:
        od_patch.OutputRefused: the place cannot be written, or another export
            into it is running.
    """
    if '://' in output_directory:
        with tempfile.TemporaryDirectory(prefix='od-patch-') as workshop:
            folders = _make_folders(workshop, 0o777)
            yield folders
            _upload(folders.export, output_directory)
        return
    target = os.path.realpath(output_directory)
    workshop = _workshop(target)
    with _made_parents(workshop), _locked(workshop, target):
        _clean_up_after_the_dead(workshop, target)
        folders = _make_folders(workshop, _mode(target))
        yield folders
        _move_into_place(folders.export, target, workshop)


def _make_folders(workshop, mode):
    folders = Staged(os.path.join(workshop, 'export'), os.path.join(workshop, 'temporary'))
    os.mkdir(folders.export, mode)
    os.mkdir(folders.temporary, 0o700)
    return folders


def check_writable(output_directory):
    """Refuses an output directory that could not be written, before any work is done.

    Raises:
        od_patch.OutputRefused: with the first existing folder on the way and
            what it lacks.
    """
    if '://' in output_directory:
        return
    existing = os.path.realpath(output_directory)
    if os.path.exists(existing) and not os.path.isdir(existing):
        raise _errors.OutputRefused(
            'The output directory {} is a file.'.format(output_directory), 'Give another --output_directory.')
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise _errors.OutputRefused(
            'The output directory {} lies below {}, which is a file.'.format(output_directory, existing),
            'Give another --output_directory.')
    # Asked by doing: access(2) says yes to root on a read-only file system's folder, and to nobody else on some others.
    try:
        os.rmdir(tempfile.mkdtemp(prefix='.od-patch-', dir=existing))
    except OSError as error:
        raise _errors.OutputRefused(
            'The output directory {} cannot be written: {} ({}).'.format(
                output_directory, error.strerror, existing),
            'Give another --output_directory, or make that one writable.')


def _workshop(target):
    """Returns the folder that the export into ``target`` is prepared in: beside it, or inside where beside is barred."""
    parent, name = os.path.split(target)
    if os.path.isdir(target) and (os.path.ismount(target) or not os.access(parent, os.W_OK | os.X_OK)):
        return os.path.join(target, '.od-patch')
    return os.path.join(parent, '.{}.od-patch'.format(name))


@contextlib.contextmanager
def _made_parents(path):
    """Makes the folders above ``path``; those that are still empty at the end go again."""
    made = []
    parent = os.path.dirname(path)
    while not os.path.isdir(parent):
        made.append(parent)
        parent = os.path.dirname(parent)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        yield
    finally:
        for folder in made:
            try:
                os.rmdir(folder)
            except OSError:
                break  # it holds the export


@contextlib.contextmanager
def _locked(workshop, target):
    """Holds the workshop for this process alone; its lock dies with the process, however that ends."""
    path = os.path.join(workshop, 'lock')
    while True:
        try:
            os.mkdir(workshop, 0o700)
        except FileExistsError:
            _check_ours(workshop)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the one who held it removed it between our two calls
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise _errors.OutputRefused(
                'Another export into {} is running (it holds {}).'.format(target, path),
                'Wait for it to end, or give another --output_directory.')
        if _is_same_file(handle, path):
            break
        os.close(handle)  # removed by the one who held it before us: the name is another file now, or none
    try:
        yield
    finally:
        # The lock file goes last and while it is still held, so that nobody can hold a lock on a name that is gone.
        _remove(workshop, except_for='lock')
        try:
            os.unlink(path)
            os.rmdir(workshop)
        except OSError:
            pass  # something that could not be removed stays there, for the next run to try again
        os.close(handle)


def _check_ours(workshop):
    """Refuses a workshop that somebody else put there: what is staged in it would be theirs to change."""
    try:
        found = os.lstat(workshop)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise _errors.OutputRefused(
            '{} is in the way: it is not a folder of yours.'.format(workshop), 'Remove it, and try again.')


def _is_same_file(handle, path):
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _mode(target):
    """Returns the permissions for the staged folder: those of the one it replaces, else what ``mkdir`` gives."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        return 0o777


def _clean_up_after_the_dead(workshop, target):
    """Puts back what a killed run had moved away, and removes what it left."""
    journal = os.path.join(workshop, 'journal.json')
    if os.path.exists(journal):
        with open(journal) as journal_file:
            names = json.load(journal_file)
        _put_back(names, os.path.join(workshop, 'replaced'), target)
    _remove(workshop, except_for='lock')


def _move_into_place(folder, target, workshop):
    """Moves a whole export to its final name."""
    try:
        os.rename(folder, target)  # replaces a missing or an empty folder, in one step
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EINVAL, errno.EXDEV):
            raise
    names = os.listdir(folder)
    try:
        _exchange(folder, target)
    except _CannotExchange:
        _move_one_by_one(names, folder, target, workshop)


def _exchange(folder, target):
    """Gives ``folder`` links to everything else that ``target`` holds, and exchanges the two in one step."""
    if os.path.ismount(target) or folder.startswith(target + os.sep):
        raise _CannotExchange
    new = frozenset(os.listdir(folder))
    before = os.stat(target)
    try:
        _link_tree(target, folder, skip=new)
        os.chmod(folder, stat.S_IMODE(before.st_mode))
        if (os.stat(folder).st_uid, os.stat(folder).st_gid) != (before.st_uid, before.st_gid):
            os.chown(folder, before.st_uid, before.st_gid)
        _rename_exchange(folder, target)
    except (OSError, _CannotExchange):
        for name in set(os.listdir(folder)) - new:
            _remove(os.path.join(folder, name))
        raise _CannotExchange
    # Now `folder` is what was there. Somebody else may have written a file into it after the links were made.
    for name in set(os.listdir(folder)) - new - frozenset(os.listdir(target)):
        os.rename(os.path.join(folder, name), os.path.join(target, name))


def _link_tree(source, destination, skip=()):
    """Makes hard links in ``destination`` to everything in ``source`` but the names in ``skip``.

    Raises:
        _CannotExchange: there is too much, or something that cannot be linked.
    """
    count = 0
    for folder, directories, files in os.walk(source):
        there = os.path.normpath(os.path.join(destination, os.path.relpath(folder, source)))
        if folder == source:
            directories[:] = [name for name in directories if name not in skip]
            files = [name for name in files if name not in skip]
        count += len(directories) + len(files)
        if count > _MAX_LINKED:
            raise _CannotExchange
        for name in directories:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.symlink(os.readlink(path), os.path.join(there, name))
                continue
            if os.path.ismount(path):
                raise _CannotExchange
            os.mkdir(os.path.join(there, name))
            shutil.copystat(path, os.path.join(there, name))
        for name in files:
            os.link(os.path.join(folder, name), os.path.join(there, name), follow_symlinks=False)


def _rename_exchange(one, other):
    """Exchanges two names in one step.

    Raises:
        _CannotExchange: not Linux, an old C library, or a file system without it.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        raise _CannotExchange
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        raise _CannotExchange


def _move_one_by_one(names, folder, target, workshop):
    """Moves the named artefacts into ``target`` one after the other, ``saved_model`` last.

    The journal is on the disk before anything is moved, so that a run that dies
    on the way is undone by the next one.
    """
    replaced = os.path.join(workshop, 'replaced')
    os.mkdir(replaced, 0o700)
    journal = os.path.join(workshop, 'journal.json')
    with open(journal + '.new', 'w') as journal_file:
        json.dump(names, journal_file)
        journal_file.flush()
        os.fsync(journal_file.fileno())
    os.rename(journal + '.new', journal)
    try:
        for name in sorted(names, key=lambda name: (name == _LAST, name)):
            if os.path.lexists(os.path.join(target, name)):
                os.rename(os.path.join(target, name), os.path.join(replaced, name))
            else:
                # Tells, to whoever puts things back, that nothing of this name was there.
                open(os.path.join(replaced, name + '.was-not-there'), 'w').close()
            os.rename(os.path.join(folder, name), os.path.join(target, name))
    except BaseException:
        _put_back(names, replaced, target)
        raise
    finally:
        os.unlink(journal)


def _put_back(names, replaced, target):
    """Undoes ``_move_one_by_one``, from wherever it had got to."""
    for name in names:
        here = os.path.join(target, name)
        if os.path.lexists(os.path.join(replaced, name)):
            _remove(here)
            os.rename(os.path.join(replaced, name), here)
        elif os.path.lexists(os.path.join(replaced, name + '.was-not-there')):
            _remove(here)


def _upload(folder, destination):
    """Copies a folder to a path with a scheme; ``saved_model.pb`` is the last file."""
    gfile = _tensorflow.gfile()
    files = [os.path.relpath(os.path.join(place, name), folder)
             for place, _, names in os.walk(folder) for name in names]
    for name in sorted(files, key=lambda name: (name.startswith(_LAST), name.endswith('saved_model.pb'), name)):
        path = destination.rstrip('/') + '/' + name
        gfile.MakeDirs(os.path.dirname(path))
        gfile.Copy(os.path.join(folder, name), path, overwrite=True)


def _remove(path, except_for=None):
    """Removes a file or a folder, or all that a folder holds but one name; what is not there is no error."""
    if except_for is not None:
        for name in os.listdir(path):
            if name != except_for:
                _remove(os.path.join(path, name))
        return
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass
