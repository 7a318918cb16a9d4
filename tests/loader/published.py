"""Small published partitions of examples, whose rows can be told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.features import FeatureSpec
from pipeline.storage import FileEntry, Manifest, write_manifest

SPECS = (
    FeatureSpec("user_id", "id", vocabulary="user_id"),
    FeatureSpec("amount", "number", log=True),
    FeatureSpec("ctr", "rate", smoothing=5.0),
    FeatureSpec("recent", "sequence", vocabulary="item_id", length=3),
    FeatureSpec("cross_a", "cross", of=("user_id", "user_id"), buckets=7),
)


def rows(first: int, count: int) -> pa.Table:
    """Rows `first`..: `user_id` is the row's number, every fourth amount, every fifth list and rate is null."""
    numbers = np.arange(first, first + count)
    return pa.table(
        {
            "example_id": [f"e{n}" for n in numbers],
            "event_time": pa.array(numbers * 1_000_000, pa.timestamp("us", tz="UTC")),
            "weight": pa.array(1.0 + numbers % 3, pa.float32()),
            "label_enter": pa.array(numbers % 2, pa.float32()),
            "user_id": pa.array(numbers, pa.int32()),
            "amount": pa.array([None if n % 4 == 0 else n * 0.5 for n in numbers], pa.float32()),
            "ctr__num": pa.array([None if n % 5 == 0 else n for n in numbers], pa.float32()),
            "ctr__den": pa.array(2 * numbers, pa.float32()),
            "recent": pa.array(
                [None if n % 5 == 0 else list(range(n, n + n % 5)) for n in numbers], pa.list_(pa.int32())
            ),
            "money": pa.array([None if n % 7 == 0 else 2**53 + 1 + n for n in numbers], pa.int64()),
        }
    )


def publish(folder: Path, tables: Sequence[pa.Table], row_group: int) -> str:
    """Write one file a table, with row groups of at most `row_group` rows, and the manifest."""
    (folder / "data-1").mkdir(parents=True)
    entries = []
    for number, table in enumerate(tables):
        path = folder / "data-1" / f"part-{number:05d}.parquet"
        pq.write_table(table, path, row_group_size=row_group)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(FileEntry(f"data-1/{path.name}", table.num_rows, path.stat().st_size, digest))
    commit(folder, entries)
    return str(folder)


def commit(folder: Path, entries: Sequence[FileEntry]) -> None:
    """The manifest of these files."""
    count = sum(entry.rows for entry in entries)
    digest = hashlib.sha256("".join(entry.sha256 for entry in entries).encode()).hexdigest()
    names = {"dataset": "examples", "product": "live", "dt": "2026-01-03", "origin": "simulated", "run": "1"}
    fields: dict[str, Any] = {**names, "schema": {}, "inputs": (), "key": "", "config_hash": "", "code_version": ""}
    manifest = Manifest(files=tuple(entries), rows=count, content_digest=digest[:16], **fields)
    write_manifest(str(folder), manifest)


def publish_rows(folder: Path, sizes: Sequence[int], row_group: int) -> str:
    """Files of so many rows each, numbered through."""
    starts = np.cumsum([0, *sizes])[:-1]
    return publish(folder, [rows(int(start), size) for start, size in zip(starts, sizes, strict=True)], row_group)
