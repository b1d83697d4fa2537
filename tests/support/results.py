"""Writes down what became of each case of a run, for ``tools/summary.py``, which sets the environments side by side.

On where ``OD_PATCH_RESULTS`` names a folder, as tox.ini does.

Not for: what went wrong; pytest prints that.
"""
import atexit
import collections
import json
import os
import resource
import sys
import time


class Results:
    """A pytest plugin; one file for each run, named by the tox environment and the vintage."""

    def __init__(self, folder):
        self._began = time.time()
        self._folder = folder
        self._environment = os.environ.get('TOX_ENV_NAME', 'by hand')
        self._installing = self._since_the_environment_was_made()
        self._cases, self._skips, self._deselected, self._seconds = {}, {}, 0, collections.Counter()
        atexit.register(self._write)  # before the fork servers are: by then they have ended, and their time is known

    def _since_the_environment_was_made(self):
        """Returns the seconds that installing took; 0 where the environment has been tested in before."""
        folder = os.environ.get('TOX_ENV_DIR', '')
        tested = os.path.join(folder, 'tested')
        if not os.path.exists(os.path.join(folder, 'pyvenv.cfg')) or os.path.exists(tested):
            return 0
        with open(tested, 'w'):
            pass
        return self._began - os.path.getmtime(os.path.join(folder, 'pyvenv.cfg'))

    def pytest_deselected(self, items):
        self._deselected += len(items)

    def pytest_collectreport(self, report):
        if report.skipped:  # a module that says so in its body
            self._skips[report.nodeid] = _reason(report)

    def pytest_runtest_logreport(self, report):
        outcome = 'failed' if report.failed else 'skipped' if report.skipped else 'passed'
        if outcome == 'skipped':
            self._skips[report.nodeid] = _reason(report)
        self._seconds[report.nodeid.split('::')[0]] += report.duration
        worst = ['passed', 'skipped', 'failed']
        before = self._cases.get(report.nodeid, 'passed')
        self._cases[report.nodeid] = max(outcome, before, key=worst.index)

    def _write(self):
        if not self._cases and not self._skips:
            return
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        tensorflow = sys.modules.get('tensorflow')
        found = {
            'environment': self._environment, 'vintage': os.environ.get('OD_PATCH_VINTAGE', ''),
            'python': '{}.{}'.format(*sys.version_info), 'tensorflow': getattr(tensorflow, '__version__', ''),
            'began': self._began, 'installing': self._installing, 'testing': time.time() - self._began,
            'processor': sum(one.ru_utime + one.ru_stime for one in used),
            'cases': self._cases, 'skips': self._skips, 'deselected': self._deselected, 'seconds': self._seconds,
        }
        os.makedirs(self._folder, exist_ok=True)
        name = '-'.join(part for part in (found['environment'], found['vintage']) if part)
        with open(os.path.join(self._folder, name + '.json'), 'w') as file:
            json.dump(found, file, indent=1, sort_keys=True)


def _reason(report):
    words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return words[len('Skipped: '):] if words.startswith('Skipped: ') else words
