"""Makes of a process on Linux what Python is on Windows, as far as od-patch can tell; for good, so in one of its own.

``become()`` takes the names away that ``os``, ``signal`` and the standard library lack there, puts ``ntpath`` in the place
of ``os.path``, and files behind a translation: ``C:\\tmp\\x`` is ``/tmp/x``, in whatever case it is written. What Windows
refuses is refused with its errors: what is open is neither renamed nor removed, nothing is renamed over another file,
links need a privilege, some names and long paths cannot be. Text is written in cp1252 and with CRLF where nobody says
otherwise. TensorFlow's own file functions get the paths that they know, and give back such as Windows has.

It cannot say what Windows does beyond that: it is what its documentation and CPython's sources say, and not a Windows.
Needs POSIX below it.
"""
import builtins
import errno
import fcntl
import io
import ntpath
import os
import re
import shutil
import signal
import stat
import subprocess  # noqa: F401  what is imported later would look for Windows' own modules
import sys
import tempfile
import types

MAX_PATH = 260
_REAL = {name: getattr(os, name) for name in dir(os)}
_GONE = {
    os: ['fork', 'forkpty', 'geteuid', 'getuid', 'getgid', 'getegid', 'getgroups', 'chown', 'lchown', 'fchown', 'fchmod',
         'getxattr', 'setxattr', 'mkfifo', 'mknod', 'killpg', 'setsid', 'getpgid', 'uname', 'statvfs', 'sync', 'pread', 'pwrite',
         'posix_fallocate', 'sendfile', 'O_NOFOLLOW', 'O_DIRECTORY', 'O_NONBLOCK', 'O_CLOEXEC', 'O_SYNC', 'WNOHANG',
         'sched_getaffinity', 'getpriority', 'initgroups', 'register_at_fork', 'posix_spawn', 'wait3', 'wait4', 'ttyname'],
    signal: ['pthread_kill', 'pthread_sigmask', 'sigwait', 'SIGKILL', 'SIGALRM', 'SIGHUP', 'SIGCHLD', 'SIGUSR1', 'SIGUSR2',
             'SIGPIPE', 'SIGQUIT', 'setitimer', 'alarm', 'pause', 'siginterrupt'],
}
_NO_MODULES = ('fcntl', 'pwd', 'grp', 'resource', 'termios', 'tty', 'pty', 'posix', 'syslog', 'readline')
_ONE_PATH = ('mkdir', 'rmdir', 'unlink', 'remove', 'listdir', 'scandir', 'stat', 'lstat', 'chmod', 'utime', 'access',
             'readlink', 'chdir', 'open')
_RESERVED = re.compile(r'(?i)(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?$')
long_paths = []  # not empty: the registry allows them


def become():
    """Turns this process into one of Windows."""
    tempfile.tempdir = _to_windows(_REAL['getcwd']())
    for module, names in _GONE.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in _NO_MODULES:
        sys.modules[name] = None
    sys.modules['msvcrt'] = _msvcrt()
    sys.modules['winreg'] = _winreg()
    signal.SIGBREAK = 21
    os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks = set(), set(), set()
    shutil._use_fd_functions = False
    os.O_BINARY, os.O_NOINHERIT, os.O_TEMPORARY = 1 << 28, 1 << 29, 1 << 30
    os.name, os.sep, os.altsep, os.pathsep, os.linesep, os.devnull = 'nt', '\\', '/', ';', '\r\n', 'nul'
    os.path = sys.modules['os.path'] = ntpath
    for name in _ONE_PATH:
        setattr(os, name, _of_one_path(name))
    os.rename, os.replace = _rename, _replace
    os.symlink, os.link, os.kill = _no_privilege, _no_privilege, _kill
    os.getcwd = lambda: _to_windows(_REAL['getcwd']())
    builtins.open = io.open = _open_file(builtins.open)


def of_tensorflow():
    """TensorFlow 1.12's file functions and its reader of checkpoints take paths as Windows has them."""
    from tensorflow.python import pywrap_tensorflow
    from tensorflow.python import pywrap_tensorflow_internal as internal
    from tensorflow.python.lib.io import file_io

    class Translated:
        def __getattr__(self, name):
            function = getattr(pywrap_tensorflow, name)
            if not callable(function) or isinstance(function, type):
                return function

            def call(*arguments):
                paths = 2 if name in ('CopyFile', 'RenameFile') else 1
                answer = function(*([_of_bytes(path) for path in arguments[:paths]] + list(arguments[paths:])))
                if name == 'GetMatchingFiles':  # Windows' own file system has all of them with backslashes
                    return [path if b'://' in path else _to_windows(path.decode()).encode() for path in answer]
                return answer
            return call
    file_io.pywrap_tensorflow = Translated()
    reader = internal.CheckpointReader
    internal.CheckpointReader = lambda path, *rest: reader(_of_bytes(path), *rest)


def _of_bytes(argument):
    if isinstance(argument, bytes) and b'://' not in argument:
        return to_posix(argument.decode()).encode()
    return argument


def _to_windows(path):
    return 'C:' + path.replace('/', '\\')


def to_posix(path):
    """Returns where a path of Windows lies on this machine; another spelling of what is there is found."""
    drive, path = ntpath.splitdrive(path)
    path = path.replace('\\', '/')
    if drive not in ('', 'C:', 'c:'):
        raise _error(FileNotFoundError, 3, 'The system cannot find the path specified', path)
    if _found(path):
        return path
    found = '/' if path.startswith('/') else ''
    for part in filter(None, path.split('/')):
        if not _found(found + part) and _is_folder(found or '.'):
            part = next((name for name in _REAL['listdir'](found or '.') if name.lower() == part.lower()), part)
        found += part + '/'
    return found.rstrip('/') or found


def _found(path, look='lstat'):
    try:
        return _REAL[look](path)
    except OSError:
        return None


def _is_folder(path):
    found = _found(path, 'stat')
    return bool(found) and stat.S_ISDIR(found.st_mode)


def _error(kind, winerror, text, *paths):
    error = kind({FileExistsError: errno.EEXIST, FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}.get(
        kind, errno.EINVAL), text, *paths)
    error.winerror = winerror
    return error


def _checked(path, made=False):
    """The path on this machine, or Windows' error of it."""
    if not isinstance(path, str):
        return path
    whole = path if ntpath.isabs(path) else ntpath.join(os.getcwd(), path)
    if len(whole) >= MAX_PATH and not long_paths:
        raise _error(FileNotFoundError, 206 if made else 3, 'The filename or extension is too long', path)
    for part in re.split(r'[\\/]', ntpath.splitdrive(whole)[1]):
        if set(part) & set('<>:"|?*') or made and part not in ('.', '..') and (
                _RESERVED.match(part) or part.endswith((' ', '.'))):
            raise _error(OSError, 123, 'The filename, directory name, or volume label syntax is incorrect', path)
    return to_posix(path)


def _open_below(path):
    """Whether this process has a file open that is a path, or lies below it."""
    folder, _, name = path.rpartition('/')
    handle = _REAL['open'](folder or ('/' if path.startswith('/') else '.'), _REAL['O_RDONLY'])
    real = _REAL['readlink']('/proc/self/fd/{}'.format(handle)).rstrip('/') + '/' + name
    _REAL['close'](handle)
    for number in _REAL['listdir']('/proc/self/fd'):
        try:
            named = _REAL['readlink']('/proc/self/fd/' + number)
        except OSError:
            continue
        if (named + '/').startswith(real + '/'):
            return True
    return False


def _of_one_path(name):
    function = _REAL[name]
    makes = name in ('mkdir', 'open')

    def call(path='.', *rest, **more):
        more.pop('dir_fd', None)
        there = _checked(path, makes)
        if name == 'mkdir':
            rest = ()
        if name == 'open' and rest:
            rest = (rest[0] & ~(os.O_BINARY | os.O_NOINHERIT | os.O_TEMPORARY) | _REAL['O_CLOEXEC'],) + rest[1:]
            if _is_folder(there):
                raise _error(PermissionError, 5, 'Access is denied', path)
        if name in ('unlink', 'remove'):
            found = _REAL['lstat'](there)
            if _open_below(there):
                raise _error(PermissionError, 32, 'The process cannot access the file because it is being used by another '
                             'process', path)
            if stat.S_ISDIR(found.st_mode) or not found.st_mode & stat.S_IWUSR:
                raise _error(PermissionError, 5, 'Access is denied', path)
        return function(there, *rest, **more)
    return call


def _rename(source, destination):
    here, there = _checked(source), _checked(destination, True)
    if _found(there) and _found(here) and _found(there).st_ino != _found(here).st_ino:
        raise _error(FileExistsError, 183, 'Cannot create a file when that file already exists', source, None, destination)
    _move(here, there, source, destination)


def _replace(source, destination):
    here, there = _checked(source), _checked(destination, True)
    if _is_folder(there) or _found(there) and _open_below(there):
        raise _error(PermissionError, 5, 'Access is denied', source, None, destination)
    _move(here, there, source, destination)


def _move(here, there, source, destination):
    _REAL['lstat'](here)
    if _open_below(here):
        raise _error(PermissionError, 5 if _is_folder(here) else 32, 'Access is denied', source, None, destination)
    _REAL['rename'](here, there)


def _no_privilege(source, destination, *rest, **more):
    raise _error(OSError, 1314, 'A required privilege is not held by the client', source, None, destination)


def _kill(pid, number):
    raise AssertionError('os.kill ends the process, whatever its handlers are')


def _open_file(function):
    def call(path, mode='r', *rest, **more):
        if isinstance(path, int):
            return function(path, mode, *rest, **more)
        if 'b' not in mode and not rest:
            more.setdefault('encoding', 'cp1252')
            if set(mode) & set('wax'):
                more['newline'] = '\r\n' if more.get('newline') is None else more['newline']
        path = os.fspath(path)
        return function(path if more.get('opener') else _checked(path, bool(set(mode) & set('wax'))), mode, *rest, **more)
    return call


def _msvcrt():
    module = types.ModuleType('msvcrt')
    module.LK_UNLCK, module.LK_LOCK, module.LK_NBLCK = 0, 1, 2

    def locking(handle, mode, num_bytes):
        assert num_bytes == 1 and _REAL['lseek'](handle, 0, os.SEEK_CUR) == 0
        try:
            fcntl.flock(handle, fcntl.LOCK_UN if mode == module.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PermissionError(errno.EACCES, 'Permission denied')
    module.locking = locking
    return module


def _winreg():
    module = types.ModuleType('winreg')
    module.HKEY_LOCAL_MACHINE = 'HKLM'

    def open_key(root, path):
        assert root == 'HKLM' and path == r'SYSTEM\CurrentControlSet\Control\FileSystem'
        return io.StringIO()
    module.OpenKey, module.QueryValueEx = open_key, lambda key, name: (int(bool(long_paths)), 4)
    return module


def run(scenario, folder, *arguments, tensorflow=False):
    """Calls a function on Windows, in a fork; what it raises is raised here as an AssertionError with its traceback.

    Args:
        scenario: function of the folder, as Windows has it, and ``arguments``. It imports od_patch itself: what is
            imported of it in this process is that of Linux.
        folder: path of this machine, where the scenario is at work.
        tensorflow: bool, whether it reads and writes by TensorFlow.
    """
    import traceback
    from tests.support import forks
    reading, writing = os.pipe()
    child = forks.fork()
    if not child:
        status = 1
        try:
            os.close(reading)
            os.chdir(str(folder))
            for name in [name for name in sys.modules if name.split('.')[0] == 'od_patch']:
                del sys.modules[name]
            become()
            if tensorflow:
                of_tensorflow()
            scenario(os.getcwd(), *arguments)
            status = 0
        except BaseException:  # pylint: disable=broad-except
            _REAL['write'](writing, traceback.format_exc().encode('utf-8', 'replace'))
        finally:
            _REAL['_exit'](status)
    os.close(writing)
    with open(reading, 'rb') as told:
        text = told.read().decode('utf-8')
    assert _REAL['waitpid'](child, 0)[1] == 0 and not text, text
