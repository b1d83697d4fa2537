"""The entry points without an export: early flags, exit codes, what is refused before anything begins."""
import io
import json
import os
import signal
import sys
import time
import types

import click.testing
import pytest

import od_patch
from od_patch import _errors
from od_patch import _option
from od_patch import cli
from od_patch import export_inference_graph
from od_patch.api import _export
from od_patch.api import _paths
from od_patch.command import _signals
from od_patch.config import _config
from od_patch.environment import _doctor
from od_patch.environment import _environment
from od_patch.options import _options
from tests.support import exports

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.mark.parametrize('arguments, verbose, log_file, traceback', [
    ([], False, None, False), (['--verbose'], True, None, False), (['-verbose'], True, None, False),
    (['--verbose=true'], True, None, False), (['--verbose=T'], True, None, False), (['--verbose=1'], True, None, False),
    (['--verbose=false'], False, None, False), (['--verbose=0'], False, None, False),
    (['--verbose', '--verbose=false'], False, None, False), (['--verbose=false', '--verbose'], True, None, False),
    (['verbose'], False, None, False), (['--verbosely'], False, None, False),
    (['--log_file=x'], False, 'x', False), (['--log_file', 'x'], False, 'x', False),
    (['--log_file'], False, None, False),
    (['--log_file=x', '--log_file=y'], False, 'y', False), (['--log_file=a=b'], False, 'a=b', False),
    (['log_file=x'], False, None, False), (['--traceback'], False, None, True),
    (['--traceback=false'], False, None, False)])
def test_flags_that_must_be_known_early_are_read_as_absl_reads_them(arguments, verbose, log_file, traceback):
    early = export_inference_graph._EarlyFlags(['program'] + arguments)
    assert (early.verbose, early.log_file, early.traceback) == (verbose, log_file, traceback)


@pytest.mark.parametrize('arguments, wanted', [
    ([], None), (['--help'], 'help'), (['-h'], 'help'), (['-?'], 'help'), (['--helpshort'], 'help'),
    (['-help'], 'help'),
    (['--helpfull'], 'helpfull'), (['-helpfull'], 'helpfull'), (['--', '--help'], None),
    (['--x', '--help', '--'], 'help'),
    (['--helper'], None), (['help'], None)])
def test_what_asks_for_help(arguments, wanted):
    assert export_inference_graph._wanted_help(['--help'] + arguments) == wanted  # the first is the program's name


@pytest.mark.parametrize('text, names', [
    ('', []), (' , ', []), ('a', ['a']), ('a, b,,c ', ['a', 'b', 'c']), (['a', 'b,c'], ['a', 'b,c']), ((), [])])
def test_lists_between_commas(text, names):
    assert _option.NAMES.value('names', text) == names


@pytest.mark.parametrize('text, artifacts', [
    ('saved_model', ('saved_model',)), ('checkpoint, saved_model', ('checkpoint', 'saved_model')),
    ('saved_model,frozen_graph,checkpoint,pipeline_config',
     ('saved_model', 'frozen_graph', 'checkpoint', 'pipeline_config')), ('frozen', None), ('', None),
    ('saved_model,x', None)])
def test_artifacts_are_those_that_there_are(text, artifacts):
    if artifacts:
        assert _options.TABLE['artifacts'].value(text) == artifacts
        return
    with pytest.raises(od_patch.UsageError, match='--artifacts'):
        _options.TABLE['artifacts'].value(text)


@pytest.mark.parametrize('shape, input_type, words', [
    (None, 'a', None), ('', 'a', None), ('1,300,300,3', 'a', None), (['-1', '-1', '-1', '3'], 'a', None),
    ('-1,1,1,3', 'a', None), ('1,0,300,3', 'a', 'is not the shape'), ('1,300,-2,3', 'a', 'is not the shape'),
    ('0,300,300,3', 'a', 'is not the shape'), ('1,300,300', 'a', 'is not the shape'),
    ('1,300,300,3,1', 'a', 'is not the shape'), ('1,300,300,1', 'a', 'has 1 channels, and the release decodes'),
    ('1,300,300,1', 'image_tensor', None), ('1,300,300,0', 'image_tensor', 'is not the shape'),
    ('1,300,300,-1', 'image_tensor', 'is not the shape'),
    ('1,300,300,-1', 'a', 'is not the shape'), ('1,x,300,3', 'a', 'is not a list of numbers'),
    ('1,300,300,3', 'b', 'only with --input_type=image_tensor, not with b'), (None, 'b', None)])
def test_an_input_shape_is_that_of_a_batch_of_images(shape, input_type, words):
    exporter = types.SimpleNamespace(input_placeholder_fn_map={
        'a': lambda input_shape=None: None, 'image_tensor': lambda input_shape=None: None, 'b': lambda: None})
    shape = _export._shape_text(shape)
    if words is None:
        if shape:
            _export._check_input_shape(shape, input_type, exporter)
        return
    with pytest.raises(od_patch.UsageError, match=words):
        _export._check_input_shape(shape, input_type, exporter)


_CODES = [(od_patch.UsageError('p', 'r'), 2), (od_patch.EnvironmentRefused('p', 'r'), 3),
          (od_patch.ExporterDeclined('p', 'r'), 4), (od_patch.InputRefused('p', 'r'), 5),
          (od_patch.CheckpointMismatch('p', 'r'), 6), (od_patch.OutputRefused('p', 'r'), 7),
          (_errors.SomeFailed('p', 'r'), 8), (_errors.ProofFailed('p', 'r'), 9), (KeyboardInterrupt(), 130),
          (_signals.Terminated(), 143),
          (ZeroDivisionError('boom'), 1), (None, 0)]


@pytest.mark.parametrize('error, code', _CODES, ids=lambda value: type(value).__name__ if value else 'None')
@pytest.mark.parametrize('flags', [[], ['--traceback'], ['--verbose']])
def test_each_end_has_its_exit_code_and_its_words(monkeypatch, capfd, error, code, flags):
    def end(argv, log, progress):
        assert signal.getsignal(signal.SIGTERM) is _signals._raise
        if error:
            raise error

    monkeypatch.setattr(export_inference_graph, '_export_as_told', end)
    before = signal.getsignal(signal.SIGTERM)
    assert export_inference_graph.main(['program'] + flags) == code
    assert signal.getsignal(signal.SIGTERM) is before
    shown = ''.join(capfd.readouterr())
    if isinstance(error, od_patch.ODPatchError):
        assert 'od-patch: p' in shown and 'r' in shown
        assert ('Traceback' in shown) == (flags == ['--traceback'])
    elif code in (130, 143):
        assert 'od-patch: interrupted' in shown
    elif code == 1:
        assert 'boom' in shown and ('Traceback (most' in shown) == bool(flags)
    else:
        assert shown == ''


@pytest.mark.parametrize('number, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize('behind', ['a stage', 'an error'])
def test_a_signal_that_something_swallows_ends_the_export_all_the_same(monkeypatch, capfd, number, code, behind):
    """As TensorFlow's bare ``except:`` and every ``__del__`` swallow it."""
    went_on = []

    def end(argv, log, progress):
        progress.stage('graph')
        try:
            signal.raise_signal(number) if hasattr(signal, 'raise_signal') else os.kill(os.getpid(), number)
            time.sleep(5)
        except BaseException:  # pylint: disable=broad-except
            pass
        if behind == 'an error':
            raise ValueError('something else')
        progress.stage('saved model')
        went_on.append(True)

    monkeypatch.setattr(export_inference_graph, '_export_as_told', end)
    assert export_inference_graph.main(['program']) == code and not went_on
    shown = ''.join(capfd.readouterr())
    assert 'od-patch: interrupted; the output directory is as it was' in shown and 'something else' not in shown


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_the_caller_ignores_is_ignored(monkeypatch, number):
    def end(argv, log, progress):
        assert signal.getsignal(number) == signal.SIG_IGN

    monkeypatch.setattr(export_inference_graph, '_export_as_told', end)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert export_inference_graph.main(['program']) == 0
    finally:
        signal.signal(number, before)


@pytest.mark.usefixtures('capfd')  # what is printed goes to a descriptor, not only to an object
@pytest.mark.parametrize('made', [False, True])
def test_who_stops_reading_the_summary_gets_an_export_that_was_made(monkeypatch, made):
    def end(argv, log, progress):
        progress.report = 'a report' if made else None
        raise BrokenPipeError

    monkeypatch.setattr(export_inference_graph, '_export_as_told', end)
    if made:
        assert export_inference_graph.main(['program']) == 0
    else:
        with pytest.raises(BrokenPipeError):
            export_inference_graph.main(['program'])


@pytest.mark.usefixtures('capfd')
def test_what_happened_is_in_the_log_file(monkeypatch, tmp_path):
    def end(argv, log, progress):
        raise od_patch.InputRefused('the problem')

    monkeypatch.setattr(export_inference_graph, '_export_as_told', end)
    assert export_inference_graph.main(['program', '--log_file', str(tmp_path / 'log')]) == 5
    assert 'Traceback' in (tmp_path / 'log').read_text() and 'the problem' in (tmp_path / 'log').read_text()
    assert export_inference_graph.main(['program', '--log_file={}/no/log'.format(tmp_path)]) == 2
    assert os.listdir(str(tmp_path)) == ['log']


@pytest.mark.usefixtures('capfd')
def test_run_exits_with_the_code(monkeypatch):
    monkeypatch.setattr(export_inference_graph, '_export_as_told', lambda *args: (_ for _ in ()).throw(
        od_patch.OutputRefused('p')))
    with pytest.raises(SystemExit) as end:
        export_inference_graph.run(['program'])
    assert end.value.code == 7


# Running somebody's script


_SCRIPT = '''
import sys
import time
from object_detection import exporter
import object_detection.exporter
from od_patch import _tensorflow

class Config:
    class eval_config:
        use_moving_averages = False

if __name__ == '__main__':
    assert sys.argv[1:2] == ['--theirs'], sys.argv
    from od_patch.checkpoint import _early
    from od_patch.config import _config
    # They ask a config of the real Object Detection API.
    _config.check, _early.check = (lambda config: None), (lambda config, inventory: None)
    with _tensorflow.tf1().Graph().as_default():
        exporter.export_inference_graph('image_tensor', Config(), *sys.argv[2:])
    sys.exit(9)
'''


@pytest.mark.parametrize('flags, code, kind', [
    ([], 9, 'VarHandleOp'), (['--saved_model_variables=reference', '--overwrite'], 9, 'VariableV2'),
    (['--strict_pin'], 4, None)])
def test_a_script_runs_with_the_patch_and_its_own_exit_code(tmp_path, flags, code, kind):
    pytest.importorskip('tensorflow')
    import numpy as np
    from tests.support import checkpoints
    from tests.support import parity
    (tmp_path / 'object_detection').mkdir()
    (tmp_path / 'object_detection' / '__init__.py').write_text('')
    with open(os.path.join(_ROOT, 'tests', 'support', 'small_exporter.py')) as source:
        (tmp_path / 'object_detection' / 'exporter.py').write_text(source.read())
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'script.py').write_text(_SCRIPT)
    prefix = str(tmp_path / 'model.ckpt-7')
    checkpoints.write_v2(prefix, {'layer/weights': np.ones((4, 2), 'f4'), 'layer/shift': np.ones(2, 'f4'),
                                  'global_step': np.int64(7)})
    output = tmp_path / 'out'
    if '--overwrite' in flags:
        (output / 'saved_model').mkdir(parents=True)
        (output / 'saved_model' / 'saved_model.pb').write_text('older')
    script = [str(tmp_path / 'mine' / 'script.py'), '--theirs', prefix, str(output)]
    result = exports.run(['-m', 'od_patch'] + flags + script,
                         environment={'PYTHONPATH': os.pathsep.join([_ROOT, str(tmp_path)])})
    assert result.exit_code == code, result.stderr[-3000:]
    assert 'is not one of the pinned releases' in result.stderr and 'never imported' not in result.stderr
    if kind is None:
        assert not output.exists() and 'Traceback' not in result.stderr
        return
    assert 'raw weights' in result.stderr
    ops = {node.op for node in parity.read_meta_graph(str(output / 'saved_model')).graph_def.node}
    assert kind in ops and len(ops & {'VarHandleOp', 'VariableV2'}) == 1


@pytest.mark.parametrize('before, theirs', [
    ([], ['--version', 'word', '-h']), (['--'], ['--version', '--overwrite', 'word', '-h'])],
    ids=['but for our options', 'all of them behind two dashes'])
def test_flags_behind_the_script_are_the_scripts(tmp_path, before, theirs):
    script = str(tmp_path / 'script.py')
    (tmp_path / 'script.py').write_text('import sys; print(sys.argv, sys.path[0])')
    result = exports.run(['-m', 'od_patch'] + before + [script, '--version', '--overwrite', 'word', '-h'])
    assert result.exit_code == 0
    assert result.stdout == '{} {}\n'.format([script] + theirs, tmp_path)


# Configs and environments


@pytest.mark.parametrize('message, text, where, remedy', [
    ('2:5 : Message type "x" has no field named "y".', 'one: 1\n  two: 2  \n', ' in line 2 ("two: 2")', 'that field'),
    ('1:1 : Enum type "x" has no value named "y".', 'one: 1', ' in line 1 ("one: 1")', 'that value'),
    ('3:1 : Expected "}".', 'one <\n', ' in line 3', 'Correct that line'),
    ('nothing known', 'x: 1', '', 'Correct that line'),
    ('1:2: Couldn\'t parse', 'x: ' * 99, ' in line 1 ("{}")'.format(('x: ' * 99)[:80]), 'Correct that line'),
    ('0:2 : odd', 'x: 1', ' in line 0', 'Correct')])
def test_what_does_not_parse_is_told_with_its_line(message, text, where, remedy):
    messages = pytest.importorskip('google.protobuf.timestamp_pb2')
    problem, what_to_do = _config._explained(message, text, 'The text', messages.Timestamp.DESCRIPTOR)
    assert problem.startswith('The text does not parse{}: '.format(where)) and remedy in what_to_do
    assert problem.endswith(message.split(' : ')[-1].split(': ')[-1])


@pytest.fixture
def pipeline(tf1_behaviour):
    pytest.importorskip('tensorflow')
    from object_detection.protos import pipeline_pb2
    return pipeline_pb2.TrainEvalPipelineConfig()


def test_a_config_is_read_with_what_overrides_it(pipeline, tmp_path):
    (tmp_path / 'pipeline.config').write_text(
        'model { ssd { num_classes: 3 feature_extractor { type: "ssd_mobilenet_v1" } } }\n'
        'eval_config { num_examples: 5 }')
    config = _config.read(str(tmp_path / 'pipeline.config'), 'model { ssd { num_classes: 4 } }')
    assert config.model.ssd.num_classes == 4 and config.eval_config.num_examples == 5
    assert _config.read(str(tmp_path / 'pipeline.config')).model.ssd.num_classes == 3


@pytest.mark.parametrize('content, override, words', [
    (b'', '', 'describes no model'), (b'model { }', '', 'describes no model'), (b'\xff', '', 'bytes that are no UTF-8'),
    (b'\0' * 8, '', 'is not a text file'),
    (b'model {', '', r'pipeline.config does not parse'),
    (b'model { ssd { } }', 'modl { }', '--config_override does not'),
    (None, '', 'There is no pipeline config'), ('a folder', '', 'is a directory')])
def test_a_config_that_is_none_is_refused(pipeline, tmp_path, content, override, words):
    path = tmp_path / 'pipeline.config'
    if content == 'a folder':
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(od_patch.InputRefused, match=words):
        _config.read(str(path), override)


@pytest.mark.parametrize('architecture, extractor, native', [
    ('ssd', 'ssd_mobilenet_v1', None), ('ssd', 'ssd_mobilenet_v1_fpn_keras', 'ssd_mobilenet_v1_fpn_keras'),
    ('faster_rcnn', 'faster_rcnn_resnet101', None), ('faster_rcnn', 'faster_rcnn_resnet50_keras', 'resnet50_keras'),
    ('ssd', 'ssd_keras', 'ssd_keras'), ('ssd', 'keras_ssd', None)])
def test_models_of_tensorflow_2s_half_are_known_by_their_extractor(pipeline, architecture, extractor, native):
    getattr(pipeline.model, architecture).feature_extractor.type = extractor
    found = _config._tf2_native(pipeline)
    assert found is None if native is None else native in found


def test_a_config_without_a_model_is_none_of_tensorflow_2s_half(pipeline):
    assert _config._tf2_native(pipeline) is None


@pytest.mark.parametrize('error, words, remedy', [
    (AttributeError("module 'tensorflow' has no attribute 'contrib'"), 'needs tf.contrib', 'make an environment with TensorFlow 1.12'),
    (ImportError('No module named tensorflow.contrib', name='tensorflow.contrib'), 'needs tf.contrib', 'TensorFlow 1'),
    (ImportError("No module named 'PIL'", name='PIL'), 'needs PIL, which', 'pip install pillow'),
    (ImportError("No module named 'json.x'", name='json.x'), 'needs json.x, and the json that is found', 'hides it'),
    (ImportError("No module named 'lvis'", name='lvis'), 'needs lvis, which cannot be imported: No module',
     'install lvis'),
    (ImportError('no x', name='object_detection.x'), 'needs object_detection.x, which cannot be found', 'PYTHONPATH'),
    (ImportError('no x', name='object_detection'), 'cannot be imported under TensorFlow', 'of the same time'),
    (ImportError('no x'), 'cannot be imported under TensorFlow', 'of the same time'),
    (AttributeError('no x'), 'cannot be imported under TensorFlow', 'of the same time')])
def test_what_keeps_the_exporter_from_being_imported_is_told(error, words, remedy):
    pytest.importorskip('tensorflow')
    refused = _environment._explained(error)
    assert words in refused.problem and remedy in refused.remedy and refused.exit_code == 3


@pytest.mark.parametrize('missing, words', [(['PIL'], '-m pip install pillow'),
                                            (['cv2', 'x'], '-m pip install opencv-python x')])
def test_packages_are_named_as_the_index_names_them(missing, words):
    refused = _environment._missing_modules(missing)
    assert words in refused.remedy and ', '.join(missing) in refused.problem


@pytest.mark.parametrize('protoc', [None, '/usr/bin/protoc'])
def test_the_command_that_compiles_the_protos_works_in_a_shell(monkeypatch, protoc):
    tensorflow = pytest.importorskip('tensorflow')
    import shutil
    monkeypatch.setattr(shutil, 'which', lambda name: protoc)
    monkeypatch.setattr(_environment, 'research_folder', lambda: '/my models/research')
    command = _environment.compile_command()
    assert "cd '/my models/research' && " in command
    assert command.endswith(('&& protoc' if protoc else 'grpc_tools.protoc -I.') +
                            ' object_detection/protos/*.proto --python_out=.')
    assert ('mktemp -d' in command) == (protoc is None)
    if protoc is None:
        assert ('grpcio-tools==1.38.1' in command) == tensorflow.__version__.startswith('1.')


def test_a_module_is_there_where_it_could_be_imported(monkeypatch):
    assert _environment._is_there('json') and _environment._is_there('json.decoder')
    assert not _environment._is_there('no_such_package') and not _environment._is_there('no_such_package.module')
    assert not _environment._is_there('json.no_such_module')
    monkeypatch.setitem(sys.modules, 'without_a_spec', types.ModuleType('without_a_spec'))
    assert _environment._is_there('without_a_spec')
    monkeypatch.setitem(sys.modules, 'taken_away', None)
    assert not _environment._is_there('taken_away')


def _findings(**changes):
    findings = _doctor.Findings()
    findings.packages.update(tensorflow='1.12.0', numpy='1.19.5', keras=None)
    findings.object_detection = {'folder': '/research', 'release': 'r1.12.0 (d7ce21fa)', 'exporter_blob': 'abc',
                                 'needs_contrib': True}
    findings.slim = '/research/slim'
    findings.protos = {'compiled': 30, 'made_by': 'protoc 3.19', 'needs_bridge': False}
    for name, value in changes.items():
        setattr(findings, name, value)
    return findings


@pytest.mark.parametrize('changes, lines, without', [
    ({}, ['tensorflow       1.12.0', 'numpy            1.19.5', 'Object Detection /research',
      '  release        r1.12.0',
          '  exporter.py    abc', '  slim           /research/slim', '  protos         30 modules, by protoc 3.19',
          'bridges          none are needed', 'Usable: export'], ['keras', 'Not usable', '✗']),
    ({'object_detection': None}, ['Object Detection not found'], ['  slim', '  protos']),
    ({'slim': None}, ['  slim           not found'], []), ({'protos': None}, ['  protos         not compiled'], []),
    ({'problems': [od_patch.EnvironmentRefused('The problem.', 'line one\nline two')]},
     ['✗ The problem.', '  line one', '  line two', 'Not usable: an export would be refused.'], ['Usable: export']),
    ({'bridges': [types.SimpleNamespace(name='one', mends='this', applies_to={}),
                  types.SimpleNamespace(name='two', mends='that', applies_to={})]},
     ['bridges          one            this', '                 two            that'], ['none are needed'])])
def test_the_doctor_shows_what_it_found(changes, lines, without):
    stream = io.StringIO()
    findings = _findings(**changes)
    _doctor.show(findings, stream)
    shown = stream.getvalue().splitlines()
    for line in lines:
        assert [text for text in shown if text.startswith(line)], line
    assert not [text for text in shown for line in without if text.startswith(line)]
    found = json.loads(json.dumps(findings.as_json()))
    assert found['usable'] == (not findings.problems) and found['format'] == 1
    assert found['packages'] == findings.packages and found['slim'] == findings.slim
    assert [(row['problem'], row['remedy']) for row in found['problems']] == [
        (error.problem, error.remedy) for error in findings.problems]
    assert [row['name'] for row in found['bridges']] == [bridge.name for bridge in findings.bridges]


def test_the_doctor_says_of_a_package_what_importing_it_says(tmp_path, monkeypatch):
    for name, text in (('whole_package', '__version__ = "7"'), ('broken_package', 'raise OSError("no library")'),
                       ('silent_package', '')):
        (tmp_path / (name + '.py')).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert _doctor._installed('whole_package') == '7' and _doctor._installed('missing_package') is None
    assert _doctor._installed('broken_package') == 'broken: no library'
    assert 'does not tell' in _doctor._installed('silent_package')


# The command od-patch


@pytest.mark.parametrize('text, names', [
    (None, None), ('', None), ('a', ['a']), ('a, b:1 ,', ['a', 'b:1']), ('a:', None), (':1', None), ('^a', None),
    ('a:x', None), ('a:1:2', None), ('a:1234567', None), ('a,b:x', None)])
def test_outputs_are_nodes_or_one_of_their_outputs(text, names):
    if names is not None or not text:
        assert _paths.names(text) == names
        return
    with pytest.raises(od_patch.UsageError, match='names no output'):
        _paths.names(text)


@pytest.mark.parametrize('paths, inputs, overwrite, words', [
    (['new'], ['read'], False, None), (['old'], ['read'], True, None), (['old'], ['read'], False, 'is there already'),
    (['read'], ['read'], True, 'belongs to what is read'), (['link'], ['read'], True, 'belongs to what is read'),
    (['folder/inner'], ['folder'], True, 'belongs to what is read'), (['folder/new'], ['folder'], True, None),
    (['folders'], ['folder'], True, None), (['new', './new'], [], True, 'Two results'),
    (['new', 'other'], [], False, None), (['new', 'old'], [], False, 'old is there already'),
    (['old'], ['missing'], True, None), (['hard'], ['read'], True, 'belongs to what is read')])
def test_what_is_read_is_never_written_over(tmp_path, monkeypatch, paths, inputs, overwrite, words):
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / 'folder').mkdir()
    for name in ('old', 'read', 'folder/inner', 'folders'):
        (tmp_path / name).write_text(name)
    os.symlink('read', 'link')
    os.link('read', 'hard')
    if words is None:
        _paths.refuse_to_replace(paths, inputs, overwrite)
        return
    with pytest.raises(od_patch.OutputRefused, match=words):
        _paths.refuse_to_replace(paths, inputs, overwrite)


@pytest.mark.parametrize('error, code', [
    (od_patch.InputRefused('p', 'what to do'), 2), (OSError('disk'), 2), (MemoryError(), 2),
    (ZeroDivisionError('boom'), 2), (click.UsageError('theirs'), None)])
def test_any_trouble_with_a_question_is_2(monkeypatch, capsys, error, code):
    pytest.importorskip('tensorflow')

    @cli._questions
    def question():
        raise error

    if code is None:
        with pytest.raises(click.UsageError):
            question()
        return
    monkeypatch.setattr(cli, 'cli', lambda prog_name: question())
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code
    shown = capsys.readouterr()
    assert shown.out == '' and shown.err.startswith('od-patch: ')
    assert ('This is a defect of od-patch' in shown.err) == isinstance(error, ZeroDivisionError)
    if isinstance(error, od_patch.ODPatchError):
        assert shown.err == 'od-patch: p\nwhat to do\n'


@pytest.mark.parametrize('error, expected', [(OSError('disk'), od_patch.OutputRefused),
                                             (od_patch.InputRefused('p'), od_patch.InputRefused),
                                             (ZeroDivisionError(), ZeroDivisionError)])
def test_commands_that_write_have_the_exit_codes_of_an_export(error, expected):
    pytest.importorskip('tensorflow')

    @cli._writes
    def write():
        raise error

    with pytest.raises(expected) as raised:
        write()
    codes = {od_patch.OutputRefused: 7, od_patch.InputRefused: 5}
    assert getattr(raised.value, 'exit_code', 1) == codes.get(expected, 1)


@pytest.mark.parametrize('arguments, code', [
    (['--version'], 0), (['--help'], 0), (['-h'], 0), (['compare'], 2), (['freeze', 'x'], 2),
    (['package', 'nowhere', 'x', '--output', 'y'], 2), (['verify', '--most_images', '0', 'x'], 2)])
def test_the_command_od_patch_says_how_it_is_used(arguments, code):
    result = click.testing.CliRunner().invoke(cli.cli, arguments)
    assert result.exit_code == code
    assert (arguments[0] == '--version') == result.output.startswith('od-patch, version')


@pytest.mark.parametrize('name, remedy', [
    ('no_such_command', 'od-patch --help lists the commands.'), ('compair', 'Did you mean od-patch compare ?'),
    ('exports', 'export_inference_graph --pipeline_config_path')])
def test_a_command_that_there_is_not_is_told_with_the_one_that_was_meant(monkeypatch, capsys, name, remedy):
    monkeypatch.setattr(sys, 'argv', ['od-patch', name])
    with pytest.raises(SystemExit) as end:
        cli.main()
    shown = capsys.readouterr()
    assert end.value.code == 2 and shown.out == ''
    assert shown.err.startswith('od-patch: od-patch has no command {!r}'.format(name)) and remedy in shown.err


def test_od_patch_export_is_export_inference_graph(monkeypatch):
    """The words as they are, streams and refusals its own."""
    asked = []

    def run(argv):
        asked.append(argv)
        raise SystemExit(7)
    monkeypatch.setattr(export_inference_graph, 'run', run)
    words = ['--pipeline_config_path=a b', '-h', '--', '--version', 'x', '--html']
    monkeypatch.setattr(sys, 'argv', ['od-patch', 'export'] + words)
    stream = sys.stdout
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 7 and sys.stdout is stream
    assert click.testing.CliRunner().invoke(cli.cli, ['export'] + words).exit_code == 7
    assert asked == [['od-patch export'] + words] * 2
    assert 'the same as export_inference_graph' in click.testing.CliRunner().invoke(cli.cli, ['--help']).output


def _completions(command, name, *words):
    """What a shell is answered at the end of a line: (kind, text) of each."""
    from click import shell_completion
    complete = shell_completion.BashComplete(command, {}, name, '_COMPLETE')
    return [(found.type, found.value) for found in complete.get_completions(list(words[:-1]), words[-1])]


def test_a_shell_completes_commands_flags_choices_and_files():
    from od_patch.command import _completion
    assert _completions(cli.cli, 'od-patch', 'ex') == [('plain', 'export')]
    assert _completions(cli.cli, 'od-patch', 'verify', '--ht') == [('plain', '--html')]
    for command, before in (cli.cli, ['export']), (_completion.Exporting('export_inference_graph'), []):
        def completed(*words):
            return _completions(command, 'name', *(before + list(words)))  # pylint: disable=cell-var-from-loop
        assert completed('--pipe') == [('plain', '--pipeline_config_path')]  # of the release
        assert ('plain', '--saved_model_variables') in completed('--sa') and ('plain', '--h') not in completed('--h')
        chosen = [('plain', 'resource'), ('plain', 'reference')]
        assert completed('--saved_model_variables', 're') == completed('--saved_model_variables', '=', 're') == chosen
        assert completed('--pipeline_config_path', '=', 'pi') == [('file', 'pi')] == completed('pi')


@pytest.mark.parametrize('program, function', [
    ('od_patch.cli', '_od_patch_completion'), ('od_patch.export_inference_graph', '_export_inference_graph_completion')])
def test_the_line_of_the_documentation_gives_bash_its_function(program, function):
    variable = function.upper().replace('COMPLETION', 'COMPLETE')
    result = exports.run(['-m', program], environment={variable: 'bash_source'})
    assert result.exit_code == 0 and result.stdout.startswith(function + '() {')
    with open(os.path.join(_ROOT, 'docs', 'flags.md'), encoding='utf-8') as page:
        assert '{}=bash_source '.format(variable) in page.read()
