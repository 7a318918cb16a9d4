"""Row groups to NumPy arrays, as the model wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import DamagedData
from pipeline.features import NULL_ID, FeatureSpec
from pipeline.loader.layout import RowGroup
from pipeline.storage import files_at

Batch = dict[str, NDArray[Any]]
"""Input name -> array; the first axis is the row."""


def columns_of(specs: Sequence[FeatureSpec]) -> list[str]:
    """The columns of examples that the specs need."""
    return [column for spec in specs for column in spec.columns]


def read_group(group: RowGroup, columns: Sequence[str]) -> pa.Table:
    """Some columns of one row group.

    Raises DamagedData naming the file when a column is absent or a page cannot be read.
    """
    try:
        with files_at(group.path).open(group.path) as file:
            parquet = pq.ParquetFile(file)
            if absent := [name for name in columns if name not in parquet.schema_arrow.names]:
                raise DamagedData(f"{group.path} has no columns {absent}; build the examples again with this config")
            return parquet.read_row_group(group.index, columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DamagedData(f"{group.path} cannot be read ({error}); build this day again") from None


def decode(table: pa.Table, specs: Sequence[FeatureSpec], label: str, path: str) -> Batch:
    """The model's inputs, and `label` and `weight`, float32 [n], of rows that lie in the file `path`.

    Ids are int32 [n] (null = 1), numbers float32 [n] (null = NaN), rates float32 [n] (null = 0), sequences int32
    [n, length] with their newest values to the left, oldest first, and `__length` int32 [n].
    Raises DamagedData naming the file when a column cannot be that: another type, an id beyond int32, a null label.
    """
    try:
        return _decoded(table, specs, label)
    except (pa.ArrowException, ValueError) as error:
        raise DamagedData(f"{path}: {error}; build this day again") from None


def _decoded(table: pa.Table, specs: Sequence[FeatureSpec], label: str) -> Batch:
    batch: Batch = {}
    for spec in specs:
        if spec.kind == "sequence":
            batch[spec.name], batch[f"{spec.name}__length"] = _padded(table.column(spec.name), spec)
        elif spec.kind == "id":
            batch[spec.name] = _array(table.column(spec.name), spec.name, pa.int32(), NULL_ID)
        else:
            fill = 0.0 if spec.kind == "rate" else np.nan
            batch |= {name: _array(table.column(name), name, pa.float32(), fill) for name in spec.columns}
    for name, column in (("label", label), ("weight", "weight")):
        batch[name] = _array(table.column(column), column, pa.float32(), None)
    return batch


def plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column as it lies: times as int64 microseconds; text, lists, and integers or times with nulls as objects.

    An integer never passes through a float, which would change ids above 2^53.
    """
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
    if pa.types.is_integer(column.type) and column.null_count:
        return np.array(column.to_pylist(), dtype=object)
    return np.asarray(column.to_numpy())


def _array(column: pa.ChunkedArray, name: str, dtype: pa.DataType, fill: float | None) -> NDArray[Any]:
    """A column as that type, nulls filled; ValueError where it cannot be, or has nulls and nothing fills them."""
    if fill is None and column.null_count:
        raise ValueError(f"column {name!r} has {column.null_count} nulls, every row must have a value")
    try:
        typed = column.cast(dtype, safe=pa.types.is_integer(dtype))
    except pa.ArrowException as error:
        raise ValueError(f"column {name!r} is {column.type}, expected {dtype} ({error})") from None
    return np.asarray((typed.fill_null(pa.scalar(fill, dtype)) if column.null_count else typed).to_numpy())


def _padded(column: pa.ChunkedArray, spec: FeatureSpec) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The last `length` values of each list, to the left of zeros, and how many there are; a null list is empty."""
    lists, length = column.combine_chunks(), spec.length or 0
    if not pa.types.is_list(lists.type):
        raise ValueError(f"column {spec.name!r} is {lists.type}, expected a list of int32")
    sizes = np.asarray(lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    values = _array(pa.chunked_array([lists.flatten()]), spec.name, pa.int32(), NULL_ID)
    kept = np.minimum(sizes, length)
    inside = np.arange(length) < kept[:, None]
    padded = np.zeros((len(sizes), length), np.int32)
    padded[inside] = values[((np.cumsum(sizes) - kept)[:, None] + np.arange(length))[inside]]
    return padded, kept.astype(np.int32)
