"""What to type where TensorFlow or the Object Detection API is missing or does not fit: lines for this very Python.

Each line is for a POSIX shell, on its own; what comes before lines is one paragraph.

Not for: whether something is missing; ``_environment`` asks that.
"""
import glob
import json
import os
import shlex
import shutil
import sys
import urllib.parse
import urllib.request

from od_patch import _platform
from od_patch import _text

_PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The release of the index. That it asks for other packages than an export imports is why it goes without, where those
# cannot be had.
API = 'tf-models-research-object-detection==2.8.0.post1'

# What an export imports under TensorFlow 1, by the version of Python; the locks are resolved from the same.
OF_TENSORFLOW_1 = {
    '3.6': ['tensorflow==1.12.0', 'numpy==1.16.6', 'protobuf==3.17.3', 'h5py==2.10.0', 'lxml', 'contextlib2', 'pillow',
            'matplotlib'],
    '3.7': ['tensorflow==1.15.5', 'numpy==1.18.5', 'tf_slim==1.1.0', 'scipy', 'protobuf==3.17.3', 'h5py==2.10.0',
            'lxml', 'contextlib2', 'pillow', 'matplotlib'],
}

_MODELS = 'https://github.com/tensorflow/models'
# The first TensorFlow that a state of the models repo is for, and how to get that state.
_STATES = (
    ('1.15', 'git clone --filter=blob:none {0} && git -C models checkout bf2d1354'.format(_MODELS)),
    ('1.13', 'git clone --depth=1 --branch=v1.13.0 {0}'.format(_MODELS)),
    ('', 'git clone --depth=1 --branch=v1.12.0 {0}'.format(_MODELS)),
)


def python():
    """Returns the word that runs this Python in the user's shell, as str."""
    word = _text.program('python')
    return word if word == 'python' and shutil.which(word) else shlex.quote(sys.executable)


def pip_install(*words):
    """Returns the line that installs into this Python.

    Args:
        words: str, requirements and options of pip's.
    """
    return '{} -m pip install {}'.format(python(), ' '.join(map(_quoted, words)))


def install_tensorflow():
    """Returns the remedy for a Python without TensorFlow."""
    own = '{}.{}'.format(*sys.version_info)
    if own in OF_TENSORFLOW_1:
        return 'Install one, and what the Object Detection API imports besides:\n  {}'.format(
            pip_install(*OF_TENSORFLOW_1[own]))
    return 'Install one, with the Object Detection API of 2022:\n  {}\n{}'.format(
        '\n  '.join(install_api()), _for_2018())


def install_api():
    """Returns the lines that install the OD API from the index, beside TensorFlow 2, as a list of str."""
    line = pip_install('{}[object-detection]'.format(_od_patch() or 'od-patch'))
    return [line if extra_has_api() else '{} && {}'.format(line, pip_install('--no-deps', API))]


def extra_has_api(version=None, system=None, machine=None):
    """Returns whether ``od-patch[object-detection]`` brings the OD API here, as the marker in setup.cfg says.

    Args:
        version, system, machine: those of another machine: ``sys.version_info``, ``_platform.sys_platform()``,
            ``_platform.machine()``.
    """
    version, system = version or sys.version_info, system or _platform.sys_platform()
    return (3, 9) <= tuple(version[:2]) < (3, 13) and (
        system == 'linux' or (machine or _platform.machine()) == 'arm64')


def get_api(tensorflow_version, compile_command):
    """Returns the remedy for a Python that has TensorFlow and no OD API.

    Args:
        tensorflow_version: str.
        compile_command: function from a folder research to the line that compiles its protos.
    """
    checkout = [checkout_line(tensorflow_version), '({})'.format(compile_command(os.path.join('models', 'research'))),
                'export PYTHONPATH=$PYTHONPATH:$PWD/models/research:$PWD/models/research/slim']
    if tensorflow_version.startswith('1.'):
        return 'Get the one that goes with TensorFlow {}, and put it on the path:\n  {}'.format(
            tensorflow_version, '\n  '.join(checkout))
    return 'Install it:\n  {}\nOr get a checkout, and put it on the path:\n  {}'.format(
        '\n  '.join(install_api()), '\n  '.join(checkout))


def checkout_line(tensorflow_version):
    """Returns the line that clones the state of the models repo for a TensorFlow into the folder ``models``."""
    numbers = tuple(int(part) for part in tensorflow_version.split('.')[:2])
    return next(line for first, line in _STATES
                if not first or numbers >= tuple(int(part) for part in first.split('.')))


def replace_checkout(folder):
    """Returns the remedy for a checkout with ``tf.contrib`` under TensorFlow 2.

    Args:
        folder: str, its folder research.
    """
    return ('Use a release of 2020-05-26 or later: it exports the same checkpoints and configs here, without changes, '
            'unless the model needs code that was added to this checkout. Take the checkout off the path, and install '
            'the other:\n  {}\n{}'.format('\n  '.join(_off_the_path(folder) + install_api()), _for_2018()))


def _for_2018():
    """Returns how releases with ``tf.contrib`` run: in an environment of their own."""
    environment = os.path.join('.', 'tf112')
    pip = '{} -m pip install '.format(os.path.join(environment, 'bin', 'python'))
    return ('Or, for a checkout of before May 2020, such as r1.12.0, make an environment with TensorFlow 1.12, and '
            'export with its command (on Python 3.7: TensorFlow 1.15):\n  {}\n  {}'.format(
                'python3.6 -m venv {0} && {1}{2} && {1}{3}'.format(
                    environment, pip, _quoted('pip==21.3.1'),
                    ' '.join(map(_quoted, OF_TENSORFLOW_1['3.6'] + [_od_patch() or '/path/to/od-patch']))),
                os.path.join(environment, 'bin', 'export_inference_graph') + ' …'))


def _off_the_path(folder):
    """Returns the lines that take what lies in ``folder``, and slim beside it, off the path; [] where none can."""
    given = [entry for entry in os.environ.get('PYTHONPATH', '').split(os.pathsep) if entry]
    here = os.path.realpath(folder)
    kept = [entry for entry in given if not (os.path.realpath(entry) + os.sep).startswith(here + os.sep)]
    if kept == given:
        return []
    if not kept:
        return ['unset PYTHONPATH']
    return ['export PYTHONPATH=' + os.pathsep.join(map(shlex.quote, kept))]


def _od_patch():
    """Returns where pip gets od-patch from: a folder; None where it is installed and no folder is left."""
    parent = os.path.dirname(_PACKAGE_FOLDER)
    if os.path.isfile(os.path.join(parent, 'setup.cfg')):
        return parent
    for path in glob.glob(os.path.join(glob.escape(parent), 'od_patch-*.dist-info', 'direct_url.json')):
        with open(path, encoding='utf-8') as file:
            url = urllib.parse.urlsplit(json.load(file).get('url', ''))
        folder = urllib.request.url2pathname(url.path)
        if url.scheme == 'file' and os.path.isfile(os.path.join(folder, 'setup.cfg')):
            return folder
    return None


def _quoted(word):
    """A word for a shell, between double quotes where that is how people write it."""
    plain = shlex.quote(word)
    return '"{}"'.format(word) if plain != word and not set(word) & set('"$`\\!') else plain
