"""The program of a training process: its loss and gradients, how its variables learn, and which batches it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import tsengine as ts
from pipeline.config import WRITTEN, Rule, Schedule, Training
from pipeline.loader import Batch, Step
from pipeline.models import ModelSpec, build
from pipeline.training.replica import RULES, TABLE_RULES, make_loader, replica
from tests.loader.published import SPECS, publish_rows
from tests.models.model_cases import encoded_batch, model_spec
from tsengine.parallel import Replica
from tsengine.train import Adam, LazyAdam, RowWiseAdagrad

SIZES = {"user_id": 20, "item_id": 30}
CONSTANTS = {"amount": {"mean": 2.0, "scale": 1.5}, "ctr": {"prior": 0.5, "mean": 0.5, "scale": 0.1}}
BATCH, SHARDS, ROWS = 12, 3, 44


def program(folder: Path, model: ModelSpec | None = None, **training: Any) -> Replica:
    """A replica over published rows: 44 of them, 12 in a batch, 4 in a shard."""
    model = model or ModelSpec("wide_deep", SPECS, SIZES, CONSTANTS, embedding_dim=4, hidden=(5,))
    folders = [str(folder / "dt=2026-01-01")]
    if not Path(folders[0]).exists():
        publish_rows(Path(folders[0]), [20, 24], 8)
    loader = {"folders": folders, "label": "label_enter", "batch_size": BATCH, "shards": SHARDS, "seed": 3}
    tables = {"kind": "rowwise_adagrad", "learning_rate": 0.05}
    optimizer = {"kind": "adam", "learning_rate": 0.001, "tables": tables}
    written = {"label": "enter", "batch_size": BATCH, "shards": SHARDS, "optimizer": optimizer, **training}
    config = Training.model_validate({"epochs": 2, "weight_decay": 0.25, "workers": 1, **written}, context=WRITTEN)
    told = {**config.model_dump(mode="json"), "observe_every": 3}
    return replica({"model": model.to_json(), "loader": loader, "training": told})


def feeds(made: Replica, batch: Batch, weight: float) -> dict[Any, Any]:
    return {made.batch_weight: np.float32(weight), **{node: batch[name] for name, node in made.feeds.items()}}


def steps(made: Replica, first: int = 0) -> list[Any]:
    return list(made.batches(0, 1, first))


def test_shards_sum_to_the_mean_loss_of_the_whole_batch(tmp_path: Path) -> None:
    """Against -log p of the model's own probabilities, by hand, over the batch that ends in padding."""
    made = program(tmp_path)
    last = steps(made)[3]
    graph = build(ModelSpec("wide_deep", SPECS, SIZES, CONSTANTS, embedding_dim=4, hidden=(5,)))
    found, lost, weight = 0.0, 0.0, 0.0
    for _, shard in last.shards:
        found += ts.Session(made.graph).run(made.loss, feeds(made, shard, last.weight_sum)).item()
        p = ts.Session(graph.graph).run(graph.probability, {node: shard[n] for n, node in graph.inputs.items()})
        chance = np.where(shard["label"] == 1, p, 1 - p)
        lost -= float((shard["weight"] * np.log(chance)).sum())
        weight += float(shard["weight"].sum())
    assert weight == last.weight_sum
    assert sum((shard["weight"] > 0).sum() for _, shard in last.shards) == ROWS - 3 * BATCH, "the last batch is short"
    assert found == pytest.approx(lost / weight, rel=1e-5)


def test_padding_moves_nothing(tmp_path: Path) -> None:
    made = program(tmp_path)
    shard = steps(made)[3].shards[-1][1]
    assert not shard["weight"].any()
    variables = [made.graph.variables[name] for name in made.learning]
    slopes = ts.Session(made.graph).run(ts.gradients(made.loss, variables), feeds(made, shard, 8.0))
    assert all(not getattr(s, "values", s).any() for s in slopes)


def test_tables_learn_by_their_own_rule_and_do_not_decay(tmp_path: Path) -> None:
    learning = program(tmp_path).learning
    tables = {name for name, how in learning.items() if isinstance(how.rule, RowWiseAdagrad)}
    assert tables == {"embedding/user_id", "embedding/item_id", "wide/user_id", "wide/cross_a"}
    assert {(how.rate(0), how.weight_decay) for n, how in learning.items() if n in tables} == {(0.05, 0.0)}
    others = [how for name, how in learning.items() if name not in tables]
    assert others and all(isinstance(how.rule, Adam) for how in others)
    assert {(how.rate(0), how.weight_decay) for how in others} == {(0.001, 0.25)}


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ({}, [1, 1, 1, 1, 1, 1, 1, 1]),
        ({"warm_up_steps": 4}, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ({"kind": "cosine", "warm_up_steps": 2}, [0.5, 1, 1, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]),
        ({"kind": "cosine", "decay_steps": 2, "final_share": 0.2}, [1, 0.6, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]),
        ({"kind": "cosine", "warm_up_steps": 16}, [k / 16 for k in range(1, 9)]),
        ({"kind": "exponential", "decay_steps": 2, "decay_rate": 0.25}, [2.0**-k for k in range(8)]),
        (
            {"kind": "exponential", "decay_steps": 3, "decay_rate": 0.5, "staircase": True},
            [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25],
        ),
    ],
    ids=repr,
)
def test_a_schedule_moves_every_rate_alike(tmp_path: Path, schedule: dict[str, Any], shares: list[float]) -> None:
    """Over the 8 steps of the run, by hand."""
    made = program(tmp_path, schedule=schedule)
    assert made.steps == 8
    for how in made.learning.values():
        rate = 0.05 if isinstance(how.rule, RowWiseAdagrad) else 0.001
        assert [how.rate(step) for step in range(8)] == pytest.approx([rate * share for share in shares])


def test_without_a_schedule_and_a_limit_the_numbers_are_the_configs_own(tmp_path: Path) -> None:
    made = program(tmp_path)
    assert {how.rate(step) for how in made.learning.values() for step in (0, 7, 10**9)} == {0.05, 0.001}
    assert made.clip_global_norm is None
    assert program(tmp_path, clip_norm=2).clip_global_norm == 2.0


def test_every_kind_of_schedule_is_known() -> None:
    assert get_args(Schedule.model_fields["kind"].annotation) == ("constant", "cosine", "exponential")


def test_every_rule_of_the_config_exists() -> None:
    assert set(RULES) == set(TABLE_RULES) == set(get_args(Rule.model_fields["kind"].annotation))


def test_adam_moves_only_the_rows_of_a_table_that_a_batch_uses(tmp_path: Path) -> None:
    tables = {"kind": "adam", "learning_rate": 0.05}
    made = program(tmp_path, optimizer={"kind": "adam", "learning_rate": 0.001, "tables": tables})
    assert {type(made.learning[name].rule) for name in made.table_rows} == {LazyAdam}
    assert all(rule().only_given_rows and not rule().refuses_rows() for rule in TABLE_RULES.values())


def test_the_rows_reserved_for_a_table_suffice_and_are_no_more_than_it_has(tmp_path: Path) -> None:
    """Every kind of feature; ids drawn so that a batch has as many different ones as it can."""
    sizes = {"user_id": 4000, "item_id": 4000, "city": 4000}
    model = model_spec(vocabulary_sizes=sizes)
    made = program(tmp_path, model)
    rows = BATCH // SHARDS
    assert made.table_rows["embedding/item_id"] == (1 + 3) * rows, "the key, and three places of the sequence"
    assert made.table_rows["bucket/context_position"] == made.table_rows["wide/user_key"] == rows
    assert program(tmp_path, model_spec()).table_rows["embedding/city"] == rows
    assert (
        program(tmp_path, model_spec(), shards=1).table_rows["embedding/city"] == model_spec().vocabulary_sizes["city"]
    )
    batch = encoded_batch(model, rows)
    batch |= {"label": np.ones(rows, np.float32), "weight": np.ones(rows, np.float32)}
    slopes = ts.Session(made.graph).run(
        ts.gradients(made.loss, [made.graph.variables[name] for name in made.table_rows]), feeds(made, batch, 4.0)
    )
    for name, slope in zip(made.table_rows, slopes, strict=True):
        assert len(np.unique(slope.indices)) <= made.table_rows[name], name


def test_steps_are_numbered_through_all_epochs_and_begin_anywhere(tmp_path: Path) -> None:
    made = program(tmp_path)
    whole = steps(made)
    assert [step.index for step in whole] == list(range(made.steps)) == list(range(8))
    for first in (1, 4, 6):
        resumed = steps(made, first)
        assert [step.index for step in resumed] == list(range(first, 8))
        assert keys(resumed[0]) == keys(whole[first])
    assert sorted(key for step in whole[:4] for key in keys(step)) == list(range(ROWS)), "each row once"
    assert [keys(step) for step in whole[:4]] != [keys(step) for step in whole[4:]], "another order every epoch"


def keys(step: Step) -> list[int]:
    """The rows of a step, by number, without padding."""
    return [int(key) for _, shard in step.shards for key in shard["user_id"][shard["weight"] > 0]]


def test_what_is_observed_is_the_auc_of_rows_with_weight(tmp_path: Path) -> None:
    observe = program(tmp_path).observe
    assert observe is not None
    seen: Mapping[str, Any] = {
        "logits": np.array([[-1.0, 2.0], [0.5, 9.0]], np.float32),
        "label": np.array([[0, 1], [1, 0]], np.float32),
        "weight": np.array([[1, 1], [1, 0]], np.float32),
    }
    assert observe(seen) == {"auc": 1.0}
    assert observe({**seen, "weight": np.ones((2, 2), np.float32)}) == {"auc": 0.5}
    assert observe({**seen, "label": np.zeros((2, 2), np.float32)}) == {}


def test_a_loader_is_made_from_json(tmp_path: Path) -> None:
    folder = publish_rows(tmp_path / "dt=2026-01-01", [20], 8)
    loader = make_loader({"folders": [folder], "label": "label_enter", "batch_size": 4, "shards": 2}, SPECS)
    assert (loader.rows, loader.steps_per_epoch) == (20, 5)
