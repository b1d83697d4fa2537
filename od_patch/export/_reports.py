"""What an export, and a series of them, report of what they have made."""
import collections

EXPORTED = 'exported'
SKIPPED = 'done before'
FAILED = 'failed'

Report = collections.namedtuple('Report', [
    'output_directory', 'files', 'written', 'kind', 'use_moving_averages', 'checkpoint', 'step', 'signature',
    'artifacts', 'release', 'replaced', 'facts', 'lines'])
Report.__doc__ = """What an export has made.

Attributes:
    output_directory: str, as it was given.
    files: list of (path below the output directory, bytes).
    written: ``_saved_model.Written``; None for a frozen SavedModel.
    kind: 'resource', 'reference' or 'frozen'.
    use_moving_averages: bool, whether the weights are moving averages.
    checkpoint: str, the prefix they were restored from.
    step: int, its global step, or None.
    signature: ``SignatureDef`` of ``serving_default``.
    artifacts: set of those of ``_artifacts.ARTIFACTS`` that were written.
    release: str, the pin of the exporter, in words.
    replaced: bool, whether an earlier export was replaced.
    facts: list of (label, text), what the steps tell of it.
    lines: list of str, what they say at the end, such as what to type next.
"""

Result = collections.namedtuple('Result', ['prefix', 'step', 'outcome', 'report', 'error'])
Result.__doc__ = """What became of one checkpoint.

Attributes:
    prefix: str, the checkpoint.
    step: int, its global step; None where that could not be found out.
    outcome: EXPORTED, SKIPPED or FAILED.
    report: ``Report`` of an exported one.
    error: the exception of one that failed.
"""

SeriesReport = collections.namedtuple('SeriesReport', ['output_directory', 'results', 'waiting', 'missed', 'release'])
SeriesReport.__doc__ = """What a series has made.

Attributes:
    output_directory: str, as it was given.
    results: list of ``Result``.
    waiting: list of prefixes that were not whole when the watch was stopped.
    missed: list of prefixes that were removed before they could be exported.
    release: str, the pin of the exporter, in words.
"""
