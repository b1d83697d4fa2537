"""Writes the table of flags in docs/flags.md from the options that there are.

``python -m tools.flag_table``; a test says where it was forgotten.
"""
import os
import re

from od_patch.options import _options

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_BEGIN = '<!-- flags: python -m tools.flag_table -->\n'
_END = '<!-- /flags -->\n'


def row(option):
    """Returns the row of an ``_option.Option``."""
    text = re.sub(r'(--\w+|"step"|(?:[\w.]+/)*\w+_\w+(?:\.\w+)?/?)', r'`\1`', option.help)
    if option.kind.choices:
        default = 'all' if isinstance(option.default, tuple) else '`{}`'.format(option.default)
        text += ' {}; default: {}.'.format(', '.join(map('`{}`'.format, option.kind.choices)), default)
    return '| `--{}` | {} |'.format(option.name, text)


def table(groups):
    """Returns the table, from its head on."""
    return '\n'.join(['| flag | |', '|---|---|'] + [row(option) for group in groups for option in group.options]) + '\n'


def main():
    path = os.path.join(_ROOT, 'docs', 'flags.md')
    with open(path, encoding='utf-8') as page:
        text = page.read()
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    with open(path, 'w', encoding='utf-8', newline='\n') as page:
        page.write(before + _BEGIN + '\n' + table(_options.GROUPS) + '\n' + _END + after)


if __name__ == '__main__':
    main()
