"""What a row of the table of op cases is made of, and how its inputs are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsengine.specs import Array

Reference = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One application of a primitive. kind: plain, broadcast, empty, scalar."""

    kind: str
    inputs: tuple[Array, ...]
    attrs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(map(np.asarray, self.inputs)))  # a 0-d draw is a NumPy scalar


@dataclass(frozen=True)
class Row:
    """A primitive's reference and cases; `lacks` says why a kind of case cannot exist."""

    reference: Reference
    cases: tuple[Case, ...]
    lacks: dict[str, str] = field(default_factory=dict)


rng = np.random.default_rng(20_260_101)
ROWS_ONLY = {"scalar": "it works on the last axis"}


def normal(*shape: int) -> Array:
    return rng.standard_normal(shape)


def positive(*shape: int) -> Array:
    return rng.uniform(0.3, 2.0, shape)


def away(*shape: int) -> Array:
    """Not near 0, where some ops have a kink."""
    return rng.uniform(0.3, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def ints(high: int, *shape: int, dtype: str = "int32") -> Array:
    return rng.integers(0, high, shape).astype(dtype)


def bools(*shape: int) -> Array:
    return rng.random(shape) < 0.5


def unary(reference: Reference, draw: Callable[..., Array] = normal) -> Row:
    shapes = (("plain", (3, 4)), ("empty", (0, 4)), ("scalar", ()))
    return Row(reference, tuple(Case(kind, (draw(*shape),)) for kind, shape in shapes))


def binary(
    reference: Reference, draw: Callable[..., Array] = normal, second: Callable[..., Array] | None = None
) -> Row:
    shapes = (
        ("plain", (3, 4), (3, 4)),
        ("broadcast", (3, 1), (4,)),
        ("broadcast", (2, 3, 4), (1, 4)),
        ("broadcast", (), (2, 3)),
        ("empty", (0, 4), (1, 4)),
        ("scalar", (), ()),
    )
    other = second or draw
    return Row(reference, tuple(Case(kind, (draw(*left), other(*right))) for kind, left, right in shapes))


def reduction(reference: Reference) -> Row:
    def apply(x: Array, axis: Any, keepdims: bool) -> Any:
        return reference(x, axis=axis, keepdims=keepdims)

    cases = [
        Case(kind, (normal(*shape),), {"axis": axis, "keepdims": keepdims})
        for kind, shape, axis in (
            ("plain", (3, 4), None),
            ("plain", (3, 4), (0,)),
            ("plain", (2, 3, 4), (0, -1)),
            ("plain", (3, 4), ()),
            ("empty", (0, 4), (1,)),
            ("scalar", (), None),
        )
        for keepdims in (False, True)
    ]
    return Row(apply, tuple(cases))


def fixed(reference: Reference, *cases: tuple[str, tuple[Array, ...], dict[str, Any]], **lacks: str) -> Row:
    return Row(reference, tuple(Case(*case) for case in cases), lacks)
