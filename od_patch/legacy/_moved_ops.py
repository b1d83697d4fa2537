"""Names that TensorFlow's private modules had, and tf_slim 1.1.0 still asks them for: they are in ``tf.compat.v1``.

The decoder of ``tf_example`` inputs needs ``case``; the others were found by
looking up every name that tf_slim and the OD API of 2022 take from
``tensorflow.python`` in TensorFlow 2.21.

Not for: names of numpy (``_numpy_aliases``).
"""
import importlib

# module -> {name there: name in tf.compat.v1}
_MOVED = {
    'tensorflow.python.framework.ops': {'IndexedSlices': 'IndexedSlices', 'Tensor': 'Tensor'},
    'tensorflow.python.ops.array_ops': {'stack': 'stack', 'unstack': 'unstack'},
    'tensorflow.python.ops.control_flow_ops': {
        'Assert': 'Assert', 'case': 'case', 'cond': 'cond', 'while_loop': 'while_loop'},
    'tensorflow.python.ops.variable_scope': {'variable': 'Variable'},
}


def is_needed():
    return bool(_missing())


def put_on():
    from od_patch import _tensorflow
    added = [(module, name, getattr(_tensorflow.tf1(), public)) for module, name, public in _missing()]
    for module, name, value in added:
        setattr(module, name, value)

    def take_off():
        for module, name, value in added:
            if vars(module).get(name) is value:
                delattr(module, name)
    return take_off


def _missing():
    """Returns [(module, name, name in ``tf.compat.v1``)] of what is not where it was."""
    return [(module, name, public)
            for module, names in ((importlib.import_module(path), names) for path, names in sorted(_MOVED.items()))
            for name, public in sorted(names.items()) if not hasattr(module, name)]
