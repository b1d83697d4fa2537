"""The ``od-patch`` command: one sub-command per question, each a thin layer over a private module.

``od-patch export`` is ``export_inference_graph``, word for word: it has the
release's own flags, which absl parses.
"""
import contextlib
import functools
import os
import sys
import traceback
import warnings

import click

from od_patch import _errors
from od_patch import _text
from od_patch import _version
from od_patch.command import _completion
from od_patch.command import _locale
from od_patch.options import _names
from od_patch.terminal import _json
from od_patch.terminal import _stages
from od_patch.terminal import _streams


class _Path(click.ParamType):
    """A path, in which a leading ``~`` is expanded: the shell leaves it alone behind an equals sign."""

    name = 'path'

    def convert(self, value, param, ctx):
        return os.path.expanduser(value)


_PATH = _Path()


class _Questions(click.Group):
    """The sub-commands; who asks for one that there is not is told the nearest, and what exports."""

    def resolve_command(self, ctx, args):
        name = str(args[0]) if args else ''
        if args and self.get_command(ctx, name) is None and not name.startswith('-'):
            if name.replace('-', '_').startswith('export'):
                raise _errors.UsageError('od-patch has no command {!r}; the one that exports, with the flags of the '
                                         'release, is "od-patch export", or export_inference_graph.'.format(name),
                                         'export_inference_graph --pipeline_config_path=… '
                                         '--trained_checkpoint_prefix=… '
                                         '--output_directory=…')
            raise _errors.UsageError('od-patch has no command {!r}.'.format(name), _errors.did_you_mean(
                name, self.list_commands(ctx), 'od-patch ') or 'od-patch --help lists the commands.')
        return super().resolve_command(ctx, args)


@click.group(cls=_Questions, context_settings={
    'help_option_names': ['-h', '--help'], 'token_normalize_func': _names.short})
@click.version_option(_version.__version__, prog_name='od-patch')
def cli():
    """Looks at, compares and publishes detectors of the TF Object Detection API."""


def _import_tensorflow_quietly():
    """TensorFlow's libraries write to the file descriptor itself while they are loaded; nothing there is an answer."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
    warnings.simplefilter('ignore')
    with _quietly():
        try:
            import tensorflow  # noqa: F401  pylint: disable=unused-import
        except ImportError as error:
            raise _errors.EnvironmentRefused('TensorFlow cannot be imported: {}.'.format(error),
                                             'Install one, e.g.  pip install tensorflow')


@contextlib.contextmanager
def _quietly():
    """Context manager: what is written to the file descriptor of stderr goes nowhere."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _questions(function):
    """Graph questions answer with diff's exit codes, so any trouble is 2; TensorFlow's import chatter is kept quiet."""
    @functools.wraps(function)
    def run(*args, **kwargs):
        try:
            if kwargs.get('checkpoint') and kwargs.get('config'):
                _check_halves(kwargs['checkpoint'], kwargs['config'])
            _import_tensorflow_quietly()
            return function(*args, **kwargs)
        except _errors.ODPatchError as error:
            error.exit_code = 2
            raise
        except (MemoryError, OSError) as error:
            raise _errors.UsageError('{}: {}'.format(type(error).__name__, error), 'Free some memory or disk, or check '
                                     'the paths.')
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click's own way to leave
        except Exception as error:  # pylint: disable=broad-except  (Python would exit with 1, which says "differ")
            if os.environ.get('OD_PATCH_TRACEBACK'):
                traceback.print_exc()
            raise _errors.UsageError(
                'This is a defect of od-patch, not of your files: {}: {}'.format(type(error).__name__, error),
                'Please report it with the traceback, which OD_PATCH_TRACEBACK=1 in the environment shows.')
    return run


def _check_halves(checkpoint, pipeline_config):
    """Refuses, before TensorFlow is imported, a checkpoint and a config of different halves; returns which half."""
    from od_patch import _tensorflow
    from od_patch.command import _first_look
    from od_patch.config import _config
    if not os.path.isfile(pipeline_config):
        return None  # whoever reads it says so
    with _tensorflow.files_of_this_machine():
        text = _config.read_text(pipeline_config, *_config.MEANT)
    return _first_look.half_of(text, checkpoint)


_QUESTIONS = ('compare', 'inspect', 'freeze', 'regenerate', 'verify')  # whose exit code 1 is an answer


def _print(result):
    """Prints what the function of the same name in ``od_patch`` returns."""
    click.echo(_json.strict(result.as_json(), indent=2))


_OUTPUTS = click.option('--outputs', metavar='NAME,…',
                        help='Nodes to compare; default: those of the signature, or detection_boxes and its like.')
_CHECKPOINT = click.option('--checkpoint', type=_PATH, metavar='PREFIX',
                           help='Look the weights up in this checkpoint: raw values or moving averages?')


@cli.command(cls=_completion.Exporting, short_help='Exports a detector; the same as export_inference_graph.')
@click.pass_context
def export(context):
    """Exports a detector, with the flags of the release and of od-patch."""
    _export(context.args)


def _export(words):
    from od_patch import export_inference_graph
    export_inference_graph.run(['od-patch export'] + list(words))


@cli.command()
@click.argument('left', type=_PATH, metavar='A')
@click.argument('right', type=_PATH, metavar='B', required=False)
@click.option('--json', 'as_json', is_flag=True, help='Print the answer as JSON (docs/compare.md has the schema).')
@click.option('--html', type=_PATH, metavar='OUT.html', help='Also write the answer as one self-contained page.')
@click.option('--canonical', type=_PATH, metavar='OUT.pb',
              help='Write the canonical form of A (with two graphs that differ, of B '
              'too, as OUT.b.pb). B may be left out.')
@click.option('--run', 'run_images', is_flag=False, flag_value=2, type=int, default=0, metavar='[IMAGES]',
              help='Run both graphs on so many made-up images (2), and find the first tensor that differs.')
@click.option('--overwrite', is_flag=True, help='Replace what --html and --canonical find there; never A or B.')
@_OUTPUTS
@_CHECKPOINT
@_questions
def compare(left, right, as_json, html, canonical, run_images, overwrite, outputs, checkpoint):
    """Says whether two frozen graphs differ, whether it matters, and why.

    A and B: frozen .pb files (binary or text), SavedModels, .meta files or export directories. Exit code 0: identical
    or equivalent; 1: they differ; 2: trouble.
    """
    from od_patch.api import _graphs
    from od_patch.compare import _report
    with _stages.shown(sys.stderr, not as_json):
        answer, written = _graphs.compare_(
            left, right, outputs, checkpoint, run_images, canonical, html, overwrite)
    if answer is None:
        click.echo('{}: the canonical form of {}'.format(canonical, left))
        return
    for path in written:
        click.echo('{}: written'.format(path), err=True)
    if as_json:
        _print(_graphs.comparison(answer))
    else:
        _report.show(answer, _report.console())
    sys.exit(answer.exit_code)


@cli.command()
@click.argument('graph', type=_PATH)
@click.option('--json', 'as_json', is_flag=True, help='Print what was found as JSON.')
@_OUTPUTS
@_CHECKPOINT
@_questions
def inspect(graph, as_json, outputs, checkpoint):
    """Tells how a frozen graph was made: TensorFlow, OD API revision, settings, transforms."""
    from od_patch.api import _graphs
    from od_patch.compare import _report
    found = _graphs.inspect_(graph, outputs, checkpoint)
    if as_json:
        _print(_graphs.inspection(*found))
    else:
        source, built, provenance, origin = found
        _report.show_provenance(source, built, provenance, _report.console(), origin)


@cli.command()
@click.argument('saved_model', type=_PATH)
@click.option('--output', required=True, type=_PATH, metavar='OUT.pb', help='Where to write the frozen graph.')
@click.option('--overwrite', is_flag=True, help='Replace a file that is there.')
@click.option('--json', 'as_json', is_flag=True, help='Print what was done as JSON.')
@_questions
def freeze(saved_model, output, overwrite, as_json):
    """Writes the frozen graph of an unfrozen SavedModel: every variable a constant again."""
    import rich.filesize
    from od_patch.api import _graphs
    frozen = _graphs.freeze(saved_model, output, overwrite)
    if as_json:
        _print(frozen)
        return
    left_out = ' (no output reads {})'.format(
        frozen.unread[0] if len(frozen.unread) == 1 else 'the other {:,}'.format(len(frozen.unread))
        ) if frozen.unread else ''
    click.echo(_text.plain('{}: {:,} nodes, {:,}{} variables frozen{}, {}'.format(
        frozen.output, frozen.nodes, frozen.variables,
        ' of {:,}'.format(frozen.variables + len(frozen.unread)) if frozen.unread else '', left_out,
        rich.filesize.decimal(frozen.bytes))))


@cli.command()
@click.option('--checkpoint', required=True, type=_PATH, metavar='PREFIX', help='The checkpoint of the package.')
@click.option('--config', required=True, type=_PATH, metavar='FILE',
              help='The package\'s own pipeline.config.')
@click.option('--like', required=True, type=_PATH, metavar='GRAPH', help='The frozen graph to get again.')
@click.option('--apply', is_flag=True, help='Export again with the settings that were found to differ.')
@click.option('--output', type=_PATH, metavar='DIR',
              help='Keep the last export here; of --models_repo, the nearest, with regenerate.md and compare.html.')
@click.option('--models_repo', type=_PATH, metavar='CLONE',
              help='A clone of tensorflow/models: find the revision and the TensorFlow that made the graph.')
@click.option('--cache', type=_PATH, metavar='DIR',
              help='Keeps environments and revisions for the next time; default: od-patch in the user\'s cache folder.')
@click.option('--python', 'pythons', multiple=True, metavar='VERSION=PATH',
              help='A Python that has this TensorFlow, as often as you like: no environment is made of it.')
@click.option('--most', type=click.IntRange(1, 1000), default=30, show_default=True,
              help='Export no more than so many times.')
@click.option('--dry_run', is_flag=True, help='Print what --models_repo would try and download, and do nothing.')
@click.option('--json', 'as_json', is_flag=True, help='Print what was found as JSON.')
@_questions
def regenerate(checkpoint, config, like, apply, output, models_repo, cache, pythons, most, dry_run, as_json):
    """Exports a checkpoint, compares with a shipped graph, and says what to set and pin to get the same one.

    With --models_repo, revisions of a clone are exported by their own exporter, each on a TensorFlow of its time, until
    the graph is the same. Nothing in the clone is changed.
    """
    if _check_halves(checkpoint, config) == 2:
        raise _errors.InputRefused(
            'The pipeline config and the checkpoint are of TensorFlow 2, and regenerate gets frozen graphs again: what '
            'TensorFlow 2 ships are SavedModels.',
            'Export it, and compare:  od-patch compare {} EXPORT'.format(like))
    if models_repo:
        if apply or as_json:
            raise _errors.UsageError(
                '--apply sets what the installed release can be told, and --models_repo looks for another release.'
                if apply else '--json is not for --models_repo, which writes what it found into --output.',
                'Leave out one of them.')
        _search_clone(checkpoint, config, like, models_repo, cache, output, pythons, most, dry_run)
    if cache or pythons or dry_run:
        raise _errors.UsageError('--cache, --python and --dry_run belong to --models_repo, which is not given.',
                                 'Give --models_repo=CLONE, a clone of tensorflow/models.')
    from od_patch.api import _graphs
    from od_patch.compare import _report
    from od_patch.regenerate import _installed
    attempts, read = _graphs.regenerate_(checkpoint, config, like, apply, output)
    if as_json:
        _print(_graphs.regeneration(attempts, read, output))
        sys.exit(attempts[-1].answer.exit_code)
    out = _report.console()
    for number, attempt in enumerate(attempts):
        if len(attempts) > 1:
            click.echo('Export {}{}'.format(number + 1, '' if not attempt.flags else ', with ' + ' '.join(
                _text.command(['--{}={}'.format(*row)]) for row in sorted(attempt.flags.items()))))
        _report.show(attempt.answer, out)
    answer = attempts[-1].answer
    if answer.exit_code:
        flags, override, left = _installed.adjustments(answer, read)
        if (flags or override) and not apply:
            click.echo('Settings that differ and can be set (or give --apply):')
            for name, value in sorted(flags.items()):
                click.echo('  ' + _text.plain(_text.command(['--{}={}'.format(name, value)])))
            if override:
                click.echo('  ' + _text.plain(_text.command(['--config_override=' + override])))
        if left:
            click.echo('What no setting here changes; to get that graph, pin:')
            for line in _installed.pin(answer):
                click.echo('  ' + _text.plain(line))
    if output:
        click.echo('{}: the export'.format(output))
    click.echo(_text.plain('{}: {}'.format(answer.verdict, answer.reason)))
    sys.exit(answer.exit_code)


def _search_clone(checkpoint, pipeline_config, like, models_repo, cache, output, pythons, most, dry_run):
    """``regenerate --models_repo``: looks, says what was found, and exits."""
    from od_patch.api import _paths
    from od_patch.command import _signals
    from od_patch.compare import _report
    from od_patch.regenerate import _recipe
    from od_patch.regenerate import _regenerate

    def say(text):
        click.echo(_text.plain(text), err=True)

    like, models_repo, output, cache = map(_paths.local, (like, models_repo, output, cache))
    request = _regenerate.Request(checkpoint, pipeline_config, like, models_repo, cache, output, pythons, most)
    try:
        with _signals.obeyed(), _stages.shown(sys.stderr):
            plan, clone, flags = _regenerate.plan(request)
            if dry_run:
                click.echo(_text.plain('\n'.join(_regenerate.describe(plan, clone, flags))))
                sys.exit(0)
            bench = _regenerate.search(request, plan, clone, flags, say)
    except (KeyboardInterrupt, _signals.Terminated) as signal:
        say('Interrupted. {} keeps what was made for the next time.'.format(request.cache))
        sys.exit(130 if isinstance(signal, KeyboardInterrupt) else 143)
    best = bench.best
    _report.show(best.answer, _report.console())
    if not output:
        click.echo('By hand:')
        for line in _recipe.commands(best, bench.environment(best.tensorflow, best.python), flags, checkpoint,
                                     pipeline_config, models_repo):
            click.echo('  ' + _text.plain(line))
    for line in bench.left:
        click.echo('Left: ' + _text.plain(line))
    if output:
        click.echo(_text.plain('{0}: the export, {1} (how to make it again) and {2} (the verdict)'.format(
            output, _regenerate.RECIPE, _regenerate.PAGE)))
    click.echo(_text.plain('Pin: {}'.format(_recipe.pin(best))))
    click.echo(_text.plain('{}: {}'.format(best.verdict, best.answer.reason)))
    sys.exit(best.answer.exit_code)


@cli.command()
@click.option('--cache', type=_PATH, metavar='DIR',
              help='The cache of "od-patch regenerate"; default: od-patch in the user\'s cache folder.')
@click.option('--clear', is_flag=True, help='Remove what it holds; with NAMEs, only those.')
@click.argument('names', nargs=-1, metavar='[NAME]…')
def cache(cache, clear, names):
    """Lists the environments and revisions that "od-patch regenerate" keeps, with their sizes, or removes them."""
    import rich.filesize
    from od_patch.api import _paths
    from od_patch.regenerate import _cache
    if names and not clear:
        raise _errors.UsageError('NAMEs say what to remove.', 'od-patch cache --clear ' + _text.command(names))
    cache = _paths.local(cache)
    kept = _cache.Cache(cache or _cache.default())
    entries = kept.clear(names or None) if clear else kept.entries()
    for entry in entries:
        click.echo(_text.plain('{:>9}  {}  {}'.format(rich.filesize.decimal(entry.bytes), entry.kind[:-1], entry.name)))
    click.echo(_text.plain('{}: {} {}'.format(kept.folder, rich.filesize.decimal(sum(row.bytes for row in entries)),
                                             'removed' if clear else 'kept')))


@cli.command()
@click.option('--json', 'as_json', is_flag=True, help='Print what was found as JSON.')
def doctor(as_json):
    """Says what is installed, whether an export can run on it, and what to type where it cannot.

    Exit code 0: usable; 3: not.
    """
    from od_patch.api import _proof
    from od_patch.environment import _doctor
    try:
        _import_tensorflow_quietly()
        with _quietly():
            findings = _doctor.examine()
    except _errors.EnvironmentRefused:
        findings = _doctor.examine()  # without TensorFlow, that is what it finds
    if as_json:
        _print(_proof.diagnosis(findings))
    else:
        _doctor.show(findings, sys.stdout)
    sys.exit(_errors.EnvironmentRefused.exit_code if findings.problems else 0)


@cli.command()
@click.argument('export', type=_PATH, metavar='[EXPORT_DIR]', required=False)
@click.option('--saved_model', type=_PATH, metavar='DIR', help='The SavedModel; default: saved_model of EXPORT_DIR.')
@click.option('--frozen_graph', type=_PATH, metavar='FILE', help='The frozen graph; default: that of EXPORT_DIR.')
@click.option('--checkpoint', type=_PATH, metavar='PREFIX',
              help='The trained checkpoint; default: the one that the export names. '
              'With --config and nothing else, it is exported to a temporary folder and that is verified.')
@click.option('--config', type=_PATH, metavar='FILE',
              help='What it was trained with: says whether its moving averages '
              'are meant.')
@click.option('--images', multiple=True, type=_PATH, metavar='PATH',
              help='An image or a folder of them, as often as you like; '
              'default: two drawn scenes.')
@click.option('--most_images', type=click.IntRange(1, 1000), default=8, show_default=True,
              help='Take no more than so many of them.')
@click.option('--target_tf', metavar='VERSION', help='Does this TensorFlow know all ops and attributes? E.g. 1.12.')
@click.option('--quick', is_flag=True, help='Run nothing: files, weights and portability only.')
@click.option('--json', 'as_json', is_flag=True, help='Print the answer as JSON (docs/verify.md has the schema).')
@click.option('--html', type=_PATH, metavar='OUT.html',
              help='Also write the answer as one self-contained page, with pictures.')
@click.option('--report', type=_PATH, hidden=True)  # what --html was called here
@click.option('--overwrite', is_flag=True, help='Replace what --html finds there; never what is verified.')
@_questions
def verify(export, saved_model, frozen_graph, checkpoint, config, images, most_images, target_tf, quick,
           as_json, html, report, overwrite):
    """Proves an export: checkpoint, frozen graph and SavedModel against each other, in files, weights and outputs.

    Exit code 0: all the same; 1: something is not; 2: trouble, or nothing that could be compared.
    """
    from od_patch import _tensorflow
    from od_patch.api import _proof
    from od_patch.proof import _verify_report
    _tensorflow.tf1().logging.set_verbosity(_tensorflow.tf1().logging.ERROR)
    html = html or report
    with _stages.shown(sys.stderr, not as_json):
        answer = _proof.verify_(export, saved_model, frozen_graph, checkpoint, config, images, most_images, target_tf,
                                quick, html, overwrite,
                                tell=lambda text: click.echo('Note: ' + _text.plain(text), err=True))
    if as_json:
        _print(_proof.verification(answer))
    else:
        _verify_report.show(answer, _verify_report.console())
        if html:
            click.echo('{}: the report'.format(html))
    sys.exit(answer.exit_code)


def _writes(function):
    """Commands that write what servers read have the exit codes of an export: docs/troubleshooting.md lists them."""
    @functools.wraps(function)
    def run(*args, **kwargs):
        from od_patch import _tensorflow
        from od_patch.api import _paths
        _import_tensorflow_quietly()
        _tensorflow.tf1().logging.set_verbosity(_tensorflow.tf1().logging.ERROR)
        with _paths.writing():
            return function(*args, **kwargs)
    return run


@cli.command()
@click.argument('graph', type=_PATH, metavar='FROZEN')
@click.option('--output', type=_PATH, metavar='DIR', help='Where saved_model/ and model.ckpt are written.')
@click.option('--variables', is_flag=False, flag_value='', metavar='[PATTERN]',
              help='List the constants that become variables; with a PATTERN, such as "BoxPredictor_*", only those do.')
@click.option('--inputs', metavar='NAME,…',
              help='Tensors that are fed; default: those of the signature, or the only placeholder.')
@click.option('--outputs', metavar='NAME,…',
              help='Tensors that are answered; default: those of the signature, or detection_boxes and its like.')
@click.option('--overwrite', is_flag=True, help='Replace an export that is in DIR.')
@click.option('--json', 'as_json', is_flag=True, help='Print what was done as JSON.')
@_writes
def unfreeze(graph, output, variables, inputs, outputs, overwrite, as_json):
    """Writes a SavedModel with variables, and a checkpoint of them, from a frozen graph alone.

    FROZEN: frozen_inference_graph.pb, or a SavedModel of frozen constants. No checkpoint, no config and no Object
    Detection API are needed. What is written is proved against FROZEN, bit for bit, before it is moved into place.
    """
    from od_patch.api import _serving
    if output is None and variables is None:
        raise _errors.UsageError('Nothing says where to write.',
                                 'Give --output=DIR, or --variables for a list.')
    with _stages.shown(sys.stderr, output is not None and not as_json):
        told = _serving.unfreeze_(graph, output, variables, inputs, outputs, overwrite)
    if as_json:
        _print(_serving.unfrozen(told))
    else:
        click.echo('\n'.join(map(_text.plain, told.lines)))


@cli.command()
@click.argument('export', type=_PATH, metavar='EXPORT')
@click.argument('base', type=_PATH, metavar='BASE')
@click.option('--model_version', metavar='N', help='A whole number, or "step" for the global step of the checkpoint; '
              'default: the next one.')
@click.option('--keep', type=int, metavar='K', help='Remove all but the K largest versions; never the one served.')
@click.option('--model_name', metavar='NAME', help='What requests call the model; default: the last part of BASE.')
@click.option('--warmup_images', multiple=True, type=_PATH, metavar='PATH',
              help='An image or a folder of them, as often as you '
              'like, or nothing (--warmup_images=) for drawn ones: warm-up requests go with the version.')
@click.option('--example_request', type=_PATH, metavar='DIR',
              help='Also write a request and a client program, as "od-patch request" '
              'does.')
@click.option('--json', 'as_json', is_flag=True, help='Print what was done as JSON.')
@_writes
def publish(export, base, model_version, keep, model_name, warmup_images, example_request, as_json):
    """Publishes the SavedModel of EXPORT as a new version in BASE, for a server that watches that folder.

    BASE may be a path that TensorFlow knows, such as gs://bucket/models/detector. The version appears there whole, and
    versions that are there are not changed.
    """
    from od_patch.api import _serving
    from od_patch.serving import _commands
    from od_patch.serving import _requests
    published, example = _serving.publish_(export, base, model_version, keep, model_name, warmup_images or None,
                                           example_request)
    if as_json:
        _print(_serving.publication(published, example))
    else:
        for line in _commands.lines(published) + ([] if example is None else [''] + _requests.lines(example)):
            click.echo(_text.plain(line))


@cli.command()
@click.argument('service', type=click.Choice(['sagemaker', 'kserve', 'vertex', 'triton']))
@click.argument('export', type=_PATH, metavar='EXPORT')
@click.option('--output', required=True, type=_PATH, metavar='PATH',
              help='The archive (.tar.gz) or the folder to write.')
@click.option('--model_version', metavar='N', help='A whole number, or "step" for the global step of the checkpoint; '
              'default: 1.')
@click.option('--model_name', metavar='NAME', help='What the model is called; default: the name of its folder.')
@click.option('--code', type=_PATH, metavar='PATH',
              help='inference.py, or the folder that holds it, for code/ of a SageMaker '
              'archive.')
@click.option('--overwrite', is_flag=True, help='Replace what is there; never what is packed.')
@click.option('--json', 'as_json', is_flag=True, help='Print what was packed as JSON.')
@_writes
def package(service, export, output, model_version, model_name, code, overwrite, as_json):
    """Packs the SavedModel of EXPORT in the layout that SERVICE's container looks for, and lists what is in it.

    The same export gives the same archive, byte for byte.
    """
    from od_patch.api import _serving
    from od_patch.serving import _archive
    packed = _serving.package_(service, export, output, model_version, model_name, code, overwrite)
    if as_json:
        _print(_serving.packed(packed))
    else:
        for line in _archive.lines(packed):
            click.echo(_text.plain(line))


@cli.command()
@click.argument('export', type=_PATH, metavar='EXPORT')
@click.option('--output', required=True, type=_PATH, metavar='DIR', help='Where to write request and client.')
@click.option('--model_name', metavar='NAME', help='What requests call the model; default: the name of its folder.')
@click.option('--image', type=_PATH, metavar='FILE', help='The image that is asked about; default: a drawn scene.')
@click.option('--signature', metavar='KEY', help='Which signature is asked; default: serving_default.')
@click.option('--overwrite', is_flag=True, help='Replace what is there.')
@click.option('--json', 'as_json', is_flag=True, help='Print what was written as JSON.')
@_writes
def request(export, output, model_name, image, signature, overwrite, as_json):
    """Writes a request for the model, for REST and gRPC, and a client program with the names of its classes.

    EXPORT: an export, a SavedModel, or a folder with published versions. Says how large a request is for each type of
    input.
    """
    from od_patch.api import _serving
    from od_patch.serving import _requests
    example = _serving.request_(export, output, model_name, image, signature, overwrite)
    if as_json:
        _print(_serving.written_request(example))
    else:
        for line in _requests.lines(example):
            click.echo(_text.plain(line))


def main():
    """Console script: runs ``cli`` and turns refusals into words and exit codes."""
    _locale.ensure_utf8()
    _streams.open_what_is_closed()
    if sys.argv[1:2] == ['export'] and '_OD_PATCH_COMPLETE' not in os.environ:
        _export(sys.argv[2:])  # it looks after its streams and its refusals itself
    sys.stdout = _streams.Output(sys.stdout)
    try:
        try:
            _streams.check_working_directory()
            _streams.check_words(sys.argv[1:])
            cli(prog_name='od-patch')
        finally:
            sys.stdout.flush()
    except _streams.Unheard as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would try once more at its end
        if not error.of_a_pipe:
            click.echo('od-patch: {}\n{}'.format(error.problem, error.remedy), err=True)
        sys.exit(2 if sys.argv[1:2] and sys.argv[1] in _QUESTIONS else error.exit_code)
    except _errors.ODPatchError as error:
        click.echo('od-patch: {}'.format(error.problem), err=True)
        if error.remedy:
            click.echo(error.remedy, err=True)
        sys.exit(error.exit_code)


if __name__ == '__main__':
    main()
