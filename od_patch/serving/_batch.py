"""Detections of any number of images, for programs that spread the work over processes: Beam, Ray, Spark, or a loop.

A process loads the model once (``Detector``), and gives it files as they come:
of any size, damaged ones among them. Images of one size go through the model
together. Memory is bounded, whatever comes: what waits for others of its size
is run when it has become too much.

Not for: who reads the files and what becomes of the answers; ``examples/batch``
has a program for each of the engines.
"""
import collections
import contextlib
import hashlib
import os
import threading
import typing

from od_patch import _errors

_BOXES, _CLASSES, _SCORES, _COUNT = 'detection_boxes', 'detection_classes', 'detection_scores', 'num_detections'
# Bytes of pixels that go through the model at once, and that wait, of all sizes together.
_MOST_AT_ONCE = 1 << 26
_MOST_WAITING = 1 << 28


class Detector:
    """A detector that od-patch exported, loaded into this process.

    It holds a session and cannot be pickled: each process makes its own, once.
    Threads may share one.

    Attributes:
        names: dict from class id to name, from the label map in the SavedModel; empty where it has none.
        batch_size: int, how many images of one size go through the model together.
    """

    def __init__(self, saved_model, batch_size=8, min_score=0.0, threads=None):
        """Loads the model and runs it once, so that one that cannot run is refused before the first image.

        Args:
            saved_model: str, an export or its folder saved_model; may have a scheme that ``tf.gfile`` knows.
            batch_size: int; an export for a fixed batch has its own.
            min_score: float, from which on a detection is told.
            threads: int, how many threads TensorFlow works with; None for as many as there are cores. Where several
                processes share a machine, cores divided by processes.

        Raises:
            od_patch.InputRefused: there is no SavedModel, it is damaged, takes no images or gives no detections.
            od_patch.UsageError: a number that cannot be meant.
        """
        # Imported here: who imports od_patch pays for none of them.
        from od_patch.graphs import _images
        from od_patch.graphs import _models
        from od_patch.graphs import _servable
        from od_patch.graphs import _sessions
        from od_patch.serving import _content
        from od_patch.serving import _names
        from od_patch.serving import _publish
        from od_patch.staging import _store
        if batch_size < 1 or (threads is not None and threads < 1):
            raise _errors.UsageError('batch_size={}, threads={}: both count from 1.'.format(batch_size, threads),
                                     'Give whole numbers from 1.')
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(_content.local(_publish.find_saved_model(
                _store.plain(os.fspath(saved_model)))))
            servable = _servable.Servable(folder)
            outputs = servable.signature.outputs
            lacking = [key for key in (_BOXES, _CLASSES, _SCORES) if key not in outputs]
            if lacking:
                raise _errors.InputRefused('{} gives no {} under {}, but {}.'.format(
                    saved_model, ', '.join(lacking), servable.signature_key, ', '.join(sorted(outputs))),
                    'Give the SavedModel of a detector, exported with these outputs.')
            self.names = _names.read(folder)
            self._input, sides = _models.inputs_of(servable)
            fixed = self._input.shape[0] if self._input.shape else None if self._input.shape is None else 1
            self._padded = bool(self._input.shape and fixed)
            self.batch_size, self._min_score = fixed or batch_size, min_score
            config = _sessions.default_config()
            if threads is not None:
                config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = threads
                config.use_per_session_threads = True
            if _sessions.mixes_boxes_up():
                config.inter_op_parallelism_threads = 1
            self._lock = threading.Lock() if _sessions.mixes_boxes_up() else contextlib.ExitStack()
            try:
                session = stack.enter_context(contextlib.closing(_models.opened(servable, config)))
                self._model = _models.running(session, servable, self._input, sides)
                self._model.outputs = {key: name for key, name in self._model.outputs.items()
                                       if key in (_BOXES, _CLASSES, _SCORES, _COUNT)}
                self._run([_models.fitted(self._input, _images.drawn(1)[0])])
            except _models.Failure as error:
                raise _errors.InputRefused('{} cannot be run: {}'.format(saved_model, error),
                                           'od-patch verify says what is wrong with it.')
            self._open = stack.pop_all()

    def close(self):
        """Gives back what the model takes; the detector is of no use any more."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def detect(self, files):
        """Yields a row for each file, as soon as there is one: files of a size that is rare wait for others of it.

        Args:
            files: iterable of (name, bytes): JPEG, PNG, and whatever else Pillow reads, or a .npy file. It may be
                endless; it is read as far as is needed.

        Yields:
            dict: 'file' is its name. 'width' and 'height' are those of the image in pixels; None where it is none.
            'error' says why there is no answer; None where there is one. 'detections' is a list, by falling score, of
            dicts: 'class' (int), 'name' (str, or None without a label map), 'score' (float), and 'box', [ymin, xmin,
            ymax, xmax] as parts of the image.
        """
        from od_patch.graphs import _images
        from od_patch.graphs import _models
        waiting = collections.OrderedDict()
        for name, content in files:
            try:
                picture = _images.from_bytes(content, name)
            except _errors.InputRefused as error:
                yield _row(name, None, error.problem)
                continue
            fitted = _models.fitted(self._input, picture)
            group = waiting.setdefault(fitted.array.shape[:2], [])
            group.append((fitted, picture.array.shape[:2]))
            if len(group) >= self.batch_size or _bytes(group) + fitted.array.nbytes > _MOST_AT_ONCE:
                del waiting[fitted.array.shape[:2]]
                for row in self._rows(group):
                    yield row
            while sum(map(_bytes, waiting.values())) > _MOST_WAITING:
                for row in self._rows(waiting.pop(max(waiting, key=lambda size: _bytes(waiting[size])))):
                    yield row
        for group in waiting.values():
            for row in self._rows(group):
                yield row

    def _rows(self, group):
        """The rows of images of one size; where they fail together, each is tried by itself."""
        from od_patch.graphs import _models
        try:
            answers = self._run([picture for picture, _ in group])
        except _models.Failure as error:
            if len(group) > 1:
                return [row for one in group for row in self._rows([one])]
            return [_row(picture.name, size, str(error)) for picture, size in group]
        return [_row(picture.name, size, None, self._detections(answer))
                for (picture, size), answer in zip(group, answers)]

    def _run(self, pictures):
        """List of {key: array} of the outputs, one for each of as many pictures of one size as a batch has at most."""
        from od_patch.graphs import _models
        given = pictures + pictures[-1:] * (self.batch_size - len(pictures) if self._padded else 0)
        with self._lock:
            outputs = self._model.run(_models.batch_of(self._input, given))
        return [{key: value[place] for key, value in outputs.items()} for place in range(len(pictures))]

    def _detections(self, answer):
        count = int(answer.get(_COUNT, len(answer[_SCORES])))
        rows = zip(answer[_CLASSES][:count], answer[_SCORES][:count], answer[_BOXES][:count])
        return [collections.OrderedDict([
            ('class', int(label)), ('name', self.names.get(int(label))), ('score', float(score)),
            ('box', [float(side) for side in box])]) for label, score, box in rows if score >= self._min_score]


def image_of_example(record: bytes) -> typing.Tuple[str, bytes]:
    """Returns (name, bytes) of the image in a serialized ``tf.Example``, as the records of the OD API have it.

    The name is its ``image/filename``, ``image/source_id`` or ``image/key/sha256``, or else the digest of the record.
    What is no such record comes back without a byte, and ``detect`` tells that it is no image.

    Args:
        record: bytes.
    """
    from google.protobuf import message
    from tensorflow.core.example import example_pb2
    name, content = 'record {}'.format(hashlib.sha256(record).hexdigest()[:16]), b''
    try:
        features = example_pb2.Example.FromString(record).features.feature
    except message.DecodeError:
        return name, content
    for key in ('image/filename', 'image/source_id', 'image/key/sha256'):
        if key in features and features[key].bytes_list.value:
            name = features[key].bytes_list.value[0].decode('utf-8', 'replace') or name
            break
    if 'image/encoded' in features and features['image/encoded'].bytes_list.value:
        content = features['image/encoded'].bytes_list.value[0]
    return name, content


def _bytes(group):
    return sum(fitted.array.nbytes for fitted, _ in group)


def _row(name, size, error, detections=()):
    height, width = size or (None, None)
    return collections.OrderedDict([
        ('file', name), ('width', width), ('height', height), ('error', error), ('detections', list(detections))])
