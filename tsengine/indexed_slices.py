"""The gradient of a table of which only some rows were used: those rows' gradients, and which rows they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tsengine.graph import Node, apply
from tsengine.specs import Array, Shape


@dataclass(frozen=True, eq=False)
class IndexedSlices:
    """values [n, ...] belong to rows indices [n] of an array shaped like `table`; a row named twice means the sum."""

    values: Node
    indices: Node
    table: Node

    @property
    def dense_shape(self) -> Shape | None:
        """Shape of the whole array."""
        return self.table.shape

    def to_dense(self) -> Node:
        """The whole array, zero in all other rows."""
        return apply("slices_to_dense", self.values, self.indices, self.table)


class IndexedSlicesValue(NamedTuple):
    """What a session returns for fetched IndexedSlices."""

    values: Array
    indices: Array


def concatenate(slices: list[IndexedSlices]) -> IndexedSlices:
    """The sum of several gradients of one table: their rows one after the other."""
    if len(slices) == 1:
        return slices[0]
    values = apply("concat", *(part.values for part in slices), axis=0)
    indices = apply("concat", *(part.indices for part in slices), axis=0)
    return IndexedSlices(values, indices, slices[0].table)
