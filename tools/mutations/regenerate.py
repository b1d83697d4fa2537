"""Faults in the search for the release that made a graph."""
from tools.mutations import Mutation

_SEARCH = ['tests/regenerate/test_search.py']
_CACHE = ['tests/regenerate/test_cache.py']
_CLONE = ['tests/regenerate/test_clone.py']
_PLAN = ['tests/regenerate/test_plan.py']
_ENVIRONMENTS = ['tests/regenerate/test_environments.py']

MUTATIONS = [
    Mutation('regenerate/_search.py', 'one.graph != other.graph', 'True', _SEARCH,
             'what lies between two equal graphs is exported, too'),
    Mutation('regenerate/_search.py', 'near, far = sorted(', 'far, near = sorted(', _SEARCH,
             'a search goes on where the graphs are far'),
    Mutation('regenerate/_cache.py', 'self._held(_LOCK, waits=False)', 'self._held(_LOCK, shared=True)', _CACHE,
             'environments are removed under a search that uses them'),
    Mutation('regenerate/_cache.py', 'return os.path.isfile(os.path.join(self.path(kind, name), _MARK))',
             'return os.path.isdir(self.path(kind, name))', _CACHE, 'what nobody made counts as kept, and is removed'),
    Mutation('regenerate/_clone.py', "if not name.startswith('GIT_')", "if not name.startswith('GIT_OF')", _CLONE,
             'a search within a git hook reads another repository'),
    Mutation('regenerate/_clone.py', "and match.group(1) in ('100644', '100755')", '', _CLONE,
             'a link of a revision is written as the file of its path'),
    Mutation('regenerate/_plan.py', 'return min(max(state.date, release.date), day_before', 'return min(state.date, day_before',
             _PLAN + _CLONE, 'an exporter that is pinned is dated by an imported history'),
    Mutation('regenerate/_plan.py', 'if not plan.states or (clone.shallow and plan.absent):', 'if not plan.states:', _PLAN,
             'a shallow clone is searched, and the release that it lacks is not found'),
    Mutation('regenerate/_environments.py', "environment = clean_environment(_PASSED)\n", 'environment = dict(os.environ)\n',
             [_ENVIRONMENTS[0] + '::test_a_program_gets_nothing_that_points_at_od_patch'],
             "od-patch's path, and secrets, reach the release's exporter"),
]
