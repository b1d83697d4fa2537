"""Publishing where others have put things, where several publish at once, and what is never copied."""
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from od_patch import _errors
from od_patch.serving import _publish
from tests.support import exports

tensorflow = pytest.importorskip('tensorflow')

pytestmark = [pytest.mark.once, pytest.mark.xdist_group('serving')]
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """The folder of a small SavedModel; nobody may change it."""
    folder = tmp_path_factory.mktemp('model')
    program = 'import sys; from tests.support import inputs; inputs.make(sys.argv[1])'
    subprocess.check_call([sys.executable, '-c', program, str(folder)], cwd=_ROOT, stderr=subprocess.DEVNULL)
    return str(folder / 'resource')


@pytest.fixture
def changed(model, tmp_path):
    """A copy of it that a test may change."""
    import shutil
    return type(tmp_path)(shutil.copytree(model, str(tmp_path / 'changed')))


def publish(export, base, prepare=None, **wish):
    return _publish.publish(str(export), _publish.PublishRequest(base=str(base), **wish), prepare)


def files(folder):
    return {os.path.relpath(os.path.join(place, name), str(folder)) for place, _, names in os.walk(str(folder))
            for name in names}


def test_a_planted_workshop_of_the_version_is_refused_and_does_nothing(model, tmp_path):
    (tmp_path / 'thesis').mkdir()
    (tmp_path / 'thesis' / 'chapter').write_text('years of work')
    (tmp_path / 'models' / '.1.od-patch').mkdir(parents=True)
    journal = tmp_path / 'models' / '.1.od-patch' / 'journal.json'
    journal.write_text(json.dumps({'new': [str(tmp_path / 'thesis')], 'old': []}))
    with pytest.raises(_errors.OutputRefused, match='od-patch did not make it here'):
        publish(model, tmp_path / 'models')
    assert (tmp_path / 'thesis' / 'chapter').read_text() == 'years of work'
    assert files(tmp_path) == {'thesis/chapter', 'models/.1.od-patch/journal.json'}
    assert publish(model, tmp_path / 'models', version=2).version == 2  # it is in nobody else's way
    assert journal.exists()


def test_of_two_that_want_the_next_version_each_gets_one(model, tmp_path):
    """The second one waits until the first has its number, and takes the one after it."""
    inside, second, found = threading.Event(), threading.Event(), []

    def first(folder):
        del folder
        inside.set()
        second.wait(5)

    def publish_first():
        found.append(publish(model, tmp_path, first).version)

    thread = threading.Thread(target=publish_first)
    thread.start()
    assert inside.wait(60)
    other = threading.Thread(target=lambda: found.append(publish(model, tmp_path).version))
    other.start()
    other.join(1)
    assert other.is_alive() and not found
    second.set()
    thread.join()
    other.join()
    assert sorted(found) == [1, 2] and sorted(os.listdir(str(tmp_path))) == ['1', '2']


def test_of_two_that_want_the_same_version_the_second_waits_and_is_told_that_it_is_there(model, tmp_path):
    inside, refusals = threading.Event(), []

    def wait_a_moment(folder):
        del folder
        inside.set()
        thread.join(1)
        assert thread.is_alive()

    def publish_second():
        inside.wait(60)
        try:
            publish(model, tmp_path, version=7)
        except _errors.OutputRefused as error:
            refusals.append(str(error))

    thread = threading.Thread(target=publish_second)
    thread.start()
    publish(model, tmp_path, wait_a_moment, version=7)
    thread.join()
    assert len(refusals) == 1 and '7 is there already' in refusals[0]
    assert os.listdir(str(tmp_path)) == ['7']


_ELSEWHERE = {
    'a link to a file': lambda place, secret: os.symlink(str(secret / 'key'), place),
    'a relative link': lambda place, secret: os.symlink(
        os.path.relpath(str(secret / 'key'), os.path.dirname(place)), place),
    'a link to a folder': lambda place, secret: os.symlink(str(secret), place),
    'a link to a link': lambda place, secret: os.symlink(str(secret / 'link'), place),
    'a link to nothing': lambda place, secret: os.symlink(str(secret / 'nothing'), place),
    'a link to itself': lambda place, secret: os.symlink(place, place),
    'a link to the folder above': lambda place, secret: os.symlink('../..', place),
    'a pipe': lambda place, secret: os.mkfifo(place),
    'a socket': lambda place, secret: _bind(place),
    'a name that a terminal obeys': lambda place, secret: open(place + '\x1b[31m', 'w').close(),
    'a name that is no UTF-8': lambda place, secret: open(os.fsencode(place) + b'\xff', 'w').close(),
}


def _bind(place):
    before = os.getcwd()
    os.chdir(os.path.dirname(place))  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind(os.path.basename(place))
    finally:
        os.chdir(before)


@pytest.fixture
def secret(tmp_path):
    folder = tmp_path / 'secret'
    folder.mkdir()
    (folder / 'key').write_text('SECRET')
    os.symlink('key', str(folder / 'link'))
    return folder


@pytest.mark.parametrize('place', ['more', 'assets.extra/more', 'variables/more', 'assets.extra/od_patch.json'])
@pytest.mark.parametrize('kind', sorted(_ELSEWHERE))
def test_what_is_no_file_of_the_saved_model_is_not_published_and_not_packed(changed, tmp_path, secret, kind, place):
    path = str(changed / place)
    if os.path.exists(path):
        os.unlink(path)
    _ELSEWHERE[kind](path, secret)
    with pytest.raises(_errors.InputRefused):
        publish(changed, tmp_path / 'models')
    assert not (tmp_path / 'models').exists()
    from od_patch.serving import _archive
    with pytest.raises(_errors.InputRefused):
        _archive.pack('vertex', str(changed), str(tmp_path / 'packed'))
    with pytest.raises(_errors.InputRefused):
        _archive.pack('sagemaker', str(changed), str(tmp_path / 'packed.tar.gz'))
    assert sorted(os.listdir(str(tmp_path))) == ['changed', 'secret']


def test_a_link_into_a_folder_whose_name_begins_the_same_is_refused(changed, tmp_path):
    (tmp_path / 'changed-secret').mkdir()
    (tmp_path / 'changed-secret' / 'key').write_text('SECRET')
    os.symlink(str(tmp_path / 'changed-secret' / 'key'), str(changed / 'more'))
    with pytest.raises(_errors.InputRefused, match='leads out of its folder'):
        publish(changed, tmp_path / 'models')
    assert not (tmp_path / 'models').exists()


def test_a_link_inside_and_an_empty_folder_are_copied_as_what_they_are(changed, tmp_path):
    (changed / 'assets').mkdir()
    os.symlink('../saved_model.pb', str(changed / 'assets' / 'link'))
    (changed / 'assets.extra' / 'empty').mkdir()
    published = publish(changed, tmp_path / 'models')
    assert not os.path.islink(os.path.join(published.path, 'assets', 'link'))
    assert files(published.path) == files(changed)
    assert os.path.isdir(os.path.join(published.path, 'assets.extra', 'empty'))


def test_a_saved_model_that_is_itself_behind_a_link_is_published(model, tmp_path):
    os.symlink(model, str(tmp_path / 'current'))
    assert files(publish(tmp_path / 'current', tmp_path / 'models').path) == files(model)


def test_a_store_whose_library_is_missing_is_refused_and_not_waited_for(model, monkeypatch):
    monkeypatch.setenv('HADOOP_HDFS_HOME', '/nothing')
    for scheme in ('hdfs', 'viewfs'):
        with pytest.raises(_errors.EnvironmentRefused, match='libhdfs.so, which cannot be loaded'):
            publish(model, scheme + '://host/models')
        done = exports.run(['-m', 'od_patch.cli', 'publish', model, scheme + '://host/models'])
        assert done.exit_code == 3 and 'libhdfs.so' in done.stderr


def test_a_path_with_the_scheme_of_the_local_disk_is_a_local_one(model, tmp_path):
    published = publish('file://' + model, 'file://{}/models'.format(tmp_path))
    assert published.path == str(tmp_path / 'models' / '1')
    os.makedirs(str(tmp_path / 'models' / '.2.od-patch' / 'planted'))
    with pytest.raises(_errors.OutputRefused, match='did not make it here'):
        publish(model, 'file://{}/models'.format(tmp_path))
