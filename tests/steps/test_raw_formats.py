"""Whatever a source's format, its lines have the fates that plain Python says, and none is lost."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from pipeline.config import Config
from pipeline.errors import ConfigError, DamagedData
from pipeline.steps.clean_logs import CleanLogs, clean_logs, raw_lines
from tests.steps.raw_formats import DAY, FIELDS, NOON_MS, Reference, events_only, judged, split
from tests.steps.rows import aware

T = TypeVar("T")
FORMATS = {
    "commas": Reference(header="id,user,ts,pos"),
    "two characters, no quote, gb18030": Reference(
        separator="::", quote="", encoding="gb18030", comment="//", null_values=("?", "\\N")
    ),
    "tabs, windows-1252": Reference(
        separator="\t", quote="'", encoding="windows-1252", comment="#", header="id\tuser\tts\tpos"
    ),
    "two characters, quoted": Reference(separator="||", null_values=("null",)),
    "json": Reference(format="json"),
    "json, numbers": Reference(format="json", numbers=True),
    "json, shift_jis": Reference(format="json", encoding="shift_jis"),
}


def gathered(strategy: st.SearchStrategy[T], examples: int) -> list[T]:
    """What hypothesis thinks of, in one list: a job costs seconds and a line nothing, so one job tries all."""
    found: list[T] = []

    @settings(
        max_examples=examples, phases=[Phase.generate], derandomize=True, database=None, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(st.lists(strategy, max_size=12))
    def gather(values: list[T]) -> None:
        found.extend(values)

    gather()
    return found


def lines_of(reference: Reference) -> st.SearchStrategy[bytes]:
    """Tidy lines, lines of the characters that matter put together anyhow, tidy ones with bytes changed, bytes."""
    ids = st.sampled_from(["e1", "e2", 'a"b', "a::b", "é中", "", " ", "?", "\\N", "null", "x\ry"])
    times = st.sampled_from([NOON_MS, NOON_MS + 1, NOON_MS - 3 * 86_400_000, NOON_MS + 86_400_000, 10**17]).map(str)
    values = st.tuples(
        st.one_of(ids, st.uuids().map(str)), ids, st.one_of(times, times, ids),
        st.sampled_from(["", "0", "99", "100", "-1", "+7", "7.0", "1e1", "\t5", "99999999999", "é"]),
    )  # fmt: skip
    tidy = values.map(lambda row: written(reference, row))
    odd = ["a", "1", " ", "\r", "\0", "é", "中", "\ufffd", "\ufdd0", reference.quote, 2 * reference.quote, ":", "|"]
    odd += [reference.separator, reference.comment or "#", str(NOON_MS), "{", "}", '"id"', "null", "[", "]"]
    jumble = st.lists(st.sampled_from(odd), max_size=14).map("".join)
    texts = st.one_of(tidy, tidy, jumble).map(lambda text: text.encode(reference.encoding, "replace"))
    changed = st.tuples(texts, st.integers(0, 400), st.binary(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :]
    )
    return st.one_of(texts, texts, changed, st.binary(max_size=20)).map(lambda line: line.replace(b"\n", b" "))


def written(reference: Reference, row: tuple[str, ...]) -> str:
    if reference.format == "json":
        shown = ", ".join(f'"{name}": {_shown(reference, value)}' for name, value in zip(FIELDS, row, strict=True))
        return f"{{{shown}}}"
    quote = reference.quote
    marks = (reference.separator, quote, "\r")
    return reference.separator.join(
        f"{quote}{value.replace(quote, 2 * quote)}{quote}" if quote and any(mark in value for mark in marks) else value
        for value in row
    )


def _shown(reference: Reference, value: str) -> str:
    is_number = reference.numbers and re.fullmatch(r"-?(0|[1-9][0-9]*)([.][0-9]+)?(e[0-9]+)?", value, re.ASCII)
    return value if is_number else json.dumps(value, ensure_ascii=False)


def clean(spark: SparkSession, config: Config, *paths: Path) -> CleanLogs:
    raw = {"lines": raw_lines(spark, list(map(str, paths)), config.sources["lines"])}
    return clean_logs(config, DAY, raw, {}, None)


def fates(cleaned: CleanLogs) -> Counter[str]:
    return Counter({row["fate"]: row["lines"] for row in cleaned.accounting.collect()})


def rejected(cleaned: CleanLogs) -> Counter[tuple[bytes, str]]:
    return Counter((bytes(row["line"]), row["rule"]) for row in cleaned.quarantine.collect())


@pytest.mark.parametrize("name", FORMATS)
def test_every_line_has_the_fate_that_plain_python_says(spark: SparkSession, tmp_path: Path, name: str) -> None:
    reference = FORMATS[name]
    lines = gathered(lines_of(reference), 200)
    begin = [] if reference.header is None else [reference.header.encode(reference.encoding)]
    if reference.numbers:  # the first line says what is expected of the others
        begin = [b'{"id": "e0", "user": "u", "ts": %d, "pos": 7}' % NOON_MS]
    path = tmp_path / "lines.txt.zst"
    stored = b"".join(line + b"\n" for line in [*begin, *lines])
    path.write_bytes(pa.compress(stored, "zstd", asbytes=True))
    cleaned = clean(spark, events_only(**reference.source), path)
    expected, thrown = reference.fates([*begin, *lines])
    found = rejected(cleaned)
    assert (found - thrown, thrown - found) == ({}, {})
    assert fates(cleaned) == expected
    assert sum(expected.values()) == len(begin) + len(lines)
    assert expected["kept"] > 10
    assert {"blank", "malformed", "missing_required", "bad_type", "out_of_range", "too_late"} <= set(expected)
    assert reference.encoding == "gb18030" or expected["invalid_utf8"]  # nearly all bytes are text there
    cleaned.release()


@given(st.text('a":|é', max_size=12), st.sampled_from([":", "::", "|"]), st.sampled_from(['"', ""]))
def test_a_header_is_taken_apart_like_a_line(text: str, separator: str, quote: str) -> None:
    from pipeline.steps.clean_logs.delimited import names_in

    source = events_only(format="csv", separator=separator, quote=quote).sources["lines"]
    expected = split(text, separator, quote)
    if expected is not None:
        assert names_in(text, source) == expected


def test_values_of_delimited_text_are_what_was_written(spark: SparkSession, tmp_path: Path) -> None:
    """Worked out by hand: quotes, null values, a default, and an encoding of its own."""
    columns: dict[str, Any] = {
        "scene": {"from": "scene", "default": "none"},
        "level": {"from": "level", "type": "long"},
    }
    columns["event_type"] = {"sql": "if(user = 'Ann', 'a', 'b')", "values": {"a": "exposure", "b": "enter"}}
    config = events_only(
        columns, format="csv", separator="::", encoding="latin-1", comment="#", null_values=["?"],
        fields=["id", "user", "ts", "pos", "scene", "level"],
    )  # fmt: skip
    path = tmp_path / "a.csv"
    path.write_bytes(
        f'# made by hand\n1::Ann::{NOON_MS}::"?"::?::9223372036854775807\n'
        f'2::"R::é ""x"""::{NOON_MS}::5::"a\rb"::\n'.encode("latin-1")
    )
    cleaned = clean(spark, config, path)
    rows = cleaned.events.orderBy("event_id").collect()
    names = ("user_id", "item_id", "event_type", "position", "scene", "level")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("Ann", "item Ann", "exposure", None, "none", 2**63 - 1),
        ('R::é "x"', 'item R::é "x"', "enter", 5, "a\rb", None),
    ]
    assert fates(cleaned) == {"comment": 1, "kept": 2}
    cleaned.release()


def test_a_column_with_a_default_needs_no_field(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"\n#x\nid,user,ts,pos\n1,u,{NOON_MS},3\n".encode())
    columns = {"scene": {"from": "scene", "default": "none"}}
    cleaned = clean(spark, events_only(columns, format="csv", comment="#"), path)
    assert [row["scene"] for row in cleaned.events.collect()] == ["none"]
    assert fates(cleaned) == {"blank": 1, "comment": 1, "header": 1, "kept": 1}
    cleaned.release()
    without: dict[str, Any] = {"scene": {"from": "scene"}}
    with pytest.raises(ConfigError, match=r"columns take \['scene'\] from the line, but its files have \['id', "):
        clean(spark, events_only(without, format="csv", comment="#"), path)
    with pytest.raises(ConfigError, match="Java knows no encoding 'mac-iceland'"):
        clean(spark, events_only(encoding="mac-iceland"), path)
    path.write_bytes(b"id,\xff\n")
    with pytest.raises(DamagedData, match=r"a\.csv begins with the header b'id,\\xff', which is not utf-8; say its"):
        clean(spark, events_only(format="csv"), path)


SCHEMA = pa.schema(
    [("id", pa.string()), ("user", pa.int64()), ("ts", pa.timestamp("us", "UTC")), ("pos", pa.decimal128(12, 0)),
     ("price", pa.decimal128(20, 4)), ("tags", pa.list_(pa.int32())), ("odd name", pa.bool_())]
)  # fmt: skip


def test_rows_of_parquet_have_the_fates_of_lines(spark: SparkSession, tmp_path: Path) -> None:
    noon = datetime.datetime.fromtimestamp(NOON_MS / 1000, datetime.UTC)
    shifts = st.sampled_from([0, 1, -3 * 86_400_000_000, 86_400_000_000, -1_000_001])
    row = st.fixed_dictionaries(
        {
            "id": st.one_of(st.sampled_from(["e1", "", None]), st.uuids().map(str)),
            "user": st.sampled_from([2**63 - 1, -(2**63), 0, None]),
            "ts": st.one_of(shifts.map(lambda us: noon + datetime.timedelta(microseconds=us)), st.none()),
            "pos": st.sampled_from([0, 99, 100, -1, 99_999_999_999, None]),
        }
    )
    rows = gathered(row, 50)
    rows += [{"id": f"good {i}", "user": i, "ts": noon, "pos": 5} for i in range(3)]
    folder = tmp_path / "dt=2026-01-03"
    folder.mkdir()
    for i in range(2):
        pq.write_table(pa.Table.from_pylist(rows[i::2], SCHEMA), folder / f"{i}.parquet")
    cleaned = clean(spark, by_iso(), *sorted(folder.glob("*.parquet")))
    assert fates(cleaned) == fates_of_rows(rows)
    for line in cleaned.quarantine.collect():
        told = json.loads(bytes(line["line"]))
        assert list(told) == SCHEMA.names
        assert told in [{**as_json(row), "price": None, "tags": None, "odd name": None} for row in rows]
    kept = {row["event_id"]: aware(row["event_time"]) for row in cleaned.events.collect()}
    assert kept["good 1"] == noon
    cleaned.release()


def by_iso() -> Config:
    return events_only({"event_time": {"from": "ts", "time": ["iso"]}}, format="parquet")


def fates_of_rows(rows: list[dict[str, Any]]) -> Counter[str]:
    found, seen = Counter[str](), set[str]()
    for row in rows:
        ms = None if row["ts"] is None else str(int(row["ts"].timestamp() * 1000))
        texts = {name: None if row[name] is None else str(row[name]) for name in FIELDS}
        fate, id_ = judged({**texts, "ts": ms})
        found["duplicate" if fate == "kept" and id_ in seen else fate] += 1
        seen |= {id_} if fate == "kept" else set()
    return found


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    time = None if row["ts"] is None else row["ts"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {**row, "ts": time}


def test_values_of_parquet_are_exact(spark: SparkSession, tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "event_time": {"from": "ts", "time": ["iso"]}, "user_id": {"from": "user"},
        "price_cents": {"sql": "cast(cast(price AS decimal(20, 4)) * 100 AS bigint)", "type": "long"},
        "first_tag": {"sql": "get_json_object(tags, '$[0]')", "type": "int"},
        "flag": {"from": "odd name", "type": "boolean"},
        "later": {"from": "later", "type": "long", "default": "7"},
    }  # fmt: skip
    time = datetime.datetime(2026, 1, 3, 4, 0, 0, 123456, tzinfo=datetime.UTC)
    one = {
        "id": "1",
        "user": 2**63 - 1,
        "ts": time,
        "pos": 5,
        "price": 12345678901234,
        "tags": [3, 4],
        "odd name": True,
    }
    pq.write_table(pa.Table.from_pylist([one], SCHEMA), tmp_path / "a.parquet")
    pq.write_table(pa.table({"later": [2**63 - 1], "id": ["2"], "user": ["u"]}), tmp_path / "b.parquet")
    config = events_only(columns, format="parquet")
    cleaned = clean(spark, config, tmp_path / "a.parquet")
    (row,) = cleaned.events.selectExpr("*", "unix_micros(event_time) us").collect()
    assert (row["user_id"], row["position"], row["price_cents"]) == (str(2**63 - 1), 5, 1234567890123400)
    assert (row["us"], row["first_tag"], row["flag"], row["later"]) == (round(time.timestamp() * 10**6), 3, True, 7)
    cleaned.release()
    told = r"column 'user' is string in .*b\.parquet, but bigint in .*a\.parquet; a column of a source has one type"
    with pytest.raises(DamagedData, match=told):
        clean(spark, config, tmp_path / "a.parquet", tmp_path / "b.parquet")
    with pytest.raises(
        ConfigError, match=r"columns take \['nobody'\] from the line, but its files have \['id', 'user'"
    ):
        clean(spark, events_only({"x": {"from": "nobody"}}, format="parquet"), tmp_path / "a.parquet")
