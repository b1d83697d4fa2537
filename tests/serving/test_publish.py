"""Publishing: what a server sees, what is refused, what is pruned. Under each scheme that is at hand."""
import base64
import io
import json
import os
import shlex
import shutil
import signal
import threading

import numpy
import pytest
from PIL import Image

import od_patch
from od_patch import _errors
from od_patch.export import _observer
from od_patch.graphs import _models
from od_patch.serving import _commands
from od_patch.serving import _publish
from tests.serving import models
from tests.support import exports
from tests.support import shapes

tensorflow = pytest.importorskip('tensorflow')

pytestmark = pytest.mark.xdist_group('serving')


publish = models.publish
content = models.files


def test_versions_count_up_and_are_the_export_byte_for_byte(served, tmp_path):
    base = tmp_path / 'models' / 'shapes'
    assert [publish(served, base).version for _ in range(2)] == [1, 2]
    assert sorted(os.listdir(str(base))) == ['1', '2']
    assert content(base / '2') == content(os.path.join(served, 'saved_model'))


def test_a_polling_server_never_sees_a_version_without_all_of_its_files(served, tmp_path):
    base = tmp_path / 'shapes'
    whole = set(content(os.path.join(served, 'saved_model')))
    seen, done, staged = [], threading.Event(), []

    def poll():  # what a server does, but without a pause
        known = set()
        while not done.is_set():
            for version in set(_publish.versions(str(base))) - known:
                seen.append((version, {os.path.relpath(os.path.join(place, name), str(base / str(version)))
                                       for place, _, names in os.walk(str(base / str(version))) for name in names}))
                known.add(version)

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        for _ in range(3):
            publish(served, base, lambda folder: staged.append(os.stat(folder).st_ino))
    finally:
        done.set()
        poller.join()
    assert {version for version, _ in seen} >= {1, 2}
    assert all(files == whole for _, files in seen)
    assert [os.stat(str(base / name)).st_ino for name in '123'] == staged  # renamed, and not copied


def test_what_is_a_version_is_what_a_server_takes_for_one(tmp_path):
    for name in ('7', '007x', '12', '+13', ' 14', '1e3', '15.0', '.16.od-patch', 'v17', '-3', str(1 << 63)):
        (tmp_path / name).mkdir()
    (tmp_path / '20').write_text('a file, which a server takes for a version, too')
    assert sorted(_publish.versions(str(tmp_path))) == [-3, 7, 12, 13, 14, 20]


@pytest.mark.parametrize('version', ['v2', '1.0', '-3', '', '1e3', str(1 << 63), '٣'])
def test_a_version_that_a_server_would_skip_is_refused(served, tmp_path, version):
    with pytest.raises(_errors.UsageError, match='skips any other without a word'):
        publish(served, tmp_path / 'shapes', version=version)
    assert not (tmp_path / 'shapes').exists()


@pytest.mark.parametrize('there', ['5', '005'])
def test_a_version_that_is_there_is_refused_and_stays_as_it_is(served, tmp_path, there):
    (tmp_path / there).mkdir()
    (tmp_path / there / 'note').write_text('mine')
    with pytest.raises(_errors.OutputRefused, match='{} is there already(.|\n)* 6,'.format(there)):
        publish(served, tmp_path, version='5')
    assert content(tmp_path) == {there + '/note': b'mine'}


def test_a_version_that_appears_meanwhile_is_not_replaced(served, tmp_path):
    def overtake(folder):
        del folder
        (tmp_path / '1').mkdir()
        (tmp_path / '1' / 'note').write_text('mine')
    with pytest.raises(_errors.OutputRefused, match='1 is there already'):
        publish(served, tmp_path, prepare=overtake)
    assert content(tmp_path) == {'1/note': b'mine'}


def test_the_step_of_the_checkpoint_names_the_version(served, tmp_path):
    assert publish(served, tmp_path, version='step').path == str(tmp_path / '4100')


def test_without_a_record_there_is_no_step(served, tmp_path):
    shutil.copytree(os.path.join(served, 'saved_model'), str(tmp_path / 'copy'))
    os.remove(str(tmp_path / 'copy' / 'assets.extra' / 'od_patch.json'))
    with pytest.raises(_errors.InputRefused, match='does not say at which global step'):
        publish(str(tmp_path / 'copy'), tmp_path / 'shapes', version='step')
    assert not (tmp_path / 'shapes').exists()


def test_keep_removes_the_smallest_and_what_is_no_savedmodel_stays(served, tmp_path):
    (tmp_path / '2019').mkdir()
    (tmp_path / '2019' / 'photo.jpg').write_text('mine')
    publish(served, tmp_path, version=8)
    publish(served, tmp_path, version=9)
    published = publish(served, tmp_path, version=2020, keep=1)
    assert published.removed == [8, 9]
    assert sorted(os.listdir(str(tmp_path))) == ['2019', '2020']
    assert [note for note in published.notes if '2019 holds no SavedModel' in note]


def test_keep_spares_what_is_served_and_what_was_just_published(served, tmp_path):
    for version in (3, 4, 7):
        publish(served, tmp_path, version=version)
    published = publish(served, tmp_path, version=5, keep=1)
    assert (published.removed, sorted(os.listdir(str(tmp_path)))) == ([3, 4], ['5', '7'])
    assert any('5 is not the largest' in note for note in published.notes)


def test_what_a_killed_pruning_left_goes_with_the_next(served, tmp_path):
    aside = tmp_path / '.3.od-patch-pruned-{}'.format('0' * 32)
    aside.mkdir()
    publish(served, tmp_path)
    assert os.listdir(str(tmp_path)) == ['1']


def test_a_run_that_is_killed_leaves_no_version_and_the_next_removes_the_rest(served, tmp_path):
    result = exports.run(['-c', (
        'import os, signal, sys\n'
        'from od_patch.serving import _publish\n'
        'wish = _publish.PublishRequest(sys.argv[2], 7)\n'
        '_publish.publish(sys.argv[1], wish, lambda folder: os.kill(os.getpid(), signal.SIGKILL))\n'),
        served, tmp_path])
    assert result.exit_code == -signal.SIGKILL
    assert os.listdir(str(tmp_path)) == ['.7.od-patch'] and not _publish.versions(str(tmp_path))
    publish(served, tmp_path)
    assert os.listdir(str(tmp_path)) == ['1']


def test_one_that_is_at_work_is_left_alone(served, tmp_path):
    def another(folder):
        assert publish(served, tmp_path, version=2).version == 2
        assert os.path.isfile(os.path.join(folder, 'saved_model.pb'))
    publish(served, tmp_path, version=1, prepare=another)
    assert sorted(os.listdir(str(tmp_path))) == ['1', '2']


def test_a_version_that_is_a_link_is_removed_and_not_what_it_leads_to(served, tmp_path):
    base = tmp_path / 'shapes'
    publish(served, tmp_path / 'elsewhere', version=1)
    base.mkdir()
    os.symlink(str(tmp_path / 'elsewhere' / '1'), str(base / '1'))
    assert publish(served, base, keep=1).removed == [1]
    assert os.listdir(str(base)) == ['2'] and os.path.isfile(str(tmp_path / 'elsewhere' / '1' / 'saved_model.pb'))


def test_a_damaged_export_is_not_published(served, tmp_path):
    copy = str(tmp_path / 'copy')
    shutil.copytree(os.path.join(served, 'saved_model'), copy)
    with open(os.path.join(copy, 'variables', 'variables.data-00000-of-00001'), 'r+b') as data:
        data.seek(100000)
        data.write(b'\xff\x00\xff')
    with pytest.raises(_errors.ProofFailed, match='cannot be read'):
        publish(copy, tmp_path / 'shapes')
    assert not (tmp_path / 'shapes').exists()


@pytest.mark.parametrize('base, problem', [
    ('export/saved_model', 'is a SavedModel itself'), ('export/saved_model/below', 'lies in the SavedModel'),
    ('a/file', 'is a file'), ('', 'is empty')])
def test_a_folder_that_cannot_hold_versions_is_refused(served, tmp_path, base, problem):
    shutil.copytree(served, str(tmp_path / 'export'))
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'file').write_text('mine')
    before = content(tmp_path)
    with pytest.raises(_errors.ODPatchError, match=problem):
        publish(str(tmp_path / 'export'), base and tmp_path / base)
    assert content(tmp_path) == before


@pytest.mark.parametrize('scheme', ['file://', 'ram://'])
def test_a_store_with_a_scheme_gets_versions_and_loses_old_ones(served, tmp_path, scheme):
    if scheme == 'ram://' and tensorflow.__version__.startswith('1.'):
        pytest.skip('TensorFlow 1 has no ram://')
    gfile = tensorflow.compat.v1.gfile if hasattr(tensorflow.compat, 'v1') else tensorflow.gfile
    base = scheme + str(tmp_path / 'shapes')
    assert [publish(served, base).version, publish(served, base, keep=1).version] == [1, 2]
    assert [name.rstrip('/') for name in gfile.ListDirectory(base)] == ['2']
    for name, data in content(os.path.join(served, 'saved_model')).items():
        with gfile.GFile('{}/2/{}'.format(base, name), 'rb') as file:
            assert file.read() == data
    assert publish(base + '/2', tmp_path / 'back').version == 1  # and from there, as well
    assert content(tmp_path / 'back' / '1') == content(os.path.join(served, 'saved_model'))


def test_the_lines_are_for_the_shell_whatever_the_folder_is_called(served, tmp_path):
    published = publish(served, tmp_path / 'it\'s, "here"' / 'shapes')
    lines = dict(_commands.server(published))
    for line in lines.values():
        result = exports.run(['-c', 'import json, shlex, sys; print(json.dumps(shlex.split(sys.argv[1])))', line])
        assert any('{}'.format(tmp_path) in word for word in json.loads(result.stdout))
    assert '"source={}/it\'s, ""here""/shapes",target=/models/shapes,readonly'.format(tmp_path) in \
        json.loads(exports.run(['-c', 'import json, shlex, sys; print(json.dumps(shlex.split(sys.argv[1])))',
                                lines['docker']]).stdout)[8]


def _body_of(line):
    words = shlex.split(line)
    assert words[0] == 'curl' and words[-1] == 'http://localhost:8501/v1/models/shapes:predict'
    return json.loads(words[words.index('-d') + 1])


def _decoded(instances):
    return [base64.b64decode(instance['b64']) for instance in instances]


def test_the_request_that_is_printed_is_one_that_the_model_answers(served, tmp_path):
    published = publish(served, tmp_path / 'shapes')
    pixels = numpy.array(_body_of(_commands.trial(published))['instances'], 'u1')
    answer, = models.run(published.path, [('serving_default', pixels)])
    assert len(answer['detection_boxes']) == 1


def test_the_request_for_encoded_images_is_answered_too(exported, tmp_path):
    encoded = exported(input_type='encoded_image_string_tensor', extra_signatures=['encoded_image_bytes'])
    published = publish(encoded, tmp_path / 'shapes')
    answer, = models.run(published.path, [
        ('serving_default', _decoded(_body_of(_commands.trial(published))['instances']))])
    assert len(answer['detection_boxes']) == 1


def test_a_request_that_is_too_long_to_type_is_made_by_python():
    given = _models.Input('image_tensor:0', _models.IMAGE, 'uint8', [2, 30, 40, 3])
    program, request = shlex.split(_commands.trial(_published(given)).split(' | ')[0]), shlex.split(
        _commands.trial(_published(given)).split(' | ')[1])
    assert request == ['curl', '-d', '@-', 'http://localhost:8501/v1/models/shapes:predict']
    assert program[:2] == ['python3', '-c']
    made = json.loads(exports.run(program[1:]).stdout)
    assert numpy.array_equal(made['instances'], numpy.zeros((2, 30, 40, 3)))


def test_the_request_for_records_holds_an_image():
    value, = _decoded(_body_of(_commands.trial(_published(
        _models.Input('tf_example:0', _models.EXAMPLE, '', [None]))))['instances'])
    png, = tensorflow.train.Example.FromString(value).features.feature['image/encoded'].bytes_list.value
    assert Image.open(io.BytesIO(png)).size == (1, 1)


def test_a_model_that_takes_more_than_images_gets_no_request():
    assert _commands.trial(_published(None)) is None


def _published(given):
    return _publish.Published('models/shapes', 1, 'models/shapes/1', 'shapes', 0, [], [], given)


def test_a_name_that_cannot_stand_in_a_url_is_refused(served, tmp_path):
    with pytest.raises(_errors.UsageError, match='--model_name'):
        publish(served, tmp_path / 'my shapes')
    assert publish(served, tmp_path / 'my shapes', model_name='shapes').model_name == 'shapes'


@pytest.mark.parametrize('options, problem', [
    ({'all_checkpoints': True}, 'Leave out --serving_directory'), ({'artifacts': ['frozen_graph']}, 'Add saved_model')])
def test_what_has_nothing_to_publish_is_refused_at_once(tmp_path, options, problem):
    with pytest.raises(_errors.UsageError, match=problem):
        with od_patch.patched(serving_directory=str(tmp_path), **options):
            pass


def test_a_version_without_a_folder_to_publish_into_is_refused():
    with pytest.raises(_errors.UsageError, match='Give --serving_directory, too'):
        with od_patch.patched(model_version=1):
            pass


@pytest.mark.usefixtures('tf1_behaviour')
@pytest.mark.parametrize('version, problem', [('step', '4100 is there already'), ('v2', 'without a word')])
def test_a_version_that_cannot_be_is_refused_before_the_graph(tmp_path, version, problem):
    (tmp_path / 'shapes' / '4100').mkdir(parents=True)
    with pytest.raises(_errors.ODPatchError, match=problem):
        exports.in_process(shapes.CONFIG, shapes.FOLDER, str(tmp_path / 'out'),
                           serving_directory=str(tmp_path / 'shapes'), model_version=version, _observer=_Checks())
    assert os.listdir(str(tmp_path)) == ['shapes']


@pytest.mark.usefixtures('tf1_behaviour')
def test_an_export_is_not_published_into_itself(tmp_path):
    with pytest.raises(_errors.OutputRefused, match='lies in the SavedModel'):
        exports.in_process(shapes.CONFIG, shapes.FOLDER, str(tmp_path / 'out'), _observer=_Checks(),
                           serving_directory=str(tmp_path / 'out' / 'saved_model'))
    assert os.listdir(str(tmp_path)) == []


class _Checks(_observer.Observer):

    def stage(self, name):
        assert name != 'graph'


@pytest.mark.usefixtures('tf1_behaviour')
def test_an_export_that_is_not_published_after_all_says_that_it_is_complete(tmp_path):
    class Overtaken(_observer.Observer):
        def stage(self, name):
            if name == 'publishing':
                (tmp_path / 'shapes' / '7').mkdir(parents=True)
    with pytest.raises(_errors.OutputRefused, match='7 is there already(.|\n)*The export in .*out is complete'):
        exports.in_process(shapes.CONFIG, shapes.FOLDER, str(tmp_path / 'out'), artifacts=['saved_model'],
                           serving_directory=str(tmp_path / 'shapes'), model_version=7, _observer=Overtaken())
    assert os.path.isfile(str(tmp_path / 'out' / 'saved_model' / 'saved_model.pb'))


def test_the_command_publishes_and_has_the_exit_codes_of_an_export(served, tmp_path):
    base = str(tmp_path / 'shapes')
    told = json.loads(exports.run(['-m', 'od_patch.cli', 'publish', served, base, '--json']).stdout)
    assert (told['version'], told['path']) == (1, base + '/1')
    assert told['server'].endswith('--model_name=shapes --model_base_path=' + base)
    again = exports.run(['-m', 'od_patch.cli', 'publish', served, base, '--model_version', '1'])
    assert again.exit_code == 7 and 'is there already' in again.stderr
