"""The record that od-patch leaves in a SavedModel: ``assets.extra/od_patch.json``, what made it and from what.

Not for: what goes into it, which is ``_export``; nor for believing it, which is ``proof``.
"""
import json
import os
import re

from od_patch import _tensorflow
from od_patch.staging import _store

NAME = 'od_patch.json'
FOLDER = 'assets.extra'
_LARGEST = 1 << 20  # bytes
_LARGEST_STEP = (1 << 63) - 1
_DIGEST = re.compile(r'[0-9a-f]{64}$')


class Broken(Exception):
    """A record that no export has written; the text says what is wrong with it."""


def read(saved_model_path):
    """Returns the record of a SavedModel, a dict; None where there is none that an export could have written."""
    gfile = _tensorflow.gfile()
    path = _store.below(saved_model_path, FOLDER, NAME)
    try:
        if not _store.is_store(path) and not os.path.isfile(_store.plain(path)):  # a pipe would be read for ever
            return None
        if not gfile.Exists(path) or gfile.IsDirectory(path) or gfile.Stat(path).length > _LARGEST:
            return None
        with gfile.GFile(path, 'rb') as record_file:
            return parse(record_file.read())
    except (Broken, _tensorflow.tf1().errors.OpError):
        return None


def parse(data):
    """Returns the record in bytes of JSON: each entry is of the type that an export gives it, or not there.

    Raises:
        Broken: it is no JSON object, or an entry is something that no export writes.
    """
    if len(data) > _LARGEST:
        raise Broken('it is larger than any record')
    try:
        record = json.loads(data.decode('utf-8'))
    except RecursionError:
        raise Broken('it is nested too deeply')
    except ValueError as error:
        raise Broken(str(error))
    if not isinstance(record, dict):
        raise Broken('it is no JSON object')
    for name, is_right in _ENTRIES.items():
        if name in record and not is_right(record[name]):
            raise Broken('its {} is {:.60}, which no export writes'.format(name, ascii(record[name])))
    return record


def _is_text(value):
    """Whether a value is text that can be a path, too."""
    try:
        return isinstance(value, str) and len(value.encode('utf-8')) < 4096 and '\0' not in value
    except UnicodeEncodeError:  # half of a character
        return False


def _is_digest(value):
    return isinstance(value, str) and bool(_DIGEST.match(value)) and len(value) == 64


def _is_step(value):
    return value is None or type(value) is int and 0 <= value <= _LARGEST_STEP  # pylint: disable=unidiomatic-typecheck


def _is_digests(value):
    return isinstance(value, dict) and all(
        _is_text(name) and os.path.basename(name) == name and name not in ('', '.', '..') and _is_digest(digest)
        for name, digest in value.items())


def _is_variables(value):
    """Whether a value says which variables a SavedModel has, and goes without."""
    if not isinstance(value, dict) or set(value) != {'written', 'left_out', 'left_out_bytes'}:
        return False
    names, counts = value['left_out'], (value['written'], value['left_out_bytes'])
    return isinstance(names, list) and all(map(_is_text, names)) and None not in counts and all(map(_is_step, counts))


_ENTRIES = {
    'od_patch': _is_text, 'exporter': _is_text, 'tensorflow': _is_text, 'tensorflow_git': _is_text,
    'checkpoint': _is_text, 'checkpoint_format': _is_text, 'global_step': _is_step,
    'moving_averages': lambda value: isinstance(value, bool), 'sha256': _is_digests,
    'checkpoint_sha256': _is_digest, 'recipe': _is_text,
    'variables': _is_variables,
}
