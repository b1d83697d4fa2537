"""A small campaign of ``tools.faults.mutations``; and that what must not be is seen, and said to be so."""
import io
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip('tensorflow')

from tools.faults import mutations  # noqa: E402

pytestmark = [pytest.mark.once, pytest.mark.xdist_group('faults')]


def test_damaged_files_are_refused_or_told_apart(tmp_path):
    report = tmp_path / 'report.json'
    stream = io.StringIO()
    outcomes, found = mutations.run(110, str(report), stream=stream)
    assert not found, stream.getvalue()
    assert len(outcomes) >= 25 and sum(sum(counts.values()) for counts in outcomes.values()) >= 100
    everything = sum(outcomes.values(), type(outcomes['frozen graph, compare'])())
    assert everything['refused'] > 20 and everything['accepted, different'] > 10, stream.getvalue()
    assert json.loads(report.read_text())['bad'] == 0


@pytest.mark.parametrize('program, outcome', [
    ('raise ValueError("x")', 'traceback'), ('os.kill(os.getpid(), 11)', 'signal'), ('while True: pass', 'hang'),
    ('bytearray(3 << 30)', 'memory'), ('print("od-patch: no"); open("result", "w"); sys.exit(2)', 'written'),
    ('sys.exit(2)', 'no words'), ('print("od-patch: \\x1b[2J"); sys.exit(2)', 'controls'),
    ('print("od-patch: no"); sys.exit(2)', 'refused'), ('pass', 'accepted')])
def test_the_campaign_sees_what_must_not_be(tmp_path, monkeypatch, program, outcome):
    (tmp_path / 'planted.py').write_text('import os, sys\n\n\ndef main():\n    {}\n'.format(program.replace('; ', '\n    ')))
    monkeypatch.setenv('PYTHONPATH', str(tmp_path) + ':' + mutations.os.environ['PYTHONPATH'])
    monkeypatch.setattr(mutations, '_SECONDS', 2)
    with mutations.fork_server.Server(imports='planted') as server:
        campaign = mutations.Campaign.__new__(mutations.Campaign)
        campaign.servers, campaign.folder, campaign.good = {'planted': server}, str(tmp_path), str(tmp_path)
        case = tmp_path / 'case'
        case.mkdir()
        reader = mutations.Reader('planted', 1, 'frozen.pb', '', ('bytes',), 'planted', ['x'], False)
        assert campaign._read(reader, str(case))[0] == outcome


# Prints the digests of twenty inputs of each way that needs no TensorFlow.
_INPUTS = '''
import hashlib, json
from tools.faults import mutations
files = {'bytes': bytes(range(256)) * 20, 'text': b'model { ssd { num_classes: 3 } } # "x" 7\\n' * 5,
         'json': json.dumps({'a': [1, {'b': 'c', 'd': None}], 'e': 2.5, 'f': ['g'] * 9}).encode()}
found = {}
for way, data in files.items():
    for name in ('one', 'two'):
        reader = mutations.READERS[0]._replace(how=(way,), name=name)
        found[way + name] = [hashlib.sha256(mutations.damaged(reader, number, data, b'other' * 99)).hexdigest()
                             for number in range(20)]
print(json.dumps(found))
'''


def test_a_number_makes_the_same_input_again_in_another_process_and_another_number_another_input():
    made = [json.loads(subprocess.check_output(
        [sys.executable, '-c', _INPUTS], env=dict(os.environ, PYTHONHASHSEED=seed), universal_newlines=True))
            for seed in ('1', '2')]
    assert made[0] == made[1] and len(made[0]) == 6
    for way, digests in made[0].items():
        assert len(set(digests)) > 12, way
    for way in ('bytes', 'text', 'json'):
        assert made[0][way + 'one'] != made[0][way + 'two']
