"""Makes everything of this example that is not source: draws, trains, drops the optimizer's slots, exports, measures.

    python examples/shapes/train.py --work build/shapes                              # once more, to build/shapes/result
    python examples/shapes/train.py --work build/shapes --output examples/shapes     # replace what is committed
    python examples/shapes/train.py --work /tmp/try --steps 5 --drawings 64 --held_out 20   # does it run at all?

The training is the OD API's own (`object_detection/legacy/train.py`, TF 1.12 to 1.15), the exports that are measured
come from its own, unpatched `export_inference_graph.py`. Nothing here is part of od-patch. Drawings repeat exactly;
training does not, since the trainer draws its initial weights and shuffles without a seed.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = 'shapes_ssd_mobilenet_v1.config'
LABEL_MAP = 'shapes_label_map.pbtxt'

# The optimizer keeps these beside every weight (the slots) or once (the powers); nobody exports them.
_OPTIMIZER_STATE = ('Adam', 'Adam_1', 'beta1_power', 'beta2_power')
_AVERAGE = '/ExponentialMovingAverage'

_STEP = re.compile(r'global step (\d+): loss = ([\d.]+) \(([\d.]+) sec/step\)')


class TrainingError(Exception):
    """The text says what was found, what was expected and what to type next."""


def say(line):
    print(line, flush=True)


def od_api_paths(models, work):
    """What to put on PYTHONPATH for an OD API: the given checkout, the one that is there already, or a made one."""
    if models:
        if not os.path.isfile(os.path.join(models, 'object_detection', 'legacy', 'train.py')):
            raise TrainingError('{} holds no object_detection/legacy/train.py. Give the research folder of a checkout '
                                'of the models repo, or leave --models out.'.format(models))
        return [os.path.abspath(models), os.path.join(os.path.abspath(models), 'slim')]
    if importlib.util.find_spec('object_detection'):
        return []
    tool = os.path.join(HERE, os.pardir, os.pardir, 'tools', 'assemble_models.py')
    done = subprocess.run([sys.executable, tool, 'C', os.path.join(work, 'models')], stdout=subprocess.PIPE)
    if done.returncode:
        raise TrainingError('no OD API on PYTHONPATH, and tools/assemble_models.py could not make one (see above).')
    return done.stdout.decode().strip().split(os.pathsep)


def check_tensorflow():
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # Before the import: what the C++ side says about this CPU.
    try:
        import tensorflow as tf
    except ImportError as error:
        raise TrainingError('TensorFlow cannot be imported ({}). The trainer needs Python 3.6 or 3.7 with TF 1.12 to '
                            '1.15; CONTRIBUTING.md says what to install.'.format(error))
    if not tf.__version__.startswith('1.'):
        raise TrainingError('found TensorFlow {}; the OD API of 2019 trains with TF 1.12 to 1.15 (Python 3.6 or 3.7). '
                            'Run this with such a Python.'.format(tf.__version__))
    return tf.__version__


def draw_records(work, drawings, held_out):
    import drawings as module
    for name, first, count in (('train.record', 0, drawings), ('held_out.record', module.HELD_OUT, held_out)):
        say('drawing {} for {}'.format(count, name))
        module.write_records(os.path.join(work, name), range(first, first + count))


def place_config(work, steps):
    """Copies config and label map to where their relative paths hold; returns the number of steps that will run."""
    with open(os.path.join(HERE, CONFIG), encoding='utf-8') as stream:
        text = stream.read()
    if steps:
        text = re.sub(r'\bnum_steps: \d+', 'num_steps: {}'.format(steps), text)
    with open(os.path.join(work, CONFIG), 'w', encoding='utf-8', newline='\n') as stream:
        stream.write(text)
    shutil.copy(os.path.join(HERE, LABEL_MAP), work)
    return int(re.search(r'\bnum_steps: (\d+)', text).group(1))


def run_od_api(script, arguments, paths, work, log, on_line=lambda line: None):
    """Runs a script of the OD API in `work`; everything it says goes to the file `log`."""
    environment = dict(os.environ, PYTHONUNBUFFERED='1')
    environment['PYTHONPATH'] = os.pathsep.join(
        paths + [entry for entry in os.environ.get('PYTHONPATH', '').split(os.pathsep) if entry])
    package = importlib.util.find_spec('object_detection').submodule_search_locations[0]
    command = [sys.executable, '-W', 'ignore', os.path.join(package, *script.split('/'))] + arguments
    last = []
    with open(log, 'w', encoding='utf-8', newline='\n') as stream:
        process = subprocess.Popen(command, cwd=work, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                                   errors='replace')
        try:
            for line in process.stdout:
                stream.write(line)
                last = last[-14:] + [line]
                on_line(line)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
    if process.returncode:
        raise TrainingError('{} ended with {}. Its last words (all of them are in {}):\n{}'.format(
            script, process.returncode, log, ''.join('    ' + line for line in last)))


def train(paths, work, steps):
    started = time.time()

    def progress(line):
        found = _STEP.search(line)
        if found and (int(found.group(1)) % 100 == 0 or int(found.group(1)) == steps):
            say('  step {} of {}, loss {}, {} s a step, {:.0f} s so far'.format(
                found.group(1), steps, found.group(2), found.group(3), time.time() - started))

    folder = os.path.join(work, 'trained')
    if os.path.exists(folder):  # The trainer would go on from there, and the result would not be of this run.
        shutil.rmtree(folder)
    say('training {} steps'.format(steps))
    run_od_api('legacy/train.py', ['--logtostderr', '--train_dir=trained', '--pipeline_config_path=' + CONFIG],
               paths, work, os.path.join(work, 'train.log'), progress)
    return os.path.join(folder, 'model.ckpt-{}'.format(steps)), time.time() - started


def drop_optimizer_state(source, target):
    """Writes checkpoint prefix `target`: every tensor of `source`, bit for bit, but the optimizer's own.

    Raw weights, batch-norm statistics, moving averages and global_step stay. No .meta is written: it would be many
    times larger, and an exporter builds its graph from the pipeline config.
    """
    import tensorflow as tf
    reader = tf.train.NewCheckpointReader(source)
    kept = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
            if name.rsplit('/', 1)[-1] not in _OPTIMIZER_STATE}
    with tf.Graph().as_default(), tf.Session() as session:
        variables = {name: tf.Variable(tf.zeros(value.shape, value.dtype), trainable=False)
                     for name, value in sorted(kept.items())}
        for name, variable in variables.items():
            variable.load(kept[name], session)
        tf.train.Saver(variables).save(session, target, write_meta_graph=False, write_state=False)
    copy = tf.train.NewCheckpointReader(target)
    if set(copy.get_variable_to_shape_map()) != set(kept) or any(
            copy.get_tensor(name).tobytes() != value.tobytes() for name, value in kept.items()):
        raise TrainingError('{} does not hold what {} holds. Remove it and try again.'.format(target, source))
    averaged = [name for name in kept if name.endswith(_AVERAGE)]
    if not averaged or 'global_step' not in kept:
        raise TrainingError('{} has {} moving averages and {} global_step: was {} trained with use_moving_average: '
                            'true?'.format(source, len(averaged), 'a' if 'global_step' in kept else 'no', source))
    say('{}: {} tensors, {} of them moving averages; {} of the optimizer dropped'.format(
        target, len(kept), len(averaged), len(reader.get_variable_to_shape_map()) - len(kept)))


def export(paths, work, prefix, name, use_moving_averages):
    """Exports with the OD API's own script, unpatched, and returns the path of the frozen graph."""
    folder = os.path.join(work, name)
    if os.path.exists(folder):
        shutil.rmtree(folder)
    say('exporting {}'.format(name))
    run_od_api('export_inference_graph.py', [
        '--input_type=image_tensor', '--pipeline_config_path=' + CONFIG, '--trained_checkpoint_prefix=' + prefix,
        '--output_directory=' + folder,
        '--config_override=eval_config {{ use_moving_averages: {} }}'.format(str(use_moving_averages).lower()),
    ], paths, work, os.path.join(work, name + '.log'))
    return os.path.join(folder, 'frozen_inference_graph.pb')


def measure(frozen_graph, held_out):
    import detector
    import drawings
    import evaluate
    with detector.Detector.from_frozen_graph(frozen_graph) as loaded:
        return evaluate.mean_average_precision(loaded, range(drawings.HELD_OUT, drawings.HELD_OUT + held_out))


def main(arguments=None):
    parser = argparse.ArgumentParser(description='Draw, train, drop optimizer slots, export and measure: the shapes '
                                                 'detector from nothing.')
    parser.add_argument('--work', default=os.path.join('build', 'shapes'), metavar='FOLDER',
                        help='records, logs and the full training end up here (default: %(default)s)')
    parser.add_argument('--output', metavar='FOLDER',
                        help='where the checkpoint, config, label map and measured.json go (default: WORK/result)')
    parser.add_argument('--models', metavar='RESEARCH', help='research folder of a checkout of the models repo '
                                                             '(default: the OD API on PYTHONPATH, else package C)')
    parser.add_argument('--steps', type=int, help="instead of the config's num_steps")
    parser.add_argument('--drawings', type=int, default=5000, help='to train on (default: %(default)s)')
    parser.add_argument('--held_out', type=int, default=500, help='to measure on (default: %(default)s)')
    options = parser.parse_args(arguments)
    if min(options.drawings, options.held_out) < 1 or (options.steps is not None and options.steps < 1):
        parser.error('--steps, --drawings and --held_out must be 1 or more')
    work = os.path.abspath(options.work)
    output = os.path.abspath(options.output or os.path.join(work, 'result'))
    os.makedirs(work, exist_ok=True)
    os.makedirs(output, exist_ok=True)
    try:
        tensorflow_version = check_tensorflow()
        paths = od_api_paths(options.models, work)
        sys.path[1:1] = paths
        draw_records(work, options.drawings, options.held_out)
        steps = place_config(work, options.steps)
        trained, seconds = train(paths, work, steps)
        prefix = os.path.join(output, os.path.basename(trained))
        drop_optimizer_state(trained, prefix)
        measured = {'steps': steps, 'training_seconds': round(seconds), 'tensorflow': tensorflow_version}
        for name, averages in (('averaged', True), ('raw', False)):
            frozen_graph = export(paths, work, prefix, 'exported_' + name, averages)
            measured[name] = measure(frozen_graph, options.held_out)
            say('{} weights: mAP@0.5 {:.3f}'.format(name, measured[name]['mAP@0.5']))
    except TrainingError as error:
        print('train: {}'.format(error), file=sys.stderr)
        return 1
    with open(os.path.join(output, 'measured.json'), 'w', encoding='utf-8', newline='\n') as stream:
        json.dump(measured, stream, indent=2, sort_keys=True)
        stream.write('\n')
    if output != HERE:
        shutil.copy(os.path.join(work, CONFIG), output)
        shutil.copy(os.path.join(work, LABEL_MAP), output)
    say('{}: the checkpoint {}, its config, label map and measured.json'.format(output, os.path.basename(prefix)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
