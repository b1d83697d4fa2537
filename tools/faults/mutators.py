"""Ways to damage a file: its bytes, the words of a text, and the fields of a protocol buffer.

Everything is drawn from a ``random.Random``, so that a number is enough to make
an input again.

Not for: knowing what reads the file.
"""
import json
import re

# Text that somebody might take for more than text: markup, format strings, shell, HTML, paths, terminal controls.
HOSTILE = [
    '', '[bold red]', '[/]', '[link=http://x]y', '%s%n', '{0.__class__}', '{', '$(touch pwned)', '`touch pwned`',
    "'; touch pwned; '", '</script><script>alert(1)</script>', '<img src=x onerror=alert(1)>', '../../../../etc/passwd',
    '/etc/passwd', 'a\x1b[31mb', '\x1b]0;title\x07', 'a\rb', 'a\nb', 'a\x00b', '\u202egnp', '\ud7ff\ufffe', 'é' * 50,
    'x' * 5000, '^x', ':', ':0', 'x:', 'x:99999999999999999999', '/', '//', 'a/', '²', 'save/Const:0', 'image_tensor']
NUMBERS = [0, 1, -1, 2, 7, 255, 256, 1 << 16, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1,
           -(1 << 63), 1 << 63, (1 << 64) - 1]
FLOATS = [0.0, -0.0, 1.0, -1.0, 1e38, -1e38, 1e-40, 1e300, float('inf'), float('-inf'), float('nan')]


def damage_bytes(random, data, other=b''):
    """Returns ``data`` with one to four things done to it; ``other`` is a file to take parts from."""
    data = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        random.choice(_BYTES)(random, data, other)
    return bytes(data)


def _place(random, data):
    return random.randrange(len(data)) if data else 0


def _cut(random, data, other):
    del data[_place(random, data):]


def _cut_head(random, data, other):
    del data[:1 + _place(random, data[:64])]


def _flip(random, data, other):
    for _ in range(random.choice([1, 1, 3, 30])):
        if data:
            data[_place(random, data)] ^= 1 << random.randrange(8)


def _overwrite(random, data, other):
    start = _place(random, data)
    for position in range(start, min(len(data), start + random.choice([1, 4, 8, 100]))):
        data[position] = random.choice([0, 0xff, 0x7f, 0x80, random.randrange(256)])


def _insert(random, data, other):
    start = _place(random, data)
    data[start:start] = bytes(random.randrange(256) for _ in range(random.choice([1, 2, 9, 200])))


def _remove(random, data, other):
    start = _place(random, data)
    del data[start:start + random.choice([1, 2, 9, 500])]


def _repeat(random, data, other):
    start = _place(random, data)
    part = data[start:start + random.choice([1, 20, 3000])]
    data[start:start] = part * random.choice([1, 2, 40])


def _zero(random, data, other):
    start = _place(random, data)
    size = min(len(data) - start, random.choice([8, 512, 4096]))
    data[start:start + size] = bytes(size)


def _splice(random, data, other):
    if other:
        start = _place(random, other)
        place = _place(random, data)
        data[place:place + random.choice([0, 50, 1000])] = other[start:start + random.choice([10, 500, 5000])]


def _empty(random, data, other):
    if random.random() < .1:
        del data[:]
    else:
        _flip(random, data, other)


_BYTES = [_cut, _cut, _cut_head, _flip, _flip, _flip, _overwrite, _overwrite, _insert, _remove, _repeat, _zero, _splice,
          _empty]


def damage_text(random, data):
    """Returns a text in the form of protocol buffers with one to four tokens changed, or another encoding."""
    if random.random() < .12:
        return random.choice(_ENCODINGS)(data)
    tokens = re.findall(r'"(?:\\.|[^"\\])*"|\s+|[\w.+-]+|.', data.decode('utf-8'))
    for _ in range(random.choice([1, 1, 2, 4])):
        place = random.randrange(len(tokens)) if tokens else 0
        random.choice(_TOKENS)(random, tokens, place)
    return ''.join(tokens).encode('utf-8', 'surrogatepass')


def _quoted(text):
    return '"{}"'.format(text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n'))


def _literal(random):
    return random.choice([str(random.choice(NUMBERS)), repr(random.choice(FLOATS)), _quoted(random.choice(HOSTILE)),
                          'true', 'nan', '-inf', '1e999', '0x7fffffffffffffff', '9' * 400, "'", '"', '\\'])


def _nest(random, tokens, place):
    depth = random.choice([10, 200, 5000, 100000])
    tokens.insert(place, random.choice(['model { ', '{', '[', '< ', 'ssd { box_predictor { ']) * depth)


def _replace_literal(random, tokens, place):
    literals = [i for i, token in enumerate(tokens) if re.match(r'["\d.+-]', token)]
    if literals:
        tokens[random.choice(literals)] = _literal(random)


def _rename(random, tokens, place):
    words = [i for i, token in enumerate(tokens) if re.match(r'[a-z_]+$', token)]
    if words:
        tokens[random.choice(words)] = random.choice(['modle', 'model', 'ssd', 'faster_rcnn', 'x', 'é', 'extend'] + [
            tokens[i] for i in words[:200]])


def _swap(random, tokens, place):
    if not tokens:  # an earlier change has taken them all
        return
    other = random.randrange(len(tokens))
    tokens[place], tokens[other] = tokens[other], tokens[place]


_TOKENS = [
    _nest, _replace_literal, _replace_literal, _replace_literal, _replace_literal, _rename, _rename, _swap,
    lambda random, tokens, place: tokens.__delitem__(slice(place, place + random.choice([1, 2, 30]))),
    lambda random, tokens, place: tokens.__delitem__(slice(place, None)),
    lambda random, tokens, place: tokens.insert(place, random.choice(['{', '}', ':', ';', ',', '#', '\x00', '<', '>'])),
    lambda random, tokens, place: tokens.insert(place, _literal(random)),
    lambda random, tokens, place: tokens.insert(place, ''.join(tokens[place:place + random.choice([1, 10, 500])])),
]
_ENCODINGS = [
    lambda data: data.decode('utf-8').encode('utf-16'),
    lambda data: data.decode('utf-8').encode('utf-32'),
    lambda data: b'\xef\xbb\xbf' + data,
    lambda data: data.replace(b'ssd', u'\xe9'.encode('latin-1'), 1),
    lambda data: data.replace(b'\n', b'\r'),
    lambda data: data.replace(b'\n', b'\x00'),
    lambda data: b'',
    lambda data: data * 30,
    lambda data: b'\xff' * 100 + data,
    lambda data: data[:len(data) // 2] + bytes(bytearray(range(256))) + data[len(data) // 2:],
]


def damage_json(random, data):
    """Returns a JSON text with one to three values changed, of whatever type."""
    tree = json.loads(data.decode('utf-8'))
    for _ in range(random.choice([1, 1, 3])):
        place, keys = tree, list(tree) if isinstance(tree, dict) else []
        if not keys or random.random() < .05:
            tree = _any_json(random)
            continue
        key = random.choice(keys)
        if random.random() < .2:
            del place[key]
        else:
            place[key] = _any_json(random)
    return json.dumps(tree).encode('utf-8')


def _any_json(random):
    return random.choice([None, True, [], {}, [[]], {'x': {}}, random.choice(NUMBERS), random.choice(FLOATS),
                          random.choice(HOSTILE), 10 ** 400, [random.choice(HOSTILE)] * 3])


def damage_message(random, message, serialize=True):
    """Changes one to five fields, anywhere in a protocol buffer, and returns its bytes (or itself)."""
    for _ in range(random.choice([1, 1, 2, 5])):
        _change(random, _anywhere(random, message))
    return message.SerializeToString() if serialize else message


def _is_repeated(field):
    """Whether a field is a list; protobuf 6 says so in another way than those before."""
    return field.is_repeated if hasattr(field, 'is_repeated') else field.label == field.LABEL_REPEATED


def _anywhere(random, message):
    """A message inside ``message``, however deep, drawn without going through all of them."""
    while True:
        inner = [(field, value) for field, value in message.ListFields()
                 if field.message_type is not None and not (field.message_type.GetOptions().map_entry and not hasattr(
                     value, 'MergeFrom'))]
        if not inner or random.random() < .12:
            return message
        field, value = random.choice(inner)
        if field.message_type.GetOptions().map_entry:
            keys = sorted(value)
            if not keys or field.message_type.fields_by_name['value'].message_type is None:
                return message
            message = value[random.choice(keys)]
        elif _is_repeated(field):
            message = random.choice(value)
        else:
            message = value


def _change(random, message):
    fields = list(message.DESCRIPTOR.fields)
    there = [field for field, _ in message.ListFields()]
    field = random.choice(there if there and random.random() < .8 else fields)
    try:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _change_map(random, message, field)
        elif _is_repeated(field):
            _change_list(random, message, field)
        elif field.message_type is not None:
            if random.random() < .5:
                message.ClearField(field.name)
            else:
                getattr(message, field.name).SetInParent()
        elif random.random() < .15:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _value(random, field))
    except (ValueError, TypeError, OverflowError):
        pass  # a value that the field cannot have; another round may find one


def _change_map(random, message, field):
    entries = getattr(message, field.name)
    keys = sorted(entries)
    what = random.random()
    if keys and what < .5:
        del entries[random.choice(keys)]
    elif field.message_type.fields_by_name['value'].message_type is not None:
        made = entries[random.choice(HOSTILE + ['value', 'dtype', 'T', 'N', 'shape'])]
        if keys:
            made.CopyFrom(entries[random.choice(keys)])


def _change_list(random, message, field):
    values = getattr(message, field.name)
    what = random.random()
    if not len(values) or what < .1:
        if field.message_type is not None:
            values.add()
        else:
            values.append(_value(random, field))
        return
    place = random.randrange(len(values))
    if what < .3:
        del values[place]
    elif what < .4:
        values.extend([values[place]] * random.choice([1, 3, 300]))
    elif what < .45:
        del values[place:]
    elif field.message_type is not None:
        values[place].CopyFrom(random.choice(values))
    elif what < .6:
        values[place] = random.choice(values)
    else:
        values[place] = _value(random, field)


def _value(random, field):
    if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64, field.CPPTYPE_UINT32, field.CPPTYPE_UINT64,
                          field.CPPTYPE_ENUM):
        return random.choice(NUMBERS + list(range(30)))
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return random.choice(FLOATS)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return random.random() < .5
    text = random.choice(HOSTILE)
    if field.type == field.TYPE_BYTES:
        return random.choice([text.encode('utf-8', 'surrogatepass'), b'\xff\xfe', b'x' * 7, b''])
    return text
