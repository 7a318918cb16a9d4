"""Statistics of columns against a plain Python count of the same rows, whatever the number of partitions."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline import schemas
from pipeline.days import add_days
from pipeline.statistics.bins import edge
from pipeline.statistics.columns import Kinds, kinds_of
from pipeline.steps.build_statistics import build_statistics
from pipeline.steps.build_statistics.counting import Asked, count_columns
from tests.steps.rows import FIRST, Row, at, event, events_frame, frame, later, toy_config
from tests.steps.spark_settings import shuffles
from tests.steps.world import arrived, random_world, walk

KINDS: Kinds = {
    "name": "key", "when": "time", "number": "number", "whole": "number", "label": "label", "list": "list",
    "text": "category", "code": "id",
}  # fmt: skip
TYPES = {
    "name": "string", "when": "timestamp", "number": "double", "whole": "bigint", "label": "float",
    "list": "array<int>", "text": "string", "code": "int",
}  # fmt: skip
HIGH, CLEF = "\uffff", "\U0001d11e"  # by UTF-8 bytes the clef comes last, by UTF-16 units it would come first


def bin_by_frexp(x: float) -> int:
    """The bin of a number from the bits of its mantissa and exponent."""
    size = abs(x)
    if math.isnan(x) or size >= 2.0**63:
        return (63 + 20) * 16 + 1 if not x < 0 else -((63 + 20) * 16 + 1)
    if size < 2.0**-20:
        return 0
    mantissa, exponent = math.frexp(size)
    place = (exponent - 1 + 20) * 16 + math.floor((2 * mantissa - 1) * 16) + 1
    return -place if x < 0 else place


def counted(table: DataFrame, kinds: Kinds) -> dict[str, Row]:
    """Column -> its row."""
    found = count_columns([Asked("toy", table, kinds)])
    assert dict(found.table.dtypes) == schemas.STATISTICS
    rows = {row["column"]: row.asDict(recursive=True) for row in found.table.collect()}
    found.release()
    return rows


def histogram(row: Row) -> dict[int, int]:
    """Bin -> count, in ascending order."""
    bins = [entry["bin"] for entry in row["histogram"]]
    assert bins == sorted(set(bins))
    return {entry["bin"]: entry["count"] for entry in row["histogram"]}


def hard_numbers() -> Iterator[float]:
    """Around every edge where rounding could go wrong."""
    for exponent in (-1074, -300, -21, -20, -19, -1, 0, 1, 2, 3, 10, 29, 31, 52, 53, 62, 63, 64, 1000):
        power = 2.0**exponent
        yield from (power, math.nextafter(power, 0), math.nextafter(power, math.inf), power * 1.0625, power * 1.9375)
        yield math.nextafter(power * 1.0625, 0)
    yield from (0.0, -0.0, math.nan, math.inf, 1e300, 0.1, 1 / 3, *map(float, range(70)))


def test_every_number_falls_into_the_bin_that_its_bits_say(spark: SparkSession) -> None:
    numbers = [*hard_numbers(), *(-number for number in hard_numbers())]
    table = frame(spark, [{"number": number} for number in numbers], {"number": "double"})
    row = counted(table, {"number": "number"})["number"]
    assert histogram(row) == dict(sorted(Counter(map(bin_by_frexp, numbers)).items()))
    assert (row["rows"], row["nulls"], row["max"]) == (len(numbers), 0, "NaN")


def test_edges_are_where_bins_begin() -> None:
    assert [edge(number) for number in (0, 1, 17)] == [0.0, 2.0**-20, 2.0**-19]
    assert all(bin_by_frexp(edge(n)) == n != bin_by_frexp(math.nextafter(edge(n), 0)) for n in range(1, 1329))
    assert all(edge(-n) == -edge(n) for n in range(1329))
    assert [edge(bin_by_frexp(float(n))) for n in range(33)] == [float(n) for n in range(33)]


def random_rows(seed: int, rows: int = 400) -> list[Row]:
    rng = random.Random(seed)
    return [
        {
            "name": f"n{number:05d}",
            "when": rng.choice([None, at(FIRST, rng.uniform(0, 24)).replace(microsecond=0)]),
            "number": rng.choice([None, 0.0, -0.0, rng.gauss(0, 3), rng.lognormvariate(2, 2)]),
            "whole": rng.choice([None, rng.randrange(-5, 5), rng.randrange(2**40), 2**53 + 1]),
            "label": float(rng.random() < 0.2),
            "list": rng.choice([None, [], [1] * rng.randrange(9)]),
            "text": rng.choice([None, "", "a", "b", HIGH, CLEF, f"t{rng.randrange(300)}"]),
            "code": rng.choice([None, 1, 2, 3, 3 + rng.randrange(20)]),
        }
        for number in range(rows)
    ]


def values_of(rows: list[Row], name: str) -> list[Any]:
    """What is counted of a column: not null; a list's length, an id that is not that of null."""
    present = [row[name] for row in rows if row[name] is not None]
    return [len(value) for value in present] if name == "list" else [v for v in present if name != "code" or v != 1]


def top_of(values: list[Any]) -> list[dict[str, Any]]:
    counts = Counter(map(str, values))
    ordered = sorted(counts, key=lambda value: (-counts[value], value.encode()))
    return [{"value": value, "count": counts[value]} for value in ordered[:100]]


def quantiles_of(values: list[Any]) -> list[float]:
    ordered = sorted(values)
    return [edge(bin_by_frexp(float(ordered[-(-len(ordered) * percent // 100) - 1]))) for percent in
            (1, 5, 25, 50, 75, 95, 99)]  # fmt: skip


@pytest.mark.parametrize("partitions", [1, 3, 16])
def test_counts_are_those_of_a_plain_count_for_any_partitions(spark: SparkSession, partitions: int) -> None:
    rows = random_rows(5)
    table = frame(spark, rows, TYPES).repartition(partitions)
    with shuffles(spark, partitions):
        found = counted(table, KINDS)
    assert list(found) and set(found) == set(KINDS)
    for name, row in found.items():
        values = values_of(rows, name)
        assert (row["dataset"], row["kind"], row["rows"]) == ("toy", KINDS[name], len(rows))
        assert row["nulls"] == len(rows) - len(values), name
        assert row["distinct"] == pytest.approx(len(set(values)), rel=0.12, abs=1), name
    for name in ("number", "whole", "label", "list"):
        values = values_of(rows, name)
        assert histogram(found[name]) == dict(sorted(Counter(bin_by_frexp(float(v)) for v in values).items()))
        assert found[name]["quantiles"] == quantiles_of(values)
        ends = [type(values[0])(found[name][end]) for end in ("min", "max")]
        assert ends == [min(values), max(values)], "a large number is not rounded"
        assert found[name]["top"] == []
    for name in ("text", "code"):
        values = values_of(rows, name)
        assert found[name]["distinct"] == len(set(values))
        assert found[name]["top"] == top_of(values)
        assert found[name]["histogram"] == found[name]["quantiles"] == []
    assert found["code"]["unknown"] == sum(row["code"] == 2 for row in rows)
    assert found["label"]["positive"] == sum(row["label"] for row in rows)
    assert {name for name, row in found.items() if row["unknown"] is not None} == {"code"}


def test_bits_do_not_depend_on_partitions_or_order(spark: SparkSession) -> None:
    rows = random_rows(6, 250)
    shuffled = random.Random(1).sample(rows, len(rows))
    once = counted(frame(spark, rows, TYPES).repartition(1), KINDS)
    assert counted(frame(spark, shuffled, TYPES).repartition(7, "text"), KINDS) == once


def test_a_table_without_rows_has_statistics(spark: SparkSession) -> None:
    found = counted(frame(spark, [], TYPES), KINDS)
    assert {(row["rows"], row["nulls"], row["distinct"]) for row in found.values()} == {(0, 0, 0)}
    assert all(row["top"] == row["histogram"] == row["quantiles"] == [] for row in found.values())


def test_a_label_is_known_when_the_first_event_that_makes_it_is(spark: SparkSession) -> None:
    config, t = toy_config(), at(FIRST, 12)
    rows = [
        event("exposure", t, user_id="u1"),
        event("enter", t + later(10), user_id="u1", available_at=t + later(400)),  # first to happen, second to be known
        event("enter", t + later(50), user_id="u1", available_at=t + later(52.5)),
        event("exposure", t, user_id="u2"),
        event("enter", t + later(59), user_id="u2", available_at=t + later(601)),  # known after the label is final
        event("exposure", t, user_id="u3"),
        event("enter", t + later(1), user_id="u3", available_at=t + later(3)),
        event("exposure", t, user_id="u4", bot_rule="rate"),
        event("enter", t + later(1), user_id="u4"),
    ]
    nothing: list[Row] = []
    events = events_frame(spark, config, rows)
    made = build_statistics(config, FIRST, events, events, frame(spark, nothing, schemas.examples(config)))
    found = {row["column"]: row.asDict(recursive=True) for row in made.table.collect()}
    made.release()
    row = found["known_after_s_enter"]
    assert (row["dataset"], row["rows"], row["nulls"], row["min"], row["max"]) == (
        "examples/enter",
        2,
        0,
        "3.0",
        "52.5",
    )
    assert histogram(row) == {bin_by_frexp(3): 1, bin_by_frexp(52.5): 1}
    assert found["known_after_s_watch"]["rows"] == 0


def test_the_statistics_of_a_day_are_those_of_its_events_and_examples(spark: SparkSession, tmp_path: Path) -> None:
    config, world, second = toy_config(), random_world(3, days=2), add_days(FIRST, 1)
    road = walk(spark, config, world, tmp_path, [FIRST, second])
    exposed = arrived(road, world, FIRST, second)
    made = build_statistics(
        config, second, arrived(road, world, second, second), exposed, road.expect("examples", [second])
    )
    road.keep("statistics", second, made.table)
    made.release()
    rows = {(row["dataset"], row["column"]): row for row in road.rows("statistics", second)}
    events = world.arrived(config, world.events, second, second)
    examples = road.rows("examples", second)
    assert {key[1] for key in rows if key[0] == "events"} == set(kinds_of(config, "events"))
    assert {key[1] for key in rows if key[0] == "examples/enter"} == set(kinds_of(config, "examples"))
    for dataset, table in (("events", events), ("examples/enter", examples)):
        assert len(table) > 30
        for name, kind in kinds_of(config, "events" if dataset == "events" else "examples").items():
            row = rows[dataset, name]
            if name.startswith("known_after_s_"):
                positive = sum(example[f"label_{name.removeprefix('known_after_s_')}"] for example in examples)
                assert row["rows"] == positive > 0
                continue
            nulls = [one[name] is None or (kind == "id" and one[name] == 1) for one in table]
            assert (row["kind"], row["rows"], row["nulls"]) == (kind, len(table), sum(nulls)), name
            if kind == "id":
                assert row["unknown"] == sum(one[name] == 2 for one in table)
            if kind == "label":
                assert row["positive"] == sum(one[name] for one in table)
