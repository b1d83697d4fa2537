"""JSON that any reader takes, and any terminal shows safely.

Not for: requests to a server, which hold numbers only.
"""
import collections
import json

from od_patch import _text


def strict(value, indent=None):
    """Strict JSON: numbers that JSON has no word for (infinite, not a number) become text."""
    def plain(part):
        if isinstance(part, float) and (part != part or part in (float('inf'), float('-inf'))):
            return str(part)
        if isinstance(part, dict):
            return collections.OrderedDict((key, plain(row)) for key, row in part.items())
        if isinstance(part, (list, tuple)):
            return [plain(row) for row in part]
        return part
    return _text.plain(json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False,
                                  separators=None if indent else (',', ':')))  # what it writes out is JSON's own form
