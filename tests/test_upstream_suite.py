"""The release's own ``exporter_test.py`` passes exactly the same tests with the patch as without."""
import re

import pytest

from tests.support import exports

_RUN = 'import unittest; unittest.main("object_detection.exporter_test", verbosity=2)'
_PATCHED = 'import od_patch; od_patch.install(); ' + _RUN


def _outcomes(program):
    """Returns {test name: 'ok', 'FAIL' or 'ERROR'} of a run of the suite."""
    result = exports.run(['-W', 'ignore', '-c', program], timeout=600)
    summary = re.search(r'^Ran (\d+) tests', result.stderr, re.MULTILINE)
    assert summary, result.stderr[-3000:]
    failed = dict((name, outcome) for outcome, name in re.findall(
        r'^(ERROR|FAIL): (\w+) \(', result.stderr, re.MULTILINE))
    names = re.findall(r'^(test\w*) \(', result.stderr, re.MULTILINE)
    assert len(set(names)) == int(summary.group(1))
    return {name: failed.get(name, 'ok') for name in names}


@pytest.mark.xdist_group('upstream')
def test_the_releases_own_tests_have_the_same_outcomes():
    without = _outcomes(_RUN)
    assert 'ok' in without.values()
    assert _outcomes(_PATCHED) == without
