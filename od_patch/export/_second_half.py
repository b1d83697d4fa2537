"""One export of a model of TensorFlow 2: what happens instead of the release's export function.

The release builds and traces the model; what is written is written as for models
of TensorFlow 1, by the same steps, from the flat graph of that trace.

Not for: tracing (``tf2``), nor for the checks and the place of an export (``_driver``).
"""
import os
import typing

from od_patch import _errors
from od_patch import _tensorflow
from od_patch import legacy
from od_patch.checkpoint import _objects
from od_patch.export import _artifacts
from od_patch.export import _driver
from od_patch.export import _observer
from od_patch.export import _request
from od_patch.graphs import _freezing
from od_patch.saved_model import _saved_model
from od_patch.tf2 import _trace

INPUT = 'input_tensor'  # the release's key of its input
# What cannot be of these exports, by the name of the option: why, and what to do.
_NOT_HERE = {
    'strict_pin': ('no exporter of TensorFlow 2 is pinned', 'Leave it out.'),
    'profile_graph': ('the release prints no profile of these models', 'Leave it out.'),
    'all_checkpoints': ('many checkpoints at once are exported of models of TensorFlow 1',
                        'Export them one by one: --trained_checkpoint_prefix=training/ckpt-30'),
}
_NOT_HERE['checkpoint_steps'] = _NOT_HERE['watch'] = _NOT_HERE['watch_interval'] = _NOT_HERE['all_checkpoints']
# Flags of the release's TF 1 script that its TF 2 exporter has in another form, or not at all.
_NOT_PASSED_ON = {
    'write_inference_graph': 'there is no graph but the exported one, which "od-patch inspect" looks at',
    'use_side_inputs': 'side inputs are exported by the release\'s own exporter_main_v2 (python -m od_patch …)',
}


def check_options(given: typing.Mapping[str, typing.Any]) -> None:
    """Refuses options that mean nothing for models of TensorFlow 2.

    Args:
        given: dict from the name of an option to its value, of those that were typed.

    Raises:
        od_patch.UsageError
    """
    for name, value in given.items():
        if name in _NOT_HERE and value not in (False, None):
            raise _errors.UsageError('--{} is not for models of TensorFlow 2: {}.'.format(name, _NOT_HERE[name][0]),
                                     _NOT_HERE[name][1])
    if given.get('saved_model_variables', _saved_model.RESOURCE) != _saved_model.RESOURCE:
        raise _errors.UsageError(
            '--saved_model_variables={} is not for models of TensorFlow 2: their variables are resources.'.format(
                given['saved_model_variables']),
            'Leave it out; frozen_inference_graph.pb has the weights as constants.')


def check_flags(values: typing.Mapping[str, typing.Any]) -> None:
    """Refuses flags of the release's script that mean nothing for models of TensorFlow 2.

    Args:
        values: dict from the name of a flag to its value.

    Raises:
        od_patch.UsageError
    """
    for name, reason in _NOT_PASSED_ON.items():
        if values.get(name):
            raise _errors.UsageError(
                '--{} is not for models of TensorFlow 2: {}.'.format(name, reason), 'Leave it out.')


def export(
        options: _request.Options, observer: _observer.Observer, release_text: str,
        arguments: typing.Dict[str, typing.Any], exporter: typing.Any) -> None:
    """Exports one checkpoint of a model of TensorFlow 2.

    Args:
        options, observer, release_text: as for ``_driver.around``.
        arguments: dict: ``pipeline_config``, ``trained_checkpoint_prefix``, ``output_directory``, ``input_type``, which
            is one of the release's, and ``input_shape``, list or None.
        exporter: the module ``exporter_lib_v2``.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    with _driver.around(options, observer, release_text, arguments, half=2) as run:
        if run.has_work():
            _make(run, run.arguments_for(arguments), exporter)


def _make(run: typing.Any, arguments: typing.Dict[str, typing.Any], exporter: typing.Any) -> None:
    traced = _trace.traced(exporter, arguments['pipeline_config'], run.inventory.prefix, arguments['input_type'],
                           arguments.get('input_shape'))
    with traced.graph.as_default():  # where its variables tell what they are, in an eager program
        run.graph_is_built(traced.graph)
    _trace.restore(traced, run.inventory.prefix)
    run.restored = traced.function
    # What the steps add to the graph is of TensorFlow 1's kind, as the graph is.
    with traced.graph.as_default(), legacy.tf1_behaviour():
        if run.freezes:
            run.observer.stage('frozen graph')
            _write_frozen(run, traced, arguments)
        inputs = {_saved_model.INPUT if name == INPUT else name: tensor for name, tensor in traced.inputs.items()}
        run.write_saved_model(None, {'inputs': inputs, 'outputs': traced.outputs})
    if _artifacts.CHECKPOINT in run.artifacts:
        run.observer.stage('checkpoint')
        _write_checkpoint(run, traced)
    if _artifacts.PIPELINE_CONFIG in run.artifacts:
        from object_detection.utils import config_util
        config_util.save_pipeline_config(arguments['pipeline_config'], run.staged_directory)


def _write_frozen(run: typing.Any, traced: typing.Any, arguments: typing.Dict[str, typing.Any]) -> None:
    """Writes ``frozen_inference_graph.pb``, with the values of the checkpoint and no session."""
    outputs = list(traced.outputs) + list(arguments.get('additional_output_tensor_names') or ())
    keys = {variable.op.name: (variable.op.name + _objects.VALUE, '')
            for variable in _tensorflow.tf1().global_variables()}
    frozen = _freezing.freeze(
        traced.graph.as_graph_def(), run.inventory.prefix, outputs, run.output_directory, keys)
    with open(os.path.join(run.staged_directory, 'frozen_inference_graph.pb'), 'wb') as graph_file:
        graph_file.write(frozen.SerializeToString(deterministic=True))


def _write_checkpoint(run: typing.Any, traced: typing.Any) -> None:
    """Writes ``checkpoint/ckpt-0``, as the release does: of the model alone."""
    import tensorflow as tf
    folder = os.path.join(run.staged_directory, 'checkpoint')
    tf.train.CheckpointManager(traced.checkpoint, folder, max_to_keep=1).save(checkpoint_number=0)
