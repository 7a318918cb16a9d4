"""What is known of an array before it exists: its dtype and a shape in which some or all sizes may be unknown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tsengine.errors import ShapeError

Array = NDArray[Any]
Shape = tuple[int | None, ...]
CACHE_LINE = 64
DEFAULT_FLOAT = np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class Spec:
    """dtype and shape; a size of None is unknown, a shape of None has unknown rank."""

    dtype: np.dtype[Any]
    shape: Shape | None

    @property
    def rank(self) -> int | None:
        """Number of axes, None where unknown."""
        return None if self.shape is None else len(self.shape)

    @property
    def known(self) -> bool:
        """Whether every size is known."""
        return self.shape is not None and None not in self.shape

    @property
    def is_float(self) -> bool:
        """Whether a gradient can flow through values of this dtype."""
        return self.dtype.kind == "f"

    def with_shape(self, shape: Shape | None) -> Spec:
        """The same dtype in another shape."""
        return Spec(self.dtype, shape)

    def __str__(self) -> str:
        return f"{self.dtype.name}{format_shape(self.shape)}"


def spec(dtype: DTypeLike, shape: Sequence[int | None] | None) -> Spec:
    """A Spec from anything NumPy takes as a dtype and any sequence of sizes."""
    return Spec(np.dtype(dtype), None if shape is None else tuple(shape))


def spec_of(array: Array) -> Spec:
    """The fully known spec of an array that exists."""
    return Spec(array.dtype, array.shape)


def byte_size(value: Spec | None) -> int:
    """Bytes of a fully known spec; 0 for an operation."""
    if value is None or value.shape is None:
        return 0
    return value.dtype.itemsize * math.prod(size or 0 for size in value.shape)


def aligned(shape: Sequence[int], dtype: DTypeLike) -> Array:
    """A new array, not filled, that begins at a cache line. A table's row of 64 bytes is then one line and not two."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    room = np.empty(size + CACHE_LINE, np.uint8)
    begin = -room.__array_interface__["data"][0] % CACHE_LINE
    return room[begin : begin + size].view(kind).reshape(shape)


def format_shape(shape: Shape | None) -> str:
    """`[?,3]`; unknown sizes are `?`, unknown rank is `[...]`."""
    if shape is None:
        return "[...]"
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"


def broadcast(*shapes: Shape | None) -> Shape | None:
    """The shape of an element-wise result by NumPy's rule. An unknown size against n > 1 is taken to be n."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    first = known[0]
    if all(shape == first for shape in known):
        return first
    rank = max(map(len, known))
    padded = [(1,) * (rank - len(shape)) + shape for shape in known]
    return tuple(_broadcast_size(sizes, known) for sizes in zip(*padded, strict=True))


def _broadcast_size(sizes: tuple[int | None, ...], shapes: list[Shape]) -> int | None:
    fixed = {size for size in sizes if size is not None and size != 1}
    if len(fixed) > 1:
        raise ShapeError("shapes " + " and ".join(map(format_shape, shapes)) + " cannot be broadcast together")
    if fixed:
        return fixed.pop()
    return None if None in sizes else 1


def fits(actual: Sequence[int | None], expected: Shape | None) -> bool:
    """Whether a shape is one that `expected` allows."""
    if expected is None:
        return True
    pairs = zip(actual, expected, strict=False)
    return len(actual) == len(expected) and all(want is None or have is None or have == want for have, want in pairs)


def same_dtype(*specs: Spec) -> np.dtype[Any]:
    """The one dtype of all specs; mixing dtypes is refused because a silent cast hides a mistake."""
    first = specs[0].dtype
    if any(other.dtype != first for other in specs):
        raise ShapeError(
            "dtypes " + ", ".join(item.dtype.name for item in specs) + " differ; cast one of them with tsengine.cast"
        )
    return first


def need_rank(value: Spec, ranks: tuple[int, ...], what: str) -> None:
    """Refuse a value whose rank is known and not among `ranks`."""
    if value.rank is not None and value.rank not in ranks:
        raise ShapeError(f"{what} must have rank {' or '.join(map(str, ranks))}, got {value}")


def need_kind(value: Spec, kinds: str, what: str) -> None:
    """Refuse a dtype whose NumPy kind letter is not in `kinds` ('f' float, 'iu' integer, 'b' bool)."""
    words = {"f": "floating", "i": "integer", "u": "unsigned", "b": "bool"}
    if value.dtype.kind not in kinds:
        raise ShapeError(f"{what} must be {' or '.join(words[kind] for kind in kinds)}, got {value.dtype.name}")
