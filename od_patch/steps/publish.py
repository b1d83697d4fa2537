"""``--serving_directory``: the SavedModel also becomes the next version of a served model."""
import typing

from od_patch import _errors
from od_patch import _option
from od_patch.serving import _commands
from od_patch.serving import _publish
from od_patch.staging import _store
from od_patch.steps import _step


class Publish(_step.Step):
    """A version in a folder that a server watches."""

    name = 'publishing'
    title = 'Publishing'
    # None is an ingredient: where a SavedModel is published, and as what, changes nothing of it.
    options = (
        _option.Option(
            'serving_directory', _option.PATH, None,
            'Also publish the SavedModel as a new version in this folder, which a server watches.', ingredient=False),
        _option.Option(
            'model_version', _option.TEXT, None,
            'The version to publish: a whole number, or "step" for the global step of the checkpoint. Default: the '
            'next number.', ingredient=False),
        _option.Option(
            'keep', _option.NUMBER, None,
            'Keep only this many versions in --serving_directory, the largest. The one that is served always stays.',
            ingredient=False),
        _option.Option(
            'model_name', _option.TEXT, None,
            'What requests call the model; default: the last part of --serving_directory.', ingredient=False))

    def __init__(
            self, serving_directory: typing.Optional[str], model_version: typing.Optional[str],
            keep: typing.Optional[int], model_name: typing.Optional[str]) -> None:
        if serving_directory is None:
            raise _errors.UsageError('--model_version, --keep and --model_name are for what is published.',
                                     'Give --serving_directory, too.')
        self._request = _publish.PublishRequest(serving_directory, model_version, keep, model_name)

    def check_options(self, options: _step.Options) -> None:
        if options.series:
            raise _errors.UsageError(
                'Many checkpoints are exported as versions already, named by their global steps: --output_directory is '
                'what a server can watch.',
                'Leave out --serving_directory.')
        _step.need_saved_model('--serving_directory', options)

    def check_export(self, export: _step.Export) -> None:
        if self._request.version == _publish.STEP:
            if export.inventory.step is None:
                raise _errors.InputRefused('The checkpoint tells no global step, which is to be the version.',
                                           'Give --model_version=NUMBER, or leave it out for the next one.')
            self._request = self._request._replace(version=export.inventory.step)
        _publish.check(self._request)
        _publish.check_apart(_store.below(export.output_directory, 'saved_model'), self._request.base)

    def plans(self, export: _step.Export) -> typing.List[str]:
        base = self._request.base
        version = _publish.choose(self._request, {}, _publish.versions(base))
        return ['the SavedModel would be published as version {}: {}'.format(version, _store.below(base, str(version)))]

    def placed(self, export: _step.Export) -> typing.Any:
        export.observer.stage(self.name)
        try:
            return _publish.publish(_store.below(export.output_directory, 'saved_model'), self._request)
        except _errors.ODPatchError as error:
            raise type(error)(error.problem, '{}\nThe export in {} is complete; od-patch publish publishes it.'.format(
                error.remedy, export.output_directory).lstrip())

    def told(self, result: typing.Any) -> typing.Dict[str, typing.Any]:
        return {'published': _commands.as_json(result)}

    def lines(self, result: typing.Any) -> typing.List[str]:
        return _commands.lines(result)
