"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Node, apply, as_nodes
from tsengine.ops.elementwise import Gradients, add
from tsengine.ops.registry import op
from tsengine.specs import Array, Shape, Spec, broadcast, format_shape, need_kind, need_rank, same_dtype


@op("matmul", broadcasting=True)
class _Matmul:
    """Matrix product as np.matmul: vectors are allowed without transposes, leading axes broadcast."""

    @staticmethod
    def infer(a: Spec, b: Spec, transpose_a: bool, transpose_b: bool) -> Spec:
        need_kind(a, "f", "a")
        return Spec(same_dtype(a, b), _product(a.shape, b.shape, transpose_a, transpose_b))

    @staticmethod
    def kernel(out: Array, a: Array, b: Array, transpose_a: bool, transpose_b: bool) -> None:
        np.matmul(a.swapaxes(-1, -2) if transpose_a else a, b.swapaxes(-1, -2) if transpose_b else b, out=out)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        a, b = node.inputs
        flags = {"transpose_a": node.attrs["transpose_a"], "transpose_b": node.attrs["transpose_b"]}
        if not any(flags.values()) and min(a.value_spec.rank or 0, b.value_spec.rank or 0) < 2:
            return tuple(apply("matmul_gradient", grad, a, b, by=by) for by in (0, 1))
        return _by_left(a, b, grad, **flags), _by_right(a, b, grad, **flags)

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        flags = (node.attrs["transpose_a"], node.attrs["transpose_b"])
        turned = [
            builder.swap_last_axes(name, item) if flag else name
            for name, item, flag in zip(inputs, node.inputs, flags, strict=True)
        ]
        return str(builder.add("MatMul", turned))


def _by_left(a: Node, b: Node, grad: Node, transpose_a: bool, transpose_b: bool) -> Node:
    if transpose_a:
        return matmul(b, grad, transpose_a=transpose_b, transpose_b=True)
    return matmul(grad, b, transpose_b=not transpose_b)


def _by_right(a: Node, b: Node, grad: Node, transpose_a: bool, transpose_b: bool) -> Node:
    if transpose_b:
        return matmul(grad, a, transpose_a=True, transpose_b=transpose_a)
    return matmul(a, grad, transpose_a=not transpose_a)


def _product(a: Shape | None, b: Shape | None, transpose_a: bool, transpose_b: bool) -> Shape | None:
    if a is None or b is None:
        return None
    if min(len(a), len(b)) < (2 if transpose_a or transpose_b else 1):
        raise ShapeError(
            f"matmul needs vectors or matrices (matrices to transpose), got {format_shape(a)} and {format_shape(b)}"
        )
    left = a if not transpose_a else (*a[:-2], a[-1], a[-2])
    right = b if not transpose_b else (*b[:-2], b[-1], b[-2])
    inner = right[-2] if len(right) > 1 else right[0]
    if left[-1] is not None and inner is not None and left[-1] != inner:
        raise ShapeError(
            f"matmul of {format_shape(left)} and {format_shape(right)}: inner sizes {left[-1]} and {inner} differ"
        )
    rows = (left[-2],) if len(left) > 1 else ()
    columns = (right[-1],) if len(right) > 1 else ()
    return (*(broadcast(left[:-2], right[:-2]) or ()), *rows, *columns)


@op("matmul_gradient")
class _MatmulGradient:
    """Gradient of a product without transposes where an operand is a vector or its rank is only known when running."""

    not_exported = "it appears in gradients only"

    @staticmethod
    def infer(grad: Spec, a: Spec, b: Spec, by: int) -> Spec:
        return (a, b)[by]

    @staticmethod
    def kernel(out: Array, grad: Array, a: Array, b: Array, by: int) -> None:
        if a.ndim == b.ndim == 2:
            np.matmul(*((grad, b.T) if by == 0 else (a.T, grad)), out=out)
            return
        left = a[None, :] if a.ndim == 1 else a
        right = b[:, None] if b.ndim == 1 else b
        whole = grad.reshape(*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1])
        product = whole @ right.swapaxes(-1, -2) if by == 0 else left.swapaxes(-1, -2) @ whole
        target = left.shape if by == 0 else right.shape
        extra = product.ndim - len(target)
        repeated = tuple(
            extra + axis for axis, size in enumerate(target) if size == 1 and product.shape[extra + axis] != 1
        )
        out[...] = product.sum(axis=(*range(extra), *repeated)).reshape(out.shape)

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        """It is linear in the gradient and in the other operand; of its own operand it reads the shape."""
        outer, a, b = node.inputs
        if node.attrs["by"] == 0:
            return matmul(grad, b), None, apply("matmul_gradient", outer, grad, b, by=1)
        return matmul(a, grad), apply("matmul_gradient", outer, a, grad, by=0), None


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None) -> Node:
    """Matrix product [..., m, k] x [..., k, n]; vectors as in NumPy."""
    left, right = as_nodes(a, b)
    return apply("matmul", left, right, name=name, transpose_a=transpose_a, transpose_b=transpose_b)


@composite
def bias_add(x: Any, bias: Any, name: str | None = None) -> Node:
    """x [..., n] plus a vector [n]."""
    left, right = as_nodes(x, bias)
    need_rank(right.value_spec, (1,), "the bias")
    return add(left, right, name=name)


def linear(x: Any, weights: Any, bias: Any) -> Node:
    """x [..., n] @ weights [n, m] + bias [m]: the compiler makes it one step, with the activation that follows."""
    rows, matrix, vector = as_nodes(x, weights, bias)
    return bias_add(matmul(rows, matrix), vector)
