"""What a run may feed: any node that holds a value, with something that fits its dtype and shape without loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.errors import FeedError, FeedKeyError
from tsengine.graph import Graph, Node
from tsengine.sites import describe, format_site, user_site
from tsengine.specs import Array, fits, format_shape


def check_key(key: Any, graph: Graph) -> Node:
    """The node to feed; anything else is an error that says what it was."""
    if not isinstance(key, Node):
        raise FeedKeyError(
            f"Cannot interpret feed_dict key as Tensor: {key!r} is a {type(key).__name__}, not a node, "
            f"at {format_site(user_site())}"
        )
    if key.graph is not graph:
        raise FeedKeyError(f"fed node is not an element of this session's graph: {describe(key)} of {key.spec}")
    if key.spec is None:
        raise FeedKeyError(f"Tensor '{key.name}' may not be fed: it is an operation and has no value: {describe(key)}")
    return key


def fed_array(node: Node, value: Any) -> Array:
    """The fed value as an array of the node's dtype; copied only where the dtype differs, and never written to."""
    want = node.value_spec
    if isinstance(value, Node):
        raise _refused(node, f"the value cannot be a node, {value!r}; fetch it first and feed its array")
    array = value if isinstance(value, np.ndarray) else _as_array(node, value)
    if array.dtype != want.dtype:
        array = _cast(node, array)
    if want.shape != array.shape and not fits(array.shape, want.shape):
        raise _refused(
            node,
            f"Cannot feed value of shape {format_shape(array.shape)} for Tensor '{node.name}', "
            f"which has shape {format_shape(want.shape)}",
        )
    return array


def _refused(node: Node, why: str) -> FeedError:
    return FeedError(f"{why}; fed to {describe(node)} of {node.spec}")


def _as_array(node: Node, value: Any) -> Array:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise _refused(node, "the value is no array, do its rows differ in length?") from error


def _cast(node: Node, array: Array) -> Array:
    want = node.dtype
    if array.size == 0 and array.dtype == np.float64:
        return np.empty(array.shape, want)  # an empty list has no dtype of its own
    if not np.can_cast(array.dtype, want, "same_kind"):
        raise _refused(
            node, f"Type of feed value {array.dtype} is not compatible with Tensor type {want.name} of '{node.name}'"
        )
    if want.kind in "iu" and array.size and not np.can_cast(array.dtype, want, "safe"):
        limits = np.iinfo(want)
        if array.min() < limits.min or array.max() > limits.max:
            raise _refused(node, f"the value holds integers outside {want.name}: {array.min()}..{array.max()}")
    return array.astype(want)
