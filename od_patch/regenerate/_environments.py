"""Environments with a TensorFlow of 1.4 to 1.15, made for a search by the Pythons that the machine has, and kept.

Nothing of od-patch is in them, and what they run gets no variable of this
process that Python or TensorFlow obeys. Which packages go together is a small
table: it names what was found to run the releases' exporters, and the installer
resolves the rest; what it took is written down (``Environment.packages``).
"""
import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from od_patch import _errors
from od_patch import _text

# One build of each minor release: compare's table of ops knows minor releases only.
TENSORFLOWS = ('1.4.1', '1.5.0', '1.6.0', '1.7.0', '1.8.0', '1.9.0', '1.10.0', '1.11.0', '1.12.0', '1.13.1', '1.14.0',
               '1.15.0')
PYTHONS = ('3.6', '2.7', '3.7')
# What goes with TensorFlow, by the Python: the last that has wheels for it and that these TensorFlows run on. Of numpy
# and setuptools some TensorFlows say more themselves. 1.39 is the last grpcio-tools for Python 2.7; its protoc writes
# code that protobuf 3.17 reads.
_COMMON = ['protobuf==3.17.3', 'six==1.17.0', 'grpcio==1.39.0', 'grpcio-tools==1.39.0', 'setuptools<60']
_PACKAGES = {
    '2.7': _COMMON + ['numpy<1.17', 'Pillow==6.2.2', 'matplotlib==2.2.5', 'lxml==4.9.4', 'contextlib2==0.6.0.post1'],
    '3.6': _COMMON + ['numpy<1.17', 'Pillow==8.4.0', 'matplotlib==3.0.3', 'lxml==5.4.0', 'contextlib2==21.6.0'],
    '3.7': _COMMON + ['numpy<1.19', 'Pillow==9.5.0', 'matplotlib==3.0.3', 'lxml==5.4.0', 'contextlib2==21.6.0']}
_FROM_111 = ['h5py==2.10.0']
_FROM_115 = {'2.7': ['scipy==1.2.3', 'tf-slim==1.1.0'], '3.6': ['scipy==1.5.4', 'tf-slim==1.1.0'],
             '3.7': ['scipy==1.5.4', 'tf-slim==1.1.0']}
# What takes minutes and a compiler where no wheel is taken.
_WHEELS = 'grpcio,grpcio-tools,numpy,pillow,matplotlib,lxml,protobuf,tensorflow,h5py,scipy'
MEGABYTES = 400  # what an environment takes, about; a tenth of it is downloaded for 1.4, a third for 1.15
# All that a program gets of this process's environment. Python's variables would lead it into od-patch's packages.
_PASSED = re.compile(r'(PATH|HOME|USER|LOGNAME|TMPDIR|TEMP|TMP|TZ|LANG|LC_[A-Z]+|SYSTEMROOT|PYENV_ROOT)$')
_FOR_INSTALLERS = re.compile(r'(PIP_[A-Z_]+|UV_[A-Z_]+|https?_proxy|HTTPS?_PROXY|ALL_PROXY|NO_PROXY|no_proxy|'
                             r'SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|XDG_CACHE_HOME|CC|CFLAGS)$')
_VERSION = 'import sys; print("%d.%d" % sys.version_info[:2])'
_TENSORFLOW = ('import sys, tensorflow as tf; sys.stdout.write("\\n=%s %d.%d\\n" % '
               '((tf.__version__,) + sys.version_info[:2]))')


class Environment:
    """A Python with a TensorFlow.

    Attributes:
        name: str, such as ``tf1.5.0-py2.7``; tensorflow, python: str, versions.
        executable: str; site: str or None, the folder of its packages where it is no virtual environment.
        packages: list of str, ``name==version`` of all that is installed; empty where the user gave it.
    """

    def __init__(self, tensorflow, python, executable, site=None, packages=(), given=False):
        self.name = '{}tf{}-py{}'.format('given-' if given else '', tensorflow, python)
        self.tensorflow, self.python, self.executable = tensorflow, python, executable
        self.site, self.packages, self.given = site, list(packages), given

    def run(self, arguments, cwd=None, path=()):
        """Runs the Python with nothing of this process's environment that it would obey; returns (code, output).

        Args:
            path: list of str, the folders of PYTHONPATH.
        """
        environment = clean_environment(_PASSED)
        # Weights are equal whatever a GPU does, and its libraries are others.
        environment.update(CUDA_VISIBLE_DEVICES='', TF_CPP_MIN_LOG_LEVEL='2', PYTHONIOENCODING='utf-8',
                           PYTHONDONTWRITEBYTECODE='1', PYTHONNOUSERSITE='1')
        folders = list(path) + ([self.site] if self.site else [])
        if folders:
            environment['PYTHONPATH'] = os.pathsep.join(folders)
        return _run([self.executable] + list(arguments), environment, cwd)


def clean_environment(*patterns):
    """The variables of this process whose names match one of the patterns, and none that points at od-patch."""
    found = {name: value for name, value in os.environ.items() if any(pattern.match(name) for pattern in patterns)}
    found.setdefault('LANG', 'C.UTF-8')
    return found


def _run(command, environment, cwd=None):
    """(exit code, output); what it started goes with it when this process is interrupted."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   env=environment, cwd=cwd)
        try:
            process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        return process.returncode, output.read().decode('utf-8', 'replace')


def last_lines(text, most=12):
    """What to quote of a program's output."""
    return '\n'.join([line.rstrip() for line in text.strip().splitlines() if line.strip()][-most:])


def pythons():
    """{'3.6': path of a Python of that version} of this machine: the path, pyenv's, and the one that runs this."""
    found = {}
    root = os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv')
    for version in PYTHONS:
        places = sorted(glob.glob(os.path.join(glob.escape(root), 'versions', version + '*', 'bin', 'python')),
                        reverse=True)
        places += [place for place in [shutil.which('python' + version)] if place]
        if '{}.{}'.format(*sys.version_info) == version:
            places.append(os.path.realpath(sys.executable))
        for place in places:
            with contextlib.suppress(OSError):
                code, output = _run([place, '-c', _VERSION], clean_environment(_PASSED))
                if code == 0 and output.strip() == version:
                    found[version] = place
                    break
    return found


def minor(version):
    """'1.12' of '1.12.0', of '1.12.3' and of '1.12'."""
    return '.'.join(version.split('.')[:2])


def number(version):
    """(1, 12) of '1.12.0', to compare by."""
    return tuple(int(part) for part in minor(version).split('.'))


def packages(tensorflow, python):
    """What is asked of the installer."""
    wanted = ['tensorflow==' + tensorflow] + _PACKAGES[python]
    if number(tensorflow) >= (1, 11):
        wanted += _FROM_111
    if number(tensorflow) >= (1, 15):
        wanted += _FROM_115[python]
    return wanted


def has_wheel(tensorflow, python):
    """Whether the index has a wheel of this TensorFlow for this Python, as far as is known."""
    return python != '3.7' or number(tensorflow) >= (1, 13)


def name_of(tensorflow, python):
    return 'tf{}-py{}'.format(tensorflow, python)


def given(rows):
    """List of ``Environment`` of the user's own: ``VERSION=PATH``, each asked what it is.

    Raises:
        od_patch.UsageError: a row is none, or the Python there has no TensorFlow, or has another.
    """
    found = []
    for row in rows:
        version, equals, path = row.partition('=')
        path = os.path.expanduser(path)
        if not equals or not re.match(r'\d+\.\d+(\.\d+)?$', version) or not path:
            raise _errors.UsageError('--python: {!r} is not VERSION=PATH.'.format(row),
                                     'Give a TensorFlow and a Python that has it: --python 1.12=venv/bin/python')
        path = os.path.abspath(path)
        try:
            code, output = _run([path, '-c', _TENSORFLOW], clean_environment(_PASSED))
        except OSError as error:
            raise _errors.UsageError('--python: {} cannot be run: {}.'.format(path, error.strerror),
                                     'Give the path of a Python.')
        told = re.search(r'^=(\S+) (\d+\.\d+)$', output, re.MULTILINE)
        if code or not told:
            raise _errors.UsageError('--python: {} cannot import TensorFlow: {}'.format(path, last_lines(output, 3)),
                                     'Give the Python of an environment that has TensorFlow {}.'.format(version))
        if not (told.group(1) + '.').startswith(version + '.'):
            raise _errors.UsageError('--python: {} has TensorFlow {}, and {} was said.'.format(
                path, told.group(1), version), 'Give --python {}={}'.format(told.group(1), path))
        found.append(Environment(told.group(1), told.group(2), path, given=True))
    return found


def kept(cache, tensorflow, python):
    """The ``Environment`` that the cache holds, or None."""
    name = name_of(tensorflow, python)
    if not cache.has('environments', name):
        return None
    return _of(cache.path('environments', name), tensorflow, python, cache.facts('environments', name))


def _of(folder, tensorflow, python, facts):
    if python == '2.7':
        return Environment(tensorflow, python, facts.get('executable', ''), os.path.join(folder, 'packages'),
                           facts.get('packages', ()))
    return Environment(tensorflow, python, os.path.join(folder, 'bin', 'python'), None, facts.get('packages', ()))


def make(cache, tensorflow, python, executable):
    """Makes an environment and returns it; the cache keeps it.

    Raises:
        od_patch.EnvironmentRefused: the packages could not be had, or do not go together; with the installer's words.
    """
    def fill(folder):
        wanted = packages(tensorflow, python)
        for command in _commands(folder, python, executable, wanted):
            code, output = _run(command, clean_environment(_PASSED, _FOR_INSTALLERS))
            if code:
                raise _errors.EnvironmentRefused(
                    'The environment {} could not be made: {}'.format(name, last_lines(output, 6)),
                    'The command was:  {}\nWhere there is no network: od-patch uses what its cache has, and what '
                    '--python gives it.'.format(_text.command(command)))
        site = _site(folder, python)
        if python == '2.7' and os.path.isdir(os.path.join(site, 'google')):
            # A folder on PYTHONPATH whose .pth files nobody reads, which would make this a package.
            open(os.path.join(site, 'google', '__init__.py'), 'ab').close()
        facts = {'executable': executable, 'packages': _installed(site), 'tensorflow': tensorflow, 'python': python}
        code, output = _of(folder, tensorflow, python, facts).run(['-c', _TENSORFLOW])
        if code or '={} '.format(tensorflow) not in output:
            raise _errors.EnvironmentRefused(
                'TensorFlow {} does not start on Python {} here: {}'.format(tensorflow, python, last_lines(output, 4)),
                'The Python is {}.'.format(executable))
        return facts
    name = name_of(tensorflow, python)
    folder = cache.ensure('environments', name, fill)
    return _of(folder, tensorflow, python, cache.facts('environments', name))


def _commands(folder, python, executable, wanted):
    """What makes an environment and installs into it, command by command."""
    uv = os.environ.get('OD_PATCH_UV') or shutil.which('uv')
    if python == '2.7':  # has no venv, and uv knows no Python 2
        return [[executable, '-m', 'pip', 'install', '--disable-pip-version-check', '--no-warn-script-location',
                 '--only-binary', _WHEELS, '--target', os.path.join(folder, 'packages')] + wanted]
    inside = os.path.join(folder, 'bin', 'python')
    if uv:
        return [[uv, 'venv', '--python', executable, '--allow-existing', folder],
                [uv, 'pip', 'install', '--python', inside] + wanted]
    return [[executable, '-m', 'venv', folder],
            # The pip that Python 3.6 brings does not know the wheels of later years.
            [inside, '-m', 'pip', 'install', '--disable-pip-version-check', 'pip==21.3.1'],
            [inside, '-m', 'pip', 'install', '--disable-pip-version-check', '--only-binary', _WHEELS] + wanted]


def _site(folder, python):
    return os.path.join(folder, 'packages') if python == '2.7' else os.path.join(
        folder, 'lib', 'python' + python, 'site-packages')


def _installed(site):
    """Sorted list of ``name==version``, as the folders of the packages' metadata are called."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(site), '*-info')):
        match = re.match(r'(.+?)-(\d[^-]*?)(-py\d\.\d+)?\.(dist|egg)-info$', os.path.basename(path))
        if match:
            found[match.group(1).replace('_', '-')] = match.group(2)
    return ['{}=={}'.format(*row) for row in sorted(found.items(), key=lambda row: row[0].lower())]


def compile_protos(research, compilers):
    """Compiles the protos below a folder ``research`` that have no compiled form beside them.

    Args:
        compilers: list of ``Environment`` that may have protoc (grpcio-tools), the first that does is taken; else the
            program protoc of the path is.

    Raises:
        od_patch.EnvironmentRefused: none compiles; od_patch.InputRefused: a proto of the revision does not compile.
    """
    protos = sorted(os.path.relpath(path, research) for path in glob.glob(
        os.path.join(glob.escape(research), 'object_detection', 'protos', '*.proto'))
        if not os.path.exists(path[:-len('.proto')] + '_pb2.py'))
    if not protos:
        return
    for environment in compilers:
        code, _ = environment.run(['-c', 'import grpc_tools.protoc'])
        if code == 0:
            code, output = environment.run(['-m', 'grpc_tools.protoc', '--proto_path=.', '--python_out=.'] + protos,
                                           cwd=research)
            break
    else:
        protoc = shutil.which('protoc')
        if protoc is None:
            raise _errors.EnvironmentRefused(
                'Nothing here compiles the protos of the revision: there is no protoc, and no environment has '
                'grpcio-tools.', 'Install grpcio-tools==1.39.0 into the environment that --python names.')
        code, output = _run([protoc, '--proto_path=.', '--python_out=.'] + protos, clean_environment(_PASSED), research)
    if code:
        raise _errors.InputRefused('The protos of the revision do not compile: {}'.format(last_lines(output, 4)))
