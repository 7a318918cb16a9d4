"""The variables that a training changes: what each is to the reduction, and the shared memory that they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tsengine.parallel.errors import ProgramError
from tsengine.parallel.memory import Shape
from tsengine.parallel.replica import Learning, Replica
from tsengine.specs import Array, Spec, fits, format_shape
from tsengine.train import Rule, Slot

BLOCK = 64
"""Elements of a dense variable, or rows of a table, that always have the same owner."""


@dataclass(frozen=True)
class Parameter:
    """A variable that learns or follows: where it begins in the vector of dense gradients, or that it is a table."""

    name: str
    shape: Shape
    dtype: str
    begin: int
    size: int
    table_rows: int
    """Gradient rows of one shard at most; 0 for a dense variable."""
    slots: Mapping[str, tuple[Shape, str, float]]
    how: Learning
    follows: bool
    """Whether it is one of `Replica.averages`."""
    measured: bool
    """Whether its gradient's norm is needed."""

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return blocks_of(self.shape[0] if self.table_rows else self.size)


@dataclass(frozen=True)
class Follow(Rule):
    """v = keep * v + (1 - keep) * value, where a value of the batch is given in the place of a gradient."""

    keep: float
    elementwise: ClassVar[bool] = True

    def slots(self, spec: Spec) -> dict[str, Slot]:
        """None."""
        return {}

    def apply_dense(self, param: Array, slots: dict[str, Array], grad: Array, step: int, learning_rate: float) -> None:
        """One step in place."""
        param *= self.keep
        param += (1.0 - self.keep) * grad


def blocks_of(count: int) -> int:
    """Blocks that hold so many elements or rows."""
    return -(-count // BLOCK)


def parameters_of(replica: Replica) -> tuple[Parameter, ...]:
    """The variables that learn or follow, by name. Dense ones begin at whole blocks of their vector.

    Raises ProgramError with every variable that cannot do so as the program says.
    """
    names = sorted({*replica.learning, *replica.averages})
    faults = [fault for name in names for fault in _faults(replica, name)]
    learning = sorted(replica.learning)
    faults += [f"table_rows names '{n}', which does not learn" for n in sorted({*replica.table_rows} - {*learning})]
    if faults:
        raise ProgramError("; ".join(faults))
    found, begin = list[Parameter](), 0
    for name in names:
        found.append(_parameter(replica, name, begin))
        begin += blocks_of(found[-1].size) * BLOCK
    return tuple(found)


def _faults(replica: Replica, name: str) -> list[str]:
    if name not in replica.graph.variables:
        return [f"the graph has no variable '{name}', it has {', '.join(sorted(replica.graph.variables))}"]
    faults = []
    if replica.graph.variables[name].dtype != np.float32:
        faults.append(f"variable '{name}' is {replica.graph.variables[name].dtype}; only float32 learns")
    if name in replica.averages:
        faults += _average_faults(replica, name)
    if name in replica.learning:
        faults += _learning_faults(name, replica.learning[name], replica.table_rows.get(name, 0))
    return faults


def _average_faults(replica: Replica, name: str) -> list[str]:
    faults = []
    if name in replica.learning:
        faults.append(f"variable '{name}' is an average and learns; it can do one of the two")
    shape, part = replica.graph.variables[name].static_shape, replica.averages[name].part
    if part.shape is not None and not fits(shape, part.shape):
        faults.append(f"variable '{name}' is {format_shape(shape)}, what it follows is {format_shape(part.shape)}")
    return faults


def _learning_faults(name: str, how: Learning, rows: int) -> list[str]:
    faults = []
    if not rows and not how.rule.elementwise:
        faults.append(f"variable '{name}' is dense; {type(how.rule).__name__} works on whole rows, give another rule")
    if rows and how.rule.refuses_rows():
        faults.append(f"variable '{name}' is a table: {how.rule.refuses_rows()}")
    if rows and not how.rule.only_given_rows:
        faults.append(
            f"variable '{name}' is a table: {type(how.rule).__name__} moves every row at every step, which no owner of "
            "some rows can do; take LazyAdam()"
        )
    if rows and how.weight_decay:
        faults.append(f"variable '{name}' is a table: decay would reach only the rows that a batch happens to use")
    return faults


def _parameter(replica: Replica, name: str, begin: int) -> Parameter:
    shape, dtype = replica.graph.variables[name].static_shape, replica.graph.variables[name].dtype
    rows, follows = replica.table_rows.get(name, 0), name in replica.averages
    how = Learning(Follow(replica.averages[name].keep), 1.0) if follows else replica.learning[name]
    slots = how.rule.slots(Spec(dtype, shape))
    return Parameter(
        name=name,
        shape=shape,
        dtype=dtype.str,
        begin=begin,
        size=0 if rows else int(np.prod(shape, dtype=np.int64)),
        table_rows=max(1, min(rows, shape[0])) if rows else 0,
        slots={key: (slot.shape, np.dtype(slot.dtype).str, slot.fill) for key, slot in slots.items()},
        how=how,
        follows=follows,
        measured=not follows and (how.clip_norm is not None or replica.clip_global_norm is not None),
    )


def arrays_of(parameters: tuple[Parameter, ...], shards: int) -> dict[str, tuple[Shape, str]]:
    """What training keeps in shared memory: parameters, slots, the shards' gradients and losses, and the sums of
    squares of blocks where a norm is needed."""
    arrays: dict[str, tuple[Shape, str]] = {}
    for p in parameters:
        arrays[f"parameter/{p.name}"] = (p.shape, p.dtype)
        arrays |= {f"slot/{p.name}/{key}": (shape, dtype) for key, (shape, dtype, _) in p.slots.items()}
        if p.table_rows:
            width = p.shape[1:]
            arrays[f"rows/{p.name}"] = ((shards, p.table_rows), "<i8")
            arrays[f"values/{p.name}"] = ((shards, p.table_rows, *width), p.dtype)
            arrays[f"count/{p.name}"] = ((shards, 1), "<i8")
        if p.measured:
            arrays[f"squares/{p.name}"] = ((p.blocks,), "<f8")
    dense = max((p.begin + blocks_of(p.size) * BLOCK for p in parameters), default=0)
    arrays["gradient"] = ((shards, dense), "<f4")
    arrays["loss"] = ((shards,), "<f8")
    return arrays
