"""Verify: what must hold of a program after any pass, and of a memory plan. What fails here is the engine's defect."""

from __future__ import annotations

from tsengine.compiler.memory import MemoryPlan, last_uses
from tsengine.compiler.program import Program, Step
from tsengine.errors import CompileError
from tsengine.specs import Spec, fits


def verify(program: Program, after: str) -> None:
    """Single assignment, inputs before use, fetches present, specs that the shape rules agree with."""
    specs: dict[int, Spec | None] = {}
    updating = False
    for step in program.steps:
        if step.id in specs:
            raise CompileError(f"after {after}: value %{step.id} is made twice")
        missing = [item for item in step.inputs if item not in specs]
        if missing:
            raise CompileError(f"after {after}: {step} reads %{missing[0]} before it is made")
        specs[step.id] = step.spec
        updating = updating or step.is_update
        if after == "schedule" and updating and not step.is_update:
            raise CompileError(f"after {after}: {step} reads after an update")
        _verify_spec(step, step.op.infer(*(specs[item] for item in step.inputs), **step.attrs), after)
    if any(item not in specs for item in program.fetches):
        raise CompileError(f"after {after}: a fetched value is not made")


def _verify_spec(step: Step, inferred: Spec | None, after: str) -> None:
    if step.spec is None or inferred is None:
        wrong = step.spec is not inferred
    else:
        disagree = (
            inferred.shape is not None and step.spec.shape is not None and not fits(inferred.shape, step.spec.shape)
        )
        wrong = step.spec.dtype != inferred.dtype or disagree
    if wrong:
        raise CompileError(f"after {after}: {step} should be {inferred}")


def verify_memory(program: Program, plan: MemoryPlan) -> None:
    """No two values that are alive at once share a buffer, but for a value made in place of the one that dies there,
    and that only where the step reads it once."""
    last = last_uses(program, plan)
    holder: dict[int, int] = {}
    for position, step in enumerate(program.steps):
        place = plan.places[step.id]
        if place.kind != "buffer":
            continue
        before = holder.get(place.buffer)
        if before is not None and last[before] >= position and not (place.inplace and last[before] == position):
            raise CompileError(f"{step} overwrites buffer {place.buffer} while %{before} is still read")
        if place.inplace and [plan.owner[item] for item in step.inputs].count(plan.owner[holder[place.buffer]]) > 1:
            raise CompileError(f"{step} works in place of a value that it reads twice")
        holder[place.buffer] = step.id
