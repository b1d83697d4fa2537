"""What a graph's provenance makes of the releases: which TensorFlows, which Python, where to begin."""
import pytest

from od_patch import _errors
from od_patch.regenerate import _cache
from od_patch.regenerate import _clone
from od_patch.regenerate import _environments
from od_patch.regenerate import _plan
from od_patch.regenerate import _trial
from od_patch.releases import _releases

pytestmark = pytest.mark.once


class _Clone:
    """States with a date each, and pinned exporters where they are named."""

    def __init__(self, rows, shallow=False):
        self.path, self.shallow = 'models', shallow
        self._states = [_clone.State('{:040x}'.format(number), date, exporter, str(number))
                        for number, (date, exporter) in enumerate(rows)]

    def states(self, pinned=()):
        del pinned
        return self._states


def _provenance(first, last, since='', until='', exact=''):
    from od_patch.compare import _provenance as module
    found = module.Provenance()
    found.tensorflow, found.od_api = (first, last), (since, until)
    found.exact = {'tensorflow_version': exact, 'file': 'model.ckpt.meta'} if exact else {}
    found.settings = {}
    return found


def _given(tensorflow, python='3.6'):
    return _environments.Environment(tensorflow, python, '/python', given=True)


def _made(tmp_path, provenance, names=(), rows=(('2018-01-01', ''),), given=(), available=('3.6', '2.7', '3.7'),
          shallow=False):
    return _plan.make(provenance, set(names), _Clone(rows, shallow), list(given), _cache.Cache(str(tmp_path / 'cache')),
                      {python: '/python' + python for python in available})


@pytest.mark.parametrize('first, last, exact, given, expected', [
    ('1.5.0', '1.7.0', '', [], ['1.5.0', '1.6.0', '1.7.0']), ('1.12.0', '1.12.0', '', [], ['1.12.0']),
    ('1.12.3', '1.12.3', '1.12.3', [], ['1.12.3']), ('1.15.0', '2.21.0', '', [], ['1.15.0']),
    ('1.15.5+nv23', '1.15.5+nv23', '1.15.5+nv23', [], ['1.15.0']),
    ('1.9.0', '1.10.0', '', ['1.10.1', '1.12.0'], ['1.9.0', '1.10.0', '1.10.1']),
    ('2.3.0', '2.4.0', '', ['2.3.1'], ['2.3.1']), ('cannot be told', 'cannot be told', '', [],
                                                   list(_environments.TENSORFLOWS))])
def test_the_tensorflows_are_those_of_the_range(first, last, exact, given, expected):
    found = _plan.tensorflows(_provenance(first, last, exact=exact), [_given(version) for version in given])[0]
    assert found == expected


def test_a_graph_of_tensorflow_2_needs_an_environment_of_the_users_own():
    with pytest.raises(_errors.InputRefused, match='made by TensorFlow 2.3.0 to 2.4.0') as found:
        _plan.tensorflows(_provenance('2.3.0', '2.4.0'), [])
    assert '--python 2.3.0=PATH_OF_ITS_PYTHON' in str(found.value)


@pytest.mark.parametrize('names, expected', [
    (['a/truediv', 'a/div'], '3.6'), (['truediv_3'], '3.6'), (['a/div_1', 'a/b'], '2.7'), (['div'], '2.7'),
    (['a/b', 'truedivide', 'x/divide', 'a/div/y'], '3.6'), ([], '3.6')])
def test_the_names_of_divisions_tell_the_python(names, expected):
    assert _plan.pythons(set(names), [])[0][0] == expected


def test_what_is_there_is_begun_with(tmp_path):
    provenance = _provenance('1.10.0', '1.12.0')
    made = _made(tmp_path, provenance)
    assert made.tensorflows[made.first_tensorflow] == '1.12.0'
    made = _made(tmp_path, provenance, given=[_given('1.10.1')])
    assert made.tensorflows[made.first_tensorflow] == '1.10.1'
    _cache.Cache(str(tmp_path / 'cache')).ensure('environments', 'tf1.11.0-py3.6', lambda folder: {})
    made = _made(tmp_path, provenance)
    assert made.tensorflows[made.first_tensorflow] == '1.11.0'
    assert dict(((row[0], row[1]), row[2]) for row in made.environments())['1.11.0', '3.6'] == 'kept'


def test_the_first_revision_is_one_of_the_weeks_after_the_tensorflow(tmp_path):
    rows = [('2018-01-0{}'.format(day), '') for day in (1, 2, 3)] + [('2018-01-27', ''), ('2018-06-01', '')]
    assert _made(tmp_path, _provenance('1.5.0', '1.5.0'), rows=rows).first == 3
    assert _made(tmp_path, _provenance('1.4.1', '1.4.1'), rows=rows).first == 0
    assert _made(tmp_path, _provenance('1.15.0', '1.15.0'), rows=rows).first == 4


def test_a_python_that_the_machine_lacks_is_named(tmp_path):
    with pytest.raises(_errors.EnvironmentRefused, match='TensorFlow 1.5.0 needs Python 2.7 or 3.6, and') as found:
        _made(tmp_path, _provenance('1.5.0', '1.5.0'), available=())
    assert 'pyenv install ' in str(found.value) and '--python 1.5.0=PATH_OF_ITS_PYTHON' in str(found.value)
    made = _made(tmp_path, _provenance('1.5.0', '1.5.0'), names=['div'], available=('3.6',))
    assert made.combinations() == [('1.5.0', '3.6', 'to make')] and ('1.5.0', '2.7', 'no Python') in made.environments()
    made = _made(tmp_path, _provenance('1.14.0', '1.14.0'), available=('3.7',))
    assert made.combinations() == [('1.14.0', '3.7', 'to make')]
    assert _made(tmp_path, _provenance('1.5.0', '1.5.0'), available=(), given=[_given('1.5.0')]).combinations()


def test_a_clone_without_the_range_is_refused(tmp_path):
    rows = [('2019-02-06', ''), ('2019-03-07', '')]
    with pytest.raises(_errors.InputRefused, match='lacks the revisions .* it has 2019-02-06 to 2019-03-07') as found:
        _made(tmp_path, _provenance('1.5.0', '1.5.0', until='2018-08-06 (before 59f7e80a)'), rows=rows)
    assert 'git -C models fetch https://github.com/tensorflow/models.git master:' in str(found.value)


def test_a_shallow_clone_is_refused_only_where_it_lacks_what_is_needed(tmp_path):
    pinned = [release for release in _releases.RELEASES if release.date > '2019' and release.date[4:5] == '-']
    rows = [(release.date, release.exporter_blob) for release in pinned]
    since = '2019-03-07 (05584085)'
    made = _made(tmp_path, _provenance('1.12.0', '1.12.0', since=since), rows=rows, shallow=True)
    assert made.absent == [] and len(made.states) == len(pinned) - 1
    with pytest.raises(_errors.InputRefused, match='it is shallow, and begins with 00000000 of 2019-02-06'):
        _made(tmp_path, _provenance('1.12.0', '1.12.0', since='2018-09-21 (99256cf4)'), rows=rows, shallow=True)
    made = _made(tmp_path, _provenance('1.12.0', '1.12.0', since='2018-09-21 (99256cf4)'), rows=rows)
    assert made.absent == ['r1.12.0']


def test_every_marker_is_one_that_a_clone_can_be_asked_for():
    assert {'59f7e80a', '99256cf4', '05584085', '9bbf8015', 'fe748d4a', 'd7ce21fa'} <= set(_plan.pinned_commits())
    from od_patch.compare import _provenance as module
    for marker in module.MARKERS:
        for text in (marker.since, marker.until):
            assert not text or _plan._MARK.match(text), text


@pytest.mark.parametrize('settings, expected', [
    ({'input_type': 'image_tensor', 'input_shape': '?×?×?×3'}, {'input_type': 'image_tensor'}),
    ({'input_type': 'image_tensor', 'input_shape': '1×300×300×3'},
     {'input_type': 'image_tensor', 'input_shape': '1,300,300,3'}),
    ({'input_type': 'image_tensor', 'input_shape': '?×300×?×3'},
     {'input_type': 'image_tensor', 'input_shape': '-1,300,-1,3'}),
    ({'input_type': 'encoded_image_string_tensor', 'input_shape': '1'}, {'input_type': 'encoded_image_string_tensor'}),
    ({'input_type': 'image_tensor', 'input_shape': 'unknown'}, {'input_type': 'image_tensor'}), ({}, {})])
def test_the_flags_are_those_that_the_graph_tells(settings, expected):
    provenance = _provenance('1.5.0', '1.5.0')
    from od_patch.compare import _settings
    provenance.settings = {key: _settings.Setting(key, key, value, '', []) for key, value in settings.items()}
    assert _trial.flags_of(provenance) == expected


@pytest.mark.parametrize('date, expected', [('2010-01-01', '2019-02-06'), ('2019-02-20', '2019-02-20'),
                                            ('2026-01-01', '2019-03-06')])
def test_a_pinned_exporter_dates_a_state_within_its_days(date, expected):
    blob = next(release.exporter_blob for release in _releases.RELEASES if release.name == 'r1.13.0')
    assert _plan.moment(_clone.State('0' * 40, date, blob, '')) == expected
    assert _plan.moment(_clone.State('0' * 40, date, 'f' * 40, '')) == date
