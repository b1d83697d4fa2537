"""Pairs of graphs that differ and that rules once called equivalent, and files that once were lost."""
import collections
import json

import numpy as np
import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import cli  # noqa: E402
from od_patch.compare import _equivalence  # noqa: E402
from od_patch.compare import _folding  # noqa: E402
from od_patch.regenerate import _installed  # noqa: E402
from od_patch.compare import _verdict  # noqa: E402
from od_patch.graphs import _freezing  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.test_bad_input import od_patch  # noqa: E402
from tests.compare.written import BOOL, FLOAT, INT32, Made  # noqa: E402


def equal(one, other, outputs=None):
    return _equivalence.Equivalence(*(graphs.graph_of(made.graph_def, outputs) for made in (one, other))).equal


def softmax(shared=None, waits=None):
    """The flattened softmax of TF <= 1.10; ``shared``: whether a second output reads the flat one or a plain one."""
    made = Made().placeholder('x0').const('s', [2, 3, 4], np.int32).node('x', 'Reshape', ['x0', 's'], T=FLOAT)
    made.node('shape', 'Shape', ['x'], T=FLOAT).const('one', 1, np.int32).node('rank', 'Rank', ['x'], T=FLOAT)
    made.node('before', 'Sub', ['rank', 'one'], T=INT32).node('begin', 'Pack', ['before'], T=INT32, N=1)
    made.const('size', [1], np.int32).node('last', 'Slice', ['shape', 'begin', 'size'], T=INT32, Index=INT32)
    made.const('minus', [-1], np.int32).const('axis', 0, np.int32)
    made.node('flatter', 'ConcatV2', ['minus', 'last', 'axis'], T=INT32, Tidx=INT32, N=2)
    made.node('flat', 'Reshape', ['x', 'flatter'], T=FLOAT, Tshape=INT32).node('sm', 'Softmax', ['flat'], T=FLOAT)
    made.node('o1', 'Reshape', ['sm', 'shape'], T=FLOAT, Tshape=INT32)
    if shared is not None:
        made.node('plain', 'Softmax', ['x'], T=FLOAT).node('o2', 'Neg', ['sm' if shared else 'plain'], T=FLOAT)
    if waits:
        made.placeholder('p', BOOL).node('fine', 'Assert', ['p', 'p'])
        made.graph_def.node[-1].attr['T'].list.type.append(BOOL)
        made.change(waits).input.append('^fine')
    return made


def test_what_else_reads_a_flat_softmax_keeps_it():
    assert not equal(softmax(shared=True), softmax(shared=False), ['o1', 'o2'])
    assert equal(softmax(), Made().placeholder('x0').const('s', [2, 3, 4], np.int32).node(
        'x', 'Reshape', ['x0', 's'], T=FLOAT).node('o1', 'Softmax', ['x'], T=FLOAT), ['o1'])


@pytest.mark.parametrize('waits', ['o1', 'flat', 'sm', 'shape', 'flatter'])
def test_a_softmax_that_waits_for_an_assert_goes_on_waiting(waits):
    assert not equal(softmax(waits=waits), softmax(), ['o1'])


def padded(waits=None):
    made = Made().placeholder('boxes').placeholder('scores').placeholder('more', INT32).placeholder('else')
    made.const('most', 5, np.int32).node('nms', 'NonMaxSuppressionV2', ['boxes', 'scores', 'most', 'iou'])
    made.const('iou', 0.5).const('zero', 0, np.int32).const('one', 1, np.int32).const('pad', 0.0)
    made.node('values', 'GatherV2', ['scores', 'nms', 'zero'], Tparams=FLOAT, Tindices=INT32, Taxis=INT32)
    made.node('fill', 'Fill', ['more', 'pad'], T=FLOAT)
    made.node('padded', 'ConcatV2', ['values', 'fill', 'zero'], T=FLOAT, Tidx=INT32, N=2)
    made.placeholder('length', INT32).node('steps', 'Range', ['zero', 'length', 'one'], Tidx=INT32)
    made.const('b', [0], np.int32).const('e', [1], np.int32).node('shape', 'Shape', ['nms'], T=INT32)
    made.node('count', 'StridedSlice', ['shape', 'b', 'e', 'e'], T=INT32, Index=INT32, shrink_axis_mask=1)
    made.node('mask', 'Less', ['steps', 'count'], T=INT32).node('out', 'Select', ['mask', 'padded', 'else'], T=FLOAT)
    made.placeholder('p', BOOL).node('kept', 'Identity', ['p'], T=BOOL)  # so that both have the same inputs
    if waits:
        made.node('fine', 'Assert', ['p', 'p'])
        made.graph_def.node[-1].attr['T'].list.type.append(BOOL)
        made.change(waits).input.append('^fine')
    return made


@pytest.mark.parametrize('waits', ['padded', 'values', 'fill'])
def test_padding_that_waits_for_an_assert_goes_on_waiting(waits):
    assert not equal(padded(waits), padded(), ['kept', 'out'])


def sides(kind, swapped):
    """A Merge of two Consts, or of two things that read them, where only what they wait for says which is alive."""
    made = Made().placeholder('p', BOOL).placeholder('x').placeholder('y').node('s', 'Switch', ['x', 'p'], T=FLOAT)
    for side, port in (('yes', 's:1'), ('no', 's:0')):
        made.node('pivot ' + side, 'Identity', [port], T=FLOAT)
        if kind == 'Neg':
            made.node(side, 'Neg', [port], T=FLOAT)
        elif kind == 'Const':
            made.const(side, 7.0, controls=['^pivot ' + side])
        elif kind == 'NoOp':
            made.node(side, 'NoOp', ['^pivot ' + side])
        else:
            made.node(side, 'Identity', [port], T=FLOAT)
    first, second = [['^' + side] for side in (('no', 'yes') if swapped else ('yes', 'no'))]
    if kind == 'Mul':
        made.const('a', 1.0, controls=first).const('b', 1.0, controls=second)
        made.node('one', 'Mul', ['x', 'a'], T=FLOAT).node('other', 'Mul', ['y', 'b'], T=FLOAT)
    elif kind == 'Transpose':
        made.const('shape', [2, 2], np.int32)
        for name, source, const, row in (('one', 'x', 'a', first), ('other', 'y', 'b', second)):
            made.const(const, [1, 0], np.int32, row).node(source + '2', 'Reshape', [source, 'shape'], T=FLOAT)
            made.node(name, 'Transpose', [source + '2', const], T=FLOAT, Tperm=INT32)
    else:
        made.const('one', 1.0, controls=first).const('other', 2.0, controls=second)
    return made.node('out', 'Merge', ['one', 'other'], T=FLOAT, N=2)


@pytest.mark.parametrize('kind', ['Identity', 'Neg', 'Const', 'NoOp', 'Mul', 'Transpose'])
def test_a_const_that_is_dead_on_one_side_stays_on_that_side(kind):
    assert not equal(sides(kind, False), sides(kind, True), ['out'])
    assert equal(sides(kind, False), sides(kind, False), ['out'])


def test_a_permutation_says_the_rank_of_what_it_takes():
    def build(length):
        made = Made().placeholder('x').const('perm', list(range(length))[::-1], np.int32)
        return made.node('out', 'Transpose', ['x', 'perm'], T=FLOAT, Tperm=INT32)
    assert not equal(build(2), build(3), ['out'])


def test_gather_of_constants_is_worked_out_along_an_axis_only():
    def build(dims):
        made = Made().const('c', [[1, 2, 3], [4, 5, 6]], np.int32).const('i', [[0], [2]], np.int32)
        made.const('axis', 1, np.int32)
        made.node('g', 'GatherV2', ['c', 'i', 'axis'], Tparams=INT32, Tindices=INT32, Taxis=INT32, batch_dims=dims)
        return made.node('out', 'Neg', ['g'], T=INT32)
    assert not equal(build(1), build(0), ['out'])


def test_a_place_below_zero_is_not_counted_from_the_end():
    def build(place):
        made = Made().const('c', [1, 2, 3], np.int32).const('i', [place], np.int32).const('axis', 0, np.int32)
        return made.node('out', 'GatherV2', ['c', 'i', 'axis'], Tparams=INT32, Tindices=INT32, Taxis=INT32)
    assert not equal(build(-1), build(2), ['out'])


def loop(spare, port=''):
    made = Made().const('z', 0, np.int32).const('n', 3, np.int32)
    for v in 'ci' if spare else 'i':
        made.node('e' + v, 'Enter', ['z'], T=INT32, frame_name=b'f')
        made.node('m' + v, 'Merge', ['e' + v, 'n' + v], T=INT32, N=2)
        made.node('s' + v, 'Switch', ['m' + v, 'cond'], T=INT32).node('id' + v, 'Identity', ['s%s:1' % v], T=INT32)
        made.const('one' + v, 1, np.int32, ['^id' + v]).node('a' + v, 'Add', ['s%s:1' % v, 'one' + v], T=INT32)
        made.node('n' + v, 'NextIteration', ['a' + v], T=INT32)
    made.node('en', 'Enter', ['n'], T=INT32, frame_name=b'f', is_constant=True)
    made.node('l2', 'Less', ['mi' + port, 'en'], T=INT32)
    if spare:
        made.node('l1', 'Less', ['mc', 'en'], T=INT32).node('and', 'LogicalAnd', ['l1', 'l2'])
    return made.node('cond', 'LoopCond', ['and' if spare else 'l2']).node('out', 'Exit', ['si'], T=INT32)


def test_the_second_output_of_a_merge_is_no_counter():
    assert equal(loop(True), loop(False), ['out'])
    assert not equal(loop(True, ':1'), loop(False, ':1'), ['out'])


@pytest.mark.parametrize('delta', [1, 0])
def test_a_long_range_is_not_written_out(delta, monkeypatch):
    made = Made().const('a', 0, np.int32).const('b', 6 * 10 ** 8, np.int32).const('d', delta, np.int32)
    made.node('out', 'Range', ['a', 'b', 'd'], Tidx=INT32)
    monkeypatch.setattr(np, 'arange', lambda *_, **__: pytest.fail('written out'))
    graph = graphs.graph_of(made.graph_def, ['out'])
    assert _folding.evaluate(graph, graph.names.index('out')) is None


def test_a_broadcast_that_grows_is_not_written_out(monkeypatch):
    made = Made().const('a', np.zeros((30000, 1)), np.int32).const('b', np.zeros((1, 30000)), np.int32)
    made.node('out', 'Mul', ['a', 'b'], T=INT32)
    monkeypatch.setitem(_folding.ARITHMETIC, 'Mul', lambda *_: pytest.fail('written out'))
    graph = graphs.graph_of(made.graph_def, ['out'])
    assert _folding.evaluate(graph, graph.names.index('out')) is None


@pytest.mark.parametrize('op', ['ResourceGather', 'Enter'])
def test_what_takes_a_variable_itself_is_not_frozen(op, monkeypatch):
    made = Made().node('v', 'VarHandleOp', dtype=FLOAT).node('out', op, ['v'])
    reader = collections.namedtuple('Reader', 'get_variable_to_shape_map get_tensor')
    monkeypatch.setattr(_freezing, 'reader', lambda prefix, where: reader(
        lambda: {'v': [2]}, lambda key: np.zeros(2, 'f4')))
    with pytest.raises(_errors.InputRefused, match='takes the variable'):
        _freezing.freeze(made.graph_def, 'model.ckpt', ['out:0'], 'a model')
    made = Made().node('v', 'VarHandleOp', dtype=FLOAT).node('out', 'ReadVariableOp', ['v'], dtype=FLOAT)
    assert len(_freezing.freeze(made.graph_def, 'model.ckpt', ['out:0'], 'a model').node) == 2


def test_nms_without_soft_sigma_is_listed_where_only_the_boxes_are_read():
    def build(op):
        made = Made().placeholder('boxes').placeholder('scores').const('most', 5, np.int32)
        made.const('iou', 0.5).const('least', 0.1).const('sigma', 0.0)
        inputs = ['boxes', 'scores', 'most', 'iou', 'least'] + ['sigma'] * (op[-1] == '5')
        return made.node('nms', op, inputs, T=FLOAT).node('out', 'Neg', ['nms'], T=INT32)
    result = _equivalence.Equivalence(*(graphs.graph_of(build('NonMaxSuppressionV' + version).graph_def, ['out'])
                                        for version in '53'))
    assert result.equal and 'NMS without soft sigma' in result.rules


@pytest.fixture
def files(tmp_path):
    one, other = graphs.detector(), graphs.detector()
    other.node[0].attr['_hint'].s = b'x'
    return [graphs.write(tmp_path / name, graph_def) for name, graph_def in (('a.pb', one), ('b.pb', other))]


def refused(*arguments):
    code, _, err = od_patch('compare', *arguments)
    return code == 2 and 'Traceback' not in err and ('is there already' in err or 'never written over' in err)


def test_no_file_that_is_there_is_written_over(files, tmp_path):
    before = [open(path, 'rb').read() for path in files]
    for flag in '--canonical', '--html':
        assert refused(files[0], files[1], flag, files[1])
        assert refused(files[0], files[1], flag, files[0], '--overwrite')
    assert refused(files[0], '--canonical', files[0])
    assert [open(path, 'rb').read() for path in files] == before
    own = tmp_path / 'own.b.pb'
    own.write_bytes(b'mine')
    assert refused(files[0], files[1], '--canonical', tmp_path / 'own.pb')
    assert own.read_bytes() == b'mine' and not (tmp_path / 'own.pb').exists()
    code, _, err = od_patch('compare', files[0], files[1], '--canonical', own, '--overwrite')
    assert code == 0 and own.read_bytes() != b'mine', err


def test_a_directory_in_the_way_is_found_before_the_export(tmp_path, monkeypatch):
    monkeypatch.setattr(_installed, 'export', lambda *_: pytest.fail('exported'))
    with pytest.raises(_errors.InputRefused, match='is there already'):
        _installed.regenerate('model.ckpt', 'pipeline.config', 'a.pb', False, str(tmp_path), None)


def test_a_removed_export_is_not_shown(tmp_path, monkeypatch):
    source = collections.namedtuple('Source', 'path')
    answer = collections.namedtuple('Answer', 'sources exit_code causes')

    class Mutable:
        path = 'export0'
    monkeypatch.setattr(_installed, 'export', lambda *_: None)
    monkeypatch.setattr(_verdict, 'compare', lambda *_, **__: answer((source('a'), Mutable()), 0, []))
    monkeypatch.setattr(_installed, 'adjustments', lambda *_: ({}, '', []))
    attempt, = _installed.regenerate('model.ckpt', 'pipeline.config', 'a.pb', False, None, None)
    assert attempt.folder is None and attempt.answer.sources[1].path == 'the new export'


def test_a_defect_of_ours_is_trouble_and_not_a_difference(monkeypatch):
    monkeypatch.setattr(cli, '_import_tensorflow_quietly', lambda: None)

    @cli._questions
    def broken():
        return json.loads(None)
    with pytest.raises(_errors.ODPatchError, match='defect of od-patch') as caught:
        broken()
    assert caught.value.exit_code == 2 and 'OD_PATCH_TRACEBACK' in caught.value.remedy


@pytest.mark.parametrize('name', ['out:x', 'out:', ':0', 'out:-1', '^out'])
def test_outputs_that_name_nothing_are_refused(name, files):
    code, _, err = od_patch('compare', files[0], files[1], '--outputs', name)
    assert code == 2 and 'names no output' in err and 'Traceback' not in err
