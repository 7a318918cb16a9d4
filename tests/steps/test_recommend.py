"""Candidates, scores and lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from pipeline import schemas
from pipeline.artifact import load_artifact, save_candidate
from pipeline.config import Config
from pipeline.days import add_days
from pipeline.errors import ConfigError
from pipeline.features import FeatureSpec, feature_specs
from pipeline.models import ModelSpec, build
from pipeline.steps.build_examples import features_at
from pipeline.steps.recommend import SCORED, candidates, model_batch, score, top
from tests.steps.rows import FIRST, UTC, Row, at, collected, event, events_frame, frame, later, toy_config

DAY = add_days(FIRST, 2)
END = at(add_days(DAY, 1), 0)


def _room(room: str, item: str, **changes: Any) -> Row:
    started = at(DAY, 20)
    clocks = {"started_at": started, "start_available_at": started, "ended_at": None, "end_available_at": None}
    return {"room_id": room, "item_id": item, **clocks, **changes}


ROOMS = [
    _room("r1", "i1"),
    _room("r2", "i2", ended_at=at(DAY, 21), end_available_at=at(DAY, 21)),
    _room("r3", "i3", started_at=None, start_available_at=None),
    _room("r4", "i4"),
]
EVENTS = [
    event("exposure", at(DAY, 21), user_id="u1", item_id="i1", room_id="r1"),
    event("enter", at(DAY, 22), user_id="u1", item_id="i2", room_id="r2"),
    event("exposure", at(DAY, -20), user_id="u2", item_id="i5", room_id="r5"),
    event("enter", at(DAY, 1), user_id=None, item_id="i6", room_id="r6"),
    event(
        "exposure", at(DAY, 3), user_id="bot", item_id="i1", room_id="r1", bot_rule="rate", bot_available_at=at(DAY, 4)
    ),
]


def _points(spark: SparkSession, config: Config) -> DataFrame:
    rooms = frame(spark, ROOMS, schemas.ROOMS)
    return candidates(config, DAY, rooms, events_frame(spark, config, EVENTS), {})


def test_every_active_user_meets_every_room_on_air(spark: SparkSession) -> None:
    points = collected(_points(spark, toy_config()), "user_id", "room_id")
    pairs = [("u1", "i1", "r1"), ("u1", "i4", "r4"), ("u2", "i1", "r1"), ("u2", "i4", "r4")]
    assert [(p["user_id"], p["item_id"], p["room_id"]) for p in points] == pairs
    assert {p["event_time"].astimezone(UTC) for p in points} == {END + later(21_600)}
    assert {(p["scene"], p["position"], p["duration_ms"]) for p in points} == {(None, None, None)}
    assert [p["example_id"] for p in points] == [
        xxhash.xxh64_hexdigest(f"{u}\n{r}".encode(), seed=42) for u, _, r in pairs
    ]


def test_without_broadcasts_the_items_of_the_day_are_candidates(spark: SparkSession) -> None:
    config = toy_config(recommend={"candidates": "recent"})
    points = collected(_points(spark, config), "user_id", "item_id")
    assert [(p["user_id"], p["item_id"], p["room_id"]) for p in points] == [
        (user, item, None) for user in ("u1", "u2") for item in ("i1", "i2", "i6")
    ]
    assert len({p["example_id"] for p in points}) == 6
    few = collected(_points(spark, toy_config(recommend={"candidates": "recent", "pool": 1})), "user_id", "item_id")
    assert len({p["item_id"] for p in few}) == 1
    with pytest.raises(ConfigError, match=r"\$\.recommend\.candidates"):
        candidates(toy_config(), DAY, None, events_frame(spark, config, EVENTS), {})


def test_a_list_is_the_best_by_score_then_by_hash(spark: SparkSession) -> None:
    config = toy_config(recommend={"top": 3})
    scores = {"r1": 0.5, "r2": 0.25, "r3": 0.5, "r4": 0.75, "r5": 0.5}
    rows = [
        {"user_id": user, "item_id": "i", "room_id": room, "score": value, "model_version": "2026010301"}
        for user in ("u1", "u2")
        for room, value in scores.items()
    ]
    table = spark.createDataFrame(pa.Table.from_pylist(rows)).withColumn("score", _float("score")).select(*SCORED)
    made = collected(top(config, table), "user_id", "rank")
    assert list(made[0]) == list(schemas.RECOMMENDATIONS)
    for user in ("u1", "u2"):
        tied = sorted(
            ("r1", "r3", "r5"), key=lambda room: _signed(xxhash.xxh64_intdigest(f"{user}\n{room}".encode(), seed=42))
        )
        assert [row["room_id"] for row in made if row["user_id"] == user] == ["r4", *tied[:2]]
    assert [row["rank"] for row in made] == [1, 2, 3, 1, 2, 3]


def _float(name: str) -> Any:
    from pyspark.sql import functions as F

    return F.col(name).cast("float")


def _signed(digest: int) -> int:
    return digest - 2**64 if digest >= 2**63 else digest


def test_rows_become_the_arrays_that_the_model_is_fed() -> None:
    specs = (
        FeatureSpec("a", "id", "v"),
        FeatureSpec("b", "number"),
        FeatureSpec("c", "rate"),
        FeatureSpec("s", "sequence", "v", length=3),
    )
    rows = pa.RecordBatch.from_pydict(
        {
            "a": pa.array([3, 1], pa.int32()),
            "b": pa.array([None, 2.5], pa.float32()),
            "c__num": pa.array([1, 0], pa.float32()),
            "c__den": pa.array([4, 0], pa.float32()),
            "s": pa.array([[7], [5, 6, 4]], pa.list_(pa.int32())),
        }
    )
    for batch, first in ((rows, 0), (rows.slice(1), 1), (rows.slice(2), 2)):
        made = model_batch(specs, batch)
        assert list(made) == ["a", "b", "c__num", "c__den", "s", "s__length"]
        np.testing.assert_array_equal(made["s"], np.array([[7, 0, 0], [5, 6, 4]], np.int32)[first:])
        np.testing.assert_array_equal(made["s__length"], np.array([1, 3], np.int32)[first:])
        np.testing.assert_array_equal(made["b"], np.array([np.nan, 2.5], np.float32)[first:])
        assert {name: array.dtype.name for name, array in made.items()} == {
            "a": "int32", "b": "float32", "c__num": "float32", "c__den": "float32", "s": "int32", "s__length": "int32",
        }  # fmt: skip


def test_workers_score_as_this_process_does(spark: SparkSession, tmp_path: Path) -> None:
    config = toy_config()
    folder = str(tmp_path / "models" / "2026010301")
    _save_model(config, folder)
    ids = [{"value": f"i{n}", "id": 2 + n, "count": 9, "first_dt": FIRST} for n in range(1, 6)]
    vocabularies = {"item_id": frame(spark, ids, schemas.VOCABULARY)}
    history, points = events_frame(spark, config, EVENTS), _points(spark, config)
    scored = collected(score(config, points, folder, {}, vocabularies, history), "user_id", "room_id")
    featured = collected(features_at(config, points, {}, vocabularies, history), "user_id", "room_id")
    expected = load_artifact(folder).score_ids(_by_hand(config, featured))
    assert len({row["score"] for row in scored}) > 1
    np.testing.assert_allclose([row["score"] for row in scored], expected, rtol=1e-6)
    assert [(row["user_id"], row["item_id"], row["room_id"]) for row in scored] == [
        (row["user_id"], row["item_id"], row["room_id"]) for row in featured
    ]
    assert {row["model_version"] for row in scored} == {"2026010301"}


def _save_model(config: Config, folder: str) -> None:
    specs, rng = feature_specs(config), np.random.default_rng(3)
    sizes = {spec.vocabulary: 8 for spec in specs if spec.vocabulary is not None}
    fitted = {"mean": 1.0, "scale": 2.0, "prior": 0.25}
    needed = {"number": ("mean", "scale"), "rate": ("prior", "mean", "scale")}
    constants = {
        s.name: {key: fitted[key] for key in needed[s.kind]} for s in specs if s.kind in needed and s.edges is None
    }
    spec = ModelSpec("wide_deep", specs, sizes, constants, embedding_dim=4, hidden=(8,))
    variables = build(spec).graph.variables
    weights = {name: rng.normal(0, 0.3, v.static_shape).astype(np.float32) for name, v in variables.items()}
    words = {name: [f"{name}{n}" for n in range(5)] for name in sizes}
    golden = _by_hand(config, [_zero_row(specs)])
    save_candidate(folder, spec, weights, words, golden, {}, {"dt": "2026-01-03"}, "toy", 2026010301)


def _zero_row(specs: tuple[FeatureSpec, ...]) -> Row:
    return {column: [] if spec.kind == "sequence" else 1 for spec in specs for column in spec.columns}


def _by_hand(config: Config, rows: list[Row]) -> dict[str, NDArray[Any]]:
    """The same arrays, value by value."""
    batch: dict[str, NDArray[Any]] = {}
    for spec in feature_specs(config):
        if spec.kind == "sequence":
            lists = [row[spec.name] for row in rows]
            batch[spec.name] = np.array([values + [0] * (3 - len(values)) for values in lists], np.int32).reshape(-1, 3)
            batch[f"{spec.name}__length"] = np.array([len(values) for values in lists], np.int32)
        else:
            for column in spec.columns:
                values = [np.nan if row[column] is None else row[column] for row in rows]
                batch[column] = np.array(values, np.int32 if spec.kind == "id" else np.float32)
    return batch
