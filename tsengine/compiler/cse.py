"""Common subexpressions: two steps that apply one primitive to the same values with the same attributes become one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from tsengine.compiler.program import Program, Step


def cse(program: Program) -> Program:
    """Share equal steps. Updates and fed values are never shared."""
    fed = set(program.feeds)
    first: dict[Hashable, int] = {}
    same: dict[int, int] = {}
    steps, notes = [], []
    for step in program.steps:
        step = step.renamed(same)
        key = None if step.id in fed else _key(step)
        if key is not None and first.setdefault(key, step.id) != step.id:
            same[step.id] = first[key]
            notes.append(f"cse: '{step.node.name}' equals %{first[key]}")
        else:
            steps.append(step)
    return program.after(steps, *notes, fetches=tuple(same.get(item, item) for item in program.fetches))


def _key(step: Step) -> Hashable | None:
    if step.op.name == "constant":
        value = step.attrs["value"]
        return ("constant", value.dtype.str, value.shape, value.tobytes()) if value.size <= 1024 else None
    if not step.movable:
        return None
    inputs = tuple(sorted(step.inputs)) if step.op.commutative else step.inputs
    attrs = tuple((name, _hashable(step.attrs[name])) for name in sorted(step.attrs))
    return (step.op.name, inputs, attrs)


def _hashable(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    # repr and type tell 1 from True from 1.0, and 0.0 from -0.0, which == does not
    return (type(value).__name__, repr(value)) if isinstance(value, int | float) else value
