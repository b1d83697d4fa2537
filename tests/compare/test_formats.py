"""What the first bytes of a file say: compressed graphs are read, and what holds no graph is named."""
import bz2
import gzip
import io
import lzma
import os
import pty
import subprocess
import sys
import tarfile
import zipfile

import pytest

from od_patch._errors import InputRefused
from od_patch.compare import _verdict
from od_patch.graphs import _sources
from od_patch.terminal import _stages
from tests.compare import graphs
from tests.proof import small
from tests.compare.test_soundness_graph import made, placeholder, row

pytestmark = pytest.mark.once

pytest.importorskip('tensorflow')


def zipped(data, *more):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr('model/frozen_inference_graph.pb', data)
        for name in more:
            archive.writestr(name, b'x')
    return stream.getvalue()


def tarred(data):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        entry = tarfile.TarInfo('model/frozen_inference_graph.pb')
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


PACKED = [('gz', gzip.compress), ('bz2', bz2.compress), ('xz', lzma.compress), ('zip', zipped),
          ('gz twice', lambda data: gzip.compress(gzip.compress(data)))]


@pytest.mark.parametrize('pack', [row[1] for row in PACKED], ids=[row[0] for row in PACKED])
def test_a_compressed_graph_is_simply_read(tmp_path, pack):
    data = graphs.detector_bytes()
    (tmp_path / 'packed').write_bytes(pack(data))
    (tmp_path / 'plain.pb').write_bytes(data)
    assert _verdict.compare(str(tmp_path / 'packed'), str(tmp_path / 'plain.pb')).verdict == 'identical'


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_a_graphs_text_may_begin_with_a_mark(tmp_path, encoding):
    (tmp_path / 'graph.pbtxt').write_bytes(str(graphs.detector()).encode(encoding))
    (tmp_path / 'plain.pb').write_bytes(graphs.detector_bytes())
    assert _verdict.compare(str(tmp_path / 'graph.pbtxt'), str(tmp_path / 'plain.pb')).verdict == 'identical'


def without_weights():
    """The text that OpenCV's scripts write: the layers, without the Consts that they read."""
    graph_def = graphs.detector()
    kept = [node for node in graph_def.node if node.op != 'Const']
    del graph_def.node[:]
    graph_def.node.extend(kept)
    return str(graph_def).encode()


FOREIGN = [
    ('a.tar.gz', lambda data: gzip.compress(tarred(data)), 'a tar archive', 'tar xf'),
    ('a.tar', tarred, 'a tar archive', 'tar xf'),
    ('a.zip', lambda data: zipped(data, 'readme'), 'a zip archive of 2 files', 'Unpack'),
    ('a.tflite', lambda data: b'\x1c\0\0\0TFL3' + data[:100], 'a TensorFlow Lite model', 'made from'),
    ('a.h5', lambda data: b'\x89HDF\r\n\x1a\n' + data[:100], 'an HDF5 file', 'SavedModel'),
    ('a.onnx', lambda data: b'\x08\x03\x3a\x10' + data[:100], 'an ONNX model', 'made from'),
    ('a.pb', lambda data: b'\x08\x06\x12\x07pytorch\x1a\x011' + data[:100], 'an ONNX model', 'made from'),
    ('a.pb', lambda data: b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', 'a Git LFS pointer',
     'git lfs pull'),
    ('a.pb', lambda data: b'\n <!DOCTYPE html>\n<html></html>', 'a web page', 'download the file itself'),
    ('a.pb', lambda data: b'<HTML><body>404</body></HTML>', 'a web page', 'download the file itself'),
    ('a.pbtxt', lambda data: without_weights(), 'without its weights', 'the .pbtxt was made for'),
    ('a.pb.gz', lambda data: gzip.compress(data)[:-20], 'cannot be unpacked', 'copy it again'),
    ('a.pb.gz', lambda data: gzip.compress(data)[:200] + b'\xff' * 50, 'cannot be unpacked', 'copy it again'),
    ('a.pb.gz', lambda data: gzip.compress(b''), 'nothing is compressed', 'again'),
    ('a.zip', lambda data: zipped(data)[:-30], 'a zip archive that cannot be read', 'copy it again'),
]


@pytest.mark.parametrize('name, make, what, advice', FOREIGN, ids=[str(i) + row[0] for i, row in enumerate(FOREIGN)])
def test_what_is_no_graph_is_told_by_its_first_bytes(tmp_path, name, make, what, advice):
    path = tmp_path / name
    path.write_bytes(make(graphs.detector_bytes()))
    with pytest.raises(InputRefused) as refused:
        _sources.load(str(path))
    assert what in str(refused.value) and advice in str(refused.value)


@pytest.mark.parametrize('op, words', [('TRTEngineOp', 'TF-TRT'), ('TFLite_Detection_PostProcess', 'TensorFlow Lite')])
def test_a_converted_part_of_a_graph_is_named_with_its_converter(op, words):
    graph_def = made(placeholder('x'), row('engine', op, 'x'), row('out', 'Identity', 'engine'))
    with pytest.raises(InputRefused) as refused:
        graphs.graph_of(graph_def)
    assert words in str(refused.value) and 'from before the conversion' in str(refused.value)


def test_control_inputs_that_became_data_are_the_tools_fault_not_the_exports():
    graph_def = made(placeholder('x'), row('k', 'Const', 'x', value=2.0), row('out', 'Mul', 'x', 'k'))
    with pytest.raises(InputRefused) as refused:
        graphs.graph_of(graph_def)
    text = str(refused.value)
    assert 'remove_training_nodes' in text and 'optimize_for_inference' in text and 'Graph Transform Tool' in text
    assert 'Export the graph again' not in text


def on_a_terminal(*arguments):
    """(exit code, stdout, what a terminal showed on stderr) of od-patch."""
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-m', 'od_patch.cli'] + list(arguments),
                               stdout=subprocess.PIPE, stderr=slave, env=dict(os.environ, TERM='xterm', COLUMNS='100'))
    os.close(slave)
    shown = b''
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # how Linux says that nobody holds the other end any more
            break
        if not part:
            break
        shown += part
    out = process.stdout.read()
    process.stdout.close()
    os.close(master)
    return process.wait(), out.decode(), shown.decode()


def test_whoever_waits_at_a_terminal_sees_stages_with_their_times(tmp_path):
    one = graphs.write(tmp_path / 'one.pb', graphs.detector())
    code, out, shown = on_a_terminal('compare', one, one)
    assert code == 0 and out.startswith('identical')
    assert all(word in shown for word in ('reading', 'loads at all', 'equality', ' s'))
    code, out, shown = on_a_terminal('compare', one, one, '--json')
    assert code == 0 and out.startswith('{') and 'equality' not in shown


def test_verify_shows_its_stages_at_a_terminal_too(tmp_path):
    folder, trained = small.export(str(tmp_path / 'export'))
    code, out, shown = on_a_terminal('verify', folder, '--checkpoint', trained)
    assert code in (0, 1) and 'weights' in out
    assert all(word in shown for word in ('reading', 'files', 'weights', 'portability', 'outputs', ' s')), shown
    code, out, shown = on_a_terminal('verify', folder, '--checkpoint', trained, '--json')
    assert out.startswith('{') and 'portability' not in shown


def test_stages_are_for_terminals():
    stream = io.StringIO()
    with _stages.shown(stream):
        _stages.stage('reading')
    _stages.stage('nobody is told')
    assert stream.getvalue() == ''
