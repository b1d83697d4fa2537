"""Checkpoints: what a path means, what a checkpoint holds, and whether a graph can be filled from it.

Not for: the layout of the index file, which is ``_bundle``, and not for writing
SavedModels.
"""
import collections
import os
import re
import typing

from od_patch import _errors
from od_patch import _pixels
from od_patch import _platform
from od_patch import _tensorflow
from od_patch.checkpoint import _bundle
from od_patch.staging import _staging
from od_patch.staging import _store

STEP = 'global_step'
AVERAGE_SUFFIX = '/ExponentialMovingAverage'  # what tf.train.ExponentialMovingAverage names its shadows

_OBJECTS = '_CHECKPOINTABLE_OBJECT_GRAPH'  # a tensor of tf.train.Checkpoint's (trackable/base.py)
_STUCK_ON = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})$')
_STEP = re.compile(r'-(\d+)$')
_NAMED = re.compile(r'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\\n]|\\["\\\'])*)"', re.MULTILINE)

# (name, shape in the graph, shape in the checkpoint)
_Reshaped = typing.List[typing.Tuple[str, typing.List[int], typing.List[int]]]


class Inventory(typing.NamedTuple):
    """What a checkpoint holds."""

    prefix: str  # the checkpoint prefix
    format: str  # 'V1' (the prefix is a file) or 'V2' (``.index`` and ``.data-…`` beside it)
    num_shards: int  # number of data files
    shapes: typing.Dict[str, typing.List[int]]  # by tensor name
    step: typing.Optional[int]  # the value of ``global_step``; None where there is none


def resolve(path: typing.Any) -> str:
    """Returns the checkpoint prefix that a user means by ``path``.

    Args:
        path: str, a prefix; or a prefix with ``.index``, ``.meta`` or ``.data-…``
            stuck to it; or a directory, which means its newest checkpoint.

    Raises:
        od_patch.InputRefused: there is no checkpoint there.
    """
    gfile = _tensorflow.gfile()
    path = os.fspath(path)
    if not path:
        raise _errors.InputRefused('The checkpoint prefix is empty.', 'Give one, such as training/model.ckpt-200000.')
    if os.path.basename(path) == 'checkpoint' and not gfile.Exists(path + '.index'):
        path = os.path.dirname(path) or '.'  # the file that names the newest one of its directory
    if gfile.IsDirectory(path) and not gfile.Exists(_store.without_slash(path) + '.index'):
        return _newest(path)
    prefix = without_suffix(path)
    if _is_there(prefix):
        return prefix
    raise _errors.InputRefused(
        'There is no checkpoint {!r}: neither {}.index nor a file of that name exists.'.format(path, prefix),
        _what_else_is_there(prefix))


def take_inventory(prefix: str) -> Inventory:
    """Returns the ``Inventory`` of a checkpoint, after a look at whether its files are whole.

    Reads the index, and of the data only ``global_step``.

    Args:
        prefix: str, a checkpoint prefix as ``resolve`` returns it.

    Raises:
        od_patch.InputRefused: files are missing, cut short or damaged.
    """
    gfile = _tensorflow.gfile()
    num_shards = 1
    checkpoint_format = 'V1'
    if gfile.Exists(prefix + '.index'):
        checkpoint_format = 'V2'
        try:
            index = _bundle.read_index(prefix)
        except _bundle.BrokenIndex as error:
            raise _errors.InputRefused(
                'The checkpoint {} is damaged: {}.index is not the index of a checkpoint: {}.'.format(
                    prefix, prefix, error),
                'Copy the checkpoint again, or take another one.')
        problems = _bundle.shortfalls(prefix, index)
        if problems:
            raise _errors.InputRefused(
                'The checkpoint {} is not whole: {}.'.format(prefix, '; '.join(problems)),
                'Copy all files of the checkpoint again ({}.index and every {}.data-…), or take another one.'.format(
                    prefix, os.path.basename(prefix)))
        num_shards = index.num_shards
    else:
        _check_kind(prefix)
        _check_v1(prefix)
    tf = _tensorflow.tf1()
    try:
        reader = tf.train.NewCheckpointReader(prefix)
        shapes = reader.get_variable_to_shape_map()
        step = int(reader.get_tensor(STEP)) if STEP in shapes else None
    except _tensorflow.reader_errors() as error:
        remedy = 'Copy the checkpoint again, or take another one.'
        if _platform.has_magic(prefix):
            remedy = 'TensorFlow takes the characters * ? [ in a checkpoint path for a pattern: rename the folder.'
        elif checkpoint_format == 'V1':
            remedy = ('Give the prefix of a checkpoint: the name that its files .index and .data-… have in common. '
                      'Only checkpoints of before 2017 are a single file.')
        raise _errors.InputRefused(
            'The checkpoint {} cannot be read: {}'.format(prefix, getattr(error, 'message', None) or error), remedy)
    return Inventory(prefix, checkpoint_format, num_shards, shapes, step)


def without_suffix(path: typing.Any) -> str:
    """Returns the prefix that the path of one of a checkpoint's files begins with."""
    return _STUCK_ON.sub('', path)


def step_in_name(prefix: str) -> typing.Optional[int]:
    """Returns the number at the end of a prefix, as ``tf.train.Saver`` puts it there; None where there is none."""
    step = _STEP.search(prefix)
    return int(step.group(1)) if step else None


# What files begin with that are taken for checkpoints, and what to do with them.
_PREFIX_REMEDY = 'Give the prefix of a checkpoint: the name that its files .index and .data-… have in common.'
_OTHERS = (
    (re.compile(br'\x89HDF\r\n'), 'an HDF5 file, as Keras writes it', _PREFIX_REMEDY),
    (re.compile(br'PK\x03\x04'), 'a ZIP archive, as PyTorch and Keras 3 write it',
     'Unpack it where it holds the files of a checkpoint. Weights of other frameworks are not exported.'),
    (re.compile(br'\x1f\x8b'), 'a compressed archive',
     'Unpack it, and give the prefix of the checkpoint in it: tar -xzf …'),
    (re.compile(br'[\s\S]{4}TFL3'), 'a TensorFlow Lite model', 'It is made of an export. ' + _PREFIX_REMEDY),
    (re.compile(br'version https://git-lfs'), 'a pointer of Git LFS, not the file itself',
     'Fetch the file: git lfs pull'),
    # A GraphDef: its first node, whose first fields are a name and an op.
    (re.compile(br'\n[\x80-\xff]{0,4}[\x00-\x7f]\n[\x01-\x7f][\w./\-]{1,127}\x12[\x01-\x7f][A-Z_]\w+'),
     'a frozen graph, with its weights as constants',
     'It is the result of an export. Give the prefix of the checkpoint that the training wrote. "od-patch inspect" '
     'tells what the graph is.'),
    (re.compile(br'\x08\x01\x12'), 'the saved_model.pb of a SavedModel', 'Its variables lie beside it, with the prefix '
     'variables/variables. ' + _PREFIX_REMEDY),
)


def _check_kind(prefix: str) -> None:
    """Refuses a file that is no checkpoint but something else that is known, in words."""
    gfile = _tensorflow.gfile()
    if not gfile.Exists(prefix) or gfile.IsDirectory(prefix):
        return
    with gfile.GFile(prefix, 'rb') as file:
        begin = file.read(512)
    for pattern, what, remedy in _OTHERS:
        if pattern.match(begin):
            raise _errors.InputRefused('The checkpoint {} cannot be read: it is {}.'.format(prefix, what), remedy)


def _check_v1(prefix: str) -> None:
    """Refuses a V1 checkpoint, of one file or several, that TensorFlow would not survive."""
    gfile = _tensorflow.gfile()
    paths = [prefix] if gfile.Exists(prefix) else []
    if not paths and gfile.IsDirectory(os.path.dirname(prefix) or '.'):  # else Glob raises, in TF 1.12
        paths = gfile.Glob(glob_escape(prefix) + '-?????-of-?????')
    for path in paths:
        try:
            if not gfile.IsDirectory(path):
                _bundle.check_v1(path)
        except _bundle.BrokenIndex as error:
            raise _errors.InputRefused('The checkpoint {} is damaged: {}.'.format(path, error),
                                       'Copy the checkpoint again, or take another one.')


def with_step(inventory: Inventory, folder: str) -> str:
    """Returns the prefix of a checkpoint that has what a checkpoint lacks, ``global_step``, beside all that it has.

    The release restores every variable of its graph, and this one is among them, though inference does not need it.

    Args:
        inventory: ``Inventory`` of the checkpoint.
        folder: str, where to write the other one.
    """
    import numpy
    from od_patch.checkpoint import _bundle_writer
    prefix = os.path.join(folder, 'with_step', 'model.ckpt')
    _tensorflow.gfile().MakeDirs(os.path.dirname(prefix))
    _bundle_writer.copy_tensors(inventory.prefix, None, prefix, {STEP: numpy.zeros((), 'i8')})
    return prefix


def has_averages(inventory: Inventory) -> bool:
    """Returns whether a checkpoint holds moving averages of any variable."""
    return any(name.endswith(AVERAGE_SUFFIX) for name in inventory.shapes)


def check_graph(
        graph: _tensorflow.Graph, inventory: Inventory, use_moving_averages: bool, config: typing.Any = None,
        read: typing.Optional[typing.Callable[[], typing.Optional[typing.Set[str]]]] = None) -> typing.List[str]:
    """Checks that the variables of a graph can be restored, before anything is restored; ``with_step`` has the step.

    Args:
        graph: tf.Graph, the finished inference graph.
        inventory: ``Inventory`` of the checkpoint.
        use_moving_averages: bool, whether trained variables are to be restored
            from their moving averages, as the exporter does where
            ``eval_config.use_moving_averages`` is set.
        config: ``TrainEvalPipelineConfig``, whose fields and numbers the likely cause names; None where not known.
        read: function that returns the names, as an export has them, of the variables that are read where they are
            exported; it is asked where some are missing. None, or one that returns None: all of them.

    Returns:
        list of str: names of variables, as an export has them, that the checkpoint lacks and nobody reads.

    Raises:
        od_patch.CheckpointMismatch: variables are missing or of another shape;
            the message is a table grouped by scope, and the likely cause.
    """
    wanted = _wanted(graph, use_moving_averages)
    as_exported = {name: name if variable is None else _saved_as(variable) for name, variable in wanted.items()}
    missing: typing.List[str] = []
    reshaped: _Reshaped = []
    for name, variable in sorted(wanted.items()):
        if name not in inventory.shapes:
            if name != STEP:
                missing.append(name)
        elif variable is not None and not variable.get_shape().is_compatible_with(inventory.shapes[name]):
            reshaped.append((name, variable.get_shape().as_list(), list(inventory.shapes[name])))
    needed = read() if missing and read is not None else None
    unread = [name for name in missing if needed is not None and as_exported[name] not in needed]
    missing = [name for name in missing if name not in unread]
    if not missing and not reshaped:
        return [as_exported[name] for name in unread]
    raise _errors.CheckpointMismatch(
        'The checkpoint {} does not fit the model of the pipeline config: of {} variables, {} '
        'missing from the checkpoint and {} of another shape.\n{}'.format(
            inventory.prefix, len(wanted), _plural(len(missing)), _plural(len(reshaped)),
            _mismatch_table(missing, reshaped)),
        _likely_cause(missing, reshaped, inventory, use_moving_averages, _Model(
            config, _channels(graph), [variable.op.name for variable in wanted.values() if variable is not None])))


def _saved_as(variable: typing.Any) -> str:
    """Returns the name that a variable is saved under in an export; the parts of a partitioned one share it."""
    return _slice_of(variable).full_name if _slice_of(variable) else variable.op.name


def leave_out(graph: _tensorflow.Graph, names: typing.Collection[str]) -> None:
    """Takes variables out of all collections of a graph: the release restores and saves what is in these.

    Args:
        graph: tf.Graph; the nodes stay.
        names: those of variables, as ``check_graph`` returns them.
    """
    with graph.as_default():
        gone = [variable for variable in _tensorflow.tf1().global_variables() if _saved_as(variable) in names]
    for collection in graph.get_all_collection_keys():
        held = graph.get_collection_ref(collection)
        held[:] = [one for one in held if not any(one is variable for variable in gone)]


def sources(
        graph: _tensorflow.Graph, use_moving_averages: bool,
        names: typing.Optional[typing.Collection[str]] = None) -> typing.Dict[str, str]:
    """Returns where the value of each variable is to be found, as the exporter restores them.

    Args:
        graph: tf.Graph, the finished inference graph.
        use_moving_averages: as for ``check_graph``.
        names: of which variables, by the names that they are saved under in an export; None for all.

    Returns:
        dict from the name that a variable is saved under in an export to the
        name of its value in the trained checkpoint. The parts of a partitioned
        variable are saved under one name.

    Raises:
        od_patch.UsageError: partitioned variables with moving averages, which
            only TensorFlow puts together.
    """
    found = {}
    for name, variable in _wanted(graph, use_moving_averages).items():
        saved_as = name if variable is None else _saved_as(variable)
        if names is not None and saved_as not in names:
            continue
        if variable is not None and _slice_of(variable):
            raise _errors.UsageError(
                'The variable {} is partitioned, and its moving average is to be exported.'.format(variable.op.name),
                'Add checkpoint to --artifacts: the release then puts the weights together.')
        found[saved_as] = name
    return found


def num_bytes(graph: _tensorflow.Graph, names: typing.Optional[typing.Collection[str]] = None) -> int:
    """Returns how many bytes the values of a graph's variables take; of those of these names, as an export has them."""
    with graph.as_default():
        variables = _tensorflow.tf1().global_variables()
    if names is not None:
        variables = [variable for variable in variables if _saved_as(variable) in names]
    return sum((variable.get_shape().num_elements() or 0) * variable.dtype.base_dtype.size for variable in variables)


def _wanted(graph: _tensorflow.Graph, use_moving_averages: bool) -> typing.Dict[str, typing.Any]:
    """Returns {name in the trained checkpoint: variable}; None in place of the parts of a partitioned variable."""
    tf = _tensorflow.tf1()
    with graph.as_default():
        variables = tf.global_variables()
        if use_moving_averages:
            return tf.train.ExponentialMovingAverage(0.0).variables_to_restore()
    wanted = {variable.op.name: variable for variable in variables if not _slice_of(variable)}
    wanted.update((_slice_of(variable).full_name, None) for variable in variables if _slice_of(variable))
    return wanted


def _newest(directory: str) -> str:
    """Returns the prefix of the newest checkpoint that lies in a directory.

    Its file ``checkpoint`` says which, by the base name only: Estimator writes absolute paths, so in a copy of the
    directory the file still names those of the original, which a training may have gone on to write.
    """
    gfile = _tensorflow.gfile()
    named = _named_by_state(directory)
    if named:
        # A path may be from a machine with another separator.
        here = _store.below(directory, re.split(r'[/\\]', named)[-1])
        for prefix in (here, named):
            if _is_below(prefix, directory) and _is_there(prefix):
                return prefix
    prefixes = [_store.below(directory, name[:-len('.index')])
                for name in gfile.ListDirectory(directory) if name.endswith('.index')]
    if not prefixes and named and _is_there(named):
        raise _errors.InputRefused(
            'The directory {} holds no checkpoint; its file "checkpoint" names one that lies elsewhere, {}.'.format(
                directory, named),
            'If that one is meant, give it by its name. Else copy the files {}.… into {}.'.format(
                os.path.basename(named), directory))
    inside = _store.below(directory, 'variables', 'variables')
    if not prefixes and gfile.Exists(_store.below(directory, 'saved_model.pb')):
        raise _errors.InputRefused(
            'The directory {} holds no checkpoint: it is a SavedModel.'.format(directory),
            'Its variables are those of {}.'.format(inside) if _is_there(inside) else 'Its weights are constants.')
    if not prefixes:
        raise _errors.InputRefused(
            'The directory {} holds no checkpoint.'.format(directory),
            'Give the directory that the training wrote its model.ckpt-… files to, or a prefix such as {}.'.format(
                _store.below(directory, 'model.ckpt-200000')))

    def age(prefix: str) -> typing.Any:
        step = step_in_name(prefix)
        return (-1 if step is None else step, gfile.Stat(prefix + '.index').mtime_nsec)

    return max(prefixes, key=age)


def _named_by_state(directory: str) -> typing.Optional[str]:
    """Returns the prefix that the file ``checkpoint`` of a directory names; None where there is none that is whole."""
    if _tensorflow.is_left_alone():
        return _read_state(directory)
    try:
        state = _tensorflow.tf1().train.get_checkpoint_state(directory)
    except Exception:  # pylint: disable=broad-except
        return None  # what lies there decides
    if not state:
        return None
    # TensorFlow takes a path with a scheme for a relative one, and puts the directory before it.
    whole = re.match(r'.+[/\\]([A-Za-z][A-Za-z0-9+.-]+://.*)', state.model_checkpoint_path)
    return whole.group(1) if whole else state.model_checkpoint_path


def _read_state(directory: str) -> typing.Optional[str]:
    """As ``_named_by_state``, without TensorFlow: of the file, which is protobuf's text form, the one field."""
    try:
        with open(os.path.join(directory, 'checkpoint'), encoding='utf-8') as file:
            named = _NAMED.search(file.read(1 << 20))
    except (OSError, UnicodeDecodeError):
        return None
    if named is None:
        return None
    return os.path.join(directory, re.sub(r'\\(.)', r'\1', named.group(1)))


def _is_below(path: typing.Any, directory: str) -> bool:
    """Returns whether a path lies in a directory or in one below it, links followed; of stores, by their names."""
    if not _store.is_store(directory):
        return _staging.lies_in(path, directory)
    return path.startswith(directory.rstrip('/') + '/')


def _is_there(prefix: str) -> bool:
    """Returns whether there is a checkpoint of that prefix, in either format."""
    gfile = _tensorflow.gfile()
    # Glob raises for a folder that is not there, in some releases.
    return bool(gfile.IsDirectory(os.path.dirname(prefix) or '.') and (
        gfile.Exists(prefix + '.index') or gfile.Exists(prefix) and not gfile.IsDirectory(prefix) or
        gfile.Glob(glob_escape(prefix) + '-?????-of-?????')))


def files(prefix: str) -> typing.List[str]:
    """Returns the paths of a checkpoint's files, in either format."""
    gfile = _tensorflow.gfile()
    return [path for path in (prefix, prefix + '.index') if gfile.Exists(path)] + [
        path for pattern in ('.data-?????-of-?????', '-?????-of-?????')
        for path in gfile.Glob(glob_escape(prefix) + pattern)]


def _what_else_is_there(prefix: str) -> typing.Any:
    """Returns a remedy that names the checkpoints that lie where a missing one was looked for."""
    gfile = _tensorflow.gfile()
    directory = os.path.dirname(prefix) or '.'
    if not gfile.IsDirectory(directory):
        return 'The directory {} does not exist either.'.format(directory)
    found = sorted(name[:-len('.index')] for name in gfile.ListDirectory(directory) if name.endswith('.index'))
    if not found:
        return '{} holds no checkpoints; one is a pair of files such as model.ckpt-200000.index and ' \
            'model.ckpt-200000.data-00000-of-00001.'.format(directory)
    return _errors.did_you_mean(os.path.basename(prefix), found,
                                '--trained_checkpoint_prefix=' + _store.below(directory, ''), least=0)


def glob_escape(path: typing.Any) -> str:
    """Returns ``path`` with the characters escaped that ``tf.gfile.Glob`` gives a meaning to."""
    if _platform.WINDOWS and not _store.is_store(path):
        return path  # there a backslash is a separator, and no name has what is to be escaped
    return re.sub(r'([*?\[\]\\])', r'\\\1', path)


def _slice_of(variable: typing.Any) -> typing.Any:
    """Returns what a part of a partitioned variable is a part of, else None; saved is the whole."""
    return getattr(variable, '_save_slice_info', None)


def _plural(count: int) -> str:
    return '1 is' if count == 1 else '{} are'.format(count)


def _scope(name: str) -> str:
    """Returns the first two parts of a variable's name, enough to tell which part of the model it is in."""
    parts = name.split('/')
    return '/'.join(parts[:2]) if len(parts) > 2 else parts[0]


def _mismatch_table(missing: typing.List[str], reshaped: _Reshaped) -> str:
    """Returns the mismatches as lines of text, grouped by scope, with an example of each kind."""
    rows: typing.Dict[str, typing.Tuple[typing.List[str], _Reshaped]] = collections.OrderedDict()
    for name in missing:
        rows.setdefault(_scope(name), ([], []))[0].append(name)
    for mismatch in reshaped:
        rows.setdefault(_scope(mismatch[0]), ([], []))[1].append(mismatch)
    width = max([len(scope) for scope in rows] + [len('scope')])
    lines = ['  {:<{w}}  missing  reshaped  for example'.format('scope', w=width)]
    for scope, (lost, other) in rows.items():
        if other:
            name, graph_shape, checkpoint_shape = other[0]
            example = '{}: {} in the graph, {} in the checkpoint'.format(name, graph_shape, checkpoint_shape)
        else:
            example = lost[0]
        lines.append('  {:<{w}}  {:>7}  {:>8}  {}'.format(scope, len(lost), len(other), example, w=width))
    return '\n'.join(lines)


# What to do about a number in the config that is another one than the training's.
SET_IT = ' Set it with --config_override, or use the config of the training.'


class _Model(typing.NamedTuple):
    """The graph that a checkpoint does not fit; the likely cause is told in its words."""

    config: typing.Any  # ``TrainEvalPipelineConfig`` that it was built from, or None
    channels: int  # of its images
    variables: typing.List[str]


def _channels(graph: _tensorflow.Graph) -> int:
    """Returns how many channels the images of an inference graph have."""
    try:
        shape = graph.get_tensor_by_name('image_tensor:0').get_shape()
    except (KeyError, ValueError):
        return 3  # encoded images are decoded to three
    return _pixels.channels_of(shape.as_list() if shape.ndims is not None else None)


def _likely_cause(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> str:
    """Returns the first of ``_CAUSES`` that fits, in words and with what to do."""
    for fits in _CAUSES:
        cause = fits(missing, reshaped, inventory, use_moving_averages, model)
        if cause:
            return 'Likely cause: ' + cause
        if fits is _averages_absent:  # those below look at variables, whichever of their values is missing
            missing = [_bare(name) for name in missing]
            reshaped = [(_bare(name), in_graph, held) for name, in_graph, held in reshaped]
            inventory = inventory._replace(shapes={_bare(name): shape for name, shape in inventory.shapes.items()})
    return ('Likely cause: the pipeline config is not the one that this checkpoint was trained with. '
            'Use the pipeline.config that lies beside the checkpoint.')


def tensorflow_2_command(folder: str) -> str:
    """Returns the command that runs the release's own exporter of TensorFlow 2 on checkpoints in ``folder``."""
    return ('  python -m od_patch …/object_detection/exporter_main_v2.py --input_type=image_tensor '
            '--pipeline_config_path=… --trained_checkpoint_dir={} --output_directory=…\n'
            '(which is  python -m object_detection.exporter_main_v2  with what today\'s TensorFlow and protobuf '
            'need)'.format(folder))


def _is_of_tensorflow_2(inventory: Inventory) -> bool:
    """Returns whether ``tf.train.Checkpoint`` wrote a checkpoint, as TensorFlow 2 trains, and no ``Saver``."""
    return _OBJECTS in inventory.shapes


def _of_tensorflow_2(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    del reshaped, use_moving_averages, model
    return _of_tensorflow_2_in_words(inventory) if missing and _is_of_tensorflow_2(inventory) else None


def _of_tensorflow_2_in_words(inventory: Inventory) -> str:
    return ('the checkpoint is one of TensorFlow 2 (it holds {}), which names variables by the objects that have '
            'them. A model of TensorFlow 2 has its own exporter:\n{}'.format(
                _OBJECTS, tensorflow_2_command(os.path.dirname(inventory.prefix) or '.')))


def _averages_absent(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    del reshaped
    if any(name + AVERAGE_SUFFIX in inventory.shapes for name in model.variables):
        return None
    if use_moving_averages and missing and all(name.endswith(AVERAGE_SUFFIX) for name in missing):
        if has_averages(inventory):
            return ('the checkpoint holds moving averages of other variables only; it belongs to another model.')
        return 'the config asks for moving averages, and the checkpoint holds none. ' + no_averages_remedy(inventory)
    return None


def _quantized_graph(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    del reshaped, use_moving_averages
    quantized = [name for name in missing if re.search(r'(act_quant|weights_quant|/quant)', name)]
    if not quantized or len(quantized) != len(missing):
        return None
    if not any('_quant/' in name for name in inventory.shapes):
        return ('the pipeline config has a graph_rewriter with quantization, and the checkpoint was trained without '
                '(float). Remove the graph_rewriter block from the config, or take the quantized checkpoint.')
    ranges = sorted({name.rpartition('/')[0] for name in quantized})
    of_all = len({name.rpartition('/')[0] for name in model.variables if re.search(r'_quant/(min|max)$', name)})
    delay = _delay(model.config)
    return ('the checkpoint was trained with quantization, but lacks {} of the {} ranges that the graph has ({}). '
            'It was saved before the `delay` of graph_rewriter {{ quantization {{ … }} }} was over{}, or trained with '
            'another graph_rewriter block. Export a later checkpoint, with the block that it was trained with.'.format(
                len(ranges), max(of_all, len(ranges)), _few(ranges),
                '' if delay is None else ' ({:,} steps in the config; the checkpoint {})'.format(
                    delay, 'tells no step' if inventory.step is None else 'is of step {:,}'.format(inventory.step))))


def _delay(config: typing.Any) -> typing.Optional[int]:
    """Returns after how many steps a training quantizes, by its config; None where that is not known."""
    if config is None or not config.HasField('graph_rewriter') or not config.graph_rewriter.HasField('quantization'):
        return None
    return config.graph_rewriter.quantization.delay


def _other_channels(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """The layers that see the image have other inputs, and nothing else differs."""
    del inventory, use_moving_averages
    seen = [row for row in reshaped if len(row[1]) == len(row[2]) == 4 and 'FeatureExtractor' in row[0] and
            row[1][:2] + row[1][3:] == row[2][:2] + row[2][3:]]
    first = [row for row in seen if row[1][2] == model.channels]
    if missing or len(seen) != len(reshaped) or not first:
        return None
    name, graph_shape, checkpoint_shape = first[0]
    return ('the number of channels of the images: {} in the graph, {} in the checkpoint ({}). Give '
            '--input_shape=-1,-1,-1,{}'.format(graph_shape[2], checkpoint_shape[2], name, checkpoint_shape[2]))


_PREDICTOR = re.compile(r'(?P<stage>FirstStage|SecondStage|WeightSharedConvolutional)?\w*BoxPredictor(?P<level>_\d+)?/'
                        r'(?:.*/)?(?P<head>BoxEncodingPredictor|ClassPredictor|(?<=BoxPredictor/)BoxPredictor)'
                        r'(?:_\w+)?/')
_BOXES, _CLASSES = ('BoxEncodingPredictor', 'BoxPredictor'), 'ClassPredictor'


def _anchors_or_classes(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """What box predictors put out: a number for each anchor, corner and class."""
    del use_moving_averages
    if missing or not reshaped:
        return None
    searched = [(_PREDICTOR.search(row[0]), row) for row in reshaped]
    others = [row for predictor, row in searched if predictor is None]
    found = [(predictor, row) for predictor, row in searched if predictor and _only_last_differs(row)]
    if len(found) + len(others) != len(reshaped) or any(not _is_of_classes(row) for row in others):
        return None
    first_stage = [(predictor, row) for predictor, row in found if predictor.group('stage') == 'FirstStage']
    boxes = [(predictor, row) for predictor, row in found
             if predictor.group('head') in _BOXES and predictor.group('stage') != 'SecondStage']
    causes = []
    anchors = first_stage or boxes
    if anchors:
        causes.append(_anchors_in_words(*max(anchors, key=lambda pair: pair[0].group('head') in _BOXES),
                                        levels=[predictor.group('level') for predictor, _ in anchors], model=model))
    counts = _class_counts(found + _agreeing_classes(boxes, reshaped, inventory, model), others, inventory, model)
    if counts:
        causes.append(counts)
    if not causes:
        return None
    return ' And '.join(causes) + SET_IT


def _agreeing_classes(boxes: typing.Any, reshaped: _Reshaped, inventory: Inventory, model: _Model) -> typing.Any:
    """Returns class predictors that are of one shape in graph and checkpoint where those of their boxes are not.

    Two anchors of three scores each have as many numbers as three anchors of two.
    """
    found = []
    differing = {row[0] for row in reshaped}
    for predictor, row in boxes:
        start, end = predictor.span('head')
        name = row[0][:start] + _CLASSES + row[0][end:]
        shape = inventory.shapes.get(name)
        if shape and name in model.variables and name not in differing:
            found.append((_PREDICTOR.search(name), (name, shape, shape)))
    return found


def _only_last_differs(row: typing.Tuple[str, typing.List[int], typing.List[int]]) -> bool:
    return len(row[1]) == len(row[2]) and row[1][:-1] == row[2][:-1]


def _is_of_classes(row: typing.Tuple[str, typing.List[int], typing.List[int]]) -> bool:
    """Whether a variable outside of the usual heads has as many outputs as there are classes: masks', R-FCN's maps."""
    return _only_last_differs(row) and re.search(r'BoxPredictor/|[Cc]lass|logits', row[0]) is not None


def _anchors_in_words(
        predictor: typing.Any, row: typing.Tuple[str, typing.List[int], typing.List[int]], levels: typing.Any,
        model: _Model) -> typing.Any:
    name, graph_shape, checkpoint_shape = row
    size = code_size(model.config) if predictor.group('head') in _BOXES else 2  # object or not, of a first stage
    counts = [shape[-1] // size if shape[-1] % size == 0 else '{}/{}'.format(shape[-1], size)
              for shape in (graph_shape, checkpoint_shape)]
    return ('the anchors: each place of the feature map has {} by the config and {} in the '
            'checkpoint ({}: last dimension {} and {}). {}.'.format(
                counts[0], counts[1], name, graph_shape[-1], checkpoint_shape[-1],
                _anchor_fields(predictor, levels, model.config)))


def code_size(config: typing.Any) -> int:
    """Returns how many numbers encode a box: four, and two more for each keypoint."""
    keypoints = 0
    try:
        model = getattr(config.model, config.model.WhichOneof('model'))
        coder = getattr(model.box_coder, model.box_coder.WhichOneof('box_coder_oneof'))
        keypoints = coder.num_keypoints
    except (AttributeError, TypeError):
        pass  # no config, or a coder without keypoints
    return 4 + 2 * keypoints


def _anchor_fields(predictor: typing.Any, levels: typing.Any, config: typing.Any) -> typing.Any:
    """Returns which fields of the config say how many anchors there are, as a sentence without its end."""
    if predictor.group('stage') == 'FirstStage':
        return ('Other scales or aspect_ratios of first_stage_anchor_generator {{ grid_anchor_generator {{ … }} }}: '
                'there is an anchor for each pair of them{}'.format(_generated(config)))
    if predictor.group('stage') == 'WeightSharedConvolutional' or predictor.group('level') is None:
        return ('Other aspect_ratios or scales_per_octave of anchor_generator {{ multiscale_anchor_generator {{ … '
                '}} }}: there is an anchor for each pair of them{}'.format(_generated(config)))
    if set(levels) == {'_0'}:
        return ('Only the lowest layer differs: another reduce_boxes_in_lowest_layer of anchor_generator '
                '{{ ssd_anchor_generator {{ … }} }}{}'.format(_generated(config)))
    return ('Other aspect_ratios, scales or interpolated_scale_aspect_ratio of anchor_generator '
            '{{ ssd_anchor_generator {{ … }} }}: there is an anchor for each aspect ratio, and one more for the '
            'interpolated scale{}'.format(_generated(config)))


def _generated(config: typing.Any) -> typing.Any:
    """Returns what the config's anchor generator says, in brackets; '' where that is not known."""
    if config is None:
        return ''
    model = getattr(config.model, config.model.WhichOneof('model'))
    block = getattr(model, 'first_stage_anchor_generator', None) or getattr(model, 'anchor_generator', None)
    kind = block.WhichOneof('anchor_generator_oneof') if block is not None else None
    if kind is None:
        return ''
    said = [(field, getattr(getattr(block, kind), field, None)) for field in (
        'num_layers', 'scales', 'aspect_ratios', 'scales_per_octave', 'interpolated_scale_aspect_ratio')]
    words = ['{} {}'.format(len(value), field) if hasattr(value, '__len__') else '{}: {:g}'.format(field, value)
             for field, value in said if value is not None]
    return ' (the config has {})'.format(', '.join(words))


def _class_counts(found: typing.Any, others: typing.Any, inventory: Inventory, model: _Model) -> typing.Any:
    """Returns in words that the class counts differ; None where they do not, or cannot be told."""
    configured = _num_classes(model.config)
    for predictor, (name, graph_shape, checkpoint_shape) in found:
        if predictor.group('head') != _CLASSES or predictor.group('stage') == 'FirstStage':
            continue
        anchors = (1, 1)
        if predictor.group('stage') != 'SecondStage':
            anchors = _anchors_of(name, found, inventory, code_size(model.config))
        slots = [shape[-1] // count if count and shape[-1] % count == 0 else None
                 for shape, count in zip((graph_shape, checkpoint_shape), anchors)]
        in_graph, in_checkpoint = slots
        if in_graph is None or in_checkpoint is None or in_graph == in_checkpoint:
            continue
        background = 1 if configured is None else in_graph - configured
        return counted(in_graph - background, in_checkpoint - background, name, graph_shape, checkpoint_shape, anchors)
    for name, graph_shape, checkpoint_shape in others + [
            row for predictor, row in found if predictor.group('stage') == 'SecondStage']:
        return _counted_by(configured, name, graph_shape, checkpoint_shape)
    return None


def _counted_by(
        configured: typing.Any, name: str, graph_shape: typing.Sequence[int],
        checkpoint_shape: typing.Sequence[int]) -> typing.Any:
    """As ``counted``, where one variable of some numbers for each class is all that is known."""
    in_checkpoint = None
    if configured:
        # Scores have a place for the background, boxes and masks have none.
        background = 1 if 'class' in name.lower() else 0
        each = graph_shape[-1] / float(configured + background)
        if each == int(each) and checkpoint_shape[-1] % each == 0:
            in_checkpoint = int(checkpoint_shape[-1] // each) - background
    return counted(configured, in_checkpoint, name, graph_shape, checkpoint_shape)


def _anchors_of(name: str, found: typing.Any, inventory: Inventory, code_size: int) -> typing.Any:
    """(anchors in the graph, anchors in the checkpoint) of the class predictor ``name``, by its sister for boxes."""
    for boxes in _BOXES:
        sister = name.replace(_CLASSES, boxes)
        held = inventory.shapes.get(sister)
        if held is not None:
            in_graph = next((row[1] for _, row in found if row[0] == sister), held)
            return in_graph[-1] // code_size, held[-1] // code_size
    return (None, None)


def counted(
        in_graph: int, in_checkpoint: typing.Optional[int], name: str, graph_shape: typing.Sequence[int],
        checkpoint_shape: typing.Sequence[int], anchors: typing.Any = (1, 1)) -> typing.Any:
    """Returns the words for another class count."""
    count = '' if in_graph is None else ' (num_classes: {})'.format(in_graph)
    if graph_shape[-1] == checkpoint_shape[-1]:
        seen = 'last dimension {} in both, of {} anchors in the graph and {} in the checkpoint'.format(
            graph_shape[-1], *anchors)
    else:
        seen = 'last dimension {} in the graph, {} in the checkpoint'.format(graph_shape[-1], checkpoint_shape[-1])
    return ('the class count: the config{} is not of as many classes as the checkpoint, which was trained with {} '
            '({}: {}).'.format(count, 'another number' if in_checkpoint is None else in_checkpoint, name, seen))


def _num_classes(config: typing.Any) -> typing.Any:
    """Returns num_classes of a config; None where it is not known."""
    if config is None:
        return None
    return getattr(getattr(config.model, config.model.WhichOneof('model')), 'num_classes', None)


def _class_count(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """Box predictors only, in a layout that ``_anchors_or_classes`` does not know."""
    del inventory, use_moving_averages
    predictors = [row for row in reshaped if re.search(r'Predictor|logits|Conv2d_\w*cls', row[0])]
    if missing or not predictors or len(predictors) != len(reshaped) or not all(map(_only_last_differs, predictors)):
        return None
    name, graph_shape, checkpoint_shape = next(
        (row for row in predictors if 'class' in row[0].lower()), predictors[0])
    return _counted_by(_num_classes(model.config), name, graph_shape, checkpoint_shape) + SET_IT


def _layers(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """More feature maps than the training had: their box predictors are missing."""
    del reshaped, use_moving_averages
    levels = [sorted({int(found.group(1)) for found in map(re.compile(r'BoxPredictor_(\d+)/').search, names) if found})
              for names in (model.variables, inventory.shapes)]
    lost = {int(found.group(1)) for found in map(re.compile(r'BoxPredictor_(\d+)/').search, missing) if found}
    if not levels[1] or not lost or not lost.isdisjoint(levels[1]) or min(lost) <= max(levels[1]):
        return None
    return ('the anchors: the config has anchors on {} feature maps (BoxPredictor_0 to BoxPredictor_{}), the '
            'checkpoint on {}. Set num_layers of anchor_generator {{ ssd_anchor_generator {{ … }} }} with '
            '--config_override, or use the '
            'config of the training{}.'.format(
                len(levels[0]), levels[0][-1], len(levels[1]), _generated(model.config)))


def _predictor_layout(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """Box predictors of other kernels, depth, or of depthwise convolutions."""
    del use_moving_averages
    names = missing + [row[0] for row in reshaped]
    if not names or not all('BoxPredictor' in name for name in names):
        return None
    block = 'box_predictor { … }' if not any('FirstStage' in name for name in names) else \
        'first_stage_box_predictor_… of the config'
    depthwise = [bool([name for name in held if 'depthwise' in name and 'BoxPredictor' in name])
                 for held in (model.variables, inventory.shapes)]
    if depthwise[0] != depthwise[1]:
        return ('the box predictors: use_depthwise is {} in {} and was {} in the training.'.format(
            *(['true', block, 'false'] if depthwise[0] else ['false', block, 'true']))) + \
            ' Use the config of the training.'
    for name, graph_shape, checkpoint_shape in reshaped:
        if len(graph_shape) == len(checkpoint_shape) == 4 and graph_shape[:2] != checkpoint_shape[:2]:
            return ('the box predictors: their kernels are {} x {} by {} and {} x {} in the checkpoint ({}): another '
                    'kernel_size. Use the config of the training.'.format(
                        graph_shape[0], graph_shape[1], block, checkpoint_shape[0], checkpoint_shape[1], name))
    if reshaped and not missing:
        name, graph_shape, checkpoint_shape = reshaped[0]
        return ('the box predictors: their layers are of other widths ({}: {} in the graph, {} in the checkpoint): '
                'another depth in {}. Use the config of the training.'.format(
                    name, graph_shape, checkpoint_shape, block))
    second = [name for name in missing if name.startswith('SecondStage')]
    if second and len(second) == len(missing) and not reshaped and all('/Conv' in name for name in second):
        return ('the masks: the config predicts instance masks (predict_instance_masks), and the checkpoint was '
                'trained without. Use the config of the training.')
    return None


def _stages(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """No second stage in the checkpoint."""
    del use_moving_averages, model
    if reshaped or not missing or not all(name.startswith('SecondStage') for name in missing) or any(
            name.startswith('SecondStage') for name in inventory.shapes):
        return None
    return ('the stages: the config has a second stage, and the checkpoint only a first, as trainings with '
            'number_of_stages: 1 write it. Take a checkpoint of a training with both.')


def _architecture(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """Box predictors of another kind: SSD, one for all feature maps, or two stages."""
    del reshaped, use_moving_averages
    kinds = [{found.group(1) for found in map(re.compile(r'^(\w*?BoxPredictor)(?:_\d+)?/').match, names) if found}
             for names in (missing and model.variables, inventory.shapes)]
    if not kinds[1] or not kinds[0] - kinds[1]:
        return None
    return ('another architecture. The pipeline config builds {}, the checkpoint holds {}. '
            'Use the pipeline.config that lies beside the checkpoint.'.format(
                ', '.join(sorted(kinds[0])), ', '.join(sorted(kinds[1]))))


def _widths(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """All of the feature extractor is of other widths."""
    del inventory, use_moving_averages, model
    inside = [row for row in reshaped if 'FeatureExtractor/' in row[0]]
    if missing or len(inside) < 2:
        return None
    name, graph_shape, checkpoint_shape = inside[0]
    return ('the width of the feature extractor ({}: {} in the graph, {} in the checkpoint): another '
            'depth_multiplier or min_depth of feature_extractor {{ … }}. Use the config of the training.'.format(
                name, graph_shape, checkpoint_shape))


def _batch_norm(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    """Only the scales, or all, of batch normalizations are missing."""
    del use_moving_averages, inventory, model
    names = missing
    if reshaped or not names or not all('/BatchNorm/' in name for name in names):
        return None
    lost = sorted({name.rpartition('/')[2] for name in names})
    field = {'gamma': 'scale', 'beta': 'center'}.get(','.join(lost))
    if field:
        return ('the batch normalization: the checkpoint has no {} ({}), so {} was false in batch_norm {{ … }} of the '
                'training. Use the config of the training.'.format(lost[0], names[0], field))
    return ('the batch normalization: the checkpoint lacks {} ({} variables, such as {}), so conv_hyperparams had no '
            'batch_norm {{ … }} there in the training. Use the config of the training.'.format(
                ', '.join(lost), len(names), names[0]))


def _classification_checkpoint(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    del reshaped, use_moving_averages, model
    stems = [re.sub(r'^(FirstStage|SecondStage)?FeatureExtractor/', '', name) for name in missing]
    if any(stem != name and stem in inventory.shapes for stem, name in zip(stems, missing)):
        return ('the checkpoint is one of a classification network (its variables have no FeatureExtractor/ scope), '
                'which a detector is trained from. Export a checkpoint that the detector\'s training wrote.')
    return None


def _feature_extractor(
        missing: typing.List[str], reshaped: _Reshaped, inventory: Inventory, use_moving_averages: bool,
        model: _Model) -> typing.Optional[str]:
    del reshaped, use_moving_averages, model
    pattern = re.compile(r'FeatureExtractor/([^/]+)/')
    in_graph = collections.Counter(found.group(1) for found in map(pattern.search, missing) if found)
    in_checkpoint = collections.Counter(found.group(1) for found in map(pattern.search, inventory.shapes) if found)
    strange = [scope for scope, _ in in_graph.most_common() if scope not in in_checkpoint]
    if strange and in_checkpoint:
        return another_extractor(strange[0], in_checkpoint.most_common(1)[0][0])
    return None


def another_extractor(built: str, held: str) -> str:
    """Returns the words for a feature extractor of another scope."""
    return ('another feature extractor. The pipeline config builds {}, the checkpoint holds {}. '
            'Use the pipeline.config that lies beside the checkpoint.'.format(built, held))


def _bare(name: str) -> str:
    """Returns the name of the variable that a moving average is one of."""
    return name[:-len(AVERAGE_SUFFIX)] if name.endswith(AVERAGE_SUFFIX) else name


def _few(names: typing.Sequence[str], most: int = 3) -> str:
    return ', '.join(names[:most]) + (', …' if len(names) > most else '')


# Tried in this order: the narrow ones first, each being a special case of those below it.
_CAUSES = (_of_tensorflow_2, _averages_absent, _quantized_graph, _other_channels, _anchors_or_classes, _class_count,
           _layers, _predictor_layout, _batch_norm, _stages, _classification_checkpoint, _feature_extractor,
           _architecture, _widths)


def no_averages_remedy(inventory: Inventory) -> str:
    """Returns what to do where moving averages are asked for and the checkpoint has none."""
    if _is_of_tensorflow_2(inventory):
        return 'Likely cause: ' + _of_tensorflow_2_in_words(inventory)
    return ('If it was trained without them, or is itself an export, add '
            '--config_override "eval_config { use_moving_averages: false }", or say so in the config.')
