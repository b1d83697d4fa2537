"""What every function and command asks of paths, and how trouble with them is told.

Not for: exports, which are staged and have checks of their own.
"""
import contextlib
import os
import re
import typing

from od_patch import _errors
from od_patch import _text
from od_patch.staging import _staging
from od_patch.staging import _store
from od_patch.terminal import _stages


def expanded(path: typing.Any) -> typing.Any:
    """Returns a path as str, with ``~`` expanded; None for None."""
    return None if path is None else os.path.expanduser(os.fspath(path))


def local(path: typing.Any) -> typing.Any:
    """Returns a path of the local disk as str, without its scheme; None for None.

    Raises:
        od_patch.UsageError: it leads to a store.
    """
    path = expanded(path)
    if path and _store.is_store(path):
        raise _errors.UsageError(
            '{}: this command reads the local disk only.'.format(path),
            'Copy it here first, with the tool of the store:  ' + _text.command(
                ['aws', 's3', 'cp', '--recursive', path, 'copy'] if path.startswith('s3://') else
                ['gsutil', '-m', 'cp', '-r', path, 'copy']))
    return path and _store.plain(path)


def names(given: typing.Any, option: str = 'outputs') -> typing.Optional[typing.List[str]]:
    """Returns a list of nodes, or of outputs of nodes, that was given as one, or with commas; None for none.

    Raises:
        od_patch.UsageError: one of them names no output.
    """
    parts = given.split(',') if isinstance(given, str) else given or ()
    found = [part.strip() for part in parts if part.strip()]
    for name in found:
        if not re.match(r'[^:^]+(:[0-9]{1,6})?$', name):
            raise _errors.UsageError('--{}: {!r} names no output.'.format(option, name),
                                     'Give a node, NAME, or one of its outputs, NAME:NUMBER.')
    return found or None


def refuse_to_replace(paths: typing.Iterable[str], inputs: typing.Iterable[str], overwrite: bool) -> None:
    """Before any work: whether all of ``paths`` may be written to; what is being read never, whatever the flags say.

    Raises:
        od_patch.OutputRefused
    """
    paths = list(paths)
    if len({os.path.realpath(path) for path in paths}) != len(paths):
        raise _errors.OutputRefused('Two results would be written to one file: {}.'.format(', '.join(paths)),
                                    'Give them names of their own.')
    for path in paths:
        if not os.path.exists(path):
            continue
        for given in inputs:
            if os.path.exists(given) and (os.path.samefile(path, given) or _staging.lies_in(path, given)):
                raise _errors.OutputRefused('{} belongs to what is read ({}) and is never written over.'.format(
                    path, given), 'Give another file to write to.')
        if not overwrite:
            raise _errors.OutputRefused('{} is there already.'.format(path),
                                        'Give another file to write to, or --overwrite.')


@contextlib.contextmanager
def told(progress: typing.Optional[typing.Callable[[str], typing.Any]]) -> typing.Iterator[None]:
    """Context in which a function is called with the name of each stage of a long work as it begins; none for None."""
    if progress is None:
        yield
        return
    with _stages.watched(progress):
        yield


@contextlib.contextmanager
def writing() -> typing.Iterator[None]:
    """Context of what writes for servers: trouble of disks and stores is a refusal of the output.

    Raises:
        od_patch.OutputRefused
    """
    from od_patch import _tensorflow
    try:
        yield
    except (OSError, _tensorflow.tf1().errors.OpError) as error:
        raise _errors.OutputRefused('{}: {}'.format(type(error).__name__, getattr(error, 'message', None) or error),
                                    'Check the paths, and that there is room.')


def require_tensorflow() -> None:
    """Refuses where TensorFlow cannot be imported.

    Raises:
        od_patch.EnvironmentRefused
    """
    try:
        import tensorflow  # noqa: F401  pylint: disable=unused-import
    except ImportError as error:
        raise _errors.EnvironmentRefused('TensorFlow cannot be imported: {}.'.format(error),
                                         'Install one, e.g.  pip install tensorflow')
