"""The command ``export_inference_graph`` on a model of TensorFlow 2: its flags, and what is installed.

Not for: the export (``export._second_half``).
"""
import importlib

from od_patch import _errors
from od_patch import legacy
from od_patch.config import _config
from od_patch.export import _second_half
from od_patch.legacy import _versions
from od_patch.options import _flags
from od_patch.options import _options
from od_patch.releases import _releases

_EXPORTER = 'object_detection.exporter_lib_v2'
_SIDE = 'image_and_boxes_tensor'  # takes boxes beside the images
_OWN = {'signature_input_name': _second_half.INPUT}  # what is the default here: the release's key
_TYPES = ('encoded_image_string_tensor', 'float_image_tensor', 'image_tensor', 'tf_example')


def check(values):
    """Refuses, before TensorFlow is imported, flags that mean nothing for models of TensorFlow 2.

    Args:
        values: ``FlagValues`` of the release's TF 1 script and of od-patch, parsed.

    Raises:
        od_patch.UsageError
    """
    _second_half.check_options(_flags.values(values))
    _second_half.check_flags({name: values[name].value for name in values})
    _input_type(values, _TYPES)
    _input_shape(values)


def export(values, log, progress):
    """Exports as parsed flags say, in TensorFlow 2's own behaviour.

    Args:
        values: ``FlagValues`` of the release's TF 1 script and of od-patch.
        log: ``_log_file.Log``; progress: the observer of the export.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    options = _options.for_exports(_options.keywords(dict(_OWN, **_flags.values(values))))
    with log.redirected(), legacy.on_eager():
        exporter, release = _import()
        arguments = {
            'input_type': _input_type(values, set(exporter.DETECTION_MODULE_MAP) - {_SIDE}),
            'pipeline_config': _config.read(
                values.pipeline_config_path, values.config_override if 'config_override' in values else '', half=2),
            'trained_checkpoint_prefix': values.trained_checkpoint_prefix,
            'output_directory': values.output_directory,
            'input_shape': _input_shape(values),
        }
        if 'additional_output_tensor_names' in values and values['additional_output_tensor_names'].value:
            names = values['additional_output_tensor_names'].value
            arguments['additional_output_tensor_names'] = names.split(',') if isinstance(names, str) else list(names)
        _second_half.export(options, progress, release, arguments, exporter)


def _import():
    """Returns (``exporter_lib_v2``, which it is in words).

    Raises:
        od_patch.EnvironmentRefused: it cannot be imported here.
    """
    if not _versions.at_least('tensorflow', '2.2'):
        raise _errors.EnvironmentRefused(
            'The pipeline config and the checkpoint are of TensorFlow 2, and this Python has TensorFlow {}.'.format(
                _versions.installed('tensorflow')),
            'Export them on TensorFlow 2.12 to 2.21 (the table in docs/releases.md).')
    try:
        module = importlib.import_module(_EXPORTER)
    except ImportError as error:
        raise _errors.EnvironmentRefused(
            '{} cannot be imported: {}'.format(_EXPORTER, error),
            'It is part of the Object Detection API since July 2020. "od-patch doctor" lists what it imports.')
    with open(module.__file__, 'rb') as source:
        return module, 'exporter_lib_v2 (git blob {})'.format(_releases.blob_id(source.read()))


def _input_type(values, types):
    """Returns the input type, one of those that there are for models of TensorFlow 2."""
    types = sorted(types)
    if values.input_type not in types:
        raise _errors.UsageError(
            '--input_type={} is {}; of models of TensorFlow 2 it can be one of {}.'.format(
                values.input_type, 'exported by exporter_main_v2 alone' if values.input_type == _SIDE else
                'unknown to this release', ', '.join(types)),
            _errors.did_you_mean(values.input_type, types, '--input_type='))
    return values.input_type


def _input_shape(values):
    """Returns --input_shape as a list of int or None; None where it is not given.

    Raises:
        od_patch.UsageError: it is not the shape of a batch of images.
    """
    if not values.input_shape:
        return None
    shape = values.input_shape if isinstance(values.input_shape, list) else values.input_shape.split(',')
    expected = ('--input_shape is batch,height,width,channels, such as 1,320,320,3; -1 stands for a dimension that is '
                'left open, other than the last.')
    try:
        dimensions = [int(dimension) for dimension in shape]
    except ValueError:
        raise _errors.UsageError('--input_shape={} is not a list of numbers.'.format(','.join(shape)), expected)
    if len(dimensions) != 4 or dimensions[3] != 3 or any(size < 1 and size != -1 for size in dimensions):
        raise _errors.UsageError('--input_shape={} is not the shape of a batch of images of three channels.'.format(
            ','.join(shape)), expected)
    if values.input_type not in ('image_tensor', 'float_image_tensor'):
        raise _errors.UsageError(
            '--input_shape is not for --input_type={}: encoded images have the size that they have.'.format(
                values.input_type), 'Leave it out.')
    return [None if size == -1 else size for size in dimensions]
