"""Configs and label maps as people's editors and hands leave them: read, or told what is wrong where."""
import codecs
import io
import os

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

pytest.importorskip('tensorflow')

from od_patch import _errors  # noqa: E402
from od_patch import legacy  # noqa: E402
from od_patch.config import _config  # noqa: E402
from od_patch.config import _reading  # noqa: E402
from od_patch.proof import _pipeline  # noqa: E402
from od_patch.serving import _labels  # noqa: E402
from od_patch.serving import _names  # noqa: E402
from tests.support import exports  # noqa: E402

pytestmark = pytest.mark.once

_MARKS = {'utf-8': codecs.BOM_UTF8, 'utf-16-le': codecs.BOM_UTF16_LE, 'utf-16-be': codecs.BOM_UTF16_BE,
          'utf-32-le': codecs.BOM_UTF32_LE, 'utf-32-be': codecs.BOM_UTF32_BE}
_CONFIG = '# {comment}\nmodel {{ ssd {{ num_classes: 3 feature_extractor {{ type: "ssd_mobilenet_v1" }} }} }} ' \
    '# {comment}\neval_config {{ use_moving_averages: true }}\n'
_LABELS = '# {comment}\nitem {{ id: 1 name: "{name}" }}\nitem {{ id: 2 name: "square" }}  # {comment}\n'


@pytest.fixture(autouse=True)
def bridges():
    with legacy.on():
        yield


def write(folder, content, name='file.pbtxt'):
    path = str(folder / name)
    with open(path, 'wb') as file:
        file.write(content if isinstance(content, bytes) else content.encode('utf-8'))
    return path


def read_labels(path):
    return _names.parse(_labels.read(path, None).decode('utf-8'), path)


def refusal(function, *arguments):
    with pytest.raises(_errors.InputRefused) as refused:
        function(*arguments)
    text = str(refused.value)
    assert 'another one may' not in text and 'not know that' not in text
    return text


# Encodings


@pytest.mark.parametrize('line_end', ['\n', '\r\n'])
@pytest.mark.parametrize('encoding', sorted(_MARKS))
def test_a_file_with_a_mark_is_read(tmp_path, encoding, line_end):
    for text, read in ((_CONFIG.format(comment='caf\u00e9 \u4e2d\u6587'), _config.read),
                       (_LABELS.format(comment='\u4e2d', name='H\u00e4kchen \u9264'), read_labels)):
        content = _MARKS[encoding] + text.replace('\n', line_end).encode(encoding)
        path = write(tmp_path, content)
        found = read(path)
        assert found == {1: 'H\u00e4kchen \u9264', 2: 'square'} or found.model.ssd.num_classes == 3
    assert _pipeline.uses_moving_averages(write(
        tmp_path, _MARKS[encoding] + _CONFIG.format(comment='').encode(encoding))) is True


@pytest.mark.parametrize('encoding', ['utf-16-le', 'utf-16-be'])
def test_a_file_of_two_bytes_for_each_character_needs_no_mark(tmp_path, encoding):
    assert read_labels(write(tmp_path, _LABELS.format(comment='', name='hook').encode(encoding)))[1] == 'hook'


@pytest.mark.parametrize('encoding, comment', [
    ('latin-1', 'caf\u00e9, th\u00e9'), ('gbk', '\u4e2d\u6587\u6ce8\u91ca'), ('shift_jis', '\u8868\u793a \u30bd'),
    ('cp1251', '\u043f\u0440\u0438\u0432\u0435\u0442'), ('cp1252', '\u201ccurly\u201d'),
    ('big5', '\u8a31\u529f\u84cb')])
def test_a_comment_in_an_encoding_that_nobody_knows_harms_nothing(tmp_path, encoding, comment):
    assert _config.read(write(tmp_path, _CONFIG.format(comment=comment).encode(encoding))).model.ssd.num_classes == 3
    assert read_labels(write(tmp_path, _LABELS.format(comment=comment, name='hook').encode(encoding))) == {
        1: 'hook', 2: 'square'}


@pytest.mark.parametrize('encoding, name', [
    ('latin-1', 'Ni\u00f1o'), ('gbk', '\u9264\u5b50'), ('cp1251', '\u043a\u0440\u044e\u043a')])
def test_a_name_in_an_encoding_that_nobody_knows_is_not_guessed(tmp_path, encoding, name):
    said = refusal(read_labels, write(tmp_path, _LABELS.format(comment='', name=name).encode(encoding)))
    assert 'line 2 has bytes that are no UTF-8' in said and 'iconv' in said and 'name: "' in said


@settings(max_examples=100, deadline=None)
@given(strategies.text(strategies.characters(blacklist_categories=['Cs', 'Cc'], blacklist_characters='"\\\ufeff'),
                       max_size=20),
       strategies.sampled_from(sorted(_MARKS) + ['']))
def test_whatever_a_name_is_it_is_read_as_it_was_written(name, encoding):
    text = 'item { id: 1 name: "x%s" }' % name
    content = _MARKS[encoding] + text.encode(encoding) if encoding else text.encode('utf-8')
    read = _reading.plain(_reading.decode(content))
    assert _names.parse(read, 'map') == {1: 'x' + name}
    assert _reading.slips(read) == [] and _reading.looks_like(read) == ''


@settings(max_examples=200, deadline=None)
@given(strategies.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_words(content):
    try:
        text = _reading.plain(_reading.decode(content))
    except _reading.Unreadable as error:
        assert str(error)
        return
    assert '\0' not in text
    _reading.slips(text)
    _reading.looks_like(text)


@pytest.mark.parametrize('content', [b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR', b'\x0a\x05model\x12\0',
                                     bytes(range(1, 32)) * 9 + b'\xff'])
def test_what_is_no_text_is_said_to_be_none(tmp_path, content):
    assert 'it is not a text file' in refusal(_config.read, write(tmp_path, content))


@pytest.mark.parametrize('content, words', [
    (b'\xff\xfem\x00\x00\xd8', 'it begins like UTF-16-LE, and is none from byte'),
    (b'\xff\xfem\x00\x00\x00', 'it is not a text file'), (b'a\0b', 'it is not a text file')])
def test_bytes_that_are_no_text(content, words):
    with pytest.raises(_reading.Unreadable, match=words):
        _reading.decode(content)


def test_unseen_blanks_are_blanks_outside_of_quotes_only(tmp_path):
    path = write(tmp_path, 'item\u00a0{\u3000id: 1\u200b name: "a\u00a0b" }')
    assert read_labels(path) == {1: 'a\u00a0b'}


# Slips


@pytest.mark.parametrize('text, line, words, remedy', [
    ("item { id: 1 name: 'fisher's hook' }", 1, "text goes on behind 'fisher'", 'double quotes'),
    ('\nitem {\n  id: 1\n  name: \'fisher\'s hook\'\n}', 4, "text goes on behind 'fisher'", 'double quotes'),
    ('item { id: 1 name: \u201chook\u201d }', 1, 'the quotes are curly', 'straight'),
    ('item {\n id: 1\n name: \u2018hook\u2019 }', 3, 'LEFT SINGLE QUOTATION MARK', 'straight'),
    ('item { id: 1 name: \u00abhook\u00bb }', 1, 'the quotes are curly', 'straight'),
    ('item { id: 1\n name: "hook }\n', 2, 'the quote " is not closed', 'Close it'),
    ('item { id: 1 name: \'hook }', 1, "the quote ' is not closed", 'Close it'),
    ('item { id: 1 name: "5" rods" }', 1, 'is not closed', 'Close it'),
    ('item { id: 1 name: "the "big" hook" }', 1, 'text goes on behind', 'Write \\"'),
    ('item { id\uff1a 1 name: "hook" }', 1, 'FULLWIDTH COLON', 'plain ASCII: :'),
    ('item \uff5b id: 1 name: "hook" }', 1, 'FULLWIDTH LEFT CURLY BRACKET', 'plain ASCII: {'),
    ('// hooks\nitem { id: 1 name: "hook" }', 1, 'a comment begins with //', 'Comments begin with #'),
    ('item { id: 1 } /* hooks */', 1, 'a comment begins with /*', 'Comments begin with #'),
    ('item {\n id: 1\n name: "hook"\nitem { id: 2 name: "rod" }', 1, 'the block that begins here has no end', 'Add the }'),
    ('item { id: 1 name: "{" }\nitem { id: 2 # }\n', 2, 'the block that begins here has no end', 'Add the }'),
    ('item { id: 1 name: "hook" }\n}', 2, 'this } ends no block', 'Remove it'),
    ('item { id: 1 name: hook }', 1, 'Expected string', 'Text stands between quotes: "hook".'),
    ('item { id: 1 name: h\u00f6ok }', 1, 'LATIN SMALL LETTER O WITH DIAERESIS', 'plain ASCII'),
])
def test_a_slip_is_named_with_its_line(tmp_path, text, line, words, remedy):
    said = refusal(read_labels, write(tmp_path, text))
    assert 'in line {} ("{}'.format(line, text.split('\n')[line - 1].strip()[:20]) in said
    assert words in said and remedy in said


@pytest.mark.parametrize('text', ['train_input_reader { label_map_path: \u201cmap.pbtxt\u201d }',
    "model { ssd { a: 'x's' } }",
                                  'model { ssd { num_classes: \u22123 } }'])
def test_a_slip_in_a_config_is_named_too(tmp_path, text):
    said = refusal(_config.read, write(tmp_path, text))
    assert 'in line 1' in said and ('curly' in said or 'goes on behind' in said or 'MINUS SIGN) stands outside' in said)


def test_what_only_looks_like_a_slip_is_none(tmp_path):
    text = 'item { id: 1 name: "fisher\'s \u201chook\u201d" } # don\'t say \u201cit\u201d\n' \
        'item { id: 2 name: \'a "b" \\\'c\' }'
    assert read_labels(write(tmp_path, text)) == {1: 'fisher\'s \u201chook\u201d', 2: 'a "b" \'c'}


@pytest.mark.parametrize('text, words', [
    ('item { id: 1 name: "a" id: 2 name: "b" }', 'two ids in one item, in line 1'),
    ('item {\n id: 1\n name: "a"\n name: "b"\n}', 'two names in one item, in line 4'),
    ('item { id: 1 display_name: "a" display_name: "b" }', 'two display_names in one item'),
])
def test_two_classes_in_one_item_lose_no_name(tmp_path, text, words):
    path = write(tmp_path, text)
    for read in (read_labels, lambda path: _names.parse(io.open(path).read(), path)):
        said = refusal(read, path)
        assert words in said and 'an item of its own' in said


@pytest.mark.parametrize('text, what', [
    ('hook\nline\n', 'a list of plain names'), ('1: hook\n2: line\n', 'a list of plain names'),
    ('hook, line, sinker', 'a list of plain names'), ('["hook", "line"]', 'JSON'), ('{"1": "hook"}', 'JSON'),
    ('<!DOCTYPE html><html></html>', 'a web page'), ('<?xml version="1.0"?><a/>', 'a web page or XML'),
    ('version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n', 'a pointer of Git LFS')])
def test_another_kind_of_file_is_named(tmp_path, text, what):
    said = refusal(read_labels, write(tmp_path, text))
    assert 'it looks like ' + what in said and 'item { id: 1 name: "circle" }' in said
    assert 'it looks like ' + what in refusal(_config.read, write(tmp_path, text))


@pytest.mark.parametrize('text, words', [
    ('items { id: 1 name: "hook" }', 'Did you mean item ?'), ('item { id: 1 nam: "hook" }', 'Did you mean name ?'),
    ('model { ssd { } }', 'A label map has a block for each class')])
def test_a_field_that_no_label_map_has(tmp_path, text, words):
    assert words in refusal(read_labels, write(tmp_path, text))


def test_a_field_that_only_later_releases_have_is_passed_over(tmp_path):
    text = 'item { id: 1 name: "a" keypoints { id: 0 label: "nose" } frequency: FREQUENT instance_count: 7 }'
    path = write(tmp_path, text)
    assert read_labels(path) == {1: 'a'}
    assert _labels.read(path, None).decode('utf-8') == text
    assert 'the quote " is not closed' in refusal(read_labels, write(tmp_path, text + ' item { name: "b }'))


def test_a_field_of_a_config_may_be_one_of_another_release_and_the_nearest_is_named(tmp_path):
    with pytest.raises(_errors.InputRefused) as refused:
        _config.read(write(tmp_path, 'model { ssd { num_class: 3 } }'))
    assert 'Did you mean num_classes ?' in refused.value.remedy and 'another one may' in refused.value.remedy
    assert 'It is a label map' in str(pytest.raises(
        _errors.InputRefused, _config.read, write(tmp_path, 'item { id: 1 }')).value)


# To the end


def test_the_labels_of_a_request_are_read_as_those_of_an_export(tmp_path):
    (tmp_path / 'assets').mkdir()
    write(tmp_path / 'assets', codecs.BOM_UTF16_LE + 'item { id: 1 name: "a" }'.encode('utf-16-le'), 'label_map.pbtxt')
    assert _names.read(str(tmp_path)) == {1: 'a'}
    write(tmp_path / 'assets', b'item { id: 1 name: "\xff" }', 'label_map.pbtxt')
    assert 'no UTF-8' in refusal(_names.read, str(tmp_path))


def test_the_release_reads_a_copy_that_it_can_read_and_no_copy_where_it_can(tmp_path):
    good = write(tmp_path, _CONFIG.format(comment='\u4e2d'), 'good.config')
    with _config.readable(good) as path:
        assert path == good
    other = write(tmp_path, codecs.BOM_UTF8 + _CONFIG.format(comment='x').encode('utf-8'), 'other.config')
    with _config.readable(other) as path:
        assert path != other and os.path.basename(path) == 'other.config'
        with open(path, 'rb') as file:
            assert file.read() == _CONFIG.format(comment='x').encode('utf-8')
    assert not os.path.exists(path) and os.path.exists(other)


@pytest.mark.xdist_group('ssd')
def test_a_config_with_a_mark_and_a_label_map_in_utf_16_are_exported(checkpoint_of, tmp_path):
    with open(exports.config_path('ssd'), 'rb') as file:
        config = write(tmp_path, codecs.BOM_UTF8 + b'# caf\xc3\xa9\n' + file.read(), 'pipeline.config')
    labels = write(tmp_path, codecs.BOM_UTF16_LE + ''.join('item { id: %d name: "\u4e2d%d" }\n' % (number, number)
                                                           for number in (1, 2, 3)).encode('utf-16-le'))
    output = str(tmp_path / 'export')
    result = exports.ours(config, checkpoint_of('ssd'), output, artifacts='saved_model,pipeline_config',
                          label_map_path=labels)
    assert result.exit_code == 0, result.stderr
    names = _names.read(os.path.join(output, 'saved_model'))
    assert names[2] == '\u4e2d2'
    assert _config.read(os.path.join(output, 'pipeline.config')).model.ssd.num_classes == 3


@pytest.mark.xdist_group('ssd')
def test_a_slip_is_refused_by_the_command(checkpoint_of, tmp_path):
    labels = write(tmp_path, "item { id: 1 name: 'fisher's hook' }")
    result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), str(tmp_path / 'export'),
                          label_map_path=labels)
    assert result.exit_code == 5
    assert "text goes on behind 'fisher'" in result.stderr and 'Traceback' not in result.stderr
