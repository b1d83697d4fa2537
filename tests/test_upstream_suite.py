"""The release's own tests of its exporter have exactly the same outcomes with the patch as without."""
import os
import re

import pytest

from tests.support import exports

_RUN = 'import unittest; unittest.main("object_detection.{}", verbosity=2)'
# Without the bridges, TensorFlow 2 cannot import them.
_BRIDGED = ('from od_patch import legacy; legacy.put_on(); behaviour = legacy.tf1_behaviour(); behaviour.__enter__(); ')
_PATCHED = 'import od_patch; od_patch.install(); '


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
def test_the_releases_own_tests_have_the_same_outcomes(research):
    name = 'exporter_tf1_test'  # of 2020-05-26 and later
    if not os.path.exists(os.path.join(research, 'object_detection', name + '.py')):
        name = 'exporter_test'
    without = _outcomes(_BRIDGED + _RUN.format(name))
    assert 'ok' in without.values()
    assert _outcomes(_BRIDGED + _PATCHED + _RUN.format(name)) == without
