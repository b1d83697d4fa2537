"""What comes into question: the states of the code and the TensorFlows that may have made a graph, and where to begin.

From what ``inspect`` reads of the graph. A range of revisions is told by markers
(a date and a commit); in a clone it is found by the commit, by the blobs of
pinned exporters, and by the date where both fail. Runs nothing.
"""
import datetime
import re

from od_patch import _errors
from od_patch import _text
from od_patch.compare import _provenance
from od_patch.graphs import _op_table
from od_patch.regenerate import _clone
from od_patch.regenerate import _environments
from od_patch.releases import _releases

# When a TensorFlow came out: who exported with it mostly had the OD API of the weeks after.
_OUT = {'1.4': '2017-11-02', '1.5': '2018-01-26', '1.6': '2018-02-28', '1.7': '2018-03-29', '1.8': '2018-04-27',
        '1.9': '2018-07-10', '1.10': '2018-08-08', '1.11': '2018-09-26', '1.12': '2018-11-05', '1.13': '2019-02-26',
        '1.14': '2019-06-18', '1.15': '2019-10-16'}
_MARK = re.compile(r'(\d{4}-\d{2}-\d{2}) \((before )?([0-9a-f]{8})\)')
# `/` of two tensors is called so under Python 3, and `div` under Python 2.
_TRUE_DIVISION = re.compile(r'(^|/)truediv(_\d+)?$')
_DIVISION = re.compile(r'(^|/)div(_\d+)?$')


class Plan:
    """What is to be tried.

    Attributes:
        provenance: ``Provenance`` of the shipped graph.
        states: list of ``State`` in the range, the oldest first; first: int, which of them to begin with.
        of_clone: int, how many states the clone has; absent: list of str, pinned revisions in the range that it lacks.
        tensorflows: list of str, in order; made: those that environments are made of; first_tensorflow: int, which
            to begin with.
        pythons: list of str, the likeliest first; why_python: str.
        available: dict of Python version -> path; given: list of ``Environment``.
        cache: ``Cache``.
    """

    def environments(self):
        """Rows (tensorflow, python, how it is had): 'given', 'kept', 'to make' or 'no Python'."""
        rows = []
        for tensorflow in self.tensorflows:
            for python in self.pythons:
                how = self._how(tensorflow, python)
                if how:
                    rows.append((tensorflow, python, how))
        return rows

    def _how(self, tensorflow, python):
        if self.given_environment(tensorflow, python):
            return 'given'
        if not _environments.has_wheel(tensorflow, python) or tensorflow not in self.made:
            return ''
        if _environments.kept(self.cache, tensorflow, python):
            return 'kept'
        return 'to make' if python in self.available else 'no Python'

    def given_environment(self, tensorflow, python):
        return next((row for row in self.given if (row.tensorflow, row.python) == (tensorflow, python)), None)

    def combinations(self):
        """Those rows of ``environments`` that can be had."""
        return [row for row in self.environments() if row[2] != 'no Python']


def make(provenance, names, clone, given, cache, available):
    """The ``Plan`` for a graph.

    Args:
        provenance: ``Provenance`` of the graph; names: those of its nodes; clone: ``Clone``; given: list of
        ``Environment``; cache: ``Cache``; available: dict of Python version -> path.

    Raises:
        od_patch.InputRefused: the clone lacks what the range needs; od_patch.EnvironmentRefused: no environment can
            be had for it.
    """
    plan = Plan()
    plan.provenance, plan.given, plan.cache, plan.available = provenance, given, cache, available
    plan.tensorflows, plan.made = tensorflows(provenance, given)
    plan.pythons, plan.why_python = pythons(names, given)
    states = clone.states(pinned_commits())
    plan.of_clone = len(states)
    first, last = window(states, *provenance.od_api)
    plan.states = states[first:last]
    plan.absent = absent(states, provenance.od_api)
    if not plan.states or (clone.shallow and plan.absent):
        raise _errors.InputRefused(
            'The clone {} lacks the revisions that may have made the graph ({}): {}.'.format(
                clone.path, told(provenance.od_api),
                'it is shallow, and begins with {} of {}'.format(states[0].commit[:8], states[0].date) if clone.shallow
                else 'it has {} to {}'.format(states[0].date, states[-1].date)),
            'git -C {} fetch {}'.format(_text.command([clone.path]), '--unshallow --tags' if clone.shallow else
                                        _clone.UPSTREAM + ' master:refs/remotes/upstream/master'))
    rows = plan.combinations()
    if not rows:
        missing = sorted({python for _, python, _ in plan.environments()}) or list(_environments.PYTHONS[:1])
        raise _errors.EnvironmentRefused(
            'TensorFlow {} needs Python {}, and this machine has none that od-patch finds.'.format(
                ' or '.join(plan.tensorflows), ' or '.join(missing)),
            'pyenv install {}  or, where there is such an environment:  --python {}=PATH_OF_ITS_PYTHON'.format(
                missing[0], plan.tensorflows[-1]))
    plan.first_tensorflow = _first_tensorflow(plan, rows)
    plan.first = _first_state(plan.states, plan.tensorflows[plan.first_tensorflow])
    return plan


def tensorflows(provenance, given):
    """(versions in order, those of them that environments are made of) for the range that the graph tells.

    Raises:
        od_patch.InputRefused: none of the range is one that is made or given.
    """
    first, last = provenance.tensorflow
    releases = _op_table.table()[0]
    if first == _provenance.UNTOLD:
        first, last = releases[0], releases[-1]
    low, high = _environments.number(first), _environments.number(last)
    exact = provenance.exact.get('tensorflow_version', '')
    made = [version for version in _environments.TENSORFLOWS if low <= _environments.number(version) <= high]
    if re.match(r'\d+\.\d+\.\d+$', exact) and made:
        made = [exact]
    found = made + [row.tensorflow for row in given if low <= _environments.number(row.tensorflow) <= high
                    and row.tensorflow not in made]
    if not found:
        raise _errors.InputRefused(
            'The graph was made by TensorFlow {}, and environments are made of {} to {} only.'.format(
                first if first == last else '{} to {}'.format(first, last), _environments.minor(
                    _environments.TENSORFLOWS[0]), _environments.minor(_environments.TENSORFLOWS[-1])),
            'Where you have an environment with it:  --python {}=PATH_OF_ITS_PYTHON'.format(first))
    return sorted(set(found), key=lambda text: [int(part) for part in re.findall(r'\d+', text)]), made


def pythons(names, given):
    """(Python versions, the likeliest first, and why) for the names of a graph's nodes."""
    # Python 3.7 for those TensorFlows that have a wheel for it: its names are those of 3.6.
    if any(_TRUE_DIVISION.search(name) for name in names):
        order, why = ['3.6', '3.7', '2.7'], 'a division is called truediv, as under Python 3'
    elif any(_DIVISION.search(name) for name in names):
        order, why = ['2.7', '3.6', '3.7'], 'no division is called truediv, as all are under Python 3: Python 2'
    else:
        order, why = ['3.6', '3.7', '2.7'], 'no name of a node tells'
    return order + sorted({row.python for row in given} - set(order)), why


def pinned_commits():
    """Hashes, eight digits each, of the releases and of the markers."""
    found = [release.commit for release in _releases.RELEASES if re.match('[0-9a-f]{8}$', release.commit)]
    for marker in _provenance.MARKERS:
        found += [match.group(3) for text in (marker.since, marker.until) for match in [_MARK.match(text)] if match]
    return sorted(set(found))


def moment(state):
    """The ISO date of a state: of its commit, but within the days of its exporter where that is pinned."""
    dates = sorted(release.date for release in _releases.RELEASES if re.match(r'\d{4}-\d', release.date))
    release = _releases.find(state.exporter)
    if release is None or release.date not in dates:
        return state.date
    later = [date for date in dates if date > release.date]
    if later:
        day_before = datetime.datetime.strptime(later[0], '%Y-%m-%d') - datetime.timedelta(days=1)
        return min(max(state.date, release.date), day_before.strftime('%Y-%m-%d'))
    return max(state.date, release.date)


def window(states, since, until):
    """(first, end) positions of the states in a range that ``Provenance.od_api`` tells."""
    first, end = 0, len(states)
    if since:
        first = _position(states, since)
    if until:
        end = _position(states, until)
    return first, max(first, end)


def _position(states, text):
    """The position of the first state that is not before what a marker says: (date, commit, whether before it)."""
    date, before, commit = _MARK.match(text).groups()
    for number, state in enumerate(states):
        if state.commit.startswith(commit):
            return number
    if before:  # "until the day before it"
        return next((number for number, state in enumerate(states) if moment(state) > date), len(states))
    return next((number for number, state in enumerate(states) if moment(state) >= date), len(states))


def absent(states, od_api):
    """Names of the pinned releases in a range whose exporter no state has and whose commit is none of them."""
    exporters = {state.exporter for state in states}
    commits = {state.commit[:8] for state in states}
    since, until = (text[:10] for text in od_api)
    return [release.name for release in _releases.RELEASES
            if re.match(r'\d{4}-\d', release.date) and release.exporter_blob not in exporters
            and release.commit not in commits and (not since or release.date >= since)
            and (not until or release.date <= until)]


def told(od_api):
    """'2018-08-07 (59f7e80a) to 2019-03-06', as people read it."""
    since, until = od_api
    if since and until:
        return '{} to {}'.format(since, until)
    return 'from {} on'.format(since) if since else 'until {}'.format(until) if until else 'any'


def _first_tensorflow(plan, rows):
    """What is there already, before what has to be made; of these the likeliest Python, then the newest."""
    ways = {'given': 0, 'kept': 1, 'to make': 2}
    best = min(rows, key=lambda row: (plan.pythons.index(row[1]) if row[1] == '2.7' or plan.pythons[0] == '2.7' else 0,
                                      ways[row[2]], -plan.tensorflows.index(row[0])))
    return plan.tensorflows.index(best[0])


def _first_state(states, tensorflow):
    """The first one after the TensorFlow came out that has another exporter, or the last there is."""
    out = _OUT.get(_environments.minor(tensorflow), '')
    return next((number for number, state in enumerate(states) if moment(state) >= out), len(states) - 1)
