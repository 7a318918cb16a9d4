"""Simulated logs on the storage: every day is told, and what was not simulated is neither removed nor hidden."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.config import Config, load_config
from pipeline.demonstration import RAW, TRUTH, make_room, refuse_foreign, simulate_logs
from pipeline.errors import Refused
from pipeline.schemas import TRUTH_LINES
from pipeline.storage import Warehouse, data_files, files_at, read_manifest
from pipeline.storage.files import temporary_path

CONF = Path(__file__).parent.parent / "conf" / "live.toml"
HERE = "raw/events/dt=2026-01-01"


def small(folder: Path, days: int = 2, users: int = 20) -> Config:
    sizes = (f"simulate.users={users}", "simulate.streamers=20", f"simulate.days={days}")
    return load_config(CONF, [*sizes, f"product.warehouse={folder}"])


def simulated(folder: Path, days: int = 2, users: int = 20) -> Path:
    """The product's folder after a simulation."""
    config = small(folder, days, users)
    simulate_logs(config, Warehouse.of(config))
    return folder / "live"


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def published(product: Path) -> set[str]:
    return {str(path.parent.relative_to(product)) for path in product.rglob("_MANIFEST.json")}


def test_every_source_and_day_has_a_file_and_a_manifest(tmp_path: Path) -> None:
    product = simulated(tmp_path, days=3, users=1)
    names = ("raw/events", "raw/users", "raw/streamers", "raw/rooms", "truth/exposures", "truth/lines")
    assert published(product) == {f"{name}/dt=2026-01-0{day}" for name in names for day in (1, 2, 3)}
    silent = product / "raw/users/dt=2026-01-03"
    assert read_manifest(str(silent)).rows == 0
    assert [gzip.decompress(Path(path).read_bytes()) for path in data_files(str(silent))] == [b""]
    (lines,) = data_files(str(product / "truth/lines/dt=2026-01-03"))
    assert pq.read_table(lines, partitioning=None).column_names == list(TRUTH_LINES)


def test_what_a_killed_job_left_is_no_foreign_file(tmp_path: Path) -> None:
    product = simulated(tmp_path)
    put(Path(temporary_path(str(product / HERE / "_MANIFEST.json"))))
    put(Path(temporary_path(str(product / "raw/rooms/dt=2026-01-09/data-0/part-00001.json.gz"))))
    put(Path(temporary_path(str(product / "raw")), "events", "half.json.gz"))
    put(product / "events/dt=2026-01-01/data-0/_temporary/0/task/part-00000.parquet")
    put(product / "events/dt=2026-01-01/data-0/.part-00000.parquet.crc")
    refuse_foreign(str(product))


@pytest.mark.parametrize(
    "name",
    [
        f"{HERE}/mine.json.gz",
        f"{HERE}/data-0001.json.gz",
        "raw/events/dt=2026-02-01/data-0001.json.gz",
        "raw/events/dt=2026-02-01/data-2/mine.json.gz",
        "raw/events/dt=2026-02-01/data-2/more/mine.json.gz",
        "raw/mine.json.gz.tmp",
    ],
)
def test_a_collectors_file_is_neither_removed_nor_hidden(tmp_path: Path, name: str) -> None:
    product = simulated(tmp_path)
    put(product / name)
    before = sorted(product.rglob("*"))
    for folders in (None, (RAW, TRUTH)):
        with pytest.raises(Refused, match=f"{name} was not written by the simulator"):
            make_room(Warehouse(str(tmp_path), "live"), folders)
    assert sorted(product.rglob("*")) == before


def test_a_dataset_of_collected_logs_is_refused(tmp_path: Path) -> None:
    product = simulated(tmp_path)
    manifest = product / HERE / "_MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"simulated"', '"collected"', 1))
    with pytest.raises(Refused, match="was made from collected logs"):
        make_room(Warehouse(str(tmp_path), "live"))


def test_room_is_made_for_the_demonstration_and_for_another_simulation(tmp_path: Path) -> None:
    product, warehouse = simulated(tmp_path, days=3), Warehouse(str(tmp_path), "live")
    put(product / "reports/run.json")
    put(Path(temporary_path(str(product / "raw")), "events", "half.json.gz"))
    make_room(warehouse, (RAW, TRUTH))
    assert os.listdir(product) == ["reports"]
    simulated(tmp_path, days=1)
    assert {name[-10:] for name in published(product)} == {"2026-01-01"}
    make_room(warehouse)
    assert files_at(str(product)).names(str(product)) == []


def test_there_is_room_where_nothing_is(tmp_path: Path) -> None:
    make_room(Warehouse(str(tmp_path), "live"))
    assert list(tmp_path.iterdir()) == []
