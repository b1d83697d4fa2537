"""Of a graph that a tool has rewritten, unfreezing makes the same model again, or says why it does not."""
import pytest

from od_patch import _errors
from od_patch.unfreeze import _unfreeze
from tests.compare import graphs
from tests.compare import tools

pytestmark = [pytest.mark.once, tools.NEEDS_TRANSFORMS]

# Each tool by itself, and those that need another before them.
ROWS = [row for row in tools.ROWS if row.graph == 'network' and (
    ',' not in row.name or row.name.startswith(('fold_constants, fold_old', 'Grappler')))]


@pytest.mark.parametrize('row', ROWS, ids=[row.name for row in ROWS])
def test_what_is_written_computes_the_same_or_nothing_is(row, tmp_path):
    build, image, outputs = tools.GRAPHS[row.graph]
    graph_def = row.make(build(), image, outputs)
    path = graphs.write(tmp_path / 'rewritten.pb', graph_def)
    names = {node.name for node in graph_def.node}
    wanted = [name if name in names else 'model/' + name for name in outputs]
    try:
        frozen = _unfreeze.Frozen(path, outputs=wanted)
        done = _unfreeze.unfreeze(frozen, str(tmp_path / 'out'))
    except _errors.InputRefused as refusal:
        narrow = 'quantize' in row.name or 'half' in row.name
        assert narrow or row.verdict == tools.NOT or not set(wanted) <= names, refusal
        assert [entry.name for entry in tmp_path.iterdir()] == ['rewritten.pb']
        return
    fails = any('frozen graph' in run.failures for run in done.answer.runs)
    assert fails == any('the frozen graph fails' in note for note in done.notes)
    assert fails or [run.mode for run in done.answer.runs if run.rows], 'nothing was compared'
    assert all(row.equal for run in done.answer.runs if run.mode == 'unoptimized' for row in run.rows)
    assert len(done.variables) > 3
    # A Mul is folded without a trace. A batch norm leaves the bias that it becomes; with Rsqrt it is only written out.
    folded = not any(node.op.startswith(('FusedBatchNorm', 'Rsqrt')) for node in graph_def.node)
    assert any('batch norms were folded' in note for note in done.notes) == (folded and 'renamed' not in row.name)
