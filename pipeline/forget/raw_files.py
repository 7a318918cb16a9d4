"""Raw files with the lines of a user: found by Spark, written again without them by one task a file.

All other bytes of a file stay, in their order; what is compressed is compressed again. Of Parquet the rows stay, with
their row groups and types. A folder with a manifest gets files of other names and then its manifest; any other file is
replaced as it lies there.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config, Source
from pipeline.days import Day, parse_day
from pipeline.errors import ConfigError, MissingInput
from pipeline.forget.lines import HIS, judged
from pipeline.forget.person import Person
from pipeline.forget.rewrite import Rewritten, without_lines, without_rows
from pipeline.raw import Outside, RawLogs
from pipeline.raw_table import table_files
from pipeline.steps.clean_logs import raw_lines
from pipeline.storage import (
    DATA,
    MANIFEST,
    Warehouse,
    describe_file,
    files_at,
    has_manifest,
    path_of,
    read_manifest,
    write_manifest,
)

ANY_DAY = "-".join(("[0-9]" * 4, "[0-9]" * 2, "[0-9]" * 2))


@dataclass(frozen=True)
class Delivery:
    """The raw files of a source that are read together, and its column that names users; `folder` is theirs where it
    has a manifest."""

    name: str
    source: Source
    column: str
    paths: tuple[str, ...]
    folder: str | None


def deliveries(config: Config, raw: RawLogs, person: Person) -> Iterator[Delivery]:
    """Everything that was delivered, of days that were never built too. DamagedData names what cannot be read."""
    for name, column in person.sources.items():
        source = config.sources[name]
        if config.table is not None and name == config.datasets.rows:
            found: Iterator[Outside] = iter(table_files(config, raw).values())
        else:
            found = _of_events(raw, name, source)
        for files in found:
            yield Delivery(name, source, column, files.paths, _folder(files))


def holdings(spark: SparkSession, config: Config, delivery: Delivery, person: Person) -> list[tuple[str, int]]:
    """(path, lines) of the files with lines of his."""
    his = _his(spark, config, delivery, person)
    return sorted(
        (path_of(row["source_file"]), int(row["count"])) for row in his.groupBy("source_file").count().collect()
    )


def rewrite(spark: SparkSession, config: Config, delivery: Delivery, person: Person) -> None:
    """Write the files again that hold lines of his. A job killed at any instant leaves a file as it was or without
    them."""
    his, run = _his(spark, config, delivery, person), uuid.uuid4().hex[:12]
    parquet, folder = delivery.source.format == "parquet", delivery.folder
    mark = F.col("row_index") if parquet else F.sha2("line", 256)
    marks = his.groupBy("source_file").agg(
        F.count("*").alias("lines"), F.sort_array(F.collect_set(mark)).alias("marks")
    )

    def one(path: str, lines: int, found: list[Any]) -> Rewritten:
        target = path if folder is None else f"{folder}/{DATA}{run}/{path.rpartition('/')[2]}"
        return (without_rows if parquet else without_lines)(path, target, found, lines)

    done = marks.rdd.map(lambda row: one(path_of(row["source_file"]), row["lines"], row["marks"])).collect()
    if folder is not None and done:
        _commit(folder, done)


def _commit(folder: str, done: Sequence[Rewritten]) -> None:
    """The manifest of a folder with the files that were written for others; then those go."""
    old, by_name = read_manifest(folder), {one.path.removeprefix(f"{folder}/"): one for one in done}
    files = []
    for entry in old.files:
        one = by_name.get(entry.name)
        named = None if one is None else one.target.removeprefix(f"{folder}/")
        files.append(entry if one is None or named is None else describe_file(folder, named, entry.rows - one.lines))
    digest = (int(old.content_digest, 16) - sum(one.digest for one in done)) % 2**64
    rows = sum(entry.rows for entry in files)
    write_manifest(folder, replace(old, files=tuple(files), rows=rows, content_digest=f"{digest:016x}"))


def remove_unlisted(warehouse: Warehouse, paths: Sequence[str]) -> None:
    """In raw folders with a manifest, remove the files that it does not list."""
    storage = files_at(warehouse.root)
    for folder in paths:
        listed = {f"{folder}/{entry.name}" for entry in read_manifest(folder).files}
        for name in storage.names(folder):
            inside = f"{folder}/{name}"
            if name.startswith(DATA):
                for file in storage.names(inside):
                    if f"{inside}/{file}" not in listed:
                        storage.remove(f"{inside}/{file}")
                if not storage.names(inside):
                    storage.remove(inside)


def _his(spark: SparkSession, config: Config, delivery: Delivery, person: Person) -> DataFrame:
    raw = raw_lines(spark, delivery.paths, delivery.source)
    return judged(config, delivery.source, delivery.column, raw, person.text).where(HIS)


def _of_events(raw: RawLogs, name: str, source: Source) -> Iterator[Outside]:
    patterns = [raw.pattern(source, day) for day in _days(raw, source)] if source.has_day else [raw.full(source.path)]
    for pattern in patterns:
        try:
            found = raw.at(name, pattern, "path")
        except MissingInput:
            continue
        if found.paths:
            yield found


def _days(raw: RawLogs, source: Source) -> list[Day]:
    """Every day that a path of the source may name."""
    pattern = raw.full(source.path.replace("{dt}", ANY_DAY))
    storage, folder = files_at(pattern), pattern.rpartition("/")[0]
    paths = [*storage.glob(pattern), *storage.glob(f"{folder}/{MANIFEST}")]
    texts = {text for path in paths for text in re.findall(r"(?=(\d{4}-\d\d-\d\d))", path)}
    return sorted(day for text in texts if (day := _day(text)) is not None)


def _day(text: str) -> Day | None:
    try:
        return parse_day(text)
    except ConfigError:
        return None


def _folder(files: Outside) -> str | None:
    """Where the manifest lies that lists the files, if one does."""
    above = files.paths[0].rpartition("/")[0]
    return next((folder for folder in (above, above.rpartition("/")[0]) if _lists(folder, files.paths[0])), None)


def _lists(folder: str, path: str) -> bool:
    return has_manifest(folder) and path in {f"{folder}/{entry.name}" for entry in read_manifest(folder).files}
