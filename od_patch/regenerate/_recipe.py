"""What a search found, to keep: the pin in one line, the commands that repeat it by hand, a Dockerfile, what was tried.

Not for: the verdict's page, which is ``compare/_page``.
"""
import json
import os

from od_patch import _text
from od_patch.compare import _report
from od_patch.regenerate import _clone
from od_patch.regenerate import _trial

_PROTOC = 'python -m grpc_tools.protoc --proto_path=. --python_out=. object_detection/protos/*.proto'


def pin(trial):
    """The pin in one line."""
    return 'OD API {} · TensorFlow {} · Python {}'.format(_trial.called(trial.state), trial.tensorflow, trial.python)


def commands(trial, environment, flags, checkpoint, config, clone):
    """List of the lines that make the graph again by hand, in a shell.

    Args:
        trial: ``Trial``; environment: ``Environment``; flags: dict of flag -> value beyond files.
        checkpoint, config, clone: str, as the user typed them.
    """
    lines = ['git clone {} models'.format(_text.command([clone])),
             'git -C models checkout {}'.format(trial.state.commit)]
    if environment.given:
        lines.append('PYTHON={}'.format(_text.command([environment.executable])))
    elif environment.python == '2.7':
        lines += ['python2.7 -m pip install --target packages {}'.format(_text.command(environment.packages)),
                  'touch packages/google/__init__.py', 'PYTHON=python2.7']
    else:
        lines += ['python{} -m venv venv'.format(environment.python),
                  'venv/bin/python -m pip install pip==21.3.1',
                  'venv/bin/python -m pip install --no-deps {}'.format(_text.command(environment.packages)),
                  'PYTHON=$PWD/venv/bin/python']
    packages = ':$PWD/packages' if environment.python == '2.7' and not environment.given else ''
    lines += ['export PYTHONPATH=$PWD/models/research:$PWD/models/research/slim{}'.format(packages),
              '(cd models/research && $PYTHON {})'.format(_PROTOC[len('python '):]),
              '$PYTHON models/research/object_detection/export_inference_graph.py ' + ' '.join(
                  _text.command(['--{}={}'.format(*row)]) for row in sorted(dict(
                      {'input_type': 'image_tensor'}, pipeline_config_path=config, trained_checkpoint_prefix=checkpoint,
                      output_directory='regenerated', **flags).items()))]
    return lines


def dockerfile(trial, environment, flags):
    """The lines of a Dockerfile: built once, it exports what is mounted at /model into /model/regenerated."""
    lines = ['FROM python:{}'.format(trial.python),
             'RUN git clone {} /models && git -C /models checkout {}'.format(_clone.UPSTREAM, trial.state.commit)]
    if environment.packages:
        lines.append('RUN python -m pip install {}'.format(
            ('pip==21.3.1 && python -m pip install ' if trial.python != '2.7' else '') + '--no-deps ' +
            _text.command(environment.packages)))
    else:
        lines.append('RUN python -m pip install tensorflow=={} grpcio-tools==1.39.0 pillow matplotlib'.format(
            trial.tensorflow))
    lines += ['ENV PYTHONPATH=/models/research:/models/research/slim',
              'WORKDIR /models/research',
              'RUN ' + _PROTOC,
              'ENTRYPOINT ' + json.dumps(['python', 'object_detection/export_inference_graph.py'] + [
                  '--{}={}'.format(*row) for row in sorted(dict({'input_type': 'image_tensor'}, **flags).items())])]
    return lines


def page(plan, bench, found):
    """The text of ``regenerate.md``.

    Args:
        plan: ``Plan``; bench: ``Bench``; found: dict with 'like', 'checkpoint', 'config', 'flags', 'clone' as they were
            given, and 'left', a list of str: what still differs and why.
    """
    trial = bench.best
    environment = bench.environment(trial.tensorflow, trial.python)
    text = ['# {}: {}'.format(os.path.basename(found['like']), trial.verdict), '',
            '`{}` against `{}`: {}'.format(found['like'], _trial.FROZEN, trial.answer.reason), '',
            'Pin: **{}**'.format(pin(trial)), '']
    if found['left']:
        text += ['What is left:', ''] + ['- ' + row for row in found['left']] + ['']
    text += ['## By hand', '', '```sh'] + commands(trial, environment, found['flags'], found['checkpoint'],
                                                   found['config'], found['clone']) + ['```', '']
    text += ['## In a container', '', 'Where the clone is a fork, write its URL instead of upstream\'s.', '',
             '```dockerfile'] + dockerfile(trial, environment, found['flags']) + ['```', '']
    text += ['```sh', 'docker build -t regenerate . && docker run --rm -v "$PWD:/model" regenerate '
             '--pipeline_config_path=/model/pipeline.config --trained_checkpoint_prefix=/model/model.ckpt '
             '--output_directory=/model/regenerated', '```', '']
    text += ['## What the graph says', '', '- TensorFlow {}'.format(_report.tensorflow(plan.provenance)),
             '- OD API {}'.format(_report.od_api(plan.provenance)), '- Python: {}'.format(plan.why_python), '',
             '## What was tried', '', '```text'] + [_trial.line(number + 1, row) for number, row in
                                                     enumerate(bench.trials)] + ['```', '']
    return _text.plain('\n'.join(text))
