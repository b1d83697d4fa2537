"""What the extended entry point shows beside exports and refusals."""
import os
import pty
import subprocess
import sys

import pytest

from od_patch import __main__
from od_patch import _errors
from tests.support import exports

pytestmark = pytest.mark.once

pytest.importorskip('tensorflow')


def _run(*arguments):
    return exports.run(['-m', 'od_patch.export_inference_graph'] + list(arguments))


def test_help_shows_the_releases_flags_and_ours():
    result = _run('--help')
    assert result.exit_code == 0
    upstream, ours = result.stdout.split('Flags of od-patch')
    assert '--config_override' in upstream and '--pipeline_config_path' in upstream
    assert '--saved_model_variables: <resource|reference|frozen>' in ours and '--[no]strict_pin' in ours
    assert 'WARNING' not in result.stdout + result.stderr


def test_helpfull_shows_those_of_other_modules_too():
    result = _run('--helpfull')
    assert result.exit_code == 0
    assert '--undefok' in result.stdout and '--undefok' not in _run('--help').stdout  # absl's own
    assert '--config_override' in result.stdout and '--saved_model_variables' in result.stdout


def test_where_the_locale_says_ascii():
    """As in most containers; there click would end the program on Python 3.6."""
    for module in ('od_patch.cli', 'od_patch', 'od_patch.export_inference_graph'):
        result = exports.run(['-m', module, '--version'], environment={'LC_ALL': 'C'})
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith('od-patch') and not result.stderr


def test_version():
    import od_patch
    assert _run('--version').stdout == 'od-patch {}\n'.format(od_patch.__version__)


@pytest.mark.xdist_group('ssd')
def test_what_tensorflow_prints_goes_to_the_log_file(checkpoint_of, tmp_path):
    log = tmp_path / 'log'
    result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), tmp_path / 'out', log_file=log)
    assert result.exit_code == 0, result.stderr
    stages = [line.rsplit(None, 2)[0].strip() for line in result.stderr.splitlines()]
    assert [stage for stage in ('imports', 'graph', 'checkpoint', 'frozen graph', 'saved model') if stage in stages] == [
        'imports', 'graph', 'checkpoint', 'frozen graph', 'saved model']
    assert '_TFProfRoot' in log.read_text()
    assert '_TFProfRoot' not in result.stdout + result.stderr
    assert 'saved_model_cli show --all --dir {}\n'.format(tmp_path / 'out' / 'saved_model') in result.stdout
    assert 'raw weights of {}, step 1234'.format(checkpoint_of('ssd')) in result.stdout


@pytest.mark.xdist_group('ssd')
def test_on_a_terminal_there_is_a_spinner_and_none_of_tensorflows_words(checkpoint_of, tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, '-m', 'od_patch.export_inference_graph'] + exports.flags_of(
            exports.config_path('ssd'), checkpoint_of('ssd'), tmp_path / 'out'),
        stdin=slave, stdout=slave, stderr=slave, env=dict(os.environ, TERM='xterm', COLUMNS='100'))
    os.close(slave)
    shown = b''
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # what Linux says when the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait() == 0, shown
    assert b'Exported to' in shown and b'saved model' in shown
    assert b'\x1b[2K' in shown, 'no line was drawn over: there was no spinner'
    assert b'WARNING' not in shown and b'tensorflow:' not in shown and b'incomplete shapes' not in shown


@pytest.mark.xdist_group('ssd')
def test_verbose_shows_what_tensorflow_prints(checkpoint_of, tmp_path):
    result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), tmp_path / 'out', verbose=True)
    assert result.exit_code == 0, result.stderr
    assert '_TFProfRoot' in result.stdout + result.stderr and '  profile  ' in result.stderr


@pytest.mark.xdist_group('ssd')
def test_the_profile_is_computed_where_the_log_is_kept_and_not_where_it_is_thrown_away(checkpoint_of, tmp_path):
    given = exports.config_path('ssd'), checkpoint_of('ssd'), tmp_path / 'out'
    result = exports.ours(*given)
    assert result.exit_code == 0 and '  graph  ' in result.stderr and '  profile  ' not in result.stderr
    result = exports.ours(*given, log_file=tmp_path / 'log', overwrite=True)
    assert result.exit_code == 0 and '  profile  ' in result.stderr
    assert '_TFProfRoot' in (tmp_path / 'log').read_text()


def test_traceback_is_shown_on_request(tmp_path):
    arguments = exports.flags_of('no.config', 'no', tmp_path / 'out')
    assert 'Traceback' not in _run(*arguments).stderr
    assert 'Traceback' in _run('--traceback', *arguments).stderr
    assert os.listdir(str(tmp_path)) == []


def test_a_script_cannot_be_run_without_absl(monkeypatch):
    monkeypatch.setitem(sys.modules, 'absl', None)
    with pytest.raises(_errors.EnvironmentRefused) as refusal:
        __main__._read(['script.py'])
    assert 'absl cannot be imported' in refusal.value.problem and 'pip install absl-py' in refusal.value.remedy
