"""Checkpoints: which is meant, what it holds, whether it fits the graph; its files, read and written."""
