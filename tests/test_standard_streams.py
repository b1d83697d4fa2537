"""What a command does whose output nobody takes, whose words are no UTF-8, whose folder is gone: none is a verdict."""
import os
import subprocess
import sys

import pytest

import od_patch
from od_patch import cli
from od_patch.terminal import _streams

pytestmark = pytest.mark.once

pytest.importorskip('tensorflow')

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Small graphs and SavedModels; nobody may change them."""
    folder = tmp_path_factory.mktemp('made')
    program = 'import sys; from tests.support import inputs; inputs.make(sys.argv[1])'
    subprocess.check_call([sys.executable, '-c', program, str(folder)], cwd=_ROOT, stderr=subprocess.DEVNULL)
    data = (folder / 'frozen.pb').read_bytes()
    (folder / 'equal.pb').write_bytes(data)
    from tests.compare import graphs
    other = graphs.detector()
    next(node for node in other.node if node.op == 'Relu6').op = 'Relu'
    graphs.write(str(folder / 'other.pb'), other)
    return folder


def _shell(made, line, **environment):
    """Runs a line of a shell, in which ``od`` is the command; returns (status, stdout, stderr)."""
    command = 'od() {{ {} -m od_patch.cli "$@"; }}\nset -o pipefail\n{}'.format(sys.executable, line)
    done = subprocess.run(['bash', '-c', command], cwd=str(made), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, env=dict(os.environ, PYTHONPATH=_ROOT, **environment))
    return done.returncode, done.stdout.decode('utf-8', 'replace'), done.stderr.decode('utf-8', 'replace')


@pytest.mark.skipif(not hasattr(os, 'fsdecode'), reason='no names of bytes here')
def test_a_name_that_is_no_utf8():
    word = os.fsdecode(b'--output_directory=\xff')
    with pytest.raises(od_patch.UsageError, match='is no UTF-8, and TensorFlow cannot open it'):
        _streams.check_words([word])


_ANSWERS = [('compare frozen.pb equal.pb', 0), ('compare frozen.pb other.pb --json', 1), ('verify --quick export', 0)]


@pytest.mark.parametrize('words, verdict', _ANSWERS)
def test_a_pipe_that_nobody_reads_never_looks_like_a_verdict(made, words, verdict):
    """The reader is gone before the first word is written."""
    status, _, said = _shell(made, 'od {} | true; exit ${{PIPESTATUS[0]}}'.format(words))
    assert status == 2 and 'Traceback' not in said and 'Exception' not in said
    status, _, said = _shell(made, 'od {} >/dev/full'.format(words))
    assert status == 2 and 'could not be written to the standard output' in said and 'Traceback' not in said
    status, out, said = _shell(made, 'od {} >&-'.format(words))
    assert (status, out) == (verdict, '') and 'Traceback' not in said


@pytest.mark.parametrize('closed', ['>&-', '>&- 2>&- <&-'])
def test_what_is_written_to_a_file_does_not_get_the_output_of_a_stream_that_is_closed(made, tmp_path, closed):
    page = tmp_path / 'page.html'
    status, _, _ = _shell(made, 'od compare frozen.pb other.pb --html {} {}'.format(page, closed))
    assert status == 1
    assert page.read_text().startswith('<!') and page.read_text().rstrip().endswith('</html>')


def test_what_was_published_is_not_called_refused_because_it_cannot_be_told(made, tmp_path):
    status, _, said = _shell(made, 'od publish resource {}/full >/dev/full'.format(tmp_path))
    assert status == 1 and 'What the command was to write elsewhere is written' in said and 'room' not in said
    status, _, said = _shell(made, 'od publish resource {}/pipe | true; exit ${{PIPESTATUS[0]}}'.format(tmp_path))
    assert status == 1 and 'room' not in said and 'Traceback' not in said
    status, _, said = _shell(made, 'od publish resource {}/closed >&-'.format(tmp_path))
    assert status == 0
    for name in ('full', 'pipe', 'closed'):
        assert os.listdir(str(tmp_path / name)) == ['1']
        assert os.path.isfile(str(tmp_path / name / '1' / 'saved_model.pb'))


@pytest.mark.parametrize('words', [
    'publish resource "$odd"', 'publish "$odd" base', 'compare "$odd" frozen.pb', 'inspect "$odd"', 'verify "$odd"',
    'verify --quick export --report="$odd"', 'package vertex resource --output "$odd"',
    'request resource --output_directory "$odd"', 'freeze resource --output "$odd"'])
def test_a_name_that_is_no_utf8_is_refused_in_words(made, words):
    before = sorted(os.listdir(str(made)))
    status, out, said = _shell(made, 'odd=$(printf "caf\\351"); od {}'.format(words), LC_ALL='C.UTF-8')
    assert status == 2 and out == ''
    assert 'is no UTF-8' in said and 'Traceback' not in said and 'defect' not in said
    assert sorted(os.listdir(str(made))) == before


@pytest.mark.parametrize('words', [
    'publish {made}/resource {out}', 'publish {made}/resource out', 'compare {made}/frozen.pb {made}/equal.pb',
    'inspect {made}/frozen.pb', 'verify --quick {made}/export', 'package vertex {made}/resource --output {out}',
    'request {made}/resource --output_directory {out}', 'freeze {made}/resource --output {out}', 'doctor'])
def test_in_a_folder_that_is_gone_a_command_says_so_before_any_work(made, tmp_path, words):
    line = 'mkdir {gone}; cd {gone}; rmdir {gone}; od {words}'
    status, out, said = _shell(made, line.format(
        gone=tmp_path / 'gone', words=words.format(made=made, out=tmp_path / 'out')))
    assert status == 2 and out == ''
    assert 'cannot be found' in said and 'cd to one that is there' in said
    assert 'Traceback' not in said and 'Errno' not in said and 'defect' not in said
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize('words', [
    'compare s3://bucket/a.pb frozen.pb', 'compare frozen.pb s3://bucket/a.pb', 'inspect gs://bucket/a.pb',
    'verify s3://bucket/export', 'verify --saved_model gs://bucket/a', 'verify --frozen_graph=gs://bucket/a.pb',
    'verify export --images s3://bucket/photos', 'freeze s3://bucket/a --output frozen2.pb',
    'request s3://bucket/a --output_directory try'])
def test_what_reads_the_local_disk_only_says_so_of_a_store(made, words):
    with pytest.raises(od_patch.UsageError, match='reads the local disk only(.|\n)*Copy it here first'):
        cli.cli([word.replace('export', str(made / 'export')) for word in words.split()], standalone_mode=False)


def test_what_reads_the_local_disk_takes_it_with_its_scheme(made):
    status, out, said = _shell(made, 'od compare file://$PWD/frozen.pb file://$PWD/equal.pb')
    assert status == 0 and 'identical' in out.lower() + said


def test_an_output_that_takes_nothing_is_told_from_a_file_that_cannot_be_written():
    with open('/dev/full', 'w', buffering=1) as full:
        output = _streams.Output(full)
        with pytest.raises(_streams.Unheard, match='No space left'):
            output.write('a line\n')
        with pytest.raises(_streams.Unheard):
            output.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_name_that_is_no_utf8_is_shown_with_its_bytes_written_out(tmp_path):
    with open(str(tmp_path / 'output'), 'w', encoding='utf-8') as file:
        _streams.Output(file).write('caf\udce9')
    assert (tmp_path / 'output').read_text() == 'caf\\udce9'


@pytest.mark.parametrize('closed', ['', '>&-'])
def test_an_export_is_refused_in_words_too(made, closed):
    status, _, shown = _shell(
        made, 'odd=$(printf "caf\\351"); {} -m od_patch.export_inference_graph --pipeline_config_path=a '
        '--trained_checkpoint_prefix="$odd" --output_directory=c {}'.format(sys.executable, closed), LC_ALL='C.UTF-8')
    assert status == 2 and 'is no UTF-8' in shown and 'Traceback' not in shown


def test_an_export_in_a_folder_that_is_gone_is_refused_in_words_too(made, tmp_path):
    line = ('mkdir {gone}; cd {gone}; rmdir {gone}; {python} -m od_patch.export_inference_graph '
            '--pipeline_config_path={made}/pipeline.config --trained_checkpoint_prefix={made}/training/model.ckpt-7 '
            '--output_directory={gone}-out')
    status, _, said = _shell(made, line.format(gone=tmp_path / 'gone', made=made, python=sys.executable))
    assert status == 2 and 'cd to one that is there' in said and 'Errno' not in said and 'imports' not in said
    assert os.listdir(str(tmp_path)) == []


_FULL_LOG = """
import logging, os, sys
from od_patch.terminal import _log_file
log = _log_file.Log('/dev/full')
with log.redirected():
    sys.stdout.write('to the log')
    logging.warning('to the log, too')
log.write('a traceback')
log.error_terminal.write('told\\n')
print('as before')
"""


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='this system has no /dev/full')
def test_a_log_that_has_no_room_hides_nothing_and_shows_nothing():
    result = subprocess.run([sys.executable, '-c', _FULL_LOG], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True, cwd=_ROOT,
                            env={name: value for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'})
    assert (result.returncode, result.stdout, result.stderr) == (0, 'as before\n', 'told\n')


def test_a_folder_that_is_gone_is_named_as_the_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    os.rmdir(str(tmp_path))
    with pytest.raises(od_patch.UsageError, match='The folder that this command runs in cannot be found'):
        _streams.check_working_directory()
