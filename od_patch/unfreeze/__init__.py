"""A SavedModel with variables, and a checkpoint, from a frozen graph alone: no checkpoint, no config, no OD API.

Not for: the other way round, which is ``graphs/_freezing``.
"""
