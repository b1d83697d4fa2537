"""What is read of ``od_patch.json``: what an export writes, and nothing that somebody else has put there."""
import json
import os
import string

import hypothesis
import hypothesis.strategies as st
import pytest

from od_patch.saved_model import _record

pytestmark = pytest.mark.once

_GOOD = {'format': 1, 'od_patch': '0.1', 'exporter': 'C', 'tensorflow': '1.12.0', 'tensorflow_git': 'v1',
         'checkpoint': 'a/b', 'checkpoint_format': 'V2', 'global_step': 7, 'moving_averages': False,
         'sha256': {'frozen_inference_graph.pb': '0' * 64}, 'checkpoint_sha256': 'f' * 64, 'recipe': 'e' * 64,
         'variables': {'written': 3, 'left_out': ['a/b'], 'left_out_bytes': 8}}


def _parsed(record):
    return _record.parse(json.dumps(record).encode('utf-8'))


def test_what_an_export_writes_is_read_as_it_stands():
    assert _parsed(_GOOD) == _GOOD
    assert _parsed(dict(_GOOD, global_step=None)) == dict(_GOOD, global_step=None)
    assert _parsed({}) == {}
    assert _parsed({'of a later release': [1]}) == {'of a later release': [1]}


_WRONG = [('global_step', value) for value in (True, False, -1, 1.0, 1 << 63, '7', [], {}, float('nan'))]
_WRONG += [('variables', value) for value in (None, 3, [], {}, {'written': 3})]
_WRONG += [('variables', dict(_GOOD['variables'], **change)) for change in (
    {'written': '3'}, {'written': None}, {'left_out': 1}, {'left_out': [1]}, {'left_out_bytes': -1}, {'x': 1})]
_WRONG += [('moving_averages', value) for value in (0, 1, 'true', None, [])]
_WRONG += [(name, value) for name in ('od_patch', 'exporter', 'tensorflow', 'tensorflow_git', 'checkpoint',
                                      'checkpoint_format', 'recipe')
           for value in (None, 1, True, [], {}, 'a\0b', '\ud800', 'x' * 5000)]
_WRONG += [('sha256', value) for value in (
    None, [], 'x', {'a': 1}, {'a': 'x'}, {'': '0' * 64}, {'..': '0' * 64}, {'/etc/passwd': '0' * 64}, {'a\0': '0' * 64},
    {'a': '0' * 63}, {'a': '0' * 64 + '\n'}, {'../a': '0' * 64}, {'a': None})]
_WRONG += [('checkpoint_sha256', value) for value in (None, 1, '', 'F' * 64)]


@pytest.mark.parametrize('name, value', _WRONG)
def test_an_entry_that_no_export_writes_spoils_the_record(name, value):
    with pytest.raises(_record.Broken, match=name):
        _parsed(dict(_GOOD, **{name: value}))


@pytest.mark.parametrize('data', [b'', b'{', b'[]', b'null', b'true', b'1', b'"text"', b'\xff{}', b'[' * 100000,
                                  b'{"a":' * 100000, b'{}' + b' ' * (1 << 20), b'{"a": 1} x', b'\xef\xbb\xbf{}'])
def test_what_is_no_record_is_none(data):
    with pytest.raises(_record.Broken):
        _record.parse(data)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                     lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@hypothesis.settings(deadline=None, max_examples=200)
@hypothesis.given(st.dictionaries(st.sampled_from(sorted(_GOOD)), _JSON))
def test_whatever_is_there_each_entry_has_its_type_or_there_is_no_record(changes):
    try:
        record = _parsed(dict(_GOOD, **changes))
    except _record.Broken as error:
        assert str(error)
        return
    step = record['global_step']
    assert step is None or type(step) is int and 0 <= step < 1 << 63
    assert isinstance(record['moving_averages'], bool) and isinstance(record['checkpoint'], str)
    os.fsencode(record['checkpoint'])
    variables = record['variables']
    assert type(variables['written']) is type(variables['left_out_bytes']) is int
    assert all(isinstance(name, str) for name in variables['left_out'])
    for name, digest in record['sha256'].items():
        assert os.path.basename(name) == name and len(digest) == 64 and set(digest) <= set(string.hexdigits)


@hypothesis.settings(deadline=None, max_examples=200)
@hypothesis.given(st.binary())
def test_whatever_bytes_are_there_there_is_a_record_or_words(data):
    try:
        assert isinstance(_record.parse(data), dict)
    except _record.Broken as error:
        assert str(error)


@pytest.mark.parametrize('text', ['{"global_step": true}', '{"global_step": -1}', '[' * 100000, ' ' * (2 << 20)])
def test_a_version_is_not_named_by_it(tmp_path, text):
    pytest.importorskip('tensorflow')
    from od_patch.serving import _publish
    import od_patch
    (tmp_path / 'assets.extra').mkdir()
    (tmp_path / 'assets.extra' / 'od_patch.json').write_text(text)
    record = _record.read(str(tmp_path))
    assert record is None
    with pytest.raises(od_patch.InputRefused, match='does not say at which global step'):
        _publish.choose(_publish.PublishRequest(str(tmp_path), 'step'), record or {}, {})


def test_a_folder_or_a_pipe_in_its_place_is_no_record(tmp_path):
    pytest.importorskip('tensorflow')
    (tmp_path / 'assets.extra' / 'od_patch.json').mkdir(parents=True)
    assert _record.read(str(tmp_path)) is None
    os.rmdir(str(tmp_path / 'assets.extra' / 'od_patch.json'))
    os.mkfifo(str(tmp_path / 'assets.extra' / 'od_patch.json'))
    assert _record.read(str(tmp_path)) is None
