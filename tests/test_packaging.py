"""od-patch as pip gets it: the sdist, the wheel, and a folder, by the pip of each time."""
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import od_patch
from tests.support import needs

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What a wheel holds of the folder od_patch.
_ENDINGS = ('.py', '.pyi', '.html', '.css', '.json.gz', 'py.typed')

# The pip of TensorFlow 1.12's first users, the one that Python 3.6's venv brings, its last, and today's.
_PIPS = [(sys.executable, 'pip==9.0.3', ['setuptools==40.6.2', 'wheel==0.37.1'], 'folder'),
         (sys.executable, 'pip==18.1', ['setuptools==40.6.2', 'wheel==0.37.1'], 'folder'),
         (sys.executable, 'pip==21.3.1', ['setuptools==59.6.0', 'wheel==0.37.1'], 'sdist'),
         ('>=3.10', 'pip', ['setuptools', 'wheel'], 'wheel')]


def _run(*command, **settings):
    # What this process runs under is none of theirs; pip's own settings of the machine are.
    environment = {name: value for name, value in os.environ.items() if not name.startswith('PYTHON')}
    done = subprocess.run(list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, **settings)
    text = done.stdout.decode('utf-8', 'replace')
    assert done.returncode == 0, '{}\n{}'.format(' '.join(command), text)
    return text


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of what the repository holds, since building writes beside the sources."""
    folder = str(tmp_path_factory.mktemp('packaging') / 'od-patch')
    shutil.copytree(_ROOT, folder, ignore=shutil.ignore_patterns(
        '.git', '.tox', 'out', 'build', 'dist', '*.egg-info', '__pycache__', '.hypothesis', '.*_cache'))
    return folder


@pytest.fixture(scope='module')
def sdist(source):
    _run(sys.executable, 'setup.py', '--quiet', 'sdist', cwd=source)
    name, = os.listdir(os.path.join(source, 'dist'))
    return os.path.join(source, 'dist', name)


@pytest.fixture(scope='module')
def wheel(sdist, tmp_path_factory):
    """Built from the sdist, which therefore has all that it takes."""
    folder = str(tmp_path_factory.mktemp('wheel'))
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    unpacked, = os.listdir(folder)
    _run(sys.executable, 'setup.py', '--quiet', 'bdist_wheel', '--dist-dir', folder, cwd=os.path.join(folder, unpacked))
    name, = [name for name in os.listdir(folder) if name.endswith('.whl')]
    return os.path.join(folder, name)


def test_the_setup_script_says_nothing_that_setup_cfg_says():
    with open(os.path.join(_ROOT, 'setup.py')) as script:
        assert script.read().splitlines() == ['import setuptools', 'setuptools.setup()']


def test_sdist_and_wheel_have_this_version_and_all_of_the_package(sdist, wheel):
    assert os.path.basename(sdist) in ('od-patch-{}.tar.gz'.format(od_patch.__version__),
                                       'od_patch-{}.tar.gz'.format(od_patch.__version__))
    assert os.path.basename(wheel) == 'od_patch-{}-py3-none-any.whl'.format(od_patch.__version__)
    expected = sorted(os.path.relpath(os.path.join(folder, name), _ROOT)
                      for folder, _, names in os.walk(os.path.join(_ROOT, 'od_patch'))
                      for name in names if name.endswith(_ENDINGS))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert sorted(name for name in names if '.dist-info/' not in name) == expected
    assert any(name.endswith('.dist-info/LICENSE') for name in names)


@pytest.mark.parametrize('python, pip, builders, form', _PIPS, ids=['9', '18.1', '21.3', 'newest'])
def test_each_pip_installs_it(python, pip, builders, form, source, sdist, wheel, tmp_path):
    """With what builds it already there: pip would fetch that, and not otherwise than for any package."""
    uv = os.environ.get('OD_PATCH_UV', '')
    if not os.path.exists(uv):
        needs.missing('OD_PATCH_UV names no uv ({!r}), which makes environments with any pip'.format(uv))
    if subprocess.call([uv, 'python', 'find', '--quiet', python], stdout=subprocess.DEVNULL, cwd=_ROOT):
        needs.missing('there is no Python {}, which today\'s pip needs'.format(python))
    environment = str(tmp_path / 'venv')
    _run(uv, 'venv', '--quiet', '--python', python, environment, cwd=_ROOT)
    executable = os.path.join(environment, 'bin', 'python')
    settings = configparser.ConfigParser()
    settings.read(os.path.join(source, 'setup.cfg'))
    needed = [line for line in settings['options']['install_requires'].splitlines() if line]
    _run(uv, 'pip', 'install', '--quiet', '--python', executable, pip, *(builders + needed))
    isolation = ['--no-build-isolation'] if form != 'wheel' and pip != 'pip==9.0.3' else []
    said = _run(executable, '-m', 'pip', 'install', '--no-deps', '--no-index',
                *(isolation + [{'folder': source, 'sdist': sdist, 'wheel': wheel}[form]]), cwd=str(tmp_path))
    assert 'Successfully installed od-patch-' + od_patch.__version__ in said.replace('od_patch', 'od-patch')
    for command in 'od-patch', 'export_inference_graph':
        said = _run(os.path.join(environment, 'bin', command), '--version', cwd=str(tmp_path))
        assert re.match(r'od-patch,?( version)? {}$'.format(re.escape(od_patch.__version__)), said.strip()), said
    assert _run(executable, '-m', 'pip', 'check', cwd=str(tmp_path)).strip() == 'No broken requirements found.'
