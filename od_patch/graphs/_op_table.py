"""What every TensorFlow release from 1.4 to 2.x says of its ops, read from data.

The table is made by ``tools/op_registries.py`` from the registries of the
released wheels, so it does not depend on the TensorFlow at hand: two people
with two versions get one answer. It knows nothing of kernels or results.
"""
import functools
import gzip
import json
import os
import re
import typing

# As people write a release, and as builds call themselves: 1.12, 1.12.3, 1.12.0.post1, 2.15.0rc1, 1.15.5+nv23.3.
_VERSION = re.compile(r'\s*([0-9]+\.[0-9]+)(?:[.+_-]?[0-9A-Za-z])*\s*$')

PATH = os.path.join(os.path.dirname(__file__), 'op_table.json.gz')
SIGNATURES = os.path.join(os.path.dirname(__file__), 'op_signatures.json.gz')


class Op:
    """One op of the table.

    Attributes:
        since, until: int, positions in ``releases`` of the first and the last release that has the op.
        stateful: bool, as the op says of itself.
        attrs: dict of attribute name -> (since, until, default); ``default`` is the serialized
            ``AttrValue`` or None where the attribute must always be given.
    """

    __slots__ = ('since', 'until', 'stateful', 'attrs', 'defaults')

    def __init__(self, row: typing.List[typing.Any], last: int) -> None:
        self.since = row[0]
        self.until = last if row[1] is None else row[1]
        self.stateful = bool(row[2])
        self.attrs = {}
        for name, entry in row[3].items():
            since, until, default = (entry + [0, None, None][len(entry):])
            self.attrs[name] = (self.since + since, self.until if until is None else until,
                                None if default is None else bytes.fromhex(default))
        self.defaults = {name: entry[2] for name, entry in self.attrs.items() if entry[2] is not None}


class Signature(typing.NamedTuple):
    """What an op takes and gives, as text: 'T', '9', 'N*T', '&T' for a reference, '[T' for a list of types."""

    inputs: typing.Any
    outputs: typing.Any
    deprecated: int  # the version of GraphDefs since which it is gone; 0: none
    attrs: typing.Dict[str, typing.Any]  # name -> (kind, least value or None, allowed values or None)


class _Ops(dict):
    """Op name -> ``Op``, each made from its row when it is first asked for."""

    def __init__(self, rows: typing.Dict[str, typing.List[typing.Any]], last: int) -> None:
        super().__init__()
        self._rows = rows
        self._last = last

    def __missing__(self, name: str) -> typing.Optional[Op]:
        row = self._rows.get(name)
        self[name] = op = None if row is None else Op(row, self._last)
        return op


@functools.lru_cache(maxsize=None)
def table() -> typing.Tuple[typing.List[str], _Ops]:
    """Returns (releases, ops): a list of release strings, and op name -> ``Op`` or None for an unknown one."""
    with gzip.open(PATH) as file:
        content = json.loads(file.read().decode())
    return content['releases'], _Ops(content['ops'], len(content['releases']) - 1)


def position_of(version: str) -> typing.Optional[int]:
    """Returns the position in ``releases`` of a version as a user types it; None where the table does not have it.

    No op ever came or went with a patch release, so that any of a minor one is meant by its first two numbers.
    """
    found = _VERSION.match(version)
    minors = [short(release) for release in table()[0]]
    return minors.index(found.group(1)) if found and found.group(1) in minors else None


def short(release: str) -> str:
    """Returns '1.12' of '1.12.0'."""
    return '.'.join(release.split('.')[:2])


@functools.lru_cache(maxsize=None)
def signatures() -> typing.Dict[str, Signature]:
    """Dict of op name -> ``Signature``, from the registries of a few releases: none has changed one of an op."""
    with gzip.open(SIGNATURES) as file:
        content = json.loads(file.read().decode())
    return {name: Signature(row[0], row[1], row[2], row[3]) for name, row in content.items()}
