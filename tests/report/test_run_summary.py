"""The file of numbers and the table: exact counts, exact keys, equal bytes for equal runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.report import summary
from pipeline.report.numbers import oracle_share
from pipeline.storage import Warehouse
from tests.report.report_cases import DAYS, Trained, fill, product

SECONDS = {"clean_logs": 12.5, "train": 30.25}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(str(tmp_path), "live")


def run_json(warehouse: Warehouse) -> dict[str, object]:
    """What the run wrote."""
    found: dict[str, object] = json.loads(Path(warehouse.path("reports", "run.json")).read_bytes())
    return found


def test_run_json_holds_the_counts_of_the_events_over_all_days(warehouse: Warehouse) -> None:
    trained = fill(warehouse)
    summary(product(), warehouse, DAYS, trained, 0.70, SECONDS)
    assert run_json(warehouse) == {
        "artifact": "live/models/wide_deep/2026010101",
        "auc": 0.712346,
        "gauc": 0.65,
        "logloss": 0.4321,
        "oracle_auc": 0.78,
        "baseline_auc": 0.7,
        "lines_read": 191,
        "events_kept": 170,
        "duplicates_dropped": 9,
        "quarantined": 12,
        "quarantined_by_rule": {"future_clock": 2, "malformed": 10},
        "seconds_by_step": SECONDS,
    }


def test_equal_runs_give_equal_bytes(warehouse: Warehouse) -> None:
    trained = fill(warehouse)
    path = Path(warehouse.path("reports", "run.json"))
    summary(product(), warehouse, DAYS, trained, 0.70, SECONDS)
    once = path.read_bytes()
    summary(product(), warehouse, DAYS, trained, 0.70, dict(reversed(SECONDS.items())))
    assert path.read_bytes() == once


def test_the_table_says_what_became_of_the_lines_and_how_good_the_model_is(warehouse: Warehouse) -> None:
    table = summary(product(), warehouse, DAYS, fill(warehouse), 0.70, SECONDS)
    assert len(table.splitlines()) <= 24
    assert "lines read" in table and "191" in table
    share = (0.712346 - 0.5) / (0.78 - 0.5)
    assert f"0.7123  {share:.1%} of the way from chance to the oracle's 0.7800" in table
    assert "over 1,200 users with both classes" in table
    for place in ("live/models/wide_deep/2026010101", "live/recommendations/dt=2026-01-02",
                  "live/reports/dt=2026-01-02/index.html", "live/reports/run.json"):  # fmt: skip
        assert place in table
        assert place.endswith("recommendations/dt=2026-01-02") or Path(warehouse.root, place).exists()


def test_what_is_not_known_is_null_and_said(warehouse: Warehouse) -> None:
    known = fill(warehouse)
    trained = Trained(known.folder, metrics={"auc": 0.7, "gauc": 0.6, "logloss": 0.4, "oracle_auc": None})
    table = summary(product(), warehouse, DAYS, trained, None, {})
    assert (run_json(warehouse)["oracle_auc"], run_json(warehouse)["baseline_auc"]) == (None, None)
    assert "scikit-learn is not installed" in table
    assert "oracle" not in table


def test_the_oracle_share_is_of_the_way_from_chance() -> None:
    assert oracle_share(0.65, 0.80) == pytest.approx(0.5)
    assert oracle_share(0.65, None) is None
    assert oracle_share(0.65, 0.5) is None
