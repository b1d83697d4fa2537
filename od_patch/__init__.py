"""od-patch: unfrozen SavedModels from the TF Object Detection API's own exporter."""
from od_patch._errors import (CheckpointMismatch, EnvironmentRefused,
                              ExporterDeclined, InputRefused, ODPatchError,
                              OutputRefused, UsageError)
from od_patch._version import __version__

__all__ = [
    'CheckpointMismatch',
    'EnvironmentRefused',
    'ExporterDeclined',
    'InputRefused',
    'ODPatchError',
    'OutputRefused',
    'UsageError',
    '__version__',
]
