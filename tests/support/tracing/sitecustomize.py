"""Has the lines counted that a Python runs, where ``COVERAGE_PROCESS_START`` says so. Python imports this at its start.

On PYTHONPATH, so that it is on in what the tests start, too. A fork goes on counting by itself; what is killed, or
gets another PYTHONPATH from its test, is not counted.
"""
try:
    import coverage
except ImportError:  # in another environment's Python
    pass
else:
    coverage.process_startup()
