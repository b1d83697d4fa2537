"""Where the tests get the Object Detection API from, and what they share.

The folder ``research`` comes from ``--models-research`` or ``OD_PATCH_MODELS_RESEARCH``
(a real checkout), else it is assembled from packages of the index, vintage
``--vintage`` or ``OD_PATCH_VINTAGE`` (A, B, C or D; default C on TensorFlow 1 and D on TensorFlow 2).
"""
import os
import signal
import sys

import hypothesis
import pytest

from od_patch import legacy
from tests.support import checkpoints
from tests.support import exports
from tests.support import garbage
from tests.support import needs
from tests.support import results

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The same examples in each run, so that what passes here passes elsewhere. Others are drawn where somebody looks for more.
# How long drawing them takes says nothing of the code, on a machine that others use, too.
_AS_LONG_AS_IT_TAKES = dict(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile('steady', derandomize=True, **_AS_LONG_AS_IT_TAKES)
hypothesis.settings.register_profile('drawn', **_AS_LONG_AS_IT_TAKES)
hypothesis.settings.load_profile(os.environ.get('OD_PATCH_EXAMPLES', 'steady'))

# What is exported with AutoGraph on: it takes as long as the rest of an export, and other models have the same code.
_CONVERTED = [('ssd', 'plain', ()), ('faster_rcnn', 'plain', ())]


def pytest_addoption(parser):
    parser.addoption('--models-research', default=os.environ.get('OD_PATCH_MODELS_RESEARCH'),
                     help='the folder research of a real checkout of the models repo, with compiled protos')
    parser.addoption('--vintage', choices=['A', 'B', 'C', 'D'],
                     help='of the OD API from the package index; as OD_PATCH_VINTAGE, which is looked at without')


def pytest_configure(config):
    """Puts the OD API on the path of this process and of those that the tests start."""
    garbage.look_seldom()
    # A script's `&` has it ignored in all that it starts; tests send it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get('OD_PATCH_RESULTS') and not hasattr(config, 'workerinput'):
        config.pluginmanager.register(results.Results(os.environ['OD_PATCH_RESULTS']))
    try:
        import tensorflow
    except ImportError:
        if needs.nothing_may_be_missing():
            raise
        return  # the tests that need it say so
    if config.getoption('--vintage'):
        os.environ['OD_PATCH_VINTAGE'] = config.getoption('--vintage')
    given = config.getoption('--models-research')
    if given:
        entries = [os.path.abspath(given), os.path.join(os.path.abspath(given), 'slim')]
    else:
        vintage = os.environ.setdefault('OD_PATCH_VINTAGE', 'C' if tensorflow.__version__.startswith('1.') else 'D')
        entries = exports.research(vintage)
    sys.path[:0] = entries
    os.environ['PYTHONPATH'] = os.pathsep.join(
        entries + [_ROOT] + [entry for entry in [os.environ.get('PYTHONPATH')] if entry])
    os.environ['OD_PATCH_TEST_RESEARCH'] = entries[0]


def pytest_collection_modifyitems(config, items):
    """Leaves out what can never run here, so that each skip that is printed is news.

    That is what a ``skipif`` says, such as another TensorFlow; what is missing and could be here is for ``needs`` to
    say. The slow pairs of real exports are left to the environment that asks for them, by ``-m pairs``.
    """
    pairs = 'pairs' in (config.getoption('markexpr') or '')
    never = [item for item in items if any(mark.args[0] for mark in item.iter_markers('skipif')) or
             item.get_closest_marker('pairs') and not pairs]
    config.hook.pytest_deselected(items=never)
    left_out = set(never)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def tf1_behaviour():
    """On TensorFlow 2, what an export runs in: the bridges, graph mode and TensorFlow 1's defaults."""
    with legacy.on(), legacy.tf1_behaviour():
        yield


@pytest.fixture(scope='session')
def research():
    """The folder ``research`` of the OD API under test."""
    return os.environ['OD_PATCH_TEST_RESEARCH']


@pytest.fixture(scope='session')
def checkpoint_of(tmp_path_factory):
    """A function from (config name, form) to a checkpoint prefix; each model is built once.

    Of images with other channels than three there is the plain form only.
    """
    folders = {}

    def get(config, form='plain', channels=3):
        # The models of two stages are large, and few tests want another form of one.
        forms = () if config == 'ssd' and channels == 3 else (form,)
        key = (config, channels) + forms
        if key not in folders:
            folder = str(tmp_path_factory.mktemp('checkpoints_' + config))
            if channels == 3:
                result = exports.fork('tests.support.checkpoints', [exports.config_path(config), folder] + list(forms))
                assert result.exit_code == 0, result.stderr[-3000:]
            else:
                checkpoints.write_with_channels(get(config), folder, channels)
            folders[key] = folder
        return checkpoints.prefix_of(folders[key], form)

    return get


@pytest.fixture(scope='session')
def upstream_export(tmp_path_factory, checkpoint_of):
    """A function that exports with the release's own, unpatched script; each export is made once.

    Plain checkpoints of an SSD and of Faster R-CNN are exported with AutoGraph on, as the release does.
    """
    made = {}

    def export(config, form='plain', **flags):
        key = (config, form, tuple(sorted(flags.items())))
        if key not in made:
            made[key] = exports.upstream(
                exports.config_path(config), checkpoint_of(config, form),
                str(tmp_path_factory.mktemp('upstream') / 'export'),
                _environment={'OD_PATCH_AUTOGRAPH': '1'} if key in _CONVERTED else None, **flags)
        return made[key]

    return export
