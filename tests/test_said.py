"""What is said of an export to those who see nothing else of od-patch: one line."""
import pytest

pytest.importorskip('tensorflow')

from od_patch.export import _observer  # noqa: E402
from od_patch.export import _reports  # noqa: E402
from od_patch.saved_model import _saved_model  # noqa: E402


def _report(**given):
    return _reports.Report(*[None] * len(_reports.Report._fields))._replace(
        output_directory='exported', checkpoint='training/model.ckpt-7', step=7, use_moving_averages=True,
        kind='resource',
        artifacts={'saved_model'}, written=_saved_model.Written(83, 4000000, 7215, 'resource', []), **given)


def test_an_export_from_python_says_one_line_and_where_it_wrote(capsys):
    _observer.Observer().finished(_report())
    said = capsys.readouterr()
    assert said.out == '' and said.err.count('\n') == 1
    assert said.err == ('od-patch: exported/saved_model: 83 resource variables, 4.0 MB; '
                        'weights: moving averages of training/model.ckpt-7, step 7\n')


def test_an_export_without_saved_model_says_so(capsys):
    _observer.Observer().finished(_report()._replace(artifacts={'frozen_graph'}))
    assert capsys.readouterr().err == 'od-patch: exported: no saved_model was asked for\n'


def test_a_series_says_one_line(capsys):
    results = [_reports.Result('p', number, outcome, None, None) for number, outcome in enumerate(
        [_reports.EXPORTED, _reports.EXPORTED, _reports.FAILED, _reports.SKIPPED])]
    _observer.Observer().finished(_reports.SeriesReport('exported', results, [], [], 'r1.12.0'))
    assert capsys.readouterr().err == 'od-patch: exported: 2 exported, 1 done before, 1 failed\n'


def test_a_name_that_a_terminal_would_obey_is_written_out(capsys):
    _observer.Observer().finished(_report()._replace(output_directory='a\x1b[2Jb'))
    assert '\x1b' not in capsys.readouterr().err
