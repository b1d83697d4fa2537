"""There and back again: export by the release, keep the frozen graph alone, unfreeze it, export from what came out."""
import os
import shutil

import pytest

from od_patch.checkpoint import _bundle
from od_patch.compare import _verdict
from od_patch.graphs import _sources
from od_patch.unfreeze import _unfreeze
from tests.support import exports
from tests.support import parity

pytest.importorskip('tensorflow')

_AVERAGES = 'eval_config { use_moving_averages: true }'
# Of one architecture it is asked on each TensorFlow; the others have nothing that this depends on.
_ON_TENSORFLOW_1 = exports.NEEDS_CONTRIB


@pytest.mark.parametrize('config, form, override', [
    pytest.param('ssd', 'plain', '', id='ssd'),
    pytest.param('faster_rcnn', 'plain', '', id='faster rcnn', marks=_ON_TENSORFLOW_1),
    pytest.param('mask_rcnn', 'training', _AVERAGES, id='mask rcnn, averages', marks=_ON_TENSORFLOW_1),
    pytest.param('rfcn', 'plain', '', id='rfcn', marks=_ON_TENSORFLOW_1),
    pytest.param('ssd_quantized', 'plain', '', id='quantized ssd', marks=_ON_TENSORFLOW_1),
])
def test_the_weights_come_back_and_an_export_of_them_is_the_same(
        config, form, override, checkpoint_of, upstream_export, tmp_path):
    theirs = upstream_export(config, form, **({'config_override': override} if override else {}))
    frozen = str(tmp_path / 'frozen_inference_graph.pb')  # alone: nothing beside it helps
    shutil.copy(os.path.join(theirs, 'frozen_inference_graph.pb'), frozen)
    output = str(tmp_path / 'unfrozen')
    done = _unfreeze.unfreeze(_unfreeze.Frozen(frozen), output)
    assert not done.answer.wrong and not done.notes
    assert [run.mode for run in done.answer.runs if run.rows and all(row.equal for row in run.rows)]

    # The inference weights, bit for bit, under their own names.
    mine = _bundle.read_index(os.path.join(output, 'model.ckpt')).entries
    held = _bundle.read_index(os.path.join(theirs, 'model.ckpt')).entries
    for name in set(mine) - {'global_step'}:
        assert [getattr(mine[name], field) for field in ('dtype', 'shape', 'size', 'crc32c')] == [
            getattr(held[name], field) for field in ('dtype', 'shape', 'size', 'crc32c')], name
    unread = set(held) - set(mine)
    in_graph = {node.name for node in parity.read_frozen_graph(theirs).node}
    assert not unread & in_graph and (not unread or config == 'rfcn'), sorted(unread)[:3]

    again, _, _ = _sources.frozen_saved_model(output)
    path = str(tmp_path / 'again.pb')
    with open(path, 'wb') as file:
        file.write(again.SerializeToString())
    assert _verdict.compare(path, frozen).verdict in ('identical', 'equivalent')

    result = exports.ours(exports.config_path(config), os.path.join(output, 'model.ckpt'), str(tmp_path / 'export'),
                          artifacts='frozen_graph')
    if unread:  # a ResNet's last block is built for training, and no frozen graph has it
        assert result.exit_code == 6 and 'block4' in result.stderr
        return
    assert result.exit_code == 0, result.stderr
    parity.assert_same_graph(parity.read_frozen_graph(str(tmp_path / 'export')), parity.read_frozen_graph(theirs))
