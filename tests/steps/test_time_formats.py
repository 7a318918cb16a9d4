"""Times by pattern: what the config lets pass Spark reads, as plain Python does, summer time and all."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pyspark.sql import SparkSession

from pipeline.config import Column, TimeFormat
from pipeline.config.times import LETTERS, pattern_fault
from pipeline.steps.clean_logs.columns import value_of
from tests.steps.rows import aware

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
PARTS = [letter * count for letter, counts in LETTERS.items() for count in counts]
PARIS = {"pattern": "dd/MM/yyyy HH:mm:ss", "zone": "Europe/Paris"}


def read(spark: SparkSession, time: list[object], texts: list[str]) -> list[datetime.datetime | None]:
    column = Column.model_validate({"from": "x", "time": time})
    table = spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "i int, text string")
    rows = table.select("i", value_of(column, table["text"]).alias("t")).orderBy("i").collect()
    return [None if row["t"] is None else aware(row["t"]) for row in rows]


def utc(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=datetime.UTC)  # type: ignore[arg-type, misc]


def test_every_pattern_that_the_config_takes_is_one_of_sparks(spark: SparkSession) -> None:
    """Each count of each letter, beside the day and what must go with it."""
    others = {"y": "MM dd", "M": "yyyy dd", "d": "yyyy MM", "h": "a yyyy MM dd", "a": "h yyyy MM dd"}
    patterns = [f"{part} {others.get(part[0], 'yyyy MM dd')}" for part in PARTS]
    patterns += ["yyyy-MM-dd'T'HH:mm:ss[.SSS]", "d MMM yyyy h:mm a", "''yyyy''MM''dd''", "[[HH:]mm ]yyyyMMdd"]
    for pattern in patterns:
        assert pattern_fault(pattern) is None, pattern
        zone = None if set(pattern) & set("xXZ") else "UTC"
        assert read(spark, [{"pattern": pattern, "zone": zone}], ["nothing"]) == [None]


def test_local_times_are_those_of_their_zone(spark: SparkSession) -> None:
    """Of an hour that came twice the first one; an hour that was skipped is no time."""
    zone = ZoneInfo("Europe/Paris")
    half_hours = [datetime.timedelta(minutes=30 * i) for i in range(20)]
    begins = (utc(2026, 3, 28, 22), utc(2026, 10, 25))
    shown = [begin + time for begin in begins for time in half_hours]
    shown += [utc(1999, 12, 31, 23, 59, 59), utc(9999, 12, 31, 23, 59, 59)]
    local = [time.replace(tzinfo=None) for time in shown]
    expected = []
    for time in local:
        instant = time.replace(tzinfo=zone).astimezone(datetime.UTC)
        expected.append(instant if instant.astimezone(zone).replace(tzinfo=None) == time else None)
    assert expected.count(None) == 2
    assert read(spark, [PARIS], [time.strftime("%d/%m/%Y %H:%M:%S") for time in local]) == expected
    assert expected[shown.index(utc(2026, 10, 25, 2, 30))] == utc(2026, 10, 25, 0, 30)


def test_the_first_format_that_fits_is_taken(spark: SparkSession) -> None:
    formats = [
        "epoch_ms", "iso", PARIS, {"pattern": "yyyy-MM-dd HH:mm:ss[.SSS] xx"},
        {"pattern": "d MMM yyyy h:mm a", "zone": "Asia/Shanghai"}, {"pattern": "MM/dd/yyyy HH:mm:ss", "zone": "UTC"},
    ]  # fmt: skip
    texts = {
        "1767412800000": utc(2026, 1, 3, 4),
        "2026-01-03T12:00:00+08:00": utc(2026, 1, 3, 4),
        "03/01/2026 05:00:00": utc(2026, 1, 3, 4),
        "01/13/2026 05:00:00": utc(2026, 1, 13, 5),
        "2026-01-03 04:00:00.250 +0100": utc(2026, 1, 3, 3, 0, 0, 250_000),
        "3 Jan 2026 4:05 pm": utc(2026, 1, 3, 8, 5),
        "31/02/2026 10:00:00": None,
        "3/1/2026 05:00:00": None,
        "03/01/2026 05:00:00 ": None,
        "03/01/2026 24:00:00": None,
        "03/01/+12026 05:00:00": None,
        "yesterday": None,
    }
    assert read(spark, list(formats), list(texts)) == list(texts.values())


@pytest.mark.parametrize(
    ("time", "fault"),
    [
        ("epoch", "Input should be 'epoch_s', 'epoch_ms', 'epoch_us' or 'iso'"),
        ({"pattern": "dd/MM/yyyy"}, "needs either `zone`, the zone of the clock that wrote it, or an offset from UTC"),
        ({"pattern": "dd/MM/yyyy X", "zone": "UTC"}, "needs either `zone`"),
        ({"pattern": "dd/MM/yyyy", "zone": "CET+1"}, "must be a time zone of the IANA database"),
        ({"name": "iso", "zone": "UTC"}, "zone goes with a pattern; iso says its own: leave it out"),
        ({"zone": "UTC"}, "must be a name such as"),
        ({"pattern": "dd.MM.YYYY", "zone": "UTC"}, "literal letters stand in quotes ('T'); it has 'YYYY'"),
        ({"pattern": "yyyy-MM-ddTHH:mm", "zone": "UTC"}, "it has 'T'"),
        ({"pattern": "yyyy-MM-dd'T", "zone": "UTC"}, 'must not hold "\'" (a quote opens literal text'),
        ({"pattern": "yyyy-MM-dd #", "zone": "UTC"}, "must not hold '#'"),
        ({"pattern": "yyyy-MM[-dd]", "zone": "UTC"}, "must say the day (y, M and d, outside of brackets); 'd' is miss"),
        ({"pattern": "yyyy-MM-dd [HH", "zone": "UTC"}, "opens a bracket that it never closes"),
        ({"pattern": "yyyy-MM-dd HH]", "zone": "UTC"}, "closes a bracket that it never opened"),
        ({"pattern": "yyyy-MM-dd hh:mm", "zone": "UTC"}, "must have h (the hour of 12) and a (AM or PM) together"),
    ],
)
def test_a_wrong_format_is_refused_when_the_config_is_read(time: object, fault: str) -> None:
    with pytest.raises(ValidationError) as error:
        TimeFormat.model_validate(time)
    assert fault in str(error.value)


@given(st.text("yMdHhmsSaXZ'[]#T- ", max_size=20))
def test_no_text_breaks_the_check_of_patterns(pattern: str) -> None:
    assert pattern_fault(pattern) is None or isinstance(pattern_fault(pattern), str)
