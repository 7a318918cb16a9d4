"""The trees: the same rows as the training, inputs computed by hand, learning what is there, and None when absent."""

from __future__ import annotations

import datetime
import importlib.util
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import Config, load_config
from pipeline.errors import MissingInput
from pipeline.features import FeatureSpec
from pipeline.schemas import examples
from pipeline.storage import Manifest, Warehouse, describe_file, write_manifest
from pipeline.training import baseline

SPECS = (
    FeatureSpec("item_category", "id", vocabulary="item_category"),
    FeatureSpec("user_key", "id", vocabulary="user_id"),
    FeatureSpec("user_rate", "rate", smoothing=2.0),
    FeatureSpec("user_age", "number"),
    FeatureSpec("sequence_items", "sequence", vocabulary="item_id", length=3),
    FeatureSpec("cross_x", "cross", of=("user_key", "item_category"), buckets=8),
)
TYPES = {"string": pa.string(), "float": pa.float32(), "int": pa.int32(), "array<int>": pa.list_(pa.int32()),
         "timestamp": pa.timestamp("us", tz="UTC")}  # fmt: skip


def few_rows() -> pa.Table:
    """Three rows with nulls."""
    return pa.table(
        {
            "item_category": pa.array([3, 4, 3], "int32"),
            "user_key": pa.array([3, 900, 1], "int32"),
            "user_rate__num": pa.array([1, 0, 3], "float32"),
            "user_rate__den": pa.array([2, 0, 6], "float32"),
            "user_age": pa.array([5, None, 7], "float32"),
            "sequence_items": pa.array([[4, 5], [], None], pa.list_(pa.int32())),
        }
    )


def test_inputs_by_hand() -> None:
    priors = baseline.rate_priors(SPECS, few_rows())
    assert priors == {"user_rate": 0.5}
    expected = [
        [3, 3, (1 + 1) / (2 + 2), 2, 5, 2, 5],
        [4, 900, (0 + 1) / (0 + 2), 0, np.nan, 0, np.nan],
        [3, 1, (3 + 1) / (6 + 2), 6, 7, 0, np.nan],
    ]
    np.testing.assert_allclose(baseline.matrix(SPECS, few_rows(), priors), expected)


def test_small_vocabularies_are_categories_and_large_ones_numbers() -> None:
    inputs = baseline.matrix(SPECS, few_rows(), {"user_rate": 0.5})
    assert baseline.categorical(SPECS, inputs).tolist() == [True, False, False, False, False, False, True]


def test_a_tenth_is_held_out_whatever_the_order() -> None:
    names = [f"e{i}" for i in range(5000)]
    held = baseline.held_out(pa.chunked_array([names]))
    assert held.mean() == pytest.approx(0.1, abs=0.015)
    assert baseline.held_out(pa.chunked_array([names[::-1]])).tolist() == held[::-1].tolist()


@pytest.fixture
def config() -> Config:
    """The demonstration product, judged on one day."""
    return with_context("position = { sql = 'position', edges = [1, 2, 3] }")


def with_context(*declared: str) -> Config:
    path = Path(__file__).parents[2] / "conf" / "live.toml"
    context = f"features.context={{ {', '.join(declared)} }}"
    return load_config(path, ["training.evaluation_days=1", "training.days=2", context])


def write_day(config: Config, warehouse: Warehouse, day: datetime.date, early: int = 0) -> None:
    """2,000 rows whose label follows the position; `early` more from before midnight whose label is turned round."""
    rng = np.random.default_rng(day.day)
    rows = 2000 + early
    position = rng.integers(0, 10, rows)
    entered = rng.uniform(size=rows) < np.where(position < 3, 0.8, 0.1)
    entered[2000:] = ~entered[2000:]
    noon = datetime.datetime.combine(day, datetime.time(4), tzinfo=datetime.UTC)
    instants = [noon] * 2000 + [noon - datetime.timedelta(days=1)] * early
    special = {
        "example_id": [f"{day}-{i}" for i in range(rows)],
        "event_time": instants,
        "weight": np.ones(rows),
        "label_enter": entered.astype(float),
        "context_position": position.astype(float),
    }
    columns = {
        name: pa.array(special.get(name, _filler(type_, rows)), TYPES[type_])
        for name, type_ in examples(config).items()
    }
    folder = warehouse.folder("examples/enter", day)
    Path(folder).mkdir(parents=True)
    pq.write_table(pa.table(columns), f"{folder}/part.parquet")
    entry = describe_file(folder, "part.parquet", rows)
    write_manifest(
        folder, Manifest("examples/enter", "live", str(day), "simulated", "r", (entry,), rows, {}, "", (), "", "", "")
    )


def _filler(type_: str, rows: int) -> list[object]:
    return [{"string": "", "float": 0.0, "int": 2, "array<int>": []}.get(type_)] * rows


def test_the_trees_learn_and_judge_only_rows_after_the_cut(config: Config, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    warehouse = Warehouse(str(tmp_path), "live")
    days = [datetime.date(2026, 1, day) for day in (1, 2, 3)]
    for day in days:
        write_day(config, warehouse, day, early=1500 if day == days[-1] else 0)
    found = baseline.baseline_auc(config, warehouse, days[-1])
    assert found is not None and found > 0.8
    assert baseline.baseline_auc(config, warehouse, days[-1]) == found


def test_the_trees_are_scored_with_the_values_that_the_model_is_scored_with(tmp_path: Path) -> None:
    """All rows in one place, of which alone the label follows: nothing is left to tell them apart."""
    pytest.importorskip("sklearn")
    config = with_context("position = { sql = 'position', scored_as = 0 }")
    warehouse, days = Warehouse(str(tmp_path), "live"), [datetime.date(2026, 1, day) for day in (1, 2, 3)]
    for day in days:
        write_day(config, warehouse, day)
    assert baseline.baseline_auc(config, warehouse, days[-1]) == 0.5
    scene = with_context("scene = { column = 'scene', scored_as = 'hot' }", "position = { sql = 'position' }")
    with pytest.raises(MissingInput, match="vocab/scene/dt=2026-01-01"):
        baseline.baseline_auc(scene, warehouse, days[-1])


def test_without_scikit_learn_there_is_no_baseline(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert baseline.baseline_auc(config, Warehouse(str(tmp_path), "live"), datetime.date(2026, 1, 3)) is None
