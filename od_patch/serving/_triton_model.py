"""Runs a SavedModel for Triton's Python backend; od-patch puts this file, as model.py, beside the SavedModel.

Requests whose images have one size go through the model together. It needs TensorFlow 1.12 or later, and no od-patch.
"""
import json
import os
import sys

# The backend's Python may leave out what PYTHONPATH names.
sys.path.extend(path for path in os.environ.get('PYTHONPATH', '').split(os.pathsep) if path and path not in sys.path)

import numpy  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    """The signature serving_default; Triton looks for a class of this name."""

    def initialize(self, args):
        import tensorflow
        tf = getattr(tensorflow.compat, 'v1', tensorflow)
        config = json.loads(args['model_config'])
        self._strings = {entry['name'] for entry in config['input'] if entry['data_type'] == 'TYPE_STRING'}
        self._batched = config['max_batch_size'] > 0
        folder = os.path.join(args['model_repository'], args['model_version'])
        self._session = tf.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            signature = tf.saved_model.loader.load(self._session, ['serve'], folder).signature_def['serving_default']
        self._inputs = {key: info.name for key, info in signature.inputs.items()}
        self._outputs = {output['name']: signature.outputs[output['name']].name for output in config['output']}

    def execute(self, requests):
        given = [{key: self._array(request, key) for key in self._inputs}
                 for request in requests]
        groups = {}
        for place, arrays in enumerate(given):
            rest = tuple(sorted((key, array.shape[1:]) for key, array in arrays.items()))
            groups.setdefault(rest if self._batched else place, []).append(place)
        responses = [None] * len(requests)
        for places in groups.values():
            for place, response in zip(places, self._answers([given[place] for place in places])):
                responses[place] = response
        return responses

    def _array(self, request, key):
        """An input; numbers by DLPack, as the backend makes numpy's arrays as numpy 1 lays them out."""
        tensor = triton.get_input_tensor_by_name(request, key)
        by_numpy = key in self._strings or not hasattr(numpy, 'from_dlpack')
        return tensor.as_numpy() if by_numpy else numpy.from_dlpack(tensor)

    def _answers(self, given):
        """Responses to requests that go through the model together."""
        try:
            found = self._session.run(self._outputs, {
                name: numpy.concatenate([arrays[key] for arrays in given]) if len(given) > 1 else given[0][key]
                for key, name in self._inputs.items()})
        except Exception as error:  # pylint: disable=broad-except  (TensorFlow's kinds are many; the server goes on)
            if len(given) > 1:
                return [response for arrays in given for response in self._answers([arrays])]
            return [triton.InferenceResponse(output_tensors=[], error=triton.TritonError(str(error)))]
        ends = numpy.cumsum([len(next(iter(arrays.values()))) for arrays in given])[:-1] if len(given) > 1 else []
        parts = {key: numpy.split(value, ends) if len(given) > 1 else [value] for key, value in found.items()}
        return [triton.InferenceResponse(output_tensors=[_tensor(key, parts[key][place]) for key in sorted(parts)])
                for place in range(len(given))]

    def finalize(self):
        self._session.close()


def _tensor(name, value):
    value = numpy.ascontiguousarray(value)  # by DLPack, as in _array
    return triton.Tensor(name, value) if value.dtype == object else triton.Tensor.from_dlpack(name, value)
