"""Packs a SavedModel in the layout that a hosting service's container looks for: SageMaker, KServe, Vertex AI, Triton.

An archive follows from its files alone: members sorted, no times, owners or
permissions of the machine that packed it. Whoever packs the same export again
gets the same bytes, and a store that knows files by their digest uploads nothing.

Not for: versions beside each other in a folder that a server watches
(``_publish``), nor for uploading to any of the services.
"""
import collections
import gzip
import os
import re
import shutil
import tarfile
import tempfile
import typing

from od_patch import _errors
from od_patch import _platform
from od_patch import _tensorflow
from od_patch import _text
from od_patch.saved_model import _record
from od_patch.serving import _content
from od_patch.serving import _publish
from od_patch.serving import _triton
from od_patch.staging import _digest
from od_patch.staging import _staging
from od_patch.staging import _store

_ARCHIVE = 'model.tar.gz'  # SageMaker takes no other name's word for it, but this is what its documents call it
_ARCHIVE_SUFFIXES = ('.tar.gz', '.tgz')
_SCRIPT = 'inference.py'
_LEFT_OUT = re.compile(r'(__pycache__|\..*|.*\.py[co])$')  # of a folder of code; of a SavedModel nothing is left out
# Python's gzip writes another header for other levels, and another one in other releases; this one is the same in all.
_LEVEL = 9


class Service(typing.NamedTuple):
    """What a service's container looks for."""

    name: str  # how it is written
    model_folder: str  # where the SavedModel lies in the package; {name} and {version} are filled in
    takes_code: bool  # whether Python code of the user's goes with the model
    archived: bool  # whether the service takes archives; else it takes folders
    # list of command lines, or of lines of a file, to go on with; {output}, {name} are filled in.
    next_steps: typing.Any
    # Function of (folder, name, version) that returns {path in the package: bytes} of what lies beside the SavedModel.
    beside: typing.Any = None


SERVICES = collections.OrderedDict([
    # Its container takes every saved_model.pb whose parent folder is all digits, older ones only below export/Servo.
    ('sagemaker', Service('SageMaker', 'export/Servo/{version}', True, True, (
        'aws s3 cp {output} s3://BUCKET/{name}/model.tar.gz',
        'then, as model data of a TensorFlow Serving container (sagemaker.tensorflow.TensorFlowModel): '
        's3://BUCKET/{name}/model.tar.gz'))),
    # Mounts what storageUri names at /mnt/models and starts TensorFlow Serving on that, which looks for versions there.
    ('kserve', Service('KServe', '{name}/{version}', False, False, (
        'copy the folder {output}/{name} to where the cluster reads, e.g. gs://BUCKET/{name}',
        'then, in the InferenceService: predictor: {{model: {{modelFormat: {{name: tensorflow}}, '
        'storageUri: "gs://BUCKET/{name}"}}}}'))),
    # Copies what artifactUri names into a version folder of its own.
    ('vertex', Service('Vertex AI', '', False, False, (
        'gcloud storage rsync --recursive {output} gs://BUCKET/{name}',
        'gcloud ai models upload --region=REGION --display-name={name} --artifact-uri=gs://BUCKET/{name} '
        '--container-image-uri=IMAGE'))),
    # A model repository, for the Python backend.
    ('triton', Service('Triton', '{name}/{version}', False, False, (
        'tritonserver --model-repository={output} --model-control-mode=poll',
        'its Python backend needs TensorFlow and numpy: see docs/serving.md'), _triton.files)),
])


class Packed(typing.NamedTuple):
    """A package that was written."""

    service: typing.Any  # ``Service``
    output: str  # the archive or the folder
    name: str  # of the model
    members: typing.Any  # list of (path in the package, bytes), sorted
    sha256: str  # the digest of the archive; None for a folder
    next_steps: typing.List[str]  # what to type or write next


def pack(kind, export, output, version=None, model_name=None, code=None, overwrite=False):
    """Packs the SavedModel of an export; returns ``Packed``.

    Args:
        kind: str, a key of ``SERVICES``.
        export: str, an export directory or a folder with saved_model.pb; may have a scheme that ``tf.gfile`` knows.
        output: str, the archive or the folder to write: an archive where it ends in .tar.gz or .tgz. Where the service
            takes archives and this is a folder, model.tar.gz in it.
        version: int or its digits, 'step' for the checkpoint's global step; default 1.
        model_name: str; default: the name of the export's folder.
        code: str, inference.py or a folder that holds it, or None.
        overwrite: bool, whether to replace what is there.

    Raises:
        od_patch.InputRefused: there is no SavedModel, no inference.py, or a link that leads out of them.
        od_patch.ProofFailed: the SavedModel is damaged.
        od_patch.OutputRefused: ``output`` is there, or lies in what is read.
        od_patch.UsageError: a name or version that cannot be meant, code for a service that takes none.
    """
    service = SERVICES[kind]
    export = _store.plain(export)
    output = _output(service, _store.plain(output))
    if service.beside and overwrite:
        raise _errors.UsageError(
            '--overwrite: a server may be reading the version, and {} is told of new ones only.'.format(service.name),
            'Give another --model_version.')
    if code and not service.takes_code:
        raise _errors.UsageError(
            '--code: {} takes a SavedModel and no code beside it.'.format(service.name),
            'Leave it out; "od-patch package sagemaker" takes it.')
    source = _publish.find_saved_model(export)
    with _content.local(source) as folder, tempfile.TemporaryDirectory(prefix='od-patch-') as made:
        members = _content.files_below(folder)
        _publish.prove(folder, export)
        name = _model_name(model_name, source)
        version = _publish.choose(_publish.PublishRequest(None, version), _record.read(folder) or {}, {})
        place = service.model_folder.format(name=name, version=version)
        beside = _beside(service, folder, name, version, made)
        if _is_archive(output):
            files = sorted([(_joined(place, path), file) for path, file in members] + beside + _code(code))
            _check_free(output, [folder, code], overwrite)
            _write_archive(files, output)
            digest = _digest.sha256(output)
        else:
            files = sorted([(_joined(place, path), file) for path, file in members] + beside)
            inside = place + '/' if place else ''
            _check_beside([row for row in files if not row[0].startswith(inside)], output)
            _write_folder([(path[len(inside):], file) for path, file in files if path.startswith(inside)],
                          _store.below(output, *place.split('/')) if place else output, folder, overwrite)
            _write_beside([row for row in files if not row[0].startswith(inside)], output)
            digest = None
        sizes = [(path, os.path.getsize(file)) for path, file in files]
    next_steps = [line.format(output=_text.command([output]), name=name) for line in service.next_steps]
    return Packed(service, output, name, sizes, digest, next_steps)


def as_json(packed):
    """Returns what was packed as a dict for JSON."""
    return collections.OrderedDict([
        ('service', packed.service.name), ('output', packed.output), ('model_name', packed.name),
        ('sha256', packed.sha256), ('next', packed.next_steps),
        ('members', [collections.OrderedDict([('path', path), ('bytes', size)]) for path, size in packed.members])])


def lines(packed):
    """Returns the lines that tell what was packed: every member, and what to do next."""
    what = 'the archive' if packed.sha256 else 'the folder'
    told = ['{}: {}, for {}'.format(packed.output, what, packed.service.name)]
    told += ['{:>14,}  {}'.format(size, path) for path, size in packed.members]
    if packed.sha256:
        told.append('sha256 {}'.format(packed.sha256))
    return told + ['', 'Next:'] + ['  ' + line for line in packed.next_steps]


def _output(service, output):
    """Returns the path of the archive or the folder that is meant.

    Raises:
        UsageError: the service takes another kind.
    """
    if not output:
        raise _errors.UsageError('There is no place to write to.', 'Give --output.')
    if service.archived and not _is_archive(output):
        if _store.without_slash(output) != output or _tensorflow.gfile().IsDirectory(output):
            return _store.below(output, _ARCHIVE)
        raise _errors.UsageError('--output {}: {} takes an archive.'.format(output, service.name),
                                 'Give a name that ends in .tar.gz, or a folder that is there.')
    return _store.without_slash(output) or output


def _is_archive(output):
    return output.endswith(_ARCHIVE_SUFFIXES)


def _model_name(given, source):
    """What the model is called: as given, or as the folder of the export."""
    if given is None:
        path = source if _store.is_store(source) else os.path.realpath(source)
        folder, name = os.path.split(_store.without_slash(path))
        given = name if name != 'saved_model' else os.path.basename(folder)
    name = _publish.model_name(_publish.PublishRequest('.', model_name=given))
    if not name.strip('.') or _platform.misfit(name):  # a folder of that name is another folder, or none
        raise _errors.UsageError('The model would be called {!r}.'.format(name), 'Give --model_name.')
    return name


def _joined(*parts):
    return '/'.join(part for part in parts if part)


def _code(path):
    """Returns [(path in the archive, file)] of the user's code: it lies at the archive's root."""
    if not path:
        return []
    if os.path.isfile(path) and path.endswith('.py'):
        return [('code/' + _SCRIPT, path)]
    if os.path.isdir(path):
        files = _content.files_below(path, _LEFT_OUT)
        if _SCRIPT in dict(files):
            return [('code/' + below, file) for below, file in files]
    raise _errors.InputRefused('--code {}: there is no {} there.'.format(path, _SCRIPT),
                               'Give that file, or the folder that holds it (and requirements.txt).')


def _beside(service, folder, name, version, made):
    """Returns [(path in the package, file)] of what lies beside the SavedModel, written into the folder ``made``."""
    found = []
    contents = service.beside(folder, name, version) if service.beside else {}
    for number, (path, content) in enumerate(sorted(contents.items())):
        file = os.path.join(made, str(number))
        with open(file, 'wb') as written:
            written.write(content)
        found.append((path, file))
    return found


def _check_beside(files, output):
    """Refuses a model whose files, which are there for all of its versions, are others than those of the version."""
    for path, file in files:
        place = _store.below(output, *path.split('/'))
        if _tensorflow.gfile().Exists(place) and _content_of(place) != _content_of(file):
            raise _errors.OutputRefused(
                '{} is there for all versions of the model, and this one needs another.'.format(place),
                'Give another --model_name.')


def _write_beside(files, output):
    """Writes files that are not there yet; the last one is what a server begins with."""
    for path, file in reversed(files):
        place = _store.below(output, *path.split('/'))
        if _tensorflow.gfile().Exists(place):
            continue
        if _store.is_store(place):
            _tensorflow.gfile().Copy(file, place)
        else:
            with _staging.replacing(place) as written:
                shutil.copyfile(file, written)


def _content_of(path):
    with _tensorflow.gfile().GFile(path, 'rb') as file:
        return file.read()


def _check_free(output, inputs, overwrite):
    """Refuses to replace what is there without leave, and to write into what is read with or without."""
    if _store.is_store(output):
        if _tensorflow.gfile().Exists(output) and not overwrite:
            raise _there_already(output)
        return
    for given in inputs:
        if given and _staging.lies_in(output, given):
            raise _errors.OutputRefused('{} lies in {}, which is what is packed.'.format(output, given),
                                        'Give another --output.')
    if os.path.isdir(output):
        raise _errors.OutputRefused('{} is a folder.'.format(output), 'Give another --output.')
    if os.path.lexists(output) and not overwrite:
        raise _there_already(output)


def _there_already(path):
    return _errors.OutputRefused('{} is there already.'.format(path), 'Give another --output, or --overwrite.')


def _write_archive(files, output):
    """Writes a tar.gz whole, or not at all."""
    if _store.is_store(output):
        with tempfile.TemporaryDirectory(prefix='od-patch-') as folder:
            path = os.path.join(folder, _ARCHIVE)
            _fill(files, path)
            _tensorflow.gfile().Copy(path, output, overwrite=True)
        return
    _staging.check_writable(os.path.dirname(output) or '.')
    os.makedirs(os.path.dirname(output) or '.', exist_ok=True)
    with _staging.replacing(output) as path:
        _fill(files, path)


def _fill(files, path):
    with open(path, 'wb') as raw, \
            gzip.GzipFile(filename='', mode='wb', compresslevel=_LEVEL, fileobj=raw, mtime=0) as packed, \
            tarfile.open(fileobj=packed, mode='w', format=tarfile.GNU_FORMAT) as archive:
        for name, file in files:
            # A TarInfo of our own making has time, owner and group 0 and no names.
            member = tarfile.TarInfo(name)
            member.size, member.mode = os.path.getsize(file), 0o644
            with open(file, 'rb') as content:
                archive.addfile(member, content)


def _write_folder(files, target, folder, overwrite):
    """Writes the SavedModel's files below ``target``, whole or not at all."""
    gfile = _tensorflow.gfile()
    if not _store.is_store(target):
        for one, other in ((target, folder), (folder, target)):
            if _staging.lies_in(one, other):
                raise _errors.OutputRefused('{} and {}, which is what is packed, lie in each other.'.format(
                    target, folder), 'Give another --output.')
    if gfile.Exists(target) and not gfile.IsDirectory(target):
        raise _errors.OutputRefused('{} is a file.'.format(target), 'Give a folder for --output.')
    _staging.clear(target)
    _check_empty(target, overwrite)
    _staging.check_writable(target)
    with _staging.staged(target, _staging.OF_A_SAVED_MODEL, lambda: _check_empty(target, overwrite)) as staged:
        for below, file in files:
            path = os.path.join(staged.export, *below.split('/'))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copyfile(file, path)


def _check_empty(target, overwrite):
    """Refuses to replace what is in a folder without leave."""
    gfile = _tensorflow.gfile()
    if not overwrite and gfile.Exists(target) and set(gfile.ListDirectory(target)) - {_staging.INSIDE}:
        raise _there_already(target)
