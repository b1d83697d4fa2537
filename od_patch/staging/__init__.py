"""Written elsewhere, moved into place: on a local disk and in a store."""
