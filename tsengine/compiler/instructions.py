"""Instructions: what a plan runs, one after the other. A call of a NumPy kernel, or a stretch of steps compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tsengine.compiler.program import Step
from tsengine.errors import EngineError, ExecutionError
from tsengine.graph import describe
from tsengine.specs import Array

Values = list[Any]
Call = Callable[[Values], None]
Watch = Callable[[Step, float], None]
Machine = Callable[[Array, Array], int]


class Instruction:
    """One step, done by a call."""

    def __init__(self, call: Call, step: Step) -> None:
        self.run, self.step = call, step

    @property
    def steps(self) -> list[Step]:
        """The steps that it does."""
        return [self.step]

    def watched(self, values: Values, watch: Watch) -> None:
        """Run, and say how long it took."""
        begin = time.perf_counter()
        self.run(values)
        watch(self.step, time.perf_counter() - begin)

    def explained(self, error: Exception) -> Exception:
        """The error with the node it happened at; the engine's own keep their class."""
        kind = type(error) if isinstance(error, EngineError) else ExecutionError
        return kind(f"{describe(self.step.node)} failed: {error}")


class Stretch(Instruction):
    """Steps that lie side by side, as rows of the compiled machine.

    A row that the machine refuses is done by its step's own call, which says what is wrong, or does it.
    """

    def __init__(self, machine: Machine, code: Array, pointers: Array, rows: Sequence[Instruction]) -> None:
        self._machine, self._code, self._pointers, self._rows = machine, code, pointers, rows
        self._failed = rows[0]

    @property
    def steps(self) -> list[Step]:
        """One for each row; a step may have several."""
        return [row.step for row in self._rows]

    def run(self, values: Values) -> None:
        """All rows."""
        self._go(values, 0, len(self._code))

    def watched(self, values: Values, watch: Watch) -> None:
        """Row by row."""
        for row, twin in enumerate(self._rows):
            begin = time.perf_counter()
            self._go(values, row, row + 1)
            watch(twin.step, time.perf_counter() - begin)

    def explained(self, error: Exception) -> Exception:
        """By the step that failed."""
        return self._failed.explained(error)

    def _go(self, values: Values, begin: int, end: int) -> None:
        while begin < end:
            refused = self._machine(self._code[begin:end], self._pointers)
            if refused < 0:
                return
            begin += refused
            self._failed = self._rows[begin]
            self._failed.run(values)
            while begin < end and self._rows[begin] is self._failed:
                begin += 1


def execute(instructions: Sequence[Instruction], values: Values, watch: Watch | None = None) -> None:
    """Run them all. An error names the node it happened at."""
    done = 0
    try:
        if watch is None:
            for done, instruction in enumerate(instructions):  # noqa: B007 (it is read where one fails)
                instruction.run(values)
        else:
            for done, instruction in enumerate(instructions):  # noqa: B007
                instruction.watched(values, watch)
    except Exception as error:
        raise instructions[done].explained(error) from error
