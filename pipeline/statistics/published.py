"""The statistics of a day as they were published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from pipeline.days import Day
from pipeline.storage import Warehouse, data_files, files_at, has_manifest

STATISTICS = "statistics"


@dataclass(frozen=True)
class ColumnStatistics:
    """One row: what was counted of a column (schemas.STATISTICS)."""

    dataset: str
    column: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    min: str | None
    max: str | None
    unknown: int | None
    positive: int | None
    quantiles: tuple[float, ...]
    histogram: Mapping[int, int]
    """Bin -> rows."""
    top: Mapping[str, int]
    """Value -> rows, most frequent first."""

    @property
    def null_rate(self) -> float:
        """Share of nulls."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def unknown_rate(self) -> float | None:
        """Share of unknown ids; None of what is no id."""
        return None if self.unknown is None else self.unknown / self.rows if self.rows else 0.0

    @property
    def label_rate(self) -> float | None:
        """Share of positives; None of what is no label."""
        return None if self.positive is None else self.positive / self.rows if self.rows else 0.0


DayStatistics = Mapping[tuple[str, str], ColumnStatistics]
"""(dataset, column) -> its row."""


def read_statistics(warehouse: Warehouse, day: Day) -> DayStatistics | None:
    """All rows of a day, in the order of their keys; None when the day has none."""
    folder = warehouse.folder(STATISTICS, day)
    if not has_manifest(folder):
        return None
    rows = [row for path in data_files(folder) for row in _rows(path)]
    return {(row.dataset, row.column): row for row in sorted(rows, key=lambda row: (row.dataset, row.column))}


def _rows(path: str) -> list[ColumnStatistics]:
    with files_at(path).open(path) as file:
        return [_row(fields) for fields in pq.ParquetFile(file).read().to_pylist()]


def _row(fields: dict[str, Any]) -> ColumnStatistics:
    histogram = {entry["bin"]: entry["count"] for entry in fields.pop("histogram")}
    top = {entry["value"]: entry["count"] for entry in fields.pop("top")}
    return ColumnStatistics(**{**fields, "quantiles": tuple(fields["quantiles"])}, histogram=histogram, top=top)
