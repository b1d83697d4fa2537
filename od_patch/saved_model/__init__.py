"""From the graph to a SavedModel with its record, and to a frozen graph."""
