"""Exports of the shapes detector, made by the Python that runs the tests; each is made once."""
import pytest

from od_patch import legacy
from tests.support import exports
from tests.support import needs
from tests.support import shapes


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """A function from options of ``od_patch.patched`` to a SavedModel of the shapes detector; nobody may change it."""
    made = {}

    def export(**options):
        key = repr(sorted(options.items()))
        if key not in made:
            output = str(tmp_path_factory.mktemp('exported') / 'export')
            with legacy.on(), legacy.tf1_behaviour():
                made[key] = exports.in_process(shapes.CONFIG, shapes.FOLDER, output, artifacts=['saved_model'], **options)
        return made[key]
    return export


@pytest.fixture(scope='session')
def full_base(tmp_path_factory):
    """The folder that ``full`` is published into."""
    return str(tmp_path_factory.mktemp('serving') / 'shapes')


@pytest.fixture(scope='session')
def full(tmp_path_factory, full_base):
    """An export by the command, with everything that a server can be given, also published, and verified in full."""
    needs.module('tensorflow_serving')
    output = str(tmp_path_factory.mktemp('exported') / 'export')
    result = exports.ours(
        shapes.CONFIG, shapes.FOLDER, output, extra_signatures='encoded_image_bytes', signature_input_name='image',
        signature_outputs=','.join(shapes.OUTPUTS), label_map_path=shapes.LABEL_MAP, warmup_images='', verify=True,
        serving_directory=full_base, model_version='step')
    assert result.exit_code == 0, result.stderr
    assert 'Published version 4100 of shapes: {}/4100'.format(full_base) in result.stdout
    assert '  warm-up      4 requests, each run once' in result.stdout
    return output


@pytest.fixture(scope='session')
def served(exported):
    """An export of the shapes detector that is a SavedModel and nothing else."""
    return exported()
