"""Which checkpoints of a training a series takes, in which order, which it waits for, and which it has done before.

All without a graph: what is exported here is a copy of the checkpoint with the record that makes it known again.

Not for: what is in the SavedModels, and what the command shows (``test_series``).
"""
import json
import os
import re
import shutil
import signal
import threading

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

import od_patch
from od_patch import steps as export_steps
from od_patch.export import _driver
from od_patch.export import _find_checkpoints
from od_patch.export import _observer
from od_patch.export import _request
from od_patch.export import _series
from od_patch.options import _options
from od_patch.staging import _digest
from tests.support import checkpoints

pytest.importorskip('tensorflow')
pytestmark = [pytest.mark.once, pytest.mark.usefixtures('tf1_behaviour')]

_DATA = '.data-00000-of-00001'


def save(folder, name, step=None, value=0., shards=1, v1=False):
    """Writes a small checkpoint; returns its prefix."""
    values = {'weights': np.full([50], value, 'f4'), 'bias': np.zeros([3], 'f4')}
    if step is not None:
        values['global_step'] = np.int64(step)
    prefix = os.path.join(str(folder), name)
    if v1:
        checkpoints.write_v1(prefix, values)
    else:
        checkpoints.write_v2(prefix, values, shards)
    return prefix


class Told(_observer.Observer):
    """Keeps what it is told."""

    def __init__(self):
        self.results, self.notes, self.steps, self.report = [], [], [], None

    def checkpoint(self, result):
        self.results.append((os.path.basename(result.prefix), result.step, result.outcome))

    def note(self, text):
        self.notes.append(text)

    def progress(self, done, total, name):
        self.steps.append((done, total, name))

    def finished(self, report):
        self.report = report


class Copies:
    """In place of the graph: 'exports' a checkpoint by copying it, or fails as told."""

    def __init__(self, series):
        self.series, self.failing, self.exported = series, set(), []

    def export(self, prefix, step):
        if os.path.basename(prefix) in self.failing:
            raise od_patch.InputRefused('{} cannot be exported.'.format(prefix))
        self.exported.append(os.path.basename(prefix))
        place = os.path.join(self.series.request.output_directory, str(step))
        shutil.rmtree(place, ignore_errors=True)
        for folder in ('variables', 'assets.extra'):
            os.makedirs(os.path.join(place, folder))
        for name in os.listdir(os.path.dirname(prefix)):
            if name.startswith(os.path.basename(prefix) + '.'):
                shutil.copy(os.path.join(os.path.dirname(prefix), name), os.path.join(
                    place, 'variables', 'variables' + name[len(os.path.basename(prefix)):]))
        with open(os.path.join(place, 'saved_model.pb'), 'w') as graph:
            graph.write('graph')
        index = prefix + '.index'
        with open(os.path.join(place, 'assets.extra', 'od_patch.json'), 'w') as record:
            json.dump({'recipe': self.series.recipe,
                       'checkpoint_sha256': _digest.sha256(index if os.path.exists(index) else prefix)}, record)
        return 'report of {}'.format(step)


def asked(wanted, **options):
    """The ``_request.Options`` of what was asked for of a series."""
    return _options.for_exports(_options.values(dict(options, all_checkpoints=True)))._replace(series=wanted)


@pytest.fixture
def series(tmp_path):
    """A function that makes a ``Series`` of what is in ``training``, and the ``Copies`` that it exports by."""
    (tmp_path / 'training').mkdir()

    def make(path='training', watch=False, steps=None, arguments=None, **options):
        wanted = _request.Series(None if steps is None else frozenset(steps), watch, 0.)
        made = _series.Series(_request.Request(
            asked(wanted, **options), Told(), 'release',
            dict(arguments or {}, trained_checkpoint_prefix=path if '://' in path else str(tmp_path / path)),
            str(tmp_path / 'out'), export_steps.active(_options.values(options))), str(tmp_path))
        return made, Copies(made)
    make.training = tmp_path / 'training'
    make.out = tmp_path / 'out'
    return make


def look(made, copies):
    """One look; returns the names of what was exported in it."""
    before = len(copies.exported)
    made._export_what_there_is(copies)
    return copies.exported[before:]


# What there is.

def names(path):
    return [os.path.basename(prefix) for prefix in _find_checkpoints.find(str(path))]


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(st.sets(st.integers(0, 3000), min_size=1, max_size=8))
def test_checkpoints_come_by_their_numbers_whatever_the_length_of_these(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp('training')
    for step in steps | {900, 1000}:
        (folder / 'model.ckpt-{}.index'.format(step)).write_text('')
    assert names(folder) == ['model.ckpt-{}'.format(step) for step in sorted(steps | {900, 1000})]


def test_those_without_a_number_come_first_and_equals_by_name(tmp_path):
    for name in ('z', 'b-5', 'a-5', 'a-10', 'b-4'):
        (tmp_path / (name + '.index')).write_text('')
    assert names(tmp_path) == ['z', 'b-4', 'a-5', 'b-5', 'a-10']


def test_what_is_a_checkpoint(tmp_path):
    for name in ('model.ckpt-1.index', 'model.ckpt-2' + _DATA, 'model.ckpt-3.meta', 'model.ckpt-4', 'notes', '-5',
                 'model.ckpt-6.index', 'model.ckpt-6.meta', 'model.ckpt-6' + _DATA, 'model.ckpt-7.index.tempstate',
                 'model.ckpt', 'plain.index'):
        (tmp_path / name).write_text('')
    (tmp_path / 'eval-8').mkdir()
    assert names(tmp_path) == ['plain', 'model.ckpt-1', 'model.ckpt-4', 'model.ckpt-6']
    assert names(str(tmp_path) + '/') == names(tmp_path)
    for pattern, found in (('model.ckpt-*', [1, 4, 6]), ('model.ckpt-6', [6]), ('model.ckpt-6.index', [6]),
                           ('model.ckpt-[14]', [1, 4]), ('model.ckpt-2', []), ('eval-*', []), ('nothing*', [])):
        assert names(tmp_path / pattern) == ['model.ckpt-{}'.format(number) for number in found], pattern
    assert names(tmp_path / 'missing' / 'model.ckpt-*') == names(tmp_path / 'missing') == []


def test_a_pattern_may_be_of_folders(tmp_path, monkeypatch):
    for run in ('run1', 'run2'):
        (tmp_path / run).mkdir()
        (tmp_path / run / 'model.ckpt-1.index').write_text('')
    assert _find_checkpoints.find(str(tmp_path / 'run*' / 'model.ckpt-*')) == [
        str(tmp_path / run / 'model.ckpt-1') for run in ('run1', 'run2')]
    monkeypatch.chdir(str(tmp_path / 'run1'))
    assert [os.path.normpath(prefix) for prefix in _find_checkpoints.find('model.ckpt-*')] == ['model.ckpt-1']


def test_a_step_is_what_the_checkpoint_holds_else_what_its_name_says(tmp_path):
    assert _find_checkpoints.step_of(save(tmp_path, 'model.ckpt-5', 7)) == 7
    assert _find_checkpoints.step_of(save(tmp_path, 'model.ckpt-6')) == 6
    assert _find_checkpoints.step_of(save(tmp_path, 'model.ckpt', 9)) == 9
    assert _find_checkpoints.step_of(save(tmp_path, 'other', v1=True)) is None
    (tmp_path / 'model.ckpt-8.index').write_text('damaged')
    assert _find_checkpoints.step_of(str(tmp_path / 'model.ckpt-8')) == 8


# Which of them are wanted.

def test_all_that_are_asked_for_have_to_be_there(series):
    for step in (100, 900, 1000):
        save(series.training, 'model.ckpt-{}'.format(step), step)
    made, copies = series(steps=[1000, 100])
    assert look(made, copies) == ['model.ckpt-100', 'model.ckpt-1000']
    with pytest.raises(od_patch.InputRefused, match=r'step 20, 300 in .*\n.*those of step 100, 900, 1000\.'):
        look(*series(steps=[300, 100, 20]))
    with pytest.raises(od_patch.InputRefused) as refused:
        look(*series('nowhere', steps=[300]))
    assert 'no checkpoint of step 300' in refused.value.problem and not refused.value.remedy


def test_a_checkpoint_without_a_number_is_chosen_by_what_it_holds(series):
    save(series.training, 'model.ckpt', 100)
    save(series.training, 'other')
    assert look(*series(steps=[100])) == ['model.ckpt']
    with pytest.raises(od_patch.InputRefused, match='those of step 100'):
        look(*series(steps=[7]))


def test_while_watching_what_is_not_there_yet_is_waited_for(series):
    made, copies = series(watch=True, steps=[200])
    assert made.has_work() and look(made, copies) == []
    save(series.training, 'model.ckpt-100', 100)
    save(series.training, 'model.ckpt-200', 200)
    assert look(made, copies) + look(made, copies) + look(made, copies) == ['model.ckpt-200']
    made, copies = series('nowhere', watch=True)
    assert look(made, copies) == []
    with pytest.raises(od_patch.InputRefused, match='There are no checkpoints'):
        look(*series('nowhere'))


# What is waited for.

def _touched(prefix):
    os.utime(prefix + _DATA, (2e9, 2e9))


def _other_bytes(prefix):
    with open(prefix + '.meta', 'w') as graph:  # TensorFlow writes it, and it is none of a checkpoint's data
        graph.write('graph')
    with open(prefix + _DATA, 'ab') as data:
        data.write(b'more')
    os.utime(prefix + _DATA, ns=(_CHANGED, _CHANGED))


def _another_file(prefix):
    shutil.copy(prefix + _DATA, prefix + '.data-00001-of-00002')


def _index_again(prefix):
    os.utime(prefix + '.index', (2e9, 2e9))


_CHANGED = 10 ** 18


@pytest.mark.parametrize('change', [_touched, _other_bytes, _another_file, _index_again])
def test_one_that_is_whole_and_still_changes_is_waited_for(series, change):
    """What copies a checkpoint over an older one of its name has all bytes there from the first moment."""
    prefix = save(series.training, 'model.ckpt-100', 100)
    os.utime(prefix + _DATA, ns=(_CHANGED, _CHANGED))
    made, copies = series(watch=True)
    assert look(made, copies) == []
    change(prefix)
    assert look(made, copies) == []
    assert made.report().waiting == [prefix]
    assert look(made, copies) == ['model.ckpt-100']
    assert look(made, copies) == look(made, copies) == [] and made.report().waiting == []


def test_the_first_look_never_suffices(series):
    save(series.training, 'model.ckpt-100', 100)
    made, copies = series(watch=True)
    assert [look(made, copies) for _ in range(3)] == [[], ['model.ckpt-100'], []]
    assert look(*series(watch=False)) == ['model.ckpt-100'] or series.out.exists()


@pytest.mark.parametrize('lacking', ['some bytes', 'a file', 'the index'])
def test_one_that_lacks_some_of_its_bytes_is_waited_for_however_long_it_stays_so(series, tmp_path, lacking):
    prefix = save(tmp_path, 'model.ckpt-100', 100, shards=2)
    files = [prefix + suffix for suffix in ('.index', '.data-00000-of-00002', '.data-00001-of-00002')]
    for file in files:
        shutil.copy2(file, str(series.training))
    last = str(series.training / os.path.basename(files[0 if lacking == 'the index' else 2]))
    if lacking == 'some bytes':
        os.truncate(last, os.path.getsize(last) - 1)
    else:
        os.unlink(last)
    made, copies = series(watch=True)
    assert [look(made, copies) for _ in range(4)] == [[]] * 4
    assert made.report().waiting == ([] if lacking == 'the index' else [str(series.training / 'model.ckpt-100')])
    shutil.copy2(files[0 if lacking == 'the index' else 2], last)
    assert [look(made, copies) for _ in range(3)] == [[], ['model.ckpt-100'], []]


def test_one_that_is_written_anew_is_exported_anew(series):
    save(series.training, 'model.ckpt-100', 100)
    made, copies = series(watch=True)
    assert [look(made, copies) for _ in range(3)] == [[], ['model.ckpt-100'], []]
    prefix = save(series.training, 'model.ckpt-100', 100, value=1.)
    os.utime(prefix + _DATA, (2e9, 2e9))
    assert [look(made, copies) for _ in range(3)] == [[], ['model.ckpt-100'], []]
    assert len(made.report().results) == 1


def test_one_that_failed_is_tried_again_only_when_it_has_changed(series):
    prefix = save(series.training, 'model.ckpt-100', 100)
    made, copies = series(watch=True)
    copies.failing = {'model.ckpt-100'}
    for _ in range(4):
        look(made, copies)
    assert made.observer.results == [('model.ckpt-100', 100, 'failed')]
    copies.failing = set()
    os.utime(prefix + _DATA, (2e9, 2e9))
    assert [look(made, copies) for _ in range(3)] == [[], ['model.ckpt-100'], []]
    assert [result.outcome for result in made.report().results] == ['exported']


def test_one_that_is_removed_before_it_was_exported_is_no_failure_but_noted(series):
    """A training removes its oldest checkpoints."""
    prefix = save(series.training, 'model.ckpt-100', 100)
    for watch in (True, False):
        made, copies = series(watch=watch)

        def gone(prefix, step):
            os.rename(prefix + '.index', prefix + '.away')
            raise od_patch.InputRefused('There is no {} of {}.'.format(prefix, step))
        copies.export = gone
        for _ in range(1 + watch):
            look(made, copies)
        os.rename(prefix + '.away', prefix + '.index')
        assert made.observer.results == ([] if watch else [('model.ckpt-100', 100, 'failed')])
        assert made.observer.notes == (['{} was removed before it could be exported'.format(prefix)] if watch else [])
        assert len(made.report().results) == (0 if watch else 1)


def test_of_one_that_failed_and_is_removed_then_no_failure_is_left(series):
    prefix = save(series.training, 'model.ckpt-100', 100)
    made, copies = series(watch=True)
    copies.failing = {'model.ckpt-100'}
    look(made, copies), look(made, copies)
    assert [result.outcome for result in made.report().results] == ['failed']
    os.utime(prefix + _DATA, (2e9, 2e9))
    look(made, copies)

    def gone(prefix, step):
        os.rename(prefix + '.index', prefix + '.away')
        raise od_patch.InputRefused('There is no {} of {}.'.format(prefix, step))
    copies.export = gone
    look(made, copies)
    assert made.report().results == [] and len(made.observer.notes) == 1


@pytest.mark.parametrize('path', ['{}', '{}/', '{}/model.ckpt-*', 'file://{}', 'file://{}/', 'file://{}/model.ckpt-*'])
def test_the_folder_may_be_given_with_a_scheme(series, path):
    save(series.training, 'model.ckpt-100', 100)
    made, copies = series(path.format(series.training))
    copies.export = lambda prefix, step: copies.exported.append(step)
    assert look(made, copies) == [100]


def test_one_that_goes_away_while_it_is_looked_at_is_not_there(series, monkeypatch):
    prefix = save(series.training, 'model.ckpt-100', 100)
    made, copies = series(watch=True)
    files = _find_checkpoints.Listing.files
    monkeypatch.setattr(_find_checkpoints.Listing, 'files', lambda listing, prefix: files(listing, prefix) + [
        prefix + '.data-00009-of-00010'])
    assert [look(made, copies) for _ in range(3)] == [[]] * 3 and made.report().waiting == []
    monkeypatch.undo()
    assert prefix and [look(made, copies) for _ in range(2)] == [[], ['model.ckpt-100']]


def test_a_watch_that_is_told_to_end_ends_behind_the_checkpoint_under_way(series):
    for step in (100, 200, 300):
        save(series.training, 'model.ckpt-{}'.format(step), step)
    made, copies = series()
    export = copies.export

    def last(prefix, step):
        made._stop.set()
        return export(prefix, step)
    copies.export = last
    assert look(made, copies) == ['model.ckpt-100']


def test_progress_counts_what_there_is_to_do(series):
    for step in (100, 200):
        save(series.training, 'model.ckpt-{}'.format(step), step)
    made, copies = series()
    look(made, copies)
    assert made.observer.steps == [(0, 2, 'model.ckpt-100'), (1, 2, 'model.ckpt-200'), (2, 2, '')]
    made, copies = series('training/nothing*', watch=True)
    assert look(made, copies) == made.observer.steps == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_a_watch_and_the_second_is_obeyed(series, number):
    obeyed = []

    def handler(*unused):
        obeyed.append(number)
    before = signal.signal(number, handler)
    try:
        made, _ = series(watch=True)
        with made._stopped_by_signals():
            signal.pthread_kill(threading.get_ident(), number)
            assert made._stop.is_set() and not obeyed
            signal.pthread_kill(threading.get_ident(), number)
            assert len(obeyed) == 1
        assert signal.getsignal(number) == handler
        made, _ = series(watch=False)
        with made._stopped_by_signals():
            signal.pthread_kill(threading.get_ident(), number)
        assert len(obeyed) == 2 and not made._stop.is_set()
        with series(watch=True)[0]._stopped_by_signals():
            pass
        assert signal.getsignal(number) == handler
    finally:
        signal.signal(number, before)


# One step, one SavedModel.

def test_of_two_checkpoints_of_one_step_the_second_is_refused(series):
    one = save(series.training, 'a-100', 100)
    other = save(series.training, 'b-100', 100, value=1.)
    made, copies = series()
    assert look(made, copies) == ['a-100']
    failed, = [result for result in made.report().results if result.outcome == 'failed']
    assert isinstance(failed.error, od_patch.OutputRefused)
    assert failed.error.problem == 'The checkpoint {} is of step 100, as {} is.'.format(other, one)


def test_of_two_checkpoints_of_one_step_the_second_is_exported_where_the_first_failed(series):
    save(series.training, 'a-100', 100)
    save(series.training, 'b-200', 100)
    made, copies = series()
    copies.failing = {'a-100'}
    assert look(made, copies) == ['b-200']
    assert made.observer.results == [('a-100', 100, 'failed'), ('b-200', 100, 'exported')]


def test_a_checkpoint_without_a_step_is_refused_and_the_others_are_exported(series):
    save(series.training, 'a')
    save(series.training, 'b-200')
    made, copies = series()
    assert look(made, copies) == ['b-200']
    failed, exported = made.report().results
    assert 'tells no global step' in failed.error.problem and failed.step is None
    assert (exported.step, exported.report, exported.error) == (200, 'report of 200', None)


# What was done before.

def _no_record(place, checkpoint):
    shutil.rmtree(os.path.join(place, 'assets.extra'))


def _another_record(place, checkpoint):
    with open(os.path.join(place, 'assets.extra', 'od_patch.json'), 'w') as record:
        record.write('[]')


def _no_graph(place, checkpoint):
    os.unlink(os.path.join(place, 'saved_model.pb'))


def _short(place, checkpoint):
    path = os.path.join(place, 'variables', 'variables' + _DATA)
    os.truncate(path, os.path.getsize(path) - 1)


def _no_index(place, checkpoint):
    os.unlink(os.path.join(place, 'variables', 'variables.index'))


def _damaged_index(place, checkpoint):
    with open(os.path.join(place, 'variables', 'variables.index'), 'w') as index:
        index.write('damaged')


def _other_weights(place, checkpoint):
    save(os.path.dirname(checkpoint), os.path.basename(checkpoint), 100, value=2.)


def _nothing(place, checkpoint):
    pass


@pytest.mark.parametrize('change', [_nothing, _no_record, _another_record, _no_graph, _short, _no_index, _damaged_index,
                                    _other_weights])
def test_what_is_there_whole_and_of_the_same_checkpoint_is_not_exported_again(series, change):
    prefix = save(series.training, 'model.ckpt-100', 100)
    save(series.training, 'model.ckpt-200', 200)
    look(*series())
    change(str(series.out / '100'), prefix)
    made, copies = series()
    done = change is _nothing
    assert made.has_work() != done
    assert look(made, copies) == ([] if done else ['model.ckpt-100'])
    assert sorted(made.observer.results) == [
        ('model.ckpt-100', 100, 'done before' if done else 'exported'), ('model.ckpt-200', 200, 'done before')]
    look(made, copies)
    assert len(made.observer.results) == len(made.report().results) == 2  # told once


@pytest.mark.parametrize('options', [
    {'overwrite': True}, {'target_tf': '1.12'}, {'arguments': {'input_type': 'tf_example'}}])
def test_what_is_there_is_exported_again_where_that_is_asked_for_or_it_would_be_another(series, options):
    save(series.training, 'model.ckpt-100', 100)
    look(*series())
    made, copies = series(**options)
    assert made.has_work() and look(made, copies) == ['model.ckpt-100']
    made, copies = series(**dict(options, overwrite=False))
    assert look(made, copies) == []


def test_of_a_v1_checkpoint_all_bytes_count(series):
    prefix = save(series.training, 'model.ckpt-100', 100, v1=True)
    made, copies = series()
    save(series.training.parent, 'other', 100)
    look(made, copies)
    for suffix in ('.index', _DATA):
        shutil.copy(str(series.training.parent / 'other') + suffix,
                    str(series.out / '100' / 'variables' / 'variables') + suffix)
    assert look(*series()) == []
    with open(prefix, 'ab') as file:
        file.write(b'x')
    assert look(*series()) == ['model.ckpt-100']


# What a SavedModel depends on.

_OTHERWISE = {
    'saved_model_variables': ['reference', 'frozen'], 'additional_output_tensor_names': ['extra', 'extra,more'],
    'target_tf': ['1.12', '1.13'], 'extra_signatures': ['encoded_image_bytes'],
    'signature_outputs': ['detection_boxes', 'detection_classes'], 'signature_input_name': ['image', 'images'],
    'verify': [True], 'warmup_images': [[]]}
_NO_CONSEQUENCE = {
    'strict_pin': True, 'overwrite': True, 'artifacts': ['saved_model'], 'profile_graph': True, 'all_checkpoints': True,
    'checkpoint_steps': [1], 'watch': True, 'watch_interval': 1., 'verbose': True, 'log_file': 'x', 'traceback': True, 'json': True, 'dry_run': True}
_REFUSED = {'serving_directory': 'x', 'model_version': '7', 'keep': 2, 'model_name': 'x', 'example_request': 'x'}


def recipe(release='release', arguments=None, check=('labels', 'warm-up'), **options):
    from object_detection.protos import pipeline_pb2
    config = pipeline_pb2.TrainEvalPipelineConfig()
    config.model.ssd.num_classes = (arguments or {}).pop('num_classes', 4)
    arguments = dict({'input_type': 'image_tensor', 'pipeline_config': config, 'trained_checkpoint_prefix': 'a',
                      'output_directory': 'b'}, **(arguments or {}))
    chosen = _options.values(options)
    active = export_steps.active(chosen)
    for step in active:
        if step.name in check:
            step.check(arguments)
    options = _request.Options(asked=chosen, ingredients=_options.ingredients(chosen))
    return _series._recipe(_request.Request(options, None, release, arguments, '', active))


def test_a_change_of_anything_that_a_saved_model_depends_on_is_noticed(tmp_path):
    label_map, picture = tmp_path / 'map.pbtxt', tmp_path / 'a.png'
    made = [recipe(), recipe(release='another'), recipe(arguments={'input_type': 'tf_example'}),
            recipe(arguments={'input_shape': [1, None, None, 3]}), recipe(arguments={'num_classes': 5})]
    for text in ('item { id: 1 name: "a" }', 'item { id: 1 name: "b" }', 'item { id: 1 name: "b" }  # a comment'):
        label_map.write_text(text)
        made.append(recipe(label_map_path=str(label_map)))
    for color in (1, 2):
        Image.new('RGB', (2, 2), (color, 0, 0)).save(str(picture))
        made.append(recipe(warmup_images=[str(picture)]))
    made += [recipe(**{name: value}) for name, values in _OTHERWISE.items() for value in values]
    assert len(set(made)) == len(made) and all(re.match('[0-9a-f]{64}$', digest) for digest in made)


def test_every_option_is_known_to_change_the_saved_model_or_not_to(tmp_path):
    assert set(_OTHERWISE) | set(_NO_CONSEQUENCE) | set(_REFUSED) | {'label_map_path'} == set(_options.TABLE)
    for name, value in _NO_CONSEQUENCE.items():
        assert recipe(**{name: value}) == recipe(), name
    for name, value in _REFUSED.items():
        with pytest.raises(od_patch.UsageError):
            asked(_request.Series(None, False, 0.), **{name: value})
    for name in ('trained_checkpoint_prefix', 'output_directory'):
        assert recipe(arguments={name: 'elsewhere'}) == recipe()
    digests = set()
    for name in ('one.pbtxt', 'other.pbtxt'):  # what is in the label map counts, and not where it lies
        (tmp_path / name).write_text('item { id: 1 name: "a" }')
        digests.add(recipe(label_map_path=str(tmp_path / name)))
    assert len(digests) == 1
    for name, option in _options.TABLE.items():  # what has its default is as if it were not given
        if option.default is not None:
            assert recipe(**{name: option.default}) == recipe(), name


@pytest.mark.parametrize('what', ['od_patch', 'tensorflow'])
def test_another_version_makes_another_saved_model(monkeypatch, what):
    before = recipe()
    if what == 'od_patch':
        monkeypatch.setattr(_series._version, '__version__', '0.0.1')
    else:
        monkeypatch.setattr(_series._tensorflow, 'versions', lambda: ('1.11.0', 'v1.11.0'))
    assert recipe() != before


def test_upstreams_profile_is_printed_only_on_request(series):
    assert [series(profile_graph=wish)[0].profiles for wish in (None, False, True)] == [False, False, True]


# The whole of a series.

def _whole(series, tmp_path, **options):
    told = Told()
    wanted = _request.Series(None, False, 0.)
    arguments = {'trained_checkpoint_prefix': str(series.training), 'output_directory': str(tmp_path / 'out')}
    return told, _driver.around(asked(wanted, **options), told, 'release', arguments)


def test_failures_are_told_together_behind_the_rest(series, tmp_path, monkeypatch):
    monkeypatch.setattr(_series.tempfile, 'tempdir', str(tmp_path))
    for step in (100, 200, 300):
        save(series.training, 'model.ckpt-{}'.format(step), step)
    told, context = _whole(series, tmp_path)
    with pytest.raises(od_patch.SomeFailed) as raised:
        with context as made:
            copies = Copies(made)
            copies.failing = {'model.ckpt-100', 'model.ckpt-300'}
            look(made, copies)
    assert raised.value.problem.startswith('2 of 3 checkpoints could not be exported:\n  {}: '.format(
        series.training / 'model.ckpt-100'))
    assert [result.outcome for result in told.report.results] == ['failed', 'exported', 'failed']
    assert sorted(os.listdir(str(tmp_path))) == ['out', 'training']
    told, context = _whole(series, tmp_path)
    with pytest.raises(ZeroDivisionError):
        with context as made:
            raise ZeroDivisionError
    assert told.report is None and sorted(os.listdir(str(tmp_path))) == ['out', 'training']


def test_an_output_directory_that_cannot_be_is_refused_first(series, tmp_path):
    for output, problem in (('', 'is empty'), (str(tmp_path / 'file' / 'x'), 'which is a file')):
        (tmp_path / 'file').write_text('mine')
        with pytest.raises(od_patch.ODPatchError, match=problem):
            with _driver.around(asked(_request.Series(None, False, 0.)), Told(), 'release',
                                {'trained_checkpoint_prefix': str(series.training), 'output_directory': output}):
                raise AssertionError('it began')


def test_what_one_export_of_many_has_to_say_is_told(series):
    prefix = save(series.training, 'model.ckpt-100')  # its name alone tells the step
    made, _ = series()
    with pytest.raises(Exception):  # without a graph it fails later
        _series.SeriesModel(made, None, None, None, None).export(prefix, 100)
    note, = made.observer.notes
    assert 'has no global_step' in note


@pytest.mark.parametrize('there, refused', [('notes', True), ('', False), ('record', False)])
def test_a_folder_of_a_step_with_other_things_in_it_is_not_replaced_without_leave(series, there, refused):
    prefix = save(series.training, 'model.ckpt-100', 100)
    place = series.out / '100'
    (place / 'assets.extra').mkdir(parents=True)
    if there == 'notes':
        (place / 'notes').write_text('mine')
    elif there == 'record':
        (place / 'assets.extra' / 'od_patch.json').write_text('{}')
    else:
        (place / 'assets.extra').rmdir()
    for overwrite in (False, True):
        made, _ = series(overwrite=overwrite)
        one = _series.SeriesModel(made, None, None, None, None)  # without a graph it fails later
        with pytest.raises(Exception) as raised:
            one.export(prefix, 100)
        assert isinstance(raised.value, od_patch.OutputRefused) == (refused and not overwrite)
    assert (place / 'notes').exists() == (there == 'notes')
