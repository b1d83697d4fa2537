"""What two graphs must agree in to be identical, what may differ; and outputs that only one of them has."""
import pytest

pytest.importorskip('tensorflow')

from od_patch.compare import _equivalence  # noqa: E402
from od_patch.compare import _verdict  # noqa: E402
from od_patch.graphs import _graph  # noqa: E402
from od_patch.graphs import _sources  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.compare.written import BOOL, FLOAT, Made  # noqa: E402

pytestmark = pytest.mark.once


def base():
    made = Made().placeholder('x').placeholder('y').placeholder('p', BOOL).const('k', [1., 2.])
    made.node('s', 'Switch', ['x', 'p'], T=FLOAT).node('a', 'Add', ['s', 'y'], T=FLOAT)
    made.node('b', 'Mul', ['a', 'k', '^p', '^y'], T=FLOAT).node('spare', 'Neg', ['x'], T=FLOAT)
    return made.node('out', 'Sum', ['b', 'k'], T=FLOAT, keep_dims=False)


def setter(name, **fields):
    def change(made):
        for key, value in fields.items():
            node = made.change(name)
            if key == 'input':
                del node.input[:]
                node.input.extend(value)
            else:
                setattr(node, key, value)
    return change


def renamed(made):
    for node in made.graph_def.node:
        node.name = 'other' if node.name == 'spare' else node.name


DIFFERENT = {
    'another op': setter('spare', op='Abs'),
    'a node more': lambda made: made.node('more', 'Neg', ['x'], T=FLOAT),
    'a node less': lambda made: made.graph_def.node.remove(made.change('spare')),
    'another name': renamed,
    'another source': setter('a', input=['s', 'x']),
    'inputs exchanged': setter('a', input=['y', 's']),
    'another output of the source': setter('a', input=['s:1', 'y']),
    'an input more': setter('spare', input=['x', 'y']),
    'another control input': setter('b', input=['a', 'k', '^p', '^x']),
    'a control input more': setter('b', input=['a', 'k', '^p', '^y', '^x']),
    'a control input less': setter('b', input=['a', 'k', '^p']),
    'an attribute': lambda made: setattr(made.change('out').attr['keep_dims'], 'b', True),
    'an attribute that is not written': lambda made: made.change('out').attr.pop('keep_dims'),
    'a hint': lambda made: setattr(made.change('out').attr['_hint'], 's', b'x'),
    'a value': lambda made: (made.graph_def.node.remove(made.change('k')), made.const('k', [1., 3.])),
    'a shape': lambda made: (made.graph_def.node.remove(made.change('k')), made.const('k', [[1., 2.]])),
}


def reordered(made):
    nodes = list(made.graph_def.node)[::-1]
    del made.graph_def.node[:]
    made.graph_def.node.extend(nodes)


SAME = {
    'order': reordered,
    'order of control inputs': setter('b', input=['a', 'k', '^y', '^p']),
    'device': setter('a', device='/cpu:0'),
    'versions': lambda made: setattr(made.graph_def.versions, 'producer', 99),
}


def identical(change, outputs=('out',)):
    one, other = base(), base()
    change(other)
    left, right = [_graph.build(made.graph_def, 'a graph', [(name, name) for name in outputs]) for made in (one, other)]
    found = {_equivalence.identical(left, right), _equivalence.identical(right, left)}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize('why', sorted(DIFFERENT))
def test_graphs_with_a_difference_are_not_identical(why):
    assert not identical(DIFFERENT[why])


@pytest.mark.parametrize('why', sorted(SAME))
def test_the_way_a_graph_is_written_down_is_no_difference(why):
    assert identical(SAME[why])


def signed(outputs=(('boxes', 'out:0'),), inputs=(('a', 'x:0'), ('b', 'y:0'))):
    return _sources.Source('a graph', 'graph.pb', 'SavedModel', base().graph_def, list(outputs),
                           inputs=None if inputs is None else list(inputs)).graph()


@pytest.mark.parametrize('changed', [
    dict(outputs=[('scores', 'out:0')]), dict(outputs=[('boxes', 'b:0')]), dict(outputs=[('boxes', 's:1')]),
    dict(outputs=[('boxes', 'out:0'), ('more', 'b:0')]), dict(inputs=[('a', 'y:0'), ('b', 'x:0')]),
    dict(inputs=[('c', 'x:0'), ('b', 'y:0')]), dict(inputs=[('a', 'x:0')])], ids=str)
def test_another_signature_is_a_difference(changed):
    assert not _equivalence.identical(signed(), signed(**changed))
    assert _equivalence.identical(signed(), signed())


def test_an_output_of_another_port_is_a_difference():
    assert not _equivalence.identical(signed(outputs=[('boxes', 's:0')]), signed(outputs=[('boxes', 's:1')]))


def test_a_frozen_graph_without_a_signature_is_compared_without_one():
    assert _equivalence.identical(signed(), signed(inputs=None))
    assert _equivalence.identical(signed(inputs=None), signed())


def outputs(*names):
    made = Made().placeholder('x')
    for name, op in (('boxes', 'Neg'), ('scores', 'Exp'), ('more', 'Abs')):
        if name in names:
            made.node(name, op, ['x'], T=FLOAT)
    return _sources.Source('a graph', 'graph.pb', 'SavedModel', made.graph_def,
                           [(name, name + ':0') for name in names]).graph()


@pytest.mark.parametrize('left, right', [
    (('boxes', 'scores'), ('boxes', 'scores', 'more')), (('boxes', 'scores', 'more'), ('boxes', 'scores')),
    (('boxes', 'more'), ('boxes', 'scores')), (('boxes',), ('scores',))])
def test_outputs_that_one_graph_has_not_are_a_difference_where_all_others_are_equal(left, right):
    result = _equivalence.Equivalence(outputs(*left), outputs(*right))
    assert not result.equal
    assert result.structure_equal == bool(set(left) & set(right))
    assert list(result.outputs_left) == sorted(set(left) - set(right))
    assert list(result.outputs_right) == sorted(set(right) - set(left))


def test_an_output_more_is_named_as_the_cause(tmp_path):
    def write(name, more):
        made = Made().placeholder('image_tensor').node('detection_boxes', 'Neg', ['image_tensor'], T=FLOAT)
        if more:
            made.node('raw_detection_boxes', 'Exp', ['image_tensor'], T=FLOAT)
        return graphs.write(tmp_path / name, made.graph_def)
    for one, other in ((True, False), (False, True)):
        answer = _verdict.compare(write('a.pb', one), write('b.pb', other))
        assert answer.verdict not in ('identical', 'equivalent')
        cause, = answer.causes
        assert cause.kind == 'outputs' and 'raw_detection_boxes only in the {}'.format(
            'first' if one else 'second') in cause.title and cause.effect == 'interface'
        assert cause.values == ((['raw_detection_boxes'], []) if one else ([], ['raw_detection_boxes']))
