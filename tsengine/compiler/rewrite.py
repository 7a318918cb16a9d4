"""Rewrite: a table of small algebraic rules, each a pattern of one or two steps and what it becomes.

log(softmax(x))                       -> log_softmax(x)           finite where softmax is 0
softmax_gradient(grad / y, y)         -> log_softmax_gradient     the gradient of the above, without 0 / 0
identity(x), stop_gradient(x)         -> x
sum_to_like(x, y) and its kin, x as large as y -> x
x * 1, x / 1                          -> x                        exact in IEEE arithmetic; x + 0 is not (-0)
negative(negative(x))                 -> x
cast of a cast that loses nothing, to the first dtype -> x
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tsengine.compiler.program import Program, Step
from tsengine.ops.registry import REGISTRY

Steps = dict[int, Step]
Rewrite = Callable[[Step, Steps], Step | int | None]


def rewrite(program: Program) -> Program:
    """Apply the table once, in order. A rule gives the step instead, the id of a value instead, or None."""
    made: Steps = {}
    same: dict[int, int] = {}
    notes = []
    for step in program.steps:
        step = step.renamed(same)
        result = _first_match(step, made)
        if isinstance(result, int):
            same[step.id] = result
            notes.append(f"rewrite: '{step.node.name}' is %{result}")
            continue
        if result is not None:
            notes.append(f"rewrite: '{step.node.name}' {step.op.name} -> {result.op.name}")
        made[step.id] = result or step
    return program.after(made.values(), *notes, fetches=tuple(same.get(item, item) for item in program.fetches))


def _first_match(step: Step, made: Steps) -> Step | int | None:
    for rule in _RULES.get(step.op.name, ()):
        result = rule(step, made)
        if result is not None:
            return result
    return None


def _log_of_softmax(step: Step, made: Steps) -> Step | None:
    inner = made[step.inputs[0]]
    if inner.op.name != "softmax":
        return None
    return replace(step, op=REGISTRY["log_softmax"], inputs=inner.inputs)


def _gradient_through_log(step: Step, made: Steps) -> Step | None:
    grad, y = made[step.inputs[0]], step.inputs[1]
    if grad.op.name != "divide" or grad.inputs[1] != y or made[grad.inputs[0]].spec != step.spec:
        return None
    return replace(step, op=REGISTRY["log_softmax_gradient"], inputs=(grad.inputs[0], y))


def _itself(step: Step, made: Steps) -> int:
    return step.inputs[0]


def _as_large_already(step: Step, made: Steps) -> int | None:
    x, like = (made[item].spec for item in step.inputs)
    if x is None or like is None or x.shape is None or None in x.shape or x.shape != like.shape:
        return None
    return step.inputs[0]


def _times_one(step: Step, made: Steps) -> int | None:
    for kept, other in ((0, 1), (1, 0)):
        if step.op.name == "divide" and kept == 1:
            return None
        if _is_one(made[step.inputs[other]]) and made[step.inputs[kept]].spec == step.spec:
            return step.inputs[kept]
    return None


def _is_one(step: Step) -> bool:
    if step.op.name == "constant":
        value = step.attrs["value"]
        return value.ndim == 0 and bool(value == 1)
    return (
        step.op.name == "fill_like" and step.attrs["value"] == 1.0 and step.spec is not None and step.spec.shape == ()
    )


def _twice_negative(step: Step, made: Steps) -> int | None:
    inner = made[step.inputs[0]]
    return inner.inputs[0] if inner.op.name == "negative" else None


def _there_and_back(step: Step, made: Steps) -> int | None:
    inner = made[step.inputs[0]]
    if inner.op.name != "cast":
        return None
    origin = made[inner.inputs[0]].spec
    if origin is None or inner.spec is None or origin.dtype != step.attrs["dtype"]:
        return None
    return inner.inputs[0] if _holds(inner.spec.dtype, origin.dtype) else None


def _holds(wide: np.dtype[Any], narrow: np.dtype[Any]) -> bool:
    """Whether `wide` has every value of `narrow`. NumPy calls int64 to float64 safe, but 2**53 + 1 is lost there."""
    if narrow.kind in "iu" and wide.kind == "f":
        return bool(np.finfo(wide).nmant + 1 >= 8 * narrow.itemsize)
    return np.can_cast(narrow, wide, "safe")


_RULES: dict[str, tuple[Rewrite, ...]] = {
    "log": (_log_of_softmax,),
    "softmax_gradient": (_gradient_through_log,),
    "identity": (_itself,),
    "stop_gradient": (_itself,),
    **dict.fromkeys(("sum_to_like", "broadcast_like", "reshape_like"), (_as_large_already,)),
    "multiply": (_times_one,),
    "divide": (_times_one,),
    "negative": (_twice_negative,),
    "cast": (_there_and_back,),
}
