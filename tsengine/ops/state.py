"""Operations that change variables. They run after every reader of the run and have no result.

A value that an update takes from a variable is the one from the start of the run, so `assign(a, b)` beside
`assign(b, a)` swaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tsengine.errors import GraphError, ShapeError
from tsengine.graph import Node, apply, as_node
from tsengine.kernels.rows import check_ids, dedupe
from tsengine.ops.registry import op
from tsengine.sites import describe, format_site, user_site
from tsengine.specs import Array, Shape, Spec, fits, format_shape, need_kind, need_rank
from tsengine.store import VariableStore
from tsengine.variables import Variable

_UPDATE = {"nondifferentiable": "an update has no result", "not_exported": "a served model changes nothing"}


def _need_value_of(told: str, holds: Spec, value: Spec) -> None:
    if value.dtype != holds.dtype or (value.shape is not None and not fits(value.shape, holds.shape)):
        raise ShapeError(f"{told} {holds}, got {value}")


@op("assign", stateful=True, **_UPDATE)
class _Assign:
    """variable := value. It needs no value before."""

    @staticmethod
    def infer(value: Spec, variable: str, holds: Spec) -> None:
        _need_value_of(f"variable '{variable}' holds", holds, value)

    @staticmethod
    def update(store: VariableStore, value: Array, variable: str, holds: Spec) -> None:
        _need_shape(variable, holds.shape, value)
        store.storage(variable)[...] = value


@op("assign_add", stateful=True, **_UPDATE)
class _AssignAdd:
    """variable := variable + value."""

    @staticmethod
    def infer(value: Spec, variable: str, holds: Spec) -> None:
        _need_value_of(f"variable '{variable}' holds", holds, value)

    @staticmethod
    def update(store: VariableStore, value: Array, variable: str, holds: Spec) -> None:
        storage = _checked_storage(store, value, variable)
        np.add(storage, value, out=storage)


def _checked_storage(store: VariableStore, value: Array, variable: str) -> Array:
    storage = store.array(variable)
    _need_shape(variable, storage.shape, value)
    return storage


def _need_shape(variable: str, shape: Shape | None, value: Array) -> None:
    if value.shape != shape:
        raise ShapeError(f"variable '{variable}' has shape {format_shape(shape)}, got {format_shape(value.shape)}")


@op("apply_dense", stateful=True, **_UPDATE)
class _ApplyDense:
    """One step of an optimizer's rule on a whole variable."""

    @staticmethod
    def infer(grad: Spec, variable: str, holds: Spec, **attrs: Any) -> None:
        _need_value_of(f"variable '{variable}' holds", holds, grad)

    @staticmethod
    def update(
        store: VariableStore,
        grad: Array,
        variable: str,
        holds: Spec,
        rule: Any,
        slots: tuple[tuple[str, str], ...],
        counter: str,
        learning_rate: Callable[[int], float],
    ) -> None:
        step = int(store.array(counter))
        held = {slot: store.array(name) for slot, name in slots}
        rule.apply_dense(_checked_storage(store, grad, variable), held, grad, step, learning_rate(step))


@op("apply_rows", stateful=True, **_UPDATE)
class _ApplyRows:
    """One step of an optimizer's rule on some rows of a table; rows named twice are summed first.

    values [*shape, *row] may keep the shape in which the ids were looked up; indices are flat.
    """

    @staticmethod
    def infer(values: Spec, indices: Spec, variable: str, holds: Spec, **attrs: Any) -> None:
        need_kind(indices, "iu", "indices")
        need_rank(indices, (1,), "indices")
        row = (holds.shape or ())[1:]
        if values.dtype != holds.dtype or not holds.rank or not _are_rows(values.shape, row):
            raise ShapeError(f"variable '{variable}' holds {holds}, got {values} for rows of it")

    @staticmethod
    def update(
        store: VariableStore,
        values: Array,
        indices: Array,
        variable: str,
        holds: Spec,
        rule: Any,
        slots: tuple[tuple[str, str], ...],
        counter: str,
        learning_rate: Callable[[int], float],
    ) -> None:
        table = store.array(variable)
        check_ids(indices, len(table))
        rows = values.shape[: values.ndim - table.ndim + 1]
        if not _are_rows(values.shape, table.shape[1:]) or math.prod(rows) != len(indices):
            shapes = format_shape(table.shape), format_shape(values.shape)
            raise ShapeError(
                f"variable '{variable}' has shape {shapes[0]}, got {shapes[1]} for {len(indices)} rows of it"
            )
        step = int(store.array(counter))
        held = {slot: store.array(name) for slot, name in slots}
        unique, sums = dedupe(indices, values.reshape(len(indices), *table.shape[1:]))
        rule.apply_rows(table, held, unique, sums, step, learning_rate(step))


def _are_rows(values: Shape | None, row: Shape) -> bool:
    """Whether values are rows of that shape, however many and in whatever shape they were looked up."""
    return values is None or (len(values) >= len(row) and fits(values[len(values) - len(row) :], row))


@op("reset_variables", stateful=True, **_UPDATE)
class _ResetVariables:
    """Every variable gets its initial value again."""

    @staticmethod
    def infer() -> None:
        return None

    @staticmethod
    def update(store: VariableStore) -> None:
        store.reset()


@op("group", stateful=True, **_UPDATE)
class _Group:
    """Several operations under one name; with none it is a no-op."""

    @staticmethod
    def infer(*inputs: Spec | None) -> None:
        return None

    @staticmethod
    def update(store: VariableStore, *inputs: Array | None) -> None:
        return None


def assign(variable: Variable, value: Any, name: str | None = None) -> Node:
    """An operation: variable := value."""
    return _assignment("assign", variable, value, name)


def assign_add(variable: Variable, value: Any, name: str | None = None) -> Node:
    """An operation: variable := variable + value."""
    return _assignment("assign_add", variable, value, name)


def _assignment(name_of_op: str, variable: Any, value: Any, name: str | None) -> Node:
    if not isinstance(variable, Variable):
        got = describe(variable) if isinstance(variable, Node) else repr(variable)
        raise GraphError(f"only a Variable can be assigned to, got {got}: {name_of_op} at {format_site(user_site())}")
    given = as_node(value, variable.dtype, variable.graph, variable)
    variable.graph.need_own([given], name_of_op)
    return apply(name_of_op, given, name=name, variable=variable.name, holds=variable.value_spec)


def group(*operations: Node, name: str | None = None) -> Node:
    """One operation that runs all of them."""
    return apply("group", *operations, name=name)


def no_op(name: str | None = None) -> Node:
    """An operation that does nothing."""
    return apply("group", name=name or "no_op")
