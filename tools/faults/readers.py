"""The reading parts of an export as commands of their own, so that thousands of inputs can be tried.

``python -m tools.faults.readers checkpoint PREFIX``, ``… config FILE``. They end
as the entry point does: a refusal is words and its exit code, and anything else
a traceback.

Not for: what ``od-patch`` has a sub-command for.
"""
import sys

from od_patch import _errors
from od_patch import legacy


def _checkpoint(path):
    from od_patch.checkpoint import _checkpoint as module
    inventory = module.take_inventory(module.resolve(path))
    from od_patch import _tensorflow
    reader = _tensorflow.tf1().train.NewCheckpointReader(inventory.prefix)
    for name in sorted(inventory.shapes):
        try:
            reader.get_tensor(name)  # as restoring does, whose errors are words of an export that failed
        except Exception as error:  # pylint: disable=broad-except
            raise _errors.InputRefused('{}: {}'.format(name, error))
    print('{} {} {}'.format(inventory.format, inventory.step, sorted(inventory.shapes.items())))


def _config(path):
    from od_patch.config import _config as module
    from google.protobuf import text_format
    print(text_format.MessageToString(module.read(path)))


def _build(path):
    """Reads a config and builds its inference graph, as an export does."""
    from od_patch.config import _config as module
    from object_detection.builders import model_builder
    from od_patch import _tensorflow
    config = module.read(path)
    tf = _tensorflow.tf1()
    with tf.Graph().as_default():
        model = model_builder.build(config.model, is_training=False)
        image, shapes = model.preprocess(tf.placeholder(tf.float32, [None, None, None, 3]))
        model.postprocess(model.predict(image, shapes), shapes)


READERS = {'checkpoint': _checkpoint, 'config': _config, 'build': _build}


def main():
    from od_patch import _tensorflow
    _tensorflow.tf1().logging.set_verbosity('FATAL')  # what it logs, an export keeps in its log
    try:
        with legacy.on(), legacy.tf1_behaviour():
            READERS[sys.argv[1]](sys.argv[2])
    except _errors.ODPatchError as error:
        sys.stderr.write('od-patch: {}\n'.format(error))
        sys.exit(error.exit_code)


if __name__ == '__main__':
    main()
