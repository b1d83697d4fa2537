"""What no TensorFlow loads is equal to nothing; which releases load a graph, and what keeps the others from it."""
import pytest

from od_patch import _tensorflow
from od_patch.compare import _loading
from od_patch.compare import _verdict
from tests.compare import graphs
from tests.compare.test_soundness_graph import FLOAT, INT, made, placeholder, row

tensorflow = pytest.importorskip('tensorflow')


def plain():
    """Every kind of input and output there is: single, N of a type, a list of types; and a few attributes."""
    graph_def = made(
        placeholder('x'), row('k', 'Const', value=2.0), row('mul', 'Mul', 'x', 'k'), row('axis', 'Const', value=0),
        row('add', 'AddN', 'mul', 'x', T=FLOAT, N=2), row('many', 'IdentityN', 'add', 'axis', T=FLOAT),
        row('cast', 'Cast', 'many:1', SrcT=INT, DstT=FLOAT), row('out', 'Add', 'many', 'cast'))
    many = graph_def.node[5]
    many.attr['T'].ClearField('type')
    many.attr['T'].list.type.extend([FLOAT, INT])
    return graph_def


def node(graph_def, name):
    return next(row for row in graph_def.node if row.name == name)


def gone_colocation(graph_def):
    node(graph_def, 'mul').attr['_class'].list.s.append(b'loc:@gone')


def gone_colocation_of_a_dead_node(graph_def):
    graph_def.node.add(name='dead', op='NoOp').attr['_class'].list.s.extend([b'loc:@mul', b'loc:@gone'])


def least_consumer(graph_def):
    graph_def.versions.min_consumer = 99999


def bad_consumers(graph_def):
    graph_def.versions.bad_consumers.extend(range(3000))


def gone_op(graph_def):
    graph_def.versions.producer = 27
    graph_def.node.add(name='old', op='TensorArrayCloseV2', input=['handle'])
    graph_def.node.add(name='handle', op='Const').CopyFrom(node(made(row('handle', 'Const', value=['a'])), 'handle'))


def foreign_attribute(graph_def):
    node(graph_def, 'mul').attr['explicit_paddings'].i = 1


def missing_attribute(graph_def):
    del node(graph_def, 'mul').attr['T']


def attribute_of_another_kind(graph_def):
    node(graph_def, 'mul').attr['T'].s = b'float'


def attribute_that_is_not_allowed(graph_def):
    for name in ('x', 'mul', 'out', 'cast'):
        for attr in set(node(graph_def, name).attr) - {'SrcT'}:
            node(graph_def, name).attr[attr].type = 7  # strings are not multiplied
    node(graph_def, 'k').CopyFrom(node(made(row('k', 'Const', value=b'text')), 'k'))


def too_few(graph_def):
    pool = graph_def.node.add(name='pool', op='MaxPool', input=['x'])
    pool.attr['T'].type = FLOAT
    pool.attr['ksize'].list.i.extend([1, 1, 1])
    pool.attr['strides'].list.i.extend([1, 1, 1, 1])
    pool.attr['padding'].s = b'SAME'


def output_that_is_not_there(graph_def):
    node(graph_def, 'out').input[0] = 'many:2'


def another_type(graph_def):
    node(graph_def, 'out').input[1] = 'axis'


def value_for_a_reference(graph_def):
    assign = graph_def.node.add(name='assign', op='Assign', input=['k', 'k'])
    assign.attr['T'].type = FLOAT


def inputs_after_controls(graph_def):
    mul = node(graph_def, 'mul')
    del mul.input[:]
    mul.input.extend(['x', '^k', 'k'])


def name_that_is_none(graph_def):
    graph_def.node.add(name='a b', op='NoOp')


BROKEN = [
    (gone_colocation, 'to be placed with \'gone\''), (gone_colocation_of_a_dead_node, 'to be placed with \'gone\''),
    (least_consumer, 'versions.min_consumer is 99999'), (bad_consumers, 'versions.bad_consumers'),
    (gone_op, 'is gone since version 26'), (foreign_attribute, 'that no release gave Mul'),
    (missing_attribute, 'without the attribute \'T\''), (attribute_of_another_kind, 'is to be a type, and holds s'),
    (attribute_that_is_not_allowed, 'which no release allows'), (too_few, 'is 3, below the least, 4'),
    (output_that_is_not_there, 'reads output 2 of \'many\', which has 2'), (another_type, 'is to be float'),
    (value_for_a_reference, 'a reference'), (inputs_after_controls, 'must come last'),
    (name_that_is_none, 'no name that a node may have')]


def broken(spoil):
    graph_def = plain()
    spoil(graph_def)
    return graph_def


def loads(graph_def, **options):
    return _loading.of(graph_def, graphs.graph_of(graph_def), **options)


def imported(graph_def):
    tf = _tensorflow.tf1()
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name='')


@pytest.mark.parametrize('spoil, words', BROKEN, ids=[spoil.__name__ for spoil, _ in BROKEN])
def test_what_no_release_loads_is_told_without_any_importer(spoil, words):
    found = loads(broken(spoil), ask_importer=False)
    assert words in found.refusal and found.advice
    assert _loading.told(found) == ('2.8.0 to 2.21.0' if spoil is foreign_attribute else 'none')


@pytest.mark.parametrize('spoil, words', BROKEN, ids=[spoil.__name__ for spoil, _ in BROKEN])
def test_tensorflow_refuses_it_indeed(spoil, words):
    imported(plain())
    if spoil is foreign_attribute and not tensorflow.__version__.startswith('1.'):
        return imported(broken(spoil))  # which warns, and ignores it
    with pytest.raises((ValueError, KeyError, TypeError, _tensorflow.tf1().errors.OpError)):
        imported(broken(spoil))


@pytest.mark.parametrize('spoil, words', BROKEN, ids=[spoil.__name__ for spoil, _ in BROKEN])
def test_what_no_release_loads_is_equal_to_nothing(tmp_path, spoil, words):
    good, bad = graphs.write(tmp_path / 'good.pb', plain()), graphs.write(tmp_path / 'bad.pb', broken(spoil))
    for left, right in ((good, bad), (bad, good), (bad, bad)):
        answer = _verdict.compare(left, right)
        assert answer.verdict == 'not comparable' and answer.exit_code == 1
        which = 'second' if left == good else 'first'
        assert answer.reason.startswith(('No TensorFlow loads the ' + which, 'The {} graph does not'.format(which)))
        assert words in answer.reason
        assert [cause.kind for cause in answer.causes] == ['unloadable'] * (1 + (left == right))


def conflicting():
    """Shapes that do not fit: only an importer that infers shapes can say so."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [2, 3], name='x')
        tf.matmul(x, tf.constant([[1.0], [2.0], [3.0]], name='w'), name='out')
        graph_def = graph.as_graph_def()
    node(graph_def, 'x').attr['shape'].shape.dim[1].size = 4
    return graph_def


@pytest.mark.parametrize('most', [0, 5000])
def test_shapes_that_the_importer_at_hand_refuses_are_equal_to_nothing(tmp_path, monkeypatch, most):
    monkeypatch.setattr(_loading, 'MOST_ASKED', most)  # large graphs are put to it only before they are called equal
    path = graphs.write(tmp_path / 'graph.pb', conflicting())
    again = conflicting()
    node(again, 'w').name = 'v'
    node(again, 'out').input[1] = 'v'
    for other in (path, graphs.write(tmp_path / 'renamed.pb', again)):
        answer = _verdict.compare(path, other)
        assert answer.verdict == 'not comparable' and 'does not load: TensorFlow ' in answer.reason


def test_the_releases_that_load_a_graph_are_told_with_what_keeps_the_others_from_it():
    found = loads(plain())
    assert _loading.told(found) == '1.4.1 to 2.21.0' and not found.why and not found.refusal
    graph_def = plain()
    node(graph_def, 'cast').attr['Truncate'].b = False
    found = loads(graph_def, ask_importer=False)
    assert _loading.told(found) == '1.11.0 to 2.21.0' and found.why == ['it has Cast.Truncate']
    graph_def.versions.bad_consumers.append(119)
    assert _loading.told(loads(graph_def)) == '1.11.0 to 1.15.0, 2.1.0 to 2.21.0'
    graph_def.versions.min_consumer = 120
    assert _loading.told(loads(graph_def)) == '1.15.0, 2.21.0'


def test_hints_that_lead_somewhere_stand_in_nobodys_way(tmp_path):
    graph_def = plain()
    node(graph_def, 'mul').attr['_class'].list.s.extend([b'loc:@x', b'something else'])
    node(graph_def, 'mul').attr['_whatever'].i = 3
    paths = [graphs.write(tmp_path / name, made) for name, made in (('a.pb', plain()), ('b.pb', graph_def))]
    assert _verdict.compare(*paths).verdict == 'equivalent'


def test_what_lost_the_control_inputs_of_its_loops_runs_nowhere_and_is_equal_to_nothing(tmp_path):
    graph_def = graphs.detector()
    stripped = [row for row in graph_def.node if row.op == 'Const' and any('while' in text for text in row.input)]
    assert stripped
    for const in stripped:
        del const.input[:]
    paths = [graphs.write(tmp_path / name, made) for name, made in (('a.pb', graphs.detector()), ('b.pb', graph_def))]
    answer = _verdict.compare(*paths)
    assert answer.verdict == 'not comparable' and 'runs the second graph' in answer.reason
    assert 'remove_control_dependencies' in answer.causes[0].option
    tf = _tensorflow.tf1()
    imported(graph_def)
    with pytest.raises(tf.errors.OpError):
        graphs.run(graph_def, graphs.OUTPUTS, {'image_tensor': graphs.image()})
