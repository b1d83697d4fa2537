"""Standard streams, the working directory and the words of a command, where they are not what one takes for granted.

Not for: what is shown on a terminal (``_terminal``, ``_text``).
"""
import codecs
import io
import os
import sys

from od_patch import _errors
from od_patch.staging import _store


class Unheard(_errors.ODPatchError):
    """The standard output does not take what is written to it: the command has done its work, and cannot tell."""

    exit_code = 1

    def __init__(self, error):
        super().__init__('The answer could not be written to the standard output: {}.'.format(error.strerror or error),
                         'What the command was to write elsewhere is written. Send its output to another place.')
        self.of_a_pipe = isinstance(error, BrokenPipeError)


class Output:
    """The standard output. What goes wrong with it is told from what goes wrong with files; it takes any name."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        try:
            try:
                return self._stream.write(text)
            except UnicodeEncodeError:  # of a path that is no UTF-8, or an encoding that is not, as on Windows
                return self._stream.write(in_encoding(text, self._stream.encoding))
        except OSError as error:
            raise Unheard(error)

    def flush(self):
        try:
            self._stream.flush()
        except OSError as error:
            raise Unheard(error)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def in_encoding(text, encoding):
    """Returns a text with all that an encoding has no character for written out, as ``\\\\u2717``."""
    encoding = encoding or 'ascii'
    return text.encode(encoding, 'backslashreplace').decode(encoding)


def show_any_character():
    """Has the standard output write out what its encoding lacks, as the standard error does by itself."""
    encoding = getattr(sys.stdout, 'encoding', None)
    if not encoding or codecs.lookup(encoding).name == 'utf-8':
        return
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')
    elif isinstance(sys.stdout, io.TextIOWrapper):  # before Python 3.7
        sys.stdout.flush()
        buffered = sys.stdout.line_buffering
        sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding, 'backslashreplace', line_buffering=buffered)


def open_what_is_closed():
    """Opens the standard streams that were closed (``>&-``): else a file of ours would get the number of one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, 'w', closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, 'w', closefd=False)


def check_working_directory():
    """Refuses a working directory that was removed: no relative path means anything there, and libraries ask for it.

    Raises:
        od_patch.UsageError
    """
    try:
        os.getcwd()
    except OSError as error:
        raise _errors.UsageError('The folder that this command runs in cannot be found: {}.'.format(error.strerror),
                                 'It may be gone: cd to one that is there; then try again.')


def check_words(words):
    """Refuses what no command can read: names that are no UTF-8, for TensorFlow, and stores without their library.

    Raises:
        od_patch.UsageError, od_patch.EnvironmentRefused
    """
    for word in words:
        try:
            word.encode('utf-8')
        except UnicodeEncodeError:
            raise _errors.UsageError('{} is no UTF-8, and TensorFlow cannot open it.'.format(word),
                                     'Rename it, or give a link to it that has a plain name.')
        _store.plain(word.partition('=')[2] if word.startswith('--') else word)
