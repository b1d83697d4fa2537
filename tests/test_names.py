"""One name for one thing, over all commands: every option, in every spelling that it has or ever had."""
import collections
import os

import click.testing
import hypothesis
import hypothesis.strategies
import pytest

import od_patch
from od_patch import cli
from od_patch import export_inference_graph
from od_patch.command import _first_look
from od_patch.options import _flags
from od_patch.options import _names
from od_patch.options import _options
from tests import test_options
from tests.support import exports

pytestmark = pytest.mark.once

_FLAGS = pytest.importorskip('absl.flags')

# Every option that od-patch's commands had before they got one vocabulary. None of them may ever go.
OF_OLD = {
    'compare': ['canonical', 'checkpoint', 'html', 'json', 'outputs', 'overwrite', 'run'],
    'doctor': ['json'],
    'freeze': ['output', 'overwrite'],
    'inspect': ['checkpoint', 'json', 'outputs'],
    'package': ['code', 'json', 'model_name', 'model_version', 'output', 'overwrite'],
    'publish': ['example_request', 'json', 'keep', 'model_name', 'model_version', 'warmup_images'],
    'regenerate': ['apply', 'checkpoint', 'like', 'output_directory', 'pipeline_config'],
    'request': ['image', 'json', 'model_name', 'output_directory', 'overwrite', 'signature'],
    'unfreeze': ['inputs', 'json', 'output_directory', 'outputs', 'overwrite', 'variables'],
    'verify': ['checkpoint', 'frozen_graph', 'images', 'json', 'most_images', 'overwrite', 'pipeline_config', 'quick',
               'report', 'saved_model', 'target_tf'],
}
EXPORT_OF_OLD = set(test_options.EXAMPLES) - {'dry_run', 'json'} | {
    'input_type', 'input_shape', 'pipeline_config_path', 'trained_checkpoint_prefix', 'output_directory',
    'config_override', 'write_inference_graph'}


def _options_of(command):
    return [parameter for parameter in cli.cli.commands[command].params if isinstance(parameter, click.Option)]


def _spellings(name):
    """Every way to type an option: with its aliases, with dashes and with underscores."""
    same = {spelling for one in _names.NAMES for spelling in (one.short, one.flag) + one.also
            if name in (one.short, one.flag) + one.also} | {name}
    return sorted(same | {spelling.replace('_', '-') for spelling in same})


def _is_taken(command, name, spelling):
    """Whether a command takes an option: behind one that it does not know, it does not get as far as its help."""
    parameter, = [one for one in _options_of(command) if '--' + _names.short(name) in one.opts]
    value = [] if parameter.is_flag else ['x']
    result = click.testing.CliRunner().invoke(cli.cli, [command, '--' + spelling] + value + ['--help'])
    return result.exit_code == 0 and result.output.startswith('Usage')


@pytest.mark.parametrize('command, name', [(command, name) for command in sorted(OF_OLD) for name in OF_OLD[command]])
def test_no_option_of_old_is_gone(command, name):
    assert all(_is_taken(command, name, spelling) for spelling in (name, name.replace('_', '-')))


@pytest.mark.parametrize('command', sorted(cli.cli.commands))
def test_every_command_takes_every_spelling_and_no_other(command):
    for parameter in _options_of(command):
        name = parameter.opts[0][2:]
        for spelling in _spellings(name):
            assert _is_taken(command, name, spelling), spelling
    assert click.testing.CliRunner().invoke(cli.cli, [command, '--no-such-option', '--help']).exit_code == 2


def test_a_thing_has_one_name_in_all_commands_and_one_kind():
    kinds = collections.defaultdict(set)
    for command in cli.cli.commands:
        for parameter in _options_of(command):
            name = parameter.opts[0][2:]
            assert name == _names.short(name), 'od-patch {}: --{} is called --{}'.format(
                command, name, _names.short(name))
            kinds[name].add((parameter.type.name, parameter.is_flag))
    assert {name for name, found in kinds.items() if len(found) > 1} == set()
    exported = {_names.short(name): option for name, option in _options.TABLE.items()}
    shared = set(kinds) & set(exported)
    assert {'overwrite', 'target_tf', 'model_name', 'model_version', 'keep', 'warmup_images', 'example_request'} <= shared
    for name in shared:
        assert {is_flag for _, is_flag in kinds[name]} == {exported[name].kind.name == 'bool'}, name


def test_no_spelling_means_two_things():
    spellings = [spelling for name in _names.NAMES for spelling in (name.short, name.flag) + name.also]
    assert len(spellings) == len(set(spellings))
    assert not {name.short for name in _names.NAMES} & set(_options.TABLE)


@pytest.mark.parametrize('name', sorted(EXPORT_OF_OLD))
def test_the_export_takes_every_flag_in_every_spelling(name, research):
    del research
    known = _first_look.flags_of(export_inference_graph._SCRIPT)
    assert name in known
    value = test_options.EXAMPLES[name].typed if name in test_options.EXAMPLES else 'true'
    found = set()
    for spelling in _spellings(name):
        for dashes in ('--', '-'):
            argv = ['export_inference_graph', '--pipeline-config-path=a', '--checkpoint=b', '-output=c',
                    '{}{}={}'.format(dashes, spelling, value)]
            values = export_inference_graph._parse(argv, _FLAGS, _first_look.flags_of(export_inference_graph._SCRIPT))
            found.add(repr(sorted(values.flag_values_dict().items())))
    assert len(found) == 1 and (name, _value(known, name, value)) in values.flag_values_dict().items()


def _value(known, name, value):
    return known[name].parser.parse(value)


@pytest.mark.parametrize('name', [name for name, option in _options.TABLE.items() if option.kind.name == 'bool'])
def test_every_switch_is_turned_off_in_every_spelling(name):
    plain = ['--no' + name, '--no_' + name, '--no-' + name.replace('_', '-'), '--no' + name.replace('_', '-')]
    assert _names.spelled(plain, _options.TABLE) == ['--no' + name] * 4
    for typed in plain:
        ours, others = _flags.split([typed, 'x'])
        assert (ours, others) == (['--no' + name], ['x'])


@pytest.mark.parametrize('option', test_options.OPTIONS)
def test_every_spelling_is_taken_before_a_script_and_behind_it(option, tmp_path):
    from od_patch import __main__ as program
    script = tmp_path / 'script.py'
    script.write_text('')
    example = test_options.EXAMPLES[option.name]
    for spelling in _spellings(option.name):
        typed = '--{}={}'.format(spelling, example.typed)
        for arguments in ([typed, str(script), 'x'], [str(script), 'x', typed]):
            assert program._read(arguments)[:3] == ({option.name: example.value}, str(script), ['x'])


def test_what_a_script_defines_stays_the_scripts_in_the_spelling_that_it_has(tmp_path):
    from od_patch import __main__ as program
    script = tmp_path / 'script.py'
    script.write_text('parser.add_argument("--label-map"); parser.add_argument("--log-file"); DEFINE_bool("verify")')
    arguments = ['--label-map=a', '--log-file', 'b', '--verify', '--output=c', '--config', 'd']
    assert program._read([str(script)] + arguments)[2] == arguments


def test_the_releases_own_script_gets_its_flags_as_it_spells_them(research, tmp_path):
    from od_patch import __main__ as program
    del tmp_path
    script = research + '/object_detection/export_inference_graph.py'
    read = program._read([script, '--config=~/a', '--checkpoint', 'b', '--output-directory=c', '--input-type=d',
                          '--override=e', '--', '--config=f'])
    assert read[2] == ['--pipeline_config_path=' + os.path.expanduser('~/a'),
                       '--trained_checkpoint_prefix', 'b', '--output_directory=c', '--input_type=d',
                       '--config_override=e', '--', '--config=f']


def test_a_release_keeps_a_flag_that_is_called_like_an_alias():
    known = {'output', 'output_directory', 'my-flag', 'my_flag'}
    assert _names.spelled(['--output=a', '--output-directory=b', '--my-flag'], known) == [
        '--output=a', '--output_directory=b', '--my-flag']


_WORD = hypothesis.strategies.text(alphabet='abno-_=./1', max_size=12)


@hypothesis.given(hypothesis.strategies.lists(_WORD), hypothesis.strategies.sets(_WORD))
def test_nothing_but_the_name_of_a_flag_that_there_is_is_ever_spelled_anew(words, known):
    for before, after in zip(words, _names.spelled(words, known)):
        if before != after:
            name = _names.of(after)
            assert name in known or name[2:] in known
            assert before.replace('_', '-').replace('-', '') == after.replace('_', '-').replace('-', '')
            assert before.partition('=')[2] == after.partition('=')[2]


@pytest.mark.parametrize('typed, nearest', [
    ('--chekpoint=a', '--checkpoint'), ('--label-mop=a', '--label_map'), ('--all-chekpoints', '--all_checkpoints')])
def test_a_misspelt_flag_is_told_the_nearest_alias_too(typed, nearest):
    with pytest.raises(od_patch.UsageError, match='Did you mean {} '.format(nearest)):
        values = _first_look.flags_of(export_inference_graph._SCRIPT)
        values.output_directory = 'x'
        export_inference_graph._parse(['export_inference_graph', typed], _FLAGS, values)


@pytest.mark.parametrize('typed, nearest', [('verfy', 'verify'), ('comapre', 'compare'), ('pubish', 'publish')])
def test_a_mistyped_command_is_told_the_nearest(typed, nearest):
    result = exports.run(['-m', 'od_patch.cli', typed])
    assert result.exit_code == 2 and 'Did you mean od-patch {} ?'.format(nearest) in result.stderr
