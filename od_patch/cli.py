"""The ``od-patch`` command: one sub-command per question, each a thin layer over a private module.

Not for: the export itself, which has the release's own flags and therefore its
own entry point, ``export_inference_graph``.
"""
import sys

import click

from od_patch import _errors
from od_patch import _version


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(_version.__version__, prog_name='od-patch')
def cli():
    """Looks at, compares and publishes detectors of the TF Object Detection API."""


def main():
    """Console script: runs ``cli`` and turns refusals into words and exit codes."""
    try:
        cli(prog_name='od-patch')
    except _errors.ODPatchError as error:
        click.echo('od-patch: {}'.format(error.problem), err=True)
        if error.remedy:
            click.echo(error.remedy, err=True)
        sys.exit(error.exit_code)


if __name__ == '__main__':
    main()
