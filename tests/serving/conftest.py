"""Exports of the shapes detector, made by the Python that runs the tests; each is made once."""
import os

import pytest

from tests.support import exports

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHAPES = os.path.join(_ROOT, 'examples', 'shapes')
SHAPES_CONFIG = os.path.join(SHAPES, 'shapes_ssd_mobilenet_v1.config')
LABEL_MAP = os.path.join(SHAPES, 'shapes_label_map.pbtxt')


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """A function from flags to the folder of an export of the shapes detector; nobody may change what is in it."""
    made = {}

    def export(**flags):
        key = tuple(sorted(flags.items()))
        if key not in made:
            output = str(tmp_path_factory.mktemp('exported') / 'export')
            result = exports.ours(SHAPES_CONFIG, SHAPES, output, **flags)
            assert result.exit_code == 0, result.stderr
            made[key] = output
        return made[key]
    return export


@pytest.fixture(scope='session')
def served(exported):
    """An export of the shapes detector that is a SavedModel and nothing else."""
    return exported(artifacts='saved_model')
