"""Faults of ``od_patch/unfreeze/``."""
from tools.mutations import Mutation

_SMALL = 'tests/unfreeze/test_small.py::'
_TOOLS = 'tests/unfreeze/test_tools.py::'
_AGAIN = [_SMALL + 'test_what_was_a_variable_is_one_again_and_all_else_is_as_it_was']

MUTATIONS = [
    Mutation('unfreeze/_recovered.py', "name = graph.names[node] if node in read else _READ.sub('', _FOLDED.sub('', graph.names[node]))",
             'name = graph.names[node]', _AGAIN, 'a Const that was folded into its reader keeps the name of that'),
    Mutation('unfreeze/_recovered.py', 'for node in sorted(read | _placed(graph, order)):', 'for node in sorted(read):', _AGAIN,
             'what no Identity reads is no variable'),
    Mutation('unfreeze/_recovered.py', 'source = _storage.plain(graph, graph.inputs[node][slot])',
             'source = graph.inputs[node][slot][0]', [_TOOLS + 'test_what_is_written_computes_the_same_or_nothing_is'],
             'a weight under another name is not found behind its Identity'),
    Mutation('unfreeze/_recovered.py', '        if not graph.controls[node]:', '        if True:',
             [_SMALL + 'test_a_constant_that_waits_for_a_branch_stays_one'], 'a Const of a branch becomes a variable'),
    Mutation('unfreeze/_recovered.py', "    if how or narrow:", '    if how:',
             [_SMALL + 'test_what_cannot_be_unfrozen_is_refused_in_words_and_nothing_is_written'],
             'half precision that is used as it is becomes variables'),
    Mutation('unfreeze/_recovered.py', ".rpartition('/')[:2])", ".partition('/')[:2])", _AGAIN,
             'of two scopes one is left'),
    Mutation('unfreeze/_unfreeze.py', "made.node[-1].attr.pop('_class', None)", 'pass',
             [_SMALL + 'test_a_graph_that_does_not_load_for_a_hint_does_then'],
             'a node is to be placed beside one that is gone'),
    Mutation('unfreeze/_unfreeze.py', 'if one.node not in answered]', ']',
             [_SMALL + 'test_a_weight_that_is_an_output_stays_a_constant'], 'an output is the variable itself'),
    Mutation('unfreeze/_unfreeze.py', 'and check.name not in fails]', ']',
             [_TOOLS + 'test_what_is_written_computes_the_same_or_nothing_is'],
             'a frozen graph that fails by itself cannot be unfrozen'),
    Mutation('unfreeze/_unfreeze.py', '        if wrong:', '        if False:',
             [_SMALL + 'test_what_is_wrong_is_not_moved_into_place'], 'what is wrong is moved into place'),
    Mutation('unfreeze/_unfreeze.py', '        if there and not overwrite:', '        if False:',
             [_SMALL + 'test_an_export_that_is_there_is_replaced_only_where_that_is_asked'], 'an export that is there is replaced'),
    Mutation('unfreeze/_unfreeze.py', "        _staging.check_not_read(output_directory, [frozen.source.file])",
             '        pass', [_SMALL + 'test_the_graph_that_is_read_is_never_replaced'],
             'the graph that is read is replaced, and may be all that somebody has'),
    Mutation('unfreeze/_unfreeze.py', 'shape.SetInParent()', 'pass', [_SMALL + 'test_a_scalar_is_a_variable_of_no_dimensions'],
             'the shape of a scalar is unknown'),
    Mutation('serving/_publish.py', 'if frozen and gfile.Exists(frozen):', 'if False:',
             [_SMALL + 'test_what_needs_a_saved_model_says_what_makes_one'], 'who has a frozen graph is not told what to do'),
    Mutation('export/_export.py', '_staging.check_not_read(request.output_directory, _checkpoint.files(prefix), parts)', 'pass',
             ['tests/test_artifacts.py::test_an_export_that_writes_no_checkpoint_leaves_the_one_that_it_reads'],
             'an export into the folder of its checkpoint removes the checkpoint'),
]
