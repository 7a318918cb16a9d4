"""A training from published examples to a model in service: what it holds, what happens twice, halfway, and refused."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.artifact import load_artifact
from pipeline.errors import MissingInput, PipelineError, Refused
from pipeline.progress import Progress
from pipeline.storage import Warehouse, read_manifest, write_manifest
from pipeline.training import TrainResult, train
from pipeline.training.curves import Curves
from pipeline.training.metrics import auc
from pipeline.training.plan import make_plan
from pipeline.training.service import incomparable
from tests.training.published_days import DAYS, EARLY, FEATURES, ROWS, small_config, small_product

LAST = DAYS[-1]
VERSION = "2026010301"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A warehouse with a model in it, and what the log said."""

    warehouse: Warehouse
    result: TrainResult
    log: str


def logged(config: Any, warehouse: Warehouse) -> tuple[TrainResult, str]:
    """Train, and what it said off a terminal."""
    stream = io.StringIO()
    with Progress(1, "train", stream) as progress:
        return train(config, warehouse, LAST, progress), stream.getvalue()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two workers, never disturbed. Tests that change something take a copy."""
    warehouse = small_product(tmp_path_factory.mktemp("first"))
    return Trained(warehouse, *logged(small_config(), warehouse))


@pytest.fixture
def copied(first: Trained, tmp_path: Path) -> Iterator[Warehouse]:
    shutil.copytree(first.warehouse.root, tmp_path, dirs_exist_ok=True)
    yield dataclasses.replace(first.warehouse, root=str(tmp_path))


def evaluation_rows(warehouse: Warehouse) -> Mapping[str, np.ndarray]:
    """Label, weight and truth of the last day's rows but those of the evening before, read without the loader."""
    table = pq.read_table(f"{warehouse.folder('examples/enter', LAST)}/part.parquet", partitioning=None).slice(EARLY)
    truth = pq.read_table(f"{warehouse.folder('truth/exposures', LAST)}/part.parquet", partitioning=None)
    known = dict(zip(truth["example_id"].to_pylist(), truth["p_true"].to_pylist(), strict=True))
    truth_of_rows = np.array([known[name] for name in table["example_id"].to_pylist()])
    return {"label": table["label_enter"].to_numpy(), "weight": table["weight"].to_numpy(), "p_true": truth_of_rows}


def curve(warehouse: Warehouse) -> list[dict[str, float]]:
    path = next(Path(warehouse.path("checkpoints/wide_deep")).glob("*/curve.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(result: TrainResult) -> bytes:
    return Path(result.folder, "weights.safetensors").read_bytes()


def test_the_first_model_is_in_service_and_has_learnt(first: Trained) -> None:
    result = first.result
    assert (result.version, result.gate) == (VERSION, "first")
    assert result.folder == first.warehouse.path("models", "wide_deep", VERSION)
    assert 0.68 < result.metrics["auc"] < result.metrics["oracle_auc"]
    assert result.metrics["training_rows"] == 2 * ROWS
    assert result.metrics["evaluation_rows"] == ROWS - EARLY, "exposures of before the cut judge nothing"
    assert json.loads(Path(result.folder, "metrics.json").read_text()) == result.metrics


def test_the_oracle_is_measured_on_the_same_rows(first: Trained) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rows = evaluation_rows(first.warehouse)
    wanted = sklearn.roc_auc_score(rows["label"], rows["p_true"], sample_weight=rows["weight"])
    assert first.result.metrics["oracle_auc"] == pytest.approx(wanted, abs=1e-9)


def test_the_artifact_says_where_it_comes_from(first: Trained) -> None:
    manifest = read_manifest(first.result.folder)
    assert (manifest.origin, manifest.dt, manifest.product) == ("simulated", "2026-01-03", "live")
    assert [entry["path"] for entry in manifest.inputs] == [f"examples/enter/dt={day}" for day in DAYS[1:]]
    lineage = manifest.extra["lineage"]
    assert [entry["path"] for entry in lineage["vocabularies"]] == [
        f"vocab/{n}/dt=2026-01-02" for n in ("item_id", "user_id")
    ]
    assert lineage["train_days"] == ["2026-01-02", "2026-01-03"] and lineage["evaluation_days"] == ["2026-01-04"]
    items = load_artifact(first.result.folder).vocabularies["item_id"].values
    assert items == tuple(f"s{n}" for n in range(40)), "in id order, without what is below min_count"


def test_the_curve_has_every_step_and_the_log_a_few_lines(first: Trained) -> None:
    steps = -(-2 * ROWS // 64)
    points = curve(first.warehouse)
    assert [point["step"] for point in points] == list(range(steps))
    assert np.mean([p["loss"] for p in points[-10:]]) < 0.95 * points[0]["loss"]
    assert all(0 < point["auc"] <= 1 for point in points[1::2]), "a running AUC every second step"
    lines = [line for line in first.log.splitlines() if " training step=" in line]
    assert len(lines) <= 31 and f"step={steps}/{steps} " in lines[-1] and "auc=" in lines[0]


def test_tensorboard_reads_the_same_curve(first: Trained) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    path = next(Path(first.warehouse.path("checkpoints/wide_deep")).glob("*/events.out.*"))
    events = [Event.FromString(raw) for raw in RawEventFileLoader(str(path)).Load()]
    losses = {e.step: v.simple_value for e in events for v in e.summary.value if v.tag == "loss"}
    assert losses == pytest.approx({int(point["step"]): point["loss"] for point in curve(first.warehouse)}, rel=1e-6)


def test_a_finished_training_is_not_done_again(first: Trained) -> None:
    before = curve(first.warehouse)
    again, log = logged(small_config(workers=1), first.warehouse)
    assert again == first.result
    assert "state=unchanged" in log and "training step=" not in log
    assert curve(first.warehouse) == before


def test_killed_between_verdict_and_rename_it_is_put_into_service(first: Trained, copied: Warehouse) -> None:
    models, candidates = (Path(copied.path(place, "wide_deep")) for place in ("models", "candidates"))
    (models / VERSION).rename(candidates / VERSION)
    again = train(small_config(), copied, LAST)
    assert (again.folder, again.gate) == (str(models / VERSION), "first")
    assert again.metrics == first.result.metrics and not list(candidates.iterdir())


def test_killed_before_its_verdict_stood_in_the_manifest_it_is_judged_again(first: Trained, copied: Warehouse) -> None:
    models, candidates = (Path(copied.path(place, "wide_deep")) for place in ("models", "candidates"))
    (models / VERSION).rename(candidates / VERSION)
    manifest = read_manifest(str(candidates / VERSION))
    listed = tuple(entry for entry in manifest.files if entry.name != "gate.json")
    write_manifest(str(candidates / VERSION), dataclasses.replace(manifest, files=listed))
    again = train(small_config(), copied, LAST)
    assert (again.version, again.gate, weights(again)) == (VERSION, "first", weights(first.result))
    assert len(curve(copied)) == len(curve(first.warehouse)), "no step was made again"


def test_interrupted_it_resumes_to_the_same_bits_with_another_number_of_workers(
    first: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = small_product(tmp_path)
    add = Curves.add

    def stop(self: Curves, step: int, numbers: Mapping[str, float]) -> None:
        add(self, step, numbers)
        if step == 24:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Curves, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            train(small_config(), warehouse, LAST)
    assert not Path(warehouse.path("models")).exists()
    resumed = train(small_config(workers=1), warehouse, LAST)
    assert weights(resumed) == weights(first.result) and resumed.metrics == first.result.metrics
    steps = [point["step"] for point in curve(warehouse)]
    assert 0 < steps[25] < 47, "it went on from a checkpoint, not from the beginning"


def test_what_the_gate_refuses_stays_a_candidate_until_the_gate_changes(copied: Warehouse, first: Trained) -> None:
    for place in ("models", "candidates"):
        shutil.rmtree(copied.path(place))
    strict = small_config(gate={"auc": {"at_least": 0.99}})
    folder = Path(copied.path("candidates", "wide_deep", VERSION))
    for _ in range(2):
        with pytest.raises(Refused, match=rf"the gate refused .*{VERSION}: auc must be at least 0.99, got 0\.\d+"):
            train(strict, copied, LAST)
        assert [path.name for path in folder.parent.iterdir()] == [VERSION], "refused twice, written once"
    assert json.loads((folder / "gate.json").read_text())["outcome"] == "refused"
    assert not Path(copied.path("models")).exists()
    lenient = train(small_config(), copied, LAST)
    assert (lenient.version, lenient.gate, weights(lenient)) == ("2026010302", "first", weights(first.result))
    assert len(curve(copied)) == len(curve(first.warehouse)), "the parameters were there already"


def test_a_model_with_one_feature_less_is_held_against_the_one_in_service(copied: Warehouse) -> None:
    fewer = {**FEATURES, "user": {"key": {"column": "user_id"}}}
    gate = {"auc": {"at_least": 0.6, "change_at_least": -0.2}}
    with pytest.raises(Refused, match=r"2026010301, cannot score the same rows: it reads \['user_exposures_7d'\]"):
        train(small_config(fewer, gate), copied, LAST)
    told = json.loads(Path(copied.path("candidates/wide_deep/2026010302/gate.json")).read_text())
    assert (told["outcome"], told["compared_with"]) == ("refused", VERSION)


def test_a_model_with_one_feature_more_is_held_against_the_one_in_service(tmp_path: Path) -> None:
    fewer = {**FEATURES, "user": {"key": {"column": "user_id"}}}
    warehouse = small_product(tmp_path)  # examples hold the columns of all features, as after a day's rebuild
    gate = {"auc": {"at_least": 0.6, "change_at_least": -0.2}}
    old = train(small_config(fewer, gate), warehouse, LAST)
    result = train(small_config(gate=gate), warehouse, LAST)
    assert (old.gate, result.gate, result.version) == ("first", "blessed", "2026010302")
    told = json.loads(Path(result.folder, "gate.json").read_text())
    change = told["checks"][1]
    assert told["compared_with"] == VERSION and change["service"] == pytest.approx(old.metrics["auc"], abs=1e-12)
    assert change["candidate"] == pytest.approx(result.metrics["auc"], abs=1e-12)


def test_a_model_of_later_days_is_no_rival(copied: Warehouse) -> None:
    models = Path(copied.path("models", "wide_deep"))
    (models / VERSION).rename(models / "2026010401")
    result = train(small_config(seed=1), copied, LAST)
    assert (result.version, result.gate) == (VERSION, "first"), "it has seen the rows that judge"


CHANGES: list[dict[str, Any]] = [
    {"seed": 1}, {"days": 1}, {"weight_decay": 0.1}, {"batch_size": 128}, {"clip_norm": 1.0},
    {"schedule": {"warm_up_steps": 5}},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_a_run_is_its_inputs_and_its_config(first: Trained, change: dict[str, Any]) -> None:
    run = make_plan(small_config(), first.warehouse, LAST).run
    assert make_plan(small_config(**change), first.warehouse, LAST).run != run
    assert make_plan(small_config(workers=3), first.warehouse, LAST).run == run


def test_other_examples_are_another_run(first: Trained, copied: Warehouse) -> None:
    folder = copied.folder("examples/enter", DAYS[1])
    write_manifest(folder, dataclasses.replace(read_manifest(folder), content_digest="other"))
    assert make_plan(small_config(), copied, LAST).run != make_plan(small_config(), first.warehouse, LAST).run


def test_a_worker_that_fails_is_told_once_with_the_way_out(copied: Warehouse) -> None:
    wrong = small_config(seed=5, optimizer={"kind": "gradient_descent", "learning_rate": 1e38})
    told = r"training stopped: worker \d failed: step \d+, .* is nan; it begins with variable"
    with pytest.raises(PipelineError, match=told) as caught:
        train(wrong, copied, LAST)
    assert caught.value.exit_code == 1
    assert not list(Path(copied.path("candidates", "wide_deep")).iterdir())


def test_a_vocabulary_that_is_not_there_is_named(copied: Warehouse) -> None:
    shutil.rmtree(copied.folder("vocab/item_id", DAYS[1]))
    with pytest.raises(MissingInput, match=r"vocab/item_id/dt=2026-01-02, which is not there yet.*make day"):
        train(small_config(), copied, LAST)


def test_a_vocabulary_whose_ids_were_given_anew_makes_models_incomparable(first: Trained) -> None:
    artifact, plan = load_artifact(first.result.folder), make_plan(small_config(), first.warehouse, LAST)
    assert incomparable(plan, artifact) is None
    name, held = next((name, values) for name, values in plan.vocabularies.items() if len(values) > 1)
    grown = {**plan.vocabularies, name: [*held, "new"]}
    assert incomparable(dataclasses.replace(plan, vocabularies=grown), artifact) is None
    swapped = {**plan.vocabularies, name: [held[1], held[0], *held[2:]]}
    told = incomparable(dataclasses.replace(plan, vocabularies=swapped), artifact)
    assert told == f"the ids of ['{name}'] were given anew since"


def test_going_back_to_an_earlier_config_says_what_serves(copied: Warehouse) -> None:
    other = train(small_config(seed=1, gate={"auc": {"at_least": 0.5}}), copied, LAST)
    result, log = logged(small_config(), copied)
    assert (other.version, result.version) == ("2026010302", VERSION)
    assert f"state=unchanged version={VERSION} in_service=2026010302" in log


def test_an_input_of_training_alone_is_the_fixed_value_wherever_the_model_scores(copied: Warehouse) -> None:
    """Here the place decides much of the label: judged without it, the model is worse, by as much as is true."""
    place = {**FEATURES["context"]["position"], "scored_as": 1}
    config = small_config(features={**FEATURES, "context": {"position": place}}, gate={"auc": {"at_least": 0.5}})
    plan, logged_place = make_plan(config, copied, LAST), load_artifact(serving_folder(copied))
    assert incomparable(plan, logged_place) == (
        "its inputs ['context_position'] have another kind, vocabulary, hash or fixed value now"
    )
    shutil.rmtree(copied.path("models"))
    result = train(config, copied, LAST)
    artifact, groups = load_artifact(result.folder), [group for group, _ in plan.evaluation().in_order()]
    batch = {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}
    assert len({*batch["context_position"].tolist()}) > 3
    fed = {name: values for name, values in batch.items() if name != "context_position"}
    scores = artifact.score_ids(fed)
    np.testing.assert_array_equal(artifact.score_ids(batch), scores)
    assert result.metrics["auc"] == pytest.approx(auc(batch["label"], scores, batch["weight"]), abs=1e-12)
    assert result.metrics["auc"] < train(small_config(), other_service(copied), LAST).metrics["auc"] - 0.01


def serving_folder(warehouse: Warehouse) -> str:
    return warehouse.path("models", "wide_deep", VERSION)


def other_service(warehouse: Warehouse) -> Warehouse:
    """The same examples without any model."""
    shutil.rmtree(warehouse.path("models"))
    shutil.rmtree(warehouse.path("candidates"), ignore_errors=True)
    return warehouse
