"""One function makes the sessions whose graph optimizers are off, on a thread of their own; no other place does.

Where operations run at once, TensorFlow 1.12 mixes up images and corrupts its heap (docs/verify.md), whatever the
optimizers. So no place of od-patch but that one says how a session is made.
"""
import io
import os
import re
import tokenize

import pytest

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_WORDS = ('opt_level', 'L0', 'L1', 'optimizer_options', 'rewrite_options', 'OptimizerOptions', 'RewriterConfig',
          'rewriter_config_pb2', 'disable_meta_optimizer', 'set_experimental_options', 'do_constant_folding')
_SWITCH = re.compile(r'\b({})\b'.format('|'.join(_WORDS)))
# Where the words may stand: the one function, and where Grappler itself works on a graph, in no session.
_ALLOWED = {
    'od_patch/graphs/_sessions.py': ('unoptimized_config', {'optimizer_options', 'opt_level', 'rewrite_options',
                                                        'disable_meta_optimizer'}),
    # A restored model of TensorFlow 2 beside its export, both without them.
    'od_patch/graphs/_models.py': ('run_eagerly', {'set_experimental_options', 'disable_meta_optimizer'}),
    # Grappler's one pass that inlines calls, by itself; nothing is run.
    'od_patch/tf2/_flat.py': ('inlined', {'rewriter_config_pb2', 'RewriterConfig', 'rewrite_options'}),
    # Of TensorFlow 2, whose functions keep their threads: without it, a loaded signature is another graph for each export.
    'tests/support/parity.py': ('without_grappler', {'set_experimental_options', 'disable_meta_optimizer'}),
    'tests/compare/pairs.py': ('TRANSFORM', {'rewriter_config_pb2', 'RewriterConfig'}),
    'tests/compare/tools.py': ('grappler', {'rewriter_config_pb2', 'RewriterConfig'})}


def switches(text):
    """Set of the words in Python code that switch optimizers off; those of its strings count, of comments do not."""
    found = set()
    if not _SWITCH.search(text):
        return found
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        statement = previous in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL)
        if token.type == tokenize.NAME or token.type == tokenize.STRING and not statement:  # a docstring only tells
            found.update(_SWITCH.findall(token.string))
        if token.type != tokenize.COMMENT:
            previous = token.type
    return found


def _without(text, name):
    """Code without the function, or the assignment, of a name at its outermost level."""
    taken = re.compile(r'^(def {0}\(|{0} = )'.format(name))
    kept, skipping, quoted = [], False, False
    for line in text.splitlines(keepends=True):
        if quoted:
            quoted = "'''" not in line
            continue
        if taken.match(line):
            skipping, quoted = True, line.count("'''") == 1
            continue
        if skipping and line[:1].strip():
            skipping = False
        if not skipping:
            kept.append(line)
    assert len(kept) < len(text.splitlines()), name
    return ''.join(kept)


def _sources():
    """Paths of all modules, as seen from the root of the repository."""
    found = [name for name in os.listdir(_ROOT) if name.endswith('.py')]
    for room in ('od_patch', 'tests', 'tools', 'benchmarks', 'examples', '.ci'):
        for folder, _, names in os.walk(os.path.join(_ROOT, room)):
            found += [os.path.relpath(os.path.join(folder, name), _ROOT) for name in names if name.endswith('.py')]
    return sorted(name for name in found if not name.startswith('tools/mutations/'))  # which quote such lines


def test_no_other_place_switches_the_optimizers_off():
    sources = _sources()
    assert {'benchmarks/_task.py', 'tests/support/parity.py', 'examples/shapes/detector.py', 'tools/readers.py',
            'od_patch/proof/_outputs.py'} <= set(sources)
    found = {}
    for name in sources:
        with open(os.path.join(_ROOT, name), encoding='utf-8') as file:
            text = file.read()
        if name == 'tests/' + os.path.basename(__file__):
            continue
        if name in _ALLOWED:
            where, words = _ALLOWED[name]
            assert switches(text) == words
            text = _without(text, where)
        if switches(text):
            found[name] = switches(text)
    assert not found, 'use od_patch.graphs._sessions.unoptimized_config, which has one thread: {}'.format(found)


@pytest.mark.parametrize('line', [
    'config.graph_options.optimizer_options.opt_level = -1', 'x = OptimizerOptions.L0', 'a = b.rewrite_options',
    'tf.Session(config=tf.ConfigProto(graph_options=tf.GraphOptions(rewrite_options=off)))',
    'from tensorflow.core.protobuf import rewriter_config_pb2', 'RewriterConfig(constant_folding=2)',
    'r.disable_meta_optimizer = True', 'tf.config.optimizer.set_experimental_options({})',
    "setattr(rewrites, 'disable_meta_optimizer', True)", "run(['-c', 'c.opt_level = -1'])"])
def test_a_place_that_does_is_noticed(line):
    assert switches('def f():\n    """Docstring."""\n    {}\n'.format(line))
    assert not switches('def f():\n    """{0}"""\n    # {0}\n    return 1\n'.format(line.replace('"', "'")))


def test_every_session_of_the_product_is_given_one_of_its_configs():
    """Without one, TensorFlow's own counts, which runs operations at once."""
    made = re.compile(r'\b(?:ConfigProto|Session)\(.*')
    found = []
    for name in _sources():
        if name.startswith('od_patch' + os.sep):
            with open(os.path.join(_ROOT, name), encoding='utf-8') as file:
                found += [(name, call) for call in made.findall(file.read())]
    without = [(name, call) for name, call in found if 'config=' not in call]
    assert len(found) > 3 and {name for name, _ in without} == {
        'od_patch/graphs/_sessions.py', 'od_patch/tf2/_flat.py', 'od_patch/serving/_triton_model.py'}
    # Triton's own program runs on current TensorFlows alone.
    assert {call.partition('(')[0] for name, call in without if 'triton' not in name} == {'ConfigProto'}


@pytest.fixture(scope='module')
def config():
    pytest.importorskip('tensorflow')
    from od_patch.graphs import _sessions
    return _sessions.unoptimized_config()


def test_such_a_session_has_one_thread_of_its_own(config):
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (1, 1)
    assert config.use_per_session_threads is True
    assert not config.session_inter_op_thread_pool  # pools that are named count and not the number above


def test_every_optimizer_is_off_in_it(config):
    assert config.graph_options.optimizer_options.opt_level == -1
    rewrites = config.graph_options.rewrite_options
    toggles = [field.name for field in rewrites.DESCRIPTOR.fields
               if field.enum_type is not None and field.enum_type.name == 'Toggle']
    assert len(toggles) > 5 and {getattr(rewrites, name) for name in toggles} == {type(rewrites).OFF}
    assert rewrites.disable_meta_optimizer is True


def test_a_graph_is_run_as_it_is_written(config):
    """What the executor got: with the defaults, the sum of two constants is not in it any more."""
    from od_patch import _tensorflow
    tf = _tensorflow.tf1()

    def executed(given):
        with tf.Graph().as_default() as graph, tf.Session(graph=graph, config=given) as session:
            x = tf.placeholder(tf.float32, [2], name='x')
            with tf.device('/cpu:0'):
                y = tf.multiply(x, tf.add(tf.constant([1., 2.]), tf.constant([3., 4.]), name='sum'), name='y')
            metadata = tf.RunMetadata()
            session.run(y, {x: [1., 1.]}, tf.RunOptions(output_partition_graphs=True), metadata)
            return {node.name: node.op for part in metadata.partition_graphs for node in part.node}
    assert executed(config)['sum'] in ('Add', 'AddV2')
    assert executed(tf.ConfigProto()).get('sum') not in ('Add', 'AddV2')


@pytest.mark.parametrize('version, one', [
    ('1.10.1', False), ('1.11.0', True), ('1.11.0-rc2', True), ('1.12.0', True), ('1.12.3', True), ('1.13.1', False),
    ('1.15.5', False), ('2.12.0', False), ('2.1.0', False)])
def test_operations_run_one_at_a_time_where_they_mix_up_images(monkeypatch, version, one):
    pytest.importorskip('tensorflow')
    from od_patch import _tensorflow
    from od_patch.graphs import _sessions
    monkeypatch.setattr(_tensorflow, 'versions', lambda: (version, 'unknown'))
    config = _sessions.default_config()
    assert (config.inter_op_parallelism_threads, config.use_per_session_threads) == ((1, True) if one else (0, False))
    assert config.intra_op_parallelism_threads == 0 and not config.HasField('graph_options')


def test_images_of_a_batch_are_not_mixed_up():
    """Boxes of many images, each with its own answer; where the kernel mixes them up, this aborts or fails at once."""
    pytest.importorskip('tensorflow')
    import numpy as np
    from od_patch import _tensorflow
    from od_patch.graphs import _sessions
    tf = _tensorflow.tf1()
    corners = np.random.RandomState(3).uniform(0, 1, (64, 200, 2)).astype('f4')
    boxes = np.concatenate([corners, corners + .1], 2)
    scores = np.random.RandomState(4).uniform(0, 1, (64, 200)).astype('f4')
    with tf.Graph().as_default() as graph:
        given = tf.placeholder(tf.float32, boxes.shape)
        chosen = tf.map_fn(
            lambda one: tf.image.non_max_suppression(one[0], one[1], 20, .5),
            (given, tf.constant(scores)), dtype=tf.int32, parallel_iterations=32)
    with tf.Session(graph=graph, config=_sessions.default_config()) as session:
        answers = [session.run(chosen, {given: boxes}) for _ in range(5)]
        alone = [session.run(chosen, {given: np.repeat(boxes[i:i + 1], 64, 0)})[i] for i in range(0, 64, 16)]
    for answer in answers:
        np.testing.assert_array_equal(answer, answers[0])
    np.testing.assert_array_equal(answers[0][::16], alone)
