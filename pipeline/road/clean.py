"""raw -> clean_logs -> events, quarantine, attributes, rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from pyspark.sql import DataFrame, SparkSession

from pipeline import schemas
from pipeline.config import Config
from pipeline.datasets import attributes, events, quarantine, rooms
from pipeline.days import Day, add_days, days_between
from pipeline.errors import DamagedData, Refused
from pipeline.pii import fingerprint, pii_key
from pipeline.raw import Outside, RawLogs
from pipeline.road.shared import CLOCKS
from pipeline.step import Dataset, Input, Output, Step, Tables
from pipeline.steps.clean_logs import NO_ROWS, CleanLogs, clean_logs, raw_lines
from pipeline.storage import Warehouse, read_manifest

DAMAGED_FILE = "damaged_file"
"""What stands for a rule where a whole file is quarantined."""
PLAIN = "/=+,:;@&$!*'()~"
"""What Spark leaves as it is where it names a file."""


def _clean_reads(config: Config, day: Day) -> Mapping[str, Input]:
    first = config.product.first_day
    earlier = days_between(add_days(day, -config.clean.lookback_days), add_days(day, -1), first)
    inputs = {"earlier_events": Input(events(config), tuple(earlier))}
    for entity in config.datasets.attributes:
        inputs[f"earlier_{entity}"] = Input(attributes(config, entity), tuple(earlier))
    if config.datasets.rooms:
        inputs["earlier_rooms"] = Input(rooms(config), tuple(earlier[-1:]))
    return inputs


def _used_sources(config: Config) -> list[str]:
    datasets = config.datasets
    return sorted({datasets.events, *datasets.attributes.values(), *([datasets.rooms] if datasets.rooms else [])})


def _clean_outside(config: Config, day: Day, raw: RawLogs) -> list[Outside]:
    return [raw.of(name, day) for name in _used_sources(config)]


def _clean_writes(config: Config) -> tuple[Dataset, ...]:
    tables = [
        events(config),
        quarantine(config),
        *(attributes(config, entity) for entity in config.datasets.attributes),
    ]
    return (*tables, rooms(config)) if config.datasets.rooms else tuple(tables)


def _clean(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    key = pii_key(config)
    check_pii_key(config, key, tables)
    raw = {
        name: replace(raw_lines(tables.spark, files.paths, config.sources[name]), arrived=files.arrived)
        for name, files in zip(_used_sources(config), outside, strict=True)
    }
    roles = {config.datasets.events: "earlier_events"}
    roles |= {source: f"earlier_{entity}" for entity, source in config.datasets.attributes.items()}
    earlier = {source: table for source, role in roles.items() if (table := tables.table(role)) is not None}
    cleaned = clean_logs(config, day, raw, earlier, tables.table("earlier_rooms"), key)
    delivered = dict(zip(raw, outside, strict=True))
    rejected = _with_files(config, day, tables.spark, cleaned.quarantine, delivered)
    made = {"events": cleaned.events, "quarantine": rejected}
    made |= {f"attributes/{entity}": table for entity, table in cleaned.attributes.items()}
    if cleaned.rooms is not None:
        made["rooms"] = cleaned.rooms
    return Output(
        made,
        {"pii_key": fingerprint(key)},
        accept=lambda: _accounted(config, cleaned, delivered),
        release=cleaned.release,
    )


def _with_files(
    config: Config, day: Day, spark: SparkSession, rejected: DataFrame, raw: Mapping[str, Outside]
) -> DataFrame:
    """The quarantined lines, and a row for each damaged file; one whose path names no day is of the first day, as a
    file without any clock is."""
    rows = [
        (name, f"file:{quote(one.path, safe=PLAIN)}", None, DAMAGED_FILE, one.said)
        for name, found in raw.items()
        for one in found.damaged
        if config.sources[name].has_day or day == config.product.first_day
    ]
    return rejected.unionByName(spark.createDataFrame(rows, schemas.ddl(schemas.QUARANTINE))) if rows else rejected


def _accounted(config: Config, cleaned: CleanLogs, raw: Mapping[str, Outside]) -> dict[str, Any]:
    """Lines by source and fate, for the manifests; and the files that were left out, whose lines nobody knows."""
    accounting: dict[str, dict[str, int]] = {name: {} for name in raw}
    for row in cleaned.accounting.collect():
        accounting[row["source"]][row["fate"]] = int(row["lines"])
    check_accounting(config, accounting, raw)
    left_out = {name: {one.path: one.said for one in found.damaged} for name, found in raw.items() if found.damaged}
    return {"accounting": accounting, **({"damaged_files": left_out} if left_out else {})}


def _left_out(config: Config, warehouse: Warehouse, day: Day) -> str:
    """Which damaged files the day was cleaned without."""
    found = read_manifest(warehouse.folder("events", day)).extra.get("damaged_files", {})
    told = [f"{path} ({said})" for files in found.values() for path, said in files.items()]
    return f"{len(told)} damaged file(s) left out, their lines are not known: {'; '.join(told)}" if told else ""


def check_pii_key(config: Config, key: bytes | None, tables: Tables) -> None:
    """The same person has one hash on all days, or is several."""
    ours = fingerprint(key)
    if any(extra.get("pii_key") != ours for extra in tables.extras("earlier_events")):
        again = config.command("backfill", FROM=config.product.first_day, TO="...")
        raise Refused(
            "the days before were hashed with another key ($.clean.pii_key_file) or without one, so every id would be "
            f"new. Give the old key back, or build all days again: {again}"
        )


def check_accounting(config: Config, accounting: Mapping[str, Mapping[str, int]], raw: Mapping[str, Outside]) -> None:
    """Every delivered line has exactly one fate, and no rule rejects more than its budget."""
    faults = []
    for source, fates in accounting.items():
        lines = sum(fates.values())
        if config.sources[source].has_day and lines != raw[source].lines:
            raise DamagedData(f"source {source!r}: {raw[source].lines} lines were delivered, {lines} are accounted for")
        counted = lines - sum(fates.get(fate, 0) for fate in NO_ROWS)
        for rule, budget in config.clean.budgets.items():
            rejected = fates.get(rule, 0)
            if rejected > budget * counted:
                faults.append(
                    f"source {source!r}: rule {rule} rejects {rejected} of {counted} lines, its budget is {budget:.3%}"
                )
    if faults:
        faults.append("Look at the raw files, or raise $.clean.budgets in the config if this is how the logs are")
        raise Refused("\n".join(faults))


CLEAN = Step(
    "clean_logs", ("product", "sources", "datasets", "clean"), ("pipeline.steps.clean_logs", "pipeline.pii", *CLOCKS),
    _clean_reads, _clean_writes, _clean, _clean_outside, lambda config: fingerprint(pii_key(config)), _left_out,
)  # fmt: skip
