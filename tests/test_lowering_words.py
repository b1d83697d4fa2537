"""Why --target_tf cannot put an op back is in the refusal, and not only that it is lacking."""
import pytest

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import _tensorflow  # noqa: E402
from od_patch.saved_model import _lowering  # noqa: E402


def _graph(sigma=0.0, padded=False, trains=False, sixth=False):
    """A ``GraphDef`` with ops of TensorFlow 1.15 and later, as an inference graph has them."""
    tf = _tensorflow.tf1()
    graph_def = tf.GraphDef()
    for name in ('boxes', 'scores', 'size', 'iou', 'score'):
        graph_def.node.add(name=name, op='Placeholder')
    const = graph_def.node.add(name='sigma', op='Const')
    const.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(sigma, tf.float32))
    suppression = graph_def.node.add(name='suppression', op='NonMaxSuppressionV5',
                                     input=['boxes', 'scores', 'size', 'iou', 'score', 'sigma'])
    suppression.attr['pad_to_max_output_size'].b = padded
    norm = graph_def.node.add(name='norm', op='FusedBatchNormV3', input=['boxes'] * 5)
    norm.attr['is_training'].b = trains
    if sixth:
        graph_def.node.add(name='reads', op='Identity', input=['norm:5'])
    return graph_def


def test_what_nothing_is_in_the_way_of_is_put_back():
    graph_def = _graph()
    assert _lowering.lower(graph_def, '1.12') == ['FusedBatchNormV3 → FusedBatchNormV2 (1)',
                                                   'NonMaxSuppressionV5 → NonMaxSuppressionV3 (1)']


@pytest.mark.parametrize('graph, node, words, remedy', [
    ({'sigma': 0.5}, 'suppression', 'which computes soft non-maximum suppression', 'soft_nms_sigma'),
    ({'padded': True}, 'suppression', 'its output is padded', ''),
    ({'trains': True}, 'norm', 'it trains', ''),
    ({'sixth': True}, 'norm', 'its sixth output is used', ''),
])
def test_why_an_op_is_not_put_back_is_told(graph, node, words, remedy):
    with pytest.raises(_errors.EnvironmentRefused) as refusal:
        _lowering.lower(_graph(**graph), '1.12')
    line, = [line for line in refusal.value.problem.splitlines() if line.startswith('  - ')]
    assert '({}, {}; since '.format(node, words) in line.replace(': earlier ops cannot', '')
    assert remedy in refusal.value.remedy and ('soft_nms_sigma' in refusal.value.remedy) == bool(remedy)
