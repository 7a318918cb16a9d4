"""Running a step: which step reads what, writes what, and when it may be skipped.

A step is a pure function over DataFrames (pipeline.steps); here stands what is around it. For a day, `Runner.run(step)`
finds the manifests of the inputs, hashes them with the step's config and source into a key, skips when every output
carries that key already, and else reads, applies and publishes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from pyspark.sql import SparkSession

from pipeline.config import Config
from pipeline.days import Day, days_between
from pipeline.errors import ConfigError, DamagedData, MissingInput, Refused
from pipeline.forget.journal import refuse_unfinished
from pipeline.provenance import code_version, source_hash
from pipeline.raw import Outside, RawLogs
from pipeline.schema_changes import changes_told, column_changes
from pipeline.step import Dataset, Input, Output, Step, Tables
from pipeline.steps.check_features import check_features, check_sql
from pipeline.storage import Manifest, Warehouse, data_files, digest_of, has_manifest, read_manifest, write_manifest
from pipeline.tables import Publication, content_digest, publish

BYTES_PER_FILE = 256 << 20
"""A dataset gets one file for so many bytes of the day's inputs: a function of their manifests, so a rebuild gets as
many."""
SHARE = "spark.scheduler.pool"
"""The local property that says in whose share of the cores a thread's jobs run."""


@dataclass(frozen=True)
class Read:
    """What a step reads on a day as it lies there now, and the key that follows from it."""

    inputs: Mapping[str, Input]
    found: Sequence[Manifest]
    outside: Sequence[Outside]
    sources: list[dict[str, str]]
    key: str


@dataclass(frozen=True)
class Plan:
    """What a step reads on a day, and what it would make of it."""

    found: Sequence[Manifest]
    outside: Sequence[Outside]
    output: Output


@dataclass(frozen=True)
class Outcome:
    """What became of a step on a day."""

    step: str
    day: Day
    skipped: bool
    seconds: float
    manifests: Mapping[str, Manifest]
    found: str = ""
    """What the step's check says."""


class Runner:
    """Runs steps of one product, with one Spark session for all of them."""

    def __init__(
        self, config: Config, spark: SparkSession, new_generation: bool = False, quarantine_files: bool = False
    ) -> None:
        check_features(config)
        check_sql(config, spark)
        self.config, self.spark = config, spark
        self.warehouse = Warehouse.of(config)
        self._raw = RawLogs(config, self.warehouse, spark, quarantine_files)
        self._new_generation = new_generation

    def run(self, step: Step, day: Day) -> Outcome:
        """Do the step for the day, or skip it when nothing it depends on has changed, or when it writes nothing of this
        product; then check what is published."""
        self._refuse_before_first(day)
        outcome = self._do(step, day)
        return replace(outcome, found=step.check(self.config, self.warehouse, day))

    def _do(self, step: Step, day: Day) -> Outcome:
        start, outputs = time.monotonic(), step.writes(self.config)
        refuse_unfinished(self.warehouse)
        if not outputs:
            return Outcome(step.name, day, True, 0.0, {})
        read = self._read(step, day)
        if published := self._unchanged(outputs, day, read.key):
            return Outcome(step.name, day, True, time.monotonic() - start, published)
        output = self._apply(step, day, read.inputs, read.outside)
        if step.append_only:
            self._refuse_older(outputs, day, output)
        bytes_ = sum(entry.bytes for manifest in read.found for entry in manifest.files)
        bytes_ += sum(thing.bytes for thing in read.outside)
        common = Publication(
            "", day, {}, (), files=-(-bytes_ // BYTES_PER_FILE) or 1, origin=_origin(read.found, read.outside),
            inputs=tuple(read.sources), key=read.key,
        )  # fmt: skip
        manifests = self._publish(step, day, output, common)
        return Outcome(step.name, day, False, time.monotonic() - start, manifests)

    def _read(self, step: Step, day: Day) -> Read:
        inputs = step.reads(self.config, day)
        found = self._found(step, day, inputs)
        outside = step.outside(self.config, day, self._raw)
        sources = [
            *(_source(manifest, dataset) for manifest, dataset in found),
            *({"path": thing.name, "digest": thing.digest} for thing in outside),
        ]
        return Read(inputs, [manifest for manifest, _ in found], outside, sources, self._key(step, sources))

    def is_current(self, step: Step, day: Day) -> bool:
        """Whether the step would be skipped for the day."""
        try:
            return self._unchanged(step.writes(self.config), day, self._read(step, day).key) is not None
        except (MissingInput, Refused, DamagedData):
            return False

    def sign_again(self, step: Step, day: Day) -> None:
        """Give what the step has published for the day the key that it has now: it would not make anything else of it,
        although what it reads has changed."""
        read = self._read(step, day)
        for dataset in step.writes(self.config):
            folder = self.warehouse.folder(dataset.name, day)
            write_manifest(folder, replace(read_manifest(folder), inputs=tuple(read.sources), key=read.key))

    def plan(self, step: Step, day: Day) -> Plan:
        """What the step would do for the day, as tables that nothing has computed."""
        self._refuse_before_first(day)
        read = self._read(step, day)
        return Plan(read.found, read.outside, self._apply(step, day, read.inputs, read.outside))

    def _apply(self, step: Step, day: Day, inputs: Mapping[str, Input], outside: Sequence[Outside]) -> Output:
        return step.apply(self.config, day, Tables(self.spark, self.warehouse, inputs), outside)

    def _refuse_before_first(self, day: Day) -> None:
        first = self.config.product.first_day
        if day < first:
            raise ConfigError(f"{day} is before the product's first day, {first} ($.product.first_day): it has no data")

    def _found(self, step: Step, day: Day, inputs: Mapping[str, Input]) -> list[tuple[Manifest, Dataset]]:
        """The manifests of all days of all inputs. Raises MissingInput naming those that are not there, or that were
        made with other columns than the config asks for now; Refused where a source lost a column or retyped one."""
        found: list[tuple[Manifest, Dataset]] = []
        missing: dict[tuple[str, Day], Dataset] = {}
        for entry in inputs.values():
            for input_day in entry.days:
                if manifest := self._usable(entry.dataset, input_day):
                    found.append((manifest, entry.dataset))
                else:
                    missing[entry.dataset.name, input_day] = entry.dataset
        self._refuse_changed(day, missing)
        if missing:
            raise MissingInput(self._told(step, day, missing))
        return found

    def _refuse_changed(self, day: Day, missing: Mapping[tuple[str, Day], Dataset]) -> None:
        """Raise Refused with what the config declares otherwise than the published days do."""
        changed = {}
        for (name, input_day), dataset in sorted(missing.items(), key=lambda entry: entry[0]):
            folder = self.warehouse.folder(name, input_day)
            if dataset.grows and has_manifest(folder):
                changed[name, input_day] = column_changes(read_manifest(folder).schema, dataset.columns)
        if changed:
            first = min(self._first_gap(missing[place], place[1]) for place in changed)
            raise Refused(changes_told(changed, self.config.command("backfill", FROM=first, TO=day)))

    def _usable(self, dataset: Dataset, day: Day) -> Manifest | None:
        """What is published there, if it has the columns that are asked for."""
        folder = self.warehouse.folder(dataset.name, day)
        manifest = read_manifest(folder) if has_manifest(folder) else None
        return manifest if manifest is not None and _fits(manifest, dataset) else None

    def _told(self, step: Step, day: Day, missing: Mapping[tuple[str, Day], Dataset]) -> str:
        """What is missing, what was made with other columns, and what to type."""
        lines = []
        for name, missing_day in sorted(missing):
            folder = self.warehouse.folder(name, missing_day)
            reason = "has other columns than the config asks for now" if has_manifest(folder) else "is not there yet"
            lines.append(f"{name}/dt={missing_day}, which {reason}")
        first = min(self._first_gap(dataset, missing_day) for (_, missing_day), dataset in missing.items())
        of_base = any(self.warehouse.owner(name) != self.warehouse.product for name, _ in missing)
        config = self.config.base if of_base else self.config
        command = config.command("backfill", FROM=first, TO=day)
        return f"{step.name} needs {'; '.join(lines)}. Build it first: {command}"

    def _first_gap(self, dataset: Dataset, last: Day) -> Day:
        """The first day up to `last` that is of no use: what is missing further on needs it too."""
        days = days_between(self.config.product.first_day, last, self.config.product.first_day)
        return next((day for day in days if self._usable(dataset, day) is None), last)

    def _key(self, step: Step, sources: list[dict[str, str]]) -> str:
        return digest_of(
            [
                step.name,
                sources,
                self._sections(step),
                step.settings(self.config),
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
            if not has_manifest(folder) or (manifest := read_manifest(folder)).key != key or _is_damaged(folder):
                return None
            found[dataset.name] = manifest
        return found

    def _refuse_older(self, outputs: tuple[Dataset, ...], day: Day, output: Output) -> None:
        """Unless what was made is what is published already: then no id changes."""
        newer = [
            d
            for ds in outputs
            for d in self.warehouse.days(ds.name)
            if d > day and has_manifest(self.warehouse.folder(ds.name, d))
        ]
        if newer and not self._new_generation and not self._same_rows(outputs, day, output):
            raise Refused(
                f"the vocabulary of {day} would be built again, but snapshots up to {max(newer)} stand on it, "
                f"and models hold their ids. "
                f"Leave it, or give every later day new ids with --new-generation"
            )

    def _same_rows(self, outputs: tuple[Dataset, ...], day: Day, output: Output) -> bool:
        folders = {dataset.name: self.warehouse.folder(dataset.name, day) for dataset in outputs}
        return all(
            has_manifest(folder) and content_digest(output.tables[name])[1] == read_manifest(folder).content_digest
            for name, folder in folders.items()
        )

    def _publish(self, step: Step, day: Day, output: Output, common: Publication) -> dict[str, Manifest]:
        datasets, context = {dataset.name: dataset for dataset in step.writes(self.config)}, self.spark.sparkContext
        share = context.getLocalProperty(SHARE)

        def one(name: str) -> Manifest:
            context.setLocalProperty(SHARE, share)  # type: ignore[arg-type]  # a thread has its own; None is none
            dataset = datasets[name]
            publication = Publication(
                name, day, dataset.columns, dataset.key, common.files, common.origin, common.inputs, common.key,
                digest_of(self._sections(step)), code_version(), extra,
            )  # fmt: skip
            return publish(self.warehouse, output.tables[name], publication)

        try:
            extra = {**output.extra, **output.accept()}
            with ThreadPoolExecutor(4) as pool:  # the small jobs of one publish leave cores idle between them
                return dict(zip(datasets, pool.map(one, datasets), strict=True))
        finally:
            output.release()


def _source(manifest: Manifest, dataset: Dataset) -> dict[str, str]:
    """What a step's key knows of a day that it reads."""
    said = {"path": f"{manifest.dataset}/dt={manifest.dt}", "digest": manifest.content_digest}
    said["schema"] = manifest.schema_hash
    if absent := dataset.absent(manifest):
        declared = {name: column.model_dump(mode="json") for name, column in absent.items()}
        said["defaults"] = digest_of([declared, source_hash("pipeline.steps.clean_logs.columns")])
    return said


def _fits(manifest: Manifest, dataset: Dataset) -> bool:
    """Whether what was published has the columns that are asked for."""
    if dataset.partial:
        return all(manifest.schema.get(name) == type_ for name, type_ in dataset.columns.items())
    if not dataset.grows:
        return dict(manifest.schema) == dict(dataset.columns)
    return not column_changes(manifest.schema, dataset.columns)


def _origin(found: Sequence[Manifest], outside: Sequence[Outside]) -> str:
    origins = {thing.origin for thing in outside} | {manifest.origin for manifest in found}
    return "simulated" if origins == {"simulated"} else "collected"


def _is_damaged(folder: str) -> bool:
    """Whether a file that the manifest lists is gone or cut: then the day is built again, whatever the key says."""
    try:
        data_files(folder)
    except DamagedData:
        return True
    return False
