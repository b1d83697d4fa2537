"""Packages for hosting services, on a model of one sum: every byte of an archive, what is left out, what stays whole.

Not for: what the services make of a detector (``test_archive``).
"""
import gzip
import os
import shlex
import shutil
import stat
import struct
import zlib

import pytest

from od_patch import _errors
from od_patch.serving import _archive
from od_patch.serving import _content
from tests.serving.test_versions import files
from tests.serving.test_versions import small  # noqa: F401  (a fixture)
from tests.serving.test_versions import store  # noqa: F401

pytestmark = pytest.mark.once

tensorflow = pytest.importorskip('tensorflow')

_CODE = {'inference.py': b'def handler(): pass\n', 'requirements.txt': b'',  # the last is packed better by level 9
         'lib/helper.py': b''.join(b'%d = %d\n' % (n ** 2 % 977, n ** 3 % 1009) for n in range(5000))}


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / 'code'
    for name, data in _CODE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return str(folder)


def members_of(data):
    """[(name, mode, user, group, size, time, kind, link, magic, name of the user, content)] of a tar, by hand."""
    found, at = [], 0
    while data[at:at + 1] != b'\0':
        header = data[at:at + 512]
        parts = struct.unpack('100s8s8s8s12s12s8s1s100s8s32s32s16s', header[:345])
        text = [part.rstrip(b'\0 ').decode() for part in parts]
        size = int(text[4], 8)
        found.append(tuple(text[:1]) + tuple(int(number or '0', 8) for number in text[1:6]) + (text[7],) +
                     tuple(text[8:11]) + (data[at + 512:at + 512 + size],))
        at += 512 + (size + 511) // 512 * 512
    assert set(data[at:]) == {0}
    return found


def test_every_byte_of_an_archive_follows_from_its_files(small, code, tmp_path):
    output = str(tmp_path / 'model.tar.gz')
    os.chmod(os.path.join(code, 'inference.py'), 0o4711)
    packed = _archive.pack('sagemaker', small, output, version='12', code=code)
    with open(output, 'rb') as file:
        data = file.read()
    # A gzip header of RFC 1952: deflate, no flags, no time, best compression, an unknown system (as Python writes it).
    assert data[:10] == b'\x1f\x8b\x08\0\0\0\0\0\x02\xff'
    unpacked = gzip.open(output).read()
    squeezed = {}
    for level in (1, 6, 9):
        deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, 0)
        squeezed[level] = deflate.compress(unpacked) + deflate.flush()
    same = [level for level in sorted(squeezed) if data[10:-8] == squeezed[level]]
    assert same == [9]  # no bytes in it: pytest would look for their differences for minutes
    expected = dict({'export/Servo/12/' + name: content for name, content in files(small).items()},
                    **{'code/' + name: content for name, content in _CODE.items()})
    found = members_of(unpacked)
    assert found == [(name, 0o644, 0, 0, len(expected[name]), 0, '0', '', 'ustar', '', expected[name])
                     for name in sorted(expected)]
    assert packed.members == [(name, len(expected[name])) for name in sorted(expected)]
    assert (packed.output, packed.name, packed.service.name) == (output, 'shapes', 'SageMaker')


@pytest.mark.parametrize('name', ['inference.py', 'anything.py'])
def test_a_script_alone_is_called_as_the_container_wants_it(small, tmp_path, name):
    (tmp_path / name).write_text('pass')
    packed = _archive.pack('sagemaker', small, str(tmp_path / 'm.tgz'), code=str(tmp_path / name))
    assert [path for path, _ in packed.members if not path.startswith('export/Servo/1/')] == ['code/inference.py']
    (tmp_path / 'notes.txt').write_text('pass')
    for path in ('notes.txt', 'missing.py'):
        with pytest.raises(_errors.InputRefused, match='there is no inference.py there'):
            _archive.pack('sagemaker', small, str(tmp_path / 'n.tgz'), code=str(tmp_path / path))


def test_of_code_what_is_hidden_or_compiled_stays_away_and_of_a_model_nothing(small, code, tmp_path):
    for name in ('.env', '.git/config', '__pycache__/x.pyc', 'lib/__pycache__/y', 'lib/z.pyc', 'lib/z.pyo',
                 'lib/.hidden/x'):
        path = os.path.join(code, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'w').close()
    kept = ['lib/pyc', 'lib/x.pyd', 'lib/a.b', 'lib/__pycache__2', 'lib/my__pycache__']
    for name in kept:
        open(os.path.join(code, name), 'w').close()
    model = str(tmp_path / 'model')
    shutil.copytree(small, model)
    for name in ('assets/.hidden', 'assets/x.pyc'):
        open(os.path.join(model, name), 'w').close()
    packed = _archive.pack('sagemaker', model, str(tmp_path / 'm.tgz'), code=code)
    names = {name for name, _ in packed.members}
    assert {name[5:] for name in names if name.startswith('code/')} == set(_CODE) | set(kept)
    assert {'export/Servo/1/assets/.hidden', 'export/Servo/1/assets/x.pyc'} < names


@pytest.mark.parametrize('make, problem', [
    (lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), 'is not a file that can be copied'),
    (lambda path: os.symlink('nowhere', path), 'is not a file that can be copied'),
    (lambda path: os.symlink('.', path), 'leads out of its folder|is not a file'),
    (lambda path: os.symlink('../..', path), 'leads out of its folder'),
    (lambda path: os.symlink('../../saved_model2/file', path), 'leads out of its folder'),
    (lambda path: open(path + '\n', 'w').close(), 'is no name for a file of a SavedModel'),
    (lambda path: open(path + '\x1b', 'w').close(), 'is no name for a file of a SavedModel')])
def test_what_is_no_plain_file_of_the_model_is_refused(small, tmp_path, make, problem):
    model = str(tmp_path / 'saved_model')
    shutil.copytree(small, model)
    (tmp_path / 'saved_model2').mkdir()
    (tmp_path / 'saved_model2' / 'file').write_text('secret')
    make(os.path.join(model, 'assets', 'odd'))
    for kind, output in (('sagemaker', 'm.tgz'), ('vertex', 'vertex')):
        with pytest.raises(_errors.InputRefused, match=problem):
            _archive.pack(kind, model, str(tmp_path / output))
        assert not (tmp_path / output).exists()


@pytest.mark.parametrize('kind, output, expected', [
    ('sagemaker', 'x.tar.gz', 'x.tar.gz'), ('sagemaker', 'x.tgz', 'x.tgz'),
    ('sagemaker', 'folder', 'folder/model.tar.gz'),
    ('sagemaker', 'new/', 'new/model.tar.gz'), ('sagemaker', 'x.tar', None), ('sagemaker', 'new', None),
    ('vertex', '', None),
    ('vertex', 'folder/', 'folder'), ('vertex', '/', '/'), ('kserve', 'new', 'new'),
    ('kserve', 'x.tar.gz', 'x.tar.gz')])
def test_an_output_is_an_archive_or_a_folder_as_the_service_takes(tmp_path, monkeypatch, kind, output, expected):
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / 'folder').mkdir()
    if expected is None:
        with pytest.raises(_errors.UsageError, match='takes an archive|no place'):
            _archive._output(_archive.SERVICES[kind], output)
    else:
        assert _archive._output(_archive.SERVICES[kind], output) == expected


@pytest.mark.parametrize('source, given, expected', [
    ('a/shapes/saved_model', None, 'shapes'), ('a/shapes', None, 'shapes'), ('a/shapes/', None, 'shapes'),
    ('gs://bucket/shapes/saved_model/', None, 'shapes'), ('gs://bucket/shapes', None, 'shapes'),
    ('a', 'other', 'other'),
    ('a/shapes/7', None, '7'), ('a', '...', None), ('a', '.', None), ('a b', None, None)])
def test_a_model_is_called_by_the_folder_of_its_export(source, given, expected):
    if expected is None:
        with pytest.raises(_errors.UsageError, match='would be called'):
            _archive._model_name(given, source)
    else:
        assert _archive._model_name(given, source) == expected


@pytest.mark.parametrize('kind, steps', [
    ('sagemaker', ['aws s3 cp {} s3://BUCKET/shapes/model.tar.gz',
                   'then, as model data of a TensorFlow Serving container (sagemaker.tensorflow.TensorFlowModel): '
                   's3://BUCKET/shapes/model.tar.gz']),
    ('kserve', ['copy the folder {}/shapes to where the cluster reads, e.g. gs://BUCKET/shapes',
                'then, in the InferenceService: predictor: {{model: {{modelFormat: {{name: tensorflow}}, '
                'storageUri: "gs://BUCKET/shapes"}}}}']),
    ('vertex', ['gcloud storage rsync --recursive {} gs://BUCKET/shapes',
                'gcloud ai models upload --region=REGION --display-name=shapes --artifact-uri=gs://BUCKET/shapes '
                '--container-image-uri=IMAGE'])])
def test_what_was_packed_is_told_with_what_to_do_next(small, tmp_path, kind, steps):
    output = str(tmp_path / "it's.tgz" if kind == 'sagemaker' else tmp_path / "it's")
    packed = _archive.pack(kind, small, output)
    steps = [step.format(shlex.quote(output)) for step in steps]
    lines = _archive.lines(packed)
    archive = kind == 'sagemaker'
    assert lines[0] == '{}: the {}, for {}'.format(output, 'archive' if archive else 'folder', packed.service.name)
    place = {'sagemaker': 'export/Servo/1/', 'kserve': 'shapes/1/', 'vertex': ''}[kind]
    told = ['{:>14,}  {}{}'.format(len(data), place, name) for name, data in sorted(files(small).items())]
    assert lines[1:1 + len(told)] == told
    assert lines[-len(steps) - 2:] == ['', 'Next:'] + ['  ' + step for step in steps]
    assert [line for line in lines if line.startswith('sha256 ')] == (['sha256 ' + packed.sha256] if archive else [])
    told = _archive.as_json(packed)
    assert list(told) == ['service', 'output', 'model_name', 'sha256', 'next', 'members']
    assert (told['sha256'] is not None) == archive and told['next'] == steps
    assert told['members'][0]['path'].startswith(place)


def test_an_archive_is_there_whole_or_as_it_was(small, tmp_path, monkeypatch):
    output = tmp_path / 'new' / 'folder' / 'model.tar.gz'
    _archive.pack('sagemaker', small, str(output))
    before = output.read_bytes()

    def full_disk(self, *unused):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(_archive.tarfile.TarFile, 'addfile', full_disk)
    with pytest.raises(OSError, match='No space'):
        _archive.pack('sagemaker', small, str(output), overwrite=True)
    assert output.read_bytes() == before and os.listdir(str(output.parent)) == ['model.tar.gz']


def test_an_archive_lies_in_nothing_that_is_packed_and_replaces_no_folder(small, code, tmp_path):
    for output, problem in ((os.path.join(code, 'm.tgz'), 'lies in .*code, which is what is packed'),
                            (str(tmp_path / 'folder.tgz'), 'is a folder')):
        (tmp_path / 'folder.tgz').mkdir(exist_ok=True)
        with pytest.raises(_errors.OutputRefused, match=problem):
            _archive.pack('sagemaker', small, output, code=code, overwrite=True)
    os.symlink('nowhere', str(tmp_path / 'link.tgz'))
    with pytest.raises(_errors.OutputRefused, match='is there already'):
        _archive.pack('sagemaker', small, str(tmp_path / 'link.tgz'))
    _archive.pack('sagemaker', small, str(tmp_path / (os.path.basename(code) + '2.tgz')), code=code)


def test_a_store_gets_archives_and_folders_too(small, tmp_path, store):
    archive = _archive.pack('sagemaker', small, store.base + '/a.tgz')
    local = _archive.pack('sagemaker', 'file://' + small, str(tmp_path / 'b.tgz'))
    assert archive.sha256 == local.sha256 and archive.name == local.name == 'shapes'
    assert os.path.getsize(os.path.join(store.folder, 'a.tgz')) == os.path.getsize(str(tmp_path / 'b.tgz'))
    with pytest.raises(_errors.OutputRefused, match='is there already'):
        _archive.pack('sagemaker', small, store.base + '/a.tgz')
    _archive.pack('sagemaker', small, store.base + '/a.tgz', overwrite=True, version=2)
    assert len(members_of(gzip.open(os.path.join(store.folder, 'a.tgz')).read())) == len(files(small))
    _archive.pack('kserve', small, store.base + '/k')
    assert files(os.path.join(store.folder, 'k', 'shapes', '1')) == files(small)
    assert store.copied[-1] == 'k/shapes/1/saved_model.pb'
    with pytest.raises(_errors.OutputRefused, match='is there already'):
        _archive.pack('kserve', small, store.base + '/k')


def test_a_folder_that_is_there_and_empty_is_filled_and_a_file_is_none(small, tmp_path):
    (tmp_path / 'empty').mkdir()
    _archive.pack('vertex', small, str(tmp_path / 'empty') + '/')
    assert files(tmp_path / 'empty') == files(small)
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(_errors.OutputRefused, match='is a file'):
        _archive.pack('vertex', small, str(tmp_path / 'file'), overwrite=True)
    assert (tmp_path / 'file').read_text() == 'mine'


def test_a_folder_that_cannot_be_looked_into():
    error = OSError(13, 'Permission denied', 'somewhere')
    with pytest.raises(_errors.InputRefused, match='somewhere cannot be read: Permission denied'):
        _content._refuse(error)


@pytest.mark.parametrize('kind', ['kserve', 'vertex'])
def test_code_goes_with_no_other_service(small, code, tmp_path, kind):
    with pytest.raises(_errors.UsageError, match='takes a SavedModel and no code'):
        _archive.pack(kind, small, str(tmp_path / 'x.tgz'), code=code)
    assert not (tmp_path / 'x.tgz').exists()
