"""From a SavedModel to a running server: versions, warm-up, signatures, labels, clients, archives.

Not for: making the SavedModel (``_saved_model``), nor proving it (``proof``).
"""
