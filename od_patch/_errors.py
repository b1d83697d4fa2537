"""The refusals of od-patch: what was found, what was expected, what to type next.

Not for: bugs. An exception that is not an ``ODPatchError`` is a defect of ours
or of the Object Detection API, and is reported as such.
"""
import difflib

from od_patch import _text


class ODPatchError(Exception):
    """A refusal in words; the base of all errors that od-patch raises on purpose.

    Attributes:
        problem: str, what was found and what was expected instead.
        remedy: str, what to type or change next; may be empty.
        exit_code: int, what the command line tools exit with.
    """

    exit_code = 1

    def __init__(self, problem, remedy=''):
        problem, remedy = _text.plain(problem), _text.plain(remedy)  # they quote names from files
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self):
        return self.problem + ('\n' + self.remedy if self.remedy else '')


class UsageError(ODPatchError):
    """A flag or an argument that cannot be meant as it was typed."""

    exit_code = 2


class EnvironmentRefused(ODPatchError):
    """Something that must be installed or importable is not."""

    exit_code = 3


class ExporterDeclined(ODPatchError):
    """The Object Detection API's exporter is not one that can be patched safely."""

    exit_code = 4


class InputRefused(ODPatchError):
    """A file given to the tool is missing, damaged or of another kind."""

    exit_code = 5


class CheckpointMismatch(ODPatchError):
    """The checkpoint does not hold the variables of the graph it is to fill."""

    exit_code = 6


class OutputRefused(ODPatchError):
    """The place to write to holds something already, is in use, or cannot be written."""

    exit_code = 7


class SomeFailed(ODPatchError):
    """Some of several checkpoints could not be exported; the others were.

    Attributes:
        report: ``od_patch.SeriesReport`` of all of them, where ``od_patch.export`` raises it.
    """

    exit_code = 8
    report = None


class ProofFailed(ODPatchError):
    """The export that was just made is not what was trained, or is not whole; it is not moved into place."""

    exit_code = 9


def did_you_mean(given, known, before='', least=0.5):
    """Returns the remedy that names the nearest of the names that there are; empty where none is near.

    Args:
        given: str, what was asked for; known: iterable of str.
        before: str, what to type before the name, such as ``'--flag='``.
        least: float from 0 to 1, how alike a name has to be, as difflib measures it.
    """
    nearest = difflib.get_close_matches(given, known, n=1, cutoff=least)
    return 'Did you mean {}{} ?'.format(before, nearest[0]) if nearest else ''
