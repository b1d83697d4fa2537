"""``python -m od_patch SCRIPT``: somebody's script, with the patch on, as the real ``__main__``."""
import os

import pytest

from tests.support import exports
from tests.support import parity

pytest.importorskip('tensorflow')
pytestmark = pytest.mark.xdist_group('ssd')

_SCRIPT = '''
import os
import sys
assert sys.modules['__main__'].__dict__ is globals()
assert sys.path[0] == os.path.dirname(os.path.abspath(__file__))
assert 'tensorflow' not in sys.modules
from google.protobuf import text_format
from object_detection import exporter
from object_detection.protos import pipeline_pb2

def main():
    config = pipeline_pb2.TrainEvalPipelineConfig()
    with open(sys.argv[1]) as config_file:
        text_format.Merge(config_file.read(), config)
    exporter.export_inference_graph('image_tensor', config, sys.argv[2], output_directory=sys.argv[3])
    print('the script goes on')
    sys.exit(9)

if __name__ == '__main__':
    main()
'''


def test_the_releases_own_script(research, checkpoint_of, tmp_path):
    output = str(tmp_path / 'export')
    script = os.path.join(research, 'object_detection', 'export_inference_graph.py')
    result = exports.run(['-m', 'od_patch', script] + exports.flags_of(
        exports.config_path('ssd'), checkpoint_of('ssd'), output))
    assert result.exit_code == 0, result.stderr[-3000:]
    assert 'resource variables' in result.stderr and 'raw weights of' in result.stderr
    assert os.listdir(os.path.join(output, 'saved_model', 'variables'))
    parity.run_saved_model(os.path.join(output, 'saved_model'), {'inputs': parity.pictures(1)})


def test_a_users_script_keeps_its_output_and_its_exit_code(checkpoint_of, tmp_path):
    script = tmp_path / 'mine' / 'my_export.py'
    script.parent.mkdir()
    script.write_text(_SCRIPT)
    output = str(tmp_path / 'export')
    result = exports.run(['-m', 'od_patch', '--saved_model_variables=reference', str(script),
                          exports.config_path('ssd'), checkpoint_of('ssd'), output])
    assert result.exit_code == 9, result.stderr[-3000:]
    assert 'the script goes on' in result.stdout
    ops = {node.op for node in parity.read_meta_graph(os.path.join(output, 'saved_model')).graph_def.node}
    assert 'VariableV2' in ops


def test_a_refusal_is_one(checkpoint_of, tmp_path):
    script = tmp_path / 'my_export.py'
    script.write_text(_SCRIPT)
    result = exports.run(['-m', 'od_patch', str(script), exports.config_path('ssd'),
                          checkpoint_of('ssd') + '0', str(tmp_path / 'export')])
    assert result.exit_code == 5
    assert 'od-patch: There is no checkpoint' in result.stderr
    assert 'Traceback' not in result.stderr
    assert os.listdir(str(tmp_path)) == ['my_export.py']


def test_a_script_that_exports_nothing_is_told_so(tmp_path):
    script = tmp_path / 'other.py'
    script.write_text('print("hello")')
    result = exports.run(['-m', 'od_patch', str(script)])
    assert result.exit_code == 0
    assert result.stdout == 'hello\n'
    assert 'never imported object_detection.exporter' in result.stderr


def test_a_script_that_is_not_there(tmp_path):
    result = exports.run(['-m', 'od_patch', str(tmp_path / 'no.py')])
    assert result.exit_code == 2
    assert 'does not exist' in result.stderr
