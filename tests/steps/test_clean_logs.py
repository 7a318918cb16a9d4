"""Every line has exactly one fate, whatever its bytes; events, rooms and verdicts are those worked out by hand."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline.config import Config, load_config
from pipeline.days import day_start_us
from pipeline.errors import DamagedData
from pipeline.steps.clean_logs import CleanLogs, arrivals, clean_logs, raw_lines
from tests.steps.spark_settings import shuffles

DAY = datetime.date(2026, 1, 3)
CONF = Path(__file__).parents[2] / "conf"
NOON = day_start_us(DAY, load_config(CONF / "live.toml").product.zone) // 1000 + 12 * 3_600_000
"""Milliseconds at noon of the day, in the product's zone."""
ROOM = {
    "id": "r-start",
    "room": "r1",
    "anchor": "s1",
    "action": "start",
    "ts": NOON - 3_600_000,
    "recv": NOON - 3_599_000,
}


@pytest.fixture
def config() -> Config:
    return load_config(CONF / "live.toml", ["clean.bots.rate.per_hour=3", "clean.max_line_bytes=2000"])


def show(**fields: Any) -> dict[str, Any]:
    """A clean exposure at noon; a field given as None is left out."""
    base = {
        "id": "e1",
        "uid": "u1",
        "anchor": "s1",
        "room": "r1",
        "action": "show",
        "ts": NOON,
        "recv": NOON + 500,
        "scene": "feed",
        "pos": 0,
    }
    return {name: value for name, value in {**base, **fields}.items() if value is not None}


class Cleaner:
    """Writes lines to files and cleans them."""

    def __init__(self, spark: SparkSession, config: Config, folder: Path) -> None:
        self.spark, self.config, self.folder = spark, config, folder

    def clean(
        self,
        *lines: Any,
        rooms: tuple[Any, ...] = (ROOM,),
        users: tuple[Any, ...] = (),
        files: int = 1,
        earlier: tuple[str, ...] = (),
        pii_key: bytes | None = None,
    ) -> CleanLogs:
        """`earlier` are ids of the look-back days, of every source that has any. Where no user says anything, there are
        events and rooms alone."""
        raw, config, contents = {}, self.config, {"events": lines, "rooms": rooms}
        if users:
            contents |= {"users": users, "streamers": ()}
        else:
            alone = config.datasets.model_copy(update={"attributes": {}})
            config = config.model_copy(update={"datasets": alone})
        for name, content in contents.items():
            paths = [self._write(f"{name}-{files}-{i}.json.gz", content[i::files]) for i in range(files)]
            raw[name] = raw_lines(self.spark, paths, self.config.sources[name])
        seen = self.spark.createDataFrame([(id_,) for id_ in earlier], "event_id string")
        before = dict.fromkeys(("events", "users"), seen) if earlier else {}
        return clean_logs(config, DAY, raw, before, None, pii_key)

    def _write(self, name: str, lines: Any) -> str:
        stored = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (self.folder / name).write_bytes(gzip.compress(b"".join(line + b"\n" for line in stored)))
        return str(self.folder / name)


@pytest.fixture
def cleaner(spark: SparkSession, config: Config, tmp_path: Path) -> Cleaner:
    return Cleaner(spark, config, tmp_path)


def fates(cleaned: CleanLogs, source: str = "events") -> dict[str, int]:
    return {row["fate"]: row["lines"] for row in cleaned.accounting.collect() if row["source"] == source}


REJECTED = {
    "not utf-8": (b'{"id":"e1","uid":"u\xff"}', "invalid_utf8", "not UTF-8"),
    "cut": (json.dumps(show()).encode()[:-9], "malformed", "not one json record"),
    "two objects": (json.dumps(show()).encode() * 2, "malformed", "not one json record"),
    "something behind": (json.dumps(show()).encode() + b"x", "malformed", "not one json record"),
    "a list's end and something behind": (json.dumps(show()).encode() + b'] {"}', "malformed", "not one json record"),
    "a list's end and a key": (json.dumps(show()).encode() + b'],"x":[1', "malformed", "not one json record"),
    "another value of the same object": (json.dumps(show()).encode() + b',"w":{}', "malformed", "not one json record"),
    "a brace too many": (json.dumps(show()).encode() + b"}", "malformed", "not one json record"),
    "a byte order mark inside a file": (
        b"\xef\xbb\xbf" + json.dumps(show()).encode(),
        "malformed",
        "not one json record",
    ),
    "a list": (b"[1, 2]", "malformed", "not one json record"),
    "single quotes": (b"{'id': 'x'}", "malformed", "not one json record"),
    "too long": (json.dumps(show(note="x" * 3000)).encode(), "malformed", "bytes, at most 2000 are read"),
    "no id": (show(id=None), "missing_required", "event_id is missing"),
    "empty user": (show(uid="  "), "missing_required", "user_id is missing"),
    "no clock": (show(ts=None), "missing_required", "event_time is missing"),
    "an empty object": (b"{}", "missing_required", "event_id is missing"),
    "unknown type": (
        show(action="teleport"),
        "unknown_value",
        "event_type = teleport is not one of the declared values",
    ),
    "a clock that says nothing": (show(ts="noon"), "bad_type", "event_time = noon is no time"),
    "a clock without zone": (show(ts="2026-01-03T12:00:00"), "bad_type", "event_time = 2026-01-03T12:00:00 is no time"),
    "a number out of its type": (show(pos=10**12), "bad_type", "position = 1000000000000 is no int"),
    "negative": (show(dur_ms=-1), "out_of_range", "duration_ms = -1 is below 0"),
    "absurd": (show(amount=10_000_001), "out_of_range", "amount = 10000001 is above 10000000"),
    "from tomorrow": (show(ts=NOON + 3_601_000), "future_clock", "is after the line arrived"),
    "received after its day": (show(recv=NOON + 43_200_000), "future_clock", "after the day that the line was"),
    "three days old": (show(ts=NOON - 3 * 86_400_000), "too_late", "is before 2026-01-01"),
    "no such room": (show(room="r9"), "not_on_air", "its room is not on air"),
    "before the room opened": (show(ts=NOON - 3_600_001), "not_on_air", "its room is not on air"),
}


def test_each_rule_catches_its_line_and_keeps_the_bytes(cleaner: Cleaner) -> None:
    lines = [line for line, _, _ in REJECTED.values()]
    cleaned = cleaner.clean(*lines)
    stored = {
        line if isinstance(line, bytes) else json.dumps(line).encode(): (rule, why)
        for line, rule, why in REJECTED.values()
    }
    rows = cleaned.quarantine.collect()
    assert {bytes(row["line"]): row["rule"] for row in rows} == {line: rule for line, (rule, _) in stored.items()}
    for row in rows:
        assert stored[bytes(row["line"])][1] in row["detail"]
    assert fates(cleaned) == Counter(rule for _, rule, _ in REJECTED.values())
    cleaned.release()


def test_clocks_in_three_spellings_are_one_instant(cleaner: Cleaner) -> None:
    at = datetime.datetime.fromtimestamp(NOON // 1000, datetime.UTC)
    iso = at.astimezone(datetime.timezone(datetime.timedelta(hours=8))).isoformat()
    cleaned = cleaner.clean(
        show(id="ms"), show(id="s", ts=NOON // 1000), show(id="iso", ts=iso), show(id="text", ts=str(NOON))
    )
    times = {
        row["event_id"]: row["t"]
        for row in cleaned.events.selectExpr("event_id", "unix_micros(event_time) t").collect()
    }
    assert times == dict.fromkeys(("ms", "s", "iso", "text"), NOON * 1000)
    cleaned.release()


def test_brackets_inside_a_line_are_no_fault(cleaner: Cleaner) -> None:
    cleaned = cleaner.clean(show(id="a", tags=[1, [2]]), show(id="b", note="x] y"), show(id="c", more={"v": [{}]}))
    assert fates(cleaned) == {"kept": 3}
    cleaned.release()


def test_lines_without_an_id_are_no_duplicates_of_each_other(cleaner: Cleaner) -> None:
    tables = cleaner.config.model_dump(by_alias=True)
    tables["sources"]["events"]["columns"]["event_id"]["required"] = False
    cleaner.config = Config.model_validate(tables)
    cleaned = cleaner.clean(show(id=None), show(id=None, pos=1), show(id="", pos=2))
    assert fates(cleaned) == {"missing_required": 3}
    cleaned.release()


def test_a_line_arrived_on_the_day_it_was_delivered_whatever_it_says(cleaner: Cleaner) -> None:
    """Without a clock of its own the usual delay is supposed, but within the day; what it says may not be earlier."""
    midnight = NOON - 12 * 3_600_000
    cleaned = cleaner.clean(
        show(id="usual", recv=None), show(id="last", ts=midnight + 86_399_000, recv=None),
        show(id="old", ts=midnight - 3_600_000, recv=None), show(id="before", ts=midnight - 9000, recv=midnight - 4000),
        rooms=({**ROOM, "ts": midnight - 8_000_000, "recv": midnight - 7_000_000},),
    )  # fmt: skip
    rows = cleaned.events.selectExpr("event_id", "unix_millis(available_at) - unix_millis(event_time) AS ms").collect()
    assert fates(cleaned) == {"kept": 4}
    assert {row["event_id"]: row["ms"] for row in rows} == {
        "usual": 5000, "last": 999, "old": 3_600_000, "before": 9000,
    }  # fmt: skip
    cleaned.release()


def test_a_statement_of_a_user_that_is_sent_again_is_a_duplicate(cleaner: Cleaner) -> None:
    said = {"id": "s1", "uid": "u1", "age": "18-24", "ts": NOON, "recv": NOON}
    cleaned = cleaner.clean(users=(said, {**said, "id": "s2"}, {**said, "id": "s2", "recv": NOON + 1}), earlier=("s1",))
    assert fates(cleaned, "users") == {"kept": 1, "duplicate": 2}
    assert [row["event_id"] for row in cleaned.attributes["user"].collect()] == ["s2"]
    cleaned.release()


def test_what_is_said_of_a_room_later_changes_no_judgement_of_before(cleaner: Cleaner) -> None:
    """A second start that claims an earlier time arrives hours after the event."""
    early = show(ts=NOON - 5_000_000, recv=NOON - 4_999_000)
    later = {**ROOM, "id": "again", "ts": NOON - 9_000_000, "recv": NOON + 30_000_000, "anchor": "s0"}
    for rooms in ((ROOM,), (ROOM, later), (later, ROOM)):
        cleaned = cleaner.clean(early, show(id="e2"), rooms=rooms)
        assert fates(cleaned) == {"not_on_air": 1, "kept": 1}
        assert cleaned.rooms is not None
        (room,) = cleaned.rooms.collect()
        assert (room["item_id"], room["started_at"].timestamp()) == ("s1", (NOON - 3_600_000) / 1000)
        cleaned.release()


def test_of_equal_ids_the_first_that_was_available_stays(cleaner: Cleaner) -> None:
    cleaned = cleaner.clean(
        show(id="a", recv=NOON + 900, pos=1),
        show(id="a", recv=NOON + 800, pos=2), show(id="a", recv=NOON + 800, pos=2),
        show(id="b", pos=99), show(id="c"), show(id="c", pos=-1), earlier=("b",),
    )  # fmt: skip
    kept = {(row["event_id"], row["position"]) for row in cleaned.events.collect()}
    assert kept == {("a", 2), ("c", 0)}
    assert fates(cleaned) == {"kept": 2, "duplicate": 3, "out_of_range": 1}
    cleaned.release()


def test_a_room_counts_as_known_when_the_line_arrived(cleaner: Cleaner) -> None:
    end = {"id": "r-end", "room": "r1", "anchor": "s1", "action": "end", "ts": NOON, "recv": NOON + 2000}
    late = {"id": "r2-start", "room": "r2", "anchor": "s2", "action": "start", "ts": NOON - 1000, "recv": NOON + 60_000}
    cleaned = cleaner.clean(
        show(id="in grace", ts=NOON + 59_000, recv=NOON + 61_000),
        show(id="over", ts=NOON + 61_000, recv=NOON + 62_000),
        show(id="end not known yet", ts=NOON + 61_000, recv=NOON + 1000),
        show(id="start not known yet", room="r2", recv=NOON + 500),
        show(id="start known", room="r2", recv=NOON + 60_000),
        show(id="no room", room=None),
        rooms=(ROOM, end, late),
    )  # fmt: skip
    assert {row["event_id"] for row in cleaned.events.collect()} == {
        "in grace",
        "end not known yet",
        "start known",
        "no room",
    }
    assert cleaned.rooms is not None
    rooms = {
        row["room_id"]: (row["item_id"], row["e"])
        for row in cleaned.rooms.selectExpr("*", "unix_millis(ended_at) e").collect()
    }
    assert rooms == {"r1": ("s1", NOON), "r2": ("s2", None)}
    cleaned.release()


def test_a_robot_is_marked_in_its_hour_only(cleaner: Cleaner) -> None:
    hour = 3_600_000
    lines = [show(id=f"busy{i}", ts=NOON + i, recv=NOON + 500) for i in range(4)]
    lines += [show(id=f"calm{i}", ts=NOON + hour + i, recv=NOON + hour + 500) for i in range(3)]
    lines += [show(id=f"other{i}", uid="u2", ts=NOON + i) for i in range(3)]
    lines += [show(id="like", action="like", ts=NOON + 9)]
    cleaned = cleaner.clean(*lines)
    marked = {
        row["event_id"]: row["at"]
        for row in cleaned.events.where("bot_rule = 'rate'")
        .selectExpr("event_id", "unix_millis(bot_available_at) at")
        .collect()
    }
    assert marked == dict.fromkeys(["busy0", "busy1", "busy2", "busy3", "like"], NOON + hour)
    cleaned.release()


def test_blank_lines_are_counted_apart(cleaner: Cleaner) -> None:
    cleaned = cleaner.clean(b"", b"  \t", b"\r", show())
    assert fates(cleaned) == {"blank": 3, "kept": 1}
    cleaned.release()


def wild_lines(seed: int, count: int) -> list[bytes]:
    """Bytes of all kinds: random ones, JSON with odd values, tidy lines with a few bytes changed."""
    rng = random.Random(seed)
    odd: list[Any] = [
        None,
        True,
        1e308,
        -0.0,
        2**70,
        "\u0000",
        "\ud83d\ude00",
        [],
        {},
        [[[]]],
        "1e999",
        "NaN",
        "99999999999999999999",
        "-1",
        "é" * 50,
    ]
    lines = [
        b"[" * 1500,
        b'{"a":' * 300,
        b'{"id":"\\ud800"}',
        b'{"id":1,"id":2}',
        b"\x00",
    ]
    lines.append(b'{"id":"e","uid":"u","anchor":"s","action":"show","ts":1e999}')
    while len(lines) < count:
        line = show(id=f"w{len(lines)}")
        line[rng.choice(list(line))] = rng.choice(odd)
        tidy = bytearray(json.dumps(line).encode())
        for _ in range(rng.choice([0, 0, 1, 3])):
            tidy[rng.randrange(len(tidy))] = rng.randrange(256)
        lines.append(bytes(tidy) if rng.random() < 0.8 else rng.randbytes(rng.randrange(60)))
    return [line.replace(b"\n", b" ") for line in lines]


def test_no_line_can_crash_the_job_and_none_is_lost(cleaner: Cleaner) -> None:
    lines = wild_lines(seed=5, count=600)
    cleaned = cleaner.clean(*lines)
    found = fates(cleaned)
    assert sum(found.values()) == len(lines)
    assert cleaned.events.count() == found["kept"]
    assert cleaned.quarantine.count() == sum(
        n for fate, n in found.items() if fate not in ("kept", "duplicate", "blank")
    )
    assert {"malformed", "invalid_utf8", "bad_type", "missing_required"} <= set(found)
    cleaned.release()


def test_how_files_are_cut_and_rows_are_spread_changes_nothing(cleaner: Cleaner) -> None:
    lines = [*wild_lines(seed=6, count=200), show(id="twice"), show(id="twice", pos=3)]
    results = []
    for files, partitions in ((1, 1), (3, 3), (5, 16)):
        with shuffles(cleaner.spark, partitions):
            cleaned = cleaner.clean(*lines, files=files)
            tables = (cleaned.events.drop("source_file"), cleaned.quarantine.drop("source_file"), cleaned.accounting)
            results.append([sorted(map(repr, table.collect())) for table in tables])
            cleaned.release()
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            assert set(ours) ^ set(theirs) == set()
            assert ours == theirs


HEADER = (
    "user_id,session_id,session_start,session_size,click_article_id,click_timestamp,click_environment,"
    "click_deviceGroup,click_os,click_country,click_region,click_referrer_type"
)


def test_delimited_text_by_day_of_the_clock(spark: SparkSession, tmp_path: Path) -> None:
    """A source without a day in its path: a line belongs to the day on which it must have arrived."""
    config = load_config(CONF / "globo.toml", [f"sources.clicks.path={tmp_path}/*.csv"])
    first = day_start_us(config.product.first_day, config.product.zone) // 1000
    row = "{user},7,0,2,{item},{ts},4,1,17,1,25,2"
    one = [
        HEADER,
        row.format(user=1, item=5, ts=first + 10_000),
        row.format(user=1, item=6, ts=first + 86_400_000),
        "1,2,3",
    ]
    two = [
        HEADER,
        row.format(user='"a ""quoted"", one"', item=5, ts=first + 20_000),
        row.format(user=2, item=5, ts=first + 86_399_000),
        row.format(user=3, item=5, ts=""),
    ]
    for name, lines in (("one", one), ("two", two)):
        (tmp_path / f"{name}.csv").write_text("\r\n".join(lines) + "\r\n")
    source = config.sources["clicks"]
    found = raw_lines(spark, sorted(map(str, tmp_path.glob("*.csv"))), source)
    arrived = {row["source_file"]: row["last"] for row in arrivals(config, source, found).collect()}
    raw = {"clicks": dataclasses.replace(found, arrived=arrived)}
    cleaned = clean_logs(config, config.product.first_day, raw, {}, None)
    assert fates(cleaned, "clicks") == {"kept": 2}
    kept = {(r["user_id"], r["item_id"], r["event_id"]) for r in cleaned.events.collect()}
    assert kept == {
        ("1", "5", f"1-7-5-{first + 10_000}"),
        ('a "quoted", one', "5", f'a "quoted", one-7-5-{first + 20_000}'),
    }
    cleaned.release()
    next_day = clean_logs(config, config.product.first_day + datetime.timedelta(days=1), raw, {}, None)
    assert fates(next_day, "clicks") == {"header": 2, "kept": 2, "malformed": 1, "missing_required": 1}, (
        "the line of the next midnight, the one that needs its five seconds, and with the last clock of each file its "
        "lines without one"
    )
    next_day.release()


def clicks(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


def test_files_of_one_source_have_one_header(spark: SparkSession, tmp_path: Path) -> None:
    source = load_config(CONF / "globo.toml").sources["clicks"]
    for name, content in {
        "a": b"",
        "b": clicks("user_id,x", "1,2"),
        "c": b"\xef\xbb\xbf" + clicks("user_id,x"),
    }.items():
        (tmp_path / f"{name}.csv").write_bytes(content)
    paths = sorted(map(str, tmp_path.glob("*.csv")))
    assert raw_lines(spark, paths, source).header == "user_id,x"
    assert raw_lines(spark, paths[:1], source).header is None
    (tmp_path / "d.csv").write_bytes(clicks("x,user_id", "2,1"))
    with pytest.raises(DamagedData, match=r"d\.csv begins with the header 'x,user_id', but .*b\.csv with 'user_id,x'"):
        raw_lines(spark, [*paths, str(tmp_path / "d.csv")], source)


def test_a_delimited_line_of_thousands_of_fields_is_one_malformed_line(spark: SparkSession, tmp_path: Path) -> None:
    config = load_config(CONF / "globo.toml")
    (tmp_path / "a.csv").write_bytes(clicks(HEADER, "," * 30_000, "1," * 25_000))
    raw = {"clicks": raw_lines(spark, [str(tmp_path / "a.csv")], config.sources["clicks"])}
    cleaned = clean_logs(config, config.product.first_day, raw, {}, None)
    assert fates(cleaned, "clicks") == {"header": 1, "malformed": 2}
    cleaned.release()
