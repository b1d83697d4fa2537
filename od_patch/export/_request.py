"""What one call of the release's export function asks for: its arguments, and the options beyond them."""
import typing

from od_patch import steps as all_steps
from od_patch.export import _artifacts
from od_patch.export import _observer
from od_patch.saved_model import _saved_model


class Options(typing.NamedTuple):
    """Options that the release's own arguments do not cover.

    Attributes:
        saved_model_variables: 'resource', 'reference' or 'frozen'.
        overwrite: whether an export that is there already may be replaced.
        artifacts: which of ``_artifacts.ARTIFACTS`` to write.
        profile_graph: whether the release may print its profile of the graph;
            None for yes where all artifacts are written, as it does, and somebody can read it.
        series: ``Series`` where many checkpoints are exported; None for one.
        asked: from the name of each option that was given to its value; from
            it the steps are made (``steps.active``).
        ingredients: (name, value) of those options that change what a series exports (``_options.ingredients``).
    """

    saved_model_variables: str = _saved_model.RESOURCE
    overwrite: bool = False
    artifacts: tuple = tuple(_artifacts.ARTIFACTS)
    profile_graph: typing.Optional[bool] = None
    series: typing.Optional['Series'] = None
    asked: dict = {}
    ingredients: tuple = ()


class Series(typing.NamedTuple):
    """Which checkpoints of many to export.

    Attributes:
        steps: the global steps; None for all.
        watch: whether to wait for more, until SIGINT or SIGTERM.
        interval: seconds between two looks.
    """

    steps: typing.Optional[frozenset]
    watch: bool
    interval: float


class Request(typing.NamedTuple):
    """One call of the release's export function, with all that it asks for.

    Attributes:
        options: ``Options``.
        observer: ``_observer.Observer``.
        release_text: the exporter's pin in words.
        arguments: from parameter name to value, as the release's function was called.
        output_directory: where it is to go, without the scheme ``file://``.
        steps: ``steps.Step``, those that were asked for.
    """

    options: Options
    observer: _observer.Observer
    release_text: str
    arguments: typing.Dict[str, typing.Any]
    output_directory: str
    steps: typing.List[all_steps.Step]
