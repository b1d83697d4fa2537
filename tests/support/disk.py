"""The calls by which code changes the disk, as they happen: a look before and behind each of them, and an end at any.

``Watch`` puts real calls behind wrappers: ``os``, ``open`` for writing, and the exchange of two folders. ``dying`` runs
code in a fork that dies at one moment of them: as by SIGKILL, or as when the power fails, where what was written and
not brought to the disk is lost.

Not for: whole exports; ``tests.support.server`` counts and kills those.
"""
import builtins
import collections
import contextlib
import itertools
import os
import traceback

from od_patch.staging import _staging
from tests.support import forks

_CALLS = ('mkdir', 'rename', 'replace', 'unlink', 'remove', 'rmdir', 'chmod', 'chown', 'symlink', 'link', 'fsync')
_KILLED = 9

Call = collections.namedtuple('Call', ['name', 'paths'])
Call.__doc__ = """One call: its name, such as 'rename', and the absolute paths that it was given."""


class Watch:
    """Context in which each call that changes the disk is seen.

    Attributes:
        calls: list of ``Call``, in their order.
    """

    def __init__(self, look=None):
        """``look(call, done)`` is called before each call and behind it; what it raises is raised by the call."""
        self.calls = []
        self._look = look
        self._paused = False
        self._before = []
        self._not_on_the_disk = {}  # (device, inode) -> a descriptor of a file that was written

    def __enter__(self):
        for name in _CALLS:
            self._put(os, name, self._seen(name, getattr(os, name)))
        self._put(os, 'open', self._seen('open', os.open, lambda path, flags, *rest, **more: flags & (
            os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        self._put(builtins, 'open', self._seen('open', builtins.open, lambda path, mode='r', *rest, **more: set(
            mode) & set('wax+')))
        self._put(_staging, '_rename_exchange', self._seen('exchange', _staging._rename_exchange))
        return self

    def __exit__(self, *unused):
        while self._before:
            setattr(*self._before.pop())

    @contextlib.contextmanager
    def paused(self):
        """Context in which nothing is seen: for what the test does itself."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def lose(self):
        """Takes from each file what was written to it and may not be on the disk."""
        for handle in self._not_on_the_disk.values():
            os.ftruncate(handle, 0)

    def names(self):
        """The names of the calls, in their order."""
        return [call.name for call in self.calls]

    def _put(self, module, name, function):
        self._before.append((module, name, getattr(module, name)))
        setattr(module, name, function)

    def _seen(self, name, function, counts=lambda *args, **kwargs: True):
        def call(*args, **kwargs):
            if self._paused or not counts(*args, **kwargs):
                return function(*args, **kwargs)
            made = Call(name, [_absolute(path, folder) for path, folder in _paths(name, args, kwargs)])
            self.calls.append(made)
            self._tell(made, False)
            try:
                result = function(*args, **kwargs)
                if name == 'fsync':
                    self._not_on_the_disk.pop(_identity(args[0]), None)
                elif name == 'open' and hasattr(result, 'fileno'):
                    self._not_on_the_disk[_identity(result.fileno())] = os.dup(result.fileno())
            finally:
                self._tell(made, True)
            return result
        return call

    def _tell(self, made, done):
        if self._look:
            with self.paused():
                self._look(made, done)


def _identity(handle):
    found = os.fstat(handle)
    return found.st_dev, found.st_ino


def _paths(name, args, kwargs):
    """[(path or descriptor, descriptor of the folder it is below or None)] of a call."""
    count = 2 if name in ('rename', 'replace', 'link', 'exchange') else 1
    targets = args[1:2] if name == 'symlink' else args[:count]
    return [(path, kwargs.get('dir_fd')) for path in targets]


def _absolute(path, folder):
    if isinstance(path, int):
        return os.readlink('/proc/self/fd/{}'.format(path))
    where = os.readlink('/proc/self/fd/{}'.format(folder)) if folder is not None else os.getcwd()
    return os.path.join(where, os.fspath(path))


def dying(work, moment, power=False):
    """Calls ``work(watch)`` in a fork that dies at a moment: just before or just behind a call that changes the disk.

    Args:
        work: function of a ``Watch``.
        moment: int, from 1.
        power: bool, whether it ends as by a power failure, and not as by SIGKILL.

    Returns:
        Whether it got that far; False where it came to its end.
    """
    child = forks.fork()
    if not child:
        code = 1
        try:
            moments = itertools.count(1)

            def look(call, done):
                del call, done
                if next(moments) == moment:
                    if power:
                        watch.lose()
                    os._exit(_KILLED)
            with Watch(look) as watch:
                work(watch)
            code = 0
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    assert code in (0, _KILLED), 'the fork ended with {}'.format(code)
    return code == _KILLED
