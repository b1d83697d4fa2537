"""Which checkpoints lie in a folder of a training, of which steps, and whether they are whole."""
import collections
import glob
import os
import re
import typing

from od_patch import _tensorflow
from od_patch.checkpoint import _bundle
from od_patch.checkpoint import _checkpoint
from od_patch.staging import _store

_DATA_FILE = re.compile(r'\.data-\d{5}-of-\d{5}$')
_NUMBERED = re.compile(r'.+-\d+$')


class Listing:
    """What lies beside the checkpoints of a path, from one look: looks by pattern cost as much as all that lies there.

    Attributes:
        names: dict of prefix -> names of the files of that checkpoint; None where the path is a pattern of folders.
    """

    def __init__(self, path: str) -> None:
        gfile = _tensorflow.gfile()
        self._folder = path if gfile.IsDirectory(path) else os.path.dirname(path) or '.'
        self.names = None
        if glob.has_magic(self._folder) and not gfile.IsDirectory(self._folder):
            return
        self.names = collections.defaultdict(list)
        for name in gfile.ListDirectory(self._folder) if gfile.IsDirectory(self._folder) else []:
            self.names[_checkpoint.without_suffix(name)].append(name)

    def files(self, prefix: str) -> typing.Optional[typing.List[str]]:
        """Returns the paths of a checkpoint's files that are there, the index first; None where it cannot tell."""
        folder, name = os.path.split(prefix)
        here = _store.without_slash(self._folder)
        if self.names is None or os.path.normcase(folder or '.') != os.path.normcase(here):
            return None
        index = name + '.index'
        there = self.names.get(name, ())
        if index not in there:
            return [prefix]
        return [prefix + '.index'] + [_store.below(folder, file) for file in sorted(there) if _DATA_FILE.search(file)]


def find(path: str, listing: typing.Optional[Listing] = None) -> typing.List[str]:
    """Returns the prefixes of all checkpoints that a path means, by the number in their names and then by name.

    Args:
        path: str, a directory, a pattern of prefixes (``training/model.ckpt-*``),
            or a prefix.
        listing: ``Listing`` of it, or None.
    """
    gfile = _tensorflow.gfile()
    listing = listing or Listing(path)
    if gfile.IsDirectory(path):
        names = [_store.below(path, name) for name in gfile.ListDirectory(path)]
    elif not gfile.IsDirectory(os.path.dirname(path) or '.') and not glob.has_magic(os.path.dirname(path)):
        names = []  # Glob raises for a folder that is not there, in some releases
    else:
        names = gfile.Glob(path) + gfile.Glob(path + '.index')
    there = {_store.without_slash(name) for name in names}
    prefixes = {_checkpoint.without_suffix(name) for name in there}
    found = [prefix for prefix in prefixes if _has_index(prefix, there, listing) or (
        prefix in there and _NUMBERED.match(os.path.basename(prefix)) and not gfile.IsDirectory(prefix))]
    return sorted(found, key=lambda prefix: (_checkpoint.step_in_name(prefix) or 0, prefix))


def _has_index(prefix: str, names: typing.Set[str], listing: Listing) -> bool:
    files = [prefix + '.index'] if prefix + '.index' in names else listing.files(prefix)
    return _tensorflow.gfile().Exists(prefix + '.index') if files is None else files[0] == prefix + '.index'


def step_of(prefix: str) -> typing.Optional[int]:
    """Returns the global step of a checkpoint: what it holds, else what its name says, else None."""
    tf = _tensorflow.tf1()
    try:
        reader = tf.train.NewCheckpointReader(prefix)
        if reader.has_tensor('global_step'):
            return int(reader.get_tensor('global_step'))
    except _tensorflow.reader_errors():
        pass  # it is refused in words when it is exported
    return _checkpoint.step_in_name(prefix)


def files_of(prefix: str) -> typing.List[str]:
    """Returns the paths of a checkpoint's files; the data files as far as they are there."""
    gfile = _tensorflow.gfile()
    if not gfile.Exists(prefix + '.index'):
        return [prefix]
    return [prefix + '.index'] + sorted(gfile.Glob(_checkpoint.glob_escape(prefix) + '.data-?????-of-?????'))


def looks(prefix: str, listing: Listing) -> typing.Optional[typing.List[typing.Tuple[str, int, int]]]:
    """Returns the names, sizes and times of a checkpoint's files; None where one goes away meanwhile."""
    gfile = _tensorflow.gfile()
    files = listing.files(prefix)
    try:
        found = []
        for path in files_of(prefix) if files is None else files:
            if _store.is_store(path):
                what = gfile.Stat(path)
                found.append((path, what.length, what.mtime_nsec))
            else:
                what = os.stat(path)
                found.append((path, what.st_size, what.st_mtime_ns))
        return found
    except OSError:
        return None
    except _tensorflow.tf1().errors.OpError:
        return None


def is_whole(prefix: str) -> bool:
    """Returns whether all bytes of a V2 checkpoint are there; a V1 one cannot tell."""
    gfile = _tensorflow.gfile()
    if not gfile.Exists(prefix + '.index'):
        return gfile.Exists(prefix)
    try:
        return not _bundle.shortfalls(prefix, _bundle.read_index(prefix))
    except (_bundle.BrokenIndex, _tensorflow.tf1().errors.OpError):
        return False
