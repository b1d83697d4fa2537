"""Faults in the ground of ``od_patch/``: digests, and what else every room rests on."""
from tools.mutations import Mutation

MUTATIONS = (
    Mutation('_digest.py', 'iter(lambda: content.read(1 << 20), b\'\')', '[content.read(1 << 20)]',
             ['tests/test_digest.py'],
             'two files whose first MiB is the same count as the same file'),
)
