"""What the proof that every export goes through costs: exports with it and without, in turns, a process each.

    python -m benchmarks.proof --pipeline_config=pipeline.config --checkpoint=model.ckpt-200000 [--rounds 3]

Needs the Object Detection API on the path. Seconds are told by the clock and by the processor: on a busy machine only
the latter means something.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

_CHILD = '''
import json, resource, sys, time
from od_patch import export_inference_graph
from od_patch import proof
from od_patch.proof import _answer

spent = [0.0, 0.0]

def staged(export):
    if sys.argv[1] == 'without':
        return _answer.Answer(None)
    began = time.time(), time.process_time()
    answer = original(export)
    spent[:] = time.time() - began[0], time.process_time() - began[1]
    return answer

original, proof.staged = proof.staged, staged
began = time.time()
code = export_inference_graph.main(sys.argv[:1] + sys.argv[2:])
print('RESULT ' + json.dumps([code, time.time() - began, time.process_time(), spent]))
'''


def _export(which, options):
    """(seconds by the clock, by the processor, the proof's own seconds by both) of one export."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, '-c', _CHILD, which, '--pipeline_config_path', options.pipeline_config,
             '--trained_checkpoint_prefix', options.checkpoint, '--output_directory', os.path.join(folder, 'export')],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
            env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='2'))
    line = [line for line in done.stdout.splitlines() if line.startswith('RESULT ')]
    if not line or json.loads(line[0][7:])[0]:
        sys.exit('The export failed:\n' + done.stderr[-2000:])
    _, clock, processor, spent = json.loads(line[0][7:])
    return clock, processor, spent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pipeline_config', required=True)
    parser.add_argument('--checkpoint', required=True)
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    rows = {'without': [], 'with': []}
    for number in range(options.rounds):
        for which in rows:
            rows[which].append(_export(which, options))
            print('round {}, {}: {:.1f} s by the clock, {:.1f} s of the processor, '
                  'the proof {:.2f} s and {:.2f} s'.format(
                      number + 1, which, rows[which][-1][0], rows[which][-1][1], *rows[which][-1][2]), flush=True)
    for place, name in ((0, 'clock'), (1, 'processor')):
        whole = {which: statistics.median(row[place] for row in found) for which, found in rows.items()}
        own = statistics.median(row[2][place] for row in rows['with'])
        print('{}: export {:.1f} s without, {:.1f} s with; the proof itself {:.2f} s, {:.1f} % of the export'.format(
            name, whole['without'], whole['with'], own, 100 * own / whole['without']))


if __name__ == '__main__':
    main()
