"""The commands as a user types them: exit codes, JSON, the canonical file, the page, the width of the table."""
import json
import random
import re

import pytest

from od_patch import _errors
from od_patch.compare import _run
from od_patch.compare import _verdict
from tests.compare import graphs
from tests.compare import test_properties
from tests.compare.test_bad_input import od_patch
from tests.compare.written import INT32, UINT8, Made

pytest.importorskip('tensorflow')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Paths of one detector, a reordered and a renamed copy, one with other weights, and another threshold."""
    folder = tmp_path_factory.mktemp('graphs')
    found = {'one': graphs.write(folder / 'one.pb', graphs.detector())}
    for name, change in (('ordered', test_properties.permuted), ('renamed', test_properties.renamed),
                         ('flipped', test_properties.flip_bit)):
        graph_def = graphs.detector()
        change(graph_def, random.Random(3))
        found[name] = graphs.write(folder / (name + '.pb'), graph_def)
    graph_def = graphs.detector()
    threshold = next(node for node in graph_def.node if node.name.endswith('iou_threshold'))
    threshold.attr['value'].tensor.ClearField('float_val')
    threshold.attr['value'].tensor.float_val.append(0.3)
    found['threshold'] = graphs.write(folder / 'threshold.pb', graph_def)
    with open(str(folder / 'one.pbtxt'), 'w') as file:
        file.write(str(graphs.detector()))
    found['text'] = str(folder / 'one.pbtxt')
    found['other'] = graphs.write(folder / 'other.pb', graphs.built(
        lambda tf: tf.nn.softmax(tf.matmul(tf.placeholder(tf.float32, [None, 4], name='in'),
                                           tf.identity(tf.ones([4, 9]))))))
    return found


@pytest.mark.parametrize('other, verdict, code', [
    ('ordered', 'identical', 0), ('text', 'identical', 0), ('renamed', 'equivalent', 0),
    ('threshold', 'same weights, different graph', 1), ('flipped', 'different weights', 1),
    ('other', 'not comparable', 1)])
def test_the_five_verdicts_and_their_exit_codes(files, other, verdict, code):
    got, out, err = od_patch('compare', files['one'], files[other], '--json')
    answer = json.loads(out)
    assert (answer['verdict'], got) == (verdict, code), err
    assert answer['schema'] == 1 and len(answer['graphs']) == 2 and answer['reason']
    got, out, _ = od_patch('compare', files['one'], files[other])
    lines = out.splitlines()
    assert lines[0].strip() == verdict and got == code
    assert max(map(len, lines)) <= 100


def test_a_changed_threshold_is_named_with_both_values(files):
    _, out, _ = od_patch('compare', files['one'], files['threshold'], '--json')
    cause, = json.loads(out)['causes']
    assert cause['kind'] == 'setting.nms_iou' and cause['title'].endswith('0.6 → 0.3')
    assert cause['option'].endswith('batch_non_max_suppression.iou_threshold')
    assert cause['left_nodes'] and 'Postprocessor' in cause['scope'] and not cause['cosmetic']


def test_a_vector_that_is_no_weight_is_a_constant_with_other_values(tmp_path):
    def build(values):
        return graphs.built(lambda tf: tf.matmul(tf.placeholder(tf.float32, [None, 2], name='x') * tf.constant(values),
                                                 tf.identity(tf.ones([2, 3]))))
    paths = [graphs.write(tmp_path / name, build(values))
             for name, values in (('a.pb', [1.5, 2.5]), ('b.pb', [1.5, 3.5]))]
    code, out, _ = od_patch('compare', *(paths + ['--json']))
    answer = json.loads(out)
    assert code == 1 and answer['verdict'] == 'same weights, different graph'
    cause, = answer['causes']
    assert cause['kind'] == 'constant' and cause['values'] == ['[1.5, 2.5]', '[1.5, 3.5]']


def test_two_inputs_exchanged_are_a_cause(tmp_path):
    def build(first, second):
        def body(tf):
            inputs = {name: tf.placeholder(tf.float32, [2], name=name) for name in 'ab'}
            return inputs[first] - inputs[second]
        return graphs.built(body)
    paths = [graphs.write(tmp_path / (row + '.pb'), build(*row)) for row in ('ab', 'ba')]
    code, out, _ = od_patch('compare', *(paths + ['--json']))
    assert code == 1 and [cause['kind'] for cause in json.loads(out)['causes']] == ['rewired']


def test_a_flipped_bit_is_found_in_its_variable(files):
    _, out, _ = od_patch('compare', files['one'], files['flipped'], '--json')
    weights = json.loads(out)['weights']
    row, = weights['differences']
    assert row['differing'] == 1 and weights['equal'] == weights['left'] - 1


def test_the_first_tensor_that_differs_is_found_by_running(files):
    _, out, err = od_patch('compare', files['one'], files['flipped'], '--json', '--run', '1')
    run = json.loads(out)['run']
    assert run['first'] is not None, err
    assert run['first']['left'] == run['first']['right']  # the names are the same on both sides here
    _, out, _ = od_patch('compare', files['one'], files['renamed'], '--json', '--run', '1')
    run = json.loads(out)['run']
    assert run['first'] is None and all(row['largest'] == 0 for row in run['outputs'])


def test_the_canonical_form_is_one_file_for_all_ways_to_write_a_graph(files, tmp_path):
    written = []
    for name in ('one', 'ordered', 'renamed', 'text'):
        path = tmp_path / (name + '.pb')
        code, _, err = od_patch('compare', files[name], '--canonical', path)
        assert code == 0, err
        written.append(path.read_bytes())
    assert len(set(written)) == 1
    path = tmp_path / 'two.pb'
    od_patch('compare', files['one'], files['flipped'], '--canonical', path)
    assert path.read_bytes() == written[0] != (tmp_path / 'two.b.pb').read_bytes()
    code, out, _ = od_patch('compare', path, files['renamed'])
    assert code == 0 and out.startswith('equivalent')


def page_of(files, other, folder):
    page = folder / 'out.html'
    code, _, err = od_patch('compare', files['one'], other, '--html', page)
    assert code == 1, err
    text = page.read_text(encoding='utf-8')
    assert '<img' not in text and text.count('</script>') == 2
    assert not re.search(r'(src|href)\s*=\s*["\']?(https?:)?//', text)
    return json.loads(re.search(r'id="content">(.*?)</script>', text, re.DOTALL).group(1))


def test_the_page_is_whole_and_lets_no_path_become_markup(files, tmp_path):
    graph_def = graphs.detector()
    test_properties.flip_bit(graph_def, random.Random(5))
    folder = tmp_path / '<'  # a slash, too, is a part of the path
    folder.mkdir()
    (folder / 'script><img src=x onerror=alert(1)>').mkdir()
    bad = graphs.write(folder / 'script><img src=x onerror=alert(1)>' / 'bad.pb', graph_def)
    content = page_of(files, bad, tmp_path)
    assert content['verdict'] == 'different weights' and content['weights'] and content['nodes']


def test_a_name_that_no_node_may_have_is_refused_and_does_not_become_markup(files, tmp_path):
    graph_def = graphs.detector()
    for node in graph_def.node:
        for index, text in enumerate(node.input):
            if text == 'Preprocessor/Sub':
                node.input[index] = '</script><img src=x onerror=alert(1)>'
        if node.name == 'Preprocessor/Sub':
            node.name = '</script><img src=x onerror=alert(1)>'
    content = page_of(files, graphs.write(tmp_path / 'bad.pb', graph_def), tmp_path)
    assert content['verdict'] == 'not comparable' and 'no name that a node may have' in content['reason']
    assert content['nodes']


def test_inspect_tells_what_there_is_and_admits_what_there_is_not(files):
    code, out, err = od_patch('inspect', files['one'], '--json')
    told = json.loads(out)
    assert code == 0, err
    assert told['settings']['nms_size'] == 7 and told['settings']['input_shape'] == '?×?×?×3'
    assert told['settings']['resize'] == 'fixed 12×12'
    assert told['settings']['normalization'] == '× 0.00784314 then − 1'
    assert told['quantized'] == 'no' and told['exact'] == {}
    code, out, _ = od_patch('inspect', files['other'])
    assert code == 0 and 'cannot be told' in out and max(map(len, out.splitlines())) <= 100


def test_the_tensorflow_at_hand_lies_in_the_range_that_is_told(files):
    from od_patch import _tensorflow
    _, out, _ = od_patch('inspect', files['one'], '--json')
    first, last = json.loads(out)['tensorflow']

    def key(release):
        return [int(part) for part in release.split('.')[:2]]
    assert key(first) <= key(_tensorflow.versions()[0]) <= key(last)


def test_a_graph_that_fails_where_it_is_run_is_refused_with_tensorflows_words(tmp_path):
    made = Made().placeholder('image_tensor', UINT8, [-1, -1, -1, 3]).const('seven', [7], 'i4')
    made.node('detection_boxes', 'Reshape', ['image_tensor', 'seven'], T=UINT8, Tshape=INT32)
    path = graphs.write(tmp_path / 'graph.pb', made.graph_def)
    with pytest.raises(_errors.InputRefused, match='running the graph failed: .*Input to reshape') as refusal:
        _run.run(_verdict.compare(path, path), 1)
    assert refusal.value.remedy == 'Compare it without --run.'
