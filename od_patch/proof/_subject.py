"""What is to be verified: where checkpoint, frozen graph and SavedModel lie, and what they were made from.

What an export lacks is simply not there; what a user named and is not there is refused.

Not for: looking into any of it.
"""
import collections
import os

from od_patch._errors import InputRefused
from od_patch._errors import UsageError
from od_patch.checkpoint import _checkpoint
from od_patch.proof import _pipeline
from od_patch.saved_model import _record
from od_patch.staging import _store

RECORD = os.path.join(_record.FOLDER, _record.NAME)


class Subject:
    """Paths are str, or None for what is not there.

    Attributes:
        given: str, what to call it all: what the user typed.
        export: the export directory.
        saved_model: folder with saved_model.pb; frozen_graph: file.
        checkpoint: prefix of the checkpoint inside the export (model.ckpt), with the very values exported.
        trained: prefix of the checkpoint that was exported, with raw weights and perhaps moving averages of them.
        trained_named: bool, whether the user named it, and not the export's record.
        averages: bool, whether moving averages are to be exported; None where nothing says so.
        averages_from: str, what says so.
        record: dict, assets.extra/od_patch.json, or empty.
        variables: dict, how many the SavedModel was written with, and without which, as the record has it; or empty.
        staged: bool, whether it is an export that is being made, by this process.
        problems: list of (name, text): what was named nowhere and should be there all the same.
    """

    def __init__(self, given):
        self.given = given
        self.export = self.saved_model = self.frozen_graph = self.checkpoint = self.trained = None
        self.trained_named = False
        self.averages, self.averages_from = None, ''
        self.staged = False
        self.record, self.variables, self.problems = {}, {}, []

    def as_json(self):
        return collections.OrderedDict([
            ('given', self.given), ('saved_model', self.saved_model), ('frozen_graph', self.frozen_graph),
            ('checkpoint', self.checkpoint), ('trained_checkpoint', self.trained),
            ('moving_averages', self.averages)])


def find(export=None, saved_model=None, frozen_graph=None, checkpoint=None, pipeline_config=None):
    """Returns the ``Subject`` that a command line means.

    Args:
        export: str, an export directory, or a SavedModel's folder, or None.
        saved_model, frozen_graph: str or None: given by themselves, they count and not those of ``export``.
        checkpoint: str, the trained checkpoint, as ``_checkpoint.resolve`` takes it, or None.
        pipeline_config: str, the config that it was trained with, or None.

    Raises:
        InputRefused: something named is not there, or there is nothing in it.
        UsageError: nothing was named.
    """
    if not (export or saved_model or frozen_graph):
        raise UsageError('There is nothing to verify.',
                         'Give an export directory, or --saved_model and --frozen_graph, or --checkpoint and '
                         '--config.')
    subject = Subject(' and '.join(path for path in (export, saved_model, frozen_graph) if path))
    if export:
        _locate(subject, export)
        if not (subject.saved_model or subject.frozen_graph or subject.checkpoint):
            raise InputRefused(
                '{}: the directory holds neither saved_model nor frozen_inference_graph.pb nor model.ckpt (it holds '
                '{}).'.format(export, ', '.join(sorted(os.listdir(export))[:6]) or 'nothing'),
                'Give the output directory of an export.')
    if saved_model:
        subject.saved_model = _folder_of_saved_model(saved_model)
    if frozen_graph:
        if not os.path.isfile(frozen_graph):
            raise InputRefused('{}: there is no such file.'.format(frozen_graph), 'Give a frozen_inference_graph.pb.')
        subject.frozen_graph = frozen_graph
    if subject.saved_model:
        subject.record = _read_record(subject)
        subject.variables = subject.record.get('variables', {})
    _find_trained(subject, checkpoint, pipeline_config)
    return subject


def of_staged(directory, given, trained, averages, variables=None):
    """Returns the ``Subject`` of an export that is not in its place yet.

    Args:
        directory: str, where its artefacts are staged; given: str, where they are to go.
        trained: str, the prefix of the checkpoint that was exported.
        averages: bool, whether its moving averages were asked for.
        variables: as ``Subject.variables``; None where there is no SavedModel, or a frozen one.
    """
    subject = Subject(given)
    _locate(subject, directory)
    subject.trained, subject.averages, subject.averages_from = trained, averages, 'the pipeline config'
    subject.variables, subject.staged = variables or {}, True
    return subject


def _locate(subject, export):
    """Takes note of the artefacts in an export directory, or of the one SavedModel that the directory is."""
    if not os.path.isdir(export):
        raise InputRefused('{}: there is no such directory.'.format(export), 'Give the output directory of an export.')
    if os.path.isfile(os.path.join(export, 'saved_model.pb')):
        subject.saved_model = export
        return
    subject.export = export
    folder = os.path.join(export, 'saved_model')
    graph = os.path.join(export, 'frozen_inference_graph.pb')
    prefix = os.path.join(export, 'model.ckpt')
    subject.saved_model = folder if os.path.isdir(folder) else None
    subject.frozen_graph = graph if os.path.isfile(graph) else None
    names = os.listdir(export)
    if any(name == 'model.ckpt' or name.startswith(('model.ckpt.index', 'model.ckpt.data-')) for name in names):
        subject.checkpoint = prefix


def _folder_of_saved_model(path):
    if os.path.isfile(path) and os.path.basename(path) == 'saved_model.pb':
        return os.path.dirname(path) or '.'
    if not os.path.isdir(path):
        raise InputRefused('{}: there is no such directory.'.format(path), 'Give the folder saved_model of an export.')
    inside = os.path.join(path, 'saved_model')
    if not os.path.isfile(os.path.join(path, 'saved_model.pb')) and os.path.isdir(inside):
        return inside
    return path


def _read_record(subject):
    path = os.path.join(subject.saved_model, RECORD)
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, 'rb') as file:
            return _record.parse(file.read((1 << 20) + 1))
    except (OSError, _record.Broken) as error:
        subject.problems.append(('od_patch.json', 'the record cannot be read: {}'.format(error)))
        return {}


def _find_trained(subject, checkpoint, pipeline_config):
    """Settles which checkpoint was exported, and whether its moving averages are meant."""
    recorded = subject.record.get('checkpoint')
    if checkpoint:
        subject.trained, subject.trained_named = _checkpoint.resolve(checkpoint), True
    elif isinstance(recorded, str) and recorded and not _store.is_store(recorded):
        try:  # what a file says opens no connection
            subject.trained = _checkpoint.resolve(recorded)
        except InputRefused:
            pass  # the training went on and removed it, or this is another machine
    if pipeline_config:
        if not subject.trained and not subject.checkpoint:
            raise UsageError('--config says which weights of a checkpoint are meant, and there is none.',
                             'Give --checkpoint PREFIX, too.')
        subject.averages = _pipeline.uses_moving_averages(pipeline_config)
        subject.averages_from = pipeline_config
    elif isinstance(subject.record.get('moving_averages'), bool):
        subject.averages = subject.record['moving_averages']
        subject.averages_from = 'od_patch.json'
