"""docs/serving.md says what was found and measured, and the readers' judge tells right from wrong."""
import collections
import importlib
import json

import numpy
import pytest

from tools import readers

pytestmark = pytest.mark.once


@pytest.mark.parametrize('folder, name', [('tools', 'readers'), ('benchmarks', 'serving_load')])
def test_the_tables_are_those_of_the_runs_that_are_committed(folder, name):
    module = importlib.import_module('{}.{}'.format(folder, name))
    with open(module.RESULTS) as file:
        results = json.load(file, object_pairs_hook=collections.OrderedDict)
    with open(module.DOCUMENT, encoding='utf-8') as file:
        text = file.read()
    assert module.in_document(text, results) == text


def outputs(classes, scores, moved=0.0):
    boxes = numpy.array([[[0.1 * n, 0.2, 0.1 * n + 0.3, 0.6] for n in range(len(classes))]]) + moved
    return {'detection_classes': numpy.array([classes]), 'detection_scores': numpy.array([scores]),
            'detection_boxes': boxes, 'num_detections': numpy.array([len(classes)])}


@pytest.mark.parametrize('found, problem', [
    (outputs([1, 2, 3], [0.9, 0.8, 0.2]), ''),
    (outputs([2, 1, 3], [0.8, 0.9, 0.2], 0.0), 'boxes or scores are off by 0.1'),  # the places of the two are exchanged
    (outputs([1, 2, 4], [0.9, 0.8, 0.1]), ''),  # nobody is sure of the third
    (outputs([1, 3, 3], [0.9, 0.8, 0.2]), 'finds [1, 3] and not [1, 2]'),
    (outputs([1, 2, 3], [0.9, 0.8, 0.7]), 'finds [1, 2, 3] and not [1, 2]'),
    (outputs([1, 2, 3], [0.9, 0.7, 0.2]), 'boxes or scores are off by 0.1'),
    (outputs([1, 2, 3], [0.9, 0.8, 0.2], 0.05), 'boxes or scores are off by 0.05'),
    ({'x': 1}, 'gives no detection_scores (but x)'),
    (outputs([1, 2], [0.1, 0.1]), 'finds [] and not [1, 2]'),
])
def test_a_reader_that_finds_something_else_has_not_read_it(found, problem):
    told = readers.judge(outputs([1, 2, 3], [0.9, 0.8, 0.2]), found)
    assert told.startswith(problem) and bool(told) == bool(problem)


def test_a_model_that_finds_nothing_proves_nothing():
    nothing = outputs([1, 2], [0.1, 0.1])
    assert readers.judge(nothing, nothing)
