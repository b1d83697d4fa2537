"""A small campaign of ``tools.faults.staging``, and proof that it sees what is lost."""
import pytest

from od_patch.staging import _staging
from tools.faults import staging

pytestmark = pytest.mark.once


def test_nothing_is_lost_and_a_run_without_leave_replaces_nothing():
    rows = staging.run(110, step=12)
    assert [row for row in rows if row['lost']] == []
    assert len(rows) == 110 and {row['state'] for row in rows} == {'old', 'new'}
    assert max(row['call'] for row in rows) > 36


@pytest.mark.parametrize('fault', ['_put_back', '_move_into_place', '_clean_up_after_the_dead'])
def test_the_campaign_sees_an_export_that_is_not_put_back(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(staging.tempfile, 'tempdir', staging.tempfile.gettempdir())
    kind, = [kind for kind in staging.KINDS if kind.name == 'export and others']

    def do_nothing(*unused):
        pass
    monkeypatch.setattr(_staging, fault, do_nothing)
    seen = 0
    for call in range(28, 46, 3):
        folder = tmp_path / str(call)
        folder.mkdir()
        try:
            staging.interrupt(kind, call, False, str(folder))
        except staging.Lost:
            seen += 1
    assert seen
