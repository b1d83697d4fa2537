"""od-patch: unfrozen SavedModels from the TF Object Detection API's own exporter.

``export()`` does what the command ``export_inference_graph`` does, and ``verify``,
``compare``, ``publish`` and the others what the commands of ``od-patch`` do; each
returns what its command prints with ``--json``, as a named tuple.

``install()``, or ``with patched():``, replaces functions of
``object_detection.exporter``, for programs that call the exporter themselves: the
``saved_model/`` of an export then holds real variables, restored from the
checkpoint, instead of frozen constants. ``uninstall()`` puts everything back. ``Detector``
runs an export on any number of images (docs/batch.md).

All functions raise the errors below, which say what was found, what was expected and
what to do next. Importing this package imports neither TensorFlow nor anything else
that is not Python's own. Everything that is not named here is private.
"""
import importlib
import os
import sys
import types
import typing

# Rooms that have the name of a function: once they are imported, the name here is the function's.
import od_patch.compare  # noqa: F401
import od_patch.export  # noqa: F401
import od_patch.regenerate  # noqa: F401
import od_patch.unfreeze  # noqa: F401
from od_patch._errors import (CheckpointMismatch, EnvironmentRefused,
                              ExporterDeclined, InputRefused, ODPatchError,
                              OutputRefused, ProofFailed, SomeFailed,
                              UsageError)
from od_patch._version import __version__
from od_patch.patch._patching import install, patched, uninstall
from od_patch.serving._batch import Detector, image_of_example

if typing.TYPE_CHECKING:
    from od_patch import api

del od_patch  # which is this module
_Path = typing.Union[str, 'os.PathLike[str]']
_Progress = typing.Optional[typing.Callable[[str], typing.Any]]

_RESULTS = ('CheckpointReport', 'Comparison', 'Diagnosis', 'ExportReport', 'FrozenGraph', 'Inspection', 'Package',
            'Publication', 'Regeneration', 'SeriesReport', 'Unfrozen', 'Verification', 'WrittenRequest')

__all__ = [
    'CheckpointMismatch',
    'Detector',
    'EnvironmentRefused',
    'ExporterDeclined',
    'InputRefused',
    'ODPatchError',
    'OutputRefused',
    'ProofFailed',
    'SomeFailed',
    'UsageError',
    '__version__',
    'compare',
    'doctor',
    'export',
    'freeze',
    'image_of_example',
    'inspect',
    'install',
    'package',
    'patched',
    'publish',
    'regenerate',
    'request',
    'unfreeze',
    'uninstall',
    'verify',
] + list(_RESULTS)


def export(config: _Path, checkpoint: _Path, output: _Path, *, input_type: str = 'image_tensor',
           input_shape: typing.Any = None, config_override: str = '', write_inference_graph: bool = False,
           progress: _Progress = None, **options: typing.Any) -> typing.Any:
    """Exports a detector as the command ``export_inference_graph`` does, and returns what its summary shows.

    TensorFlow's graphs, sessions and switches are afterwards as they were, and nothing is printed to the standard
    output. Under TensorFlow 2, import nothing of ``object_detection`` before the first call: the Object Detection API
    decides at import which of its halves it is.

    Args:
        config: the pipeline.config that the checkpoint was trained with.
        checkpoint: the prefix of a checkpoint, or a training's directory, whose newest is meant.
        output: the directory to write.
        input_type: one of the release's: image_tensor, encoded_image_string_tensor, tf_example.
        input_shape: a list of four numbers, None for a dimension that is left open; or text, as the flag has it.
        config_override: text form of what to merge into the config.
        write_inference_graph: also write the graph as text.
        progress: is called with the name of each stage as it begins.
        **options: flags of od-patch, by their names, as below; and of the release, such as use_side_inputs.
        {options}

    Returns:
        ``ExportReport``; with ``all_checkpoints``, ``checkpoint_steps`` or ``watch``, ``SeriesReport``. With
        ``dry_run`` it says what would be made.

    Raises:
        od_patch.ODPatchError: one of its kinds, in the words of the command. ``SomeFailed`` has the ``report``.
        ValueError: a value that is none of the choices of an option.
        TypeError: there is no option of that name.
    """
    from od_patch.api import _export
    return _export.export(config, checkpoint, output, input_type, input_shape, config_override, write_inference_graph,
                          progress, **options)


def verify(export: typing.Optional[_Path] = None, *, saved_model: typing.Optional[_Path] = None,
           frozen_graph: typing.Optional[_Path] = None, checkpoint: typing.Optional[_Path] = None,
           config: typing.Optional[_Path] = None, images: typing.Sequence[_Path] = (), most_images: int = 8,
           target_tf: typing.Optional[str] = None, quick: bool = False, report: typing.Optional[_Path] = None,
           overwrite: bool = False, progress: _Progress = None) -> 'api.Verification':
    """Proves an export: checkpoint, frozen graph and SavedModel against each other, in files, weights and outputs.

    Args:
        export: the directory of an export, or a SavedModel.
        saved_model, frozen_graph: in place of those of ``export``.
        checkpoint: the trained checkpoint; default: the one that the export names. With ``config`` and nothing else, it
            is exported to a temporary folder, and that is verified.
        config: what it was trained with: says whether its moving averages are meant.
        images: images and folders of them; default: two drawn scenes.
        most_images: take no more than so many of them.
        target_tf: a release of TensorFlow, such as '1.12': does it know all ops and attributes?
        quick: run nothing: files, weights and portability only.
        report: a file: also write the answer as a page.
        overwrite: replace what ``report`` names.
        progress: is called with the name of each stage as it begins.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.OutputRefused, od_patch.EnvironmentRefused: what was named
            cannot be read, meant or written. That an export is not what was trained is an answer, not an error.
    """
    from od_patch.api import _proof
    return _proof.verify(export, saved_model, frozen_graph, checkpoint, config, images, most_images, target_tf, quick,
                         report, overwrite, progress)


def compare(left: _Path, right: _Path, *, outputs: typing.Optional[typing.Sequence[str]] = None,
            checkpoint: typing.Optional[_Path] = None, run: int = 0, canonical: typing.Optional[_Path] = None,
            report: typing.Optional[_Path] = None, overwrite: bool = False,
            progress: _Progress = None) -> 'api.Comparison':
    """Says whether two frozen graphs differ, whether it matters, and why.

    Args:
        left, right: frozen .pb files, SavedModels, .meta files or directories of exports.
        outputs: nodes to compare; default: those of the signature, or detection_boxes and its like.
        checkpoint: look the weights up in this checkpoint: raw values or moving averages?
        run: run both graphs on so many made-up images, and find the first tensor that differs.
        canonical: a file: write the canonical form of ``left``, and of ``right`` beside it where that is another.
        report: a file: also write the answer as a page.
        overwrite: replace what ``canonical`` and ``report`` name.
        progress: is called with the name of each stage as it begins.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.OutputRefused, od_patch.EnvironmentRefused: what was named
            cannot be read, meant or written.
    """
    from od_patch.api import _graphs
    return _graphs.compare(left, right, outputs, checkpoint, run, canonical, report, overwrite, progress)


def inspect(graph: _Path, *, outputs: typing.Optional[typing.Sequence[str]] = None,
            checkpoint: typing.Optional[_Path] = None) -> 'api.Inspection':
    """Tells how a frozen graph was made: TensorFlow, revision of the Object Detection API, settings, transforms.

    Args:
        graph, outputs, checkpoint: as for ``compare``.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.EnvironmentRefused: it cannot be read.
    """
    from od_patch.api import _graphs
    return _graphs.inspect(graph, outputs, checkpoint)


def freeze(saved_model: _Path, output: _Path, *, overwrite: bool = False) -> 'api.FrozenGraph':
    """Writes the frozen graph of an unfrozen SavedModel: every variable a constant again.

    Args:
        saved_model: the SavedModel.
        output: the file to write.
        overwrite: replace a file that is there.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.OutputRefused, od_patch.EnvironmentRefused
    """
    from od_patch.api import _graphs
    return _graphs.freeze(saved_model, output, overwrite)


def unfreeze(graph: _Path, output: typing.Optional[_Path] = None, *, variables: str = '',
             inputs: typing.Optional[typing.Sequence[str]] = None,
             outputs: typing.Optional[typing.Sequence[str]] = None, overwrite: bool = False,
             progress: _Progress = None) -> 'api.Unfrozen':
    """Writes a SavedModel with variables, and a checkpoint of them, from a frozen graph alone.

    Args:
        graph: the frozen graph, or a SavedModel of frozen constants.
        output: the directory to write; without one, nothing is written, and the answer has the constants that would
            become variables.
        variables: a pattern, such as 'BoxPredictor_*': only constants of such names become variables.
        inputs: tensors that are fed; default: those of the signature, or the only placeholder.
        outputs: tensors that are answered; default: those of the signature, or detection_boxes and its like.
        overwrite: replace an export that is there.
        progress: is called with the name of each stage as it begins.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.OutputRefused, od_patch.EnvironmentRefused
        od_patch.ProofFailed: what was written does not compute what the graph does; it is not moved into place.
    """
    from od_patch.api import _serving
    return _serving.unfreeze(graph, output, variables, inputs, outputs, overwrite, progress)


def regenerate(checkpoint: _Path, config: _Path, like: _Path, *, apply: bool = False,
               output: typing.Optional[_Path] = None) -> 'api.Regeneration':
    """Exports a checkpoint, compares with a shipped graph, and says what to set and pin to get the same one.

    Args:
        checkpoint, config: those of the package.
        like: the frozen graph to get again.
        apply: export again with the settings that were found to differ.
        output: a directory: keep the last export there.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.EnvironmentRefused
    """
    from od_patch.api import _graphs
    return _graphs.regenerate(checkpoint, config, like, apply, output)


def publish(export: _Path, base: _Path, *, model_version: typing.Union[int, str, None] = None,
            keep: typing.Optional[int] = None, model_name: typing.Optional[str] = None,
            warmup_images: typing.Optional[typing.Sequence[_Path]] = None,
            example_request: typing.Optional[_Path] = None) -> 'api.Publication':
    """Publishes the SavedModel of an export as a new version in a folder, for a server that watches that.

    Args:
        export: the directory of an export, or a SavedModel.
        base: the folder of the versions, such as models/detector; may be one of a store.
        model_version: a number, or 'step' for the global step of the checkpoint; default: the next one.
        keep: remove all but so many of the largest versions; never the one served.
        model_name: what requests call the model; default: the last part of ``base``.
        warmup_images: images and folders of them, or an empty list for drawn ones: warm-up requests go with the
            version.
        example_request: a folder: also write a request and a client program there.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.OutputRefused, od_patch.EnvironmentRefused
        od_patch.ProofFailed: the SavedModel is damaged.
    """
    from od_patch.api import _serving
    return _serving.publish(export, base, model_version, keep, model_name, warmup_images, example_request)


def request(export: _Path, output: _Path, *, model_name: typing.Optional[str] = None,
            image: typing.Optional[_Path] = None, signature: typing.Optional[str] = None,
            overwrite: bool = False) -> 'api.WrittenRequest':
    """Writes a request for the model, for REST and gRPC, and a client program with the names of its classes.

    Args:
        export: an export, a SavedModel, or a folder with published versions.
        output: the folder to write to.
        model_name: what requests call the model; default: the name of its folder.
        image: the image that is asked about; default: a drawn scene.
        signature: the key of the signature that is asked; default: serving_default.
        overwrite: replace what is there.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.OutputRefused, od_patch.EnvironmentRefused
    """
    from od_patch.api import _serving
    return _serving.request(export, output, model_name, image, signature, overwrite)


def package(service: str, export: _Path, output: _Path, *, model_version: typing.Union[int, str, None] = None,
            model_name: typing.Optional[str] = None, code: typing.Optional[_Path] = None,
            overwrite: bool = False) -> 'api.Package':
    """Packs the SavedModel of an export in the layout that a service's container looks for.

    Args:
        service: 'sagemaker', 'kserve' or 'vertex'.
        export: the directory of an export, or a SavedModel.
        output: the archive (.tar.gz) or the folder to write.
        model_version: a number, or 'step' for the global step of the checkpoint; default: 1.
        model_name: what the model is called; default: the name of its folder.
        code: inference.py, or the folder that holds it, for a SageMaker archive.
        overwrite: replace what is there.

    Raises:
        od_patch.InputRefused, od_patch.UsageError, od_patch.OutputRefused, od_patch.EnvironmentRefused
        od_patch.ProofFailed: the SavedModel is damaged.
    """
    from od_patch.api import _serving
    return _serving.package(service, export, output, model_version, model_name, code, overwrite)


def doctor() -> 'api.Diagnosis':
    """Says what is installed, whether an export can run on it, and what to type where it cannot."""
    from od_patch.api import _proof
    return _proof.doctor()


class _Module(types.ModuleType):
    """This package: what its functions return is imported when it is asked for (Python 3.6 has no other way)."""

    def __getattr__(self, name: str) -> typing.Any:
        if name in _RESULTS:
            from od_patch import api as results
            return getattr(results, name)
        raise AttributeError('module {!r} has no attribute {!r}'.format(self.__name__, name))

    def __reduce__(self) -> typing.Any:
        # Spark and Ray pickle the programs that they are given; those know modules proper by their names.
        return importlib.import_module, (self.__name__,)


def _finish() -> None:
    """The options are written into the docstring of ``export``, from the table that has them."""
    from od_patch.options import _options
    if export.__doc__:  # None with -OO
        export.__doc__ = _options.documented(export.__doc__)
    sys.modules[__name__].__class__ = _Module


_finish()
