"""Which release made a graph, found in a history of the vintages, by their own exporters on TensorFlow 1.12 and 1.15."""
import os
import shutil
import sys

import pytest

from tests.compare import pairs
from tests.compare.test_bad_input import od_patch
from tests.regenerate import repositories
from tests.support import exports

pytest.importorskip('tensorflow')
pytestmark = pytest.mark.pairs


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """(path of a clone, {vintage: commit})"""
    folder = tmp_path_factory.mktemp('history') / 'models'
    return str(folder), repositories.of_vintages(folder)


@pytest.mark.parametrize('vintage, release, neighbours', [('B', '1.12', False), ('C', '1.15', True)])
def test_the_release_that_made_a_graph_is_found(models, checkpoint_of, tmp_path, vintage, release, neighbours):
    clone, commits = models
    pythons = {version: pairs.python_with(version) for version in ('1.12', '1.15')}
    checkpoint = checkpoint_of('ssd', 'plain')
    shipped = pairs.export(pythons[release], vintage, exports.config_path('ssd'), checkpoint, tmp_path / 'shipped')
    like = os.path.join(shipped, 'frozen_inference_graph.pb')
    if not neighbours:
        like = shutil.copy(like, str(tmp_path / 'handed_over.pb'))
    flags = ['--python={}={}'.format(*row) for row in pythons.items()]
    code, out, err = od_patch('regenerate', '--checkpoint', checkpoint, '--pipeline_config', exports.config_path('ssd'),
                              '--like', like, '--models_repo', clone, '--cache', tmp_path / 'cache',
                              '--output_directory', tmp_path / 'out', *flags)
    assert code == 0, out + err
    assert out.splitlines()[-1].startswith('identical: ')
    page = (tmp_path / 'out' / 'regenerate.md').read_text(encoding='utf-8')
    assert 'git -C models checkout ' + commits[vintage] in page and 'TensorFlow {}.'.format(release) in page
    assert sorted(os.listdir(str(tmp_path / 'out'))) == sorted(os.listdir(shipped) + ['regenerate.md', 'compare.html'])
    assert sys.executable in page or release == '1.15'
