"""Runs an exported detector, SavedModel or frozen graph, on images: the one place where the example meets a session.

One code path for TensorFlow 1.x and 2.x: everything goes through `tf.compat.v1` where there is one. The OD API is not
needed. Only exports with `--input_type=image_tensor` can be run; reading images is the caller's business.
"""

import os

import numpy as np

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # Before the import: what the C++ side says about this CPU.

import tensorflow  # noqa: E402

tf = getattr(tensorflow.compat, 'v1', tensorflow)  # TF 1.12 has no compat.v1 yet.
tf.logging.set_verbosity(tf.logging.ERROR)

OUTPUTS = ('detection_boxes', 'detection_scores', 'detection_classes', 'num_detections')


class ModelError(Exception):
    """What was given cannot be run here; the text says why and what to type next."""


class Detector(object):
    """A loaded export. A context manager: leaving it closes the session."""

    def __init__(self, session, input_tensor, output_tensors):
        if input_tensor.dtype.base_dtype != tf.uint8:
            raise ModelError('the input {} takes {}, and only uint8 images can be given to it here. Export with '
                             '--input_type=image_tensor.'.format(input_tensor.name, input_tensor.dtype.base_dtype.name))
        self._session = session
        self._input = input_tensor
        self._outputs = output_tensors

    @classmethod
    def from_saved_model(cls, folder):
        if not os.path.isfile(os.path.join(folder, 'saved_model.pb')):
            raise ModelError('{} holds no saved_model.pb. Give the saved_model folder of an export, such as '
                             'EXPORT/saved_model.'.format(folder))
        graph = tf.Graph()
        with graph.as_default():
            session = tf.Session(graph=graph)
            meta_graph = tf.saved_model.loader.load(session, ['serve'], folder)
        signature = meta_graph.signature_def['serving_default']
        missing = [name for name in OUTPUTS if name not in signature.outputs]
        if missing or 'inputs' not in signature.inputs:
            raise ModelError('the serving_default signature of {} has the inputs {} and the outputs {}; expected were '
                             'inputs and {}.'.format(folder, ', '.join(sorted(signature.inputs)),
                                                     ', '.join(sorted(signature.outputs)), ', '.join(OUTPUTS)))
        return cls(session, graph.get_tensor_by_name(signature.inputs['inputs'].name),
                   {name: graph.get_tensor_by_name(signature.outputs[name].name) for name in OUTPUTS})

    @classmethod
    def from_frozen_graph(cls, path):
        if not os.path.isfile(path):
            raise ModelError('{} is no file. Give the frozen_inference_graph.pb of an export.'.format(path))
        graph_def = tf.GraphDef()
        with open(path, 'rb') as stream:
            graph_def.ParseFromString(stream.read())
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(graph_def, name='')
        try:
            return cls(tf.Session(graph=graph), graph.get_tensor_by_name('image_tensor:0'),
                       {name: graph.get_tensor_by_name(name + ':0') for name in OUTPUTS})
        except KeyError as error:
            raise ModelError('{}: {} Export with --input_type=image_tensor.'.format(path, error.args[0]))

    def detect(self, image):
        """Runs one image.

        Args:
            image: uint8 [height, width, 3], RGB.

        Returns:
            (boxes, scores, classes): float32 [N, 4] of ymin, xmin, ymax, xmax between 0 and 1, float32 [N] in falling
            order, int64 [N].
        """
        result = self._session.run(self._outputs, {self._input: np.asarray(image, np.uint8)[None]})
        count = int(result['num_detections'][0])
        return (result['detection_boxes'][0][:count], result['detection_scores'][0][:count],
                result['detection_classes'][0][:count].astype(np.int64))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._session.close()
