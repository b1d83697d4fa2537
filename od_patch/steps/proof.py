"""Every export is proved before it is moved into place, files and weights; with ``--verify``, outputs too."""
import typing

from od_patch import _option
from od_patch import proof
from od_patch.steps import _step


class Proof(_step.Step):
    """Is the export what was trained?"""

    name = 'proof'
    title = 'The proof'
    always = True
    options = (
        _option.Option(
            'verify', _option.SWITCH, False,
            'Run SavedModel and frozen graph on the same images before the export is moved into place, and refuse the '
            'export if they differ. Files and weights are always checked.'),)

    def __init__(self, verify: bool) -> None:
        self.runs_models = verify
        self._staged = self._place = ''

    def check(self, arguments: _step.Arguments) -> None:
        if self.runs_models:
            proof.require()

    def staged(self, export: _step.Export) -> typing.Any:
        # One of many is copied tensor by tensor, each with its checksum compared: it is proved once more on request.
        if export.options.series and not self.runs_models:
            return None
        self._staged, self._place = export.staged_directory, export.output_directory
        return proof.staged(export, self.runs_models)

    def told(self, result: typing.Any) -> typing.Dict[str, typing.Any]:
        told = result.as_json()
        for name, path in told['subject'].items():  # it is told when nobody can find what is staged
            if isinstance(path, str) and path.startswith(self._staged):
                told['subject'][name] = self._place + path[len(self._staged):]
        return {self.name: told}

    def facts(self, result: typing.Any) -> typing.List[typing.Tuple[str, str]]:
        words = ', '.join('{} {}'.format(result.counts[status], status) for status in ('ok', 'note', 'not checked')
                          if result.counts[status])
        if self.runs_models and not result.runs:  # they were to be run, and were not
            return [('proof', 'files and weights: {}; outputs were not checked: {}'.format(words, '; '.join(
                check.text for check in result.of('outputs')) or 'there is nothing to run'))]
        return [('proof', '{}: {}{}'.format('files, weights and outputs' if result.runs else 'files and weights', words,
                                            '' if result.runs else ' (--verify runs it, too)'))]
