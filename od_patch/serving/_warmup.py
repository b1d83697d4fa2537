"""Requests that a server runs before it serves a model: ``assets.extra/tf_serving_warmup_requests``.

TFRecord of ``PredictionLog``, for each picture one of each signature that takes
images, in the type and the size that the export has. A server that fails to run
one does not load the model at all, so each is read back from the file and run
against the SavedModel before the file gets its name.

Not for: clients; these requests are for nobody's eyes, and hold no model's name.
"""
import collections
import contextlib
import os

from od_patch import _errors
from od_patch import _platform
from od_patch import _tensorflow

FILE = os.path.join('assets.extra', 'tf_serving_warmup_requests')
MOST = 1000  # records, kMaxNumRecords of saved_model_warmup_util; with more, a server refuses the model
_DRAWN = 2
_PACKAGE = 'tensorflow-serving-api'

Written = collections.namedtuple('Written', ['num_records', 'num_bytes', 'notes'])
Written.__doc__ = """A file of requests.

Attributes:
    num_records: int; num_bytes: int, of the file.
    notes: list of str, what a user should know.
"""

_Request = collections.namedtuple('_Request', ['signature', 'key', 'name', 'value'])


def require(images):
    """Refuses, before there is a model, what ``write`` would.

    Args:
        images: as for ``write``.

    Raises:
        od_patch.EnvironmentRefused: tensorflow-serving-api or Pillow is missing.
        od_patch.InputRefused: there is no such image.
    """
    from od_patch.graphs import _images  # late: it imports numpy
    _protos()
    _images.pillow()
    if images:
        _images.load(images, 1)


def files(images):
    """Returns the paths of the images that requests are made of; none for drawn scenes. Raises as ``require``."""
    from od_patch.graphs import _images
    return _images.files(images) if images else []


def write(saved_model, images):
    """Adds the file to a SavedModel that nobody serves yet; one that is there is replaced.

    Args:
        saved_model: str, its folder, a local one.
        images: list of str, files and folders of them; empty for drawn scenes.

    Returns:
        ``Written``.

    Raises:
        od_patch.EnvironmentRefused, od_patch.InputRefused: as ``require``; an image cannot be read; the model takes no
            images.
        od_patch.ProofFailed: the model fails to run one of them.
    """
    from od_patch.graphs import _images
    from od_patch.graphs import _models
    prediction_log_pb2 = _protos()
    tf = _tensorflow.tf1()
    signatures = _signatures(saved_model)
    pictures, found = _images.load(images, MOST // len(signatures)) if images else (_images.drawn(_DRAWN), _DRAWN)
    path = os.path.join(saved_model, FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = path + '.partial'
    try:
        with tf.python_io.TFRecordWriter(partial) as records:
            sizes = [model_input for _, _, model_input in signatures if model_input.kind == _models.IMAGE]
            for picture in pictures:
                if sizes:  # the others take what is decoded to that size
                    picture = _models.fitted(sizes[0], picture)
                for key, servable, model_input in signatures:
                    log = _log(prediction_log_pb2, key, servable, model_input, picture)
                    records.write(log.SerializeToString(deterministic=True))
        count = _run_all(saved_model, signatures, partial, prediction_log_pb2, pictures)
        _platform.patiently(os.replace, partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
    notes = []
    if found > len(pictures):
        notes.append('warm-up: the first {} of {} images; a server takes {} requests and no more'.format(
            len(pictures), found, MOST))
    return Written(count, os.path.getsize(path), notes)


def _protos():
    """Returns the module ``tensorflow_serving.apis.prediction_log_pb2``."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except (ImportError, TypeError) as error:  # TypeError: generated code that this protobuf does not take
        version = _tensorflow.versions()[0]
        raise _errors.EnvironmentRefused(
            'Warm-up requests are messages of {}, which cannot be imported: {}.'.format(
                _PACKAGE, str(error).split('\n')[0]),
            # Its dependency would bring another TensorFlow along, and one that is there under another name again.
            'Install it beside TensorFlow {}:  python -m pip install --no-deps "{}=={}"'.format(
                version, _PACKAGE, '1.12.0' if version.startswith('1.') else '.'.join(version.split('.')[:2]) + '.*'))
    return prediction_log_pb2


def _signatures(saved_model):
    """Returns [(key, ``Servable``, ``_models.Input``)] of those signatures that take images and nothing else."""
    from od_patch.graphs import _models
    from od_patch.graphs import _servable
    default = _servable.Servable(saved_model)
    found, refusals = [], []
    for key in sorted(default.meta_graph.signature_def):
        servable = default.of(key)
        try:
            found.append((key, servable, _models.input_of(servable)))
        except _errors.InputRefused as error:
            refusals.append('{}: {}'.format(key, error.problem))
    if not found:
        raise _errors.InputRefused('There is nothing to warm {} up with: {}.'.format(
            saved_model, '; '.join(refusals) or 'it has no signatures'), 'Leave out --warmup_images.')
    return found


def _log(prediction_log_pb2, key, servable, model_input, picture):
    """Returns the ``PredictionLog`` of one picture for one signature."""
    from od_patch.graphs import _models
    tf = _tensorflow.tf1()
    batch = model_input.shape[0] if model_input.shape else None
    value = _models.batch_of(model_input, [picture] * (batch or 1))
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = key
    name, = servable.signature.inputs
    request.inputs[name].CopyFrom(tf.make_tensor_proto(
        value, dtype=tf.as_dtype(servable.signature.inputs[name].dtype)))
    return log


def _run_all(saved_model, signatures, path, prediction_log_pb2, pictures):
    """Runs every record of a file against the SavedModel; returns how many there are."""
    from od_patch.graphs import _models
    from od_patch.graphs import _sessions
    tf = _tensorflow.tf1()
    by_key = {key: servable for key, servable, _ in signatures}
    count = 0
    with _refused(saved_model, pictures, lambda: count // len(signatures)), \
            _models.loaded(signatures[0][1], _sessions.default_config()) as session:
        for record in tf.python_io.tf_record_iterator(path):
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            servable = by_key[request.model_spec.signature_name]
            model = _models.running(session, servable)
            (_, value), = request.inputs.items()
            model.run(tf.make_ndarray(value))
            count += 1
    return count


@contextlib.contextmanager
def _refused(saved_model, pictures, number):
    from od_patch.graphs import _models
    try:
        yield
    except _models.Failure as error:
        raise _errors.ProofFailed(
            'The SavedModel in {} fails on a warm-up request with {}: {}'.format(
                saved_model, pictures[min(number(), len(pictures) - 1)].name, error),
            'A server would not load it. Give other --warmup_images, or see od-patch verify.')
