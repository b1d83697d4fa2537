"""What a test needs beside this Python: where it is missing, the test is skipped, and in CI it fails.

CI is where ``TOX_SKIP_MISSING_INTERPRETERS`` is ``false``, as .ci/run sets it: a skip for want of something
is a case that ran nowhere, in a run that is green.

Not for: what a test can never do here, such as TensorFlow 2 under TensorFlow 1; that is skipped everywhere.
"""
import importlib
import os

import pytest


def nothing_may_be_missing():
    """Whether this is CI."""
    return os.environ.get('TOX_SKIP_MISSING_INTERPRETERS') == 'false'


def missing(what):
    """Ends a test, or in a module's body all of its tests, for want of something."""
    if nothing_may_be_missing():
        raise AssertionError('CI has to have this: ' + what)
    pytest.skip(what, allow_module_level=True)


def module(name):
    """Imports a module that the tests' requirements have."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        return missing('{} cannot be imported: {}'.format(name, error))


def python(variable, what):
    """Returns the path of another Python, which an environment variable names."""
    path = os.environ.get(variable, '')
    if not os.path.exists(path):
        missing('{} names no Python with {} ({!r})'.format(variable, what, path))
    return path
