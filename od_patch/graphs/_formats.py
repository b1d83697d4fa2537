"""What a file is by its first bytes: compressed graphs are unpacked, and what holds no graph is told by its name.

Knows formats, not graphs: whether what comes out is a GraphDef, ``_sources`` says.
"""
import bz2
import gzip
import io
import lzma
import re
import typing
import zipfile
import zlib

from od_patch._errors import InputRefused

_FROZEN = 'Give the frozen graph (frozen_inference_graph.pb) that it was made from.'
# (where the bytes stand, the bytes, what it is, what to do)
_FOREIGN = (
    (0, b'version https://git-lfs.github.com/', 'a Git LFS pointer, which stands for the file until it is fetched',
     'Fetch it:  git lfs pull'),
    (4, b'TFL3', 'a TensorFlow Lite model',
     'A .tflite model is no GraphDef. ' + _FROZEN),
    (0, b'\x89HDF\r\n\x1a\n', 'an HDF5 file, such as Keras writes (.h5)',
     'Weights of Keras are no graph. Give a frozen graph or a SavedModel.'),
    (257, b'ustar', 'a tar archive, such as the model zoo\'s packages',
     'Unpack it (tar xf), and give the frozen_inference_graph.pb in it.'),
    (0, b'7z\xbc\xaf\x27\x1c', 'a 7-Zip archive', 'Unpack it, and give the frozen graph in it.'),
    (0, b'Rar!\x1a\x07', 'a RAR archive', 'Unpack it, and give the frozen graph in it.'),
    (0, b'\x28\xb5\x2f\xfd', 'compressed with zstd', 'Unpack it:  zstd -d'),
)
_HTML = re.compile(br'\s*(<!doctype html|<html|<head|<\?xml[^>]*>\s*<!doctype html)', re.IGNORECASE)


def unpacked(path: str, data: bytes, limit: int) -> bytes:
    """The bytes of a graph: ``data`` itself, or what is compressed in it.

    Raises:
        InputRefused: the bytes are of a format that holds no GraphDef, or more than ``limit`` of them come out.
    """
    for _ in range(4):  # compressed twice there may be; a file that unpacks to itself for ever there shall not
        opened = _opened(path, data)
        if opened is None:
            break
        data = _read(path, opened, limit)
    refuse_foreign(path, data)
    return data


def refuse_foreign(path: str, data: bytes) -> None:
    """Refuses what is known by its first bytes to be no GraphDef."""
    for place, word, what, advice in _FOREIGN:
        if data[place:place + len(word)] == word:
            raise InputRefused('{}: is {}.'.format(path, what), advice)
    if _HTML.match(data[:400]):
        raise InputRefused('{}: is a web page (HTML): it begins with {!r}.'.format(
            path, data[:40].decode('utf-8', 'replace').split('\n')[0]),
            'A page was saved in place of the file: download the file itself (on GitHub, "Raw").')
    if _is_onnx(path, data):
        raise InputRefused('{}: is an ONNX model.'.format(path), 'An .onnx model is no GraphDef. ' + _FROZEN)


def _is_onnx(path: str, data: bytes) -> bool:
    """ONNX has no magic: its ir_version comes first, then who made it, in letters (or, by its name, the graph)."""
    if data[:1] != b'\x08' or not 1 <= data[1] < 0x30:
        return False
    if str(path).lower().endswith('.onnx'):
        return True
    return data[2:3] == b'\x12' and bool(re.match(
        br'(pytorch|tf2onnx|onnx|keras2onnx|skl2onnx|CNTK|caffe2|backend-test|OnnxMLTools)', data[4:40]))


def _opened(path: str, data: bytes) -> typing.Any:
    """A file of what is compressed in ``data``, or None."""
    stream = io.BytesIO(data)
    if data[:2] == b'\x1f\x8b':
        return gzip.GzipFile(fileobj=stream)
    if data[:3] == b'BZh':
        return bz2.BZ2File(stream)
    if data[:6] == b'\xfd7zXZ\x00':
        return lzma.LZMAFile(stream)
    if data[:4] == b'PK\x03\x04':
        try:
            archive = zipfile.ZipFile(stream)
            names = [name for name in archive.namelist() if not name.endswith('/')]
            if len(names) == 1:
                return archive.open(names[0])
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise InputRefused('{}: is a zip archive that cannot be read: {}.'.format(path, error),
                               'The copy did not finish: copy it again.')
        raise InputRefused('{}: is a zip archive of {} files ({}).'.format(path, len(names), ', '.join(names[:4])),
                           'Unpack it, and give the frozen graph in it.')
    return None


def _read(path: str, opened: typing.Any, limit: int) -> bytes:
    try:
        with opened:
            data = opened.read(limit)
            if len(data) >= limit:
                raise InputRefused('{}: unpacks to more than the 2 GiB that one protobuf can hold.'.format(path),
                                   'Give the frozen graph itself.')
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError) as error:
        raise InputRefused('{}: is compressed, but cannot be unpacked: {}.'.format(path, error),
                           'The copy did not finish: copy it again, and compare its size with the original\'s.')
    if not data:
        raise InputRefused('{}: nothing is compressed in it.'.format(path), 'Compress or copy it again.')
    return data
