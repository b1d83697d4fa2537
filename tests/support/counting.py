"""Has the lines of od-patch counted while those tests run that no other environment counts.

Before Python 3.12, counting takes a quarter of the time of what runs here. What the newest Python's tests run is counted
there, at 4 %; the tests that are asked once (tox.ini, ``[once]``) are asked here alone.

Not for: starting to count; ``tracing/sitecustomize.py`` does, in what tests start, too.
"""
import fnmatch
import os
import shlex

import coverage
import pytest


def is_on():
    """Returns whether lines are counted in this process; what gets another PYTHONPATH from its test does not count."""
    return getattr(coverage.process_startup, 'coverage', None) is not None


class Counting:
    """A pytest plugin."""

    def __init__(self, once):
        """``once``: str, the flags ``--ignore=…`` and ``--ignore-glob=…`` by which others leave out what is asked once."""
        self._patterns = [flag.partition('=')[2] for flag in shlex.split(once) if flag.startswith('--ignore')]
        self._configured = os.environ['COVERAGE_PROCESS_START']
        self._counting = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        path = item.nodeid.split('::')[0]
        wanted = any(fnmatch.fnmatch(path, pattern) for pattern in self._patterns)
        if wanted != self._counting:
            self._counting = wanted
            counted = coverage.process_startup.coverage
            (counted.start if wanted else counted.stop)()
            os.environ['COVERAGE_PROCESS_START'] = self._configured if wanted else ''
