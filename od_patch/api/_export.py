"""One export from flags or from Python: checked before the graph, made under the patch, reported as a named tuple.

``exported`` is the way of both. The command has the release's script call the exporter, since that script may have
flags of its own; from Python it is called here.

Not for: terminals, logs and exit codes, which are the command's.
"""
import inspect
import os
import time
import typing

from od_patch import _errors
from od_patch import _tensorflow
from od_patch import _text
from od_patch import api
from od_patch import legacy
from od_patch.api import _made
from od_patch.api import _paths
from od_patch.command import _first_look
from od_patch.config import _config
from od_patch.environment import _environment
from od_patch.export import _observer
from od_patch.export import _reports
from od_patch.export import _told
from od_patch.options import _options
from od_patch.patch import _patching
from od_patch.releases import _release_errors

SCRIPT = 'object_detection.export_inference_graph'

_Path = typing.Union[str, 'os.PathLike[str]']


class Asked(typing.NamedTuple):
    """What an export is asked for beside od-patch's options. Paths have their ``~`` expanded."""

    config: str
    checkpoint: str
    output: str
    input_type: str = 'image_tensor'
    input_shape: typing.Optional[str] = None  # as the flag has it, such as '1,300,300,3'
    override: str = ''  # text form of what to merge into the config


class Kept(_observer.Observer):
    """Keeps what an export has to say, for its report.

    Args:
        progress: function that is called with the name of each stage as it begins, or None.
    """

    keeps_output = False  # so the release does not print its profile

    def __init__(self, progress: typing.Optional[typing.Callable[[str], typing.Any]] = None) -> None:
        self.notes: typing.List[str] = []
        self.report: typing.Any = None
        self._progress = progress
        self._stage = ''
        self._began = time.time()

    @property
    def seconds(self) -> float:
        """Seconds since the export began."""
        return time.time() - self._began

    def stage(self, name: str) -> None:
        if self._progress is not None and name != self._stage:
            self._progress(name)
        self._stage = name

    def finished(self, report: typing.Any) -> None:
        self.report = report

    def checkpoint(self, result: _reports.Result) -> None:
        pass  # the report has it

    def note(self, text: str) -> None:
        self.notes.append(text)


def export(
        config: _Path, checkpoint: _Path, output: _Path, input_type: str = 'image_tensor',
        input_shape: typing.Any = None, config_override: str = '', write_inference_graph: bool = False,
        progress: typing.Optional[typing.Callable[[str], typing.Any]] = None, **options: typing.Any) -> typing.Any:
    """See ``od_patch.export``."""
    chosen, of_the_release = _split(options)
    asked = Asked(_paths.expanded(config), _paths.expanded(checkpoint), _paths.expanded(output), input_type,
                  _shape_text(input_shape), config_override or '')
    if write_inference_graph:
        of_the_release['write_inference_graph'] = True
    observer = Kept(progress)
    observer.stage('imports')
    if _first_look.check(asked.config, asked.checkpoint, asked.output, chosen) == 2:
        raise _errors.InputRefused(
            'The pipeline config and the checkpoint are of TensorFlow 2, and od_patch.export exports models of '
            'TensorFlow 1.', 'The command exports them:  ' + _text.command([
                'export_inference_graph', '--config', asked.config, '--checkpoint', asked.checkpoint, '--output',
                asked.output]))
    _environment.require()
    with legacy.on():
        with legacy.quick_imports():
            exporter = _environment.import_exporter()
        try:
            exported(asked, chosen, exporter, observer, lambda path: _call(exporter, path, asked, of_the_release))
        except _errors.SomeFailed as error:
            error.report = report(observer)
            raise
        return report(observer)


def exported(
        asked: Asked, chosen: typing.Dict[str, typing.Any], exporter: typing.Any, observer: _observer.Observer,
        call: typing.Callable[[str], typing.Any]) -> None:
    """Checks what can be checked, and has the release export under the patch.

    Args:
        asked: ``Asked``. chosen: dict from the name of an option to its value.
        exporter: the exporter module. observer: is told how it goes.
        call: calls the release's function, by its script or not; is given the path of the config to read.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    observer.stage('checks')
    with _patching.patched(exporter, _observer=observer, **chosen):
        _check(asked, exporter)
        with _release_errors.explained(), _config.readable(asked.config) as path:
            call(path)


def report(observer: typing.Any) -> typing.Any:
    """Returns the ``ExportReport`` or ``SeriesReport`` of what an observer was told.

    Args:
        observer: has ``report``, ``notes`` and ``seconds``.
    """
    kind = api.SeriesReport if isinstance(observer.report, _reports.SeriesReport) else api.ExportReport
    return _made.made(kind, _told.as_json(observer.report, observer.notes, observer.seconds))


def _call(exporter: typing.Any, path: str, asked: Asked, more: typing.Dict[str, typing.Any]) -> None:
    """Calls the release's function as its script does, in a graph of its own: the caller's stays as it is."""
    arguments = dict(more)
    known = inspect.signature(exporter.export_inference_graph).parameters
    if arguments.get('use_side_inputs') and isinstance(arguments.get('side_input_shapes'), str):
        arguments.update(zip(('side_input_shapes', 'side_input_names', 'side_input_types'), exporter.parse_side_inputs(
            *[arguments.get('side_input_' + name) for name in ('shapes', 'names', 'types')])))
    if asked.input_shape:
        arguments['input_shape'] = [None if size == '-1' else int(size) for size in asked.input_shape.split(',')]
    lacking = [name for name in arguments if name not in known]
    if lacking:
        raise _errors.UsageError('This release takes no {}.'.format(', '.join(lacking)), 'Leave it out.')
    with _tensorflow.tf1().Graph().as_default():
        exporter.export_inference_graph(
            asked.input_type, _config.read(path, asked.override), asked.checkpoint, asked.output, **arguments)


def _split(options: typing.Dict[str, typing.Any]) -> typing.Tuple[typing.Dict[str, typing.Any], ...]:
    """Returns (values of od-patch's options, arguments of the release), of what was given as keywords.

    Raises:
        TypeError: one is none of these.
        od_patch.UsageError, ValueError: one cannot be meant.
    """
    ours = {name: value for name, value in options.items()
            if name in _options.TABLE and _options.TABLE[name].keyword}
    others = {name: value for name, value in options.items() if name not in ours}
    if others:
        flags = set(_first_look.flags_of(SCRIPT) or ()) - set(_options.TABLE)
        for name in others:
            if name not in flags:
                known = flags | {option.name for option in _options.TABLE.values() if option.keyword}
                raise TypeError('export() has no option {!r}. {}'.format(
                    name, _errors.did_you_mean(name, sorted(known))).rstrip())
    return _options.values(ours), {name: value for name, value in others.items() if value is not None}


def _shape_text(given: typing.Any) -> typing.Optional[str]:
    """Returns an input shape as the flag has it: of a list, None or -1 in it for what is left open."""
    if given is None or isinstance(given, str):
        return given or None
    return ','.join('-1' if size is None else str(size) for size in given)


def _check(asked: Asked, exporter: typing.Any) -> None:
    """Checks what only the arguments say; what any export can check, ``export/_export`` checks.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    input_types = sorted(exporter.input_placeholder_fn_map)
    if asked.input_type not in input_types:
        raise _errors.UsageError(
            '--input_type={} is unknown to this release; it can be one of {}.'.format(
                asked.input_type, ', '.join(input_types)),
            _errors.did_you_mean(asked.input_type, input_types, '--input_type='))
    if asked.input_shape:
        _check_input_shape(asked.input_shape, asked.input_type, exporter)
    _config.read(asked.config, asked.override)


def _check_input_shape(shape: str, input_type: str, exporter: typing.Any) -> None:
    """Refuses an --input_shape that is not four dimensions of an image batch, of any number of channels."""
    expected = ('--input_shape is batch,height,width,channels, such as 1,300,300,3; '
                '-1 stands for a dimension that is left open, other than the last.')
    try:
        dimensions = [int(dimension) for dimension in shape.split(',')]
    except ValueError:
        raise _errors.UsageError('--input_shape={} is not a list of numbers.'.format(shape), expected)
    if len(dimensions) != 4 or dimensions[3] < 1 or any(size < 1 and size != -1 for size in dimensions):
        raise _errors.UsageError('--input_shape={} is not the shape of a batch of images.'.format(shape), expected)
    if input_type != 'image_tensor' and dimensions[3] != 3:
        raise _errors.UsageError(
            '--input_shape={} has {} channels, and the release decodes images of --input_type={} to 3.'.format(
                shape, dimensions[3], input_type),
            'Export with --input_type=image_tensor.')
    placeholder = exporter.input_placeholder_fn_map[input_type]
    if 'input_shape' not in inspect.signature(placeholder).parameters:  # from 2019-11-13 on, all of them take one
        raise _errors.UsageError(
            'This release takes --input_shape only with --input_type=image_tensor, not with {}.'.format(input_type),
            'Leave it out: encoded images have the size that they have.')
