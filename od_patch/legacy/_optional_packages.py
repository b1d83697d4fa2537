"""Stand-ins for packages that the TF 2 half of the OD API imports for one of its models, whichever is to be exported.

``model_builder`` imports all models. DeepMAC's loss needs ``tensorflow_io``, and the EfficientDets are made of an
EfficientNet of ``tf-models-official``, whose own requirements are many and do not install everywhere. A package that
can be imported is used as it is; of another one, what is really called is refused in words.

Not for: the OD API's TF 1 half, which imports neither.
"""
import importlib
import types

from od_patch import _errors
from od_patch.legacy import _finder

# What the OD API imports, newest first -> the package of the index that has it, and what calls it.
_EFFICIENTNET = ('official.legacy.image_classification.efficientnet.efficientnet_model',
                 'official.vision.image_classification.efficientnet.efficientnet_model')
_OPTIONAL = (
    (('tensorflow_io',), 'tensorflow-io', 'the loss of DeepMAC, while it trains'),
    (_EFFICIENTNET, 'tf-models-official', 'the feature extractors of EfficientDet'),
)


def is_needed():
    return True  # whether a package can be imported, only importing it tells


def put_on():
    missing = {}
    for names, package, caller in _OPTIONAL:
        error = _why_missing(names)
        if error is not None:
            parts = names[0].split('.')
            for depth in range(len(parts)):
                missing['.'.join(parts[:depth + 1])] = (package, caller, error)
    return _finder.Finder(missing.__contains__, lambda name: _module(name, *missing[name])).put_on()


def _why_missing(names):
    """Returns the error of importing the first of some modules, in words; None where one of them can be imported."""
    why = None
    for name in names:
        try:
            importlib.import_module(name)
            return None
        except Exception as error:  # pylint: disable=broad-except  (of packages that do not fit together, any)
            why = why or '{}: {}'.format(type(error).__name__, error)
    return why


def _module(name, package, caller, error):
    module = _StandInModule(name)
    module.__path__ = []
    module.__dict__['_refusal'] = (name, package, caller, error)
    return module


class _StandInModule(types.ModuleType):
    """A module whose every name is a stand-in."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return _StandIn(self.__dict__['_refusal'])


class _StandIn:
    """Something of a package that is missing; using it is an error."""

    def __init__(self, refusal):
        self._refusal = refusal

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        name, package, caller, error = self._refusal
        raise _errors.EnvironmentRefused(
            'This model needs {}, which cannot be imported ({}): it is for {}.'.format(name, error, caller),
            'Install it, or what it lacks: "python -m pip install {}".'.format(package))
