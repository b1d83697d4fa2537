"""``python -m od_patch [OPTIONS] SCRIPT [ARGS…]``: runs anybody's script with the patch on, as the real ``__main__``.

SCRIPT is the checkout's own ``export_inference_graph.py``, or any other that
calls ``exporter.export_inference_graph``. Its output and its exit code are its
own, and so are its arguments but for the options of od-patch, which may stand
behind it, too. An option that the script defines itself stays the script's. With
``--`` before SCRIPT, all that follows SCRIPT does.

What nobody knows is refused behind the release's own script, which drops it
without a word. Behind another it is passed on: whether that is an error is for
the script to say, and nobody else can know.

Not for: checks before the export and a summary after it; ``export_inference_graph`` has them.
"""
import ast
import contextlib
import importlib.abc
import importlib.util
import os
import runpy
import sys
import time
import tokenize
import traceback
from od_patch import _errors
from od_patch import _tensorflow
from od_patch import _text
from od_patch import _version
from od_patch import legacy
from od_patch.api import _export
from od_patch.command import _first_look
from od_patch.command import _locale
from od_patch.config import _config
from od_patch.config import _half
from od_patch.export import _observer
from od_patch.export import _summary
from od_patch.options import _flags
from od_patch.options import _names
from od_patch.options import _options
from od_patch.patch import _exporter_v2
from od_patch.patch import _patching
from od_patch.releases import _release_errors
from od_patch.terminal import _json
from od_patch.terminal import _log_file
from od_patch.terminal import _streams
from od_patch.terminal import _terminal
from od_patch.tf2 import _pair

_PROGRAM = 'python -m od_patch'
_PATHS = _flags.REQUIRED + ('trained_checkpoint_dir',)
_USAGE = """Usage: python -m od_patch [OPTIONS] SCRIPT [ARGS]...

Runs SCRIPT with od-patch's patch on the Object Detection API's exporter.

OPTIONS may also follow SCRIPT, but for those that it defines itself. With -- before SCRIPT, all ARGS are its own.
"""
# Flags that absl has without a definition, or defines when the script's main is called.
_OF_ABSL = frozenset(['flagfile', 'undefok', 'help', 'helpfull', 'helpshort', 'helpxml', '?', 'h'])


class _Reporter(_observer.Observer):
    """Prints one line per export, and what the steps have to say: on stderr, as the script's output is its own.

    With ``--json`` the report of each export goes to stdout, in place of the line.
    """

    def __init__(self, stream, json_stream=None):
        self._stream = stream
        self._json_stream = json_stream
        self.notes = []
        self.report = None
        self._began = time.time()

    @property
    def seconds(self):
        return time.time() - self._began

    def finished(self, report):
        self.report = report
        if self._json_stream is not None:
            self._json_stream.write(_json.strict(_export.report(self).as_json(), indent=2) + '\n')
            self._json_stream.flush()
            return
        self.line(_summary.summary_line(report))
        for line in getattr(report, 'lines', ()):
            self.line(line)

    def note(self, text):
        self.notes.append(text)
        self.line('od-patch: ' + text)

    def line(self, text):
        """Prints one line."""
        self._stream.write(_text.plain(text) + '\n')
        self._stream.flush()


class _PatchOnImport(importlib.abc.MetaPathFinder):
    """Calls a function with the exporter module as soon as the script has imported it.

    Importing it for the script beforehand would import TensorFlow before the
    script had set its environment variables and its ``sys.path``. The rest of
    the OD API is seen, too: under TensorFlow 2, the bridges must be on before
    the script imports any of it.

    Args:
        on_first: called, without arguments, before the first module of the OD API is imported.
        on_import: called with the exporter module.
        module: str, the name of that module.
        behaviour: makes the context in which the modules of the OD API are run.
    """

    def __init__(self, on_first, on_import, module=_patching.EXPORTER, behaviour=legacy.tf1_behaviour):
        self._on_first = on_first
        self._on_import = on_import
        self._module = module
        self._behaviour = behaviour
        self.seen = False
        self._looking = False

    def find_spec(self, name, path=None, target=None):
        package = _patching.EXPORTER.partition('.')[0]
        if self._looking or name.partition('.')[0] != package:
            return None
        self._looking = True  # the next finders are asked through the same entrance
        try:
            if name == package:
                self._on_first()
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                with self._behaviour(), legacy.quick_imports():
                    execute(module)
                if name == self._module:
                    self.seen = True
                    self._on_import(module)

            spec.loader.exec_module = exec_module
        return spec


def run(argv=None):
    """Runs a script as the command line says, and exits as it does, or with the code of a refusal.

    Args:
        argv: list of str, the command line without the program's name; default that of the process.
    """
    log = _log_file.Log(verbose=True)
    chosen = {}
    try:
        chosen, script, arguments, notes = _read(sys.argv[1:] if argv is None else list(argv))
        log = _log(chosen)
        reporter = _Reporter(log.error_terminal, log.terminal if chosen.get('json') else None)
        for note in notes:
            reporter.note(note)
        _run(chosen, script, arguments, log, reporter)
    except _errors.ODPatchError as error:
        _terminal.show_refusal(error, log.error_terminal)
        if chosen.get('traceback'):
            log.error_terminal.write(traceback.format_exc())
        sys.exit(error.exit_code)
    finally:
        log.close()


def _log(chosen):
    """Returns the ``_log_file.Log`` that --log_file asks for; else one that lets everything through."""
    path = chosen.get('log_file')
    if path is None or chosen.get('verbose'):
        return _log_file.Log(verbose=True)
    try:
        return _log_file.Log(path)
    except OSError as error:
        raise _log_file.log_refused(path, error)


def _run(chosen, script, arguments, log, reporter):
    """Runs a script under the patch."""
    if _exporter_v2.is_for_tensorflow_2(script, _imported_by(script)):
        _run_for_tensorflow_2(chosen, script, arguments, log)
        return
    if _is_the_releases(script):
        _refuse_the_other_half(arguments)
    keywords = _options.keywords(chosen)
    _options.for_exports(keywords)  # what cannot be meant is refused before anything runs
    stack = contextlib.ExitStack()

    def patch(module):
        _check_arguments(script, arguments)
        stack.enter_context(_patching.patched(module, _observer=reporter, **keywords))

    hook = _PatchOnImport(lambda: stack.enter_context(legacy.on()), patch)
    try:
        with log.redirected(), stack, _release_errors.explained():
            _run_script(script, arguments, hook)
    finally:
        if not hook.seen:
            reporter.note('{} never imported {}; nothing was patched.'.format(script, _patching.EXPORTER))


def _run_script(script, arguments, hook):
    """Runs a script as ``__main__``, with a hook that sees what it imports."""
    sys.meta_path.insert(0, hook)
    sys.argv[:] = [script] + arguments
    sys.path[0] = os.path.dirname(os.path.abspath(script))  # as `python SCRIPT` has it
    try:
        runpy.run_path(script, run_name='__main__')
    finally:
        sys.meta_path.remove(hook)


def _run_for_tensorflow_2(chosen, script, arguments, log):
    """Runs a script of the TF 2 half with what it needs; the release's export in it is staged."""
    _exporter_v2.check_options(chosen)
    legacy.choose_keras()
    stack = contextlib.ExitStack()
    hook = _PatchOnImport(
        lambda: stack.enter_context(legacy.on_eager()),
        lambda module: stack.enter_context(_exporter_v2.patched(module, chosen.get('overwrite', False))),
        _exporter_v2.MODULE, contextlib.ExitStack)
    with log.redirected(), stack:
        _run_script(script, arguments, hook)


def _refuse_the_other_half(arguments):
    """Refuses, before TensorFlow is imported, a config or a checkpoint of TensorFlow 2 behind TensorFlow 1's script."""
    given = {_names.of(argument): argument.partition('=')[2] for argument in arguments if '=' in argument}
    given.update({_names.of(argument): value for argument, value in zip(arguments, arguments[1:])
                  if '=' not in argument and _names.of(argument)})
    config, checkpoint = given.get('pipeline_config_path'), given.get('trained_checkpoint_prefix')
    if not config or not checkpoint or not os.path.isfile(config):
        return  # whoever reads it says so
    with _tensorflow.files_of_this_machine():
        text = _config.read_text(config, *_config.MEANT)
    if _first_look.half_of(text, checkpoint) == 2:
        raise _errors.InputRefused(
            'The pipeline config and the checkpoint are of TensorFlow 2 ({}), and export_inference_graph.py '
            'exports models of TensorFlow 1.'.format(_half.described(text).in_words()),
            'Export them with the command:\n' + _pair.other_command(checkpoint))


def _read(argv):
    """Returns (values of options, the script, its arguments, notes for the user) of a command line.

    Raises:
        od_patch.UsageError: an option that is none, or cannot be meant; there is no such script.
    """
    try:
        from absl import flags
    except ImportError as error:
        raise _errors.EnvironmentRefused('absl cannot be imported, which reads the options: {}.'.format(error),
                                         'It comes with TensorFlow:  python -m pip install absl-py')
    before, rest = _until_script(argv)
    before = _names.spelled(before, _options.TABLE)
    _answer_questions(before, flags)
    _parsed(before, flags)  # a misspelt one is refused before what may be its value is taken for the script
    script_is_left_alone = rest[:1] == ['--']
    rest = rest[script_is_left_alone:]
    if not rest:
        raise _errors.UsageError('There is no script to run.', _USAGE.split('\n')[0])
    script = rest[0]
    if not os.path.isfile(script):
        raise _errors.UsageError('The script {} does not exist.'.format(script), _USAGE.split('\n')[0])
    ours, others, notes = [], rest[1:], []
    defined = _defined_by(script)
    if not script_is_left_alone:
        ours, others = _flags.split(rest[1:], but=defined)
        if ours and not _is_the_releases(script):
            notes.append('{} taken from the arguments of {}, which does not define {}. With -- before the script it is '
                         'left alone.'.format(' '.join(ours), script, 'it' if len(ours) == 1 else 'them'))
    if _is_the_releases(script) or _is_the_other_releases(script):
        others = [_expanded(argument) for argument in _names.spelled(others, defined)]
    return _parsed(before + ours, flags), script, others, notes


def _expanded(argument):
    """Returns an argument of the release's script; ``~`` is expanded in the paths that it needs, as in the command."""
    name, equals, path = argument.partition('=')
    return name + equals + os.path.expanduser(path) if _names.of(argument) in _PATHS else argument


def _until_script(argv):
    """Returns (the arguments before the script, the others, which begin with the script or with ``--``)."""
    position = 0
    while position < len(argv) and _names.of(argv[position]) is not None:
        ours, _ = _flags.split(argv[position:position + 2])
        position += 2 if len(ours) == 2 and _names.of(ours[1]) is None else 1
    return argv[:position], argv[position:]


def _answer_questions(before, flags):
    """Prints what --help and --version ask for, and ends the program."""
    for argument in before:
        if argument in ('-h', '--help'):
            values = flags.FlagValues()
            _flags.define(flags, values)
            sys.stdout.write(_streams.in_encoding(
                '{}\n{}\n'.format(_USAGE, _flags.explained(values)), sys.stdout.encoding))
            sys.exit()
        if argument == '--version':
            sys.stdout.write('od-patch, version {}\n'.format(_version.__version__))
            sys.exit()


def _parsed(arguments, flags):
    """Returns the values of options, a dict."""
    values = flags.FlagValues()
    _flags.define(flags, values)
    try:
        values([_PROGRAM] + arguments)
    except flags.UnrecognizedFlagError as error:
        raise _flags.unknown(error.flagname, values, _PROGRAM + ' --help')
    except (flags.Error, ValueError) as error:
        raise _errors.UsageError('{}'.format(error), _PROGRAM + ' --help lists the flags.')
    return _flags.values(values)


def _check_arguments(script, arguments):
    """Refuses, behind the release's own script, flags that neither it nor what it imports defines.

    Its exporter is imported by then, and with it TensorFlow, whose flags it takes, too.
    """
    if not _is_the_releases(script):
        return
    from absl import flags
    known = _OF_ABSL | frozenset(flags.FLAGS) | _defined_by(script)
    known |= {name for argument in arguments if _names.of(argument) == 'undefok'
              for name in argument.partition('=')[2].split(',')}
    for argument in arguments:
        if argument == '--':
            return
        name = _names.of(argument)
        names = {name, name[2:] if name and name.startswith('no') else name}
        if name is not None and names.isdisjoint(known):
            raise _flags.unknown(name, known | frozenset(_options.TABLE), _PROGRAM + ' --help')


def _is_the_releases(script):
    """Returns whether a script is the release's export_inference_graph.py, as it lies in every checkout."""
    return os.path.realpath(script).split(os.sep)[-2:] == ['object_detection', 'export_inference_graph.py']


def _is_the_other_releases(script):
    """Returns whether a script is the release's exporter_main_v2.py."""
    return os.path.realpath(script).split(os.sep)[-2:] == ['object_detection', 'exporter_main_v2.py']


def _imported_by(script):
    """Returns the names of the modules that a script imports, and of what it takes from them, by its source."""
    found = set()
    for node in ast.walk(_tree_of(script)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update('{}.{}'.format(node.module, alias.name) for alias in node.names)
    return found


def _tree_of(script):
    """Returns the syntax tree of a script; an empty one where it cannot be read: running it says what is wrong."""
    try:
        with tokenize.open(script) as source:
            return ast.parse(source.read())
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return ast.parse('')


def _defined_by(script):
    """Returns the names of flags that a script defines itself, as far as its source says so: a frozenset.

    What counts: the first text that a function named ``DEFINE_…`` is called with (absl, ``tf.app.flags``), any text
    that begins with two dashes (argparse, click, a look into ``sys.argv``), and the texts that ``getopt`` is given.
    """
    found = set()
    for node in ast.walk(_tree_of(script)):
        if isinstance(node, ast.Call):
            called = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            texts = [text for argument in node.args for text in map(_text_of, ast.walk(argument)) if text]
            if called.startswith('DEFINE_'):
                found.update(texts[:1])
            elif 'getopt' in called:
                found.update(text.rstrip('=') for text in texts)
        text = _text_of(node) or ''
        if text.startswith('--'):
            found.add(text[2:].partition('=')[0].partition('/')[0])
    return frozenset(found)


def _text_of(node):
    """Returns the text that a node of a syntax tree is, None for all others; until Python 3.7, its class is ``Str``."""
    value = vars(node).get('value', vars(node).get('s'))
    return value if isinstance(value, str) else None


if __name__ == '__main__':
    _locale.ensure_utf8()
    run()
