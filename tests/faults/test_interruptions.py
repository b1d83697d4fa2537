"""A small campaign of ``tools.faults.interruptions``, and proof that the harness sees what it is to see."""
import json
import os
import shutil
import subprocess
import sys

import pytest

from tools.faults import interruptions

pytest.importorskip('tensorflow')
pytestmark = [pytest.mark.once, pytest.mark.xdist_group('faults')]

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_nothing_is_lost(tmp_path):
    report = str(tmp_path / 'report.json')
    command, environment = interruptions.in_a_namespace(
        [sys.executable, '-m', 'tools.faults.interruptions', '--count', '9', '--whole_every', '4',
         '--only', 'disk call|bytes|full disk', '--places', '^an export$', '--report', report])
    environment['TMPDIR'] = str(tmp_path)
    environment.pop('COVERAGE_PROCESS_START', None)  # what it writes at the end would meet the limits and be counted
    done = subprocess.run(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=900)
    assert done.returncode == 0, done.stdout
    with open(report) as report_file:
        found = json.load(report_file)
    assert found['lost'] == 0, done.stdout
    assert found['count'] >= 8
    interrupted = [row for row in found['interruptions'] if row['exit'] != 0]
    assert len(interrupted) >= 6, done.stdout
    assert {-9, 130, 143} <= {row['exit'] for row in interrupted}
    assert os.listdir(str(tmp_path)) == ['report.json']


@pytest.fixture
def looked_at(tmp_path):
    """A function that says what state the harness sees in a place, after somebody has meddled with it."""
    new, old = str(tmp_path / 'new'), str(tmp_path / 'old')
    for folder, text in ((new, 'new'), (old, 'old')):
        for name in ('checkpoint', 'frozen_inference_graph.pb', 'model.ckpt.index', 'model.ckpt.data-00000-of-00001',
                     'pipeline.config', 'saved_model/saved_model.pb', 'saved_model/variables/variables.index',
                     'saved_model/variables/variables.data-00000-of-00001', 'saved_model/assets.extra/od_patch.json'):
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w') as artefact:
                artefact.write(text)
    with open(os.path.join(new, 'saved_model/assets.extra/od_patch.json'), 'w') as record:
        json.dump({'sha256': {'frozen_inference_graph.pb': interruptions._digest(
            os.path.join(new, 'frozen_inference_graph.pb'))}}, record)

    class Campaign:
        server = None
        judge = interruptions.Judge(new)
        old_names = os.listdir(old) + ['inference_graph.pbtxt']
    Campaign.old = old
    place, = [place for place in interruptions.PLACES if place.name == 'an export and other files']
    case = interruptions.Case(str(tmp_path / 'case'), place, Campaign)
    case.prepare()

    def look(meddle):
        meddle(new, case.target)
        return interruptions._look(case)
    return look


def _replace_all(new, target):
    for name in os.listdir(new):
        path = os.path.join(target, name)
        (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)
        (shutil.copytree if os.path.isdir(os.path.join(new, name)) else shutil.copy)(os.path.join(new, name), path)


def _change(name, text='other'):
    def change(new, target):
        _replace_all(new, target)
        with open(os.path.join(target, name), 'w') as artefact:
            artefact.write(text)
    return change


@pytest.mark.parametrize('meddle, state', [
    (lambda new, target: None, 'old'),
    (_replace_all, 'new'),
    (_change('frozen_inference_graph.pb'), 'between'),
    (_change('frozen_inference_graph.pb', 'old'), 'between'),
    (_change('saved_model/variables/variables.index', 'old'), 'between'),
    (_change('notes.txt'), 'between'),
    (_change('inference_graph.pbtxt', 'of the old one'), 'between'),
    (lambda new, target: os.unlink(os.path.join(target, 'notes.txt')), 'between'),
    (lambda new, target: shutil.rmtree(os.path.join(target, 'saved_model')), 'between'),
    (lambda new, target: os.chmod(os.path.join(target, 'notes.txt'), 0o600), 'between'),
], ids=['untouched', 'replaced', 'a changed artefact', 'an artefact of the old one', 'an index of the old one',
        'another file changed', 'a file that only the old one has', 'another file gone', 'no SavedModel',
        'other permissions'])
def test_the_harness_tells_the_old_export_and_the_new_one_from_anything_else(looked_at, meddle, state):
    assert looked_at(meddle).split(':')[0] == state
