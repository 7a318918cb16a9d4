"""A memory plan watched at work, row by row, also where steps are rows of the compiled machine.

Who reads what and until when is found from the order of the steps, not from the memory plan. After every row of a run
each value that is still to be read must hold the bits that it was made with, whichever kernels made it; and each is
compared with what its step gives in NumPy, on arrays of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tsengine.compiler.pipeline import bind, compile_program
from tsengine.compiler.plan import Plan
from tsengine.compiler.program import Step
from tsengine.graph import Node
from tsengine.kernels import encoder
from tsengine.specs import Array, spec_of
from tsengine.testing.watched_run import Overlap, same_bits, values_of


def watch_plan(fetches: list[Node], feeds: Mapping[Node, Array], kernels: str, disable: Collection[str] = ()) -> int:
    """Run the fetches twice, the second time watched; how many rows there were. Updates are carried out, twice."""
    store = fetches[0].graph.store
    program = compile_program(fetches, list(feeds), disable)
    specs = {node.id: spec_of(value) for node, value in feeds.items() if node.id in program.feeds}
    plan = bind(program, specs, store, disable, encoder(kernels))
    given = {node.id: value for node, value in feeds.items()}
    fed = [given[item] for item in plan.program.feeds]
    watch = _Watch(plan)
    plan.run(fed, copy=False, watch=lambda step, seconds: watch.rows.append(step.id))
    watch.begin(values_of(list(plan.program.steps), store, given), [*fed, *_held(plan)])
    watch.end(plan.run(fed, copy=False, watch=lambda step, seconds: watch.look(step)))
    return len(watch.rows)


def _held(plan: Plan) -> list[Array]:
    return [step.attrs["value"] for step in plan.program.steps if step.op.name == "constant"]


class _Watch:
    """The rows of a run by the ids of their steps, and where the values lie."""

    def __init__(self, plan: Plan) -> None:
        self.rows: list[int] = []
        self._steps = {step.id: step for step in plan.program.steps}
        self._fetches = plan.program.fetches
        single = any(spec is not None and spec.dtype == np.float32 for spec in plan.specs.values())
        self._loose = 1e-3 if single else 1e-9
        bound = plan._bound
        there = [item for item, place in plan.memory.places.items() if place.kind in ("buffer", "view")]
        template = {item: bound.template[bound.slot[item]] for item in there}
        self._arrays = {item: array for item, array in template.items() if array is not None}

    def begin(self, expected: Mapping[int, Array], outside: list[Array]) -> None:
        """After the first run: when each value is made and read last."""
        self._expected, self._done = expected, 0
        self._outside = [(array, array.copy()) for array in outside]
        self._bits: dict[int, Array] = {}
        made = {item: row for row, item in enumerate(self.rows)}
        self._last = {item: self._last_read(item, made) for item in self._arrays}
        self._made: dict[int, list[int]] = {}
        for item in self._arrays:
            self._made.setdefault(made.get(self._origin(item), -1), []).append(item)

    def look(self, step: Step) -> None:
        """After one row: what it made, and all that is still to be read."""
        row, self._done = self._done, self._done + 1
        for item in self._made.get(row, ()):
            self._bits[item] = self._arrays[item].copy()
            if not self._is_expected(item, self._bits[item]):
                raise Overlap(f"{step} does not leave in {self._steps[item]} what the step gives")
        for item, bits in self._bits.items():
            if self._last[item] > row and not same_bits(self._arrays[item], bits):
                raise Overlap(f"{step} overwrites {self._steps[item]}, which is still to be read")

    def end(self, results: list[Array | None]) -> None:
        """After the second run."""
        for item, value in zip(self._fetches, results, strict=True):
            if value is not None and not self._is_expected(item, np.asarray(value)):
                raise Overlap(f"the run returned for {self._steps[item]} what the step does not give")
        if not all(same_bits(array, kept) for array, kept in self._outside):
            raise Overlap("a feed or a constant was written to")

    def _is_expected(self, item: int, value: Array) -> bool:
        wanted = self._expected[item]
        same_form = value.shape == wanted.shape and value.dtype == wanted.dtype
        return same_form and np.allclose(value, wanted, self._loose, self._loose, equal_nan=True)

    def _last_read(self, item: int, made: Mapping[int, int]) -> int:
        if item in self._fetches:
            return len(self.rows)
        readers = (step.id for step in self._steps.values() if item in step.reads)
        return max((made.get(reader, -1) for reader in readers), default=-1)

    def _origin(self, item: int) -> int:
        """The value whose making makes this one: a view is made with what it views."""
        while self._steps[item].op.view is not None and item not in self.rows:
            item = self._steps[item].inputs[0]
        return item
