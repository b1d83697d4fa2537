"""Text from files, made safe to show on a terminal and to paste into a shell.

Names in a graph or a checkpoint can hold what a terminal obeys: escape
sequences that move the cursor, set its title or hide a line. What is shown goes
through here, and what is meant to be copied is quoted.

Not for: HTML, where text is put into the page as text (``compare/_page``).
"""
import os
import re
import shlex
import shutil
import sys

from od_patch import _platform

# All controls but the line's end and the tab, what reverses the direction of text, and halves of characters.
_OBEYED = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def plain(text):
    """Returns ``text`` with everything that a terminal would obey written out, as ``\\\\u001b``."""
    return _OBEYED.sub(lambda found: '\\u{:04x}'.format(ord(found.group())), text)


def command(words):
    """Returns a command line that the shell of this machine takes apart into ``words`` again, whatever they hold."""
    line = ' '.join(map(_quoted, words))
    # A line that begins with a quote is a text to PowerShell, which shows it. A word alone is no command.
    return '& ' + line if _platform.shell() == 'powershell' and len(words) > 1 and line[0] in '"\'' else line


def program(name):
    """Returns how the user's shell finds a program of this Python: its name, or its path where PATH has not this one.

    Args:
        name: str, such as ``saved_model_cli``; whatever has installed it, it lies beside the interpreter.
    """
    own = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), name)
    found = shutil.which(name)
    if found and os.path.dirname(os.path.abspath(found)) == os.path.dirname(own) or not os.path.isfile(own):
        return name
    return own


def python(program):
    """Returns a command line for any shell that runs a program of one line, without what is read in double quotes."""
    assert not set(program) & set('"$`%!\\\n'), program
    return 'python -c "{}"'.format(program)


def in_folder(folder, line):
    """Returns a line that goes to a folder, and does there what another line does."""
    return {'sh': 'cd {} && {}', 'cmd': 'cd /d {} && {}', 'powershell': 'Set-Location -LiteralPath {}; {}'}[
        _platform.shell()].format(_quoted(folder), line)


def on_path(variable, folders):
    """Returns a line that adds folders to a variable such as PYTHONPATH."""
    if _platform.shell() == 'sh':
        return 'export {0}=${0}:{1}'.format(variable, ':'.join(map(shlex.quote, folders)))
    if _platform.shell() == 'cmd':
        return 'set "{0}=%{0}%;{1}"'.format(variable, ';'.join(folders))  # its quotes are no part of the value
    return '$env:{} += {}'.format(variable, _in_single_quotes(''.join(';' + folder for folder in folders)))


def _quoted(word):
    """Quotes a word for the shell of this machine; cmd and PowerShell get the same wherever they read it alike."""
    shell = _platform.shell()
    if shell == 'sh':
        return shlex.quote(word)
    if _BARE.match(word):
        return word
    special = set(word) & set('"%!' if shell == 'cmd' else '"$`\u201c\u201d\u201e')
    spaced = shell == 'cmd' or ' ' in word  # PowerShell puts quotes around what has a space, and around nothing else
    # The program takes its line apart by itself, and reads backslashes before a quote.
    inside = re.sub(r'(\\*)"', r'\1\1\\"', word) + (re.search(r'\\*$', word).group() if spaced else '')
    if not special:
        return '"{}"'.format(inside)
    # Between quotes, cmd still reads % and !; so it is told of no quotes at all.
    return re.sub(r'([()%!^"<>&|])', r'^\1', '"{}"'.format(inside)) if shell == 'cmd' else _in_single_quotes(inside)


def _in_single_quotes(text):
    return "'{}'".format(re.sub("['\u2018-\u201b]", r'\g<0>\g<0>', text))  # PowerShell takes each of them for one


# What no shell of Windows reads. PowerShell cuts -a.b in two, and makes lists at commas.
_BARE = re.compile(r'(?!-.*[.:])[A-Za-z0-9_+./\\:=-]+$')
