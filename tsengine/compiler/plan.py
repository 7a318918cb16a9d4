"""The plan: a straight list of instructions bound to their buffers, run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from tsengine.compiler.binding import Binding
from tsengine.compiler.instructions import Instruction, Stretch, Values, Watch, execute
from tsengine.compiler.memory import MemoryPlan
from tsengine.compiler.operands import address_of
from tsengine.compiler.program import Program, Step
from tsengine.specs import Array, Spec, byte_size
from tsengine.store import VariableStore

if TYPE_CHECKING:
    from tsengine.kernels.compiled.encoder import Encoder


class Plan:
    """A bound program. It owns its buffers, so two threads must not run one plan at the same time."""

    def __init__(
        self,
        program: Program,
        specs: dict[int, Spec | None],
        memory: MemoryPlan,
        store: VariableStore,
        encoder: Encoder | None = None,
    ) -> None:
        self.program, self.specs, self.memory = program, specs, memory
        self._store = store
        self._bound = bound = Binding(program, specs, memory, store, encoder)
        self._feeds = [bound.slot[item] for item in program.feeds]
        self._fetches = [(bound.slot[item], specs[item] is None, self._own(item)) for item in program.fetches]
        self._located: list[Array | None] = [None] * len(bound.bases)
        self._quiet = all(isinstance(item, Stretch) for item in self.instructions)

    def run(self, feeds: Sequence[Array], copy: bool, watch: Watch | None = None) -> list[Any]:
        """The fetched values, None for operations. Without `copy`, arrays that the next run overwrites.

        `watch` is told of every step how long it took; without it nothing is timed.
        """
        bound = self._bound
        values = bound.template.copy()
        for slot, array in zip(self._feeds, feeds, strict=True):
            values[slot] = array
        with self._lock(), nullcontext() if self._quiet else np.errstate(all="ignore"):
            for slot, name in bound.variables:
                values[slot] = self._store.array(name)
            if bound.bases:
                self._locate(values)
            execute(bound.readers, values, watch)
            results = [None if empty else _result(values[slot], copy or not own) for slot, empty, own in self._fetches]
            if bound.updates:
                self._set_constants()
                execute(bound.updates, values, watch)
        return results

    @property
    def instructions(self) -> list[Instruction]:
        """What a run goes through, in order: readers, then updates."""
        return [*self._bound.readers, *self._bound.updates]

    def dump(self) -> str:
        """The plan in words: what the passes did, every instruction with its buffer, bytes before and after."""
        lines = [*self.program.notes, "", *(f"{step}  {self._where(step)}" for step in self.program.steps), ""]
        lines.append(
            f"{len(self.program.steps)} steps, {len(self.memory.sizes)} buffers, "
            f"{self.memory.bytes_before} bytes of results in {self.memory.bytes_after} bytes"
        )
        return "\n".join(lines)

    def bytes_of(self, step: Step) -> int:
        """What the step reads and writes, by the sizes of its inputs and its result."""
        moved = [self.specs.get(item) for item in step.reads] + [self.specs.get(step.id)]
        return sum(byte_size(spec) for spec in moved if spec is not None and spec.known)

    def _where(self, step: Step) -> str:
        place = self.memory.places[step.id]
        if place.kind != "buffer":
            return f"[{'update' if step.is_update else place.kind}]"
        return f"[buffer {place.buffer}{' in place' if place.inplace else ''}]"

    def _own(self, item: int) -> bool:
        """Whether a value lies in this plan's own memory, not in a feed, a constant or a variable."""
        return self.memory.places[self.memory.owner[item]].kind in ("buffer", "dynamic")

    def _lock(self) -> AbstractContextManager[None]:
        if self._bound.updates:
            return self._store.lock.writing()
        return self._store.lock.reading() if self._bound.bases or self._bound.variables else nullcontext()

    def _locate(self, values: Values) -> None:
        """Tell the compiled machine where the arrays of this run lie. A variable seldom moves, a feed always does."""
        pointers, located = self._bound.pointers, self._located
        for place, source in self._bound.bases:
            if isinstance(source, int):
                if not values[source].flags.c_contiguous:
                    values[source] = np.ascontiguousarray(values[source])
                pointers[place] = address_of(values[source])
                continue
            array = self._store.array(source)
            if located[place - 1] is not array:
                located[place - 1] = array
                pointers[place] = address_of(array)

    def _set_constants(self) -> None:
        encoder = self._bound.encoder
        for constants in () if encoder is None else encoder.constants:
            constants.set(int(self._store.array(constants.counter)))


def _result(value: Array, copy: bool) -> Any:
    if value.ndim == 0:
        return value[()]
    return value.copy() if copy else value
