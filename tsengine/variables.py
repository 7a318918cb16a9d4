"""Where values come in: placeholders that a run feeds, and variables that outlive it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tsengine.arrays import to_array
from tsengine.errors import GraphError
from tsengine.graph import Graph, Node, apply
from tsengine.initializers import Constant, Given, Initializer
from tsengine.ops.sources import PLACEHOLDER, VARIABLE_READ
from tsengine.scopes import get_default_graph
from tsengine.sites import format_site, user_site
from tsengine.specs import DEFAULT_FLOAT, Array, Spec, spec
from tsengine.store import Declaration


def placeholder(
    dtype: DTypeLike = DEFAULT_FLOAT, shape: Sequence[int | None] | None = None, name: str | None = None
) -> Node:
    """A value that every run must feed. Sizes of None are free; a shape of None leaves even the rank free."""
    return apply(PLACEHOLDER, name=name, spec=spec(dtype, shape))


class Variable(Node):
    """A value kept in the graph's store between runs; as a node, the value it had when the run began.

    Give either `initial_value` (array-like; copied) or `initializer` with `shape`. With neither the variable is
    uninitialized until `assign`, `graph.store.set` or `bind`, and then needs `shape`.
    """

    __slots__ = ("trainable", "initializer")

    def __init__(
        self,
        initial_value: Any = None,
        *,
        initializer: Initializer | None = None,
        shape: Sequence[int] | None = None,
        dtype: DTypeLike | None = None,
        name: str | None = None,
        trainable: bool = True,
        graph: Graph | None = None,
    ) -> None:
        owner = graph or get_default_graph()
        first, found = _initial(initial_value, initializer, shape, dtype)
        unique = owner.names.unique(name or "variable")
        super().__init__(owner, VARIABLE_READ, (), {"variable": unique, "spec": found}, found, unique)
        self.trainable, self.initializer = trainable, first
        owner.variables[unique] = self
        rows = None if first is None else self.initial_rows
        origin = f" (op {self.op.name}, made at {format_site(self.site)})"
        owner.store.declare(unique, Declaration(self.static_shape, found.dtype, rows, origin))

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape, which a variable always knows wholly."""
        return tuple(size for size in self.shape or () if size is not None)

    def initial_rows(self, start: int, stop: int) -> Array:
        """Initial value of rows start..stop (a scalar variable is one row), in the variable's dtype.

        A row's value depends on (seed, name, row) alone, so a range may be filled by whoever owns it.
        """
        if self.initializer is None:
            raise GraphError(f"variable '{self.name}' has no initial value")
        rows = self.initializer.rows(self.name, self.static_shape, start, stop).astype(self.dtype, copy=False)
        return rows.reshape(()) if not self.static_shape else rows


def _initial(
    value: Any, initializer: Initializer | None, shape: Sequence[int] | None, dtype: DTypeLike | None
) -> tuple[Initializer | None, Spec]:
    if value is not None and initializer is not None:
        raise GraphError(f"a Variable takes initial_value or initializer, not both, at {format_site(user_site())}")
    if value is not None:
        array = to_array(value, dtype)
        return Given(array), Spec(array.dtype, array.shape)
    if shape is None or any(not isinstance(size, int | np.integer) or size < 0 for size in shape):
        raise GraphError(
            f"a Variable without initial_value needs a fully known shape, got {shape} at {format_site(user_site())}: "
            "Variable(initializer=..., shape=(rows, columns))"
        )
    return initializer, spec(DEFAULT_FLOAT if dtype is None else dtype, tuple(map(int, shape)))


def zeros(
    shape: Sequence[int], *, dtype: DTypeLike | None = None, name: str | None = None, trainable: bool = True
) -> Variable:
    """A variable that begins as zeros."""
    return Variable(initializer=Constant(0.0), shape=shape, dtype=dtype, name=name, trainable=trainable)


def global_variables_initializer() -> Node:
    """An operation that gives every variable of the default graph its initial value again."""
    return apply("reset_variables")
