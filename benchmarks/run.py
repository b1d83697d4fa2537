"""Measures exports side by side: the release's own, the well-known hand edit, and od-patch's. One command does it all:

    python -m benchmarks.run                      # some 50 minutes on two cores, 10 GB of disk, 12 GB of memory
    python -m benchmarks.run --models ssd_mobilenet_v1 --rounds 1

Every measurement is a fresh process, and the ways take turns within each round,
because machines are noisy: read the ratios of the medians, not the seconds.
Steady inference is the median of the ratios of turns, in one process. The
Object Detection API must be on PYTHONPATH (``tools/assemble_models.py``). Writes
``results.json`` and charts to ``--output``; ``--table`` prints what docs/performance.md
shows of such a file.
"""
import argparse
import collections
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

from benchmarks import _models
from benchmarks import _task

_HERE = os.path.dirname(os.path.abspath(__file__))

_UPSTREAM, _HAND_EDIT, _OURS, _ONLY = _task.WAYS
_AGAIN = 'upstream, again'  # its frozen SavedModel a second time: how far two of the same are apart
_STEADY, _STEADY_WITHOUT = 'steady', 'steady, optimizations off'
_REFUSAL, _HELP, _FIRST = 'a misspelt flag', '--help', 'the first word'  # what the command is asked
_CHECKPOINTS = 8  # how many a series has


def measure(options):
    """Runs everything; returns what ``results.json`` holds."""
    if options.add:
        results = _read(os.path.join(options.output, 'results.json'))
    else:
        results = collections.OrderedDict([
            ('began', datetime.datetime.utcnow().isoformat(timespec='seconds')),
            ('machine', {'cores': os.cpu_count(), 'processor': platform.machine(), 'system': platform.platform(),
                         'python': platform.python_version()}),
            ('models', collections.OrderedDict())])
    for name in options.models:
        model = _models.MODELS[name]
        rounds = options.rounds or model.rounds
        folder = tempfile.mkdtemp(prefix='od-patch-benchmark-', dir=options.work)
        try:
            results['models'][name] = _measure_model(name, model, rounds, folder)
        finally:
            shutil.rmtree(folder)
        _write(results, options.output)
    return results


def _measure_model(name, model, rounds, folder):
    """Returns {'title', 'facts', 'rounds', 'tasks': {task: [figures of each round]}} of one model."""
    large = name == 'synthetic_3_gib'
    trained = os.path.join(folder, 'trained')
    steps = [1000 * (number + 1) for number in range(1 if large else _CHECKPOINTS)]
    prefix = os.path.join(trained, 'model.ckpt-1000')
    facts = _run({'task': 'checkpoints', 'model': name, 'folder': trained, 'steps': steps, 'with_slots': not large})
    tasks = collections.OrderedDict()

    def run(task, request):
        tasks.setdefault(task, []).append(_run(dict(request, model=name)))
        return tasks[task][-1]

    for number in range(rounds):
        print('{}, round {} of {}, load {:.1f}'.format(model.title, number + 1, rounds, os.getloadavg()[0]), flush=True)
        run('build', {'task': 'build'})
        for asked, arguments in _commands(model, prefix, os.path.join(folder, 'asked')).items():
            run(asked, {'task': 'command', 'arguments': arguments, 'folder': folder, 'ends': asked != _FIRST})
        for way in _task.WAYS:
            output = os.path.join(folder, way.replace(' ', '_'))
            run(way, {'task': way, 'prefix': prefix, 'output': output})
            run('cp, ' + way, {'task': 'cp', 'path': output} if os.path.isdir(output) else {'task': 'none'})
        loaded = collections.OrderedDict()
        for way in _task.WAYS[:3]:
            path = os.path.join(folder, way.replace(' ', '_'), 'saved_model')
            if os.path.exists(os.path.join(path, 'saved_model.pb')):
                run('load, ' + way, {'task': 'load', 'path': path})
                loaded[way] = path
        if _UPSTREAM in loaded:
            loaded[_AGAIN] = loaded[_UPSTREAM]
            run(_STEADY, {'task': 'steady', 'paths': loaded, 'optimized': True})
            run(_STEADY_WITHOUT, {'task': 'steady', 'paths': loaded, 'optimized': False})
        for way in _task.WAYS:
            shutil.rmtree(os.path.join(folder, way.replace(' ', '_')), ignore_errors=True)
    if not large:
        for number in range(rounds):
            output = os.path.join(folder, 'many')
            run('many', {'task': 'many', 'folder': trained, 'output': output})
            shutil.rmtree(output)
    return {'title': model.title, 'rounds': rounds, 'facts': facts, 'tasks': tasks}


def _commands(model, prefix, output):
    """Returns {what the command is asked: its arguments}."""
    given = ['--pipeline_config_path=' + os.path.join(_models.ROOT, 'tests', 'support', 'configs', model.config + '.config'),
             '--trained_checkpoint_prefix=' + prefix]
    return collections.OrderedDict([
        (_REFUSAL, given + ['--output_directry=' + output]), (_HELP, ['--help']),
        (_FIRST, given + ['--output_directory=' + output])])


def _run(request):
    """Runs one task in a process of its own; returns its figures, or {'failed': its last words}."""
    load = os.getloadavg()[0]
    if request['task'] == 'none':
        return {'failed': 'there is nothing to copy'}
    if request['task'] == 'cp':
        figures = _task.copy(request['path'], request['path'] + '.copy')
        shutil.rmtree(request['path'] + '.copy')
        return dict(figures, **{'load average': load})
    process = subprocess.Popen(
        [sys.executable, '-m', 'benchmarks._task', json.dumps(request)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, universal_newlines=True, env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='2'),
        cwd=_models.ROOT)
    stdout, stderr = process.communicate()
    if process.returncode != 0:
        words = [line for line in stderr.splitlines() if line.strip()] or ['exit code {}'.format(process.returncode)]
        print('  {} failed: {}'.format(request['task'], words[-1][:200]), flush=True)
        return {'failed': words[-1][:500]}
    figures = json.loads(stdout.strip().splitlines()[-1], object_pairs_hook=collections.OrderedDict)
    figures['load average'] = load
    print('  {:<26}{:>8.1f} s {:>8.0f} MB'.format(request['task'], figures['wall'], figures['peak'] / 1e6), flush=True)
    return figures


def median(numbers):
    """Returns the median of numbers; None of none."""
    ordered = sorted(numbers)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


def figure(model, task, *keys):
    """Returns the median over the rounds of one figure of a task, such as ``'peak'``; None where it failed."""
    found = []
    for figures in model['tasks'].get(task, []):
        for key in keys:
            figures = figures.get(key) if isinstance(figures, dict) else None
        if figures is not None:
            found.append(figures)
    return median(found)


def _ratio(one, other):
    return None if not one or not other else one / other


def _sum_ratio(one, more, other):
    return None if not one or not more else _ratio(one + more, other)


def _further(model, clock='wall'):
    """Returns seconds of a further checkpoint, and of ``cp`` on the same bytes: medians."""
    runs = [run for run in model['tasks'].get('many', []) if 'each' in run]
    return tuple(median([each[clock] for run in runs for each in run[what][1:]]) for what in ('each', 'cp'))


def _turns(model, task, way, clock):
    """Returns the median of the ratios of a way's inferences to the frozen graph's in the same turn."""
    return median([_ratio(one[clock], frozen[clock]) for run in model['tasks'].get(task, []) if 'turns' in run
                   for one, frozen in zip(run['turns'].get(way, []), run['turns'][_UPSTREAM])])


def targets(model, clock='wall'):
    """Returns [(what, measured ratio, MiB, seconds or None, target)] of one model; None for the target of a floor.

    Args:
        clock: 'wall', or 'cpu' for CPU time, which other work on the machine disturbs less.
    """
    upstream, edit, ours, only = (lambda *keys, way=way: figure(model, way, *keys) for way in _task.WAYS)
    floor = figure(model, 'build', clock)
    copied = figure(model, 'cp, ' + _ONLY, clock)
    each, copy = _further(model, clock)
    load = {way: figure(model, 'load, ' + way, 'load', clock) for way in _task.WAYS[:3]}
    writing = ('stages', clock, 'saved model')
    above = unread = None
    if figure(model, _ONLY, 'unread') is not None:
        unread = figure(model, _ONLY, 'unread') / float(1 << 20)
    whole_copied = figure(model, 'cp, ' + _OURS, clock)
    imports = ('stages', clock, 'imports')
    if only('peak') and figure(model, 'build', 'peak'):
        above = (only('peak') - figure(model, 'build', 'peak') - model['facts']['largest']) / float(1 << 20)
    return [
        ('writing the SavedModel / upstream', _ratio(ours(*writing), upstream(*writing)), 0.35),
        ('writing the SavedModel / hand edit', _ratio(ours(*writing), edit(*writing)), 0.2),
        ('whole export / upstream', _ratio(ours(clock), upstream(clock)), 0.5),
        ('its floor: imports, graph, and cp of the same bytes', _sum_ratio(floor, whole_copied, upstream(clock)), None),
        ('saved_model only / upstream\'s whole export', _ratio(only(clock), upstream(clock)), 0.32),
        ('its floor: imports, graph, and cp of the same bytes', _sum_ratio(floor, copied, upstream(clock)), None),
        ('imports / upstream\'s imports', _ratio(ours(*imports), upstream(*imports)), 0.5),
        ('saved_model only / imports, graph, and cp of the same bytes',
         floor and copied and _ratio(only(clock), floor + copied), 1.5),
        ('a refusal that needs no graph, s', figure(model, _REFUSAL, 'whole', clock), 0.4),
        ('--help, s', figure(model, _HELP, 'whole', clock), 0.4),
        ('the first word on the terminal, s', figure(model, _FIRST, 'first word', clock), 0.2),
        ('variables that no output reads, saved_model only, MiB', unread, 0.0),
        ('a further checkpoint / upstream\'s whole export', _ratio(each, upstream(clock)), 0.03),
        ('a further checkpoint / cp of the same bytes', _ratio(each, copy), 3.0),
        ('peak memory, whole export / upstream', _ratio(ours('peak'), upstream('peak')), 0.75),
        ('peak memory, saved_model only, above the graph and the largest tensor, MiB', above, 64.0),
        ('saved_model.pb / hand edit', _ratio(ours('saved_model.pb'), edit('saved_model.pb')), 0.35),
        ('load time / hand edit', _ratio(load[_OURS], load[_HAND_EDIT]), 0.4),
        ('load time / upstream\'s frozen SavedModel', _ratio(load[_OURS], load[_UPSTREAM]), 1.0),
        ('steady inference / frozen', _turns(model, _STEADY, _OURS, clock), 1.02),
        ('the same, TensorFlow\'s graph optimizations off in both', _turns(model, _STEADY_WITHOUT, _OURS, clock), None),
        ('steady inference, hand edit / frozen', _turns(model, _STEADY, _HAND_EDIT, clock), None),
        ('steady inference, the frozen graph / itself (noise)', _turns(model, _STEADY, _AGAIN, clock), None),
    ]


def table(results, clock='wall'):
    """Returns the table that docs/performance.md shows, as Markdown lines: ratios by the clock (or of CPU time)."""
    models = [results['models'][name] for name in _models.MODELS if name in results['models']]
    lines = ['| ratio of medians | target | ' + ' | '.join(model['title'] for model in models) + ' |',
             '|---|---|' + '---|' * len(models)]
    for rows in zip(*[targets(model, clock) for model in models]):
        cells = []
        for what, measured, target in rows:
            shown = '–' if measured is None else '{:.0f}'.format(measured) if 'MiB' in what else (
                '{:.3f}' if abs(measured) < 0.1 else '{:.2f}').format(measured)
            missed = measured is not None and target is not None and measured > target
            cells.append('**{}**'.format(shown) if missed else shown)
        what, _, target = rows[0]
        lines.append('| {} | {} | {} |'.format(
            what, '' if target is None else '≤ {:g}'.format(target), ' | '.join(cells)))
    return lines


def under_the_table(results):
    """Returns one line that says what the table is of."""
    loads = [figures['load average'] for model in results['models'].values()
             for runs in model['tasks'].values() for figures in runs if 'load average' in figures]
    return 'Begun on {} UTC, {} cores, Python {}, {} rounds; load average {:.0f} (median) while it ran.'.format(
        results['began'].replace('T', ' '), results['machine']['cores'], results['machine']['python'],
        ' / '.join(str(results['models'][name]['rounds']) for name in _models.MODELS if name in results['models']),
        median(loads))


def in_page(text, results):
    """Returns the text of docs/performance.md with the table of these results in its place."""
    begin = text.index('-->', text.index('<!-- benchmarks')) + len('-->')
    end = text.index('<!-- /benchmarks -->')
    shown = ['The table shows ratios of medians. The three ways ran in turn within each round. For steady inference it shows '
             'the median of the ratios of turns in one process.',
             'A figure in **bold** misses its target.', '']
    shown += table(results) + [
        '', under_the_table(results), '',
        '![bars: the stages of an export by upstream, by the hand edit and by od-patch](../benchmarks/results/stages.png)',
        '![lines: time and memory of an export against the size of the weights](../benchmarks/results/size.png)',
        '![lines: time against the number of checkpoints](../benchmarks/results/checkpoints.png)']
    return text[:begin] + '\n' + '\n'.join(shown) + '\n' + text[end:]


def seconds(results):
    """Returns the medians themselves, as lines of text."""
    lines = []
    for model in results['models'].values():
        lines.append('{}: {:,.0f} MB in {} variables; {} rounds'.format(
            model['title'], model['facts']['weights'] / 1e6, model['facts']['variables'], model['rounds']))
        for task in model['tasks']:
            wall, cpu, peak, written = (figure(model, task, key) for key in ('wall', 'cpu', 'peak', 'written'))
            if wall is None:
                lines.append('  {:<40}{}'.format(task, model['tasks'][task][0].get('failed', '')[:100]))
                continue
            line = '  {:<40}{:>8.2f} s'.format(task, wall)
            if peak is not None:
                line += '{:>9.2f} s CPU{:>8.0f} MB'.format(cpu, peak / 1e6)
            if written:
                line += '{:>10.1f} MB written'.format(written / 1e6)
            stages = sorted({stage for run in model['tasks'][task] for stage in run.get('stages', {}).get('wall', {})})
            lines.append(line)
            if stages:
                lines.append('      ' + ', '.join(
                    '{} {:.2f}'.format(stage, figure(model, task, 'stages', 'wall', stage)) for stage in stages))
            if figure(model, task, 'load', 'wall') is not None:
                lines.append('      ' + ', '.join('{} {:.3f}'.format(key, figure(model, task, key, 'wall'))
                                                   for key in ('load', 'first')))
            turns = collections.OrderedDict()
            for run in model['tasks'][task]:
                for way, times in run.get('turns', {}).items():
                    turns.setdefault(way, []).extend(each['wall'] for each in times)
            if turns:
                lines.append('      ' + ', '.join('{} {:.4f}'.format(way, median(turns[way])) for way in turns))
    return lines


def _read(path):
    with open(path) as json_file:
        return json.load(json_file, object_pairs_hook=collections.OrderedDict)


def _write(results, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'results.json'), 'w') as json_file:
        json.dump(results, json_file, indent=1)
        json_file.write('\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--models', nargs='+', choices=list(_models.MODELS), default=list(_models.MODELS))
    parser.add_argument('--rounds', type=int, help='default: more for small models than for large ones')
    parser.add_argument('--output', default=os.path.join(_HERE, 'results'),
                        help='folder for results.json and the charts')
    parser.add_argument('--add', action='store_true',
                        help='keep what the folder has of the models that are not measured')
    parser.add_argument('--work', help='folder for checkpoints and exports while they are measured')
    parser.add_argument('--table', metavar='RESULTS', help='measure nothing; print what a results.json says')
    parser.add_argument('--page', help='put the table into this file, between its marks')
    options = parser.parse_args()
    if options.table:
        results = _read(options.table)
    else:
        results = measure(options)
        from benchmarks import _charts
        _charts.draw(results, options.output)
    if options.page:
        with open(options.page, encoding='utf-8') as page_file:
            text = page_file.read()
        with open(options.page, 'w', encoding='utf-8') as page_file:
            page_file.write(in_page(text, results))
    print('\n'.join(seconds(results)))
    for clock, name in (('wall', 'By the clock'), ('cpu', 'CPU time')):
        print('\n'.join(['', name, ''] + table(results, clock)))


if __name__ == '__main__':
    main()
