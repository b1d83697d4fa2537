"""Writes docs/api.md, and ``od_patch/__init__.pyi`` for type checkers and editors, from docstrings, annotations and the options.

``python -m tools.api_reference``; a test says where it was forgotten. It runs on every Python that od-patch does.
"""
import inspect
import io
import os
import re
import textwrap
import tokenize

import od_patch
from od_patch import _errors
from od_patch import api
from od_patch.options import _names
from od_patch.options import _options

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(_ROOT, 'docs', 'api.md')
STUB = os.path.join(_ROOT, 'od_patch', '__init__.pyi')

_FUNCTIONS = ('export', 'verify', 'compare', 'inspect', 'freeze', 'unfreeze', 'regenerate', 'publish', 'request', 'package',
              'doctor', 'patched', 'install', 'uninstall', 'image_of_example')
_SERIES = ('all_checkpoints', 'checkpoint_steps', 'watch')

_INTRODUCTION = '''# The Python API

<!-- python -m tools.api_reference makes this page from the docstrings. -->

```python
import od_patch

report = od_patch.export('pipeline.config', 'training/', 'exported', artifacts=['saved_model', 'frozen_graph'])
print(report.variables, 'variables of step', report.step, 'in', report.output)

proof = od_patch.verify('exported', images=['photos/'])
if not proof.ok:
    raise SystemExit('\\n'.join(check.text for check in proof.checks if check.status == 'wrong'))

published = od_patch.publish('exported', 'models/detector', keep=3)
print(published.server)
```

Each function does what the command of the same name does (`export`: `export_inference_graph`), and returns what that prints
with `--json`, as a named tuple: `report.as_json()` is the same dict. Paths are text or `pathlib`'s, and a leading `~` is the
home folder. Errors are those [below](#errors); `str(error)` has the words of the command. None of the functions prints anything
to the standard output or ends the program, and each may be called from any thread. `progress=print` shows the stages of a long one.

`import od_patch` imports neither TensorFlow nor the Object Detection API. The first `export` does: call it, `install()` or
`patched()` before you import anything of `object_detection`. Under TensorFlow 2, exports build their graph in TensorFlow 1's
way; eager execution and all switches are afterwards as they were. While an export runs, other threads see some of TensorFlow 1's
defaults, such as reference variables, so train elsewhere meanwhile.
'''


def page():
    """Returns the text of docs/api.md."""
    parts = [_INTRODUCTION, _names_section(), '## Functions\n']
    parts += [_function(name) for name in _FUNCTIONS]
    parts.append(_class(od_patch.Detector))
    parts.append('## What they return\n\nAll of these are attributes of `od_patch`, or of `od_patch.api`.\n')
    parts += [_result(kind) for kind in _results()]
    parts.append('## Errors\n\nEach has `problem`, `remedy` and `exit_code`, which is [that of the commands]'
                 '(troubleshooting.md#exit-codes).\n')
    parts.append('| error | exit code | |\n|---|---|---|\n' + ''.join(
        '| `{}` | {} | {} |\n'.format(name, error.exit_code, _plain(error.__doc__.split('\n\n')[0]))
        for name, error in vars(_errors).items() if isinstance(error, type)))
    return '\n'.join(parts)


def _names_section():
    rows = ''.join('| `--{}` | `--{}` |\n'.format(name.short, '`, `--'.join((name.flag,) + name.also))
                   for name in _names.NAMES)
    return ('## Names\n\nFunctions and commands call the same thing by the same name. The release has long flags for some; '
            'every command takes both, with dashes or with underscores.\n\n| name | also |\n|---|---|\n' + rows)


def _function(name):
    """Returns the section on a function."""
    docstring = inspect.getdoc(getattr(od_patch, name))
    docstring, options, rest = re.match(
        r'(.*?)(\n *(?:strict_pin|saved_model_variables): .*?)?((?:\n\n(?:Returns|Raises):.*)?)$', docstring, re.DOTALL).groups()
    shown = _signature(name) if name != 'patched' else 'patched(exporter=None, **options)'
    code = '```python\n{}\n```\n'.format(textwrap.fill('od_patch.' + shown, 110, subsequent_indent=' ' * 4,
                                                      break_long_words=False, break_on_hyphens=False))
    text = '### {}\n\n{}\n{}'.format(name, code, _sections(docstring))
    if options and name == 'patched':
        text += '- the options of [export](#export)\n'
    elif options:
        text += '\n| keyword | value | |\n|---|---|---|\n' + ''.join('| `{}` | {} | {} |\n'.format(
            option.name, option.kind.name, re.sub(r'(--\w+)', r'`\1`', option.help))
            for option in _options.TABLE.values() if option.keyword)
    return text + ('\n' + _sections(rest) if rest else '')


def _class(kind):
    """Returns the section on a class: its docstring, and its methods with theirs."""
    text = '### {}\n\n{}'.format(kind.__name__, _sections(inspect.getdoc(kind)))
    for name, function in vars(kind).items():
        if inspect.isfunction(function) and (not name.startswith('_') or name == '__init__'):
            parameters = str(inspect.signature(function)).replace('(self, ', '(').replace('(self)', '()')
            text += '\n```python\n{}{}\n```\n\n{}'.format(
                'od_patch.' + kind.__name__ if name == '__init__' else 'detector.' + name, parameters,
                _sections(inspect.getdoc(function) or ''))
    return text


def _sections(docstring):
    """Returns what a docstring says, with a list for its arguments and errors."""
    text = ['']
    section = ''
    for line in docstring.split('\n'):
        heading = re.match(r'(Args|Returns|Raises):$', line)
        if heading:
            section = heading.group(1)
            text += [{'Args': 'Arguments:', 'Returns': 'Returns', 'Raises': 'Raises:'}[section]]
            text += [''] * (section != 'Returns')
        elif section == 'Returns' and line.strip():
            text[-1] += ' ' + line.strip()
        elif re.match(r' {4}\S', line):
            text.append('- ' + line.strip())
        elif line.strip() and text[-1].startswith('- '):
            text[-1] += ' ' + line.strip()
        else:
            text.append(line)
    return _plain('\n'.join(text)).strip('\n') + '\n' if docstring else ''


def _plain(text):
    """Returns text of a docstring as Markdown; `|` would end a cell of a table."""
    text = re.sub(r'``([^`]+)``', r'`\1`', text)
    text = re.sub(r'^- ([\w*, ]+?):', lambda found: '- `{}`:'.format('`, `'.join(found.group(1).split(', '))), text,
                  flags=re.MULTILINE)
    return re.sub(r'- (od_patch\.\w+(?:, od_patch\.\w+)*)', lambda found: '- ' + re.sub(
        r'(od_patch\.\w+)', r'`\1`', found.group(1)), text)


def _signature(name):
    """Returns the head of a function as its source has it, without ``def``, private names spelt out."""
    found = re.search(r'^def {}\((.*?)\)(?: -> ([^:]+))?:\n'.format(name), _source_of(getattr(od_patch, name)),
                      re.MULTILINE | re.DOTALL)
    parameters = re.sub(r'\s+', ' ', found.group(1))
    returned = (found.group(2) or '').strip("'")
    for old, new in (('typing.Optional[_Path]', 'path or None'), ('typing.Sequence[_Path]', 'paths'),
                     ('typing.Optional[paths]', 'paths or None'), ('_Path', 'path'), ('_Progress', 'function or None'),
                     ('typing.Optional[typing.Sequence[str]]', 'list of str or None'), ('typing.Optional[str]', 'str or None'),
                     ('typing.Optional[int]', 'int or None'), ('typing.Union[int, str, None]', 'int, str or None'),
                     ('typing.Any', 'any')):
        parameters = parameters.replace(old, new)
    returned = returned.replace('api.', '').replace('typing.Any', 'ExportReport or SeriesReport')
    if not returned:
        return '{}({})'.format(name, parameters)
    return '{}({}) -> {}'.format(name, parameters, returned)


def _source_of(function):
    with open(function.__code__.co_filename, encoding='utf-8') as source:
        return source.read()


def _results():
    """Returns the classes of named tuples that functions return, as their source has them."""
    return [value for value in vars(api).values() if hasattr(value, '_fields')]


def _result(kind):
    """Returns the section on a named tuple: its docstring, its fields with their types and comments."""
    rows = []
    for name, (annotation, comment) in _fields(kind).items():
        rows.append('| `{}` | `{}` | {} |'.format(name, annotation, _plain(comment)))
    text = '### {}\n\n{}\n\n| field | type | |\n|---|---|---|\n{}\n'.format(
        kind.__name__, _plain(inspect.getdoc(kind)), '\n'.join(rows))
    more = [(name, getattr(kind, name)) for name in ('ok', 'as_json') if hasattr(kind, name)]
    return text + ('\n' + '\n'.join('- `{}`: {}'.format(
        name + '()' * callable(value), _plain(inspect.getdoc(value.fget if isinstance(value, property) else value)))
        for name, value in more) + '\n' if more else '')


def _fields(kind):
    """Returns {field: (its annotation in words, the comment behind it)}, as the source of ``od_patch.api`` has them."""
    lines = inspect.getsource(kind).splitlines()
    found = {}
    for line in lines:
        field = re.match(r'    (\w+): ([^=#]+?)(?: = [^#]+?)?(?:  # (.*))?$', line)
        if field and field.group(1) in kind._fields:
            found[field.group(1)] = (re.sub(r'typing\.|_Json', lambda word: 'dict' if word.group() == '_Json' else '',
                                            field.group(2)), field.group(3) or '')
    assert list(found) == list(kind._fields), kind
    return found


_TYPES = {'str': 'str', 'path': '_Path', 'list of str': '_Names', 'list of paths': 'typing.Union[str, typing.Iterable[_Path]]',
          'int': 'int', 'float': 'float', 'bool': 'bool', 'list of int': 'typing.Union[str, typing.Iterable[int]]'}


def _type_of(option):
    if option.kind.name in _TYPES:
        return _TYPES[option.kind.name]
    return '_Names' if option.kind.name.startswith('list') else 'str'


def stub():
    """Returns the text of ``od_patch/__init__.pyi``."""
    source = _source_of(od_patch.export)
    results = sorted(name for name in od_patch.__all__ if hasattr(getattr(od_patch, name), '_fields'))
    errors = sorted(name for name in od_patch.__all__ if hasattr(_errors, name))
    lines = ['# Made by python -m tools.api_reference from __init__.py and the options: what type checkers and editors read.',
             'import os', 'import typing', '', 'from typing_extensions import Literal', '', 'from od_patch import api']
    for module, names in (('_errors', errors), ('_version', ['__version__']), ('api', results),
                          ('serving._batch', ['Detector', 'image_of_example'])):
        lines += ['from od_patch.{} import {} as {}'.format(module, name, name) for name in names]
    lines += ['', "_Path = typing.Union[str, 'os.PathLike[str]']", '_Names = typing.Union[str, typing.Iterable[str]]',
              '_Progress = typing.Optional[typing.Callable[[str], typing.Any]]', '']
    head = re.search(r'^def export\((.*?),\s*\*\*options', source, re.MULTILINE | re.DOTALL).group(1)
    options = [option for option in _options.TABLE.values() if option.keyword]
    for asked in _SERIES + (None,):
        lines += ['@typing.overload', 'def export(' + _indented(_without_defaults(head)) + ',']
        for option in sorted(options, key=lambda option: option.name != asked):
            kind = _type_of(option)
            if option.name == asked:
                lines.append('    {}: {},'.format(option.name, 'Literal[True]' if kind == 'bool' else kind))
            elif asked is None and option.name in _SERIES:
                lines.append('    {}: {} = ...,'.format(option.name, 'Literal[False]' if kind == 'bool' else 'None'))
            else:
                lines.append('    {}: typing.Optional[{}] = ...,'.format(option.name, kind))
        lines += ['    **of_the_release: typing.Any) -> {}: ...'.format('ExportReport' if asked is None else 'SeriesReport'), '']
    for name in _FUNCTIONS[1:_FUNCTIONS.index('patched')]:
        found = re.search(r'^def {}\((.*?)\) -> ([^\n]+):\n'.format(name), source, re.MULTILINE | re.DOTALL)
        lines += ['def {}({}) -> {}: ...'.format(name, _indented(_without_defaults(found.group(1))),
                                                found.group(2).strip("'")), '']
    lines += ['def install(exporter: typing.Any = ..., strict_pin: bool = ...) -> None: ...', '',
              'def uninstall(exporter: typing.Any = ...) -> None: ...', '', 'def patched(', '    exporter: typing.Any = ...,']
    for parameter in list(inspect.signature(od_patch.patched).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and '    *,' not in lines[lines.index('def patched('):]:
            lines.append('    *,')
        if parameter.name in _options.TABLE:
            lines.append('    {}: typing.Optional[{}] = ...,'.format(
                parameter.name, _type_of(_options.TABLE[parameter.name])))
    lines[-1] = lines[-1].rstrip(',') + ') -> typing.ContextManager[None]: ...'
    return '\n'.join(lines) + '\n'


def _without_defaults(parameters):
    """Returns parameters with ``...`` for their defaults: they are the source's."""
    tokens = list(tokenize.generate_tokens(io.StringIO('(' + parameters + ')').readline))
    text, depth, skips = '', 0, False
    for token in tokens:
        depth += (token.string in '([' and token.string != '') - (token.string in ')]' and token.string != '')
        if token.string == '=' and depth == 1:
            text, skips = text + ' = ...', True
        elif token.string == ',' and depth == 1:
            text, skips = text + ', ', False
        elif not skips and token.string.strip() and not (depth == 0 and token.string == ')') and not (
                token.string == '(' and text == '' and depth == 1):
            text += token.string + (' ' if token.string in (':', ',') else '')
    return text.strip()


def _indented(parameters):
    """Returns parameters, one a line."""
    parts, depth, part = [], 0, ''
    for letter in parameters:
        depth += (letter in '([') - (letter in ')]')
        if letter == ',' and not depth:
            parts.append(part.strip())
            part = ''
        else:
            part += letter
    return '\n    ' + ',\n    '.join(parts + [part.strip()]) if part.strip() else ''


def main():
    for path, text in ((PAGE, page()), (STUB, stub())):
        with open(path, 'w', encoding='utf-8', newline='\n') as file:
            file.write(text)


if __name__ == '__main__':
    main()
