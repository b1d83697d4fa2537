"""``verify`` and ``doctor``, as functions and for the commands.

Not for: the proof itself (``proof``), nor what is looked at (``environment``).
"""
import contextlib
import os
import tempfile
import typing

from od_patch import _errors
from od_patch import api
from od_patch.api import _made
from od_patch.api import _paths
from od_patch.staging import _staging

_Any = typing.Any  # what the rooms found, and what was given and is looked at here


def verify_(
        export: _Any, saved_model: _Any, frozen_graph: _Any, checkpoint: _Any, config: _Any, images: _Any,
        most_images: _Any, target_tf: _Any, quick: _Any, report: _Any, overwrite: _Any, progress: _Any = None,
        tell: _Any = None) -> _Any:
    """Returns the ``proof._answer.Answer``; ``tell`` is called with what is to be known before models are run."""
    _paths.require_tensorflow()
    from od_patch import proof
    images = [images] if isinstance(images, (str, os.PathLike)) else images
    export, saved_model, frozen_graph, *images = map(_paths.local, (export, saved_model, frozen_graph) + tuple(images))
    checkpoint, config, report = map(_paths.expanded, (checkpoint, config, report))
    given = [path for path in [export, saved_model, frozen_graph, config] + images if path]
    _paths.refuse_to_replace([report] if report else [], given, overwrite)
    if quick and images:
        raise _errors.UsageError('--quick runs nothing, and --images is what to run on.', 'Leave out one of them.')
    with contextlib.ExitStack() as stack:
        if checkpoint and config and not (export or saved_model or frozen_graph):
            export = stack.enter_context(_exported(checkpoint, config))
        with _paths.told(progress):
            answer = proof.verify(export, saved_model, frozen_graph, checkpoint, config, images, most_images, target_tf,
                                  quick, tell)
        if report:
            from od_patch.proof import _verify_page
            with _staging.replacing(report) as path:
                _verify_page.write(answer, path)
    return answer


@contextlib.contextmanager
def _exported(checkpoint: _Any, config: _Any) -> _Any:
    """A private folder with the export of a checkpoint, gone at the end."""
    from od_patch.regenerate import _installed
    with tempfile.TemporaryDirectory(prefix='od-patch-') as folder:
        target = os.path.join(folder, 'export')
        _installed.export(checkpoint, config, target, {})
        yield target


def verify(*args: _Any, **kwargs: _Any) -> api.Verification:
    """See ``od_patch.verify``; takes what ``verify_`` does."""
    return verification(verify_(*args, **kwargs))


def verification(answer: _Any) -> api.Verification:
    """Returns the ``Verification`` of an ``Answer``."""
    return _made.made(api.Verification, answer.as_json())


def doctor() -> api.Diagnosis:
    """See ``od_patch.doctor``."""
    from od_patch.environment import _doctor
    return diagnosis(_doctor.examine())


def diagnosis(findings: _Any) -> api.Diagnosis:
    """Returns the ``Diagnosis`` of what ``_doctor.examine`` found."""
    return _made.made(api.Diagnosis, findings.as_json())
