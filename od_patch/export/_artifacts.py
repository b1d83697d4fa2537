"""What an export consists of, and what its SavedModel may hold."""
import collections
import re
import typing

from od_patch.saved_model import _saved_model

FROZEN = 'frozen'
KINDS = (_saved_model.RESOURCE, _saved_model.REFERENCE, FROZEN)

SAVED_MODEL = 'saved_model'
FROZEN_GRAPH = 'frozen_graph'
CHECKPOINT = 'checkpoint'
PIPELINE_CONFIG = 'pipeline_config'
# What an export consists of, and the names that its parts have in the output directory.
ARTIFACTS = collections.OrderedDict([
    (SAVED_MODEL, re.compile(r'saved_model$')),
    (FROZEN_GRAPH, re.compile(r'frozen_inference_graph\.pb$')),
    (CHECKPOINT, re.compile(r'(checkpoint|model\.ckpt(\.index|\.meta|\.data-\d{5}-of-\d{5})?)$')),
    (PIPELINE_CONFIG, re.compile(r'pipeline\.config$')),
])


class Names:
    """The names that some artifacts have in the output directory; ``match`` as that of a compiled pattern."""

    def __init__(self, artifacts: typing.Iterable[str]) -> None:
        self._patterns = [ARTIFACTS[artifact] for artifact in artifacts]

    def match(self, name: str) -> bool:
        """Returns whether a name is that of one of the artifacts."""
        return any(pattern.match(name) for pattern in self._patterns)
