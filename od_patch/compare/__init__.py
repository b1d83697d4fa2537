"""Two frozen graphs in, an answer out: does the difference matter, why is it there, and how to get the same one again.

Needs GraphDefs only: no Object Detection API, and no TensorFlow session unless
numbers are asked for. ``compare`` and ``inspect`` are the way in; all else is private.
"""


def compare(left, right, outputs=None, checkpoint=None):
    """See ``_verdict.compare``; imported late, as it imports TensorFlow's protos."""
    from od_patch.compare import _verdict
    return _verdict.compare(left, right, outputs, checkpoint)


def inspect(path, outputs=None):
    """See ``_provenance.inspect``."""
    from od_patch.compare import _provenance
    return _provenance.inspect(path, outputs)
