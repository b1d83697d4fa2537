"""Who holds a patch: it comes off when nobody does.

``install()`` holds it until ``uninstall()``, each ``patched()`` for its block, and each export while it runs, whatever
other threads do meanwhile.

Not for: what a patch replaces; that is ``_patch``.
"""
import contextlib
import threading

from od_patch import legacy

lock = threading.RLock()
patches = {}  # name of the exporter module -> the ``_patch.Patch`` that is on it


@contextlib.contextmanager
def held(module):
    """Keeps the patch on while an export runs, whatever other threads do; yields whether it is on at all."""
    with lock:
        patch = patches.get(module.__name__)
        if patch:
            patch.uses += 1
    try:
        yield patch is not None
    finally:
        if patch:
            with lock:
                patch.uses -= 1
                take_off_if_unused(patch)


def take_off_if_unused(patch):
    if not patch.installed and not patch.uses and patches.get(patch.recognised.module.__name__) is patch:
        del patches[patch.recognised.module.__name__]
        patch.remove()
        legacy.take_off()
