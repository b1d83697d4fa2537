"""The same frozen graph again: exports from the checkpoint, compares with the shipped one, sets what can be set.

Runs the project's own export in a process of its own (it is a whole command
with flags, and TensorFlow keeps state). What differs and can be said with a
flag or with ``--config_override`` is said; what cannot is pinned. It edits no config.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from od_patch import _text
from od_patch._errors import InputRefused
from od_patch.compare import _causes
from od_patch.compare import _verdict


class Attempt:
    """One export and what came of it.

    Attributes:
        flags: dict of flag -> value beyond the checkpoint and the config; answer: ``Answer`` against the shipped graph.
        folder: str, the export, or None where it was not kept.
    """

    def __init__(self, flags, folder, answer):
        self.flags, self.folder, self.answer = flags, folder, answer


def adjustments(answer, config):
    """What to set so that the second graph of ``answer`` says what the first says.

    Args:
        answer: ``Answer`` of (shipped graph, new export).
        config: ``TrainEvalPipelineConfig`` that the export was made with.

    Returns:
        (flags, override, left): dict of flag -> value, the text for ``--config_override``, and the causes that no
        setting removes.
    """
    flags, lines, left = {}, [], []
    architecture = config.model.WhichOneof('model')
    for cause in answer.causes:
        key = cause.kind[len('setting.'):] if cause.kind.startswith('setting.') else ''
        wanted = cause.values[0] if key and cause.values else None
        if cause.kind == 'weights' and cause.option == 'eval_config.use_moving_averages':
            averages = answer.checkpoint[0]['kind'] == 'moving averages'
            lines.append('eval_config {{ use_moving_averages: {} }}'.format('true' if averages else 'false'))
        elif key == 'input_shape':
            flags['input_shape'] = _shape_flag(wanted)
        elif key == 'input_type':
            flags['input_type'] = wanted
        elif key in ('resize',) and str(wanted).startswith('fixed '):
            height, width = str(wanted)[len('fixed '):].split('×')
            lines.append(_nested([architecture, 'image_resizer', 'fixed_shape_resizer'],
                                 'height: {} width: {}'.format(height, width)))
        elif key == 'resize' and str(wanted).startswith('keep aspect ratio'):
            least, most = str(wanted).split(', ')[1].split(' to ')
            if '?' not in (least, most):
                lines.append(_nested([architecture, 'image_resizer', 'keep_aspect_ratio_resizer'],
                                     'min_dimension: {} max_dimension: {}'.format(least, most)))
            else:
                left.append(cause)
        elif cause.option.startswith('model.') and '*' not in cause.option and not isinstance(wanted, list) \
                and key != 'classes' and wanted is not None:
            parts = cause.option.split('.')[1:]
            lines.append(_nested(parts[:-1], '{}: {}'.format(parts[-1], _causes.show(wanted))))
        elif cause.kind not in ('shapes.static',):
            left.append(cause)
    return flags, ' '.join(dict.fromkeys(lines)), left


def _nested(parts, text):
    """``model { ssd { … text } }`` for the path of fields ``parts`` under model."""
    result = text
    for part in reversed(['model'] + list(parts)):
        result = '{} {{ {} }}'.format(part, result)
    return result


def _shape_flag(text):
    return ','.join('-1' if part == '?' else part for part in text.split('×')) if '×' in text else ''


def export(checkpoint, pipeline_config, folder, flags):
    """Exports into ``folder``.

    Raises:
        InputRefused: the export refused or failed, in its own words.
    """
    command = [sys.executable, '-m', 'od_patch.export_inference_graph', '--pipeline_config_path', pipeline_config,
               '--trained_checkpoint_prefix', checkpoint, '--output_directory', folder]
    for name, value in sorted(flags.items()):
        if value:
            command.append('--{}={}'.format(name, value))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        text = done.stderr.decode('utf-8', 'replace').strip() or 'exit code {}'.format(done.returncode)
        raise InputRefused('The export failed: {}'.format('\n'.join(text.splitlines()[-12:])),
                           'The command was:  ' + _text.command(command))


def regenerate(checkpoint, pipeline_config, like, apply, output, config):
    """Exports, compares, and with ``apply`` exports again with what can be set; returns the list of ``Attempt``.

    Args:
        checkpoint: str, checkpoint prefix; pipeline_config: str; like: str, the shipped graph.
        apply: bool, use the settings that were found.
        output: str or None: where the last export is to stay.
        config: ``TrainEvalPipelineConfig`` read from ``pipeline_config``.
    """
    _refuse_taken(output)  # before exports that take minutes
    work = tempfile.mkdtemp(prefix='od-patch-regenerate-')
    attempts = []
    try:
        flags = {}
        for number in range(2):
            folder = os.path.join(work, 'export{}'.format(number))
            export(checkpoint, pipeline_config, folder, flags)
            answer = _verdict.compare(like, folder, checkpoint=checkpoint)
            attempts.append(Attempt(dict(flags), folder, answer))
            wanted, override, _ = adjustments(answer, config)
            if answer.exit_code == 0 or not apply or not (wanted or override):
                break
            flags = dict(wanted, **({'config_override': override} if override else {}))
        if output:
            _refuse_taken(output)  # it may have come to be in the meantime
            shutil.move(attempts[-1].folder, output)
        for attempt in attempts:
            attempt.folder = output if output and attempt is attempts[-1] else None
            attempt.answer.sources[1].path = attempt.folder or 'the new export'  # nobody can look into a removed folder
        return attempts
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _refuse_taken(output):
    if output and os.path.lexists(output):
        raise InputRefused('{} is there already.'.format(output), 'Give another --output_directory.')


def pin(answer):
    """List of sentences: what to pin to get the first graph of ``answer`` from the same checkpoint and config."""
    from od_patch.compare import _report
    provenance = answer.provenance[0]
    lines = ['TensorFlow {}'.format(_report.tensorflow(provenance)), 'OD API {}'.format(_report.od_api(provenance))]
    for cause in answer.causes:
        if cause.revision and not cause.cosmetic:
            lines.append('{}: {}'.format(cause.title, cause.revision))
    return lines
