"""What an export, and a series of them, report of what they have made."""
import typing

EXPORTED = 'exported'
SKIPPED = 'done before'
FAILED = 'failed'
PLANNED = 'to export'


class Report(typing.NamedTuple):
    """What an export has made."""

    output_directory: str  # as it was given
    files: typing.Sequence[typing.Tuple[str, typing.Optional[int]]]  # (path below the output directory, bytes or None)
    written: typing.Any  # ``_saved_model.Written``; None for a frozen SavedModel
    kind: str  # 'resource', 'reference' or 'frozen'
    use_moving_averages: bool  # whether the weights are moving averages
    checkpoint: str  # the prefix they were restored from
    step: typing.Optional[int]  # its global step
    signature: typing.Any  # ``SignatureDef`` of ``serving_default``; None of what would be made
    artifacts: typing.Set[str]  # those of ``_artifacts.ARTIFACTS`` that were written
    release: str  # the pin of the exporter, in words
    replaced: bool  # whether an earlier export was replaced
    facts: typing.List[typing.Tuple[str, str]]  # (label, text), what the steps tell of it
    lines: typing.List[str]  # what they say at the end, such as what to type next
    told: typing.Dict[str, typing.Any] = {}  # what they tell programs: JSON, by the field of a public report
    dry_run: bool = False  # whether this would be made, and nothing was


class Result(typing.NamedTuple):
    """What became of one checkpoint."""

    prefix: str
    step: typing.Optional[int]  # None where that could not be found out
    outcome: str  # EXPORTED, SKIPPED or FAILED; PLANNED of what would be exported
    report: typing.Optional[Report]  # of an exported one
    error: typing.Optional[Exception]  # of one that failed


class SeriesReport(typing.NamedTuple):
    """What a series has made."""

    output_directory: str  # as it was given
    results: typing.List[Result]
    waiting: typing.List[str]  # prefixes that were not whole when the watch was stopped
    missed: typing.List[str]  # prefixes that were removed before they could be exported
    release: str  # the pin of the exporter, in words
    dry_run: bool = False  # whether this would be made, and nothing was
