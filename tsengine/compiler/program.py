"""The compiler's small language: steps in order, each naming the values it reads and the one it makes.

A step's id is the id of its value (single assignment). Passes are functions Program -> Program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tsengine.graph import Node
from tsengine.ops.registry import OpDef
from tsengine.specs import Spec


@dataclass(frozen=True, slots=True)
class Step:
    """One application of a primitive to values; `node` is the user's node that it stands for."""

    id: int
    op: OpDef
    inputs: tuple[int, ...]
    attrs: dict[str, Any]
    spec: Spec | None
    node: Node

    @property
    def is_update(self) -> bool:
        """Whether it changes variables."""
        return self.op.update is not None

    @property
    def movable(self) -> bool:
        """Whether it is a pure function of its inputs: it may be folded, shared and replaced."""
        return not (self.op.source or self.op.stateful)

    @property
    def reads(self) -> tuple[int, ...]:
        """The inputs whose elements it reads; of the others only the shape matters."""
        shape_only = self.op.shape_only
        if not shape_only:
            return self.inputs
        return tuple(item for place, item in enumerate(self.inputs) if place not in shape_only)

    def renamed(self, names: Mapping[int, int]) -> Step:
        """The step with its inputs taken from elsewhere; itself where none is named."""
        if not any(item in names for item in self.inputs):
            return self
        return replace(self, inputs=tuple(names.get(item, item) for item in self.inputs))

    def __str__(self) -> str:
        inputs = ", ".join(f"%{item}" for item in self.inputs)
        return f"%{self.id} = {self.op.name}({inputs}) {self.spec or 'operation'}  '{self.node.name}'"


@dataclass(frozen=True)
class Program:
    """Steps in order, the ids that the run feeds and fetches, and what the passes did."""

    steps: tuple[Step, ...]
    feeds: tuple[int, ...]
    fetches: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def after(self, steps: Iterable[Step], *notes: str, fetches: tuple[int, ...] | None = None) -> Program:
        """The program that a pass made of this one."""
        return replace(self, steps=tuple(steps), fetches=fetches or self.fetches, notes=self.notes + notes)

    def with_specs(self, specs: Mapping[int, Spec | None]) -> Program:
        """The program with what is known of its values once the shapes of its feeds are."""
        return replace(self, steps=tuple(replace(step, spec=specs[step.id]) for step in self.steps))

    def next_id(self) -> int:
        """An id that no step has."""
        return max((step.id for step in self.steps), default=-1) + 1

    def consumers(self) -> dict[int, int]:
        """How often each value's elements are read; being fetched counts as a read."""
        counts = {step.id: 0 for step in self.steps}
        for step in self.steps:
            for item in step.reads:
                counts[item] += 1
        for item in self.fetches:
            counts[item] += 1
        return counts

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))


def step_of(node: Node) -> Step:
    """A node as it is."""
    return Step(node.id, node.op, tuple(item.id for item in node.inputs), node.attrs, node.spec, node)
