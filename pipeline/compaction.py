"""A published day in fewer, larger files: the same rows, schema and digest, so that no later step is done again.

Its place on the road stays too: the manifest keeps inputs, key and what was noted. Only the files are others, and they
are laid out as any publishing lays them out; readers see the old ones or the new ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from pipeline.config import Config
from pipeline.days import Day, parse_day
from pipeline.errors import ConfigError, MissingInput
from pipeline.forget.journal import refuse_unfinished
from pipeline.road import RECOMMEND
from pipeline.runner import BYTES_PER_FILE
from pipeline.session import ROW_GROUP_ROWS
from pipeline.step import Dataset, Step
from pipeline.storage import Manifest, Warehouse, data_files, files_at, has_manifest, read_manifest
from pipeline.table_road import data_steps
from pipeline.tables import Publication, publish, read_table, refuse_foreign

SMALL_BYTES = 32 << 20
"""Files of a dataset that has several should hold so much on average: each one costs a task and a request."""


@dataclass(frozen=True)
class Compaction:
    """The manifests before and after; the same one where nothing was to be done."""

    before: Manifest
    after: Manifest

    @property
    def unchanged(self) -> bool:
        """Whether the day was laid out like that already."""
        return self.before.run == self.after.run


def steps_of(config: Config) -> tuple[Step, ...]:
    """Every step of the product that publishes days."""
    return data_steps(config) if config.table is not None else (*data_steps(config), RECOMMEND)


def datasets(config: Config) -> dict[str, Dataset]:
    """Every dataset of days that the product's steps publish, by name."""
    return {dataset.name: dataset for step in steps_of(config) for dataset in step.writes(config)}


def compact(config: Config, spark: SparkSession, name: str, day: Day, target_bytes: int = BYTES_PER_FILE) -> Compaction:
    """Write the day of a dataset again, a file for each `target_bytes`, row groups as small as the loader wants them.

    Raises ConfigError when no step publishes such a dataset, MissingInput when the day is not there, Refused when it
    belongs to another product or was published anew meanwhile, DamagedData when its rows are not what it says.
    """
    warehouse = Warehouse.of(config)
    refuse_unfinished(warehouse)
    dataset = _dataset(config, name)
    folder = warehouse.folder(name, day)
    if not has_manifest(folder):
        raise MissingInput(f"nothing is published at {folder}; the days of {name} are {_days(warehouse, name)}")
    refuse_foreign(folder, warehouse.product)
    manifest = read_manifest(folder)
    files = -(-sum(entry.bytes for entry in manifest.files) // target_bytes) or 1
    if len(manifest.files) <= files and _largest_row_group(folder) <= ROW_GROUP_ROWS:
        return Compaction(manifest, manifest)
    publication = replace(published_as(manifest, dataset.key, files), replaces=manifest)
    return Compaction(manifest, publish(warehouse, read_table(spark, folder, dict(manifest.schema)), publication))


def has_small_files(manifest: Manifest) -> bool:
    """Whether a day lies in several files that are small on average."""
    count = len(manifest.files)
    return count > 1 and sum(entry.bytes for entry in manifest.files) < SMALL_BYTES * count


def published_as(manifest: Manifest, key_columns: tuple[str, ...], files: int) -> Publication:
    """All that the manifest says, but for the files: the day's place on the road stays."""
    empty = Publication(manifest.dataset, parse_day(manifest.dt), dict(manifest.schema), key_columns, files)
    return replace(
        empty, origin=manifest.origin, inputs=manifest.inputs, key=manifest.key, config_hash=manifest.config_hash,
        code_version=manifest.code_version, extra=manifest.extra,
    )  # fmt: skip


def _dataset(config: Config, name: str) -> Dataset:
    known = datasets(config)
    if name not in known:
        raise ConfigError(f"--dataset {name}: no step of {config.product.name!r} publishes that; {sorted(known)} are")
    return known[name]


def _days(warehouse: Warehouse, name: str) -> str:
    days = [day for day in warehouse.days(name) if has_manifest(warehouse.folder(name, day))]
    return f"{days[0]}..{days[-1]}" if days else "none"


def _largest_row_group(folder: str) -> int:
    import pyarrow.parquet as pq

    largest = 0
    for path in data_files(folder):
        with files_at(path).open(path) as file:
            footer = pq.ParquetFile(file).metadata
        largest = max([largest, *(footer.row_group(i).num_rows for i in range(footer.num_row_groups))])
    return largest
