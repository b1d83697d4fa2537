"""Faults in ``--target_tf``: what is put back to ops of an earlier TensorFlow, and what is refused."""
from tools.mutations import Mutation

_TESTS = 'tests/test_lowering.py::'
_BATCH_NORM = _TESTS + 'test_a_batch_norm_is_put_back_unless_its_sixth_output_is_used'
_SUPPRESSION = _TESTS + 'test_a_suppression_is_put_back_where_the_earlier_op_does_the_same'
_OUTPUTS = _TESTS + 'test_the_outputs_that_the_earlier_suppression_lacks_are_computed_where_they_are_read'
_ATTRIBUTE = _TESTS + 'test_an_attribute_that_a_release_lacks_goes_where_it_has_its_default_value'
_BOTH_SIDES = _TESTS + 'test_an_op_is_put_back_for_a_release_that_lacks_it_and_no_other'

MUTATIONS = (
    Mutation('graphs/_op_table.py', '(?:[.+_-]?[0-9A-Za-z])*', '', [
        _TESTS + 'test_a_release_is_known_by_its_first_two_numbers'], '--target_tf=1.12.3 is refused', 'any'),
) + tuple(Mutation('saved_model/_lowering.py', old, new, [test], why, 'any') for old, new, test, why in (
    ("if _is_read(graph_def, node.name + ':5'):", "if _is_read(graph_def, node.name + ':6'):", _BATCH_NORM,
     'an output that FusedBatchNormV2 lacks is read, and the model does not load'),
    ("if node.attr['is_training'].b:", "if False and node.attr['is_training'].b:",
     _TESTS + 'test_a_batch_norm_that_trains_is_refused', 'a batch norm that trains computes something else'),
    ("sigma is None or sigma.op != 'Const' or _number(sigma) != 0", "sigma is None or sigma.op != 'Const'",
     _SUPPRESSION, 'soft non-maximum suppression becomes a hard one'),
    ("sigma.op != 'Const' or _number(sigma) != 0", "sigma.op == 'Const' and _number(sigma) != 0", _SUPPRESSION,
     'a sigma that is computed counts as 0'),
    ("return 'its output is padded' if node.attr['pad_to_max_output_size'].b else None", 'return None', _SUPPRESSION,
     'padding of the selected boxes is lost'),
    ('default is not None and node.attr[name].SerializeToString(deterministic=True) == default',
     'default is not None', _ATTRIBUTE, 'attributes that a release lacks go whatever they say'),
    ('[node for function in graph_def.library.function for node in function.node_def]', '[]',
     _ATTRIBUTE, 'functions of the graph are not measured against the release'),
    ('ops[node.op].since > target >= ops[rule.op].since', 'ops[node.op].since >= target >= ops[rule.op].since',
     _BOTH_SIDES, 'ops that the release has are put back, too'),
    ('ops[node.op].since > target >= ops[rule.op].since', 'ops[node.op].since > target', _BOTH_SIDES,
     'an op is put back to one that the release lacks as well'),
    ("renamed[node.name + ':1'] = gather.name", "renamed[node.name + ':1'] = scores", _OUTPUTS,
     'scores of all boxes stand for those of the selected ones'),
    ("op='Const', input=sigma.input)", "op='Const')",
     _TESTS + 'test_what_is_added_waits_for_what_the_suppression_waits_for',
     'inside a loop, a constant outside of it: the model does not load'),
    ("while name in by_name:\n        name += '_'", "pass",
     _TESTS + 'test_names_that_are_taken_are_not_taken_twice', 'two nodes of one name: the model does not load'),
    ("gather.attr['Tparams'].type = node.attr['T'].type or types_pb2.DT_FLOAT",
     "gather.attr['Tparams'].type = types_pb2.DT_FLOAT", _TESTS + 'test_scores_of_half_precision_stay_so',
     'a model of half precision does not load'),
))
