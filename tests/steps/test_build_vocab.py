"""Vocabularies: which ids, in which order, and that they stay."""

from __future__ import annotations

import datetime
import random
from functools import reduce
from pathlib import Path

import pyarrow.compute as pc
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.days import add_days
from pipeline.schemas import TOMBSTONE
from pipeline.steps.build_vocab import BuildVocab, build_vocab, vocabulary_values
from tests.prove import large_vocabulary
from tests.steps.rows import FIRST, at, attributes_frame, collected, event, events_frame, frame, statement, toy_config
from tests.steps.spark_settings import shuffles

Counts = dict[str, int]
Rows = list[tuple[object, ...]]
HIGH, CLEF = "\uffff", "\U0001d11e"  # by UTF-8 bytes the clef comes last, by UTF-16 units it would come first


def _values(spark: SparkSession, seen: dict[str, Counts]) -> DataFrame:
    rows = [
        {"column": column, "value": value}
        for column, counts in seen.items()
        for value, count in counts.items()
        for _ in range(count)
    ]
    return frame(spark, rows, {"column": "string", "value": "string"})


def _snapshots(spark: SparkSession, days: list[dict[str, Counts]]) -> dict[str, Rows]:
    """The last day's, by vocabulary."""
    known: dict[str, DataFrame] = {}
    for number, seen in enumerate(days):
        known = _kept(build_vocab(toy_config(), add_days(FIRST, number), _values(spark, seen), known))
    return {column: [tuple(r.values()) for r in collected(table, "id", "value")] for column, table in known.items()}


def _kept(made: BuildVocab) -> dict[str, DataFrame]:
    """All tables by one job."""
    named = [table.select(F.lit(column).alias("column"), "*") for column, table in made.tables.items()]
    together = reduce(DataFrame.unionByName, named).toArrow()
    made.release()
    rows = {
        column: together.filter(pc.field("column") == column).drop_columns(["column"]).combine_chunks()
        for column in made.tables
    }
    spark = SparkSession.active()
    return {column: spark.createDataFrame(table) for column, table in rows.items()}


def _snapshot(spark: SparkSession, days: list[Counts]) -> Rows:
    return _snapshots(spark, [{"item_id": counts} for counts in days])["item_id"]


def _by_hand(days: list[dict[str, Counts]], column: str, least: int) -> Rows:
    total: dict[str, int] = {}
    given: dict[str, tuple[int, datetime.date]] = {}
    for number, seen in enumerate(days):
        for value, count in seen.get(column, {}).items():
            total[value] = total.get(value, 0) + count
        fresh = [value for value, count in total.items() if count >= least and value not in given]
        for value in sorted(fresh, key=lambda value: (-total[value], value.encode())):
            given[value] = (3 + len(given), add_days(FIRST, number))
    rows = [(value, *given.get(value, (None, None)), count) for value, count in total.items()]
    ordered = sorted(rows, key=lambda row: (row[1] is not None, row[1] or 0, row[0]))
    return [(value, number, count, day) for value, number, day, count in ordered]


def test_ids_by_count_then_utf8_bytes(spark: SparkSession) -> None:
    counts = {"b": 3, CLEF: 3, "Z": 3, "a": 3, HIGH: 3, "often": 9, "rare": 2, "Ä": 3}
    ordered = ["often", "Z", "a", "b", "Ä", HIGH, CLEF]
    assert ordered[1:] == sorted(ordered[1:], key=str.encode)
    made = _snapshot(spark, [counts])
    assert made == [("rare", None, 2, None), *[(v, 3 + n, counts[v], FIRST) for n, v in enumerate(ordered)]]


def test_old_ids_stay_and_values_that_cross_min_count_later_come_behind(spark: SparkSession) -> None:
    made = _snapshot(spark, [{"x": 3, "slow": 2, "never": 1}, {"y": 50, "slow": 1, "x": 1}, {"z": 3}])
    second = add_days(FIRST, 1)
    assert made == [
        ("never", None, 1, None),
        ("x", 3, 4, FIRST),
        ("y", 4, 50, second),
        ("slow", 5, 3, second),
        ("z", 6, 3, add_days(FIRST, 2)),
    ]


def test_a_day_without_values_and_a_first_day_without_values(spark: SparkSession) -> None:
    assert _snapshot(spark, [{}, {"x": 3}, {}]) == [("x", 3, 3, add_days(FIRST, 1))]


def test_values_come_from_events_or_from_statements(spark: SparkSession) -> None:
    config, day = toy_config(), FIRST
    rows = [
        event("enter", at(day), scene=scene, bot_rule=bot)
        for scene, bot in (("hot", None), ("", None), (None, None), ("hot", "rate"))
    ]
    said = {
        "user": attributes_frame(
            spark, config, "user", [statement("user", "u", at(day), city=city) for city in ("Oslo", None)]
        ),
        "item": attributes_frame(spark, config, "item", [statement("item", "i", at(day), category="music")]),
    }
    events = events_frame(spark, config, rows)
    found = sorted(tuple(row) for row in vocabulary_values(config, events, said).collect())
    assert [row for row in found if row[0] not in ("user_id", "item_id")] == [
        ("item_category", "music"), ("scene", "hot"), ("scene", "hot"), ("user_city", "Oslo"),
    ]  # fmt: skip
    assert sum(column in ("user_id", "item_id") for column, _ in found) == 2 * len(rows)


@pytest.mark.parametrize("partitions", [1, 16])
def test_several_vocabularies_over_several_days_as_by_hand(spark: SparkSession, partitions: int) -> None:
    chance = random.Random(5)
    texts = ["", "a", "ä", "z" * 40, HIGH, CLEF, "\t", *[f"v{number}" for number in range(80)]]
    names = {"user_id": 2, "item_id": 3, "scene": 1, "user_city": 1, "item_category": 1}
    days = [
        {name: {text: chance.choice((1, 1, 2, 3)) for text in chance.sample(texts[1:], 30)} for name in names if
         chance.random() < 0.8}
        for _ in range(2)
    ]  # fmt: skip
    with shuffles(spark, partitions):
        made = _snapshots(spark, days)
    assert set(made) == set(names)
    assert {name: made[name] for name in names} == {name: _by_hand(days, name, least) for name, least in names.items()}


def _built(
    spark: SparkSession, number: int, counts: Counts, known: DataFrame | None, forgotten: dict[int, str]
) -> DataFrame:
    values, before = _values(spark, {"item_id": counts}), {} if known is None else {"item_id": known}
    stones = {"item_id": {str(id_): day for id_, day in forgotten.items()}} if forgotten else {}
    made = build_vocab(toy_config(), add_days(FIRST, number), values, before, stones)
    table = spark.createDataFrame(made.tables["item_id"].toArrow())
    made.release()
    return table


def _known(table: DataFrame) -> dict[int, str]:
    return {row["id"]: row["value"] for row in table.where("id is not null").collect()}


def test_a_forgotten_id_stays_taken_when_its_day_is_built_again(spark: SparkSession) -> None:
    """Whoever is left has the id that he had: by hand, and whichever of a day's values were forgotten."""
    first, second = {"a": 9, "b": 8, "c": 7}, {"d": 9, "e": 8, "f": 7, "g": 6, "a": 3}
    day, later = str(FIRST), str(add_days(FIRST, 1))
    before = dict(enumerate("abcdefg", 3))
    assert _known(_built(spark, 1, second, _built(spark, 0, first, None, {}), {})) == before
    for gone in ({3, 4, 5}, {6, 7, 9}, {3, 5, 6, 8}):
        stones = {id_: day if id_ < 6 else later for id_ in gone}
        left = [{v: n for v, n in seen.items() if v not in {before[id_] for id_ in gone}} for seen in (first, second)]
        yesterday = _built(spark, 0, left[0], None, {id_: d for id_, d in stones.items() if d == day})
        today = _built(spark, 1, left[1], yesterday, stones)
        assert _known(today) == {id_: f"{TOMBSTONE}{id_}" if id_ in gone else value for id_, value in before.items()}
        assert {(r["count"], str(r["first_dt"])) for r in today.collect() if r["id"] in gone} == {
            (0, d) for d in stones.values()
        }


def test_ids_have_no_gap_where_fewer_values_come_than_before(spark: SparkSession) -> None:
    made = _built(spark, 0, {"a": 9}, None, {3: str(FIRST), 7: str(FIRST)})
    assert _known(made) == {3: f"{TOMBSTONE}3", 4: "a"}


def test_two_days_of_many_values(spark: SparkSession, tmp_path: Path) -> None:
    """What `make prove PART=large_vocabulary` does with 20 million on a cluster."""
    large_vocabulary.build(spark, str(tmp_path), 2_000)
