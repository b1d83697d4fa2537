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

# All controls but the line's end and the tab, what reverses the direction of text, and halves of characters.
_OBEYED = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def plain(text):
    """Returns ``text`` with everything that a terminal would obey written out, as ``\\\\u001b``."""
    return _OBEYED.sub(lambda found: '\\u{:04x}'.format(ord(found.group())), text)


def command(words):
    """Returns a command line that a shell takes apart into ``words`` again, whatever they hold."""
    return ' '.join(map(shlex.quote, words))


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
