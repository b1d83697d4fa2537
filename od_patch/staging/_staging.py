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
run into the same place recognises that and removes it. A folder of that name that
was unpacked, cloned or copied here is none that od-patch made (``_folders.mark``):
it is refused, and nothing that it says is done. What a journal says is checked once
more against names and inode numbers: it tells which artefacts of this one folder
were moved, and can tell nothing else.

Not for: knowing how an export is made.
"""
import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import signal
import stat
import tempfile
import threading
import time
import uuid

from od_patch import _errors
from od_patch import _platform
from od_patch.staging import _folders
from od_patch.staging import _store

_LAST = 'saved_model'  # whoever waits for an export waits for this name
# What exports have written, in this release or another. Where one is replaced, those that the new one lacks go too:
# a V2 model.ckpt.index left beside a new V1 model.ckpt would be what TensorFlow reads.
OF_AN_EXPORT = re.compile(
    r'(checkpoint|frozen_inference_graph\.pb|inference_graph\.pbtxt|pipeline\.config|saved_model|'
    r'model\.ckpt(\.index|\.meta|\.data-\d{5}-of-\d{5})?)$')
OF_A_SAVED_MODEL = re.compile(
    r'(saved_model\.(pb|pbtxt|cpb)|variables|assets|assets\.extra|fingerprint\.pb|keras_metadata\.pb|debug)$')
INSIDE = '.od-patch'  # the name of a workshop that lies in the folder that is exported into
_JOURNAL = 'journal.json'
_LOCK = 'lock'
_PROBE = '.od-patch-probe'
_LARGEST_JOURNAL = 1 << 20  # bytes; that of an export in a thousand shards has a tenth
_REPLACED = 'replaced'
_TEMPORARY = 'od-patch-'
_MARK = re.compile(r'made-\d+-\d+$')
_NOTED = re.compile(_TEMPORARY + r'[0-9a-f]{32}$')
_ELSEWHERE = 'temporary'
_EXPORT = 'export'
# What TensorFlow writes below a folder that it saves a checkpoint to, in characters, with the separator:
# /model.ckpt_temp_<32 digits>/part-00000-of-00001.data-00000-of-00001.tempstate<20 digits>
_SAVED_BELOW = 119
_IN_A_WORKSHOP = len('/t') + 1 + _SAVED_BELOW  # a temporary checkpoint of moving averages has a name one longer
_COPIED_BELOW = len('/variables/variables.data-00000-of-00001')
_ALLOW_LONG_PATHS = (r'reg add HKLM\SYSTEM\CurrentControlSet\Control\FileSystem /v LongPathsEnabled /t REG_DWORD /d 1 '
                     '/f')
_BETWEEN_LOOKS = 0.2  # seconds, of one who waits for another
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


class _BrokenJournal(Exception):
    """A journal that cannot be read, or says what no journal says."""


@contextlib.contextmanager
def staged(output_directory, names=OF_AN_EXPORT, check=None, wait=False):
    """Context of one export: yields the folder to write to, and moves its content into place at the end.

    When the body raises, nothing is moved and the staged folder is removed.

    Args:
        output_directory: str, where the export is to appear. A path with a
            scheme (``gs://…``) is written to a local folder and uploaded
            (``_store.Place``): such a store has no renames.
        names: compiled pattern of what is replaced there, and of what a folder
            may hold that is replaced in one step: ``OF_AN_EXPORT``, or
            ``OF_A_SAVED_MODEL`` where the folder itself is to be one.
        check: function without arguments that raises where the place is not
            free. It is called when what a killed run has left is put in order,
            and nobody else can change the place.
        wait: bool, whether to wait while another run into the place is at work;
            else it is refused.

    Yields:
        ``Staged``.

    Raises:
        od_patch.OutputRefused: the place cannot be written, or another export
            into it is running.
    """
    output_directory = _store.plain(output_directory)
    if _store.is_store(output_directory):
        with tempfile.TemporaryDirectory(prefix='od-patch-') as workshop, \
                _store.Place(output_directory, names) as place:
            if check is not None:
                check()
            with _made_folders(workshop) as folders:
                yield folders
                place.put(folders.export)
                folders.in_place = True
        return
    target = _folders.real(output_directory)
    _check_mounts(target, names)
    workshop = _workshop(target)
    with _made_parents(workshop), _locked(workshop, target, wait):
        with _undisturbed(), _told_in_words():
            _clean_up_after_the_dead(workshop, target)
            _clear_others(workshop, target)
        if check is not None:
            check()
        with _made_folders(workshop) as folders:
            yield folders
            with _undisturbed(), _told_in_words():
                _check_mounts(target, names)
                _move_into_place(folders.export, target, workshop, names)
                folders.in_place = True


def clear(output_directory, names=OF_AN_EXPORT):
    """Puts in order what a run into a place has left that was killed; where one is at work, nothing.

    Raises:
        od_patch.OutputRefused: what was left cannot be put in order, or od-patch did not make it.
    """
    output_directory = _store.plain(output_directory)
    if _store.is_store(output_directory):
        if _store.names_in(_store.join(output_directory, _store.FOLDER)):
            with contextlib.suppress(_store.Busy), _store.Place(output_directory, names):
                pass
        return
    target = _folders.real(output_directory)
    for workshop in _places(target):
        if not os.path.lexists(workshop):
            continue
        with contextlib.suppress(_AtWork):
            with _locked(workshop, target), _undisturbed(), _told_in_words():
                _clean_up_after_the_dead(workshop, target)


def left_over(output_directory):
    """Returns the folders that runs into a place work in, and that are there: one is at work, or was killed."""
    output_directory = _store.plain(output_directory)
    if _store.is_store(output_directory):
        return []
    return [workshop for workshop in _places(_folders.real(output_directory)) if os.path.lexists(workshop)]


def _clear_others(workshop, target):
    """Puts in order what was left in the other places that a workshop for ``target`` may have.

    A run in a container, where ``target`` is a mount point, has it inside; one on the host has it beside.

    Raises:
        od_patch.OutputRefused: a run is at work there, or it cannot be put in order.
    """
    for other in _places(target):
        if other != workshop and os.path.lexists(other):
            with _locked(other, target):
                _clean_up_after_the_dead(other, target)


@contextlib.contextmanager
def _made_folders(workshop):
    """Makes the two folders of ``Staged``; the temporary one is gone at the end."""
    export = os.path.join(workshop, _EXPORT if _platform.longest_path() is None else _EXPORT[0])
    temporary = None
    try:
        with _undisturbed():
            os.mkdir(export)
            temporary = _make_temporary(workshop)
        yield Staged(export, temporary)
    finally:
        if temporary is not None:
            with _undisturbed():
                _remove_temporary(temporary)


def _remove_temporary(folder):
    """Removes a folder, unless another program holds something in it: the next run does it then."""
    try:
        _remove(folder)
    except OSError as error:
        if not _platform.is_refused(error):
            raise


def _make_temporary(workshop):
    """Makes a private folder and returns its path: in the workshop, or elsewhere and noted there.

    TensorFlow looks for checkpoints by pattern, and does not find one below a
    folder named ``out[1]``. The note is a link, which is there whole or not at
    all, and before the folder is: whoever is killed leaves no folder that the
    next run does not know.
    """
    if _platform.longest_path() is not None:
        temporary = os.path.join(workshop, _ELSEWHERE[0])
        os.mkdir(temporary, _platform.PRIVATE)
        return temporary
    if not _platform.has_magic(workshop):
        return tempfile.mkdtemp(prefix=_TEMPORARY, dir=workshop)
    name = _TEMPORARY + uuid.uuid4().hex
    os.symlink(name, os.path.join(workshop, _ELSEWHERE))
    temporary = os.path.join(tempfile.gettempdir(), name)
    os.mkdir(temporary, 0o700)
    return temporary


def _remove_noted(workshop):
    """Removes the temporary folder that a killed run made elsewhere, if it is one of ours.

    The note is a name and no path: it is looked for where this process has its own temporary folders.
    """
    try:
        name = os.readlink(os.path.join(workshop, _ELSEWHERE))
    except OSError:
        return
    noted = os.path.join(tempfile.gettempdir(), name)
    if _NOTED.match(name) and os.path.lexists(noted) and _folders.is_ours(noted):
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
              for number in _platform.SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in arrived:
            _platform.send_here(number)


@contextlib.contextmanager
def _told_in_words():
    """Context: what Windows refuses while another program holds a file, for longer than one waits, is refused in words.

    Raises:
        od_patch.OutputRefused
    """
    try:
        yield
    except OSError as error:
        if not _platform.is_refused(error):
            raise
        raise held(error)


def held(error):
    """Returns the refusal of a file that cannot be moved, replaced or removed; the error is of Windows."""
    return _errors.OutputRefused(
        'Windows refuses to move, replace or remove {}: {} (WinError {}).'.format(
            ' to '.join(name for name in (error.filename, error.filename2) if name), error.strerror, error.winerror),
        'A server, a viewer, an Explorer window or a virus scanner may have it open, or a file in it. Close that, and '
        'try again; or give another place.')


def check_writable(output_directory, saves=False):
    """Refuses an output directory that could not be written, before any work is done.

    Args:
        output_directory: str.
        saves: bool, whether TensorFlow saves a checkpoint there, for which it makes files of long names.

    Raises:
        od_patch.OutputRefused: with the first existing folder on the way and
            what it lacks.
    """
    output_directory = _store.plain(output_directory)
    if _store.is_store(output_directory):
        return
    existing = _folders.real(output_directory)
    if os.path.exists(existing) and not os.path.isdir(existing):
        raise _errors.OutputRefused(
            'The output directory {} is a file.'.format(output_directory), 'Give another --output_directory.')
    target = existing
    try:
        target.encode('utf-8')
    except UnicodeEncodeError:
        raise _errors.OutputRefused(
            'The output directory {} is no UTF-8, and TensorFlow cannot write to it.'.format(target),
            'Give another --output_directory, or rename the folder.')
    while not os.path.exists(existing):
        if os.path.dirname(existing) == existing:
            raise _errors.OutputRefused(
                'The output directory {} cannot be written: there is no {}.'.format(output_directory, existing),
                'Give another --output_directory.')
        _check_name(output_directory, existing)
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
    _check_mounts(target, OF_AN_EXPORT)
    _check_length(target, saves)


def _check_length(target, saves):
    """Refuses a folder below which Windows, with its limit to paths, cannot have what is written there.

    Raises:
        od_patch.OutputRefused
    """
    longest = _platform.longest_path()
    if longest is None:
        return
    below, inside = (_SAVED_BELOW, _IN_A_WORKSHOP) if saves else (_COPIED_BELOW, len('/e') + _COPIED_BELOW)
    needed = max(len(target) + below, len(_workshop(target)) + inside)
    if needed > longest:
        raise _errors.OutputRefused(
            'The path {} has {} characters. While it is written, paths below and beside it have up to {}, and Windows '
            'takes {}.'.format(target, len(target), needed, longest),
            'Give one in a folder whose path is shorter, by {} or more. Or allow long paths, which Windows 10 knows, '
            'as an administrator, and open a new window:\n  {}'.format(needed - longest, _ALLOW_LONG_PATHS))


def _check_name(output_directory, path):
    """Refuses a part of a path that cannot be made: a name that is too long, or a link that leads nowhere.

    Raises:
        od_patch.OutputRefused
    """
    name = os.path.basename(path)
    if _platform.is_too_long(name):
        raise _errors.OutputRefused(
            'The output directory {} has a name of more than 255 bytes.'.format(output_directory),
            'Give a shorter --output_directory.')
    if _platform.misfit(name):
        raise _errors.OutputRefused(
            'Windows cannot make the output directory {}: the name {!r} {}.'.format(
                output_directory, name, _platform.misfit(name)),
            'Give another --output_directory.')
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):  # of what it lies below, the caller says more
        return
    except OSError as error:
        raise _errors.OutputRefused(
            'The output directory {} cannot be written: {} ({}).'.format(output_directory, error.strerror, path),
            'Give another --output_directory.')
    raise _errors.OutputRefused(
        'The output directory {} cannot be written: {} is a link that leads nowhere, or to itself.'.format(
            output_directory, path), 'Remove the link, or give another --output_directory.')


def _check_mounts(target, names):
    """Refuses to replace an artefact that has something mounted on it or below it, such as a container's volume.

    Whatever is moved takes what is mounted on it along, and who looks into the volume would go on to see the old one.

    Raises:
        od_patch.OutputRefused
    """
    for mount in _folders.mounts_below(target):
        if names.match(os.path.relpath(mount, target).split(os.sep)[0]):
            raise _errors.OutputRefused(
                'Something is mounted at {}, which is a part of an export: it cannot be replaced as a whole.'.format(
                    mount),
                'Mount the folder above it, {}, or give another --output_directory.'.format(target))


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
        with _told_in_words():
            _platform.patiently(os.replace, partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            _platform.patiently(os.remove, partial)


def _workshop(target):
    """Returns the folder that the export into ``target`` is prepared in.

    It is beside ``target``; inside where beside is barred, or where what is made inside gets a group or permissions
    that it would not get beside.
    """
    beside, inside = _places(target)
    if os.path.isdir(target) and (_folders.bequeaths(target) or not _can_move(os.path.dirname(target), target)):
        return inside
    return beside


def _places(target):
    """Returns all the paths that a workshop for ``target`` may have: beside it, and inside."""
    parent, name = os.path.split(target)
    beside = '.{}.od-patch'.format(name)
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    if _platform.is_too_long(beside):
        beside = '.{}.od-patch'.format(digest[:32])
    longest = _platform.longest_path()
    if longest is not None and len(os.path.join(parent, beside)) + _IN_A_WORKSHOP > longest:
        beside = '.od{}'.format(digest[:8])
    return os.path.join(parent, beside), os.path.join(target, INSIDE)


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
        if not stat.S_ISDIR(found.st_mode) or not _platform.is_mine(found):
            raise
    return probe


@contextlib.contextmanager
def _made_parents(path):
    """Makes the folders above ``path``; those that are still empty at the end go again."""
    made = []
    parent = os.path.dirname(path)
    while not os.path.isdir(parent) and os.path.dirname(parent) != parent:  # as a drive's that is not there
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


class _AtWork(_errors.OutputRefused):
    """Another run into the same place holds its lock."""


@contextlib.contextmanager
def _locked(workshop, target, wait=False):
    """Holds the workshop for this process alone; its lock dies with the process, however that ends."""
    handle = None
    try:
        while handle is None:
            try:
                with _undisturbed():
                    handle = _lock(workshop, target)
            except _AtWork:
                if not wait:
                    raise
                time.sleep(_BETWEEN_LOOKS)
        yield
    finally:
        if handle is not None:
            with _undisturbed():
                _unlock(workshop, handle)


def _lock(workshop, target):
    """Makes the workshop, and returns the descriptor of its lock file, which is held.

    Raises:
        od_patch.OutputRefused: another run holds it, or od-patch did not make what is there.
    """
    path = os.path.join(workshop, _LOCK)
    while True:
        made = 0
        try:
            os.mkdir(workshop, _platform.PRIVATE)
            made = os.O_CREAT
        except FileExistsError:
            _check_ours(workshop)
            if _is_empty(workshop):  # of a run that was killed just there
                made = os.O_CREAT
        except OSError as error:
            raise _errors.OutputRefused(
                'The output directory {} cannot be written: {} ({}).'.format(target, error.strerror, workshop),
                'Give another --output_directory.')
        try:
            handle = _platform.open_itself(path, os.O_RDWR | made)
        except FileNotFoundError:
            if not os.path.lexists(workshop) or _is_empty(workshop):
                continue  # the one who held it removed it between our two calls
            if os.path.lexists(path):
                continue  # and one after that has made it
            raise _not_made_here(workshop)
        except OSError:
            raise _not_made_here(workshop)  # a link, a folder, or what is no file
        try:
            held = _platform.lock(handle)
        except OSError:
            os.close(handle)
            raise
        if not held:
            os.close(handle)
            raise _AtWork(
                'Another export into {} is running (it holds {}).'.format(target, path),
                'Wait for it to end, or give another --output_directory.')
        if _is_same_file(handle, path):
            try:
                _check_mark(workshop, handle)
            except BaseException:
                _platform.unlock(handle)
                raise
            return handle
        _platform.unlock(handle)  # removed by the one who held it before us: the name is another file now, or none


def _unlock(workshop, handle):
    """Removes the workshop, unless it holds the only copy of what was there, and gives its lock free."""
    try:
        if not os.path.lexists(os.path.join(workshop, _JOURNAL)):
            # The lock file goes last and while it is held, so that nobody can hold a lock on a name that is gone; and
            # the mark just before it, so that what is left of a run that is killed here is known to be ours.
            marks = _marks(workshop)
            _remove(workshop, except_for=[_LOCK] + marks)
            for mark in marks:
                os.unlink(os.path.join(workshop, mark))
            if _platform.WINDOWS:  # where nobody can remove what is open, we no more than those who look after us
                handle = _platform.unlock(handle)
            os.unlink(os.path.join(workshop, _LOCK))
            os.rmdir(workshop)
    except OSError:
        pass  # something that could not be removed stays there, for the next run to try again
    if handle is not None:
        _platform.unlock(handle)


def _check_ours(workshop):
    """Refuses a workshop that somebody else put there: what is staged in it would be theirs to change."""
    try:
        ours = _folders.is_ours(workshop)
    except FileNotFoundError:
        return
    if not ours:
        raise _errors.OutputRefused(
            '{} is in the way: it is not a folder of yours.'.format(workshop), 'Remove it, and try again.')


def _is_empty(folder):
    try:
        return not os.listdir(folder)
    except FileNotFoundError:
        return False


def _check_mark(workshop, handle):
    """Refuses a workshop that was not made here; marks one that has just been made.

    One that holds an empty lock file and nothing else is new, or of a run that was killed before it had marked it.
    """
    mark = _folders.mark(handle)
    lock = os.fstat(handle)
    there = set(os.listdir(workshop))
    if not stat.S_ISREG(lock.st_mode) or lock.st_size:
        raise _not_made_here(workshop)
    if there == {_LOCK}:
        os.close(_platform.open_itself(os.path.join(workshop, mark), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    elif mark not in there:
        raise _not_made_here(workshop)


def _marks(workshop):
    return list(filter(_MARK.match, os.listdir(workshop)))


def _not_made_here(workshop):
    return _errors.OutputRefused(
        '{} is in the way: it has the name of a folder that od-patch works in, and od-patch did not make it here. It '
        'was unpacked, cloned or copied, or another program made it.'.format(workshop),
        'Look at what is in it, and remove it; then try again.')


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
    replaced = os.path.join(workshop, _REPLACED)
    if os.path.lexists(journal):
        try:
            moves = _read_journal(journal)
        except _BrokenJournal:
            raise _errors.OutputRefused(
                'An export into {} was killed while it replaced an earlier one, and its journal {} cannot be '
                'read.'.format(target, journal),
                'What it had moved away is in {}: move it back by hand, and remove {}.'.format(replaced, workshop))
        _put_back(moves, replaced, target)
        os.unlink(journal)
    _remove_noted(workshop)
    _remove(workshop, except_for=[_LOCK] + _marks(workshop))


def _read_journal(path):
    """Returns what a journal says: {'new': {name: [inode number]}, 'old': {name: [inode numbers]}}.

    The numbers are those of the artefacts that were to be moved in, and of those that were to be moved away.

    Raises:
        _BrokenJournal: it is no file, or holds anything else than that, or other names than those of artefacts.
    """
    try:
        handle = _platform.open_itself(path, os.O_RDONLY)
        with open(handle, 'rb') as journal_file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_JOURNAL:
                raise _BrokenJournal
            moves = json.loads(journal_file.read(_LARGEST_JOURNAL).decode('utf-8'))
    except (OSError, ValueError, RecursionError):
        raise _BrokenJournal
    if not isinstance(moves, dict) or set(moves) != {'new', 'old'}:
        raise _BrokenJournal
    for inodes in moves.values():
        if not isinstance(inodes, dict) or not all(
                _is_artefact(name) and isinstance(numbers, list) and numbers and
                all(type(number) is int for number in numbers)  # pylint: disable=unidiomatic-typecheck  (no bool)
                for name, numbers in inodes.items()):
            raise _BrokenJournal
    return moves


def _is_artefact(name):
    """Returns whether a name is one that a journal may have: of a part of an export or of a SavedModel."""
    return bool(OF_AN_EXPORT.match(name) or OF_A_SAVED_MODEL.match(name)) and not set(name) & {'/', '\n', '\0'}


def _move_into_place(folder, target, workshop, names):
    """Moves a whole export to its final name."""
    if not os.path.lexists(target):
        _platform.rename(folder, target)
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
    here = _working_directory()
    if os.path.ismount(target) or (here and lies_in(here, target)):
        raise _CannotExchange  # of a folder that is pulled away, the shell that works in it would keep the old one
    found = os.stat(target)
    try:
        _platform.take_after(folder, found)
    except OSError:
        raise _CannotExchange
    _rename_exchange(folder, target)


def _working_directory():
    try:
        return os.getcwd()
    except OSError:
        return ''  # it is gone


def _rename_exchange(one, other):
    """Exchanges two names in one step.

    Raises:
        _CannotExchange: not Linux, an old C library, or a file system without it.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):  # of Windows, the last
        raise _CannotExchange
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        raise _CannotExchange


def _move_one_by_one(folder, target, workshop, names):
    """Moves the artefacts of an export into ``target`` one after the other, ``saved_model`` last.

    The journal is on the disk before anything is moved, and stays until all is
    moved, or all is back: as long as it is there, ``replaced`` is not removed.

    Raises:
        od_patch.OutputRefused: there is something in the export that no journal may name.
    """
    new = os.listdir(folder)
    for name in new:
        if not _is_artefact(name):
            raise _errors.OutputRefused(
                '{!r} is no part of an export or of a SavedModel, and cannot be put among what {} holds.'.format(
                    name, target), 'Give a new folder, or remove it from what is written there.')
    # Where case does not count, the file system finds a name under another spelling, and would replace it unseen.
    old = sorted({name for name in os.listdir(target) if names.match(name)}.union(
        name for name in new if os.path.lexists(os.path.join(target, name))))
    replaced = os.path.join(workshop, _REPLACED)
    journal = os.path.join(workshop, _JOURNAL)
    os.mkdir(replaced, _platform.PRIVATE)
    moves = {'new': {name: [_folders.inode(os.path.join(folder, name))] for name in new},
             'old': {name: [_folders.inode(os.path.join(target, name))] for name in old}}
    _write_journal(moves, journal)
    try:
        for name in sorted(old):
            _move_away(name, target, replaced, moves, journal)
        for name in sorted(new, key=lambda name: (name.startswith(_LAST), name)):
            _platform.rename(os.path.join(folder, name), os.path.join(target, name))
    except BaseException:
        _put_back_at_once(moves, replaced, target)
        os.unlink(journal)
        raise
    os.unlink(journal)


def _put_back_at_once(moves, replaced, target):
    try:
        _put_back(moves, replaced, target)
    except OSError as error:
        raise _errors.OutputRefused(
            'An export into {} failed while it replaced what was there, and that could not be put back: {}.'.format(
                target, error),
            'It is in {}, and the next export into {} puts it back first.'.format(replaced, target))


def _write_journal(moves, journal):
    with open(journal + '.new', 'w', encoding='ascii', newline='\n') as journal_file:
        json.dump(moves, journal_file)
        journal_file.flush()
        os.fsync(journal_file.fileno())
    _platform.rename_over(journal + '.new', journal)


def _move_away(name, target, replaced, moves, journal):
    """Moves an artefact out of ``target``; one that cannot be moved as a whole, file by file.

    A folder in a lower layer of an overlay, which is what the image of a container is, cannot be renamed.
    """
    source, destination = os.path.join(target, name), os.path.join(replaced, name)
    try:
        _platform.rename(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV or os.path.islink(source) or not os.path.isdir(source):
            raise
        os.mkdir(destination, _platform.PRIVATE)
        moves['old'][name].append(_folders.inode(destination))
        _write_journal(moves, journal)
        _move_content(source, destination)


def _move_content(source, destination):
    """Moves all that a folder holds into another one, which may have some of it already, and removes it."""
    for name in os.listdir(source):
        here, there = os.path.join(source, name), os.path.join(destination, name)
        if os.path.isdir(here) and not os.path.islink(here):
            if not os.path.isdir(there):
                os.mkdir(there, _platform.PRIVATE)
            _move_content(here, there)
        else:
            _platform.rename_over(here, there)
    found = os.lstat(source)
    with contextlib.suppress(OSError):
        _platform.take_after(destination, found)
    os.rmdir(source)


def _put_back(moves, replaced, target):
    """Undoes ``_move_one_by_one``, from wherever it had got to, as often as it is called.

    Args:
        moves: as ``_read_journal`` returns it.
        replaced: str, the folder that the old artefacts were moved away to.
        target: str, the folder that the new ones were moved in to.

    Raises:
        od_patch.OutputRefused: there is something in the place of an artefact that is neither the old nor the new one.
    """
    new, old = moves['new'], moves['old']
    for name in sorted(set(new) | set(old)):
        for folder, known in ((target, new.get(name, []) + old.get(name, [])), (replaced, old.get(name, []))):
            if _folders.inode(os.path.join(folder, name)) not in known + [None]:
                raise _errors.OutputRefused(
                    'An export into {} was killed while it replaced an earlier one, and {} has been changed '
                    'since.'.format(target, os.path.join(folder, name)),
                    'What it had moved away is in {}: move it back by hand where it is wanted, and remove {}.'.format(
                        replaced, os.path.dirname(replaced)))
    for name, numbers in new.items():
        if _folders.inode(os.path.join(target, name)) in numbers:
            _remove(os.path.join(target, name))
    for name in old:
        moved, place = os.path.join(replaced, name), os.path.join(target, name)
        if not os.path.lexists(moved):
            continue
        if os.path.lexists(place):
            _move_content(moved, place)  # not all of it had been moved away
        else:
            _platform.rename(moved, place)


def _remove(path, except_for=None):
    """Removes a file or a folder, or all that a folder holds but some names; what is not there is no error."""
    if except_for is None:
        _folders.remove(path)
        return
    for name in os.listdir(path):
        if name not in except_for:
            _folders.remove(os.path.join(path, name))


def check_not_read(output_directory, read, names=OF_AN_EXPORT):
    """Refuses a place where one of the files that are read would be replaced, or removed with what the new one lacks.

    Args:
        output_directory: str, as of ``staged``; names: as of ``staged``.
        read: iterable of str, paths; they need not be there.

    Raises:
        od_patch.OutputRefused
    """
    output_directory = _store.plain(output_directory)
    there = _store.names_in(output_directory) if _store.is_store(output_directory) else (
        os.listdir(output_directory) if os.path.isdir(output_directory) else [])
    for name in filter(names.match, there):
        for path in read:
            if lies_in(path, os.path.join(output_directory, name)):
                raise _errors.OutputRefused('{} is what is read, and is never written over.'.format(path),
                                            'Give another output directory.')


def lies_in(path, folder):
    """Returns whether a path is a folder or lies in it, links followed; neither need be there."""
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    if os.path.join(os.path.normcase(path), '').startswith(os.path.join(os.path.normcase(folder), '')):
        return True
    # The same folder may have another spelling where case does not count, which realpath leaves as it is.
    # Of a file, only where it has one name: the others are not written over.
    if not os.path.isdir(folder) and not (os.path.isfile(folder) and os.stat(folder).st_nlink == 1):
        return False
    above = ''
    while path != above:
        if os.path.exists(path) and os.path.samefile(path, folder):
            return True
        path, above = os.path.dirname(path), path
    return False
