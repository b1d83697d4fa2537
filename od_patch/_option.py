"""What an option is: its name, its kind, its default, its help; the same for a flag and for a keyword of ``patched()``.

A kind says how such a flag is defined, and makes a value of what was typed or
given from Python. ``~`` is expanded in every path, as shells leave it alone
behind an equals sign.

Not for: the options that there are, which are in ``_options`` and in ``steps``.
"""
import operator
import os
import typing

from od_patch import _errors


class Kind:
    """A kind of option.

    Attributes:
        name: str, what the help of ``patched()`` calls it.
        define: str, the function of ``absl.flags`` that defines such a flag.
        value: function from (option's name, what was typed or given) to the value.
        choices: list of str, all that can be chosen from; empty where it is anything.
    """

    def __init__(self, name, define, value, choices=()):
        self.name = name
        self.define = define
        self.value = value
        self.choices = list(choices)


class Option(typing.NamedTuple):
    """One option of an export."""

    name: str
    kind: Kind
    default: object  # what it is where it is not given
    help: str  # a sentence or two
    # Whether it changes what an export is or what is proved of it: a series then exports its checkpoints anew.
    ingredient: bool = True
    keyword: bool = True  # whether it is one of ``patched()``, too
    short: str = ''  # another name for it, of a long one that the release has

    def value(self, given):
        """Returns the value of what was typed or given.

        Raises:
            od_patch.UsageError: it cannot be meant as it was typed.
            ValueError, TypeError: it cannot be meant as it was given from Python.
        """
        return self.kind.value(self.name, given)


def _as_it_is(name, given):
    del name
    return given


def _path(name, given):
    del name
    return os.path.expanduser(os.fspath(given))


def _names(name, given):
    del name
    if isinstance(given, str):
        return [part.strip() for part in given.split(',') if part.strip()]
    return [os.fspath(part) for part in given]


def _paths(name, given):
    return [os.path.expanduser(path) for path in _names(name, given)]


def _number(name, given):
    del name
    return operator.index(given)


def _seconds(name, given):
    del name
    return float(given)


def _switch(name, given):
    del name
    return bool(given)


def _steps(name, given):
    if not isinstance(given, str):
        return frozenset(map(operator.index, given))
    steps = _names(name, given)
    if not steps or not all(step.isdigit() for step in steps):
        raise _errors.UsageError('--{}={} is no list of global steps.'.format(name, given),
                                 'Give numbers, such as --{}=100000,200000.'.format(name))
    return frozenset(map(int, steps))


TEXT = Kind('str', 'DEFINE_string', _as_it_is)
PATH = Kind('path', 'DEFINE_string', _path)
NAMES = Kind('list of str', 'DEFINE_string', _names)
PATHS = Kind('list of paths', 'DEFINE_string', _paths)
NUMBER = Kind('int', 'DEFINE_integer', _number)
SECONDS = Kind('float', 'DEFINE_float', _seconds)
SWITCH = Kind('bool', 'DEFINE_boolean', _switch)
STEPS = Kind('list of int', 'DEFINE_string', _steps)


def one_of(choices):
    """Returns the ``Kind`` of an option that has one of some values."""
    def value(name, given):
        if given not in choices:
            raise ValueError('{} is {!r}; it can be one of {}'.format(name, given, ', '.join(choices)))
        return given
    return Kind('one of {}'.format(', '.join(choices)), 'DEFINE_enum', value, choices)


def some_of(choices):
    """Returns the ``Kind`` of an option that has some of several values."""
    def value(name, given):
        found = tuple(_names(name, given))
        unknown = [part for part in found if part not in choices]
        if not isinstance(given, str):
            if not found or unknown:
                raise ValueError('{} is {!r}; it can have some of {}'.format(name, found, ', '.join(choices)))
        elif unknown:
            raise _errors.UsageError(
                '--{}={} asks for {!r}; it can be some of {}.'.format(name, given, unknown[0], ', '.join(choices)),
                _errors.did_you_mean(unknown[0], choices, '--{}='.format(name)))
        elif not found:
            raise _errors.UsageError('--{} is empty: there would be nothing to export.'.format(name),
                                     'Give some of {}, or leave it out for all of them.'.format(','.join(choices)))
        return found
    return Kind('list of some of {}'.format(', '.join(choices)), 'DEFINE_string', value, choices)
