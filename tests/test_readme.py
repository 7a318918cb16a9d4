"""What the README tells a reader to type and to write is true of this tree."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline import road
from pipeline.config import load_config
from pipeline.runner import Runner
from pipeline.storage import data_files, read_manifest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOON_MS = round(datetime.datetime(2026, 3, 1, 11, tzinfo=datetime.UTC).timestamp() * 1000)


def block(language: str) -> str:
    """The first fenced block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def line(visitor: str, page: str, what: str, after_s: int, **other: object) -> str:
    return json.dumps({"visitor": visitor, "page": page, "what": what, "ts": NOON_MS + 1000 * after_s, **other})


def test_the_example_toml_takes_logs_to_examples(spark: SparkSession, tmp_path: Path) -> None:
    logs = tmp_path / "logs" / "2026-03-01"
    logs.mkdir(parents=True)
    lines = [
        line("ada", "one", "view", 0), line("ada", "one", "open", 30),
        line("ada", "two", "view", 100), line("ada", "two", "open", 161),
        line("bob", "one", "view", 200), line("bob", "one", "shut", 210), "no line at all",
    ]  # fmt: skip
    (logs / "a.json").write_text("\n".join(lines))
    conf = tmp_path / "mine.toml"
    conf.write_text(block("toml"))
    places = [f"product.warehouse={tmp_path}/warehouse", f"sources.clicks.path={tmp_path}/logs/{{dt}}/*.json"]
    runner = Runner(load_config(conf, places), spark)
    day = runner.config.product.first_day
    for step in road.DATA_STEPS:
        runner.run(step, day)
    accounting = read_manifest(runner.warehouse.folder("events", day)).extra["accounting"]["clicks"]
    assert accounting == {"kept": 5, "unknown_value": 1, "malformed": 1}
    (path,) = data_files(runner.warehouse.folder("examples/enter", day))
    rows = {(row["user_id"], row["item_id"]): row for row in pq.ParquetFile(path).read().to_pylist()}
    assert {pair: row["label_enter"] for pair, row in rows.items()} == {
        ("ada", "one"): 1.0,
        ("ada", "two"): 0.0,  # a second too late
        ("bob", "one"): 0.0,
    }
    assert [row["context_hour"] for row in rows.values()] == [12.0] * 3


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"make ([a-z]+)", README))))
def test_every_verb_is_one_of_the_makefile(verb: str) -> None:
    assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b(?:jobs|conf|docs|pipeline|tests)/[\w/.-]+", README))))
def test_every_path_that_it_names_is_there(path: str) -> None:
    made_by_the_reader = {"conf/mine.toml"}
    assert path in made_by_the_reader or (ROOT / path).exists()
