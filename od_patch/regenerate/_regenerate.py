"""Finds the release and the TensorFlow that made a graph, in a clone of the models repo; the search, start to end.

Not for: exporting with the release that is installed, which is ``_installed``.
"""
import os
import shutil
import tempfile

from od_patch import _errors
from od_patch import _text
from od_patch.checkpoint import _checkpoint
from od_patch.compare import _causes
from od_patch.compare import _page
from od_patch.compare import _provenance
from od_patch.compare import _report
from od_patch.regenerate import _cache
from od_patch.regenerate import _clone
from od_patch.regenerate import _environments
from od_patch.regenerate import _plan
from od_patch.regenerate import _recipe
from od_patch.regenerate import _search
from od_patch.regenerate import _trial
from od_patch.staging import _staging
from od_patch.terminal import _stages

PAGE, RECIPE = 'compare.html', 'regenerate.md'


class Request:
    """What the user asks for.

    Attributes:
        checkpoint, config, like, clone: str, paths; cache: str or None; output: str or None.
        pythons: list of str, ``VERSION=PATH``; most: int, how many exports at the most.
    """

    def __init__(self, checkpoint, config, like, clone, cache=None, output=None, pythons=(), most=30):
        self.checkpoint, self.config, self.like, self.clone = checkpoint, config, like, clone
        self.cache, self.output, self.pythons, self.most = cache or _cache.default(), output, pythons, most


def plan(request):
    """(``Plan``, ``Clone``, flags of the exporter) of a ``Request``; nothing is written or downloaded.

    Raises:
        od_patch.ODPatchError: something of it cannot be used.
    """
    _refuse_taken(request.output)
    if not os.path.isfile(request.config):
        raise _errors.InputRefused('There is no pipeline config {}.'.format(request.config),
                                   'Give the one that the graph was shipped with.')
    cache = _cache.Cache(request.cache)
    clone = _clone.Clone(request.clone)
    given = _environments.given(request.pythons)
    _stages.stage('the shipped graph')
    source, _, provenance = _provenance.inspect(request.like)
    _stages.stage('history of the clone')
    made = _plan.make(provenance, {node.name for node in source.graph_def.node}, clone, given, cache,
                      _environments.pythons())
    return made, clone, _trial.flags_of(provenance)


def describe(made, clone, flags):
    """List of lines: what was read, what comes into question, what would be downloaded."""
    provenance, states = made.provenance, made.states
    lines = ['The graph says:',
             '  TensorFlow {}'.format(_report.tensorflow(provenance)),
             '  OD API {}'.format(_report.od_api(provenance)),
             '  Python: {}'.format(made.why_python),
             'In {} come into question {} of {} states of the code, {} to {}.'.format(
                 clone.path, len(states), made.of_clone, _trial.called(states[0]), _trial.called(states[-1])),
             '  The first to be tried is {}.'.format(_trial.called(states[made.first]))]
    if made.absent:
        lines.append('  Not in this clone: {}.'.format(', '.join(made.absent)))
    if flags:
        lines.append('Flags that the graph tells: {}'.format(_text.command(
            '--{}={}'.format(*row) for row in sorted(flags.items()))))
    lines.append('Environments:')
    words = {'given': 'given', 'kept': 'in the cache',
             'to make': 'to make: some {} MB, of which 50 to 200 are downloaded'.format(_environments.MEGABYTES),
             'no Python': 'cannot be made: there is no Python {}, which  pyenv install {}  brings'}
    for tensorflow, python, how in made.environments():
        lines.append('  {}: {}'.format(_environments.name_of(tensorflow, python), words[how].format(python, python)))
        if how == 'to make':
            lines.append('    pip install ' + _text.command(_environments.packages(tensorflow, python)))
    lines.append('An environment is made when it is tried. The cache is {}.'.format(made.cache.folder))
    return lines


def search(request, made, clone, flags, say):
    """Looks for the nearest candidate; returns the ``Bench``, whose folder is gone where ``request.output`` took it.

    Args:
        made, clone, flags: what ``plan`` returned; say: function of a line, told what was tried.

    Raises:
        od_patch.InputRefused: no candidate gave a graph.
    """
    checkpoint = _checkpoint.resolve(request.checkpoint)
    work = tempfile.mkdtemp(prefix='od-patch-regenerate-')
    try:
        with made.cache.used():
            bench = _trial.Bench(made, clone, made.cache, request.like, checkpoint, request.config, flags, work, say)
            axes, likeliest = _axes(made)
            begin = next((number for number, place in enumerate(axes[0])
                          if place[0] == made.tensorflows[made.first_tensorflow]), 0)
            _search.find(len(made.states), made.first, axes, begin, bench.ask, request.most,
                         hopeless=not likeliest)
            if bench.best is None:
                raise _errors.InputRefused(
                    'No candidate exported; {} were tried. The last one: {}'.format(
                        len(bench.trials), bench.trials[-1].failure),
                    'The pipeline config may be one that none of these revisions reads, or the environments could not '
                    'be made.')
            _stages.stage('report')
            bench.left = left(made, bench)
            if request.output:
                _write(request, made, bench, flags, clone)
        return bench
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _axes(made):
    """(lists of places, one for each Python, the likeliest first; whether the likeliest of all is among them)."""
    rows = made.combinations()
    axes = []
    for python in made.pythons:
        axis = [(tensorflow, python) for tensorflow, other, _ in rows if other == python]
        # The names of 3.7 are those of 3.6.
        if axis and not (python == '3.7' and any(place[1] == '3.6' for row in axes for place in row)):
            axes.append(axis)
    return axes, bool(axes) and axes[0][0][1] == made.pythons[0] or made.pythons[0] != '2.7'


def left(made, bench):
    """List of sentences: what still differs between the shipped graph and the nearest, and why; may be empty."""
    trial = bench.best
    if trial.outcome.distance[0] == _search.IDENTICAL:
        return []
    found = []
    if made.pythons[0] == '2.7' and trial.python != '2.7':
        found.append('The names are those of Python 2 ({}); {}.'.format(
            made.why_python, 'there is no Python 2.7 here, which  pyenv install 2.7  brings' if '2.7' not in
            made.available else 'its environment could not be tried'))
    if trial.outcome.distance[0] == _search.EQUIVALENT:
        found.append('{} names of nodes are on one side only; the computation is the same.'.format(
            trial.outcome.distance[2]))
    for cause in trial.answer.causes[:12]:
        found.append('{}{}{}'.format(
            cause.title, ' ({})'.format(cause.option) if cause.option else '',
            ': ' + ' against '.join(map(_causes.show, cause.values)) if cause.values else ''))
    if made.absent:
        found.append('The clone has none of the revisions {}.'.format(', '.join(made.absent)))
    for row in bench.trials:
        if row.failure.startswith('The environment'):
            found.append(row.failure.splitlines()[0])
    return list(dict.fromkeys(found))


def _write(request, made, bench, flags, clone):
    """The export with the recipe and the page of the verdict, moved into place whole."""
    with _staging.staged(request.output, check=lambda: _refuse_taken(request.output)) as staged:
        for name in sorted(os.listdir(bench.folder)):
            shutil.move(os.path.join(bench.folder, name), os.path.join(staged.export, name))
        bench.best.answer.sources[1].path = os.path.join(request.output, _trial.FROZEN)
        with open(os.path.join(staged.export, RECIPE), 'w', encoding='utf-8', newline='\n') as file:
            file.write(_recipe.page(made, bench, {
                'like': request.like, 'checkpoint': request.checkpoint, 'config': request.config, 'flags': flags,
                'clone': clone.path, 'left': bench.left}))
        _page.write(bench.best.answer, os.path.join(staged.export, PAGE))


def _refuse_taken(output):
    if output and os.path.lexists(output):
        raise _errors.OutputRefused('{} is there already.'.format(output), 'Give another --output_directory.')
    if output:
        _staging.check_writable(output)
