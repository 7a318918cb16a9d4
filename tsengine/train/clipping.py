"""What may happen to gradients before a rule sees them: clipping and weight decay, as small pieces that chain.

A piece takes (gradient, variable) pairs and returns them changed, as more graph. `Optimizer(..., transforms=(a, b))`
does a, then b, then the rule; `clip_value`, `clip_norm` and `clip_global_norm` do the same to gradients of your own. In
IndexedSlices the values of a row that is named twice are summed before anything else, as the rules do: a norm or a
bound is that of the row's gradient, not of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tsengine.errors import GradientError
from tsengine.gradients import Gradient
from tsengine.graph import Node, apply, as_node
from tsengine.indexed_slices import IndexedSlices
from tsengine.ops.elementwise import add_n, cast, clip, maximum, sqrt, square
from tsengine.ops.reduce import reduce_sum
from tsengine.variables import Variable

Pair = tuple[Gradient | None, Variable]
Transform = Callable[[Sequence[Pair]], list[Pair]]


@dataclass(frozen=True)
class ClipByValue:
    """The piece that `clip_by_value` gives."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _need_bounds(self.low, self.high)

    def __call__(self, pairs: Sequence[Pair]) -> list[Pair]:
        return [(None if grad is None else clip_value(grad, self.low, self.high), v) for grad, v in pairs]


@dataclass(frozen=True)
class ClipByNorm:
    """The piece that `clip_by_norm` gives."""

    limit: float

    def __post_init__(self) -> None:
        _need_limit(self.limit)

    def __call__(self, pairs: Sequence[Pair]) -> list[Pair]:
        return [(None if grad is None else clip_norm(grad, self.limit), v) for grad, v in pairs]


@dataclass(frozen=True)
class ClipByGlobalNorm:
    """The piece that `clip_by_global_norm` gives."""

    limit: float

    def __post_init__(self) -> None:
        _need_limit(self.limit)

    def __call__(self, pairs: Sequence[Pair]) -> list[Pair]:
        clipped, _ = clip_global_norm([grad for grad, _ in pairs], self.limit)
        return [(grad, variable) for grad, (_, variable) in zip(clipped, pairs, strict=True)]


@dataclass(frozen=True)
class WeightDecay:
    """The piece that `weight_decay` gives."""

    rate: float
    only: Collection[Variable] | None = None

    def __call__(self, pairs: Sequence[Pair]) -> list[Pair]:
        chosen = None if self.only is None else {variable.id for variable in self.only}
        return [
            (self._decayed(grad, v) if grad is not None and (chosen is None or v.id in chosen) else grad, v)
            for grad, v in pairs
        ]

    def _decayed(self, grad: Gradient, variable: Variable) -> Node:
        if isinstance(grad, IndexedSlices):
            raise GradientError(
                f"weight_decay: variable '{variable.name}' has a sparse gradient, decay would reach only the rows that "
                "a batch happens to use; name the variables that shall decay: weight_decay(rate, only=[...])"
            )
        return grad + self.rate * variable


def clip_by_value(low: float, high: float) -> Transform:
    """Every element of every gradient held within [low, high], where low <= 0 <= high."""
    return ClipByValue(low, high)


def clip_by_norm(limit: float) -> Transform:
    """g * limit / max(|g|, limit) for each variable by itself, |g| the L2 norm of its whole gradient."""
    return ClipByNorm(limit)


def clip_by_global_norm(limit: float) -> Transform:
    """g * limit / max(norm, limit), norm = sqrt(sum of |g|^2 over all variables). Pascanu et al. 2013.

    The direction of the step over all variables stays.
    """
    return ClipByGlobalNorm(limit)


def weight_decay(rate: float, only: Collection[Variable] | None = None) -> Transform:
    """g + rate * w: the gradient of a penalty rate / 2 * |w|^2 (L2). `only` these variables, all by default.

    It passes through the rule's moments; AdamW's does not. A sparse gradient is refused.
    """
    return WeightDecay(rate, only)


def clip_value(grad: Gradient, low: float, high: float) -> Gradient:
    """Every element of a gradient held within [low, high], where low <= 0 <= high: a row without one has 0."""
    _need_bounds(low, high)
    merged = _merged(grad)
    return _with_values(merged, clip(_values(merged), low, high))


def clip_norm(grad: Gradient, limit: float) -> Gradient:
    """g * limit / max(|g|, limit)."""
    _need_limit(limit)
    merged = _merged(grad)
    return _shortened(merged, global_norm([merged]), limit)


def clip_global_norm(grads: Sequence[Gradient | None], limit: float) -> tuple[list[Gradient | None], Node]:
    """(g * limit / max(norm, limit) for each g, the norm over all of them before clipping). None stays None.

    A gradient that is no longer than the limit keeps its bits. The norm is float64; where it is not finite, so is some
    element of the result.
    """
    _need_limit(limit)
    merged = [None if grad is None else _merged(grad) for grad in grads]
    norm = global_norm(merged)
    return [None if grad is None else _shortened(grad, norm, limit) for grad in merged], norm


def global_norm(grads: Sequence[Gradient | None]) -> Node:
    """sqrt(sum of |g|^2 over all gradients that are not None), a float64 scalar: float32 squares overflow at 2e19."""
    squares = [reduce_sum(square(cast(_values(_merged(grad)), np.float64))) for grad in grads if grad is not None]
    if not squares:
        raise GradientError("the norm of no gradient at all: every one of them is None")
    return sqrt(add_n(squares))


def _shortened(grad: Gradient, norm: Node, limit: float) -> Gradient:
    bound = as_node(limit, norm.dtype, norm.graph)
    values = _values(grad)
    return _with_values(grad, values * cast(bound / maximum(norm, bound), values.dtype))


def _merged(grad: Gradient) -> Gradient:
    """Slices in which each row's whole gradient stands in one place."""
    if isinstance(grad, Node) or grad.values.op.name == "sum_duplicates":
        return grad
    return IndexedSlices(apply("sum_duplicates", grad.values, grad.indices), grad.indices, grad.table)


def _values(grad: Gradient) -> Node:
    return grad.values if isinstance(grad, IndexedSlices) else grad


def _with_values(grad: Gradient, values: Node) -> Gradient:
    return IndexedSlices(values, grad.indices, grad.table) if isinstance(grad, IndexedSlices) else values


def _need_bounds(low: float, high: float) -> None:
    if not low <= 0 <= high:
        raise ValueError(f"clip_by_value: the bounds must hold 0, got [{low}, {high}]")


def _need_limit(limit: float) -> None:
    if not limit > 0:
        raise ValueError(f"a norm is clipped to a limit > 0, got {limit}")
