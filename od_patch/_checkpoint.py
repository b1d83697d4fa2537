"""Checkpoints: what a path means, what a checkpoint holds, and whether a graph can be filled from it.

Not for: the layout of the index file, which is ``_bundle``, and not for writing
SavedModels.
"""
import collections
import glob
import os
import re

from od_patch import _bundle
from od_patch import _errors
from od_patch import _tensorflow

AVERAGE_SUFFIX = '/ExponentialMovingAverage'  # what tf.train.ExponentialMovingAverage names its shadows

_STUCK_ON = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})$')
_STEP = re.compile(r'-(\d+)$')

Inventory = collections.namedtuple('Inventory', ['prefix', 'format', 'num_shards', 'shapes', 'step'])
Inventory.__doc__ = """What a checkpoint holds.

Attributes:
    prefix: str, the checkpoint prefix.
    format: 'V1' (the prefix is a file) or 'V2' (``.index`` and ``.data-…`` beside it).
    num_shards: int, number of data files.
    shapes: dict from tensor name to shape, a list of ints.
    step: int, the value of ``global_step``; None where there is none.
"""


def resolve(path):
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
    if gfile.IsDirectory(path) and not gfile.Exists(path.rstrip('/') + '.index'):
        return _newest(path)
    prefix = without_suffix(path)
    if _is_there(prefix):
        return prefix
    raise _errors.InputRefused(
        'There is no checkpoint {!r}: neither {}.index nor a file of that name exists.'.format(path, prefix),
        _what_else_is_there(prefix))


def take_inventory(prefix):
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
        _check_v1(prefix)
    tf = _tensorflow.tf1()
    try:
        reader = tf.train.NewCheckpointReader(prefix)
        shapes = reader.get_variable_to_shape_map()
        step = int(reader.get_tensor('global_step')) if 'global_step' in shapes else None
    except _tensorflow.reader_errors() as error:
        remedy = 'Copy the checkpoint again, or take another one.'
        if glob.has_magic(prefix):
            remedy = 'TensorFlow takes the characters * ? [ in a checkpoint path for a pattern: rename the folder.'
        elif checkpoint_format == 'V1':
            remedy = ('Give the prefix of a checkpoint: the name that its files .index and .data-… have in common. '
                      'Only checkpoints of before 2017 are a single file.')
        raise _errors.InputRefused(
            'The checkpoint {} cannot be read: {}'.format(prefix, getattr(error, 'message', None) or error), remedy)
    return Inventory(prefix, checkpoint_format, num_shards, shapes, step)


def without_suffix(path):
    """Returns the prefix that the path of one of a checkpoint's files begins with."""
    return _STUCK_ON.sub('', path)


def step_in_name(prefix):
    """Returns the number at the end of a prefix, as ``tf.train.Saver`` puts it there; None where there is none."""
    step = _STEP.search(prefix)
    return int(step.group(1)) if step else None


def _check_v1(prefix):
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


def has_averages(inventory):
    """Returns whether a checkpoint holds moving averages of any variable."""
    return any(name.endswith(AVERAGE_SUFFIX) for name in inventory.shapes)


def check_graph(graph, inventory, use_moving_averages):
    """Checks that every variable of a graph can be restored, before anything is restored.

    Args:
        graph: tf.Graph, the finished inference graph.
        inventory: ``Inventory`` of the checkpoint.
        use_moving_averages: bool, whether trained variables are to be restored
            from their moving averages, as the exporter does where
            ``eval_config.use_moving_averages`` is set.

    Raises:
        od_patch.CheckpointMismatch: variables are missing or of another shape;
            the message is a table grouped by scope, and the likely cause.
    """
    wanted = _wanted(graph, use_moving_averages)
    missing = []
    reshaped = []
    for name, variable in sorted(wanted.items()):
        if name not in inventory.shapes:
            missing.append(name)
        elif variable is not None and not variable.get_shape().is_compatible_with(inventory.shapes[name]):
            reshaped.append((name, variable.get_shape().as_list(), list(inventory.shapes[name])))
    if not missing and not reshaped:
        return
    raise _errors.CheckpointMismatch(
        'The checkpoint {} does not fit the model of the pipeline config: of {} variables, {} '
        'missing from the checkpoint and {} of another shape.\n{}'.format(
            inventory.prefix, len(wanted), _are(len(missing)), _are(len(reshaped)),
            _mismatch_table(missing, reshaped)),
        _likely_cause(missing, reshaped, inventory, use_moving_averages))


def sources(graph, use_moving_averages):
    """Returns where the value of each variable is to be found, as the exporter restores them.

    Args:
        graph: tf.Graph, the finished inference graph.
        use_moving_averages: as for ``check_graph``.

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
        if variable is not None and _slice_of(variable):
            raise _errors.UsageError(
                'The variable {} is partitioned, and its moving average is to be exported.'.format(variable.op.name),
                'Add checkpoint to --artifacts: the release then puts the weights together.')
        found[name if variable is None else variable.op.name] = name
    return found


def num_bytes(graph):
    """Returns how many bytes the values of a graph's variables take."""
    with graph.as_default():
        variables = _tensorflow.tf1().global_variables()
    return sum((variable.get_shape().num_elements() or 0) * variable.dtype.base_dtype.size for variable in variables)


def _wanted(graph, use_moving_averages):
    """Returns {name in the trained checkpoint: variable}; None in place of the parts of a partitioned variable."""
    tf = _tensorflow.tf1()
    with graph.as_default():
        variables = tf.global_variables()
        if use_moving_averages:
            return tf.train.ExponentialMovingAverage(0.0).variables_to_restore()
    wanted = {variable.op.name: variable for variable in variables if not _slice_of(variable)}
    wanted.update((_slice_of(variable).full_name, None) for variable in variables if _slice_of(variable))
    return wanted


def _newest(directory):
    """Returns the prefix of the newest checkpoint that lies in a directory.

    Its file ``checkpoint`` says which, by the base name only: Estimator writes absolute paths, so in a copy of the
    directory the file still names those of the original, which a training may have gone on to write.
    """
    gfile = _tensorflow.gfile()
    named = _named_by_state(directory)
    if named:
        # A path may be from a machine with another separator.
        here = os.path.join(directory, re.split(r'[/\\]', named)[-1])
        for prefix in (here, named):
            if _is_below(prefix, directory) and _is_there(prefix):
                return prefix
    prefixes = [os.path.join(directory, name[:-len('.index')])
                for name in gfile.ListDirectory(directory) if name.endswith('.index')]
    if not prefixes and named and _is_there(named):
        raise _errors.InputRefused(
            'The directory {} holds no checkpoint; its file "checkpoint" names one that lies elsewhere, {}.'.format(
                directory, named),
            'If that one is meant, give it by its name. Else copy the files {}.… into {}.'.format(
                os.path.basename(named), directory))
    if not prefixes:
        raise _errors.InputRefused(
            'The directory {} holds no checkpoint.'.format(directory),
            'Give the directory that the training wrote its model.ckpt-… files to, or a prefix such as {}.'.format(
                os.path.join(directory, 'model.ckpt-200000')))

    def age(prefix):
        step = step_in_name(prefix)
        return (-1 if step is None else step, gfile.Stat(prefix + '.index').mtime_nsec)

    return max(prefixes, key=age)


def _named_by_state(directory):
    """Returns the prefix that the file ``checkpoint`` of a directory names; None where there is none, or it is damaged."""
    try:
        state = _tensorflow.tf1().train.get_checkpoint_state(directory)
    except Exception:  # pylint: disable=broad-except
        return None  # what lies there decides
    return state.model_checkpoint_path if state else None


def _is_below(path, directory):
    """Returns whether a path lies in a directory or in one below it, links followed; of stores, by their names."""
    if '://' not in directory:
        path, directory = os.path.realpath(path), os.path.realpath(directory)
    return path.startswith(directory.rstrip('/') + '/')


def _is_there(prefix):
    """Returns whether there is a checkpoint of that prefix, in either format."""
    gfile = _tensorflow.gfile()
    # Glob raises for a folder that is not there, in some releases.
    return bool(gfile.IsDirectory(os.path.dirname(prefix) or '.') and (
        gfile.Exists(prefix + '.index') or gfile.Exists(prefix) and not gfile.IsDirectory(prefix) or
        gfile.Glob(glob_escape(prefix) + '-?????-of-?????')))


def _what_else_is_there(prefix):
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
                                '--trained_checkpoint_prefix=' + os.path.join(directory, ''), least=0)


def glob_escape(path):
    """Returns ``path`` with the characters escaped that ``tf.gfile.Glob`` gives a meaning to."""
    return re.sub(r'([*?\[\]\\])', r'\\\1', path)


def _slice_of(variable):
    """Returns what a part of a partitioned variable is a part of, else None; saved is the whole."""
    return getattr(variable, '_save_slice_info', None)


def _are(count):
    return '1 is' if count == 1 else '{} are'.format(count)


def _scope(name):
    """Returns the first two parts of a variable's name, enough to tell which part of the model it is in."""
    parts = name.split('/')
    return '/'.join(parts[:2]) if len(parts) > 2 else parts[0]


def _mismatch_table(missing, reshaped):
    """Returns the mismatches as lines of text, grouped by scope, with an example of each kind."""
    rows = collections.OrderedDict()
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


def _likely_cause(missing, reshaped, inventory, use_moving_averages):
    """Returns the first of ``_CAUSES`` that fits, in words and with what to do."""
    for fits in _CAUSES:
        cause = fits(missing, reshaped, inventory, use_moving_averages)
        if cause:
            return 'Likely cause: ' + cause
    return ('Likely cause: the pipeline config is not the one that this checkpoint was trained with. '
            'Use the pipeline.config that lies beside the checkpoint.')


def _averages_absent(missing, reshaped, inventory, use_moving_averages):
    del reshaped
    if use_moving_averages and missing and all(name.endswith(AVERAGE_SUFFIX) for name in missing):
        if has_averages(inventory):
            return ('the checkpoint holds moving averages of other variables only; it belongs to another model.')
        return 'the config asks for moving averages, and the checkpoint holds none. ' + no_averages_remedy()
    return None


def _quantized_graph(missing, reshaped, inventory, use_moving_averages):
    del reshaped, use_moving_averages
    quantized = [name for name in missing if re.search(r'(act_quant|weights_quant|/quant)', name)]
    if quantized and len(quantized) == len(missing) and not any('_quant/' in name for name in inventory.shapes):
        return ('the pipeline config has a graph_rewriter with quantization, and the checkpoint was trained without '
                '(float). Remove the graph_rewriter block from the config, or take the quantized checkpoint.')
    return None


def _class_count(missing, reshaped, inventory, use_moving_averages):
    del inventory, use_moving_averages
    predictors = [row for row in reshaped if re.search(r'Predictor|logits|Conv2d_\w*cls', row[0])]
    if missing or not predictors or len(predictors) != len(reshaped):
        return None
    by_class = [row for row in predictors if 'Class' in row[0] or 'class' in row[0]] or predictors
    name, graph_shape, checkpoint_shape = by_class[0]
    return ('the class count. Only box predictors differ ({}: last dimension {} in the graph, {} in the checkpoint): '
            'num_classes in the pipeline config is not what the checkpoint was trained with. Set it with '
            '--config_override or use the config of the training.'.format(name, graph_shape[-1], checkpoint_shape[-1]))


def _classification_checkpoint(missing, reshaped, inventory, use_moving_averages):
    del reshaped, use_moving_averages
    stems = [re.sub(r'^(FirstStage|SecondStage)?FeatureExtractor/', '', name) for name in missing]
    if any(stem != name and stem in inventory.shapes for stem, name in zip(stems, missing)):
        return ('the checkpoint is one of a classification network (its variables have no FeatureExtractor/ scope), '
                'which a detector is trained from. Export a checkpoint that the detector\'s training wrote.')
    return None


def _feature_extractor(missing, reshaped, inventory, use_moving_averages):
    del reshaped, use_moving_averages
    pattern = re.compile(r'FeatureExtractor/([^/]+)/')
    in_graph = collections.Counter(found.group(1) for found in map(pattern.search, missing) if found)
    in_checkpoint = collections.Counter(found.group(1) for found in map(pattern.search, inventory.shapes) if found)
    strange = [scope for scope, _ in in_graph.most_common() if scope not in in_checkpoint]
    if strange and in_checkpoint:
        return ('another feature extractor. The pipeline config builds {}, the checkpoint holds {}. '
                'Use the pipeline.config that lies beside the checkpoint.'.format(
                    strange[0], in_checkpoint.most_common(1)[0][0]))
    return None


# Tried in this order: the narrow ones first, each being a special case of those below it.
_CAUSES = (_averages_absent, _quantized_graph, _class_count, _classification_checkpoint, _feature_extractor)


def no_averages_remedy():
    """Returns what to do where moving averages are asked for and the checkpoint has none."""
    return ('If it was trained without them, or is itself an export, add '
            '--config_override "eval_config { use_moving_averages: false }", or say so in the config.')
