"""Publishes a SavedModel as a version of a served model: a new folder ``BASE/<integer>``, whole from its first moment.

A server lists BASE every second or so, takes each name that reads as a 64-bit
integer, and loads the largest. So a version is copied into a folder of a name
that no server takes, proved there, and renamed; a version that is there is
never changed. A store without renames (``gs://``) gets the files uploaded,
``saved_model.pb`` last.

What a server takes for a version is what
tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc does:
``absl::SimpleAtoi`` of every name in BASE, files and folders alike.

Not for: packing a model for somebody else's container (``_archive``), nor for
making the SavedModel that is published.
"""
import contextlib
import os
import re
import tempfile
import typing
import uuid

from od_patch import _errors
from od_patch import _platform
from od_patch import _tensorflow
from od_patch import _text
from od_patch import proof
from od_patch.saved_model import _record
from od_patch.serving import _claims
from od_patch.serving import _content
from od_patch.staging import _folders
from od_patch.staging import _staging
from od_patch.staging import _store

STEP = 'step'
_LARGEST = (1 << 63) - 1
_INTEGER = re.compile(r'\s*[+-]?[0-9]+\s*$')
_MODEL_FILES = ('saved_model.pb', 'saved_model.pbtxt')
_MODEL_NAME = re.compile(r'[A-Za-z0-9_.\-]+$')  # goes into a URL, a container's path and a shell
_WORKSHOP = re.compile(r'\.([0-9]+)\.od-patch$')
_PRUNED = re.compile(r'\.[0-9]+\.od-patch-pruned-[0-9a-f]{32}$')


class PublishRequest(typing.NamedTuple):
    """What is to be published where."""

    base: str  # the folder with one folder per version
    version: typing.Any = None  # int or its digits, 'step' for the checkpoint's global step, None for the next one
    keep: typing.Optional[int] = None  # how many versions to leave there; None for all
    model_name: typing.Optional[str] = None  # what requests call the model; None for the last part of ``base``


class Published(typing.NamedTuple):
    """A version that was published."""

    base: str  # as in ``PublishRequest``; the name is never None
    version: int
    path: str  # its folder
    model_name: str  # as in ``PublishRequest``; the name is never None
    num_bytes: int  # of all of its files
    removed: typing.List[int]  # versions that were pruned
    notes: typing.List[str]  # what a user should know
    input: typing.Any  # ``proof._models.Input``, what requests give; None for a model that takes more than images
    rows: bool = True  # whether requests may be in rows, as most are; else they are in columns


def check(request, step=None):
    """Refuses what can be known to fail before there is anything to publish.

    Args:
        request: ``PublishRequest``.
        step: int, the global step of what is to be published, where it is known already.

    Raises:
        od_patch.UsageError: a version that a server would skip, a number of versions or a name that cannot be meant.
        od_patch.InputRefused: the step is wanted and there is none.
        od_patch.OutputRefused: the version is there, or ``base`` is no folder for versions.
    """
    request = request._replace(base=_store.plain(request.base))
    if not request.base:
        raise _errors.UsageError('The folder to publish into is empty.', 'Give one, such as models/detector.')
    if request.keep is not None and request.keep < 1:
        raise _errors.UsageError(
            '--keep={}: a server needs a version to serve.'.format(request.keep), 'Give 1 or more.')
    version = _number(request.version)
    model_name(request)
    _check_base(request.base)
    _clean_up(request.base)
    if version == STEP and step is not None:
        version = step
    if isinstance(version, int):
        _check_free(request.base, version, versions(request.base))


def publish(export, request, prepare=None):
    """Publishes a SavedModel as a version, and returns ``Published``.

    Args:
        export: str, an export directory or a folder with saved_model.pb; may have a scheme that ``tf.gfile`` knows.
        request: ``PublishRequest``.
        prepare: function that is called with the folder of the copy, a local one, before it is moved into place.

    Raises:
        od_patch.InputRefused: there is no SavedModel in ``export``, or no step in its record.
        od_patch.ProofFailed: it is damaged.
        od_patch.OutputRefused, od_patch.UsageError: as ``check``.
    """
    request = request._replace(base=_store.plain(request.base))
    source = find_saved_model(_store.plain(export))
    record = _record.read(source) or {}
    check(request)
    check_apart(source, request.base)
    _staging.check_writable(request.base)
    while True:
        version = choose(request, record, _taken(request.base))
        path = _store.below(request.base, str(version))
        try:
            with _held(request.base, version) as folder:
                _content.copy(source, folder)
                model_input, rows = prove(folder, export)
                if prepare is not None:
                    prepare(folder)
                files = _files(folder)
                _check_free(request.base, version, versions(request.base))  # somebody may have made it by other means
            break
        except _claims.Overtaken:
            if request.version is not None:
                _check_free(request.base, version, versions(request.base))
                raise _errors.OutputRefused(
                    'Another run is publishing {}.'.format(path), 'Leave out --model_version for the next one.')
    return Published(
        base=request.base, version=version, path=path, model_name=model_name(request),
        num_bytes=sum(size for _, size in files), input=model_input, rows=rows,
        **_prune(request.base, version, request.keep))


def _taken(base):
    """Returns {version: name} of what is there, and of what others are about to put there."""
    taken = versions(base)
    if _store.is_store(base):
        for version in _claims.taken(base):
            taken.setdefault(version, str(version))
    return taken


@contextlib.contextmanager
def _held(base, version):
    """Context in which nobody else publishes a version: yields a local folder, which becomes the version at the end.

    On a local disk, one who wants the same version waits; in a store, one takes another version, or is refused.

    Raises:
        _claims.Overtaken: somebody else has published it, or is about to.
    """
    path = _store.below(base, str(version))

    def check_free():
        if version in versions(base):
            raise _claims.Overtaken
    if not _store.is_store(base):
        with _staging.staged(path, _staging.OF_A_SAVED_MODEL, check_free, wait=True) as staged:
            yield staged.export
        return
    with _claims.claimed(base, version), tempfile.TemporaryDirectory(prefix='od-patch-') as folder:
        check_free()
        yield folder
        with _store.Place(path, _staging.OF_A_SAVED_MODEL) as place:
            place.put(folder)


def find_saved_model(export):
    """Returns the folder with saved_model.pb that an export directory, or that folder itself, means.

    Raises:
        od_patch.InputRefused: there is none.
    """
    gfile = _tensorflow.gfile()
    for folder in (export, _store.below(export, 'saved_model')):
        if gfile.Exists(_store.below(folder, 'saved_model.pb')):
            return folder
    raise no_saved_model(export)


def no_saved_model(export):
    """Returns the refusal of a path that leads to no SavedModel; of a frozen graph, it says what makes one of it."""
    gfile = _tensorflow.gfile()
    if not gfile.Exists(export):
        problem, frozen = '{}: there is no such directory.', None
    elif not gfile.IsDirectory(export):
        problem, frozen = '{}: it is a file, and a SavedModel is a directory.', export
    else:
        problem, frozen = '{}: there is no saved_model.pb in it.', _store.below(export, 'frozen_inference_graph.pb')
    remedy = 'Give the output directory of an export, or its folder saved_model.'
    if frozen and gfile.Exists(frozen):
        remedy += ' Of a frozen graph alone, this makes one:\n  ' + _text.command(
            ['od-patch', 'unfreeze', frozen, '--output', 'unfrozen'])
    return _errors.InputRefused(problem.format(export), remedy)


def versions(base):
    """Returns {version: name} of what a server takes for versions in a folder; empty where there is no such folder."""
    gfile = _tensorflow.gfile()
    if not gfile.IsDirectory(base):
        return {}
    found = {}
    for name in gfile.ListDirectory(base):
        name = name.rstrip('/')  # some stores write folders so
        if _INTEGER.match(name) and -_LARGEST - 1 <= int(name) <= _LARGEST:
            found[int(name)] = name
    return found


def model_name(request):
    """Returns what requests call the model.

    Raises:
        od_patch.UsageError: that name could not stand in a URL.
    """
    name = request.model_name
    if name is None:
        base = request.base if _store.is_store(request.base) else os.path.abspath(request.base)
        name = os.path.basename(_store.without_slash(base))
    if not _MODEL_NAME.match(name):
        raise _errors.UsageError(
            'The model would be called {!r}, which cannot stand in the URL of a request.'.format(name),
            'Give --model_name, of letters, digits, dots, dashes and underscores.')
    return name


def _number(version):
    """Returns the version that is wanted: int, 'step' or None."""
    if version is None or version == STEP:
        return version
    text = str(version)
    if not re.match(r'[0-9]+$', text) or int(text) > _LARGEST:
        raise _errors.UsageError(
            '--model_version={}: a server takes folders whose name is a whole number up to {}, and skips any '
            'other without a word.'.format(text, _LARGEST),
            'Give a number; "step" for the global step of the checkpoint; or leave it out for the next one.')
    return int(text)


def _check_base(base):
    gfile = _tensorflow.gfile()
    for name in _MODEL_FILES:
        if gfile.Exists(_store.below(base, name)):
            raise _errors.OutputRefused(
                '{} is a SavedModel itself; versions of a model lie beside each other in a folder.'.format(base),
                'Give the folder above it, or a new one.')
    if gfile.Exists(base) and not gfile.IsDirectory(base):
        raise _errors.OutputRefused('{} is a file.'.format(base), 'Give a folder.')


def check_apart(source, base):
    """Refuses to publish into what is published.

    Args:
        source: str, the folder of the SavedModel, which need not be there yet; base: str.

    Raises:
        od_patch.OutputRefused
    """
    if _store.is_store(source) or _store.is_store(base):
        return
    if _staging.lies_in(base, source):
        raise _errors.OutputRefused('{} lies in the SavedModel that is to be published.'.format(base),
                                    'Give a folder elsewhere.')


def _check_free(base, version, there):
    if version in there:
        raise _errors.OutputRefused(
            '{} is there already; a server that has loaded a version does not look at it again.'.format(
                _store.below(base, there[version])),
            'Leave out --model_version for the next one, {}, or give another.'.format(_next(base, there)))


def _next(base, there):
    largest = max(there) if there else 0
    if largest >= _LARGEST:
        raise _errors.OutputRefused('{} has the largest version that there can be, {}.'.format(base, largest),
                                    'Give --model_version.')
    return max(largest + 1, 1)


def choose(request, record, there):
    """Returns the number of the version that is wanted: by default, one more than the largest there.

    Args:
        request: ``PublishRequest``.
        record: dict, what the SavedModel says of how it was made.
        there: {version: name} of what ``request.base`` has.

    Raises:
        od_patch.UsageError, od_patch.InputRefused, od_patch.OutputRefused: as ``check``.
    """
    version = _number(request.version)
    if version is None:
        return _next(request.base, there)
    if version == STEP:
        step = record.get('global_step')
        if not isinstance(step, int) or not 0 <= step <= _LARGEST:
            raise _errors.InputRefused(
                'The SavedModel does not say at which global step it was trained (assets.extra/{} has {}).'.format(
                    _record.NAME, 'none' if step is None else repr(step)),
                'Give --model_version=NUMBER.')
        version = step
    _check_free(request.base, version, there)
    return version


def prove(folder, given):
    """Refuses a copy that is damaged; returns (its ``proof._models.Input`` or None, whether it takes rows)."""
    from od_patch.graphs import _models
    from od_patch.graphs import _servable
    answer = proof.verify(saved_model=folder, quick=True)
    if answer.wrong:
        raise _errors.ProofFailed(
            'The SavedModel in {} is not fit to be served:\n{}'.format(given, '\n'.join(
                '  {}, {}: {}'.format(check.part, check.name, check.text) for check in answer.wrong)),
            'Nothing was published. Export it again, or copy it from where it is whole; od-patch verify says more.')
    servable = _servable.Servable(folder)
    try:
        model_input = _models.input_of(servable)
    except _errors.InputRefused:
        return None, False
    return model_input, _models.has_rows(servable, model_input)


def _files(folder):
    """Returns [(path below ``folder``, bytes)] of a local folder."""
    return sorted((os.path.relpath(os.path.join(place, name), folder), os.path.getsize(os.path.join(place, name)))
                  for place, _, names in os.walk(folder) for name in names)


def _prune(base, published, keep):
    """Removes old versions; returns {'removed': …, 'notes': …} for ``Published``.

    The largest is what is served, and the one just published is what was asked
    for: neither goes. A folder without a SavedModel is nothing that was
    published, and stays.
    """
    gfile = _tensorflow.gfile()
    there = versions(base)
    removed, notes = [], []
    if published < max(there):
        notes.append('{} is not the largest version there: servers go on with {}, unless they are told '
                     'otherwise.'.format(published, max(there)))
    kept = {published}.union(sorted(there, reverse=True)[:keep])
    for version, name in sorted(there.items()):
        if keep is None or version in kept:
            continue
        path = _store.below(base, name)
        if not any(gfile.Exists(_store.below(path, file)) for file in _MODEL_FILES):
            notes.append('{} holds no SavedModel, and was left there.'.format(path))
            continue
        try:
            _remove(base, version, path)
            removed.append(version)
        except (OSError, _tensorflow.tf1().errors.OpError) as error:  # what was asked for first is done all the same
            notes.append('{} could not be removed: {}'.format(path, getattr(error, 'message', None) or error))
    return {'removed': removed, 'notes': notes}


def _remove(base, version, path):
    """Removes a version: under another name, where there are renames, so that nobody sees half of it."""
    if _store.is_store(base):
        _claims.prune(base, version, path)
        return
    aside = _store.below(base, '.{}.od-patch-pruned-{}'.format(version, uuid.uuid4().hex))
    _platform.rename(path, aside)
    _folders.remove(aside)


def _clean_up(base):
    """Removes what runs that were killed have left: versions taken aside, and copies that never got their name."""
    if _store.is_store(base):
        _claims.clear(base)
        return
    if not os.path.isdir(base):
        return
    for name in os.listdir(base):
        path = _store.below(base, name)
        if _PRUNED.match(name):
            with contextlib.suppress(OSError):
                _folders.remove(path)
        elif _WORKSHOP.match(name):
            with contextlib.suppress(_errors.OutputRefused):  # whoever publishes that version is told
                _staging.clear(_store.below(base, _WORKSHOP.match(name).group(1)), _staging.OF_A_SAVED_MODEL)
