"""Functions of TensorFlow that are slow are replaced by their equals, for as long as somebody needs it.

Not for: which functions, and when (``_quick_imports``, ``_quick_building``).
"""
import contextlib
import threading
import typing


class ShortCuts:
    """Replacements that are on while at least one context is, in whatever thread.

    Args:
        rows: function that returns [(module, name of a function, function from what is there to what is to be)]; it is
            called as the first context begins.
    """

    def __init__(self, rows: typing.Callable[[], typing.Iterable[typing.Tuple[typing.Any, str, typing.Any]]]) -> None:
        self._rows = rows
        self._lock = threading.RLock()
        self._uses = 0
        self._replaced: typing.List[typing.Tuple[typing.Any, str, typing.Any, typing.Any]] = []

    @contextlib.contextmanager
    def on(self) -> typing.Iterator[None]:
        """Context manager: they are on inside, for all threads, and what was there is back outside."""
        with self._lock:
            if not self._uses:
                self._put_on()
            self._uses += 1
        try:
            yield
        finally:
            with self._lock:
                self._uses -= 1
                if not self._uses:
                    self._take_off()

    def _put_on(self) -> None:
        for module, name, replace in self._rows():
            original = getattr(module, name, None)
            if original is not None:  # else a release of TensorFlow that has it elsewhere
                instead = replace(original)
                self._replaced.append((module, name, original, instead))
                setattr(module, name, instead)

    def _take_off(self) -> None:
        while self._replaced:
            module, name, original, instead = self._replaced.pop()
            if vars(module).get(name) is instead:
                setattr(module, name, original)
