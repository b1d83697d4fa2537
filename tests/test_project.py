"""What the project says of itself: the README's commands, the table of pins, the version."""
import os
import re
import subprocess

import pytest

import pytest

import od_patch
from od_patch.releases import _releases

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _read(*path):
    with open(os.path.join(_ROOT, *path), encoding='utf-8') as text_file:
        return text_file.read()


def test_ci_runs_the_readmes_test_command():
    command = _read('.ci', 'run').strip().splitlines()[-1]
    assert command in _read('README.md').splitlines()


def test_the_table_of_releases_has_every_pin():
    rows = re.findall(r'^\| ([\w.-]+) \| (\w+|after 2021) \| `(\w{40})` \| (TF [^|]*) \| ([^|]+) \|$',
                      _read('docs', 'releases.md'), re.MULTILINE)
    assert rows == [(release.name, release.commit, release.exporter_blob, _releases.runs_on(release),
                     _releases.run_on(release)) for release in _releases.RELEASES]


def test_where_pins_were_run():
    """As it was found by running them: docs of releases, and what their TensorFlow must have."""
    told = {release.name: (_releases.runs_on(release), _releases.run_on(release)) for release in _releases.RELEASES}
    assert told['2017-10-27'] == ('TF 1.4, from Python only', 'TF 1.4.1')
    assert told['2018-01-04'] == ('TF 1.x', 'TF 1.12.0')
    assert told['2019-11-13'] == ('TF 1.x', 'TF 1.12.0')
    assert told['2020-05-12'] == ('TF 1.15', 'TF 1.15.5')
    assert told['2021-04-13'] == ('TF 1.15, TF 2', 'TF 1.15.5')
    assert told['2022'] == ('TF 1.15, TF 2', 'the tests, D')
    assert [release.date for release in _releases.RELEASES] == sorted(release.date for release in _releases.RELEASES)
    assert len({release.exporter_blob for release in _releases.RELEASES}) == len(_releases.RELEASES) == 21


def test_the_table_of_versions_has_what_ci_runs():
    from tools import lock_files
    rows = re.findall(r'^\| ([\d.]+) \| ([\w.]+) \| ([A-D, ]+) \| \[([\w-]+)\]\(\.\./requirements/([\w-]+)\.txt\) \|$',
                      _read('docs', 'releases.md'), re.MULTILINE)
    assert rows == [(pair.python, pair.tensorflow, ', '.join(pair.vintages), pair.name, pair.name)
                    for pair in lock_files.PAIRS]
    environments = _read('tox.ini').split('env_list =')[1].split('\n#')[0]
    for pair in lock_files.PAIRS:
        python, tensorflow = pair.name.split('-')
        by_hand = pair.name in lock_files.BY_HAND
        assert by_hand != ('{}-{}-'.format(python, tensorflow) in environments or
                           'demo-{}'.format(python) in environments), pair.name
        lock = _read('requirements', pair.name + '.txt')
        pinned = r'^tensorflow(_cpu|-cpu)?=={}$'.format(re.escape(pair.tensorflow))
        assert re.search(pinned, lock, re.MULTILINE), pair.name
        assert all(re.match(r'#|[\w.-]+==\S+$', line) for line in lock.splitlines()), pair.name


def test_the_changelog_begins_with_this_version():
    newest = re.search(r'^## \[([^]]+)\] - (unreleased|\d{4}-\d{2}-\d{2})$', _read('CHANGELOG.md'), re.MULTILINE)
    assert newest.group(1) == od_patch.__version__


def test_a_tag_of_this_commit_is_of_this_version_and_the_changelog_has_its_date():
    """What the release recipe in CONTRIBUTING makes; of a commit without a tag there is nothing to hold."""
    try:
        tags = subprocess.check_output(['git', 'tag', '--points-at', 'HEAD'], cwd=_ROOT).decode().split()
    except (OSError, subprocess.CalledProcessError):
        tags = []  # no git, or no checkout
    assert _wrong_tags(tags, od_patch.__version__, _read('CHANGELOG.md')) == []


@pytest.mark.parametrize('tags, changelog, wrong', [
    (['v1.2.0'], '## [1.2.0] - 2026-11-30\n', []), ([], '## [1.2.0] - unreleased\n', []),
    (['v1.2.0'], '## [1.2.0] - unreleased\n', ['v1.2.0']), (['v1.2.1'], '## [1.2.0] - 2026-11-30\n', ['v1.2.1']),
    (['1.2.0'], '## [1.2.0] - 2026-11-30\n', ['1.2.0'])])
def test_which_tags_are_wrong(tags, changelog, wrong):
    assert _wrong_tags(tags, '1.2.0', changelog) == wrong


def _wrong_tags(tags, version, changelog):
    dated = re.search(r'^## \[{}\] - \d{{4}}-\d{{2}}-\d{{2}}$'.format(re.escape(version)), changelog, re.MULTILINE)
    return [tag for tag in tags if tag != 'v' + version or not dated]


def test_every_refusal_is_in_the_public_api():
    from od_patch import _errors
    for name, value in vars(_errors).items():
        if isinstance(value, type):
            assert getattr(od_patch, name) is value and name in od_patch.__all__


def test_the_figures_are_those_of_the_run_that_is_committed():
    import collections
    import json
    from benchmarks import run
    text = _read('docs', 'performance.md')
    results = json.loads(_read('benchmarks', 'results', 'results.json'), object_pairs_hook=collections.OrderedDict)
    assert run.in_page(text, results) == text


def _pages():
    for folder in ('', 'docs', 'patches', 'examples'):
        for path, _, names in os.walk(os.path.join(_ROOT, folder)):
            for name in sorted(names):
                if name.endswith('.md'):
                    yield os.path.relpath(os.path.join(path, name), _ROOT).replace(os.sep, '/')
            if not folder:
                break


@pytest.mark.parametrize('name', sorted(_pages()))
def test_links_of_a_page_lead_to_a_file_and_a_heading(name):
    text = re.sub(r'```.*?```', '', _read(*name.split('/')), flags=re.DOTALL)
    for target, anchor in re.findall(r'\]\((?!\w+:)([^)#]*)(?:#([^)]*))?\)', text):
        path = os.path.normpath(os.path.join(_ROOT, os.path.dirname(name), target)) if target else os.path.join(_ROOT, name)
        assert os.path.exists(path), '{} links to {}'.format(name, target)
        if anchor:
            assert anchor in _anchors(_read(path)), '{} links to {}#{}'.format(name, target, anchor)


def _anchors(text):
    """Returns the anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r'^#+ (.+)$', re.sub(r'```.*?```', '', text, flags=re.DOTALL), re.MULTILINE)
    return [re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings]


def test_the_readme_is_short():
    assert len(_read('README.md').splitlines()) <= 130


def test_the_gallery_is_made_of_its_runs_and_its_pictures_are_small():
    import json
    from tools import gallery
    runs = json.loads(_read('docs', 'gallery', 'runs.json'))
    assert _read('docs', 'gallery.md') == gallery.page(runs), 'python -m tools.gallery --page writes it'
    pictures = {}
    for run in runs:
        with open(os.path.join(gallery.FOLDER, run['name'] + '.jpg'), 'rb') as picture:
            pictures[run['name']] = picture.read()
        assert len(pictures[run['name']]) < 70000
    assert pictures['exported'] == pictures['unfrozen'] != pictures['raw'], 'as the page says'
    assert sorted(os.listdir(gallery.FOLDER)) == sorted(['runs.json'] + [name + '.jpg' for name in pictures])
