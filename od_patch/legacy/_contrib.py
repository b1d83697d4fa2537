"""Stand-ins for the modules of ``tensorflow.contrib`` that the OD API imports without asking whether they are there.

Importing them is all that inference does, with one exception: ``tfprof``, which
prints the model's size, is the real profiler of ``tf.compat.v1``. Whatever else
is really called is refused in words. Modules that the OD API imports inside
``try … except ImportError`` are left missing: it knows what to do.

Not for: releases that use ``tf.contrib`` everywhere (before 2020-05-26).
"""
import importlib.util
import types

from od_patch import _errors
from od_patch.legacy import _finder

_ROOT = 'tensorflow.contrib'

# module -> who imports it: matchers/bipartite_matcher; exporter and graph_rewriter_builder; slim's nasnet and pnasnet.
_MODULES = frozenset([
    _ROOT,
    _ROOT + '.image', _ROOT + '.image.python', _ROOT + '.image.python.ops', _ROOT + '.image.python.ops.image_ops',
    _ROOT + '.quantize', _ROOT + '.quantize.python', _ROOT + '.quantize.python.graph_matcher',
    _ROOT + '.tfprof',
    _ROOT + '.training',
])


def is_needed():
    return importlib.util.find_spec(_ROOT) is None


def put_on():
    return _finder.Finder(_MODULES.__contains__, _make).put_on()


def _make(name):
    module = _Profiler(name) if name == _ROOT + '.tfprof' else _StandInModule(name)
    module.__path__ = []
    return module


class _StandInModule(types.ModuleType):
    """A module whose every name is a stand-in; a module below it that the table lacks is missing, as it should be."""

    def __getattr__(self, name):
        full = '{}.{}'.format(self.__name__, name)
        if name.startswith('__') or self.__name__ == _ROOT or full in _MODULES:
            raise AttributeError('{} has no {}: TensorFlow 2 has no contrib'.format(self.__name__, name))
        return _StandIn(full)


class _StandIn:
    """Something of ``tensorflow.contrib`` that was imported; using it is an error."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return _StandIn('{}.{}'.format(self._name, name))

    def __call__(self, *args, **kwargs):
        import tensorflow
        raise _errors.EnvironmentRefused(
            'This model needs {}, and TensorFlow {} has no contrib.'.format(self._name, tensorflow.__version__),
            'Export it under TensorFlow 1: 1.15 on Python 3.7, or 1.12 on Python 3.6 for r1.12.0 '
            '(the table in docs/releases.md). The SavedModel runs on TensorFlow 2 all the same.')

    def __repr__(self):
        return '<stand-in for {}>'.format(self._name)


class _Profiler(types.ModuleType):
    """``tensorflow.contrib.tfprof``, as far as ``exporter.profile_inference_graph`` uses it."""

    @property
    def model_analyzer(self):
        return self

    @property
    def TRAINABLE_VARS_PARAMS_STAT_OPTIONS(self):  # pylint: disable=invalid-name
        return self._options().trainable_variables_parameter()

    @property
    def FLOAT_OPS_OPTIONS(self):  # pylint: disable=invalid-name
        return self._options().float_operation()

    @staticmethod
    def print_model_analysis(graph, tfprof_options):
        """Prints what the profiler counts in a graph; returns its proto.

        Args:
            graph: ``tf.Graph``.
            tfprof_options: dict, one of the two above.
        """
        from od_patch import _tensorflow
        return _tensorflow.tf1().profiler.profile(graph, options=tfprof_options)

    @staticmethod
    def _options():
        from od_patch import _tensorflow
        return _tensorflow.tf1().profiler.ProfileOptionBuilder
