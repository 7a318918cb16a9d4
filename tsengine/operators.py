"""Python's operators, indexing and NumPy's functions on nodes: each builds the node that its function would build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tsengine.graph as graphs
from tsengine.sites import describe

if TYPE_CHECKING:
    from tsengine.graph import Node


class Operators:
    """What a node inherits. The graph's module needs it first, so what it builds with is looked up when used."""

    __slots__ = ()
    __iter__ = None  # otherwise __getitem__ would make a node iterable for ever
    __hash__ = object.__hash__  # `==` builds a node; as a key of a dictionary a node is itself

    def __bool__(self: Any) -> bool:
        raise TypeError(f"{describe(self)} has no truth value before a session runs it; use tsengine.where")

    def __add__(self: Any, other: Any) -> Node:
        return graphs.binary("add", self, other)

    def __radd__(self: Any, other: Any) -> Node:
        return graphs.binary("add", other, self)

    def __sub__(self: Any, other: Any) -> Node:
        return graphs.binary("subtract", self, other)

    def __rsub__(self: Any, other: Any) -> Node:
        return graphs.binary("subtract", other, self)

    def __mul__(self: Any, other: Any) -> Node:
        return graphs.binary("multiply", self, other)

    def __rmul__(self: Any, other: Any) -> Node:
        return graphs.binary("multiply", other, self)

    def __truediv__(self: Any, other: Any) -> Node:
        return graphs.binary("divide", self, other)

    def __rtruediv__(self: Any, other: Any) -> Node:
        return graphs.binary("divide", other, self)

    def __mod__(self: Any, other: Any) -> Node:
        return graphs.binary("floor_mod", self, other)

    def __pow__(self: Any, other: Any) -> Node:
        return graphs.binary("pow", self, other)

    def __matmul__(self: Any, other: Any) -> Node:
        return _product(self, graphs.as_node(other, self.dtype, self.graph))

    def __rmatmul__(self: Any, other: Any) -> Node:
        return _product(graphs.as_node(other, self.dtype, self.graph), self)

    def __neg__(self: Any) -> Node:
        return graphs.apply("negative", self)

    def __abs__(self: Any) -> Node:
        return graphs.apply("abs", self)

    def __lt__(self: Any, other: Any) -> Node:
        return graphs.binary("less", self, other)

    def __le__(self: Any, other: Any) -> Node:
        return graphs.binary("less_equal", self, other)

    def __gt__(self: Any, other: Any) -> Node:
        return graphs.binary("greater", self, other)

    def __ge__(self: Any, other: Any) -> Node:
        return graphs.binary("greater_equal", self, other)

    def __eq__(self: Any, other: Any) -> Node:  # type: ignore[override]
        return graphs.binary("equal", self, other)

    def __ne__(self: Any, other: Any) -> Node:  # type: ignore[override]
        return graphs.binary("not_equal", self, other)

    def __array_ufunc__(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Node:
        """`np.exp(node)` and `array * node` build nodes."""
        from tsengine.ops.numpy_functions import of_ufunc

        return of_ufunc(ufunc, method, inputs, options)

    def __array_function__(self: Any, function: Any, types: Any, inputs: Any, options: Any) -> Node:
        """`np.sum(node, axis=0)` builds a node."""
        from tsengine.ops.numpy_functions import of_function

        return of_function(function, inputs, options)

    def __getitem__(self: Any, key: Any) -> Node:
        from tsengine.ops.slicing import getitem

        return getitem(self, key)


def _product(a: Node, b: Node) -> Node:
    return graphs.apply("matmul", a, b, transpose_a=False, transpose_b=False)
