"""The short cut for building a graph gives what it stands for, is on while a graph is built, and goes."""
import functools
import inspect

import pytest

from od_patch import legacy
from od_patch.legacy import _quick_building

tensorflow = pytest.importorskip('tensorflow')

from tensorflow.python.util import tf_inspect  # noqa: E402


class _Callable:
    __hash__ = None  # it cannot be a key

    def __call__(self, one, *, other=3):
        return one, other

    def method(self, one, two: int = 2, *rest, three, **more) -> str:
        return str((one, two, rest, three, more))


def _plain(one, two=(1, 2), *rest, three=None, **more):
    return one, two, rest, three, more


def _one(x):
    return x


_FUNCTIONS = [_plain, _one, _Callable.method, _Callable().method, _Callable(), functools.partial(_plain, 1, three=2),
              functools.wraps(_plain)(_one), lambda: None, _Callable, max, functools.partial]


@pytest.mark.parametrize('function', _FUNCTIONS, ids=range(len(_FUNCTIONS)))
def test_the_answer_is_the_same_each_time_whatever_was_done_to_it(function):
    asked = _quick_building.remembering(inspect.getfullargspec)
    try:
        expected = inspect.getfullargspec(function)
    except TypeError as error:
        for _ in range(2):
            with pytest.raises(TypeError, match='unsupported callable'):
                asked(function)
        assert 'unsupported callable' in str(error)
        return
    for _ in range(3):
        spec = asked(function)
        assert spec == expected and type(spec) is type(expected)
        spec.args.append('more')
        spec.kwonlyargs.append('more')
        spec.annotations['more'] = 1
        if spec.kwonlydefaults is not None:
            spec.kwonlydefaults['more'] = 1


def test_it_is_on_inside_and_gone_outside():
    before = tf_inspect._getfullargspec
    with legacy.quick_building():
        inside = tf_inspect._getfullargspec
        assert inside is not before
        with legacy.quick_building():
            assert tf_inspect._getfullargspec is inside
        assert tf_inspect._getfullargspec is inside
        assert tf_inspect.getcallargs(_plain, 1, three=4) == {'one': 1, 'two': (1, 2), 'three': 4}
    assert tf_inspect._getfullargspec is before
    with pytest.raises(KeyError):
        with legacy.quick_building():
            raise KeyError
    assert tf_inspect._getfullargspec is before


def test_each_function_is_asked_about_once(monkeypatch):
    calls = []
    monkeypatch.setattr(tf_inspect, '_getfullargspec', lambda target: calls.append(target) or inspect.getfullargspec(target))
    tf_inspect_graph = tensorflow.Graph()
    with legacy.quick_building(), tf_inspect_graph.as_default():
        for number in range(5):
            tensorflow.constant(number)
    assert len(calls) == len(set(calls)) and (tensorflow.__version__[0] != '1' or calls)


def test_what_somebody_else_put_there_meanwhile_stays(monkeypatch):
    monkeypatch.setattr(tf_inspect, '_getfullargspec', tf_inspect._getfullargspec)
    with legacy.quick_building():
        tf_inspect._getfullargspec = _plain
    assert tf_inspect._getfullargspec is _plain


def test_a_graph_is_the_same():
    tf = tensorflow.compat.v1 if hasattr(tensorflow, 'compat') and hasattr(tensorflow.compat, 'v1') else tensorflow

    def build():
        with tf.Graph().as_default() as graph:
            x = tf.placeholder(tf.float32, [None, 2], name='x')
            with tf.name_scope('scope'), tf.control_dependencies([tf.identity(x, name='before')]):
                y = tf.nn.relu(x) * 2 + tf.constant([1., 2.])
            tf.reduce_sum(y, axis=1, name='y')
            return graph.as_graph_def().SerializeToString(deterministic=True)
    expected = build()
    with legacy.quick_building():
        assert build() == expected
