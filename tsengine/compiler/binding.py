"""Binding: each step of a program becomes an instruction on the arrays that the memory plan gave it.

A step is a row of the compiled machine where the encoder takes it, else a call of its op's own kernel. A view is taken
once, now, where what it views already exists, and not at all where only rows of the machine read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tsengine.compiler.evaluate import evaluate, shape_alone
from tsengine.compiler.instructions import Call, Instruction, Stretch, Values
from tsengine.compiler.memory import MemoryPlan
from tsengine.compiler.operands import Operand, fixed, moving, viewed
from tsengine.compiler.program import Program, Step
from tsengine.specs import Array, Spec, aligned, byte_size
from tsengine.store import VariableStore

if TYPE_CHECKING:
    from tsengine.kernels.compiled.encoder import Encoder

Rows = list[list[int]]


class Binding:
    """The slots of a program's values, and its instructions: readers, then updates.

    template   a value for every slot: buffers, constants and views of them; None for what a run brings
    slot       the slot of every value; a view that is its whole input shares the input's
    bases      where the addresses of what a run brings are looked up: (place in `pointers`, slot or variable's name)
    """

    def __init__(
        self,
        program: Program,
        specs: dict[int, Spec | None],
        memory: MemoryPlan,
        store: VariableStore,
        encoder: Encoder | None,
    ) -> None:
        self.program, self.specs, self.memory = program, specs, memory
        self.slot = {step.id: slot for slot, step in enumerate(program.steps)}
        self.template: Values = [None] * len(program.steps)
        self.variables: list[tuple[int, str]] = []
        self.bases: list[tuple[int, int | str]] = []
        self.encoder, self._store = encoder, store
        self._steps = {step.id: step for step in program.steps}
        self._buffers = [aligned((size,), np.uint8) for size in memory.sizes]
        self._operands: dict[int, Operand | None] = {}
        self._variable_operands: dict[str, Operand] = {}
        for step in program.steps:
            self._settle(step)
        rows = {} if encoder is None else self._encoded(encoder)
        self.pointers = np.zeros(1 + len(self.bases), np.int64)
        needed = self._needed_by_calls(rows)
        readers = [step for step in program.steps if self._runs(step, rows, needed)]
        self.readers = self._instructions(readers, rows)
        self.updates = self._instructions([s for s in program.steps if s.is_update and s.op.name != "group"], rows)

    # where each value lies

    def _settle(self, step: Step) -> None:
        """The step's value in the template, as far as it can be known now."""
        slot, kind = self.slot[step.id], self.memory.places[step.id].kind
        if step.id in self.program.feeds:
            return
        if step.op.name == "constant":
            self.template[slot] = step.attrs["value"]
        elif step.op.name == "variable_read":
            self.variables.append((slot, step.attrs["variable"]))
        elif kind == "shape":
            self.template[slot] = shape_alone(self.specs[step.id])
        elif kind == "buffer":
            self.template[slot] = self._buffer(step)
        elif kind == "view" and step.op.is_view is not None and self._known(step):
            self.slot[step.id] = self.slot[step.inputs[0]]  # it is its input
        elif kind == "view" and self._known(step):
            self.template[slot] = self._view(step)

    def _buffer(self, step: Step) -> Array:
        spec = self.specs[step.id]
        assert spec is not None
        shape = tuple(size or 0 for size in spec.shape or ())
        return self._buffers[self.memory.places[step.id].buffer][: byte_size(spec)].view(spec.dtype).reshape(shape)

    def _view(self, step: Step) -> Array | None:
        """A view of a buffer or a constant, None where its input exists only when running or the view must copy."""
        arrays = [self.template[self.slot[item]] for item in step.inputs]
        if arrays[0] is None or step.op.view is None:
            return None
        view: Array = step.op.view(arrays[0], *self._shapes(step), **step.attrs)
        return view if not view.size or np.may_share_memory(view, arrays[0]) else None

    def _shapes(self, step: Step) -> list[Array]:
        """A view's other inputs: of most only the shape is read."""
        found = []
        for item in step.inputs[1:]:
            array = self.template[self.slot[item]]
            found.append(shape_alone(self.specs[item]) if array is None else array)
        return found

    def _known(self, step: Step) -> bool:
        specs = (self.specs[item] for item in step.inputs)
        return all(spec is not None and spec.known for spec in specs)

    # rows of the machine

    def _encoded(self, encoder: Encoder) -> dict[int, Rows]:
        rows: dict[int, Rows] = {}
        for step in self.program.steps:
            inputs = [self._operand(item) for item in step.inputs] if not step.op.source else []
            if step.op.name == "group":
                continue
            if step.is_update:
                found = encoder.update(step, inputs, self._variable)
            elif self.memory.places[step.id].kind == "buffer":
                out = self._operand(step.id)
                found = None if out is None else encoder.reader(step, out, inputs)
            else:
                continue
            if found is not None:
                rows[step.id] = found
        return rows

    def _operand(self, item: int) -> Operand | None:
        if item not in self._operands:
            self._operands[item] = self._described(self._steps[item])
        return self._operands[item]

    def _described(self, step: Step) -> Operand | None:
        spec, array = self.specs[step.id], self.template[self.slot[step.id]]
        if spec is None or not spec.known:
            return None
        if array is not None:
            return fixed(array)
        if step.id in self.program.feeds:
            return self._moving(spec, self.slot[step.id])
        if step.op.name == "variable_read":
            return self._variable(step.attrs["variable"])
        if self.memory.places[step.id].kind != "view" or not self._known(step):
            return None
        source = self._operand(step.inputs[0])
        if source is None or step.op.is_view is not None:
            return source
        return viewed(step, source, dict(enumerate(self._shapes(step), start=1)))

    def _variable(self, name: str) -> Operand:
        if name not in self._variable_operands:
            self._variable_operands[name] = self._moving(self._store.spec(name), name)
        return self._variable_operands[name]

    def _moving(self, spec: Spec, source: int | str) -> Operand:
        self.bases.append((len(self.bases) + 1, source))
        return moving(len(self.bases), spec)

    # instructions

    def _needed_by_calls(self, rows: dict[int, Rows]) -> set[int]:
        """The values that a call reads or a run hands out."""
        needed = set(self.program.fetches)
        for step in reversed(self.program.steps):
            if step.id not in rows and (step.id in needed or self.memory.places[step.id].kind != "view"):
                needed.update(step.inputs)
        return needed

    def _runs(self, step: Step, rows: dict[int, Rows], needed: set[int]) -> bool:
        """Whether something is to be done for the step in every run, before the updates."""
        kind = self.memory.places[step.id].kind
        given = step.op.source and step.op.compute is None
        if given or step.is_update or step.id in self.program.feeds or kind == "shape":
            return False
        if kind != "view":
            return True
        is_there = self.template[self.slot[step.id]] is not None or self.slot[step.id] == self.slot[step.inputs[0]]
        return step.id in needed and not is_there

    def _instructions(self, steps: Iterable[Step], rows: dict[int, Rows]) -> list[Instruction]:
        made: list[Instruction] = []
        stretch: list[tuple[list[int], Instruction]] = []
        for step in steps:
            if step.id in rows:
                own = Instruction(self._twin(step), step)
                stretch += [(row, own) for row in rows[step.id]]
                continue
            made += self._stretch(stretch)
            made.append(Instruction(self._call(step), step))
            stretch = []
        return [*made, *self._stretch(stretch)]

    def _stretch(self, rows: list[tuple[list[int], Instruction]]) -> list[Instruction]:
        if not rows or self.encoder is None:
            return []
        code = self.encoder.code([row for row, _ in rows])
        return [Stretch(self.encoder.machine, code, self.pointers, [own for _, own in rows])]

    def _twin(self, step: Step) -> Call:
        """The step's own call, after the views that it reads and that no run takes."""
        call = self._call(step)
        views = [self._returning(view) for view in self._views_of(step)]

        def twin(values: Values) -> None:
            for view in views:
                view(values)
            call(values)

        return twin if views else call

    def _views_of(self, step: Step) -> list[Step]:
        """The views between a step and what lies in memory, the inner ones first."""
        found, pending = dict[int, Step](), list(step.inputs)
        while pending:
            source = self._steps[pending.pop()]
            if self.memory.places[source.id].kind == "view" and self.template[self.slot[source.id]] is None:
                found[source.id] = source
                pending += source.inputs[:1]
        return [found[item] for item in sorted(found)]

    def _call(self, step: Step) -> Call:
        if step.is_update:
            return self._updating(step)
        if self.memory.places[step.id].kind == "buffer":
            return self._writing(step)
        return self._returning(step)

    def _updating(self, step: Step) -> Call:
        update, store = partial(_required(step.op.update), **step.attrs), self._store
        inputs = [self.slot[item] for item in step.inputs]
        return lambda values: update(store, *[values[item] for item in inputs])

    def _writing(self, step: Step) -> Call:
        """The kernel with its buffer; the frequent arities avoid building a list."""
        out = self.template[self.slot[step.id]]
        plain = _required(step.op.kernel)
        kernel = partial(plain, **step.attrs) if step.attrs else plain
        inputs = [self.slot[item] for item in step.inputs]
        if len(inputs) == 1:
            (first,) = inputs
            return lambda values: kernel(out, values[first])
        if len(inputs) == 2:
            first, second = inputs
            return lambda values: kernel(out, values[first], values[second])
        return lambda values: kernel(out, *[values[item] for item in inputs])

    def _returning(self, step: Step) -> Call:
        """A view or a new array, put into its slot."""
        plain = step.op.view is not None and step.op.is_view is None
        function = partial(_required(step.op.view), **step.attrs) if plain else partial(_evaluated, step)
        inputs, slot = [self.slot[item] for item in step.inputs], self.slot[step.id]

        def call(values: Values) -> None:
            values[slot] = function(*[values[item] for item in inputs])

        return call


def _required(rule: Any) -> Any:
    assert rule is not None
    return rule


def _evaluated(step: Step, *inputs: Array) -> Array:
    return evaluate(step.op, inputs, step.attrs)
