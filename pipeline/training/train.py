"""One training: choose days, fit, train, evaluate, export, judge. What is blessed is published, the rest is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.artifact import Artifact, Vocabulary, load_artifact, record_verdict, save_candidate
from pipeline.config import Config
from pipeline.days import Day, add_days, day_start_us
from pipeline.errors import PipelineError, Refused
from pipeline.features import FIRST_ID, FeatureSpec, feature_specs, vocabulary_names
from pipeline.loader import Batch, Loader
from pipeline.models import ModelSpec
from pipeline.progress import Progress
from pipeline.storage import Warehouse, data_files, digest_of, files_at, has_manifest, read_manifest
from pipeline.training import metrics
from pipeline.training.bootstrap import Scored
from pipeline.training.choose_days import example_folders, training_days, vocabulary_day
from pipeline.training.curves import Curves
from pipeline.training.evaluation import Evaluated, evaluate, oracle_auc
from pipeline.training.fitting import fit_constants
from pipeline.training.gate import Verdict, judge
from pipeline.training.replica import PROGRAM
from tsengine.parallel import StepReport, Trainer, TrainingFailure

GOLDEN_ROWS = 300
LOGGED_STEPS = 30
"""Lines of progress that one run prints at most, about."""


@dataclass(frozen=True)
class TrainResult:
    """What a training ended with: the version and where it lies, its metrics, and the gate's word."""

    version: str
    folder: str
    metrics: Mapping[str, Any]
    gate: str

    @property
    def headline(self) -> dict[str, float]:
        """The few metrics that fit into a line."""
        return {name: round(self.metrics[name], 4) for name in ("auc", "gauc", "logloss", "ece")}


@dataclass(frozen=True)
class _Plan:
    """Everything that is known before the first step."""

    config: Config
    warehouse: Warehouse
    train_days: list[Day]
    evaluation_days: list[Day]
    folders: list[str]
    evaluation_folders: list[str]
    specs: tuple[FeatureSpec, ...]
    vocabularies: dict[str, list[str]]
    run: str
    inputs: tuple[dict[str, str], ...]
    origin: str

    @property
    def cut_us(self) -> int:
        """The instant at which the training days end; evaluation rows are not earlier."""
        return day_start_us(add_days(self.train_days[-1], 1), self.config.product.zone)


def train(config: Config, warehouse: Warehouse, day: Day, progress: Progress | None = None) -> TrainResult:
    """Train on the days before, judge on the days up to `day`, export and pass the gate.

    A run is its inputs, its config and its seed: interrupted, it goes on from its last checkpoint; finished, it is not
    done again. Raises MissingInput naming days that are not there, PipelineError when a worker fails, Refused when the
    gate says no (the candidate stays in candidates/, the model in service stays in service).
    """
    plan = _make_plan(config, warehouse, day)
    if found := _finished(plan):
        if progress is not None:
            progress.log("train", dt=day, state="unchanged", version=found.version)
        return _passed(found)
    with Progress(1, "train") if progress is None else progress.part() as shown:
        constants = fit_constants(_loader(plan, plan.folders), plan.specs)
        model = _model_spec(plan, constants)
        parameters = _run(plan, model, shown)
        shown.doing("evaluate")
        return _passed(_publish(plan, model, parameters))


def _make_plan(config: Config, warehouse: Warehouse, day: Day) -> _Plan:
    train_days, evaluation_days = training_days(config, day)
    folders, later = (example_folders(config, warehouse, days) for days in (train_days, evaluation_days))
    manifests = [read_manifest(folder) for folder in (*folders, *later)]
    inputs = tuple({"path": f"{m.dataset}/dt={m.dt}", "digest": m.content_digest} for m in manifests)
    specs = feature_specs(config)
    sections = config.model_dump(mode="json", include={"labels", "features", "model", "training"})
    sections["training"].pop("workers")  # any number of workers gives the same bits
    run = digest_of([sections, [entry["digest"] for entry in inputs], config.product.name])[:16]
    origin = "simulated" if {m.origin for m in manifests} == {"simulated"} else "collected"
    vocabularies = _vocabularies(config, warehouse, vocabulary_day(config, train_days))
    return _Plan(
        config, warehouse, train_days, evaluation_days, folders, later, specs, vocabularies, run, inputs, origin
    )


def _vocabularies(config: Config, warehouse: Warehouse, day: Day | None) -> dict[str, list[str]]:
    """Values in id order, as known on a day; empty where there was no vocabulary yet."""
    names = vocabulary_names(config)
    return {name: [] if day is None else _values(warehouse.folder(f"vocab/{name}", day)) for name in names}


def _values(folder: str) -> list[str]:
    found: dict[int, str] = {}
    for path in data_files(folder):
        with files_at(path).open(path) as file:
            table = pq.ParquetFile(file).read(columns=["value", "id"])
        found |= {
            id_: value
            for value, id_ in zip(table["value"].to_pylist(), table["id"].to_pylist(), strict=True)
            if id_ is not None
        }
    return [found[id_] for id_ in range(FIRST_ID, FIRST_ID + len(found))]


def _finished(plan: _Plan) -> TrainResult | None:
    """The result of the same run, if it came to an end before."""
    for place in ("models", "candidates"):
        folder = plan.warehouse.path(place, plan.config.model.kind)
        for version in files_at(folder).names(folder):
            path = f"{folder}/{version}"
            if (
                has_manifest(path)
                and read_manifest(path).run == plan.run
                and files_at(path).exists(f"{path}/gate.json")
            ):
                told = json.loads(files_at(path).read(f"{path}/gate.json"))
                return TrainResult(
                    version, path, json.loads(files_at(path).read(f"{path}/metrics.json")), told["outcome"]
                )
    return None


def _json(folder: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files_at(folder).read(f"{folder}/{name}"))
    return found


def _model_spec(plan: _Plan, constants: Mapping[str, Mapping[str, float]]) -> ModelSpec:
    model = plan.config.model
    sizes = {name: FIRST_ID + len(values) for name, values in plan.vocabularies.items()}
    return ModelSpec(
        model.kind, plan.specs, sizes, constants, model.embedding_dim, model.hidden, plan.config.training.seed
    )


def _loader(plan: _Plan, folders: Sequence[str], from_us: int | None = None) -> Loader:
    return Loader(specs=plan.specs, folders=list(folders), from_us=from_us, **_batching(plan))


def _batching(plan: _Plan) -> dict[str, Any]:
    training = plan.config.training
    return {
        "label": f"label_{training.label}", "batch_size": training.batch_size, "shards": training.shards,
        "seed": training.seed, "window_row_groups": training.window_row_groups,
    }  # fmt: skip


def _run(plan: _Plan, model: ModelSpec, progress: Progress) -> dict[str, NDArray[Any]]:
    """Train over processes; the parameters at the end."""
    training = plan.config.training
    steps = _loader(plan, plan.folders).steps_per_epoch * training.epochs
    every = max(1, -(-steps // LOGGED_STEPS))
    checkpoints = plan.warehouse.path("checkpoints", plan.config.model.kind, plan.run)
    spec = {
        "model": model.to_json(),
        "loader": {"folders": plan.folders, **_batching(plan)},
        "training": {**training.model_dump(mode="json"), "observe_every": every},
    }
    with Curves(checkpoints) as curves:
        trainer = Trainer(
            PROGRAM, spec, training.workers, training.shards, training.batch_size // training.shards,
            checkpoints=checkpoints, run={"id": plan.run}, on_step=_Follow(progress, curves, steps, every),
        )  # fmt: skip
        try:
            return trainer.train()
        except (TrainingFailure, ValueError, MemoryError) as error:
            raise PipelineError(f"training stopped: {error}") from None


class _Follow:
    """Shows and records steps as they come."""

    def __init__(self, progress: Progress, curves: Curves, steps: int, every: int) -> None:
        self._progress, self._curves, self._steps, self._every = progress, curves, steps, every
        self._losses: list[float] = []

    def __call__(self, report: StepReport) -> None:
        self._losses.append(report.loss)
        seconds = max(report.seconds, 1e-9)
        speed = {"rows_per_s": report.weight_sum / seconds, "waited": report.waited_s / seconds}
        self._curves.add(report.step, {"loss": report.loss, **speed, **report.observed})
        done = report.step + 1
        self._progress.doing(f"train {done}/{self._steps} loss {report.loss:.4f}")
        if done % self._every == 0 or done == self._steps:
            loss = float(np.mean(self._losses))
            self._losses.clear()
            seen = {name: round(value, 4) for name, value in report.observed.items()}
            self._progress.log("training", step=f"{done}/{self._steps}", loss=round(loss, 4), **seen)


def _publish(plan: _Plan, model: ModelSpec, parameters: Mapping[str, NDArray[Any]]) -> TrainResult:
    """Evaluate, write the candidate, judge it, and put it into service if it may."""
    version = _next_version(plan)
    held = {name: Vocabulary(name, values) for name, values in plan.vocabularies.items()}
    artifact = Artifact(model, parameters, held, version)
    later = _loader(plan, plan.evaluation_folders, plan.cut_us)
    evaluated = evaluate(later, model, artifact.score_ids)
    numbers = _metrics(plan, evaluated)
    folder = plan.warehouse.path("candidates", plan.config.model.kind, version)
    lineage = {
        "origin": plan.origin, "run": plan.run, "dt": str(plan.train_days[-1]), "inputs": plan.inputs,
        "key": plan.run, "train_days": list(map(str, plan.train_days)),
        "evaluation_days": list(map(str, plan.evaluation_days)),
    }  # fmt: skip
    files_at(folder).remove(folder)
    save_candidate(
        folder,
        model,
        parameters,
        plan.vocabularies,
        _golden(later),
        numbers,
        lineage,
        plan.config.product.name,
        version,
    )
    return _judge(plan, folder, version, evaluated, numbers)


def _golden(loader: Loader) -> Batch:
    batch, _ = next(iter(loader.in_order(rows=GOLDEN_ROWS)))
    return batch


def _metrics(plan: _Plan, evaluated: Evaluated) -> dict[str, Any]:
    scored = evaluated.scored
    numbers = metrics.summary(scored.label, scored.score, scored.weight, scored.users)
    numbers["oracle_auc"] = oracle_auc(plan.warehouse, plan.evaluation_days, evaluated)
    numbers["unknown_id_share"] = evaluated.unknown_share
    numbers["training_rows"] = _loader(plan, plan.folders).rows
    numbers["evaluation_rows"] = len(evaluated.example_ids)
    return numbers


def _next_version(plan: _Plan) -> str:
    """The cut day and the first counter that no model in service and no judged candidate has."""
    cut = f"{plan.train_days[-1]:%Y%m%d}"
    taken = {0}
    for place in ("models", "candidates"):
        folder = plan.warehouse.path(place, plan.config.model.kind)
        taken |= {
            int(name[len(cut) :])
            for name in files_at(folder).names(folder)
            if name.startswith(cut) and name.isdigit() and files_at(folder).exists(f"{folder}/{name}/gate.json")
        }
    return f"{cut}{max(taken) + 1:02d}"


def _judge(plan: _Plan, folder: str, version: str, evaluated: Evaluated, numbers: Mapping[str, Any]) -> TrainResult:
    service = _in_service(plan)
    verdict = judge(plan.config.gate, evaluated.scored, None if service is None else _scored_by(plan, service))
    record_verdict(folder, _told(verdict, service))
    if verdict.outcome == "refused":
        return TrainResult(version, folder, numbers, "refused")
    target = plan.warehouse.path("models", plan.config.model.kind, version)
    files_at(target).rename_new(folder, target)
    return TrainResult(version, target, numbers, verdict.outcome)


def _in_service(plan: _Plan) -> str | None:
    """The folder of the model with the highest version."""
    folder = plan.warehouse.path("models", plan.config.model.kind)
    versions = [name for name in files_at(folder).names(folder) if name.isdigit() and has_manifest(f"{folder}/{name}")]
    return f"{folder}/{max(versions, key=int)}" if versions else None


def _scored_by(plan: _Plan, service: str) -> Scored:
    """The same rows by the model in service.

    Raises Refused when that model cannot score them: it has other inputs.
    """
    artifact = load_artifact(service)
    if artifact.spec.features != plan.specs:
        raise Refused(
            f"the model in service ({service}) has other inputs, so the two cannot be compared on the same rows. "
            f"Move it out of models/ to start anew; the candidate is kept"
        )
    return evaluate(_loader(plan, plan.evaluation_folders, plan.cut_us), artifact.spec, artifact.score_ids).scored


def _told(verdict: Verdict, service: str | None) -> dict[str, Any]:
    return {**verdict.to_json(), "compared_with": None if service is None else service.rpartition("/")[2]}


def _passed(result: TrainResult) -> TrainResult:
    """The result, unless the gate refused it."""
    if result.gate == "refused":
        told = _json(result.folder, "gate.json")
        raise Refused(f"the gate refused {result.folder}: " + "; ".join(told["reasons"]))
    return result
