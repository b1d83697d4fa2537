"""``--example_request``: a request for the model and a client program, of the SavedModel that was just exported."""
import typing

from od_patch import _errors
from od_patch import _option
from od_patch.staging import _store
from od_patch.steps import _step
from od_patch.steps import publish


class Example(_step.Step):
    """What a first client needs."""

    name = 'example request'
    title = 'A first request'
    options = (
        _option.Option(
            'example_request', _option.PATH, None,
            'A folder for an example request and a client program for REST and gRPC.',
            ingredient=False),)  # it is written beside the export

    def __init__(self, example_request: str) -> None:
        self._folder = example_request

    def check_options(self, options: _step.Options) -> None:
        if options.series or 'saved_model' not in options.artifacts:
            raise _errors.UsageError('--example_request is for the one SavedModel of an export.',
                                     'Leave it out; "od-patch request" writes one for any SavedModel.')

    def check_export(self, export: _step.Export) -> None:
        from od_patch.serving import _requests
        _requests.check(export.output_directory, self._folder, export.options.overwrite)

    def plans(self, export: _step.Export) -> typing.List[str]:
        return ['a request and a client program would be written to {}'.format(self._folder)]

    def placed(self, export: _step.Export) -> typing.Any:
        from od_patch.serving import _requests
        export.observer.stage(self.name)
        published = export.results.get(publish.Publish.name)
        try:
            return _requests.write(_store.below(export.output_directory, 'saved_model'), self._folder,
                                   published and published.model_name, overwrite=export.options.overwrite)
        except _errors.ODPatchError as error:
            raise type(error)(error.problem, '{}\nThe export in {} is complete; od-patch request writes one.'.format(
                error.remedy, export.output_directory).lstrip())

    def told(self, result: typing.Any) -> typing.Dict[str, typing.Any]:
        from od_patch.serving import _requests
        return {'example_request': _requests.as_json(result)}

    def lines(self, result: typing.Any) -> typing.List[str]:
        from od_patch.serving import _requests
        return _requests.lines(result)
