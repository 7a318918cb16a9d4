"""Operations that change variables. They run after every reader of the run and have no result.

A value that an update takes from a variable is the one from the start of the run, so `assign(a, b)` beside
`assign(b, a)` swaps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tsengine.errors import GraphError, ShapeError
from tsengine.graph import Node, apply, as_node, describe
from tsengine.kernels.rows import check_ids, dedupe
from tsengine.ops.registry import op
from tsengine.specs import Array, Spec, fits, format_shape
from tsengine.store import VariableStore
from tsengine.variables import Variable

_UPDATE = {"nondifferentiable": "an update has no result", "not_exported": "a served model changes nothing"}


def _need_value_of(variable: Spec, value: Spec) -> None:
    if value.dtype != variable.dtype or (value.shape is not None and not fits(value.shape, variable.shape)):
        raise ShapeError(f"the variable holds {variable}, got {value}")


@op("assign", stateful=True, **_UPDATE)
class _Assign:
    """variable := value."""

    @staticmethod
    def infer(value: Spec, variable: str, holds: Spec) -> None:
        _need_value_of(holds, value)

    @staticmethod
    def update(store: VariableStore, value: Array, variable: str, holds: Spec) -> None:
        _checked_storage(store, value, variable)[...] = value


@op("assign_add", stateful=True, **_UPDATE)
class _AssignAdd:
    """variable := variable + value."""

    @staticmethod
    def infer(value: Spec, variable: str, holds: Spec) -> None:
        _need_value_of(holds, value)

    @staticmethod
    def update(store: VariableStore, value: Array, variable: str, holds: Spec) -> None:
        storage = _checked_storage(store, value, variable)
        np.add(storage, value, out=storage)


def _checked_storage(store: VariableStore, value: Array, variable: str) -> Array:
    storage = store.array(variable)
    if storage.shape != value.shape:
        raise ShapeError(
            f"variable '{variable}' has shape {format_shape(storage.shape)}, got {format_shape(value.shape)}"
        )
    return storage


@op("apply_dense", stateful=True, **_UPDATE)
class _ApplyDense:
    """One step of an optimizer's rule on a whole variable."""

    @staticmethod
    def infer(grad: Spec, variable: str, **attrs: Any) -> None:
        return None

    @staticmethod
    def update(
        store: VariableStore,
        grad: Array,
        variable: str,
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
    def infer(values: Spec, indices: Spec, variable: str, **attrs: Any) -> None:
        return None

    @staticmethod
    def update(
        store: VariableStore,
        values: Array,
        indices: Array,
        variable: str,
        rule: Any,
        slots: tuple[tuple[str, str], ...],
        counter: str,
        learning_rate: Callable[[int], float],
    ) -> None:
        table = store.array(variable)
        check_ids(indices, len(table))
        step = int(store.array(counter))
        held = {slot: store.array(name) for slot, name in slots}
        unique, sums = dedupe(indices, values.reshape(-1, *table.shape[1:]))
        rule.apply_rows(table, held, unique, sums, step, learning_rate(step))


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


def _assignment(name_of_op: str, variable: Variable, value: Any, name: str | None) -> Node:
    if not isinstance(variable, Variable):
        raise GraphError(f"only a Variable can be assigned to, got {describe(variable)}")
    given = as_node(value, variable.dtype, variable.graph)
    return apply(name_of_op, given, name=name, variable=variable.name, holds=variable.value_spec)


def group(*operations: Node, name: str | None = None) -> Node:
    """One operation that runs all of them."""
    return apply("group", *operations, name=name)


def no_op(name: str | None = None) -> Node:
    """An operation that does nothing."""
    return apply("group", name=name or "no_op")
