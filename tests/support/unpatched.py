"""Runs the release's own export script without od-patch's patch: ``python -m tests.support.unpatched FLAGS…``.

On TensorFlow 2 only the bridges are on, since without them the release's script
cannot be imported there; and AutoGraph converts nothing, which is half of such an export's time, but where the
environment variable OD_PATCH_AUTOGRAPH asks for it. On TensorFlow 1 this is the script and nothing else.

Not for: what od-patch writes; that is ``od_patch.export_inference_graph``.
"""
import importlib
import os
import sys

from absl import flags
import tensorflow

from od_patch import legacy


def main():
    with legacy.on(), legacy.tf1_behaviour():
        script = importlib.import_module('object_detection.export_inference_graph')
        flags.FLAGS(sys.argv)
        run = script.main
        if not tensorflow.__version__.startswith('1.') and not os.environ.get('OD_PATCH_AUTOGRAPH'):
            run = tensorflow.autograph.experimental.do_not_convert(run)
        run(sys.argv[:1])


if __name__ == '__main__':
    main()
