"""Runs the SavedModel of an export in this Python's TensorFlow, for a test in another one's.

``python -m tests.support.outputs SAVED_MODEL IMAGES.npy OUT.npz``

Not for: models of this Python's own tests; ``parity`` runs those.
"""
import sys

import numpy as np

from tests.support import parity


def main(saved_model, images, out):
    outputs, _ = parity.run_saved_model(saved_model, {'inputs': np.load(images)})
    np.savez(out, **outputs)


if __name__ == '__main__':
    main(*sys.argv[1:])
