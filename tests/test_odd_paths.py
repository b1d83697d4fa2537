"""Output directories with odd paths: exported into, or refused in words before any work."""
import os

import pytest

import od_patch
from od_patch.staging import _staging

pytestmark = pytest.mark.once


def _export(target):
    _staging.check_writable(target)
    with _staging.staged(target) as staged:
        with open(os.path.join(staged.export, 'checkpoint'), 'w') as file:
            file.write('new')


@pytest.mark.parametrize('letter', ['x', 'ä'])
@pytest.mark.parametrize('length', [200, 243, 244, 245, 246, 250, 254, 255])
def test_a_name_as_long_as_can_be_is_exported_into(tmp_path, letter, length):
    size = len(letter.encode('utf-8'))
    name = letter * (length // size) + 'x' * (length % size)
    target = tmp_path / name
    for _ in range(2):
        _export(str(target))
    assert os.listdir(str(tmp_path)) == [name] and (target / 'checkpoint').read_text() == 'new'


@pytest.mark.parametrize('path', ['x' * 256, 'ä' * 128, 'a/' + 'x' * 300 + '/b'])
def test_a_name_that_is_too_long_is_refused(tmp_path, path):
    with pytest.raises(od_patch.OutputRefused, match='more than 255 bytes'):
        _export(str(tmp_path / path))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize('below', ['', 'out', 'a/b'])
@pytest.mark.parametrize('links', [{'loop': 'loop'}, {'loop': 'other', 'other': 'loop'}, {'loop': 'loop/inside'}])
def test_a_link_that_leads_to_itself_is_refused(tmp_path, links, below):
    for name, target in links.items():
        os.symlink(target, str(tmp_path / name))
    with pytest.raises(od_patch.OutputRefused, match='cannot be written'):
        _export(str(tmp_path / 'loop' / below))
    assert sorted(os.listdir(str(tmp_path))) == sorted(links)


def test_a_link_to_a_place_that_is_not_there_yet_is_followed(tmp_path):
    os.symlink('later', str(tmp_path / 'link'))
    _export(str(tmp_path / 'link'))
    assert (tmp_path / 'later' / 'checkpoint').read_text() == 'new'


@pytest.fixture
def gone(tmp_path):
    """The folder that the process works in is removed."""
    before = os.getcwd()
    (tmp_path / 'gone').mkdir()
    os.chdir(str(tmp_path / 'gone'))
    os.rmdir(str(tmp_path / 'gone'))
    yield tmp_path
    os.chdir(before)


def test_from_a_folder_that_is_gone_an_absolute_path_is_exported_into_also_where_an_export_is_replaced(gone):
    for _ in range(2):
        _export(str(gone / 'out'))
    assert (gone / 'out' / 'checkpoint').read_text() == 'new' and os.listdir(str(gone)) == ['out']


@pytest.mark.parametrize('path', ['out', '.', '../out'])
def test_from_a_folder_that_is_gone_a_relative_path_is_refused(gone, path):
    for function in (_staging.check_writable, _staging.clear, _export):
        with pytest.raises(od_patch.OutputRefused, match='may be gone'):
            function(path)
    assert os.listdir(str(gone)) == []


def test_a_name_that_is_no_utf8_is_refused_before_any_work(tmp_path):
    with pytest.raises(od_patch.OutputRefused, match='is no UTF-8'):
        _export(os.path.join(str(tmp_path), os.fsdecode(b'caf\xe9')))
    assert os.listdir(str(tmp_path)) == []
