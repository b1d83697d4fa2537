"""A real Triton serves what ``od-patch package triton`` writes: HTTP, gRPC, and another version under load.

Not for: what is written (``tests/serving/test_triton``).
"""
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy
import pytest
from PIL import Image

import od_patch
from tests.batch import triton_server
from tests.support import needs
from tests.support import shapes

if importlib.util.find_spec('pytriton') is None:
    needs.missing('the server of nvidia-pytriton: requirements/triton.txt')


def package(export, repository, version):
    subprocess.run([sys.executable, '-m', 'od_patch.cli', 'package', 'triton', export, '--output', repository,
                    '--model_name=shapes', '--model_version={}'.format(version)], check=True,
                   stdout=subprocess.DEVNULL)


@pytest.fixture(scope='module')
def repository(export, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('triton') / 'repository')
    package(export, folder, 1)
    return folder


@pytest.fixture(scope='module')
def server(repository, tmp_path_factory):
    """(port of HTTP, port of gRPC)"""
    with triton_server.running(repository, tmp_path_factory.mktemp('server')) as ports:
        yield ports


@pytest.fixture(scope='module')
def picture():
    """uint8 [1, height, width, 3]"""
    path = os.path.join(shapes.FOLDER, 'held-out-1000001.png')
    return numpy.asarray(Image.open(path).convert('RGB'))[None]


@pytest.fixture(scope='module')
def alone(export, picture):
    """The boxes and scores of a single process."""
    with od_patch.Detector(export) as detector:
        outputs, = detector._run([_Fitted(picture[0])])
    return outputs


class _Fitted:
    """What a ``Detector`` gives its model."""

    def __init__(self, array):
        self.array = array

    def with_channels(self, _):
        return self.array


def asked(port, array, version=''):
    """(version that answered, {key: array}) of the images of a batch over HTTP, with the pixels behind the JSON."""
    header = json.dumps({'inputs': [{
        'name': 'inputs', 'shape': list(array.shape), 'datatype': 'UINT8',
        'parameters': {'binary_data_size': array.nbytes}}]}).encode()
    request = urllib.request.Request(
        'http://127.0.0.1:{}/v2/models/shapes{}/infer'.format(port, version), header + array.tobytes(),
        {'Inference-Header-Content-Length': str(len(header))})
    with urllib.request.urlopen(request, timeout=120) as answer:
        found = json.loads(answer.read().decode())
    return found['model_version'], {row['name']: numpy.array(row['data']).reshape(row['shape']) for row in found['outputs']}


def check(found, alone):
    assert set(alone) <= set(found)
    for key in alone:
        numpy.testing.assert_allclose(found[key][0], alone[key], atol=1e-4, err_msg=key)


def test_it_answers_over_http(server, picture, alone):
    version, found = asked(server[0], picture)
    check(found, alone)
    assert version in ('1', '2') and found['num_detections'].shape == (1, 1)  # tests come in any order
    _, both = asked(server[0], numpy.concatenate([picture, picture]))
    for key in alone:
        numpy.testing.assert_allclose(both[key][1], alone[key], atol=1e-4)


def test_it_answers_over_grpc(server, picture, alone):
    grpc = needs.module('tritonclient.grpc')
    client = grpc.InferenceServerClient('127.0.0.1:{}'.format(server[1]))
    given = grpc.InferInput('inputs', list(picture.shape), 'UINT8')
    given.set_data_from_numpy(picture)
    answer = client.infer('shapes', [given])
    check({key: answer.as_numpy(key) for key in alone}, alone)


def test_the_labels_are_in_its_config(server):
    with urllib.request.urlopen('http://127.0.0.1:{}/v2/models/shapes/config'.format(server[0]), timeout=60) as answer:
        parameters = json.loads(answer.read().decode())['parameters']
    assert json.loads(parameters['labels']['string_value'])['3'] == 'triangle'


def test_a_wrong_request_is_an_error_and_the_server_goes_on(server, picture, alone):
    with pytest.raises(urllib.error.HTTPError):
        asked(server[0], picture[:, :, :, :2])
    check(asked(server[0], picture)[1], alone)


def test_another_version_comes_without_a_failed_request(server, repository, export, picture, alone):
    seen, failed, ended = [], [], threading.Event()

    def load():
        while not ended.is_set():
            try:
                version, found = asked(server[0], picture)
                check(found, alone)
                seen.append(version)
            except Exception as error:  # pylint: disable=broad-except
                failed.append(repr(error))
    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    package(export, repository, 2)
    until = time.time() + 400
    while '2' not in seen and time.time() < until:
        time.sleep(0.5)
    ended.set()
    for thread in threads:
        thread.join()
    assert not failed and seen[0] == '1' and seen[-1] == '2'
