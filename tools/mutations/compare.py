"""Faults in ``compare/``: two graphs taken for one, one taken for two, weights paired wrongly, false words."""
from tools.mutations import Mutation

_TESTS = 'tests/compare/'
_APART = [_TESTS + 'test_neighbours.py::test_a_neighbour_stays_another']
_ONE = [_TESTS + 'test_neighbours.py::test_a_rule_makes_two_forms_one']
_REFUSED = [_TESTS + 'test_folding.py::test_what_tensorflow_refuses_is_not_worked_out']
_WORKED_OUT = [_TESTS + 'test_folding.py::test_what_can_be_worked_out_is']
_IDENTICAL = [_TESTS + 'test_identical.py']
_WEIGHTS = [_TESTS + 'test_weights.py']
_SESSIONS = ['tests/test_sessions.py']


def _rule(old, new, why, tests=None):
    return Mutation('compare/_rules.py', old, new, tests or _APART, why)


MUTATIONS = (
    # Rules without one of their conditions: a false "equivalent".
    _rule('if _scalar(graph, _through(graph, graph.inputs[node][5])) != 0:', 'if False:',
          'soft NMS is called equivalent to NMS that is not'),
    _rule("if attrs.get('pad_to_max_output_size', _FALSE) != _FALSE:", 'if False:',
          'padded NMS is called equivalent to NMS that is not'),
    _rule("!= 'NonMaxSuppressionV5' or (node, 2) in used or len", "!= 'NonMaxSuppressionV5' or len",
          'NMS V5 whose number of valid results is read is called V3'),
    _rule("if op == 'Div' and _graph.attr_type(graph.attrs[node], 'T') in _tensors.FLOATING:", "if op == 'Div':",
          'division of integers, which is rounded down, is called RealDiv'),
    _rule("if op == 'AddV2' and _graph.attr_type(graph.attrs[node], 'T') in _tensors.NUMERIC:", "if op == 'AddV2':",
          'Add of strings joins them'),
    _rule("graph.constant(-math.inf, _FLOAT)", "graph.constant(math.inf, _FLOAT)",
          'NMS without a threshold is called NMS that takes nothing'),
    _rule("not in ('FusedBatchNormV2', 'FusedBatchNormV3') or node in used:",
          "not in ('FusedBatchNormV2', 'FusedBatchNormV3'):", 'other outputs of batch norms differ between versions'),
    _rule(" and _graph.attr_type(attrs, 'U') == _FLOAT\n", "\n", 'statistics of another type are taken for floats'),
    _rule("\n                and attrs.get('is_training', _TRUE) == _FALSE):", "):",
          'batch norms in training are called those of inference'),
    _rule('if tensor is None or graph.controls[edge[0]] or tensor.size != 1', 'if tensor is None or tensor.size != 1',
          'a Const that may be dead counts as always there',
          [_TESTS + 'test_soundness_rules.py::test_a_const_that_is_dead_on_one_side_stays_on_that_side']),
    _rule("in _PASSING and not graph.controls[edge[0]] and graph.inputs[edge[0]]:",
          "in _PASSING and graph.inputs[edge[0]]:", 'what an Identity waits for is waited for no more'),
    _rule("if op in _PASSING and not graph.controls[node] and graph.inputs[node]:",
          "if op in _PASSING and graph.inputs[node]:", 'an Identity that waits for an Assert is left out'),
    _rule("if attrs.get('SrcT') == attrs.get('DstT'):", 'if True:', 'a Cast to another type is left out'),
    _rule("if tensor is not None and not tensor.shape and _scalar(graph, edge) == 1:",
          "if tensor is not None and _scalar(graph, edge) == 1:", 'times [1] makes a vector of a scalar'),
    _rule("((1, 0), (0, 1))[:1 if op != 'Mul' else 2]", "((1, 0), (0, 1))[:2]", '1 ÷ x is called x'),
    _rule(" or graph.controls[source] for source, port in graph.inputs[node]):",
          " for source, port in graph.inputs[node]):", 'a sum of a Const that may be dead is always there'),
    _rule("held.update(node for _, node, _ in graph.outputs if node in guarded)", "pass",
          'a Const that is a result is there on both sides of a conditional'),
    _rule(" or any(slot == -1 for _, slot in consumers[node])}", "}",
          'what waits for a Const of one side of a conditional waits for nothing'),
    _rule("if branch == _END or branch != _LOOP and control in decided}", "if branch != _LOOP and control in decided}",
          'a Const that is alive at the end of a loop only is alive in each iteration'),
    _rule("if op in ('Switch', 'RefSwitch') and port == branch[1] and \\", "if op in ('Switch', 'RefSwitch') and \\",
          'the other side of a conditional counts as the same'),
    _rule("stack.extend(graph.controls[source])", "stack.extend(graph.controls[source][:1])",
          'who waits for a group waits for one of it'),
    _rule("if _scalar(graph, _through(graph, graph.inputs[enter][0])) != 0:", 'if False:',
          'a counter that begins with 1 is left out'),
    _rule("if not _same_bound(graph, tests[0][3], tests[1][3]):", 'if False:',
          'of two tests with two bounds one is left out'),
    _rule("        if node in results:\n            return False\n", "", 'a counter that is asked for is left out'),
    _rule("if port:\n                break", "if False:\n                break",
          'which input a Merge took is called what it holds'),
    _rule("if not _is_shape_of(graph, graph.inputs[node][1], source):", 'if False:',
          'a softmax restored to another shape is called one'),
    _rule("return place is not None and place + 1 == _rank(graph, source)", "return place is not None",
          'a flattened softmax along another dimension is called one'),
    _rule("if _rank(graph, graph.inputs[node][0], ranks) != tensor.size:", 'if False:',
          'a permutation of three dimensions is one of any number'),
    _rule("if not numpy.array_equal(tensor.numbers(), numpy.arange(tensor.size)[::-1]):", 'if False:',
          'any permutation is one that reverses'),
    _rule("if not _is_length_of(graph, graph.inputs[mask][1], places):", 'if False:',
          'padding that is not masked away is left out of sight'),
    _rule("not in (0, -1):\n", "not in (0, 1):\n", 'padding along another axis is called that along the first'),
    _rule("_drop_attr(frozenset(['TensorArrayV3']), 'identical_element_shapes')",
          "_drop_attr(frozenset(['TensorArrayV3']), 'dynamic_size')", 'another attribute is set aside'),
    _rule("graph.inputs[node] = graph.inputs[node][:1] * 2", "graph.inputs[node] = graph.inputs[node][1:2] * 2",
          'the predicate of an Assert is no difference'),
    _rule("if name[:1] != '_'})", "if '_' not in name})", 'keep_dims is a hint'),
    # Constants worked out otherwise than TensorFlow does.
    Mutation('compare/_folding.py', 'if not -inputs[0].ndim - 1 <= int(inputs[1]) <= inputs[0].ndim:', 'if False:',
             _REFUSED, 'a graph that TensorFlow refuses is called equal to one that runs'),
    Mutation('compare/_folding.py', ' or (inputs[1] < 0).any()', '', _REFUSED, 'place -1 is called the last one'),
    Mutation('compare/_folding.py', 'begin < 0 or begin + max(size, 0) > length', 'begin < 0', _REFUSED,
             'a Slice beyond the end is called what numpy makes of it'),
    Mutation('compare/_folding.py', 'or (limit - start) * delta < 0 ', '', _REFUSED,
             'a Range that TensorFlow refuses is called empty'),
    Mutation('compare/_folding.py', "None if masks['end'] & bit else end", 'end', _WORKED_OUT,
             'a StridedSlice to the end stops where it says'),
    # Graphs that differ taken for identical ones.
    Mutation('compare/_equivalence.py', 'self.equal = equal and self._outputs_agree', 'self.equal = equal', _IDENTICAL,
             'graphs of which one has an output more are called equivalent'),
    Mutation('compare/_equivalence.py', 'if port != port_twin or one.names', 'if one.names', _IDENTICAL,
             'another output of one node is called the same'),
    Mutation('compare/_equivalence.py', 'if one.attrs[node] != other.attrs[twin]:', 'if False:', _IDENTICAL,
             'graphs whose attributes differ are called identical'),
    Mutation('compare/_equivalence.py', '(left is not None and left.digest != right.digest)', 'False', _IDENTICAL,
             'graphs of other weights are called identical'),
    Mutation('compare/_equivalence.py', "if {one.names[source] for source in one.controls[node]} != \\\n"
             "                {other.names[source] for source in other.controls[twin]}:", 'if False:', _IDENTICAL,
             'what waits for an Assert is called what does not'),
    # Weights.
    Mutation('compare/_weights.py', 'elif one.names[node] in there:', 'elif False:', _WEIGHTS,
             'two weights that were swapped count as equal'),
    Mutation('compare/_weights.py', 'return one.shape == other.shape and one.dtype == other.dtype',
             'return one.dtype == other.dtype', _WEIGHTS, 'weights of two shapes are subtracted'),
    Mutation('compare/_weights.py', "if users and all(graph.ops[user] == 'Identity'",
             "if users and any(graph.ops[user] == 'Identity'", _WEIGHTS, 'a constant counts as a weight'),
    Mutation('compare/_weights.py', 'apart[numpy.isnan(apart)] = numpy.inf', 'pass', _WEIGHTS,
             'a weight that is no number any more differs by nothing that is told'),
    # Running.
    Mutation('compare/_run.py', 'inter_op_parallelism_threads=1', 'inter_op_parallelism_threads=2', _SESSIONS,
             'TensorFlow 1.12 corrupts its heap'),
    Mutation('compare/_run.py', 'use_per_session_threads=True', 'use_per_session_threads=False', _SESSIONS,
             'an earlier session of the process says how many threads there are'),
    Mutation('compare/_run.py', 'config.graph_options.optimizer_options.opt_level = -1  # L0', 'pass', _SESSIONS,
             'constants are folded in one graph and not in the other'),
    Mutation('proof/_outputs.py', "for mode, config in ((OFF,", "config = object()\n    config.opt_level = -1\n    "
             "for mode, config in ((OFF,", _SESSIONS, 'another place switches the optimizers off', 'any'),
)
