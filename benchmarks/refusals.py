"""How long a refusal takes that needs no graph, and help: looked at first, and by the later checks alone.

    python -m benchmarks.refusals [ROUNDS]

Processor seconds of whole processes, medians, in one interleaved run. Needs the Object Detection API on the path.

Not for: what is refused; tests/test_first_look.py has all kinds.
"""
import os
import resource
import statistics
import subprocess
import sys
import tempfile

SHAPES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'examples', 'shapes')
PROGRAM = """
import sys
from od_patch import export_inference_graph
from od_patch.command import _first_look
if sys.argv[1] == 'later':
    _first_look.flags_of = lambda script: None
sys.exit(export_inference_graph.main(['export_inference_graph'] + sys.argv[2:]))
"""


def cases(folder):
    """Returns {what is asked: arguments}; ``folder`` is an empty one."""
    os.makedirs(os.path.join(folder, 'taken', 'saved_model'))
    open(os.path.join(folder, 'taken', 'saved_model', 'saved_model.pb'), 'w').close()
    config = '--pipeline_config_path=' + os.path.join(SHAPES, 'shapes_ssd_mobilenet_v1.config')
    prefix = '--trained_checkpoint_prefix=' + os.path.join(SHAPES, 'model.ckpt-4100')
    return {
        'a misspelt flag': [config, prefix, '--output_directry=out'],
        'a flag that is missing': [config, prefix],
        'a config that is not there': ['--pipeline_config_path=nope', prefix, '--output_directory=out'],
        'a checkpoint that is not there': [config, prefix + '0', '--output_directory=out'],
        'an output that is taken': [config, prefix, '--output_directory=' + os.path.join(folder, 'taken')],
        '--help': ['--help']}


def seconds(look, arguments):
    """Returns the processor seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.call([sys.executable, '-c', PROGRAM, look] + arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        asked = cases(folder)
        took = {(what, look): [] for what in asked for look in ('first', 'later')}
        for _ in range(rounds):
            for what, look in took:
                took[what, look].append(seconds(look, asked[what]))
    print('| refused or told | looked at first | by the later checks |\n|---|---|---|')
    for what in asked:
        print('| {} | {:.2f} s | {:.2f} s |'.format(what, *[statistics.median(took[what, look]) for look in ('first', 'later')]))


if __name__ == '__main__':
    main()
