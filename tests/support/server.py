"""A process that has imported TensorFlow and the exporter, and forks one child for each command.

Imports are half of a small export's time and more; a run of hundreds of them
pays for them once. It is safe because this process never opens a session, nor, under
TensorFlow 2, makes a graph, which starts a thread: after the imports it has one
thread (it checks), and every child is a whole process of its own, with its own
signals, limits and exit status.

Run as ``python -m tests.support.server``; ``Server`` is its client.

Not for: judging what a command did.
"""
import atexit
import builtins
import importlib
import json
import mmap
import os
import pkgutil
import resource
import signal
import struct
import subprocess
import sys
import tempfile

from tests.support import garbage

# What the OD API imports beside TensorFlow, and what an export imports late. Not all are there in each environment.
_LIBRARIES = ('PIL.ImageDraw', 'matplotlib.pyplot', 'scipy.optimize', 'scipy.io', 'scipy.ndimage', 'tf_slim', 'tf_keras',
              'google_crc32c', 'tensorflow.core.protobuf.tensor_bundle_pb2')
_CALLS = ('mkdir', 'rename', 'replace', 'unlink', 'remove', 'rmdir', 'chmod', 'chown', 'fsync', 'symlink', 'link')


class Server:
    """The client's side: starts the process, and commands in it."""

    def __init__(self, python=sys.executable, imports='export'):
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='1', TF_ENABLE_ONEDNN_OPTS='0', CUDA_VISIBLE_DEVICES='',
                           OPENBLAS_NUM_THREADS='1')  # numpy's own thread is the only other one
        if imports == 'export' and sys.version_info < (3, 12):  # counting takes a sixth of an export there, 4 % in later ones
            environment['COVERAGE_PROCESS_START'] = ''
        self._process = subprocess.Popen(
            [python, '-m', 'tests.support.server', imports], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, universal_newlines=True, env=environment)
        ready = self._process.stdout.readline()
        assert ready, 'the server did not start'
        ready = json.loads(ready)
        assert ready['threads'] == 1, 'TensorFlow has started threads: forking is not safe'
        self.address_space = ready['address space']  # bytes: what a limit has to leave to every child

    def start(self, module, argv, output, environment=None, cwd=None, die=None, limits=None, errors=None):
        """Starts ``module.main`` or ``module.run`` with a command line; returns the child's process id.

        Args:
            module: str, the module whose ``run(argv)`` or ``main()`` is the command.
            argv: list of str, the program's name first.
            output: str, the file that gets what it prints.
            errors: str, the file that gets what it prints to stderr; None for the same.
            environment: dict of str; what the child's environment has beside ours.
            cwd: str, its working directory.
            die: (number, signal): at the so manieth call that changes the disk, before it; a signal of 0 only counts.
            limits: dict from name of a ``resource`` limit to its value.
        """
        return self._ask(do='start', module=module, argv=argv, output=output, errors=errors or output,
                         environment=environment or {}, cwd=cwd, die=die, limits=limits or {})['pid']

    def wait(self, pid):
        """Returns (exit status as ``subprocess`` has it, number of calls that changed the disk) of a child's end."""
        answer = self._ask(do='wait', pid=pid)
        return answer['status'], answer['calls']

    def poll(self, pid):
        """As ``wait``, or None where the child is still running."""
        answer = self._ask(do='poll', pid=pid)
        return None if answer['status'] is None else (answer['status'], answer['calls'])

    def close(self):
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def _ask(self, **request):
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError('the server is gone')
        return json.loads(answer)


def _of_this_process(what):
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what + ':'))


def _count_calls(counter, die):
    """Counts the calls of this process that change the disk, in memory that outlives it; at one of them it may die."""
    number, fatal = die
    before = {}

    def counted(function):
        def call(*args, **kwargs):
            calls = struct.unpack('q', counter[:8])[0] + 1
            counter[:8] = struct.pack('q', calls)
            if fatal and calls == number:
                os.kill(os.getpid(), fatal)
            return function(*args, **kwargs)
        return call

    def counted_open(path, mode='r', *args, **kwargs):
        return before['open' if set(mode) & set('wax+') else 'plain'](path, mode, *args, **kwargs)

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))
    before.update(open=counted(builtins.open), plain=builtins.open)
    builtins.open = counted_open
    from od_patch.staging import _staging
    from od_patch import _tensorflow
    _staging._rename_exchange = counted(_staging._rename_exchange)
    gfile = _tensorflow.gfile()
    for name in ('Copy', 'MakeDirs', 'Remove'):
        setattr(gfile, name, counted(getattr(gfile, name)))


def _run(request, counter):
    """In the child: becomes the command, and never returns."""
    handles = [os.open(os.devnull, os.O_RDONLY)] + [
        os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for name in ('output', 'errors')]
    for target, handle in enumerate(handles):
        os.dup2(handle, target)
        os.close(handle)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), 'w', buffering=1, encoding='utf-8', errors='surrogateescape')
                              for number in (1, 2))
    os.environ.update(request['environment'])
    tempfile.tempdir = None  # found anew, from TMPDIR; Python tries each folder with a file of its own
    tempfile.gettempdir()
    if request['cwd']:
        os.chdir(request['cwd'])
    for name, limit in request['limits'].items():
        resource.setrlimit(getattr(resource, name), (limit, resource.getrlimit(getattr(resource, name))[1]))
        if name == 'RLIMIT_FSIZE':
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails with EFBIG, as it does with ENOSPC
    if request['die']:
        _count_calls(counter, request['die'])
    code = 1
    try:
        module = importlib.import_module(request['module'])
        sys.argv[:] = request['argv']
        if hasattr(module, 'main') and not hasattr(module, 'run'):
            module.main()
        else:
            module.run(request['argv'])
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # pylint: disable=broad-except
        import traceback
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()  # what TensorFlow leaves to the end, such as the removal of its temporary files
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _status(waited):
    return -os.WTERMSIG(waited) if os.WIFSIGNALED(waited) else os.WEXITSTATUS(waited)


def _import(what):
    import tensorflow
    if what == 'export':
        from od_patch.environment import _environment
        from od_patch import export_inference_graph  # noqa: F401  pylint: disable=unused-import
        if tensorflow.__version__.startswith('1.'):
            _environment.require()
            _environment.import_exporter()
            importlib.import_module('object_detection.export_inference_graph')
        else:  # the exporter is imported in graph mode; what it takes from elsewhere is most of its time
            tensorflow.compat.v1.layers  # pylint: disable=pointless-statement  (Keras is imported when it is looked at)
        for name in _LIBRARIES:
            try:
                importlib.import_module(name)
            except ImportError:
                pass
    else:
        importlib.import_module(what)
    for room in ('compare', 'proof', 'terminal'):  # what commands import late
        package = importlib.import_module('od_patch.' + room)
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):
            importlib.import_module(module.name)


def _serve(what):
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # what TensorFlow prints is no answer
    garbage.look_seldom()
    _import(what)
    answers.write(json.dumps({'threads': _of_this_process('Threads'),
                              'address space': _of_this_process('VmSize') << 10}) + '\n')
    counters = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request['do'] == 'start':
            counter = mmap.mmap(-1, 8)
            pid = os.fork()
            if not pid:
                answers.close()
                _run(request, counter)
            counters[pid] = counter
            answers.write(json.dumps({'pid': pid}) + '\n')
            continue
        pid, waited = os.waitpid(request['pid'], os.WNOHANG if request['do'] == 'poll' else 0)
        if not pid:
            answers.write(json.dumps({'status': None}) + '\n')
            continue
        counter = counters.pop(pid)
        answers.write(json.dumps({'status': _status(waited), 'calls': struct.unpack('q', counter[:8])[0]}) + '\n')
        counter.close()


if __name__ == '__main__':
    _serve(sys.argv[1])
