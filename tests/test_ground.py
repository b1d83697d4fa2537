"""What all rooms stand on: refusals, text made safe, the console, its log, the locale, and the record of an export."""
import collections
import contextlib
import io
import os
import re
import sys
import unicodedata

import pytest

import od_patch
from od_patch import _errors
from od_patch import _text
from od_patch.command import _locale
from od_patch.export import _artifacts
from od_patch.export import _reports
from od_patch.export import _shown
from od_patch.export import _summary
from od_patch.saved_model import _record
from od_patch.saved_model import _saved_model
from od_patch.serving import _publish
from od_patch.serving import _warmup
from od_patch.steps import proof
from od_patch.steps import publish
from od_patch.steps import warmup
from od_patch.terminal import _log_file
from od_patch.terminal import _stages
from od_patch.terminal import _terminal

tensorflow = pytest.importorskip('tensorflow')


# Refusals.

@pytest.mark.parametrize('name, code', [
    ('ODPatchError', 1), ('UsageError', 2), ('EnvironmentRefused', 3), ('ExporterDeclined', 4), ('InputRefused', 5),
    ('CheckpointMismatch', 6), ('OutputRefused', 7), ('SomeFailed', 8), ('ProofFailed', 9)])
def test_each_kind_of_refusal_has_its_exit_code(name, code):
    kind = getattr(_errors, name)
    assert kind.exit_code == code and issubclass(kind, od_patch.ODPatchError)
    error = kind('a\x1b', 'b\x07')
    assert (error.problem, error.remedy, str(error)) == ('a\\u001b', 'b\\u0007', 'a\\u001b\nb\\u0007')
    assert error.args == (error.problem, error.remedy) and str(kind('only')) == 'only' and kind('only').remedy == ''


@pytest.mark.parametrize('given, options, expected', [
    ('detection_box', {}, 'Did you mean detection_boxes ?'), ('zzz', {}, ''),
    ('detection_box', {'before': '--x='}, 'Did you mean --x=detection_boxes ?'), ('detection_box', {'least': 1.}, ''),
    ('abcdefgh', {}, 'Did you mean abcdxxxx ?'), ('abcdefgh', {'least': .6}, '')])
def test_the_nearest_of_the_names_is_offered_where_one_is_near(given, options, expected):
    assert _errors.did_you_mean(given, ['detection_boxes', 'detections', 'abcdxxxx'], **options) == expected


# Text and terminal.

def obeyed(character):
    """Whether a terminal does something at a character, by its Unicode category and what it does to directions."""
    if character in '\n\t':
        return False
    if unicodedata.category(character) in ('Cc', 'Cs', 'Zl', 'Zp'):
        return True
    return unicodedata.bidirectional(character) in ('LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI') or \
        character in '\u200e\u200f'


def test_all_that_a_terminal_obeys_is_written_out_and_nothing_else():
    for number in range(0x10000):
        shown = _text.plain(chr(number))
        assert shown == ('\\u{:04x}'.format(number) if obeyed(chr(number)) else chr(number)), hex(number)
    assert _text.plain('a\x00b\x01') == 'a\\u0000b\\u0001' and _text.plain('\U0001f600') == '\U0001f600'


def shown(function, *args, **options):
    """What a function prints on the stream that it is given last."""
    stream = io.StringIO()
    function(*(args + (stream,)), **options)
    return stream.getvalue()


def test_a_console_shows_what_it_is_given_and_obeys_nothing_in_it():
    import rich.text
    for text in ('[bold]x[/bold]', ':smile:', '[link=http://x]y[/link]', 'a 1 "b" None http://x', 'caf\u00e9'):
        assert shown(lambda stream: _terminal.Console(file=stream, soft_wrap=True).print(text)) == text + '\n'
    for controls in ('a\x1b[31mb\x9b', rich.text.Text('a\x1b[31mb\x9b'), rich.text.Text('a\x1b[31mb\x9b', 'red')):
        assert shown(lambda stream: _terminal.Console(file=stream, soft_wrap=True).print(controls)) == \
            'a\\u001b[31mb\\u009b\n'


def test_on_a_terminal_styles_stay_and_controls_of_files_do_not():
    import rich.control
    import rich.text

    def show(stream):
        console = _terminal.Console(file=stream, force_terminal=True, color_system='standard', width=60, _environ={})
        console.print(rich.text.Text('a\x1b[5mb', 'red'))
        console.print('1 http://x "y"')
        console.control(rich.control.Control.home())
    assert shown(show) == '\x1b[31ma\\u001b[5mb\x1b[0m\n1 http://x "y"\n\x1b[H'


# The log.

@contextlib.contextmanager
def streams(folder):
    """Context in which stdout and stderr are files, which may be redirected; yields what tells what they have got.

    No fixture: pytest puts its own streams there behind those.
    """
    before = [(number, name, os.dup(number), getattr(sys, name)) for number, name in ((1, 'stdout'), (2, 'stderr'))]

    def got(name):
        getattr(sys, name).flush()
        with open(os.path.join(str(folder), name), encoding='utf-8') as file:
            return file.read()
    for number, name, _, _ in before:
        handle = os.open(os.path.join(str(folder), name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, number)
        os.close(handle)
        setattr(sys, name, os.fdopen(number, 'w', encoding='utf-8', closefd=False))
    try:
        yield got
    finally:
        for number, name, copy, stream in before:
            os.dup2(copy, number)
            os.close(copy)
            setattr(sys, name, stream)


def _say(word):
    """As Python and as C++ do, on both streams."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        stream.write(word + ' ')
        stream.flush()
        os.write(number, (word.upper() + ' ').encode())


def test_what_is_printed_meanwhile_goes_to_the_log_and_the_terminal_still_to_the_user(tmp_path):
    with streams(tmp_path) as got:
        path = tmp_path / 'log'
        path.write_text('old ')
        log = _log_file.Log(str(path))
        _say('before')
        sys.stdout.write('late ')
        with log.redirected():
            _say('within')
            log.terminal.write('shown\n')
            log.error_terminal.write('told\n')
            sys.stderr.write('last ')
        log.write('added \u00e9\ud800 ')
        _say('behind')
        assert log.keep() == str(path) == log.path
        log.close()
        assert path.read_text(encoding='utf-8') == 'within WITHIN within WITHIN last added \u00e9? '
        assert got('stdout') == 'before BEFORE late shown\nbehind BEHIND '
        assert got('stderr') == 'before BEFORE told\nbehind BEHIND '


def test_a_log_without_a_name_gets_one_when_it_is_to_be_kept(tmp_path, monkeypatch):
    with streams(tmp_path):
        monkeypatch.setattr(_log_file.tempfile, 'tempdir', str(tmp_path))
        before = sorted(os.listdir(str(tmp_path)))
        log = _log_file.Log()
        with log.redirected():
            _say('within')
        assert sorted(os.listdir(str(tmp_path))) == before and log.path is None
        path = log.keep()
        log.write('more')
        assert log.keep() == path and re.match(r'od-patch-.*\.log$', os.path.basename(path))
        log.close()
        with open(path) as file:
            assert file.read() == 'within WITHIN within WITHIN '
        assert os.path.dirname(path) == str(tmp_path)


def test_a_log_that_cannot_be_kept_costs_nothing(tmp_path, monkeypatch):
    with streams(tmp_path):
        log = _log_file.Log()
        monkeypatch.setattr(_log_file.tempfile, 'tempdir', str(tmp_path / 'missing'))
        assert log.keep() is None
        log.close()


def test_a_log_leaves_no_descriptors_open(tmp_path):
    with streams(tmp_path) as got:
        before = len(os.listdir('/proc/self/fd'))
        log = _log_file.Log(str(tmp_path / 'log'))
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                with log.redirected():
                    raise ZeroDivisionError
        log.close()
        assert len(os.listdir('/proc/self/fd')) == before
        _say('behind')
        assert got('stdout') == got('stderr') == 'behind BEHIND '


def test_verbose_there_is_no_log(tmp_path, monkeypatch):
    with streams(tmp_path) as got:
        monkeypatch.setattr(_log_file.tempfile, 'tempdir', str(tmp_path))
        log = _log_file.Log(verbose=True)
        with log.redirected():
            _say('within')
        log.write('nothing')
        assert log.keep() is None and (log.terminal, log.error_terminal) == (sys.stdout, sys.stderr)
        log.close()
        assert got('stdout') == 'within WITHIN ' and sorted(os.listdir(str(tmp_path))) == ['stderr', 'stdout']


# What is shown.

def test_a_line_for_every_stage_that_has_ended_where_there_is_no_terminal():
    stream = io.StringIO()
    progress = _shown.Shown(stream)
    assert progress.stage_name is None
    for name in ('checks', 'graph', 'graph', 'saved model'):
        progress.stage(name)
        progress.progress(1, 2, 'x')
    assert progress.stage_name == 'saved model' and progress.seconds >= 0
    progress.abandon()
    assert progress.stage_name == 'saved model'
    progress.note('take [bold]care')
    progress.finished('report')
    progress.stop()
    assert progress.report == 'report' and progress.stage_name is None
    lines = stream.getvalue().splitlines()
    assert [re.sub(r' +\d+\.\d s$', '', line) for line in lines] == [
        '  checks', '  graph', '  take [bold]care', '  saved model']
    assert all(re.match(r'  \S.{19} +\d+\.\d s$', line) for line in lines if 'care' not in line)


class _Terminal(io.StringIO):

    def isatty(self):
        return True


def test_on_a_terminal_a_bar_takes_the_place_of_the_spinner_and_is_gone_when_all_is_done(monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    stream = _Terminal()
    progress = _shown.Shown(stream)
    progress.stage('saved models')
    for done in range(3):
        progress.progress(done, 2, 'model.ckpt-{}'.format(done))
        shown_now = stream.getvalue()
    progress.stop()
    assert '  saved models' in shown_now and '2 of 2' in shown_now and 'model.ckpt-2' in shown_now
    progress.progress(0, 2, 'again')
    progress.abandon()
    assert '0 of 2' in stream.getvalue()[len(shown_now):]
    assert 'saved models' in stream.getvalue()[len(shown_now):]  # its time, when it ended


@pytest.mark.parametrize('outcome, step, line', [
    (_reports.EXPORTED, 100, '         100  a/model.ckpt-100'),
    (_reports.SKIPPED, 100, '         100  a/model.ckpt-100: done before'),
    (_reports.FAILED, None, '           ?  a/model.ckpt-100: failed')])
def test_a_line_for_every_checkpoint(outcome, step, line):
    stream = io.StringIO()
    _shown.Shown(stream).checkpoint(_reports.Result('a/model.ckpt-100', step, outcome, None, None))
    assert stream.getvalue() == line + '\n'


def report(**more):
    """A report of an export, as the observer gets it."""
    from tensorflow.core.protobuf import meta_graph_pb2
    signature = meta_graph_pb2.SignatureDef()
    for key, dtype, shape in (('z', 4, [-1, 3]), ('a', 7, None)):
        info = signature.inputs[key]
        info.dtype, info.tensor_shape.unknown_rank = dtype, shape is None
        for size in shape or ():
            info.tensor_shape.dim.add(size=size)
    signature.outputs['total'].dtype = 1
    values = dict(dict.fromkeys(_reports.Report._fields), **dict(dict(
        output_directory='out dir', files=[('saved_model/saved_model.pb', 1500), ('pipeline.config', 2)],
        written=_saved_model.Written(1234, 5000, 99, 'resource', []), kind='resource',
        use_moving_averages=False, checkpoint='model.ckpt-7', step=7, signature=signature,
        artifacts={_artifacts.SAVED_MODEL}, release='release C', replaced=False, facts=[], lines=[]), **more))
    return _reports.Report(**values)


def summary(made, seconds=1.25):
    return shown(lambda stream: _summary.show_summary(made, seconds, stream)).splitlines()


def test_the_summary_of_an_export_has_its_files_its_weights_and_what_to_type_next():
    lines = summary(report())
    version = tensorflow.__version__
    assert lines[1:3] == ['Exported to out dir', 'exporter release C, TensorFlow {}, 1.2 s'.format(version)]
    assert lines[4:6] == ['  saved_model/saved_model.pb      1.5 kB', '  pipeline.config                2 bytes']
    assert lines[7:] == ['  weights      raw weights of model.ckpt-7, step 7',
                         '  saved_model  1,234 resource variables, 5.0 kB', '  input        a  string of unknown rank',
                         '  input        z  uint8 [?, 3]', '  output       total  float32 []', '',
                         "Next:  {} show --all --dir 'out dir/saved_model'".format(_text.program('saved_model_cli'))]


def test_the_summary_names_inputs_and_outputs_by_the_alphabet():
    made = report()
    for name in 'gdhbfcea':
        made.signature.inputs[name].dtype = made.signature.outputs[name].dtype = 4
    lines = summary(made)
    assert [line.split()[1] for line in lines if line.startswith('  input ')] == list('abcdefghz')
    assert [line.split()[1] for line in lines if line.startswith('  output ')] == list('abcdefgh') + ['total']


def test_the_summary_says_what_is_not_as_always():
    lines = summary(report(replaced=True, use_moving_averages=True, step=None, written=None))
    assert lines[1] == 'Replaced the export in out dir'
    assert '  weights      moving averages of model.ckpt-7' in lines
    assert '  saved_model  frozen constants, as upstream writes them' in lines
    without = summary(report(artifacts={_artifacts.FROZEN_GRAPH}))
    assert not any('Next:' in line or line.startswith('  saved_model ') for line in without)
    facts = warmup.WarmUp([]).facts(_warmup.Written(4, 2000, []))
    lines = summary(report(facts=facts + [('labels', '[bold]3[/] classes')]))
    assert lines[lines.index('  saved_model  1,234 resource variables, 5.0 kB') + 1:][:2] == [
        '  warm-up      4 requests, each run once, 2.0 kB', '  labels       [bold]3[/] classes']
    step = publish.Publish('b', None, None, None)
    lines = summary(report(lines=step.lines(_publish.Published('b', 3, 'b/3', 'b', 1, [], [], None))))
    assert 'Published version 3 of b: b/3' in lines


@pytest.mark.parametrize('runs, counts, line', [
    ([1], {'ok': 5, 'note': 1, 'not checked': 2},
     '  proof        files, weights and outputs: 5 ok, 1 note, 2 not checked'),
    ([], {'ok': 5}, '  proof        files and weights: 5 ok (--verify runs it, too)')])
def test_the_summary_says_what_was_proved(runs, counts, line):
    answer = collections.namedtuple('Answer', ['runs', 'counts'])(runs, collections.Counter(counts))
    assert line in summary(report(facts=proof.Proof(bool(runs)).facts(answer)))


def test_the_summary_of_a_series_counts_what_became_of_them():
    first = report(output_directory='out/1', use_moving_averages=True)
    results = [_reports.Result('a', 1, _reports.EXPORTED, first, None),
               _reports.Result('b', 2, _reports.EXPORTED, report(output_directory='out/2'), None),
               _reports.Result('c', 3, _reports.FAILED, None, ValueError())]
    lines = summary(_reports.SeriesReport('out', results, ['out/d'], [], 'release C'))
    assert lines[1] == 'out: 2 exported, 1 failed'
    assert lines[2].startswith('exporter release C, TensorFlow ') and lines[3] == '  out/d was still being written'
    assert lines[4:] == ['', '  weights      raw weights', '  saved_model  1,234 resource variables, 5.0 kB each', '',
                         'Next:  {} show --all --dir out/2'.format(_text.program('saved_model_cli'))]
    results = [_reports.Result('a', 1, _reports.SKIPPED, None, None)]
    assert summary(_reports.SeriesReport('out', results, [], [], 'release C'))[1:] == [
        'out: 1 done before', lines[2]]


def test_the_summary_of_a_series_says_what_its_steps_tell_of_each():
    proved = ('proof', 'files and weights: 7 ok')
    made = [report(facts=[proved, ('warm-up', '4 requests, {}.0 kB'.format(size))]) for size in (2, 2, 3)]
    results = [_reports.Result(str(step), step, _reports.EXPORTED, one, None) for step, one in enumerate(made)]
    lines = summary(_reports.SeriesReport('out', results, [], [], 'release C'))
    assert lines[lines.index('  saved_model  1,234 resource variables, 5.0 kB each') + 1:][:4] == [
        '  proof        files and weights: 7 ok', '  warm-up      4 requests, 2.0 kB (2 of 3)',
        '  warm-up      4 requests, 3.0 kB (1 of 3)', '']


@pytest.mark.parametrize('missed, line', [
    (['a'], '  1 checkpoint was removed before it could be exported: a'),
    (list('abcd'), '  4 checkpoints were removed before they could be exported: a, b, c, d'),
    (list('abcde'), '  5 checkpoints were removed before they could be exported: a, b, c, d, …')])
def test_the_summary_of_a_series_names_what_was_removed(missed, line):
    assert summary(_reports.SeriesReport('out', [], [], missed, 'release C'))[-1] == line


def test_a_refusal_is_shown_with_what_to_do():
    assert shown(lambda stream: _terminal.show_refusal(od_patch.UsageError('No [x].', 'Do y.'), stream)) == \
        'od-patch: No [x].\nDo y.\n'
    assert shown(lambda stream: _terminal.show_refusal(od_patch.UsageError('No.'), stream)) == 'od-patch: No.\n'


@pytest.mark.parametrize('made, state', [
    (None, 'the output directory is as it was'), ('export', 'the export in out dir is complete'),
    ('series', 'the SavedModels that are in out are complete')])
def test_a_failure_is_shown_with_what_it_has_left_and_where_its_traceback_is(made, state):
    progress = _shown.Shown(io.StringIO())
    progress.report = {'export': report(), 'series': _reports.SeriesReport('out', [], [], [], 'C')}.get(made)
    assert _summary.state_of_output(progress.report) == state

    def show(log):
        return shown(lambda stream: _summary.show_failure(KeyError('x'), progress, log, stream))
    assert show(None) == "od-patch: the export failed: KeyError: 'x'\nTo be sure: {}.\n".format(state)
    progress.stage('graph')
    assert show('/log').splitlines()[0] == 'od-patch: the export failed in the stage "graph": KeyError: \'x\''
    assert show('/log').splitlines()[2] == 'The traceback and all that the exporter printed: /log'


@pytest.mark.parametrize('left_out, words', [
    ([('global_step', 8)], '; without global_step, which no output reads'),
    ([('a', 4000), ('b', 8)], '; without 2 that no output reads, 4.0 kB')])
def test_what_no_output_reads_is_counted(left_out, words):
    made = report(written=_saved_model.Written(1234, 5000, 99, 'resource', [], left_out))
    assert '  saved_model  1,234 resource variables, 5.0 kB' + words in summary(made)


def test_one_line_for_scripts():
    assert _summary.summary_line(report()) == (
        'od-patch: out dir/saved_model: 1,234 resource variables, 5.0 kB; weights: raw weights of model.ckpt-7, step 7')
    assert _summary.summary_line(report(artifacts={_artifacts.FROZEN_GRAPH})) == \
        'od-patch: out dir: no saved_model was asked for'


# The locale.

@pytest.mark.parametrize('version, encoding, lc_all, again', [
    ((3, 6, 15), 'ANSI_X3.4-1968', 'C', True), ((3, 6, 15), 'ascii', None, True), ((3, 6, 15), 'UTF-8', 'C', False),
    ((3, 6, 15), 'ISO-8859-1', 'C', False), ((3, 6, 15), 'ascii', 'C.UTF-8', False), ((3, 7, 0), 'ascii', 'C', False)])
def test_the_command_starts_again_once_where_python_takes_the_locale_for_ascii(monkeypatch, version, encoding, lc_all,
                                                                               again):
    started = []
    monkeypatch.setattr(sys, 'version_info', version)
    monkeypatch.setattr(_locale.locale, 'getpreferredencoding', lambda *unused: encoding)
    monkeypatch.setattr(os, 'execve', lambda *arguments: started.append(arguments))
    if lc_all is None:
        monkeypatch.delenv('LC_ALL', raising=False)
    else:
        monkeypatch.setenv('LC_ALL', lc_all)
    monkeypatch.setenv('OD_PATCH_TEST', 'kept')
    _locale.ensure_utf8()
    assert len(started) == again
    if again:
        program, arguments, environment = started[0]
        with open('/proc/self/cmdline', 'rb') as command_line:
            assert b'\0'.join(arguments) + b'\0' == command_line.read()
        assert program == sys.executable and environment == dict(os.environ, LC_ALL='C.UTF-8')


# The record.

@pytest.mark.parametrize('data, found', [
    (b'{"a": 1}', {'a': 1}), (b'{}', {}), ('{"a": "\u00e9"}'.encode('utf-8'), {'a': '\u00e9'}), (b'[]', None),
    (b'5', None),
    (b'', None), (b'{"a": 1', None), (b'\xff\xfe{}', None), (b'null', None), (None, None)])
@pytest.mark.parametrize('scheme', ['', 'file://'])
def test_a_record_is_a_dict_or_none(tmp_path, data, found, scheme):
    if data is not None:
        (tmp_path / 'assets.extra').mkdir()
        (tmp_path / 'assets.extra' / 'od_patch.json').write_bytes(data)
    assert _record.read(scheme + str(tmp_path)) == found


def test_a_record_that_is_a_folder_is_none(tmp_path):
    (tmp_path / 'assets.extra' / 'od_patch.json').mkdir(parents=True)
    assert _record.read(str(tmp_path)) is None


def test_stages_that_end_in_an_error_are_shown_no_longer():
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    stream = Terminal()
    with pytest.raises(ValueError, match='on the way'):
        with _stages.shown(stream):
            _stages.stage('look')
            raise ValueError('on the way')
    shown = stream.getvalue()
    assert not _stages._thread.watching
    _stages.stage('no longer shown')
    assert stream.getvalue() == shown
