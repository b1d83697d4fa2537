"""A proof from beginning to end: finds what there is, asks the four parts, gives the ``Answer``.

Not for: any of the questions themselves, nor for showing the answer.
"""
import time

from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch._errors import ProofFailed
from od_patch.graphs import _images
from od_patch.graphs import _servable
from od_patch.graphs import _sources
from od_patch.proof import _answer
from od_patch.proof import _files
from od_patch.proof import _harm
from od_patch.proof import _outputs
from od_patch.proof import _portability
from od_patch.proof import _subject
from od_patch.proof import _variables
from od_patch.terminal import _stages

DRAWN = 2


def verify(export=None, saved_model=None, frozen_graph=None, checkpoint=None, pipeline_config=None, images=(),
           most_images=8, target_tf=None, quick=False, tell=None):
    """Verifies an export and returns an ``Answer``.

    Args:
        export, saved_model, frozen_graph, checkpoint, pipeline_config: as ``_subject.find`` takes them.
        images: list of str, files and folders; empty for drawn scenes.
        most_images: int, how many of them to take at most.
        target_tf: str, the TensorFlow release that is to load it, or None.
        quick: bool, nothing is run: no session, no images.
        tell: function of a line of text, which is called before something is run that may do more than compute.

    Raises:
        InputRefused, UsageError: something that was named is not there or cannot be meant.
        EnvironmentRefused: Pillow is missing.
    """
    began = time.time()
    target = _portability.known_release(target_tf) if target_tf else None
    subject = _subject.find(export, saved_model, frozen_graph, checkpoint, pipeline_config)
    pictures, found = None, 0
    if not quick:
        pictures, found = _images.load(images, most_images) if images else (_images.drawn(DRAWN), DRAWN)
    answer = _prove(subject, pictures, target, tell=tell)
    if pictures and found > len(pictures):
        answer.checks.append(_answer.Check('outputs', 'images', _answer.NOTE, 'the first {} of {}'.format(
            len(pictures), _answer.number(found, 'image'))))
    answer.seconds = time.time() - began
    return answer


def staged(export, full=False):
    """What every export goes through before it is moved into place: files and weights, on request all of it.

    Args:
        export: ``_export.Export``, its artefacts staged.
        full: bool, whether both models are run, too.

    Returns:
        ``Answer``.

    Raises:
        ProofFailed: with what is wrong.
    """
    export.observer.stage('proof')
    began = time.time()
    subject = _subject.of_staged(export.staged_directory, export.output_directory, export.inventory.prefix,
                                 export.use_moving_averages, export.variables)
    answer = _prove(subject, _images.drawn(DRAWN) if full else None, None, elsewhere=full,
                    restored=getattr(export, 'restored', None) if full else None)
    answer.seconds = time.time() - began
    if answer.wrong:
        raise ProofFailed(
            'The export is not what was trained: {} of {} failed.\n{}'.format(
                len(answer.wrong), _answer.number(len(answer.checks), 'check'),
                '\n'.join('  {}, {}: {}{}'.format(check.part, check.name, check.text, ''.join(
                    '\n    ' + line for line in check.details[:3])) for check in answer.wrong)),
            'Nothing was written. Try again; if it fails again, please report it with this text.')
    return answer


def _prove(subject, pictures, target, elsewhere=True, tell=None, restored=None):
    """The ``Answer`` for a subject.

    Args:
        subject: ``Subject``; target: str, the TensorFlow release that is to load it, or None.
        pictures: list of ``Picture`` to run on, or None to run nothing.
        elsewhere: bool, whether it is asked what other machines will make of it.
        tell: as for ``verify``.
        restored: the model that was exported, in TensorFlow 2, as ``_outputs.restored`` takes it; None for none.
    """
    answer = _answer.Answer(subject)
    _stages.stage('reading')
    answer.tensorflow = _tensorflow.versions()[0]
    answer.pictures = pictures or []
    refused = {}
    servable = _read(refused, 'saved_model', subject.saved_model, _servable.Servable)
    frozen = _read(refused, 'frozen_graph', subject.frozen_graph, _frozen)
    _stages.stage('files')
    answer.checks += _files.check(subject, servable, refused)
    _stages.stage('weights')
    answer.checks += _variables.check(subject, servable, frozen)
    # Before anything runs: importing a GraphDef writes the defaults of the TensorFlow at hand into it.
    _stages.stage('portability')
    portability = _portability.check(subject, servable, frozen, target) if elsewhere else []
    harm = _harm.checks(_harm.found(servable, frozen)) if elsewhere else []
    answer.checks += harm
    if pictures is not None:
        for check in harm if tell else []:
            tell('{}: {}'.format(subject.given, check.text))
        _stages.stage('outputs')
        answer.checks += _outputs_of(answer, servable, frozen)
        if restored is not None and servable is not None:
            answer.checks.append(_outputs.restored(servable, restored, pictures))
    if elsewhere and servable is not None:
        portability.append(_portability.first_dimensions(servable, answer.runs))
    answer.checks += portability
    return answer


def _outputs_of(answer, servable, frozen):
    """The checks of the outputs, where the files are such that there is a point in running them."""
    broken = [check.name for check in answer.of('files') if check.status == _answer.WRONG
              and check.name in ('saved_model.pb', 'variables', 'restore', 'frozen graph', 'assets')]
    if broken:
        return [_answer.Check('outputs', 'outputs', _answer.SKIPPED, 'not run, as files are wrong: {}'.format(
            ', '.join(broken)))]
    checks, answer.runs = _outputs.check(servable, frozen, answer.pictures)
    if servable is not None:
        checks += _outputs.signatures(servable, answer.pictures)
    return checks


def _read(refused, kind, path, reader):
    if path is None:
        return None
    try:
        return reader(path)
    except InputRefused as error:  # a finding, not a trouble: it is what was to be verified
        refused[kind] = error
        return None


def _frozen(path):
    return _sources.load(path).graph_def
