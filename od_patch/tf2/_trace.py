"""The release's own detection module of a model, built from its config and traced once.

What is traced is what ``exporter_lib_v2`` exports: the module of the input type,
with its preprocessing and postprocessing. Another shape of the input than the
release's traces the same Python function.

Not for: writing anything; ``_flat`` makes a graph of it that can be written.
"""
import functools
import typing

from od_patch import _errors
from od_patch.tf2 import _flat
from od_patch.tf2 import _names
from od_patch.tf2 import _weights


class Traced(typing.NamedTuple):
    """A model of TensorFlow 2, as a graph and as what it was made of."""

    graph: typing.Any  # tf.Graph, flat, its variables named by their paths in the checkpoint
    inputs: typing.Dict[str, typing.Any]  # by the names of the release
    outputs: typing.Dict[str, typing.Any]  # by their keys
    function: typing.Any  # the concrete function; once it is restored, the model as the release exports it
    checkpoint: typing.Any  # tf.train.Checkpoint of the model


def traced(exporter, config, prefix, input_type, input_shape=None):
    """Returns the ``Traced`` model of a config; its weights are drawn, not restored.

    Args:
        exporter: the module ``exporter_lib_v2``.
        config: ``TrainEvalPipelineConfig``.
        prefix: str, a checkpoint of objects, for the names.
        input_type: str, one of ``exporter.DETECTION_MODULE_MAP``.
        input_shape: list of int or None, one a dimension of a batch of images; None for the release's own.

    Raises:
        od_patch.UsageError: the release has no such input type, or the model cannot be built for this shape.
    """
    import tensorflow as tf
    with _weights.without_downloads():
        model = exporter.INPUT_BUILDER_UTIL_MAP['model_build'](config.model, is_training=False)
        checkpoint = tf.train.Checkpoint(model=model)
        module = exporter.DETECTION_MODULE_MAP[input_type](model, False, [])
        function = _concrete(module, input_shape)
    found, unknown = _names.of_variables(checkpoint, prefix)
    names = dict(unknown)
    names.update(found)
    for variable in function.graph.variables:
        names.setdefault(id(variable), 'beside/' + variable.name.split(':')[0])
    graph, inputs, outputs = _flat.flat(function, names)
    return Traced(graph, inputs, outputs, function, checkpoint)


def _concrete(module, input_shape):
    """Returns the concrete function of a detection module, for the release's shape of the input or another one."""
    import tensorflow as tf
    own = vars(module).get('__call__')  # the image module makes it for its side inputs; the others have a method
    if input_shape is None:
        return (own or module.__call__).get_concrete_function()
    function = own.python_function if own is not None else functools.partial(
        type(module).__call__.python_function, module)
    specs = (own or module.__call__).input_signature
    spec = tf.TensorSpec(input_shape, specs[0].dtype, specs[0].name)

    def detect(input_tensor):
        return function(input_tensor)
    try:
        return tf.function(detect, input_signature=[spec]).get_concrete_function()
    except (TypeError, ValueError) as error:
        raise _errors.UsageError(
            'The model cannot be built for --input_shape={}: {}'.format(
                ','.join('-1' if size is None else str(size) for size in input_shape),
                ' '.join(str(error).split())[-400:]),
            'Leave it out, or give another: -1 leaves a dimension open.')


def restore(traced_model, prefix):
    """Restores the weights of a ``Traced`` model as the release does; afterwards its ``function`` has them."""
    traced_model.checkpoint.restore(prefix).expect_partial().assert_existing_objects_matched()
