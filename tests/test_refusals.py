"""Every refusal: its exit code, its words, its heading in docs/troubleshooting.md, and the disk as it was."""
import os
import shutil

import pytest

from tests.support import exports
from tests.support import headings

on_tensorflow_2 = pytest.mark.skipif(exports.HAS_CONTRIB, reason='TensorFlow 1 does what TensorFlow 2 lacks')

_AVERAGES = 'eval_config { use_moving_averages: true }'


@pytest.fixture
def refuse(checkpoint_of, tmp_path):
    """A function that exports with flags that are to be refused, and returns the exit code and the message."""
    def attempt(config=None, prefix=None, output=None, environment=None, without=(), **flags):
        arguments = exports.flags_of(
            exports.config_path('ssd') if config is None else config,
            checkpoint_of('ssd') if prefix is None else prefix,
            str(tmp_path / 'out') if output is None else output, **flags)
        arguments = [argument for argument in arguments if argument.split('=')[0] not in without]
        if environment:  # Python would put the bytecode of a test's own modules beside them
            environment = dict(environment, PYTHONDONTWRITEBYTECODE='1')
        before = sorted(os.listdir(str(tmp_path)))
        result = exports.fork('od_patch.export_inference_graph', arguments, environment=environment)
        assert sorted(os.listdir(str(tmp_path))) == before
        assert 'Traceback' not in result.stderr + result.stdout
        assert headings.of(result.stderr), 'docs/troubleshooting.md has no heading for: ' + result.stderr
        return result.exit_code, result.stderr
    return attempt


def test_misspelt_flag(refuse):
    code, message = refuse(saved_model_variable='resource')
    assert code == 2
    assert 'There is no flag --saved_model_variable.' in message
    assert 'Did you mean --saved_model_variables ?' in message


def test_missing_flag(refuse):
    code, message = refuse(without=['--output_directory'])
    assert code == 2
    assert 'Missing: --output_directory.' in message


def test_unknown_value_of_ours(refuse):
    code, message = refuse(saved_model_variables='resources')
    assert code == 2
    assert 'resource' in message and 'reference' in message and 'frozen' in message


def test_argument_without_a_flag(checkpoint_of, tmp_path):
    result = exports.run(['-m', 'od_patch.export_inference_graph', 'ssd.config'] + exports.flags_of(
        exports.config_path('ssd'), checkpoint_of('ssd'), tmp_path / 'out'))
    assert result.exit_code == 2
    assert "There is no place for the argument 'ssd.config'." in result.stderr


def test_unknown_input_type(refuse):
    code, message = refuse(input_type='image_tensors')
    assert code == 2
    assert '--input_type=image_tensors is unknown' in message
    assert 'Did you mean --input_type=image_tensor ?' in message


@pytest.mark.parametrize('shape', ['1,300,300', '1,300,300,x', '1,300,300,-1', '1,0,300,3'])
def test_bad_input_shape(refuse, shape):
    code, message = refuse(input_shape=shape)
    assert code == 2
    assert '--input_shape=' + shape in message and 'such as 1,300,300,3' in message


@pytest.mark.skipif(os.environ.get('OD_PATCH_VINTAGE') == 'D',
                    reason='from 2019-11-13 on, all input types take a shape')
def test_input_shape_of_encoded_images_in_releases_that_do_not_take_one(refuse):
    code, message = refuse(input_shape='1,300,300,3', input_type='tf_example')
    assert code == 2
    assert 'takes --input_shape only with --input_type=image_tensor' in message


def test_no_checkpoint_and_which_one_is_there(refuse, checkpoint_of):
    prefix = checkpoint_of('ssd')
    code, message = refuse(prefix=prefix.replace('1234', '12345'))
    assert code == 5
    assert 'There is no checkpoint' in message
    assert 'Did you mean --trained_checkpoint_prefix={} ?'.format(prefix) in message


def test_checkpoint_in_a_directory_that_is_not_there(refuse):
    code, message = refuse(prefix='nowhere/model.ckpt')
    assert code == 5
    assert 'There is no checkpoint' in message and 'The directory nowhere does not exist either.' in message


def test_checkpoint_that_is_another_file(refuse):
    code, message = refuse(prefix=exports.config_path('ssd'))
    assert code == 5
    assert 'cannot be read' in message and 'Give the prefix of a checkpoint' in message


def test_empty_paths(refuse):
    assert refuse(prefix='')[0] == 5
    assert refuse(output='')[0] == 2


def test_output_that_is_the_training_directory(refuse, checkpoint_of, tmp_path):
    prefix = _copy(checkpoint_of('ssd'), tmp_path)
    with open(os.path.join(os.path.dirname(prefix), 'checkpoint'), 'w') as state_file:
        state_file.write('model_checkpoint_path: "model.ckpt-1234"\n')
    code, message = refuse(prefix=os.path.dirname(prefix), output=os.path.dirname(prefix))
    assert code == 7
    assert 'is one that a training writes its checkpoints to' in message and '--overwrite' in message


def test_log_file_that_cannot_be_written(refuse):
    code, message = refuse(log_file='/nowhere/log')
    assert code == 2
    assert 'The log cannot be written to /nowhere/log' in message


def test_no_tensorflow(refuse, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import sys\nsys.modules["tensorflow"] = None  # what "import tensorflow" sees where there is none\n')
    code, message = refuse(environment={'PYTHONPATH': '{}:{}'.format(os.getcwd(), tmp_path)})
    assert code == 3
    assert 'There is no TensorFlow in this Python' in message


def test_a_module_that_the_object_detection_api_needs(refuse, research, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text('import sys\nsys.modules["matplotlib"] = sys.modules["PIL"] = None\n')
    code, message = refuse(environment=_first_on_path(tmp_path, research))
    assert code == 3
    assert 'python -m pip install' in message


def test_checkpoint_cut_short(refuse, checkpoint_of, tmp_path):
    prefix = _copy(checkpoint_of('ssd'), tmp_path)
    data = prefix + '.data-00000-of-00001'
    os.truncate(data, os.path.getsize(data) - 1)
    code, message = refuse(prefix=prefix)
    assert code == 5
    assert 'is not whole' in message and data in message and 'should have at least' in message


def test_checkpoint_without_one_of_its_shards(refuse, checkpoint_of, tmp_path):
    prefix = _copy(checkpoint_of('ssd', 'sharded'), tmp_path)
    os.unlink(prefix + '.data-00001-of-00003')
    code, message = refuse(prefix=prefix)
    assert code == 5
    assert 'is not whole: {}.data-00001-of-00003 is missing'.format(prefix) in message


def test_checkpoint_with_a_damaged_index(refuse, checkpoint_of, tmp_path):
    prefix = _copy(checkpoint_of('ssd'), tmp_path)
    os.truncate(prefix + '.index', 100)
    code, message = refuse(prefix=prefix)
    assert code == 5
    assert 'is damaged' in message


def test_config_that_is_not_there(refuse):
    code, message = refuse(config='no.config')
    assert code == 5
    assert "There is no pipeline config 'no.config'." in message


def test_config_with_a_field_of_another_release(refuse, tmp_path):
    with open(exports.config_path('ssd')) as config_file:
        lines = config_file.read().splitlines()
    number = next(index for index, line in enumerate(lines) if 'num_classes' in line)
    lines[number] = '    number_of_classes: 3'
    config = tmp_path / 'pipeline.config'
    config.write_text('\n'.join(lines))
    code, message = refuse(config=str(config))
    assert code == 5
    assert 'does not parse in line {} ("number_of_classes: 3")'.format(number + 1) in message
    assert 'no field named "number_of_classes"' in message
    assert 'another one may' in message


def test_config_that_is_a_checkpoint(refuse, checkpoint_of):
    code, message = refuse(config=checkpoint_of('ssd') + '.data-00000-of-00001')
    assert code == 5
    assert 'is not a text file' in message


def test_config_override_that_does_not_parse(refuse):
    code, message = refuse(config_override='model { ssd { num_clases: 4 } }')
    assert code == 5
    assert '--config_override does not parse in line 1' in message


def test_output_that_is_a_file(refuse, tmp_path):
    (tmp_path / 'file').write_text('')
    code, message = refuse(output=str(tmp_path / 'file'))
    assert code == 7
    assert 'is a file' in message


def test_output_below_a_file(refuse, tmp_path):
    (tmp_path / 'file').write_text('')
    code, message = refuse(output=str(tmp_path / 'file' / 'out'))
    assert code == 7
    assert 'which is a file' in message


def test_output_that_cannot_be_written(refuse):
    code, message = refuse(output='/proc/od-patch/out')
    assert code == 7
    assert 'cannot be written' in message


def test_averages_asked_for_but_absent(refuse):
    code, message = refuse(config_override=_AVERAGES)
    assert code == 6
    assert 'holds no moving averages' in message
    assert 'use_moving_averages: false' in message


def test_other_class_count(refuse):
    code, message = refuse(config_override='model { ssd { num_classes: 7 } }')
    assert code == 6
    assert 'does not fit the model' in message
    assert 'Likely cause: the class count' in message
    assert 'BoxPredictor_0/ClassPredictor' in message


def test_other_feature_extractor(refuse, checkpoint_of):
    code, message = refuse(prefix=checkpoint_of('faster_rcnn'))
    assert code == 6
    assert 'Likely cause: another feature extractor' in message
    assert 'builds MobilenetV1' in message and 'holds InceptionV2' in message


@exports.NEEDS_CONTRIB
def test_quantized_graph_on_a_float_checkpoint(refuse):
    code, message = refuse(config=exports.config_path('ssd_quantized'))
    assert code == 6
    assert 'graph_rewriter with quantization' in message


@on_tensorflow_2
def test_quantization_needs_tensorflow_1(refuse):
    code, message = refuse(config=exports.config_path('ssd_quantized'))
    assert code == 3
    assert 'has a graph_rewriter (quantization), which needs tf.contrib.quantize' in message
    assert 'Export it under TensorFlow 1' in message


@on_tensorflow_2
@pytest.mark.parametrize('override, found', [
    ('model { ssd { feature_extractor { type: "ssd_mobilenet_v1_fpn_keras" } } }', 'ssd_mobilenet_v1_fpn_keras'),
    ('model { center_net { num_classes: 3 } }', 'center_net'),
])
def test_a_model_of_tensorflow_2_is_pointed_to_its_own_exporter(refuse, override, found):
    code, message = refuse(config_override=override)
    assert code == 5
    assert "is one of TensorFlow 2's own models" in message and found in message
    assert 'exporter_main_v2' in message


def test_target_for_frozen_constants(refuse):
    code, message = refuse(target_tf='1.12', saved_model_variables='frozen')
    assert code == 2
    assert '--target_tf is for a SavedModel with variables' in message


def test_additional_output_that_the_graph_does_not_have(refuse):
    code, message = refuse(additional_output_tensor_names='detection_box')
    assert code == 2
    assert "has no node 'detection_box'" in message
    assert 'Did you mean detection_boxes ?' in message


def test_no_object_detection_api(refuse):
    code, message = refuse(environment={'PYTHONPATH': os.getcwd()})
    assert code == 3
    assert 'no Object Detection API' in message and 'PYTHONPATH' in message


def test_no_slim(refuse, research, tmp_path):
    shutil.copytree(os.path.join(research, 'object_detection'), str(tmp_path / 'object_detection'))
    code, message = refuse(environment={'PYTHONPATH': '{}:{}'.format(os.getcwd(), tmp_path)})
    assert code == 3
    assert 'nets of slim' in message


def test_protos_that_are_not_compiled(refuse, research, tmp_path):
    shutil.copytree(os.path.join(research, 'object_detection'), str(tmp_path / 'object_detection'),
                    ignore=shutil.ignore_patterns('*_pb2.py'))
    code, message = refuse(environment={'PYTHONPATH': '{}:{}'.format(os.getcwd(), tmp_path)})
    assert code == 3
    assert 'not compiled' in message
    assert 'cd {} && '.format(tmp_path) in message and 'object_detection/protos/*.proto --python_out=.' in message


def test_exporter_of_another_shape(refuse, research, tmp_path):
    _changed_exporter(research, tmp_path, 'def write_saved_model(saved_model_path,', 'def write_saved_model(model_path,')
    code, message = refuse(environment=_first_on_path(tmp_path, research))
    assert code == 4
    assert 'is not an exporter that od-patch knows' in message
    assert 'write_saved_model takes (model_path, frozen_graph_def, inputs, outputs), where ' \
        '(saved_model_path, frozen_graph_def, inputs, outputs) is expected' in message


def test_unpinned_exporter_where_only_pins_are_wanted(refuse, research, tmp_path):
    _changed_exporter(research, tmp_path, 'Functions to export', 'Functions that export')
    code, message = refuse(environment=_first_on_path(tmp_path, research), strict_pin=True)
    assert code == 4
    assert 'is not one of the pinned releases' in message and '--strict_pin' in message


def test_unpinned_exporter_is_warned_of(refuse, research, tmp_path):
    _changed_exporter(research, tmp_path, 'Functions to export', 'Functions that export')
    (tmp_path / 'model.ckpt').write_bytes(b'no checkpoint')
    code, message = refuse(environment=_first_on_path(tmp_path, research), prefix=str(tmp_path / 'model.ckpt'))
    assert code == 5  # it went on to the checkpoint
    assert 'is not one of the pinned releases' in message and 'patched all the same' in message


def _copy(prefix, folder):
    """Copies a checkpoint into a folder of its own, to be damaged there; returns its prefix."""
    source = os.path.dirname(prefix)
    destination = str(folder / 'damaged')
    shutil.copytree(source, destination)
    return os.path.join(destination, os.path.basename(prefix))


def _changed_exporter(research, folder, text, other):
    """Makes a copy of the OD API in ``folder`` whose exporter.py has ``text`` replaced by ``other``."""
    shutil.copytree(os.path.join(research, 'object_detection'), str(folder / 'object_detection'))
    exporter = folder / 'object_detection' / 'exporter.py'
    source = exporter.read_bytes().decode('utf-8')
    assert text in source
    exporter.write_bytes(source.replace(text, other).encode('utf-8'))


def _first_on_path(folder, research):
    return {'PYTHONPATH': os.pathsep.join([os.getcwd(), str(folder), research, os.path.join(research, 'slim')])}
