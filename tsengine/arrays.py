"""What a program gives as a number, a list or an array, as an array of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from tsengine.errors import GraphError, ShapeError
from tsengine.sites import describe, format_site, user_site
from tsengine.specs import DEFAULT_FLOAT, Array, spec_of

if TYPE_CHECKING:
    from tsengine.graph import Node


def to_array(value: Any, dtype: DTypeLike | None = None, beside: Node | None = None) -> Array:
    """A read-only copy as an array. Python floats are float32 and ints int32 by default, arrays keep their dtype.

    A dtype asked for takes what it can hold by kind: 1 becomes 1.0, 0.5 does not become 0.
    """
    try:
        array = np.array(value)
        if array.dtype.kind not in "fiub":
            raise ShapeError(f"must be numbers or bools, got {type(value).__name__} of dtype {array.dtype}")
        array = _in_dtype(array, dtype, python=not isinstance(value, np.ndarray | np.generic))
    except (ValueError, OverflowError) as error:
        other = "" if beside is None else f" beside {describe(beside)} of {beside.spec}"
        raise GraphError(f"a constant{other}, at {format_site(user_site())}: {error}") from None
    array.flags.writeable = False
    return array


def _in_dtype(array: Array, dtype: DTypeLike | None, python: bool) -> Array:
    if dtype is None:
        usual = {"f": DEFAULT_FLOAT, "i": np.dtype(np.int32)} if python else {}
        return array.astype(usual.get(array.dtype.kind, array.dtype), copy=False)
    if array.size and not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ShapeError(f"{spec_of(array)} does not become {np.dtype(dtype).name} without loss; cast it yourself")
    return array.astype(dtype, copy=False)
