"""How often the tests have Python look for cycles of references.

A graph of TensorFlow's is some hundred thousand objects, and the modules that it takes are as many again. Python's own
thresholds have all of them looked through again and again, which is 4 % of the tests' time.

Not for: switching it off; od-patch does while it exports, and tests say so.
"""
import gc


def look_seldom():
    """Has it done after a hundred thousand new objects rather than 700; for this process and its forks."""
    gc.set_threshold(100000, 20, 20)
