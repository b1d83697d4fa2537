"""Many checkpoints, one graph: a SavedModel for each, named by its global step, and on request for those to come.

The release builds the graph once; all that it would do with it is left out.
Then each checkpoint's tensors are copied into a SavedModel of its own, staged
and moved into place like any export, as ``<output directory>/<global step>``:
the layout that TensorFlow Serving takes for versions of one model.

Not for: how one export is made and checked, which is ``_export``.
"""
import collections
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
import threading
import typing

from od_patch import _errors
from od_patch import _platform
from od_patch import _tensorflow
from od_patch import _version
from od_patch.checkpoint import _checkpoint
from od_patch.export import _artifacts
from od_patch.export import _current
from od_patch.export import _export
from od_patch.export import _find_checkpoints
from od_patch.export import _moments
from od_patch.export import _observer
from od_patch.export import _reports
from od_patch.export import _request
from od_patch.saved_model import _record
from od_patch.saved_model import _saved_model
from od_patch.staging import _digest
from od_patch.staging import _staging
from od_patch.staging import _store


class Series(_moments.Run):
    """The exports of many checkpoints.

    Attributes:
        recipe: str, digest of all but the weights that the SavedModels depend on.
    """

    def __init__(self, request: _request.Request, temporary_directory: str) -> None:
        super().__init__(request, [_artifacts.SAVED_MODEL], temporary_directory)
        self._wanted = typing.cast(_request.Series, request.options.series)
        self._path = _store.plain(request.arguments['trained_checkpoint_prefix'])
        self.recipe = _recipe(request)
        self._results: typing.Dict[str, _reports.Result] = collections.OrderedDict()  # by prefix
        # What lies in the folder of the checkpoints at this look; None before there was one.
        self._files: typing.Any = None
        # What the files of a prefix looked like when it was last looked at.
        self._seen: typing.Dict[str, typing.Any] = {}
        # Prefixes that were there at a look, and gone at a later one, without an export.
        self._missed: typing.Set[str] = set()
        # What the files of a prefix looked like when it was exported, skipped, or failed.
        self._handled: typing.Dict[str, typing.Any] = {}
        self._stop = threading.Event()

    def places(self) -> typing.Dict[str, str]:
        return {'output_directory': self.temporary_directory}  # for the release's pipeline.config, which has no place

    @property
    def profiles(self) -> bool:
        return bool(self.options.profile_graph)

    def has_work(self) -> bool:
        """Looks at what is there; returns whether the graph is needed."""
        if self._wanted.watch and not self.options.dry_run:
            return True
        prefixes = self._wanted_now()
        for prefix in prefixes:
            if not self._skip_if_done(prefix) and self.options.dry_run:
                self._keep(_reports.Result(
                    prefix, _find_checkpoints.step_of(prefix), _reports.PLANNED, None, None))
        if self.options.dry_run:
            return False
        return any(prefix not in self._results for prefix in prefixes)

    def write_saved_model(
            self, original: typing.Any, arguments: typing.Dict[str, typing.Any]) -> None:
        """The graph is built: exports what there is, and goes on while it is told to watch."""
        inputs, outputs = self.choose(arguments['inputs'], arguments['outputs'])
        graph = next(iter(outputs.values())).graph
        self.observer.stage('saved models')
        composed = self.compose(inputs, outputs)
        one = SeriesModel(self, graph, composed, _saved_model.signature(inputs, outputs),
                          _checkpoint.sources(graph, self.use_moving_averages, composed.names))
        with self._stopped_by_signals():
            while True:
                self._export_what_there_is(one)
                if not self._wanted.watch or self._stop.wait(self._wanted.interval):
                    break

    def report(self) -> _reports.SeriesReport:
        """Returns the ``_reports.SeriesReport``."""
        waiting = sorted(prefix for prefix in self._seen if prefix not in self._handled and prefix not in self._missed)
        return _reports.SeriesReport(
            self.request.output_directory, list(self._results.values()), waiting, sorted(self._missed),
            self.request.release_text, self.options.dry_run)

    def _wanted_now(self) -> typing.List[str]:
        """Returns the prefixes of the checkpoints to export that are there, by step.

        Raises:
            od_patch.InputRefused: there are none, or not all that were asked for,
                and there is no waiting for them.
        """
        wanted = self._wanted
        self._files = _find_checkpoints.Listing(self._path)
        found = _find_checkpoints.find(self._path, self._files)
        self._missed.update(set(self._seen) - set(self._handled) - set(found))
        self._missed.difference_update(found)
        if wanted.steps is not None:
            steps = {prefix: self._step_to_choose_by(prefix) for prefix in found}
            lacking = sorted(wanted.steps - set(steps.values()))
            if lacking and not wanted.watch:
                raise _errors.InputRefused(
                    'There is no checkpoint of step {} in {}.'.format(', '.join(map(str, lacking)), self._path),
                    'There are those of step {}.'.format(', '.join(
                        map(str, sorted(step for step in steps.values() if step is not None)))) if found else '')
            found = [prefix for prefix in found if steps[prefix] in wanted.steps]
        if not found and not wanted.watch:
            raise _errors.InputRefused(
                'There are no checkpoints in {}.'.format(self._path),
                'Give the directory that the training writes to, or a pattern in quotes, such as '
                '"training/model.ckpt-*".')
        return found

    def _step_to_choose_by(self, prefix: str) -> typing.Optional[int]:
        """Returns the step in a name, which tells without reading what may still be being written."""
        step = _checkpoint.step_in_name(prefix)
        return _find_checkpoints.step_of(prefix) if step is None and not self._wanted.watch else step

    def _export_what_there_is(self, one: 'SeriesModel') -> None:
        prefixes = [prefix for prefix in self._wanted_now() if self._is_ready(prefix)]
        for number, prefix in enumerate(prefixes):
            if self._stop.is_set():
                break
            self.observer.progress(number, len(prefixes), os.path.basename(prefix))
            if not self._skip_if_done(prefix):
                self._keep(self._result_of(one, prefix))
        if prefixes:
            self.observer.progress(len(prefixes), len(prefixes), '')

    def _is_ready(self, prefix: str) -> bool:
        """Returns whether a checkpoint is to be exported now.

        While watching, one whose files have changed since the last look, or
        that lacks some of its bytes, is still being written. TensorFlow gives
        the index its name last, but what copies a checkpoint need not.
        """
        looks = _find_checkpoints.looks(prefix, self._files)
        if looks is None or self._handled.get(prefix) == looks:
            return False
        if self._wanted.watch:
            before, self._seen[prefix] = self._seen.get(prefix), looks
            if before != looks or not _find_checkpoints.is_whole(prefix):
                return False
        self._handled[prefix] = looks
        return True

    def _skip_if_done(self, prefix: str) -> bool:
        """Takes note of a checkpoint whose export is there already; returns whether it is."""
        if self.options.overwrite or prefix in self._results and self._results[prefix].outcome != _reports.SKIPPED:
            return False
        step = _find_checkpoints.step_of(prefix)
        if step is None or not self._is_done(prefix, step):
            return False
        self._keep(_reports.Result(prefix, step, _reports.SKIPPED, None, None))
        return True

    def _is_done(self, prefix: str, step: int) -> bool:
        place = _store.below(self.request.output_directory, str(step))
        record = _record.read(place)
        try:
            return (record is not None and record.get('recipe') == self.recipe and
                    record.get('checkpoint_sha256') == _digest_of(prefix) and
                    _tensorflow.gfile().Exists(_store.below(place, 'saved_model.pb')) and
                    (record.get('variables', {}).get('written') == 0 or
                     _find_checkpoints.is_whole(_store.below(place, 'variables', 'variables'))))
        except _tensorflow.tf1().errors.OpError:
            return False

    def _result_of(self, one: 'SeriesModel', prefix: str) -> _reports.Result:
        """Exports one checkpoint; what goes wrong with it is part of the result, and ends nothing."""
        step = None
        try:
            step = _find_checkpoints.step_of(prefix)
            if step is None:
                raise _errors.InputRefused(
                    'The checkpoint {} tells no global step, which names its SavedModel.'.format(prefix),
                    'Export it by itself, without --all_checkpoints.')
            for other in self._results.values():
                if other.step == step and other.prefix != prefix and other.outcome != _reports.FAILED:
                    raise _errors.OutputRefused(
                        'The checkpoint {} is of step {}, as {} is.'.format(prefix, step, other.prefix),
                        'Export it by itself, into another --output_directory.')
            return _reports.Result(prefix, step, _reports.EXPORTED, one.export(prefix, step), None)
        except Exception as error:  # pylint: disable=broad-except
            return _reports.Result(prefix, step, _reports.FAILED, None, error)

    def _keep(self, result: _reports.Result) -> None:
        if (result.outcome == _reports.FAILED and self._wanted.watch and
                not _tensorflow.gfile().Exists(result.prefix + '.index')):
            self.observer.note('{} was removed before it could be exported'.format(result.prefix))
            self._missed.add(result.prefix)
            self._results.pop(result.prefix, None)
            return
        if result.outcome == _reports.SKIPPED and result.prefix in self._results:
            return
        self._results[result.prefix] = result
        self.observer.checkpoint(result)

    @contextlib.contextmanager
    def _stopped_by_signals(self) -> typing.Iterator[None]:
        """While watching, the first SIGINT or SIGTERM lets the checkpoint under way be finished, and ends the watch."""
        if not self._wanted.watch or threading.current_thread() is not threading.main_thread():
            yield
            return
        before: typing.Dict[int, typing.Any] = {}

        def stop(number: int, frame: typing.Any) -> None:
            del frame
            self._stop.set()
            signal.signal(number, before[number])  # a second one is obeyed at once

        for number in _platform.SIGNALS:
            before[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            for stopped, handler in before.items():
                signal.signal(stopped, handler)


class SeriesModel:
    """What all checkpoints of a series have in common: the graph, its SavedModel, and which tensors go into it."""

    def __init__(
            self, series: Series, graph: _tensorflow.Graph, composed: _saved_model.Composed, signature: typing.Any,
            sources: typing.Dict[str, str]) -> None:
        self._series = series
        self._graph = graph
        self._composed = composed
        self._signature = signature
        self._sources = sources

    def export(self, prefix: str, step: int) -> _reports.Report:
        """Exports one checkpoint; returns its ``_reports.Report``."""
        series = self._series
        place = _store.below(series.request.output_directory, str(step))
        request = series.request._replace(
            options=series.options._replace(artifacts=(_artifacts.SAVED_MODEL,)),
            observer=_NotesOnly(series.observer), output_directory=place)
        _staging.clear(place)
        with _export.made(request, prefix, self._check_free(place), lambda: self._check_free(place),
                          _staging.OF_A_SAVED_MODEL) as export:
            export.saved_model_directory = export.staged_directory
            export.use_moving_averages = series.use_moving_averages
            export.signature = self._signature
            _checkpoint.check_graph(self._graph, export.inventory, series.use_moving_averages, export.config,
                                    lambda: set(self._composed.names))
            export.place(self._composed, export.restored_prefix, self._sources, [
                ('checkpoint_sha256', _digest_of(prefix)), ('recipe', series.recipe)])
            export.finish()
        return typing.cast(_reports.Report, export.report)

    def _check_free(self, place: str) -> bool:
        """Refuses to replace what od-patch has not made; returns whether there is anything."""
        gfile = _tensorflow.gfile()
        there = gfile.Exists(place) and set(gfile.ListDirectory(place)) - {_staging.INSIDE}
        if there and not self._series.options.overwrite and _record.read(place) is None:
            raise _errors.OutputRefused(
                '{} holds something that is no SavedModel of od-patch.'.format(place),
                'Add --overwrite to replace it, or give another --output_directory.')
        return bool(there)


class _NotesOnly(_observer.Observer):
    """Passes on what one of many exports has to say, but for its stages."""

    def __init__(self, observer: _observer.Observer) -> None:
        self._observer = observer

    def note(self, text: str) -> None:
        self._observer.note(text)


@contextlib.contextmanager
def many_checkpoints(request: _request.Request) -> typing.Iterator[Series]:
    """Context around the release's export function, as ``_export.one_checkpoint``, for many checkpoints.

    Yields:
        ``Series``.

    Raises:
        od_patch.SomeFailed: some of the checkpoints could not be exported.
    """
    _staging.check_writable(request.output_directory)
    temporary = tempfile.mkdtemp(prefix='od-patch-')
    try:
        series = Series(request, temporary)
        try:
            with _current.running(series):
                request.observer.stage('graph')
                yield series
        finally:
            if series.report().results:
                request.observer.finished(series.report())
        failed = [result for result in series.report().results if result.outcome == _reports.FAILED]
        if failed:
            raise _errors.SomeFailed(
                '{} of {} checkpoints could not be exported:\n{}'.format(
                    len(failed), len(series.report().results),
                    '\n'.join('  {}: {}'.format(result.prefix, result.error) for result in failed)),
                'Run the same command again: it exports these, and skips what is done.')
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _digest_of(prefix: str) -> str:
    """Returns the SHA-256 in hex of a checkpoint's index, which has every tensor's checksum; of all of a V1 one."""
    return _digest.sha256(_find_checkpoints.files_of(prefix)[0])


def _recipe(request: _request.Request) -> str:
    """Returns a digest of all but the weights that a SavedModel depends on, so that a change of it is noticed."""
    ingredients = [_version.__version__, _tensorflow.versions()[0], request.release_text]
    ingredients += request.options.ingredients
    ingredients += [(step.name, step.ingredients()) for step in request.steps]
    for name, value in sorted(request.arguments.items()):
        if name not in ('trained_checkpoint_prefix', 'output_directory'):
            serialize = getattr(value, 'SerializeToString', None)
            ingredients.append((name, serialize(deterministic=True) if serialize else value))
    return hashlib.sha256(repr(ingredients).encode('utf-8')).hexdigest()
