"""od-patch verify as a user types it: forms, exit codes, table, JSON, page, images."""
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from od_patch import cli
from od_patch import proof
from od_patch.graphs import _images
from od_patch.proof import _outputs
from od_patch.proof import _verify_page
from tests.compare.test_bad_input import od_patch
from tests.proof import defects
from tests.support import exports
from tests.support import shapes

pytestmark = pytest.mark.xdist_group('proof shapes')


def test_table_json_and_page_say_the_same(exported, tmp_path):
    page = tmp_path / 'report.html'
    code, out, err = od_patch('verify', exported(), '--json', '--report', page, '--target_tf', '1.12')
    assert code == 0, err
    answer = json.loads(out)
    assert list(answer) == ['schema', 'verdict', 'od_patch', 'tensorflow', 'seconds', 'subject', 'counts', 'checks',
                            'images', 'runs']
    assert answer['schema'] == 1 and answer['verdict'] == 'the same' and answer['counts']['wrong'] == 0
    assert answer['counts']['ok'] == len(answer['checks']) == 19
    assert answer['subject']['moving_averages'] is True
    assert [(run['mode'], run['batch']) for run in answer['runs']] == [
        ('unoptimized', 1), ('unoptimized', 2), ('defaults', 1), ('defaults', 2)]
    for run in answer['runs']:
        assert run['images'] == 2 and run['detections']['pairs'] == run['detections']['left'] == 40
        assert {row['name'] for row in run['outputs']} > {'detection_boxes', 'num_detections'}
        assert run['mode'] != 'unoptimized' or all(row['equal'] and row['largest'] == 0 for row in run['outputs'])
    assert [image['name'] for image in answer['images']] == ['drawn scene 1', 'drawn scene 2']
    text = page.read_text(encoding='utf-8')
    for check in answer['checks']:
        assert check['name'].replace("'", '&#x27;') in text
    assert text.count('data:image/jpeg;base64,') == 2 and text.count('class="box left"') > 2
    assert text.count('class="box left"') == text.count('class="box right"')
    code, out, err = od_patch('verify', exported(), '--quick')
    lines = out.splitlines()
    assert code == 0 and err == '' and lines[0] == 'the same  {}'.format(exported())
    assert max(len(line) for line in lines[1:]) <= 80 and not [line for line in lines if line != line.rstrip()]
    assert 'outputs' not in lines and 'weights' in lines


def test_a_defect_is_exit_code_1_and_its_name_is_in_the_table(exported, tmp_path):
    folder = str(tmp_path / 'export')
    shutil.copytree(exported(), folder)
    defects.wrong_weight_in_the_saved_model(folder)
    code, out, err = od_patch('verify', folder, '--quick')
    assert code == 1 and err == '' and out.startswith('not the same')
    assert re.search(r'SavedModel = model.ckpt +wrong +1 of 199 variables differ\n +{}: '.format(defects.WEIGHT), out)
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_parts_can_be_given_by_themselves(exported):
    export = exported()
    code, out, err = od_patch('verify', '--saved_model', os.path.join(export, 'saved_model'), '--frozen_graph',
                              os.path.join(export, 'frozen_inference_graph.pb'), '--json')
    answer = json.loads(out)
    names = [check['name'] for check in answer['checks'] if check['part'] in ('weights', 'outputs')]
    assert code == 0 and names[0] == 'SavedModel = frozen graph' and 'unoptimized, batch of 2' in names, err
    code, out, _ = od_patch('verify', os.path.join(export, 'saved_model'), '--checkpoint', shapes.CHECKPOINT,
                            '--pipeline_config', shapes.CONFIG, '--quick', '--json')
    weights, = [check for check in json.loads(out)['checks'] if check['part'] == 'weights']
    assert code == 0 and weights['name'] == 'SavedModel = checkpoint' and 'moving averages' in weights['text']


def test_with_nothing_to_compare_with_there_is_no_proof(exported):
    code, out, _ = od_patch('verify', '--frozen_graph', os.path.join(exported(), 'frozen_inference_graph.pb'))
    assert code == 2 and out.startswith('nothing to compare')


@pytest.mark.parametrize('arguments, words', [
    ([], 'There is nothing to verify'),
    (['--checkpoint', 'nowhere/model.ckpt'], 'There is nothing to verify'),
    (['/no/such/export'], 'no such directory'),
    (['EMPTY'], 'holds neither saved_model nor frozen_inference_graph.pb nor model.ckpt'),
    (['EXPORT', '--checkpoint', '/no/model.ckpt'], 'There is no checkpoint'),
    (['EXPORT', '--pipeline_config', '/no/pipeline.config'], 'cannot be read'),
    (['EXPORT', '--pipeline_config', 'TEXT'], 'is no pipeline config'),
    (['EXPORT', '--target_tf', '3.0'], 'the table of ops has TensorFlow 1.4 to'),
    (['EXPORT', '--quick', '--images', 'TEXT'], '--quick runs nothing'),
    (['EXPORT', '--images', 'TEXT'], 'is no image that can be read'),
    (['EXPORT', '--images', 'CUT'], 'is no image that can be read'),
    (['EXPORT', '--images', 'EMPTY'], 'the folder holds no images'),
    (['EXPORT', '--images', '/no/image.png'], 'no such image or folder'),
    (['EXPORT', '--report', 'EXPORT/saved_model/saved_model.pb'], 'never written over'),
    (['EXPORT', '--report', 'TEXT'], 'is there already'),
])
def test_trouble_is_exit_code_2_in_words(arguments, words, exported, tmp_path, monkeypatch, capfd):
    (tmp_path / 'EMPTY').mkdir()
    (tmp_path / 'TEXT').write_text('}{ neither an image nor a config')
    Image.fromarray(np.full((64, 64, 3), 90, 'u1')).save(str(tmp_path / 'whole.png'))
    (tmp_path / 'CUT').write_bytes((tmp_path / 'whole.png').read_bytes()[:90])
    before = sorted(os.listdir(exported()))
    given = [re.sub('^EXPORT', lambda _: exported(), argument) for argument in arguments]
    given = [str(tmp_path / argument) if argument in ('EMPTY', 'TEXT', 'CUT') else argument for argument in given]
    monkeypatch.setattr(sys, 'argv', ['od-patch', 'verify'] + given)
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capfd.readouterr()
    assert left.value.code == 2 and out == '' and words in err and 'Traceback' not in err
    assert sorted(os.listdir(exported())) == before and (tmp_path / 'TEXT').read_text().startswith('}{')


def test_images_of_every_kind_are_run(exported, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    _, scene = [picture.array for picture in _images.drawn(2)]
    Image.fromarray(scene).save(str(folder / 'a.jpg'))
    Image.fromarray(scene).convert('L').save(str(folder / 'b.png'))
    Image.fromarray(scene).convert('RGBA').resize((90, 120)).save(str(folder / 'c.png'))
    Image.fromarray(scene).convert('P').save(str(folder / 'd.gif'))
    (folder / 'notes.txt').write_text('not an image, and no concern')
    answer = proof.verify(exported(), images=[str(folder)], most_images=3)
    assert not answer.wrong
    # The alpha channel is kept, for models of four channels.
    assert [picture.array.shape for picture in answer.pictures] == [(360, 480, 3), (360, 480, 3), (120, 90, 4)]
    note, = [check for check in answer.checks if check.name == 'images']
    assert note.status == 'note' and note.text == 'the first 3 of 4 images'
    by_batch = {run.batch: run.images for run in answer.runs if run.mode == 'unoptimized'}
    assert by_batch == {1: 3, 2: 2}


def test_drawn_scenes_are_the_same_every_time():
    digests = [picture.as_json()['sha256_of_pixels'] for picture in _images.drawn(2)]
    assert digests == [picture.as_json()['sha256_of_pixels'] for picture in _images.drawn(2)]
    assert digests[0] != digests[1]


_HOSTILE = '</style></script><script>alert(1)</script><img src=x onerror=alert(2)>@CONTENT@'


def test_nothing_that_is_shown_becomes_markup(exported, tmp_path):
    """Names of nodes, files and images are what their makers wanted."""
    folder = str(tmp_path / 'export')
    shutil.copytree(exported(), folder)
    with defects.saved_model(folder) as meta_graph:
        defects.node_of(meta_graph.graph_def, 'Preprocessor/sub').device = '/device:GPU:0' + _HOSTILE
    with open(os.path.join(folder, 'saved_model', 'assets.extra', 'od_patch.json'), 'w') as record:
        json.dump({'od_patch': _HOSTILE, 'exporter': _HOSTILE, 'tensorflow': [_HOSTILE], 'sha256': {_HOSTILE: 1}},
                  record)
    answer = proof.verify(folder, quick=True)
    answer.subject.given = _HOSTILE
    run = _outputs.Run('unoptimized', 1, _HOSTILE)
    rows = {'boxes': np.zeros((0, 4)), 'scores': np.zeros(0), 'classes': np.zeros(0)}
    run.detections, run.images = [(rows, rows)], 1
    run.rows = [_outputs.Row(_HOSTILE, [1], False, 1, 1, 1.5, 1.5, [1.5, float('inf')], _HOSTILE)]
    answer.runs, answer.pictures = [run], [_images.Picture(_HOSTILE, _images.drawn(1)[0].array)]
    page = tmp_path / 'page.html'
    _verify_page.write(answer, str(page))
    text = page.read_text(encoding='utf-8')
    assert '<script' not in text and '<img' not in text and text.count('</style>') == 1
    assert text.count('alert(1)') >= 4 and '0 and 0 detections: none to draw' in text
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)\s*=\s*["\']?(https?:)?//', text)
    assert set(re.findall(r'href="([a-z:/]*)', text)) == {'data:image/jpeg'}


def test_a_record_cannot_lead_out_of_the_export(exported, tmp_path):
    folder = str(tmp_path / 'export')
    shutil.copytree(exported(), folder)
    with open(os.path.join(folder, 'saved_model', 'assets.extra', 'od_patch.json'), 'w') as record:
        json.dump({'sha256': {'../../etc/passwd': 'x', '/etc/passwd': 'x'}}, record)
    check, = [check for check in proof.verify(folder, quick=True).checks if check.name == 'od_patch.json']
    assert 'cannot be read' in check.text and 'which no export writes' in check.text


@pytest.mark.parametrize('text, expected', [
    ('eval_config { use_moving_averages: true }', True),
    ('eval_config: {\n  num_examples: 5 # use_moving_averages: false\n  use_moving_averages: true\n}', True),
    ('eval_config < use_moving_averages: 1 >', True),
    ('model { ssd { num_classes: 3 } } eval_config { }', False),
    ('eval_config { use_moving_averages: true } eval_config { use_moving_averages: false }', False),
    ('train_config { use_moving_averages: true }', False),
    ('eval_config { metrics_set: "use_moving_averages: true }" }', False),
])
def test_the_config_is_read_without_the_api(text, expected, tmp_path):
    from od_patch.proof import _pipeline
    (tmp_path / 'pipeline.config').write_text(text)
    assert _pipeline.uses_moving_averages(str(tmp_path / 'pipeline.config')) is expected


def test_sizes_are_told_against_both_limits():
    from od_patch.proof import _portability
    gib = 1 << 30
    assert _portability._sizes([('saved_model.pb', gib - 1)]).status == 'ok'
    assert _portability._sizes([('saved_model.pb', gib)]).status == 'note'
    assert _portability._sizes([('saved_model.pb', 5), ('frozen graph', 2 * gib)]).status == 'wrong'


def test_a_checkpoint_and_its_config_are_exported_and_proved(tf1_python):
    """The form without an export; needs the Object Detection API."""
    result = exports.run(['-m', 'od_patch.cli', 'verify', '--checkpoint', shapes.CHECKPOINT,
                          '--pipeline_config', shapes.CONFIG, '--quick', '--json'], python=tf1_python)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer['subject']['moving_averages'] is True
    assert not os.path.exists(os.path.dirname(answer['subject']['saved_model']))
