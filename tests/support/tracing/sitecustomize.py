"""Has the lines counted that a Python runs, where ``COVERAGE_PROCESS_START`` says so. Python imports this at its start.

On PYTHONPATH, so that it is on in what the tests start, too. A fork goes on counting by itself; what is killed, or
gets another PYTHONPATH from its test, is not counted.
"""
import os

try:
    import coverage
except ImportError:  # in another environment's Python
    pass
else:
    if os.environ.get('COVERAGE_PROCESS_START'):  # empty for no: coverage.py takes that for a file
        coverage.process_startup()
