"""One export under way: what was asked for, how far it is, what it has found, and where it is staged.

``patch._replacements`` puts the functions of this module around those of the exporter;
they talk to each other through the export that is current in their thread.

Not for: replacing anything on the exporter module (``patch``), nor for
terminals (``_shown``, ``_summary``).
"""
import collections
import contextlib
import inspect
import json
import logging
import os
import re
import threading

from od_patch import _digest
from od_patch import _errors
from od_patch import _garbage
from od_patch import _tensorflow
from od_patch import _version
from od_patch import steps
from od_patch.checkpoint import _checkpoint
from od_patch.config import _config
from od_patch.export import _artifacts
from od_patch.export import _observer
from od_patch.export import _reports
from od_patch.releases import _release_errors
from od_patch.saved_model import _record
from od_patch.saved_model import _saved_model
from od_patch.staging import _staging
from od_patch.staging import _store

_RECORD_FORMAT = 1
_DATA_FILE = re.compile(r'\.data-\d+-of-\d+$')
_FROZEN_LIMIT = (1 << 31) - 1  # bytes; protobuf neither writes nor reads a larger message

Options = collections.namedtuple('Options', [
    'saved_model_variables', 'overwrite', 'artifacts', 'profile_graph', 'series', 'asked', 'ingredients'])
Options.__new__.__defaults__ = (_saved_model.RESOURCE, False, tuple(_artifacts.ARTIFACTS), None, None, {}, ())
Options.__doc__ = """What an export is asked to do beyond what its arguments say.

Attributes:
    saved_model_variables: 'resource', 'reference' or 'frozen'.
    overwrite: bool, whether an export that is there already may be replaced.
    artifacts: which of ``_artifacts.ARTIFACTS`` to write.
    profile_graph: bool, whether the release may print its profile of the graph;
        None for yes where all artifacts are written, as it does, and somebody can read it.
    series: ``_series.Wanted`` where many checkpoints are exported; None for one.
    asked: dict from the name of each option that was given to its value; from
        it the steps are made (``steps.active``).
    ingredients: tuple of (name, value) of those options that change what a
        series exports (``_options.ingredients``).
"""

_log = logging.getLogger('od_patch')


class _Thread(threading.local):
    """What a thread is at. The release calls the replacements back by their names, so they have to find it here."""

    asked = None  # (``Options``, ``_observer.Observer``) of its innermost ``patched()``
    under_way = None


_thread = _Thread()


class UnderWay:
    """What is under way in this thread, as the replaced functions see it: an ``Export``, or a series of them.

    Attributes:
        options: ``Options``.
        observer: ``_observer.Observer``.
        release_text: str, the exporter's pin in words.
        artifacts: set of those of ``_artifacts.ARTIFACTS`` that are to be written.
        temporary_directory: str, what is written here is removed at the end.
        use_moving_averages: bool, whether the weights are moving averages.
        write_inference_graph: bool, whether the release is to write the graph as text.
        steps: list of ``steps._step.Step``, those that were asked for.
        config: ``TrainEvalPipelineConfig`` of the model; None where it is not known.
    """

    def __init__(self, options, observer, release_text, artifacts, temporary_directory, active):
        self.options = options
        self.observer = observer
        self.release_text = release_text
        self.artifacts = set(artifacts)
        self.temporary_directory = temporary_directory
        self.use_moving_averages = False
        self.write_inference_graph = False
        self.steps = active
        self.config = None
        self._graph_checked = False

    def arguments_for(self, arguments):
        """Takes note of what a function of the release is called with; returns what it is to be called with instead.

        Args:
            arguments: dict from parameter name to value, of its export function or of that one's helper.
        """
        if 'use_moving_averages' in arguments:
            self.use_moving_averages = bool(arguments['use_moving_averages'])
        self.write_inference_graph = bool(arguments.get('write_inference_graph'))
        instead = dict(arguments, **self.places())
        for step in self.steps:
            instead = step.arguments(instead)
        return instead

    def places(self):
        """Returns the arguments that say what the release reads and where it writes, a dict."""
        raise NotImplementedError

    def has_work(self):
        """Returns whether the release is to build the graph at all."""
        return True

    def graph_is_built(self, graph):
        """Checks the finished graph, once, before upstream restores anything."""
        if not self._graph_checked:
            self._graph_checked = True
            self.check_graph(graph)

    def check_graph(self, graph):
        """Refuses what the steps ask for and the graph does not have; upstream would, if at all, after freezing."""
        for defect in _release_errors.defects(graph):
            self.observer.note(defect)
        names = [operation.name for operation in graph.get_operations()]
        names += [key for step in self.steps for key in step.keys()]
        for step in self.steps:
            step.check_graph(graph, names)

    def compose(self, inputs, outputs):
        """Returns the ``_saved_model.Composed`` of the graph that these tensors are of."""
        composed = _saved_model.compose(
            next(iter(outputs.values())).graph, inputs, outputs, self.options.saved_model_variables,
            [name for step in self.steps for name in step.nodes()], self.changes())
        for note in composed.notes:
            self.observer.note(note)
        return composed

    def choose(self, inputs, outputs):
        """Returns (inputs, outputs) of ``serving_default``, dicts, of those that upstream would give it."""
        if not isinstance(inputs, dict):
            inputs = {_saved_model.INPUT: inputs}
        for step in self.steps:
            inputs, outputs = step.choose(inputs, outputs)
        return inputs, outputs

    def changes(self):
        """Returns what changes the SavedModel from what upstream writes, for ``_saved_model.compose``."""
        return [change for step in self.steps for change in step.changes()]

    def assets(self):
        """Returns the files of its ``assets/``, a dict from name to bytes."""
        return {name: content for step in self.steps for name, content in step.assets().items()}

    def write_saved_model(self, original, arguments):
        """Does what upstream's ``write_saved_model`` is called for.

        Args:
            original: upstream's function; None where ``needs_only_the_graph``.
            arguments: dict from parameter name to value, as it was called; of
                these, ``inputs`` and ``outputs`` always are there.
        """
        raise NotImplementedError

    @property
    def profiles(self):
        """Whether the release is to print its profile of the graph."""
        if self.options.profile_graph is None:
            return self.observer.keeps_output and set(self.options.artifacts) == set(_artifacts.ARTIFACTS)
        return self.options.profile_graph

    @property
    def freezes(self):
        """Whether a frozen graph is needed."""
        return _artifacts.FROZEN_GRAPH in self.artifacts or (
            _artifacts.SAVED_MODEL in self.artifacts and self.options.saved_model_variables == _artifacts.FROZEN)

    @property
    def restores(self):
        """Whether a checkpoint in the export's own form is needed, which TensorFlow restores in a session."""
        return self.freezes or _artifacts.CHECKPOINT in self.artifacts

    @property
    def needs_only_the_graph(self):
        """Whether nothing of what the release does with its finished graph is asked for."""
        return not (self.restores or self.profiles or self.write_inference_graph)


class Export(UnderWay):
    """One export. Attributes that end in ``_directory`` are paths as str.

    Attributes:
        inventory: ``_checkpoint.Inventory`` of the trained checkpoint.
        restored_prefix: str, what variables are restored from: the trained checkpoint, or a copy that has a step.
        output_directory: where it is to appear.
        staged_directory: where it is written.
        saved_model_directory: where its SavedModel is written.
        signature: ``SignatureDef`` of ``serving_default``.
        digests: dict of path -> SHA-256 in hex of the artefacts that were written before the SavedModel.
        written: ``_saved_model.Written``; None for a frozen SavedModel.
        results: dict from the name of a step to what it has made last.
    """

    def __init__(self, options, observer, release_text, checkpoint_prefix, output_directory, staged, active):
        super().__init__(options, observer, release_text, options.artifacts, staged.temporary, active)
        self.inventory = _checkpoint.take_inventory(checkpoint_prefix)
        self.restored_prefix = checkpoint_prefix
        if _checkpoint.STEP not in self.inventory.shapes:
            observer.note('{} has no global_step, which inference does not need: it is 0 in the export'.format(
                checkpoint_prefix))
            self.restored_prefix = _checkpoint.with_step(self.inventory, staged.temporary)
        self.output_directory = output_directory
        self.staged_directory = staged.export
        self.saved_model_directory = os.path.join(staged.export, 'saved_model')
        self.signature = None
        self.digests = collections.OrderedDict()
        self.written = None
        self.results = {}

    def places(self):
        return {'trained_checkpoint_prefix': self.restored_prefix, 'output_directory': self.staged_directory}

    def check(self, arguments):
        """Refuses, before the graph, what cannot be made of this checkpoint or put where it is to go."""
        for step in self.steps:
            step.check_export(self)
        self.config = arguments.get('pipeline_config')
        check_config(arguments, self.inventory)

    def check_graph(self, graph):
        super().check_graph(graph)
        _checkpoint.check_graph(graph, self.inventory, self.use_moving_averages, self.config)
        self._check_size(graph)

    def _check_size(self, graph):
        """Declines a frozen graph that could not be written, before anything is computed for it."""
        if not self.freezes:
            return
        num_bytes = _checkpoint.num_bytes(graph)
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

    def write_saved_model(self, original, arguments):
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
        if _artifacts.CHECKPOINT in self.artifacts:
            # Just written by the release: with moving averages on, it holds them under the variables' names.
            self.place(composed, os.path.join(self.staged_directory, 'model.ckpt'), None)
        else:
            graph = next(iter(outputs.values())).graph
            self.place(composed, self.restored_prefix, _checkpoint.sources(graph, self.use_moving_averages))

    def _revise(self):
        """Gives the release's own SavedModel what the steps have for it; where that is nothing, it stays as it is."""
        changes = self.changes()
        if not changes:
            return

        def sign(meta_graph):
            meta_graph.signature_def[_saved_model.SIGNATURE].CopyFrom(self.signature)
        for note in _saved_model.revise(self.saved_model_directory, [sign] + changes, self.assets()):
            self.observer.note(note)

    def place(self, composed, checkpoint_prefix, sources, more=()):
        """Writes the SavedModel; see ``_saved_model.place``.

        Args:
            more: list of (key, value) to add to the record in ``assets.extra/``.
        """
        self.written = _saved_model.place(self.saved_model_directory, composed, checkpoint_prefix, sources,
                                          extra_assets={_record.NAME: self._made_from(more)}, assets=self.assets())

    def remove_unasked(self):
        """Removes what was only written on the way to something else, such as the graph of a frozen SavedModel."""
        for name in os.listdir(self.staged_directory):
            for artifact, pattern in _artifacts.ARTIFACTS.items():
                if pattern.match(name) and artifact not in self.artifacts:
                    os.unlink(os.path.join(self.staged_directory, name))

    def report(self, replaced):
        """Returns the ``_reports.Report``; the staged files are still where they were written."""
        return _reports.Report(
            output_directory=self.output_directory,
            files=_files(self.staged_directory),
            written=self.written,
            kind=self.written.kind if self.written else _artifacts.FROZEN,
            use_moving_averages=self.use_moving_averages,
            checkpoint=self.inventory.prefix,
            step=self.inventory.step,
            signature=self.signature,
            artifacts=self.artifacts,
            release=self.release_text,
            replaced=replaced,
            facts=[fact for step, result in self._told() for fact in step.facts(result)],
            lines=[])

    def ready(self, replaced):
        """The last thing that happens to every export before it is moved into place; returns its ``_reports.Report``.

        Args:
            replaced: bool, whether it is to replace an earlier one.
        """
        self.remove_unasked()
        for step in self.steps:
            self.results[step.name] = step.staged(self)
        report = self.report(replaced)
        self.observer.stage('moving into place')
        return report

    def placed(self):
        """What happens to an export that is in its place; returns the ``lines`` of its ``_reports.Report``."""
        self.results = {}
        for step in self.steps:
            self.results[step.name] = step.placed(self)
        return [line for step, result in self._told() for line in [''] + step.lines(result)]

    def _told(self):
        """Returns [(step, its result)] of the steps that have one."""
        return [(step, self.results[step.name]) for step in self.steps if self.results[step.name] is not None]

    def _made_from(self, more):
        """Returns the record of what made this export, as JSON bytes, for ``assets.extra/od_patch.json``."""
        version, git_version = _tensorflow.versions()
        record = collections.OrderedDict([
            ('format', _RECORD_FORMAT),
            ('od_patch', _version.__version__),
            ('exporter', self.release_text),
            ('tensorflow', version),
            ('tensorflow_git', git_version),
            ('checkpoint', self.inventory.prefix),
            ('checkpoint_format', self.inventory.format),
            ('global_step', self.inventory.step),
            ('moving_averages', self.use_moving_averages),
            ('sha256', self.digests),
        ] + list(more))
        return (json.dumps(record, indent=2) + '\n').encode('utf-8')


def current():
    """Returns what is ``UnderWay`` in this thread, or None."""
    return _thread.under_way


def asked():
    """Returns (``Options``, ``_observer.Observer``) of this thread: its innermost ``patched()``'s, else the defaults."""
    return _thread.asked or (Options(), _observer.Observer())


@contextlib.contextmanager
def asking(options, observer):
    """Context in which exports of this thread have these options."""
    before = _thread.asked
    _thread.asked = (options, observer)
    try:
        yield
    finally:
        _thread.asked = before


@contextlib.contextmanager
def whole(options, observer, release_text, arguments):
    """Context around upstream's export function: checks, stages, and moves into place.

    Args:
        options: ``Options``.
        observer: ``_observer.Observer``.
        release_text: str, the exporter's pin in words.
        arguments: dict from parameter name to value, as upstream's function was
            called.

    Yields:
        ``Export``.
    """
    observer.stage('checks')
    active = prepare(options, arguments)
    output_directory = _store.plain(arguments['output_directory'])
    if not output_directory:
        raise _errors.UsageError('The output directory is empty.', 'Give one, such as --output_directory=exported.')
    prefix = _checkpoint.resolve(arguments['trained_checkpoint_prefix'])
    if prefix != os.fspath(arguments['trained_checkpoint_prefix']):
        observer.note('checkpoint: {}'.format(prefix))
    _staging.clear(output_directory)  # or what a killed run had moved away would not be seen to be there
    check_free(output_directory, options.overwrite)
    _staging.check_writable(output_directory)
    replaced = _tensorflow.gfile().Exists(os.path.join(output_directory, 'saved_model', 'saved_model.pb'))
    staged = None
    report = None
    try:
        with _staging.staged(
                output_directory, check=lambda: check_free(output_directory, options.overwrite)) as staged:
            export = Export(options, observer, release_text, prefix, output_directory, staged, active)
            export.check(arguments)
            with contextlib.ExitStack() as left:
                # It would go over the growing graph again and again, a seventh of the time that building takes, and
                # find 2,000 objects among half a million.
                left.enter_context(_garbage.paused())
                with under_way(export):
                    observer.stage('graph')
                    yield export
                if any(step.runs_models for step in active):
                    left.close()  # the sessions are in such cycles
                report = export.ready(replaced)
        report = report._replace(lines=export.placed())
    finally:
        if staged is not None and staged.in_place:  # also where a signal arrived just then
            observer.finished(report)


def prepare(options, arguments):
    """Checks, before the graph, what the options ask for beyond upstream; returns the steps that do it.

    Args:
        options: ``Options``.
        arguments: dict from parameter name to value, as upstream's function was called.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    active = steps.active(options.asked)
    for step in active:
        step.check(arguments)
    return active


@contextlib.contextmanager
def under_way(export):
    """Context in which an ``UnderWay`` is the current one of this thread."""
    _thread.under_way = export
    try:
        yield
    finally:
        _thread.under_way = None


def check_free(output_directory, overwrite):
    """Refuses an output directory that holds a SavedModel already, unless it may be replaced.

    Upstream's builder refuses it as well, at the very end of the export.

    Raises:
        od_patch.OutputRefused
    """
    if overwrite:
        return
    try:
        _check_free(output_directory)
    except _errors.ODPatchError:
        raise  # before TensorFlow is asked what its errors are
    except _tensorflow.tf1().errors.OpError as error:
        raise _errors.OutputRefused(
            'The output directory {} cannot be looked at: {}'.format(output_directory, error.message),
            'Check the path, and that its store can be reached from here.')


def _check_free(output_directory):
    gfile = _tensorflow.gfile()
    saved_model = os.path.join(output_directory, 'saved_model')
    if _is_training_directory(output_directory):
        raise _errors.OutputRefused(
            'The output directory {} is one that a training writes its checkpoints to: an export would replace its '
            'file "checkpoint", which says where to resume.'.format(output_directory),
            'Give another --output_directory, or add --overwrite if that is meant.')
    if not gfile.Exists(saved_model):
        return
    if gfile.IsDirectory(saved_model) and not gfile.ListDirectory(saved_model):
        return
    raise _errors.OutputRefused(
        'The output directory {} holds an export already ({} exists).'.format(output_directory, saved_model),
        'Add --overwrite to replace it, or give another --output_directory.')


def _is_training_directory(directory):
    """Returns whether a directory holds a ``checkpoint`` file that names others than an export's model.ckpt."""
    gfile = _tensorflow.gfile()
    path = os.path.join(directory, 'checkpoint')
    if not gfile.Exists(path) or gfile.IsDirectory(path):
        return False
    with gfile.GFile(path, 'rb') as state_file:
        named = re.search(br'^model_checkpoint_path:\s*"([^"]*)"', state_file.read(), re.MULTILINE)
    return named is not None and os.path.basename(named.group(1)) != b'model.ckpt'


def bind(function, args, kwargs):
    """Returns the arguments of a call as an ordered dict from parameter name to value, without defaults.

    Raises:
        TypeError: the call does not fit the function, as calling it would raise.
    """
    return inspect.signature(function).bind(*args, **kwargs).arguments


def check_config(arguments, inventory):
    """Refuses, before the graph, a config that cannot be exported here, and averages that the checkpoint lacks."""
    config = arguments.get('pipeline_config')
    if config is not None:
        _config.check(config)
    if config is not None and config.eval_config.use_moving_averages and not _checkpoint.has_averages(inventory):
        raise _errors.CheckpointMismatch(
            'The pipeline config asks for moving averages (eval_config.use_moving_averages), and the checkpoint {} '
            'holds no moving averages.'.format(inventory.prefix),
            _checkpoint.no_averages_remedy(inventory))


def _files(directory):
    """Returns [(path below ``directory``, bytes)], sorted."""
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            found.append((os.path.relpath(path, directory), os.path.getsize(path)))
    return sorted(found)


def _digests(directory):
    """Returns {path: SHA-256 in hex} of the files that the exporter has written so far.

    A checkpoint's data files are left out, which are as large as all others: its index has a checksum of every tensor.
    """
    digests = collections.OrderedDict()
    for name, _ in _files(directory):
        if os.path.dirname(name) or _DATA_FILE.search(name):
            continue  # the SavedModel that this record is part of, or data
        digests[name] = _digest.sha256(os.path.join(directory, name))
    return digests
