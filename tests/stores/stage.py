"""Stages a folder into a place, as an export does: ``stage.py FOLDER PLACE [overwrite]``."""
import os
import shutil
import sys

from od_patch import _errors
from od_patch.export import _destination
from od_patch.staging import _staging


def run(argv):
    folder, place, overwrite = argv[1], argv[2], 'overwrite' in argv[3:]
    try:
        _staging.clear(place)
        _destination.check_free(place, overwrite)
        with _staging.staged(place, check=lambda: _destination.check_free(place, overwrite)) as staged:
            for name in os.listdir(folder):
                path, target = os.path.join(folder, name), os.path.join(staged.export, name)
                (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, target)
    except _errors.ODPatchError as error:
        print(error)
        sys.exit(error.exit_code)
