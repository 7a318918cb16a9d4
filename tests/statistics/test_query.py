"""The query that a refusal prints is one that Spark answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline.config.drift import Level
from pipeline.statistics.judge import Finding, Verdict
from pipeline.statistics.tell import query
from pipeline.storage import Warehouse
from tests.statistics.published_statistics import FIRST, publish, row


@pytest.mark.parametrize(
    ("column", "kind", "check", "expected"),
    [
        ("label_enter", "label", "psi", [(1.0, 1)]),
        ("label_enter", "label", "null_rate", []),
        ("user_city", "id", "null_rate_change", [(1, 1.0)]),
        (None, "", "rows_change", [(5, 1)]),
        ("known_after_s_enter", "number", "psi", [(321, 2), (337, 1)]),
    ],
)
def test_it_shows_the_rows(
    spark: SparkSession, tmp_path: Path, column: str | None, kind: str, check: str, expected: list[tuple[object, ...]]
) -> None:
    warehouse = Warehouse(str(tmp_path), "live")
    publish(warehouse, FIRST, [row("examples/enter", "known_after_s_enter", "number", [1.0, 1.0, 2.0])])
    finding = Finding("examples/enter", column, check, 1.0, Level(fail=0.5), "$", kind)
    found = spark.sql(query(warehouse, Verdict(FIRST, ()), finding))
    named = [column for column in ("user_city", "label_enter") if column in found.columns]
    chosen = found.select(*named) if "weight" in found.columns else found
    assert [tuple(one) for one in chosen.collect()] == expected
