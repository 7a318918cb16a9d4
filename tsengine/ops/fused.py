"""What only the compiler makes: one step that does the work of several, with less arithmetic or less memory.

The user's graph, its gradients and its exports never hold these; `tsengine/compiler/fuse.py` says what becomes which.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.kernels import rows
from tsengine.ops.registry import REGISTRY, op
from tsengine.specs import Array, Spec

_FUSED: dict[str, Any] = {
    "nondifferentiable": "it is made after gradients were taken",
    "not_exported": "the exporter reads the graph before fusion",
}


@op("fused_linear", **_FUSED)
class _FusedLinear:
    """activation(a @ b + bias), worked out in the product's own buffer: the same bits as the three steps."""

    @staticmethod
    def infer(a: Spec, b: Spec, bias: Spec, activation: str | None, transpose_a: bool, transpose_b: bool) -> Spec:
        product = REGISTRY["matmul"].infer(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
        total: Spec = REGISTRY["add"].infer(product, bias)
        return total

    @staticmethod
    def kernel(out: Array, a: Array, b: Array, bias: Array, activation: str | None, **transposes: bool) -> None:
        _write("matmul", out, a, b, **transposes)
        np.add(out, bias, out=out)
        if activation is not None:
            _write(activation, out, out)


@op("fused_matmul_columns", **_FUSED)
class _FusedMatmulColumns:
    """The columns [begin, end) of a @ b, made of those columns of b alone."""

    @staticmethod
    def infer(a: Spec, b: Spec, begin: int, end: int, transpose_a: bool, transpose_b: bool) -> Spec:
        product = REGISTRY["matmul"].infer(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
        cut: Spec = product.with_shape(None if product.shape is None else (*product.shape[:-1], end - begin))
        return cut

    @staticmethod
    def kernel(out: Array, a: Array, b: Array, begin: int, end: int, **transposes: bool) -> None:
        columns = b[begin:end] if transposes["transpose_b"] else b[:, begin:end]
        _write("matmul", out, a, columns, **transposes)


@op("fused_gather_sum", **_FUSED)
class _FusedGatherSum:
    """reduce_sum(gather(table, ids), axis=1) for ids [B, L]: a bag without padding. [B, L, D] is never made."""

    @staticmethod
    def infer(table: Spec, ids: Spec) -> Spec:
        batch = None if ids.shape is None else ids.shape[0]
        return table.with_shape(None if table.shape is None else (batch, *table.shape[1:]))

    @staticmethod
    def kernel(out: Array, table: Array, ids: Array) -> None:
        rows.pool_all(out, table, ids)


@op("fused_log_likelihood", **_FUSED)
class _FusedLogLikelihood:
    """reduce_sum(labels * log_softmax(logits), axis=-1): the cross-entropy, but for its sign."""

    @staticmethod
    def infer(labels: Spec, logits: Spec) -> Spec:
        product: Spec = REGISTRY["multiply"].infer(labels, logits)
        return product.with_shape(None if product.shape is None else product.shape[:-1])

    @staticmethod
    def kernel(out: Array, labels: Array, logits: Array) -> None:
        shifted, total = _shifted(logits)
        np.einsum("...i,...i->...", labels, shifted - np.log(total), out=out)


@op("fused_log_likelihood_gradient", inplace=(2,), **_FUSED)
class _FusedLogLikelihoodGradient:
    """By the logits: grad * (labels - p * sum(labels)) for p = softmax(logits); labels - p where they sum to 1.

    Where logits of one row met labels of several, the rows' gradients are summed first.
    """

    @staticmethod
    def infer(grad: Spec, labels: Spec, p: Spec) -> Spec:
        return p

    @staticmethod
    def kernel(out: Array, grad: Array, labels: Array, p: Array) -> None:
        if np.broadcast_shapes(grad.shape, labels.shape, p.shape) != p.shape:
            summed = np.empty_like(p)
            _write("sum_to_like", summed, grad * labels, p)
            _write("log_softmax_gradient", out, summed, p)
            return
        np.multiply(p, labels.sum(axis=-1, keepdims=True), out=out)
        np.subtract(labels, out, out=out)
        np.multiply(out, grad, out=out)


@op("fused_class_log_likelihood", **_FUSED)
class _FusedClassLogLikelihood:
    """log_softmax(logits)[..., label]: the cross-entropy of class numbers, but for its sign."""

    @staticmethod
    def infer(logits: Spec, labels: Spec) -> Spec:
        found: Spec = REGISTRY["select_class"].infer(logits, labels)
        return found

    @staticmethod
    def kernel(out: Array, logits: Array, labels: Array) -> None:
        shifted, total = _shifted(logits)
        _write("select_class", out, shifted, labels)
        np.subtract(out, np.log(total[..., 0]), out=out)


@op("fused_class_log_likelihood_gradient", inplace=(2,), **_FUSED)
class _FusedClassLogLikelihoodGradient:
    """By the logits: grad * (one_hot(labels) - p) for p = softmax(logits); no one-hot array is made."""

    @staticmethod
    def infer(grad: Spec, labels: Spec, p: Spec) -> Spec:
        return p

    @staticmethod
    def kernel(out: Array, grad: Array, labels: Array, p: Array) -> None:
        rows.check_ids(labels, p.shape[-1])
        np.negative(p, out=out)
        place = labels[..., None]
        np.put_along_axis(out, place, np.take_along_axis(out, place, axis=-1) + out.dtype.type(1), axis=-1)
        np.multiply(out, grad[..., None], out=out)


def _shifted(logits: Array) -> tuple[Array, Array]:
    """Logits less the maximum of their row, and the sum of the exponentials of that row [..., 1]."""
    shifted = logits - logits.max(axis=-1, keepdims=True, initial=-np.inf)
    return shifted, np.exp(shifted).sum(axis=-1, keepdims=True)


def _write(name: str, out: Array, *inputs: Array, **attrs: Any) -> None:
    kernel = REGISTRY[name].kernel
    assert kernel is not None
    kernel(out, *inputs, **attrs)
