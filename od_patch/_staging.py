"""Writes elsewhere, then moves into place: never a half-written export.

An export into ``models/out`` is written into ``models/.out.od-patch/export`` and
then appears under its final name:

* where ``out`` does not exist, by renaming the folder;
* where ``out`` holds an export and nothing else, by exchanging the two folders
  in one system call (Linux ``renameat2``);
* else, artefact by artefact, ``saved_model`` last: a folder that holds other
  things, or that somebody works in, stays the folder that it is. What was there
  is moved aside first, under a journal from which a run that fails puts it back
  at once, and a run that is killed in the middle is undone by the next one.

Whoever is killed leaves ``.out.od-patch`` behind, and its lock is free: the next
run into the same place recognises that and removes it.

Not for: knowing how an export is made.
"""
import contextlib
import ctypes
import errno
import fcntl
import glob
import json
import os
import re
import shutil
import signal
import stat
import tempfile
import threading
import uuid

from od_patch import _errors
from od_patch import _tensorflow

_LAST = 'saved_model'  # whoever waits for an export waits for this name
# What exports have written, in this release or another. Where one is replaced, those that the new one lacks go too:
# a V2 model.ckpt.index left beside a new V1 model.ckpt would be what TensorFlow reads.
OF_AN_EXPORT = re.compile(
    r'(checkpoint|frozen_inference_graph\.pb|inference_graph\.pbtxt|pipeline\.config|saved_model|'
    r'model\.ckpt(\.index|\.meta|\.data-\d{5}-of-\d{5})?)$')
OF_A_SAVED_MODEL = re.compile(r'(saved_model\.pb|variables|assets|assets\.extra)$')
_JOURNAL = 'journal.json'
_LOCK = 'lock'
_PROBE = '.od-patch-probe'
_TEMPORARY = 'od-patch-'
_ELSEWHERE = 'temporary'
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Staged:
    """An export under way.

    Attributes:
        export: str, a private folder; what is written here is moved into place at the end.
        temporary: str, a private folder; what is written here is removed at the end.
        in_place: bool, whether the export is at its destination.
    """

    def __init__(self, export, temporary):
        self.export = export
        self.temporary = temporary
        self.in_place = False


class _CannotExchange(Exception):
    """This file system or this folder does not allow exchanging two folders in one step."""


@contextlib.contextmanager
def staged(output_directory, names=OF_AN_EXPORT):
    """Context of one export: yields the folder to write to, and moves its content into place at the end.

    When the body raises, nothing is moved and the staged folder is removed.

    Args:
        output_directory: str, where the export is to appear. A path with a
            scheme (``gs://…``) is written to a local folder and uploaded,
            ``saved_model`` last: such a store has no renames.
        names: compiled pattern of what is replaced there, and of what a folder
            may hold that is replaced in one step: ``OF_AN_EXPORT``, or
            ``OF_A_SAVED_MODEL`` where the folder itself is to be one.

    Yields:
        ``Staged``.

    Raises:
        od_patch.OutputRefused: the place cannot be written, or another export
            into it is running.
    """
    if '://' in output_directory:
        with tempfile.TemporaryDirectory(prefix='od-patch-') as workshop:
            with _folders(workshop) as folders:
                yield folders
                _upload(folders.export, output_directory, names)
                folders.in_place = True
        return
    target = os.path.realpath(output_directory)
    workshop = _workshop(target)
    with _made_parents(workshop), _locked(workshop, target):
        with _undisturbed():
            _clean_up_after_the_dead(workshop, target)
        with _folders(workshop) as folders:
            yield folders
            with _undisturbed():
                _move_into_place(folders.export, target, workshop, names)
                folders.in_place = True


def clear(output_directory):
    """Removes what a run into a place has left that was killed; where one is at work, nothing."""
    target = os.path.realpath(output_directory)
    workshop = _workshop(target)
    if not os.path.isdir(workshop):
        return
    with contextlib.suppress(_errors.OutputRefused):
        with _locked(workshop, target), _undisturbed():
            _clean_up_after_the_dead(workshop, target)


@contextlib.contextmanager
def _folders(workshop):
    """Makes the two folders of ``Staged``; the temporary one is gone at the end."""
    export = os.path.join(workshop, 'export')
    temporary = None
    try:
        with _undisturbed():
            os.mkdir(export)
            temporary = _make_temporary(workshop)
        yield Staged(export, temporary)
    finally:
        if temporary is not None:
            with _undisturbed():
                _remove(temporary)


def _make_temporary(workshop):
    """Makes a private folder and returns its path: in the workshop, or elsewhere and noted there.

    TensorFlow looks for checkpoints by pattern, and does not find one below a
    folder named ``out[1]``. The note is a link, which is there whole or not at
    all, and before the folder is: whoever is killed leaves no folder that the
    next run does not know.
    """
    if not glob.has_magic(workshop):
        return tempfile.mkdtemp(prefix=_TEMPORARY, dir=workshop)
    temporary = os.path.join(tempfile.gettempdir(), _TEMPORARY + uuid.uuid4().hex)
    os.symlink(temporary, os.path.join(workshop, _ELSEWHERE))
    os.mkdir(temporary, 0o700)
    return temporary


def _remove_noted(workshop):
    """Removes the temporary folder that a killed run made elsewhere, if it is one of ours."""
    try:
        noted = os.readlink(os.path.join(workshop, _ELSEWHERE))
        found = os.lstat(noted)
    except OSError:
        return
    if os.path.basename(noted).startswith(_TEMPORARY) and stat.S_ISDIR(found.st_mode) \
            and found.st_uid == os.geteuid():
        _remove(noted)


@contextlib.contextmanager
def _undisturbed():
    """Lets SIGINT and SIGTERM wait while things are made, moved and removed; they are delivered behind it.

    By other handlers and not by a mask: TensorFlow has threads of its own, which
    would get a signal that this one blocks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # where Python raises nothing on a signal
        return
    arrived = []
    before = {number: signal.signal(number, lambda number, frame: arrived.append(number))
              for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in arrived:
            signal.pthread_kill(threading.get_ident(), number)  # here, and not some time later in another thread


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
        with _undisturbed():
            probe = _make_probe(existing)
            with contextlib.suppress(FileNotFoundError):  # another run removed it just now
                os.rmdir(probe)
    except OSError as error:
        raise _errors.OutputRefused(
            'The output directory {} cannot be written: {} ({}).'.format(
                output_directory, error.strerror, existing),
            'Give another --output_directory, or make that one writable.')


@contextlib.contextmanager
def replacing(path):
    """Context of one file: yields a path to write to, which becomes ``path`` when all went well.

    It is a new, private file beside ``path``, of a name that nobody knows
    before: in a folder that others can write to, they cannot have put a link there.
    """
    handle, partial = tempfile.mkstemp(prefix='.od-patch-', dir=os.path.dirname(path) or '.')
    os.close(handle)
    try:
        yield partial
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(partial, 0o666 & ~mask)  # as any other program would have made it
        os.replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)


def _workshop(target):
    """Returns the folder that the export into ``target`` is prepared in: beside it, or inside where beside is barred."""
    parent, name = os.path.split(target)
    if os.path.isdir(target) and not _can_move(parent, target):
        return os.path.join(target, '.od-patch')
    return os.path.join(parent, '.{}.od-patch'.format(name))


def _can_move(source, destination):
    """Returns whether things can be renamed from one folder into another: asked by doing it.

    Permissions, mount points and bind mounts of the same device all say no in their own way.
    """
    there = os.path.join(destination, _PROBE)
    with _undisturbed():
        try:
            probe = _make_probe(source)
        except OSError:
            return False
        try:
            os.rename(probe, there)
        except FileNotFoundError:
            return True  # another run moved or removed it just now, so it can be moved
        except OSError:
            return False
        finally:
            for path in (probe, there):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        return True


def _make_probe(folder):
    """Makes an empty folder in ``folder`` and returns its path; it may be there, from a run that was killed.

    Raises:
        OSError: it cannot be made, or somebody else has put something there.
    """
    probe = os.path.join(folder, _PROBE)
    try:
        os.mkdir(probe)
    except FileExistsError:
        found = os.lstat(probe)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise
    return probe


@contextlib.contextmanager
def _made_parents(path):
    """Makes the folders above ``path``; those that are still empty at the end go again."""
    made = []
    parent = os.path.dirname(path)
    while not os.path.isdir(parent):
        made.append(parent)
        parent = os.path.dirname(parent)
    try:
        with _undisturbed():
            os.makedirs(os.path.dirname(path), exist_ok=True)
        yield
    finally:
        with _undisturbed():
            for folder in made:
                try:
                    os.rmdir(folder)
                except OSError:
                    break  # it holds the export


@contextlib.contextmanager
def _locked(workshop, target):
    """Holds the workshop for this process alone; its lock dies with the process, however that ends."""
    handle = None
    try:
        with _undisturbed():
            handle = _lock(workshop, target)
        yield
    finally:
        if handle is not None:
            with _undisturbed():
                _unlock(workshop, handle)


def _lock(workshop, target):
    """Makes the workshop, and returns the descriptor of its lock file, which is held."""
    path = os.path.join(workshop, _LOCK)
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
            return handle
        os.close(handle)  # removed by the one who held it before us: the name is another file now, or none


def _unlock(workshop, handle):
    """Removes the workshop, unless it holds the only copy of what was there, and gives its lock free."""
    try:
        if not os.path.exists(os.path.join(workshop, _JOURNAL)):
            # The lock file goes last and while it is held, so that nobody can hold a lock on a name that is gone.
            _remove(workshop, except_for=_LOCK)
            os.unlink(os.path.join(workshop, _LOCK))
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


def _clean_up_after_the_dead(workshop, target):
    """Puts back what a killed run had moved away, and removes what it left.

    Raises:
        od_patch.OutputRefused: what it moved away is there, and where it
            belongs is not.
    """
    journal = os.path.join(workshop, _JOURNAL)
    replaced = os.path.join(workshop, 'replaced')
    if os.path.exists(journal):
        try:
            with open(journal) as journal_file:
                names = json.load(journal_file)
        except ValueError:
            raise _errors.OutputRefused(
                'An export into {} was killed while it replaced an earlier one, and its journal {} cannot be '
                'read.'.format(target, journal),
                'What it had moved away is in {}: move it back by hand, and remove {}.'.format(replaced, workshop))
        _put_back(names, replaced, target)
        os.unlink(journal)
    _remove_noted(workshop)
    _remove(workshop, except_for=_LOCK)


def _move_into_place(folder, target, workshop, names):
    """Moves a whole export to its final name."""
    if not os.path.lexists(target):
        os.rename(folder, target)
        return
    try:
        _exchange(folder, target, names)
    except _CannotExchange:
        _move_one_by_one(folder, target, workshop, names)


def _exchange(folder, target, names):
    """Exchanges two folders that hold exports and nothing else, in one step.

    Raises:
        _CannotExchange: ``target`` is another kind of folder, or one that must
            stay the same one.
    """
    if not all(map(names.match, os.listdir(target))) or not os.listdir(target):
        raise _CannotExchange
    if os.path.ismount(target) or lies_in(os.getcwd(), target):
        raise _CannotExchange  # of a folder that is pulled away, the shell that works in it would keep the old one
    found = os.stat(target)
    try:
        os.chown(folder, found.st_uid, found.st_gid)
        os.chmod(folder, stat.S_IMODE(found.st_mode))
    except OSError:
        raise _CannotExchange
    _rename_exchange(folder, target)


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


def _move_one_by_one(folder, target, workshop, names):
    """Moves the artefacts of an export into ``target`` one after the other, ``saved_model`` last.

    The journal is on the disk before anything is moved, and stays until all is
    moved, or all is back: as long as it is there, ``replaced`` is not removed.
    """
    new = os.listdir(folder)
    old = [name for name in os.listdir(target) if name in new or names.match(name)]
    replaced = os.path.join(workshop, 'replaced')
    journal = os.path.join(workshop, _JOURNAL)
    os.mkdir(replaced, 0o700)
    with open(journal + '.new', 'w') as journal_file:
        json.dump({'new': new, 'old': old}, journal_file)
        journal_file.flush()
        os.fsync(journal_file.fileno())
    os.rename(journal + '.new', journal)
    moves = {'new': new, 'old': old}
    try:
        for name in sorted(old):
            os.rename(os.path.join(target, name), os.path.join(replaced, name))
        for name in sorted(new, key=lambda name: (name.startswith(_LAST), name)):
            os.rename(os.path.join(folder, name), os.path.join(target, name))
    except BaseException:
        _put_back(moves, replaced, target)
        os.unlink(journal)
        raise
    os.unlink(journal)


def _put_back(names, replaced, target):
    """Undoes ``_move_one_by_one``, from wherever it had got to, as often as it is called.

    Args:
        names: {'new': names that were to be moved in, 'old': names that were to be moved away}.
        replaced: str, the folder that they were moved away to.
        target: str, the folder that they were moved in to.
    """
    moved = [name for name in names['old'] if os.path.lexists(os.path.join(replaced, name))]
    # Nothing was moved in before all of the old ones were moved away. Where one of them is in its place, it may also be
    # that this function had begun to put them back, and had removed the new ones before.
    if len(moved) == len(names['old']):
        for name in names['new']:
            _remove(os.path.join(target, name))
    for name in moved:
        os.rename(os.path.join(replaced, name), os.path.join(target, name))


def _upload(folder, destination, names):
    """Copies a folder to a path with a scheme; ``saved_model.pb`` is the last file."""
    gfile = _tensorflow.gfile()
    saved_model = destination.rstrip('/') + ('' if names is OF_A_SAVED_MODEL else '/' + _LAST)
    if gfile.Exists(saved_model):
        # Or an upload that breaks off would leave the old graph over new weights. There is no keeping the old one
        # until the new one is whole: such a store has no renames.
        gfile.DeleteRecursively(saved_model)
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


def lies_in(path, folder):
    """Returns whether a path is a folder or lies in it, links followed; neither need be there."""
    return os.path.join(os.path.realpath(path), '').startswith(os.path.join(os.path.realpath(folder), ''))
