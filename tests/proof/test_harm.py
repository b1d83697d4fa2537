"""What a graph may do beyond computing is said before it is run."""
import os

import pytest

from od_patch import proof
from od_patch.proof import _harm
from tests.compare import graphs

pytest.importorskip('tensorflow')

from od_patch import _tensorflow  # noqa: E402


def _graph(*ops):
    graph_def = graphs.detector()
    for number, op in enumerate(ops):
        graph_def.node.add(name='more/{}'.format(number), op=op)
    return graph_def


@pytest.mark.parametrize('op, kind', [
    ('WriteFile', 'write files'), ('SaveDatasetV2', 'write files'), ('DatasetToTFRecord', 'write files'),
    ('WriteSummary', 'write files'), ('WriteImageSummary', 'write files'), ('CreateSummaryFileWriter', 'write files'),
    ('DebugIdentityV2', 'write files'), ('PrintV2', 'write files'),
    ('PyFunc', 'run code that is not in the graph'), ('PyFuncStateless', 'run code that is not in the graph'),
    ('EagerPyFunc', 'run code that is not in the graph'), ('ShellExecute', 'run code that is not in the graph'),
    ('TryRpc', 'talk to other machines'), ('RpcCall', 'talk to other machines'),
    ('SomebodysOwnOp', 'run code of a library that is not TensorFlow\'s')])
def test_an_op_that_does_more_than_compute_is_named_also_in_a_function(op, kind):
    assert _harm.found(None, _graph(op)) == {kind: ['{} (more/0)'.format(op)]}
    graph_def = _graph()
    function = graph_def.library.function.add()
    function.signature.name = 'f'
    function.node_def.add(name='inner', op=op)
    assert _harm.found(None, graph_def) == {kind: ['{} (inner)'.format(op)]}


def test_what_only_computes_is_not_named():
    graph_def = _graph('Print', 'ReadFile', 'f', 'SaveV2', 'MergeV2Checkpoints', 'Assert')
    graph_def.library.function.add().signature.name = 'f'
    assert _harm.found(None, graph_def) == {}


@pytest.fixture
def writing(tmp_path):
    """The folder of a SavedModel that writes a file whenever it is run, and the path of that file."""
    tf = _tensorflow.tf1()
    written = str(tmp_path / 'written')
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.placeholder(tf.uint8, [None, None, None, 3], name='image_tensor')
        with tf.control_dependencies([tf.write_file(written, 'pwned')]):
            boxes = tf.reduce_mean(tf.cast(image, tf.float32), [1, 2], name='detection_boxes')
        graphs.write(str(tmp_path / 'frozen.pb'), session.graph_def)
        tf.saved_model.simple_save(session, str(tmp_path / 'model'), {'inputs': image}, {'detection_boxes': boxes})
    return str(tmp_path) + '/model', written


def test_verify_says_it_before_it_runs_the_model_and_in_its_answer(writing):
    model, written = writing
    told = []

    def tell(text):
        told.append((text, os.path.exists(written)))
    answer = proof.verify(saved_model=model, frozen_graph=os.path.join(os.path.dirname(model), 'frozen.pb'), tell=tell)
    assert len(told) == 1 and 'running it may write files: WriteFile' in told[0][0] and told[0][1] is False
    assert os.path.exists(written)
    assert [check.text for check in answer.checks if check.name == 'ops'] == [
        'running it may write files: WriteFile (WriteFile)']


def test_what_runs_nothing_says_it_too_and_writes_nothing(writing):
    model, written = writing
    answer = proof.verify(saved_model=model, quick=True, tell=None)
    assert any('WriteFile' in check.text for check in answer.checks) and not os.path.exists(written)
