"""Which release an exporter module is, and whether it has the shape that the replacements rely on.

Not for: replacing anything; that is ``_patch``.
"""
import collections
import inspect
import os
import typing

from od_patch import _errors
from od_patch.releases import _releases


class Recognised(typing.NamedTuple):
    """An exporter module that can be patched."""

    module: typing.Any  # the module
    # dict from role (the public name of a function) to the attribute that has it in this release; roles that it does
    # not have are absent.
    names: typing.Any
    release: typing.Any  # ``_releases.Release``, or None for an unpinned exporter of known shape
    blob_id: str  # git blob id of its source; None where there is no source


# role -> the attribute names it has had, newest first. Until 2018-02-09 the helpers carried an underscore.
_ROLES = collections.OrderedDict([
    ('export_inference_graph', ('export_inference_graph',)),
    ('_export_inference_graph', ('_export_inference_graph',)),
    ('build_detection_graph', ('build_detection_graph', '_build_detection_graph')),
    ('profile_inference_graph', ('profile_inference_graph',)),
    ('replace_variable_values_with_moving_averages', ('replace_variable_values_with_moving_averages',)),
    ('write_graph_and_checkpoint', ('write_graph_and_checkpoint', '_write_graph_and_checkpoint')),
    # Until 2018-07-02 the exporter froze by itself; since then it calls TensorFlow's, by the name of its module.
    ('freeze_graph_with_def_protos', ('freeze_graph_with_def_protos',)),
    ('freeze_graph', ('freeze_graph',)),
    ('write_frozen_graph', ('write_frozen_graph', '_write_frozen_graph')),
    ('write_saved_model', ('write_saved_model', '_write_saved_model')),
])

# What every exporter from 2017-10-27 on has in common, and what the replacements rely on: the leading parameters
# of each function, by role. build_detection_graph and profile_inference_graph came later and are not needed.
_SHAPE = collections.OrderedDict([
    ('export_inference_graph',
     ('input_type', 'pipeline_config', 'trained_checkpoint_prefix', 'output_directory', 'input_shape')),
    ('_export_inference_graph',
     ('input_type', 'detection_model', 'use_moving_averages', 'trained_checkpoint_prefix', 'output_directory',
      'additional_output_tensor_names', 'input_shape')),
    ('replace_variable_values_with_moving_averages',
     ('graph', 'current_checkpoint_file', 'new_checkpoint_file')),
    ('write_graph_and_checkpoint',
     ('inference_graph_def', 'model_path', 'input_saver_def', 'trained_checkpoint_prefix')),
    ('write_saved_model', ('saved_model_path', 'frozen_graph_def', 'inputs', 'outputs')),
])


def recognise(module):
    """Returns the ``Recognised`` exporter, without changing anything.

    Args:
        module: the exporter module.

    Raises:
        od_patch.ExporterDeclined: with what is different, in words.
    """
    names = {}
    for role, candidates in _ROLES.items():
        for name in candidates:
            if callable(getattr(module, name, None)) or inspect.ismodule(getattr(module, name, None)):
                names[role] = name
                break
    source_blob = _blob_id(module)
    release = _releases.find(source_blob)
    differences = _differences(module, names)
    if differences:
        raise _errors.ExporterDeclined(
            '{} is not an exporter that od-patch knows (git blob {}):\n{}'.format(
                getattr(module, '__file__', module.__name__), source_blob or 'unknown, there is no source',
                '\n'.join('  - ' + difference for difference in differences)),
            'Use a release of the models repo that is pinned (the table in docs/releases.md), '
            'or open an issue with this exporter.py.')
    return Recognised(module, names, release, source_blob)


def describe(recognised):
    """Returns the pin of an exporter in words."""
    if recognised.release:
        return '{} ({})'.format(recognised.release.name, recognised.release.commit)
    return 'unpinned (git blob {})'.format(recognised.blob_id)


def _differences(module, names):
    """Returns what keeps a module from being an exporter of known shape, a list of sentences."""
    differences = []
    for role, expected in _SHAPE.items():
        if role not in names:
            differences.append('there is no function {}({}, …)'.format(
                ' or '.join(_ROLES[role]), ', '.join(expected)))
            continue
        found = list(inspect.signature(getattr(module, names[role])).parameters)
        if tuple(found[:len(expected)]) != expected:
            differences.append('{} takes ({}), where ({}) is expected'.format(
                names[role], ', '.join(found), ', '.join(expected)))
    if not differences:
        differences = _differences_inside(module, names)
    if not differences and 'freeze_graph' not in names and 'freeze_graph_with_def_protos' not in names:
        differences.append('it freezes neither by itself nor with the module freeze_graph')
    if not hasattr(module, 'tempfile'):
        differences.append('it does not import tempfile')
    return differences


def _differences_inside(module, names):
    """Compares what the export helper calls, and in which order, with what every known release does."""
    code = inspect.unwrap(getattr(module, names['_export_inference_graph'])).__code__
    expected = [names['replace_variable_values_with_moving_averages'], names['write_graph_and_checkpoint'],
                'freeze_graph_with_def_protos', names['write_saved_model']]
    called = [name for name in code.co_names if name in expected]  # in the order of their first use
    if called != expected:
        return ['{} uses {}, where {} is expected, in this order'.format(
            names['_export_inference_graph'], ', '.join(called) or 'none of its helpers', ', '.join(expected))]
    if 'model.ckpt' not in code.co_consts:
        return ['{} does not write model.ckpt'.format(names['_export_inference_graph'])]
    return []


def _blob_id(module):
    """Returns the git blob id of a module's source, or None where there is none."""
    path = getattr(module, '__file__', None)
    if not path:
        return None
    if path.endswith('.pyc'):
        path = path[:-1]
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as source:
        return _releases.blob_id(source.read())
