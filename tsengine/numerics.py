"""Stop at the first value that is not finite: every step of a program looks at what it made.

Values that come from outside (feeds, variables, constants) are not refused by themselves, because `where` may take a
NaN out again; the error says which inputs of the step held one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tsengine.compiler.program import Program, Step
from tsengine.errors import NotFinite
from tsengine.ops.registry import Rule
from tsengine.specs import Array, spec_of
from tsengine.store import VariableStore

OFF = frozenset({"fold", "fuse"})
"""Passes that would hide the node at which it begins."""


def checked(program: Program) -> Program:
    """The program whose steps raise NotFinite for NaN or infinity in a result, or in a variable that they update."""
    names = {step.id: step.node.name for step in program.steps}
    return program.after(_checked(step, names) for step in program.steps)


def _checked(step: Step, names: Mapping[int, str]) -> Step:
    given = [names[item] for item in step.inputs]
    if step.op.update is not None and "variable" in step.attrs:
        return replace(step, op=replace(step.op, update=partial(_update, step.op.update, given)))
    if step.spec is None or not step.spec.is_float or step.op.source:
        return step
    if step.op.kernel is not None:
        return replace(step, op=replace(step.op, kernel=partial(_kernel, step.op.kernel, given)))
    if step.op.compute is not None:
        return replace(step, op=replace(step.op, compute=partial(_compute, step.op.compute, given)))
    return step


def _kernel(kernel: Rule, given: Sequence[str], out: Array, *inputs: Array, **attrs: Any) -> None:
    kernel(out, *inputs, **attrs)
    _need_finite("the result", out, given, inputs)


def _compute(compute: Rule, given: Sequence[str], *inputs: Array, **attrs: Any) -> Array:
    made: Array = compute(*inputs, **attrs)
    _need_finite("the result", made, given, inputs)
    return made


def _update(update: Rule, given: Sequence[str], store: VariableStore, *inputs: Array, **attrs: Any) -> None:
    update(store, *inputs, **attrs)
    _need_finite(f"variable '{attrs['variable']}'", store.array(attrs["variable"]), given, inputs)


def _need_finite(what: str, value: Array, given: Sequence[str], inputs: Sequence[Array]) -> None:
    if value.dtype.kind != "f" or np.isfinite(value).all():
        return
    told = [f"'{name}' {_of_input(item, value)}" for name, item in zip(given, inputs, strict=True)]
    raise NotFinite(f"{what} {_told(value)}; of its inputs {', '.join(told) or 'there are none'}")


def _of_input(item: Array, made: Array) -> str:
    """One that the result was made in place of was computed before, so it was finite."""
    return f"{spec_of(item)} is finite" if np.may_share_memory(item, made) else _told(item)


def _told(value: Array) -> str:
    if value.dtype.kind != "f" or np.isfinite(value).all():
        return f"{spec_of(value)} is finite"
    return f"{spec_of(value)} holds {np.isnan(value).sum()} NaN and {np.isinf(value).sum()} infinite of {value.size}"
