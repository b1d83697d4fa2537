"""Is the export what was trained: checkpoint, frozen graph and SavedModel against each other, with evidence.

``verify`` does all of it; ``staged`` is what an export goes through before it is
moved into place. Needs TensorFlow and Pillow, and no Object Detection API.

Not for: two frozen graphs that differ, and why; that is ``compare``.
"""


def verify(*args, **kwargs):
    """See ``_verify.verify``; imported late, as it imports TensorFlow's protos."""
    from od_patch.proof import _verify
    return _verify.verify(*args, **kwargs)


def staged(export, full=False):
    """See ``_verify.staged``."""
    from od_patch.proof import _verify
    return _verify.staged(export, full)


def require():
    """Refuses where what a full proof needs beside TensorFlow is not installed; see ``_images.pillow``."""
    from od_patch.graphs import _images
    _images.pillow()
