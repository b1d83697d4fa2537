"""The release's own exporter of TensorFlow 2, ``exporter_lib_v2``: the same export, staged like every other.

What it writes is its own. It is written elsewhere and moved into place when it is
whole; the checkpoint may be given by its prefix; and what the release raises
about checkpoints that do not fit is said in words.

Not for: od-patch's own export of these models.
"""
import contextlib
import functools
import inspect
import os
import re

from od_patch import _errors
from od_patch.checkpoint import _checkpoint
from od_patch.config import _half
from od_patch.export import _destination
from od_patch.staging import _staging
from od_patch.staging import _store
from od_patch.tf2 import _pair
from od_patch.tf2 import _weights

MODULE = 'object_detection.exporter_lib_v2'
OPTIONS = frozenset(['overwrite', 'verbose', 'log_file', 'traceback'])  # those that mean something here
_NEEDED = ('pipeline_config', 'trained_checkpoint_dir', 'output_directory')


def check_options(given):
    """Refuses options of od-patch's own export, of which the release's exporter has nothing.

    Args:
        given: iterable of str, their names.

    Raises:
        od_patch.UsageError
    """
    others = sorted(set(given) - OPTIONS)
    if others:
        raise _errors.UsageError(
            '{} not for the release\'s own exporter of TensorFlow 2.'.format(
                ', '.join('--' + name for name in others) + (' is' if len(others) == 1 else ' are')),
            'Leave it out, or export with od-patch\'s own command:\n'
            '  export_inference_graph --pipeline_config_path=… --trained_checkpoint_prefix=… --output_directory=…')


@contextlib.contextmanager
def patched(module, overwrite=False):
    """Context in which ``export_inference_graph`` of the module ``exporter_lib_v2`` is staged.

    Args:
        module: the module; overwrite: bool, whether an export that is there may be replaced.
    """
    original = module.export_inference_graph

    @functools.wraps(original)
    def export_inference_graph(*args, **kwargs):
        arguments = inspect.signature(original).bind(*args, **kwargs).arguments
        if any(name not in arguments for name in _NEEDED):
            return original(*args, **kwargs)
        return _export(original, dict(arguments), overwrite)

    module.export_inference_graph = export_inference_graph
    try:
        yield
    finally:
        if module.export_inference_graph is export_inference_graph:
            module.export_inference_graph = original


def _export(original, arguments, overwrite):
    place = _store.plain(arguments['output_directory'])
    if not place:
        raise _errors.UsageError('The output directory is empty.', 'Give one, such as --output_directory=exported.')
    prefix = _checkpoint.resolve(_store.plain(arguments['trained_checkpoint_dir']))
    model = _half.of_config(arguments['pipeline_config'])
    if _pair.half(model, prefix) != 2:
        raise _errors.InputRefused(
            'The checkpoint {} and the pipeline config ({}) are of TensorFlow 1, and this exporter is the one of '
            'TensorFlow 2.'.format(prefix, model.in_words()),
            'Export them with  export_inference_graph --pipeline_config_path=… --trained_checkpoint_prefix={} '
            '--output_directory=…'.format(prefix))
    _checkpoint.take_inventory(prefix)  # refuses one that is not whole
    _staging.clear(place)
    _staging.check_writable(place)
    _staging.check_not_read(place, _checkpoint.files(prefix))

    def check():
        return _destination.check_free(place, overwrite)
    check()
    with _staging.staged(place, _staging.OF_AN_EXPORT, check) as staged:
        instead = dict(arguments, output_directory=staged.export,
                       trained_checkpoint_dir=_weights.folder_of(prefix, staged.temporary))
        with _weights.without_downloads(), _in_words(prefix):
            return original(**instead)


@contextlib.contextmanager
def _in_words(prefix):
    """Context in which TensorFlow's errors about a checkpoint that does not fit the model become refusals."""
    try:
        yield
    except AssertionError as error:
        if 'not bound' not in str(error):
            raise
        raise _errors.CheckpointMismatch(
            'The checkpoint {} does not fit the model of the pipeline config: {}'.format(
                prefix, _without_values(error)),
            'Give the pipeline.config that lies beside the checkpoint. A checkpoint to begin a training with '
            '(fine_tune_checkpoint) may hold the feature extractor alone: export one that the training wrote.')
    except ValueError as error:
        if 'incompatible' not in str(error) and 'Shapes' not in str(error):
            raise
        raise _errors.CheckpointMismatch(
            'The checkpoint {} does not fit the model of the pipeline config: {}'.format(
                prefix, _without_values(error)),
            'Another num_classes, most often: give the pipeline.config that lies beside the checkpoint.')


def _without_values(error):
    """Returns what an error of TensorFlow's says, on one line, without the values of the variables that it shows."""
    return re.sub(r",? numpy=\s*array\(.*?\)(?=>|$)", '', ' '.join(str(error).split()), flags=re.DOTALL)[:800]


def is_for_tensorflow_2(script, imported):
    """Returns whether a script is of the Object Detection API's TensorFlow 2 half.

    Args:
        script: str, its path; imported: set of str, the modules that its source imports.
    """
    parts = os.path.realpath(script).split(os.sep)
    name = os.path.splitext(parts[-1])[0]
    if parts[-2:-1] == ['object_detection'] and (name.endswith(('_v2', '_tf2'))):
        return True
    return any(module.startswith('object_detection.') and module.endswith(('_v2', '_tf2')) for module in imported)
