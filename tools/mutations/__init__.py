"""The table of planted faults, a module for each room of ``od_patch/``; ``tools/mutants.py`` runs them."""
import collections

Mutation = collections.namedtuple('Mutation', ['path', 'old', 'new', 'tests', 'why', 'on'])
Mutation.__new__.__defaults__ = ('tf1',)
Mutation.__doc__ = """One fault, planted in one place.

Attributes:
    path: str, the module below ``od_patch/``, such as 'compare/_rules.py'.
    old: str, what stands there today; it stands there exactly once.
    new: str, what is put in its place.
    tests: list of str, the tests that must fail, as pytest names them; the quickest first.
    why: str, what a user would suffer from the fault.
    on: 'tf1' or 'tf2', the TensorFlow that these tests need; 'any' where they need none or either.
"""
