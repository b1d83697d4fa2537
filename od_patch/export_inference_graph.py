"""The extended entry point: the installed release's own flags plus ours, and the patch on while it exports.

``export_inference_graph``, or ``python -m od_patch.export_inference_graph``. The
release's script is imported, so whatever flags it has are kept; its ``main``
does the export.

Not for: running another script with the patch on; that is ``python -m od_patch``.

Exit codes: 0 exported; 1 the export failed; 2 a flag; 3 the environment; 4 the
exporter is declined; 5 an input file; 6 the checkpoint does not fit the model;
7 the output directory; 8 some of many checkpoints failed; 9 the proof: the export
is not what was trained; 130 and 143 interrupted by SIGINT and SIGTERM.
"""
import importlib
import os
import signal
import sys
import traceback

from od_patch import _errors
from od_patch import _version
from od_patch import legacy
from od_patch.api import _export
from od_patch.command import _completion
from od_patch.command import _first_look
from od_patch.command import _locale
from od_patch.command import _second_half
from od_patch.command import _signals
from od_patch.environment import _environment
from od_patch.export import _shown
from od_patch.export import _summary
from od_patch.options import _flags
from od_patch.options import _names
from od_patch.options import _options
from od_patch.terminal import _json
from od_patch.terminal import _log_file
from od_patch.terminal import _streams
from od_patch.terminal import _terminal

_SCRIPT = _export.SCRIPT

_USAGE = """Exports a detector of the TensorFlow Object Detection API, with a SavedModel that holds variables.

usage: export_inference_graph --pipeline_config_path=pipeline.config \\
           --trained_checkpoint_prefix=model.ckpt-200000 --output_directory=exported

"od-patch export", with the same flags, is the same command.
"""


def run(argv=None):
    """Console script: exports, and exits with one of the codes in this module's docstring.

    Args:
        argv: list of str, the command line with the program's name first;
            default ``sys.argv``.
    """
    if argv is None:
        _locale.ensure_utf8()
        if _completion.completed():
            return
    _streams.open_what_is_closed()
    if argv is None:
        _streams.show_any_character()
    sys.exit(main(list(sys.argv if argv is None else argv)))


def main(argv):
    """Exports as the command line ``argv`` says; returns the exit code."""
    early = _EarlyFlags(_names.spelled(argv, _options.TABLE))
    try:
        log = _log_file.Log(early.log_file, early.verbose)
    except OSError as error:
        _terminal.show_refusal(_log_file.log_refused(early.log_file, error), sys.stderr)
        return _errors.UsageError.exit_code
    progress = _Stages(log.error_terminal)
    progress.keeps_output = early.verbose or early.log_file is not None
    try:
        with _signals.obeyed():
            return _exit_code(argv, early, log, progress)
    finally:
        log.close()


def _exit_code(argv, early, log, progress):
    """Exports, tells of what went wrong, and returns the exit code."""
    try:
        with _signals.heeded():
            _export_as_told(argv, log, progress)
        return 0
    except _errors.ODPatchError as error:
        progress.abandon()
        log.write(traceback.format_exc())
        _terminal.show_refusal(error, log.error_terminal)
        if early.traceback:
            log.error_terminal.write(traceback.format_exc())
        return error.exit_code
    except BrokenPipeError:
        if not progress.report:
            raise
        return 0  # whoever read the summary has had enough of it; the export is made
    except KeyboardInterrupt:
        return _interrupted(progress, log, 128 + signal.SIGINT)
    except _signals.Terminated:
        return _interrupted(progress, log, 128 + signal.SIGTERM)
    except Exception as error:  # pylint: disable=broad-except
        progress.abandon()
        log.write(traceback.format_exc())
        _summary.show_failure(error, progress, log.keep(), log.error_terminal)
        if early.traceback or early.verbose:
            log.error_terminal.write(traceback.format_exc())
        return 1


class _FirstLook:
    """What is known before TensorFlow is imported: which half of the Object Detection API, and for 2, all flags."""

    half = 1
    values = None


class _Stages(_shown.Shown):
    """Between two stages, an export stops if it was asked to and something kept the question from it."""

    def stage(self, name):
        _signals.heed()
        super().stage(name)


class _EarlyFlags:
    """The flags that must be known before TensorFlow is imported, since that already prints."""

    def __init__(self, argv):
        self.verbose = self._boolean(argv, 'verbose')
        self.traceback = self._boolean(argv, 'traceback')
        self.log_file = None
        for position, argument in enumerate(argv):
            name, equals, value = argument.lstrip('-').partition('=')
            if argument.startswith('-') and name == 'log_file':
                path = value if equals else (argv[position + 1:position + 2] or [None])[0]
                self.log_file = path and _options.TABLE[name].value(path)

    @staticmethod
    def _boolean(argv, name):
        values = [argument.lstrip('-').partition('=')[1:] for argument in argv
                  if argument.startswith('-') and argument.lstrip('-').partition('=')[0] == name]
        return bool(values) and (values[-1][0] == '' or values[-1][1].lower() in ('true', 't', '1'))  # as absl has it


def _interrupted(progress, log, exit_code):
    progress.abandon()
    log.error_terminal.write('od-patch: interrupted; {}.\n'.format(_summary.state_of_output(progress.report)))
    return exit_code


def _export_as_told(argv, log, progress):
    """Answers --version, or exports with what the installed TensorFlow needs for it."""
    if '--version' in argv[1:]:
        log.terminal.write('od-patch {}\n'.format(_version.__version__))
        return
    _streams.check_working_directory()
    _streams.check_words(argv[1:])
    early = _FirstLook()
    if _is_answered_at_first_look(argv, log, progress, early):
        return
    progress.stage('imports')
    with log.redirected():
        _environment.require()
        legacy.put_on()
    try:
        if early.half == 2:
            _second_half.export(early.values, log, progress)
            _tell(progress, _flags.values(early.values), log.terminal)
        else:
            _export_with_release(argv, log, progress)
    finally:
        legacy.take_off()


def _is_answered_at_first_look(argv, log, progress, early):
    """Whether help was asked for and is given; raises for what is refused without TensorFlow, in tenths of a second."""
    values = _first_look.flags_of(_SCRIPT)
    wants_help = _wanted_help(argv)
    if values is None or wants_help == 'helpfull':
        return False
    if wants_help:
        progress.abandon()
        _show_help(wants_help, values, log.terminal)
        return True
    if not all(name in values for name in _flags.REQUIRED):
        return False  # there is no release, or it is another than those that are known
    from absl import flags
    try:
        _parse(argv, flags, values)
    except _errors.UsageError as refusal:
        unknown = refusal.__context__
        if isinstance(unknown, flags.UnrecognizedFlagError) and _first_look.is_known_elsewhere(unknown.flagname):
            return False
        raise
    early.half = _first_look.check(*[getattr(values, name) for name in _flags.REQUIRED],
                                   chosen=_options.keywords(_flags.values(values)))
    if early.half == 2:
        _second_half.check(values)
        legacy.choose_keras()  # before TensorFlow looks for one
        early.values = values
    return False


def _export_with_release(argv, log, progress):
    """Parses the flags, checks what can be checked, runs the release's ``main`` under the patch, and sums up."""
    wants_help = _wanted_help(argv)
    with log.redirected(), legacy.quick_imports():
        exporter = _environment.import_exporter()
        script = importlib.import_module(_SCRIPT)
        from absl import flags
        _flags.define(flags, flags.FLAGS)
    if wants_help:
        progress.abandon()
        _show_help(wants_help, flags.FLAGS, log.terminal)
        return
    values = _parse(argv, flags, flags.FLAGS)
    chosen = _flags.values(values)

    def call(path):
        values.pipeline_config_path = path
        script.main(argv[:1])
    with log.redirected():
        try:
            _export.exported(_asked(values), _options.keywords(chosen), exporter, progress, call)
        except _errors.SomeFailed:
            progress.stop()
            _tell(progress, chosen, log.terminal)
            raise
    _tell(progress, chosen, log.terminal)


def _asked(values):
    """Returns the ``_export.Asked`` of parsed flags."""
    shape = values.input_shape
    return _export.Asked(
        values.pipeline_config_path, values.trained_checkpoint_prefix, values.output_directory, values.input_type,
        ','.join(map(str, shape)) if isinstance(shape, list) else shape,
        values.config_override if 'config_override' in values else '')


def _tell(progress, chosen, stream):
    """Prints the report of an export: its summary, or JSON where that was asked for."""
    if chosen.get('json'):
        stream.write(_json.strict(_export.report(progress).as_json(), indent=2) + '\n')
    else:
        _summary.show_summary(progress.report, progress.seconds, stream)


def _wanted_help(argv):
    """Returns the help flag among the arguments without its dashes, or None."""
    for argument in argv[1:]:
        if argument in ('--help', '-help', '-h', '-?', '--helpshort', '-helpshort'):
            return 'help'
        if argument in ('--helpfull', '-helpfull'):
            return 'helpfull'
        if argument == '--':
            return None
    return None


def _show_help(kind, values, stream):
    """Prints the flags of the release and ours; with ``helpfull``, those of every module."""
    stream.write(_USAGE)
    of_the_release = _flags.help_of(values, _SCRIPT)
    stream.write('\nFlags of the installed release:\n')
    stream.write(of_the_release if of_the_release.strip() else
                 '\n  There is no Object Detection API in this Python ({}).\n'.format(sys.executable))
    stream.write('\nFlags of od-patch {}:\n\n'.format(_version.__version__))
    stream.write(_flags.explained(values))
    stream.write('\nShort names, which the other commands have, too (a dash is as good as an underscore):\n\n')
    for name in _names.NAMES:
        stream.write('  --{:<20}--{}\n'.format(name.short, name.flag))
    if kind == 'helpfull':
        stream.write('\nAll flags, by the module that defines them:\n')
        stream.write(values.get_help())
    else:
        stream.write('\n--helpfull shows those of TensorFlow, too.\n')
    stream.write('\n')


def _parse(argv, flags, values):
    """Returns ``values``, a ``FlagValues``, parsed, with ``~`` expanded in the paths that the release needs.

    Unlike ``tf.app.run``, does not drop what it does not know.

    Raises:
        od_patch.UsageError
    """
    argv = _names.spelled(argv, values)
    missing = [name for name in _flags.REQUIRED if not any(
        argument.lstrip('-').partition('=')[0] == name for argument in argv[1:] if argument.startswith('-'))]
    try:
        left_over = values(argv)
    except flags.UnrecognizedFlagError as error:
        raise _flags.unknown(error.flagname, values, 'export_inference_graph --help')
    except flags.Error as error:
        if missing:
            raise _missing(missing)
        raise _errors.UsageError('{}'.format(error), 'export_inference_graph --help lists the flags.')
    unset = [name for name in _flags.REQUIRED if getattr(values, name) is None]
    if unset:
        raise _missing(unset)
    if left_over[1:]:
        raise _errors.UsageError(
            'There is no place for the argument{} {}.'.format(
                's' if len(left_over) > 2 else '', ' '.join(map(repr, left_over[1:]))),
            'Flags begin with two dashes, --like=this; quote values that hold spaces.')
    for name in _flags.REQUIRED:  # as ``_option.PATH`` does in ours
        setattr(values, name, os.path.expanduser(getattr(values, name)))
    return values


def _missing(names):
    """Returns the ``UsageError`` about flags that have to be given."""
    return _errors.UsageError(
        'Missing: {}.'.format(', '.join('--' + name for name in names)), _USAGE.split('\n\n')[1].strip())


if __name__ == '__main__':
    run()
