"""Are the files of an export whole: what loads green and fails at the first request is found here.

Reads every byte of the bundles once, and compares its CRC-32C; of tensors that are not in one piece, as TensorFlow's
reader does it.

Not for: whether the values are the right ones (``_variables``).
"""
import os

import rich.filesize

from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.checkpoint import _bundle
from od_patch.graphs import _freezing
from od_patch.graphs import _tensors
from od_patch.proof import _answer
from od_patch.proof._answer import Check
from od_patch.staging import _digest

_PART = 'files'


def check(subject, servable, refused):
    """Returns the list of ``Check`` of the files.

    Args:
        subject: ``Subject``.
        servable: ``Servable``, or None where its file could not be read.
        refused: dict of file kind ('saved_model', 'frozen_graph') -> the ``InputRefused`` of reading it.
    """
    checks = [_wrong(name, text) for name, text in subject.problems]
    if subject.saved_model:
        if servable is None:
            checks.append(_wrong('saved_model.pb', refused['saved_model'].problem))
        else:
            checks += _saved_model(servable, subject.variables)
    elif subject.export:
        checks.append(Check(_PART, 'saved_model.pb', _answer.NOTE, 'there is no SavedModel in it'))
    if subject.frozen_graph:
        error = refused.get('frozen_graph')
        size = rich.filesize.decimal(os.path.getsize(subject.frozen_graph))
        checks.append(_wrong('frozen graph', error.problem) if error else
                      _ok('frozen graph', '{}, parses'.format(size)))
    if subject.checkpoint:
        checks.append(_bundle_check('model.ckpt', subject.checkpoint))
    if subject.record and subject.export:  # of an export that is being made, nothing can have changed since
        checks.append(_digests(subject))
    return checks


def _ok(name, text, details=()):
    return Check(_PART, name, _answer.OK, text, tuple(details))


def _wrong(name, text, details=()):
    return Check(_PART, name, _answer.WRONG, text, tuple(details))


def _saved_model(servable, written):
    graph_def = servable.meta_graph.graph_def
    nodes = {node.name for node in graph_def.node}
    tensors = [(key, info.name) for _, signature in sorted(servable.meta_graph.signature_def.items())
               for group in (signature.inputs, signature.outputs) for key, info in sorted(group.items())]
    absent = ['{}: {}'.format(key, name) for key, name in tensors if name.split(':')[0] not in nodes]
    if absent:
        yield _wrong('saved_model.pb', 'the graph lacks what its signature names', absent)
    else:
        yield _ok('saved_model.pb', '{}, {:,} nodes; signature {}'.format(
            rich.filesize.decimal(servable.size), len(nodes), servable.signature_key))
    for one in _assets(servable):
        yield one
    if not servable.variables:
        yield _ok('variables', 'none: its outputs read none' if written.get('written') == 0 else
                  'none: its weights are constants in saved_model.pb')
        return
    bundle = _bundle_check('variables', servable.prefix, servable)
    yield bundle
    if bundle.status == _answer.OK:
        yield _restored(servable, written)


def _assets(servable):
    from tensorflow.core.protobuf import meta_graph_pb2
    defs = [file for file in servable.meta_graph.asset_file_def]
    for packed in servable.meta_graph.collection_def['saved_model_assets'].any_list.value \
            if 'saved_model_assets' in servable.meta_graph.collection_def else ():
        file = meta_graph_pb2.AssetFileDef()
        if packed.Unpack(file):
            defs.append(file)
    names = sorted({file.filename for file in defs})
    lost = [name for name in names if not os.path.isfile(os.path.join(servable.folder, 'assets', name))]
    if lost:
        yield _wrong('assets', '{} of {} missing from the folder assets'.format(len(lost), len(names)), lost)
    elif names:
        yield _ok('assets', _answer.number(len(names), 'file'))


def _bundle_check(name, prefix, servable=None):
    """Whether a checkpoint is there, whole, and has the checksums that its index says."""
    gfile = _tensorflow.gfile()
    if not gfile.Exists(prefix + '.index'):
        if servable is None and gfile.Exists(prefix):
            return _checksums(name, prefix, None)
        if servable is None:
            return _wrong(name, '{}.index is missing: what is there cannot be read'.format(os.path.basename(prefix)))
        return _wrong(
            name, '{} is missing, and the graph has {}: it loads without an error, and fails at the first request'
            .format('variables/variables.index' if gfile.Exists(os.path.dirname(prefix)) else 'the folder variables',
                    _answer.number(len(servable.variables), 'variable')))
    try:
        index = _bundle.read_index(prefix)
    except _bundle.BrokenIndex as error:
        return _wrong(name, '{}.index is damaged: {}'.format(os.path.basename(prefix), error))
    short = [text.replace(os.path.dirname(prefix) + os.sep, '') for text in _bundle.shortfalls(prefix, index)]
    if short:
        return _wrong(name, 'not whole: {}'.format('; '.join(short)), short)
    return _checksums(name, prefix, index)


def _checksums(name, prefix, index):
    try:
        reader = _freezing.reader(prefix, prefix)
    except InputRefused as error:
        return _wrong(name, error.problem)
    names = sorted(reader.get_variable_to_shape_map())
    damaged = []
    with _bundle.Shards() as shards:
        for key in names:
            try:
                whole = _bundle.is_whole(prefix, index, key, shards) if index and key in index.entries else None
                if whole is None:
                    reader.get_tensor(key)
                elif not whole:
                    damaged.append('{}: its bytes have another checksum than the index says'.format(key))
            except Exception as error:  # pylint: disable=broad-except  (its type changes from release to release)
                damaged.append('{}: {}'.format(key, _first_line(error)))
    if damaged:
        return _wrong(name, '{} of {} cannot be read: bytes of the data were changed'.format(
            len(damaged), _answer.number(len(names), 'tensor')), damaged)
    if index is None:
        return _ok(name, '{} in one file of the V1 format, all readable'.format(_answer.number(len(names), 'tensor')))
    return _ok(name, '{} in {}, {}: whole, every checksum right'.format(
        _answer.number(len(names), 'tensor'), _answer.number(index.num_shards, 'data file'),
        rich.filesize.decimal(sum(entry.size for entry in index.entries.values()))))


def _first_line(error):
    text = str(getattr(error, 'message', None) or error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__


def _restored(servable, written):
    """Whether loading fills every variable that a request needs, with a tensor that the bundle holds and that fits."""
    name = 'restore'
    if servable.restores_in_function and not servable.restored:
        return Check(_PART, name, _answer.SKIPPED,
                     'the SavedModel is one of TensorFlow 2: a function restores its variables')
    entries = _bundle.read_index(servable.prefix).entries
    asked = {row.key for row in servable.restored.values()}
    lost = sorted(asked - set(entries))
    if lost:
        return _wrong(name, 'loading asks for {} that the bundle does not hold'.format(
            _answer.number(len(lost), 'tensor')), lost)
    empty = sorted(servable.needed - set(servable.restored))
    if empty:
        return _wrong(name, 'nothing restores {} that the outputs need: it loads without an error, and fails at the '
                      'first request'.format(_answer.number(len(empty), 'variable')), empty)
    unfit = []
    for variable, row in sorted(servable.restored.items()):
        attr, entry = servable.variables[variable].attr, entries[row.key]
        shapes = [[dim.size for dim in shape.dim] for shape in (attr['shape'].shape, entry.shape)]
        if attr['dtype'].type != entry.dtype or not row.slice_spec and not attr['shape'].shape.unknown_rank and (
                len(shapes[0]) != len(shapes[1]) or any(a not in (-1, b) for a, b in zip(*shapes))):
            unfit.append('{}: {} {} in the graph, {} {} in the bundle'.format(
                variable, _tensors.dtype_name(attr['dtype'].type), shapes[0], _tensors.dtype_name(entry.dtype),
                shapes[1]))
    if unfit:
        return _wrong(name, 'the bundle has another type or shape for {}'.format(
            _answer.number(len(unfit), 'variable')), unfit)
    return _ok(name, 'all {} are restored, and fit{}'.format(
        _answer.number(len(servable.restored), 'variable'), _unread(servable, written, entries)))


def _unread(servable, written, entries):
    """What of the model's variables no output reads, in words: those that the SavedModel has, or goes without."""
    graph_def = servable.meta_graph.graph_def
    read = _freezing.needed(graph_def, [info.name for signature in servable.meta_graph.signature_def.values()
                                        for info in signature.outputs.values()])
    keys = {row.key for name, row in servable.restored.items() if name not in read}
    words = ''
    if keys:
        words = '; no output reads {:,} of them, {}'.format(
            len(keys), rich.filesize.decimal(sum(entries[key].size for key in keys)))
    left_out = written.get('left_out')
    if left_out:
        words += '; {} of the model that no output reads {} left out, {}'.format(
            _answer.number(len(left_out), 'variable'), 'is' if len(left_out) == 1 else 'are',
            rich.filesize.decimal(written['left_out_bytes']))
    return words


def _digests(subject):
    """Whether the files are still those that the record was written beside."""
    name = 'od_patch.json'
    recorded = subject.record.get('sha256')
    if not isinstance(recorded, dict):
        return Check(_PART, name, _answer.SKIPPED, 'the record has no digests')
    changed, absent, same = [], [], 0
    for file, digest in sorted(recorded.items()):
        path = os.path.join(subject.export, os.path.basename(file))  # a name only: no record leads out of the folder
        if not os.path.isfile(path):
            absent.append(file)
        elif _digest.sha256(path) != digest:
            changed.append(file)
        else:
            same += 1
    if changed:
        return _wrong(name, 'changed since the export: {}'.format(_answer.few(changed)), changed)
    text = '{} {} as the export wrote {}'.format(
        _answer.number(same, 'file'), 'is' if same == 1 else 'are', 'it' if same == 1 else 'them')
    if absent:
        return Check(_PART, name, _answer.NOTE, '{}; not there any more: {}'.format(text, _answer.few(absent)))
    return _ok(name, text)
