"""The plan: a straight list of instructions bound to their buffers, run one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from tsengine.compiler.evaluate import evaluate, shape_alone
from tsengine.compiler.memory import MemoryPlan
from tsengine.compiler.program import Program, Step
from tsengine.errors import EngineError, ExecutionError
from tsengine.graph import describe
from tsengine.specs import Array, Spec, byte_size
from tsengine.store import VariableStore

Values = list[Any]
Instruction = Callable[[Values], None]
Watch = Callable[[Step, float], None]


class Plan:
    """A bound program. It owns its buffers, so two threads must not run one plan at the same time."""

    def __init__(self, program: Program, specs: dict[int, Spec | None], memory: MemoryPlan) -> None:
        self.program, self.specs, self.memory = program, specs, memory
        self._slot = {step.id: slot for slot, step in enumerate(program.steps)}
        self._template: Values = [None] * len(program.steps)
        self._buffers = [np.empty(size, np.uint8) for size in memory.sizes]
        self._readers: list[tuple[Instruction, Step]] = []
        self._updates: list[Step] = []
        self._variables: list[tuple[int, str]] = []
        fed = set(program.feeds)
        for step in program.steps:
            if step.id not in fed:
                self._bind(step)
        self._feeds = [self._slot[item] for item in program.feeds]
        self._fetches = [(self._slot[item], specs[item] is None, self._own(item)) for item in program.fetches]

    def run(self, store: VariableStore, feeds: Sequence[Array], copy: bool, watch: Watch | None = None) -> list[Any]:
        """The fetched values, None for operations. Without `copy`, arrays that the next run overwrites.

        `watch` is told of every step how long it took; without it nothing is timed.
        """
        values = self._template.copy()
        for slot, array in zip(self._feeds, feeds, strict=True):
            values[slot] = array
        with self._lock(store), np.errstate(all="ignore"):
            for slot, name in self._variables:
                values[slot] = store.array(name)
            _execute(self._readers if watch is None else _watched(self._readers, watch), values)
            results = [None if empty else _result(values[slot], copy or not own) for slot, empty, own in self._fetches]
            self._update(store, values, watch or (lambda step, seconds: None))
        return results

    def dump(self) -> str:
        """The plan in words: what the passes did, every instruction with its buffer, bytes before and after."""
        lines = [*self.program.notes, "", *(f"{step}  {self._where(step)}" for step in self.program.steps), ""]
        lines.append(
            f"{len(self.program.steps)} steps, {len(self.memory.sizes)} buffers, "
            f"{self.memory.bytes_before} bytes of results in {self.memory.bytes_after} bytes"
        )
        return "\n".join(lines)

    def _where(self, step: Step) -> str:
        place = self.memory.places[step.id]
        if place.kind != "buffer":
            return f"[{'update' if step.is_update else place.kind}]"
        return f"[buffer {place.buffer}{' in place' if place.inplace else ''}]"

    def _own(self, item: int) -> bool:
        """Whether a value lies in this plan's own memory, not in a feed, a constant or a variable."""
        return self.memory.places[self.memory.owner[item]].kind in ("buffer", "dynamic")

    def _lock(self, store: VariableStore) -> AbstractContextManager[None]:
        if self._updates:
            return store.lock.writing()
        return store.lock.reading() if self._variables else nullcontext()

    def bytes_of(self, step: Step) -> int:
        """What the step reads and writes, by the sizes of its inputs and its result."""
        moved = [self.specs.get(item) for item in step.reads] + [self.specs.get(step.id)]
        return sum(byte_size(spec) for spec in moved if spec is not None and spec.known)

    def _update(self, store: VariableStore, values: Values, watch: Watch) -> None:
        for step in self._updates:
            begin = time.perf_counter()
            try:
                assert step.op.update is not None
                step.op.update(store, *[values[self._slot[item]] for item in step.inputs], **step.attrs)
            except Exception as error:
                raise _explained(error, step) from error
            watch(step, time.perf_counter() - begin)

    def _bind(self, step: Step) -> None:
        slot = self._slot[step.id]
        if step.op.name == "constant":
            self._template[slot] = step.attrs["value"]
        elif step.op.name == "variable_read":
            self._variables.append((slot, step.attrs["variable"]))
        elif step.is_update:
            self._updates.append(step)
        elif self.memory.places[step.id].kind == "shape":
            self._template[slot] = shape_alone(self.specs[step.id])
        elif self.memory.places[step.id].kind == "buffer":
            self._readers.append((self._writing(step, slot), step))
        elif step.op.is_view is not None and self.memory.places[step.id].kind == "view" and self._known(step):
            self._slot[step.id] = self._slot[step.inputs[0]]  # it is its input
        elif not self._view_bound(step, slot):
            self._readers.append((self._returning(step, slot), step))

    def _known(self, step: Step) -> bool:
        specs = (self.specs[item] for item in step.inputs)
        return all(spec is not None and spec.known for spec in specs)

    def _view_bound(self, step: Step, slot: int) -> bool:
        """Take a view of a buffer or a constant now, once; False where its input only exists when running."""
        if step.op.view is None or not self._known(step):
            return False
        arrays = [self._template[self._slot[item]] for item in step.inputs]
        for place, item in enumerate(step.inputs):
            if arrays[place] is None and place in step.op.shape_only:
                arrays[place] = shape_alone(self.specs[item])
        if any(array is None for array in arrays):
            return False
        view = step.op.view(*arrays, **step.attrs)
        if view.size and not np.may_share_memory(view, arrays[0]):
            return False  # the strides forced a copy, which must be made in every run
        self._template[slot] = view
        return True

    def _writing(self, step: Step, slot: int) -> Instruction:
        """The kernel with its buffer; the frequent arities avoid building a list."""
        spec = self.specs[step.id]
        assert spec is not None and step.op.kernel is not None
        out = self._array(self.memory.places[step.id].buffer, spec)
        self._template[slot] = out
        kernel = partial(step.op.kernel, **step.attrs) if step.attrs else step.op.kernel
        inputs = [self._slot[item] for item in step.inputs]
        if len(inputs) == 1:
            (first,) = inputs
            return lambda values: kernel(out, values[first])
        if len(inputs) == 2:
            first, second = inputs
            return lambda values: kernel(out, values[first], values[second])
        return lambda values: kernel(out, *[values[item] for item in inputs])

    def _returning(self, step: Step, slot: int) -> Instruction:
        """A view or a new array, put into its slot."""
        plain = step.op.view is not None and step.op.is_view is None
        function = partial(_required(step.op.view), **step.attrs) if plain else partial(_evaluated, step)
        inputs = [self._slot[item] for item in step.inputs]

        def instruction(values: Values) -> None:
            values[slot] = function(*[values[item] for item in inputs])

        return instruction

    def _array(self, buffer: int, spec: Spec) -> Array:
        shape = tuple(size or 0 for size in spec.shape or ())
        return self._buffers[buffer][: byte_size(spec)].view(spec.dtype).reshape(shape)


def _required(rule: Callable[..., Any] | None) -> Callable[..., Any]:
    assert rule is not None
    return rule


def _evaluated(step: Step, *inputs: Array) -> Array:
    return evaluate(step.op, inputs, step.attrs)


def _execute(instructions: list[tuple[Instruction, Step]], values: Values) -> None:
    done = 0
    try:
        for done, (instruction, _) in enumerate(instructions):  # noqa: B007 (it is read where one fails)
            instruction(values)
    except Exception as error:
        raise _explained(error, instructions[done][1]) from error


def _watched(instructions: list[tuple[Instruction, Step]], watch: Watch) -> list[tuple[Instruction, Step]]:
    def timed(instruction: Instruction, step: Step) -> Instruction:
        def run(values: Values) -> None:
            begin = time.perf_counter()
            instruction(values)
            watch(step, time.perf_counter() - begin)

        return run

    return [(timed(instruction, step), step) for instruction, step in instructions]


def _explained(error: Exception, step: Step) -> Exception:
    """The error with the node it happened at; the engine's own keep their class."""
    kind = type(error) if isinstance(error, EngineError) else ExecutionError
    return kind(f"{describe(step.node)} failed: {error}")


def _result(value: Array, copy: bool) -> Any:
    if value.ndim == 0:
        return value[()]
    return value.copy() if copy else value
