"""What any export must pass, of whatever architecture: verify finds nothing wrong, and one wrong weight is found.

Not for: the shapes export and its many defects; that is ``test_defects``.
"""
import os
import shutil
import tempfile

from od_patch import proof
from tests.proof import defects


def assert_proved(export, run=True, input_type='image_tensor', config_override='', **flags):
    """Asserts that an export is proved, in the way that its flags say it was made; with ``run``, that it runs, too."""
    answer = proof.verify(export, quick=not run)
    assert not answer.wrong, answer.wrong
    if run:
        _assert_ran_alike(answer, input_type, 'input_shape' in flags)
    saved, = [check for check in answer.checks if check.name == 'SavedModel = checkpoint']
    assert saved.status == 'ok' and ('moving averages' in saved.text) == ('use_moving' in config_override), saved
    _assert_one_wrong_weight_is_named(export)


def _assert_ran_alike(answer, input_type, fixed):
    runs = [run for run in answer.runs if run.mode == 'unoptimized' and run.rows]
    assert runs and all(row.equal for run in runs for row in run.rows)
    assert {run.input_type for run in runs} == {input_type}
    assert ('batch of 2' in {check.name for check in answer.checks if check.status == 'not checked'}) == fixed


def _assert_one_wrong_weight_is_named(export):
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, 'export')
        shutil.copytree(export, copy)
        with defects.bundle(defects.variables(copy)) as values:
            name = sorted(name for name in values if name.endswith('weights'))[-1]
            values[name].reshape(-1)[-1] += 0.25
        answer = proof.verify(copy, quick=True)
        check, = [check for check in answer.checks if check.name == 'SavedModel = model.ckpt']
        assert answer.exit_code == 1 and check.text.startswith('1 of ')
        assert check.details[0].startswith(name + ': 1 of ')
