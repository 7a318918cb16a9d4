"""Arrays at the model's two doors: checked once, with every fault named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact.errors import BadBatch
from pipeline.features import NULL_ID
from pipeline.models import Input

Batch = dict[str, NDArray[Any]]

_KINDS = {"string": "OU", "float32": "f", "int32": "iu", "int64": "iu"}
_WORDS = {"string": "str (dtype object or U)", "float32": "float32", "int32": "an integer", "int64": "an integer"}
DTYPES = {"string": object, "float32": np.float32, "int32": np.int32, "int64": np.int64}
"""NumPy's name for each dtype of a door."""
INT32_MAX = 2**31 - 1


def checked(inputs: Iterable[Input], batch: Mapping[str, Any]) -> Batch:
    """The arrays of the door `inputs`, each in the door's own dtype; names that the door does not know are left out.

    A hash keeps its 64 bits, signed or not. A negative id is null (int64 min is how a client says it), one beyond int32
    its largest, which no vocabulary knows; a length is brought into [0, largest].
    BadBatch lists every input that is missing, of another kind, of another shape or of another number of rows.
    """
    arrays = {entry.name: np.asarray(batch[entry.name]) for entry in inputs if entry.name in batch}
    counts = {len(array) for array in arrays.values() if array.ndim}
    faults = [fault for entry in inputs for fault in _faults(entry, arrays)]
    if len(counts) > 1:
        faults.append(f"inputs have different numbers of rows: {sorted(counts)}")
    if faults:
        raise BadBatch("this batch does not fit the model: " + "; ".join(faults))
    return {entry.name: _taken_in(entry, arrays[entry.name]) for entry in inputs}


def _taken_in(entry: Input, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "iu":
        if entry.largest is not None:
            array = np.clip(array, 0, entry.largest)
        elif entry.dtype == "int32" and array.size and not (array.min() >= 0 and array.max() <= INT32_MAX):
            array = np.where(array < 0, NULL_ID, np.minimum(array, INT32_MAX))
    return array.astype(DTYPES[entry.dtype], copy=False)


def rows_of(batch: Mapping[str, NDArray[Any]], rows: Any) -> Batch:
    """The rows that a slice, an index list or a mask picks."""
    return {name: array[rows] for name, array in batch.items()}


def row_count(batch: Mapping[str, NDArray[Any]]) -> int:
    """Rows of a checked batch."""
    return len(next(iter(batch.values())))


def _faults(entry: Input, arrays: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    array = arrays.get(entry.name)
    if array is None:
        yield f"{entry.name!r} is missing"
        return
    if array.dtype.kind not in _KINDS[entry.dtype]:
        yield f"{entry.name!r} must be {_WORDS[entry.dtype]}, got {array.dtype}"
    elif array.dtype.kind == "O" and (strange := set(map(type, array.ravel().tolist())) - {str}):
        named = ", ".join(sorted(kind.__name__ for kind in strange))
        yield f'{entry.name!r} must hold str alone, got {named} among them; null is ""'
    if array.shape[1:] != entry.shape or array.ndim == 0:
        wanted = ", ".join(map(str, ("rows", *entry.shape)))
        yield f"{entry.name!r} must have shape [{wanted}], got {list(array.shape)}"
