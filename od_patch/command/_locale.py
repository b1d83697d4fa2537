"""Starts this command again in UTF-8 where Python 3.6 took the locale for ASCII, as it does in most containers.

Python 3.7 and later do so by themselves (PEP 538). On 3.6 click ends the program
there, and a path with an umlaut cannot be handed to TensorFlow.

Not for: od-patch as a library; the process is then somebody else's.
"""
import codecs
import locale
import os
import sys

from od_patch import _platform


def ensure_utf8():
    """Replaces this process by the same command under LC_ALL=C.UTF-8, once; does nothing where there is no need."""
    utf8 = _platform.utf8_locale()
    if sys.version_info >= (3, 7) or utf8 in (None, os.environ.get('LC_ALL')) or codecs.lookup(
            locale.getpreferredencoding(False)).name != 'ascii':
        return
    os.execve(sys.executable, _platform.command_line(), dict(os.environ, LC_ALL=utf8))
