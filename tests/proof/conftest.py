"""Exports for the tests of verify: made by this Python where it has TensorFlow 1, else by the one that is named.

Verify itself needs no Object Detection API, so its tests run under TensorFlow 2, too.
"""
import sys

import pytest

from tests.support import exports
from tests.support import needs
from tests.support import shapes


@pytest.fixture(scope='session')
def tf1_python():
    """A Python that can export; skips where there is none."""
    if exports.HAS_CONTRIB:
        return sys.executable
    return needs.python('OD_PATCH_TF1_PYTHON', 'TensorFlow 1')


@pytest.fixture(scope='session')
def exported(tmp_path_factory, tf1_python, checkpoint_of):
    """A function from (config name or 'shapes', form, flags) to the folder of an export; each is made once."""
    made = {}

    def export(config='shapes', form='plain', **flags):
        if config == 'shapes':
            flags['verify'] = True
        key = (config, form, tuple(sorted(flags.items())))
        if key not in made:
            output = str(tmp_path_factory.mktemp('exported') / 'export')
            given = (shapes.CONFIG, shapes.FOLDER) if config == 'shapes' else (
                exports.config_path(config), checkpoint_of(config, form))
            result = exports.ours(*given + (output,), _python=tf1_python, **flags)
            assert result.exit_code == 0, result.stderr
            if flags.get('verify'):
                assert 'proof        files, weights and outputs: 18 ok' in result.stdout
                assert '  proof  ' in result.stderr
            made[key] = output
        return made[key]
    return export
