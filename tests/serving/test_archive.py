"""Packages for hosting services: their layouts, the same bytes for the same export, what is refused."""
import gzip
import json
import os
import re
import shutil
import tarfile

import pytest

from od_patch import _errors
from od_patch.serving import _archive
from od_patch.serving import _publish
from tests.serving.test_publish import content
from tests.support import exports

tensorflow = pytest.importorskip('tensorflow')

pytestmark = [pytest.mark.once, pytest.mark.xdist_group('serving')]


@pytest.fixture
def saved_model(served, tmp_path):
    """A SavedModel of one's own, in a folder of another name and with other times."""
    folder = str(tmp_path / 'detector')
    shutil.copytree(os.path.join(served, 'saved_model'), folder)
    for place, _, names in os.walk(folder):
        for name in names:
            os.utime(os.path.join(place, name), (1e9, 1e9))
            os.chmod(os.path.join(place, name), 0o600)
    return folder


@pytest.fixture
def script(tmp_path):
    path = tmp_path / 'inference.py'
    path.write_text('def handler(data, context):\n    return data.read(), "application/json"\n')
    return str(path)


def members(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive.getmembers()}


def test_a_sagemaker_archive_has_the_model_where_new_and_old_containers_look(served, script, tmp_path):
    output = str(tmp_path / 'model.tar.gz')
    packed = _archive.pack('sagemaker', served, output, version=7, code=script)
    found = members(output)
    # The container's rule: a saved_model.pb whose parent folder is all digits. The older one's: export/Servo/<version>.
    models = [name for name in found if re.search(r'(^|/)\d+/saved_model\.pb$', name)]
    assert models == ['export/Servo/7/saved_model.pb']
    assert found['code/inference.py'] == open(script, 'rb').read()
    of_model = {name[len('export/Servo/7/'):]: data for name, data in found.items() if name.startswith('export/')}
    assert of_model == content(os.path.join(served, 'saved_model'))
    assert [(name, len(found[name])) for name in sorted(found)] == packed.members
    with tarfile.open(output) as archive:
        archive.extractall(str(tmp_path / 'extracted'))
    assert _publish.publish(str(tmp_path / 'extracted' / 'export' / 'Servo' / '7'),
                            _publish.PublishRequest(str(tmp_path / 'models'))).version == 1  # it is proved there


def test_the_same_export_gives_the_same_bytes_wherever_and_whenever(served, saved_model, script, tmp_path):
    one, other = str(tmp_path / 'one.tar.gz'), str(tmp_path / 'other.tgz')
    first = _archive.pack('sagemaker', served, one, code=script, model_name='detector')
    assert exports.run(['-m', 'od_patch.cli', 'package', 'sagemaker', saved_model, '--output', other, '--code', script],
                       environment={'PYTHONHASHSEED': '7', 'TZ': 'Asia/Tokyo'}).exit_code == 0
    data = open(one, 'rb').read()
    assert data == open(other, 'rb').read()
    assert data[3] == 0 and data[4:8] == b'\0' * 4  # the header of gzip: no name, no time
    with tarfile.open(one) as archive:
        facts = archive.getmembers()
    assert [fact.name for fact in facts] == sorted(fact.name for fact in facts)
    assert {(fact.mtime, fact.uid, fact.gid, fact.uname, fact.gname, fact.mode) for fact in facts} == {
        (0, 0, 0, '', '', 0o644)}
    with open(os.path.join(saved_model, 'assets.extra', 'od_patch.json'), 'a') as record:
        record.write(' ')
    assert _archive.pack('sagemaker', saved_model, str(tmp_path / 'third.tar.gz')).sha256 != first.sha256


def test_kserve_gets_a_folder_of_versions_and_vertex_a_flat_one(served, tmp_path):
    _archive.pack('kserve', served, str(tmp_path / 'kserve'), version='3', model_name='shapes')
    assert _publish.versions(str(tmp_path / 'kserve' / 'shapes')) == {3: '3'}
    _archive.pack('kserve', served, str(tmp_path / 'kserve'), version='step', model_name='shapes')
    assert _publish.versions(str(tmp_path / 'kserve' / 'shapes')) == {3: '3', 4100: '4100'}
    _archive.pack('vertex', served, str(tmp_path / 'vertex'))
    whole = content(os.path.join(served, 'saved_model'))
    assert content(tmp_path / 'vertex') == content(tmp_path / 'kserve' / 'shapes' / '3') == whole


@pytest.mark.parametrize('kind, place', [('kserve', 'detector/1/'), ('vertex', '')])
def test_folders_are_archives_where_the_name_says_so(saved_model, tmp_path, kind, place):
    _archive.pack(kind, saved_model, str(tmp_path / 'x.tgz'))
    assert set(members(str(tmp_path / 'x.tgz'))) == {place + name for name in content(saved_model)}


def test_code_comes_as_a_folder_too_without_what_python_leaves_there(served, script, tmp_path):
    folder = tmp_path / 'serving'
    for name in ('inference.py', 'requirements.txt', 'lib/helper.py', '__pycache__/x.pyc', '.git/config'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    _archive.pack('sagemaker', served, str(tmp_path / 'model.tar.gz'), code=str(folder))
    assert {name for name in members(str(tmp_path / 'model.tar.gz')) if not name.startswith('export/')} == {
        'code/inference.py', 'code/requirements.txt', 'code/lib/helper.py'}
    (folder / 'inference.py').unlink()
    with pytest.raises(_errors.InputRefused, match='there is no inference.py'):
        _archive.pack('sagemaker', served, str(tmp_path / 'other.tar.gz'), code=str(folder))


def test_nothing_is_replaced_without_leave_and_what_is_packed_never(served, saved_model, tmp_path):
    output = tmp_path / 'model.tar.gz'
    output.write_bytes(b'somebody\'s')
    with pytest.raises(_errors.OutputRefused, match='there already'):
        _archive.pack('sagemaker', served, str(output))
    assert output.read_bytes() == b'somebody\'s'
    _archive.pack('sagemaker', served, str(output), overwrite=True)
    assert gzip.open(str(output)).read(1)
    before = content(saved_model)
    for kind, inside in (('sagemaker', 'assets.extra/model.tar.gz'), ('vertex', 'x'), ('vertex', ''), ('vertex', '..')):
        with pytest.raises(_errors.OutputRefused, match='lies? in'):
            _archive.pack(kind, saved_model, os.path.join(saved_model, inside), overwrite=True)
    assert content(saved_model) == before
    (tmp_path / 'vertex' / 'variables').mkdir(parents=True)
    (tmp_path / 'vertex' / 'variables' / 'variables.data-00001-of-00002').write_bytes(b'old')
    with pytest.raises(_errors.OutputRefused, match='there already'):
        _archive.pack('vertex', served, str(tmp_path / 'vertex'))
    _archive.pack('vertex', served, str(tmp_path / 'vertex'), overwrite=True)
    assert content(tmp_path / 'vertex') == before  # and nothing of the old one


def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_the_file(saved_model, tmp_path):
    os.rename(os.path.join(saved_model, 'saved_model.pb'), os.path.join(saved_model, 'graph.pb'))
    os.symlink('graph.pb', os.path.join(saved_model, 'saved_model.pb'))
    _archive.pack('vertex', saved_model, str(tmp_path / 'vertex'))
    assert not os.path.islink(str(tmp_path / 'vertex' / 'saved_model.pb'))
    (tmp_path / 'secrets').mkdir()
    (tmp_path / 'secrets' / 'key').write_text('secret')
    for target in ('secrets', os.path.join('secrets', 'key')):
        link = os.path.join(saved_model, 'assets.extra', 'link')
        os.symlink(str(tmp_path / target), link)
        with pytest.raises(_errors.InputRefused, match='leads out of its folder'):
            _archive.pack('sagemaker', saved_model, str(tmp_path / 'model.tar.gz'))
        os.unlink(link)
    assert not (tmp_path / 'model.tar.gz').exists()


def test_a_damaged_model_is_not_packed(saved_model, tmp_path):
    data = os.path.join(saved_model, 'variables', 'variables.data-00000-of-00001')
    with open(data, 'r+b') as file:
        file.truncate(1000)
    with pytest.raises(_errors.ProofFailed):
        _archive.pack('sagemaker', saved_model, str(tmp_path / 'model.tar.gz'))
    assert not (tmp_path / 'model.tar.gz').exists()


@pytest.mark.parametrize('kind, options, problem', [
    ('kserve', {'code': 'inference.py'}, 'takes a SavedModel and no code'),
    ('sagemaker', {'output': 'model'}, 'takes an archive'),
    ('sagemaker', {'version': 'v2'}, 'skips any other'),
    ('kserve', {'model_name': '..'}, 'would be called'),
    ('kserve', {'model_name': '../x'}, 'would be called'),
])
def test_what_cannot_be_meant_is_refused(served, tmp_path, kind, options, problem):
    options = dict(options)
    output = str(tmp_path / options.pop('output', 'model.tar.gz'))
    with pytest.raises(_errors.UsageError, match=problem):
        _archive.pack(kind, served, output, **options)
    assert not os.listdir(str(tmp_path))


def test_the_command_lists_what_it_packed(served, tmp_path):
    result = exports.run(['-m', 'od_patch.cli', 'package', 'sagemaker', served, '--output', str(tmp_path) + '/',
                          '--json'])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told['output'] == os.path.join(str(tmp_path), 'model.tar.gz')
    assert {row['path']: row['bytes'] for row in told['members']} == {
        name: len(data) for name, data in members(told['output']).items()}
