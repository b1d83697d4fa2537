"""A SavedModel and a frozen graph as things that run: named inputs and outputs, the same for both.

What an output of the frozen graph is called, its node says (``detection_boxes``),
and not the SavedModel's signature: so a signature that hands out the wrong
tensor is seen.

Not for: comparing what comes out (``_outputs``).
"""
import contextlib
import copy
import re
import typing

import numpy

from od_patch import _pixels
from od_patch import _tensorflow
from od_patch._errors import InputRefused
from od_patch.graphs import _images

_MOST_ELEMENTS = 1 << 28  # of an input whose shape is fixed
_MOST_MILLISECONDS = 10 * 60 * 1000  # of one batch; a graph that is damaged may loop for ever
# How the Object Detection API names the outputs of its models (core/standard_fields.py).
_OWN = re.compile(r'(raw_)?(detection|proposal)_|num_(detections|proposals)\Z')
IMAGE, ENCODED, EXAMPLE = 'image_tensor', 'encoded_image_string_tensor', 'tf_example'
# Ops that only a graph with the input type tf_example begins with.
PARSES_EXAMPLES = frozenset(['ParseExample', 'ParseSingleExample', 'ParseExampleV2'])


class Input(typing.NamedTuple):
    """What a model takes."""

    name: str  # the tensor
    kind: str  # 'image_tensor', 'encoded_image_string_tensor' or 'tf_example'
    dtype: str  # numpy's name of an image tensor's type
    shape: typing.Any  # list of int or None, one a dimension; None for an unknown rank


class Side(typing.NamedTuple):
    """An input beside the images, such as the context features of Context R-CNN."""

    name: str  # the tensor
    dtype: str  # numpy's name
    shape: typing.List[typing.Optional[int]]  # one a dimension

_SIDE_SIZE = 3  # of a dimension that a side input leaves open


class Failure(Exception):
    """A model cannot be loaded, or fails while it runs; the text is TensorFlow's, on one line."""


class Running:
    """A model in a session.

    Attributes:
        label: 'SavedModel' or 'frozen graph'.
        outputs: dict of key -> tensor name.
    """

    def __init__(
            self, label: str, session: typing.Any, input_name: str, outputs: typing.Dict[str, str],
            sides: typing.Sequence[Side] = ()) -> None:
        self.label, self.outputs = label, outputs
        self._session, self._input, self._sides = session, input_name, sides

    def run(self, batch: typing.Any) -> typing.Dict[str, typing.Any]:
        """dict of key -> array, for a batch that ``batch_of`` has made.

        Raises:
            Failure
        """
        keys = sorted(self.outputs)
        feed = {self._input: batch}
        for side in self._sides:
            feed[side.name] = _made_up(side, len(batch) if numpy.ndim(batch) else 1)
        with _failures():
            values = self._session.run([self.outputs[key] for key in keys], feed)
        return dict(zip(keys, values))


def input_of(servable: typing.Any) -> Input:
    """The ``Input`` of a SavedModel's signature.

    Raises:
        InputRefused: it has several inputs, or one that takes no images.
    """
    inputs = dict(servable.signature.inputs)
    if len(inputs) != 1:
        raise InputRefused('the signature has {} inputs ({}), and only images can be given'.format(
            len(inputs), ', '.join(sorted(inputs))), '')
    info, = inputs.values()
    shape = None if info.tensor_shape.unknown_rank else [
        None if dim.size < 0 else int(dim.size) for dim in info.tensor_shape.dim]
    tf = _tensorflow.tf1()
    try:
        dtype = tf.as_dtype(info.dtype)
    except TypeError:
        raise InputRefused('the input {} has a type of no known number, {}'.format(info.name, info.dtype), '')
    if dtype == tf.string:
        ops = {node.op for node in servable.meta_graph.graph_def.node}
        for function in servable.meta_graph.graph_def.library.function:
            ops |= {node.op for node in function.node_def}
        return Input(info.name, EXAMPLE if ops & PARSES_EXAMPLES else ENCODED, '', shape)
    if shape is not None and (len(shape) != 4 or shape[3] == 0) or not (
            dtype.is_integer or dtype.is_floating):
        raise InputRefused('the input {} takes {} {}, which are no images'.format(info.name, dtype.name, shape), '')
    elements = 1
    for size in shape or ():
        elements *= size or 1
    if elements > _MOST_ELEMENTS:
        raise InputRefused('the input {} takes {}, which is more than can be fed here'.format(info.name, shape), '')
    return Input(info.name, IMAGE, dtype.as_numpy_dtype().dtype.name, shape)


def inputs_of(servable: typing.Any) -> typing.Tuple[Input, typing.List[Side]]:
    """(``Input`` of images, list of ``Side``) of a SavedModel's signature.

    Raises:
        InputRefused: none of its inputs takes images, or another one takes what cannot be made up.
    """
    inputs = servable.signature.inputs
    if len(inputs) == 1:
        return input_of(servable), []
    tf = _tensorflow.tf1()
    refusals = []
    # Upstream's key for the images is 'inputs'; other tools' keys are tried one by one.
    for key in sorted(inputs, key=lambda name: (name != 'inputs', name)):
        signature = type(servable.signature)()
        signature.inputs[key].CopyFrom(inputs[key])
        alone = copy.copy(servable)
        alone.signature = signature
        try:
            found = input_of(alone)
        except InputRefused as error:
            refusals.append(error)
            continue
        sides = []
        for name in sorted(set(inputs) - {key}):
            info = inputs[name]
            dtype = tf.as_dtype(info.dtype)
            if not (dtype.is_integer or dtype.is_floating or dtype.is_bool) or info.tensor_shape.unknown_rank:
                raise InputRefused('the input {} takes {}, which cannot be made up'.format(name, dtype.name), '')
            sides.append(Side(info.name, numpy.dtype(dtype.as_numpy_dtype).name, [
                None if dim.size < 0 else int(dim.size) for dim in info.tensor_shape.dim]))
        return found, sides
    raise refusals[0]


def _made_up(side: Side, batch: typing.Any) -> typing.Any:
    """An array for an input that is no image: the same numbers each time; whole ones are 1, a count."""
    shape = [size or (batch if place == 0 else _SIDE_SIZE) for place, size in enumerate(side.shape)]
    if not numpy.issubdtype(numpy.dtype(side.dtype), numpy.floating):
        return numpy.ones(shape, side.dtype)
    return numpy.random.RandomState(1).uniform(0, 1, shape).astype(side.dtype)


def has_rows(servable: typing.Any, model_input: Input) -> bool:
    """Whether TensorFlow Serving takes requests in rows: the batch is the first dimension of input and all outputs."""
    if model_input.shape is not None and not model_input.shape:
        return False
    outputs = servable.signature.outputs
    one_batch = model_input.shape is not None and model_input.shape[0]
    if any(info.tensor_shape.unknown_rank or not info.tensor_shape.dim for info in outputs.values()):
        return False
    # Anchors, say, have a first dimension that is known whatever the batch is.
    return bool(one_batch) or all(outputs[key].tensor_shape.dim[0].size <= 0 for key in additional(outputs))


def additional(outputs: typing.Any) -> typing.Set[str]:
    """Returns the keys of a signature's outputs that came by ``--additional_output_tensor_names``.

    These are tensors from within the model, beside its own. The model's own have names that begin alike, and no scope;
    node and key have the same. A signature that has none of a model's own has none beside them.

    Args:
        outputs: dict from key to ``TensorInfo``.
    """
    if not any(_OWN.match(key) for key in outputs):
        return set()
    return {key for key, info in outputs.items()
            if info.name and _OWN.match(key) is None and ('/' in info.name or info.name != key + ':0')}


def batch_of(model_input: Input, pictures: typing.Sequence[_images.Picture]) -> typing.Any:
    """What ``session.run`` is fed for some pictures, brought to one size where they differ."""
    height, width = pictures[0].array.shape[:2]
    if model_input.kind == IMAGE and model_input.shape:
        height, width = model_input.shape[1] or height, model_input.shape[2] or width
    channels = _pixels.channels_of(model_input.shape) if model_input.kind == IMAGE else None
    arrays = [_resized(picture.array if channels is None else picture.with_channels(channels), height, width)
              for picture in pictures]
    if model_input.kind == IMAGE:
        return numpy.stack(arrays).astype(model_input.dtype)
    values = [_png(array) for array in arrays]
    if model_input.kind == EXAMPLE:
        values = [example_of(value, height, width) for value in values]
    if model_input.shape is not None and not model_input.shape:
        return values[0]
    return numpy.array(values, dtype=object)


def example_of(png: bytes, height: int, width: int) -> bytes:
    """The ``tf.Example``, serialized, that an export with the input type tf_example takes for one image."""
    example = _tensorflow.tf1().train.Example()
    features = example.features.feature
    features['image/encoded'].bytes_list.value.append(png)
    features['image/format'].bytes_list.value.append(b'png')
    features['image/height'].int64_list.value.append(height)
    features['image/width'].int64_list.value.append(width)
    return example.SerializeToString()


def fitted(model_input: Input, picture: _images.Picture) -> _images.Picture:
    """Returns the picture in the size and with the channels that an input is for; where it is for any, as it is."""
    height, width = picture.array.shape[:2]
    array = picture.array
    if model_input.kind == IMAGE:
        array = picture.with_channels(_pixels.channels_of(model_input.shape))
    if model_input.kind == IMAGE and model_input.shape:
        height, width = model_input.shape[1] or height, model_input.shape[2] or width
    return _images.Picture(picture.name, _resized(array, height, width))


def _resized(array: typing.Any, height: int, width: int) -> typing.Any:
    if array.shape[:2] == (height, width):
        return array
    # One channel at a time: Pillow knows few numbers of them, and weighs the others by the fourth.
    return numpy.stack([numpy.asarray(_images.pillow().fromarray(numpy.ascontiguousarray(array[:, :, place])).resize(
        (width, height), 2)) for place in range(array.shape[2])], axis=2)  # 2: bilinear, whatever this Pillow calls it


def _png(array: typing.Any) -> bytes:
    return _images.encoded(array, 'PNG')


@contextlib.contextmanager
def _session(config: typing.Any) -> typing.Iterator[typing.Any]:
    """Context: a session with a graph of its own, under TensorFlow 2, too."""
    with _new_session(config) as session:
        yield session


def _new_session(config: typing.Any) -> typing.Any:
    tf = _tensorflow.tf1()
    # A node that is bound to a GPU runs on the CPU where there is none: that it is bound, _portability says.
    config.allow_soft_placement = True
    config.operation_timeout_in_ms = _MOST_MILLISECONDS
    return tf.Session(graph=tf.Graph(), config=config)  # as a context, it makes its graph the default one


def opened(servable: typing.Any, config: typing.Any) -> typing.Any:
    """Returns a session with the SavedModel in it that is not the default one of any thread; who takes it closes it.

    Raises:
        Failure
    """
    session = _new_session(config)
    try:
        with _failures(), session.graph.as_default():
            _tensorflow.tf1().saved_model.loader.load(session, servable.tags, servable.folder)
    except BaseException:
        session.close()
        raise
    return session


@contextlib.contextmanager
def saved_model(
        servable: typing.Any, config: typing.Any, model_input: typing.Optional[Input] = None,
        sides: typing.Sequence[Side] = ()) -> typing.Iterator[Running]:
    """Context: the SavedModel, ``Running``; ``config`` is a ``ConfigProto``; inputs as ``inputs_of`` gives them."""
    with loaded(servable, config) as session:
        yield running(session, servable, model_input, sides)


@contextlib.contextmanager
def loaded(servable: typing.Any, config: typing.Any) -> typing.Iterator[typing.Any]:
    """Context: a session with the SavedModel in it, whichever of its signatures are to run."""
    tf = _tensorflow.tf1()
    with _session(config) as session:
        with _failures():
            tf.saved_model.loader.load(session, servable.tags, servable.folder)
        yield session


def running(
        session: typing.Any, servable: typing.Any, model_input: typing.Optional[Input] = None,
        sides: typing.Sequence[Side] = ()) -> Running:
    """Returns the signature of a SavedModel that is loaded in a session, ``Running``."""
    if model_input is None:
        info, = servable.signature.inputs.values()
        name = info.name
    else:
        name = model_input.name
    return Running('SavedModel', session, name,
                   {key: output.name for key, output in servable.signature.outputs.items()}, sides)


def run_eagerly(function: typing.Any, batch: typing.Any) -> typing.Dict[str, typing.Any]:
    """Returns {key: array} of a concrete function of TensorFlow 2, with its graph optimizations off.

    Args:
        function: takes one batch; returns a dict of tensors, or one tensor.
        batch: what ``batch_of`` has made.

    Raises:
        Failure
    """
    import tensorflow as tf
    before = tf.config.optimizer.get_experimental_options()
    try:
        tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
        with _failures():
            found = function(tf.constant(batch.tolist() if batch.dtype == object else batch))
        return {key: value.numpy() for key, value in (found if isinstance(found, dict) else {'output': found}).items()}
    finally:
        tf.config.optimizer.set_experimental_options(dict({'disable_meta_optimizer': False}, **before))


@contextlib.contextmanager
def frozen_graph(
        graph_def: typing.Any, servable: typing.Any, model_input: Input, config: typing.Any,
        sides: typing.Sequence[Side] = ()) -> typing.Iterator[Running]:
    """Context: the frozen graph, ``Running`` under the keys of the SavedModel's signature.

    Keys that it has no tensor for are left out.
    """
    tf = _tensorflow.tf1()
    with _session(config) as session:
        with _failures():
            tf.import_graph_def(graph_def, name='')
        names = {node.name for node in graph_def.node}
        outputs = {}
        beside = additional(servable.signature.outputs)
        for key, info in servable.signature.outputs.items():
            for candidate in (info.name,) if key in beside else (key + ':0', info.name):
                if candidate.split(':')[0] in names and key not in outputs:
                    outputs[key] = candidate
        yield Running('frozen graph', session, _input_name(graph_def, model_input), outputs, sides)


def _input_name(graph_def: typing.Any, model_input: Input) -> str:
    """The tensor of a frozen graph that takes what the SavedModel takes.

    Raises:
        Failure: there is none.
    """
    placeholders = [node.name for node in graph_def.node if node.op.startswith('Placeholder')]
    for name in (model_input.name.split(':')[0], model_input.kind):
        if name in placeholders:
            return name + ':0'
    if len(placeholders) == 1:
        return placeholders[0] + ':0'
    raise Failure('it has no input {} (it has {})'.format(model_input.name, ', '.join(placeholders[:4]) or 'none'))


@contextlib.contextmanager
def _failures() -> typing.Iterator[None]:
    """What TensorFlow raises, its kinds many and changing, becomes ``Failure``; memory and signals do not."""
    try:
        yield
    except (MemoryError, Failure):
        raise
    except Exception as error:  # pylint: disable=broad-except
        text = ' '.join(str(getattr(error, 'message', None) or error).split())
        raise Failure('{}: {}'.format(type(error).__name__, text[:240]))
