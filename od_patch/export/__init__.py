"""The core: one export under way, a series of them, what they report."""
