#!/usr/bin/env python
"""Makes od_patch/graphs/op_table.json.gz from the op registries of TensorFlow's own wheels.

What it is for: knowing, without any TensorFlow at hand, which op and which
attribute came (and went) with which release, what an attribute's default is,
and whether an op keeps state. It downloads one wheel per minor release from
the Python package index, takes its shared libraries out, asks them for their
registry through the C API (``TF_GetAllOpList``) in a process of the Python
that the wheel was built for, and deletes the wheel again. What an op takes and
gives, and which values an attribute may have, come from ``--signatures``: the
registries of a few installed TensorFlows, the oldest first.

What it is not: a part of the tool; nothing imports it. The table that it
writes is committed, so that two people with two TensorFlows get one answer.

    PY=… python tools/op_registries.py --work /tmp/ops [--only 1.12.0 …] [--keep]
    python tools/op_registries.py --signatures /…/site-packages/tensorflow …

Needs pip, the interpreters 3.6, 3.8 and 3.11 (pyenv's, by default), about
2 GB of free disk at a time, and ``op_def_pb2`` of any TensorFlow.
"""
import argparse
import glob
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

# (release, package, interpreter, wheel tag). The CPU-only package is smaller and registers the same ops.
WHEELS = [
    ('1.4.1', 'tensorflow', '3.6'), ('1.5.0', 'tensorflow', '3.6'),
    ('1.6.0', 'tensorflow', '3.6'), ('1.7.0', 'tensorflow', '3.6'),
    ('1.8.0', 'tensorflow', '3.6'), ('1.9.0', 'tensorflow', '3.6'),
    ('1.10.0', 'tensorflow', '3.6'), ('1.11.0', 'tensorflow', '3.6'),
    ('1.12.0', 'tensorflow', '3.6'), ('1.13.1', 'tensorflow', '3.6'),
    ('1.14.0', 'tensorflow', '3.6'), ('1.15.0', 'tensorflow-cpu', '3.6'),
    ('2.0.0', 'tensorflow', '3.6'), ('2.1.0', 'tensorflow-cpu', '3.6'),
    ('2.2.0', 'tensorflow-cpu', '3.8'), ('2.3.0', 'tensorflow-cpu', '3.8'),
    ('2.4.0', 'tensorflow-cpu', '3.8'), ('2.5.0', 'tensorflow-cpu', '3.8'),
    ('2.6.0', 'tensorflow-cpu', '3.8'), ('2.7.0', 'tensorflow-cpu', '3.8'),
    ('2.8.0', 'tensorflow-cpu', '3.8'), ('2.9.0', 'tensorflow-cpu', '3.8'),
    ('2.10.0', 'tensorflow-cpu', '3.8'), ('2.11.0', 'tensorflow-cpu', '3.8'),
    ('2.12.0', 'tensorflow-cpu', '3.11'), ('2.13.0', 'tensorflow-cpu', '3.11'),
    ('2.14.0', 'tensorflow-cpu', '3.11'), ('2.15.0', 'tensorflow-cpu', '3.11'),
    ('2.16.1', 'tensorflow-cpu', '3.11'), ('2.17.0', 'tensorflow-cpu', '3.11'),
    ('2.18.0', 'tensorflow-cpu', '3.11'), ('2.19.0', 'tensorflow-cpu', '3.11'),
    ('2.20.0', 'tensorflow-cpu', '3.11'), ('2.21.0', 'tensorflow-cpu', '3.11'),
]

PLATFORMS = ['manylinux1_x86_64', 'manylinux2010_x86_64', 'manylinux2014_x86_64',
             'manylinux_2_17_x86_64', 'manylinux_2_27_x86_64']

# Runs in the wheel's own Python: no TensorFlow import, only its libraries.
ASK = r'''
import ctypes, os, sys
class Buffer(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), ('length', ctypes.c_size_t), ('free', ctypes.c_void_p)]
ask = None
for path in sys.argv[2:]:
    try:
        library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        sys.stderr.write('{}: {}\n'.format(os.path.basename(path), error))
        continue
    ask = getattr(library, 'TF_GetAllOpList', ask)
ask.restype = ctypes.POINTER(Buffer)
buffer = ask().contents
with open(sys.argv[1], 'wb') as file:
    file.write(ctypes.string_at(buffer.data, buffer.length))
os._exit(0)  # the libraries' own destructors are of no interest
'''


def interpreter(version):
    """The path of a Python of this minor version: pyenv's, or the one on PATH."""
    found = sorted(glob.glob(os.path.expanduser('~/.pyenv/versions/{}.*/bin/python'.format(version))))
    return found[-1] if found else 'python' + version


def registry(release, package, version, work):
    """Downloads one wheel and returns the serialized ``OpList`` of its registry."""
    listing = os.path.join(work, release + '.oplist')
    if not os.path.exists(listing):
        folder = os.path.join(work, release)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        command = [sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '--only-binary', ':all:',
                   '--python-version', version.replace('.', ''), '-d', folder]
        for platform in PLATFORMS:
            command += ['--platform', platform]
        subprocess.check_call(command + ['{}=={}'.format(package, release)])
        wheel, = glob.glob(os.path.join(folder, '*.whl'))
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if '.so' in os.path.basename(name) and '/contrib/' not in name:
                    archive.extract(name, folder)
        os.remove(wheel)
        libraries = []
        for pattern in ('libtensorflow_framework.so*', 'libtensorflow_cc.so*', '_pywrap_tensorflow_common.so',
                        '_pywrap_tensorflow_internal.so'):
            libraries += glob.glob(os.path.join(folder, '**', pattern), recursive=True)
        paths = sorted({os.path.dirname(path) for path in glob.glob(os.path.join(folder, '**', '*.so*'),
                                                                    recursive=True)})
        subprocess.check_call([interpreter(version), '-c', ASK, listing] + libraries,
                              env=dict(os.environ, LD_LIBRARY_PATH=':'.join(paths)))
        shutil.rmtree(folder)
    with open(listing, 'rb') as file:
        return file.read()


def add(table, index, op_list):
    """Folds one release's registry into the table; releases come in order, so later facts win."""
    for op in op_list.op:
        row = table.setdefault(op.name, {'since': index, 'attrs': {}})
        row['until'] = index
        row['stateful'] = op.is_stateful
        row['outputs'] = len(op.output_arg)
        for attr in op.attr:
            entry = row['attrs'].setdefault(attr.name, {'since': index})
            entry['until'] = index
            if attr.HasField('default_value'):
                default = attr.default_value.SerializeToString(deterministic=True).hex()
                if entry.setdefault('default', default) != default:
                    print('{}.{}: the default changed in release {}'.format(op.name, attr.name, index))
                entry['default'] = default
            elif 'default' in entry:
                print('{}.{}: lost its default in release {}'.format(op.name, attr.name, index))
                del entry['default']


def compact(table, last):
    """The table as short JSON: fields that say what is usual are left out (see ``_op_table.py``)."""
    ops = {}
    for name, row in sorted(table.items()):
        attrs = {}
        for attr, entry in sorted(row['attrs'].items()):
            until = entry['until'] if entry['until'] < row['until'] else None
            attrs[attr] = [entry['since'] - row['since'], until, entry.get('default')]
            while attrs[attr] and not attrs[attr][-1] and attrs[attr][-1] != '':
                attrs[attr].pop()
        ops[name] = [row['since'], row['until'] if row['until'] < last else None, int(row['stateful']), attrs]
    return ops


def installed(folder):
    """The serialized ``OpList`` of the TensorFlow whose package is ``folder``, asked in a process of its own."""
    with tempfile.TemporaryDirectory() as work:
        listing = os.path.join(work, 'oplist')
        libraries = []
        for pattern in ('libtensorflow_framework.so*', 'libtensorflow_cc.so*', '_pywrap_tensorflow_common.so',
                        '_pywrap_tensorflow_internal.so'):
            libraries += sorted(glob.glob(os.path.join(folder, '**', pattern), recursive=True))
        paths = sorted({os.path.dirname(path) for path in libraries})
        subprocess.check_call([sys.executable, '-c', ASK, listing] + libraries,
                              env=dict(os.environ, LD_LIBRARY_PATH=':'.join(paths)))
        with open(listing, 'rb') as file:
            return file.read()


def argument(arg):
    """What an input or an output is, as text: '&' for a reference, 'N*' for N of them, '[' for a list of types."""
    if arg.type_list_attr:
        return '[' + arg.type_list_attr
    return '{}{}{}'.format('&' if arg.is_ref else '', arg.number_attr + '*' if arg.number_attr else '',
                           arg.type_attr or arg.type)


def add_signatures(signatures, op_list):
    """Folds one registry into the signatures; what any release allows is allowed."""
    for op in op_list.op:
        old = signatures.get(op.name, [[], [], 0, {}])
        attrs = dict(old[3])
        for attr in op.attr:
            kind, minimum, allowed = attr.type, attr.minimum if attr.has_minimum else None, None
            field = attr.allowed_values.list
            if attr.HasField('allowed_values'):
                allowed = sorted(field.type) or sorted(value.decode() for value in field.s)
            if attr.name in attrs:
                before = attrs[attr.name]
                minimum = None if minimum is None or before[1] is None else min(minimum, before[1])
                allowed = None if allowed is None or before[2] is None else sorted(set(allowed) | set(before[2]))
            attrs[attr.name] = [kind, minimum, allowed]
        signatures[op.name] = [[argument(arg) for arg in op.input_arg], [argument(arg) for arg in op.output_arg],
                               op.deprecation.version or old[2], attrs]


def write_signatures(folders, out):
    from tensorflow.core.framework import op_def_pb2
    signatures = {}
    for folder in folders:
        add_signatures(signatures, op_def_pb2.OpList.FromString(installed(folder)))
    write({name: row for name, row in signatures.items()}, out)
    print('{}: {} ops, {} bytes'.format(out, len(signatures), os.path.getsize(out)))


def write(content, out):
    text = json.dumps(content, separators=(',', ':'), sort_keys=True)
    with open(out, 'wb') as file:
        with gzip.GzipFile(fileobj=file, mode='wb', mtime=0, filename='') as packed:
            packed.write(text.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work')
    parser.add_argument('--only', nargs='*')
    parser.add_argument('--signatures', nargs='*', metavar='FOLDER', help='packages of installed TensorFlows')
    parser.add_argument('--out', default=os.path.join(os.path.dirname(__file__), '..', 'od_patch', 'graphs',
                                                      'op_table.json.gz'))
    args = parser.parse_args()
    if args.signatures:
        return write_signatures(args.signatures, os.path.join(os.path.dirname(args.out), 'op_signatures.json.gz'))
    from tensorflow.core.framework import op_def_pb2
    os.makedirs(args.work, exist_ok=True)
    wheels = [row for row in WHEELS if not args.only or row[0] in args.only]
    table = {}
    for index, (release, package, version) in enumerate(wheels):
        op_list = op_def_pb2.OpList.FromString(registry(release, package, version, args.work))
        print('{}: {} ops'.format(release, len(op_list.op)), flush=True)
        add(table, index, op_list)
    write({'releases': [row[0] for row in wheels], 'ops': compact(table, len(wheels) - 1)}, args.out)
    print('{}: {} ops, {} bytes'.format(args.out, len(table), os.path.getsize(args.out)))


if __name__ == '__main__':
    main()
