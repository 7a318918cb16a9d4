"""A few published rows, found by the value of one column."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable
from typing import Any

import pyarrow.parquet as pq

from pipeline.config import SESSION, Config
from pipeline.days import Day, days_between
from pipeline.errors import ConfigError, MissingInput
from pipeline.storage import Warehouse, data_files, files_at, has_manifest

Row = dict[str, Any]


class Published:
    """The datasets of one product."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError for a product of a table: its rows are the examples, and it has no profiles."""
        if config.table is not None:
            name = config.product.name
            raise ConfigError(f"product {name!r} is made of rows of a table: there are no profiles or events to show")
        self.config, self.warehouse = config, Warehouse.of(config)

    def has(self, dataset: str, day: Day) -> bool:
        """Whether that day of a dataset is published."""
        return has_manifest(self.warehouse.folder(dataset, day))

    def days(self, dataset: str) -> list[Day]:
        """The published days of a dataset."""
        return [day for day in self.warehouse.days(dataset) if self.has(dataset, day)]

    def rows(self, dataset: str, day: Day, column: str, values: Iterable[Any]) -> list[Row]:
        """The rows of a day whose `column` is one of `values`; MissingInput says which days there are."""
        if not self.has(dataset, day):
            raise MissingInput(self._no_day(dataset, day))
        wanted, found = sorted(set(values)), []
        for path in data_files(self.warehouse.folder(dataset, day)) if wanted else []:
            with files_at(path).open(path) as file:
                found += pq.read_table(file, filters=[(column, "in", wanted)]).to_pylist()
        return found

    def events(self, first: Day, last: Day, column: str, value: str) -> list[Row]:
        """The events that arrived on the days first..last, with their arrival day as `arrived`."""
        days = days_between(first, last, self.config.product.first_day)
        return [{**row, "arrived": day} for day in days for row in self.rows("events", day, column, [value])]

    def sessions(self, first: Day, last: Day, user: str) -> list[Row]:
        """A user's sessions that were over on the days first..last, as the events that features take them for."""
        days = days_between(first, last, self.config.product.first_day)
        found = ((day, row) for day in days for row in self.rows("sessions", day, "user_id", [user]))
        as_event = {"event_type": SESSION, "item_id": None}
        return [
            {**row, **as_event, "event_id": row["session_id"], "event_time": row["ended_at"], "arrived": day}
            for day, row in found
            if row["available_at"] is not None
        ]

    def values(self, vocabulary: str, day: Day, ids: Iterable[int]) -> dict[int, str]:
        """id -> value by the snapshot of a day; empty before the product's first day."""
        if day < self.config.product.first_day:
            return {}
        return {row["id"]: row["value"] for row in self.rows(f"vocab/{vocabulary}", day, "id", ids)}

    def similar(self, dataset: str, day: Day, column: str, value: str) -> str | None:
        """The value of a column most like `value` in the first row group of a day: what such a value looks like."""
        for path in data_files(self.warehouse.folder(dataset, day)):
            with files_at(path).open(path) as file:
                known = pq.ParquetFile(file).read_row_group(0, columns=[column]).column(column).to_pylist()
            return next(iter(difflib.get_close_matches(value, known[:20_000], n=1, cutoff=0.0)), None)
        return None

    def local(self, time: datetime.datetime) -> datetime.datetime:
        """The time in the product's zone."""
        return time.astimezone(self.config.product.zone)

    def local_day(self, time: datetime.datetime) -> Day:
        """The day of the product's zone."""
        return self.local(time).date()

    def _no_day(self, dataset: str, day: Day) -> str:
        there = self.days(dataset)
        folder = self.warehouse.folder(dataset, day)
        if not there:
            of_base = self.warehouse.owner(dataset) != self.warehouse.product
            config = self.config.base if of_base else self.config
            command = config.command("backfill", FROM=self.config.product.first_day, TO=day)
            return f"{folder} is not published, nor is any other day of {dataset}. Build it first: {command}"
        return f"{folder} is not published; published days of {dataset} are {there[0]}..{there[-1]}: name one by --dt"
