"""What one call of the release's export function asks for: its arguments, and the options beyond them."""
import typing

from od_patch import steps as all_steps
from od_patch.export import _artifacts
from od_patch.export import _observer
from od_patch.saved_model import _saved_model


class Options(typing.NamedTuple):
    """Options that the release's own arguments do not cover."""

    saved_model_variables: str = _saved_model.RESOURCE  # or 'reference', or 'frozen'
    overwrite: bool = False  # whether an export that is there already may be replaced
    artifacts: tuple = tuple(_artifacts.ARTIFACTS)  # which of these to write
    # Whether the release may print its profile of the graph; None for yes where all artifacts are written, as it does,
    # and somebody can read it.
    profile_graph: typing.Optional[bool] = None
    dry_run: bool = False  # whether all ends before the graph is built, with nothing written
    series: typing.Optional['Series'] = None  # where many checkpoints are exported; None for one
    asked: dict = {}  # from the name of each option that was given to its value; from it the steps are made
    ingredients: tuple = ()  # (name, value) of those options that change what a series exports


class Series(typing.NamedTuple):
    """Which checkpoints of many to export."""

    steps: typing.Optional[frozenset]  # the global steps; None for all
    watch: bool  # whether to wait for more, until SIGINT or SIGTERM
    interval: float  # seconds between two looks


class Request(typing.NamedTuple):
    """One call of the release's export function, with all that it asks for."""

    options: Options
    observer: _observer.Observer
    release_text: str  # the exporter's pin in words
    arguments: typing.Dict[str, typing.Any]  # by parameter name, as the release's function was called
    output_directory: str  # where it is to go, without the scheme ``file://``
    steps: typing.List[all_steps.Step]  # those that were asked for
    half: int = 1  # of the Object Detection API: 2 for a model of TensorFlow 2
