"""What is kept between two searches: environments and revisions, each made aside and renamed into place whole.

An entry is a folder with the file ``od-patch.json``, which is written last: what
lacks it is half made or not ours, and is never used. Only such entries, and what
a killed run left half made, are ever removed. Not for: what an entry holds.
"""
import collections
import contextlib
import json
import os
import shutil
import stat
import time

from od_patch import _errors
from od_patch import _platform

KINDS = ('environments', 'revisions')
_MARK = 'od-patch.json'
_ASIDE = '.making-'
_LOCK = '.lock'

Entry = collections.namedtuple('Entry', 'kind name path bytes made')
Entry.__doc__ = """A folder that is kept: its kind, name and path, its bytes on the disk, the time of its making."""


def default():
    """The cache's folder where none is given: ``od-patch`` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser('~/.cache'), 'od-patch')


class Cache:
    """The folders that are kept below ``folder``, which is made when something is to be kept.

    Raises:
        od_patch.OutputRefused: it is no folder, or another user's: what lies in it is run.
    """

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        if os.path.lexists(self.folder):
            if not os.path.isdir(self.folder):
                raise _errors.OutputRefused('The cache {} is no folder.'.format(self.folder), 'Give another --cache.')
            found = os.stat(self.folder)
            if not _platform.is_mine(found) or not _platform.WINDOWS and found.st_mode & stat.S_IWOTH:
                raise _errors.OutputRefused(
                    'The cache {} can be written by others, and what lies in it is run.'.format(self.folder),
                    'Give another --cache, or make that one yours alone:  chmod go-w {}'.format(self.folder))

    def path(self, kind, name):
        """Where an entry is, or would be."""
        return os.path.join(self.folder, kind, name)

    def has(self, kind, name):
        return os.path.isfile(os.path.join(self.path(kind, name), _MARK))

    def facts(self, kind, name):
        """Dict that was given when the entry was made; empty where it cannot be read."""
        try:
            with open(os.path.join(self.path(kind, name), _MARK), encoding='utf-8') as file:
                found = json.load(file)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @contextlib.contextmanager
    def used(self):
        """Context in which nobody clears the cache."""
        with self._held(_LOCK, shared=True):
            yield

    def ensure(self, kind, name, fill):
        """Returns the path of an entry; ``fill(folder)`` makes it where it is not there, and returns a dict of facts.

        Who wants one that another process is making waits for it. When ``fill`` raises, or the process is killed,
        there is no entry.
        """
        target = self.path(kind, name)
        if self.has(kind, name):
            return target
        self._make_folder(os.path.join(self.folder, kind))
        with self._held(os.path.join(kind, _LOCK + '-' + name)):
            if self.has(kind, name):
                return target
            aside = os.path.join(self.folder, kind, _ASIDE + name)
            for leftover in (aside, target):
                _remove(leftover)
            os.mkdir(aside, _platform.PRIVATE)
            try:
                facts = dict(fill(aside) or {}, made=time.time())
                with open(os.path.join(aside, _MARK), 'w', encoding='utf-8', newline='\n') as file:
                    json.dump(facts, file, indent=1, sort_keys=True)
                _platform.rename(aside, target)
            finally:
                _remove(aside)
        return target

    def names(self, kind):
        """Sorted list of the names of the entries of a kind."""
        return [name for name in _names(os.path.join(self.folder, kind))
                if not name.startswith('.') and self.has(kind, name)]

    def entries(self):
        """List of ``Entry``, the environments first."""
        return [Entry(kind, name, self.path(kind, name), size(self.path(kind, name)),
                      self.facts(kind, name).get('made', 0)) for kind in KINDS for name in self.names(kind)]

    def clear(self, names=None):
        """Removes the entries of these names (None: all, and what killed runs left); returns the list of ``Entry``.

        Raises:
            od_patch.UsageError: there is no entry of such a name; od_patch.OutputRefused: a search is using the cache.
        """
        if not os.path.isdir(self.folder):
            there = []
        else:
            there = self.entries()
        for name in names or ():
            if name not in [entry.name for entry in there]:
                raise _errors.UsageError('The cache {} holds no {!r}.'.format(self.folder, name), _errors.did_you_mean(
                    name, [entry.name for entry in there]) or 'od-patch cache lists what it holds.')
        if not os.path.isdir(self.folder):
            return []
        with self._held(_LOCK, waits=False):
            gone = [entry for entry in there if names is None or entry.name in names]
            for entry in gone:
                # The mark first: what is left of an entry when this is killed is none.
                os.remove(os.path.join(entry.path, _MARK))
                _remove(entry.path)
            if names is None:
                for kind in KINDS:
                    for name in _names(os.path.join(self.folder, kind)):
                        if name.startswith((_ASIDE, _LOCK)):
                            _remove(os.path.join(self.folder, kind, name))
        return gone

    def _make_folder(self, path):
        try:
            os.makedirs(path, mode=_platform.PRIVATE, exist_ok=True)
        except OSError as error:
            raise _errors.OutputRefused('The cache {} cannot be written: {}.'.format(self.folder, error.strerror),
                                        'Give another --cache.')

    @contextlib.contextmanager
    def _held(self, name, shared=False, waits=True):
        self._make_folder(self.folder)
        try:
            file = open(os.path.join(self.folder, name), 'ab')
        except OSError as error:
            raise _errors.OutputRefused('The cache {} cannot be written: {}.'.format(self.folder, error.strerror),
                                        'Give another --cache.')
        with file:
            if waits:
                _platform.wait_for_lock(file.fileno(), shared)
            elif not _platform.lock(file.fileno()):
                raise _errors.OutputRefused('The cache {} is in use by a search.'.format(self.folder),
                                            'Wait for its end, or interrupt it.')
            yield


def size(path):
    """Bytes of all files below a folder; a file of several names counts once."""
    seen = {}
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(folder, name))
                seen[(found.st_dev, found.st_ino)] = found.st_size
    return sum(seen.values())


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _remove(path):
    if os.path.islink(path) or os.path.isfile(path):
        os.remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
