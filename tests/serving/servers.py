"""Real servers, each on a free port of loopback: two from the package index, and tensorflow_model_server where it is.

- ``simple-tensorflow-serving``: HTTP of its own form; looks for new versions every ten seconds. It loads every name that
  it finds in the folder, lists a version before it is loaded, and gives whom names no version the one listed last.
- ``tfserver``: TensorFlow Serving's gRPC, and HTTP whose body is TensorFlow Serving's column format. It loads the
  largest version when it starts.
- ``tensorflow_model_server``: what both stand in for; the path of one is ``OD_PATCH_TFS``.

The two run in the Python that runs the tests, or in ``OD_PATCH_SERVING_PYTHON``:
requirements/serving.txt is what they need beside TensorFlow 1.12.

Not for: a server's answers; the tests judge them.
"""
import base64
import contextlib
import http.server
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

_HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.environ.get('OD_PATCH_SERVING_PYTHON') or sys.executable
TFS = os.environ.get('OD_PATCH_TFS')
_LONGEST_START = 180  # seconds


def missing():
    """Returns what keeps the two servers of the index from running here, in words; '' where nothing does."""
    program = ('import importlib.util as util, sys, tensorflow; '
               'absent = [name for name in sys.argv[1:] if not util.find_spec(name)]; '
               'absent += [] if tensorflow.__version__[:2] == "1." else ["TensorFlow 1"]; '
               'sys.exit(", ".join(absent) or 0)')
    result = subprocess.run(
        [PYTHON, '-c', program, 'simple_tensorflow_serving', 'tfserver', 'tensorflow_serving'],
        env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3'), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        universal_newlines=True)
    return result.stderr.strip().splitlines()[-1] if result.returncode else ''


class Server:
    """A server that runs.

    Attributes:
        rest_port, grpc_port: int, or None.
        log: str, the file with what it prints.
    """

    def __init__(self, process, log, rest_port=None, grpc_port=None):
        self.rest_port, self.grpc_port, self.log = rest_port, grpc_port, log
        self._process = process

    def printed(self):
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return log.read()

    def wait(self, ready, seconds=_LONGEST_START):
        """Waits until ``ready()`` is true; raises ``AssertionError`` with the log where it does not become so."""
        end = time.time() + seconds
        while time.time() < end and self._process.poll() is None:
            if ready():
                return
            time.sleep(0.1)
        raise AssertionError('not ready within {} s:\n{}'.format(seconds, self.printed()[-3000:]))

    def get(self, path):
        """Returns the answer to a GET as JSON; None where there is none."""
        try:
            with urllib.request.urlopen('http://127.0.0.1:{}{}'.format(self.rest_port, path), timeout=30) as response:
                return json.loads(response.read().decode('utf-8'))
        except (OSError, ValueError):
            return None

    def post(self, path, body):
        """Returns (status, answer as JSON or text) of a POST."""
        request = urllib.request.Request('http://127.0.0.1:{}{}'.format(self.rest_port, path),
                                         json.dumps(body).encode('ascii'), {'Content-Type': 'application/json'})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read().decode('utf-8'))
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode('utf-8', 'replace')


@contextlib.contextmanager
def simple_tensorflow_serving(models, folder, log_level='info', threaded=False):
    """Context: ``Server`` for {name of a model: its folder of versions}; ``folder`` is a private one.

    Args:
        threaded: bool, whether it answers several requests at a time; by itself it does not.
    """
    config = os.path.join(folder, 'models.json')
    with open(config, 'w') as file:
        json.dump({'model_config_list': [{'name': name, 'base_path': base, 'platform': 'tensorflow'}
                                         for name, base in sorted(models.items())]}, file)
    port, = _free_ports(1)
    command = [PYTHON, os.path.join(_HERE, 'start_stfs.py'), str(threaded), '--host', '127.0.0.1', '--port', str(port),
               '--model_config_file', config, '--enable_b64_autoconvert', 'True', '--log_level', log_level]
    with _running(command, folder, rest_port=port) as server:
        server.wait(lambda: server.get('/v1/models'))
        yield server


@contextlib.contextmanager
def tfserver(models, folder):
    """Context: ``Server`` for a folder with a folder of versions for each model."""
    port, = _free_ports(1)
    command = [PYTHON, os.path.join(_HERE, 'start_tfserver.py'), models, str(port)]
    with _running(command, folder, rest_port=port, grpc_port=port, stop=signal.SIGTERM) as server:
        server.wait(lambda: set((server.get('/models') or {}).get('models', ())) == set(os.listdir(models)))
        yield server


@contextlib.contextmanager
def tensorflow_model_server(models, folder):
    """Context: ``Server`` for {name of a model: its folder of versions}."""
    config = os.path.join(folder, 'models.config')
    with open(config, 'w') as file:
        file.write('model_config_list {{\n{}\n}}\n'.format('\n'.join(
            '  config {{ name: {} base_path: {} model_platform: "tensorflow" }}'.format(json.dumps(name), json.dumps(base))
            for name, base in sorted(models.items()))))
    grpc_port, rest_port = _free_ports(2)
    command = [TFS, '--port={}'.format(grpc_port), '--rest_api_port={}'.format(rest_port),
               '--model_config_file=' + config, '--file_system_poll_wait_seconds=1']
    with _running(command, folder, rest_port, grpc_port) as server:
        server.wait(lambda: all('AVAILABLE' in json.dumps(server.get('/v1/models/' + name)) for name in models))
        yield server


@contextlib.contextmanager
def documented_rest(models):
    """Context: a port that takes what TensorFlow Serving's documents say of its REST API: rows, columns, and base64.

    For what only tensorflow_model_server takes, where there is none. It stands in for the server, not for the model.

    Args:
        models: dict from name to a function from a list of inputs, one for each image, to {output: array}.
    """
    def value(given):
        if isinstance(given, dict):
            (key, inner), = given.items()
            return base64.b64decode(inner, validate=True) if key == 'b64' else value(inner)
        return given

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked = re.match('^/v1/models/([^/:]+):predict$', self.path)
            body = json.loads(self.rfile.read(int(self.headers['Content-Length'])).decode('utf-8'))
            if not asked or asked.group(1) not in models or self.headers['Content-Type'] != 'application/json':
                self.send_error(404)
                return
            rows = 'instances' in body
            batch = body['instances'] if rows else body['inputs']
            found = models[asked.group(1)]([value(given) for given in batch])
            found = {name: array.tolist() for name, array in found.items()}
            answer = {'outputs': found} if not rows else {
                'predictions': [{name: found[name][row] for name in found} for row in range(len(batch))]}
            answer = json.dumps(answer).encode('utf-8')
            self.send_response(200)
            self.send_header('Content-Length', str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):  # pylint: disable=arguments-differ
            pass

    server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _running(command, folder, rest_port=None, grpc_port=None, stop=signal.SIGKILL):
    log = os.path.join(folder, 'server.log')
    # What it leaves in its home and its working folder is left in ours. skitai does without some of itself in a test.
    environment = {name: value for name, value in os.environ.items() if not name.startswith('PYTEST_')}
    # As root it becomes this user, or nobody, who may not even read the folder that this checkout is in.
    environment['SUDO_USER'] = pwd.getpwuid(os.geteuid()).pw_name
    with open(log, 'wb') as stream:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            env=dict(environment, HOME=folder, TF_CPP_MIN_LOG_LEVEL='1'), start_new_session=True)
    try:
        yield Server(process, log, rest_port, grpc_port)
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.send_signal(stop)
            process.wait(timeout=5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, where it has left some
        process.wait()


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(('127.0.0.1', 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
