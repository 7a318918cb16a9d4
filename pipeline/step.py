"""What a step is: what it reads, what it makes of a day, what it writes. The road (pipeline.road) declares them, the
runner (pipeline.runner) runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Column, Config
from pipeline.days import Day
from pipeline.errors import MissingInput
from pipeline.raw import Outside, RawLogs
from pipeline.schemas import Columns
from pipeline.steps.clean_logs import default_of
from pipeline.storage import Manifest, Warehouse, has_manifest, read_manifest
from pipeline.tables import read_table


@dataclass(frozen=True)
class Dataset:
    """A dataset's name, columns and key."""

    name: str
    columns: Columns
    key: tuple[str, ...]
    grows: bool = False
    """Whether a day from before a column was declared may be read: nobody said it then, so it is the column's default,
    or null. (A sum that was not made is no sum of nothing.) Of such a dataset no column is removed or retyped."""
    partial: bool = False
    """Whether these are some of its columns: a day that has others besides is read too."""
    declared: Mapping[str, Column] = field(default_factory=dict)
    """The columns of a source that it holds, by name."""

    def absent(self, manifest: Manifest) -> dict[str, Column]:
        """The columns that a published day lacks and that have a default."""
        lacking = {name: column for name, column in self.declared.items() if name not in manifest.schema}
        return {name: column for name, column in lacking.items() if column.default is not None}


@dataclass(frozen=True)
class Input:
    """Days of a dataset that a step reads; days before the product's first day are empty by definition."""

    dataset: Dataset
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Output:
    """What a step makes of one day: tables to publish, and what their manifests say besides. Nothing has run yet."""

    tables: Mapping[str, DataFrame]
    extra: Mapping[str, Any] = field(default_factory=dict)
    accept: Callable[[], Mapping[str, Any]] = dict
    """Looks at what was made before it is published, and may refuse it; what it returns is in the manifests too."""
    release: Callable[[], None] = lambda: None
    """Gives back what the tables were computed from, once they are published."""


class Tables:
    """The inputs of one step on one day, as DataFrames."""

    def __init__(self, spark: SparkSession, warehouse: Warehouse, inputs: Mapping[str, Input]) -> None:
        self.spark, self._warehouse, self._inputs = spark, warehouse, inputs

    def table(self, role: str, day_column: str | None = None) -> DataFrame | None:
        """All days of an input together, `day_column` holding the day; None when it has no day at all."""
        chosen = self._inputs.get(role)
        if chosen is None or not chosen.days:
            return None
        tables = [self._day(chosen.dataset, day, day_column) for day in chosen.days]
        return reduce(DataFrame.unionByName, tables)

    def expect(self, role: str, day_column: str | None = None) -> DataFrame:
        """The same for an input that always has a day."""
        table = self.table(role, day_column)
        if table is None:
            raise MissingInput(f"input {role!r} has no day to read")
        return table

    def extras(self, role: str) -> list[Mapping[str, Any]]:
        """What the manifests of an input say besides, by day."""
        chosen = self._inputs.get(role)
        folders = [] if chosen is None else [self._warehouse.folder(chosen.dataset.name, day) for day in chosen.days]
        return [read_manifest(folder).extra for folder in folders]

    def standing(self, dataset: Dataset, day: Day) -> Mapping[str, Any]:
        """What the manifest says besides of the day that is to be replaced; nothing where none is published."""
        folder = self._warehouse.folder(dataset.name, day)
        return read_manifest(folder).extra if has_manifest(folder) else {}

    def _day(self, dataset: Dataset, day: Day, day_column: str | None) -> DataFrame:
        folder = self._warehouse.folder(dataset.name, day)
        absent = dataset.absent(read_manifest(folder)) if dataset.grows else {}
        table = read_table(self.spark, folder, dataset.columns)
        table = table.withColumns({name: default_of(column) for name, column in absent.items()})
        return table if day_column is None else table.withColumn(day_column, F.lit(day))


@dataclass(frozen=True)
class Step:
    """One stop of the road."""

    name: str
    sections: tuple[str, ...]
    """Config sections that it reads: they are part of its key, as are its own modules."""
    modules: tuple[str, ...]
    reads: Callable[[Config, Day], Mapping[str, Input]]
    writes: Callable[[Config], tuple[Dataset, ...]]
    apply: Callable[[Config, Day, Tables, Sequence[Outside]], Output]
    outside: Callable[[Config, Day, RawLogs], list[Outside]] = lambda config, day, raw: []
    """What it reads besides datasets: raw files (cleaning), a model (recommending)."""
    settings: Callable[[Config], Any] = lambda config: None
    """What it reads of other sections, as JSON."""
    check: Callable[[Config, Warehouse, Day], str] = lambda config, warehouse, day: ""
    """Looks at what is published, after the step did it or was skipped, and says what it found; raises Refused to stop
    the road. So a day that was refused is refused again, and what was refused can be looked at."""
    in_day_order: bool = False
    """Whether its check looks at what it published for the days before: they come first."""
    append_only: bool = False
    """Later days build on it: an older day is not built again under a newer one."""
