"""A memory plan watched at work, by what the instructions are given; nothing is read of the plan itself.

Every step of a compiled program gets an op that looks before and after it computes. The first run shows in which array
each value lies and who reads it when. In the second an instruction must read what the same step gives on arrays of its
own, bit for bit, must not write where a value lies that is still to be read, and must leave all those as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tsengine.compiler.evaluate import evaluate
from tsengine.compiler.pipeline import SETTLING, bind, compile_program, settle
from tsengine.compiler.program import Program, Step
from tsengine.errors import EngineError
from tsengine.graph import Node
from tsengine.ops.registry import Rule
from tsengine.specs import Array, spec_of
from tsengine.store import VariableStore


class Overlap(EngineError, AssertionError):
    """A value was overwritten that somebody still had to read; the message names both."""


def watch_run(fetches: list[Node], feeds: Mapping[Node, Array], disable: Collection[str] = ()) -> int:
    """Run the fetches with every instruction watched; how many there were. Updates are carried out, twice."""
    program = compile_program(fetches, list(feeds), disable)
    return watch_program(program, fetches[0].graph.store, {node.id: value for node, value in feeds.items()}, disable)


def watch_program(
    program: Program, store: VariableStore, feeds: Mapping[int, Array], disable: Collection[str] = ()
) -> int:
    """The same for a program that is compiled already."""
    specs = {item: spec_of(feeds[item]) for item in program.feeds}
    watch = _Watch(settle(program, specs, disable)[0])
    given = [feeds[item] for item in program.feeds]
    plan = bind(watch.program, specs, store, {*disable, *SETTLING})
    for checking in (False, True):
        watch.begin(store, feeds, checking)
        watch.end(plan.run(given, copy=False))
    return watch.calls


class _Watch:
    """The program with ops that look, the values it must have, and where they lie."""

    def __init__(self, program: Program) -> None:
        self.program = program.after(map(self._looking, program.steps))
        self.calls = 0
        self._checking = self._running = False
        self._steps = {step.id: step for step in program.steps}
        self._fetches = program.fetches
        self._expected: dict[int, Array] = {}
        self._arrays: dict[int, Array] = {}
        self._made: dict[int, int] = {}
        self._read: dict[int, int] = {}
        self._outside: list[Array] = []

    def begin(self, store: VariableStore, feeds: Mapping[int, Array], checking: bool) -> None:
        """Before a run: what its values must be."""
        self.calls, self._checking, self._running = 0, checking, True
        self._expected = values_of(list(self._steps.values()), store, feeds)
        sources = [step.attrs for step in self._steps.values() if step.op.source and step.id not in feeds]
        constants = [attrs["value"] for attrs in sources if "value" in attrs]
        variables = [store.array(attrs["variable"]) for attrs in sources if "variable" in attrs]
        self._outside = [*constants, *variables, *feeds.values()]

    def end(self, results: list[Any]) -> None:
        """After a run: what it returned."""
        self._running = False
        for item, value in zip(self._fetches, results, strict=True):
            if value is not None and not same_bits(np.asarray(value), self._expected[item]):
                raise Overlap(f"the run returned for {self._steps[item]} what the step does not give")
            self._read[item] = self.calls + 1

    def _looking(self, step: Step) -> Step:
        ways: dict[str, Any] = {
            way: partial(getattr(self, f"_{way}"), step, getattr(step.op, way))
            for way in ("kernel", "compute", "update", "view")
            if getattr(step.op, way) is not None
        }
        return replace(step, op=replace(step.op, **ways))

    def _kernel(self, step: Step, kernel: Rule, out: Array, *inputs: Array, **attrs: Any) -> None:
        self._before(step, inputs)
        self._check_place(step, out)
        kernel(out, *inputs, **attrs)
        self._after(step, out)

    def _compute(self, step: Step, compute: Rule, *inputs: Array, **attrs: Any) -> Array:
        self._before(step, inputs)
        made: Array = compute(*inputs, **attrs)
        self._after(step, made)
        return made

    def _update(self, step: Step, update: Rule, store: VariableStore, *inputs: Array, **attrs: Any) -> None:
        self._before(step, inputs)
        update(store, *inputs, **attrs)

    def _view(self, step: Step, view: Rule, *inputs: Array, **attrs: Any) -> Array:
        """In a run it is an instruction; taken when the plan is made, it holds its values once its input does."""
        if self._running:
            return self._compute(step, view, *inputs, **attrs)
        made: Array = view(*inputs, **attrs)
        self._arrays[step.id] = made
        return made

    def _before(self, step: Step, inputs: tuple[Array | None, ...]) -> None:
        self.calls += 1
        for place, (item, array) in enumerate(zip(step.inputs, inputs, strict=True)):
            if array is None or place in step.op.shape_only:
                continue
            self._read[item] = max(self._read.get(item, 0), self.calls)
            if not same_bits(array, self._expected[item]):
                raise Overlap(f"{step} reads other bits than {self._steps[item]} gives")

    def _check_place(self, step: Step, out: Array) -> None:
        if any(np.may_share_memory(out, array) for array in self._outside):
            raise Overlap(f"{step} writes into a feed, a constant or a variable")
        for item in self._live(self.calls - 1):
            if np.may_share_memory(out, self._arrays[item]):
                raise Overlap(f"{step} writes where {self._steps[item]} lies, which is still to be read")

    def _after(self, step: Step, made: Array) -> None:
        self._arrays[step.id], self._made[step.id] = made, self.calls
        for item in (step.id, *self._live(self.calls)):
            if not same_bits(self._arrays[item], self._expected[item]):
                raise Overlap(f"{step} leaves other bits in {self._steps[item]}, which is still to be read")

    def _live(self, made: int) -> list[int]:
        """In a run that checks: what that many instructions have made and one after the present one reads."""
        if not self._checking:
            return []
        return [item for item in self._arrays if self._since(item) <= made and self._read.get(item, 0) > self.calls]

    def _since(self, item: int) -> int:
        """The instruction after which a value holds; a view does when its input does."""
        while item not in self._made and self._steps[item].op.view is not None:
            item = self._steps[item].inputs[0]
        return self._made.get(item, 0)


def values_of(steps: list[Step], store: VariableStore, feeds: Mapping[int, Array]) -> dict[int, Array]:
    """What each step of a program gives on arrays of its own."""
    values = {item: array.copy() for item, array in feeds.items()}
    for step in steps:
        if step.id in feeds or step.is_update:
            continue
        if step.op.source:
            values[step.id] = step.attrs["value"] if "value" in step.attrs else store.get(step.attrs["variable"])
            continue
        with np.errstate(all="ignore"):
            values[step.id] = evaluate(step.op, [values[item] for item in step.inputs], step.attrs)
    return values


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays are of one form and hold the same bits."""
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
