"""An export in a store without renames and locks (``s3://``, ``gs://``): claimed, uploaded, and put back if that fails.

While a run is at work it has a folder of its own in the place, ``.od-patch/<its
id>/``: a claim, which says who it is; ``new/``, the whole export; ``old/``, a copy
of what it replaces; and a journal, from which a run that fails puts the old files
back at once, and a run that is killed is undone by the next one. Whoever finds the
claim of another run that may be alive stays away. This needs a store that shows
what was written to whoever looks afterwards (S3 since December 2020, GCS); where
looks lag behind, two at once may not see each other.

Not for: local disks, which have renames and locks (``_staging``); versions of a
model beside each other (``serving/_claims``).
"""
import collections
import contextlib
import ctypes
import json
import os
import posixpath
import re
import uuid

from od_patch import _errors
from od_patch import _platform
from od_patch import _tensorflow

FOLDER = '.od-patch'
_ID = re.compile(r'[0-9a-f]{32}$')
_CLAIM, _JOURNAL, _NEW, _OLD = 'claim', 'journal', 'new', 'old'
_SILENCE = 3600 * 10 ** 9  # nanoseconds without a sign of life of a run on another machine
_LARGEST = 1 << 20  # bytes of a claim or a journal
_HADOOP = ('hdfs', 'viewfs')
_made = set()  # folders that this process has made
_active = set()  # paths of claims that this process holds
GRAPHS = ('saved_model.pb', 'saved_model.pbtxt')
_THIS_PROCESS = uuid.uuid4().hex


class Busy(_errors.OutputRefused):
    """Another run has claimed the place, and is alive, or may be."""


def plain(path):
    """Returns a path as all else takes it: one of the local disk without its scheme, ``file://``.

    Raises:
        od_patch.EnvironmentRefused: TensorFlow lacks the library for a scheme, and would look for it for ever.
    """
    path = os.fspath(path)
    scheme, _, rest = path.partition('://')
    if scheme == 'file':
        return _platform.from_url('/' + rest.partition('/')[2])
    if scheme in _HADOOP and not _has_hadoop():
        raise _errors.EnvironmentRefused(
            '{}: TensorFlow reads it with libhdfs.so, which cannot be loaded.'.format(path),
            'Set HADOOP_HDFS_HOME, JAVA_HOME and LD_LIBRARY_PATH for Hadoop, or give another place.')
    return path


def _has_hadoop():
    home = os.environ.get('HADOOP_HDFS_HOME')
    for library in ([os.path.join(home, 'lib', 'native', 'libhdfs.so')] if home else []) + ['libhdfs.so']:
        try:
            ctypes.CDLL(library)
            return True
        except OSError:
            pass
    return False


def is_store(path):
    """Returns whether a path leads to a store, and not to the local disk."""
    scheme, found, _ = path.partition('://')
    return bool(found) and scheme != 'file' and not _platform.is_drive(scheme)


def below(folder, *names):
    """Returns the path of what lies in a folder of a store, where all paths have slashes, or of this machine."""
    return (posixpath if is_store(folder) else os.path).join(folder, *names)


def without_slash(path):
    """Returns a path without the separators that may stand behind it."""
    return path.rstrip('/' if is_store(path) or not os.altsep else os.sep + os.altsep)


def identity():
    """Returns who this process is, as JSON bytes: enough to say later, on this machine, whether it is still there."""
    return json.dumps(collections.OrderedDict([
        # Where there is no such number, it is that of this process, and nobody can know of another one.
        ('boot', _first_line('/proc/sys/kernel/random/boot_id') or _THIS_PROCESS),
        ('namespace', _link('/proc/self/ns/pid')),
        ('pid', os.getpid()), ('started', _started(os.getpid()))])).encode('ascii')


@contextlib.contextmanager
def active(claim):
    """Context in which this process holds a claim; one that it has left behind counts for nothing."""
    _active.add(claim)
    try:
        yield
    finally:
        _active.discard(claim)


def is_running(text):
    """Returns whether the process of an ``identity`` is there: True, False, or None where this machine cannot know."""
    try:
        who = json.loads(text.decode('ascii'))
        pid, here = who['pid'], json.loads(identity().decode('ascii'))
        if not who['boot'] or who['boot'] != here['boot'] or who['namespace'] != here['namespace'] or not isinstance(
                pid, int) or isinstance(pid, bool):
            return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return who['started'] is not None and _started(pid) == who['started']


def _first_line(path):
    try:
        with open(path, encoding='utf-8') as file:
            return file.readline().strip()
    except OSError:
        return ''


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ''


def _started(pid):
    """When a process began, in ticks since the machine did; None where there is none of that number."""
    try:
        with open('/proc/{}/stat'.format(pid), 'rb') as stat_file:
            return int(stat_file.read().rpartition(b')')[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


# --- the store ------------------------------------------------------------------------------------------------------

def join(*parts):
    """Returns a path in a store; its parts are joined by single slashes."""
    return '/'.join([parts[0].rstrip('/')] + [part.strip('/') for part in parts[1:] if part])


def names_in(folder):
    """Returns the names in a folder of a store; none where there is no such folder."""
    try:
        return sorted({name.rstrip('/') for name in _tensorflow.gfile().ListDirectory(folder)} - {''})
    except _tensorflow.tf1().errors.NotFoundError:
        return []


def make_folder(path):
    """Makes a folder and those above it, each once in this process: every look costs a request or more."""
    if path not in _made:
        _tensorflow.gfile().MakeDirs(path)
        _made.add(path)


def write(path, data):
    gfile = _tensorflow.gfile()
    make_folder(path.rpartition('/')[0])
    with gfile.GFile(path, 'wb') as file:
        file.write(data)


def read(path):
    """Returns the bytes of a small file; b'' where it is gone, or larger than any of ours."""
    gfile = _tensorflow.gfile()
    try:
        if gfile.Stat(path).length > _LARGEST:
            return b''
        with gfile.GFile(path, 'rb') as file:
            return file.read()
    except _tensorflow.tf1().errors.OpError:
        return b''


def changed(path):
    """Returns when a file was written, as the store tells it, in nanoseconds; None where there is none."""
    try:
        return _tensorflow.gfile().Stat(path).mtime_nsec
    except _tensorflow.tf1().errors.OpError:
        return None


def copy(source, destination):
    """Copies one file, and looks whether all of it has arrived.

    Raises:
        od_patch.OutputRefused: it has not.
    """
    gfile = _tensorflow.gfile()
    make_folder(destination.rpartition('/')[0])
    gfile.Copy(source, destination, overwrite=True)
    if gfile.Stat(destination).length != gfile.Stat(source).length:
        raise _errors.OutputRefused('Not all of {} has arrived in the store.'.format(destination), 'Try again.')


def remove(path):
    """Removes a file; one that is not there is no error."""
    try:
        _tensorflow.gfile().Remove(path)
    except _tensorflow.tf1().errors.NotFoundError:
        pass


def remove_folder(path):
    """Removes a folder with all that it has, or a file; one that is not there is no error."""
    gfile = _tensorflow.gfile()
    _made.difference_update([made for made in _made if (made + '/').startswith(path + '/')])
    try:
        if gfile.IsDirectory(path):
            gfile.DeleteRecursively(path)
        elif gfile.Exists(path):
            gfile.Remove(path)
    except _tensorflow.tf1().errors.NotFoundError:
        pass


def remove_if_empty(folder):
    """Removes a folder that holds nothing; in many stores, there are such only where one has been made."""
    gfile = _tensorflow.gfile()
    try:
        if not names_in(folder) and gfile.Exists(folder):
            _made.discard(folder)
            gfile.DeleteRecursively(folder)
    except _tensorflow.tf1().errors.NotFoundError:
        pass


def files_below(folder):
    """Returns the paths of all files below a folder of a store, relative to it, sorted."""
    return sorted('/'.join(parts + [name]) for parts, _, names in walk(folder) for name in names)


def walk(folder):
    """Yields (names of the folders on the way, names of folders, names of files) of all folders below one, itself too.

    ``tf.gfile.Walk`` puts backslashes into the paths of stores on Windows.
    """
    gfile = _tensorflow.gfile()
    left = [[]]
    while left:
        parts = left.pop(0)
        place = join(folder, *parts)
        there = names_in(place)
        folders = [name for name in there if gfile.IsDirectory(join(place, name))]
        yield parts, folders, [name for name in there if name not in folders]
        left += [parts + [name] for name in folders]


def may_be_alive(claim, now):
    """Returns whether the run of a claim is at work, as far as can be known: on this machine exactly, else by its age.

    Args:
        claim: str, its path.
        now: int, the time of the store, in nanoseconds.
    """
    written = changed(claim)
    if written is None:
        return False
    text = read(claim)
    running = claim in _active if text == identity() else is_running(text)
    return now - written < _SILENCE if running is None else running


# --- an export in its place -----------------------------------------------------------------------------------------

class Place:
    """A folder of a store that an export is to be written to, claimed by this run.

    Attributes:
        path: str, the folder.
        names: compiled pattern of the artefacts.
    """

    def __init__(self, path, names):
        self.path, self.names = path.rstrip('/'), names
        self._run = join(self.path, FOLDER, uuid.uuid4().hex)
        self._active = active(join(self._run, _CLAIM))

    def __enter__(self):
        """Claims the place, and undoes what runs that were killed have left.

        Raises:
            od_patch.OutputRefused: another run is or may be at work there.
        """
        self._active.__enter__()
        claim = join(self._run, _CLAIM)
        try:
            write(claim, identity())
            self._clear(changed(claim))
        except BaseException as error:
            with contextlib.suppress(_tensorflow.tf1().errors.OpError):
                self.__exit__()
            if isinstance(error, _tensorflow.tf1().errors.OpError):
                raise _errors.OutputRefused(
                    'The output directory {} cannot be written: {}'.format(self.path, _text_of(error)),
                    'Check the path, and that its store can be reached and written to from here.')
            raise
        return self

    def __exit__(self, *unused):
        self._active.__exit__(None, None, None)
        if not _tensorflow.gfile().Exists(join(self._run, _JOURNAL)):
            remove_folder(self._run)
        remove_if_empty(join(self.path, FOLDER))
        remove_if_empty(self.path)

    def _clear(self, now):
        for name in names_in(join(self.path, FOLDER)):
            run = join(self.path, FOLDER, name)
            if run == self._run:
                continue
            claim = join(run, _CLAIM)
            if not _ID.match(name):
                raise _not_ours(run)
            if may_be_alive(claim, now):
                raise Busy(
                    'Another export into {} is running (it holds {}).'.format(self.path, claim),
                    'Wait for it to end, or give another --output_directory. If it runs on another machine and was '
                    'killed there, its claim counts for an hour.')
            if _tensorflow.gfile().Exists(join(run, _JOURNAL)):
                journal = self._read_journal(run)
                if journal is None:
                    raise _not_ours(run)
                if journal['old'] or not self._has_its_graph(journal['new']):
                    self._put_back(run, journal['new'], journal['old'])
            elif set(names_in(run)) - {_CLAIM, _NEW, _OLD}:
                raise _not_ours(run)
            remove_folder(run)

    def _read_journal(self, run):
        """Returns what the journal of a run says, or None: it was not written here, or names what is no artefact."""
        try:
            journal = json.loads(read(join(run, _JOURNAL)).decode('utf-8'))
            right = journal['place'] == self.path and journal['claimed'] == changed(join(run, _CLAIM)) and all(
                self._is_artefact(path) for path in journal['new'] + journal['old'])
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
            return None
        return journal if right else None

    def _is_artefact(self, path):
        parts = path.split('/')
        return bool(self.names.match(parts[0])) and not set(parts) & {'', '.', '..'}

    def _has_its_graph(self, new):
        """Returns whether an upload into an empty place was finished: the graph comes last."""
        return any(path.endswith(GRAPHS) and _tensorflow.gfile().Exists(join(self.path, path)) for path in new)

    def there(self):
        """Returns the paths of the artefacts that are in the place, relative to it."""
        found = []
        for name in names_in(self.path):
            if self.names.match(name):
                path = join(self.path, name)
                found += [join(name, below) for below in files_below(path)] if _tensorflow.gfile().IsDirectory(
                    path) else [name]
        return sorted(found)

    def put(self, folder):
        """Replaces what is there by the content of a local folder; or leaves it as it was, and raises.

        Raises:
            od_patch.OutputRefused: it failed; the text says whether what was there is there again, or where it is.
        """
        new = in_order(os.path.relpath(os.path.join(place, name), folder).replace(os.sep, '/')
                       for place, _, names in os.walk(folder) for name in names)
        old = self.there()
        for path in new:
            if not self._is_artefact(path):
                raise _errors.OutputRefused('{!r} is no part of an export or of a SavedModel.'.format(path),
                                            'Remove it from what is written to {}.'.format(self.path))
        op_error = _tensorflow.tf1().errors.OpError
        journal = join(self._run, _JOURNAL)
        try:
            if old:
                for path in new:  # what the store refuses, it refuses before anything has changed
                    copy(os.path.join(folder, path), join(self._run, _NEW, path))
                for path in old:
                    copy(join(self.path, path), join(self._run, _OLD, path))
            write(journal, json.dumps(collections.OrderedDict([
                ('place', self.path), ('claimed', changed(join(self._run, _CLAIM))), ('new', new),
                ('old', old)])).encode('utf-8'))
        except op_error as error:
            with contextlib.suppress(op_error):
                remove(journal)
            raise self._failed(error, 'Nothing in {} was changed.'.format(self.path))
        try:
            for path in old:
                if path.endswith(GRAPHS):  # or who reads meanwhile would find the old graph over new weights
                    remove(join(self.path, path))
            stale = sorted(set(old) - set(new))
            # What only the old one had goes before the new graph comes: a server would run its warm-up requests, say.
            for path in in_order(new + stale):
                if path in stale:
                    remove(join(self.path, path))
                else:
                    copy(os.path.join(folder, path), join(self.path, path))
            remove(journal)
        except BaseException as error:
            self._put_back_at_once(new, old, error)
            if isinstance(error, op_error):
                raise self._failed(error, 'What {} held before is there again.'.format(self.path) if old else
                                   'Nothing of it was left in {}.'.format(self.path))
            raise

    def _failed(self, error, state):
        return _errors.OutputRefused('The upload to {} failed: {}'.format(self.path, _text_of(error)),
                                     '{} Try again when the store takes what is written to it.'.format(state))

    def _put_back_at_once(self, new, old, error):
        errors = (_tensorflow.tf1().errors.OpError, _errors.ODPatchError, OSError)
        try:
            self._put_back(self._run, new, old)
            remove(join(self._run, _JOURNAL))
        except errors as another:
            raise _errors.OutputRefused(
                'The upload to {0} failed ({1}), and what was there could not be put back ({2}): {0} is incomplete.'
                .format(self.path, _text_of(error), _text_of(another)),
                'A copy of what was there is whole in {}. The next export into {} puts it back first.'.format(
                    join(self._run, _OLD), self.path) if old else
                'Nothing was there before. The next export into {} removes what is there now.'.format(self.path))

    def _put_back(self, run, new, old):
        """Undoes ``put``, from wherever it had got to, as often as it is called."""
        saved = join(run, _OLD)
        for path in new:
            if path not in old or path.endswith(GRAPHS):
                remove(join(self.path, path))
        for path in in_order(old):
            if not same(join(saved, path), join(self.path, path)):
                copy(join(saved, path), join(self.path, path))
        for folder in sorted({above for path in new for above in _above(path)}, key=len, reverse=True):
            remove_if_empty(join(self.path, folder))  # an empty one would count as a version


def _above(path):
    """Returns the folders above a path, relative as it is."""
    parts = path.split('/')
    return ['/'.join(parts[:number]) for number in range(1, len(parts))]


def in_order(paths):
    """Returns paths in the order in which they are written: the graph of the SavedModel last."""
    return sorted(paths, key=lambda path: (path.startswith('saved_model/'), path.endswith(GRAPHS), path))


def same(one, other):
    """Returns whether two files of a store hold the same."""
    gfile = _tensorflow.gfile()
    try:
        if gfile.Stat(one).length != gfile.Stat(other).length:
            return False
    except _tensorflow.tf1().errors.NotFoundError:
        return False
    with gfile.GFile(one, 'rb') as one_file, gfile.GFile(other, 'rb') as other_file:
        while True:
            block = one_file.read(1 << 20)
            if block != other_file.read(1 << 20):
                return False
            if not block:
                return True


def _text_of(error):
    return getattr(error, 'message', None) or getattr(error, 'problem', None) or '{}: {}'.format(
        type(error).__name__, error)


def _not_ours(path):
    return _errors.OutputRefused(
        '{} is in the way: it has the name of what od-patch keeps while it works, and no run has written it '
        'there.'.format(path), 'Look at what is in it, and remove it; then try again.')
