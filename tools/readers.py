"""Which programs read what is exported: the shapes detector, in every kind of variables, given to each of them.

    python -m tools.readers               makes the environments, tries every model in each, writes docs/serving.md
    python -m tools.readers --readers openvino --kinds resource,resource+encoded      a part of it, for the same table
    python -m tools.readers --table       writes the table again from benchmarks/results/readers.json

The Python that this runs in exports the models (it has TensorFlow and od-patch, as in CONTRIBUTING.md, and the Object
Detection API is put on its path). Each reader gets an environment of its own, which stays in .tox/readers.

A reader has read a model if it has loaded it, run it on a held-out drawing, and found the same shapes in the same
places.

Not for: TensorFlow 1's own loaders; the tests run those (tests/serving/test_c_loader.py).
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(ROOT, 'docs', 'serving.md')
RESULTS = os.path.join(ROOT, 'benchmarks', 'results', 'readers.json')
MARK = '<!-- readers: python -m tools.readers -->', '<!-- /readers -->'
IMAGE = os.path.join(ROOT, 'examples', 'shapes', 'held-out-1000001.png')
# How the variables are held; the same with a signature for encoded images beside serving_default, which is what is read.
_SIGNED = '+encoded'
KINDS = ('resource', 'reference', 'frozen', 'resource' + _SIGNED, 'reference' + _SIGNED, 'frozen' + _SIGNED)
_SURE = 0.5  # the score from which on a detection is one
_NEAR = 0.01  # how far boxes (as parts of the image) and scores may be from those of the model itself

Reader = collections.namedtuple('Reader', ['title', 'environment', 'packages', 'shown'])
Reader.__doc__ = """A program that reads SavedModels.

Attributes:
    title: str, its name in the table.
    environment: str, name of the environment; readers may share one.
    packages: list of requirements of that.
    shown: list of packages whose versions are told.
"""

_TF2 = ['tensorflow-cpu==2.21.0']
# tf2onnx says that it goes with TensorFlow up to 2.15; NumPy 2 came after it.
_ONNX = ['tensorflow-cpu==2.15.1', 'tf2onnx==1.16.1', 'onnx<1.17', 'onnxruntime', 'numpy<2']
READERS = collections.OrderedDict([
    ('load', Reader('`tf.saved_model.load`', 'tensorflow2', _TF2, ['tensorflow-cpu'])),
    ('cli', Reader('`saved_model_cli`', 'tensorflow2', _TF2, ['tensorflow-cpu'])),
    ('layer', Reader('Keras `TFSMLayer`', 'tensorflow2', _TF2, ['keras'])),
    ('tflite', Reader('TFLite, `SELECT_TF_OPS`', 'tensorflow2', _TF2, ['tensorflow-cpu'])),
    ('openvino', Reader('OpenVINO', 'openvino', ['openvino', 'numpy'], ['openvino'])),
    ('onnx', Reader('tf2onnx + onnxruntime', 'onnx', _ONNX, ['tf2onnx', 'onnxruntime', 'tensorflow-cpu'])),
])


# What runs in a reader's environment: (folder of the SavedModel, image) -> (dict of outputs, a remark).

def read_load(folder, image):
    import tensorflow
    loaded = tensorflow.saved_model.load(folder)
    found = loaded.signatures['serving_default'](tensorflow.constant(image))
    return {key: value.numpy() for key, value in found.items()}, '{} variables'.format(len(loaded.variables))


def read_cli(folder, image):
    import numpy
    program = os.path.join(os.path.dirname(sys.executable), 'saved_model_cli')
    shown = subprocess.run([program, 'show', '--dir', folder, '--all'], check=True, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, universal_newlines=True).stdout
    assert "signature_def['serving_default']" in shown, shown
    with tempfile.TemporaryDirectory() as place:
        numpy.save(os.path.join(place, 'image.npy'), image)
        subprocess.run(
            [program, 'run', '--dir', folder, '--tag_set', 'serve', '--signature_def', 'serving_default', '--inputs',
             'inputs={}'.format(os.path.join(place, 'image.npy')), '--outdir', place],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True)
        names = re.findall(r"outputs\['(\w+)'\]", shown)
        return {name: numpy.load(os.path.join(place, name + '.npy')) for name in names}, 'shows and runs it'


def read_layer(folder, image):
    import keras
    layer = keras.layers.TFSMLayer(folder, call_endpoint='serving_default')
    return {key: value.numpy() for key, value in layer(image).items()}, ''


def read_tflite(folder, image):
    import tensorflow
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(folder, signature_keys=['serving_default'])
    converter.target_spec.supported_ops = [
        tensorflow.lite.OpsSet.TFLITE_BUILTINS, tensorflow.lite.OpsSet.SELECT_TF_OPS]
    runner = tensorflow.lite.Interpreter(model_content=converter.convert()).get_signature_runner('serving_default')
    return runner(inputs=image), 'with the Flex delegate'


def read_openvino(folder, image):
    import openvino
    compiled = openvino.Core().compile_model(openvino.convert_model(folder), 'CPU')
    found = compiled([image])
    return {_key(output.get_names()): found[output] for output in compiled.outputs}, ''


def read_onnx(folder, image):
    import onnxruntime
    with tempfile.TemporaryDirectory() as place:
        file = os.path.join(place, 'model.onnx')
        subprocess.run([sys.executable, '-m', 'tf2onnx.convert', '--saved-model', folder, '--signature_def', 'serving_default', '--output', file, '--opset',
                        '15'], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True)
        session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
        given, = session.get_inputs()
        names = [output.name for output in session.get_outputs()]
        return {name.split(':')[0]: value for name, value in zip(names, session.run(names, {given.name: image}))}, ''


def _key(names):
    """The key of an output among the names that its tensor has."""
    return sorted(names, key=lambda name: (not re.match(r'(detection|num|raw)_\w+$', name), len(name)))[0].split(':')[0]


def read(name, folder, image, output):
    """Tries one model in this environment: writes outputs.npz and a remark, or why it was not read."""
    import numpy
    try:
        outputs, remark = globals()['read_' + name](folder, numpy.load(image))
        numpy.savez(output + '.npz', **outputs)
        told = {'error': None, 'remark': remark}
    except Exception as error:  # pylint: disable=broad-except  (what readers raise is theirs to choose)
        traceback.print_exc()
        told = {'error': '{}: {}'.format(type(error).__name__, getattr(error, 'stderr', None) or error), 'remark': ''}
    with open(output + '.json', 'w', encoding='utf-8', newline='\n') as file:
        json.dump(told, file)


# What runs in the Python that exports.

def export(kind, folder):
    """Exports the shapes detector; returns the folder of the SavedModel."""
    import tensorflow
    from tools import assemble_models
    vintage = 'C' if tensorflow.__version__.startswith('1.') else 'D'
    entries = assemble_models.assemble(vintage, os.path.join(ROOT, '.tox', 'research', vintage))
    shapes = os.path.join(ROOT, 'examples', 'shapes')
    subprocess.run(
        [sys.executable, '-m', 'od_patch.export_inference_graph', '--artifacts=saved_model',
         '--pipeline_config_path=' + os.path.join(shapes, 'shapes_ssd_mobilenet_v1.config'),
         '--trained_checkpoint_prefix=' + shapes, '--output_directory=' + folder,
         '--saved_model_variables=' + kind.replace(_SIGNED, '')] +
        (['--extra_signatures=encoded_image_bytes'] if kind.endswith(_SIGNED) else []),
        check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, PYTHONPATH=os.pathsep.join(entries + [ROOT])))
    return os.path.join(folder, 'saved_model')


def run_here(folder, image):
    """The outputs of the SavedModel in the TensorFlow that exported it."""
    from od_patch.graphs import _models
    from od_patch.graphs import _servable
    from od_patch.graphs import _sessions
    with _models.saved_model(_servable.Servable(folder), _sessions.default_config()) as model:
        return model.run(image)


def environment(reader, place):
    """Makes the environment of a reader where it is not there; returns its Python."""
    folder = os.path.join(place, reader.environment)
    python = os.path.join(folder, 'bin', 'python')
    done = os.path.join(folder, 'installed')
    wanted = '\n'.join(reader.packages)
    if not os.path.isfile(done) or open(done, encoding='utf-8').read() != wanted:
        subprocess.run(['python3.11', '-m', 'venv', '--clear', folder], check=True)
        subprocess.run([python, '-m', 'pip', 'install', '--quiet'] + reader.packages, check=True)
        with open(done, 'w', encoding='utf-8', newline='\n') as file:
            file.write(wanted)
    return python


def versions(python, packages):
    """[text] of package and version, as installed there."""
    program = 'import importlib.metadata as m, sys; print(*[m.version(n) for n in sys.argv[1:]])'
    found = subprocess.run([python, '-c', program] + packages, check=True, stdout=subprocess.PIPE,
                           universal_newlines=True)
    return ['{} {}'.format(*row) for row in zip(packages, found.stdout.split())]


def judge(expected, found):
    """What keeps the outputs from being those of the model, in words; '' where they are."""
    import numpy
    for key in ('detection_scores', 'detection_classes', 'detection_boxes', 'num_detections'):
        if key not in found:
            return 'gives no {} (but {})'.format(key, ', '.join(sorted(found)))

    def sure(outputs):
        rows = [(int(label), tuple(box), float(score)) for label, box, score in zip(
            outputs['detection_classes'][0], outputs['detection_boxes'][0], outputs['detection_scores'][0])
                if score >= _SURE]
        return sorted(rows, key=lambda row: (row[0], [round(float(value), 2) for value in row[1]]))
    here, there = sure(expected), sure(found)
    if not here or [row[0] for row in here] != [row[0] for row in there]:
        return 'finds {} and not {}'.format([row[0] for row in there], [row[0] for row in here])
    far = max(max(abs(one[2] - other[2]), numpy.abs(numpy.subtract(one[1], other[1])).max())
              for one, other in zip(here, there))
    return '' if far <= _NEAR else 'boxes or scores are off by {:.3f}'.format(far)


def try_all(names, kinds, place):
    """Tries every model in every reader; returns what benchmarks/results/readers.json holds."""
    import numpy
    import tensorflow
    from PIL import Image
    rows = []
    with tempfile.TemporaryDirectory() as work:
        image = os.path.join(work, 'image.npy')
        pixels = numpy.asarray(Image.open(IMAGE).convert('RGB'))[None]
        numpy.save(image, pixels)
        models = {kind: export(kind, os.path.join(work, kind)) for kind in kinds}
        expected = {kind: run_here(folder, pixels) for kind, folder in models.items()}
        for name in names:
            python = environment(READERS[name], place)
            for kind in kinds:
                output = os.path.join(work, name + '-' + kind)
                subprocess.run(
                    [python, os.path.abspath(__file__), '--read', name, models[kind], image, output], check=True,
                    env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3', CUDA_VISIBLE_DEVICES='', PYTHONPATH=''))
                with open(output + '.json', encoding='utf-8') as file:
                    told = json.load(file)
                problem = told['error']
                if problem is None:
                    with numpy.load(output + '.npz') as found:
                        problem = judge(expected[kind], found) or None
                rows.append(collections.OrderedDict([
                    ('reader', name), ('versions', versions(python, READERS[name].shown)), ('kind', kind),
                    ('problem', problem and shortened(problem)), ('remark', told['remark'])]))
                print('{:<10}{:<10}{}'.format(name, kind, problem and shortened(problem) or 'ok ' + told['remark']))
    return collections.OrderedDict([('exported_by', 'TensorFlow ' + tensorflow.__version__), ('rows', rows)])


def shortened(problem):
    """The last line of an error that says something, without paths, on one line of a table."""
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    text = lines[-1] if lines[0].startswith('CalledProcessError') or 'Traceback' in problem else ' '.join(lines)
    return re.sub(r'/(tmp|var|home|root|work)/\S*', '…', text).replace('|', '/')[:160]


def table(results):
    """The lines of the table, from what was found."""
    kinds = [kind for kind in KINDS if any(row['kind'] == kind for row in results['rows'])]
    lines = ['| reader | ' + ' | '.join(kinds) + ' |', '|---' * (1 + len(kinds)) + '|']
    for name in READERS:
        rows = {row['kind']: row for row in results['rows'] if row['reader'] == name}
        if rows:
            shown = next(iter(rows.values()))['versions']
            cells = ['not tried' if kind not in rows else 'no: ' + rows[kind]['problem'] if rows[kind]['problem'] else
                     'yes' + (', ' + rows[kind]['remark'] if rows[kind]['remark'] else '') for kind in kinds]
            lines.append('| {} ({}) | {} |'.format(READERS[name].title, ', '.join(shown), ' | '.join(cells)))
    lines += ['', 'Exported by {}; read with Python 3.11.'.format(results['exported_by'])]
    return lines


def in_document(text, results):
    """Returns the document with the table between its marks."""
    return between(text, MARK, table(results))


def between(text, mark, lines):
    """Returns a text with other lines between two marks; mark: (the line before them, the line behind them)."""
    head, rest = text.split(mark[0])
    return head + '\n'.join([mark[0]] + lines + [mark[1]]) + rest.split(mark[1])[1]


def merged(results, path):
    """What was found, and of what was not tried, what was found before by the same exporter."""
    rows = []
    if os.path.isfile(path):
        with open(path, encoding='utf-8') as file:
            before = json.load(file, object_pairs_hook=collections.OrderedDict)
        tried = {(row['reader'], row['kind']) for row in results['rows']}
        if before['exported_by'] == results['exported_by']:
            rows = [row for row in before['rows'] if (row['reader'], row['kind']) not in tried]
    rows += results['rows']
    rows.sort(key=lambda row: (list(READERS).index(row['reader']), KINDS.index(row['kind'])))
    return collections.OrderedDict([('exported_by', results['exported_by']), ('rows', rows)])


def keep(results, path):
    """Writes what was found, as JSON."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8', newline='\n') as file:
        json.dump(results, file, indent=1)
        file.write('\n')


def tell(path, rewritten):
    """Writes docs/serving.md again, from what was kept in ``path``; rewritten(text, results) makes its text."""
    with open(path, encoding='utf-8') as file:
        results = json.load(file, object_pairs_hook=collections.OrderedDict)
    with open(DOCUMENT, encoding='utf-8') as file:
        text = file.read()
    with open(DOCUMENT, 'w', encoding='utf-8', newline='\n') as file:
        file.write(rewritten(text, results))


def main():
    parser = argparse.ArgumentParser(description='Tries exported SavedModels in programs that read SavedModels.')
    parser.add_argument('--readers', default=','.join(READERS), help='some of ' + ','.join(READERS))
    parser.add_argument('--kinds', default=','.join(KINDS))
    parser.add_argument('--environments', default=os.path.join(ROOT, '.tox', 'readers'), metavar='FOLDER')
    parser.add_argument('--table', action='store_true', help='try nothing; write the table from what was found before')
    parser.add_argument('--read', nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(*options.read)
        return
    if not options.table:
        names, kinds = options.readers.split(','), options.kinds.split(',')
        results = try_all(names, kinds, options.environments)
        keep(merged(results, RESULTS), RESULTS)
    tell(RESULTS, in_document)


if __name__ == '__main__':
    main()
