"""The history of a clone of the models repo, read with git's plumbing: nothing in the clone is changed or run.

What differs between two commits in nothing that an export reads is one state.
Not for: which states come into question; that is ``_plan``.
"""
import collections
import hashlib
import os
import re
import shutil
import subprocess

from od_patch import _errors
from od_patch import _text

UPSTREAM = 'https://github.com/tensorflow/models.git'
API, NETS = 'research/object_detection', 'research/slim/nets'
_EXPORTER = API + '/exporter.py'
_READ = ('.py', '.proto')
# Folders of object_detection that training, evaluation and notebooks read, and no export does; tests and scripts too.
_ASIDE = re.compile(r'/(dataset_tools|metrics|legacy|inference|samples|g3doc|data|test_data|test_images|test_ckpt|'
                    r'colab_tutorials|dockerfiles|tpu_exporters)/|'
                    r'(_test|_main|/train|/eval|/evaluator|/trainer|/eval_util|/model_lib|/model_hparams|/inputs)\.py$')
_FILE = re.compile(r'(\d{6}) blob ([0-9a-f]{40,64})\t(.*)')

State = collections.namedtuple('State', 'commit date exporter code')
State.__doc__ = """One state of the code that an export reads.

Attributes:
    commit: str, hash of the first commit that has it; date: str, ISO date that it was committed on.
    exporter: str, git blob id of ``exporter.py``, empty where there is none.
    code: str, digest of the names and blobs of what an export may read.
"""


class Clone:
    """A clone of the models repo, or one of its forks.

    Attributes:
        path: str, as it was given; shallow: bool, whether git was told to leave its older history out.

    Raises:
        od_patch.EnvironmentRefused: there is no git; od_patch.InputRefused: the folder is no clone of the models repo.
    """

    def __init__(self, path):
        self.path = path
        self._git_program = shutil.which('git')
        if self._git_program is None:
            raise _errors.EnvironmentRefused('There is no git, which reads the history of {}.'.format(path),
                                             'Install it, e.g.  apt-get install git')
        if not os.path.isdir(path):
            raise _errors.InputRefused('{} is no clone of the models repo: there is no such folder.'.format(path),
                                       _clone_it(path))
        try:
            self._folder = self._git('rev-parse', '--absolute-git-dir').decode('utf-8', 'surrogateescape').strip()
        except _GitFailed as error:
            raise _errors.InputRefused('{} is no clone of the models repo; git says: {}'.format(path, error),
                                       'Files that were unpacked have no history.  ' + _clone_it(path))
        self.shallow = os.path.exists(os.path.join(self._folder, 'shallow'))

    def states(self, pinned=()):
        """List of ``State``, the oldest first, of the main lines of all branches and tags, and of ``pinned`` commits.

        Args:
            pinned: iterable of str, hashes or their beginnings; what the clone lacks is left out.

        Raises:
            od_patch.InputRefused: no commit of it holds the OD API, or git cannot read it.
        """
        try:
            found = self._states(pinned)
        except _GitFailed as error:
            raise _errors.InputRefused('The history of {} cannot be read; git says: {}'.format(self.path, error),
                                       'git -C {} fsck  looks at all of it.'.format(_text.command([self.path])))
        if not found:
            raise _errors.InputRefused('{} is no clone of the models repo: no commit of it holds {}.'.format(
                self.path, API), _clone_it('models'))
        return found

    def _states(self, pinned):
        lines = self._git('log', '--all', '--first-parent', '--date-order', '--reverse', '--no-show-signature',
                          '--format=%H %ct %cd', '--date=short', '--', ':(top)' + API,
                          ':(top)' + NETS).decode().splitlines()
        rows = [(int(moment), commit, date) for commit, moment, date in map(str.split, lines)]
        there = {commit for _, commit, _ in rows}
        for text in self._objects([name + '^{commit}' for name in pinned]):
            if text and text[1] == 'commit' and text[0] not in there:
                commit, moment, date = self._git('log', '-1', '--no-show-signature', '--format=%H %ct %cd',
                                                 '--date=short', text[0]).decode().split()
                rows.append((int(moment), commit, date))
        rows.sort(key=lambda row: row[0])  # stable: of one second, as git has them
        asked = [['{}:{}'.format(commit, path) for path in (API, NETS, _EXPORTER)] for _, commit, _ in rows]
        answers = self._objects([name for names in asked for name in names])
        states, codes, seen = [], {}, set()
        for number, (_, commit, date) in enumerate(rows):
            api, nets, exporter = answers[3 * number:3 * number + 3]
            if api is None:
                continue
            trees = (api[0], nets and nets[0])
            if trees not in codes:
                codes[trees] = self._code(commit)
            if codes[trees] not in seen:
                seen.add(codes[trees])
                states.append(State(commit, date, exporter[0] if exporter else '', codes[trees]))
        return states

    def _code(self, commit):
        rows = [(path, blob) for _, blob, path in self._files(commit, API, NETS) if not _ASIDE.search(path)]
        return hashlib.sha256(repr(rows).encode('utf-8', 'surrogateescape')).hexdigest()

    def _files(self, commit, *paths):
        """Rows (mode, blob, path) of the files of a commit that Python or protoc reads."""
        text = self._git('ls-tree', '-r', '-z', '--full-tree', commit, '--', *paths).decode('utf-8', 'surrogateescape')
        for line in text.split('\0'):
            match = _FILE.match(line)
            if match and match.group(3).endswith(_READ) and match.group(1) in ('100644', '100755'):
                yield match.groups()

    def write(self, commit, folder):
        """Writes ``research/object_detection`` and ``research/slim`` of a commit: what Python and protoc read of them.

        Raises:
            od_patch.InputRefused: the clone lacks some of it.
        """
        rows = list(self._files(commit, API, 'research/slim'))
        try:
            contents = self._contents([blob for _, blob, _ in rows])
        except _GitFailed as error:
            raise _errors.InputRefused('The clone {} does not hold all files of {}; git says: {}'.format(
                self.path, commit[:8], error), 'git -C {} fetch  gets what a partial clone lacks.'.format(
                    _text.command([self.path])))
        for (_, _, path), content in zip(rows, contents):
            parts = path.split('/')
            if any(part in ('', '.', '..') for part in parts):
                continue  # git itself refuses to check such a tree out
            target = os.path.join(folder, *parts)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, 'wb') as file:
                file.write(content)

    def _objects(self, names):
        """List of [id, type] for each name, None for what there is not."""
        if not names:
            return []
        lines = self._git('cat-file', '--batch-check=%(objectname) %(objecttype)', data='\n'.join(names) + '\n')
        rows = [line.split() for line in lines.decode('utf-8', 'replace').splitlines()]
        return [row if len(row) == 2 and re.match('[0-9a-f]{40,64}$', row[0]) else None for row in rows]

    def _contents(self, blobs):
        """List of bytes, the content of each blob."""
        data, found, at = self._git('cat-file', '--batch', data='\n'.join(blobs) + '\n' if blobs else ''), [], 0
        for blob in blobs:
            end = data.index(b'\n', at)
            head = data[at:end].split()
            if len(head) != 3 or head[1] != b'blob':
                raise _GitFailed('there is no blob {}'.format(blob))
            length = int(head[2])
            found.append(data[end + 1:end + 1 + length])
            at = end + 1 + length + 1
        return found

    def _git(self, *arguments, data=''):
        # What a hook, or another git, has set is about another repository.
        environment = {name: value for name, value in os.environ.items() if not name.startswith('GIT_')
                       or name in ('GIT_SSL_CAINFO', 'GIT_CONFIG_GLOBAL', 'GIT_CONFIG_NOSYSTEM')}
        environment.update(LC_ALL='C', GIT_TERMINAL_PROMPT='0', GIT_OPTIONAL_LOCKS='0', GIT_PAGER='cat',
                           GIT_NO_REPLACE_OBJECTS='1')
        done = subprocess.run([self._git_program, '-c', 'core.fsmonitor=false', '-c', 'core.quotePath=false', '-C',
                               self.path] + list(arguments), input=data.encode('utf-8', 'surrogateescape'),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        if done.returncode:
            raise _GitFailed(done.stderr.decode('utf-8', 'replace').strip() or
                             'exit code {}'.format(done.returncode))
        return done.stdout


class _GitFailed(Exception):
    """git exited with an error; its own words."""


def _clone_it(path):
    return 'git clone {} {}'.format(UPSTREAM, _text.command([path if not os.path.exists(path) else 'models']))
