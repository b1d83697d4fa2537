"""What commands print of folders that were typed with a slash behind them, and of the variables of a SavedModel."""
import os
import shutil
import subprocess
import sys

import pytest

from od_patch import cli

pytestmark = pytest.mark.once

pytest.importorskip('tensorflow')

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Small graphs and SavedModels; nobody may change them."""
    folder = tmp_path_factory.mktemp('made')
    program = 'import sys; from tests.support import inputs; inputs.make(sys.argv[1])'
    subprocess.check_call([sys.executable, '-c', program, str(folder)], cwd=_ROOT, stderr=subprocess.DEVNULL)
    return folder


def _printed(words, capsys):
    """Both streams of a command of ``od-patch``, run in this process."""
    try:
        cli.cli([str(word) for word in words], standalone_mode=False)
    except SystemExit as end:
        assert end.code in (0, 1, None)
    shown = capsys.readouterr()
    assert shown.out
    return shown.out + shown.err


@pytest.mark.parametrize('words', [
    ['publish', 'export/', 'OUT/models/', '--example_request=OUT/try/'],
    ['publish', 'resource/', 'OUT/models/', '--warmup_images=', '--json'],
    ['request', 'export/', '--output_directory=OUT/try/'],
    ['request', 'resource/', '--output_directory', 'OUT/try/', '--json'],
    ['package', 'kserve', 'resource/', '--output=OUT/packed/', '--model_name=shapes'],
    ['package', 'vertex', 'export/', '--output=OUT/packed/'],
    ['unfreeze', 'frozen.pb', '--output_directory=OUT/whole/'],
    ['unfreeze', 'constant/', '--output_directory=OUT/whole/', '--json'],
    ['unfreeze', 'constant/', '--variables'],
    ['freeze', 'export/', '--output=OUT/frozen.pb'], ['freeze', 'export/saved_model/', '--output=OUT/frozen.pb'],
    ['inspect', 'export/'], ['inspect', 'constant/'], ['compare', 'export/', 'frozen.pb'], ['compare', 'constant/', 'export/'],
    ['verify', 'export/', '--quick', '--html=OUT/page.html'],
    ['verify', '--saved_model=export/saved_model/', '--checkpoint=training/', '--quick', '--json']], ids=' '.join)
def test_no_path_that_is_printed_has_two_slashes(words, made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(str(made))
    said = _printed([word.replace('OUT', str(tmp_path)) for word in words], capsys)
    assert '//' not in said.replace('://', ''), said


@pytest.mark.parametrize('kind', ['resource', 'reference'])
def test_a_variable_that_no_output_reads_is_named_and_counted(kind, made, tmp_path, capsys):
    """As the hand edit and the release's own SavedModels of variables have it."""
    from tensorflow.core.protobuf import saved_model_pb2
    model = tmp_path / 'model'
    shutil.copytree(str(made / kind), str(model))
    saved_model = saved_model_pb2.SavedModel.FromString((model / 'saved_model.pb').read_bytes())
    node = saved_model.meta_graphs[0].graph_def.node.add(name='global_step')
    node.op = 'VarHandleOp' if kind == 'resource' else 'VariableV2'
    node.attr['dtype'].type = 9
    (model / 'saved_model.pb').write_bytes(saved_model.SerializeToString())
    said = _printed(['freeze', model, '--output', tmp_path / 'frozen.pb'], capsys)
    assert ' nodes, 2 of 3 variables frozen (no output reads global_step), ' in said, said


def test_the_name_that_html_had_in_verify_goes_on_to_be_understood(made, tmp_path, capsys):
    for flag in '--html', '--report':
        page = tmp_path / (flag[2:] + '.html')
        said = _printed(['verify', made / 'export', '--quick', flag, page], capsys)
        assert '{}: the report'.format(page) in said and page.read_text().startswith('<!DOCTYPE html>')
    for command in 'verify', 'compare':
        shown = _printed([command, '--help'], capsys)
        assert '--html OUT.html' in shown and '--report' not in shown
