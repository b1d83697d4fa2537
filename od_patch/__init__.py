"""od-patch: unfrozen SavedModels from the TF Object Detection API's own exporter.

``install()``, or ``with patched():``, replaces functions of
``object_detection.exporter`` so that the ``saved_model/`` of an export holds real
variables, restored from the checkpoint, instead of frozen constants.
``uninstall()`` puts everything back. Everything else in this package is private.
"""
from od_patch._errors import (CheckpointMismatch, EnvironmentRefused,
                              ExporterDeclined, InputRefused, ODPatchError,
                              OutputRefused, ProofFailed, SomeFailed,
                              UsageError)
from od_patch._version import __version__
from od_patch.patch._patching import install, patched, uninstall

__all__ = [
    'CheckpointMismatch',
    'EnvironmentRefused',
    'ExporterDeclined',
    'InputRefused',
    'ODPatchError',
    'OutputRefused',
    'ProofFailed',
    'SomeFailed',
    'UsageError',
    '__version__',
    'install',
    'patched',
    'uninstall',
]
