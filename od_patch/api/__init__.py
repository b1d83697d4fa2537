"""What the functions of ``od_patch`` return: named tuples of what the commands print with ``--json``.

Each has ``as_json()``, which returns just that as a dict. They are also attributes of ``od_patch``.
"""
import typing

from od_patch.api import _made

_Json = typing.Dict[str, typing.Any]


class File(typing.NamedTuple):
    """A file that was written."""

    path: str  # below the folder that the report names, or inside the package
    bytes: typing.Optional[int]  # None where it would be written (``dry_run``)


class Tensor(typing.NamedTuple):
    """An input or an output of a signature."""

    name: str  # in the graph, such as 'image_tensor:0'
    dtype: str  # such as 'uint8'
    shape: typing.Optional[typing.List[typing.Optional[int]]]  # None inside it for any size, for itself for any rank


class Signature(typing.NamedTuple):
    """The signature ``serving_default``: tensors by their keys."""

    inputs: typing.Dict[str, Tensor]
    outputs: typing.Dict[str, Tensor]


class Check(typing.NamedTuple):
    """One question of a proof and its answer; docs/verify.md lists them."""

    part: str  # 'files', 'weights', 'outputs' or 'portability'
    name: str  # what was looked at, such as 'saved_model.pb'
    status: str  # 'ok'; 'note' (worth knowing, and no fault); 'wrong'; 'not checked'
    text: str  # what was found, in words
    details: typing.List[str]  # the variables, nodes or outputs that it is about


class Subject(typing.NamedTuple):
    """What was verified: paths, None for what there is not."""

    given: str  # as it was named
    saved_model: typing.Optional[str]
    frozen_graph: typing.Optional[str]
    checkpoint: typing.Optional[str]  # inside the export
    trained_checkpoint: typing.Optional[str]
    moving_averages: typing.Optional[bool]  # whether they are meant


class Verification(typing.NamedTuple):
    """What ``od_patch.verify`` found."""

    schema: int
    verdict: str  # 'the same', 'not the same' or 'nothing to compare'
    od_patch: str  # its version
    tensorflow: str  # the version that it ran under
    seconds: float
    subject: Subject
    counts: typing.Dict[str, int]  # checks by status
    checks: typing.List[Check]
    images: typing.List[_Json]  # what both models ran on
    runs: typing.List[_Json]  # both models on the same images, output by output

    @property
    def ok(self) -> bool:
        """Whether the export is what was trained, as far as there was anything to compare."""
        return self.verdict == 'the same'

    def as_json(self) -> _Json:
        """Returns what ``od-patch verify --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class WrittenRequest(typing.NamedTuple):
    """What ``od_patch.request`` has written."""

    folder: str
    files: typing.List[str]  # their names in the folder
    model_name: str
    signature: str  # the key of the signature that is asked
    input: _Json  # what it takes
    url: str  # where the request goes
    classes: typing.Dict[str, str]  # names by number; empty without a label map
    image: str  # what the request has an image of, in words
    request_bytes: typing.List[_Json]  # how large it would be, by type of input and way of sending

    def as_json(self) -> _Json:
        """Returns what ``od-patch request --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class Publication(typing.NamedTuple):
    """A version that ``od_patch.publish`` has published."""

    version: int
    path: str  # its folder
    model_name: str  # what requests call the model
    num_bytes: int  # of all its files
    removed: typing.List[int]  # versions that were removed
    notes: typing.List[str]
    docker: str  # the command that starts a server in a container
    server: str  # the command that starts one without
    try_it: typing.Optional[str]  # a first request; None where that takes more than a line
    example_request: typing.Optional[WrittenRequest] = None  # where one was asked for

    def as_json(self) -> _Json:
        """Returns what ``od-patch publish --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class ExportReport(typing.NamedTuple):
    """What ``od_patch.export`` has made of one checkpoint, or with ``dry_run`` would make."""

    schema: int
    output: str  # the folder, as it was given
    dry_run: bool  # whether nothing was written
    replaced: bool  # whether an earlier export was, or would be, replaced
    release: str  # the release of the Object Detection API, in words
    tensorflow: str  # its version
    seconds: float
    artifacts: typing.List[str]  # what the export consists of
    files: typing.List[File]
    kind: str  # what the SavedModel holds: 'resource', 'reference' or 'frozen'
    variables: typing.Optional[int]  # how many it has; None for a frozen one, and before there is one
    variable_bytes: typing.Optional[int]  # how large they are
    weights: str  # 'moving averages' or 'raw weights'
    checkpoint: str  # the prefix that they come from
    step: typing.Optional[int]  # its global step
    signature: typing.Optional[Signature]  # None with ``dry_run``
    notes: typing.List[str]  # what the export had to say
    # What the options added.
    proof: typing.Optional[Verification] = None  # None for one of many checkpoints, unless ``verify`` asks for it
    published: typing.Optional[Publication] = None  # of ``serving_directory``
    example_request: typing.Optional[WrittenRequest] = None  # of ``example_request``

    def as_json(self) -> _Json:
        """Returns what ``export_inference_graph --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class CheckpointReport(typing.NamedTuple):
    """What became of one checkpoint of many."""

    checkpoint: str  # its prefix
    step: typing.Optional[int]
    outcome: str  # 'exported', 'done before' or 'failed'; with ``dry_run`` 'to export' or 'done before'
    error: typing.Optional[str]  # why it failed
    export: typing.Optional[ExportReport]  # of an exported one


class SeriesReport(typing.NamedTuple):
    """What ``od_patch.export`` has made of many checkpoints (``all_checkpoints``, ``checkpoint_steps``, ``watch``)."""

    schema: int
    output: str  # the folder, as it was given
    dry_run: bool  # whether nothing was written
    release: str
    tensorflow: str
    seconds: float
    checkpoints: typing.List[CheckpointReport]
    waiting: typing.List[str]  # prefixes that were not whole when the watch ended
    missed: typing.List[str]  # prefixes that were removed before they could be exported
    notes: typing.List[str]

    def as_json(self) -> _Json:
        """Returns what ``export_inference_graph --all_checkpoints --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class Provenance(typing.NamedTuple):
    """How a graph was made, as far as it tells; docs/compare.md has the fields."""

    loads: typing.List[str]  # the first and the last release of TensorFlow that load it
    loads_why: typing.List[str]
    refusal: str  # why the TensorFlow at hand does not load it; empty where it does
    tensorflow: typing.List[str]  # the first and the last release that can have written it
    tensorflow_why: typing.List[str]
    exact: _Json  # what a file beside it says
    od_api: typing.List[str]  # the first and the last revision that can have made it; empty for not known
    markers: typing.List[str]
    producer: int
    settings: _Json
    optimised: typing.List[str]  # the tools that left a trace
    quantized: str
    weights: int  # how many constants are weights
    parameters: int  # how many values they have


class ComparedGraph(typing.NamedTuple):
    """One of two graphs."""

    path: str  # as it was given
    file: str  # what was read
    kind: str  # such as 'frozen graph'
    bytes: int
    nodes: int
    outputs: typing.List[str]
    provenance: Provenance


class Cause(typing.NamedTuple):
    """Why two graphs differ."""

    kind: str
    title: str
    effect: str
    cosmetic: bool
    side: str  # 'left', 'right' or 'both': which graph has it
    scope: str
    left: int  # nodes that it is about
    right: int
    left_nodes: typing.List[str]
    right_nodes: typing.List[str]
    option: str  # the setting that makes it
    revision: str  # the revision of the Object Detection API that makes it
    values: typing.Optional[typing.List[typing.Any]]  # of the setting, in the first graph and in the second
    detail: _Json


class Comparison(typing.NamedTuple):
    """What ``od_patch.compare`` found."""

    schema: int
    verdict: str  # 'identical', 'equivalent', 'same weights, different graph', 'different weights', 'not comparable'
    reason: str
    graphs: typing.List[ComparedGraph]
    rules: typing.List[_Json]  # by which the graphs are the same, and how often on either side
    set_aside: typing.List[str]
    weights: typing.Optional[_Json]  # None for graphs that are identical
    frontier: typing.Optional[_Json]  # where the graphs part; None where they are equal
    causes: typing.List[Cause]
    checkpoint: typing.List[_Json]  # which weights of it each graph holds
    run: typing.Optional[_Json]  # None unless they were run

    @property
    def ok(self) -> bool:
        """Whether the graphs compute the same, bit for bit."""
        return self.verdict in ('identical', 'equivalent')

    def as_json(self) -> _Json:
        """Returns what ``od-patch compare --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class Inspection(typing.NamedTuple):
    """What ``od_patch.inspect`` found: the fields of ``Provenance``, and these of the file."""

    loads: typing.List[str]
    loads_why: typing.List[str]
    refusal: str
    tensorflow: typing.List[str]
    tensorflow_why: typing.List[str]
    exact: _Json
    od_api: typing.List[str]
    markers: typing.List[str]
    producer: int
    settings: _Json
    optimised: typing.List[str]
    quantized: str
    weights: int
    parameters: int
    path: str  # as it was given
    file: str  # what was read
    kind: str  # such as 'frozen graph'
    bytes: int
    nodes: int
    outputs: typing.List[str]
    checkpoint: typing.Optional[_Json]  # which weights of it the graph holds; None where none was given

    def as_json(self) -> _Json:
        """Returns what ``od-patch inspect --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class FrozenGraph(typing.NamedTuple):
    """What ``od_patch.freeze`` has written."""

    output: str  # the file
    nodes: int
    variables: int  # how many became constants
    unread: typing.List[str]  # the others, which no output reads
    bytes: int

    def as_json(self) -> _Json:
        """Returns what ``od-patch freeze --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class Unfrozen(typing.NamedTuple):
    """What ``od_patch.unfreeze`` has written, or, without ``output``, which constants would become variables."""

    frozen: typing.Optional[str]  # the frozen graph; None where something was written
    saved_model: typing.Optional[str]  # its folder
    checkpoint: typing.Optional[str]  # its prefix
    variables: typing.List[_Json]  # name, dtype, shape, and how each is known to have been one
    bytes: typing.Optional[int]
    inputs: typing.Dict[str, str]  # names of tensors by their keys
    outputs: typing.Dict[str, str]
    proof: typing.Optional[Verification]
    notes: typing.List[str]

    def as_json(self) -> _Json:
        """Returns what ``od-patch unfreeze --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class Package(typing.NamedTuple):
    """What ``od_patch.package`` has packed."""

    service: str
    output: str  # the archive or the folder
    model_name: str
    sha256: typing.Optional[str]  # of the archive; None for a folder
    next: typing.List[str]  # what to type or write next
    members: typing.List[File]

    def as_json(self) -> _Json:
        """Returns what ``od-patch package --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class Problem(typing.NamedTuple):
    """What is in the way of an export."""

    problem: str
    remedy: str  # what to type


class Diagnosis(typing.NamedTuple):
    """What ``od_patch.doctor`` found; docs/troubleshooting.md has more."""

    format: int
    od_patch: str  # its version
    usable: bool  # whether an export can begin
    python: _Json
    packages: typing.Dict[str, typing.Optional[str]]  # versions; None for what is missing
    object_detection: typing.Optional[_Json]
    slim: typing.Optional[str]  # the folder that ``nets`` is in
    protos: typing.Optional[_Json]
    bridges: typing.List[_Json]  # what an export would put on
    problems: typing.List[Problem]

    def as_json(self) -> _Json:
        """Returns what ``od-patch doctor --json`` prints."""
        return typing.cast(_Json, _made.plain(self))


class Regeneration(typing.NamedTuple):
    """What ``od_patch.regenerate`` found."""

    verdict: str  # of the last export, as of ``Comparison``
    reason: str
    attempts: typing.List[_Json]  # 'flags' of each export, and 'comparison' with the shipped graph
    settings: typing.Dict[str, str]  # flags that would make the next export more alike
    pin: typing.List[str]  # what no setting changes, and has to be pinned
    output: typing.Optional[str]  # the last export, where it was kept

    @property
    def ok(self) -> bool:
        """Whether the last export computes what the shipped graph does, bit for bit."""
        return self.verdict in ('identical', 'equivalent')

    def as_json(self) -> _Json:
        """Returns what ``od-patch regenerate --json`` prints."""
        return typing.cast(_Json, _made.plain(self))
