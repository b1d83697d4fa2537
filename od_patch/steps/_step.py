"""The interface of a step: one capability of an export, and the moments at which it can act."""
import typing

from od_patch import _errors
from od_patch import _option
from od_patch import _tensorflow

# Of a room above this one, which steps cannot import.
Options = typing.Any  # ``_request.Options``
Export = typing.Any  # ``_export.Export``

Arguments = typing.Dict[str, typing.Any]  # of a function of the release, by parameter name
Tensors = typing.Dict[str, _tensorflow.Tensor]  # by their key in ``serving_default``
Change = typing.Callable[[_tensorflow.MetaGraph], typing.Optional[typing.List[str]]]


class Step:
    """One capability of an export. Each method is a moment; a step overrides those at which it has something to do.

    Its constructor gets its options as keywords, and refuses values that cannot be meant. There is one of it for each
    export, or for each series of exports, and what it finds out it keeps as its own attributes.

    Attributes:
        name: str, the stage that is shown while it works, and what its result is filed under.
        title: str, the heading of its flags in ``--help``.
        options: tuple of ``_option.Option``.
        always: bool, whether it acts although none of its options is given.
        runs_models: bool, whether it runs the model in a session before the export is moved into place.
    """

    name = ''
    title = ''
    options: typing.Tuple[_option.Option, ...] = ()
    always = False
    runs_models = False

    # Before the graph is built.

    def check_options(self, options: Options) -> None:
        """Refuses what does not go with the other options, an ``_export.Options``."""

    def check(self, arguments: Arguments) -> None:
        """Refuses what can be known from the arguments that the release's function is called with, a dict."""

    def check_export(self, export: Export) -> None:
        """As ``check``, of one checkpoint and where it is to go, an ``_export.Export``."""

    def ingredients(self) -> typing.Any:
        """Returns what an export depends on beside the options, such as the content of a file that one names."""
        return None

    def arguments(self, arguments: Arguments) -> Arguments:
        """Returns the arguments that the release's function is to be called with, a dict, of those that it would be."""
        return arguments

    # While the SavedModel is made.

    def nodes(self) -> typing.List[str]:
        """Returns names of nodes to keep in the SavedModel, whether or not an output needs them."""
        return []

    def keys(self) -> typing.List[str]:
        """Returns the keys of the outputs that ``choose`` may add."""
        return []

    def check_graph(self, graph: _tensorflow.Graph, names: typing.List[str]) -> None:
        """Refuses what the finished graph does not have; ``names`` are its nodes and all steps' ``keys``."""

    def choose(self, inputs: Tensors, outputs: Tensors) -> typing.Tuple[Tensors, Tensors]:
        """Returns inputs and outputs of ``serving_default``, dicts from key to tensor, of those there would be."""
        return inputs, outputs

    def changes(self) -> typing.List[Change]:
        """Returns functions that change a ``MetaGraphDef``, each of which may return a list of notes for the user."""
        return []

    def assets(self) -> typing.Dict[str, bytes]:
        """Returns files for ``assets/``, a dict from name to bytes."""
        return {}

    def files(self) -> typing.List[str]:
        """Returns paths in the SavedModel that this step adds, of those that are known before the graph is built."""
        return []

    def plans(self, export: Export) -> typing.List[str]:
        """Returns what a dry run tells of what this step would do beside writing the export, in sentences."""
        return []

    # When all is written.

    def staged(self, export: Export) -> typing.Any:
        """Nothing is in its place yet; what this returns is this step's result."""

    def placed(self, export: Export) -> typing.Any:
        """The export is in its place; what this returns is this step's result."""

    # What the summary says.

    def facts(self, result: typing.Any) -> typing.List[typing.Tuple[str, str]]:
        """Returns [(label, text)] of the result of ``staged``."""
        return []

    def told(self, result: typing.Any) -> typing.Dict[str, typing.Any]:
        """Returns what the report has of the result of ``staged`` or ``placed``: JSON by field of the report."""
        return {}

    def lines(self, result: typing.Any) -> typing.List[str]:
        """Returns lines for the end of the summary, of the result of ``placed``."""
        return []


def need_saved_model(flag: str, options: Options) -> None:
    """Refuses a flag that is for the SavedModel where none is exported."""
    if 'saved_model' not in options.artifacts:
        raise _errors.UsageError('{} is for the SavedModel, and --artifacts={} has none.'.format(
            flag, ','.join(options.artifacts)), 'Add saved_model to --artifacts.')
