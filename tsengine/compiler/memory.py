"""Memory: which value lies in which buffer. Buffers are reused as soon as nobody reads what they held.

Liveness is counted per buffer, not per value, because views share their input's. Only results of kernels are planned:
what is fed, what a variable or a constant holds, and results whose size depends on the data are never overwritten, and
a fetched value keeps its buffer to the end of the run. A value of which only the shape is looked at is not computed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Literal

from tsengine.compiler.program import Program, Step
from tsengine.specs import Spec, byte_size

Kind = Literal["external", "view", "dynamic", "buffer", "shape"]
_LARGEST_WASTE = 16  # a buffer more than this many times too large is left for a value that needs it


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a value lies: its kind, and for kernels' results the number of the buffer."""

    kind: Kind
    buffer: int = -1
    inplace: bool = False


@dataclass
class MemoryPlan:
    """Placement of every value, the size of every buffer, and the bytes that no reuse would take."""

    places: dict[int, Placement] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    owner: dict[int, int] = field(default_factory=dict)
    bytes_before: int = 0

    @property
    def bytes_after(self) -> int:
        """Bytes of all buffers together."""
        return sum(self.sizes)


def plan_memory(program: Program, specs: dict[int, Spec | None], reuse: bool = True) -> MemoryPlan:
    """Place every value. Without `reuse` each result has a buffer of its own."""
    plan = MemoryPlan()
    computed = _computed(program, specs)
    for step in program.steps:
        plan.places[step.id] = Placement(_kind(step, specs) if step.id in computed else "shape")
        plan.owner[step.id] = plan.owner[step.inputs[0]] if plan.places[step.id].kind == "view" else step.id
    last = last_uses(program, plan)
    free: list[tuple[int, int]] = []
    for position, step in enumerate(program.steps):
        if plan.places[step.id].kind == "buffer":
            _place(step, position, specs, plan, last, free, reuse)
        if reuse:
            _release(step, position, plan, last, free)
    return plan


def last_uses(program: Program, plan: MemoryPlan) -> dict[int, int]:
    """For every owner of a buffer the position of the last step that reads it, through views too."""
    owner = plan.owner
    last = {owner[step.id]: position for position, step in enumerate(program.steps)}
    for position, step in enumerate(program.steps):
        if plan.places[step.id].kind != "shape":
            for item in step.reads:
                last[owner[item]] = position
    for item in program.fetches:
        last[owner[item]] = len(program.steps)
    return last


def _computed(program: Program, specs: dict[int, Spec | None]) -> set[int]:
    """The values that some fetch or update needs the elements of, and those whose shape nobody knows before."""
    needed = set(program.fetches)
    for step in reversed(program.steps):
        spec = specs[step.id]
        if step.id in needed or step.op.source or spec is None or not spec.known:
            needed.add(step.id)
            needed.update(step.reads)
    return needed


def is_view(step: Step, specs: dict[int, Spec | None]) -> bool:
    """Whether the step only aliases its first input. Where that cannot be told yet, it may."""
    if step.op.view is None:
        return False
    inputs = [specs[item] for item in step.inputs]
    if step.op.is_view is None or any(item is None or not item.known for item in inputs):
        return True
    return bool(step.op.is_view(*inputs, **step.attrs))


def _kind(step: Step, specs: dict[int, Spec | None]) -> Kind:
    spec = specs[step.id]
    if step.op.source or spec is None:
        return "external"
    if is_view(step, specs):
        return "view"
    return "buffer" if spec.known and step.op.compute is None else "dynamic"


def _place(
    step: Step,
    position: int,
    specs: dict[int, Spec | None],
    plan: MemoryPlan,
    last: dict[int, int],
    free: list[tuple[int, int]],
    reuse: bool,
) -> None:
    size = byte_size(specs[step.id])
    plan.bytes_before += size
    source = _overwritable(step, position, specs, plan, last) if reuse else None
    if source is not None:
        plan.places[step.id] = Placement("buffer", plan.places[source].buffer, inplace=True)
        return
    number = _take_free(size, plan, free)
    if number is None:
        number = len(plan.sizes)
        plan.sizes.append(size)
    plan.places[step.id] = Placement("buffer", number)


def _overwritable(
    step: Step, position: int, specs: dict[int, Spec | None], plan: MemoryPlan, last: dict[int, int]
) -> int | None:
    """An input that this step reads last, of the same spec, in a buffer that no other input shares or is as well.

    `add_n(x, y, x)` in place of x would read its own result for the second x.
    """
    for place in step.op.inplace:
        if place >= len(step.inputs):
            break
        item = step.inputs[place]
        alone = [plan.owner[other] for other in step.inputs].count(plan.owner[item]) == 1
        if plan.places[item].kind == "buffer" and last[item] == position and specs[item] == specs[step.id] and alone:
            return item
    return None


def _take_free(size: int, plan: MemoryPlan, free: list[tuple[int, int]]) -> int | None:
    """The smallest free buffer that is large enough."""
    place = bisect_left(free, (size, -1))
    if place == len(free) or free[place][0] > max(size, 64) * _LARGEST_WASTE:
        return None
    return free.pop(place)[1]


def _release(step: Step, position: int, plan: MemoryPlan, last: dict[int, int], free: list[tuple[int, int]]) -> None:
    """Give back the buffers whose last reader this step was, but for one that it took over in place."""
    taken = plan.places[step.id].buffer
    for owner in {plan.owner[item] for item in step.inputs} | {plan.owner[step.id]}:
        buffer = plan.places[owner].buffer
        handed_on = buffer == taken and owner != step.id
        if buffer >= 0 and last[owner] == position and not handed_on:
            insort(free, (plan.sizes[buffer], buffer))
