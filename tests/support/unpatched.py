"""Runs the release's own export script without od-patch's patch: ``python -m tests.support.unpatched FLAGS…``.

On TensorFlow 2 only the bridges are on, since without them the release's script
cannot be imported there. On TensorFlow 1 this is the script and nothing else.

Not for: what od-patch writes; that is ``od_patch.export_inference_graph``.
"""
import importlib
import sys

from absl import flags

from od_patch import legacy


def main():
    with legacy.on(), legacy.tf1_behaviour():
        script = importlib.import_module('object_detection.export_inference_graph')
        flags.FLAGS(sys.argv)
        script.main(sys.argv[:1])


if __name__ == '__main__':
    main()
