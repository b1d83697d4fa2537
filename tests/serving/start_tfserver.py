"""Starts tfserver, a server of the package index:  python start_tfserver.py FOLDER_OF_MODELS PORT

It was written for TensorFlow 1.13 and later, and looks for three names where TensorFlow 1.12 does not have them yet;
and its sessions run one operation at a time; nothing else of either is changed. Run by ``servers``.
"""
import os
import sys

import one_operation
import tensorflow

if not hasattr(tensorflow.compat, 'v1'):
    tensorflow.compat.v1 = tensorflow
    tensorflow.saved_model.SERVING = tensorflow.saved_model.tag_constants.SERVING
    tensorflow.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY = (
        tensorflow.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY)

one_operation.at_a_time()

import skitai  # noqa: E402
import tfserver  # noqa: E402

if __name__ == '__main__':
    models, port = sys.argv[1], int(sys.argv[2])
    del sys.argv[1:]  # skitai reads them, too
    app = os.path.join(os.path.dirname(tfserver.__file__), 'export', 'skitai', '__export__.py')
    with skitai.preference() as preference:
        tfserver.add_models_from_directory(models)
        skitai.mount('/', app, 'app', preference)
    skitai.run(address='127.0.0.1', port=port, name='tfserver', workers=1)
