"""What a model repository of Triton has beside the SavedModel: config.pbtxt, labels.txt, and model.py for each version.

Triton's own backend for TensorFlow is gone; its Python backend runs model.py
(``_triton_model``), which loads the SavedModel.

Not for: where they are written (``_archive``).
"""
import json
import os

from od_patch import _errors
from od_patch import _tensorflow
from od_patch.graphs import _servable
from od_patch.serving import _names

_LARGEST_BATCH = 8
_TYPES = {'uint8': 'UINT8', 'int8': 'INT8', 'int16': 'INT16', 'uint16': 'UINT16', 'int32': 'INT32', 'int64': 'INT64',
          'float16': 'FP16', 'float32': 'FP32', 'float64': 'FP64', 'bool': 'BOOL', 'string': 'STRING'}


def files(folder, name, version):
    """Returns {path in the repository: bytes} of what lies beside the SavedModel.

    Args:
        folder: str, a local SavedModel; name: str, of the model; version: int.

    Raises:
        od_patch.InputRefused: Triton has no word for the type or the shape of an input or output.
    """
    names = _names.read(folder)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '_triton_model.py'), 'rb') as file:
        program = file.read()
    found = {'{}/config.pbtxt'.format(name): config(_servable.Servable(folder), name, names).encode('utf-8'),
             '{}/{}/model.py'.format(name, version): program}
    if names:
        found['{}/labels.txt'.format(name)] = ''.join(
            '{} {}\n'.format(*row) for row in sorted(names.items())).encode('utf-8')
    return found


def config(servable, name, names):
    """Returns the text of config.pbtxt for the signature that is served.

    Args:
        servable: ``Servable``; name: str; names: dict from class id to name, which clients get as a parameter.
    """
    sides = [[(key, _type(key, info), _shape(key, info)) for key, info in sorted(infos.items())]
             for infos in (servable.signature.inputs, servable.signature.outputs)]
    # Triton's batch is the first dimension of all inputs and outputs, or of none.
    batched = all(shape and shape[0] < 0 for side in sides for _, _, shape in side)
    lines = ['name: {}'.format(_quoted(name)), 'backend: "python"',
             'max_batch_size: {}'.format(_LARGEST_BATCH if batched else 0)]
    for word, side in zip(('input', 'output'), sides):
        for key, kind, shape in side:
            dims = shape[1:] if batched else shape
            lines.append('{} {{ name: {} data_type: TYPE_{} {} }}'.format(word, _quoted(key), kind, 'dims: {}'.format(
                dims) if dims else 'dims: [1] reshape { shape: [] }'))
    lines.append('instance_group { kind: KIND_CPU count: 1 }')
    if batched and all(size > 0 for _, _, shape in sides[0] for size in shape[1:]):
        lines.append('dynamic_batching { }')
    if names:
        lines.append('parameters {{ key: "labels" value {{ string_value: {} }} }}'.format(
            _quoted(json.dumps(names, sort_keys=True))))
    return '\n'.join(lines) + '\n'


def _type(key, info):
    kind = _tensorflow.tf1().as_dtype(info.dtype).name
    if kind not in _TYPES:
        raise _errors.InputRefused('{} is of type {}, for which Triton has no name.'.format(key, kind),
                                   'Leave it out: --signature_outputs names those that stay.')
    return _TYPES[kind]


def _shape(key, info):
    if info.tensor_shape.unknown_rank:
        raise _errors.InputRefused(
            'The SavedModel does not say how many dimensions {} has, which Triton has to know.'.format(key),
            'Leave it out: --signature_outputs names those that stay.')
    return [int(dim.size) for dim in info.tensor_shape.dim]


def _quoted(text):
    """A string of protobuf's text form."""
    return json.dumps(text)
