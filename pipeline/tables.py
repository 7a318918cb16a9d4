"""Spark's side of the door: read exactly what a manifest lists, publish so that a reader never sees a half.

Publishing: write files into a fresh folder `data-<run>`, look at what was written (one task a file: rows, bytes,
SHA-256; one pass over the rows: the content digest), then replace the manifest. Nothing before the last step can be
seen; a job killed at any instant leaves the old dataset.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.days import Day
from pipeline.errors import DamagedData, PipelineError, Refused
from pipeline.schemas import Columns, ddl
from pipeline.session import ROW_GROUP_ROWS
from pipeline.storage import (
    FileEntry,
    Manifest,
    Warehouse,
    data_files,
    describe_file,
    files_at,
    has_manifest,
    read_manifest,
    sweep,
    write_manifest,
)


@dataclass(frozen=True)
class Publication:
    """What a dataset's day is called, how its rows are laid out in files, and what it was made from."""

    dataset: str
    day: Day
    columns: Columns
    key_columns: tuple[str, ...]
    files: int = 1
    origin: str = "collected"
    inputs: tuple[Mapping[str, str], ...] = ()
    key: str = ""
    config_hash: str = ""
    code_version: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    replaces: Manifest | None = None
    """The version that this one only lays out in other files: it is committed with the same rows over that one only."""


def read_table(spark: SparkSession, folder: str, columns: Columns) -> DataFrame:
    """The published rows of a dataset's day, with the columns that the schema says.

    Raises MissingInput when nothing is published, DamagedData when a file is missing or cut.
    """
    files = data_files(folder)
    return spark.read.schema(ddl(columns)).parquet(*files) if files else spark.createDataFrame([], ddl(columns))


def publish(warehouse: Warehouse, table: DataFrame, publication: Publication) -> Manifest:
    """Write, check, commit; returns the manifest.

    Raises Refused when the dataset belongs to another product, PipelineError when the table breaks its schema; where
    it only replaces a version, DamagedData when its rows are others, Refused when another one has come meanwhile.
    """
    folder = warehouse.folder(publication.dataset, publication.day)
    if warehouse.owner(publication.dataset) != warehouse.product:
        raise Refused(
            f"{publication.dataset} is the base's, product {warehouse.base!r}; {warehouse.product!r} reads it"
        )
    refuse_foreign(folder, warehouse.product)
    run = uuid.uuid4().hex[:12]
    _write(_conform(table, publication), f"{folder}/data-{run}", publication)
    files = _check_files(table.sparkSession, folder, f"data-{run}")
    rows, digest = _content(table.sparkSession, folder, files, publication.columns)
    if rows != sum(entry.rows for entry in files):
        raise DamagedData(f"{folder}/data-{run}: footers count {sum(e.rows for e in files)} rows, reading gives {rows}")
    if publication.replaces is not None:
        _check_replaces(folder, publication.replaces, rows, digest)
    manifest = _manifest(warehouse.product, publication, run, files, digest)
    write_manifest(folder, manifest)
    sweep(folder)
    return manifest


def content_digest(table: DataFrame) -> tuple[int, str]:
    """Rows, and the order-free sum of xxh64 over them modulo 2^64 as 16 hex digits.

    A null counts as a value of its own, so a value cannot move between columns unseen. Where a line lay
    (`source_file`) is no content.
    """
    columns = [F.col(f"`{name}`") for name in table.columns if name != "source_file"]
    row_hash = F.xxhash64(*columns, F.array(*[column.isNull() for column in columns]))
    total = table.select(row_hash.cast("decimal(20,0)").alias("hash")).agg(F.count("*"), F.sum("hash")).first()
    assert total is not None
    return int(total[0]), f"{int(total[1] or 0) % 2**64:016x}"


def refuse_foreign(folder: str, product: str) -> None:
    """Raise Refused when what is published there belongs to another product."""
    if has_manifest(folder) and (owner := read_manifest(folder).product) != product:
        raise Refused(
            f"{folder} belongs to product {owner!r}, not to {product!r}; give this product a warehouse of its own"
        )


def _check_replaces(folder: str, old: Manifest, rows: int, digest: str) -> None:
    if (rows, digest) != (old.rows, old.content_digest):
        raise DamagedData(
            f"{folder} holds {rows} rows with digest {digest}, its manifest says {old.rows} rows with digest "
            f"{old.content_digest}; build this day again"
        )
    if read_manifest(folder).run != old.run:
        raise Refused(f"{folder} was published again meanwhile; it stays as it is. Type the same command once more")


def _conform(table: DataFrame, publication: Publication) -> DataFrame:
    """The table's columns in the schema's order; a difference in names or types is an error of the step."""
    expected = table.sparkSession.createDataFrame([], ddl(publication.columns)).schema
    came = {field.name: field.dataType.simpleString() for field in table.schema}
    wanted = {field.name: field.dataType.simpleString() for field in expected}
    if came != wanted:
        differing = sorted(name for name in {*came, *wanted} if came.get(name) != wanted.get(name))
        lines = [
            f"  {name}: schema says {wanted.get(name, 'absent')}, step gave {came.get(name, 'absent')}"
            for name in differing
        ]
        raise PipelineError(f"{publication.dataset} does not follow its schema:\n" + "\n".join(lines))
    return table.select(*[F.col(f"`{name}`") for name in publication.columns])


def _write(table: DataFrame, folder: str, publication: Publication) -> None:
    """Files in an order that a rebuild repeats: rows by hash of the key into files, sorted by the key in each."""
    keys = [F.col(f"`{name}`") for name in publication.key_columns]
    placed = table.repartition(publication.files, *keys) if keys else table.coalesce(publication.files)
    (placed.sortWithinPartitions(*keys) if keys else placed).write.parquet(folder)


def _check_files(spark: SparkSession, folder: str, data: str) -> tuple[FileEntry, ...]:
    """Read back what lies on the storage, one task a file."""
    names = [f"{data}/{name}" for name in files_at(folder).names(f"{folder}/{data}") if name.endswith(".parquet")]
    if not names:
        return ()
    entries = (
        spark.sparkContext.parallelize(names, len(names)).map(lambda name: _describe_parquet(folder, name)).collect()
    )
    return tuple(entry for entry in entries if entry.rows)


def _describe_parquet(folder: str, name: str) -> FileEntry:
    import pyarrow.parquet as pq

    with files_at(folder).open(f"{folder}/{name}") as file:
        footer = pq.ParquetFile(file).metadata
        largest = max((footer.row_group(i).num_rows for i in range(footer.num_row_groups)), default=0)
        if largest > ROW_GROUP_ROWS:
            raise DamagedData(
                f"{folder}/{name} has a row group of {largest} rows; at most {ROW_GROUP_ROWS} are allowed"
            )
    return describe_file(folder, name, footer.num_rows)


def _content(spark: SparkSession, folder: str, files: Sequence[FileEntry], columns: Columns) -> tuple[int, str]:
    if not files:
        return 0, f"{0:016x}"
    return content_digest(spark.read.schema(ddl(columns)).parquet(*[f"{folder}/{entry.name}" for entry in files]))


def _manifest(product: str, publication: Publication, run: str, files: Sequence[FileEntry], digest: str) -> Manifest:
    return Manifest(
        dataset=publication.dataset,
        product=product,
        dt=str(publication.day),
        origin=publication.origin,
        run=run,
        files=tuple(files),
        rows=sum(entry.rows for entry in files),
        schema=publication.columns,
        content_digest=digest,
        inputs=publication.inputs,
        key=publication.key,
        config_hash=publication.config_hash,
        code_version=publication.code_version,
        extra=publication.extra,
    )
