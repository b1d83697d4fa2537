"""What differs between systems: lines to paste for each shell, and what there is without Linux's ``/proc``."""
import io
import os
import re
import shlex
import stat
import subprocess
import sys
import types

import hypothesis
import hypothesis.strategies as st
import pytest

from od_patch import _platform
from od_patch import _text
from od_patch.command import _locale
from od_patch.environment import _environment
from od_patch.serving import _commands
from od_patch.serving import _publish
from od_patch.staging import _staging
from od_patch.staging import _store
from od_patch.terminal import _streams
from od_patch.terminal import _terminal

pytestmark = pytest.mark.once


# Lines to paste. What cmd and PowerShell make of a line, from their documents, written anew.

def _as_cmd(line):
    """The words that a program gets from a line that is typed into cmd; PATH is a variable there, and no other is."""
    line = re.sub('%PATH%', 'EXPANDED', line)
    passed, quoted, letters = '', False, iter(line)
    for letter in letters:
        if letter == '^' and not quoted:
            letter = next(letters)
        elif letter == '"':
            quoted = not quoted
        elif letter in '&|<>' and not quoted:
            raise AssertionError('{} is an operator in {}'.format(letter, line))
        passed += letter
    return _as_program(passed)


def _as_powershell(line):
    """The words that a program gets from a line of Windows PowerShell 5.1."""
    line = line[2:] if line.startswith('& ') else line
    words = []
    while line:
        if line[0] == '"':
            text = re.match('"([^"$`\u201c\u201d\u201e]*)"(?: |$)', line)
            words.append(text.group(1))
        elif line[0] == "'":
            text = re.match("'((?:[^'\u2018-\u201b]|['\u2018-\u201b]{2})*)'(?: |$)", line)
            words.append(re.sub("['\u2018-\u201b](['\u2018-\u201b])", r'\1', text.group(1)))
        else:
            text = re.match(r'([A-Za-z0-9_+./\\:=-]+)(?: |$)', line)
            words.append(text.group(1))
            assert not re.match('-.*[.:]', text.group(1)), 'cut in two'
        line = line[text.end():]
    return _as_program(' '.join('"{}"'.format(word) if ' ' in word else word for word in words))


def _as_program(line):
    """As CommandLineToArgvW takes a line apart."""
    words, word, quoted, begun = [], '', False, False
    for backslashes, letter in re.findall(r'(\\*)([^\\]|$)', line):
        begun = begun or bool(backslashes)
        if letter == '"':
            word += '\\' * (len(backslashes) // 2)
            if len(backslashes) % 2:
                word += '"'
            else:
                quoted = not quoted
            begun = True
        elif letter in ('', ' ') and not quoted:
            word += backslashes
            if begun:
                words.append(word)
            word, begun = '', False
        else:
            word += backslashes + letter
            begun = True
    assert not quoted, line
    return words


_SHELLS = {'sh': shlex.split, 'cmd': _as_cmd, 'powershell': _as_powershell}
_WORD = st.one_of(
    st.text('ab \\/"\'$`%!^&|<>(),;=.-:~*?[]{}#@\u2019\u201c\xe4', min_size=1, max_size=9),
    st.sampled_from(['C:\\Program Files\\x', '%PATH%', 'a%PATH%b', 'C:\\a b\\', '--target_tf=1.12', '\\\\server\\share', 'a\\"',
                     '"\\', 'it\'s', '$(rm)', '`n', '-x:1', '{"a": [1]}', '--flag=a,b']))


@pytest.mark.parametrize('shell', sorted(_SHELLS))
@hypothesis.given(words=st.lists(_WORD, min_size=2, max_size=4))
def test_a_line_is_taken_apart_into_the_words_that_were_meant(shell, words):
    before = _platform.shell
    _platform.shell = lambda: shell
    try:
        line = _text.command(words)
    finally:
        _platform.shell = before
    assert _SHELLS[shell](line) == words


@pytest.mark.parametrize('environment, shell', [
    ({}, 'powershell'), ({'PROMPT': '$P$G'}, 'cmd'), ({'PROMPT': '$P$G', 'MSYSTEM': 'MINGW64'}, 'sh'),
    ({'SHELL': '/usr/bin/bash'}, 'sh')])
def test_the_shell_of_windows_is_told_by_its_variables(monkeypatch, environment, shell):
    for name in ('PROMPT', 'MSYSTEM', 'SHELL'):
        monkeypatch.delenv(name, raising=False)
    assert _platform.shell() == 'sh'
    monkeypatch.setattr(_platform, 'WINDOWS', True)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _platform.shell() == shell


@pytest.mark.parametrize('shell, on_path, inside', [
    ('sh', "export PYTHONPATH=$PYTHONPATH:/a:'/b c'", "cd '/b c' && x"),
    ('cmd', 'set "PYTHONPATH=%PYTHONPATH%;/a;/b c"', 'cd /d "/b c" && x'),
    ('powershell', "$env:PYTHONPATH += ';/a;/b c'", 'Set-Location -LiteralPath "/b c"; x')])
def test_variables_and_folders_are_set_as_the_shell_has_it(monkeypatch, shell, on_path, inside):
    monkeypatch.setattr(_platform, 'shell', lambda: shell)
    assert _text.on_path('PYTHONPATH', ['/a', '/b c']) == on_path and _text.in_folder('/b c', 'x') == inside


@pytest.mark.parametrize('protoc', [None, '/usr/bin/protoc'])
@pytest.mark.parametrize('shell', ['cmd', 'powershell'])
def test_the_command_that_compiles_the_protos_has_no_pattern_for_the_shell_and_does_it(
        monkeypatch, tmp_path, shell, protoc):
    """It is run here by the program that it is for, with something in the place of pip and protoc that says what it got."""
    monkeypatch.setattr(_platform, 'shell', lambda: shell)
    monkeypatch.setattr(_environment, 'research_folder', lambda: str(tmp_path))
    monkeypatch.setattr(_environment.shutil, 'which', lambda name: protoc)
    line = _environment.compile_command()
    enter, program = re.match(r'(cd /d \S+ && |Set-Location -LiteralPath \S+; )python -c (.*)$', line).groups()
    (tmp_path / 'object_detection' / 'protos').mkdir(parents=True)
    for name in ('a.proto', 'b.proto'):
        (tmp_path / 'object_detection' / 'protos' / name).write_text('')
    spy = 'import subprocess, sys\ncalls = []\n' \
        'subprocess.call = subprocess.check_call = lambda words: calls.append(words) or 0\n' \
        'try:\n    exec(sys.argv[1])\nexcept SystemExit as end:\n    print(end.code, calls[-1], len(calls))'
    words = _SHELLS[shell]('python -c ' + program)
    told = subprocess.check_output([sys.executable, '-c', spy, words[2]], cwd=str(tmp_path)).decode()
    assert str(tmp_path) in enter and told.startswith('0 [') and told.endswith('{}\n'.format(1 if protoc else 2))
    assert "'object_detection/protos/a.proto'" in told and "'object_detection/protos/b.proto'" in told
    assert "'protoc'" in told if protoc else "'grpc_tools.protoc'" in told


@pytest.mark.parametrize('shell', ['cmd', 'powershell'])
@pytest.mark.parametrize('kind, shape, rows', [
    ('image_tensor', [None, 2, 3, 3], True), ('image_tensor', [None, None, None, 3], False),
    ('encoded_image_string_tensor', [None], True), ('encoded_image_string_tensor', [], False)])
def test_the_first_request_asks_the_same_in_each_shell(monkeypatch, kind, shape, rows, shell):
    pytest.importorskip('tensorflow')
    from od_patch.graphs import _models
    one = _publish.Published('models/m', 1, 'models/m/1', 'm', 5, [], [], _models.Input(
        name='image:0', kind=kind, dtype='uint8', shape=shape), rows)
    expected, _ = _commands._body(one.input, rows)
    monkeypatch.setattr(_platform, 'shell', lambda: shell)
    python, option, program = _SHELLS[shell](_commands.trial(one))
    spy = 'import sys, types, urllib.request as web\n' \
        'class Answer:\n    read = lambda self: b"answer"\n' \
        'def urlopen(url, data):\n    sys.stderr.write(url + " " + data.decode())\n    return Answer()\n' \
        'web.urlopen = urlopen\nexec(sys.argv[1])'
    done = subprocess.run([sys.executable, '-c', spy, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stdout == b'answer\n' and (python, option) == ('python', '-c')
    assert done.stderr.decode() == 'http://localhost:8501/v1/models/m:predict ' + expected


# Without Linux's /proc, as on macOS.

def _without_proc(monkeypatch):
    """Nothing below /proc is there."""
    for module, name in ((os, 'open'), (os, 'readlink'), (os, 'stat'), (io, 'open')):
        def call(path, *rest, function=getattr(module, name), **more):
            if str(path).startswith('/proc'):
                raise FileNotFoundError(2, 'No such file or directory', path)
            return function(path, *rest, **more)
        monkeypatch.setattr(module, name, call)
    monkeypatch.setattr('builtins.open', io.open)


@pytest.mark.parametrize('proc', [True, False], ids=['linux', 'macos'])
def test_a_folder_whose_name_is_a_pattern_has_another_one(tmp_path, monkeypatch, proc):
    folder = tmp_path / 'out[1]'
    folder.mkdir()
    (folder / 'file').write_text('content')
    monkeypatch.setattr(_platform.tempfile, 'tempdir', str(tmp_path))
    before = len(os.listdir('/proc/self/fd'))
    if not proc:
        _without_proc(monkeypatch)
    path, give_up = _platform.second_name(str(folder))
    with open(os.path.join(path, 'file')) as file:
        assert file.read() == 'content' and not _platform.has_magic(path)
    give_up()
    monkeypatch.undo()
    assert os.listdir(str(tmp_path)) == ['out[1]'] and len(os.listdir('/proc/self/fd')) == before
    assert (folder / 'file').read_text() == 'content'


@pytest.mark.parametrize('words', [['-m', 'tests.support.said'], ['script.py']])
def test_the_words_of_the_command_are_told_without_proc(monkeypatch, words):
    main = types.ModuleType('__main__')
    main.__spec__ = types.SimpleNamespace(name=words[1] + '.__main__') if words[0] == '-m' else None
    monkeypatch.setitem(sys.modules, '__main__', main)
    monkeypatch.setattr(sys, 'argv', [words[-1], '--flag', '\xe4'])
    _without_proc(monkeypatch)
    assert _platform.command_line() == [os.fsencode(word) for word in [sys.executable] + words + ['--flag', '\xe4']]


@pytest.mark.parametrize('system, name, started', [('darwin', 'en_US.UTF-8', True), ('linux', 'C.UTF-8', True)])
def test_the_locale_to_start_again_in_is_one_that_the_system_has(monkeypatch, system, name, started):
    calls = []
    monkeypatch.setattr(sys, 'platform', system)
    monkeypatch.setattr(sys, 'version_info', (3, 6, 15))
    monkeypatch.setattr(_locale.locale, 'getpreferredencoding', lambda *unused: 'US-ASCII')
    monkeypatch.setattr(os, 'execve', lambda *arguments: calls.append(arguments))
    monkeypatch.delenv('LC_ALL', raising=False)
    _locale.ensure_utf8()
    monkeypatch.setattr(_platform, 'WINDOWS', True)
    _locale.ensure_utf8()
    assert [call[2]['LC_ALL'] for call in calls] == [name] * started


def test_a_claim_of_another_machine_without_proc_is_not_taken_for_a_dead_one(monkeypatch):
    _without_proc(monkeypatch)
    mine = _store.identity()
    assert mine == _store.identity()
    monkeypatch.setattr(_store, '_THIS_PROCESS', 'f' * 32)  # another machine; its process has the same number
    theirs = _store.identity()
    assert theirs != mine and _store.is_running(mine) is None


# Folders where case does not count: names that lead to one thing.

def test_a_folder_under_another_name_is_the_same_folder(tmp_path, monkeypatch):
    for name in ('export', 'elsewhere', 'exported'):
        (tmp_path / name / 'below').mkdir(parents=True)
    spelt = os.path.join(str(tmp_path), 'EXPORT')
    stat_of, there = os.stat, os.path.exists

    def other_case(path, *rest, **more):
        return stat_of(str(path).replace(spelt, spelt.replace('EXPORT', 'export')), *rest, **more)
    monkeypatch.setattr(os, 'stat', other_case)
    for path, lies in (('EXPORT/below', True), ('EXPORT', True), ('EXPORT/not/there', True), ('elsewhere', False),
                       ('exported', False)):
        assert _staging.lies_in(os.path.join(str(tmp_path), path), str(tmp_path / 'export')) == lies, path
    assert there(spelt)


def test_a_file_that_has_a_second_name_is_not_written_over_by_that(tmp_path):
    (tmp_path / 'checkpoint').write_text('')
    os.link(str(tmp_path / 'checkpoint'), str(tmp_path / 'mine'))
    assert not _staging.lies_in(str(tmp_path / 'mine'), str(tmp_path / 'checkpoint'))


# Consoles of another encoding.

@pytest.mark.parametrize('encoding', ['cp1252', 'ascii', 'cp437', 'utf-8'])
def test_what_an_encoding_has_no_character_for_is_written_out(encoding):
    raw = io.BytesIO()
    output = _streams.Output(io.TextIOWrapper(raw, encoding=encoding))
    console = _terminal.Console(file=output, width=80)
    console.print('\u2717 \xe9 \u732b')
    output.write('\u2192 \xe9')
    output.flush()
    shown = raw.getvalue().decode(encoding)
    if encoding == 'utf-8':
        assert shown == '\u2717 \xe9 \u732b\n\u2192 \xe9'
    else:
        letter = '\\xe9' if encoding == 'ascii' else '\xe9'
        assert shown == '\\u2717 {0} \\u732b\n\\u2192 {0}'.format(letter)


_COMMANDS = [
    ['-m', 'od_patch.cli', 'inspect', 'gr\xfc\u732b.pb'], ['-m', 'od_patch', '--help'], ['-m', 'od_patch.cli', '--help'],
    ['-m', 'od_patch.export_inference_graph', '--\u732b=x']]


@pytest.mark.parametrize('words', _COMMANDS, ids=lambda words: ' '.join(map(ascii, words[1:])))
def test_no_command_ends_in_a_traceback_where_the_console_is_cp1252(tmp_path, words):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run(
        [sys.executable] + words, cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(
            os.environ, PYTHONIOENCODING='cp1252', PYTHONPATH=os.pathsep.join(
                [root] + [os.environ.get('PYTHONPATH', '')])))
    said = (done.stdout + done.stderr).decode('cp1252')
    assert 'Traceback' not in said and said and ('\u732b' not in words[-1] or '\\u732b' in said)


def test_the_client_shows_class_names_on_any_console(tmp_path):
    from od_patch.serving import _requests
    source = _requests.client({'model': 'm', 'names': {1: '\u732b'}, 'signature': 's', 'outputs': []})
    (tmp_path / 'client.py').write_text(source, encoding='utf-8')
    program = 'import client; client.show("photo", {"detection_scores": [1.], "detection_classes": [1]}, .5)'
    shown = subprocess.check_output([sys.executable, '-c', program], cwd=str(tmp_path),
                                    env=dict(os.environ, PYTHONIOENCODING='cp1252'))
    assert b'1.000  \\u732b' in shown


# Small things.

def test_what_is_taken_after_another_has_its_mode(tmp_path):
    (tmp_path / 'one').write_text('')
    (tmp_path / 'other').write_text('')
    os.chmod(str(tmp_path / 'one'), 0o640)
    _platform.take_after(str(tmp_path / 'other'), os.stat(str(tmp_path / 'one')))
    assert stat.S_IMODE(os.stat(str(tmp_path / 'other')).st_mode) == 0o640


@pytest.mark.parametrize('path, local', [
    ('file:///C:/models/a', 'C:/models/a'), ('file://localhost/C:/models', 'C:/models'), ('gs://bucket/a', 'gs://bucket/a'),
    ('C://models', 'C://models'), ('C:\\models', 'C:\\models')])
def test_a_url_of_a_file_is_a_path_of_windows_and_a_drive_is_no_store(monkeypatch, path, local):
    monkeypatch.setattr(_platform, 'WINDOWS', True)
    assert _store.plain(path) == local and _store.is_store(path) == path.startswith('gs')


@pytest.mark.parametrize('refused, calls', [(0, 1), (3, 4), (1000, None)])
@pytest.mark.parametrize('number', [5, 32, 33, 17, None])
def test_what_is_refused_is_tried_again_for_a_while_and_nothing_else_is(monkeypatch, refused, calls, number):
    now, tried = [0.], []

    def function(path):
        tried.append(now[0])
        if len(tried) <= refused:
            error = OSError(13, 'Access is denied', path)
            if number:
                error.winerror = number
            raise error
        return 'done'
    monkeypatch.setattr(_platform, 'time', types.SimpleNamespace(
        time=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)))
    again = number in (5, 32, 33)
    if calls and (again or not refused):
        assert _platform.patiently(function, 'path') == 'done' and len(tried) == calls
    else:
        with pytest.raises(OSError, match='denied'):
            _platform.patiently(function, 'path')
        assert 2 < now[0] < 2.5 if again else len(tried) == 1


def test_a_lock_on_a_mac_leaves_out_what_has_no_wheels_there():
    from tools import lock_files
    for pair in lock_files.PAIRS:
        with open(lock_files.path_of(pair.name), encoding='utf-8') as file:
            lock = file.read()
        assert lock_files.for_system(lock, 'linux') == lock_files.for_system(lock, 'win32') == lock
        on_a_mac = lock_files.for_system(lock, 'darwin')
        assert re.search('^tensorflow(_cpu|-cpu)?==', on_a_mac, re.MULTILINE)
        if pair.tensorflow == '2.21.0':
            assert not re.search('^tensorflow[-_]cpu==', on_a_mac, re.MULTILINE)


def test_the_demo_waits_for_a_scanner_and_for_nothing_else(tmp_path, monkeypatch):
    from tools import assemble_models
    (tmp_path / 'built').mkdir()
    rename, tried = os.rename, []

    def held(source, destination):
        tried.append(source)
        if len(tried) < 4:
            error = PermissionError(13, 'Access is denied')
            error.winerror = 5
            raise error
        rename(source, destination)
    monkeypatch.setattr(os, 'rename', held)
    monkeypatch.setattr(assemble_models.time, 'sleep', lambda seconds: None)
    assemble_models._rename(str(tmp_path / 'built'), str(tmp_path / 'there'))
    with pytest.raises(FileNotFoundError):
        assemble_models._rename(str(tmp_path / 'built'), str(tmp_path / 'there'))
    assert os.listdir(str(tmp_path)) == ['there'] and len(tried) == 5
