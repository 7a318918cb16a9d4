"""The manifest is the commit; what it does not list does not exist."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, DamagedData, MissingInput
from pipeline.storage import (
    GRACE_S,
    MANIFEST,
    FileEntry,
    Manifest,
    data_files,
    describe_file,
    files_at,
    is_temporary,
    read_manifest,
    sweep,
    write_manifest,
)
from pipeline.storage.files import LocalFiles, temporary_path


def manifest(*files: FileEntry) -> Manifest:
    return Manifest(
        dataset="events", product="live", dt="2026-01-01", origin="simulated", run="r1", files=files,
        rows=sum(f.rows for f in files), schema={"a": "string"}, content_digest="00",
        inputs=({"path": "raw", "digest": "d"},), key="k", config_hash="c", code_version="v",
    )  # fmt: skip


def test_manifest_survives_a_round_trip(tmp_path: Path) -> None:
    written = manifest(FileEntry("data-r1/a.parquet", 3, 10, "ff"))
    write_manifest(str(tmp_path), written)
    assert read_manifest(str(tmp_path)) == written
    assert (
        json.loads((tmp_path / MANIFEST).read_text())["schema_hash"] == hashlib.sha256(b'[["a","string"]]').hexdigest()
    )


def test_a_folder_without_manifest_holds_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "part-0.parquet").write_bytes(b"rows")
    with pytest.raises(MissingInput, match="nothing was published there"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"files": 3}', "not json"])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DamagedData, match=f"{MANIFEST} is not a manifest"):
        read_manifest(str(tmp_path))


def test_readers_get_exactly_the_listed_files(tmp_path: Path) -> None:
    data = tmp_path / "data-r1"
    data.mkdir()
    (data / "a.parquet").write_bytes(b"0123456789")
    (data / "leftover.parquet").write_bytes(b"x")
    entry = describe_file(str(tmp_path), "data-r1/a.parquet", 3)
    assert entry == FileEntry("data-r1/a.parquet", 3, 10, hashlib.sha256(b"0123456789").hexdigest())
    write_manifest(str(tmp_path), manifest(entry))
    assert data_files(str(tmp_path)) == [f"{tmp_path}/data-r1/a.parquet"]


def test_a_cut_or_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"0123")
    write_manifest(str(tmp_path), manifest(FileEntry("a.parquet", 3, 10, "ff")))
    with pytest.raises(DamagedData, match=r"a\.parquet has 4 bytes, its manifest says 10"):
        data_files(str(tmp_path))
    os.remove(tmp_path / "a.parquet")
    with pytest.raises(DamagedData, match=r"a\.parquet is missing"):
        data_files(str(tmp_path))


def test_sweep_removes_only_old_folders_that_nobody_lists(tmp_path: Path) -> None:
    for name in ("data-live", "data-old", "data-fresh"):
        (tmp_path / name).mkdir()
    (tmp_path / "data-live" / "a").write_bytes(b"x")
    os.utime(tmp_path / "data-live", (0, 0))
    os.utime(tmp_path / "data-old", (0, 0))
    os.utime(tmp_path / "data-fresh", (90_000, 90_000))
    write_manifest(str(tmp_path), manifest(FileEntry("data-live/a", 1, 1, "ff")))
    assert sweep(str(tmp_path), now_s=100_000) == ["data-old"]
    assert sorted(os.listdir(tmp_path)) == [MANIFEST, "data-fresh", "data-live"]


def test_the_grace_of_a_superseded_folder_begins_when_it_is_superseded(tmp_path: Path) -> None:
    """However long ago it was written: a reader may have opened the old manifest a second ago."""
    for name in ("data-old", "data-new"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    write_manifest(str(tmp_path), manifest(FileEntry("data-old/a", 1, 1, "ff")))
    write_manifest(str(tmp_path), manifest(FileEntry("data-new/a", 1, 1, "ff")))
    assert sweep(str(tmp_path)) == []
    superseded = os.path.getmtime(tmp_path / "data-old")
    assert os.path.getmtime(tmp_path / "data-new") == 0
    assert sweep(str(tmp_path), now_s=superseded + GRACE_S) == []
    assert sweep(str(tmp_path), now_s=superseded + GRACE_S + 1) == ["data-old"]


def test_a_process_killed_before_its_commit_costs_the_old_dataset_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data-old").mkdir()
    old, new = (manifest(FileEntry(f"data-{name}/a", 1, 1, "ff")) for name in ("old", "new"))
    write_manifest(str(tmp_path), old)
    with monkeypatch.context() as killed:
        killed.setattr(LocalFiles, "write_atomic", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            write_manifest(str(tmp_path), new)
    assert read_manifest(str(tmp_path)) == old
    os.utime(tmp_path / "data-old", (0, 0))
    write_manifest(str(tmp_path), new)
    assert sweep(str(tmp_path)) == []


def test_a_temporary_is_seen_by_no_reader_and_swept_after_the_grace(tmp_path: Path) -> None:
    write_manifest(str(tmp_path), manifest())
    left = [temporary_path(f"{tmp_path}/{name}") for name in (MANIFEST, "part-0.json.gz")]
    for path, age in zip(left, (0, 90_000), strict=True):
        Path(path).write_bytes(b"half")
        os.utime(path, (age, age))
    assert files_at(str(tmp_path)).glob(f"{tmp_path}/.*") == files_at(str(tmp_path)).glob(f"{tmp_path}/*.gz*") == []
    assert sweep(str(tmp_path), now_s=100_000) == [os.path.basename(left[0])]
    assert sorted(os.listdir(tmp_path)) == sorted([MANIFEST, os.path.basename(left[1])])


@pytest.mark.parametrize("name", ["a.tmp", ".a.tmp", f"a.{'0' * 32}.tmp", f".{'0' * 32}.tmp", ".a.json.gz"])
def test_a_collectors_temporary_is_none_of_ours(name: str) -> None:
    assert not is_temporary(name)


def test_a_folder_that_is_being_removed_is_gone_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw").mkdir()
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda path: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            files_at(str(tmp_path)).remove(f"{tmp_path}/raw")
    (left,) = os.listdir(tmp_path)
    assert is_temporary(left)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, storage, seen = f"{tmp_path}/f", files_at(str(tmp_path)), set()
    storage.write_atomic(path, b"a" * 100_000)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(storage.read(path))

    reader = threading.Thread(target=read)
    reader.start()
    for letter in b"bcdefgh" * 20:
        storage.write_atomic(path, bytes([letter]) * 100_000)
    stop.set()
    reader.join()
    assert all(len(content) == 100_000 and len(set(content)) == 1 for content in seen)
    assert os.listdir(tmp_path) == ["f"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path, storage = f"{tmp_path}/f", files_at(str(tmp_path))
    storage.write_atomic(path, b"old")
    with pytest.raises(TypeError):
        storage.write_atomic(path, "text")  # type: ignore[arg-type]
    assert (os.listdir(tmp_path), storage.read(path)) == (["f"], b"old")


def test_an_unserved_scheme_is_refused() -> None:
    with pytest.raises(ConfigError, match="storage s3:// is not served"):
        files_at("s3://bucket/x")
