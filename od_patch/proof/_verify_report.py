"""An ``Answer`` on a terminal: the verdict, what is wrong, then every check; 80 columns where it is piped.

Not for: JSON (``Answer.as_json``), nor the page (``_verify_page``).
"""
import textwrap

import rich.text

from od_patch.proof import _answer
from od_patch.terminal import _terminal

WIDTH = 80
_MOST_DETAILS = 5
COLOURS = {_answer.OK: 'green', _answer.NOTE: 'yellow', _answer.WRONG: 'bold red', _answer.SKIPPED: 'dim'}
_VERDICTS = {_answer.SAME: 'green', _answer.NOT_THE_SAME: 'red', _answer.NOTHING: 'yellow'}


def console(stream=None):
    """A console of 80 columns, or of a terminal's own width up to 100."""
    return _terminal.of_width(100, stream, piped=WIDTH)


def summary(answer):
    """One sentence: how many checks came out how, on what."""
    counts = answer.counts
    words = ['{} {}'.format(counts[status], status if status != _answer.NOTE or counts[status] == 1 else 'notes')
             for status in (_answer.OK, _answer.NOTE, _answer.WRONG, _answer.SKIPPED) if counts[status]]
    return '{}: {}; TensorFlow {}, {:.1f} s'.format(
        _answer.number(len(answer.checks), 'check'), ', '.join(words), answer.tensorflow, answer.seconds)


def show(answer, out):
    """Prints an ``Answer``."""
    verdict = (answer.verdict, 'bold ' + _VERDICTS[answer.verdict])
    out.print(rich.text.Text.assemble(verdict, '  ', answer.subject.given), soft_wrap=True)  # a path stays whole
    out.print(rich.text.Text(summary(answer)))
    widths = [max(map(len, texts)) for texts in zip(*[(check.name, check.status) for check in answer.checks])]
    for part in _answer.PARTS:
        if answer.of(part):
            out.print()
            out.print(rich.text.Text(part, style='bold'))
            for check in answer.of(part):
                _show_check(check, widths, out)


def _show_check(check, widths, out):
    """A line, or as many as the text takes beside name and status; below them what it is about."""
    indent = sum(widths) + 6
    lines = textwrap.wrap(check.text, max(20, out.width - indent)) or ['']
    out.print(rich.text.Text.assemble(
        '  {:<{w}}  '.format(check.name, w=widths[0]),
        ('{:<{w}}  '.format(check.status, w=widths[1]), COLOURS[check.status]), lines[0]), soft_wrap=True)
    for line in lines[1:]:
        out.print(rich.text.Text(' ' * indent + line), soft_wrap=True)
    if check.status in (_answer.WRONG, _answer.NOTE):
        shown = list(check.details[:_MOST_DETAILS])
        if len(check.details) > _MOST_DETAILS:
            shown.append('… {:,} more'.format(len(check.details) - _MOST_DETAILS))
        for detail in shown:
            for line in textwrap.wrap(detail, max(20, out.width - 6), subsequent_indent='  ',
                                      break_on_hyphens=False) or ['']:
                out.print(rich.text.Text('      ' + line, style='dim'), soft_wrap=True)
