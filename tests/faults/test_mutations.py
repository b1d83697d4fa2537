"""A small campaign of ``tests.faults.mutations``; and that what must not be is seen, and said to be so."""
import io
import json
import random

import pytest

pytest.importorskip('tensorflow')

from tests.faults import mutations  # noqa: E402
from tests.faults import mutators  # noqa: E402

pytestmark = pytest.mark.xdist_group('faults')


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


def test_a_number_makes_the_same_input_again():
    data = bytes(bytearray(range(256)) * 20)
    for way in (mutators.damage_bytes,):
        made = [way(random.Random('reader 7'), data) for _ in range(2)]
        assert made[0] == made[1] != data
    text = b'model { ssd { num_classes: 3 } }\n'
    made = [mutators.damage_text(random.Random('reader 7'), text) for _ in range(2)]
    assert made[0] == made[1]
    reader = mutations.READERS[0]
    assert mutations.damaged(reader._replace(how=('bytes',)), 3, data, b'') == mutations.damaged(
        reader._replace(how=('bytes',)), 3, data, b'')
