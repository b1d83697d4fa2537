"""What a tox run did, of all its environments: cases, skips, seconds, the slowest files, what ran nowhere.

    python tools/summary.py .tox/results [--list FILE]
    python tools/summary.py .tox/results --coverage .tox/coverage      which lines, and refusals, no test reached

``tests/support/results.py`` writes the results, one file for each run of pytest; what an environment left there in an
earlier run of tox is shown, too, with its age. A case is one function of the tests with one set of parameters; it is
distinct where no environment before has had it.

In CI, where ``TOX_SKIP_MISSING_INTERPRETERS`` is ``false``, it fails where an environment of tox.ini has left no
result, and where a case was skipped wherever it was collected: that is a test which tests nothing, in a run that is
green.

Not for: failures; pytest prints them, and tox says which environments have failed.
"""
import argparse
import ast
import collections
import configparser
import glob
import json
import os
import re
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Cases that may be skipped wherever they are, and why.
_MAY_RUN_NOWHERE = {
    'tests/serving/test_server.py::test_a_real_tensorflow_model_server_was_asked':
        'the package index has no tensorflow_model_server',
}

_WITHOUT_RESULTS = ('coverage', 'demo', 'docs', 'extra', 'lint', 'moto', 'mutants', 'summary')  # how environments are called that leave none


def read(folder):
    """Returns the results in a folder, in the order in which they began."""
    found = []
    for path in glob.glob(os.path.join(folder, '*.json')):
        with open(path, encoding='utf-8') as file:
            found.append(json.load(file))
    return sorted(found, key=lambda one: one['began'])


def table(results):
    """Returns the lines of the table of environments."""
    rows = [('environment', 'vintage', 'Python', 'TensorFlow', 'cases', 'distinct', 'failed', 'skipped', 'left out',
             'installing', 'testing', 'processor')]
    seen = set()
    for one in results:
        outcomes = collections.Counter(one['cases'].values())
        rows.append((one['environment'], one['vintage'], one['python'], one['tensorflow'], len(one['cases']),
                     len(set(one['cases']) - seen), outcomes['failed'], outcomes['skipped'], one['deselected'],
                     '{:.0f} s'.format(one['installing']), '{:.0f} s'.format(one['testing']),
                     '{:.0f} s'.format(one['processor'])))
        seen |= set(one['cases'])
    totals = [sum(row[column] for row in rows[1:]) for column in range(4, 9)]
    rows.append(('all', '', '', '') + tuple(totals) + tuple(
        '{:.0f} s'.format(sum(one[key] for one in results)) for key in ('installing', 'testing', 'processor')))
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    return ['  '.join(str(cell).rjust(width) if 4 <= column else str(cell).ljust(width)
                      for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def slowest(results, count=15):
    """Returns lines: which files of tests took longest, over all environments, and how long in each."""
    found = collections.defaultdict(dict)
    for one in results:
        for name, seconds in one.get('seconds', {}).items():
            found[name][one['environment'] + one['vintage'].join('()')] = seconds
    first = sorted(found.items(), key=lambda item: -sum(item[1].values()))[:count]
    return ['{:5.0f} s  {}  ({})'.format(sum(of.values()), name, ', '.join(
        '{} {:.0f}'.format(*pair) for pair in sorted(of.items(), key=lambda pair: -pair[1]))) for name, of in first]


def skips(results):
    """Returns the lines about skips: how many cases, why, where."""
    found = collections.OrderedDict()
    for one in results:
        for case, reason in sorted(one['skips'].items()):
            found.setdefault(reason, []).append((case, one['environment']))
    return ['{:4d}  {}  ({})'.format(len(cases), reason, ', '.join(sorted({environment for _, environment in cases})))
            for reason, cases in found.items()]


def ran_nowhere(results):
    """Returns the cases, and the modules, that are skipped wherever they are collected."""
    skipped = {case for one in results for case in one['skips']}
    ran = {case for one in results for case, outcome in one['cases'].items() if outcome != 'skipped'}
    modules = {case.split('::')[0] for case in ran}
    return sorted(case for case in skipped - ran if '::' in case or case not in modules)


def without_results(results):
    """Returns the environments of tox.ini that run tests and have left no result."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(os.path.join(ROOT, 'tox.ini'))
    names = re.findall(r'[\w-]+', config['tox']['env_list'])
    return [name for name in names if not name.startswith(_WITHOUT_RESULTS) and
            name not in {one['environment'] for one in results}]


def coverage_of(folder, since):
    """Combines what the environments have counted, prints it, and returns the refusals that no test has reached.

    Args:
        since: float, when the oldest result began; what was counted before that is of another od-patch.

    Returns:
        List of 'path:line: the statement'; None where nothing was counted.
    """
    import coverage
    files = [path for path in glob.glob(os.path.join(folder, 'of.*')) if os.path.getmtime(path) >= since]
    together = os.path.join(folder, 'all')
    if os.path.exists(together):
        os.unlink(together)
    if not files:
        return None
    os.environ.setdefault('COVERAGE_FOLDER', folder)
    measured = coverage.Coverage(data_file=together, config_file=os.path.join(ROOT, 'tox.ini'))
    measured.combine(files, keep=True)
    measured.report(skip_covered=True, show_missing=False, ignore_errors=True)
    return unreached_refusals(measured)


def unreached_refusals(measured):
    found = []
    for path in sorted(measured.get_data().measured_files()):
        if not os.path.exists(path):
            continue
        with open(path, encoding='utf-8') as file:
            text = file.read()
        missing = set(measured.analysis2(path)[3])
        lines = text.splitlines()
        for number in sorted(node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)):
            if number in missing:
                found.append('{}:{}: {}'.format(os.path.relpath(path, ROOT), number, lines[number - 1].strip()))
    return found


def main():
    parser = argparse.ArgumentParser(description='Says what a tox run did, of all its environments.')
    parser.add_argument('results', metavar='FOLDER', help='where the environments have left their results')
    parser.add_argument('--coverage', metavar='FOLDER', help='where they have left what lines they ran: says that, and nothing else')
    parser.add_argument('--list', metavar='FILE', help='also write (case, TensorFlow, vintage) of all that ran')
    options = parser.parse_args()
    results = read(options.results)
    if not results:
        print('No environment has left results in {}.'.format(options.results))
        return 1
    if options.coverage:
        unreached = coverage_of(options.coverage, min(one['began'] for one in results))
        if unreached is not None:
            print('\n{} raise statements of od_patch were reached by no test:'.format(len(unreached)))
            print('\n'.join('  ' + line for line in unreached))
        return 0
    print('\n' + '\n'.join(table(results)))
    old = [one['environment'] for one in results if one['began'] < time.time() - 6 * 3600]
    if old:
        print('of an earlier run: {}'.format(', '.join(old)))
    print('\nslowest files of tests:\n' + '\n'.join(slowest(results)))
    print('\nskipped:\n' + ('\n'.join(skips(results)) or '   none'))
    nowhere = ran_nowhere(results)
    for case in nowhere:
        why = _MAY_RUN_NOWHERE.get(case)
        print('ran nowhere: {}{}'.format(case, ' ({})'.format(why) if why else ''))
    lacking = without_results(results)
    if lacking:
        print('no results of {}'.format(', '.join(lacking)))
    if options.list:
        with open(options.list, 'w', encoding='utf-8', newline='\n') as file:
            file.writelines(sorted({
                '{}\t{}\t{}\n'.format(case, one['tensorflow'], one['vintage'])
                for one in results for case, outcome in one['cases'].items() if outcome != 'skipped'}))
    outcomes = collections.Counter(outcome for one in results for outcome in one['cases'].values())
    print('\n{passed} passed, {failed} failed, {skipped} skipped'.format(
        **dict({'passed': 0, 'failed': 0, 'skipped': 0}, **outcomes)))
    if os.environ.get('TOX_SKIP_MISSING_INTERPRETERS') == 'false' and (lacking or set(nowhere) - set(_MAY_RUN_NOWHERE)):
        print('CI fails: it has to run every environment, and every case in one of them.')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
