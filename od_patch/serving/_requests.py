"""A first request for a served detector, and a client program: for its signature, its type of input and its labels.

What TensorFlow Serving takes over REST: any string as ``{"b64": …}``; rows (``instances``) only of a model whose
outputs all have the batch as their first dimension; columns (``inputs``) of any.

Not for: the lines that start a server (``_commands``), nor for the requests that warm one up (``_warmup``).
"""
import base64
import collections
import inspect
import io
import json
import os
import pprint
import re

import numpy

from od_patch import _errors
from od_patch import _platform
from od_patch import _tensorflow
from od_patch import _text
from od_patch.serving import _client
from od_patch.serving import _commands
from od_patch.serving import _names
from od_patch.serving import _publish
from od_patch.staging import _staging
from od_patch.staging import _store

ROWS, COLUMNS, CURL, CLIENT = 'request.json', 'request.columns.json', 'curl.sh', 'client.py'
_RECEIVED = 4 << 20  # bytes that a gRPC client takes, unless it is told otherwise
_DECODED = ('JPEG', 'PNG', 'BMP')  # what tf.image.decode_image takes as one picture
_QUALITY = 90  # of a drawn scene as a JPEG

Example = collections.namedtuple('Example', [
    'folder', 'files', 'model_name', 'saved_model', 'signature', 'input', 'names', 'picture', 'sizes', 'url'])
Example.__doc__ = """A request that was written.

Attributes:
    folder: str, where the files lie; files: list of their names.
    model_name: str, what requests call the model.
    saved_model: str, the folder whose signature was read; signature: str, the key of that.
    input: ``proof._models.Input``, what it takes.
    names: dict of class id -> name; empty without a label map.
    picture: str, what the request has an image of, with its size.
    sizes: list of (input type, way, bytes of the request for that image).
    url: str, where it goes.
"""


def write(export, output_directory, model_name=None, image=None, signature=None, overwrite=False):
    """Writes request.json, request.columns.json, curl.sh and client.py; returns ``Example``.

    Args:
        export: str, an export directory, a folder with saved_model.pb, or a folder with published versions, of which
            the largest is meant.
        output_directory: str, a local folder; made where it is not there.
        model_name: str, what requests call the model; default: the folder's name.
        image: str, an image file; default: a drawn scene.
        signature: str, the key of the signature that is asked; default: serving_default.
        overwrite: bool, whether to replace files of these names.

    Raises:
        od_patch.InputRefused: there is no SavedModel, no such signature, or the image or the label map cannot be read.
        od_patch.OutputRefused: a file is there, or the folder lies in the SavedModel.
        od_patch.UsageError: a name that cannot stand in a URL.
        od_patch.EnvironmentRefused: Pillow is not installed.
    """
    from od_patch.graphs import _models
    check(export, output_directory, overwrite)
    folder, name = _find(export, model_name)
    servable = _servable(folder, signature)
    model_input = _models.input_of(servable)
    names = _names.read(folder)
    picture, encoded = _picture(image)
    value = _value(model_input, picture, encoded)
    batched = model_input.shape is None or bool(model_input.shape)
    count = (model_input.shape[0] if model_input.shape else None) or 1
    key, = servable.signature.inputs
    rows = _models.has_rows(servable, model_input)
    settings = {
        'model': name, 'signature': servable.signature_key, 'input': key, 'kind': model_input.kind,
        'dtype': model_input.dtype, 'shape': model_input.shape, 'batched': batched, 'rows': rows,
        'outputs': sorted(servable.signature.outputs), 'names': names}
    url = 'http://localhost:{}/v1/models/{}:predict'.format(_commands.REST_PORT, name)
    files = collections.OrderedDict()
    if rows:
        files[ROWS] = _body(servable.signature_key, 'instances', [{key: _jsonable(value)}] * count)
    columns = [_jsonable(value)] * count if batched else _jsonable(value)
    files[COLUMNS] = _body(servable.signature_key, 'inputs', columns)
    files[CURL] = _curl(url, ROWS if rows else COLUMNS)
    files[CLIENT] = client(settings)
    _write(files, output_directory, folder)
    return Example(output_directory, list(files), name, folder, servable.signature_key, model_input, names,
                   _picture_in_words(picture, image, model_input, value, count),
                   _sizes(name, servable.signature_key, key, model_input, value, picture, encoded, count, files), url)


def check(export, output_directory, overwrite=False):
    """Refuses what can be known to fail before there is a SavedModel.

    Args:
        export: str, where it will be; output_directory, overwrite: as for ``write``.

    Raises:
        od_patch.OutputRefused, od_patch.UsageError, od_patch.EnvironmentRefused: as ``write``.
    """
    from od_patch.graphs import _images
    if _store.is_store(export):
        raise _errors.UsageError('{}: SavedModels are read from a local disk for a request.'.format(export),
                                 'Write the request for the export before it is published, or for a copy.')
    if not output_directory:
        raise _errors.UsageError('There is no folder to write the request to.', 'Name one.')
    _images.pillow()
    _check_free([ROWS, COLUMNS, CURL, CLIENT], output_directory, overwrite)


def client(settings):
    """Returns the source of a client program with these settings (``_client.SETTINGS``)."""
    source = inspect.getsource(_client)
    empty = 'SETTINGS = {}\n'
    assert source.count(empty) == 1
    return source.replace(empty, 'SETTINGS = {}\n'.format(
        pprint.pformat(settings, width=110).replace('\n', '\n' + ' ' * len('SETTINGS = '))))


def lines(example):
    """Returns the lines that tell what was written, what to type next, and how large requests are."""
    told = ['{}: {}'.format(os.path.join(example.folder, ''), ', '.join(example.files)),
            'The request is {} to {} of {}, which takes {} ({}).'.format(
                example.picture, example.signature, example.model_name, example.input.kind,
                '{} {}'.format(example.input.dtype or 'string', _shape(example.input.shape)))]
    if example.names:
        told.append('Classes: ' + ', '.join('{} {}'.format(*row) for row in sorted(example.names.items())))
    else:
        told.append('There is no assets/{} in the SavedModel: the client prints numbers of classes.'.format(
            _names.FILE))
    told += ['', 'A request for this image would be, by type of input and way of sending:']
    told += ['  {:<28}{:<6}{:>14,} bytes{}'.format(
        kind, way, size, '   <- this model' if kind == example.input.kind else '') for kind, way, size in example.sizes]
    told.append('Answers of more than {:,} bytes are refused by gRPC clients that do not raise that limit; client.py '
                'does.'.format(_RECEIVED))
    told += ['', 'Try it, on a server that runs (od-patch publish prints how to start one):']
    python = _text.command(['python', os.path.join(example.folder, CLIENT)])
    if _platform.shell() != 'sh':
        return told + ['  ' + python]
    return told + ['  ' + _text.command(['sh', os.path.join(example.folder, CURL)]),
                   '  {}            # or --grpc, or images of yours'.format(python)]


def as_json(example):
    """Returns what ``lines`` tells as a dict for JSON."""
    return collections.OrderedDict([
        ('folder', example.folder), ('files', example.files), ('model_name', example.model_name),
        ('signature', example.signature), ('input', example.input._asdict()), ('url', example.url),
        ('classes', collections.OrderedDict(sorted((str(key), name) for key, name in example.names.items()))),
        ('image', example.picture),
        ('request_bytes', [collections.OrderedDict(zip(('input_type', 'way', 'bytes'), row))
                           for row in example.sizes])])


def _find(export, model_name):
    """Returns (folder with saved_model.pb, name of the model)."""
    there = _publish.versions(export)
    if there:
        folder = _publish.find_saved_model(os.path.join(export, there[max(there)]))
        home = export
    else:
        folder = _publish.find_saved_model(export)
        home = os.path.realpath(folder)
        if re.match(r'(saved_model|\d+)$', os.path.basename(home)):
            home = os.path.dirname(home)
    return folder, _publish.model_name(_publish.PublishRequest(home, model_name=model_name))


def _servable(folder, signature):
    """The ``Servable``, with the signature that is asked."""
    from od_patch.graphs import _servable as servables
    servable = servables.Servable(folder)
    if signature is not None:
        found = servable.meta_graph.signature_def
        if signature not in found:
            raise _errors.InputRefused('{} has no signature {!r} (it has {}).'.format(
                folder, signature, ', '.join(sorted(found))), 'Give one of them as --signature.')
        servable.signature_key, servable.signature = signature, found[signature]
    return servable


def _picture(image):
    """Returns (``Picture``, its bytes as a file that TensorFlow decodes)."""
    from od_patch.graphs import _images
    if image is None:
        picture, = _images.drawn(1)
        return picture, _encoded(picture, 'JPEG')
    (picture,), _ = _images.load([image], 1)
    known = False
    if not picture.name.lower().endswith('.npy'):
        with _images.pillow().open(picture.name) as opened:
            known = opened.format in _DECODED
    if not known:
        return picture, _encoded(picture, 'PNG')
    with open(picture.name, 'rb') as file:
        return picture, file.read()


def _encoded(picture, kind):
    from od_patch.graphs import _images
    return _images.encoded(picture.array, kind, **({'quality': _QUALITY} if kind == 'JPEG' else {}))


def _picture_in_words(picture, image, model_input, value, count):
    """In words, what is sent: how often, of what size, and what of it is not the user's."""
    from od_patch.graphs import _models
    pixels = model_input.kind == _models.IMAGE
    height, width = (value if pixels else picture.array).shape[:2]
    words = '{}{} ({} x {} pixels'.format('' if count == 1 else '{} times '.format(count),
                                          'a drawn scene' if image is None else picture.name, width, height)
    channels = value.shape[2] if pixels else 3
    if channels != 3:
        words += ', {} channel{}'.format(channels, '' if channels == 1 else 's')
    if image is not None and channels > max(3, picture.array.shape[2]):
        words += ', those after channel {} made up'.format(max(3, picture.array.shape[2]))
    return words + ')'


def _value(model_input, picture, encoded):
    """What one image is sent as: bytes, or an array of pixels, of the size that the model wants."""
    from od_patch.graphs import _models
    if model_input.kind == _models.IMAGE:
        return _models.batch_of(model_input, [picture])[0]
    return _client.example(encoded) if model_input.kind == _models.EXAMPLE else encoded


def _jsonable(value):
    if isinstance(value, bytes):
        return {'b64': base64.b64encode(value).decode('ascii')}
    return value.tolist()


def _body(signature, form, values):
    """The body of a REST request; of the only input that there is, columns need no name."""
    return json.dumps(collections.OrderedDict([('signature_name', signature), (form, values)]),
                      separators=(',', ':')) + '\n'


def _curl(url, body):
    return ('#!/bin/sh\n'
            '# Sends {body} to a server, and prints its answer:  sh {name} [URL]\n'
            'curl --silent --show-error --header "Content-Type: application/json" \\\n'
            '    --data-binary "@$(dirname "$0")/{body}" "${{1:-{url}}}"\n'.format(body=body, name=CURL, url=url))


def _check_free(names, output_directory, overwrite):
    _staging.check_writable(output_directory)
    for path in [os.path.join(output_directory, name) for name in names]:
        if os.path.isdir(path) or os.path.lexists(path) and not overwrite:
            raise _errors.OutputRefused('{} is there already.'.format(path),
                                        'Give another folder for the request, or --overwrite.')


def _write(files, output_directory, saved_model):
    if _staging.lies_in(output_directory, saved_model):
        raise _errors.OutputRefused('{} lies in the SavedModel.'.format(output_directory),
                                    'Give a folder elsewhere.')
    os.makedirs(output_directory, exist_ok=True)
    for name, text in files.items():
        with _staging.replacing(os.path.join(output_directory, name)) as partial:
            with io.open(partial, 'w', encoding='utf-8', newline='\n') as file:
                file.write(text)


def _sizes(model_name, signature, key, model_input, value, picture, encoded, count, files):
    """[(input type, way, bytes of the body or the message)] of the requests for as many pictures as are sent.

    Of the model's own type of input, what was written; of the others, what it would be.
    """
    from od_patch.graphs import _models
    found = []
    for kind, other in ((_models.IMAGE, picture.with_channels(3)), (_models.ENCODED, encoded),
                        (_models.EXAMPLE, _client.example(encoded))):
        if kind == model_input.kind:
            body, sent = files[next(name for name in (ROWS, COLUMNS) if name in files)], value
        else:
            body, sent = _body(signature, 'instances', [{key: _jsonable(other)}] * count), other
        found.append((kind, 'REST', len(body.strip())))
        found.append((kind, 'gRPC', _message_size(model_name, signature, key, _tensor(sent, count).ByteSize())))
    return found


def _tensor(value, count):
    """The ``TensorProto`` of a batch of so many times the same."""
    tf = _tensorflow.tf1()
    if isinstance(value, bytes):
        return tf.make_tensor_proto([value] * count, tf.string)
    return tf.make_tensor_proto(numpy.stack([value] * count))


def _message_size(model_name, signature, key, tensor):
    """Bytes of a ``PredictRequest``, whose class is in a package that need not be installed: protobuf's arithmetic."""
    def field(size):
        return 1 + len(_client.varint(size)) + size
    asked = field(len(model_name)) + field(len(signature))
    return field(asked) + field(field(len(key.encode('utf-8'))) + field(tensor))


def _shape(shape):
    return '' if shape is None else '[{}]'.format(', '.join('?' if size is None else str(size) for size in shape))
