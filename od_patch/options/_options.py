"""Every option of an export, in one table: the core's here, and those of the steps.

From it come the flags of ``export_inference_graph`` and of ``python -m od_patch``
with their help (``_flags``), the keywords of ``patched()``, what a series
notices a change of, and the table in docs/flags.md (``tools/flag_table.py``).

Not for: what an option does, which is its step's.
"""
import collections
import inspect
import re
import textwrap
import typing

from od_patch import _errors
from od_patch import _option
from od_patch import steps
from od_patch.export import _artifacts
from od_patch.export import _request


class Group(typing.NamedTuple):
    """Options that are shown together."""

    title: str
    options: tuple


_EXPORT = (
    _option.Option(
        'strict_pin', _option.SWITCH, False,
        'Refuse an exporter that is not one of the pinned releases. Without this flag, od-patch warns.',
        ingredient=False),
    _option.Option(
        'saved_model_variables', _option.one_of(_artifacts.KINDS), _artifacts.KINDS[0],
        'What saved_model/ holds: variables as resources (what TensorFlow 2 and current servers expect), '
        'variables as references (as TensorFlow 1 graphs have them), or frozen constants (what the release writes).'),
    _option.Option(
        'overwrite', _option.SWITCH, False,
        'Replace the export that --output_directory holds already. Without this flag, such a directory is refused.',
        ingredient=False),
    _option.Option(
        'artifacts', _option.some_of(_artifacts.ARTIFACTS), tuple(_artifacts.ARTIFACTS),
        'What to export, separated by commas. Nothing else is computed.',
        ingredient=False),  # of many checkpoints, SavedModels are exported and nothing else
    _option.Option(
        'dry_run', _option.SWITCH, False,
        'Run the checks that come before the graph, list what would be written, and write nothing.',
        ingredient=False),
    _option.Option(
        'profile_graph', _option.SWITCH, None,
        'Let the release print its profile of the graph, as releases from August 2018 on do. Default: only if all '
        'artifacts are exported and the output is shown or kept (--verbose, --log_file).',
        ingredient=False))

_SERIES = (
    _option.Option(
        'all_checkpoints', _option.SWITCH, False,
        'Export every checkpoint that --trained_checkpoint_prefix matches, a directory or a pattern. Each becomes a '
        'SavedModel named by its global step. Checkpoints that are done are skipped.', ingredient=False),
    _option.Option(
        'checkpoint_steps', _option.STEPS, None,
        'Like --all_checkpoints, but only for these global steps, separated by commas.', ingredient=False),
    _option.Option(
        'watch', _option.SWITCH, False,
        'Like --all_checkpoints, and also wait for the checkpoints that a training still writes, until Ctrl-C or '
        'SIGTERM.', ingredient=False),
    _option.Option(
        'watch_interval', _option.SECONDS, 10.0, 'Seconds between two looks for new checkpoints.', ingredient=False))

# Of the commands only: what a program prints is its own affair.
_TERMINAL = (
    _option.Option(
        'json', _option.SWITCH, False,
        'Print the report as JSON instead of the summary (docs/api.md lists its fields).',
        ingredient=False, keyword=False),
    _option.Option(
        'verbose', _option.SWITCH, False, 'Show everything that TensorFlow and the exporter print.',
        ingredient=False, keyword=False),
    _option.Option(
        'log_file', _option.PATH, None, 'Write everything that TensorFlow and the exporter print to this file.',
        ingredient=False, keyword=False),
    _option.Option(
        'traceback', _option.SWITCH, False, 'Show the Python traceback of an error.', ingredient=False, keyword=False))

GROUPS = tuple(
    [Group('What is exported', _EXPORT), Group('Many checkpoints', _SERIES)] +
    [Group(step.title, step.options) for step in steps.STEPS] +
    [Group('The terminal', _TERMINAL)])

TABLE = collections.OrderedDict((option.name, option) for group in GROUPS for option in group.options)
# Those that ``patched()`` has always taken by position, too, in that order.
_POSITIONAL = ('strict_pin', 'saved_model_variables', 'overwrite', 'additional_output_tensor_names', 'artifacts',
               'profile_graph')


def values(given):
    """Returns the values of what was typed or given from Python; None stands for what is not given.

    Args:
        given: dict from the name of an option to what was typed or given.

    Raises:
        od_patch.UsageError, ValueError, TypeError: as ``Option.value``.
    """
    return {name: TABLE[name].value(value) for name, value in given.items() if value is not None}


def keywords(chosen):
    """Returns those of ``values`` that ``patched()`` takes, without those of the terminal."""
    return {name: value for name, value in chosen.items() if TABLE[name].keyword}


def for_exports(chosen):
    """Returns the ``_request.Options`` of values; refuses what does not go together.

    Raises:
        od_patch.UsageError
    """
    chosen = dict(chosen)
    series = None
    if chosen.get('all_checkpoints') or 'checkpoint_steps' in chosen or chosen.get('watch'):
        series = _series_of(chosen)
    options = _request.Options(series=series, asked=chosen, ingredients=ingredients(chosen), **{
        name: chosen.get(name, TABLE[name].default) for name in _request.Options._fields if name in TABLE})
    for step in steps.active(chosen):
        step.check_options(options)
    return options


def ingredients(chosen):
    """Returns ((name, value), …) of those options whose change makes another export of a series; sorted."""
    return tuple((name, value) for name, value in sorted(chosen.items())
                 if TABLE[name].ingredient and value != TABLE[name].default)


def _series_of(chosen):
    """Returns the ``_request.Series``."""
    if chosen.get('artifacts', (_artifacts.SAVED_MODEL,)) != (_artifacts.SAVED_MODEL,):
        raise _errors.UsageError(
            'Of many checkpoints, SavedModels are exported, and nothing else.',
            'Leave out --artifacts, or export the checkpoints one by one.')
    if chosen.get('saved_model_variables') == _artifacts.FROZEN:
        raise _errors.UsageError(
            'A frozen SavedModel holds the weights in its graph, and many checkpoints share one graph.',
            'Leave out --saved_model_variables=frozen, or export the checkpoints one by one.')
    interval = chosen.get('watch_interval', TABLE['watch_interval'].default)
    if interval <= 0:
        raise _errors.UsageError('--watch_interval={} is no time.'.format(interval), 'Give seconds.')
    return _request.Series(chosen.get('checkpoint_steps'), bool(chosen.get('watch')), interval)


def signature(*more):
    """Returns the ``inspect.Signature`` of ``patched()``: the exporter, the options that are keywords, and ``more``."""
    parameter = inspect.Parameter
    keywords = [option for option in TABLE.values() if option.keyword and option.name not in _POSITIONAL]
    return inspect.Signature(
        [parameter('exporter', parameter.POSITIONAL_OR_KEYWORD, default=None)] +
        [parameter(name, parameter.POSITIONAL_OR_KEYWORD, default=TABLE[name].default) for name in _POSITIONAL] +
        [parameter(option.name, parameter.KEYWORD_ONLY, default=option.default) for option in keywords] +
        [parameter(name, parameter.KEYWORD_ONLY, default=None) for name in more])


def documented(docstring):
    """Returns the docstring with a line on each keyword in place of its line ``{options}``, at the same indentation."""
    lines = '\n'.join(textwrap.fill('{}: {}. {}'.format(option.name, option.kind.name, option.help), 92,
                                    subsequent_indent=' ' * 4) for option in TABLE.values() if option.keyword)
    # Python 3.13 takes the indentation of docstrings away as it compiles, so it is read and not known.
    return re.sub(r'^( *)\{options\}$', lambda line: textwrap.indent(lines, line.group(1)), docstring,
                  flags=re.MULTILINE)
