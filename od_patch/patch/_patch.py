"""What is replaced on the exporter module, by what, and how it comes off.

Nothing but the attributes of this one module is ever changed. What TensorFlow 2 needs beside that is in
``legacy``; it stays on as long as the patch does.

Not for: what the replacements do, which is ``_replacements``.
"""
import logging

from od_patch.export import _artifacts
from od_patch.patch import _replacements

_log = logging.getLogger('od_patch')

# By role (``_recognition``); a role that a release does not have is not replaced.
_REPLACEMENTS = {
    'export_inference_graph': _replacements.around_export,
    '_export_inference_graph': _replacements.around_export,
    'build_detection_graph': _replacements.around_build,
    'profile_inference_graph': _replacements.unless_unasked('profile', lambda export: export.profiles),
    'replace_variable_values_with_moving_averages': _replacements.unless_unasked(
        'moving averages', lambda export: export.restores),
    'write_graph_and_checkpoint': _replacements.unless_unasked(
        'checkpoint', lambda export: _artifacts.CHECKPOINT in export.artifacts),
    'freeze_graph_with_def_protos': _replacements.instead_of_freezing,
    'freeze_graph': _replacements.FreezeGraph,
    'write_frozen_graph': _replacements.unless_unasked('frozen graph', lambda export: export.freezes),
    'write_saved_model': _replacements.instead_of_write_saved_model,
}


class Patch:
    """The patch on one module.

    Attributes:
        recognised: ``Recognised``.
        installed: bool, whether ``install`` holds it.
        uses: int, how many ``patched()`` contexts hold it.
    """

    def __init__(self, recognised):
        self.recognised = recognised
        self.installed = False
        self.uses = 0
        self._originals = {}
        self._replacements = {}

    def apply(self):
        """Replaces what there is to replace; what is there now is what ``remove`` puts back."""
        module = self.recognised.module
        for role, name in self.recognised.names.items():
            self._replace(name, _REPLACEMENTS[role](getattr(module, name), self.recognised))
        # The averaged checkpoint that upstream leaves in the system's temporary folder goes where it is removed.
        self._replace('tempfile', _replacements.TemporaryFiles(module.tempfile))

    def remove(self):
        module = self.recognised.module
        for name, original in self._originals.items():
            if vars(module).get(name) is self._replacements[name]:
                setattr(module, name, original)
            else:
                _log.warning('%s.%s was replaced by somebody else after od-patch; left as it is', module.__name__, name)

    def is_on(self):
        """Returns whether the module has any of our replacements; ``importlib.reload`` makes new originals."""
        attributes = vars(self.recognised.module)
        return any(attributes.get(name) is replacement for name, replacement in self._replacements.items())

    def _replace(self, name, replacement):
        self._originals[name] = getattr(self.recognised.module, name)
        self._replacements[name] = replacement
        setattr(self.recognised.module, name, replacement)
