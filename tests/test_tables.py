"""Publishing on real Spark: the manifest lists what was written, readers see nothing else."""

from __future__ import annotations

import datetime
import hashlib
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline.errors import DamagedData, PipelineError, Refused
from pipeline.storage import MANIFEST, Warehouse, read_manifest
from pipeline.tables import Publication, content_digest, publish, read_table

DAY = datetime.date(2026, 1, 3)
COLUMNS = {"id": "string", "n": "bigint", "tags": "array<int>"}


def rows(spark: SparkSession, *values: tuple[str | None, int | None, list[int] | None]) -> DataFrame:
    return spark.createDataFrame(list(values), "id string, n bigint, tags array<int>")


def publication(**changes: object) -> Publication:
    return Publication(**{"dataset": "things", "day": DAY, "columns": COLUMNS, "key_columns": ("id",), **changes})  # type: ignore[arg-type]


def test_what_is_published_is_read_back(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path), "live")
    table = rows(spark, ("b", 2, [1, 2]), ("a", 1, None), ("c", None, []))
    manifest = publish(warehouse, table, publication(files=2))
    folder = warehouse.folder("things", DAY)
    assert read_manifest(folder) == manifest
    assert manifest.rows == 3
    for entry in manifest.files:
        content = (Path(folder) / entry.name).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert entry.rows == pq.read_table(f"{folder}/{entry.name}").num_rows
    assert sorted(map(tuple, read_table(spark, folder, COLUMNS).collect())) == sorted(map(tuple, table.collect()))


def test_a_reader_sees_the_listed_files_only(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path), "live")
    publish(warehouse, rows(spark, ("a", 1, None)), publication())
    publish(warehouse, rows(spark, ("b", 2, None), ("c", 3, None)), publication())
    folder = warehouse.folder("things", DAY)
    assert len([name for name in os.listdir(folder) if name.startswith("data-")]) == 2
    assert {row["id"] for row in read_table(spark, folder, COLUMNS).collect()} == {"b", "c"}


def test_a_failing_write_leaves_the_old_dataset(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path), "live")
    old = publish(warehouse, rows(spark, ("a", 1, None)), publication())
    broken = rows(spark, ("a", 1, None)).selectExpr("id", "n div 0 as n", "tags")
    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        publish(warehouse, broken, publication())
    assert read_manifest(warehouse.folder("things", DAY)) == old


def test_a_truncated_file_is_refused_by_name(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path), "live")
    manifest = publish(warehouse, rows(spark, ("a", 1, None)), publication())
    folder = warehouse.folder("things", DAY)
    os.truncate(f"{folder}/{manifest.files[0].name}", 20)
    with pytest.raises(DamagedData, match=r"\.parquet has 20 bytes, its manifest says"):
        read_table(spark, folder, COLUMNS)


def test_a_step_that_breaks_its_schema_is_told_what_differs(spark: SparkSession, tmp_path: Path) -> None:
    table = rows(spark, ("a", 1, None)).selectExpr("id", "cast(n as int) n", "1 extra")
    with pytest.raises(PipelineError) as error:
        publish(Warehouse(str(tmp_path), "live"), table, publication())
    assert str(error.value).splitlines() == [
        "things does not follow its schema:",
        "  extra: schema says absent, step gave int",
        "  n: schema says bigint, step gave int",
        "  tags: schema says array<int>, step gave absent",
    ]
    assert not (tmp_path / "live" / "things" / f"dt={DAY}" / MANIFEST).exists()


def test_another_product_is_not_overwritten(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path), "live")
    publish(warehouse, rows(spark, ("a", 1, None)), publication())
    folder = warehouse.folder("things", DAY)
    text = Path(folder, MANIFEST).read_text().replace('"product": "live"', '"product": "other"')
    Path(folder, MANIFEST).write_text(text)
    with pytest.raises(Refused, match="belongs to product 'other'"):
        publish(warehouse, rows(spark, ("a", 1, None)), publication())


def test_the_digest_is_of_the_set_of_rows(spark: SparkSession) -> None:
    some = rows(spark, ("a", 1, [1]), ("b", None, None), ("a", 1, [1]))
    assert content_digest(some) == content_digest(some.repartition(7).orderBy("n"))
    assert content_digest(some) != content_digest(some.dropDuplicates())
    columns = "id string, other string"
    left, right = (spark.createDataFrame([values], columns) for values in [("x", None), (None, "x")])
    assert content_digest(left) != content_digest(right)
