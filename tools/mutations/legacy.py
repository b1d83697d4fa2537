"""Faults in the bridges to TensorFlow 2."""
from tools.mutations import Mutation

_TESTS = 'tests/test_bridges.py::'
_ORDER = _TESTS + 'test_bridges_are_put_on_in_their_order_once_and_taken_off_in_the_other_at_the_end'

MUTATIONS = tuple(Mutation('legacy/' + path, old, new, [test], why, 'any') for path, old, new, test, why in (
    ('__init__.py', '_take_off.pop()()', '_take_off.pop(0)()', _ORDER,
     'bridges are taken off below those on top of them'),
    ('__init__.py', '                _undo()\n                raise', '                raise',
     _TESTS + 'test_where_one_fails_those_before_it_are_taken_off', 'a bridge that fails leaves others on for good'),
    ('__init__.py', '        if not _uses:\n            try:', '        if True:\n            try:', _ORDER,
     'bridges are put on twice, and taken off once'),
    ('__init__.py', 'return all(_versions.at_least', 'return any(_versions.at_least',
     _TESTS + 'test_a_bridge_is_needed_where_every_version_is_met', 'bridges are put on where one version is met'),
    ('_versions.py', 'as_tuple(found) >= as_tuple(version)', 'found >= version',
     _TESTS + 'test_versions_are_compared_as_numbers', 'numpy 1.9 counts as later than 1.24'),
    ('_finder.py', 'if sys.modules.get(name) is module:', 'if name in sys.modules:',
     _TESTS + 'test_what_somebody_else_has_put_there_since_stays', "somebody else's module is taken away"),
    ('_finder.py', 'delattr(sys.modules[parent], last)', 'pass',
     _TESTS + 'test_a_finder_makes_what_it_has_and_takes_it_away_again', 'a stand-in stays where nobody expects it'),
    ('_contrib.py', "if name.startswith('__') or self.__name__ == _ROOT or full in _MODULES:", 'if False:',
     _TESTS + 'test_stand_ins_are_there_and_are_refused_when_they_are_called',
     'what asks for parts of contrib that are missing is told that they are there'),
    ('_numpy_aliases.py', 'if vars(np).get(name) is _ALIASES[name]:', 'if True:',
     _TESTS + 'test_names_of_numpy_that_are_gone_are_there_while_the_bridge_is_on',
     "another program's alias is taken away"),
    ('_numpy_aliases.py', 'if name not in vars(np)]', ']',
     _TESTS + 'test_names_of_numpy_that_are_gone_are_there_while_the_bridge_is_on', 'np.bool of numpy 2 is replaced'),
    ('_slim_folder.py', 'sys.path.append(folder)', 'sys.path.insert(0, folder)',
     _TESTS + 'test_slim_beside_the_object_detection_api_is_put_behind_everything_else_on_the_path',
     "slim's modules hide the user's own"),
    ('_legacy_layers.py', "and not _has_folder(package, 'legacy_tf_layers')]", ']',
     _TESTS + 'test_layers_that_have_moved_are_found_where_they_are_asked_for', 'layers that are there are replaced'),
    ('_old_protos.py', "value if isinstance(value, bytes) else value.encode('latin1')",
     "value if isinstance(value, bytes) else value.encode('utf-8')",
     _TESTS + 'test_the_descriptor_is_read_from_what_any_protoc_wrote', 'protos of before 2019 cannot be imported'),
    ('_old_protos.py', 'made_by <= version and version[0] - made_by[0] <= 1', 'made_by <= version',
     'tests/test_legacy.py::test_what_runs_is_known_from_the_text', 'protos are imported that protobuf refuses'),
)) + (
    Mutation('legacy/_moved_ops.py', 'if vars(module).get(name) is value:', 'if True:',
             [_TESTS + 'test_names_that_have_moved_are_where_they_were_while_the_bridge_is_on'],
             "another program's name is taken away", 'any'),
)
