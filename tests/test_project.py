"""What the project says of itself: the README's commands, the table of pins, the version."""
import os
import re

import od_patch
from od_patch import _releases

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _read(*path):
    with open(os.path.join(_ROOT, *path), encoding='utf-8') as text_file:
        return text_file.read()


def test_ci_runs_the_readmes_test_command():
    command = _read('.ci', 'run').strip().splitlines()[-1]
    assert command in _read('README.md').splitlines()


def test_the_readmes_table_has_every_pin():
    rows = re.findall(r'^\| ([\w.-]+) \| (\w+|after 2021) \| `(\w{40})` \| (TF 1.x|TF 1.15) \|', _read('README.md'),
                      re.MULTILINE)
    assert rows == [(release.name, release.commit, release.exporter_blob, 'TF 1.x' if release.needs_contrib else 'TF 1.15')
                    for release in _releases.RELEASES]


def test_the_changelog_has_this_version():
    assert '## [{}]'.format(od_patch.__version__) in _read('CHANGELOG.md')


def test_every_refusal_is_in_the_public_api():
    from od_patch import _errors
    for name, value in vars(_errors).items():
        if isinstance(value, type):
            assert getattr(od_patch, name) is value and name in od_patch.__all__


def test_links_between_the_documents_lead_somewhere():
    for name in ('README.md', 'CONTRIBUTING.md', 'docs/troubleshooting.md', 'docs/compare.md', 'docs/verify.md',
                 'patches/README.md', 'examples/shapes/README.md'):
        for target in re.findall(r'\]\((?!http)([^)#]+)', _read(*name.split('/'))):
            path = os.path.join(_ROOT, os.path.dirname(name), target)
            assert os.path.exists(path), '{} links to {}'.format(name, target)
