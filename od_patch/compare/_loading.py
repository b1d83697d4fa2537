"""Whether a GraphDef can be loaded at all, by which releases of TensorFlow, and what stands in the way.

Asks what TensorFlow's importer asks, of data about every release (``_op_table``),
and then the importer at hand itself, where its release is one that should do.
A graph may say the right computation and still be refused: by a colocation
with a node that is gone, by ``versions``, by an attribute that no release
gave the op. What a graph computes is not this module's business.
"""
import collections
import re
import typing

from od_patch.graphs import _op_table

# GRAPH_DEF_VERSION of releases, as their own versions.h has it; it never falls within 1.x or within 2.x.
_CONSUMERS = {'1.4.1': 24, '1.5.0': 24, '1.6.0': 26, '1.7.0': 26, '1.8.0': 26, '1.9.0': 26, '1.10.0': 26, '1.11.0': 27,
              '1.12.0': 27, '1.13.1': 27, '1.15.0': 134, '2.0.0': 119, '2.21.0': 2474}
_NODE_NAME = re.compile(r'[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*')  # '>' since 2.0; names of old releases are a part of it
_COLOCATED = b'loc:@'
_FIELDS = {'type': 'type', 'int': 'i', 'float': 'f', 'bool': 'b', 'string': 's', 'shape': 'shape', 'tensor': 'tensor',
           'func': 'func'}
# Nodes up to which the importer at hand is asked of every graph; of larger ones only where the answer would else be
# that the graphs are equal, as it takes its time.
MOST_ASKED = 5000
_IGNORE_SINCE = '2.8.0'  # the earliest release that is known to ignore attributes that its op has not
_LARGE = 1 << 12  # bytes of a Const that shape inference has no use for
_REFERENCES = 100  # DataType numbers above are references to those below


class Loads(typing.NamedTuple):
    """What can load a graph."""

    # tuple of release strings; empty where none does. With a refusal: those that ignore what is refused.
    releases: typing.Any
    why: typing.List[str]  # what keeps other releases from it
    refusal: str  # why no release does, or the one at hand does not although it should; empty where all is well
    advice: str  # what to do about it


class _Refused(Exception):
    def __init__(self, text, advice='Export the graph again.', releases=()):
        super().__init__(text)
        self.advice, self.releases = advice, releases


def of(graph_def, graph, ask_importer=True):
    """The ``Loads`` of a GraphDef and the ``Graph`` that was built of it."""
    releases = _op_table.table()[0]
    possible, why = set(range(len(releases))), []
    try:
        _versions(graph_def.versions, releases, possible, why)
        _nodes(graph_def, graph, releases, possible, why)
        if not possible:
            raise _Refused('{}, and so no release has all that it needs'.format('; '.join(why)))
        _frames(graph)
        if ask_importer:
            refuse_at_hand(graph_def, [releases[index] for index in possible])
    except _Refused as error:
        return Loads(error.releases, why, str(error), error.advice)
    return Loads(tuple(releases[index] for index in sorted(possible)), why, '', '')


def told(loads):
    """'1.9.0 to 2.21.0', with a comma where releases in between are missing, or 'none'."""
    releases = _op_table.table()[0]
    runs = []
    for index, release in enumerate(releases):
        if release in loads.releases:
            if runs and runs[-1][1] == index - 1:
                runs[-1][1] = index
            else:
                runs.append([index, index])
    return ', '.join(releases[first] if first == last else '{} to {}'.format(releases[first], releases[last])
                     for first, last in runs) or 'none'


def _versions(versions, releases, possible, why):
    """What the graph says of its own consumers: the least version, and those that are known to be bad."""
    least, bad = versions.min_consumer, set(versions.bad_consumers)
    if not least and not bad:
        return
    advice = 'If the graph is sound otherwise, clear its  versions  field, as the OD API\'s exporter does.'
    refused = set()
    for index, release in enumerate(releases):
        low, high = _consumers(index, releases)
        if low < least or all(number in bad for number in range(low, high + 1)):
            refused.add(index)
    if refused:
        words = ['versions.min_consumer is {}'.format(least)] if least else []
        words += ['versions.bad_consumers holds {}'.format(_some(sorted(bad)))] if bad else []
        possible -= refused
        why.append(' and '.join(words))
        if not possible:
            raise _Refused('{}: the graph refuses the versions of all releases ({} at most)'.format(
                ' and '.join(words), max(_CONSUMERS.values())), advice)


# What is so of all nodes of one op with the same attributes: (position in releases, what needs it) from either side,
# and the DataType numbers of inputs and outputs, None where they cannot be told.
_Kind = collections.namedtuple('_Kind', 'since until inputs outputs')


def _consumers(index, releases):
    """The least and the greatest version of GraphDefs that a release may be, as it is known of it or its neighbours."""
    def known(rows):
        return next(_CONSUMERS[row] for row in rows if row in _CONSUMERS and row[0] == releases[index][0])
    return known(releases[index::-1]), known(releases[index:])


def _some(numbers, most=6):
    return ', '.join(map(str, numbers[:most])) + (', …' if len(numbers) > most else '')


def _nodes(graph_def, graph, releases, possible, why):
    known, signatures = _op_table.table()[1], _op_table.signatures()
    names = set(graph.names)
    functions = {function.signature.name for function in graph_def.library.function}
    kinds, rows = {}, []
    for node, op in enumerate(graph.ops):
        attrs = graph.attrs[node]
        if not _NODE_NAME.fullmatch(graph.names[node]):
            raise _Refused('{!r} is no name that a node may have'.format(graph.names[node]), 'Rename the node.')
        if '_class' in attrs:
            _colocated(graph.names[node], attrs['_class'], names)
        key = (op,) + tuple(item for item in attrs.items() if item[0][0] not in '_@')
        if key not in kinds:
            row = known[op]
            kinds[key] = _Kind((0, ''), (len(releases) - 1, ''), None, None) if row is None or op in functions else (
                _kind(graph, node, row, signatures.get(op), graph_def.versions.producer))
        rows.append(kinds[key])
    since = max((kind.since for kind in kinds.values()), key=lambda bound: bound[0])
    until = min((kind.until for kind in kinds.values()), key=lambda bound: bound[0])
    possible &= set(range(since[0], until[0] + 1))
    if since[0]:
        why.append('it has {}'.format(since[1]))
    if until[1]:
        why.append('it has {}, which later releases lack'.format(until[1]))
    for node, kind in enumerate(rows):
        _inputs(graph, node, kind, rows)
    if graph.late_input is not None:
        raise _Refused('node {!r} has inputs after its control inputs, which must come last'.format(graph.late_input))


def _colocated(name, attribute, names):
    from od_patch.graphs import _graph
    for group in _graph.attr_proto(attribute).list.s:
        other = group[len(_COLOCATED):].decode('utf-8', 'replace')
        if group.startswith(_COLOCATED) and other not in names:
            raise _Refused(
                'node {!r} is to be placed with {!r} (its attribute _class), which is not in the graph'.format(
                    name, other),
                'Remove the attribute _class from all nodes; nothing that computes reads it. Tools that rename or '
                'merge nodes leave it behind (obfuscate_names and merge_duplicate_nodes of the Graph Transform Tool).')


def _kind(graph, node, row, signature, producer):
    """What is so of a node for its op and its attributes; refuses what no release's op would take."""
    from od_patch.graphs import _graph
    name, op, attrs = graph.names[node], graph.ops[node], graph.attrs[node]
    since, until = (row.since, op if row.since else ''), (row.until, op)
    last = len(_op_table.table()[0]) - 1
    for attr in attrs:
        if attr[0] in '_@':
            continue
        if attr not in row.attrs:
            # Seen: 2.3 refuses it, 2.8 and 2.21 warn; of those between, nobody has looked.
            releases = _op_table.table()[0]
            raise _Refused('node {!r} has an attribute {!r} that no release gave {}; TensorFlow 1 and the first of 2 '
                           'refuse that, and later ones ignore what it says'.format(name, attr, op),
                           'Remove the attribute, or name it with a _ before it.',
                           tuple(releases[releases.index(_IGNORE_SINCE):]))
        first, final, _ = row.attrs[attr]
        since, until = max(since, (first, '{}.{}'.format(op, attr))), min(until, (final, '{}.{}'.format(op, attr)))
    for attr, (first, final, default) in row.attrs.items():
        # A release from before the attribute, or from after it, does without.
        if default is None and attr not in attrs and attr not in _graph.NAME_ATTRS and not (
                op == 'Const' and attr == 'value') and first <= row.since and final >= row.until:
            raise _Refused('node {!r} is without the attribute {!r} that {} must have'.format(name, attr, op))
    if until[0] == last:
        until = (last, '')
    if signature is None:
        return _Kind(since, until, None, None)
    if signature.deprecated and producer >= signature.deprecated:
        raise _Refused('{} (node {!r}) is gone since version {} of GraphDefs, and this one says it is of version {} '
                       '(versions.producer)'.format(op, name, signature.deprecated, producer),
                       'A graph that holds so old an op loads with  versions  cleared.')
    values = {attr: _graph.attr_proto(value) for attr, value in attrs.items() if attr[0] not in '_@'}
    for attr, value in values.items():
        if attr in signature.attrs:
            _attribute(name, op, attr, value, *signature.attrs[attr])
    for attr, default in row.defaults.items():
        values.setdefault(attr, _graph.attr_proto(default))
    return _Kind(since, until, _types(values, signature.inputs), _types(values, signature.outputs))


def _attribute(node, op, attr, value, kind, minimum, allowed):
    """The kind, the least value and the allowed values of an attribute, as its op defines them."""
    field = value.WhichOneof('value')
    if field == 'placeholder':
        return
    if field != ('list' if kind.startswith('list(') else _FIELDS[kind]):
        raise _Refused('attribute {!r} of node {!r} ({}) is to be a {}, and holds {}'.format(
            attr, node, op, kind, field or 'nothing'))
    if minimum is not None:
        number = value.i if field == 'i' else sum(len(row) for _, row in value.list.ListFields())
        if number < minimum:
            raise _Refused('attribute {!r} of node {!r} ({}) is {}, below the least, {}'.format(
                attr, node, op, number, minimum))
    if allowed is not None:
        held = [value.type] if field == 'type' else [value.s] if field == 's' else (
            list(value.list.type) + list(value.list.s))
        for part in held:
            part = part.decode('utf-8', 'replace') if isinstance(part, bytes) else part
            if part not in allowed:
                raise _Refused('attribute {!r} of node {!r} ({}) holds {!r}, which no release allows'.format(
                    attr, node, op, part))


def _types(values, arguments):
    """The DataType numbers of inputs or outputs, references above 100; None where attributes do not say."""
    found = []
    for argument in arguments:
        reference = _REFERENCES if argument.startswith('&') else 0
        argument = argument.lstrip('&')
        if argument.startswith('['):
            if argument[1:] not in values:
                return None
            found.extend(values[argument[1:]].list.type)
            continue
        number, star, kind = argument.rpartition('*')
        count = 1
        if star:
            count = values[number].i if number in values else -1
            if not 0 <= count <= 1 << 20:
                return None
        if not kind.isdigit() and kind not in values:
            return None
        dtype = int(kind) if kind.isdigit() else values[kind].type
        found.extend([dtype + reference if dtype < _REFERENCES else dtype] * count)
    return found


def _inputs(graph, node, kind, kinds):
    """What a node reads: outputs that are there, as many as its op takes, of the types that it takes."""
    wanted, row = kind.inputs, graph.inputs[node]
    if wanted is not None and len(row) != len(wanted):
        raise _Refused('node {!r} has {} inputs, but {} takes {}'.format(
            graph.names[node], len(row), graph.ops[node], len(wanted)))
    for slot, (source, port) in enumerate(row):
        given = kinds[source].outputs
        if given is None:
            continue
        if port >= len(given):
            raise _Refused('node {!r} reads output {} of {!r}, which has {}'.format(
                graph.names[node], port, graph.names[source], len(given)))
        if wanted is not None and given[port] != wanted[slot] and (
                given[port] % _REFERENCES != wanted[slot] % _REFERENCES or wanted[slot] > _REFERENCES):
            raise _Refused('input {} of node {!r} ({}) is to be {}, and {!r} gives {}'.format(
                slot, graph.names[node], graph.ops[node], _type_word(wanted[slot]), graph.names[source],
                _type_word(given[port])))


DOES_NOT_RUN = 'it loads and does not run: '


def _frames(graph):
    """Refuses what reads from inside a loop and from outside it at once, as the executor does before it runs anything.

    A Const of a loop is in it by a control input alone, so that a graph that lost its control inputs is of this kind.
    """
    from od_patch.graphs import _graph
    frames = {}
    if not _graph.LOOP_ENTERS & set(graph.ops):
        return
    for node in graph.final_order():
        op, found = graph.ops[node], {}
        for source in [source for source, _ in graph.inputs[node]] + list(graph.controls[node]):
            if source in frames:  # what comes round in a loop is in the frame that its Merge is in
                found.setdefault(frames[source], source)
        if len(found) > 1:
            one, other = sorted(found, key=len)[:2]
            raise _Refused(
                '{}node {!r} ({}) reads {!r}, which is in the loop {!r}, and {!r}, which is not'.format(
                    DOES_NOT_RUN, graph.names[node], op, graph.names[found[other]],
                    other[-1].decode('utf-8', 'replace'), graph.names[found[one]]),
                'A Const is in a loop by its control input; remove_control_dependencies of the Graph Transform Tool '
                'takes it away, and quantize_weights from the Consts that it makes. Use the graph from before.')
        frame = next(iter(found), ())
        if op in _graph.LOOP_ENTERS:
            name = graph.attrs[node].get('frame_name', b'\x12\x00')[2:]
            frame += (name or b'?',)
        elif op in ('Exit', 'RefExit'):
            frame = frame[:-1]
        frames[node] = frame


def _type_word(number):
    from od_patch.graphs import _tensors
    return _tensors.dtype_name(number % _REFERENCES) + (' (a reference)' if number > _REFERENCES else '')


def at_hand(graph_def, loads):
    """``loads``, after the importer at hand was asked too."""
    try:
        refuse_at_hand(graph_def, loads.releases)
    except _Refused as error:
        return loads._replace(releases=(), refusal=str(error), advice=error.advice)
    return loads


def refuse_at_hand(graph_def, releases):
    """Asks the TensorFlow at hand, which infers shapes too, where its release is one of those that should load it."""
    import tensorflow
    minor = '.'.join(tensorflow.__version__.split('.')[:2]) + '.'
    if not any(release.startswith(minor) for release in releases):
        return
    text = _import(_without_large_values(graph_def))
    if text:
        raise _Refused('TensorFlow {} refuses it: {}'.format(tensorflow.__version__, ' '.join(text.split())[:300]))


def _without_large_values(graph_def):
    """A copy in which large Consts are zeros: their type and shape is all that an import looks at."""
    light = type(graph_def)()
    light.versions.CopyFrom(graph_def.versions)
    light.library.CopyFrom(graph_def.library)
    for node in graph_def.node:
        if node.op == 'Const' and len(node.attr['value'].tensor.tensor_content) > _LARGE:
            tensor = node.attr['value'].tensor
            twin = light.node.add(name=node.name, op=node.op, device=node.device)
            twin.input.extend(node.input)
            for name, value in node.attr.items():
                if name != 'value':
                    twin.attr[name].CopyFrom(value)
            twin.attr['value'].tensor.dtype = tensor.dtype
            twin.attr['value'].tensor.tensor_shape.CopyFrom(tensor.tensor_shape)
        else:
            light.node.add().CopyFrom(node)
    return light


def _import(graph_def):
    """What the importer has against a GraphDef; empty where it loads. No session is opened.

    Asked through the C API, as TensorFlow's own Python asks it: the objects that ``tf.import_graph_def`` would make of
    every node take ten times as long, and nothing needs them.
    """
    from od_patch import _tensorflow
    from tensorflow.python.framework import c_api_util
    tf = _tensorflow.tf1()
    from tensorflow.python import pywrap_tensorflow as api
    if not hasattr(api, 'TF_GraphImportGraphDefWithResults'):  # it moved in 2.2
        from tensorflow.python.client import pywrap_tf_session as api
    graph = tf.Graph()
    options = c_api_util.ScopedTFImportGraphDefOptions()
    try:
        with c_api_util.tf_buffer(graph_def.SerializeToString()) as data:
            if hasattr(graph._c_graph, 'get'):
                with graph._c_graph.get() as held:
                    results = api.TF_GraphImportGraphDefWithResults(held, data, options.options)
            else:
                results = api.TF_GraphImportGraphDefWithResults(graph._c_graph, data, options.options)
        api.TF_DeleteImportGraphDefResults(results)
    except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        return getattr(error, 'message', '') or str(error) or type(error).__name__
    return ''
