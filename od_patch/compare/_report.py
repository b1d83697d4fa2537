"""An answer on a terminal: verdict first, then causes, weights and provenance, within 100 columns.

Shows and decides nothing; what it shows is in ``Answer`` and ``Provenance``.
"""
import collections

import rich.box
import rich.console
import rich.filesize
import rich.table
import rich.text

from od_patch.compare import _causes
from od_patch.compare import _loading
from od_patch.compare import _provenance
from od_patch.terminal import _terminal

WIDTH = 100

_COLOURS = {'identical': 'green', 'equivalent': 'green', 'same weights, different graph': 'yellow',
            'different weights': 'red', 'not comparable': 'red'}
_EFFECTS = {'weights': ('weights', 'red'), 'result': ('changes the result', 'red'), 'interface':
            ('inputs and outputs', 'yellow'), 'unknown': ('not known', 'yellow'), 'numeric': ('last digits', 'yellow'),
            'cosmetic': ('cosmetic', 'green')}


def console(stream=None):
    """A console of 100 columns, or of a narrower terminal's."""
    return _terminal.of_width(WIDTH, stream)


def show(answer, out):
    """Prints an ``Answer``."""
    out.print(rich.text.Text(answer.verdict, style='bold ' + _COLOURS[answer.verdict]))
    out.print(rich.text.Text(answer.reason))
    out.print()
    out.print(_graphs(answer))
    if answer.equivalence is not None and (answer.equivalence.rules or answer.equivalence.always):
        out.print(_rules(answer))
    if answer.causes:
        out.print(_causes_table(answer))
    if answer.differences:
        out.print(_weights(answer))
    if answer.checkpoint:
        for which, row in zip(('first', 'second'), answer.checkpoint):
            text = 'The {} graph holds the {} of {} ({} raw, {} averages, {} alike, {} neither).'
            out.print(rich.text.Text(text.format(
                which, row['kind'], row['checkpoint'], row['raw'], row['moving_averages'], row['both'],
                row['neither'])))
    if answer.run is not None:
        out.print(_run(answer.run))


def _table(title, *columns):
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=title, title_justify='left', title_style='bold',
                             pad_edge=False, expand=False)
    for name, options in columns:
        table.add_column(name, **options)
    return table


def _graphs(answer):
    table = _table(None, ('', {}), ('first', {'overflow': 'fold'}), ('second', {'overflow': 'fold'}))
    rows = collections.OrderedDict()
    for side, (source, graph, provenance) in enumerate(zip(answer.sources, answer.graphs, answer.provenance)):
        for key, value in [('graph', source.path), ('kind', source.kind),
                           ('nodes', '{:,} ({:,} needed)'.format(len(graph), len(graph.final_order()))),
                           ('size', rich.filesize.decimal(source.bytes)), ('loads in', _loading.told(provenance.loads)),
                           ('TensorFlow', tensorflow(provenance)),
                           ('OD API', od_api(provenance)), ('optimised', optimised(provenance)),
                           ('quantized', provenance.quantized)]:
            rows.setdefault(key, ['', ''])[side] = value
    for key, (left, right) in rows.items():
        different = left != right and key not in ('graph',)
        table.add_row(key, rich.text.Text(left), rich.text.Text(right, style='yellow' if different else ''))
    return table


def _rules(answer):
    title = ('Rules that were needed' if answer.equivalence.equal else
             'Rules used more often on one side (set aside below)')
    table = _table(title, ('rule', {}), ('first', {'justify': 'right'}), ('second', {'justify': 'right'}))
    for name, (left, right) in answer.equivalence.rules.items():
        table.add_row(name, '{:,}'.format(left), '{:,}'.format(right))
    for name in answer.equivalence.always:
        table.add_row('(always) ' + name, '', '')
    return table


def _causes_table(answer):
    table = _table('Why', ('effect', {'no_wrap': True}), ('cause', {'overflow': 'fold', 'ratio': 1}),
                   ('nodes', {'justify': 'right', 'no_wrap': True}))
    for cause in answer.causes:
        word, colour = _EFFECTS[cause.effect]
        text = rich.text.Text(cause.title)
        for label, value in (('at', cause.scope), ('option', cause.option), ('made by', cause.revision)):
            if value:
                text.append('\n{} {}'.format(label, value), style='dim')
        table.add_row(rich.text.Text(word, style=colour), text, '{} | {}'.format(len(cause.left), len(cause.right)))
    return table


def _weights(answer, most=12):
    table = _table('Weights that differ, by scope', ('scope', {'overflow': 'fold'}), ('weights', {'justify': 'right'}),
                   ('elements', {'justify': 'right'}), ('largest', {'justify': 'right'}),
                   ('mean', {'justify': 'right'}))
    groups = collections.OrderedDict()
    for row in answer.differences:
        key = '/'.join(row.name.split('/')[:3]) if row.name.count('/') >= 3 else row.name.rpartition('/')[0] or row.name
        groups.setdefault(key, []).append(row)
    for key, rows in list(groups.items())[:most]:
        table.add_row(key, str(len(rows)), '{:,}'.format(sum(row.count for row in rows)),
                      '{:.3g}'.format(max(row.largest for row in rows)),
                      '{:.3g}'.format(sum(row.mean * row.size for row in rows) / max(1, sum(row.size for row in rows))))
    if len(groups) > most:
        table.add_row('… {} more scopes'.format(len(groups) - most), '', '', '', '')
    return table


def _run(run):
    table = _table('Run on {} image(s), graph optimizers off'.format(run.images), ('output', {}),
                   ('largest difference', {'justify': 'right'}), ('elements that differ', {'justify': 'right'}))
    for row in run.outputs:
        table.add_row(row['name'], row['shapes'] if row['largest'] is None else '{:.3g}'.format(row['largest']),
                      '{:,} of {:,}'.format(row['differing'], row['elements']))
    group = rich.console.RenderGroup if hasattr(rich.console, 'RenderGroup') else rich.console.Group
    if run.first is None:
        return group(table, rich.text.Text(run.note)) if run.note else table
    return group(table, rich.text.Text('The first tensor whose values differ: {} | {} ({}; {} of {} matched tensors '
                                       'compared).'.format(run.first['left'], run.first['right'], run.first['how'],
                                                           run.first['compared'], run.first['matched'])))


def tensorflow(provenance):
    """'1.12.0 (model.ckpt.meta says so)', '1.8 to 1.10', or that it cannot be told."""
    first, last = provenance.tensorflow
    if provenance.exact.get('tensorflow_version'):
        return '{} ({} says so)'.format(provenance.exact['tensorflow_version'], provenance.exact['file'])
    if first == _provenance.UNTOLD:
        return first
    return first if first == last else '{} to {}'.format(first, last)


def od_api(provenance):
    since, until = provenance.od_api
    if since and until:
        return '{} to {}'.format(since, until)
    if since or until:
        return 'from {} on'.format(since) if since else 'until {}'.format(until)
    return _provenance.UNTOLD


def optimised(provenance):
    return ', '.join(word for word, _ in provenance.traces) or 'no'


def show_provenance(source, graph, provenance, out, checkpoint=None):
    """Prints what ``od-patch inspect`` tells."""
    out.print(rich.text.Text('{}: {}, {:,} nodes, {}'.format(
        source.path, source.kind, len(graph), rich.filesize.decimal(source.bytes)), style='bold'))
    table = _table(None, ('', {'no_wrap': True}), ('', {'overflow': 'fold', 'ratio': 1}))
    table.show_header = False

    def row(label, value, why=''):
        text = rich.text.Text(value)
        if why:
            text.append(('\n' if len(value) + len(why) > WIDTH - 46 else '  ') + why, style='dim')
        table.add_row(label, text)
    row('loads in', _loading.told(provenance.loads), provenance.loads.refusal or '; '.join(provenance.loads.why))
    row('TensorFlow', tensorflow(provenance), '; '.join(provenance.tensorflow_why))
    row('OD API', od_api(provenance), '; '.join(provenance.markers))
    row('optimised', optimised(provenance), '; '.join(text for _, text in provenance.traces))
    row('quantized', provenance.quantized)
    row('weights', '{:,} Consts, {:,} parameters'.format(*provenance.weights))
    row('outputs', ', '.join(row[0] for row in graph.outputs[:12]), '' if graph.named_outputs else
        '(the ends of the graph, as none has a known name)')
    for setting in provenance.settings.values():
        row(setting.label, _causes.show(setting.value), setting.option)
    if not any(key.endswith('nms_score') for key in provenance.settings):
        row('NMS settings', _provenance.UNTOLD, 'no NMS op with constant limits')
    out.print(table)
    if checkpoint:
        out.print('It holds the {kind} of {checkpoint} ({raw} raw, {moving_averages} averages, {both} alike, '
                  '{neither} neither).'.format(**checkpoint))
