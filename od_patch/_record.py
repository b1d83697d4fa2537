"""The record that od-patch leaves in a SavedModel: ``assets.extra/od_patch.json``, what made it and from what.

Not for: what goes into it, which is ``_export``; nor for believing it, which is ``proof``.
"""
import json
import os

from od_patch import _tensorflow

NAME = 'od_patch.json'
FOLDER = 'assets.extra'


def read(saved_model_path):
    """Returns the record of a SavedModel, a dict; None where there is none."""
    gfile = _tensorflow.gfile()
    path = os.path.join(saved_model_path, FOLDER, NAME)
    if not gfile.Exists(path):
        return None
    try:
        with gfile.GFile(path, 'rb') as record_file:
            record = json.loads(record_file.read().decode('utf-8'))
    except (ValueError, _tensorflow.tf1().errors.OpError):
        return None
    return record if isinstance(record, dict) else None
