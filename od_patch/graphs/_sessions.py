"""How sessions are configured: one graph, one result; or as servers have them.

Not for: running a graph; ``_models`` does, and ``compare`` two side by side.
"""
import typing

from od_patch import _tensorflow


def unoptimized_config() -> typing.Any:
    """A ``ConfigProto`` with every graph optimization off and one thread, so that one graph gives one result.

    No other place switches them off (``tests/test_sessions.py``). The thread is the session's own: else the first
    session of the process says how many there are, for all that follow.
    """
    config = _tensorflow.tf1().ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1,
                                           use_per_session_threads=True)
    config.graph_options.optimizer_options.opt_level = -1  # L0
    rewrites = config.graph_options.rewrite_options
    for field in rewrites.DESCRIPTOR.fields:
        if field.enum_type is not None and field.enum_type.name == 'Toggle':
            setattr(rewrites, field.name, 2)  # OFF
    # The toggles leave the memory optimizer on, and what is not a toggle in releases to come.
    rewrites.disable_meta_optimizer = True
    return config


# Their kernel of NonMaxSuppressionV3 and V4 keeps the boxes that it works on in itself (tensorflow issue 22581): of two
# runs at once, as of two images of a batch, each may take the other's, or free them twice.
_MIXES_BOXES_UP = ('1.11', '1.12')


def default_config() -> typing.Any:
    """A ``ConfigProto`` with TensorFlow's defaults, as servers have them, but for one operation at a time where several
    corrupt the heap, which aborts the process or, worse, gives other boxes (docs/verify.md).
    """
    config = _tensorflow.tf1().ConfigProto()
    if mixes_boxes_up():
        config.inter_op_parallelism_threads = 1
        config.use_per_session_threads = True
    return config


def mixes_boxes_up() -> bool:
    """Whether the installed TensorFlow must not work for two images at once."""
    return '.'.join(_tensorflow.versions()[0].split('.')[:2]) in _MIXES_BOXES_UP
