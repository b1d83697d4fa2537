"""Variables from a frozen graph alone, on a tiny detector: what was a variable is one again, whatever was done to the graph."""
import json
import os
import shutil

import numpy as np
import pytest

tensorflow = pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch import cli  # noqa: E402
from od_patch.checkpoint import _bundle  # noqa: E402
from od_patch.compare import _verdict  # noqa: E402
from od_patch.graphs import _sessions  # noqa: E402
from od_patch.graphs import _sources  # noqa: E402
from od_patch.saved_model import _saved_model  # noqa: E402
from od_patch.unfreeze import _unfreeze  # noqa: E402
from tests.compare import graphs  # noqa: E402
from tests.serving import models  # noqa: E402

WEIGHTS = ['BoxPredictor/box/biases', 'BoxPredictor/box/weights', 'BoxPredictor/class/biases', 'BoxPredictor/class/weights',
           'FeatureExtractor/bn/beta', 'FeatureExtractor/bn/gamma', 'FeatureExtractor/bn/mean',
           'FeatureExtractor/bn/variance', 'FeatureExtractor/conv/weights']


def unfreeze(path, output, inputs=None, outputs=None, pattern='', overwrite=False):
    return _unfreeze.unfreeze(_unfreeze.Frozen(path, inputs, outputs, pattern), str(output), overwrite)


def node_of(graph_def, name):
    return next(node for node in graph_def.node if node.name == name)


# What tools do to a frozen graph; each changes the detector's GraphDef in place, and returns what is not a variable then.

def as_frozen(graph_def):
    return []


def without_identities(graph_def):
    """As Grappler, or remove_nodes(op=Identity): the Const is read by its op. What stands where no op says so is lost."""
    gone = {node.name: node.input[0] for node in graph_def.node if node.op == 'Identity' and node.name.endswith('/read')}
    for node in list(graph_def.node):
        if node.name in gone:
            graph_def.node.remove(node)
        else:
            node.input[:] = [gone.get(name, name) for name in node.input]
    return ['FeatureExtractor/bn/variance']  # its absolute value is what the batch norm takes


def folded_into_the_reader(graph_def):
    """As constant folding: the Const has the name of the Identity."""
    for node in list(graph_def.node):
        if node.op == 'Identity' and node.name.endswith('/read'):
            const = node_of(graph_def, node.input[0])
            node.op = 'Const'
            node.ClearField('input')
            node.ClearField('attr')
            for name, value in const.attr.items():
                node.attr[name].CopyFrom(value)
            graph_def.node.remove(const)
    return ['FeatureExtractor/bn/variance']


def read_as_resources_are(graph_def):
    for node in graph_def.node:
        node.input[:] = [name.replace('/read', '/Read/ReadVariableOp') for name in node.input]
        node.name = node.name.replace('/read', '/Read/ReadVariableOp')
    return []


def read_twice(graph_def):
    """By two Identities, as variables are that layers share."""
    for node in list(graph_def.node):
        if node.name == 'FeatureExtractor/conv/weights/read':
            again = graph_def.node.add()
            again.CopyFrom(node)
            again.name = 'again'
            keep = graph_def.node.add(name='keep', op='Shape', input=['again'])
            keep.attr['T'].type, keep.attr['out_type'].type = 1, 3
            node_of(graph_def, 'FeatureExtractor/Conv2D').input.append('^keep')
    return []


def in_a_scope(graph_def):
    """As tf.import_graph_def does without a name."""
    for node in graph_def.node:
        node.name = 'import/' + node.name
        node.input[:] = ['^import/' + name[1:] if name.startswith('^') else 'import/' + name for name in node.input]
    return []


def in_two_scopes(graph_def):
    in_a_scope(graph_def)
    return in_a_scope(graph_def)


def in_another_order(graph_def):
    nodes = sorted(graph_def.node, key=lambda node: node.name[::-1])
    graph_def.ClearField('node')
    graph_def.node.extend(nodes)
    return []


def placed_beside_what_is_gone(graph_def):
    """Colocation hints name the variables."""
    for node in graph_def.node:
        if node.name.endswith('/read'):
            node.attr['_class'].list.s.append(b'loc:@' + node.input[0].encode())
            node.device = '/device:GPU:3'
    return []


CHANGES = [as_frozen, without_identities, folded_into_the_reader, read_as_resources_are, read_twice, in_a_scope, in_two_scopes,
           in_another_order, placed_beside_what_is_gone]


@pytest.mark.parametrize('change', CHANGES)
def test_what_was_a_variable_is_one_again_and_all_else_is_as_it_was(change, tmp_path):
    graph_def = graphs.detector()
    lost = change(graph_def)
    path = graphs.write(tmp_path / 'frozen_inference_graph.pb', graph_def)
    done = unfreeze(path, tmp_path / 'out')
    assert [one.name for one in done.variables] == [name for name in WEIGHTS if name not in lost]
    original = graphs.detector()
    values = {name: tensorflow.make_ndarray(node_of(original, name).attr['value'].tensor) for name in WEIGHTS}
    reader = _tensorflow.tf1().train.NewCheckpointReader(str(tmp_path / 'out' / 'model.ckpt'))
    held = reader.get_variable_to_shape_map()
    assert sorted(held) == sorted([one.name for one in done.variables] + ['global_step'])
    for name in set(held) - {'global_step'}:
        assert reader.get_tensor(name).tobytes() == values[name].tobytes() and held[name] == list(values[name].shape)
    assert reader.get_tensor('global_step') == 0
    image = graphs.image()
    answer, = models.run(str(tmp_path / 'out' / 'saved_model'), [('serving_default', image)])
    assert graphs.equal([answer[name] for name in graphs.OUTPUTS], graphs.run(original, graphs.OUTPUTS, {'image_tensor': image}))
    # And frozen again, it is the graph that it came from.
    again, count, _ = _sources.frozen_saved_model(str(tmp_path / 'out'))
    assert count == len(done.variables)
    frozen = graphs.write(tmp_path / 'again.pb', again)
    compared = graphs.write(tmp_path / 'original.pb', graph_def if change not in (in_a_scope, in_two_scopes) else original)
    assert _verdict.compare(frozen, compared).verdict in ('identical', 'equivalent')


def test_the_checkpoint_has_a_graph_that_restores_it(tmp_path):
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    unfreeze(path, tmp_path / 'out')
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph, tf.Session(config=_sessions.unoptimized_config()) as session:
        saver = tf.train.import_meta_graph(str(tmp_path / 'out' / 'model.ckpt.meta'))
        saver.restore(session, tf.train.latest_checkpoint(str(tmp_path / 'out')))
        boxes = session.run('detection_boxes:0', {'image_tensor:0': graphs.image()})
        assert len(graph.get_collection('variables')) == len(WEIGHTS)
    assert graphs.equal([boxes], graphs.run(graphs.detector(), ['detection_boxes'], {'image_tensor': graphs.image()}))


@pytest.mark.parametrize('pattern, names', [
    ('BoxPredictor/*', WEIGHTS[:4]), ('*/weights', [name for name in WEIGHTS if name.endswith('/weights')]), ('', WEIGHTS)])
def test_a_pattern_says_which_become_variables(pattern, names, tmp_path):
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    done = unfreeze(path, tmp_path / 'out', pattern=pattern)
    assert [one.name for one in done.variables] == names
    assert not done.answer.wrong
    index = _bundle.read_index(str(tmp_path / 'out' / 'saved_model' / 'variables' / 'variables'))
    assert sorted(index.entries) == names


def test_inputs_and_outputs_may_be_any(tmp_path):
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    done = unfreeze(path, tmp_path / 'out', ['Preprocessor/Cast'], ['FeatureExtractor/Relu6', 'BoxPredictor/BiasAdd:0'])
    assert dict(done.inputs) == {'inputs': 'Preprocessor/Cast:0'}
    assert dict(done.outputs) == {'FeatureExtractor/Relu6': 'FeatureExtractor/Relu6:0',
                                  'BoxPredictor/BiasAdd': 'BoxPredictor/BiasAdd:0'}
    assert [one.name for one in done.variables] == WEIGHTS[:2] + WEIGHTS[4:]


def _constant(graph_def):
    """Without a weight."""
    for node in list(graph_def.node):
        if node.op == 'Const' and node.name in WEIGHTS:
            node.op = 'Placeholder'
            node.attr.pop('value')


def _half(graph_def):
    for name in WEIGHTS:
        node = node_of(graph_def, name)
        value = tensorflow.make_ndarray(node.attr['value'].tensor).astype('f2')
        node.attr['value'].tensor.CopyFrom(tensorflow.make_tensor_proto(value))
        node.attr['dtype'].type = 19
        read = node_of(graph_def, name + '/read')
        read.op = 'Cast'
        read.attr.pop('T')
        read.attr['SrcT'].type, read.attr['DstT'].type = 19, 1


def _half_throughout(graph_def):
    """Computed in it, too: there is no Cast."""
    for node in graph_def.node:
        if node.op == 'Const' and node.name in WEIGHTS:
            value = tensorflow.make_ndarray(node.attr['value'].tensor).astype('f2')
            node.attr['value'].tensor.CopyFrom(tensorflow.make_tensor_proto(value))
            node.attr['dtype'].type = 19


def _eight_bits(graph_def):
    for name in WEIGHTS:
        node = node_of(graph_def, name)
        value = tensorflow.make_ndarray(node.attr['value'].tensor)
        node.attr['value'].tensor.CopyFrom(tensorflow.make_tensor_proto(
            np.round((value - value.min()) / max(np.ptp(value), 1e-9) * 255).astype('u1'), tensorflow.quint8))
        node.attr['dtype'].type = 12
        read = node_of(graph_def, name + '/read')
        read.op = 'Dequantize'
        read.attr['T'].type = 12
        for end, limit in (('min', value.min()), ('max', value.max())):
            const = graph_def.node.add(name='{}/{}'.format(name, end), op='Const')
            const.attr['dtype'].type = 1
            const.attr['value'].tensor.CopyFrom(tensorflow.make_tensor_proto(np.float32(limit)))
            read.input.append(const.name)


def _other_names(graph_def):
    for node in graph_def.node:
        node.input[:] = [name.replace('detection', 'found').replace('num_', 'n_') for name in node.input]
        node.name = node.name.replace('detection', 'found').replace('num_', 'n_')


def _two_inputs(graph_def):
    more = graph_def.node.add(name='more', op='Placeholder')
    more.attr['dtype'].type = 4
    node_of(graph_def, 'Preprocessor/Cast').input.append('^more')


@pytest.mark.parametrize('change, given, problem, remedy', [
    (_constant, {'inputs': ['image_tensor']}, 'no constant of it can be told to have been a variable', 'Weights are read through an Identity'),
    (_half, {}, 'held in half precision', 'the frozen graph that it was made from'),
    (_half_throughout, {}, 'held as half', 'the frozen graph that it was made from'),
    (_eight_bits, {}, 'held in 8 bits', 'the frozen graph that it was made from'),
    (_other_names, {}, 'none of its nodes has a name that the Object Detection API gives', '--outputs=found_boxes,found_scores'),
    (_two_inputs, {}, 'need 2 placeholders', '--inputs='),
    (as_frozen, {'outputs': ['nowhere']}, "no node 'nowhere' to be the output", '--outputs'),
    (as_frozen, {'inputs': ['nowhere']}, "no node 'nowhere' to be an input", 'image_tensor'),
    (as_frozen, {'pattern': 'Box/*'}, "no constant of it that was a variable has a name like 'Box/*'", '--variables'),
])
def test_what_cannot_be_unfrozen_is_refused_in_words_and_nothing_is_written(change, given, problem, remedy, tmp_path):
    graph_def = graphs.detector()
    change(graph_def)
    path = graphs.write(tmp_path / 'g.pb', graph_def)
    with pytest.raises(_errors.InputRefused) as refusal:
        unfreeze(path, tmp_path / 'out', **given)
    assert problem in refusal.value.problem and remedy in refusal.value.remedy
    assert os.listdir(str(tmp_path)) == ['g.pb']


def test_what_holds_variables_already_is_refused_as_that(tmp_path):
    unfreeze(graphs.write(tmp_path / 'g.pb', graphs.detector()), tmp_path / 'out')
    with pytest.raises(_errors.InputRefused, match='it holds variables already') as refusal:
        unfreeze(str(tmp_path / 'out' / 'saved_model'), tmp_path / 'again')
    assert 'nothing to unfreeze' in refusal.value.remedy and not (tmp_path / 'again').exists()


def test_an_export_that_is_there_is_replaced_only_where_that_is_asked(tmp_path):
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    output = tmp_path / 'out'
    output.mkdir()
    (output / 'frozen_inference_graph.pb').write_bytes(b'another')
    (output / 'notes.txt').write_text('mine')
    with pytest.raises(_errors.OutputRefused, match='holds an export already: frozen_inference_graph.pb'):
        unfreeze(path, output)
    assert sorted(os.listdir(str(output))) == ['frozen_inference_graph.pb', 'notes.txt']
    unfreeze(path, output, overwrite=True)
    assert sorted(os.listdir(str(output))) == [
        'checkpoint', 'model.ckpt.data-00000-of-00001', 'model.ckpt.index', 'model.ckpt.meta', 'notes.txt', 'saved_model']


@pytest.mark.parametrize('given', ['file', 'folder', 'link', 'name through a link'])
def test_the_graph_that_is_read_is_never_replaced(given, tmp_path):
    """It may be all that is left of a model."""
    folder = tmp_path / 'model'
    folder.mkdir()
    path = graphs.write(folder / 'frozen_inference_graph.pb', graphs.detector())
    (tmp_path / 'link').symlink_to(path)
    (tmp_path / 'other').symlink_to(str(folder))
    read = {'file': path, 'folder': str(folder), 'link': str(tmp_path / 'link'),
            'name through a link': str(tmp_path / 'other' / 'frozen_inference_graph.pb')}[given]
    before = models.files(folder)
    for overwrite in (False, True):
        with pytest.raises(_errors.OutputRefused, match='is what is read, and is never written over'):
            unfreeze(read, folder, overwrite=overwrite)
        assert models.files(folder) == before and sorted(os.listdir(str(tmp_path))) == ['link', 'model', 'other']


def saved_constants(folder, key, answer):
    """Writes a SavedModel of the detector's constants with one input and one output; returns its folder."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graphs.detector(), name='')
        meta_graph = tf.train.export_meta_graph(graph=graph)
        meta_graph.signature_def['serving_default'].CopyFrom(_saved_model.signature(
            {key: graph.get_tensor_by_name('image_tensor:0')}, {answer: graph.get_tensor_by_name('detection_boxes:0')}))
    meta_graph.meta_info_def.tags.append('serve')
    return models.write(meta_graph, folder)


def test_the_saved_model_that_is_read_is_never_replaced(tmp_path):
    folder = saved_constants(tmp_path / 'model' / 'saved_model', 'inputs', 'boxes')
    before = models.files(tmp_path / 'model')
    with pytest.raises(_errors.OutputRefused, match='never written over'):
        unfreeze(folder, tmp_path / 'model', overwrite=True)
    assert models.files(tmp_path / 'model') == before


def test_what_is_wrong_is_not_moved_into_place(tmp_path, monkeypatch):
    """A weight that went astray on the way."""
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    frozen = _unfreeze.Frozen(path)
    one = frozen.variables[1]
    changed = one.tensor.array().copy()
    changed.reshape(-1)[0] += 1

    class Astray:
        array = staticmethod(lambda: changed)
    frozen.variables[1] = one._replace(tensor=Astray)
    with pytest.raises(_errors.ProofFailed) as failure:
        _unfreeze.unfreeze(frozen, str(tmp_path / 'out'))
    assert '1 of 9 variables differ\n    ' + one.name in failure.value.problem
    assert os.listdir(str(tmp_path)) == ['g.pb']


def test_batch_norms_that_were_folded_are_told_of(tmp_path):
    graph_def = graphs.detector()
    norm = next(node for node in graph_def.node if node.op.startswith('FusedBatchNorm'))
    source = norm.input[0]
    offset = graph_def.node.add(name='FeatureExtractor/bn/FusedBatchNorm_bn_offset', op='Const')
    offset.attr['dtype'].type = 1
    offset.attr['value'].tensor.CopyFrom(tensorflow.make_tensor_proto(np.ones(8, 'f4')))
    name = norm.name
    norm.Clear()
    norm.name, norm.op = name, 'BiasAdd'
    norm.attr['T'].type = 1
    norm.input.extend([source, offset.name])
    path = graphs.write(tmp_path / 'g.pb', graph_def)
    frozen = _unfreeze.Frozen(path)
    assert 'batch norms were folded into 1 weights' in frozen.notes[0]
    assert offset.name in [one.name for one in frozen.variables]
    assert not _unfreeze.Frozen(graphs.write(tmp_path / 'h.pb', graphs.detector())).notes


def _with(graph_def, name, op, inputs=(), **attrs):
    node = graph_def.node.add(name=name, op=op, input=inputs)
    for key, value in attrs.items():
        if key == 'value':
            node.attr[key].tensor.CopyFrom(tensorflow.make_tensor_proto(value))
        else:
            node.attr[key].type = value
    return node


def test_a_scalar_is_a_variable_of_no_dimensions(tmp_path):
    graph_def = graphs.detector()
    for node in graph_def.node:
        if node.name == 'detection_scores':
            source = node.input[0]
            node.op = 'Mul'
            node.input[:] = [source, 'scale/read']
    _with(graph_def, 'scale', 'Const', value=np.float32(3), dtype=1)
    _with(graph_def, 'scale/read', 'Identity', ['scale'], T=1)
    path = graphs.write(tmp_path / 'g.pb', graph_def)
    done = unfreeze(path, tmp_path / 'out')
    assert [one.shape for one in done.variables if one.name == 'scale'] == [()]
    variable, = [node for node in _sources.serving_meta_graph('', _saved(tmp_path / 'out')).graph_def.node
                 if node.name == 'scale']
    assert variable.op == 'VarHandleOp' and not variable.attr['shape'].shape.unknown_rank


def _saved(folder):
    from tensorflow.core.protobuf import saved_model_pb2
    return saved_model_pb2.SavedModel.FromString((folder / 'saved_model' / 'saved_model.pb').read_bytes())


def test_a_graph_that_does_not_load_for_a_hint_does_then(tmp_path):
    graph_def = graphs.detector()
    node_of(graph_def, 'detection_boxes').attr['_class'].list.s.append(b'loc:@gone')
    done = unfreeze(graphs.write(tmp_path / 'g.pb', graph_def), tmp_path / 'out')
    note, = done.notes
    assert 'outputs were not compared: the frozen graph fails' in note and 'gone' in note
    answer, = models.run(str(tmp_path / 'out' / 'saved_model'), [('serving_default', graphs.image())])
    assert graphs.equal([answer['detection_boxes']], graphs.run(
        graphs.detector(), ['detection_boxes'], {'image_tensor': graphs.image()}))


def test_a_constant_that_waits_for_a_branch_stays_one(tmp_path):
    """It is dead on the other side, and a variable is not."""
    graph_def = graphs.detector()
    const = node_of(graph_def, 'BoxPredictor/class/biases')
    const.input.append('^image_tensor')
    path = graphs.write(tmp_path / 'g.pb', graph_def)
    done = unfreeze(path, tmp_path / 'out')
    assert [one.name for one in done.variables] == [name for name in WEIGHTS if name != const.name]


def test_a_weight_that_is_an_output_stays_a_constant(tmp_path):
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    done = unfreeze(path, tmp_path / 'out', outputs=['detection_boxes', 'FeatureExtractor/bn/gamma'])
    assert [one.name for one in done.variables] == [name for name in WEIGHTS if name != 'FeatureExtractor/bn/gamma']


# The command


@pytest.fixture
def command():
    """A function that runs od-patch; returns click's result."""
    from click.testing import CliRunner
    return lambda *arguments: CliRunner().invoke(cli.cli, list(map(str, arguments)))


def test_the_command_lists_and_writes(command, tmp_path):
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    listed = command('unfreeze', path, '--variables')
    assert listed.exit_code == 0, listed.output
    assert 'float    3 x 3 x 3 x 8       FeatureExtractor/conv/weights' in listed.output
    assert '9 constants of {} become variables, 293 values.'.format(path) in listed.output
    assert os.listdir(str(tmp_path)) == ['g.pb']
    done = command('unfreeze', path, '--output_directory', tmp_path / 'out', '--json')
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert [row['name'] for row in told['variables']] == WEIGHTS and told['proof']['verdict']
    assert sorted(os.listdir(told['saved_model'])) == ['assets.extra', 'saved_model.pb', 'variables']
    with open(os.path.join(told['saved_model'], 'assets.extra', 'od_patch.json')) as record:
        assert json.load(record)['unfrozen_from'] == path
    nothing = command('unfreeze', path)
    assert nothing.exit_code != 0 and isinstance(nothing.exception, _errors.UsageError)


@pytest.mark.parametrize('arguments', [
    ('publish', 'GRAPH', 'OUT'), ('request', 'GRAPH', '--output_directory', 'OUT'),
    ('package', 'sagemaker', 'GRAPH', '--output', 'OUT.tar.gz')])
@pytest.mark.parametrize('as_folder', [False, True])
def test_what_needs_a_saved_model_says_what_makes_one(arguments, as_folder, command, tmp_path):
    folder = tmp_path / 'model'
    folder.mkdir()
    path = graphs.write(folder / 'frozen_inference_graph.pb', graphs.detector())
    given = {'GRAPH': str(folder) if as_folder else path, 'OUT': str(tmp_path / 'out'), 'OUT.tar.gz': str(tmp_path / 'out.tar.gz')}
    result = command(*[given.get(word, word) for word in arguments])
    assert isinstance(result.exception, _errors.InputRefused), (result.exception, result.output)
    assert 'od-patch unfreeze {} --output unfrozen'.format(path) in result.exception.remedy
    assert sorted(os.listdir(str(tmp_path))) == ['model']


def test_what_was_unfrozen_is_published(command, tmp_path):
    path = graphs.write(tmp_path / 'g.pb', graphs.detector())
    unfreeze(path, tmp_path / 'out')
    done = command('publish', tmp_path / 'out', tmp_path / 'models' / 'detector')
    assert done.exit_code == 0, done.output
    shutil.rmtree(str(tmp_path / 'out'))
    answer, = models.run(str(tmp_path / 'models' / 'detector' / '1'), [('serving_default', graphs.image())])
    assert graphs.equal([answer['detection_boxes']], graphs.run(
        graphs.detector(), ['detection_boxes'], {'image_tensor': graphs.image()}))


def test_a_saved_model_of_constants_keeps_its_signature(tmp_path):
    folder = saved_constants(tmp_path / 'frozen' / 'saved_model', 'picture', 'boxes')
    done = unfreeze(folder, tmp_path / 'out')
    assert (dict(done.inputs), dict(done.outputs)) == (
        {'picture': 'image_tensor:0'}, {'boxes': 'detection_boxes:0'})
    assert not done.answer.wrong
