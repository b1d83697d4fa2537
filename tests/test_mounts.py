"""Mount points and overlays, as containers have them, in a namespace of the test's own where the machine allows it."""
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PROGRAM = '''
import json, os, subprocess, sys
sys.path.insert(0, {root!r})
from od_patch import _errors
from od_patch.staging import _folders
from od_patch.staging import _staging

def write(folder, text, names=('frozen_inference_graph.pb', 'checkpoint', 'saved_model/saved_model.pb',
                               'saved_model/variables/variables.index', 'saved_model/assets/deep/down/file')):
    for name in names:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)

def contents(folder):
    return {{os.path.relpath(os.path.join(place, name), folder): open(os.path.join(place, name)).read()
            for place, _, names in os.walk(folder) for name in names}}

def export(target, text='new'):
    with _staging.staged(target) as staged:
        write(staged.export, text)

def mount(*words):
    subprocess.check_call(['mount'] + list(words))

def refused(target):
    try:
        export(target)
    except _errors.OutputRefused as error:
        return str(error)
    raise AssertionError('it was not refused')

os.chdir({folder!r})
new = 'new'
'''


@pytest.fixture
def inside(tmp_path):
    """A function that runs a program where it may mount things."""
    tools = shutil.which('unshare') and shutil.which('mount')
    if not tools or subprocess.call(['unshare', '-rm', 'mount', '-t', 'tmpfs', 'tmpfs', str(tmp_path)],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
        pytest.skip('this machine allows no namespaces (unshare -rm)')

    def run(program):
        done = subprocess.run(
            ['unshare', '-rm', sys.executable, '-c', _PROGRAM.format(root=_ROOT, folder=str(tmp_path)) +
             textwrap.dedent(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        if done.returncode == 77:
            pytest.skip('this machine allows no overlay in a namespace')
        assert done.returncode == 0, done.stdout
    return run


_MOUNTS = ['out/saved_model', 'out/saved_model/variables', 'out/saved_model/assets/deep']


@pytest.mark.parametrize('kind', ['tmpfs', 'bind'])
@pytest.mark.parametrize('place', _MOUNTS)
@pytest.mark.parametrize('others', [True, False])
def test_a_mount_in_an_export_is_refused_at_once_and_nothing_is_moved(inside, kind, place, others):
    """A volume that is carried away with the folder that it is mounted on has the old model from then on."""
    inside('''
        write('out', 'old')
        if {others}:
            write('out', 'mine', ['notes.txt'])
        place = {place!r}
        os.mkdir('volume')
        write('volume', 'of the volume', ['precious'])
        mount(*(['-t', 'tmpfs', 'tmpfs', place] if {kind!r} == 'tmpfs' else ['--bind', 'volume', place]))
        write(place, 'of the volume', ['precious'])
        before = contents('.')
        said = refused('out')
        assert 'Something is mounted at' in said and 'Mount the folder above it' in said, said
        try:
            _staging.check_writable('out')
        except _errors.OutputRefused as error:
            assert 'is mounted at' in str(error)
        else:
            raise AssertionError('it is found out after all the work')
        assert contents('.') == before
        assert 'precious' in os.listdir(place)
    '''.format(kind=kind, place=place, others=others))


def test_a_name_that_the_list_of_mounts_writes_otherwise_is_found_all_the_same(inside):
    inside(r'''
        os.makedirs('a b\\c\td/saved_model')
        mount('-t', 'tmpfs', 'tmpfs', 'a b\\c\td/saved_model')
        assert 'is mounted at' in refused('a b\\c\td')
    ''')


@pytest.mark.parametrize('kind', ['tmpfs', 'bind'])
def test_a_mount_beside_the_artefacts_is_no_obstacle_and_stays(inside, kind):
    inside('''
        write('out', 'old')
        os.makedirs('out/events')
        os.mkdir('volume')
        mount(*(['-t', 'tmpfs', 'tmpfs', 'out/events'] if {kind!r} == 'tmpfs' else ['--bind', 'volume', 'out/events']))
        write('out/events', 'mine', ['log'])
        export('out')
        found = contents('out')
        assert found.pop('events/log') == 'mine' and set(found.values()) == {{new}}, found
        assert _folders.mounts_below(os.path.realpath('out')) == [os.path.realpath('out/events')]
    '''.format(kind=kind))


def test_what_is_mounted_in_the_way_of_removing_is_not_removed(inside):
    inside('''
        write('gone', 'old')
        mount('-t', 'tmpfs', 'tmpfs', 'gone/saved_model')
        write('gone/saved_model', 'precious', ['precious'])
        try:
            _folders.remove(os.path.realpath('gone'))
        except OSError as error:
            assert 'mounted' in str(error)
        else:
            raise AssertionError('it was removed')
        assert contents('gone')['saved_model/precious'] == 'precious'
    ''')


def test_killed_where_the_folder_is_a_mount_and_run_where_it_is_none(inside):
    """In a container, then on the host: the second sees what the first has left, and puts it in order."""
    inside('''
        write('real', 'old')
        write('real', 'mine', ['notes.txt'])
        before = contents('real')
        os.mkdir('out')
        mount('--bind', 'real', 'out')
        pid = os.fork()
        if not pid:
            rename = os.rename
            def dying(source, destination):
                if os.path.basename(os.path.dirname(source)) == 'export' and 'saved_model' in source:
                    os._exit(9)
                rename(source, destination)
            os.rename = dying
            export('out')
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 9 << 8
        assert os.listdir('real/.od-patch') and contents('real') != before
        _staging.clear('real')
        assert contents('real') == before
        export('real', 'newest')
        newest = contents('real')
        _staging.clear('out')
        assert contents('out') == newest and newest['saved_model/saved_model.pb'] == 'newest'
    ''')


_OVERLAY = '''
write('lower/out', 'old')
if {others}:
    write('lower/out', 'mine', ['notes.txt'])
for name in ('upper', 'work', 'merged'):
    os.mkdir(name)
try:
    mount('-t', 'overlay', 'overlay', '-o', 'lowerdir=lower,upperdir=upper,workdir=work,userxattr', 'merged')
except subprocess.CalledProcessError:
    sys.exit(77)
try:
    os.rename('merged/out/saved_model', 'merged/elsewhere')
except OSError as error:
    assert error.errno == 18
else:
    sys.exit(77)
before = contents('merged/out')
'''


@pytest.mark.parametrize('others', [True, False])
def test_an_export_in_a_lower_layer_of_an_overlay_is_replaced(inside, others):
    """As one in the image of a container, whose folders cannot be renamed."""
    inside(_OVERLAY.format(others=others) + '''
export('merged/out')
found = contents('merged/out')
assert not {others} or found.pop('notes.txt') == 'mine'
assert set(found.values()) == {{new}} and len(found) == 5, found
assert os.listdir('merged') == ['out'], os.listdir('merged')
'''.format(others=others))


def test_killed_in_an_overlay_at_any_call_the_old_export_or_the_new_one_is_there(inside):
    inside(_OVERLAY.format(others=True) + '''
new = dict(before, **{path: 'new' for path in before if path != 'notes.txt'})
calls = 0
fatal = 0
done = False
while not done:
    fatal += 3
    subprocess.check_call(['umount', 'merged'])
    subprocess.check_call(['rm', '-rf', 'upper', 'work'])
    os.mkdir('upper'); os.mkdir('work')
    mount('-t', 'overlay', 'overlay', '-o', 'lowerdir=lower,upperdir=upper,workdir=work,userxattr', 'merged')
    pid = os.fork()
    if not pid:
        def dying(function):
            def call(*args, **kwargs):
                global calls
                calls += 1
                if calls == fatal:
                    os._exit(9)
                return function(*args, **kwargs)
            return call
        for name in ('mkdir', 'rename', 'unlink', 'rmdir', 'chmod', 'chown'):
            setattr(os, name, dying(getattr(os, name)))
        export('merged/out')
        os._exit(0)
    done = os.waitpid(pid, 0)[1] == 0
    _staging.clear('merged/out')
    assert contents('merged/out') in (before, new), (fatal, contents('merged/out'))
    assert os.listdir('merged') == ['out'], (fatal, os.listdir('merged'))
assert fatal > 40 and contents('merged/out') == new
''')
