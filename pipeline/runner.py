"""Running a step: which step reads what, writes what, and when it may be skipped.

A step is a pure function over DataFrames (pipeline.steps); here stands what is around it. For a day, `Runner.run(step)`
finds the manifests of the inputs, hashes them with the step's config and source into a key, skips when every output
carries that key already, and else reads, applies and publishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config
from pipeline.days import Day
from pipeline.errors import MissingInput, Refused
from pipeline.provenance import code_version, source_hash
from pipeline.raw import Outside, RawLogs
from pipeline.schemas import Columns
from pipeline.steps.check_features import check_features
from pipeline.storage import Manifest, Warehouse, digest_of, has_manifest, read_manifest
from pipeline.tables import Publication, publish, read_table

BYTES_PER_FILE = 256 << 20
"""Inputs of a day are cut into about this much for each published file."""


@dataclass(frozen=True)
class Dataset:
    """A dataset's name, columns and key."""

    name: str
    columns: Columns
    key: tuple[str, ...]


@dataclass(frozen=True)
class Input:
    """Days of a dataset that a step reads; days before the product's first day are empty by definition."""

    dataset: Dataset
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Output:
    """What a step made of one day: the tables to publish, and what their manifests say besides."""

    tables: Mapping[str, DataFrame]
    extra: Mapping[str, Any] = field(default_factory=dict)
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

    def _day(self, dataset: Dataset, day: Day, day_column: str | None) -> DataFrame:
        table = read_table(self.spark, self._warehouse.folder(dataset.name, day), dataset.columns)
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
    append_only: bool = False
    """Later days build on it: an older day is not built again under a newer one."""


@dataclass(frozen=True)
class Outcome:
    """What became of a step on a day."""

    step: str
    day: Day
    skipped: bool
    seconds: float
    manifests: Mapping[str, Manifest]


class Runner:
    """Runs steps of one product, with one Spark session for all of them."""

    def __init__(self, config: Config, spark: SparkSession, new_generation: bool = False) -> None:
        check_features(config)
        self.config, self.spark = config, spark
        self.warehouse = Warehouse.of(config)
        self._raw = RawLogs(config, self.warehouse, spark)
        self._new_generation = new_generation

    def run(self, step: Step, day: Day) -> Outcome:
        """Do the step for the day, or skip it when nothing it depends on has changed."""
        start = time.monotonic()
        inputs = step.reads(self.config, day)
        digests = self._input_digests(step, inputs)
        outside = step.outside(self.config, day, self._raw)
        sources = [*digests, *({"path": thing.name, "digest": thing.digest} for thing in outside)]
        key = self._key(step, sources)
        outputs = step.writes(self.config)
        if published := self._unchanged(outputs, day, key):
            return Outcome(step.name, day, True, time.monotonic() - start, published)
        if step.append_only:
            self._refuse_older(outputs, day)
        output = step.apply(self.config, day, Tables(self.spark, self.warehouse, inputs), outside)
        origin = self._origin(inputs, outside)
        manifests = self._publish(
            step, day, output, Publication("", day, {}, (), origin=origin, inputs=tuple(sources), key=key)
        )
        return Outcome(step.name, day, False, time.monotonic() - start, manifests)

    def _input_digests(self, step: Step, inputs: Mapping[str, Input]) -> list[dict[str, str]]:
        digests, missing = [], []
        for entry in inputs.values():
            for day in entry.days:
                folder = self.warehouse.folder(entry.dataset.name, day)
                if has_manifest(folder):
                    digests.append(
                        {"path": f"{entry.dataset.name}/dt={day}", "digest": read_manifest(folder).content_digest}
                    )
                else:
                    missing.append((entry.dataset.name, day))
        if missing:
            names = ", ".join(f"{name}/dt={day}" for name, day in sorted(set(missing)))
            first = min(day for _, day in missing)
            raise MissingInput(
                f"{step.name} needs {names}, which is not there yet. Build it first: make day DT={first}"
            )
        return digests

    def _key(self, step: Step, sources: list[dict[str, str]]) -> str:
        return digest_of(
            [
                step.name,
                sources,
                self._sections(step),
                [source_hash(module) for module in (*step.modules, "pipeline.schemas")],
            ]
        )

    def _sections(self, step: Step) -> dict[str, Any]:
        whole = self.config.model_dump(mode="json", exclude={"simulate"})
        whole["product"] = {name: value for name, value in whole["product"].items() if name != "warehouse"}
        return {path: reduce(dict.__getitem__, path.split("."), whole) for path in step.sections}

    def _unchanged(self, outputs: tuple[Dataset, ...], day: Day, key: str) -> dict[str, Manifest] | None:
        found = {}
        for dataset in outputs:
            folder = self.warehouse.folder(dataset.name, day)
            if not has_manifest(folder) or (manifest := read_manifest(folder)).key != key:
                return None
            found[dataset.name] = manifest
        return found

    def _refuse_older(self, outputs: tuple[Dataset, ...], day: Day) -> None:
        newer = [
            d
            for ds in outputs
            for d in self.warehouse.days(ds.name)
            if d > day and has_manifest(self.warehouse.folder(ds.name, d))
        ]
        if newer and not self._new_generation:
            raise Refused(
                f"the vocabulary of {day} would be built again, but snapshots up to {max(newer)} stand on it, "
                f"and models hold their ids. "
                f"Leave it, or give every later day new ids with --new-generation"
            )

    def _origin(self, inputs: Mapping[str, Input], outside: Sequence[Outside]) -> str:
        origins = {thing.origin for thing in outside}
        for entry in inputs.values():
            origins |= {read_manifest(self.warehouse.folder(entry.dataset.name, day)).origin for day in entry.days}
        return "simulated" if origins == {"simulated"} else "collected"

    def _publish(self, step: Step, day: Day, output: Output, common: Publication) -> dict[str, Manifest]:
        datasets = {dataset.name: dataset for dataset in step.writes(self.config)}

        def one(name: str) -> Manifest:
            dataset = datasets[name]
            publication = Publication(
                name, day, dataset.columns, dataset.key, 1, common.origin, common.inputs, common.key,
                digest_of(self._sections(step)), code_version(), output.extra,
            )  # fmt: skip
            return publish(self.warehouse, output.tables[name], publication)

        try:
            with ThreadPoolExecutor(4) as pool:  # the small jobs of one publish leave cores idle between them
                return dict(zip(datasets, pool.map(one, datasets), strict=True))
        finally:
            output.release()
