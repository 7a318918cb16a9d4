"""The road of a table from raw files to examples and a model, on small made files; and what it refuses."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs.arguments import days_of, parser
from pipeline.config import Config, parse_config
from pipeline.errors import ConfigError, DamagedData, MissingInput, Refused
from pipeline.loader import Loader
from pipeline.runner import Runner
from pipeline.storage import Warehouse
from pipeline.table_road import TABLE_STEPS, step_named
from pipeline.training import train
from pipeline.training.plan import make_plan
from tests.steps.tables import DAY, anywhere, table_tables
from tests.test_idx import idx, images

ROOT = Path(__file__).parent.parent
HEADER = "label,user,city,age"


def product(folder: Path, source: dict[str, Any] | None = None, **sections: Any) -> Config:
    tables = table_tables(source, **sections)
    return parse_config({**tables, "product": {**tables["product"], "warehouse": str(folder)}})


def raw(folder: Path, name: str, *lines: str, header: str = HEADER) -> None:
    path = folder / "toy" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")


def clicks(seed: int, rows: int) -> list[str]:
    """Users of Rome click, others do not, mostly."""
    rng = random.Random(seed)
    lines = []
    for _ in range(rows):
        city = rng.choice(["Rome", "Oslo"])
        lines.append(f"{int((rng.random() < 0.9) == (city == 'Rome'))},u{rng.randrange(9)},{city},{rng.randrange(90)}")
    return lines


def test_from_raw_files_to_a_model(spark: SparkSession, tmp_path: Path) -> None:
    raw(tmp_path, "train-1.csv", *clicks(1, 300), "1,,Rome,3")
    raw(tmp_path, "train-2.csv", *clicks(2, 300), "", "1,u1")
    raw(tmp_path, "valid.csv", *clicks(3, 100))
    raw(tmp_path, "test.csv", *clicks(4, 120))
    training = {"label": "click", "batch_size": 64, "shards": 2, "workers": 1, "epochs": 3, "evaluate_on": "test"}
    config = product(tmp_path, training=training, gate={"auc": {"at_least": 0.8}})
    runner = Runner(config, spark)
    made = [runner.run(step, DAY) for step in TABLE_STEPS]
    accounting = made[0].manifests["rows/train"].extra["accounting"]["clicks"]
    assert accounting == {"blank": 1, "header": 4, "kept": 820, "malformed": 1, "missing_required": 1}
    assert made[0].manifests["quarantine"].rows == 2
    rows = {split: made[2].manifests[f"examples/click/{split}"].rows for split in ("train", "validation", "test")}
    assert rows == {"train": 600, "validation": 100, "test": 120}
    assert all(runner.run(step, DAY).skipped for step in TABLE_STEPS)

    plan = make_plan(config, runner.warehouse, DAY)
    assert plan.folders == [runner.warehouse.folder("examples/click/train", DAY)]
    assert plan.evaluation_folders == [runner.warehouse.folder("examples/click/test", DAY)]
    batch, _ = next(plan.training().in_order())
    assert batch["context_city"].dtype == np.int32 and set(batch["context_city"]) == {3, 4}
    result = train(config, runner.warehouse, DAY)
    assert (result.gate, result.version, result.metrics["evaluation_rows"]) == ("first", "2026010101", 120)
    assert result.metrics["auc"] > 0.8 and result.headline["gauc"] > 0.8


def test_images_reach_the_examples_and_no_model(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "toy" / "raw"
    folder.mkdir(parents=True)
    for split, count in (("train", 20), ("test", 5)):
        (folder / f"{split}-images").write_bytes(idx(count, 2, 3, content=images(count)))
        (folder / f"{split}-labels").write_bytes(idx(count, content=bytes(k % 3 for k in range(count))))
    pairs = {name: {kind: f"raw/{name}-{kind}" for kind in ("images", "labels")} for name in ("train", "test")}
    config = product(
        tmp_path,
        {"format": "idx", "shape": [2, 3], "split": {"by": "file", **pairs},
         "columns": {"digit": {"from": "label", "type": "int", "required": True}}},
        datasets={"rows": "clicks"}, vocabularies={}, labels={"click": {"column": "digit", "classes": 3}},
        features={"context": {"pixels": {"image": "image"}}},
    )  # fmt: skip
    runner = Runner(config, spark)
    made = [runner.run(step, DAY) for step in TABLE_STEPS]
    manifest = made[2].manifests["examples/click/train"]
    assert (manifest.rows, manifest.schema["context_pixels"]) == (20, "binary")
    loader = Loader([runner.warehouse.folder("examples/click/train", DAY)], (), "label_click")
    batch, named = next(loader.in_order(["context_pixels"]))
    assert sorted(zip(map(bytes, named["context_pixels"]), batch["label"], strict=True)) == sorted(
        (images(20)[6 * k : 6 * k + 6], float(k % 3)) for k in range(20)
    )
    with pytest.raises(ConfigError, match=r"takes no image \(\$\.features\.context\.pixels\); take other features"):
        train(config, runner.warehouse, DAY)
    (folder / "test-labels").write_bytes(idx(4, content=bytes(4)))
    with pytest.raises(DamagedData, match=r"test-images says 5 images, but .*test-labels says 4 labels"):
        Runner(config, spark).run(TABLE_STEPS[0], DAY)


@pytest.mark.parametrize(
    ("source", "lines", "error", "told"),
    [
        (anywhere({"by": "column", "column": "fold", "train": ["a"], "test": ["b"]}), ["1,u,x,3,c,1", "1,u,x,3,a,1"],
         Refused, r"no split lists these texts of column 'fold': 'c' \(1 rows\)\. List them in \$\.sources\.clicks"),
        (anywhere({"by": "column", "column": "fold", "train": ["a"], "test": ["b"]}), ["1,u,x,3,a,1"],
         Refused, r"split test has no row; the rows are \{'train': 1\}"),
        (anywhere({"by": "column", "column": "fold", "train": ["a"], "test": ["b"]}, key="user"),
         ["1,u,x,3,a,1", "1,u,x,3,b,1"], Refused, "rows of one 'user' are in two splits: 'u' in test and train"),
        (anywhere({"by": "leave_one_out", "of": "user", "order": "at"}), ["1,u,x,3,a,1", "1,u,x,3,a,2"],
         Refused, "split validation has no row"),
        ({"split": {"by": "file", "train": "raw/*.csv", "test": "raw/rows.csv"}}, ["1,u,x,3"],
         ConfigError, r"\$\.sources\.clicks\.split: .*rows\.csv is of 'train' and of 'test'; a row is in one split"),
        ({"split": {"by": "file", "train": "raw/*.csv", "test": "raw/x.csv"}}, ["1,u,x,3"],
         MissingInput, r"nothing matches .*raw/x\.csv \(\$\.sources\.clicks\.split\.test\)"),
    ],
    ids=["unlisted", "empty", "key in two", "no validation", "file in two", "no file"],
)  # fmt: skip
def test_a_split_that_the_rows_do_not_make_is_refused(
    spark: SparkSession, tmp_path: Path, source: dict[str, Any], lines: list[str], error: type[Exception], told: str
) -> None:
    raw(tmp_path, "rows.csv", *lines, header=HEADER if "path" not in source else f"{HEADER},fold,at")
    with pytest.raises(error, match=told):
        Runner(product(tmp_path, source), spark).run(TABLE_STEPS[0], DAY)
    assert not (tmp_path / "toy" / "rows").exists()


def test_files_with_another_header_are_named(spark: SparkSession, tmp_path: Path) -> None:
    raw(tmp_path, "train.csv", "1,u,x,3")
    raw(tmp_path, "valid.csv", "1,u,x,3", header="label,user,age,city")
    raw(tmp_path, "test.csv", "1,u,x,3")
    with pytest.raises(DamagedData, match="the files of a table must have the same header: "):
        Runner(product(tmp_path), spark).run(TABLE_STEPS[0], DAY)


def test_training_says_what_is_not_there(tmp_path: Path) -> None:
    config = product(tmp_path)
    told = r"train needs examples/click/train/dt=2026-01-01, examples/click/validation/dt=2026-01-01, which is not"
    with pytest.raises(MissingInput, match=told):
        make_plan(config, Warehouse.of(config), DAY)


def test_a_table_has_one_day(tmp_path: Path) -> None:
    config, arguments = product(tmp_path), parser("x", "the day")
    assert days_of(config, arguments.parse_args([])) == [DAY]
    assert days_of(config, arguments.parse_args(["--dt", "2026-01-01"])) == [DAY]
    with pytest.raises(ConfigError, match=r"which has one day, 2026-01-01 \(\$\.product\.first_day\); leave --dt out"):
        days_of(config, arguments.parse_args(["--dt", "2026-01-02"]))


@pytest.mark.parametrize("name", ["RECOMMEND", "DAILY", "PROFILES"])
def test_what_needs_a_clock_does_not_apply(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="does not apply to 'toy': a table of rows has no clock, so no profiles"):
        step_named(product(tmp_path), name)


def test_lists_of_a_table_are_refused_from_a_shell() -> None:
    command = [sys.executable, "-m", "jobs.recommend", "--conf", "conf/frappe.toml"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: recommend does not apply to 'frappe'")
