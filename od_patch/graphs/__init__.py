"""What a graph is: nodes and tensors, ops in each release of TensorFlow, the files that hold one, and running one.

Shared by ``compare``, ``saved_model``, ``proof`` and ``serving``.

Not for: saying of two graphs what differs (``compare``), or of an export whether it is right (``proof``).
"""
