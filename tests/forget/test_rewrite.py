"""A raw file written again lacks the lines that it should lack, and nothing else of it changes."""

from __future__ import annotations

import gzip
import hashlib
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DamagedData
from pipeline.forget.rewrite import without_lines, without_rows
from pipeline.steps.clean_logs.lines import BYTE_ORDER_MARK
from pipeline.storage import compressed, decompressed

LINES = [b"his\r", b"", b"other\xff", b"his", b"last"]


def hashes(*lines: bytes) -> list[str]:
    return [hashlib.sha256(line).hexdigest() for line in lines]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.zst"])
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("mark", [b"", BYTE_ORDER_MARK])
def test_other_bytes_stay_as_they_are(tmp_path: Path, name: str, end: bytes, mark: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(b"".join(compressed(name, [mark + b"\n".join(LINES) + end])))
    path.chmod(0o640)
    done = without_lines(str(path), str(path), hashes(b"his", b"his\r"), 2)
    with path.open("rb") as file:
        assert decompressed(name, file).read() == mark + b"\nother\xff\nlast" + end
    assert (done.lines, done.digest) == (2, xxhash.xxh64_intdigest(b"his") + xxhash.xxh64_intdigest(b"his\r"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\nh") + gzip.compress(b"is\ntwo\n"))
    without_lines(str(path), str(path), hashes(b"his"), 1)
    assert gzip.decompress(path.read_bytes()) == b"one\ntwo\n"


def test_a_file_that_has_changed_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"his\nother\n")
    with pytest.raises(DamagedData, match="2 lines were to be left out, 1 were found"):
        without_lines(str(path), str(path), hashes(b"his"), 2)
    assert path.read_bytes() == b"his\nother\n"
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


@given(st.lists(st.binary(max_size=4)), st.data())
@settings(max_examples=60, deadline=None)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], data: st.DataObject) -> None:
    content = b"\n".join(blocks)
    lines = content.split(b"\n")
    gone = set(data.draw(st.lists(st.sampled_from(lines), max_size=3)))
    gone -= {b""}
    path = tmp_path_factory.mktemp("raw") / "x"
    path.write_bytes(content)
    without_lines(str(path), str(path), hashes(*gone), sum(line in gone for line in lines))
    kept = b"".join(line + b"\n" for line in lines[:-1] if line not in gone)
    assert path.read_bytes() == kept + (b"" if lines[-1] in gone else lines[-1])


@pytest.mark.parametrize("int96", [False, True])
def test_rows_of_parquet_keep_types_groups_and_compression(tmp_path: Path, int96: bool) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "n": pa.array(range(10), pa.int32()),
            "at": pa.array(range(0, 10_000, 1000), pa.timestamp("ns" if int96 else "us", tz=None if int96 else "UTC")),
            "list": pa.array([[{"k": str(n)}] for n in range(10)]),
        }
    )
    codecs = {"n": "zstd", "at": "gzip", "list.list.element.k": "none"}
    pq.write_table(table, path, row_group_size=4, compression=codecs, use_deprecated_int96_timestamps=int96)
    before = pq.ParquetFile(path)
    without_rows(str(path), str(path), [0, 4, 5, 6, 7, 9], 6)
    after = pq.ParquetFile(path)
    assert after.read().to_pylist() == [row for row in table.to_pylist() if row["n"] in (1, 2, 3, 8)]
    assert after.schema_arrow == before.schema_arrow and after.schema.equals(before.schema)
    assert [after.metadata.row_group(i).num_rows for i in range(after.num_row_groups)] == [3, 1]
    for place in range(3):
        old, new = (one.metadata.row_group(0).column(place) for one in (before, after))
        assert (new.path_in_schema, new.compression) == (old.path_in_schema, old.compression)
    with pytest.raises(DamagedData, match="1 lines were to be left out, 0 were found"):
        without_rows(str(path), str(path), [77], 1)
