"""Faults in what is for models of TensorFlow 2."""
from tools.mutations import Mutation

_HALVES = 'tests/tf2/test_halves.py::'
_PLACES = _HALVES + 'test_both_are_of_one_half_or_refused'

MUTATIONS = tuple(Mutation(path, old, new, [test], why, 'any') for path, old, new, test, why in (
    ('checkpoint/_objects.py', "return GRAPH in names and any(", 'return any(',
     _HALVES + 'test_a_checkpoint_of_objects_is_known_by_its_index', 'a checkpoint is taken for one of TensorFlow 2'),
    ('tf2/_pair.py', 'if of_objects and of_config == 1:', 'if False:', _PLACES,
     'a checkpoint of TensorFlow 2 is exported with a config of TensorFlow 1, and fails after the graph'),
    ('tf2/_pair.py', 'if of_config == 2 and of_objects is False:', 'if False:', _PLACES,
     'a model of TensorFlow 2 is built for a checkpoint that has none of its variables'),
    ('tf2/_pair.py', 'return 2 if of_config == 2 or of_objects else 1', 'return 2 if of_config == 2 else 1', _PLACES,
     'a model of the user\'s own with a checkpoint of TensorFlow 2 goes to the exporter of TensorFlow 1'),
    ('config/_half.py', "model.extractor in second and model.extractor not in first:", "model.extractor in first:",
     _HALVES + 'test_every_extractor_that_only_tensorflow_2s_registry_has_is_its', 'the halves are mixed up'),
    ('config/_half.py', 'if asks else (frozenset(found[1]), frozenset())', '',
     _HALVES + 'test_what_is_in_one_half_depends_on_the_release', 'releases of 2019 do not export their Keras models'),
))
