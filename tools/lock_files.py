"""The lock files: which Python, TensorFlow and Object Detection API go together, every package pinned.

    python tools/lock_files.py write [NAME…]     resolves the pairs anew: requirements/NAME.txt
    python tools/lock_files.py install [NAME…]   installs requirements/NAME.txt; default the pair of this Python's version
    python tools/lock_files.py vintage           prints the OD API that goes with it, for tools/assemble_models.py

The packages that hold the OD API are not in them: what those declare as their
requirements contradicts itself, and ``assemble_models.py`` takes their files only.
A lock is installed with --no-deps, so nothing is resolved a second time; by the uv that ``OD_PATCH_UV`` names, where
there is one, which takes a tenth of pip's time.

Not for: what the tests need (requirements/tests.txt), nor od-patch's own two dependencies.
"""
import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

Pair = collections.namedtuple('Pair', ['name', 'python', 'tensorflow', 'vintages', 'packages', 'of_this_python'])
Pair.__doc__ = """Versions that go together.

Attributes:
    name: str, of the lock file and of the tox environment.
    python: str, minor version.
    tensorflow: str.
    vintages: str, one letter for each vintage of assemble_models.py that is tested on it.
    packages: list of requirements that the lock is resolved from.
    of_this_python: bool, whether ``install`` takes it for this version of Python.
"""

# What the OD API imports for an export. The older Pythons need help: the newest releases that pip finds for them were
# not tried with these TensorFlows when they came out, or do not say that they do not go together.
_IMPORTED = ['pillow', 'matplotlib']
_OF_2018 = ['protobuf==3.17.3', 'h5py==2.10.0', 'lxml', 'contextlib2'] + _IMPORTED
_OF_2022 = ['tf_slim==1.1.0', 'scipy'] + _IMPORTED

PAIRS = (
    Pair('py36-tf112', '3.6', '1.12.0', 'ABC', ['tensorflow==1.12.0', 'numpy==1.16.6'] + _OF_2018, True),
    Pair('py37-tf115', '3.7', '1.15.5', 'D', ['tensorflow==1.15.5', 'numpy==1.18.5', 'tf_slim==1.1.0', 'scipy'] +
         _OF_2018, True),
    Pair('py38-tf213', '3.8', '2.13.1', 'D', ['tensorflow-cpu==2.13.1'] + _OF_2022, True),
    Pair('py39-tf220', '3.9', '2.20.0', 'D', ['tensorflow-cpu==2.20.0', 'tf_keras==2.20.*'] + _OF_2022, True),
    Pair('py310-tf215', '3.10', '2.15.1', 'D', ['tensorflow-cpu==2.15.1', 'tf_keras==2.15.*'] + _OF_2022, True),
    Pair('py311-tf212', '3.11', '2.12.1', 'D', ['tensorflow-cpu==2.12.1'] + _OF_2022, False),
    Pair('py311-tf221', '3.11', '2.21.0', 'D', ['tensorflow-cpu==2.21.0', 'tf_keras==2.21.*'] + _OF_2022, True),
    Pair('py312-tf221', '3.12', '2.21.0', 'D', ['tensorflow-cpu==2.21.0', 'tf_keras==2.21.*'] + _OF_2022, True),
    Pair('py313-tf221', '3.13', '2.21.0', 'D', ['tensorflow-cpu==2.21.0', 'tf_keras==2.21.*'] + _OF_2022, True),
    # A candidate, and the newest tf_keras that does not ask for an earlier TensorFlow.
    Pair('py314-tf222', '3.14', '2.22.0rc0', 'D', ['tensorflow-cpu==2.22.0rc0', 'tf_keras==2.16.0rc0'] + _OF_2022, True),
)

# What is run by hand: CI's machine has no such Python. `sh tox.sh run -e demo` takes them as the others.
BY_HAND = ('py314-tf222',)


def path_of(name):
    """Returns the path of a lock file."""
    return os.path.join(ROOT, 'requirements', name + '.txt')


def pair_of_this_python():
    """Returns the ``Pair`` that ``install`` takes for the running Python.

    Raises:
        SystemExit: there is none.
    """
    version = '{}.{}'.format(*sys.version_info)
    for pair in PAIRS:
        if pair.python == version and pair.of_this_python:
            return pair
    raise SystemExit('There is no lock file for Python {}; there are some for {}.'.format(
        version, ', '.join(sorted({pair.python for pair in PAIRS}, key=lambda text: int(text.split('.')[1])))))


def install(name):
    """Installs a lock into the running Python.

    Raises:
        subprocess.CalledProcessError: uv or pip failed, and has said why.
    """
    uv = os.environ.get('OD_PATCH_UV', '')
    installer = ([uv, 'pip', 'install', '--python', sys.executable] if os.path.exists(uv) else
                 [sys.executable, '-m', 'pip', 'install'])
    with open(path_of(name), encoding='utf-8') as lock:
        text = lock.read()
    if for_system(text, sys.platform) == text:
        subprocess.check_call(installer + ['--no-deps', '--requirement', path_of(name)])
        return
    folder = tempfile.mkdtemp(prefix='lock-')
    try:
        path = os.path.join(folder, name + '.txt')
        with open(path, 'w', encoding='utf-8', newline='\n') as lock:
            lock.write(for_system(text, sys.platform))
        subprocess.check_call(installer + ['--no-deps', '--requirement', path])
    finally:
        shutil.rmtree(folder)


def for_system(lock, system):
    """Returns the text of a lock for a system: macOS has wheels of ``tensorflow`` and none of ``tensorflow-cpu``."""
    if system == 'darwin' and re.search(r'^tensorflow==', lock, re.MULTILINE):
        return re.sub(r'^tensorflow[-_]cpu==.*\n', '', lock, flags=re.MULTILINE)
    return lock


def write(pair):
    """Resolves a pair in an environment of its own, and writes its lock file.

    Raises:
        subprocess.CalledProcessError: there is no such Python, or pip failed.
    """
    folder = tempfile.mkdtemp(prefix='lock-')
    try:
        subprocess.check_call(['python' + pair.python, '-m', 'venv', folder])
        python = os.path.join(folder, 'bin', 'python')
        if pair.python == '3.6':  # its own pip does not know today's wheels
            subprocess.check_call([python, '-m', 'pip', 'install', '--quiet', 'pip==21.3.1'])
        subprocess.check_call([python, '-m', 'pip', 'install', '--quiet'] + pair.packages)
        frozen = subprocess.check_output([python, '-m', 'pip', 'freeze']).decode()
    finally:
        shutil.rmtree(folder)
    lines = [line for line in frozen.splitlines() if re.match(r'[\w.-]+==', line)]
    with open(path_of(pair.name), 'w', encoding='utf-8', newline='\n') as lock:
        lock.write('# Python {}, TensorFlow {}, Object Detection API {}: resolved by tools/lock_files.py from\n'
                   '# {}\n'.format(pair.python, pair.tensorflow, ', '.join(pair.vintages), ' '.join(pair.packages)))
        lock.write('\n'.join(lines) + '\n')


def main():
    parser = argparse.ArgumentParser(description='Writes and installs the lock files of the supported versions.')
    parser.add_argument('command', choices=['write', 'install', 'vintage'])
    parser.add_argument('names', nargs='*', metavar='NAME',
                        help='which; default all to write, and to install the one of this Python')
    options = parser.parse_args()
    if options.command == 'install':
        for name in options.names or [pair_of_this_python().name]:
            install(name)
    elif options.command == 'vintage':
        print(pair_of_this_python().vintages[-1])
    else:
        for pair in PAIRS:
            if pair.name in options.names or not options.names:
                write(pair)


if __name__ == '__main__':
    main()
