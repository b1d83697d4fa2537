"""Measures what a SavedModel costs: the bytes of ``saved_model.pb``, writing it, and loading it; three ways, side by side.

    python benchmarks/saved_model.py                     # the shapes example
    python benchmarks/saved_model.py --pipeline_config_path … --trained_checkpoint_prefix …

The ways: *upstream* (frozen constants), the *hand edit* that people make to
``exporter.py`` (a new Saver restored in a session, then SavedModelBuilder), and
*od-patch*. All in one process and interleaved, because machines are noisy: read
the ratios, not the seconds. The Object Detection API must be on PYTHONPATH.
"""
import argparse
import json
import os
import shutil
import sys
import tempfile
import time

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SHAPES = os.path.join(_ROOT, 'examples', 'shapes')
sys.path.insert(0, _ROOT)

WAYS = ('upstream', 'hand edit', 'od-patch')


def hand_edit(path, graph, inputs, outputs, checkpoint):
    """Writes a SavedModel as the well-known edit of ``write_saved_model`` does: restore, and let the builder save."""
    from od_patch import _saved_model
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    with graph.as_default(), tf.Session() as session:
        tf.train.Saver().restore(session, checkpoint)
        builder = tf.saved_model.builder.SavedModelBuilder(path)
        builder.add_meta_graph_and_variables(
            session, ['serve'], signature_def_map={'serving_default': _saved_model.signature(inputs, outputs)})
        builder.save()


def load(path):
    """Loads a SavedModel into a session of its own."""
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ['serve'], path)


def measure(config_path, prefix, rounds):
    """Returns {way: {figure: list of one number per round}}.

    Figures: ``saved_model.pb`` (bytes), ``write`` and ``load`` (seconds).
    """
    from google.protobuf import text_format
    from object_detection import exporter
    from object_detection.protos import pipeline_pb2
    from od_patch import _checkpoint
    from od_patch import _saved_model
    config = pipeline_pb2.TrainEvalPipelineConfig()
    with open(config_path) as config_file:
        text_format.Merge(config_file.read(), config)
    found = {}
    original = exporter.write_saved_model

    def write_three_ways(saved_model_path, frozen_graph_def, inputs, outputs):
        original(saved_model_path, frozen_graph_def, inputs, outputs)
        checkpoint = os.path.join(os.path.dirname(saved_model_path), 'model.ckpt')
        folder = tempfile.mkdtemp(prefix='od-patch-benchmark-')
        writers = {
            'upstream': lambda path: original(path, frozen_graph_def, inputs, outputs),
            'od-patch': lambda path: _saved_model.write(
                path, inputs.graph, inputs, outputs, checkpoint,
                also_keep=[node.name for node in frozen_graph_def.node]),
            # Every call adds another Saver to the graph, so the hand edit gets a fresh copy of it each time.
            'hand edit': lambda path: hand_edit(path, copies.pop(), inputs, outputs, checkpoint),
        }
        copies = [_copy(inputs.graph) for _ in range(rounds)]
        try:
            for number in range(rounds):
                for way in WAYS:
                    path = os.path.join(folder, '{}-{}'.format(way, number))
                    figures = found.setdefault(way, {'saved_model.pb': [], 'write': [], 'load': []})
                    figures['write'].append(_timed(writers[way], path))
                    figures['saved_model.pb'].append(os.path.getsize(os.path.join(path, 'saved_model.pb')))
                for way in WAYS:
                    path = os.path.join(folder, '{}-{}'.format(way, number))
                    found[way]['load'].append(_timed(load, path))
        finally:
            shutil.rmtree(folder)

    exporter.write_saved_model = write_three_ways
    output = tempfile.mkdtemp(prefix='od-patch-benchmark-')
    try:
        exporter.export_inference_graph('image_tensor', config, _checkpoint.resolve(prefix), output)
    finally:
        exporter.write_saved_model = original
        shutil.rmtree(output)
    return found


def _copy(graph):
    """Returns a graph with the same content, collections included."""
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()
    meta_graph = tf.train.export_meta_graph(graph=graph)
    copy = tf.Graph()
    with copy.as_default():
        tf.train.import_meta_graph(meta_graph)
    return copy


def _timed(function, *arguments):
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def _median(numbers):
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--pipeline_config_path', default=os.path.join(_SHAPES, 'shapes_ssd_mobilenet_v1.config'))
    parser.add_argument('--trained_checkpoint_prefix', default=_SHAPES)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--json', help='write all figures to this file')
    options = parser.parse_args()
    found = measure(options.pipeline_config_path, options.trained_checkpoint_prefix, options.rounds)
    print('{:<16}{:>12}{:>12}{:>12}{:>24}{:>22}'.format(
        'medians of {}'.format(options.rounds), *(WAYS + ('od-patch / hand edit', 'od-patch / upstream'))))
    for figure in ('saved_model.pb', 'write', 'load'):
        medians = [_median(found[way][figure]) for way in WAYS]
        shown = ['{:,}'.format(value) if figure == 'saved_model.pb' else '{:.2f} s'.format(value) for value in medians]
        print('{:<16}{:>12}{:>12}{:>12}{:>24.2f}{:>22.2f}'.format(
            figure, *(shown + [medians[2] / medians[1], medians[2] / medians[0]])))
    if options.json:
        with open(options.json, 'w') as json_file:
            json.dump(found, json_file, indent=1)


if __name__ == '__main__':
    main()
