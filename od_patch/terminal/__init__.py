"""The terminal: a console that obeys nothing it shows, stages, what others print kept in a log."""
