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
import inspect
import os
import signal
import sys
import traceback

from od_patch import _config
from od_patch import _console
from od_patch import _environment
from od_patch import _errors
from od_patch import _export
from od_patch import _locale
from od_patch import _patching
from od_patch import _streams
from od_patch import _text
from od_patch import _version
from od_patch import legacy
from od_patch.serving import _requests

_SCRIPT = 'object_detection.export_inference_graph'
_FLAGS_MODULE = 'od_patch.export_inference_graph'  # also when this is run as __main__
_REQUIRED = ('pipeline_config_path', 'trained_checkpoint_prefix', 'output_directory')

_USAGE = """Exports a detector of the TensorFlow Object Detection API, with a SavedModel that holds variables.

usage: export_inference_graph --pipeline_config_path=pipeline.config \\
           --trained_checkpoint_prefix=model.ckpt-200000 --output_directory=exported
"""


class _Terminated(BaseException):
    """SIGTERM arrived; raised so that what is staged is removed on the way out."""


def run(argv=None):
    """Console script: exports, and exits with one of the codes in this module's docstring.

    Args:
        argv: list of str, the command line with the program's name first;
            default ``sys.argv``.
    """
    if argv is None:
        _locale.ensure_utf8()
    _streams.open_what_is_closed()
    sys.exit(main(list(sys.argv if argv is None else argv)))


def main(argv):
    """Exports as the command line ``argv`` says; returns the exit code."""
    early = _EarlyFlags(argv)
    try:
        log = _console.Log(early.log_file, early.verbose)
    except OSError as error:
        _console.show_refusal(_errors.UsageError(
            'The log cannot be written to {}: {}.'.format(early.log_file, error.strerror),
            'Give another --log_file.'), sys.stderr)
        return _errors.UsageError.exit_code
    previous = signal.signal(signal.SIGTERM, _raise_terminated)
    progress = _console.Progress(log.error_terminal)
    try:
        _export_as_told(argv, log, progress)
        return 0
    except _errors.ODPatchError as error:
        progress.abandon()
        log.write(traceback.format_exc())
        _console.show_refusal(error, log.error_terminal)
        if early.traceback:
            log.error_terminal.write(traceback.format_exc())
        return error.exit_code
    except BrokenPipeError:
        if not progress.report:
            raise
        return 0  # whoever read the summary has had enough of it; the export is made
    except KeyboardInterrupt:
        return _interrupted(progress, log, 128 + signal.SIGINT)
    except _Terminated:
        return _interrupted(progress, log, 128 + signal.SIGTERM)
    except Exception as error:  # pylint: disable=broad-except
        progress.abandon()
        log.write(traceback.format_exc())
        _console.show_failure(error, progress, log.keep(), log.error_terminal)
        if early.traceback or early.verbose:
            log.error_terminal.write(traceback.format_exc())
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)
        log.close()


class _EarlyFlags:
    """The flags that must be known before TensorFlow is imported, since that already prints."""

    def __init__(self, argv):
        self.verbose = self._boolean(argv, 'verbose')
        self.traceback = self._boolean(argv, 'traceback')
        self.log_file = None
        for position, argument in enumerate(argv):
            name, equals, value = argument.lstrip('-').partition('=')
            if argument.startswith('-') and name == 'log_file':
                self.log_file = value if equals else (argv[position + 1:position + 2] or [None])[0]

    @staticmethod
    def _boolean(argv, name):
        values = [argument.lstrip('-').partition('=')[1:] for argument in argv
                  if argument.startswith('-') and argument.lstrip('-').partition('=')[0] == name]
        return bool(values) and (values[-1][0] == '' or values[-1][1].lower() in ('true', 't', '1'))  # as absl has it


def _raise_terminated(number, frame):
    del number, frame
    raise _Terminated


def _interrupted(progress, log, exit_code):
    progress.abandon()
    log.error_terminal.write('od-patch: interrupted; {}.\n'.format(_console.state_of_output(progress.report)))
    return exit_code


def _export_as_told(argv, log, progress):
    """Answers --version, or exports with what the installed TensorFlow needs for it."""
    if '--version' in argv[1:]:
        log.terminal.write('od-patch {}\n'.format(_version.__version__))
        return
    _streams.check_words(argv[1:])
    progress.stage('imports')
    with log.redirected():
        _environment.require()
        legacy.put_on()
    try:
        _export_with_release(argv, log, progress)
    finally:
        legacy.take_off()


def _export_with_release(argv, log, progress):
    """Parses the flags, checks what can be checked, runs the release's ``main`` under the patch, and sums up."""
    wants_help = _wanted_help(argv)
    with log.redirected():
        exporter = _environment.import_exporter()
        script = importlib.import_module(_SCRIPT)
        flags = _define_flags()
    if wants_help:
        progress.abandon()
        _show_help(wants_help, flags, log.terminal)
        return
    values = _parse(argv, flags)
    progress.stage('checks')
    with log.redirected():
        with _patching.patched(
                exporter, strict_pin=values.strict_pin, saved_model_variables=values.saved_model_variables,
                overwrite=values.overwrite,
                additional_output_tensor_names=_split(values.additional_output_tensor_names),
                artifacts=_artifacts(values.artifacts), profile_graph=values.profile_graph,
                target_tf=values.target_tf, verify=values.verify, **_series(values), **_serving(values),
                _observer=progress):
            _expand_home(values)
            _check_example(values)
            _preflight(values, exporter)
            try:
                script.main(argv[:1])
            except _errors.SomeFailed:
                progress.stop()
                _console.show_summary(progress.report, progress.seconds, log.terminal)
                raise
    _console.show_summary(progress.report, progress.seconds, log.terminal)
    _write_example(values, log)


def _check_example(values):
    """Refuses an --example_request that could not be written after the export."""
    if values.example_request is None:
        return
    if _series(values) or _export.SAVED_MODEL not in _artifacts(values.artifacts):
        raise _errors.UsageError('--example_request is for the one SavedModel of an export.',
                                 'Leave it out; "od-patch request" writes one for any SavedModel.')
    values.example_request = os.path.expanduser(values.example_request)
    _requests.check(values.output_directory, values.example_request, values.overwrite)


def _write_example(values, log):
    """Writes what --example_request asks for, of the SavedModel that was just exported."""
    if values.example_request is None:
        return
    name = values.model_name or values.serving_directory and os.path.basename(values.serving_directory.rstrip('/'))
    with log.redirected():
        example = _requests.write(os.path.join(values.output_directory, _export.SAVED_MODEL), values.example_request,
                                  name or None, overwrite=values.overwrite)
    log.terminal.write('\n' + ''.join(_text.plain(line) + '\n' for line in _requests.lines(example)))


def _define_flags():
    """Adds our flags to those of the release, which importing its script has defined; returns absl's ``flags``."""
    from absl import flags
    defined = frozenset(flags.FLAGS)
    for define, name, *arguments in (
            (flags.DEFINE_enum, 'saved_model_variables', _export.KINDS[0], list(_export.KINDS),
             'What saved_model/ holds: variables as resources (what TensorFlow 2 and current servers expect), '
             'variables as references (as TensorFlow 1 graphs have them), or frozen constants (what the release writes).'),
            (flags.DEFINE_boolean, 'overwrite', False,
             'Replace the export that --output_directory holds already. Without it, such a directory is refused.'),
            (flags.DEFINE_boolean, 'strict_pin', False,
             'Decline an exporter that is not one of the pinned releases, rather than warn.'),
            (flags.DEFINE_string, 'additional_output_tensor_names', None,
             'Comma-separated names of further nodes to export beside the outputs.'),
            (flags.DEFINE_string, 'artifacts', ','.join(_export.ARTIFACTS),
             'What to export, comma-separated; what is not named is not computed.'),
            (flags.DEFINE_boolean, 'profile_graph', None,
             'Let the release print its profile of the graph, as the releases from August 2018 on do; default: only '
             'where all artifacts are exported.'),
            (flags.DEFINE_string, 'target_tf', None,
             'The TensorFlow release that saved_model/ is to run on, such as 1.12, where that is an earlier one: ops '
             'that it lacks are put back to those that it has, or the export is refused.'),
            (flags.DEFINE_boolean, 'all_checkpoints', False,
             'Take --trained_checkpoint_prefix for a directory or a pattern, and export every checkpoint there as a '
             'SavedModel named by its global step; those that are done are skipped.'),
            (flags.DEFINE_string, 'checkpoint_steps', None,
             'Comma-separated global steps; as --all_checkpoints, for these only.'),
            (flags.DEFINE_boolean, 'watch', False,
             'As --all_checkpoints, and go on as a training writes new ones, until Ctrl-C or SIGTERM.'),
            (flags.DEFINE_float, 'watch_interval', 10.0, 'Seconds between two looks for new checkpoints.'),
            (flags.DEFINE_boolean, 'verify', False,
             'Run SavedModel and frozen graph on the same images before anything is moved into place, and leave '
             'nothing behind where they differ. Files and weights are always checked.'),
            (flags.DEFINE_string, 'serving_directory', None,
             'Also publish the SavedModel as a new version in this folder, which a server watches.'),
            (flags.DEFINE_string, 'model_version', None,
             'The version to publish: a whole number, or "step" for the global step of the checkpoint; default: the '
             'next one.'),
            (flags.DEFINE_integer, 'keep', None,
             'Remove all but so many of the largest versions in --serving_directory; never the one served.'),
            (flags.DEFINE_string, 'model_name', None,
             'What requests call the model; default: the last part of --serving_directory.'),
            (flags.DEFINE_string, 'warmup_images', None,
             'Comma-separated images and folders of them; empty for drawn ones: warm-up requests for the server go '
             'with the SavedModel, each of them run before.'),
            (flags.DEFINE_string, 'extra_signatures', None,
             'Comma-separated signatures to add beside serving_default: encoded_image_bytes takes JPEG or PNG files, '
             'base64 in JSON.'),
            (flags.DEFINE_string, 'signature_outputs', None,
             'Comma-separated keys of the outputs that the signatures keep; default: all.'),
            (flags.DEFINE_string, 'signature_input_name', None,
             'The key of the image input in serving_default; default: inputs, as upstream has it.'),
            (flags.DEFINE_string, 'label_map_path', None,
             'The label map of the detector: it becomes assets/label_map.pbtxt of the SavedModel.'),
            (flags.DEFINE_string, 'example_request', None,
             'A folder: also write a request for the model and a client program for REST and gRPC there.'),
            (flags.DEFINE_boolean, 'verbose', False,
             'Show all that TensorFlow and the exporter print, as they print it.'),
            (flags.DEFINE_string, 'log_file', None,
             'Write all that TensorFlow and the exporter print to this file.'),
            (flags.DEFINE_boolean, 'traceback', False, 'Show the Python traceback of an error.')):
        if name not in defined:  # a release that has a flag of that name keeps its own meaning
            define(name, *arguments, module_name=_FLAGS_MODULE)
    return flags


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


def _show_help(kind, flags, stream):
    """Prints the flags of the release and ours; with ``helpfull``, those of every module."""
    stream.write(_USAGE)
    stream.write('\nFlags of the installed release:\n')
    stream.write(_flags_of(flags, _SCRIPT))
    stream.write('\nFlags of od-patch {}:\n'.format(_version.__version__))
    stream.write(_flags_of(flags, _FLAGS_MODULE))
    if kind == 'helpfull':
        stream.write('\nAll flags, by the module that defines them:\n')
        stream.write(flags.FLAGS.get_help())
    else:
        stream.write('\n--helpfull shows those of TensorFlow, too.\n')
    stream.write('\n')


def _flags_of(flags, module_name):
    """Returns the help of the flags that one module defines, without absl's heading."""
    lines = flags.FLAGS.module_help(module_name).splitlines()
    return '\n'.join(line for line in lines if not line.rstrip().endswith(module_name + ':')).strip('\n') + '\n'


def _parse(argv, flags):
    """Returns the parsed ``FLAGS``; unlike ``tf.app.run``, does not drop what it does not know.

    Raises:
        od_patch.UsageError
    """
    values = flags.FLAGS
    names = sorted(set(flags.FLAGS) - {'h', 'help', 'helpfull', 'helpshort'})
    missing = [name for name in _REQUIRED if not any(
        argument.lstrip('-').partition('=')[0] == name for argument in argv[1:] if argument.startswith('-'))]
    try:
        left_over = values(argv)
    except flags.UnrecognizedFlagError as error:
        raise _errors.UsageError(
            'There is no flag --{}.'.format(error.flagname),
            _errors.did_you_mean(error.flagname, names, '--') or 'export_inference_graph --help lists the flags.')
    except flags.Error as error:
        if missing:
            raise _errors.UsageError(
                'Missing: {}.'.format(', '.join('--' + name for name in missing)), _USAGE.split('\n\n')[1].strip())
        raise _errors.UsageError('{}'.format(error), 'export_inference_graph --help lists the flags.')
    if left_over[1:]:
        raise _errors.UsageError(
            'There is no place for the argument{} {}.'.format(
                's' if len(left_over) > 2 else '', ' '.join(map(repr, left_over[1:]))),
            'Flags begin with two dashes, --like=this; quote values that hold spaces.')
    return values


def _expand_home(values):
    """Replaces a leading ``~`` in the paths among the flags, which the shell leaves alone behind an equals sign."""
    for name in _REQUIRED:
        setattr(values, name, os.path.expanduser(getattr(values, name)))


def _preflight(values, exporter):
    """Checks what only the flags say; what any export can check, ``_export`` checks.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    input_types = sorted(exporter.input_placeholder_fn_map)
    if values.input_type not in input_types:
        raise _errors.UsageError(
            '--input_type={} is unknown to this release; it can be one of {}.'.format(
                values.input_type, ', '.join(input_types)),
            _errors.did_you_mean(values.input_type, input_types, '--input_type='))
    _check_input_shape(values, exporter)
    _config.read(values.pipeline_config_path, values.config_override if 'config_override' in values else '')


def _check_input_shape(values, exporter):
    """Refuses an --input_shape that is not four dimensions of an image batch."""
    if not values.input_shape:
        return
    shape = values.input_shape if isinstance(values.input_shape, list) else values.input_shape.split(',')
    expected = ('--input_shape is batch,height,width,3, such as 1,300,300,3; '
                '-1 stands for a dimension that is left open.')
    try:
        dimensions = [int(dimension) for dimension in shape]
    except ValueError:
        raise _errors.UsageError('--input_shape={} is not a list of numbers.'.format(','.join(shape)), expected)
    if len(dimensions) != 4 or dimensions[3] != 3 or any(size < 1 and size != -1 for size in dimensions):
        raise _errors.UsageError('--input_shape={} is not the shape of a batch of images.'.format(','.join(shape)),
                                 expected)
    placeholder = exporter.input_placeholder_fn_map[values.input_type]
    if 'input_shape' not in inspect.signature(placeholder).parameters:  # from 2019-11-13 on, all of them take one
        raise _errors.UsageError(
            'This release takes --input_shape only with --input_type=image_tensor, not with {}.'.format(
                values.input_type),
            'Leave it out: encoded images have the size that they have.')


def _series(values):
    """Returns the arguments of ``patched`` that say which of many checkpoints to export; empty for one.

    Raises:
        od_patch.UsageError
    """
    steps = _split(values.checkpoint_steps)
    if not (values.all_checkpoints or values.checkpoint_steps is not None or values.watch):
        return {}
    if values['artifacts'].present and _artifacts(values.artifacts) != (_export.SAVED_MODEL,):
        raise _errors.UsageError(
            'Of many checkpoints, SavedModels are exported, and nothing else.',
            'Leave out --artifacts, or export the checkpoints one by one.')
    if values.checkpoint_steps is not None and (not steps or not all(step.isdigit() for step in steps)):
        raise _errors.UsageError(
            '--checkpoint_steps={} is no list of global steps.'.format(values.checkpoint_steps),
            'Give numbers, such as --checkpoint_steps=100000,200000.')
    if values.watch_interval <= 0:
        raise _errors.UsageError('--watch_interval={} is no time.'.format(values.watch_interval), 'Give seconds.')
    return {'all_checkpoints': True, 'checkpoint_steps': None if steps is None else [int(step) for step in steps],
            'watch': values.watch, 'watch_interval': values.watch_interval}


def _serving(values):
    """Returns the arguments of ``patched`` that say what a server is to get."""
    arguments = {name: values[name].value for name in (
        'serving_directory', 'model_version', 'keep', 'model_name', 'signature_input_name', 'label_map_path')}
    for name in ('warmup_images', 'extra_signatures', 'signature_outputs'):
        arguments[name] = None if values[name].value is None else _split(values[name].value) or []
    for name in ('serving_directory', 'label_map_path'):
        arguments[name] = arguments[name] and os.path.expanduser(arguments[name])
    return arguments


def _artifacts(names):
    """Returns what --artifacts names, a tuple.

    Raises:
        od_patch.UsageError: a name is unknown, or there is none.
    """
    wanted = tuple(_split(names) or ())
    for name in wanted:
        if name not in _export.ARTIFACTS:
            raise _errors.UsageError(
                '--artifacts={} asks for {!r}; it can be some of {}.'.format(
                    names, name, ', '.join(_export.ARTIFACTS)),
                _errors.did_you_mean(name, _export.ARTIFACTS, '--artifacts='))
    if not wanted:
        raise _errors.UsageError(
            '--artifacts is empty: there would be nothing to export.',
            'Give some of {}, or leave it out for all of them.'.format(','.join(_export.ARTIFACTS)))
    return wanted


def _split(names):
    if isinstance(names, str):
        names = names.split(',')
    return [name.strip() for name in names or [] if name.strip()] or None


if __name__ == '__main__':
    run()
