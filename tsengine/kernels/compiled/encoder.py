"""The encoder: what a plan asks whether the compiled machine takes a step, and the machine itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tsengine.compiler.operands import Operand
from tsengine.compiler.program import Step
from tsengine.kernels.compiled import moves, optimizers
from tsengine.kernels.compiled.encode import Row, row, rows_of
from tsengine.kernels.compiled.machine import code_of, run
from tsengine.kernels.compiled.optimizers import Constants, Numbering
from tsengine.specs import Array
from tsengine.train.rules import Rule

Variables = Callable[[str], Operand]
_ANY = ""
"""In the place of the name of a variable: an update that may set every one."""


class Encoder:
    """Rows for the steps of one plan. It owns what the rows point at besides the plan's own arrays."""

    def __init__(self) -> None:
        self.constants: list[Constants] = []
        self._kept: list[Array] = []
        self._set: set[str] = set()
        self._numbered: dict[tuple[Operand, tuple[int, ...]], Numbering] = {}

    machine = staticmethod(run)
    code = staticmethod(code_of)

    def reader(self, step: Step, out: Operand, inputs: Sequence[Operand | None]) -> list[Row] | None:
        """Rows that compute a step's result, None where its own kernel must."""
        return rows_of(step, out, inputs)

    def update(self, step: Step, inputs: Sequence[Operand | None], variable: Variables) -> list[Row] | None:
        """Rows that do an update, None where the step must do it itself."""
        known = [item for item in inputs if item is not None]
        complete = len(known) == len(inputs)
        if step.op.name not in ("apply_dense", "apply_rows"):
            self._set.add(step.attrs.get("variable", _ANY))
            counts = complete and step.op.name == "assign_add"
            return self._count(known[0], variable(step.attrs["variable"])) if counts else None
        if not complete or self._set & {step.attrs["counter"], _ANY}:
            return None  # the constants are those of the begin of the run, this step needs later ones
        return self._apply(step, known, variable)

    def _count(self, amount: Operand, counter: Operand) -> list[Row] | None:
        """A scalar int64 that grows."""
        if counter.shape or amount.shape or not counter.dtype.str == amount.dtype.str == "<i8":
            return None
        return [row(moves.count, (counter, amount))]

    def _apply(self, step: Step, inputs: Sequence[Operand], variable: Variables) -> list[Row] | None:
        attrs: dict[str, Any] = step.attrs
        parameter, slots = variable(attrs["variable"]), [variable(name) for _, name in attrs["slots"]]
        if optimizers.number_of(attrs["rule"]) is None:
            return None
        constants = self._constants(attrs)
        if step.op.name == "apply_dense":
            return optimizers.dense(attrs["rule"], parameter, slots, inputs[0], constants)
        return self._rows(attrs["rule"], parameter, slots, inputs, constants)

    def _rows(
        self, rule: Rule, parameter: Operand, slots: list[Operand], inputs: Sequence[Operand], constants: Constants
    ) -> list[Row] | None:
        """The ids are numbered once for all tables of that many rows that they look into."""
        values, ids = inputs
        known = (ids, parameter.shape[:1])
        numbering = self._numbered.get(known) or (Numbering.of(ids, parameter.shape[0]) if parameter.shape else None)
        if numbering is None:
            return None
        found = optimizers.rows(rule, parameter, slots, values, numbering, constants, self._kept)
        if found is None or known in self._numbered:
            return found
        self._numbered[known] = numbering
        return [*numbering.made, *found]

    def _constants(self, attrs: dict[str, Any]) -> Constants:
        wanted = (attrs["rule"], attrs["counter"], attrs["learning_rate"])
        for known in self.constants:
            if (known.rule, known.counter, known.learning_rate) == wanted:
                return known
        self.constants.append(Constants(*wanted))
        return self.constants[-1]
