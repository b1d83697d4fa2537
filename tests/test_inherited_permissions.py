"""What is exported into an existing folder has the group and the permissions that anything made there has."""
import os
import struct

import pytest

from od_patch.staging import _staging

pytestmark = pytest.mark.once


def _export(target):
    with _staging.staged(str(target)) as staged:
        os.mkdir(os.path.join(staged.export, 'saved_model'))
        for name in ('frozen_inference_graph.pb', os.path.join('saved_model', 'saved_model.pb')):
            with open(os.path.join(staged.export, name), 'w') as file:
                file.write('new')


def _another_group():
    others = [group for group in os.getgroups() if group != os.getegid()] or ([12345] if os.geteuid() == 0 else [])
    if not others:
        pytest.skip('this user is in one group only')
    return others[0]


@pytest.fixture(params=['empty', 'an export', 'an export and other files'])
def target(request, tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    if request.param != 'empty':
        (target / 'frozen_inference_graph.pb').write_text('old')
        (target / 'saved_model').mkdir()
    if 'other' in request.param:
        (target / 'notes.txt').write_text('mine')
    return target


def _made(target):
    return [target / 'frozen_inference_graph.pb', target / 'saved_model', target / 'saved_model' / 'saved_model.pb']


def test_a_folder_that_hands_down_its_group_does_so(target):
    group = _another_group()
    os.chown(str(target), -1, group)
    target.chmod(0o2775)
    _export(target)
    assert {path.stat().st_gid for path in _made(target)} == {group}
    assert (target / 'saved_model').stat().st_mode & 0o2000
    assert target.stat().st_mode & 0o7777 == 0o2775
    assert os.listdir(str(target.parent)) == ['out'] and '.od-patch' not in os.listdir(str(target))


def test_a_folder_that_hands_down_permissions_does_so(target):
    # Version 2; then tag, permissions and id of: owner, a user, the group, the mask, others.
    acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in (
        (1, 7, 0xffffffff), (2, 7, 12345), (4, 5, 0xffffffff), (16, 7, 0xffffffff), (32, 0, 0xffffffff)))
    try:
        os.setxattr(str(target), 'system.posix_acl_default', acl)
    except OSError as error:
        pytest.skip('this file system has no access control lists: {}'.format(error))
    _export(target)
    for path in _made(target):
        assert os.getxattr(str(path), 'system.posix_acl_access')
    assert os.getxattr(str(target / 'saved_model'), 'system.posix_acl_default') == acl
    assert os.listdir(str(target.parent)) == ['out'] and '.od-patch' not in os.listdir(str(target))
