"""What is replaced on the exporter, by what, and how it comes off."""
