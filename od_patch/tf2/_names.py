"""Which tensor of a checkpoint each variable of a model is: the objects of both are walked side by side.

The path of an object in the checkpoint names its variables from then on: in the
graph, in the SavedModel, in the frozen graph. It is the same in every export of a
checkpoint, and unlike Keras' own names (``conv2d_17``) unique.

Not for: copying values.
"""
import collections

from od_patch import _tensorflow
from od_patch.checkpoint import _objects

_VARIABLE = 'VARIABLE_VALUE'  # what a checkpoint calls the one attribute of a variable (trackable/base.py)


def of_variables(root, prefix):
    """Returns (found, unknown): what the variables below an object are called, by their identity.

    Args:
        root: the object that was saved, a ``tf.train.Checkpoint``.
        prefix: str, a checkpoint of objects.

    Returns:
        two dicts from ``id(variable)`` to str: for those that the checkpoint has, their path in it, which with
        ``_objects.VALUE`` is the key of their value; for the others, the path that they have in the model.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2
    reader = _tensorflow.tf1().train.NewCheckpointReader(prefix)
    nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(_objects.GRAPH)).nodes
    view = tf.train.TrackableView(root)
    found, unknown = {}, {}
    waiting = collections.deque([(root, 0, '')])
    seen = set()
    while waiting:
        thing, number, path = waiting.popleft()
        if (id(thing), number is None) in seen:
            continue
        seen.add((id(thing), number is None))
        if isinstance(thing, tf.Variable):
            key = None if number is None else _key(nodes[number])
            if key is not None:
                found.setdefault(id(thing), _objects.bare(key))
            unknown.setdefault(id(thing), path)
        saved = {} if number is None else {child.local_name: child.node_id for child in nodes[number].children}
        for name, child in view.children(thing).items():
            waiting.append((child, saved.get(name), '{}/{}'.format(path, name) if path else name))
    return found, {thing: path for thing, path in unknown.items() if thing not in found}


def _key(node):
    """Returns the key of a variable's value in a checkpoint; None where the object is no variable there."""
    return next((attribute.checkpoint_key for attribute in node.attributes if attribute.name == _VARIABLE), None)
