"""Planted drifts are found and stop the road; an ordinary day passes; what cannot be judged is said."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config
from pipeline.errors import ConfigError, Refused
from pipeline.statistics.judge import Verdict, judge, relative_change
from pipeline.statistics.tell import refuse, summary_of
from pipeline.storage import Warehouse
from tests.statistics.published_statistics import FIRST, Row, product, publish, row

DAY = FIRST + timedelta(3)
LIMITS = (
    "drift.null_rate_change={fail=0.1}", "drift.unknown_rate_change={fail=0.1}", "drift.label_rate_change={fail=0.4}",
    "drift.rows_change={fail=0.5}",
)  # fmt: skip
Plant = Callable[[str, list[Any]], list[Any]]


def values_of(seed: int, rows: int = 3000) -> dict[tuple[str, str, str], list[Any]]:
    """(dataset, column, kind) -> what an ordinary day holds."""
    rng, examples = random.Random(seed), "examples/enter"
    draw = {
        ("events", "event_id", "key"): lambda n: f"e{seed}-{n}",
        ("events", "scene", "category"): lambda n: rng.choices(["hot", "new", None], [6, 3, 1])[0],
        ("events", "duration_ms", "number"): lambda n: rng.choice([None, rng.lognormvariate(9, 1)]),
        (examples, "example_id", "key"): lambda n: f"e{seed}-{n}",
        (examples, "user_city", "id"): lambda n: rng.choices([None, 2, 3, 4, 5], [2, 3, 40, 30, 25])[0],
        (examples, "item_exposures_7d", "number"): lambda n: float(rng.randrange(200)),
        (examples, "label_enter", "label"): lambda n: float(rng.random() < 0.2),
    }  # fmt: skip
    return {key: [one(n) for n in range(rows)] for key, one in draw.items()}


def rows_of(seed: int, plant: Plant = lambda column, values: values, rows: int = 3000) -> list[Row]:
    found = values_of(seed, rows)
    return [row(dataset, column, kind, plant(column, values)) for (dataset, column, kind), values in found.items()]  # type: ignore[arg-type]


def judged(folder: Path, plant: Plant = lambda column, values: values, *settings: str) -> tuple[Config, Verdict]:
    """Three ordinary days, then one with a planted change."""
    config = product(folder, *LIMITS, *settings)
    warehouse = Warehouse.of(config)
    for number in range(3):
        publish(warehouse, FIRST + timedelta(number), rows_of(number))
    publish(warehouse, DAY, rows_of(9, plant))
    return config, judge(config, warehouse, DAY)


def failed(verdict: Verdict) -> set[tuple[str | None, str]]:
    return {(finding.column, finding.check) for finding in verdict.of("fail")}


def test_an_ordinary_day_passes(tmp_path: Path) -> None:
    config, verdict = judged(tmp_path)
    assert (verdict.outcome, verdict.of("fail"), verdict.of("warn")) == ("passed", [], [])
    assert {finding.check for finding in verdict.findings} == {
        "psi", "null_rate_change", "unknown_rate_change", "label_rate_change", "rows_change",
    }  # fmt: skip
    assert verdict.reference_days == tuple(FIRST + timedelta(n) for n in range(3))
    refuse(Warehouse.of(config), verdict, "page")
    assert summary_of(verdict).startswith(f"passed: {len(verdict.findings)} checks, 0 failed, 0 warnings")


def of_column(name: str, change: Callable[[int, Any], Any]) -> Plant:
    return lambda column, values: [change(n, v) for n, v in enumerate(values)] if column == name else values


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (of_column("scene", lambda n, v: None), {("scene", "psi"), ("scene", "null_rate_change")}),
        (of_column("scene", lambda n, v: {"hot": "new", "new": "hot"}.get(v)), {("scene", "psi")}),
        (of_column("scene", lambda n, v: f"{v}!" if v else v), {("scene", "psi")}),
        (of_column("duration_ms", lambda n, v: v and v / 1000), {("duration_ms", "psi")}),
        (of_column("item_exposures_7d", lambda n, v: v + 80), {("item_exposures_7d", "psi")}),
        (of_column("item_exposures_7d", lambda n, v: -v), {("item_exposures_7d", "psi")}),
        (of_column("label_enter", lambda n, v: v * (n % 2)), {("label_enter", "label_rate_change")}),
        (of_column("user_city", lambda n, v: 2 if n % 5 == 0 else v), {("user_city", "unknown_rate_change")}),
    ],
    ids=["null", "swapped", "renamed", "other unit", "shifted", "sign", "label halved", "unknown ids"],
)
def test_a_planted_drift_is_found_and_nothing_else(
    tmp_path: Path, plant: Plant, expected: set[tuple[str, str]]
) -> None:
    config, verdict = judged(tmp_path, plant)
    assert expected <= failed(verdict)
    assert {column for column, _ in failed(verdict)} == {column for column, _ in expected}
    with pytest.raises(Refused) as told:
        refuse(Warehouse.of(config), verdict, "the/page.html")
    assert told.value.exit_code == 3


def test_half_a_day_is_found(tmp_path: Path) -> None:
    config, _ = judged(tmp_path)
    publish(Warehouse.of(config), DAY, rows_of(9, rows=1400))
    assert failed(judge(config, Warehouse.of(config), DAY)) == {(None, "rows_change")}


def test_the_message_says_column_value_limit_histograms_query_and_way_out(tmp_path: Path) -> None:
    config, verdict = judged(tmp_path, of_column("scene", lambda n, v: {"hot": "new", "new": "hot"}.get(v)))
    with pytest.raises(Refused) as told:
        refuse(Warehouse.of(config), verdict, "the/page.html")
    lines = str(told.value).splitlines()
    count = len(verdict.findings)
    assert lines[0] == f"2026-01-04 is refused: held against 2026-01-01..2026-01-03, 1 of {count} checks fail"
    assert lines[2].startswith("events, column scene: psi is 0.") and lines[2].endswith("above 0.25 ($.drift.psi.fail)")
    assert lines[3].split() == ["reference", "days", "day"]
    table = {line.split()[0]: [float(word[:-1]) for word in line.split() if word.endswith("%")] for line in lines[4:8]}
    assert table["'hot'"] == [pytest.approx(60, abs=2), pytest.approx(30, abs=3)]
    assert table["'new'"] == [pytest.approx(30, abs=2), pytest.approx(60, abs=3)]
    folder = f"{tmp_path}/live/events/dt=2026-01-04/data-0"
    assert lines[8] == (
        f"  rows: SELECT `scene`, count(*) AS n FROM parquet.`{folder}` GROUP BY 1 ORDER BY n DESC, 1 LIMIT 100"
    )
    assert "the/page.html" in lines[-1] and "add 2026-01-04 to $.drift.accepted_days" in lines[-1]


def test_an_accepted_day_is_said_and_stops_nothing(tmp_path: Path) -> None:
    plant = of_column("scene", lambda n, v: None)
    config, verdict = judged(tmp_path, plant, "drift.accepted_days=[2026-01-04]")
    assert verdict.outcome == "accepted" and verdict.of("fail")
    refuse(Warehouse.of(config), verdict, "page")
    assert judged(tmp_path, plant, "drift.accepted_days=[2026-01-05]")[1].outcome == "refused"


def test_a_column_has_limits_of_its_own(tmp_path: Path) -> None:
    plant = of_column("scene", lambda n, v: {"hot": "new", "new": "hot"}.get(v))
    _, verdict = judged(tmp_path, plant, "drift.events.scene.psi={warn=0.3}")
    assert verdict.outcome == "passed"
    (warned,) = verdict.of("warn")
    assert (warned.column, warned.place) == ("scene", "$.drift.events.scene.psi")


def test_with_too_few_days_only_rates_of_any_day_are_judged(tmp_path: Path) -> None:
    config = product(tmp_path, *LIMITS, "drift.events.scene.null_rate={fail=0.3}")
    warehouse = Warehouse.of(config)
    for number in range(3):
        publish(warehouse, FIRST + timedelta(number), rows_of(number))
        verdict = judge(config, warehouse, FIRST + timedelta(number))
        assert verdict.outcome == "not judged"
        assert (
            verdict.not_judged
            == f"{number} of 3 reference days are there yet ($.drift.reference_days, from 2026-01-01 on)"
        )
        assert [finding.check for finding in verdict.findings] == ["null_rate"]
    publish(warehouse, FIRST + timedelta(1), rows_of(1, of_column("scene", lambda n, v: None)))
    verdict = judge(config, warehouse, FIRST + timedelta(1))
    assert (verdict.outcome, failed(verdict)) == ("refused", {("scene", "null_rate")})


def test_the_days_of_the_warm_up_are_neither_judged_nor_referred_to(tmp_path: Path) -> None:
    config, verdict = judged(tmp_path, lambda column, values: values, "drift.warm_up_days=2")
    warehouse = Warehouse.of(config)
    assert verdict.not_judged == "1 of 3 reference days are there yet ($.drift.reference_days, from 2026-01-03 on)"
    assert [judge(config, warehouse, FIRST + timedelta(n)).outcome for n in range(3)] == ["not judged"] * 3
    for number in (4, 5):
        publish(warehouse, FIRST + timedelta(number), rows_of(number))
    verdict = judge(config, warehouse, FIRST + timedelta(5))
    assert (verdict.outcome, verdict.reference_days[0]) == ("passed", FIRST + timedelta(2))


def test_a_reference_day_without_statistics_is_named_with_the_command(tmp_path: Path) -> None:
    config = product(tmp_path)
    warehouse = Warehouse.of(config)
    for number in (0, 2, 3):
        publish(warehouse, FIRST + timedelta(number), rows_of(number))
    verdict = judge(config, warehouse, DAY)
    assert verdict.not_judged == (
        "1 of 3 reference days have no statistics. Build them first: make backfill FROM=2026-01-02 TO=2026-01-02"
    )
    assert (
        "no statistics. Build them first: make day DT=2026-01-09"
        in judge(config, warehouse, FIRST + timedelta(8)).not_judged
    )


def test_few_rows_and_columns_that_are_not_everywhere_are_not_judged(tmp_path: Path) -> None:
    config, _ = judged(tmp_path, lambda column, values: values, "drift.least_rows=3001")
    assert judge(config, Warehouse.of(config), DAY).findings == ()
    config = product(tmp_path, *LIMITS)
    publish(Warehouse.of(config), FIRST, [one for one in rows_of(0) if one["column"] != "scene"])
    found = {finding.column for finding in judge(config, Warehouse.of(config), DAY).findings}
    assert "duration_ms" in found and "scene" not in found


def test_a_change_from_nothing_is_without_end() -> None:
    assert [relative_change(*pair) for pair in ((0, 0), (1, 0), (1, 4), (6, 4))] == [0, float("inf"), 0.75, 0.5]


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("drift.psi={}", "$.drift.psi: needs warn or fail"),
        ("drift.psi={warn=0.3, fail=0.2}", "$.drift.psi: warn (0.3) must not be above fail (0.2)"),
        ("drift.psi={fail=-1}", "$.drift.psi.fail: Input should be greater than or equal to 0"),
        ("drift.reference_day=3", "$.drift.reference_day: unknown key"),
        ("drift.events.scen.psi={fail=1}", "got column 'scen'; did you mean 'scene'?"),
        ("drift.events.source_file.psi={fail=1}", "$.drift.events.source_file: must be one of ["),
        ("drift.examples.user_cty.psi={fail=1}", "$.drift.examples.user_cty: must be one of ["),
        ("drift.examples.user_city={}", "$.drift.examples.user_city: says nothing"),
        ("drift.events.scene.unknown_rate={fail=1}", "unknown_rate: means nothing of a column of kind 'category', onl"),
        ("drift.events.event_time.psi={fail=1}", "$.drift.events.event_time.psi: means nothing of a column of kind "),
        ("drift.examples.user_city.label_rate_change={fail=1}", "means nothing of a column of kind 'id', only of "),
        ("drift.accepted_days=['soon']", "$.drift.accepted_days.0: "),
    ],
)  # fmt: skip
def test_limits_that_mean_nothing_are_refused(tmp_path: Path, setting: str, fault: str) -> None:
    with pytest.raises(ConfigError) as told:
        product(tmp_path, setting)
    assert fault in str(told.value)
