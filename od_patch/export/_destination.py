"""Whether an export may go where it is to go."""
import os
import re

from od_patch import _errors
from od_patch import _tensorflow
from od_patch.staging import _store


def check_free(output_directory: str, overwrite: bool) -> bool:
    """Refuses an output directory that holds a SavedModel already, unless it may be replaced; returns whether it does.

    Upstream's builder refuses it as well, at the very end of the export.

    Raises:
        od_patch.OutputRefused
    """
    try:
        if not overwrite:
            _check_free(output_directory)
        return _tensorflow.gfile().Exists(_store.below(output_directory, 'saved_model', 'saved_model.pb'))
    except _errors.ODPatchError:
        raise  # before TensorFlow is asked what its errors are
    except _tensorflow.tf1().errors.OpError as error:
        raise _errors.OutputRefused(
            'The output directory {} cannot be looked at: {}'.format(output_directory, error.message),
            'Check the path, and that its store can be reached from here.')


def _check_free(output_directory: str) -> None:
    gfile = _tensorflow.gfile()
    saved_model = _store.below(output_directory, 'saved_model')
    if _is_training_directory(output_directory):
        raise _errors.OutputRefused(
            'The output directory {} is one that a training writes its checkpoints to: an export would replace its '
            'file "checkpoint", which says where to resume.'.format(output_directory),
            'Give another --output_directory, or add --overwrite if that is meant.')
    if not gfile.Exists(saved_model):
        return
    if gfile.IsDirectory(saved_model) and not gfile.ListDirectory(saved_model):
        return
    raise _errors.OutputRefused(
        'The output directory {} holds an export already ({} exists).'.format(output_directory, saved_model),
        'Add --overwrite to replace it, or give another --output_directory.')


def _is_training_directory(directory: str) -> bool:
    """Returns whether a directory holds a ``checkpoint`` file that names others than an export's model.ckpt."""
    gfile = _tensorflow.gfile()
    path = _store.below(directory, 'checkpoint')
    if not gfile.Exists(path) or gfile.IsDirectory(path):
        return False
    with gfile.GFile(path, 'rb') as state_file:
        named = re.search(br'^model_checkpoint_path:\s*"([^"]*)"', state_file.read(), re.MULTILINE)
    return named is not None and os.path.basename(named.group(1)) != b'model.ckpt'
