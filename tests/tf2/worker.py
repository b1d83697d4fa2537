"""Checkpoints and exports of small models of TensorFlow 2, all in one process: its imports take longer than the rest.

``python -m tests.tf2.worker FOLDER`` writes into a folder the checkpoints that a training of the Object Detection API
would, as ``model_lib_v2`` saves them, random ones, and exports of them by the command; ``told.json`` has the exit codes and
what was said. Not for: judging any of it; ``test_exports`` does.
"""
import contextlib
import json
import os
import sys

_CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'configs')
MODELS = ('ssd', 'centernet')
_FOUR = '--signature_outputs=detection_boxes,detection_scores,detection_classes,num_detections'
# What is exported -> (model, checkpoint below FOLDER, flags).
EXPORTS = {
    'ssd': ('ssd', 'ssd/ckpt-1', ['--verify', '--extra_signatures=encoded_image_bytes', '--input_shape=-1,-1,-1,3',
                                  '--label_map_path={folder}/labels.pbtxt', '--serving_directory={folder}/served']),
    'centernet': ('centernet', 'centernet', ['--verify']),
    'fixed': ('centernet', 'centernet/ckpt-2.index', [
        '--input_type=float_image_tensor', '--input_shape=1,96,96,3', '--artifacts=saved_model,frozen_graph', _FOUR,
        '--signature_input_name=inputs']),
    'other classes': ('centernet', 'centernet', ['--config_override=model {{ center_net {{ num_classes: 5 }} }}']),
    'only the extractor': ('centernet', 'extractor/ckpt-1', []),
}


def config_of(model):
    """Returns the path of a model's config."""
    return os.path.join(_CONFIGS, model + '.config')


def write_checkpoints(folder):
    """Writes ckpt-1 and ckpt-2 of each model, and a checkpoint of the feature extractor alone."""
    import tensorflow as tf
    from object_detection.builders import model_builder
    from od_patch.config import _config
    for number, name in enumerate(MODELS):
        tf.random.set_seed(number)
        config = _config.read(config_of(name), half=2)
        model = model_builder.build(config.model, is_training=True)
        images, shapes = model.preprocess(tf.zeros([1, 96, 96, 3]))
        model.postprocess(model.predict(images, shapes), shapes)
        step = tf.Variable(0, dtype=tf.int64)
        checkpoint = tf.train.Checkpoint(step=step, model=model)
        manager = tf.train.CheckpointManager(checkpoint, os.path.join(folder, name), max_to_keep=7)
        for count in (1, 2):
            step.assign(1000 * count)
            for variable in model.trainable_variables if hasattr(model, 'trainable_variables') else ():
                variable.assign_add(.02 * tf.random.normal(variable.shape))
            manager.save()
    extractor = tf.train.Checkpoint(model=tf.train.Checkpoint(_feature_extractor=model._feature_extractor))
    tf.train.CheckpointManager(extractor, os.path.join(folder, 'extractor'), max_to_keep=1).save()


@contextlib.contextmanager
def _into(path):
    """Context in which what the process writes goes to a file: the command looks after file descriptors."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with open(path, 'wb') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])


def main(folder):
    from od_patch import export_inference_graph
    from od_patch import legacy
    legacy.choose_keras()
    told = {}
    with open(os.path.join(folder, 'labels.pbtxt'), 'w') as labels:
        labels.write(''.join('item {{ id: {0} name: "thing {0}" }}\n'.format(number) for number in (1, 2, 3)))
    with legacy.on_eager():  # taken off at the end only: what was imported under a bridge goes with it
        write_checkpoints(folder)
        for name, (model, checkpoint, flags) in EXPORTS.items():
            log = os.path.join(folder, 'said.txt')
            with _into(log):
                code = export_inference_graph.main(
                    ['export_inference_graph', '--pipeline_config_path=' + config_of(model),
                     '--trained_checkpoint_prefix=' + os.path.join(folder, checkpoint),
                     '--output_directory=' + os.path.join(folder, 'exported', name)] +
                    [flag.format(folder=folder) for flag in flags])
            with open(log, encoding='utf-8', errors='replace') as said:
                told[name] = [code, said.read()]
    with open(os.path.join(folder, 'told.json'), 'w') as file:
        json.dump(told, file)


if __name__ == '__main__':
    main(sys.argv[1])
