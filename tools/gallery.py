"""Writes docs/gallery.md: what exports of the examples detect, in pictures of real runs.

``python -m tools.gallery``, with the Object Detection API on the path, runs all of it and writes page and pictures;
``--page`` writes the page alone, of the runs that are there. Needs Pillow.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

import od_patch

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(_ROOT, 'docs', 'gallery.md')
FOLDER = os.path.join(_ROOT, 'docs', 'gallery')
RUNS = os.path.join(FOLDER, 'runs.json')
_SHAPES = os.path.join('examples', 'shapes')
_CONFIG = os.path.join(_SHAPES, 'shapes_ssd_mobilenet_v1.config')
_WIDTH = 672  # pixels
_QUALITY = 82  # of a JPEG; fewer colours in a PNG would change those of the drawings

_INTRODUCTION = '''# Gallery

<!-- python -m tools.gallery makes this page and its pictures from real runs. -->

The detector of [examples/shapes](../examples/shapes/README.md) finds circles, squares, triangles and stars. Each picture shows
six drawings that its training never saw, with what a SavedModel detects in them. `examples/shapes/demo.py` draws the boxes.
'''


def _export(folder):
    report = od_patch.export(_CONFIG, _SHAPES, os.path.join(folder, 'exported'), verify=True)
    return report, os.path.join(report.output, 'saved_model')


def _raw(folder):
    report = od_patch.export(_CONFIG, _SHAPES, os.path.join(folder, 'raw'), artifacts=['saved_model'],
                             config_override='eval_config { use_moving_averages: false }')
    return report, os.path.join(report.output, 'saved_model')


def _unfrozen(folder):
    made = od_patch.unfreeze(os.path.join(folder, 'exported', 'frozen_inference_graph.pb'), os.path.join(folder, 'unfrozen'))
    return made, made.saved_model


# (name of the picture, heading, what it shows, command, function that makes the SavedModel), in the order in which they run.
_EXAMPLES = (
    ('exported', 'An export', 'The SavedModel holds the moving averages of the checkpoint, as the config asks.',
     'export_inference_graph --config {} --checkpoint {} --output exported --verify'.format(_CONFIG, _SHAPES), _export),
    ('raw', 'Raw weights', 'The same checkpoint without its moving averages. The boxes look the same and the scores differ, so an '
     'exporter that takes the wrong weights is not found by looking at pictures. `od-patch verify` finds it.',
     'export_inference_graph --config {} --checkpoint {} --output raw --artifacts=saved_model \\\n'
     '    --override="eval_config {{ use_moving_averages: false }}"'.format(_CONFIG, _SHAPES), _raw),
    ('unfrozen', 'From a frozen graph alone', 'The variables of this SavedModel come from `frozen_inference_graph.pb` of the '
     'first export. It detects what the first picture shows, with the same scores.',
     'od-patch unfreeze exported/frozen_inference_graph.pb --output unfrozen', _unfrozen),
)


def _facts(report):
    """Returns what a run made, in words."""
    if isinstance(report, od_patch.ExportReport):
        return 'exporter {}, TensorFlow {}: {} of step {}, {} variables, {:.1f} MB'.format(
            report.release, report.tensorflow, report.weights, report.step, report.variables, report.variable_bytes / 1e6)
    return '{} variables, {:.1f} MB'.format(len(report.variables), report.bytes / 1e6)


def _proof(report):
    """Returns what the proof of a run found, in words; '' where nothing was run."""
    proof = report.proof
    return '{}: {}'.format(proof.verdict, ', '.join(
        '{} {}'.format(count, status) for status, count in proof.counts.items() if count)) if proof else ''


def run():
    """Runs all examples; writes the pictures and what the runs made."""
    os.chdir(_ROOT)
    os.makedirs(FOLDER, exist_ok=True)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for name, _, _, _, make in _EXAMPLES:
            report, saved_model = make(folder)
            sheet = os.path.join(folder, name + '.png')
            subprocess.check_call([sys.executable, os.path.join(_SHAPES, 'demo.py'), '--saved_model', saved_model,
                                   '--output', sheet], stdout=subprocess.DEVNULL)
            _shrink(sheet, os.path.join(FOLDER, name + '.jpg'))
            runs.append(collections.OrderedDict([('name', name), ('made', _facts(report)), ('proof', _proof(report))]))
    with open(RUNS, 'w', encoding='utf-8', newline='\n') as file:
        file.write(json.dumps(runs, indent=2) + '\n')


def _shrink(picture, to):
    """Writes a picture smaller: the page loads quickly, and the repository stays small."""
    from PIL import Image
    sheet = Image.open(picture).convert('RGB')
    sheet.resize((_WIDTH, sheet.height * _WIDTH // sheet.width), Image.LANCZOS).save(to, quality=_QUALITY, optimize=True)


def page(runs):
    """Returns the text of the page.

    Args:
        runs: list of dict, as ``run`` writes them.
    """
    parts = [_INTRODUCTION]
    for (name, heading, text, command, _), made in zip(_EXAMPLES, runs):
        assert made['name'] == name, 'python -m tools.gallery runs them'
        proof = 'Proof: {}.'.format(made['proof']) if made['proof'] else ''
        parts.append('## {}\n\n```sh\n{}\n```\n\n{}\n\n![{}](gallery/{}.jpg)\n\n*{}. {}*\n'.format(
            heading, command, text, 'six drawings of shapes, each shape boxed and labelled with its score', name, made['made'],
            proof).replace('. *\n', '.*\n'))
    return '\n'.join(parts)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--page', action='store_true', help='write the page alone')
    if not parser.parse_args(arguments).page:
        run()
    with open(RUNS, encoding='utf-8') as file:
        runs = json.load(file, object_pairs_hook=collections.OrderedDict)
    with open(PAGE, 'w', encoding='utf-8', newline='\n') as file:
        file.write(page(runs))


if __name__ == '__main__':
    main()
