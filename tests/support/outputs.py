"""Runs the SavedModels of exports in this Python's TensorFlow, for a test in another one's.

``python -m tests.support.outputs IMAGES.npy SAVED_MODEL OUT.npz …``

Not for: models of this Python's own tests; ``parity`` runs those.
"""
import sys

import numpy as np

from tests.support import parity


def main(images, *paths):
    for saved_model, out in zip(paths[::2], paths[1::2]):
        outputs, _ = parity.run_saved_model(saved_model, {'inputs': np.load(images)})
        np.savez(out, **outputs)


if __name__ == '__main__':
    main(*sys.argv[1:])
