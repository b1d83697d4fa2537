# Made by python -m tools.api_reference from __init__.py and the options: what type checkers and editors read.
import os
import typing

from typing_extensions import Literal

from od_patch import api
from od_patch._errors import CheckpointMismatch as CheckpointMismatch
from od_patch._errors import EnvironmentRefused as EnvironmentRefused
from od_patch._errors import ExporterDeclined as ExporterDeclined
from od_patch._errors import InputRefused as InputRefused
from od_patch._errors import ODPatchError as ODPatchError
from od_patch._errors import OutputRefused as OutputRefused
from od_patch._errors import ProofFailed as ProofFailed
from od_patch._errors import SomeFailed as SomeFailed
from od_patch._errors import UsageError as UsageError
from od_patch._version import __version__ as __version__
from od_patch.api import CheckpointReport as CheckpointReport
from od_patch.api import Comparison as Comparison
from od_patch.api import Diagnosis as Diagnosis
from od_patch.api import ExportReport as ExportReport
from od_patch.api import FrozenGraph as FrozenGraph
from od_patch.api import Inspection as Inspection
from od_patch.api import Package as Package
from od_patch.api import Publication as Publication
from od_patch.api import Regeneration as Regeneration
from od_patch.api import SeriesReport as SeriesReport
from od_patch.api import Unfrozen as Unfrozen
from od_patch.api import Verification as Verification
from od_patch.api import WrittenRequest as WrittenRequest
from od_patch.serving._batch import Detector as Detector
from od_patch.serving._batch import image_of_example as image_of_example

_Path = typing.Union[str, 'os.PathLike[str]']
_Names = typing.Union[str, typing.Iterable[str]]
_Progress = typing.Optional[typing.Callable[[str], typing.Any]]

@typing.overload
def export(
    config: _Path,
    checkpoint: _Path,
    output: _Path,
    *,
    input_type: str = ...,
    input_shape: typing.Any = ...,
    config_override: str = ...,
    write_inference_graph: bool = ...,
    progress: _Progress = ...,
    all_checkpoints: Literal[True],
    strict_pin: typing.Optional[bool] = ...,
    saved_model_variables: typing.Optional[str] = ...,
    overwrite: typing.Optional[bool] = ...,
    artifacts: typing.Optional[_Names] = ...,
    dry_run: typing.Optional[bool] = ...,
    profile_graph: typing.Optional[bool] = ...,
    checkpoint_steps: typing.Optional[typing.Union[str, typing.Iterable[int]]] = ...,
    watch: typing.Optional[bool] = ...,
    watch_interval: typing.Optional[float] = ...,
    label_map_path: typing.Optional[_Path] = ...,
    additional_output_tensor_names: typing.Optional[_Names] = ...,
    extra_signatures: typing.Optional[_Names] = ...,
    signature_outputs: typing.Optional[_Names] = ...,
    signature_input_name: typing.Optional[str] = ...,
    target_tf: typing.Optional[str] = ...,
    verify: typing.Optional[bool] = ...,
    warmup_images: typing.Optional[typing.Union[str, typing.Iterable[_Path]]] = ...,
    serving_directory: typing.Optional[_Path] = ...,
    model_version: typing.Optional[str] = ...,
    keep: typing.Optional[int] = ...,
    model_name: typing.Optional[str] = ...,
    example_request: typing.Optional[_Path] = ...,
    **of_the_release: typing.Any) -> SeriesReport: ...

@typing.overload
def export(
    config: _Path,
    checkpoint: _Path,
    output: _Path,
    *,
    input_type: str = ...,
    input_shape: typing.Any = ...,
    config_override: str = ...,
    write_inference_graph: bool = ...,
    progress: _Progress = ...,
    checkpoint_steps: typing.Union[str, typing.Iterable[int]],
    strict_pin: typing.Optional[bool] = ...,
    saved_model_variables: typing.Optional[str] = ...,
    overwrite: typing.Optional[bool] = ...,
    artifacts: typing.Optional[_Names] = ...,
    dry_run: typing.Optional[bool] = ...,
    profile_graph: typing.Optional[bool] = ...,
    all_checkpoints: typing.Optional[bool] = ...,
    watch: typing.Optional[bool] = ...,
    watch_interval: typing.Optional[float] = ...,
    label_map_path: typing.Optional[_Path] = ...,
    additional_output_tensor_names: typing.Optional[_Names] = ...,
    extra_signatures: typing.Optional[_Names] = ...,
    signature_outputs: typing.Optional[_Names] = ...,
    signature_input_name: typing.Optional[str] = ...,
    target_tf: typing.Optional[str] = ...,
    verify: typing.Optional[bool] = ...,
    warmup_images: typing.Optional[typing.Union[str, typing.Iterable[_Path]]] = ...,
    serving_directory: typing.Optional[_Path] = ...,
    model_version: typing.Optional[str] = ...,
    keep: typing.Optional[int] = ...,
    model_name: typing.Optional[str] = ...,
    example_request: typing.Optional[_Path] = ...,
    **of_the_release: typing.Any) -> SeriesReport: ...

@typing.overload
def export(
    config: _Path,
    checkpoint: _Path,
    output: _Path,
    *,
    input_type: str = ...,
    input_shape: typing.Any = ...,
    config_override: str = ...,
    write_inference_graph: bool = ...,
    progress: _Progress = ...,
    watch: Literal[True],
    strict_pin: typing.Optional[bool] = ...,
    saved_model_variables: typing.Optional[str] = ...,
    overwrite: typing.Optional[bool] = ...,
    artifacts: typing.Optional[_Names] = ...,
    dry_run: typing.Optional[bool] = ...,
    profile_graph: typing.Optional[bool] = ...,
    all_checkpoints: typing.Optional[bool] = ...,
    checkpoint_steps: typing.Optional[typing.Union[str, typing.Iterable[int]]] = ...,
    watch_interval: typing.Optional[float] = ...,
    label_map_path: typing.Optional[_Path] = ...,
    additional_output_tensor_names: typing.Optional[_Names] = ...,
    extra_signatures: typing.Optional[_Names] = ...,
    signature_outputs: typing.Optional[_Names] = ...,
    signature_input_name: typing.Optional[str] = ...,
    target_tf: typing.Optional[str] = ...,
    verify: typing.Optional[bool] = ...,
    warmup_images: typing.Optional[typing.Union[str, typing.Iterable[_Path]]] = ...,
    serving_directory: typing.Optional[_Path] = ...,
    model_version: typing.Optional[str] = ...,
    keep: typing.Optional[int] = ...,
    model_name: typing.Optional[str] = ...,
    example_request: typing.Optional[_Path] = ...,
    **of_the_release: typing.Any) -> SeriesReport: ...

@typing.overload
def export(
    config: _Path,
    checkpoint: _Path,
    output: _Path,
    *,
    input_type: str = ...,
    input_shape: typing.Any = ...,
    config_override: str = ...,
    write_inference_graph: bool = ...,
    progress: _Progress = ...,
    strict_pin: typing.Optional[bool] = ...,
    saved_model_variables: typing.Optional[str] = ...,
    overwrite: typing.Optional[bool] = ...,
    artifacts: typing.Optional[_Names] = ...,
    dry_run: typing.Optional[bool] = ...,
    profile_graph: typing.Optional[bool] = ...,
    all_checkpoints: Literal[False] = ...,
    checkpoint_steps: None = ...,
    watch: Literal[False] = ...,
    watch_interval: typing.Optional[float] = ...,
    label_map_path: typing.Optional[_Path] = ...,
    additional_output_tensor_names: typing.Optional[_Names] = ...,
    extra_signatures: typing.Optional[_Names] = ...,
    signature_outputs: typing.Optional[_Names] = ...,
    signature_input_name: typing.Optional[str] = ...,
    target_tf: typing.Optional[str] = ...,
    verify: typing.Optional[bool] = ...,
    warmup_images: typing.Optional[typing.Union[str, typing.Iterable[_Path]]] = ...,
    serving_directory: typing.Optional[_Path] = ...,
    model_version: typing.Optional[str] = ...,
    keep: typing.Optional[int] = ...,
    model_name: typing.Optional[str] = ...,
    example_request: typing.Optional[_Path] = ...,
    **of_the_release: typing.Any) -> ExportReport: ...

def verify(
    export: typing.Optional[_Path] = ...,
    *,
    saved_model: typing.Optional[_Path] = ...,
    frozen_graph: typing.Optional[_Path] = ...,
    checkpoint: typing.Optional[_Path] = ...,
    config: typing.Optional[_Path] = ...,
    images: typing.Sequence[_Path] = ...,
    most_images: int = ...,
    target_tf: typing.Optional[str] = ...,
    quick: bool = ...,
    report: typing.Optional[_Path] = ...,
    overwrite: bool = ...,
    progress: _Progress = ...) -> api.Verification: ...

def compare(
    left: _Path,
    right: _Path,
    *,
    outputs: typing.Optional[typing.Sequence[str]] = ...,
    checkpoint: typing.Optional[_Path] = ...,
    run: int = ...,
    canonical: typing.Optional[_Path] = ...,
    report: typing.Optional[_Path] = ...,
    overwrite: bool = ...,
    progress: _Progress = ...) -> api.Comparison: ...

def inspect(
    graph: _Path,
    *,
    outputs: typing.Optional[typing.Sequence[str]] = ...,
    checkpoint: typing.Optional[_Path] = ...) -> api.Inspection: ...

def freeze(
    saved_model: _Path,
    output: _Path,
    *,
    overwrite: bool = ...) -> api.FrozenGraph: ...

def unfreeze(
    graph: _Path,
    output: typing.Optional[_Path] = ...,
    *,
    variables: str = ...,
    inputs: typing.Optional[typing.Sequence[str]] = ...,
    outputs: typing.Optional[typing.Sequence[str]] = ...,
    overwrite: bool = ...,
    progress: _Progress = ...) -> api.Unfrozen: ...

def regenerate(
    checkpoint: _Path,
    config: _Path,
    like: _Path,
    *,
    apply: bool = ...,
    output: typing.Optional[_Path] = ...) -> api.Regeneration: ...

def publish(
    export: _Path,
    base: _Path,
    *,
    model_version: typing.Union[int, str, None] = ...,
    keep: typing.Optional[int] = ...,
    model_name: typing.Optional[str] = ...,
    warmup_images: typing.Optional[typing.Sequence[_Path]] = ...,
    example_request: typing.Optional[_Path] = ...) -> api.Publication: ...

def request(
    export: _Path,
    output: _Path,
    *,
    model_name: typing.Optional[str] = ...,
    image: typing.Optional[_Path] = ...,
    signature: typing.Optional[str] = ...,
    overwrite: bool = ...) -> api.WrittenRequest: ...

def package(
    service: str,
    export: _Path,
    output: _Path,
    *,
    model_version: typing.Union[int, str, None] = ...,
    model_name: typing.Optional[str] = ...,
    code: typing.Optional[_Path] = ...,
    overwrite: bool = ...) -> api.Package: ...

def doctor() -> api.Diagnosis: ...

def install(exporter: typing.Any = ..., strict_pin: bool = ...) -> None: ...

def uninstall(exporter: typing.Any = ...) -> None: ...

def patched(
    exporter: typing.Any = ...,
    strict_pin: typing.Optional[bool] = ...,
    saved_model_variables: typing.Optional[str] = ...,
    overwrite: typing.Optional[bool] = ...,
    additional_output_tensor_names: typing.Optional[_Names] = ...,
    artifacts: typing.Optional[_Names] = ...,
    profile_graph: typing.Optional[bool] = ...,
    *,
    dry_run: typing.Optional[bool] = ...,
    all_checkpoints: typing.Optional[bool] = ...,
    checkpoint_steps: typing.Optional[typing.Union[str, typing.Iterable[int]]] = ...,
    watch: typing.Optional[bool] = ...,
    watch_interval: typing.Optional[float] = ...,
    label_map_path: typing.Optional[_Path] = ...,
    extra_signatures: typing.Optional[_Names] = ...,
    signature_outputs: typing.Optional[_Names] = ...,
    signature_input_name: typing.Optional[str] = ...,
    target_tf: typing.Optional[str] = ...,
    verify: typing.Optional[bool] = ...,
    warmup_images: typing.Optional[typing.Union[str, typing.Iterable[_Path]]] = ...,
    serving_directory: typing.Optional[_Path] = ...,
    model_version: typing.Optional[str] = ...,
    keep: typing.Optional[int] = ...,
    model_name: typing.Optional[str] = ...,
    example_request: typing.Optional[_Path] = ...) -> typing.ContextManager[None]: ...
