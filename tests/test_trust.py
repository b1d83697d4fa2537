"""What is read from a model file is shown and never obeyed, and nothing is written where somebody else has the say."""
import io
import os
import re
import shlex
import subprocess
import sys

import hypothesis
import hypothesis.strategies
import pytest

import od_patch
from od_patch import _text
from od_patch.staging import _staging

pytestmark = pytest.mark.once

_HOSTILE = ['[bold red]x[/]', '[/]', '{0.__class__}', '%s', '$(touch pwned)', '`touch pwned`', "'; touch pwned; '",
            '</script><script>alert(1)</script>', '\x1b[2J\x1b]0;owned\x07', 'a\rb', '\x9b31m', '\u202egnp.exe',
            'a\x00b']
_CONTROL = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]')


@pytest.mark.parametrize('text', _HOSTILE)
def test_a_refusal_shows_what_it_quotes_and_no_more(text):
    error = od_patch.InputRefused('The node {} is bad.'.format(text), 'Remove ' + text)
    for shown in (str(error), error.problem, error.remedy):
        assert not _CONTROL.search(shown)
    if not _CONTROL.search(text):
        assert text in error.problem


def test_halves_of_characters_do_not_break_a_terminal():
    assert _text.plain(u'a\ud800b\n\tc') == 'a\\ud800b\n\tc'


def test_a_line_to_paste_is_taken_apart_into_what_it_was(tmp_path):
    words = [text for text in _HOSTILE if '\x00' not in text]
    assert shlex.split(_text.command(words)) == words
    shown = subprocess.check_output(['sh', '-c', _text.command([
        sys.executable, '-c', 'import os, sys; print(ascii(list(map(os.fsencode, sys.argv[1:]))))'] + words)],
        cwd=str(tmp_path), universal_newlines=True)
    assert shown.strip() == ascii(list(map(os.fsencode, words)))
    assert os.listdir(str(tmp_path)) == []


def _compared(folder, hostile):
    """What compare says of two graphs that differ, with a hostile text for a node's name; no TensorFlow loads them."""
    from od_patch.compare import _verdict
    from tests.compare import graphs
    paths = []
    for op in ('Relu6', 'Relu'):
        graph_def = graphs.detector()
        relu = next(node for node in graph_def.node if node.op == 'Relu6')
        for node in graph_def.node:
            for place, text in enumerate(node.input):
                if text == relu.name:
                    node.input[place] = hostile
        relu.op, relu.name = op, hostile
        paths.append(graphs.write(folder / '{}.pb'.format(op), graph_def))
    return _verdict.compare(*paths)


@pytest.fixture(scope='module')
def answers(tmp_path_factory):
    """[(hostile text, what compare says)]"""
    pytest.importorskip('tensorflow')
    return [(text, _compared(tmp_path_factory.mktemp('hostile'), text)) for text in _HOSTILE]


def test_names_in_a_graph_are_no_markup_and_no_controls_on_a_terminal(answers):
    from od_patch.compare import _report
    for text, answer in answers:
        stream = io.StringIO()
        _report.show(answer, _report.console(stream))
        shown = stream.getvalue()
        assert not _CONTROL.search(shown)
        assert _CONTROL.search(text) or text in shown


def test_json_has_no_controls_either(answers):
    import json
    from od_patch.terminal import _json
    for text, answer in answers:
        shown = _json.strict(answer.as_json())
        assert json.loads(shown) and not _CONTROL.search(shown)
        assert _CONTROL.search(text) or text in shown


def test_the_page_shows_markup_as_text(answers, tmp_path):
    from od_patch.compare import _page
    for text, answer in answers:
        _page.write(answer, str(tmp_path / 'page.html'))
        page = (tmp_path / 'page.html').read_text(encoding='utf-8')
        assert '<script>alert' not in page and '</script><script>' not in page
        assert page.count('</script>') == 2  # its data, and its program
        assert 'script' not in text or 'alert(1)' in page


def test_a_saved_model_that_names_files_elsewhere_gets_none_written(tmp_path):
    """Paths of assets are taken from nowhere: a frozen graph is one file, the one that was asked for."""
    pytest.importorskip('tensorflow')
    from od_patch import cli
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow.core.protobuf import saved_model_pb2
    made = tmp_path / 'made'
    made.mkdir()
    program = 'import sys; from tests.support import inputs; inputs.make(sys.argv[1])'
    subprocess.check_call([sys.executable, '-c', program, str(made)],
                          cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                          stderr=subprocess.DEVNULL)
    path = made / 'resource' / 'saved_model.pb'
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    asset = meta_graph_pb2.AssetFileDef(filename='../../../pwned')
    asset.tensor_info.name = 'image_tensor:0'
    model.meta_graphs[0].asset_file_def.add().CopyFrom(asset)
    model.meta_graphs[0].collection_def['saved_model_assets'].any_list.value.add().Pack(asset)
    path.write_bytes(model.SerializeToString())
    before = sorted(os.listdir(str(tmp_path)))
    folder = tmp_path / 'a' / 'b'
    folder.mkdir(parents=True)
    cli.cli(['freeze', str(made / 'resource'), '--output', str(folder / 'frozen.pb')], standalone_mode=False)
    assert os.listdir(str(folder)) == ['frozen.pb'] and os.listdir(str(tmp_path / 'a')) == ['b']
    assert sorted(os.listdir(str(tmp_path))) == sorted(before + ['a'])


def test_a_file_is_replaced_by_a_new_one_and_no_link_is_followed(tmp_path):
    """In a folder that others can write to, a link may lie where a file is to be."""
    (tmp_path / 'precious').write_text('mine')
    for name in ('result', 'result.partial-{}'.format(os.getpid())):
        os.symlink('precious', str(tmp_path / name))
    with _staging.replacing(str(tmp_path / 'result')) as partial:
        assert os.stat(partial).st_mode & 0o077 == 0
        with open(partial, 'w') as file:
            file.write('new')
    assert (tmp_path / 'precious').read_text() == 'mine'
    assert (tmp_path / 'result').read_text() == 'new' and not (tmp_path / 'result').is_symlink()


def test_a_file_has_the_permissions_that_any_new_file_has(tmp_path):
    before = os.umask(0o027)
    try:
        with _staging.replacing(str(tmp_path / 'result')):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / 'result').stat().st_mode & 0o777 == 0o640


def test_a_file_that_could_not_be_written_is_as_it_was(tmp_path):
    (tmp_path / 'result').write_text('old')
    with pytest.raises(ZeroDivisionError):
        with _staging.replacing(str(tmp_path / 'result')):
            raise ZeroDivisionError
    assert (tmp_path / 'result').read_text() == 'old'
    assert os.listdir(str(tmp_path)) == ['result']


@pytest.mark.parametrize('name', ['.od-patch-probe', '.out.od-patch'])
def test_a_link_where_a_folder_is_to_be_made_is_refused(tmp_path, name):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'theirs').mkdir()
    os.symlink('theirs', str(tmp_path / name))
    with pytest.raises(od_patch.OutputRefused):
        _staging.check_writable(str(tmp_path / 'new'))
        with _staging.staged(str(tmp_path / 'out')):
            raise AssertionError('the export began')
    assert os.readlink(str(tmp_path / name)) == 'theirs'
    assert os.listdir(str(tmp_path / 'out')) == [] and os.listdir(str(tmp_path / 'theirs')) == []


@hypothesis.given(hypothesis.strategies.text())
def test_whatever_is_shown_has_no_controls_and_is_shown_once(text):
    shown = _text.plain(text)
    assert not _CONTROL.search(shown) and _text.plain(shown) == shown
    shown.encode('utf-8')
    assert _CONTROL.search(text) or re.search('[\ud800-\udfff\u200e\u200f\u2028-\u202e]', text) or shown == text


@hypothesis.given(hypothesis.strategies.lists(hypothesis.strategies.text(
    hypothesis.strategies.characters(blacklist_characters='\x00', blacklist_categories=['Cs'])), min_size=1))
def test_whatever_is_quoted_is_taken_apart_again(words):
    assert shlex.split(_text.command(words)) == words
