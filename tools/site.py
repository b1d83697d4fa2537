"""Builds the documentation site: ``python -m tools.site OUTPUT``, or ``tox -e docs``.

The site has the pages of the repository (README, ``docs/``, ``patches/``, ``examples/``) and a page for each command, made from
its ``--help``. docs/api.md, which ``tools/api_reference.py`` writes, is the Python API. Sphinx builds it; a warning is an error.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

import click

from od_patch import cli

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The menu: its parts, and the pages of each with the words that lead to them. Commands follow in the reference, and what is
# not named here at the end, both under their own titles.
_MENU = (
    ('Use', (('docs/flags', 'Export'), ('docs/recipes', 'Recipes'), ('docs/verify', 'Verify'), ('docs/serving', 'Serve'),
             ('docs/batch', 'Many images'), ('docs/compare', 'Compare'), ('docs/gallery', 'Gallery'),
             ('docs/troubleshooting', 'Troubleshooting'))),
    ('Background', (('docs/releases', 'Versions and releases'), ('docs/tensorflow2', 'TensorFlow 2'),
                    ('docs/platforms', 'Linux, macOS and Windows'),
                    ('docs/performance', 'Performance'), ('docs/fast', 'How exports are fast'),
                    ('docs/faults', 'Interrupted exports'), ('SECURITY', 'Security'))),
    ('Reference', (('docs/api', 'Python API'),)),
    ('Develop', (('CONTRIBUTING', 'Contributing'), ('docs/architecture', 'Architecture'), ('CHANGELOG', 'Changelog'))),
)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('output', help='a folder; what it holds is replaced')
    output = os.path.abspath(parser.parse_args(arguments).output)
    with tempfile.TemporaryDirectory() as source:
        pages = _copy_pages(source)
        pages += _write_commands(source)
        _write_start(source, pages)
        shutil.rmtree(output, ignore_errors=True)
        subprocess.check_call([sys.executable, '-m', 'sphinx', '--builder', 'html', '--fail-on-warning', '--keep-going', '--quiet',
                               '--conf-dir', os.path.join(_ROOT, 'docs', 'site'),
                               '--doctree-dir', os.path.join(source, '.doctrees'), source, output])
    print('{}: {} pages'.format(os.path.join(output, 'index.html'), len(pages) + 1))


def _copy_pages(source):
    """Copies the pages, and the files that they link to, into the same places below ``source``; returns the pages' names."""
    tracked = subprocess.check_output(['git', 'ls-files', '-z'], cwd=_ROOT).decode('utf-8').split('\0')
    names = [name for name in tracked if name.endswith('.md') and not name.startswith('.')]
    for name in names:
        text = _read(name)
        for target in re.findall(r'\]\((?!\w+:)([^)#]+)', re.sub(r'```.*?```', '', text, flags=re.DOTALL)):
            linked = os.path.normpath(os.path.join(os.path.dirname(name), target))
            if os.path.isfile(os.path.join(_ROOT, linked)) and not linked.endswith('.md'):
                _place(source, linked)
                shutil.copyfile(os.path.join(_ROOT, linked), os.path.join(source, linked))
        _write(source, name, _for_sphinx(name, text))
    return [name[:-len('.md')] for name in names if name != 'README.md']


def _for_sphinx(name, text):
    """Returns the text of a page with its links to the README led to the start page, and those to folders to their README."""
    def link(match):
        target = os.path.normpath(os.path.join(os.path.dirname(name), match.group(1)))
        if os.path.isdir(os.path.join(_ROOT, target)):
            target = os.path.join(target, 'README.md')
        if target == 'README.md':
            target = 'index.md'
        return '](' + os.path.relpath(target, os.path.dirname(name) or '.').replace(os.sep, '/') + (match.group(2) or '') + ')'
    text = re.sub(r'\]\((?!\w+:)([^)#]+)(#[^)]*)?\)', link, text)
    # The site has no program that draws it.
    return text.replace('```mermaid', '```text')


def _write_commands(source):
    """Writes a page for each command, made from its --help; returns their names."""
    pages = ['reference/export_inference_graph']
    _write(source, pages[0] + '.md', _help_page('export_inference_graph', subprocess.check_output(
        [sys.executable, '-m', 'od_patch.export_inference_graph', '--help']).decode('utf-8')))
    with click.Context(cli.cli, info_name='od-patch', terminal_width=78) as group:
        for name in cli.cli.list_commands(group):
            with click.Context(cli.cli.get_command(group, name), info_name=name, parent=group, terminal_width=78) as command:
                if not command.command.hidden:
                    pages.append('reference/' + name)
                    _write(source, pages[-1] + '.md', _help_page(command.command_path, command.get_help()))
    return pages


def _help_page(title, text):
    return '# {}\n\n```text\n{}\n```\n'.format(title, text.strip())


def _write_start(source, pages):
    """Makes the README the start page, with the menu of all pages."""
    menu, rest = [], sorted(pages)
    for caption, entries in _MENU:
        lines = ['{} <{}>'.format(title, name) for name, title in entries]
        named = [name for name, _ in entries]
        if caption == 'Reference':
            commands = [name for name in rest if name.startswith('reference/') and name not in named]
            lines, named = lines + commands, named + commands
        for name in named:
            if name not in rest:
                raise ValueError('There is no page {} for the menu.'.format(name))
        menu.append((caption, lines))
        rest = [name for name in rest if name not in named]
    menu.append(('More', rest))
    text = _for_sphinx('README.md', _read('README.md'))
    for caption, lines in menu:
        text += '\n'.join(['', '```{toctree}', ':hidden:', ':caption: ' + caption, ''] + lines + ['```', ''])
    os.remove(os.path.join(source, 'README.md'))
    _write(source, 'index.md', text)


def _read(name):
    with open(os.path.join(_ROOT, name), encoding='utf-8') as page:
        return page.read()


def _place(source, name):
    os.makedirs(os.path.dirname(os.path.join(source, name)), exist_ok=True)


def _write(source, name, text):
    _place(source, name)
    with open(os.path.join(source, name), 'w', encoding='utf-8', newline='\n') as page:
        page.write(text)


if __name__ == '__main__':
    main()
