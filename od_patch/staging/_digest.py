"""The digest by which files are known again: in the record of an export, by a series, and by the proof.

Not for: the checksums inside checkpoints, which are ``_crc32c``.
"""
import hashlib

from od_patch import _tensorflow


def sha256(path):
    """Returns the SHA-256 of a file in hex, read in blocks through ``tf.gfile``."""
    digest = hashlib.sha256()
    with _tensorflow.gfile().GFile(path, 'rb') as content:
        for block in iter(lambda: content.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
