"""Which half of the Object Detection API a pipeline config is for, by its text: the one of TensorFlow 1 or that of 2.

Since July 2020 a release has two sets of models, one for each TensorFlow. Which
feature extractor is in which, its model builder says: its source is parsed, and
not run. So it can be told before TensorFlow is imported.

Not for: whether the config makes sense (``_config``).
"""
import ast
import functools
import importlib.util
import re
import typing

# What a text is read as: comments, texts in quotes, braces, and words.
_TOKEN = re.compile(r'''#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}<>\[\]:;,]|[^\s{}<>\[\]:;,"'#]+''')
_BUILDER = 'object_detection.builders.model_builder'
# Models that only the half of TensorFlow 2 has, whatever their feature extractor is.
_ONLY_2 = frozenset(['center_net'])
_BY_NAME = re.compile(r'_keras')  # where no release can be asked: how all releases name those of SSD and Faster R-CNN


class Described(typing.NamedTuple):
    """What a config says of its model."""

    architecture: str  # 'ssd', 'faster_rcnn', 'center_net' …; '' where there is none
    extractor: str  # the type of its feature extractor; '' where there is none

    def in_words(self):
        if self.architecture == 'center_net' or not self.extractor:
            return 'model {{ {} }}'.format(self.architecture)
        return 'feature_extractor {{ type: "{}" }}'.format(self.extractor)


def described(text):
    """Returns the ``Described`` model of a config's text; empty where the text is no config.

    Args:
        text: str, protobuf's text form.
    """
    scopes, name, architecture, extractor = [], '', '', ''
    for token in _TOKEN.findall(text):
        if token.startswith('#') or token in ':;,[]':
            continue
        if token in '{<':
            scopes.append(name)
            name = ''
            if len(scopes) == 2 and scopes[0] == 'model':
                architecture = scopes[1]
                extractor = ''  # of a later block: as protobuf reads it, the last one counts
        elif token in '}>':
            scopes = scopes[:-1]
            name = ''
        elif name == 'type' and len(scopes) == 3 and scopes[0] == 'model' and scopes[2] == 'feature_extractor':
            extractor = token.strip('"\'')
            name = ''
        else:
            name = token
    return Described(architecture, extractor)


def half_of(model):
    """Returns 2 for a model that only TensorFlow 2's half has, 1 for one of the other, None where nothing tells.

    Args:
        model: ``Described``.
    """
    if not model.architecture:
        return None
    registered = _registered()
    if registered is None:
        return 2 if is_named_as_2(model) else None
    first, second = registered
    if model.architecture in _ONLY_2 and second:
        return 2
    if model.extractor in second and model.extractor not in first:
        return 2
    return 1 if model.extractor in first and model.extractor not in second else None


def of_config(config):
    """Returns the ``Described`` model of a ``TrainEvalPipelineConfig``."""
    # A release of the user's own may have a config that is none.
    architecture = config.model.WhichOneof('model') if hasattr(config, 'model') else None
    if architecture is None:
        return Described('', '')
    model = getattr(config.model, architecture)
    return Described(architecture, model.feature_extractor.type if hasattr(model, 'feature_extractor') else '')


def is_named_as_2(model):
    """Returns whether a model has the name of one of TensorFlow 2's, whatever the release on the path has."""
    return model.architecture in _ONLY_2 or bool(_BY_NAME.search(model.extractor))


def release_has(half):
    """Returns whether the release on the path has a half; True where no release can be asked."""
    registered = _registered()
    return registered is None or bool(registered[half - 1])


def _registered():
    """Returns (feature extractors of TensorFlow 1's half, those of 2's) of the release on the path, frozensets.

    None where there is no release, or its source cannot be read. Of a release with one half, the second is empty.
    """
    try:
        spec = importlib.util.find_spec('object_detection')
    except (ImportError, AttributeError, ValueError):
        return None
    for folder in list(spec.submodule_search_locations or []) if spec else []:
        try:
            with open('/'.join([folder] + _BUILDER.split('.')[1:]) + '.py', 'rb') as file:
                return _halves(file.read())
        except OSError:
            continue
    return None


@functools.lru_cache(maxsize=2)
def _halves(source):
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    found = {1: set(), 2: set()}
    asks = False
    for node in tree.body:
        half = _asked(node)
        asks = asks or half is not None
        for inner in ast.walk(node):
            if isinstance(inner, ast.Assign) and isinstance(inner.value, ast.Dict) and any(
                    getattr(target, 'id', '').endswith('_MAP') for target in inner.targets):
                keys = {_text_of(key) for key in inner.value.keys} - {None}
                for number in (half,) if half else (1, 2):
                    found[number] |= keys
    return (frozenset(found[1]), frozenset(found[2])) if asks else (frozenset(found[1]), frozenset())


def _asked(node):
    """Returns which half a statement is for, ``if tf_version.is_tf2():`` and its like; None for both."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Call):
        return {'is_tf1': 1, 'is_tf2': 2}.get(getattr(node.test.func, 'attr', ''))
    return None


def _text_of(node):
    value = vars(node).get('value', vars(node).get('s')) if node is not None else None  # ``s`` until Python 3.7
    return value if isinstance(value, str) else None
