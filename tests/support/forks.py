"""Forks of the process that runs the tests.

Not for: exports; ``server`` forks those, from a process that has one thread.
"""
import gc
import os


def fork():
    """As ``os.fork``; in the child, Python does not look for cycles of references.

    In such cycles may be what other tests have left of TensorFlow's, and to delete it takes locks. A thread of
    TensorFlow's may hold one at the moment of the fork, and in the child nobody gives it free.
    """
    looks = gc.isenabled()
    gc.disable()
    child = os.fork()
    if child and looks:
        gc.enable()
    return child
