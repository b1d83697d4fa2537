"""The digest by which files are known again is SHA-256 of all that is in them."""
import hashlib

import pytest


from od_patch.staging import _digest
pytest.importorskip('tensorflow')  # the digest reads through tf.gfile


@pytest.mark.parametrize('size', [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 5])
def test_the_digest_is_that_of_the_whole_file(tmp_path, size):
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    path = tmp_path / 'file'
    path.write_bytes(content)
    assert _digest.sha256(str(path)) == hashlib.sha256(content).hexdigest()
