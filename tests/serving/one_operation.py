"""For servers of the package index that run under TensorFlow 1.12: one operation of a session at a time.

What ``tensorflow_model_server`` has an option for, they have none. With more, the kernel of NonMaxSuppressionV3 mixes up
images that it works on at once, and corrupts the heap (docs/verify.md).
"""
import tensorflow


class Session(tensorflow.Session):
    def __init__(self, target='', graph=None, config=None):
        config = config or tensorflow.ConfigProto()
        config.inter_op_parallelism_threads = 1
        config.use_per_session_threads = True
        super().__init__(target, graph, config)


def at_a_time():
    """Lets whoever looks for ``tensorflow.Session`` from now on find this one."""
    tensorflow.Session = Session
