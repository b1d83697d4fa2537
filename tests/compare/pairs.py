"""Exports of one checkpoint by several vintages of the OD API and several TensorFlows, each in a process of its own.

A test that needs another Python than the one that runs it takes the path of
one from the environment, and is skipped with the variable's name where there
is none: ``OD_PATCH_PYTHON_TF115`` (TensorFlow 1.15 and what vintages C and D
import), ``OD_PATCH_PYTHON_TF112`` (TensorFlow 1.12).
"""
import os
import subprocess
import sys

from tests.support import exports
from tests.support import needs


def python_with(release):
    """Path of a Python whose TensorFlow is ``release`` ('1.12' or '1.15'); skips the test where there is none."""
    import tensorflow
    if tensorflow.__version__.startswith(release + '.'):
        return sys.executable
    return needs.python('OD_PATCH_PYTHON_TF' + release.replace('.', ''), 'TensorFlow ' + release)


def run(python, vintage, *arguments):
    """Runs a Python with a vintage on its path; fails with its words."""
    environment = dict(os.environ, PYTHONPATH=exports.python_path(vintage), TF_CPP_MIN_LOG_LEVEL='2',
                       CUDA_VISIBLE_DEVICES='')
    done = subprocess.run([python] + [str(argument) for argument in arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=environment)
    assert done.returncode == 0, done.stdout.decode('utf-8', 'replace')[-3000:]
    return done.stdout.decode('utf-8', 'replace')


def export(python, vintage, config, prefix, output, **flags):
    """Exports with the vintage's own, unpatched script; of the vintage that is tested here, with the imports made."""
    if python == sys.executable and vintage == os.environ.get('OD_PATCH_VINTAGE'):
        return exports.upstream(config, prefix, output, **flags)
    run(python, vintage, '-m', 'object_detection.export_inference_graph',
        *exports.flags_of(config, prefix, output, **flags))
    return str(output)


TRANSFORM = '''
import sys
import tensorflow as tf
graph_def = tf.GraphDef.FromString(open(sys.argv[1], 'rb').read())
outputs = sys.argv[4].split(',')
if sys.argv[3] == 'grappler':
    from tensorflow.core.protobuf import rewriter_config_pb2
    from tensorflow.python.grappler import tf_optimizer
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name='')
    meta_graph = tf.train.export_meta_graph(graph_def=graph_def, graph=graph)
    meta_graph.collection_def['train_op'].node_list.value.extend(outputs)
    config = rewriter_config_pb2.RewriterConfig(min_graph_nodes=-1)
    result = tf_optimizer.OptimizeGraph(config, meta_graph)
else:
    from tensorflow.tools.graph_transforms import TransformGraph
    result = TransformGraph(graph_def, ['image_tensor'], outputs, sys.argv[3].split('+'))
open(sys.argv[2], 'wb').write(result.SerializeToString())
'''


def transform(python, source, target, transforms, outputs):
    """Runs the Graph Transform Tool (or Grappler, for 'grappler') on a frozen graph."""
    script = str(target) + '.py'
    with open(script, 'w') as file:
        file.write(TRANSFORM)
    done = subprocess.run([python, script, str(source), str(target), transforms, ','.join(outputs)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode('utf-8', 'replace')[-3000:]
    return str(target)
