"""Interrupts real exports in every way at hand, and looks at what is left.

``python -m tools.faults.interruptions --count 200 --report out.json``

One interruption is: a place to export into, prepared; an export in a process of
its own, interrupted; a second run, which is refused for its checkpoint and so
does nothing but clean up; and a third, whole run. After each of the three the
place is looked at. Lost is what breaks one of the promises of ``_check``.

Full disks and read-only folders are made with mounts where the machine allows
that (the program runs itself in a user and mount namespace of its own, with
``unshare``); elsewhere a full disk is a limit on the size of files, and the
read-only kinds are left out. The report says which.

Not for: every single call of the staging code on small files; that is
``tests/test_staging.py``.
"""
import argparse
import collections
import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tests.support import server as fork_server

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SHAPES = os.path.join(_ROOT, 'examples', 'shapes')
_CONFIG = os.path.join(_SHAPES, 'shapes_ssd_mobilenet_v1.config')
_CHECKPOINT = os.path.join(_SHAPES, 'model.ckpt-4100')
_MODULE = 'od_patch.export_inference_graph'
_PATIENCE = 240  # seconds that one run may take
_NAMESPACE = 'OD_PATCH_FAULTS_NAMESPACE'


class Lost(Exception):
    """A promise was broken; the text says which."""


# --- places to export into ------------------------------------------------------------------------------------------

Place = collections.namedtuple('Place', ['name', 'prepare', 'flags', 'path', 'stepwise'])
Place.__doc__ = """Where an export goes.

Attributes:
    name: str.
    prepare: function(folder, old): makes what is there before; ``old`` is an earlier export to copy.
    flags: list of str.
    path: str, the output directory below the folder.
    stepwise: bool, whether the export is moved in artefact by artefact, so that a kill may leave it in between until
        the next run.
"""


def _nothing(folder, old):
    del folder, old


def _empty(folder, old):
    del old
    os.mkdir(os.path.join(folder, 'out'))


def _earlier(folder, old):
    shutil.copytree(old, os.path.join(folder, 'out'))


def _others(folder, old):
    del old
    os.makedirs(os.path.join(folder, 'out', 'events', 'deep'))
    for name in ('notes.txt', os.path.join('events', 'deep', 'log'), 'model.ckpt-200.index'):
        with open(os.path.join(folder, 'out', name), 'w') as mine:
            mine.write('mine: ' + name)
    os.symlink('notes.txt', os.path.join(folder, 'out', 'link'))
    os.chmod(os.path.join(folder, 'out', 'notes.txt'), 0o640)


def _earlier_and_others(folder, old):
    _others(folder, old)
    for name in os.listdir(old):
        path = os.path.join(old, name)
        (shutil.copytree if os.path.isdir(path) else shutil.copy2)(path, os.path.join(folder, 'out', name))


def _linked(folder, old):
    shutil.copytree(old, os.path.join(folder, 'real'))
    os.symlink('real', os.path.join(folder, 'out'))


_OVERWRITE = ['--overwrite']
PLACES = [
    Place('new', _nothing, [], 'out', False),
    Place('new, its parents too', _nothing, [], 'a/b/out', False),
    Place('an export', _earlier, _OVERWRITE, 'out', False),
    Place('an export, no --overwrite', _earlier, [], 'out', False),
    Place('an export and other files', _earlier_and_others, _OVERWRITE, 'out', True),
    Place('empty', _empty, [], 'out', True),
    Place('other files', _others, [], 'out', True),
    Place('a link to an export', _linked, _OVERWRITE, 'out', False),
    Place('a name with [brackets]', _nothing, [], 'out[1]', False),
]
_FREE = [place for place in PLACES if 'no --overwrite' not in place.name]


# --- one run --------------------------------------------------------------------------------------------------------

class Run:
    """A command under way in a child of the server."""

    def __init__(self, case, flags, output=None, die=None, limits=None, checkpoint=_CHECKPOINT):
        self.case = case
        self.output = os.path.join(case.folder, output or 'output-{}'.format(next(case.numbers)))
        argv = ['export_inference_graph', '--pipeline_config_path=' + _CONFIG,
                '--trained_checkpoint_prefix=' + checkpoint, '--output_directory=' + case.target] + flags
        self.began = time.time()
        self.pid = case.server.start(_MODULE, argv, self.output, environment={'TMPDIR': case.temporary}, die=die,
                                     limits=limits)
        self.status = self.calls = None

    def ended(self):
        if self.status is None:
            answer = self.case.server.poll(self.pid)
            if answer:
                self.status, self.calls = answer
                self.seconds = time.time() - self.began
        return self.status is not None

    def wait(self, until=lambda run: False):
        """Waits for the end, or until a function of the run says so; returns whether it has ended."""
        while not self.ended():
            if until(self):
                return False
            if time.time() > self.began + _PATIENCE:
                os.kill(self.pid, signal.SIGKILL)
                raise Lost('a run did not end within {} s'.format(_PATIENCE))
            time.sleep(0.002)
        return True

    def send(self, number):
        if not self.ended():
            os.kill(self.pid, number)

    @property
    def text(self):
        with open(self.output, encoding='utf-8', errors='replace') as output:
            return output.read()


class Case:
    """One place with what is in it, and the runs into it."""

    def __init__(self, folder, place, campaign):
        self.folder, self.place, self.campaign = folder, place, campaign
        self.server = campaign.server
        self.numbers = itertools.count()
        self.parent = os.path.join(folder, 'models')
        self.temporary = os.path.join(folder, 'tmp')
        self.target = os.path.join(self.parent, place.path)
        self.mounted = []
        self.told = ''
        for path in (folder, self.parent, self.temporary):
            os.mkdir(path)

    def prepare(self):
        self.place.prepare(self.parent, self.campaign.old)
        self.before = _snapshot(self.parent)

    def run(self, flags=None, **kwargs):
        return Run(self, self.place.flags if flags is None else flags, **kwargs)

    def mount(self, path, options):
        """Mounts a tmpfs, in the namespace of this program."""
        subprocess.check_call(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', path])
        self.mounted.append(path)

    def remount(self, path, options):
        return subprocess.call(['mount', '-o', 'remount,' + options, path], stderr=subprocess.DEVNULL) == 0

    def close(self):
        for path in self.mounted:
            subprocess.call(['umount', '-l', path])
        shutil.rmtree(self.folder)

    def written(self):
        """Bytes below the place and the temporary folder, beyond those that were there before."""
        return _bytes_below(self.parent) + _bytes_below(self.temporary)


def _bytes_below(folder):
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size
    return size


def _digest(path):
    with open(path, 'rb') as content:
        return hashlib.sha256(content.read()).hexdigest()


def _snapshot(folder):
    """{path: what it is} of all that lies below a folder: kind, mode, content."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode & 0o7777
            if os.path.islink(path):
                found[os.path.relpath(path, folder)] = ('link', os.readlink(path))
            elif os.path.isdir(path):
                found[os.path.relpath(path, folder)] = ('folder', mode)
            else:
                found[os.path.relpath(path, folder)] = ('file', mode, _digest(path))
    return found


# --- what is promised -----------------------------------------------------------------------------------------------

class Judge:
    """Knows what a whole export looks like: from a run that nobody disturbed."""

    def __init__(self, export):
        self.names = self._names(export)
        self.equal = {name: _digest(os.path.join(export, name)) for name in self.names
                      if name.startswith(os.path.join('saved_model', 'variables')) or name in (
                          os.path.join('saved_model', 'saved_model.pb'), 'pipeline.config', 'checkpoint',
                          'model.ckpt.index', 'model.ckpt.data-00000-of-00001')}
        assert len(self.equal) == 7, sorted(self.equal)

    @staticmethod
    def _names(folder):
        return sorted(os.path.relpath(os.path.join(place, name), folder)
                      for place, _, names in os.walk(folder) for name in names)

    def what_is_wrong(self, export):
        """What keeps a folder from holding the whole new export; None where nothing does."""
        there = self._names(export) if os.path.isdir(export) else []
        missing = sorted(set(self.names) - set(there))
        if missing:
            return 'no ' + ', '.join(missing)
        try:
            with open(os.path.join(export, 'saved_model', 'assets.extra', 'od_patch.json')) as record_file:
                record = json.load(record_file)
        except ValueError:
            return 'a broken od_patch.json'
        # Map entries come in any order in some of the files, so their bytes are those that the run itself recorded.
        expected = dict(record['sha256'], **self.equal)
        wrong = sorted(name for name, digest in expected.items() if _digest(os.path.join(export, name)) != digest)
        return 'another ' + ', '.join(wrong) if wrong else None


def _look(case):
    """Which of the two states a place is in: 'old', 'new', or in words what it is instead.

    What else lies in the place belongs to both.
    """
    now = _snapshot(case.parent)
    workshop = re.compile(r'(^|/)\.([^/]*\.)?od-patch(-probe)?(/|$)')  # told by _left_behind
    now = {path: what for path, what in now.items() if not workshop.search(path)}
    made = os.path.dirname(case.place.path)
    if now == case.before or (made and set(now) <= {'a', 'a/b'} and not case.before):
        return 'old'
    wrong = case.campaign.judge.what_is_wrong(case.target)
    if wrong:
        return 'between: ' + wrong
    inside = os.path.relpath(os.path.realpath(case.target), case.parent)
    new = {os.path.join(inside, name) for name in case.campaign.judge.names}
    of_an_export = {os.path.join(inside, name.split(os.sep)[0]) for name in case.campaign.old_names}
    for path, what in case.before.items():
        belongs = any(path == name or path.startswith(name + os.sep) for name in of_an_export)
        if not belongs and now.get(path) != what:
            return 'between: {} is not as it was'.format(path)
    for path in now:
        if path in new or now[path][0] == 'folder' or path in case.before and not any(
                path == name or path.startswith(name + os.sep) for name in of_an_export):
            continue
        return 'between: {} is of neither export'.format(path)
    return 'new'


def _left_behind(case, text=''):
    """What is in the folders beside the place and in the temporary folder, and belongs to nobody."""
    found = [path for path in _snapshot(case.parent)
             if re.search(r'(^|/)\.[^/]*od-patch', path) and '/' not in path.split('od-patch')[-1]]
    # A log that the message of a run named is there to be read. Of another name, it is what a run has left.
    case.told += text
    found += ['TMPDIR/' + name for name in os.listdir(case.temporary)
              if os.path.join(case.temporary, name) not in case.told]
    return found


def _check(case, run, orderly):
    """Checks the promises after an interrupted run; returns (state, what is left behind).

    Args:
        case: ``Case``.
        run: ``Run``, ended.
        orderly: bool, whether the run was able to clean up after itself.

    Raises:
        Lost
    """
    state = _look(case)
    if state not in ('old', 'new') and (orderly or not case.place.stepwise):
        raise Lost('after the interruption: ' + state)
    if run.status == 0 and state != 'new':
        raise Lost('it says that all is well, and the place is ' + state)
    left = _left_behind(case, run.text)
    if orderly:
        if left:
            raise Lost('left behind by a run that was not killed: {}'.format(left))
        # What Python prints of a signal in a destructor, where it raises nothing, is its own; the export goes on.
        text = re.sub(r'Exception ignored in: .*?KeyboardInterrupt', '', run.text, flags=re.DOTALL)
        if 'Traceback' in text:
            raise Lost('a traceback: ' + text[text.index('Traceback') - 100:][:600])
    return state, left


def _check_next_runs(case, interrupted, state, whole_too):
    """A run that may not replace anything, one that is refused behind its clean-up, and, if asked for, a whole one."""
    if case.place.flags == _OVERWRITE:
        state = _check_unasked_run(case, interrupted, state)
    refused = case.run(flags=_OVERWRITE, checkpoint=case.campaign.broken_checkpoint)
    refused.wait()
    if refused.status != 5:
        raise Lost('the run after it ended with {} and not with a refusal: {}'.format(
            refused.status, refused.text[-400:]))
    now = _look(case)
    # Moved one by one, an export is there for good when its journal is gone: killed just before, it is taken back.
    undone = case.place.stepwise and (state, now) == ('new', 'old') and interrupted.status == -signal.SIGKILL
    if now not in ('old', 'new') or state in ('old', 'new') and now != state and not undone:
        raise Lost('after the run that cleans up: {} (was {})'.format(now, state))
    left = _left_behind(case, refused.text)
    if left:
        raise Lost('left behind even by the next run: {}'.format(left))
    if not whole_too:
        return
    flags = list(case.place.flags)
    if now == 'new' or 'no --overwrite' in case.place.name:
        flags = _OVERWRITE
    whole = case.run(flags=flags)
    whole.wait()
    if whole.status != 0:
        raise Lost('the next run failed with {}: {}'.format(whole.status, whole.text[-400:]))
    now = _look(case)
    if now != 'new':
        raise Lost('after the next run: ' + now)
    left = _left_behind(case, whole.text)
    if left:
        raise Lost('left behind even by the next whole run: {}'.format(left))


def _check_unasked_run(case, interrupted, state):
    """A run without --overwrite where there was an export: it is refused, and what was there is there, old or new."""
    unasked = case.run(flags=[])
    unasked.wait()
    now = _look(case)
    if unasked.status != 7:
        raise Lost('a run without --overwrite ended with {} and not with a refusal: {}'.format(
            unasked.status, unasked.text[-400:]))
    undone = case.place.stepwise and (state, now) == ('new', 'old') and interrupted.status == -signal.SIGKILL
    if now not in ('old', 'new') or state in ('old', 'new') and now != state and not undone:
        raise Lost('after a run without --overwrite: {} (was {})'.format(now, state))
    return now


# --- kinds of interruption ------------------------------------------------------------------------------------------
# Each: function(case, where), where being a number from 0 to 1, how far through the export; returns (run, whether it
# was able to clean up after itself, words).

def _at_time(case, where):
    case.prepare()
    run = case.run()
    end = run.began + where * case.campaign.usual(case.place).seconds
    run.wait(lambda run: time.time() >= end)
    return run


def _at_size(case, where):
    case.prepare()
    start = case.written()
    size = where * case.campaign.usual(case.place).written
    run = case.run()
    run.wait(lambda run: case.written() - start >= size)
    return run


def _by_time(number):
    def interrupt(case, where):
        run = _at_time(case, where)
        run.send(number)
        run.wait()
        return run, number != signal.SIGKILL, ''
    return interrupt


def _by_size(number):
    def interrupt(case, where):
        run = _at_size(case, where)
        run.send(number)
        run.wait()
        return run, number != signal.SIGKILL, ''
    return interrupt


def _by_call(number):
    def interrupt(case, where):
        case.prepare()
        at = 1 + int(where * case.campaign.usual(case.place).calls)
        run = case.run(die=(at, number))
        run.wait()
        return run, number != signal.SIGKILL, 'call {}'.format(at)
    return interrupt


def _interrupted_twice(case, where):
    """Somebody who is in a hurry: Ctrl-C, and Ctrl-C again a moment later, while things are put in order."""
    run = _at_time(case, where)
    run.send(signal.SIGINT)
    time.sleep(0.005 + 0.05 * where)
    run.send(signal.SIGINT)
    run.wait()
    return run, False, ''  # who does not let it put things in order has them put in order by the next run


def _full_disk(case, where):
    """The disk that the export goes to has room for a part of it."""
    need = case.campaign.usual(case.place).written
    if case.campaign.mounts:
        case.mount(case.parent, 'size=1g')
        case.prepare()
        used = _tmpfs_used(case.parent)
        case.remount(case.parent, 'size={}'.format(used + int(where * need) // 4096 * 4096 + 4096))
        run = case.run()
        run.wait()
        case.remount(case.parent, 'size=1g')
    else:
        case.prepare()
        run = case.run(limits={'RLIMIT_FSIZE': int(where * case.campaign.largest_file)})
        run.wait()
    return run, True, ''


def _tmpfs_used(path):
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _full_temporary_folder(case, where):
    """$TMPDIR, where the log goes, has room for a part of what is written there."""
    case.mount(case.temporary, 'size={}'.format(4096 * (1 + int(4 * where))))
    case.prepare()
    if where < 0.5:  # full from the start; else it becomes full
        with contextlib.suppress(OSError), open(os.path.join(case.temporary, 'of-somebody-else'), 'wb') as filler:
            filler.write(b'x' * (1 << 20))
    run = case.run()
    run.wait()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(case.temporary, 'of-somebody-else'))
    case.remount(case.temporary, 'size=1g')
    return run, True, ''


def _read_only(case, where):
    """The file system of the place is read-only from the start; or another one, empty and read-only, comes over it.

    A file system cannot become read-only while a file of it is open for writing, as the lock of an export is. What
    can happen is that a mount is lost, or covered.
    """
    if where < 0.3:
        case.mount(case.parent, 'size=1g')
        case.prepare()
        case.remount(case.parent, 'ro')
        run = case.run()
        run.wait()
        case.remount(case.parent, 'rw')
        return run, True, 'from the start'
    run = _at_time(case, where)
    case.mount(case.parent, 'size=1m,ro')
    run.wait()
    subprocess.check_call(['umount', case.mounted.pop()])
    return run, False, 'covered on the way'  # what it cannot reach it cannot remove, but the next one can


def _vanishing_checkpoint(case, where):
    """The checkpoint is removed, or cut, while it is exported."""
    folder = os.path.join(case.folder, 'checkpoint')
    os.mkdir(folder)
    for name in os.listdir(_SHAPES):
        if name.startswith('model.ckpt-4100'):
            shutil.copy(os.path.join(_SHAPES, name), folder)
    case.prepare()
    run = case.run(checkpoint=os.path.join(folder, 'model.ckpt-4100'))
    end = run.began + where * 0.6 * case.campaign.usual(case.place).seconds
    run.wait(lambda run: time.time() >= end)
    shutil.rmtree(folder)
    run.wait()
    return run, True, ''


def _two_at_once(case, where):
    """A second export into the same place, begun while the first one is somewhere on its way."""
    case.prepare()
    first = case.run(flags=_OVERWRITE)
    end = first.began + where * case.campaign.usual(case.place).seconds
    first.wait(lambda run: time.time() >= end)
    second = case.run(flags=_OVERWRITE)
    first.wait()
    second.wait()
    codes = sorted([first.status, second.status])
    if codes not in ([0, 0], [0, 7]):
        raise Lost('two at once ended with {}: {} {}'.format(codes, first.text[-300:], second.text[-300:]))
    if codes == [0, 7] and 'is running' not in second.text + first.text:
        raise Lost('the second one was refused with other words: ' + second.text[-300:])
    return (first if first.status == 0 else second), True, 'exit codes {} and {}'.format(*codes)


Kind = collections.namedtuple('Kind', ['name', 'interrupt', 'share', 'needs_mounts', 'places'])
Kind.__new__.__defaults__ = (_FREE,)
_FEW = [place for place in _FREE if place.name in ('new', 'an export', 'an export and other files')]
KINDS = [
    Kind('kill -9, by time', _by_time(signal.SIGKILL), 7, False),
    Kind('kill -9, by bytes written', _by_size(signal.SIGKILL), 6, False),
    Kind('kill -9, at the n-th disk call', _by_call(signal.SIGKILL), 9, False),
    Kind('SIGINT, by time', _by_time(signal.SIGINT), 3, False),
    Kind('SIGINT, at the n-th disk call', _by_call(signal.SIGINT), 4, False),
    Kind('SIGINT, twice', _interrupted_twice, 2, False),
    Kind('SIGTERM, by bytes written', _by_size(signal.SIGTERM), 2, False),
    Kind('SIGTERM, at the n-th disk call', _by_call(signal.SIGTERM), 3, False),
    Kind('full disk', _full_disk, 5, False, _FEW),
    Kind('full temporary folder', _full_temporary_folder, 1, True, _FEW),
    Kind('read-only', _read_only, 2, True, _FEW),
    Kind('the checkpoint vanishes', _vanishing_checkpoint, 2, False, _FEW),
    Kind('two at once', _two_at_once, 2, False, _FEW),
    Kind('not asked to overwrite', _by_time(signal.SIGKILL), 1, False, [PLACES[3]]),
]


# --- the campaign ---------------------------------------------------------------------------------------------------

Usual = collections.namedtuple('Usual', ['seconds', 'calls', 'written'])


class Campaign:
    """What all interruptions share: the server, an earlier export, and how an undisturbed export goes."""

    def __init__(self, server, folder, mounts):
        self.server, self.folder, self.mounts = server, folder, mounts
        self._usual = {}
        self.judge = None
        self.old_names = []
        self.old = os.path.join(folder, 'old')
        self._make_old_export()
        self.broken_checkpoint = self._make_broken_checkpoint()
        self.usual(PLACES[2])

    def _make_old_export(self):
        """An earlier export that shares no weight and no SavedModel with the new one, and has a file more."""
        output = os.path.join(self.folder, 'output-old')
        pid = self.server.start(_MODULE, [
            'export_inference_graph', '--pipeline_config_path=' + _CONFIG, '--trained_checkpoint_prefix=' + _CHECKPOINT,
            '--output_directory=' + self.old, '--saved_model_variables=reference',
            '--config_override=eval_config { use_moving_averages: false }', '--write_inference_graph'], output)
        status, _ = self.server.wait(pid)
        if status:
            with open(output) as text:
                raise RuntimeError('the earlier export failed: ' + text.read())
        self.old_names = sorted(set(os.listdir(self.old)) | {'inference_graph.pbtxt'})

    def _make_broken_checkpoint(self):
        prefix = os.path.join(self.folder, 'broken', 'model.ckpt-1')
        os.mkdir(os.path.dirname(prefix))
        with open(prefix + '.index', 'wb') as index:
            index.write(b'no index')
        return prefix

    def usual(self, place):
        """How an undisturbed export into a place goes: seconds, calls that change the disk, bytes at the most."""
        if place.name not in self._usual:
            case = Case(os.path.join(self.folder, 'usual'), place, self)
            try:
                case.prepare()
                start = case.written()
                most = [0]

                def look(run):
                    most[0] = max(most[0], case.written() - start)

                run = case.run(die=(0, 0), flags=_OVERWRITE)
                run.wait(look)
                assert run.status == 0, run.text
                if self.judge is None:
                    self.judge = Judge(case.target)
                    self.largest_file = max(os.path.getsize(os.path.join(case.target, name))
                                            for name in self.judge.names)
                assert _look(case) == 'new', _look(case)
                self._usual[place.name] = Usual(run.seconds, run.calls, most[0])
            finally:
                case.close()
        return self._usual[place.name]

    def interrupt(self, kind, place, where, number, whole_too=True):
        """One interruption; returns a dict for the report."""
        row = collections.OrderedDict([('kind', kind.name), ('place', place.name), ('where', round(where, 3))])
        self.usual(place)  # before anything is under way
        case = Case(os.path.join(self.folder, 'case-{}'.format(number)), place, self)
        try:
            run, orderly, words = kind.interrupt(case, where)
            row['exit'] = run.status
            row['words'] = words
            row['said'] = [line for line in run.text.splitlines() if line.startswith('od-patch:')]
            state, left = _check(case, run, orderly)
            row['state'] = state
            row['left behind until the next run'] = left
            _check_next_runs(case, run, state, whole_too)
            row['lost'] = ''
        except Lost as error:
            row['lost'] = str(error)
        finally:
            case.close()
        return row


def plan(count, mounts, kinds=KINDS, offset=0.5, places=''):
    """Yields (kind, place, where): each kind its share, spread evenly over the export and over its places.

    The kinds take turns, so that a campaign that is stopped has tried all of them.
    """
    rows = []
    kinds = [kind for kind in kinds if mounts or not kind.needs_mounts]
    shares = sum(kind.share for kind in kinds)
    for kind in kinds:
        number = max(1, int(round(count * kind.share / float(shares))))
        for i in range(number):
            chosen = [place for place in kind.places if re.search(places, place.name)] or kind.places
            rows.append((kind, chosen[i % len(chosen)], (i + offset) / number))
    for row in sorted(rows, key=lambda row: row[2]):
        yield row


def table(rows):
    """The report as text: a line for each kind."""
    names = list(collections.OrderedDict.fromkeys(row['kind'] for row in rows))
    lines = ['{:<32}{:>6}{:>10}{:>8}{:>8}{:>9}{:>6}'.format(
        'kind', 'runs', 'finished', 'old', 'new', 'between', 'lost')]

    def line(name, mine):
        states = collections.Counter((row.get('state') or '-').split(':')[0] for row in mine)
        return '{:<32}{:>6}{:>10}{:>8}{:>8}{:>9}{:>6}'.format(
            name, len(mine), sum(row.get('exit') == 0 for row in mine), states['old'], states['new'],
            states['between'], sum(bool(row['lost']) for row in mine))

    lines += [line(name, [row for row in rows if row['kind'] == name]) for name in sorted(names)]
    lines.append(line('all', rows))
    return '\n'.join(lines)


def can_mount():
    """Whether this process may mount things, as it may in a namespace of its own."""
    return os.environ.get(_NAMESPACE) == '1'


def in_a_namespace(command):
    """Returns ``command`` as it is run in a user and mount namespace of its own, and the environment for it.

    Where the machine does not allow that, the command is returned as it is.
    """
    allowed = subprocess.call(
        ['unshare', '-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL) == 0 if shutil.which('unshare') and shutil.which('mount') else False
    if not allowed:
        return command, dict(os.environ, **{_NAMESPACE: '0'})
    return ['unshare', '-rm'] + command, dict(os.environ, **{_NAMESPACE: '1'})


def run(count, report=None, only=None, offset=0.5, stream=sys.stdout, seconds=None, whole_every=1,
        places=''):
    """Runs a campaign; returns the rows."""
    rows = []
    began = time.time()
    mounts = can_mount()
    kinds = [kind for kind in KINDS if not only or re.search(only, kind.name)]
    folder = tempfile.mkdtemp(prefix='od-patch-faults-')
    try:
        with fork_server.Server() as server:
            campaign = Campaign(server, folder, mounts)
            for number, (kind, place, where) in enumerate(plan(count, mounts, kinds, offset, places)):
                if seconds and time.time() - began > seconds:
                    break
                row = campaign.interrupt(kind, place, where, number, number % whole_every == 0)
                rows.append(row)
                stream.write('{kind}, {place}, at {where}: exit {exit}, {state}{words}{lost}\n'.format(
                    kind=row['kind'], place=row['place'], where=row['where'], exit=row.get('exit'),
                    state=row.get('state'), words=row.get('words') and ', ' + row['words'],
                    lost=' LOST: ' + row['lost'] if row['lost'] else ''))
                stream.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if report:
        with open(report, 'w') as report_file:
            json.dump(collections.OrderedDict([
                ('count', len(rows)), ('lost', sum(bool(row['lost']) for row in rows)),
                ('seconds', round(time.time() - began)), ('whole export after every', whole_every),
                ('full disk', 'a tmpfs of that size' if mounts else 'RLIMIT_FSIZE'),
                ('read-only', 'a file system mounted read-only' if mounts else 'left out: no mounts here'),
                ('interruptions', rows)]), report_file, indent=1)
            report_file.write('\n')
    stream.write('\n' + table(rows) + '\n')
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=50, help='interruptions, about')
    parser.add_argument('--report', help='write a JSON report here')
    parser.add_argument('--only', help='kinds whose name has this regular expression')
    parser.add_argument('--places', default='', help='places whose name has this regular expression')
    parser.add_argument('--offset', type=float, default=0.5,
                        help='from 0 to 1: shifts the points, for another campaign')
    parser.add_argument('--seconds', type=float, help='stop after so many seconds')
    parser.add_argument('--whole_every', type=int, default=1,
                        help='have every so manieth interruption followed by a whole export, too')
    given = parser.parse_args()
    # A script's `&` has it ignored in all that it starts, and no export would be interrupted by it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if _NAMESPACE not in os.environ:
        command, environment = in_a_namespace([sys.executable, '-m', 'tools.faults.interruptions'] + sys.argv[1:])
        os.execvpe(command[0], command, environment)
    rows = run(given.count, given.report, given.only, given.offset, seconds=given.seconds,
               whole_every=given.whole_every, places=given.places)
    sys.exit(any(row['lost'] for row in rows))


if __name__ == '__main__':
    main()
