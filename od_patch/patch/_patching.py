"""Puts the patch on an exporter module, and takes it off: ``install``, ``uninstall`` and ``patched``.

Not for: what is replaced and by what (``_patch``), nor for which exporter it is (``_recognition``).
"""
import contextlib
import importlib
import inspect
import logging
import sys

from od_patch import _errors
from od_patch import legacy
from od_patch.export import _current
from od_patch.export import _observer
from od_patch.options import _options
from od_patch.patch import _holders
from od_patch.patch import _patch
from od_patch.patch import _recognition

EXPORTER = 'object_detection.exporter'

_log = logging.getLogger('od_patch')


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
    with _holders.lock:
        _put_on(exporter, strict_pin, _log.warning).installed = True


def uninstall(exporter=None):
    """Takes the patch off again; every attribute is what it was. Without a patch, does nothing.

    Args:
        exporter: as for ``install``.
    """
    with _holders.lock:
        patch = _holders.patches.get(_name(exporter))
        if patch:
            patch.installed = False
            _holders.take_off_if_unused(patch)


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
patched.__doc__ = patched.__doc__ and _options.documented(patched.__doc__)  # None with -OO


@contextlib.contextmanager
def _patched(exporter, strict_pin, options, observer):
    with _holders.lock:
        patch = _put_on(exporter, strict_pin, observer.note)
        patch.uses += 1
    try:
        with _current.asking(options, observer):
            yield
    finally:
        with _holders.lock:
            patch.uses -= 1
            _holders.take_off_if_unused(patch)


def _name(exporter):
    return exporter if isinstance(exporter, str) else getattr(exporter, '__name__', EXPORTER)


def _put_on(exporter, strict_pin, warn):
    """Returns the ``_patch.Patch`` on an exporter, which is applied if it was not; the caller says what holds it."""
    name = _name(exporter)
    patch = _holders.patches.get(name)
    with legacy.on():  # importing the exporter needs the bridges, too
        module = exporter if inspect.ismodule(exporter) else _import(name)
        if patch and patch.recognised.module is module:
            _check_pin(patch.recognised, strict_pin, warn)
            if not patch.is_on():
                patch.apply()
            return patch
        recognised = _recognition.recognise(module)
        _check_pin(recognised, strict_pin, warn)
        patch = _patch.Patch(recognised)
        patch.apply()
        if name not in _holders.patches:
            legacy.put_on()
        _holders.patches[name] = patch
        return patch


def _import(name):
    if name not in sys.modules:  # or it is being imported: patches/*.patch call install() from its last line
        try:
            with legacy.tf1_behaviour():  # the OD API asks it at import which of its halves to import
                importlib.import_module(name)
        except ImportError as error:
            raise _errors.EnvironmentRefused(
                '{} cannot be imported: {}'.format(name, error),
                'Put the folder research of the models repo, and research/slim, on PYTHONPATH.')
    check_half()
    return sys.modules[name]


def check_half():
    """Refuses an OD API whose model builder was imported under TensorFlow 2's behaviour: it lacks the TF 1 models."""
    builder = sys.modules.get('object_detection.builders.model_builder')
    if hasattr(builder, 'SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP') and not hasattr(
            builder, 'SSD_FEATURE_EXTRACTOR_CLASS_MAP'):
        raise _errors.EnvironmentRefused(
            'object_detection.builders.model_builder was imported before od-patch, and under TensorFlow 2 it then has '
            'the models of TensorFlow 2 only.',
            'Call od_patch.install(), od_patch.export() or od_patch.patched() before importing anything of '
            'object_detection; or use the command export_inference_graph.')


def _check_pin(recognised, strict_pin, warn):
    """Declines, or warns about, an exporter that is not one of the pinned releases."""
    if recognised.release:
        return
    text = '{} is not one of the pinned releases (git blob {}), but has their shape.'.format(
        getattr(recognised.module, '__file__', recognised.module.__name__), recognised.blob_id)
    if strict_pin:
        raise _errors.ExporterDeclined(
            text, 'Leave out --strict_pin (strict_pin=True) to patch it all the same, '
            'or check out a release from the table in docs/releases.md.')
    warn(text + ' It is patched all the same; compare what it exports before you rely on it.')
