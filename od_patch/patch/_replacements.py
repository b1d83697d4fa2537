"""The functions that stand in for those of the exporter. Outside of an export, each calls the one that it replaces.

Each of the makers below takes the original and the ``_recognition.Recognised`` exporter, and returns the replacement:
what upstream's callers see stays as it is.

Not for: what an export does (``od_patch.export``), nor for which function is replaced by which (``_patch``).
"""
import functools
import inspect

from od_patch import _garbage
from od_patch import _tensorflow
from od_patch import legacy
from od_patch.export import _current
from od_patch.export import _driver
from od_patch.legacy import _versions
from od_patch.patch import _holders
from od_patch.patch import _recognition
from od_patch.releases import _release_errors
from od_patch.saved_model import _freeze_graph


class TemporaryFiles:
    """The ``tempfile`` module as the exporter sees it: during an export, files go to the export's own folder."""

    def __init__(self, original):
        self._original = original

    def __getattr__(self, name):
        return getattr(self._original, name)

    def mkdtemp(self, *args, **kwargs):
        return self._original.mkdtemp(*args, **self._here(kwargs))

    def NamedTemporaryFile(self, *args, **kwargs):  # pylint: disable=invalid-name
        # It goes with the folder; an exporter that fails would keep it longer, and fail to remove it once more.
        kept = {'delete': False} if _current.run() else {}
        return self._original.NamedTemporaryFile(*args, **dict(self._here(kwargs), **kept))

    @staticmethod
    def _here(kwargs):
        export = _current.run()
        if export and kwargs.get('dir') is None:
            kwargs = dict(kwargs, dir=export.temporary_directory)
        return kwargs


def around_export(original, recognised):
    """export_inference_graph and _export_inference_graph: the outer one stages, the inner one says what is exported."""
    @functools.wraps(original)
    def export(*args, **kwargs):
        with _release_errors.explained():
            return _export_in_words(*args, **kwargs)

    def _export_in_words(*args, **kwargs):
        arguments = _bind(original, args, kwargs)
        run = _current.run()
        if run:
            return _until_nothing_is_left(original, run.arguments_for(arguments))
        options, observer = _current.asked()
        with _holders.held(recognised.module) as is_on:
            if not is_on:  # somebody kept this function from a time when the patch was on
                return original(*args, **kwargs)
            release_text = _recognition.describe(recognised)
            with legacy.tf1_behaviour(), _driver.around(options, observer, release_text, arguments) as run:
                instead = run.arguments_for(arguments)
                if run.has_work():
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


class _NothingLeft(Exception):
    """All that was asked for is made: what is left of the release's export helper is passed over."""


def _during_exports(original, instead):
    """Makes the replacement of a function that outside of an export is the original.

    Args:
        original: the release's function.
        instead: function of (the ``_moments.Run``, positional arguments, keyword arguments) that is called during one.
    """
    @functools.wraps(original)
    def replacement(*args, **kwargs):
        run = _current.run()
        return instead(run, args, kwargs) if run else original(*args, **kwargs)
    return replacement


def around_build(original, recognised):
    """build_detection_graph: when it returns, the graph can be checked against the checkpoint.

    Where only the graph is needed, everything is made here. What the release does next would not be used, a saver of
    its own and the whole graph as a protocol buffer, twice: a tenth of an export's time, and 40 MB on large graphs.
    """
    def build_and_check(run, args, kwargs):
        with _garbage.paused(), legacy.quick_building():  # a series goes on for long after it
            result = original(*args, **kwargs)
        _check_graph(run, _outputs_in(result))
        # Of the releases it is known that these very tensors are what write_saved_model is called with.
        if recognised.release and run.needs_only_the_graph:
            outputs, inputs = result
            run.write_saved_model(None, {'inputs': inputs, 'outputs': outputs})
            raise _NothingLeft()
        return result
    return _during_exports(original, build_and_check)


def unless_unasked(stage, is_asked):
    """Makes the replacement of a function that runs on the finished graph: checks it first, and names the stage.

    Args:
        stage: str.
        is_asked: function from the export to whether what the function makes is
            asked for; where it is not, the function is not called.
    """
    def make(original, recognised):
        del recognised

        def check_and_call(run, args, kwargs):
            _check_graph(run)
            if not is_asked(run):
                return None
            run.observer.stage(stage)
            return original(*args, **kwargs)
        return _during_exports(original, check_and_call)
    return make


def instead_of_freezing(original, recognised):
    """freeze_graph_with_def_protos: without a session; an empty graph where none is asked for."""
    del recognised

    def freeze(run, args, kwargs):
        _check_graph(run)
        if not run.freezes:
            return _tensorflow.tf1().GraphDef()  # write_saved_model is given it, and does not look at it
        run.observer.stage('frozen graph')
        frozen = _freeze_graph.freeze(_bind(original, args, kwargs))
        return original(*args, **kwargs) if frozen is None else frozen
    return _during_exports(original, freeze)


class FreezeGraph:
    """The module ``freeze_graph`` of TensorFlow as the exporter sees it."""

    def __init__(self, original, recognised):
        self._original = original
        self.freeze_graph_with_def_protos = instead_of_freezing(original.freeze_graph_with_def_protos, recognised)

    def __getattr__(self, name):
        return getattr(self._original, name)


def instead_of_write_saved_model(original, recognised):
    """write_saved_model: variables instead of constants during an export; outside of one, upstream's."""
    del recognised
    return _during_exports(
        original, lambda run, args, kwargs: run.write_saved_model(original, _bind(original, args, kwargs)))


def _check_graph(run, outputs=None):
    run.graph_is_built(_tensorflow.tf1().get_default_graph(), outputs)


def _outputs_in(result):
    """Returns the outputs among what build_detection_graph returned, a dict; None where another one returned others."""
    if isinstance(result, tuple) and isinstance(result[0], dict) and all(
            isinstance(output, _tensorflow.tf1().Tensor) for output in result[0].values()):
        return result[0]
    return None


def _bind(function, args, kwargs):
    """Returns the arguments of a call as an ordered dict from parameter name to value, without defaults.

    Raises:
        TypeError: the call does not fit the function, as calling it would raise.
    """
    return inspect.signature(function).bind(*args, **kwargs).arguments
