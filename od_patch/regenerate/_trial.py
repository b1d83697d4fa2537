"""One candidate: the release's own exporter, run on one state of the code in one environment, and compare's verdict.

Nothing of od-patch takes part in the export. Not for: which candidate; that is ``_search``.
"""
import hashlib
import os
import shutil
import time

from od_patch import _errors
from od_patch import _text
from od_patch.compare import _verdict
from od_patch.regenerate import _environments
from od_patch.regenerate import _search
from od_patch.releases import _releases
from od_patch.terminal import _stages

FROZEN = 'frozen_inference_graph.pb'
_RANKS = {_verdict.IDENTICAL: _search.IDENTICAL, _verdict.EQUIVALENT: _search.EQUIVALENT, _verdict.SAME_WEIGHTS: 2,
          _verdict.DIFFERENT_WEIGHTS: 3, _verdict.NOT_COMPARABLE: 4}
_SCRIPT = 'object_detection/export_inference_graph.py'


class Trial:
    """What came of a candidate.

    Attributes:
        state: ``State``; environment: str, its name; tensorflow, python: str.
        outcome: ``Outcome``; verdict: str, of compare, or ``failed``; failure: str; seconds: float.
    """

    def __init__(self, state, tensorflow, python):
        self.state, self.tensorflow, self.python = state, tensorflow, python
        self.outcome = self.answer = None
        self.verdict, self.failure, self.seconds = 'failed', '', 0.0


class Bench:
    """Where candidates are tried.

    Attributes:
        trials: list of ``Trial``, in the order in which they were made.
        best: the nearest of them, or None; folder: str, where its export lies.
        made: list of names of environments that were made.

    Args:
        plan: ``Plan``; clone: ``Clone``; cache: ``Cache``.
        like: str, the shipped graph; checkpoint: str, prefix; config: str, path; flags: dict of flag -> value.
        work: str, a folder of its own. say: function of a line, told each trial.
    """

    def __init__(self, plan, clone, cache, like, checkpoint, config, flags, work, say):
        self._plan, self._clone, self._cache, self._like = plan, clone, cache, like
        self._checkpoint, self._config, self._flags = os.path.abspath(checkpoint), os.path.abspath(config), flags
        self._work, self._say = work, say
        self._environments, self._names = {}, None
        self.trials, self.best, self.made = [], None, []
        self.folder = os.path.join(work, 'best')

    def ask(self, state, place):
        """The ``Outcome`` of the state at a position of the plan in an environment, (TensorFlow, Python)."""
        trial = Trial(self._plan.states[state], *place)
        began = time.time()
        try:
            self._export_and_compare(trial)
        except _errors.ODPatchError as error:
            trial.failure = str(error)
            # Two failures of one reason are one, whatever the paths in their words.
            trial.outcome = _search.Outcome(None, ('failed', error.problem.splitlines()[-1]))
        trial.seconds = time.time() - began
        self.trials.append(trial)
        self._say(line(len(self.trials), trial))
        return trial.outcome

    def _export_and_compare(self, trial):
        environment = self.environment(trial.tensorflow, trial.python)
        research = self.research(trial.state.commit, environment)
        _stages.stage('export {}: {} on {}'.format(len(self.trials) + 1, trial.state.commit[:8], environment.name))
        folder = os.path.join(self._work, 'export')
        shutil.rmtree(folder, ignore_errors=True)
        code, output = environment.run(self.arguments(folder), research, [research, os.path.join(research, 'slim')])
        if code or not os.path.isfile(os.path.join(folder, FROZEN)):
            raise _errors.InputRefused('The exporter of {} failed on {}: {}'.format(
                trial.state.commit[:8], environment.name, _environments.last_lines(output, 6) or
                'it wrote no {}'.format(FROZEN)))
        answer = _verdict.compare(self._like, os.path.join(folder, FROZEN))
        trial.verdict = answer.verdict
        trial.outcome = _search.Outcome(distance(answer), digest(answer.sources[1].graph_def))
        if self.best is None or trial.outcome.distance < self.best.outcome.distance:
            trial.answer = answer
            shutil.rmtree(self.folder, ignore_errors=True)
            os.rename(folder, self.folder)
            if self.best is not None:
                self.best.answer = None  # of tens of graphs, memory holds one
            self.best = trial

    def arguments(self, output):
        """What the Python of an environment is given, from within ``research``."""
        flags = dict({'input_type': 'image_tensor'}, pipeline_config_path=self._config,
                     trained_checkpoint_prefix=self._checkpoint, output_directory=output)
        flags.update(self._flags)
        return [_SCRIPT] + ['--{}={}'.format(*row) for row in sorted(flags.items())]

    def environment(self, tensorflow, python):
        """The ``Environment``, made where it is not there.

        Raises:
            od_patch.EnvironmentRefused: it cannot be made; said once more for each that asks, and not tried again.
        """
        key = (tensorflow, python)
        if key not in self._environments:
            try:
                self._environments[key] = self._environment(*key)
            except _errors.ODPatchError as error:
                self._environments[key] = error
        found = self._environments[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _environment(self, tensorflow, python):
        there = self._plan.given_environment(tensorflow, python) or _environments.kept(self._cache, tensorflow, python)
        if there:
            return there
        _stages.stage('environment {}'.format(_environments.name_of(tensorflow, python)))
        made = _environments.make(self._cache, tensorflow, python, self._plan.available[python])
        self.made.append(made.name)
        return made

    def research(self, commit, environment):
        """The folder ``research`` of a commit, its protos compiled; the cache keeps it."""
        def fill(folder):
            self._clone.write(commit, folder)
            others = [row for row in self._environments.values() if isinstance(row, _environments.Environment)]
            _environments.compile_protos(os.path.join(folder, 'research'), [environment] + others + self._kept())
            return {'commit': commit}
        if not self._cache.has('revisions', commit):
            _stages.stage('revision {}'.format(commit[:8]))
        return os.path.join(self._cache.ensure('revisions', commit, fill), 'research')

    def _kept(self):
        found = []
        for name in self._cache.names('environments'):
            facts = self._cache.facts('environments', name)
            if facts.get('tensorflow') and facts.get('python'):
                found.append(_environments.kept(self._cache, facts['tensorflow'], facts['python']))
        return [row for row in found if row]


def flags_of(provenance):
    """Flags of the exporter that the shipped graph tells: the type of its input, and its shape where it is closed."""
    settings = {key: setting.value for key, setting in provenance.settings.items()}
    flags = {}
    if settings.get('input_type') in ('image_tensor', 'encoded_image_string_tensor', 'tf_example'):
        flags['input_type'] = settings['input_type']
    parts = str(settings.get('input_shape', '')).split('×')
    if flags.get('input_type') == 'image_tensor' and len(parts) == 4 and any(part.isdigit() for part in parts[:3]):
        flags['input_shape'] = ','.join('-1' if part == '?' else part for part in parts)
    return flags


def distance(answer):
    """How far the second graph of an ``Answer`` is from the first: the verdict, then places that differ, then names."""
    names = [{node.name for node in source.graph_def.node} for source in answer.sources]
    other_names = len(names[0] ^ names[1])
    places = sum(map(len, answer.alignment.frontier)) if answer.alignment is not None else 0
    return _RANKS[answer.verdict], places, other_names


def digest(graph_def):
    """The same for graphs whose nodes are the same, whatever their order and devices."""
    rows = []
    for node in graph_def.node:
        copy = type(node).FromString(node.SerializeToString())
        copy.device = ''
        rows.append((node.name, hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()))
    return hashlib.sha256(repr(sorted(rows)).encode('utf-8')).hexdigest()


def called(state):
    """'1efe98bb of 2018-02-09', with the name of the release whose exporter it has, where that has one."""
    release = _releases.find(state.exporter)
    name = release.name if release and release.name.startswith('r') else ''
    return '{} of {}{}'.format(state.commit[:8], state.date, ', the exporter of ' + name if name else '')


def line(number, trial):
    """A trial in one line."""
    told = trial.verdict
    if trial.failure:
        told = 'failed: ' + _text.plain(trial.failure.splitlines()[-1])[:100]
        for text in trial.failure.splitlines():
            if text.startswith(('The environment', 'The protos', 'Nothing here', 'TensorFlow ')):
                told = 'failed: ' + _text.plain(text)[:160]
    elif trial.outcome.distance[1]:
        told += ', {} places'.format(trial.outcome.distance[1])
    elif trial.outcome.distance[2]:
        told += ', {} other names'.format(trial.outcome.distance[2])
    return '{:>3}  {}, TensorFlow {}, Python {}: {} ({:.0f} s)'.format(
        number, called(trial.state), trial.tensorflow, trial.python, told, trial.seconds)
