"""The client program prints names of labels, files and outputs, and what a server says; a terminal obeys none of it."""
import argparse
import re
import socket
import sys

import hypothesis
import hypothesis.strategies as st
import pytest

from od_patch.serving import _client

pytestmark = pytest.mark.once

_OBEYED = re.compile('[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_HOSTILE = ['\x1b[31mred', '\x1b]0;title\x07', 'a\rb', 'a\nb', '\x9b31m', '\u202egnp', '\u2066x', '\ud800', 'tab\there']


@pytest.mark.parametrize('name', _HOSTILE)
def test_a_name_is_shown_with_its_controls_written_out(monkeypatch, capsys, name):
    monkeypatch.setattr(_client, 'SETTINGS', {'names': {1: name}, 'outputs': ['a'], 'model': 'm'})
    _client.show(name, {'detection_scores': [0.9], 'detection_classes': [1]}, 0.5)
    _client.show(name, {name: [1]}, 0.5)
    shown = capsys.readouterr().out
    assert not _OBEYED.search(shown.replace('\n', '')) and shown.count('\n') == 3


def test_plain_names_are_shown_as_they_are(monkeypatch, capsys):
    monkeypatch.setattr(_client, 'SETTINGS', {'names': {1: 'Käse 🧀 "round"'}})
    _client.show('photo é.jpg', {'detection_scores': [0.9], 'detection_classes': [1]}, 0.5)
    shown = capsys.readouterr().out
    assert 'photo é.jpg: 1 detection ' in shown and 'Käse 🧀 "round"' in shown


def test_what_a_server_answers_is_shown_so_too(monkeypatch):
    monkeypatch.setattr(_client, 'SETTINGS', {'model': 'm'})
    monkeypatch.setattr(sys, 'argv', ['client.py', '/no/such\x1b[31m'])
    monkeypatch.setattr(_client, 'read', lambda path: (_ for _ in ()).throw(ValueError('answered \x1b[31m')))
    with pytest.raises(SystemExit) as left:
        _client.main()
    assert not _OBEYED.search(str(left.value))


@hypothesis.given(st.text())
def test_whatever_is_shown_has_no_controls(text):
    shown = _client.plain(text)
    assert not _OBEYED.search(shown)
    assert shown == text or not text.isprintable()


def test_a_server_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(_client, 'SETTINGS', {'signature': 'serving_default', 'rows': True, 'input': 'inputs'})
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(('localhost', 0))
        url = 'http://localhost:{}/any'.format(held.getsockname()[1])
        arguments = argparse.Namespace(url=url, columns=False, version=None, timeout=5)
        with pytest.raises(ValueError, match=re.escape(url) + ' does not answer: '):
            _client.ask_rest([], arguments)
