"""The commands of docs/recipes.md, as typed, and what the page says that they print."""
import os
import re
import shlex

import pytest

from tests.support import exports

pytest.importorskip('tensorflow')
pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PROGRAMS = {'export_inference_graph': 'od_patch.export_inference_graph', 'od-patch': 'od_patch.cli'}


def _recipes():
    """[(heading, [command], [words of what the last one prints])]; the first is what all are compared with."""
    with open(os.path.join(_ROOT, 'docs', 'recipes.md'), encoding='utf-8') as page:
        text = page.read()
    found = []
    for part in re.split('^## ', text, flags=re.MULTILINE):
        blocks = dict(re.findall('```(sh|text)\n(.*?)```', part, re.DOTALL))
        found.append((part.split('\n')[0], blocks['sh'].splitlines(), blocks.get('text', '').splitlines()))
    return found


@pytest.fixture(scope='module')
def typed(tmp_path_factory):
    """A function that runs a command in a folder in which the example lies; returns what it printed."""
    folder = tmp_path_factory.mktemp('recipes')
    os.symlink(os.path.join(_ROOT, 'examples'), str(folder / 'examples'))
    before = os.getcwd()

    def run(command):
        program, *arguments = shlex.split(command)
        os.chdir(str(folder))
        try:
            result = exports.fork(_PROGRAMS[program], arguments)
        finally:
            os.chdir(before)
        assert result.exit_code == (1 if 'different' in result.stdout.split('\n')[0] else 0), result.stderr
        return result.stdout

    run(_recipes()[0][1][0])
    return run


@pytest.mark.parametrize('heading, commands, words', _recipes()[1:], ids=[recipe[0] for recipe in _recipes()[1:]])
def test_a_recipe_does_what_it_says_and_nothing_else(heading, commands, words, typed):
    told = [typed(command) for command in commands][-1]
    verdict, *causes = words
    assert verdict in told.splitlines()
    for cause in causes:
        assert cause in told, told


def test_there_are_ten_of_them_and_more():
    assert len(_recipes()) > 10 and all(words for _, _, words in _recipes()[1:])
