"""``patches/``: they agree with the table of releases, apply with git, and make the release's own command write variables."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from od_patch.releases import _releases
from tests.support import exports
from tests.support import parity

_PATCHES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'patches')


def test_the_patches_are_those_of_the_table():
    subprocess.check_call([sys.executable, os.path.join(_PATCHES, 'generate.py'), '--check'])
    assert sorted(name for name in os.listdir(_PATCHES) if name.endswith('.patch')) == sorted(
        release.name + '.patch' for release in _releases.RELEASES)


def test_the_patches_hold_none_of_upstreams_text():
    for release in _releases.RELEASES:
        with open(os.path.join(_PATCHES, release.name + '.patch')) as patch_file:
            lines = patch_file.read().splitlines()[5:]
        assert lines == ['+', '+', '+import od_patch', '+od_patch.install(__name__)']


def test_a_line_that_the_patch_adds_does_not_change_the_release():
    text = b'an exporter\n'
    assert _releases.blob_id(text + _releases.PATCH_TRAILER) == _releases.blob_id(text)
    assert _releases.blob_id(text.replace(b'\n', b'\r\n')) == _releases.blob_id(text)
    assert _releases.blob_id(text) == subprocess.run(
        ['git', 'hash-object', '--stdin'], input=text, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


@pytest.mark.parametrize('line_end', [b'\n', b'\r\n'])
def test_the_command_that_tells_the_ids_tells_those_of_the_patch(line_end, research, tmp_path):
    with open(os.path.join(_PATCHES, 'README.md')) as page:
        command, = re.findall(r"^(tr -d .*hash-object --stdin) && head", page.read(), re.MULTILINE)
    folder = tmp_path / 'research' / 'object_detection'
    folder.mkdir(parents=True)
    with open(os.path.join(research, 'object_detection', 'exporter.py'), 'rb') as source:
        text = source.read().replace(b'\r\n', b'\n')
    release = _releases.find(_releases.blob_id(text))
    assert release, 'this exporter is not pinned, so there is no patch for it'
    assert release.line_count == text.count(b'\n')
    (folder / 'exporter.py').write_bytes(text.replace(b'\n', line_end))
    ids = [subprocess.check_output(command, shell=True, cwd=str(tmp_path)).decode().strip()]
    git = dict(cwd=str(tmp_path), env=dict(os.environ, GIT_CEILING_DIRECTORIES=str(tmp_path)))
    subprocess.check_call(['git', 'init', '-q', '.'], **git)
    subprocess.check_call(['git', 'apply', '--unidiff-zero', os.path.join(_PATCHES, release.name + '.patch')], **git)
    ids.append(subprocess.check_output(command, shell=True, cwd=str(tmp_path)).decode().strip())
    assert ids == [release.exporter_blob, release.patched_blob]


@pytest.mark.xdist_group('ssd')
def test_with_the_patch_applied_the_users_own_command_writes_variables(research, tmp_path, checkpoint_of):
    tensorflow = pytest.importorskip('tensorflow')
    checkout = tmp_path / 'models'
    shutil.copytree(os.path.join(research, 'object_detection'), str(checkout / 'research' / 'object_detection'))
    exporter = checkout / 'research' / 'object_detection' / 'exporter.py'
    exporter.write_bytes(exporter.read_bytes().replace(b'\r\n', b'\n'))  # as git has it; packages A and D have CRLF
    release = _releases.find(_releases.blob_id(exporter.read_bytes()))
    assert release, 'this exporter is not pinned, so there is no patch for it'
    git = dict(cwd=str(checkout), env=dict(os.environ, GIT_CEILING_DIRECTORIES=str(tmp_path)))
    subprocess.check_call(['git', 'init', '-q', '.'], **git)
    subprocess.check_call(
        ['git', 'apply', '--unidiff-zero', os.path.join(_PATCHES, release.name + '.patch')], **git)
    patched = subprocess.check_output(['git', 'hash-object', str(exporter)], **git).decode().strip()
    assert patched == release.patched_blob

    output = str(tmp_path / 'export')
    environment = {'PYTHONPATH': os.pathsep.join(
        [str(checkout / 'research'), research, os.path.join(research, 'slim'), os.path.dirname(_PATCHES)])}
    script = ['object_detection/export_inference_graph.py']
    if not tensorflow.__version__.startswith('1.'):
        # The line that the patch adds is the last of exporter.py, and what that imports needs the bridges before.
        script = ['-m', 'od_patch'] + script
    result = exports.run(
        script + exports.flags_of(exports.config_path('ssd'), checkpoint_of('ssd'), output),
        cwd=str(checkout / 'research'), environment=environment)
    assert result.exit_code == 0, result.stderr[-3000:]
    assert 'is not one of the pinned releases' not in result.stderr
    said = [line for line in result.stderr.splitlines() if line.startswith('od-patch: ')]
    assert len(said) == 1 and os.path.join(output, 'saved_model') in said[0] and 'resource variables' in said[0]
    assert 'variables.index' in os.listdir(os.path.join(output, 'saved_model', 'variables'))
    parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': parity.pictures(1)})
