"""What is refused, and told, before TensorFlow is imported: in the words of the later check."""
import json
import os
import subprocess
import sys

import pytest

import od_patch
from od_patch import _tensorflow
from od_patch import export_inference_graph
from od_patch.command import _first_look
from tests.support import exports
from tests.support import shapes

pytest.importorskip('absl')

_CONFIG = shapes.CONFIG
_PREFIX = shapes.CHECKPOINT
_GIVEN = {'pipeline_config_path': _CONFIG, 'trained_checkpoint_prefix': _PREFIX, 'output_directory': 'out'}
_RAISES = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'tensorflow':
            raise SystemExit('TensorFlow is imported')
sys.meta_path.insert(0, Finder())
from od_patch import export_inference_graph
sys.exit(export_inference_graph.main(['export_inference_graph'] + sys.argv[1:]))
"""

# (what is refused, how the flags differ from those of an export, its exit code, what it says)
_REFUSED = [
    ('a misspelt flag', {'pipelin_config_path': 'x'}, 2, 'Did you mean --pipeline_config_path'),
    ('a misspelt switch', {'overwrit': None}, 2, 'Did you mean --overwrite'),
    ('a misspelt flag of ours', {'serving_dir': 'x'}, 2, 'Did you mean --serving_directory'),
    ('no config', {'pipeline_config_path': ...}, 2, 'Missing: --pipeline_config_path.'),
    ('nothing', dict.fromkeys(_GIVEN, ...), 2, 'Missing: --pipeline_config_path, --trained_checkpoint_prefix, --out'),
    ('a word too many', {'': 'word'}, 2, "no place for the argument 'word'"),
    ('a switch with another value', {'overwrite': 'perhaps'}, 2, 'overwrite'),
    ('a choice that is none', {'saved_model_variables': 'frozn'}, 2, 'frozn'),
    ('an artefact that is none', {'artifacts': 'saved_modl'}, 2, 'saved_model'),
    ('an interval that is none', {'watch': None, 'watch_interval': '0', 'artifacts': 'saved_model'}, 2, 'is no time'),
    ('a config that is not there', {'pipeline_config_path': 'nope.config'}, 5, "no pipeline config 'nope.config'"),
    ('a config that is a folder', {'pipeline_config_path': '.'}, 5, "The pipeline config '.' is a directory"),
    ('a config that is no text', {'pipeline_config_path': _PREFIX + '.index'}, 5, 'cannot be read'),
    ('a config in ~', {'pipeline_config_path': '~/nope.config'}, 5, 'nope.config'),
    ('a checkpoint that is not there', {'trained_checkpoint_prefix': shapes.FOLDER + '/model.ckpt-1'}, 5, 'model.ckpt-4100'),
    ('a folder that is not there', {'trained_checkpoint_prefix': '/no/where/model.ckpt-1'}, 5, 'does not exist either'),
    ('an empty prefix', {'trained_checkpoint_prefix': ''}, 5, 'The checkpoint prefix is empty'),
    ('an output that is taken', {'output_directory': 'taken'}, 7, 'Add --overwrite to replace it'),
    ('an output of file://', {'output_directory': 'file://{}/taken'}, 7, 'Add --overwrite to replace it'),
    ('the folder of a training', {'output_directory': 'training'}, 7, 'a training writes its checkpoints to')]


def _arguments(changed, folder):
    given = dict(_GIVEN, **changed)
    return [value if not name else '--' + name if value is None else '--{}={}'.format(name, value.format(folder))
            for name, value in given.items() if value is not ...]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('first look')
    (path / 'taken' / 'saved_model').mkdir(parents=True)
    (path / 'taken' / 'saved_model' / 'saved_model.pb').write_bytes(b'x')
    (path / 'training').mkdir()
    (path / 'training' / 'checkpoint').write_text('model_checkpoint_path: "model.ckpt-7"\n')
    return path


@pytest.fixture(scope='module')
def vintage_is_there():
    if not _first_look._definitions(export_inference_graph._SCRIPT):
        pytest.skip('there is no Object Detection API')


def _run(arguments, folder, **environment):
    return subprocess.run([sys.executable] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, cwd=str(folder), env=environment)


def _without_tensorflow(changed, folder):
    """Runs an export in a process that ends where TensorFlow is imported."""
    path = os.pathsep.join(sys.path[:1] + [path for path in sys.path if path])
    return _run(['-c', _RAISES] + _arguments(changed, folder), folder, **dict(os.environ, PYTHONPATH=path))


@pytest.mark.usefixtures('vintage_is_there')
@pytest.mark.parametrize('changed, code, words', [row[1:] for row in _REFUSED], ids=[row[0] for row in _REFUSED])
def test_it_is_refused_before_tensorflow_is_imported(folder, changed, code, words):
    result = _without_tensorflow(changed, folder)
    assert (result.returncode, words in result.stderr) == (code, True), result.stderr
    assert not result.stdout and 'Traceback' not in result.stderr and 'imports' not in result.stderr
    assert sorted(os.listdir(str(folder))) == ['taken', 'training']


@pytest.fixture(scope='module')
def later(folder):
    """{what is refused: [exit code, lines on stderr]} where nothing is looked at first; in one process, of one import."""
    program = (
        'import json, os, sys, tempfile\n'
        'from od_patch import export_inference_graph\n'
        'from od_patch.command import _first_look\n'
        '_first_look.flags_of = lambda script: None\n'
        'os.chdir({!r})\n'
        'answers = dict()\n'
        'for name, arguments in json.loads({!r}).items():\n'
        '    from absl import flags\n'
        '    flags.FLAGS.unparse_flags()\n'
        '    for flag in flags.FLAGS:\n'
        '        flags.FLAGS[flag].unparse()\n'
        '    said, kept = tempfile.TemporaryFile("w+"), os.dup(2)\n'
        '    os.dup2(said.fileno(), 2)\n'
        '    code = export_inference_graph.main(["export_inference_graph"] + arguments)\n'
        '    sys.stderr.flush()\n'
        '    os.dup2(kept, 2)\n'
        '    said.seek(0)\n'
        '    answers[name] = [code, said.read().splitlines()]\n'
        'print("\\n" + json.dumps(answers))\n').format(
            str(folder), json.dumps({row[0]: _arguments(row[1], folder) for row in _REFUSED}))
    result = exports.run(['-c', program])
    assert result.exit_code == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.usefixtures('vintage_is_there')
@pytest.mark.parametrize('row', _REFUSED, ids=[row[0] for row in _REFUSED])
def test_the_later_check_says_the_same(folder, later, row, monkeypatch, capfd):
    """Whoever starts from Python, or from a store, meets that one."""
    monkeypatch.chdir(str(folder))
    name, changed, code, _ = row
    assert export_inference_graph.main(['export_inference_graph'] + _arguments(changed, folder)) == code
    assert [code, capfd.readouterr().err.splitlines()] == [
        later[name][0], [line for line in later[name][1] if not line.endswith(' s')]]


@pytest.mark.usefixtures('vintage_is_there')
@pytest.mark.parametrize('changed', [
    {}, {'output_directory': 'taken', 'overwrite': None}, {'trained_checkpoint_prefix': shapes.FOLDER},
    {'trained_checkpoint_prefix': 'gs://bucket/model.ckpt-1'}, {'output_directory': 's3://bucket/taken'},
    {'pipeline_config_path': 'gs://bucket/pipeline.config'}, {'logtostderr': None}, {'v': '1'}, {'nologtostderr': None},
    {'output_directory': ''}, {'undefok': 'nothing'}, {'input_type': 'anything'},
    {'trained_checkpoint_prefix': shapes.FOLDER, 'all_checkpoints': None, 'artifacts': 'saved_model'}])
def test_what_it_cannot_tell_it_leaves_to_the_later_check(folder, changed):
    result = _without_tensorflow(changed, folder)
    assert 'TensorFlow is imported' in result.stderr, result.stderr


@pytest.mark.parametrize('flag', ['--help', '-h', '--helpshort'])
def test_help_needs_neither_tensorflow_nor_a_release(flag, tmp_path):
    import absl
    import click
    import rich
    (tmp_path / 'site').mkdir()
    names = {os.path.dirname(module.__file__) for module in (absl, click, rich)}
    site = os.path.dirname(next(iter(names)))
    for name in os.listdir(site):
        if not name.startswith(('tensorflow', 'tf_', 'object_detection', 'keras')) and not name.endswith('.pth'):
            os.symlink(os.path.join(site, name), str(tmp_path / 'site' / name))
    root = os.path.dirname(os.path.dirname(os.path.abspath(od_patch.__file__)))
    result = _run(['-S', '-m', 'od_patch.export_inference_graph', flag], tmp_path, PATH=os.environ['PATH'],
                  PYTHONPATH=os.pathsep.join([root, str(tmp_path / 'site')]), LC_ALL='C.UTF-8')
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert '--saved_model_variables' in result.stdout
    assert 'There is no Object Detection API in this Python' in result.stdout


def test_a_script_whose_flags_are_no_literals_is_left_to_itself(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'other_script.py').write_text('import os\nflags.DEFINE_string("a", os.sep, "A.")\n')
    assert _first_look.flags_of('other_script') is None
    (tmp_path / 'third_script.py').write_text('flags.DEFINE_enum("a", "x", ["x", "y"], help="A.")\n')
    values = _first_look.flags_of('third_script')
    assert values['a'].default == 'x' and 'overwrite' in values


def test_files_of_this_machine_are_seen_as_tensorflow_sees_them(tmp_path):
    pytest.importorskip('tensorflow')
    names = ['a[1].data-00000-of-00002', 'a1.data-00000-of-00002', 'b*', 'back\\slash', 'plain']
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / 'folder').mkdir()
    os.symlink('gone', str(tmp_path / 'dangling'))
    from od_patch.checkpoint import _checkpoint

    def seen():
        gfile = _tensorflow.gfile()
        paths = [str(tmp_path / name) for name in names + ['folder', 'dangling', 'not there']]
        found = [(gfile.Exists(path), gfile.IsDirectory(path)) for path in paths]
        found += [sorted(gfile.Glob(_checkpoint.glob_escape(path[:-5]) + '?????')) for path in paths[:5]]
        with gfile.GFile(paths[0], 'rb') as file:
            return found + [sorted(gfile.ListDirectory(str(tmp_path))), file.read()]

    expected = seen()
    with _tensorflow.files_of_this_machine():
        assert seen() == expected


def test_a_checkpoint_in_one_file_is_found(tmp_path):
    from od_patch.checkpoint import _checkpoint
    prefix = str(tmp_path / 'model.ckpt-3')
    with open(prefix, 'wb') as file:
        file.write(b'x')
    with _tensorflow.files_of_this_machine():
        assert _checkpoint.resolve(prefix) == prefix


@pytest.mark.usefixtures('vintage_is_there')
def test_the_flags_read_are_those_that_the_script_defines():
    """In a process that imports the release, whose flags then are in absl's own table."""
    program = ('import importlib, sys; from od_patch import legacy\n'
               'from od_patch.command import _first_look\nfrom od_patch.environment import _environment\n'
               '_environment.require()\nlegacy.put_on()\n_environment.import_exporter()\n'
               'name = {!r}; importlib.import_module(name)\nfrom absl import flags\n'
               'read = _first_look.flags_of(name)\n'
               'there = [one.name for one in flags.FLAGS.get_key_flags_for_module(name)]\n'
               'assert len(there) > 5, there\n'
               'for one in there:\n'
               '    a, b = flags.FLAGS[one], read[one]\n'
               '    assert (type(a), a.default, a.help) == (type(b), b.default, b.help), one\n').format(
                   export_inference_graph._SCRIPT)
    result = exports.run(['-c', program])
    assert result.exit_code == 0, result.stderr[-2000:]


def test_the_config_that_is_read_does_not_go_with_the_export_that_is_replaced(tmp_path):
    place = tmp_path / 'exported'
    (place / 'saved_model').mkdir(parents=True)
    (place / 'saved_model' / 'saved_model.pb').write_bytes(b'an earlier one')
    with open(_CONFIG) as config:
        (place / 'pipeline.config').write_text(config.read())
    given = (str(place / 'pipeline.config'), _PREFIX, str(place))
    with pytest.raises(od_patch.OutputRefused, match='pipeline.config is what is read, and is never written over'):
        _first_look.check(*given, chosen={'overwrite': True, 'artifacts': ['saved_model']})
    assert sorted(os.listdir(str(place))) == ['pipeline.config', 'saved_model']
    # One that is written anew, from what was read, may take its place.
    assert _first_look.check(*given, chosen={'overwrite': True}) == 1
