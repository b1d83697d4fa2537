"""Every variable of the export against the checkpoint tensor it came from, bit for bit, one tensor at a time.

Two checkpoints are compared as the bytes in their files, a piece at a time; tensors are only made where these differ,
to say by how much, and of what is no checkpoint. Of an export that is being made, every byte has been compared with
its checksum once where it came from, as it was copied, and once where it was written (``_files``): there the
checksums in the two indexes are compared.

What is compared: the SavedModel's variables (or its constants, where it is
frozen), the frozen graph's constants, the export's own model.ckpt, and the
trained checkpoint, in which ``X/ExponentialMovingAverage`` is what X was
exported from where moving averages are meant.

Not for: whether the files can be read at all (``_files``).
"""
import collections

import numpy

from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.checkpoint import _bundle
from od_patch.checkpoint import _objects
from od_patch.checkpoint._checkpoint import AVERAGE_SUFFIX
from od_patch.checkpoint._checkpoint import STEP
from od_patch.graphs import _freezing
from od_patch.graphs import _tensors
from od_patch.proof import _answer
from od_patch.proof._answer import Check

_PART = 'weights'
_STRING = 7
_PIECE = 16 << 20  # bytes compared at a time

_Extent = collections.namedtuple('_Extent', ['path', 'offset', 'size', 'dtype', 'shape', 'crc32c'])

Value = collections.namedtuple('Value', ['dtype', 'shape', 'array'])


class _Unreadable(Exception):
    """A tensor that its holder cannot read; ``_files`` says which, and why."""


class Checkpoint:
    """Tensors of a checkpoint by variable name.

    Args:
        prefix: str.
        label: str, what to call it.
        rows: dict of variable name -> ``Restored``, or None: every tensor under its own name.
    """

    def __init__(self, prefix, label, rows=None):
        self.label, self._rows = label, rows
        self._reader = _freezing.reader(prefix, prefix)
        self.keys = dict(self._reader.get_variable_to_shape_map())
        if rows is None and _objects.are_of_objects(self.keys):
            # A checkpoint of TensorFlow 2: an export has its variables under their paths.
            self._rows = {_objects.bare(key): (key, '') for key in self.keys if key.endswith(_objects.VALUE)}
        self._dtypes = self._reader.get_variable_to_dtype_map()
        self._prefix = prefix
        try:
            self._index = _bundle.read_index(prefix) if _tensorflow.gfile().Exists(prefix + '.index') else None
        except _bundle.BrokenIndex:
            self._index = None

    def names(self):
        if self._rows is None:
            return set(self.keys)
        return {name for name, row in self._rows.items() if row[0] in self.keys}

    def get(self, name):
        key, spec = self._rows[name] if self._rows is not None else (name, '')
        try:
            array = _freezing.sliced(self._reader.get_tensor(key), spec)
        except Exception as error:  # pylint: disable=broad-except  (its type changes from release to release)
            raise _Unreadable('{} of the {} cannot be read: {}'.format(name, self.label, ' '.join(
                str(error).split())[:160]))
        array = numpy.asarray(array)
        return Value(self._dtypes[key].as_datatype_enum, array.shape, array)

    def extent(self, name):
        """Where the bytes of a tensor lie, ``_Extent``; None where they are not in one piece or not its elements."""
        key, spec = self._rows[name] if self._rows is not None else (name, '')
        entry = self._index.entries.get(key) if self._index else None
        if spec or entry is None or entry.slices or entry.dtype == _STRING:
            return None
        return _Extent(_bundle.shard_path(self._prefix, entry.shard_id, self._index.num_shards), entry.offset,
                       entry.size, entry.dtype, tuple(dim.size for dim in entry.shape.dim), entry.crc32c)


class Constants:
    """Consts of a GraphDef by node name."""

    def __init__(self, graph_def, label):
        self.label = label
        self._nodes = {node.name: node for node in graph_def.node if node.op == 'Const'}

    def names(self):
        return set(self._nodes)

    def get(self, name):
        try:
            tensor = _tensors.Tensor(self._nodes[name].attr['value'].tensor)
            return Value(tensor.dtype, tensor.shape, tensor.array())
        except ValueError as error:
            raise _Unreadable('{} of the {} cannot be read: {}'.format(name, self.label, error))

    def extent(self, name):
        del name


class _Averaged:
    """A trained checkpoint as an export with moving averages reads it."""

    def __init__(self, checkpoint):
        self.label = checkpoint.label
        self._checkpoint = checkpoint
        self.averaged = {name[:-len(AVERAGE_SUFFIX)] for name in checkpoint.names() if name.endswith(AVERAGE_SUFFIX)}

    def names(self):
        return self._checkpoint.names() | self.averaged

    def get(self, name):
        return self._checkpoint.get(self._key(name))

    def extent(self, name):
        return self._checkpoint.extent(self._key(name))

    def _key(self, name):
        return name + AVERAGE_SUFFIX if name in self.averaged else name


def check(subject, servable, frozen):
    """Returns the list of ``Check`` of the weights.

    Args:
        subject: ``Subject``.
        servable: ``Servable`` or None; frozen: the frozen ``GraphDef`` or None.
    """
    unread = []
    saved = _opened(lambda: _saved(servable, subject.variables), 'SavedModel', unread)
    own = _opened(lambda: Checkpoint(subject.checkpoint, 'model.ckpt') if subject.checkpoint else None, 'model.ckpt',
                  unread)
    graph = Constants(frozen, 'frozen graph') if frozen is not None else None
    trained, checks = _open_trained(subject)
    checks = unread + checks
    variables = _variables(servable, subject.variables, own, trained)
    pairs = [(one, other) for one, other in ([(saved, own), (graph, own)] if own else [(saved, graph)])
             if one is not None and other is not None]
    names = [_common(one, other, variables) for one, other in pairs]
    exported = next((holder for holder in (saved, graph, own) if holder is not None), None)
    if trained is not None and exported is not None:
        expected = _Averaged(trained) if subject.averages else trained
        pairs.append((exported, expected))
        names.append(_common(exported, expected, variables))
    for (one, other), common, different in zip(pairs, names, _differing(pairs, names, subject.staged)):
        if isinstance(different, _Unreadable):
            checks.append(_skipped('{} = {}'.format(one.label, other.label), str(different)))
        elif other is own or other is graph:
            checks.append(_compared(one, other, common, different, variables, servable))
        else:
            # A checkpoint that has no step is exported with one of 0.
            checks.append(_against_trained(one, trained, common, different, (variables or set()) - {STEP}, subject))
    return checks or [_skipped('weights', 'there are not two of checkpoint, frozen graph and SavedModel to compare')]


def _skipped(name, text):
    return Check(_PART, name, _answer.SKIPPED, text)


def _opened(make, label, unread):
    """The holder that ``make`` makes, or None where it cannot be read, which is added to the checks ``unread``."""
    try:
        return make()
    except InputRefused as error:
        unread.append(_skipped(label, 'not compared: {}'.format(error.problem)))
        return None


def _saved(servable, written):
    if servable is None or not servable.variables and written.get('written') == 0:  # not frozen: its outputs read none
        return None
    if not servable.variables:
        return Constants(servable.meta_graph.graph_def, 'SavedModel')
    return Checkpoint(servable.prefix, 'SavedModel', servable.restored)


def _open_trained(subject):
    """(holder or None, checks): the trained checkpoint, where there is one."""
    if not subject.trained:
        return None, []
    try:
        return Checkpoint(subject.trained, 'checkpoint'), []
    except InputRefused as error:
        if subject.trained_named:
            raise
        # What an export remembers may be gone: a training removes its checkpoints as it goes on.
        return None, [_skipped('checkpoint', error.problem)]


def _variables(servable, written, own, trained):
    """Names of all variables: what the SavedModel, or a checkpoint of it, calls so; constants alone do not tell."""
    if servable is not None and (servable.variables or written):
        # A SavedModel has what its outputs read, and a frozen graph beside it may have more outputs.
        return set(servable.variables).union(written.get('left_out', ()))
    if own is not None:
        return own.names()
    return {name for name in trained.names() if not name.endswith(AVERAGE_SUFFIX)} if trained is not None else None


def _common(one, other, variables):
    """Names of the variables that both holders have."""
    names = one.names() & other.names()
    return names if variables is None else names & variables


def _compared(one, other, names, different, variables, servable):
    """The check of one holder against another, over the variables that both have."""
    name = '{} = {}'.format(one.label, other.label)
    if different:
        return _wrong(name, different, len(names))
    if not names:
        return _skipped(name, 'they have no variable in common')
    text = 'all {} are equal bit for bit'.format(
        _answer.number(len(names), 'variable' if variables is not None else 'constant'))
    needed = servable.needed if servable is not None else set()
    for holder in (one, other):
        lost = sorted(needed - holder.names())
        if lost and isinstance(holder, Constants):  # a tool may have folded them into others: the outputs tell
            return Check(_PART, name, _answer.NOTE, '{}; {} that the outputs need {} no constant of the {}'.format(
                text, len(lost), 'is' if len(lost) == 1 else 'are', holder.label), tuple(lost))
        if lost:
            return Check(_PART, name, _answer.WRONG, '{} that the outputs need {} not in {}'.format(
                _answer.number(len(lost), 'variable'), 'is' if len(lost) == 1 else 'are', holder.label), tuple(lost))
    return Check(_PART, name, _answer.OK, text)


def _differing(pairs, names, by_checksum=False):
    """For each pair of holders, the list of (name, what differs in words, largest difference), the largest first.

    Where one of the two cannot be read, it is the ``_Unreadable`` instead. Every tensor is read once, and one variable
    is in memory at a time.

    Args:
        pairs: list of pairs of holders; names: list of sets, the variables to compare in each.
        by_checksum: bool, whether the checksums of all bytes are known to be right, so that they tell.
    """
    found = [[] for _ in pairs]
    with _bundle.Shards() as shards:
        for name in sorted(set().union(*names)):
            values = {}
            for place, pair in enumerate(pairs):
                if name not in names[place] or isinstance(found[place], _Unreadable) or _same(
                        shards, by_checksum, *(holder.extent(name) for holder in pair)):
                    continue
                try:
                    for holder in pair:
                        if holder not in values:
                            values[holder] = holder.get(name)
                except _Unreadable as error:
                    found[place] = error
                    continue
                left, right = (values[holder] for holder in pair)
                if not _equal(left, right):
                    found[place].append((name,) + _described(left, right))
    return [rows if isinstance(rows, _Unreadable) else sorted(
        rows, key=lambda row: (-float('inf') if row[2] is None else -row[2], row[0])) for rows in found]


def _equal(left, right):
    if left.dtype != right.dtype or tuple(left.shape) != tuple(right.shape):
        return False
    if left.dtype == _STRING:
        return left.array.reshape(-1).tolist() == right.array.reshape(-1).tolist()
    left, right = (numpy.ascontiguousarray(value.array).reshape(-1).view(numpy.uint8) for value in (left, right))
    return all((left[begin:begin + _PIECE] == right[begin:begin + _PIECE]).all()
               for begin in range(0, len(left), _PIECE))


def _same(shards, by_checksum, left, right):
    """Whether two ``_Extent`` hold the same tensor; False also where one is None or cannot be read."""
    if left is None or right is None or left[2:5] != right[2:5]:
        return False
    if by_checksum:
        return left.crc32c == right.crc32c
    try:
        return all(piece == other for piece, other in zip(*(
            shards.pieces(extent.path, extent.offset, extent.size) for extent in (left, right))))
    except _bundle.BrokenShard:
        return False


def _described(left, right):
    """(what differs in words, largest difference or None where there is no number for it)."""
    if left.dtype != right.dtype or tuple(left.shape) != tuple(right.shape):
        return '{} {} against {} {}'.format(_tensors.dtype_name(left.dtype), list(left.shape),
                                            _tensors.dtype_name(right.dtype), list(right.shape)), None
    largest, count, size, _ = _tensors.difference(left.array, right.array)
    if not count:
        return 'other bits of the same values, such as −0 for 0', 0.0
    return '{:,} of {:,} elements differ, by {:.3g} at most'.format(count, size, largest), largest


def _wrong(name, different, total, more=''):
    return Check(_PART, name, _answer.WRONG, '{} of {} differ{}'.format(
        len(different), _answer.number(total, 'variable'), more),
        tuple('{}: {}'.format(row[0], row[1]) for row in different))


def _against_trained(exported, trained, names, different, variables, subject):
    """The check of what was exported against the checkpoint that it was exported from, averages mapped.

    Args:
        exported, trained: holders.
        names, different: what they have in common, and what of it differs from the weights that are asked for: the
            moving averages or the raw ones.
        variables: set of names that must be in it; subject: ``Subject``.
    """
    name = '{} = checkpoint'.format(exported.label)
    averaged = _Averaged(trained)
    if not names:
        return Check(_PART, name, _answer.WRONG, 'they have no variable in common: {} is of another model'.format(
            subject.trained))
    lost = sorted(variables & exported.names() - averaged.names())
    if lost:
        return Check(_PART, name, _answer.WRONG, '{} not in {}'.format(
            _answer.number(len(lost), 'variable') + (' is' if len(lost) == 1 else ' are'), subject.trained),
            tuple(lost))
    if not averaged.averaged & names:
        if subject.averages:
            return Check(_PART, name, _answer.WRONG, 'moving averages are asked for ({}), and {} holds none'.format(
                subject.averages_from, subject.trained))
        return _weights_check(name, different, names, 'the weights of {}'.format(subject.trained))
    if different or subject.averages is None:
        other = trained if subject.averages else averaged
        otherwise, = _differing([(exported, other)], [_common(exported, other, variables)])
        if isinstance(otherwise, _Unreadable):
            return _skipped(name, str(otherwise))
        if subject.averages is None:
            return _ambiguous_check(name, different, otherwise, names)
        if not otherwise:
            words = ('moving averages', 'raw weights')
            return _wrong(name, different, len(names), ': these are the {}, and the {} are asked for ({})'.format(
                words[subject.averages], words[not subject.averages], subject.averages_from))
    return _weights_check(name, different, names, 'the {} of {}'.format(
        'moving averages' if subject.averages else 'raw weights', subject.trained))


def _weights_check(name, different, names, what):
    if different:
        return _wrong(name, different, len(names), ' from {}'.format(what))
    return Check(_PART, name, _answer.OK, 'all {} are {}, bit for bit'.format(
        _answer.number(len(names), 'variable'), what))


def _ambiguous_check(name, raw, mean, names):
    """Where the checkpoint has moving averages and nothing says which weights are meant."""
    if raw and mean:
        fewer = min(raw, mean, key=len)
        return _wrong(name, fewer, len(names), ' from its {}'.format('raw weights' if fewer is raw
                                                                    else 'moving averages'))
    what = 'raw weights, which equal its moving averages' if not raw and not mean else (
        'moving averages' if raw else 'raw weights, not its moving averages')
    return Check(_PART, name, _answer.NOTE if raw or mean else _answer.OK,
                 'all {} are its {}{}'.format(_answer.number(len(names), 'variable'), what, '' if not (raw or mean) else
                                              '; --config says which are meant'))
