"""What the engines are given: the shapes detector, and a folder of images as they are in life."""
import io
import os
import shutil

import numpy
import pytest
from PIL import Image

import od_patch
from tests.support import exports
from tests.support import needs
from tests.support import shapes

_SIZES = [(160, 160), (200, 150), (150, 200)]  # width and height


@pytest.fixture(scope='session')
def export(tmp_path_factory):
    """An export of the shapes detector with its label map, made under TensorFlow 1.12."""
    output = str(tmp_path_factory.mktemp('exported') / 'export')
    python = needs.python('OD_PATCH_TF1_PYTHON', 'TensorFlow 1; "tox run -e py36-tf112-AB" makes one')
    result = exports.run(
        ['-m', 'od_patch.export_inference_graph', '--pipeline_config_path=' + shapes.CONFIG,
         '--trained_checkpoint_prefix=' + shapes.FOLDER, '--output_directory=' + output, '--artifacts=saved_model',
         '--label_map_path=' + shapes.LABEL_MAP], python=python)
    assert result.exit_code == 0, result.stderr[-2000:]
    return output


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """A folder: drawings of three sizes as PNG and JPEG, also in a folder below it, an empty folder, three broken files."""
    folder = tmp_path_factory.mktemp('images')
    (folder / 'empty').mkdir()
    (folder / 'more').mkdir()
    sheet = Image.open(os.path.join(shapes.FOLDER, '..', '..', 'docs', 'shapes.png')).convert('RGB')
    for number in range(12):
        # The sheet has six drawings, 332 pixels from each other.
        left, top = 12 + number % 3 * 332, 12 + number // 3 % 2 * 332
        drawing = sheet.crop((left, top, left + 320, top + 320)).resize(_SIZES[number % 3 - number // 6])
        name = '{}.{}'.format(number, 'png' if number % 4 else 'jpg')
        drawing.save(str((folder / 'more' if number % 2 else folder) / name))
    whole = io.BytesIO()
    Image.fromarray(numpy.random.RandomState(1).randint(0, 256, (64, 64, 3)).astype('u1')).save(whole, 'PNG')
    (folder / 'no image.jpg').write_bytes(b'<html>404</html>')
    (folder / 'more' / 'cut.png').write_bytes(whole.getvalue()[:len(whole.getvalue()) // 2])
    (folder / 'empty.png').write_bytes(b'')
    yield str(folder)
    shutil.rmtree(str(folder))


@pytest.fixture(scope='session')
def expected(export, images):
    """{path below the folder: row}, by this process alone, image by image."""
    found = {}
    with od_patch.Detector(export, min_score=0.5) as detector:
        for place, _, names in os.walk(images):
            for name in names:
                path = os.path.join(place, name)
                with open(path, 'rb') as file:
                    row, = detector.detect([(path, file.read())])
                found[os.path.relpath(path, images)] = row
    return found
