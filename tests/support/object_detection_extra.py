"""What the tox environments ``extra-…`` run, in an environment that holds ``od-patch[object-detection]`` and nothing else.

    python tests/support/object_detection_extra.py WORK_FOLDER

No pytest, no research folder, no PYTHONPATH. Asks pip whether what is installed fits together, ``doctor`` whether an
export can begin, exports the shapes example with ``--verify``, and freezes the export.
"""
import json
import os
import shutil
import subprocess
import sys

from od_patch.environment import _remedies

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SHAPES = os.path.join(_ROOT, 'examples', 'shapes')
_API = 'tf-models-research-object-detection'


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    environment['PATH'] = os.pathsep.join([os.path.dirname(sys.executable), environment['PATH']])

    def run(*command, expected=0):
        print('$ ' + ' '.join(command), flush=True)
        done = subprocess.run(list(command), stdout=subprocess.PIPE, universal_newlines=True, cwd=folder, env=environment)
        print(done.stdout, flush=True)
        assert done.returncode == expected, done.returncode
        return done.stdout

    check_what_is_installed(run)
    found = json.loads(run('od-patch', 'doctor', '--json'))
    assert found['usable'] and found['problems'] == [], found['problems']
    assert 'site-packages' in found['object_detection']['folder'] and 'site-packages' in found['slim'], found
    assert 'slim_folder' in [bridge['name'] for bridge in found['bridges']], found['bridges']
    run('export_inference_graph', '--pipeline_config_path=' + os.path.join(_SHAPES, 'shapes_ssd_mobilenet_v1.config'),
        '--trained_checkpoint_prefix=' + _SHAPES, '--output_directory=exported', '--verify')
    said = run('od-patch', 'freeze', 'exported/saved_model', '--output', 'frozen.pb')
    assert 'variables frozen' in said and os.path.getsize(os.path.join(folder, 'frozen.pb')) > 1000000


def check_what_is_installed(run):
    """Asks pip, and where the extra leaves out the Object Detection API, types what ``doctor`` says."""
    run('python', '-m', 'pip', 'check')
    if _remedies.extra_has_api():
        return
    found = json.loads(run('od-patch', 'doctor', '--json', expected=3))
    remedy = found['problems'][0]['remedy']
    line = next(line.strip() for line in remedy.splitlines() if '[object-detection]' in line)
    run('sh', '-c', line)


if __name__ == '__main__':
    main(os.path.abspath(sys.argv[1]))
