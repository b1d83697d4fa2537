"""Versions in a folder and in a store: which there are, which comes next, which go, and what is there at every moment.

On a model of one sum, which is published in milliseconds. Not for: detectors, nor the commands (``test_publish``).
"""
import contextlib
import json
import os
import shutil
import tempfile
import unittest.mock

import hypothesis
import hypothesis.strategies as st
import pytest

from od_patch import _errors
from od_patch import cli
from od_patch.serving import _content
from od_patch.serving import _publish
from od_patch.staging import _staging
from od_patch.staging import _store
from tests.serving import models
from tests.support import disk

tensorflow = pytest.importorskip('tensorflow')
from od_patch import _tensorflow  # pylint: disable=wrong-import-position

pytestmark = pytest.mark.once

_LARGEST = (1 << 63) - 1


@pytest.fixture(scope='session')
def small(tmp_path_factory):
    """A SavedModel with files in all of its folders, and a record of step 50."""
    folder = tmp_path_factory.mktemp('small') / 'shapes' / 'saved_model'
    models.write(models.sums([None, None, None, 3]), folder)
    for name in ('assets', 'assets.extra'):
        (folder / name).mkdir()
    (folder / 'assets' / 'label_map.pbtxt').write_text('item { id: 1 name: "circle" }\n')
    (folder / 'assets.extra' / 'od_patch.json').write_text('{"global_step": 50}')
    return str(folder)


publish = models.publish
files = models.files


@contextlib.contextmanager
def files_as_a_store():
    """Context in which ``file://`` is a store's scheme: what lies there has no renames and no locks, for od-patch."""
    with unittest.mock.patch.object(_store, 'plain', os.fspath), \
            unittest.mock.patch.object(_store, 'is_store', lambda path: '://' in path):
        yield


class Store:
    """A path with a scheme, ``file://``, which is taken for a store's; its copies are seen and changed.

    Attributes:
        copied: list of the paths that were uploaded, below the store; without what is put beside first.
    """

    def __init__(self, folder, monkeypatch):
        self.folder, self.copied = str(folder), []
        self.base = 'file://' + self.folder
        self.behind = lambda path: None  # called with each file that has arrived, its local path
        self._gfile = _tensorflow.gfile()
        self._copy = self._gfile.Copy
        monkeypatch.setattr(self._gfile, 'Copy', self._seen)

    def _seen(self, source, destination, overwrite=False):
        self._copy(source, destination, overwrite=overwrite)
        if destination.startswith(self.base) and '/.od-patch/' not in destination:
            self.copied.append(destination[len(self.base):].lstrip('/'))
            self.behind(destination[len('file://'):])


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / 'store').mkdir()
    with files_as_a_store():
        yield Store(tmp_path / 'store', monkeypatch)


# Which there are, and which is next.

def of_a_server(name):
    """What absl::SimpleAtoi makes of a name: an int of 64 bits, or None."""
    name = name.strip(' \t')
    sign, digits = (name[:1], name[1:]) if name[:1] in '+-' else ('', name)
    if not digits or set(digits) - set('0123456789'):
        return None
    number = int(sign + digits)
    return number if -(1 << 63) <= number < 1 << 63 else None


@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(st.sets(st.one_of(
    st.text('0123456789', min_size=1, max_size=20), st.text('+-0123456789 x._\t', min_size=1, max_size=4),
    st.sampled_from([str((1 << 63) + offset) for offset in (-2, -1, 0, 1)] + [
        str(-(1 << 63) + offset) for offset in (-1, 0, 1)])), max_size=5))
def test_versions_are_what_a_server_takes_for_them(names):
    names -= {'.', '..'}
    with tempfile.TemporaryDirectory() as base:
        for name in names:
            os.mkdir(os.path.join(base, name))
        found = _publish.versions(base)
        assert set(found) == {of_a_server(name) for name in names} - {None}
        assert all(of_a_server(name) == version and name in names for version, name in found.items())
        assert _publish.versions(os.path.join(base, 'missing')) == {}


def test_names_with_a_slash_behind_them_are_names_of_folders(monkeypatch, tmp_path):
    gfile = _tensorflow.gfile()
    monkeypatch.setattr(gfile, 'ListDirectory', lambda path: ['7/', 'x/'])  # as object stores list folders
    assert _publish.versions(str(tmp_path)) == {7: '7'}


@pytest.mark.parametrize('there, expected', [
    ([], 1), ([-7], 1), ([-1], 1), ([0], 1), ([1], 2), ([-3, 7, 2], 8), ([_LARGEST - 1], _LARGEST), ([_LARGEST], None)])
def test_the_next_version_is_above_all_that_are_there_and_a_servers_first_is_1(small, tmp_path, there, expected):
    for version in there:
        (tmp_path / str(version)).mkdir()
    if expected is None:
        with pytest.raises(_errors.OutputRefused, match='has the largest version that there can be'):
            publish(small, tmp_path)
    else:
        assert publish(small, tmp_path).version == expected and (tmp_path / str(expected)).is_dir()
    assert len(os.listdir(str(tmp_path))) == len(there) + (expected is not None)


@pytest.mark.parametrize('step, fit', [(0, True), (1, True), (_LARGEST, True), (_LARGEST + 1, False), (-1, False),
                                       (None, False), ('7', False), (7.5, False)])
def test_a_step_is_a_version_where_it_is_a_number_that_can_be_one(small, tmp_path, step, fit):
    copy = str(tmp_path / 'copy')
    shutil.copytree(small, copy)
    with open(os.path.join(copy, 'assets.extra', 'od_patch.json'), 'w') as record:
        json.dump({'global_step': step}, record)
    if fit:
        assert publish(copy, tmp_path / 'base', version='step').version == step
        assert os.listdir(str(tmp_path / 'base')) == [str(step)]
    else:
        with pytest.raises(_errors.InputRefused, match='has none'):  # a record with such a step is no record
            publish(copy, tmp_path / 'base', version='step')


@pytest.mark.parametrize('version', [0, '0', '007', 7, str(_LARGEST), _LARGEST])
def test_a_version_may_be_any_whole_number_of_63_bits_and_its_folder_has_its_plain_name(small, tmp_path, version):
    published = publish(small, tmp_path, version=version)
    assert published.version == int(version) and os.listdir(str(tmp_path)) == [str(int(version))]
    assert published.path == str(tmp_path / str(int(version)))
    assert published.num_bytes == sum(map(len, files(small).values()))
    assert files(published.path) == files(small)


@pytest.mark.parametrize('wish, problem', [
    (dict(keep=0), '--keep=0'), (dict(keep=-1), '--keep=-1'), (dict(version=str(_LARGEST + 1)), 'up to'),
    (dict(version=-1), 'up to'), (dict(version='7\n8'), 'up to'), (dict(model_name='a b'), 'cannot stand'),
    (dict(model_name=''), 'cannot stand'), (dict(model_name='ä'), 'cannot stand'),
    (dict(model_name='a/b'), 'cannot stand')])
def test_what_cannot_be_meant_is_refused_before_anything_is_read(tmp_path, wish, problem):
    with pytest.raises(_errors.UsageError, match=problem):
        _publish.check(_publish.PublishRequest(base=str(tmp_path / 'base'), **wish))
    assert os.listdir(str(tmp_path)) == []


def test_a_step_that_is_known_is_looked_for_before_there_is_anything_to_publish(tmp_path):
    (tmp_path / '7').mkdir()
    _publish.check(_publish.PublishRequest(str(tmp_path), 'step'), 8)
    _publish.check(_publish.PublishRequest(str(tmp_path), 'step'))
    _publish.check(_publish.PublishRequest(str(tmp_path)), 7)
    for wish, step in ((_publish.PublishRequest(str(tmp_path), 'step'), 7), (_publish.PublishRequest(str(tmp_path), '7'), None),
                       (_publish.PublishRequest(str(tmp_path), 7), 8)):
        with pytest.raises(_errors.OutputRefused, match='7 is there already'):
            _publish.check(wish, step)


@pytest.mark.parametrize('name', ['saved_model.pb', 'saved_model.pbtxt'])
def test_a_savedmodel_is_no_folder_of_versions(tmp_path, name):
    (tmp_path / name).write_text('')
    with pytest.raises(_errors.OutputRefused, match='is a SavedModel itself'):
        _publish.check(_publish.PublishRequest(str(tmp_path)))


@pytest.mark.parametrize('base, given, expected', [
    ('models/detector', None, 'detector'), ('models/detector/', None, 'detector'), ('a-b_c.9', None, 'a-b_c.9'),
    ('gs://bucket/models/detector/', None, 'detector'), ('models/detector', 'other', 'other')])
def test_a_model_is_called_by_the_last_part_of_its_folder(base, given, expected):
    assert _publish.model_name(_publish.PublishRequest(base, model_name=given)) == expected


def test_the_folder_that_one_is_in_has_a_name_too(tmp_path, monkeypatch):
    (tmp_path / 'detector').mkdir()
    monkeypatch.chdir(str(tmp_path / 'detector'))
    assert _publish.model_name(_publish.PublishRequest('.')) == 'detector'


def test_an_export_and_its_saved_model_are_the_same_to_publish(small, tmp_path):
    assert _publish.find_saved_model(small) == small
    assert _publish.find_saved_model(os.path.dirname(small)) == small
    for path, problem in ((str(tmp_path), 'there is no saved_model.pb in it'),
                          (str(tmp_path / 'missing'), 'there is no such directory')):
        with pytest.raises(_errors.InputRefused, match=problem):
            _publish.find_saved_model(path)


@pytest.mark.parametrize('base, apart', [
    ('m/saved_model', False), ('m/saved_model/versions', False), ('m/saved_model/a/b', False), ('link/a', False),
    ('m/saved_models', True), ('m', True), ('m/versions', True), ('gs://m/saved_model', True)])
def test_a_model_is_not_published_into_itself(tmp_path, base, apart):
    (tmp_path / 'm' / 'saved_model').mkdir(parents=True)
    os.symlink('m/saved_model', str(tmp_path / 'link'))
    base = base if '://' in base else str(tmp_path / base)
    with contextlib.ExitStack() as stack:
        if not apart:
            stack.enter_context(pytest.raises(_errors.OutputRefused, match='lies in the SavedModel'))
        _publish.check_apart(str(tmp_path / 'm' / 'saved_model'), base)
        _publish.check_apart(str(tmp_path / 'm' / 'saved_model') + '/', base)


# What is there at every moment.

def test_at_every_moment_a_version_is_there_whole_or_not_at_all(small, tmp_path):
    """The new one, and the old ones that go."""
    whole = set(files(small))
    for version in (1, 2, 3):
        publish(small, tmp_path, version=version)
    seen = []

    def look(call, done):
        del done
        there = _publish.versions(str(tmp_path))
        seen.append(tuple(sorted(there)))
        assert there
        for name in there.values():
            assert set(files(tmp_path / name)) == whole, call
    with disk.Watch(look):
        assert publish(small, tmp_path, keep=2).removed == [1, 2]
    states = [state for number, state in enumerate(seen) if state != seen[number - 1] or not number]
    assert states == [(1, 2, 3), (1, 2, 3, 4), (2, 3, 4), (3, 4)]
    assert sorted(os.listdir(str(tmp_path))) == ['3', '4']


def test_a_store_gets_the_graph_last(small, store):
    """A server that looks meanwhile sees a folder that is no SavedModel yet."""
    states = []
    store.behind = lambda path: states.append({name for name in files(store.folder) if '.od-patch/' not in name})
    assert publish(small, store.base).version == 1
    assert [name for state in states for name in state if name.endswith('saved_model.pb')] == ['1/saved_model.pb']
    assert states[-1] == {'1/' + name for name in files(small)} and len(states) == len(files(small))


@pytest.mark.parametrize('kind, below, of_the_model', [
    (_staging.OF_AN_EXPORT, 'saved_model/', True), (_staging.OF_A_SAVED_MODEL, '', False)])
@pytest.mark.parametrize('slash', ['', '/'])
def test_an_upload_takes_the_old_graph_away_first_and_brings_the_new_one_last(store, kind, below, of_the_model, slash):
    old = os.path.join(store.folder, 'out')
    for name in ('saved_model.pb', 'variables/variables.index', 'variables/stale', 'assets.extra/zz'):
        path = os.path.join(old, below, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write('old')
    if of_the_model:
        with open(os.path.join(old, 'notes'), 'w') as file:
            file.write('mine')
    texts = []

    def behind(path):
        found = {name: text for name, text in files(store.folder).items() if '/.od-patch/' not in name}
        texts.append(found)
        assert found.get('out/' + below + 'saved_model.pb') != b'old'
    store.behind = behind
    written = [below + name for name in ('saved_model.pb', 'variables/variables.index', 'assets/zz', 'variables/zz')]
    written += [below + 'zz/zz'] if of_the_model else []
    written += ['frozen_inference_graph.pb', 'pipeline.config', 'model.ckpt.index'] if of_the_model else []
    with _staging.staged(store.base + '/out' + slash, kind) as staged:
        for name in written:
            path = os.path.join(staged.export, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w') as file:
                file.write('new')
        assert not staged.in_place and not store.copied
    assert staged.in_place
    expected = {'out/' + name: b'new' for name in written}
    expected.update({'out/notes': b'mine'} if of_the_model else {})
    assert files(store.folder) == expected == texts[-1]
    assert store.copied[-1] == 'out/' + below + 'saved_model.pb' and len(store.copied) == len(written)
    first = [name.startswith('out/saved_model/') for name in store.copied]
    assert first == sorted(first)  # all of the SavedModel behind all of the rest
    assert not os.path.exists(os.path.dirname(staged.export))


def test_what_a_store_has_already_is_written_over(store):
    for text in ('one', 'two'):
        with _staging.staged(store.base + '/out') as staged:
            with open(os.path.join(staged.export, 'pipeline.config'), 'w') as file:
                file.write(text)
    assert files(store.folder) == {'out/pipeline.config': b'two'}


@pytest.mark.parametrize('damage', ['shorter', 'longer', 'missing'])
@pytest.mark.parametrize('which', ['saved_model.pb', 'assets.extra/od_patch.json'])
def test_a_store_that_keeps_something_else_has_no_version(small, store, damage, which):
    publish(small, store.base)

    def behind(path):
        if path.endswith(which):
            if damage == 'missing':
                os.unlink(path)
            else:
                os.truncate(path, os.path.getsize(path) + (1 if damage == 'longer' else -1))
    store.behind = behind
    problem = r'2 failed: .*2/{}(.|\n)*Nothing of it was left' if damage == 'missing' else 'Not all of .*2/{} has'
    with pytest.raises(_errors.OutputRefused, match=problem.format(which)):
        publish(small, store.base)
    assert os.listdir(store.folder) == ['1'] and files(os.path.join(store.folder, '1')) == files(small)


@pytest.mark.parametrize('fails', range(12))
def test_what_a_store_held_is_there_again_whatever_copy_fails(store, monkeypatch, fails):
    """Of the new export, which comes beside first, of the old one, or of what takes its place."""
    def put(text, names):
        with _staging.staged(store.base + '/out') as staged:
            for name in names:
                path = os.path.join(staged.export, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'w') as file:
                    file.write(text)
    put('old', ['saved_model/saved_model.pb', 'checkpoint', 'saved_model/assets/a'])
    before, copies = files(store.folder), []
    new = ['saved_model/saved_model.pb', 'pipeline.config', 'saved_model/variables/v', 'checkpoint']
    copy = _tensorflow.gfile().Copy

    def broken(source, destination, overwrite=False):
        copies.append(destination)
        if len(copies) == fails + 1:
            raise tensorflow.errors.UnavailableError(None, None, 'the network is down')
        copy(source, destination, overwrite=overwrite)
    monkeypatch.setattr(_tensorflow.gfile(), 'Copy', broken)
    if fails < 2 * len(new) + len(before):
        state = 'What .* held before is there again' if fails >= len(new) + len(before) else 'Nothing in .* was changed'
        with pytest.raises(_errors.OutputRefused, match=r'the network is down\n{}'.format(state)):
            put('new', new)
        assert files(store.folder) == before
    else:
        put('new', new)
        assert files(store.folder) == {'out/' + name: b'new' for name in new} and len(copies) == fails
    assert os.listdir(os.path.join(store.folder, 'out')).count('.od-patch') == 0


@pytest.mark.parametrize('text, differs', [(b'new', False), (b'old', True), (b'newer', True), (b'', True),
                                           (None, True)])
def test_what_was_saved_is_put_back_where_it_differs(tmp_path, text, differs):
    (tmp_path / 'one').write_bytes(b'new')
    if text is not None:
        (tmp_path / 'other').write_bytes(text)
    assert _store.same(str(tmp_path / 'one'), str(tmp_path / 'other')) is not differs


def test_a_version_that_somebody_else_has_in_a_store_is_not_removed_when_ours_is_refused(small, store):
    def overtake(folder):
        del folder
        shutil.copytree(small, os.path.join(store.folder, '1'))
    with pytest.raises(_errors.OutputRefused, match='1 is there already'):
        publish(small, store.base, overtake)
    assert files(os.path.join(store.folder, '1')) == files(small)


def test_an_upload_that_breaks_off_leaves_no_version(small, store):
    def broken(path):
        if len(store.copied) == 2:
            raise tensorflow.errors.UnavailableError(None, None, 'the network is down')
    store.behind = broken
    with pytest.raises(_errors.OutputRefused, match='the network is down\nNothing of it was left'):
        publish(small, store.base)
    assert os.listdir(store.folder) == []


@pytest.mark.usefixtures('store')
def test_a_model_in_a_store_is_read_with_all_of_its_folders(small, tmp_path):
    source = tmp_path / 'source'
    shutil.copytree(small, str(source))
    (source / 'assets' / 'a' / 'b').mkdir(parents=True)
    (source / 'assets' / 'a' / 'file').write_text('x')
    for number, path in enumerate([str(source), str(source) + '/', 'file://{}'.format(source),
                                   'file://{}/'.format(source)]):
        copy = tmp_path / str(number)
        copy.mkdir()
        _content.copy(path, str(copy))
        assert files(copy) == files(source) and (copy / 'assets' / 'a' / 'b').is_dir(), path


# Which go.

@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(st.dictionaries(
    st.integers(-3, 12), st.sampled_from(['saved_model.pb', 'saved_model.pbtxt', 'photo.jpg', '']),
    min_size=1, max_size=7),
                  st.integers(0, 6), st.one_of(st.none(), st.integers(1, 4)), st.sampled_from(['', 'file://']))
def test_those_that_go_are_the_smallest_models_and_the_rest_stays(there, which, keep, scheme):
    published = sorted(there)[which % len(there)]
    there[published] = 'saved_model.pb'
    with tempfile.TemporaryDirectory() as base:
        for version, name in there.items():
            os.mkdir(os.path.join(base, str(version)))
            if name:
                with open(os.path.join(base, str(version), name), 'w') as file:
                    file.write(str(version))
        os.mkdir(os.path.join(base, 'other'))
        with files_as_a_store():
            found = _publish._prune(scheme + base, published, keep)
        smallest = sorted(there)[:max(0, len(there) - (keep or len(there)))]
        candidates = [version for version in smallest if version != published]
        gone = [version for version in candidates if there[version].startswith('saved_model')]
        assert found['removed'] == gone
        assert set(os.listdir(base)) == {str(version) for version in set(there) - set(gone)} | {'other'}
        notes = [note for note in found['notes'] if 'holds no SavedModel' in note]
        assert len(notes) == len(candidates) - len(gone)
        assert any('is not the largest' in note for note in found['notes']) == (published < max(there))
        assert len(found['notes']) == len(notes) + (published < max(there))


def test_one_that_cannot_be_removed_is_told_and_the_next_goes(small, tmp_path, monkeypatch):
    for version in (1, 2):
        publish(small, tmp_path, version=version)
    rename = os.rename

    def stuck(source, destination):
        if source == str(tmp_path / '1'):
            raise OSError(16, 'Device or resource busy')
        rename(source, destination)
    monkeypatch.setattr(os, 'rename', stuck)
    published = publish(small, tmp_path, keep=1)
    assert published.removed == [2] and sorted(os.listdir(str(tmp_path))) == ['1', '3']
    assert ['1 could not be removed' in note and 'busy' in note for note in published.notes] == [True]


def test_of_what_lies_in_the_folder_only_what_killed_runs_have_left_is_removed(small, tmp_path):
    digits = '0123456789abcdef' * 2
    ours = ['.3.od-patch-pruned-' + digits]
    others = ['3.od-patch-pruned-' + digits, '.x.od-patch-pruned-' + digits, '.3.od-patch-pruned-' + digits[1:],
              '.3.od-patch-pruned-' + digits + '0', '.x.od-patch', '4.od-patch', '.6.od-patch', '.4.od-patch2',
              '.4.od_patch', '.git']
    for name in ours + others:
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / 'file').write_text('x')

    def killed(watch):
        with _staging.staged(str(tmp_path / '4'), _staging.OF_A_SAVED_MODEL), watch.paused():
            os._exit(9)
    assert disk.dying(killed, 10 ** 6) and (tmp_path / '.4.od-patch').is_dir()
    (tmp_path / 'precious').mkdir()
    (tmp_path / 'precious' / 'file').write_text('mine')
    os.symlink('precious', str(tmp_path / ('.5.od-patch-pruned-' + digits)))
    publish(small, tmp_path)
    assert sorted(os.listdir(str(tmp_path))) == sorted(others + ['precious', '1'])
    assert all(os.listdir(str(tmp_path / name)) == ['file'] for name in others + ['precious'])


def test_a_folder_that_is_not_there_has_nothing_to_clean_up_and_a_store_has_no_such_leftovers(tmp_path, store):
    _publish._clean_up(str(tmp_path / 'missing'))
    name = '.4.od-patch-pruned-' + '0123456789abcdef' * 2
    (tmp_path / 'store' / name).mkdir()
    _publish._clean_up(store.base)
    assert os.listdir(store.folder) == [name]
    _publish._clean_up(store.folder)
    assert os.listdir(store.folder) == []


# What lies in a store's folder for runs.

@pytest.mark.parametrize('path, content', [
    ('notes/mine', b'x'), ('{id}/mine', b'x'), ('{id}/journal.json', b'no JSON'),
    ('{id}/journal.json', b'{"place": "elsewhere", "claimed": 0, "new": [], "old": []}')])
def test_what_somebody_else_keeps_where_runs_are_is_left_alone(store, path, content):
    place = os.path.join(store.folder, 'out', _store.FOLDER, path.format(id='0' * 32))
    os.makedirs(os.path.dirname(place))
    with open(place, 'wb') as file:
        file.write(content)
    before = files(store.folder)
    with pytest.raises(_errors.OutputRefused) as refusal:
        with _staging.staged(store.base + '/out'):
            raise AssertionError('it began')
    assert refusal.value.remedy and files(store.folder) == before


def test_what_is_no_part_of_an_export_is_not_uploaded(store):
    with pytest.raises(_errors.OutputRefused, match="'notes' is no part of an export"):
        with _staging.staged(store.base + '/out') as staged:
            with open(os.path.join(staged.export, 'notes'), 'w') as file:
                file.write('mine')
    assert files(store.folder) == {}


def test_where_a_store_refuses_what_it_held_too_the_copy_is_named(store, monkeypatch):
    def put(text):
        with _staging.staged(store.base + '/out') as staged:
            with open(os.path.join(staged.export, 'pipeline.config'), 'w') as file:
                file.write(text)
    put('old')
    gfile = _tensorflow.gfile()
    copy = gfile.Copy

    def refused(source, destination, overwrite=False):
        if destination == store.base + '/out/pipeline.config':
            raise _tensorflow.tf1().errors.UnavailableError(None, None, 'not today')
        copy(source, destination, overwrite=overwrite)
    with monkeypatch.context() as patch:
        patch.setattr(gfile, 'Copy', refused)
        patch.setattr(_store, 'same', lambda one, other: False)  # half of a file has come, say
        with pytest.raises(_errors.OutputRefused, match='could not be put back') as refusal:
            put('new')
    kept = refusal.value.remedy.partition('is whole in ')[2].partition('. The next')[0]
    assert files(kept[len('file://'):]) == {'pipeline.config': b'old'}
    with monkeypatch.context() as patch:
        patch.setattr(_store, 'may_be_alive', lambda claim, now: False)
        put('newer')
    assert files(store.folder) == {'out/pipeline.config': b'newer'}


def test_a_version_that_another_run_claims_meanwhile_is_refused(small, store, monkeypatch):
    other = json.loads(_store.identity().decode('ascii'))
    other.update(pid=os.getppid(), started=_store._started(os.getppid()))
    folder = os.path.join(store.folder, _store.FOLDER)
    theirs = os.path.join(folder, 'claim-7-' + '0' * 32)
    write = _store.write

    def written(path, data):
        write(path, data)
        if '/claim-7-' in path:
            with open(theirs, 'w') as file:
                json.dump(other, file)
    monkeypatch.setattr(_store, 'write', written)
    with pytest.raises(_errors.OutputRefused, match='Another run is publishing .*/7'):
        publish(small, store.base, version=7)
    assert os.listdir(folder) == [os.path.basename(theirs)]
    assert publish(small, store.base).version == 8


def test_a_publication_without_its_request_says_that_it_is_there(small, tmp_path, monkeypatch):
    published = _publish.publish

    def and_somebody_takes_the_folder(*args):
        (tmp_path / 'try').mkdir()
        (tmp_path / 'try' / 'client.py').write_text('mine')
        return published(*args)
    monkeypatch.setattr(_publish, 'publish', and_somebody_takes_the_folder)
    with pytest.raises(_errors.ODPatchError, match='Version 1 is published all the same: '):
        cli.cli(['publish', str(small), str(tmp_path / 'models'), '--example_request', str(tmp_path / 'try')],
                standalone_mode=False)
    assert files(str(tmp_path / 'models' / '1')) == files(small)
    assert files(str(tmp_path / 'try')) == {'client.py': b'mine'}
