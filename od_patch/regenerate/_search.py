"""Which candidate next: halves what lies between candidates whose graphs differ, nearest to the wanted graph first.

Knows candidates as positions on axes and outcomes as values; what an outcome is,
and how long it takes, is ``_trial``'s business. Between two candidates that gave
one and the same graph nothing is looked for: a change that was made and taken
back again in between is not found.
"""
import collections

IDENTICAL, EQUIVALENT = 0, 1  # the first number of a distance, where the verdict is one of these
_FAILED = (9,)

Outcome = collections.namedtuple('Outcome', 'distance graph')
Outcome.__doc__ = """What came of one candidate.

Attributes:
    distance: tuple that orders candidates, the nearest first; None where there is no graph.
    graph: what is equal for equal graphs, or, where there is none, for equal failures.
"""


def distance(outcome):
    return _FAILED if outcome.distance is None else outcome.distance


def along(count, ask, first, enough, most):
    """Asks candidates 0 … count - 1 of one axis; returns dict of position -> ``Outcome``.

    Args:
        ask: function of a position that returns its ``Outcome``.
        first: int, the position to begin with; then come both ends.
        enough: int: an outcome whose distance begins with it, or with less, ends the search.
        most: int, how many candidates are asked at the most.
    """
    asked = {}
    for position in [first, 0, count - 1]:
        if position not in asked and len(asked) < most:
            asked[position] = ask(position)
            if distance(asked[position])[0] <= enough:
                return asked
    while len(asked) < most:
        position = _next(asked)
        if position is None:
            break
        asked[position] = ask(position)
        if distance(asked[position])[0] <= enough:
            break
    return asked


def _next(asked):
    """The middle of the gap that lies next to the nearest candidate; None where no gap is left."""
    positions = sorted(asked)
    gaps = []
    for low, high in zip(positions, positions[1:]):
        one, other = asked[low], asked[high]
        if high - low > 1 and one.graph != other.graph:
            near, far = sorted([distance(one), distance(other)])
            gaps.append((near, far, low - high, (low + high) // 2))
    return min(gaps)[-1] if gaps else None


def nearest(asked):
    """The position of the nearest outcome, the earliest of equals; None where all failed."""
    there = [(distance(outcome), position) for position, outcome in asked.items() if outcome.distance is not None]
    return min(there)[1] if there else None


def find(states, first, axes, begin, ask, most, hopeless=False):
    """Goes along the states, then along the environments, and again while that brings something nearer.

    Args:
        states: int, how many states there are; first: int, the one to begin with.
        axes: list of lists of what ``ask`` takes: the TensorFlows of the likeliest Python, in their order, then those
            of others, of which one is asked where the first list has not led to the same graph.
        begin: int, position on the first axis to begin with.
        ask: function (position of the state, environment) that returns an ``Outcome``.
        most: int, how many candidates are asked at the most.
        hopeless: bool, whether it is known that no candidate is identical, so that equivalent is enough.

    Returns:
        (state, environment) of the nearest, or None where no candidate gave a graph.
    """
    known = {}

    def told(state, environment):
        if (state, environment) not in known:
            known[state, environment] = ask(state, environment)
        return known[state, environment]

    def left():
        return most - len(known)

    def best():
        there = [(distance(outcome), place) for place, outcome in known.items() if outcome.distance is not None]
        return min(there, key=lambda row: row[0]) if there else (_FAILED, None)

    main, environment = axes[0], axes[0][begin]
    enough = EQUIVALENT if hopeless or len(main) > 1 else IDENTICAL
    while left() > 0:
        before = best()[0]
        place = best()[1]
        along(states, lambda state: told(state, environment), place[0] if place else first, enough, left())
        place = best()[1]
        if best()[0][0] > IDENTICAL and left() > 0:
            state = place[0] if place else first
            here = main.index(place[1] if place else environment)
            along(len(main), lambda position: told(state, main[position]), here, IDENTICAL, left())
        if best()[0][0] == IDENTICAL or (best()[0] == before and (hopeless or enough == IDENTICAL)):
            break
        environment = best()[1][1] if best()[1] else environment
        if best()[0] == before or not hopeless:
            enough = EQUIVALENT if hopeless else IDENTICAL
    for axis in axes[1:]:
        if best()[0][0] > IDENTICAL and left() > 0:
            place = best()[1] or (first, environment)
            told(place[0], axis[min(main.index(place[1]) if place[1] in main else 0, len(axis) - 1)])
    return best()[1]
