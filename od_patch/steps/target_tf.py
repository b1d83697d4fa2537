"""``--target_tf``: the SavedModel in the ops of an earlier TensorFlow."""
import typing

from od_patch import _errors
from od_patch import _option
from od_patch import _tensorflow
from od_patch.saved_model import _lowering
from od_patch.steps import _step


class TargetTf(_step.Step):
    """Ops put back to those that an earlier release has."""

    name = 'target_tf'
    title = 'An earlier TensorFlow'
    options = (
        _option.Option(
            'target_tf', _option.TEXT, None,
            'The earliest TensorFlow release that saved_model/ must run on, such as 1.12. Ops that it lacks are '
            'replaced by ops that it has; if there are none, the export is refused.'),)

    def __init__(self, target_tf: str) -> None:
        if target_tf:  # an empty one asks for nothing, so that scripts can pass a variable on
            _lowering.release_of(target_tf)
        self._target = target_tf

    def check_options(self, options: _step.Options) -> None:
        if self._target and options.saved_model_variables == 'frozen':
            raise _errors.UsageError(
                '--target_tf is for a SavedModel with variables; the frozen one is the release\'s own.',
                'Leave out --target_tf, or --saved_model_variables=frozen.')

    def changes(self) -> typing.List[_step.Change]:
        return [self._lower] if self._target else []

    def _lower(self, meta_graph: _tensorflow.MetaGraph) -> typing.List[str]:
        return ['for TensorFlow {}: {}'.format(self._target, what)
                for what in _lowering.lower(meta_graph.graph_def, self._target)]
