"""What is installed, which pin that is, which bridges would be on, and what is missing: ``od-patch doctor``.

Not for: refusing anything; the same words come from ``_environment`` when an export begins.
"""
import collections
import importlib
import os
import sys

from od_patch import _errors
from od_patch import _version
from od_patch import legacy
from od_patch.environment import _environment
from od_patch.legacy import _old_protos
from od_patch.releases import _releases
from od_patch.terminal import _terminal

JSON_FORMAT = 1

# What an export is made of, and what most often does not fit. TensorFlow comes under several names.
_PACKAGES = ('tensorflow', 'keras', 'tf_keras', 'protobuf', 'numpy', 'tf_slim', 'scipy', 'matplotlib', 'pillow')
_MODULES = {'protobuf': 'google.protobuf', 'pillow': 'PIL'}


class Findings:
    """What ``examine`` found.

    Attributes:
        python: dict: version, executable.
        packages: dict from package to version; None where it is missing.
        object_detection: dict: folder, release (str), exporter_blob, needs_contrib;
            None where there is no OD API.
        slim: str, the folder that ``nets`` is in; None where it was not found.
        protos: dict: compiled (int, modules), made_by (str), needs_bridge (bool);
            None where there are none.
        bridges: list of ``legacy.Bridge`` that an export would put on.
        problems: list of ``ODPatchError``; empty where an export can begin.
    """

    def __init__(self):
        self.python = collections.OrderedDict(
            [('version', '{}.{}.{}'.format(*sys.version_info)), ('executable', sys.executable)])
        self.packages = collections.OrderedDict()
        self.object_detection = self.slim = self.protos = None
        self.bridges = []
        self.problems = []

    def as_json(self):
        """Returns the findings as a dict of what JSON knows; the keys are those of the attributes."""
        return collections.OrderedDict([
            ('format', JSON_FORMAT),
            ('od_patch', _version.__version__),
            ('usable', not self.problems),
            ('python', self.python),
            ('packages', self.packages),
            ('object_detection', self.object_detection),
            ('slim', self.slim),
            ('protos', self.protos),
            ('bridges', [collections.OrderedDict([
                ('name', bridge.name), ('applies_to', bridge.applies_to), ('mends', bridge.mends)])
                for bridge in self.bridges]),
            ('problems', [collections.OrderedDict([('problem', error.problem), ('remedy', error.remedy)])
                          for error in self.problems]),
        ])


def examine():
    """Returns ``Findings``. Where nothing else is in the way, imports the exporter, as an export would."""
    findings = Findings()
    for package in _PACKAGES:
        findings.packages[package] = _installed(package)
    findings.problems.extend(_environment.problems())
    if findings.packages['tensorflow'] is None or _environment.hidden('tensorflow'):
        return findings
    findings.bridges = legacy.needed()
    with legacy.on():
        findings.object_detection = _object_detection()
        findings.slim = _folder_of('nets')
        findings.protos = _protos()
        if not findings.problems:
            try:
                with legacy.quick_imports():
                    exporter = _environment.import_exporter()
                _recognise(exporter, findings)
            except _errors.ODPatchError as error:
                findings.problems.append(error)
    return findings


def _recognise(exporter, findings):
    from od_patch.patch import _recognition
    findings.object_detection['release'] = _recognition.describe(_recognition.recognise(exporter))


def _installed(package):
    """Returns the version of what ``import`` would find, since that is what an export gets; None for nothing."""
    try:
        module = importlib.import_module(_MODULES.get(package, package))
    except ImportError:
        return None
    except Exception as error:  # pylint: disable=broad-except  (a package may fail in any way when it does not fit)
        return 'broken: {}'.format(error)
    return getattr(module, '__version__', 'installed; it does not tell its version')


def _object_detection():
    source = _environment.exporter_source()
    if source is None:
        return None
    release = _environment.installed_release()
    return collections.OrderedDict([
        ('folder', _environment.research_folder()),
        ('release', '{} ({})'.format(release.name, release.commit) if release else 'not pinned'),
        ('exporter_blob', _releases.blob_id(source)),
        ('needs_contrib', release.needs_contrib if release else None),
    ])


def _folder_of(package):
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return os.path.dirname(os.path.abspath(folders[0])) if folders else None


def _protos():
    modules = _old_protos.modules()
    if not modules:
        return None
    return collections.OrderedDict([
        ('compiled', len(modules)),
        ('made_by', _old_protos.made_by(modules)),
        ('needs_bridge', 'old_protos' in [bridge.name for bridge in legacy.needed()]),
    ])


def show(findings, stream):
    """Prints the verdict and the problems, each with what to type, then the findings.

    Args:
        findings: ``Findings``.
        stream: text stream.
    """
    import rich.text
    console = _terminal.Console(file=stream, soft_wrap=True)

    def row(name, text, style=''):
        console.print(rich.text.Text.assemble(('{:<17}'.format(name), 'bold'), (text, style)))

    if findings.problems:
        console.print(rich.text.Text('Not usable: an export would be refused.', style='bold'))
    else:
        console.print(rich.text.Text('Usable: export_inference_graph exports here.', style='bold'))
    for error in findings.problems:
        console.print(rich.text.Text.assemble(('✗ ', 'bold red'), error.problem))
        for line in error.remedy.splitlines():
            console.print(rich.text.Text('  ' + line))
    console.print()
    row('Python', '{version}  {executable}'.format(**findings.python))
    for package, version in findings.packages.items():
        if version is not None:
            row(package, version)
    api = findings.object_detection
    row('Object Detection', api['folder'] if api else 'not found', '' if api else 'red')
    if api:
        row('  release', api['release'])
        row('  exporter.py', api['exporter_blob'])
        row('  slim', findings.slim or 'not found', '' if findings.slim else 'red')
        protos = findings.protos
        row('  protos', '{compiled} modules, by {made_by}'.format(**protos) if protos else 'not compiled',
            '' if protos else 'red')
    if findings.packages['tensorflow'] is not None:
        if not findings.bridges:
            row('bridges', 'none are needed')
        for number, bridge in enumerate(findings.bridges):
            row('' if number else 'bridges', '{:<15}{}'.format(bridge.name, bridge.mends))
