"""Whatever cannot be compared is refused in a sentence, with exit code 2 and no traceback."""
import os

import pytest

from tests.compare import graphs
from tests.support import exports

pytestmark = pytest.mark.once

pytest.importorskip('tensorflow')


def od_patch(*arguments, **options):
    """Runs ``od-patch`` as a user does; returns (exit code, stdout, stderr)."""
    return tuple(exports.fork('od_patch.cli', arguments, **options))


@pytest.fixture(scope='module')
def good(tmp_path_factory):
    return graphs.write(tmp_path_factory.mktemp('good') / 'graph.pb', graphs.detector())


def cut(path):
    with open(graphs.write(path, graphs.detector()), 'r+b') as file:
        file.truncate(os.path.getsize(str(path)) * 2 // 3)


def cut_between_nodes(path):
    graph_def = graphs.detector()
    del graph_def.node[len(graph_def.node) // 4:len(graph_def.node) // 2]
    graphs.write(path, graph_def)


def write(data):
    def make(path):
        with open(str(path), 'wb') as file:
            file.write(data)
    return make


def huge(path):
    with open(str(path), 'wb') as file:
        file.truncate(1 << 31)


def cycle(path):
    graph_def = graphs.detector()
    nodes = {node.name: node for node in graph_def.node}
    relu, = [node for node in graph_def.node if node.op == 'Relu6']
    first = nodes[nodes[relu.input[0].split(':')[0]].input[0]]
    first.input[0] = relu.name
    graphs.write(path, graph_def)


def unknown_op(path):
    graph_def = graphs.detector()
    next(node for node in graph_def.node if node.op == 'Relu6').op = 'MyCompanysRelu'
    graphs.write(path, graph_def)


def twice_named(path):
    graph_def = graphs.detector()
    graph_def.node.add().CopyFrom(graph_def.node[3])
    graphs.write(path, graph_def)


def damaged_tensor(path):
    graph_def = graphs.detector()
    node = next(node for node in graph_def.node
                if node.op == 'Const' and len(node.attr['value'].tensor.tensor_content) > 40)
    node.attr['value'].tensor.tensor_content = node.attr['value'].tensor.tensor_content[:-3]
    graphs.write(path, graph_def)


def too_many_inputs(path):
    graph_def = graphs.detector()
    node = next(node for node in graph_def.node if node.op in ('Add', 'AddV2'))
    node.input.append(node.input[0])
    graphs.write(path, graph_def)


def bomb(path):
    graph_def = graphs.detector()
    tensor = next(node for node in graph_def.node if node.op == 'Const' and not node.attr['value'].tensor.tensor_content
                  ).attr['value'].tensor
    del tensor.tensor_shape.dim[:]
    tensor.tensor_shape.dim.add(size=(1 << 31) - 1)
    graphs.write(path, graph_def)


def no_type(path):
    graph_def = graphs.detector()
    next(node for node in graph_def.node if node.op == 'Const').attr['value'].tensor.dtype = 0
    graphs.write(path, graph_def)


def negative_shape(path):
    graph_def = graphs.detector()
    tensor = next(node for node in graph_def.node if node.op == 'Const' and not node.attr['value'].tensor.tensor_content
                  ).attr['value'].tensor
    tensor.tensor_shape.dim.add(size=-1)
    tensor.tensor_shape.dim.add(size=-1)
    graphs.write(path, graph_def)


def controls_in_a_name(path):
    graph_def = graphs.detector()
    next(node for node in graph_def.node if node.op == 'Relu6').op = 'My\x1b[2JRelu'
    graphs.write(path, graph_def)


def with_variables(path):
    graph_def = graphs.detector()
    node = graph_def.node.add(name='v', op='VariableV2')
    node.attr['dtype'].type = 1
    node.attr['shape'].shape.SetInParent()
    graphs.write(path, graph_def)


def cut_text(path):
    with open(str(path), 'w') as file:
        file.write(str(graphs.detector())[:5000])


def directory(path):
    path.mkdir()
    (path / 'readme.txt').write_text(u'nothing here')


CASES = [
    (lambda path: None, 'no such file'), (write(b''), 'empty'), (cut, 'neither a GraphDef nor'),
    (cut_between_nodes, 'not in the graph'), (write(b'\x00\x01\x02 no graph at all \xff' * 50), 'neither a GraphDef'),
    (write(b'<!DOCTYPE html>\n<html><body>404: not found</body></html>\n'), 'web page'),
    (write(b'model {\n  ssd {\n    num_classes: 90\n  }\n}\n'), 'begins with'),
    (cut_text, 'cannot be read'), (huge, '2 GiB'), (cycle, 'cycle'), (unknown_op, 'MyCompanysRelu'),
    (too_many_inputs, 'has 3 inputs'), (bomb, 'values are written for shape'), (no_type, 'of no type'),
    (negative_shape, 'has no shape'), (controls_in_a_name, 'My\\u001b[2JRelu'),
    (twice_named, 'two nodes'), (damaged_tensor, 'damaged'), (with_variables, 'not frozen constants'),
    (directory, 'holds neither')]


@pytest.mark.parametrize('make, words', CASES, ids=[words.replace(' ', '-') + str(i) for i, (_, words) in
                                                    enumerate(CASES)])
def test_bad_input_is_refused_in_a_sentence(tmp_path, good, make, words):
    path = tmp_path / 'bad.pb'
    make(path)
    for arguments in (('compare', path, good), ('compare', good, path)):
        code, out, err = od_patch(*arguments)
        assert code == 2, out + err
        assert words in err and 'Traceback' not in err and not out
        assert 'bad.pb' in err or 'cycle' in err
        assert len(err.strip().splitlines()) >= 2  # what to do next


def test_an_unfrozen_saved_model_is_refused_with_the_command_that_freezes_it(tmp_path, good):
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    folder = str(tmp_path / 'saved_model')
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2], name='x')
        y = tf.identity(x * tf.get_variable('v', [2], use_resource=False), name='y')
        session.run(tf.global_variables_initializer())
        tf.saved_model.simple_save(session, folder, {'x': x}, {'y': y})
    code, _, err = od_patch('compare', folder, good)
    assert code == 2 and 'od-patch freeze ' + folder in err
    frozen = str(tmp_path / 'frozen.pb')
    code, out, err = od_patch('freeze', folder, '--output', frozen)
    assert code == 0, err
    assert '1 variables frozen, ' in out
    code, out, err = od_patch('freeze', folder, '--output', frozen)
    assert code == 2 and 'is there already' in err
    os.remove(os.path.join(folder, 'variables', 'variables.index'))
    code, out, err = od_patch('freeze', folder, '--output', frozen, '--overwrite')
    assert code == 2 and 'variables.index is missing' in err
    code, out, err = od_patch('inspect', frozen)
    assert code == 0, err


def test_an_op_that_the_tensorflow_at_hand_lacks_stops_only_running(tmp_path, good):
    from tensorflow.python.framework import op_def_registry
    from od_patch.graphs import _op_table
    known = (op_def_registry.get if hasattr(op_def_registry, 'get') else op_def_registry.get_registered_ops().get)
    _, ops = _op_table.table()
    lacking = next((op for op in ('XlaSpmdFullToShardShape', 'NonMaxSuppressionV5', 'BatchMatMulV3', 'Relu6Future',
                                  'MatrixDiagV3', 'SparseSegmentSumGradV2') if ops[op] and not known(op)), None)
    if lacking is None:
        pytest.skip('the newest TensorFlow has all ops of the table')
    graph_def = graphs.detector()
    node = next(node for node in graph_def.node if node.op == 'Relu6')
    node.op = lacking
    path = graphs.write(tmp_path / 'new.pb', graph_def)
    code, _, err = od_patch('compare', good, path)
    assert code == 1, err
    code, _, err = od_patch('compare', good, path, '--run')
    assert code == 2 and 'cannot load this graph' in err and 'without --run' in err


def test_one_graph_alone_is_no_comparison(good):
    code, _, err = od_patch('compare', good)
    assert code == 2 and '--canonical' in err
