"""Soundness on real exports of three architectures: what tools make of them is judged as running both says.

``test_tools`` has the whole answer for small graphs, cause by cause. Here the graphs are what people hold, thousands of nodes
with loops in them, and what must never be wrong is asked: no ``equivalent`` where one bit differs or one does not load; no
revision of the OD API and no changed setting as the cause of what a tool did that edits neither.

Each run has a share of the table; OD_PATCH_EVERY_TOOL=1 runs all of it (half an hour and more).
"""
import functools
import os

import pytest

from od_patch._errors import InputRefused
from od_patch.compare import _verdict
from tests.compare import graphs
from tests.compare import test_tools
from tests.compare import tools

pytestmark = [pytest.mark.once, tools.NEEDS_TRANSFORMS]

# What changes values, so that a changed constant or setting is the truth.
_EDITS = ('quantize', 'round_weights', 'threshold', 'half precision', 'rename_op')
_ROWS = {row.name: row.make for row in tools.ROWS if row.graph == 'detector'}
_SHARE = {
    'ssd': ('Grappler constfold', 'imported under a prefix', 'round_weights 256', 'renamed and shuffled'),
    'faster_rcnn': ('Grappler constfold', 'Grappler debug_stripper', 'remove_nodes Identity'),
    'mask_rcnn': ('fold_constants',)}
# On Inception v2 TensorFlow's own search for batch norms does not end within half an hour, and optimize_for_inference fails: it
# meets two nodes of one name.
_NOT_ON_INCEPTION = ('both foldings', 'old_batch_norms', 'folded, quantize', 'optimize_for_inference')


def _cases():
    every = bool(os.environ.get('OD_PATCH_EVERY_TOOL'))
    return [pytest.param(architecture, name, marks=pytest.mark.xdist_group(architecture))
            for architecture in sorted(_SHARE) for name in (sorted(_ROWS) if every else _SHARE[architecture])
            if architecture == 'ssd' or not any(word in name for word in _NOT_ON_INCEPTION)]


def _outputs_of(graph_def):
    """The detections of an export, and no raw ones: what tools are told to keep."""
    return [node.name for node in graph_def.node if node.op == 'Identity' and '/' not in node.name
            and node.name.startswith(('detection_', 'num_detections'))]


@pytest.fixture(scope='module')
def exported(upstream_export):
    """A function from an architecture to (bytes of its frozen graph, outputs, their values)."""
    @functools.lru_cache(maxsize=None)
    def get(architecture):
        with open(upstream_export(architecture) + '/frozen_inference_graph.pb', 'rb') as file:
            data = file.read()
        outputs = _outputs_of(graphs.parsed(data))
        assert len(outputs) >= 4
        return data, outputs, test_tools.values(graphs.parsed(data), 'image_tensor', outputs, architecture)
    return get


@pytest.mark.parametrize('architecture, name', _cases())
def test_what_is_said_agrees_with_running_both(exported, tmp_path, architecture, name):
    data, outputs, origin = exported(architecture)
    made = _ROWS[name](graphs.parsed(data), 'image_tensor', outputs)
    one, other = graphs.write(tmp_path / 'one.pb', graphs.parsed(data)), graphs.write(tmp_path / 'other.pb', made)
    told = test_tools.truth(made, architecture, 'image_tensor', outputs, origin)
    kept = set(outputs) <= {node.name for node in made.node}
    try:
        answer = _verdict.compare(one, other, outputs=outputs if kept else None)
    except InputRefused as refusal:
        assert told == 'does not load', str(refusal)
        return
    said = [(cause.kind, cause.effect, cause.title, cause.revision) for cause in answer.causes]
    print(told, answer.verdict, said)
    assert answer.exit_code or told == 'equal'
    if told == 'does not load':
        assert answer.verdict == tools.NOT and answer.causes[0].kind == 'unloadable', said
    for cause in answer.causes:
        assert not test_tools.REVISION.search(cause.title + ' ' + cause.revision), said
        assert not cause.kind.endswith('.revision'), said
        assert cause.effect != 'cosmetic' or told in ('equal', 'other outputs') or len(answer.causes) > 1, said
        if not any(edit in name for edit in _EDITS):
            assert cause.effect not in ('result', 'weights') or cause.kind.startswith(('outputs', 'folded', 'unloadable')), said
