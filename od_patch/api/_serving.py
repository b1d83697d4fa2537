"""``publish``, ``request``, ``package`` and ``unfreeze``, as functions and for the commands.

Each function that ends in an underscore returns what the rooms made, for a command to tell; the one without returns
the named tuple of the same.

Not for: making it (``serving``, ``unfreeze``).
"""
import typing

from od_patch import _errors
from od_patch import api
from od_patch.api import _made
from od_patch.api import _paths

_Any = typing.Any  # what the rooms found, and what was given and is looked at here


def publish_(
        export: _Any, base: _Any, model_version: _Any, keep: _Any, model_name: _Any, warmup_images: _Any,
        example_request: _Any) -> _Any:
    """Returns (``serving._publish.Published``, ``serving._requests.Example`` or None).

    ``warmup_images`` is None where none are wanted, empty for drawn ones.
    """
    _paths.require_tensorflow()
    from od_patch.serving import _publish
    from od_patch.serving import _requests
    from od_patch.serving import _warmup
    export, base, example_request = map(_paths.expanded, (export, base, example_request))
    images = [_paths.expanded(path) for path in warmup_images or () if path]
    notes: typing.List[str] = []

    def prepare(folder: str) -> None:
        notes.extend(_warmup.write(folder, images).notes)

    with _paths.writing():
        if warmup_images is not None:
            _warmup.require(images)
        if example_request is not None:
            _requests.check(base, example_request)
        published = _publish.publish(
            export, _publish.PublishRequest(base, model_version, keep, model_name),
            prepare if warmup_images is not None else None)
        published = published._replace(notes=notes + published.notes)
        if example_request is None:
            return published, None
        try:
            return published, _requests.write(published.path, example_request, published.model_name)
        except _errors.ODPatchError as error:
            raise type(error)(error.problem, '{}\nVersion {} is published all the same: {}'.format(
                error.remedy, published.version, published.path).lstrip())


def publish(
        export: _Any, base: _Any, model_version: _Any, keep: _Any, model_name: _Any, warmup_images: _Any,
        example_request: _Any) -> api.Publication:
    """See ``od_patch.publish``."""
    if isinstance(warmup_images, str):
        warmup_images = warmup_images.split(',')
    return publication(*publish_(export, base, None if model_version is None else str(model_version), keep, model_name,
                                 warmup_images, example_request))


def publication(published: _Any, example: _Any) -> api.Publication:
    """Returns the ``Publication`` of what ``publish_`` made."""
    from od_patch.serving import _commands
    from od_patch.serving import _requests
    told = _commands.as_json(published)
    if example is not None:
        told['example_request'] = _requests.as_json(example)
    return _made.made(api.Publication, told)


def request_(export: _Any, output: _Any, model_name: _Any, image: _Any, signature: _Any, overwrite: _Any) -> _Any:
    """Returns the ``serving._requests.Example``."""
    _paths.require_tensorflow()
    from od_patch.serving import _requests
    with _paths.writing():
        return _requests.write(_paths.local(export), _paths.local(output), model_name, _paths.expanded(image),
                               signature, overwrite)


def request(
        export: _Any, output: _Any, model_name: _Any, image: _Any, signature: _Any,
        overwrite: _Any) -> api.WrittenRequest:
    """See ``od_patch.request``."""
    return written_request(request_(export, output, model_name, image, signature, overwrite))


def written_request(example: _Any) -> api.WrittenRequest:
    """Returns the ``WrittenRequest`` of an ``Example``."""
    from od_patch.serving import _requests
    return _made.made(api.WrittenRequest, _requests.as_json(example))


def package_(
        service: _Any, export: _Any, output: _Any, model_version: _Any, model_name: _Any, code: _Any,
        overwrite: _Any) -> _Any:
    """Returns the ``serving._archive.Packed``."""
    _paths.require_tensorflow()
    from od_patch.serving import _archive
    if service not in _archive.SERVICES:
        raise _errors.UsageError('There is no package for {!r}; there are {}.'.format(
            service, ', '.join(_archive.SERVICES)), _errors.did_you_mean(str(service), _archive.SERVICES))
    with _paths.writing():
        return _archive.pack(service, _paths.expanded(export), _paths.expanded(output), model_version, model_name,
                             _paths.expanded(code), overwrite)


def package(
        service: _Any, export: _Any, output: _Any, model_version: _Any, model_name: _Any, code: _Any,
        overwrite: _Any) -> api.Package:
    """See ``od_patch.package``."""
    return packed(package_(service, export, output, None if model_version is None else str(model_version), model_name,
                           code, overwrite))


def packed(made: _Any) -> api.Package:
    """Returns the ``Package`` of a ``Packed``."""
    from od_patch.serving import _archive
    return _made.made(api.Package, _archive.as_json(made))


def unfreeze_(
        graph: _Any, output: _Any, variables: _Any, inputs: _Any, outputs: _Any, overwrite: _Any,
        progress: _Any = None) -> _Any:
    """Returns the ``unfreeze._report.Told`` of what was written, or without ``output`` of what would be."""
    _paths.require_tensorflow()
    from od_patch.unfreeze import _report
    from od_patch.unfreeze import _unfreeze
    graph, output = _paths.local(graph), _paths.local(output)
    with _paths.writing():
        frozen = _unfreeze.Frozen(graph, _paths.names(inputs, 'inputs'), _paths.names(outputs), variables or '')
        if output is None:
            return _report.listed(frozen)
        with _paths.told(progress):
            return _report.done(_unfreeze.unfreeze(frozen, output, overwrite))


def unfreeze(
        graph: _Any, output: _Any, variables: _Any, inputs: _Any, outputs: _Any, overwrite: _Any,
        progress: _Any) -> api.Unfrozen:
    """See ``od_patch.unfreeze``."""
    return unfrozen(unfreeze_(graph, output, variables, inputs, outputs, overwrite, progress))


def unfrozen(told: _Any) -> api.Unfrozen:
    """Returns the ``Unfrozen`` of a ``Told``."""
    return _made.made(api.Unfrozen, told.as_json)
