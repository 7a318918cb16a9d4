"""A damaged raw file stops the cleaning, or with --quarantine-files is left out whole, told, and mended without it."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline.config import parse_config
from pipeline.containers import DamagedFile
from pipeline.days import add_days
from pipeline.errors import ConfigError, DamagedData
from pipeline.raw import Outside, RawLogs
from pipeline.report.page import page_numbers, render
from pipeline.road import CLEAN
from pipeline.road.clean import _with_files
from pipeline.runner import Outcome, Runner
from pipeline.storage import Manifest, Warehouse, data_files, describe_file, read_manifest, write_manifest
from tests.steps.rows import FIRST, TABLES, at
from tests.steps.tables import table_config

LINES = 400
DAMAGED = ("cut.json.gz", "none.json.gz", "page.json.zst", "footer.parquet", "page.parquet")
NOON_MS = round(at(FIRST).timestamp() * 1000)


def event_lines(salt: str) -> bytes:
    """Clean ones, one that says no user's type, one that is no JSON."""
    rng = random.Random(salt)
    rows = [
        {"event_id": f"{salt}{n}", "user_id": f"u{rng.random()}", "item_id": "i", "room_id": "r", "ts": NOON_MS + n,
         "event_type": "exposure"} for n in range(LINES)
    ]  # fmt: skip
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows) + b"no line\n\n"


def user_rows(salt: str) -> pa.Table:
    rng = random.Random(salt)
    ids = [f"{salt}{rng.random()}" for _ in range(LINES)]
    return pa.table({"event_id": ids, "user_id": ids, "city": ids, "ts": [NOON_MS + n for n in range(LINES)]})


class Logs:
    """Raw files of one day, whole and damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tables: dict[str, Any] = copy.deepcopy(TABLES)
        tables["product"]["warehouse"] = str(folder / "warehouse")
        for name in ("events", "users", "streamers"):
            tables["sources"][name]["path"] = f"{folder}/raw files/{name}/dt={{dt}}/*"
            (folder / "raw files" / name / f"dt={FIRST}").mkdir(parents=True)
        tables["sources"]["users"]["format"] = "parquet"
        self.config = parse_config(tables)
        (self.place("streamers") / "a.json").write_bytes(b"")
        self.write(
            "events", ["plain.json", "good.json.gz", "good.json.zst", "cut.json.gz", "none.json.gz", "page.json.zst"]
        )
        self.write("users", ["good.parquet", "footer.parquet", "page.parquet"])

    def place(self, source: str) -> Path:
        return self.folder / "raw files" / source / f"dt={FIRST}"

    def write(self, source: str, names: list[str]) -> None:
        """Each file whole."""
        for name in names:
            path, salt = self.place(source) / name, name.replace(".", "")
            if source == "users":
                pq.write_table(user_rows(salt), path, compression="none", write_page_checksum=True)
            elif name.endswith(".zst"):
                path.write_bytes(pa.compress(event_lines(salt), "zstd", asbytes=True))
            else:
                path.write_bytes(gzip.compress(event_lines(salt)) if name.endswith(".gz") else event_lines(salt))

    def damage(self) -> None:
        """The files of DAMAGED, each in a way of its own; what comes before the damage could be read."""
        events, users = self.place("events"), self.place("users")
        for name, change in {
            "cut.json.gz": lambda b: b[:-20],
            "none.json.gz": lambda b: gzip.decompress(b),
            "page.json.zst": lambda b: b[: len(b) // 2] + bytes(64) + b[len(b) // 2 + 64 :],
            "footer.parquet": lambda b: b[:-9],
            "page.parquet": lambda b: b[:3000] + b"\xff" * 40 + b[3040:],
        }.items():
            path = (users if name.endswith("parquet") else events) / name
            path.write_bytes(change(path.read_bytes()))

    def clean(self, spark: SparkSession, quarantine_files: bool = False) -> Outcome:
        return Runner(self.config, spark, quarantine_files=quarantine_files).run(CLEAN, FIRST)

    def quarantined(self) -> list[dict[str, Any]]:
        paths = data_files(Warehouse.of(self.config).folder("quarantine", FIRST))
        rows = [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]
        return sorted(rows, key=lambda row: (row["source"], row["source_file"], row["rule"]))


def test_a_damaged_file_is_one_quarantined_row_and_all_of_it_is_left_out(spark: SparkSession, tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.damage()
    with pytest.raises(DamagedData, match=r"cut\.json\.gz is damaged \(Comp.*; deliver it again, take") as stopped:
        logs.clean(spark)
    assert [name for name in DAMAGED if name in str(stopped.value)] == list(DAMAGED[:3]), "all of the first source"
    assert "or leave it out by --quarantine-files" in str(stopped.value)

    outcome = logs.clean(spark, quarantine_files=True)
    warehouse = Warehouse.of(logs.config)
    manifest = read_manifest(warehouse.folder("events", FIRST))
    assert manifest.extra["accounting"] == {
        "events": {"kept": 3 * LINES, "malformed": 3, "blank": 3}, "streamers": {}, "users": {"kept": LINES},
    }  # fmt: skip
    left_out = manifest.extra["damaged_files"]
    assert {name: sorted(Path(path).name for path in files) for name, files in left_out.items()} == {
        "events": sorted(DAMAGED[:3]), "users": sorted(DAMAGED[3:]),
    }  # fmt: skip
    rows = logs.quarantined()
    assert Counter(row["rule"] for row in rows) == {"malformed": 3, "damaged_file": 5}
    files = [row for row in rows if row["rule"] == "damaged_file"]
    assert all(row["line"] is None and row["detail"] for row in files)
    assert {row["source_file"].rpartition("/")[2] for row in files} == set(DAMAGED)
    assert len({row["source_file"].rpartition("/")[0] for row in rows if row["source"] == "events"}) == 1, (
        "one spelling"
    )
    events = [row for path in data_files(warehouse.folder("events", FIRST)) for row in pq.read_table(path).to_pylist()]
    assert Counter(row["event_id"].rstrip("0123456789") for row in events) == dict.fromkeys(
        ("plainjson", "goodjsongz", "goodjsonzst"), LINES
    )

    assert outcome.found.startswith("5 damaged file(s) left out, their lines are not known: ")
    again = logs.clean(spark, quarantine_files=True)
    assert (again.skipped, again.found) == (True, outcome.found)
    with pytest.raises(DamagedData):
        logs.clean(spark)
    numbers = page_numbers(logs.config, warehouse, FIRST, {})
    assert sorted(Path(one["file"]).name for one in numbers["damaged_files"]) == sorted(DAMAGED)
    assert "footer.parquet</td>" in render(numbers)

    logs.write("events", list(DAMAGED[:3]))
    logs.write("users", list(DAMAGED[3:]))
    mended = logs.clean(spark)
    assert (mended.skipped, mended.found) == (False, "")
    extra = read_manifest(warehouse.folder("events", FIRST)).extra
    assert extra["accounting"]["users"] == {"kept": 3 * LINES}
    assert extra["accounting"]["events"] == {"kept": 6 * LINES, "malformed": 6, "blank": 6}
    assert "damaged_files" not in extra
    assert {row["rule"] for row in logs.quarantined()} == {"malformed"}


def test_files_of_a_manifest_are_held_against_it_and_a_source_may_have_none_left(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A file of other bytes is damaged, also where it can be read; of the users no file is whole."""
    logs = Logs(tmp_path)
    place = logs.place("events")
    names = sorted(path.name for path in place.iterdir())
    files = tuple(describe_file(str(place), name, LINES + 2) for name in names)
    manifest = Manifest(
        dataset="raw/events", product="toy", dt=str(FIRST), origin="collected", run="0", files=files,
        rows=len(files) * (LINES + 2), schema={"line": "binary"}, content_digest="0" * 16, inputs=(), key="k",
        config_hash="", code_version="",
    )  # fmt: skip
    write_manifest(str(place), manifest)
    usual = RawLogs(logs.config, Warehouse.of(logs.config), spark).of("events", FIRST)
    looked = RawLogs(logs.config, Warehouse.of(logs.config), spark, quarantine_files=True).of("events", FIRST)
    assert looked == usual, "nothing is damaged: the day is not built again for having been looked through"

    (place / "plain.json").write_bytes((place / "plain.json").read_bytes().replace(b"exposure", b"exposurf", 1))
    (place / "good.json.gz").write_bytes((place / "good.json.gz").read_bytes()[:-9])
    with pytest.raises(DamagedData, match=r"good\.json\.gz has \d+ bytes, its manifest says"):
        logs.clean(spark)
    for path in logs.place("users").iterdir():
        path.write_bytes(b"no parquet at all")
    logs.clean(spark, quarantine_files=True)
    rows = [row for row in logs.quarantined() if row["rule"] == "damaged_file"]
    assert [Path(row["source_file"]).name for row in rows] == [
        "good.json.gz", "plain.json", "footer.parquet", "good.parquet", "page.parquet",
    ]  # fmt: skip
    assert rows[1]["detail"] == "not as its manifest says"
    assert read_manifest(Warehouse.of(logs.config).folder("events", FIRST)).extra["accounting"] == {
        "events": {"kept": 4 * LINES, "malformed": 4, "blank": 4}, "streamers": {}, "users": {},
    }  # fmt: skip
    (place / "cut.json.gz").unlink()
    with pytest.raises(DamagedData, match=r"cut\.json\.gz is missing, but its manifest lists it"):
        logs.clean(spark, quarantine_files=True)


def test_a_damaged_file_of_all_days_is_a_row_of_the_first(spark: SparkSession, tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    tables = copy.deepcopy(TABLES)
    tables["sources"]["events"]["path"] = "raw/*.json"
    nothing = spark.createDataFrame([], "source string, source_file string, line binary, rule string, detail string")
    found = {
        "events": dataclasses.replace(Outside("raw/events", (), "", ""), damaged=(DamagedFile("/a b", "cut", "00"),))
    }
    for config, counts in ((parse_config(tables), [1, 0]), (logs.config, [1, 1])):
        made = [_with_files(config, add_days(FIRST, n), spark, nothing, found).collect() for n in range(2)]
        assert [len(rows) for rows in made] == counts
        assert tuple(made[0][0]) == ("events", "file:/a%20b", None, "damaged_file", "cut")


def test_a_table_is_not_read_in_part(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="--quarantine-files is for logs; 'toy' is a table"):
        Runner(table_config(), spark, quarantine_files=True)
