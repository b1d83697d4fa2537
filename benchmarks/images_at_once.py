"""Which TensorFlows mix up images that NonMaxSuppression works on at once (docs/verify.md).

    python -m benchmarks.images_at_once [STARTS] PYTHON [PYTHON ...]

Each Python has a TensorFlow. Prints, for each, how many of its starts, of 20 runs each, came to no end, by a signal or
an error, and in how many one run gave other boxes than another.

Not for: od-patch's own sessions; tests/test_sessions.py has those.
"""
import json
import os
import subprocess
import sys

PROGRAM = """
import json
import numpy as np
import tensorflow
tf = getattr(tensorflow.compat, 'v1', tensorflow)
if tensorflow.__version__[0] != '1':
    tf.disable_v2_behavior()
random = np.random.RandomState(3)
corners = random.uniform(0, 1, (64, 200, 2)).astype('f4')
boxes, scores = np.concatenate([corners, corners + .1], 2), random.uniform(0, 1, (64, 200)).astype('f4')
with tf.Graph().as_default() as graph:
    given = tf.placeholder(tf.float32, boxes.shape)
    chosen = tf.map_fn(lambda one: tf.image.non_max_suppression(one[0], one[1], 20, .5), (given, tf.constant(scores)),
                       dtype=tf.int32, parallel_iterations=32)
op = next(node.op for node in graph.as_graph_def().node if 'NonMaxSuppression' in node.op)
print(json.dumps([tensorflow.__version__, op, None]), flush=True)
with tf.Session(graph=graph) as session:
    answers = [session.run(chosen, {given: boxes}).tolist() for _ in range(20)]
print(json.dumps([tensorflow.__version__, op, any(answer != answers[0] for answer in answers)]), flush=True)
"""


def start(python):
    """Returns [version, op, whether boxes differed or None where it came to no end]."""
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3')
    done = subprocess.run([python, '-c', PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    lines = done.stdout.decode('utf-8').splitlines()
    if not lines:
        raise SystemExit('{}: no TensorFlow that has NonMaxSuppression could be started.'.format(python))
    return json.loads(lines[-1])


def main():
    starts, pythons = (int(sys.argv[1]), sys.argv[2:]) if sys.argv[1:2] and sys.argv[1].isdigit() else (5, sys.argv[1:])
    if not pythons:
        raise SystemExit(__doc__)
    print('| TensorFlow | op | starts | came to no end | gave other boxes |\n|---|---|---|---|---|')
    for python in pythons:
        rows = [start(python) for _ in range(starts)]
        print('| {} | {} | {} | {} | {} |'.format(
            rows[0][0], rows[0][1], starts, sum(row[2] is None for row in rows),
            sum(bool(row[2]) for row in rows)), flush=True)


if __name__ == '__main__':
    main()
