"""The bridges: on only where they are needed, and gone without a trace when the patch comes off."""
import os

import pytest

tensorflow = pytest.importorskip('tensorflow')

from od_patch import legacy  # noqa: E402
from od_patch.legacy import _old_protos  # noqa: E402
from tests.support import exports  # noqa: E402
from tests.support import needs  # noqa: E402
from tests.support import parity  # noqa: E402

_TF2 = not tensorflow.__version__.startswith('1.')
on_tensorflow_2 = pytest.mark.skipif(not _TF2, reason='on TensorFlow {} no bridge is ever on; a test says so'.format(
    tensorflow.__version__))

_STATE = '''
import sys
import numpy as np
import tensorflow as tf
from tensorflow.python import tf2
import tensorflow.python.ops as tf1_ops
import tensorflow.python.ops.control_flow_ops
import od_patch

def state():
    with tf.Graph().as_default():
        try:
            by_value = not hash(tf.compat.v1.placeholder(tf.float32))
        except TypeError:
            by_value = True
    return dict(
        eager=tf.executing_eagerly(), tf2=tf2.enabled(), resources=tf.compat.v1.resource_variables_enabled(),
        control_flow=tf.compat.v1.control_flow_v2_enabled(), dimension=type(tf.TensorShape([1])[0]), by_value=by_value,
        numpy=sorted(set(dir(np)) & {'int', 'float', 'bool', 'object', 'str', 'complex'}), path=list(sys.path),
        finders=list(sys.meta_path), contrib=hasattr(tf, 'contrib'),
        moved=hasattr(tf1_ops.control_flow_ops, 'case'),
        modules=sorted(name for name in sys.modules if 'contrib' in name or name.endswith('.legacy_tf_layers')
                       and '.src.' not in name and '.python.' not in name))

before = state()
'''


def _run(program, **options):
    result = exports.run(['-W', 'ignore', '-c', _STATE + program], **options)
    assert result.exit_code == 0, result.stderr[-3000:]
    return result.stdout


def test_on_tensorflow_1_none_is_needed():
    assert bool(legacy.needed()) == _TF2


@on_tensorflow_2
def test_after_uninstall_the_process_is_as_it_was():
    out = _run('''
od_patch.install()
from object_detection import exporter
during = state()
assert during['eager'] and during['tf2'], 'installing leaves the process eager: only exports are in graph mode'
assert during != before, 'no bridge was on, so this proves nothing'
od_patch.install()
od_patch.uninstall()
after = state()
for name in before:
    assert after[name] == before[name], (name, before[name], after[name])
with od_patch.patched():
    assert 'int' in state()['numpy']
assert state() == before
print('as it was')
''')
    assert out.endswith('as it was\n')


@on_tensorflow_2
@pytest.mark.xdist_group('ssd')
def test_an_export_inside_an_eager_program_leaves_it_eager(checkpoint_of, tmp_path):
    out = _run('''
x = tf.Variable(2.0)
def export(folder):
    with od_patch.patched():
        from google.protobuf import text_format
        from object_detection import exporter
        from object_detection.protos import pipeline_pb2
        config = pipeline_pb2.TrainEvalPipelineConfig()
        with open({!r}) as config_file:
            text_format.Merge(config_file.read(), config)
        exporter.export_inference_graph('image_tensor', config, {!r}, output_directory=folder)
export({!r})
assert state() == before
export({!r})
with tf.GradientTape() as tape:
    y = x * x
assert float(tape.gradient(y, x)) == 4.0
assert len(tf.saved_model.load({!r}).variables) > 100
print('eager')
'''.format(exports.config_path('ssd'), checkpoint_of('ssd'), str(tmp_path / 'one'), str(tmp_path / 'two'),
           str(tmp_path / 'two' / 'saved_model')))
    assert out.endswith('eager\n')


@on_tensorflow_2
def test_stand_ins_are_refused_when_called_and_the_rest_of_contrib_stays_missing():
    out = _run('''
try:
    import tensorflow.contrib
    raise SystemExit('there is a contrib')
except ImportError:
    pass
with od_patch.legacy.on():
    from tensorflow.contrib import quantize
    from tensorflow.contrib.image.python.ops import image_ops
    for missing in ('lookup', 'opt', 'slim'):
        try:
            exec('from tensorflow.contrib import ' + missing)
            raise SystemExit('contrib.{} is there'.format(missing))
        except ImportError:
            pass
    for call in (quantize.experimental_create_eval_graph, image_ops.bipartite_match):
        try:
            call()
            raise SystemExit('it was called')
        except od_patch.EnvironmentRefused as error:
            print(error.problem)
''')
    assert 'needs tensorflow.contrib.quantize.experimental_create_eval_graph, and TensorFlow {} has no contrib'.format(
        tensorflow.__version__) in out
    assert 'tensorflow.contrib.image.python.ops.image_ops.bipartite_match' in out


@on_tensorflow_2
def test_the_profile_counts_what_the_graph_has():
    """3 × 3 weights; 2 × 3 × 3 × 3 multiplications and additions."""
    out = _run('''
with od_patch.patched():
    from object_detection import exporter
    with tf.Graph().as_default() as graph:
        v = tf.compat.v1.get_variable('weights_of_the_test', [3, 3])
        tf.matmul(tf.compat.v1.placeholder(tf.float32, [3, 3]), v)
        exporter.profile_inference_graph(graph)
''')
    assert 'weights_of_the_test (3x3, 9/9 params)' in out
    assert '54/54 flops' in out


@on_tensorflow_2
def test_a_model_builder_imported_too_early_is_refused_unless_that_has_failed():
    """Its TensorFlow 2 half needs tf-models-official: without, importing it fails, and leaves nothing in the way."""
    out = _run('''
with od_patch.legacy.on():
    try:
        from object_detection.builders import model_builder
        failed = False
    except Exception:
        failed = True
try:
    od_patch.install()
except od_patch.EnvironmentRefused as error:
    assert not failed and 'Call od_patch.install()' in str(error)
else:
    from object_detection.builders import model_builder
    assert failed and model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP
print('as expected')
''')
    assert out.endswith('as expected\n')


@on_tensorflow_2
@pytest.mark.xdist_group('ssd')
def test_a_script_may_import_the_object_detection_api_in_any_order(checkpoint_of, tmp_path):
    script = tmp_path / 'mine.py'
    script.write_text('''
import sys
from object_detection.protos import pipeline_pb2
from object_detection.utils import config_util
from object_detection.builders import model_builder
import tensorflow as tf
from object_detection import exporter

config = config_util.get_configs_from_pipeline_file(sys.argv[1])
config = config_util.create_pipeline_proto_from_configs(config)
tf.compat.v1.reset_default_graph()
exporter.export_inference_graph('image_tensor', config, sys.argv[2], output_directory=sys.argv[3])
''')
    output = str(tmp_path / 'export')
    result = exports.run(['-m', 'od_patch', str(script), exports.config_path('ssd'), checkpoint_of('ssd'), output])
    assert result.exit_code == 0, result.stderr[-3000:]
    parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': parity.pictures(1)})


@on_tensorflow_2
def test_slim_beside_the_object_detection_api_is_found(research):
    out = _run('''
with od_patch.legacy.on():
    import nets
    print(nets.__file__)
assert state() == before
''', environment={'PYTHONPATH': os.pathsep.join([os.getcwd(), research])})
    assert out.strip().startswith(os.path.join(research, 'slim', 'nets'))


@pytest.fixture(scope='module')
def newest_protos(tmp_path_factory, research):
    """The OD API's protos, compiled by a new protoc; the folder to put on the path."""
    needs.module('grpc_tools')  # requirements/protoc.txt
    folder = tmp_path_factory.mktemp('protos')
    # The packages of the index hold no .proto files: protoc takes their descriptors instead.
    descriptors = str(folder / 'descriptors')
    program = '''
import sys
from google.protobuf import descriptor_pb2
from od_patch.legacy import _old_protos
files = descriptor_pb2.FileDescriptorSet()
for path in _old_protos.modules():
    files.file.add().ParseFromString(_old_protos._serialized_descriptor(path))
with open(sys.argv[1], 'wb') as out:
    out.write(files.SerializeToString())
print('\\n'.join(file.name for file in files.file))
'''
    names = exports.run(['-c', program, descriptors]).stdout.split()
    compiled = folder / 'object_detection' / 'protos'
    os.makedirs(str(compiled))
    result = exports.run(['-m', 'grpc_tools.protoc', '--descriptor_set_in=' + descriptors,
                          '--python_out=' + str(folder)] + names)
    assert result.exit_code == 0, result.stderr
    return str(compiled)


@on_tensorflow_2
def test_protos_of_the_newest_protoc_and_of_the_oldest_hold_the_same_messages(newest_protos, research):
    """The packages' own are of 2021 and earlier; the newest protoc's code is newer than protobuf 4, too."""
    program = '''
import sys
import object_detection.protos
object_detection.protos.__path__[:] = [sys.argv[1]]
from od_patch import legacy
from od_patch.legacy import _old_protos
with legacy.on():
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2
    config = pipeline_pb2.TrainEvalPipelineConfig()
    with open(sys.argv[2]) as config_file:
        text_format.Merge(config_file.read(), config)
    assert 'ssd' == config.model.WhichOneof('model')
    from object_detection.protos import ssd_pb2
    assert isinstance(config.model.ssd, ssd_pb2.Ssd)
    print(_old_protos.made_by(_old_protos.modules()))
    print(config.SerializeToString(deterministic=True).hex())
'''
    found = {}
    for folder in (newest_protos, os.path.join(research, 'object_detection', 'protos')):
        result = exports.run(['-c', program, folder, exports.config_path('ssd')])
        assert result.exit_code == 0, result.stderr[-3000:]
        maker, found[folder] = result.stdout.splitlines()
        print(folder, maker)
    assert len(found) == 2 and len(set(found.values())) == 1


def test_what_runs_is_known_from_the_text(tmp_path, monkeypatch):
    """By the style that protoc wrote and the version of the protobuf package; see the table in ``_old_protos``."""
    sources = {
        'fields': '_descriptor.FieldDescriptor(\n',
        'reflection': 'X = _reflection.GeneratedProtocolMessageType(\n',
        'builder': '_builder.BuildTopDescriptorsAndMessages(\n',
        '5.27.1': ('_runtime_version.ValidateProtobufRuntimeVersion(\n'
                   '  _runtime_version.Domain.PUBLIC,\n  5,\n  27,\n  1,'),
    }
    runs = {}
    for version in ('3.17.3', '3.20.3', '4.25.9', '5.26.0', '5.29.0', '6.33.0', '7.36.2'):
        monkeypatch.setattr(_old_protos._versions, 'installed', lambda package, version=version: version)
        for name, source in sources.items():
            path = tmp_path / (name + '_pb2.py')
            path.write_text(source)
            if _old_protos._runs(str(path)):
                runs.setdefault(name, []).append(version)
    assert runs == {
        'fields': ['3.17.3', '3.20.3'],
        'reflection': ['3.17.3', '3.20.3', '4.25.9'],
        'builder': ['3.20.3', '4.25.9', '5.26.0', '5.29.0', '6.33.0', '7.36.2'],
        '5.27.1': ['5.29.0', '6.33.0'],
    }
