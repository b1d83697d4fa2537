"""Exports the shapes detector with the Object Detection API that goes with the running Python, and says how.

    python examples/shapes/export.py --output_directory out/shapes

What it does by hand is two commands: make a `research` folder (tools/assemble_models.py; a checkout of the models repo
is as good), and export with it on PYTHONPATH.
"""

import argparse
import os
import shlex
import subprocess
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))
sys.path.insert(0, os.path.join(_ROOT, 'tools'))

import assemble_models  # noqa: E402
import lock_files  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description='Exports the shapes detector.')
    parser.add_argument('--output_directory', required=True)
    options = parser.parse_args()
    vintage = lock_files.pair_of_this_python().vintages[-1]
    research = os.path.join(_ROOT, '.tox', 'research', vintage)
    path = os.pathsep.join(assemble_models.assemble(vintage, research, say=print))
    config = os.path.join(_HERE, 'shapes_ssd_mobilenet_v1.config')
    command = ['export_inference_graph', '--pipeline_config_path=' + config, '--trained_checkpoint_prefix=' + _HERE,
               '--output_directory=' + options.output_directory, '--overwrite']
    programs = os.path.dirname(sys.executable)
    words = [os.path.relpath(os.path.join(programs, command[0]))] + command[1:]
    shown = subprocess.list2cmdline(words) if os.name == 'nt' else ' '.join(map(shlex.quote, words))
    print('$ PYTHONPATH={} {}'.format(path, shown), flush=True)
    # What is printed to be typed is typed in the user's shell, whose PATH lacks the environment that tox has made.
    elsewhere = os.pathsep.join(entry for entry in os.environ.get('PATH', '').split(os.pathsep)
                                if os.path.abspath(entry) != os.path.abspath(programs))
    return subprocess.call([sys.executable, '-m', 'od_patch.' + command[0]] + command[1:],
                           env=dict(os.environ, PYTHONPATH=path, PATH=elsewhere))


if __name__ == '__main__':
    sys.exit(main())
