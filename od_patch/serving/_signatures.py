"""What the SavedModel takes and gives: the name of its input, which outputs, and further signatures.

A further signature shares the variables with ``serving_default``, and leaves
its graph as it is. For images in encoded form, a decoder makes images of a
placeholder of strings, and the part of the graph that depends on the images is
there a second time, for these (``_branch``). The weights are there once.

That second part costs some hundred kilobytes. A placeholder whose default is
what the decoder makes would cost none, but converters that read
``serving_default`` (OpenVINO, tf2onnx) follow the default into the decoder, and
fail there.

Not for: the default signature's form, which is upstream's (``_saved_model.signature``).
"""
import collections
import re
import typing

from od_patch import _errors
from od_patch import _pixels
from od_patch import _tensorflow
from od_patch.graphs import _freezing
from od_patch.saved_model import _saved_model
from od_patch.serving import _branch

DEFAULT = _saved_model.SIGNATURE
INPUT = _saved_model.INPUT
ENCODED = 'encoded_image_bytes'
# Some services (AI Platform) take a string for binary only where its key ends so; TensorFlow Serving takes any.
ENCODED_INPUT = 'image_bytes'
EXTRA = (ENCODED,)
_BRANCH = 'encoded'  # the scope of what is there a second time; short, as it is in each of its names
_ENCODED_TYPE = 'encoded_image_string_tensor'
_ENCODED_CHANNELS = (1, 3, 4)
_INPUT_TYPES = ('image_tensor', _ENCODED_TYPE)
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z')  # TensorFlow 2 makes a keyword argument of it


class SignatureOptions(typing.NamedTuple):
    """What signatures are to be like."""

    input_name: str = INPUT  # the key of the image input in ``serving_default``
    outputs: typing.Optional[typing.List[str]] = None  # keys of outputs to keep, None for all
    extra: typing.Sequence[str] = ()  # further signatures, some of ``EXTRA``


def signature_options(input_name=None, outputs=None, extra=None):
    """Returns a ``SignatureOptions``.

    Raises:
        od_patch.UsageError: a name that cannot be one, or an unknown signature.
    """
    input_name = INPUT if input_name is None else input_name
    if not _NAME.match(input_name):
        raise _errors.UsageError(
            '--signature_input_name={!r} is no name: TensorFlow 2 makes a keyword argument of it.'.format(input_name),
            'Give letters, digits and underscores.')
    if outputs is not None:
        outputs = list(outputs)
        if not outputs:
            raise _errors.UsageError('--signature_outputs is empty: nothing would be answered.',
                                     'Give some, such as detection_boxes,detection_scores; or leave it out for all.')
    extra = list(collections.OrderedDict.fromkeys(extra or ()))
    for name in extra:
        if name not in EXTRA:
            raise _errors.UsageError('--extra_signatures={}: there is no signature of that name to add.'.format(name),
                                     'It can be {}.'.format(', '.join(EXTRA)))
    return SignatureOptions(input_name, outputs, extra)


def check_input_type(wanted, input_type, input_shape=None):
    """Refuses a further signature that this type of input cannot have.

    Args:
        wanted: ``SignatureOptions``.
        input_type: str, as the release's flag has it.
        input_shape: list of int or None, one a dimension, where images have other channels than three; or None.

    Raises:
        od_patch.UsageError
    """
    if ENCODED in wanted.extra and input_type not in _INPUT_TYPES:
        raise _errors.UsageError(
            '--extra_signatures={} takes encoded images beside those of --input_type={}, which brings its images in '
            'records of its own.'.format(ENCODED, input_type),
            'Export with --input_type=image_tensor.')
    if ENCODED in wanted.extra and input_shape is not None:
        _check_channels(_pixels.channels_of(list(input_shape)))


def _check_channels(channels):
    if channels not in _ENCODED_CHANNELS:
        raise _errors.UsageError(
            '--extra_signatures={} takes JPEG and PNG files, which have 1, 3 or 4 channels, and --input_shape has '
            '{}.'.format(ENCODED, channels), 'Leave it out: pixels can be of any number of channels.')


def check_outputs(wanted, names):
    """Refuses outputs that are none.

    Args:
        wanted: ``SignatureOptions``.
        names: iterable of str, the keys that there are, or all nodes of a graph: upstream names outputs like nodes.

    Raises:
        od_patch.UsageError
    """
    names = set(names)
    for key in wanted.outputs or ():
        if key not in names:
            raise _errors.UsageError(
                'There is no output {!r}, which --signature_outputs asks for.'.format(key),
                _errors.did_you_mean(key, names) or
                'od-patch inspect on the frozen graph lists those that there are.')


def chosen(wanted, inputs, outputs):
    """Returns (inputs, outputs) of ``serving_default``, dicts from key to tensor, of those that upstream would give it.

    Args:
        wanted: ``SignatureOptions``.
        inputs: tf.Tensor, or dict from key to tf.Tensor.
        outputs: dict from key to tf.Tensor.
    """
    if not isinstance(inputs, dict):
        inputs = {INPUT: inputs}
    check_outputs(wanted, outputs)
    return (collections.OrderedDict((wanted.input_name if key == INPUT else key, tensor)
                                    for key, tensor in inputs.items()),
            collections.OrderedDict((key, tensor) for key, tensor in outputs.items()
                                    if wanted.outputs is None or key in wanted.outputs))


def changer(wanted):
    """Returns a function that adds the further signatures to a ``MetaGraphDef`` that has the default one."""
    def add(meta_graph):
        for name in wanted.extra:
            _ADD[name](meta_graph, wanted.input_name)
    return add


def _add_encoded(meta_graph, input_name):
    """Adds a signature that takes JPEG or PNG files, as strings [batch], where the default one takes their pixels."""
    from tensorflow.core.framework import types_pb2
    default = meta_graph.signature_def[DEFAULT]
    info = default.inputs[input_name]
    signature = meta_graph.signature_def[ENCODED]
    signature.CopyFrom(default)
    del signature.inputs[input_name]
    if info.dtype == types_pb2.DT_STRING:
        signature.inputs[ENCODED_INPUT].CopyFrom(info)  # it takes them already
        return
    graph_def = meta_graph.graph_def
    shape = None if info.tensor_shape.unknown_rank else [
        None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
    decoder, encoded, images = _decoder(_saved_model.unused_name(graph_def, ENCODED), shape or [None, None, None, 3])
    signature.inputs[ENCODED_INPUT].CopyFrom(encoded)
    outputs = list(signature.outputs.values())
    renamed = _branch.add(graph_def, info.name.split(':')[0], images, [output.name for output in outputs],
                          _saved_model.unused_name(graph_def, _BRANCH))
    for output, name in zip(outputs, renamed):
        output.name = name
    graph_def.node.extend(decoder.node)


def _decoder(scope, shape):
    """Returns (``GraphDef``, ``TensorInfo`` of its strings, name of the tensor of images) of a decoder.

    Args:
        scope: str, what the names of its nodes begin with.
        shape: list of int or None, [batch, height, width, channels], of the images.
    """
    tf = _tensorflow.tf1()
    channels = _pixels.channels_of(shape)
    _check_channels(channels)
    with tf.Graph().as_default() as graph, tf.name_scope(scope + '/'):
        strings = tf.placeholder(tf.string, shape[:1], name=ENCODED_INPUT)

        def decode(string):
            # One op, the same in TensorFlow 1.4 and 2.21; it takes PNG as well, and one-frame GIF. JPEG has no alpha.
            image = (tf.image.decode_png if channels == 4 else tf.image.decode_jpeg)(string, channels=channels)
            # Where the graph was built for one size, another must be an error and not be taken for that size.
            return tf.ensure_shape(image, shape[1:]) if any(shape[1:3]) else image

        images = tf.map_fn(decode, strings, dtype=tf.uint8, back_prop=False)
        graph_def = graph.as_graph_def()
        needed = _freezing.needed(graph_def, [images.name])
        decoder = type(graph_def)(node=[node for node in graph_def.node if node.name in needed])
        for node in decoder.node:
            node.device = ''
        return decoder, tf.saved_model.utils.build_tensor_info(strings), images.op.name


_ADD = {ENCODED: _add_encoded}
