"""The published days of a product that say something of a user: one pass over each dataset finds them, and only these
are published again, without him."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.compaction import datasets as declared
from pipeline.compaction import published_as
from pipeline.config import Config
from pipeline.days import Day
from pipeline.forget.erasers import Eraser, eraser_of, quarantine_mark
from pipeline.forget.lines import HIS
from pipeline.forget.person import Person
from pipeline.road.vocab import FORGOTTEN
from pipeline.schemas import TOMBSTONE, ddl
from pipeline.storage import Warehouse, data_files, files_at, has_manifest, read_manifest
from pipeline.tables import publish, read_table

NO_DATASETS = ("raw", "truth", "models", "candidates", "checkpoints", "reports")
"""Folders of a product that hold no days of a dataset, or days that no user's id is in: the truth of a simulation knows
exposures and lines only."""
LAST = ("examples", "events")
"""Erased after the others, which ask what is his by them."""
REMOVED = "forgotten_rows"
"""What a manifest says besides: how many rows were taken out since the day was built."""


@dataclass(frozen=True)
class Holding:
    """A published day with rows that say something of him."""

    dataset: str
    day: Day
    rows: int


class Datasets:
    """Everything that a product has published, under whatever config it was."""

    def __init__(
        self, config: Config, spark: SparkSession, person: Person, headers: Mapping[str, Sequence[str | None]]
    ):
        self._spark, self._person, self._config = spark, person, config
        self._warehouse = Warehouse.of(config)
        self._keys = {name: dataset.key for name, dataset in declared(config).items()}
        self._quarantine = quarantine_mark(config, person, headers)

    def holdings(self) -> list[Holding]:
        """What is his, in the order in which it is to be erased."""
        found = [holding for name in self.names() for holding in self._of(name)]
        return sorted(found, key=lambda one: (one.dataset.partition("/")[0] in LAST, one.dataset, one.day))

    def erase(self, holding: Holding) -> None:
        """Publish the day without him. Its place on the road stays; the manifest says how many rows have gone."""
        folder = self._warehouse.folder(holding.dataset, holding.day)
        manifest = read_manifest(folder)
        eraser = self._eraser(holding.dataset, dict(manifest.schema))
        assert eraser is not None
        made = eraser.erase(eraser.mark(read_table(self._spark, folder, dict(manifest.schema))))
        extra = {**manifest.extra, REMOVED: manifest.extra.get(REMOVED, 0) + holding.rows}
        if holding.dataset.startswith("vocab/"):
            extra[FORGOTTEN] = {holding.dataset.removeprefix("vocab/"): self._tombstones(made)}
        publication = published_as(manifest, self._key(holding.dataset), len(manifest.files) or 1)
        publish(self._warehouse, made, replace(publication, extra=extra))

    def names(self) -> Iterator[str]:
        """Every dataset with days."""
        storage, root = files_at(self._warehouse.root), self._warehouse.path()
        folders = [name for name in storage.names(root) if name not in NO_DATASETS]
        while folders:
            name = folders.pop()
            inside = storage.names(self._warehouse.path(name))
            if any(entry.startswith("dt=") for entry in inside):
                yield name
            folders += [f"{name}/{entry}" for entry in inside if "=" not in entry and self._is_folder(name, entry)]

    def _is_folder(self, name: str, entry: str) -> bool:
        return files_at(self._warehouse.root).is_folder(self._warehouse.path(name, entry))

    def _of(self, name: str) -> Iterator[Holding]:
        """One Spark job for all days that have the same columns."""
        for columns, days in self._alike(name):
            if eraser := self._eraser(name, columns):
                marked = eraser.mark(self._read(name, days, columns, "_day"))
                counted = marked.where(HIS).groupBy("_day").count().collect()  # one row a day
                yield from (Holding(name, row["_day"], int(row["count"])) for row in counted)

    def _alike(self, name: str) -> Iterator[tuple[dict[str, str], list[Day]]]:
        """The days of a dataset by the columns that they were published with."""
        alike: dict[str, list[Day]] = defaultdict(list)
        for day in self._warehouse.days(name):
            folder = self._warehouse.folder(name, day)
            if has_manifest(folder):
                alike[json.dumps(dict(read_manifest(folder).schema))].append(day)
        for columns, days in alike.items():
            yield json.loads(columns), days

    def _read(self, name: str, days: Sequence[Day], columns: Mapping[str, str], day_column: str) -> DataFrame:
        paths = [path for day in days for path in data_files(self._warehouse.folder(name, day))]
        if not paths:
            return self._spark.createDataFrame([], f"{ddl(dict(columns))}, {day_column} date")
        table = self._spark.read.schema(ddl(dict(columns))).option("recursiveFileLookup", "true").parquet(*paths)
        day = F.regexp_extract("_metadata.file_path", r"/dt=([0-9-]{10})/[^/]+/[^/]+$", 1).cast("date")
        return table.select(*[F.col(f"`{column}`") for column in columns], day.alias(day_column))

    def _eraser(self, name: str, columns: dict[str, str]) -> Eraser | None:
        his = self._his_events if name.startswith("statistics") else None
        return eraser_of(self._person, name, columns, his, self._quarantine)

    @cached_property
    def _his_events(self) -> DataFrame | None:
        """The ids of his events and examples, as `value`; few, and asked for by every day of statistics."""
        found = []
        for name in sorted({*self.names(), "events"}):
            column = {"events": "event_id", "examples": "example_id"}.get(name.partition("/")[0])
            for columns, days in self._alike(name) if column is not None else ():
                owners = [F.col(one).cast("string") for one in self._person.columns if one in columns]
                if owners:
                    his = self._read(name, days, columns, "_day").where(F.coalesce(*owners) == self._person.value)
                    found.append(his.select(F.col(str(column)).alias("value")))
        return reduce(DataFrame.union, found).distinct().persist() if found else None

    def release(self) -> None:
        """Give memory back."""
        if "_his_events" in self.__dict__ and self._his_events is not None:
            self._his_events.unpersist()

    def _tombstones(self, made: DataFrame) -> dict[str, str]:
        stones = made.where(F.col("value").startswith(TOMBSTONE)).select("id", "first_dt").collect()
        return {str(row["id"]): str(row["first_dt"]) for row in stones}

    def _key(self, name: str) -> tuple[str, ...]:
        """Of a dataset that no step publishes any more: the key that its kind has."""
        if name in self._keys:
            return self._keys[name]
        kind = name.partition("/")[0]
        return next((key for other, key in self._keys.items() if other.partition("/")[0] == kind), ())
