"""The OD API's ``*_pb2.py`` modules, whatever protoc made them, under whatever protobuf is installed.

protobuf 4 refuses the code of older protocs ("Descriptors cannot be created
directly"), and older protobufs refuse that of newer ones. All of them hold the
serialized ``FileDescriptorProto``; it is read from the source, which is parsed
and not run, and the messages are built from it.

Not for: protos that are not compiled at all; ``_environment`` gives the command.
"""
import ast
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys

from od_patch.legacy import _versions

_PACKAGE = 'object_detection.protos'

# What protoc writes, oldest first: the words it is known by, the first and the last major version of the
# protobuf package that runs it, and which protoc that is. Of 3.17 and 35 it was run; the others are as protobuf's
# release notes have it.
_STYLES = (
    ('_descriptor.FieldDescriptor(', (0,), 3, 'protoc 3.18 or earlier'),
    ('_reflection.GeneratedProtocolMessageType(', (3,), 4, 'protoc 3.19'),
    ('_builder.BuildTopDescriptorsAndMessages(', (3, 20), None, 'protoc 3.20 to 26'),
)
_MADE_BY = re.compile(r'ValidateProtobufRuntimeVersion\(\s*[\w.]+,\s*(\d+),\s*(\d+),\s*(\d+)')


def is_needed():
    return not all(map(_runs, modules()))


def modules():
    """Returns the paths of the OD API's compiled protos, sorted."""
    folder = _folder()
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith('_pb2.py')] \
        if folder else []


def made_by(paths):
    """Returns which protoc made these modules, in words, as far as the first of them tells."""
    source = _read(paths[0])
    version = _MADE_BY.search(source)
    if version:  # the Python package of protoc 27.1 is 5.27.1
        return 'protoc {}.{}'.format(*version.groups()[1:])
    for words, _, _, protoc in _STYLES:
        if words in source:
            return protoc
    return 'nobody knows'


def put_on():
    finder = _ProtoFinder()
    sys.meta_path.insert(0, finder)

    def take_off():
        # The modules stay: their messages are in protobuf's pool, which forgets nothing, and they work.
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
    return take_off


class _ProtoFinder:
    """Finds the modules of the OD API's protos that the installed protobuf would refuse."""

    def find_spec(self, name, path=None, target=None):
        del target
        if not (name.startswith(_PACKAGE + '.') and name.endswith('_pb2')):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or not (spec.origin or '').endswith('.py') or _runs(spec.origin):
            return None
        spec.loader = _DescriptorLoader(spec.origin)
        return spec


class _DescriptorLoader:
    """Builds a ``_pb2`` module from the descriptor that its source holds."""

    def __init__(self, path):
        self._path = path

    def create_module(self, spec):
        del spec

    def exec_module(self, module):
        from google.protobuf import descriptor_pb2
        from google.protobuf import descriptor_pool
        from google.protobuf.internal import builder
        serialized = _serialized_descriptor(self._path)
        described = descriptor_pb2.FileDescriptorProto.FromString(serialized)
        for dependency in described.dependency:
            importlib.import_module(dependency[:-len('.proto')].replace('/', '.') + '_pb2')
        module.DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(serialized)
        builder.BuildMessageAndEnumDescriptors(module.DESCRIPTOR, vars(module))
        builder.BuildTopDescriptorsAndMessages(module.DESCRIPTOR, module.__name__, vars(module))


def _runs(path):
    """Returns whether the installed protobuf runs the generated code at ``path``."""
    version = _versions.as_tuple(_versions.installed('protobuf'))
    source = _read(path)
    made_by = _MADE_BY.search(source)
    if made_by:
        # Newer code is refused, and so is code that is more than one major version older.
        made_by = tuple(map(int, made_by.groups()))
        return made_by <= version and version[0] - made_by[0] <= 1
    for words, first, last, _ in _STYLES:
        if words in source:
            return version >= first and (last is None or version[0] <= last)
    return True  # an empty file, or none that protoc made


def _serialized_descriptor(path):
    """Returns the serialized ``FileDescriptorProto`` in the source of a ``_pb2`` module, as bytes.

    Raises:
        ImportError: there is none.
    """
    for node in ast.walk(ast.parse(_read(path))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == 'AddSerializedFile' and node.args:
            return _bytes(node.args[0])
        for keyword in node.keywords:
            if keyword.arg == 'serialized_pb':
                return _bytes(keyword.value)
    raise ImportError('{} holds no file descriptor; compile the protos again'.format(path), path=path)


def _bytes(node):
    """Returns the value of a bytes literal, also of one wrapped in ``_b('…')``, as protoc wrote until 3.6."""
    if isinstance(node, ast.Call):
        node = node.args[0]
    value = ast.literal_eval(node)
    return value if isinstance(value, bytes) else value.encode('latin1')


def _folder():
    try:
        spec = importlib.util.find_spec(_PACKAGE)
    except (ImportError, AttributeError):  # the latter where object_detection is a file of that name, in Python 3.6
        return None
    folders = [folder for folder in (spec.submodule_search_locations or [] if spec else []) if os.path.isdir(folder)]
    return folders[0] if folders else None


def _read(path):
    with open(path, encoding='utf-8', errors='replace') as source:
        return source.read()
