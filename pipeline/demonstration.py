"""Simulated raw logs on the storage, as a collector would deliver them, with the truth beside them.

Every user block is one task that writes its own files; the manifests come last: a raw day appears whole or not at all.
"""

from __future__ import annotations

import gzip
import io
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline.config import Config
from pipeline.days import Day
from pipeline.errors import ConfigError, Refused
from pipeline.schemas import TRUTH_EXPOSURES, TRUTH_LINES, Columns
from pipeline.simulate import SOURCES, BlockLogs, SimulationConfig, build_world, simulate_block, simulate_catalog
from pipeline.storage import (
    DATA,
    MANIFEST,
    FileEntry,
    Files,
    Manifest,
    Warehouse,
    describe_file,
    digest_of,
    files_at,
    is_temporary,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RAW, TRUTH = "raw", "truth"
"""Folders of a product that a simulation fills."""
RAW_LINE: Columns = {"line": "binary"}
TRUTHS = {f"{TRUTH}/exposures": TRUTH_EXPOSURES, f"{TRUTH}/lines": TRUTH_LINES}
ARROW_TYPES = {"string": pa.string(), "double": pa.float64(), "boolean": pa.bool_()}
OUR_FILES = re.compile(r"part-.*|\.part-.*\.crc")
"""What Spark and this module write into a data folder; Spark puts a checksum beside each file."""
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


def make_room(warehouse: Warehouse, folders: Sequence[str] | None = None) -> None:
    """Remove what a product has (in these folders only, where given), and what killed jobs left in its folder.

    Raises Refused, and removes nothing, unless all that the product has was made from simulated logs.
    """
    product = warehouse.path().rstrip("/")
    refuse_foreign(product)
    storage = files_at(product)
    for name in storage.names(product):
        if folders is None or name in folders or is_temporary(name):
            storage.remove(f"{product}/{name}")


def refuse_foreign(product: str) -> None:
    """Raise Refused unless all that lies under the product's folder was made from simulated logs."""
    storage, folders = files_at(product), [product]
    while folders:
        folder = folders.pop()
        names = [name for name in storage.names(folder) if not is_temporary(name)]
        if published := MANIFEST in names:
            _refuse_collected(folder)
        for name in names:
            path = f"{folder}/{name}"
            if not storage.is_folder(path):
                if name != MANIFEST and path.startswith(f"{product}/{RAW}/"):
                    raise _would_delete(path, "was not written by the simulator")
            elif not name.startswith(DATA):
                folders.append(path)
            elif not published:
                _refuse_strange(storage, path)


def _refuse_collected(folder: str) -> None:
    if (origin := read_manifest(folder).origin) != "simulated":
        raise _would_delete(folder, f"was made from {origin} logs")


def _refuse_strange(storage: Files, data: str) -> None:
    """A data folder that nothing publishes may be what a killed job of ours left: then it holds our files only."""
    folders = [data]
    while folders:
        folder = folders.pop()
        for name in storage.names(folder):
            path = f"{folder}/{name}"
            if storage.is_folder(path):
                folders.append(path)
            elif not is_temporary(name) and not OUR_FILES.fullmatch(name):
                raise _would_delete(path, "was not written by the simulator")


def _would_delete(path: str, why: str) -> Refused:
    return Refused(
        f"{path} {why}, and this job would remove or hide it. Give another folder: --set product.warehouse=FOLDER"
    )


def simulate_logs(config: Config, warehouse: Warehouse, spark: SparkSession | None = None) -> dict[str, int]:
    """Write raw logs and truth of all days, in this process where there is no session; returns the lines by source.

    Raises ConfigError when the config has no [simulate].
    """
    simulation = simulation_config(config)
    run = uuid.uuid4().hex[:12]
    blocks = [CATALOG, *range(simulation.blocks)]

    def write(block: int) -> list[Piece]:
        return list(write_block(simulation, warehouse, run, block))

    if spark is None:
        pieces = [piece for block in blocks for piece in write(block)]
    else:
        pieces = spark.sparkContext.parallelize(blocks, len(blocks)).flatMap(write).collect()
    lines = _commit(config, warehouse, run, [*pieces, *_write_empty(simulation, warehouse, run, pieces)])
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
    name = f"{DATA}{run}/part-{block + 1:05d}"
    for (source, number), lines in logs.lines.items():
        yield _raw_piece(warehouse, f"{RAW}/{source}", simulation.dates[number], f"{name}.json.gz", lines)
    for dataset, day, columns in _truths(simulation, logs):
        yield _truth_piece(warehouse, dataset, day, f"{name}.parquet", columns)


def _write_empty(
    simulation: SimulationConfig, warehouse: Warehouse, run: str, pieces: Iterable[Piece]
) -> Iterator[Piece]:
    """An empty file where no block had anything of a day: that nothing happened is told too."""
    written = {(piece.dataset, piece.day) for piece in pieces}
    name = f"{DATA}{run}/part-empty"
    for day in simulation.dates:
        for source in SOURCES:
            if (f"{RAW}/{source}", day) not in written:
                yield _raw_piece(warehouse, f"{RAW}/{source}", day, f"{name}.json.gz", ())
        for dataset in TRUTHS:
            if (dataset, day) not in written:
                yield _truth_piece(warehouse, dataset, day, f"{name}.parquet", {})


def _raw_piece(warehouse: Warehouse, dataset: str, day: Day, name: str, lines: Sequence[bytes]) -> Piece:
    folder = warehouse.folder(dataset, day)
    content = gzip.compress(b"".join(line + b"\n" for line in lines), compresslevel=4, mtime=0)
    files_at(folder).write_atomic(f"{folder}/{name}", content)
    digest = sum(xxhash.xxh64_intdigest(line) for line in lines)
    return Piece(dataset, day, RAW_LINE, describe_file(folder, name, len(lines)), digest)


def _truths(simulation: SimulationConfig, logs: BlockLogs) -> Iterator[tuple[str, Day, dict[str, Any]]]:
    """Dataset, day and columns of what is true of a block's logs."""
    exposures, lines = TRUTHS
    for number, day in enumerate(simulation.dates):
        if logs.exposures:
            today = logs.exposures["day"] == number
            yield exposures, day, {name: logs.exposures[name][today] for name in TRUTH_EXPOSURES}
        rows = [(source, *line) for source, arrived, *line in logs.dirt if arrived == number]
        if rows:
            yield lines, day, dict(zip(TRUTH_LINES, zip(*rows, strict=True), strict=True))


def _truth_piece(warehouse: Warehouse, dataset: str, day: Day, name: str, columns: dict[str, Any]) -> Piece:
    folder, buffer = warehouse.folder(dataset, day), io.BytesIO()
    schema = pa.schema([(column, ARROW_TYPES[type_]) for column, type_ in TRUTHS[dataset].items()])
    table = pa.table(columns, schema=schema) if columns else schema.empty_table()
    pq.write_table(table, buffer, compression="zstd")
    files_at(folder).write_atomic(f"{folder}/{name}", buffer.getvalue())
    digest = sum(xxhash.xxh64_intdigest(repr(row).encode()) for row in table.to_pylist())
    return Piece(dataset, day, TRUTHS[dataset], describe_file(folder, name, table.num_rows), digest)


def _commit(config: Config, warehouse: Warehouse, run: str, pieces: Iterable[Piece]) -> dict[str, int]:
    """One manifest for every dataset and day; lines by dataset."""
    found: dict[tuple[str, Day], list[Piece]] = defaultdict(list)
    for piece in pieces:
        found[piece.dataset, piece.day].append(piece)
    lines: dict[str, int] = defaultdict(int)
    for (dataset, day), parts in sorted(found.items()):
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
