"""The shapes detector of ``examples/shapes``: a trained model, small enough for tests."""
import importlib.util
import os

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

FOLDER = os.path.join(_ROOT, 'examples', 'shapes')  # stands for its checkpoint, too
CHECKPOINT = os.path.join(FOLDER, 'model.ckpt-4100')
CONFIG = os.path.join(FOLDER, 'shapes_ssd_mobilenet_v1.config')
LABEL_MAP = os.path.join(FOLDER, 'shapes_label_map.pbtxt')
OUTPUTS = ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections']


def drawings():
    """Returns the module that draws what the detector was trained on; the example is a folder of scripts, no package."""
    spec = importlib.util.spec_from_file_location('drawings', os.path.join(FOLDER, 'drawings.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
