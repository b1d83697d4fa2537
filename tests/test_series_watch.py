"""What a watch does between two exports: it looks, at a cost that grows as what there is, and counts."""
import collections
import os
import time

import pytest

from od_patch.export import _find_checkpoints
from od_patch.export import _observer
from od_patch.export import _request
from od_patch.export import _series
from od_patch.export import _summary
from od_patch.terminal import _terminal

pytestmark = pytest.mark.once

pytest.importorskip('tensorflow')


class _Listener(_observer.Observer):

    def note(self, text):
        pass


@pytest.fixture
def watching(tmp_path):
    """A function that makes a training directory of so many checkpoints, and a series that watches it."""
    def make(count, pattern=''):
        folder = tmp_path / 'training-{}'.format(count)
        folder.mkdir()
        for step in range(count):
            for suffix in ('.index', '.data-00000-of-00002', '.data-00001-of-00002', '.meta'):
                (folder / 'model.ckpt-{}{}'.format(step, suffix)).write_bytes(b'')
        options = _request.Options(series=_request.Series(None, True, 1))
        series = _series.Series(_request.Request(options, _Listener(), 'a release', {
            'trained_checkpoint_prefix': str(folder) + pattern}, str(tmp_path / 'out'), []), str(tmp_path))
        return folder, series
    return make


def _look(series):
    return [os.path.basename(prefix) for prefix in series._wanted_now() if series._is_ready(prefix)]


@pytest.mark.parametrize('pattern', ['', '/', '/model.ckpt-*'])
def test_what_is_found_is_what_lies_there_with_its_files(watching, pattern):
    folder, series = watching(12, pattern)
    (folder / 'model.ckpt-3.index').unlink()  # not there any more, or not yet
    (folder / 'checkpoint').write_text('')
    (folder / 'events.out').write_text('')
    prefixes = series._wanted_now()
    assert [os.path.basename(prefix) for prefix in prefixes] == [
        'model.ckpt-{}'.format(step) for step in range(12) if step != 3]
    looks = _find_checkpoints.looks(prefixes[0], series._files)
    assert [os.path.basename(path) for path, _, _ in looks] == [
        'model.ckpt-0.index', 'model.ckpt-0.data-00000-of-00002', 'model.ckpt-0.data-00001-of-00002']
    assert [size for _, size, _ in looks] == [0, 0, 0]


def _cost(series):
    """Seconds of processor time that a look takes at which nothing is new."""
    best = float('inf')
    for _ in range(3):
        began = time.process_time()
        assert _look(series) == []
        best = min(best, time.process_time() - began)
    return best


def test_a_look_at_ten_times_as_many_checkpoints_costs_about_ten_times_as_much(watching):
    """It was a hundred times: each checkpoint's files were looked for among those of all."""
    costs = {}
    for count in (100, 1000):
        _, series = watching(count)
        _look(series)
        for prefix in series._wanted_now():  # as if they had been exported
            series._handled[prefix] = series._seen[prefix]
        costs[count] = _cost(series)
    assert costs[1000] < 30 * costs[100] and costs[1000] < 0.5, costs


def test_a_checkpoint_that_changes_or_comes_is_seen_at_the_next_look(watching):
    folder, series = watching(3)
    _look(series)
    for prefix in series._wanted_now():
        series._handled[prefix] = series._seen[prefix]
    (folder / 'model.ckpt-1.index').write_bytes(b'more')
    (folder / 'model.ckpt-9.index').write_bytes(b'new')
    before = collections.OrderedDict(series._seen)
    assert _look(series) == []  # it may still be written
    assert {os.path.basename(prefix) for prefix in series._seen if series._seen[prefix] != before.get(prefix)} == {
        'model.ckpt-1', 'model.ckpt-9'}


def test_what_the_training_removed_is_counted_and_not_said_to_be_written_still(watching, capsys):
    import sys
    folder, series = watching(4)
    _look(series)
    series._handled[str(folder / 'model.ckpt-0')] = series._seen[str(folder / 'model.ckpt-0')]
    for step in (0, 1, 2):
        for path in folder.glob('model.ckpt-{}.*'.format(step)):
            path.unlink()
    _look(series)
    report = series.report()
    names = [os.path.basename(prefix) for prefix in report.missed]
    assert names == ['model.ckpt-1', 'model.ckpt-2']  # the first one had been dealt with
    assert [os.path.basename(prefix) for prefix in report.waiting] == ['model.ckpt-3']
    _summary._show_series(report, 1, _terminal.Console(file=sys.stdout, soft_wrap=True))
    shown = capsys.readouterr().out
    assert '2 checkpoints were removed before they could be exported' in shown and names[0] in shown
    assert shown.count('was still being written') == 1
