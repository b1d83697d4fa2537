"""``--label_map_path``: the label map goes with the SavedModel."""
import typing

from od_patch import _option
from od_patch.serving import _labels
from od_patch.steps import _step


class Labels(_step.Step):
    """The label map of the detector, as an asset."""

    name = 'labels'
    title = 'The label map'
    options = (
        _option.Option(
            'label_map_path', _option.PATH, None,
            'The label map of the detector. It is copied into the SavedModel as assets/label_map.pbtxt.',
            ingredient=False, short='label_map'),)  # its content is an ingredient

    def __init__(self, label_map_path: str) -> None:
        self._path = label_map_path
        self._content = b''

    def check(self, arguments: _step.Arguments) -> None:
        self._content = _labels.read(self._path, arguments.get('pipeline_config'))

    def ingredients(self) -> typing.Any:
        return self._content

    def changes(self) -> typing.List[_step.Change]:
        return [_labels.changer()]

    def files(self) -> typing.List[str]:
        return ['assets/' + _labels.FILE]

    def assets(self) -> typing.Dict[str, bytes]:
        return {_labels.FILE: self._content}
