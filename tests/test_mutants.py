"""The table of planted faults fits today's code, and its runner tells a test that notices from one that does not."""
import os
import re

import pytest

from tools import mutants
from tools import mutations

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# A fault that any test of the version notices, and the tests that do, do not, or cannot say.
_FAULT = dict(path='_version.py', old="__version__ = '", new="__version__ = 'x", why='a version that nothing else has')
_NOTICES = 'tests/test_project.py::test_the_changelog_begins_with_this_version'
_LOOKS_AWAY = 'tests/test_project.py::test_every_refusal_is_in_the_public_api'


@pytest.mark.parametrize('row', mutants.table(), ids=lambda row: '{}: {}'.format(row.path, row.why))
def test_a_row_fits_the_code_and_names_tests_that_are_there(row):
    assert mutants.mutated(row)
    assert row.tests and row.why and row.on in ('tf1', 'tf2', 'any')
    for test in row.tests:
        path, _, name = test.partition('::')
        with open(os.path.join(_ROOT, path), encoding='utf-8') as module:
            text = module.read()
        if name:
            function = name.split('[')[0].split('::')[-1]
            assert re.search(r'def {}\('.format(function), text), test


def test_no_fault_is_in_the_table_twice():
    rows = [(row.path, row.old, row.new) for row in mutants.table()]
    assert len(rows) == len(set(rows))


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('copy'))
    mutants.copy_of_the_project(folder)
    return folder


@pytest.mark.parametrize('tests, verdict', [
    ([_LOOKS_AWAY, _NOTICES], 'caught'), ([_LOOKS_AWAY], 'survived'),
    (['tests/test_project.py::no_such_test'], 'no verdict')])
def test_the_runner_says_what_the_tests_said_and_takes_the_fault_out_again(copy, tests, verdict):
    assert mutants.verdict_on(mutations.Mutation(tests=tests, on='any', **_FAULT), copy)[0] == verdict
    with open(os.path.join(copy, 'od_patch', '_version.py')) as mutated, \
            open(os.path.join(_ROOT, 'od_patch', '_version.py')) as right:
        assert mutated.read() == right.read()


@pytest.mark.parametrize('change, words', [
    (dict(path='_no_such_module.py'), 'cannot be read'),
    (dict(old='no such text'), 'has .* 0 times'),
    (dict(old='_'), r'has .* \d+ times'),
    (dict(new="__version__ = = '"), 'is no Python'),
    (dict(new="__version__ =  '"), 'means the same')])
def test_a_row_that_does_not_fit_is_refused_in_words(change, words):
    with pytest.raises(ValueError, match=words):
        mutants.mutated(mutations.Mutation(tests=[_NOTICES], on='any', **dict(_FAULT, **change)))


def test_the_sample_of_a_commit_is_always_the_same_and_of_the_size_asked_for():
    pairs = list(enumerate(range(500)))
    drawn, commit = mutants.sample(pairs, 20)
    assert (drawn, commit) == mutants.sample(pairs, 20) and len(set(drawn)) == 20 and re.match('[0-9a-f]{40}$', commit)


def test_a_word_that_names_no_row_is_refused():
    with pytest.raises(SystemExit, match='no row of the table'):
        mutants.main(['no_such_room', '--list'])
