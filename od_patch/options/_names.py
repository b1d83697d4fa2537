"""One thing has one name in every command, and each spelling of it that there has ever been goes on being taken.

The names of the release stay for the export. Each that is long has a short alias here, which is its name in all other
commands and in ``od_patch.export``. Dashes and underscores are one letter, as in ``--all-checkpoints``.

Not for: which options there are (``_options``), nor for defining or reading flags (``_flags``, click).
"""
import typing

from od_patch.options import _options


class Name(typing.NamedTuple):
    """What one thing is called."""

    short: str  # in every command of od-patch, and from Python
    flag: str  # as a flag of an export
    also: typing.Tuple[str, ...] = ()  # by earlier versions of od-patch


NAMES = [
    Name('config', 'pipeline_config_path', ('pipeline_config',)),
    Name('checkpoint', 'trained_checkpoint_prefix'),
    Name('output', 'output_directory'),
    Name('override', 'config_override'),
] + [Name(option.short, option.name) for option in _options.TABLE.values() if option.short]

_SHORT = {spelling: name.short for name in NAMES for spelling in (name.flag,) + name.also}
_FLAG = {spelling: name.flag for name in NAMES for spelling in (name.short,) + name.also}


def short(name):
    """Returns the name in all commands but the export; click asks it of every option, declared or typed."""
    plain = name.replace('-', '_')
    return _SHORT.get(plain, plain)


def flag(name, known):
    """Returns the flag of an export that was typed as ``name``; ``name`` itself where that is none.

    Args:
        name: str, without its dashes and without a value.
        known: container of str, the flags that there are. What is one of them stays as it is, so a release that has a
            flag --output keeps it.
    """
    if name in known:
        return name
    plain = name.replace('-', '_')
    for before, rest in (('', plain), ('no', plain[2:].lstrip('_') if plain.startswith('no') else '')):
        for candidate in (rest, _FLAG.get(rest)):
            if candidate and candidate in known:
                return before + candidate
    return name


def of(argument):
    """Returns the name of the flag that an argument is, None where it is none; as absl reads it, one dash will do."""
    if not argument.startswith('-'):
        return None
    name = argument[2 if argument.startswith('--') else 1:].partition('=')[0]
    return name if name.replace('-', '_').isidentifier() else None  # -1,300,300,3 is somebody's value


def spelled(arguments, known):
    """Returns arguments of an export with its flags spelled as ``known`` has them.

    What follows ``--`` is no flag. What is no flag that there is stays as it is: it may be the value of one, such as
    a folder whose name begins with a dash.

    Args:
        arguments: list of str; known: as for ``flag``.
    """
    end = arguments.index('--') if '--' in arguments else len(arguments)
    return [_spelled(argument, known) for argument in arguments[:end]] + arguments[end:]


def _spelled(argument, known):
    name = of(argument)
    if name is None:
        return argument
    dashes = 2 if argument.startswith('--') else 1
    return argument[:dashes] + flag(name, known) + argument[dashes + len(name):]


def all_of(known):
    """Returns the flags that there are and their aliases, a sorted list, for those who look for the nearest."""
    return sorted(set(known) | {name.short for name in NAMES if name.flag in known})
