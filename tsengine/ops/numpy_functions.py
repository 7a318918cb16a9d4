"""NumPy's own functions on nodes: `np.exp(node)` builds the node that `tsengine.exp(node)` builds.

Two tables. What is not in them is an error that names the function: computing on the node object itself would be worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tsengine.errors import GraphError
from tsengine.graph import Node, as_nodes
from tsengine.ops import activations, elementwise, linear, reduce, shape, slicing
from tsengine.sites import format_site, user_site

Build = Callable[..., Node]

UFUNCS: dict[np.ufunc, Build] = {
    np.add: elementwise.add, np.subtract: elementwise.subtract, np.multiply: elementwise.multiply,
    np.true_divide: elementwise.divide, np.power: elementwise.pow, np.remainder: elementwise.floor_mod,
    np.maximum: elementwise.maximum, np.minimum: elementwise.minimum, np.negative: elementwise.negative,
    np.absolute: elementwise.abs, np.sign: elementwise.sign, np.exp: elementwise.exp, np.log: elementwise.log,
    np.log1p: elementwise.log1p, np.expm1: elementwise.expm1, np.reciprocal: elementwise.reciprocal,
    np.sqrt: elementwise.sqrt, np.square: elementwise.square, np.tanh: activations.tanh,
    np.isnan: elementwise.is_nan, np.matmul: linear.matmul, np.equal: elementwise.equal,
    np.not_equal: elementwise.not_equal, np.less: elementwise.less, np.less_equal: elementwise.less_equal,
    np.greater: elementwise.greater, np.greater_equal: elementwise.greater_equal,
    np.logical_and: elementwise.logical_and, np.logical_or: elementwise.logical_or,
    np.logical_not: elementwise.logical_not,
}  # fmt: skip


def _transpose(a: Any, axes: Sequence[int] | None = None) -> Node:
    return shape.transpose(a, axes)


def _concatenate(arrays: Sequence[Any], axis: int = 0) -> Node:
    return slicing.concat(list(as_nodes(*arrays)), axis)


def _stack(arrays: Sequence[Any], axis: int = 0) -> Node:
    return slicing.stack(list(as_nodes(*arrays)), axis)


FUNCTIONS: dict[Callable[..., Any], Build] = {
    np.sum: reduce.reduce_sum, np.mean: reduce.reduce_mean, np.max: reduce.reduce_max, np.min: reduce.reduce_min,
    np.argmax: reduce.argmax,
    np.where: elementwise.where, np.clip: elementwise.clip, np.reshape: shape.reshape, np.transpose: _transpose,
    np.expand_dims: shape.expand_dims, np.squeeze: shape.squeeze, np.broadcast_to: shape.broadcast_to,
    np.concatenate: _concatenate, np.stack: _stack, np.zeros_like: shape.zeros_like, np.ones_like: shape.ones_like,
}  # fmt: skip


def of_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], options: Mapping[str, Any]) -> Node:
    """The node for `ufunc(*inputs)`; GraphError for another method (`np.add.reduce`), an option, an unknown ufunc."""
    if method != "__call__" or options or ufunc not in UFUNCS:
        called = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        raise GraphError(
            f"{called} does not take nodes{_with(options)} at {format_site(user_site())}; {_known(ufunc in UFUNCS)}"
        )
    return UFUNCS[ufunc](*inputs)


def of_function(function: Callable[..., Any], inputs: Sequence[Any], options: Mapping[str, Any]) -> Node:
    """The node for `function(*inputs, **options)`; GraphError for a function that is not in the table."""
    if function not in FUNCTIONS:
        raise GraphError(
            f"numpy.{function.__name__} does not take nodes at {format_site(user_site())}; {_known(False)}"
        )
    return FUNCTIONS[function](*inputs, **options)


def _with(options: Mapping[str, Any]) -> str:
    return f" with {', '.join(options)}" if options else ""


def _known(plain: bool) -> str:
    names = sorted([ufunc.__name__ for ufunc in UFUNCS] + [function.__name__ for function in FUNCTIONS])
    return "call it plainly" if plain else f"those that do are {', '.join(names)}"
