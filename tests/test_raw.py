"""Raw files are found, counted and checked before anything is read from them."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline.config import load_config
from pipeline.raw import RawLogs, inspect_raw
from pipeline.storage import FileEntry, Warehouse


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
    assert isinstance(problem, str)
    assert problem.startswith(f"{path} is damaged (")


def test_markers_and_unfinished_copies_are_no_raw_files(spark: SparkSession, tmp_path: Path) -> None:
    """Spark passes them over in silence, so they must not be counted either."""
    (tmp_path / "2026-01-01").mkdir()
    for name in ("a.json", "_SUCCESS", ".b.json", "_c.json", "d.json._COPYING_"):
        (tmp_path / "2026-01-01" / name).write_bytes(b"{}\n")
    conf = Path(__file__).parent.parent / "conf" / "live.toml"
    config = load_config(conf, [f"sources.events.path={tmp_path}/{{dt}}/*", f"product.warehouse={tmp_path}"])
    found = RawLogs(config, Warehouse.of(config), spark).of("events", config.product.first_day)
    assert (found.paths, found.lines, found.bytes) == ((f"{tmp_path}/2026-01-01/a.json",), 1, 3)
