"""Raw files are found, counted and checked before anything is read from them."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from pipeline.raw import inspect_raw
from pipeline.storage import FileEntry


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
