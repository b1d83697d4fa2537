"""Where the weights of a model of TensorFlow 2 come from: a checkpoint, and nowhere else.

Not for: which variable is which tensor of it (``_names``).
"""
import contextlib
import functools
import os
import sys

from od_patch import _tensorflow

_MOBILENET = 'object_detection.models.keras_models.mobilenet_v2'


@contextlib.contextmanager
def without_downloads():
    """Context in which a model is built without the weights of ImageNet, which its checkpoint replaces anyway.

    CenterNet's MobileNets are built with them, also where they are exported, and a server has no way out for it.
    """
    module = sys.modules.get(_MOBILENET)
    original = getattr(module, 'mobilenet_v2', None)
    if original is None:
        yield
        return

    @functools.wraps(original)
    def mobilenet_v2(*args, **kwargs):
        if kwargs.get('weights') == 'imagenet':
            kwargs['weights'] = None
        return original(*args, **kwargs)

    module.mobilenet_v2 = mobilenet_v2
    try:
        yield
    finally:
        module.mobilenet_v2 = original


def folder_of(prefix, temporary):
    """Returns a folder whose newest checkpoint is the one that is meant: the exporter takes the newest of a folder.

    Args:
        prefix: str, the checkpoint; temporary: str, where to make the folder, which holds no copy of it.
    """
    folder = os.path.join(temporary, 'chosen')
    _tensorflow.gfile().MakeDirs(folder)
    path = prefix if '://' in prefix else os.path.abspath(prefix)
    with open(os.path.join(folder, 'checkpoint'), 'w', encoding='utf-8', newline='\n') as state:
        state.write('model_checkpoint_path: "{}"\n'.format(path.replace('\\', '\\\\').replace('"', '\\"')))
    return folder
