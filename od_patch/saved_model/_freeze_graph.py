"""Freezes as the release does, with the values read from the checkpoint rather than out of a session.

TensorFlow's ``freeze_graph`` imports the graph a second time (in TF 1.12 into
the exporter's own), restores it in a session, and asks the session for the
values; then ``convert_variables_to_constants`` makes the frozen graph. The same
function is given the same graph here, and a stand-in for the session that looks
the values up: the result is the same, node for node.

Not for: freezing a SavedModel, which is ``graphs/_freezing``.
"""
import re

from od_patch import _tensorflow

# What is known of the release's call; anything else that is set is left to TensorFlow.
_UNDERSTOOD = frozenset(['input_graph_def', 'input_saver_def', 'input_checkpoint', 'output_node_names',
                         'restore_op_name', 'filename_tensor_name', 'output_graph', 'clear_devices'])
_READ = re.compile(r'(/Read/ReadVariableOp)?:0$')


def freeze(arguments):
    """Returns the frozen ``GraphDef``, written to ``output_graph`` where that is given.

    Args:
        arguments: dict from parameter name of ``freeze_graph_with_def_protos``
            to value; its ``input_graph_def`` is used up.

    Returns:
        None where this is nothing for here: an argument that is not understood,
        or a variable that the checkpoint does not hold under its own name.
    """
    tf = _tensorflow.tf1()
    if any(value for name, value in arguments.items() if name not in _UNDERSTOOD) or not arguments['output_node_names']:
        return None
    try:
        values = _Values(arguments['input_checkpoint'])
        graph_def = arguments['input_graph_def']
        if arguments.get('clear_devices'):
            for node in graph_def.node:
                node.device = ''
        frozen = tf.graph_util.convert_variables_to_constants(
            values, graph_def, arguments['output_node_names'].replace(' ', '').split(','))
    except (_Missing,) + _tensorflow.reader_errors():
        return None
    if arguments.get('output_graph'):
        with _tensorflow.gfile().GFile(arguments['output_graph'], 'wb') as graph_file:
            graph_file.write(frozen.SerializeToString())
    return frozen


class _Missing(Exception):
    """A tensor that is no variable of the checkpoint."""


class _Values:
    """What ``convert_variables_to_constants`` needs of a session: the values of tensors by their names."""

    def __init__(self, checkpoint_prefix):
        self._reader = _tensorflow.tf1().train.NewCheckpointReader(checkpoint_prefix)

    def run(self, tensor_names):
        names = [_READ.sub('', name) for name in tensor_names]
        if not all(map(self._reader.has_tensor, names)):
            raise _Missing
        return [self._reader.get_tensor(name) for name in names]
