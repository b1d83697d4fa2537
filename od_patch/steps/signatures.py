"""``--extra_signatures``, ``--signature_outputs``, ``--signature_input_name``: what the SavedModel takes and gives."""
import typing

from od_patch import _option
from od_patch import _tensorflow
from od_patch.serving import _signatures
from od_patch.steps import _step


class Signatures(_step.Step):
    """Further signatures, fewer outputs, another name for the input."""

    name = 'signatures'
    title = 'Signatures'
    options = (
        _option.Option(
            'extra_signatures', _option.NAMES, None,
            'Signatures to add beside serving_default, separated by commas. encoded_image_bytes takes JPEG and PNG '
            'files, as base64 in JSON.'),
        _option.Option(
            'signature_outputs', _option.NAMES, None,
            'Keys of the outputs that the signatures keep, separated by commas. Default: all.'),
        _option.Option(
            'signature_input_name', _option.TEXT, None,
            'The key of the image input in serving_default. Default: inputs, as in the release.'))

    def __init__(
            self, extra_signatures: typing.Optional[typing.List[str]],
            signature_outputs: typing.Optional[typing.List[str]], signature_input_name: typing.Optional[str]) -> None:
        self._wanted = _signatures.signature_options(signature_input_name, signature_outputs, extra_signatures)

    def check(self, arguments: _step.Arguments) -> None:
        _signatures.check_input_type(self._wanted, arguments.get('input_type', ''))

    def check_graph(self, graph: _tensorflow.Graph, names: typing.List[str]) -> None:
        _signatures.check_outputs(self._wanted, names)

    def choose(self, inputs: _step.Tensors, outputs: _step.Tensors) -> typing.Tuple[_step.Tensors, _step.Tensors]:
        return _signatures.chosen(self._wanted, inputs, outputs)

    def changes(self) -> typing.List[_step.Change]:
        return [_signatures.changer(self._wanted)]
