"""Schedule: all updates after all readers, and values that an update takes from a variable copied before any update.

With this a run is defined: every read sees the variable as it was when the run began, whatever is fetched together.
"""

from __future__ import annotations

import numpy as np

from tsengine.compiler.program import Program, Step
from tsengine.ops.registry import REGISTRY, op
from tsengine.specs import Array, Spec


@op("snapshot")
class _Snapshot:
    """A copy, taken before the updates; made by the compiler only."""

    nondifferentiable = "it is made after gradients were taken"
    not_exported = "a served model changes nothing"

    @staticmethod
    def infer(x: Spec) -> Spec:
        return x

    @staticmethod
    def kernel(out: Array, x: Array) -> None:
        np.copyto(out, x)


def schedule(program: Program) -> Program:
    """Readers in their order, then snapshots, then updates in their order."""
    updates = [step for step in program.steps if step.is_update]
    readers = [step for step in program.steps if not step.is_update]
    if not updates:
        return program
    aliases = _variable_aliases(readers)
    wanted = sorted({item for step in updates for item in step.inputs if item in aliases})
    by_id = {step.id: step for step in readers}
    start = program.next_id()
    copies = {item: start + offset for offset, item in enumerate(wanted)}
    snapshots = [_snapshot(by_id[item], copy) for item, copy in copies.items()]
    moved = [step.renamed(copies) for step in updates]
    notes = [f"schedule: '{by_id[item].node.name}' is copied before the updates" for item in wanted]
    return program.after([*readers, *snapshots, *moved], *notes)


def _variable_aliases(steps: list[Step]) -> set[int]:
    """Values that are, or may be a view of, a variable's storage."""
    found: set[int] = set()
    for step in steps:
        if step.op.name == "variable_read" or (step.op.view is not None and step.inputs[0] in found):
            found.add(step.id)
    return found


def _snapshot(step: Step, copy: int) -> Step:
    return Step(copy, REGISTRY["snapshot"], (step.id,), {}, step.spec, step.node)
