"""Small checkpoints by the names of their tensors: of a ``Saver``, and of objects as TensorFlow 2 writes them."""
import os

import numpy

OBJECTS = ('_CHECKPOINTABLE_OBJECT_GRAPH', 'model/_box_predictor/kernel/.ATTRIBUTES/VARIABLE_VALUE',
           'save_counter/.ATTRIBUTES/VARIABLE_VALUE', 'step/.ATTRIBUTES/VARIABLE_VALUE')
SAVER = ('BoxPredictor_0/ClassPredictor/biases', 'global_step')


def write(prefix, names):
    """Writes a checkpoint of int64 zeros under some names."""
    from od_patch.checkpoint import _bundle_writer
    if os.path.dirname(prefix):
        os.makedirs(os.path.dirname(prefix), exist_ok=True)
    value = numpy.zeros((), 'i8')
    _bundle_writer.write(prefix, [(name, (_bundle_writer.entry_of(value, 9), _bundle_writer.pieces_of(value)))
                                  for name in sorted(names)])
    return prefix


def name(folder, newest):
    """Writes the file ``checkpoint`` of a folder."""
    with open(os.path.join(folder, 'checkpoint'), 'w') as state:
        state.write('model_checkpoint_path: "{0}"\nall_model_checkpoint_paths: "{0}"\n'.format(newest))
