"""od-patch where ``os`` and ``signal`` are those of Windows, and files are refused as Windows refuses them.

What ``tests.support.windows`` makes of a fork of this process; Windows itself is not at hand.
"""
import ast
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.support import windows

pytestmark = pytest.mark.once

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(params=[
    ['saved_model/saved_model.pb'], ['saved_model/saved_model.pb', 'frozen_inference_graph.pb', 'notes.txt']],
    ids=['an export', 'an export among other files'])
def there(request, tmp_path):
    """A folder ``out`` that holds an export already: the names of its files."""
    for name in request.param:
        path = tmp_path / 'out' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('old')
    return request.param


def contents(folder):
    return {os.path.relpath(os.path.join(place, name), str(folder)).replace('\\', '/'):
            open(os.path.join(place, name)).read() for place, _, names in os.walk(str(folder)) for name in names}


def make(folder, names=('saved_model/saved_model.pb', 'frozen_inference_graph.pb'), text='new'):
    for name in names:
        path = os.path.join(folder, *name.split('/'))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)


_NEW = {'saved_model/saved_model.pb': 'new', 'frozen_inference_graph.pb': 'new'}


def _exports(folder, path='out'):
    from od_patch.staging import _staging
    target = os.path.join(folder, path)
    _staging.check_writable(target, saves=True)
    with _staging.staged(target) as staged:
        make(staged.export)
        make(staged.temporary, ['scratch'])


@pytest.mark.parametrize('path', ['out', 'a\\b\\out', 'a/b/out', 'out\\', 'out[1]', 'Ümlaut 猫', 'a\\..\\out'])
def test_an_export_into_a_new_folder(tmp_path, path):
    windows.run(_exports, tmp_path, path)
    target = os.path.normpath(path.replace('\\', '/'))
    assert contents(tmp_path) == {'{}/{}'.format(target, name): 'new' for name in _NEW}
    assert os.listdir(str(tmp_path)) == [target.split('/')[0]]


def test_an_export_replaces_an_export_and_leaves_what_is_none(tmp_path, there):
    windows.run(_exports, tmp_path)
    assert contents(tmp_path / 'out') == dict(_NEW, **{'notes.txt': 'old'} if 'notes.txt' in there else {})
    assert os.listdir(str(tmp_path)) == ['out']


def _is_killed_then_exports(folder, at, cleared):
    """Dies at a renaming, as if the process had been ended; then the next one is at work, in another process."""
    child = windows._REAL['fork']()
    if not child:
        rename = os.rename
        left = [at]

        def dying(source, destination):
            if not os.path.basename(destination).startswith('.od-patch-probe'):
                left[0] -= 1
                if not left[0]:
                    windows._REAL['_exit'](9)
            rename(source, destination)
        os.rename = dying
        _exports(folder)
        windows._REAL['_exit'](0)
    status = windows._REAL['waitpid'](child, 0)[1]
    assert status >> 8 in (0, 9)
    if cleared:
        from od_patch.staging import _staging
        _staging.clear(os.path.join(folder, 'out'))
    else:
        _exports(folder)


@pytest.mark.parametrize('at', [1, 2, 3, 4])
def test_what_a_killed_run_had_moved_away_is_put_back(tmp_path, there, at):
    before = contents(tmp_path)
    windows.run(_is_killed_then_exports, tmp_path, at, True)
    moves = 2 + len(there) - ('notes.txt' in there)
    assert contents(tmp_path / 'out') == {name[4:]: text for name, text in before.items()} if at <= moves else _NEW
    windows.run(_exports, tmp_path)
    assert {name: text for name, text in contents(tmp_path / 'out').items() if name != 'notes.txt'} == _NEW
    assert os.listdir(str(tmp_path)) == ['out']


def test_what_is_there_in_another_case_is_replaced_and_not_lost_where_that_fails(tmp_path):
    (tmp_path / 'out' / 'Saved_Model').mkdir(parents=True)
    (tmp_path / 'out' / 'Saved_Model' / 'mine').write_text('old')
    (tmp_path / 'out' / 'notes.txt').write_text('old')

    def fails(folder):
        rename = os.rename

        def full_disk(source, destination):
            if destination.endswith('out\\saved_model') and '\\e\\' in source:
                raise OSError(28, 'No space left on device')
            rename(source, destination)
        os.rename = full_disk
        with pytest.raises(OSError, match='No space'):
            _exports(folder)
        os.rename = rename
    windows.run(fails, tmp_path)
    assert {name.lower(): text for name, text in contents(tmp_path / 'out').items()} == {
        'saved_model/mine': 'old', 'notes.txt': 'old'}
    windows.run(_exports, tmp_path)
    assert contents(tmp_path / 'out') == dict(_NEW, **{'notes.txt': 'old'})


# Files that are held.

def _held(folder, seconds, patience):
    from od_patch import _errors
    from od_patch import _platform
    _platform._PATIENCE = patience
    with open(os.path.join(folder, 'out', 'saved_model', 'saved_model.pb'), 'rb') as held:
        timer = threading.Timer(seconds, held.close)
        timer.daemon = True
        timer.start()
        began = time.time()
        if seconds < patience:
            _exports(folder)
            assert time.time() - began > seconds
            return
        with pytest.raises(_errors.OutputRefused) as raised:
            _exports(folder)
        assert patience < time.time() - began
    assert 'out\\saved_model' in str(raised.value) and 'WinError 5' in str(raised.value)


def test_an_export_waits_while_a_scanner_looks_at_what_is_there(tmp_path, there):
    windows.run(_held, tmp_path, 0.4, 5)
    assert contents(tmp_path / 'out')['saved_model/saved_model.pb'] == 'new'


def test_an_export_that_a_server_has_open_stays_and_is_named(tmp_path, there):
    before = contents(tmp_path)
    windows.run(_held, tmp_path, 60, 0.3)
    assert contents(tmp_path) == before


def _held_file(folder):
    from od_patch import _errors
    from od_patch import _platform
    from od_patch.staging import _staging
    _platform._PATIENCE = 0.2
    path = os.path.join(folder, 'page.html')
    make(folder, ['page.html'], 'old')
    with open(path, 'rb'), pytest.raises(_errors.OutputRefused, match=r'page\.html'):
        with _staging.replacing(path) as partial:
            make(folder, [os.path.basename(partial)])
    with _staging.replacing(path) as partial:
        make(folder, [os.path.basename(partial)])


def test_a_file_that_a_viewer_has_open_stays_and_is_named(tmp_path):
    windows.run(_held_file, tmp_path)
    assert contents(tmp_path) == {'page.html': 'new'}


def _held_temporary(folder):
    from od_patch import _platform
    from od_patch.staging import _staging
    _platform._PATIENCE = 0.1
    with _staging.staged(os.path.join(folder, 'out')) as staged:
        make(staged.export)
        make(staged.temporary, ['scratch'])
        held = open(os.path.join(staged.temporary, 'scratch'))
    held.close()


def test_a_temporary_file_that_is_held_costs_no_export_and_goes_with_the_next(tmp_path):
    windows.run(_held_temporary, tmp_path)
    assert contents(tmp_path / 'out') == _NEW and len(os.listdir(str(tmp_path))) == 2
    windows.run(_exports, tmp_path)
    assert os.listdir(str(tmp_path)) == ['out']


def _two_at_once(folder):
    from od_patch import _errors
    from od_patch.staging import _staging
    target = os.path.join(folder, 'out')
    with _staging.staged(target) as staged:
        make(staged.export)
        with pytest.raises(_errors.OutputRefused, match='Another export into'):
            with _staging.staged(target):
                pass
        _staging.clear(target)
        assert os.path.isdir(staged.export)


def test_of_two_exports_into_one_place_the_second_is_refused(tmp_path):
    windows.run(_two_at_once, tmp_path)
    assert contents(tmp_path / 'out') == _NEW and os.listdir(str(tmp_path)) == ['out']


def _read_only(folder):
    from od_patch.staging import _folders
    make(folder, ['out/saved_model/saved_model.pb', 'out/frozen_inference_graph.pb', 'tree/a/b'], 'old')
    for path in ('out/saved_model/saved_model.pb', 'tree/a/b'):
        os.chmod(path, 0o444)
    _exports(folder)
    _folders.remove(os.path.join(folder, 'tree'))
    _folders.remove(os.path.join(folder, 'gone'))


def test_what_is_read_only_is_replaced_and_removed(tmp_path):
    windows.run(_read_only, tmp_path)
    assert contents(tmp_path) == {'out/' + name: 'new' for name in _NEW}


# Names and lengths.

def _refused(folder, path, words):
    from od_patch import _errors
    from od_patch.staging import _staging
    with pytest.raises(_errors.OutputRefused) as raised:
        _staging.check_writable(os.path.join(folder, path), saves=True)
    assert words in str(raised.value)


@pytest.mark.parametrize('path, words', [
    ('con', 'device'), ('NUL', 'device'), ('aux.export', 'device'), ('lpt1\\out', 'device'), ('out.', 'ends with a dot'),
    ('out ', 'ends with a space'), ('x\\a:b', 'has the character :'), ('Z:\\a\\out', 'there is no Z:\\'), ('Z:out', 'there is no Z:'), ('what?', 'has the character ?'), ('a|b\\out', '|'),
    ('x' * 256, '255 bytes'), ('tab\tout', "has the character '\\t'")])
def test_what_windows_cannot_name_is_refused_in_words(tmp_path, path, words):
    windows.run(_refused, tmp_path, path, words)
    assert os.listdir(str(tmp_path)) == []


def _of_length(folder, length, name):
    """Returns a path of a length in characters, of a folder of a name below others."""
    left = length - len(folder) - len(name) - 2
    assert left > 0
    return os.path.join(folder, 'x' * left, name)


def _lengths(folder, name):
    from od_patch import _errors
    from od_patch.staging import _staging
    longest = 0
    for length in range(len(folder) + len(name) + 3, 260):
        path = _of_length(folder, length, name)
        try:
            _staging.check_writable(path, saves=True)
            longest = length
        except _errors.OutputRefused as error:
            assert 'LongPathsEnabled' in str(error) and str(length) in str(error)
            break
    path = _of_length(folder, longest, name)
    deepest = 'model.ckpt_temp_{}/part-00000-of-00001.data-00000-of-00001.tempstate{}'.format('0' * 32, '1' * 20)
    assert len(deepest) == 118 and longest <= 259 - 119
    with _staging.staged(path) as staged:
        make(staged.export, [deepest, 'checkpoint'])
        make(staged.temporary, [deepest.replace('model.ckpt', 'tmp01234567')])
        windows._REAL['path'] = None
        import shutil
        shutil.rmtree(os.path.join(staged.export, deepest.split('/')[0]))
    assert os.listdir(path) == ['checkpoint'] and os.listdir(os.path.dirname(path)) == [name]
    # Names from 14 characters on cost nothing beside what the release itself needs.
    assert longest == 259 - 119 or len(name) < 14 and longest >= 259 - 119 - 11
    if longest < 259 - 119 - 1:
        windows.long_paths.append(True)
        _staging.check_writable(_of_length(folder, longest + 1, name), saves=True)


@pytest.mark.parametrize('name', ['out', 'exported', 'exported_model', 'a_name_of_an_output_directory'])
def test_a_path_is_refused_that_would_become_longer_than_windows_takes_and_no_shorter_one(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp('l')
    windows.run(_lengths, folder, name)


@pytest.mark.parametrize('heading', [
    'Windows cannot make the output directory «…»', 'The path «…» has «…» characters',
    'Windows refuses to move, replace or remove «…»'])
def test_what_windows_alone_refuses_has_its_heading(heading):
    texts = []
    for name in ('troubleshooting.md', os.path.join('..', 'od_patch', 'staging', '_staging.py')):
        with open(os.path.join(_ROOT, 'docs', name), encoding='utf-8') as file:
            texts.append(file.read())
    assert '### ' + heading + '\n' in texts[0] and heading.partition('«…»')[0] in texts[1]


# Signals, the log, text files.

def _interrupted(folder):
    from od_patch import _platform
    from od_patch.command import _signals
    from od_patch.staging import _staging
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK):
        moved = False
        with pytest.raises((KeyboardInterrupt, _signals.Terminated)) as raised:  # before Python 3.8, each is a Ctrl-C
            with _signals.obeyed(), _staging._undisturbed():
                windows._REAL['kill'](os.getpid(), number)
                time.sleep(0.01)
                moved = True
        assert moved and (number != signal.SIGINT or raised.type is KeyboardInterrupt)
        with pytest.raises((KeyboardInterrupt, _signals.Terminated)):
            with _signals.obeyed():
                _platform.send(number)
                time.sleep(1)


def test_signals_wait_while_things_are_moved_and_are_delivered_behind_it(tmp_path):
    windows.run(_interrupted, tmp_path)


def _text_files(folder):
    from od_patch.terminal import _html
    from od_patch.terminal import _log_file
    make(folder, ['template.html'], '@STYLE@\n@CONTENT@\n')
    _html.write(os.path.join(folder, 'page.html'), os.path.join(folder, 'template.html'), content='ä\nb')
    log = _log_file.Log(os.path.join(folder, 'log.txt'))
    log.write('one\ntwo\n')
    log.close()


def test_text_has_line_ends_of_unix(tmp_path):
    windows.run(_text_files, tmp_path)
    assert b'\r' not in (tmp_path / 'page.html').read_bytes() and b'\xc3\xa4\nb' in (tmp_path / 'page.html').read_bytes()
    assert (tmp_path / 'log.txt').read_bytes() == b'one\ntwo\n'


def _every_module(folder):
    import importlib
    import pkgutil
    names = [module.name for module in pkgutil.walk_packages([_ROOT + '/od_patch'], 'od_patch.')
             if not module.name.endswith(('__main__', '_triton_model'))]  # which is copied, and imports Triton's module
    assert len(names) > 140
    for name in names:
        importlib.import_module(name)


def test_every_module_can_be_imported(tmp_path):
    windows.run(_every_module, tmp_path)


# With TensorFlow.

def _checkpoints(folder):
    from od_patch.checkpoint import _checkpoint
    from od_patch.export import _find_checkpoints
    inside = os.path.join(folder, 'training')
    for given in ('training', 'training\\', 'training/', inside, os.path.join(inside, 'checkpoint'),
                  'training\\model.ckpt-7', 'training/model.ckpt-7.index', 'TRAINING\\model.ckpt-7'):
        assert _checkpoint.resolve(given).lower().replace('/', '\\').endswith('training\\model.ckpt-7'), given
    assert _checkpoint.take_inventory(os.path.join(inside, 'model.ckpt-7')).shapes
    for given in ('training', inside, 'training\\model.ckpt-*', 'training/model.ckpt-*', inside + '\\model.ckpt-*'):
        found = _find_checkpoints.find(given)
        assert [name.replace('/', '\\').rpartition('\\')[2] for name in found] == ['model.ckpt-7', 'model.ckpt-9'], given
        listing = _find_checkpoints.Listing(given)
        for prefix in found:
            assert len(_find_checkpoints.files_of(prefix)) == 2 and _find_checkpoints.is_whole(prefix)
            assert len(_find_checkpoints.looks(prefix, listing)) == 2 and len(_checkpoint.files(prefix)) == 2


def test_checkpoints_are_found_however_their_path_is_written(tmp_path, small):
    import shutil
    (tmp_path / 'training').mkdir()
    for number in (7, 9):
        for name in os.listdir(os.path.join(small, 'variables')):
            shutil.copy(os.path.join(small, 'variables', name),
                        str(tmp_path / 'training' / name.replace('variables', 'model.ckpt-{}'.format(number))))
    # Of a training on this very machine, which has gone on to 9.
    (tmp_path / 'training' / 'checkpoint').write_text('model_checkpoint_path: "C:\\\\elsewhere\\\\model.ckpt-7"\n')
    windows.run(_checkpoints, tmp_path, tensorflow=True)


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """The folder of a small SavedModel with variables; nobody may change it."""
    folder = tmp_path_factory.mktemp('model')
    program = 'import sys; from tests.support import inputs; inputs.make(sys.argv[1])'
    subprocess.check_call([sys.executable, '-c', program, str(folder)], cwd=_ROOT, stderr=subprocess.DEVNULL)
    return str(folder / 'resource')


def _publishes(folder, model):
    from od_patch import _errors
    from od_patch.serving import _archive
    from od_patch.serving import _commands
    from od_patch.serving import _publish
    published = [_publish.publish(model, _publish.PublishRequest(base=base, keep=2)) for base in (
        'models', 'models\\', 'MODELS', os.path.join(folder, 'models'))]
    assert [one.version for one in published] == [1, 2, 3, 4] and published[-1].removed == [2]
    assert published[0].model_name == 'models'
    lines = '\n'.join(_commands.lines(published[-1]))
    assert '"source=' in lines or 'source=C:' in lines
    assert os.listdir('models') and sorted(os.listdir('models')) == ['3', '4']
    for kind, output in (('sagemaker', 'packed\\model.tar.gz'), ('kserve', 'served\\'), ('vertex', 'vertex')):
        packed = _archive.pack(kind, os.path.join('models', '4'), output, model_name='detector')
        assert all('\\' not in path for path, _ in packed.members)
    for name in ('con', 'nul.x', 'name.'):
        with pytest.raises(_errors.UsageError, match='would be called'):
            _archive.pack('kserve', os.path.join('models', '4'), 'no', model_name=name)


def test_versions_are_published_and_packed(tmp_path, small):
    windows.run(_publishes, tmp_path, windows._to_windows(small), tensorflow=True)
    written = contents_of_bytes(small)
    for place in ('models/3', 'models/4', 'served/detector/1', 'vertex'):
        assert contents_of_bytes(tmp_path / place) == written, place
    assert sorted(os.listdir(str(tmp_path))) == ['models', 'packed', 'served', 'vertex']


def contents_of_bytes(folder):
    found = {}
    for place, _, names in os.walk(str(folder)):
        for name in names:
            with open(os.path.join(place, name), 'rb') as file:
                found[os.path.relpath(os.path.join(place, name), str(folder))] = file.read()
    return found


def _publishes_into_a_store(folder, model, base):
    from od_patch import _errors
    from od_patch.export import _destination
    from od_patch.saved_model import _record
    from od_patch.serving import _publish
    from od_patch.staging import _staging
    from od_patch.staging import _store
    _store.is_store = lambda path: '://' in path and path[1:2] != ':'
    _store.plain = lambda path: path
    for number in (1, 2):
        published = _publish.publish(model, _publish.PublishRequest(base=base, keep=1))
        assert (published.version, published.path) == (number, '{}/{}'.format(base, number))
    assert _publish.publish(base + '/2', _publish.PublishRequest(base='back')).version == 1
    target = base.rpartition('/')[0] + '/exported'
    for overwrite in (False, True):
        assert _destination.check_free(target, overwrite) == overwrite
        with _staging.staged(target) as staged:
            make(staged.export)
    with pytest.raises(_errors.OutputRefused, match='holds an export already'):
        _destination.check_free(target, False)
    assert _record.read(base + '/2') == _record.read(model)


def test_paths_of_a_store_have_slashes(tmp_path, small):
    base = 'file://{}/store/models'.format(tmp_path)
    (tmp_path / 'store').mkdir()
    windows.run(_publishes_into_a_store, tmp_path, windows._to_windows(small), base, tensorflow=True)
    assert sorted(os.listdir(str(tmp_path))) == ['back', 'store']
    assert contents_of_bytes(tmp_path / 'store' / 'models' / '2') == contents_of_bytes(small)
    assert contents_of_bytes(tmp_path / 'back' / '1') == contents_of_bytes(small)
    assert {name for name in contents(tmp_path / 'store' / 'exported')} == set(_NEW)


def _store_names(folder, base):
    from od_patch import _errors
    from od_patch.serving import _content
    from od_patch.staging import _store
    _store.is_store = lambda path: '://' in path
    os.mkdir('copy')
    with pytest.raises(_errors.InputRefused, match='no name for a file'):
        _content.copy(base, os.path.join(folder, 'copy'))


@pytest.mark.parametrize('name', ['..\\..\\up', 'C:drive', 'con', 'what?', 'dot.'])
def test_a_name_in_a_store_that_would_lead_elsewhere_is_refused(tmp_path, name):
    (tmp_path / 'model' / 'assets').mkdir(parents=True)
    (tmp_path / 'model' / 'assets' / name).write_text('planted')
    windows.run(_store_names, tmp_path, 'file://{}/model'.format(tmp_path), tensorflow=True)
    assert contents(tmp_path / 'copy') == {}


# What every line of code holds to.

def _calls_that_open_text(path):
    """Yields (line, whether it writes, names of the keywords) of the calls of open for text, by a path."""
    with open(path, encoding='utf-8') as source:
        tree = ast.parse(source.read())
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or isinstance(node.args[0], ast.Num):
            continue
        name = getattr(node.func, 'id', None) or getattr(node.func, 'attr', None)
        of_os = isinstance(node.func, ast.Attribute) and getattr(node.func.value, 'id', None) not in ('io', 'builtins')
        if name != 'open' or of_os:
            continue
        modes = node.args[1:2] + [keyword.value for keyword in node.keywords if keyword.arg == 'mode']
        mode = modes[0].s if modes else 'r'
        if 'b' not in mode:
            yield node.lineno, bool(set(mode) & set('wax')), {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize('folder', ['od_patch', 'examples', 'tools', 'patches'])
def test_text_is_read_and_written_as_utf8_with_line_ends_of_unix(folder):
    seen, wrong = 0, []
    for place, folders, names in os.walk(os.path.join(_ROOT, folder)):
        folders[:] = [name for name in folders if name != 'faults']  # which needs processes that are killed
        for path in [os.path.join(place, name) for name in names if name.endswith('.py')]:
            for line, writes, keywords in _calls_that_open_text(path):
                seen += 1
                if 'encoding' not in keywords or writes and 'newline' not in keywords:
                    wrong.append('{}:{}'.format(path, line))
    assert seen and not wrong


def test_which_system_it_is_is_asked_in_one_place():
    asked = set()
    for place, _, names in os.walk(os.path.join(_ROOT, 'od_patch')):
        for name in names:
            if name.endswith('.py'):
                with open(os.path.join(place, name), encoding='utf-8') as source:
                    if re.search(r'\bos\.name\b|sys\.platform|import (fcntl|msvcrt|winreg|pwd|resource)\b|geteuid|'
                                 r'pthread_kill|os\.fork\b|os\.chown|platform\.system', source.read()):
                        asked.add(name)
    assert asked == {'_platform.py'}
