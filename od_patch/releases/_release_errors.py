"""Errors that the releases' own Python is known to raise, in words and with what to do about them.

Not for: errors of the user's files, which are looked at before the release is called (``_config``, ``_checkpoint``),
nor for what nobody has met yet: that stays as it is, with its traceback.
"""
import collections
import contextlib
import re
import traceback

from od_patch import _errors

_Known = collections.namedtuple('_Known', ['kind', 'text', 'within', 'refusal', 'problem', 'remedy'])
_Known.__doc__ = """One error of the releases.

Attributes:
    kind: exception type; text: pattern of what it says.
    within: pattern that the traceback has the name of a function or of a file of; '' for any.
    refusal: the kind of ``ODPatchError`` that it becomes.
    problem, remedy: str; the groups of ``text`` may be used by number.
"""

_KNOWN = tuple(_Known(*row) for row in (
    (TypeError, r'unsupported operand type\(s\) for \+: .NoneType. and .int.', r'add_output_tensor_nodes$',
     _errors.InputRefused,
     'The model has no second stage (number_of_stages: 1), and the release exports detections only: boxes with '
     'classes, which the first stage does not have.',
     'Where the checkpoint has a second stage, add --config_override "model { faster_rcnn { number_of_stages: 2 } }". '
     'A model that only proposes boxes is exported by none of the releases.'),
    (TypeError, r'dict_keys. object (?:does not support indexing|is not subscriptable)',
     r'pooling_pyramid_feature_maps$', _errors.EnvironmentRefused,
     'The pooling pyramid (…_ppn) of this release does not run on Python 3: releases before 2020-05-12 wrote it for '
     'Python 2.',
     'Export it with a release of 2020-05-12 or later, which builds the same graph; or change '
     'image_features.keys()[0] in object_detection/models/feature_map_generators.py to list(image_features)[0].'),
    (ValueError, r'Max classes per detection box >1 not supported', '', _errors.InputRefused,
     'Class-agnostic non-maximum suppression takes one class for each box, and the config asks for more '
     '(max_classes_per_detection).',
     'Set max_classes_per_detection: 1 in batch_non_max_suppression, or leave out use_class_agnostic_nms.'),
    (TypeError, r'(?:got an unexpected keyword argument|missing a required argument:) .(\w+).|'
     r'too many (?:positional|keyword) arguments', r'(?:^|/)(?:bind|export_inference_graph(?:\.py)?)$',
     _errors.EnvironmentRefused,
     'The script and the exporter are of different releases: the script calls the exporter\'s export_inference_graph '
     'with other arguments than it takes.',
     'Take export_inference_graph.py and exporter.py from one checkout of the models repo; "od-patch doctor" says '
     'which release the exporter is of.'),
    (AttributeError, r'module .object_detection\.exporter. has no attribute .(\w+).', '', _errors.EnvironmentRefused,
     'The script and the exporter are of different releases: the script uses \\1, which the exporter does not have.',
     'Take export_inference_graph.py and exporter.py from one checkout of the models repo; "od-patch doctor" says '
     'which release the exporter is of.'),
    (TypeError, r'got an unexpected keyword argument .(\w+).', r'/object_detection/', _errors.EnvironmentRefused,
     'Files of the Object Detection API are of different releases: one calls another with \\1, which it does not take.',
     'Check the folder out anew, and compile its protos again.'),
))


@contextlib.contextmanager
def explained():
    """Context in which an error that is known becomes a refusal in words.

    Raises:
        od_patch.ODPatchError: one of its kinds, with the release's own words in it.
    """
    try:
        yield
    except _errors.ODPatchError:
        raise
    except Exception as error:  # pylint: disable=broad-except
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error


def refusal_of(error):
    """Returns the ``ODPatchError`` that an error of a release is known as; None for one that is not known."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame.name for frame in frames] + [frame.filename.replace('\\', '/') for frame in frames]
    for known in _KNOWN:
        found = re.search(known.text, str(error))
        if isinstance(error, known.kind) and found and any(re.search(known.within, place) for place in places):
            problem = re.sub(r'\\(\d)', lambda group: found.group(int(group.group(1))) or '', known.problem)
            return known.refusal('{} ({}: {})'.format(problem, type(error).__name__, error), known.remedy)
    return None


def defects(graph):
    """Returns in words what keeps a finished inference graph of a release from running, a list; mostly empty.

    Args:
        graph: tf.Graph.
    """
    for operation in graph.get_operations():
        if operation.type.startswith('TensorArrayWrite'):
            array = _tensor_array(operation)
            if array is not None and array.get_attr('dtype') != operation.get_attr('T'):
                return ['this graph cannot run: {} writes {} into an array of {}. Releases from 2019-05-30 on build '
                        'it so for use_class_agnostic_nms. Leave that out of batch_non_max_suppression: the checkpoint '
                        'is the '
                        'same.'.format(operation.name, operation.get_attr('T').name, array.get_attr('dtype').name)]
    return []


def _tensor_array(operation):
    """Returns the operation that makes the array that another one writes into; None where it is not found."""
    for _ in range(100):
        if not operation.inputs:
            return operation if operation.type.startswith('TensorArrayV') else None
        if operation.type.startswith('TensorArrayV'):
            return operation
        operation = operation.inputs[0].op
    return None
