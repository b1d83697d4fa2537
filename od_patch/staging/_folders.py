"""Folders and what is in them, looked at without following links: removing, marking, and what is mounted below.

Not for: deciding what is to be removed or moved; that is ``_staging``.
"""
import errno
import os
import re
import stat

from od_patch import _errors
from od_patch import _platform

_MOUNTS = '/proc/self/mountinfo'
_ESCAPED = re.compile(br'\\([0-7]{3})')
_INHERITED_ACL = 'system.posix_acl_default'


def real(path):
    """Returns the absolute path without links.

    Raises:
        od_patch.OutputRefused: it is relative to a folder that is gone.
    """
    try:
        return os.path.realpath(path)
    except OSError as error:
        raise _errors.OutputRefused(
            'The path {} cannot be followed: {}.'.format(path, error.strerror or error),
            'The folder that this command runs in may be gone: cd to one that is there, or give an absolute path.')


def inode(path):
    """Returns the number of a file or folder on its file system, of a link its own; None where there is nothing."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def is_ours(path):
    """Returns whether a path is a real folder, no link, of this user."""
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and not _platform.is_link(found) and _platform.is_mine(found)


def mark(lock):
    """Returns the name of a file that proves that a folder was made here.

    It holds the inode number of the lock file and the time at which the kernel last changed that. No archive, clone
    or copy can bring them along: a file that is unpacked gets both anew, the time to the nanosecond, and no program
    can set them. Another process of the same user could read them; but that could remove things by itself.

    Args:
        lock: int, descriptor of the lock file, to which nothing is ever written.
    """
    found = os.fstat(lock)
    return 'made-{}-{}'.format(found.st_ino, found.st_ctime_ns)


def mounts_below(folder):
    """Returns the mount points below a folder, as far as this process sees them; none where there is no such list."""
    try:
        with open(_MOUNTS, 'rb') as mounts_file:
            rows = [line.split(b' ') for line in mounts_file]
    except OSError:
        return []
    above = os.fsencode(folder).rstrip(b'/') + b'/'
    points = [_ESCAPED.sub(lambda found: bytes([int(found.group(1), 8)]), row[4]) for row in rows if len(row) > 4]
    return sorted(os.fsdecode(point) for point in points if point.startswith(above))


def bequeaths(folder):
    """Returns whether what is made in a folder gets the folder's group, or permissions that the folder hands down."""
    if os.stat(folder).st_mode & stat.S_ISGID:
        return True
    try:
        return bool(os.getxattr(folder, _INHERITED_ACL))
    except (OSError, AttributeError):  # none; no such attributes here; not Linux
        return False


def remove(path):
    """Removes a file, a link or a folder with all that is in it; what is not there is no error.

    Raises:
        OSError: something cannot be removed, or another file system is mounted there: that is somebody's data.
    """
    mounts = mounts_below(path)
    if mounts:
        raise OSError(errno.EBUSY, 'Something is mounted there', mounts[0])
    if not _platform.DESCRIPTORS_OF_FOLDERS:
        _platform.remove_by_path(path)
        return
    parent, name = os.path.split(path)
    try:
        folder = os.open(parent or '.', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _remove_at(folder, name, os.fstat(folder).st_dev)
    finally:
        os.close(folder)


def _remove_at(folder, name, device):
    """Removes a name in a folder that is open; goes down by descriptors, so that a link put there is not followed."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=folder)
            return
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        if found.st_dev != device:
            raise OSError(errno.EBUSY, 'Something is mounted there', name)
        for inner in os.listdir(below):
            _remove_at(below, inner, device)
    finally:
        os.close(below)
    try:
        os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        pass
