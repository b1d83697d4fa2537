"""The same images through SavedModel and frozen graph: first with the optimizations off, then with the defaults.

With them off, the two are one computation, and every bit must be the same. With
the defaults TensorFlow folds constants in the one and cannot in the other, so
the last bits differ: detections are paired by box and class, and what is left
is reported.

Not for: saying which weight is wrong (``_variables``).
"""
import collections

import numpy

from od_patch._errors import InputRefused
from od_patch.graphs import _models
from od_patch.graphs import _sessions
from od_patch.proof import _answer
from od_patch.proof import _matching
from od_patch.proof._answer import Check

_PART = 'outputs'
OFF, DEFAULTS = 'unoptimized', 'defaults'
_LAST_DIGITS = 1e-3  # of scores and boxes, both between 0 and 1

_BOXES, _SCORES, _CLASSES, _COUNT = 'detection_boxes', 'detection_scores', 'detection_classes', 'num_detections'

Row = collections.namedtuple('Row', ['name', 'shape', 'equal', 'differing', 'elements', 'largest', 'mean', 'values',
                                     'note'])
Row.__doc__ = """One output over all images of a run.

Attributes:
    name: str; shape: list of int, of the first batch.
    equal: bool, bit for bit, type and shape included.
    differing, elements: int: of those that were compared.
    largest, mean: float: absolute difference; None where shapes or types differ.
    values: list of float, the largest difference of each detection (or image), for plotting.
    note: str, such as other shapes, or which output it equals instead.
"""


class Run:
    """Both models on the same images, in one way.

    Attributes:
        mode: ``OFF`` or ``DEFAULTS``; batch: int; input_type: str.
        rows: list of ``Row``; failures: dict of label -> str.
        matchings: list of ``_matching.Matching``, one an image; empty where there are no detections to pair.
        detections: list of pairs of dicts (boxes, scores, classes), one an image.
        images: int, how many ran; first_dims: dict of output -> set of first dimensions by the SavedModel.
    """

    def __init__(self, mode, batch, input_type):
        self.mode, self.batch, self.input_type = mode, batch, input_type
        self.rows, self.failures, self.matchings, self.detections = [], {}, [], []
        self.images, self.first_dims = 0, {}

    def paired(self):
        """Counts of detections: dict of 'left', 'right', 'pairs', 'swapped', 'moved', 'alone'."""
        total = collections.OrderedDict((key, 0) for key in ('left', 'right', 'pairs', 'swapped', 'moved', 'alone'))
        for one in self.matchings:
            total['left'] += one.counts[0]
            total['right'] += one.counts[1]
            total['pairs'] += len(one.pairs)
            total['swapped'] += one.swapped
            total['moved'] += one.moved
            total['alone'] += len(one.alone[0]) + len(one.alone[1])
        return total

    def as_json(self):
        return collections.OrderedDict([
            ('mode', self.mode), ('batch', self.batch), ('input_type', self.input_type), ('images', self.images),
            ('failures', self.failures),
            ('detections', self.paired() if self.matchings else None),
            ('outputs', [collections.OrderedDict([
                ('name', row.name), ('shape', row.shape), ('equal', row.equal), ('differing', row.differing),
                ('elements', row.elements), ('largest', row.largest), ('mean', row.mean), ('note', row.note)])
                for row in self.rows])])


def check(servable, frozen, pictures):
    """Returns (list of ``Check``, list of ``Run``).

    Args:
        servable: ``Servable`` or None; frozen: ``GraphDef`` or None; pictures: list of ``Picture``.
    """
    if servable is None or frozen is None:
        return [_skipped('outputs', 'there is no {} to run'.format(
            'SavedModel' if servable is None else 'frozen graph'))], []
    try:
        model_input, sides = _models.inputs_of(servable)
    except InputRefused as error:
        return [_skipped('outputs', 'not run: {}'.format(error.problem))], []
    checks, runs = [], []
    if sides:
        checks.append(Check(_PART, 'side inputs', _answer.NOTE, 'made-up numbers for {}'.format(
            _answer.few([side.name.split(':')[0] for side in sides]))))
    batches = _batches(model_input, pictures)
    for mode, config in ((OFF, _sessions.unoptimized_config()), (DEFAULTS, _sessions.default_config())):
        both = _run_both(mode, config, servable, frozen, (model_input, sides), batches)
        runs += both
        checks += [_judge(run, any(one.batch == 1 and one.failures for one in both)) for run in both]
    if model_input.shape and model_input.shape[0]:
        checks.append(_skipped('batch of 2', 'the input takes batches of {} only'.format(model_input.shape[0])))
    return checks, runs


def signatures(servable, pictures):
    """Returns a list of ``Check``: whether further signatures that take images answer as the one that is served does.

    Args:
        servable: ``Servable``; pictures: list of ``Picture``.
    """
    others = sorted(set(servable.meta_graph.signature_def) - {servable.signature_key})
    inputs = collections.OrderedDict()
    for key in [servable.signature_key] + others:
        try:
            inputs[key] = _models.input_of(servable.of(key))
        except InputRefused:
            pass  # it takes no images
    if servable.signature_key not in inputs or len(inputs) == 1:
        return []
    fitted = [_models.fitted(inputs[servable.signature_key], picture) for picture in pictures]
    found = {}
    for key, model_input in inputs.items():
        try:
            with _models.saved_model(servable.of(key), _sessions.unoptimized_config()) as model:
                (_, groups), = _batches(model_input, fitted)[:1]
                found[key] = [model.run(value) for value, _ in groups]
        except _models.Failure as error:
            found[key] = error
    return [_judge_signature(key, servable.signature_key, found) for key in inputs if key != servable.signature_key]


def restored(servable, function, pictures):
    """Returns the ``Check`` of the SavedModel against the restored model of TensorFlow 2 that it was exported from.

    Args:
        servable: ``Servable``; pictures: list of ``Picture``.
        function: concrete function of a batch, which returns a dict of tensors or one tensor.
    """
    name = 'restored model'
    try:
        model_input = _models.input_of(servable)
    except InputRefused as error:
        return _skipped(name, 'not run: {}'.format(error.problem))
    (_, groups), = _batches(model_input, pictures)[:1]
    try:
        with _models.saved_model(servable, _sessions.unoptimized_config()) as model:
            ours = [model.run(value) for value, _ in groups]
        theirs = [_models.run_eagerly(function, value) for value, _ in groups]
    except _models.Failure as error:
        return Check(_PART, name, _answer.WRONG, 'it cannot be run beside the SavedModel: {}'.format(error))
    shared = sorted(set(ours[0]) & set(theirs[0]))
    apart = [key for key in shared if not all(_same_bits(one[key], other[key]) for one, other in zip(ours, theirs))]
    if apart or not shared:
        return Check(_PART, name, _answer.WRONG, 'the SavedModel does not answer as it does, in {}'.format(
            _answer.few(apart) if shared else 'any output'), tuple('{}: by {:.3g} at most'.format(key, max(
                _largest(_difference(one[key], other[key])) if one[key].shape == other[key].shape else float('inf')
                for one, other in zip(ours, theirs))) for key in apart))
    return Check(_PART, name, _answer.OK, 'all {} of the SavedModel are equal to its, bit for bit ({})'.format(
        _answer.number(len(shared), 'output'), _answer.number(len(pictures), 'image')))


def _judge_signature(key, default, found):
    name = 'signature {}'.format(key)
    for failed in (key, default):
        if isinstance(found[failed], _models.Failure):
            return Check(_PART, name, _answer.WRONG, '{} fails: {}'.format(failed, found[failed]))
    shared = sorted(set(found[key][0]) & set(found[default][0]))
    if not shared:
        return _skipped(name, 'it has no output in common with {}'.format(default))
    apart = [output for output in shared if not all(
        _same_bits(one[output], other[output]) for one, other in zip(found[key], found[default]))]
    if apart:
        return Check(_PART, name, _answer.WRONG, 'it does not answer as {} does, in {}'.format(
            default, _answer.few(apart)), tuple(apart))
    return Check(_PART, name, _answer.OK, 'all {} are equal to those of {}, bit for bit'.format(
        _answer.number(len(shared), 'output'), default))


def _skipped(name, text):
    return Check(_PART, name, _answer.SKIPPED, text)


def _batches(model_input, pictures):
    """List of (batch size, list of (fed value, how many images of it count))."""
    fixed = model_input.shape[0] if model_input.shape else (None if model_input.shape is None else 1)
    if fixed:
        groups = [pictures[start:start + fixed] for start in range(0, len(pictures), fixed)]
        groups = [(group + [group[-1]] * (fixed - len(group)), len(group)) for group in groups]
        return [(fixed, [(_models.batch_of(model_input, group), count) for group, count in groups])]
    pairs = [pictures[start:start + 2] for start in range(0, len(pictures), 2)]
    pairs = [pair for pair in pairs if len(pair) == 2] or [[pictures[0], pictures[0]]]
    return [(1, [(_models.batch_of(model_input, [picture]), 1) for picture in pictures]),
            (2, [(_models.batch_of(model_input, pair), 2) for pair in pairs])]


def _run_both(mode, config, servable, frozen, inputs, batches):
    """List of ``Run``, one a batch size; one model is loaded at a time."""
    found = {}
    model_input, sides = inputs
    contexts = collections.OrderedDict([
        ('SavedModel', lambda: _models.saved_model(servable, config, model_input, sides)),
        ('frozen graph', lambda: _models.frozen_graph(frozen, servable, model_input, config, sides))])
    for label, load in contexts.items():
        try:
            with load() as model:
                for batch, groups in batches:
                    found[label, batch] = _values(model, groups)
        except _models.Failure as error:
            for batch, _ in batches:
                found[label, batch] = error
    runs = []
    for batch, groups in batches:
        run = Run(mode, batch, model_input.kind)
        runs.append(run)
        run.images = sum(count for _, count in groups)
        for label in contexts:
            if isinstance(found[label, batch], _models.Failure):
                run.failures[label] = str(found[label, batch])
        if not run.failures:
            _compare(run, found['SavedModel', batch], found['frozen graph', batch], [count for _, count in groups])
    return runs


def _values(model, groups):
    try:
        return [model.run(value) for value, _ in groups]
    except _models.Failure as error:
        return error


def _compare(run, left, right, counts):
    """Fills a ``Run`` with what two models gave: lists of dicts of output -> array, one a batch."""
    for values in left:
        for name, array in values.items():
            run.first_dims.setdefault(name, set()).add(array.shape[0] if array.ndim else None)
    if all(_has_detections(values) for values in left + right):
        for one, other, count in zip(left, right, counts):
            for place in range(count):
                pair = (_detections(one, place), _detections(other, place))
                run.detections.append(pair)
                run.matchings.append(_matching.match(*pair))
    for name in sorted(set(left[0]) | set(right[0])):
        run.rows.append(_row(run, name, left, right, counts))


def _has_detections(values):
    return (all(name in values for name in (_BOXES, _SCORES, _CLASSES)) and values[_BOXES].ndim == 3
            and values[_BOXES].shape[-1] == 4 and values[_SCORES].ndim == 2 and values[_CLASSES].ndim == 2
            and values[_BOXES].shape[:2] == values[_SCORES].shape == values[_CLASSES].shape)


def _detections(values, place):
    """The detections of one image that count: as many as num_detections says."""
    count = values[_BOXES].shape[1]
    if _COUNT in values and values[_COUNT].ndim == 1:
        told = float(values[_COUNT][place])
        count = int(min(count, max(0, told))) if told == told else 0
    return {'boxes': values[_BOXES][place][:count], 'scores': values[_SCORES][place][:count],
            'classes': values[_CLASSES][place][:count]}


def _row(run, name, left, right, counts):
    if name not in right[0]:
        return Row(name, list(left[0][name].shape), False, 0, 0, None, None, [], 'the frozen graph has no such output')
    pairs = [(one[name], other[name]) for one, other in zip(left, right)]
    shape = list(pairs[0][0].shape)
    equal = all(_same_bits(one, other) for one, other in pairs)
    apart, values = [], []
    if _has_rows(run, name, left, right):
        matchings = iter(run.matchings)
        for (one, other), count in zip(pairs, counts):
            for place in range(count):
                matching = next(matchings)
                for i, j in matching.pairs:
                    parts = _difference(one[place, i], other[place, j])
                    apart.append(parts)
                    values.append(_largest(parts))
    else:
        for one, other in pairs:
            if one.shape != other.shape:
                return Row(name, shape, False, 0, 0, None, None, [], '{} against {}'.format(
                    list(one.shape), list(other.shape)))
            parts = _difference(one, other)
            apart.append(parts)
            values += [_largest(part) for part in (parts if one.ndim else [parts])]
    flat = numpy.concatenate([part.reshape(-1) for part in apart]) if apart else numpy.zeros(0)
    note = '' if equal or run.mode != OFF else _stands_in(name, left, right)
    return Row(name, shape, equal, int((flat > 0).sum()), int(flat.size), _largest(flat),
               float(flat.mean()) if flat.size else 0.0, values, note)


def _has_rows(run, name, left, right):
    """Whether an output has a row a detection in both models, so that it can be compared pair by pair."""
    if not run.matchings or not name.startswith('detection_'):
        return False
    return all(one[name].shape[2:] == other[name].shape[2:] and all(
        values[name].shape[:2] == values[_SCORES].shape for values in (one, other)) for one, other in zip(left, right))


def _same_bits(one, other):
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype == object:
        return one.tolist() == other.tolist()
    return one.tobytes() == other.tobytes()


def _difference(one, other):
    """float64: absolute differences; infinite where one is a number and the other is none; 0 or 1 for strings."""
    one, other = numpy.asarray(one), numpy.asarray(other)
    if one.dtype.kind not in 'fiub' or other.dtype.kind not in 'fiub':
        return numpy.asarray(one != other, 'f8')
    same = (one == other) | ((one != one) & (other != other))
    with numpy.errstate(invalid='ignore'):
        apart = numpy.abs(one.astype('f8') - other.astype('f8'))
    return numpy.where(same, 0.0, numpy.where(numpy.isnan(apart), numpy.inf, apart))


def _largest(apart):
    return float(numpy.max(apart)) if numpy.size(apart) else 0.0


def _stands_in(name, left, right):
    """In words, the frozen graph's output that the SavedModel gives under this name, where it is another one."""
    for key in sorted(right[0]):
        if key != name and all(_same_bits(one[name], other[key]) for one, other in zip(left, right)):
            return 'it is the frozen graph\'s {}: swapped'.format(key)
    return ''


def _judge(run, fails_alone=False):
    name = '{}, batch of {}'.format(run.mode, run.batch)
    if len(run.failures) == 1:
        label, text = list(run.failures.items())[0]
        return Check(_PART, name, _answer.WRONG, 'the {} fails, and the other does not'.format(label), (text,))
    if run.failures:
        texts = tuple('{}: {}'.format(*row) for row in run.failures.items())
        if run.batch > 1 and not fails_alone:
            return Check(_PART, name, _answer.NOTE, 'both fail alike: it seems to take one image at a time', texts)
        return Check(_PART, name, _answer.WRONG, 'both fail', texts)
    absent = [row for row in run.rows if row.note.startswith('the frozen graph has no')]
    if run.mode == OFF or absent:
        return _judge_exact(run, name)
    return _judge_defaults(run, name)


def pairing(run):
    """In words, which detections are not where their partners are; empty where all are."""
    paired = run.paired()
    return [words.format(_answer.number(paired[key], noun)) for key, noun, words in (
        ('swapped', 'near-tie', '{} changed places'), ('moved', 'detection', '{} moved'),
        ('alone', 'detection', '{} without a partner')) if paired[key]]


def _images(run):
    text = _answer.number(run.images, 'image')
    if run.matchings:
        text += ', {}'.format(_answer.number(run.paired()['left'], 'detection'))
    return text


def _all_equal(run, name):
    text = 'all {} are equal bit for bit'.format(_answer.number(len(run.rows), 'output'))
    if run.matchings and not run.paired()['left']:
        return Check(_PART, name, _answer.NOTE, '{}, but nothing was detected in {}: --images that show something '
                     'prove more'.format(text, _answer.number(run.images, 'image')))
    return Check(_PART, name, _answer.OK, '{} ({})'.format(text, _images(run)))


def _judge_exact(run, name):
    wrong = [row for row in run.rows if not row.equal]
    if not wrong:
        return _all_equal(run, name)
    details = tuple('{}: {}'.format(row.name, _by(run, row)) for row in wrong)
    swapped = [row.name for row in wrong if row.note.endswith('swapped')]
    text = '; '.join(['{} of {} differ ({})'.format(
        len(wrong), _answer.number(len(run.rows), 'output'), _images(run))] + pairing(run))
    if swapped:
        text = 'outputs are swapped: {}'.format(' and '.join(swapped))
    return Check(_PART, name, _answer.WRONG, text, details)


def _by(run, row):
    """In words, how far an output that is not equal bit for bit differs."""
    if row.note or row.differing:
        return row.note or 'by {:.3g} at most, {:.3g} in the mean'.format(row.largest, row.mean)
    return ('where detections are paired, by nothing' if run.matchings else
            'other bits or another type of the same values')


def _judge_defaults(run, name):
    """Never wrong by itself: with the optimizations off the two were compared to the last bit."""
    unequal = [row for row in run.rows if not row.equal]
    if not unequal:
        return _all_equal(run, name)
    details = ['{}: {}'.format(row.name, _by(run, row)) for row in unequal]
    counted = [row for row in unequal if not run.matchings or row.name.startswith(('detection_', 'num_'))]
    most = max([float('inf') if row.largest is None else row.largest for row in counted or unequal])
    words = ['{:.2g} at most ({})'.format(most, _images(run))] + pairing(run)
    paired = run.paired()
    far = most > _LAST_DIGITS or bool(paired['alone'] or paired['moved'])
    return Check(_PART, name, _answer.NOTE if far else _answer.OK, '{}: {}'.format(
        'more than the last digits differ' if far else 'only the last digits differ', '; '.join(words)), tuple(details))
