"""Draws the charts of ``results.json``.

Not for: measuring, nor for tables; that is ``run.py``.
"""
import os

from benchmarks import run

_COLOURS = {'imports': '#bbbbbb', 'checks': '#999999', 'graph': '#8da0cb', 'profile': '#e78ac3',
            'moving averages': '#a6761d', 'checkpoint': '#ffd92f', 'frozen graph': '#fc8d62', 'digests': '#e5c494',
            'saved model': '#1b9e77', 'saved models': '#1b9e77', 'config': '#666666', 'proof': '#7570b3',
            'moving into place': '#666666'}


def draw(results, folder):
    """Writes ``stages.png``, ``size.png`` and ``checkpoints.png``."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    _stages(results, pyplot, os.path.join(folder, 'stages.png'))
    _size(results, pyplot, os.path.join(folder, 'size.png'))
    _checkpoints(results, pyplot, os.path.join(folder, 'checkpoints.png'))


def _ways(model):
    return [way for way in run._task.WAYS if run.figure(model, way, 'wall')]


def _stages(results, pyplot, path):
    """Where the time of an export goes: a bar per way, a piece per stage."""
    models = [model for model in results['models'].values() if _ways(model)]
    figure, all_axes = pyplot.subplots(len(models), 1, figsize=(9, 1.9 * len(models) + 0.8), squeeze=False)
    used = {}
    for model, axes in zip(models, all_axes[:, 0]):
        ways = _ways(model)
        for row, way in enumerate(ways):
            left = 0
            for stage, colour in _COLOURS.items():
                seconds = run.figure(model, way, 'stages', 'wall', stage)
                if seconds:
                    used[stage] = axes.barh(row, seconds, left=left, color=colour)
                    left += seconds
            axes.text(left, row, ' {:.1f} s'.format(left), va='center', fontsize=8)
        axes.set_yticks(range(len(ways)))
        axes.set_yticklabels(ways, fontsize=8)
        axes.invert_yaxis()
        axes.set_title('{}, {:,.0f} MB'.format(model['title'], model['facts']['weights'] / 1e6), fontsize=9, loc='left')
        axes.margins(x=0.12)
    all_axes[-1, 0].set_xlabel('seconds')
    figure.legend([used[stage] for stage in used], list(used), loc='lower center', ncol=5, fontsize=8)
    figure.tight_layout(rect=(0, 0.16 if len(models) < 3 else 0.09, 1, 1))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _size(results, pyplot, path):
    """Time and memory against the size of the model."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    models = sorted(results['models'].values(), key=lambda model: model['facts']['weights'])
    for way in run._task.WAYS + ('build',):
        for axes, key, unit in ((left, 'wall', 1.0), (right, 'peak', 1e6)):
            points = [(model['facts']['weights'] / 1e6, run.figure(model, way, key) / unit) for model in models
                      if run.figure(model, way, key)]
            if points:
                axes.plot(*zip(*points), marker='o', markersize=4, linestyle=':' if way == 'build' else '-',
                          label='imports and graph' if way == 'build' else way)
    for axes, label in ((left, 'seconds for one export'), (right, 'peak memory, MB')):
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xlabel('weights, MB')
        axes.set_ylabel(label)
        axes.grid(True, which='both', linewidth=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc='lower center', ncol=5, fontsize=7)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _checkpoints(results, pyplot, path):
    """Time against the number of checkpoints, beside as many exports of the release."""
    figure, axes = pyplot.subplots(figsize=(9, 3.6))
    for model in results['models'].values():
        runs = [each for each in model['tasks'].get('many', []) if 'each' in each]
        upstream = run.figure(model, run._task.WAYS[0], 'wall')
        if not runs or not upstream:
            continue
        first = run.median([each['wall'] - sum(one['wall'] for what in ('each', 'cp') for one in each[what])
                            for each in runs])
        further = run._further(model)[0]
        counts = range(1, len(runs[0]['each']) + 1)
        line, = axes.plot(counts, [first + further * count for count in counts], marker='o', markersize=4,
                          label=model['title'] + ', od-patch')
        axes.plot(counts, [upstream * count for count in counts], linestyle='--', color=line.get_color(),
                  label=model['title'] + ', upstream')
    axes.set_yscale('log')
    axes.set_xlabel('checkpoints')
    axes.set_ylabel('seconds')
    axes.grid(True, which='both', linewidth=0.3)
    axes.legend(fontsize=7, loc='center left', bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
