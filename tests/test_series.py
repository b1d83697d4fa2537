"""Many checkpoints, one graph: what each gets, what is skipped, what fails, and what is waited for."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import od_patch
from od_patch.checkpoint import _bundle
from od_patch.export import _find_checkpoints
from od_patch.export import _observer
from tests.support import checkpoints
from tests.support import exports
from tests.support import parity

pytest.importorskip('tensorflow')
pytestmark = [pytest.mark.xdist_group('averages'), pytest.mark.usefixtures('tf1_behaviour')]

from od_patch import _tensorflow  # noqa: E402

_AVERAGES = 'eval_config { use_moving_averages: true }'
_DATA = '.data-00000-of-00001'


class _Listener(_observer.Observer):
    """Keeps what it is told."""

    def __init__(self):
        self.stages = []
        self.results = []
        self.report = None

    def stage(self, name):
        self.stages.append(name)

    def checkpoint(self, result):
        self.results.append((os.path.basename(result.prefix), result.step, result.outcome))

    def finished(self, report):
        self.report = report


@pytest.fixture(scope='module')
def trained(checkpoint_of, tmp_path_factory):
    """A training directory: checkpoints of steps 100, 200 and 300, with moving averages; other values in each."""
    folder = str(tmp_path_factory.mktemp('training'))
    reader = _tensorflow.tf1().train.NewCheckpointReader(checkpoint_of('ssd', 'training'))
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    for step in (100, 200, 300):
        changed = {name: np.asarray(value * np.asarray(1 + step / 1e4, value.dtype), value.dtype)
                   for name, value in values.items()}
        changed['global_step'] = np.int64(step)
        if step == 300:
            checkpoints.write_v1(os.path.join(folder, 'model.ckpt-300'), changed)
        else:
            checkpoints.write_v2(os.path.join(folder, 'model.ckpt-{}'.format(step)), changed, num_shards=step // 100)
    return folder


@pytest.fixture
def training(trained, tmp_path):
    """A copy of the training directory that a test may change."""
    return shutil.copytree(trained, str(tmp_path / 'training'))


def _run(path, output, **options):
    """Exports all checkpoints in this process; returns (what the observer was told, the failure or None)."""
    listener = _Listener()
    try:
        exports.in_process('ssd', path, output, override=_AVERAGES, all_checkpoints=True, _observer=listener, **options)
    except od_patch.SomeFailed as failure:
        return listener, failure
    return listener, None


def _variables(path):
    """Returns {name: bytes} of a SavedModel's variables."""
    reader = _tensorflow.tf1().train.NewCheckpointReader(os.path.join(path, 'variables', 'variables'))
    return {name: reader.get_tensor(name).tobytes() for name in reader.get_variable_to_shape_map()}


def test_each_gets_a_saved_model_of_its_own_weights(training, tmp_path):
    output = str(tmp_path / 'out')
    listener, failure = _run(training, output)
    assert failure is None
    assert [row[1:] for row in listener.results] == [(step, 'exported') for step in (100, 200, 300)]
    assert sorted(os.listdir(output)) == ['100', '200', '300']
    assert listener.stages.count('graph') == 1
    for step in (100, 200, 300):
        place = os.path.join(output, str(step))
        assert sorted(os.listdir(place)) == ['assets.extra', 'saved_model.pb', 'variables']
        single = exports.in_process('ssd', os.path.join(training, 'model.ckpt-{}'.format(step)),
                                    str(tmp_path / 'single_{}'.format(step)), override=_AVERAGES,
                                    artifacts=['saved_model']) if step == 200 else None
        reader = _tensorflow.tf1().train.NewCheckpointReader(os.path.join(training, 'model.ckpt-{}'.format(step)))
        averaged = 0
        for name, value in _variables(place).items():
            source = name + '/ExponentialMovingAverage'
            averaged += reader.has_tensor(source)
            assert value == reader.get_tensor(source if reader.has_tensor(source) else name).tobytes(), name
        assert averaged > 20
        if single:
            assert _variables(os.path.join(single, 'saved_model')) == _variables(place)
            feed = {'inputs': parity.pictures(1)}
            one, _ = parity.run_saved_model(place, feed)
            other, _ = parity.run_saved_model(os.path.join(single, 'saved_model'), feed)
            parity.assert_bit_equal(one, other)
        with open(os.path.join(place, 'assets.extra', 'od_patch.json')) as record_file:
            assert json.load(record_file)['global_step'] == step


def test_a_second_run_does_what_is_new_or_has_changed(training, tmp_path):
    output = str(tmp_path / 'out')
    _run(os.path.join(training, 'model.ckpt-*'), output, checkpoint_steps=[100, 200])
    assert sorted(os.listdir(output)) == ['100', '200']
    before = os.stat(os.path.join(output, '100', 'saved_model.pb'))

    listener, _ = _run(training, output, checkpoint_steps=[100, 200])
    assert {row[2] for row in listener.results} == {'done before'}
    assert 'saved models' not in listener.stages  # not even the graph was needed
    assert os.stat(os.path.join(output, '100', 'saved_model.pb')) == before

    # Another checkpoint of the same step; and an export that lacks a file.
    reader = _tensorflow.tf1().train.NewCheckpointReader(os.path.join(training, 'model.ckpt-200'))
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    name = sorted(values)[0]
    values[name] = values[name] + 1
    checkpoints.write_v2(os.path.join(training, 'model.ckpt-200'), values, num_shards=2)
    os.unlink(os.path.join(output, '100', 'variables', 'variables' + _DATA))
    listener, _ = _run(training, output)
    assert [row[1:] for row in listener.results] == [(step, 'exported') for step in (100, 200, 300)]
    assert name in _variables(os.path.join(output, '200'))
    parity.run_saved_model(os.path.join(output, '100'), {'inputs': parity.pictures(1)})

    listener, _ = _run(training, output, saved_model_variables='reference', checkpoint_steps=[100])
    assert [row[2] for row in listener.results] == ['exported']
    assert sorted(os.listdir(str(tmp_path))) == ['out', 'training']


def test_one_that_fails_is_reported_and_stops_no_other(training, tmp_path):
    output = tmp_path / 'out'
    data = os.path.join(training, 'model.ckpt-100' + _DATA)
    os.truncate(data, os.path.getsize(data) - 1)
    for suffix in ('.index', '.data-00000-of-00002', '.data-00001-of-00002'):  # once more, with no step in its name
        shutil.copy(os.path.join(training, 'model.ckpt-200' + suffix),
                    os.path.join(training, 'model.ckpt' + suffix))
    (output / '300').mkdir(parents=True)
    (output / '300' / 'notes.txt').write_text('mine')
    values = {'global_step': np.int64(400), 'x': np.zeros(3, np.float32), 'x/ExponentialMovingAverage': np.ones(1)}
    checkpoints.write_v2(os.path.join(training, 'model.ckpt-400'), values)
    listener, failure = _run(training, str(output))
    assert sorted(row[1:] for row in listener.results) == sorted([
        (100, 'failed'), (200, 'exported'), (200, 'done before'), (300, 'failed'), (400, 'failed')])
    assert failure.exit_code == 8
    assert '3 of 5 checkpoints could not be exported' in failure.problem
    assert 'is not whole' in failure.problem  # 100
    assert 'holds something that is no SavedModel of od-patch' in failure.problem  # 300
    assert 'does not fit the model' in failure.problem  # 400
    assert sorted(os.listdir(str(output))) == ['200', '300']
    assert os.listdir(str(output / '300')) == ['notes.txt']


@pytest.mark.parametrize('options, expected', [
    ({'checkpoint_steps': [100, 150]}, 'There is no checkpoint of step 150'),
    ({'saved_model_variables': 'frozen'}, 'many checkpoints share one graph'),
])
def test_refusals(training, tmp_path, options, expected):
    with pytest.raises(od_patch.ODPatchError, match=expected):
        _run(training, str(tmp_path / 'out'), **options)
    assert os.listdir(str(tmp_path)) == ['training']


def test_a_place_without_checkpoints_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / 'model.ckpt-*', tmp_path / 'missing' / 'model.ckpt-*'):
        with pytest.raises(od_patch.InputRefused, match='There are no checkpoints'):
            _run(str(path), str(tmp_path / 'out'))


def test_what_counts_as_a_checkpoint(training):
    with open(os.path.join(training, 'checkpoint'), 'w') as state:
        state.write('model_checkpoint_path: "model.ckpt-200"\n')
    with open(os.path.join(training, 'graph.pbtxt'), 'w'):
        pass
    with open(os.path.join(training, 'model.ckpt-500.index.tempstate123'), 'w'):
        pass
    os.mkdir(os.path.join(training, 'eval-7'))
    expected = [os.path.join(training, 'model.ckpt-{}'.format(step)) for step in (100, 200, 300)]
    assert _find_checkpoints.find(training) == expected
    assert _find_checkpoints.find(os.path.join(training, 'model.ckpt-*')) == expected
    assert _find_checkpoints.find(os.path.join(training, 'model.ckpt-[12]00')) == expected[:2]
    assert _find_checkpoints.find(expected[1]) == expected[1:2]


def _wait_for(path, process, seconds=120):
    deadline = time.time() + seconds
    while not os.path.exists(path):
        assert process.poll() is None, process.communicate()[1]
        assert time.time() < deadline, 'there is no ' + path
        time.sleep(0.05)


def test_watching_waits_until_a_checkpoint_is_whole(trained, tmp_path):
    training = tmp_path / 'training'
    training.mkdir()
    output = tmp_path / 'out'

    def copy(name, size=None, new_name=None):
        with open(os.path.join(trained, name), 'rb') as file:
            content = file.read()
        with open(str(tmp_path / 'partial'), 'wb') as copied:
            copied.write(content[:size])
        os.rename(str(tmp_path / 'partial'), str(training / (new_name or name)))  # or a pause would look like its end

    process = subprocess.Popen(
        [sys.executable, '-m', 'od_patch.export_inference_graph', '--watch', '--watch_interval=0.2'] +
        exports.flags_of(exports.config_path('ssd'), training, output, config_override=_AVERAGES),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
        env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='1'))
    try:
        # The index comes first, and the data bit by bit, as what copies a checkpoint may do it.
        copy('model.ckpt-100.index')
        whole = os.path.getsize(os.path.join(trained, 'model.ckpt-100' + _DATA))
        copy('model.ckpt-100' + _DATA, whole // 2)
        for suffix in ('.data-00000-of-00002', '.data-00001-of-00002', '.index'):
            copy('model.ckpt-200' + suffix)
        _wait_for(str(output / '200' / 'saved_model.pb'), process)
        copy('model.ckpt-100' + _DATA, whole - 1)
        # It takes one at the second look at which it is there and has not changed, in the order of their steps: when
        # the third is exported, it has looked at the first often enough.
        copy('model.ckpt-300')
        _wait_for(str(output / '300' / 'saved_model.pb'), process)
        assert '100' not in os.listdir(str(output))
        copy('model.ckpt-100' + _DATA)
        _wait_for(str(output / '100' / 'saved_model.pb'), process)
        copy('model.ckpt-300', 1000, 'model.ckpt-400')
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert '3 exported' in stdout and 'failed' not in stdout + stderr
    assert sorted(os.listdir(str(output))) == ['100', '200', '300']
    for step in (100, 200, 300):
        prefix = str(output / str(step) / 'variables' / 'variables')
        assert _bundle.shortfalls(prefix, _bundle.read_index(prefix)) == []
    assert sorted(os.listdir(str(tmp_path))) == ['out', 'training']


def test_flags(training, tmp_path):
    arguments = (exports.config_path('ssd'), training, str(tmp_path / 'out'))
    refused = exports.ours(*arguments, all_checkpoints=True, artifacts='saved_model,checkpoint')
    assert refused.exit_code == 2 and 'SavedModels are exported, and nothing else' in refused.stderr
    os.unlink(os.path.join(training, 'model.ckpt-200.data-00000-of-00002'))
    result = exports.ours(*arguments, all_checkpoints=True, config_override=_AVERAGES)
    assert result.exit_code == 8
    assert '2 exported, 1 failed' in result.stdout
    assert 'model.ckpt-200.data-00000-of-00002 is missing' in result.stderr
    assert 'Traceback' not in result.stderr
