"""A real S3: moto's server, which runs in a Python of its own, behind a proxy; and commands that work on it."""
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree

import pytest

from tests.stores import proxy as proxies
from tests.support import needs
from tests.support import server as fork_server

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_MOTO = os.environ.get('OD_PATCH_MOTO') or shutil.which('moto_server')
_PATIENCE = 60  # seconds
# moto looks whether somebody is named, and not at the signature.
_AUTHORIZATION = ('AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0')

Done = collections.namedtuple('Done', ['status', 'text'])


class Store:
    """A bucket, and commands that work on it.

    Attributes:
        proxy: ``proxies.Proxy`` that all requests of the commands go through.
        bucket: str, its path, such as s3://bucket-1.
    """

    def __init__(self, port, commands, folder, proxy):
        self._port, self._commands, self._folder, self.proxy = port, commands, folder, proxy
        self._number = 0
        self.bucket = None

    def new_bucket(self):
        self._number += 1
        name = 'bucket-{}'.format(self._number)
        self._ask('PUT', name)
        self.bucket = 's3://' + name
        self.proxy.reset()

    def content(self, below=''):
        """{key: bytes} of all objects, but for those that stand for empty folders."""
        name = self.bucket[len('s3://'):]
        found = {}
        token = ''
        while True:
            listed = xml.etree.ElementTree.fromstring(self._ask('GET', name + '?list-type=2&prefix=' + below + token))
            space = re.match(r'\{.*\}', listed.tag).group()
            for key in (entry.find(space + 'Key').text for entry in listed.findall(space + 'Contents')):
                if not key.endswith('/'):
                    found[key] = self._ask('GET', '{}/{}'.format(name, urllib.parse.quote(key)))
            following = listed.find(space + 'NextContinuationToken')
            if following is None:
                return found
            token = '&continuation-token=' + urllib.parse.quote(following.text, '')

    def put(self, key, data=b''):
        self._ask('PUT', '{}/{}'.format(self.bucket[len('s3://'):], urllib.parse.quote(key)), data)

    def delete(self, key):
        self._ask('DELETE', '{}/{}'.format(self.bucket[len('s3://'):], urllib.parse.quote(key)))

    def start(self, *words, module='od_patch.cli'):
        """Starts a command; returns a function that waits for its end and returns ``Done``."""
        handle, output = tempfile.mkstemp(dir=self._folder)
        os.close(handle)
        pid = self._commands.start(module, ['command'] + [str(word) for word in words], output, environment={
            'S3_ENDPOINT': self.proxy.address, 'S3_USE_HTTPS': '0', 'S3_VERIFY_SSL': '0', 'AWS_REGION': 'us-east-1',
            'AWS_ACCESS_KEY_ID': 'key', 'AWS_SECRET_ACCESS_KEY': 'secret', 'TMPDIR': self._folder})

        def wait():
            end = time.time() + _PATIENCE
            while True:
                answer = self._commands.poll(pid)
                if answer:
                    with open(output, encoding='utf-8', errors='replace') as text:
                        return Done(answer[0], text.read())
                assert time.time() < end, 'the command does not end'
                time.sleep(0.005)
        wait.pid = pid
        return wait

    def run(self, *words, **options):
        return self.start(*words, **options)()

    def stage(self, folder, place, *flags):
        return self.start(folder, place, *flags, module='tests.stores.stage')

    def _ask(self, method, path, data=None):
        request = urllib.request.Request(
            'http://127.0.0.1:{}/{}'.format(self._port, path), data, {
                'Authorization': _AUTHORIZATION, 'Content-Type': 'application/octet-stream'}, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read()


@pytest.fixture(scope='session')
def _moto():
    """The port of moto's server."""
    pytest.importorskip('tensorflow')
    if not _MOTO:
        needs.missing('no moto_server; OD_PATCH_MOTO says where one is:  tox -e stores')
    environment = {name: value for name, value in os.environ.items() if not name.startswith('PYTHON')}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([_MOTO, '-H', '127.0.0.1', '-p', '0'], stdout=log, stderr=subprocess.STDOUT,
                                   env=environment)
        try:
            for _ in range(600):
                log.seek(0)
                found = re.search(br'Running on http://127\.0\.0\.1:(\d+)', log.read())
                if found:
                    break
                assert process.poll() is None, 'moto ended'
                time.sleep(0.1)
            yield int(found.group(1))
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope='session')
def _commands():
    with fork_server.Server(imports='od_patch.cli') as server:
        yield server


@pytest.fixture(scope='session')
def exports(tmp_path_factory):
    """Two small exports, ``old`` and ``new``, that share no file; only the new one is fit for anything."""
    folder = tmp_path_factory.mktemp('exports')
    program = 'import sys; from tests.support import inputs; inputs.make(sys.argv[1])'
    made = folder / 'made'
    made.mkdir()
    subprocess.check_call([sys.executable, '-c', program, str(made)], cwd=_ROOT, stderr=subprocess.DEVNULL)
    shutil.rmtree(str(made / 'export' / 'images'))
    for name in ('model.ckpt.meta', 'model.ckpt.data-00000-of-00001', 'pipeline.config'):  # each costs forty requests
        os.unlink(str(made / 'export' / name))
    os.rename(str(made / 'export'), str(folder / 'new'))
    shutil.rmtree(str(made))
    shutil.copytree(str(folder / 'new'), str(folder / 'old'))
    for path in (folder / 'old').rglob('*'):
        if path.is_file():
            path.write_bytes(b'of the old one' + path.read_bytes())
    (folder / 'old' / 'inference_graph.pbtxt').write_text('of the old one')
    (folder / 'old' / 'saved_model' / 'assets').mkdir()
    (folder / 'old' / 'saved_model' / 'assets' / 'of-the-old.txt').write_text('of the old one')
    return folder


@pytest.fixture(scope='session')
def _store(_moto, _commands, tmp_path_factory):
    proxy = proxies.Proxy(_moto)
    yield Store(_moto, _commands, str(tmp_path_factory.mktemp('tmp')), proxy)
    proxy.close()


@pytest.fixture
def store(_store):
    _store.new_bucket()
    yield _store
    _store.proxy.reset()
