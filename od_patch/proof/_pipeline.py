"""The one setting of a pipeline config that decides which weights are exported, read without the Object Detection API.

Text-format protobuf is a tree of names, braces and values; that is all that is
understood of it here. Whether the config makes sense, the export says.

Not for: any other setting (``_config`` reads them all, with the API's protos).
"""
import re

from od_patch._errors import InputRefused
from od_patch.config import _reading

_TOKEN = re.compile(r'''#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}<>\[\]:;,]|[^\s{}<>\[\]:;,"'#]+''')
_TRUE = ('true', 'True', 't', '1')
_MOST_BYTES = 16 << 20


def uses_moving_averages(path):
    """Returns whether ``eval_config.use_moving_averages`` is set in a pipeline config; its default is false.

    Raises:
        InputRefused: the file is not there, or is no text with balanced braces.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputRefused('{}: cannot be read: {}.'.format(path, error.strerror or error),
                           'Give the pipeline.config that the checkpoint was trained with.')
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError('it has more than {:,} bytes'.format(_MOST_BYTES))
        return _read(_reading.plain(_reading.decode(content)))
    except (ValueError, _reading.Unreadable) as error:
        raise InputRefused('{}: is no pipeline config: {}.'.format(path, error),
                           'Give the pipeline.config that the checkpoint was trained with.')


def _read(text):
    scopes, name, value, seen = [], '', False, False
    for token in _TOKEN.findall(text):
        if token.startswith('#'):
            continue
        if token in '{<':
            scopes.append(name)
            name, seen = '', True
        elif token in '}>':
            if not scopes:
                raise ValueError('it closes a brace that it has not opened')
            scopes.pop()
            name = ''
        elif token in ':;,[]':
            continue
        elif name == 'use_moving_averages' and scopes == ['eval_config']:
            value = token in _TRUE
            name = ''
        else:
            name = token
    if scopes:
        raise ValueError('a brace that it opens is not closed ({})'.format(scopes[-1]))
    if not seen:
        raise ValueError('it has no blocks, such as model { … }')
    return value
