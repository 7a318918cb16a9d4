"""Simulated raw logs on the storage, as a collector would deliver them, with the truth beside them.

Every user block is one task that writes its own files; the manifests come last: a raw day appears whole or not at all.
"""

from __future__ import annotations

import gzip
import io
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.errors import ConfigError, Refused
from pipeline.schemas import TRUTH_EXPOSURES, TRUTH_LINES, Columns
from pipeline.simulate import BlockLogs, SimulationConfig, build_world, simulate_block, simulate_catalog
from pipeline.storage import (
    MANIFEST,
    FileEntry,
    Manifest,
    Warehouse,
    describe_file,
    digest_of,
    files_at,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RAW_LINE: Columns = {"line": "binary"}
CATALOG = -1
"""The task that writes streamers and rooms."""


@dataclass(frozen=True)
class Piece:
    """What one task wrote of one day of one dataset: a file, and the order-free digest of its rows."""

    dataset: str
    day: Day
    columns: Columns
    entry: FileEntry
    digest: int


def refuse_foreign(product: str) -> None:
    """Raise Refused unless all that lies under the product's folder was made from simulated logs."""
    storage, folders = files_at(product), [product]
    while folders:
        folder = folders.pop()
        for name in storage.names(folder):
            path = f"{folder}/{name}"
            if name == MANIFEST and (origin := read_manifest(folder).origin) != "simulated":
                raise Refused(_would_delete(folder, f"was made from {origin} logs"))
            if name.startswith("data-"):
                continue
            if not storage.is_folder(path):
                if f"{product}/raw/" in path and name != MANIFEST:
                    raise Refused(_would_delete(path, "was not written by the simulator"))
                continue
            folders.append(path)


def _would_delete(path: str, why: str) -> str:
    return (
        f"{path} {why}, and this job empties the product's folder first. Give another: --set product.warehouse=FOLDER"
    )


def simulate_logs(config: Config, warehouse: Warehouse, spark: SparkSession) -> dict[str, int]:
    """Write raw logs and truth of all days; returns the lines by source.

    Raises ConfigError when the config has no [simulate].
    """
    simulation = simulation_config(config)
    run = uuid.uuid4().hex[:12]
    tasks = spark.sparkContext.parallelize([CATALOG, *range(simulation.blocks)], simulation.blocks + 1)
    pieces = tasks.flatMap(lambda block: list(write_block(simulation, warehouse, run, block))).collect()
    days = [add_days(config.product.first_day, i) for i in range(simulation.days)]
    lines = _commit(config, warehouse, run, pieces, days)
    return {name.removeprefix("raw/"): count for name, count in sorted(lines.items()) if name.startswith("raw/")}


def simulation_config(config: Config) -> SimulationConfig:
    """The simulation that a product's config asks for."""
    asked = config.simulate
    if asked is None:
        raise ConfigError(f"product {config.product.name!r} has no [simulate] section: there is nothing to simulate")
    sizes = {name: value for name in ("users", "streamers") if (value := getattr(asked, name)) is not None}
    return SimulationConfig(
        seed=asked.seed,
        days=asked.days,
        first_day=config.product.first_day,
        day_zone=config.product.day_zone,
        lookback_days=config.clean.lookback_days,
        **sizes,
    )


def write_block(simulation: SimulationConfig, warehouse: Warehouse, run: str, block: int) -> Iterator[Piece]:
    """Write the files of one user block (or of the catalog), one for each dataset and day."""
    world = build_world(simulation)
    logs = simulate_catalog(world) if block == CATALOG else simulate_block(world, block)
    name = f"data-{run}/part-{block + 1:05d}"
    for (source, number), lines in logs.lines.items():
        yield _raw_piece(warehouse, f"raw/{source}", add_days(simulation.first_day, number), f"{name}.json.gz", lines)
    for dataset, day, columns, table in _truth_tables(simulation, logs):
        yield _truth_piece(warehouse, dataset, day, columns, f"{name}.parquet", table)


def _raw_piece(warehouse: Warehouse, dataset: str, day: Day, name: str, lines: Sequence[bytes]) -> Piece:
    folder = warehouse.folder(dataset, day)
    content = gzip.compress(b"\n".join(lines) + b"\n", compresslevel=4, mtime=0)
    files_at(folder).write_atomic(f"{folder}/{name}", content)
    digest = sum(xxhash.xxh64_intdigest(line) for line in lines)
    return Piece(dataset, day, RAW_LINE, describe_file(folder, name, len(lines)), digest)


def _truth_tables(simulation: SimulationConfig, logs: BlockLogs) -> Iterator[tuple[str, Day, Columns, pa.Table]]:
    truth = logs.exposures
    for number in range(simulation.days):
        date = add_days(simulation.first_day, number)
        if truth:
            today = truth["day"] == number
            columns = {"example_id": truth["example_id"], "p_true": truth["p_true"], "entered": truth["entered"]}
            yield (
                "truth/exposures",
                date,
                TRUTH_EXPOSURES,
                pa.table({k: pa.array(v[today]) for k, v in columns.items()}),
            )
        rows = [
            (source, line_id, kind, fate) for source, arrived, line_id, kind, fate in logs.dirt if arrived == number
        ]
        if rows:
            yield (
                "truth/lines",
                date,
                TRUTH_LINES,
                pa.table(dict(zip(TRUTH_LINES, zip(*rows, strict=True), strict=True))),
            )


def _truth_piece(warehouse: Warehouse, dataset: str, day: Day, columns: Columns, name: str, table: pa.Table) -> Piece:
    folder, buffer = warehouse.folder(dataset, day), io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    files_at(folder).write_atomic(f"{folder}/{name}", buffer.getvalue())
    digest = sum(xxhash.xxh64_intdigest(repr(row).encode()) for row in table.to_pylist())
    return Piece(dataset, day, columns, describe_file(folder, name, table.num_rows), digest)


def _commit(
    config: Config, warehouse: Warehouse, run: str, pieces: Sequence[Piece], days: Sequence[Day]
) -> dict[str, int]:
    """One manifest for every dataset and day; lines by dataset."""
    found: dict[tuple[str, Day], list[Piece]] = defaultdict(list)
    for piece in pieces:
        found[piece.dataset, piece.day].append(piece)
    lines: dict[str, int] = defaultdict(int)
    for (dataset, day), parts in sorted(found.items()):
        if day in days:
            manifest = _manifest(config, dataset, day, run, sorted(parts, key=lambda piece: piece.entry.name))
            write_manifest(warehouse.folder(dataset, day), manifest)
            lines[dataset] += manifest.rows
    return lines


def _manifest(config: Config, dataset: str, day: Day, run: str, parts: Sequence[Piece]) -> Manifest:
    asked: dict[str, Any] = config.simulate.model_dump(mode="json") if config.simulate else {}
    return Manifest(
        dataset=dataset,
        product=config.product.name,
        dt=str(day),
        origin="simulated",
        run=run,
        files=tuple(part.entry for part in parts),
        rows=sum(part.entry.rows for part in parts),
        schema=parts[0].columns,
        content_digest=f"{sum(part.digest for part in parts) % 2**64:016x}",
        inputs=(),
        key=digest_of(asked),
        config_hash=digest_of(asked),
        code_version="",
        extra={"simulate": asked},
    )
