"""The sequence of a dataset: files in manifest order, row groups in file order, rows in row-group order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DamagedData
from pipeline.storage import data_files, files_at, read_manifest

ROW_GROUP_ROWS = 131_072
"""A larger row group would make the memory of a window unbounded."""


@dataclass(frozen=True)
class RowGroup:
    """One row group: its file, its number there, its rows, and the place of its first row in the sequence."""

    path: str
    index: int
    rows: int
    start: int


@dataclass(frozen=True)
class Layout:
    """All row groups of the folders in sequence, and a digest of what they hold."""

    groups: tuple[RowGroup, ...]
    digest: str

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(group.rows for group in self.groups)


def read_layout(folders: Sequence[str]) -> Layout:
    """The layout of published partitions, in the order given.

    Raises MissingInput where nothing is published, DamagedData naming a file that is no Parquet file or whose row
    groups are too large.
    """
    groups: list[RowGroup] = []
    start = 0
    for folder in folders:
        for path in data_files(folder):
            for index, rows in enumerate(_row_groups(path)):
                groups.append(RowGroup(path, index, rows, start))
                start += rows
    content = [read_manifest(folder).content_digest for folder in folders] + [str(group.rows) for group in groups]
    return Layout(tuple(groups), hashlib.sha256("/".join(content).encode()).hexdigest())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _row_groups(path: str) -> list[int]:
    try:
        with files_at(path).open(path) as file:
            footer = pq.ParquetFile(file).metadata
            rows = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise DamagedData(f"{path} cannot be read as Parquet ({_one_line(error)}); build this day again") from None
    if max(rows, default=0) > ROW_GROUP_ROWS:
        raise DamagedData(
            f"{path} has a row group of {max(rows)} rows, at most {ROW_GROUP_ROWS} can be shuffled in memory; "
            f"lay the day out again: python -m jobs.compact --dataset NAME --dt DAY"
        )
    return rows
