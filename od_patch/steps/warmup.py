"""``--warmup_images``: requests that a server runs before it serves the model."""
import typing

from od_patch import _option
from od_patch.serving import _warmup
from od_patch.staging import _digest
from od_patch.steps import _step


class WarmUp(_step.Step):
    """Warm-up requests in ``assets.extra/``, each of them run before."""

    name = 'warm-up'
    title = 'Warm-up requests'
    runs_models = True
    options = (
        _option.Option(
            'warmup_images', _option.PATHS, None,
            'Images and folders of images, separated by commas; empty for drawn images. The SavedModel gets warm-up '
            'requests for the server, made from them. Each is run before it is written.'),)

    def __init__(self, warmup_images: typing.List[str]) -> None:
        self._images = warmup_images

    def check_options(self, options: _step.Options) -> None:
        _step.need_saved_model('--warmup_images', options)

    def check(self, arguments: _step.Arguments) -> None:
        _warmup.require(self._images)

    def ingredients(self) -> typing.Any:
        return [_digest.sha256(path) for path in _warmup.files(self._images)]

    def files(self) -> typing.List[str]:
        return [_warmup.FILE]

    def staged(self, export: _step.Export) -> typing.Any:
        export.observer.stage(self.name)
        written = _warmup.write(export.saved_model_directory, self._images)
        for note in written.notes:
            export.observer.note(note)
        return written

    def facts(self, result: typing.Any) -> typing.List[typing.Tuple[str, str]]:
        import rich.filesize  # late: importing od-patch costs nothing
        return [(self.name, '{} requests, each run once, {}'.format(
            result.num_records, rich.filesize.decimal(result.num_bytes)))]
