"""An import hook for modules that somebody else should have had: from their names to functions that make them.

Not for: what becomes of a module after its hook is gone; whoever imported it keeps it.
"""
import importlib.abc
import importlib.machinery
import sys


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads modules by calling ``make``.

    Args:
        has: function from a full module name to whether this finder has it.
        make: function from a full module name to the module to use.
    """

    def __init__(self, has, make):
        self._has = has
        self._make = make
        self._made = {}

    def find_spec(self, name, path=None, target=None):
        del path, target
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if self._has(name) else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        # The import system takes what stands in sys.modules afterwards.
        name = module.__name__
        sys.modules[name] = self._made[name] = self._make(name)

    def put_on(self):
        """Puts the finder before all others; returns the function that takes it, and what it made, away."""
        sys.meta_path.insert(0, self)
        return self._take_off

    def _take_off(self):
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name, module in self._made.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
            parent, _, last = name.rpartition('.')
            if vars(sys.modules.get(parent, self)).get(last) is module:
                delattr(sys.modules[parent], last)
        self._made.clear()
