"""An answer as one self-contained HTML page: verdict, causes, a tree of scopes down to nodes, histograms of weights.

Everything that is shown travels as JSON inside the page and is put there as
text, so no name in a graph can become markup. The tree is built as it is
opened: 20,000 nodes cost nothing until somebody looks at them.
"""
import collections
import json

import numpy

from od_patch import _version
from od_patch.compare import _causes
from od_patch.compare import _report

_MOST_HISTOGRAMS = 60
_BINS = 48
# What a node is to the other graph; the page's legend has them in this order.
SAME, BEHIND, CHANGED, LEFT, RIGHT, ASIDE = range(6)


def write(answer, path):
    """Writes the page to ``path``."""
    text = json.dumps(_content(answer), ensure_ascii=False, separators=(',', ':'))
    # The only ways out of a script element are a closing tag and a comment.
    text = text.replace('<', '\\u003c').replace('\u2028', '\\u2028').replace('\u2029', '\\u2029')
    title = 'od-patch: {}'.format(answer.verdict)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(_PAGE.replace('@TITLE@', title).replace('@CONTENT@', text))


def _content(answer):
    nodes, index = _nodes(answer)
    return collections.OrderedDict([
        ('version', _version.__version__), ('verdict', answer.verdict), ('reason', answer.reason),
        ('exit', answer.exit_code),
        ('graphs', [[(label, value) for label, value in _facts(source, graph, provenance)] for source, graph, provenance
                    in zip(answer.sources, answer.graphs, answer.provenance)]),
        ('rules', [] if answer.equivalence is None else
         [(name, left, right) for name, (left, right) in answer.equivalence.rules.items()]),
        ('aside', [] if answer.equivalence is None else answer.equivalence.always),
        ('causes', [_cause(answer, cause, index) for cause in answer.causes]),
        ('settings', _settings(answer)),
        ('weights', _weights(answer)), ('differing', len(answer.differences)),
        ('run', None if answer.run is None else answer.run.as_json()),
        ('nodes', nodes)])


def _facts(source, graph, provenance):
    yield 'graph', source.path
    yield 'kind', source.kind
    yield 'size', _report.size(source.bytes)
    yield 'nodes', '{:,} ({:,} needed by the outputs)'.format(len(graph), len(graph.final_order()))
    yield 'TensorFlow', _report.tensorflow(provenance)
    yield 'OD API', _report.od_api(provenance)
    yield 'optimised', _report.optimised(provenance)
    yield 'quantized', provenance.quantized
    yield 'weights', '{:,} Consts, {:,} parameters'.format(*provenance.weights)


def _settings(answer):
    rows = collections.OrderedDict()
    for side, provenance in enumerate(answer.provenance):
        for key, setting in provenance.settings.items():
            rows.setdefault(key, [setting.label, '', '', setting.option])[1 + side] = _causes.show(setting.value)
    return list(rows.values())


def _cause(answer, cause, index):
    return collections.OrderedDict([
        ('kind', cause.kind), ('title', cause.title), ('effect', cause.effect), ('scope', cause.scope),
        ('option', cause.option), ('revision', cause.revision), ('left', len(cause.left)), ('right', len(cause.right)),
        ('nodes', sorted({index[key] for key in [(0, node) for node in cause.left] + [(1, node) for node in cause.right]
                          if key in index})[:400])])


def _nodes(answer):
    """(rows, index): a row is [left name, left op, right name, right op, status, left text, right text]."""
    left, right = answer.graphs
    pairs, changed, only = _correspondence(answer)
    partner = {other: node for node, other in pairs.items()}
    needed = [set(graph.final_order()) for graph in (left, right)]
    kept = [needed[0], needed[1]]
    if answer.alignment is not None:
        kept = [set(order) for order in answer.alignment.orders()]
    explained = ({}, {})
    for cause in answer.causes:
        for side, nodes in enumerate((cause.left, cause.right)):
            for node in nodes:
                explained[side][node] = cause
    same = _sameness(answer, pairs)
    rows, index = [], {}

    def text(graph, node):
        tensor = graph.tensors[node]
        if tensor is not None:
            return '{}{}'.format(_causes._brief(tensor), '')  # pylint: disable=protected-access
        return ', '.join(graph.names[source] + (':{}'.format(port) if port else '')
                         for source, port in graph.inputs[node][:6])
    for node in range(len(left)):
        other = pairs.get(node)
        if other is not None and other >= len(right):
            other = None
        if node not in needed[0] or node not in kept[0]:
            status = ASIDE
        elif node in changed or (node in explained[0] and other is not None and not same(node)):
            status = CHANGED
        elif answer.alignment is None and other is None:
            status = ASIDE
        elif other is None or node in only[0]:
            status = LEFT
        else:
            status = SAME if same(node) else BEHIND
        if status == ASIDE:
            other = None
        told = status in (CHANGED, LEFT)
        index[(0, node)] = len(rows)
        if other is not None:
            index[(1, other)] = len(rows)
        name = right.names[other] if other is not None else None
        rows.append([left.names[node], left.ops[node], 0 if name == left.names[node] else name,
                     right.ops[other] if other is not None and right.ops[other] != left.ops[node] else 0, status,
                     text(left, node) if told else 0, text(right, other) if told and other is not None else 0])
    for node in range(len(right)):
        if node in partner and (1, node) in index:
            continue
        if node not in needed[1] or node not in kept[1] or answer.alignment is None:
            status = ASIDE
        else:  # one of several copies of what the first graph has once, or nothing that it has
            status = RIGHT if node in only[1] else SAME
        index.setdefault((1, node), len(rows))
        rows.append([None, None, right.names[node], right.ops[node], status, 0,
                     text(right, node) if status == RIGHT else 0])
    return rows, index


def _correspondence(answer):
    """(pairs, changed left nodes, (only left, only right)), for any verdict."""
    if answer.alignment is not None:
        alignment = answer.alignment
        changed = {change.left for change in alignment.changed}
        only = [set(nodes) for nodes in alignment.only]
        pairs = dict(alignment.pairs)
        for site in alignment.sites:
            pairs.setdefault(site.left, site.right)
            changed.add(site.left)
            only[0].discard(site.left)
            only[1].discard(site.right)
        return pairs, changed, only
    left, right = answer.graphs
    if answer.equivalence is None:
        position = {name: node for node, name in enumerate(right.names)}
        return {node: position[name] for node, name in enumerate(left.names)}, set(), (set(), set())
    one, other = answer.equivalence.left, answer.equivalence.right
    stock = collections.defaultdict(list)
    for node in other.order:
        if node < len(right):
            stock[other.cut[node]].append(node)
    pairs = {}
    names = {name: node for node, name in enumerate(right.names)}
    for node in one.order:
        if node >= len(left):
            continue
        partners = stock.get(one.cut[node], ())
        twin = names.get(left.names[node])
        if twin in partners:
            pairs[node] = twin
        elif partners:
            pairs[node] = partners[0]
    return pairs, set(), (set(), set())


def _sameness(answer, pairs):
    if answer.alignment is None:
        return lambda node: node in pairs
    return answer.alignment.matched


def _weights(answer):
    rows = []
    for difference in answer.differences[:_MOST_HISTOGRAMS]:
        left, right = (tensor.numbers().astype(numpy.float64).reshape(-1)
                       for tensor in (difference.left, difference.right))
        finite = [values[numpy.isfinite(values)] for values in (left, right)]
        both = numpy.concatenate(finite)
        low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
        if low == high:
            low, high = low - .5, high + .5
        bins = [numpy.histogram(values, bins=_BINS, range=(low, high))[0].tolist() for values in finite]
        rows.append([difference.name, list(difference.shape), difference.count, difference.size,
                     '{:.3g}'.format(difference.largest), '{:.3g}'.format(difference.mean),
                     '{:.4g}'.format(low), '{:.4g}'.format(high), bins[0], bins[1]])
    return rows


_PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
:root { --ink:#1c2330; --soft:#5c6675; --line:#dde2ea; --paper:#fff; --wash:#f6f8fb; --same:#2f8f5b; --behind:#b98a00;
  --changed:#c4481f; --left:#1f64b5; --right:#8a3fb0; --aside:#9aa3b0; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ef; --soft:#9aa5b5; --line:#333b48; --paper:#161a21;
  --wash:#1e242d; --same:#5cc08a; --behind:#dcb33c; --changed:#f0805a; --left:#6fa8ee; --right:#c58ae6; --aside:#75808f; } }
* { box-sizing:border-box; }
body { margin:0; font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif; color:var(--ink); background:var(--paper); }
main { max-width:1180px; margin:0 auto; padding:24px 20px 80px; }
h1 { font-size:26px; margin:0 0 4px; } h2 { font-size:18px; margin:34px 0 10px; }
.reason { font-size:17px; margin:0 0 18px; max-width:75ch; }
.verdict { display:inline-block; padding:2px 12px; border-radius:6px; color:#fff; }
.e0 { background:#2f8f5b; } .e1 { background:#c4481f; }
table { border-collapse:collapse; width:100%; } th,td { text-align:left; padding:5px 12px 5px 0; vertical-align:top;
  border-bottom:1px solid var(--line); overflow-wrap:anywhere; } th { font-weight:600; color:var(--soft); }
td.n,th.n { text-align:right; white-space:nowrap; font-variant-numeric:tabular-nums; }
.diff { background:color-mix(in srgb, var(--changed) 13%, transparent); }
.tag { font-size:12.5px; padding:1px 8px; border-radius:10px; border:1px solid currentColor; white-space:nowrap; }
.weights,.result { color:var(--changed); } .interface,.unknown,.numeric { color:var(--behind); } .cosmetic { color:var(--same); }
.small { color:var(--soft); font-size:13.5px; }
button { font:inherit; color:inherit; background:none; border:0; padding:0; cursor:pointer; text-align:left; }
button.act { border:1px solid var(--line); border-radius:6px; padding:3px 10px; background:var(--wash); }
#tools { display:flex; gap:10px; flex-wrap:wrap; align-items:center; margin:8px 0 10px; }
#tools input[type=search] { font:inherit; padding:5px 10px; border:1px solid var(--line); border-radius:6px; width:320px;
  max-width:100%; color:inherit; background:var(--wash); }
.legend span { margin-right:14px; white-space:nowrap; } .dot { display:inline-block; width:10px; height:10px; border-radius:3px;
  margin-right:5px; }
.s0 { --c:var(--same); } .s1 { --c:var(--behind); } .s2 { --c:var(--changed); } .s3 { --c:var(--left); } .s4 { --c:var(--right); }
.s5 { --c:var(--aside); } .dot { background:var(--c); }
#tree { border:1px solid var(--line); border-radius:8px; overflow:hidden; font-size:14px; }
.row { display:grid; grid-template-columns:minmax(0,1fr) minmax(0,1fr); gap:0 14px; padding:2px 10px; border-top:1px solid var(--line); }
.row:first-child { border-top:0; } .row:hover { background:var(--wash); }
.row > div { overflow-wrap:anywhere; } .scope { font-weight:600; } .op { color:var(--c); font-weight:600; }
.bar { display:inline-flex; width:120px; height:9px; border-radius:4px; overflow:hidden; vertical-align:middle; margin:0 8px; background:var(--line); }
.bar i { display:block; height:100%; background:var(--c); }
.val { color:var(--soft); font-size:13px; }
.more { padding:4px 10px; }
.hists { display:grid; grid-template-columns:repeat(auto-fill,minmax(330px,1fr)); gap:14px; }
figure { margin:0; border:1px solid var(--line); border-radius:8px; padding:10px; } figcaption { font-size:13px; overflow-wrap:anywhere; }
svg { width:100%; height:90px; display:block; margin-top:6px; }
.hl { fill:var(--left); fill-opacity:.55; } .hr { fill:var(--right); fill-opacity:.5; }
@media (max-width:700px) { .row { grid-template-columns:1fr; } }
</style>
</head>
<body>
<main id="main"></main>
<script type="application/json" id="content">@CONTENT@</script>
<script>
'use strict';
const data = JSON.parse(document.getElementById('content').textContent);
const main = document.getElementById('main');
const WORDS = {weights:'weights', result:'changes the result', interface:'inputs and outputs', unknown:'not known',
  numeric:'last digits', cosmetic:'cosmetic'};
const STATUS = ['same', 'same, but behind a difference', 'changed', 'only in the first', 'only in the second', 'set aside by a rule'];
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (key === 'class') node.className = value; else if (key === 'on') node.addEventListener('click', value);
    else node.setAttribute(key, value);
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}
function table(head, rows) {
  return el('table', {}, el('thead', {}, el('tr', {}, ...head.map(([text, cls]) => el('th', cls ? {class:cls} : {}, text)))),
    el('tbody', {}, ...rows));
}
function cells(values) { return values.map(value => value instanceof Node ? value : el('td', {}, String(value))); }
const num = value => el('td', {class:'n'}, typeof value === 'number' ? value.toLocaleString('en') : String(value));

main.append(el('h1', {}, el('span', {class:'verdict e' + data.exit}, data.verdict)), el('p', {class:'reason'}, data.reason));
main.append(table([[''], ['first'], ['second']], data.graphs[0].map(([label, value], i) => {
  const other = data.graphs[1][i][1];
  return el('tr', {}, el('th', {}, label), el('td', {}, value), el('td', value !== other && label !== 'graph' ? {class:'diff'} : {}, other));
})));
if (data.causes.length) {
  main.append(el('h2', {}, 'Why'), table([['effect'], ['cause'], ['first', 'n'], ['second', 'n']], data.causes.map(cause => {
    const small = [];
    if (cause.scope) small.push(['at ', cause.scope]);
    if (cause.option) small.push(['option ', cause.option]);
    if (cause.revision) small.push(['made by ', cause.revision]);
    const show = cause.nodes.length ? el('button', {class:'act', on:() => reveal(cause.nodes, cause.title)}, 'show nodes') : null;
    return el('tr', {}, el('td', {}, el('span', {class:'tag ' + cause.effect}, WORDS[cause.effect])),
      el('td', {}, cause.title, ...small.map(([a, b]) => el('div', {class:'small'}, a + b)), show ? el('div', {}, show) : null),
      num(cause.left), num(cause.right));
  })));
}
if (data.rules.length || data.aside.length) {
  main.append(el('h2', {}, data.exit ? 'Set aside: rules used more often on one side' : 'Rules that were needed'),
    table([['rule'], ['first', 'n'], ['second', 'n']],
      data.rules.map(([name, a, b]) => el('tr', {}, el('td', {}, name), num(a), num(b))).concat(
        data.aside.map(name => el('tr', {}, el('td', {}, '(always) ' + name), num(''), num(''))))));
}
if (data.run) {
  main.append(el('h2', {}, 'Run on ' + data.run.images + ' image(s)'), table([['output'], ['largest difference', 'n'], ['elements that differ', 'n']],
    data.run.outputs.map(row => el('tr', {}, el('td', {}, row.name), num(row.largest === null ? row.shapes : row.largest.toPrecision(3)),
      num(row.differing.toLocaleString('en') + ' of ' + row.elements.toLocaleString('en'))))));
  main.append(el('p', {}, data.run.first ? 'First tensor that differs: ' + data.run.first.left + ' | ' + data.run.first.right + ' (' + data.run.first.how + ')' : data.run.note));
}
if (data.settings.length) {
  main.append(el('h2', {}, 'Settings read back from the graphs'), table([['setting'], ['first'], ['second'], ['option']],
    data.settings.map(([label, a, b, option]) => el('tr', a !== b ? {class:'diff'} : {}, ...cells([label, a || 'cannot be told', b || 'cannot be told']),
      el('td', {class:'small'}, option)))));
}

// The tree -------------------------------------------------------------------------------------------------------------
const NS = 'http://www.w3.org/2000/svg';
const root = {name:'', kids:new Map(), nodes:[], counts:[0,0,0,0,0,0], total:0};
data.nodes.forEach((row, i) => {
  const name = row[0] === null ? row[2] : row[0];
  const parts = name.split('/');
  let place = root;
  const climb = () => { place.counts[row[4]]++; place.total++; };
  climb();
  for (let k = 0; k < parts.length - 1; k++) {
    let next = place.kids.get(parts[k]);
    if (!next) { next = {name:parts[k], kids:new Map(), nodes:[], counts:[0,0,0,0,0,0], total:0}; place.kids.set(parts[k], next); }
    place = next;
    climb();
  }
  place.nodes.push(i);
});
const different = scope => scope.counts[2] + scope.counts[3] + scope.counts[4];
function bar(scope) {
  const span = el('span', {class:'bar', title:scope.counts.map((n, s) => n ? n + ' ' + STATUS[s] : '').filter(Boolean).join(', ')});
  for (const s of [2, 3, 4, 1, 0, 5]) if (scope.counts[s]) { const part = el('i', {class:'s' + s}); part.style.width = 100 * scope.counts[s] / scope.total + '%'; span.append(part); }
  return span;
}
function nodeRow(i, depth, full) {
  const [left, op, right, rightOp, status, leftText, rightText] = data.nodes[i];
  const short = name => full ? name : name.split('/').pop();
  const row = el('div', {class:'row s' + status, title:STATUS[status]});
  const a = el('div', {}), b = el('div', {});
  a.style.paddingLeft = depth * 16 + 20 + 'px';
  if (left !== null) { a.append(el('span', {class:'op'}, op), ' ', short(left)); if (leftText) a.append(el('div', {class:'val'}, leftText)); }
  if (left === null) b.append(el('span', {class:'op'}, rightOp), ' ', short(right));
  else if (status !== 3 && status !== 5) {
    b.append(el('span', {class:'op'}, rightOp || op), ' ', right === 0 ? short(left) : right || '');
    if (rightText) b.append(el('div', {class:'val'}, rightText));
  }
  row.append(a, b);
  return row;
}
const PAGE = 300;
function fill(holder, scope, depth, onlyDifferent) {
  const kids = [...scope.kids.values()].filter(kid => !onlyDifferent || different(kid));
  kids.sort((x, y) => different(y) - different(x) || (x.name < y.name ? -1 : 1));
  const nodes = scope.nodes.filter(i => !onlyDifferent || (data.nodes[i][4] >= 2 && data.nodes[i][4] <= 4));
  nodes.sort((x, y) => rank(data.nodes[x][4]) - rank(data.nodes[y][4]));
  const items = kids.map(kid => () => scopeRow(kid, depth, onlyDifferent)).concat(nodes.map(i => () => nodeRow(i, depth)));
  page(holder, items, 0);
}
function rank(status) { return [3, 2, 0, 1, 1, 4][status]; }
function page(holder, items, start) {
  for (const item of items.slice(start, start + PAGE)) holder.append(item());
  if (items.length > start + PAGE) {
    const more = el('div', {class:'more'}, el('button', {class:'act', on:() => { more.remove(); page(holder, items, start + PAGE); }},
      (items.length - start - PAGE).toLocaleString('en') + ' more'));
    holder.append(more);
  }
}
function scopeRow(scope, depth, onlyDifferent) {
  const holder = el('div', {});
  const mark = el('span', {}, '▸ ');
  const label = el('button', {class:'scope', 'aria-expanded':'false'}, mark, scope.name + '/');
  const row = el('div', {class:'row'});
  const a = el('div', {}, label), b = el('div', {class:'small'}, bar(scope), scope.total.toLocaleString('en') + ' nodes' +
    (different(scope) ? ', ' + different(scope).toLocaleString('en') + ' differ' : ''));
  a.style.paddingLeft = depth * 16 + 'px';
  row.append(a, b);
  const box = el('div', {}, row, holder);
  let open = false, filled = false;
  label.addEventListener('click', () => {
    open = !open;
    if (open && !filled) { fill(holder, scope, depth + 1, onlyDifferent); filled = true; }
    holder.hidden = !open;
    mark.textContent = open ? '▾ ' : '▸ ';
    label.setAttribute('aria-expanded', String(open));
  });
  return box;
}
main.append(el('h2', {id:'nodes'}, 'Nodes, first graph left, second right'));
const legend = el('div', {class:'legend small'}, ...STATUS.map((word, s) => el('span', {class:'s' + s}, el('i', {class:'dot'}),
  word + ' (' + root.counts[s].toLocaleString('en') + ')')));
const search = el('input', {type:'search', placeholder:'find by name or op', 'aria-label':'find by name or op'});
const box = el('input', {type:'checkbox', id:'only'});
box.checked = different(root) > 0;
const what = el('span', {class:'small'});
const tree = el('div', {id:'tree'});
main.append(el('div', {id:'tools'}, search, el('label', {for:'only'}, box, ' only what differs'), what), legend, tree);
function draw() {
  tree.replaceChildren();
  what.textContent = '';
  const text = search.value.trim().toLowerCase();
  if (text) {
    const found = [];
    data.nodes.forEach((row, i) => {
      if (box.checked && (row[4] < 2 || row[4] > 4)) return;
      if ((row[0] || '').toLowerCase().includes(text) || (row[1] || '').toLowerCase().includes(text) ||
          (row[2] || '').toString().toLowerCase().includes(text) || (row[3] || '').toString().toLowerCase().includes(text)) found.push(i);
    });
    what.textContent = found.length.toLocaleString('en') + ' found';
    page(tree, found.map(i => () => nodeRow(i, 0, true)), 0);
  } else fill(tree, root, 0, box.checked);
  if (!tree.children.length) tree.append(el('div', {class:'more small'}, 'nothing'));
}
function reveal(nodes, title) {
  search.value = '';
  tree.replaceChildren();
  what.replaceChildren(nodes.length + ' nodes of: ' + title + ' ', el('button', {class:'act', on:draw}, 'back to the tree'));
  page(tree, nodes.map(i => () => nodeRow(i, 0, true)), 0);
  document.getElementById('nodes').scrollIntoView();
}
let timer = 0;
search.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(draw, 150); });
box.addEventListener('change', draw);
draw();

// Histograms -----------------------------------------------------------------------------------------------------------
if (data.weights.length) {
  main.append(el('h2', {}, 'Weights that differ'), el('p', {class:'small'}, (data.differing > data.weights.length ?
    'The ' + data.weights.length + ' of ' + data.differing.toLocaleString('en') + ' with the largest differences. ' : '') + 'First graph ',
    el('span', {class:'s3'}, el('i', {class:'dot'})), 'second ', el('span', {class:'s4'}, el('i', {class:'dot'}))));
  main.append(el('div', {class:'hists'}, ...data.weights.map(([name, shape, count, size, largest, mean, low, high, a, b]) => {
    const svg = document.createElementNS(NS, 'svg');
    const top = Math.max(1, ...a, ...b);
    svg.setAttribute('viewBox', '0 0 ' + a.length + ' 100');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('role', 'img');
    [[a, 'hl'], [b, 'hr']].forEach(([bins, cls]) => bins.forEach((n, x) => {
      if (!n) return;
      const rect = document.createElementNS(NS, 'rect');
      const height = Math.max(1.5, 100 * n / top);
      for (const [k, v] of [['x', x], ['y', 100 - height], ['width', .92], ['height', height], ['class', cls]]) rect.setAttribute(k, v);
      svg.append(rect);
    }));
    return el('figure', {}, el('figcaption', {}, name, el('div', {class:'small'}, '[' + shape.join(', ') + '] · ' + count.toLocaleString('en') + ' of ' +
      size.toLocaleString('en') + ' differ · largest ' + largest + ' · mean ' + mean)), svg, el('div', {class:'small'}, low + ' … ' + high));
  })));
}
main.append(el('p', {class:'small'}, 'od-patch ' + data.version));
</script>
</body>
</html>
'''
