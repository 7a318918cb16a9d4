"""Compaction changes files and nothing else: rows, schema, digest and key stay; a day that is not whole is refused."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline import compaction, schemas, tables
from pipeline.compaction import compact, datasets, has_small_files
from pipeline.config import Config, load_config
from pipeline.errors import ConfigError, DamagedData, MissingInput, Refused
from pipeline.storage import MANIFEST, Manifest, Warehouse, data_files, read_manifest
from pipeline.tables import Publication, publish, read_table

DAY = date(2026, 1, 2)
NAME = "vocab/user_id"
ROWS = 4000
CONF = Path(__file__).parent.parent / "conf" / "live.toml"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(CONF, [f"product.warehouse={tmp_path}"])


@pytest.fixture
def folder(spark: SparkSession, config: Config) -> str:
    """A day in ten small files."""
    number = F.col("id").cast("int")
    made = spark.range(ROWS).select(
        F.concat(F.lit("u"), "id").alias("value"), number.alias("id"), F.col("id").alias("count"),
        F.lit(DAY).alias("first_dt"),
    )  # fmt: skip
    publication = Publication(
        NAME, DAY, schemas.VOCABULARY, ("value",), files=10, origin="simulated", inputs=({"path": "x", "digest": "y"},),
        key="k", config_hash="c", code_version="v", extra={"accounting": {"events": {"kept": ROWS}}},
    )  # fmt: skip
    warehouse = Warehouse.of(config)
    publish(warehouse, made, publication)
    return warehouse.folder(NAME, DAY)


def rows_of(folder: str) -> list[dict[str, object]]:
    return sorted(
        (row for path in data_files(folder) for row in pq.ParquetFile(path).read().to_pylist()),
        key=lambda row: str(row["value"]),
    )


def but_for_files(manifest: Manifest) -> Manifest:
    return dataclasses.replace(manifest, files=(), run="")


def test_the_same_rows_in_one_file(spark: SparkSession, config: Config, folder: str) -> None:
    before, rows, paths = read_manifest(folder), rows_of(folder), data_files(folder)
    assert (len(paths), has_small_files(before)) == (10, True)
    reading = read_table(spark, folder, schemas.VOCABULARY)  # a reader that began before
    done = compact(config, spark, NAME, DAY)
    after = read_manifest(folder)
    assert (done.before, done.after, done.unchanged) == (before, after, False)
    assert (len(after.files), has_small_files(after)) == (1, False)
    assert but_for_files(after) == but_for_files(before)
    assert rows_of(folder) == rows
    assert all(map(os.path.exists, paths))
    assert reading.count() == ROWS


def test_it_is_done_once(spark: SparkSession, config: Config, folder: str) -> None:
    compact(config, spark, NAME, DAY)
    text = Path(folder, MANIFEST).read_bytes()
    assert compact(config, spark, NAME, DAY).unchanged
    assert Path(folder, MANIFEST).read_bytes() == text


def test_files_have_the_size_that_is_asked_for_and_small_row_groups(
    spark: SparkSession, config: Config, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(entry.bytes for entry in read_manifest(folder).files)
    assert len(compact(config, spark, NAME, DAY, size // 3 + 1).after.files) == 3
    monkeypatch.setattr(compaction, "ROW_GROUP_ROWS", 1000)  # larger groups are a reason to write again
    done = compact(config, spark, NAME, DAY, size // 3 + 1)
    assert not done.unchanged


def test_what_is_no_dataset_or_not_there_is_named(spark: SparkSession, config: Config, folder: str) -> None:
    with pytest.raises(ConfigError, match=r"--dataset raw/events: no step of 'live' publishes that; \['attributes"):
        compact(config, spark, "raw/events", DAY)
    with pytest.raises(MissingInput, match=r"dt=2026-01-03; the days of vocab/user_id are 2026-01-02\.\.2026-01-02"):
        compact(config, spark, NAME, date(2026, 1, 3))


def change(folder: str, **fields: object) -> None:
    path = Path(folder, MANIFEST)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_another_product_s_day_is_refused(spark: SparkSession, config: Config, folder: str) -> None:
    change(folder, product="other")
    with pytest.raises(Refused, match="belongs to product 'other', not to 'live'"):
        compact(config, spark, NAME, DAY)


def test_rows_that_are_not_what_the_manifest_says_are_not_made_official(
    spark: SparkSession, config: Config, folder: str
) -> None:
    change(folder, content_digest="0" * 16)
    text = Path(folder, MANIFEST).read_bytes()
    with pytest.raises(DamagedData, match=r"holds 4000 rows with digest .* build this day again"):
        compact(config, spark, NAME, DAY)
    assert Path(folder, MANIFEST).read_bytes() == text


def test_a_day_that_was_built_meanwhile_stays(
    spark: SparkSession, config: Config, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the rows are read back, somebody publishes the day."""
    content: Callable[..., tuple[int, str]] = tables._content

    def meanwhile(*arguments: object) -> tuple[int, str]:
        change(folder, run="another")
        return content(*arguments)

    monkeypatch.setattr(tables, "_content", meanwhile)
    with pytest.raises(Refused, match="was published again meanwhile"):
        compact(config, spark, NAME, DAY)
    assert read_manifest(folder).run == "another"


def test_a_table_of_rows_has_datasets_of_its_own() -> None:
    named = set(datasets(load_config(Path(__file__).parent.parent / "conf" / "frappe.toml")))
    assert {"rows/train", "examples/used/test", "vocab/user", "quarantine"} <= named
    assert not {"events", "recommendations"} & named
