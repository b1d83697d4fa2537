"""What is installed, and whether an export can run on it: the words of every refusal about the environment.

Asked before TensorFlow is imported where that is possible, so that a missing
piece is named at once and not by an ImportError out of the middle of something.

Not for: which exporter release it is (``_recognition`` and ``_releases``).
"""
import collections
import importlib
import importlib.util
import os
import shutil
import sys

from od_patch import _errors
from od_patch import _platform
from od_patch import _text
from od_patch import legacy
from od_patch.environment import _remedies
from od_patch.patch import _patching
from od_patch.releases import _releases

# What the import statement must find under these names, by a file that all releases have there.
_MEANT = collections.OrderedDict([
    # From 1.15 to 2.1, `tensorflow` is a module alone, and all that it shows lies in a package beside it.
    ('tensorflow', ('TensorFlow', ('python', 'core', '_api', os.path.join('..', 'tensorflow_core')))),
    ('object_detection', ('the Object Detection API', ('exporter.py', 'exporter_main_v2.py'))),
    ('nets', ('slim of the models repo', ('mobilenet_v1.py', 'inception_v2.py', 'resnet_v1.py', 'mobilenet'))),
])


def require():
    """Checks that an export can begin: TensorFlow, the OD API, its compiled protos, slim's ``nets``, what they import.

    Raises:
        od_patch.EnvironmentRefused: names the first that is missing, and the
            command that mends it.
    """
    for problem in problems():
        raise problem


def problems():
    """Yields an ``EnvironmentRefused`` for everything that is in the way of an export, the first cause first.

    Nothing of the OD API is imported, TensorFlow is.
    """
    shadows = [problem for problem in map(_shadow, _MEANT) if problem]
    if shadows:
        yield from shadows
        return
    if not _is_there('tensorflow'):
        yield _errors.EnvironmentRefused(
            'There is no TensorFlow in this Python ({}).'.format(sys.executable),
            _remedies.install_tensorflow())
        return
    if not _is_there('object_detection'):
        yield _errors.EnvironmentRefused(
            'There is no Object Detection API: the package object_detection cannot be found.', _on_path())
        return
    release = installed_release()
    yield from _contrib_problems(release)
    if not _is_there('object_detection.protos.pipeline_pb2'):
        yield _errors.EnvironmentRefused(
            'The protos of the Object Detection API are not compiled: {} holds no pipeline_pb2.py.'.format(
                os.path.join(research_folder(), 'object_detection', 'protos')),
            'Compile them:\n  ' + compile_command())
    if not _is_there('nets') and 'slim_folder' not in [bridge.name for bridge in legacy.needed()]:
        yield _errors.EnvironmentRefused(
            'The package nets of slim cannot be found, which the feature extractors are built from.', _on_path())
    missing = [module for module in _IMPORTED if not _is_there(module)]
    if missing and release and not release.needs_contrib:
        yield _missing_modules(missing)
    package = legacy.missing_layers()
    if package:
        yield _errors.EnvironmentRefused(
            'TensorFlow {} looks for the layers of tf.compat.v1, which the Object Detection API uses, in the package '
            '{}, which is not installed or has none.'.format(_tensorflow_version(), package),
            'Install the one of the same version:\n  ' + _remedies.pip_install('{}=={}.*'.format(
                package, '.'.join(_tensorflow_version().split('.')[:2]))))


def hidden(name):
    """Returns whether a module of the user's hides the one of that name that is meant."""
    return _shadow(name) is not None


def _shadow(name):
    """Returns the refusal of a user's module that the import statement finds in place of another; None for none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None:
        return None
    what, parts = _MEANT[name]
    folders = list(spec.submodule_search_locations or [])
    if any(os.path.exists(os.path.join(folder, part)) for folder in folders for part in parts):
        return None
    found = spec.origin if spec.origin not in (None, 'namespace') else ', '.join(folders)
    of_no_package = found == ', '.join(folders)  # any package of that name would come before it
    place = os.path.dirname(found.rstrip('/')) if not folders else os.path.dirname(folders[0].rstrip('/'))
    return _errors.EnvironmentRefused(
        '"import {}" finds {}, which is not {}: {}.'.format(
            name, found, what, 'the real one is not on the path' if of_no_package else 'it hides the real one'),
        'Rename it, or take {} off the path (the folder of the script and PYTHONPATH come first).{}'.format(
            place or os.getcwd(), '' if name == 'tensorflow' else ' ' + _on_path(of_no_package)))


def _on_path(is_missing=True):
    """Returns the remedy that puts the OD API and slim on the path; where there are none nearby, that gets them."""
    research = _research_nearby()
    if research is None and is_missing and _is_there('tensorflow') and not hidden('tensorflow'):
        return _remedies.get_api(_tensorflow_version(), compile_command)
    research = research or '/path/to/models/research'
    slim = next((folder for folder in (
        os.path.join(research, 'slim'), research, os.path.join(research, 'object_detection'))
        if os.path.isdir(os.path.join(folder, 'nets'))), os.path.join(research, 'slim'))
    folders = [research] + [slim] * (slim != research)
    return ('Put the folder research of the models repo, and research/slim, on PYTHONPATH:\n'
            '  {}'.format(_text.on_path('PYTHONPATH', folders)))


def _research_nearby():
    """Returns the folder research that is on the path, or that one stands in or below, as str; None for none."""
    folder = os.path.abspath(research_folder())
    candidates = [folder] if research_folder() != '.' else []
    here = os.getcwd()
    while True:
        candidates += [here, os.path.join(here, 'research')]
        if os.path.dirname(here) == here:
            break
        here = os.path.dirname(here)
    return next((folder for folder in candidates
                 if os.path.isfile(os.path.join(folder, 'object_detection', 'exporter.py'))), None)


def _contrib_problems(release):
    """A release that uses ``tf.contrib`` everywhere, on a TensorFlow without."""
    if release and release.needs_contrib and not _tensorflow_version().startswith('1.'):
        yield _errors.EnvironmentRefused(
            'This release of the Object Detection API ({}) needs tf.contrib, which TensorFlow {} does not have.'.format(
                release.name, _tensorflow_version()),
            _remedies.replace_checkout(research_folder()))


def installed_release():
    """Returns the ``Release`` of the OD API on the path, None for one that is not pinned. Imports none of it."""
    source = exporter_source()
    return _releases.find(_releases.blob_id(source)) if source else None


def exporter_source():
    """Returns the source of the ``exporter.py`` on the path as bytes; None where there is none."""
    path = os.path.join(research_folder(), 'object_detection', 'exporter.py')
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as source:
        return source.read()


def compile_command(folder=None):
    """Returns the command that compiles the protos of the OD API on the path, or in a folder research, for a shell.

    Without a protoc on the machine, one is fetched into a folder of its own:
    grpcio-tools would replace the installed protobuf. TensorFlow 1's protobuf
    does not run what newer protocs write; on TensorFlow 2 any will do.
    """
    compile_protos = '{} object_detection/protos/*.proto --python_out=.'
    folder, python = folder or research_folder(), _remedies.python()
    tools = 'grpcio-tools' if not _tensorflow_version().startswith('1.') else 'grpcio-tools==1.38.1'
    if _platform.shell() != 'sh':  # no shell of Windows writes out a pattern, and no two join commands alike
        return _text.in_folder(folder, _text.python(
            _PROTOC.format("['protoc']") if shutil.which('protoc') else _FETCHED_PROTOC.format(tools)))
    if shutil.which('protoc'):
        return _text.in_folder(folder, compile_protos.format('protoc'))
    # A folder that nobody else can have put modules into.
    return 'PROTOC=$(mktemp -d) && {} -m pip install --target="$PROTOC" {} && '.format(python, tools) + _text.in_folder(
        folder, compile_protos.format('PYTHONPATH="$PROTOC" {} -m grpc_tools.protoc -I.'.format(python)))


_PROTOC = ("import glob, os, subprocess, sys; sys.exit(subprocess.call({} + ['-I.', '--python_out=.'] + "
           "glob.glob('object_detection/protos/*.proto')))")
_FETCHED_PROTOC = (
    "import sys, subprocess, tempfile, os; made = tempfile.mkdtemp(); "
    "subprocess.check_call([sys.executable, '-m', 'pip', 'install', '--target', made, '{}']); "
    "os.environ['PYTHONPATH'] = made; " + _PROTOC.replace('{}', "[sys.executable, '-m', 'grpc_tools.protoc']"))


def import_exporter():
    """Imports and returns ``object_detection.exporter``.

    Raises:
        od_patch.EnvironmentRefused: it does not fit the TensorFlow that is
            installed, something that it imports is missing, or it was imported before in TensorFlow 2's way.
    """
    try:
        with legacy.tf1_behaviour():
            exporter = importlib.import_module(_patching.EXPORTER)
    except (ImportError, AttributeError) as error:
        raise _explained(error)
    _patching.check_half()
    return exporter


def _explained(error):
    """Returns the refusal for an error that came out of importing the exporter."""
    version = _tensorflow_version()
    text = str(error)
    if 'contrib' in text:
        return _errors.EnvironmentRefused(
            'This release of the Object Detection API needs tf.contrib, which TensorFlow {} does not have ({}).'.format(
                version, text),
            _remedies.replace_checkout(research_folder()))
    missing = error.name if isinstance(error, ImportError) else None
    package = (missing or '').partition('.')[0]
    if package not in ('', missing, 'object_detection') and _is_there(package):
        return _errors.EnvironmentRefused(
            'The Object Detection API needs {}, and the {} that is found, in {}, has none: {}'.format(
                missing, package, _origin(package), text),
            'Check that it is the one that is meant and of the time of the Object Detection API: a folder or file of '
            'that name that comes first on the path hides it.')
    if missing and missing.partition('.')[0] in _MEANT and missing != 'object_detection':
        return _errors.EnvironmentRefused(
            'The Object Detection API needs {}, which cannot be found: {}'.format(missing, text), _on_path())
    if missing and not missing.startswith('object_detection'):
        return _missing_modules([missing.split('.')[0]], ': {}'.format(text))
    return _errors.EnvironmentRefused(
        'The Object Detection API in {} cannot be imported under TensorFlow {}: {}'.format(
            research_folder(), version, text),
        'Check that TensorFlow and the models repo are of the same time (the table in docs/releases.md), '
        'and that the protos were compiled with a protoc no newer than the installed protobuf.')


# Where the package index has another name than the import statement.
_PACKAGES = {'PIL': 'pillow', 'skimage': 'scikit-image', 'cv2': 'opencv-python'}

# What importing the exporter of a release without contrib imports beside TensorFlow, as far as all of these do: asked
# for at once. What only some need is named when the import fails.
_IMPORTED = ('PIL', 'matplotlib', 'tf_slim')


def _missing_modules(modules, detail=''):
    packages = [_PACKAGES.get(module, module) for module in modules]
    return _errors.EnvironmentRefused(
        'The Object Detection API needs {}, which cannot be imported{}.'.format(', '.join(modules), detail),
        'Install {}:\n  {}'.format('it' if len(packages) == 1 else 'them', _remedies.pip_install(*packages)))


def _tensorflow_version():
    import tensorflow
    return tensorflow.__version__


def _is_there(name):
    """Returns whether a module could be imported; its parent packages are imported for that, itself is not."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):  # the last where a parent is no package, in Python 3.6
        return name in sys.modules


def _origin(package):
    """Returns where a package was found, as str."""
    spec = importlib.util.find_spec(package)
    return spec.origin if spec.origin not in (None, 'namespace') else ', '.join(spec.submodule_search_locations or [])


def research_folder():
    """Returns the folder that the OD API was found in, '.' where it was not."""
    spec = importlib.util.find_spec('object_detection')
    for folder in list(spec.submodule_search_locations or []) if spec else []:
        return os.path.dirname(os.path.abspath(folder))
    return '.'
