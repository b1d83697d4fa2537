"""The options as flags of a command line: defined, read and explained with ``absl.flags``, from ``_options.TABLE``.

Not for: the flags of the release, which its script defines.
"""
from od_patch import _errors
from od_patch.options import _names
from od_patch.options import _options

REQUIRED = ('pipeline_config_path', 'trained_checkpoint_prefix', 'output_directory')  # by every release; paths


def define(flags, into):
    """Adds a flag for every option to a ``FlagValues``; one that is there already keeps its meaning.

    Args:
        flags: the module ``absl.flags``.
        into: ``FlagValues``.
    """
    there = frozenset(into)
    for group in _options.GROUPS:
        for option in group.options:
            if option.name not in there:
                default = ','.join(option.default) if isinstance(option.default, tuple) else option.default
                choices = [option.kind.choices] if option.kind.define == 'DEFINE_enum' else []
                getattr(flags, option.kind.define)(
                    option.name, default, *choices, option.help, flag_values=into, module_name=_module(group))


def values(of):
    """Returns the values of the options that were typed, a dict.

    Args:
        of: ``FlagValues``, parsed.

    Raises:
        od_patch.UsageError: one cannot be meant as it was typed.
    """
    return _options.values({name: of[name].value for name in _options.TABLE if of[name].present})


def explained(of):
    """Returns the help of all options, under the headings of their groups."""
    parts = []
    for group in _options.GROUPS:
        flags = help_of(of, _module(group))
        if flags.strip():  # the release may have all of them
            parts.append(' {}:\n{}'.format(group.title, flags))
    return '\n'.join(parts)


def help_of(of, module):
    """Returns the help of the flags that one module defines, without absl's heading."""
    lines = of.module_help(module).splitlines()
    return '\n'.join(line for line in lines if not line.rstrip().endswith(module + ':')).strip('\n') + '\n'


def unknown(name, known, where):
    """Returns the refusal of a flag that nobody knows.

    Args:
        name: str, the flag without its dashes; known: iterable of str, the flags that there are.
        where: str, the command that lists them.
    """
    return _errors.UsageError(
        'There is no flag --{}.'.format(name),
        _errors.did_you_mean(name.replace('-', '_'), _names.all_of(set(known) - {'h', 'help', 'helpfull', 'helpshort'}),
                             '--') or
        '{} lists the flags.'.format(where))


def split(arguments, but=()):
    """Returns (the arguments that are options of od-patch, the others), both in their order.

    What follows ``--`` is nobody's flag, as in every command line.

    Args:
        arguments: list of str.
        but: names of options that are somebody else's here.
    """
    ours, others = [], []
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument == '--':
            return ours, others + [argument] + queue
        spelled, = _names.spelled([argument], _options.TABLE)
        name = _names.of(spelled)
        switch = _is_switch(name)
        if not switch and name and name.startswith('no') and _is_switch(name[2:]):
            name, switch = name[2:], True
        if name not in _options.TABLE or name in but or _names.of(argument) in but:
            others.append(argument)
            continue
        ours.append(spelled)
        if not switch and '=' not in argument and queue:
            ours.append(queue.pop(0))
    return ours, others


def _is_switch(name):
    return name in _options.TABLE and _options.TABLE[name].kind.define == 'DEFINE_boolean'


def _module(group):
    """What absl calls the module that defines a group's flags; its full help shows it."""
    return 'od_patch ({})'.format(group.title)
