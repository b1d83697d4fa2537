"""Graphs written node by node, as no Python API would let one write them.

Not for: graphs that TensorFlow itself builds; those are in ``graphs``.
"""
import numpy as np

FLOAT, DOUBLE, INT32, UINT8, STRING, INT64, BOOL, HALF = 1, 2, 3, 4, 7, 9, 10, 19


class Made:
    """A GraphDef that grows by a node at a time."""

    def __init__(self):
        from tensorflow.core.framework import graph_pb2
        self.graph_def = graph_pb2.GraphDef()

    def node(self, name, op, inputs=(), **attrs):
        """Adds a node; capitalised attributes are types, ``N`` and the others integers or what they are."""
        made = self.graph_def.node.add(name=name, op=op)
        made.input.extend(inputs)
        for key, value in attrs.items():
            if isinstance(value, bool):
                made.attr[key].b = value
            elif isinstance(value, bytes):
                made.attr[key].s = value
            elif isinstance(value, float):
                made.attr[key].f = value
            elif isinstance(value, list):
                made.attr[key].list.i.extend(value)
            elif key != 'N' and (key[0] in 'TUDS' or key in ('dtype', 'Index', 'out_type')):
                made.attr[key].type = value
            else:
                made.attr[key].i = value
        return self

    def const(self, name, value, dtype=np.float32, controls=()):
        """Adds a Const."""
        from od_patch import _tensorflow
        proto = _tensorflow.tf1().make_tensor_proto(np.array(value, dtype))
        self.node(name, 'Const', controls, dtype=proto.dtype)
        self.graph_def.node[-1].attr['value'].tensor.CopyFrom(proto)
        return self

    def placeholder(self, name, dtype=FLOAT, shape=None):
        """Adds a Placeholder; ``shape`` is a list of int, or None for a rank that is not known."""
        self.node(name, 'Placeholder', dtype=dtype)
        if shape is not None:
            self.graph_def.node[-1].attr['shape'].shape.SetInParent()
            for size in shape:
                self.graph_def.node[-1].attr['shape'].shape.dim.add(size=size)
        return self

    def check(self, kept='kept'):
        """Adds the Assert ``fine`` of a placeholder p, and a node ``kept`` by which p is an input in any case."""
        self.placeholder('p', BOOL).node('fine', 'Assert', ['p', 'p'])
        self.graph_def.node[-1].attr['T'].list.type.append(BOOL)
        return self.node(kept, 'Identity', ['p'], T=BOOL)

    def change(self, name):
        """The ``NodeDef`` of a name."""
        return next(node for node in self.graph_def.node if node.name == name)
