"""The parts of a proof on inputs that are small enough to be written down."""
import os
import shutil

import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch import proof  # noqa: E402
from od_patch.graphs import _models  # noqa: E402
from od_patch.graphs import _op_table  # noqa: E402
from od_patch.proof import _matching  # noqa: E402
from od_patch.proof import _outputs  # noqa: E402
from od_patch.proof import _portability  # noqa: E402
from od_patch.proof import _variables  # noqa: E402
from tests.compare.written import FLOAT, Made  # noqa: E402
from tests.proof import defects  # noqa: E402
from tests.proof import small  # noqa: E402
from tests.proof.test_matching import _outputs_of, _run, detections, reordered  # noqa: E402
from tests.support import checkpoints  # noqa: E402


# weights --------------------------------------------------------------------------------------------------------------

def differing(tmp_path, one, other, names=('v',), by_checksum=False):
    """What differs between two checkpoints of one variable."""
    holders = []
    for label, value in (('one', one), ('other', other)):
        checkpoints.write_v2(str(tmp_path / label), {'v': value, 'padding': np.zeros(3, 'f4')})
        holders.append(_variables.Checkpoint(str(tmp_path / label), label))
    found, = _variables._differing([tuple(holders)], [set(names)], by_checksum)
    return found


ROWS = np.arange(6, dtype='f4').reshape(2, 3)


@pytest.mark.parametrize('other, words, largest', [
    (ROWS.reshape(3, 2), 'float [2, 3] against float [3, 2]', None),
    (ROWS.reshape(6), 'float [2, 3] against float [6]', None),
    (ROWS.reshape(2, 3, 1), 'float [2, 3] against float [2, 3, 1]', None),
    (ROWS.view('i4'), 'float [2, 3] against int32 [2, 3]', None),
    (ROWS.astype('f8'), 'float [2, 3] against double [2, 3]', None),
    (ROWS + 1, '6 of 6 elements differ, by 1 at most', 1.0),
    (np.where(ROWS == 5, 7, ROWS).astype('f4'), '1 of 6 elements differ, by 2 at most', 2.0),
    (np.where(ROWS == 0, -0.0, ROWS).astype('f4'), 'other bits of the same values, such as −0 for 0', 0.0),
    (np.where(ROWS == 0, np.nan, ROWS).astype('f4'), '1 of 6 elements differ, by inf at most', np.inf)],
    ids=lambda value: value if isinstance(value, str) else '')
def test_a_tensor_differs_in_type_shape_or_bits(tmp_path, other, words, largest):
    for by_checksum in (False, True):
        assert differing(tmp_path, ROWS, other, by_checksum=by_checksum) == [('v', words, largest)]
        assert differing(tmp_path, other, other.copy(), by_checksum=by_checksum) == []


@pytest.mark.parametrize('one, other, equal', [
    ([b'a', b'bc'], [b'a', b'bc'], True), ([b'a', b'bc'], [b'ab', b'c'], False), ([b'a'], [b'b'], False)])
def test_strings_are_compared_by_what_they_hold(tmp_path, one, other, equal):
    found = differing(tmp_path, np.array(one, object), np.array(other, object))
    assert (found == []) is equal


def test_the_largest_difference_comes_first_and_shapes_before_all(tmp_path):
    one = {'a': ROWS, 'b': ROWS, 'c': ROWS, 'd': ROWS, 'e': ROWS}
    other = {'a': ROWS + 1, 'b': ROWS + 3, 'c': ROWS.reshape(6), 'd': ROWS + 1, 'e': ROWS}
    holders = []
    for label, values in (('one', one), ('other', other)):
        checkpoints.write_v2(str(tmp_path / label), values)
        holders.append(_variables.Checkpoint(str(tmp_path / label), label))
    found, = _variables._differing([tuple(holders)], [set(one)])
    assert [row[0] for row in found] == ['c', 'b', 'a', 'd']


def test_a_tensor_that_is_changed_beyond_the_first_piece_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(_variables, '_PIECE', 16)
    other = np.arange(64, dtype='f4')
    other[63] = 9
    assert differing(tmp_path, np.arange(64, dtype='f4'), other)[0][1].startswith('1 of 64')
    assert _variables._equal(*[_variables.Value(1, (64,), array) for array in (other, other.copy())])
    assert not _variables._equal(*[_variables.Value(1, (64,), array) for array in (other, np.arange(64, dtype='f4'))])


# outputs --------------------------------------------------------------------------------------------------------------

def test_a_detection_that_moved_is_more_than_last_digits():
    one = detections(3, 5)
    other = reordered(one, [0, 3, 2, 1, 4])  # the same ones, in places that their scores do not explain
    run, check = _run(_outputs.DEFAULTS, _outputs_of(one), _outputs_of(other))
    assert {row.name: row.largest for row in run.rows}['detection_boxes'] == 0
    assert run.paired()['moved'] == 2 and run.paired()['alone'] == 0
    assert check.status == 'note' and '2 detections moved' in check.text
    assert check.text.startswith('more than the last digits differ')


@pytest.mark.parametrize('apart, status', [(0.0009, 'ok'), (0.0011, 'note')])
def test_last_digits_are_those_below_a_thousandth(apart, status):
    one = detections(3, 5)
    other = {key: values.copy() for key, values in one.items()}
    other['scores'][4] -= np.float32(apart)
    _, check = _run(_outputs.DEFAULTS, _outputs_of(one), _outputs_of(other))
    assert check.status == status and '{:.2g} at most'.format(apart) in check.text


# matching -------------------------------------------------------------------------------------------------------------

def test_a_detection_beyond_those_of_the_other_model_moved():
    one = {'boxes': np.array([[0.5, 0.5, 0.9, 0.9]]), 'scores': np.array([0.9]), 'classes': np.array([1.])}
    other = {'boxes': np.array([[0., 0., 0.3, 0.3], [0.5, 0.5, 0.9, 0.9]]), 'scores': np.array([0.95, 0.9]),
             'classes': np.array([1., 1.])}
    found = _matching.match(one, other)
    assert (found.pairs, found.swapped, found.moved, found.alone) == ([(0, 1)], 0, 1, ([], [0]))
    found = _matching.match(other, one)
    assert (found.pairs, found.swapped, found.moved, found.alone) == ([(1, 0)], 0, 1, ([0], []))


@pytest.mark.parametrize('gap, swapped', [(0.0009, 2), (0.0011, 0)])
def test_a_near_tie_is_one_of_a_thousandth(gap, swapped):
    one = detections(5, 3)
    one['scores'] = np.array([0.9, 0.9 - gap, 0.1])
    found = _matching.match(one, reordered(one, [1, 0, 2]))
    assert (found.swapped, found.moved) == (swapped, 2 - swapped)


def test_a_detection_goes_to_the_box_that_overlaps_most():
    one = {'boxes': np.array([[0., 0., 1., 1.]]), 'scores': np.array([0.9]), 'classes': np.array([1.])}
    other = {'boxes': np.array([[0., 0., 1., .6], [0., 0., 1., .9]]), 'scores': np.array([0.9, 0.8]),
             'classes': np.array([1., 1.])}
    assert _matching.match(one, other).pairs == [(0, 1)]
    other['boxes'][1] = other['boxes'][0]  # equal overlaps: the nearest score
    assert _matching.match(one, other).pairs == [(0, 0)]
    other['scores'] = np.array([0.8, 0.9])
    assert _matching.match(one, other).pairs == [(0, 1)]
    other['scores'] = np.array([0.9, 0.9])  # and then the same row
    assert _matching.match(one, other).pairs == [(0, 0)]


@pytest.mark.parametrize('width, paired', [(0.51, True), (0.49, False)])
def test_boxes_are_one_where_they_share_half(width, paired):
    one = {'boxes': np.array([[0., 0., 1., 1.]]), 'scores': np.array([0.9]), 'classes': np.array([1.])}
    other = dict(one, boxes=np.array([[0., 0., 1., width]]))
    assert bool(_matching.match(one, other).pairs) is paired


# portability ----------------------------------------------------------------------------------------------------------

RELEASES, OPS = _op_table.table()


def ops_of(made, target):
    return _portability._ops('SavedModel', made.graph_def, _portability.known_release(target))


def _removed():
    """(op, its last release) of one that TensorFlow has dropped, and (op, attribute, last release) of such one."""
    names = sorted(OPS._rows)
    op = next(name for name in names if OPS[name].until < len(RELEASES) - 1)
    row = next((name, attr, entry[1]) for name in names for attr, entry in sorted(OPS[name].attrs.items())
               if OPS[name].until == len(RELEASES) - 1 and entry[1] < OPS[name].until)
    return op, row


def test_an_op_is_known_from_its_first_release_to_its_last():
    op, _ = _removed()
    made = Made().placeholder('x').node('gone', op)
    since, until = OPS[op].since, OPS[op].until
    for place, release in enumerate(RELEASES):
        check = ops_of(made, _op_table.short(release))
        known = since <= place <= until
        assert (check.status == 'ok') is known, release
        if not known:
            assert 'op ' + op in check.text
            assert 'op {}: TensorFlow {} to {} (node gone)'.format(
                op, _op_table.short(RELEASES[since]), _op_table.short(RELEASES[until])) in check.details


def test_an_attribute_is_known_from_its_first_release_to_its_last():
    _, (op, attr, until) = _removed()
    made = Made().placeholder('x').node('old', op)
    made.change('old').attr[attr].i = 1
    for place, release in enumerate(RELEASES):
        check = ops_of(made, _op_table.short(release))
        known = OPS[op].attrs[attr][0] <= place <= until and OPS[op].since <= place
        assert (check.status == 'ok') is known, release
        if place > until:
            assert any(line.startswith('attribute {} of {}: TensorFlow '.format(attr, op)) for line in check.details)


def test_without_a_target_the_first_release_that_knows_all_is_told():
    made = Made().placeholder('x').node('y', 'NonMaxSuppressionV3', ['x'] * 5).node('z', 'AddV2', ['x', 'x'])
    latest = max(OPS[op].since for op in ('Placeholder', 'NonMaxSuppressionV3', 'AddV2'))
    text = _portability._ops('frozen graph', made.graph_def, None).text
    assert text == 'TensorFlow {} and later know all of them'.format(_op_table.short(RELEASES[latest]))
    check = _portability._ops('frozen graph', Made().placeholder('x').graph_def, None)
    assert check.status == 'ok' and 'is the oldest in the table' in check.text


def test_an_op_of_ones_own_is_a_note_and_for_a_target_wrong():
    made = Made().placeholder('x').node('mine', 'MyCompanysRelu', ['x'])
    check = _portability._ops('frozen graph', made.graph_def, None)
    assert check.status == 'note' and check.details == ('op MyCompanysRelu (node mine)',)
    assert ops_of(made, '1.12').status == 'wrong'
    function = made.graph_def.library.function.add()
    function.signature.name = 'MyCompanysRelu'  # a function of that name makes it none
    assert ops_of(made, '1.12').status == 'ok'


@pytest.mark.parametrize('text, release', [
    ('1.12', '1.12'), ('1.12.3', '1.12'), (' 1.13 ', '1.13'), ('1.15.rc1', '1.15'), ('1.12.0.0', '1.12'),
    ('1.12.0.post1', '1.12'), ('1.15.5+nv23.3', '1.15')])
def test_a_release_is_meant_whatever_its_patch(text, release):
    assert _op_table.short(_portability.known_release(text)) == release


@pytest.mark.parametrize('text', ['1', '1.2', '12', '1.12..0', '3.0', '', '1.12-', 'x1.12'])
def test_what_is_no_release_of_the_table_is_refused(text):
    with pytest.raises(_errors.UsageError, match='the table of ops has TensorFlow 1.4 to'):
        _portability.known_release(text)


@pytest.mark.parametrize('device, status', [
    ('', 'ok'), ('/cpu:0', 'note'), ('/device:CPU:0', 'note'), ('/job:localhost/replica:0/task:0/device:CPU:0', 'note'),
    ('/device:CPU:*', 'note'), ('/device:CPU:1', 'wrong'), ('/gpu:0', 'wrong'), ('/device:GPU:0', 'wrong'),
    ('/job:worker/device:CPU:0', 'wrong'), ('/job:localhost/task:1/device:CPU:0', 'wrong'), ('/device:TPU:0', 'wrong'),
    ('/device:CPU:0/x', 'wrong'), ('/job:localhost', 'wrong')])
def test_a_device_is_bound_unless_every_machine_has_it(device, status):
    made = Made().placeholder('x').node('y', 'Neg', ['x'], T=FLOAT)
    made.change('y').device = device
    assert _portability._devices('SavedModel', made.graph_def).status == status


def test_first_dimensions_are_the_batch():
    from tensorflow.core.protobuf import meta_graph_pb2

    class Servable:  # what it is asked for: a signature
        signature = meta_graph_pb2.SignatureDef()
    for name in ('boxes', 'scores'):
        Servable.signature.outputs[name].tensor_shape.dim.add(size=-1)

    def told(**dims):
        run = _outputs.Run(_outputs.OFF, 2, 'image_tensor')
        run.first_dims = dims
        return _portability.first_dimensions(Servable, [run])
    assert told(boxes={2}, scores={2}).status == 'ok'
    check = told(boxes={2}, scores={2, 300})
    assert check.status == 'wrong' and check.details == ('scores: a batch of 2 gives 300 rows',)
    assert told(boxes={None}).details == ('boxes: a batch of 2 gives a scalar',)
    assert _portability.first_dimensions(Servable, []).status == 'not checked'
    Servable.signature.outputs['scores'].tensor_shape.ClearField('dim')
    assert told(boxes={2}).details == ('scores: a scalar',)
    Servable.signature.outputs['scores'].tensor_shape.unknown_rank = True
    assert told(boxes={2}).status == 'ok'


# all of it, small -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A function from averages (or None) to a fresh copy of a small export and its trained checkpoint's prefix."""
    made = {}

    def get(averages=None, exported_averages=False, **given):
        key = (str(averages), exported_averages, tuple(sorted(given.items())))
        if key not in made:
            folder = tmp_path_factory.mktemp('small') / 'export'
            folder.mkdir()
            made[key] = small.export(str(folder), averages if exported_averages else None, averages, **given)
        copy = str(tmp_path_factory.mktemp('copy') / 'export')
        shutil.copytree(made[key][0], copy)
        return copy, made[key][1]
    return get


MEANS = {'weights': small.WEIGHTS + np.float32(0.5), 'bias': small.BIAS * 2}


def config_of(folder, averages):
    path = os.path.join(os.path.dirname(folder), 'pipeline.config')
    with open(path, 'w') as file:
        file.write('eval_config {{ use_moving_averages: {} }}'.format(averages))
    return path


def told(answer):
    return {(check.part, check.name): check for check in answer.checks}


def test_a_small_export_is_proved(exported):
    folder, trained = exported()
    here = '.'.join(_tensorflow.versions()[0].split('.')[:2])
    answer = proof.verify(folder, checkpoint=trained, target_tf=here)
    assert answer.verdict == 'the same' and answer.exit_code == 0
    checks = told(answer)
    assert {check.status for name, check in checks.items()} == {'ok'}, answer.checks
    assert checks['weights', 'SavedModel = model.ckpt'].text == 'all 2 variables are equal bit for bit'
    text = checks['weights', 'SavedModel = checkpoint'].text
    assert text == 'all 2 variables are the weights of {}, bit for bit'.format(trained)
    assert [(run.mode, run.batch, run.images) for run in answer.runs] == [
        ('unoptimized', 1, 2), ('unoptimized', 2, 2), ('defaults', 1, 2), ('defaults', 2, 2)]


@pytest.mark.parametrize('meant', ['true', 'false', None])
@pytest.mark.parametrize('held', [True, False])
def test_averages_and_raw_weights_are_told_apart(exported, meant, held):
    folder, trained = exported(MEANS, held)
    answer = proof.verify(folder, checkpoint=trained, quick=True,
                          pipeline_config=meant and config_of(folder, meant))
    check = told(answer)['weights', 'SavedModel = checkpoint']
    words = {True: 'moving averages', False: 'raw weights'}
    if meant is None:
        assert check.status == 'note' and 'all 2 variables are its {}'.format(words[held]) in check.text
        assert '--config says which are meant' in check.text
    elif (meant == 'true') == held:
        assert check.status == 'ok' and check.text.startswith('all 2 variables are the {} of'.format(words[held]))
    else:
        assert check.status == 'wrong' and 'these are the {}, and the {} are asked for'.format(
            words[held], words[not held]) in check.text


def test_averages_that_are_asked_for_and_are_not_there_are_missed(exported):
    folder, trained = exported()
    answer = proof.verify(folder, checkpoint=trained, quick=True, pipeline_config=config_of(folder, 'true'))
    check = told(answer)['weights', 'SavedModel = checkpoint']
    assert check.status == 'wrong' and check.text.endswith('and {} holds none'.format(trained))


def test_averages_that_equal_the_weights_are_either(exported):
    folder, trained = exported({'weights': small.WEIGHTS, 'bias': small.BIAS})
    check = told(proof.verify(folder, checkpoint=trained, quick=True))['weights', 'SavedModel = checkpoint']
    assert check.status == 'ok' and check.text == 'all 2 variables are its raw weights, which equal its moving averages'


def test_a_checkpoint_of_another_model_has_no_variable_in_common(exported, tmp_path):
    folder, _ = exported()
    checkpoints.write_v2(str(tmp_path / 'other.ckpt'), {'elsewhere': small.BIAS})
    check = told(proof.verify(folder, checkpoint=str(tmp_path / 'other.ckpt'), quick=True))[
        'weights', 'SavedModel = checkpoint']
    assert check.status == 'wrong' and 'is of another model' in check.text


def test_a_checkpoint_that_lacks_a_variable_is_not_what_was_exported(exported, tmp_path):
    folder, _ = exported()
    checkpoints.write_v2(str(tmp_path / 'part.ckpt'), {'bias': small.BIAS})
    check = told(proof.verify(folder, checkpoint=str(tmp_path / 'part.ckpt'), quick=True))[
        'weights', 'SavedModel = checkpoint']
    assert check.status == 'wrong' and check.text.startswith('1 variable is not in') and check.details == ('weights',)


def test_a_transposed_weight_is_told_by_its_shape(exported):
    folder, trained = exported()
    with defects.bundle(os.path.join(folder, 'model.ckpt')) as values:
        values['weights'] = values['weights'].reshape(3, 2)
    checks = told(proof.verify(folder, checkpoint=trained, quick=True))
    for name in ('SavedModel = model.ckpt', 'frozen graph = model.ckpt'):
        assert checks['weights', name].status == 'wrong'
        assert checks['weights', name].details == ('weights: float [2, 3] against float [3, 2]',)
    assert checks['weights', 'SavedModel = checkpoint'].status == 'ok'


def test_a_constant_that_was_folded_away_is_a_note_and_a_variable_that_is_not_there_is_wrong(exported):
    folder, trained = exported()
    with defects.frozen_graph(folder) as graph_def:
        for node in graph_def.node:
            node.name = 'elsewhere' if node.name == 'bias' else node.name
            for index, text in enumerate(node.input):
                node.input[index] = 'elsewhere' if text == 'bias' else text
    check = told(proof.verify(folder, checkpoint=trained, quick=True))['weights', 'frozen graph = model.ckpt']
    assert check.status == 'note' and check.details == ('bias',)
    with defects.bundle(os.path.join(folder, 'model.ckpt')) as values:
        del values['bias']
    check = told(proof.verify(folder, checkpoint=trained, quick=True))['weights', 'SavedModel = model.ckpt']
    assert check.status == 'wrong' and check.details == ('bias',)


def test_a_fixed_batch_is_run_in_batches_of_that_size(exported):
    folder, trained = exported(shape=(2, 24, 32, 3))
    answer = proof.verify(folder, checkpoint=trained)
    checks = told(answer)
    assert checks['outputs', 'batch of 2'].status == 'not checked'
    assert [(run.mode, run.batch, run.images) for run in answer.runs] == [('unoptimized', 2, 2), ('defaults', 2, 2)]
    assert not answer.wrong


@pytest.mark.parametrize('other', [
    np.zeros((1, 2), 'i4'), np.zeros((2, 1), 'f4'), np.zeros((1, 2), 'f8'), np.zeros((1, 1), 'f8')],
    ids=lambda array: '{}{}'.format(array.dtype, array.shape))
def test_an_output_of_another_type_or_shape_is_not_the_same(other):
    one = dict(_outputs_of(detections(4, 3)), raw_boxes=np.zeros((1, 2), 'f4'))
    run, check = _run(_outputs.OFF, one, dict(one, raw_boxes=other))
    assert check.status == 'wrong' and [line.split(':')[0] for line in check.details] == ['raw_boxes']
    assert not {row.name: row for row in run.rows}['raw_boxes'].equal
    _, check = _run(_outputs.OFF, one, dict(one, raw_boxes=one['raw_boxes'].copy()))
    assert check.status == 'ok'


def test_not_a_number_beside_itself_is_no_difference():
    one = dict(_outputs_of(detections(4, 3)), raw_boxes=np.array([[np.nan, 1.0, np.inf]], 'f4'))
    run, _ = _run(_outputs.OFF, one, dict(one, raw_boxes=np.array([[np.nan, 2.0, np.inf]], 'f4')))
    row, = [row for row in run.rows if row.name == 'raw_boxes']
    assert (row.differing, row.elements, row.largest) == (1, 3, 1.0)


def test_where_neither_kind_of_weights_is_held_the_nearer_is_named(exported):
    for held, kind in ((False, 'raw weights'), (True, 'moving averages')):
        folder, trained = exported(MEANS, held)
        with defects.bundle(defects.variables(folder)) as values:
            values['bias'] = values['bias'] + np.float32(3)
        check = told(proof.verify(folder, checkpoint=trained, quick=True))['weights', 'SavedModel = checkpoint']
        assert check.status == 'wrong' and check.text == '1 of 2 variables differ from its {}'.format(kind)


def test_a_constant_that_is_called_like_a_tensor_of_the_checkpoint_is_no_variable(exported):
    folder, trained = exported()
    with defects.frozen_graph(folder) as graph_def:
        name = next(node.name for node in graph_def.node if node.op == 'Const' and node.name not in ('weights', 'bias'))
    with defects.bundle(os.path.join(folder, 'model.ckpt')) as values:
        values[name] = np.float32([1234])
    check = told(proof.verify(folder, checkpoint=trained, quick=True))['weights', 'frozen graph = model.ckpt']
    assert check.status == 'ok' and check.text == 'all 2 variables are equal bit for bit'


def test_images_that_are_left_out_are_told(exported, tmp_path):
    from PIL import Image
    folder, _ = exported()
    for name in 'ab':
        Image.fromarray(np.full((8, 8, 3), 9, 'u1')).save(str(tmp_path / (name + '.png')))
    answer = proof.verify(folder, images=[str(tmp_path)], most_images=1)
    assert told(answer)['outputs', 'images'].text == 'the first 1 of 2 images'
    assert ('outputs', 'images') not in told(proof.verify(folder, images=[str(tmp_path)], most_images=2))


def test_with_the_defaults_what_is_paired_counts_and_not_what_it_was_made_of():
    one = dict(_outputs_of(detections(4, 3)), raw_boxes=np.zeros((1, 2), 'f4'))
    other = dict(one, raw_boxes=np.full((1, 2), 5, 'f4'), detection_scores=one['detection_scores'] - np.float32(1e-6))
    _, check = _run(_outputs.DEFAULTS, one, other)
    assert check.status == 'ok' and check.text.startswith('only the last digits differ')
    assert any(line.startswith('raw_boxes: by 5 at most') for line in check.details)


def test_a_signature_that_fails_is_named_whichever_it_is():
    from od_patch.graphs import _models
    values = [{'a': np.zeros(1)}]
    for found, name in (({'other': _models.Failure('words'), 'default': values}, 'other'),
                        ({'other': values, 'default': _models.Failure('words')}, 'default')):
        check = _outputs._judge_signature('other', 'default', found)
        assert check.status == 'wrong' and check.text == name + ' fails: words'


def test_memory_that_runs_out_is_no_fault_of_the_model():
    with pytest.raises(MemoryError):
        with _models._failures():
            raise MemoryError
    with pytest.raises(_models.Failure, match='KeyError: .gone.'):
        with _models._failures():
            raise KeyError('gone')


def test_a_constant_whose_bytes_do_not_fit_its_shape_is_told_by_its_name():
    from tests.compare.written import Made
    made = Made().const('layer/weights', [1, 2, 3])
    made.change('layer/weights').attr['value'].tensor.tensor_content = b'too short'
    constants = _variables.Constants(made.graph_def, 'frozen graph')
    with pytest.raises(_variables._Unreadable, match='layer/weights of the frozen graph cannot be read'):
        constants.get('layer/weights')
