"""The pinned releases of the Object Detection API, and what their errors mean."""
