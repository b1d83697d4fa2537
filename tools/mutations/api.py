"""Faults in what can be called from Python, and in the names of options."""
from tools.mutations import Mutation

_API = 'tests/test_api.py::'
_NAMES = 'tests/test_names.py::'

MUTATIONS = (
    Mutation('options/_names.py', '    if name in known:\n        return name\n', '',
             [_NAMES + 'test_a_release_keeps_a_flag_that_is_called_like_an_alias'],
             'of two flags of a release that differ in a dash, the one gets the value of the other'),
    Mutation('options/_names.py', 'if candidate and candidate in known', 'if candidate',
             [_NAMES + 'test_nothing_but_the_name_of_a_flag_that_there_is_is_ever_spelled_anew'],
             'an export into -my-folder goes to -my_folder'),
    Mutation('options/_names.py', "    end = arguments.index('--') if '--' in arguments else len(arguments)\n",
             '    end = len(arguments)\n',
             [_NAMES + 'test_the_releases_own_script_gets_its_flags_as_it_spells_them'],
             'arguments behind -- are changed'),
    Mutation('options/_flags.py', ' or _names.of(argument) in but', '',
             [_NAMES + 'test_what_a_script_defines_stays_the_scripts_in_the_spelling_that_it_has'],
             "a script's own --log-file is taken from it"),
    Mutation('api/_made.py', '        if unknown:\n', '        if False:\n',
             [_API + 'test_what_commands_print_is_what_the_types_have_fields_for'],
             'a new key of JSON ends a command with an error that names no field'),
    Mutation('api/_made.py', '            if part is not None or name not in left_out)', '            )',
             [_API + 'test_what_is_left_out_of_json_is_left_out_again'],
             'the JSON of a comparison has keys that it never had'),
    Mutation('command/_first_look.py', '                if not options.dry_run:\n                    _staging.clear',
             '                _staging.clear',
             [_API + 'test_a_dry_run_leaves_what_a_killed_run_left_and_tells_of_it_and_of_all_else_that_would_be_written'],
             'a dry run removes what another run has left'),
    Mutation('steps/proof.py', 'if isinstance(path, str) and path.startswith(self._staged):', 'if False:',
             [_API + 'test_an_export_from_python_is_that_of_the_command_and_reports_what_its_json_prints'],
             'a report names files that are gone'),
)
