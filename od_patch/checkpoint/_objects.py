"""Checkpoints of objects, as ``tf.train.Checkpoint`` writes them and TensorFlow 2 trains: known by their index alone.

They name a variable by the path of objects that leads to it,
``model/_box_predictor/…/kernel/.ATTRIBUTES/VARIABLE_VALUE``, and hold the graph
of all objects beside it. A ``Saver`` names variables by themselves.

Not for: which variable of a model such a name means; that is the room ``tf2``.
"""
import os
import typing

from od_patch import _tensorflow
from od_patch.checkpoint import _bundle
from od_patch.checkpoint import _checkpoint

GRAPH = '_CHECKPOINTABLE_OBJECT_GRAPH'  # the tensor that holds the graph of objects (trackable/base.py)
VALUE = '/.ATTRIBUTES/VARIABLE_VALUE'  # the end of the key of a variable's value
SLOT = '/.OPTIMIZER_SLOT/'  # in the key of what an optimizer keeps of a variable
STEP = 'step' + VALUE  # as model_lib_v2 of the Object Detection API saves it


def are_of_objects(names: typing.Iterable[str]) -> bool:
    """Returns whether the tensors of a checkpoint are those of ``tf.train.Checkpoint``, by their names."""
    names = set(names)
    return GRAPH in names and any('/.ATTRIBUTES/' in name for name in names)


def is_of_objects(prefix: str) -> typing.Optional[bool]:
    """Returns whether ``tf.train.Checkpoint`` wrote a checkpoint; None where it has no index that can be read.

    Needs no TensorFlow where ``_tensorflow.files_of_this_machine`` is on.

    Args:
        prefix: str, a checkpoint prefix.
    """
    if not _tensorflow.gfile().Exists(prefix + '.index'):
        return None
    try:
        return are_of_objects(_bundle.names(prefix))
    except _bundle.BrokenIndex:
        return None  # whoever reads it says what is wrong with it


def bare(key: str) -> str:
    """Returns the path of a variable's value without its end; of any other key, the key."""
    return key[:-len(VALUE)] if key.endswith(VALUE) else key


def named(inventory: _checkpoint.Inventory) -> _checkpoint.Inventory:
    """Returns the ``Inventory`` of a checkpoint of objects, with its variables under their paths, without the rest.

    Args:
        inventory: ``Inventory`` as it was taken. One of a ``Saver``'s comes back as it is.
    """
    if not are_of_objects(inventory.shapes):
        return inventory
    keys = {bare(key): key for key in inventory.shapes if key.endswith(VALUE) and SLOT not in key}
    step = inventory.step
    if STEP in inventory.shapes:
        step = int(_tensorflow.tf1().train.NewCheckpointReader(inventory.prefix).get_tensor(STEP))
    return inventory._replace(shapes={name: inventory.shapes[key] for name, key in keys.items()}, step=step)


def others_beside(prefix: str, of_objects: bool) -> typing.List[str]:
    """Returns the prefixes in a checkpoint's folder that are of the one kind or the other, by step; [] in a store."""
    gfile = _tensorflow.gfile()
    folder = os.path.dirname(prefix) or '.'
    if not gfile.IsDirectory(folder):
        return []
    found = [os.path.join(folder, name[:-len('.index')]) for name in gfile.ListDirectory(folder)
             if name.endswith('.index')]
    return sorted((one for one in found if is_of_objects(one) is of_objects),
                  key=lambda one: (_checkpoint.step_in_name(one) or 0, one))
