"""All options in one table, and the same as flags."""
