"""One thing to measure, in a process of its own: ``python -m benchmarks._task '{"task": …}'`` prints one line of JSON.

Not for: comparing; that is ``run.py``, which starts this.
"""
import time

_BEGAN = time.perf_counter()  # before the imports, which are part of what an export takes

import collections  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402

from benchmarks import _models  # noqa: E402

WAYS = ('upstream', 'hand edit', 'od-patch', 'od-patch, saved_model only')


class Stages:
    """Takes the time of stages, each of which ends where the next begins; an observer of od-patch."""

    keeps_output = False  # as that of the command: no profile of the graph, which nobody would read

    def __init__(self):
        self.seconds = {}
        self.cpu = {}
        self._name, self._since, self._cpu_since = 'imports', _BEGAN, 0.0

    def stage(self, name):
        now, cpu_now = time.perf_counter(), time.process_time()
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._since
        self.cpu[self._name] = self.cpu.get(self._name, 0.0) + cpu_now - self._cpu_since
        self._name, self._since, self._cpu_since = name, now, cpu_now

    def figures(self):
        """Ends the last stage; returns the seconds of each, by the clock and of CPU time."""
        self.stage('end')
        return {'wall': self.seconds, 'cpu': self.cpu}

    def finished(self, report):
        pass

    def note(self, text):
        sys.stderr.write(text + '\n')


def hand_edit(path, graph, inputs, outputs, checkpoint):
    """Writes a SavedModel as the well-known edit of ``write_saved_model`` does: restore, and let the builder save."""
    from od_patch.saved_model import _saved_model
    tf = _tensorflow()
    with graph.as_default(), tf.Session() as session:
        tf.train.Saver().restore(session, checkpoint)
        builder = tf.saved_model.builder.SavedModelBuilder(path)
        builder.add_meta_graph_and_variables(
            session, ['serve'], signature_def_map={'serving_default': _saved_model.signature(inputs, outputs)})
        builder.save()


def export(way, model, prefix, output):
    """Exports in one of ``WAYS``; od-patch's import the exporter as its commands do. Returns figures."""
    import contextlib
    import od_patch
    from od_patch import legacy
    with legacy.quick_imports() if way.startswith('od-patch') else contextlib.ExitStack():
        from object_detection import exporter
    config = _models.pipeline(model)
    stages = Stages()
    stages.stage('graph')
    if way.startswith('od-patch'):
        artifacts = ['saved_model'] if 'only' in way else None
        with od_patch.patched(exporter, artifacts=artifacts, _observer=stages):
            exporter.export_inference_graph('image_tensor', config, prefix, output)
    else:
        _time_the_release(exporter, stages, hand_edit if way == 'hand edit' else None, prefix)
        exporter.export_inference_graph('image_tensor', config, prefix, output)
    stage_times = stages.figures()
    files = {os.path.relpath(os.path.join(place, name), output): os.path.getsize(os.path.join(place, name))
             for place, _, names in os.walk(output) for name in names}
    return {'stages': stage_times, 'written': sum(files.values()), 'unread': _unread(os.path.join(output, 'saved_model')),
            'saved_model.pb': files.get(os.path.join('saved_model', 'saved_model.pb'), 0)}


def _unread(saved_model):
    """Returns the bytes of the variables that a SavedModel holds, and that no output of it reads; 0 of a frozen one."""
    from od_patch.checkpoint import _bundle
    from od_patch.graphs import _servable
    if not os.path.exists(os.path.join(saved_model, 'variables', 'variables.index')):
        return 0
    servable = _servable.Servable(saved_model)
    entries = _bundle.read_index(servable.prefix).entries
    read = {servable.restored[name].key for name in servable.needed}
    return sum(entry.size for name, entry in entries.items() if name not in read)


def _time_the_release(exporter, stages, instead, prefix):
    """Puts a clock around the release's functions, and the hand edit where it is to be measured."""
    def clocked(name, before, after=None):
        original = getattr(exporter, name)

        def function(*args, **kwargs):
            stages.stage(before)
            result = original(*args, **kwargs)
            if after:
                stages.stage(after)
            return result
        setattr(exporter, name, function)

    if instead:
        def write_saved_model(saved_model_path, frozen_graph_def, inputs, outputs):
            del frozen_graph_def
            instead(saved_model_path, inputs.graph, inputs, outputs, prefix)
        exporter.write_saved_model = write_saved_model
    clocked('profile_inference_graph', 'profile')
    clocked('write_graph_and_checkpoint', 'checkpoint', 'frozen graph')
    clocked('write_saved_model', 'saved model', 'config')


def command(arguments, folder, ends):
    """Runs ``export_inference_graph`` on a terminal; returns the seconds that it takes, and those to its first word.

    Args:
        arguments: list of str; folder: str, where it runs.
        ends: bool, whether it ends by itself soon; else it is ended at its first word.
    """
    import pty
    import select
    import signal
    ours, theirs = pty.openpty()
    before = time.perf_counter()
    process = subprocess.Popen([sys.executable, '-m', 'od_patch.export_inference_graph'] + arguments, cwd=folder,
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                               env=dict(os.environ, PYTHONPATH=os.pathsep.join(
                                   os.path.abspath(path) for path in sys.path if path)))
    os.close(theirs)
    select.select([ours], [], [])
    first = {'wall': time.perf_counter() - before, 'cpu': _cpu_of(process.pid)}
    if not ends:
        process.send_signal(signal.SIGTERM)
    try:
        while os.read(ours, 1 << 16):
            pass
    except OSError:  # how Linux says that the other end is closed
        pass
    _, _, usage = os.wait4(process.pid, 0)
    return {'first word': first, 'whole': {'wall': time.perf_counter() - before, 'cpu': usage.ru_utime + usage.ru_stime}}


def _cpu_of(pid):
    with open('/proc/{}/stat'.format(pid)) as stat:
        fields = stat.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def build(model):
    """Imports and builds the graph, and no more, as od-patch's commands import: the floor of every export."""
    from od_patch import legacy
    with legacy.quick_imports():
        from object_detection import exporter  # noqa: F401  the stage that ends here
    config = _models.pipeline(model)
    stages = Stages()
    stages.stage('graph')
    _models.build_graph(config)
    return {'stages': stages.figures()}


def load(path, image):
    """Loads a SavedModel and runs it once; returns figures."""
    with _tensorflow().Graph().as_default():
        infer, loading = _loaded(path, image, None)
        return {'load': loading, 'first': infer()}


def steady(paths, image, runs, optimized):
    """Runs SavedModels in turns, in one process; returns figures: of each way, the seconds of each turn.

    In one process, because two processes of the same SavedModel differ by more
    than a tenth: to compare what they ran would be to compare the processes.

    Args:
        paths: {str: str}, way to folder of its SavedModel.
        image: int, height and width of the image that is fed, in pixels.
        runs: int, number of turns that count, after a first one that does not.
        optimized: bool, False switches all of TensorFlow's graph optimizations off, and to one thread: for every way
            alike, as TensorFlow 1.12 is not to be trusted with several.
    """
    from od_patch.graphs import _sessions
    tf = _tensorflow()
    config = tf.ConfigProto() if optimized else _sessions.unoptimized_config()
    infer = collections.OrderedDict()
    for way, path in paths.items():
        with tf.Graph().as_default():
            infer[way], _ = _loaded(path, image, config)
    turns = collections.OrderedDict((way, []) for way in paths)
    ways = list(paths)
    for turn in range(runs + 1):
        for way in ways[turn % len(ways):] + ways[:turn % len(ways)]:  # none is always the first
            turns[way].append(infer[way]())
    return {'turns': {way: times[1:] for way, times in turns.items()}}


def _tensorflow():
    from od_patch import _tensorflow as tensorflow
    return tensorflow.tf1()


def _loaded(path, image, config):
    """Loads a SavedModel into the default graph.

    Returns:
        (a function that infers once and returns its seconds, the seconds that loading took).
    """
    import numpy as np
    tf = _tensorflow()
    picture = np.random.RandomState(0).randint(0, 256, size=(1, image, image, 3)).astype(np.uint8)
    session = tf.Session(config=config)
    before = _clocks()
    signature = tf.saved_model.loader.load(session, ['serve'], path).signature_def['serving_default']
    loading = _since(before)
    fetches = sorted(info.name for info in signature.outputs.values())
    feed = {signature.inputs['inputs'].name: picture}

    def infer():
        before = _clocks()
        session.run(fetches, feed)
        return _since(before)
    return infer, loading


def _clocks():
    return time.perf_counter(), time.process_time()


def _since(before):
    """Returns the seconds since ``before``, by the clock and of CPU time of all threads."""
    now = _clocks()
    return {'wall': now[0] - before[0], 'cpu': now[1] - before[1]}


def many(model, folder, output):
    """Exports all checkpoints of a folder; returns seconds of each, and of ``cp`` on what it wrote."""
    import od_patch
    from object_detection import exporter
    config = _models.pipeline(model)

    class Observer(Stages):
        """Takes the time of each checkpoint, and of a copy of what came out of it, in turns."""

        def __init__(self):
            super().__init__()
            self.each = []
            self.copies = []
            self._before = None

        def progress(self, done, total, name):
            self._before = _clocks()

        def checkpoint(self, result):
            self.each.append(_since(self._before))
            place = os.path.join(output, str(result.step))
            self.copies.append(copy(place, place + '.copy'))

    observer = Observer()
    observer.stage('graph')
    with od_patch.patched(exporter, all_checkpoints=True, _observer=observer):
        exporter.export_inference_graph('image_tensor', config, folder, output)
    return {'stages': observer.figures(), 'each': observer.each, 'cp': observer.copies}


def copy(source, destination):
    """Copies a folder with ``cp``; returns the seconds it took, by the clock and of CPU time."""
    before, usage = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.check_call(['cp', '-r', source, destination])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {'wall': time.perf_counter() - before,
            'cpu': after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime}


def main():
    request = json.loads(sys.argv[1], object_pairs_hook=collections.OrderedDict)
    model = _models.MODELS[request['model']]
    task = request['task']
    if task == 'checkpoints':
        result = _models.write_checkpoints(model, request['folder'], request['steps'], request['with_slots'])
    elif task == 'build':
        result = build(model)
    elif task == 'command':
        result = command(request['arguments'], request['folder'], request['ends'])
    elif task == 'load':
        result = load(request['path'], model.image)
    elif task == 'steady':
        result = steady(request['paths'], model.image, model.runs, request['optimized'])
    elif task == 'many':
        result = many(model, request['folder'], request['output'])
    else:
        result = export(task, model, request['prefix'], request['output'])
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result.update(wall=time.perf_counter() - _BEGAN, cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss * 1024)
    sys.stdout.write('\n' + json.dumps(result) + '\n')


if __name__ == '__main__':
    main()
