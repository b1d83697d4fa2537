"""There and back again: export by the release, keep the frozen graph alone, unfreeze it, export from what came out."""
import json
import os
import shutil

import pytest

from od_patch.checkpoint import _bundle
from od_patch.compare import _verdict
from od_patch.graphs import _sources
from od_patch.proof import _verify
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

    export = str(tmp_path / 'export')
    flags = {} if unread else {'artifacts': 'frozen_graph'}
    result = exports.ours(exports.config_path(config), os.path.join(output, 'model.ckpt'), export, **flags)
    assert result.exit_code == 0, result.stderr
    parity.assert_same_graph(parity.read_frozen_graph(export), parity.read_frozen_graph(theirs))
    if unread:  # a ResNet's last block is built for training, and no frozen graph has it
        assert 'has no value for {} of the variables'.format(len(unread)) in result.stderr and 'block4' in result.stderr
        _assert_all_but(unread, held, export, set(mine))


def _assert_all_but(unread, held, export, in_model_ckpt):
    """The export of a checkpoint that lacks what no output reads: nothing else is lacking anywhere."""
    assert set(_bundle.read_index(os.path.join(export, 'model.ckpt')).entries) == in_model_ckpt
    saved = _bundle.read_index(os.path.join(export, 'saved_model', 'variables', 'variables')).entries
    assert set(saved) == set(held) - unread - {'global_step'}
    with open(os.path.join(export, 'saved_model', 'assets.extra', 'od_patch.json')) as record_file:
        variables = json.load(record_file)['variables']
    assert variables['written'] == len(saved) and set(variables['left_out']) == unread | {'global_step'}
    assert variables['left_out_bytes'] == sum(held[name].size for name in unread) + 8
    assert not _verify.verify(export).wrong
