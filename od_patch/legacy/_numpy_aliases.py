"""``np.int``, ``np.float`` and the other names of Python's own types, which numpy 1.24 dropped.

Not for: ``np.bool`` on numpy 2, which has it again with another meaning: what is there stays.
"""
# https://numpy.org/doc/stable/release/1.20.0-notes.html#deprecations; the OD API of 2022 uses bool, float and int.
_ALIASES = {'bool': bool, 'complex': complex, 'float': float, 'int': int, 'object': object, 'str': str}


def is_needed():
    return bool(_missing())


def put_on():
    import numpy as np
    missing = _missing()
    for name in missing:
        setattr(np, name, _ALIASES[name])

    def take_off():
        for name in missing:
            if vars(np).get(name) is _ALIASES[name]:
                delattr(np, name)
    return take_off


def _missing():
    import numpy as np
    return [name for name in sorted(_ALIASES) if name not in vars(np)]
