"""Every refusal of an export: its exit code, its words, its heading in docs/troubleshooting.md, and the disk as it was.

A refusal more is a row more of ``CASES``; what it takes to be refused, and no flag can say, is a function that the row names.
"""
import os
import shutil
import typing

import pytest

from tests.support import exports
from tests.support import headings

TENSORFLOW_2 = pytest.mark.skipif(exports.HAS_CONTRIB, reason='TensorFlow 1 does what TensorFlow 2 lacks')
BEFORE_D = pytest.mark.skipif(os.environ.get('OD_PATCH_VINTAGE') == 'D',
                              reason='from 2019-11-13 on, all input types take a shape')


class Place:
    """What a case may need: a folder of its own, the release, checkpoints.

    Attributes:
        folder: pathlib.Path. research: str, the release's folder. checkpoint_of: the fixture.
    """

    def __init__(self, folder, research, checkpoint_of):
        self.folder, self.research, self.checkpoint_of = folder, research, checkpoint_of

    def copy(self, form='plain'):
        """Copies a checkpoint into the folder, to be damaged there; returns its prefix."""
        prefix = self.checkpoint_of('ssd', form)
        shutil.copytree(os.path.dirname(prefix), str(self.folder / 'damaged'))
        return str(self.folder / 'damaged' / os.path.basename(prefix))

    def release(self, without=()):
        """Copies the release's package into the folder; returns the environment that finds it there, and no slim."""
        shutil.copytree(os.path.join(self.research, 'object_detection'), str(self.folder / 'object_detection'),
                        ignore=shutil.ignore_patterns(*without))
        return {'PYTHONPATH': '{}:{}'.format(os.getcwd(), self.folder)}

    def changed_exporter(self, text, other):
        """As ``release``, with slim, and with ``text`` in exporter.py replaced."""
        self.release()
        exporter = self.folder / 'object_detection' / 'exporter.py'
        source = exporter.read_bytes().decode('utf-8')
        assert text in source
        exporter.write_bytes(source.replace(text, other).encode('utf-8'))
        return self.first_on_path()

    def first_on_path(self):
        return {'PYTHONPATH': os.pathsep.join([
            os.getcwd(), str(self.folder), self.research, os.path.join(self.research, 'slim')])}


# What a case prepares; each returns flags, or what stands for one of them, and in ``said`` more words of the message.

def _near_miss(place):
    prefix = place.checkpoint_of('ssd')
    return {'prefix': prefix.replace('1234', '12345'),
            'said': ['Did you mean --trained_checkpoint_prefix={} ?'.format(prefix)]}


def _training_directory(place):
    folder = os.path.dirname(place.copy())
    with open(os.path.join(folder, 'checkpoint'), 'w') as state_file:
        state_file.write('model_checkpoint_path: "model.ckpt-1234"\n')
    return {'prefix': folder, 'output': folder}


def _no_tensorflow(place):
    (place.folder / 'sitecustomize.py').write_text(
        'import sys\nsys.modules["tensorflow"] = None  # what "import tensorflow" sees where there is none\n')
    return {'environment': {'PYTHONPATH': '{}:{}'.format(os.getcwd(), place.folder)}}


def _no_pillow(place):
    (place.folder / 'sitecustomize.py').write_text(
        'import sys\nsys.modules["matplotlib"] = sys.modules["PIL"] = None\n')
    return {'environment': place.first_on_path()}


def _cut_short(place):
    prefix = place.copy()
    data = prefix + '.data-00000-of-00001'
    os.truncate(data, os.path.getsize(data) - 1)
    return {'prefix': prefix, 'said': [data]}


def _without_a_shard(place):
    prefix = place.copy('sharded')
    os.unlink(prefix + '.data-00001-of-00003')
    return {'prefix': prefix, 'said': ['{}.data-00001-of-00003 is missing'.format(prefix)]}


def _damaged_index(place):
    prefix = place.copy()
    os.truncate(prefix + '.index', 100)
    return {'prefix': prefix}


def _field_of_another_release(place):
    with open(exports.config_path('ssd')) as config_file:
        lines = config_file.read().splitlines()
    number = next(index for index, line in enumerate(lines) if 'num_classes' in line)
    lines[number] = '    number_of_classes: 3'
    config = place.folder / 'pipeline.config'
    config.write_text('\n'.join(lines))
    return {'config': str(config),
            'said': ['does not parse in line {} ("number_of_classes: 3")'.format(number + 1)]}


def _data_for_a_config(place):
    return {'config': place.checkpoint_of('ssd') + '.data-00000-of-00001'}


def _a_file(place):
    (place.folder / 'file').write_text('')
    return {'output': str(place.folder / 'file')}


def _below_a_file(place):
    return {'output': os.path.join(_a_file(place)['output'], 'out')}


def _another_models_checkpoint(place):
    return {'prefix': place.checkpoint_of('faster_rcnn')}


def _no_slim(place):
    return {'environment': place.release()}


def _no_protos(place):
    return {'environment': place.release(without=['*_pb2.py']), 'said': ['cd {} && '.format(place.folder)]}


def _another_signature(place):
    return {'environment': place.changed_exporter(
        'def write_saved_model(saved_model_path,', 'def write_saved_model(model_path,')}


def _another_docstring(place):
    return {'environment': place.changed_exporter('Functions to export', 'Functions that export')}


def _another_docstring_and_no_checkpoint(place):
    (place.folder / 'model.ckpt').write_bytes(b'no checkpoint')
    return dict(_another_docstring(place), prefix=str(place.folder / 'model.ckpt'))


class Case(typing.NamedTuple):
    """One refusal.

    Attributes:
        code: int, what the command exits with.
        heading: str, how its heading in docs/troubleshooting.md begins.
        words: tuple of str, all of them in the message.
        flags: dict of flags beside the three that an export needs; ``config``, ``prefix`` and ``output`` stand for those,
            and ``without`` lists some to leave out.
        prepare: function(Place) that returns more of them; None for none.
    """
    code: int
    heading: str
    words: typing.Tuple[str, ...]
    flags: typing.Dict[str, object] = {}
    prepare: typing.Optional[typing.Callable] = None


def _case(name, *row, marks=(), **fields):
    return pytest.param(Case(*row, **fields), id=name, marks=marks)


USAGE, ENVIRONMENT, RELEASE, INPUT, MISMATCH, OUTPUT = 2, 3, 4, 5, 6, 7

CASES = [
    _case('misspelt flag', USAGE, 'There is no flag', (
        'There is no flag --saved_model_variable.', 'Did you mean --saved_model_variables ?'),
          {'saved_model_variable': 'resource'}),
    _case('missing flag', USAGE, 'Missing:', ('Missing: --output_directory.',), {'without': ['--output_directory']}),
    _case('unknown value of ours', USAGE, 'flag --', ('resource', 'reference', 'frozen'),
          {'saved_model_variables': 'resources'}),
    _case('argument without a flag', USAGE, 'There is no place for the argument', (
        "There is no place for the argument 'ssd.config'.",), {'before': ['ssd.config']}),
    _case('unknown input type', USAGE, '--input_type=', (
        '--input_type=image_tensors is unknown', 'Did you mean --input_type=image_tensor ?'),
          {'input_type': 'image_tensors'}),
] + [
    _case('bad input shape ' + shape, USAGE, '--input_shape=', ('--input_shape=' + shape, 'such as 1,300,300,3'),
          {'input_shape': shape})
    for shape in ('1,300,300', '1,300,300,x', '1,300,300,-1', '1,0,300,3')
] + [
    _case('input shape of encoded images in releases that do not take one', USAGE, 'This release takes --input_shape', (
        'takes --input_shape only with --input_type=image_tensor',),
          {'input_shape': '1,300,300,3', 'input_type': 'tf_example'}, marks=BEFORE_D),
    _case('log file that cannot be written', USAGE, 'The log cannot be written', (
        'The log cannot be written to /nowhere/log',), {'log_file': '/nowhere/log'}),
    _case('target for frozen constants', USAGE, '--target_tf is for', ('--target_tf is for a SavedModel with variables',),
          {'target_tf': '1.12', 'saved_model_variables': 'frozen'}),
    _case('additional output that the graph does not have', USAGE, 'The graph has no node', (
        "has no node 'detection_box'", 'Did you mean detection_boxes ?'),
          {'additional_output_tensor_names': 'detection_box'}),

    _case('no TensorFlow', ENVIRONMENT, 'There is no TensorFlow', ('There is no TensorFlow in this Python',),
          prepare=_no_tensorflow),
    _case('no Object Detection API', ENVIRONMENT, 'There is no Object Detection API', (
        'no Object Detection API', 'PYTHONPATH'), {'environment': {'PYTHONPATH': os.getcwd()}}),
    _case('a module that the Object Detection API needs', ENVIRONMENT, 'The Object Detection API needs', (
        'python -m pip install',), prepare=_no_pillow),
    _case('no slim', ENVIRONMENT, 'The package nets of slim', ('nets of slim',), prepare=_no_slim),
    _case('protos that are not compiled', ENVIRONMENT, 'The protos of the Object Detection API', (
        'not compiled', 'object_detection/protos/*.proto --python_out=.'), prepare=_no_protos),
    _case('quantization needs TensorFlow 1', ENVIRONMENT, 'The pipeline config has a graph_rewriter', (
        'has a graph_rewriter (quantization), which needs tf.contrib.quantize', 'Export it under TensorFlow 1'),
          {'config': exports.config_path('ssd_quantized')}, marks=TENSORFLOW_2),

    _case('exporter of another shape', RELEASE, '… is not an exporter', (
        'is not an exporter that od-patch knows',
        'write_saved_model takes (model_path, frozen_graph_def, inputs, outputs), where '
        '(saved_model_path, frozen_graph_def, inputs, outputs) is expected'), prepare=_another_signature),
    _case('unpinned exporter where only pins are wanted', RELEASE, '… is not one of the pinned', (
        'is not one of the pinned releases', '--strict_pin'), {'strict_pin': True}, _another_docstring),
    _case('unpinned exporter is warned of', INPUT, '… is not one of the pinned releases', (  # it went on to the checkpoint
        'is not one of the pinned releases', 'patched all the same'), prepare=_another_docstring_and_no_checkpoint),

    _case('no checkpoint, and which one is there', INPUT, 'There is no checkpoint', ('There is no checkpoint',),
          prepare=_near_miss),
    _case('checkpoint in a directory that is not there', INPUT, 'There is no checkpoint', (
        'There is no checkpoint', 'The directory nowhere does not exist either.'), {'prefix': 'nowhere/model.ckpt'}),
    _case('checkpoint that is another file', INPUT, 'The checkpoint «…» cannot be read', (
        'cannot be read', 'Give the prefix of a checkpoint'), {'prefix': exports.config_path('ssd')}),
    _case('empty checkpoint prefix', INPUT, 'The checkpoint prefix is empty', (), {'prefix': ''}),
    _case('checkpoint cut short', INPUT, 'The checkpoint «…» is not whole', ('is not whole', 'should have at least'),
          prepare=_cut_short),
    _case('checkpoint without one of its shards', INPUT, 'The checkpoint «…» is not whole', ('is not whole: ',),
          prepare=_without_a_shard),
    _case('checkpoint with a damaged index', INPUT, 'The checkpoint «…» is damaged', ('is damaged',),
          prepare=_damaged_index),
    _case('config that is not there', INPUT, 'There is no pipeline config', (
        "There is no pipeline config 'no.config'.",), {'config': 'no.config'}),
    _case('config with a field of another release', INPUT, 'The pipeline config «…» does not parse', (
        'no field named "number_of_classes"', 'another one may'), prepare=_field_of_another_release),
    _case('config that is a checkpoint', INPUT, 'The pipeline config «…» cannot be read', ('is not a text file',),
          prepare=_data_for_a_config),
    _case('config_override that does not parse', INPUT, 'The pipeline config «…» does not parse', (
        '--config_override does not parse in line 1',), {'config_override': 'model { ssd { num_clases: 4 } }'}),
] + [
    _case("a model of TensorFlow 2's, " + name, INPUT, "The pipeline config is one of TensorFlow 2's own models", (
        "is one of TensorFlow 2's own models", name, 'exporter_main_v2'), {'config_override': override},
          marks=TENSORFLOW_2)
    for name, override in [
        ('ssd_mobilenet_v1_fpn_keras', 'model { ssd { feature_extractor { type: "ssd_mobilenet_v1_fpn_keras" } } }'),
        ('center_net', 'model { center_net { num_classes: 3 } }')]
] + [
    _case('averages asked for but absent', MISMATCH, 'The checkpoint «…» holds no moving averages', (
        'holds no moving averages', 'use_moving_averages: false'),
          {'config_override': 'eval_config { use_moving_averages: true }'}),
    _case('other class count', MISMATCH, 'The checkpoint «…» does not fit', (
        'does not fit the model', 'Likely cause: the class count', 'BoxPredictor_0/ClassPredictor'),
          {'config_override': 'model { ssd { num_classes: 7 } }'}),
    _case('other feature extractor', MISMATCH, 'The checkpoint «…» does not fit', (
        'Likely cause: another feature extractor', 'builds MobilenetV1', 'holds InceptionV2'),
          prepare=_another_models_checkpoint),
    _case('quantized graph on a float checkpoint', MISMATCH, 'The checkpoint «…» does not fit', (
        'graph_rewriter with quantization',), {'config': exports.config_path('ssd_quantized')},
          marks=exports.NEEDS_CONTRIB),

    _case('empty output directory', USAGE, 'The output directory is empty', (), {'output': ''}),
    _case('output that is the training directory', OUTPUT, 'The output directory «…» is one that a training', (
        'is one that a training writes its checkpoints to', '--overwrite'), prepare=_training_directory),
    _case('output that is a file', OUTPUT, 'The output directory «…» is a file', ('is a file',), prepare=_a_file),
    _case('output below a file', OUTPUT, 'The output directory «…» is a file', ('which is a file',),
          prepare=_below_a_file),
    _case('output that cannot be written', OUTPUT, 'The output directory «…» cannot be written', ('cannot be written',),
          {'output': '/proc/od-patch/out'}),
]


@pytest.mark.parametrize('case', CASES)
def test_refusal(case, checkpoint_of, research, tmp_path):
    given = dict(case.flags, **(case.prepare(Place(tmp_path, research, checkpoint_of)) if case.prepare else {}))
    said, without, environment = given.pop('said', ()), given.pop('without', ()), given.pop('environment', None)
    arguments = given.pop('before', []) + exports.flags_of(
        given.pop('config', exports.config_path('ssd')),
        given.pop('prefix') if 'prefix' in given else checkpoint_of('ssd'),
        given.pop('output', str(tmp_path / 'out')), **given)
    arguments = [argument for argument in arguments if argument.split('=')[0] not in without]
    if environment:  # Python would put the bytecode of a test's own modules beside them
        environment = dict(environment, PYTHONDONTWRITEBYTECODE='1')
    before = sorted(os.listdir(str(tmp_path)))
    result = exports.fork('od_patch.export_inference_graph', arguments, environment=environment)
    assert sorted(os.listdir(str(tmp_path))) == before
    assert result.exit_code == case.code
    assert 'Traceback' not in result.stderr + result.stdout
    for words in case.words + tuple(said):
        assert words in result.stderr
    found = headings.of(result.stderr)
    assert any(heading.startswith(case.heading) for heading in found), (
        'docs/troubleshooting.md has no heading {!r} for: {}; it is under {}'.format(case.heading, result.stderr, found))
