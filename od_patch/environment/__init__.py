"""What is installed, and whether it is usable."""
