"""A real Triton on loopback: the server and the Python backend that the wheel of nvidia-pytriton brings.

Not for: what it is asked (``test_triton``).
"""
import contextlib
import glob
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request

_STARTS_WITHIN = 400  # seconds; TensorFlow is imported in a process of the backend
_STUB = 'triton_python_backend_stub'


@contextlib.contextmanager
def running(repository, folder):
    """Context: (port of HTTP, port of gRPC) of a server that looks for new versions each second.

    Args:
        repository: str, a model repository; folder: ``pathlib.Path``, for its backends and its log.
    """
    package = os.path.dirname(importlib.util.find_spec('pytriton').origin)  # not imported: it asks for much
    server = os.path.join(package, 'tritonserver')
    backends = folder / 'backends'
    shutil.copytree(os.path.join(server, 'backends'), str(backends))
    # The backend starts this program, which has a Python in it: that of the version that runs here.
    stub = str(backends / 'python' / _STUB)
    shutil.copyfile(os.path.join(server, 'python_backend_stubs', '{}.{}'.format(*sys.version_info), _STUB), stub)
    os.chmod(stub, 0o755)
    http, grpc = free_port(), free_port()
    libraries = glob.glob(os.path.join(os.path.dirname(package), 'nvidia_pytriton.libs'))
    environment = dict(os.environ, LD_LIBRARY_PATH=os.pathsep.join(libraries + [sysconfig.get_config_var('LIBDIR')]),
                       PYTHONPATH=sysconfig.get_path('purelib'), TF_CPP_MIN_LOG_LEVEL='2')
    program = os.path.join(server, 'bin', 'tritonserver')
    os.chmod(program, 0o755)
    with open(str(folder / 'log'), 'w') as log:
        process = subprocess.Popen(
            [program, '--model-repository=' + repository, '--backend-directory=' + str(backends),
             '--model-control-mode=poll', '--repository-poll-secs=1', '--allow-metrics=false',
             '--http-address=127.0.0.1', '--http-port={}'.format(http), '--grpc-address=127.0.0.1',
             '--grpc-port={}'.format(grpc)], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.time() + _STARTS_WITHIN
        while not answers('http://127.0.0.1:{}/v2/health/ready'.format(http)):
            said = (folder / 'log').read_text(errors='replace')
            assert process.poll() is None and time.time() < until, said[-4000:]
            time.sleep(0.5)
        yield http, grpc
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def answers(url):
    """Whether a URL is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
