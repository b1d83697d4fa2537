"""What compare says of graphs that tools have rewritten agrees with what running both graphs says."""
import functools
import re

import numpy as np
import pytest

from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.compare import _verdict
from od_patch.graphs import _sessions
from tests.compare import graphs
from tests.compare import tools

pytestmark = [pytest.mark.once, tools.NEEDS_TRANSFORMS]

# What a cause says when it names a revision of the OD API.
REVISION = re.compile(r'\b[0-9a-f]{8}\b|OD API|revision|post_processing\.py|preprocessor\.py|slim')


@functools.lru_cache(maxsize=None)
def images(graph):
    random = np.random.RandomState(5)
    return [random.randint(0, 255, (batch, 16, 16, 3)).astype('f4' if graph == 'network' else 'u1') for batch in (1, 2)]


def values(graph_def, image, outputs, graph):
    """What the outputs are for batches of one and two, optimizers off, one thread; the error where it does not load."""
    tf = _tensorflow.tf1()
    with tf.Graph().as_default() as made:
        try:
            tf.import_graph_def(graph_def, name='')
        except (ValueError, KeyError, tf.errors.OpError) as error:
            return str(error)
        with tf.Session(graph=made, config=_sessions.unoptimized_config()) as session:
            try:
                return [session.run([name + ':0' for name in outputs], {image + ':0': fed}) for fed in images(graph)]
            except tf.errors.OpError:
                return []  # it loads, and computes nothing: equal to no result


def truth(graph_def, graph, image, outputs, origin):
    """'equal', 'unequal', 'does not load', or 'other outputs', as running both says."""
    names = {node.name for node in graph_def.node}
    if 'model/' + image in names and image not in names:
        image, outputs = 'model/' + image, ['model/' + name for name in outputs]
    if not set(outputs + [image]) <= names:
        return 'other outputs'
    found = values(graph_def, image, outputs, graph)
    if isinstance(found, str):
        return 'does not load'
    same = len(found) == len(origin) and all(map(graphs.equal, origin, found))
    return 'equal' if same else 'unequal'


@functools.lru_cache(maxsize=None)
def origin_of(graph):
    build, image, outputs = tools.GRAPHS[graph]
    return values(build(), image, outputs, graph)


def hold(row, folder, build, image, outputs, origin):
    """Asserts what the row says of the graph that ``build`` makes, in both directions."""
    one = graphs.write(folder / 'one.pb', build())
    made = row.make(build(), image, outputs)
    other = graphs.write(folder / 'other.pb', made)
    told = truth(made, row.graph, image, outputs, origin)
    for left, right in ((one, other), (other, one)):
        try:
            answer = _verdict.compare(left, right)
        except InputRefused as refusal:
            assert row.verdict == 'refused' and told == 'does not load', str(refusal)
            assert row.named in str(refusal)
            continue
        said = [(cause.kind, cause.title, cause.revision, cause.option) for cause in answer.causes]
        assert answer.verdict == row.verdict, (answer.reason, said)
        assert (answer.exit_code == 0) == (row.verdict in (tools.IDENTICAL, tools.EQUAL))
        if answer.exit_code == 0:
            assert told == 'equal'
        if told == 'does not load':
            assert answer.verdict == tools.NOT and answer.causes[0].kind == 'unloadable'
        kinds = {cause.kind for cause in answer.causes}
        # An export has ends of its own beside those that a tool was told of.
        assert kinds - ({'outputs'} if row.graph == 'ssd' else set()) == set(row.causes) - (
            {'outputs'} if row.graph == 'ssd' else set()), said
        for cause in answer.causes:
            assert not REVISION.search(cause.title + ' ' + cause.revision), said
            assert not cause.kind.endswith('.revision'), said
            assert cause.effect != 'cosmetic' or told in ('equal', 'other outputs') or len(answer.causes) > 1, said
        assert row.named is None or any(row.named in ' '.join(text) for text in said), said


@pytest.mark.parametrize('row', tools.ROWS, ids=[row.graph + '-' + row.name for row in tools.ROWS])
def test_the_verdict_agrees_with_running_both(tmp_path, row):
    hold(row, tmp_path, *tools.GRAPHS[row.graph] + (origin_of(row.graph),))


@pytest.fixture(scope='module')
def ssd(upstream_export):
    """(builder, input, outputs, their values) of one real export."""
    from tensorflow.core.framework import graph_pb2
    with open(upstream_export('ssd') + '/frozen_inference_graph.pb', 'rb') as file:
        data = file.read()
    outputs = [node.name for node in graph_pb2.GraphDef.FromString(data).node
               if node.name.startswith(('detection_', 'num_detections'))]
    outputs = ['detection_boxes', 'detection_scores'] + sorted(set(outputs) - {'detection_boxes', 'detection_scores'})
    return (lambda: graph_pb2.GraphDef.FromString(data), 'image_tensor', outputs,
            values(graph_pb2.GraphDef.FromString(data), 'image_tensor', outputs, 'ssd'))


@pytest.mark.parametrize('row', tools.EXPORT_ROWS, ids=[row.name for row in tools.EXPORT_ROWS])
def test_the_verdict_agrees_with_running_both_on_an_export(tmp_path, ssd, row):
    hold(row, tmp_path, *ssd)


def test_the_table_has_its_rows_and_they_are_all_other_ones():
    names = [(row.graph, row.name) for row in tools.ROWS + tools.EXPORT_ROWS]
    assert len(names) == len(set(names)) > 100
