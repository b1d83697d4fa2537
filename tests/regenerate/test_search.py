"""Which candidate is tried next, on histories that are drawn: values in, values out."""
import hypothesis
import hypothesis.strategies as st
import pytest

from od_patch.regenerate import _search

pytestmark = pytest.mark.once


def _history(length, changes, wanted):
    """(ask, asked): a history that changes its graph at some positions, and that of ``wanted`` is the shipped one."""
    graphs = [sum(change <= position for change in changes) for position in range(length)]
    asked = []

    def ask(position):
        asked.append(position)
        away = abs(graphs[position] - graphs[wanted])
        return _search.Outcome((0 if not away else 2, away, 0), graphs[position])
    return ask, asked


@hypothesis.given(st.integers(1, 120), st.data())
def test_the_wanted_graph_is_found_wherever_it_lies(length, data):
    changes = data.draw(st.sets(st.integers(1, 119), max_size=8))
    wanted, first = (data.draw(st.integers(0, length - 1)) for _ in range(2))
    ask, asked = _history(length, changes, wanted)
    found = _search.along(length, ask, first, _search.IDENTICAL, length)
    assert _search.distance(found[_search.nearest(found)])[0] == _search.IDENTICAL
    assert len(asked) == len(set(asked)) == len(found)


def test_one_change_in_a_thousand_takes_a_dozen_exports():
    ask, asked = _history(1000, {357, 358}, 357)
    found = _search.along(1000, ask, 999, _search.IDENTICAL, 1000)
    assert _search.nearest(found) == 357 and len(asked) <= 14


def test_between_two_equal_graphs_nothing_is_tried():
    asked = []

    def ask(position):
        asked.append(position)
        return _search.Outcome((2, 5, 0), 'one')
    _search.along(100, ask, 0, _search.IDENTICAL, 100)
    assert sorted(asked) == [0, 99]


@hypothesis.given(st.integers(3, 60), st.data())
def test_candidates_that_fail_are_stepped_over(length, data):
    wanted = data.draw(st.integers(0, length - 1))
    failing = data.draw(st.sets(st.integers(0, length - 1), max_size=length)) - {wanted}

    def ask(position):
        if position in failing:
            return _search.Outcome(None, ('failed', position))
        return _search.Outcome((0 if position == wanted else 2, abs(position - wanted), 0), position)
    found = _search.along(length, ask, length // 2, _search.IDENTICAL, length)
    assert _search.nearest(found) == wanted


def test_no_more_candidates_are_asked_than_allowed():
    asked = []

    def ask(position):
        asked.append(position)
        return _search.Outcome((2, position + 1, 0), position)
    _search.along(500, ask, 250, _search.IDENTICAL, 7)
    assert len(asked) == 7


def _two_axes(state, tensorflow, python, states=40, others=('1.10', '1.11', '1.12', '1.13')):
    """(axes, ask, asked): identical is one state on one TensorFlow under one Python alone; other names all else."""
    asked = []
    axes = [[(other, kind) for other in others] for kind in ('3.6', '2.7')]

    def ask(position, place):
        asked.append((position, place))
        names = 10 * abs(others.index(place[0]) - others.index(tensorflow)) + 100 * (place[1] != python)
        away = abs(position - state)
        return _search.Outcome((2, away, names) if away > 3 else (1, 0, names + away) if names + away else (0, 0, 0),
                               (position, place))
    return axes, ask, asked


@pytest.mark.parametrize('state', [0, 11, 39])
@pytest.mark.parametrize('tensorflow', ['1.10', '1.12', '1.13'])
def test_state_and_tensorflow_are_found_together(state, tensorflow):
    axes, ask, asked = _two_axes(state, tensorflow, '3.6')
    assert _search.find(40, 20, axes, 1, ask, 60) == (state, (tensorflow, '3.6'))
    assert len(asked) == len(set(asked)) <= 25


def test_another_python_is_tried_last():
    axes, ask, asked = _two_axes(11, '1.12', '2.7')
    assert _search.find(40, 20, axes, 1, ask, 60) == (11, ('1.12', '2.7'))
    assert asked[-1] == (11, ('1.12', '2.7')) and sum(place[1] == '2.7' for _, place in asked) == 1


def test_where_identical_cannot_be_had_equivalent_is_enough():
    axes, ask, hopeful = _two_axes(11, '1.12', '2.7')
    _search.find(40, 20, axes[:1], 1, ask, 60)
    axes, ask, asked = _two_axes(11, '1.12', '2.7')
    state, place = _search.find(40, 20, axes[:1], 1, ask, 60, hopeless=True)
    assert abs(state - 11) <= 3 and place == ('1.12', '3.6')
    assert len(asked) < len(hopeful)


def test_where_all_fail_there_is_no_answer_and_each_is_asked_once():
    asked = []

    def ask(state, place):
        asked.append((state, place))
        return _search.Outcome(None, 'no network')
    assert _search.find(50, 3, [['a', 'b', 'c'], ['d']], 0, ask, 30) is None
    assert len(asked) == len(set(asked)) <= 8


def test_the_gap_beside_the_nearest_comes_first():
    distances = {0: 9, 40: 1, 41: 2, 100: 3}
    asked = {position: _search.Outcome((2, far, 0), position) for position, far in distances.items()}
    assert _search._next(asked) == 20
