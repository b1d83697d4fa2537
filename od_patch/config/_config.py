"""Reads a pipeline config as the release's script is about to, to refuse it in words if it cannot be read.

Not for: changing anything in it; the script reads the file again for itself.
"""
import contextlib
import difflib
import os
import re
import sys
import tempfile

from od_patch import _errors
from od_patch import _tensorflow
from od_patch.checkpoint import _checkpoint
from od_patch.config import _reading
from od_patch.releases import _releases

_POSITION = re.compile(r'^(\d+):(\d+) ?: ?(.*)$', re.DOTALL)


MEANT = ('pipeline config',
         'Give --pipeline_config_path the pipeline.config (or .config) file that the checkpoint was trained with.')


def read(path, override='', half=1):
    """Returns the ``TrainEvalPipelineConfig`` of a file, with an override merged into it.

    Args:
        path: str, a pipeline config in text form.
        override: str, text form of what to merge, as ``--config_override`` has it.
        half: int, of the Object Detection API; what ``check`` looks for is known of the first.

    Raises:
        od_patch.InputRefused: there is no such file, or it does not parse: with
            the line, what is wrong with it, and what that can mean.
    """
    from object_detection.protos import pipeline_pb2
    text = read_text(path, *MEANT)
    config = pipeline_pb2.TrainEvalPipelineConfig()
    merge(text, config, 'The pipeline config {}'.format(path))
    if override:
        merge(override, config, '--config_override')
    if not config.model.WhichOneof('model'):
        raise _errors.InputRefused(
            'The pipeline config {} describes no model: it has no block model {{ ssd {{ … }} }} or '
            'model {{ faster_rcnn {{ … }} }}.'.format(path),
            'Give the pipeline.config that the checkpoint was trained with.')
    if half == 1:
        check(config)
    return config


def read_text(path, what, remedy):
    """Returns the text of a file that a person gave, UTF-8.

    Args:
        path: str; what: str, what the file should be, such as ``'pipeline config'``; remedy: str, which file to give.

    Raises:
        od_patch.InputRefused: there is no such file, or it is none of text.
    """
    gfile = _tensorflow.gfile()
    if not gfile.Exists(path):
        raise _errors.InputRefused('There is no {} {!r}.'.format(what, path), remedy)
    if gfile.IsDirectory(path):
        raise _errors.InputRefused('The {} {!r} is a directory.'.format(what, path), remedy)
    with gfile.GFile(path, 'rb') as text_file:
        content = text_file.read()
    try:
        return _reading.plain(_reading.decode(content))
    except _reading.Unreadable as error:
        raise _errors.InputRefused('The {} {} cannot be read: {}.'.format(what, path, error), error.remedy or remedy)


@contextlib.contextmanager
def readable(path):
    """Context: the path of a config that the release's script reads, too: itself, or a copy in plain UTF-8.

    Args:
        path: str, a config that ``read`` reads.
    """
    gfile = _tensorflow.gfile()
    with gfile.GFile(path, 'rb') as file:
        content = file.read()
    text = read_text(path, 'pipeline config', '').encode('utf-8')
    if text == content:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix='od-patch-') as folder:
        copy = os.path.join(folder, os.path.basename(path))
        with open(copy, 'wb') as file:
            file.write(text)
        yield copy


def check(config):
    """Refuses a config that the TF 1 exporter cannot export under the installed TensorFlow, or as this release is.

    Args:
        config: ``TrainEvalPipelineConfig``.

    Raises:
        od_patch.InputRefused: the model is one of the OD API's TF 2 half, or its feature extractor is none that the
            release has.
        od_patch.EnvironmentRefused: it needs what only TensorFlow 1 has.
    """
    import tensorflow
    if tensorflow.__version__.startswith('1.'):
        _check_extractor(config)
        return
    native = _tf2_native(config)
    if native:
        raise _errors.InputRefused(
            'The pipeline config is one of TensorFlow 2\'s own models ({}), which are exported '
            'from checkpoints of TensorFlow 2.'.format(native),
            'Give the checkpoint of that training: export_inference_graph exports both. Its own exporter runs, too:\n' +
            _checkpoint.tensorflow_2_command('…'))
    if config.HasField('graph_rewriter'):
        raise _errors.EnvironmentRefused(
            'The pipeline config has a graph_rewriter (quantization), which needs tf.contrib.quantize, and '
            'TensorFlow {} has no contrib.'.format(tensorflow.__version__),
            'Export it under TensorFlow 1: 1.15 on Python 3.7, or 1.12 on Python 3.6 for r1.12.0 (the table in '
            'docs/releases.md). The SavedModel runs on TensorFlow 2 all the same.')
    _check_extractor(config)


def _check_extractor(config):
    """Refuses a feature extractor that the model builder, as it is in this process, does not have."""
    builder = sys.modules.get('object_detection.builders.model_builder')
    architecture = config.model.WhichOneof('model')
    known = {kind: sorted(set().union(*[table for name, table in vars(builder).items() if re.match(
        kind.upper() + r'_.*FEATURE_EXTRACTOR_CLASS_MAP$', name)]) if builder else ())
        for kind in ('ssd', 'faster_rcnn')}
    if not known.get(architecture):
        return
    extractor = getattr(config.model, architecture).feature_extractor.type
    if extractor in known[architecture] or not _is_unknown(builder, config):
        return
    problem = ('The feature extractor {!r} of the pipeline config is none that this release has for '
               'model {{ {} }}.'.format(extractor, architecture))
    nearest = sorted(known[architecture], key=lambda name: (
        -difflib.SequenceMatcher(None, extractor, name).ratio(), name))
    remedy = 'It has, the nearest first: {}.'.format(', '.join(nearest))
    other = [kind for kind, names in known.items() if extractor in names]
    first = _releases.first_with(extractor)
    if other:
        remedy = 'It is one of model {{ {} }}.\n'.format(other[0]) + remedy
    elif first:
        remedy = 'Releases from {} on have it.\n'.format(first) + remedy
    elif extractor.endswith('_keras'):
        remedy = 'It is one of TensorFlow 2\'s, which exporter_main_v2 exports.\n' + remedy
    raise _errors.InputRefused(problem, remedy + (
        '\nIf it is your own, it has to be registered with the model builder before the export: '
        'python -m od_patch SCRIPT  runs your script that does so and exports.'))


def _is_unknown(builder, config):
    """Returns whether building the model fails for its extractor: a builder may know more than its tables have."""
    try:
        with _tensorflow.tf1().Graph().as_default():
            builder.build(config.model, is_training=False)
    except ValueError as error:
        # The second is what releases of 2022 say before they look into a table.
        return re.search(r'Unknown .*feature_extractor|is not supported for tf version', str(error)) is not None
    except Exception:  # pylint: disable=broad-except
        pass  # whatever it is, it is not that
    return False


def _tf2_native(config):
    """Returns what of a config only the OD API's TF 2 half has, as str; None where there is nothing.

    Its feature extractors are named after the Keras models that they are made
    of; the architectures without a TF 1 form are those that
    ``model_builder.build`` of package D knows in that half only.
    """
    architecture = config.model.WhichOneof('model')
    if architecture is None:  # as a caller in Python may have it: the release says so
        return None
    if architecture == 'center_net':
        return 'model {{ {} }}'.format(architecture)
    model = getattr(config.model, architecture)
    extractor = model.feature_extractor.type if hasattr(model, 'feature_extractor') else ''
    return 'feature_extractor {{ type: "{}" }}'.format(extractor) if '_keras' in extractor else None


def merge(text, config, what, later=()):
    """Merges the text form of a message into it.

    Args:
        text: str; config: the message; what: str, what to call the text in a refusal.
        later: names of fields that other releases have, and that are passed over where this one has not.

    Raises:
        od_patch.InputRefused: it does not parse: with the line, what is wrong with it, and what that can mean.
    """
    from google.protobuf import text_format
    try:
        text_format.Merge(text, config)
    except (text_format.ParseError, UnicodeError, ValueError) as error:
        unknown = re.search(r'has no field named "([^"]*)"', str(error))
        if unknown and unknown.group(1) in later:
            config.Clear()
            try:
                text_format.Merge(text, config, allow_unknown_field=True)
                return
            except (text_format.ParseError, UnicodeError, ValueError) as another:
                error = another
        raise _errors.InputRefused(*_explained(str(error), text, what, config.DESCRIPTOR))


_LABEL_MAP = 'StringIntLabelMap'
# What a file of a kind looks like, by the name of its message.
_WHOLE = {_LABEL_MAP: 'A label map has a block for each class:  item { id: 1 name: "circle" }',
          'TrainEvalPipelineConfig': 'Give the pipeline.config, which begins like  model { ssd { … } }'}


def _nearest_field(message, descriptor):
    """Returns which field of the message that is at fault was meant, as a remedy; '' where none is near."""
    found = re.search(r'Message type "([\w.]+)" has no field named "([^"]*)"', message)
    if not found:
        return ''
    return _errors.did_you_mean(found.group(2), _fields(descriptor, found.group(1), set()))


def _fields(descriptor, full_name, seen):
    """Returns the names of the fields of a message below another one; empty where there is no such message."""
    if descriptor.full_name == full_name:
        return [field.name for field in descriptor.fields]
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        if field.message_type is not None and field.message_type.full_name not in seen:
            names = _fields(field.message_type, full_name, seen)
            if names:
                return names
    return []


def _is_of_label_map(message):
    return re.search(r'PipelineConfig" has no field named "item"', message) is not None


def _explained(message, text, what, descriptor):
    """Returns (problem, remedy) for an error of protobuf's text parser."""
    other = _reading.looks_like(text)
    if other:
        return ('{} does not parse: it looks like {}.'.format(what, other),
                _WHOLE.get(descriptor.name, 'Give the file itself.'))
    slips = _reading.slips(text)
    if slips:
        lines = text.split('\n')
        number, problem, remedy = slips[0]
        line = lines[number - 1].strip()[:80] if number <= len(lines) else ''
        return '{} does not parse in line {} ("{}"): {}.'.format(what, number, line, problem), remedy
    found = _POSITION.match(message)
    where = ''
    if found:
        number = int(found.group(1))
        message = found.group(3)
        lines = text.splitlines()
        line = lines[number - 1].strip() if 0 < number <= len(lines) else ''
        where = ' in line {}'.format(number) + (' ("{}")'.format(line[:80]) if line else '')
    bare = re.search(r"Expected string but found: '?([\w.-]+)", message)
    remedy = 'Text stands between quotes: "{}".'.format(bare.group(1)) if bare else 'Correct that line.'
    nearest = _nearest_field(message, descriptor)
    if 'has no field named' in message and descriptor.name == _LABEL_MAP:
        remedy = nearest or _WHOLE[_LABEL_MAP]
    elif 'has no field named' in message and _is_of_label_map(message):
        remedy = 'It is a label map, which --label_map_path takes. ' + remedy
    elif 'has no field named' in message:
        remedy = ('The installed release of the Object Detection API does not know that field; another one may. '
                  'Check its spelling, export with the release that the detector was trained with, or remove it '
                  'if it only concerns training.')
        remedy = (nearest + ' ' + remedy).strip()
    elif 'has no value named' in message or 'Enum type' in message:
        remedy = ('The installed release of the Object Detection API does not know that value; another one may. '
                  'Check its spelling, or export with the release that the detector was trained with.')
    return '{} does not parse{}: {}'.format(what, where, message), remedy
