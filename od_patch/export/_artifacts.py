"""What an export consists of, and what its SavedModel may hold."""
import collections
import re

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
    (CHECKPOINT, re.compile(r'(checkpoint|model\.ckpt(\..*)?)$')),
    (PIPELINE_CONFIG, re.compile(r'pipeline\.config$')),
])
