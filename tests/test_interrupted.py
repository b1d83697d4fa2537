"""An export that is interrupted: what was there is untouched, and the next run works without cleaning up by hand."""
import os
import signal
import subprocess
import sys

import pytest

from tests.support import exports
from tests.support import parity

pytest.importorskip('tensorflow')
pytestmark = [pytest.mark.once, pytest.mark.xdist_group('ssd')]


@pytest.fixture
def interrupted(tmp_path, checkpoint_of):
    """A function that starts an export into a folder with files in it, and sends a signal when the graph is built."""
    output = tmp_path / 'out'
    output.mkdir()
    (output / 'frozen_inference_graph.pb').write_text('of an earlier export')
    arguments = (exports.config_path('ssd'), checkpoint_of('ssd'), str(output))

    def start_and_send(number):
        process = subprocess.Popen(
            [sys.executable, '-m', 'od_patch.export_inference_graph'] + exports.flags_of(*arguments),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        for line in process.stderr:  # one line per finished stage
            if line.split()[:1] == ['graph']:
                process.send_signal(number)
                break
        _, message = process.communicate()
        assert os.listdir(str(output)) == ['frozen_inference_graph.pb']
        assert (output / 'frozen_inference_graph.pb').read_text() == 'of an earlier export'
        return process.returncode, message

    def run_again():
        result = exports.ours(*arguments)
        assert result.exit_code == 0, result.stderr
        parity.run_saved_model(str(output / 'saved_model'), {'inputs': parity.pictures(1)})
        assert os.listdir(str(tmp_path)) == ['out']

    return start_and_send, run_again


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_obeyed_and_leaves_nothing(interrupted, number, tmp_path):
    start_and_send, _ = interrupted
    code, message = start_and_send(number)
    assert code == 128 + number
    assert 'interrupted; the output directory is as it was' in message
    assert 'Traceback' not in message
    assert os.listdir(str(tmp_path)) == ['out']


def test_killed_its_leftovers_are_removed_by_the_next_run(interrupted, tmp_path):
    start_and_send, run_again = interrupted
    code, _ = start_and_send(signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert sorted(os.listdir(str(tmp_path))) == ['.out.od-patch', 'out']
    run_again()
