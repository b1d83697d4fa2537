"""The rooms of ``od_patch/``: few files in its root, arrows that go one way, files that do not import each other."""
import ast
import os
import re

import pytest

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGE = os.path.join(_ROOT, 'od_patch')
_ENTRY_POINTS = {'__init__', '__main__', 'cli', 'export_inference_graph'}


def _rooms():
    """The rooms in their order, as docs/architecture.md has them."""
    with open(os.path.join(_ROOT, 'docs', 'architecture.md'), encoding='utf-8') as page:
        return re.findall(r'^\| `?([a-z0-9_ ]+)`? \| (?!what it is)', page.read(), re.MULTILINE)


def _modules():
    """{dotted name below od_patch: path}"""
    found = {}
    for folder, _, names in os.walk(_PACKAGE):
        for name in names:
            if name.endswith('.py'):
                path = os.path.join(folder, name)
                dotted = os.path.relpath(path, _PACKAGE)[:-len('.py')].replace(os.sep, '.')
                found[dotted[:-len('.__init__')] if dotted.endswith('.__init__') else dotted] = path
    return found


def _room_of(module):
    room = module.partition('.')[0]
    if os.path.isdir(os.path.join(_PACKAGE, room)):
        return room
    return 'entry points' if module in _ENTRY_POINTS else 'ground'


def imported(text, modules):
    """Modules of od-patch that a text of Python imports, inside of functions, too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'od_patch':
            names = ['{}.{}'.format(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split('.')[0] == 'od_patch']
        for name in names:
            below = name[len('od_patch'):].lstrip('.')
            found.add(below if below in modules else below.rpartition('.')[0] or '__init__')
    return found


@pytest.fixture(scope='module')
def arrows():
    """{module: those that it imports}"""
    modules = _modules()
    found = {}
    for name, path in modules.items():
        with open(path, encoding='utf-8') as source:
            found[name] = imported(source.read(), modules) - {name}
    return found


def test_the_root_holds_a_dozen_files():
    there = [name for name in os.listdir(_PACKAGE) if name.endswith('.py')]
    assert len(there) <= 12, sorted(there)


def test_the_page_has_every_room():
    rooms = _rooms()
    assert rooms[0] == 'ground' and rooms[-1] == 'entry points' and len(rooms) == len(set(rooms))
    assert set(rooms) - {'ground', 'entry points'} == {
        name for name in os.listdir(_PACKAGE) if os.path.isfile(os.path.join(_PACKAGE, name, '__init__.py'))}


def test_arrows_between_rooms_go_one_way(arrows):
    order = {room: number for number, room in enumerate(_rooms())}
    wrong = [(module, other) for module, others in sorted(arrows.items()) for other in sorted(others)
             if order[_room_of(other)] > order[_room_of(module)]]
    assert sum(map(len, arrows.values())) > 300 and not wrong


def test_no_files_import_each_other_in_a_circle(arrows):
    """Inside of a room, too; an import inside of a function is one."""
    left = {module: set(others) for module, others in arrows.items()}
    while True:
        free = [module for module, others in left.items() if not others & set(left)]
        if not free:
            break
        for module in free:
            del left[module]
    assert not left, {module: sorted(others & set(left)) for module, others in left.items()}


@pytest.mark.parametrize('text, found', [
    ('from od_patch import _errors', {'_errors'}), ('import od_patch', {'__init__'}),
    ('from od_patch._errors import UsageError', {'_errors'}),
    ('def f():\n    from od_patch.proof import _verify', {'proof._verify'}),
    ('from od_patch import proof', {'proof'}), ('import od_patch.proof._verify', {'proof._verify'}), ('import os', set())])
def test_imports_are_seen_wherever_they_stand(text, found):
    assert imported(text, _modules()) == found
