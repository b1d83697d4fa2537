"""Text from files, made safe to show on a terminal and to paste into a shell.

Names in a graph or a checkpoint can hold what a terminal obeys: escape
sequences that move the cursor, set its title or hide a line. What is shown goes
through here, and what is meant to be copied is quoted.

Not for: HTML, where text is put into the page as text (``compare/_page``).
"""
import re
import shlex

# All controls but the line's end and the tab, what reverses the direction of text, and halves of characters.
_OBEYED = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def plain(text):
    """Returns ``text`` with everything that a terminal would obey written out, as ``\\\\u001b``."""
    return _OBEYED.sub(lambda found: '\\u{:04x}'.format(ord(found.group())), text)


def command(words):
    """Returns a command line that a shell takes apart into ``words`` again, whatever they hold."""
    return ' '.join(map(shlex.quote, words))
