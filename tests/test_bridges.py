"""The parts of the bridges, each by itself; what they do together on TensorFlow 2 is in ``test_legacy``."""
import importlib
import importlib.util
import os
import sys
import types

import pytest

import od_patch
from od_patch import legacy
from od_patch.legacy import _contrib
from od_patch.legacy import _finder
from od_patch.legacy import _legacy_layers
from od_patch.legacy import _moved_ops
from od_patch.legacy import _numpy_aliases
from od_patch.legacy import _old_protos
from od_patch.legacy import _slim_folder
from od_patch.legacy import _versions
from tests.support import exports


class _Bridge:
    """A bridge that takes note of what is done to it."""

    def __init__(self, name, log, needed=True, fails=False):
        self._name, self._log, self._needed, self._fails = name, log, needed, fails

    def is_needed(self):
        return self._needed(self._log) if callable(self._needed) else self._needed

    def put_on(self):
        if self._fails:
            raise ZeroDivisionError
        self._log.append('+' + self._name)
        return lambda: self._log.append('-' + self._name)


@pytest.fixture
def bridges(monkeypatch):
    """A function that puts bridges of ours in the place of the real ones; returns the list of what happens."""
    log = []

    def replace(*rows):
        monkeypatch.setattr(legacy, 'BRIDGES', tuple(
            legacy.Bridge(name, applies_to, '', _Bridge(name, log, **options)) for name, applies_to, options in rows))
        return log
    return replace


def test_bridges_are_put_on_in_their_order_once_and_taken_off_in_the_other_at_the_end(bridges):
    log = bridges(('a', {}, {}), ('b', {}, {'needed': False}), ('c', {}, {}))
    assert [bridge.name for bridge in legacy.needed()] == ['a', 'c'] and log == []
    legacy.put_on()
    with legacy.on():
        assert log == ['+a', '+c']
    assert log == ['+a', '+c']
    with pytest.raises(ZeroDivisionError):
        with legacy.on():
            raise ZeroDivisionError
    legacy.take_off()
    assert log == ['+a', '+c', '-c', '-a']
    with legacy.on():
        assert log[4:] == ['+a', '+c']
    assert log[6:] == ['-c', '-a']


def test_whether_one_is_needed_may_depend_on_those_before_it(bridges):
    log = bridges(('a', {}, {}), ('b', {}, {'needed': lambda log: '+a' in log}))
    with legacy.on():
        assert log == ['+a', '+b']


def test_where_one_fails_those_before_it_are_taken_off(bridges):
    log = bridges(('a', {}, {}), ('b', {}, {}), ('c', {}, {'fails': True}))
    for _ in range(2):
        del log[:]
        with pytest.raises(ZeroDivisionError):
            legacy.put_on()
        assert log == ['+a', '+b', '-b', '-a']


@pytest.mark.parametrize('applies_to, needed', [
    ({}, True), ({'tensorflow': '2.0'}, True), ({'tensorflow': '2.5.1'}, True), ({'tensorflow': '2.5.2'}, False),
    ({'tensorflow': '2.0', 'numpy': '1.24'}, False), ({'tensorflow': '2.0', 'numpy': '1.9'}, True),
    ({'protobuf': '1.0'}, False)])
def test_a_bridge_is_needed_where_every_version_is_met(bridges, monkeypatch, applies_to, needed):
    monkeypatch.setattr(_versions, 'installed', {'tensorflow': '2.5.1', 'numpy': '1.23.5', 'protobuf': None}.get)
    bridges(('a', applies_to, {}))
    assert bool(legacy.needed()) == needed


@pytest.mark.parametrize('version, numbers', [
    ('1.24.0rc1', (1, 24, 0)), ('2.21.0', (2, 21, 0)), ('1.9', (1, 9)), ('3', (3,)), ('dev', ()),
    ('2.0.0-beta1', (2, 0, 0))])
def test_the_numbers_of_a_version(version, numbers):
    assert _versions.as_tuple(version) == numbers


@pytest.mark.parametrize('found, wanted, is_it', [
    ('1.10', '1.9', True), ('1.9', '1.10', False), ('2.0', '2.0', True), ('2.0.0', '2.0', True), ('1.99', '2.0', False),
    (None, '0', False)])
def test_versions_are_compared_as_numbers(monkeypatch, found, wanted, is_it):
    monkeypatch.setattr(_versions, 'installed', lambda package: found)
    assert _versions.at_least('numpy', wanted) == is_it


def test_the_version_of_what_cannot_be_imported_is_none(monkeypatch):
    import numpy
    assert _versions.installed('numpy') == numpy.__version__
    monkeypatch.setitem(sys.modules, 'numpy', None)
    assert _versions.installed('numpy') is None


def test_a_finder_makes_what_it_has_and_takes_it_away_again(tmp_path, monkeypatch):
    (tmp_path / 'real_parent_of_the_test').mkdir()
    (tmp_path / 'real_parent_of_the_test' / '__init__.py').write_text('')
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {'made_for_the_test', 'made_for_the_test.inner', 'real_parent_of_the_test.made'}

    def make(name):
        module = types.ModuleType(name)
        module.__path__ = []
        return module

    before = list(sys.meta_path)
    take_off = _finder.Finder(names.__contains__, make).put_on()
    parent = importlib.import_module('real_parent_of_the_test')
    for name in sorted(names):
        assert importlib.import_module(name) is sys.modules[name]
    assert isinstance(sys.modules['made_for_the_test'].inner, types.ModuleType) and parent.made
    with pytest.raises(ImportError):
        importlib.import_module('made_for_the_test.other')
    kept = sys.modules['made_for_the_test']
    take_off()
    assert sys.meta_path == before and not names & set(sys.modules) and not hasattr(parent, 'made')
    assert 'real_parent_of_the_test' in sys.modules and kept.__name__ == 'made_for_the_test'
    take_off()
    del sys.modules['real_parent_of_the_test']


def test_what_somebody_else_has_put_there_since_stays():
    take_off = _finder.Finder('made_for_the_test'.__eq__, types.ModuleType).put_on()
    importlib.import_module('made_for_the_test')
    theirs = sys.modules['made_for_the_test'] = types.ModuleType('theirs')
    take_off()
    try:
        assert sys.modules['made_for_the_test'] is theirs
    finally:
        del sys.modules['made_for_the_test']


def test_stand_ins_are_there_and_are_refused_when_they_are_called():
    pytest.importorskip('tensorflow')
    module = _contrib._make('tensorflow.contrib.quantize')
    stand_in = module.experimental_create_eval_graph
    assert repr(stand_in.more) == '<stand-in for tensorflow.contrib.quantize.experimental_create_eval_graph.more>'
    with pytest.raises(od_patch.EnvironmentRefused, match='needs tensorflow.contrib.quantize.experimental_create_eval'):
        stand_in(1, graph=2)
    for owner, name in ((_contrib._make('tensorflow.contrib'), 'lookup'), (module, '__all__'),
                        (stand_in, '__wrapped__'),
                        (_contrib._make('tensorflow.contrib.image'), 'python')):
        assert not hasattr(owner, name), name


def test_names_of_numpy_that_are_gone_are_there_while_the_bridge_is_on(monkeypatch):
    import numpy as np
    for name in ('int', 'float'):
        if name in vars(np):
            monkeypatch.delattr(np, name)
    monkeypatch.setattr(np, 'object', 'another meaning', raising=False)
    before = set(vars(np))
    assert _numpy_aliases.is_needed()
    take_off = _numpy_aliases.put_on()
    assert (np.int, np.float, np.object) == (int, float, 'another meaning') and not _numpy_aliases.is_needed()
    np.int = 'somebody else\'s'
    take_off()
    assert set(vars(np)) == before | {'int'} and np.int == 'somebody else\'s'
    del np.int


def test_names_that_have_moved_are_where_they_were_while_the_bridge_is_on(monkeypatch):
    pytest.importorskip('tensorflow')
    from od_patch import _tensorflow
    module = types.ModuleType('asked_by_the_test')
    module.there = 'before'
    monkeypatch.setitem(sys.modules, 'asked_by_the_test', module)
    monkeypatch.setattr(_moved_ops, '_MOVED', {'asked_by_the_test': {
        'there': 'Tensor', 'Graph': 'Graph', 'variable': 'Variable'}})
    assert _moved_ops.is_needed()
    take_off = _moved_ops.put_on()
    assert (module.there, module.Graph, module.variable) == (
        'before', _tensorflow.tf1().Graph, _tensorflow.tf1().Variable)
    assert not _moved_ops.is_needed()
    module.variable = 'somebody else\'s'
    take_off()
    assert not hasattr(module, 'Graph') and (module.there, module.variable) == ('before', 'somebody else\'s')


def _fake(folder, *paths):
    for path in paths:
        (folder / path).mkdir(parents=True, exist_ok=True)
        for part in [folder / path] + list((folder / path).parents):
            if part != folder and str(part).startswith(str(folder)):
                (part / '__init__.py').write_text('')
    importlib.invalidate_caches()


@pytest.mark.parametrize('paths, needed', [
    (['layered/src/legacy_tf_layers'], True), (['layered/legacy_tf_layers', 'layered/src/legacy_tf_layers'], False),
    (['layered/src'], False), ([], False)])
def test_layers_that_have_moved_are_found_where_they_are_asked_for(tmp_path, monkeypatch, paths, needed):
    _fake(tmp_path, *paths)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(_legacy_layers, '_PACKAGES', ('layered',))
    assert _legacy_layers.is_needed() == needed
    if needed:
        take_off = _legacy_layers.put_on()
        assert importlib.import_module('layered.legacy_tf_layers') is sys.modules['layered.src.legacy_tf_layers']
        for other in ('layered.other', 'layered.legacy_tf_layers.missing', 'unlayered.legacy_tf_layers'):
            with pytest.raises(ImportError):
                importlib.import_module(other)
        take_off()
        assert 'layered.legacy_tf_layers' not in sys.modules
    for name in [name for name in sys.modules if name.split('.')[0] == 'layered']:
        del sys.modules[name]


@pytest.mark.parametrize('folders, needed', [
    (['object_detection', 'slim/nets'], True), (['object_detection', 'slim'], False), (['object_detection'], False),
    (['object_detection', 'slim/nets', 'nets'], False), ([], False)])
def test_slim_beside_the_object_detection_api_is_put_behind_everything_else_on_the_path(tmp_path, folders, needed):
    _fake(tmp_path, *folders)
    program = '''
import sys
from od_patch.legacy import _slim_folder
before = list(sys.path)
if _slim_folder.is_needed():
    take_off = _slim_folder.put_on()
    assert sys.path == before + [{!r}], sys.path
    import nets
    take_off()
    take_off()
    print('needed')
assert sys.path == before
'''.format(str(tmp_path / 'slim'))
    result = exports.run(['-c', program], environment={'PYTHONPATH': os.pathsep.join([os.getcwd(), str(tmp_path)])})
    assert (result.exit_code, result.stdout) == (0, 'needed\n' if needed else ''), result.stderr
    assert _slim_folder.__doc__


def test_slim_inside_the_object_detection_api_is_found_and_hides_no_folder_of_the_user(tmp_path):
    """As the package of the index installs it; ``import utils`` there would find the OD API's, a regular package."""
    _fake(tmp_path, 'api/object_detection/nets', 'api/object_detection/utils')
    (tmp_path / 'utils').mkdir()
    (tmp_path / 'utils' / 'mine.py').write_text('')
    program = '''
import sys
from od_patch.legacy import _slim_folder
before, finders = list(sys.path), list(sys.meta_path)
assert _slim_folder.is_needed()
take_off = _slim_folder.put_on()
import nets, utils.mine
assert nets.__path__ == [{!r}], nets.__path__
assert sys.path == before and sys.meta_path[:-1] == finders
take_off()
take_off()
assert sys.meta_path == finders
'''.format(str(tmp_path / 'api' / 'object_detection' / 'nets'))
    result = exports.run(['-c', program], environment={'PYTHONPATH': os.pathsep.join(
        [os.getcwd(), str(tmp_path), str(tmp_path / 'api')])})
    assert result.exit_code == 0, result.stderr


_DESCRIPTOR = b'\x0a\x01x\xff'


@pytest.mark.parametrize('source, maker', [
    ("D = _descriptor.FileDescriptor(\n  name='x',\n  serialized_pb=_b('\\n\\x01x\\xff')\n)\n"
     "_descriptor.FieldDescriptor(",
     'protoc 3.18 or earlier'),
    ("D = _descriptor.FileDescriptor(\n  serialized_pb=b'\\n\\x01x\\xff'\n)\n_descriptor.FieldDescriptor(",
     'protoc 3.18 or earlier'),
    ("D = pool.Default().AddSerializedFile(b'\\n\\x01x\\xff')\n_reflection.GeneratedProtocolMessageType(",
     'protoc 3.19'),
    ("D = pool.Default().AddSerializedFile(b'\\n\\x01x\\xff')\n_builder.BuildTopDescriptorsAndMessages(",
     'protoc 3.20 to 26'),
    ("r.ValidateProtobufRuntimeVersion(\n  r.Domain.PUBLIC,\n  5,\n  27,\n  1,\n  '')\n"
     "D = pool.Default().AddSerializedFile(b'\\n\\x01x\\xff')\n_builder.BuildTopDescriptorsAndMessages(",
     'protoc 27.1'),
    ("D = pool.Default().AddSerializedFile(b'\\n\\x01x\\xff')\nsomething_else(", 'nobody knows')])
def test_the_descriptor_is_read_from_what_any_protoc_wrote(tmp_path, source, maker):
    path = tmp_path / 'x_pb2.py'
    path.write_text(source + ')\n')
    assert _old_protos._serialized_descriptor(str(path)) == _DESCRIPTOR
    assert _old_protos.made_by([str(path)]) == maker


def test_a_module_without_a_descriptor_is_no_compiled_proto(tmp_path):
    path = tmp_path / 'x_pb2.py'
    path.write_text('x = f(1, key=2)\n')
    with pytest.raises(ImportError, match='holds no file descriptor; compile the protos again'):
        _old_protos._serialized_descriptor(str(path))
