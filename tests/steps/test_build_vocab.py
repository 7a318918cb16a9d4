"""Vocabularies: which ids, in which order, and that they stay."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from pipeline.days import add_days
from pipeline.schemas import TOMBSTONE
from pipeline.steps.build_vocab import build_vocab, vocabulary_values
from tests.steps.rows import FIRST, at, attributes_frame, collected, event, events_frame, frame, statement, toy_config

HIGH, CLEF = "\uffff", "\U0001d11e"  # by UTF-8 bytes the clef comes last, by UTF-16 units it would come first


def _values(spark: SparkSession, text: dict[str, int]) -> DataFrame:
    return frame(spark, [{"value": value} for value, count in text.items() for _ in range(count)], {"value": "string"})


def _snapshot(spark: SparkSession, days: list[dict[str, int]], column: str = "item_id") -> list[tuple[object, ...]]:
    known: DataFrame | None = None
    for number, counts in enumerate(days):
        made = build_vocab(toy_config(), add_days(FIRST, number), column, _values(spark, counts), known)
        known = spark.createDataFrame(made.toArrow())
    assert known is not None
    return [tuple(row.values()) for row in collected(known, "id", "value")]


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
    found = {
        name: [r["value"] for r in vocabulary_values(config, name, events, said).collect()]
        for name in ("scene", "user_city", "item_category")
    }
    assert found == {"scene": ["hot", "hot"], "user_city": ["Oslo"], "item_category": ["music"]}


def _built(
    spark: SparkSession, number: int, counts: dict[str, int], known: DataFrame | None, forgotten: dict[int, str]
) -> DataFrame:
    values = _values(spark, counts)
    made = build_vocab(toy_config(), add_days(FIRST, number), "item_id", values, known, forgotten)
    return spark.createDataFrame(made.toArrow())


def _known(table: DataFrame) -> dict[int, str]:
    return {row["id"]: row["value"] for row in table.where("id is not null").collect()}


def test_a_forgotten_id_stays_taken_when_its_day_is_built_again(spark: SparkSession) -> None:
    """Whoever is left has the id that he had: by hand, and whichever of a day's values were forgotten."""
    first, second = {"a": 9, "b": 8, "c": 7}, {"d": 9, "e": 8, "f": 7, "g": 6, "a": 3}
    day, later = str(FIRST), str(add_days(FIRST, 1))
    before = _known(_built(spark, 1, second, _built(spark, 0, first, None, {}), {}))
    assert before == dict(enumerate("abcdefg", 3))
    for gone in ({4}, {3, 4, 5}, {6}, {4, 7}, {6, 7, 9}, {3, 5, 6, 8}):
        stones = {id_: day if id_ < 6 else later for id_ in gone}
        left = [
            {v: n for v, n in counts.items() if v not in {before[id_] for id_ in gone}} for counts in (first, second)
        ]
        yesterday = _built(spark, 0, left[0], None, {id_: d for id_, d in stones.items() if d == day})
        today = _built(spark, 1, left[1], yesterday, stones)
        assert _known(today) == {id_: f"{TOMBSTONE}{id_}" if id_ in gone else value for id_, value in before.items()}
        assert {(r["count"], str(r["first_dt"])) for r in today.collect() if r["id"] in gone} == {
            (0, d) for d in stones.values()
        }


def test_ids_have_no_gap_where_fewer_values_come_than_before(spark: SparkSession) -> None:
    made = _built(spark, 0, {"a": 9}, None, {3: str(FIRST), 7: str(FIRST)})
    assert _known(made) == {3: f"{TOMBSTONE}3", 4: "a"}
