"""Python's cyclic garbage collector, paused.

Not for: freeing memory; nothing here does.
"""
import contextlib
import gc


@contextlib.contextmanager
def paused():
    """Context in which Python's cyclic garbage collector does not run; after it, it runs again if it did before."""
    runs = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if runs:
            gc.enable()
