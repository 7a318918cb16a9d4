"""An expression of a feature is analysed before anything is read; a sum stays within 64 bits."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline.errors import ConfigError
from pipeline.steps.check_features import check_features, check_sql
from tests.steps.rows import TABLES, toy_config


def context(**sql: str) -> dict[str, Any]:
    return {"context": {name: {"sql": text} for name, text in sql.items()}}


def test_an_expression_over_an_event_is_sound(spark: SparkSession) -> None:
    config = toy_config(
        features=context(
            hour="hour(from_utc_timestamp(event_time, 'Asia/Shanghai'))",
            hot="scene = 'hot'",
            number="try_cast(scene AS DOUBLE)",
            money="position * 1.5",
            time="event_time",
            case="CASE WHEN position > 3 THEN 1 ELSE 0 END",
        )
    )
    check_sql(config, spark)
    check_sql(toy_config(), spark)


def test_every_expression_that_spark_cannot_use_is_named_at_once(spark: SparkSession) -> None:
    wrong = {
        "absent": ("positon + 1", "UNRESOLVED_COLUMN"),
        "broken": ("position +", "PARSE_SYNTAX_ERROR"),
        "function": ("hours(event_time)", "hours"),
        "later": ("if(available_at IS NULL, 0, 1)", "available_at"),
        "verdict": ("bot_rule IS NULL", "bot_rule"),
        "text": ("concat(scene, 'x')", "gives text, of which a line may say no number; write try_cast(... AS DOUBLE)"),
        "day": ("date(event_time)", "gives date, which does not become a float"),
        "list": ("array(position)", "gives array<int>, which does not become a float"),
        "total": ("sum(position)", "sum"),
        "window": ("row_number() OVER (ORDER BY event_time)", "window"),
        "many": ("explode(array(1, 2))", "explode"),
        "several": ("stack(1, 1, 2)", "stack"),
        "random": ("rand()", "rand"),
        "empty": ("", "PARSE"),
    }
    with pytest.raises(ConfigError) as caught:
        check_sql(toy_config(features=context(**{name: sql for name, (sql, _) in wrong.items()}, sound="1")), spark)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert caught.value.exit_code == 2
    assert len(lines) == len(wrong)
    for line, (name, (sql, why)) in zip(lines, wrong.items(), strict=True):
        assert line.startswith(f"$.features.context.{name}.sql: ")
        assert line.endswith(f"got {sql!r}")
        assert why in line
    assert "['duration_ms', 'event_time', 'item_id', 'position', 'room_id', 'scene', 'user_id']" in lines[0]


@pytest.mark.parametrize(
    "bounds",
    [{}, {"min": 0}, {"max": 9}, {"min": 0, "max": 10**11}, {"min": -(2**62), "max": 0}],
    ids=["none", "no max", "no min", "large", "small"],
)
@pytest.mark.parametrize("feature", [{"sum": "watch.duration_ms"}, {"rate": ["watch.duration_ms", "enter"]}])
def test_what_is_summed_has_bounds(feature: dict[str, Any], bounds: dict[str, int]) -> None:
    events = TABLES["sources"]["events"]
    column = {"from": "dur", "type": "long", **bounds}
    sources = {**TABLES["sources"], "events": {**events, "columns": {**events["columns"], "duration_ms": column}}}
    with pytest.raises(ConfigError, match=r"\$\.features\.user\.x\.sums 'duration_ms', so \$\.sources\.events\.colu"):
        check_features(toy_config(sources=sources, features={"user": {"x": feature}}))


NEGATIVES = {"per_example": 2, "candidates": "popular", "popularity": "enter", "keep": ["scene"]}


def told(**sections: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_features(toy_config(**sections))
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_beside_sampled_candidates_nothing_tells_which_they_are(spark: SparkSession) -> None:
    """They have no place in a list and no duration: whatever looks at these would read the label off."""
    known = "columns known at an event are ['event_time', 'item_id', 'scene', 'user_id']"
    features = {
        "user": {
            "split": {"count": "enter", "by": "room_id"},
            "past": {"last": "enter", "by": "room_id"},
            "places": {"distinct": "enter", "by": "position"},
            "fine": {"count": "enter", "by": "scene"},
            "hours": {"share": "enter", "by": "hour"},
            "city": {"attribute": "city"},
        },
        "item": {"by_city": {"count": "enter", "by": "city"}},
        "context": {"place": {"column": "position"}, "scene": {"column": "scene"}},
        "sequence": {"rooms": {"of": "room_id", "events": ["enter"]}},
    }
    labels = {"enter": {"event": "enter", "match": ["user_id", "room_id"], "within_s": 60, "mature_after_s": 600}}
    assert [line.partition(" (as")[0] for line in told(negatives=NEGATIVES, features=features, labels=labels)] == [
        f"$.features.user.split.by is 'room_id', of which the example's own value is looked up; {known}",
        f"$.features.context.place.column is 'position'; {known}",
        f"$.labels.enter.match names 'room_id'; {known}",
    ]
    label = {"enter": {**labels["enter"], "match": ["user_id"]}}
    config = toy_config(negatives=NEGATIVES, labels=label, features=context(place="position + 1", fine="scene = 'hot'"))
    with pytest.raises(ConfigError, match=r"\$\.features\.context\.place\.sql: .*UNRESOLVED_COLUMN") as caught:
        check_sql(config, spark)
    assert str(caught.value).startswith("1 fault(s)")


def test_no_feature_looks_at_what_a_label_says_of_its_own_event(spark: SparkSession) -> None:
    labels = {"high": {"chosen": True, "column": "position", "at_least": 1, "mature_after_s": 600}}
    of_label = {"labels": labels, "training": {"label": "high"}}
    known = "columns known at an event are ['duration_ms', 'event_time', 'item_id', 'room_id', 'scene', 'user_id']"
    assert told(**of_label, features={"context": {"place": {"column": "position"}}}) == [
        f"$.features.context.place.column is 'position'; {known}"
    ]
    with pytest.raises(ConfigError, match=r"context\.place\.sql: .*UNRESOLVED_COLUMN"):
        check_sql(toy_config(**of_label, features=context(place="position + 1")), spark)
    text = {"high": {**labels["high"], "column": "scene"}}
    fault = "$.labels.high.column is 'scene', which must be an int, long or double, got string"
    assert fault in told(**{**of_label, "labels": text}, features=context(one="1"))


def test_a_label_sums_whole_numbers_with_bounds() -> None:
    label = {"event": "watch", "within_s": 60, "mature_after_s": 600, "match": ["user_id"], "at_least": 9}
    for column, fault in (
        ("scene", "$.labels.enter.column sums 'scene', which must be an int or long column of events (sums are exact)"),
        ("position", "$.labels.enter.column sums 'position', so $.sources.events.columns.position needs a `min` and a"),
    ):
        found = told(labels={"enter": {**label, "column": column}})
        assert len(found) == 1
        assert found[0].startswith(fault)


def test_a_column_that_no_line_fills_is_not_there() -> None:
    events = TABLES["sources"]["events"]
    columns = {name: column for name, column in events["columns"].items() if name != "room_id"}
    sources = {**TABLES["sources"], "events": {**events, "columns": columns}}
    with pytest.raises(ConfigError, match=r"\$\.labels\.enter\.match names 'room_id'; columns known at an event are"):
        check_features(toy_config(sources=sources))
