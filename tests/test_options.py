"""Every option of an export, over the table: wherever one can be given, each can, and means the same."""
import ast
import inspect
import os
import subprocess
import sys
import typing

import hypothesis
import hypothesis.strategies
import pytest

import od_patch
from od_patch import _option
from od_patch import steps
from od_patch.export import _observer
from od_patch.export import _reports
from od_patch.export import _request
from od_patch.export import _series
from od_patch.export import _summary
from od_patch.options import _flags
from od_patch.options import _options
from tests.support import exports
from tools import flag_table

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FLAGS = pytest.importorskip('absl.flags')

OPTIONS = [pytest.param(option, id=option.name) for option in _options.TABLE.values()]


class Example(typing.NamedTuple):
    """An option as it is typed, and the value that it has then."""

    typed: str
    value: object


# One value that is not the default, for every option: a new one gets its own here, or the tests below say so.
EXAMPLES = {
    'strict_pin': Example('true', True),
    'saved_model_variables': Example('reference', 'reference'),
    'overwrite': Example('true', True),
    'additional_output_tensor_names': Example('one, two', ['one', 'two']),
    'artifacts': Example('saved_model', ('saved_model',)),
    'profile_graph': Example('false', False),
    'all_checkpoints': Example('true', True),
    'checkpoint_steps': Example('100,200', frozenset([100, 200])),
    'watch': Example('true', True),
    'watch_interval': Example('2.5', 2.5),
    'label_map_path': Example('~/map.pbtxt', os.path.expanduser('~/map.pbtxt')),
    'extra_signatures': Example('encoded_image_bytes', ['encoded_image_bytes']),
    'signature_outputs': Example('detection_boxes', ['detection_boxes']),
    'signature_input_name': Example('image', 'image'),
    'target_tf': Example('1.12', '1.12'),
    'verify': Example('true', True),
    'warmup_images': Example('~/photos,b.png', [os.path.expanduser('~/photos'), 'b.png']),
    'serving_directory': Example('~/models', os.path.expanduser('~/models')),
    'model_version': Example('7', '7'),
    'keep': Example('3', 3),
    'model_name': Example('shapes', 'shapes'),
    'example_request': Example('~/try', os.path.expanduser('~/try')),
    'dry_run': Example('true', True),
    'json': Example('true', True),
    'verbose': Example('true', True),
    'log_file': Example('~/export.log', os.path.expanduser('~/export.log')),
    'traceback': Example('true', True),
}

# These change neither what a SavedModel of a series is nor what is proved of it. All others are ingredients.
NO_INGREDIENTS = {
    'strict_pin', 'overwrite', 'artifacts', 'profile_graph', 'all_checkpoints', 'checkpoint_steps', 'watch',
    'watch_interval', 'label_map_path', 'serving_directory', 'model_version', 'keep', 'model_name', 'example_request',
    'dry_run', 'json', 'verbose', 'log_file', 'traceback'}


def _read(*arguments):
    """Returns what ``python -m od_patch`` makes of a command line."""
    from od_patch import __main__ as program
    return program._read(list(arguments))


def _typed(option):
    return '--{}={}'.format(option.name, EXAMPLES[option.name].typed)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / 'my_export.py'
    path.write_text('print("hello")\n')
    return str(path)


@pytest.mark.parametrize('option', OPTIONS)
def test_every_option_is_a_flag_of_the_command(option):
    values = _FLAGS.FlagValues()
    _flags.define(_FLAGS, values)
    assert _flags.values(values) == {}
    values(['export_inference_graph', _typed(option)])
    assert _flags.values(values) == {option.name: EXAMPLES[option.name].value}
    assert ' '.join(option.help.split()) in ' '.join(_flags.explained(values).split()) and option.help.endswith('.')


@pytest.mark.parametrize('option', OPTIONS)
def test_every_option_is_one_of_python_m_before_the_script_and_behind_it(option, script):
    example = EXAMPLES[option.name]
    before = _read(_typed(option), script, 'argument')
    behind = _read(script, 'argument', _typed(option))
    assert before[:3] == behind[:3] == ({option.name: example.value}, script, ['argument'])


@pytest.mark.parametrize('option', [option for option in OPTIONS if option.values[0].keyword])
def test_every_option_is_a_keyword_of_patched_with_the_flags_meaning(option):
    parameter = inspect.signature(od_patch.patched).parameters[option.name]
    assert parameter.default == option.default
    assert ' '.join(option.help.split()) in ' '.join(od_patch.patched.__doc__.split())
    assert '\n    {}: {}. '.format(option.name, option.kind.name) in inspect.getdoc(od_patch.patched), 'as wide as exporter:'
    example = EXAMPLES[option.name]
    for given in (example.typed, example.value):  # as the flag has it, and as Python does
        if option.kind in (_option.SWITCH, _option.NUMBER) and given is not example.value:
            continue
        assert _options.values({option.name: given}) == {option.name: example.value}
    assert _options.values({option.name: None}) == {}, 'None is what is not given'


def test_the_commands_alone_have_those_of_the_terminal():
    assert [option.name for option in _options.TABLE.values() if not option.keyword] == [
        'json', 'verbose', 'log_file', 'traceback']


@pytest.mark.parametrize('option', OPTIONS)
def test_every_option_that_changes_an_export_or_its_proof_makes_a_series_do_it_anew(option):
    def recipe(chosen):
        options = _request.Options(asked=chosen, ingredients=_options.ingredients(chosen))
        return _series._recipe(_request.Request(options, None, 'release', {'input_type': 'image_tensor'}, '', []))
    changed = recipe({option.name: EXAMPLES[option.name].value}) != recipe({})
    assert changed == (option.name not in NO_INGREDIENTS)
    assert recipe({option.name: option.default}) == recipe({})


def test_what_a_new_option_is_to_a_series_is_an_ingredient():
    assert _option.Option('new', _option.TEXT, None, 'Something.').ingredient


@pytest.mark.parametrize('step', steps.STEPS, ids=lambda step: step.name)
def test_a_step_acts_where_one_of_its_options_is_given_and_only_there(step):
    names = {option.name for option in step.options}
    beside = {name: example.value for name, example in EXAMPLES.items() if name in names}
    assert [type(one) for one in steps.active(beside) if not one.always or isinstance(one, step)] == [step]
    assert [type(one) for one in steps.active({})] == [one for one in steps.STEPS if one.always]


_CORE = ['export_inference_graph.py', 'saved_model/_saved_model.py'] + sorted(
    '{}/{}'.format(room, name) for room in ('export', 'options', 'patch')
    for name in os.listdir(os.path.join(_ROOT, 'od_patch', room)) if name.endswith('.py'))


@pytest.mark.parametrize('module', _CORE)
def test_the_core_knows_moments_and_no_capability(module):
    with open(os.path.join(_ROOT, 'od_patch', module), encoding='utf-8') as source:
        text = source.read()
    # The release's own: its functions have parameters of that name, which the patch has to know.
    names = {option.name for step in steps.STEPS for option in step.options if '_' in option.name} - {
        'additional_output_tensor_names'}
    assert [name for name in sorted(names) if name in text] == []
    imported = {alias.name if isinstance(node, ast.Import) else '{}.{}'.format(node.module, alias.name)
                for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))
                for alias in node.names}
    rooms = ('od_patch.serving', 'od_patch.proof', 'od_patch.steps.')
    assert [name for name in sorted(imported) if name.startswith(rooms)] == []


@pytest.mark.parametrize('option', OPTIONS)
def test_the_docs_have_a_row_for_every_option(option):
    with open(os.path.join(_ROOT, 'docs', 'flags.md'), encoding='utf-8') as page:
        assert flag_table.row(option) in page.read().splitlines(), 'python -m tools.flag_table writes it'


@pytest.mark.parametrize('name', ['~', '~/a', '~root/a', 'a/~', '/a', ''])
def test_a_leading_tilde_is_expanded_in_every_path_and_nothing_else_is(name):
    kinds = set()
    for option in _options.TABLE.values():
        if option.kind is _option.PATH:
            assert option.value(name) == os.path.expanduser(name)
        elif option.kind is _option.PATHS and name:
            assert option.value(name) == option.value([name]) == [os.path.expanduser(name)]
        elif option.kind is _option.TEXT:
            assert option.value(name) == name
        kinds.add(option.kind)
    assert {_option.PATH, _option.PATHS, _option.TEXT} <= kinds


@pytest.mark.parametrize('name, nearest', [('verfy', 'verify'), ('label_map_pth', 'label_map_path'), ('xyz', None)])
def test_an_option_that_there_is_not_is_refused_with_the_nearest(name, nearest, script):
    with pytest.raises(TypeError, match=name) as caught:
        od_patch.patched(**{name: True})
    with pytest.raises(od_patch.UsageError, match='There is no flag --' + name) as refused:
        _read('--{}=1'.format(name), script)
    if nearest:
        assert 'Did you mean {} ?'.format(nearest) in str(caught.value)
        assert 'Did you mean --{} ?'.format(nearest) in str(refused.value)


@pytest.mark.parametrize('source', [
    'from absl import flags\nflags.DEFINE_bool("overwrite", False, "mine")', 'parser.add_argument("-o", "--overwrite")',
    '@click.option("--overwrite/--no-overwrite")\ndef main(overwrite): pass',
    'import getopt, sys\ngetopt.getopt(sys.argv[1:], "o", ["overwrite"])', 'import sys\n"--overwrite" in sys.argv',
    'tf.app.flags.DEFINE_boolean(\n    "overwrite", False, "mine")'])
def test_an_option_that_a_script_defines_itself_stays_the_scripts(source, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(source + '\n')
    chosen, _, arguments, notes = _read('--strict_pin', str(path), '--overwrite', '--verify')
    assert (chosen, arguments) == ({'strict_pin': True, 'verify': True}, ['--overwrite'])
    assert len(notes) == 1 and notes[0].startswith('--verify taken from the arguments')
    assert _read('--overwrite', str(path))[0] == {'overwrite': True}, 'before the script they are od-patch\'s'


@pytest.mark.parametrize('arguments', [
    ['--theirs', '1'], ['--theirs=--verify'], ['-x'], ['--', '--verify'], ['a', '--nothing_of_ours'], ['-1,300,300,3']])
def test_what_is_not_ours_is_passed_on_as_it_is(script, arguments):
    assert _read(script, *arguments) == ({}, script, arguments, [])


def test_behind_two_dashes_all_arguments_are_the_scripts(script):
    assert _read('--overwrite', '--', script, '--verify') == ({'overwrite': True}, script, ['--verify'], [])


def test_a_tilde_in_the_paths_of_the_releases_script_is_expanded_as_in_the_command(script, tmp_path):
    arguments = ['--pipeline_config_path=~/a', '--trained_checkpoint_prefix=~/b', '--output_directory=~/c',
                 '--config_override=~']
    assert _read(script, *arguments)[2] == arguments, 'what is another script\'s is left alone'
    own = tmp_path / 'object_detection' / 'export_inference_graph.py'
    own.parent.mkdir()
    own.write_text('')
    assert _read(str(own), *arguments)[2] == [
        argument.replace('~/', os.path.expanduser('~/')) for argument in arguments]


_WORDS = hypothesis.strategies.lists(hypothesis.strategies.sampled_from(
    [(_typed(option.values[0]),) for option in OPTIONS] +
    [('--' + name, EXAMPLES[name].typed) for name in ('target_tf', 'keep', 'serving_directory', 'label_map_path')] +
    [('--verify',), ('--noverify',), ('--theirs',), ('word',), ('-x',), ('--their=1',)]), max_size=8)


@hypothesis.given(before=_WORDS, behind=_WORDS)
def test_whatever_the_order_ours_are_taken_and_theirs_stay_in_theirs(tmp_path_factory, before, behind):
    script = tmp_path_factory.getbasetemp() / 'any.py'
    script.write_text('pass\n')

    def ours(words):
        return [word for word in words if _flags.split(word)[0]]
    before = ours(before)
    flat = [argument for words in before + [(str(script),)] + behind for argument in words]
    chosen, _, arguments, _ = _read(*flat)
    values = _FLAGS.FlagValues()
    _flags.define(_FLAGS, values)
    values(['program'] + [argument for words in before + ours(behind) for argument in words])
    assert chosen == _flags.values(values)
    assert arguments == [argument for words in behind if words not in ours(behind) for argument in words]


def _accepted(refused, call):
    """Returns whether a call takes its target, of which ``refused`` is what is said where it does not."""
    try:
        call()
    except od_patch.UsageError as error:
        return refused not in error.problem
    except od_patch.ODPatchError:
        pass  # it went on to what it was asked of
    return True


def _both_take(version):
    """Returns whether the export and ``od-patch verify`` take a --target_tf."""
    from od_patch import proof
    return (_accepted('is no release of TensorFlow', lambda: steps.active({'target_tf': version})),
            _accepted('the table of ops has', lambda: proof.verify(target_tf=version, quick=True)))


@pytest.mark.parametrize('version, taken', [
    ('1.12', True), (' 1.12', True), ('1.12 ', True), ('1.12.0', True), ('1.12.3', True), ('1.12.0.post1', True),
    ('1.15.5+nv23.3', True), ('2.15.0rc1', True), ('2.15.0-rc1', True), ('1.4', True), ('', True),
    ('1.3', False), ('1.120', False), ('1.99', False), ('1', False), ('1.', False), ('.12', False), ('1 .12', False),
    ('1.12.', False), ('1.12/x', False), ('one', False), ('\uff11.\uff11\uff12', False), ('1.12\n2.0', False)])
def test_an_export_and_its_proof_take_the_same_targets(version, taken):
    assert _both_take(version) == (taken, taken)


@hypothesis.settings(deadline=None)
@hypothesis.given(hypothesis.strategies.one_of(
    hypothesis.strategies.text(max_size=12),
    hypothesis.strategies.from_regex(r'\A\s?[0-2]\.[0-9]{1,2}[.+_-]?[0-9a-z.+-]{0,6}\s?\Z')))
def test_an_export_and_its_proof_agree_on_any_target(version):
    export, verify = _both_take(version)
    assert export == verify


def test_a_label_map_or_an_image_of_other_content_makes_a_series_do_it_anew(tmp_path):
    pytest.importorskip('tensorflow')
    image = tmp_path / 'one.png'

    def recipe(content):
        image.write_bytes(content)
        given = {'warmup_images': [str(tmp_path)]}
        options = _request.Options(asked=given, ingredients=_options.ingredients(given))
        return _series._recipe(_request.Request(options, None, 'release', {}, '', steps.active(given)))
    assert recipe(b'first') == recipe(b'first') != recipe(b'other')

    class Read(steps.labels.Labels):
        """As it is when its file was read."""
        def __init__(self, content):
            super().__init__('map.pbtxt')
            self._content = content

    def with_labels(content):
        return _series._recipe(_request.Request(_request.Options(), None, 'release', {}, '', [Read(content)]))
    assert with_labels(b'first') == with_labels(b'first') != with_labels(b'other')


def test_a_log_goes_home(script, tmp_path):
    """What can be known before TensorFlow is imported, and in both commands."""
    home = {'HOME': str(tmp_path)}
    result = exports.run(['-m', 'od_patch', '--log_file=~/one.log', script], environment=home)
    assert (result.exit_code, result.stdout) == (0, '')
    assert (tmp_path / 'one.log').read_text() == 'hello\n' and 'never imported' in result.stderr
    for arguments in (['--log_file=~/two.log'], ['--log_file', '~/two.log']):
        result = exports.run(['-m', 'od_patch.export_inference_graph', '--version'] + arguments, environment=home)
        assert result.exit_code == 0, result.stderr
        os.remove(str(tmp_path / 'two.log'))
    result = exports.run(['-m', 'od_patch', '--log_file=~/no/log', script], environment=home)
    assert result.exit_code == 2 and 'The log cannot be written to' in result.stderr


@pytest.mark.parametrize('arguments, words', [
    ([], 'There is no script'), (['--verify'], 'There is no script'),
    (['--verfy', 'SCRIPT'], 'Did you mean --verify ?'),
    (['SCRIPT', '--artifacts=all'], "asks for 'all'"), (['SCRIPT', '--keep=three'], '--keep=three'),
    (['SCRIPT', '--keep=3'], 'Give --serving_directory, too'),
    (['--checkpoint_steps=one', 'SCRIPT'], 'no list of global steps'),
    (['SCRIPT', '--watch', '--watch_interval=0'], 'is no time'), (['SCRIPT', '--saved_model_variables=some'], 'some'),
    (['SCRIPT', '--target_tf=1.99'], 'is no release of TensorFlow'), (['SCRIPT', '--log_file'], 'log_file')])
def test_what_cannot_be_meant_is_refused_before_the_script_runs(script, arguments, words):
    result = exports.run(['-m', 'od_patch'] + [script if word == 'SCRIPT' else word for word in arguments])
    assert (result.exit_code, result.stdout) == (2, ''), result.stderr
    assert words in result.stderr and 'Traceback' not in result.stderr


def test_help_and_version_need_no_script():
    told = exports.run(['-m', 'od_patch', '--help'])
    assert told.exit_code == 0 and all('--' + name in told.stdout.replace('[no]', '') for name in EXAMPLES)
    assert exports.run(['-m', 'od_patch', '--version']).stdout == 'od-patch, version {}\n'.format(od_patch.__version__)


def test_a_series_is_told_in_one_line():
    results = [_reports.Result('a', 1, outcome, None, None)
               for outcome in (_reports.EXPORTED, _reports.SKIPPED, _reports.EXPORTED)]
    line = _summary.summary_line(_reports.SeriesReport('out', results, [], [], 'r'))
    assert line == 'od-patch: out: 2 exported, 1 done before'


class _Outcomes(_observer.Observer):

    def __init__(self):
        self.seen = []

    def checkpoint(self, result):
        self.seen.append(result.outcome)


@pytest.mark.xdist_group('ssd')
@pytest.mark.usefixtures('tf1_behaviour')
def test_what_is_there_and_was_not_verified_is_not_taken_for_verified(checkpoint_of, tmp_path):
    pytest.importorskip('object_detection')
    outcomes = _Outcomes()
    for options in ({}, {}, {'verify': True}, {'verify': True}):
        exports.in_process('ssd', checkpoint_of('ssd'), str(tmp_path / 'out'), all_checkpoints=True, _observer=outcomes,
                           **options)
    assert outcomes.seen == ['exported', 'done before', 'exported', 'done before']


def test_importing_od_patch_loads_nothing_but_the_standard_library():
    program = (
        'import sys\n'
        'before = set(sys.modules)\n'
        'import od_patch\n'
        'for name in sorted(set(sys.modules) - before):\n'
        '    print(name, getattr(sys.modules[name], "__file__", None) or "-")\n')
    loaded = dict(line.split(' ', 1) for line in subprocess.check_output(
        [sys.executable, '-c', program], cwd=_ROOT, universal_newlines=True).splitlines())
    assert 'od_patch.export._export' in loaded
    assert [name for name, path in loaded.items() if 'site-packages' in path] == []
    assert set(loaded).isdisjoint(
        ['numpy', 'tensorflow', 'absl', 'rich', 'click', 'google_crc32c', 'google.protobuf', 'PIL'])


@pytest.mark.xdist_group('ssd')
def test_the_releases_script_takes_every_option_and_refuses_what_nobody_knows(research, checkpoint_of, tmp_path):
    script = os.path.join(research, 'object_detection', 'export_inference_graph.py')
    flags = exports.flags_of(exports.config_path('ssd'), checkpoint_of('ssd'), tmp_path / 'export')
    options = ['--artifacts=saved_model', '--serving_directory={}'.format(tmp_path / 'm')]
    refused = exports.run(['-m', 'od_patch', script] + flags + options + ['--verify', '--nonsense=1'])
    assert refused.exit_code == 2, refused.stderr[-3000:]
    assert 'There is no flag --nonsense.' in refused.stderr and 'Traceback' not in refused.stderr
    assert not os.path.exists(str(tmp_path / 'export')) and not os.path.exists(str(tmp_path / 'm'))
    result = exports.run(['-m', 'od_patch', '--overwrite', script] + flags + options)
    assert result.exit_code == 0, result.stderr[-3000:]
    assert os.listdir(str(tmp_path / 'export')) == ['saved_model']
    assert os.path.isfile(str(tmp_path / 'm' / '1' / 'saved_model.pb'))
    assert '--model_base_path={}'.format(tmp_path / 'm') in result.stderr, 'how to start a server'


def _parameters_of_commands():
    from od_patch import cli
    return [pytest.param(parameter, id='{} {}'.format(name, parameter.name))
            for name, command in sorted(cli.cli.commands.items()) for parameter in command.params
            if parameter.type.name not in ('boolean', 'integer', 'integer range')]


@pytest.mark.parametrize('parameter', _parameters_of_commands())
def test_a_tilde_is_expanded_in_every_path_of_od_patchs_sub_commands(parameter):
    """What is text and no path is named here, so that a new parameter is one or the other."""
    texts = {'inputs', 'outputs', 'variables', 'target_tf', 'model_version', 'model_name', 'signature', 'service', 'names',
             'pythons'}
    if parameter.name not in texts:
        assert parameter.type.convert('~/a', parameter, None) == os.path.expanduser('~/a')
