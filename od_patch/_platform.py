"""What differs between Linux, macOS and Windows: names that ``os`` and ``signal`` lack, and what a system refuses.

Which system it is, is asked here and nowhere else; all others call what does the same on each of them. Windows is the
odd one: what is open cannot be renamed or removed there, and a virus scanner opens whatever was just written; it has
no owners by number, no signals from outside but Ctrl-C and Ctrl-Break, no folders by descriptor, and links for
privileged users only.

Not for: how a line to paste is quoted (``_text``), nor for paths of stores, which have one form everywhere
(``_store``).
"""
import errno
import glob
import os
import platform
import re
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time

try:
    import fcntl
except ImportError:
    fcntl = None  # Windows, which has msvcrt

WINDOWS = os.name == 'nt'
# What asks a process to end. Windows sends no SIGTERM, and SIGBREAK for Ctrl-Break.
SIGNALS = tuple(getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGBREAK') if hasattr(signal, name))
# The mode of a private folder. Python 3.13 makes of 0o700 on Windows what no other account can read, nor any server
# that runs as one, and what is moved out of such a folder stays so. What a user's folders hand down is private enough.
PRIVATE = 0o777 if WINDOWS else 0o700
# Whether folders can be gone down by descriptor, so that a link that is put there meanwhile is not followed.
DESCRIPTORS_OF_FOLDERS = hasattr(os, 'O_DIRECTORY') and {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd \
    and os.listdir in os.supports_fd

BYTES = getattr(os, 'O_BINARY', 0)  # what tells os.open that line ends are to stay what they are

_REFUSED = (5, 32, 33)  # Windows' ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
_PATIENCE = 2  # seconds in which a virus scanner is done with a file
_LONGEST_PATH = 259  # characters; MAX_PATH counts a zero behind them
_LONGEST_NAME = 255  # bytes; on Windows, halves of UTF-16
_RESERVED = re.compile(r'(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\xb9\xb2\xb3]) *(\.|$)', re.IGNORECASE)
_IN_NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_REPARSE_POINT = 0x400  # of st_file_attributes: a link, or a junction, which Python takes for a folder


# --- files ----------------------------------------------------------------------------------------------------------

def is_mine(found):
    """Returns whether what ``os.lstat`` found is of this user; on Windows, which has no such numbers, of any."""
    return not hasattr(os, 'geteuid') or found.st_uid == os.geteuid()


def take_after(path, found):
    """Gives a file or folder the owner and the mode of another one.

    Args:
        path: str; found: os.stat_result, of the other one.

    Raises:
        OSError: this user may not.
    """
    if hasattr(os, 'chown'):  # else it has the permissions that its folder hands down, as any other there
        os.chown(path, found.st_uid, found.st_gid)
        os.chmod(path, stat.S_IMODE(found.st_mode))


def open_itself(path, flags, mode=0o600):
    """Opens a file that is no link, without waiting for anybody where it is a pipe; returns its descriptor.

    Args:
        path: str; flags: int, ``os.O_RDONLY`` and its like; mode: int, of a file that is made.

    Raises:
        OSError: it is a link, or cannot be opened.
    """
    for name in ('O_NOFOLLOW', 'O_NONBLOCK', 'O_CLOEXEC', 'O_NOINHERIT'):
        flags |= getattr(os, name, 0)
    flags |= BYTES
    if hasattr(os, 'O_NOFOLLOW'):
        return os.open(path, flags, mode)
    if os.path.islink(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    handle = patiently(os.open, path, flags, mode)
    if not os.path.samestat(os.fstat(handle), os.lstat(path)):  # a link was put there meanwhile
        os.close(handle)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return handle


def is_link(found):
    """Returns whether what ``os.lstat`` found leads elsewhere: a link, or a junction of Windows."""
    return stat.S_ISLNK(found.st_mode) or bool(getattr(found, 'st_file_attributes', 0) & _REPARSE_POINT)


def lock(handle):
    """Locks an open file for this process, until it is closed or the process ends; returns whether it is locked.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _locking(handle, 'LK_NBLCK')
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            raise
        return False
    return True


def wait_for_lock(handle, shared=False):
    """Locks an open file for this process, as ``lock``, once no other holds it.

    Args:
        handle: int; shared: bool, whether others may hold it so, too. Windows has no such locks: it is held alone.

    Raises:
        OSError: the file system has no locks.
    """
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        return
    while not lock(handle):
        time.sleep(0.1)


def unlock(handle):
    """Gives a lock free, and closes its file."""
    try:
        if fcntl is None:
            _locking(handle, 'LK_UNLCK')  # closing alone does so some time later
    except OSError:
        pass
    finally:
        os.close(handle)


def _locking(handle, kind):
    import msvcrt
    os.lseek(handle, 0, os.SEEK_SET)
    msvcrt.locking(handle, getattr(msvcrt, kind), 1)  # one byte, which need not be there


def is_refused(error):
    """Returns whether an ``OSError`` is one of those that Windows raises while another program holds a file."""
    return getattr(error, 'winerror', None) in _REFUSED


def patiently(function, *arguments):
    """Calls a function of ``os``; on Windows again and again, for two seconds, while what it is for is refused.

    Raises:
        OSError: as the function does.
    """
    end, pause = time.time() + _PATIENCE, 0.01
    while True:
        try:
            return function(*arguments)
        except OSError as error:
            if not is_refused(error) or time.time() > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.25)


def rename(source, destination):
    """Renames a file or a folder to a name that nothing has."""
    patiently(os.rename, source, destination)


def rename_over(source, destination):
    """Renames a file to a name that another one may have, which is gone then."""
    patiently(os.replace if WINDOWS else os.rename, source, destination)


def remove_by_path(path):
    """Removes a file, a link or a folder with all that is in it, where there are no descriptors of folders.

    Raises:
        OSError: something cannot be removed.
    """
    try:
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and not (is_link(found) and _unlinked(path)):
            for name in os.listdir(path):
                remove_by_path(os.path.join(path, name))
            patiently(os.rmdir, path)
        elif not stat.S_ISDIR(found.st_mode):
            try:
                patiently(os.unlink, path)
            except PermissionError:
                os.chmod(path, stat.S_IWRITE)  # Windows removes nothing that is read-only
                os.unlink(path)
    except FileNotFoundError:
        pass


def _unlinked(path):
    """Removes a junction, or a link to a folder; returns False for a folder of another kind, such as OneDrive's."""
    try:
        os.unlink(path)
        return True
    except PermissionError:
        return False


def second_name(folder):
    """Returns (another path of a folder, function that gives it up); the path has nothing that stands for a pattern.

    Raises:
        OSError: there is no such folder, or links cannot be made here.
    """
    if DESCRIPTORS_OF_FOLDERS:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        path = '/proc/self/fd/{}'.format(handle)
        if os.path.isdir(path):
            return path, lambda: os.close(handle)
        os.close(handle)  # not Linux
    made = tempfile.mkdtemp(prefix='od-patch-')
    try:
        os.symlink(os.path.abspath(folder), os.path.join(made, 'folder'), target_is_directory=True)
    except BaseException:
        os.rmdir(made)
        raise
    return os.path.join(made, 'folder'), lambda: shutil.rmtree(made, ignore_errors=True)


# --- names ----------------------------------------------------------------------------------------------------------

def has_magic(path):
    """Returns whether TensorFlow takes a path for a pattern. On Windows it knows * and ? alone, which no name has."""
    return not WINDOWS and glob.has_magic(path)


def misfit(name):
    """Returns in words why there can be no file of a name: on Windows, which has rules; '' where there can be."""
    if not WINDOWS:
        return ''
    if _RESERVED.match(name):
        return 'is the name of a device'
    found = _IN_NO_NAME.search(name)
    if found:
        return 'has the character {}'.format(found.group() if found.group().isprintable() else ascii(found.group()))
    if name.endswith((' ', '.')) and name.strip('.'):
        return 'ends with a {}'.format('space' if name[-1] == ' ' else 'dot')
    return ''


def is_too_long(name):
    """Returns whether a name of a file has more than the 255 bytes that there can be."""
    return len(name.encode('utf-16-le', 'surrogatepass')) // 2 > _LONGEST_NAME if WINDOWS else \
        len(os.fsencode(name)) > _LONGEST_NAME


def longest_path():
    """Returns how many characters a path can have; None where nobody gets there: not Windows, or long ones allowed."""
    if not WINDOWS:
        return None
    import winreg
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r'SYSTEM\CurrentControlSet\Control\FileSystem') as key:
            if winreg.QueryValueEx(key, 'LongPathsEnabled')[0] == 1:
                return None
    except OSError:
        pass  # a Windows that does not know it
    return _LONGEST_PATH


def from_url(path):
    """Returns the path of this machine that stands in a URL of a file: ``/C:/models`` is ``C:/models`` on Windows."""
    return path[1:] if WINDOWS and re.match(r'/[A-Za-z]:', path) else path


def is_drive(scheme):
    """Returns whether what stands before a colon is a drive: ``C://models`` is a path of Windows, and no store."""
    return WINDOWS and len(scheme) == 1


# --- the process ----------------------------------------------------------------------------------------------------

def send_here(number):
    """Has a signal delivered to this thread, the main one: here, and not some time later in another thread."""
    if hasattr(signal, 'pthread_kill'):
        signal.pthread_kill(threading.get_ident(), number)
    else:
        _raise(number)


def send(number):
    """Sends this process a signal, from any thread."""
    if hasattr(signal, 'pthread_kill'):
        os.kill(os.getpid(), number)
    else:
        _raise(number)


def _raise(number):
    """As ``os.kill``, which on Windows ends the process whatever its handlers are."""
    if hasattr(signal, 'raise_signal'):
        signal.raise_signal(number)
    else:  # before Python 3.8: all that there is, is a Ctrl-C
        import _thread
        _thread.interrupt_main()


def command_line():
    """Returns the words that this process was started with, as bytes; Python's own options may be missing."""
    try:
        with open('/proc/self/cmdline', 'rb') as words:
            return words.read().split(b'\0')[:-1]
    except OSError:
        spec = getattr(sys.modules['__main__'], '__spec__', None)
        if spec is None:
            begin = sys.argv[:1]
        else:  # of ``-m``
            begin = ['-m', spec.name[:-len('.__main__')] if spec.name.endswith('.__main__') else spec.name]
        return [os.fsencode(word) for word in [sys.executable] + begin + sys.argv[1:]]


def utf8_locale():
    """Returns the name of a locale of UTF-8 that every machine of this kind has; None where there is no need of one."""
    return None if WINDOWS else 'en_US.UTF-8' if sys.platform == 'darwin' else 'C.UTF-8'


def sys_platform():
    """Returns 'linux', 'darwin' or 'win32', as markers of requirements have it."""
    return sys.platform


def machine():
    """Returns the kind of processor, such as 'x86_64' or 'arm64'."""
    return platform.machine()


def shell():
    """Returns which shell a line is to be pasted into: 'sh', 'cmd' or 'powershell'.

    On Windows, one can only guess: cmd and Unix-like shells have a variable that PowerShell has not.
    """
    if not WINDOWS or os.environ.get('MSYSTEM') or os.environ.get('SHELL'):
        return 'sh'
    return 'cmd' if os.environ.get('PROMPT') else 'powershell'
