"""Kills runs that stage small files, at every call that changes the disk, and then the runs that put things in order.

``python -m tools.faults.staging --count 300 --report out.json``

One interruption is: a place, prepared; an export into it that is killed at its n-th call; in every second case, a
run after it that is killed, too; then a run *without* leave to replace anything, and one with it. Forked and without
TensorFlow, hundreds take seconds. What is lost is told as in ``interruptions``, which does it with whole exports.

Not for: what TensorFlow and the exporter write; that is ``interruptions``.
"""
import argparse
import collections
import contextlib
import itertools
import json
import os
import shutil
import sys
import tempfile
import time

from od_patch import _errors
from od_patch.staging import _staging
from tests.support import forks

_CALLS = ('mkdir', 'rename', 'unlink', 'rmdir', 'chmod', 'chown', 'makedirs', 'symlink', 'open', 'fsync')
_OLD = ('checkpoint', 'frozen_inference_graph.pb', 'inference_graph.pbtxt', 'model.ckpt.index',
        'saved_model/saved_model.pb', 'saved_model/variables/variables.index', 'saved_model/assets/of-the-old')
_NEW = ('checkpoint', 'frozen_inference_graph.pb', 'model.ckpt.meta', 'pipeline.config', 'saved_model/saved_model.pb',
        'saved_model/variables/variables.index')
_OTHERS = ('notes.txt', 'events/deep/log', 'checkpoint.bak', 'model.ckpt-200.index')

Kind = collections.namedtuple('Kind', ['name', 'old', 'others', 'path', 'inside', 'exchange'])
Kind.__doc__ = """A place and a way.

Attributes:
    name: str.
    old, others: what lies in the place: an export, other files.
    path: str, the output directory below the folder of the case.
    inside: bool, whether the workshop lies in the output directory, as where that is a mount point.
    exchange: bool, whether folders can be exchanged in one step.
"""
KINDS = [Kind('{}{}{}{}{}'.format('export' if old else 'nothing', ' and others' if others else '',
                                  ', inside' if inside else '', ', no exchange' if not exchange else '',
                                  ', [brackets]' if '[' in path else ''),
              old, others, path, inside, exchange)
         for old, others, inside, exchange, path in itertools.product(
             (_OLD, ()), (_OTHERS, ()), (False, True), (True, False), ('out', 'out[1]'))
         if not (inside and not (old or others))]


class Lost(Exception):
    """What was there is not there any more."""


def _write(folder, paths, text):
    for path in paths:
        place = os.path.join(folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, 'w') as file:
            file.write(text + ' ' + path)


def contents(folder):
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path) as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


def _die_at(fatal):
    """Makes this process end at its n-th call that changes the disk."""
    left = [fatal]

    def dying(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
            return function(*args, **kwargs)
        return call
    for name in _CALLS:
        setattr(os, name, dying(getattr(os, name)))
    _staging._rename_exchange = dying(_staging._rename_exchange)


def _refuse(one, other):
    raise _staging._CannotExchange


def _forked(kind, fatal, function):
    """Runs a function in a child that is killed at its n-th call (0: not); returns whether it was."""
    pid = forks.fork()
    if not pid:
        code = 1
        try:
            if kind.inside:
                _staging._can_move = lambda source, destination: False
            if not kind.exchange:
                _staging._rename_exchange = _refuse
            if fatal:
                _die_at(fatal)
            function()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1] >> 8
    if status not in (0, 9):
        raise Lost('a run ended with {}'.format(status))
    return status == 9


def _export(target, check=None):
    with _staging.staged(target, check=check) as staged:
        _write(staged.export, _NEW, 'new')


def interrupt(kind, fatal, twice, folder):
    """One interruption; returns (whether it was one, the state after it).

    Raises:
        Lost
    """
    parent, temporary = os.path.join(folder, 'models'), os.path.join(folder, 'tmp')
    os.mkdir(parent)
    os.mkdir(temporary)
    tempfile.tempdir = temporary
    target = os.path.join(parent, kind.path)
    if kind.old or kind.others:
        _write(target, kind.old, 'old')
        _write(target, kind.others, 'mine')
    old = contents(parent)
    new = {path: text for path, text in old.items() if text.startswith('mine')}
    new.update({os.path.join(kind.path, path): 'new ' + path for path in _NEW})

    def look(when, allowed):
        now = contents(parent)
        if now not in allowed:
            raise Lost('{}: {}'.format(when, sorted(set(now.items()) ^ set(old.items()))[:6]))
        return 'old' if now == old else 'new'

    killed = _forked(kind, fatal, lambda: _export(target))
    if twice:
        _forked(kind, 1 + fatal // 3, lambda: _export(target))
        _forked(kind, 1 + fatal // 2, lambda: _staging.clear(target))

    class Refused(Exception):
        pass

    def unasked():
        """A run that may not replace anything: it looks behind the clean-up, and is refused."""
        def check():
            now = {path: text for path, text in contents(parent).items() if '.od-patch' not in path}
            if now not in (old, new):
                os._exit(7)
            raise Refused
        with contextlib.suppress(Refused):
            _staging.clear(target)
            _export(target, check)
    _forked(kind, 0, unasked)
    state = look('after a run that may not replace anything', (old, new))
    left = [name for name in os.listdir(parent) if name != kind.path.split('/')[0]] + os.listdir(temporary) + [
        name for name in (os.listdir(target) if os.path.isdir(target) else []) if name.startswith('.od-patch')]
    if left:
        raise Lost('left behind: {}'.format(left))
    _forked(kind, 0, lambda: _export(target))
    look('after a whole run', (new,))
    return killed, state


def run(count, stream=None, step=1):
    """Runs so many interruptions, at every ``step``-th call; returns a list of dicts."""
    rows = []
    before = tempfile.gettempdir()
    fatal = itertools.count(1, step)
    try:
        while len(rows) < count:
            number = next(fatal)
            some = False
            for kind in KINDS:
                if len(rows) == count:
                    break
                folder = tempfile.mkdtemp(prefix='od-patch-faults-', dir=before)
                row = collections.OrderedDict([('kind', kind.name), ('call', number), ('state', None), ('lost', '')])
                try:
                    killed, row['state'] = interrupt(kind, number, number % 2 == 0, folder)
                    if not killed:
                        continue  # it was over before that call
                except (Lost, _errors.ODPatchError) as error:
                    row['lost'] = str(error)
                finally:
                    shutil.rmtree(folder)
                some = True
                rows.append(row)
                if row['lost'] and stream:
                    stream.write('{}\n'.format(dict(row)))
            if not some:  # each place has been through its last call
                fatal = itertools.count(1 + number % step, step)
    finally:
        tempfile.tempdir = before
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=300)
    parser.add_argument('--step', type=int, default=1, help='every so manieth call')
    parser.add_argument('--report', help='write a JSON report here')
    given = parser.parse_args()
    began = time.time()
    rows = run(given.count, sys.stdout, given.step)
    lost = sum(bool(row['lost']) for row in rows)
    states = collections.Counter(row['state'] for row in rows)
    print('{} interruptions, {} lost; old {}, new {}; {:.0f} s'.format(
        len(rows), lost, states['old'], states['new'], time.time() - began))
    if given.report:
        with open(given.report, 'w') as report:
            json.dump(collections.OrderedDict([('count', len(rows)), ('lost', lost), ('interruptions', rows)]), report,
                      indent=1)
            report.write('\n')
    sys.exit(bool(lost))


if __name__ == '__main__':
    main()
