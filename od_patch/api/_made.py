"""Between what a command prints as JSON and the named tuples that the same is from Python: there and back.

Not for: which tuples there are; those are in ``od_patch.api``.
"""
import collections
import typing

_ANY = typing.TypeVar('_ANY')

# Fields that are None where their keys are not in the JSON.
_LEFT_OUT = {
    'Comparison': ('weights', 'frontier'),
    'Publication': ('example_request',),
    'Unfrozen': ('frozen', 'saved_model', 'checkpoint', 'bytes', 'proof'),
}


def made(kind: typing.Type[_ANY], value: typing.Any) -> _ANY:
    """Returns a named tuple, with those in it, of what JSON has of it.

    Args:
        kind: the class of the tuple.
        value: dict of what JSON knows; every key of it is a field.
    """
    return typing.cast(_ANY, _made(kind, value))


def _made(kind: typing.Any, value: typing.Any) -> typing.Any:
    if value is None:
        return None
    if hasattr(kind, '_fields'):
        hints = typing.get_type_hints(kind)
        unknown = sorted(set(value) - set(kind._fields))
        if unknown:
            raise TypeError('od_patch.{} has no field for {}: add it in od_patch/api/__init__.py'.format(
                kind.__name__, ', '.join(unknown)))
        fields = dict.fromkeys(_LEFT_OUT.get(kind.__name__, ()))
        fields.update((name, _made(hints[name], part)) for name, part in value.items())
        return kind(**fields)
    inside = [part for part in getattr(kind, '__args__', None) or () if part is not type(None)]
    if isinstance(value, (list, tuple)) and len(inside) == 1 and _is_of(kind, list):
        return [_made(inside[0], part) for part in value]
    if isinstance(value, dict) and len(inside) == 2:
        return collections.OrderedDict((key, _made(inside[1], part)) for key, part in value.items())
    if len(inside) == 1 and not _is_of(kind, list):  # Optional
        return _made(inside[0], value)
    return value


def _is_of(kind: typing.Any, plain: type) -> bool:
    """Returns whether a type is ``typing.List``; Python 3.6 says so otherwise than later ones."""
    return getattr(kind, '__origin__', None) in (plain, typing.List)


def plain(value: typing.Any) -> typing.Any:
    """Returns what JSON has of a named tuple, of those in it, and of lists and dicts of them."""
    if hasattr(value, '_fields'):
        left_out = _LEFT_OUT.get(type(value).__name__, ())
        return collections.OrderedDict(
            (name, plain(part)) for name, part in zip(value._fields, value)
            if part is not None or name not in left_out)
    if isinstance(value, dict):
        return collections.OrderedDict((key, plain(part)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value
