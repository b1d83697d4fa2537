"""Assemble a `models/research`-shaped folder of the TF Object Detection API from packages of the Python index.

For the demo and the tests, which need the OD API of several years and cannot ask everybody for a git checkout of each:

    python tools/assemble_models.py C build/models/C        # prints what to put on PYTHONPATH, on one line

The packages' declared dependencies contradict each other and today's machines, so nothing is ever resolved or
installed: the pinned files are downloaded (`pip download --no-deps --require-hashes`), and their files are laid out
byte for byte, CRLF line ends included, as a checkout's `research/` folder has them.

This is not an installer of the OD API, and od-patch itself never imports it. A real checkout does everything that a
folder made here does, and `protoc` has no part in it: the `*_pb2.py` files come out of the packages.
"""

import argparse
import collections
import hashlib
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

Package = collections.namedtuple('Package', ['requirement', 'filename', 'sha256'])

# Take from `package` every file below the folder `source` whose path matches `pattern`, to the folder `target`.
Take = collections.namedtuple('Take', ['package', 'source', 'target', 'pattern'])
Vintage = collections.namedtuple('Vintage', ['summary', 'takes', 'path_entries'])

# A pip that prepares the metadata of a source distribution (all do) runs its setup.py. `--require-hashes` is what
# makes this the code that was read when the hash was written down here, and no other.
PACKAGES = {
    'A': Package('object-detection==0.0.3',
                 'object_detection-0.0.3-py3-none-any.whl',
                 'a487aa0eada8105a9bb026b0993f251f6e0b8b0ae8fb69c2de3381394aa49b9c'),
    'B': Package('tensorflow-object-detection-api==0.1.1',
                 'tensorflow_object_detection_api-0.1.1.tar.gz',
                 'b0cf49b624379175e4fc5eab0aaef78017cb5522f706dcc252beec38f18e349e'),
    'C': Package('tf-object-detection==0.0.3',
                 'tf_object_detection-0.0.3-py3-none-any.whl',
                 '4cbb2cbe45d20f466cb1ae81eec5d8847d61bb1eb468c14657c0a6a121f90b42'),
    'D': Package('tf-models-research-object-detection==2.8.0.post1',
                 'tf_models_research_object_detection-2.8.0.post1.tar.gz',
                 'c701ea455646553a64c5f161641e8d5a94054b162b81961dcfff3dd619870004'),
}

_ALL = r'.*'


def _whole(package, *folders):
    return [Take(package, folder, folder, _ALL) for folder in folders]


# A and B were published without slim, whose `nets` every feature extractor imports and whose `deployment` the legacy
# trainer imports; C has them, from the same year. A was published without compiled protos; those of B, a month
# younger, describe the same messages.
VINTAGES = collections.OrderedDict([
    ('A', Vintage('early 2019, the exporter of r1.13.0, for TF 1.x',
                  _whole('A', 'object_detection') +
                  [Take('B', 'object_detection/protos', 'object_detection/protos', r'[^/]*_pb2\.py')] +
                  _whole('C', 'nets', 'deployment'),
                  ['.'])),
    ('B', Vintage('spring 2019, for TF 1.x',
                  _whole('B', 'object_detection') + _whole('C', 'nets', 'deployment'),
                  ['.'])),
    ('C', Vintage('summer 2019, for TF 1.x',
                  _whole('C', 'object_detection', 'nets', 'deployment', 'preprocessing', 'datasets'),
                  ['.'])),
    ('D', Vintage('2022, for TF 1.15 and 2.x',
                  _whole('D', 'object_detection', 'slim'),
                  ['.', 'slim'])),
])

MARKER = 'assembled_models.json'
_LAYOUT = 1  # Part of the marker: raise it when the same packages are laid out in another way.
_STALE_SECONDS = 3600


class AssemblyError(Exception):
    """The folder cannot be made; the text says what was found, what was expected and what to type next."""


def assemble(vintage, destination, downloads=None, say=None):
    """Makes `destination` the research folder of `vintage`, or leaves it alone if it is that already.

    Args:
        vintage: a key of VINTAGES.
        destination: path of the folder to make. It may be missing, empty, or made by an earlier call.
        downloads: folder that is looked into for the packages' files and gets those that were not there; None
            downloads to a temporary folder (pip's own cache still applies).
        say: called with one line of progress at a time.

    Returns:
        The absolute paths to put on PYTHONPATH (or sys.path), in this order.

    Raises:
        AssemblyError: in every case that somebody can do something about. `destination` is then as it was.
    """
    say = say or (lambda line: None)
    if vintage not in VINTAGES:
        raise AssemblyError('no vintage {!r} of the OD API is known here: give one of {}'.format(
            vintage, ', '.join(VINTAGES)))
    destination = os.path.abspath(destination)
    marker = _marker(vintage)
    if _is_complete(destination, marker):
        say('{} is complete already'.format(destination))
        return _path_entries(vintage, destination)
    _check_replaceable(destination)
    parent, name = os.path.split(destination)
    os.makedirs(parent, exist_ok=True)
    _remove_leftovers(parent, name)
    # Next to the destination, so that the rename that makes it appear stays inside one file system.
    workshop = tempfile.mkdtemp(prefix=_workshop_prefix(name), dir=parent)
    try:
        files = _fetch(sorted({take.package for take in VINTAGES[vintage].takes}),
                       downloads or os.path.join(workshop, 'downloads'), say)
        built = os.path.join(workshop, 'research')
        os.mkdir(built)
        say('laying out {} ({})'.format(vintage, VINTAGES[vintage].summary))
        marker['files'] = _lay_out(VINTAGES[vintage].takes, files, built)
        with open(os.path.join(built, MARKER), 'w', encoding='utf-8', newline='\n') as stream:
            json.dump(marker, stream, indent=1, sort_keys=True)
        _move_into_place(built, destination, marker, os.path.join(workshop, 'replaced'))
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    say('{}: {} files'.format(destination, len(marker['files'])))
    return _path_entries(vintage, destination)


def _path_entries(vintage, destination):
    return [os.path.normpath(os.path.join(destination, entry)) for entry in VINTAGES[vintage].path_entries]


def _marker(vintage):
    takes = VINTAGES[vintage].takes
    return {
        'made by': 'tools/assemble_models.py of od-patch',
        'layout': _LAYOUT,
        'vintage': vintage,
        'packages': {PACKAGES[key].filename: PACKAGES[key].sha256 for key in {take.package for take in takes}},
        'takes': [list(take) for take in takes],
    }


def _read_marker(folder):
    try:
        with open(os.path.join(folder, MARKER), encoding='utf-8') as stream:
            marker = json.load(stream)
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def _is_complete(folder, marker):
    """Whether `folder` was made from `marker`'s packages and still has every file (an edited length counts as lost)."""
    found = _read_marker(folder)
    if found is None or any(found.get(key) != value for key, value in marker.items() if key != 'files'):
        return False
    try:
        return all(os.path.getsize(os.path.join(folder, *path.split('/'))) == size
                   for path, size in found['files'].items())
    except (OSError, KeyError, AttributeError):
        return False


def _check_replaceable(destination):
    if not os.path.lexists(destination):
        return
    if os.path.isdir(destination) and not os.path.islink(destination):
        if not os.listdir(destination) or _read_marker(destination) is not None:
            return
        found = 'a folder with other files in it'
    else:
        found = 'a link' if os.path.islink(destination) else 'a file'
    raise AssemblyError(
        '{} is {}, and only a folder that this helper made (it holds {}) is ever replaced. '
        'Give another destination, or move that one away.'.format(destination, found, MARKER))


def _workshop_prefix(name):
    return '.{}.assembling-'.format(name)


def _remove_leftovers(parent, name):
    """Removes what killed runs left; the age keeps it off the work of one that still runs."""
    for entry in os.listdir(parent):
        path = os.path.join(parent, entry)
        if entry.startswith(_workshop_prefix(name)) and time.time() - os.path.getmtime(path) > _STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def _fetch(keys, folder, say):
    """Returns {package key: path of its file}, each with the hash that is pinned here."""
    os.makedirs(folder, exist_ok=True)
    files = {}
    for key in keys:
        package = PACKAGES[key]
        path = os.path.join(folder, package.filename)
        if not (os.path.isfile(path) and _sha256(path) == package.sha256):
            say('downloading {}'.format(package.requirement))
            _pip_download(package, folder)
            found = _sha256(path) if os.path.isfile(path) else 'no such file'
            if found != package.sha256:
                raise AssemblyError('{}: found sha256 {}, expected {}. Remove the file and try again.'.format(
                    path, found, package.sha256))
        files[key] = path
    return files


def _pip_download(package, folder):
    handle, requirements = tempfile.mkstemp(prefix='assemble_models-', suffix='.txt')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8', newline='\n') as stream:
            stream.write('{} --hash=sha256:{}\n'.format(package.requirement, package.sha256))
        environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK='1')
        # A constraint without hashes would make --require-hashes fail for a reason that is not ours.
        environment.pop('PIP_CONSTRAINT', None)
        environment.pop('PIP_REQUIREMENT', None)
        command = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--require-hashes',
                   '--ignore-requires-python', '--dest', folder, '--requirement', requirements]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=environment)
    finally:
        os.remove(requirements)
    if done.returncode:
        output = done.stdout.decode('utf-8', 'replace').strip().splitlines()
        raise AssemblyError(
            'pip could not download {0}. Its last words:\n{1}\n'
            'Expected {2} (sha256 {3}). Try `{4} -m pip download --no-deps {0}` by hand; or put that file into a '
            'folder and name it with --downloads.'.format(
                package.requirement, '\n'.join('    ' + line for line in output[-12:]), package.filename,
                package.sha256, sys.executable))


def _members(path):
    """Yields (path inside the package, function that returns its bytes) for every regular file of a package."""
    if path.endswith('.whl'):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith('/'):
                    yield info.filename, lambda info=info: archive.read(info)
    else:
        with tarfile.open(path) as archive:
            for info in archive:
                if info.isfile():  # A link could lead out of the destination, and these packages have none.
                    # A source distribution wraps everything in one folder, name-version.
                    inner = info.name.split('/', 1)[1] if '/' in info.name else ''
                    yield inner, lambda info=info: archive.extractfile(info).read()


def _lay_out(takes, files, folder):
    """Writes what `takes` ask for below `folder` and returns {path with slashes: size}."""
    written = {}
    for take in takes:
        count = 0
        for name, read in _members(files[take.package]):
            if not name.startswith(take.source + '/'):
                continue
            rest = name[len(take.source) + 1:]
            if not re.match(r'(?:{})\Z'.format(take.pattern), rest):
                continue
            target = posixpath.join(take.target, rest)
            path = _inside(folder, target, files[take.package])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            content = read()
            with open(path, 'wb') as stream:
                stream.write(content)
            written[target] = len(content)
            count += 1
        if not count:
            raise AssemblyError('{} has no {}/ with files named {}: the table in {} does not fit the package.'.format(
                files[take.package], take.source, take.pattern, os.path.basename(__file__)))
    return written


def _inside(folder, target, package_file):
    parts = target.split('/')
    if any(part in ('', '.', '..') or '\\' in part or ':' in part or '\0' in part for part in parts):
        raise AssemblyError('{} holds a file named {!r}, which would leave the destination. Nothing was written '
                            'there; remove the package.'.format(package_file, target))
    return os.path.join(folder, *parts)


def _rename(source, destination):
    """As ``os.rename``; on Windows, for two seconds while a virus scanner has a file open in the folder."""
    for wait in [0.1] * 20 + [None]:
        try:
            os.rename(source, destination)
            return
        except OSError as error:
            if getattr(error, 'winerror', None) not in (5, 32) or wait is None:
                raise
        time.sleep(wait)


def _move_into_place(built, destination, marker, aside):
    if os.path.isdir(destination):
        if _is_complete(destination, marker):
            return  # Somebody else finished the same folder while we worked.
        _rename(destination, aside)  # Inside the workshop, which goes away; back again if the next step fails.
    try:
        _rename(built, destination)
    except OSError as error:
        if _is_complete(destination, marker):
            return
        if os.path.isdir(aside) and not os.path.lexists(destination):
            _rename(aside, destination)
        raise AssemblyError('could not move the finished folder to {}: {}. Check who else writes there and try '
                            'again.'.format(destination, error))


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description='Assemble a models/research-shaped folder of the TF Object Detection API and print what to put '
                    'on PYTHONPATH.',
        epilog='vintages: ' + '; '.join('{} = {}'.format(key, vintage.summary) for key, vintage in VINTAGES.items()))
    parser.add_argument('vintage', choices=list(VINTAGES))
    parser.add_argument('destination', help='the folder to make; left alone when it is complete already')
    parser.add_argument('--downloads', metavar='FOLDER',
                        help='take package files from this folder, and keep those that had to be downloaded there')
    options = parser.parse_args(arguments)
    try:
        entries = assemble(options.vintage, options.destination, options.downloads,
                           say=lambda line: print(line, file=sys.stderr, flush=True))
    except AssemblyError as error:
        print('assemble_models: {}'.format(error), file=sys.stderr)
        return 1
    except OSError as error:
        print('assemble_models: {}. Check the path, its permissions and the free space, and try again.'.format(error),
              file=sys.stderr)
        return 1
    print(os.pathsep.join(entries))
    return 0


if __name__ == '__main__':
    sys.exit(main())
