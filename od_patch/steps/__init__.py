"""What an export can do beside writing a SavedModel: one module a capability, in the order in which they act.

A step declares its options and does its part at the moments that ``_step.Step``
names. Nothing else of od-patch knows the steps one by one: flags, keywords and
what a series compares follow from what they declare.

Not for: how an export is made, which is ``_export``.
"""
import typing

from od_patch.steps import _step
from od_patch.steps import additional_outputs
from od_patch.steps import example
from od_patch.steps import labels
from od_patch.steps import proof
from od_patch.steps import publish
from od_patch.steps import signatures
from od_patch.steps import target_tf
from od_patch.steps import warmup

# What the core knows of a step.
Step = _step.Step
Tensors = _step.Tensors
Change = _step.Change

STEPS = (
    labels.Labels,  # adds a node
    additional_outputs.AdditionalOutputs,  # before what chooses among the outputs
    signatures.Signatures,  # adds nodes
    target_tf.TargetTf,  # after all that add nodes: looks at every one
    proof.Proof,  # before what adds files that no checkpoint has
    warmup.WarmUp,
    publish.Publish,  # when the export is in its place
    example.Example,  # asks the model by the name that it was published under
)


def active(given: typing.Mapping[str, typing.Any]) -> typing.List[_step.Step]:
    """Returns the steps that options ask for, ready for one export.

    Args:
        given: dict from the name of an option to its value; what is absent has its default.

    Raises:
        od_patch.UsageError: a value that cannot be meant.
    """
    found: typing.List[_step.Step] = []
    for step in STEPS:
        own = {option.name: given.get(option.name, option.default) for option in step.options}
        if step.always or any(own[option.name] != option.default for option in step.options):
            found.append(step(**own))
    return found
