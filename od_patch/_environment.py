"""What is installed, and whether an export can run on it: the words of every refusal about the environment.

Asked before TensorFlow is imported where that is possible, so that a missing
piece is named at once and not by an ImportError out of the middle of something.

Not for: which exporter release it is (``_patching`` and ``_releases``).
"""
import importlib
import importlib.util
import os
import sys

from od_patch import _errors
from od_patch import _patching
from od_patch import legacy

_ON_PATH = ('Put the folder research of the models repo, and research/slim, on PYTHONPATH:\n'
            '  export PYTHONPATH=$PYTHONPATH:/path/to/models/research:/path/to/models/research/slim')


def require():
    """Checks that TensorFlow, the OD API, its compiled protos and slim's ``nets`` can be imported.

    Raises:
        od_patch.EnvironmentRefused: names the first that is missing, and the
            command that mends it.
    """
    if not _is_there('tensorflow'):
        raise _errors.EnvironmentRefused(
            'There is no TensorFlow in this Python ({}).'.format(sys.executable),
            'Install the TensorFlow that your detector was trained with, for r1.12.0: '
            '"python -m pip install tensorflow==1.12.0" on Python 3.6.')
    if not _is_there('object_detection'):
        raise _errors.EnvironmentRefused(
            'There is no Object Detection API: the package object_detection cannot be found.', _ON_PATH)
    if not _is_there('object_detection.protos.pipeline_pb2'):
        research = _research_folder()
        raise _errors.EnvironmentRefused(
            'The protos of the Object Detection API are not compiled: {} holds no pipeline_pb2.py.'.format(
                os.path.join(research, 'object_detection', 'protos')),
            'Compile them (protoc 3.0 or later; "apt-get install protobuf-compiler", or the package grpcio-tools):\n'
            '  cd {} && protoc object_detection/protos/*.proto --python_out=.'.format(research))
    if not _is_there('nets') and 'slim_folder' not in [bridge.name for bridge in legacy.needed()]:
        raise _errors.EnvironmentRefused(
            'The package nets of slim cannot be found, which the feature extractors are built from.', _ON_PATH)


def import_exporter():
    """Imports and returns ``object_detection.exporter``.

    Raises:
        od_patch.EnvironmentRefused: it does not fit the TensorFlow that is
            installed, or something that it imports is missing.
    """
    try:
        with legacy.tf1_behaviour():
            return importlib.import_module(_patching.EXPORTER)
    except (ImportError, AttributeError) as error:
        raise _explained(error)


def _explained(error):
    """Returns the refusal for an error that came out of importing the exporter."""
    import tensorflow
    version = getattr(tensorflow, '__version__', 'of an unknown version')
    text = str(error)
    if 'contrib' in text:
        return _errors.EnvironmentRefused(
            'This release of the Object Detection API needs tf.contrib, which TensorFlow {} does not have ({}).'.format(
                version, text),
            'Use TensorFlow 1.x: 1.12.0 on Python 3.6 for r1.12.0, 1.15 on Python 3.7 for releases of 2019.')
    missing = error.name if isinstance(error, ImportError) else None
    if missing and not missing.startswith('object_detection'):
        package = _PACKAGES.get(missing.split('.')[0], missing.split('.')[0])
        return _errors.EnvironmentRefused(
            'The Object Detection API needs {}, which cannot be imported: {}.'.format(missing, text),
            'Install it: "python -m pip install {}".'.format(package))
    return _errors.EnvironmentRefused(
        'The Object Detection API in {} cannot be imported under TensorFlow {}: {}'.format(
            _research_folder(), version, text),
        'Check that TensorFlow and the models repo are of the same time (the table in the README), '
        'and that the protos were compiled with a protoc no newer than the installed protobuf.')


# Where the package index has another name than the import statement.
_PACKAGES = {'PIL': 'pillow', 'skimage': 'scikit-image', 'cv2': 'opencv-python'}


def _is_there(name):
    """Returns whether a module could be imported; its parent packages are imported for that, itself is not."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return name in sys.modules


def _research_folder():
    """Returns the folder that the OD API was found in."""
    spec = importlib.util.find_spec('object_detection')
    for folder in list(spec.submodule_search_locations or []):
        return os.path.dirname(os.path.abspath(folder))
    return '.'
