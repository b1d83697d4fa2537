"""Plants known faults in a copy of od-patch, one at a time, and says which of them no test noticed.

    python -m tools.mutants                         all of the table
    python -m tools.mutants compare proof/_files    those whose path begins so; also NUMBER or FIRST-LAST
    python -m tools.mutants --sample 20             twenty, drawn by the hash of the commit
    python -m tools.mutants --list                  the table

The table is in ``tools/mutations/``, a module for each room; each row names the tests that must fail. The runner says
"survived" of a fault with which these tests pass, or with which they are all skipped, and exits with 1.

Not for: faults that nobody has thought of. A table of known ones says that these tests can fail, not that they suffice.
"""
import argparse
import ast
import glob
import importlib
import os
import pkgutil
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from tools import mutations

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What pytest exits with.
_PASSED, _FAILED = 0, 1
# Nothing of a run is kept, and the order is that of the files, so that a verdict can be had again.
_PYTEST = ['-m', 'pytest', '-x', '-q', '-p', 'no:cacheprovider', '-p', 'no:randomly', '--no-header', '--tb=line', '--durations=0']
_SECONDS = 900


def table():
    """Returns all mutations as a list, in the order of the rooms' names."""
    rows = []
    for _, name, _ in sorted(pkgutil.iter_modules(mutations.__path__), key=lambda module: module[1]):
        rows.extend(importlib.import_module('tools.mutations.' + name).MUTATIONS)
    return rows


def mutated(row):
    """Returns the text of the module with the fault in it.

    Raises:
        ValueError: the row does not fit the code of today, or what it makes is no Python.
    """
    path = os.path.join(_ROOT, 'od_patch', row.path)
    try:
        with open(path, encoding='utf-8') as module:
            text = module.read()
    except OSError as error:
        raise ValueError('od_patch/{} cannot be read: {}. Give the module that the code lies in now.'.format(row.path, error))
    found = text.count(row.old)
    if found != 1:
        raise ValueError('od_patch/{} has {!r} {} times, and one is expected. Quote the code as it stands now.'.format(
            row.path, row.old, found))
    changed = text.replace(row.old, row.new)
    try:
        same = ast.dump(ast.parse(changed)) == ast.dump(ast.parse(text))
    except SyntaxError as error:
        raise ValueError('od_patch/{} is no Python with {!r} in it: {}.'.format(row.path, row.new, error))
    if same:
        raise ValueError('od_patch/{}: {!r} means the same as {!r}.'.format(row.path, row.new, row.old))
    return changed


def copy_of_the_project(folder):
    """Copies what git knows, or would add, and links the assembled Object Detection API."""
    names = subprocess.check_output(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=_ROOT).decode().split('\0')
    for name in filter(None, names):
        if os.path.isfile(os.path.join(_ROOT, name)):
            target = os.path.join(folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(_ROOT, name), target)
    research = os.path.join(_ROOT, '.tox', 'research')
    os.makedirs(research, exist_ok=True)
    os.makedirs(os.path.join(folder, '.tox'))
    os.symlink(os.path.realpath(research), os.path.join(folder, '.tox', 'research'))


def run_tests(folder, tests, keep_bytecode=False):
    """Runs tests in a copy.

    Args:
        folder: str, of the copy.
        tests: iterable of str, as pytest takes them.
        keep_bytecode: bool, whether what is imported is compiled for later runs, TensorFlow too; od-patch is not: Python
            tells a module of a later second from its bytecode, and a fault is planted and taken out in less.

    Returns:
        (exit code of pytest, number of tests that passed, number that failed, what it printed).
    """
    environment = {name: value for name, value in os.environ.items() if name not in ('PYTEST_ADDOPTS', 'PYTHONPATH')}
    environment.pop('PYTHONDONTWRITEBYTECODE', None)
    if not keep_bytecode:
        environment.update(PYTHONDONTWRITEBYTECODE='1')
    with tempfile.TemporaryDirectory(prefix='mutants-basetemp') as temporary:
        process = subprocess.run(
            [sys.executable] + _PYTEST + ['--basetemp', os.path.join(temporary, 'tests')] + list(tests), cwd=folder,
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS)
    for compiled in glob.glob(os.path.join(folder, 'od_patch', '**', '__pycache__'), recursive=True):
        shutil.rmtree(compiled)
    text = process.stdout.decode('utf-8', 'replace')
    counts = {word: sum(int(number) for number in re.findall(r'(\d+) {}'.format(word), text.strip().splitlines()[-1]))
              for word in ('passed', 'failed', 'error')} if text.strip() else {'passed': 0, 'failed': 0, 'error': 0}
    return process.returncode, counts['passed'], counts['failed'] + counts['error'], text


def verdict_on(row, folder):
    """Plants one fault in a copy, runs its tests, and takes the fault out again.

    Returns:
        (verdict, what pytest printed): the verdict is 'caught', 'survived' or 'no verdict'.
    """
    path = os.path.join(folder, 'od_patch', row.path)
    with open(path, encoding='utf-8') as module:
        right = module.read()
    with open(path, 'w', encoding='utf-8', newline='\n') as module:
        module.write(mutated(row))
    try:
        code, _, failed, text = run_tests(folder, row.tests)
    except subprocess.TimeoutExpired as error:
        return 'no verdict', 'The tests did not end in {} s.\n{}'.format(_SECONDS, error.output or '')
    finally:
        with open(path, 'w', encoding='utf-8', newline='\n') as module:
            module.write(right)
    if code == _FAILED and failed:
        return 'caught', text
    return ('survived' if code == _PASSED else 'no verdict'), text


def tensorflow_here():
    """Returns 'tf1' or 'tf2' for the TensorFlow of this Python; '' where it has none."""
    try:
        import tensorflow
    except ImportError:
        return ''
    return 'tf1' if tensorflow.__version__.startswith('1.') else 'tf2'


def chosen(rows, wanted):
    """Returns the (number, row) pairs that the command line names: paths by their beginnings, or numbers from 1."""
    numbered = list(enumerate(rows, 1))
    if not wanted:
        return numbered
    picked = []
    for word in wanted:
        bounds = re.match(r'(\d+)(?:-(\d+))?$', word)
        if bounds:
            first, last = int(bounds.group(1)), int(bounds.group(2) or bounds.group(1))
            found = [pair for pair in numbered if first <= pair[0] <= last]
        else:
            found = [pair for pair in numbered if pair[1].path.startswith(word)]
        if not found:
            raise SystemExit('mutants: no row of the table is {!r}. See  python -m tools.mutants --list'.format(word))
        picked.extend(pair for pair in found if pair not in picked)
    return picked


def sample(pairs, size):
    """Returns ``size`` of the pairs, drawn by the commit's hash: the same ones for all who have the commit."""
    commit = subprocess.check_output(['git', 'rev-parse', 'HEAD'], cwd=_ROOT).decode().strip()
    return sorted(random.Random(commit).sample(pairs, min(size, len(pairs))), key=lambda pair: pair[0]), commit


def main(argv=None):
    parser = argparse.ArgumentParser(prog='mutants', description='Plants known faults and says which no test noticed.')
    parser.add_argument('wanted', nargs='*', help='beginning of a path below od_patch/, a number, or FIRST-LAST; default all')
    parser.add_argument('--sample', type=int, metavar='N', help='take N of them, drawn by the hash of the commit')
    parser.add_argument('--list', action='store_true', help='print the table, and run nothing')
    parser.add_argument('--show', action='store_true', help='print what pytest says of every fault')
    parser.add_argument('--no-baseline', action='store_true', help='do not first see the tests pass without a fault')
    options = parser.parse_args(argv)
    pairs = chosen(table(), options.wanted)
    if options.list:
        for number, row in pairs:
            print('{:3}  {:4} {}: {}'.format(number, row.on, row.path, row.why))
        return 0
    here = tensorflow_here()
    elsewhere = [pair for pair in pairs if pair[1].on not in ('any', here)]
    pairs = [pair for pair in pairs if pair not in elsewhere]
    if options.sample is not None:
        pairs, commit = sample(pairs, options.sample)
        print('{} of the mutations, drawn by commit {}'.format(len(pairs), commit[:12]), flush=True)
    bad = []
    with tempfile.TemporaryDirectory(prefix='mutants-') as folder:
        copy_of_the_project(folder)
        if not options.no_baseline and pairs:
            tests = sorted({test for _, row in pairs for test in row.tests})
            code, passed, _, text = run_tests(folder, tests, keep_bytecode=True)
            print('without a fault: {} passed'.format(passed), flush=True)
            if code != _PASSED:
                print(text)
                print('mutants: these tests fail without any fault; mend them first.')
                return 2
        for number, row in pairs:
            begun = time.time()
            try:
                verdict, text = verdict_on(row, folder)
            except ValueError as error:
                verdict, text = 'no verdict', str(error)
            print('{:3}  {:10}  {:5.1f} s  {}: {}'.format(number, verdict, time.time() - begun, row.path, row.why), flush=True)
            if verdict != 'caught' or options.show:
                print(text, flush=True)
            if verdict != 'caught':
                bad.append((number, verdict))
    if elsewhere:
        print('{} more need another TensorFlow than this Python has.'.format(len(elsewhere)))
    for number, verdict in bad:
        print('{} {}'.format(number, verdict))
    print('{} caught, {} not'.format(len(pairs) - len(bad), len(bad)))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
