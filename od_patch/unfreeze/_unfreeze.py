"""Writes what a frozen graph lacks: variables, a checkpoint of them, and a SavedModel that restores them.

A Const that was a variable becomes one again, under its name. From there on it is as with any export: the graph is
composed into a SavedModel without a session, the checkpoint is written by ``_bundle_writer``, everything is proved
against the frozen graph, and only then moved into place.

Not for: deciding which Consts were variables (``_recovered``).
"""
import collections
import json
import os
import typing

from od_patch import _errors
from od_patch import _tensorflow
from od_patch import _version
from od_patch import proof
from od_patch.checkpoint import _bundle_writer
from od_patch.graphs import _freezing
from od_patch.graphs import _graph
from od_patch.graphs import _sources
from od_patch.saved_model import _record
from od_patch.saved_model import _saved_model
from od_patch.staging import _digest
from od_patch.staging import _staging
from od_patch.terminal import _stages
from od_patch.unfreeze import _recovered

CHECKPOINT = 'model.ckpt'
_INT32, _INT64 = 3, 9


class Unfrozen(typing.NamedTuple):
    """What was written."""

    output_directory: str
    variables: typing.List[_recovered.Recovered]
    num_bytes: int  # of the variables' values
    inputs: typing.Dict[str, str]  # key of the signature: name of the tensor
    outputs: typing.Dict[str, str]
    answer: typing.Any  # ``proof`` of it
    notes: typing.List[str]


class Frozen:
    """A frozen graph that is to become a SavedModel.

    Attributes:
        source: ``_sources.Source``; graph: its ``_graph.Graph``.
        scope: str, what stood before the name of every node and is left out; most often empty.
        inputs, outputs: dicts from key of the signature to name of a tensor.
        variables: list of ``Recovered``.
    """

    def __init__(self, path, inputs=None, outputs=None, pattern=''):
        """Reads it; ``inputs`` and ``outputs`` are lists of names of tensors, or None for those of the OD API.

        Raises:
            InputRefused: it cannot be read, holds no variable, or does not say what its inputs or outputs are.
        """
        try:
            self.source = _sources.load(path)
        except _sources.HoldsVariables:
            raise _errors.InputRefused('{}: it holds variables already, and no frozen constants.'.format(path),
                                       'There is nothing to unfreeze: use it as it is.')
        self.scope = '' if outputs else _recovered.take_out_of_scope(self.source.graph_def)
        self.graph = self.source.graph(outputs)
        _recovered.check_stored_whole(self.graph, path)
        self.outputs = self._outputs()
        self.inputs = self._inputs(inputs)
        answered = {name.split(':')[0] for name in self.outputs.values()}
        self.variables = [one for one in _recovered.variables(self.graph, pattern) if one.node not in answered]
        if not self.variables:
            raise _errors.InputRefused(
                '{}: no constant of it {} a variable{}.'.format(
                    path, 'that was' if pattern else 'can be told to have been',
                    ' has a name like {!r}'.format(pattern) if pattern else ''),
                'List them all with  --variables.' if pattern else
                'Weights are read through an Identity, or stand where an op takes a filter, a bias or a statistic.')

    def _outputs(self):
        if not self.graph.named_outputs:
            raise _errors.InputRefused(
                '{}: none of its nodes has a name that the Object Detection API gives an output.'.format(
                    self.source.path),
                'Name them:  --outputs={}'.format(','.join(name for name, _, _ in self.graph.outputs[:8])))
        return collections.OrderedDict(
            (name.split(':')[0] if name.endswith(':0') else name, '{}:{}'.format(self.graph.names[node], port))
            for name, node, port in self.graph.outputs)

    def _inputs(self, given):
        if given:
            unknown = [name for name in given if name.split(':')[0] not in self.graph.names]
            if unknown:
                raise _errors.InputRefused(
                    '{}: there is no node {!r} to be an input.'.format(self.source.path, unknown[0]),
                    'It has the placeholders {}.'.format(', '.join(self._placeholders()) or 'none'))
            tensors = [name if ':' in name else name + ':0' for name in given]
            if len(tensors) == 1:
                return {_saved_model.INPUT: tensors[0]}
            return collections.OrderedDict((name.split(':')[0], name) for name in tensors)
        if self.source.inputs:
            return collections.OrderedDict(self.source.inputs)
        found = self._placeholders()
        if len(found) != 1:
            raise _errors.InputRefused(
                '{}: its outputs need {} placeholders{}, and one is expected.'.format(
                    self.source.path, len(found) or 'no', ' ({})'.format(', '.join(found)) if found else ''),
                'Name the inputs:  --inputs={}'.format(','.join(found) or 'NAME'))
        return {_saved_model.INPUT: found[0] + ':0'}

    def _placeholders(self):
        graph = self.graph
        return [graph.names[node] for node in graph.final_order() if graph.ops[node] in _graph.PLACEHOLDERS]

    @property
    def notes(self):
        """What cannot come back, as list of str."""
        folded = _recovered.folded_batch_norms(self.variables)
        if not folded:
            return []
        return ['batch norms were folded into {} weights: what they were made of (gamma, beta, moving mean and '
                'variance) is not in the graph, so the checkpoint does not fit a training of this model'.format(folded)]


def unfreeze(frozen, output_directory, overwrite=False):
    """Writes ``saved_model/``, ``model.ckpt.*`` and ``checkpoint`` into a folder; returns ``Unfrozen``.

    Args:
        frozen: ``Frozen``.
        output_directory: str.
        overwrite: bool, whether an export that is there is replaced.

    Raises:
        OutputRefused: the folder holds an export, or the frozen graph itself, or cannot be written.
        InputRefused: the TensorFlow at hand cannot load the graph.
        ProofFailed: what was written does not compute what the frozen graph does; nothing was moved into place.
    """
    def check():
        there = sorted(name for name in _names_in(output_directory) if _staging.OF_AN_EXPORT.match(name))
        _staging.check_not_read(output_directory, [frozen.source.file])  # it may be all that somebody has
        if there and not overwrite:
            raise _errors.OutputRefused(
                'The output directory {} holds an export already: {}.'.format(output_directory, ', '.join(there)),
                'Give another directory, or --overwrite.')

    check()
    with _staging.staged(output_directory, check=check) as staged:
        prefix = os.path.join(staged.export, CHECKPOINT)
        _stages.stage('checkpoint')
        num_bytes = _write_checkpoint(prefix, frozen.variables)
        _stages.stage('saved model')
        saved_model = os.path.join(staged.export, 'saved_model')
        written = _write_saved_model(frozen, saved_model, prefix)
        answer = proof.verify(saved_model=saved_model, frozen_graph=_as_named_now(frozen, staged.temporary),
                              checkpoint=prefix)
        # A frozen graph that is bound to a device, or fails by itself, is not made wrong by this.
        fails = {'{}, batch of {}'.format(run.mode, run.batch): run.failures['frozen graph'] for run in answer.runs
                 if 'frozen graph' in run.failures}
        wrong = [check for check in answer.wrong if check.part != 'portability' and check.name not in fails]
        if wrong:
            raise _errors.ProofFailed(
                'What was written is not what {} computes:\n{}'.format(frozen.source.path, '\n'.join(
                    '  {}, {}: {}'.format(check.part, check.name, '\n    '.join([check.text] + list(check.details[:3])))
                    for check in wrong)),
                'Nothing was written. Please report it with this text.')
        _stages.stage('moving into place')
    notes = frozen.notes + written.notes
    for name, text in sorted(fails.items())[:1]:
        notes.append('outputs were not compared: the frozen graph fails on the pictures of the proof ({}): {}'.format(
            name, ' '.join(text.split())[:200]))
    return Unfrozen(output_directory, frozen.variables, num_bytes, frozen.inputs, frozen.outputs, answer, notes)


def _as_named_now(frozen, folder):
    """Returns the path of the frozen graph under the names that it has here."""
    if not frozen.scope:
        return frozen.source.file
    path = os.path.join(folder, 'frozen_inference_graph.pb')
    with open(path, 'wb') as file:
        file.write(frozen.source.graph_def.SerializeToString())
    return path


def _names_in(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


def _write_checkpoint(prefix, variables):
    """Writes the values under the variables' names, and a step of 0: trainings and exports look for one."""
    import numpy as np

    def tensors():
        rows = {one.name: one for one in variables}
        for name in sorted(list(rows) + ['global_step'], key=lambda name: name.encode('utf-8')):
            one = rows.get(name)
            array, dtype = (np.zeros((), np.int64), _INT64) if one is None else (
                one.tensor.array().reshape(one.shape), one.dtype)
            yield name, (_bundle_writer.entry_of(array, dtype), _bundle_writer.pieces_of(array))

    size = _bundle_writer.write(prefix, tensors())
    with open(os.path.join(os.path.dirname(prefix), 'checkpoint'), 'w', encoding='utf-8', newline='\n') as state:
        state.write('model_checkpoint_path: "{0}"\nall_model_checkpoint_paths: "{0}"\n'.format(CHECKPOINT))
    return size


def _write_saved_model(frozen, folder, prefix):
    """Composes the SavedModel, and ``model.ckpt.meta`` of the same graph; returns ``_saved_model.Written``."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as graph:
        _load(frozen, graph)
        inputs = {key: graph.get_tensor_by_name(name) for key, name in frozen.inputs.items()}
        outputs = {key: graph.get_tensor_by_name(name) for key, name in frozen.outputs.items()}
        composed = _saved_model.compose(graph, inputs, outputs)
        saver = tf.train.Saver(graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES))
        saver.export_meta_graph(prefix + '.meta', clear_devices=True)
    version, git_version = _tensorflow.versions()
    record = collections.OrderedDict([
        ('format', 1), ('od_patch', _version.__version__), ('tensorflow', version), ('tensorflow_git', git_version),
        ('unfrozen_from', os.path.abspath(frozen.source.file)),
        ('unfrozen_sha256', _digest.sha256(frozen.source.file))])
    names = {one.name: one.name for one in frozen.variables}  # all but the step, which no output reads
    return _saved_model.place(folder, composed, prefix, names, extra_assets={
        _record.NAME: (json.dumps(record, indent=2) + '\n').encode('utf-8')})


def _load(frozen, graph):
    """Imports the frozen graph into the default graph, with variables for its weights, and their collection."""
    tf = _tensorflow.tf1()
    graph_def, definitions = _with_variables(frozen)
    try:
        tf.import_graph_def(graph_def, name='')
    except (ValueError, KeyError, tf.errors.OpError) as error:
        raise _errors.InputRefused(
            '{}: the TensorFlow at hand ({}) cannot load this graph: {}.'.format(
                frozen.source.path, tf.__version__, ' '.join(str(error).split())[:240]),
            'Unfreeze it with the TensorFlow that it was made with, or a later one; "od-patch inspect" says which.')
    for definition in definitions:
        graph.add_to_collection(tf.GraphKeys.GLOBAL_VARIABLES, tf.Variable.from_proto(definition))


def _with_variables(frozen):
    """Returns (``GraphDef``, [``VariableDef``]): what the outputs need, with ``VariableV2`` for the weights."""
    from tensorflow.core.framework import graph_pb2
    chosen = {one.node: one for one in frozen.variables}
    wanted = _freezing.needed(frozen.source.graph_def, list(frozen.outputs.values()) + list(frozen.inputs.values()))
    made = graph_pb2.GraphDef()
    made.versions.CopyFrom(frozen.source.graph_def.versions)
    made.library.CopyFrom(frozen.source.graph_def.library)
    for node in frozen.source.graph_def.node:
        if node.name in wanted and node.name not in chosen:
            made.node.add().CopyFrom(node)
            made.node[-1].attr.pop('_class', None)  # where it is placed: beside a node that may be none any more
    taken = {node.name for node in made.node} | {one.name for one in frozen.variables}
    handles = {one.node: one.name for one in chosen.values()}
    reads, definitions = {}, []
    for node in made.node:  # the first Identity of each is its snapshot
        if node.op == 'Identity' and node.input and node.input[0].split(':')[0] in handles:
            reads.setdefault(node.input[0].split(':')[0], node.name)
    for one in frozen.variables:
        definitions.append(_add_variable(made, one, reads.get(one.node), taken))
        reads.setdefault(one.node, definitions[-1].snapshot_name.split(':')[0])
    own = set(definition.initializer_name for definition in definitions)
    for node in made.node:
        if node.name in own:
            continue
        for position, text in enumerate(node.input):
            source = text.lstrip('^').split(':')[0]
            if source in handles and node.op != 'VariableV2':
                is_read = node.op == 'Identity' and not text.startswith('^')
                target = handles[source] if is_read else reads[source]
                node.input[position] = ('^' if text.startswith('^') else '') + target
    return made, definitions


def _add_variable(graph_def, one, read, taken):
    """Adds a variable, with a read where the graph has none and an initial value of zeros; returns its ``VariableDef``.

    What gives it the zeros is in no SavedModel: what restores the value stands in its place there.
    """
    from tensorflow.core.framework import variable_pb2
    tf = _tensorflow.tf1()

    def add(name, op, inputs=(), **types):
        unused, number = name, 0
        while unused in taken:
            number += 1
            unused = '{}_{}'.format(name, number)
        taken.add(unused)
        node = graph_def.node.add(name=unused, op=op, input=inputs)
        for attr, dtype in types.items():
            node.attr[attr].type = dtype
        return node

    variable = graph_def.node.add(name=one.name, op='VariableV2')
    taken.add(one.name)
    variable.attr['dtype'].type = one.dtype
    shape = variable.attr['shape'].shape
    shape.SetInParent()
    for size in one.shape:
        shape.dim.add(size=size)
    if read is None:
        read = add(one.name + '/read', 'Identity', [one.name], T=one.dtype).name
    dims = add(one.name + '/Initializer/dims', 'Const', dtype=_INT32)
    dims.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(list(one.shape), tf.int32, [len(one.shape)]))
    zero = add(one.name + '/Initializer/zero', 'Const', dtype=one.dtype)
    zero.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(0, tf.as_dtype(one.dtype), []))
    zeros = add(one.name + '/Initializer/zeros', 'Fill', [dims.name, zero.name], T=one.dtype, index_type=_INT32)
    assign = add(one.name + '/Assign', 'Assign', [one.name, zeros.name], T=one.dtype)
    assign.attr['use_locking'].b = assign.attr['validate_shape'].b = True
    return variable_pb2.VariableDef(variable_name=one.name + ':0', initializer_name=assign.name,
                                    snapshot_name=read + ':0', initial_value_name=zeros.name + ':0')
