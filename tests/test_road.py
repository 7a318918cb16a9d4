"""The whole road on a small simulated service, from raw lines to lists, held against the truth of the simulator."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs.explain import planned, steps_of, unjustified
from jobs.steps import run_days
from pipeline import road
from pipeline.artifact import load_artifact, load_golden
from pipeline.config import Config, load_config
from pipeline.days import Day, add_days, parse_day
from pipeline.demonstration import refuse_foreign, simulate_logs
from pipeline.errors import DamagedData, MissingInput, Refused
from pipeline.progress import Progress
from pipeline.report import summary
from pipeline.runner import Outcome, Runner
from pipeline.storage import data_files, read_manifest
from pipeline.table_road import data_steps
from pipeline.training import TrainResult, train

CONF = Path(__file__).parent.parent / "conf" / "live.toml"
SMALL = (
    "simulate.users=240", "simulate.streamers=160", "simulate.days=4", "training.days=2", "training.evaluation_days=1",
    "training.batch_size=512", "gate.auc.at_least=0.5", "vocabularies.user_id.min_count=1",
    "vocabularies.item_id.min_count=1", "recommend.top=5",
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """A product at the end of its road."""

    runner: Runner
    days: list[Day]
    outcomes: list[Outcome]
    trained: TrainResult

    @property
    def config(self) -> Config:
        """Of the product."""
        return self.runner.config

    def rows(self, dataset: str, day: Day) -> pa.Table:
        """What is published."""
        return read(data_files(self.runner.warehouse.folder(dataset, day)))


def read(paths: list[str]) -> pa.Table:
    return pa.concat_tables([pq.ParquetFile(path).read() for path in paths], promote_options="default")


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("warehouse")
    config = load_config(CONF, [*SMALL, f"product.warehouse={folder}"])
    runner = Runner(config, spark)
    simulate_logs(config, runner.warehouse, spark)
    days = [add_days(config.product.first_day, i) for i in range(4)]
    outcomes = run_days(runner, data_steps(config), days, Progress(1, "road"), at_once=2)
    trained = train(config, runner.warehouse, days[-1])
    outcomes.append(runner.run(road.RECOMMEND, days[-1]))
    yield Built(runner, days, outcomes, trained)


def test_every_line_has_the_fate_that_the_simulator_meant(built: Built) -> None:
    for day in built.days:
        truth = Counter(built.rows("truth/lines", day)["fate"].to_pylist())
        found = read_manifest(built.runner.warehouse.folder("events", day)).extra["accounting"]["events"]
        rules = {fate: count for fate, count in found.items() if fate != "kept"}
        assert rules == {fate: count for fate, count in truth.items() if fate not in ("repaired", "bot")}
        lines = read_manifest(built.runner.warehouse.folder("raw/events", day)).rows
        assert found["kept"] == lines - sum(rules.values()) == built.rows("events", day).num_rows
        marked = built.rows("events", day)["bot_rule"].drop_null()
        assert len(marked) == truth["bot"]


def test_labels_are_what_really_happened(built: Built) -> None:
    """But for the few exposures and entries that dirt took away or delayed."""
    truth = read(
        [path for day in built.days for path in data_files(built.runner.warehouse.folder("truth/exposures", day))]
    )
    entered = dict(zip(truth["example_id"].to_pylist(), truth["entered"].to_pylist(), strict=True))
    for day in built.days:
        examples = built.rows("examples/enter", day)
        same = [
            entered[id_] == bool(label)
            for id_, label in zip(examples["example_id"].to_pylist(), examples["label_enter"].to_pylist(), strict=True)
        ]
        assert np.mean(same) > 0.99


def test_a_step_that_ran_is_skipped(built: Built) -> None:
    assert not any(outcome.skipped for outcome in built.outcomes)
    again = [built.runner.run(step, built.days[-1]) for step in (*data_steps(built.config), road.RECOMMEND)]
    assert all(outcome.skipped for outcome in again)
    assert train(built.config, built.runner.warehouse, built.days[-1]) == built.trained


def test_training_does_not_depend_on_the_number_of_workers(built: Built, tmp_path: Path) -> None:
    """The same inputs, one worker: the weights have the same bytes."""
    for name in ("examples", "vocab", "truth"):
        (tmp_path / "live").mkdir(exist_ok=True)
        (tmp_path / "live" / name).symlink_to(built.runner.warehouse.path(name))
    config = load_config(CONF, [*SMALL, f"product.warehouse={tmp_path}", "training.workers=1"])
    from pipeline.storage import Warehouse

    alone = train(config, Warehouse.of(config), built.days[-1])
    ours, theirs = (Path(folder, "weights.safetensors").read_bytes() for folder in (built.trained.folder, alone.folder))
    assert ours == theirs
    assert alone.metrics == built.trained.metrics


def test_onnxruntime_scores_raw_values_as_the_engine_does(built: Built) -> None:
    import onnxruntime

    artifact, golden = load_artifact(built.trained.folder), load_golden(built.trained.folder)
    session = onnxruntime.InferenceSession(f"{built.trained.folder}/model.onnx")
    feeds = {entry.name: np.asarray(golden.raw[entry.name]) for entry in session.get_inputs()}
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
    assert len(golden.probability) > 200
    np.testing.assert_allclose(outputs["probability"], golden.probability, atol=1e-5)
    np.testing.assert_array_equal(artifact.score(golden.raw), golden.probability)


def test_the_model_has_learnt_something_and_knows_less_than_the_oracle(built: Built) -> None:
    assert built.trained.gate == "first"
    assert 0.55 < built.trained.metrics["auc"] < built.trained.metrics["oracle_auc"]
    manifest = read_manifest(built.trained.folder)
    assert manifest.origin == "simulated"
    assert [entry["path"] for entry in manifest.inputs] == [f"examples/enter/dt={day}" for day in built.days[1:]]


def test_each_active_user_gets_the_best_rooms_on_air(built: Built) -> None:
    day = built.days[-1]
    lists = built.rows("recommendations", day).to_pylist()
    rooms = {row["room_id"]: row for row in built.rows("rooms", day).to_pylist()}
    users = {
        row["user_id"] for d in built.days for row in built.rows("events", d).to_pylist() if row["bot_rule"] is None
    }
    assert {row["user_id"] for row in lists} == users
    by_user: dict[str, list[dict[str, object]]] = {}
    for row in sorted(lists, key=lambda row: (row["user_id"], row["rank"])):
        by_user.setdefault(row["user_id"], []).append(row)
        assert rooms[row["room_id"]]["ended_at"] is None
        assert row["item_id"] == rooms[row["room_id"]]["item_id"]
        assert row["model_version"] == built.trained.version
    for rows in by_user.values():
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        scores = [row["score"] for row in rows]
        assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]


def test_the_summary_counts_what_was_published(built: Built) -> None:
    text = summary(built.config, built.runner.warehouse, built.days, built.trained, 0.5, {"train": 1.0})
    numbers = json.loads(Path(built.runner.warehouse.path("reports", "run.json")).read_text())
    assert set(numbers) == {
        "artifact", "auc", "gauc", "logloss", "oracle_auc", "baseline_auc", "lines_read", "events_kept",
        "duplicates_dropped", "quarantined", "quarantined_by_rule", "seconds_by_step",
    }  # fmt: skip
    assert numbers["lines_read"] == numbers["events_kept"] + numbers["duplicates_dropped"] + numbers["quarantined"]
    assert numbers["quarantined"] == sum(numbers["quarantined_by_rule"].values())
    assert numbers["events_kept"] == sum(built.rows("events", day).num_rows for day in built.days)
    assert built.trained.version in text


def test_no_step_has_a_plan_that_its_rows_should_not_meet(built: Built) -> None:
    """Planned from what is published; what a step reads is what the manifests say, and planning publishes nothing."""
    day = built.days[-1]
    before = read_manifest(built.runner.warehouse.folder("events", day))
    for name in steps_of(built.config):
        plan, sizes = planned(built.runner, name, day)
        assert unjustified(name, plan.counts) == []
        assert plan.counts["shuffles"] > 0
        read = {path for scan in plan.scans for path in scan}
        assert sum(sizes.get(path, (0, 0))[0] for path in read) > 0
        if name not in ("clean_logs", "recommend"):
            assert read <= sizes.keys()
    assert planned(built.runner, "recommend", day)[0].counts["python udfs"] == 1
    assert read_manifest(built.runner.warehouse.folder("events", day)) == before


def test_a_folder_of_other_logs_is_not_emptied(built: Built, tmp_path: Path) -> None:
    refuse_foreign(built.runner.warehouse.path())
    raw = tmp_path / "live" / "raw" / "events" / "dt=2026-01-01"
    raw.mkdir(parents=True)
    (raw / "mine.json.gz").write_bytes(b"x")
    with pytest.raises(Refused, match=r"mine\.json\.gz was not written by the simulator"):
        refuse_foreign(str(tmp_path / "live"))


def test_a_missing_day_and_a_missing_folder_say_what_to_do(built: Built) -> None:
    later = add_days(built.days[-1], 2)
    with pytest.raises(MissingInput, match="make backfill FROM=2026-01-05"):
        built.runner.run(road.CLEAN, later)
    with pytest.raises(MissingInput, match=r"nothing matches .*raw/.*dt=2026-01-05"):
        built.runner.run(road.CLEAN, add_days(built.days[-1], 1))
    with pytest.raises(MissingInput, match=r"train needs examples/enter/dt=2026-01-05.*make backfill FROM=2026-01-05"):
        train(built.config, built.runner.warehouse, later)
    with pytest.raises(MissingInput, match="too early to train"):
        train(built.config, built.runner.warehouse, built.days[0])


def test_budgets_stop_a_day_of_broken_logs(built: Built, spark: SparkSession) -> None:
    overrides = [*SMALL, f"product.warehouse={built.config.product.warehouse}", "clean.budgets.malformed=0.0001"]
    runner = Runner(load_config(CONF, overrides), spark)
    before = read_manifest(runner.warehouse.folder("events", built.days[0]))
    with pytest.raises(Refused, match=r"rule malformed rejects \d+ of \d+ lines, its budget is 0.010%"):
        runner.run(road.CLEAN, built.days[0])
    assert read_manifest(runner.warehouse.folder("events", built.days[0])) == before


def test_a_damaged_raw_file_is_named(built: Built, spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "events-2026-01-01.json.gz"
    path.write_bytes(Path(data_files(built.runner.warehouse.folder("raw/events", built.days[0]))[0]).read_bytes()[:-40])
    overrides = [
        *SMALL,
        f"product.warehouse={built.config.product.warehouse}",
        f"sources.events.path={tmp_path}/events-{{dt}}.json.gz",
    ]
    with pytest.raises(DamagedData, match=r"events-2026-01-01\.json\.gz is damaged"):
        Runner(load_config(CONF, overrides), spark).run(road.CLEAN, built.days[0])


def test_a_changed_feature_gives_no_ids_anew_and_needs_a_model_of_its_own(built: Built, spark: SparkSession) -> None:
    warehouse = f"product.warehouse={built.config.product.warehouse}"
    config = load_config(CONF, [*SMALL, warehouse, "features.item.watch_7d.smoothing=6"])
    runner = Runner(config, spark)
    assert runner.run(road.VOCAB, built.days[0]).skipped
    with pytest.raises(Refused, match=r"2026010301, was trained on other \[features\] than the config declares now"):
        runner.run(road.RECOMMEND, built.days[-1])


def test_a_target_encoding_is_added_by_building_the_examples_again(
    built: Built, spark: SparkSession, tmp_path: Path
) -> None:
    """From the third day on: the days before are read as they are. What then means something else is refused."""
    folder = tmp_path / "live"
    shutil.copytree(built.runner.warehouse.path(), folder, ignore=shutil.ignore_patterns("raw", "truth", "models"))
    added = "features.context.rate={ target = 'enter', of = ['item_category', 'user_age_band'], window_days = 2 }"
    runner = Runner(load_config(CONF, [*SMALL, f"product.warehouse={tmp_path}", added]), spark)
    shares: list[float] = []
    for day in built.days[2:]:
        assert not runner.run(road.EXAMPLES, day).skipped
        made = read(data_files(str(folder / "examples" / "enter" / f"dt={day}")))
        same = built.rows("examples/enter", day).select(["example_id", "label_enter"])
        assert made.select(same.column_names).sort_by("example_id") == same.sort_by("example_id")
        seen = made["context_rate__den"].to_numpy() > 0
        shares.append(float(np.mean(seen)))
        assert (made["context_rate__num"].to_numpy() <= made["context_rate__den"].to_numpy()).all()
    assert min(shares) > 0.5
    assert runner.run(road.EXAMPLES, built.days[2]).skipped
    other = "features.item.category.hash_buckets=50"
    changed = Runner(load_config(CONF, [*SMALL, f"product.warehouse={tmp_path}", added, other]), spark)
    with pytest.raises(
        Refused, match=r"\['item_category'\] were made by another declaration .*make backfill STEP=build_e"
    ):
        changed.run(road.EXAMPLES, built.days[3])


def test_an_older_list_is_made_by_the_model_of_its_day(built: Built) -> None:
    with pytest.raises(MissingInput, match="no blessed model of 2026-01-03"):
        built.runner.run(road.RECOMMEND, built.days[-2])


def test_days_are_read_as_far_back_as_an_exposure_may_look() -> None:
    """Labels that take three days: exposures from the 17th on, whose sequences reach back to the 10th."""
    late = load_config(CONF, ["labels.enter.mature_after_s=259200"])
    history = road.EXAMPLES.reads(late, parse_day("2026-01-20"))["history"].days
    assert (str(history[0]), str(history[-1])) == ("2026-01-10", "2026-01-20")
    window = road.PROFILES.reads(late, parse_day("2026-01-20"))["daily_user"].days
    assert str(window[0]) == "2026-01-13", "what happened on the 14th may have arrived before its midnight"
