"""A user of a table of rows, and the models that were trained on him."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from pipeline.artifact import load_artifact, load_golden
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.forget.forgetting import Forgetting
from pipeline.runner import Runner
from pipeline.schemas import TOMBSTONE
from pipeline.storage import Warehouse, read_manifest
from pipeline.table_road import TABLE_STEPS
from pipeline.training import train
from tests.forget.product import datasets, places
from tests.steps.tables import DAY
from tests.test_table_road import clicks, product, raw

HIM = "u3"


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Files with and without him, in quarantine too; a model."""
    folder = tmp_path_factory.mktemp("table")
    for name, seed, rows in (("train-1", 1, 300), ("train-2", 2, 200), ("valid", 3, 80), ("test", 4, 80)):
        raw(folder, f"{name}.csv", *clicks(seed, rows), f"1,{HIM}", "1,u30", f"maybe,{HIM},Rome,3")
    training = {"label": "click", "batch_size": 64, "shards": 2, "workers": 1, "epochs": 1, "evaluate_on": "test"}
    label = {"click": {"column": "label", "positive": ["1"], "negative": ["0"]}}
    config = product(folder, training=training, labels=label)
    runner = Runner(config, spark)
    for step in TABLE_STEPS:
        runner.run(step, DAY)
    train(config, runner.warehouse, DAY)
    return config


def test_rows_models_and_all_that_knows_him(spark: SparkSession, config: Config) -> None:
    warehouse = Warehouse.of(config)
    root, models = Path(warehouse.path()), "models/wide_deep"
    before, version = datasets(config), f"{models}/2026010101"
    old, golden = load_artifact(warehouse.path(version)), load_golden(warehouse.path(version))
    his_id = 3 + old.vocabularies["user"].values.index(HIM)
    others = golden.encoded["context_user"] != his_id
    assert 0 < others.sum() < len(others)

    done = Forgetting(config, spark, HIM).run()
    assert done.models == [version], "a model is only told"
    after = datasets(config)
    for (name, day), rows in before.items():
        kept = [row for row in rows if HIM not in row.values() and not re.search(rb"u3(?!0)", row.get("line", b""))]
        if name != "vocab/user":
            assert Counter(map(str, after[name, day])) == Counter(map(str, kept)), name
    assert len(after["quarantine", DAY]) == 4 and len(before["quarantine", DAY]) == 12
    assert not list(root.glob("checkpoints/*/*/step=*"))
    assert all(Runner(config, spark).run(step, DAY).skipped for step in TABLE_STEPS)

    done = Forgetting(config, spark, HIM, with_models=True).run()
    assert (done.table, done.models) == ([["model", version, ""]], [])
    assert places(root, HIM) == []
    assert sorted(path.name for path in root.glob(f"{models}/*")) == ["2026010102"]
    new = load_artifact(warehouse.path(models, "2026010102"))
    assert new.vocabularies["user"].values[his_id - 3] == f"{TOMBSTONE}{his_id}"
    theirs = {name: column[others] for name, column in golden.encoded.items()}
    np.testing.assert_allclose(new.score_ids(theirs), golden.probability[others], rtol=1e-5)
    his = {name: column[~others] for name, column in golden.encoded.items()}
    as_stranger = {**his, "context_user": np.full_like(his["context_user"], 2)}
    np.testing.assert_array_equal(new.score_ids(his), new.score_ids(as_stranger))
    lineage = read_manifest(warehouse.path(models, "2026010102")).extra["lineage"]
    assert (lineage["instead_of"], lineage["reason"]) == ("2026010101", "a user was forgotten")
    assert train(config, warehouse, DAY).version == "2026010103", "what is left is learnt anew"


def test_a_product_that_names_no_users_has_nobody_to_forget(spark: SparkSession, tmp_path: Path) -> None:
    raw(tmp_path, "train.csv", *clicks(1, 3))
    with pytest.raises(ConfigError, match="names no users"):
        Forgetting(product(tmp_path, datasets={"rows": "clicks"}), spark, HIM)
