"""Whether checkpoint and pipeline config are of one half of the Object Detection API, and of which: 1 or 2.

Needs the config's text and the checkpoint's index, and no TensorFlow.

Not for: whether they fit each other beyond that (``_early``, and ``_names`` of this room).
"""
import os

from od_patch import _errors
from od_patch import _tensorflow
from od_patch.checkpoint import _checkpoint
from od_patch.checkpoint import _objects
from od_patch.config import _half


def half(model, prefix):
    """Returns 2 where a model of TensorFlow 2 is to be exported, 1 for one of TensorFlow 1 and for what nothing tells.

    Args:
        model: ``_half.Described``.
        prefix: str, a checkpoint prefix; None where it cannot be looked at.

    Raises:
        od_patch.CheckpointMismatch: the checkpoint is of the one half and the config of the other.
        od_patch.EnvironmentRefused: both are of TensorFlow 2, and the release on the path has no such half.
    """
    of_config = _half.half_of(model)
    of_objects = None if prefix is None else _objects.is_of_objects(prefix)
    if of_objects is None and prefix is not None and _tensorflow.gfile().Exists(prefix):
        of_objects = False  # all in one file: no TensorFlow 2 writes such a checkpoint
    if of_objects and not _half.release_has(2) and (of_config != 1 or _half.is_named_as_2(model)):
        raise _errors.EnvironmentRefused(
            'The checkpoint {} is one of TensorFlow 2 (it holds {}), and the Object Detection API on the path has no '
            'models of TensorFlow 2.'.format(prefix, _objects.GRAPH),
            'Use a release of July 2020 or later, on TensorFlow 2 (the table in the README).')
    if of_objects and of_config == 1:
        raise _errors.CheckpointMismatch(
            'The checkpoint {} is one of TensorFlow 2 (it holds {}), and the pipeline config describes a model of '
            'TensorFlow 1 ({}).'.format(prefix, _objects.GRAPH, model.in_words()),
            _of_one_half('Give the pipeline.config of the training of that checkpoint: the two halves of the Object '
                         'Detection API have no model in common.', prefix, False))
    if of_config == 2 and of_objects is False:
        raise _errors.CheckpointMismatch(
            'The pipeline config is one of TensorFlow 2\'s own models ({}), and the checkpoint {} is one of TensorFlow '
            '1 (it does not hold {}).'.format(model.in_words(), prefix, _objects.GRAPH),
            _of_one_half('Give the checkpoint of the training of that config, or the config of that checkpoint: the '
                         'two halves of the Object Detection API have no model in common.', prefix, True))
    return 2 if of_config == 2 or of_objects else 1


def _of_one_half(remedy, prefix, of_objects):
    """Returns a remedy, with the checkpoints that would fit where these lie beside the one that does not."""
    others = _objects.others_beside(prefix, of_objects)
    if not others:
        return remedy
    return remedy + '\nBeside it lies one of TensorFlow {}: --trained_checkpoint_prefix={}'.format(
        2 if of_objects else 1, others[-1])


def prefix_of(path):
    """Returns a prefix that a path means, whose kind can be looked at; None where there is none.

    Args:
        path: str, as a user gives one: a prefix, a directory, a pattern.
    """
    gfile = _tensorflow.gfile()
    try:
        return _checkpoint.resolve(path)
    except _errors.InputRefused:
        found = sorted(gfile.Glob(path + '.index') or gfile.Glob(os.path.join(path, '*.index')))
        return found[-1][:-len('.index')] if found else None


def other_command(folder='…'):
    """Returns, as lines of text, the two commands that export a model of TensorFlow 2.

    Args:
        folder: str, of its checkpoints.
    """
    return ('  export_inference_graph --pipeline_config_path=… --trained_checkpoint_prefix={0} --output_directory=…\n'
            'Or its own exporter, with what today\'s stack needs:\n' + _checkpoint.tensorflow_2_command(folder)).format(
                folder)
