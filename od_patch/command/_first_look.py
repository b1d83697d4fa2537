"""What can be told before TensorFlow is imported: help, misspelt flags, files that are not there.

The release's flags come from reading its script, not from running it. What is
refused here is refused in the words of the check that comes later, by the same
function; what cannot be told here, that check finds.

Not for: stores (``gs://``), and whatever needs the config, the protos or the graph.
"""
import ast
import copy
import importlib.util
import os

from od_patch import _tensorflow
from od_patch.checkpoint import _checkpoint
from od_patch.config import _config
from od_patch.config import _half
from od_patch.export import _artifacts
from od_patch.export import _destination
from od_patch.options import _flags
from od_patch.options import _options
from od_patch.staging import _staging
from od_patch.staging import _store
from od_patch.tf2 import _pair

_FROM_ELSEWHERE = ('flagfile', 'undefok')  # of absl, which takes them wherever flags are parsed


def flags_of(script):
    """Returns the ``FlagValues`` of a release's script and of od-patch; None where that cannot be told.

    Args:
        script: str, the script's module, ``object_detection.export_inference_graph``. Where there is none, the flags
            are those of od-patch alone.
    """
    try:
        from absl import flags
    except ImportError:
        return None
    values = flags.FlagValues()
    for name in _FROM_ELSEWHERE:
        if name in flags.FLAGS:
            values[name] = copy.deepcopy(flags.FLAGS[name])
    definitions = _definitions(script)
    if definitions is None:
        return None
    for kind, arguments, keywords in definitions:
        try:
            getattr(flags, kind)(*arguments, flag_values=values, module_name=script, **keywords)
        except (AttributeError, TypeError, ValueError, flags.Error):
            return None
    _flags.define(flags, values)
    return values


def is_known_elsewhere(name):
    """Whether a flag is one of absl's own, which TensorFlow brings along."""
    from absl import flags
    import absl.app  # noqa: F401  defines its flags
    import absl.logging  # noqa: F401
    return name in flags.FLAGS or name[:2] == 'no' and name[2:] in flags.FLAGS


def check(config, prefix, output, chosen):
    """Refuses what is said of files on this machine that is not so.

    Args:
        config, prefix, output: str, what ``_flags.REQUIRED`` names, with ``~`` expanded.
        chosen: dict from the name of an option to its value.

    Returns:
        2 where a model of the Object Detection API's TensorFlow 2 half is to be exported; 1 for the other half, and for
        what cannot be told here.

    Raises:
        od_patch.ODPatchError: one of its kinds.
    """
    half = 1
    config, prefix, output = map(_store.plain, (config, prefix, output))
    try:
        with _tensorflow.files_of_this_machine():
            options = _options.for_exports(chosen)
            text = '' if _store.is_store(config) else _config.read_text(config, *_config.MEANT)
            if options.series is not None or not output:
                return half_of(text, prefix)
            if not _store.is_store(prefix) and not os.path.isdir(prefix) and os.path.basename(prefix) != 'checkpoint':
                _checkpoint.resolve(prefix)
            half = half_of(text, prefix)
            if not _store.is_store(output):
                if not options.dry_run:
                    _staging.clear(output)
                replaces = _destination.check_free(output, options.overwrite)
                if replaces and _artifacts.PIPELINE_CONFIG not in options.artifacts and not _store.is_store(config):
                    _staging.check_not_read(output, [config])  # it would go with the export that is replaced
    except OSError:
        pass  # no permission, say; whoever needs the file says what is wrong
    return half


def half_of(text, checkpoint):
    """Returns which half of the Object Detection API a config and a checkpoint are for, as ``_pair.half`` does.

    Args:
        text: str, of a pipeline config; '' where it is not known.
        checkpoint: str, a prefix, a directory, a pattern; what lies in a store is not looked at. None for none.

    Raises:
        od_patch.ODPatchError: as ``_pair.half``.
    """
    with _tensorflow.files_of_this_machine():
        try:
            prefix = None if not checkpoint or _store.is_store(checkpoint) else _pair.prefix_of(checkpoint)
            return _pair.half(_half.described(text), prefix)
        except OSError:
            return 1


def _definitions(script):
    """Returns [(function of absl, arguments, keywords)] of a script's flags; None where one is no literal."""
    try:
        spec = importlib.util.find_spec(script)
    except (ImportError, AttributeError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        return []
    found = []
    try:
        with open(spec.origin, 'rb') as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and (
                    node.func.attr.startswith('DEFINE_')):
                found.append((node.func.attr, [ast.literal_eval(argument) for argument in node.args],
                              {one.arg: ast.literal_eval(one.value) for one in node.keywords}))
    except (OSError, SyntaxError, ValueError):
        return None
    return found
