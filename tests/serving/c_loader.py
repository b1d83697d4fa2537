"""Loads a SavedModel with TF_LoadSessionFromSavedModel, and runs it:  python c_loader.py REQUEST.json PIXELS|FILE

Prints {"status": the loader's word, "outputs": {key: {"shape": …, "values": …}}}. Imports no TensorFlow: ctypes and the
C API alone (tensorflow/c/c_api.h), in the library that the wheel brings.

Not for: judging what comes out (``test_c_loader``).
"""
import ctypes
import importlib.util
import json
import os
import sys

_UINT8, _FLOAT, _STRING = 4, 1, 7  # TF_DataType
_TSTRING = 24  # bytes of a TF_TString, of TensorFlow 2
# Where the C API is, by release: it went from Python's extension into a library of its own.
_LIBRARIES = ('libtensorflow_cc.so.2', 'python/_pywrap_tensorflow_internal.so', 'libtensorflow_framework.so.1')
_LOAD = 'TF_LoadSessionFromSavedModel'


def library():
    """Returns the path of the wheel's library that exports the loader.

    Raises:
        AssertionError: there is none.
    """
    folder = os.path.dirname(importlib.util.find_spec('tensorflow').origin)
    for name in _LIBRARIES:
        for base in (folder, os.path.join(os.path.dirname(folder), 'tensorflow')):
            path = os.path.join(base, *name.split('/'))
            if os.path.isfile(path) and _exports(path):
                return path
    raise AssertionError('no library in {} exports {}'.format(folder, _LOAD))


def _exports(path):
    """Whether a library names the loader: read from its bytes, as loading it takes a second and stays."""
    needle, kept = b'\0' + _LOAD.encode('ascii') + b'\0', b''
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 24), b''):
            if needle in kept + block:
                return True
            kept = block[-len(needle):]
    return False


class _Buffer(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), ('length', ctypes.c_size_t), ('deallocator', ctypes.c_void_p)]


class _Output(ctypes.Structure):
    _fields_ = [('oper', ctypes.c_void_p), ('index', ctypes.c_int)]


def _open(path):
    """The C API, with the types of what is called."""
    api = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    tensors = ctypes.POINTER(pointer)
    for name, result, arguments in (
            ('TF_NewStatus', pointer, []), ('TF_GetCode', integer, [pointer]), ('TF_Message', text, [pointer]),
            ('TF_NewGraph', pointer, []), ('TF_NewSessionOptions', pointer, []),
            ('TF_SetConfig', None, [pointer, text, ctypes.c_size_t, pointer]),
            (_LOAD, pointer, [pointer, pointer, text, ctypes.POINTER(text), integer, pointer,
                              ctypes.POINTER(_Buffer), pointer]),
            ('TF_NewBuffer', ctypes.POINTER(_Buffer), []),
            ('TF_GraphOperationByName', pointer, [pointer, text]),
            ('TF_AllocateTensor', pointer, [integer, ctypes.POINTER(ctypes.c_int64), integer, ctypes.c_size_t]),
            ('TF_TensorData', pointer, [pointer]), ('TF_TensorType', integer, [pointer]),
            ('TF_NumDims', integer, [pointer]), ('TF_Dim', ctypes.c_int64, [pointer, integer]),
            ('TF_SessionRun', None, [pointer, pointer, ctypes.POINTER(_Output), tensors, integer,
                                     ctypes.POINTER(_Output), tensors, integer, pointer, integer, pointer, pointer]),
            ('TF_CloseSession', None, [pointer, pointer])):
        function = getattr(api, name)
        function.restype, function.argtypes = result, arguments
    return api


def _pixels(api, shape, pixels):
    """A tensor of uint8."""
    dims = (ctypes.c_int64 * len(shape))(*shape)
    tensor = api.TF_AllocateTensor(_UINT8, dims, len(dims), len(pixels))
    ctypes.memmove(api.TF_TensorData(tensor), pixels, len(pixels))
    return tensor


def _string(api, content):
    """A tensor of one string, [1]: a TF_TString in TensorFlow 2; in 1 its offset, its length as a varint, and its bytes."""
    dims = (ctypes.c_int64 * 1)(1)
    if hasattr(api, 'TF_StringInit'):
        tensor = api.TF_AllocateTensor(_STRING, dims, 1, _TSTRING)
        place = ctypes.c_void_p(api.TF_TensorData(tensor))
        api.TF_StringInit(place)
        api.TF_StringCopy(place, ctypes.c_char_p(content), ctypes.c_size_t(len(content)))
        return tensor
    length, value = b'', len(content)
    while value >= 0x80:
        length, value = length + bytes([value & 0x7f | 0x80]), value >> 7
    packed = bytes(8) + length + bytes([value]) + content
    tensor = api.TF_AllocateTensor(_STRING, dims, 1, len(packed))
    ctypes.memmove(api.TF_TensorData(tensor), packed, len(packed))
    return tensor


def run(request, content):
    """Returns (the status in words, {key: {'shape', 'values'}}); what is a defect of the request raises."""
    api = _open(request['library'])
    status, graph = api.TF_NewStatus(), api.TF_NewGraph()
    tags = (ctypes.c_char_p * len(request['tags']))(*[tag.encode('ascii') for tag in request['tags']])
    options, config = api.TF_NewSessionOptions(), bytes.fromhex(request['config'])
    api.TF_SetConfig(options, config, len(config), status)
    if api.TF_GetCode(status):
        return api.TF_Message(status).decode('utf-8'), {}
    session = api.TF_LoadSessionFromSavedModel(
        options, None, request['saved_model'].encode('utf-8'), tags, len(tags), graph,
        api.TF_NewBuffer(), status)
    if api.TF_GetCode(status):
        return api.TF_Message(status).decode('utf-8'), {}

    def tensor_of(name):
        name, _, index = name.partition(':')
        operation = api.TF_GraphOperationByName(graph, name.encode('utf-8'))
        assert operation, 'the graph has no ' + name
        return _Output(operation, int(index or 0))

    fed = _pixels(api, request['shape'], content) if request['shape'] else _string(api, content)
    keys = sorted(request['outputs'])
    fetches = (_Output * len(keys))(*[tensor_of(request['outputs'][key]) for key in keys])
    fetched = (ctypes.c_void_p * len(keys))()
    api.TF_SessionRun(session, None, (_Output * 1)(tensor_of(request['input'])), (ctypes.c_void_p * 1)(fed), 1,
                      fetches, fetched, len(keys), None, 0, None, status)
    if api.TF_GetCode(status):
        return api.TF_Message(status).decode('utf-8'), {}
    outputs = {}
    for key, tensor in zip(keys, fetched):
        assert api.TF_TensorType(tensor) == _FLOAT, key
        shape = [api.TF_Dim(tensor, number) for number in range(api.TF_NumDims(tensor))]
        count = 1
        for size in shape:
            count *= size
        values = (ctypes.c_float * count).from_address(api.TF_TensorData(tensor)) if count else []
        outputs[key] = {'shape': shape, 'values': list(values)}
    api.TF_CloseSession(session, status)
    return 'OK', outputs


def main():
    with open(sys.argv[1]) as request, open(sys.argv[2], 'rb') as content:
        status, outputs = run(json.load(request), content.read())
    assert 'tensorflow' not in sys.modules
    print(json.dumps({'status': status, 'outputs': outputs}))


if __name__ == '__main__':
    main()
