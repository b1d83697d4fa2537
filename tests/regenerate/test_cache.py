"""What is kept is whole or not there, and nothing else is ever removed."""
import os
import signal
import subprocess
import sys

import pytest

from od_patch import _errors
from od_patch.regenerate import _cache

pytestmark = pytest.mark.once


def _filled(text):
    def fill(folder):
        with open(os.path.join(folder, 'file'), 'w') as file:
            file.write(text)
        return {'said': text}
    return fill


def test_an_entry_is_made_once_and_remembers_its_facts(tmp_path):
    cache = _cache.Cache(str(tmp_path / 'new' / 'cache'))
    path = cache.ensure('environments', 'one', _filled('first'))
    assert cache.ensure('environments', 'one', _filled('second')) == path
    assert open(os.path.join(path, 'file')).read() == cache.facts('environments', 'one')['said'] == 'first'
    entry, = cache.entries()
    assert (entry.kind, entry.name) == ('environments', 'one') and entry.bytes > len('first') and entry.made > 1e9


def test_what_fails_half_way_is_not_there(tmp_path):
    cache = _cache.Cache(str(tmp_path))

    def fill(folder):
        open(os.path.join(folder, 'half'), 'w').close()
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        cache.ensure('revisions', 'one', fill)
    assert not cache.has('revisions', 'one') and cache.entries() == []
    assert not [name for name in os.listdir(str(tmp_path / 'revisions')) if not name.startswith('.lock')]


def test_what_was_killed_half_way_is_made_anew(tmp_path):
    code = ('import sys, time; sys.path.insert(0, {!r}); from od_patch.regenerate import _cache\n'
            'def fill(folder):\n    open(folder + "/half", "w").close(); print("there", flush=True); time.sleep(60)\n'
            '_cache.Cache({!r}).ensure("revisions", "one", fill)').format(os.getcwd(), str(tmp_path))
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'there\n'
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    cache = _cache.Cache(str(tmp_path))
    assert not cache.has('revisions', 'one')
    path = cache.ensure('revisions', 'one', _filled('whole'))
    assert sorted(os.listdir(path)) == ['file', 'od-patch.json']


def test_who_wants_what_another_makes_waits_for_it(tmp_path):
    code = ('import sys, time; sys.path.insert(0, {!r}); from od_patch.regenerate import _cache\n'
            'def fill(folder):\n    print("there", flush=True); time.sleep(1); return {{"said": "theirs"}}\n'
            '_cache.Cache({!r}).ensure("revisions", "one", fill)').format(os.getcwd(), str(tmp_path))
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'there\n'
    cache = _cache.Cache(str(tmp_path))
    cache.ensure('revisions', 'one', lambda folder: pytest.fail('made twice'))
    assert process.wait() == 0 and cache.facts('revisions', 'one')['said'] == 'theirs'
    process.stdout.close()


def test_clearing_removes_entries_and_nothing_else(tmp_path):
    cache = _cache.Cache(str(tmp_path))
    for name in ('one', 'two'):
        cache.ensure('environments', name, _filled(name))
    (tmp_path / 'mine').write_text('kept')
    (tmp_path / 'environments' / 'notes').mkdir()
    (tmp_path / 'environments' / 'notes' / 'mine').write_text('kept')
    (tmp_path / 'revisions').mkdir()
    (tmp_path / 'revisions' / '.making-three').mkdir()
    assert [entry.name for entry in cache.clear(['two'])] == ['two']
    assert [entry.name for entry in cache.entries()] == ['one']
    assert [entry.name for entry in cache.clear()] == ['one']
    assert sorted(os.listdir(str(tmp_path / 'environments'))) == ['notes'] and (tmp_path / 'mine').exists()
    assert os.listdir(str(tmp_path / 'revisions')) == []
    with pytest.raises(_errors.UsageError, match="holds no 'two'"):
        cache.clear(['two'])


def test_a_link_out_of_the_cache_is_not_followed(tmp_path):
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'mine').write_text('kept')
    cache = _cache.Cache(str(tmp_path / 'cache'))
    path = cache.ensure('environments', 'one', _filled('x'))
    os.symlink(str(outside), os.path.join(path, 'link'))
    cache.clear()
    assert (outside / 'mine').exists()


def test_clearing_waits_for_no_search(tmp_path):
    cache = _cache.Cache(str(tmp_path))
    cache.ensure('environments', 'one', _filled('x'))
    with cache.used(), pytest.raises(_errors.OutputRefused, match='in use by a search'):
        _cache.Cache(str(tmp_path)).clear()
    assert len(cache.clear()) == 1


def test_a_cache_that_others_can_write_is_refused(tmp_path):
    os.chmod(str(tmp_path), 0o777)
    with pytest.raises(_errors.OutputRefused, match='can be written by others'):
        _cache.Cache(str(tmp_path))
    (tmp_path / 'file').write_text('')
    with pytest.raises(_errors.OutputRefused, match='is no folder'):
        _cache.Cache(str(tmp_path / 'file'))
    os.chmod(str(tmp_path), 0o700)
    with pytest.raises(_errors.OutputRefused, match='cannot be written'):
        _cache.Cache(str(tmp_path / 'file' / 'below')).ensure('revisions', 'one', _filled('x'))


def test_the_default_is_below_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert _cache.default() == str(tmp_path / 'od-patch')
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')  # which the standard says to ignore
    monkeypatch.setenv('HOME', '/home/someone')
    assert _cache.default() == '/home/someone/.cache/od-patch'


def test_sizes_are_those_of_the_files(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'file').write_bytes(b'x' * 1000)
    os.link(str(tmp_path / 'a' / 'file'), str(tmp_path / 'again'))
    assert _cache.size(str(tmp_path)) == 1000
