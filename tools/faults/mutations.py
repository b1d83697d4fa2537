"""Damages every file that od-patch reads in thousands of ways, and looks at how each is received.

``python -m tools.faults.mutations --count 10000 --report out.json``

Every input is read in a process of its own, with limits on time and memory. What
may come of it: it is refused in words; it is accepted, and what comes out is
equal to what the whole file gives, or differs from it. What may not: a
traceback, an exit by a signal, more time or memory than the limits, a file
written by a run that refused.

An input is told by its reader and its number: ``--only READER --first NUMBER
--count 1 --keep FOLDER`` makes it again and keeps it.

Not for: graphs that are well-formed and differ; ``tests/compare`` has those.
"""
import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time

from tools.faults import mutators
from tests.support import server as fork_server

_SECONDS = 30  # of processor time, for one input
_PATIENCE = 120  # seconds on the clock: the machine may be busy
_MEMORY = 2 << 30  # bytes of address space beyond what the server has

Reader = collections.namedtuple('Reader', ['name', 'share', 'inputs', 'file', 'how', 'module', 'command', 'output'])
Reader.__doc__ = """One way to read one kind of file; a row of ``READERS``.

Attributes:
    name: str.
    share: int, how many of the inputs it gets, in proportion.
    inputs: str, the file or folder below the folder of good inputs (``tests.support.inputs``) that is copied.
    file: str, the file in it that is damaged; '' where ``inputs`` is that file.
    how: tuple of names of ``_WAYS``, of which one is drawn.
    module: str, the command's module.
    command: list of str; ``{bad}`` is the damaged copy of ``inputs``, ``{good}`` the folder of good ones, ``{out}`` a
        path to write to.
    output: bool, whether ``{out}`` is written where the input is accepted.
"""
_CLI = 'od_patch.cli'
_OUR = 'tools.faults.readers'
_VERIFY = ['verify', '{bad}', '--quick']
READERS = [
    Reader('frozen graph, compare', 16, 'frozen.pb', '', ('bytes', 'graph', 'graph'), _CLI,
           ['compare', '{good}/frozen.pb', '{bad}'], False),
    Reader('frozen graph, compare as first', 4, 'frozen.pb', '', ('bytes', 'graph', 'graph'), _CLI,
           ['compare', '{bad}', '{good}/frozen.pb', '--json'], False),
    Reader('frozen graph, page', 4, 'frozen.pb', '', ('graph',), _CLI,
           ['compare', '{good}/frozen.pb', '{bad}', '--html', '{out}'], True),
    Reader('frozen graph, canonical form', 3, 'frozen.pb', '', ('bytes', 'graph', 'graph'), _CLI,
           ['compare', '{bad}', '--canonical', '{out}'], True),
    Reader('frozen graph, inspect', 6, 'frozen.pb', '', ('bytes', 'graph', 'graph'), _CLI, ['inspect', '{bad}'], False),
    Reader('frozen graph as text, compare', 4, 'frozen.pbtxt', '', ('text', 'text', 'bytes'), _CLI,
           ['compare', '{good}/frozen.pb', '{bad}'], False),
    Reader('frozen SavedModel, compare', 5, 'constant', 'saved_model.pb', ('bytes', 'saved model', 'saved model'), _CLI,
           ['compare', '{good}/frozen.pb', '{bad}'], False),
    Reader('SavedModel, freeze', 10, 'resource', 'saved_model.pb', ('bytes', 'saved model', 'saved model'), _CLI,
           ['freeze', '{bad}', '--output', '{out}'], True),
    Reader('SavedModel with references, freeze', 4, 'reference', 'saved_model.pb',
           ('bytes', 'saved model', 'saved model'), _CLI, ['freeze', '{bad}', '--output', '{out}'], True),
    Reader('variables.index, freeze', 5, 'resource', 'variables/variables.index', ('bytes', 'index'), _CLI,
           ['freeze', '{bad}', '--output', '{out}'], True),
    Reader('variables.data, freeze', 3, 'resource', 'variables/variables.data-00000-of-00001', ('bytes',), _CLI,
           ['freeze', '{bad}', '--output', '{out}'], True),
    Reader('.meta, inspect', 6, 'training', 'model.ckpt-7.meta', ('bytes', 'meta', 'meta'), _CLI,
           ['inspect', '{bad}/model.ckpt-7.meta'], False),
    Reader('checkpoint data beside a .meta, inspect', 3, 'training', 'model.ckpt-7.data-00000-of-00001', ('bytes',),
           _CLI, ['inspect', '{bad}/model.ckpt-7.meta'], False),
    Reader('checkpoint index, --checkpoint', 3, 'training', 'model.ckpt-7.index', ('bytes', 'index'), _CLI,
           ['inspect', '{good}/frozen.pb', '--checkpoint', '{bad}/model.ckpt-7'], False),
    Reader('checkpoint index, export', 8, 'sharded', 'model.ckpt-7.index', ('bytes', 'index', 'index'), _OUR,
           ['checkpoint', '{bad}/model.ckpt-7'], False),
    Reader('checkpoint data, export', 3, 'single', 'model.ckpt-7.data-00000-of-00001', ('bytes',), _OUR,
           ['checkpoint', '{bad}/model.ckpt-7'], False),
    Reader('V1 checkpoint, export', 6, 'v1', 'model.ckpt-7', ('bytes', 'v1', 'v1', 'v1'), _OUR,
           ['checkpoint', '{bad}/model.ckpt-7'], False),
    Reader('checkpoint state file, export', 4, 'training', 'checkpoint', ('text', 'text', 'bytes'), _OUR,
           ['checkpoint', '{bad}'], False),
    Reader('pipeline config, export', 14, 'pipeline.config', '', ('text', 'text', 'text', 'bytes'), _OUR,
           ['config', '{bad}'], False),
    Reader('frozen graph, verify', 4, 'export', 'frozen_inference_graph.pb', ('bytes', 'graph', 'graph'), _CLI,
           _VERIFY, False),
    Reader('SavedModel, verify', 5, 'export', 'saved_model/saved_model.pb', ('bytes', 'saved model', 'saved model'),
           _CLI, _VERIFY, False),
    Reader('variables.index, verify', 3, 'export', 'saved_model/variables/variables.index', ('bytes', 'index', 'index'),
           _CLI, _VERIFY, False),
    Reader('variables.data, verify', 2, 'export', 'saved_model/variables/variables.data-00000-of-00001', ('bytes',),
           _CLI, _VERIFY, False),
    Reader('model.ckpt.index, verify', 2, 'export', 'model.ckpt.index', ('bytes', 'index', 'index'), _CLI, _VERIFY,
           False),
    Reader('od_patch.json, verify', 3, 'export', 'saved_model/assets.extra/od_patch.json', ('json', 'json', 'bytes'),
           _CLI, _VERIFY, False),
    Reader('pipeline.config, verify', 3, 'export', 'pipeline.config', ('text', 'text', 'bytes'), _CLI, _VERIFY, False),
    Reader('image (PNG), verify', 1, 'export', 'images/drawing.png', ('bytes',), _CLI,
           ['verify', '{bad}', '--images', '{bad}/images/drawing.png'], False),
    Reader('image (JPEG), verify', 1, 'export', 'images/drawing.jpg', ('bytes',), _CLI,
           ['verify', '{bad}', '--images', '{bad}/images/drawing.jpg'], False),
    # What these run is the damaged graph itself, in TensorFlow: nothing of ours can keep it from aborting.
    Reader('frozen graph, run by verify', 0, 'export', 'frozen_inference_graph.pb', ('graph',), _CLI,
           ['verify', '{bad}'], False),
    Reader('SavedModel, run by verify', 0, 'export', 'saved_model/saved_model.pb', ('saved model',), _CLI,
           ['verify', '{bad}'], False),
    Reader('pipeline config, model builder', 0, 'pipeline.config', '', ('text',), _OUR, ['build', '{bad}'], False),
]


# --- damage ---------------------------------------------------------------------------------------------------------

def _message(name):
    def damage(draw, data, other):
        from tensorflow.core.framework import graph_pb2
        from tensorflow.core.protobuf import meta_graph_pb2
        from tensorflow.core.protobuf import saved_model_pb2
        kinds = {'graph': graph_pb2.GraphDef, 'saved model': saved_model_pb2.SavedModel,
                 'meta': meta_graph_pb2.MetaGraphDef}
        return mutators.damage_message(draw, kinds[name].FromString(data))
    return damage


def _index(draw, data, other):
    """A checkpoint's index with entries that lie: a whole table, with right checksums, as TensorFlow writes it."""
    from tensorflow.core.protobuf import tensor_bundle_pb2
    return _table(draw, data, tensor_bundle_pb2.BundleHeaderProto, tensor_bundle_pb2.BundleEntryProto)


def _v1(draw, data, other):
    """A V1 checkpoint, which is a table of another message, likewise."""
    from tensorflow.core.util import saved_tensor_slice_pb2
    return _table(draw, data, saved_tensor_slice_pb2.SavedTensorSlices, saved_tensor_slice_pb2.SavedTensorSlices)


def _table(draw, data, of_header, of_entry):
    from tests.support import tables
    items = list(tables.items(data))
    for _ in range(draw.choice([1, 1, 3])):
        place = draw.choice([0, draw.randrange(len(items))])
        key, value = items[place]
        kind = of_entry if key else of_header
        what = draw.random()
        if what < .7:
            try:
                value = mutators.damage_message(draw, kind.FromString(value))
            except Exception:  # pylint: disable=broad-except
                value = b''
        elif what < .8:
            key = draw.choice(mutators.HOSTILE).encode('utf-8', 'surrogatepass')
        elif what < .9:
            del items[place]
            continue
        else:
            value = mutators.damage_bytes(draw, value)
        items[place] = key, value
        if not items:
            break
    return tables.table(sorted(items))


_WAYS = {'bytes': mutators.damage_bytes, 'text': lambda draw, data, other: mutators.damage_text(draw, data),
         'json': lambda draw, data, other: mutators.damage_json(draw, data),
         'graph': _message('graph'), 'saved model': _message('saved model'), 'meta': _message('meta'), 'index': _index,
         'v1': _v1}


def damaged(reader, number, data, other):
    """The bytes of input ``number`` of a reader."""
    draw = random.Random('{} {}'.format(reader.name, number))
    return _WAYS[draw.choice(reader.how)](draw, data, other)


# --- one input ------------------------------------------------------------------------------------------------------

# What a terminal obeys; these commands show no progress.
_CONTROLS = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]')
BAD = ('traceback', 'signal', 'hang', 'memory', 'written', 'no words', 'controls')


class Campaign:
    """The servers, the good files, and what comes of the whole ones."""

    def __init__(self, servers, folder, keep=None):
        self.servers, self.folder, self.keep = servers, folder, keep
        self.good = os.path.join(folder, 'good')
        os.mkdir(self.good)
        from tests.support import inputs
        inputs.make(self.good)
        self.whole = {}
        for reader in READERS:
            outcome, text, out = self._read(reader, self.good)
            if outcome not in ('accepted', 'refused') or outcome == 'refused' and 'compare' not in reader.command:
                raise RuntimeError('{}: the whole file: {}: {}'.format(reader.name, outcome, text))
            self.whole[reader.name] = text, out
        self.pool = b''
        for name in ('frozen.pb', 'v1/model.ckpt-7', 'pipeline.config', 'sharded/model.ckpt-7.index'):
            with open(os.path.join(self.good, name), 'rb') as file:
                self.pool += file.read()

    def try_input(self, reader, number):
        """Reads one damaged input; returns (outcome, what was said)."""
        case = os.path.join(self.folder, 'case')
        os.mkdir(case)
        try:
            bad = os.path.join(case, os.path.basename(reader.inputs))
            source = os.path.join(self.good, reader.inputs)
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, bad)
            path = os.path.join(bad, reader.file) if reader.file else bad
            with open(path, 'rb') as whole:
                data = whole.read()
            data = damaged(reader, number, data, self.pool)
            with open(path, 'wb') as file:
                file.write(data)
            before = _listing(case)
            outcome, text, out = self._read(reader, case)
            if outcome == 'accepted':
                same = (text, out) == self.whole[reader.name]
                outcome = 'accepted, equal' if same else 'accepted, different'
            elif outcome == 'refused' and _listing(case) != before:
                outcome = 'written'
            if outcome in BAD and self.keep:
                name = '{}-{}-{}'.format(outcome, reader.name.replace(' ', '_').replace(',', ''), number)
                shutil.copytree(case, os.path.join(self.keep, name))
            return outcome, text
        finally:
            shutil.rmtree(case)

    def _read(self, reader, case):
        """Runs the command in the folder ``case``; returns (outcome, text, bytes of the result or None)."""
        output = os.path.join(self.folder, 'output')
        result = os.path.join(case, 'result')
        if os.path.exists(output):
            os.unlink(output)
        server = self.servers[reader.module]
        argv = [reader.module] + [
            word.format(bad=reader.inputs, good=self.good, out='result') for word in reader.command]
        began = time.time()
        pid = server.start(reader.module, argv, output, limits={
            'RLIMIT_CPU': _SECONDS, 'RLIMIT_AS': server.address_space + _MEMORY},
            environment={'COLUMNS': '100'}, cwd=case)
        answer = None
        while answer is None:
            answer = server.poll(pid)
            if answer is None:
                if time.time() - began > _PATIENCE:
                    os.kill(pid, signal.SIGKILL)
                    server.wait(pid)
                    return 'hang', '', None
                time.sleep(.003)
        status = answer[0]
        with open(output, 'rb') as said:
            raw = said.read()
        text = raw.decode('utf-8', 'replace')
        made = None
        if os.path.exists(result):
            with open(result, 'rb') as file:
                made = file.read()
            os.unlink(result)
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            return 'hang', text, made
        if status < 0:
            return 'signal', text, made
        if 'MemoryError' in text or 'bad_alloc' in text:
            return 'memory', text, made
        if 'Traceback' in text or 'This is a defect of od-patch' in text:
            return 'traceback', text, made
        if _CONTROLS.search(text):
            return 'controls', text, made
        if status == 0 or status == 1 and reader.command[0] in ('compare', 'verify'):  # whose exit code is the answer
            text = str(status) if reader.command[0] in ('compare', 'verify') and not made else text
            return ('accepted', text, made) if not reader.output or made is not None else ('no words', text, made)
        if made is not None:
            return 'written', text, made
        if reader.command[0] == 'verify' and status == 2 and 'not checked' in text:
            return 'refused', text, made  # an answer of its own: nothing could be compared
        return ('refused' if text.startswith('od-patch: ') or '\nod-patch: ' in text else 'no words'), text, made


def _listing(folder):
    return sorted(os.path.join(place, name) for place, folders, names in os.walk(folder) for name in folders + names)


def plan(count, only=None, first=0):
    """Yields (reader, number)."""
    readers = [reader for reader in READERS if (re.search(only, reader.name) if only else reader.share)]
    shares = float(sum(max(1, reader.share) for reader in readers))
    rows = []
    for reader in readers:
        number = max(1, int(round(count * max(1, reader.share) / shares)))
        rows += [((i + .5) / number, reader, first + i) for i in range(number)]
    for _, reader, number in sorted(rows, key=lambda row: row[0]):
        yield reader, number


def table(outcomes):
    """The report as text: a line for each reader."""
    columns = ['refused', 'accepted, equal', 'accepted, different'] + list(BAD)
    shown = columns[:3] + [name for name in columns[3:] if name in ('traceback', 'signal', 'hang', 'memory') or any(
        counts[name] for counts in outcomes.values())]
    lines = ['{:<42}{:>8}'.format('', 'inputs') + ''.join('{:>11}'.format(name.split(', ')[-1]) for name in shown)]
    total = collections.Counter()
    for name, counts in list(outcomes.items()) + [('all', total)]:
        lines.append('{:<42}{:>8}'.format(name, sum(counts.values())) + ''.join(
            '{:>11}'.format(counts[column]) for column in shown))
        total.update(counts)
    return '\n'.join(lines)


def run(count, report=None, only=None, first=0, keep=None, stream=sys.stdout, seconds=None):
    """Runs a campaign; returns {reader name: Counter of outcomes} and a list of what must not be."""
    began = time.time()
    folder = tempfile.mkdtemp(prefix='od-patch-faults-')
    outcomes, found = collections.OrderedDict(), []
    if keep:
        os.makedirs(keep, exist_ok=True)
    try:
        with fork_server.Server(imports=_CLI) as graphs, fork_server.Server() as exports:
            campaign = Campaign({_CLI: graphs, _OUR: exports}, folder, keep)
            for reader, number in plan(count, only, first):
                if seconds and time.time() - began > seconds:
                    break
                outcome, text = campaign.try_input(reader, number)
                outcomes.setdefault(reader.name, collections.Counter())[outcome] += 1
                if outcome in BAD:
                    found.append(collections.OrderedDict([
                        ('reader', reader.name), ('number', number), ('outcome', outcome), ('said', text[-2000:])]))
                    stream.write('{}, number {}: {}: {}\n'.format(
                        reader.name, number, outcome, ascii(text.strip()[-300:])))
                    stream.flush()
    except KeyboardInterrupt:
        pass  # what was tried until then is reported
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tried = sum(sum(counts.values()) for counts in outcomes.values())
    if report:
        with open(report, 'w') as report_file:
            json.dump(collections.OrderedDict([
                ('inputs', tried), ('bad', len(found)), ('seconds', round(time.time() - began)),
                ('limits', {'processor seconds': _SECONDS, 'bytes': _MEMORY}),
                ('outcomes', outcomes), ('found', found)]), report_file, indent=1)
            report_file.write('\n')
    stream.write(table(outcomes) + '\n{} inputs, {:.0f} s\n'.format(tried, time.time() - began))
    return outcomes, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=1000, help='inputs, about')
    parser.add_argument('--report', help='write a JSON report here')
    parser.add_argument('--only', help='readers whose name has this regular expression')
    parser.add_argument('--first', type=int, default=0, help='the number of the first input of each reader')
    parser.add_argument('--keep', help='keep the inputs that were received badly in this folder')
    parser.add_argument('--seconds', type=float, help='stop after so many seconds')
    given = parser.parse_args()
    _, found = run(given.count, given.report, given.only, given.first, given.keep, seconds=given.seconds)
    sys.exit(bool(found))


if __name__ == '__main__':
    main()
