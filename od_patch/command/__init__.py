"""What a command does before and around its work."""
