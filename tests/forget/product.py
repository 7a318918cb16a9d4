"""A small product with raw files, built for a few days, and everything that lies in its warehouse as plain values."""

from __future__ import annotations

import datetime
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from pipeline.config import Config, parse_config
from pipeline.days import Day, add_days
from pipeline.road import DATA_STEPS, STATISTICS
from pipeline.runner import Runner
from pipeline.step import Step
from pipeline.storage import Warehouse, data_files, has_manifest
from tests.steps.rows import FIRST, TABLES, at

HIM = "u3"
"""Is forgotten. `u30` is somebody else."""
USERS = [f"u{n}" for n in range(6)] + ["u30"]
KEY = "a secret of the tests, not of anybody"
USER = {
    "key": {"column": "user_id"},
    "city": {"attribute": "city"},
    "enters_2d": {"count": "enter", "window_days": 2},
}
ITEM = {
    "key": {"column": "item_id"},
    "last_user": {"last": "enter", "by": "user_id"},
    "top_users": {"top": "enter", "by": "user_id"},
    "users": {"distinct": "enter", "by": "user_id"},
    "rate_of_user": {"rate": ["enter", "exposure"], "by": "user_id", "window_days": 2},
}
Row = dict[str, Any]


def config_in(folder: Path) -> Config:
    """Users are hashed in all datasets; items are split by them."""
    key = folder / "key"
    key.write_text(KEY)
    sources = json.loads(json.dumps(TABLES["sources"]))
    sources["events"]["path"] = "raw/events/dt={dt}/*.json.gz"
    for source in ("events", "users"):
        sources[source]["columns"]["user_id"] |= {"pii": True, "required": True}
    features = {**TABLES["features"], "user": USER, "item": ITEM, "cross": {}}
    own = {"sources": sources, "features": features, "clean": {"pii_key_file": str(key)}, "vocabularies": {}}
    return parse_config({**TABLES, **own, "product": {**TABLES["product"], "warehouse": str(folder / "w")}})


def deliver(config: Config, day: Day, users: list[str] = USERS) -> None:
    """A day's raw files: three of events, one of each kind of statement."""
    rng = random.Random(f"{day}")
    lines = list(_events(rng, day, users))
    rng.shuffle(lines)
    for place in range(3):
        _put(config, f"events/dt={day}/part-{place}.json.gz", lines[place::3])
    said = [_line(f"s-{day}-{user}", day, 1, user_id=user, city=rng.choice(["Oslo", "Köln"])) for user in users]
    _put(config, f"users/dt={day}/a.json", said)
    _put(config, f"streamers/dt={day}/a.json", [_line(f"i-{day}", day, 1, item_id="i1", category="music", level=1)])


def _events(rng: random.Random, day: Day, users: list[str]) -> Iterator[bytes]:
    for number in range(120):
        user, item, hour = rng.choice(users), f"i{rng.randrange(4)}", rng.uniform(2, 23)
        fields = {"user_id": user, "item_id": item, "room_id": item, "scene": "hot", "pos": rng.randrange(3)}
        yield _line(f"{day}-{number}-x", day, hour, event_type="exposure", **fields)
        if rng.random() < 0.5:
            yield _line(f"{day}-{number}-e", day, hour + 0.005, event_type="enter", **fields)
    yield f'{{"user_id": "{HIM}", broken'.encode()
    yield b'{"user_id": "' + HIM.encode() + b'"}\xff'
    yield b'{"user_id": "u30", broken'
    yield _line(f"{day}-bad", day, 3, event_type="watch", user_id=HIM, item_id="i1", dur=-5)


def _line(id_: str, day: Day, hour: float, **fields: Any) -> bytes:
    ts = round((at(day, hour) - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds() * 1000)
    return json.dumps({"event_id": id_, "ts": ts, **fields}, ensure_ascii=False).encode()


def _put(config: Config, name: str, lines: list[bytes]) -> None:
    path = Path(Warehouse.of(config).path("raw", name))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b"\n".join(lines) + b"\n"
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def tasks() -> list[tuple[Step, Day]]:
    """All steps of the first day, and all but statistics of the second."""
    second = add_days(FIRST, 1)
    return [*((step, FIRST) for step in DATA_STEPS), *((step, second) for step in DATA_STEPS if step != STATISTICS)]


def build(config: Config, spark: SparkSession) -> None:
    """Raw files and steps of two days."""
    runner = Runner(config, spark)
    for day in (FIRST, add_days(FIRST, 1)):
        deliver(config, day)
    for step, day in tasks():
        runner.run(step, day)


def datasets(config: Config) -> dict[tuple[str, Day], list[Row]]:
    """The rows of everything that is published, by dataset and day."""
    warehouse, found = Warehouse.of(config), {}
    for manifest in sorted(Path(warehouse.path()).rglob("_MANIFEST.json")):
        folder = str(manifest.parent)
        name, _, day = folder.removeprefix(warehouse.path("")).rpartition("/dt=")
        if name and has_manifest(folder) and not name.startswith("raw"):
            rows = [row for path in data_files(folder) for row in pq.ParquetFile(path).read().to_pylist()]
            found[name, datetime.date.fromisoformat(day)] = rows
    return found


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, bytes too."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from (*texts(key), *texts(entry))
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, str):
        yield value


def places(folder: Path, *wanted: str) -> list[str]:
    """Files anywhere below a folder in whose content (decompressed, Parquet as values) a text holds one of these, with
    no letter or digit beside it."""
    import re

    pattern = re.compile("|".join(rf"(?<!\w){re.escape(text)}(?!\w)" for text in wanted))
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and any(pattern.search(text) for text in _contents(path)):
            found.append(str(path.relative_to(folder)))
    return found


def _contents(path: Path) -> Iterator[str]:
    if path.suffix == ".parquet":
        yield from texts(pq.ParquetFile(path).read().to_pylist())
    elif not path.name.endswith(".crc"):
        content = path.read_bytes()
        yield from texts(gzip.decompress(content) if path.suffix == ".gz" else content)
