"""Raw files are found, counted and checked before anything is read from them."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline.config import load_config
from pipeline.containers import DamagedFile, inspect_parquet, inspect_raw
from pipeline.days import Day, add_days, day_start_us
from pipeline.errors import ConfigError
from pipeline.raw import RawLogs
from pipeline.storage import FileEntry, Warehouse

FIELDS = (
    "user_id", "session_id", "session_start", "session_size", "click_article_id", "click_timestamp",
    "click_environment", "click_deviceGroup", "click_os", "click_country", "click_region", "click_referrer_type",
)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "lines"), [(b"", 0), (b"a\nb\n", 2), (b"a\nb", 2), (b"\n\n", 2), (b"a\r\nb\rc\n", 2)]
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_line_is_what_lies_between_newlines(tmp_path: Path, content: bytes, lines: int, compressed: bool) -> None:
    path = tmp_path / ("a.json.gz" if compressed else "a.json")
    stored = gzip.compress(content) if compressed else content
    path.write_bytes(stored)
    assert inspect_raw(str(path)) == FileEntry(str(path), lines, len(stored), hashlib.sha256(stored).hexdigest())


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b[:40] + b"\xff\xff" + b[42:], lambda b: b"no gzip at all"]
)
def test_a_damaged_container_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(damage(gzip.compress(bytes(range(256)) * 400)))  # type: ignore[operator]
    problem = inspect_raw(str(path))
    assert isinstance(problem, DamagedFile)
    assert problem.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(problem).startswith(f"{path} is damaged (")


def test_markers_and_unfinished_copies_are_no_raw_files(spark: SparkSession, tmp_path: Path) -> None:
    """Spark passes them over in silence, so they must not be counted either."""
    (tmp_path / "2026-01-01").mkdir()
    for name in ("a.json", "_SUCCESS", ".b.json", "_c.json", "d.json._COPYING_"):
        (tmp_path / "2026-01-01" / name).write_bytes(b"{}\n")
    conf = Path(__file__).parent.parent / "conf" / "live.toml"
    config = load_config(conf, [f"sources.events.path={tmp_path}/{{dt}}/*", f"product.warehouse={tmp_path}"])
    found = RawLogs(config, Warehouse.of(config), spark).of("events", config.product.first_day)
    assert (found.paths, found.lines, found.bytes) == ((f"{tmp_path}/2026-01-01/a.json",), 1, 3)


def test_where_no_path_names_a_day_only_files_with_its_lines_are_read(spark: SparkSession, tmp_path: Path) -> None:
    """Also lines from before the product, which belong to its first day; and a later file leaves earlier days alone."""
    conf = Path(__file__).parent.parent / "conf" / "globo.toml"
    config = load_config(conf, [f"sources.clicks.path={tmp_path}/*.csv", f"product.warehouse={tmp_path}"])
    days = [add_days(config.product.first_day, n) for n in range(4)]
    noon = {n: (day_start_us(add_days(days[0], n), config.product.zone) + 43_200_000_000) // 1000 for n in range(-9, 4)}
    fields = ",".join(FIELDS)

    def write(name: str, *instants: int | str) -> None:
        lines = [f"1,7,0,2,{n},{ts},4,1,17,1,25,2" for n, ts in enumerate(instants)]
        (tmp_path / f"{name}.csv").write_text("\n".join([fields, *lines, ""]))

    def found() -> dict[Day, tuple[list[str], str]]:
        raw = RawLogs(config, Warehouse.of(config), spark)
        of = {day: raw.of("clicks", day) for day in days}
        return {day: ([Path(path).stem for path in one.paths], one.digest) for day, one in of.items()}

    write("before", noon[-9])
    write("first", noon[0], "")
    write("two days", noon[0], noon[2])
    write("without clock", "", "soon")
    names = found()
    assert [names[day][0] for day in days] == [
        ["before", "first", "two days", "without clock"], ["two days"], ["two days"], []
    ]  # fmt: skip
    write("later", noon[2])
    assert {day for day, files in found().items() if files != names[day]} == {days[2]}


@pytest.mark.parametrize("content", [b"", b"a\nb\n", b"a\nb", b"\n\n", bytes(range(256)) * 9])
def test_lines_of_zstd_are_counted_like_plain_ones(tmp_path: Path, content: bytes) -> None:
    path, plain = tmp_path / "a.json.zst", tmp_path / "a.json"
    path.write_bytes(pa.compress(content, "zstd", asbytes=True) if content else b"")
    plain.write_bytes(content)
    zstd, told = inspect_raw(str(path)), inspect_raw(str(plain))
    assert isinstance(zstd, FileEntry) and isinstance(told, FileEntry)
    assert (zstd.rows, zstd.bytes) == (told.rows, path.stat().st_size)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b"\xff" + b[1:], lambda b: b"no zstd at all", lambda b: b + b"tail"]
)
def test_a_damaged_zstd_container_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "a.json.zst"
    path.write_bytes(damage(pa.compress(b"".join(b"%d\n" % i for i in range(9000)), "zstd", asbytes=True)))  # type: ignore[operator]
    problem = inspect_raw(str(path))
    assert isinstance(problem, DamagedFile)
    assert problem.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(problem).startswith(f"{path} is damaged (")


def test_rows_of_parquet_are_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": list(range(5000))}), path, row_group_size=1000, write_page_checksum=True)
    stored = path.read_bytes()
    assert inspect_parquet(str(path)) == FileEntry(str(path), 5000, len(stored), hashlib.sha256(stored).hexdigest())
    for damaged in (stored[:-9], stored[:200] + b"\xff" * 40 + stored[240:], b"", b"no parquet at all"):
        path.write_bytes(damaged)
        problem = inspect_parquet(str(path))
        assert isinstance(problem, DamagedFile)
        assert str(problem).startswith(f"{path} is damaged (")


def test_what_is_compressed_otherwise_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "2026-01-01.json.bz2").write_bytes(b"BZh9")
    conf = Path(__file__).parent.parent / "conf" / "live.toml"
    config = load_config(conf, [f"sources.events.path={tmp_path}/{{dt}}*", f"product.warehouse={tmp_path}"])
    with pytest.raises(ConfigError, match=r"2026-01-01\.json\.bz2 is compressed in a way that is not read; deliver it"):
        RawLogs(config, Warehouse.of(config), spark).of("events", config.product.first_day)
