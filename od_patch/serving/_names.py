"""Class names from a label map, without the Object Detection API: whoever writes a client need not have it.

Not for: whether a label map fits a detector; that is asked when it is put into the SavedModel (``_labels``).
"""
import os
import re

from od_patch import _errors
from od_patch.config import _reading

FILE = 'label_map.pbtxt'  # among the SavedModel's assets

_PACKAGE = 'object_detection.protos'
# What items have in later releases than the first; where a release does not know it, it is passed over.
LATER = ('keypoints', 'ancestor_ids', 'descendant_ids', 'frequency', 'instance_count')


def read(folder):
    """Returns {class id: name} of the label map among a SavedModel's assets; empty where there is none.

    Args:
        folder: str, the local folder of a SavedModel.

    Raises:
        od_patch.InputRefused: it is no label map.
    """
    path = os.path.join(folder, 'assets', FILE)
    if not os.path.isfile(path):
        return {}
    with open(path, 'rb') as label_map:
        content = label_map.read()
    try:
        text = _reading.plain(_reading.decode(content))
    except _reading.Unreadable as error:
        raise _errors.InputRefused('{} is no label map: {}.'.format(path, error), error.remedy)
    return parse(text, path)


def parse(text, what):
    """Returns {class id: name} of a label map; the display name where there is one.

    Args:
        text: str, a ``StringIntLabelMap`` in text form. Fields that are not known here are passed over.
        what: str, what to call it.

    Raises:
        od_patch.InputRefused: it is no such thing.
    """
    label_map = check_items(text, what)
    return {item.id: item.display_name or item.name for item in label_map.item if item.display_name or item.name}


def check_items(text, what):
    """Returns the message of a label map; refuses one in which an item has two ids or names: one of them would be lost.

    Args:
        text, what: as for ``parse``.
    """
    from google.protobuf import text_format
    label_map = _message()()
    try:
        text_format.Parse(text, label_map, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeError, ValueError) as error:
        if 'should not have multiple' in str(error):
            field = re.search(r'multiple "(?:[\w.]+\.)?(\w+)" fields', str(error))
            line = re.match(r'(\d+):', str(error))
            raise _errors.InputRefused(
                '{} has two {}s in one item{}: one of the two would be lost.'.format(
                    what, field.group(1) if field else 'field', ', in line ' + line.group(1) if line else ''),
                'Each class needs an item of its own:  item { id: 1 name: "circle" }  item { id: 2 name: "square" }')
        raise _errors.InputRefused('{} is no label map: {}.'.format(what, str(error).rstrip('.')),
                                   'It should have items such as  item { id: 1 name: "circle" }')
    return label_map


def _message():
    """The class of ``StringIntLabelMap``, of as many of its fields as are needed here, in a pool of its own."""
    from google.protobuf import descriptor_pb2
    from google.protobuf import descriptor_pool
    from google.protobuf import message_factory
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name='od_patch/label_map.proto', package=_PACKAGE)
    item = file.message_type.add(name='StringIntLabelMapItem')
    for number, (name, kind) in enumerate([('name', field.TYPE_STRING), ('id', field.TYPE_INT32),
                                           ('display_name', field.TYPE_STRING)], 1):
        item.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    file.message_type.add(name='StringIntLabelMap').field.add(
        name='item', number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED,
        type_name='.{}.{}'.format(_PACKAGE, item.name))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName(_PACKAGE + '.StringIntLabelMap')
    if hasattr(message_factory, 'GetMessageClass'):  # protobuf 4 and later
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)
