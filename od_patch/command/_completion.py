"""Completion by the user's shell: click's own scripts, of flags that absl parses.

    eval "$(_OD_PATCH_COMPLETE=bash_source od-patch)"
    eval "$(_EXPORT_INFERENCE_GRAPH_COMPLETE=bash_source export_inference_graph)"

absl completes nothing itself. So ``export_inference_graph`` is, for this alone, a click command, and so is ``od-patch
export``: the flags are those of the release that is installed and of od-patch. TensorFlow is not imported.

Not for: parsing the flags; absl does.
"""
import os

import click
import click.shell_completion

from od_patch.command import _first_look

_SCRIPT = 'object_detection.export_inference_graph'
_VARIABLE = '_EXPORT_INFERENCE_GRAPH_COMPLETE'


class Exporting(click.Command):
    """A command whose words are all absl's."""

    def parse_args(self, ctx, args):
        ctx.args = list(args)
        return ctx.args

    def shell_complete(self, ctx, incomplete):
        item = click.shell_completion.CompletionItem
        if incomplete.startswith('-'):
            return [item('--' + name) for name in sorted(_flags()) if ('--' + name).startswith(incomplete)]
        before = [word for word in ctx.args if word != '=']
        flag = _flags().get(before[-1].lstrip('-')) if before else None
        choices = getattr(getattr(flag, 'parser', None), 'enum_values', None)
        if choices:
            return [item(choice) for choice in choices if choice.startswith(incomplete)]
        return [item(incomplete, type='file')]


def completed():
    """Answers the shell where it asks what can follow ``export_inference_graph``; returns whether it did."""
    instruction = os.environ.get(_VARIABLE)
    if not instruction:
        return False
    click.shell_completion.shell_complete(
        Exporting('export_inference_graph'), {}, 'export_inference_graph', _VARIABLE, instruction)
    return True


def _flags():
    """Returns {name: absl's ``Flag``} of the installed release and od-patch; without values and one-letter names."""
    values = _first_look.flags_of(_SCRIPT)
    return {} if values is None else {name: values[name] for name in values if len(name) > 1}
