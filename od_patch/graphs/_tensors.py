"""TensorProtos as values: one digest per value however it is written, and numpy arrays when asked.

A ``TensorProto`` has several ways to hold one value: raw bytes, a typed list,
or a list whose last element stands for the rest. Nothing here looks at graphs.
"""
import hashlib
import math
import typing

import numpy

# DataType number -> (name, numpy type or None where numpy has none, TensorProto field, bytes an element)
_TYPES = {
    1: ('float', 'f4', 'float_val'), 2: ('double', 'f8', 'double_val'), 3: ('int32', 'i4', 'int_val'),
    4: ('uint8', 'u1', 'int_val'), 5: ('int16', 'i2', 'int_val'), 6: ('int8', 'i1', 'int_val'),
    7: ('string', None, 'string_val'), 8: ('complex64', 'c8', 'scomplex_val'), 9: ('int64', 'i8', 'int64_val'),
    10: ('bool', '?', 'bool_val'), 11: ('qint8', 'i1', 'int_val'), 12: ('quint8', 'u1', 'int_val'),
    13: ('qint32', 'i4', 'int_val'), 14: ('bfloat16', 'u2', 'half_val'), 15: ('qint16', 'i2', 'int_val'),
    16: ('quint16', 'u2', 'int_val'), 17: ('uint16', 'u2', 'int_val'), 18: ('complex128', 'c16', 'dcomplex_val'),
    19: ('half', 'f2', 'half_val'), 20: ('resource', None, None), 21: ('variant', None, None),
    22: ('uint32', 'u4', 'uint32_val'), 23: ('uint64', 'u8', 'uint64_val'),
}
_MOST_UNWRITTEN = 1 << 26
NUMBERED = frozenset(_TYPES)
FLOATING = {1, 2, 14, 19}
QUANTIZED = {11, 12, 13, 15, 16}
NUMERIC = {1, 2, 3, 4, 5, 6, 8, 9, 14, 17, 18, 19, 22, 23}


def dtype_name(number: int) -> str:
    """The field's name for a DataType number, e.g. ``float`` for 1."""
    return _TYPES[number][0] if number in _TYPES else 'dtype {}'.format(number)


def numpy_type(number: int) -> str:
    """The numpy type of a DataType number, e.g. ``f4`` for 1; TypeError where there is none."""
    kind = _TYPES.get(number, (None, None))[1]
    if kind is None:
        raise TypeError(dtype_name(number))
    return kind


class Damaged(ValueError):
    """A tensor whose bytes do not fit its type and shape."""


class Tensor:
    """The value of a Const: type, shape and digest at once, the elements when asked for.

    Attributes:
        dtype: int, the DataType number.
        shape: tuple of int.
        digest: bytes, the same for every way to write the same type, shape and bits.
    """

    __slots__ = ('dtype', 'shape', '_digest', '_proto')

    def __init__(self, proto: typing.Any) -> None:
        self._proto = proto
        self.dtype = proto.dtype
        self.shape = tuple(dim.size for dim in proto.tensor_shape.dim)
        self._digest = None
        kind = _TYPES.get(self.dtype, (None, None, None))
        content = proto.tensor_content
        if content and kind[1] is not None and kind[2] is not None:
            if len(content) != self.size * numpy.dtype(kind[1]).itemsize:
                raise Damaged('{} bytes for {}{}'.format(len(content), dtype_name(self.dtype), list(self.shape)))
        else:
            self._digest = self._digested()  # what else can be wrong with it shows then

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            self._digest = self._digested()
        return self._digest

    def _digested(self) -> bytes:
        proto = self._proto
        digest = hashlib.blake2b(repr((self.dtype, self.shape)).encode(), digest_size=16)
        content = proto.tensor_content
        kind = _TYPES.get(self.dtype)
        if not 0 < self.dtype < 100:  # newer types than those of the table there may be, but no reference types
            raise Damaged('it is of no type')
        if proto.tensor_shape.unknown_rank or any(size < 0 for size in self.shape):
            raise Damaged('it has no shape')
        if kind is None or kind[2] is None:
            digest.update(proto.SerializeToString(deterministic=True))
        elif content and kind[1] is not None:
            digest.update(content)
        elif kind[1] is None:
            for element in self._strings():
                digest.update('{}:'.format(len(element)).encode())
                digest.update(element)
        else:
            digest.update(self.array().tobytes())
        return digest.digest()

    @property
    def size(self) -> int:
        size = 1
        for dim in self.shape:
            size *= dim
        return size

    def _strings(self) -> typing.List[bytes]:
        values = list(self._proto.string_val)
        if len(values) > self.size or (not values and self.size):
            raise Damaged('{} strings for shape {}'.format(len(values), list(self.shape)))
        self._refuse_unwritten(len(values))
        return values + values[-1:] * (self.size - len(values))

    def _refuse_unwritten(self, written: int) -> None:
        """A few bytes can stand for any number of elements; no exporter leaves out so many as would fill the memory."""
        if self.size - written > _MOST_UNWRITTEN:
            raise Damaged('{} values are written for shape {}'.format(written, list(self.shape)))

    def array(self) -> typing.Any:
        """The elements as numpy holds them; bfloat16 as float32, strings as objects."""
        name, kind, field = _TYPES.get(self.dtype, (None, None, None))
        if field is None:
            raise Damaged('a tensor of type {} has no elements to look at'.format(dtype_name(self.dtype)))
        if kind is None:
            return numpy.array(self._strings(), dtype=object).reshape(self.shape)
        content = self._proto.tensor_content
        if content:
            array = numpy.frombuffer(content, dtype='<' + kind if kind != '?' else kind)
        else:
            array = self._listed(kind, field)
        return array.reshape(self.shape)

    def _listed(self, kind: str, field: str) -> typing.Any:
        size = self.size
        self._refuse_unwritten(len(getattr(self._proto, field)))
        values = numpy.array(list(getattr(self._proto, field)),
                             dtype={'half_val': 'u2', 'scomplex_val': 'f4', 'dcomplex_val': 'f8'}.get(field, kind))
        if field == 'half_val' or field.endswith('complex_val'):
            values = values.view(kind)
        if len(values) > size:
            raise Damaged('{} elements for shape {}'.format(len(values), list(self.shape)))
        if not len(values):  # an empty list stands for zeros
            return numpy.zeros(size, dtype=kind)
        array = numpy.empty(size, dtype=kind)
        array[:len(values)] = values
        array[len(values):] = values[-1]
        return array

    def numbers(self) -> typing.Any:
        """The elements as float64 (or the integers they are), for arithmetic and for showing."""
        array = self.array()
        if self.dtype == 14:
            array = (array.astype('<u4') << 16).view('<f4')
        return array

    def proto(self) -> typing.Any:
        """The ``TensorProto`` as it was read."""
        return self._proto


def encoded(array: typing.Any, dtype: int) -> Tensor:
    """Writes ``array`` as the bytes-form TensorProto of DataType number ``dtype`` and returns its ``Tensor``."""
    from tensorflow.core.framework import tensor_pb2
    proto = tensor_pb2.TensorProto(dtype=dtype)
    array = numpy.asarray(array, dtype=_TYPES[dtype][1])
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = array.tobytes()
    return Tensor(proto)


def brief(tensor: Tensor) -> str:
    """A few elements and the shape, as a person reads them."""
    if _TYPES.get(tensor.dtype, (None, None, None))[2] is None:
        return dtype_name(tensor.dtype)
    if tensor.dtype == 7:
        return repr(tensor.array().reshape(-1)[:1].tolist())[:40]
    values = tensor.numbers().reshape(-1)
    text = ', '.join('{:.6g}'.format(value) if isinstance(value, float) else str(value)
                     for value in values[:4].tolist())
    if len(values) == 1 and not tensor.shape:
        return text
    return '[{}{}]{}'.format(text, ', …' if len(values) > 4 else '', list(tensor.shape) if len(values) > 4 else '')


def difference(one: typing.Any, other: typing.Any) -> typing.Tuple[typing.Optional[float], int, int, str]:
    """(largest difference or None, elements that differ, elements, shapes where they differ)."""
    one, other = numpy.asarray(one), numpy.asarray(other)
    if one.shape != other.shape:
        return None, max(one.size, other.size), max(one.size, other.size), '{} | {}'.format(one.shape, other.shape)
    if one.dtype.kind not in 'fiub':
        different = int((one != other).sum())
        return (0.0 if not different else math.inf), different, one.size, ''
    same = (one == other) | ((one != one) & (other != other))
    with numpy.errstate(invalid='ignore'):  # two infinities are the same, whatever their difference is
        apart = numpy.abs(one.astype('f8') - other.astype('f8'))
    apart = apart[~same]
    largest = float(apart.max()) if apart.size else 0.0
    return (largest if largest == largest else math.inf), int(apart.size), one.size, ''
