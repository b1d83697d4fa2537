"""What is replaced on the exporter module, by what, and how it is put back.

Three steps that can be asked for one by one: ``recognise`` says which release
an exporter module is and what would be replaced; ``install`` replaces it;
``uninstall`` puts it back. Nothing but the attributes of one module is ever
changed; what TensorFlow 2 needs beside that is in ``legacy``, and is on for as
long as the patch is.

Not for: what the replacements do, which is ``_export``.
"""
import collections
import contextlib
import functools
import importlib
import inspect
import logging
import os
import sys
import threading

from od_patch import _errors
from od_patch import _garbage
from od_patch import legacy
from od_patch.export import _artifacts
from od_patch.export import _export
from od_patch.export import _observer
from od_patch.export import _series
from od_patch.legacy import _versions
from od_patch.options import _options
from od_patch.releases import _release_errors
from od_patch.releases import _releases
from od_patch.saved_model import _freeze_graph

EXPORTER = 'object_detection.exporter'

_log = logging.getLogger('od_patch')

Recognised = collections.namedtuple('Recognised', ['module', 'names', 'release', 'blob_id'])
Recognised.__doc__ = """An exporter module that can be patched.

Attributes:
    module: the module.
    names: dict from role (the public name of a function) to the attribute that
        has it in this release; roles that it does not have are absent.
    release: ``_releases.Release``, or None for an unpinned exporter of known shape.
    blob_id: str, git blob id of its source; None where there is no source.
"""

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

_lock = threading.RLock()
_patches = {}  # module name -> _Patch


def install(exporter=None, strict_pin=False):
    """Puts the patch on the exporter module; from then on its exports hold variables.

    Installing twice is harmless. The patch stays until ``uninstall()``.

    Args:
        exporter: the exporter module or its name; default ``object_detection.exporter``,
            which is imported.
        strict_pin: bool, decline an exporter that is not one of the pinned
            releases, instead of warning.

    Raises:
        od_patch.EnvironmentRefused: the module cannot be imported.
        od_patch.ExporterDeclined: it is not an exporter that can be patched.
    """
    with _lock:
        _put_on(exporter, strict_pin, _log.warning).installed = True


def uninstall(exporter=None):
    """Takes the patch off again; every attribute is what it was. Without a patch, does nothing.

    Args:
        exporter: as for ``install``.
    """
    with _lock:
        patch = _patches.get(_name(exporter))
        if patch:
            patch.installed = False
            _take_off_if_unused(patch)


def patched(*args, **kwargs):
    """Context manager: the patch is on inside, for all threads, and as before outside.

    The options are those of exports in this thread. They have the names and the
    meanings of the flags; where a flag takes values with commas, a list will do.

    Args:
        exporter: as for ``install``.
    {options}

    Raises:
        od_patch.UsageError: options that cannot be meant, or do not go together.
        od_patch.EnvironmentRefused, od_patch.ExporterDeclined: as ``install``.
        ValueError: an unknown ``saved_model_variables``, or one of ``artifacts``.
        TypeError: there is no option of that name.
    """
    for name in kwargs:
        if name not in patched.__signature__.parameters:
            raise TypeError('patched() has no option {!r}. {}'.format(
                name, _errors.did_you_mean(name, patched.__signature__.parameters)).rstrip())
    given = patched.__signature__.bind(*args, **kwargs).arguments
    exporter, observer = given.pop('exporter', None), given.pop('_observer', None) or _observer.Observer()
    chosen = _options.values(given)
    return _patched(exporter, chosen.get('strict_pin', False), _options.for_exports(chosen), observer)


patched.__signature__ = _options.signature('_observer')
patched.__doc__ = patched.__doc__ and patched.__doc__.replace('{options}', _options.documented())  # None with -OO


@contextlib.contextmanager
def _patched(exporter, strict_pin, options, observer):
    with _lock:
        patch = _put_on(exporter, strict_pin, observer.note)
        patch.uses += 1
    try:
        with _export.asking(options, observer):
            yield
    finally:
        with _lock:
            patch.uses -= 1
            _take_off_if_unused(patch)


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
            'Use a release of the models repo that is pinned (the table in the README), '
            'or open an issue with this exporter.py.')
    return Recognised(module, names, release, source_blob)


def describe(recognised):
    """Returns the pin of an exporter in words."""
    if recognised.release:
        return '{} ({})'.format(recognised.release.name, recognised.release.commit)
    return 'unpinned (git blob {})'.format(recognised.blob_id)


class _Patch:
    """The patch on one module.

    Attributes:
        recognised: ``Recognised``.
        installed: bool, whether ``install`` holds it.
        uses: int, how many ``patched()`` contexts hold it.
    """

    def __init__(self, recognised):
        self.recognised = recognised
        self.installed = False
        self.uses = 0
        self._originals = {}
        self._replacements = {}

    def apply(self):
        """Replaces what there is to replace; what is there now is what ``remove`` puts back."""
        module = self.recognised.module
        for role, name in self.recognised.names.items():
            self._replace(name, _REPLACEMENTS[role](getattr(module, name), self.recognised))
        # The averaged checkpoint that upstream leaves in the system's temporary folder goes where it is removed.
        self._replace('tempfile', _TemporaryFiles(module.tempfile))

    def remove(self):
        module = self.recognised.module
        for name, original in self._originals.items():
            if vars(module).get(name) is self._replacements[name]:
                setattr(module, name, original)
            else:
                _log.warning('%s.%s was replaced by somebody else after od-patch; left as it is', module.__name__, name)

    def is_on(self):
        """Returns whether the module has any of our replacements; ``importlib.reload`` makes new originals."""
        attributes = vars(self.recognised.module)
        return any(attributes.get(name) is replacement for name, replacement in self._replacements.items())

    def _replace(self, name, replacement):
        self._originals[name] = getattr(self.recognised.module, name)
        self._replacements[name] = replacement
        setattr(self.recognised.module, name, replacement)


class _TemporaryFiles:
    """The ``tempfile`` module as the exporter sees it: during an export, files go to the export's own folder."""

    def __init__(self, original):
        self._original = original

    def __getattr__(self, name):
        return getattr(self._original, name)

    def mkdtemp(self, *args, **kwargs):
        return self._original.mkdtemp(*args, **self._here(kwargs))

    def NamedTemporaryFile(self, *args, **kwargs):  # pylint: disable=invalid-name
        # It goes with the folder; an exporter that fails would keep it longer, and fail to remove it once more.
        kept = {'delete': False} if _export.current() else {}
        return self._original.NamedTemporaryFile(*args, **dict(self._here(kwargs), **kept))

    @staticmethod
    def _here(kwargs):
        export = _export.current()
        if export and kwargs.get('dir') is None:
            kwargs = dict(kwargs, dir=export.temporary_directory)
        return kwargs


# Each of the following makes the replacement of one function: what upstream's callers see stays as it is.


def _around_export(original, recognised):
    """export_inference_graph and _export_inference_graph: the outer one stages, the inner one says what is exported."""
    @functools.wraps(original)
    def export(*args, **kwargs):
        with _release_errors.explained():
            return _export_in_words(*args, **kwargs)

    def _export_in_words(*args, **kwargs):
        arguments = _export.bind(original, args, kwargs)
        under_way = _export.current()
        if under_way:
            return _until_nothing_is_left(original, under_way.arguments_for(arguments))
        options, observer = _export.asked()
        with _held(recognised.module) as is_on:
            if not is_on:  # somebody kept this function from a time when the patch was on
                return original(*args, **kwargs)
            around = _series.series if options.series else _export.whole
            with legacy.tf1_behaviour(), around(options, observer, describe(recognised), arguments) as under_way:
                instead = under_way.arguments_for(arguments)
                if under_way.has_work():
                    return _until_nothing_is_left(_without_autograph(original), instead)
                return None
    return export


def _until_nothing_is_left(function, arguments):
    """Calls a function of the release, which ends where all that was asked for is made."""
    try:
        return function(**arguments)
    except _NothingLeft:
        return None


def _without_autograph(function):
    """Returns a function that builds the same graph as it is written, with no code of its layers converted.

    The exporter was written before AutoGraph. Converting costs time, and a file for each
    function in the folder for temporary files, which stays there when the process is killed.
    """
    import tensorflow as tf
    if not _versions.at_least('tensorflow', '1.15'):  # before, it takes other arguments, or is not there
        return function
    return tf.autograph.experimental.do_not_convert(function)


@contextlib.contextmanager
def _held(module):
    """Keeps the patch on while an export runs, whatever other threads do; yields whether it is on at all."""
    with _lock:
        patch = _patches.get(module.__name__)
        if patch:
            patch.uses += 1
    try:
        yield patch is not None
    finally:
        if patch:
            with _lock:
                patch.uses -= 1
                _take_off_if_unused(patch)


class _NothingLeft(Exception):
    """All that was asked for is made: what is left of the release's export helper is passed over."""


def _around_build(original, recognised):
    """build_detection_graph: when it returns, the graph can be checked against the checkpoint.

    Where only the graph is needed, everything is made here. What the release does next would not be used, a saver of
    its own and the whole graph as a protocol buffer, twice: a tenth of an export's time, and 40 MB on large graphs.
    """
    @functools.wraps(original)
    def build_detection_graph(*args, **kwargs):
        under_way = _export.current()
        if not under_way:
            return original(*args, **kwargs)
        with _garbage.paused():  # a series goes on for long after it
            result = original(*args, **kwargs)
        _check_graph()
        # Of the releases it is known that these very tensors are what write_saved_model is called with.
        if recognised.release and under_way.needs_only_the_graph:
            outputs, inputs = result
            under_way.write_saved_model(None, {'inputs': inputs, 'outputs': outputs})
            raise _NothingLeft()
        return result
    return build_detection_graph


def _unless_unasked(stage, is_asked):
    """Makes the replacement of a function that runs on the finished graph: checks it first, and names the stage.

    Args:
        stage: str.
        is_asked: function from the export to whether what the function makes is
            asked for; where it is not, the function is not called.
    """
    def make(original, recognised):
        del recognised

        @functools.wraps(original)
        def replacement(*args, **kwargs):
            under_way = _export.current()
            if under_way:
                _check_graph()
                if not is_asked(under_way):
                    return None
                under_way.observer.stage(stage)
            return original(*args, **kwargs)
        return replacement
    return make


def _instead_of_freezing(original, recognised):
    """freeze_graph_with_def_protos: without a session; an empty graph where none is asked for."""
    del recognised

    @functools.wraps(original)
    def freeze_graph_with_def_protos(*args, **kwargs):
        under_way = _export.current()
        if not under_way:
            return original(*args, **kwargs)
        _check_graph()
        if not under_way.freezes:
            from od_patch import _tensorflow
            return _tensorflow.tf1().GraphDef()  # write_saved_model is given it, and does not look at it
        under_way.observer.stage('frozen graph')
        frozen = _freeze_graph.freeze(_export.bind(original, args, kwargs))
        return original(*args, **kwargs) if frozen is None else frozen
    return freeze_graph_with_def_protos


class _FreezeGraph:
    """The module ``freeze_graph`` of TensorFlow as the exporter sees it."""

    def __init__(self, original, recognised):
        self._original = original
        self.freeze_graph_with_def_protos = _instead_of_freezing(original.freeze_graph_with_def_protos, recognised)

    def __getattr__(self, name):
        return getattr(self._original, name)


def _instead_of_write_saved_model(original, recognised):
    """write_saved_model: variables instead of constants during an export; outside of one, upstream's."""
    del recognised

    @functools.wraps(original)
    def write_saved_model(*args, **kwargs):
        under_way = _export.current()
        if not under_way:
            return original(*args, **kwargs)
        arguments = _export.bind(original, args, kwargs)
        return under_way.write_saved_model(original, arguments)
    return write_saved_model


_REPLACEMENTS = {
    'export_inference_graph': _around_export,
    '_export_inference_graph': _around_export,
    'build_detection_graph': _around_build,
    'profile_inference_graph': _unless_unasked('profile', lambda export: export.profiles),
    'replace_variable_values_with_moving_averages': _unless_unasked('moving averages', lambda export: export.restores),
    'write_graph_and_checkpoint': _unless_unasked(
        'checkpoint', lambda export: _artifacts.CHECKPOINT in export.artifacts),
    'freeze_graph_with_def_protos': _instead_of_freezing,
    'freeze_graph': _FreezeGraph,
    'write_frozen_graph': _unless_unasked('frozen graph', lambda export: export.freezes),
    'write_saved_model': _instead_of_write_saved_model,
}


def _check_graph():
    if _export.current():
        from od_patch import _tensorflow
        _export.current().graph_is_built(_tensorflow.tf1().get_default_graph())


_thread_options = _export.asked


def _name(exporter):
    return exporter if isinstance(exporter, str) else getattr(exporter, '__name__', EXPORTER)


def _put_on(exporter, strict_pin, warn):
    """Returns the ``_Patch`` on an exporter, which is applied if it was not; the caller says what holds it."""
    name = _name(exporter)
    patch = _patches.get(name)
    with legacy.on():  # importing the exporter needs the bridges, too
        module = exporter if inspect.ismodule(exporter) else _import(name)
        if patch and patch.recognised.module is module:
            _check_pin(patch.recognised, strict_pin, warn)
            if not patch.is_on():
                patch.apply()
            return patch
        recognised = recognise(module)
        _check_pin(recognised, strict_pin, warn)
        patch = _Patch(recognised)
        patch.apply()
        if name not in _patches:
            legacy.put_on()
        _patches[name] = patch
        return patch


def _take_off_if_unused(patch):
    if not patch.installed and not patch.uses and _patches.get(patch.recognised.module.__name__) is patch:
        del _patches[patch.recognised.module.__name__]
        patch.remove()
        legacy.take_off()


def _import(name):
    if name not in sys.modules:  # or it is being imported: patches/*.patch call install() from its last line
        try:
            with legacy.tf1_behaviour():  # the OD API asks it at import which of its halves to import
                importlib.import_module(name)
        except ImportError as error:
            raise _errors.EnvironmentRefused(
                '{} cannot be imported: {}'.format(name, error),
                'Put the folder research of the models repo, and research/slim, on PYTHONPATH.')
    _check_half()
    return sys.modules[name]


def _check_half():
    """Refuses an OD API whose model builder was imported under TensorFlow 2's behaviour: it lacks the TF 1 models."""
    builder = sys.modules.get('object_detection.builders.model_builder')
    if hasattr(builder, 'SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP') and not hasattr(
            builder, 'SSD_FEATURE_EXTRACTOR_CLASS_MAP'):
        raise _errors.EnvironmentRefused(
            'object_detection.builders.model_builder was imported before od-patch, and under TensorFlow 2 it then has '
            'the models of TensorFlow 2 only.',
            'Call od_patch.install(), or enter od_patch.patched(), before importing anything of object_detection; '
            'or use the command export_inference_graph.')


def _check_pin(recognised, strict_pin, warn):
    """Declines, or warns about, an exporter that is not one of the pinned releases."""
    if recognised.release:
        return
    text = '{} is not one of the pinned releases (git blob {}), but has their shape.'.format(
        getattr(recognised.module, '__file__', recognised.module.__name__), recognised.blob_id)
    if strict_pin:
        raise _errors.ExporterDeclined(
            text, 'Leave out --strict_pin (strict_pin=True) to patch it all the same, '
            'or check out a release from the table in the README.')
    warn(text + ' It is patched all the same; compare what it exports before you rely on it.')


def _differences(module, names):
    """Returns what keeps a module from being an exporter of known shape, a list of sentences."""
    differences = []
    for role, expected in _SHAPE.items():
        if role not in names:
            differences.append('there is no function {}({}, …)'.format(' or '.join(_ROLES[role]), ', '.join(expected)))
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
