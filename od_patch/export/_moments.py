"""What the replaced functions of the release call: the moments of one run of its export function.

Not for: replacing anything on the exporter module (``patch``), nor for terminals (``_shown``, ``_summary``).
"""
import typing

from od_patch import _tensorflow
from od_patch import steps
from od_patch.export import _artifacts
from od_patch.export import _request
from od_patch.releases import _release_errors
from od_patch.saved_model import _saved_model


class Run:
    """One run of the release's export function, as the replaced functions see it: an ``Export``, or a ``Series``.

    Attributes:
        request: ``_request.Request``; ``options``, ``observer`` and ``steps`` are its.
        artifacts: set of those of ``_artifacts.ARTIFACTS`` that are to be written.
        temporary_directory: str, what is written here is removed at the end.
        use_moving_averages: bool, whether the weights are moving averages.
        write_inference_graph: bool, whether the release is to write the graph as text.
        config: ``TrainEvalPipelineConfig`` of the model; None where it is not known.
    """

    def __init__(self, request: _request.Request, artifacts: typing.Iterable[str], temporary_directory: str) -> None:
        self.request = request
        self.options = request.options
        self.observer = request.observer
        self.steps = request.steps
        self.artifacts = set(artifacts)
        self.temporary_directory = temporary_directory
        self.use_moving_averages = False
        self.write_inference_graph = False
        self.config: typing.Any = None
        self._graph_checked = False
        self._collection = 'inference_op'  # of the graph, in which the release puts its outputs

    def arguments_for(self, arguments: typing.Dict[str, typing.Any]) -> typing.Dict[str, typing.Any]:
        """Takes note of what a function of the release is called with; returns what it is to be called with instead.

        Args:
            arguments: dict from parameter name to value, of its export function or of that one's helper.
        """
        if 'use_moving_averages' in arguments:
            self.use_moving_averages = bool(arguments['use_moving_averages'])
        self.write_inference_graph = bool(arguments.get('write_inference_graph'))
        self._collection = arguments.get('output_collection_name', self._collection)
        instead = dict(arguments, **self.places())
        for step in self.steps:
            instead = step.arguments(instead)
        return instead

    def places(self) -> typing.Dict[str, str]:
        """Returns the arguments that say what the release reads and where it writes, a dict."""
        raise NotImplementedError

    def has_work(self) -> bool:
        """Returns whether the release is to build the graph at all."""
        return not self.options.dry_run

    def graph_is_built(self, graph: _tensorflow.Graph, outputs: typing.Optional[steps.Tensors] = None) -> None:
        """Checks the finished graph, once, before upstream restores anything; ``outputs`` as ``variables_read``'s."""
        if not self._graph_checked:
            self._graph_checked = True
            self.check_graph(graph, outputs)

    def check_graph(self, graph: _tensorflow.Graph, outputs: typing.Optional[steps.Tensors] = None) -> None:
        """Refuses what the steps ask for and the graph does not have; upstream would, if at all, after freezing."""
        del outputs
        for defect in _release_errors.defects(graph):
            self.observer.note(defect)
        names = [operation.name for operation in graph.get_operations()]
        names += [key for step in self.steps for key in step.keys()]
        for step in self.steps:
            step.check_graph(graph, names)

    def variables_read(
            self, graph: _tensorflow.Graph, outputs: typing.Optional[steps.Tensors] = None) -> typing.Any:
        """Returns the variables that are read where they are exported: a set of their names, as an export has them.

        Args:
            graph: tf.Graph, checked.
            outputs: dict of those that the release made; None where only the graph tells.

        Returns:
            None where nothing tells what its outputs are.
        """
        if outputs is None:
            outputs = {tensor.op.name: tensor for tensor in graph.get_collection(self._collection)}
        if not outputs:
            return None
        if not self.restores:  # else all of them are frozen, or saved
            _, outputs = self.choose({}, outputs)
        return _saved_model.variables_read(
            graph, [tensor.op.name for tensor in outputs.values()] + [
                name for step in self.steps for name in step.nodes()])

    def compose(self, inputs: typing.Any, outputs: steps.Tensors) -> _saved_model.Composed:
        """Returns the ``_saved_model.Composed`` of the graph that these tensors are of."""
        composed = _saved_model.compose(
            next(iter(outputs.values())).graph, inputs, outputs, self.options.saved_model_variables,
            [name for step in self.steps for name in step.nodes()], self.changes())
        for note in composed.notes:
            self.observer.note(note)
        return composed

    def choose(self, inputs: typing.Any, outputs: steps.Tensors) -> typing.Tuple[steps.Tensors, steps.Tensors]:
        """Returns (inputs, outputs) of ``serving_default``, dicts, of those that upstream would give it."""
        if not isinstance(inputs, dict):
            inputs = {_saved_model.INPUT: inputs}
        for step in self.steps:
            inputs, outputs = step.choose(inputs, outputs)
        return inputs, outputs

    def changes(self) -> typing.List[steps.Change]:
        """Returns what changes the SavedModel from what upstream writes, for ``_saved_model.compose``."""
        return [change for step in self.steps for change in step.changes()]

    def assets(self) -> typing.Dict[str, bytes]:
        """Returns the files of its ``assets/``, a dict from name to bytes."""
        return {name: content for step in self.steps for name, content in step.assets().items()}

    def write_saved_model(
            self, original: typing.Any, arguments: typing.Dict[str, typing.Any]) -> None:
        """Does what upstream's ``write_saved_model`` is called for.

        Args:
            original: upstream's function; None where ``needs_only_the_graph``.
            arguments: dict from parameter name to value, as it was called; of
                these, ``inputs`` and ``outputs`` always are there.
        """
        raise NotImplementedError

    @property
    def profiles(self) -> bool:
        """Whether the release is to print its profile of the graph."""
        if self.options.profile_graph is None:
            return self.observer.keeps_output and set(self.options.artifacts) == set(_artifacts.ARTIFACTS)
        return self.options.profile_graph

    @property
    def freezes(self) -> bool:
        """Whether a frozen graph is needed."""
        return _artifacts.FROZEN_GRAPH in self.artifacts or (
            _artifacts.SAVED_MODEL in self.artifacts and self.options.saved_model_variables == _artifacts.FROZEN)

    @property
    def restores(self) -> bool:
        """Whether a checkpoint in the export's own form is needed, which TensorFlow restores in a session."""
        return self.freezes or _artifacts.CHECKPOINT in self.artifacts

    @property
    def needs_only_the_graph(self) -> bool:
        """Whether nothing of what the release does with its finished graph is asked for."""
        return not (self.restores or self.profiles or self.write_inference_graph)
