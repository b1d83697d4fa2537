"""Claims on versions in a store, where nothing can be locked: of two that publish at once, each gets its own.

A claim is a file ``BASE/.od-patch/claim-<version>-<id>``, which no server takes for
a version. Whoever wants a number writes a claim on it and then looks: nobody else's
there, and it is theirs, as whoever claims it later will see this one. It takes a
store that shows at once what was written (S3 since December 2020, GCS). In one where
looks lag behind, two that publish at the same moment may get one number; which of
the files arrive last is then the store's affair.

Not for: the upload itself, which is ``_store.Place``.
"""
import contextlib
import re
import time
import uuid

from od_patch.staging import _staging
from od_patch.staging import _store

_PRUNED = re.compile(r'prune-([0-9]{1,19})-([0-9a-f]{32})$')
_NAME = re.compile(r'claim-([0-9]{1,19})-([0-9a-f]{32})$')
_PATIENCE = 3  # seconds that the first of several on one number waits for the others to take another one
_BETWEEN_LOOKS = 0.1


class Overtaken(Exception):
    """Somebody else has claimed the version."""


def clear(base):
    """Removes what runs that were killed have left of versions, as far as their claims and journals tell."""
    claims, pruned = _claims(base), _claims(base, _PRUNED)
    if not claims and not pruned:
        return
    with _probed(base) as now:
        for version, claim in claims:
            if not _store.may_be_alive(claim, now):
                _staging.clear(_store.join(base, str(version)), _staging.OF_A_SAVED_MODEL)
                _store.remove(claim)
        for version, claim in pruned:
            if not _store.may_be_alive(claim, now):
                _remove_rest(_store.join(base, str(version)))
                _store.remove(claim)
    _tidy(base)


def prune(base, version, path):
    """Removes a version, its graph first, so that nobody loads the half of it; under a claim, so that no half stays."""
    claim = _store.join(base, _store.FOLDER, 'prune-{}-{}'.format(version, uuid.uuid4().hex))
    with _store.active(claim):
        try:
            _store.write(claim, _store.identity())
            for name in _store.GRAPHS:
                _store.remove(_store.join(path, name))
            _store.remove_folder(path)
        finally:
            _store.remove(claim)
            _tidy(base)


def _remove_rest(path):
    """Removes what is left of a version that was being pruned; one with a graph is whole, or somebody else's."""
    names = _store.names_in(path)
    if not set(names) & set(_store.GRAPHS):
        for name in filter(_staging.OF_A_SAVED_MODEL.match, names):
            _store.remove_folder(_store.join(path, name))
        _store.remove_if_empty(path)


def taken(base):
    """Returns the versions that are claimed."""
    return {version for version, _ in _claims(base)}


@contextlib.contextmanager
def claimed(base, version):
    """Context in which a version is this run's alone.

    Raises:
        Overtaken: it is somebody else's.
    """
    name = uuid.uuid4().hex
    claim = _store.join(base, _store.FOLDER, 'claim-{}-{}'.format(version, name))
    with _store.active(claim):
        try:
            _store.write(claim, _store.identity())
            _wait_until_alone(base, version, claim)
            yield
        finally:
            _store.remove(claim)
            _tidy(base)


def _wait_until_alone(base, version, claim):
    """Returns when there is no other claim on a version; only the first by name waits, so that not all give way."""
    end = time.time() + _PATIENCE
    while True:
        others = [other for number, other in _claims(base) if number == version and other != claim]
        if not others:
            return
        if claim > min(others) or time.time() > end:
            raise Overtaken
        time.sleep(_BETWEEN_LOOKS)


@contextlib.contextmanager
def _probed(base):
    """Context: yields the time of the store, in nanoseconds."""
    probe = _store.join(base, _store.FOLDER, 'probe-' + uuid.uuid4().hex)
    try:
        _store.write(probe, b'')
        yield _store.changed(probe)
    finally:
        _store.remove(probe)


def _claims(base, pattern=_NAME):
    """Returns [(version, path of the claim)]."""
    folder = _store.join(base, _store.FOLDER)
    return [(int(pattern.match(name).group(1)), _store.join(folder, name)) for name in _store.names_in(folder)
            if pattern.match(name)]


def _tidy(base):
    _store.remove_if_empty(_store.join(base, _store.FOLDER))
