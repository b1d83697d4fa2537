"""The lines that start a server on what was published, and the one that tries it: to be pasted as they are.

Not for: a client program, nor for real images; that is ``--example_request``.
"""
import base64
import collections
import json
import os

from od_patch import _pixels
from od_patch import _platform
from od_patch import _text
from od_patch.staging import _store

GRPC_PORT = 8500
REST_PORT = 8501
# The smallest PNG there is, one black pixel: models bring images to their own size.
_PIXEL = base64.b64decode(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mNgYGAAAAAEAAHI6uv5AAAAAElFTkSuQmCC')
_MOST_TYPED = 400  # characters of a body that is typed out; a longer one is made by Python


def server(published):
    """Returns [(what it is, command line)] that serve a version: in a container, and without one.

    Args:
        published: ``_publish.Published``.
    """
    base = published.base if _store.is_store(published.base) else os.path.abspath(published.base)
    flags = ['--model_name=' + published.model_name, '--model_base_path=' + base]
    docker = ['docker', 'run', '--rm', '-p', '{0}:{0}'.format(GRPC_PORT), '-p', '{0}:{0}'.format(REST_PORT)]
    if _store.is_store(base):
        docker += ['tensorflow/serving'] + flags  # which come after those that the image gives, and count
    else:
        source = 'source=' + base
        docker += ['--mount', 'type=bind,{},target=/models/{},readonly'.format(
            '"{}"'.format(source.replace('"', '""')) if set(source) & set(',"') else source, published.model_name),
                   '-e', 'MODEL_NAME=' + published.model_name, 'tensorflow/serving']
    plain = ['tensorflow_model_server', '--port={}'.format(GRPC_PORT), '--rest_api_port={}'.format(REST_PORT)] + flags
    return [('docker', _text.command(docker)), ('server', _text.command(plain))]


def trial(published):
    """Returns the command line of a first request, with images of next to nothing; None where it takes more than that.

    Args:
        published: ``_publish.Published``.
    """
    if published.input is None:
        return None
    url = 'http://localhost:{}/v1/models/{}:predict'.format(REST_PORT, published.model_name)
    body, made_by = _body(published.input, published.rows)
    if _platform.shell() != 'sh':  # of what curl, cmd and each PowerShell make of quotes in a body, no two are alike
        return _text.python(
            'import json, urllib.request as web; '
            'print(web.urlopen({!r}, json.dumps({}).encode()).read().decode())'.format(url, made_by))
    if len(body) <= _MOST_TYPED:
        return _text.command(['curl', '-d', body, url])
    made_by = 'import json; print(json.dumps({}))'.format(made_by)
    return '{} | {}'.format(_text.command(['python3', '-c', made_by]), _text.command(['curl', '-d', '@-', url]))


def _body(model_input, rows):
    """Returns (JSON of a REST request, in rows or in columns where rows are not taken; it as Python has it)."""
    from od_patch.graphs import _models
    form = 'instances' if rows else 'inputs'
    if model_input.kind == _models.IMAGE:
        batch, height, width = [size or 1 for size in (model_input.shape or [None] * 4)[:3]]
        channels = _pixels.channels_of(model_input.shape)
        made_by = '{{{!r}: [[[[0] * {}] * {}] * {}] * {}}}'.format(
            form, channels, width, height, batch)
        return json.dumps({form: [[[[0] * channels] * width] * height] * batch}), made_by
    value = _PIXEL
    if model_input.kind == _models.EXAMPLE:
        value = _models.example_of(value, 1, 1)
    instance = {'b64': base64.b64encode(value).decode('ascii')}
    if model_input.shape is not None and not model_input.shape:
        return json.dumps({form: instance}), '{{{!r}: {!r}}}'.format(form, instance)
    batch = (model_input.shape or [None])[0] or 1
    return json.dumps({form: [instance] * batch}), '{{{!r}: [{!r}] * {}}}'.format(form, instance, batch)


def lines(published):
    """Returns the lines that tell of a published version: what, where, and what to type next."""
    told = ['Published version {} of {}: {}'.format(published.version, published.model_name, published.path)]
    if published.removed:
        told.append('Removed version{} {}'.format('' if len(published.removed) == 1 else 's', ', '.join(
            map(str, published.removed))))
    told += ['Note: ' + note for note in published.notes]
    told.append('')
    told += ['{:<8}{}'.format(name, line) for name, line in server(published)]
    request = trial(published)
    if request:
        told.append('{:<8}{}'.format('try it', request))
    return told


def as_json(published):
    """Returns what ``lines`` tells as a dict for JSON."""
    told = collections.OrderedDict(
        (name, getattr(published, name)) for name in ('version', 'path', 'model_name', 'num_bytes', 'removed', 'notes'))
    told.update(server(published))
    told['try_it'] = trial(published)
    return told
