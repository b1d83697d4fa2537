"""Every planted defect is caught, named, and by no other name; an export without one passes."""
import json
import os
import shutil

import pytest

import od_patch
from od_patch import proof
from tests.proof import defects
from tests.proof import mutations
from tests.proof import proved
from tests.support import exports
from tests.support import shapes

pytestmark = pytest.mark.xdist_group('proof shapes')


@pytest.fixture(scope='module')
def copy_of(exported, tmp_path_factory):
    """A function that copies the shapes export."""
    def copy():
        folder = str(tmp_path_factory.mktemp('copy') / 'export')
        shutil.copytree(exported(), folder)
        return folder
    return copy


def by_name(answer):
    return {(check.part, check.name): check for check in answer.checks}


def test_an_export_passes_every_check(exported):
    answer = proof.verify(exported(), target_tf='1.12')
    assert not answer.wrong and answer.exit_code == 0 and answer.verdict == 'the same'
    checks = by_name(answer)
    assert {status for status in answer.counts} == {'ok'}, answer.checks
    assert {part for part, _ in checks} == {'files', 'weights', 'outputs', 'portability'}
    assert 'all 199 variables are the moving averages of' in checks['weights', 'SavedModel = checkpoint'].text
    for batch in (1, 2):
        assert 'all 7 outputs are equal bit for bit (2 images' in checks[
            'outputs', 'unoptimized, batch of {}'.format(batch)].text


@pytest.fixture(scope='module')
def answers(copy_of):
    """A function from a planted defect to the answer on an export that has it; each is worked out once."""
    found = {}

    def answer(plant):
        if plant not in found:
            folder = copy_of()
            plant(folder)
            parts = {defect.part for defect in defects.DEFECTS if defect.plant is plant}
            found[plant] = proof.verify(folder, quick='outputs' not in parts)
        return found[plant]
    return answer


@pytest.mark.parametrize('defect', defects.DEFECTS, ids=lambda defect: '{}, {}'.format(
    defect.plant.__name__, defect.part))
def test_a_planted_defect_is_caught_and_named(defect, answers):
    answer = answers(defect.plant)
    assert answer.exit_code == 1 and answer.verdict == 'not the same'
    check = by_name(answer)[defect.part, defect.name]
    assert check.status == 'wrong', check
    told = '\n'.join((check.text,) + check.details)
    for words in defect.words:
        assert words in told
    # Nothing is blamed that is as it was.
    if defect.plant.__name__.endswith('model_ckpt'):
        assert not [check for check in answer.wrong if check.name == 'variables' or check.part == 'portability']
    if defect.plant in (defects.gpu, defects.gpu_in_a_function, defects.asset_that_is_not_there,
                        defects.other_meta_graph):
        assert answer.wrong == [check]


def test_a_defect_that_loading_would_not_show_is_one(copy_of):
    """Why the missing folder is worth a check of its own: TensorFlow itself is content."""
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    folder = copy_of()
    defects.variable_that_nothing_restores(folder)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ['serve'], os.path.join(folder, 'saved_model'))


def test_an_op_that_the_target_does_not_know_is_named(exported):
    answer = proof.verify(exported(), target_tf='1.4', quick=True)
    told = by_name(answer)['portability', 'ops, SavedModel']
    assert told.status == 'wrong' and 'TensorFlow 1.4 does not know' in told.text
    assert any(line.startswith('op NonMaxSuppressionV3: TensorFlow 1.9 to') for line in told.details)
    assert [check.name for check in answer.wrong] == ['ops, SavedModel', 'ops, frozen graph']


def test_where_nothing_says_which_weights_are_meant_it_is_told_which_they_are(exported, copy_of):
    folder = copy_of()
    os.remove(os.path.join(folder, 'saved_model', 'assets.extra', 'od_patch.json'))
    answer = proof.verify(folder, checkpoint=shapes.CHECKPOINT, quick=True)
    check = by_name(answer)['weights', 'SavedModel = checkpoint']
    assert check.status == 'note' and 'are its moving averages' in check.text
    with defects.bundle(defects.variables(folder)) as values:
        values[defects.WEIGHT] += 1
    answer = proof.verify(folder, checkpoint=shapes.CHECKPOINT, quick=True)
    check = by_name(answer)['weights', 'SavedModel = checkpoint']
    assert check.status == 'wrong' and check.text == '1 of 199 variables differ from its moving averages'


def test_a_checkpoint_that_is_gone_or_damaged_keeps_nothing_else_from_being_compared(copy_of, tmp_path):
    for name in os.listdir(os.path.dirname(shapes.CHECKPOINT)):
        if name.startswith('model.ckpt-'):
            shutil.copy(os.path.join(os.path.dirname(shapes.CHECKPOINT), name), str(tmp_path))
    prefix = str(tmp_path / 'model.ckpt-4100')
    folder = copy_of()
    record = os.path.join(folder, 'saved_model', 'assets.extra', 'od_patch.json')
    with open(record) as file:
        content = json.load(file)
    with open(record, 'w') as file:
        json.dump(dict(content, checkpoint=prefix), file)

    def weights():
        return {check.name: check.status for check in proof.verify(folder, quick=True).of('weights')}
    both = {'SavedModel = model.ckpt': 'ok', 'frozen graph = model.ckpt': 'ok'}
    assert weights() == dict(both, **{'SavedModel = checkpoint': 'ok'})
    defects.flip(prefix + '.data-00000-of-00001', 0.5)
    assert weights() == dict(both, **{'SavedModel = checkpoint': 'not checked'})
    defects.cut(prefix + '.index', 0.5)
    assert weights() == dict(both, checkpoint='not checked')
    with pytest.raises(od_patch.InputRefused):
        proof.verify(folder, checkpoint=prefix, quick=True)
    os.remove(prefix + '.index')
    assert weights() == both


def test_files_changed_at_random_end_in_no_crash(exported):
    """Four of each kind here; ``tests/proof/mutations.py`` does as many as are wanted."""
    found, crashes = mutations.run(exported(), 4 * len(mutations.FILES), seed=77)
    assert not crashes, crashes[0]
    assert found['not the same'] > 20


@pytest.mark.skipif(exports.HAS_CONTRIB, reason='test_export verifies every architecture there')
@pytest.mark.parametrize('config, form, flags', [
    pytest.param('ssd', 'plain', {'input_type': 'tf_example'}, id='ssd, tf_example'),
    pytest.param('mask_rcnn', 'training', {'config_override': 'eval_config { use_moving_averages: true }'},
                 id='mask rcnn, averages'),
])
def test_a_newer_tensorflow_proves_what_tensorflow_1_exported(config, form, flags, exported):
    proved.assert_proved(exported(config, form, **flags), **flags)
