"""One export of one checkpoint: what was asked for, how far it is, what it has found, and where it is staged.

Not for: replacing anything on the exporter module (``patch``), nor for
terminals (``_shown``, ``_summary``).
"""
import collections
import contextlib
import json
import os
import re
import tempfile
import typing

from od_patch import _errors
from od_patch import _garbage
from od_patch import _tensorflow
from od_patch import _version
from od_patch import steps
from od_patch.checkpoint import _checkpoint
from od_patch.checkpoint import _early
from od_patch.checkpoint import _objects
from od_patch.config import _config
from od_patch.config import _half
from od_patch.export import _artifacts
from od_patch.export import _current
from od_patch.export import _destination
from od_patch.export import _moments
from od_patch.export import _reports
from od_patch.export import _request
from od_patch.saved_model import _record
from od_patch.saved_model import _saved_model
from od_patch.staging import _digest
from od_patch.staging import _staging
from od_patch.tf2 import _fit
from od_patch.tf2 import _pair

_RECORD_FORMAT = 1
_DATA_FILE = re.compile(r'\.data-\d+-of-\d+$')
# What the release writes of each artefact beside saved_model/.
_FILES = {
    _artifacts.FROZEN_GRAPH: ('frozen_inference_graph.pb',),
    _artifacts.CHECKPOINT: ('checkpoint', 'model.ckpt.data-00000-of-00001', 'model.ckpt.index', 'model.ckpt.meta'),
    _artifacts.PIPELINE_CONFIG: ('pipeline.config',),
}
_FILES_OF_TENSORFLOW_2 = {_artifacts.CHECKPOINT: [
    os.path.join('checkpoint', name) for name in ('checkpoint', 'ckpt-0.index', 'ckpt-0.data-00000-of-00001')]}
_FROZEN_LIMIT = (1 << 31) - 1  # bytes; protobuf neither writes nor reads a larger message


class Export(_moments.Run):
    """One export of one checkpoint. Attributes that end in ``_directory`` are paths as str.

    Attributes:
        inventory: ``_checkpoint.Inventory`` of the trained checkpoint.
        restored_prefix: str, what variables are restored from: the trained checkpoint, or a copy that has a step.
        absent: list of (name, bytes) of the variables that nothing reads and the checkpoint lacks.
        output_directory: where it is to appear.
        staged_directory: where it is written.
        saved_model_directory: where its SavedModel is written.
        signature: ``SignatureDef`` of ``serving_default``.
        digests: dict of path -> SHA-256 in hex of the artefacts that were written before the SavedModel.
        written: ``_saved_model.Written``; None for a frozen SavedModel.
        variables: dict, how many it was written with, and without which, as the record has it; empty for a frozen one.
        results: dict from the name of a step to what it has made last.
        report: ``_reports.Report``; None before it is finished.
    """

    def __init__(
            self, request: _request.Request, checkpoint_prefix: str, staged: _staging.Staged, replaces: bool) -> None:
        super().__init__(request, request.options.artifacts, staged.temporary)
        self._staged = staged
        self._replaces = replaces
        self.inventory = _checkpoint.take_inventory(checkpoint_prefix)
        self.restored_prefix = checkpoint_prefix
        self.absent: typing.List[typing.Tuple[str, int]] = []
        self.restored: typing.Any = None  # of TensorFlow 2: the restored model, a function of a batch
        if request.half == 2:
            self.inventory = _objects.named(self.inventory)
        elif _checkpoint.STEP not in self.inventory.shapes:
            self.observer.note('{} has no global_step, which inference does not need{}'.format(
                checkpoint_prefix, ': it is 0 in model.ckpt' if _artifacts.CHECKPOINT in self.artifacts else ''))
            if self.restores:
                self.restored_prefix = _checkpoint.with_step(self.inventory, staged.temporary)
        self.output_directory = request.output_directory
        self.staged_directory = staged.export
        self.saved_model_directory = os.path.join(staged.export, 'saved_model')
        self.signature = None
        self.digests: typing.Dict[str, str] = {}
        self.written = None
        self.variables: typing.Dict[str, typing.Any] = {}
        self.results: typing.Dict[str, typing.Any] = {}
        self.report: typing.Optional[_reports.Report] = None

    @property
    def is_in_place(self) -> bool:
        """Whether it has been moved into place."""
        return self._staged.in_place

    def places(self) -> typing.Dict[str, str]:
        return {'trained_checkpoint_prefix': self.restored_prefix, 'output_directory': self.staged_directory}

    def check(self) -> None:
        """Refuses, before the graph, what cannot be made of this checkpoint or put where it is to go."""
        for step in self.steps:
            step.check_export(self)
        self.config = self.request.arguments.get('pipeline_config')
        if self.config is not None:
            self._check_config()

    def _check_config(self) -> None:
        """Refuses a config that cannot be exported here, and averages that the checkpoint lacks."""
        half = _pair.half(_half.of_config(self.config), self.inventory.prefix)
        if half == self.request.half == 2:
            return
        if half == 2:
            raise _errors.InputRefused(
                'The pipeline config is one of TensorFlow 2\'s own models ({}), and so is the checkpoint {}: this '
                'exporter is the one of TensorFlow 1\'s.'.format(
                    _half.of_config(self.config).in_words(), self.inventory.prefix),
                'Export it with the command:\n' + _pair.other_command(os.path.dirname(self.inventory.prefix) or '.'))
        _config.check(self.config)
        if self.config.eval_config.use_moving_averages and not _checkpoint.has_averages(self.inventory):
            raise _errors.CheckpointMismatch(
                'The pipeline config asks for moving averages (eval_config.use_moving_averages), and the checkpoint {} '
                'holds no moving averages.'.format(self.inventory.prefix),
                _checkpoint.no_averages_remedy(self.inventory))
        _early.check(self.config, self.inventory)

    def check_graph(self, graph: _tensorflow.Graph, outputs: typing.Optional[steps.Tensors] = None) -> None:
        super().check_graph(graph)
        try:
            lacking = _checkpoint.check_graph(graph, self.inventory, self.use_moving_averages, self.config,
                                              lambda: self.variables_read(graph, outputs))
        except _errors.CheckpointMismatch as error:
            if self.request.half == 1:
                raise
            raise _errors.CheckpointMismatch(error.problem, _fit.likely_cause(
                {variable.op.name: variable.get_shape().as_list() for variable in graph.get_collection(
                    _tensorflow.tf1().GraphKeys.GLOBAL_VARIABLES)}, self.inventory.shapes))
        if lacking:
            self._leave_out(graph, lacking)
        self._check_size(graph, outputs)

    def _leave_out(self, graph: _tensorflow.Graph, lacking: typing.List[str]) -> None:
        """Has the release, which restores all variables, do without those that it lacks and nothing reads."""
        self.observer.note('{} has no value for {:,} of the variables of the model, which no output reads{}: {}'.format(
            self.inventory.prefix, len(lacking),
            '; model.ckpt lacks them, too' if _artifacts.CHECKPOINT in self.artifacts else '',
            ', '.join(lacking[:2]) + (', …' if len(lacking) > 2 else '')))
        if self.restores:
            self.absent = [(name, _checkpoint.num_bytes(graph, [name])) for name in lacking]
            _checkpoint.leave_out(graph, set(lacking))

    def _check_size(self, graph: _tensorflow.Graph, outputs: typing.Optional[steps.Tensors]) -> None:
        """Declines a frozen graph that could not be written, before anything is computed for it."""
        if not self.freezes:
            return
        num_bytes = _checkpoint.num_bytes(graph)
        if num_bytes > _FROZEN_LIMIT:  # it has those only that its outputs read
            num_bytes = _checkpoint.num_bytes(graph, self.variables_read(graph, outputs))
        if num_bytes <= _FROZEN_LIMIT:
            return
        problem = ('The weights of this model take {:,} bytes. A frozen graph holds them in one protocol buffer, '
                   'which cannot have more than {:,}.'.format(num_bytes, _FROZEN_LIMIT))
        if self.options.saved_model_variables == _artifacts.FROZEN and _artifacts.SAVED_MODEL in self.artifacts:
            raise _errors.UsageError(problem, 'Leave out --saved_model_variables=frozen: variables have no such limit.')
        self.artifacts.remove(_artifacts.FROZEN_GRAPH)
        if not self.artifacts:
            raise _errors.UsageError(problem, 'Use --artifacts=saved_model: variables have no such limit.')
        self.observer.note(problem + ' It is left out.')

    def write_saved_model(
            self, original: typing.Any, arguments: typing.Dict[str, typing.Any]) -> None:
        inputs, outputs = self.choose(arguments['inputs'], arguments['outputs'])
        self.signature = _saved_model.signature(inputs, outputs)
        if _artifacts.SAVED_MODEL not in self.artifacts:
            return
        if self.options.saved_model_variables == _artifacts.FROZEN:
            self.observer.stage('saved model')
            original(**arguments)
            self._revise()
            return
        if _files(self.staged_directory):
            self.observer.stage('digests')
            self.digests = _digests(self.staged_directory)
        self.observer.stage('saved model')
        composed = self.compose(inputs, outputs)
        composed = composed._replace(left_out=list(composed.left_out) + self.absent)
        if self.request.half == 2:
            graph = next(iter(outputs.values())).graph
            self.place(composed, self.restored_prefix, {name: key + _objects.VALUE for name, key in _checkpoint.sources(
                graph, self.use_moving_averages, composed.names).items()})
        elif _artifacts.CHECKPOINT in self.artifacts:
            # Just written by the release: with moving averages on, it holds them under the variables' names.
            self.place(composed, os.path.join(self.staged_directory, 'model.ckpt'), None)
        else:
            graph = next(iter(outputs.values())).graph
            self.place(composed, self.restored_prefix, _checkpoint.sources(
                graph, self.use_moving_averages, composed.names))

    def _revise(self) -> None:
        """Gives the release's own SavedModel what the steps have for it; where that is nothing, it stays as it is."""
        changes = self.changes()
        if not changes:
            return

        def sign(meta_graph: _tensorflow.MetaGraph) -> None:
            meta_graph.signature_def[_saved_model.SIGNATURE].CopyFrom(self.signature)
        for note in _saved_model.revise(self.saved_model_directory, [sign] + changes, self.assets()):
            self.observer.note(note)

    def place(
            self, composed: _saved_model.Composed, checkpoint_prefix: str,
            sources: typing.Optional[typing.Dict[str, str]],
            more: typing.Sequence[typing.Tuple[str, typing.Any]] = ()) -> None:
        """Writes the SavedModel; see ``_saved_model.place``.

        Args:
            more: list of (key, value) to add to the record in ``assets.extra/``.
        """
        if _checkpoint.STEP in composed.names and _checkpoint.STEP not in self.inventory.shapes and not self.restores:
            checkpoint_prefix = _checkpoint.with_step(self.inventory, self.temporary_directory)
        self.variables = collections.OrderedDict([
            ('written', composed.num_variables), ('left_out', sorted(name for name, _ in composed.left_out)),
            ('left_out_bytes', sum(size for _, size in composed.left_out))])
        self.written = _saved_model.place(
            self.saved_model_directory, composed, checkpoint_prefix, sources,
            extra_assets={_record.NAME: self._made_from([('variables', self.variables)] + list(more))},
            assets=self.assets())

    def remove_unasked(self) -> None:
        """Removes what was only written on the way to something else, such as the graph of a frozen SavedModel."""
        for name in os.listdir(self.staged_directory):
            for artifact, pattern in _artifacts.ARTIFACTS.items():
                if pattern.match(name) and artifact not in self.artifacts:
                    os.unlink(os.path.join(self.staged_directory, name))

    def finish(self) -> None:
        """The last thing that happens to every export before it is moved into place; its ``report`` is there then."""
        self.remove_unasked()
        for step in self.steps:
            self.results[step.name] = step.staged(self)
        self.report = _reports.Report(
            output_directory=self.output_directory,
            files=_files(self.staged_directory),
            written=self.written,
            kind=self.written.kind if self.written else _artifacts.FROZEN,
            use_moving_averages=self.use_moving_averages,
            checkpoint=self.inventory.prefix,
            step=self.inventory.step,
            signature=self.signature,
            artifacts=self.artifacts,
            release=self.request.release_text,
            replaced=self._replaces,
            facts=[fact for step, result in self._results_there_are() for fact in step.facts(result)],
            lines=[],
            told=self._told())
        self.observer.stage('moving into place')

    def placed(self) -> None:
        """What happens to an export that is in its place; what the steps say of it goes into its ``report``."""
        self.results = {}
        for step in self.steps:
            self.results[step.name] = step.placed(self)
        assert self.report is not None, 'it is in place, so it was finished'
        self.report = self.report._replace(
            lines=[line for step, result in self._results_there_are() for line in [''] + step.lines(result)],
            told=dict(self.report.told, **self._told()))

    def plan(self) -> None:
        """What a dry run ends with: its ``report`` says what would be made."""
        for step in self.steps:
            for text in step.plans(self):
                self.observer.note(text)
        averages = self.config is not None and self.config.eval_config.use_moving_averages
        self.report = _reports.Report(
            output_directory=self.output_directory, files=[(name, None) for name in self._planned_files()],
            written=None, kind=self.options.saved_model_variables, use_moving_averages=averages,
            checkpoint=self.inventory.prefix, step=self.inventory.step, signature=None, artifacts=self.artifacts,
            release=self.request.release_text, replaced=self._replaces, facts=[], lines=[], dry_run=True)

    def _planned_files(self) -> typing.List[str]:
        """Returns the paths below the output directory that there would be, sorted."""
        files = dict(_FILES, **_FILES_OF_TENSORFLOW_2) if self.request.half == 2 else _FILES
        found = [name for artifact in self.artifacts for name in files.get(artifact, ())]
        if self.write_inference_graph:
            found.append('inference_graph.pbtxt')
        if _artifacts.SAVED_MODEL in self.artifacts:
            below = ['saved_model.pb'] + [name for step in self.steps for name in step.files()]
            if self.options.saved_model_variables != _artifacts.FROZEN:
                below += [os.path.join('variables', 'variables.' + end) for end in ('index', 'data-00000-of-00001')]
                below.append(os.path.join('assets.extra', _record.NAME))
            found += [os.path.join('saved_model', name) for name in below]
        return sorted(found)

    def _told(self) -> typing.Dict[str, typing.Any]:
        """Returns what the steps tell programs of what they have made so far."""
        return {name: value for step, result in self._results_there_are() for name, value in step.told(result).items()}

    def _results_there_are(self) -> typing.List[typing.Tuple[steps.Step, typing.Any]]:
        """Returns [(step, its result)] of the steps that have one."""
        return [(step, self.results[step.name]) for step in self.steps if self.results[step.name] is not None]

    def _made_from(self, more: typing.Sequence[typing.Tuple[str, typing.Any]]) -> bytes:
        """Returns the record of what made this export, as JSON bytes, for ``assets.extra/od_patch.json``."""
        version, git_version = _tensorflow.versions()
        record = collections.OrderedDict([
            ('format', _RECORD_FORMAT),
            ('od_patch', _version.__version__),
            ('exporter', self.request.release_text),
            ('tensorflow', version),
            ('tensorflow_git', git_version),
            ('checkpoint', self.inventory.prefix),
            ('checkpoint_format', self.inventory.format),
            ('global_step', self.inventory.step),
            ('moving_averages', self.use_moving_averages),
            ('sha256', self.digests),
        ] + list(more))
        return (json.dumps(record, indent=2) + '\n').encode('utf-8')


@contextlib.contextmanager
def one_checkpoint(request: _request.Request) -> typing.Iterator[Export]:
    """Context around the release's export function that exports one checkpoint: checks, stages, moves into place.

    Args:
        request: ``_request.Request``.

    Yields:
        ``Export``.
    """
    given = request.arguments['trained_checkpoint_prefix']
    prefix = _checkpoint.resolve(given)
    if prefix != os.fspath(given):
        request.observer.note('checkpoint: {}'.format(prefix))
    place = request.output_directory
    if request.options.dry_run:
        with _tried(request, prefix) as tried:
            yield tried
        return
    _staging.clear(place)  # or what a killed run had moved away would not be seen to be there
    replaces = _destination.check_free(place, request.options.overwrite)
    _staging.check_writable(place, saves=set(request.options.artifacts) != {_artifacts.SAVED_MODEL})
    export = None
    try:
        _check_not_read(request, prefix, _staging.OF_AN_EXPORT)
        # Where there is no earlier export, a pipeline.config or a checkpoint is somebody's own.
        parts = _staging.OF_AN_EXPORT if replaces else _artifacts.Names(request.options.artifacts)
        with made(request, prefix, replaces, lambda: _destination.check_free(
                place, request.options.overwrite), parts) as export, contextlib.ExitStack() as pause:
            # It would go over the growing graph again and again, a seventh of the time that building takes, and
            # find 2,000 objects among half a million.
            pause.enter_context(_garbage.paused())
            with _current.running(export):
                request.observer.stage('graph')
                yield export
            if any(step.runs_models for step in request.steps):
                pause.close()  # the sessions are in such cycles
            export.finish()
    finally:
        if export is not None and export.is_in_place:  # also where a signal arrived just then
            request.observer.finished(export.report)


@contextlib.contextmanager
def _tried(request: _request.Request, prefix: str) -> typing.Iterator[Export]:
    """Context of a dry run: all is checked as for ``made``, elsewhere; the report says what would be made."""
    place = request.output_directory
    replaces = _destination.check_free(place, request.options.overwrite)
    _staging.check_writable(place)
    _check_not_read(request, prefix, _staging.OF_AN_EXPORT)
    for workshop in _staging.left_over(place):
        request.observer.note('{} is there: another export into {} is running, or was killed, and the next one puts in '
                              'order what it left'.format(workshop, place))
    with tempfile.TemporaryDirectory(prefix='od-patch-') as temporary:
        export = Export(request, prefix, _staging.Staged(os.path.join(temporary, 'export'), temporary), replaces)
        export.check()
        yield export
        export.plan()
    request.observer.finished(export.report)


def _check_not_read(request: _request.Request, prefix: str, parts: typing.Any) -> None:
    """Refuses an export without a checkpoint into the folder of the one that is read."""
    if _artifacts.CHECKPOINT not in request.options.artifacts:  # nothing takes the place of one that lies there
        _staging.check_not_read(request.output_directory, _checkpoint.files(prefix), parts)


@contextlib.contextmanager
def made(
        request: _request.Request, prefix: str, replaces: bool, check: typing.Callable[[], bool],
        parts: typing.Any = _staging.OF_AN_EXPORT) -> typing.Iterator[Export]:
    """Context in which an export is made, of whose body the last is ``Export.finish``; then it is moved into place.

    Args:
        request: ``_request.Request``; its ``output_directory`` is where the export goes.
        prefix: str, the checkpoint.
        replaces: bool, whether an earlier export is there.
        check: function that refuses a place that is not free; it is asked again when nobody else can change it.
        parts: pattern of what is replaced there, as of ``_staging.staged``.

    Yields:
        ``Export``, checked.
    """
    _check_not_read(request, prefix, parts)
    with _staging.staged(request.output_directory, parts, check) as staged:
        export = Export(request, prefix, staged, replaces)
        export.check()
        yield export
    export.placed()


def _files(directory: str) -> typing.List[typing.Tuple[str, int]]:
    """Returns [(path below ``directory``, bytes)], sorted."""
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            found.append((os.path.relpath(path, directory), os.path.getsize(path)))
    return sorted(found)


def _digests(directory: str) -> typing.Dict[str, str]:
    """Returns {path: SHA-256 in hex} of the files that the exporter has written so far.

    A checkpoint's data files are left out, which are as large as all others: its index has a checksum of every tensor.
    """
    digests = collections.OrderedDict()
    for name, _ in _files(directory):
        if os.path.dirname(name) or _DATA_FILE.search(name):
            continue  # the SavedModel that this record is part of, or data
        digests[name] = _digest.sha256(os.path.join(directory, name))
    return digests
