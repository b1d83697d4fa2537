"""``python -m od_patch [OPTIONS] SCRIPT [ARGS…]``: runs anybody's script with the patch on, as the real ``__main__``.

SCRIPT is the checkout's own ``export_inference_graph.py``, or any other that
calls ``exporter.export_inference_graph``. Its output, its arguments and its exit
code are its own.

Not for: scripts that need our flags; ``export_inference_graph`` has them.
"""
import contextlib
import importlib.abc
import importlib.util
import os
import runpy
import sys

import click

from od_patch import _console
from od_patch import _errors
from od_patch import _export
from od_patch import _locale
from od_patch import _patching
from od_patch import _release_errors
from od_patch import _text
from od_patch import _version
from od_patch import legacy


class _Reporter(_export.Observer):
    """Prints one line per export, to stderr: the script's own output stays what it is."""

    def finished(self, report):
        click.echo(_text.plain(_console.summary_line(report)), err=True)

    def note(self, text):
        click.echo('od-patch: ' + _text.plain(text), err=True)


class _PatchOnImport(importlib.abc.MetaPathFinder):
    """Calls a function with the exporter module as soon as the script has imported it.

    Importing it for the script beforehand would import TensorFlow before the
    script had set its environment variables and its ``sys.path``. The rest of
    the OD API is seen, too: under TensorFlow 2, the bridges must be on before
    the script imports any of it.

    Args:
        on_first: called, without arguments, before the first module of the OD API is imported.
        on_import: called with the exporter module.
    """

    def __init__(self, on_first, on_import):
        self._on_first = on_first
        self._on_import = on_import
        self.seen = False
        self._looking = False

    def find_spec(self, name, path=None, target=None):
        package = _patching.EXPORTER.partition('.')[0]
        if self._looking or name.partition('.')[0] != package:
            return None
        self._looking = True  # the next finders are asked through the same entrance
        try:
            if name == package:
                self._on_first()
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                with legacy.tf1_behaviour():
                    execute(module)
                if name == _patching.EXPORTER:
                    self.seen = True
                    self._on_import(module)

            spec.loader.exec_module = exec_module
        return spec


@click.command(context_settings={'allow_interspersed_args': False, 'help_option_names': ['-h', '--help']},
               options_metavar='[OPTIONS]')
@click.option('--saved_model_variables', type=click.Choice(_export.KINDS), default=_export.KINDS[0], show_default=True,
              help='What saved_model/ holds.')
@click.option('--overwrite', is_flag=True, help='Replace an export that is there already.')
@click.option('--strict_pin', is_flag=True, help='Decline an exporter that is not one of the pinned releases.')
@click.version_option(_version.__version__, prog_name='od-patch')
@click.argument('script', type=click.Path(exists=True, dir_okay=False))
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED, metavar='[ARGS]...')
def run(saved_model_variables, overwrite, strict_pin, script, arguments):
    """Runs SCRIPT with od-patch's patch on the Object Detection API's exporter."""
    stack = contextlib.ExitStack()

    def patch(module):
        stack.enter_context(_patching.patched(
            module, strict_pin=strict_pin, saved_model_variables=saved_model_variables, overwrite=overwrite,
            _observer=_Reporter()))

    hook = _PatchOnImport(lambda: stack.enter_context(legacy.on()), patch)
    sys.meta_path.insert(0, hook)
    sys.argv[:] = [script] + list(arguments)
    sys.path[0] = os.path.dirname(os.path.abspath(script))  # as `python SCRIPT` has it
    try:
        with stack, _release_errors.explained():
            runpy.run_path(script, run_name='__main__')
    except _errors.ODPatchError as error:
        _console.show_refusal(error, sys.stderr)
        sys.exit(error.exit_code)
    finally:
        sys.meta_path.remove(hook)
        if not hook.seen:
            click.echo('od-patch: {} never imported {}; nothing was patched.'.format(script, _patching.EXPORTER),
                       err=True)


if __name__ == '__main__':
    _locale.ensure_utf8()
    run(prog_name='python -m od_patch')
