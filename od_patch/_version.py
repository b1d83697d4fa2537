"""The one place where the version is written down (read by setup.cfg too, so it imports nothing)."""
__version__ = '0.1.0'
