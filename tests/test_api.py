"""``od_patch.export`` and its like: what the commands do and print, as functions that leave the process as it was."""
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
import types
import typing

import pytest

import od_patch
from od_patch import api
from od_patch import cli
from od_patch.api import _export
from od_patch.api import _made
from od_patch.environment import _environment
from od_patch.export import _reports
from od_patch.export import _summary
from od_patch.options import _options
from od_patch.terminal import _json
from tests import test_options
from tests import test_refusals
from tests.support import exports
from tests.support import shapes
from tools import api_reference

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Run in a process of its own. It exports what the arguments name, from Python: twice, and from a thread.
_PROGRAM = '''
import json, logging, os, sys, threading, warnings

import od_patch
assert 'tensorflow' not in sys.modules and 'od_patch.api' not in sys.modules
config, checkpoint, output = sys.argv[1:]
import tensorflow
from absl import flags
tf = getattr(tensorflow.compat, 'v1', tensorflow)
tf.constant(1, name='of_the_caller')
graph = tf.get_default_graph()

def state():
    from tensorflow.python.framework import ops
    return [tf.executing_eagerly() if hasattr(tf, 'executing_eagerly') else False,
            tf.logging.get_verbosity(), tf.get_default_graph() is graph,
            [node.name for node in graph.get_operations()],
            getattr(tf, 'resource_variables_enabled', bool)(), getattr(tf, 'control_flow_v2_enabled', bool)(),
            sorted(flags.FLAGS), sys.argv, sys.path, sys.meta_path, warnings.filters, dict(os.environ), os.getcwd(),
            logging.getLogger().handlers, logging.getLogger().level]

def shown(value):
    return repr(value)

dry = od_patch.export(config, checkpoint, output, artifacts=['saved_model', 'frozen_graph'], dry_run=True)
assert not os.path.exists(output)
before = shown(state())
stages = []
report = od_patch.export(config, checkpoint, output, progress=stages.append)
found = []
thread = threading.Thread(target=lambda: found.append(od_patch.export(
    config, checkpoint, output + '-2', artifacts='saved_model,frozen_graph')))
thread.start()
thread.join()
assert shown(state()) == before, (shown(state()), before)
if hasattr(tensorflow, 'function'):  # TensorFlow 2: what is eager works on
    assert int(tensorflow.constant(2) + 3) == 5
try:
    od_patch.export(config, checkpoint, output)
    refused = None
except od_patch.OutputRefused as error:
    refused = str(error)
with open(sys.argv[3] + '.json', 'w') as file:
    json.dump({'dry': dry.as_json(), 'report': report.as_json(), 'of_a_thread': found[0].as_json(), 'stages': stages,
               'refused': refused}, file)
'''


@pytest.fixture(scope='module')
def exported(tmp_path_factory, checkpoint_of):
    """(the folder of an export that was made from Python, what the program above has to say of it)."""
    folder = str(tmp_path_factory.mktemp('api') / 'export')
    result = exports.run(['-c', _PROGRAM, exports.config_path('ssd'), checkpoint_of('ssd'), folder])
    assert result.exit_code == 0, result.stderr[-3000:]
    assert result.stdout == ''
    with open(folder + '.json') as file:
        return folder, json.load(file)


def _without_times(value, *folders):
    """What JSON has of a report, without seconds, and with the names of folders all alike."""
    # A proof says how large files are: the graph of the one was written in another order of its maps.
    text = re.sub(r'[\d,.]+ ([kM]?B|bytes)\b', 'SIZE', json.dumps(value))
    for folder in folders:
        text = text.replace(str(folder), 'FOLDER')

    def plain(part):
        if isinstance(part, dict):
            return {key: plain(row) for key, row in part.items() if key not in ('seconds', 'bytes')}
        return [plain(row) for row in part] if isinstance(part, list) else part
    return plain(json.loads(text))


def test_an_export_from_python_is_that_of_the_command_and_reports_what_its_json_prints(exported, checkpoint_of, tmp_path):
    folder, told = exported
    result = exports.ours(exports.config_path('ssd'), checkpoint_of('ssd'), tmp_path / 'export', json=True)
    assert result.exit_code == 0, result.stderr[-3000:]
    printed = json.loads(result.stdout)
    assert _without_times(printed, tmp_path / 'export') == _without_times(told['report'], folder)
    assert od_patch.compare(folder, str(tmp_path / 'export')).verdict == 'identical'
    for name in ('model.ckpt.index', 'saved_model/variables/variables.data-00000-of-00001'):
        with open(os.path.join(folder, name), 'rb') as one, open(str(tmp_path / 'export' / name), 'rb') as other:
            assert one.read() == other.read()
    report = _made.made(api.ExportReport, printed)
    assert os.path.isdir(report.proof.subject.saved_model) and report.proof.subject.given == report.output
    assert report.as_json() == printed and report.variables and report.step == 1234 and report.proof.ok
    assert {row.path: row.bytes for row in report.files} == {
        os.path.relpath(os.path.join(place, name), str(tmp_path / 'export')):
            os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(str(tmp_path / 'export')) for name in names}
    assert report.signature.inputs['inputs'].dtype == 'uint8'
    assert report.signature.inputs['inputs'].shape == [None, None, None, 3]
    assert pickle.loads(pickle.dumps(report)) == report


def test_a_dry_run_tells_what_the_export_then_writes_and_a_thread_makes_the_same(exported):
    folder, told = exported
    dry, made = told['dry'], told['of_a_thread']
    assert dry['dry_run'] and not made['dry_run']
    assert [row['path'] for row in dry['files']] == [row['path'] for row in made['files']]
    assert {row['bytes'] for row in dry['files']} == {None}
    for name in ('artifacts', 'checkpoint', 'step', 'weights', 'release', 'tensorflow', 'kind', 'notes'):
        assert dry[name] == made[name], name
    assert (dry['signature'], dry['variables'], dry['proof']) == (None, None, None)
    assert told['report']['signature'] == made['signature']
    assert told['stages'][:3] == ['imports', 'checks', 'graph'] and told['stages'][-1] == 'moving into place'
    assert 'holds an export already' in told['refused']


def test_the_other_functions_return_what_their_commands_print(exported, tmp_path):
    folder, _ = exported
    calls = [
        (['verify', folder, '--quick'], lambda: od_patch.verify(folder, quick=True)),
        (['compare', folder, folder], lambda: od_patch.compare(folder, folder)),
        (['inspect', folder], lambda: od_patch.inspect(folder)),
        (['freeze', folder + '/saved_model', '--output', '{}/frozen.pb'],
         lambda: od_patch.freeze(folder + '/saved_model', tmp_path / 'python' / 'frozen.pb')),
        (['package', 'kserve', folder, '--output', '{}/package'],
         lambda: od_patch.package('kserve', folder, tmp_path / 'python' / 'package')),
        (['publish', folder, '{}/models', '--model_version', '7'],
         lambda: od_patch.publish(folder, tmp_path / 'python' / 'models', model_version=7)),
        (['request', folder, '--output', '{}/try'], lambda: od_patch.request(folder, tmp_path / 'python' / 'try')),
        (['unfreeze', folder + '/frozen_inference_graph.pb', '--variables'],
         lambda: od_patch.unfreeze(folder + '/frozen_inference_graph.pb')),
        (['doctor'], od_patch.doctor)]
    for name in ('python', 'command'):
        (tmp_path / name).mkdir()
    for arguments, call in calls:
        typed = [argument.format(tmp_path / 'command') for argument in arguments]
        command = exports.fork('od_patch.cli', typed + ['--json'])
        assert command.exit_code == 0, command.stderr
        value = call()
        assert isinstance(value, tuple) and type(value).__name__ in od_patch.__all__
        assert _without_times(json.loads(command.stdout), tmp_path / 'command') == _without_times(
            json.loads(_json.strict(value.as_json())), tmp_path / 'python'), arguments
        assert _made.made(type(value), value.as_json()) == value
    # That of regenerate is tested with its other answers, as it exports. Exporting has tests above.
    assert {arguments[0] for arguments, _ in calls} == set(cli.cli.commands) - {'regenerate', 'export', 'cache'}


@pytest.mark.usefixtures('tf1_behaviour')
def test_many_checkpoints_from_python(tmp_path):
    folder = tmp_path / 'training'
    folder.mkdir()
    for end in ('.index', '.data-00000-of-00001'):
        os.symlink(shapes.CHECKPOINT + end, str(folder / ('model.ckpt-4100' + end)))
        (folder / ('model.ckpt-5' + end)).write_bytes(b'damaged')
    with pytest.raises(od_patch.ODPatchError):
        od_patch.export(shapes.CONFIG, folder / 'model.ckpt-5', tmp_path / 'one')
    planned = od_patch.export(shapes.CONFIG, shapes.FOLDER, tmp_path / 'many', all_checkpoints=True, dry_run=True)
    assert isinstance(planned, api.SeriesReport) and not (tmp_path / 'many').exists()
    assert [(row.step, row.outcome) for row in planned.checkpoints] == [(4100, 'to export')]


# Refusals of command lines, of what is not installed, and of what only the graph can tell.
_OF_COMMANDS = {'before', 'without', 'environment', 'log_file', 'saved_model_variable', 'additional_output_tensor_names'}


@pytest.mark.once
@pytest.mark.parametrize('case', [
    case for case in test_refusals.CASES if not case.values[0].prepare and not _OF_COMMANDS & set(case.values[0].flags)
    and case.values[0].words != ('graph_rewriter with quantization',)])
def test_refusals_are_those_of_the_command_and_those_of_a_dry_run(case, checkpoint_of, tmp_path):
    flags = dict(case.flags)
    arguments = [flags.pop('config', exports.config_path('ssd')),
                 flags.pop('prefix') if 'prefix' in flags else checkpoint_of('ssd'), flags.pop('output', tmp_path / 'out')]
    words = set()
    for dry in (True, False):
        try:
            with pytest.raises(od_patch.ODPatchError) as caught:
                od_patch.export(*arguments, dry_run=dry, **flags)
        except ValueError as error:  # a choice that there is not; the flag's own parser refuses it
            assert case.heading == 'flag --' and flags['saved_model_variables'] in str(error)
            return
        assert caught.value.exit_code == case.code
        assert all(word in str(caught.value) for word in case.words)
        words.add(str(caught.value))
    assert len(words) == 1 and not os.listdir(str(tmp_path))


@pytest.mark.once
@pytest.mark.parametrize('option', [option for option in test_options.OPTIONS if option.values[0].keyword])
def test_an_option_is_the_same_as_a_keyword_and_as_a_flag(option):
    example = test_options.EXAMPLES[option.name]
    typed = {option.name: example.value}
    for given in ({option.name: example.value}, {option.name: example.typed}):
        if option.kind.name in ('bool', 'int', 'float') and given[option.name] is not example.value:
            continue
        chosen, of_the_release = _export._split(given)
        assert (chosen, of_the_release) == (typed, {})
    assert _export._split({option.name: None}) == ({}, {})
    assert option.name in od_patch.export.__doc__
    assert ' '.join(option.help.split()) in ' '.join(od_patch.export.__doc__.split())
    beside = {} if option.name not in ('model_version', 'keep', 'model_name') else {'serving_directory': 'models'}
    assert _options.for_exports(dict(typed, **beside)) == _options.for_exports(
        dict(_export._split({option.name: example.value})[0], **beside))


@pytest.mark.once
@pytest.mark.parametrize('name, nearest', [('verfy', 'verify'), ('input_shap', ''), ('json', ''), ('log_file', '')])
def test_a_keyword_that_there_is_not_is_refused_before_anything_else(name, nearest):
    with pytest.raises(TypeError, match='no option {!r}.*{}'.format(name, nearest)):
        od_patch.export('no config', 'no checkpoint', 'nowhere', **{name: True})


@pytest.mark.once
@pytest.mark.parametrize('shape, text', [
    (None, None), ('', None), ([1, 300, 300, 3], '1,300,300,3'), ((None, -1, 300, 3), '-1,-1,300,3'), ('1,2,3,3', '1,2,3,3')])
def test_an_input_shape_is_a_list_or_what_the_flag_takes(shape, text):
    assert _export._shape_text(shape) == text


@pytest.mark.once
def test_importing_od_patch_does_not_import_what_its_functions_return():
    program = ('import sys, types, od_patch\n'
               'sys.modules["tensorflow_io"] = types.ModuleType("tensorflow_io")  # that half imports it\n'
               'assert not [name for name in sys.modules if name.startswith("od_patch.api")]\n'
               'import inspect\n'
               'assert "od_patch.api" not in sys.modules\n'
               'import od_patch.compare._verdict, od_patch.unfreeze._recovered\n'
               'from od_patch.export import _export\n'
               'for name in od_patch.__all__:\n'
               '    value = getattr(od_patch, name)\n'
               '    assert name == "__version__" or value.__doc__, name\n'
               '    assert not inspect.ismodule(value), name\n')
    subprocess.check_call([sys.executable, '-c', program], cwd=_ROOT)


@pytest.mark.once
def test_the_package_is_pickled_by_its_name():
    """As a module proper is by what sends programs to other processes."""
    assert pickle.loads(pickle.dumps(od_patch)) is od_patch


@pytest.mark.once
def test_every_function_is_annotated_and_says_what_it_returns():
    for name in od_patch.__all__:
        function = getattr(od_patch, name)
        if not inspect.isfunction(function) or name in ('install', 'uninstall', 'patched'):
            continue
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, name
        assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
        for parameter in signature.parameters:
            assert parameter in function.__doc__, (name, parameter)


@pytest.mark.once
def test_what_commands_print_is_what_the_types_have_fields_for():
    results = [value for value in vars(api).values() if hasattr(value, '_fields')]
    assert {kind.__name__ for kind in results if hasattr(kind, 'as_json')} | {'CheckpointReport'} == {
        name for name in od_patch.__all__ if hasattr(getattr(od_patch, name), '_fields')}
    with pytest.raises(TypeError, match='no field for new'):
        _made.made(api.Problem, {'problem': 'a', 'remedy': 'b', 'new': 1})


class _Inner(typing.NamedTuple):
    a: int


class _Outer(typing.NamedTuple):
    one: _Inner
    many: typing.List[_Inner]
    named: typing.Dict[str, _Inner]
    maybe: typing.Optional[_Inner]
    shape: typing.Optional[typing.List[typing.Optional[int]]]
    plain: typing.Dict[str, typing.Any]


@pytest.mark.once
@pytest.mark.parametrize('maybe', [None, {'a': 3}])
@pytest.mark.parametrize('shape', [None, [], [None, 3]])
def test_named_tuples_are_made_of_json_and_are_json_again(maybe, shape):
    value = {'one': {'a': 1}, 'many': [{'a': 2}], 'named': {'x y': {'a': 4}}, 'maybe': maybe, 'shape': shape,
             'plain': {'deep': [{'a': 1}]}}
    made = _made.made(_Outer, value)
    assert made.many == [_Inner(2)] and made.named == {'x y': _Inner(4)} and made.plain == {'deep': [{'a': 1}]}
    assert made.maybe == (maybe and _Inner(3)) and made.shape == shape
    assert _made.plain(made) == value


@pytest.mark.once
def test_an_api_that_was_imported_as_the_other_half_is_refused_in_words(monkeypatch):
    """As the model builder is then: importing that half takes packages that these environments lack."""
    half = types.ModuleType('object_detection.builders.model_builder')
    half.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP = {}
    monkeypatch.setitem(sys.modules, half.__name__, half)
    with pytest.raises(od_patch.EnvironmentRefused, match='was imported before od-patch') as refused:
        _environment.import_exporter()
    assert 'od_patch.export()' in refused.value.remedy


@pytest.mark.once
@pytest.mark.parametrize('path, made', [(api_reference.PAGE, api_reference.page), (api_reference.STUB, api_reference.stub)])
def test_the_page_and_the_stub_are_what_the_docstrings_and_the_options_make(path, made):
    with open(path, encoding='utf-8') as file:
        assert file.read() == made(), 'python -m tools.api_reference writes it'


@pytest.mark.once
def test_the_page_has_every_name_and_the_stub_every_option():
    page, stub = api_reference.page(), api_reference.stub()
    for name in od_patch.__all__:
        assert '`{}`'.format(name) in page or '### {}\n'.format(name) in page or name == '__version__'
        assert re.search(r'\b{}\b'.format(name), stub), name
    export = stub[stub.index('def export('):stub.index('def verify(')]
    for option in _options.TABLE.values():
        assert export.count('    {}: '.format(option.name)) == 4 * option.keyword, option.name
    compile(stub, 'stub', 'exec')


@pytest.mark.once
def test_a_dry_run_leaves_what_a_killed_run_left_and_tells_of_it_and_of_all_else_that_would_be_written(tmp_path):
    (tmp_path / '.out.od-patch').mkdir()
    (tmp_path / 'models' / '4').mkdir(parents=True)
    before = sorted(os.walk(str(tmp_path)))
    report = od_patch.export(
        shapes.CONFIG, shapes.FOLDER, tmp_path / 'out', dry_run=True, serving_directory=tmp_path / 'models',
        example_request=tmp_path / 'try', label_map_path=shapes.LABEL_MAP, warmup_images=[])
    assert sorted(os.walk(str(tmp_path))) == before
    notes = '\n'.join(report.notes)
    assert str(tmp_path / '.out.od-patch') in notes and 'was killed' in notes
    assert 'published as version 5: {}'.format(tmp_path / 'models' / '5') in notes
    assert 'written to {}'.format(tmp_path / 'try') in notes
    assert (report.weights, report.step, report.replaced) == ('moving averages', 4100, False)
    paths = {row.path for row in report.files}
    assert {'saved_model/assets/label_map.pbtxt', 'saved_model/assets.extra/tf_serving_warmup_requests'} <= paths


@pytest.mark.once
def test_a_dry_run_is_told_in_words_and_refused_where_an_export_is_there(tmp_path, capsys):
    report = _reports.Report(
        'out', [('pipeline.config', None)], None, 'resource', False, 'model.ckpt-7', 7, None, {'pipeline_config'}, 'r', True, [],
        [], dry_run=True)
    _summary.show_summary(report, 1, sys.stdout)
    assert 'Would replace the export in out\n' in capsys.readouterr().out
    assert _summary.summary_line(report) == 'od-patch: would replace the export in out; nothing was written'
    assert _summary.state_of_output(report) == 'the output directory is as it was'
    (tmp_path / 'saved_model').mkdir()
    (tmp_path / 'saved_model' / 'saved_model.pb').write_bytes(b'')
    for dry in (True, False):
        with pytest.raises(od_patch.OutputRefused, match='holds an export already'):
            od_patch.export(shapes.CONFIG, shapes.FOLDER, tmp_path, dry_run=dry)
    assert od_patch.export(shapes.CONFIG, shapes.FOLDER, tmp_path, dry_run=True, overwrite=True).replaced


@pytest.mark.once
def test_what_is_left_out_of_json_is_left_out_again():
    listed = {'frozen': 'a.pb', 'variables': [], 'inputs': {'inputs': 'a:0'}, 'outputs': {}, 'notes': []}
    made = _made.made(api.Unfrozen, listed)
    assert made.saved_model is None and made.as_json() == listed
