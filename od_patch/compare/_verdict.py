"""The answer to "does it matter": one of five verdicts, the reason, and all that was found on the way.

Puts together what the other modules say; measures and decides nothing that
is not theirs but the verdict itself. ``Answer.as_json`` is the documented schema.
"""
import collections

from od_patch import _garbage
from od_patch.compare import _alignment
from od_patch.compare import _cause
from od_patch.compare import _equivalence
from od_patch.compare import _loading
from od_patch.compare import _provenance
from od_patch.compare import _recognisers
from od_patch.compare import _storage
from od_patch.compare import _transforms
from od_patch.compare import _weights
from od_patch.graphs import _graph
from od_patch.graphs import _sources
from od_patch.terminal import _stages

IDENTICAL = 'identical'
EQUIVALENT = 'equivalent'
SAME_WEIGHTS = 'same weights, different graph'
DIFFERENT_WEIGHTS = 'different weights'
NOT_COMPARABLE = 'not comparable'
EXIT_CODES = {IDENTICAL: 0, EQUIVALENT: 0, SAME_WEIGHTS: 1, DIFFERENT_WEIGHTS: 1, NOT_COMPARABLE: 1}
SCHEMA = 1

# Outputs that only an architecture with a head of its own has.
_HEADS = frozenset(['detection_masks', 'detection_keypoints', 'proposal_boxes'])


class Answer:
    """What ``compare`` found.

    Attributes:
        verdict, reason: str.
        sources, graphs: pairs of ``Source`` and ``Graph``.
        equivalence: ``Equivalence`` or None where the graphs are identical.
        alignment: ``Alignment`` or None where they are equal.
        weights: ``Comparison`` of the weights, or None where the graphs are identical.
        differences: list of ``Difference`` of weights, the largest first.
        causes: list of ``Cause``; context: what they were found in.
        provenance: pair of ``Provenance``.
        run: ``Run`` or None; checkpoint: list of str or empty.
    """

    def __init__(self):
        self.verdict = self.reason = ''
        self.sources = self.graphs = self.provenance = ()
        self.equivalence = self.alignment = self.weights = self.context = self.run = None
        self.differences, self.causes, self.checkpoint = [], [], []

    @property
    def exit_code(self):
        return EXIT_CODES[self.verdict]

    def names(self, side, nodes):
        graph = (self.context.left, self.context.right)[side] if self.context else self.graphs[side]
        return [graph.names[node] for node in nodes if graph.names[node]]

    def as_json(self, most_nodes=200):
        """Plain dicts and lists as docs/compare.md describes them."""
        result = collections.OrderedDict()
        result['schema'] = SCHEMA
        result['verdict'] = self.verdict
        result['reason'] = self.reason
        result['graphs'] = [collections.OrderedDict([
            ('path', source.path), ('file', source.file), ('kind', source.kind), ('bytes', source.bytes),
            ('nodes', len(graph)), ('outputs', [row[0] for row in graph.outputs]),
            ('provenance', provenance.as_json())])
            for source, graph, provenance in zip(self.sources, self.graphs, self.provenance)]
        result['rules'] = [] if self.equivalence is None else [
            collections.OrderedDict([('name', name), ('left', left), ('right', right)])
            for name, (left, right) in self.equivalence.rules.items()]
        result['set_aside'] = [] if self.equivalence is None else self.equivalence.always
        if self.weights is not None:
            result['weights'] = collections.OrderedDict([
                ('left', self.weights.left), ('right', self.weights.right), ('equal', len(self.weights.equal)),
                ('differing', len(self.weights.differing)), ('reshaped', len(self.weights.reshaped)),
                ('only_left', self.names(0, self.weights.only_left)[:most_nodes]),
                ('only_right', self.names(1, self.weights.only_right)[:most_nodes]),
                ('differences', [collections.OrderedDict([
                    ('name', row.name), ('shape', list(row.shape)), ('elements', row.size), ('differing', row.count),
                    ('largest', row.largest), ('mean', row.mean), ('scale', row.scale)])
                    for row in self.differences])])
        if self.alignment is not None:
            result['frontier'] = collections.OrderedDict(
                (key, collections.OrderedDict([('count', len(nodes)),
                                               ('unmatched', len(self.alignment.unmatched[side])),
                                               ('nodes', self.names(side, nodes)[:most_nodes])]))
                for side, (key, nodes) in enumerate(zip(('left', 'right'), self.alignment.frontier)))
        result['causes'] = [collections.OrderedDict([
            ('kind', cause.kind), ('title', cause.title), ('effect', cause.effect), ('cosmetic', cause.cosmetic),
            ('side', cause.side), ('scope', cause.scope), ('left', len(cause.left)), ('right', len(cause.right)),
            ('left_nodes', self.names(0, cause.left)[:most_nodes]),
            ('right_nodes', self.names(1, cause.right)[:most_nodes]),
            ('option', cause.option), ('revision', cause.revision),
            ('values', None if cause.values is None else list(cause.values)), ('detail', cause.detail)])
            for cause in self.causes]
        result['checkpoint'] = self.checkpoint
        result['run'] = None if self.run is None else self.run.as_json()
        return result


def compare(left, right, outputs=None, checkpoint=None):
    """Reads two graphs and returns an ``Answer``.

    Args:
        left, right: str, paths.
        outputs: list of node names to compare, or None for those of the signature or of convention.
        checkpoint: str or None: a checkpoint that the weights are looked up in, raw and moving averages.

    Raises:
        InputRefused: one of them cannot be compared with anything.
    """
    with _garbage.paused():  # among millions of small tuples without cycles it would find nothing
        return _compared(left, right, outputs, checkpoint)


def _compared(left, right, outputs, checkpoint):
    answer = Answer()
    _stages.stage('reading')
    answer.sources = tuple(_sources.load(path) for path in (left, right))
    graphs = [source.graph(outputs) for source in answer.sources]
    _stages.stage('loads at all')
    loads = [_loading.of(source.graph_def, graph, len(graph) <= _loading.MOST_ASKED)
             for source, graph in zip(answer.sources, graphs)]
    answer.graphs = _graph.with_common_ends(*graphs)
    _stages.stage('provenance')
    answer.provenance = tuple(_provenance.of(*row) for row in zip(answer.sources, answer.graphs, loads))
    if checkpoint:
        from od_patch.compare import _origin
        answer.checkpoint = [_origin.origin(graph, checkpoint) for graph in answer.graphs]
    if any(row.refusal for row in loads):
        return _unloadable(answer)
    _stages.stage('equality')
    if _equivalence.identical(*answer.graphs):
        if _refused_at_hand(answer):
            return _unloadable(answer)
        answer.verdict = IDENTICAL
        answer.reason = 'The two graphs say the same, node by node: order, versions and devices set aside.'
        return answer
    one, other = answer.graphs
    equivalence = answer.equivalence = _equivalence.Equivalence(one, other)
    if equivalence.equal:
        if _refused_at_hand(answer):
            answer.equivalence = None
            return _unloadable(answer)
        answer.verdict = EQUIVALENT
        answer.reason = _equivalent_reason(equivalence)
        answer.weights = _compare_weights(one, other, None)
        return answer
    if equivalence.renamed_outputs:
        # Outputs of other names are not the same by structure either: then names say which are meant.
        named = _equivalence.Equivalence(one, other, by_name=True)
        if named.within or not named.nothing_common:
            equivalence = answer.equivalence = named
    _stages.stage('causes')
    # What is stored in fewer bits is turned back first, so that it can be told from what is another model's.
    one, other = (_storage.decoded(graph).graph for graph in (one, other))
    decoded = [_storage.decoded(hashes.graph) for hashes in (equivalence.left, equivalence.right)]
    weights = [_weights.weights(graph, graph.final_order()) for graph in (one, other)]
    answer.alignment = _alignment.Alignment(decoded[0].graph, decoded[1].graph, weights)
    answer.weights = _weights.Comparison(one, other, weights[0], weights[1], answer.alignment.pairs)
    answer.causes, answer.context = _recognisers.explain(answer.alignment, equivalence, answer.weights, decoded,
                                                       answer.graphs)
    _decide(answer)
    return answer


def _refused_at_hand(answer):
    """Asks the importer of graphs that were too large to ask it of all, and says whether it refuses one of them."""
    for source, graph, provenance in zip(answer.sources, answer.graphs, answer.provenance):
        if len(graph) > _loading.MOST_ASKED:
            provenance.loads = _loading.at_hand(source.graph_def, provenance.loads)
    return any(provenance.loads.refusal for provenance in answer.provenance)


def _unloadable(answer):
    """What no TensorFlow loads computes nothing, so there is nothing that it could be equal to."""
    refused = [side for side, provenance in enumerate(answer.provenance) if provenance.loads.refusal]
    told = []
    for side in refused:
        loads, which = answer.provenance[side].loads, ('first', 'second')[side]
        text = 'no TensorFlow loads the {} graph: {}'.format(which, loads.refusal)
        if loads.refusal.startswith(_loading.DOES_NOT_RUN):
            text = 'no TensorFlow runs the {} graph: {}'.format(which, loads.refusal)
        elif loads.refusal.startswith('TensorFlow ') or loads.releases:
            text = 'the {} graph does not load: {}'.format(which, loads.refusal)
        told.append(text)
        answer.causes.append(_cause.Cause('unloadable', text, 'result', option=loads.advice,
                                           scope='the {} graph'.format(which)))
    answer.verdict = NOT_COMPARABLE
    text = '; '.join(told)
    answer.reason = text[:1].upper() + text[1:] + '.'
    return answer


def _compare_weights(one, other, pairs):
    return _weights.Comparison(one, other, _weights.weights(one, one.final_order()),
                               _weights.weights(other, other.final_order()), pairs)


def _equivalent_reason(equivalence):
    parts = ['{} ({})'.format(name, counts[0] if counts[0] == counts[1] else '{} against {}'.format(*counts))
             for name, counts in equivalence.rules.items()]
    text = 'The same computation, provably'
    if parts:
        return '{}: {} rule{} needed.'.format(text, len(parts), ' was' if len(parts) == 1 else 's were')
    return '{}: only {} differ.'.format(text, ' and '.join(equivalence.always) or 'the way it is written')


def _decide(answer):
    """The verdict of graphs that are not the same computation."""
    if not answer.causes and answer.equivalence.structure_equal:
        answer.causes.append(_cause.Cause(
            'outputs', 'ends that nobody can fetch, or inputs that nothing reads, on one side only', 'cosmetic',
            scope='the graphs'))
    elif not answer.causes and not answer.weights.differing:
        answer.causes.append(_cause.Cause(
            'rewired', 'the same nodes, but loops, TensorArrays or inputs are wired to each other otherwise', 'result',
            scope='the graphs'))
    weights, context = answer.weights, answer.context
    explained = context.explained
    differing = [pair for pair in weights.differing
                 if pair.left not in explained[0] and pair.right not in explained[1]]
    reshaped = [pair for pair in weights.reshaped if pair.left not in explained[0] and pair.right not in explained[1]]
    only = [[node for node in nodes if node not in explained[side]]
            for side, nodes in enumerate((weights.only_left, weights.only_right))]
    folded = len(weights.differing) - len(differing) + len(weights.only_left) - len(only[0])
    fewer = [pair for pair in differing if pair.left in context.stored[0] or pair.right in context.stored[1]]
    differing = [pair for pair in differing if pair not in fewer]
    lossy = context.lossy[0] or context.lossy[1] or bool(context.computes[0]) != bool(context.computes[1])
    only = [[node for node in nodes if node not in context.stored[side]] for side, nodes in enumerate(only)]
    # Of weights that a transform made of others, how far they lie apart says nothing.
    told = set(differing + fewer)
    answer.differences = weights.differences([pair for pair in weights.differing if pair in told])
    paired = len(weights.equal) + len(weights.differing) + len(explained[0])
    most = max(weights.left, weights.right)
    equivalence = answer.equivalence
    if (not answer.graphs[0].named_outputs) and (not answer.graphs[1].named_outputs) and not most:
        left, right = ({graph.ops[node] for node in graph.final_order()} for graph in answer.graphs)
        if len(left & right) * 2 < max(len(left), len(right)):
            return _set(answer, NOT_COMPARABLE, 'The graphs have neither weights nor outputs nor most ops in common.')
    if equivalence.nothing_common:
        return _set(answer, NOT_COMPARABLE, _other_outputs(equivalence))
    if most and paired * 2 < max(1, min(weights.left, weights.right)):
        return _set(answer, NOT_COMPARABLE,
                    'Different models: of {} and {} weights only {} have a partner of the same shape.'.format(
                        weights.left, weights.right, paired))
    heads = _HEADS & (set(equivalence.outputs_left) ^ set(equivalence.outputs_right))
    if heads and (differing or reshaped or (only[0] and only[1])):
        return _set(answer, NOT_COMPARABLE,
                    'Different architectures: {} only on one side, and the weights differ.'.format(
                        _list(sorted(heads))))
    if lossy and not differing and not reshaped:
        return _set(answer, DIFFERENT_WEIGHTS, _fewer_bits(answer))
    if differing or reshaped:
        text = '{} of {} weights differ'.format(len(differing) + len(reshaped), most)
        if differing and answer.differences:
            text += ', by {:.3g} at most ({})'.format(answer.differences[0].largest, answer.differences[0].name)
        if reshaped:
            text += '; {} ha{} another shape'.format(len(reshaped), 's' if len(reshaped) == 1 else 've')
        structure = sum(1 for cause in answer.causes if cause.effect != 'weights')
        text += '; the graph around them is the same.' if not structure else '; the graph around them differs too.'
        _weights_cause(answer, differing, reshaped, only)
        return _set(answer, DIFFERENT_WEIGHTS, text)
    if only[0] and only[1]:
        return _set(answer, DIFFERENT_WEIGHTS, '{} weights are only in the first graph, {} only in the second.'.format(
            len(only[0]), len(only[1])))
    agree = len(weights.equal)
    if folded:
        text = 'All {} weights agree, {} bit for bit and {} after folding batch norms'.format(most, agree, folded)
    elif only[0] or only[1]:
        text = 'All weights that both have agree bit for bit ({}), {} more {} only in the {} graph'.format(
            agree, len(only[0]) or len(only[1]), 'are' if (len(only[0]) or len(only[1])) > 1 else 'is',
            'first' if only[0] else 'second')
    else:
        text = 'All {} weights agree bit for bit'.format(most)
    return _set(answer, SAME_WEIGHTS, '{}; {}.'.format(text, _main_cause(answer)))


def _other_outputs(equivalence):
    """The reason for graphs that have no output in common, and what to ask instead."""
    text = 'The graphs have no output in common: {} against {}.'.format(
        _list(equivalence.outputs_left), _list(equivalence.outputs_right))
    if equivalence.within:
        text += ' Both have {}: compare {} with  --outputs {}'.format(
            _list(equivalence.within), 'these' if len(equivalence.within) > 1 else 'that',
            ','.join(equivalence.within))
    return text


def _fewer_bits(answer):
    """The reason for graphs whose weights differ by how they are stored."""
    causes = [cause for cause in answer.causes if 'stored' in cause.detail or cause.kind == 'quantized.computation']
    text = '; '.join(cause.title for cause in causes) or '{} weights are stored in fewer bits'.format(
        len(answer.context.lossy[0]) + len(answer.context.lossy[1]))
    return text[:1].upper() + text[1:] + '.'


def _weights_cause(answer, differing, reshaped, only):
    count = len(differing) + len(reshaped)
    scopes = collections.Counter(row.name.split('/')[0] for row in answer.differences)
    detail = {'scopes': dict(scopes), 'differing': len(differing), 'reshaped': len(reshaped)}
    option = ''
    title = '{} weights have other values'.format(len(differing))
    if reshaped:
        title = '{}{} weights have another shape'.format(title + ' and ' if differing else '', len(reshaped))
        option = 'num_classes, or the architecture'
    if len(answer.checkpoint) == 2 and answer.checkpoint[0]['kind'] != answer.checkpoint[1]['kind']:
        title += ': {} against {}'.format(*(row['kind'] for row in answer.checkpoint))
        option = 'eval_config.use_moving_averages'
        detail['checkpoint'] = [row['kind'] for row in answer.checkpoint]
    kind = 'weights'
    alone = differing and not reshaped and not only[0] + only[1]
    grid = _transforms.rounded(answer.context, differing) if alone else None
    if grid:
        kind = 'rounded.weights'
        option = 'round_weights of the Graph Transform Tool, or quantize_weights with its steps folded'
        title = ('{} weights of the {} graph are the other\'s, rounded to a grid of at most {} values each, as '
                 'round_weights does').format(len(differing), ('first', 'second')[grid[0]], grid[1])
    cause = _cause.Cause(kind, title, 'weights', [pair.left for pair in differing + reshaped],
                          [pair.right for pair in differing + reshaped], option=option, detail=detail)
    cause.scope = ', '.join('{} ({})'.format(name, number) for name, number in scopes.most_common(3))
    answer.causes.insert(0, cause)
    return count


def _main_cause(answer):
    if not answer.causes:
        return 'the same nodes are wired otherwise'
    cause = answer.causes[0]
    more = len(answer.causes) - 1
    return cause.title + (' (and {} more cause{})'.format(more, 's' if more > 1 else '') if more else '')


def _list(names):
    names = list(names)
    return ', '.join(names[:4]) + (', …' if len(names) > 4 else '') if names else 'none'


def _set(answer, verdict, reason):
    answer.verdict, answer.reason = verdict, reason
    if verdict == NOT_COMPARABLE and answer.equivalence.nothing_common:
        answer.causes = [cause for cause in answer.causes if cause.kind == 'outputs']
        answer.differences = []
    elif verdict == NOT_COMPARABLE:
        # Node by node there is nothing to tell of two models; what tells them apart is what they are.
        told = [cause for cause in answer.causes if cause.kind.startswith('setting.') or cause.kind == 'outputs']
        rest = [cause for cause in answer.causes if cause not in told]
        nodes = [sorted({node for cause in rest for node in getattr(cause, side)}) for side in ('left', 'right')]
        ops = [collections.Counter(graph.ops[node] for node in graph.final_order()) for graph in answer.graphs]
        weights = answer.weights
        answer.causes = [_cause.Cause(
            'architecture', 'other architectures: {} and {} weights, {} and {} convolutions'.format(
                weights.left, weights.right, *(count['Conv2D'] + count['DepthwiseConv2dNative'] for count in ops)),
            'result', nodes[0], nodes[1], scope='the graphs', detail={'causes_not_told_apart': len(rest)})] + told
        answer.differences = []
