"""The way of every export, of one checkpoint and of many: what happens instead of a call of the release's function."""
import contextlib
import typing

from od_patch import _errors
from od_patch import steps
from od_patch.export import _export
from od_patch.export import _moments
from od_patch.export import _observer
from od_patch.export import _request
from od_patch.export import _series
from od_patch.staging import _store


@contextlib.contextmanager
def around(
        options: _request.Options, observer: _observer.Observer, release_text: str,
        arguments: typing.Dict[str, typing.Any], half: int = 1) -> typing.Iterator[_moments.Run]:
    """Context around the release's export function: checks what it is asked for, and brings about what comes of it.

    Args:
        options: ``_request.Options``.
        observer: ``_observer.Observer``.
        release_text: str, the exporter's pin in words.
        arguments: dict from parameter name to value, as the release's function was called.
        half: int, of the Object Detection API; 2 for a model of TensorFlow 2.

    Yields:
        ``_moments.Run``: with ``arguments_for`` the release is called, where it ``has_work``.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    observer.stage('checks')
    active = steps.active(options.asked)
    for step in active:
        step.check(arguments)
    output_directory = _store.plain(arguments['output_directory'])
    if not output_directory:
        raise _errors.UsageError('The output directory is empty.', 'Give one, such as --output_directory=exported.')
    drive = _series.many_checkpoints if options.series else _export.one_checkpoint
    with drive(_request.Request(options, observer, release_text, arguments, output_directory, active,
                                half)) as run:
        yield run
