"""A signal that arrives while TensorFlow takes or frees the lock of a graph: nothing waits for that lock for ever."""
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

pytest.importorskip('tensorflow')

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Sends the signal at the n-th line of TensorFlow's module that runs, for each n; the locks must be free each time.
_PROGRAM = '''
import itertools, os, signal, sys, time
from od_patch.command import _signals
from tensorflow.python.util import lock_util

number = getattr(signal, sys.argv[1])
for line in itertools.count(1):
    left, lock = [line], lock_util.GroupLock(num_groups=2)

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.endswith('lock_util.py'):
            return None
        if event == 'line':
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), number)
        return trace

    raised = False
    try:
        with _signals.obeyed():
            sys.settrace(trace)
            with lock.group(0), lock.group(0):
                pass
            sys.settrace(None)
            if left[0] <= 0:
                time.sleep(20)
    except BaseException as error:
        raised = type(error).__name__
    finally:
        sys.settrace(None)
    with lock.group(1):  # waits for all of the other group
        pass
    if left[0] > 0:
        break
    assert raised == sys.argv[2], raised
print(line)
'''


@pytest.mark.parametrize('number, raised', [('SIGINT', 'KeyboardInterrupt'), ('SIGTERM', 'Terminated')])
def test_it_is_raised_behind_the_lock_and_leaves_it_free(number, raised):
    lines = subprocess.check_output([sys.executable, '-c', _PROGRAM, number, raised], cwd=_ROOT, timeout=40)
    assert int(lines.split()[-1]) > 20
