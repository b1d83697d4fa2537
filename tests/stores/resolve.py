"""Says which checkpoint is meant by a path, as an export does first: ``resolve.py PATH``."""
import sys

from od_patch import _errors
from od_patch.checkpoint import _checkpoint


def run(argv):
    try:
        print(_checkpoint.resolve(argv[1]))
    except _errors.ODPatchError as error:
        print(error)
        sys.exit(error.exit_code)
