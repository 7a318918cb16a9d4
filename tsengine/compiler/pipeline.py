"""The order of the passes, and the two levels of compiling: structure once, buffers once per shapes of the feeds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from tsengine.compiler.cse import cse
from tsengine.compiler.fold import fold
from tsengine.compiler.fuse import fuse
from tsengine.compiler.memory import plan_memory
from tsengine.compiler.plan import Plan
from tsengine.compiler.program import Program, Step
from tsengine.compiler.prune import prune, sweep
from tsengine.compiler.rewrite import rewrite
from tsengine.compiler.schedule import schedule
from tsengine.compiler.verify import verify, verify_memory
from tsengine.errors import ExecutionError, ShapeError
from tsengine.graph import Node, describe
from tsengine.specs import Spec
from tsengine.store import VariableStore

if TYPE_CHECKING:
    from tsengine.kernels.compiled.encoder import Encoder

_OPTIONAL: dict[str, Callable[[Program], Program]] = {"fold": fold, "rewrite": rewrite, "cse": cse, "fuse": fuse}
SETTLING = ("fold", "rewrite", "fuse")
"""Those that are made once more when the shapes of the feeds are known."""
PASSES = (*_OPTIONAL, "memory")
"""The passes that `Session(disable=...)` may name, in their order; prune and schedule are part of what a run means."""


def compile_program(
    fetches: list[Node], feeds: list[Node], disable: Collection[str] = (), checked: bool = False
) -> Program:
    """The optimised, scheduled program of the fetches. `checked` verifies it after every pass."""
    unknown = sorted(set(disable) - set(PASSES))
    if unknown:
        raise ValueError(f"there is no pass {', '.join(unknown)}; the passes are {', '.join(PASSES)}")
    program = prune(fetches, feeds)
    if checked:
        verify(program, "prune")
    for name, apply_pass in _OPTIONAL.items():
        if name not in disable:
            program = apply_pass(program)
            if checked:
                verify(program, name)
    program = schedule(sweep(program))
    verify(program, "schedule")
    return program


def bind(
    program: Program,
    feed_specs: dict[int, Spec],
    store: VariableStore,
    disable: Collection[str] = (),
    encoder: Encoder | None = None,
) -> Plan:
    """A plan with its buffers for feeds of these shapes."""
    program, specs = settle(program, feed_specs, disable)
    memory = plan_memory(program, specs, reuse="memory" not in disable)
    verify_memory(program, memory)
    return Plan(program, specs, memory, store, encoder)


def settle(
    program: Program, feed_specs: dict[int, Spec], disable: Collection[str] = ()
) -> tuple[Program, dict[int, Spec | None]]:
    """The program for feeds of these shapes, after some passes with what is known now, and the specs of its values."""
    specs = _concrete(program, feed_specs)
    program = program.with_specs(specs)
    for name in SETTLING:
        if name not in disable:
            program = _OPTIONAL[name](program)
    return sweep(program, keep=program.feeds), specs


def _concrete(program: Program, feed_specs: dict[int, Spec]) -> dict[int, Spec | None]:
    """The spec of every value now that the shapes of the feeds are known; sizes that depend on data stay unknown."""
    specs: dict[int, Spec | None] = {}
    for step in program.steps:
        specs[step.id] = feed_specs[step.id] if step.id in feed_specs else _inferred(step, specs)
    return specs


def _inferred(step: Step, specs: dict[int, Spec | None]) -> Spec | None:
    if step.op.source:
        return step.spec
    inputs = [specs[item] for item in step.inputs]
    try:
        result: Spec | None = step.op.infer(*inputs, **step.attrs)
    except ShapeError as error:
        given = ", ".join(map(str, inputs))
        raise ExecutionError(f"{describe(step.node)} was given {given}: {error}") from None
    return result
