"""An export that is not what was trained is not moved into place: exit code 9, its name, and nothing left behind."""
import os
import shutil

import pytest

from tests.proof import defects
from tests.support import exports
from tests.support import shapes

pytestmark = [pytest.mark.once, pytest.mark.xdist_group('proof shapes')]


def _export(python, output, defect, *flags):
    return exports.fork('tests.proof.planting', exports.flags_of(shapes.CONFIG, shapes.CHECKPOINT, output)
                        + list(flags) + [defect], python=python)


def _content(folder):
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), 'rb') as file:
                found[os.path.relpath(os.path.join(parent, name), folder)] = file.read()
    return found


def test_a_wrong_weight_ends_every_export(exported, tf1_python, tmp_path):
    output = str(tmp_path / 'export')
    shutil.copytree(exported(), output)
    before = _content(output)
    result = _export(tf1_python, output, 'wrong_weight_in_the_saved_model', '--overwrite')
    assert result.exit_code == 9, result.stderr
    assert 'The export is not what was trained: 2 of' in result.stderr and 'Nothing was written' in result.stderr
    assert 'weights, SavedModel = model.ckpt: 1 of 199 variables differ\n    {}:'.format(defects.WEIGHT) in result.stderr
    assert os.listdir(str(tmp_path)) == ['export'] and _content(output) == before


def test_what_only_running_shows_ends_an_export_with_verify(tf1_python, tmp_path):
    output = str(tmp_path / 'export')
    result = _export(tf1_python, output, 'swapped_outputs_in_the_signature', '--verify')
    assert result.exit_code == 9, result.stderr
    assert 'outputs, unoptimized, batch of 1: outputs are swapped: detection_classes and detection_scores' in result.stderr
    assert os.listdir(str(tmp_path)) == []
